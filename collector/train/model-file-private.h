/* What training leaves on disk: the model as GGUF, and the state of an unfinished run. */
#pragma once

#include "bpe-private.h"
#include "decoder-private.h"
#include "train.h"

G_BEGIN_DECLS

/* The GGUF architecture that runs this shape: "qwen3moe", or "dots1" for a sigmoid router or shared
 * experts. */
const char *ms_model_file_architecture (const MsDecoderShape *shape);

gboolean ms_model_file_save (const char *path, const char *name, MsTrainStore store, gint64 step,
                             const MsDecoder *decoder, const MsBpe *bpe, const float *parameters,
                             GError **error);

/* Everything a step depends on besides the options and the corpus. */
typedef struct
{
  guint64 fingerprint;     /* of the options and the corpus; a state of another one is refused */
  gint64 step;             /* done */
  gint64 steps, cool_down; /* of the whole run */
  gsize size;              /* floats of each vector */
  float *parameters, *mean, *variance; /* (size) */
  double loss_sum, auxiliary_sum;      /* since the last point */
  gint64 since;                        /* steps since the last point */
  GArray *points;                      /* of MsTrainPoint */
} MsTrainState;

void ms_train_state_init (MsTrainState *state, guint64 fingerprint, gsize size);
void ms_train_state_clear (MsTrainState *state);
/* Replaces path atomically. */
gboolean ms_train_state_save (const MsTrainState *state, const char *path, GError **error);
/* Fills an initialised state; untouched on failure. */
gboolean ms_train_state_load (MsTrainState *state, const char *path, GError **error);

G_END_DECLS
