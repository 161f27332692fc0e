/* The executor: takes a wave of whole documents through the model, one layer after the other.
 *
 * In a MoE layer the wave's tokens are grouped by expert.  What cannot change a decision is not done:
 * after the last router nothing, unless norms or predictions are asked for.  Sums run over experts in
 * the order of their ids, work is cut by shape alone: decisions do not depend on the thread count nor
 * (with oneDNN on AVX-512, see gemm.h) on how documents are put into waves. */
#pragma once

#include "rows-private.h"

G_BEGIN_DECLS

/* Bytes of feed-forward activations under way at once. */
#define MS_FORWARD_BATCH_BYTES (256 * 1024 * 1024)

typedef struct MsChanges MsChanges;

typedef struct
{
  gboolean bf16; /* products of bfloat16; routers and attention stay float32 */
  guint threads;
  const MsChanges *changes; /* of the routing (intervene-private.h), borrowed; NULL: none */
} MsForwardOptions;

typedef struct
{
  const gint32 *ids;   /* (n_tokens), all below the vocabulary's size */
  const gsize *starts; /* (n_documents + 1): first token of each document, then n_tokens */
  guint n_documents;
} MsWave;

/* Called before each block; FALSE stops. */
typedef gboolean (*MsBlockFunc) (guint block, gpointer data);

/* Bytes of memory for each token of a wave, and beside them when the longest document is so long. */
gsize ms_forward_token_bytes (const MsPlan *plan, const MsForwardOptions *options);
gsize ms_forward_fixed_bytes (const MsPlan *plan, const MsForwardOptions *options, gsize longest);

typedef enum
{
  MS_FORWARD_DONE,
  MS_FORWARD_STOPPED, /* by `begin` */
  MS_FORWARD_BROKEN,  /* a value that is not finite came out of a block */
} MsForwardEnd;

/* Where a value first was not finite. */
typedef struct
{
  guint block; /* of the model; its number of blocks: the output head */
  gsize token; /* of the wave: the first that it befell */
} MsBroken;

/* Runs the wave and fills rows first..first+n_tokens-1: whatever arrays `rows` has.  *broken is set when
 * a token's stream, scores or loss stop being numbers; the rows are of no use then. */
MsForwardEnd ms_forward_run (const MsPlan *plan, const MsForwardOptions *options,
                             const MsWave *wave, MsRows *rows, gsize first, MsBlockFunc begin,
                             gpointer data, MsBroken *broken);

G_END_DECLS
