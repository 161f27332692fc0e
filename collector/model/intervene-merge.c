/* An intervention on experts: those of a group run as one, whose weights are the mean of theirs.
 *
 * What must hold: the router chooses among all experts as before; each chosen member of a group gives the
 * merged network's output with its own weight.  Merged weights are float32 and are made when their block runs,
 * so that those of one block alone are in memory.  An expert in no group runs its own weights of the file. */
#include "intervene-private.h"

#include "collector.h"
#include "feed-forward-private.h"

#include <math.h>
#include <string.h>

typedef struct
{
  gint64 layer, expert, into;
  double weight; /* NaN: not given */
} Joining;

/* Of one layer; NULL arrays: nothing is merged there. */
typedef struct
{
  guint *into;    /* (E) the group's expert that all its members become */
  double *weight; /* (E) of the member in its group, summing to 1 */
  guint n_experts;
} Groups;

typedef struct
{
  GArray *joinings; /* of Joining */
  gboolean weighted;
  guint n_layers;
  Groups *groups; /* (n_layers) */
  /* Of the block under way: */
  MsFeedForward *networks; /* (E) */
  GPtrArray *memory;
} Merge;

static void
free_merge (gpointer data)
{
  Merge *state = data;

  for (guint l = 0; l < state->n_layers; l++)
    {
      g_free (state->groups[l].into);
      g_free (state->groups[l].weight);
    }
  g_free (state->groups);
  g_free (state->networks);
  g_ptr_array_unref (state->memory);
  g_array_unref (state->joinings);
  g_free (state);
}

static gboolean
add_joining (const gint64 *keys, const double *values, gpointer data, GError **error)
{
  Merge *state = data;
  Joining joining = { keys[0], keys[1], keys[2], values[0] };

  if (joining.weight < 0)
    return ms_changes_refuse (error, "a weight is below 0");
  g_array_append_val (state->joinings, joining);
  return TRUE;
}

static gpointer
parse_merge (const char *text, GError **error)
{
  static const char *const names[] = { "layer", "expert", "dominant", "merge_weight" };
  Merge *state = g_new0 (Merge, 1);

  state->joinings = g_array_new (FALSE, FALSE, sizeof (Joining));
  state->memory = g_ptr_array_new_with_free_func (ms_aligned_free);
  if (ms_changes_read (text, names, 3, 1, 3, add_joining, state, error))
    return state;
  free_merge (state);
  return NULL;
}

/* --- Against the plan --------------------------------------------------------------------------- */

static gboolean
fit_joining (Merge *state, const MsChanges *changes, const Joining *joining, GError **error)
{
  guint layer, number, n;
  Groups *groups;

  if (!ms_changes_layer (changes, joining->layer, &layer, error))
    return FALSE;
  n = ms_changes_block (changes, layer, &number)->gate.n_experts;
  groups = &state->groups[layer];
  if (joining->expert >= n || joining->into >= n)
    return ms_changes_refuse (error, "layer %u has experts 0..%u, none of number %" G_GINT64_FORMAT,
                              number, n - 1, MAX (joining->expert, joining->into));
  if (groups->into == NULL)
    {
      groups->n_experts = n;
      groups->into = g_new (guint, n);
      groups->weight = g_new (double, n);
      for (guint e = 0; e < n; e++)
        {
          groups->into[e] = G_MAXUINT;
          groups->weight[e] = NAN;
        }
    }
  if (groups->into[joining->expert] != G_MAXUINT)
    return ms_changes_refuse (error, "layer %u: expert %" G_GINT64_FORMAT " is there twice", number,
                              joining->expert);
  groups->into[joining->expert] = (guint) joining->into;
  groups->weight[joining->expert] = joining->weight;
  return TRUE;
}

/* Weights of the group of `into` made to sum to 1: as given, or equal where none is or all are 0. */
static gboolean
share_group (const Groups *groups, guint into, guint number, gboolean *weighted, GError **error)
{
  double sum = 0;
  guint n = 0, given = 0;

  for (guint e = 0; e < groups->n_experts; e++)
    if (groups->into[e] == into)
      {
        n++;
        given += !isnan (groups->weight[e]);
        sum += isnan (groups->weight[e]) ? 0 : groups->weight[e];
      }
  if (given > 0 && given < n)
    return ms_changes_refuse (error,
                              "layer %u: of the %u experts that join %u only %u have a "
                              "merge_weight; give one for each, or for none",
                              number, n, into, given);
  for (guint e = 0; e < groups->n_experts; e++)
    if (groups->into[e] == into)
      groups->weight[e] = sum > 0 ? groups->weight[e] / sum : 1.0 / n;
  *weighted |= sum > 0 && n > 1;
  return TRUE;
}

static gboolean
fit_groups (Groups *groups, guint number, gboolean *weighted, GError **error)
{
  for (guint e = 0; e < groups->n_experts; e++)
    if (groups->into[e] == G_MAXUINT)
      groups->into[e] = e;
  for (guint e = 0; e < groups->n_experts; e++)
    if (groups->into[groups->into[e]] != groups->into[e])
      return ms_changes_refuse (
          error,
          "layer %u: expert %u joins %u, which itself joins %u; name the one that all become",
          number, e, groups->into[e], groups->into[groups->into[e]]);
  for (guint e = 0; e < groups->n_experts; e++)
    if (groups->into[e] == e && !share_group (groups, e, number, weighted, error))
      return FALSE;
  return TRUE;
}

static gboolean
fit_merge (gpointer data, MsChanges *changes, GError **error)
{
  Merge *state = data;

  state->n_layers = changes->plan->n_moe;
  state->groups = g_new0 (Groups, state->n_layers);
  for (guint i = 0; i < state->joinings->len; i++)
    if (!fit_joining (state, changes, &g_array_index (state->joinings, Joining, i), error))
      return FALSE;
  for (guint l = 0; l < state->n_layers; l++)
    {
      guint number;

      ms_changes_block (changes, l, &number);
      if (state->groups[l].into != NULL
          && !fit_groups (&state->groups[l], number, &state->weighted, error))
        return FALSE;
    }
  return TRUE;
}

/* --- The merged weights ------------------------------------------------------------------------- */

/* A matrix to be made: the mean of the same matrix of a group's members. */
typedef struct
{
  const Groups *groups;
  const MsFeedForward *networks; /* (E) of the file */
  guint into;
  gsize offset; /* of the matrix in MsFeedForward */
  float *out;   /* (rows, columns) */
} Making;

static const MsMatrix *
matrix_of (const MsFeedForward *network, gsize offset)
{
  return G_STRUCT_MEMBER_P (network, offset);
}

static void
make (guint index, guint worker, gpointer data)
{
  const Making *making = &((const Making *) data)[index];
  const MsMatrix *first = matrix_of (&making->networks[making->into], making->offset);
  gsize columns = (gsize) first->tensor->ne[0], rows = (gsize) first->n_rows;
  g_autofree float *row = g_new (float, columns);

  (void) worker;
  for (guint e = 0; e < making->groups->n_experts; e++)
    {
      const MsMatrix *own = matrix_of (&making->networks[e], making->offset);
      float weight = (float) making->groups->weight[e] * (own->scale != 0 ? own->scale : 1);

      if (making->groups->into[e] != making->into)
        continue;
      for (gsize r = 0; r < rows; r++)
        {
          ms_tensor_to_float (own->tensor, own->first_row + (gint64) r, 1, row);
          for (gsize c = 0; c < columns; c++)
            making->out[r * columns + c] += weight * row[c];
        }
    }
}

static gpointer
keep (Merge *state, gsize bytes)
{
  gpointer memory = ms_aligned_alloc (MAX (bytes, 1));

  memset (memory, 0, bytes);
  g_ptr_array_add (state->memory, memory);
  return memory;
}

/* Puts an empty float32 matrix in the place of the group's and has it filled. */
static void
begin_matrix (Merge *state, const Groups *groups, const MsFeedForward *networks, guint into,
              gsize offset, GArray *makings)
{
  MsMatrix *place = G_STRUCT_MEMBER_P (&state->networks[into], offset);
  MsTensor *tensor;
  gsize columns, rows;
  Making making = { groups, networks, into, offset, NULL };

  if (place->tensor == NULL)
    return;
  columns = (gsize) place->tensor->ne[0];
  rows = (gsize) place->n_rows;
  tensor = keep (state, sizeof *tensor);
  making.out = keep (state, rows * columns * sizeof (float));
  *tensor = (MsTensor){ .name = place->tensor->name,
                        .number = 0,
                        .type = ms_tensor_type (0),
                        .n_dims = 2,
                        .ne = { (gint64) columns, (gint64) rows, 1, 1 },
                        .data = (const guint8 *) making.out,
                        .size = rows * columns * sizeof (float),
                        .row_size = columns * sizeof (float) };
  *place = (MsMatrix){ tensor, 0, (gint64) rows, 0 };
  g_array_append_val (makings, making);
}

/* The mean of the members' biases (n). */
static void
merge_bias (Merge *state, const Groups *groups, const MsFeedForward *networks, guint into,
            gsize offset, gsize n)
{
  float **place = G_STRUCT_MEMBER_P (&state->networks[into], offset), *mean;

  if (*place == NULL)
    return;
  mean = keep (state, n * sizeof *mean);
  for (guint e = 0; e < groups->n_experts; e++)
    for (gsize i = 0; i < n && groups->into[e] == into; i++)
      mean[i]
          += (float) groups->weight[e] * G_STRUCT_MEMBER (const float *, &networks[e], offset)[i];
  *place = mean;
}

static const MsFeedForward *
merged_networks (gpointer data, const MsEngine *engine)
{
  static const gsize matrices[]
      = { G_STRUCT_OFFSET (MsFeedForward, gate), G_STRUCT_OFFSET (MsFeedForward, up),
          G_STRUCT_OFFSET (MsFeedForward, down) };
  Merge *state = data;
  const Groups *groups = &state->groups[engine->moe];
  const MsFeedForward *networks = engine->block->networks;
  g_autoptr (GArray) makings = g_array_new (FALSE, FALSE, sizeof (Making));
  g_autofree guint *sizes = NULL;

  g_ptr_array_set_size (state->memory, 0);
  if (groups->into == NULL)
    return NULL;
  g_free (state->networks);
  state->networks = g_memdup2 (networks, groups->n_experts * sizeof *networks);
  sizes = g_new0 (guint, groups->n_experts);
  for (guint e = 0; e < groups->n_experts; e++)
    sizes[groups->into[e]]++;
  for (guint e = 0; e < groups->n_experts; e++)
    if (sizes[e] > 1)
      {
        gsize hidden = (gsize) networks[e].up.n_rows, out = (gsize) networks[e].down.n_rows;

        for (guint i = 0; i < G_N_ELEMENTS (matrices); i++)
          begin_matrix (state, groups, networks, e, matrices[i], makings);
        merge_bias (state, groups, networks, e, G_STRUCT_OFFSET (MsFeedForward, gate_bias), hidden);
        merge_bias (state, groups, networks, e, G_STRUCT_OFFSET (MsFeedForward, up_bias), hidden);
        merge_bias (state, groups, networks, e, G_STRUCT_OFFSET (MsFeedForward, down_bias), out);
      }
  ms_parallel (engine->options->threads, makings->len, make, makings->data);
  for (guint e = 0; e < groups->n_experts; e++)
    if (sizes[groups->into[e]] > 1)
      state->networks[e] = state->networks[groups->into[e]];
  return state->networks;
}

/* --- In words ----------------------------------------------------------------------------------- */

static char *
words_merge (gconstpointer data)
{
  const Merge *state = data;
  guint merged = 0, n_layers = 0;

  for (guint l = 0; l < state->n_layers; l++)
    {
      const Groups *groups = &state->groups[l];
      guint own = 0;

      for (guint e = 0; groups->into != NULL && e < groups->n_experts; e++)
        own += groups->into[e] != e;
      merged += own;
      n_layers += own > 0;
    }
  return g_strdup_printf ("%u experts of %u layers merged into others%s", merged, n_layers,
                          state->weighted ? ", weighted by use" : "");
}

static void
tell_merge (gconstpointer data, JsonBuilder *builder)
{
  const Merge *state = data;

  json_builder_begin_array (builder);
  for (guint i = 0; i < state->joinings->len; i++)
    {
      const Joining *joining = &g_array_index (state->joinings, Joining, i);

      json_builder_begin_array (builder);
      json_builder_add_int_value (builder, joining->layer);
      json_builder_add_int_value (builder, joining->expert);
      json_builder_add_int_value (builder, joining->into);
      if (isnan (joining->weight))
        json_builder_add_null_value (builder);
      else
        json_builder_add_double_value (builder, joining->weight);
      json_builder_end_array (builder);
    }
  json_builder_end_array (builder);
}

const MsIntervention ms_intervention_merge = {
  .name = "merge",
  .argument = "FILE",
  .help = "Run groups of experts as one: a CSV file with the columns layer, expert, dominant and "
          "optionally merge_weight, as the table experts of the analysis merge has them",
  .parse = parse_merge,
  .free = free_merge,
  .fit = fit_merge,
  .words = words_merge,
  .tell = tell_merge,
  .networks = merged_networks,
};
