/* A report: one run through every analysis that its data allow, kept as results and written as HTML,
 * Markdown or JSON. */
#pragma once

#include "figure.h"
#include "provenance.h"

G_BEGIN_DECLS

typedef struct
{
  const MsAnalysis *analysis;
  MsValues *values;
  MsResult *result; /* NULL when it did not run: */
  char *reason;     /* why not, a sentence */
  char *other;      /* the summary of the run compared with; NULL without one */
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
  GPtrArray *sections; /* of MsSection, in the order of the registry */
  GArray *findings;    /* of MsReportFinding, strongest first, MS_REPORT_EACH of a section */
  guint n_findings;    /* all there are */
  char *hash;          /* SHA-256 of the file */
  GPtrArray *checks;   /* of char *: what the integrity check found */
  guint n_bad;         /* how many of it are faults */
  char *interval;      /* what intervals are, NULL = none */
} MsReport;

/* Rows of a table that HTML and Markdown show. */
#define MS_REPORT_ROWS     200
#define MS_REPORT_FINDINGS 25
#define MS_REPORT_EACH     4

/* Opens the figure of a plot for the report; NULL when the plot has nothing to show. */
MsFigure *ms_report_figure (const MsReport *report, const MsSection *section, const MsPlotDef *plot,
                            const MsTheme *theme);
/* The command that makes one section's tables alone. */
char *ms_report_command (const MsReport *report, const MsSection *section);

/* One file that needs nothing beside it: inline SVG, no script, light and dark, prints. */
char *ms_report_html (const MsReport *report);
/* Markdown; its figures go as SVG into `folder` (made when needed), linked relative to its parent. */
char *ms_report_markdown (const MsReport *report, const char *folder, GError **error);
/* Everything for machines. */
char *ms_report_json (const MsReport *report);

G_END_DECLS
