/* Mixers: what moves values between the tokens of a document.  One constant struct and one file
 * (mixer-*.c) per kind. */
#pragma once

#include "engine-private.h"
#include "tensors-private.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

typedef struct
{
  gsize token;  /* for each token of a wave */
  gsize worker; /* of scratch for each thread */
} MsMixerBytes;

struct MsMixer
{
  const char *name; /* "attention" */
  const char *mark; /* a tensor that every block of this kind has and no other */
  gsize part_size;  /* of the kind's struct, a block's `part` */
  MsTensorTable tensors;
  /* Reads geometry and tensors into `part` (zeroed).  Errors as ms_plan_new. */
  gboolean (*load) (MsLoader *loader, guint block, gpointer part, GError **error);
  /* Memory that `run` needs, with operands of `operand` bytes per value and documents of up to
   * `longest` tokens. */
  MsMixerBytes (*bytes) (gconstpointer part, gsize operand, gsize longest);
  /* Computes the mixer for all tokens of the wave from `in` (n, D) and ends with the product `out`,
   * which says where the result goes; the mixer fills in weight, bias and operand. */
  void (*run) (const MsEngine *engine, gconstpointer part, const MsOperand *in, MsProduct out);
  /* Adds members to the object of the model's details. */
  void (*describe) (gconstpointer part, JsonBuilder *details);
};

/* Adds a member to the object, for `describe`. */
void ms_mixer_add_fact (JsonBuilder *details, const char *name, guint value);

extern const MsMixer ms_mixer_attention; /* grouped-query attention */
extern const MsMixer
    ms_mixer_compressed_attention;               /* a window, and a key per few tokens before it */
extern const MsMixer ms_mixer_gated_delta_net;   /* a decay per head */
extern const MsMixer ms_mixer_kimi_delta;        /* a decay per channel */
extern const MsMixer ms_mixer_latent_attention;  /* keys and values from one short vector */
extern const MsMixer ms_mixer_short_convolution; /* gated, over the last few tokens */
extern const MsMixer ms_mixer_lightning;         /* linear attention that decays */
extern const MsMixer ms_mixer_mamba;             /* a state space, all of each value its own */
extern const MsMixer ms_mixer_mamba_2;           /* ... with a step and a decay per head */

G_END_DECLS
