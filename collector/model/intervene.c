/* The interventions of a run: the table of their kinds, what is asked for held against the plan, and the way
 * of a token's logits through them.
 *
 * What must hold: an intervention that changes nothing gives the bits of a run without any, so the gate's own
 * steps are taken here too, in their order.  The router's scores are recorded as it put them out, before
 * anything is added or barred. */
#include "intervene-private.h"

#include "collector.h"
#include "experts-private.h"
#include "kernels-private.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* In the order in which they are fitted and applied: how many, who is barred, what is added, who is taken. */
static const MsIntervention *const kinds[] = {
  &ms_intervention_top_k,          &ms_intervention_mask,
  &ms_intervention_top_p,          &ms_intervention_add,
  &ms_intervention_replay,         &ms_intervention_replay_weights,
  &ms_intervention_capacity,       &ms_intervention_capacity_rule,
  &ms_intervention_capacity_order, &ms_intervention_capacity_batch,
  &ms_intervention_merge,
};
G_STATIC_ASSERT (G_N_ELEMENTS (kinds) <= MS_MOST_INTERVENTIONS);

const MsInterventionOption *
ms_intervention_option (guint index)
{
  static MsInterventionOption options[G_N_ELEMENTS (kinds)];
  static gsize filled = 0;

  if (g_once_init_enter (&filled))
    {
      for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
        options[i] = (MsInterventionOption){ kinds[i]->name, kinds[i]->argument, kinds[i]->help };
      g_once_init_leave (&filled, 1);
    }
  return index < G_N_ELEMENTS (kinds) ? &options[index] : NULL;
}

gboolean
ms_changes_refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT, format, args);
  va_end (args);
  return FALSE;
}

/* --- What is asked for ------------------------------------------------------------------------ */

static void
clear_change (gpointer data)
{
  MsChange *change = data;

  g_free (change->given);
  if (change->state != NULL)
    change->kind->free (change->state);
}

MsChanges *
ms_changes_new (const char *const *values, GError **error)
{
  g_autoptr (MsChanges) changes = g_new0 (MsChanges, 1);

  changes->all = g_array_new (FALSE, FALSE, sizeof (MsChange));
  g_array_set_clear_func (changes->all, clear_change);
  for (guint i = 0; values != NULL && i < G_N_ELEMENTS (kinds); i++)
    {
      MsChange change = { kinds[i], NULL, NULL };

      if (values[i] == NULL)
        continue;
      change.state = kinds[i]->parse (values[i], error);
      if (change.state == NULL)
        {
          g_prefix_error (error, "--%s: ", kinds[i]->name);
          return NULL;
        }
      change.given = g_strdup (values[i]);
      g_array_append_val (changes->all, change);
    }
  return changes->all->len > 0 ? g_steal_pointer (&changes) : NULL;
}

void
ms_changes_free (MsChanges *changes)
{
  if (changes == NULL)
    return;
  g_array_unref (changes->all);
  for (guint l = 0; changes->bias != NULL && l < changes->plan->n_moe; l++)
    g_free (changes->bias[l]);
  g_free (changes->bias);
  g_free (changes);
}

gpointer
ms_changes_find (const MsChanges *changes, const MsIntervention *kind)
{
  for (guint i = 0; i < changes->all->len; i++)
    if (g_array_index (changes->all, MsChange, i).kind == kind)
      return g_array_index (changes->all, MsChange, i).state;
  return NULL;
}

gboolean
ms_changes_fit (MsChanges *changes, MsPlan *plan, GError **error)
{
  changes->plan = plan;
  changes->bias = g_new0 (float *, plan->n_moe);
  for (guint i = 0; i < changes->all->len; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);

      if (!change->kind->fit (change->state, changes, error))
        {
          g_prefix_error (error, "--%s: ", change->kind->name);
          return FALSE;
        }
    }
  return TRUE;
}

gboolean
ms_changes_match (MsChanges *changes, const MsCorpus *corpus, const gint32 *ids, GError **error)
{
  for (guint i = 0; i < changes->all->len; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);

      if (change->kind->match != NULL && !change->kind->match (change->state, corpus, ids, error))
        {
          g_prefix_error (error, "--%s: ", change->kind->name);
          return FALSE;
        }
    }
  return TRUE;
}

gboolean
ms_changes_begin_wave (MsChanges *changes, gint64 first_token, guint first_document, gsize n,
                       GError **error)
{
  changes->first_document = first_document;
  for (guint i = 0; i < changes->all->len; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);

      if (change->kind->begin_wave != NULL
          && !change->kind->begin_wave (change->state, first_token, n, error))
        return FALSE;
    }
  return TRUE;
}

/* --- The plan --------------------------------------------------------------------------------- */

MsPlanBlock *
ms_changes_block (const MsChanges *changes, guint layer, guint *number)
{
  for (guint b = 0;; b++)
    if (changes->plan->blocks[b].is_moe && layer-- == 0)
      {
        *number = b;
        return &changes->plan->blocks[b];
      }
}

gboolean
ms_changes_layer (const MsChanges *changes, gint64 block, guint *layer, GError **error)
{
  const MsPlan *plan = changes->plan;
  guint n = 0;

  for (guint b = 0; b < plan->n_blocks; b++)
    if (plan->blocks[b].is_moe)
      {
        if (b == block)
          {
            *layer = n;
            return TRUE;
          }
        n++;
      }
  for (guint b = 0; b < plan->n_blocks; b++)
    if (plan->blocks[b].is_moe)
      return ms_changes_refuse (error,
                                "layer %" G_GINT64_FORMAT
                                " has no router; the model's %u MoE layers lie in %u..%u",
                                block, plan->n_moe, b, plan->last_moe);
  return FALSE;
}

gboolean
ms_changes_chooses (const MsPlanBlock *block, guint number, GError **error)
{
  return block->by_token == NULL
         || ms_changes_refuse (error,
                               "layer %u takes the experts that a table names for each token id; "
                               "its choice can only be replayed",
                               number);
}

static int
compare_counts (gconstpointer a, gconstpointer b)
{
  guint x = *(const guint *) a, y = *(const guint *) b;

  return x < y ? -1 : x > y;
}

guint
ms_changes_choosable (const MsChanges *changes, guint layer)
{
  guint block, groups, size, n_open = 0, sum = 0, n = 0;
  const MsGate *gate = &ms_changes_block (changes, layer, &block)->gate;
  const float *bias = changes->bias[layer];
  g_autofree guint *open = NULL;

  groups = MAX (gate->groups, 1);
  size = gate->n_experts / groups;
  open = g_new0 (guint, groups);
  for (guint e = 0; e < gate->n_experts; e++)
    open[e / size] += bias == NULL || !isinf (bias[e]);
  if (groups == 1)
    return open[0];
  /* The gate may take the groups with the fewest, but none without any while there are others. */
  qsort (open, groups, sizeof *open, compare_counts);
  for (guint g = 0; g < groups; g++)
    n_open += open[g] > 0;
  for (guint g = groups - n_open; g < groups && n < gate->groups_used; g++, n++)
    sum += open[g];
  return sum;
}

/* --- In words and in the file ----------------------------------------------------------------- */

char *
ms_changes_words (const MsChanges *changes)
{
  g_autoptr (GString) words = g_string_new (NULL);

  for (guint i = 0; i < changes->all->len; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);
      g_autofree char *own
          = change->kind->words != NULL ? change->kind->words (change->state) : NULL;

      if (own != NULL)
        g_string_append_printf (words, "%s%s", words->len > 0 ? ", " : "", own);
    }
  return g_strdup (words->str);
}

char *
ms_changes_tell (const MsChanges *changes)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *words = ms_changes_words (changes);

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "words");
  json_builder_add_string_value (builder, words);
  json_builder_set_member_name (builder, "given");
  json_builder_begin_object (builder);
  for (guint i = 0; i < changes->all->len; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);
      g_autofree char *given = ms_text_printable (change->given, -1);

      json_builder_set_member_name (builder, change->kind->name);
      json_builder_add_string_value (builder, given);
    }
  json_builder_end_object (builder);
  json_builder_set_member_name (builder, "applied");
  json_builder_begin_object (builder);
  for (guint i = 0; i < changes->all->len; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);

      if (change->kind->tell == NULL)
        continue;
      json_builder_set_member_name (builder, change->kind->name);
      change->kind->tell (change->state, builder);
    }
  json_builder_end_object (builder);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  return json_to_string (root, FALSE);
}

/* --- A token's way ---------------------------------------------------------------------------- */

void
ms_turn_weigh (const MsTurn *turn, guint n)
{
  ms_gate_scores (turn->gate, turn->logits, turn->scores);
  ms_gate_weigh (turn->gate, turn->scores, turn->decision->experts, n, turn->decision->weights);
}

static void
choose_token (const MsChanges *changes, const MsTurn *turn, float *scratch)
{
  MsDecision *decision = turn->decision;

  for (guint i = 0; i < changes->all->len; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);

      if (change->kind->logits != NULL)
        change->kind->logits (change->state, turn);
    }
  if (turn->engine->block->by_token != NULL)
    ms_experts_look_up (turn->engine, turn->token, turn->logits, scratch, decision);
  else
    ms_gate_choose (turn->gate, turn->logits, scratch, decision);
  for (guint i = 0; i < changes->all->len; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);

      if (change->kind->choice != NULL)
        change->kind->choice (change->state, turn);
    }
  if (decision->margin > FLT_MAX / 2 || turn->engine->block->by_token != NULL)
    decision->margin
        = NAN; /* all that could be rejected is barred, or nothing was to be rejected */
}

void
ms_changes_choose (const MsChanges *changes, const MsEngine *engine, gsize from, gsize to,
                   const float *logits)
{
  MsGate gate = engine->block->gate;
  const MsWave *wave = engine->wave;
  gsize n = gate.n_experts;
  g_autofree float *scratch = g_new0 (float, ms_gate_scratch (&gate));
  g_autofree float *own = g_new (float, 2 * n);
  g_autofree double *distribution = g_new (double, n);
  guint document = 0;

  if (changes->bias[engine->moe] != NULL)
    gate.selection_bias = changes->bias[engine->moe];
  for (gsize t = from; t < to; t++)
    {
      gsize row = engine->first + t;
      MsDecision decision = { .experts = engine->layer->experts + row * gate.k,
                              .weights = engine->layer->weights + row * gate.k };
      MsTurn turn = { engine, &gate, t, 0, own, scratch + n, &decision, own + n, distribution };

      while (wave->starts[document + 1] <= t)
        document++;
      turn.document = (gint64) changes->first_document + document;
      memcpy (own, logits + t * n, n * sizeof *own);
      choose_token (changes, &turn, scratch);
      if (ms_any_undefined (own, n))
        decision.weights[0] = NAN; /* for the executor to find, as without interventions */
      engine->layer->entropy[row] = decision.entropy;
      engine->layer->margin[row] = decision.margin;
    }
}

void
ms_changes_end_layer (const MsChanges *changes, const MsEngine *engine, const float *logits)
{
  for (guint i = 0; i < changes->all->len; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);

      if (change->kind->layer != NULL)
        change->kind->layer (change->state, engine, logits);
    }
}

const MsFeedForward *
ms_changes_networks (const MsChanges *changes, const MsEngine *engine)
{
  const MsFeedForward *networks = NULL;

  for (guint i = 0; i < changes->all->len && networks == NULL; i++)
    {
      const MsChange *change = &g_array_index (changes->all, MsChange, i);

      if (change->kind->networks != NULL)
        networks = change->kind->networks (change->state, engine);
    }
  return networks != NULL ? networks : engine->block->networks;
}

/* --- Tables ----------------------------------------------------------------------------------- */

typedef struct
{
  const char *path;
  const char *const *names;
  guint n_keys, n_names, n_needed;
  int *columns; /* (n_names) -1: the file has none */
  MsChangeRow row;
  gpointer data;
} Reading;

static gboolean
read_header (Reading *reading, const char *const *fields, guint n, GError **error)
{
  for (guint i = 0; i < reading->n_names; i++)
    {
      reading->columns[i] = -1;
      for (guint j = 0; j < n; j++)
        if (g_ascii_strcasecmp (fields[j], reading->names[i]) == 0)
          reading->columns[i] = (int) j;
      if (reading->columns[i] < 0 && i < reading->n_needed)
        return ms_changes_refuse (error, "%s has no column '%s'; the first line names the columns",
                                  reading->path, reading->names[i]);
    }
  return TRUE;
}

static gboolean
read_row (const char *const *fields, guint n, guint line, gpointer data, GError **error)
{
  Reading *reading = data;
  gint64 keys[4] = { 0 };
  double values[4];

  if (reading->columns[0] == G_MININT)
    return read_header (reading, fields, n, error);
  for (guint i = 0; i < reading->n_names; i++)
    {
      int column = reading->columns[i];
      const char *field = column >= 0 ? fields[column] : "";
      g_autofree char *shown = ms_text_printable (field, -1);
      gboolean key = i < reading->n_keys, fine = TRUE;
      char *end = NULL;

      if (key && column >= 0)
        fine = g_ascii_string_to_signed (field, 10, 0, G_MAXINT, &keys[i], NULL);
      else if (!key)
        {
          values[i - reading->n_keys] = NAN;
          if (*field != '\0')
            {
              values[i - reading->n_keys] = g_ascii_strtod (field, &end);
              fine = *end == '\0' && isfinite (values[i - reading->n_keys]);
            }
        }
      if (!fine)
        return ms_changes_refuse (error, "%s, line %u: %s '%s' is no %s", reading->path, line,
                                  reading->names[i], shown,
                                  key ? "whole number from 0 on" : "number");
    }
  if (reading->row (keys, values, reading->data, error))
    return TRUE;
  g_prefix_error (error, "%s, line %u: ", reading->path, line);
  return FALSE;
}

gboolean
ms_changes_read (const char *path, const char *const *names, guint n_keys, guint n_values,
                 guint n_needed, MsChangeRow row, gpointer data, GError **error)
{
  int columns[8] = { G_MININT };
  Reading reading = { path, names, n_keys, n_keys + n_values, n_needed, columns, row, data };

  g_assert (n_keys <= 4 && n_values <= 4);
  return ms_csv_read (path, read_row, &reading, error);
}
