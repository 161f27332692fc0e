/* Golden vectors of load balance, gate telemetry, router losses, and the real counts of OLMoE. */
#include "golden.h"

#include <math.h>
#include <string.h>

#define RATES     1e-6
#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* One case of a metric, imported. */
typedef struct
{
  MsGolden golden;
  JsonNode *params, *expected;
  char *db;
} Case;

typedef void (*CheckFunc) (const Case *c);

/* Imports each case from trace.csv, or from the files in `files` when they are there, and checks it. */
static void
for_cases (const char *metric, const char *const *files, CheckFunc check)
{
  Case c = { 0 };
  g_autoptr (GPtrArray) cases = NULL;

  if (!ms_golden_init (&c.golden, metric))
    return;
  cases = ms_golden_cases (&c.golden);
  for (guint i = 0; i < cases->len; i++)
    {
      const char *name = g_ptr_array_index (cases, i);
      g_autoptr (GPtrArray) arguments = g_ptr_array_new_with_free_func (g_free);

      g_test_message ("%s/%s", metric, name);
      c.params = ms_golden_json (&c.golden, name, "params.json");
      c.expected = ms_golden_json (&c.golden, name, "expected.json");
      for (guint j = 0; files[j] != NULL; j++)
        {
          g_autofree char *path = ms_golden_path (&c.golden, name, files[j]);

          if (g_file_test (path, G_FILE_TEST_EXISTS))
            g_ptr_array_add (arguments, g_steal_pointer (&path));
        }
      g_ptr_array_add (arguments,
                       g_strdup_printf ("--experts=%.0f",
                                        ms_golden_number (ms_golden_at (c.params, "num_experts"))));
      g_ptr_array_add (
          arguments,
          g_strdup_printf ("--top-k=%.0f", ms_golden_number (ms_golden_at (c.params, "top_k"))));
      g_ptr_array_add (arguments, NULL);
      c.db = ms_golden_import (&c.golden, (const char *const *) arguments->pdata);
      check (&c);
      g_free (c.db);
      json_node_unref (c.params);
      json_node_unref (c.expected);
    }
  ms_golden_clear (&c.golden);
}

/* Row `row` of a table against members of an object; scale multiplies the expected value. */
typedef struct
{
  const char *member, *column;
  double scale;
} Pair;

static void
compare_row (const MsGoldenTable *table, int row, JsonNode *expected, const Pair *pairs, guint n)
{
  g_assert_cmpint (row, >=, 0);
  for (guint i = 0; i < n; i++)
    {
      JsonNode *node = ms_golden_at (expected, pairs[i].member);

      if (node == NULL)
        g_error ("there is no %s", pairs[i].member);
      g_test_message ("%s", pairs[i].member);
      ms_golden_assert (ms_golden_real (table, row, pairs[i].column),
                        ms_golden_number (node) * pairs[i].scale, RATES);
    }
}

static guint
length (JsonNode *array)
{
  return json_array_get_length (json_node_get_array (array));
}

/* The object at an index of an array. */
static JsonNode *
element (JsonNode *array, guint i)
{
  return json_array_get_element (json_node_get_array (array), i);
}

/* --- Load balance ---------------------------------------------------------------------------- */

static const Pair balance_pairs[] = {
  { "total", "n_decisions", 1 },
  { "max_violation", "max_vio", 1 },
  { "total_violation", "total_violation", 1 },
  { "cv_population", "cv", 1 },
  { "cv_sample", "cv_sample", 1 },
  { "gini", "gini", 1 },
  { "entropy_nats", "entropy", 1 },
  { "entropy_normalised", "entropy_normalised", 1 },
  { "effective_experts", "effective_experts", 1 },
  { "kl_to_uniform_nats", "kl_uniform", 1 },
  { "min_over_max", "min_over_max", 1 },
  { "idle", "idle", 1 },
  { "top20_share", "top20_share", 100 },
  { "bottom20_share", "bottom20_share", 100 },
  { "js_to_uniform_nats", "js_uniform", 1 },
};

static const Pair window_pairs[] = {
  { "tokens", "n_tokens", 1 },
  { "complete", "complete", 1 },
  { "max_violation", "max_vio", 1 },
  { "cv_population", "cv", 1 },
  { "gini", "gini", 1 },
  { "entropy_normalised", "entropy_normalised", 1 },
  { "idle", "idle", 1 },
};

static const char *const mean_pairs[][2] = {
  { "max_violation", "max_vio" },
  { "cv_population", "cv" },
  { "gini", "gini" },
  { "entropy_normalised", "entropy_normalised" },
  { "kl_to_uniform_nats", "kl_uniform" },
};

static void
check_balance (const Case *c)
{
  g_autofree char *window = g_strdup_printf (
      "--window=%.0f", ms_golden_number (ms_golden_at (c->params, "window_tokens")));
  g_autoptr (JsonNode) load = ms_golden_analyze (c->db, "load", LIST (NULL));
  g_autoptr (JsonNode) series = ms_golden_analyze (c->db, "load-windows", LIST (window));
  MsGoldenTable balance = ms_golden_table (load, "balance");
  MsGoldenTable experts = ms_golden_table (load, "experts");
  MsGoldenTable overall = ms_golden_table (load, "overall");
  MsGoldenTable windows = ms_golden_table (series, "windows");
  MsGoldenTable means = ms_golden_table (series, "overall");
  JsonNode *layers = ms_golden_at (c->expected, "per_layer");
  JsonNode *expected_windows = ms_golden_at (c->expected, "windows");

  for (guint l = 0; l < length (layers); l++)
    {
      JsonNode *counts = ms_golden_at (element (layers, l), "counts");
      JsonNode *shares = ms_golden_at (element (layers, l), "share");
      g_autofree char *where = g_strdup_printf ("layer=%u", l);

      compare_row (&balance, ms_golden_find (&balance, where), element (layers, l), balance_pairs,
                   G_N_ELEMENTS (balance_pairs));
      ms_golden_assert (1 - ms_golden_real (&balance, (int) l, "min_vio"),
                        ms_golden_number (ms_golden_at (element (layers, l), "min_over_mean")),
                        RATES);
      for (guint e = 0; e < length (counts); e++)
        {
          g_autofree char *slot = g_strdup_printf ("layer=%u expert=%u", l, e);
          int row = ms_golden_find (&experts, slot);

          ms_golden_assert (ms_golden_real (&experts, row, "count"),
                            ms_golden_number (element (counts, e)), 0);
          ms_golden_assert (ms_golden_real (&experts, row, "share"),
                            ms_golden_number (element (shares, e)), RATES);
        }
    }
  for (guint i = 0; i < G_N_ELEMENTS (mean_pairs); i++)
    {
      g_autofree char *member = g_strdup_printf ("model_mean/%s", mean_pairs[i][0]);
      g_autofree char *where = g_strdup_printf ("measure=%s", mean_pairs[i][1]);

      ms_golden_assert (ms_golden_real (&overall, ms_golden_find (&overall, where), "mean"),
                        ms_golden_number (ms_golden_at (c->expected, member)), RATES);
    }
  ms_golden_assert (ms_golden_real (&means, ms_golden_find (&means, "measure=max_vio"), "mean"),
                    ms_golden_number (ms_golden_at (
                        c->expected, "model_mean/batch_max_violation_complete_windows")),
                    RATES);
  for (guint i = 0; i < length (expected_windows); i++)
    {
      JsonNode *one = element (expected_windows, i);
      g_autofree char *where = g_strdup_printf (
          "layer=%.0f first_token=%.0f", ms_golden_number (ms_golden_at (one, "layer")),
          ms_golden_number (ms_golden_at (one, "first_token")));

      compare_row (&windows, ms_golden_find (&windows, where), one, window_pairs,
                   G_N_ELEMENTS (window_pairs));
    }
}

static void
test_balance (void)
{
  for_cases ("load_balance", LIST ("trace.csv"), check_balance);
}

/* --- Gate telemetry -------------------------------------------------------------------------- */

/* torchscale's bottom share is the least positive float where it means 0. */
static void
check_telemetry (const Case *c)
{
  JsonNode *factor = ms_golden_at (c->params, "capacity_factor");
  g_autofree char *capacity
      = json_node_is_null (factor)
            ? NULL
            : g_strdup_printf ("--capacity-factor=%g", ms_golden_number (factor));
  g_autoptr (JsonNode) result = ms_golden_analyze (c->db, "gate-telemetry", LIST (capacity));
  MsGoldenTable gates = ms_golden_table (result, "gates");
  MsGoldenTable ranks = ms_golden_table (result, "ranks");
  static const Pair gate_pairs[] = { { "entropy_gating", "entropy", 1 },
                                     { "aux", "aux", 1 },
                                     { "routed_assignments", "routed", 1 } };
  static const char *const rank_pairs[][2] = { { "unused_expert%u_count", "unused" },
                                               { "expert%u_balance_top", "balance_top" },
                                               { "expert%u_balance_bottom", "balance_bottom" },
                                               { "overflow_expert%u", "overflow" } };

  compare_row (&gates, 0, c->expected, gate_pairs, G_N_ELEMENTS (gate_pairs));
  ms_golden_assert (ms_golden_real (&gates, 0, "capacity"),
                    ms_golden_number (ms_golden_at (c->params, "capacity")), 0);
  for (guint r = 1; r <= 2; r++)
    for (guint i = 0; i < G_N_ELEMENTS (rank_pairs); i++)
      {
        g_auto (GStrv) parts = g_strsplit (rank_pairs[i][0], "%u", 2);
        g_autofree char *member = g_strdup_printf ("%s%u%s", parts[0], r, parts[1]);
        JsonNode *node = ms_golden_at (c->expected, member);

        if (node != NULL)
          ms_golden_assert (ms_golden_real (&ranks, (int) r - 1, rank_pairs[i][1]),
                            ms_golden_number (node), 100 * RATES);
      }
}

static void
test_telemetry (void)
{
  for_cases ("gating_telemetry", LIST ("logits.csv"), check_telemetry);
}

/* --- Router losses --------------------------------------------------------------------------- */

static void
check_losses (const Case *c)
{
  static const char *const pairs[][2] = { { "z_loss", "z_loss" },
                                          { "aux_loss_group_mean", "aux_grouped" },
                                          { "aux_loss_pooled", "aux_pooled" } };
  g_autoptr (JsonNode) result = ms_golden_analyze (c->db, "losses", LIST (NULL));
  MsGoldenTable table = ms_golden_table (result, "losses");
  MsGoldenTable overall = ms_golden_table (result, "overall");
  JsonNode *layers = ms_golden_at (c->expected, "per_layer");

  for (guint l = 0; l < length (layers); l++)
    for (guint i = 0; i < G_N_ELEMENTS (pairs); i++)
      {
        g_autofree char *where = g_strdup_printf ("layer=%u measure=%s", l, pairs[i][1]);
        double expected = ms_golden_number (ms_golden_at (element (layers, l), pairs[i][0]));

        ms_golden_assert (ms_golden_real (&table, ms_golden_find (&table, where), "value"),
                          expected, RATES * fmax (expected, 1));
      }
  ms_golden_assert (
      ms_golden_real (&overall, ms_golden_find (&overall, "measure=aux_pooled"), "value"),
      ms_golden_number (ms_golden_at (c->expected, "olmoe_aux_loss_mean_over_layers")), RATES);
}

static void
test_losses (void)
{
  for_cases ("router_losses", LIST ("trace.csv", "logits.csv"), check_losses);
}

/* --- Real counts ----------------------------------------------------------------------------- */

/* The values are printed with five digits. */
#define PRINTED 6e-6

static void
test_real_counts (void)
{
  static const char *const columns[][2] = { { "max_share", "max_share" },
                                            { "min_share", "min_share" },
                                            { "maxvio", "max_vio" },
                                            { "minvio", "min_vio" },
                                            { "cv", "cv" },
                                            { "gini", "gini" },
                                            { "norm_entropy", "entropy_normalised" },
                                            { "kl_uniform", "kl_uniform" },
                                            { "idle", "idle" },
                                            { "n_tokens", "n_tokens" } };
  MsGolden golden;
  g_autofree char *counts = NULL, *expected = NULL, *text = NULL;
  g_auto (GStrv) lines = NULL, header = NULL;

  if (!ms_golden_init (&golden, "olmoe_real_counts"))
    return;
  counts = g_strdup_printf ("--counts=%s/expert_counts.csv", golden.folder);
  expected = g_strdup_printf ("%s/load_balance_expected.csv", golden.folder);
  g_assert_true (g_file_get_contents (expected, &text, NULL, NULL));
  lines = g_strsplit (g_strstrip (text), "\n", -1);
  header = g_strsplit (g_strstrip (lines[0]), ",", -1);
  for (guint i = 1; lines[i] != NULL; i++)
    {
      g_auto (GStrv) fields = g_strsplit (g_strstrip (lines[i]), ",", -1);
      /* The first columns: model, domain, k, layer. */
      g_autofree char *where = g_strdup_printf ("--where=model=%s domain=%s topk=top%s", fields[0],
                                                fields[1], fields[2]);
      g_autofree char *top_k = g_strdup_printf ("--top-k=%s", fields[2]);
      g_autofree char *layer = g_strdup_printf ("layer=%s", fields[3]);
      g_autoptr (JsonNode) result = ms_golden_analyze ("-", "load", LIST (counts, where, top_k));
      MsGoldenTable table = ms_golden_table (result, "balance");
      int row = ms_golden_find (&table, layer);

      g_test_message ("%s", lines[i]);
      g_assert_cmpint (row, >=, 0);
      for (guint j = 0; header[j] != NULL; j++)
        for (guint p = 0; p < G_N_ELEMENTS (columns); p++)
          if (strcmp (header[j], columns[p][0]) == 0)
            ms_golden_assert (ms_golden_real (&table, row, columns[p][1]),
                              g_ascii_strtod (fields[j], NULL), PRINTED);
    }
  ms_golden_clear (&golden);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/golden/load-balance", test_balance);
  g_test_add_func ("/golden/gate-telemetry", test_telemetry);
  g_test_add_func ("/golden/router-losses", test_losses);
  g_test_add_func ("/golden/real-counts", test_real_counts);
  return g_test_run ();
}
