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
  { "held-out", "Held-out", "Place by the documents of even number, measure on the others", NULL,
    MS_PARAM_BOOL, .usual = 0 },
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
        { "layer", "Layer", NULL, MS_COLUMN_INT, "The model's block number" },
        { "max_over_mean", "Largest / mean load", NULL, MS_COLUMN_REAL, "Over devices, as placed" },
        { "max_over_mean_contiguous", "Contiguous", NULL, MS_COLUMN_REAL,
          "The same with experts in order and no replicas" },
        { "balancedness", "Balancedness", NULL, MS_COLUMN_REAL, "Mean / largest load" },
        { "mean_devices_per_token", "Devices per token", "devices", MS_COLUMN_REAL,
          "Distinct devices a token's experts are on" },
        { "dispatch_copies", "Copies", NULL, MS_COLUMN_INT,
          "Assignments to another device than the token's home" },
        { "dispatch_copies_deduplicated", "Copies, deduplicated", NULL, MS_COLUMN_INT,
          "One for each distinct other device" },
        { "cross_node_copies_deduplicated", "Copies between nodes", NULL, MS_COLUMN_INT,
          "One for each distinct other node" },
        { "megabytes_per_token", "Traffic per token", "MB", MS_COLUMN_REAL,
          "Deduplicated copies x hidden size x bytes x 2 (dispatch and combine) / tokens" },
        { "cross_device_pairs", "Moves to the next layer", NULL, MS_COLUMN_INT,
          "Pairs (a in this layer, b in the next) on different devices" },
        { "cross_device_rate", "Share of moves", NULL, MS_COLUMN_REAL, "Of all such pairs" },
        { 0 } } },
  { "slots", "The placement",
    (const MsColumn[]){
        { "layer", "Layer", NULL, MS_COLUMN_INT, "The model's block number" },
        { "slot", "Slot", NULL, MS_COLUMN_INT, "Physical expert, devices hold consecutive slots" },
        { "device", "Device", NULL, MS_COLUMN_INT, "Device of the slot" },
        { "node", "Node", NULL, MS_COLUMN_INT, "Node of the device" },
        { "expert", "Expert", NULL, MS_COLUMN_INT, "Logical expert in the slot" },
        { "replica", "Replica", NULL, MS_COLUMN_INT, "Which copy of it, from 0" },
        { "replicas", "Replicas", NULL, MS_COLUMN_INT, "Copies of it" },
        { 0 } } },
  { "devices", "Load of devices",
    (const MsColumn[]){
        { "layer", "Layer", NULL, MS_COLUMN_INT, "The model's block number" },
        { "device", "Device", NULL, MS_COLUMN_INT, "Device" },
        { "load", "Load", NULL, MS_COLUMN_REAL, "Sum of weight / replicas over its slots" },
        { "load_over_mean", "Load / mean", NULL, MS_COLUMN_REAL,
          "Load over the mean of the layer" },
        { 0 } } },
  { "llep", "Least-loaded plan for the whole trace as one batch",
    (const MsColumn[]){
        { "layer", "Layer", NULL, MS_COLUMN_INT, "The model's block number" },
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
    .title = "Largest Over Mean Device Load",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "max_over_mean",
    .reference = "max_over_mean_contiguous" },
  { .name = "devices",
    .title = "Load of Devices",
    .table = "devices",
    .mark = MS_MARK_HEATMAP,
    .x = "device",
    .y = "layer",
    .value = "load_over_mean",
    .value_scale = MS_SCALE_RATIO },
  { .name = "moves",
    .title = "Moves Between Layers",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "cross_device_rate" },
  { 0 },
};

typedef struct
{
  int block;
  guint n_experts;
  double *weight; /* (E) loads that the placement is made from */
  MsPlacement placement;
  guint64 *pairs; /* (E, E of the next layer); NULL in the last layer and without a trace */
  guint n_next;
  /* Traffic of the measured tokens. */
  guint64 tokens, fan_out, copies, distinct, cross_node, moves, all_pairs;
} Layer;

typedef struct
{
  guint n_layers, n_devices, n_nodes, width;
  gboolean held_out, by_document;
  Layer *layers;
} Job;

static gboolean
is_measured (const Job *job, guint document)
{
  return !job->held_out || document % 2 == 1;
}

/* Loads and pairs from the documents that the placement may see. */
static gboolean
count_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  g_autoptr (MsLayerTrace) layer
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);
  g_autoptr (MsLayerTrace) next = NULL;

  if (layer == NULL)
    return FALSE;
  if (index + 1 < job->n_layers)
    {
      next = ms_trace_load_layer (context->trace, index + 1, MS_CHUNK_EXPERTS, context->cancel,
                                  error);
      if (next == NULL)
        return FALSE;
      out->n_next = next->n_experts;
      out->pairs = g_new0 (guint64, layer->n_experts * (gsize) next->n_experts);
    }
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);

      if (job->held_out && d % 2 == 1)
        continue;
      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        for (guint i = 0; i < layer->k; i++)
          {
            guint16 a = layer->experts[t * layer->k + i];

            if (a == MS_NO_EXPERT)
              continue;
            out->weight[a]++;
            for (guint j = 0; next != NULL && j < next->k; j++)
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

static gboolean
measure_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  const MsPlacement *here = &out->placement;
  g_autoptr (MsLayerTrace) layer
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);
  g_autoptr (MsLayerTrace) next = NULL;
  g_autofree gint64 *seen = NULL;      /* (devices) last token + 1 that came by */
  g_autofree gint64 *node_seen = NULL; /* (nodes) likewise */
  gint64 n_tokens = ms_trace_n_tokens (context->trace);
  guint n_documents = ms_trace_n_documents (context->trace);

  if (layer == NULL)
    return FALSE;
  if (index + 1 < job->n_layers)
    {
      next = ms_trace_load_layer (context->trace, index + 1, MS_CHUNK_EXPERTS, context->cancel,
                                  error);
      if (next == NULL)
        return FALSE;
    }
  seen = g_new0 (gint64, job->n_devices);
  node_seen = g_new0 (gint64, job->n_nodes);
  for (guint d = 0; d < n_documents; d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);

      if (!is_measured (job, d))
        continue;
      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          guint home
              = (guint) (job->by_document ? (guint64) d * job->n_devices / n_documents
                                          : (guint64) t * job->n_devices / (guint64) n_tokens);

          guint home_node = home * job->n_nodes / job->n_devices;

          out->tokens++;
          for (guint i = 0; i < layer->k; i++)
            {
              guint16 a = layer->experts[t * layer->k + i];
              guint device, node;

              if (a == MS_NO_EXPERT)
                continue;
              device = device_for (here, a, t);
              node = device * job->n_nodes / job->n_devices;
              out->copies += device != home;
              if (seen[device] != t + 1)
                {
                  seen[device] = t + 1;
                  out->fan_out++;
                  out->distinct += device != home;
                }
              if (node_seen[node] != t + 1)
                {
                  node_seen[node] = t + 1;
                  out->cross_node += node != home_node;
                }
              for (guint j = 0; next != NULL && j < next->k; j++)
                {
                  guint16 b = next->experts[t * next->k + j];

                  if (b == MS_NO_EXPERT)
                    continue;
                  out->all_pairs++;
                  out->moves += device != device_for (&job->layers[index + 1].placement, b, t);
                }
            }
        }
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
          ms_placement_contiguous (&layer->placement, layer->n_experts, job->n_devices);
          continue;
        }
      if (!check_geometry (values, layer, slots, error))
        return FALSE;
      if (method == METHOD_EPLB)
        ms_placement_eplb (&layer->placement, layer->weight, layer->n_experts, slots,
                           (guint) ms_values_int (values, "groups"), job->n_nodes, job->n_devices);
      joint[l] = (MsJointLayer){ layer->n_experts, layer->weight, layer->pairs, &layer->placement };
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
  g_autoptr (MsInput) input = ms_input_load (path, error);
  guint columns[3];
  guint n_read = 0, n_needed = 0;

  if (input == NULL || !ms_input_need (input, "layer", &columns[0], error)
      || !ms_input_need (input, "expert", &columns[1], error)
      || !ms_input_need (input, "device", &columns[2], error))
    return FALSE;
  for (guint l = 0; l < job->n_layers; l++)
    {
      ms_placement_contiguous (&job->layers[l].placement, job->layers[l].n_experts, job->n_devices);
      n_needed += job->layers[l].n_experts;
    }
  for (guint i = 0; i < ms_input_n_rows (input); i++)
    {
      gint64 block, expert, device;
      guint l = 0;

      if (!ms_input_int (input, i, columns[0], 0, G_MAXINT, &block, error))
        return FALSE;
      while (l < job->n_layers && job->layers[l].block != block)
        l++;
      if (l == job->n_layers)
        continue;
      if (!ms_input_int (input, i, columns[1], 0, job->layers[l].n_experts - 1, &expert, error)
          || !ms_input_int (input, i, columns[2], 0, job->n_devices - 1, &device, error))
        return FALSE;
      job->layers[l].placement.device[expert] = (guint) device;
      n_read++;
    }
  if (n_read != n_needed)
    return fail (error, "%s places %u experts, the selected layers have %u", path, n_read,
                 n_needed);
  return TRUE;
}

/* Loads (layer, expert, weight) from a file, for placing without a trace. */
static gboolean
read_weights (const char *path, Job *job, GError **error)
{
  g_autoptr (MsInput) input = ms_input_load (path, error);
  guint columns[3];
  gint64 most_layer = -1, most_expert = -1;

  if (input == NULL || !ms_input_need (input, "layer", &columns[0], error)
      || !ms_input_need (input, "expert", &columns[1], error)
      || !ms_input_need (input, "weight", &columns[2], error))
    return FALSE;
  for (guint i = 0; i < ms_input_n_rows (input); i++)
    {
      gint64 layer, expert;

      if (!ms_input_int (input, i, columns[0], 0, 4095, &layer, error)
          || !ms_input_int (input, i, columns[1], 0, MS_MAX_EXPERTS - 1, &expert, error))
        return FALSE;
      most_layer = MAX (most_layer, layer);
      most_expert = MAX (most_expert, expert);
    }
  if (most_layer < 0)
    return fail (error, "%s holds no loads", path);
  job->n_layers = (guint) most_layer + 1;
  job->layers = g_new0 (Layer, job->n_layers);
  for (guint l = 0; l < job->n_layers; l++)
    {
      job->layers[l].block = (int) l;
      job->layers[l].n_experts = (guint) most_expert + 1;
      job->layers[l].weight = g_new0 (double, job->layers[l].n_experts);
    }
  for (guint i = 0; i < ms_input_n_rows (input); i++)
    {
      gint64 layer, expert;
      double weight;

      if (!ms_input_int (input, i, columns[0], 0, most_layer, &layer, error)
          || !ms_input_int (input, i, columns[1], 0, most_expert, &expert, error)
          || !ms_input_real (input, i, columns[2], 0, 1e15, &weight, error))
        return FALSE;
      job->layers[layer].weight[expert] += weight;
    }
  return TRUE;
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

static void
add_plan (MsResult *result, const MsContext *context, const Job *job, const Layer *layer,
          double contiguous)
{
  g_autoptr (GArray) chunks = NULL;

  if (layer->n_experts % job->n_devices != 0
      || !(contiguous > ms_values_real (context->values, "lambda")))
    return;
  chunks = ms_placement_llep (layer->weight, layer->n_experts, job->n_devices,
                              ms_values_real (context->values, "alpha"),
                              ms_values_int (context->values, "least-chunk"));
  for (guint i = 0; i < chunks->len; i++)
    {
      const MsChunkPlan *chunk = &g_array_index (chunks, MsChunkPlan, i);

      ms_table_add (ms_result_table (result, "llep"), (gint64) layer->block, (gint64) chunk->expert,
                    (gint64) chunk->device, chunk->start, chunk->end, (gint64) chunk->transfer);
    }
}

static void
add_layer (const MsContext *context, MsResult *result, const Job *job, guint l, double sums[3])
{
  const Layer *layer = &job->layers[l];
  const MsPlacement *p = &layer->placement;
  g_autofree double *load = g_new0 (double, job->n_devices);
  g_autofree double *plain = g_new0 (double, job->n_devices);
  double total = 0, tokens = layer->tokens > 0 ? (double) layer->tokens : NAN, before, after;
  double bytes = 2.0 * job->width * (double) ms_values_int (context->values, "bytes");
  MsPlacement contiguous = { 0 };
  guint slot = 0;

  ms_placement_contiguous (&contiguous, layer->n_experts, job->n_devices);
  for (guint e = 0; e < layer->n_experts; e++)
    {
      for (guint r = 0; r < p->replicas[e]; r++)
        load[p->device[(gsize) e * p->most_replicas + r]] += layer->weight[e] / p->replicas[e];
      plain[contiguous.device[e]] += layer->weight[e];
      total += layer->weight[e];
    }
  ms_placement_clear (&contiguous);
  before = max_over_mean (plain, job->n_devices);
  after = max_over_mean (load, job->n_devices);
  for (guint d = 0; d < job->n_devices; d++)
    ms_table_add (ms_result_table (result, "devices"), (gint64) layer->block, (gint64) d, load[d],
                  total > 0 ? load[d] * job->n_devices / total : NAN);
  for (slot = 0; slot < p->n_slots; slot++)
    ms_table_add (ms_result_table (result, "slots"), (gint64) layer->block, (gint64) slot,
                  (gint64) p->slot_device[slot],
                  (gint64) (p->slot_device[slot] * job->n_nodes / job->n_devices),
                  (gint64) p->slot_expert[slot], (gint64) p->slot_replica[slot],
                  (gint64) p->replicas[p->slot_expert[slot]]);
  ms_table_add (ms_result_table (result, "layers"), (gint64) layer->block, after, before, 1 / after,
                (double) layer->fan_out / tokens, (gint64) layer->copies, (gint64) layer->distinct,
                (gint64) layer->cross_node,
                job->width > 0 ? (double) layer->distinct * bytes / 1e6 / tokens : NAN,
                (gint64) layer->moves,
                layer->all_pairs > 0 ? (double) layer->moves / (double) layer->all_pairs : NAN);
  add_plan (result, context, job, layer, before);
  sums[0] += before / job->n_layers;
  sums[1] += after / job->n_layers;
  sums[2] += layer->all_pairs > 0
                 ? (double) layer->moves / (double) layer->all_pairs / MAX (job->n_layers - 1, 1)
                 : 0;
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  const MsValues *values = context->values;
  const char *weights = ms_values_text (values, "weights");
  const char *given = ms_values_text (values, "device-of-expert");
  guint method = ms_values_choice (values, "method");
  gboolean traced = weights[0] == '\0';
  Job job = { .n_devices = (guint) ms_values_int (values, "devices"),
              .n_nodes = (guint) ms_values_int (values, "nodes"),
              .by_document = ms_values_choice (values, "source") == 1 };
  double sums[3] = { 0 };
  gboolean fine;

  if (traced && context->trace == NULL)
    return fail (error, "placement needs a run, or loads with --weights FILE");
  if (traced)
    {
      job.n_layers = ms_trace_n_layers (context->trace);
      job.layers = g_new0 (Layer, job.n_layers);
      job.width = ms_trace_model (context->trace)->width;
      job.held_out
          = ms_values_bool (values, "held-out") && ms_trace_n_documents (context->trace) > 1;
      for (guint l = 0; l < job.n_layers; l++)
        {
          job.layers[l].block = ms_trace_layer (context->trace, l)->block;
          job.layers[l].n_experts = ms_trace_layer (context->trace, l)->n_experts;
          job.layers[l].weight = g_new0 (double, job.layers[l].n_experts);
        }
    }
  fine = traced ? ms_context_tasks (context, job.n_layers, count_layer, &job, 0, 0.4, error)
                : read_weights (weights, &job, error);
  fine = fine
         && (given[0] != '\0' ? read_placement (given, &job, error)
                              : place (context, &job, method, error));
  fine = fine
         && (!traced
             || ms_context_tasks (context, job.n_layers, measure_layer, &job, 0.5, 0.95, error));
  for (guint l = 0; l < job.n_layers && fine; l++)
    add_layer (context, result, &job, l, sums);
  if (fine)
    {
      result->summary = g_strdup_printf ("On %u devices the busiest has %.2f times the mean load "
                                         "(%.2f with experts in order); %.1f %% of "
                                         "the moves to the next layer cross devices.",
                                         job.n_devices, sums[1], sums[0], 100 * sums[2]);
      ms_result_note (result, "Method: %s%s. Replicas are taken in turn by token.",
                      given[0] != '\0' ? "as given" : method_choices[method],
                      job.held_out ? ", placed by the even documents and measured on the odd ones"
                                   : "");
    }
  for (guint l = 0; l < job.n_layers; l++)
    {
      g_free (job.layers[l].weight);
      g_free (job.layers[l].pairs);
      ms_placement_clear (&job.layers[l].placement);
    }
  g_free (job.layers);
  return fine;
}

const MsAnalysis ms_analysis_placement = {
  .name = "placement",
  .title = "Placement of Experts on Devices",
  .help
  = "How should experts be placed on devices so that load is balanced and few tokens have to move?",
  .formula
  = "Device load = sum of weight / replicas over its slots; copies = assignments off the token's "
    "home device; moves = pairs of consecutive layers' experts on different devices.",
  .cite = "EPLB (DeepSeek); Least-Loaded Expert Parallelism (Salesforce); joint placement after "
          "MoETuner, "
          "arXiv 2502.06643 (our formulation); metrics.md h",
  .version = 1,
  .needs = MS_NEEDS_NO_TRACE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
