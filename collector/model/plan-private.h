/* What the executor knows of a model file: its architecture's row, its numbers, its weights block by
 * block.
 *
 * Everything is checked while the plan is made, so running cannot fail: shapes agree, types can be read,
 * k <= E, groups divide E. */
#pragma once

#include "architecture-private.h"
#include "product-private.h"

G_BEGIN_DECLS

/* The most blocks of a model. */
#define MS_MAX_BLOCKS 4096

typedef struct MsTensorTable MsTensorTable;

typedef struct
{
  const MsNormKind *kind; /* NULL: there is none */
  float *weight, *bias;   /* (n); bias NULL where the kind has none */
  float epsilon;
} MsNorm;

/* One feed-forward network: an expert, a shared expert, a dense layer.  Its width is up.n_rows. */
typedef struct
{
  MsMatrix gate, up, down;                /* (F, D), (F, D), (D, F) */
  float *gate_bias, *up_bias, *down_bias; /* (F), (F), (D) or NULL */
  float limit; /* of the hidden values, as the kind applies it; 0: none */
} MsFeedForward;

/* Rotary positions: angle of pair i at position p is p * step[i], the result scaled by magnitude. */
typedef struct MsRotation MsRotation;
struct MsRotation
{
  guint index; /* in the plan's array */
  guint n_pairs;
  gboolean halves; /* MS_ROPE_HALVES */
  double *step;    /* (n_pairs) */
  float magnitude;
  const MsRotation *longer; /* of documents of more than `longest` tokens; NULL: there is none */
  gsize longest;
};

/* How streams side by side are read and written (streams-private.h). */
typedef struct
{
  MsMatrix w;          /* (mixes, streams * D); tensor NULL: there is one stream */
  float *base, *scale; /* (mixes); of the parts of the mixes */
} MsStreamMix;

/* A block: a mixer that moves values between tokens, then experts or one dense network; of some
 * architectures only one of the two. */
typedef struct
{
  MsNorm mixer_norm;    /* (D) of what the mixer reads */
  const MsMixer *mixer; /* NULL: none */
  gpointer mixer_part;  /* the mixer's own struct: its geometry and weights */
  MsNorm ffn_norm;      /* (D) of what router and experts read */
  /* (D) of what the mixer gives, and of what the networks give together, before it is added; kind NULL: none. */
  MsNorm mixer_post, ffn_post;
  MsNorm
      early_norm; /* (D) of the block's input: what router and experts read; kind NULL: what ffn_norm gives */
  /* Of blocks whose networks have norms of their own (kind NULL: no such block): what `beside` reads, what it
   * gives, what the experts give; then the router reads the stream's norm times router_scale / sqrt (D). */
  MsNorm beside_norm, beside_post, experts_post;
  float *router_scale; /* (D) or NULL */
  float *output_scale; /* (1) of the stream behind the block, or NULL */
  gboolean is_moe;
  MsGate gate;           /* how logits become choices and weights */
  MsMatrix logits;       /* (E, D) */
  float *router_bias;    /* (E) or NULL */
  float *selection_bias; /* (E) or NULL */
  guint16 *by_token;     /* (V, K): the experts of each token id, whatever its logits; or NULL */
  const MsFeedForwardKind *feed_forward;
  MsFeedForward *networks; /* (E) experts, or (1) of a dense layer; NULL: none */
  /* Experts that read and write vectors of a width Z of their own: (Z, D), (D, Z); or absent. */
  MsMatrix latent_down, latent_up;
  /* Experts of `per_chunk` experts in a row each: they read what the chosen experts give, and what they give
   * is added to that, times chunk_scale.  NULL: none. */
  MsFeedForward *chunks; /* (n_chunks) */
  guint n_chunks, per_chunk;
  float chunk_scale;
  MsFeedForward shared; /* tensors NULL: none */
  MsFeedForward beside; /* a dense network that reads what the router reads; tensors NULL: none */
  MsMatrix shared_gate; /* (1, D) or absent */
  MsStreamMix mixer_mix, ffn_mix;
} MsPlanBlock;

typedef struct
{
  const MsArchitecture *architecture;
  const MsNormKind *norm;            /* the architecture's, for this file */
  guint width, n_blocks, vocabulary; /* D, blocks, V */
  guint32 context; /* tokens the model was trained for; 0: the file does not say */
  float epsilon;
  GPtrArray *rotations; /* of MsRotation*, borrowed by the blocks' mixers */
  MsPlanBlock *blocks;  /* (n_blocks) */
  guint n_moe;          /* MoE layers */
  guint last_moe;       /* the block number of the last one */
  MsMatrix embedding;   /* (V, D) */
  MsNorm output_norm;   /* (D), kind NULL in files without an output head */
  MsHead head;          /* its matrix the embedding when tied; absent without output_norm */
  MsScales scales;      /* the file's, or the architecture's where it has none */
  guint n_chosen;  /* tokens that an index chooses for each one, from block to block; 0: no index */
  guint n_streams; /* side by side; 0: one as ever, and nothing of the following */
  guint stream_rounds; /* in which C is made */
  float stream_epsilon;
  MsStreamMix head_mix; /* of what the last norm reads */
  GPtrArray *warnings;  /* of char* */
} MsPlan;

/* Borrows the file.  Errors: UNSUPPORTED (architecture, rope scaling, tensor type), MISSING, CORRUPT. */
MsPlan *ms_plan_new (const MsGguf *gguf, GError **error);
void ms_plan_free (MsPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsPlan, ms_plan_free)

/* Visits the tables of a block's tensors, each with the struct that it describes. */
typedef void (*MsTableFunc) (const MsTensorTable *table, gpointer base, gpointer data);
void ms_plan_block_each (const MsPlanBlock *block, MsTableFunc visit, gpointer data);
/* How many networks the block has: E experts, or 1 of a dense layer. */
guint ms_plan_block_networks (const MsPlanBlock *block);

/* The model as it is stored.  (transfer full) */
MsModel *ms_plan_model (const MsPlan *plan, const MsGguf *gguf, const char *path);

G_END_DECLS
