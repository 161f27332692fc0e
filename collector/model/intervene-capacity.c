/* An intervention on all choices of a layer: experts take no more tokens of a batch than they have slots, and
 * what finds no room does not run.
 *
 * What must hold: documents that share slots are in one wave (ms_changes_batch), so that no result depends on
 * the waves.  A dropped assignment is recorded, with its weight and marked; the weights of the others stay. */
#include "intervene-private.h"

#include "capacity.h"
#include "collector.h"

#include <math.h>
#include <string.h>

typedef struct
{
  double factor;
  /* Once it fits: */
  guint rule, prioritised, batch;
} Capacity;

static const char *const orders[] = { "rank-major", "batch-prioritised", NULL };

static gpointer
parse_capacity (const char *text, GError **error)
{
  char *end;
  double factor = g_ascii_strtod (text, &end);
  Capacity *state;

  if (end == text || *end != '\0' || !(fabs (factor) <= 1e9))
    {
      ms_changes_refuse (error, "'%s' is no capacity factor", text);
      return NULL;
    }
  state = g_new0 (Capacity, 1);
  state->factor = factor;
  return state;
}

/* What an option that goes with --capacity says; `usual` when it is not given. */
static guint
told (const MsChanges *changes, const MsIntervention *kind, guint usual)
{
  const guint *value = ms_changes_find (changes, kind);

  return value != NULL ? *value : usual;
}

static gboolean
fit_capacity (gpointer data, MsChanges *changes, GError **error)
{
  Capacity *state = data;

  state->rule = told (changes, &ms_intervention_capacity_rule, MS_CAPACITY_TUTEL);
  state->prioritised = told (changes, &ms_intervention_capacity_order, 0);
  state->batch = told (changes, &ms_intervention_capacity_batch, 1);
  if (state->factor <= 0 && state->rule != MS_CAPACITY_TUTEL)
    return ms_changes_refuse (error, "rule %s needs a factor above 0; 0 and below are for tutel",
                              ms_capacity_rules[state->rule]);
  return TRUE;
}

/* The largest probability of each token, in the order of which they are served. */
static double *
priorities (const MsEngine *engine, const float *logits)
{
  const MsGate *gate = &engine->block->gate;
  double *priority = g_new (double, engine->n);
  g_autofree double *p = g_new (double, gate->n_experts);

  for (gsize t = 0; t < engine->n; t++)
    {
      ms_gate_distribution (gate, logits + t * gate->n_experts, p);
      priority[t] = p[0];
      for (guint e = 1; e < gate->n_experts; e++)
        priority[t] = MAX (priority[t], p[e]);
    }
  return priority;
}

static void
drop (gconstpointer data, const MsEngine *engine, const float *logits)
{
  const Capacity *state = data;
  const MsGate *gate = &engine->block->gate;
  const MsWave *wave = engine->wave;
  guint batch = state->batch > 0 ? state->batch : MAX (wave->n_documents, 1);
  g_autofree double *priority = state->prioritised ? priorities (engine, logits) : NULL;
  g_autofree gint64 *rows = g_new (gint64, engine->n);
  g_autofree guint64 *load = g_new (guint64, gate->n_experts);
  guint8 *dropped = engine->layer->dropped + engine->first * gate->k;
  MsServing serving = { .experts = engine->layer->experts + engine->first * gate->k,
                        .k = gate->k,
                        .n_experts = gate->n_experts,
                        .rows = rows };

  for (guint d = 0; d < wave->n_documents; d += batch)
    {
      gsize end = wave->starts[MIN (d + batch, wave->n_documents)];

      serving.n = 0;
      for (gsize t = wave->starts[d]; t < end; t++)
        rows[serving.n++] = (gint64) t;
      if (state->prioritised)
        ms_capacity_prioritise (priority, rows, serving.n);
      ms_capacity_serve (state->rule, state->factor, &serving, load, dropped);
    }
  for (gsize i = 0; i < engine->n * gate->k; i++)
    dropped[i] = serving.experts[i] != MS_NO_EXPERT && !dropped[i];
}

static char *
words_capacity (gconstpointer data)
{
  const Capacity *state = data;
  char number[MS_NUMBER_SIZE];
  g_autofree char *batch = state->batch == 0 ? g_strdup ("all documents together")
                           : state->batch == 1
                               ? g_strdup ("each document alone")
                               : g_strdup_printf ("%u documents together", state->batch);

  return g_strdup_printf ("capacity %s (%s, %s, %s)", ms_number_short (number, state->factor),
                          ms_capacity_rules[state->rule], orders[state->prioritised], batch);
}

static void
tell_capacity (gconstpointer data, JsonBuilder *builder)
{
  const Capacity *state = data;

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "factor");
  json_builder_add_double_value (builder, state->factor);
  json_builder_set_member_name (builder, "rule");
  json_builder_add_string_value (builder, ms_capacity_rules[state->rule]);
  json_builder_set_member_name (builder, "order");
  json_builder_add_string_value (builder, orders[state->prioritised]);
  json_builder_set_member_name (builder, "batch");
  json_builder_add_int_value (builder, state->batch);
  json_builder_end_object (builder);
}

guint
ms_changes_batch (const MsChanges *changes)
{
  const Capacity *state = ms_changes_find (changes, &ms_intervention_capacity);

  return state != NULL ? state->batch : 1;
}

guint
ms_changes_columns (const MsChanges *changes)
{
  return ms_changes_find (changes, &ms_intervention_capacity) != NULL ? MS_CHUNK_DROPPED : 0;
}

const MsIntervention ms_intervention_capacity = {
  .name = "capacity",
  .argument = "F",
  .help
  = "Let experts take no more tokens of a batch than a capacity factor allows; what is dropped "
    "does not run",
  .parse = parse_capacity,
  .free = g_free,
  .fit = fit_capacity,
  .words = words_capacity,
  .tell = tell_capacity,
  .layer = drop,
};

/* --- How ---------------------------------------------------------------------------------------- */

static gpointer
parse_choice (const char *text, const char *const *choices, GError **error)
{
  g_autofree char *all = g_strjoinv (", ", (char **) choices);

  for (guint i = 0; choices[i] != NULL; i++)
    if (g_str_equal (text, choices[i]))
      return g_memdup2 (&i, sizeof i);
  ms_changes_refuse (error, "'%s' is none of %s", text, all);
  return NULL;
}

static gpointer
parse_rule (const char *text, GError **error)
{
  return parse_choice (text, ms_capacity_rules, error);
}

static gpointer
parse_order (const char *text, GError **error)
{
  return parse_choice (text, orders, error);
}

static gpointer
parse_batch (const char *text, GError **error)
{
  guint64 value;
  guint batch;

  if (!g_ascii_string_to_unsigned (text, 10, 0, 1000000, &value, NULL))
    {
      ms_changes_refuse (error, "'%s' is no number of documents (0: all)", text);
      return NULL;
    }
  batch = (guint) value;
  return g_memdup2 (&batch, sizeof batch);
}

static gboolean
fit_how (gpointer data, MsChanges *changes, GError **error)
{
  (void) data;
  return ms_changes_find (changes, &ms_intervention_capacity) != NULL
         || ms_changes_refuse (error, "nothing is dropped without --capacity");
}

const MsIntervention ms_intervention_capacity_rule = {
  .name = "capacity-rule",
  .argument = "NAME",
  .help = "How a factor becomes slots, as in the analysis capacity: tutel (default), gshard, "
          "gshard-eval, torchscale, flaxformer, fixed",
  .parse = parse_rule,
  .free = g_free,
  .fit = fit_how,
};

const MsIntervention ms_intervention_capacity_order = {
  .name = "capacity-order",
  .argument = "NAME",
  .help = "Who is served first: rank-major (default), batch-prioritised",
  .parse = parse_order,
  .free = g_free,
  .fit = fit_how,
};

const MsIntervention ms_intervention_capacity_batch = {
  .name = "capacity-batch",
  .argument = "N",
  .help = "Documents that share the slots of experts: 1 (default) or more; 0: all",
  .parse = parse_batch,
  .free = g_free,
  .fit = fit_how,
};
