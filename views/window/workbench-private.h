/* What all parts of one window share: the open file, its runs, the session, the jobs, the results. */
#pragma once

#include "job-private.h"
#include "session-private.h"

#include <glib/gi18n-lib.h>

G_BEGIN_DECLS

/* --- A run of the open file ------------------------------------------------------------------ */

#define MS_TYPE_RUN_ITEM (ms_run_item_get_type ())
G_DECLARE_FINAL_TYPE (MsRunItem, ms_run_item, MS, RUN_ITEM, GObject)

typedef enum
{
  MS_RUN_COMPLETE,
  MS_RUN_COLLECTING, /* unfinished, and the file changes */
  MS_RUN_STOPPED,    /* unfinished; the same command goes on with it */
  MS_RUN_BROKEN,     /* finished, but tokens are missing */
} MsRunState;

MsRunState ms_run_item_get_state (MsRunItem *item);
const MsRun *ms_run_item_run (MsRunItem *item);
const MsModel *ms_run_item_model (MsRunItem *item);
const MsCorpus *ms_run_item_corpus (MsRunItem *item);
/* "OLMoE / mixed-12" (transfer full) */
char *ms_run_item_dup_title (MsRunItem *item);
/* "3: step 001200": what names it among others in lists and figures. (transfer full) */
char *ms_run_item_dup_label (MsRunItem *item);
/* Tokens, layers x experts, state: one line. (transfer full) */
char *ms_run_item_dup_subtitle (MsRunItem *item);
/* The share of the corpus recorded, 1 when finished. */
double ms_run_item_get_progress (MsRunItem *item);

/* --- One run of an analysis ------------------------------------------------------------------- */

/* What the command line uses unless told. */
#define MS_USUAL_BOOTSTRAP 1000

typedef struct
{
  const MsAnalysis *analysis;
  MsValues *values; /* NULL = defaults; owned */
  gint64 run;       /* 0 = newest */
  char *select;     /* text form, with= for several runs; owned, may be NULL */
  gint64 other;     /* second run, 0 = none */
  char *by;         /* once per group of this kind; owned, NULL = not */
  guint bootstrap;
} MsRequest;

/* The analysis of a name that the program itself writes: a name that is not registered ends the program,
 * because a screen that left it out in silence would look whole. */
const MsAnalysis *ms_known_analysis (const char *name);

MsRequest *ms_request_new (const MsAnalysis *analysis);
/* Sets a parameter that the analysis must have; a value that it refuses leaves the one before. */
void ms_request_set (MsRequest *request, const char *name, const char *value);
MsRequest *ms_request_copy (const MsRequest *request); /* (transfer full) */
void ms_request_free (MsRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsRequest, ms_request_free)
/* The same about its main run alone. (transfer full) */
MsRequest *ms_request_alone (const MsRequest *request);
/* The words that say the same after `moescope analyze FILE`, with a plot after `moescope plot FILE`.
 * (transfer full) */
char *ms_request_format (const MsRequest *request, const char *plot);

/* A result with what it was asked for; shared by reference count and never changed.  A result of part of
 * the tokens says so in its summary and notes. */
typedef struct
{
  MsRequest *request;
  MsResult *result;
  char *interval; /* what bands and whiskers are, NULL when there are none */
  double seconds;
  double share;    /* of the tokens or runs asked for that it rests on, 1 = all */
  GPtrArray *runs; /* of several runs together: of MsOutcome, one for each; else NULL */
} MsOutcome;

MsOutcome *ms_outcome_ref (MsOutcome *outcome);
void ms_outcome_unref (MsOutcome *outcome);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsOutcome, ms_outcome_unref)

/* --- The workbench ---------------------------------------------------------------------------- */

typedef enum
{
  MS_BENCH_EMPTY,
  MS_BENCH_OPENING,
  MS_BENCH_READY,
  MS_BENCH_FAILED,
} MsBenchState;

#define MS_TYPE_WORKBENCH (ms_workbench_get_type ())
G_DECLARE_FINAL_TYPE (MsWorkbench, ms_workbench, MS, WORKBENCH, GObject)

/* Property "state" (MsBenchState), notified also when the list of runs was read again.
 * Signal "toast" (const char *text): something small to tell. */
MsWorkbench *ms_workbench_new (void);

MsSession *ms_workbench_get_session (MsWorkbench *bench);
GListStore *ms_workbench_get_jobs (MsWorkbench *bench);
GListModel *ms_workbench_get_runs (MsWorkbench *bench); /* of MsRunItem, newest first */
MsBenchState ms_workbench_get_state (MsWorkbench *bench);
const char *ms_workbench_get_path (MsWorkbench *bench); /* NULL when empty */
const GError *ms_workbench_get_error (MsWorkbench *bench);
/* Another number for every file opened, and for one opened again: what was read from one does not hold for
 * the next, though path and ids be the same. */
guint ms_workbench_get_serial (MsWorkbench *bench);

/* Opens a file in the background; what was open stays until the new one could be read or not. */
void ms_workbench_open (MsWorkbench *bench, const char *path);
void ms_workbench_close (MsWorkbench *bench);
/* Reads the list of runs again (they may be growing). */
void ms_workbench_refresh (MsWorkbench *bench);

/* Run `id`, 0 = the newest; NULL when there is none.  Borrowed. */
MsRunItem *ms_workbench_find_run (MsWorkbench *bench, gint64 id);
/* The session's run and its baseline (NULL when none is pinned).  Borrowed. */
MsRunItem *ms_workbench_get_run (MsWorkbench *bench);
MsRunItem *ms_workbench_get_base (MsWorkbench *bench);

/* The trace of a run seen through a selection text, kept for the next caller.  From any thread, with the
 * path of ms_workbench_get_path of when the work was started. (transfer full) */
MsTrace *ms_workbench_trace (MsWorkbench *bench, const char *path, gint64 run, const char *select,
                             GError **error);

/* Runs an analysis in the background and gives done() an MsOutcome (transfer full).  When the same was
 * asked before, done() is called at once and NULL returned.  Of a scan that takes long, partial() (may be
 * NULL) first gets MsOutcomes (transfer full) of the same analysis on few documents, then on more.  Takes
 * request. (transfer full) */
MsJob *ms_workbench_analyze (MsWorkbench *bench, MsRequest *request, guint delay, MsJobDone done,
                             MsJobPartial partial, GObject *owner);
/* The command line that makes the same: "moescope analyze FILE NAME ..." or, with a plot,
 * "moescope plot ...". (transfer full) */
char *ms_workbench_dup_command (MsWorkbench *bench, const MsRequest *request, const char *plot,
                                const char *output);

void ms_workbench_toast (MsWorkbench *bench, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_END_DECLS
