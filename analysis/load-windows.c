/* Load balance over time (metrics.md a, Windows): the measures of load.c for one window of tokens after
 * the other.  An incomplete last window is shown and flagged but left out of every average. */
#include "balance-private.h"

#include <math.h>
#include <string.h>

#define MOST_WINDOWS 1000000
/* A window is worth a finding from so many standard deviations above the layer's mean on. */
#define ODD_DEVIATIONS 4.0
#define FEWEST_WINDOWS 8

typedef struct
{
  gint64 first_row, n_tokens;
  double measures[MS_N_BALANCE];
  double noise_floor; /* CV by chance */
} Window;

/* Tokens, sums over them of their numbers k of experts and of k (E - k), and the range of k. */
typedef struct
{
  double tokens, decisions, spread;
  guint least, most;
} Sizes;

typedef struct
{
  guint n_experts;
  GArray *windows; /* of Window */
  Sizes sizes;     /* of all tokens */
  double null[MS_N_BALANCE];
} Layer;

typedef struct
{
  gint64 width; /* tokens of a window */
  double starved;
  Layer *layers; /* (L) */
} Windows;

/* --- Computing ------------------------------------------------------------------------------- */

typedef struct
{
  const Windows *windows;
  Layer *layer;
  guint64 *counts; /* (E) of the window being filled */
  double *reals;   /* (E) */
  gint64 n;        /* its tokens so far */
  Sizes sizes;     /* of these */
} Filling;

static void
add_size (Sizes *sizes, guint k, guint n_experts)
{
  sizes->least = sizes->tokens > 0 ? MIN (sizes->least, k) : k;
  sizes->most = MAX (sizes->most, k);
  sizes->tokens++;
  sizes->decisions += k;
  sizes->spread += (double) k * (n_experts - (double) k);
}

/* The CV of uniform independent choices of n tokens with such numbers of experts: an expert's count has the mean
 * sum k / E and the variance sum (k / E) (1 - k / E). */
static double
noise_floor (const Sizes *sizes, double n)
{
  return sizes->decisions > 0
             ? sqrt (sizes->spread / sizes->tokens * n) / (sizes->decisions / sizes->tokens * n)
             : NAN;
}

static void
end_window (Filling *filling, gint64 end_row)
{
  guint n_experts = filling->layer->n_experts;
  Window window = {
    end_row - filling->n, filling->n, { 0 }, noise_floor (&filling->sizes, (double) filling->n)
  };

  for (guint e = 0; e < n_experts; e++)
    filling->reals[e] = (double) filling->counts[e];
  ms_balance_measure (filling->reals, n_experts, (double) filling->n, filling->windows->starved,
                      window.measures);
  g_array_append_val (filling->layer->windows, window);
  memset (filling->counts, 0, n_experts * sizeof (guint64));
  filling->n = 0;
  memset (&filling->sizes, 0, sizeof filling->sizes);
}

static gboolean
fill (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
      GError **error)
{
  Filling *filling = data;

  (void) document, (void) error;
  while (n > 0)
    {
      guint part = (guint) MIN ((gint64) n, filling->windows->width - filling->n);

      ms_chunk_count (chunk, from, part, filling->counts);
      for (gsize i = from; i < (gsize) from + part; i++)
        {
          guint n_chosen = 0;

          for (guint r = 0; r < chunk->k; r++)
            n_chosen += ms_chunk_expert (chunk, i * chunk->k + r) < filling->layer->n_experts;
          add_size (&filling->sizes, n_chosen, filling->layer->n_experts);
          add_size (&filling->layer->sizes, n_chosen, filling->layer->n_experts);
        }
      filling->n += part;
      from += part;
      row += part;
      n -= part;
      if (filling->n == filling->windows->width)
        end_window (filling, row);
    }
  return TRUE;
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Windows *windows = data;
  Layer *layer = &windows->layers[index];
  const MsLayer *def = ms_trace_layer (context->trace, index);
  g_autofree guint64 *counts = g_new0 (guint64, def->gate.n_experts);
  g_autofree double *reals = g_new (double, def->gate.n_experts);
  Filling filling = { .windows = windows, .layer = layer, .counts = counts, .reals = reals };
  const Sizes *sizes = &layer->sizes;
  double width = (double) windows->width;

  layer->n_experts = def->gate.n_experts;
  layer->windows = g_array_new (FALSE, FALSE, sizeof (Window));
  if (!ms_trace_scan_layer (context->trace, index, 0, fill, &filling, context->cancel, error))
    return FALSE;
  if (filling.n > 0)
    end_window (&filling, ms_trace_n_tokens (context->trace));
  if (sizes->least == sizes->most)
    ms_balance_null (def->gate.n_experts, width, width * sizes->most, windows->starved,
                     ms_seed (context->sampling.seed, G_MAXUINT32), layer->null);
  else
    ms_balance_null_of_variance (
        def->gate.n_experts, width, width * sizes->decisions / sizes->tokens,
        width * sizes->spread / sizes->tokens / def->gate.n_experts / def->gate.n_experts,
        windows->starved, ms_seed (context->sampling.seed, G_MAXUINT32), layer->null);
  return TRUE;
}

/* --- Tables ---------------------------------------------------------------------------------- */

/* Mean, deviation and maximum of measure i over the complete windows; NaN without any. */
static void
summarise_windows (const Windows *windows, const Layer *layer, guint i, double *mean,
                   double *deviation, double *most)
{
  g_autofree double *values = g_new (double, layer->windows->len);
  guint n = 0;

  for (guint w = 0; w < layer->windows->len; w++)
    {
      const Window *window = &g_array_index (layer->windows, Window, w);

      if (window->n_tokens == windows->width && !isnan (window->measures[i]))
        values[n++] = window->measures[i];
    }
  *mean = ms_mean (values, n);
  *deviation = ms_deviation (values, n, 1);
  *most = n > 0 ? values[0] : NAN;
  for (guint w = 1; w < n; w++)
    *most = MAX (*most, values[w]);
}

static void
find_windows (const MsContext *context, const Windows *windows, guint index, double mean,
              double deviation, MsResult *result)
{
  const Layer *layer = &windows->layers[index];
  int block = ms_trace_layer (context->trace, index)->number;

  for (guint w = 0; layer->windows->len >= FEWEST_WINDOWS && w < layer->windows->len; w++)
    {
      const Window *window = &g_array_index (layer->windows, Window, w);
      double cv = window->measures[MS_BALANCE_CV], strength = (cv - mean) / deviation;
      gint64 first, last;

      if (window->n_tokens < windows->width || !(strength >= ODD_DEVIATIONS))
        continue;
      first = ms_trace_position (context->trace, window->first_row);
      last = ms_trace_position (context->trace, window->first_row + window->n_tokens - 1);
      ms_result_find (result, MIN (strength, 1e6),
                      g_strdup_printf ("layer=%d token=%" G_GINT64_FORMAT "..%" G_GINT64_FORMAT,
                                       block, first, last),
                      "layer %d: the window at token %" G_GINT64_FORMAT
                      " has a CV of %.3g where %.3g is usual",
                      block, first, cv, mean);
    }
}

static void
write_layer (const MsContext *context, const Windows *windows, guint index, MsResult *result)
{
  const Layer *layer = &windows->layers[index];
  const MsLayer *def = ms_trace_layer (context->trace, index);

  for (guint w = 0; w < layer->windows->len; w++)
    {
      const Window *window = &g_array_index (layer->windows, Window, w);

      ms_table_put (result->tables[0], MS_INT (def->number), MS_INT (w), MS_INT (window->first_row),
                    MS_INT (window->n_tokens), MS_INT (window->n_tokens == windows->width));
      ms_table_put_reals (result->tables[0], window->measures, MS_N_BALANCE);
      ms_table_put (result->tables[0], MS_REAL (window->noise_floor),
                    MS_REAL (layer->null[MS_BALANCE_MAX_VIO]));
      ms_table_end_row (result->tables[0]);
    }
  for (guint i = 0; i < MS_N_BALANCE; i++)
    {
      double mean, deviation, most;

      summarise_windows (windows, layer, i, &mean, &deviation, &most);
      ms_table_add_row (
          result->tables[1], MS_INT (def->number), MS_TEXT (ms_balance_columns[i].name),
          MS_REAL (mean), MS_REAL (deviation), MS_REAL (most), MS_REAL (layer->null[i]),
          MS_REAL (i == MS_BALANCE_CV ? noise_floor (&layer->sizes, (double) windows->width) : NAN),
          MS_TEXT (ms_balance_columns[i].unit));
      if (i == MS_BALANCE_CV)
        find_windows (context, windows, index, mean, deviation, result);
    }
}

static void
write_overall (const MsContext *context, const Windows *windows, MsResult *result)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  const GArray *first = windows->layers[0].windows;
  gboolean incomplete
      = first->len > 0 && g_array_index (first, Window, first->len - 1).n_tokens < windows->width;
  double means[MS_N_BALANCE], floor_ = 0;

  for (guint i = 0; i < MS_N_BALANCE; i++)
    {
      double most = -INFINITY, null = 0;

      means[i] = 0;
      for (guint l = 0; l < n_layers; l++)
        {
          double mean, deviation, one;

          summarise_windows (windows, &windows->layers[l], i, &mean, &deviation, &one);
          means[i] += mean / n_layers;
          null += windows->layers[l].null[i] / n_layers;
          most = one > most || isnan (one) ? one : most;
        }
      ms_table_add_row (result->tables[2], MS_TEXT (ms_balance_columns[i].name),
                        MS_TEXT (ms_balance_columns[i].title), MS_REAL (means[i]), MS_REAL (most),
                        MS_REAL (null), MS_TEXT (ms_balance_columns[i].unit));
    }
  for (guint l = 0; l < n_layers; l++)
    floor_ += noise_floor (&windows->layers[l].sizes, (double) windows->width) / n_layers;
  if (first->len == (guint) incomplete)
    result->summary = g_strdup_printf ("No window of %" G_GINT64_FORMAT
                                       " tokens is complete: choose a smaller --window.",
                                       windows->width);
  else
    result->summary = g_strdup_printf ("Over %u complete windows of %" G_GINT64_FORMAT
                                       " tokens the MaxVio is %.3g and the CV %.3g on average over "
                                       "layers; chance alone makes a CV "
                                       "of %.3g at this window.",
                                       first->len - incomplete, windows->width,
                                       means[MS_BALANCE_MAX_VIO], means[MS_BALANCE_CV], floor_);
  ms_result_note (result, "Tumbling windows over the selected tokens in the order of the text, "
                          "across document borders.");
  if (incomplete)
    ms_result_note (result, "The last window is incomplete: it is left out of means and maxima.");
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  Windows windows
      = { .width = ms_values_int (context->values, "window"), .starved = 0.1, .layers = layers };
  gboolean fine;

  if (ms_trace_n_tokens (context->trace) / windows.width > MOST_WINDOWS / n_layers)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                   "--window %" G_GINT64_FORMAT ": more than %u windows; make them wider",
                   windows.width, MOST_WINDOWS);
      return FALSE;
    }
  fine = ms_context_tasks (context, n_layers, do_layer, &windows, 0, 1, error);
  for (guint l = 0; fine && l < n_layers; l++)
    write_layer (context, &windows, l, result);
  if (fine)
    write_overall (context, &windows, result);
  for (guint l = 0; l < n_layers; l++)
    g_clear_pointer (&layers[l].windows, g_array_unref);
  return fine;
}

/* --- The descriptor -------------------------------------------------------------------------- */

static const MsParam params[] = {
  { .name = "window",
    .title = "Window",
    .help = "Tokens of a window.",
    .unit = "tokens",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 1e9,
    .usual = 512,
    .ui_least = 16,
    .ui_most = 65536 },
  { 0 },
};

static const MsColumn window_columns[] = {
  MS_LAYER_COLUMN,
  { "window", "Window", NULL, MS_COLUMN_INT, "The window's number, from 0." },
  { "first_token", "First token", NULL, MS_COLUMN_INT,
    "Number of the window's first token among the selected tokens, from 0." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "Tokens in the window." },
  { "complete", "Complete", NULL, MS_COLUMN_INT, "0 for an incomplete last window, else 1." },
  MS_BALANCE_COLUMNS,
  { "noise_floor", "CV by chance", NULL, MS_COLUMN_REAL,
    "sqrt (sum k (E - k)) / sum k over the window's tokens, k experts each: the CV of uniform "
    "independent choices." },
  { "max_vio_null", "MaxVio by chance", NULL, MS_COLUMN_REAL,
    "Expected MaxVio of a complete window under uniform independent choices." },
  { 0 },
};

static const MsColumn layer_columns[] = {
  MS_LAYER_COLUMN,
  { "measure", "Measure", NULL, MS_COLUMN_TEXT, "A column of the table windows." },
  { "mean", "Mean", NULL, MS_COLUMN_REAL, "Mean over complete windows." },
  { "deviation", "Deviation", NULL, MS_COLUMN_REAL,
    "Sample standard deviation over complete windows." },
  { "most", "Maximum", NULL, MS_COLUMN_REAL, "Maximum over complete windows." },
  { "null", "By chance", NULL, MS_COLUMN_REAL,
    "Expected for one window under uniform independent choices." },
  { "noise_floor", "Noise floor", NULL, MS_COLUMN_REAL,
    "CV by chance of a window of the layer's tokens, for the measure cv." },
  { "unit", "Unit", NULL, MS_COLUMN_TEXT, "Of the numbers; undefined = a pure number." },
  { 0 },
};

static const MsColumn overall_columns[] = {
  { "measure", "Measure", NULL, MS_COLUMN_TEXT, "A column of the table windows." },
  { "title", "Title", NULL, MS_COLUMN_TEXT, "The measure's name for people." },
  { "mean", "Mean", NULL, MS_COLUMN_REAL, "Mean over complete windows, then over layers." },
  { "most", "Maximum", NULL, MS_COLUMN_REAL, "Maximum over complete windows and layers." },
  { "null", "By chance", NULL, MS_COLUMN_REAL, "Mean of the layers' null values." },
  { "unit", "Unit", NULL, MS_COLUMN_TEXT, "Of the numbers; undefined = a pure number." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "windows", "Load balance of every window", window_columns },
  { "layers", "Means over windows by layer", layer_columns },
  { "overall", "Means over windows and layers", overall_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "max-vio",
    .title = "MaxVio over time",
    .table = "windows",
    .mark = MS_MARK_LINE,
    .x = "first_token",
    .y = "max_vio",
    .facet = "layer",
    .reference = "max_vio_null",
    .where = "complete=1" },
  { .name = "cv",
    .title = "Coefficient of variation over time",
    .table = "windows",
    .mark = MS_MARK_LINE,
    .x = "first_token",
    .y = "cv",
    .facet = "layer",
    .reference = "noise_floor",
    .where = "complete=1" },
  { .name = "map",
    .title = "MaxVio by window and layer",
    .table = "windows",
    .mark = MS_MARK_HEATMAP,
    .x = "window",
    .y = "layer",
    .value = "max_vio",
    .where = "complete=1" },
  { 0 },
};

const MsAnalysis ms_analysis_load_windows = {
  .name = "load-windows",
  .title = "Load Balance Over Time",
  .help = "How uneven is the load of one batch of tokens after the other, and is that more than "
          "chance makes of so few tokens?",
  .formula = "The measures of `load` for tumbling windows of W tokens; the mean of MaxVio is "
             "MaxVio_batch.  If tokens choose k of E experts uniformly and independently, "
             "E[CV^2] = (E - k) / (n k) for n tokens; where k differs between tokens, "
             "sum k (E - k) / (sum k)^2.",
  .cite = "MaxVio_batch: Loss-Free Balancing, arXiv 2408.15664.",
  .version = 2,
  .live = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
