/* The reference decoder: parameters, forward pass and its own backward pass.
 *
 * RMSNorm, RoPE (halves), grouped-query attention with norms on queries and keys, SwiGLU experts behind
 * a router, optional shared experts of weight 1, output head tied to the embedding: the block that the
 * qwen3moe and dots1 architectures of GGUF run.  Float32 throughout.  A pass takes one block of
 * sequences on the calling thread; blocks meet only in the merged gradient. */
#pragma once

#include "base.h"

#include "router-private.h"

G_BEGIN_DECLS

typedef struct
{
  guint layers, experts, top_k;
  guint shared; /* shared experts, 0 = none */
  guint width, heads, kv_heads, head_width, expert_width;
  guint vocabulary, context;
  float rope_base, epsilon, balance, z_loss;
  const MsTrainRouter *router;
} MsDecoderShape;

typedef enum
{
  MS_WEIGHT_MATRIX, /* decays; may be stored quantized */
  MS_WEIGHT_ROUTER, /* decays; stays float32 */
  MS_WEIGHT_VECTOR, /* a norm: no decay; stays float32 */
  MS_WEIGHT_STATE,  /* a selection bias: no gradient; stays float32 */
} MsWeightKind;

/* One tensor as GGUF names it: depth matrices (rows, columns), `stride` floats apart, at `offset` of the
 * parameter vector. */
typedef struct
{
  char name[48];
  MsWeightKind kind;
  gsize offset, columns, rows, depth, stride;
} MsWeight;

typedef struct MsDecoder MsDecoder;

/* shape is copied and must be consistent (ms_train checks it). */
MsDecoder *ms_decoder_new (const MsDecoderShape *shape);
void ms_decoder_free (MsDecoder *decoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsDecoder, ms_decoder_free)

const MsDecoderShape *ms_decoder_shape (const MsDecoder *decoder);
/* Floats of the parameter vector; a multiple of 16. */
gsize ms_decoder_size (const MsDecoder *decoder);
/* The tensors in file order (borrowed). */
const MsWeight *ms_decoder_weights (const MsDecoder *decoder, guint *n_weights);
/* Normal (0, 0.02), the matrices that write to the residual stream smaller by sqrt (2 L), norms 1. */
void ms_decoder_init (const MsDecoder *decoder, guint64 seed, float *parameters);
/* Parameters one token passes through, head and embedding counted once. */
gsize ms_decoder_active (const MsDecoder *decoder);

typedef struct
{
  double loss;      /* sum over tokens of -log p(next token), nats */
  double auxiliary; /* auxiliary losses, summed over layers */
  gint64 *load;     /* (L, E) tokens per expert; borrowed, overwritten */
} MsPassResult;

/* Runs `sequences` sequences of `context` tokens; tokens (sequences, context + 1), the last column only
 * predicted.  With gradient (size floats, overwritten) also the backward pass: of the mean loss over
 * `batch_tokens` tokens, with auxiliary losses averaged over blocks.  scratch is reset. */
void ms_decoder_pass (const MsDecoder *decoder, const float *parameters, guint sequences,
                      guint context, const guint16 *tokens, gint64 batch_tokens, MsArena *scratch,
                      float *gradient, MsPassResult *result);

G_END_DECLS
