/* Load balance (metrics.md a): how often each expert is used, and every measure of how even that is.
 *
 * Counts are demand: dropped assignments are included unless only served ones are asked for.  One task
 * for each layer; the counts are kept per bootstrap unit, everything else follows from them. */
#include "balance-private.h"

#include <math.h>
#include <string.h>

/* A hot expert is worth a finding from this load and this many standard errors on. */
#define HOT_LOAD   2.0
#define HOT_ERRORS 4.0
/* Larger counts are no whole numbers as doubles. */
#define MOST_COUNT ((gint64) 1 << 53)
/* An idle expert is, when this many choices were to be expected. */
#define IDLE_EXPECTED 20.0

/* The counts of one layer and what was made of them. */
typedef struct
{
  gint64 block;
  guint n_experts;
  double n_tokens;    /* with at least one expert; 0 = unknown */
  double n_empty;     /* tokens without an expert */
  double n_decisions; /* sum of the counts */
  double *sums;       /* (U, E + 1) counts, then tokens */
  double *mass;       /* (E) sum of combine weights, NULL = unknown */
  MsInterval *loads;  /* (E) */
  double values[MS_N_BALANCE];
  double null[MS_N_BALANCE];
  double max_vio;    /* corrected */
  double *resampled; /* (MS_N_BALANCE, R) */
} Layer;

typedef struct
{
  const MsBootstrap *bootstrap;
  guint n_layers;
  Layer *layers; /* (n_layers) */
  double starved;
  gboolean weights, served;
} Load;

static void
clear_load (Load *load)
{
  for (guint i = 0; i < load->n_layers; i++)
    {
      g_free (load->layers[i].sums);
      g_free (load->layers[i].mass);
      g_free (load->layers[i].loads);
      g_free (load->layers[i].resampled);
    }
  g_free (load->layers);
}

/* --- Counting -------------------------------------------------------------------------------- */

typedef struct
{
  const MsBootstrap *bootstrap;
  gboolean served;
  Layer *layer;
  guint64 *counts; /* (U, E) */
  guint64 *tokens; /* (U) rows seen */
  guint64 *empty;  /* (U) of these without an expert */
} Counting;

static guint64
count_empty (const MsChunk *chunk, guint from, guint n)
{
  guint64 empty = 0;

  for (gsize i = from; i < (gsize) from + n; i++)
    empty += chunk->id_bytes == 1 ? chunk->ids8[i * chunk->k] == 0xff
                                  : chunk->ids16[i * chunk->k] == MS_NO_EXPERT;
  return empty;
}

/* Takes dropped assignments back from counts (E). */
static void
uncount_dropped (const MsChunk *chunk, guint from, guint n, guint n_experts, guint64 *counts)
{
  for (gsize i = (gsize) from * chunk->k; i < (gsize) (from + n) * chunk->k; i++)
    if (chunk->dropped[i] && ms_chunk_expert (chunk, i) < n_experts)
      counts[ms_chunk_expert (chunk, i)]--;
}

static gboolean
count_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
            GError **error)
{
  Counting *counting = data;
  guint unit = ms_bootstrap_unit (counting->bootstrap, document);
  Layer *layer = counting->layer;

  (void) row, (void) error;
  ms_chunk_count (chunk, from, n, counting->counts + (gsize) unit * layer->n_experts);
  if (counting->served)
    uncount_dropped (chunk, from, n, layer->n_experts,
                     counting->counts + (gsize) unit * layer->n_experts);
  counting->tokens[unit] += n;
  counting->empty[unit] += count_empty (chunk, from, n);
  if (layer->mass == NULL)
    return TRUE;
  for (gsize i = (gsize) from * chunk->k; i < (gsize) (from + n) * chunk->k; i++)
    {
      guint expert = chunk->id_bytes == 1 ? chunk->ids8[i] : chunk->ids16[i];

      if (expert < layer->n_experts && !(counting->served && chunk->dropped[i]))
        layer->mass[expert] += (double) chunk->weights[i];
    }
  return TRUE;
}

static gboolean
count_layer (const MsContext *context, guint index, Load *load, GError **error)
{
  Layer *layer = &load->layers[index];
  guint n_units = load->bootstrap->n_units, n_experts = layer->n_experts;
  g_autofree guint64 *counts = g_new0 (guint64, (gsize) n_units * n_experts);
  g_autofree guint64 *tokens = g_new0 (guint64, n_units), *empty = g_new0 (guint64, n_units);
  Counting counting = { load->bootstrap, load->served, layer, counts, tokens, empty };
  guint columns = (load->weights ? MS_CHUNK_WEIGHTS : 0) | (load->served ? MS_CHUNK_DROPPED : 0);

  if (load->weights)
    layer->mass = g_new0 (double, n_experts);
  if (!ms_trace_scan_layer (context->trace, index, columns, count_rows, &counting, context->cancel,
                            error))
    return FALSE;
  layer->sums = g_new (double, (gsize) n_units *(n_experts + 1));
  for (guint u = 0; u < n_units; u++)
    {
      double *row = layer->sums + (gsize) u * (n_experts + 1);

      for (guint e = 0; e < n_experts; e++)
        row[e] = (double) counts[(gsize) u * n_experts + e];
      row[n_experts] = (double) (tokens[u] - empty[u]);
      layer->n_empty += (double) empty[u];
    }
  return TRUE;
}

/* --- Measuring ------------------------------------------------------------------------------- */

typedef struct
{
  guint n_experts;
  double starved;
} Statistic;

/* The measures, then the loads (E), from counts (E) and tokens. */
static void
make_statistics (const double *sums, double *out, gpointer data)
{
  const Statistic *statistic = data;
  guint n = statistic->n_experts;
  double total = 0;

  for (guint e = 0; e < n; e++)
    total += sums[e];
  ms_balance_measure (sums, n, sums[n], statistic->starved, out);
  for (guint e = 0; e < n; e++)
    out[MS_N_BALANCE + e] = total > 0 ? sums[e] * n / total : NAN;
}

static void
measure_layer (const MsContext *context, Layer *layer, const Load *load)
{
  guint n = layer->n_experts, n_out = MS_N_BALANCE + n, width = n + 1;
  gsize n_resamples = load->bootstrap->n_resamples;
  g_autofree double *values = g_new (double, n_out);
  g_autofree double *resampled = g_new (double, n_resamples *n_out);
  Statistic statistic = { n, load->starved };
  const MsIntervalRule rule = { load->bootstrap->confidence, load->bootstrap->reach };

  for (guint u = 0; u < load->bootstrap->n_units; u++)
    {
      layer->n_tokens += layer->sums[(gsize) u * width + n];
      for (guint e = 0; e < n; e++)
        layer->n_decisions += layer->sums[(gsize) u * width + e];
    }
  ms_bootstrap_resample (load->bootstrap, layer->sums, width, make_statistics, &statistic, n_out,
                         values, resampled);
  memcpy (layer->values, values, sizeof layer->values);
  layer->resampled = g_memdup2 (resampled, MS_N_BALANCE * n_resamples * sizeof (double));
  layer->loads = g_new (MsInterval, n);
  for (guint e = 0; e < n; e++)
    {
      layer->loads[e] = ms_bootstrap_interval (load->bootstrap, values[MS_N_BALANCE + e],
                                               resampled + (MS_N_BALANCE + e) * n_resamples);
      /* A token chooses an expert once at most. */
      ms_interval_bound (&layer->loads[e], &rule, 0, layer->n_tokens * n / layer->n_decisions,
                         n / layer->n_decisions);
    }
  if (load->bootstrap->n_units > 1)
    ms_balance_relabel (layer->sums, load->bootstrap->n_units, n, layer->n_tokens, load->starved,
                        ms_seed (context->sampling.seed, G_MAXUINT32), layer->null);
  else
    ms_balance_null (n, layer->n_tokens, layer->n_decisions, load->starved,
                     ms_seed (context->sampling.seed, G_MAXUINT32), layer->null);
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Load *load = data;

  if (load->layers[index].sums == NULL && !count_layer (context, index, load, error))
    return FALSE;
  measure_layer (context, &load->layers[index], load);
  return TRUE;
}

/* --- Counts from a file ---------------------------------------------------------------------- */

typedef struct
{
  guint column;
  const char *value;
} Condition;

/* Parses "domain=c4 topk=top8" into conditions on columns. */
static GArray *
parse_where (const MsInput *input, char **words, GError **error)
{
  g_autoptr (GArray) conditions = g_array_new (FALSE, FALSE, sizeof (Condition));

  for (guint i = 0; words[i] != NULL; i++)
    {
      char *equals = strchr (words[i], '=');
      Condition condition;

      if (words[i][0] == '\0')
        continue;
      if (equals == NULL)
        {
          g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                       "--where '%s' is not COLUMN=VALUE", words[i]);
          return NULL;
        }
      *equals = '\0';
      condition.value = equals + 1;
      if (!ms_input_need (input, words[i], &condition.column, error))
        return NULL;
      g_array_append_val (conditions, condition);
    }
  return g_steal_pointer (&conditions);
}

static gboolean
fulfils (const MsInput *input, guint row, const GArray *conditions)
{
  for (guint i = 0; i < conditions->len; i++)
    {
      const Condition *condition = &g_array_index (conditions, Condition, i);

      if (strcmp (ms_input_text (input, row, condition->column), condition->value) != 0)
        return FALSE;
    }
  return TRUE;
}

static int
compare_layers (gconstpointer a, gconstpointer b)
{
  const Layer *left = a, *right = b;

  return (left->block > right->block) - (left->block < right->block);
}

static Layer *
find_layer (GArray *layers, gint64 block)
{
  Layer layer = { .block = block };

  for (guint i = 0; i < layers->len; i++)
    if (g_array_index (layers, Layer, i).block == block)
      return &g_array_index (layers, Layer, i);
  g_array_append_val (layers, layer);
  return &g_array_index (layers, Layer, layers->len - 1);
}

/* Makes layers with one unit from a file of counts; the trace is not used. */
static gboolean
read_counts (const MsContext *context, Load *load, GError **error)
{
  static const char *const wanted[] = { "layer", "expert", "count", NULL };
  const char *path = ms_values_text (context->values, "counts");
  guint columns[3];
  g_autoptr (MsInput) input = ms_input_load_columns (path, wanted, columns, error);
  g_auto (GStrv) words = g_strsplit (ms_values_text (context->values, "where"), " ", -1);
  g_autoptr (GArray) layers = g_array_new (FALSE, TRUE, sizeof (Layer)), conditions = NULL;
  double top_k = (double) ms_values_int (context->values, "top-k");
  gboolean fine = TRUE;

  if (input == NULL || (conditions = parse_where (input, words, error)) == NULL)
    return FALSE;
  for (guint row = 0; row < ms_input_n_rows (input); row++)
    {
      gint64 block = 0, expert = 0, count = 0;
      Layer *layer;

      if (!fulfils (input, row, conditions))
        continue;
      fine = ms_input_int (input, row, columns[0], 0, G_MAXINT32, &block, error)
             && ms_input_int (input, row, columns[1], 0, MS_MAX_EXPERTS - 1, &expert, error)
             && ms_input_int (input, row, columns[2], 0, MOST_COUNT, &count, error);
      if (!fine)
        break;
      layer = find_layer (layers, block);
      if (layer->n_experts <= expert)
        {
          layer->sums = g_renew (double, layer->sums, expert + 2);
          for (gint64 e = layer->n_experts; e < expert + 2; e++)
            layer->sums[e] = 0;
          layer->n_experts = (guint) expert + 1;
        }
      layer->sums[expert] += (double) count;
    }
  load->n_layers = layers->len;
  g_array_sort (layers, compare_layers);
  load->layers = g_array_steal (layers, NULL);
  if (!fine)
    return FALSE;
  if (load->n_layers == 0)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_INPUT,
                   "%s: no row fulfils --where '%s'", path,
                   ms_values_text (context->values, "where"));
      return FALSE;
    }
  for (guint i = 0; i < load->n_layers; i++)
    {
      Layer *layer = &load->layers[i];
      double total = 0;

      for (guint e = 0; e < layer->n_experts; e++)
        total += layer->sums[e];
      layer->sums[layer->n_experts] = top_k > 0 ? total / top_k : 0;
    }
  return TRUE;
}

/* --- Tables ---------------------------------------------------------------------------------- */

static void
write_experts (const Layer *layer, MsTable *table)
{
  double all_mass = 0;

  for (guint e = 0; layer->mass != NULL && e < layer->n_experts; e++)
    all_mass += layer->mass[e];
  for (guint e = 0; e < layer->n_experts; e++)
    {
      const MsInterval *load = &layer->loads[e];
      double count = load->value * layer->n_decisions / layer->n_experts;

      ms_table_add_row (
          table, MS_INT (layer->block), MS_INT (e), MS_INT (isnan (count) ? 0 : llround (count)),
          MS_REAL (load->value / layer->n_experts),
          MS_REAL (layer->n_tokens > 0 ? count / layer->n_tokens : NAN), MS_INTERVAL (*load),
          MS_REAL (load->basic_low), MS_REAL (load->basic_high),
          MS_REAL (layer->mass != NULL ? layer->mass[e] : NAN),
          MS_REAL (all_mass > 0 ? layer->mass[e] / all_mass : NAN),
          MS_REAL (layer->mass != NULL && count > 0 ? layer->mass[e] / count : NAN), MS_REAL (1));
    }
}

static void
write_layer (Layer *layer, const Load *load, MsResult *result)
{
  gsize n_resamples = load->bootstrap->n_resamples;

  ms_table_put (result->tables[0], MS_INT (layer->block), MS_INT (layer->n_experts),
                MS_INT (llround (layer->n_tokens)), MS_INT (llround (layer->n_decisions)),
                MS_REAL (layer->n_empty / (layer->n_empty + layer->n_tokens)));
  ms_table_put_reals (result->tables[0], layer->values, MS_N_BALANCE);
  ms_table_end_row (result->tables[0]);
  write_experts (layer, result->tables[1]);
  for (guint i = 0; i < MS_N_BALANCE; i++)
    {
      MsInterval interval
          = ms_balance_interval (load->bootstrap, i, layer->n_experts, layer->values[i],
                                 layer->resampled + i * n_resamples);

      ms_table_add_row (result->tables[2], MS_INT (layer->block),
                        MS_TEXT (ms_balance_columns[i].name), MS_CORRECTED (interval),
                        MS_REAL (interval.basic_low), MS_REAL (interval.basic_high),
                        MS_REAL (layer->null[i]), MS_TEXT (ms_balance_columns[i].unit));
      if (i == MS_BALANCE_MAX_VIO)
        layer->max_vio = interval.corrected;
    }
}

/* Means over layers with intervals, and the measures of all slots (layer, expert) as one list; means
 * (MS_N_BALANCE) gets the corrected ones. */
static void
write_overall (const Load *load, MsTable *table, double *means)
{
  gsize n_resamples = load->bootstrap->n_resamples;
  g_autofree double *resampled = g_new (double, n_resamples);
  g_autoptr (GArray) slots = g_array_new (FALSE, FALSE, sizeof (double));
  double pooled[MS_N_BALANCE], n_tokens = 0;
  guint most_experts = 1;

  for (guint i = 0; i < load->n_layers; i++)
    {
      const Layer *layer = &load->layers[i];

      most_experts = MAX (most_experts, layer->n_experts);
      for (guint e = 0; e < layer->n_experts; e++)
        {
          double count = layer->loads[e].value * layer->n_decisions / layer->n_experts;
          g_array_append_val (slots, count);
        }
      n_tokens += layer->n_tokens / load->n_layers;
    }
  ms_balance_measure ((const double *) (gpointer) slots->data, slots->len, n_tokens, load->starved,
                      pooled);
  for (guint i = 0; i < MS_N_BALANCE; i++)
    {
      double mean = 0, null = 0;
      MsInterval interval;

      for (gsize r = 0; r < n_resamples; r++)
        resampled[r] = 0;
      for (guint l = 0; l < load->n_layers; l++)
        {
          mean += load->layers[l].values[i] / load->n_layers;
          null += load->layers[l].null[i] / load->n_layers;
          for (gsize r = 0; r < n_resamples; r++)
            resampled[r] += load->layers[l].resampled[i * n_resamples + r] / load->n_layers;
        }
      interval = ms_balance_interval (load->bootstrap, i, most_experts, mean, resampled);
      ms_table_add_row (table, MS_TEXT (ms_balance_columns[i].name),
                        MS_TEXT (ms_balance_columns[i].title), MS_CORRECTED (interval),
                        MS_REAL (null), MS_REAL (pooled[i]), MS_TEXT (ms_balance_columns[i].unit));
      means[i] = interval.corrected;
    }
}

static void
find_experts (const Layer *layer, MsResult *result)
{
  double expected = layer->n_decisions / layer->n_experts;
  double null_error = ms_balance_null_error (layer->n_experts, layer->n_tokens, layer->n_decisions);

  for (guint e = 0; e < layer->n_experts; e++)
    {
      const MsInterval *load = &layer->loads[e];
      double error = isnan (load->error) ? null_error : load->error;
      double strength = fabs (load->value - 1) / error;
      char *place = g_strdup_printf ("layer=%d expert=%u", (int) layer->block, e);

      if (load->value >= HOT_LOAD && strength >= HOT_ERRORS)
        ms_result_find (result, MIN (strength, 1e6), place,
                        "layer %d: expert %u takes %.3gx its share", (int) layer->block, e,
                        load->value);
      else if (load->value == 0 && expected >= IDLE_EXPECTED)
        ms_result_find (result, 1 / null_error, place,
                        "layer %d: expert %u is idle where %.0f choices were to be expected",
                        (int) layer->block, e, expected);
      else
        g_free (place);
    }
}

static void
summarise (const Load *load, const double *means, MsResult *result)
{
  const Layer *worst = &load->layers[0];
  double n_idle = 0, n_slots = 0, n_empty = 0;
  char idle[MS_NUMBER_SIZE];
  g_autofree char *times = NULL;

  for (guint i = 0; i < load->n_layers; i++)
    {
      const Layer *layer = &load->layers[i];

      if (layer->max_vio > worst->max_vio)
        worst = layer;
      n_idle += layer->values[MS_BALANCE_IDLE];
      n_slots += layer->n_experts;
      n_empty += layer->n_empty;
    }
  ms_number_short (idle, n_idle);
  times = ms_number_told (means[MS_BALANCE_MAX_VIO] + 1);
  result->summary = g_strdup_printf (
      "Over %u %s the busiest expert takes on average %s times its fair share (MaxVio %.3g; "
      "most in layer %d: %.3g), the load is as if %.3g of %.3g experts a layer were used equally "
      "(CV %.3g, Gini %.3g), and %s of %.0f experts %s idle.",
      load->n_layers, load->n_layers == 1 ? "layer" : "layers", times, means[MS_BALANCE_MAX_VIO],
      (int) worst->block, worst->max_vio, means[MS_BALANCE_EFFECTIVE], n_slots / load->n_layers,
      means[MS_BALANCE_CV], means[MS_BALANCE_GINI], n_idle > 0 ? idle : "none", n_slots,
      n_idle > 1 ? "are" : "is");
  ms_result_note (
      result, load->served ? "Counts are what was served: dropped assignments are left out."
                           : "Counts are the router's demand: dropped assignments are included.");
  if (n_empty > 0)
    ms_result_note (result,
                    "%.0f tokens (summed over layers) had no expert; frequencies are per token "
                    "with at least one.",
                    n_empty);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  gboolean from_file = ms_values_text (context->values, "counts")[0] != '\0';
  Load load = { .starved = ms_values_real (context->values, "starved"),
                .weights = ms_values_bool (context->values, "weights"),
                .served = !from_file && ms_values_bool (context->values, "served") };
  g_autoptr (MsBootstrap) bootstrap = NULL;
  double means[MS_N_BALANCE];
  gboolean fine = TRUE;

  if (!from_file && context->trace == NULL)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "load cannot run: it needs a recorded run, or counts with --counts FILE");
      return FALSE;
    }
  if (load.served && !(ms_trace_run (context->trace)->columns & MS_CHUNK_DROPPED))
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "--served needs the flags of dropped assignments, which the run lacks; "
                   "`capacity` tells what a capacity would drop");
      return FALSE;
    }
  bootstrap = from_file ? ms_bootstrap_new (context, 1) : ms_bootstrap_new_of_trace (context);
  load.bootstrap = bootstrap;
  if (from_file)
    fine = read_counts (context, &load, error);
  else
    {
      load.n_layers = ms_trace_n_layers (context->trace);
      load.layers = g_new0 (Layer, load.n_layers);
      for (guint i = 0; i < load.n_layers; i++)
        {
          load.layers[i].block = ms_trace_layer (context->trace, i)->number;
          load.layers[i].n_experts = ms_trace_layer (context->trace, i)->gate.n_experts;
        }
    }
  if (fine && ms_context_tasks (context, load.n_layers, do_layer, &load, 0, 1, error))
    {
      for (guint i = 0; i < load.n_layers; i++)
        {
          write_layer (&load.layers[i], &load, result);
          find_experts (&load.layers[i], result);
        }
      write_overall (&load, result->tables[3], means);
      summarise (&load, means, result);
    }
  else
    fine = FALSE;
  clear_load (&load);
  return fine;
}

static const MsParam params[] = {
  { .name = "starved",
    .title = "Starved below",
    .help = "An expert is starved when its share is below this part of 1/E.",
    .type = MS_PARAM_REAL,
    .least = 0,
    .most = 1,
    .usual = 0.1 },
  { .name = "weights",
    .title = "Combine weights",
    .help = "Also sum the combine weights of each expert (gate mass).",
    .type = MS_PARAM_BOOL,
    .usual = 1 },
  { .name = "served",
    .title = "Served only",
    .help = "Leave dropped assignments out, where the run has flags of them.",
    .type = MS_PARAM_BOOL,
    .usual = 0 },
  { .name = "counts",
    .title = "Counts from a file",
    .help = "CSV with the columns layer, expert and count, used instead of a recorded run.",
    .type = MS_PARAM_FILE },
  { .name = "where",
    .title = "Rows of the file",
    .help = "Conditions on further columns of the counts file, such as 'domain=c4 model=olmoe'; "
            "the counts of all rows that fulfil them are summed.",
    .type = MS_PARAM_TEXT },
  { .name = "top-k",
    .title = "Experts per token in the file",
    .help = "Tells how many tokens made the counts of the file; 0 = unknown.",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = MS_MAX_EXPERTS },
  { 0 },
};

static const MsColumn balance_columns[] = {
  MS_LAYER_COLUMN,
  { "n_experts", "Experts", "experts", MS_COLUMN_INT, "Routed experts E of the layer." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "Tokens with at least one expert." },
  { "n_decisions", "Decisions", NULL, MS_COLUMN_INT, "Choices of an expert, C." },
  { "empty", "Tokens without expert", NULL, MS_COLUMN_REAL,
    "Fraction of tokens for which no expert was chosen." },
  MS_BALANCE_COLUMNS,
  { 0 },
};

static const MsColumn expert_columns[] = {
  MS_LAYER_COLUMN,
  MS_EXPERT_COLUMN,
  { "count", "Count", NULL, MS_COLUMN_INT, "How often the expert was chosen, c_e." },
  { "share", "Share", NULL, MS_COLUMN_REAL, "c_e / C; sums to 1 over the layer." },
  { "frequency", "Frequency", NULL, MS_COLUMN_REAL, "c_e / n; sums to k over the layer." },
  { "load", "Load", "times the fair share", MS_COLUMN_REAL, "c_e E / C; 1 = the fair share." },
  MS_INTERVAL_COLUMNS ("load_", NULL),
  { "load_basic_low", "Load, basic low end", NULL, MS_COLUMN_REAL,
    "Basic bootstrap: 2 load - a high order statistic of the resamples." },
  { "load_basic_high", "Load, basic high end", NULL, MS_COLUMN_REAL,
    "Basic bootstrap: 2 load - a low order statistic of the resamples." },
  { "gate_mass", "Gate mass", NULL, MS_COLUMN_REAL, "Sum of the expert's combine weights." },
  { "gate_share", "Share of gate mass", NULL, MS_COLUMN_REAL,
    "Gate mass / gate mass of the layer." },
  { "mean_weight", "Mean weight", NULL, MS_COLUMN_REAL, "Gate mass / count." },
  { "fair", "Fair load", NULL, MS_COLUMN_REAL, "The load of uniform routing: 1." },
  { 0 },
};

static const MsColumn interval_columns[] = {
  MS_LAYER_COLUMN,
  { "measure", "Measure", NULL, MS_COLUMN_TEXT,
    "A column of the table balance; those that hang on the least busy experts have no interval." },
  { "value", "Value", NULL, MS_COLUMN_REAL, "The measure, as in the table balance." },
  MS_CORRECTED_COLUMN ("", NULL),
  MS_INTERVAL_COLUMNS ("", NULL),
  { "basic_low", "Basic low end", NULL, MS_COLUMN_REAL,
    "Basic bootstrap: 2 value - a high order statistic of the resamples." },
  { "basic_high", "Basic high end", NULL, MS_COLUMN_REAL,
    "Basic bootstrap: 2 value - a low order statistic of the resamples." },
  { "null", "By chance", NULL, MS_COLUMN_REAL,
    "Expected of documents that differ as these do but agree on no expert; of one document, or of "
    "counts from a file, under uniform routing of independent tokens." },
  { "unit", "Unit", NULL, MS_COLUMN_TEXT, "Of the numbers; undefined = a pure number." },
  { 0 },
};

static const MsColumn overall_columns[] = {
  { "measure", "Measure", NULL, MS_COLUMN_TEXT, "A column of the table balance." },
  { "title", "Title", NULL, MS_COLUMN_TEXT, "The measure's name for people." },
  { "mean", "Mean over layers", NULL, MS_COLUMN_REAL, "Mean of the layers' values." },
  MS_CORRECTED_COLUMN ("", NULL),
  MS_INTERVAL_COLUMNS ("", NULL),
  { "null", "By chance", NULL, MS_COLUMN_REAL, "Mean of the layers' null values." },
  { "pooled", "Pooled", NULL, MS_COLUMN_REAL,
    "The measure of all slots (layer, expert) as one list." },
  { "unit", "Unit", NULL, MS_COLUMN_TEXT, "Of the numbers; undefined = a pure number." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "balance", "Load balance by layer", balance_columns },
  { "experts", "Load of every expert", expert_columns },
  { "intervals", "Intervals and null values by layer", interval_columns },
  { "overall", "Load balance of the model", overall_columns },
  { 0 },
};

/* The same line plot for several measures. */
#define MEASURE_PLOT(name_, title_, measure, y_title_)                                             \
  {                                                                                                \
    .name = name_, .title = title_, .table = "intervals", .mark = MS_MARK_LINE, .x = "layer",      \
    .y = "corrected", .low = "low", .high = "high", .reference = "null",                           \
    .where = "measure=" measure, .y_title = y_title_                                               \
  }

static const MsPlotDef plots[] = {
  { .name = "map",
    .title = "Load of every expert",
    .table = "experts",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "layer",
    .value = "load",
    .value_scale = MS_SCALE_RATIO,
    .centre = 1,
    .x_title = "Expert (numbered anew in each layer)",
    .right = { MS_MARGIN_MOST, "Highest load", NULL },
    .top = { MS_MARGIN_MEAN, "Mean over layers", NULL } },
  { .name = "experts",
    .title = "Load by expert",
    .table = "experts",
    .mark = MS_MARK_BAR,
    .x = "expert",
    .y = "load",
    .facet = "layer",
    .low = "load_low",
    .high = "load_high",
    .reference = "fair" },
  MEASURE_PLOT ("max-vio", "MaxVio by layer", "max_vio", "MaxVio"),
  MEASURE_PLOT ("cv", "Coefficient of variation by layer", "cv", "Coefficient of variation"),
  MEASURE_PLOT ("gini", "Gini by layer", "gini", "Gini coefficient"),
  MEASURE_PLOT ("effective", "Effective experts by layer", "effective_experts",
                "Effective experts"),
  { 0 },
};

const MsAnalysis ms_analysis_load = {
  .name = "load",
  .title = "Load Balance",
  .help = "How evenly are the experts of each layer used, and which stand out?",
  .formula = "c_e = choices of expert e, n = tokens, C = sum of c_e, mean = C/E.  share = c_e/C; "
             "frequency = c_e/n; load = c_e/mean; MaxVio = max c_e/mean - 1, its mean over layers "
             "is MaxVio_global; the other measures are defined at their columns.  The null value "
             "relabels the experts within every group of documents at random, so that the tokens "
             "of a document stay as alike as they are.",
  .cite = "MaxVio: Loss-Free Balancing, arXiv 2408.15664.  SD of frequency: Not All Models "
          "Suit Expert Offloading, arXiv 2505.16056, table 2.  Top and bottom 20 %: "
          "torchscale.",
  .version = 2,
  .needs = MS_TAKES_COUNTS | MS_NEEDS_NO_TRACE,
  .live = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
