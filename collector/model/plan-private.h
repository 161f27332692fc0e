/* What the executor knows of a model file: its family's row, its numbers, its weights layer by layer.
 *
 * A family (architecture) is one constant row; whatever the file's tensors themselves tell (biases,
 * dense layers, shared experts, old files with one tensor per expert) is read from them.  Everything is
 * checked here, so running cannot fail: shapes agree, types can be read, k <= E, groups divide E. */
#pragma once

#include "gguf-private.h"
#include "gate.h"

G_BEGIN_DECLS

typedef enum
{
  MS_ROPE_PAIRS,  /* rotates (2 i, 2 i + 1), "NORM" */
  MS_ROPE_HALVES, /* rotates (i, i + n / 2), "NEOX" */
} MsRope;

typedef enum
{
  MS_QK_NORM_NONE,
  MS_QK_NORM_WHOLE, /* over all heads at once */
  MS_QK_NORM_HEAD,  /* over each head */
} MsQkNorm;

typedef enum
{
  MS_SHARED_NONE,
  MS_SHARED_GATED, /* times sigmoid (ffn_gate_inp_shexp . x) */
  MS_SHARED_PLAIN, /* weight 1 */
} MsShared;

/* One architecture.  What all of them have in common today (RMS norms, SiLU experts, by default softmax
 * scores) becomes a column when the first one differs. */
typedef struct
{
  const char *name; /* general.architecture */
  MsRope rope;
  MsQkNorm qk_norm;
  gboolean qkv_bias;    /* must be there */
  gboolean renormalise; /* the weights of the chosen sum to 1 */
  MsShared shared;
  gboolean keyed; /* expert_gating_func (must be there) and expert_weights_norm say how to route */
} MsFamily;

/* Rows of a matrix of the file: y (n_rows) = W x. */
typedef struct
{
  const MsTensor *tensor; /* NULL: absent */
  gint64 first_row, n_rows;
} MsWeight;

typedef struct
{
  MsWeight gate, up, down;
} MsFeedForward;

typedef struct
{
  guint n_heads, n_kv_heads;
  float *attention_norm; /* (D) */
  MsWeight q, k, v, out;
  float *q_bias, *k_bias, *v_bias, *out_bias; /* NULL = none */
  float *q_norm, *k_norm;                     /* NULL = none */
  float *ffn_norm;                            /* (D) */
  gboolean is_moe;
  MsGate gate;
  MsWeight logits;        /* (E, D) */
  float *router_bias;     /* (E) or NULL */
  float *selection_bias;  /* (E) or NULL */
  MsFeedForward *experts; /* (E), or (1) of a dense layer */
  MsFeedForward shared;   /* tensors NULL = none */
  MsWeight shared_gate;   /* (1, D) or absent */
} MsBlock;

/* Rotary positions: angle of pair i at position p is p * step[i], the result scaled by magnitude. */
typedef struct
{
  guint n_pairs;
  double *step; /* (n_pairs) */
  float magnitude;
} MsRotation;

typedef struct
{
  const MsFamily *family;
  guint width, n_blocks, vocabulary; /* D, blocks, V */
  guint head_width, value_width;
  float epsilon;
  MsRotation rotation;
  MsBlock *blocks;    /* (n_blocks) */
  guint n_moe;        /* MoE layers */
  guint last_moe;     /* the block number of the last one */
  MsWeight embedding; /* (V, D) */
  float *output_norm; /* (D), NULL in files without an output head */
  MsWeight output;    /* (V, D), the embedding when tied; tensor NULL without output_norm */
  GPtrArray *warnings;
} MsPlan;

/* Borrows the file.  Errors: UNSUPPORTED (architecture, rope scaling, tensor type), MISSING, CORRUPT. */
MsPlan *ms_plan_new (const MsGguf *gguf, GError **error);
void ms_plan_free (MsPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsPlan, ms_plan_free)

/* The model as it is stored.  (transfer full) */
MsModel *ms_plan_model (const MsPlan *plan, const MsGguf *gguf, const char *path);

G_END_DECLS
