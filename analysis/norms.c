/* Norms (metrics.md f.5): does the router rank the experts as the norms of their outputs do?
 *
 * Only chosen experts have recorded outputs, so ranks are among the experts of a token; the published
 * E x E table needs all experts forced on. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

typedef struct
{
  gint64 block;
  guint k;
  double *sums;  /* (U, 3) tokens, tokens whose first expert has the largest norm, sum of 1/|S| */
  double *table; /* (K, K) tokens by score rank and norm rank */
  double *norms; /* (K) sum of norms by score rank */
  double *slots; /* (K) choices by score rank */
  double concordance, pairs;
  MsInterval share, chance;
} Layer;

typedef struct
{
  MsBootstrap *bootstrap;
  guint n_layers;
  Layer *layers; /* (n_layers) */
} Norms;

static void
clear_norms (Norms *all)
{
  for (guint i = 0; i < all->n_layers; i++)
    {
      g_free (all->layers[i].sums);
      g_free (all->layers[i].table);
      g_free (all->layers[i].norms);
      g_free (all->layers[i].slots);
    }
  g_free (all->layers);
  ms_bootstrap_free (all->bootstrap);
}

typedef struct
{
  const MsBootstrap *bootstrap;
  Layer *layer;
} Scan;

/* Counts one token with the norms (n) of its experts in score order; equal norms rank by score. */
static void
count_token (Layer *layer, const float *norms, guint n, double *sums)
{
  for (guint r = 0; r < n; r++)
    {
      guint rank = 0;

      for (guint q = 0; q < n; q++)
        rank += norms[q] > norms[r] || (norms[q] == norms[r] && q < r);
      layer->table[(gsize) r * layer->k + rank]++;
      layer->norms[r] += (double) norms[r];
      layer->slots[r]++;
      if (r == 0)
        sums[1] += rank == 0;
      for (guint q = r + 1; q < n; q++)
        {
          layer->concordance += (norms[r] > norms[q]) - (norms[r] < norms[q]);
          layer->pairs++;
        }
    }
  sums[0]++;
  sums[2] += 1.0 / n;
}

static gboolean
count_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
            GError **error)
{
  const Scan *scan = data;
  double *sums = scan->layer->sums + 3 * (gsize) ms_bootstrap_unit (scan->bootstrap, document);

  (void) row, (void) error;
  for (gsize i = from; i < (gsize) from + n; i++)
    {
      guint n_chosen = 0;

      while (n_chosen < chunk->k
             && ms_chunk_expert (chunk, i * chunk->k + n_chosen) < chunk->n_experts)
        n_chosen++;
      if (n_chosen > 0)
        count_token (scan->layer, chunk->norms + i * chunk->k, n_chosen, sums);
    }
  return TRUE;
}

static void
make_share (const double *sums, double *out, gpointer data)
{
  (void) data;
  out[0] = sums[0] > 0 ? sums[1] / sums[0] : NAN;
  out[1] = sums[0] > 0 ? sums[2] / sums[0] : NAN;
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Norms *all = data;
  Layer *layer = &all->layers[index];
  const MsLayer *def = ms_trace_layer (context->trace, index);
  Scan scan = { all->bootstrap, layer };
  MsInterval intervals[2];

  layer->block = def->number;
  layer->k = def->gate.k;
  layer->sums = g_new0 (double, 3 * (gsize) all->bootstrap->n_units);
  layer->table = g_new0 (double, (gsize) def->gate.k * def->gate.k);
  layer->norms = g_new0 (double, def->gate.k);
  layer->slots = g_new0 (double, def->gate.k);
  if (!ms_trace_scan_layer (context->trace, index, MS_CHUNK_NORMS, count_rows, &scan,
                            context->cancel, error))
    return FALSE;
  ms_bootstrap_rates (all->bootstrap, layer->sums, 3, make_share, NULL, 2, intervals);
  layer->share = intervals[0];
  layer->chance = intervals[1];
  return TRUE;
}

static void
write_layer (const Norms *all, const Layer *layer, MsResult *result)
{
  double n = 0;

  for (guint u = 0; u < all->bootstrap->n_units; u++)
    n += layer->sums[3 * (gsize) u];
  ms_table_add_row (result->tables[0], MS_INT (layer->block), MS_INT (llround (n)),
                    MS_INTERVAL (layer->share), MS_REAL (layer->chance.value),
                    MS_REAL (layer->pairs > 0 ? layer->concordance / layer->pairs : NAN));
  for (guint r = 0; r < layer->k; r++)
    {
      ms_table_add_row (result->tables[2], MS_INT (layer->block), MS_INT (r),
                        MS_INT (llround (layer->slots[r])),
                        MS_REAL (layer->slots[r] > 0 ? layer->norms[r] / layer->slots[r] : NAN));
      for (guint q = 0; q < layer->k; q++)
        {
          double count = layer->table[(gsize) r * layer->k + q];

          ms_table_add_row (result->tables[1], MS_INT (layer->block), MS_INT (r), MS_INT (q),
                            MS_INT (llround (count)),
                            MS_REAL (layer->slots[r] > 0 ? count / layer->slots[r] : NAN));
        }
    }
}

static void
summarise (const Norms *all, MsResult *result)
{
  const Layer *most = NULL, *least = NULL;
  double share = 0, chance = 0;
  guint n = 0;

  for (guint i = 0; i < all->n_layers; i++)
    {
      const Layer *layer = &all->layers[i];

      if (isnan (layer->share.value))
        continue;
      share += layer->share.value;
      chance += layer->chance.value;
      n++;
      most = most == NULL || layer->share.value > most->share.value ? layer : most;
      least = least == NULL || layer->share.value < least->share.value ? layer : least;
      if (layer->share.error > 0
          && fabs (layer->share.value - layer->chance.value) > 4 * layer->share.error)
        ms_result_find (
            result, MIN (fabs (layer->share.value - layer->chance.value) / layer->share.error, 1e6),
            ms_place (layer->block, -1, NULL, NULL),
            "layer %d: the first expert has the largest norm for %.0f %% of the tokens, %.0f %% by "
            "chance",
            (int) layer->block, 100 * layer->share.value, 100 * layer->chance.value);
    }
  if (n == 0)
    result->summary = g_strdup ("No selected token has an expert, so there are no norms to rank.");
  else
    result->summary = g_strdup_printf (
        "The expert that the router scores highest has the largest output norm for %.1f %% of the "
        "tokens (%.1f %% by chance); most in layer %d (%.1f %%), least in layer %d (%.1f %%).",
        100 * share / n, 100 * chance / n, (int) most->block, 100 * most->share.value,
        (int) least->block, 100 * least->share.value);
  ms_result_note (result,
                  "Ranks are among the experts chosen by a token; equal norms rank by score.");
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  Norms all = { 0 };
  gboolean fine;

  all.bootstrap = ms_bootstrap_new_of_trace (context);
  all.n_layers = ms_trace_n_layers (context->trace);
  all.layers = g_new0 (Layer, all.n_layers);
  fine = ms_context_tasks (context, all.n_layers, do_layer, &all, 0, 1, error);
  for (guint i = 0; fine && i < all.n_layers; i++)
    write_layer (&all, &all.layers[i], result);
  if (fine)
    summarise (&all, result);
  clear_norms (&all);
  return fine;
}

#define SCORE_RANK                                                                                 \
  {                                                                                                \
    "score_rank", "Score rank", NULL, MS_COLUMN_INT, "0 = highest score."                          \
  }

static const MsColumn layer_columns[] = {
  MS_LAYER_COLUMN,
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "With at least one expert." },
  { "share", "First expert is largest", NULL, MS_COLUMN_REAL,
    "Share of tokens whose highest-scored expert has the largest output norm." },
  MS_INTERVAL_COLUMNS ("", NULL),
  { "chance", "By chance", NULL, MS_COLUMN_REAL, "1 / experts of the token, mean over tokens." },
  { "concordance", "Concordance", NULL, MS_COLUMN_REAL,
    "Kendall's tau within tokens: pairs of experts in the same order minus pairs in the opposite "
    "one / pairs." },
  { 0 },
};

static const MsColumn rank_columns[] = {
  MS_LAYER_COLUMN,
  SCORE_RANK,
  { "norm_rank", "Norm rank", NULL, MS_COLUMN_INT, "0 = largest norm." },
  { "count", "Count", NULL, MS_COLUMN_INT, "Choices with these ranks." },
  { "share", "Share", NULL, MS_COLUMN_REAL, "Of the choices of this score rank." },
  { 0 },
};

static const MsColumn norm_columns[] = {
  MS_LAYER_COLUMN,
  SCORE_RANK,
  { "count", "Count", NULL, MS_COLUMN_INT, "Choices of this score rank." },
  { "norm", "Mean norm", NULL, MS_COLUMN_REAL, "Mean L2 norm of the experts' outputs." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Agreement of score and norm by layer", layer_columns },
  { "ranks", "Norm rank by score rank", rank_columns },
  { "norms", "Mean norm by score rank", norm_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "ranks",
    .title = "Norm rank by score rank",
    .table = "ranks",
    .mark = MS_MARK_HEATMAP,
    .x = "norm_rank",
    .y = "score_rank",
    .value = "share",
    .facet = "layer",
    .x_title = "Norm rank (0 = largest)",
    .y_title = "Score rank (0 = highest)",
    .value_title = "Share of choices" },
  { .name = "layers",
    .title = "How often the first expert has the largest norm",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "share",
    .low = "low",
    .high = "high",
    .y_title = "First has largest norm (share)",
    .reference = "chance" },
  { .name = "norms",
    .title = "Mean output norm by score rank",
    .table = "norms",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "norm",
    .series = "score_rank",
    .y_title = "Mean output norm" },
  { 0 },
};

const MsAnalysis ms_analysis_norms = {
  .name = "norms",
  .title = "Norms and Scores",
  .help = "Does the router prefer the experts whose outputs are largest?",
  .formula
  = "Share of tokens whose rank-0 expert has the largest ||f_e(x)|| among the chosen ones; "
    "count table of norm rank by score rank.",
  .cite = "A closer look into mixture-of-experts, arXiv 2406.18219, and kamanphoebe/Look-"
          "into-MoEs.",
  .version = 2,
  .needs = MS_NEEDS_NORMS,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
