/* The document that a report becomes: blocks in reading order, which every format writes. */
#pragma once

#include "figure.h"
#include "report.h"

G_BEGIN_DECLS

typedef enum
{
  MS_BLOCK_HEADING, /* text, level, id */
  MS_BLOCK_TEXT,    /* text, role */
  MS_BLOCK_LIST,    /* items: text */
  MS_BLOCK_RANKED,  /* items: name is a number */
  MS_BLOCK_FACTS,   /* items: name and text */
  MS_BLOCK_NUMBERS, /* items: name, number, unit and text */
  MS_BLOCK_FIGURE,  /* section, plot; text is the caption */
  MS_BLOCK_TABLE,   /* table; text is the command that prints all of it */
} MsBlockKind;

typedef enum
{
  MS_ROLE_PLAIN,
  MS_ROLE_LEAD, /* the sentence of a section */
  MS_ROLE_SOFT, /* what it is about */
  MS_ROLE_NOTE, /* small print */
  MS_ROLE_WARNING,
} MsBlockRole;

typedef struct
{
  char *name, *text;
  char *number;           /* NULL = none */
  const char *unit;       /* likewise */
  const MsSection *place; /* the section to go to, NULL = none */
} MsItem;

typedef struct
{
  MsBlockKind kind;
  MsBlockRole role;
  guint level; /* 1 title, 2 section, 3 below */
  const char *id;
  char *text;
  GArray *items; /* of MsItem */
  const MsSection *section;
  const MsPlotDef *plot;
  gboolean further; /* not the first figure of its section: may be folded away */
  const MsTable *table;
} MsBlock;

/* The blocks (of MsBlock) in reading order: what every format writes. */
GPtrArray *ms_report_content (const MsReport *report);

/* What the report has of a headline: its section, NULL when there is none or it has groups or runs, and
 * what it tells, NULL when the section did not run. */
const MsSection *ms_report_headline (const MsReport *report, const MsHeadlineDef *def,
                                     MsHeadline **headline);
/* Opens its figure; NULL when it cannot be drawn. */
MsFigure *ms_report_figure (const MsBlock *block, const MsTheme *theme, gboolean compact);
/* A column's heading with its unit (newly allocated). */
char *ms_report_column_title (const MsColumn *column);

G_END_DECLS
