/* What all parts of one window share: the open file, its runs, the session, the jobs, the results. */
#pragma once

#include "outcome-private.h"
#include "run-item-private.h"
#include "session-private.h"
#include "work-private.h"

#include <glib/gi18n-lib.h>

G_BEGIN_DECLS

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

/* What a request for the analysis selects, ms_session_copy_for; a series that nobody chose is that of all
 * comparable runs before the session's, by step or else by number, evenly thinned to as many as fit.
 * (transfer full) */
MsSelection *ms_workbench_copy_for (MsWorkbench *bench, const MsAnalysis *analysis);
/* Runs an analysis in the background and gives done() an MsOutcome (transfer full).  When the same was
 * asked before, done() is called at once and NULL returned.  Of a scan that takes long, partial() (may be
 * NULL) first gets MsOutcomes (transfer full) of the same analysis on few documents, then on more.  Takes
 * request. (transfer full) */
MsWork *ms_workbench_analyze (MsWorkbench *bench, MsRequest *request, guint delay, MsWorkDone done,
                              MsWorkPartial partial, GObject *owner);
/* The command line that makes the same: "moescope analyze FILE NAME ..." or, with a plot,
 * "moescope plot ...". (transfer full) */
char *ms_workbench_dup_command (MsWorkbench *bench, const MsRequest *request, const char *plot,
                                const char *output);

void ms_workbench_toast (MsWorkbench *bench, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_END_DECLS
