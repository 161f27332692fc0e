/* Scores of earlier keys and the choice among them (index-private.h).
 *
 * What must hold: tiles are cut within documents, so that no result depends on the wave; each tile
 * is written by one worker. */
#include "index-private.h"

#include "gemm.h"
#include "kernels-private.h"

#include <string.h>

#define TILE 4 /* tokens whose scores are under way at once */

/* A heap of n indices, the one of least score first: sifts `value` down from the hole, then up. */
static void
sift (gint32 *heap, gsize n, gsize hole, gint32 value, const float *scores)
{
  gsize top = hole;

  for (gsize child = 2 * hole + 2; child <= n; child = 2 * hole + 2)
    {
      if (child == n || scores[heap[child]] > scores[heap[child - 1]])
        child--;
      heap[hole] = heap[child];
      hole = child;
    }
  while (hole > top && scores[heap[(hole - 1) / 2]] > scores[value])
    {
      heap[hole] = heap[(hole - 1) / 2];
      hole = (hole - 1) / 2;
    }
  heap[hole] = value;
}

/* The k largest of scores (n), k < n, in no order.  Which of equal scores stay is what a heap that
 * takes them from the first on keeps, as the engines that run these models do it: scores are often
 * exactly 0. */
static void
choose_largest (const float *scores, gsize n, gsize k, gint32 *chosen)
{
  for (gsize i = 0; i < k; i++)
    chosen[i] = (gint32) i;
  for (gsize i = k / 2; i-- > 0;)
    sift (chosen, k, i, chosen[i], scores);
  for (gsize i = k; i < n; i++)
    if (scores[i] > scores[chosen[0]])
      sift (chosen, k, 0, (gint32) i, scores);
}

typedef struct
{
  const MsIndex *index;
  guint document;
  gsize longest;
  float **scratch; /* (threads): products of a tile, then scores of a token */
} Work;

static gsize
keys_seen (const MsIndex *index, gsize position)
{
  return (position + 1) / index->span;
}

/* Which keys a few tokens of a document see. */
static void
choose_tile (guint number, guint worker, gpointer data)
{
  const Work *work = data;
  const MsIndex *index = work->index;
  gsize start = index->starts[work->document], first = start + (gsize) number * TILE;
  gsize end = MIN (first + TILE, index->starts[work->document + 1]);
  gsize heads = index->heads, width = index->width, most = keys_seen (index, end - 1 - start);
  float *products, *scores;

  if (work->scratch[worker] == NULL)
    work->scratch[worker]
        = ms_aligned_alloc (ms_index_worker_bytes (heads, work->longest, index->span));
  products = work->scratch[worker];
  scores = products + TILE * heads * (work->longest / index->span);
  if (most > index->top)
    ms_gemm (FALSE, TRUE, (end - first) * heads, most, width, 1, index->q + first * heads * width,
             width, index->k + index->key_starts[work->document] * width, width, 0, products, most);
  for (gsize t = first; t < end; t++)
    {
      gsize seen = keys_seen (index, t - start);
      gint32 *chosen = index->chosen + t * index->top;

      for (gsize i = 0; i < index->top; i++)
        chosen[i] = i < seen ? (gint32) i : -1;
      if (seen <= index->top)
        continue;
      memset (scores, 0, seen * sizeof *scores);
      for (gsize h = 0; h < heads; h++)
        {
          const float *row = products + ((t - first) * heads + h) * most;
          float weight = index->weights[t * heads + h];

          for (gsize i = 0; i < seen; i++)
            scores[i] += MAX (row[i], 0.0f) * weight;
        }
      choose_largest (scores, seen, index->top, chosen);
    }
}

void
ms_index_run (const MsIndex *index)
{
  guint threads = ms_threads (index->threads);
  g_autofree float **scratch = g_new0 (float *, threads);
  Work work = { index, 0, 0, scratch };

  for (guint d = 0; d < index->n_documents; d++)
    work.longest = MAX (work.longest, index->starts[d + 1] - index->starts[d]);
  for (; work.document < index->n_documents; work.document++)
    {
      gsize length = index->starts[work.document + 1] - index->starts[work.document];

      ms_parallel (threads, (guint) ((length + TILE - 1) / TILE), choose_tile, &work);
    }
  for (guint i = 0; i < threads; i++)
    ms_aligned_free (scratch[i]);
}

gsize
ms_index_worker_bytes (gsize heads, gsize longest, gsize span)
{
  return (TILE * heads + 1) * (longest / span) * sizeof (float);
}
