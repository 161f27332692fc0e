/* What training frameworks log about their gates (metrics.md a: torchscale, fairseq, Tutel): entropy,
 * unused experts, top and bottom 20 % and overflow for each rank of the choice, per batch.
 *
 * An assignment's slot is the number of earlier assignments to the same expert, first choices of all
 * tokens before second ones; beyond the capacity it overflows but still counts for later ones. */
#include "analysis-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct
{
  double unused, top, bottom, overflow, n; /* sums over batches; n = batches with assignments */
} Rank;

typedef struct
{
  double entropy;      /* mean over tokens */
  MsInterval interval; /* of it, over documents */
  double aux;          /* mean over batches of E sum f P with first choices; NaN without scores */
  double routed, assignments; /* sums */
  gint64 capacity;            /* of the first batch */
  guint n_batches;
  Rank *ranks; /* (K) */
} Layer;

typedef struct
{
  double factor;
  gint64 batch;
  guint
      columns; /* from which entropies come: scores of a known gate, recorded entropies, or none */
  const MsBootstrap *bootstrap;
  Layer *layers; /* (L) */
} Telemetry;

/* torchscale: twice the fair share for top-2 gates, a factor of it for top-1 gates. */
static gint64
capacity_of (const Telemetry *telemetry, gint64 n_tokens, guint n_experts, guint k)
{
  gint64 fair = (n_tokens + n_experts - 1) / n_experts;

  return telemetry->factor > 0 ? (gint64) (telemetry->factor * (double) fair) : k * fair;
}

static int
compare_counts (gconstpointer a, gconstpointer b)
{
  guint64 left = *(const guint64 *) a, right = *(const guint64 *) b;

  return (left > right) - (left < right);
}

static void
measure_rank (guint64 *counts, guint n_experts, gint64 n_over, Rank *rank)
{
  guint fifth = MAX ((n_experts + 4) / 5, 1), unused = 0;
  double total = 0, top = 0, bottom = 0;

  qsort (counts, n_experts, sizeof (guint64), compare_counts);
  for (guint e = 0; e < n_experts; e++)
    {
      total += (double) counts[e];
      unused += counts[e] == 0;
      bottom += e < fifth ? (double) counts[e] : 0;
      top += e + fifth >= n_experts ? (double) counts[e] : 0;
    }
  if (!(total > 0))
    return;
  rank->n++;
  rank->unused += unused;
  rank->top += 100 * top / total;
  rank->bottom += 100 * bottom / total;
  rank->overflow += 100 * (double) n_over / total;
}

/* Rows first..first+n-1 of the layer as one batch. */
static void
do_batch (const Telemetry *telemetry, const MsLayerTrace *trace, gint64 first, gint64 n,
          Layer *layer)
{
  guint n_experts = trace->n_experts, k = trace->k;
  gint64 capacity = capacity_of (telemetry, n, n_experts, k);
  g_autofree gint64 *filled = g_new0 (gint64, n_experts);
  g_autofree guint64 *counts = g_new (guint64, n_experts);

  if (layer->n_batches++ == 0)
    layer->capacity = capacity;
  for (guint r = 0; r < k; r++)
    {
      gint64 n_over = 0;

      memset (counts, 0, n_experts * sizeof (guint64));
      for (gint64 t = first; t < first + n; t++)
        {
          guint16 expert = trace->experts[(gsize) t * k + r];

          if (expert == MS_NO_EXPERT)
            continue;
          counts[expert]++;
          layer->assignments++;
          if (filled[expert]++ >= capacity)
            n_over++;
          else
            layer->routed++;
        }
      measure_rank (counts, n_experts, n_over, &layer->ranks[r]);
    }
}

/* Entropy (T) of each token's distribution, and the first-choice loss of each batch. */
static void
use_scores (const Telemetry *telemetry, const MsTrace *run, guint index, const MsLayerTrace *trace,
            Layer *layer, double *entropy)
{
  guint n = trace->n_experts, n_batches = 0;
  g_autofree double *p = g_new (double, n), *sum_p = g_new0 (double, n);
  g_autofree double *first = g_new0 (double, n);
  gint64 in_batch = 0;

  layer->aux = 0;
  for (gint64 t = 0; t < trace->n_tokens; t++)
    {
      guint16 expert = trace->experts[(gsize) t * trace->k];

      ms_trace_distribution (run, index, trace->logits + (gsize) t * n, p);
      for (guint e = 0; e < n; e++)
        sum_p[e] += p[e];
      entropy[t] = ms_entropy (p, n);
      if (expert != MS_NO_EXPERT)
        first[expert]++;
      in_batch++;
      if (in_batch == telemetry->batch || t + 1 == trace->n_tokens)
        {
          double aux = 0, size = (double) in_batch;

          for (guint e = 0; e < n; e++)
            aux += n * (first[e] / size) * (sum_p[e] / size);
          layer->aux += aux;
          n_batches++;
          memset (first, 0, n * sizeof (double));
          memset (sum_p, 0, n * sizeof (double));
          in_batch = 0;
        }
    }
  layer->aux /= n_batches;
}

static void
mean_entropy (const double *sums, double *out, gpointer data)
{
  (void) data;
  out[0] = sums[0] / sums[1];
}

/* The mean over tokens of entropy (T), and its interval. */
static void
average_entropy (const Telemetry *telemetry, MsTrace *trace, const double *entropy, Layer *layer)
{
  g_autofree double *sums = g_new0 (double, 2 * telemetry->bootstrap->n_units);

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);
      double *sum = sums + 2 * ms_bootstrap_unit (telemetry->bootstrap, d);

      for (gint64 t = 0; t < document->n_tokens; t++)
        sum[0] += entropy[document->first_token + t];
      sum[1] += (double) document->n_tokens;
    }
  ms_bootstrap_intervals (telemetry->bootstrap, sums, 2, mean_entropy, NULL, 1, &layer->interval);
  layer->entropy = layer->interval.value;
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  const Telemetry *telemetry = data;
  Layer *layer = &telemetry->layers[index];
  guint columns = MS_CHUNK_EXPERTS | telemetry->columns;
  g_autoptr (MsLayerTrace) trace
      = ms_trace_load_layer (context->trace, index, columns, context->cancel, error);

  g_autofree double *entropy = NULL;

  if (trace == NULL)
    return FALSE;
  entropy = g_new (double, trace->n_tokens + 1);
  layer->ranks = g_new0 (Rank, trace->k);
  layer->entropy = layer->aux = layer->interval.low = layer->interval.high = NAN;
  for (gint64 t = 0; t < trace->n_tokens; t += telemetry->batch)
    do_batch (telemetry, trace, t, MIN (telemetry->batch, trace->n_tokens - t), layer);
  if (trace->logits != NULL)
    use_scores (telemetry, context->trace, index, trace, layer, entropy);
  for (gint64 t = 0; trace->logits == NULL && trace->entropy != NULL && t < trace->n_tokens; t++)
    entropy[t] = (double) trace->entropy[t];
  if (trace->logits != NULL || trace->entropy != NULL)
    average_entropy (telemetry, context->trace, entropy, layer);
  return TRUE;
}

static void
write_result (const MsContext *context, const Telemetry *telemetry, MsResult *result)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  double entropy = 0, routed = 0, assignments = 0;

  for (guint l = 0; l < n_layers; l++)
    {
      const Layer *layer = &telemetry->layers[l];
      const MsLayer *def = ms_trace_layer (context->trace, l);

      ms_table_add_row (result->tables[0], MS_INT (def->number), MS_REAL (layer->entropy),
                        MS_REAL (layer->interval.low), MS_REAL (layer->interval.high),
                        MS_REAL (layer->entropy / log (def->gate.n_experts)), MS_REAL (layer->aux),
                        MS_INT (layer->capacity), MS_INT ((gint64) layer->routed),
                        MS_REAL (1 - layer->routed / layer->assignments),
                        MS_INT (layer->n_batches));
      for (guint r = 0; r < def->gate.k; r++)
        {
          const Rank *rank = &layer->ranks[r];

          ms_table_add_row (result->tables[1], MS_INT (def->number), MS_INT (r + 1),
                            MS_REAL (rank->unused / rank->n), MS_REAL (rank->top / rank->n),
                            MS_REAL (rank->bottom / rank->n), MS_REAL (rank->overflow / rank->n));
        }
      entropy += layer->entropy / n_layers;
      routed += layer->routed;
      assignments += layer->assignments;
    }
  if (assignments == 0)
    result->summary = g_strdup ("No token has an expert: there is nothing that could overflow.");
  else if (isnan (entropy))
    result->summary = g_strdup_printf (
        "At this capacity %.3g %% of the assignments overflow; the entropy of the "
        "gates is not recorded.",
        100 * (1 - routed / assignments));
  else
    result->summary
        = g_strdup_printf ("The gates have an entropy of %.3g nats on average over layers; at this "
                           "capacity %.3g %% of the assignments overflow.",
                           entropy, 100 * (1 - routed / assignments));
  ms_result_note (result,
                  "Capacity per expert and batch: %s; first choices in token order come "
                  "before second choices.",
                  telemetry->factor > 0 ? "int (factor * ceil (T / E)) (torchscale top-1)"
                                        : "k ceil (T / E) (GShard, torchscale top-2)");
  ms_result_note (result,
                  "Every value but the entropy is a mean over batches, as frameworks log "
                  "them: batches cross documents, so these have no interval over documents.");
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  gint64 batch = ms_values_int (context->values, "batch");
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  guint columns = ms_trace_run (context->trace)->columns & (MS_CHUNK_ENTROPY | MS_CHUNK_LOGITS);
  gboolean gated = ms_trace_gated (context->trace, MS_GATE_SCORING, NULL);
  Telemetry telemetry = { ms_values_real (context->values, "capacity-factor"),
                          batch > 0 ? batch : ms_trace_n_tokens (context->trace),
                          gated ? columns : columns & ~(guint) MS_CHUNK_LOGITS, bootstrap, layers };
  gboolean fine = ms_context_tasks (context, n_layers, do_layer, &telemetry, 0, 1, error);

  if (fine)
    write_result (context, &telemetry, result);
  if (fine && !gated)
    ms_result_note (
        result, "The model's gate is unknown, so %s: import the trace again with --gating.",
        columns & MS_CHUNK_ENTROPY ? "entropies are those recorded, and the first-choice "
                                     "loss is undefined"
                                   : "entropies and the first-choice loss are undefined");
  for (guint l = 0; l < n_layers; l++)
    g_free (layers[l].ranks);
  return fine;
}

/* --- The descriptor -------------------------------------------------------------------------- */

static const MsParam params[] = {
  { .name = "batch",
    .title = "Batch",
    .help = "Tokens that are gated together; 0 = all selected tokens.",
    .unit = "tokens",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 1e9 },
  { .name = "capacity-factor",
    .title = "Capacity factor",
    .help = "Capacity = int (factor * ceil (T / E)); 0 = k ceil (T / E), as top-2 gates do.",
    .type = MS_PARAM_REAL,
    .least = 0,
    .most = 1000,
    .ui_least = 0,
    .ui_most = 4 },
  { 0 },
};

static const MsColumn layer_columns[] = {
  MS_LAYER_COLUMN,
  { "entropy", "Gate entropy", "nats", MS_COLUMN_REAL,
    "Mean over tokens of the entropy of the router's probabilities (entropy_gating)." },
  { "entropy_low", "Low", "nats", MS_COLUMN_REAL,
    "Lower end of the bootstrap interval of the entropy over documents." },
  { "entropy_high", "High", "nats", MS_COLUMN_REAL, "Upper end of the interval." },
  { "entropy_normalised", "Gate entropy / ln E", NULL, MS_COLUMN_REAL, "The same / ln E." },
  { "aux", "First-choice loss", NULL, MS_COLUMN_REAL,
    "Mean over batches of E sum f P, f of first choices; undefined without router scores." },
  { "capacity", "Capacity", "assignments", MS_COLUMN_INT, "Per expert in the first batch." },
  { "routed", "Routed", "assignments", MS_COLUMN_INT, "Assignments within the capacity." },
  { "overflow", "Overflow", NULL, MS_COLUMN_REAL, "Part of all assignments beyond the capacity." },
  { "n_batches", "Batches", NULL, MS_COLUMN_INT, "Batches of the selected tokens." },
  { 0 },
};

static const MsColumn rank_columns[] = {
  MS_LAYER_COLUMN,
  { "rank", "Rank", NULL, MS_COLUMN_INT, "1 = first choices." },
  { "unused", "Unused experts", "experts", MS_COLUMN_REAL,
    "Experts without a choice of this rank (unused_expertR_count)." },
  { "balance_top", "Top 20 %", "%", MS_COLUMN_REAL,
    "Share of this rank's choices of the max (ceil (0.2 E), 1) busiest experts." },
  { "balance_bottom", "Bottom 20 %", "%", MS_COLUMN_REAL, "The same of the least busy experts." },
  { "overflow", "Overflow", "%", MS_COLUMN_REAL,
    "Choices of this rank beyond the capacity (overflow_expertR)." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "gates", "Gates by layer", layer_columns },
  { "ranks", "Choices by rank", rank_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "entropy",
    .title = "Gate entropy by layer",
    .table = "gates",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "entropy",
    .low = "entropy_low",
    .high = "entropy_high" },
  { .name = "overflow",
    .title = "Overflow by layer and rank",
    .table = "ranks",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "overflow",
    .series = "rank" },
  { 0 },
};

const MsAnalysis ms_analysis_gate_telemetry = {
  .name = "gate-telemetry",
  .title = "Gate Telemetry",
  .help = "What would a training framework have logged about these gates?",
  .formula = "Per batch of T tokens: entropy of the gates, experts unused by first (second, ...) "
             "choices, share of the 20 % busiest and least busy experts, and choices beyond the "
             "capacity, in percent.",
  .cite = "torchscale's gates and telemetry, top-1 and top-2 (GShard, arXiv 2006.16668).",
  .version = 3,
  .live = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
