/* Segment routing best performance (SRP): how well could a router that decides once per segment of m
 * tokens match the token-level choices?
 *
 * Over every window of m tokens of a document, f = tokens that choose the expert; a histogram h[f] of
 * the scope's experts is all that is needed (metrics.md b.1).  Between neighbouring windows at most 2k
 * experts change, so a histogram costs O(k) per token however many experts there are. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

#define MAX_LENGTHS 8
#define MAX_LENGTH  4096

typedef struct
{
  double srp, rho, frequency;
  gint64 threshold;
} Score;

/* SRP of a histogram h (m + 1) of windows by f: the best F1 over thresholds, the lowest on ties. */
static Score
score_histogram (const guint64 *h, guint m)
{
  Score best = { -1, 0, NAN, 0 };
  double actual = 0, windows = 0, hits = 0, predicted = 0;

  for (guint f = 0; f <= m; f++)
    {
      actual += (double) f * (double) h[f];
      windows += (double) h[f];
    }
  hits = actual;
  predicted = (double) m * windows;
  for (guint a = 0; a <= m; a++)
    {
      double f1 = 2 * hits / MAX (predicted + actual, 1.0);

      if (f1 > best.srp)
        {
          best.srp = f1;
          best.threshold = a;
          best.rho = actual > 0 ? predicted / actual : 0;
        }
      hits -= (double) a * (double) h[a];
      predicted -= (double) m * (double) h[a];
    }
  if (windows > 0)
    best.frequency = actual / ((double) m * windows);
  return best;
}

/* The windows of one document: what a token's experts do to the histograms when the token comes into the
 * window or leaves it. */
typedef struct
{
  gsize bins;          /* m + 1 */
  guint64 *state;      /* (E) scratch: first window with this count << 32 | count of the window */
  guint32 *document_h; /* (m + 1) */
  guint64 *expert_h;   /* (E, m + 1) */
} Windows;

/* Before the window at `position` the tokens that choose e numbered as in state, and then `by` more. */
static inline void
change (const Windows *windows, guint e, guint64 position, gint64 by)
{
  guint64 state = windows->state[e], count = (guint32) state, run = position - (state >> 32);

  windows->expert_h[e * windows->bins + count] += run;
  windows->document_h[count] += (guint32) run;
  windows->state[e] = (position << 32) + count + (guint64) by;
}

/* Adds the windows of one document. */
static void
slide (const guint16 *experts, gint64 n_tokens, guint k, guint n_experts, guint m, Windows windows)
{
  guint64 n_windows = (guint64) (n_tokens - m + 1);

  if (n_tokens < m)
    return;
  memset (windows.state, 0, n_experts * sizeof *windows.state);
  for (gsize i = 0; i < (gsize) m * k; i++)
    if (experts[i] != MS_NO_EXPERT)
      windows.state[experts[i]]++;
  for (guint64 p = 1; p < n_windows; p++)
    {
      const guint16 *leaving = experts + (p - 1) * k, *entering = leaving + (gsize) m * k;

      /* All leave before any enters: a count never exceeds m. */
      for (guint r = 0; r < k; r++)
        if (leaving[r] != MS_NO_EXPERT)
          change (&windows, leaving[r], p, -1);
      for (guint r = 0; r < k; r++)
        if (entering[r] != MS_NO_EXPERT)
          change (&windows, entering[r], p, 1);
    }
  for (guint e = 0; e < n_experts; e++)
    change (&windows, e, n_windows, 0);
}

/* --- The analysis ---------------------------------------------------------------------------- */

static const MsParam params[] = {
  { "lengths", "Segment lengths", "Segment lengths m in tokens, separated by commas", "tokens",
    MS_PARAM_TEXT, .usual_text = "4,16,64,256" },
  { "null", "Null value", "Compute SRP of the same tokens in shuffled order as well", NULL,
    MS_PARAM_BOOL, .usual = 1 },
  { "expert-intervals", "Intervals of experts",
    "Bootstrap intervals for single experts too (memory: documents x experts x lengths)", NULL,
    MS_PARAM_BOOL, .usual = 0 },
  { "draws", "Bootstrap draws",
    "CSV file of resamples to use instead of random ones: a header, then one line per document, a "
    "column per resample holding document numbers; with fewer lines than documents, the same draw "
    "serves every run of that many documents",
    NULL, MS_PARAM_FILE, .usual_text = "" },
  { 0 },
};

#define SCORE_COLUMNS                                                                              \
  { "segment_length", "Segment length", "tokens", MS_COLUMN_INT, "Tokens m of a segment" },        \
      { "srp", "SRP", NULL, MS_COLUMN_REAL,                                                        \
        "Best F1 over thresholds of loading the expert in windows where at least alpha of m "      \
        "tokens "                                                                                  \
        "choose it; 0 when no document has m tokens" },                                            \
      { "srp_low", "SRP, low", NULL, MS_COLUMN_REAL,                                               \
        "Lower end of the bootstrap interval over documents; of the basic interval when the "      \
        "draws come from a file" },                                                                \
      { "srp_high", "SRP, high", NULL, MS_COLUMN_REAL, "Upper end of the interval" },              \
      { "null_srp", "By chance", NULL, MS_COLUMN_REAL,                                             \
        "SRP with the tokens of each document in shuffled order" },                                \
      { "threshold", "Threshold", "tokens", MS_COLUMN_INT,                                         \
        "The best alpha, the lowest on ties; common to all experts of the scope" },                \
      { "segment_cache_size", "Segment cache size", NULL, MS_COLUMN_REAL,                          \
        "Loaded over active expert-tokens at the best threshold (rho)" },                          \
      { "activation_frequency", "Activation frequency", NULL, MS_COLUMN_REAL,                      \
        "Share of (window, token) pairs that choose the expert: inner tokens weigh more" },        \
  {                                                                                                \
    "measured", "Measured", NULL, MS_COLUMN_INT,                                                   \
        "1 when some document has m tokens; otherwise SRP is 0 by definition and not drawn"        \
  }

static const MsTableDef tables[] = {
  { "model", "SRP of the model", (const MsColumn[]){ SCORE_COLUMNS, { 0 } } },
  { "layers", "SRP by layer",
    (const MsColumn[]){ { "layer", "Layer", NULL, MS_COLUMN_INT, "The model's block number" },
                        SCORE_COLUMNS,
                        { 0 } } },
  { "experts", "SRP by expert",
    (const MsColumn[]){ { "layer", "Layer", NULL, MS_COLUMN_INT, "The model's block number" },
                        { "expert", "Expert", NULL, MS_COLUMN_INT, "Expert of the layer" },
                        SCORE_COLUMNS,
                        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "layers",
    .title = "Segment routing best performance",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "srp",
    .series = "segment_length",
    .low = "srp_low",
    .high = "srp_high",
    .reference = "null_srp",
    .where = "measured=1" },
  { .name = "model",
    .title = "SRP by segment length",
    .table = "model",
    .mark = MS_MARK_LINE,
    .x = "segment_length",
    .y = "srp",
    .low = "srp_low",
    .high = "srp_high",
    .reference = "null_srp",
    .x_scale = MS_SCALE_LOG2,
    .where = "measured=1" },
  { .name = "experts",
    .title = "SRP and activation frequency of experts",
    .table = "experts",
    .mark = MS_MARK_SCATTER,
    .x = "activation_frequency",
    .y = "srp",
    .series = "layer",
    .facet = "segment_length",
    .where = "measured=1" },
  { 0 },
};

/* Histograms of one layer for one segment length. */
typedef struct
{
  double *units;                /* (U, m + 1) windows by f, per bootstrap unit, all experts */
  double *expert_units;         /* (E, U, m + 1), NULL unless asked for */
  guint64 *layer;               /* (m + 1) */
  guint64 *experts;             /* (E, m + 1) */
  guint64 *null_layer;          /* (m + 1) */
  guint64 *null_experts;        /* (E, m + 1), NULL without a null value */
  MsInterval interval;          /* of the layer's SRP */
  MsInterval *expert_intervals; /* (E), NULL unless asked for */
} Histograms;

typedef struct
{
  guint n_lengths;
  guint lengths[MAX_LENGTHS];
  gboolean null, expert_intervals;
  gboolean basic; /* the paper's basic interval, which published draws are compared by */
  const MsBootstrap *bootstrap;
  Histograms *histograms; /* (L, n_lengths) */
} Job;

static gboolean
parse_lengths (const char *text, Job *job, GError **error)
{
  g_auto (GStrv) words = g_strsplit (text, ",", -1);

  for (guint i = 0; words[i] != NULL; i++)
    {
      guint64 length;

      if (!g_ascii_string_to_unsigned (g_strstrip (words[i]), 10, 1, MAX_LENGTH, &length, NULL)
          || job->n_lengths == MAX_LENGTHS)
        {
          g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                       "--lengths: '%s' is no segment length; give up to %d numbers from 1 to %d, "
                       "separated by commas",
                       words[i], MAX_LENGTHS, MAX_LENGTH);
          return FALSE;
        }
      job->lengths[job->n_lengths++] = (guint) length;
    }
  return TRUE;
}

static void
histograms_init (Histograms *h, const Job *job, guint n_experts, guint k, guint m)
{
  gsize bins = m + 1, units = job->bootstrap->n_units;
  gsize beyond = (gsize) m * k; /* counts above m, which a damaged file may have */

  h->units = g_new0 (double, units *bins);
  h->layer = g_new0 (guint64, bins);
  h->experts = g_new0 (guint64, n_experts * bins + beyond);
  h->null_layer = g_new0 (guint64, bins);
  if (job->null)
    h->null_experts = g_new0 (guint64, n_experts * bins + beyond);
  if (job->expert_intervals)
    h->expert_units = g_new0 (double, n_experts *units *bins);
}

static void
histograms_clear (Histograms *h)
{
  g_free (h->units);
  g_free (h->expert_units);
  g_free (h->layer);
  g_free (h->experts);
  g_free (h->null_layer);
  g_free (h->null_experts);
  g_free (h->expert_intervals);
}

/* One document into the histograms; `experts` of the document are its rows, shuffled for the null. */
static void
add_document (Histograms *h, const Job *job, guint document, const guint16 *rows, gint64 n_tokens,
              guint k, guint n_experts, guint m, guint64 *state, guint32 *bins, gboolean null)
{
  guint unit = ms_bootstrap_unit (job->bootstrap, document);
  g_autofree guint64 *before = NULL;

  memset (bins, 0, (m + 1) * sizeof *bins);
  if (h->expert_units != NULL && !null)
    before = g_memdup2 (h->experts, (gsize) n_experts * (m + 1) * sizeof *before);
  slide (rows, n_tokens, k, n_experts, m,
         (Windows){ m + 1, state, bins, null ? h->null_experts : h->experts });
  for (guint f = 0; f <= m; f++)
    {
      (null ? h->null_layer : h->layer)[f] += bins[f];
      if (!null)
        h->units[(gsize) unit * (m + 1) + f] += bins[f];
    }
  for (guint e = 0; before != NULL && e < n_experts; e++)
    for (guint f = 0; f <= m; f++)
      h->expert_units[((gsize) e * job->bootstrap->n_units + unit) * (m + 1) + f]
          += (double) (h->experts[(gsize) e * (m + 1) + f] - before[(gsize) e * (m + 1) + f]);
}

static void
srp_of_sums (const double *sums, double *out, gpointer data)
{
  guint m = *(guint *) data;
  g_autofree guint64 *h = g_new (guint64, m + 1);

  for (guint f = 0; f <= m; f++)
    h[f] = (guint64) sums[f];
  *out = score_histogram (h, m).srp;
}

/* The interval of the SRP of histograms (U, m + 1); none without windows, but for published draws. */
static MsInterval
make_interval (const Job *job, const double *units, guint m)
{
  double windows = 0;
  MsInterval interval;

  for (gsize i = 0; i < (gsize) job->bootstrap->n_units * (m + 1); i++)
    windows += units[i];
  ms_bootstrap_rates (job->bootstrap, units, m + 1, srp_of_sums, &m, 1, &interval);
  if (job->basic)
    {
      interval.low = interval.basic_low;
      interval.high = interval.basic_high;
    }
  else if (!(windows > 0))
    interval.low = interval.high = NAN;
  return interval;
}

static void
make_intervals (Histograms *h, const Job *job, guint n_experts, guint m)
{
  gsize bins = m + 1, n_units = job->bootstrap->n_units;

  h->interval = make_interval (job, h->units, m);
  if (h->expert_units == NULL)
    return;
  h->expert_intervals = g_new (MsInterval, n_experts);
  for (guint e = 0; e < n_experts; e++)
    h->expert_intervals[e] = make_interval (job, h->expert_units + e * n_units * bins, m);
}

static gboolean
scan_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  g_autoptr (MsLayerTrace) layer
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);
  g_autofree guint64 *state = NULL;
  g_autofree guint32 *bins = NULL;
  g_autofree guint16 *shuffled = NULL;
  gsize shuffled_size = 0;

  if (layer == NULL)
    return FALSE;
  state = g_new (guint64, layer->n_experts);
  bins = g_new (guint32, (gsize) MAX_LENGTH * layer->k + 1);
  for (guint i = 0; i < job->n_lengths; i++)
    histograms_init (&job->histograms[index * job->n_lengths + i], job, layer->n_experts, layer->k,
                     job->lengths[i]);
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      const guint16 *rows = layer->experts + document->first_token * layer->k;
      gsize size = (gsize) document->n_tokens * layer->k;

      if (g_cancellable_set_error_if_cancelled (context->cancel, error))
        return FALSE;
      if (job->null)
        {
          if (size > shuffled_size)
            {
              g_free (shuffled);
              shuffled = g_new (guint16, size);
              shuffled_size = size;
            }
          ms_shuffle_rows (rows, document->n_tokens, layer->k, ms_seed (context->sampling.seed, d),
                           shuffled);
        }
      for (guint i = 0; i < job->n_lengths; i++)
        {
          Histograms *h = &job->histograms[index * job->n_lengths + i];

          add_document (h, job, d, rows, document->n_tokens, layer->k, layer->n_experts,
                        job->lengths[i], state, bins, FALSE);
          if (job->null)
            add_document (h, job, d, shuffled, document->n_tokens, layer->k, layer->n_experts,
                          job->lengths[i], state, bins, TRUE);
        }
    }
  for (guint i = 0; i < job->n_lengths; i++)
    make_intervals (&job->histograms[index * job->n_lengths + i], job, layer->n_experts,
                    job->lengths[i]);
  return TRUE;
}

/* The columns that all three tables share; `head` layer and expert, -1 = none. */
static void
add_score (MsTable *table, gint64 layer, gint64 expert, guint m, const guint64 *h,
           const guint64 *null_h, const MsInterval *known)
{
  Score score = score_histogram (h, m);
  double null = null_h != NULL ? score_histogram (null_h, m).srp : NAN;
  gint64 measured = !isnan (score.frequency);
  MsInterval interval = known != NULL ? *known : (MsInterval){ .low = NAN, .high = NAN };

  if (expert >= 0)
    ms_table_add_row (table, MS_INT (layer), MS_INT (expert), MS_INT (m), MS_REAL (score.srp),
                      MS_REAL (interval.low), MS_REAL (interval.high), MS_REAL (null),
                      MS_INT (score.threshold), MS_REAL (score.rho), MS_REAL (score.frequency),
                      MS_INT (measured));
  else if (layer >= 0)
    ms_table_add_row (table, MS_INT (layer), MS_INT (m), MS_REAL (score.srp),
                      MS_REAL (interval.low), MS_REAL (interval.high), MS_REAL (null),
                      MS_INT (score.threshold), MS_REAL (score.rho), MS_REAL (score.frequency),
                      MS_INT (measured));
  else
    ms_table_add_row (table, MS_INT (m), MS_REAL (score.srp), MS_REAL (interval.low),
                      MS_REAL (interval.high), MS_REAL (null), MS_INT (score.threshold),
                      MS_REAL (score.rho), MS_REAL (score.frequency), MS_INT (measured));
}

static void
add_length (const MsContext *context, MsResult *result, const Job *job, guint length)
{
  guint m = job->lengths[length], n_layers = ms_trace_n_layers (context->trace);
  gsize bins = m + 1, n_units = job->bootstrap->n_units;
  g_autofree guint64 *model = g_new0 (guint64, bins);
  g_autofree guint64 *null = g_new0 (guint64, bins);
  g_autofree double *units = g_new0 (double, n_units *bins);
  MsInterval interval = job->histograms[length].interval; /* the model's too when alone */

  for (guint l = 0; l < n_layers; l++)
    {
      const Histograms *h = &job->histograms[l * job->n_lengths + length];
      const MsLayer *layer = ms_trace_layer (context->trace, l);

      for (gsize f = 0; f < bins; f++)
        {
          model[f] += h->layer[f];
          null[f] += h->null_layer[f];
        }
      for (gsize i = 0; i < n_units * bins; i++)
        units[i] += h->units[i];
      add_score (ms_result_table (result, "layers"), layer->number, -1, m, h->layer,
                 job->null ? h->null_layer : NULL, &h->interval);
      for (guint e = 0; e < layer->gate.n_experts; e++)
        add_score (ms_result_table (result, "experts"), layer->number, e, m, h->experts + e * bins,
                   job->null ? h->null_experts + e * bins : NULL,
                   h->expert_intervals != NULL ? &h->expert_intervals[e] : NULL);
    }
  if (n_layers > 1)
    interval = make_interval (job, units, m);
  add_score (ms_result_table (result, "model"), -1, -1, m, model, job->null ? null : NULL,
             &interval);
}

static void
summarise (MsResult *result)
{
  MsTable *model = ms_result_table (result, "model"), *layers = ms_result_table (result, "layers");
  guint srp = (guint) ms_table_find_column (model, "srp");
  guint null = (guint) ms_table_find_column (model, "null_srp");
  guint layer_srp = (guint) ms_table_find_column (layers, "srp");
  guint row = MIN (1, ms_table_n_rows (model) - 1);
  gint64 m = ms_table_get_int (model, row, 0);
  int best = -1;

  for (guint i = 0; i < ms_table_n_rows (layers); i++)
    if (ms_table_get_int (layers, i, 1) == m
        && (best < 0
            || ms_table_get_real (layers, i, layer_srp)
                   > ms_table_get_real (layers, (guint) best, layer_srp)))
      best = (int) i;
  result->summary = g_strdup_printf (
      "Deciding once per %" G_GINT64_FORMAT
      " tokens matches %.1f %% of the routing (SRP); with the tokens "
      "in random order it would be %.1f %%; layer %" G_GINT64_FORMAT
      " is the most consistent (%.1f %%).",
      m, 100 * ms_table_get_real (model, row, srp), 100 * ms_table_get_real (model, row, null),
      ms_table_get_int (layers, (guint) best, 0),
      100 * ms_table_get_real (layers, (guint) best, layer_srp));
}

/* SRP of no windows is 0 by definition, which reads like a measured one: say so. */
static void
note_empty (MsResult *result)
{
  const MsTable *model = ms_result_table (result, "model");
  guint frequency = (guint) ms_table_find_column (model, "activation_frequency");

  for (guint row = 0; row < ms_table_n_rows (model); row++)
    if (isnan (ms_table_get_real (model, row, frequency)))
      ms_result_note (result,
                      "No document has %" G_GINT64_FORMAT " tokens: there are no windows of that "
                      "length, and their SRP of 0 is no measurement.",
                      ms_table_get_int (model, row, 0));
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  Job job = { .null = ms_values_bool (context->values, "null"),
              .expert_intervals = ms_values_bool (context->values, "expert-intervals") };
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autoptr (MsBootstrap) bootstrap = NULL;
  gboolean fine;

  if (!parse_lengths (ms_values_text (context->values, "lengths"), &job, error))
    return FALSE;
  bootstrap = ms_bootstrap_new_from_file (context, ms_trace_n_documents (context->trace),
                                          ms_values_text (context->values, "draws"), error);
  if (bootstrap == NULL)
    return FALSE;
  job.bootstrap = bootstrap;
  job.basic = ms_values_text (context->values, "draws")[0] != '\0';
  job.histograms = g_new0 (Histograms, n_layers * job.n_lengths);
  fine = ms_context_tasks (context, n_layers, scan_layer, &job, 0, 0.8, error);
  for (guint i = 0; i < job.n_lengths && fine; i++)
    {
      add_length (context, result, &job, i);
      ms_context_progress (context, 0.8 + 0.2 * (i + 1) / job.n_lengths);
    }
  if (fine)
    {
      summarise (result);
      ms_result_note (result,
                      "Windows move by one token and never cross documents; the threshold is "
                      "common to all experts pooled in a row, so the model's SRP is not the "
                      "mean of its layers'.");
      note_empty (result);
    }
  for (guint i = 0; i < n_layers * job.n_lengths; i++)
    histograms_clear (&job.histograms[i]);
  g_free (job.histograms);
  return fine;
}

const MsAnalysis ms_analysis_srp = {
  .name = "srp",
  .title = "Segment Routing Best Performance",
  .help
  = "If the experts to keep loaded were decided once per segment of m tokens, how well could that "
    "match the token-level choices?",
  .formula
  = "h[f] = windows of m tokens in which f tokens choose the expert; F1(alpha) = 2 sum_{f >= "
    "alpha} f h[f] / (m sum_{f >= alpha} h[f] + sum f h[f]); SRP = max over alpha.",
  .cite = "Not All Models Suit Expert Offloading, arXiv 2505.16056.",
  .version = 3,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
