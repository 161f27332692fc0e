/* One pass of an analysis over a trace or part of it. */
#pragma once

#include "outcome-private.h"
#include "computation-private.h"
#include "work-private.h"

G_BEGIN_DECLS

typedef struct
{
  MsWork *job;
  GCancellable *cancel;
  MsComputation *computation; /* that hears of the progress; NULL = none */
  gboolean rough;             /* without intervals */
  gint64 deadline;            /* of the pass in monotonic time, 0 = none: it then cancels itself */
  double from, to;            /* where its progress lies in that of the job */
} MsPass;

/* Computes the request, which it takes, on the trace and the traces beside it (of MsTrace); NULL with
 * *error.  For a worker. (transfer full) */
MsOutcome *ms_pass_run (MsPass *pass, MsRequest *request, MsTrace *trace, GPtrArray *others,
                        GError **error);

G_END_DECLS
