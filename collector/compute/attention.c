/* Causal attention in blocks of queries, for heads that share keys and values together.
 *
 * What must hold: a query sees the tokens of its document up to itself, within the window where there is
 * one, and no others; work is cut by
 * lengths and heads alone, each block written by one worker, so results do not depend on the threads. */
#include "attention-private.h"

#include "gemm.h"
#include "kernels-private.h"

#include <math.h>
#include <string.h>

#define QUERIES 128 /* of a block */
#define HIDDEN                                                                                     \
  1.7e-38f      /* what exponentials of minus infinity are at most, as ms_exponentials makes them */
#define STACK 4 /* most heads of one key-value head that are multiplied together */

typedef struct
{
  gsize document, query; /* query counted from the document's start */
} Block;

typedef struct
{
  float *queries;              /* (STACK * QUERIES, key_width) */
  float *scores;               /* (STACK * QUERIES, longest) */
  float *mixed;                /* (STACK * QUERIES, value_width) */
  float sums[STACK * QUERIES]; /* of each row of scores */
} Scratch;

typedef struct
{
  const MsAttention *a;
  const Block *blocks;
  Scratch *scratch; /* (threads) */
  gsize longest;
  guint stacks; /* per block: key-value heads times stacks of heads */
} Work;

gsize
ms_attention_worker_bytes (gsize key_width, gsize value_width, gsize longest)
{
  return STACK * QUERIES * (key_width + value_width + longest) * sizeof (float);
}

/* The first token of the document that the one at `query` sees. */
static gsize
first_seen (const MsAttention *a, gsize query)
{
  if (a->chunked && a->window > 0)
    return query / a->window * a->window;
  return a->window > 0 && query + 1 > a->window ? query + 1 - a->window : 0;
}

/* Takes a head's scores (n) to exponentials and returns the sum to divide by.  A sink far above all scores
 * makes it infinite, and the head's output 0, as it should be. */
static float
take_softmax (const MsAttention *a, gsize head, float *scores, gsize n)
{
  float largest, sum;

  if (a->cap != 0)
    ms_soft_cap (scores, a->cap, n);
  largest = a->sinks != NULL ? ms_largest (scores, n) : 0;
  sum = ms_exponentials (scores, n);
  return a->sinks != NULL ? sum + expf (a->sinks[head] - largest) : sum;
}

/* Gates what head number `head` of all tokens' heads put out (value_width). */
static void
gate_head (const MsAttention *a, gsize head, float *out)
{
  const float *gate = a->gate + head * a->gate_head;
  float by = 1;

  if (a->gate_width == a->value_width)
    {
      a->gate_by (out, gate, a->value_width);
      return;
    }
  a->gate_by (&by, gate, 1);
  ms_scale (out, by, a->value_width, out);
}

/* How many further keys a token sees, or may choose among. */
static gsize
spans_seen (const MsAttention *a, gsize query)
{
  return a->span > 0 ? (query + 1) / a->span : 0;
}

/* Hides what a query does not see of its scores: `spans` further keys, then tokens, of which it sees
 * from..to-1; of the former, or of the latter where there are none, those chosen.  Returns how many scores
 * to take. */
static gsize
hide (const MsAttention *a, gsize token, gsize query, float *scores, gsize spans, gsize from,
      gsize to)
{
  gsize seen = a->span > 0 ? spans_seen (a, query) : to;
  const gint32 *chosen = a->chosen != NULL ? a->chosen + token * a->n_chosen : NULL;
  g_autofree float *kept = NULL;

  for (gsize i = a->span > 0 ? seen : 0; i < spans + from; i++)
    scores[i] = -INFINITY;
  if (chosen != NULL && seen > a->n_chosen)
    {
      kept = g_memdup2 (scores, seen * sizeof *scores);
      for (gsize i = 0; i < seen; i++)
        scores[i] = -INFINITY;
      for (gsize i = 0; i < a->n_chosen && chosen[i] >= 0; i++)
        scores[chosen[i]] = kept[chosen[i]];
    }
  return spans + to;
}

/* Puts minus infinity in the place of scores (to) of tokens, from first_key of the document on, that lie in
 * no block that the key-value head of `token` sees. */
static void
hide_blocks (const MsAttention *a, gsize token, gsize kv, gsize first_key, gsize to, float *scores)
{
  const gint32 *seen = a->blocks + (token * a->n_kv_heads + kv) * a->n_blocks;

  for (gsize b = first_key / a->block; b * a->block < first_key + to; b++)
    {
      gsize from = MAX (b * a->block, first_key), end = MIN ((b + 1) * a->block, first_key + to);
      gsize i = 0;

      while (i < a->n_blocks && seen[i] >= 0 && seen[i] != (gint32) b)
        i++;
      if (i < a->n_blocks && seen[i] >= 0)
        continue;
      for (gsize key = from; key < end; key++)
        scores[key - first_key] = -INFINITY;
    }
}

/* One block of queries, for some heads that share keys and values. */
static void
run_block (guint index, guint worker, gpointer data)
{
  const Work *work = data;
  const MsAttention *a = work->a;
  const Block *block = &work->blocks[index / work->stacks];
  guint group = a->n_heads / a->n_kv_heads, per_kv = (group + STACK - 1) / STACK;
  guint stack = index % work->stacks, kv = stack / per_kv, first = stack % per_kv * STACK;
  guint heads = MIN (STACK, group - first);
  Scratch *s = &work->scratch[worker];
  gsize start = a->starts[block->document], length = a->starts[block->document + 1] - start;
  gsize n = MIN (QUERIES, length - block->query), first_key = first_seen (a, block->query);
  gsize keys = block->query + n - first_key, spans = spans_seen (a, block->query + n - 1);
  gsize row_length = spans + keys;
  gsize dk = a->key_width, dv = a->value_width, q_head = a->q_head > 0 ? a->q_head : dk;
  gsize k_row = a->n_kv_heads * dk, v_row = a->n_kv_heads * dv;

  if (s->queries == NULL)
    {
      s->queries = ms_aligned_alloc (STACK * QUERIES * dk * sizeof (float));
      s->scores = ms_aligned_alloc (
          STACK * QUERIES * (work->longest + spans_seen (a, work->longest)) * sizeof (float));
      s->mixed = ms_aligned_alloc (STACK * QUERIES * dv * sizeof (float));
    }
  for (guint h = 0; h < heads; h++)
    for (gsize i = 0; i < n; i++)
      memcpy (s->queries + (h * n + i) * dk,
              a->q + ((start + block->query + i) * a->n_heads + kv * group + first + h) * q_head,
              dk * sizeof (float));
  ms_gemm (FALSE, TRUE, heads * n, keys, dk, a->scale, s->queries, dk,
           a->k + (start + first_key) * k_row + kv * dk, k_row, 0, s->scores + spans, row_length);
  if (spans > 0)
    ms_gemm (FALSE, TRUE, heads * n, spans, dk, a->scale, s->queries, dk,
             a->span_k + a->span_starts[block->document] * k_row + kv * dk, k_row, 0, s->scores,
             row_length);
  for (gsize i = 0; i < heads * n; i++)
    {
      gsize query = block->query + i % n, from = first_seen (a, query) - first_key;
      gsize to = query + 1 - first_key;
      float *row = s->scores + i * row_length;

      if (a->span > 0 || a->chosen != NULL)
        {
          to = hide (a, start + query, query, row, spans, from, to);
          s->sums[i] = take_softmax (a, kv * group + first + i / n, row, to);
          for (gsize j = 0; j < to; j++)
            row[j] = row[j] > HIDDEN ? row[j] : 0;
          memset (row + to, 0, (row_length - to) * sizeof (float));
          continue;
        }
      if (a->blocks != NULL)
        hide_blocks (a, start + query, kv, first_key, to, row);
      s->sums[i] = take_softmax (a, kv * group + first + i / n, row + from, to - from);
      memset (row, 0, from * sizeof (float));
      memset (row + to, 0, (keys - to) * sizeof (float));
    }
  ms_gemm (FALSE, FALSE, heads * n, dv, keys, 1, s->scores + spans, row_length,
           a->v + (start + first_key) * v_row + kv * dv, v_row, 0, s->mixed, dv);
  if (spans > 0)
    ms_gemm (FALSE, FALSE, heads * n, dv, spans, 1, s->scores, row_length,
             a->span_v + a->span_starts[block->document] * v_row + kv * dv, v_row, 1, s->mixed, dv);
  for (guint h = 0; h < heads; h++)
    for (gsize i = 0; i < n; i++)
      {
        float *from = s->mixed + (h * n + i) * dv, scale = 1.0f / s->sums[h * n + i];
        gsize token = start + block->query + i, head = kv * group + first + h;
        gsize at = token * a->out.width + head * dv;
        float *to = a->out.f == NULL ? from : a->out.f + at;

        ms_scale (from, scale, dv, to);
        if (a->gate != NULL)
          gate_head (a, token * a->n_heads + head, to);
        if (a->out.f == NULL)
          ms_bf16_from_float (from, dv, a->out.h + at);
      }
}

void
ms_attention_run (const MsAttention *a)
{
  guint threads = ms_threads (a->threads), group = a->n_heads / a->n_kv_heads;
  g_autoptr (GArray) blocks = g_array_new (FALSE, FALSE, sizeof (Block));
  g_autofree Scratch *scratch = g_new0 (Scratch, threads);
  Work work = { a, NULL, scratch, 0, a->n_kv_heads * ((group + STACK - 1) / STACK) };

  for (gsize d = 0; d < a->n_documents; d++)
    {
      gsize length = a->starts[d + 1] - a->starts[d];

      work.longest = MAX (work.longest, length);
      for (gsize query = 0; query < length; query += QUERIES)
        g_array_append_val (blocks, ((Block){ d, query }));
    }
  work.blocks = (const Block *) (gconstpointer) blocks->data;
  ms_parallel (threads, blocks->len * work.stacks, run_block, &work);
  for (guint i = 0; i < threads; i++)
    {
      ms_aligned_free (scratch[i].queries);
      ms_aligned_free (scratch[i].scores);
      ms_aligned_free (scratch[i].mixed);
    }
}
