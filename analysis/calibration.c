/* Calibration coverage: does every expert see enough tokens to be calibrated, quantised or judged by them?
 *
 * Who quantises or prunes with a text wants a least number of tokens for every expert (at most N tokens:
 * traces.md 3).  Counts are tokens, an expert has each token once.  An expert without a token stays idle: no
 * amount of text can be told from a count of 0, so what it would need is undefined. */
#include "analysis-private.h"

#include <math.h>

/* Bounds of the table of thresholds: experts with at most so many tokens. */
static const gint64 steps[] = { 0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 };

static const MsParam params[] = {
  { .name = "least",
    .title = "Least tokens",
    .help = "So many tokens an expert should see.",
    .unit = "tokens",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 1e9,
    .usual = 20,
    .ui_least = 1,
    .ui_most = 1000 },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Calibration by layer",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "n_experts", "Experts", "experts", MS_COLUMN_INT, "Routed experts of the layer." },
        { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "Selected tokens." },
        { "idle", "Without a token", "experts", MS_COLUMN_INT, "Experts that no token chose." },
        { "scarce", "Too few tokens", "experts", MS_COLUMN_INT,
          "Experts with fewer tokens than --least, idle ones included." },
        { "rarest", "Rarest expert", NULL, MS_COLUMN_INT,
          "The expert with the fewest tokens; of equals the lowest id." },
        { "rarest_count", "Its tokens", "tokens", MS_COLUMN_INT, "Tokens of the rarest expert." },
        { "more_tokens", "More tokens needed", "tokens", MS_COLUMN_REAL,
          "Further tokens of such text until the rarest expert that was chosen at all is expected "
          "to "
          "have --least: n_tokens (least / count - 1), at least 0." },
        { 0 } } },
  { "experts", "Tokens by expert",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        MS_EXPERT_COLUMN,
        { "count", "Tokens", "tokens", MS_COLUMN_INT, "Tokens that chose the expert." },
        { "frequency", "Frequency", NULL, MS_COLUMN_REAL,
          "Share of the tokens: count / n_tokens." },
        { "more_tokens", "More tokens needed", "tokens", MS_COLUMN_REAL,
          "n_tokens (least / count - 1), at least 0; undefined for an expert without a token." },
        { 0 } } },
  { "thresholds", "Experts with few tokens",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "at_most", "At most", "tokens", MS_COLUMN_INT, "The bound." },
        { "experts", "Experts", "experts", MS_COLUMN_INT, "Experts with at most so many tokens." },
        { "share", "Share of the experts", NULL, MS_COLUMN_REAL, "experts / E." },
        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "scarce",
    .title = "Experts with few tokens",
    .table = "thresholds",
    .mark = MS_MARK_LINE,
    .x = "at_most",
    .y = "share",
    .series = "layer",
    .x_scale = MS_SCALE_CATEGORY,
    .x_title = "At most so many tokens",
    .y_title = "Share of the experts" },
  { .name = "needed",
    .title = "Text needed for the rarest expert",
    .table = "layers",
    .mark = MS_MARK_BAR,
    .x = "layer",
    .y = "more_tokens",
    .y_title = "Further tokens needed" },
  { 0 },
};

typedef struct
{
  guint64 *counts; /* (E) */
} Layer;

static gboolean
count_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Layer *layer = (Layer *) data + index;

  layer->counts = g_new0 (guint64, ms_trace_layer (context->trace, index)->gate.n_experts);
  return ms_trace_count (context->trace, index, layer->counts, context->cancel, error);
}

/* Further tokens until an expert with `count` of n is expected to have `least`. */
static double
needed (double count, double n, double least)
{
  return count > 0 ? MAX (n * (least / count - 1), 0) : NAN;
}

/* Adds a layer's rows; *n_idle and *n_scarce grow, *most becomes the largest need. */
static void
add_layer (const MsContext *context, MsResult *result, guint index, const guint64 *counts,
           guint *n_idle, guint *n_scarce, double *most)
{
  const MsLayer *layer = ms_trace_layer (context->trace, index);
  guint n_experts = layer->gate.n_experts, rarest = 0, idle = 0, scarce = 0;
  double n = (double) ms_trace_n_tokens (context->trace), need = NAN;
  double least = (double) ms_values_int (context->values, "least");

  for (guint e = 0; e < n_experts; e++)
    {
      double own = needed ((double) counts[e], n, least);

      rarest = counts[e] < counts[rarest] ? e : rarest;
      idle += counts[e] == 0;
      scarce += (double) counts[e] < least;
      need = fmax (need, own); /* passes NaN over */
      ms_table_add_row (ms_result_table (result, "experts"), MS_INT (layer->number), MS_INT (e),
                        MS_INT ((gint64) counts[e]), MS_REAL ((double) counts[e] / n),
                        MS_REAL (own));
    }
  for (guint i = 0; i < G_N_ELEMENTS (steps); i++)
    {
      gint64 below = 0;

      for (guint e = 0; e < n_experts; e++)
        below += counts[e] <= (guint64) steps[i];
      ms_table_add_row (ms_result_table (result, "thresholds"), MS_INT (layer->number),
                        MS_INT (steps[i]), MS_INT (below), MS_REAL ((double) below / n_experts));
    }
  ms_table_add_row (ms_result_table (result, "layers"), MS_INT (layer->number), MS_INT (n_experts),
                    MS_INT ((gint64) n), MS_INT (idle), MS_INT (scarce), MS_INT (rarest),
                    MS_INT ((gint64) counts[rarest]), MS_REAL (need));
  *n_idle += idle;
  *n_scarce += scarce;
  *most = fmax (*most, need);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace), n_idle = 0, n_scarce = 0, n_all = 0;
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  gint64 least = ms_values_int (context->values, "least");
  gboolean fine = ms_context_tasks (context, n_layers, count_layer, layers, 0, 0.95, error);
  char more[MS_NUMBER_SIZE];
  double most = NAN;

  for (guint l = 0; l < n_layers && fine; l++)
    {
      add_layer (context, result, l, layers[l].counts, &n_idle, &n_scarce, &most);
      n_all += ms_trace_layer (context->trace, l)->gate.n_experts;
    }
  for (guint l = 0; l < n_layers; l++)
    g_free (layers[l].counts);
  if (!fine)
    return FALSE;
  if (n_scarce == 0)
    result->summary = g_strdup_printf (
        "Each of the %u experts sees at least %" G_GINT64_FORMAT " tokens.", n_all, least);
  else if (isnan (most) || most == 0)
    result->summary = g_strdup_printf ("%u of %u experts see fewer than %" G_GINT64_FORMAT
                                       " tokens, %u of these none.",
                                       n_scarce, n_all, least, n_idle);
  else
    result->summary = g_strdup_printf (
        "%u of %u experts see fewer than %" G_GINT64_FORMAT
        " tokens, %u of these none; about %s further tokens of such text would give %s "
        "%" G_GINT64_FORMAT ".",
        n_scarce, n_all, least, n_idle, ms_number_grouped (more, (gint64) ceil (most)),
        n_idle > 0 ? "each of the others" : "every expert", least);
  if (n_idle > 0)
    ms_result_note (result, "How much text an expert without any token would need cannot be told.");
  return TRUE;
}

const MsAnalysis ms_analysis_calibration = {
  .name = "calibration",
  .title = "Calibration Coverage",
  .help
  = "Does every expert see enough tokens to be quantised, pruned or judged by this text, and how "
    "much more text would be needed?",
  .formula
  = "count (l, e) = tokens whose chosen set in layer l holds e; scarce = experts with count < "
    "least; further tokens needed = T (least / count - 1).",
  .cite
  = "Asked for by users of AutoAWQ (pull 755), GPTQModel (issue 1680) and torchao (pull 4322); the "
    "projection is ours.",
  .version = 1,
  .needs = MS_TAKES_COUNTS,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
