/* What distinguishes one architecture from another: a constant row that names kinds.
 *
 * Whatever the file's tensors themselves tell (biases, dense layers, shared experts, old files with one
 * tensor per expert) is read from them and is no matter of the row. */
#pragma once

#include "gate.h"

G_BEGIN_DECLS

typedef struct MsMixer MsMixer;                     /* mixer-private.h */
typedef struct MsNormKind MsNormKind;               /* norm-private.h */
typedef struct MsFeedForwardKind MsFeedForwardKind; /* feed-forward-private.h */

/* How rotary positions pair the values of a head. */
typedef enum
{
  MS_ROPE_NONE,
  MS_ROPE_PAIRS,  /* rotates (2 i, 2 i + 1), "NORM" */
  MS_ROPE_HALVES, /* rotates (i, i + n / 2), "NEOX" */
} MsRope;

/* What the tables of tensors and the kinds ask an architecture.  Bits. */
typedef guint64 MsSwitches;
#define MS_SWITCH(bit) ((MsSwitches) 1 << (bit))

#define MS_ALWAYS MS_SWITCH (0) /* every architecture has it */

/* Queries, keys and values. */
#define MS_QKV_BIAS           MS_SWITCH (1) /* queries, keys and values must have biases */
#define MS_QK_NORM_WHOLE      MS_SWITCH (2) /* queries and keys are normed over all heads at once, */
#define MS_QK_NORM_HEAD       MS_SWITCH (3) /* over each head, */
#define MS_QK_NORM_MAY        MS_SWITCH (4) /* or over each head where the file has norms */
#define MS_QK_NORM_TURNED     MS_SWITCH (5) /* norms over heads come after the rotation */
#define MS_QK_NORM_PLAIN      MS_SWITCH (6) /* ... after it and without weights */
#define MS_QUERY_GATED        MS_SWITCH (7) /* behind each head's query stands the gate of its output */
#define MS_VALUES_MAY_BE_KEYS MS_SWITCH (8)  /* without attn_v: keys before their norm */
#define MS_VALUES_NORMED      MS_SWITCH (9)  /* values are normed without weights */
#define MS_CLAMP_QKV          MS_SWITCH (10) /* attention.clamp_kqv counts */

/* Scores of attention, and what becomes of its output. */
#define MS_SINKS           MS_SWITCH (11) /* attn_sinks: a score that takes part in each head's softmax, */
#define MS_SINKS_MAY       MS_SWITCH (12) /* or where the block has it */
#define MS_GATED           MS_SWITCH (13) /* attn_gate gates heads, or each value of them, */
#define MS_GATED_MAY       MS_SWITCH (14) /* or where the block has it; by the sigmoid, */
#define MS_GATE_SOFTPLUS   MS_SWITCH (15) /* or by softplus */
#define MS_SCORES_CAPPED   MS_SWITCH (16) /* attention.output_scale, attn_logit_softcapping count */
#define MS_ATTENTION_SCALE MS_SWITCH (17) /* attention.scale counts */
#define MS_VALUE_SCALE     MS_SWITCH (18) /* attention.value_scale counts */

/* Positions. */
#define MS_ROPE_HALF         MS_SWITCH (19) /* blocks without window turn half of rope.dimension_count */
#define MS_PLACED_UNLESS     MS_SWITCH (20) /* models without windows have positions everywhere */
#define MS_ROPE_IF_FINETUNED MS_SWITCH (21) /* rope.scaling.finetuned false: no positions */
#define MS_YARN_LOG          MS_SWITCH (22) /* rope.scaling.yarn_log_multiplier counts, */
#define MS_YARN_TENTHS       MS_SWITCH (23) /* in tenths, */
#define MS_YARN_LEVEL        MS_SWITCH (24) /* and leaves YaRN's magnitude at 1 */
#define MS_YARN_FLAT         MS_SWITCH (25) /* YaRN has no magnitude */

/* Mixers other than attention. */
#define MS_DELTA_GROUPED      MS_SWITCH (26) /* delta nets: value heads of a key head stand together */
#define MS_DELTA_SPLIT        MS_SWITCH (27) /* the others: beta and alpha in matrices of their own */
#define MS_LATENT_GATED       MS_SWITCH (28) /* attn_gate gates the heads of latent attention */
#define MS_LATENT_TEMPERATURE MS_SWITCH (29) /* attention.temperature_scale counts */

/* What reads what in a block. */
#define MS_ONE_PART     MS_SWITCH (30) /* mixer, experts or dense network, with attn_norm alone */
#define MS_PARALLEL     MS_SWITCH (31) /* networks read what the mixer reads */
#define MS_ROUTER_FIRST MS_SWITCH (32) /* the router reads the stream before the mixer */
#define MS_EXPERTS_FIRST                                                                           \
  MS_SWITCH (33) /* router and experts read the stream before it (ffn_norm_exps) */
#define MS_SIDE_BY_SIDE MS_SWITCH (34) /* blocks may be scaled; those with experts have also: */
#define MS_STREAMS      MS_SWITCH (35) /* several streams, mixed around each half (streams.c) */

/* The experts. */
#define MS_SHARED            MS_SWITCH (36) /* experts of every token (ffn_*_shexp), weight 1 */
#define MS_SHARED_GATED      MS_SWITCH (37) /* ... times sigmoid (ffn_gate_inp_shexp . x) */
#define MS_BESIDE_MAY        MS_SWITCH (38) /* a dense network beside them, where the block has one */
#define MS_EXPERTS_OF_CHUNKS MS_SWITCH (39) /* a second set of experts (ffn_*_chexps) */
#define MS_HASHED            MS_SWITCH (40) /* of the first hash_layer_count blocks token ids choose */
#define MS_BIAS_BARE         MS_SWITCH (41) /* the selection bias is named exp_probs_b alone */

/* The norms of a block and of the model, and the head. */
#define MS_FFN_NORM_POST  MS_SWITCH (42) /* what router and experts read: post_attention_norm */
#define MS_FFN_NORM_OUT   MS_SWITCH (43) /* ... or attn_output_norm */
#define MS_POST_NORMS     MS_SWITCH (44) /* post_attention_norm, post_ffw_norm before adding, */
#define MS_POST_NORM_OUT  MS_SWITCH (45) /* or by attn_output_norm, post_ffw_norm */
#define MS_LAST_NORM_EMBD MS_SWITCH (46) /* the last norm is named token_embd_norm */
#define MS_HEAD_BIAS      MS_SWITCH (47) /* the output head must have a bias */

/* Keys that scale or cap (scales.c): who does not have the switch refuses the key. */
#define MS_EMBEDDING_SCALE MS_SWITCH (48) /* embedding_scale */
#define MS_RESIDUAL_SCALE  MS_SWITCH (49) /* residual_scale */
#define MS_LOGIT_SCALE     MS_SWITCH (50) /* logit_scale multiplies, */
#define MS_LOGITS_DIVIDED  MS_SWITCH (51) /* or divides */
#define MS_LOGIT_CAP       MS_SWITCH (52) /* final_logit_softcapping */

/* What the file shows of a block: no row has them, the table that asks is told them where it is loaded
 * (MsTensorPlace.switches).  Each belongs to one table, so that tables share numbers. */
#define MS_FOUND(number)   MS_SWITCH (63 - (number))
#define MS_QKV_FUSED       MS_FOUND (0) /* attention: attn_qkv holds all three */
#define MS_VALUES_ARE_KEYS MS_FOUND (1) /* attention: there is no attn_v */
#define MS_DELTA_FUSED_IN  MS_FOUND (0) /* delta nets: all but beta and alpha in ssm_in */
#define MS_DELTA_DECAY_LOW MS_FOUND (1) /* delta nets: decays through ssm_f_a and ssm_f_b (Kimi) */
#define MS_DELTA_GATE_LOW  MS_FOUND (2) /* delta nets: gates through ssm_g_a and ssm_g_b (Kimi) */
#define MS_LATENT_WHOLE    MS_FOUND (0) /* latent attention: attn_kv_b */
#define MS_LATENT_QUERIES  MS_FOUND (1) /* latent attention: attn_q_a and attn_q_b */
#define MS_KEYS_CHOSEN     MS_FOUND (2) /* latent, compressed attention: an index chooses among keys */
#define MS_COMPRESSED      MS_FOUND (0) /* compressed attention: the block has compressed keys */
#define MS_OWN_SIDES       MS_FOUND (0) /* block: router, experts, beside with norms of their own */
#define MS_POST_NORM_LAST  MS_FOUND (1) /* block: layer_output_norm instead of post_ffw_norm */
#define MS_LATENT_EXPERTS  MS_FOUND (2) /* block: ffn_latent_down, ffn_latent_up */
#define MS_ROPE_BY_LENGTH  MS_FOUND (0) /* positions: rope_factors_long, rope_factors_short */

/* Which blocks attend within a window instead of the whole document before a token. */
typedef struct
{
  /* Of so many blocks in turn all but one, unless attention.sliding_window_pattern says otherwise. */
  guint period;
  gboolean whole_first; /* that one is the first of them; otherwise the last */
  gboolean by_block;    /* the pattern must be there */
  gboolean needed; /* attention.sliding_window must be there; otherwise its absence means none */
  /* Windows are chunks of attention.sliding_window tokens, or of so many where the key is absent. */
  guint chunk;
  gboolean plain_rope; /* positions in windows are neither scaled nor divided */
  float rope_base;     /* in windows, without rope.freq_base_swa; 0: as elsewhere */
  /* NULL, or the key of the base of positions in blocks without windows. */
  const char *whole_base_key;
} MsWindows;

/* An index that chooses which tokens latent attention sees. */
typedef struct
{
  gboolean halves; /* its positions pair the halves of a head, whatever those of attention do */
  gboolean shared; /* blocks may take the choice of the block before: attention.indexer.types */
} MsLightning;

/* Which blocks have rotary positions. */
typedef enum
{
  MS_PLACED_ALL,
  MS_PLACED_IN_WINDOWS,    /* those that attend within windows, */
  MS_PLACED_OR_DENSE,      /* and leading_dense_block_count of the first, */
  MS_PLACED_OR_FOUR,       /* or all of a model of four blocks */
  MS_PLACED_NOT_IN_FOURTH, /* all but the last of four */
  MS_PLACED_BY_KEY,        /* those of attention.rope_pattern; all where it is absent */
} MsPlaced;

/* What queries of blocks without positions are multiplied by as a document grows:
 * 1 + scale * ln (floor ((position + offset) / length) + 1). */
typedef struct
{
  float scale, offset;
  guint length;
} MsTemperature;

/* Who says a fact of the router. */
typedef enum
{
  MS_TOLD_BY_ARCHITECTURE, /* the recipe; a key that contradicts is refused or warned of */
  MS_TOLD_BY_KEY,          /* a key, the recipe where it is absent */
  MS_TOLD_BY_NEEDED_KEY,   /* a key that must be there */
} MsTold;

/* How logits become choices and weights. */
typedef struct
{
  MsScoring scoring;
  MsTold scoring_told; /* key expert_gating_func */
  gboolean renormalise;
  MsTold renormalise_told; /* key expert_weights_norm */
  gboolean weight_first;   /* the weight multiplies what an expert reads, not what it puts out */
  /* Models of so many blocks and words score by sigmoid where no key says how; 0: none do. */
  guint sigmoid_least_blocks, sigmoid_most_blocks, sigmoid_vocabulary;
} MsRecipe;

/* What multiplies streams, scores and logits; 0 is not set. */
typedef struct
{
  float embedding; /* rows of the embedding */
  float residual;  /* what a mixer, or the experts with the shared ones, add to the stream */
  float kept;      /* the norm that takes the place of the stream; not set: the stream stays */
  float attention; /* scores of attention; not set: 1 / sqrt (head width) */
  float score_cap; /* ... which then are cap tanh (score / cap) */
  float beside;    /* the sum of experts and of a dense network beside them */
  float shared;    /* the sum of routed and shared experts, where a block has both */
  float logits;    /* of the output head ... */
  float logit_cap; /* ... which then are cap tanh (logit / cap) */
  float clamp;     /* queries, keys and values stay within -clamp..clamp */
} MsScales;

/* The most kinds of mixers in one architecture. */
#define MS_MAX_MIXERS 3

typedef struct
{
  const char *name; /* general.architecture */
  /* Ended by NULL.  With more than one, a block has the first whose mark is among its tensors. */
  const MsMixer *mixers[MS_MAX_MIXERS + 1];
  MsRope rope;
  const MsNormKind *norm;
  const MsNormKind *norm_else;           /* of files that have its epsilon instead; or NULL */
  const MsFeedForwardKind *feed_forward; /* of experts, shared experts and dense layers */
  const MsRecipe *recipe;
  const MsWindows *windows;     /* NULL: every block attends to whole documents */
  const MsLightning *lightning; /* NULL: no index */
  gboolean further_by_tensors; /* nextn_predict_layers counts where the blocks have nextn.eh_proj */
  MsPlaced placed;
  const MsTemperature *temperature; /* or NULL */
  MsSwitches switches;
  MsScales scales;         /* where the file has no keys; those below go with the model's size */
  float embedding_by_root; /* the embedding scale is this * sqrt (D) */
  float residual_by_depth; /* the residual scale is this / sqrt (blocks) */
  float logits_by_width;   /* the logit scale is this / D */
  /* The norm that half a block reads, times residual_scale, stays in place of the stream. */
  gboolean keeps_norm;
  gboolean shared_in_up; /* shared experts have gate and up in ffn_up_shexp, the gate first */
  float yarn_fast;       /* rope.scaling.yarn_beta_fast where the key is absent; 0: 32 */
  const char *note;      /* what a user should know of it, a warning of each plan; or NULL */
} MsArchitecture;

/* NULL for a name that is not in the table. */
const MsArchitecture *ms_architecture_find (const char *name);
/* All names, "llama, olmoe, ...".  (transfer full) */
char *ms_architecture_names (void);

G_END_DECLS
