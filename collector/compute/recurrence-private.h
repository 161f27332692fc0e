/* What recurrent mixers share: a causal convolution over the last few tokens, the delta rule and
 * the selective scan, all within the documents of a wave. */
#pragma once

#include "product-private.h"

G_BEGIN_DECLS

/* ln (1 + exp (x)), in which large x is itself. */
float ms_softplus (float x);

typedef struct
{
  guint threads;
  const gsize *starts; /* (n_documents + 1) */
  guint n_documents;
  float *x; /* (n, row), of which `channels` are convolved in place */
  gsize row, channels;
  const float *kernel; /* (length, channels): the last of `length` goes with the token itself */
  gsize length;
  const float *bias; /* (channels) or NULL */
} MsConvolution;

/* x[t] = silu (sum over j of kernel[j] * x[t - length + 1 + j] + bias); tokens before the
 * document's first are 0. */
void ms_convolution_run (const MsConvolution *convolution);
/* A kernel (channels, length) as files have it, turned.  (transfer full) */
float *ms_convolution_kernel (const float *kernel, gsize channels, gsize length);

/* Each head keeps a matrix S (key width, value width), 0 before the document's first token, and at
 * each token, with the columns of S independent of each other,
 *
 *   S = diag (decay) S;  S += k (beta (v - S^T k))^T;  output = S^T q
 *
 * (Yang, Kautz & Hatamizadeh 2024, Gated delta networks; a decay per key channel: Kimi Linear,
 * 2025) */
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

/* Each head keeps a state S (n_states, width), 0 before the document's first token, and at each
 * token, with the columns of S independent of each other,
 *
 *   S = exp (step rate) S;  S += b (step x)^T;  output = S^T c + skip x
 *
 * with one step, rate and skip for the head (Dao & Gu 2024, Mamba-2), or each for every column, the
 * rate for every state too (Gu & Dao 2023, Mamba).  With k for b, v for x and q for c it is linear
 * attention that decays (Qin et al. 2024, Lightning attention). */
typedef struct
{
  guint threads;
  const gsize *starts; /* (n_documents + 1) */
  guint n_documents;
  guint n_heads;
  gsize width, n_states;
  float *x; /* (n, x_row), heads x_head apart; becomes the output */
  gsize x_row, x_head;
  const float *b,
      *c; /* (n, group_row), n_states of each group of heads in a row, group_head apart */
  gsize group_row, group_head;
  guint n_groups;
  const float *step; /* (n, step_row) of n_heads, or of n_heads * width; NULL: all 1 */
  gsize step_row;
  gboolean per_column; /* heads of x then stand side by side */
  const float *rate;   /* (n_heads), or (n_states, ms_scan_rates_row ()) */
  const float *skip;   /* (n_heads), or (n_heads * width); NULL: all 0 */
} MsScan;

void ms_scan_run (const MsScan *scan);
/* The row of rates of so many columns: padded, since columns are taken in tiles. */
gsize ms_scan_rates_row (gsize columns);
/* Bytes of scratch per worker. */
gsize ms_scan_worker_bytes (gsize n_states);

G_END_DECLS
