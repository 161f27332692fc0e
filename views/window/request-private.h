/* What is asked of an analysis: one run of it, before it is computed. */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

typedef struct
{
  const MsAnalysis *analysis;
  MsValues *values;       /* NULL = defaults; owned */
  gint64 run;             /* 0 = newest */
  MsSelection *selection; /* with further runs in `with`; NULL = everything; owned */
  gint64 other;           /* second run, 0 = none */
  char *by;               /* once per group of this kind; owned, NULL = not */
  MsSampling sampling;    /* the usual, without intervals */
} MsRequest;

/* The analysis of a name that the program itself writes: a name that is not registered ends the program,
 * because a screen that left it out in silence would look whole. */
const MsAnalysis *ms_known_analysis (const char *name);

MsRequest *ms_request_new (const MsAnalysis *analysis);
MsRequest *ms_request_copy (const MsRequest *request); /* (transfer full) */
void ms_request_free (MsRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsRequest, ms_request_free)
/* Sets a parameter that the analysis must have; a value that it refuses leaves the one before. */
void ms_request_set (MsRequest *request, const char *name, const char *value);
/* Whether it is about several runs, of which ms_request_alone keeps the main one. */
gboolean ms_request_has_runs (const MsRequest *request);
/* The same about its main run alone. (transfer full) */
MsRequest *ms_request_alone (const MsRequest *request);
/* The same as a paper needs it: with intervals and null values, which a quick look leaves out; and whether it is
 * one already. (transfer full) */
MsRequest *ms_request_in_full (const MsRequest *request);
gboolean ms_request_is_full (const MsRequest *request);
/* The words that say the same after `moescope analyze FILE`, with a plot after `moescope plot FILE`.
 * Two requests with the same words give the same result. (transfer full) */
char *ms_request_format (const MsRequest *request, const char *plot);

G_END_DECLS
