/* A report: one run through every analysis that its data allow, kept as results. */
#pragma once

#include "job.h"

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
#define MS_REPORT_EACH     2  /* of one analysis */

void ms_section_free (MsSection *section);
void ms_report_clear (MsReport *report);

/* Makes the sections: analyses named in `list` ("none" for none), with NULL all that say something about a
 * whole run.  FALSE with an unknown name in *wrong (newly allocated). */
gboolean ms_report_choose (MsReport *report, const char *list, char **wrong);
/* Puts the section of an analysis before the others. */
void ms_report_put_first (MsReport *report, const MsAnalysis *analysis);
/* Computes all sections of report->job, which is open, then checks the file.  FALSE with *status. */
gboolean ms_report_make (MsReport *report, MsExit *status);

G_END_DECLS
