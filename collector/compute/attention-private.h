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
  gsize window;                 /* a token sees the last so many, itself among them; 0: all */
  const float *sinks;  /* (n_heads) of scores that take part in the softmax alone, or NULL */
  const gsize *starts; /* (n_documents + 1) */
  guint n_documents;
  const float *q, *k, *v; /* (n, heads * width), after rotation */
  gsize q_head;           /* values from a head of q to the next; 0: key_width */
  /* NULL, or what each head's output is multiplied by the sigmoid of: value_width values, those of a
   * head q_head values behind those of the head before. */
  const float *gate;
  MsOperand out; /* (n, out.width), of which the first n_heads * value_width are written */
} MsAttention;

void ms_attention_run (const MsAttention *attention);
/* Bytes of scratch per worker. */
gsize ms_attention_worker_bytes (gsize key_width, gsize value_width, gsize longest);

G_END_DECLS
