/* An index beside attention (MiniMax-M3): each key-value head of a token attends within the blocks of its document
 * that hold the keys which fit best, and within the last ones.
 *
 *   value of block b = largest over its tokens s <= t of q[t][head] . k[s]
 *
 * What must hold: of a document the blocks are counted from its own start; a token's own block is among those
 * compared; sums run in a fixed order, so that choices do not depend on the threads. */
#include "block-index-private.h"

#include "kernels-private.h"

#include <math.h>

gboolean
ms_block_index_load (MsLoader *loader, guint block, guint n_kv_heads, MsBlockIndex *index,
                     GError **error)
{
  g_autofree char *mark = g_strdup_printf ("blk.%u.indexer.q_proj.weight", block);
  guint32 heads = 0;

  if (ms_gguf_find (loader->gguf, mark) == NULL)
    return TRUE;
  if (!ms_loader_u32 (loader, "attention.indexer.head_count", MS_KEY_REQUIRED, &heads, error)
      || !ms_loader_u32 (loader, "attention.indexer.key_length", MS_KEY_REQUIRED, &index->width,
                         error)
      || !ms_loader_u32 (loader, "attention.indexer.top_k", MS_KEY_REQUIRED, &index->top, error)
      || !ms_loader_u32 (loader, "attention.indexer.block_size", MS_KEY_REQUIRED, &index->block,
                         error)
      || !ms_loader_u32 (loader, "attention.indexer.local_blocks", MS_KEY_REQUIRED, &index->n_local,
                         error))
    return FALSE;
  if (heads != n_kv_heads || index->width == 0 || index->width > 65536 || index->top == 0
      || index->top > 65536 || index->block == 0)
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_CORRUPT, error,
        "%s.attention.indexer.*: %u heads of %u for %u key-value heads, %u "
        "blocks of %u tokens; one head each and at least one block are expected",
        loader->plan->architecture->name, heads, index->width, n_kv_heads, index->top,
        index->block);
  index->n_heads = heads;
  return TRUE;
}

typedef struct
{
  const MsBlockIndex *index;
  const float *q, *k;
  gint32 *blocks;
} Choice;

/* The blocks (top) with the largest of n values, which are used up. */
static void
take_largest (float *values, gsize n, gsize top, gint32 *blocks)
{
  for (gsize i = 0; i < top; i++)
    {
      gsize best = 0;

      for (gsize b = 1; b < n; b++)
        best = values[b] > values[best] ? b : best;
      blocks[i] = i < n ? (gint32) best : -1;
      if (i < n)
        values[best] = -INFINITY;
    }
}

static void
choose (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Choice *choice = data;
  const MsBlockIndex *index = choice->index;
  gsize width = index->width, block = index->block;
  g_autofree float *values = g_new (float, engine->longest / block + 1);

  for (gsize t = from; t < to; t++)
    {
      gsize position = engine->positions[t], own = position / block;

      for (guint h = 0; h < index->n_heads; h++)
        {
          const float *q = choice->q + (t * index->n_heads + h) * width;

          for (gsize b = 0; b <= own; b++)
            values[b] = -INFINITY;
          for (gsize s = 0; s <= position; s++)
            {
              float fit = ms_dot (q, choice->k + (t - position + s) * width, width);

              values[s / block] = MAX (values[s / block], fit);
            }
          for (gsize b = 0; b < index->n_local && b <= own; b++)
            values[own - b] = INFINITY;
          take_largest (values, own + 1, index->top,
                        choice->blocks + (t * index->n_heads + h) * index->top);
        }
    }
}

void
ms_block_index_choose (const MsEngine *engine, const MsBlockIndex *index, const float *q,
                       const float *k, gint32 *blocks)
{
  Choice choice = { index, q, k, blocks };

  ms_engine_for_tokens (engine, engine->n, choose, &choice);
}
