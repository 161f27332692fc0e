/* How routing settles over a series of checkpoints: saturation against the final one, change between
 * neighbours, last fluctuation (metrics.md d.1, d.2, d.3).
 *
 * The trace is the final checkpoint; the others are earlier ones in order of training. */
#include "aligned-private.h"

#include <math.h>

static const MsParam params[] = {
  { "steps", "Training steps",
    "The step of each checkpoint in order, the final one last, separated by commas; empty = as the "
    "names of the runs say, else unknown",
    NULL, MS_PARAM_TEXT, .usual_text = "" },
  { "assignments", "Assignments",
    "CSV file with the columns step, token, expert to analyse instead of runs (one expert per "
    "token)",
    NULL, MS_PARAM_FILE, .usual_text = "" },
  { 0 },
};

static const MsTableDef tables[] = {
  { "checkpoints", "Agreement with the final checkpoint",
    (const MsColumn[]){
        { "layer", "Layer", NULL, MS_COLUMN_INT,
          "The model's block number (0 for an assignments file)" },
        { "step", "Training step", NULL, MS_COLUMN_INT,
          "Training step of the checkpoint; where it is unknown its place from 1" },
        { "fraction_of_training", "Share of training", NULL, MS_COLUMN_REAL,
          "Step / final step; undefined where steps are unknown" },
        { "saturation", "Saturation", NULL, MS_COLUMN_REAL,
          "Mean of |S(t) and S(final)| / k: experts already chosen as at the end" },
        { "low", "Low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "high", "High", NULL, MS_COLUMN_REAL, "Upper end" },
        { "saturation_random", "Saturation by chance", NULL, MS_COLUMN_REAL,
          "Mean of the smaller set's size / E: k / E when every token has k experts" },
        { "top1", "Top-1 saturation", NULL, MS_COLUMN_REAL,
          "Share of tokens whose first choice equals the final one" },
        { "top1_low", "Top-1, low", NULL, MS_COLUMN_REAL, "Lower end of its interval" },
        { "top1_high", "Top-1, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "top1_random", "Top-1 by chance", NULL, MS_COLUMN_REAL, "1 / E" },
        { "exact_set_match", "Equal sets", NULL, MS_COLUMN_REAL,
          "Share of tokens with the final set" },
        { "jaccard", "Jaccard", NULL, MS_COLUMN_REAL,
          "Mean of intersection / union with the final set" },
        { 0 } } },
  { "neighbours", "Change between neighbouring checkpoints",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "step", "Training step", NULL, MS_COLUMN_INT, "The earlier checkpoint" },
        { "next_step", "Training step (later of two)", NULL, MS_COLUMN_INT,
          "The later checkpoint" },
        { "neighbour_change_rate", "First choice changed", NULL, MS_COLUMN_REAL,
          "Share of tokens whose first choice changed" },
        { "neighbour_change_low", "First choice changed, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "neighbour_change_high", "First choice changed, high", NULL, MS_COLUMN_REAL,
          "Upper end" },
        { "set_change_rate", "Sets changed", NULL, MS_COLUMN_REAL,
          "Share of tokens whose set changed" },
        { "set_change_low", "Sets changed, low", NULL, MS_COLUMN_REAL,
          "Lower end of its interval" },
        { "set_change_high", "Sets changed, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "mean_experts_changed", "Experts changed", NULL, MS_COLUMN_REAL,
          "Mean share of activated experts that changed" },
        { 0 } } },
  { "fluctuation", "Last fluctuation",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "fraction_of_training", "Share of training", NULL, MS_COLUMN_REAL, "0, 0.1, ..., 1" },
        { "tokens_settled", "Settled", NULL, MS_COLUMN_REAL,
          "Share of tokens whose last step with another choice than the final one is not later" },
        { "low", "Settled, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "high", "Settled, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "tokens_exceeding", "Still moving", NULL, MS_COLUMN_REAL, "1 - settled" },
        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "saturation",
    .title = "Router saturation",
    .table = "checkpoints",
    .mark = MS_MARK_LINE,
    .x = "step",
    .y = "saturation",
    .series = "layer",
    .low = "low",
    .high = "high",
    .reference = "saturation_random" },
  { .name = "top1",
    .title = "Router saturation, first choice",
    .table = "checkpoints",
    .mark = MS_MARK_LINE,
    .x = "step",
    .y = "top1",
    .series = "layer",
    .low = "top1_low",
    .high = "top1_high",
    .y_title = "Same first choice (share)",
    .reference = "top1_random" },
  { .name = "fluctuation",
    .title = "Tokens settled",
    .table = "fluctuation",
    .mark = MS_MARK_LINE,
    .x = "fraction_of_training",
    .y = "tokens_settled",
    .series = "layer",
    .low = "low",
    .high = "high",
    .y_title = "Tokens settled (share)" },
  { .name = "neighbours",
    .title = "Change between checkpoints",
    .table = "neighbours",
    .mark = MS_MARK_LINE,
    .x = "next_step",
    .y = "set_change_rate",
    .series = "layer",
    .low = "set_change_low",
    .high = "set_change_high",
    .y_title = "Sets changed (share)" },
  { 0 },
};

enum
{
  SUM_TOKENS,
  SUM_OVERLAP,
  SUM_TOP1,
  SUM_SET,
  SUM_JACCARD,
  SUM_SMALLER, /* size of the smaller set */
  SUM_SIZED,   /* tokens with experts in one of both */
  N_SUMS,
};

/* One layer of all checkpoints; the final one is the last. */
typedef struct
{
  guint n_checkpoints, k, n_experts;
  gint64 n_tokens;
  const guint16 **experts; /* (n_checkpoints) of (T, K of each) */
  guint *widths;           /* (n_checkpoints) K of each */
} Series;

typedef struct
{
  double *units;      /* (n_checkpoints, U, N_SUMS) against the final one */
  double *neighbours; /* (n_checkpoints, U, N_SUMS) against the next one */
  double
      *settled_at; /* (U, n_checkpoints + 1) tokens whose last difference is checkpoint i - 1; 0 =
                         none */
} Layer;

typedef struct
{
  const MsBootstrap *bootstrap;
  guint n_checkpoints;
  gint64 *steps;  /* (n_checkpoints) */
  gboolean known; /* else they are places from 1 */
  Layer *layers;
} Job;

static void
add_change (MsSetChange change, double *sums)
{
  guint larger = MAX (change.n_a, change.n_b);

  sums[SUM_TOKENS]++;
  sums[SUM_TOP1] += !change.top1;
  sums[SUM_SET] += !change.set;
  if (larger > 0)
    {
      sums[SUM_SIZED]++;
      sums[SUM_SMALLER] += MIN (change.n_a, change.n_b);
      sums[SUM_OVERLAP] += (double) change.common / larger;
      sums[SUM_JACCARD] += (double) change.common / (change.n_a + change.n_b - change.common);
    }
}

static void
follow_token (const Job *job, const Series *series, gint64 t, guint unit, Layer *out)
{
  guint last = series->n_checkpoints - 1, moved = 0;
  const guint16 *final = series->experts[last] + t * series->widths[last];

  for (guint i = 0; i <= last; i++)
    {
      const guint16 *set = series->experts[i] + t * series->widths[i];
      MsSetChange change = ms_set_change (set, series->widths[i], final, series->widths[last]);

      add_change (change, out->units + ((gsize) i * job->bootstrap->n_units + unit) * N_SUMS);
      if (change.set)
        moved = i + 1;
      if (i < last)
        add_change (ms_set_change (set, series->widths[i],
                                   series->experts[i + 1] + t * series->widths[i + 1],
                                   series->widths[i + 1]),
                    out->neighbours + ((gsize) i * job->bootstrap->n_units + unit) * N_SUMS);
    }
  out->settled_at[(gsize) unit * (job->n_checkpoints + 1) + moved]++;
}

static void
layer_init (Layer *layer, const Job *job)
{
  layer->units = g_new0 (double, (gsize) job->n_checkpoints * job->bootstrap->n_units * N_SUMS);
  layer->neighbours
      = g_new0 (double, (gsize) job->n_checkpoints * job->bootstrap->n_units * N_SUMS);
  layer->settled_at = g_new0 (double, (gsize) job->bootstrap->n_units *(job->n_checkpoints + 1));
}

static gboolean
follow_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  g_autoptr (GPtrArray) loaded
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_layer_trace_free);
  g_autofree const guint16 **experts = g_new (const guint16 *, job->n_checkpoints);
  g_autofree guint *widths = g_new (guint, job->n_checkpoints);
  Series series = { job->n_checkpoints, 0, 0, 0, experts, widths };

  layer_init (&job->layers[index], job);
  for (guint i = 0; i < job->n_checkpoints; i++)
    {
      MsTrace *trace = i < context->n_others ? context->others[i] : context->trace;
      MsLayerTrace *layer
          = ms_trace_load_layer (trace, index, MS_CHUNK_EXPERTS, context->cancel, error);

      if (layer == NULL)
        return FALSE;
      g_ptr_array_add (loaded, layer);
      experts[i] = layer->experts;
      widths[i] = layer->k;
    }
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);

      for (gint64 t = 0; t < document->n_tokens; t++)
        follow_token (job, &series, document->first_token + t,
                      ms_bootstrap_unit (job->bootstrap, d), &job->layers[index]);
    }
  return TRUE;
}

static void
rates (const double *sums, double *out, gpointer data)
{
  (void) data;
  for (guint i = 0; i < N_SUMS; i++)
    {
      double n
          = sums[i == SUM_OVERLAP || i == SUM_JACCARD || i == SUM_SMALLER ? SUM_SIZED : SUM_TOKENS];

      out[i] = n > 0 ? sums[i] / n : NAN;
    }
}

#define FRACTIONS 11 /* 0, 0.1, ..., 1 */

/* Shares of tokens that are settled at each fraction of training. */
static void
settled_shares (const double *sums, double *out, gpointer data)
{
  const Job *job = data;
  guint last = job->n_checkpoints - 1;
  double tokens = 0;

  for (guint i = 0; i <= last + 1; i++)
    tokens += sums[i];
  for (guint f = 0; f < FRACTIONS; f++)
    {
      double settled = sums[0];

      /* 10 step <= f final step, in whole numbers: no rounding at the borders. */
      for (guint i = 0; i <= last; i++)
        if (10 * job->steps[i] <= (gint64) f * job->steps[last])
          settled += sums[i + 1];
      out[f] = tokens > 0 ? settled / tokens : NAN;
    }
}

static void
add_layer (MsResult *result, const Job *job, gint64 block, double n_experts, const Layer *in)
{
  guint last = job->n_checkpoints - 1;
  gsize row = (gsize) job->bootstrap->n_units * N_SUMS;
  double final_step = (double) job->steps[last];
  MsInterval v[MAX (N_SUMS, FRACTIONS)];

  for (guint i = 0; i <= last; i++)
    {
      ms_bootstrap_rates (job->bootstrap, in->units + i * row, N_SUMS, rates, NULL, N_SUMS, v);
      ms_table_add_row (ms_result_table (result, "checkpoints"), MS_INT (block),
                        MS_INT (job->steps[i]),
                        MS_REAL (job->known ? (double) job->steps[i] / final_step : NAN),
                        MS_INTERVAL (v[SUM_OVERLAP]), MS_REAL (v[SUM_SMALLER].value / n_experts),
                        MS_INTERVAL (v[SUM_TOP1]), MS_REAL (1 / n_experts),
                        MS_REAL (v[SUM_SET].value), MS_REAL (v[SUM_JACCARD].value));
    }
  for (guint i = 0; i < last; i++)
    {
      /* What changed is what did not stay: ends change places. */
      ms_bootstrap_rates (job->bootstrap, in->neighbours + i * row, N_SUMS, rates, NULL, N_SUMS, v);
      ms_table_add_row (ms_result_table (result, "neighbours"), MS_INT (block),
                        MS_INT (job->steps[i]), MS_INT (job->steps[i + 1]),
                        MS_REAL (1 - v[SUM_TOP1].value), MS_REAL (1 - v[SUM_TOP1].high),
                        MS_REAL (1 - v[SUM_TOP1].low), MS_REAL (1 - v[SUM_SET].value),
                        MS_REAL (1 - v[SUM_SET].high), MS_REAL (1 - v[SUM_SET].low),
                        MS_REAL (1 - v[SUM_OVERLAP].value));
    }
  ms_bootstrap_rates (job->bootstrap, in->settled_at, last + 2, settled_shares, (gpointer) job,
                      FRACTIONS, v);
  for (guint f = 0; f < FRACTIONS; f++)
    ms_table_add_row (ms_result_table (result, "fluctuation"), MS_INT (block), MS_REAL (f / 10.0),
                      MS_INTERVAL (v[f]), MS_REAL (1 - v[f].value));
}

/* The steps that the runs' names tell; FALSE when one has none or they do not grow. */
static gboolean
find_steps (const MsContext *context, Job *job)
{
  for (guint i = 0; i < job->n_checkpoints; i++)
    {
      const MsTrace *trace = i < context->n_others ? context->others[i] : context->trace;

      job->steps[i] = ms_run_step (ms_trace_run (trace));
      if (job->steps[i] < 0 || (i > 0 && job->steps[i] <= job->steps[i - 1]))
        return FALSE;
    }
  return job->steps[job->n_checkpoints - 1] > 0;
}

static gboolean
read_steps (const MsContext *context, Job *job, GError **error)
{
  const char *text = ms_values_text (context->values, "steps");
  g_auto (GStrv) words = g_strsplit (text, ",", -1);

  job->steps = g_new (gint64, job->n_checkpoints);
  if (text[0] == '\0')
    {
      job->known = find_steps (context, job);
      for (guint i = 0; i < job->n_checkpoints && !job->known; i++)
        job->steps[i] = i + 1;
      return TRUE;
    }
  job->known = TRUE;
  if (g_strv_length (words) != job->n_checkpoints)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                   "--steps names %u steps, there are %u checkpoints", g_strv_length (words),
                   job->n_checkpoints);
      return FALSE;
    }
  for (guint i = 0; i < job->n_checkpoints; i++)
    if (!g_ascii_string_to_signed (g_strstrip (words[i]), 10, i > 0 ? job->steps[i - 1] + 1 : 0,
                                   G_MAXINT64 / 20, &job->steps[i], NULL)
        || (i + 1 == job->n_checkpoints && job->steps[i] == 0))
      {
        g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                     "--steps: '%s' is no training step later than the one before it", words[i]);
        return FALSE;
      }
  return TRUE;
}

static int
compare_steps (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

/* The assignments file as a series of one layer: every token needs a row at every step. */
static gboolean
follow_file (const char *path, Job *job, guint *n_experts, GError **error)
{
  static const char *const wanted[] = { "step", "token", "expert", NULL };
  guint columns[3], n_rows;
  g_autoptr (MsInput) input = ms_input_load_columns (path, wanted, columns, error);
  g_autoptr (GArray) steps = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autofree guint16 *experts = NULL;
  g_autofree const guint16 **rows = NULL;
  g_autofree guint *widths = NULL;
  gint64 n_tokens = 0;
  Series series;

  if (input == NULL)
    return FALSE;
  n_rows = ms_input_n_rows (input);
  for (guint i = 0; i < n_rows; i++)
    {
      gint64 step, token;

      if (!ms_input_int (input, i, columns[0], 0, G_MAXINT64 / 20, &step, error)
          || !ms_input_int (input, i, columns[1], 0, n_rows - 1, &token, error))
        return FALSE;
      n_tokens = MAX (n_tokens, token + 1);
      if (steps->len == 0 || g_array_index (steps, gint64, steps->len - 1) != step)
        g_array_append_val (steps, step);
    }
  g_array_sort (steps, compare_steps);
  for (guint i = 1; i < steps->len;)
    if (g_array_index (steps, gint64, i) == g_array_index (steps, gint64, i - 1))
      g_array_remove_index (steps, i);
    else
      i++;
  if (steps->len < 2 || (gint64) steps->len * n_tokens != n_rows)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_INPUT,
                   "%s has %u rows; %u steps of %" G_GINT64_FORMAT " tokens need %" G_GINT64_FORMAT
                   " (two steps or more, every token at every step)",
                   path, n_rows, steps->len, n_tokens, (gint64) MAX (steps->len, 2) * n_tokens);
      return FALSE;
    }
  experts = g_new (guint16, n_rows);
  for (guint i = 0; i < n_rows; i++)
    experts[i] = MS_NO_EXPERT;
  *n_experts = 0;
  for (guint i = 0; i < n_rows; i++)
    {
      gint64 step, token, expert;
      guint at = 0;

      if (!ms_input_int (input, i, columns[0], 0, G_MAXINT64 / 20, &step, error)
          || !ms_input_int (input, i, columns[1], 0, n_rows - 1, &token, error)
          || !ms_input_int (input, i, columns[2], 0, MS_MAX_EXPERTS - 1, &expert, error))
        return FALSE;
      while (g_array_index (steps, gint64, at) != step)
        at++;
      if (experts[at * n_tokens + token] != MS_NO_EXPERT)
        {
          g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_INPUT,
                       "%s line %u: token %" G_GINT64_FORMAT
                       " has a second row at step %" G_GINT64_FORMAT,
                       path, i + 2, token, step);
          return FALSE;
        }
      experts[at * n_tokens + token] = (guint16) expert;
      *n_experts = MAX (*n_experts, (guint) expert + 1);
    }
  job->n_checkpoints = steps->len;
  job->known = TRUE;
  job->steps = g_memdup2 (steps->data, steps->len * sizeof (gint64));
  rows = g_new (const guint16 *, steps->len);
  widths = g_new (guint, steps->len);
  for (guint i = 0; i < steps->len; i++)
    {
      rows[i] = experts + (gsize) i * n_tokens;
      widths[i] = 1;
    }
  series = (Series){ steps->len, 1, *n_experts, n_tokens, rows, widths };
  layer_init (&job->layers[0], job);
  for (gint64 t = 0; t < n_tokens; t++)
    follow_token (job, &series, t, (guint) t % job->bootstrap->n_units, &job->layers[0]);
  return TRUE;
}

static void
summarise (const MsContext *context, const Job *job, MsResult *result)
{
  MsTable *table = ms_result_table (result, "checkpoints");
  double early = 0, step = ms_table_get_real (table, 0, 2);
  g_autofree char *when = NULL;
  guint n = 0;

  for (guint i = 0; i < ms_table_n_rows (table); i++)
    if (ms_table_get_int (table, i, 1) == ms_table_get_int (table, 0, 1))
      {
        early += ms_table_get_real (table, i, 3);
        n++;
      }
  if (!job->known)
    {
      when = g_strdup_printf ("In the first of %u checkpoints", job->n_checkpoints);
      ms_table_retitle (table, "step", "Checkpoint");
      ms_table_retitle (ms_result_table (result, "neighbours"), "step", "Checkpoint");
      ms_table_retitle (ms_result_table (result, "neighbours"), "next_step",
                        "Checkpoint (later of two)");
      ms_table_retitle (ms_result_table (result, "fluctuation"), "fraction_of_training",
                        "Share of checkpoints");
      ms_result_note (result,
                      "The training steps are unknown (--steps): checkpoints are counted from 1.");
    }
  else
    when = g_strdup_printf ("At %.1f %% of training, the first of %u checkpoints,", 100 * step,
                            job->n_checkpoints);
  if (job->known && ms_values_text (context->values, "steps")[0] == '\0'
      && ms_values_text (context->values, "assignments")[0] == '\0')
    ms_result_note (result, "Training steps are those that the runs' names tell.");
  result->summary = g_strdup_printf (
      "%s %.1f %% of the experts chosen were already those chosen at the end (%.1f %% by chance).",
      when, 100 * early / n, 100 * ms_table_get_real (table, 0, 6));
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  const char *path = ms_values_text (context->values, "assignments");
  gboolean from_file = path[0] != '\0';
  guint n_layers = from_file ? 1 : ms_trace_n_layers (context->trace), n_experts = 0;
  g_autoptr (MsBootstrap) bootstrap
      = from_file ? ms_bootstrap_new (context, 0) : ms_bootstrap_new_of_trace (context);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  Job job = { bootstrap, context->n_others + 1, NULL, FALSE, layers };
  gboolean fine;

  if (!from_file && context->n_others == 0)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "saturation needs earlier checkpoints: name their runs in order with --other");
      return FALSE;
    }
  fine = from_file
             ? follow_file (path, &job, &n_experts, error)
             : read_steps (context, &job, error) && ms_context_aligned (context, error)
                   && ms_context_tasks (context, n_layers, follow_layer, &job, 0, 0.95, error);
  for (guint l = 0; l < n_layers && fine; l++)
    {
      const MsLayer *layer = from_file ? NULL : ms_trace_layer (context->trace, l);

      add_layer (result, &job, layer ? layer->number : 0, layer ? layer->gate.n_experts : n_experts,
                 &layers[l]);
    }
  if (fine)
    {
      summarise (context, &job, result);
      ms_result_note (result, "Fluctuation compares sets; a checkpoint that equals the final one "
                              "between two that do not counts as settled only after the last.");
    }
  for (guint l = 0; l < n_layers; l++)
    {
      g_free (layers[l].units);
      g_free (layers[l].neighbours);
      g_free (layers[l].settled_at);
    }
  g_free (job.steps);
  return fine;
}

const MsAnalysis ms_analysis_saturation = {
  .name = "saturation",
  .title = "Router Saturation Over Checkpoints",
  .help
  = "How early in training does routing become what it is at the end, and when do tokens last "
    "change their experts?",
  .formula
  = "RS(t) = mean of |S(t) and S(T)| / k over tokens, T the final checkpoint; last fluctuation = "
    "the last step at which a token's set differs from the final one.",
  .cite = "Saturation: OLMoE, arXiv 2409.02060; fluctuation: StableMoE, arXiv 2204.08396.",
  .version = 5,
  .needs = MS_NEEDS_SERIES | MS_NEEDS_NO_TRACE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
