/* Golden vectors of consistency, caches, stability, uncertainty, importance, what-if and placement, through
 * `moescope import` and `moescope analyze`. */
#include "golden.h"

#include <math.h>
#include <string.h>

#define RATES 1e-6
#define NORMS 3e-6 /* sums of norms: float32 upstream */

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

typedef struct
{
  MsGolden golden;
  char *name;
  JsonNode *params, *expected;
} Case;

static void
for_cases (const char *metric, void (*check) (Case *c))
{
  Case c = { 0 };
  g_autoptr (GPtrArray) cases = NULL;

  if (!ms_golden_init (&c.golden, metric))
    return;
  cases = ms_golden_cases (&c.golden);
  for (guint i = 0; i < cases->len; i++)
    {
      g_autofree char *params = NULL;
      gboolean given;

      c.name = g_ptr_array_index (cases, i);
      params = ms_golden_path (&c.golden, c.name, "params.json");
      given = g_file_test (params, G_FILE_TEST_EXISTS);
      g_test_message ("%s/%s", metric, c.name);
      c.params = ms_golden_json (&c.golden, c.name, given ? "params.json" : "input.json");
      c.expected = ms_golden_json (&c.golden, c.name, "expected.json");
      check (&c);
      json_node_unref (c.params);
      json_node_unref (c.expected);
    }
  ms_golden_clear (&c.golden);
}

/* The number at a path made with printf; fails when it is absent. */
static double G_GNUC_PRINTF (2, 3) number (JsonNode *node, const char *format, ...)
{
  g_autofree char *path = NULL;
  JsonNode *at;
  va_list args;

  va_start (args, format);
  path = g_strdup_vprintf (format, args);
  va_end (args);
  at = ms_golden_at (node, path);
  if (at == NULL)
    g_error ("there is no %s", path);
  return ms_golden_number (at);
}

static int G_GNUC_PRINTF (2, 3) row (const MsGoldenTable *table, const char *format, ...)
{
  g_autofree char *where = NULL;
  va_list args;
  int at;

  va_start (args, format);
  where = g_strdup_vprintf (format, args);
  va_end (args);
  at = ms_golden_find (table, where);
  if (at < 0)
    g_error ("there is no row %s", where);
  return at;
}

static guint
length (JsonNode *node, const char *path)
{
  JsonNode *at = path[0] != '\0' ? ms_golden_at (node, path) : node;

  return json_array_get_length (json_node_get_array (at));
}

/* Imports files of the case (NULL-terminated) with --experts and --top-k from its parameters. */
static char *
import (const Case *c, const char *const *files)
{
  g_autoptr (GPtrArray) arguments = g_ptr_array_new_with_free_func (g_free);
  JsonNode *experts = ms_golden_at (c->params, "num_experts");
  JsonNode *top_k = ms_golden_at (c->params, "top_k");
  g_autofree char *sequences = ms_golden_path (&c->golden, c->name, "sequences.csv");

  for (guint i = 0; files[i] != NULL; i++)
    g_ptr_array_add (arguments, ms_golden_path (&c->golden, c->name, files[i]));
  if (experts != NULL)
    g_ptr_array_add (arguments, g_strdup_printf ("--experts=%.0f", ms_golden_number (experts)));
  g_ptr_array_add (arguments,
                   g_strdup_printf ("--top-k=%.0f", top_k != NULL ? ms_golden_number (top_k) : 2));
  if (strcmp (files[0], "trace.csv") == 0 && g_file_test (sequences, G_FILE_TEST_EXISTS))
    g_ptr_array_add (arguments, g_strconcat ("--sequences=", sequences, NULL));
  g_ptr_array_add (arguments, NULL);
  return ms_golden_import (&c->golden, (const char *const *) arguments->pdata);
}

/* A file in the scratch folder with these contents (newly allocated path). */
static char *
scratch_file (const Case *c, const char *name, const GString *text)
{
  char *path = g_build_filename (c->golden.scratch, name, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text->str, (gssize) text->len, &error);
  g_assert_no_error (error);
  return path;
}

/* A number as the command line takes it (newly allocated). */
static char *
option (double value)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  return g_strdup (g_ascii_formatd (buffer, sizeof buffer, "%.17g", value));
}

/* "4,16" of an array of numbers (newly allocated). */
static char *
list_of (JsonNode *node, const char *path)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < length (node, path); i++)
    g_string_append_printf (text, "%s%.0f", i > 0 ? "," : "", number (node, "%s/%u", path, i));
  return g_string_free (text, FALSE);
}

/* --- Consistency and caches ------------------------------------------------------------------ */

static void
check_curve (const Case *c, const MsGoldenTable *table, const char *scope, const char *policy,
             const char *path)
{
  for (guint i = 0; i < length (c->expected, path); i++)
    ms_golden_assert (ms_golden_real (table,
                                      row (table, "%spolicy=%s capacity=%u", scope, policy, i + 1),
                                      "hit_rate"),
                      number (c->expected, "%s/%u", path, i), RATES);
}

static void
check_curves (const Case *c, const char *const *policies, const char *const *members)
{
  g_autofree char *db = import (c, LIST ("trace.csv"));
  g_autoptr (JsonNode) result
      = ms_golden_analyze (db, "hit-rate", LIST ("--level=both", "--null=no", "--lookahead=4,16"));
  MsGoldenTable layers = ms_golden_table (result, "layers");
  MsGoldenTable model = ms_golden_table (result, "model");

  for (guint p = 0; policies[p] != NULL; p++)
    {
      g_autofree char *whole = g_strdup_printf ("model/mean_over_sequences/%s", members[p]);

      check_curve (c, &model, "", policies[p], whole);
      for (guint l = 0; l < (guint) number (c->params, "num_layers"); l++)
        {
          g_autofree char *path
              = g_strdup_printf ("per_layer/%u/mean_over_sequences/%s", l, members[p]);
          g_autofree char *scope = g_strdup_printf ("layer=%u ", l);

          check_curve (c, &layers, scope, policies[p], path);
        }
    }
}

static void
check_chr (Case *c)
{
  check_curves (c, LIST ("lru", "lfu", "belady"), LIST ("lru", "lfu", "belady"));
}

static void
check_sch (Case *c)
{
  check_curves (c, LIST ("sch-4", "sch-16"), LIST ("m4", "m16"));
}

/* The published draws as a file with a header and a line per sequence. */
static char *
write_draws (const Case *c)
{
  g_autoptr (GString) text = g_string_new (NULL);
  guint n = length (c->expected, "bootstrap_index"), b = length (c->expected, "bootstrap_index/0");

  for (guint j = 0; j < b; j++)
    g_string_append_printf (text, "%sb%u", j > 0 ? "," : "", j);
  for (guint i = 0; i < n; i++)
    for (guint j = 0; j < b; j++)
      g_string_append_printf (text, "%s%.0f", j > 0 ? "," : "\n",
                              number (c->expected, "bootstrap_index/%u/%u", i, j));
  g_string_append_c (text, '\n');
  return scratch_file (c, "draws.csv", text);
}

static void
compare_scores (const MsGoldenTable *table, int at, JsonNode *expected, gboolean intervals)
{
  static const char *const members[][2] = { { "best_f1", "srp" },
                                            { "best_m", "segment_cache_size" },
                                            { "act_r", "activation_frequency" },
                                            { "ci_lb", "srp_low" },
                                            { "ci_ub", "srp_high" } };

  for (guint i = 0; i < (intervals ? 5u : 3u); i++)
    ms_golden_assert (ms_golden_real (table, at, members[i][1]),
                      number (expected, "%s", members[i][0]), RATES);
}

/* Levels of the published tables: g over all datasets, d for each; m model, l layer, e expert. */
static void
check_srp (Case *c)
{
  static const char *const levels[] = { "mg", "lg", "eg", "md", "ld", "ed" };
  static const char *const names[] = { "model", "layers", "experts" };
  g_autofree char *db = import (c, LIST ("trace.csv"));
  g_autofree char *lengths = list_of (c->params, "segment_lengths");
  gboolean drawn = ms_golden_at (c->expected, "bootstrap_index") != NULL;
  g_autofree char *draws = drawn ? write_draws (c) : g_strdup ("");
  g_autoptr (JsonNode) all = ms_golden_analyze (
      db, "srp",
      LIST ("--null=no", "--expert-intervals=yes", "--lengths", lengths, "--draws", draws));
  g_autoptr (JsonNode) grouped
      = ms_golden_analyze (db, "srp",
                           LIST ("--null=no", "--expert-intervals=yes", "--by=domain", "--lengths",
                                 lengths, "--draws", draws));

  for (guint i = 0; i < G_N_ELEMENTS (levels); i++)
    {
      g_autofree char *path = g_strconcat ("upstream/", levels[i], NULL);
      MsGoldenTable table = ms_golden_table (i < 3 ? all : grouped, names[i % 3]);

      for (guint j = 0; ms_golden_at (c->expected, path) != NULL && j < length (c->expected, path);
           j++)
        {
          g_autofree char *item = g_strdup_printf ("%s/%u", path, j);
          JsonNode *expected = ms_golden_at (c->expected, item);
          g_autoptr (GString) where = g_string_new (NULL);

          g_string_append_printf (where, "segment_length=%.0f", number (expected, "seg_len"));
          if (i % 3 > 0)
            g_string_append_printf (where, " layer=%.0f", number (expected, "layer_idx"));
          if (i % 3 == 2)
            g_string_append_printf (where, " expert=%.0f", number (expected, "expert_idx"));
          if (i >= 3)
            g_string_append_printf (where, " group=%s",
                                    json_node_get_string (ms_golden_at (expected, "dataset")));
          compare_scores (&table, row (&table, "%s", where->str), expected, drawn);
        }
    }
}

static void
check_repetition (Case *c)
{
  g_autofree char *db = import (c, LIST ("trace.csv"));
  g_autoptr (JsonNode) result = ms_golden_analyze (db, "repetition", LIST (NULL));
  MsGoldenTable table = ms_golden_table (result, "layers");

  for (guint i = 0; i < length (c->expected, "per_layer"); i++)
    {
      static const char *const rates[]
          = { "first_choice", "any_choice", "mean_overlap", "identical_set" };
      int at = row (&table, "layer=%.0f", number (c->expected, "per_layer/%u/layer", i));

      ms_golden_assert (ms_golden_real (&table, at, "pairs"),
                        number (c->expected, "per_layer/%u/pairs", i), 0);
      for (guint j = 0; j < G_N_ELEMENTS (rates); j++)
        {
          g_autofree char *random = g_strconcat (rates[j], "_random", NULL);

          ms_golden_assert (ms_golden_real (&table, at, rates[j]),
                            number (c->expected, "per_layer/%u/%s", i, rates[j]), RATES);
          ms_golden_assert (ms_golden_real (&table, at, random),
                            number (c->expected, "random/%s", rates[j]), RATES);
        }
    }
}

static void
check_classic (Case *c)
{
  static const char *const counts[]
      = { "accesses", "hits", "cold_misses", "capacity_misses", "evictions" };
  static const char *const modes[] = { "serial", "batch" };
  g_autofree char *db = import (c, LIST ("trace.csv"));
  g_autofree char *capacities = list_of (c->params, "capacities_per_layer");
  g_autofree char *aging = option (number (c->params, "lfu_aging_halve_every_accesses"));

  for (guint run = 0; run < 4; run++)
    {
      const char *mode = modes[run % 2];
      gboolean shared = run >= 2;
      g_autofree char *policies = g_strconcat ("fifo,lru,lfu,lfu_in_cache,lfu_aging,belady,static",
                                               run % 2 == 0 ? ",sieve" : "", NULL);
      g_autoptr (JsonNode) result = ms_golden_analyze (
          db, "cache",
          LIST ("--mode", mode, "--scope", shared ? "shared" : "layer", "--policies", policies,
                "--capacities", capacities, "--aging", aging, "--held-out=no"));
      MsGoldenTable table = ms_golden_table (result, shared ? "total" : "layers");

      for (guint i = 0; i < length (c->expected, ""); i++)
        {
          g_autofree char *item = g_strdup_printf ("%u", i);
          JsonNode *expected = ms_golden_at (c->expected, item);
          JsonNode *layer = ms_golden_at (expected, "layer");
          gboolean is_shared = json_node_get_value_type (layer) == G_TYPE_STRING;
          g_autofree char *scope = is_shared
                                       ? g_strdup ("")
                                       : g_strdup_printf ("layer=%.0f ", ms_golden_number (layer));
          int at;

          if (is_shared != shared
              || strcmp (json_node_get_string (ms_golden_at (expected, "mode")), mode) != 0)
            continue;
          at = row (&table, "%spolicy=%s capacity=%.0f", scope,
                    json_node_get_string (ms_golden_at (expected, "policy")),
                    number (expected, "capacity"));
          for (guint j = 0; j < G_N_ELEMENTS (counts); j++)
            ms_golden_assert (ms_golden_real (&table, at, counts[j]),
                              number (expected, "%s", counts[j]), 0);
          ms_golden_assert (ms_golden_real (&table, at, "hit_rate"), number (expected, "hit_rate"),
                            RATES);
        }
    }
}

static void
check_mixtral (Case *c)
{
  g_autofree char *db = import (c, LIST ("trace.csv"));
  g_autofree char *capacity = option (number (c->params, "resident_per_layer"));
  g_autoptr (JsonNode) result = ms_golden_analyze (
      db, "cache",
      LIST ("--mode=batch", "--warm=first", "--policies=lru", "--capacities", capacity));
  MsGoldenTable table = ms_golden_table (result, "layers");

  for (guint i = 0; i < length (c->expected, ""); i++)
    {
      int at = row (&table, "layer=%.0f", number (c->expected, "%u/layer", i));

      ms_golden_assert (ms_golden_real (&table, at, "hits"), number (c->expected, "%u/hits", i), 0);
      ms_golden_assert (ms_golden_real (&table, at, "hit_rate"),
                        number (c->expected, "%u/hit_rate", i), RATES);
    }
}

static void
check_transitions (Case *c)
{
  g_autofree char *db = import (c, LIST ("trace.csv"));

  for (guint i = 0; i < length (c->expected, ""); i++)
    {
      g_autofree char *predict = option (number (c->expected, "%u/predictor_size", i));
      guint layer = (guint) number (c->expected, "%u/layer", i);
      g_autoptr (JsonNode) result = ms_golden_analyze (
          db, "transitions", LIST ("--train=same", "--least=0", "--predict", predict));
      MsGoldenTable layers = ms_golden_table (result, "layers");
      MsGoldenTable predictors = ms_golden_table (result, "predictors");
      MsGoldenTable pairs = ms_golden_table (result, "pairs");
      g_autofree char *counts = g_strdup_printf ("%u/counts", i);
      int at = row (&layers, "layer=%u", layer);

      ms_golden_assert (ms_golden_real (&layers, at, "mutual_information_nats"),
                        number (c->expected, "%u/mutual_information_nats", i), RATES);
      ms_golden_assert (ms_golden_real (&layers, at, "normalised_mi"),
                        number (c->expected, "%u/normalised_mi", i), RATES);
      at = row (&predictors, "layer=%u predictor=conditional", layer + 1);
      ms_golden_assert (ms_golden_real (&predictors, at, "recall"),
                        number (c->expected, "%u/predictor_recall", i), RATES);
      ms_golden_assert (ms_golden_real (&predictors, at, "precision"),
                        number (c->expected, "%u/predictor_precision", i), RATES);
      ms_golden_assert (ms_golden_real (&predictors, at, "all_k"),
                        number (c->expected, "%u/predictor_all_k", i), RATES);
      for (guint a = 0; a < length (c->expected, counts); a++)
        for (guint b = 0; b < length (c->expected, counts); b++)
          ms_golden_assert (
              ms_golden_real (
                  &pairs, row (&pairs, "layer=%u expert=%u next_expert=%u", layer, a, b), "count"),
              number (c->expected, "%s/%u/%u", counts, a, b), 0);
    }
}

/* --- Stability ------------------------------------------------------------------------------- */

static void
check_comparison (Case *c)
{
  static const char *const rates[]
      = { "top1_change_rate",     "set_change_rate", "order_change_rate", "overlap",  "jaccard",
          "mean_experts_changed", "kl_a_b_nats",     "js_nats",           "weight_l1" };
  static const char *const totals[] = { "router_difference_rate", "tokens_with_any_difference",
                                        "mean_differing_layers_per_token" };
  g_autofree char *a = import (c, LIST ("logits_a.csv"));
  g_autofree char *b = import (c, LIST ("logits_b.csv"));
  g_autoptr (JsonNode) result = ms_golden_analyze (a, "compare", LIST ("--other", b));
  MsGoldenTable layers = ms_golden_table (result, "layers");
  MsGoldenTable total = ms_golden_table (result, "total");
  MsGoldenTable histogram = ms_golden_table (result, "differing_layers");

  for (guint i = 0; i < length (c->expected, "per_layer"); i++)
    for (guint j = 0; j < G_N_ELEMENTS (rates); j++)
      ms_golden_assert (ms_golden_real (&layers,
                                        row (&layers, "layer=%.0f",
                                             number (c->expected, "per_layer/%u/layer", i)),
                                        rates[j]),
                        number (c->expected, "per_layer/%u/%s", i, rates[j]), RATES);
  for (guint j = 0; j < G_N_ELEMENTS (totals); j++)
    ms_golden_assert (ms_golden_real (&total, row (&total, "measure=%s", totals[j]), "value"),
                      number (c->expected, "%s", totals[j]), RATES);
  for (guint i = 0; i < length (c->expected, "histogram_differing_layers"); i++)
    ms_golden_assert (ms_golden_real (&histogram, row (&histogram, "layers=%u", i), "tokens"),
                      number (c->expected, "histogram_differing_layers/%u", i), 0);
}

static void
check_saturation (Case *c)
{
  g_autofree char *last = import (c, LIST ("trace_final.csv"));
  g_autofree char *early = import (c, LIST ("trace_early.csv"));
  g_autoptr (JsonNode) result = ms_golden_analyze (last, "saturation", LIST ("--other", early));
  MsGoldenTable table = ms_golden_table (result, "checkpoints");

  for (guint l = 0; l < length (c->expected, "top1"); l++)
    {
      int at = row (&table, "layer=%u step=1", l);

      ms_golden_assert (ms_golden_real (&table, at, "top1"), number (c->expected, "top1/%u", l),
                        RATES);
      if (ms_golden_at (c->expected, "topk") != NULL)
        ms_golden_assert (ms_golden_real (&table, at, "saturation"),
                          number (c->expected, "topk/%u", l), RATES);
      ms_golden_assert (ms_golden_real (&table, at, "jaccard"),
                        number (c->expected, "companions_independent/jaccard/%u", l), RATES);
      ms_golden_assert (ms_golden_real (&table, at, "exact_set_match"),
                        number (c->expected, "companions_independent/exact_set_match/%u", l),
                        RATES);
    }
}

static void
check_fluctuation (Case *c)
{
  g_autofree char *file = ms_golden_path (&c->golden, c->name, "assignments.csv");
  g_autoptr (JsonNode) result = ms_golden_analyze ("-", "saturation", LIST ("--assignments", file));
  MsGoldenTable fluctuation = ms_golden_table (result, "fluctuation");
  MsGoldenTable neighbours = ms_golden_table (result, "neighbours");
  MsGoldenTable checkpoints = ms_golden_table (result, "checkpoints");

  for (guint i = 0; i < length (c->expected, "cumulative"); i++)
    ms_golden_assert (ms_golden_real (&fluctuation, (int) i, "tokens_settled"),
                      number (c->expected, "cumulative/%u/tokens_settled", i), RATES);
  for (guint i = 0; i < length (c->expected, "neighbour_change_rate"); i++)
    ms_golden_assert (ms_golden_real (&neighbours, (int) i, "neighbour_change_rate"),
                      number (c->expected, "neighbour_change_rate/%u", i), RATES);
  for (guint i = 0; i < length (c->expected, "agreement_with_final"); i++)
    ms_golden_assert (ms_golden_real (&checkpoints, (int) i, "top1"),
                      number (c->expected, "agreement_with_final/%u", i), RATES);
}

/* --- Uncertainty and importance -------------------------------------------------------------- */

static void
check_uncertain (Case *c)
{
  g_autofree char *db = import (c, LIST ("probs.csv"));
  g_autofree char *threshold = option (number (c->params, "threshold"));
  g_autofree char *slots = option (number (c->params, "max_num_slots"));
  g_autoptr (JsonNode) result
      = ms_golden_analyze (db, "uncertainty", LIST ("--threshold", threshold, "--slots", slots));
  MsGoldenTable table = ms_golden_table (result, "layers");
  double broadcast = 0, tokens = 0;

  ms_golden_assert (ms_golden_real (&table, 0, "mean_entropy_gw"),
                    number (c->expected, "mean_entropy"), RATES);
  ms_golden_assert (ms_golden_real (&table, 0, "uncertain_ratio"),
                    number (c->expected, "uncertain_ratio"), RATES);
  for (guint s = 0; s < length (c->expected, "broadcast"); s++)
    {
      g_autofree char *path = g_strdup_printf ("broadcast/%u", s);

      for (guint t = 0; t < length (c->expected, path); t++)
        {
          g_autofree char *item = g_strdup_printf ("%s/%u", path, t);

          broadcast += json_node_get_boolean (ms_golden_at (c->expected, item));
          tokens++;
        }
    }
  ms_golden_assert (ms_golden_real (&table, 0, "broadcast_ratio"), broadcast / tokens, RATES);
}

/* The file has one row per token and no sequences: every token becomes a document of its own. */
static void
check_entropy (Case *c)
{
  static const char *const members[] = { "shannon_nats",     "shannon_bits", "max_prob",
                                         "margin_top1_top2", "perplexity",   "normalised" };
  static const char *const orders[] = { "0.5", "1.1", "1.5", "2.0" };
  g_autofree char *path = ms_golden_path (&c->golden, c->name, "probs.csv");
  g_autofree char *text = NULL;
  g_autofree char *db = NULL;
  g_autofree char *file = NULL;
  g_auto (GStrv) lines = NULL;
  g_autoptr (GString) probabilities = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  lines = g_strsplit (g_strstrip (text), "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (i == 0)
      g_string_append_printf (probabilities, "sequence,layer,%s\n", g_strstrip (lines[i]));
    else
      g_string_append_printf (probabilities, "%u,0,0%s\n", i - 1,
                              strchr (g_strstrip (lines[i]), ','));
  file = scratch_file (c, "probs.csv", probabilities);
  db = ms_golden_import (&c->golden, LIST (file, "--top-k=1", "--scores=probabilities"));
  for (guint q = 0; q < G_N_ELEMENTS (orders); q++)
    {
      g_autoptr (JsonNode) result
          = ms_golden_analyze (db, "uncertainty", LIST ("--q", orders[q], "--by=document"));
      MsGoldenTable table = ms_golden_table (result, "layers");

      for (guint i = 0; i < length (c->expected, ""); i++)
        {
          int at = row (&table, "group=%u", i);

          for (guint j = 0; j < G_N_ELEMENTS (members); j++)
            ms_golden_assert (ms_golden_real (&table, at, members[j]),
                              number (c->expected, "%u/%s", i, members[j]), RATES);
          ms_golden_assert (ms_golden_real (&table, at, "tsallis"),
                            number (c->expected, "%u/tsallis_q%s", i, orders[q]), RATES);
        }
    }
}

static void
check_reap (Case *c)
{
  static const char *const members[][2]
      = { { "expert_frequency", "expert_frequency" },
          { "ean_sum", "ean_sum" },
          { "ean_mean", "ean_mean" },
          { "weighted_ean_sum", "weighted_ean_sum" },
          { "weighted_expert_frequency_sum", "weighted_expert_frequency_sum" },
          { "reap", "reap" },
          { "max_activations", "max_activation" } };
  g_autofree char *db = import (c, LIST ("trace.csv", "router_logits.csv", "expert_outputs.csv"));
  gboolean renormalised
      = json_node_get_boolean (ms_golden_at (c->params, "renormalize_router_weights"));
  g_autoptr (JsonNode) result
      = ms_golden_analyze (db, "importance",
                           LIST ("--gate", renormalised ? "renormalised" : "softmax", "--prune=0.5",
                                 "--guard=none", "--similarity-batch=1"));
  MsGoldenTable experts = ms_golden_table (result, "experts");
  MsGoldenTable similarity = ms_golden_table (result, "similarity");
  const char *distance = "router_logit_cosine_distance_batch_weighted_mean";
  guint n = length (c->expected, "reap");

  for (guint e = 0; e < n; e++)
    {
      for (guint i = 0; i < G_N_ELEMENTS (members); i++)
        ms_golden_assert (ms_golden_real (&experts, row (&experts, "expert=%u", e), members[i][1]),
                          number (c->expected, "%s/%u", members[i][0], e), NORMS);
      for (guint o = 0; o < n; o++)
        ms_golden_assert (
            ms_golden_real (&similarity, row (&similarity, "expert=%u other=%u", e, o), "distance"),
            number (c->expected, "%s/%u/%u", distance, e, o), RATES);
    }
  for (guint i = 0; i < length (c->expected, "prune_half_experts_by_reap"); i++)
    ms_golden_assert (
        ms_golden_real (
            &experts,
            row (&experts, "expert=%.0f", number (c->expected, "prune_half_experts_by_reap/%u", i)),
            "prune"),
        1, 0);
}

/* The published sample files as a trace with norms and a file of similarities. */
static void
check_easy_ep (Case *c)
{
  g_autoptr (GString) trace
      = g_string_new ("sequence,token,layer,rank,expert,weight,output_l2_norm\n");
  g_autoptr (GString) similarities = g_string_new ("sequence,token,layer,similarity\n");
  g_autofree char *path = ms_golden_path (&c->golden, c->name, "samples.jsonl");
  g_autofree char *text = NULL;
  g_autofree char *trace_path = NULL;
  g_autofree char *similarity_path = NULL;
  g_autofree char *db = NULL;
  g_autofree char *experts = g_strdup_printf ("--experts=%.0f", number (c->params, "num_experts"));
  g_auto (GStrv) lines = NULL;
  g_autoptr (JsonNode) result = NULL;
  g_autoptr (GError) error = NULL;
  MsGoldenTable table;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  lines = g_strsplit (g_strstrip (text), "\n", -1);
  for (guint s = 0; lines[s] != NULL; s++)
    {
      g_autoptr (JsonNode) sample = json_from_string (lines[s], &error);

      g_assert_no_error (error);
      for (guint l = 0; l < length (sample, "idxs"); l++)
        {
          g_autofree char *of_layer = g_strdup_printf ("idxs/%u", l);

          for (guint t = 0; t < length (sample, of_layer); t++)
            {
              g_autofree char *of_token = g_strdup_printf ("idxs/%u/%u", l, t);

              g_string_append_printf (similarities, "%u,%u,%u,%.9g\n", s, t, l,
                                      number (sample, "simibr/%u/0/%u", l, t));
              for (guint r = 0; r < length (sample, of_token); r++)
                g_string_append_printf (trace, "%u,%u,%u,%u,%.0f,%.9g,%.9g\n", s, t, l, r,
                                        number (sample, "idxs/%u/%u/%u", l, t, r),
                                        number (sample, "weights/%u/%u/%u", l, t, r),
                                        number (sample, "norms/%u/%u/%u", l, t, r));
            }
        }
    }
  trace_path = scratch_file (c, "trace.csv", trace);
  similarity_path = scratch_file (c, "similarities.csv", similarities);
  db = ms_golden_import (&c->golden, LIST (trace_path, similarity_path, experts));
  result = ms_golden_analyze (db, "importance", LIST ("--criterion=easy-ep", "--guard=none"));
  table = ms_golden_table (result, "experts");
  for (guint l = 0; l < length (c->expected, "score"); l++)
    for (guint e = 0; e < length (c->expected, "score/0"); e++)
      ms_golden_assert (
          ms_golden_real (&table, row (&table, "layer=%u expert=%u", l, e), "easy_ep"),
          number (c->expected, "score/%u/%u", l, e), NORMS);
}

static void
check_merge (Case *c)
{
  g_autoptr (GString) usage = g_string_new ("layer,expert,usage\n");
  g_autoptr (GString) distances = g_string_new ("layer,expert,other,distance\n");
  g_autofree char *usage_path = NULL;
  g_autofree char *distance_path = NULL;
  g_autofree char *clusters = option (number (c->params, "total_clusters"));
  guint n = length (c->params, "expert_prob/0");
  g_autoptr (JsonNode) result = NULL;
  MsGoldenTable table;

  for (guint l = 0; l < length (c->params, "expert_prob"); l++)
    for (guint e = 0; e < n; e++)
      {
        g_string_append_printf (usage, "%u,%u,%.17g\n", l, e,
                                number (c->params, "expert_prob/%u/%u", l, e));
        for (guint o = 0; o < n; o++)
          g_string_append_printf (distances, "%u,%u,%u,%.17g\n", l, e, o,
                                  number (c->params, "distance/%u/%u/%u", l, e, o));
      }
  usage_path = scratch_file (c, "usage.csv", usage);
  distance_path = scratch_file (c, "distances.csv", distances);
  result = ms_golden_analyze (
      "-", "merge",
      LIST ("--usage", usage_path, "--distances", distance_path, "--clusters", clusters));
  table = ms_golden_table (result, "experts");
  for (guint l = 0; l < length (c->expected, "labels"); l++)
    for (guint e = 0; e < n; e++)
      ms_golden_assert (ms_golden_real (&table, row (&table, "layer=%u expert=%u", l, e), "label"),
                        number (c->expected, "labels/%u/%u", l, e), 0);
}

/* --- What if --------------------------------------------------------------------------------- */

static void
check_capacity (Case *c)
{
  static const char *const rates[]
      = { "capacity", "dropped_assignment_rate", "token_left_behind_rate", "token_any_drop_rate",
          "expert_usage" };
  g_autofree char *db = import (c, LIST ("trace.csv", "probs.csv"));
  g_autofree char *factor = option (number (c->params, "capacity_factor"));
  gboolean first = json_node_get_boolean (ms_golden_at (c->params, "batch_prioritized"));
  g_autofree char *factors = g_strconcat ("--factors=", factor, NULL);
  g_autoptr (JsonNode) result = ms_golden_analyze (
      db, "capacity",
      LIST (factors, "--batch=0", "--order", first ? "batch-prioritised" : "rank-major"));
  MsGoldenTable table = ms_golden_table (result, "sweep");

  for (guint i = 0; i < G_N_ELEMENTS (rates); i++)
    ms_golden_assert (ms_golden_real (&table, 0, rates[i]), number (c->expected, "%s", rates[i]),
                      RATES);
}

static void
check_batch (Case *c)
{
  static const char *const rates[] = { "dropped_alone",
                                       "dropped_in_batch",
                                       "dropped_in_reversed_batch",
                                       "assignments_changed_alone_vs_batch",
                                       "tokens_changed_alone_vs_batch",
                                       "tokens_changed_by_order" };
  g_autofree char *db = import (c, LIST ("probs.csv"));
  g_autofree char *factor = option (number (c->params, "capacity_factor"));
  g_autoptr (JsonNode) result
      = ms_golden_analyze (db, "capacity", LIST ("--factors", factor, "--batch=0"));
  MsGoldenTable table = ms_golden_table (result, "documents");

  for (guint i = 0; i < length (c->expected, ""); i++)
    for (guint j = 0; j < G_N_ELEMENTS (rates); j++)
      ms_golden_assert (ms_golden_real (&table, (int) i, rates[j]),
                        number (c->expected, "%u/%s", i, rates[j]), RATES);
}

static void
check_top_p (Case *c)
{
  g_autofree char *db = import (c, LIST ("probs.csv"));
  g_autofree char *p = option (number (c->params, "p"));
  g_autoptr (JsonNode) result = ms_golden_analyze (db, "what-if", LIST ("--top-p", p));
  MsGoldenTable table = ms_golden_table (result, "rules");
  double sum = 0;
  guint n = (guint) number (c->params, "num_layers");

  for (guint l = 0; l < n; l++)
    sum += ms_golden_real (&table, row (&table, "rule=top-p layer=%u", l), "experts_per_token");
  ms_golden_assert (sum / n, number (c->expected, "mean_experts_per_token"), RATES);
}

static void
check_expert_choice (Case *c)
{
  static const char *const rates[]
      = { "capacity", "tokens_without_expert", "mean_experts_per_token", "token_choice_recall" };
  g_autofree char *probs = ms_golden_path (&c->golden, c->name, "probs.csv");
  g_autofree char *top_k = g_strdup_printf ("--top-k=%.0f", number (c->params, "token_choice_k"));
  g_autofree char *db = ms_golden_import (&c->golden, LIST (probs, top_k));
  g_autofree char *factor = option (number (c->params, "capacity_factor"));
  g_autofree char *least = option (number (c->params, "min_capacity"));
  g_autoptr (JsonNode) result = ms_golden_analyze (
      db, "what-if", LIST ("--choice-factor", factor, "--choice-least", least));
  MsGoldenTable table = ms_golden_table (result, "expert_choice");
  MsGoldenTable histogram = ms_golden_table (result, "experts_per_token");

  for (guint i = 0; i < G_N_ELEMENTS (rates); i++)
    ms_golden_assert (ms_golden_real (&table, 0, rates[i]), number (c->expected, "%s", rates[i]),
                      RATES);
  for (guint i = 0; i < length (c->expected, "histogram"); i++)
    ms_golden_assert (ms_golden_real (&histogram, row (&histogram, "experts=%u", i), "tokens"),
                      number (c->expected, "histogram/%u", i), 0);
}

static void
check_null_experts (Case *c)
{
  g_autofree char *db = import (c, LIST ("logits.csv"));
  g_autofree char *nulls = option (number (c->params, "null_experts"));
  g_autoptr (JsonNode) result = ms_golden_analyze (db, "what-if", LIST ("--null-experts", nulls));
  MsGoldenTable table = ms_golden_table (result, "rules");

  g_autoptr (JsonNode) loss = NULL;
  MsGoldenTable losses;

  ms_golden_assert (ms_golden_real (&table, row (&table, "rule=null"), "experts_per_token"),
                    number (c->expected, "mean_true_experts"), RATES);
  loss = ms_golden_analyze (db, "losses", LIST ("--null-experts", nulls));
  losses = ms_golden_table (loss, "losses");
  ms_golden_assert (ms_golden_real (&losses, row (&losses, "measure=aux_pooled"), "value"),
                    number (c->expected, "aux_loss_plain"), RATES);
  ms_golden_assert (ms_golden_real (&losses, row (&losses, "measure=aux_null"), "value"),
                    number (c->expected, "aux_loss_paper_null_averaged"), RATES);
}

/* --- Placement ------------------------------------------------------------------------------- */

static void
check_eplb (Case *c)
{
  g_autoptr (GString) text = g_string_new ("layer,expert,weight\n");
  g_autofree char *path = NULL;
  g_autofree char *devices = option (number (c->params, "num_gpus"));
  g_autofree char *nodes = option (number (c->params, "num_nodes"));
  g_autofree char *groups = option (number (c->params, "num_groups"));
  g_autofree char *replicas = option (number (c->params, "num_replicas"));
  g_autoptr (JsonNode) result = NULL;
  MsGoldenTable slots, loads, layers;

  for (guint l = 0; l < length (c->params, "weight"); l++)
    for (guint e = 0; e < length (c->params, "weight/0"); e++)
      g_string_append_printf (text, "%u,%u,%.17g\n", l, e,
                              number (c->params, "weight/%u/%u", l, e));
  path = scratch_file (c, "weights.csv", text);
  result = ms_golden_analyze ("-", "placement",
                              LIST ("--weights", path, "--method=eplb", "--devices", devices,
                                    "--nodes", nodes, "--groups", groups, "--replicas", replicas));
  slots = ms_golden_table (result, "slots");
  loads = ms_golden_table (result, "devices");
  layers = ms_golden_table (result, "layers");
  for (guint l = 0; l < length (c->params, "weight"); l++)
    {
      for (guint s = 0; s < length (c->expected, "physical_to_logical/0"); s++)
        {
          int at = row (&slots, "layer=%u slot=%u", l, s);
          double expert = number (c->expected, "physical_to_logical/%u/%u", l, s);

          ms_golden_assert (ms_golden_real (&slots, at, "expert"), expert, 0);
          ms_golden_assert (ms_golden_real (&slots, at, "replicas"),
                            number (c->expected, "logical_count/%u/%.0f", l, expert), 0);
        }
      for (guint d = 0; d < length (c->expected, "gpu_load/0"); d++)
        ms_golden_assert (ms_golden_real (&loads, row (&loads, "layer=%u device=%u", l, d), "load"),
                          number (c->expected, "gpu_load/%u/%u", l, d), RATES);
      ms_golden_assert (ms_golden_real (&layers, row (&layers, "layer=%u", l), "max_over_mean"),
                        number (c->expected, "max_over_mean/%u", l), RATES);
    }
}

static void
check_llep (Case *c)
{
  g_autoptr (GString) text = g_string_new ("layer,expert,weight\n");
  g_autofree char *path = NULL;
  g_autofree char *devices = option (number (c->params, "ep_size"));
  g_autofree char *alpha = option (number (c->params, "max_tokens_factor_alpha"));
  g_autofree char *least = option (number (c->params, "min_tokens_per_gemm_m"));
  g_autoptr (JsonNode) result = NULL;
  MsGoldenTable table;
  int at = 0;

  for (guint e = 0; e < length (c->params, "expert_token_counts"); e++)
    g_string_append_printf (text, "0,%u,%.0f\n", e,
                            number (c->params, "expert_token_counts/%u", e));
  path = scratch_file (c, "counts.csv", text);
  result
      = ms_golden_analyze ("-", "placement",
                           LIST ("--weights", path, "--method=contiguous", "--lambda=0",
                                 "--devices", devices, "--alpha", alpha, "--least-chunk", least));
  table = ms_golden_table (result, "llep");
  for (guint e = 0; e < length (c->params, "expert_token_counts"); e++)
    {
      g_autofree char *plan = g_strdup_printf ("plan/%u", e);

      if (ms_golden_at (c->expected, plan) == NULL)
        continue;
      at = row (&table, "expert=%u", e);
      for (guint i = 0; i < length (c->expected, plan); i++, at++)
        {
          ms_golden_assert (ms_golden_real (&table, at, "expert"), e, 0);
          ms_golden_assert (ms_golden_real (&table, at, "device"),
                            number (c->expected, "%s/%u/0", plan, i), 0);
          ms_golden_assert (ms_golden_real (&table, at, "start"),
                            number (c->expected, "%s/%u/1", plan, i), 0);
          ms_golden_assert (ms_golden_real (&table, at, "end"),
                            number (c->expected, "%s/%u/2", plan, i), 0);
        }
    }
}

static void
check_traffic (Case *c)
{
  static const char *const measures[] = { "max_over_mean",
                                          "balancedness",
                                          "mean_devices_per_token",
                                          "dispatch_copies",
                                          "dispatch_copies_deduplicated",
                                          "cross_node_copies_deduplicated" };
  g_autoptr (GString) text = g_string_new ("layer,expert,device\n");
  g_autofree char *db = import (c, LIST ("trace.csv"));
  g_autofree char *path = NULL;
  g_autofree char *devices = option (number (c->params, "devices"));
  guint last = length (c->params, "node_of_device") - 1;
  g_autofree char *nodes = option (number (c->params, "node_of_device/%u", last) + 1);
  g_autoptr (JsonNode) result = NULL;
  MsGoldenTable table;

  for (guint l = 0; l < length (c->params, "device_of_expert"); l++)
    for (guint e = 0; e < length (c->params, "device_of_expert/0"); e++)
      g_string_append_printf (text, "%u,%u,%.0f\n", l, e,
                              number (c->params, "device_of_expert/%u/%u", l, e));
  path = scratch_file (c, "devices.csv", text);
  result = ms_golden_analyze (
      db, "placement", LIST ("--device-of-expert", path, "--devices", devices, "--nodes", nodes));
  table = ms_golden_table (result, "layers");
  for (guint i = 0; i < length (c->expected, ""); i++)
    for (guint j = 0; j < G_N_ELEMENTS (measures); j++)
      ms_golden_assert (
          ms_golden_real (&table, row (&table, "layer=%.0f", number (c->expected, "%u/layer", i)),
                          measures[j]),
          number (c->expected, "%u/%s", i, measures[j]), RATES);
}

static const struct
{
  const char *metric;
  void (*check) (Case *c);
} metrics[] = {
  { "cache_hit_rate", check_chr },
  { "segment_cache_hit_rate", check_sch },
  { "segment_routing_best_performance", check_srp },
  { "token_repetition", check_repetition },
  { "cache_classic", check_classic },
  { "cache_mixtral_offloading", check_mixtral },
  { "layer_transitions", check_transitions },
  { "run_comparison", check_comparison },
  { "router_saturation", check_saturation },
  { "last_fluctuation", check_fluctuation },
  { "gw_moe_uncertain_tokens", check_uncertain },
  { "router_entropy", check_entropy },
  { "reap_saliency", check_reap },
  { "easy_ep_score", check_easy_ep },
  { "mc_smoe_grouping", check_merge },
  { "capacity_drops", check_capacity },
  { "batch_dependence", check_batch },
  { "top_p_routing", check_top_p },
  { "expert_choice", check_expert_choice },
  { "adamoe_null_experts", check_null_experts },
  { "eplb", check_eplb },
  { "llep", check_llep },
  { "placement_traffic", check_traffic },
};

static void
test_metric (gconstpointer data)
{
  guint i = GPOINTER_TO_UINT (data);

  for_cases (metrics[i].metric, metrics[i].check);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (metrics); i++)
    {
      g_autofree char *path = g_strconcat ("/golden/", metrics[i].metric, NULL);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_metric);
    }
  return g_test_run ();
}
