/* Which experts to merge: groups around the most used ones, by the distance of router logits (metrics.md g,
 * MC-SMoE).
 *
 * Every layer keeps its most used expert; the globally most used others are kept until the budget of
 * clusters is spent; every other expert joins the nearest kept one of its layer. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

static const MsParam params[] = {
  { "clusters", "Clusters", "Experts that remain over all layers; 0 = half of them", "experts",
    MS_PARAM_INT, 0, 10000000, 0, .ui_least = 0, .ui_most = 4096 },
  { "usage", "Given usage",
    "CSV file with the columns layer, expert, usage instead of the run's loads", NULL,
    MS_PARAM_FILE, .usual_text = "" },
  { "distances", "Given distances",
    "CSV file with the columns layer, expert, other, distance instead of the run's router logits",
    NULL, MS_PARAM_FILE, .usual_text = "" },
  MS_LEAST_PARAM,
  { 0 },
};

static const MsTableDef tables[] = {
  { "experts", "The cluster of every expert",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        MS_EXPERT_COLUMN,
        { "label", "Cluster", NULL, MS_COLUMN_INT,
          "Cluster of the layer, numbered by the ids of the kept experts" },
        { "dominant", "Merged into", NULL, MS_COLUMN_INT, "The kept expert it joins" },
        { "distance", "Distance", NULL, MS_COLUMN_REAL, "To that expert; 0 for itself" },
        { "low", "Low", NULL, MS_COLUMN_REAL,
          "Lower end of the distance's bootstrap interval over documents, the groups unchanged" },
        { "high", "High", NULL, MS_COLUMN_REAL, "Upper end" },
        { "usage", "Usage", NULL, MS_COLUMN_REAL, "Share of the layer's decisions, or as given" },
        { "merge_weight", "Merge weight", NULL, MS_COLUMN_REAL,
          "Usage / usage of its cluster: its weight in the merged parameters" },
        { 0 } } },
  { "layers", "Clusters by layer",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "clusters", "Clusters", NULL, MS_COLUMN_INT, "Experts kept" },
        { "max_vio_before", "MaxVio before", NULL, MS_COLUMN_REAL, "Largest usage / mean - 1" },
        { "max_vio_after", "MaxVio after", NULL, MS_COLUMN_REAL, "The same of the clusters" },
        MS_CORRECTED_COLUMN ("max_vio_after_", NULL),
        { "max_vio_after_low", "MaxVio after, low", NULL, MS_COLUMN_REAL,
          "Lower end of its bootstrap interval over documents, the groups unchanged" },
        { "max_vio_after_high", "MaxVio after, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "mean_distance", "Mean distance", NULL, MS_COLUMN_REAL,
          "Of merged experts to the kept ones, weighted by usage" },
        { "mean_distance_low", "Mean distance, low", NULL, MS_COLUMN_REAL,
          "Lower end of its bootstrap interval" },
        { "mean_distance_high", "Mean distance, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "mean_distance_random", "At random", NULL, MS_COLUMN_REAL,
          "The same if every other expert joined a kept one of its layer at random" },
        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "clusters",
    .title = "Experts kept by layer",
    .table = "layers",
    .mark = MS_MARK_BAR,
    .x = "layer",
    .y = "clusters",
    .y_title = "Experts kept" },
  { .name = "map",
    .title = "Cluster of every expert",
    .table = "experts",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "layer",
    .value = "label" },
  { .name = "distance",
    .title = "Distance of merged experts",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "mean_distance",
    .low = "mean_distance_low",
    .high = "mean_distance_high",
    .y_title = "Mean distance to the kept",
    .reference = "mean_distance_random" },
  { 0 },
};

/* Distances of a file are held as a full matrix for every layer. */
#define MOST_EXPERTS 4096u

typedef struct
{
  int block;
  guint n_experts;
  double *usage;    /* (E) */
  double *distance; /* (E, E) */
  guint *dominant;  /* (E) */
  gboolean *kept;   /* (E) */
  double total;     /* decisions; 0 = unknown, from files */
  double *units;    /* (U, E, sums) once the groups are known; NULL from files */
} Layer;

/* Sums over tokens of an expert. */
enum
{
  SUM_USES,
  SUM_SQUARE,  /* of its logit */
  SUM_PRODUCT, /* with the logit of the kept expert that it joins */
  N_SUMS,
};

typedef struct
{
  Layer *layers;
  guint n_layers;
  const MsBootstrap *bootstrap;
} Job;

static gboolean
measure_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  g_autoptr (MsLayerTrace) layer = ms_trace_load_layer (
      context->trace, index, MS_CHUNK_EXPERTS | MS_CHUNK_LOGITS, context->cancel, error);
  guint n = out->n_experts;
  double total = 0;

  if (layer == NULL)
    return FALSE;
  for (gint64 t = 0; t < layer->n_tokens; t++)
    {
      const float *z = layer->logits + t * n;

      for (guint r = 0; r < layer->k; r++)
        if (layer->experts[t * layer->k + r] != MS_NO_EXPERT)
          {
            out->usage[layer->experts[t * layer->k + r]]++;
            total++;
          }
      for (guint i = 0; i < n; i++)
        for (guint j = 0; j <= i; j++)
          out->distance[(gsize) i * n + j] += (double) z[i] * z[j];
    }
  out->total = total;
  for (guint e = 0; e < n && total > 0; e++)
    out->usage[e] /= total;
  for (guint i = 0; i < n;
       i++) /* the diagonal holds squared norms: rows below use them, so it goes last */
    for (guint j = 0; j < i; j++)
      {
        double norm
            = sqrt (out->distance[(gsize) i * n + i]) * sqrt (out->distance[(gsize) j * n + j]);

        out->distance[(gsize) i * n + j]
            = norm > 0 ? 1 - out->distance[(gsize) i * n + j] / norm : 1;
        out->distance[(gsize) j * n + i] = out->distance[(gsize) i * n + j];
      }
  for (guint i = 0; i < n; i++)
    out->distance[(gsize) i * n + i] = 0;
  return TRUE;
}

static Layer
layer_new (int block, guint n_experts)
{
  return (Layer){ block,
                  n_experts,
                  g_new0 (double, n_experts),
                  g_new0 (double, n_experts *(gsize) n_experts),
                  g_new0 (guint, n_experts),
                  g_new0 (gboolean, n_experts),
                  0,
                  NULL };
}

/* Layers and experts that a usage file names. */
static gboolean
read_usage (const char *path, Job *job, GError **error)
{
  g_autoptr (GArray) values = ms_input_load_values (path, "usage", 0, 1e15, NULL, 0, error);
  guint n_experts;

  if (values == NULL)
    return FALSE;
  ms_expert_values_extent (values, &job->n_layers, &n_experts);
  if (n_experts > MOST_EXPERTS)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_INPUT,
                   "%s names expert %u; %u experts can be grouped", path, n_experts - 1,
                   MOST_EXPERTS);
      job->n_layers = 0;
      return FALSE;
    }
  job->layers = g_new (Layer, job->n_layers);
  for (guint l = 0; l < job->n_layers; l++)
    job->layers[l] = layer_new ((int) l, n_experts);
  for (guint i = 0; i < values->len; i++)
    {
      const MsExpertValue *value = &g_array_index (values, MsExpertValue, i);

      job->layers[value->layer].usage[value->expert] = value->value;
    }
  return TRUE;
}

static gboolean
read_distances (const char *path, Job *job, GError **error)
{
  static const char *const wanted[] = { "layer", "expert", "other", "distance", NULL };
  guint columns[4];
  g_autoptr (MsInput) input = ms_input_load_columns (path, wanted, columns, error);

  if (input == NULL)
    return FALSE;
  for (guint i = 0; i < ms_input_n_rows (input); i++)
    {
      gint64 block, expert, other;
      guint l = 0;

      if (!ms_input_int (input, i, columns[0], 0, G_MAXINT, &block, error))
        return FALSE;
      while (l < job->n_layers && job->layers[l].block != block)
        l++;
      if (l == job->n_layers)
        continue;
      if (!ms_input_int (input, i, columns[1], 0, job->layers[l].n_experts - 1, &expert, error)
          || !ms_input_int (input, i, columns[2], 0, job->layers[l].n_experts - 1, &other, error)
          || !ms_input_real (input, i, columns[3], 0, 1e15,
                             &job->layers[l].distance[expert * job->layers[l].n_experts + other],
                             error))
        return FALSE;
    }
  return TRUE;
}

typedef struct
{
  guint layer, expert;
  float usage; /* compared in float32, as the published code does */
} Candidate;

static int
by_usage (gconstpointer a, gconstpointer b)
{
  const Candidate *x = a, *y = b;

  if (x->usage != y->usage)
    return x->usage > y->usage ? -1 : 1;
  if (x->layer != y->layer)
    return x->layer < y->layer ? -1 : 1;
  return x->expert < y->expert ? -1 : x->expert > y->expert;
}

/* Marks the kept experts. */
static void
choose_dominant (Job *job, guint budget)
{
  g_autoptr (GArray) rest = g_array_new (FALSE, FALSE, sizeof (Candidate));

  for (guint l = 0; l < job->n_layers; l++)
    {
      Layer *layer = &job->layers[l];
      guint best = 0;

      for (guint e = 1; e < layer->n_experts; e++)
        if (layer->usage[e] > layer->usage[best])
          best = e;
      layer->kept[best] = TRUE;
      for (guint e = 0; e < layer->n_experts; e++)
        if (e != best)
          {
            Candidate candidate = { l, e, (float) layer->usage[e] };

            g_array_append_val (rest, candidate);
          }
    }
  g_array_sort (rest, by_usage);
  for (guint i = 0; i < rest->len && i + job->n_layers < budget; i++)
    {
      const Candidate *candidate = &g_array_index (rest, Candidate, i);

      job->layers[candidate->layer].kept[candidate->expert] = TRUE;
    }
}

static double
max_vio (const double *load, guint n, const gboolean *counts)
{
  double sum = 0, most = 0, of = 0;

  for (guint e = 0; e < n; e++)
    if (counts == NULL || counts[e])
      {
        sum += load[e];
        most = MAX (most, load[e]);
        of++;
      }
  return sum > 0 ? most * of / sum - 1 : NAN;
}

/* Every expert joins the nearest kept one, the lower id of two. */
static void
join_nearest (Layer *layer)
{
  guint n = layer->n_experts;

  for (guint e = 0; e < n; e++)
    {
      const double *distance = layer->distance + (gsize) e * n;
      int best = -1;

      for (guint d = 0; d < n; d++)
        if (layer->kept[d] && (best < 0 || (float) distance[d] < (float) distance[best]))
          best = (int) d;
      layer->dominant[e] = layer->kept[e] ? e : (guint) best;
    }
}

static gboolean
measure_groups (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  g_autoptr (MsLayerTrace) layer = ms_trace_load_layer (
      context->trace, index, MS_CHUNK_EXPERTS | MS_CHUNK_LOGITS, context->cancel, error);
  guint n = out->n_experts;

  if (layer == NULL)
    return FALSE;
  out->units = g_new0 (double, (gsize) job->bootstrap->n_units *n *N_SUMS);
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      double *sums = out->units + (gsize) ms_bootstrap_unit (job->bootstrap, d) * n * N_SUMS;

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          const float *z = layer->logits + t * n;

          for (guint r = 0; r < layer->k; r++)
            if (layer->experts[t * layer->k + r] != MS_NO_EXPERT)
              sums[layer->experts[t * layer->k + r] * N_SUMS + SUM_USES]++;
          for (guint e = 0; e < n; e++)
            {
              sums[e * N_SUMS + SUM_SQUARE] += (double) z[e] * z[e];
              sums[e * N_SUMS + SUM_PRODUCT] += (double) z[e] * z[out->dominant[e]];
            }
        }
    }
  return TRUE;
}

enum
{
  MAX_VIO_AFTER,
  MEAN_DISTANCE,
  DISTANCES, /* one for each expert */
};

/* The mean of each expert's distance by usage. */
static double
mean_by_usage (const double *distance, const double *usage, guint n)
{
  double sum = 0, all = 0;

  for (guint e = 0; e < n; e++)
    {
      sum += distance[e] * usage[e];
      all += usage[e];
    }
  return all > 0 ? sum / all : NAN;
}

/* The largest load of clusters over their mean, less 1. */
static double
max_vio_of_clusters (const Layer *layer, const double *usage)
{
  g_autofree double *merged = g_new0 (double, layer->n_experts);

  for (guint e = 0; e < layer->n_experts; e++)
    merged[layer->dominant[e]] += usage[e];
  return max_vio (merged, layer->n_experts, layer->kept);
}

static void
measures (const double *sums, double *out, gpointer data)
{
  const Layer *layer = data;
  g_autofree double *usage = g_new (double, layer->n_experts);

  for (guint e = 0; e < layer->n_experts; e++)
    {
      double own = sums[e * N_SUMS + SUM_SQUARE];
      double norm = sqrt (own) * sqrt (sums[layer->dominant[e] * N_SUMS + SUM_SQUARE]);

      usage[e] = sums[e * N_SUMS + SUM_USES];
      out[DISTANCES + e] = layer->kept[e] ? 0
                           : norm > 0     ? 1 - sums[e * N_SUMS + SUM_PRODUCT] / norm
                                          : 1;
    }
  out[MAX_VIO_AFTER] = max_vio_of_clusters (layer, usage);
  out[MEAN_DISTANCE] = mean_by_usage (out + DISTANCES, usage, layer->n_experts);
}

static void
add_layer (MsResult *result, const Job *job, const Layer *layer)
{
  guint n = layer->n_experts, clusters = 0;
  g_autofree double *merged = g_new0 (double, n);
  g_autofree double *away = g_new0 (double, n);
  g_autofree double *chance = g_new0 (double, n);
  g_autofree gint64 *label = g_new0 (gint64, n);
  g_autofree MsInterval *value = g_new (MsInterval, DISTANCES + n);
  double used = 0;

  for (guint i = 0; i < DISTANCES + n; i++)
    value[i] = (MsInterval){ NAN, NAN, NAN, NAN, NAN, NAN, NAN };
  if (layer->units != NULL)
    ms_bootstrap_intervals (job->bootstrap, layer->units, n * N_SUMS, measures, (gpointer) layer,
                            DISTANCES + n, value);
  for (guint e = 0; e < n; e++)
    {
      merged[layer->dominant[e]] += layer->usage[e];
      used += layer->usage[e];
      if (layer->kept[e])
        label[e] = clusters++;
    }
  for (guint e = 0; e < n; e++)
    {
      guint d = layer->dominant[e];

      away[e] = layer->kept[e] ? 0 : layer->distance[(gsize) e * n + d];
      for (guint x = 0; x < n && !layer->kept[e]; x++)
        chance[e] += layer->kept[x] ? layer->distance[(gsize) e * n + x] / clusters : 0;
      ms_table_add_row (ms_result_table (result, "experts"), MS_INT (layer->block), MS_INT (e),
                        MS_INT (label[d]), MS_INT (d), MS_REAL (away[e]),
                        MS_REAL (value[DISTANCES + e].low), MS_REAL (value[DISTANCES + e].high),
                        MS_REAL (used > 0 ? layer->usage[e] : NAN),
                        MS_REAL (merged[d] > 0 ? layer->usage[e] / merged[d] : NAN));
    }
  ms_table_add_row (
      ms_result_table (result, "layers"), MS_INT (layer->block), MS_INT (clusters),
      MS_REAL (max_vio (layer->usage, n, NULL)), MS_REAL (max_vio (merged, n, layer->kept)),
      MS_REAL (value[MAX_VIO_AFTER].corrected), MS_REAL (value[MAX_VIO_AFTER].low),
      MS_REAL (value[MAX_VIO_AFTER].high), MS_REAL (mean_by_usage (away, layer->usage, n)),
      MS_REAL (value[MEAN_DISTANCE].low), MS_REAL (value[MEAN_DISTANCE].high),
      MS_REAL (mean_by_usage (chance, layer->usage, n)));
}

static void
job_clear (Job *job)
{
  for (guint l = 0; l < job->n_layers; l++)
    {
      g_free (job->layers[l].usage);
      g_free (job->layers[l].distance);
      g_free (job->layers[l].dominant);
      g_free (job->layers[l].kept);
      g_free (job->layers[l].units);
    }
  g_free (job->layers);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Job, job_clear)

/* Usage and distances of the run, or of the files when they are given. */
static gboolean
load_job (const MsContext *context, Job *job, GError **error)
{
  const char *usage = ms_values_text (context->values, "usage");
  const char *distances = ms_values_text (context->values, "distances");

  if ((usage[0] == '\0') != (distances[0] == '\0'))
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                   "--usage and --distances belong together");
      return FALSE;
    }
  if (usage[0] != '\0')
    return read_usage (usage, job, error) && read_distances (distances, job, error);
  if (context->trace == NULL || !(ms_trace_run (context->trace)->columns & MS_CHUNK_LOGITS))
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "merging needs the router's scores: collect with --scores, or give --usage and "
                   "--distances");
      return FALSE;
    }
  if (!ms_context_pairs_fit (context, 0, sizeof (double), error))
    return FALSE;
  job->n_layers = ms_trace_n_layers (context->trace);
  job->layers = g_new0 (Layer, job->n_layers);
  for (guint l = 0; l < job->n_layers; l++)
    {
      const MsLayer *layer = ms_trace_layer (context->trace, l);

      job->layers[l] = layer_new (layer->number, layer->gate.n_experts);
    }
  return ms_context_tasks (context, job->n_layers, measure_layer, job, 0, 0.6, error);
}

/* How many of the experts that go are not decided: their usage and distance rest on few tokens. */
static char *
undecided_sentence (const MsContext *context, const Job *job)
{
  double least = (double) ms_values_int (context->values, "least");
  MsScarcity merged = { 0 };

  for (guint l = 0; l < job->n_layers; l++)
    {
      const Layer *layer = &job->layers[l];

      for (guint e = 0; e < layer->n_experts; e++)
        if (!layer->kept[e])
          ms_scarcity_add (&merged, round (layer->usage[e] * layer->total),
                           (double) ms_trace_n_tokens (context->trace), least);
    }
  return ms_scarcity_sentence (&merged, "merged experts", least);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  gboolean traced = ms_values_text (context->values, "usage")[0] == '\0';
  guint budget = (guint) ms_values_int (context->values, "clusters"), n_experts = 0, remain;
  g_autoptr (MsBootstrap) bootstrap = NULL;
  g_autofree char *undecided = NULL;
  g_auto (Job) job = { 0 };

  if (!load_job (context, &job, error))
    return FALSE;
  for (guint l = 0; l < job.n_layers; l++)
    n_experts += job.layers[l].n_experts;
  remain = MIN (MAX (budget > 0 ? budget : n_experts / 2, job.n_layers), n_experts);
  choose_dominant (&job, remain);
  for (guint l = 0; l < job.n_layers; l++)
    join_nearest (&job.layers[l]);
  bootstrap = traced ? ms_bootstrap_new_of_trace (context) : ms_bootstrap_new (context, 0);
  job.bootstrap = bootstrap;
  if (traced && bootstrap->n_resamples > 0
      && !ms_context_tasks (context, job.n_layers, measure_groups, &job, 0.6, 0.95, error))
    return FALSE;
  for (guint l = 0; l < job.n_layers; l++)
    add_layer (result, &job, &job.layers[l]);
  undecided = traced ? undecided_sentence (context, &job) : NULL;
  result->summary = g_strdup_printf (
      "Of %u experts %u remain; each of the others joins the nearest of its layer.%s%s%s",
      n_experts, remain, undecided != NULL ? " " : "", undecided != NULL ? undecided : "",
      undecided != NULL ? "." : "");
  ms_result_note (
      result, "Kept: the most used of each layer and the globally most used others (the REAP "
              "repository's version of MC-SMoE). Distance: 1 - cosine of router logits. Intervals "
              "keep the groups.");
  return TRUE;
}

const MsAnalysis ms_analysis_merge = {
  .name = "merge",
  .title = "Merge Grouping (MC-SMoE)",
  .help = "Which experts could be merged into which, given a budget of experts that remain?",
  .formula
  = "Kept: argmax usage of each layer, then the largest usage overall until the budget; others "
    "join "
    "argmin over kept d of 1 - cos (logits of e, logits of d); merge weights are proportional to "
    "usage.",
  .cite = "MC-SMoE, arXiv 2310.01334, as carried by REAP, arXiv 2510.13999.",
  .version = 3,
  .needs = MS_NEEDS_NO_TRACE | MS_NEEDS_LOGITS,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
