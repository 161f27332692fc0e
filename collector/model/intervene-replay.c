/* An intervention on choices: those of a recorded run of the same texts, forced upon this one.
 *
 * What must hold: the recorded run has a decision for each token and MoE layer.  Its picks are read wave by
 * wave, before the layers run; what the run's file says is checked by its reader. */
#include "intervene-private.h"

#include "collector.h"

#include <math.h>
#include <string.h>

typedef struct
{
  guint k;
  guint16 *experts; /* (n, k) of the wave */
  float *weights;   /* (n, k) */
} Picks;

typedef struct
{
  char *path;
  gint64 number;    /* of the run; 0: the newest */
  gboolean weights; /* the recorded ones, else the router's own of the recorded experts */
  MsReader *reader;
  guint n_layers;
  Picks *picks; /* (n_layers) */
} Replay;

static void
free_replay (gpointer data)
{
  Replay *state = data;

  for (guint l = 0; l < state->n_layers; l++)
    {
      g_free (state->picks[l].experts);
      g_free (state->picks[l].weights);
    }
  g_free (state->picks);
  ms_reader_free (state->reader);
  g_free (state->path);
  g_free (state);
}

/* RUN.db, or RUN.db#3. */
static gpointer
parse_replay (const char *text, GError **error)
{
  const char *mark = strrchr (text, '#');
  Replay *state = g_new0 (Replay, 1);

  state->path = g_strdup (text);
  if (mark != NULL && g_ascii_string_to_signed (mark + 1, 10, 1, G_MAXINT64, &state->number, NULL))
    state->path[mark - text] = '\0';
  state->reader = ms_reader_new (state->path, state->number, error);
  if (state->reader != NULL)
    return state;
  free_replay (state);
  return NULL;
}

/* The recorded layer against the model's. */
static gboolean
fit_layer (Replay *state, const MsChanges *changes, guint l, GError **error)
{
  const MsLayer *recorded = &ms_reader_model (state->reader)->layers[l];
  guint number;
  MsGate *gate = &ms_changes_block (changes, l, &number)->gate;

  if (recorded->number != (int) number || recorded->gate.n_experts != gate->n_experts)
    return ms_changes_refuse (
        error, "its MoE layer %u is block %d with %u experts, and this model's block %u with %u", l,
        recorded->number, recorded->gate.n_experts, number, gate->n_experts);
  gate->k = state->picks[l].k = recorded->gate.k;
  return TRUE;
}

static gboolean
fit_replay (gpointer data, MsChanges *changes, GError **error)
{
  Replay *state = data;
  const MsModel *model = ms_reader_model (state->reader);
  const MsRun *run = ms_reader_run (state->reader);
  const MsIntervention *const others[]
      = { &ms_intervention_top_k, &ms_intervention_mask, &ms_intervention_top_p };

  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    if (ms_changes_find (changes, others[i]) != NULL)
      return ms_changes_refuse (error, "recorded picks leave nothing to choose; leave out --%s",
                                others[i]->name);
  state->number = run->id;
  state->weights
      = ms_changes_find (changes, &ms_intervention_replay_weights) != NULL
        && *(const gboolean *) ms_changes_find (changes, &ms_intervention_replay_weights);
  if (model->n_layers != changes->plan->n_moe)
    return ms_changes_refuse (error,
                              "run %" G_GINT64_FORMAT " of %s has %u MoE layers and this model %u; "
                              "give a run of a model of the same shape",
                              run->id, state->path, model->n_layers, changes->plan->n_moe);
  state->n_layers = model->n_layers;
  state->picks = g_new0 (Picks, model->n_layers);
  for (guint l = 0; l < model->n_layers; l++)
    if (!fit_layer (state, changes, l, error))
      {
        g_prefix_error (error, "run %" G_GINT64_FORMAT " of %s: ", run->id, state->path);
        return FALSE;
      }
  return TRUE;
}

/* Whether the recorded run's documents are those of the corpus. */
static gboolean
match_documents (const MsCorpus *recorded, const MsCorpus *corpus, GError **error)
{
  if (recorded->n_documents != corpus->n_documents || recorded->n_tokens != corpus->n_tokens)
    return ms_changes_refuse (
        error,
        "its texts have %u documents of %" G_GINT64_FORMAT " tokens, and these %u of "
        "%" G_GINT64_FORMAT "; collect from the same texts",
        recorded->n_documents, recorded->n_tokens, corpus->n_documents, corpus->n_tokens);
  for (guint d = 0; d < corpus->n_documents; d++)
    if (recorded->documents[d].n_tokens != corpus->documents[d].n_tokens)
      return ms_changes_refuse (error,
                                "its document %u has %" G_GINT64_FORMAT
                                " tokens, and that of these texts %" G_GINT64_FORMAT,
                                d, recorded->documents[d].n_tokens, corpus->documents[d].n_tokens);
  return TRUE;
}

static gboolean
match_tokens (const Replay *state, const MsCorpus *corpus, const gint32 *ids, GError **error)
{
  g_autofree gint32 *recorded = g_new (gint32, MS_BLOCK_TOKENS);

  for (gint64 from = 0; from < corpus->n_tokens; from += MS_BLOCK_TOKENS)
    {
      gint64 n = MIN (corpus->n_tokens - from, MS_BLOCK_TOKENS);

      if (!ms_reader_tokens (state->reader, from, n, recorded, error))
        return FALSE;
      for (gint64 t = 0; t < n; t++)
        if (recorded[t] != ids[from + t])
          return ms_changes_refuse (error,
                                    "its token %" G_GINT64_FORMAT
                                    " is %d, and that of these texts %d; collect from the same "
                                    "texts with the same tokenizer",
                                    from + t, recorded[t], ids[from + t]);
    }
  return TRUE;
}

static gboolean
match_replay (gpointer data, const MsCorpus *corpus, const gint32 *ids, GError **error)
{
  const Replay *state = data;
  const MsRun *run = ms_reader_run (state->reader);
  g_autoptr (MsDb) db = ms_db_open (state->path, MS_DB_READ, error);
  g_autoptr (MsCorpus) recorded = db != NULL ? ms_db_load_corpus (db, run->corpus, error) : NULL;
  gboolean fine = recorded != NULL && match_documents (recorded, corpus, error)
                  && match_tokens (state, corpus, ids, error);

  if (fine && run->n_tokens < corpus->n_tokens)
    fine = ms_changes_refuse (error,
                              "only %" G_GINT64_FORMAT " of its %" G_GINT64_FORMAT
                              " tokens are recorded; finish it first",
                              run->n_tokens, corpus->n_tokens);
  if (!fine)
    g_prefix_error (error, "run %" G_GINT64_FORMAT " of %s: ", run->id, state->path);
  return fine;
}

/* Rows of one block into the wave's picks. */
static gboolean
read_block (Replay *state, guint layer, gint64 first, gint64 n, gint64 block, GError **error)
{
  Picks *picks = &state->picks[layer];
  const MsChunk *chunk = ms_reader_chunk (state->reader, (guint) block, layer,
                                          MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS, 0, error);
  gint64 from, to;

  if (chunk == NULL)
    return FALSE;
  from = MAX (first, chunk->first_token);
  to = MIN (first + n, chunk->first_token + chunk->n_tokens);
  if (from >= to)
    return TRUE;
  memcpy (picks->experts + (from - first) * picks->k,
          chunk->experts + (from - chunk->first_token) * picks->k,
          (gsize) (to - from) * picks->k * sizeof *picks->experts);
  memcpy (picks->weights + (from - first) * picks->k,
          chunk->weights + (from - chunk->first_token) * picks->k,
          (gsize) (to - from) * picks->k * sizeof *picks->weights);
  return TRUE;
}

static gboolean
begin_wave (gpointer data, gint64 first, gsize n_tokens, GError **error)
{
  Replay *state = data;
  gint64 n = (gint64) n_tokens;

  for (guint l = 0; l < state->n_layers && n > 0; l++)
    {
      Picks *picks = &state->picks[l];

      picks->experts = g_renew (guint16, picks->experts, (gsize) n * picks->k);
      picks->weights = g_renew (float, picks->weights, (gsize) n * picks->k);
      for (gint64 b = first / MS_BLOCK_TOKENS; b <= (first + n - 1) / MS_BLOCK_TOKENS; b++)
        if (!read_block (state, l, first, n, b, error))
          return FALSE;
    }
  return TRUE;
}

static void
force (gconstpointer data, const MsTurn *turn)
{
  const Replay *state = data;
  const Picks *picks = &state->picks[turn->engine->moe];
  MsDecision *decision = turn->decision;
  guint used = 0;

  memcpy (decision->experts, picks->experts + turn->token * picks->k,
          picks->k * sizeof *picks->experts);
  while (used < picks->k && decision->experts[used] != MS_NO_EXPERT)
    used++;
  if (state->weights)
    memcpy (decision->weights, picks->weights + turn->token * picks->k,
            picks->k * sizeof *picks->weights);
  else
    ms_turn_weigh (turn, used);
  for (guint j = used; j < picks->k; j++)
    decision->weights[j] = 0;
  decision->margin
      = ms_gate_margin (turn->selection, turn->gate->n_experts, decision->experts, picks->k);
}

static char *
words_replay (gconstpointer data)
{
  const Replay *state = data;
  g_autofree char *base = g_path_get_basename (state->path);

  return g_strdup_printf ("picks of %s#%" G_GINT64_FORMAT " with %s weights", base, state->number,
                          state->weights ? "recorded" : "own");
}

static void
tell_replay (gconstpointer data, JsonBuilder *builder)
{
  const Replay *state = data;
  const MsRun *run = ms_reader_run (state->reader);

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "run");
  json_builder_add_int_value (builder, run->id);
  json_builder_set_member_name (builder, "started");
  json_builder_add_string_value (builder, run->started);
  json_builder_set_member_name (builder, "fingerprint");
  json_builder_add_string_value (builder, ms_reader_model (state->reader)->fingerprint);
  json_builder_set_member_name (builder, "weights");
  json_builder_add_string_value (builder, state->weights ? "recorded" : "own");
  json_builder_end_object (builder);
}

const MsIntervention ms_intervention_replay = {
  .name = "replay",
  .argument = "RUN.db[#N]",
  .help = "Force the picks of a recorded run (default: the newest) of the same texts",
  .parse = parse_replay,
  .free = free_replay,
  .fit = fit_replay,
  .match = match_replay,
  .words = words_replay,
  .tell = tell_replay,
  .begin_wave = begin_wave,
  .choice = force,
};

/* --- Whose weights ---------------------------------------------------------------------------- */

static gpointer
parse_weights (const char *text, GError **error)
{
  gboolean recorded = g_str_equal (text, "recorded");

  if (recorded || g_str_equal (text, "own"))
    return g_memdup2 (&recorded, sizeof recorded);
  ms_changes_refuse (error, "the weights are 'own' (default) or 'recorded', not '%s'", text);
  return NULL;
}

static gboolean
fit_weights (gpointer data, MsChanges *changes, GError **error)
{
  (void) data;
  return ms_changes_find (changes, &ms_intervention_replay) != NULL
         || ms_changes_refuse (error, "there are no recorded weights without --replay");
}

const MsIntervention ms_intervention_replay_weights = {
  .name = "replay-weights",
  .argument = "own|recorded",
  .help
  = "Weights of forced picks: the router's own of these experts (default), or the recorded ones",
  .parse = parse_weights,
  .free = g_free,
  .fit = fit_weights,
};
