/* Interventions: a model run with its routing changed.
 *
 * An intervention is one constant struct: its option, how its value is read, how it is held against the plan
 * and the corpus, and what it does between the router's logits and the experts.  The struct stands in the
 * table of intervene.c; command line, file and executor read nothing else.  A run without interventions has
 * no MsChanges, and the executor does then what it always does.
 *
 * Whatever cannot be is refused before anything is computed.  Layers are told by the model's block number. */
#pragma once

#include "engine-private.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

typedef struct MsIntervention MsIntervention;

/* One token at one MoE layer, on its way through the router. */
typedef struct
{
  const MsEngine *engine;
  const MsGate *gate;     /* the layer's, with what is barred */
  gsize token;            /* of the wave */
  gint64 document;        /* of the corpus */
  float *logits;          /* (E) the router's own, to be changed */
  const float *selection; /* (E) the selection scores that the gate makes of them, */
  MsDecision *decision;   /* and its decision */
  float *scores;          /* (E) scratch */
  double *distribution;   /* (E) scratch */
} MsTurn;

typedef struct
{
  const MsIntervention *kind;
  char *given;    /* as on the command line; NULL: not asked for */
  gpointer state; /* what `parse` made of it */
} MsChange;

struct MsChanges
{
  MsPlan *plan;         /* borrowed, once it fits */
  GArray *all;          /* of MsChange, those asked for in the order of the table */
  guint first_document; /* of the wave under way, in the corpus */
  float **bias; /* (n_moe) of (E) or NULL: the selection bias, minus infinity for barred experts */
};

struct MsIntervention
{
  const char *name;     /* of the option, and in the file */
  const char *argument; /* "N" */
  const char *help;
  /* What the option's value says; NULL with *error when it says nothing sensible. */
  gpointer (*parse) (const char *text, GError **error);
  GDestroyNotify free;
  /* Against the plan, whose gates it may change (K), and what was fitted before it. */
  gboolean (*fit) (gpointer state, MsChanges *changes, GError **error);
  /* Against the texts; NULL: they do not matter. */
  gboolean (*match) (gpointer state, const MsCorpus *corpus, const gint32 *ids, GError **error);
  /* A few words for people, newly allocated; NULL: others say it. */
  char *(*words) (gconstpointer state);
  /* Adds one value: what it comes to; NULL: what is given says it. */
  void (*tell) (gconstpointer state, JsonBuilder *builder);
  /* Reads what the wave of n tokens from first_token of the corpus on needs; NULL: nothing. */
  gboolean (*begin_wave) (gpointer state, gint64 first_token, gsize n, GError **error);
  /* Of one token, any thread: the logits before the gate, the decision after it.  Unused slots come last and
   * have weight 0. */
  void (*logits) (gconstpointer state, const MsTurn *turn);
  void (*choice) (gconstpointer state, const MsTurn *turn);
  /* Of all tokens of the layer, after their decisions, by the router's own logits (n, E). */
  void (*layer) (gconstpointer state, const MsEngine *engine, const float *logits);
  /* The networks (E) that run in place of the block's; NULL: its own. */
  const MsFeedForward *(*networks) (gpointer state, const MsEngine *engine);
};

/* Those on the router's logits and choices (intervene-router.c). */
extern const MsIntervention ms_intervention_top_k;
extern const MsIntervention ms_intervention_mask;
extern const MsIntervention ms_intervention_top_p;
extern const MsIntervention ms_intervention_add;
/* Picks of another run (intervene-replay.c). */
extern const MsIntervention ms_intervention_replay;
extern const MsIntervention ms_intervention_replay_weights;
/* Slots of experts (intervene-capacity.c). */
extern const MsIntervention ms_intervention_capacity;
extern const MsIntervention ms_intervention_capacity_rule;
extern const MsIntervention ms_intervention_capacity_order;
extern const MsIntervention ms_intervention_capacity_batch;
/* Groups of experts that run as one (intervene-merge.c). */
extern const MsIntervention ms_intervention_merge;

/* What `values` (one for each row of the table, NULL: not asked for) ask for; NULL with *error unset when that
 * is nothing.  Errors: INPUT. */
MsChanges *ms_changes_new (const char *const *values, GError **error);
void ms_changes_free (MsChanges *changes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsChanges, ms_changes_free)
/* Holds them against the plan, whose K may change, and then against the texts.  Errors: INPUT, saying what
 * would fit; those of a recorded run. */
gboolean ms_changes_fit (MsChanges *changes, MsPlan *plan, GError **error);
gboolean ms_changes_match (MsChanges *changes, const MsCorpus *corpus, const gint32 *ids,
                           GError **error);
/* To be called before each wave of n tokens: where it begins in the corpus.  Errors: those of a recorded run. */
gboolean ms_changes_begin_wave (MsChanges *changes, gint64 first_token, guint first_document,
                                gsize n, GError **error);
/* As stored with the run, a JSON object: words, values as given, what they come to.  (transfer full) */
char *ms_changes_tell (const MsChanges *changes);
/* "top-k 1, mask of 2 experts in layer 3".  (transfer full) */
char *ms_changes_words (const MsChanges *changes);

/* Decisions of tokens from..to-1 of the wave by their logits (n, E). */
void ms_changes_choose (const MsChanges *changes, const MsEngine *engine, gsize from, gsize to,
                        const float *logits);

/* Once all tokens of the layer have chosen, by the logits (n, E). */
void ms_changes_end_layer (const MsChanges *changes, const MsEngine *engine, const float *logits);
/* The networks (E) that run at the engine's block. */
const MsFeedForward *ms_changes_networks (const MsChanges *changes, const MsEngine *engine);
/* How many documents must be in one wave, counted from the first of the corpus: 1, or more; 0: all. */
guint ms_changes_batch (const MsChanges *changes);
/* MsChunkColumns that the run has besides. */
guint ms_changes_columns (const MsChanges *changes);

/* --- For the interventions -------------------------------------------------------------------- */

/* The state of an intervention; NULL: not asked for. */
gpointer ms_changes_find (const MsChanges *changes, const MsIntervention *kind);
/* Which MoE layer block `block` is.  Errors: INPUT naming those there are. */
gboolean ms_changes_layer (const MsChanges *changes, gint64 block, guint *layer, GError **error);
/* The number of the block that is MoE layer `layer`, and the block. */
MsPlanBlock *ms_changes_block (const MsChanges *changes, guint layer, guint *number);
/* Whether the block's router chooses; the refusal of one whose experts a table of token ids names. */
gboolean ms_changes_chooses (const MsPlanBlock *block, guint number, GError **error);
/* Weights of the decision's first n experts by the turn's logits. */
void ms_turn_weigh (const MsTurn *turn, guint n);
/* How many experts of the layer the gate can always choose, those barred left out. */
guint ms_changes_choosable (const MsChanges *changes, guint layer);
/* Sets *error to INPUT and returns FALSE. */
gboolean ms_changes_refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* One row of a table: integers of the `n_keys` first columns, then the numbers of the others, NaN for one that
 * the file has not. */
typedef gboolean (*MsChangeRow) (const gint64 *keys, const double *values, gpointer data,
                                 GError **error);
/* Reads a CSV file whose header has the columns `names` (n_keys + n_values) in any order among others; of those
 * behind the first n_needed a file may have none: 0 and NaN.  Errors: INPUT with the line. */
gboolean ms_changes_read (const char *path, const char *const *names, guint n_keys, guint n_values,
                          guint n_needed, MsChangeRow row, gpointer data, GError **error);

G_END_DECLS
