/* MsOrder: everything a worker computes with.  It owns or shares what it reads, so a window may be closed
 * and a file opened meanwhile; what then comes of it is thrown away.  One run alone: the cache may have it
 * since, or somebody may be at it; if not, a long scan is first looked at in part.  Several runs: one after
 * the other, each as if it were alone and kept as such, then stacked. */
#include "order-private.h"

#include "look-ahead-private.h"

struct MsOrder
{
  MsRequest *request;
  char *path;
  char *key;
  guint generation;
  MsOutcomeCache *outcomes;
  MsTraceCache *traces;
  gboolean partial;
};

MsOrder *
ms_order_new (MsRequest *request, const char *path, const char *key, guint generation,
              MsOutcomeCache *outcomes, MsTraceCache *traces, gboolean partial)
{
  MsOrder *order = g_new0 (MsOrder, 1);

  order->request = request;
  order->path = g_strdup (path);
  order->key = g_strdup (key);
  order->generation = generation;
  order->outcomes = ms_outcome_cache_ref (outcomes);
  order->traces = ms_trace_cache_ref (traces);
  order->partial = partial;
  return order;
}

void
ms_order_free (MsOrder *order)
{
  g_clear_pointer (&order->request, ms_request_free);
  g_free (order->path);
  g_free (order->key);
  ms_outcome_cache_unref (order->outcomes);
  ms_trace_cache_unref (order->traces);
  g_free (order);
}

char *
ms_order_key (const MsRequest *request, gint64 run)
{
  MsRequest named = *request;

  named.run = run;
  return ms_request_format (&named, NULL);
}

static void
on_worker_cancelled (GCancellable *cancellable, gpointer computation)
{
  ms_computation_unwant (computation);
}

/* The traces beside the request's: the second run, or of a series all further ones. */
static GPtrArray *
open_others (const MsOrder *order, const MsTrace *trace, GError **error)
{
  const MsRequest *request = order->request;
  g_autoptr (MsSelection) everything = ms_selection_new ();
  const MsSelection *selection = request->selection ? request->selection : everything;
  g_autoptr (GPtrArray) others = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);
  g_autofree gint64 *runs = NULL;
  MsTrace *other;
  guint n = 0;

  if ((request->analysis->needs & MS_NEEDS_SERIES)
      && !ms_selection_list_with (selection, ms_trace_run (trace)->id, &runs, &n, error))
    return NULL;
  if (request->other > 0)
    {
      runs = g_renew (gint64, runs, n + 1);
      runs[n++] = request->other;
    }
  for (guint i = 0; i < n; i++)
    {
      other = ms_trace_cache_open (order->traces, order->path, runs[i], request->selection, error);
      if (other == NULL)
        return NULL;
      g_ptr_array_add (others, other);
    }
  return g_steal_pointer (&others);
}

/* Computes what the order asks for, about one run, between `from` and `to` of the job's progress. */
static MsOutcome *
compute_one (MsWork *job, MsOrder *order, MsTrace *trace, double from, double to, GError **error)
{
  g_autoptr (GPtrArray) others = open_others (order, trace, error);
  MsPass pass = { .job = job, .from = from, .to = to };
  MsComputation *computation;
  MsOutcome *outcome;
  gulong link;

  if (others == NULL)
    return NULL;
  if (order->partial)
    pass.from = ms_look_ahead (job, order->request, trace, others);
  computation
      = ms_outcome_cache_claim (order->outcomes, order->key, order->generation,
                                ms_work_cancellable (job), ms_work_progress, job, &outcome, error);
  if (computation == NULL)
    return outcome;
  pass.computation = computation;
  pass.cancel = ms_computation_cancellable (computation);
  link = g_cancellable_connect (ms_work_cancellable (job), G_CALLBACK (on_worker_cancelled),
                                computation, NULL);
  outcome = ms_pass_run (&pass, g_steal_pointer (&order->request), trace, others, error);
  g_cancellable_disconnect (ms_work_cancellable (job), link);
  if (outcome != NULL)
    ms_outcome_cache_keep (order->outcomes, order->key, order->generation, outcome);
  ms_outcome_cache_let_go (order->outcomes, order->key, computation);
  return outcome;
}

/* What one of several runs gives, computed or as it is kept from when it was shown alone. */
static MsOutcome *
compute_part (MsWork *job, const MsOrder *order, MsTrace *trace, double from, double to,
              GError **error)
{
  MsOrder part = *order;
  MsOutcome *outcome;

  part.request = ms_request_alone (order->request);
  part.request->run = ms_trace_run (trace)->id;
  part.key = ms_order_key (part.request, part.request->run);
  part.partial = FALSE;
  outcome = compute_one (job, &part, trace, from, to, error);
  g_clear_pointer (&part.request, ms_request_free);
  g_free (part.key);
  return outcome;
}

static int
compare_traces (gconstpointer a, gconstpointer b)
{
  gint64 left = ms_trace_run (*(MsTrace *const *) a)->id;
  gint64 right = ms_trace_run (*(MsTrace *const *) b)->id;

  return (left > right) - (left < right);
}

/* Opens the runs shown beside the main one, whose trace is there; then they are in the order of their
 * numbers. */
static gboolean
open_with (const MsOrder *order, GPtrArray *traces, GError **error)
{
  const MsSelection *selection = order->request->selection;
  MsTrace *main = g_ptr_array_index (traces, 0);
  g_autofree gint64 *runs = NULL;
  guint n;

  if (!ms_selection_list_with (selection, ms_trace_run (main)->id, &runs, &n, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      MsTrace *trace = ms_trace_cache_open (order->traces, order->path, runs[i], selection, error);

      if (trace == NULL)
        return FALSE;
      g_ptr_array_add (traces, trace);
    }
  g_ptr_array_sort (traces, compare_traces);
  return TRUE;
}

/* The same on several runs, one after the other. */
static MsOutcome *
compute_runs (MsWork *job, MsOrder *order, MsTrace *main, GError **error)
{
  g_autoptr (GPtrArray) traces = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);
  g_autoptr (GPtrArray) outcomes
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_outcome_unref);
  g_autoptr (GPtrArray) failures = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  MsRunResult runs[MS_RUNS_MOST] = { { NULL, NULL, NULL } };
  gint64 shown = g_get_monotonic_time ();
  MsOutcome *all;

  g_ptr_array_add (traces, ms_trace_ref (main));
  if (!open_with (order, traces, error))
    return NULL;
  for (guint i = 0; i < traces->len; i++)
    {
      MsTrace *trace = g_ptr_array_index (traces, i);
      GError *failure = NULL;
      MsOutcome *outcome = compute_part (job, order, trace, (double) i / traces->len,
                                         (i + 1.0) / traces->len, &failure);

      if (outcome == NULL && !g_error_matches (failure, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS))
        {
          g_propagate_error (error, failure);
          return NULL;
        }
      if (outcome != NULL)
        g_ptr_array_add (outcomes, outcome);
      else
        g_ptr_array_add (failures, failure);
      runs[i] = (MsRunResult){ ms_trace_run (trace), outcome ? outcome->result : NULL,
                               failure ? failure->message : NULL };
      if (order->partial && outcomes->len > 0 && i + 1 < traces->len
          && (double) (g_get_monotonic_time () - shown) / G_USEC_PER_SEC > MS_WORTH_A_LOOK)
        {
          ms_work_offer (job, ms_outcome_stack (order->request, traces, outcomes, runs, i + 1));
          shown = g_get_monotonic_time ();
        }
    }
  if (outcomes->len == 0)
    {
      g_propagate_error (error, g_error_copy (g_ptr_array_index (failures, 0)));
      return NULL;
    }
  all = ms_outcome_stack (order->request, traces, outcomes, runs, traces->len);
  ms_outcome_cache_keep (order->outcomes, order->key, order->generation, all);
  return all;
}

gpointer
ms_order_compute (MsWork *job, gpointer data, GError **error)
{
  MsOrder *order = data;
  const MsRequest *request = order->request;
  g_autoptr (MsTrace) trace
      = ms_trace_cache_open (order->traces, order->path, request->run, request->selection, error);

  if (trace == NULL)
    return NULL;
  if (ms_request_has_runs (request) && ms_analysis_takes_runs (request->analysis))
    return compute_runs (job, order, trace, error);
  return compute_one (job, order, trace, 0, 1, error);
}
