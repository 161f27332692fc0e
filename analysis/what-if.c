/* What if the router chose by another rule: other k, top-p, thresholds, null experts, expert choice, or
 * with a vector added to its logits (metrics.md i).
 *
 * A replay on recorded scores of the given texts.  What the changed choice would do to later layers is
 * not followed: each layer is answered for itself. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

static const MsParam params[] = {
  { "top-k", "Top-k",
    "Numbers of experts to try, separated by commas; empty = 1, 2, 4, ... up to E", NULL,
    MS_PARAM_TEXT, .usual_text = "" },
  { "top-p", "Top-p", "Probability masses to try, separated by commas", NULL, MS_PARAM_TEXT,
    .usual_text = "0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9" },
  { "skip", "Skip below", "Drop chosen experts whose weight is below these, separated by commas",
    NULL, MS_PARAM_TEXT, .usual_text = "0.01,0.02,0.05,0.1,0.2" },
  { "null-experts", "Null experts",
    "The router's last so many outputs stand for doing nothing (AdaMoE)", "experts", MS_PARAM_INT,
    0, MS_MAX_EXPERTS, 0, .ui_least = 0, .ui_most = 16 },
  { "choice-factor", "Expert choice factor", "Each expert takes round (f T / E) tokens", NULL,
    MS_PARAM_REAL, 0.01, 1000, 2, .ui_least = 0.25, .ui_most = 4 },
  { "choice-least", "Expert choice, least", "But at least so many", "tokens", MS_PARAM_INT, 1,
    1000000, 1, .ui_least = 1, .ui_most = 16 },
  { "add", "Added logits",
    "CSV file with the columns layer, expert, logit to add before choosing (rerouting)", NULL,
    MS_PARAM_FILE, .usual_text = "" },
  { 0 },
};

static const MsTableDef tables[] = {
  { "rules", "Choice by other rules",
    (const MsColumn[]){
        { "rule", "Rule", NULL, MS_COLUMN_TEXT,
          "top-k: the model's own rule, its bias and groups, with another k; top-p: experts up to "
          "and including the first where the running sum exceeds p; "
          "skip: "
          "recorded choice without weights below the threshold; null: top-k over true and null "
          "experts; "
          "add: top-k after adding the file's logits" },
        { "value", "Value", NULL, MS_COLUMN_REAL,
          "k (of null and add the layer's own), p or the threshold" },
        MS_LAYER_COLUMN,
        { "experts_per_token", "Experts per token", "experts", MS_COLUMN_REAL,
          "Mean number chosen" },
        { "low", "Experts per token, low", "experts", MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "high", "Experts per token, high", "experts", MS_COLUMN_REAL, "Upper end" },
        { "tokens_without", "Tokens without", NULL, MS_COLUMN_REAL, "Share that choose none" },
        { "kept_mass", "Kept mass", NULL, MS_COLUMN_REAL,
          "Mean router probability of the chosen experts (skip: share of the recorded weight)" },
        { "recall", "Recall", NULL, MS_COLUMN_REAL,
          "Mean share of the recorded choice that the rule chooses too, over tokens with one" },
        { "recall_low", "Recall, low", NULL, MS_COLUMN_REAL, "Lower end of its interval" },
        { "recall_high", "Recall, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "recall_random", "Recall, at random", NULL, MS_COLUMN_REAL,
          "Experts per token / E: of as many drawn at random" },
        { "set_change_rate", "Sets changed", NULL, MS_COLUMN_REAL,
          "Share of tokens whose set differs from the recorded one" },
        { "set_change_low", "Sets changed, low", NULL, MS_COLUMN_REAL,
          "Lower end of its interval" },
        { "set_change_high", "Sets changed, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "max_vio", "MaxVio", NULL, MS_COLUMN_REAL, "Largest load / mean load - 1" },
        { 0 } } },
  { "expert_choice", "Expert choice",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "capacity", "Capacity", "tokens", MS_COLUMN_INT, "Tokens each expert takes" },
        { "tokens_without_expert", "Tokens without", NULL, MS_COLUMN_REAL,
          "Share that no expert takes" },
        { "without_low", "Without, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents, what experts took unchanged" },
        { "without_high", "Without, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "mean_experts_per_token", "Experts per token", "experts", MS_COLUMN_REAL, "Mean" },
        { "experts_low", "Experts per token, low", "experts", MS_COLUMN_REAL,
          "Lower end of the interval" },
        { "experts_high", "Experts per token, high", "experts", MS_COLUMN_REAL, "Upper end" },
        { "token_choice_recall", "Recall of token choice", NULL, MS_COLUMN_REAL,
          "Share of recorded assignments that expert choice makes too" },
        { "recall_low", "Recall, low", NULL, MS_COLUMN_REAL, "Lower end of the interval" },
        { "recall_high", "Recall, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "without_random", "Without, at random", NULL, MS_COLUMN_REAL,
          "Expected share without if every expert took as many tokens at random" },
        { "recall_random", "Recall, at random", NULL, MS_COLUMN_REAL, "Expected likewise" },
        { 0 } } },
  { "experts_per_token", "Experts per token under expert choice",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "experts", "Experts", NULL, MS_COLUMN_INT, "Experts that take the token" },
        { "tokens", "Tokens", NULL, MS_COLUMN_INT, "Tokens with so many" },
        { 0 } } },
  { "flips", "Margin that flips a choice",
    (const MsColumn[]){ MS_LAYER_COLUMN,
                        { "delta", "Change", NULL, MS_COLUMN_REAL,
                          "Largest change of any logit (max norm of an added vector)" },
                        { "could_flip", "Could flip", NULL, MS_COLUMN_REAL,
                          "Share of tokens whose set such a change can alter: half the logit "
                          "margin is at most this; undefined where a bias or groups choose too" },
                        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "top-p",
    .title = "Experts per token by top-p",
    .table = "rules",
    .mark = MS_MARK_LINE,
    .x = "value",
    .y = "experts_per_token",
    .series = "layer",
    .low = "low",
    .high = "high",
    .x_title = "Probability mass p",
    .y_title = "Experts per token",
    .where = "rule=top-p" },
  { .name = "top-k",
    .title = "Probability kept by top-k",
    .table = "rules",
    .mark = MS_MARK_LINE,
    .x = "value",
    .y = "kept_mass",
    .series = "layer",
    .x_scale = MS_SCALE_LOG2,
    .x_title = "Experts per token, k",
    .y_title = "Router probability kept",
    .where = "rule=top-k" },
  { .name = "skip",
    .title = "Experts per token with skipping",
    .table = "rules",
    .mark = MS_MARK_LINE,
    .x = "value",
    .y = "experts_per_token",
    .series = "layer",
    .low = "low",
    .high = "high",
    .x_title = "Weight below which experts are skipped",
    .y_title = "Experts per token",
    .where = "rule=skip" },
  { .name = "choice",
    .title = "Experts per token under expert choice",
    .table = "experts_per_token",
    .mark = MS_MARK_HEATMAP,
    .x = "experts",
    .y = "layer",
    .value = "tokens",
    .x_title = "Experts that take the token" },
  { .name = "flips",
    .title = "Choices within reach of a change",
    .table = "flips",
    .mark = MS_MARK_LINE,
    .x = "delta",
    .y = "could_flip",
    .series = "layer",
    .x_scale = MS_SCALE_LOG10,
    .x_title = "Largest change of a logit",
    .y_title = "Sets that could flip (share)" },
  { 0 },
};

typedef enum
{
  RULE_TOP_K,
  RULE_TOP_P,
  RULE_SKIP,
  RULE_NULL,
  RULE_ADD,
} RuleKind;

static const char *const rule_names[] = { "top-k", "top-p", "skip", "null", "add" };

typedef struct
{
  RuleKind kind;
  double value; /* of NULL and ADD unused: they take the layer's own k */
} Rule;

#define MAX_RULES 64
#define DELTAS    13 /* half decades from 1e-5 to 10 */

/* Sums over tokens. */
enum
{
  RULE_CHOSEN,
  RULE_TOKENS,
  RULE_RECALL, /* over tokens with experts recorded */
  RULE_SIZED,  /* these */
  RULE_CHANGED,
  N_RULE_SUMS,
};

typedef struct
{
  double without;
  double mass;   /* of skip over tokens with experts, otherwise over all */
  guint64 *load; /* (E) */
  double *units; /* (U, N_RULE_SUMS) */
  double *sums;  /* (N_RULE_SUMS) of the document in hand, in units */
} Outcome;

/* Sums of expert choice. */
enum
{
  CHOICE_TOKENS,
  CHOICE_WITHOUT,
  CHOICE_TAKEN,
  CHOICE_ASSIGNMENTS, /* recorded */
  CHOICE_RECALLED,
  N_CHOICE,
};

typedef struct
{
  Outcome outcomes[MAX_RULES];
  gint64 n_tokens, n_sized, choice_capacity; /* sized: with experts recorded */
  guint64 *choice_histogram;                 /* (E + 1) */
  double *choice_units;                      /* (U, sums) */
  guint64 flips[DELTAS];
} Layer;

typedef struct
{
  Rule rules[MAX_RULES];
  guint n_rules, n_null;
  double choice_factor;
  gint64 choice_least;
  double **add; /* (L) of (E), NULL without a file */
  const MsBootstrap *bootstrap;
  Layer *layers;
  char *unruled; /* why the model's own choice cannot be replayed, NULL when it can */
} Job;

/* One layer being replayed; its arrays of the token in hand. */
typedef struct
{
  const Job *job;
  const MsTrace *trace;
  guint index;
  const MsLayerTrace *layer;
  double *p;        /* (E) the router's distribution */
  guint16 *by_p;    /* (E) by falling p */
  guint16 *by_rule; /* (E) by the model's own selection score, n_by_rule of them */
  guint n_by_rule;
  float *shifted;  /* (E) logits with something added, or scores */
  float *scratch;  /* ms_trace_order_scratch */
  guint16 *chosen; /* (max (E, K)) */
} Replay;

/* Indices of p (n) by descending value, ties to the lower id. */
static void
sort_experts (const double *p, guint n, guint16 *order)
{
  for (guint e = 0; e < n; e++)
    {
      guint at = e;

      for (; at > 0 && p[order[at - 1]] < p[e]; at--)
        order[at] = order[at - 1];
      order[at] = (guint16) e;
    }
}

/* How many of the sorted experts top-p takes; float32 running sum as the published code. */
static guint
top_p_count (const double *p, const guint16 *order, guint n, double limit)
{
  float sum = 0;

  for (guint i = 0; i < n; i++)
    {
      sum += (float) p[order[i]];
      if (sum > (float) limit)
        return i + 1;
    }
  return n;
}

static void
add_choice (const MsLayerTrace *layer, gint64 t, const guint16 *chosen, guint n, double mass,
            Outcome *out)
{
  const guint16 *recorded = layer->experts + t * layer->k;
  guint size = 0, common = 0, n_true = 0;

  for (guint i = 0; i < n; i++)
    {
      out->load[chosen[i]]++;
      n_true++;
    }
  for (guint r = 0; r < layer->k; r++)
    if (recorded[r] != MS_NO_EXPERT)
      {
        size++;
        for (guint i = 0; i < n; i++)
          common += chosen[i] == recorded[r];
      }
  out->without += n_true == 0;
  out->mass += mass;
  out->sums[RULE_CHOSEN] += n_true;
  out->sums[RULE_TOKENS]++;
  out->sums[RULE_RECALL] += size > 0 ? (double) common / size : 0;
  out->sums[RULE_SIZED] += size > 0;
  out->sums[RULE_CHANGED] += common != size || n_true != size;
}

/* The experts that the model's own rule orders (count) once the file's logits are added to the token's. */
static guint
order_shifted (const Replay *replay, gint64 t, guint16 *order)
{
  guint n = replay->layer->n_experts;
  const float *recorded = replay->layer->logits + t * n;
  const double *add = replay->job->add[replay->index];

  for (guint e = 0; e < n; e++) /* a logit more is a probability multiplied */
    replay->shifted[e] = ms_trace_run (replay->trace)->probabilities
                             ? (float) (recorded[e] * exp (add[e]))
                             : (float) (recorded[e] + add[e]);
  return ms_trace_order (replay->trace, replay->index, replay->shifted, replay->scratch, order);
}

/* Drops the recorded experts of small weight; *mass is the share of the weight that stays. */
static guint
skip_light (const MsLayerTrace *layer, gint64 t, double least, guint16 *chosen, double *mass)
{
  double all = 0, kept = 0;
  guint n = 0;

  for (guint r = 0; r < layer->k; r++)
    {
      double weight = layer->weights[t * layer->k + r];

      if (layer->experts[t * layer->k + r] == MS_NO_EXPERT)
        continue;
      all += weight;
      if (weight < least)
        continue;
      chosen[n++] = layer->experts[t * layer->k + r];
      kept += weight;
    }
  *mass = all > 0 ? kept / all : 0;
  return n;
}

static void
apply_rule (const Replay *replay, const Rule *rule, gint64 t, Outcome *out)
{
  const MsLayerTrace *layer = replay->layer;
  guint n_experts = layer->n_experts, n = 0, n_true = n_experts - replay->job->n_null;
  guint k = rule->kind == RULE_TOP_K ? (guint) rule->value : layer->k;
  guint16 *chosen = replay->chosen;
  double mass = 0;

  switch (rule->kind)
    {
    case RULE_TOP_K:
    case RULE_NULL:
      for (guint i = 0; i < MIN (k, replay->n_by_rule); i++)
        if (rule->kind == RULE_TOP_K || replay->by_rule[i] < n_true)
          chosen[n++] = replay->by_rule[i];
      break;
    case RULE_TOP_P:
      n = top_p_count (replay->p, replay->by_p, n_experts, rule->value);
      memcpy (chosen, replay->by_p, n * sizeof *chosen);
      break;
    case RULE_ADD:
      n = MIN (k, order_shifted (replay, t, chosen));
      break;
    case RULE_SKIP:
    default:
      n = skip_light (layer, t, rule->value, chosen, &mass);
      add_choice (layer, t, chosen, n, mass, out);
      return;
    }
  for (guint i = 0; i < n; i++)
    mass += replay->p[chosen[i]];
  add_choice (layer, t, chosen, n, mass, out);
}

typedef struct
{
  const float *score;
  guint n_experts, expert;
} ByExpert;

static int
by_score (gconstpointer a, gconstpointer b, gpointer data)
{
  const ByExpert *by = data;
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  float u = by->score[x * by->n_experts + by->expert],
        v = by->score[y * by->n_experts + by->expert];

  return u != v ? (u > v ? -1 : 1) : x < y ? -1 : x > y;
}

/* Every expert takes its best tokens; probability (T, E). */
static void
expert_choice (const Job *job, const MsTrace *trace, const MsLayerTrace *layer,
               const float *probability, Layer *out)
{
  gint64 n = layer->n_tokens;
  gint64 capacity
      = MAX ((gint64) rint (job->choice_factor * (double) n / layer->n_experts), job->choice_least);
  g_autofree gint64 *rows = g_new (gint64, n + 1);
  g_autofree guint16 *taken = g_new0 (guint16, n + 1);
  g_autofree guint16 *recalled = g_new0 (guint16, n + 1);

  capacity = MIN (capacity, n);
  for (guint e = 0; e < layer->n_experts; e++)
    {
      ByExpert by = { probability, layer->n_experts, e };

      for (gint64 t = 0; t < n; t++)
        rows[t] = t;
      g_qsort_with_data (rows, (gint) n, sizeof *rows, by_score, &by);
      for (gint64 i = 0; i < capacity; i++)
        {
          taken[rows[i]]++;
          for (guint r = 0; r < layer->k; r++)
            if (layer->experts[rows[i] * layer->k + r] == e)
              recalled[rows[i]]++;
        }
    }
  out->choice_capacity = capacity;
  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);
      double *sums = out->choice_units + (gsize) ms_bootstrap_unit (job->bootstrap, d) * N_CHOICE;

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          out->choice_histogram[taken[t]]++;
          sums[CHOICE_TOKENS]++;
          sums[CHOICE_WITHOUT] += taken[t] == 0;
          sums[CHOICE_TAKEN] += taken[t];
          sums[CHOICE_RECALLED] += recalled[t];
          for (guint r = 0; r < layer->k; r++)
            sums[CHOICE_ASSIGNMENTS] += layer->experts[t * layer->k + r] != MS_NO_EXPERT;
        }
    }
}

/* Whether a layer's choice follows the order of its logits, so that a change of logits is all that matters. */
static gboolean
follows_logits (const MsTrace *trace, guint layer)
{
  const MsGate *gate = &ms_trace_layer (trace, layer)->gate;

  return !ms_trace_run (trace)->probabilities && !gate->biased && gate->groups <= 1;
}

/* Half the gap between the worst chosen and the best other logit is the least change, in max norm, that
 * can alter the set. */
static void
count_flips (const MsLayerTrace *layer, gint64 t, Layer *out)
{
  const float *z = layer->logits + t * layer->n_experts;
  double worst = INFINITY, best = -INFINITY;

  for (guint e = 0; e < layer->n_experts; e++)
    {
      gboolean chosen = FALSE;

      for (guint r = 0; r < layer->k; r++)
        chosen = chosen || layer->experts[t * layer->k + r] == e;
      if (chosen)
        worst = MIN (worst, z[e]);
      else
        best = MAX (best, z[e]);
    }
  for (guint i = 0; i < DELTAS; i++)
    out->flips[i] += (worst - best) / 2 <= pow (10, i / 2.0 - 5);
}

static gboolean
replay_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  g_autoptr (MsLayerTrace) layer = ms_trace_load_layer (
      context->trace, index, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_LOGITS, context->cancel,
      error);
  g_autofree double *p = NULL;
  g_autofree float *shifted = NULL, *scratch = NULL, *probability = NULL;
  g_autofree guint16 *by_p = NULL, *by_rule = NULL, *chosen = NULL;
  Replay replay;
  guint n, d = 0, unit;

  if (layer == NULL)
    return FALSE;
  n = layer->n_experts;
  if (job->n_null >= n)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                   "--null-experts %u leaves no expert of the %u in layer %d", job->n_null, n,
                   ms_trace_layer (context->trace, index)->number);
      return FALSE;
    }
  p = g_new (double, n);
  shifted = g_new (float, n);
  scratch = g_new (float, ms_trace_order_scratch (context->trace, index));
  by_p = g_new (guint16, n);
  by_rule = g_new (guint16, n);
  chosen = g_new (guint16, MAX (n, layer->k));
  replay = (Replay){ job, context->trace, index,   layer, p, by_p, by_rule,
                     0,   shifted,        scratch, chosen };
  probability = g_new (float, (gsize) layer->n_tokens *n + 1);
  out->n_tokens = layer->n_tokens;
  out->choice_histogram = g_new0 (guint64, n + 1);
  out->choice_units = g_new0 (double, (gsize) job->bootstrap->n_units *N_CHOICE);
  for (guint i = 0; i < job->n_rules; i++)
    {
      out->outcomes[i].load = g_new0 (guint64, n);
      out->outcomes[i].units = g_new0 (double, (gsize) job->bootstrap->n_units *N_RULE_SUMS);
    }
  for (gint64 t = 0; t < layer->n_tokens; t++)
    {
      if (t % 4096 == 0 && g_cancellable_set_error_if_cancelled (context->cancel, error))
        return FALSE;
      ms_trace_distribution (context->trace, index, layer->logits + t * n, p);
      if (job->unruled == NULL)
        replay.n_by_rule
            = ms_trace_order (context->trace, index, layer->logits + t * n, scratch, by_rule);
      out->n_sized += layer->experts[t * layer->k] != MS_NO_EXPERT;
      for (guint e = 0; e < n; e++)
        probability[t * n + e] = (float) p[e];
      sort_experts (p, n, by_p);
      while (t >= ms_trace_document (context->trace, d)->first_token
                      + ms_trace_document (context->trace, d)->n_tokens)
        d++;
      unit = ms_bootstrap_unit (job->bootstrap, d);
      for (guint i = 0; i < job->n_rules; i++)
        {
          Outcome *outcome = &out->outcomes[i];

          outcome->sums = outcome->units + (gsize) unit * N_RULE_SUMS;
          apply_rule (&replay, &job->rules[i], t, outcome);
        }
      if (follows_logits (context->trace, index))
        count_flips (layer, t, out);
    }
  expert_choice (job, context->trace, layer, probability, out);
  return TRUE;
}

static gboolean
add_rules (Job *job, RuleKind kind, const char *param, const char *text, double least, double most,
           GError **error)
{
  g_auto (GStrv) words = g_strsplit (text, ",", -1);

  for (guint i = 0; words[i] != NULL; i++)
    {
      char *end;
      double value = g_ascii_strtod (g_strstrip (words[i]), &end);

      if (words[i][0] == '\0' || *end != '\0' || !(value >= least && value <= most)
          || job->n_rules >= MAX_RULES - 2)
        {
          g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                       "--%s: '%s' is no number from %g to %g (up to %d values in all)", param,
                       words[i], least, most, MAX_RULES - 2);
          return FALSE;
        }
      job->rules[job->n_rules++] = (Rule){ kind, value };
    }
  return TRUE;
}

static gboolean
read_added (const MsContext *context, Job *job, GError **error)
{
  const char *path = ms_values_text (context->values, "add");
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autofree MsLayer *layers = NULL;
  g_autoptr (GArray) values = NULL;

  if (path[0] == '\0')
    return TRUE;
  layers = ms_trace_copy_layers (context->trace);
  values = ms_input_load_values (path, "logit", -1e6, 1e6, layers, n_layers, error);
  if (values == NULL)
    return FALSE;
  job->add = g_new (double *, n_layers);
  for (guint l = 0; l < n_layers; l++)
    job->add[l] = g_new0 (double, layers[l].gate.n_experts);
  for (guint i = 0; i < values->len; i++)
    {
      const MsExpertValue *value = &g_array_index (values, MsExpertValue, i);

      job->add[value->layer][value->expert] += value->value;
    }
  job->rules[job->n_rules++] = (Rule){ RULE_ADD, NAN };
  return TRUE;
}

static gboolean
read_params (const MsContext *context, Job *job, GError **error)
{
  const MsValues *values = context->values;
  const char *top_k = ms_values_text (values, "top-k");
  guint most = 0;
  g_autoptr (GError) reason = NULL;

  if (!ms_trace_gated (context->trace, MS_GATE_CHOICE, &reason))
    job->unruled = g_strdup (reason->message);

  for (guint l = 0; l < ms_trace_n_layers (context->trace); l++)
    most = MAX (most, ms_trace_layer (context->trace, l)->gate.n_experts);
  job->n_null = (guint) ms_values_int (values, "null-experts");
  job->choice_factor = ms_values_real (values, "choice-factor");
  job->choice_least = ms_values_int (values, "choice-least");
  for (guint k = 1; k <= most && top_k[0] == '\0' && job->unruled == NULL; k *= 2)
    job->rules[job->n_rules++] = (Rule){ RULE_TOP_K, k };
  if (job->n_null > 0 && job->unruled == NULL)
    job->rules[job->n_rules++] = (Rule){ RULE_NULL, NAN };
  return (top_k[0] == '\0' || job->unruled != NULL
          || add_rules (job, RULE_TOP_K, "top-k", top_k, 1, MS_MAX_EXPERTS, error))
         && add_rules (job, RULE_TOP_P, "top-p", ms_values_text (values, "top-p"), 0, 1, error)
         && add_rules (job, RULE_SKIP, "skip", ms_values_text (values, "skip"), 0, 1e6, error)
         && (job->unruled != NULL || read_added (context, job, error));
}

static double
max_vio (const guint64 *load, guint n)
{
  double sum = 0, most = 0;

  for (guint e = 0; e < n; e++)
    {
      sum += (double) load[e];
      most = MAX (most, (double) load[e]);
    }
  return sum > 0 ? most * n / sum - 1 : NAN;
}

static void
rule_rates (const double *sums, double *out, gpointer data)
{
  (void) data;
  out[0] = sums[RULE_TOKENS] > 0 ? sums[RULE_CHOSEN] / sums[RULE_TOKENS] : NAN;
  out[1] = sums[RULE_SIZED] > 0 ? sums[RULE_RECALL] / sums[RULE_SIZED] : NAN;
  out[2] = sums[RULE_TOKENS] > 0 ? sums[RULE_CHANGED] / sums[RULE_TOKENS] : NAN;
}

static void
choice_measures (const double *sums, double *out, gpointer data)
{
  (void) data;
  out[0] = sums[CHOICE_TOKENS] > 0 ? sums[CHOICE_WITHOUT] / sums[CHOICE_TOKENS] : NAN;
  out[1] = sums[CHOICE_TOKENS] > 0 ? sums[CHOICE_TAKEN] / sums[CHOICE_TOKENS] : NAN;
  out[2] = sums[CHOICE_ASSIGNMENTS] > 0 ? sums[CHOICE_RECALLED] / sums[CHOICE_ASSIGNMENTS] : NAN;
}

static void
add_choice_row (MsTable *table, const Job *job, const Layer *in, const MsLayer *layer)
{
  double share = in->n_tokens > 0 ? (double) in->choice_capacity / (double) in->n_tokens : NAN;
  const MsIntervalRule rule = { job->bootstrap->confidence, job->bootstrap->reach };
  MsInterval v[3];

  ms_bootstrap_intervals (job->bootstrap, in->choice_units, N_CHOICE, choice_measures, NULL, 3, v);
  ms_interval_bound (&v[0], &rule, 0, 1, 1 / (double) in->n_tokens);
  ms_interval_clamp (&v[1], 0, layer->gate.n_experts);
  ms_interval_bound (&v[2], &rule, 0, 1, 1 / (double) in->n_tokens);
  ms_table_add_row (table, MS_INT (layer->number), MS_INT (in->choice_capacity), MS_INTERVAL (v[0]),
                    MS_INTERVAL (v[1]), MS_INTERVAL (v[2]),
                    MS_REAL (pow (1 - share, layer->gate.n_experts)), MS_REAL (share));
}

/* Experts per token, recall and changed sets of a rule over n tokens, of which `sized` have experts.  Rules
 * that change little are judged by rare events: the intervals are those of shares. */
static void
measure_rule (const Job *job, const Rule *rule, const Outcome *outcome, const MsGate *gate,
              double n, double sized, MsInterval v[3])
{
  const MsIntervalRule how = { job->bootstrap->confidence, job->bootstrap->reach };

  ms_bootstrap_intervals (job->bootstrap, outcome->units, N_RULE_SUMS, rule_rates, NULL, 3, v);
  if (rule->kind == RULE_SKIP || rule->kind == RULE_NULL)
    ms_interval_bound (&v[0], &how, 0, gate->k, 1 / n);
  else if (rule->kind == RULE_TOP_P)
    ms_interval_bound (&v[0], &how, 1, gate->n_experts, 1 / n);
  else
    ms_interval_clamp (&v[0], 0, gate->n_experts);
  ms_interval_bound (&v[1], &how, 0, 1, 1 / sized);
  ms_interval_bound (&v[2], &how, 0, 1, 1 / n);
}

static void
fill_tables (const MsContext *context, MsResult *result, const Job *job)
{
  guint n_layers = ms_trace_n_layers (context->trace);

  for (guint i = 0; i < job->n_rules; i++)
    for (guint l = 0; l < n_layers; l++)
      {
        const Outcome *o = &job->layers[l].outcomes[i];
        const MsLayer *layer = ms_trace_layer (context->trace, l);
        double n = job->layers[l].n_tokens > 0 ? (double) job->layers[l].n_tokens : NAN;
        double sized = job->layers[l].n_sized > 0 ? (double) job->layers[l].n_sized : NAN;
        MsInterval v[3];
        guint n_true = layer->gate.n_experts - (job->rules[i].kind == RULE_NULL ? job->n_null : 0);

        measure_rule (job, &job->rules[i], o, &layer->gate, n, sized, v);
        ms_table_add_row (
            ms_result_table (result, "rules"), MS_TEXT (rule_names[job->rules[i].kind]),
            MS_REAL (isnan (job->rules[i].value) ? layer->gate.k : job->rules[i].value),
            MS_INT (layer->number), MS_INTERVAL (v[0]), MS_REAL (o->without / n),
            MS_REAL (o->mass / (job->rules[i].kind == RULE_SKIP ? sized : n)), MS_INTERVAL (v[1]),
            MS_REAL (v[0].value / layer->gate.n_experts), MS_INTERVAL (v[2]),
            MS_REAL (max_vio (o->load, n_true)));
      }
  for (guint l = 0; l < n_layers; l++)
    {
      const Layer *in = &job->layers[l];
      const MsLayer *layer = ms_trace_layer (context->trace, l);
      double n = in->n_tokens > 0 ? (double) in->n_tokens : NAN;

      for (guint i = 0; i <= layer->gate.n_experts; i++)
        ms_table_add_row (ms_result_table (result, "experts_per_token"), MS_INT (layer->number),
                          MS_INT (i), MS_INT (in->choice_histogram[i]));
      add_choice_row (ms_result_table (result, "expert_choice"), job, in, layer);
      for (guint i = 0; i < DELTAS; i++)
        ms_table_add_row (
            ms_result_table (result, "flips"), MS_INT (layer->number),
            MS_REAL (pow (10, i / 2.0 - 5)),
            MS_REAL (follows_logits (context->trace, l) ? (double) in->flips[i] / n : NAN));
    }
}

static void
summarise (const MsContext *context, MsResult *result, const Job *job)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  double chosen = 0, recorded = 0, sums[2];
  int at = -1;

  for (guint i = 0; i < job->n_rules; i++)
    if (job->rules[i].kind == RULE_TOP_P
        && (at < 0 || fabs (job->rules[i].value - 0.4) < fabs (job->rules[at].value - 0.4)))
      at = (int) i;
  for (guint l = 0; l < n_layers && at >= 0; l++)
    {
      const double *units = job->layers[l].outcomes[at].units;

      sums[0] = sums[1] = 0;
      for (guint u = 0; u < job->bootstrap->n_units; u++)
        {
          sums[0] += units[u * N_RULE_SUMS + RULE_CHOSEN];
          sums[1] += units[u * N_RULE_SUMS + RULE_TOKENS];
        }
      chosen += sums[0] / sums[1] / n_layers;
      recorded += (double) ms_trace_layer (context->trace, l)->gate.k / n_layers;
    }
  result->summary
      = at < 0
            ? g_strdup ("Choices replayed under other rules.")
            : g_strdup_printf ("Top-p with p = %g would use %.2f experts per token instead of %g.",
                               job->rules[at].value, chosen, recorded);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  Job job = { .layers = layers, .bootstrap = bootstrap };
  gboolean fine = read_params (context, &job, error)
                  && ms_context_tasks (context, n_layers, replay_layer, &job, 0, 0.95, error);

  if (fine)
    {
      fill_tables (context, result, &job);
      summarise (context, result, &job);
      ms_result_note (
          result, "Replayed layer by layer on the recorded scores; later layers would see other "
                  "inputs. Expert choice looks at all selected tokens at once and is not "
                  "causal.");
      if (job.unruled != NULL)
        ms_result_note (result,
                        "Rules that choose as the model does (top-k, null, add) are left out: %s.",
                        job.unruled);
    }
  for (guint l = 0; l < n_layers; l++)
    {
      for (guint i = 0; i < job.n_rules; i++)
        {
          g_free (layers[l].outcomes[i].load);
          g_free (layers[l].outcomes[i].units);
        }
      g_free (layers[l].choice_histogram);
      g_free (layers[l].choice_units);
      if (job.add != NULL)
        g_free (job.add[l]);
    }
  g_free (job.add);
  g_free (job.unruled);
  return fine;
}

const MsAnalysis ms_analysis_what_if = {
  .name = "what-if",
  .title = "What If: Other Routing Rules",
  .help
  = "How many experts would tokens use, and how much of the choice would change, with another k, "
    "top-p, skipping, null experts, expert choice or added logits?",
  .formula = "Top-p: experts in falling order up to and including the first where the running sum "
             "exceeds p. "
             "Expert choice: each expert takes its C = max (round (f T / E), least) best tokens.",
  .cite = "Dynamic MoE, arXiv 2403.07652; Expert Choice, arXiv 2202.09368; AdaMoE, arXiv "
          "2406.13233.",
  .version = 6,
  .needs = MS_NEEDS_LOGITS | MS_NEEDS_GATE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
