/* MsOutcome goes from the worker that computed it to every screen that asked for the same, and stays with
 * them when the file is closed: it holds all that is needed to draw, copy and export it. */
#include "outcome-private.h"

#include <glib/gi18n-lib.h>

MsOutcome *
ms_outcome_new (MsRequest *request, MsResult *result, const MsContext *context, double seconds)
{
  MsOutcome *outcome = g_atomic_rc_box_new0 (MsOutcome);

  outcome->request = request;
  outcome->result = result;
  outcome->interval = ms_interval_name (context);
  outcome->seconds = seconds;
  outcome->share = 1;
  return outcome;
}

static void
clear_outcome (gpointer data)
{
  MsOutcome *outcome = data;

  g_clear_pointer (&outcome->request, ms_request_free);
  g_clear_pointer (&outcome->result, ms_result_free);
  g_clear_pointer (&outcome->interval, g_free);
  g_clear_pointer (&outcome->runs, g_ptr_array_unref);
}

MsOutcome *
ms_outcome_ref (MsOutcome *outcome)
{
  return g_atomic_rc_box_acquire (outcome);
}

void
ms_outcome_unref (MsOutcome *outcome)
{
  g_atomic_rc_box_release_full (outcome, clear_outcome);
}

void
ms_outcome_mark_partial (MsOutcome *outcome, double share)
{
  MsResult *result = outcome->result;
  g_autofree char *whole = g_steal_pointer (&result->summary);

  outcome->share = share;
  result->summary = g_strdup_printf (_ ("On %.2g %% of the tokens so far: %s"), 100 * share,
                                     whole ? whole : "");
  ms_result_note (result, _ ("a first look at %.2g %% of the tokens, without intervals"),
                  100 * share);
}

MsOutcome *
ms_outcome_stack (const MsRequest *request, GPtrArray *traces, GPtrArray *outcomes,
                  const MsRunResult *results, guint n)
{
  MsContext context = { .trace = g_ptr_array_index (traces, 0),
                        .with = (MsTrace **) traces->pdata + 1,
                        .n_with = traces->len - 1,
                        .sampling = request->sampling };
  MsOutcome *all
      = ms_outcome_new (ms_request_copy (request), ms_result_stack (results, n), &context, 0);

  all->runs = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_outcome_unref);
  for (guint i = 0; i < outcomes->len; i++)
    {
      MsOutcome *one = g_ptr_array_index (outcomes, i);

      all->seconds += one->seconds;
      g_ptr_array_add (all->runs, ms_outcome_ref (one));
    }
  all->share = (double) n / traces->len;
  if (n < traces->len)
    {
      g_autofree char *some = g_steal_pointer (&all->result->summary);

      all->result->summary
          = g_strdup_printf (_ ("%u of %u runs so far:\n%s"), n, traces->len, some);
    }
  return all;
}
