/* Causal attention within the documents of a wave, in blocks of queries: memory grows with the length
 * of a document, not with its square. */
#pragma once

#include "product-private.h"

G_BEGIN_DECLS

typedef struct
{
  guint threads;
  guint n_heads, n_kv_heads;
  gsize key_width, value_width; /* of a head */
  float scale;                  /* of the scores */
  float cap;                    /* scores then are cap tanh (score / cap); 0: none */
  gsize window;                 /* a token sees the last so many, itself among them; 0: all */
  gboolean chunked;             /* it sees instead those of its own chunk of `window` tokens */
  /* NULL, or the blocks of `block` tokens of its document that a key-value head of a token sees, as far as up
   * to itself: (n, n_kv_heads, n_blocks), those behind the first -1 not counting. */
  const gint32 *blocks;
  gsize block, n_blocks;
  const float *sinks;  /* (n_heads) of scores that take part in the softmax alone, or NULL */
  const gsize *starts; /* (n_documents + 1) */
  guint n_documents;
  const float *q, *k, *v; /* (n, heads * width), after rotation */
  gsize q_head;           /* values from a head of q to the next; 0: key_width */
  /* NULL, or gates of the heads' outputs: gate_width values each (value_width, or 1 for the whole head),
   * gate_head values behind those of the head before, applied by gate_by: x = x * f (gate), all (n). */
  const float *gate;
  gsize gate_head, gate_width;
  void (*gate_by) (float *x, const float *gate, gsize n);
  /* Further keys and values, each of `span` tokens of a document in turn: (.., n_kv_heads * width), those of
   * document d from span_starts[d] on.  A token sees those whose tokens all lie up to itself, or of them
   * those that `chosen` (n, n_chosen) names, up to the first -1.  span 0: none, and `chosen` names the
   * document's tokens, without a window. */
  gsize span;
  const gsize *span_starts;
  const float *span_k, *span_v;
  const gint32 *chosen; /* NULL: all */
  gsize n_chosen;
  MsOperand out; /* (n, out.width), of which the first n_heads * value_width are written */
} MsAttention;

void ms_attention_run (const MsAttention *attention);
/* Bytes of scratch per worker; `longest` counts a document's further keys too. */
gsize ms_attention_worker_bytes (gsize key_width, gsize value_width, gsize longest);

G_END_DECLS
