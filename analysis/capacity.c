/* What if every expert had a capacity: drops over capacity factors, by position, and how much a
 * document's drops depend on the rest of its batch (metrics.md a, f.2, i).
 *
 * A pure replay of recorded choices.  An assignment takes the next slot of its expert in the priority
 * order and is dropped when the slot is beyond the capacity; dropped ones still count. */
#include "capacity-repair-private.h"
#include "capacity.h"

#include <math.h>
#include <string.h>

static const char *const order_choices[] = { "rank-major", "batch-prioritised", NULL };

static const MsParam params[] = {
  { "rule", "Capacity rule",
    "tutel: k int (f ceil (T / E)), 0 = dropless, negative = at most that; gshard: 2 ceil (T / E); "
    "gshard-eval: ceil (T / 4); torchscale: int (f ceil (T / E)); flaxformer: max (round (f T / "
    "E), 4); "
    "fixed: f itself, as HF Switch",
    NULL, MS_PARAM_CHOICE, .choices = ms_capacity_rules },
  { "factors", "Capacity factors", "Factors f to sweep, separated by commas", NULL, MS_PARAM_TEXT,
    .usual_text = "0.5,0.75,1,1.25,1.5,2,4" },
  { "order", "Priority",
    "rank-major: all first choices in token order, then all second choices; batch-prioritised: "
    "tokens of "
    "the largest probability first (needs scores, else the first weight)",
    NULL, MS_PARAM_CHOICE, .choices = order_choices },
  { "batch", "Batch", "Documents that share the capacity; 0 = all, 1 = every document alone",
    "documents", MS_PARAM_INT, 0, 1000000, 1, .ui_least = 0, .ui_most = 64 },
  { "devices", "Devices",
    "Where Rectify-Router repairs: expert e lives on device e D / E, token i of n in a batch on "
    "i D / n",
    "devices", MS_PARAM_INT, 1, 4096, 4, .ui_least = 1, .ui_most = 64 },
  { 0 },
};

static const MsTableDef tables[] = {
  { "sweep", "Drops by capacity factor",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "capacity_factor", "Capacity factor", NULL, MS_COLUMN_REAL, "f of the rule" },
        { "capacity", "Capacity", "tokens", MS_COLUMN_REAL,
          "Slots of an expert, mean over batches" },
        { "dropped_assignment_rate", "Dropped", NULL, MS_COLUMN_REAL, "Dropped / all assignments" },
        { "low", "Dropped, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "high", "Dropped, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "token_left_behind_rate", "Left behind", NULL, MS_COLUMN_REAL,
          "Share of tokens with all assignments dropped" },
        { "token_any_drop_rate", "Any drop", NULL, MS_COLUMN_REAL,
          "Share of tokens with a dropped assignment" },
        { "expert_usage", "Expert usage", NULL, MS_COLUMN_REAL, "Kept / (E x capacity)" },
        { "router_confidence", "Router confidence", NULL, MS_COLUMN_REAL,
          "Sum of the kept weights / kept assignments" },
        { 0 } } },
  { "positions", "Drops by position",
    (const MsColumn[]){
        { "capacity_factor", "Capacity factor", NULL, MS_COLUMN_REAL, "f of the rule" },
        { "position", "Position", NULL, MS_COLUMN_REAL,
          "Middle of a twentieth of the document: 0 = start, 1 = end" },
        { "dropped_assignment_rate", "Dropped", NULL, MS_COLUMN_REAL,
          "Dropped / all assignments there, all layers" },
        { "low", "Dropped, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "high", "Dropped, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { 0 } } },
  { "ranks", "Drops by rank",
    (const MsColumn[]){
        { "capacity_factor", "Capacity factor", NULL, MS_COLUMN_REAL, "f of the rule" },
        { "rank", "Rank", NULL, MS_COLUMN_INT, "1 = first choices" },
        { "assignments", "Assignments", NULL, MS_COLUMN_INT, "Choices of this rank, all layers" },
        { "dropped_assignment_rate", "Dropped", NULL, MS_COLUMN_REAL,
          "Dropped / choices of this rank" },
        { 0 } } },
  { "repair", "Rectify-Router: drops re-routed, free slots filled (needs scores)",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "capacity_factor", "Capacity factor", NULL, MS_COLUMN_REAL, "f of the rule" },
        { "dropped", "Dropped", NULL, MS_COLUMN_INT, "Assignments beyond the capacity" },
        { "recovered", "Recovered", NULL, MS_COLUMN_INT,
          "Of them, sent to the best other expert on the token's own device, outside capacity" },
        { "recovered_rate", "Recovered share", NULL, MS_COLUMN_REAL, "Recovered / dropped" },
        { "recovered_low", "Recovered, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "recovered_high", "Recovered, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "free_slots", "Free slots", NULL, MS_COLUMN_INT, "E x capacity - kept, over batches" },
        { "filled", "Filled", NULL, MS_COLUMN_INT,
          "Free slots taken by tokens whose next expert it is, best score first" },
        { "filled_rate", "Filled share", NULL, MS_COLUMN_REAL, "Filled / free slots" },
        { "filled_per_token", "Filled per token", NULL, MS_COLUMN_REAL, "Filled / tokens" },
        { "filled_low", "Filled per token, low", NULL, MS_COLUMN_REAL,
          "Lower end of its interval" },
        { "filled_high", "Filled per token, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "left_behind_before", "Left behind before", NULL, MS_COLUMN_REAL,
          "Share of tokens with all assignments dropped" },
        { "left_behind_after", "Left behind after", NULL, MS_COLUMN_REAL,
          "Of them those neither recovered nor filled in" },
        { "cross_device_before", "Cross-device before", NULL, MS_COLUMN_REAL,
          "Share of served assignments off the token's device" },
        { "cross_device_after", "Cross-device after", NULL, MS_COLUMN_REAL,
          "The same with what was recovered and filled" },
        { 0 } } },
  { "documents", "Dependence on the batch",
    (const MsColumn[]){
        { "capacity_factor", "Capacity factor", NULL, MS_COLUMN_REAL, "f of the rule" },
        { "document", "Document", NULL, MS_COLUMN_TEXT, "Its name" },
        { "dropped_alone", "Dropped alone", NULL, MS_COLUMN_REAL, "As a batch of its own" },
        { "dropped_in_batch", "Dropped in its batch", NULL, MS_COLUMN_REAL, "In its batch" },
        { "dropped_in_reversed_batch", "Dropped in the reversed batch", NULL, MS_COLUMN_REAL,
          "In its batch with the documents in reverse order" },
        { "assignments_changed_alone_vs_batch", "Assignments changed", NULL, MS_COLUMN_REAL,
          "Share of assignments kept in one case and dropped in the other" },
        { "tokens_changed_alone_vs_batch", "Tokens changed", NULL, MS_COLUMN_REAL,
          "Share of tokens with such an assignment" },
        { "tokens_changed_by_order", "Tokens changed by order", NULL, MS_COLUMN_REAL,
          "Share of tokens that differ between the batch and the reversed batch" },
        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "sweep",
    .title = "Dropped assignments",
    .table = "sweep",
    .mark = MS_MARK_LINE,
    .x = "capacity_factor",
    .y = "dropped_assignment_rate",
    .series = "layer",
    .low = "low",
    .high = "high",
    .y_title = "Dropped assignments (share)" },
  { .name = "map",
    .title = "Dropped assignments by layer",
    .table = "sweep",
    .mark = MS_MARK_HEATMAP,
    .x = "capacity_factor",
    .y = "layer",
    .value = "dropped_assignment_rate",
    .value_title = "Dropped (share)" },
  { .name = "positions",
    .title = "Drops toward the end",
    .table = "positions",
    .mark = MS_MARK_LINE,
    .x = "position",
    .y = "dropped_assignment_rate",
    .series = "capacity_factor",
    .low = "low",
    .high = "high",
    .x_title = "Place in the document (0 = start, 1 = end)",
    .y_title = "Dropped assignments (share)" },
  { .name = "repair",
    .title = "Drops recovered on the own device",
    .table = "repair",
    .mark = MS_MARK_LINE,
    .x = "capacity_factor",
    .y = "recovered_rate",
    .series = "layer",
    .low = "recovered_low",
    .high = "recovered_high",
    .y_title = "Recovered drops (share)" },
  { .name = "batch",
    .title = "Drops alone and in the batch",
    .table = "documents",
    .mark = MS_MARK_SCATTER,
    .x = "dropped_alone",
    .y = "dropped_in_batch",
    .facet = "capacity_factor",
    .x_title = "Dropped alone (share)",
    .y_title = "Dropped in the batch (share)",
    .reference = "dropped_alone" },
  { 0 },
};

#define MAX_FACTORS 16
#define POSITIONS   20

enum
{
  SUM_ASSIGNMENTS,
  SUM_DROPPED,
  SUM_TOKENS,
  SUM_BEHIND,
  SUM_ANY,
  SUM_KEPT_WEIGHT,
  N_SUMS,
};

/* Of the repair. */
enum
{
  REPAIR_TOKENS,
  REPAIR_DROPPED,
  REPAIR_RECOVERED,
  REPAIR_FILLED,
  REPAIR_BEHIND_BEFORE,
  REPAIR_BEHIND_AFTER,
  REPAIR_KEPT,
  REPAIR_CROSS, /* kept ones off the token's device */
  REPAIR_CROSS_FILLED,
  N_REPAIR,
};

/* Of a document over all layers: what batch dependence needs. */
typedef struct
{
  guint64 tokens, assignments, alone, in_batch, reversed, changed, tokens_changed, tokens_by_order;
} Dependence;

typedef struct
{
  double *units; /* (factors, U, N_SUMS) */
  double capacity[MAX_FACTORS], slots[MAX_FACTORS];
  guint n_batches;
  double *positions;     /* (factors, U, POSITIONS, 2) dropped, all */
  guint64 *ranks;        /* (factors, K, 2) dropped, all */
  Dependence *documents; /* (factors, D) */
  double *repair;        /* (factors, U, N_REPAIR); NULL without scores */
  guint64 free_slots[MAX_FACTORS];
} Layer;

typedef struct
{
  const MsBootstrap *bootstrap;
  Layer *layers;
  guint n_factors;
  double factors[MAX_FACTORS];
  guint rule, batch, n_devices;
  gboolean prioritised;
} Job;

/* Tokens in the order in which they are served; rows of the layer. */
typedef struct
{
  gint64 n;
  gint64 *rows;
} Order;

/* Sets kept[row * k + r] for the tokens of the order. */
static gint64
serve (const Job *job, const MsLayerTrace *layer, const Order *order, double factor, guint64 *load,
       guint8 *kept)
{
  const MsServing serving = { layer->experts, layer->k, layer->n_experts, order->rows, order->n };

  return ms_capacity_serve (job->rule, factor, &serving, load, kept);
}

/* The rows of documents first..first+n-1, reversed by document when asked for. */
static void
order_batch (const Job *job, MsTrace *trace, guint first, guint n, gboolean reversed,
             const double *priority, Order *order)
{
  order->n = 0;
  for (guint i = 0; i < n; i++)
    {
      const MsDocument *document
          = ms_trace_document (trace, reversed ? first + n - 1 - i : first + i);

      for (gint64 t = 0; t < document->n_tokens; t++)
        order->rows[order->n++] = document->first_token + t;
    }
  if (job->prioritised)
    ms_capacity_prioritise (priority, order->rows, order->n);
}

static double *
priorities (const Job *job, const MsTrace *trace, guint index, const MsLayerTrace *layer)
{
  double *priority;
  g_autofree double *p = NULL;

  if (!job->prioritised)
    return NULL;
  priority = g_new (double, layer->n_tokens + 1);
  p = g_new (double, layer->n_experts);
  for (gint64 t = 0; t < layer->n_tokens; t++)
    {
      priority[t] = layer->weights[t * layer->k];
      if (layer->logits == NULL)
        continue;
      ms_trace_distribution (trace, index, layer->logits + t * layer->n_experts, p);
      priority[t] = p[0];
      for (guint e = 1; e < layer->n_experts; e++)
        priority[t] = MAX (priority[t], p[e]);
    }
  return priority;
}

static void
count_document (const Job *job, const MsLayerTrace *layer, const MsDocument *document, guint factor,
                const guint8 *kept, Layer *out, double *sums, double *positions)
{
  (void) job;
  for (gint64 i = 0; i < document->n_tokens; i++)
    {
      gsize at = (gsize) (document->first_token + i) * layer->k;
      guint bin = (guint) (i * POSITIONS / document->n_tokens), size = 0, n_kept = 0;

      for (guint r = 0; r < layer->k; r++)
        if (layer->experts[at + r] != MS_NO_EXPERT)
          {
            guint64 *rank = out->ranks + ((gsize) factor * layer->k + r) * 2;

            size++;
            n_kept += kept[at + r];
            rank[0] += !kept[at + r];
            rank[1]++;
            if (kept[at + r])
              sums[SUM_KEPT_WEIGHT] += layer->weights[at + r];
          }
      sums[SUM_TOKENS]++;
      sums[SUM_ASSIGNMENTS] += size;
      sums[SUM_DROPPED] += size - n_kept;
      sums[SUM_BEHIND] += size > 0 && n_kept == 0;
      sums[SUM_ANY] += n_kept < size;
      positions[2 * bin] += size - n_kept;
      positions[2 * bin + 1] += size;
    }
}

static void
compare_document (const MsLayerTrace *layer, const MsDocument *document, const guint8 *alone,
                  const guint8 *batch, const guint8 *reversed, Dependence *out)
{
  for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
    {
      gboolean changed = FALSE, by_order = FALSE;

      for (guint r = 0; r < layer->k; r++)
        {
          gsize at = (gsize) t * layer->k + r;

          if (layer->experts[at] == MS_NO_EXPERT)
            continue;
          out->assignments++;
          out->alone += !alone[at];
          out->in_batch += !batch[at];
          out->reversed += !reversed[at];
          out->changed += alone[at] != batch[at];
          changed = changed || alone[at] != batch[at];
          by_order = by_order || batch[at] != reversed[at];
        }
      out->tokens++;
      out->tokens_changed += changed;
      out->tokens_by_order += by_order;
    }
}

/* One document of a repaired batch into sums. */
static void
count_repair (const MsRepairBatch *batch, const MsLayerTrace *layer, const MsRepairPlan *plan,
              const MsDocument *document, const guint8 *kept, const guint16 *replaced,
              const guint8 *filled, double *sums)
{
  for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
    {
      guint home = ms_repair_home (batch, t), size = 0, n_kept = 0, n_replaced = 0;

      for (guint r = 0; r < layer->k; r++)
        {
          gsize at = (gsize) t * layer->k + r;

          if (layer->experts[at] == MS_NO_EXPERT)
            continue;
          size++;
          n_kept += kept[at];
          n_replaced += replaced[at] != MS_NO_EXPERT;
          sums[REPAIR_CROSS]
              += kept[at] && ms_repair_device (batch, layer->experts[at], layer->n_experts) != home;
        }
      sums[REPAIR_TOKENS]++;
      sums[REPAIR_DROPPED] += size - n_kept;
      sums[REPAIR_RECOVERED] += n_replaced;
      sums[REPAIR_FILLED] += filled[t];
      sums[REPAIR_BEHIND_BEFORE] += size > 0 && n_kept == 0;
      sums[REPAIR_BEHIND_AFTER] += size > 0 && n_kept + n_replaced == 0 && !filled[t];
      sums[REPAIR_KEPT] += n_kept;
      sums[REPAIR_CROSS_FILLED]
          += filled[t] && ms_repair_device (batch, plan->next[t], layer->n_experts) != home;
    }
}

/* What one thread needs for a layer. */
typedef struct
{
  MsLayerTrace *layer;
  double *priority;
  guint64 *load;
  guint8 *kept, *alone, *reversed; /* (T, K) */
  Order order;
  MsRepairPlan plan;
  guint16 *replaced; /* (T, K) */
  guint8 *filled;    /* (T) */
} Scratch;

static void
scratch_init (Scratch *s, const Job *job, const MsTrace *trace, guint index)
{
  gsize size = (gsize) s->layer->n_tokens * s->layer->k + 1;

  s->priority = priorities (job, trace, index, s->layer);
  s->load = g_new (guint64, s->layer->n_experts);
  s->kept = g_new0 (guint8, size);
  s->alone = g_new0 (guint8, size);
  s->reversed = g_new0 (guint8, size);
  s->order.rows = g_new (gint64, s->layer->n_tokens + 1);
  if (s->layer->logits == NULL)
    return;
  ms_repair_plan_init (&s->plan, trace, index, s->layer);
  s->replaced = g_new (guint16, size);
  s->filled = g_new (guint8, s->layer->n_tokens + 1);
}

static void
scratch_clear (Scratch *s)
{
  g_clear_pointer (&s->layer, ms_layer_trace_free);
  g_free (s->priority);
  g_free (s->load);
  g_free (s->kept);
  g_free (s->alone);
  g_free (s->reversed);
  g_free (s->order.rows);
  ms_repair_plan_clear (&s->plan);
  g_free (s->replaced);
  g_free (s->filled);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Scratch, scratch_clear)

/* Documents first..first+n-1 with factor f. */
static void
replay_batch (const Job *job, MsTrace *trace, Scratch *s, guint f, guint first, guint n, Layer *out)
{
  const MsLayerTrace *layer = s->layer;
  guint n_units = job->bootstrap->n_units;
  gint64 capacity, from = ms_trace_document (trace, first)->first_token;
  MsRepairBatch batch = { from, 0, 0, job->n_devices };

  if (n > 1)
    {
      order_batch (job, trace, first, n, TRUE, s->priority, &s->order);
      serve (job, layer, &s->order, job->factors[f], s->load, s->reversed);
    }
  order_batch (job, trace, first, n, FALSE, s->priority, &s->order);
  capacity = serve (job, layer, &s->order, job->factors[f], s->load, s->kept);
  out->capacity[f] += (double) capacity;
  out->slots[f] += (double) capacity * layer->n_experts;
  out->n_batches += f == 0;
  batch.n = s->order.n;
  batch.capacity = MAX (capacity, 0);
  if (out->repair != NULL)
    out->free_slots[f]
        += ms_repair_batch (&batch, layer, &s->plan, s->kept, s->replaced, s->filled);
  for (guint d = first; d < first + n; d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);
      gsize unit = (gsize) f * n_units + ms_bootstrap_unit (job->bootstrap, d);

      count_document (job, layer, document, f, s->kept, out, out->units + unit * N_SUMS,
                      out->positions + unit * POSITIONS * 2);
      if (out->repair != NULL)
        count_repair (&batch, layer, &s->plan, document, s->kept, s->replaced, s->filled,
                      out->repair + unit * N_REPAIR);
      if (n > 1)
        {
          order_batch (job, trace, d, 1, FALSE, s->priority, &s->order);
          serve (job, layer, &s->order, job->factors[f], s->load, s->alone);
          compare_document (layer, document, s->alone, s->kept, s->reversed,
                            &out->documents[(gsize) f * ms_trace_n_documents (trace) + d]);
        }
    }
}

/* MS_CHUNK_LOGITS when the run holds scores whose meaning is known, else 0. */
static guint
scores_of (const MsTrace *trace)
{
  return ms_trace_gated (trace, MS_GATE_SCORING, NULL)
             ? ms_trace_run (trace)->columns & MS_CHUNK_LOGITS
             : 0;
}

static gboolean
replay_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  MsTrace *trace = context->trace;
  guint n_documents = ms_trace_n_documents (trace);
  guint batch = job->batch == 0 ? n_documents : MIN (job->batch, n_documents);
  gsize n_units = (gsize) job->n_factors * job->bootstrap->n_units;
  g_auto (Scratch) scratch = { 0 };

  scratch.layer
      = ms_trace_load_layer (trace, index, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | scores_of (trace),
                             context->cancel, error);
  if (scratch.layer == NULL)
    return FALSE;
  scratch_init (&scratch, job, trace, index);
  out->units = g_new0 (double, n_units *N_SUMS);
  out->documents = g_new0 (Dependence, (gsize) job->n_factors * n_documents);
  out->positions = g_new0 (double, n_units *POSITIONS * 2);
  out->ranks = g_new0 (guint64, (gsize) job->n_factors * scratch.layer->k * 2);
  if (scratch.layer->logits != NULL)
    out->repair = g_new0 (double, n_units *N_REPAIR);
  for (guint f = 0; f < job->n_factors; f++)
    for (guint first = 0; first < n_documents; first += batch)
      {
        if (g_cancellable_set_error_if_cancelled (context->cancel, error))
          return FALSE;
        replay_batch (job, trace, &scratch, f, first, MIN (batch, n_documents - first), out);
      }
  return TRUE;
}

static void
rates (const double *sums, double *out, gpointer data)
{
  (void) data;
  out[0] = sums[SUM_DROPPED] / sums[SUM_ASSIGNMENTS];
  out[1] = sums[SUM_BEHIND] / sums[SUM_TOKENS];
  out[2] = sums[SUM_ANY] / sums[SUM_TOKENS];
  out[3] = sums[SUM_KEPT_WEIGHT] / (sums[SUM_ASSIGNMENTS] - sums[SUM_DROPPED]);
  out[4] = sums[SUM_ASSIGNMENTS] - sums[SUM_DROPPED];
}

static double
ratio (double part, double whole)
{
  return whole > 0 ? part / whole : NAN;
}

enum
{
  RECOVERED,
  FILLED,
  BEHIND_BEFORE,
  BEHIND_AFTER,
  CROSS_BEFORE,
  CROSS_AFTER,
  N_REPAIR_RATES,
};

static void
repair_rates (const double *sums, double *out, gpointer data)
{
  (void) data;
  out[RECOVERED] = ratio (sums[REPAIR_RECOVERED], sums[REPAIR_DROPPED]);
  out[FILLED] = ratio (sums[REPAIR_FILLED], sums[REPAIR_TOKENS]);
  out[BEHIND_BEFORE] = ratio (sums[REPAIR_BEHIND_BEFORE], sums[REPAIR_TOKENS]);
  out[BEHIND_AFTER] = ratio (sums[REPAIR_BEHIND_AFTER], sums[REPAIR_TOKENS]);
  out[CROSS_BEFORE] = ratio (sums[REPAIR_CROSS], sums[REPAIR_KEPT]);
  out[CROSS_AFTER] = ratio (sums[REPAIR_CROSS] + sums[REPAIR_CROSS_FILLED],
                            sums[REPAIR_KEPT] + sums[REPAIR_RECOVERED] + sums[REPAIR_FILLED]);
}

static void
add_repair (MsTable *table, const Job *job, const Layer *layer, gint64 block, guint f)
{
  guint n_units = job->bootstrap->n_units;
  const double *units = layer->repair + (gsize) f * n_units * N_REPAIR;
  double sums[N_REPAIR] = { 0 };
  MsInterval v[N_REPAIR_RATES];

  ms_bootstrap_rates (job->bootstrap, units, N_REPAIR, repair_rates, NULL, N_REPAIR_RATES, v);
  for (guint i = 0; i < n_units * N_REPAIR; i++)
    sums[i % N_REPAIR] += units[i];
  ms_table_add_row (
      table, MS_INT (block), MS_REAL (job->factors[f]), MS_INT ((gint64) sums[REPAIR_DROPPED]),
      MS_INT ((gint64) sums[REPAIR_RECOVERED]), MS_INTERVAL (v[RECOVERED]),
      MS_INT (layer->free_slots[f]), MS_INT ((gint64) sums[REPAIR_FILLED]),
      MS_REAL (ratio (sums[REPAIR_FILLED], (double) layer->free_slots[f])), MS_INTERVAL (v[FILLED]),
      MS_REAL (v[BEHIND_BEFORE].value), MS_REAL (v[BEHIND_AFTER].value),
      MS_REAL (v[CROSS_BEFORE].value), MS_REAL (v[CROSS_AFTER].value));
}

static gboolean
read_factors (const MsValues *values, Job *job, GError **error)
{
  g_auto (GStrv) words = g_strsplit (ms_values_text (values, "factors"), ",", -1);

  for (guint i = 0; words[i] != NULL; i++)
    {
      char *end;
      double factor = g_ascii_strtod (g_strstrip (words[i]), &end);

      if (words[i][0] == '\0' || *end != '\0' || !(fabs (factor) <= 1e6)
          || job->n_factors == MAX_FACTORS || (factor < 0 && job->rule != MS_CAPACITY_TUTEL))
        {
          g_set_error (
              error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
              "--factors: '%s' is no capacity factor; give up to %d numbers separated by commas "
              "(negative ones for tutel only)",
              words[i], MAX_FACTORS);
          return FALSE;
        }
      job->factors[job->n_factors++] = factor;
    }
  return TRUE;
}

static double
share (guint64 part, guint64 whole)
{
  return whole > 0 ? (double) part / (double) whole : NAN;
}

static void
add_documents (const MsContext *context, MsResult *result, const Job *job, guint f)
{
  guint n = ms_trace_n_documents (context->trace);

  for (guint d = 0; d < n; d++)
    {
      Dependence sum = { 0 };

      for (guint l = 0; l < ms_trace_n_layers (context->trace); l++)
        {
          const Dependence *x = &job->layers[l].documents[(gsize) f * n + d];

          sum.tokens += x->tokens;
          sum.assignments += x->assignments;
          sum.alone += x->alone;
          sum.in_batch += x->in_batch;
          sum.reversed += x->reversed;
          sum.changed += x->changed;
          sum.tokens_changed += x->tokens_changed;
          sum.tokens_by_order += x->tokens_by_order;
        }
      if (sum.tokens > 0)
        ms_table_add_row (ms_result_table (result, "documents"), MS_REAL (job->factors[f]),
                          MS_TEXT (ms_trace_document (context->trace, d)->name),
                          MS_REAL (share (sum.alone, sum.assignments)),
                          MS_REAL (share (sum.in_batch, sum.assignments)),
                          MS_REAL (share (sum.reversed, sum.assignments)),
                          MS_REAL (share (sum.changed, sum.assignments)),
                          MS_REAL (share (sum.tokens_changed, sum.tokens)),
                          MS_REAL (share (sum.tokens_by_order, sum.tokens)));
    }
}

static void
position_rates (const double *sums, double *out, gpointer data)
{
  (void) data;
  for (guint i = 0; i < POSITIONS; i++)
    out[i] = ratio (sums[2 * i], sums[2 * i + 1]);
}

static void
add_positions (const MsContext *context, MsTable *table, const Job *job, guint f)
{
  gsize n = (gsize) job->bootstrap->n_units * POSITIONS * 2;
  g_autofree double *units = g_new0 (double, n);
  MsInterval v[POSITIONS];

  for (guint l = 0; l < ms_trace_n_layers (context->trace); l++)
    for (gsize i = 0; i < n; i++)
      units[i] += job->layers[l].positions[f * n + i];
  ms_bootstrap_rates (job->bootstrap, units, POSITIONS * 2, position_rates, NULL, POSITIONS, v);
  for (guint i = 0; i < POSITIONS; i++)
    ms_table_add_row (table, MS_REAL (job->factors[f]), MS_REAL ((i + 0.5) / POSITIONS),
                      MS_INTERVAL (v[i]));
}

static void
add_ranks (const MsContext *context, MsTable *table, const Job *job, guint f)
{
  guint n_layers = ms_trace_n_layers (context->trace), most = 0;

  for (guint l = 0; l < n_layers; l++)
    most = MAX (most, ms_trace_layer (context->trace, l)->gate.k);
  for (guint r = 0; r < most; r++)
    {
      guint64 dropped = 0, all = 0;

      for (guint l = 0; l < n_layers; l++)
        {
          guint k = ms_trace_layer (context->trace, l)->gate.k;
          const guint64 *rank = job->layers[l].ranks + ((gsize) f * k + r) * 2;

          dropped += r < k ? rank[0] : 0;
          all += r < k ? rank[1] : 0;
        }
      ms_table_add_row (table, MS_REAL (job->factors[f]), MS_INT (r + 1), MS_INT (all),
                        MS_REAL (share (dropped, all)));
    }
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  Job job = { .bootstrap = bootstrap,
              .layers = layers,
              .rule = ms_values_choice (context->values, "rule"),
              .batch = (guint) ms_values_int (context->values, "batch"),
              .n_devices = (guint) ms_values_int (context->values, "devices"),
              .prioritised = ms_values_choice (context->values, "order") == 1 };
  g_autofree double *dropped = NULL;
  gboolean fine = read_factors (context->values, &job, error)
                  && ms_context_tasks (context, n_layers, replay_layer, &job, 0, 0.95, error);

  dropped = g_new0 (double, job.n_factors + 1);
  for (guint l = 0; l < n_layers && fine; l++)
    for (guint f = 0; f < job.n_factors; f++)
      {
        MsInterval v[5];

        ms_bootstrap_rates (bootstrap, layers[l].units + (gsize) f * bootstrap->n_units * N_SUMS,
                            N_SUMS, rates, NULL, 5, v);
        ms_table_add_row (
            ms_result_table (result, "sweep"), MS_INT (ms_trace_layer (context->trace, l)->number),
            MS_REAL (job.factors[f]), MS_REAL (layers[l].capacity[f] / layers[l].n_batches),
            MS_INTERVAL (v[0]), MS_REAL (v[1].value), MS_REAL (v[2].value),
            MS_REAL (layers[l].slots[f] > 0 ? v[4].value / layers[l].slots[f] : NAN),
            MS_REAL (v[3].value));
        dropped[f] += v[0].value / n_layers;
        if (layers[l].repair != NULL)
          add_repair (ms_result_table (result, "repair"), &job, &layers[l],
                      ms_trace_layer (context->trace, l)->number, f);
      }
  for (guint f = 0; f < job.n_factors && fine; f++)
    {
      add_positions (context, ms_result_table (result, "positions"), &job, f);
      add_ranks (context, ms_result_table (result, "ranks"), &job, f);
      add_documents (context, result, &job, f);
    }
  if (fine)
    {
      guint f = job.n_factors / 2;

      result->summary = g_strdup_printf (
          "With capacity factor %g (%s) %.1f %% of the assignments would be dropped.",
          job.factors[f], ms_capacity_rules[job.rule], 100 * dropped[f]);
      ms_result_note (result, "Rule: %s, %s order, %s.", ms_capacity_rules[job.rule],
                      order_choices[job.prioritised ? 1 : 0],
                      job.batch == 0   ? "all documents share the capacity"
                      : job.batch == 1 ? "every document alone"
                                       : "batches of documents share the capacity");
      if (!(ms_trace_run (context->trace)->columns & MS_CHUNK_LOGITS))
        ms_result_note (result, "The repair of drops needs the full router scores: collect with "
                                "--scores.");
      else if (scores_of (context->trace) == 0)
        ms_result_note (result,
                        "The model's gate is unknown, so drops are not repaired%s: import the "
                        "trace again with --gating.",
                        job.prioritised ? " and tokens come by their recorded weight" : "");
    }
  for (guint l = 0; l < n_layers; l++)
    {
      g_free (layers[l].units);
      g_free (layers[l].documents);
      g_free (layers[l].repair);
      g_free (layers[l].ranks);
      g_free (layers[l].positions);
    }
  return fine;
}

const MsAnalysis ms_analysis_capacity = {
  .name = "capacity",
  .title = "Capacity and Drops",
  .help = "If experts had a capacity, how many assignments would be dropped, where in the text, "
          "and how much "
          "would that depend on the other documents of the batch?",
  .formula
  = "An assignment is dropped iff its slot, the number of earlier assignments to the expert in the "
    "priority order, is >= the capacity. Repair: a dropped assignment goes to the best-scored "
    "expert "
    "on the token's device that it has not; free slots go to the tokens whose next-ranked expert "
    "it "
    "is, largest probability first.",
  .cite = "Switch Transformers, arXiv 2101.03961; GShard, arXiv 2006.16668; Tutel, arXiv "
          "2206.03382; V-MoE (priority), arXiv 2106.05974; batch dependence: arXiv "
          "2402.05526; repair: Rectify-Router, arXiv 2402.12399; drops by position: "
          "OpenMoE.",
  .version = 6,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
