/* The lightning indexer (DeepSeek-V3.2, 2025): for each token, which earlier keys its attention
 * sees.
 *
 *   score of key s at token t = sum over index heads of w[t][h] * max (0, q[t][h] . k[s])
 */
#pragma once

#include "product-private.h"

G_BEGIN_DECLS

typedef struct
{
  guint threads;
  const gsize *starts; /* (n_documents + 1) */
  guint n_documents;
  gsize heads, width;
  const float *q;          /* (n, heads * width) */
  const float *weights;    /* (n, heads) */
  const float *k;          /* (.., width): those of document d from key_starts[d] on, */
  const gsize *key_starts; /* (n_documents + 1) */
  gsize span;              /* each of so many tokens in turn, and seen from the last of them on */
  gsize top;               /* keys that a token sees, if so many are there */
  gint32 *chosen;          /* (n, top): their numbers within the document, then -1 */
} MsIndex;

void ms_index_run (const MsIndex *index);
/* Bytes of scratch per worker for documents of up to `longest` tokens. */
gsize ms_index_worker_bytes (gsize heads, gsize longest, gsize span);

G_END_DECLS
