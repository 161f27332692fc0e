/* What recurrent mixers share: a causal convolution over the last few tokens, and the delta rule, both
 * within the documents of a wave. */
#pragma once

#include "product-private.h"

G_BEGIN_DECLS

typedef struct
{
  guint threads;
  const gsize *starts; /* (n_documents + 1) */
  guint n_documents;
  float *x; /* (n, row), of which `channels` are convolved in place */
  gsize row, channels;
  const float *kernel; /* (length, channels): the last of `length` goes with the token itself */
  gsize length;
} MsConvolution;

/* x[t] = silu (sum over j of kernel[j] * x[t - length + 1 + j]); tokens before the document's first are 0. */
void ms_convolution_run (const MsConvolution *convolution);
/* A kernel (channels, length) as files have it, turned.  (transfer full) */
float *ms_convolution_kernel (const float *kernel, gsize channels, gsize length);

/* Each head keeps a matrix S (key width, value width), 0 before the document's first token, and at each
 * token, with the columns of S independent of each other,
 *
 *   S = diag (decay) S;  S += k (beta (v - S^T k))^T;  output = S^T q
 *
 * (Yang, Kautz & Hatamizadeh 2024, Gated delta networks; a decay per key channel: Kimi Linear, 2025) */
typedef struct
{
  guint threads;
  const gsize *starts; /* (n_documents + 1) */
  guint n_documents;
  guint n_heads;
  gsize key_width, value_width;
  const float *q, *k; /* (n, key_row), key head after key head */
  gsize key_row;
  guint n_key_heads; /* each is that of n_heads / n_key_heads heads: */
  gboolean grouped;  /* of heads in a row, or of every n_key_heads-th */
  float *v;          /* (n, value_row), head after head; becomes the output */
  gsize value_row;
  const float *beta; /* (n, beta_row), one per head */
  gsize beta_row;
  const float *decay; /* (n, decay_row), head after head: one each, or one per key channel */
  gsize decay_row;
  gboolean per_channel;
} MsDeltaRule;

void ms_delta_rule_run (const MsDeltaRule *rule);
/* Bytes of scratch per worker. */
gsize ms_delta_rule_worker_bytes (gsize key_width);

G_END_DECLS
