/* The reference decoder forwards and backwards.
 *
 * What must hold: a pass runs on the calling thread and adds to its own gradient; the gradients of blocks
 * are merged in the order of blocks, so a step does not depend on the number of threads. */
#include "decoder-private.h"

#include "gemm.h"
#include "kernels-private.h"

#include <math.h>
#include <string.h>

/* Dimension letters: N tokens of the block, T context, D width, H heads, G key/value heads, W head
 * width, A = (H + 2G) W, E experts, K chosen, F expert width, S shared width, V vocabulary. */

#define HEAD_ROWS  256 /* tokens of the output head at a time: their logits stay in the cache */
#define QUERY_ROWS 64  /* queries of attention at a time: keys after the last of them are skipped */

/* Offsets inside one layer's parameters. */
typedef struct
{
  gsize attn_norm, qkv, q_norm, k_norm, out, ffn_norm, router, gate_up, down, shared_gate_up,
      shared_down, bias, size;
} Layout;

struct MsDecoder
{
  MsDecoderShape shape;
  Layout at;
  gsize embedding, layer0, output_norm, size;
  GArray *weights;      /* of MsWeight */
  float *cosine, *sine; /* (T, W/2) */
};

/* What the forward pass of a layer leaves for the backward pass. */
typedef struct
{
  float *x, *h, *qkv, *q, *k, *probs, *o, *mid, *h2, *gathered, *gate_up, *act, *shared_gate_up,
      *shared_act;
  float *inverse1, *inverse2, *inverse_qk; /* (N), (N), (N, H + G) */
  gint32 *rows;                            /* (N K) token slot of each gathered row */
  gint32 *slots;                           /* (N, K) gathered row of each slot */
  gsize *starts;                           /* (E + 1) rows of each expert */
  MsTrainRouting routing;
} Saved;

/* --- Parameters ------------------------------------------------------------------------------ */

static gsize
round_up (gsize n)
{
  return (n + 15) / 16 * 16;
}

static gsize
place (gsize *size, gsize n)
{
  gsize offset = *size;

  *size += round_up (n);
  return offset;
}

static void
add_weight (MsDecoder *decoder, int layer, const char *name, MsWeightKind kind, gsize offset,
            gsize columns, gsize rows, gsize depth, gsize stride)
{
  MsWeight weight = { .kind = kind,
                      .offset = offset,
                      .columns = columns,
                      .rows = rows,
                      .depth = depth,
                      .stride = stride };

  if (layer < 0)
    g_strlcpy (weight.name, name, sizeof weight.name);
  else
    g_snprintf (weight.name, sizeof weight.name, "blk.%d.%s", layer, name);
  g_array_append_val (decoder->weights, weight);
}

static void
add_layer_weights (MsDecoder *decoder, guint layer)
{
  const MsDecoderShape *s = &decoder->shape;
  const Layout *at = &decoder->at;
  gsize base = decoder->layer0 + layer * at->size;
  gsize d = s->width, f = s->expert_width, q = s->heads * s->head_width,
        kv = s->kv_heads * s->head_width, sf = s->shared * f;
  int l = (int) layer;

  add_weight (decoder, l, "attn_norm.weight", MS_WEIGHT_VECTOR, base + at->attn_norm, d, 1, 1, 0);
  add_weight (decoder, l, "attn_q.weight", MS_WEIGHT_MATRIX, base + at->qkv, d, q, 1, 0);
  add_weight (decoder, l, "attn_k.weight", MS_WEIGHT_MATRIX, base + at->qkv + q * d, d, kv, 1, 0);
  add_weight (decoder, l, "attn_v.weight", MS_WEIGHT_MATRIX, base + at->qkv + (q + kv) * d, d, kv,
              1, 0);
  add_weight (decoder, l, "attn_q_norm.weight", MS_WEIGHT_VECTOR, base + at->q_norm, s->head_width,
              1, 1, 0);
  add_weight (decoder, l, "attn_k_norm.weight", MS_WEIGHT_VECTOR, base + at->k_norm, s->head_width,
              1, 1, 0);
  add_weight (decoder, l, "attn_output.weight", MS_WEIGHT_MATRIX, base + at->out, q, d, 1, 0);
  add_weight (decoder, l, "ffn_norm.weight", MS_WEIGHT_VECTOR, base + at->ffn_norm, d, 1, 1, 0);
  add_weight (decoder, l, "ffn_gate_inp.weight", MS_WEIGHT_ROUTER, base + at->router, d, s->experts,
              1, 0);
  if (s->router->gate.biased)
    add_weight (decoder, l, "exp_probs_b.bias", MS_WEIGHT_STATE, base + at->bias, s->experts, 1, 1,
                0);
  add_weight (decoder, l, "ffn_gate_exps.weight", MS_WEIGHT_MATRIX, base + at->gate_up, d, f,
              s->experts, 2 * f * d);
  add_weight (decoder, l, "ffn_up_exps.weight", MS_WEIGHT_MATRIX, base + at->gate_up + f * d, d, f,
              s->experts, 2 * f * d);
  add_weight (decoder, l, "ffn_down_exps.weight", MS_WEIGHT_MATRIX, base + at->down, f, d,
              s->experts, d * f);
  if (sf == 0)
    return;
  add_weight (decoder, l, "ffn_gate_shexp.weight", MS_WEIGHT_MATRIX, base + at->shared_gate_up, d,
              sf, 1, 0);
  add_weight (decoder, l, "ffn_up_shexp.weight", MS_WEIGHT_MATRIX,
              base + at->shared_gate_up + sf * d, d, sf, 1, 0);
  add_weight (decoder, l, "ffn_down_shexp.weight", MS_WEIGHT_MATRIX, base + at->shared_down, sf, d,
              1, 0);
}

MsDecoder *
ms_decoder_new (const MsDecoderShape *shape)
{
  MsDecoder *decoder = g_new0 (MsDecoder, 1);
  const MsDecoderShape *s = &decoder->shape;
  Layout *at = &decoder->at;
  gsize d = shape->width, w = shape->head_width, f = shape->expert_width, half = w / 2,
        sf = shape->shared * f;

  decoder->shape = *shape;
  at->attn_norm = place (&at->size, d);
  at->qkv = place (&at->size, (s->heads + 2 * s->kv_heads) * w * d);
  at->q_norm = place (&at->size, w);
  at->k_norm = place (&at->size, w);
  at->out = place (&at->size, d * s->heads * w);
  at->ffn_norm = place (&at->size, d);
  at->router = place (&at->size, s->experts * d);
  at->gate_up = place (&at->size, s->experts * 2 * f * d);
  at->down = place (&at->size, s->experts * d * f);
  at->shared_gate_up = place (&at->size, 2 * sf * d);
  at->shared_down = place (&at->size, d * sf);
  at->bias = place (&at->size, s->router->gate.biased ? s->experts : 0);
  decoder->embedding = place (&decoder->size, s->vocabulary * d);
  decoder->layer0 = place (&decoder->size, s->layers * at->size);
  decoder->output_norm = place (&decoder->size, d);

  decoder->weights = g_array_new (FALSE, TRUE, sizeof (MsWeight));
  add_weight (decoder, -1, "token_embd.weight", MS_WEIGHT_MATRIX, decoder->embedding, d,
              s->vocabulary, 1, 0);
  add_weight (decoder, -1, "output_norm.weight", MS_WEIGHT_VECTOR, decoder->output_norm, d, 1, 1,
              0);
  for (guint l = 0; l < s->layers; l++)
    add_layer_weights (decoder, l);

  decoder->cosine = g_new (float, s->context *half);
  decoder->sine = g_new (float, s->context *half);
  for (gsize t = 0; t < s->context; t++)
    for (gsize i = 0; i < half; i++)
      {
        double angle = (double) t * pow ((double) s->rope_base, -2.0 * (double) i / (double) w);

        decoder->cosine[t * half + i] = (float) cos (angle);
        decoder->sine[t * half + i] = (float) sin (angle);
      }
  return decoder;
}

void
ms_decoder_free (MsDecoder *decoder)
{
  if (decoder == NULL)
    return;
  g_array_unref (decoder->weights);
  g_free (decoder->cosine);
  g_free (decoder->sine);
  g_free (decoder);
}

const MsDecoderShape *
ms_decoder_shape (const MsDecoder *decoder)
{
  return &decoder->shape;
}

gsize
ms_decoder_size (const MsDecoder *decoder)
{
  return decoder->size;
}

const MsWeight *
ms_decoder_weights (const MsDecoder *decoder, guint *n_weights)
{
  *n_weights = decoder->weights->len;
  return (const MsWeight *) decoder->weights->data;
}

gsize
ms_decoder_active (const MsDecoder *decoder)
{
  const MsDecoderShape *s = &decoder->shape;
  gsize active = 0;

  for (guint i = 0; i < decoder->weights->len; i++)
    {
      const MsWeight *weight = &g_array_index (decoder->weights, MsWeight, i);
      gsize used = weight->depth == s->experts ? s->top_k : weight->depth;

      active += weight->columns * weight->rows * used;
    }
  return active;
}

void
ms_decoder_init (const MsDecoder *decoder, guint64 seed, float *parameters)
{
  guint64 state = seed;
  double residual = 1.0 / sqrt (2.0 * decoder->shape.layers);

  memset (parameters, 0, decoder->size * sizeof *parameters);
  for (guint i = 0; i < decoder->weights->len; i++)
    {
      const MsWeight *weight = &g_array_index (decoder->weights, MsWeight, i);
      gsize n = weight->rows * weight->columns;
      double deviation = 0.02;

      if (strstr (weight->name, "_down") != NULL || strstr (weight->name, "attn_output") != NULL)
        deviation *= residual;
      for (gsize e = 0; e < weight->depth; e++)
        for (gsize j = 0; j < n; j++)
          {
            float *p = parameters + weight->offset + e * weight->stride + j;

            if (weight->kind == MS_WEIGHT_VECTOR)
              *p = 1;
            else if (weight->kind != MS_WEIGHT_STATE)
              {
                /* Box and Muller, one of the pair. */
                double u = 1.0 - ms_random_double (&state), v = ms_random_double (&state);

                *p = (float) (deviation * sqrt (-2.0 * log (u)) * cos (2.0 * G_PI * v));
              }
          }
    }
}

/* --- Attention -------------------------------------------------------------------------------- */

typedef struct
{
  const MsDecoder *decoder;
  const float *parameters;
  float *gradient; /* NULL in a forward pass alone */
  MsArena *arena;
  guint sequences, context;
  gsize n; /* tokens of the block */
} Pass;

/* Turns a head's row by its position; sign -1 turns back (the transpose, for gradients). */
static void
rotate (const MsDecoder *decoder, gsize position, float sign, float *row)
{
  gsize half = decoder->shape.head_width / 2;
  const float *cosine = decoder->cosine + position * half, *sine = decoder->sine + position * half;

  for (gsize i = 0; i < half; i++)
    {
      float a = row[i], b = row[i + half], s = sign * sine[i];

      row[i] = a * cosine[i] - b * s;
      row[i + half] = a * s + b * cosine[i];
    }
}

/* Norm and rotation of queries and keys: qkv (N, A) to q (N, H, W) and k (N, G, W). */
static void
queries_keys_forward (const Pass *pass, const float *layer, Saved *saved)
{
  const MsDecoderShape *s = &pass->decoder->shape;
  const Layout *at = &pass->decoder->at;
  gsize w = s->head_width, wide = (s->heads + 2 * s->kv_heads) * w, both = s->heads + s->kv_heads;

  for (gsize t = 0; t < pass->n; t++)
    {
      const float *row = saved->qkv + t * wide;
      float *q = saved->q + t * s->heads * w, *k = saved->k + t * s->kv_heads * w;
      float *inverse = saved->inverse_qk + t * both;

      ms_train_rms_forward (s->heads, w, s->epsilon, row, layer + at->q_norm, q, inverse);
      ms_train_rms_forward (s->kv_heads, w, s->epsilon, row + s->heads * w, layer + at->k_norm, k,
                            inverse + s->heads);
      for (gsize h = 0; h < s->heads; h++)
        rotate (pass->decoder, t % pass->context, 1, q + h * w);
      for (gsize h = 0; h < s->kv_heads; h++)
        rotate (pass->decoder, t % pass->context, 1, k + h * w);
    }
}

/* dq and dk are turned back in place; d_qkv's query and key part was zeroed. */
static void
queries_keys_backward (const Pass *pass, const float *layer, float *d_layer, const Saved *saved,
                       float *dq, float *dk, float *d_qkv)
{
  const MsDecoderShape *s = &pass->decoder->shape;
  const Layout *at = &pass->decoder->at;
  gsize w = s->head_width, wide = (s->heads + 2 * s->kv_heads) * w, both = s->heads + s->kv_heads;

  for (gsize t = 0; t < pass->n; t++)
    {
      const float *row = saved->qkv + t * wide, *inverse = saved->inverse_qk + t * both;
      float *q = dq + t * s->heads * w, *k = dk + t * s->kv_heads * w, *d = d_qkv + t * wide;

      for (gsize h = 0; h < s->heads; h++)
        rotate (pass->decoder, t % pass->context, -1, q + h * w);
      for (gsize h = 0; h < s->kv_heads; h++)
        rotate (pass->decoder, t % pass->context, -1, k + h * w);
      ms_train_rms_backward (s->heads, w, row, layer + at->q_norm, inverse, q, d,
                             d_layer + at->q_norm);
      ms_train_rms_backward (s->kv_heads, w, row + s->heads * w, layer + at->k_norm,
                             inverse + s->heads, k, d + s->heads * w, d_layer + at->k_norm);
    }
}

/* probs (sequence, H, T, T), zero after the diagonal inside a query block, untouched after it. */
static void
attention_forward (const Pass *pass, Saved *saved)
{
  const MsDecoderShape *s = &pass->decoder->shape;
  gsize w = s->head_width, context = pass->context, q_row = s->heads * w, k_row = s->kv_heads * w,
        wide = q_row + 2 * k_row;
  float scale = 1.0f / sqrtf ((float) w);

  for (gsize b = 0; b < pass->sequences; b++)
    for (gsize h = 0; h < s->heads; h++)
      {
        gsize first = b * context, g = h / (s->heads / s->kv_heads);
        float *probs = saved->probs + (b * s->heads + h) * context * context;

        for (gsize from = 0; from < context; from += QUERY_ROWS)
          {
            gsize to = MIN (from + QUERY_ROWS, context);

            ms_gemm (FALSE, TRUE, to - from, to, w, scale,
                     saved->q + (first + from) * q_row + h * w, q_row,
                     saved->k + first * k_row + g * w, k_row, 0, probs + from * context, context);
            for (gsize t = from; t < to; t++)
              {
                ms_train_softmax (t + 1, probs + t * context);
                memset (probs + t * context + t + 1, 0, (to - t - 1) * sizeof *probs);
              }
            ms_gemm (FALSE, FALSE, to - from, w, to, 1, probs + from * context, context,
                     saved->qkv + first * wide + q_row + k_row + g * w, wide, 0,
                     saved->o + (first + from) * q_row + h * w, q_row);
          }
      }
}

/* From d_o (N, H W) to dq, dk and the value part of d_qkv; dk and that part were zeroed. */
static void
attention_backward (const Pass *pass, const Saved *saved, const float *d_o, float *dq, float *dk,
                    float *d_qkv)
{
  const MsDecoderShape *s = &pass->decoder->shape;
  gsize w = s->head_width, context = pass->context, q_row = s->heads * w, k_row = s->kv_heads * w,
        wide = q_row + 2 * k_row;
  float scale = 1.0f / sqrtf ((float) w);
  float *d_probs = ms_arena_array (pass->arena, float, QUERY_ROWS *context);

  for (gsize b = 0; b < pass->sequences; b++)
    for (gsize h = 0; h < s->heads; h++)
      {
        gsize first = b * context, g = h / (s->heads / s->kv_heads);
        const float *probs = saved->probs + (b * s->heads + h) * context * context;
        gsize value = first * wide + q_row + k_row + g * w;

        for (gsize from = 0; from < context; from += QUERY_ROWS)
          {
            gsize to = MIN (from + QUERY_ROWS, context), rows = to - from;
            const float *d_rows = d_o + (first + from) * q_row + h * w;
            const float *q = saved->q + (first + from) * q_row + h * w;

            ms_gemm (TRUE, FALSE, to, w, rows, 1, probs + from * context, context, d_rows, q_row, 1,
                     d_qkv + value, wide);
            ms_gemm (FALSE, TRUE, rows, to, w, 1, d_rows, q_row, saved->qkv + value, wide, 0,
                     d_probs, context);
            for (gsize t = 0; t < rows; t++)
              ms_train_softmax_backward (to, scale, probs + (from + t) * context,
                                         d_probs + t * context);
            ms_gemm (FALSE, FALSE, rows, w, to, 1, d_probs, context,
                     saved->k + first * k_row + g * w, k_row, 0,
                     dq + (first + from) * q_row + h * w, q_row);
            ms_gemm (TRUE, FALSE, to, w, rows, 1, d_probs, context, q, q_row, 1,
                     dk + first * k_row + g * w, k_row);
          }
      }
}

/* --- Experts ---------------------------------------------------------------------------------- */

/* Groups token slots by expert, in token order, and gathers their inputs. */
static void
gather (const Pass *pass, Saved *saved)
{
  const MsDecoderShape *s = &pass->decoder->shape;
  gsize n_slots = pass->n * s->top_k, d = s->width;
  g_autofree gsize *next = g_new (gsize, s->experts);

  saved->starts[0] = 0;
  for (guint e = 0; e < s->experts; e++)
    {
      next[e] = saved->starts[e];
      saved->starts[e + 1] = saved->starts[e] + (gsize) saved->routing.load[e];
    }
  for (gsize slot = 0; slot < n_slots; slot++)
    {
      gsize row = next[saved->routing.ids[slot]]++;

      saved->rows[row] = (gint32) slot;
      saved->slots[slot] = (gint32) row;
      memcpy (saved->gathered + row * d, saved->h2 + slot / s->top_k * d, d * sizeof (float));
    }
}

static void
experts_forward (const Pass *pass, const float *layer, Saved *saved, float *x)
{
  const MsDecoderShape *s = &pass->decoder->shape;
  const Layout *at = &pass->decoder->at;
  gsize d = s->width, f = s->expert_width, sf = s->shared * f;
  float *y = ms_arena_array (pass->arena, float, pass->n * s->top_k * d);

  gather (pass, saved);
  for (guint e = 0; e < s->experts; e++)
    {
      gsize first = saved->starts[e], rows = saved->starts[e + 1] - first;

      ms_gemm (FALSE, TRUE, rows, 2 * f, d, 1, saved->gathered + first * d, d,
               layer + at->gate_up + e * 2 * f * d, d, 0, saved->gate_up + first * 2 * f, 2 * f);
      ms_train_swiglu_forward (rows, f, saved->gate_up + first * 2 * f, saved->act + first * f);
      ms_gemm (FALSE, TRUE, rows, d, f, 1, saved->act + first * f, f, layer + at->down + e * d * f,
               f, 0, y + first * d, d);
    }
  memcpy (x, saved->mid, pass->n * d * sizeof *x);
  for (gsize slot = 0; slot < pass->n * s->top_k; slot++)
    ms_train_add_scaled (d, saved->routing.weights[slot], y + (gsize) saved->slots[slot] * d,
                         x + slot / s->top_k * d);
  if (sf == 0)
    return;
  ms_gemm (FALSE, TRUE, pass->n, 2 * sf, d, 1, saved->h2, d, layer + at->shared_gate_up, d, 0,
           saved->shared_gate_up, 2 * sf);
  ms_train_swiglu_forward (pass->n, sf, saved->shared_gate_up, saved->shared_act);
  ms_gemm (FALSE, TRUE, pass->n, d, sf, 1, saved->shared_act, sf, layer + at->shared_down, sf, 1, x,
           d);
}

/* C = op(A)^T B where no row at all means zero, not untouched. */
static void
weight_gradient (gsize m, gsize n, gsize rows, const float *a, const float *b, float *c)
{
  if (rows == 0)
    memset (c, 0, m * n * sizeof *c);
  else
    ms_gemm (TRUE, FALSE, m, n, rows, 1, a, m, b, n, 0, c, n);
}

/* From dx (N, D), the gradient after the layer, to d_h2 (N, D) and d_weights (N, K). */
static void
experts_backward (const Pass *pass, const float *layer, float *d_layer, const Saved *saved,
                  const float *dx, float *d_h2, float *d_weights)
{
  const MsDecoderShape *s = &pass->decoder->shape;
  const Layout *at = &pass->decoder->at;
  gsize d = s->width, f = s->expert_width, sf = s->shared * f, n_slots = pass->n * s->top_k;
  float *dy = ms_arena_array (pass->arena, float, n_slots *d);
  float *d_gathered = ms_arena_array (pass->arena, float, n_slots *d);
  float *d_act = ms_arena_array (pass->arena, float, n_slots *f);
  float *act = ms_arena_array (pass->arena, float, n_slots *f);
  float *d_gate_up = ms_arena_array (pass->arena, float, n_slots * 2 * f);

  for (gsize row = 0; row < n_slots; row++)
    memcpy (dy + row * d, dx + (gsize) saved->rows[row] / s->top_k * d, d * sizeof *dy);
  for (guint e = 0; e < s->experts; e++)
    {
      gsize first = saved->starts[e], rows = saved->starts[e + 1] - first;

      ms_gemm (FALSE, FALSE, rows, f, d, 1, dy + first * d, d, layer + at->down + e * d * f, f, 0,
               d_act + first * f, f);
      for (gsize row = first; row < first + rows; row++)
        {
          gsize slot = (gsize) saved->rows[row];
          float weight = saved->routing.weights[slot];

          d_weights[slot] = ms_train_dot (f, d_act + row * f, saved->act + row * f);
          for (gsize i = 0; i < f; i++)
            {
              act[row * f + i] = weight * saved->act[row * f + i];
              d_act[row * f + i] *= weight;
            }
        }
      weight_gradient (d, f, rows, dy + first * d, act + first * f, d_layer + at->down + e * d * f);
      ms_train_swiglu_backward (rows, f, saved->gate_up + first * 2 * f, d_act + first * f,
                                d_gate_up + first * 2 * f);
      weight_gradient (2 * f, d, rows, d_gate_up + first * 2 * f, saved->gathered + first * d,
                       d_layer + at->gate_up + e * 2 * f * d);
      ms_gemm (FALSE, FALSE, rows, d, 2 * f, 1, d_gate_up + first * 2 * f, 2 * f,
               layer + at->gate_up + e * 2 * f * d, d, 0, d_gathered + first * d, d);
    }
  memset (d_h2, 0, pass->n * d * sizeof *d_h2);
  for (gsize slot = 0; slot < n_slots; slot++)
    ms_train_add_scaled (d, 1, d_gathered + (gsize) saved->slots[slot] * d,
                         d_h2 + slot / s->top_k * d);
  if (sf == 0)
    return;
  d_act = ms_arena_array (pass->arena, float, pass->n *sf);
  d_gate_up = ms_arena_array (pass->arena, float, pass->n * 2 * sf);
  ms_gemm (FALSE, FALSE, pass->n, sf, d, 1, dx, d, layer + at->shared_down, sf, 0, d_act, sf);
  weight_gradient (d, sf, pass->n, dx, saved->shared_act, d_layer + at->shared_down);
  ms_train_swiglu_backward (pass->n, sf, saved->shared_gate_up, d_act, d_gate_up);
  weight_gradient (2 * sf, d, pass->n, d_gate_up, saved->h2, d_layer + at->shared_gate_up);
  ms_gemm (FALSE, FALSE, pass->n, d, 2 * sf, 1, d_gate_up, 2 * sf, layer + at->shared_gate_up, d, 1,
           d_h2, d);
}

/* --- One layer -------------------------------------------------------------------------------- */

static void
layer_forward (const Pass *pass, guint l, Saved *saved, float *x_next, gint64 *load,
               float loss_scale)
{
  const MsDecoderShape *s = &pass->decoder->shape;
  const Layout *at = &pass->decoder->at;
  const float *layer = pass->parameters + pass->decoder->layer0 + l * at->size;
  MsArena *arena = pass->arena;
  gsize n = pass->n, d = s->width, q = s->heads * s->head_width, kv = s->kv_heads * s->head_width,
        wide = q + 2 * kv, n_slots = n * s->top_k, f = s->expert_width, sf = s->shared * f;

  saved->h = ms_arena_array (arena, float, n *d);
  saved->inverse1 = ms_arena_array (arena, float, n);
  saved->qkv = ms_arena_array (arena, float, n *wide);
  saved->q = ms_arena_array (arena, float, n *q);
  saved->k = ms_arena_array (arena, float, n *kv);
  saved->inverse_qk = ms_arena_array (arena, float, n *(s->heads + s->kv_heads));
  saved->probs = ms_arena_array (arena, float, n * pass->context * s->heads);
  saved->o = ms_arena_array (arena, float, n *q);
  saved->mid = ms_arena_array (arena, float, n *d);
  ms_train_rms_forward (n, d, s->epsilon, saved->x, layer + at->attn_norm, saved->h,
                        saved->inverse1);
  ms_gemm (FALSE, TRUE, n, wide, d, 1, saved->h, d, layer + at->qkv, d, 0, saved->qkv, wide);
  queries_keys_forward (pass, layer, saved);
  attention_forward (pass, saved);
  memcpy (saved->mid, saved->x, n * d * sizeof (float));
  ms_gemm (FALSE, TRUE, n, d, q, 1, saved->o, q, layer + at->out, q, 1, saved->mid, d);

  saved->h2 = ms_arena_array (arena, float, n *d);
  saved->inverse2 = ms_arena_array (arena, float, n);
  ms_train_rms_forward (n, d, s->epsilon, saved->mid, layer + at->ffn_norm, saved->h2,
                        saved->inverse2);
  saved->routing = (MsTrainRouting){
    .n = n,
    .experts = s->experts,
    .top_k = s->top_k,
    .balance = s->balance,
    .z_loss = s->z_loss,
    .loss_scale = loss_scale,
    .bias = s->router->gate.biased ? layer + at->bias : NULL,
    .scores = ms_arena_array (arena, float, n * s->experts),
    .log_sums = ms_arena_array (arena, float, n),
    .ids = ms_arena_array (arena, gint32, n_slots),
    .weights = ms_arena_array (arena, float, n_slots),
    .load = load,
  };
  memset (load, 0, s->experts * sizeof *load);
  ms_gemm (FALSE, TRUE, n, s->experts, d, 1, saved->h2, d, layer + at->router, d, 0,
           saved->routing.scores, s->experts);
  s->router->forward (&saved->routing);

  saved->rows = ms_arena_array (arena, gint32, n_slots);
  saved->slots = ms_arena_array (arena, gint32, n_slots);
  saved->starts = ms_arena_array (arena, gsize, s->experts + 1);
  saved->gathered = ms_arena_array (arena, float, n_slots *d);
  saved->gate_up = ms_arena_array (arena, float, n_slots * 2 * f);
  saved->act = ms_arena_array (arena, float, n_slots *f);
  saved->shared_gate_up = ms_arena_array (arena, float, n * 2 * sf);
  saved->shared_act = ms_arena_array (arena, float, n *sf);
  experts_forward (pass, layer, saved, x_next);
}

/* dx: in, the gradient after the layer; out, the one before it. */
static void
layer_backward (const Pass *pass, guint l, const Saved *saved, float *dx)
{
  const MsDecoderShape *s = &pass->decoder->shape;
  const Layout *at = &pass->decoder->at;
  gsize base = pass->decoder->layer0 + l * at->size;
  const float *layer = pass->parameters + base;
  float *d_layer = pass->gradient + base;
  MsArena *arena = pass->arena;
  gsize n = pass->n, d = s->width, q = s->heads * s->head_width, kv = s->kv_heads * s->head_width,
        wide = q + 2 * kv;
  float *dh = ms_arena_array (arena, float, n *d);
  float *d_weights = ms_arena_array (arena, float, n * s->top_k);
  float *d_logits = ms_arena_array (arena, float, n * s->experts);
  float *d_o = ms_arena_array (arena, float, n *q);
  float *dq = ms_arena_array (arena, float, n *q);
  float *dk = ms_arena_array (arena, float, n *kv);
  float *d_qkv = ms_arena_array (arena, float, n *wide);

  memset (d_layer + at->attn_norm, 0, d * sizeof (float));
  memset (d_layer + at->q_norm, 0, s->head_width * sizeof (float));
  memset (d_layer + at->k_norm, 0, s->head_width * sizeof (float));
  memset (d_layer + at->ffn_norm, 0, d * sizeof (float));

  experts_backward (pass, layer, d_layer, saved, dx, dh, d_weights);
  s->router->backward (&saved->routing, d_weights, d_logits);
  weight_gradient (s->experts, d, n, d_logits, saved->h2, d_layer + at->router);
  ms_gemm (FALSE, FALSE, n, d, s->experts, 1, d_logits, s->experts, layer + at->router, d, 1, dh,
           d);
  ms_train_rms_backward (n, d, saved->mid, layer + at->ffn_norm, saved->inverse2, dh, dx,
                         d_layer + at->ffn_norm);

  ms_gemm (FALSE, FALSE, n, q, d, 1, dx, d, layer + at->out, q, 0, d_o, q);
  weight_gradient (d, q, n, dx, saved->o, d_layer + at->out);
  memset (dk, 0, n * kv * sizeof *dk);
  memset (d_qkv, 0, n * wide * sizeof *d_qkv);
  attention_backward (pass, saved, d_o, dq, dk, d_qkv);
  queries_keys_backward (pass, layer, d_layer, saved, dq, dk, d_qkv);
  weight_gradient (wide, d, n, d_qkv, saved->h, d_layer + at->qkv);
  ms_gemm (FALSE, FALSE, n, d, wide, 1, d_qkv, wide, layer + at->qkv, d, 0, dh, d);
  ms_train_rms_backward (n, d, saved->x, layer + at->attn_norm, saved->inverse1, dh, dx,
                         d_layer + at->attn_norm);
}

/* --- Output head ------------------------------------------------------------------------------ */

static guint16
target_of (const Pass *pass, const guint16 *tokens, gsize t)
{
  return tokens[t / pass->context * (pass->context + 1) + t % pass->context + 1];
}

/* Loss over tied embedding rows, HEAD_ROWS tokens at a time; with a gradient, d_h (N, D) and the
 * embedding's gradient (overwritten). */
static double
head (const Pass *pass, const guint16 *tokens, const float *h, float scale, float *d_h)
{
  gsize d = pass->decoder->shape.width, vocabulary = pass->decoder->shape.vocabulary;
  const float *embedding = pass->parameters + pass->decoder->embedding;
  float *logits = ms_arena_array (pass->arena, float, HEAD_ROWS *vocabulary);
  double loss = 0;

  for (gsize from = 0; from < pass->n; from += HEAD_ROWS)
    {
      gsize rows = MIN (HEAD_ROWS, pass->n - from);

      ms_gemm (FALSE, TRUE, rows, vocabulary, d, 1, h + from * d, d, embedding, d, 0, logits,
               vocabulary);
      for (gsize t = 0; t < rows; t++)
        {
          float *row = logits + t * vocabulary;
          guint16 target = target_of (pass, tokens, from + t);
          double target_logit = (double) row[target];

          loss += (double) ms_train_softmax (vocabulary, row) - target_logit;
          row[target] -= 1;
        }
      if (pass->gradient == NULL)
        continue;
      ms_gemm (FALSE, FALSE, rows, d, vocabulary, scale, logits, vocabulary, embedding, d, 0,
               d_h + from * d, d);
      ms_gemm (TRUE, FALSE, vocabulary, d, rows, scale, logits, vocabulary, h + from * d, d,
               from == 0 ? 0 : 1, pass->gradient + pass->decoder->embedding, d);
    }
  return loss;
}

void
ms_decoder_pass (const MsDecoder *decoder, const float *parameters, guint sequences, guint context,
                 const guint16 *tokens, gint64 batch_tokens, MsArena *scratch, float *gradient,
                 MsPassResult *result)
{
  const MsDecoderShape *s = &decoder->shape;
  gsize n = (gsize) sequences * context, d = s->width;
  Pass pass = { decoder, parameters, gradient, scratch, sequences, context, n };
  const float *embedding = parameters + decoder->embedding;
  float loss_scale = (float) ((double) n / (double) batch_tokens);
  Saved *saved;
  float *x, *h, *inverse, *dx, *dh;

  ms_arena_reset (scratch);
  saved = ms_arena_alloc0 (scratch, s->layers * sizeof *saved);
  x = ms_arena_array (scratch, float, n *d);
  for (gsize t = 0; t < n; t++)
    memcpy (x + t * d, embedding + (gsize) tokens[t / context * (context + 1) + t % context] * d,
            d * sizeof *x);
  result->auxiliary = 0;
  for (guint l = 0; l < s->layers; l++)
    {
      saved[l].x = x;
      x = ms_arena_array (scratch, float, n *d);
      layer_forward (&pass, l, &saved[l], x, result->load + l * s->experts, loss_scale);
      result->auxiliary += saved[l].routing.auxiliary;
    }
  h = ms_arena_array (scratch, float, n *d);
  inverse = ms_arena_array (scratch, float, n);
  dh = ms_arena_array (scratch, float, n *d);
  ms_train_rms_forward (n, d, s->epsilon, x, parameters + decoder->output_norm, h, inverse);
  result->loss = head (&pass, tokens, h, 1.0f / (float) batch_tokens, dh);
  if (gradient == NULL)
    return;

  dx = ms_arena_alloc0 (scratch, n * d * sizeof *dx);
  memset (gradient + decoder->output_norm, 0, d * sizeof *gradient);
  ms_train_rms_backward (n, d, x, parameters + decoder->output_norm, inverse, dh, dx,
                         gradient + decoder->output_norm);
  for (guint l = s->layers; l-- > 0;)
    layer_backward (&pass, l, &saved[l], dx);
  for (gsize t = 0; t < n; t++)
    ms_train_add_scaled (d, 1, dx + t * d,
                         gradient + decoder->embedding
                             + (gsize) tokens[t / context * (context + 1) + t % context] * d);
}
