/* Traces for tests of routing: written by hand as digits, or random with everything that can vary. */
#pragma once

#include "fixture.h"
#include "results.h"

G_BEGIN_DECLS

/* The experts of a layer are a text, (T, K) digits with a blank between tokens: "01 1-" are two tokens,
 * '-' an unused slot.  Every layer has the same E and K; weights are 1 / K.  Optional arrays are NULL. */
typedef struct
{
  const char *const *layers; /* (n_layers) */
  guint n_layers;
  guint n_experts, k;
  const float *probabilities; /* (T, E) of every layer */
  const float *norms;         /* (T, K) */
  const float *similarity;    /* (T) */
} MsHandTrace;

/* Writes the trace, documents of the lengths given (ended by 0), and opens it.  *path: NULL for a new
 * file, which the caller removes with ms_fixture_remove, else a file that gets a further run. */
MsTrace *ms_hand_trace (const MsHandTrace *hand, const guint *lengths, char **path);

/* Three layers (E, K) = (6, 2), (6, 3), (4, 2); eight documents of 1 to 33 tokens of two domains; logits
 * in eighths, so that ties happen; tokens that repeat their neighbours' choice, some with fewer experts
 * than slots or none.  `noise` differs between otherwise equal runs. */
MsTrace *ms_random_trace (double noise, char **path);

/* All layers of a trace in memory. */
typedef struct
{
  guint n_layers;
  MsLayerTrace *layers[4];
  int blocks[4];
} MsLoaded;

MsLoaded *ms_loaded_new (MsTrace *trace, guint columns);
void ms_loaded_free (MsLoaded *loaded);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsLoaded, ms_loaded_free)

/* The number of experts of a token. */
guint ms_loaded_size (const MsLayerTrace *layer, gint64 row);
/* The rank of an expert in a token's list, -1 when it was not chosen. */
int ms_loaded_rank (const MsLayerTrace *layer, gint64 row, guint expert);

G_END_DECLS
