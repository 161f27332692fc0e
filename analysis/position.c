/* Position (metrics.md f.2): how the load of the experts changes along a document.
 *
 * Tokens are put into bins by their place in the document, counted among its selected tokens.  The chance
 * value shuffles the places within every document, so it keeps what the documents are about.  Which
 * assignments would be dropped under a capacity is the matter of the capacity analysis; recorded drops are
 * given here. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

#define MOST_BINS 64

enum
{
  BINS_DOUBLING,
  BINS_EQUAL
};
static const char *const bin_choices[] = { "doubling", "equal", NULL };

typedef struct
{
  gint64 block;
  guint n_experts;
  double *totals;                       /* (bins, E + 1) counts, then tokens */
  MsInterval *distances;                /* (bins) JS from the whole layer */
  MsInterval *entropies;                /* (bins) of the load, over ln E */
  double *distance_null, *entropy_null; /* (bins) */
  double *uncertainty;                  /* (bins) mean router entropy, NaN = not recorded */
  double *dropped;                      /* (bins) share of assignments, NaN = not recorded */
} Layer;

typedef struct
{
  MsBootstrap *bootstrap;
  guint n_bins, n_layers, n_shuffles;
  gint64 *first; /* (n_bins + 1) positions of bin i: first[i] .. first[i + 1] - 1 */
  guint8 *bins;  /* (T) bin of every row */
  Layer *layers; /* (n_layers) */
} Position;

static void
clear_position (Position *all)
{
  for (guint i = 0; i < all->n_layers; i++)
    {
      g_free (all->layers[i].totals);
      g_free (all->layers[i].distances);
      g_free (all->layers[i].entropies);
      g_free (all->layers[i].distance_null);
      g_free (all->layers[i].entropy_null);
      g_free (all->layers[i].uncertainty);
      g_free (all->layers[i].dropped);
    }
  g_free (all->layers);
  g_free (all->first);
  g_free (all->bins);
  ms_bootstrap_free (all->bootstrap);
}

/* The bin borders up to the longest document; the last bin takes all that follows. */
static void
make_bins (const MsContext *context, Position *all)
{
  gint64 width = ms_values_int (context->values, "width"), longest = 0;
  gboolean equal = ms_values_choice (context->values, "bins") == BINS_EQUAL;

  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    longest = MAX (longest, ms_trace_document (context->trace, d)->n_tokens);
  all->first = g_new0 (gint64, MOST_BINS + 1);
  for (gint64 at = 0; at < longest && all->n_bins < MOST_BINS; all->n_bins++)
    {
      all->first[all->n_bins] = at;
      at = equal ? at + width : at == 0 ? 1 : 2 * at;
    }
  all->first[all->n_bins] = longest;
  all->bins = g_new (guint8, ms_trace_n_tokens (context->trace));
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      guint bin = 0;

      for (gint64 i = 0; i < document->n_tokens; i++)
        {
          while (bin + 1 < all->n_bins && i >= all->first[bin + 1])
            bin++;
          all->bins[document->first_token + i] = (guint8) bin;
        }
    }
}

/* --- Counting -------------------------------------------------------------------------------- */

typedef struct
{
  const Position *all;
  Layer *layer;
  gboolean has_entropy, has_drops;
  double *sums;                          /* (U, bins, E + 1) */
  double *slots, *drops, *mean, *n_mean; /* (bins) */
} Counting;

static gboolean
count_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
            GError **error)
{
  const Counting *counting = data;
  const Position *all = counting->all;
  gsize n_experts = counting->layer->n_experts;
  double *sums
      = counting->sums
        + (gsize) ms_bootstrap_unit (all->bootstrap, document) * all->n_bins * (n_experts + 1);

  (void) error;
  for (guint i = 0; i < n; i++)
    {
      gsize at = (gsize) from + i;
      guint bin = all->bins[row + i];
      double *own = sums + bin * (n_experts + 1);

      if (counting->has_entropy)
        {
          counting->mean[bin] += (double) chunk->entropy[at];
          counting->n_mean[bin]++;
        }
      own[n_experts] += ms_chunk_expert (chunk, at * chunk->k) < n_experts;
      for (guint r = 0; r < chunk->k; r++)
        {
          guint e = ms_chunk_expert (chunk, at * chunk->k + r);

          if (e >= n_experts)
            continue;
          own[e]++;
          counting->slots[bin]++;
          if (counting->has_drops)
            counting->drops[bin] += chunk->dropped[at * chunk->k + r] != 0;
        }
    }
  return TRUE;
}

typedef struct
{
  guint n_bins, n_experts;
} Statistic;

/* Distances from the whole (bins), then normalised entropies (bins). */
static void
make_statistics (const double *sums, double *out, gpointer data)
{
  const Statistic *statistic = data;
  guint n = statistic->n_experts;
  g_autofree double *whole = g_new0 (double, n);

  for (guint b = 0; b < statistic->n_bins; b++)
    for (guint e = 0; e < n; e++)
      whole[e] += sums[(gsize) b * (n + 1) + e];
  for (guint b = 0; b < statistic->n_bins; b++)
    {
      const double *own = sums + (gsize) b * (n + 1);

      out[b] = ms_js (own, whole, n);
      out[statistic->n_bins + b] = n > 1 ? ms_entropy (own, n) / log (n) : NAN;
    }
}

/* Shuffles the rows within every document. */
static void
shuffle_places (const MsTrace *trace, guint64 *state, gint64 *order)
{
  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);
      gint64 *own = order + document->first_token;

      for (gint64 i = document->n_tokens; i > 1; i--)
        {
          gint64 j = (gint64) ms_random_below (state, (guint64) i), kept = own[i - 1];

          own[i - 1] = own[j];
          own[j] = kept;
        }
    }
}

/* The same statistics with the tokens of every document in random places, mean over the shuffles. */
static gboolean
measure_null (const MsContext *context, const Position *all, guint index, Layer *layer,
              GError **error)
{
  g_autoptr (MsLayerTrace) trace
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);
  gsize width = (gsize) layer->n_experts + 1;
  g_autofree double *sums = g_new (double, all->n_bins *width);
  g_autofree double *made = g_new (double, 2 * all->n_bins);
  g_autofree gint64 *order = NULL;
  guint64 state = ms_seed (context->sampling.seed, 5000);
  Statistic statistic = { all->n_bins, layer->n_experts };

  if (trace == NULL)
    return FALSE;
  order = g_new (gint64, trace->n_tokens);
  for (gint64 i = 0; i < trace->n_tokens; i++)
    order[i] = i;
  for (guint s = 0; s < all->n_shuffles; s++)
    {
      shuffle_places (context->trace, &state, order);
      memset (sums, 0, all->n_bins * width * sizeof (double));
      for (gint64 i = 0; i < trace->n_tokens; i++)
        for (guint r = 0; r < trace->k; r++)
          {
            guint e = trace->experts[(gsize) order[i] * trace->k + r];

            if (e < layer->n_experts)
              sums[all->bins[i] * width + e]++;
          }
      make_statistics (sums, made, &statistic);
      for (guint b = 0; b < all->n_bins; b++)
        {
          layer->distance_null[b] += made[b] / all->n_shuffles;
          layer->entropy_null[b] += made[all->n_bins + b] / all->n_shuffles;
        }
    }
  for (guint b = 0; all->n_shuffles == 0 && b < all->n_bins; b++)
    layer->distance_null[b] = layer->entropy_null[b] = NAN;
  return TRUE;
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Position *all = data;
  Layer *layer = &all->layers[index];
  guint columns = ms_trace_run (context->trace)->columns & (MS_CHUNK_ENTROPY | MS_CHUNK_DROPPED);
  guint n = ms_trace_layer (context->trace, index)->gate.n_experts, n_bins = all->n_bins;
  gsize width = (gsize) n_bins * (n + 1);
  g_autofree double *sums = g_new0 (double, all->bootstrap->n_units *width);
  g_autofree double *slots = g_new0 (double, n_bins), *n_mean = g_new0 (double, n_bins);
  g_autofree MsInterval *intervals = g_new (MsInterval, 2 * n_bins);
  Statistic statistic = { n_bins, n };
  Counting counting = { .all = all,
                        .layer = layer,
                        .has_entropy = (columns & MS_CHUNK_ENTROPY) != 0,
                        .has_drops = (columns & MS_CHUNK_DROPPED) != 0,
                        .sums = sums,
                        .slots = slots,
                        .n_mean = n_mean };

  layer->block = ms_trace_layer (context->trace, index)->number;
  layer->n_experts = n;
  layer->totals = g_new0 (double, width);
  layer->distance_null = g_new0 (double, n_bins);
  layer->entropy_null = g_new0 (double, n_bins);
  counting.mean = layer->uncertainty = g_new0 (double, n_bins);
  counting.drops = layer->dropped = g_new0 (double, n_bins);
  if (!ms_trace_scan_layer (context->trace, index, columns, count_rows, &counting, context->cancel,
                            error))
    return FALSE;
  for (guint u = 0; u < all->bootstrap->n_units; u++)
    for (gsize i = 0; i < width; i++)
      layer->totals[i] += sums[u * width + i];
  for (guint b = 0; b < n_bins; b++)
    {
      layer->uncertainty[b] = n_mean[b] > 0 ? layer->uncertainty[b] / n_mean[b] : NAN;
      layer->dropped[b] = counting.has_drops && slots[b] > 0 ? layer->dropped[b] / slots[b] : NAN;
    }
  ms_bootstrap_intervals (all->bootstrap, sums, (guint) width, make_statistics, &statistic,
                          2 * n_bins, intervals);
  for (guint b = 0; b < n_bins; b++)
    {
      ms_interval_clamp (&intervals[b], 0, G_LN2);
      ms_interval_clamp (&intervals[n_bins + b], 0, 1);
    }
  layer->distances = g_memdup2 (intervals, n_bins * sizeof (MsInterval));
  layer->entropies = g_memdup2 (intervals + n_bins, n_bins * sizeof (MsInterval));
  return measure_null (context, all, index, layer, error);
}

/* --- Tables ---------------------------------------------------------------------------------- */

static void
write_layer (const Position *all, const Layer *layer, MsResult *result)
{
  guint n = layer->n_experts;
  g_autofree double *whole = g_new0 (double, n + 1);
  double all_choices = 0;

  for (guint b = 0; b < all->n_bins; b++)
    for (guint e = 0; e < n; e++)
      {
        whole[e] += layer->totals[(gsize) b * (n + 1) + e];
        all_choices += layer->totals[(gsize) b * (n + 1) + e];
      }
  for (guint b = 0; b < all->n_bins; b++)
    {
      const double *own = layer->totals + (gsize) b * (n + 1);
      double choices = 0;
      guint top = 0;

      for (guint e = 0; e < n; e++)
        {
          choices += own[e];
          if (own[e] > own[top])
            top = e;
        }
      ms_table_add_row (result->tables[0], MS_INT (layer->block), MS_INT (all->first[b]),
                        MS_INT (all->first[b + 1] - 1), MS_INT (llround (own[n])),
                        MS_CORRECTED (layer->distances[b]), MS_REAL (layer->distance_null[b]),
                        MS_CORRECTED (layer->entropies[b]), MS_REAL (layer->entropy_null[b]),
                        MS_REAL (layer->uncertainty[b]), MS_REAL (layer->dropped[b]), MS_INT (top),
                        MS_REAL (choices > 0 ? own[top] * n / choices : NAN));
      for (guint e = 0; e < n; e++)
        ms_table_add_row (
            result->tables[1], MS_INT (layer->block), MS_INT (all->first[b]), MS_INT (e),
            MS_INT (llround (own[e])), MS_REAL (choices > 0 ? own[e] * n / choices : NAN),
            MS_REAL (choices > 0 && whole[e] > 0 ? own[e] / choices / (whole[e] / all_choices)
                                                 : NAN));
      if (layer->distances[b].value > 3 * layer->distance_null[b]
          && layer->distances[b].low > layer->distance_null[b])
        {
          g_autofree char *where
              = all->first[b] == all->first[b + 1] - 1
                    ? g_strdup_printf ("position %" G_GINT64_FORMAT " is", all->first[b])
                    : g_strdup_printf ("positions %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT " are",
                                       all->first[b], all->first[b + 1] - 1);

          ms_result_find (
              result, MIN (layer->distances[b].value / layer->distance_null[b], 1e6),
              ms_place (layer->block, top, NULL, NULL),
              "layer %d: %s routed unlike the rest (JS %.3g nats; uncorrected %.3g, %.3g of "
              "it by chance), "
              "%.3gx its fair share to expert %u",
              (int) layer->block, where, layer->distances[b].corrected, layer->distances[b].value,
              layer->distance_null[b], own[top] * n / choices, top);
        }
    }
}

static void
summarise (const MsContext *context, const Position *all, MsResult *result)
{
  g_autofree double *excess = g_new0 (double, all->n_bins);
  guint most = 0, last = all->n_bins - 1;
  g_autoptr (GString) others = NULL;
  g_autofree char *where = NULL;

  for (guint b = 0; b < all->n_bins; b++)
    {
      for (guint i = 0; i < all->n_layers; i++)
        excess[b] += (all->layers[i].distances[b].value
                      - (all->n_shuffles > 0 ? all->layers[i].distance_null[b] : 0))
                     / all->n_layers;
      if (excess[b] > excess[most])
        most = b;
    }
  if (all->first[most + 1] - 1 > all->first[most])
    where = g_strdup_printf ("positions %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                             all->first[most], all->first[most + 1] - 1);
  else
    where = g_strdup_printf ("position %" G_GINT64_FORMAT, all->first[most]);
  others = g_string_new (NULL);
  if (most != 0)
    g_string_append_printf (others, ", against %.3g at the first position", excess[0]);
  if (most != last)
    g_string_append_printf (others, "%s%.3g from position %" G_GINT64_FORMAT " on",
                            most != 0 ? " and " : ", against ", excess[last], all->first[last]);
  result->summary = g_strdup_printf (
      "Routing differs most from the rest at %s: by %.3g nats of Jensen-Shannon above chance, mean "
      "over layers%s.",
      where, excess[most], others->str);
  ms_result_note (result,
                  "Positions count the selected tokens of each document from 0; the chance "
                  "value puts the tokens of every document in random places, %u times.",
                  all->n_shuffles);
  if (all->n_bins == MOST_BINS)
    ms_result_note (result, "There are %d bins; the last one takes all further positions.",
                    MOST_BINS);
  if (!(ms_trace_run (context->trace)->columns & MS_CHUNK_DROPPED))
    ms_result_note (result, "The run records no drops.");
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  Position all = { .n_shuffles = (guint) ms_values_int (context->values, "permutations") };
  gboolean fine;

  all.bootstrap = ms_bootstrap_new_of_trace (context);
  make_bins (context, &all);
  all.n_layers = ms_trace_n_layers (context->trace);
  all.layers = g_new0 (Layer, all.n_layers);
  fine = ms_context_tasks (context, all.n_layers, do_layer, &all, 0, 1, error);
  for (guint i = 0; fine && i < all.n_layers; i++)
    write_layer (&all, &all.layers[i], result);
  if (fine)
    summarise (context, &all, result);
  clear_position (&all);
  return fine;
}

static const MsParam params[] = {
  { .name = "bins",
    .title = "Bins",
    .help = "Bins that double in width (0, 1, 2-3, 4-7, ...), or all of --width.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 1,
    .usual = BINS_DOUBLING,
    .choices = bin_choices },
  { .name = "width",
    .title = "Width",
    .help = "Tokens of an equal bin.",
    .unit = "tokens",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 1e9,
    .usual = 64,
    .ui_least = 1,
    .ui_most = 1024 },
  { .name = "permutations",
    .title = "Shuffles",
    .help = "How often tokens are put in random places of their document for the chance values.",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 1000,
    .usual = 5,
    .ui_least = 0,
    .ui_most = 20 },
  { 0 },
};

#define FROM                                                                                       \
  {                                                                                                \
    "from", "Position", "tokens", MS_COLUMN_INT, "First position of the bin."                      \
  }

static const MsColumn bin_columns[] = {
  MS_LAYER_COLUMN,
  FROM,
  { "to", "Last position", "tokens", MS_COLUMN_INT, "Of the bin." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "With at least one expert." },
  { "js", "Distance from the whole", "nats", MS_COLUMN_REAL,
    "Jensen-Shannon divergence of the bin's expert shares from those of the layer." },
  MS_CORRECTED_COLUMN ("js_", "nats"),
  MS_INTERVAL_COLUMNS ("js_", "nats"),
  { "js_null", "By chance", "nats", MS_COLUMN_REAL, "js with places shuffled within documents." },
  { "entropy", "Entropy of the load", NULL, MS_COLUMN_REAL, "Of the shares, over ln E." },
  MS_CORRECTED_COLUMN ("entropy_", NULL),
  MS_INTERVAL_COLUMNS ("entropy_", NULL),
  { "entropy_null", "By chance", NULL, MS_COLUMN_REAL,
    "entropy with places shuffled within documents." },
  { "uncertainty", "Router entropy", "nats", MS_COLUMN_REAL,
    "Mean over tokens; undefined when not recorded." },
  { "dropped", "Dropped", NULL, MS_COLUMN_REAL,
    "Dropped assignments / assignments; undefined when not recorded." },
  { "top_expert", "Top expert", NULL, MS_COLUMN_INT, "The expert of largest share." },
  { "top_load", "Its load", "times the fair share", MS_COLUMN_REAL, "share E." },
  { 0 },
};

static const MsColumn expert_columns[] = {
  MS_LAYER_COLUMN,
  FROM,
  MS_EXPERT_COLUMN,
  { "count", "Count", NULL, MS_COLUMN_INT, "Choices in the bin." },
  { "load", "Load", "times the fair share", MS_COLUMN_REAL,
    "Share of the bin's choices, times E." },
  { "ratio", "Times its usual load", NULL, MS_COLUMN_REAL, "Share in the bin / in the layer." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "bins", "Load along a document", bin_columns },
  { "experts", "Experts along a document", expert_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "distance",
    .title = "Distance of the routing from that of the whole layer",
    .table = "bins",
    .mark = MS_MARK_LINE,
    .x = "from",
    .x_scale = MS_SCALE_CATEGORY,
    .y = "js_corrected",
    .y_title = "Distance from the whole (nats)",
    .series = "layer" },
  { .name = "layers",
    .title = "Distance from the whole, by layer",
    .table = "bins",
    .mark = MS_MARK_LINE,
    .x = "from",
    .x_scale = MS_SCALE_CATEGORY,
    .y = "js_corrected",
    .y_title = "Distance from the whole (nats)",
    .low = "js_low",
    .high = "js_high",
    .facet = "layer" },
  { .name = "experts",
    .title = "Load of every expert along a document",
    .table = "experts",
    .mark = MS_MARK_HEATMAP,
    .x = "from",
    .y = "expert",
    .value = "ratio",
    .facet = "layer",
    .value_scale = MS_SCALE_RATIO,
    .centre = 1 },
  { .name = "entropy",
    .title = "Entropy of the load along a document",
    .table = "bins",
    .mark = MS_MARK_LINE,
    .x = "from",
    .x_scale = MS_SCALE_CATEGORY,
    .y = "entropy_corrected",
    .y_title = "Entropy of the load",
    .low = "entropy_low",
    .high = "entropy_high",
    .facet = "layer" },
  { .name = "dropped",
    .title = "Recorded drops along a document",
    .table = "bins",
    .mark = MS_MARK_LINE,
    .x = "from",
    .x_scale = MS_SCALE_CATEGORY,
    .y = "dropped",
    .series = "layer" },
  { 0 },
};

const MsAnalysis ms_analysis_position = {
  .name = "position",
  .title = "Position",
  .help = "Does routing depend on the place in the document, and how?",
  .formula = "JS between the expert shares of the tokens at some positions and those of the whole "
             "layer; entropy of the shares / ln E; dropped = dropped assignments / assignments at "
             "these positions.",
  .cite = "OpenMoE (drop towards the end, routing by position).",
  .version = 2,
  .times = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
