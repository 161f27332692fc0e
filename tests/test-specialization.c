/* Co-activation, domains, vocabulary, position and norms: cases by hand, and twins that count plainly. */
#include "fixture.h"
#include "results.h"

#include <math.h>
#include <string.h>

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static MsTrace *rich;

/* --- Small traces ---------------------------------------------------------------------------- */

/* Experts (T, K) as digits of a text: "01 10" are two tokens, '-' an unused slot. */
typedef struct
{
  const char *experts;
  const gint32 *ids;
  const float *norms;
  guint k;
} Hand;

static void
fill_hand (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const Hand *hand = data;

  (void) layer;
  for (guint r = 0; r < hand->k; r++)
    {
      char digit = hand->experts[(gsize) position * (hand->k + 1) + r];

      token->experts[r] = digit == '-' ? MS_NO_EXPERT : (guint16) (digit - '0');
      token->weights[r] = digit == '-' ? 0 : 1.0f / (float) hand->k;
      if (hand->norms != NULL)
        token->norms[r] = hand->norms[(gsize) position * hand->k + r];
    }
}

static gint32
hand_id (gint64 position, gpointer data)
{
  const Hand *hand = data;

  return hand->ids != NULL ? hand->ids[position] : 0;
}

/* A trace of documents with domains "code" and "news" of the lengths given, ending with 0. */
static MsTrace *
open_hand (Hand *hand, guint n_experts, const guint *lengths, char **path)
{
  MsDocument documents[8] = { 0 };
  MsLayer layer = MS_PLAIN_LAYER (3, n_experts, hand->k);
  MsFixture fixture = { .n_layers = 1,
                        .layers = &layer,
                        .documents = documents,
                        .columns = hand->norms != NULL ? MS_CHUNK_NORMS : 0,
                        .fill = fill_hand,
                        .token_id = hand_id,
                        .data = hand };
  g_autoptr (GError) error = NULL;
  MsTrace *trace;

  for (; lengths[fixture.n_documents] > 0; fixture.n_documents++)
    {
      documents[fixture.n_documents].n_tokens = lengths[fixture.n_documents];
      documents[fixture.n_documents].domain
          = (char *) (fixture.n_documents % 2 == 0 ? "code" : "news");
    }
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

static int
rank_of (const MsLayerTrace *layer, gint64 row, guint expert)
{
  for (guint r = 0; r < layer->k; r++)
    if (layer->experts[(gsize) row * layer->k + r] == expert)
      return (int) r;
  return -1;
}

/* --- Co-activation --------------------------------------------------------------------------- */

static void
test_coactivation_hand (void)
{
  Hand hand = { .experts = "01 10 02 12 3-", .k = 2 };
  char *path;
  g_autoptr (MsTrace) trace = open_hand (&hand, 5, (guint[]){ 5, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (trace, "coactivation", 0, LIST ("experts=0"));
  const MsTable *pairs = ms_result_table (result, "pairs");
  guint row = ms_test_row (pairs, "layer=3 a=0 b=1");

  ms_test_near (ms_test_real (pairs, row, "n_ab"), 2);
  ms_test_near (ms_test_real (pairs, row, "n_a"), 3);
  ms_test_near (ms_test_real (pairs, row, "share"), 2.0 / 3);
  /* Four pairs were counted; n_0 n_1 = 9 of the products' sum 9 + 6 + 6, for the token of expert 3 alone can have no
   * pair. */
  ms_test_near (ms_test_real (pairs, row, "expected"), 9 * 4.0 / 21);
  ms_test_near (ms_test_real (pairs, row, "pmi"), log (2 * 4.0 / 9));
  row = ms_test_row (pairs, "a=4 b=0");
  ms_test_near (ms_test_real (pairs, row, "share"), 0);
  ms_test_near (ms_test_real (pairs, row, "pmi"), NAN);
  ms_fixture_remove (path);
}

static void
test_coactivation_twin (void)
{
  g_autoptr (MsResult) result = ms_test_run (rich, "coactivation", 20, LIST ("experts=0"));
  const MsTable *pairs = ms_result_table (result, "pairs");
  const MsTable *strongest = ms_result_table (result, "strongest");

  for (guint l = 0; l < ms_trace_n_layers (rich); l++)
    {
      g_autoptr (MsLayerTrace) layer = load (l, MS_CHUNK_EXPERTS);
      int block = ms_trace_layer (rich, l)->number;

      for (guint a = 0; a < layer->n_experts; a++)
        for (guint b = 0; b < layer->n_experts; b++)
          {
            double both = 0, adjacent = 0, n_a = 0;
            guint row;

            if (a == b)
              continue;
            for (gint64 i = 0; i < layer->n_tokens; i++)
              {
                int in_a = rank_of (layer, i, a), in_b = rank_of (layer, i, b);

                n_a += in_a >= 0;
                both += in_a >= 0 && in_b >= 0;
                adjacent += in_a >= 0 && in_b >= 0 && ABS (in_a - in_b) == 1;
              }
            row = ms_test_row (pairs, "layer=%d a=%u b=%u", block, a, b);
            ms_test_near (ms_test_real (pairs, row, "n_ab"), both);
            ms_test_near (ms_test_real (pairs, row, "share"), both / n_a);
            ms_test_near (ms_test_real (pairs, row, "adjacent_share"), adjacent / n_a);
          }
    }
  for (guint row = 0; row < ms_table_n_rows (strongest); row++)
    {
      g_assert_cmpfloat (ms_test_real (strongest, row, "low"), <=,
                         ms_test_real (strongest, row, "share"));
      g_assert_cmpfloat (ms_test_real (strongest, row, "high"), >=,
                         ms_test_real (strongest, row, "share"));
    }
}

/* --- Domains --------------------------------------------------------------------------------- */

static void
test_domains_hand (void)
{
  Hand hand = { .experts = "0 0 1 0 1 1", .k = 1 };
  char *path;
  g_autoptr (MsTrace) trace = open_hand (&hand, 2, (guint[]){ 4, 2, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (trace, "domains", 0, LIST ("segment=2"));
  const MsTable *shares = ms_result_table (result, "shares");
  const MsTable *groups = ms_result_table (result, "groups");
  const MsTable *experts = ms_result_table (result, "experts");
  guint row = ms_test_row (shares, "name=code expert=0");

  ms_test_near (ms_test_real (shares, row, "percent"), 75);
  ms_test_near (ms_test_real (shares, row, "rest"), 0);
  ms_test_near (ms_test_real (shares, row, "baseline"), 50);
  /* Windows 00 01 10: 4 of 6 slots. */
  ms_test_near (ms_test_real (shares, row, "windowed"), 4.0 / 6);
  ms_test_near (ms_test_real (groups, ms_test_row (groups, "name=code"), "js"),
                0.5 * (0.75 * log (2) + 0.25 * log (0.4)) + 0.5 * log (1.6));
  /* Expert 1: rates 1/3 and 1. */
  ms_test_near (ms_test_real (experts, ms_test_row (experts, "expert=1"), "variation"),
                sqrt (2.0 / 9) / (2.0 / 3));
  ms_test_near (ms_test_real (experts, ms_test_row (experts, "expert=0"), "variation"), NAN);
  /* Expert 0: windows with 2, 1, 1, 0 uses; loading all with one or more finds 4 of 4 in 6 slots. */
  ms_test_near (ms_test_real (experts, ms_test_row (experts, "expert=0"), "srp"), 2 * 4 / 10.0);
  ms_fixture_remove (path);
}

static void
test_domains_twin (void)
{
  static const guint m = 5;
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGroups) groups = ms_trace_group (rich, "language", &error);
  g_autoptr (MsResult) result
      = ms_test_run (rich, "domains", 30, LIST ("label=language", "segment=5"));
  const MsTable *shares = ms_result_table (result, "shares");
  const MsTable *experts = ms_result_table (result, "experts");

  for (guint l = 0; l < ms_trace_n_layers (rich); l++)
    {
      g_autoptr (MsLayerTrace) layer = load (l, MS_CHUNK_EXPERTS);
      int block = ms_trace_layer (rich, l)->number;

      for (guint e = 0; e < layer->n_experts; e++)
        {
          double histogram[6] = { 0 }, rates[8], best = 0, mean = 0, squares = 0;

          for (guint g = 0; g < groups->n; g++)
            {
              double n = 0, chosen = 0, uses = 0, windows = 0;
              guint row
                  = ms_test_row (shares, "layer=%d name=%s expert=%u", block, groups->names[g], e);

              for (guint d = 0; d < ms_trace_n_documents (rich); d++)
                {
                  const MsDocument *document = ms_trace_document (rich, d);

                  if (groups->group[d] != (int) g)
                    continue;
                  for (gint64 i = 0; i < document->n_tokens; i++)
                    {
                      gint64 at = document->first_token + i;
                      guint f = 0;

                      n += layer->experts[(gsize) at * layer->k] != MS_NO_EXPERT;
                      chosen += rank_of (layer, at, e) >= 0;
                      if (i + m > document->n_tokens)
                        continue;
                      for (guint j = 0; j < m; j++)
                        f += rank_of (layer, at + j, e) >= 0;
                      histogram[f]++;
                      uses += f;
                      windows++;
                    }
                }
              rates[g] = uses / (m * windows);
              mean += rates[g] / groups->n;
              ms_test_near (ms_test_real (shares, row, "percent"), 100 * chosen / n);
              ms_test_near (ms_test_real (shares, row, "windowed"), rates[g]);
              g_assert_cmpfloat (ms_test_real (shares, row, "low"), <=, 100 * chosen / n);
              g_assert_cmpfloat (ms_test_real (shares, row, "high"), >=, 100 * chosen / n);
            }
          for (guint g = 0; g < groups->n; g++)
            squares += (rates[g] - mean) * (rates[g] - mean);
          for (guint alpha = 0; alpha <= m; alpha++)
            {
              double found = 0, loaded = 0, active = 0;

              for (guint f = 0; f <= m; f++)
                {
                  active += f * histogram[f];
                  found += f >= alpha ? f * histogram[f] : 0;
                  loaded += f >= alpha ? m * histogram[f] : 0;
                }
              best = MAX (best, 2 * found / MAX (loaded + active, 1));
            }
          ms_test_near (ms_test_real (experts,
                                      ms_test_row (experts, "layer=%d expert=%u", block, e),
                                      "variation"),
                        sqrt (squares / (groups->n - 1)) / mean);
          ms_test_near (
              ms_test_real (experts, ms_test_row (experts, "layer=%d expert=%u", block, e), "srp"),
              best);
        }
    }
}

/* --- Vocabulary ------------------------------------------------------------------------------ */

static void
test_vocabulary_hand (void)
{
  static const gint32 ids[] = { 7, 7, 7, 8, 9, 9 };
  Hand hand = { .experts = "0 0 1 1 2 1", .k = 1, .ids = ids };
  char *path;
  g_autoptr (MsTrace) trace = open_hand (&hand, 3, (guint[]){ 4, 2, 0 }, &path);
  g_autoptr (MsResult) result
      = ms_test_run (trace, "vocabulary", 0, LIST ("least=1", "frequent=2"));
  g_autoptr (MsResult) lowest
      = ms_test_run (trace, "vocabulary", 0, LIST ("least=2", "ties=lowest"));
  g_autoptr (MsResult) output = ms_test_run (trace, "vocabulary", 0, LIST ("least=1", "id=output"));
  const MsTable *dependence = ms_result_table (result, "dependence");
  const MsTable *owned = ms_result_table (result, "ids");
  guint row = 0; /* that of the token id */
  double entropy = log (6) - (2 * log (2) + 3 * log (3)) / 6;
  double within = (3 * (log (3) - 2 * log (2) / 3) + 2 * log (2)) / 6;

  ms_test_near (ms_test_real (ms_result_table (result, "layers"), 0, "specialisation"),
                (2.0 / 3 + 1 + 0.5) / 3);
  ms_test_near (ms_test_real (ms_result_table (result, "layers"), 0, "weighted"), 4.0 / 6);
  ms_test_near (ms_test_real (dependence, row, "information"), entropy - within);
  ms_test_near (ms_test_real (dependence, row, "explained"), 1 - within / entropy);
  /* Only id 7 is frequent: shares 2/3, 1/3, 0 about 1/3. */
  ms_test_near (ms_test_real (dependence, row, "deviation"), sqrt (2.0 / 27));
  /* Id 9 met expert 2 first; by lowest number it belongs to expert 1. */
  ms_test_near (ms_test_real (owned, ms_test_row (owned, "id=9"), "expert"), 2);
  owned = ms_result_table (lowest, "ids");
  ms_test_near (ms_test_real (owned, ms_test_row (owned, "id=9"), "expert"), 1);
  ms_test_near (ms_test_real (ms_result_table (lowest, "layers"), 0, "n_ids"), 2);
  /* Next ids: 7 7 8 | 9, at experts 0 0 1 | 2. */
  ms_test_near (ms_test_real (ms_result_table (output, "layers"), 0, "specialisation"), 1);
  ms_test_near (ms_test_real (ms_result_table (output, "layers"), 0, "n_tokens"), 4);
  ms_fixture_remove (path);
}

static void
test_vocabulary_twin (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree gint32 *ids = ms_trace_token_ids (rich, &error);
  g_autoptr (MsResult) result
      = ms_test_run (rich, "vocabulary", 20, LIST ("least=30", "ranks=all"));
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *dependence = ms_result_table (result, "dependence");

  g_assert_no_error (error);
  for (guint l = 0; l < ms_trace_n_layers (rich); l++)
    {
      g_autoptr (MsLayerTrace) layer = load (l, MS_CHUNK_EXPERTS);
      int block = ms_trace_layer (rich, l)->number;
      g_autofree double *joint = g_new0 (double, (gsize) 97 * layer->n_experts);
      g_autofree double *by_expert = g_new0 (double, layer->n_experts);
      double tokens[97] = { 0 }, by_id[97] = { 0 }, all = 0, sum = 0, n = 0, information = 0;
      guint row = ms_test_row (layers, "layer=%d", block);

      for (gint64 i = 0; i < layer->n_tokens; i++)
        {
          tokens[ids[i]] += layer->experts[(gsize) i * layer->k] != MS_NO_EXPERT;
          for (guint e = 0; e < layer->n_experts; e++)
            {
              double has = rank_of (layer, i, e) >= 0;

              joint[(gsize) ids[i] * layer->n_experts + e] += has;
              by_id[ids[i]] += has;
              by_expert[e] += has;
              all += has;
            }
        }
      for (guint id = 0; id < 97; id++)
        {
          double most = 0;

          for (guint e = 0; e < layer->n_experts; e++)
            {
              double count = joint[(gsize) id * layer->n_experts + e];

              most = MAX (most, count);
              if (count > 0)
                information += count / all * log (count * all / (by_id[id] * by_expert[e]));
            }
          if (tokens[id] < 30)
            continue;
          sum += most / tokens[id];
          n++;
        }
      ms_test_near (ms_test_real (layers, row, "specialisation"), sum / n);
      ms_test_near (ms_test_real (layers, row, "n_ids"), n);
      row = ms_test_row (dependence, "layer=%d", block); /* the token id comes first */
      ms_test_near (ms_test_real (dependence, row, "information"), information);
      /* The fixture's experts lean to ids, not to positions. */
      g_assert_cmpfloat (information, >, 1.5 * ms_test_real (dependence, row, "information_null"));
      row = ms_test_row (dependence, "layer=%d key=position", block);
      g_assert_cmpfloat (ms_test_real (dependence, row, "information"), <,
                         1.3 * ms_test_real (dependence, row, "information_null"));
    }
}

/* --- Position -------------------------------------------------------------------------------- */

static void
test_position_hand (void)
{
  Hand hand = { .experts = "0 1 1 1 0 1 1", .k = 1 };
  char *path;
  g_autoptr (MsTrace) trace = open_hand (&hand, 2, (guint[]){ 4, 3, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (trace, "position", 0, NULL);
  const MsTable *bins = ms_result_table (result, "bins");

  /* Bins 0, 1, 2-3 hold 2, 2 and 3 tokens; the whole is 2/7, 5/7. */
  ms_test_near (ms_table_n_rows (bins), 3);
  ms_test_near (ms_test_real (bins, 0, "n_tokens"), 2);
  ms_test_near (ms_test_real (bins, 2, "to"), 3);
  ms_test_near (ms_test_real (bins, 2, "n_tokens"), 3);
  ms_test_near (ms_test_real (bins, 0, "js"),
                0.5 * log (14.0 / 9) + 0.5 * (2.0 / 7 * log (4.0 / 9) + 5.0 / 7 * log (2)));
  ms_test_near (ms_test_real (bins, 0, "top_load"), 2);
  ms_test_near (ms_test_real (bins, 1, "entropy"), 0);
  ms_fixture_remove (path);
}

static void
test_position_twin (void)
{
  g_autoptr (MsResult) result = ms_test_run (rich, "position", 0, LIST ("bins=equal", "width=40"));
  const MsTable *bins = ms_result_table (result, "bins");
  const MsTable *experts = ms_result_table (result, "experts");

  for (guint l = 0; l < ms_trace_n_layers (rich); l++)
    {
      g_autoptr (MsLayerTrace) layer
          = load (l, MS_CHUNK_EXPERTS | MS_CHUNK_ENTROPY | MS_CHUNK_DROPPED);
      int block = ms_trace_layer (rich, l)->number;

      for (gint64 from = 0; from < 265; from += 40)
        {
          double counts[12] = { 0 }, slots = 0, drops = 0, entropy = 0, n = 0;
          guint row = ms_test_row (bins, "layer=%d from=%d", block, (int) from);

          for (guint d = 0; d < ms_trace_n_documents (rich); d++)
            for (gint64 i = from; i < MIN (from + 40, ms_trace_document (rich, d)->n_tokens); i++)
              {
                gint64 at = ms_trace_document (rich, d)->first_token + i;

                entropy += (double) layer->entropy[at];
                n++;
                for (guint e = 0; e < layer->n_experts; e++)
                  {
                    int rank = rank_of (layer, at, e);

                    if (rank < 0)
                      continue;
                    counts[e]++;
                    slots++;
                    drops += layer->dropped[(gsize) at * layer->k + rank];
                  }
              }
          ms_test_near (ms_test_real (bins, row, "uncertainty"), entropy / n);
          ms_test_near (ms_test_real (bins, row, "dropped"), drops / slots);
          for (guint e = 0; e < layer->n_experts; e++)
            ms_test_near (ms_test_real (experts,
                                        ms_test_row (experts, "layer=%d from=%d expert=%u", block,
                                                     (int) from, e),
                                        "count"),
                          counts[e]);
          g_assert_cmpfloat (ms_test_real (bins, row, "js_null"), >, 0);
        }
    }
}

/* --- Norms ----------------------------------------------------------------------------------- */

static void
test_norms_hand (void)
{
  static const float norms[] = { 2, 1, 1, 2, 3, 3, 5, 0 };
  Hand hand = { .experts = "01 10 02 1-", .k = 2, .norms = norms };
  char *path;
  g_autoptr (MsTrace) trace = open_hand (&hand, 3, (guint[]){ 4, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (trace, "norms", 0, NULL);
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *ranks = ms_result_table (result, "ranks");

  /* The first is largest in the first token, ties in the third, stands alone in the fourth. */
  ms_test_near (ms_test_real (layers, 0, "share"), 0.75);
  ms_test_near (ms_test_real (layers, 0, "chance"), (3 * 0.5 + 1) / 4);
  ms_test_near (ms_test_real (layers, 0, "concordance"), 0);
  ms_test_near (ms_test_real (ranks, ms_test_row (ranks, "score_rank=1 norm_rank=0"), "count"), 1);
  ms_fixture_remove (path);
}

static void
test_norms_twin (void)
{
  g_autoptr (MsResult) result = ms_test_run (rich, "norms", 20, NULL);
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *norms = ms_result_table (result, "norms");

  for (guint l = 0; l < ms_trace_n_layers (rich); l++)
    {
      g_autoptr (MsLayerTrace) layer = load (l, MS_CHUNK_EXPERTS | MS_CHUNK_NORMS);
      int block = ms_trace_layer (rich, l)->number;
      double n = 0, largest = 0, sum = 0, n_sum = 0;

      for (gint64 i = 0; i < layer->n_tokens; i++)
        {
          const guint16 *experts = layer->experts + (gsize) i * layer->k;
          const float *own = layer->norms + (gsize) i * layer->k;
          gboolean is_largest = TRUE;

          if (experts[0] == MS_NO_EXPERT)
            continue;
          for (guint r = 1; r < layer->k && experts[r] != MS_NO_EXPERT; r++)
            is_largest = is_largest && own[0] >= own[r];
          if (experts[1] != MS_NO_EXPERT)
            {
              sum += (double) own[1];
              n_sum++;
            }
          largest += is_largest;
          n++;
        }
      ms_test_near (ms_test_real (layers, ms_test_row (layers, "layer=%d", block), "share"),
                    largest / n);
      ms_test_near (
          ms_test_real (norms, ms_test_row (norms, "layer=%d score_rank=1", block), "norm"),
          sum / n_sum);
    }
}

/* --- Concentration of a difference ------------------------------------------------------------ */

/* Eight documents of ten tokens, of two patterns in turn. */
static MsTrace *
open_patterns (Hand *hand, guint n_experts, const char *code, const char *news, char **path,
               GString *experts, gint32 *ids)
{
  static const guint lengths[] = { 10, 10, 10, 10, 10, 10, 10, 10, 0 };

  for (guint d = 0; d < 8; d++)
    for (guint t = 0; t < 10; t++)
      {
        g_string_append_c (experts, (d % 2 == 0 ? code : news)[t]);
        g_string_append_c (experts, ' ');
        ids[d * 10 + t] = (gint32) (d * 10 + t);
      }
  *hand = (Hand){ experts->str, ids, NULL, 1 };
  return open_hand (hand, n_experts, lengths, path);
}

/* Rates of experts 0..4 are .6 .2 .1 .1 0 and 0 .2 .2 .1 .5: experts 0 and 4 carry 11/12 of the difference. */
static void
test_difference_concentrated (void)
{
  g_autoptr (GString) experts = g_string_new (NULL);
  gint32 ids[80];
  Hand hand;
  char *path;
  MsTrace *trace = open_patterns (&hand, 5, "0000001123", "1122344444", &path, experts, ids);
  g_autoptr (MsResult) result
      = ms_test_run (trace, "difference", 50,
                     LIST ("group-a=domain=code", "group-b=domain=news", "permutations=999"));
  const MsTable *table = ms_result_table (result, "concentration");
  static const double own[] = { 6 / 12.0, 5 / 12.0, 1 / 12.0, 0, 0 };
  static const guint order[] = { 0, 4, 2, 1, 3 };
  double sum = 0;

  ms_test_near (ms_test_real (table, 0, "gini"), 3.4 / (5 * 1.2));
  ms_test_near (ms_test_real (table, 0, "experts_half"), 0.2);
  ms_test_near (ms_test_real (table, 0, "experts_most"), 0.4);
  g_assert_cmpfloat (ms_test_real (table, 0, "flagged"), ==, 1);
  table = ms_result_table (result, "attribution");
  for (guint i = 0; i < 5; i++)
    {
      sum += own[i];
      g_assert_cmpfloat (ms_test_real (table, i, "expert"), ==, order[i]);
      ms_test_near (ms_test_real (table, i, "expert_share"), (i + 1) / 5.0);
      ms_test_near (ms_test_real (table, i, "attribution"), own[i]);
      ms_test_near (ms_test_real (table, i, "attribution_sum"), sum);
    }
  ms_trace_unref (trace);
  ms_fixture_remove (path);
}

/* All experts differ alike: no concentration, and the curve is the diagonal. */
static void
test_difference_uniform (void)
{
  g_autoptr (GString) experts = g_string_new (NULL);
  gint32 ids[80];
  Hand hand;
  char *path;
  MsTrace *trace = open_patterns (&hand, 4, "0000011111", "2222233333", &path, experts, ids);
  g_autoptr (MsResult) result
      = ms_test_run (trace, "difference", 50,
                     LIST ("group-a=domain=code", "group-b=domain=news", "permutations=99"));
  const MsTable *table = ms_result_table (result, "concentration");

  ms_test_near (ms_test_real (table, 0, "gini"), 0);
  g_assert_cmpfloat (ms_test_real (table, 0, "flagged"), ==, 0);
  table = ms_result_table (result, "attribution");
  for (guint i = 0; i < 4; i++)
    ms_test_near (ms_test_real (table, i, "attribution_sum"), (i + 1) / 4.0);
  ms_trace_unref (trace);
  ms_fixture_remove (path);
}

int
main (int argc, char **argv)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  path = ms_fixture_rich (NULL, 0);
  rich = ms_trace_open (path, 0, NULL, &error);
  g_assert_no_error (error);
  g_test_add_func ("/coactivation/hand", test_coactivation_hand);
  g_test_add_func ("/coactivation/twin", test_coactivation_twin);
  g_test_add_func ("/domains/hand", test_domains_hand);
  g_test_add_func ("/domains/twin", test_domains_twin);
  g_test_add_func ("/vocabulary/hand", test_vocabulary_hand);
  g_test_add_func ("/vocabulary/twin", test_vocabulary_twin);
  g_test_add_func ("/position/hand", test_position_hand);
  g_test_add_func ("/position/twin", test_position_twin);
  g_test_add_func ("/difference/concentrated", test_difference_concentrated);
  g_test_add_func ("/difference/uniform", test_difference_uniform);
  g_test_add_func ("/norms/hand", test_norms_hand);
  g_test_add_func ("/norms/twin", test_norms_twin);
  status = g_test_run ();
  ms_trace_unref (rich);
  ms_fixture_remove (g_steal_pointer (&path));
  return status;
}
