/* Golden vectors of languages, domains, vocabulary, co-activation, committees and differences. */
#include "golden.h"

#include <math.h>
#include <string.h>

#define RATES 1e-6

typedef struct
{
  MsGolden golden;
  GPtrArray *cases;
  char *name; /* of the case */
  JsonNode *params, *expected;
  char *trace, *sequences, *tokens, *logits; /* paths, whether they exist or not */
  char *experts;                             /* "--experts=8" */
} Case;

/* Calls check with each case of a metric. */
static void
for_cases (const char *metric, void (*check) (Case *c))
{
  Case c = { 0 };

  if (!ms_golden_init (&c.golden, metric))
    return;
  c.cases = ms_golden_cases (&c.golden);
  for (guint i = 0; i < c.cases->len; i++)
    {
      c.name = g_ptr_array_index (c.cases, i);
      g_test_message ("%s", c.name);
      c.params = ms_golden_json (&c.golden, c.name, "params.json");
      c.expected = ms_golden_json (&c.golden, c.name, "expected.json");
      c.trace = ms_golden_path (&c.golden, c.name, "trace.csv");
      c.sequences = ms_golden_path (&c.golden, c.name, "sequences.csv");
      c.tokens = ms_golden_path (&c.golden, c.name, "tokens.csv");
      c.logits = ms_golden_path (&c.golden, c.name, "logits.csv");
      c.experts = g_strdup_printf ("--experts=%.0f",
                                   ms_golden_number (ms_golden_at (c.params, "num_experts")));
      check (&c);
      json_node_unref (c.params);
      json_node_unref (c.expected);
      g_free (c.trace);
      g_free (c.sequences);
      g_free (c.tokens);
      g_free (c.logits);
      g_free (c.experts);
    }
  g_ptr_array_unref (c.cases);
  ms_golden_clear (&c.golden);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })
/* The number at a path made with printf, NaN when it is null. */
#define NUMBER(node, ...) number_at ((node), g_strdup_printf (__VA_ARGS__))
/* The row of a table where columns have values, by printf. */
#define ROW(table, ...) row_of ((table), g_strdup_printf (__VA_ARGS__))

static double
number_at (JsonNode *node, char *path)
{
  JsonNode *at = ms_golden_at (node, path);

  if (at == NULL)
    g_error ("there is no %s", path);
  g_free (path);
  return ms_golden_number (at);
}

static int
row_of (const MsGoldenTable *table, char *where)
{
  int row = ms_golden_find (table, where);

  if (row < 0)
    g_error ("there is no row %s", where);
  g_free (where);
  return row;
}

static guint
param (const Case *c, const char *name)
{
  return (guint) ms_golden_number (ms_golden_at (c->params, name));
}

static guint
length_of (JsonNode *node, const char *path)
{
  return json_array_get_length (json_node_get_array (ms_golden_at (node, path)));
}

/* The member names of the object at a path (transfer container). */
static GList *
names_at (JsonNode *node, const char *path)
{
  return json_object_get_members (json_node_get_object (ms_golden_at (node, path)));
}

/* --- e.1 ------------------------------------------------------------------------------------- */

static void
check_distribution (Case *c, const char *db, const char *variant, const char *distribution)
{
  g_autofree char *choice = g_strdup_printf ("--distribution=%s", distribution);
  g_autofree char *pairs_path = g_strdup_printf ("%s/pairwise", variant);
  g_autofree char *entropy_path = g_strdup_printf ("%s/mean_entropy", variant);
  gboolean sigmoid
      = strcmp (json_node_get_string (ms_golden_at (c->params, "scoring")), "sigmoid") == 0;
  g_autoptr (JsonNode) result = NULL;
  g_autoptr (GList) pairs = NULL, languages = NULL;
  MsGoldenTable matrix, entropy;

  if (ms_golden_at (c->expected, variant) == NULL)
    return;
  result = ms_golden_analyze (
      db, "languages",
      LIST ("--pivot=eng", choice, sigmoid ? "--scoring=sigmoid" : "--scoring=softmax"));
  matrix = ms_golden_table (result, "matrix");
  entropy = ms_golden_table (result, "entropy");
  pairs = names_at (c->expected, pairs_path);
  languages = names_at (c->expected, entropy_path);
  for (guint layer = 0; layer < param (c, "num_layers"); layer++)
    {
      for (GList *p = pairs; p != NULL; p = p->next)
        {
          g_auto (GStrv) names = g_strsplit (p->data, "|", 2);
          int row = ROW (&matrix, "layer=%u a=%s b=%s", layer, names[0], names[1]);

          ms_golden_assert (ms_golden_real (&matrix, row, "divergence"),
                            NUMBER (c->expected, "%s/%s/entropy_normalised_jsd/%u", pairs_path,
                                    (char *) p->data, layer),
                            RATES);
          ms_golden_assert (
              ms_golden_real (&matrix, row, "js"),
              NUMBER (c->expected, "%s/%s/jsd/%u", pairs_path, (char *) p->data, layer), RATES);
        }
      for (GList *l = languages; l != NULL; l = l->next)
        ms_golden_assert (
            ms_golden_real (&entropy,
                            ROW (&entropy, "layer=%u language=%s", layer, (char *) l->data),
                            "entropy"),
            NUMBER (c->expected, "%s/%s/%u", entropy_path, (char *) l->data, layer), RATES);
    }
}

static void
check_languages (Case *c)
{
  gboolean sigmoid
      = strcmp (json_node_get_string (ms_golden_at (c->params, "scoring")), "sigmoid") == 0;
  g_autofree char *db = ms_golden_import (
      &c->golden, LIST (c->trace, c->logits, c->experts, "--sequences", c->sequences,
                        sigmoid ? "--gating=sigmoid" : "--gating=softmax"));

  check_distribution (c, db, "full_softmax", "scores");
  check_distribution (c, db, "topk_renormalised", "top-k");
}

static void
test_languages (void)
{
  for_cases ("multilingual_divergence", check_languages);
}

/* --- e.2 ------------------------------------------------------------------------------------- */

static void
check_map (Case *c)
{
  g_autofree char *db
      = ms_golden_import (&c->golden, LIST (c->trace, c->experts, "--sequences", c->sequences));
  g_autoptr (JsonNode) result = ms_golden_analyze (db, "language-map", LIST ("--permutations=9"));
  MsGoldenTable map = ms_golden_table (result, "map");
  MsGoldenTable specificity = ms_golden_table (result, "specificity");
  MsGoldenTable distances = ms_golden_table (result, "distances");
  MsGoldenTable tree = ms_golden_table (result, "tree");
  g_autoptr (GList) languages = names_at (c->expected, "counts");
  static const char *const kinds[][2] = { { "cosine", "companion_independent/cosine_distance" },
                                          { "euclidean", "companion_independent/euclidean" },
                                          { "js", "companion_independent/mean_layer_js_nats" } };
  guint n = length_of (c->expected, "companion_independent/languages"), n_joins = 0;

  for (guint layer = 0; layer < param (c, "num_layers"); layer++)
    for (guint e = 0; e < param (c, "num_experts"); e++)
      {
        for (GList *l = languages; l != NULL; l = l->next)
          {
            int row = ROW (&map, "layer=%u language=%s expert=%u", layer, (char *) l->data, e);

            ms_golden_assert (ms_golden_real (&map, row, "count"),
                              NUMBER (c->expected, "counts/%s/%u/%u", (char *) l->data, layer, e),
                              0);
            ms_golden_assert (
                ms_golden_real (&map, row, "share"),
                NUMBER (c->expected, "normalised/%s/%u/%u", (char *) l->data, layer, e), RATES);
          }
        ms_golden_assert (
            ms_golden_real (&specificity, ROW (&specificity, "layer=%u place=%u", layer, e),
                            "specificity"),
            NUMBER (c->expected, "specificity_sorted_per_layer/Layer%u/%u", layer, e), RATES);
      }
  for (guint a = 0; a < n; a++)
    for (guint b = 0; b < n; b++)
      for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
        {
          JsonNode *names = ms_golden_at (c->expected, "companion_independent/languages");
          JsonArray *list = json_node_get_array (names);

          ms_golden_assert (
              ms_golden_real (&distances,
                              ROW (&distances, "a=%s b=%s", json_array_get_string_element (list, a),
                                   json_array_get_string_element (list, b)),
                              kinds[i][0]),
              NUMBER (c->expected, "%s/%u/%u", kinds[i][1], a, b), RATES);
        }
  if (n > 1)
    n_joins = length_of (c->expected, "companion_independent/upgma_scipy_average_linkage_on_js");
  for (guint i = 0; i < n_joins; i++)
    {
      static const char *const columns[] = { "a", "b", "distance", "size" };

      for (guint j = 0; j < G_N_ELEMENTS (columns); j++)
        ms_golden_assert (ms_golden_real (&tree, ROW (&tree, "step=%u", i), columns[j]),
                          NUMBER (c->expected,
                                  "companion_independent/upgma_scipy_average_linkage_on_js/%u/%u",
                                  i, j),
                          RATES);
    }
}

static void
test_map (void)
{
  for_cases ("lola_language_experts", check_map);
}

/* --- f.1 ------------------------------------------------------------------------------------- */

static void
check_domains (Case *c)
{
  g_autofree char *db
      = ms_golden_import (&c->golden, LIST (c->trace, c->experts, "--sequences", c->sequences));
  g_autoptr (JsonNode) result = ms_golden_analyze (db, "domains", LIST ("--permutations=0"));
  MsGoldenTable shares = ms_golden_table (result, "shares");
  g_autoptr (GList) domains = json_object_get_members (json_node_get_object (c->expected));

  for (GList *d = domains; d != NULL; d = d->next)
    for (guint layer = 0; layer < param (c, "num_layers"); layer++)
      for (guint e = 0; e < param (c, "num_experts"); e++)
        {
          int row = ROW (&shares, "layer=%u name=%s expert=%u", layer, (char *) d->data, e);

          ms_golden_assert (ms_golden_real (&shares, row, "percent"),
                            NUMBER (c->expected, "%s/%u/%u", (char *) d->data, layer, e),
                            100 * RATES);
          ms_golden_assert (ms_golden_real (&shares, row, "baseline"),
                            NUMBER (c->params, "random_baseline_percent"), 100 * RATES);
        }
}

static void
test_domains (void)
{
  for_cases ("olmoe_domain_specialization", check_domains);
}

/* Mean and number of ids of the experts of a layer, against an object by expert; experts that are not in
 * it own nothing. */
static void
check_owners (const Case *c, const MsGoldenTable *experts, guint layer, const char *path,
              const char *mean)
{
  for (guint e = 0; e < param (c, "num_experts"); e++)
    {
      g_autofree char *at = g_strdup_printf ("%s/%u", path, e);
      int row = ROW (experts, "layer=%u expert=%u", layer, e);

      if (ms_golden_at (c->expected, at) == NULL)
        {
          ms_golden_assert (ms_golden_real (experts, row, "n_ids"), 0, 0);
          continue;
        }
      ms_golden_assert (ms_golden_real (experts, row, "share"),
                        NUMBER (c->expected, "%s/%s", at, mean), RATES);
      if (strcmp (mean, "mean") == 0)
        ms_golden_assert (ms_golden_real (experts, row, "n_ids"),
                          NUMBER (c->expected, "%s/n_token_ids", at), 0);
    }
}

static void
check_vocabulary (Case *c)
{
  static const char *const kinds[][2]
      = { { "input", "input" }, { "ground_truth", "output" }, { "predicted", "predicted" } };
  g_autofree char *db
      = ms_golden_import (&c->golden, LIST (c->trace, c->experts, "--tokens", c->tokens));
  guint k = param (c, "top_k");

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autofree char *id = g_strdup_printf ("--id=%s", kinds[i][1]);
      g_autoptr (JsonNode) rare = ms_golden_analyze (
          db, "vocabulary", LIST (id, "--ranks=first", "--least=10", "--permutations=0"));
      MsGoldenTable layers = ms_golden_table (rare, "layers");
      MsGoldenTable experts = ms_golden_table (rare, "experts");

      ms_golden_assert (ms_golden_real (&layers, ROW (&layers, "layer=0"), "specialisation"),
                        NUMBER (c->expected, "top1_minfreq10_layer0/%s_mean", kinds[i][0]), RATES);
      if (i == 0)
        check_owners (c, &experts, 0, "top1_minfreq10_layer0/input_per_expert", "mean");
      for (guint all = 0; all < 2; all++)
        {
          guint ranks = all ? k : 1;
          g_autofree char *path
              = g_strdup_printf ("top%u/layer0_per_expert/%s", ranks, kinds[i][0]);
          g_autoptr (JsonNode) result = ms_golden_analyze (
              db, "vocabulary",
              LIST (id, all ? "--ranks=all" : "--ranks=first", "--least=1", "--permutations=0"));

          layers = ms_golden_table (result, "layers");
          experts = ms_golden_table (result, "experts");
          for (guint layer = 0; layer < param (c, "num_layers"); layer++)
            ms_golden_assert (
                ms_golden_real (&layers, ROW (&layers, "layer=%u", layer), "specialisation"),
                NUMBER (c->expected, "top%u/per_layer_mean/%u/%s", ranks, layer, kinds[i][0]),
                RATES);
          check_owners (c, &experts, 0, path, "mean");
        }
    }
}

static void
test_vocabulary (void)
{
  for_cases ("olmoe_vocabulary_specialization", check_vocabulary);
}

static void
check_coactivation (Case *c)
{
  g_autofree char *db = ms_golden_import (&c->golden, LIST (c->trace, c->experts));
  g_autoptr (JsonNode) result = ms_golden_analyze (db, "coactivation", LIST ("--experts=0"));
  MsGoldenTable pairs = ms_golden_table (result, "pairs");

  for (guint layer = 0; layer < param (c, "num_layers"); layer++)
    for (guint a = 0; a < param (c, "num_experts"); a++)
      for (guint b = 0; b < param (c, "num_experts"); b++)
        {
          double all = NUMBER (c->expected, "%u/paper_all_pairs_independent/%u/%u", layer, a, b);
          int row;

          if (a == b)
            {
              ms_golden_assert (0, all, 0);
              continue;
            }
          row = ROW (&pairs, "layer=%u a=%u b=%u", layer, a, b);
          ms_golden_assert (ms_golden_real (&pairs, row, "share"), all, RATES);
          ms_golden_assert (
              ms_golden_real (&pairs, row, "adjacent_share"),
              NUMBER (c->expected, "%u/upstream_rank_adjacent_pairs/%u/%u", layer, a, b), RATES);
          ms_golden_assert (ms_golden_real (&pairs, row, "n_a"),
                            NUMBER (c->expected, "%u/activation_count/%u", layer, a), 0);
        }
}

static void
test_coactivation (void)
{
  for_cases ("olmoe_coactivation", check_coactivation);
}

/* --- b.4 ------------------------------------------------------------------------------------- */

static void
check_ids (Case *c, const MsGoldenTable *ids, guint layer, const char *path)
{
  g_autoptr (GList) experts = names_at (c->expected, path);

  for (GList *e = experts; e != NULL; e = e->next)
    {
      g_autofree char *list = g_strdup_printf ("%s/%s/top_token_ids", path, (char *) e->data);

      for (guint i = 0; i < length_of (c->expected, list); i++)
        {
          double id = NUMBER (c->expected, "%s/%u", list, i);
          int row = ROW (ids, "layer=%u expert=%s id=%.0f", layer, (char *) e->data, id);

          ms_golden_assert (
              ms_golden_real (ids, row, "share"),
              NUMBER (c->expected, "%s/%s/top_token_freq/%u", path, (char *) e->data, i), RATES);
        }
    }
}

static void
check_lrc (Case *c)
{
  static const char *const kinds[][2]
      = { { "in", "input" }, { "out", "output" }, { "pred", "predicted" } };
  g_autofree char *db = ms_golden_import (
      &c->golden, LIST (c->trace, c->experts, "--sequences", c->sequences, "--tokens", c->tokens));
  g_autofree char *least = g_strdup_printf ("--least=%u", param (c, "vocab_min_freq"));
  g_autofree char *segment = g_strdup_printf ("--segment=%u", param (c, "domain_segment_length"));
  g_autoptr (JsonNode) result
      = ms_golden_analyze (db, "domains", LIST (segment, "--permutations=0"));
  MsGoldenTable experts = ms_golden_table (result, "experts");
  MsGoldenTable overall = ms_golden_table (result, "overall");
  g_autoptr (GList) slots = names_at (c->expected, "domain");

  for (GList *s = slots; s != NULL; s = s->next)
    {
      g_auto (GStrv) words = g_strsplit (s->data, "/", 2);
      JsonObject *slot = json_object_get_object_member (
          json_node_get_object (ms_golden_at (c->expected, "domain")), s->data);
      int row = ROW (&experts, "layer=%s expert=%s", words[0], words[1]);

      ms_golden_assert (ms_golden_real (&experts, row, "variation"),
                        ms_golden_number (json_object_get_member (slot, "act_r_cv")), RATES);
      ms_golden_assert (ms_golden_real (&experts, row, "srp"),
                        ms_golden_number (json_object_get_member (slot, "srp")), RATES);
    }
  ms_golden_assert (ms_golden_real (&overall, ROW (&overall, "measure=variation"), "value"),
                    NUMBER (c->expected, "model/domain_specialization"), RATES);
  ms_golden_assert (ms_golden_real (&overall, ROW (&overall, "measure=variation_srp"), "value"),
                    NUMBER (c->expected, "model/corr_srp"), RATES);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autofree char *id = g_strdup_printf ("--id=%s", kinds[i][1]);
      g_autoptr (JsonNode) words = ms_golden_analyze (
          db, "vocabulary",
          LIST (id, "--ranks=first", "--ties=lowest", "--permutations=0", "--top=1000", least));
      MsGoldenTable owners = ms_golden_table (words, "experts"),
                    ids = ms_golden_table (words, "ids");
      JsonObject *all = json_node_get_object (ms_golden_at (c->expected, "vocabulary"));

      for (guint layer = 0; layer < param (c, "num_layers"); layer++)
        {
          /* The member's name has a slash, so it is taken out before paths are used. */
          g_autofree char *member = g_strdup_printf ("%u/%s", layer, kinds[i][0]);
          Case part = *c;
          g_autoptr (JsonNode) wrapped = json_node_new (JSON_NODE_OBJECT);
          JsonObject *object = json_object_new ();

          json_object_set_member (object, "of",
                                  json_node_copy (json_object_get_member (all, member)));
          json_node_take_object (wrapped, object);
          part.expected = wrapped;
          check_owners (&part, &owners, layer, "of", "freq");
          check_ids (&part, &ids, layer, "of");
        }
    }
}

static void
test_lrc (void)
{
  for_cases ("lrc_specialization", check_lrc);
}

/* --- f.3 ------------------------------------------------------------------------------------- */

static char *
join_members (JsonNode *node)
{
  GString *text = g_string_new (NULL);
  JsonArray *members = json_node_get_array (node);

  for (guint i = 0; i < json_array_get_length (members); i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i > 0 ? " " : "",
                            json_array_get_int_element (members, i));
  return g_string_free (text, FALSE);
}

static void
check_committee (Case *c)
{
  static const char *const columns[][2] = { { "mean_rank", "mean_rank_unrounded" },
                                            { "rank_variance", "mean_rank_variance_unrounded" },
                                            { "coverage", "coverage_unrounded" },
                                            { "ratio", "ratio_unrounded" } };
  /* Any run will do: the importances come from the file. */
  g_autofree char *any = g_build_filename (c->golden.folder, "..", "risk_difference",
                                           "c3_one_token", "trace_a.csv", NULL);
  g_autofree char *db = ms_golden_import (&c->golden, LIST (any));
  g_autofree char *path = ms_golden_path (&c->golden, c->name, "eci.csv");
  g_autofree char *eci = g_strdup_printf ("--eci=%s", path);
  g_autofree char *k = g_strdup_printf ("--k=%u", param (c, "k"));
  g_autofree char *presence
      = g_strdup_printf ("--presence=%.3f", NUMBER (c->params, "presence_ratio"));
  /* The published code guesses the pool from the largest number; the files say what it guessed. */
  g_autofree char *pool
      = g_strdup_printf ("--experts=%.0f", NUMBER (c->expected, "upstream_rounded/0/expert_pool"));
  g_autoptr (JsonNode) guessed = ms_golden_analyze (db, "committee", LIST (eci, k, presence, pool));
  g_autoptr (JsonNode) result
      = ms_golden_analyze (db, "committee", LIST (eci, k, presence, c->experts));
  MsGoldenTable published = ms_golden_table (guessed, "layers");
  MsGoldenTable layers = ms_golden_table (result, "layers");

  for (guint layer = 0; layer < param (c, "num_layers"); layer++)
    {
      int row = ROW (&layers, "layer=%u", layer);
      g_autofree char *at = g_strdup_printf ("upstream_rounded/%u/members", layer);
      g_autofree char *members = join_members (ms_golden_at (c->expected, at));

      g_assert_cmpstr (ms_golden_text (&layers, row, "members"), ==, members);
      for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
        {
          double expected = NUMBER (c->expected, "upstream_rounded/%u/%s", layer, columns[i][1]);

          ms_golden_assert (ms_golden_real (&published, row, columns[i][0]), expected,
                            RATES * MAX (fabs (expected), 1));
        }
      ms_golden_assert (
          ms_golden_real (&layers, row, "jaccard"),
          NUMBER (c->expected, "companion_independent/%u/mean_pairwise_jaccard", layer), RATES);
      ms_golden_assert (ms_golden_real (&layers, row, "gini"),
                        NUMBER (c->expected, "companion_independent/%u/gini_of_mean_eci", layer),
                        RATES);
    }
}

static void
test_committee (void)
{
  for_cases ("committee_audit", check_committee);
}

/* --- f.4 ------------------------------------------------------------------------------------- */

/* Joins both traces into one: sequence 0 is the first set, sequence 1 the second. */
static char *
join_sets (Case *c)
{
  GString *joined = g_string_new ("sequence,token,layer,rank,expert,weight\n");

  for (guint s = 0; s < 2; s++)
    {
      g_autofree char *path
          = ms_golden_path (&c->golden, c->name, s == 0 ? "trace_a.csv" : "trace_b.csv");
      g_autofree char *text = NULL;
      g_auto (GStrv) lines = NULL;

      g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
      lines = g_strsplit_set (text, "\r\n", -1);
      for (guint i = 1; lines[i] != NULL; i++)
        if (lines[i][0] != '\0')
          g_string_append_printf (joined, "%u%s\n", s, strchr (lines[i], ','));
    }
  return g_string_free (joined, FALSE);
}

static void
check_difference (Case *c)
{
  g_autofree char *text = join_sets (c);
  g_autofree char *trace = g_build_filename (c->golden.scratch, "joined.csv", NULL);
  g_autofree char *labels = g_build_filename (c->golden.scratch, "labels.csv", NULL);
  g_autofree char *db = NULL;
  g_autoptr (JsonNode) result = NULL;
  MsGoldenTable experts;

  g_assert_true (g_file_set_contents (trace, text, -1, NULL));
  g_assert_true (g_file_set_contents (labels, "sequence,dataset\n0,a\n1,b\n", -1, NULL));
  db = ms_golden_import (&c->golden, LIST (trace, c->experts, "--sequences", labels));
  result = ms_golden_analyze (
      db, "difference", LIST ("--group-a=domain=a", "--group-b=domain=b", "--permutations=9"));
  experts = ms_golden_table (result, "experts");
  for (guint i = 0; i < json_array_get_length (json_node_get_array (c->expected)); i++)
    {
      static const char *const columns[][2] = { { "count_a", "count_a" },
                                                { "count_b", "count_b" },
                                                { "rate_a", "rate_a" },
                                                { "rate_b", "rate_b" },
                                                { "difference", "risk_difference" } };
      int row = ROW (&experts, "layer=%.0f expert=%.0f", NUMBER (c->expected, "%u/layer", i),
                     NUMBER (c->expected, "%u/expert", i));

      for (guint j = 0; j < G_N_ELEMENTS (columns); j++)
        ms_golden_assert (ms_golden_real (&experts, row, columns[j][0]),
                          NUMBER (c->expected, "%u/%s", i, columns[j][1]), RATES);
    }
}

static void
test_difference (void)
{
  for_cases ("risk_difference", check_difference);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/golden/multilingual_divergence", test_languages);
  g_test_add_func ("/golden/lola_language_experts", test_map);
  g_test_add_func ("/golden/olmoe_domain_specialization", test_domains);
  g_test_add_func ("/golden/olmoe_vocabulary_specialization", test_vocabulary);
  g_test_add_func ("/golden/olmoe_coactivation", test_coactivation);
  g_test_add_func ("/golden/lrc_specialization", test_lrc);
  g_test_add_func ("/golden/committee_audit", test_committee);
  g_test_add_func ("/golden/risk_difference", test_difference);
  return g_test_run ();
}
