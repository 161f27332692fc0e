/* Did routing change between two runs of the same tokens (engines, quantizations, checkpoints,
 * precisions), where, how much, and do near ties explain it?  metrics.md d.2, d.4.
 *
 * Most pairs of traces that seem to differ everywhere are laid against each other wrongly, so that is looked
 * at first (alignment.c) and told before any change. */
#include "aligned-private.h"

#include <math.h>
#include <string.h>

enum
{
  SUM_TOKENS,
  SUM_TOP1,
  SUM_SET,
  SUM_ORDER,
  SUM_OVERLAP,
  SUM_JACCARD,
  SUM_CHANGED,
  SUM_CHANCE, /* the smaller number of experts / E */
  SUM_WEIGHT_L1,
  SUM_KL,
  SUM_JS,
  SUM_SIZED, /* tokens with experts in one run at least */
  SUM_BOTH,  /* in both */
  N_SUMS,
};

#define MARGIN_BINS 18 /* half decades from 1e-8 to 10; below and above go to the ends */

static const MsTableDef tables[] = {
  { "layers", "Change by layer",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "tokens", "Tokens", NULL, MS_COLUMN_INT, "Positions compared" },
        { "set_change_rate", "Sets changed", NULL, MS_COLUMN_REAL,
          "Share of tokens whose sets of experts differ" },
        { "set_change_low", "Sets changed, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "set_change_high", "Sets changed, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "top1_change_rate", "First choice changed", NULL, MS_COLUMN_REAL,
          "Share of tokens whose best experts differ" },
        { "order_change_rate", "Lists changed", NULL, MS_COLUMN_REAL,
          "Share of tokens whose ordered lists differ" },
        { "overlap", "Overlap", NULL, MS_COLUMN_REAL,
          "Mean of experts in common / max of both sizes, over tokens with experts" },
        { "overlap_low", "Overlap, low", NULL, MS_COLUMN_REAL, "Lower end" },
        { "overlap_high", "Overlap, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "overlap_random", "Overlap by chance", NULL, MS_COLUMN_REAL,
          "Mean of min of both sizes / E, as sets drawn evenly would give, over the same tokens" },
        { "jaccard", "Jaccard", NULL, MS_COLUMN_REAL, "Mean of intersection / union" },
        { "mean_experts_changed", "Experts changed", "experts", MS_COLUMN_REAL,
          "Mean of max of both sizes - experts in common" },
        { "weight_l1", "Weight distance", NULL, MS_COLUMN_REAL,
          "Mean L1 distance of the weights, renormalised over each set, 0 outside, over tokens "
          "with "
          "experts in both runs" },
        { "kl_a_b_nats", "KL (run || baseline)", "nats", MS_COLUMN_REAL,
          "Mean divergence of the full router distributions, 1e-10 added where one is 0; undefined "
          "without scores" },
        { "js_nats", "JS", "nats", MS_COLUMN_REAL, "Mean Jensen-Shannon divergence of the same" },
        { 0 } } },
  { "intervals", "Intervals of every rate by layer",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "measure", "Measure", NULL, MS_COLUMN_TEXT, "A column of the table layers" },
        { "value", "Value", NULL, MS_COLUMN_REAL, "Of both runs as they are" },
        { "low", "Low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "high", "High", NULL, MS_COLUMN_REAL, "Upper end" },
        { 0 } } },
  { "total", "Change over all layers",
    (const MsColumn[]){ { "measure", "Measure", NULL, MS_COLUMN_TEXT,
                          "router_difference_rate: share of (token, layer) with different sets; "
                          "order_difference_rate: with different lists; "
                          "tokens_with_any_difference: share of tokens "
                          "with at least one such layer; mean_differing_layers_per_token" },
                        { "value", "Value", NULL, MS_COLUMN_REAL, "Of both runs as they are" },
                        { "low", "Low", NULL, MS_COLUMN_REAL,
                          "Lower end of the bootstrap interval over documents" },
                        { "high", "High", NULL, MS_COLUMN_REAL, "Upper end" },
                        { 0 } } },
  { "alignment", "Readings of the baseline",
    (const MsColumn[]){
        { "reading", "Reading", NULL, MS_COLUMN_TEXT, "How the baseline is laid against the run" },
        { "token_shift", "Moved by", "tokens", MS_COLUMN_INT,
          "Token t of the baseline is laid against token t + this of the run" },
        { "layer_shift", "Moved by layers", "layers", MS_COLUMN_INT, "MoE layers likewise" },
        { "renumbered", "Renumbered", NULL, MS_COLUMN_INT,
          "1 when the experts of each layer of the baseline get the numbers that agree best with "
          "the "
          "run" },
        { "decisions", "Decisions", NULL, MS_COLUMN_INT,
          "(token, layer) pairs with experts in both runs, of the first documents" },
        { "set_change_rate", "Sets changed", NULL, MS_COLUMN_REAL,
          "Share of them whose sets differ, of both lists the first m, m = the smaller number of "
          "experts" },
        { "overlap", "Overlap", NULL, MS_COLUMN_REAL, "Mean of experts in common / m" },
        { "held_out_overlap", "Overlap, held out", NULL, MS_COLUMN_REAL,
          "The same with numbers fitted to other tokens; without renumbering equal to it" },
        { "chance", "Overlap in random order", NULL, MS_COLUMN_REAL,
          "Of the run's tokens with the baseline's in random order, as they are" },
        { 0 } } },
  { "differing_layers", "Tokens by number of differing layers",
    (const MsColumn[]){
        { "layers", "Differing layers", NULL, MS_COLUMN_INT, "Layers whose sets differ" },
        { "tokens", "Tokens", NULL, MS_COLUMN_INT, "Tokens with so many" },
        { "share", "Share", NULL, MS_COLUMN_REAL, "Of all tokens" },
        { 0 } } },
  { "margins", "Changes by margin",
    (const MsColumn[]){
        { "margin_low", "Margin from", NULL, MS_COLUMN_REAL,
          "Selection score of the worst chosen minus the best rejected expert in the run, bin "
          "from" },
        { "margin_high", "Margin to", NULL, MS_COLUMN_REAL, "Bin to" },
        { "decisions", "Decisions", NULL, MS_COLUMN_INT, "(token, layer) pairs in the bin" },
        { "changed", "Changed", NULL, MS_COLUMN_INT, "Of them with different sets" },
        { "change_rate", "Change rate", NULL, MS_COLUMN_REAL, "Changed / decisions" },
        { "share_of_changes", "Share of changes", NULL, MS_COLUMN_REAL, "Of all changes" },
        { 0 } } },
  { "experts", "Load of experts in both runs",
    (const MsColumn[]){ MS_LAYER_COLUMN,
                        MS_EXPERT_COLUMN,
                        { "share", "Share of decisions in the run", NULL, MS_COLUMN_REAL,
                          "Count / all counts of the layer in the run" },
                        { "base_share", "Share of decisions in the baseline", NULL, MS_COLUMN_REAL,
                          "The same in the baseline" },
                        MS_LOAD_CHANGE_COLUMN,
                        { 0 } } },
  { "losses", "Loss by number of differing layers",
    (const MsColumn[]){
        { "layers", "Layers with another set", NULL, MS_COLUMN_INT, "Of the token" },
        { "tokens", "Tokens", NULL, MS_COLUMN_INT, "With so many, and a loss in both runs" },
        { "loss", "Loss", "nats", MS_COLUMN_REAL, "Mean of the run" },
        { "base_loss", "Loss of the baseline", "nats", MS_COLUMN_REAL, "Mean of the baseline" },
        { "change", "Change of loss", "nats", MS_COLUMN_REAL,
          "Loss of the run - loss of the baseline" },
        MS_INTERVAL_COLUMNS ("", "nats"),
        { 0 } } },
  { "documents", "Change by document",
    (const MsColumn[]){ { "document", "Document", NULL, MS_COLUMN_TEXT, "Its name" },
                        { "tokens", "Tokens", NULL, MS_COLUMN_INT, "Positions compared" },
                        { "mean_differing_layers", "Differing layers", NULL, MS_COLUMN_REAL,
                          "Mean number of layers whose sets differ, per token" },
                        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "layers",
    .title = "Sets of experts changed",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "set_change_rate",
    .low = "set_change_low",
    .high = "set_change_high",
    .y_title = "Sets changed (share of tokens)" },
  { .name = "overlap",
    .title = "Overlap of both runs",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "overlap",
    .low = "overlap_low",
    .high = "overlap_high",
    .y_title = "Overlap of the sets",
    .reference = "overlap_random" },
  { .name = "margins",
    .title = "Near ties change",
    .table = "margins",
    .mark = MS_MARK_LINE,
    .x = "margin_high",
    .y = "change_rate",
    .x_scale = MS_SCALE_LOG10,
    .x_title = "Margin in the run, up to",
    .y_title = "Sets changed (share)" },
  { .name = "differing-layers",
    .title = "Layers that differ per token",
    .table = "differing_layers",
    .mark = MS_MARK_BAR,
    .x = "layers",
    .y = "share",
    .x_title = "Layers with another set",
    .y_title = "Share of tokens" },
  { .name = "loads",
    .title = "Load of experts",
    .table = "experts",
    .mark = MS_MARK_SCATTER,
    .x = "base_share",
    .y = "share",
    .series = "layer",
    .reference = "base_share" },
  { .name = "map",
    .title = "Change of load",
    .table = "experts",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "layer",
    .value = "change",
    .value_scale = MS_SCALE_DIVERGING },
  { .name = "losses",
    .title = "Change of loss by layers that differ",
    .table = "losses",
    .mark = MS_MARK_INTERVAL,
    .x = "layers",
    .y = "change",
    .low = "low",
    .high = "high" },
  { 0 },
};

typedef struct
{
  double *units;              /* (U, N_SUMS) */
  guint8 *set, *order;        /* (T) 1 where they differ */
  guint64 *count_a, *count_b; /* (E) of the run, of the baseline */
  guint64 decisions[MARGIN_BINS], changed[MARGIN_BINS];
} Layer;

typedef struct
{
  const MsBootstrap *bootstrap;
  Layer *layers;
  guint columns; /* beyond experts and weights, recorded in both (logits) or in the run (margin) */
} Job;

static guint
margin_bin (float margin)
{
  int bin = margin > 0 ? (int) floor (2 * (log10 (margin) + 8)) : 0;

  return (guint) CLAMP (bin, 0, MARGIN_BINS - 1);
}

static double
weight_distance (const guint16 *a, const float *weights_a, guint n_a, const guint16 *b,
                 const float *weights_b, guint n_b)
{
  double sum_a = 0, sum_b = 0, distance = 0;

  for (guint i = 0; i < n_a; i++)
    sum_a += weights_a[i];
  for (guint i = 0; i < n_b; i++)
    sum_b += weights_b[i];
  for (guint i = 0; i < n_a; i++)
    {
      double other = 0;

      for (guint j = 0; j < n_b; j++)
        if (a[i] == b[j])
          other = weights_b[j] / sum_b;
      distance += fabs (weights_a[i] / sum_a - other);
    }
  for (guint j = 0; j < n_b; j++)
    {
      gboolean shared = FALSE;

      for (guint i = 0; i < n_a; i++)
        shared = shared || a[i] == b[j];
      if (!shared)
        distance += weights_b[j] / sum_b;
    }
  return distance;
}

/* Where a probability is 0, 1e-10 is added to all: KL would be infinite for a token. */
static void
lift_zeros (double *p, double *q, guint n)
{
  gboolean zero = FALSE;

  for (guint e = 0; e < n; e++)
    zero = zero || p[e] == 0 || q[e] == 0;
  for (guint e = 0; e < n && zero; e++)
    {
      p[e] += 1e-10;
      q[e] += 1e-10;
    }
}

static void
add_token (const Job *job, const MsTrace *trace_a, const MsTrace *trace_b, guint index,
           const MsLayerTrace *a, const MsLayerTrace *b, gint64 row_a, gint64 row_b, Layer *out,
           double *sums, double *p, double *q)
{
  const guint16 *set_a = a->experts + row_a * a->k, *set_b = b->experts + row_b * b->k;
  MsSetChange change = ms_set_change (set_a, a->k, set_b, b->k);
  guint larger = MAX (change.n_a, change.n_b);

  sums[SUM_TOKENS]++;
  sums[SUM_TOP1] += change.top1;
  sums[SUM_SET] += change.set;
  sums[SUM_ORDER] += change.order;
  if (larger > 0)
    {
      sums[SUM_SIZED]++;
      sums[SUM_OVERLAP] += (double) change.common / larger;
      sums[SUM_JACCARD] += (double) change.common / (change.n_a + change.n_b - change.common);
      sums[SUM_CHANGED] += larger - change.common;
      sums[SUM_CHANCE] += (double) MIN (change.n_a, change.n_b) / a->n_experts;
    }
  if (change.n_a > 0 && change.n_b > 0)
    {
      double distance = weight_distance (set_a, a->weights + row_a * a->k, change.n_a, set_b,
                                         b->weights + row_b * b->k, change.n_b);

      sums[SUM_BOTH] += !isnan (distance);
      sums[SUM_WEIGHT_L1] += isnan (distance) ? 0 : distance;
    }
  if (job->columns & MS_CHUNK_LOGITS)
    {
      ms_trace_distribution (trace_a, index, a->logits + row_a * a->n_experts, p);
      ms_trace_distribution (trace_b, index, b->logits + row_b * b->n_experts, q);
      lift_zeros (p, q, a->n_experts);
      sums[SUM_KL] += ms_kl (p, q, a->n_experts);
      sums[SUM_JS] += ms_js (p, q, a->n_experts);
    }
  if (job->columns & MS_CHUNK_MARGIN && !isnan (a->margin[row_a]))
    {
      guint bin = margin_bin (a->margin[row_a]);

      out->decisions[bin]++;
      out->changed[bin] += change.set;
    }
  out->set[row_a] = change.set ? 1 : 0;
  out->order[row_a] = change.order ? 1 : 0;
  for (guint i = 0; i < change.n_a; i++)
    out->count_a[set_a[i]]++;
  for (guint i = 0; i < change.n_b; i++)
    out->count_b[set_b[i]]++;
}

static gboolean
compare_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  MsTrace *trace_a = context->trace, *trace_b = context->others[0];
  guint columns = MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | (job->columns & MS_CHUNK_LOGITS);
  g_autoptr (MsLayerTrace) a
      = ms_trace_load_layer (trace_a, index, columns | job->columns, context->cancel, error);
  g_autoptr (MsLayerTrace) b = NULL;
  g_autofree double *p = NULL;
  g_autofree double *q = NULL;

  if (a == NULL)
    return FALSE;
  b = ms_trace_load_layer (trace_b, index, columns, context->cancel, error);
  if (b == NULL)
    return FALSE;
  p = g_new (double, a->n_experts);
  q = g_new (double, a->n_experts);
  out->units = g_new0 (double, (gsize) job->bootstrap->n_units *N_SUMS);
  out->set = g_new (guint8, a->n_tokens + 1);
  out->order = g_new (guint8, a->n_tokens + 1);
  out->count_a = g_new0 (guint64, a->n_experts);
  out->count_b = g_new0 (guint64, a->n_experts);
  for (guint d = 0; d < ms_trace_n_documents (trace_a); d++)
    {
      const MsDocument *x = ms_trace_document (trace_a, d), *y = ms_trace_document (trace_b, d);
      double *sums = out->units + (gsize) ms_bootstrap_unit (job->bootstrap, d) * N_SUMS;

      for (gint64 t = 0; t < x->n_tokens; t++)
        add_token (job, trace_a, trace_b, index, a, b, x->first_token + t, y->first_token + t, out,
                   sums, p, q);
    }
  return TRUE;
}

static void
rates (const double *sums, double *out, gpointer data)
{
  (void) data;
  for (guint i = 0; i < N_SUMS; i++)
    {
      double n = sums[i == SUM_WEIGHT_L1                    ? SUM_BOTH
                      : i >= SUM_OVERLAP && i <= SUM_CHANCE ? SUM_SIZED
                                                            : SUM_TOKENS];

      out[i] = n > 0 ? sums[i] / n : NAN;
    }
}

/* The columns of the table of layers that the sums give. */
static const char *const rate_names[]
    = { [SUM_TOP1] = "top1_change_rate",   [SUM_SET] = "set_change_rate",
        [SUM_ORDER] = "order_change_rate", [SUM_OVERLAP] = "overlap",
        [SUM_JACCARD] = "jaccard",         [SUM_CHANGED] = "mean_experts_changed",
        [SUM_CHANCE] = "overlap_random",   [SUM_WEIGHT_L1] = "weight_l1",
        [SUM_KL] = "kl_a_b_nats",          [SUM_JS] = "js_nats" };

static void
add_loads (MsResult *result, const MsLayer *layer, const Layer *in)
{
  guint n = layer->gate.n_experts;
  guint64 sum_a = 0, sum_b = 0;

  for (guint e = 0; e < n; e++)
    {
      sum_a += in->count_a[e];
      sum_b += in->count_b[e];
    }
  for (guint e = 0; e < n; e++)
    {
      double load = ms_load (in->count_a[e], sum_a, n), base = ms_load (in->count_b[e], sum_b, n);

      ms_table_add_row (ms_result_table (result, "experts"), MS_INT (layer->number), MS_INT (e),
                        MS_REAL (load / n), MS_REAL (base / n),
                        MS_REAL (ms_load_change (load, base)));
    }
}

static void
add_layers (const MsContext *context, MsResult *result, const Job *job)
{
  for (guint l = 0; l < ms_trace_n_layers (context->trace); l++)
    {
      const MsLayer *layer = ms_trace_layer (context->trace, l);
      const Layer *in = &job->layers[l];
      gboolean scores = (job->columns & MS_CHUNK_LOGITS) != 0;
      double tokens = 0;
      MsInterval v[N_SUMS];

      for (guint u = 0; u < job->bootstrap->n_units; u++)
        tokens += in->units[u * N_SUMS + SUM_TOKENS];
      ms_bootstrap_intervals (job->bootstrap, in->units, N_SUMS, rates, NULL, N_SUMS, v);
      ms_table_add_row (ms_result_table (result, "layers"), MS_INT (layer->number),
                        MS_INT ((gint64) tokens), MS_INTERVAL (v[SUM_SET]),
                        MS_REAL (v[SUM_TOP1].value), MS_REAL (v[SUM_ORDER].value),
                        MS_INTERVAL (v[SUM_OVERLAP]), MS_REAL (v[SUM_CHANCE].value),
                        MS_REAL (v[SUM_JACCARD].value), MS_REAL (v[SUM_CHANGED].value),
                        MS_REAL (v[SUM_WEIGHT_L1].value), MS_REAL (scores ? v[SUM_KL].value : NAN),
                        MS_REAL (scores ? v[SUM_JS].value : NAN));
      for (guint i = SUM_TOP1; i <= (scores ? SUM_JS : SUM_WEIGHT_L1); i++)
        ms_table_add_row (ms_result_table (result, "intervals"), MS_INT (layer->number),
                          MS_TEXT (rate_names[i]), MS_INTERVAL (v[i]));
      add_loads (result, layer, in);
    }
}

enum
{
  TOTAL_DECISIONS,
  TOTAL_TOKENS,
  TOTAL_SET,
  TOTAL_ORDER,
  TOTAL_ANY,
  N_TOTALS,
};

static void
total_rates (const double *sums, double *out, gpointer data)
{
  (void) data;
  out[0] = sums[TOTAL_SET] / sums[TOTAL_DECISIONS];
  out[1] = sums[TOTAL_ORDER] / sums[TOTAL_DECISIONS];
  out[2] = sums[TOTAL_ANY] / sums[TOTAL_TOKENS];
  out[3] = sums[TOTAL_SET] / sums[TOTAL_TOKENS];
}

/* What needs all layers of a token; differing (T) gets the number of layers that differ. */
static void
add_tokens (const MsContext *context, MsResult *result, const Job *job, MsInterval totals[4],
            guint16 *differing)
{
  static const char *const names[]
      = { "router_difference_rate", "order_difference_rate", "tokens_with_any_difference",
          "mean_differing_layers_per_token" };
  guint n_layers = ms_trace_n_layers (context->trace);
  gint64 n_tokens = ms_trace_n_tokens (context->trace);
  g_autofree guint64 *histogram = g_new0 (guint64, n_layers + 1);
  g_autofree double *units = g_new0 (double, (gsize) job->bootstrap->n_units *N_TOTALS);

  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      double *sums = units + (gsize) ms_bootstrap_unit (job->bootstrap, d) * N_TOTALS;
      guint64 of_document = 0;

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          guint sets = 0, orders = 0;

          for (guint l = 0; l < n_layers; l++)
            {
              sets += job->layers[l].set[t];
              orders += job->layers[l].order[t];
            }
          histogram[sets]++;
          differing[t] = (guint16) sets;
          of_document += sets;
          sums[TOTAL_ORDER] += orders;
          sums[TOTAL_ANY] += sets > 0;
        }
      sums[TOTAL_SET] += (double) of_document;
      sums[TOTAL_TOKENS] += (double) document->n_tokens;
      sums[TOTAL_DECISIONS] += (double) document->n_tokens * n_layers;
      ms_table_add_row (ms_result_table (result, "documents"), MS_TEXT (document->name),
                        MS_INT (document->n_tokens),
                        MS_REAL (document->n_tokens > 0
                                     ? (double) of_document / (double) document->n_tokens
                                     : NAN));
    }
  for (guint i = 0; i <= n_layers; i++)
    ms_table_add_row (ms_result_table (result, "differing_layers"), MS_INT (i),
                      MS_INT (histogram[i]), MS_REAL ((double) histogram[i] / (double) n_tokens));
  ms_bootstrap_intervals (job->bootstrap, units, N_TOTALS, total_rates, NULL, 4, totals);
  for (guint i = 0; i < 4; i++)
    ms_table_add_row (ms_result_table (result, "total"), MS_TEXT (names[i]),
                      MS_INTERVAL (totals[i]));
}

/* The median margin of changed decisions against the share of all decisions that lie below it. */
static void
add_margins (const MsContext *context, MsResult *result, const Job *job)
{
  guint64 decisions[MARGIN_BINS] = { 0 }, changed[MARGIN_BINS] = { 0 }, all = 0, all_changed = 0;
  guint64 below = 0, below_changed = 0;

  for (guint i = 0; i < MARGIN_BINS; i++)
    {
      for (guint l = 0; l < ms_trace_n_layers (context->trace); l++)
        {
          decisions[i] += job->layers[l].decisions[i];
          changed[i] += job->layers[l].changed[i];
        }
      all += decisions[i];
      all_changed += changed[i];
    }
  for (guint i = 0; i < MARGIN_BINS; i++)
    ms_table_add_row (
        ms_result_table (result, "margins"), MS_REAL (i == 0 ? 0 : pow (10, i / 2.0 - 8)),
        MS_REAL (pow (10, (i + 1) / 2.0 - 8)), MS_INT (decisions[i]), MS_INT (changed[i]),
        MS_REAL (decisions[i] > 0 ? (double) changed[i] / (double) decisions[i] : NAN),
        MS_REAL (all_changed > 0 ? (double) changed[i] / (double) all_changed : NAN));
  for (guint i = 0; i < MARGIN_BINS && all_changed > 0; i++)
    {
      below += decisions[i];
      below_changed += changed[i];
      if (2 * below_changed >= all_changed)
        {
          ms_result_note (
              result,
              "Near ties: %.0f %% of the changes lie among the %.1f %% of decisions whose "
              "margin is below %.2g.",
              100.0 * (double) below_changed / (double) all_changed,
              100.0 * (double) below / (double) all, pow (10, (i + 1) / 2.0 - 8));
          break;
        }
    }
}

/* --- What is said ----------------------------------------------------------------------------- */

#define LOOKED_AT 0.01 /* of the decisions: when fewer changed, no reading can be the reason */

static void
add_alignment (MsResult *result, const MsAligning *aligning)
{
  for (guint i = 0; i < aligning->n; i++)
    {
      const MsAlignment *in = &aligning->all[i];
      g_autofree char *name = ms_reading_name (&in->reading);

      ms_table_add_row (ms_result_table (result, "alignment"), MS_TEXT (name),
                        MS_INT (in->reading.tokens), MS_INT (in->reading.layers),
                        MS_INT (in->reading.renumbered), MS_INT ((gint64) in->decisions),
                        MS_REAL (in->changed), MS_REAL (in->overlap), MS_REAL (in->held_overlap),
                        MS_REAL (i == 0 ? aligning->chance : NAN));
    }
}

/* Whether and how the runs are laid against each other wrongly, a sentence; NULL when nothing says so. */
static char *
alignment_sentence (const MsAligning *aligning, double changed)
{
  const MsAlignment *as_is = &aligning->all[0], *best = &aligning->all[aligning->best];
  g_autofree char *name = ms_reading_name (&best->reading);

  if (aligning->n == 0)
    return NULL;
  if (aligning->best != 0)
    return g_strdup_printf (
        "The runs are misaligned rather than routed differently: %s gives %.3g %% change (overlap "
        "%.3g %%), as they are %.3g %% (overlap %.3g %%, in random order %.3g %%).",
        name, 100 * best->changed, 100 * best->overlap, 100 * as_is->changed, 100 * as_is->overlap,
        100 * aligning->chance);
  if (ms_aligning_at_chance (aligning))
    return g_strdup_printf (
        "Agreement is at chance (overlap %.3g %%, %.3g %% in random order): these are two models, "
        "or an alignment fault that is none of those tried (table alignment).",
        100 * as_is->overlap, 100 * aligning->chance);
  if (as_is->changed < changed / 2)
    return g_strdup_printf ("Most sets differ in size alone: of as many experts as the smaller of "
                            "both has, %.3g %% of the decisions differ.",
                            100 * as_is->changed);
  return NULL;
}

/* "12.3 % [12.1, 12.5]" */
static char *
tell_percent (const MsInterval *interval)
{
  return isnan (interval->low) ? g_strdup_printf ("%.3g %%", 100 * interval->value)
                               : g_strdup_printf ("%.3g %% [%.3g, %.3g]", 100 * interval->value,
                                                  100 * interval->low, 100 * interval->high);
}

/* Where most sets changed. */
static char *
tell_where (MsResult *result)
{
  const MsTable *layers = ms_result_table (result, "layers");
  guint column = (guint) ms_table_find_column (layers, "set_change_rate"), most = 0;

  if (ms_table_n_rows (layers) < 2)
    return g_strdup ("");

  for (guint row = 1; row < ms_table_n_rows (layers); row++)
    if (ms_table_get_real (layers, row, column) > ms_table_get_real (layers, most, column))
      most = row;
  if (!(ms_table_get_real (layers, most, column) > 0))
    return g_strdup ("");
  return g_strdup_printf (", most in layer %" G_GINT64_FORMAT " (%.3g %%)",
                          ms_table_get_int (layers, most, 0),
                          100 * ms_table_get_real (layers, most, column));
}

/* Whether it matters: what the losses say, where there are any. */
static char *
tell_losses (const MsInterval *change)
{
  if (isnan (change->value))
    return g_strdup ("Whether that matters cannot be told: losses were not recorded in both runs.");
  if (isnan (change->low))
    return g_strdup_printf ("The mean loss changes by %+.3g nats.", change->value);
  return g_strdup_printf ("The mean loss changes by %+.3g nats [%+.3g, %+.3g]%s.", change->value,
                          change->low, change->high,
                          change->low <= 0 && change->high >= 0
                              ? ": no more than chance makes of so few documents"
                              : "");
}

static gboolean
summarise (const MsContext *context, MsResult *result, const MsInterval totals[4],
           const MsInterval *change, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autofree char *alignment = NULL;
  MsAligning aligning = { 0 };

  if (totals[0].value >= LOOKED_AT)
    {
      if (!ms_context_aligning (context, &aligning, error))
        {
          g_free (aligning.layers);
          return FALSE;
        }
      add_alignment (result, &aligning);
      alignment = alignment_sentence (&aligning, totals[0].value);
      if (aligning.layers != NULL)
        ms_result_note (result, "Some layers look misaligned rather than routed differently: %s.",
                        aligning.layers);
      else if (alignment == NULL)
        ms_result_note (
            result,
            "Alignment: moving the baseline by up to two tokens or MoE layers, or renumbering "
            "its experts, explains less than half of the difference.");
    }
  if (isnan (totals[0].value))
    result->summary = g_strdup ("No token is selected: nothing to compare.");
  else
    {
      g_autofree char *rate = tell_percent (&totals[0]), *any = tell_percent (&totals[2]);
      g_autofree char *where = tell_where (result), *matters = tell_losses (change);

      result->summary = g_strdup_printf (
          "%s%s%s of the routing decisions chose another set of experts (%.3g %% another order)%s; "
          "%s of the tokens differ somewhere, in %.2f of %u layers on average.%s%s",
          alignment != NULL ? alignment : "",
          aligning.best != 0  ? " As they are, "
          : alignment != NULL ? " "
                              : "",
          rate, 100 * totals[1].value, where, any, totals[3].value, n_layers,
          totals[1].value > 0 ? " " : "", totals[1].value > 0 ? matters : "");
    }
  g_free (aligning.layers);
  return TRUE;
}

/* What was changed while a run's model ran. */
static void
add_interventions (const MsContext *context, MsResult *result)
{
  g_autofree char *run = ms_run_describe_intervention (ms_trace_run (context->trace));
  g_autofree char *base = ms_run_describe_intervention (ms_trace_run (context->others[0]));

  if (run != NULL)
    ms_result_note (result, "The run was collected with its routing changed: %s.", run);
  if (base != NULL)
    ms_result_note (result, "The baseline was collected with its routing changed: %s.", base);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  guint columns_a = ms_trace_run (context->trace)->columns;
  guint scores = columns_a & ms_trace_run (context->others[0])->columns & MS_CHUNK_LOGITS;
  gboolean gated = ms_trace_gated (context->trace, MS_GATE_SCORING, NULL)
                   && ms_trace_gated (context->others[0], MS_GATE_SCORING, NULL);
  Job job = { bootstrap, layers, (gated ? scores : 0) | (columns_a & MS_CHUNK_MARGIN) };
  MsInterval totals[4], change;
  g_autofree guint16 *differing = g_new0 (guint16, ms_trace_n_tokens (context->trace) + 1);
  gboolean fine = ms_context_aligned (context, error)
                  && ms_context_tasks (context, n_layers, compare_layer, &job, 0, 0.9, error);

  if (fine)
    {
      add_layers (context, result, &job);
      add_tokens (context, result, &job, totals, differing);
      if (job.columns & MS_CHUNK_MARGIN)
        add_margins (context, result, &job);
      fine = ms_compare_losses (context, bootstrap, differing, result, &change, error)
             && summarise (context, result, totals, &change, error);
      ms_result_name_run (result, "experts", "share", "Share of decisions", context->trace);
      ms_result_name_run (result, "experts", "base_share", "Share of decisions",
                          context->others[0]);
      ms_result_name_change (result, context, "experts");
      ms_result_note (result,
                      "The run is %" G_GINT64_FORMAT " (%s), the baseline %" G_GINT64_FORMAT
                      " (%s); changes are the run minus the baseline.",
                      ms_trace_run (context->trace)->id, ms_trace_run (context->trace)->name,
                      ms_trace_run (context->others[0])->id,
                      ms_trace_run (context->others[0])->name);
      add_interventions (context, result);
      if (scores == 0)
        ms_result_note (result, "KL and JS need both runs collected with --scores.");
      else if (!gated)
        ms_result_note (result, "KL and JS need the gate of both models: import the traces again "
                                "with --gating.");
    }
  for (guint l = 0; l < n_layers; l++)
    {
      g_free (layers[l].units);
      g_free (layers[l].set);
      g_free (layers[l].order);
      g_free (layers[l].count_a);
      g_free (layers[l].count_b);
    }
  return fine;
}

const MsAnalysis ms_analysis_compare = {
  .name = "compare",
  .title = "Compare Two Runs",
  .help
  = "Did routing change between two runs of the same tokens, where, how much, and do near ties "
    "explain it?",
  .formula
  = "Set change rate = share of (token, layer) with S_run != S_base; overlap = |S_run and "
    "S_base| / k; weight distance = sum |w_run - w_base| over renormalised weights; KL (p_run "
    "|| p_base); change of load = load in the run - load in the baseline, load = c_e E / C.",
  .cite = "Router difference rate: R3, arXiv 2510.11370; the other rates are our own "
          "companions of it.",
  .version = 7,
  .needs = MS_NEEDS_OTHER,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
