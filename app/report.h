/* A report: one run through every analysis that its data allow, kept as results and written as HTML,
 * Markdown or JSON. */
#pragma once

#include "figure.h"
#include "provenance.h"

G_BEGIN_DECLS

typedef struct
{
  const MsAnalysis *analysis;
  char *id, *title; /* where links lead to, what they and the heading say */
  MsJob *own;       /* of --add: selection, groups and parameters of its own; NULL = the report's */
  const MsPlotDef *plot; /* the only one to show, NULL = all */
  MsValues *values;      /* NULL with `own`, which has them */
  MsResult *result;      /* NULL when it did not run: */
  char *reason;          /* why not, a sentence */
  char *other;           /* the summary of the run compared with; NULL without one */
} MsSection;

typedef struct
{
  const MsSection *section;
  const MsFinding *finding; /* of the section's result */
} MsReportFinding;

typedef struct
{
  MsJob *job;
  char *title;
  GPtrArray *sections; /* of MsSection: those of --add, then the others as registered */
  GArray *findings;    /* of MsReportFinding, strongest first, MS_REPORT_EACH of a section */
  guint n_findings;    /* all there are */
  char *hash;          /* SHA-256 of the file */
  GPtrArray *checks;   /* of char *: what the integrity check found */
  guint n_bad;         /* how many of it are faults */
  gboolean compared;   /* the other run is compared with, and no step of a training */
  char *interval;      /* what intervals are, NULL = none */
} MsReport;

#define MS_REPORT_FINDINGS 25 /* that are told, */
#define MS_REPORT_EACH     4  /* of one analysis */

/* --- The document ------------------------------------------------------------------------------- */

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
/* Whether a plot has anything to show. */
gboolean ms_report_has_figure (const MsSection *section, const MsPlotDef *plot);
/* Opens its figure; NULL when it cannot be drawn. */
MsFigure *ms_report_figure (const MsBlock *block, const MsTheme *theme, gboolean compact);
/* The command that makes one section's tables alone. */
char *ms_report_command (const MsReport *report, const MsSection *section);
/* A column's heading with its unit (newly allocated). */
char *ms_report_column_title (const MsColumn *column);

/* --- Formats ------------------------------------------------------------------------------------ */

/* One file that needs nothing beside it: inline SVG, no script, light and dark, prints. */
char *ms_report_html (const MsReport *report);
/* Markdown; its figures go as SVG into `folder` (made when needed), linked relative to its parent. */
char *ms_report_markdown (const MsReport *report, const char *folder, GError **error);
/* Pages of `width` x `height` inches with outline, links and page numbers. */
GByteArray *ms_report_pdf (const MsReport *report, double width, double height, GError **error);
/* Everything for machines. */
char *ms_report_json (const MsReport *report);

/* Appends text as it reads, in a table cell too: no line breaks, marks of Markdown escaped. */
void ms_markdown_append (GString *out, const char *text);

G_END_DECLS
