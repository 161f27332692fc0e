/* Interventions on the router's logits and choices: how many experts a token takes, which are barred, what is
 * added to their logits.  Blocks whose experts a table of token ids names have nothing of it. */
#include "intervene-private.h"

#include "collector.h"

#include <math.h>
#include <string.h>

/* --- Another k -------------------------------------------------------------------------------- */

typedef struct
{
  guint k;
} TopK;

static gpointer
parse_top_k (const char *text, GError **error)
{
  guint64 k;
  TopK *state;

  if (!g_ascii_string_to_unsigned (text, 10, 1, MS_MAX_EXPERTS, &k, NULL))
    {
      ms_changes_refuse (error, "'%s' is no number of experts (1 to %u)", text, MS_MAX_EXPERTS);
      return NULL;
    }
  state = g_new (TopK, 1);
  state->k = (guint) k;
  return state;
}

static gboolean
fit_top_k (gpointer data, MsChanges *changes, GError **error)
{
  const TopK *state = data;

  for (guint l = 0; l < changes->plan->n_moe; l++)
    {
      guint block, most = ms_changes_choosable (changes, l);
      MsPlanBlock *at = ms_changes_block (changes, l, &block);
      MsGate *gate = &at->gate;

      if (at->by_token != NULL)
        continue;
      if (state->k > most)
        return ms_changes_refuse (
            error,
            "a token cannot take %u of the %u experts of layer %u%s; %u or fewer can be asked for",
            state->k, gate->n_experts, block, gate->groups > 1 ? " in the groups that stay" : "",
            most);
      gate->k = state->k;
    }
  return TRUE;
}

static char *
words_top_k (gconstpointer data)
{
  return g_strdup_printf ("top-k %u", ((const TopK *) data)->k);
}

static void
tell_top_k (gconstpointer data, JsonBuilder *builder)
{
  json_builder_add_int_value (builder, ((const TopK *) data)->k);
}

const MsIntervention ms_intervention_top_k = {
  .name = "top-k",
  .argument = "N",
  .help = "Let each token take N experts of every MoE layer",
  .parse = parse_top_k,
  .free = g_free,
  .fit = fit_top_k,
  .words = words_top_k,
  .tell = tell_top_k,
};

/* --- Barred experts --------------------------------------------------------------------------- */

typedef struct
{
  gint64 layer, expert;
} Pair;

typedef struct
{
  GArray *pairs;        /* of Pair, ascending, each once */
  const MsChanges *all; /* once it fits */
} Mask;

static void
free_mask (gpointer data)
{
  Mask *state = data;

  g_array_unref (state->pairs);
  g_free (state);
}

static int
compare_pairs (gconstpointer a, gconstpointer b)
{
  const Pair *x = a, *y = b;

  if (x->layer != y->layer)
    return x->layer < y->layer ? -1 : 1;
  return x->expert < y->expert ? -1 : x->expert > y->expert;
}

static gboolean
add_pair (const gint64 *keys, const double *values, gpointer data, GError **error)
{
  Mask *state = data;
  Pair pair = { keys[0], keys[1] };

  (void) values, (void) error;
  g_array_append_val (state->pairs, pair);
  return TRUE;
}

/* "3:5,3:7"; FALSE when the text is none of that form, and then it is the name of a file. */
static gboolean
read_pairs (const char *text, Mask *state)
{
  g_auto (GStrv) words = g_strsplit (text, ",", -1);

  for (guint i = 0; words[i] != NULL; i++)
    {
      g_auto (GStrv) sides = g_strsplit (g_strstrip (words[i]), ":", -1);
      gint64 keys[2];

      if (g_strv_length (sides) != 2
          || !g_ascii_string_to_signed (sides[0], 10, 0, G_MAXINT, &keys[0], NULL)
          || !g_ascii_string_to_signed (sides[1], 10, 0, G_MAXINT, &keys[1], NULL))
        return FALSE;
      add_pair (keys, NULL, state, NULL);
    }
  return TRUE;
}

static gpointer
parse_mask (const char *text, GError **error)
{
  static const char *const names[] = { "layer", "expert" };
  Mask *state = g_new0 (Mask, 1);

  state->pairs = g_array_new (FALSE, FALSE, sizeof (Pair));
  if (*text != '\0' && !read_pairs (text, state))
    {
      g_array_set_size (state->pairs, 0);
      if (!ms_changes_read (text, names, 2, 0, 2, add_pair, state, error))
        {
          g_prefix_error (
              error,
              "'%s' is neither pairs of layer:expert (3:5,3:7) nor a CSV file of them: ", text);
          free_mask (state);
          return NULL;
        }
    }
  g_array_sort (state->pairs, compare_pairs);
  for (guint i = state->pairs->len; i-- > 1;)
    if (compare_pairs (&g_array_index (state->pairs, Pair, i),
                       &g_array_index (state->pairs, Pair, i - 1))
        == 0)
      g_array_remove_index (state->pairs, i);
  return state;
}

/* Bars one expert of a layer. */
static gboolean
bar (MsChanges *changes, const Pair *pair, GError **error)
{
  const MsPlanBlock *block;
  guint layer, number;

  if (!ms_changes_layer (changes, pair->layer, &layer, error))
    return FALSE;
  block = ms_changes_block (changes, layer, &number);
  if (!ms_changes_chooses (block, number, error))
    return FALSE;
  if (pair->expert >= block->gate.n_experts)
    return ms_changes_refuse (error, "layer %u has experts 0..%u, none of number %" G_GINT64_FORMAT,
                              number, block->gate.n_experts - 1, pair->expert);
  if (changes->bias[layer] == NULL)
    changes->bias[layer]
        = block->selection_bias != NULL
              ? g_memdup2 (block->selection_bias, block->gate.n_experts * sizeof (float))
              : g_new0 (float, block->gate.n_experts);
  changes->bias[layer][pair->expert] = -INFINITY;
  return TRUE;
}

static gboolean
fit_mask (gpointer data, MsChanges *changes, GError **error)
{
  Mask *state = data;

  state->all = changes;
  for (guint i = 0; i < state->pairs->len; i++)
    if (!bar (changes, &g_array_index (state->pairs, Pair, i), error))
      return FALSE;
  for (guint l = 0; l < changes->plan->n_moe; l++)
    {
      guint number, open = ms_changes_choosable (changes, l);
      const MsGate *gate = &ms_changes_block (changes, l, &number)->gate;

      if (open < gate->k)
        return ms_changes_refuse (error,
                                  "layer %u would be left with %u experts%s, and each token takes "
                                  "%u: mask fewer, or let tokens take fewer%s",
                                  number, open, gate->groups > 1 ? " in the groups that stay" : "",
                                  gate->k, open > 0 ? " (--top-k)" : "");
    }
  return TRUE;
}

static void
mask_logits (gconstpointer data, const MsTurn *turn)
{
  const Mask *state = data;
  const float *bias = state->all->bias[turn->engine->moe];

  for (guint e = 0; bias != NULL && e < turn->gate->n_experts; e++)
    if (isinf (bias[e]))
      turn->logits[e] = -INFINITY;
}

static char *
words_mask (gconstpointer data)
{
  const Mask *state = data;
  g_autoptr (GString) words = g_string_new ("mask");
  guint n_layers = 0;

  for (guint i = 0; i < state->pairs->len; i++)
    n_layers += i == 0
                || g_array_index (state->pairs, Pair, i).layer
                       != g_array_index (state->pairs, Pair, i - 1).layer;
  if (state->pairs->len == 0)
    g_string_append (words, " of no expert");
  else if (state->pairs->len > 8)
    g_string_append_printf (words, " of %u experts in %u layers", state->pairs->len, n_layers);
  else
    for (guint i = 0; i < state->pairs->len; i++)
      g_string_append_printf (words, "%c%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT, i == 0 ? ' ' : '+',
                              g_array_index (state->pairs, Pair, i).layer,
                              g_array_index (state->pairs, Pair, i).expert);
  return g_strdup (words->str);
}

static void
tell_mask (gconstpointer data, JsonBuilder *builder)
{
  const Mask *state = data;

  json_builder_begin_array (builder);
  for (guint i = 0; i < state->pairs->len; i++)
    {
      json_builder_begin_array (builder);
      json_builder_add_int_value (builder, g_array_index (state->pairs, Pair, i).layer);
      json_builder_add_int_value (builder, g_array_index (state->pairs, Pair, i).expert);
      json_builder_end_array (builder);
    }
  json_builder_end_array (builder);
}

const MsIntervention ms_intervention_mask = {
  .name = "mask",
  .argument = "L:E,...|FILE",
  .help
  = "Bar experts, as layer:expert pairs or a CSV file with the columns layer and expert: their "
    "logits become minus infinity",
  .parse = parse_mask,
  .free = free_mask,
  .fit = fit_mask,
  .words = words_mask,
  .tell = tell_mask,
  .logits = mask_logits,
};

/* --- As many as a mass of probability ---------------------------------------------------------- */

typedef struct
{
  float p;
} TopP;

static gpointer
parse_top_p (const char *text, GError **error)
{
  char *end;
  double p = g_ascii_strtod (text, &end);
  TopP *state;

  if (end == text || *end != '\0' || !(p > 0 && p <= 1))
    {
      ms_changes_refuse (error, "'%s' is no probability above 0 and up to 1", text);
      return NULL;
    }
  state = g_new (TopP, 1);
  state->p = (float) p;
  return state;
}

/* Without --top-k a token may take all that can be chosen. */
static gboolean
fit_top_p (gpointer data, MsChanges *changes, GError **error)
{
  (void) data, (void) error;
  for (guint l = 0; l < changes->plan->n_moe; l++)
    {
      guint block;
      MsPlanBlock *at = ms_changes_block (changes, l, &block);

      if (ms_changes_find (changes, &ms_intervention_top_k) == NULL && at->by_token == NULL)
        at->gate.k = ms_changes_choosable (changes, l);
    }
  return TRUE;
}

/* Leaves the first experts of the choice, up to and including the one with which the running sum of the
 * router's distribution (float32, as in the analysis what-if) exceeds p. */
static void
cut (gconstpointer data, const MsTurn *turn)
{
  const TopP *state = data;
  MsDecision *decision = turn->decision;
  guint k = turn->gate->k, n = 0;
  float sum = 0;

  if (turn->engine->block->by_token != NULL)
    return;
  ms_gate_distribution (turn->gate, turn->logits, turn->distribution);
  while (n < k && decision->experts[n] != MS_NO_EXPERT && !(sum > state->p))
    sum += (float) turn->distribution[decision->experts[n++]];
  if (n == k || decision->experts[n] == MS_NO_EXPERT)
    return; /* nothing is cut: the weights stay, bit by bit */
  for (guint j = n; j < k; j++)
    {
      decision->experts[j] = MS_NO_EXPERT;
      decision->weights[j] = 0;
    }
  ms_turn_weigh (turn, n);
  decision->margin = ms_gate_margin (turn->selection, turn->gate->n_experts, decision->experts, k);
}

static char *
words_top_p (gconstpointer data)
{
  char number[MS_NUMBER_SIZE];

  return g_strdup_printf ("top-p %s", ms_number_float (number, ((const TopP *) data)->p));
}

static void
tell_top_p (gconstpointer data, JsonBuilder *builder)
{
  json_builder_add_double_value (builder, (double) ((const TopP *) data)->p);
}

const MsIntervention ms_intervention_top_p = {
  .name = "top-p",
  .argument = "P",
  .help
  = "Let each token take its best experts until their probabilities sum to more than P, at most "
    "as many as --top-k says, or all",
  .parse = parse_top_p,
  .free = g_free,
  .fit = fit_top_p,
  .words = words_top_p,
  .tell = tell_top_p,
  .choice = cut,
};

/* --- Added logits ------------------------------------------------------------------------------ */

typedef struct
{
  gint64 layer, expert, document;
  double logit;
} Addend;

/* The vectors that hold from a document on. */
typedef struct
{
  gint64 document;
  float **logits; /* (n_moe) of (E), NULL: nothing is added there */
} Stage;

typedef struct
{
  GArray *addends; /* of Addend, by document, layer, expert */
  GArray *stages;  /* of Stage, by document */
  guint n_layers;
} Add;

static void
free_add (gpointer data)
{
  Add *state = data;

  for (guint i = 0; i < state->stages->len; i++)
    {
      Stage *stage = &g_array_index (state->stages, Stage, i);

      for (guint l = 0; l < state->n_layers; l++)
        g_free (stage->logits[l]);
      g_free (stage->logits);
    }
  g_array_unref (state->stages);
  g_array_unref (state->addends);
  g_free (state);
}

static gboolean
add_addend (const gint64 *keys, const double *values, gpointer data, GError **error)
{
  Add *state = data;
  Addend addend = { keys[0], keys[1], keys[2], values[0] };

  if (isnan (addend.logit))
    return ms_changes_refuse (error, "there is no logit");
  g_array_append_val (state->addends, addend);
  return TRUE;
}

static int
compare_addends (gconstpointer a, gconstpointer b)
{
  const Addend *x = a, *y = b;

  if (x->document != y->document)
    return x->document < y->document ? -1 : 1;
  if (x->layer != y->layer)
    return x->layer < y->layer ? -1 : 1;
  return x->expert < y->expert ? -1 : x->expert > y->expert;
}

static gpointer
parse_add (const char *text, GError **error)
{
  static const char *const names[] = { "layer", "expert", "document", "logit" };
  Add *state = g_new0 (Add, 1);

  state->addends = g_array_new (FALSE, FALSE, sizeof (Addend));
  state->stages = g_array_new (FALSE, FALSE, sizeof (Stage));
  if (!ms_changes_read (text, names, 3, 1, 2, add_addend, state, error))
    {
      free_add (state);
      return NULL;
    }
  g_array_sort (state->addends, compare_addends);
  return state;
}

static gboolean
fit_addend (Add *state, const MsChanges *changes, const Addend *addend, GError **error)
{
  const MsPlanBlock *block;
  guint layer, number;
  Stage *stage;

  if (!ms_changes_layer (changes, addend->layer, &layer, error))
    return FALSE;
  block = ms_changes_block (changes, layer, &number);
  if (!ms_changes_chooses (block, number, error))
    return FALSE;
  if (addend->expert >= block->gate.n_experts)
    return ms_changes_refuse (error, "layer %u has experts 0..%u, none of number %" G_GINT64_FORMAT,
                              number, block->gate.n_experts - 1, addend->expert);
  if (state->stages->len == 0
      || g_array_index (state->stages, Stage, state->stages->len - 1).document != addend->document)
    {
      Stage fresh = { addend->document, g_new0 (float *, state->n_layers) };

      g_array_append_val (state->stages, fresh);
    }
  stage = &g_array_index (state->stages, Stage, state->stages->len - 1);
  if (stage->logits[layer] == NULL)
    stage->logits[layer] = g_new0 (float, block->gate.n_experts);
  stage->logits[layer][addend->expert] = (float) addend->logit;
  return TRUE;
}

static gboolean
fit_add (gpointer data, MsChanges *changes, GError **error)
{
  Add *state = data;

  state->n_layers = changes->plan->n_moe;
  for (guint i = 0; i < state->addends->len; i++)
    {
      const Addend *addend = &g_array_index (state->addends, Addend, i);

      if (i > 0 && compare_addends (addend - 1, addend) == 0)
        return ms_changes_refuse (error,
                                  "layer %" G_GINT64_FORMAT ", expert %" G_GINT64_FORMAT
                                  ", document %" G_GINT64_FORMAT " is there twice",
                                  addend->layer, addend->expert, addend->document);
      if (!fit_addend (state, changes, addend, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
match_add (gpointer data, const MsCorpus *corpus, const gint32 *ids, GError **error)
{
  const Add *state = data;
  gint64 last = state->stages->len > 0
                    ? g_array_index (state->stages, Stage, state->stages->len - 1).document
                    : 0;

  (void) ids;
  if (last > 0 && last >= corpus->n_documents)
    return ms_changes_refuse (error,
                              "a stage begins with document %" G_GINT64_FORMAT
                              ", and the texts have documents 0..%u",
                              last, corpus->n_documents - 1);
  return TRUE;
}

static void
add_logits (gconstpointer data, const MsTurn *turn)
{
  const Add *state = data;
  const float *logits = NULL;

  for (guint i = 0; i < state->stages->len; i++)
    {
      const Stage *stage = &g_array_index (state->stages, Stage, i);

      if (stage->document > turn->document)
        break;
      logits = stage->logits[turn->engine->moe];
    }
  for (guint e = 0; logits != NULL && e < turn->gate->n_experts; e++)
    turn->logits[e] += logits[e];
}

static char *
words_add (gconstpointer data)
{
  const Add *state = data;

  if (state->stages->len > 1)
    return g_strdup_printf ("%u logits added in %u stages", state->addends->len,
                            state->stages->len);
  return g_strdup_printf ("%u logits added", state->addends->len);
}

static void
tell_add (gconstpointer data, JsonBuilder *builder)
{
  const Add *state = data;

  json_builder_begin_array (builder);
  for (guint i = 0; i < state->addends->len; i++)
    {
      const Addend *addend = &g_array_index (state->addends, Addend, i);

      json_builder_begin_array (builder);
      json_builder_add_int_value (builder, addend->document);
      json_builder_add_int_value (builder, addend->layer);
      json_builder_add_int_value (builder, addend->expert);
      json_builder_add_double_value (builder, addend->logit);
      json_builder_end_array (builder);
    }
  json_builder_end_array (builder);
}

const MsIntervention ms_intervention_add = {
  .name = "add",
  .argument = "FILE",
  .help
  = "Add to the router's logits: a CSV file with the columns layer, expert, logit and, for stages, "
    "document, the number (from 0) of the document from which the row holds in place of all before",
  .parse = parse_add,
  .free = free_add,
  .fit = fit_add,
  .match = match_add,
  .words = words_add,
  .tell = tell_add,
  .logits = add_logits,
};
