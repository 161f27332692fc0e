/* Where to put experts: EPLB's balanced placement with replicas, LLEP's plan for a batch, placements that
 * follow layer-to-layer transitions, and the traffic any of them causes (metrics.md h). */
#include "placement-private.h"

#include <math.h>
#include <string.h>

enum
{
  METHOD_CONTIGUOUS,
  METHOD_EPLB,
  METHOD_JOINT,
};

static const char *const method_choices[] = { "contiguous", "eplb", "joint", NULL };
static const char *const source_choices[] = { "token", "document", NULL };

static const MsParam params[] = {
  { "method", "Method",
    "contiguous: expert e on device e D / E; eplb: balanced, with replicas; joint: balanced, "
    "cutting moves "
    "between layers",
    NULL, MS_PARAM_CHOICE, .choices = method_choices, .usual = METHOD_EPLB },
  { "devices", "Devices", "Number of devices", "devices", MS_PARAM_INT, 1, 4096, 8, .ui_least = 1,
    .ui_most = 64 },
  { "nodes", "Nodes", "Number of nodes, consecutive devices each", "nodes", MS_PARAM_INT, 1, 4096,
    1, .ui_least = 1, .ui_most = 16 },
  { "groups", "Expert groups", "Consecutive experts that should share a node (EPLB)", "groups",
    MS_PARAM_INT, 1, MS_MAX_EXPERTS, 1, .ui_least = 1, .ui_most = 16 },
  { "replicas", "Replicas", "Expert slots over all devices (EPLB); 0 = as few as hold every expert",
    "slots", MS_PARAM_INT, 0, MS_MAX_EXPERTS, 0, .ui_least = 0, .ui_most = 512 },
  { "balance-weight", "Weight of balance",
    "Joint placement minimises the share of moves between devices "
    "plus this times (max / mean load - 1)",
    NULL, MS_PARAM_REAL, 0, 1000, 1, .ui_least = 0, .ui_most = 10 },
  { "source", "Home of a token",
    "token: token i of n lives on device i D / n; document: documents are dealt out likewise", NULL,
    MS_PARAM_CHOICE, .choices = source_choices },
  { "held-out", "Held-out",
    "Place by the documents of even number, measure on the others (a text and its translations or "
    "copies count as one)",
    NULL, MS_PARAM_BOOL, .usual = 0 },
  { "draws", "Random placements", "Of the same shape, for the value by chance", NULL, MS_PARAM_INT,
    0, 1000, 20, .ui_least = 0, .ui_most = 100 },
  { "bytes", "Bytes per value", "Of a hidden state on the wire", "bytes", MS_PARAM_INT, 1, 8, 2,
    .ui_least = 1, .ui_most = 4 },
  { "device-of-expert", "Given placement",
    "CSV file with the columns layer, expert, device to measure instead of placing", NULL,
    MS_PARAM_FILE, .usual_text = "" },
  { "weights", "Given loads",
    "CSV file with the columns layer, expert, weight to place without a trace", NULL, MS_PARAM_FILE,
    .usual_text = "" },
  { "alpha", "LLEP alpha", "A device takes up to alpha times its fair share of tokens", NULL,
    MS_PARAM_REAL, 0.01, 100, 1, .ui_least = 0.5, .ui_most = 4 },
  { "least-chunk", "LLEP least chunk", "Smallest number of tokens worth moving an expert for",
    "tokens", MS_PARAM_INT, 0, 1000000000, 1024, .ui_least = 0, .ui_most = 8192 },
  { "lambda", "LLEP lambda", "Plan only when max / mean load exceeds this", NULL, MS_PARAM_REAL, 0,
    1000, 1.3, .ui_least = 1, .ui_most = 3 },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Balance and traffic by layer",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "max_over_mean", "Largest / mean load", NULL, MS_COLUMN_REAL, "Over devices, as placed" },
        { "max_over_mean_contiguous", "Contiguous", NULL, MS_COLUMN_REAL,
          "The same with experts in order and no replicas" },
        { "balancedness", "Balancedness", NULL, MS_COLUMN_REAL, "Mean / largest load" },
        { "mean_devices_per_token", "Devices per token", "devices", MS_COLUMN_REAL,
          "Distinct devices that a token's experts are on, mean over tokens with an expert" },
        { "dispatch_copies", "Copies", NULL, MS_COLUMN_INT,
          "Assignments to another device than the token's home" },
        { "dispatch_copies_deduplicated", "Copies, deduplicated", NULL, MS_COLUMN_INT,
          "One for each distinct other device" },
        { "cross_node_copies_deduplicated", "Copies between nodes", NULL, MS_COLUMN_INT,
          "One for each distinct other node" },
        { "megabytes_per_token", "Traffic per token", "MB", MS_COLUMN_REAL,
          "Deduplicated copies x hidden size x bytes x 2 (dispatch and combine) / tokens with an "
          "expert" },
        { "cross_device_pairs", "Moves to the next layer", NULL, MS_COLUMN_INT,
          "Pairs (a in this layer, b in the next) on different devices" },
        { "cross_device_rate", "Share of moves", NULL, MS_COLUMN_REAL, "Of all such pairs" },
        { "llep_max_over_mean", "Largest / mean load, LLEP", NULL, MS_COLUMN_REAL,
          "Under the least-loaded plan for the loads that placement saw; undefined when none is "
          "made" },
        { "llep_transfers", "Transfers, LLEP", "experts", MS_COLUMN_REAL,
          "Chunks computed off the expert's own device" },
        { "useless_replicas", "Useless copies", "slots", MS_COLUMN_INT,
          "Slots that hold an expert which another slot of the same device holds already" },
        { 0 } } },
  { "measures", "Each measure with its interval and what other placements give",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "measure", "Measure", NULL, MS_COLUMN_TEXT,
          "As in the table of layers; copies are per token with an expert" },
        { "value", "Value", NULL, MS_COLUMN_REAL, "Of the placement" },
        MS_CORRECTED_COLUMN ("", NULL),
        { "low", "Low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over measured documents, the placement unchanged" },
        { "high", "High", NULL, MS_COLUMN_REAL, "Upper end" },
        { "contiguous", "Contiguous", NULL, MS_COLUMN_REAL,
          "With experts in order and no replicas" },
        { "random", "Random", NULL, MS_COLUMN_REAL,
          "Mean over random deals of the same experts and copies to the same slots" },
        { 0 } } },
  { "slots", "The placement",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "slot", "Slot", NULL, MS_COLUMN_INT, "Physical expert, devices hold consecutive slots" },
        { "device", "Device", NULL, MS_COLUMN_INT, "Device of the slot" },
        { "node", "Node", NULL, MS_COLUMN_INT, "Node of the device" },
        { "expert", "Expert", NULL, MS_COLUMN_INT, "Logical expert in the slot" },
        { "replica", "Replica", NULL, MS_COLUMN_INT, "Which copy of it, from 0" },
        { "replicas", "Replicas", NULL, MS_COLUMN_INT, "Copies of it" },
        { 0 } } },
  { "devices", "Load of devices",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "device", "Device", NULL, MS_COLUMN_INT, "Device" },
        { "load", "Load", NULL, MS_COLUMN_REAL, "Sum of weight / replicas over its slots" },
        { "load_over_mean", "Load / mean", NULL, MS_COLUMN_REAL,
          "Load over the mean of the layer" },
        { 0 } } },
  { "llep", "Least-loaded plan for the whole trace as one batch",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "expert", "Expert", NULL, MS_COLUMN_INT, "Expert" },
        { "device", "Device", NULL, MS_COLUMN_INT, "Device that computes the chunk" },
        { "start", "Start", "tokens", MS_COLUMN_INT, "First token of the expert's chunk" },
        { "end", "End", "tokens", MS_COLUMN_INT, "One after its last" },
        { "transfer", "Transfer", NULL, MS_COLUMN_INT,
          "1 when the expert's weights have to move there" },
        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "balance",
    .title = "Largest over mean device load",
    .table = "measures",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "corrected",
    .low = "low",
    .high = "high",
    .y_title = "Largest over mean device load",
    .reference = "random",
    .where = "measure=max_over_mean" },
  { .name = "devices",
    .title = "Load of devices",
    .table = "devices",
    .mark = MS_MARK_HEATMAP,
    .x = "device",
    .y = "layer",
    .value = "load_over_mean",
    .value_scale = MS_SCALE_RATIO,
    .value_title = "Load over the mean" },
  { .name = "moves",
    .title = "Moves between layers",
    .table = "measures",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "corrected",
    .low = "low",
    .high = "high",
    .y_title = "Moves across devices (share)",
    .reference = "random",
    .where = "measure=cross_device_rate" },
  { 0 },
};

/* Sums over measured tokens; the loads of the devices follow. */
enum
{
  SUM_TOKENS, /* with an expert */
  SUM_FAN_OUT,
  SUM_COPIES,
  SUM_DISTINCT,
  SUM_CROSS_NODE,
  SUM_MOVES,
  SUM_PAIRS,
  N_SUMS,
};

enum
{
  MAX_OVER_MEAN,
  BALANCEDNESS,
  DEVICES_PER_TOKEN,
  COPIES,
  DISTINCT_COPIES,
  NODE_COPIES,
  MEGABYTES,
  CROSS_DEVICE,
  N_MEASURES,
};

static const char *const measure_names[N_MEASURES] = { "max_over_mean",
                                                       "balancedness",
                                                       "mean_devices_per_token",
                                                       "dispatch_copies_per_token",
                                                       "dispatch_copies_deduplicated_per_token",
                                                       "cross_node_copies_deduplicated_per_token",
                                                       "megabytes_per_token",
                                                       "cross_device_rate" };

/* The placements that are measured: the one in question, experts in order, random ones. */
enum
{
  PLACED,
  IN_ORDER,
  RANDOM,
};

typedef struct
{
  int block;
  guint n_experts;
  double *weight; /* (E) loads that the placement is made from */
  guint64 *pairs; /* (E, E of the next layer); NULL in the last layer and without a trace */
  MsPlacement *placements; /* (placements) */
  double *units;           /* (placements, U, sums): U = 1 but for the first */
} Layer;

typedef struct
{
  guint n_layers, n_devices, n_nodes, width, bytes;
  guint n_placements, n_sums;
  gboolean held_out, by_document;
  gboolean counts_pairs;      /* of neighbouring layers: one method alone looks at them */
  const MsClusters *clusters; /* of documents that go together, NULL = each by itself */
  MsBootstrap *bootstrap;     /* over measured clusters */
  Layer *layers;
} Job;

static guint
cluster_of (const Job *job, guint document)
{
  return job->clusters != NULL ? job->clusters->of[document] : document;
}

/* Held out are the clusters of odd number. */
static gboolean
is_measured (const Job *job, guint document)
{
  return !job->held_out || cluster_of (job, document) % 2 == 1;
}

static guint
unit_of (const Job *job, guint document)
{
  return ms_bootstrap_unit (job->bootstrap, cluster_of (job, document) / (job->held_out ? 2 : 1));
}

/* A layer and the one after it, *next staying NULL for the last. */
static gboolean
load_pair (const MsContext *context, guint index, const Job *job, MsLayerTrace **layer,
           MsLayerTrace **next, GError **error)
{
  *layer = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);
  if (*layer == NULL || index + 1 >= job->n_layers)
    return *layer != NULL;
  *next = ms_trace_load_layer (context->trace, index + 1, MS_CHUNK_EXPERTS, context->cancel, error);
  return *next != NULL;
}

/* Loads and pairs from the documents that the placement may see. */
static gboolean
count_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  g_autoptr (MsLayerTrace) layer = NULL, next = NULL;

  if (!load_pair (context, index, job, &layer, &next, error))
    return FALSE;
  if (next != NULL && job->counts_pairs)
    out->pairs = g_new0 (guint64, layer->n_experts * (gsize) next->n_experts);
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);

      if (job->held_out && cluster_of (job, d) % 2 == 1)
        continue;
      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        for (guint i = 0; i < layer->k; i++)
          {
            guint16 a = layer->experts[t * layer->k + i];

            if (a == MS_NO_EXPERT)
              continue;
            out->weight[a]++;
            for (guint j = 0; out->pairs != NULL && j < next->k; j++)
              {
                guint16 b = next->experts[t * next->k + j];

                if (b != MS_NO_EXPERT)
                  out->pairs[(gsize) a * next->n_experts + b]++;
              }
          }
    }
  return TRUE;
}

/* The device of expert e for token t: replicas are taken in turn by token index. */
static guint
device_for (const MsPlacement *placement, guint e, gint64 t)
{
  return placement
      ->device[(gsize) e * placement->most_replicas + (guint) (t % placement->replicas[e])];
}

static double *
sums_of (const Job *job, const Layer *layer, guint placement, guint unit)
{
  guint before = placement == PLACED ? unit : job->bootstrap->n_units + placement - 1;

  return layer->units + (gsize) before * job->n_sums;
}

/* Loads of devices from loads of experts, each shared equally by its copies. */
static void
add_loads (const MsPlacement *p, const double *weight, double *load)
{
  for (guint e = 0; e < p->n_experts; e++)
    for (guint r = 0; r < p->replicas[e]; r++)
      load[p->device[(gsize) e * p->most_replicas + r]] += weight[e] / p->replicas[e];
}

typedef struct
{
  const Job *job;
  const MsLayerTrace *layer, *next; /* next may be NULL */
  gint64 *seen, *node_seen;         /* (devices), (nodes) last token + 1 that came by */
  double *weight;                   /* (E) */
} Measuring;

/* One document under one placement into sums. */
static void
measure_document (const Measuring *m, guint document, const MsTrace *trace, const MsPlacement *here,
                  const MsPlacement *there, double *sums)
{
  const Job *job = m->job;
  const MsLayerTrace *layer = m->layer, *next = m->next;
  const MsDocument *own = ms_trace_document (trace, document);
  guint64 n_documents = ms_trace_n_documents (trace);
  guint64 n_tokens = (guint64) ms_trace_n_tokens (trace);

  memset (m->weight, 0, layer->n_experts * sizeof *m->weight);
  memset (m->seen, 0, job->n_devices * sizeof *m->seen);
  memset (m->node_seen, 0, job->n_nodes * sizeof *m->node_seen);
  for (gint64 t = own->first_token; t < own->first_token + own->n_tokens; t++)
    {
      guint home = (guint) (job->by_document ? (guint64) document * job->n_devices / n_documents
                                             : (guint64) t * job->n_devices / n_tokens);
      guint home_node = home * job->n_nodes / job->n_devices;
      gboolean any = FALSE;

      for (guint i = 0; i < layer->k; i++)
        {
          guint16 a = layer->experts[t * layer->k + i];
          guint device, node;

          if (a == MS_NO_EXPERT)
            continue;
          any = TRUE;
          m->weight[a]++;
          device = device_for (here, a, t);
          node = device * job->n_nodes / job->n_devices;
          sums[SUM_COPIES] += device != home;
          if (m->seen[device] != t + 1)
            {
              m->seen[device] = t + 1;
              sums[SUM_FAN_OUT]++;
              sums[SUM_DISTINCT] += device != home;
            }
          if (m->node_seen[node] != t + 1)
            {
              m->node_seen[node] = t + 1;
              sums[SUM_CROSS_NODE] += node != home_node;
            }
          for (guint j = 0; next != NULL && j < next->k; j++)
            {
              guint16 b = next->experts[t * next->k + j];

              if (b == MS_NO_EXPERT)
                continue;
              sums[SUM_PAIRS]++;
              sums[SUM_MOVES] += device != device_for (there, b, t);
            }
        }
      sums[SUM_TOKENS] += any;
    }
  add_loads (here, m->weight, sums + N_SUMS);
}

static gboolean
measure_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  const Layer *out = &job->layers[index];
  g_autoptr (MsLayerTrace) layer = NULL, next = NULL;
  g_autofree gint64 *seen = g_new (gint64, job->n_devices);
  g_autofree gint64 *node_seen = g_new (gint64, job->n_nodes);
  g_autofree double *weight = NULL;
  Measuring measuring;

  if (!load_pair (context, index, job, &layer, &next, error))
    return FALSE;
  weight = g_new (double, layer->n_experts);
  measuring = (Measuring){ job, layer, next, seen, node_seen, weight };
  for (guint p = 0; p < job->n_placements; p++)
    for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
      {
        if (!is_measured (job, d))
          continue;
        if (g_cancellable_set_error_if_cancelled (context->cancel, error))
          return FALSE;
        measure_document (&measuring, d, context->trace, &out->placements[p],
                          next != NULL ? &job->layers[index + 1].placements[p] : NULL,
                          sums_of (job, out, p, unit_of (job, d)));
      }
  return TRUE;
}

static gboolean
fail (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_clear_error (error);
  if (error != NULL)
    *error = g_error_new_valist (MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM, format, args);
  va_end (args);
  return FALSE;
}

/* What EPLB needs to divide evenly. */
static gboolean
check_geometry (const MsValues *values, const Layer *layer, guint n_slots, GError **error)
{
  guint devices = (guint) ms_values_int (values, "devices");
  guint nodes = (guint) ms_values_int (values, "nodes");
  guint groups = (guint) ms_values_int (values, "groups");

  if (devices % nodes != 0)
    return fail (error, "%u devices cannot be dealt out evenly to %u nodes", devices, nodes);
  if (n_slots < layer->n_experts)
    return fail (error, "--replicas %u: %u experts need at least as many slots", n_slots,
                 layer->n_experts);
  if (n_slots % devices != 0)
    return fail (
        error,
        "%u slots cannot be dealt out evenly to %u devices; choose --replicas as a multiple of "
        "--devices",
        n_slots, devices);
  if (groups % nodes == 0 && layer->n_experts % groups != 0)
    return fail (error, "%u experts cannot be cut into %u groups", layer->n_experts, groups);
  return TRUE;
}

static gboolean
place (const MsContext *context, Job *job, guint method, GError **error)
{
  const MsValues *values = context->values;
  guint replicas = (guint) ms_values_int (values, "replicas");
  g_autofree MsJointLayer *joint = g_new0 (MsJointLayer, job->n_layers);

  for (guint l = 0; l < job->n_layers; l++)
    {
      Layer *layer = &job->layers[l];
      guint filled = (layer->n_experts + job->n_devices - 1) / job->n_devices * job->n_devices;
      guint slots = method != METHOD_EPLB ? layer->n_experts : replicas > 0 ? replicas : filled;

      if (method == METHOD_CONTIGUOUS)
        {
          ms_placement_contiguous (&layer->placements[PLACED], layer->n_experts, job->n_devices);
          continue;
        }
      if (!check_geometry (values, layer, slots, error))
        return FALSE;
      if (method == METHOD_EPLB)
        ms_placement_eplb (&layer->placements[PLACED], layer->weight, layer->n_experts, slots,
                           (guint) ms_values_int (values, "groups"), job->n_nodes, job->n_devices);
      joint[l] = (MsJointLayer){ layer->n_experts, layer->weight, layer->pairs,
                                 &layer->placements[PLACED] };
    }
  if (method == METHOD_JOINT)
    ms_placement_joint (joint, job->n_layers, job->n_devices,
                        ms_values_real (values, "balance-weight"));
  return TRUE;
}

/* A given device for every expert of every layer. */
static gboolean
read_placement (const char *path, Job *job, GError **error)
{
  g_autofree MsLayer *shapes = g_new0 (MsLayer, job->n_layers);
  g_autoptr (GArray) values = NULL;

  for (guint l = 0; l < job->n_layers; l++)
    {
      shapes[l].number = job->layers[l].block;
      shapes[l].gate.n_experts = job->layers[l].n_experts;
    }
  values
      = ms_input_load_values (path, "device", 0, job->n_devices - 1, shapes, job->n_layers, error);
  if (values == NULL)
    return FALSE;
  for (guint l = 0; l < job->n_layers; l++)
    {
      g_autofree guint *device = g_new (guint, shapes[l].gate.n_experts);

      for (guint e = 0; e < shapes[l].gate.n_experts; e++)
        device[e] = G_MAXUINT;
      for (guint i = 0; i < values->len; i++)
        {
          const MsExpertValue *value = &g_array_index (values, MsExpertValue, i);

          if (value->layer == l && value->value == floor (value->value))
            device[value->expert] = (guint) value->value;
        }
      for (guint e = 0; e < shapes[l].gate.n_experts; e++)
        if (device[e] == G_MAXUINT)
          return fail (error, "%s gives expert %u of layer %d no device", path, e,
                       shapes[l].number);
      ms_placement_given (&job->layers[l].placements[PLACED], device, shapes[l].gate.n_experts,
                          job->n_devices);
    }
  return TRUE;
}

/* Loads (layer, expert, weight) from a file, for placing without a trace. */
static gboolean
read_weights (const char *path, Job *job, GError **error)
{
  g_autoptr (GArray) values = ms_input_load_values (path, "weight", 0, 1e15, NULL, 0, error);
  guint n_experts;

  if (values == NULL)
    return FALSE;
  ms_expert_values_extent (values, &job->n_layers, &n_experts);
  job->layers = g_new0 (Layer, job->n_layers);
  for (guint l = 0; l < job->n_layers; l++)
    job->layers[l]
        = (Layer){ .block = (int) l, .n_experts = n_experts, .weight = g_new0 (double, n_experts) };
  for (guint i = 0; i < values->len; i++)
    {
      const MsExpertValue *value = &g_array_index (values, MsExpertValue, i);

      job->layers[value->layer].weight[value->expert] += value->value;
    }
  return TRUE;
}

/* Experts in order, then random deals of what the placement has. */
static void
add_chance (const MsContext *context, Job *job)
{
  for (guint l = 0; l < job->n_layers; l++)
    {
      Layer *layer = &job->layers[l];

      ms_placement_contiguous (&layer->placements[IN_ORDER], layer->n_experts, job->n_devices);
      for (guint p = RANDOM; p < job->n_placements; p++)
        ms_placement_shuffled (&layer->placements[p], &layer->placements[PLACED],
                               ms_seed (context->sampling.seed, (guint64) p * 4096 + l));
    }
}

static double
max_over_mean (const double *load, guint n)
{
  double sum = 0, most = 0;

  for (guint i = 0; i < n; i++)
    {
      sum += load[i];
      most = MAX (most, load[i]);
    }
  return sum > 0 ? most * n / sum : NAN;
}

/* The least-loaded plan of a layer, and what comes of it: outcome[0] largest over mean load, [1]
 * transfers; NaN when experts in order (`contiguous`) are balanced enough or cannot be dealt evenly. */
static void
add_plan (MsResult *result, const MsContext *context, const Job *job, const Layer *layer,
          double contiguous, double outcome[2])
{
  g_autoptr (GArray) chunks = NULL;
  g_autofree double *load = g_new0 (double, job->n_devices);

  outcome[0] = outcome[1] = NAN;
  if (layer->n_experts % job->n_devices != 0
      || !(contiguous > ms_values_real (context->values, "lambda")))
    return;
  chunks = ms_placement_llep (layer->weight, layer->n_experts, job->n_devices,
                              ms_values_real (context->values, "alpha"),
                              ms_values_int (context->values, "least-chunk"));
  outcome[1] = 0;
  for (guint i = 0; i < chunks->len; i++)
    {
      const MsChunkPlan *chunk = &g_array_index (chunks, MsChunkPlan, i);

      load[chunk->device] += (double) (chunk->end - chunk->start);
      outcome[1] += chunk->transfer;
      ms_table_add_row (ms_result_table (result, "llep"), MS_INT (layer->block),
                        MS_INT (chunk->expert), MS_INT (chunk->device), MS_INT (chunk->start),
                        MS_INT (chunk->end), MS_INT (chunk->transfer));
    }
  outcome[0] = max_over_mean (load, job->n_devices);
}

static double
per (double part, double whole)
{
  return whole > 0 ? part / whole : NAN;
}

/* The measures from sums over tokens. */
static void
measure (const double *sums, double *out, gpointer data)
{
  const Job *job = data;

  out[MAX_OVER_MEAN] = max_over_mean (sums + N_SUMS, job->n_devices);
  out[BALANCEDNESS] = 1 / out[MAX_OVER_MEAN];
  out[DEVICES_PER_TOKEN] = per (sums[SUM_FAN_OUT], sums[SUM_TOKENS]);
  out[COPIES] = per (sums[SUM_COPIES], sums[SUM_TOKENS]);
  out[DISTINCT_COPIES] = per (sums[SUM_DISTINCT], sums[SUM_TOKENS]);
  out[NODE_COPIES] = per (sums[SUM_CROSS_NODE], sums[SUM_TOKENS]);
  out[MEGABYTES]
      = job->width > 0 ? 2.0 * job->width * job->bytes / 1e6 * out[DISTINCT_COPIES] : NAN;
  out[CROSS_DEVICE] = per (sums[SUM_MOVES], sums[SUM_PAIRS]);
}

/* The measures' mean over random placements. */
static void
measure_random (const Job *job, const Layer *layer, double *out)
{
  guint n = job->n_placements - RANDOM;

  for (guint i = 0; i < N_MEASURES; i++)
    out[i] = n > 0 ? 0 : NAN;
  for (guint p = RANDOM; p < job->n_placements; p++)
    {
      double one[N_MEASURES];

      measure (sums_of (job, layer, p, 0), one, (gpointer) job);
      for (guint i = 0; i < N_MEASURES; i++)
        out[i] += one[i] / n;
    }
}

/* Slots that hold an expert which another slot of the same device holds already. */
static guint
count_useless (const MsPlacement *p)
{
  guint n = 0;

  for (guint slot = 0; slot < p->n_slots; slot++)
    for (guint before = 0; before < slot; before++)
      if (p->slot_expert[before] == p->slot_expert[slot]
          && p->slot_device[before] == p->slot_device[slot])
        {
          n++;
          break;
        }
  return n;
}

static void
add_layer (const MsContext *context, MsResult *result, const Job *job, guint l, double *means)
{
  const Layer *layer = &job->layers[l];
  const MsPlacement *p = &layer->placements[PLACED];
  MsInterval value[N_MEASURES];
  double in_order[N_MEASURES], random[N_MEASURES], plan[2], total = 0;
  g_autofree double *sums = g_new0 (double, job->n_sums);
  const double *load = sums + N_SUMS;

  ms_bootstrap_intervals (job->bootstrap, layer->units, job->n_sums, measure, (gpointer) job,
                          N_MEASURES, value);
  ms_interval_clamp (&value[MAX_OVER_MEAN], 1, job->n_devices);
  ms_interval_clamp (&value[BALANCEDNESS], 1.0 / job->n_devices, 1);
  measure (sums_of (job, layer, IN_ORDER, 0), in_order, (gpointer) job);
  measure_random (job, layer, random);
  for (guint u = 0; u < job->bootstrap->n_units; u++)
    for (guint i = 0; i < job->n_sums; i++)
      sums[i] += layer->units[(gsize) u * job->n_sums + i];
  for (guint d = 0; d < job->n_devices; d++)
    total += load[d];
  for (guint d = 0; d < job->n_devices; d++)
    ms_table_add_row (ms_result_table (result, "devices"), MS_INT (layer->block), MS_INT (d),
                      MS_REAL (load[d]),
                      MS_REAL (total > 0 ? load[d] * job->n_devices / total : NAN));
  for (guint slot = 0; slot < p->n_slots; slot++)
    ms_table_add_row (ms_result_table (result, "slots"), MS_INT (layer->block), MS_INT (slot),
                      MS_INT (p->slot_device[slot]),
                      MS_INT (p->slot_device[slot] * job->n_nodes / job->n_devices),
                      MS_INT (p->slot_expert[slot]), MS_INT (p->slot_replica[slot]),
                      MS_INT (p->replicas[p->slot_expert[slot]]));
  add_plan (result, context, job, layer, in_order[MAX_OVER_MEAN], plan);
  ms_table_add_row (ms_result_table (result, "layers"), MS_INT (layer->block),
                    MS_REAL (value[MAX_OVER_MEAN].value), MS_REAL (in_order[MAX_OVER_MEAN]),
                    MS_REAL (value[BALANCEDNESS].value), MS_REAL (value[DEVICES_PER_TOKEN].value),
                    MS_INT ((gint64) sums[SUM_COPIES]), MS_INT ((gint64) sums[SUM_DISTINCT]),
                    MS_INT ((gint64) sums[SUM_CROSS_NODE]), MS_REAL (value[MEGABYTES].value),
                    MS_INT ((gint64) sums[SUM_MOVES]), MS_REAL (value[CROSS_DEVICE].value),
                    MS_REAL (plan[0]), MS_REAL (plan[1]), MS_INT (count_useless (p)));
  for (guint i = 0; i < N_MEASURES; i++)
    ms_table_add_row (ms_result_table (result, "measures"), MS_INT (layer->block),
                      MS_TEXT (measure_names[i]), MS_CORRECTED (value[i]), MS_REAL (in_order[i]),
                      MS_REAL (random[i]));
  means[0] += in_order[MAX_OVER_MEAN] / job->n_layers;
  means[1] += value[MAX_OVER_MEAN].value / job->n_layers;
  means[2] += random[MAX_OVER_MEAN] / job->n_layers;
  if (l + 1 < job->n_layers)
    {
      means[3] += value[CROSS_DEVICE].value / (job->n_layers - 1);
      means[4] += random[CROSS_DEVICE] / (job->n_layers - 1);
    }
}

static void
summarise (MsResult *result, const Job *job, const double *means, const char *method)
{
  GString *text = g_string_new (NULL);
  guint n_useless = 0;

  for (guint l = 0; l < job->n_layers; l++)
    n_useless += count_useless (&job->layers[l].placements[PLACED]);
  if (isnan (means[1]))
    {
      g_string_assign (text, "There is no load to place: no expert was chosen.");
      result->summary = g_string_free (text, FALSE);
      return;
    }

  g_string_append_printf (
      text, "On %u devices the busiest has %.2f times the mean load (%.2f with experts in order",
      job->n_devices, means[1], means[0]);
  if (!isnan (means[2]))
    g_string_append_printf (text, ", %.2f at random", means[2]);
  g_string_append_c (text, ')');
  if (job->n_layers > 1 && !isnan (means[3]))
    {
      g_string_append_printf (text, "; %.1f %% of the moves to the next layer cross devices",
                              100 * means[3]);
      if (!isnan (means[4]))
        g_string_append_printf (text, " (%.1f %% at random)", 100 * means[4]);
    }
  g_string_append_c (text, '.');
  if (n_useless > 0)
    g_string_append_printf (text,
                            " %u slot%s a second copy of an expert on the same device, which "
                            "cannot carry load away.",
                            n_useless, n_useless == 1 ? " holds" : "s hold");
  result->summary = g_string_free (text, FALSE);
  ms_result_note (
      result,
      "Method: %s%s. Replicas are taken in turn by token; intervals keep the "
      "placement.",
      method, job->held_out ? ", placed by the even documents and measured on the odd ones" : "");
}

/* Reads or counts the loads, and where documents may be measured how many. */
static gboolean
load_job (const MsContext *context, Job *job, GError **error)
{
  const char *weights = ms_values_text (context->values, "weights");
  guint n_documents = 0;

  if (weights[0] != '\0')
    {
      if (!read_weights (weights, job, error))
        return FALSE;
    }
  else
    {
      job->counts_pairs = ms_values_choice (context->values, "method") == METHOD_JOINT;
      if (job->counts_pairs && !ms_context_pairs_fit (context, 1, sizeof (guint64), error))
        return FALSE;
      job->n_layers = ms_trace_n_layers (context->trace);
      job->layers = g_new0 (Layer, job->n_layers);
      job->width = ms_trace_model (context->trace)->width;
      n_documents = ms_trace_n_documents (context->trace);
      job->clusters = ms_trace_clusters (context->trace, context->cluster, NULL);
      if (job->clusters != NULL)
        n_documents = job->clusters->n;
      job->held_out = ms_values_bool (context->values, "held-out") && n_documents > 1;
      for (guint l = 0; l < job->n_layers; l++)
        {
          job->layers[l].block = ms_trace_layer (context->trace, l)->number;
          job->layers[l].n_experts = ms_trace_layer (context->trace, l)->gate.n_experts;
          job->layers[l].weight = g_new0 (double, job->layers[l].n_experts);
        }
      if (!ms_context_tasks (context, job->n_layers, count_layer, job, 0, 0.2, error))
        return FALSE;
    }
  job->bootstrap = ms_bootstrap_new (context, job->held_out ? n_documents / 2 : n_documents);
  for (guint l = 0; l < job->n_layers; l++)
    {
      gsize n = job->bootstrap->n_units + job->n_placements - 1;

      job->layers[l].placements = g_new0 (MsPlacement, job->n_placements);
      job->layers[l].units = g_new0 (double, n * job->n_sums);
    }
  return TRUE;
}

/* Sums of tokens, or of the file's loads alone. */
static gboolean
measure_job (const MsContext *context, Job *job, gboolean traced, GError **error)
{
  if (traced)
    return ms_context_tasks (context, job->n_layers, measure_layer, job, 0.3, 0.95, error);
  for (guint l = 0; l < job->n_layers; l++)
    for (guint p = 0; p < job->n_placements; p++)
      add_loads (&job->layers[l].placements[p], job->layers[l].weight,
                 sums_of (job, &job->layers[l], p, 0) + N_SUMS);
  return TRUE;
}

static void
job_clear (Job *job)
{
  for (guint l = 0; l < job->n_layers; l++)
    {
      Layer *layer = &job->layers[l];

      for (guint p = 0; layer->placements != NULL && p < job->n_placements; p++)
        ms_placement_clear (&layer->placements[p]);
      g_free (layer->placements);
      g_free (layer->units);
      g_free (layer->weight);
      g_free (layer->pairs);
    }
  g_free (job->layers);
  ms_bootstrap_free (job->bootstrap);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Job, job_clear)

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  const MsValues *values = context->values;
  const char *given = ms_values_text (values, "device-of-expert");
  guint method = ms_values_choice (values, "method");
  gboolean traced = ms_values_text (values, "weights")[0] == '\0';
  g_auto (Job) job = { .n_devices = (guint) ms_values_int (values, "devices"),
                       .n_nodes = (guint) ms_values_int (values, "nodes"),
                       .bytes = (guint) ms_values_int (values, "bytes"),
                       .n_placements = RANDOM + (guint) ms_values_int (values, "draws"),
                       .by_document = ms_values_choice (values, "source") == 1 };
  double means[5] = { 0 };

  job.n_sums = N_SUMS + job.n_devices;
  if (traced && context->trace == NULL)
    return fail (error, "placement needs a run, or loads with --weights FILE");
  if (!load_job (context, &job, error)
      || !(given[0] != '\0' ? read_placement (given, &job, error)
                            : place (context, &job, method, error)))
    return FALSE;
  add_chance (context, &job);
  if (!measure_job (context, &job, traced, error))
    return FALSE;
  for (guint l = 0; l < job.n_layers; l++)
    add_layer (context, result, &job, l, means);
  summarise (result, &job, means, given[0] != '\0' ? "as given" : method_choices[method]);
  return TRUE;
}

const MsAnalysis ms_analysis_placement = {
  .name = "placement",
  .title = "Placement of Experts on Devices",
  .help
  = "How should experts be placed on devices so that load is balanced and few tokens have to move?",
  .formula
  = "Device load = sum of weight / replicas over its slots; copies = assignments off the token's "
    "home device; moves = pairs of consecutive layers' experts on different devices. By chance: "
    "the "
    "same experts and copies dealt at random to the same slots.",
  .cite = "EPLB (DeepSeek); Least-Loaded Expert Parallelism (Salesforce); joint placement "
          "after MoETuner, arXiv 2502.06643 (our formulation); traffic counts are our own.",
  .version = 4,
  .needs = MS_NEEDS_NO_TRACE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
