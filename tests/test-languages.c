/* Groups of documents: alignment, language map, tree, committee and differences.  Cases by hand, twins that
 * count plainly, and whether the tests hold their level on documents that cluster. */
#include "fixture.h"
#include "results.h"
#include "tree-private.h"

#include <math.h>
#include <string.h>

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static MsTrace *rich;

/* --- Small traces ---------------------------------------------------------------------------- */

typedef struct
{
  const char *experts; /* one digit for each token */
} Hand;

static void
fill_hand (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const Hand *hand = data;

  (void) layer;
  token->experts[0] = (guint16) (hand->experts[position] - '0');
  token->weights[0] = 1;
}

static MsTrace *
open_hand (const char *experts, guint n_experts, const MsDocument *documents, guint n, char **path)
{
  Hand hand = { experts };
  MsLayer layer = MS_PLAIN_LAYER (3, n_experts, 1);
  MsFixture fixture = { .n_layers = 1,
                        .layers = &layer,
                        .n_documents = n,
                        .documents = documents,
                        .fill = fill_hand,
                        .data = &hand };
  g_autoptr (GError) error = NULL;
  MsTrace *trace;

  *path = ms_fixture_write (&fixture, NULL);
  trace = ms_trace_open (*path, 0, NULL, &error);
  g_assert_no_error (error);
  return trace;
}

static MsLayerTrace *
load (guint layer, guint columns)
{
  g_autoptr (GError) error = NULL;
  MsLayerTrace *loaded = ms_trace_load_layer (rich, layer, columns, NULL, &error);

  g_assert_no_error (error);
  return loaded;
}

/* --- Alignment ------------------------------------------------------------------------------- */

static void
test_languages_hand (void)
{
  static const MsDocument documents[]
      = { { .language = (char *) "en", .parallel = (char *) "a", .n_tokens = 2 },
          { .language = (char *) "de", .parallel = (char *) "a", .n_tokens = 1 },
          { .language = (char *) "en", .parallel = (char *) "b", .n_tokens = 2 },
          { .language = (char *) "de", .parallel = (char *) "b", .n_tokens = 4 },
          { .language = (char *) "de", .parallel = (char *) "only", .n_tokens = 1 } };
  char *path;
  g_autoptr (MsTrace) trace = open_hand ("0011323232", 4, documents, 5, &path);
  g_autoptr (MsResult) result = ms_test_run (trace, "languages", 0, NULL);
  const MsTable *divergence = ms_result_table (result, "divergence");
  const MsTable *matrix = ms_result_table (result, "matrix");
  double one, two;

  /* a: one-hot against another one-hot: ln 2 / ln 4.  b: 1/2 1/2 on {1, 3} against 1/2 1/2 on {2, 3}:
   * the middle is 1/4 1/4 1/2, JS = ln 2 / 2, room = ln 4 - ln 2. */
  one = log (2) / log (4);
  two = 0.5 * log (2) / log (2);
  g_assert_cmpfloat (fabs (ms_test_real (divergence, 0, "divergence") - (one + two) / 2), <, 1e-8);
  ms_test_near (ms_test_real (divergence, 0, "js"), 0.75 * log (2));
  ms_test_near (ms_test_real (divergence, 0, "n_passages"), 2);
  /* Parts with as much of both languages are more alike than the languages, which here share no expert. */
  g_assert_cmpfloat (ms_test_real (divergence, 0, "floor"), >=, 0);
  g_assert_cmpfloat (ms_test_real (divergence, 0, "floor"), <,
                     ms_test_real (divergence, 0, "divergence"));
  ms_test_near (ms_test_real (divergence, 0, "excess"),
                ms_test_real (divergence, 0, "divergence") - ms_test_real (divergence, 0, "floor"));
  ms_test_near (ms_test_real (matrix, ms_test_row (matrix, "a=de b=de"), "divergence"), 0);
  ms_fixture_remove (path);
}

/* The routing distribution (E) of one token by the definition; FALSE without an expert. */
static gboolean
distribute (const MsLayerTrace *layer, gint64 i, const char *choice, double *r)
{
  guint n = layer->n_experts, k = layer->k;
  const guint16 *experts = layer->experts + (gsize) i * k;
  const float *logits = layer->logits + (gsize) i * n;
  double sum = 0;

  memset (r, 0, n * sizeof (double));
  if (strcmp (choice, "weights") == 0 || strcmp (choice, "counts") == 0)
    for (guint s = 0; s < k && experts[s] != MS_NO_EXPERT; s++)
      sum += r[experts[s]] = choice[0] == 'c' ? 1 : (double) layer->weights[(gsize) i * k + s];
  else
    for (guint e = 0; e < n; e++)
      {
        guint above = 0;

        for (guint o = 0; o < n; o++)
          above += logits[o] > logits[e];
        if (strcmp (choice, "scores") == 0 || above < k)
          sum += r[e] = exp ((double) logits[e]);
      }
  for (guint e = 0; e < n && sum > 0; e++)
    r[e] /= sum;
  return sum > 0;
}

static double
entropy_of (const double *q, guint n)
{
  double sum = 0;

  for (guint e = 0; e < n; e++)
    sum -= q[e] * log (q[e] + 1e-10);
  return sum;
}

static void
test_languages_twin (gconstpointer data)
{
  const char *choice = data;
  g_autofree char *param = g_strdup_printf ("distribution=%s", choice);
  g_autoptr (MsResult) result = ms_test_run (rich, "languages", 50, LIST (param));
  const MsTable *matrix = ms_result_table (result, "matrix");
  const MsTable *entropies = ms_result_table (result, "entropy");
  static const char *const names[] = { "de", "en", "sw" };

  for (guint l = 0; l < ms_trace_n_layers (rich); l++)
    {
      g_autoptr (MsLayerTrace) layer
          = load (l, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_LOGITS);
      int block = ms_trace_layer (rich, l)->number;
      double q[12][12] = { { 0 } };
      guint n = layer->n_experts;

      /* The first twelve documents are four texts in three languages. */
      for (guint d = 0; d < 12; d++)
        {
          const MsDocument *document = ms_trace_document (rich, d);
          double r[12], n_tokens = 0;

          for (gint64 i = 0; i < document->n_tokens; i++)
            {
              if (!distribute (layer, document->first_token + i, choice, r))
                continue;
              for (guint e = 0; e < n; e++)
                q[d][e] += r[e];
              n_tokens++;
            }
          for (guint e = 0; e < n; e++)
            q[d][e] /= n_tokens;
        }
      for (guint a = 0; a < 3; a++)
        {
          double entropy = 0;

          for (guint t = 0; t < 4; t++)
            entropy += entropy_of (q[3 * t + a], n) / 4;
          ms_test_near (
              ms_test_real (entropies,
                            ms_test_row (entropies, "layer=%d language=%s", block, names[a]),
                            "entropy"),
              entropy);
          for (guint b = 0; b < 3; b++)
            {
              double sum = 0;
              guint row = ms_test_row (matrix, "layer=%d a=%s b=%s", block, names[a], names[b]);

              for (guint t = 0; t < 4; t++)
                {
                  const double *x = q[3 * t + a], *y = q[3 * t + b];
                  double js = 0;

                  for (guint e = 0; e < n; e++)
                    {
                      double middle = MAX ((x[e] + y[e]) / 2, 1e-10);

                      js += x[e] > 0 ? x[e] / 2 * log (x[e] / middle) : 0;
                      js += y[e] > 0 ? y[e] / 2 * log (y[e] / middle) : 0;
                    }
                  sum += js / MAX (log (n) - (entropy_of (x, n) + entropy_of (y, n)) / 2, 1e-6) / 4;
                }
              ms_test_near (ms_test_real (matrix, row, "divergence"), a == b ? 0 : sum);
              if (a != b)
                g_assert_true (ms_test_real (matrix, row, "low") <= sum
                               && ms_test_real (matrix, row, "high") >= sum);
            }
        }
    }
}

/* --- The tree -------------------------------------------------------------------------------- */

static void
test_tree_hand (void)
{
  static const double distances[] = { 0, 2, 6, 10, 2, 0, 4, 8, 6, 4, 0, 3, 10, 8, 3, 0 };
  static const char *names[] = { "a", "b", "c", "d" };
  MsJoin joins[3];
  double heights[16];
  guint order[4];
  g_autofree char *members = NULL;

  ms_tree_join (distances, 4, joins);
  g_assert_cmpuint (joins[0].a, ==, 0);
  g_assert_cmpuint (joins[0].b, ==, 1);
  g_assert_cmpuint (joins[1].a, ==, 2);
  g_assert_cmpuint (joins[1].b, ==, 3);
  g_assert_cmpuint (joins[2].a, ==, 4);
  g_assert_cmpuint (joins[2].b, ==, 5);
  ms_test_near (joins[2].distance, 7);
  g_assert_cmpuint (joins[2].size, ==, 4);
  ms_tree_heights (joins, 4, heights);
  ms_test_near (heights[1], 2);
  ms_test_near (heights[3], 7);
  members = ms_tree_members (joins, 4, 1, (char **) names);
  g_assert_cmpstr (members, ==, "c d");
  ms_tree_order (joins, 4, order);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint (order[i], ==, i);
  {
    /* Items 0 and 3 are near, 1 and 2 too. */
    static const double crossed[] = { 0, 9, 9, 1, 9, 0, 2, 9, 9, 2, 0, 9, 1, 9, 9, 0 };
    static const guint expected[] = { 0, 3, 1, 2 };

    ms_tree_join (crossed, 4, joins);
    ms_tree_order (joins, 4, order);
    for (guint i = 0; i < 4; i++)
      g_assert_cmpuint (order[i], ==, expected[i]);
  }
}

/* The same by the definition: clusters as lists of items, their distance the mean over all pairs. */
static void
test_tree_twin (void)
{
  guint64 state = 5;

  for (guint round = 0; round < 50; round++)
    {
      guint n = 2 + (guint) ms_random_below (&state, 12), n_clusters = n;
      g_autofree double *distances = g_new0 (double, n *n);
      g_autofree guint64 *members = g_new0 (guint64, 2 * n); /* sets of items as bits */
      g_autofree MsJoin *joins = g_new (MsJoin, n);

      for (guint i = 0; i < n; i++)
        for (guint j = i + 1; j < n; j++)
          distances[i * n + j] = distances[j * n + i] = ms_random_double (&state);
      for (guint i = 0; i < n; i++)
        members[i] = (guint64) 1 << i;
      ms_tree_join (distances, n, joins);
      for (guint step = 0; step + 1 < n; step++)
        {
          double nearest = INFINITY;
          guint best_a = 0, best_b = 0;

          for (guint a = 0; a < n_clusters; a++)
            for (guint b = a + 1; b < n_clusters; b++)
              {
                double sum = 0, n_pairs = 0;

                for (guint i = 0; i < n; i++)
                  for (guint j = 0; j < n; j++)
                    if ((members[a] >> i & 1) && (members[b] >> j & 1))
                      {
                        sum += distances[i * n + j];
                        n_pairs++;
                      }
                if (n_pairs > 0 && sum / n_pairs < nearest)
                  {
                    nearest = sum / n_pairs;
                    best_a = a;
                    best_b = b;
                  }
              }
          g_assert_cmpuint (joins[step].a, ==, best_a);
          g_assert_cmpuint (joins[step].b, ==, best_b);
          ms_test_near (joins[step].distance, nearest);
          members[n_clusters++] = members[best_a] | members[best_b];
          members[best_a] = members[best_b] = 0;
        }
    }
}

/* --- The language map ------------------------------------------------------------------------ */

static void
test_map_hand (void)
{
  static const MsDocument documents[] = { { .language = (char *) "de", .n_tokens = 4 },
                                          { .language = (char *) "en", .n_tokens = 2 },
                                          { .language = (char *) "sw", .n_tokens = 2 },
                                          { .language = (char *) "xx", .n_tokens = 2 } };
  char *path;
  g_autoptr (MsTrace) trace = open_hand ("0012002222", 3, documents, 4, &path);
  g_autoptr (MsResult) result
      = ms_test_run (trace, "language-map", 0, LIST ("permutations=99", "distance=euclidean"));
  const MsTable *map = ms_result_table (result, "map");
  const MsTable *distances = ms_result_table (result, "distances");
  const MsTable *languages = ms_result_table (result, "languages");
  const MsTable *agreement = ms_result_table (result, "agreement");
  guint row = ms_test_row (distances, "a=de b=en");

  ms_test_near (ms_test_real (map, ms_test_row (map, "language=de expert=0"), "share"), 0.5);
  ms_test_near (ms_test_real (distances, row, "euclidean"), sqrt (0.25 + 2 * 0.0625));
  ms_test_near (ms_test_real (distances, row, "cosine"), 1 - 0.5 / sqrt (0.375));
  g_assert_cmpstr (ms_test_text (distances, row, "relation"), ==, "branch");
  g_assert_cmpstr (ms_test_text (distances, ms_test_row (distances, "a=en b=sw"), "relation"), ==,
                   "none");
  g_assert_cmpstr (ms_test_text (languages, 0, "family"), ==, "Indo-European");
  /* de: its family at sqrt (3/8), the other at |(1/2, 1/4, -3/4)|. */
  ms_test_near (ms_test_real (languages, 0, "silhouette"),
                1 - sqrt (0.375) / sqrt (0.25 + 0.0625 + 0.5625));
  ms_test_near (ms_test_real (languages, ms_test_row (languages, "language=sw"), "silhouette"),
                NAN);
  /* xx has no family: three languages are tested. */
  ms_test_near (ms_test_real (agreement, ms_test_row (agreement, "measure=ratio"), "n_languages"),
                3);
  ms_test_near (ms_test_real (agreement, ms_test_row (agreement, "measure=ratio"), "value"),
                (sqrt (2) + sqrt (0.875)) / 2 / sqrt (0.375));
  ms_fixture_remove (path);
}

static void
test_map_twin (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGroups) groups = ms_trace_group (rich, "language", &error);
  g_autoptr (MsResult) result
      = ms_test_run (rich, "language-map", 20, LIST ("ranks=all", "permutations=99"));
  const MsTable *map = ms_result_table (result, "map");
  const MsTable *layers = ms_result_table (result, "layers");

  for (guint l = 0; l < ms_trace_n_layers (rich); l++)
    {
      g_autoptr (MsLayerTrace) layer = load (l, MS_CHUNK_EXPERTS);
      int block = ms_trace_layer (rich, l)->number;
      double counts[3][12] = { { 0 } }, totals[3] = { 0 }, spread = 0;
      guint row = ms_test_row (layers, "layer=%d", block);

      for (guint d = 0; d < ms_trace_n_documents (rich); d++)
        for (gint64 i = 0; i < ms_trace_document (rich, d)->n_tokens * layer->k; i++)
          {
            guint e = layer->experts[(gsize) ms_trace_document (rich, d)->first_token * layer->k
                                     + (gsize) i];

            if (e == MS_NO_EXPERT)
              continue;
            counts[groups->group[d]][e]++;
            totals[groups->group[d]]++;
          }
      for (guint e = 0; e < layer->n_experts; e++)
        {
          double sum = 0, entropy = 0;

          for (guint x = 0; x < 3; x++)
            sum += counts[x][e] / totals[x];
          for (guint x = 0; x < 3; x++)
            {
              double share = counts[x][e] / totals[x];

              entropy -= share / sum * log (share / sum);
              ms_test_near (ms_test_real (map,
                                          ms_test_row (map, "layer=%d language=%s expert=%u", block,
                                                       groups->names[x], e),
                                          "share"),
                            share);
            }
          spread += sum / 3 * entropy / log (3);
        }
      ms_test_near (ms_test_real (layers, row, "spread"), spread);
      /* The middle layer of the fixture does not know languages, the others do. */
      if (l == 1)
        g_assert_cmpfloat (ms_test_real (layers, row, "p"), >, 0.01);
      else
        g_assert_cmpfloat (ms_test_real (layers, row, "p"), ==, 0.01);
    }
}

/* --- The committee --------------------------------------------------------------------------- */

static void
test_committee_hand (void)
{
  static const MsDocument documents[] = { { .domain = (char *) "code", .n_tokens = 6 },
                                          { .domain = (char *) "news", .n_tokens = 6 } };
  char *path;
  g_autoptr (MsTrace) trace = open_hand ("000112000223", 5, documents, 2, &path);
  g_autoptr (MsResult) result = ms_test_run (trace, "committee", 0, LIST ("k=2", "presence=1"));
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *experts = ms_result_table (result, "experts");

  /* Lists: 0 1 and 0 2; expert 0 is in both, first in both.  It carries 6 of 10. */
  g_assert_cmpstr (ms_test_text (layers, 0, "members"), ==, "0");
  ms_test_near (ms_test_real (layers, 0, "coverage"), 0.6);
  ms_test_near (ms_test_real (layers, 0, "ratio"), 0.6 / (0.4 / 4));
  ms_test_near (ms_test_real (layers, 0, "jaccard"), 1.0 / 3);
  /* Two random pairs of five: they share 1 with 6/10, 2 with 1/10. */
  ms_test_near (ms_test_real (layers, 0, "jaccard_uniform"), 0.6 / 3 + 0.1);
  ms_test_near (ms_test_real (experts, ms_test_row (experts, "expert=1"), "mean_rank"), 2.5);
  ms_test_near (ms_test_real (experts, ms_test_row (experts, "expert=1"), "rank_variance"), 0.25);
  ms_fixture_remove (path);
}

static void
test_committee_twin (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGroups) groups = ms_trace_group (rich, "language", &error);
  g_autoptr (MsResult) result = ms_test_run (
      rich, "committee", 20, LIST ("label=language", "importance=scores", "k=4", "presence=0.6"));
  const MsTable *layers = ms_result_table (result, "layers");

  for (guint l = 0; l < ms_trace_n_layers (rich); l++)
    {
      g_autoptr (MsLayerTrace) layer = load (l, MS_CHUNK_EXPERTS | MS_CHUNK_LOGITS);
      guint n = layer->n_experts,
            row = ms_test_row (layers, "layer=%d", ms_trace_layer (rich, l)->number);
      double eci[3][12] = { { 0 } }, tokens[3] = { 0 }, all = 0, covered = 0;
      double mean[12], variance[12];
      guint presence[12] = { 0 }, rank[3][12], most = 0;
      g_autoptr (GString) members = g_string_new (NULL);

      for (guint d = 0; d < ms_trace_n_documents (rich); d++)
        for (gint64 i = 0; i < ms_trace_document (rich, d)->n_tokens; i++)
          {
            gint64 at = ms_trace_document (rich, d)->first_token + i;
            int g = groups->group[d];
            double p[12];

            if (layer->experts[(gsize) at * layer->k] == MS_NO_EXPERT)
              continue;
            distribute (layer, at, "scores", p);
            for (guint e = 0; e < n; e++)
              eci[g][e] += p[e];
            tokens[g]++;
          }
      for (guint e = 0; e < n; e++)
        {
          mean[e] = variance[e] = 0;
          for (guint g = 0; g < 3; g++)
            {
              rank[g][e] = 1;
              for (guint o = 0; o < n; o++)
                rank[g][e] += eci[g][o] > eci[g][e];
              rank[g][e] = MIN (rank[g][e], 5);
              presence[e] += rank[g][e] <= 4;
              mean[e] += rank[g][e] / 3.0;
              all += rank[g][e] <= 4 ? eci[g][e] / tokens[g] : 0;
            }
          for (guint g = 0; g < 3; g++)
            variance[e] += (rank[g][e] - mean[e]) * (rank[g][e] - mean[e]) / 3;
        }
      /* In two of three lists; when no expert is, the most frequent ones count. */
      for (guint e = 0; e < n; e++)
        most = MAX (most, presence[e]);
      for (guint e = 0; e < n; e++)
        {
          gboolean stays = presence[e] >= MIN (most, 2);

          for (guint o = 0; o < n; o++)
            if (presence[o] >= MIN (most, 2) && mean[o] <= mean[e] + 1e-12
                && variance[o] <= variance[e] + 1e-12
                && (mean[o] < mean[e] - 1e-12 || variance[o] < variance[e] - 1e-12))
              stays = FALSE;
          if (!stays)
            continue;
          g_string_append_printf (members, "%s%u", members->len > 0 ? " " : "", e);
          for (guint g = 0; g < 3; g++)
            covered += rank[g][e] <= 4 ? eci[g][e] / tokens[g] : 0;
        }
      g_assert_cmpstr (ms_test_text (layers, row, "members"), ==, members->str);
      ms_test_near (ms_test_real (layers, row, "coverage"), covered / all);
    }
}

/* --- Differences ----------------------------------------------------------------------------- */

/* Three of four choices of a's tokens, one of four of b's: three times the share. */
static void
test_specialists_hand (void)
{
  static const MsDocument documents[]
      = { { .domain = (char *) "a", .n_tokens = 4 }, { .domain = (char *) "b", .n_tokens = 4 } };
  char *path;
  g_autoptr (MsTrace) trace = open_hand ("00010111", 2, documents, 2, &path);
  g_autoptr (MsResult) result
      = ms_test_run (trace, "specialists", 0, LIST ("label=domain", "group=b"));
  const MsTable *experts = ms_result_table (result, "experts");
  const MsTable *specialists = ms_result_table (result, "specialists");

  ms_test_near (ms_test_real (experts, 0, "percent"), 25);
  ms_test_near (ms_test_real (experts, 0, "ratio"), 1.0 / 3);
  ms_test_near (ms_test_real (experts, 1, "percent"), 75);
  ms_test_near (ms_test_real (experts, 1, "rest"), 25);
  ms_test_near (ms_test_real (experts, 1, "ratio"), 3);
  ms_test_near (ms_test_real (experts, 1, "fair"), 50);
  g_assert_cmpuint (ms_table_n_rows (specialists), ==, 1);
  ms_test_near (ms_test_real (specialists, 0, "expert"), 1);
  ms_test_near (ms_test_real (ms_result_table (result, "layers"), 0, "taken"), 75);
  g_assert_true (g_str_has_prefix (result->summary, "1 of 2 experts are specialised on b"));
  ms_fixture_remove (path);
}

/* The shares are those that "domains" tells of the same group; what is said to be special is. */
static void
test_specialists_twin (void)
{
  g_autoptr (MsResult) result
      = ms_test_run (rich, "specialists", 100, LIST ("label=language", "group=de"));
  g_autoptr (MsResult) domains = ms_test_run (rich, "domains", 0, LIST ("label=language"));
  const MsTable *experts = ms_result_table (result, "experts");
  const MsTable *shares = ms_result_table (domains, "shares");
  guint n_special = 0;

  for (guint row = 0; row < ms_table_n_rows (experts); row++)
    {
      guint at = ms_test_row (shares, "layer=%.0f name=de expert=%.0f",
                              ms_test_real (experts, row, "layer"),
                              ms_test_real (experts, row, "expert"));
      double ratio = ms_test_real (experts, row, "ratio");
      gboolean special
          = ratio >= 2 && ms_test_real (experts, row, "ratio_low") > 1
            && ms_test_real (experts, row, "percent") >= ms_test_real (experts, row, "fair");

      ms_test_near (ms_test_real (experts, row, "percent"), ms_test_real (shares, at, "percent"));
      ms_test_near (ms_test_real (experts, row, "rest"), ms_test_real (shares, at, "rest"));
      if (!isnan (ratio))
        g_assert_cmpfloat (ms_test_real (experts, row, "ratio_low"), <=, ratio);
      g_assert_cmpint ((int) ms_test_real (experts, row, "specialist"), ==, special);
      n_special += special;
    }
  g_assert_cmpuint (ms_table_n_rows (ms_result_table (result, "specialists")), ==, n_special);
}

static void
test_difference_hand (void)
{
  static const MsDocument documents[]
      = { { .domain = (char *) "a", .n_tokens = 4 }, { .domain = (char *) "b", .n_tokens = 4 } };
  char *path;
  g_autoptr (MsTrace) trace = open_hand ("00010111", 2, documents, 2, &path);
  g_autoptr (MsResult) result
      = ms_test_run (trace, "difference", 0, LIST ("group-a=domain=a", "group-b=domain=b"));
  const MsTable *experts = ms_result_table (result, "experts");
  const MsTable *layers = ms_result_table (result, "layers");

  ms_test_near (ms_test_real (experts, 0, "difference"), 0.5);
  ms_test_near (ms_test_real (experts, 0, "z"), sqrt (2));
  ms_test_near (ms_test_real (experts, 0, "p_token"), erfc (1));
  ms_test_near (ms_test_real (experts, 0, "log_odds"), 2 * log (3.5 / 1.5));
  ms_test_near (ms_test_real (experts, 0, "by_document"), 0.5);
  /* The table of choices is 3 1 / 1 3: chi-square 2 with 1 degree of freedom. */
  ms_test_near (ms_test_real (layers, 0, "chi_square"), 2);
  ms_test_near (ms_test_real (layers, 0, "chi_p"), erfc (1));
  /* Two documents can only be swapped: the difference is as large every time. */
  ms_test_near (ms_test_real (experts, 0, "p"), 1);
  ms_fixture_remove (path);
}

static void
test_difference_twin (void)
{
  g_autoptr (MsResult) result = ms_test_run (
      rich, "difference", 50, LIST ("group-a=lang=de", "group-b=lang=en,sw", "permutations=999"));
  const MsTable *experts = ms_result_table (result, "experts");
  guint n_tests = ms_table_n_rows (experts);

  for (guint l = 0; l < ms_trace_n_layers (rich); l++)
    {
      g_autoptr (MsLayerTrace) layer = load (l, MS_CHUNK_EXPERTS);
      int block = ms_trace_layer (rich, l)->number;

      for (guint e = 0; e < layer->n_experts; e++)
        {
          double chosen[2] = { 0 }, n[2] = { 0 }, rates[2] = { 0 }, documents[2] = { 0 };
          guint row = ms_test_row (experts, "layer=%d expert=%u", block, e);

          for (guint d = 0; d < ms_trace_n_documents (rich); d++)
            {
              const MsDocument *document = ms_trace_document (rich, d);
              guint g = strcmp (document->language, "de") != 0;
              double own = 0, own_n = 0;

              for (gint64 i = 0; i < document->n_tokens; i++)
                {
                  const guint16 *slots
                      = layer->experts + (gsize) (document->first_token + i) * layer->k;

                  own_n += slots[0] != MS_NO_EXPERT;
                  for (guint r = 0; r < layer->k; r++)
                    own += slots[r] == e;
                }
              chosen[g] += own;
              n[g] += own_n;
              rates[g] += own / own_n;
              documents[g]++;
            }
          ms_test_near (ms_test_real (experts, row, "difference"),
                        chosen[0] / n[0] - chosen[1] / n[1]);
          ms_test_near (ms_test_real (experts, row, "by_document"),
                        rates[0] / documents[0] - rates[1] / documents[1]);
        }
    }
  /* Benjamini and Hochberg by the definition: the least p_j m / rank_j over all p_j >= p. */
  for (guint row = 0; row < n_tests; row++)
    {
      double p = ms_test_real (experts, row, "p"), q = 1;

      for (guint j = 0; j < n_tests; j++)
        {
          double other = ms_test_real (experts, j, "p");
          guint rank = 0;

          for (guint i = 0; i < n_tests; i++)
            rank += ms_test_real (experts, i, "p") <= other;
          if (other >= p)
            q = MIN (q, other * n_tests / rank);
        }
      ms_test_near (ms_test_real (experts, row, "q"), q);
    }
}

/* Every document prefers an expert of its own, and labels mean nothing. */
static void
fill_clustered (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  guint64 document = (guint64) position / 200, token_state = (guint64) position * 7 + 1;
  guint favourite;

  (void) layer, (void) data;
  document = document * 977 + 13;
  favourite = (guint) ms_random_below (&document, 8);
  token->experts[0]
      = (guint16) (ms_random_below (&token_state, 3) == 0 ? favourite
                                                          : ms_random_below (&token_state, 8));
  token->weights[0] = 1;
}

static void
test_difference_level (void)
{
  MsDocument documents[40] = { 0 };
  MsLayer layers[] = { MS_PLAIN_LAYER (0, 8, 1) };
  MsFixture fixture = { .n_layers = 1,
                        .layers = layers,
                        .n_documents = 40,
                        .documents = documents,
                        .fill = fill_clustered };
  g_autoptr (MsTrace) trace = NULL;
  g_autoptr (MsResult) result = NULL;
  g_autoptr (GError) error = NULL;
  const MsTable *experts;
  guint n_token = 0, n_document = 0;
  double design = 0;
  char *path;

  for (guint d = 0; d < 40; d++)
    {
      documents[d].n_tokens = 200;
      documents[d].domain = (char *) (d % 2 == 0 ? "a" : "b");
    }
  path = ms_fixture_write (&fixture, NULL);
  trace = ms_trace_open (path, 0, NULL, &error);
  g_assert_no_error (error);
  result = ms_test_run (trace, "difference", 200, NULL);
  experts = ms_result_table (result, "experts");
  for (guint row = 0; row < 8; row++)
    {
      n_token += ms_test_real (experts, row, "p_token") < 0.01;
      n_document += ms_test_real (experts, row, "q") < 0.05;
      design += ms_test_real (experts, row, "design") / 8;
    }
  /* Token-wise tests are fooled, the test by document is not. */
  g_assert_cmpuint (n_token, >=, 2);
  g_assert_cmpuint (n_document, ==, 0);
  g_assert_cmpfloat (design, >, 3);
  ms_fixture_remove (path);
}

static void
test_difference_errors (void)
{
  static const char *const wrong[][2]
      = { { "lang=de", "lang=de,en" }, { "lang=xx", "" }, { "layer=1", "" }, { "lang=", "" } };
  const MsAnalysis *analysis = ms_analysis_find ("difference");

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autoptr (MsValues) values = ms_values_new (analysis);
      g_autoptr (GError) error = NULL;
      MsContext context = { .trace = rich, .values = values, .sampling.confidence = 0.95 };

      ms_values_set (values, "group-a", wrong[i][0], NULL);
      ms_values_set (values, "group-b", wrong[i][1], NULL);
      g_assert_null (ms_analysis_run (analysis, &context, &error));
      g_assert_true (error->domain == MS_ANALYSIS_ERROR);
    }
}

int
main (int argc, char **argv)
{
  static const char *const choices[] = { "weights", "scores", "top-k", "counts" };
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  path = ms_fixture_rich (NULL, 0);
  rich = ms_trace_open (path, 0, NULL, &error);
  g_assert_no_error (error);
  g_test_add_func ("/languages/hand", test_languages_hand);
  for (guint i = 0; i < G_N_ELEMENTS (choices); i++)
    {
      g_autofree char *name = g_strdup_printf ("/languages/twin/%s", choices[i]);

      g_test_add_data_func (name, choices[i], test_languages_twin);
    }
  g_test_add_func ("/tree/hand", test_tree_hand);
  g_test_add_func ("/tree/twin", test_tree_twin);
  g_test_add_func ("/language-map/hand", test_map_hand);
  g_test_add_func ("/language-map/twin", test_map_twin);
  g_test_add_func ("/committee/hand", test_committee_hand);
  g_test_add_func ("/committee/twin", test_committee_twin);
  g_test_add_func ("/specialists/hand", test_specialists_hand);
  g_test_add_func ("/specialists/twin", test_specialists_twin);
  g_test_add_func ("/difference/hand", test_difference_hand);
  g_test_add_func ("/difference/twin", test_difference_twin);
  g_test_add_func ("/difference/level", test_difference_level);
  g_test_add_func ("/difference/errors", test_difference_errors);
  status = g_test_run ();
  ms_trace_unref (rich);
  ms_fixture_remove (g_steal_pointer (&path));
  return status;
}
