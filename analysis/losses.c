/* The load-balancing losses of training (metrics.md a), in the variants that public code uses.
 *
 * They differ in what is averaged before f and P are multiplied, so on one trace they give different
 * numbers; none has its coefficient.  Everything but the mean over sequences follows from sums over
 * tokens, and that mean from a sum over documents, so all of it is resampled by document. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

typedef enum
{
  LOSS_Z,
  LOSS_GROUPED,
  LOSS_POOLED,
  LOSS_FIRST,
  LOSS_IMPORTANCE,
  LOSS_IMPORTANCE_TUTEL,
  LOSS_NULL, /* the last: left out without null experts */
  N_LOSSES,
} Loss;

static const struct
{
  const char *name, *title;
} losses[N_LOSSES] = {
  { "z_loss", "Router z-loss" },
  { "aux_grouped", "Switch loss, mean over sequences" },
  { "aux_pooled", "Switch loss, all tokens pooled" },
  { "aux_first", "GShard loss, first choices" },
  { "importance_cv2", "Importance loss" },
  { "importance_tutel", "Importance loss, Tutel" },
  { "aux_null", "Switch loss, null experts averaged" },
};

/* Offsets into the sums of a unit: four arrays (E), then five numbers. */
#define IN_CHOSEN(e)    (e)
#define IN_FIRST(e, n)  ((n) + (e))
#define IN_P(e, n)      (2 * (n) + (e))
#define IN_WEIGHT(e, n) (3 * (n) + (e))
#define AT_TOKENS(n)    (4 * (n))
#define AT_Z(n)         (4 * (n) + 1)
#define AT_GROUPED(n)   (4 * (n) + 2)
#define AT_DOCUMENTS(n) (4 * (n) + 3)
#define SUMS(n)         (4 * (n) + 4)

typedef struct
{
  guint n_experts;
  double *sums; /* (U, SUMS) */
  double values[N_LOSSES];
  double *resampled; /* (N_LOSSES, R) */
  double k;          /* mean number of experts per token */
} Layer;

typedef struct
{
  const MsBootstrap *bootstrap;
  gboolean probabilities;
  guint n_layers;
  Layer *layers; /* (n_layers) */
  guint n_null;  /* the last experts, which stand for doing nothing */
} Losses;

/* What losses are made for. */
typedef struct
{
  guint n_experts, n_null;
} Shape;

/* --- Summing --------------------------------------------------------------------------------- */

typedef struct
{
  const Losses *losses;
  const MsTrace *trace;
  guint index; /* of the layer in the trace */
  Layer *layer;
  guint document; /* whose sums `own` holds */
  double *own;    /* (SUMS) of one document */
  double *p;      /* (E) */
} Summing;

/* E sum of f P, where counts (E) are of n tokens and P (E) is summed over them. */
static double
product (const double *counts, const double *p, double n, guint n_experts)
{
  double sum = 0;

  for (guint e = 0; e < n_experts; e++)
    sum += counts[e] / n * (p[e] / n);
  return n > 0 ? n_experts * sum : NAN;
}

static void
end_document (Summing *summing)
{
  guint n = summing->layer->n_experts;
  guint unit = ms_bootstrap_unit (summing->losses->bootstrap, summing->document);
  double *out = summing->layer->sums + (gsize) unit * SUMS (n);

  if (!(summing->own[AT_TOKENS (n)] > 0))
    return;
  summing->own[AT_GROUPED (n)]
      = product (summing->own, summing->own + IN_P (0, n), summing->own[AT_TOKENS (n)], n);
  summing->own[AT_DOCUMENTS (n)] = 1;
  for (guint i = 0; i < SUMS (n); i++)
    out[i] += summing->own[i];
  memset (summing->own, 0, SUMS (n) * sizeof (double));
}

/* ln sum exp z of one token's logits (E). */
static double
log_sum (const float *logits, guint n_experts)
{
  double most = -INFINITY, sum = 0;

  for (guint e = 0; e < n_experts; e++)
    most = MAX (most, (double) logits[e]);
  for (guint e = 0; e < n_experts; e++)
    sum += exp ((double) logits[e] - most);
  return most + log (sum);
}

static gboolean
sum_rows (const MsChunk *chunk, guint from, guint n_rows, gint64 row, guint document, gpointer data,
          GError **error)
{
  Summing *summing = data;
  guint n = chunk->n_experts, k = chunk->k;
  double *own = summing->own;

  (void) row, (void) error;
  if (document != summing->document)
    {
      end_document (summing);
      summing->document = document;
    }
  for (gsize i = from; i < (gsize) from + n_rows; i++)
    {
      const float *logits = chunk->logits + i * n;
      double z = summing->losses->probabilities ? NAN : log_sum (logits, n);

      ms_trace_distribution (summing->trace, summing->index, logits, summing->p);

      own[AT_TOKENS (n)]++;
      own[AT_Z (n)] += z * z;
      for (guint e = 0; e < n; e++)
        own[IN_P (e, n)] += summing->p[e];
      for (guint r = 0; r < k; r++)
        {
          guint expert = chunk->experts[i * k + r];

          if (expert == MS_NO_EXPERT)
            break;
          own[IN_CHOSEN (expert)]++;
          own[IN_FIRST (expert, n)] += r == 0;
          own[IN_WEIGHT (expert, n)] += (double) chunk->weights[i * k + r];
        }
    }
  return TRUE;
}

/* --- Measuring ------------------------------------------------------------------------------- */

/* AdaMoE's intent: null experts need not be balanced among themselves, so each counts with their mean. */
static double
null_product (const double *counts, const double *p, double n, const Shape *shape)
{
  g_autofree double *even = g_memdup2 (counts, shape->n_experts * sizeof *counts);
  guint first = shape->n_experts - MIN (shape->n_null, shape->n_experts);
  double mean = ms_mean (counts + first, shape->n_experts - first);

  for (guint e = first; e < shape->n_experts; e++)
    even[e] = mean;
  return product (even, p, n, shape->n_experts);
}

static void
make_losses (const double *sums, double *out, gpointer data)
{
  const Shape *shape = data;
  guint n = shape->n_experts;
  double tokens = sums[AT_TOKENS (n)];
  double deviation = ms_deviation (sums + IN_WEIGHT (0, n), n, 0);
  double mean = ms_mean (sums + IN_WEIGHT (0, n), n);

  out[LOSS_Z] = sums[AT_Z (n)] / tokens;
  out[LOSS_GROUPED] = sums[AT_GROUPED (n)] / sums[AT_DOCUMENTS (n)];
  out[LOSS_POOLED] = product (sums, sums + IN_P (0, n), tokens, n);
  out[LOSS_FIRST] = product (sums + IN_FIRST (0, n), sums + IN_P (0, n), tokens, n);
  out[LOSS_IMPORTANCE] = mean > 0 ? deviation * deviation / (mean * mean) : NAN;
  deviation = ms_deviation (sums + IN_WEIGHT (0, n), n, 1);
  out[LOSS_IMPORTANCE_TUTEL] = mean > 0 ? deviation * deviation / (mean * mean + 1e-10) : NAN;
  out[LOSS_NULL] = null_product (sums, sums + IN_P (0, n), tokens, shape);
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Losses *all = data;
  Layer *layer = &all->layers[index];
  guint n = layer->n_experts = ms_trace_layer (context->trace, index)->gate.n_experts;
  guint n_units = all->bootstrap->n_units;
  g_autofree double *own = g_new0 (double, SUMS (n)), *p = g_new (double, n);
  Summing summing = { all, context->trace, index, layer, 0, own, p };
  double chosen = 0, tokens = 0;
  Shape shape = { n, all->n_null };

  layer->sums = g_new0 (double, (gsize) n_units *SUMS (n));
  if (!ms_trace_scan_layer (context->trace, index,
                            MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_LOGITS, sum_rows,
                            &summing, context->cancel, error))
    return FALSE;
  end_document (&summing);
  layer->resampled = g_new (double, (gsize) N_LOSSES * all->bootstrap->n_resamples);
  ms_bootstrap_resample (all->bootstrap, layer->sums, SUMS (n), make_losses, &shape, N_LOSSES,
                         layer->values, layer->resampled);
  for (guint u = 0; u < n_units; u++)
    {
      const double *sums = layer->sums + (gsize) u * SUMS (n);

      tokens += sums[AT_TOKENS (n)];
      for (guint e = 0; e < n; e++)
        chosen += sums[IN_CHOSEN (e)];
    }
  layer->k = chosen / tokens;
  return TRUE;
}

/* --- Tables ---------------------------------------------------------------------------------- */

/* What perfectly even routing gives. */
static double
even_value (guint loss, double k)
{
  switch (loss)
    {
    case LOSS_GROUPED:
    case LOSS_POOLED:
    case LOSS_NULL:
      return k;
    case LOSS_FIRST:
      return 1;
    case LOSS_IMPORTANCE:
    case LOSS_IMPORTANCE_TUTEL:
      return 0;
    default:
      return NAN;
    }
}

static MsInterval
make_interval (const Losses *all, double value, const double *resampled)
{
  MsInterval interval = ms_bootstrap_interval (all->bootstrap, value, resampled);

  ms_interval_clamp (&interval, 0, INFINITY); /* all are sums of squares or of products of shares */
  return interval;
}

static double
write_means (const Losses *all, double k, MsTable *table, guint loss)
{
  gsize n_resamples = all->bootstrap->n_resamples;
  g_autofree double *resampled = g_new0 (double, n_resamples);
  double mean = 0;
  MsInterval interval;

  for (guint l = 0; l < all->n_layers; l++)
    {
      mean += all->layers[l].values[loss] / all->n_layers;
      for (gsize r = 0; r < n_resamples; r++)
        resampled[r] += all->layers[l].resampled[loss * n_resamples + r] / all->n_layers;
    }
  interval = make_interval (all, mean, resampled);
  ms_table_add_row (table, MS_TEXT (losses[loss].name), MS_TEXT (losses[loss].title),
                    MS_CORRECTED (interval), MS_REAL (even_value (loss, k)));
  return interval.corrected;
}

/* Hugging Face's Mixtral: tokens of all layers concatenated, so f and P are means over layers. */
static double
write_concatenated (const Losses *all, double k, MsTable *table)
{
  guint n = all->layers[0].n_experts, n_units = all->bootstrap->n_units;
  gsize width = SUMS (n);
  gboolean alike = TRUE;
  g_autofree double *sums = g_new0 (double, n_units *width);
  MsInterval intervals[N_LOSSES];
  MsInterval undefined = { NAN, NAN, NAN, NAN, NAN, NAN, NAN };
  Shape shape = { n, all->n_null };

  for (guint l = 0; l < all->n_layers; l++)
    {
      alike = alike && all->layers[l].n_experts == n;
      for (gsize i = 0; alike && i < n_units * width; i++)
        sums[i] += all->layers[l].sums[i];
    }
  ms_bootstrap_intervals (all->bootstrap, sums, (guint) width, make_losses, &shape, N_LOSSES,
                          intervals);
  if (!alike)
    intervals[LOSS_POOLED] = undefined;
  ms_table_add_row (table, MS_TEXT ("aux_concatenated"),
                    MS_TEXT ("Switch loss, layers concatenated"),
                    MS_CORRECTED (intervals[LOSS_POOLED]), MS_REAL (k));
  return intervals[LOSS_POOLED].corrected;
}

static void
write_result (const MsContext *context, const Losses *all, MsResult *result)
{
  gsize n_resamples = all->bootstrap->n_resamples;
  double means[N_LOSSES], concatenated, k = 0;
  guint n_losses = all->n_null > 0 ? N_LOSSES : LOSS_NULL;

  for (guint l = 0; l < all->n_layers; l++)
    for (guint i = 0; i < n_losses; i++)
      {
        const Layer *layer = &all->layers[l];
        MsInterval interval
            = make_interval (all, layer->values[i], layer->resampled + i * n_resamples);

        ms_table_add_row (result->tables[0], MS_INT (ms_trace_layer (context->trace, l)->number),
                          MS_TEXT (losses[i].name), MS_CORRECTED (interval),
                          MS_REAL (interval.basic_low), MS_REAL (interval.basic_high),
                          MS_REAL (even_value (i, layer->k)));
      }
  for (guint l = 0; l < all->n_layers; l++)
    k += all->layers[l].k / all->n_layers;
  for (guint i = 0; i < n_losses; i++)
    means[i] = write_means (all, k, result->tables[1], i);
  concatenated = write_concatenated (all, k, result->tables[1]);
  result->summary = g_strdup_printf ("The Switch loss is %.4g as a mean over sequences, %.4g with "
                                     "all tokens pooled (even routing: "
                                     "%.3g), the first-choice loss %.4g (even: 1).",
                                     means[LOSS_GROUPED], means[LOSS_POOLED], all->layers[0].k,
                                     means[LOSS_FIRST]);
  if (all->probabilities)
    ms_result_note (result, "The run holds probabilities: the z-loss, which needs raw logits, is "
                            "undefined.");
  else
    ms_result_note (result,
                    "P is the router's distribution: its scores by the model's own gate (%s), made "
                    "to sum 1; the z-loss is of the raw logits.",
                    ms_scoring_name (ms_trace_layer (context->trace, 0)->gate.scoring));
  if (isnan (concatenated))
    ms_result_note (result,
                    "Layers have different numbers of experts: they cannot be concatenated.");
  ms_result_note (result, "Losses are without their coefficients; sequences are the documents.");
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  Losses all = { bootstrap, ms_trace_run (context->trace)->probabilities, n_layers, layers,
                 (guint) ms_values_int (context->values, "null-experts") };
  gboolean fine = ms_context_tasks (context, n_layers, do_layer, &all, 0, 1, error);

  if (fine)
    write_result (context, &all, result);
  for (guint l = 0; l < n_layers; l++)
    {
      g_free (layers[l].sums);
      g_free (layers[l].resampled);
    }
  return fine;
}

/* --- The descriptor -------------------------------------------------------------------------- */

static const MsColumn loss_columns[] = {
  MS_LAYER_COLUMN,
  { "measure", "Measure", NULL, MS_COLUMN_TEXT,
    "z_loss: mean of (ln sum exp z)^2.  aux_grouped: mean over sequences of E sum f P.  "
    "aux_pooled: "
    "E sum f P over all tokens.  aux_first: the same with f of first choices only.  "
    "importance_cv2: CV^2 of the sums of combine weights.  importance_tutel: the same with the "
    "sample variance, over mean^2 + 1e-10.  aux_null: aux_pooled with each null expert's f set to "
    "their mean (AdaMoE's paper; its code gives aux_pooled)." },
  { "value", "Value", NULL, MS_COLUMN_REAL, "The loss without its coefficient." },
  MS_CORRECTED_COLUMN ("", NULL),
  MS_INTERVAL_COLUMNS ("", NULL),
  { "basic_low", "Basic low end", NULL, MS_COLUMN_REAL,
    "Basic bootstrap: 2 value - a high order statistic of the resamples." },
  { "basic_high", "Basic high end", NULL, MS_COLUMN_REAL,
    "Basic bootstrap: 2 value - a low order statistic of the resamples." },
  { "even", "Even routing", NULL, MS_COLUMN_REAL,
    "What perfectly even routing gives: k, 1 for aux_first, 0 for the importance losses." },
  { 0 },
};

static const MsColumn overall_columns[] = {
  { "measure", "Measure", NULL, MS_COLUMN_TEXT,
    "As by layer; aux_concatenated: f and P averaged over layers before the product." },
  { "title", "Title", NULL, MS_COLUMN_TEXT, "The measure's name for people." },
  { "value", "Value", NULL, MS_COLUMN_REAL, "Mean over layers; aux_concatenated as it is." },
  MS_CORRECTED_COLUMN ("", NULL),
  MS_INTERVAL_COLUMNS ("", NULL),
  { "even", "Even routing", NULL, MS_COLUMN_REAL, "What perfectly even routing gives." },
  { 0 },
};

static const MsParam params[] = {
  { .name = "null-experts",
    .title = "Null experts",
    .help = "The router's last so many outputs stand for doing nothing (AdaMoE).",
    .unit = "experts",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = MS_MAX_EXPERTS,
    .usual = 0,
    .ui_least = 0,
    .ui_most = 16 },
  { 0 },
};

static const MsTableDef tables[] = {
  { "losses", "Losses by layer", loss_columns },
  { "overall", "Losses of the model", overall_columns },
  { 0 },
};

/* One line plot for each loss. */
#define LOSS_PLOT(name_, title_, y_, measure)                                                      \
  {                                                                                                \
    .name = name_, .title = title_, .table = "losses", .mark = MS_MARK_LINE, .x = "layer",         \
    .y = "corrected", .low = "low", .high = "high", .reference = "even", .y_title = y_,            \
    .where = "measure=" measure                                                                    \
  }

static const MsPlotDef plots[] = {
  LOSS_PLOT ("switch", "Switch loss by layer, all tokens pooled", "Switch loss, pooled",
             "aux_pooled"),
  LOSS_PLOT ("grouped", "Switch loss by layer, mean over sequences",
             "Switch loss, mean of sequences", "aux_grouped"),
  LOSS_PLOT ("z", "Router z-loss by layer", "Router z-loss", "z_loss"),
  { 0 },
};

const MsAnalysis ms_analysis_losses = {
  .name = "losses",
  .title = "Router Losses",
  .help = "What would the load-balancing losses of training be on this text?",
  .formula
  = "f_e = part of the tokens that choose e, P_e = mean probability of e; Switch loss = E "
    "sum f_e P_e, as a mean over sequences (flaxformer, Hugging Face Switch), over all "
    "tokens of a layer (mean over layers: OLMoE), or over all tokens of all layers "
    "(Hugging Face Mixtral).  GShard, Tutel, torchscale: f of first choices.  z-loss: mean "
    "of (ln sum exp z)^2.  Importance: CV^2 (population) of the sums of combine weights.",
  .cite = "Switch: arXiv 2101.03961.  GShard: arXiv 2006.16668.  z-loss: ST-MoE, arXiv "
          "2202.08906.  Importance: Shazeer et al., arXiv 1701.06538.  Null experts: "
          "AdaMoE, arXiv 2406.13233.",
  .version = 3,
  .needs = MS_NEEDS_LOGITS | MS_NEEDS_GATE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
