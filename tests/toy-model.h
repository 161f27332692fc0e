/* Random Mixture-of-Experts models of any shape for tests: as a GGUF file, and tensor by tensor for whoever
 * computes them another way. */
#pragma once

#include "gguf-writer.h"

typedef struct
{
  const char *architecture;
  guint width, blocks, heads, kv_heads, head_width, vocabulary;
  guint experts, k, expert_width;
  guint dense_blocks; /* the first blocks have no experts */
  guint shared_width; /* 0: no shared expert */
  gboolean qkv_bias;
  guint qk_norm;     /* 0: none, 1: over all heads, 2: over each head */
  gboolean separate; /* one tensor per expert, as in old files */
  guint32 type;      /* of the matrices: 0 = F32, 8 = Q8_0 */
  guint64 seed;
  guint window;      /* tokens that one sees in three of four blocks; 0: all */
  guint conv_blocks; /* the first blocks have a convolution over 3 tokens instead of attention */
  gboolean quantised_router; /* as Q8_0 */
} ToyModel;

/* The values of tensor `name` (n values), the same each time.  (transfer full) */
float *toy_model_values (const ToyModel *model, const char *name, gsize n);
/* The name of the norm before the output matrix. */
const char *toy_model_last_norm (const ToyModel *model);
/* What the file's key for a scale says; 0 where it has none. */
float toy_model_scale (const ToyModel *model, const char *key);
/* All keys and tensors, ready to be changed or saved. */
GgufWriter *toy_model_write (const ToyModel *model);
/* Saves to a new file in a temporary folder.  (transfer full) */
char *toy_model_save (const ToyModel *model);
/* Lines of random ids, `lengths` ended by 0.  (transfer full) */
char *toy_ids (const ToyModel *model, const guint *lengths);
