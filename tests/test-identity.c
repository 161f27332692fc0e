/* What must come out whatever the numbers are: a run's own rule changes nothing, every analysis that tells an
 * entropy tells the same one, and one gate's numbers are not another's. */
#include "fixture.h"
#include "results.h"

#include <math.h>
#include <string.h>

#define E 12
#define T 120

/* --- Runs of a gate ------------------------------------------------------------------------- */

/* Logits at random, the same for every gate; the decision is the gate's. */
static void
fill (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const MsGate *gate = data;
  guint64 state = (guint64) position * 31 + layer + 7;
  float logits[E], scratch[4 * E];
  MsDecision decision = { .experts = token->experts, .weights = token->weights };

  for (guint e = 0; e < E; e++)
    logits[e] = (float) (6 * ms_random_double (&state) - 3);
  ms_gate_choose (gate, logits, scratch, &decision);
  if (token->logits != NULL)
    memcpy (token->logits, logits, sizeof logits);
  if (token->entropy != NULL)
    *token->entropy = decision.entropy;
  if (token->margin != NULL)
    *token->margin = decision.margin;
}

/* A run of two layers with this gate; `columns` beside experts and weights. */
static char *
write_run (const MsGate *gate, guint columns)
{
  const MsLayer layers[] = { { .number = 0, .gate = *gate }, { .number = 2, .gate = *gate } };
  const MsDocument documents[] = { { .n_tokens = T / 2, .language = (char *) "en" },
                                   { .n_tokens = T / 2, .language = (char *) "de" } };
  const MsFixture fixture = { .n_layers = 2,
                              .layers = layers,
                              .n_documents = 2,
                              .documents = documents,
                              .columns = columns,
                              .fill = fill,
                              .data = (gpointer) gate };

  return ms_fixture_write (&fixture, NULL);
}

static MsTrace *
open_trace (const char *path)
{
  g_autoptr (GError) error = NULL;
  MsTrace *trace = ms_trace_open (path, 0, NULL, &error);

  g_assert_no_error (error);
  return trace;
}

static const MsGate gates[] = {
  { MS_SCORING_SOFTMAX, E, 3, 0, 0, 0, FALSE, 1, FALSE, NULL },
  { MS_SCORING_SOFTMAX, E, 3, 0, 0, 0, TRUE, 1, FALSE, NULL },
  { MS_SCORING_SIGMOID, E, 4, 0, 0, 0, TRUE, 2.5f, FALSE, NULL },
  { MS_SCORING_SIGMOID, E, 3, 4, 2, MS_GROUP_BEST_TWO, TRUE, 1, FALSE, NULL },
  { MS_SCORING_SOFTMAX, E, 2, 3, 1, MS_GROUP_BEST, FALSE, 1, FALSE, NULL },
  { MS_SCORING_SELECTED, E, 3, 0, 0, 0, FALSE, 1, FALSE, NULL },
  { MS_SCORING_SQRT_SOFTPLUS, E, 3, 0, 0, 0, TRUE, 1, FALSE, NULL },
};

/* --- Identities ----------------------------------------------------------------------------- */

static void
test_own_rule (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (gates); i++)
    {
      char *path = write_run (&gates[i], MS_CHUNK_LOGITS);
      g_autofree char *top_k = g_strdup_printf ("top-k=%u,%u", gates[i].k, gates[i].k + 1);
      const char *const params[] = { top_k, NULL };
      g_autoptr (MsTrace) trace = open_trace (path);
      g_autoptr (MsResult) result = ms_test_run (trace, "what-if", 0, params);
      const MsTable *rules = ms_result_table (result, "rules");

      for (guint layer = 0; layer <= 2; layer += 2)
        {
          guint own = ms_test_row (rules, "rule=top-k value=%u layer=%u", gates[i].k, layer);
          guint more = ms_test_row (rules, "rule=top-k value=%u layer=%u", gates[i].k + 1, layer);

          g_assert_cmpfloat (ms_test_real (rules, own, "set_change_rate"), ==, 0);
          g_assert_cmpfloat (ms_test_real (rules, own, "recall"), ==, 1);
          g_assert_cmpfloat (ms_test_real (rules, more, "set_change_rate"), ==, 1);
        }
      ms_fixture_remove (path);
    }
}

static void
test_one_entropy (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (gates); i++)
    {
      char *scored = write_run (&gates[i], MS_CHUNK_LOGITS);
      char *bare = write_run (&gates[i], MS_CHUNK_ENTROPY);
      g_autoptr (MsTrace) a = open_trace (scored), b = open_trace (bare);
      g_autoptr (MsResult) uncertainty = ms_test_run (a, "uncertainty", 0, NULL);
      g_autoptr (MsResult) telemetry = ms_test_run (a, "gate-telemetry", 0, NULL);
      g_autoptr (MsResult) recorded = ms_test_run (b, "uncertainty", 0, NULL);
      g_autoptr (MsResult) recorded_too = ms_test_run (b, "gate-telemetry", 0, NULL);

      for (guint row = 0; row < 2; row++)
        {
          double right
              = ms_test_real (ms_result_table (uncertainty, "layers"), row, "shannon_nats");

          g_assert_true (right > 0 && right < log (E));
          ms_test_near (ms_test_real (telemetry->tables[0], row, "entropy"), right);
          /* As the collector recorded it, in float32. */
          g_assert_cmpfloat_with_epsilon (
              ms_test_real (ms_result_table (recorded, "layers"), row, "shannon_nats"), right,
              1e-6);
          g_assert_cmpfloat_with_epsilon (ms_test_real (recorded_too->tables[0], row, "entropy"),
                                          right, 1e-6);
        }
      ms_fixture_remove (scored);
      ms_fixture_remove (bare);
    }
}

/* The same logits under two gates: other entropies and other losses, but one z-loss, which is of the logits. */
static void
test_gate_matters (void)
{
  MsGate softmax = gates[0], sigmoid = gates[0];
  char *paths[2];
  double pooled[2], z[2], entropy[2];

  sigmoid.scoring = MS_SCORING_SIGMOID;
  paths[0] = write_run (&softmax, MS_CHUNK_LOGITS);
  paths[1] = write_run (&sigmoid, MS_CHUNK_LOGITS);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (MsTrace) trace = open_trace (paths[i]);
      g_autoptr (MsResult) losses = ms_test_run (trace, "losses", 0, NULL);
      g_autoptr (MsResult) uncertainty = ms_test_run (trace, "uncertainty", 0, NULL);
      const MsTable *table = ms_result_table (losses, "overall");

      pooled[i] = ms_test_real (table, ms_test_row (table, "measure=aux_pooled"), "value");
      z[i] = ms_test_real (table, ms_test_row (table, "measure=z_loss"), "value");
      entropy[i] = ms_test_real (ms_result_table (uncertainty, "layers"), 0, "shannon_nats");
      ms_fixture_remove (paths[i]);
    }
  g_assert_cmpfloat (fabs (pooled[0] - pooled[1]), >, 1e-3);
  g_assert_cmpfloat (entropy[1], >, entropy[0] + 0.1);
  ms_test_near (z[1], z[0]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/identity/own-rule", test_own_rule);
  g_test_add_func ("/identity/one-entropy", test_one_entropy);
  g_test_add_func ("/identity/gate-matters", test_gate_matters);
  return g_test_run ();
}
