/* What the workers of one window share, without a window: requests, outcomes kept and being computed,
 * traces.  Held above all: nobody waits, reports or cancels while holding a lock that others need. */
#include "fixture.h"
#include "order-private.h"

#include <string.h>

/* --- Requests --------------------------------------------------------------------------------- */

static void
test_request (void)
{
  g_autoptr (MsRequest) request = ms_request_new (ms_known_analysis ("load"));
  g_autoptr (MsRequest) alone = NULL;
  g_autofree char *words = NULL, *alone_words = NULL;

  request->run = 3;
  request->sampling.resamples = MS_SAMPLING_USUAL.resamples;
  request->selection = ms_selection_parse ("lang=de layer=2..4 with=1,2", NULL);
  words = ms_request_format (request, NULL);
  g_assert_cmpstr (words, ==, "load --run 3 --select 'with=1..2 layer=2..4 lang=de'");
  g_assert_true (ms_request_has_runs (request));
  alone = ms_request_alone (request);
  g_assert_false (ms_request_has_runs (alone));
  alone_words = ms_request_format (alone, "map");
  g_assert_cmpstr (alone_words, ==, "load --run 3 --select 'layer=2..4 lang=de' --plot map");
}

static void
test_unknown (void)
{
  if (g_test_subprocess ())
    {
      ms_known_analysis ("eplb");
      return;
    }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*no analysis is registered as*eplb*");
}

/* --- Outcomes --------------------------------------------------------------------------------- */

static MsOutcome *
make_outcome (void)
{
  MsOutcome *outcome = g_atomic_rc_box_new0 (MsOutcome);

  outcome->share = 1;
  return outcome;
}

/* The oldest go when there are many; those of other contents of the file are not kept. */
static void
test_kept (void)
{
  MsOutcomeCache *cache = ms_outcome_cache_new ();
  g_autoptr (MsOutcome) outcome = make_outcome ();
  guint generation, now;

  g_assert_null (ms_outcome_cache_find (cache, "0", &generation));
  for (guint i = 0; i < 65; i++)
    {
      g_autofree char *key = g_strdup_printf ("%u", i);

      ms_outcome_cache_keep (cache, key, generation, outcome);
    }
  g_assert_null (ms_outcome_cache_find (cache, "0", &now));
  for (guint i = 1; i < 65; i++)
    {
      g_autofree char *key = g_strdup_printf ("%u", i);
      g_autoptr (MsOutcome) kept = ms_outcome_cache_find (cache, key, &now);

      g_assert_true (kept == outcome);
    }
  ms_outcome_cache_forget (cache);
  g_assert_null (ms_outcome_cache_find (cache, "64", &now));
  g_assert_cmpuint (now, !=, generation);
  ms_outcome_cache_keep (cache, "old", generation, outcome);
  g_assert_null (ms_outcome_cache_find (cache, "old", &now));
  ms_outcome_cache_unref (cache);
}

/* One who wants what somebody else computes. */
typedef struct
{
  MsOutcomeCache *cache;
  guint generation;
  GCancellable *cancel;
  gint heard; /* atomic: how often of progress */
  MsComputation *own;
  MsOutcome *outcome;
  GError *error;
} Waiter;

/* Locks the cache: were it held meanwhile, this would wait for ever. */
static void
on_progress (double done, gpointer data)
{
  Waiter *waiter = data;
  guint generation;

  g_assert_cmpfloat_with_epsilon (done, 0.25, 1e-3);
  g_assert_null (ms_outcome_cache_find (waiter->cache, "another", &generation));
  g_atomic_int_inc (&waiter->heard);
}

static gpointer
wait_for_it (gpointer data)
{
  Waiter *waiter = data;

  waiter->own = ms_outcome_cache_claim (waiter->cache, "key", waiter->generation, waiter->cancel,
                                        on_progress, waiter, &waiter->outcome, &waiter->error);
  return NULL;
}

static GThread *
start (Waiter *waiter, MsOutcomeCache *cache, guint generation)
{
  GThread *thread;

  *waiter = (Waiter){ .cache = cache, .generation = generation, .cancel = g_cancellable_new () };
  thread = g_thread_new ("waiter", wait_for_it, waiter);
  while (g_atomic_int_get (&waiter->heard) == 0)
    g_usleep (1000);
  return thread;
}

/* Two wait for a third: one gives up and the work goes on; the other gets what comes of it.  While they wait
 * the cache can be used. */
static void
test_shared (void)
{
  MsOutcomeCache *cache = ms_outcome_cache_new ();
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  g_autoptr (MsOutcome) outcome = make_outcome ();
  MsOutcome *none;
  Waiter patient, hasty;
  GThread *threads[2];
  MsComputation *own;
  guint generation;

  g_assert_null (ms_outcome_cache_find (cache, "key", &generation));
  own = ms_outcome_cache_claim (cache, "key", generation, cancel, NULL, NULL, &none, NULL);
  g_assert_nonnull (own);
  ms_computation_progress (own, 0.25);
  threads[0] = start (&patient, cache, generation);
  threads[1] = start (&hasty, cache, generation);
  g_cancellable_cancel (hasty.cancel);
  g_thread_join (threads[1]);
  g_assert_error (hasty.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (g_cancellable_is_cancelled (ms_computation_cancellable (own)));
  ms_computation_unwant (own); /* who computes it no longer wants it either */
  g_assert_false (g_cancellable_is_cancelled (ms_computation_cancellable (own)));
  ms_outcome_cache_keep (cache, "key", generation, outcome);
  ms_outcome_cache_let_go (cache, "key", own);
  g_thread_join (threads[0]);
  g_assert_null (patient.own);
  g_assert_true (patient.outcome == outcome);
  g_clear_pointer (&patient.outcome, ms_outcome_unref);
  g_clear_error (&hasty.error);
  g_object_unref (patient.cancel);
  g_object_unref (hasty.cancel);
  ms_outcome_cache_unref (cache);
}

/* Nobody wants it any more: it is stopped.  Who comes after that computes it himself. */
static void
test_unwanted (void)
{
  MsOutcomeCache *cache = ms_outcome_cache_new ();
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  MsOutcome *none;
  Waiter late;
  GThread *thread;
  MsComputation *own;

  own = ms_outcome_cache_claim (cache, "key", 0, cancel, NULL, NULL, &none, NULL);
  ms_computation_progress (own, 0.25);
  ms_computation_unwant (own);
  g_assert_true (g_cancellable_is_cancelled (ms_computation_cancellable (own)));
  thread = start (&late, cache, 0);
  ms_outcome_cache_let_go (cache, "key", own);
  g_thread_join (thread);
  g_assert_nonnull (late.own);
  g_assert_null (late.outcome);
  ms_outcome_cache_let_go (cache, "key", late.own);
  g_object_unref (late.cancel);
  ms_outcome_cache_unref (cache);
}

/* --- Traces ----------------------------------------------------------------------------------- */

/* The same run through the same selection is the same trace, whatever runs are shown beside it, until the
 * file changes. */
static void
test_traces (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsTraceCache *cache = ms_trace_cache_new ();
  g_autoptr (MsSelection) part = ms_selection_parse ("layer=2", NULL);
  g_autoptr (MsSelection) beside = ms_selection_parse ("layer=2 with=1", NULL);
  g_autoptr (MsTrace) first = ms_trace_cache_open (cache, path, 1, part, NULL);
  g_autoptr (MsTrace) second = ms_trace_cache_open (cache, path, 1, beside, NULL);
  g_autoptr (MsTrace) whole = ms_trace_cache_open (cache, path, 1, NULL, NULL);
  g_autoptr (MsTrace) later = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (first != NULL && first == second);
  g_assert_true (whole != NULL && whole != first);
  g_assert_null (ms_trace_selection (second)->with);
  ms_trace_cache_forget (cache);
  later = ms_trace_cache_open (cache, path, 1, part, NULL);
  g_assert_true (later != NULL && later != first);
  g_assert_null (ms_trace_cache_open (cache, path, 9, NULL, &error));
  g_assert_nonnull (error);
  ms_trace_cache_unref (cache);
  ms_fixture_remove (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/window/work/request", test_request);
  g_test_add_func ("/window/work/unknown", test_unknown);
  g_test_add_func ("/window/work/kept", test_kept);
  g_test_add_func ("/window/work/shared", test_shared);
  g_test_add_func ("/window/work/unwanted", test_unwanted);
  g_test_add_func ("/window/work/traces", test_traces);
  return g_test_run ();
}
