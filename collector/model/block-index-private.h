/* The index by which MiniMax-M3's attention chooses blocks of the document. */
#pragma once

#include "engine-private.h"
#include "tensors-private.h"

G_BEGIN_DECLS

typedef struct
{
  guint n_heads, width; /* of the index: one head for each key-value head of attention */
  guint top, block,
      n_local;   /* blocks that a token sees; their tokens; of these the last so many always */
  MsMatrix q, k; /* (n_heads * width, D), (width, D); tensor NULL: there is no index */
  MsNorm q_norm, k_norm; /* (width) */
} MsBlockIndex;

/* Reads the index's numbers where the block has its tensors; otherwise n_heads stays 0.  Errors: MISSING,
 * CORRUPT. */
gboolean ms_block_index_load (MsLoader *loader, guint block, guint n_kv_heads, MsBlockIndex *index,
                              GError **error);
/* blocks (n, n_heads, top): for each token and head the blocks of its document whose keys k (n, width), up to
 * the token, fit its queries q (n, n_heads * width) best; -1 behind the last.  Both after norms and rotation.
 * Among equal ones the first is taken. */
void ms_block_index_choose (const MsEngine *engine, const MsBlockIndex *index, const float *q,
                            const float *k, gint32 *blocks);

G_END_DECLS
