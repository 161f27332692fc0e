/* How sure is the router: entropy, perplexity, margin, Tsallis entropy, and the tokens that are uncertain
 * by GW-MoE's rule (metrics.md f.6).
 *
 * With full router scores everything is exact; without, the recorded entropy and margin serve and what
 * needs the distribution is undefined. */
#include "analysis-private.h"

#include <math.h>

static const MsParam params[] = {
  { "threshold", "Threshold", "A token is uncertain when its entropy reaches this", "nats",
    MS_PARAM_REAL, 0, 12, 1.6, .ui_least = 0, .ui_most = 5 },
  { "slots", "Broadcast slots",
    "Uncertain tokens of a document that are broadcast, first come; 0 = all", "tokens",
    MS_PARAM_INT, 0, 1000000, 8, .ui_least = 0, .ui_most = 64 },
  { "q", "Tsallis q", "Order of the Tsallis entropy; 1 = Shannon", NULL, MS_PARAM_REAL, 0.01, 10,
    1.1, .ui_least = 0.5, .ui_most = 2 },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Uncertainty by layer",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "tokens", "Tokens", NULL, MS_COLUMN_INT, "Tokens measured" },
        { "shannon_nats", "Entropy", "nats", MS_COLUMN_REAL,
          "Mean of H(p) = -sum p ln p over all experts" },
        { "low", "Entropy, low", "nats", MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "high", "Entropy, high", "nats", MS_COLUMN_REAL, "Upper end" },
        { "shannon_bits", "Entropy in bits", "bits", MS_COLUMN_REAL, "H(p) / ln 2" },
        { "normalised", "Normalised entropy", NULL, MS_COLUMN_REAL,
          "H(p) / ln E; undefined for E = 1" },
        { "uniform_nats", "Entropy of uniform routing", "nats", MS_COLUMN_REAL, "ln E" },
        { "perplexity", "Perplexity", "experts", MS_COLUMN_REAL, "Mean of exp H(p)" },
        { "tsallis", "Tsallis entropy", NULL, MS_COLUMN_REAL,
          "Mean of (1 - sum p^q) / (q - 1); needs scores" },
        { "max_prob", "Largest probability", NULL, MS_COLUMN_REAL, "Mean of max p; needs scores" },
        { "margin_top1_top2", "Margin of first and second", NULL, MS_COLUMN_REAL,
          "Mean of p(1) - p(2); needs scores" },
        { "selection_margin", "Selection margin", NULL, MS_COLUMN_REAL,
          "Mean of worst chosen minus best rejected selection score, as recorded" },
        { "mean_entropy_gw", "Entropy, GW-MoE", "nats", MS_COLUMN_REAL,
          "Mean of -sum p ln (p + 1e-5), which its rule thresholds; needs scores" },
        { "uncertain_ratio", "Uncertain", NULL, MS_COLUMN_REAL,
          "Share of tokens whose GW-MoE entropy (recorded entropy without scores) reaches the "
          "threshold" },
        { "uncertain_low", "Uncertain, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "uncertain_high", "Uncertain, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "broadcast_ratio", "Broadcast", NULL, MS_COLUMN_REAL,
          "Share of tokens that are uncertain and among the first slots of their document" },
        { 0 } } },
  { "distribution", "Distribution of entropy",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "entropy_from", "Entropy from", "nats", MS_COLUMN_REAL, "Left edge of the bin" },
        { "entropy_to", "Entropy to", "nats", MS_COLUMN_REAL, "Right edge" },
        { "tokens", "Tokens", NULL, MS_COLUMN_INT, "Tokens in the bin" },
        { "share", "Share", NULL, MS_COLUMN_REAL, "Of the layer's tokens" },
        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "entropy",
    .title = "Router entropy",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "shannon_nats",
    .low = "low",
    .high = "high",
    .reference = "uniform_nats" },
  { .name = "uncertain",
    .title = "Uncertain tokens",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "uncertain_ratio",
    .low = "uncertain_low",
    .high = "uncertain_high",
    .y_title = "Uncertain tokens (share)" },
  { .name = "distribution",
    .title = "Distribution of router entropy",
    .table = "distribution",
    .mark = MS_MARK_HISTOGRAM,
    .x = "entropy_from",
    .y = "share",
    .facet = "layer",
    .x2 = "entropy_to",
    .x_title = "Router entropy (nats)",
    .y_title = "Share of tokens" },
  { 0 },
};

#define BINS 32

enum
{
  SUM_TOKENS,
  SUM_ENTROPY,
  SUM_PERPLEXITY,
  SUM_TSALLIS,
  SUM_LARGEST,
  SUM_FIRST_SECOND,
  SUM_MARGIN,
  SUM_GW,
  SUM_UNCERTAIN,
  SUM_BROADCAST,
  SUM_MARGINS, /* tokens with a margin: a token without an expert has none */
  N_SUMS,
};

typedef struct
{
  double *units; /* (U, N_SUMS) */
  guint64 bins[BINS];
  gint64 n_undefined; /* tokens for which the router put out no numbers */
} Layer;

typedef struct
{
  const MsBootstrap *bootstrap;
  Layer *layers;
  guint columns;
  double threshold, q;
  gint64 slots;
} Job;

static void
measure_scores (const double *p, guint n, double q, double *sums, double *entropy, double *gw)
{
  double first = 0, second = 0, tsallis = 0;

  *gw = 0;
  *entropy = ms_entropy (p, n);
  for (guint e = 0; e < n; e++)
    {
      *gw -= p[e] * log (p[e] + 1e-5);
      if (p[e] > 0)
        tsallis += pow (p[e], q);
      if (p[e] > first)
        {
          second = first;
          first = p[e];
        }
      else
        second = MAX (second, p[e]);
    }
  sums[SUM_TSALLIS] += q == 1 ? *entropy : (1 - tsallis) / (q - 1);
  sums[SUM_LARGEST] += first;
  sums[SUM_FIRST_SECOND] += first - second;
  sums[SUM_GW] += *gw;
}

static gboolean
scan_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  g_autoptr (MsLayerTrace) layer
      = ms_trace_load_layer (context->trace, index, job->columns, context->cancel, error);
  g_autofree double *p = NULL;
  double top;

  if (layer == NULL)
    return FALSE;
  p = g_new (double, layer->n_experts);
  top = log (layer->n_experts);
  out->units = g_new0 (double, (gsize) job->bootstrap->n_units *N_SUMS);
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      double *sums = out->units + (gsize) ms_bootstrap_unit (job->bootstrap, d) * N_SUMS;
      gint64 uncertain = 0;

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          double entropy, gw = NAN;
          int bin;

          if (layer->logits != NULL)
            {
              ms_trace_distribution (context->trace, index, layer->logits + t * layer->n_experts,
                                     p);
              entropy = ms_entropy (p, layer->n_experts);
            }
          else
            entropy = gw = layer->entropy[t];
          if (isnan (entropy)) /* of a router that put out no numbers: no decision to be sure of */
            {
              out->n_undefined++;
              continue;
            }
          if (layer->logits != NULL)
            measure_scores (p, layer->n_experts, job->q, sums, &entropy, &gw);
          sums[SUM_TOKENS]++;
          sums[SUM_ENTROPY] += entropy;
          sums[SUM_PERPLEXITY] += exp (entropy);
          if (layer->margin != NULL && !isnan (layer->margin[t]))
            {
              sums[SUM_MARGIN] += layer->margin[t];
              sums[SUM_MARGINS]++;
            }
          if (gw >= job->threshold)
            {
              sums[SUM_UNCERTAIN]++;
              sums[SUM_BROADCAST] += job->slots == 0 || uncertain < job->slots;
              uncertain++;
            }
          bin = top > 0 ? (int) (entropy / top * BINS) : 0;
          out->bins[CLAMP (bin, 0, BINS - 1)]++;
        }
    }
  return TRUE;
}

static void
means (const double *sums, double *out, gpointer data)
{
  (void) data;
  for (guint i = 0; i < N_SUMS; i++)
    out[i] = sums[SUM_TOKENS] > 0 ? sums[i] / sums[SUM_TOKENS] : NAN;
  out[SUM_MARGIN] = sums[SUM_MARGINS] > 0 ? sums[SUM_MARGIN] / sums[SUM_MARGINS] : NAN;
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  guint recorded = ms_trace_run (context->trace)->columns;
  gboolean gated = ms_trace_gated (context->trace, MS_GATE_SCORING, NULL);
  gboolean scores = (recorded & MS_CHUNK_LOGITS) != 0 && gated;
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  Job job = { bootstrap,
              layers,
              (scores ? MS_CHUNK_LOGITS : MS_CHUNK_ENTROPY) | (recorded & MS_CHUNK_MARGIN),
              ms_values_real (context->values, "threshold"),
              ms_values_real (context->values, "q"),
              ms_values_int (context->values, "slots") };
  double entropy = 0, uniform = 0, uncertain = 0;
  gint64 undefined = 0;
  guint n_measured = 0;
  guint surest = 0;
  double least = INFINITY;
  gboolean fine;

  if (!(recorded & (MS_CHUNK_LOGITS | MS_CHUNK_ENTROPY)))
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "run %" G_GINT64_FORMAT
                   " has neither router scores nor entropies: import the scores "
                   "too, or collect the run with moescope",
                   ms_trace_run (context->trace)->id);
      return FALSE;
    }
  if (!gated && !(recorded & MS_CHUNK_ENTROPY))
    return ms_trace_gated (context->trace, MS_GATE_SCORING, error);
  fine = ms_context_tasks (context, n_layers, scan_layer, &job, 0, 0.95, error);
  for (guint l = 0; l < n_layers && fine; l++)
    {
      const MsLayer *layer = ms_trace_layer (context->trace, l);
      double top = log (layer->gate.n_experts), tokens = 0;
      const MsIntervalRule rule = { bootstrap->confidence, bootstrap->reach };
      MsInterval v[N_SUMS];

      for (guint u = 0; u < bootstrap->n_units; u++)
        tokens += layers[l].units[u * N_SUMS + SUM_TOKENS];
      ms_bootstrap_intervals (bootstrap, layers[l].units, N_SUMS, means, NULL, N_SUMS, v);
      ms_interval_bound (&v[SUM_UNCERTAIN], &rule, 0, 1, 1 / tokens);
      ms_table_add_row (
          ms_result_table (result, "layers"), MS_INT (layer->number), MS_INT ((gint64) tokens),
          MS_INTERVAL (v[SUM_ENTROPY]), MS_REAL (v[SUM_ENTROPY].value / G_LN2),
          MS_REAL (top > 0 ? v[SUM_ENTROPY].value / top : NAN), MS_REAL (top),
          MS_REAL (v[SUM_PERPLEXITY].value), MS_REAL (scores ? v[SUM_TSALLIS].value : NAN),
          MS_REAL (scores ? v[SUM_LARGEST].value : NAN),
          MS_REAL (scores ? v[SUM_FIRST_SECOND].value : NAN),
          MS_REAL (recorded & MS_CHUNK_MARGIN ? v[SUM_MARGIN].value : NAN),
          MS_REAL (scores ? v[SUM_GW].value : NAN), MS_INTERVAL (v[SUM_UNCERTAIN]),
          MS_REAL (v[SUM_BROADCAST].value));
      for (guint i = 0; i < BINS; i++)
        ms_table_add_row (ms_result_table (result, "distribution"), MS_INT (layer->number),
                          MS_REAL (i * top / BINS), MS_REAL ((i + 1) * top / BINS),
                          MS_INT (layers[l].bins[i]),
                          MS_REAL (tokens > 0 ? (double) layers[l].bins[i] / tokens : NAN));
      undefined += layers[l].n_undefined;
      if (!(tokens > 0))
        continue;
      n_measured++;
      entropy += (v[SUM_ENTROPY].value - entropy) / n_measured;
      uniform += (top - uniform) / n_measured;
      uncertain += (v[SUM_UNCERTAIN].value - uncertain) / n_measured;
      if (v[SUM_ENTROPY].value < least)
        {
          least = v[SUM_ENTROPY].value;
          surest = l;
        }
    }
  if (fine && undefined > 0)
    ms_result_note (result,
                    "%" G_GINT64_FORMAT " decisions have no entropy, because the router put out no "
                    "numbers for them: they are left out.",
                    undefined);
  if (fine && n_measured == 0)
    result->summary = g_strdup ("No decision has an entropy.");
  else if (fine)
    {
      result->summary
          = g_strdup_printf ("The router's entropy is %.2f nats on average (%.2f would be "
                             "uniform), lowest in layer %d "
                             "(%.2f); %.1f %% of the decisions reach %.2f nats.",
                             entropy, uniform, ms_trace_layer (context->trace, surest)->number,
                             least, 100 * uncertain, job.threshold);
      ms_result_note (result,
                      scores ? "From the full router scores."
                      : !gated && (recorded & MS_CHUNK_LOGITS)
                          ? "From the recorded entropies: the model's gate is unknown, so the full "
                            "scores cannot be read (import the trace again with --gating)."
                          : "From the recorded entropies; collect with --scores for Tsallis "
                            "entropy, largest probabilities and GW-MoE's own entropy.");
    }
  for (guint l = 0; l < n_layers; l++)
    g_free (layers[l].units);
  return fine;
}

const MsAnalysis ms_analysis_uncertainty = {
  .name = "uncertainty",
  .title = "Router Uncertainty",
  .help
  = "How sure is the router of its choice, in which layers, and how many tokens are uncertain?",
  .formula
  = "H(p) = -sum p ln p; perplexity exp H; margin p(1) - p(2); Tsallis (1 - sum p^q) / (q - 1); "
    "GW-MoE: uncertain iff -sum p ln (p + 1e-5) >= threshold.",
  .cite = "GW-MoE, arXiv 2406.12375; DynMoLE, arXiv 2504.00661.",
  .version = 4,
  .live = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
