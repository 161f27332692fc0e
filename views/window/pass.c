/* MsPass turns the progress of one pass into a part of the job's, and stops a pass that takes too long. */
#include "pass-private.h"

static void
on_progress (double done, gpointer data)
{
  const MsPass *pass = data;
  double reached = pass->from + done * (pass->to - pass->from);

  ms_work_progress (reached, pass->job);
  if (pass->computation != NULL)
    ms_computation_progress (pass->computation, reached);
  if (pass->deadline > 0 && g_get_monotonic_time () > pass->deadline)
    g_cancellable_cancel (pass->cancel);
}

MsOutcome *
ms_pass_run (MsPass *pass, MsRequest *request, MsTrace *trace, GPtrArray *others, GError **error)
{
  g_autoptr (MsRequest) own = request;
  g_autoptr (MsValues) defaults = own->values ? NULL : ms_values_new (own->analysis);
  MsContext context = { .trace = trace,
                        .others = (MsTrace **) others->pdata,
                        .n_others = others->len,
                        .values = own->values ? own->values : defaults,
                        .sampling = own->sampling,
                        .cancel = pass->cancel,
                        .progress = on_progress,
                        .progress_data = pass };
  gint64 began = g_get_monotonic_time ();
  MsResult *result;

  if (pass->rough)
    context.sampling.resamples = 0;
  result = own->by ? ms_analysis_run_by (own->analysis, &context, own->by, error)
                   : ms_analysis_run (own->analysis, &context, error);
  if (result == NULL)
    return NULL;
  return ms_outcome_new (g_steal_pointer (&own), result, &context,
                         (double) (g_get_monotonic_time () - began) / G_USEC_PER_SEC);
}
