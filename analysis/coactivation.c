/* Co-activation (metrics.md f.1): which experts are chosen together for one token.
 *
 * Inside, experts are numbered 0..n-1 among those of the layer that occur; the tables tell their own numbers.
 * Both readings are given: all pairs of a token's experts (the paper's text) and only pairs that are
 * neighbours in score rank (its released code).  Golden: olmoe_coactivation. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

/* Chance is exceeded by so many standard errors before a pair is worth a finding. */
#define FIND_ERRORS 4.0
#define FIND_LIFT   2.0
/* The experts shown and the pairs given intervals when nothing else is asked for. */
#define USUAL_EXPERTS 32
#define USUAL_PAIRS   10

typedef struct
{
  guint a, b; /* a < b in `strongest` */
  double n_ab;
  MsInterval share; /* of the less frequent expert's tokens, those with the other one */
} Pair;

typedef struct
{
  gint64 block;
  guint n_experts;
  MsOccurring occurring; /* n of these */
  double n_tokens;       /* with at least two experts */
  double n_slots;        /* sum of their numbers of experts */
  double scale;          /* makes the expected counts sum to the counted pairs */
  double *counts;        /* (n) n_a over all tokens */
  double *several;       /* (n) n_a over tokens with at least two experts */
  guint32 *pairs;        /* (n, n), a < b: all pairs */
  guint32 *adjacent;     /* (n, n), a < b: neighbours in rank */
  guint n_strongest;
  Pair *strongest;  /* (n_strongest) */
  guint8 *is_shown; /* (E) by their own numbers */
} Layer;

typedef struct
{
  MsBootstrap *bootstrap;
  guint n_layers, n_strongest, n_shown, least;
  Layer *layers; /* (n_layers) */
} Coactivation;

static void
clear_coactivation (Coactivation *all)
{
  for (guint i = 0; i < all->n_layers; i++)
    {
      ms_occurring_clear (&all->layers[i].occurring);
      g_free (all->layers[i].counts);
      g_free (all->layers[i].several);
      g_free (all->layers[i].pairs);
      g_free (all->layers[i].adjacent);
      g_free (all->layers[i].strongest);
      g_free (all->layers[i].is_shown);
    }
  g_free (all->layers);
  ms_bootstrap_free (all->bootstrap);
}

#define PAIR(layer, a, b) ((gsize) MIN (a, b) * (layer)->occurring.n + MAX (a, b))

/* The number among those that occur; MS_NOT_OCCURRING of an unused slot. */
static guint
number_of (const Layer *layer, const MsChunk *chunk, gsize slot)
{
  guint e = ms_chunk_expert (chunk, slot);

  return e < layer->n_experts ? layer->occurring.of[e] : MS_NOT_OCCURRING;
}

/* --- Counting -------------------------------------------------------------------------------- */

static gboolean
count_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
            GError **error)
{
  Layer *layer = data;

  (void) row, (void) document, (void) error;
  for (gsize i = from; i < (gsize) from + n; i++)
    {
      guint before = MS_NOT_OCCURRING, n_chosen = 0;

      for (guint r = 0; r < chunk->k; r++)
        {
          guint a = number_of (layer, chunk, i * chunk->k + r);

          if (a == MS_NOT_OCCURRING)
            continue;
          layer->counts[a]++;
          n_chosen++;
          if (before != MS_NOT_OCCURRING)
            layer->adjacent[PAIR (layer, a, before)]++;
          before = a;
          for (guint q = 0; q < r; q++)
            {
              guint b = number_of (layer, chunk, i * chunk->k + q);

              if (b != MS_NOT_OCCURRING)
                layer->pairs[PAIR (layer, a, b)]++;
            }
        }
      if (n_chosen >= 2)
        {
          layer->n_tokens++;
          layer->n_slots += n_chosen;
          for (guint r = 0; r < chunk->k; r++)
            {
              guint e = number_of (layer, chunk, i * chunk->k + r);

              if (e != MS_NOT_OCCURRING)
                layer->several[e]++;
            }
        }
    }
  return TRUE;
}

/* --- The strongest pairs --------------------------------------------------------------------- */

static double
pair_share (const Layer *layer, guint a, guint b)
{
  double fewer = MIN (layer->counts[a], layer->counts[b]);

  return fewer > 0 ? layer->pairs[PAIR (layer, a, b)] / fewer : NAN;
}

static int
compare_pairs (gconstpointer a, gconstpointer b)
{
  const Pair *left = a, *right = b;
  double x = left->share.value, y = right->share.value;

  if (x != y)
    return x < y ? 1 : -1;
  if (left->n_ab != right->n_ab)
    return left->n_ab < right->n_ab ? 1 : -1;
  return left->a != right->a ? (left->a > right->a) - (left->a < right->a)
                             : (left->b > right->b) - (left->b < right->b);
}

/* Orders the pairs that are frequent enough by the share of the rarer expert's tokens, keeps the first
 * few, and shows the experts that come first in that order. */
static void
choose_pairs (Layer *layer, const Coactivation *all)
{
  g_autoptr (GArray) pairs = g_array_new (FALSE, TRUE, sizeof (Pair));
  guint n_shown = 0, wanted = all->n_shown == 0 ? layer->n_experts : all->n_shown;
  const guint *ids = layer->occurring.ids;

  for (guint a = 0; a < layer->occurring.n; a++)
    for (guint b = a + 1; b < layer->occurring.n; b++)
      {
        Pair pair = { .a = a, .b = b, .n_ab = layer->pairs[PAIR (layer, a, b)] };

        pair.share.value = pair_share (layer, a, b);
        if (MIN (layer->counts[a], layer->counts[b]) >= MAX (all->least, 1))
          g_array_append_val (pairs, pair);
      }
  g_array_sort (pairs, compare_pairs);
  for (guint i = 0; i < pairs->len && n_shown < wanted; i++)
    {
      const Pair *pair = &g_array_index (pairs, Pair, i);

      n_shown += !layer->is_shown[ids[pair->a]];
      layer->is_shown[ids[pair->a]] = 1;
      if (n_shown >= wanted)
        break;
      n_shown += !layer->is_shown[ids[pair->b]];
      layer->is_shown[ids[pair->b]] = 1;
    }
  for (guint e = 0; wanted >= layer->n_experts && e < layer->n_experts; e++)
    layer->is_shown[e] = 1;
  /* Pairs that are never chosen together come last and are none of the strongest. */
  while (layer->n_strongest < MIN (pairs->len, all->n_strongest)
         && g_array_index (pairs, Pair, layer->n_strongest).n_ab > 0)
    layer->n_strongest++;
  layer->strongest = g_memdup2 (pairs->data, layer->n_strongest * sizeof (Pair));
}

/* Counts by bootstrap unit of the strongest pairs: n_ab, n_a, n_b each. */
typedef struct
{
  const MsBootstrap *bootstrap;
  const Layer *layer;
  guint8 *has;  /* (n) scratch: experts of the token */
  double *sums; /* (U, 3 n_strongest) */
} Recount;

static gboolean
recount_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
              GError **error)
{
  Recount *recount = data;
  const Layer *layer = recount->layer;
  guint unit = ms_bootstrap_unit (recount->bootstrap, document);
  double *sums = recount->sums + (gsize) unit * 3 * layer->n_strongest;

  (void) row, (void) error;
  for (gsize i = from; i < (gsize) from + n; i++)
    {
      for (guint on = 0; on < 2; on++)
        {
          for (guint r = 0; r < chunk->k; r++)
            {
              guint e = number_of (layer, chunk, i * chunk->k + r);

              if (e != MS_NOT_OCCURRING)
                recount->has[e] = on == 0;
            }
          for (guint p = 0; on == 0 && p < layer->n_strongest; p++)
            {
              gboolean a = recount->has[layer->strongest[p].a];
              gboolean b = recount->has[layer->strongest[p].b];

              sums[3 * p] += a && b;
              sums[3 * p + 1] += a;
              sums[3 * p + 2] += b;
            }
        }
    }
  return TRUE;
}

static void
make_shares (const double *sums, double *out, gpointer data)
{
  const Layer *layer = data;

  for (guint p = 0; p < layer->n_strongest; p++)
    {
      double fewer = MIN (sums[3 * p + 1], sums[3 * p + 2]);

      out[p] = fewer > 0 ? sums[3 * p] / fewer : NAN;
    }
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Coactivation *all = data;
  Layer *layer = &all->layers[index];
  const MsLayer *def = ms_trace_layer (context->trace, index);
  g_autofree guint64 *counts = g_new0 (guint64, def->gate.n_experts);
  g_autofree guint8 *has = NULL;
  g_autofree double *sums = NULL;
  g_autofree MsInterval *intervals = NULL;
  Recount recount = { all->bootstrap, layer, NULL, NULL };
  double products = 0, n_pairs = 0;
  guint n;

  layer->block = def->number;
  layer->n_experts = def->gate.n_experts;
  if (!ms_trace_count (context->trace, index, counts, context->cancel, error))
    return FALSE;
  ms_occurring_init (&layer->occurring, counts, def->gate.n_experts);
  n = layer->occurring.n;
  if (!ms_occurring_pairs_fit (context, index, &layer->occurring, &layer->occurring,
                               2 * sizeof (guint32) + sizeof (Pair), error))
    return FALSE;
  layer->counts = g_new0 (double, n + 1);
  layer->several = g_new0 (double, n + 1);
  layer->pairs = g_new0 (guint32, (gsize) n * n + 1);
  layer->adjacent = g_new0 (guint32, (gsize) n * n + 1);
  layer->is_shown = g_new0 (guint8, def->gate.n_experts);
  recount.has = has = g_new0 (guint8, n + 1);
  if (!ms_trace_scan_layer (context->trace, index, 0, count_rows, layer, context->cancel, error))
    return FALSE;
  for (guint a = 0; a < n; a++)
    for (guint b = a + 1; b < n; b++)
      {
        products += layer->several[a] * layer->several[b];
        n_pairs += layer->pairs[PAIR (layer, a, b)];
      }
  layer->scale = products > 0 ? n_pairs / products : NAN;
  choose_pairs (layer, all);
  if (all->bootstrap->n_resamples == 0 || layer->n_strongest == 0)
    {
      for (guint p = 0; p < layer->n_strongest; p++)
        layer->strongest[p].share.low = layer->strongest[p].share.high = NAN;
      return TRUE;
    }
  recount.sums = sums = g_new0 (double, (gsize) all->bootstrap->n_units * 3 * layer->n_strongest);
  if (!ms_trace_scan_layer (context->trace, index, 0, recount_rows, &recount, context->cancel,
                            error))
    return FALSE;
  intervals = g_new (MsInterval, layer->n_strongest);
  ms_bootstrap_rates (all->bootstrap, sums, 3 * layer->n_strongest, make_shares, layer,
                      layer->n_strongest, intervals);
  for (guint p = 0; p < layer->n_strongest; p++)
    layer->strongest[p].share = intervals[p];
  return TRUE;
}

/* --- Tables ---------------------------------------------------------------------------------- */

/* Tokens with both experts if they were independent: of the tokens with two experts or more, which alone can
 * have both. */
static double
expected_tokens (const Layer *layer, guint a, guint b)
{
  return layer->several[a] * layer->several[b] * layer->scale;
}

/* Of two experts by their own numbers. */
static void
put_pair (const Layer *layer, guint first, guint second, MsTable *table)
{
  guint a = layer->occurring.of[first], b = layer->occurring.of[second];
  gboolean there = a != MS_NOT_OCCURRING && b != MS_NOT_OCCURRING;
  double n_ab = there ? layer->pairs[PAIR (layer, a, b)] : 0;
  double adjacent = there ? layer->adjacent[PAIR (layer, a, b)] : 0;
  double n_a = a != MS_NOT_OCCURRING ? layer->counts[a] : 0;
  double n_b = b != MS_NOT_OCCURRING ? layer->counts[b] : 0;
  double expected = there ? expected_tokens (layer, a, b) : 0 * layer->scale;
  double both = there ? layer->several[a] * layer->several[b] : 0;

  ms_table_add_row (table, MS_INT (layer->block), MS_INT (first), MS_INT (second),
                    MS_INT (llround (n_ab)), MS_INT (llround (n_a)), MS_INT (llround (n_b)),
                    MS_REAL (n_a > 0 ? n_ab / n_a : 0), MS_INT (llround (adjacent)),
                    MS_REAL (n_a > 0 ? adjacent / n_a : 0),
                    MS_REAL (n_ab > 0 ? log (n_ab * layer->n_tokens / both) : NAN),
                    MS_REAL (expected), MS_REAL (expected > 0 ? n_ab / expected : NAN));
}

/* All ordered pairs of the experts that are shown. */
static void
put_pairs (const Layer *layer, MsTable *table)
{
  g_autoptr (GArray) shown = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint e = 0; e < layer->n_experts; e++)
    if (layer->is_shown[e])
      g_array_append_val (shown, e);
  for (guint i = 0; i < shown->len; i++)
    for (guint j = 0; j < shown->len; j++)
      if (i != j)
        put_pair (layer, g_array_index (shown, guint, i), g_array_index (shown, guint, j), table);
}

static void
write_layer (const Layer *layer, MsResult *result)
{
  const Pair *first = layer->n_strongest > 0 ? &layer->strongest[0] : NULL;
  const guint *ids = layer->occurring.ids;
  guint n = layer->n_experts;
  double together = 0, excess = 0, all = 0;

  put_pairs (layer, result->tables[1]);
  for (guint a = 0; a < layer->occurring.n; a++)
    for (guint b = a + 1; b < layer->occurring.n; b++)
      {
        double n_ab = layer->pairs[PAIR (layer, a, b)];

        together += n_ab > 0;
        excess += fabs (n_ab - expected_tokens (layer, a, b));
        all += n_ab;
      }
  ms_table_add_row (
      result->tables[0], MS_INT (layer->block), MS_INT (n), MS_INT (llround (layer->n_tokens)),
      MS_REAL (n > 1 ? together / (n * (n - 1.0) / 2) : NAN),
      MS_REAL (all > 0 ? excess / (2 * all) : NAN),
      MS_INT (first != NULL ? (gint64) ids[first->a] : -1),
      MS_INT (first != NULL ? (gint64) ids[first->b] : -1),
      MS_REAL (first != NULL ? first->share.value : NAN),
      MS_REAL (first != NULL ? first->share.low : NAN),
      MS_REAL (first != NULL ? first->share.high : NAN),
      MS_REAL (layer->n_tokens > 0 && n > 1 ? (layer->n_slots / layer->n_tokens - 1) / (n - 1)
                                            : NAN));
  for (guint i = 0; i < layer->n_strongest; i++)
    {
      const Pair *pair = &layer->strongest[i];
      double fewer = MIN (layer->counts[pair->a], layer->counts[pair->b]);
      double expected = expected_tokens (layer, pair->a, pair->b);
      guint a = ids[pair->a], b = ids[pair->b];
      g_autofree char *name = g_strdup_printf ("%u + %u", a, b);

      ms_table_add_row (result->tables[2], MS_INT (layer->block), MS_INT (i + 1), MS_INT (a),
                        MS_INT (b), MS_TEXT (name), MS_INT ((gint64) pair->n_ab),
                        MS_INTERVAL (pair->share), MS_REAL (expected / fewer),
                        MS_REAL (pair->n_ab / expected));
      if (pair->n_ab >= FIND_LIFT * expected
          && pair->n_ab - expected >= FIND_ERRORS * sqrt (expected))
        ms_result_find (
            result, (pair->n_ab - expected) / sqrt (expected),
            g_strdup_printf ("layer=%d expert=%u,%u", (int) layer->block, a, b),
            "layer %d: experts %u and %u share %.0f %% of the rarer one's tokens, %.2gx chance",
            (int) layer->block, a, b, 100 * pair->share.value, pair->n_ab / expected);
    }
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  Coactivation all = { .n_shown = (guint) ms_values_int (context->values, "experts"),
                       .n_strongest = (guint) ms_values_int (context->values, "pairs"),
                       .least = (guint) ms_values_int (context->values, "least") };
  const Layer *best = NULL;
  double several = 0;
  gboolean fine;

  /* A row of the table for every pair. */
  if (all.n_shown == 0 && !ms_context_pairs_fit (context, 0, 12 * sizeof (double), error))
    return FALSE;
  all.bootstrap = ms_bootstrap_new_of_trace (context);
  all.n_layers = ms_trace_n_layers (context->trace);
  all.layers = g_new0 (Layer, all.n_layers);
  fine = ms_context_tasks (context, all.n_layers, do_layer, &all, 0, 1, error);
  for (guint i = 0; fine && i < all.n_layers; i++)
    {
      const Layer *layer = &all.layers[i];

      write_layer (layer, result);
      several += layer->n_tokens;
      if (layer->n_strongest > 0
          && (best == NULL || layer->strongest[0].share.value > best->strongest[0].share.value))
        best = layer;
    }
  if (fine && best != NULL)
    {
      const Pair *pair = &best->strongest[0];
      double expected = expected_tokens (best, pair->a, pair->b);

      result->summary = g_strdup_printf (
          "The strongest pair is experts %u and %u of layer %d: %.1f %% of the tokens of the rarer "
          "one choose both, %.3g times what chance gives.",
          best->occurring.ids[pair->a], best->occurring.ids[pair->b], (int) best->block,
          100 * pair->share.value, pair->n_ab / expected);
    }
  else if (fine && several == 0)
    result->summary = g_strdup ("No token has two experts, so none are chosen together.");
  else if (fine)
    result->summary
        = g_strdup_printf ("No two experts of a layer that %u tokens each choose, the least for a "
                           "pair to count, are chosen together: choose a smaller --least.",
                           all.least);
  if (fine)
    {
      ms_result_note (result, "`share` counts all pairs of a token (the paper's text); "
                              "`adjacent_share` only neighbours in score rank (its code).");
      ms_result_note (
          result, "Chance is n_a n_b over tokens with two experts or more, scaled so that the "
                  "expected pairs sum to the counted ones; the row of a never-used expert is 0.");
    }
  clear_coactivation (&all);
  return fine;
}

static const MsParam params[] = {
  { .name = "experts",
    .title = "Experts shown",
    .help = "Experts of each layer in the matrix: those of the strongest pairs; 0 = all.",
    .unit = "experts",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 1024,
    .usual = USUAL_EXPERTS,
    .ui_least = 0,
    .ui_most = 64 },
  { .name = "pairs",
    .title = "Strongest pairs",
    .help = "Pairs of each layer that get an interval.",
    .unit = "pairs",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 1000,
    .usual = USUAL_PAIRS,
    .ui_least = 1,
    .ui_most = 50 },
  { .name = "least",
    .title = "Least uses",
    .help = "Pairs count as strong only when both experts were chosen so often.",
    .unit = "tokens",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 1e9,
    .usual = 20,
    .ui_least = 1,
    .ui_most = 1000 },
  { 0 },
};

static const MsColumn layer_columns[] = {
  MS_LAYER_COLUMN,
  { "n_experts", "Experts", "experts", MS_COLUMN_INT, "Routed experts E of the layer." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "Tokens with at least two experts." },
  { "pairs_seen", "Pairs seen", NULL, MS_COLUMN_REAL,
    "Share of the E(E-1)/2 pairs chosen together at least once." },
  { "excess", "Distance from chance", NULL, MS_COLUMN_REAL,
    "Half the sum of |counted - expected| over all pairs / counted pairs: 0 = as by chance." },
  { "a", "First expert", NULL, MS_COLUMN_INT, "Of the strongest pair, -1 = none." },
  { "b", "Second expert", NULL, MS_COLUMN_INT, "Of the strongest pair, -1 = none." },
  { "share", "Strongest share", NULL, MS_COLUMN_REAL,
    "Of the strongest pair: tokens with both / tokens of the rarer one." },
  MS_INTERVAL_COLUMNS ("share_", NULL),
  { "uniform", "Uniform routing", NULL, MS_COLUMN_REAL,
    "The share of any pair when k experts are drawn uniformly: (k - 1) / (E - 1)." },
  { 0 },
};

static const MsColumn pair_columns[] = {
  MS_LAYER_COLUMN,
  { "a", "Expert", NULL, MS_COLUMN_INT, "The expert whose tokens are looked at." },
  { "b", "Other expert", NULL, MS_COLUMN_INT, "The expert chosen with it." },
  { "n_ab", "Both", "tokens", MS_COLUMN_INT, "Tokens that chose both." },
  { "n_a", "Expert's tokens", "tokens", MS_COLUMN_INT, "Tokens that chose a." },
  { "n_b", "Other's tokens", "tokens", MS_COLUMN_INT, "Tokens that chose b." },
  { "share", "Co-activation", NULL, MS_COLUMN_REAL, "n_ab / n_a (all pairs, the paper's text)." },
  { "adjacent", "Neighbours in rank", "tokens", MS_COLUMN_INT,
    "Tokens in whose score order a and b follow on each other." },
  { "adjacent_share", "Co-activation, neighbours", NULL, MS_COLUMN_REAL,
    "adjacent / n_a (the paper's code)." },
  { "pmi", "PMI", "nats", MS_COLUMN_REAL,
    "ln (n_ab n / (n_a n_b)), all of tokens with two experts or more; undefined for n_ab = 0." },
  { "expected", "By chance", "tokens", MS_COLUMN_REAL,
    "n_a n_b of tokens with two experts or more, scaled so that all pairs sum to the counted "
    "ones." },
  { "lift", "Times chance", NULL, MS_COLUMN_REAL, "n_ab / expected." },
  { 0 },
};

static const MsColumn strongest_columns[] = {
  MS_LAYER_COLUMN,
  { "place", "Place", NULL, MS_COLUMN_INT, "1 = the strongest pair of the layer." },
  { "a", "First expert", NULL, MS_COLUMN_INT, "The lower number." },
  { "b", "Second expert", NULL, MS_COLUMN_INT, "The higher number." },
  { "pair", "Pair", NULL, MS_COLUMN_TEXT, "Both numbers." },
  { "n_ab", "Both", "tokens", MS_COLUMN_INT, "Tokens that chose both." },
  { "share", "Share", NULL, MS_COLUMN_REAL, "n_ab / tokens of the rarer one." },
  MS_INTERVAL_COLUMNS ("", NULL),
  { "chance", "By chance", NULL, MS_COLUMN_REAL, "The share when experts were independent." },
  { "lift", "Times chance", NULL, MS_COLUMN_REAL, "share / chance." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Co-activation by layer", layer_columns },
  { "pairs", "Experts chosen together", pair_columns },
  { "strongest", "The strongest pairs", strongest_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "matrix",
    .title = "Co-activation: share of the row's tokens that choose the column too",
    .table = "pairs",
    .mark = MS_MARK_HEATMAP,
    .x = "b",
    .y = "a",
    .value = "share",
    .facet = "layer" },
  { .name = "lift",
    .title = "Co-activation against chance",
    .table = "pairs",
    .mark = MS_MARK_HEATMAP,
    .x = "b",
    .y = "a",
    .value = "lift",
    .facet = "layer",
    .value_scale = MS_SCALE_RATIO,
    .centre = 1 },
  { .name = "strongest",
    .title = "The strongest pairs of each layer",
    .table = "strongest",
    .mark = MS_MARK_SCATTER,
    .x = "layer",
    .y = "share",
    .label = "pair",
    .low = "low",
    .high = "high" },
  { .name = "layers",
    .title = "Strongest co-activation by layer",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "share",
    .low = "share_low",
    .high = "share_high",
    .reference = "uniform" },
  { 0 },
};

const MsAnalysis ms_analysis_coactivation = {
  .name = "coactivation",
  .title = "Co-activation",
  .help = "Which experts are chosen together for one token, and how much more often than chance?",
  .formula = "n_a = tokens that choose a, n_ab = tokens that choose both; share = n_ab / n_a, not "
             "symmetric.  The variant of the released code counts only experts that follow on each "
             "other in score rank.  PMI = ln (n_ab n / (n_a n_b)), over the n tokens with two "
             "experts or more.",
  .cite = "OLMoE, arXiv 2409.02060, and allenai/OLMoE.",
  .version = 2,
  .live = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
