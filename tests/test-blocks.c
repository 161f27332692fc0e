/* Each mixer of collector/model against plain double loops: a model of one block, whose router
 * tells what the mixer gave.  Several documents lie in one wave, and results must not depend on the
 * threads.  Tensors that are missing or of a wrong shape are named, and damaged headers break
 * nothing. */
#include "engine-private.h"
#include "rows-private.h"
#include "toy-model.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define WIDTH      32
#define WORDS      40
#define EXPERTS    5
#define EPSILON    1e-5f
#define MAX_TOKENS 160

static const guint lengths[] = { 3, 1, 150, 40 };
#define ALL_TOKENS (3 + 1 + 150 + 40)

typedef struct Case Case;

/* A document on its way through the other implementation. */
typedef struct
{
  const Case *model;
  guint n;
  double *h;   /* (n, WIDTH): the normed stream */
  double *out; /* (n, WIDTH): what the mixer gives */
  /* NULL, or which tokens each one sees (n, n): what an index chose before, or, if `chooses`,
   * chooses. */
  gboolean *seen;
  gboolean chooses;
} Naive;

struct Case
{
  const char *name, *architecture;
  void (*mix) (const Naive *naive);
  const char *ffn_norm;
  struct
  {
    const char *name;
    double value;
  } keys[16];
  const char *text_keys[2]; /* a key and its text, or none */
  struct
  {
    const char *name;
    gint64 ne[3];
  } tensors[28];
};

/* --- Plain loops ----------------------------------------------------------------------------- */

static const ToyModel values_of = { .width = WIDTH, .seed = 11 };

/* (transfer full) */
static float *
values (const char *part, gsize n)
{
  g_autofree char *name = g_strconcat ("blk.0.", part, NULL);
  float *all = toy_model_values (&values_of, name, n);

  if (g_str_equal (part, "ssm_a"))
    for (gsize i = 0; i < n; i++)
      all[i] = -fabsf (all[i]);
  return all;
}

/* y (rows) = W x, of rows first.. of a tensor of `all` rows. */
static void
apply (const char *part, const double *x, gsize columns, gsize first, gsize rows, gsize all,
       double *y)
{
  g_autofree float *w = values (part, all * columns);

  for (gsize i = 0; i < rows; i++)
    {
      y[i] = 0;
      for (gsize j = 0; j < columns; j++)
        y[i] += (double) w[(first + i) * columns + j] * x[j];
    }
}

static void
norm (const char *part, double *x, gsize n)
{
  g_autofree float *weight = values (part, n);
  double squares = 0;

  for (gsize i = 0; i < n; i++)
    squares += x[i] * x[i];
  for (gsize i = 0; i < n; i++)
    x[i] = x[i] / sqrt (squares / (double) n + (double) EPSILON) * (double) weight[i];
}

static double
key (const Case *model, const char *name, double otherwise)
{
  for (guint i = 0; model->keys[i].name != NULL; i++)
    if (g_str_equal (model->keys[i].name, name))
      return model->keys[i].value;
  return otherwise;
}

static gboolean
has_tensor (const Case *model, const char *name)
{
  for (guint i = 0; model->tensors[i].name != NULL; i++)
    if (g_str_equal (model->tensors[i].name, name))
      return TRUE;
  return FALSE;
}

static double
sigmoid (double x)
{
  return 1 / (1 + exp (-x));
}

static double
silu (double x)
{
  return x * sigmoid (x);
}

/* The channel's convolution at token t, then SiLU; x (n, row). */
static double
convolved (const float *kernel, const double *x, gsize row, guint t, guint length)
{
  double sum = 0;

  for (guint back = 0; back < length && back <= t; back++)
    sum += (double) kernel[length - 1 - back] * x[(t - back) * row];
  return silu (sum);
}

static void
to_unit (double *x, gsize n, double scale)
{
  double squares = 0;

  for (gsize i = 0; i < n; i++)
    squares += x[i] * x[i];
  for (gsize i = 0; i < n; i++)
    x[i] *= scale / sqrt (squares);
}

/* One token of one head: state (dk, dv), v becomes the output. */
static void
delta_token (double *state, guint dk, guint dv, const double *q, const double *k,
             const double *decay, guint decay_step, double beta, double *v)
{
  for (guint j = 0; j < dv; j++)
    {
      double seen = 0, out = 0;

      for (guint i = 0; i < dk; i++)
        {
          state[i * dv + j] *= decay[i * decay_step];
          seen += state[i * dv + j] * k[i];
        }
      for (guint i = 0; i < dk; i++)
        {
          state[i * dv + j] += k[i] * beta * (v[j] - seen);
          out += state[i * dv + j] * q[i];
        }
      v[j] = out;
    }
}

/* What the gated delta net's matrices make of a token: q, k, v in a row, z, beta and alpha by
 * heads. */
static void
project_gated (const Case *model, const double *h, guint hk, guint hv, guint dk, guint dv,
               double *row, double *z, double *beta, double *alpha)
{
  guint keys = hk * dk, vals = hv * dv, r = hv / hk;
  double mixed[2 * 8], all[512];

  if (has_tensor (model, "ssm_in.weight"))
    {
      guint n = 2 * dk + 2 * r * dv;

      apply ("ssm_in.weight", h, WIDTH, 0, hk * n, hk * n, all);
      for (guint g = 0; g < hk; g++)
        {
          memcpy (row + g * dk, all + g * n, dk * sizeof *row);
          memcpy (row + keys + g * dk, all + g * n + dk, dk * sizeof *row);
          memcpy (row + 2 * keys + g * r * dv, all + g * n + 2 * dk, r * dv * sizeof *row);
          memcpy (z + g * r * dv, all + g * n + 2 * dk + r * dv, r * dv * sizeof *row);
        }
    }
  else
    {
      apply ("attn_qkv.weight", h, WIDTH, 0, 2 * keys + vals, 2 * keys + vals, row);
      apply ("attn_gate.weight", h, WIDTH, 0, vals, vals, z);
    }
  if (!has_tensor (model, "ssm_ba.weight"))
    {
      apply ("ssm_beta.weight", h, WIDTH, 0, hv, hv, beta);
      apply ("ssm_alpha.weight", h, WIDTH, 0, hv, hv, alpha);
      return;
    }
  apply ("ssm_ba.weight", h, WIDTH, 0, 2 * hv, 2 * hv, mixed);
  for (guint head = 0; head < hv; head++)
    {
      beta[head] = mixed[head / r * 2 * r + head % r];
      alpha[head] = mixed[head / r * 2 * r + r + head % r];
    }
}

static void
mix_gated_delta (const Naive *naive)
{
  const Case *model = naive->model;
  guint hk = (guint) key (model, "ssm.group_count", 0),
        dk = (guint) key (model, "ssm.state_size", 0);
  guint hv = (guint) key (model, "ssm.time_step_rank", 0);
  guint dv = (guint) key (model, "ssm.inner_size", 0) / hv;
  guint length = (guint) key (model, "ssm.conv_kernel", 0);
  guint keys = hk * dk, vals = hv * dv, width = 2 * keys + vals;
  gboolean grouped = has_tensor (model, "ssm_ba.weight");
  g_autofree float *kernel = values ("ssm_conv1d.weight", width * length);
  g_autofree float *a = values ("ssm_a", hv), *dt = values ("ssm_dt.bias", hv);
  g_autofree double *rows = g_new (double, naive->n *width), *states = g_new0 (double, hv *dk *dv);
  g_autofree double *row = g_new (double, width), *z = g_new (double, vals);
  double beta[8], alpha[8], own[8];

  for (guint t = 0; t < naive->n; t++)
    {
      project_gated (model, naive->h + t * WIDTH, hk, hv, dk, dv, rows + t * width, z, beta, alpha);
      for (guint i = 0; i < width; i++)
        row[i] = convolved (kernel + i * length, rows + i, width, t, length);
      for (guint g = 0; g < hk; g++)
        {
          to_unit (row + g * dk, dk, 1 / sqrt (dk));
          to_unit (row + keys + g * dk, dk, 1);
        }
      for (guint head = 0; head < hv; head++)
        {
          guint g = grouped ? head / (hv / hk) : head % hk;
          double *v = row + 2 * keys + head * dv;

          own[head] = exp ((double) a[head] * log1p (exp (alpha[head] + (double) dt[head])));
          delta_token (states + head * dk * dv, dk, dv, row + g * dk, row + keys + g * dk,
                       &own[head], 0, sigmoid (beta[head]), v);
          norm ("ssm_norm.weight", v, dv);
          for (guint j = 0; j < dv; j++)
            v[j] *= silu (z[head * dv + j]);
        }
      apply ("ssm_out.weight", row + 2 * keys, vals, 0, WIDTH, WIDTH, naive->out + t * WIDTH);
    }
}

static void
mix_kimi_delta (const Naive *naive)
{
  const Case *model = naive->model;
  guint heads = (guint) key (model, "attention.head_count", 0);
  guint d = (guint) key (model, "kda.head_dim", 0), all = heads * d;
  guint length = (guint) key (model, "ssm.conv_kernel", 0);
  static const char *const parts[] = { "q", "k", "v" };
  double bound = key (model, "kda.gate_lower_bound", 0);
  g_autofree float *a = values ("ssm_a", heads), *dt = values ("ssm_dt.bias", all);
  g_autofree double *rows = g_new (double, naive->n * 3 * all), *row = g_new (double, 3 * all);
  g_autofree double *states = g_new0 (double, all *d), *decay = g_new (double, all);
  g_autofree double *gate = g_new (double, all), *small = g_new (double, d);
  double beta[8];

  for (guint t = 0; t < naive->n; t++)
    {
      const double *h = naive->h + t * WIDTH;

      for (guint p = 0; p < 3; p++)
        {
          g_autofree char *matrix = g_strdup_printf ("attn_%s.weight", parts[p]);
          g_autofree char *name = g_strdup_printf ("ssm_conv1d_%s.weight", parts[p]);
          g_autofree float *kernel = values (name, all * length);

          apply (matrix, h, WIDTH, 0, all, all, rows + t * 3 * all + p * all);
          for (guint i = 0; i < all; i++)
            row[p * all + i]
                = convolved (kernel + i * length, rows + p * all + i, 3 * all, t, length);
        }
      if (bound < 0)
        {
          apply ("ssm_f_a.weight", h, WIDTH, 0, all, all, decay);
          apply ("ssm_g_a.weight", h, WIDTH, 0, all, all, gate);
        }
      else
        {
          apply ("ssm_f_a.weight", h, WIDTH, 0, d, d, small);
          apply ("ssm_f_b.weight", small, d, 0, all, all, decay);
          apply ("ssm_g_a.weight", h, WIDTH, 0, d, d, small);
          apply ("ssm_g_b.weight", small, d, 0, all, all, gate);
        }
      apply ("ssm_beta.weight", h, WIDTH, 0, heads, heads, beta);
      for (guint head = 0; head < heads; head++)
        {
          double *q = row + head * d, *k = q + all, *v = k + all;

          for (guint i = head * d; i < (head + 1) * d; i++)
            decay[i]
                = exp (bound < 0 ? bound * sigmoid (-(double) a[head] * (decay[i] + (double) dt[i]))
                                 : (double) a[head] * log1p (exp (decay[i] + (double) dt[i])));
          to_unit (q, d, 1 / sqrt (d));
          to_unit (k, d, 1);
          delta_token (states + head * d * d, d, d, q, k, decay + head * d, 1, sigmoid (beta[head]),
                       v);
          norm ("ssm_norm.weight", v, d);
          for (guint j = 0; j < d; j++)
            v[j] *= sigmoid (gate[head * d + j]);
        }
      apply ("attn_output.weight", row + 2 * all, all, 0, WIDTH, WIDTH, naive->out + t * WIDTH);
    }
}

/* Rotates the first n values of a head by pairs or halves; YaRN where the case has a factor. */
static void
turn (const Case *model, double *x, guint n, guint position, gboolean halves)
{
  double factor = key (model, "rope.scaling.factor", 1), base = 10000;
  double context = key (model, "rope.scaling.original_context_length", 1);

  for (guint i = 0; i < n / 2; i++)
    {
      double step = pow (base, -2.0 * i / n);
      double low = floor (n * log (context / (32 * 2 * G_PI)) / (2 * log (base)));
      double high = ceil (n * log (context / (2 * G_PI)) / (2 * log (base)));
      double ramp
          = CLAMP ((i - MAX (low, 0)) / MAX (MIN (high, n - 1) - MAX (low, 0), 0.001), 0, 1);
      double angle = position * (factor > 1 ? step / factor * ramp + step * (1 - ramp) : step);
      guint first = halves ? i : 2 * i, second = halves ? i + n / 2 : 2 * i + 1;
      double a = x[first], b = x[second];

      x[first] = a * cos (angle) - b * sin (angle);
      x[second] = a * sin (angle) + b * cos (angle);
    }
}

/* Causal attention of one head over (n) rows of q, k and v that lie q_row, k_row and v_row apart;
 * `seen` (n, n) or NULL: all. */
static void
attend (guint n, guint dk, guint dv, double scale, const double *q, gsize q_row, const double *k,
        gsize k_row, const double *v, gsize v_row, const gboolean *seen, double *out, gsize out_row)
{
  double p[MAX_TOKENS];

  for (guint t = 0; t < n; t++)
    {
      double sum = 0;

      for (guint s = 0; s <= t; s++)
        {
          double dot = 0;

          for (guint i = 0; i < dk; i++)
            dot += q[t * q_row + i] * k[s * k_row + i];
          sum += p[s] = seen == NULL || seen[t * n + s] ? exp (dot * scale) : 0;
        }
      for (guint j = 0; j < dv; j++)
        {
          out[t * out_row + j] = 0;
          for (guint s = 0; s <= t; s++)
            out[t * out_row + j] += p[s] / sum * v[s * v_row + j];
        }
    }
}

/* A token's keys and values of all heads from the short vector c. */
static void
expand_latent (const Case *model, const double *c, guint heads, guint latent, guint own, guint dv,
               const double *shared, guint rotated, double *k, double *v)
{
  guint dk = own + rotated, row = own + dv;
  g_autofree float *turned = values ("attn_k_b.weight", (gsize) heads * latent * own);

  for (guint head = 0; head < heads; head++)
    {
      if (has_tensor (model, "attn_kv_b.weight"))
        {
          apply ("attn_kv_b.weight", c, latent, head * row, own, heads * row, k + head * dk);
          apply ("attn_kv_b.weight", c, latent, head * row + own, dv, heads * row, v + head * dv);
        }
      else
        {
          for (guint j = 0; j < own; j++)
            {
              k[head * dk + j] = 0;
              for (guint i = 0; i < latent; i++)
                k[head * dk + j] += (double) turned[(head * latent + i) * own + j] * c[i];
            }
          apply ("attn_v_b.weight", c, latent, head * dv, dv, heads * dv, v + head * dv);
        }
      memcpy (k + head * dk + own, shared, rotated * sizeof *k);
    }
}

/* Which tokens the index lets token t see, seen (n): those of highest score.  keys (n, width). */
static void
choose_tokens (const Naive *naive, guint t, const double *short_q, double *keys, gboolean *seen)
{
  const Case *model = naive->model;
  guint heads = (guint) key (model, "attention.indexer.head_count", 0);
  guint width = (guint) key (model, "attention.indexer.key_length", 0);
  guint top = (guint) key (model, "attention.indexer.top_k", 0);
  guint rotated = (guint) key (model, "rope.dimension_count", 0);
  gboolean halves = g_str_equal (model->architecture, "deepseek32");
  g_autofree float *weight = values ("indexer.k_norm.weight", width);
  g_autofree float *bias = values ("indexer.k_norm.bias", width);
  double q[128], weights[16], scores[MAX_TOKENS], mean = 0, squares = 0, *own = keys + t * width;

  apply ("indexer.attn_q_b.weight", short_q, 12, 0, heads * width, heads * width, q);
  apply ("indexer.attn_k.weight", naive->h + t * WIDTH, WIDTH, 0, width, width, own);
  apply ("indexer.proj.weight", naive->h + t * WIDTH, WIDTH, 0, heads, heads, weights);
  for (guint i = 0; i < width; i++)
    mean += own[i] / width;
  for (guint i = 0; i < width; i++)
    squares += (own[i] - mean) * (own[i] - mean) / width;
  for (guint i = 0; i < width; i++)
    own[i] = (own[i] - mean) / sqrt (squares + 1e-6) * (double) weight[i] + (double) bias[i];
  turn (model, own, rotated, t, halves);
  for (guint h = 0; h < heads; h++)
    turn (model, q + h * width, rotated, t, halves);
  for (guint s = 0; s <= t; s++)
    {
      scores[s] = 0;
      for (guint h = 0; h < heads; h++)
        {
          double dot = 0;

          for (guint i = 0; i < width; i++)
            dot += q[h * width + i] * keys[s * width + i];
          scores[s] += MAX (dot, 0) * weights[h];
        }
    }
  for (guint s = 0; s <= t; s++)
    {
      guint better = 0;

      for (guint other = 0; other <= t; other++)
        better += scores[other] > scores[s];
      seen[s] = better < top;
    }
}

static void
mix_latent (const Naive *naive)
{
  const Case *model = naive->model;
  guint heads = (guint) key (model, "attention.head_count", 0), n = naive->n;
  guint latent = (guint) key (model, "attention.kv_lora_rank", 0);
  guint rotated = (guint) key (model, "rope.dimension_count", 0);
  guint dk = (guint) key (model, "attention.key_length", 0), own = dk - rotated;
  guint dv = (guint) key (model, "attention.value_length", 0);
  gboolean rope = !g_str_equal (model->architecture, "kimi-linear");
  double weight = 10 * key (model, "rope.scaling.yarn_log_multiplier", 0), factor, scale;
  double temperature = key (model, "attention.temperature_scale", 0);
  gsize nk = heads * dk, nv = heads * dv;
  g_autofree double *q = g_new (double, n *nk), *k = g_new (double, n *nk);
  g_autofree double *v = g_new (double, n *nv), *mixed = g_new (double, n *nv);
  gboolean *seen = naive->seen;
  g_autofree double *index_keys = g_new (double, n * 64);
  double c[64], a[64];

  factor = key (model, "rope.scaling.factor", 1);
  scale = pow (1 + 0.1 * weight * log (factor), 2) / sqrt (dk);
  for (guint t = 0; t < n; t++)
    {
      const double *h = naive->h + t * WIDTH;

      if (has_tensor (model, "attn_q_a.weight"))
        {
          apply ("attn_q_a.weight", h, WIDTH, 0, 12, 12, a);
          norm ("attn_q_a_norm.weight", a, 12);
          apply ("attn_q_b.weight", a, 12, 0, nk, nk, q + t * nk);
          if (seen != NULL && naive->chooses)
            choose_tokens (naive, t, a, index_keys, seen + t * n);
        }
      else
        apply ("attn_q.weight", h, WIDTH, 0, nk, nk, q + t * nk);
      apply ("attn_kv_a_mqa.weight", h, WIDTH, 0, latent + rotated, latent + rotated, c);
      norm ("attn_kv_a_norm.weight", c, latent);
      for (guint head = 0; head < heads && rope; head++)
        turn (model, q + t * nk + head * dk + own, rotated, t, FALSE);
      if (rope)
        turn (model, c + latent, rotated, t, FALSE);
      for (gsize i = 0; i < nk; i++)
        q[t * nk + i]
            *= 1
               + temperature * log (1 + floor (t / key (model, "attention.temperature_length", 1)));
      expand_latent (model, c, heads, latent, own, dv, c + latent, rotated, k + t * nk, v + t * nv);
    }
  for (guint head = 0; head < heads; head++)
    attend (n, dk, dv, scale, q + head * dk, nk, k + head * dk, nk, v + head * dv, nv, seen,
            mixed + head * dv, nv);
  for (guint t = 0; t < n; t++)
    {
      double gates[32];

      if (has_tensor (model, "attn_gate.weight"))
        {
          apply ("attn_gate.weight", naive->h + t * WIDTH, WIDTH, 0, heads, heads, gates);
          for (guint i = 0; i < nv; i++)
            mixed[t * nv + i] *= sigmoid (gates[i / dv]);
        }
      apply ("attn_output.weight", mixed + t * nv, nv, 0, WIDTH, WIDTH, naive->out + t * WIDTH);
    }
}

/* Grouped-query attention with attn_qkv, or with gates behind the queries. */
static void
mix_attention (const Naive *naive)
{
  const Case *model = naive->model;
  guint heads = (guint) key (model, "attention.head_count", 0), n = naive->n;
  guint kv = (guint) key (model, "attention.head_count_kv", 0);
  guint d = (guint) key (model, "attention.key_length", 0);
  guint turned = (guint) key (model, "rope.dimension_count", 0);
  gboolean fused = has_tensor (model, "attn_qkv.weight");
  gboolean gated = g_str_equal (model->architecture, "qwen35moe");
  gsize stride = gated ? 2 * d : d, nq = heads * stride, nk = kv * d, all = nq + 2 * nk;
  g_autofree double *rows = g_new (double, n *all), *mixed = g_new (double, n *heads *d);

  for (guint t = 0; t < n; t++)
    {
      const double *h = naive->h + t * WIDTH;
      double *row = rows + t * all;

      apply (fused ? "attn_qkv.weight" : "attn_q.weight", h, WIDTH, 0, nq, fused ? all : nq, row);
      apply (fused ? "attn_qkv.weight" : "attn_k.weight", h, WIDTH, fused ? nq : 0, nk,
             fused ? all : nk, row + nq);
      apply (fused ? "attn_qkv.weight" : "attn_v.weight", h, WIDTH, fused ? nq + nk : 0, nk,
             fused ? all : nk, row + nq + nk);
      for (guint head = 0; head < heads + kv; head++)
        {
          double *of = head < heads ? row + head * stride : row + nq + (head - heads) * d;

          norm (head < heads ? "attn_q_norm.weight" : "attn_k_norm.weight", of, d);
          turn (model, of, turned, t, TRUE);
        }
    }
  for (guint head = 0; head < heads; head++)
    attend (n, d, d, 1 / sqrt (d), rows + head * stride, all, rows + nq + head / (heads / kv) * d,
            all, rows + nq + nk + head / (heads / kv) * d, all, NULL, mixed + head * d, heads * d);
  for (guint t = 0; t < n; t++)
    {
      for (guint head = 0; head < heads && gated; head++)
        for (guint j = 0; j < d; j++)
          mixed[(t * heads + head) * d + j] *= sigmoid (rows[t * all + head * stride + d + j]);
      apply ("attn_output.weight", mixed + (gsize) t * heads * d, heads * d, 0, WIDTH, WIDTH,
             naive->out + t * WIDTH);
    }
}

/* --- Compressed attention and streams --------------------------------------------------------- */

/* Turns the last values of a head to a position, forward or back. */
static void
turn_last (const Case *model, double *head, guint width, guint position, gboolean back)
{
  guint rotated = (guint) key (model, "rope.dimension_count", 0);
  double ratio = key (model, "attention.compress_ratios", 0);
  double base = ratio > 0 ? key (model, "attention.compress_rope_freq_base", 0) : 10000;
  double *x = head + width - rotated;

  for (guint i = 0; i < rotated / 2; i++)
    {
      double angle = position * pow (base, -2.0 * i / rotated) * (back ? -1 : 1);
      double a = x[2 * i], b = x[2 * i + 1];

      x[2 * i] = a * cos (angle) - b * sin (angle);
      x[2 * i + 1] = a * sin (angle) + b * cos (angle);
    }
}

/* The compressed keys (n / ratio, width) of a compressor whose tensors' names begin with `stem`. */
static void
compress (const Naive *naive, const char *stem, guint width, guint ratio, double *keys)
{
  guint spans = ratio == 4 ? 2 : 1, columns = spans * width;
  g_autofree char *kv_name = g_strconcat (stem, "_kv.weight", NULL);
  g_autofree char *gate_name = g_strconcat (stem, "_gate.weight", NULL);
  g_autofree char *place_name = g_strconcat (stem, "_ape.weight", NULL);
  g_autofree char *norm_name = g_strconcat (stem, "_norm.weight", NULL);
  g_autofree float *place = values (place_name, ratio * columns);
  g_autofree double *kv = g_new (double, naive->n *columns);
  g_autofree double *gate = g_new (double, naive->n *columns);

  for (guint t = 0; t < naive->n; t++)
    {
      apply (kv_name, naive->h + t * WIDTH, WIDTH, 0, columns, columns, kv + t * columns);
      apply (gate_name, naive->h + t * WIDTH, WIDTH, 0, columns, columns, gate + t * columns);
    }
  for (guint b = 0; b < naive->n / ratio; b++)
    {
      for (guint j = 0; j < width; j++)
        {
          double sum = 0, total = 0;

          for (guint span = 0; span < spans; span++)
            for (guint i = 0; i < ratio; i++)
              {
                gint64 t = ((gint64) b - (spans - 1 - span)) * ratio + i;
                guint column = span * width + j;
                double weight
                    = t < 0
                          ? 0
                          : exp (gate[t * columns + column] + (double) place[i * columns + column]);

                total += weight;
                sum += t < 0 ? 0 : weight * kv[t * columns + column];
              }
          keys[b * width + j] = sum / total;
        }
      norm (norm_name, keys + b * width, width);
      turn_last (naive->model, keys + b * width, width, b * ratio, FALSE);
    }
}

/* Which compressed keys token t sees: the `top` of highest index score. */
static void
choose_keys (const Naive *naive, guint t, const double *short_q, const double *index_keys,
             gboolean *seen)
{
  const Case *model = naive->model;
  guint heads = (guint) key (model, "attention.indexer.head_count", 0);
  guint width = (guint) key (model, "attention.indexer.key_length", 0);
  guint top = (guint) key (model, "attention.indexer.top_k", 0), n = (t + 1) / 4;
  double q[64], weights[8], scores[MAX_TOKENS];

  apply ("indexer.attn_q_b.weight", short_q, 12, 0, heads * width, heads * width, q);
  apply ("indexer.proj.weight", naive->h + t * WIDTH, WIDTH, 0, heads, heads, weights);
  for (guint h = 0; h < heads; h++)
    turn_last (model, q + h * width, width, t, FALSE);
  for (guint b = 0; b < n; b++)
    {
      scores[b] = 0;
      for (guint h = 0; h < heads; h++)
        {
          double dot = 0;

          for (guint i = 0; i < width; i++)
            dot += q[h * width + i] * index_keys[b * width + i];
          scores[b] += MAX (dot, 0) * weights[h] / sqrt (heads * width);
        }
    }
  for (guint b = 0; b < n; b++)
    {
      guint better = 0;

      for (guint other = 0; other < n; other++)
        better += scores[other] > scores[b];
      seen[b] = better < top;
    }
}

static void
mix_compressed (const Naive *naive)
{
  const Case *model = naive->model;
  guint n = naive->n, heads = (guint) key (model, "attention.head_count", 0);
  guint d = (guint) key (model, "attention.key_length", 0);
  guint ratio = (guint) key (model, "attention.compress_ratios", 0);
  guint window = (guint) key (model, "attention.sliding_window", 0);
  guint groups = (guint) key (model, "attention.output_group_count", 0);
  guint rank = (guint) key (model, "attention.output_lora_rank", 0);
  guint index_width = (guint) key (model, "attention.indexer.key_length", 0);
  guint n_keys = ratio > 0 ? n / ratio : 0, of_group = heads / groups * d;
  g_autofree float *sinks = values ("attn_sinks.weight", heads);
  g_autofree double *kv = g_new (double, n *d), *keys = g_new (double, n_keys *d + 1);
  g_autofree double *index_keys = g_new (double, n_keys *index_width + 1);
  g_autofree double *q = g_new (double, heads *d), *out = g_new (double, heads *d);
  g_autofree double *mixed = g_new (double, groups *rank);
  double short_q[12];

  if (ratio > 0)
    compress (naive, "attn_compressor", d, ratio, keys);
  if (ratio == 4)
    compress (naive, "indexer_compressor", index_width, ratio, index_keys);
  for (guint t = 0; t < n; t++)
    {
      gboolean seen[MAX_TOKENS];
      guint first = t + 1 > window ? t + 1 - window : 0;

      apply ("attn_kv.weight", naive->h + t * WIDTH, WIDTH, 0, d, d, kv + t * d);
      norm ("attn_kv_a_norm.weight", kv + t * d, d);
      turn_last (model, kv + t * d, d, t, FALSE);
      apply ("attn_q_a.weight", naive->h + t * WIDTH, WIDTH, 0, 12, 12, short_q);
      norm ("attn_q_a_norm.weight", short_q, 12);
      apply ("attn_q_b.weight", short_q, 12, 0, heads * d, heads * d, q);
      for (guint b = 0; b < n_keys; b++)
        seen[b] = (b + 1) * ratio <= t + 1;
      if (ratio == 4)
        choose_keys (naive, t, short_q, index_keys, seen);
      for (guint h = 0; h < heads; h++)
        {
          double *head = q + h * d, squares = 0, sum = exp ((double) sinks[h]);

          for (guint i = 0; i < d; i++)
            squares += head[i] * head[i];
          for (guint i = 0; i < d; i++)
            head[i] /= sqrt (squares / d + (double) EPSILON);
          turn_last (model, head, d, t, FALSE);
          memset (out + h * d, 0, d * sizeof *out);
          for (guint s = first; s <= t + n_keys; s++)
            {
              const double *k = s <= t ? kv + s * d : keys + (s - t - 1) * d;
              double dot = 0;

              if (s > t && (!seen[s - t - 1] || (s - t) * ratio > t + 1))
                continue;
              for (guint i = 0; i < d; i++)
                dot += head[i] * k[i];
              dot = exp (dot / sqrt (d));
              sum += dot;
              for (guint i = 0; i < d; i++)
                out[h * d + i] += dot * k[i];
            }
          for (guint i = 0; i < d; i++)
            out[h * d + i] /= sum;
          turn_last (model, out + h * d, d, t, TRUE);
        }
      for (guint g = 0; g < groups; g++)
        apply ("attn_output_a.weight", out + g * of_group, of_group, g * rank, rank, groups * rank,
               mixed + g * rank);
      apply ("attn_output_b.weight", mixed, groups * rank, 0, WIDTH, WIDTH, naive->out + t * WIDTH);
    }
}

/* What a half of a block reads of the streams (n, WIDTH) of a token, and the weights of writing. */
static void
read_streams (const Case *model, const char *stem, const double *streams, guint n, double *x,
              double *post, double *c)
{
  g_autofree char *fn = g_strconcat (stem, "_fn.weight", NULL);
  g_autofree char *base_name = g_strconcat (stem, "_base.weight", NULL);
  g_autofree char *scale_name = g_strconcat (stem, "_scale.weight", NULL);
  guint n_mixes = (2 + n) * n,
        rounds = (guint) key (model, "hyper_connection.sinkhorn_iterations", 0);
  g_autofree float *base = values (base_name, n_mixes), *scale = values (scale_name, 3);
  double mixes[64], squares = 0, epsilon = key (model, "hyper_connection.epsilon", 0);

  apply (fn, streams, n * WIDTH, 0, n_mixes, n_mixes, mixes);
  for (guint i = 0; i < n * WIDTH; i++)
    squares += streams[i] * streams[i];
  for (guint i = 0; i < n_mixes; i++)
    mixes[i] = mixes[i] / sqrt (squares / (n * WIDTH) + (double) EPSILON)
                   * (double) scale[i < n       ? 0
                                    : i < 2 * n ? 1
                                                : 2]
               + (double) base[i];
  memset (x, 0, WIDTH * sizeof *x);
  for (guint s = 0; s < n; s++)
    {
      double sum = 0;

      for (guint i = 0; i < WIDTH; i++)
        x[i] += (sigmoid (mixes[s]) + epsilon) * streams[s * WIDTH + i];
      post[s] = 2 * sigmoid (mixes[n + s]);
      for (guint d = 0; d < n; d++)
        sum += exp (mixes[2 * n + s * n + d]);
      for (guint d = 0; d < n; d++)
        c[s * n + d] = exp (mixes[2 * n + s * n + d]) / sum + epsilon;
    }
  for (guint round = 0; round < rounds; round++)
    for (guint columns = 0; columns < 2; columns++)
      for (guint i = 0; i < n; i++)
        {
          double sum = epsilon;

          if (round == 0 && columns == 0)
            continue;
          for (guint j = 0; j < n; j++)
            sum += columns ? c[j * n + i] : c[i * n + j];
          for (guint j = 0; j < n; j++)
            *(columns ? &c[j * n + i] : &c[i * n + j]) /= sum;
        }
}

/* What the second half of a block reads, the mixer having given `out` (WIDTH) from x. */
static void
pass_streams (const Case *model, const double *x, double *out)
{
  guint n = (guint) key (model, "hyper_connection.count", 0);
  double streams[4 * WIDTH], after[4 * WIDTH], read[WIDTH], post[4], c[16];

  for (guint s = 0; s < n; s++)
    memcpy (streams + s * WIDTH, x, WIDTH * sizeof *x);
  read_streams (model, "hc_attn", streams, n, read, post, c);
  for (guint d = 0; d < n; d++)
    for (guint i = 0; i < WIDTH; i++)
      {
        after[d * WIDTH + i] = post[d] * out[i];
        for (guint s = 0; s < n; s++)
          after[d * WIDTH + i] += c[s * n + d] * streams[s * WIDTH + i];
      }
  read_streams (model, "hc_ffn", after, n, out, post, c);
}

/* --- The models ------------------------------------------------------------------------------ */

#define DELTA_KEYS                                                                                 \
  { "ssm.conv_kernel", 4 }, { "ssm.inner_size", 4 * 36 }, { "ssm.state_size", 12 },                \
      { "ssm.time_step_rank", 4 }, { "ssm.group_count", 2 }, { "attention.head_count", 2 },        \
  {                                                                                                \
    "rope.dimension_count", 4                                                                      \
  }
#define DELTA_TENSORS                                                                              \
  { "ssm_a", { 4 } }, { "ssm_dt.bias", { 4 } }, { "ssm_norm.weight", { 36 } },                     \
      { "ssm_out.weight", { 4 * 36, WIDTH } },                                                     \
  {                                                                                                \
    "ssm_conv1d.weight",                                                                           \
    {                                                                                              \
      4, 48 + 4 * 36                                                                               \
    }                                                                                              \
  }
#define LATENT_KEYS(heads)                                                                         \
  { "attention.head_count", heads }, { "attention.kv_lora_rank", 20 },                             \
      { "rope.dimension_count", 6 }, { "attention.key_length", 16 },                               \
  {                                                                                                \
    "attention.value_length", 12                                                                   \
  }
#define LATENT_TENSORS(heads)                                                                      \
  { "attn_kv_a_mqa.weight", { WIDTH, 26 } }, { "attn_kv_a_norm.weight", { 20 } },                  \
  {                                                                                                \
    "attn_output.weight",                                                                          \
    {                                                                                              \
      heads * 12, WIDTH                                                                            \
    }                                                                                              \
  }
#define COMPRESSED_KEYS(ratio)                                                                     \
  { "attention.head_count", 4 }, { "attention.key_length", 16 }, { "rope.dimension_count", 6 },    \
      { "attention.sliding_window", 21 }, { "attention.output_group_count", 2 },                   \
      { "attention.output_lora_rank", 10 }, { "attention.indexer.head_count", 7 },                 \
      { "attention.indexer.key_length", 8 }, { "attention.indexer.top_k", 9 },                     \
      { "attention.compress_rope_freq_base", 30000 }, { "attention.compress_ratios", ratio },      \
      { "hyper_connection.count", 4 }, { "hyper_connection.sinkhorn_iterations", 3 },              \
      { "hyper_connection.epsilon", 1e-3 },                                                        \
  {                                                                                                \
    "hash_layer_count", 0                                                                          \
  }
#define COMPRESSED_TENSORS                                                                         \
  { "attn_q_a.weight", { WIDTH, 12 } }, { "attn_q_a_norm.weight", { 12 } },                        \
      { "attn_q_b.weight", { 12, 64 } }, { "attn_kv.weight", { WIDTH, 16 } },                      \
      { "attn_kv_a_norm.weight", { 16 } }, { "attn_sinks.weight", { 4 } },                         \
      { "attn_output_a.weight", { 32, 20 } }, { "attn_output_b.weight", { 20, WIDTH } },           \
      { "hc_attn_fn.weight", { 4 * WIDTH, 24 } }, { "hc_attn_base.weight", { 24 } },               \
      { "hc_attn_scale.weight", { 3 } }, { "hc_ffn_fn.weight", { 4 * WIDTH, 24 } },                \
      { "hc_ffn_base.weight", { 24 } },                                                            \
  {                                                                                                \
    "hc_ffn_scale.weight",                                                                         \
    {                                                                                              \
      3                                                                                            \
    }                                                                                              \
  }
#define COMPRESSOR_TENSORS(columns, ratio)                                                         \
  { "attn_compressor_kv.weight", { WIDTH, columns } },                                             \
      { "attn_compressor_gate.weight", { WIDTH, columns } },                                       \
      { "attn_compressor_ape.weight", { columns, ratio } },                                        \
  {                                                                                                \
    "attn_compressor_norm.weight",                                                                 \
    {                                                                                              \
      16                                                                                           \
    }                                                                                              \
  }
#define YARN_KEYS                                                                                  \
  { "rope.scaling.factor", 4 }, { "rope.scaling.original_context_length", 512 },                   \
  {                                                                                                \
    "rope.scaling.yarn_log_multiplier", 0.08                                                       \
  }

static const Case cases[] = {
  { "delta-split",
    "qwen35moe",
    mix_gated_delta,
    "post_attention_norm.weight",
    { DELTA_KEYS },
    { NULL },
    { DELTA_TENSORS,
      { "attn_qkv.weight", { WIDTH, 48 + 4 * 36 } },
      { "attn_gate.weight", { WIDTH, 4 * 36 } },
      { "ssm_beta.weight", { WIDTH, 4 } },
      { "ssm_alpha.weight", { WIDTH, 4 } } } },
  { "delta-grouped",
    "qwen3next",
    mix_gated_delta,
    "post_attention_norm.weight",
    { DELTA_KEYS },
    { NULL },
    { DELTA_TENSORS,
      { "attn_qkv.weight", { WIDTH, 48 + 4 * 36 } },
      { "attn_gate.weight", { WIDTH, 4 * 36 } },
      { "ssm_ba.weight", { WIDTH, 8 } } } },
  { "delta-fused",
    "qwen3next",
    mix_gated_delta,
    "post_attention_norm.weight",
    { DELTA_KEYS },
    { NULL },
    { DELTA_TENSORS,
      { "ssm_in.weight", { WIDTH, 48 + 8 * 36 } },
      { "ssm_ba.weight", { WIDTH, 8 } } } },
  { "kimi-delta",
    "kimi-linear",
    mix_kimi_delta,
    "ffn_norm.weight",
    { { "ssm.conv_kernel", 3 },
      { "kda.head_dim", 40 },
      { "attention.head_count", 3 },
      { "rope.dimension_count", 4 } },
    { NULL },
    { { "ssm_a", { 1, 3 } },
      { "ssm_dt.bias", { 120 } },
      { "ssm_norm.weight", { 40 } },
      { "attn_output.weight", { 120, WIDTH } },
      { "attn_q.weight", { WIDTH, 120 } },
      { "attn_k.weight", { WIDTH, 120 } },
      { "attn_v.weight", { WIDTH, 120 } },
      { "ssm_conv1d_q.weight", { 3, 1, 120 } },
      { "ssm_conv1d_k.weight", { 3, 1, 120 } },
      { "ssm_conv1d_v.weight", { 3, 120 } },
      { "ssm_beta.weight", { WIDTH, 3 } },
      { "ssm_f_a.weight", { WIDTH, 40 } },
      { "ssm_f_b.weight", { 40, 120 } },
      { "ssm_g_a.weight", { WIDTH, 40 } },
      { "ssm_g_b.weight", { 40, 120 } } } },
  { "kimi-delta-bounded",
    "bailingmoe3",
    mix_kimi_delta,
    "ffn_norm.weight",
    { { "ssm.conv_kernel", 3 },
      { "kda.head_dim", 40 },
      { "attention.head_count", 3 },
      { "kda.gate_lower_bound", -2 },
      { "rope.dimension_count", 4 } },
    { NULL },
    { { "ssm_a", { 1, 3 } },
      { "ssm_dt.bias", { 120 } },
      { "ssm_norm.weight", { 40 } },
      { "attn_output.weight", { 120, WIDTH } },
      { "attn_q.weight", { WIDTH, 120 } },
      { "attn_k.weight", { WIDTH, 120 } },
      { "attn_v.weight", { WIDTH, 120 } },
      { "ssm_conv1d_q.weight", { 3, 1, 120 } },
      { "ssm_conv1d_k.weight", { 3, 1, 120 } },
      { "ssm_conv1d_v.weight", { 3, 1, 120 } },
      { "ssm_beta.weight", { WIDTH, 3 } },
      { "ssm_f_a.weight", { WIDTH, 120 } },
      { "ssm_g_a.weight", { WIDTH, 120 } } } },
  { "latent-gated",
    "bailingmoe3",
    mix_latent,
    "ffn_norm.weight",
    { LATENT_KEYS (19) },
    { NULL },
    { LATENT_TENSORS (19),
      { "attn_q.weight", { WIDTH, 19 * 16 } },
      { "attn_gate.weight", { WIDTH, 19 } },
      { "attn_k_b.weight", { 10, 20, 19 } },
      { "attn_v_b.weight", { 20, 12, 19 } } } },
  { "latent-split",
    "deepseek2",
    mix_latent,
    "ffn_norm.weight",
    { LATENT_KEYS (3),
      YARN_KEYS,
      { "attention.temperature_scale", 0.1 },
      { "attention.temperature_length", 50 } },
    { "rope.scaling.type", "yarn" },
    { LATENT_TENSORS (3),
      { "attn_q.weight", { WIDTH, 3 * 16 } },
      { "attn_k_b.weight", { 10, 20, 3 } },
      { "attn_v_b.weight", { 20, 12, 3 } } } },
  /* More heads than are under way at once. */
  { "latent-whole",
    "deepseek2",
    mix_latent,
    "ffn_norm.weight",
    { LATENT_KEYS (19) },
    { NULL },
    { LATENT_TENSORS (19),
      { "attn_q_a.weight", { WIDTH, 12 } },
      { "attn_q_a_norm.weight", { 12 } },
      { "attn_q_b.weight", { 12, 19 * 16 } },
      { "attn_kv_b.weight", { 20, 19 * 22 } } } },
  { "latent-unturned",
    "kimi-linear",
    mix_latent,
    "ffn_norm.weight",
    { LATENT_KEYS (3) },
    { NULL },
    { LATENT_TENSORS (3),
      { "attn_q.weight", { WIDTH, 3 * 16 } },
      { "attn_k_b.weight", { 10, 20, 3 } },
      { "attn_v_b.weight", { 20, 12, 3 } } } },
  { "latent-chosen",
    "glm-dsa",
    mix_latent,
    "ffn_norm.weight",
    { LATENT_KEYS (3),
      { "attention.indexer.head_count", 11 },
      { "attention.indexer.key_length", 8 },
      { "attention.indexer.top_k", 11 } },
    { NULL },
    { LATENT_TENSORS (3),
      { "attn_q_a.weight", { WIDTH, 12 } },
      { "attn_q_a_norm.weight", { 12 } },
      { "attn_q_b.weight", { 12, 3 * 16 } },
      { "attn_k_b.weight", { 10, 20, 3 } },
      { "attn_v_b.weight", { 20, 12, 3 } },
      { "indexer.attn_q_b.weight", { 12, 88 } },
      { "indexer.attn_k.weight", { WIDTH, 8 } },
      { "indexer.proj.weight", { WIDTH, 11 } },
      { "indexer.k_norm.weight", { 8 } },
      { "indexer.k_norm.bias", { 8 } } } },
  { "latent-chosen-halves",
    "deepseek32",
    mix_latent,
    "ffn_norm.weight",
    { LATENT_KEYS (3),
      { "attention.indexer.head_count", 11 },
      { "attention.indexer.key_length", 8 },
      { "attention.indexer.top_k", 11 } },
    { NULL },
    { LATENT_TENSORS (3),
      { "attn_q_a.weight", { WIDTH, 12 } },
      { "attn_q_a_norm.weight", { 12 } },
      { "attn_q_b.weight", { 12, 3 * 16 } },
      { "attn_k_b.weight", { 10, 20, 3 } },
      { "attn_v_b.weight", { 20, 12, 3 } },
      { "indexer.attn_q_b.weight", { 12, 88 } },
      { "indexer.attn_k.weight", { WIDTH, 8 } },
      { "indexer.proj.weight", { WIDTH, 11 } },
      { "indexer.k_norm.weight", { 8 } },
      { "indexer.k_norm.bias", { 8 } } } },
  { "attention-fused",
    "bailingmoe2",
    mix_attention,
    "ffn_norm.weight",
    { { "attention.head_count", 4 },
      { "attention.head_count_kv", 2 },
      { "attention.key_length", 8 },
      { "attention.value_length", 8 },
      { "rope.dimension_count", 4 } },
    { NULL },
    { { "attn_qkv.weight", { WIDTH, 64 } },
      { "attn_output.weight", { 32, WIDTH } },
      { "attn_q_norm.weight", { 8 } },
      { "attn_k_norm.weight", { 8 } } } },
  { "compressed-none",
    "deepseek4",
    mix_compressed,
    "ffn_norm.weight",
    { COMPRESSED_KEYS (0) },
    { NULL },
    { COMPRESSED_TENSORS } },
  { "compressed-chosen",
    "deepseek4",
    mix_compressed,
    "ffn_norm.weight",
    { COMPRESSED_KEYS (4) },
    { NULL },
    { COMPRESSED_TENSORS,
      COMPRESSOR_TENSORS (32, 4),
      { "indexer.attn_q_b.weight", { 12, 56 } },
      { "indexer.proj.weight", { WIDTH, 7 } },
      { "indexer_compressor_kv.weight", { WIDTH, 16 } },
      { "indexer_compressor_gate.weight", { WIDTH, 16 } },
      { "indexer_compressor_ape.weight", { 16, 4 } },
      { "indexer_compressor_norm.weight", { 8 } } } },
  { "compressed-all",
    "deepseek4",
    mix_compressed,
    "ffn_norm.weight",
    { COMPRESSED_KEYS (16) },
    { NULL },
    { COMPRESSED_TENSORS, COMPRESSOR_TENSORS (16, 16) } },
  { "attention-gated",
    "qwen35moe",
    mix_attention,
    "post_attention_norm.weight",
    { { "attention.head_count", 6 },
      { "attention.head_count_kv", 1 },
      { "attention.key_length", 8 },
      { "attention.value_length", 8 },
      { "rope.dimension_count", 4 } },
    { NULL },
    { { "attn_q.weight", { WIDTH, 96 } },
      { "attn_k.weight", { WIDTH, 8 } },
      { "attn_v.weight", { WIDTH, 8 } },
      { "attn_output.weight", { 48, WIDTH } },
      { "attn_q_norm.weight", { 8 } },
      { "attn_k_norm.weight", { 8 } } } },
};

static void
add (GgufWriter *writer, const char *name, gint64 ne0, gint64 ne1, gint64 ne2)
{
  gsize n = (gsize) (ne0 * MAX (ne1, 1) * MAX (ne2, 1));
  g_autofree float *all = toy_model_values (&values_of, name, n);

  gguf_add_f32 (writer, name, ne0, ne1, ne2, all);
}

/* A part of a block, with the values of the first block's, or 0. */
static void
add_part (GgufWriter *writer, guint block, const char *part, gint64 ne0, gint64 ne1, gint64 ne2,
          gboolean zero)
{
  gsize n = (gsize) (ne0 * MAX (ne1, 1) * MAX (ne2, 1));
  g_autofree char *name = g_strdup_printf ("blk.%u.%s", block, part);
  g_autofree float *all = zero ? g_new0 (float, n) : values (part, n);

  gguf_add_f32 (writer, name, ne0, ne1, ne2, all);
}

/* The model, its mixer's tensor `wrong` left out or with another first dimension; wrong NULL:
 * whole.  A second block is as the first, without an index; of two, experts give nothing. */
static GgufWriter *
write_blocks (const Case *model, guint n_blocks, const char *wrong, gboolean missing)
{
  GgufWriter *writer = gguf_writer_new ();
  const struct
  {
    const char *name;
    guint32 value;
  } numbers[] = { { "embedding_length", WIDTH },
                  { "block_count", n_blocks },
                  { "expert_count", EXPERTS },
                  { "expert_used_count", 2 },
                  { "expert_gating_func", has_tensor (model, "hc_attn_fn.weight") ? 4 : 1 } };
  static const char *const floats[] = { "rope.scaling.factor",
                                        "rope.scaling.yarn_log_multiplier",
                                        "attention.temperature_scale",
                                        "attention.compress_rope_freq_base",
                                        "hyper_connection.epsilon",
                                        "kda.gate_lower_bound",
                                        NULL };
  g_autofree char *epsilon
      = g_strconcat (model->architecture, ".attention.layer_norm_rms_epsilon", NULL);

  gguf_add_string (writer, "general.architecture", model->architecture);
  gguf_add_float (writer, epsilon, EPSILON);
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      g_autofree char *name = g_strconcat (model->architecture, ".", numbers[i].name, NULL);

      gguf_add_u32 (writer, name, numbers[i].value);
    }
  for (guint i = 0; model->keys[i].name != NULL; i++)
    {
      g_autofree char *name = g_strconcat (model->architecture, ".", model->keys[i].name, NULL);

      if (g_strv_contains (floats, model->keys[i].name))
        gguf_add_float (writer, name, (float) model->keys[i].value);
      else
        gguf_add_u32 (writer, name, (guint32) model->keys[i].value);
    }
  if (model->text_keys[0] != NULL)
    {
      g_autofree char *name = g_strconcat (model->architecture, ".", model->text_keys[0], NULL);

      gguf_add_string (writer, name, model->text_keys[1]);
    }
  add (writer, "token_embd.weight", WIDTH, WORDS, 0);
  if (key (model, "hyper_connection.count", 0) > 0)
    {
      add (writer, "output_hc_fn.weight", 4 * WIDTH, 4, 0);
      add (writer, "output_hc_base.weight", 4, 0, 0);
      add (writer, "output_hc_scale.weight", 1, 0, 0);
    }
  for (guint b = 0; b < n_blocks; b++)
    {
      add_part (writer, b, "attn_norm.weight", WIDTH, 0, 0, FALSE);
      add_part (writer, b, model->ffn_norm, WIDTH, 0, 0, FALSE);
      add_part (writer, b, "ffn_gate_inp.weight", WIDTH, EXPERTS, 0, FALSE);
      add_part (writer, b, "ffn_gate_exps.weight", WIDTH, 8, EXPERTS, FALSE);
      add_part (writer, b, "ffn_up_exps.weight", WIDTH, 8, EXPERTS, FALSE);
      add_part (writer, b, "ffn_down_exps.weight", 8, WIDTH, EXPERTS, n_blocks > 1);
      for (guint i = 0; model->tensors[i].name != NULL; i++)
        {
          const gint64 *ne = model->tensors[i].ne;
          gboolean spoiled = g_strcmp0 (model->tensors[i].name, wrong) == 0;

          if (b > 0 && g_str_has_prefix (model->tensors[i].name, "indexer."))
            continue;
          if (!spoiled || !missing)
            add_part (writer, b, model->tensors[i].name, spoiled ? ne[0] + 1 : ne[0], ne[1], ne[2],
                      FALSE);
        }
    }
  return writer;
}

static GgufWriter *
write_model (const Case *model, const char *wrong, gboolean missing)
{
  return write_blocks (model, 1, wrong, missing);
}

/* --- Tests ----------------------------------------------------------------------------------- */

static char *
new_path (void)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);

  return g_build_filename (folder, "block.gguf", NULL);
}

static void
remove_path (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);

  g_unlink (path);
  g_rmdir (folder);
}

/* Logits (ALL_TOKENS, EXPERTS) of a wave of all documents at the last block; NULL when a value was
 * no number. */
static float *
run_wave (const MsPlan *plan, const gint32 *ids, guint threads)
{
  gsize starts[G_N_ELEMENTS (lengths) + 1] = { 0 };
  g_autoptr (MsRows) rows = ms_rows_new (plan,
                                         MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY
                                             | MS_CHUNK_MARGIN | MS_CHUNK_LOGITS,
                                         FALSE, ALL_TOKENS);
  const MsForwardOptions options = { .threads = threads };
  MsBroken broken;
  MsForwardEnd end;

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    starts[i + 1] = starts[i] + lengths[i];
  end = ms_forward_run (plan, &options, &(const MsWave){ ids, starts, G_N_ELEMENTS (lengths) },
                        rows, 0, NULL, NULL, &broken);
  return end == MS_FORWARD_DONE ? g_memdup2 (rows->layers[plan->n_moe - 1].logits,
                                             ALL_TOKENS * EXPERTS * sizeof (float))
                                : NULL;
}

static void
draw_ids (gint32 *ids)
{
  guint64 seed = 5;

  for (guint i = 0; i < ALL_TOKENS; i++)
    ids[i] = (gint32) ms_random_below (&seed, WORDS);
}

/* The router's logits of a document, by plain loops: (n, EXPERTS). */
static void
run_naive (const Case *model, const gint32 *ids, guint n, double *logits)
{
  g_autofree float *embedding = toy_model_values (&values_of, "token_embd.weight", WORDS * WIDTH);
  g_autofree double *x = g_new (double, n *WIDTH), *h = g_new (double, n *WIDTH);
  g_autofree double *out = g_new (double, n *WIDTH);
  guint streams = (guint) key (model, "hyper_connection.count", 0);
  g_autofree gboolean *seen
      = has_tensor (model, "indexer.proj.weight") ? g_new0 (gboolean, n * n) : NULL;
  double unused[4], also_unused[16];

  for (guint t = 0; t < n; t++)
    {
      double all[4 * WIDTH];

      for (guint i = 0; i < WIDTH; i++)
        h[t * WIDTH + i] = x[t * WIDTH + i] = (double) embedding[ids[t] * WIDTH + (gint) i];
      for (guint i = 0; i < streams * WIDTH; i++)
        all[i] = x[t * WIDTH + i % WIDTH];
      if (streams > 0)
        read_streams (model, "hc_attn", all, streams, h + t * WIDTH, unused, also_unused);
      norm ("attn_norm.weight", h + t * WIDTH, WIDTH);
    }
  model->mix (&(const Naive){ model, n, h, out, seen, TRUE });
  for (guint t = 0; t < n; t++)
    {
      for (guint i = 0; i < WIDTH && streams == 0; i++)
        out[t * WIDTH + i] += x[t * WIDTH + i];
      if (streams > 0)
        pass_streams (model, x + t * WIDTH, out + t * WIDTH);
      norm (model->ffn_norm, out + t * WIDTH, WIDTH);
      apply ("ffn_gate_inp.weight", out + t * WIDTH, WIDTH, 0, EXPERTS, EXPERTS,
             logits + t * EXPERTS);
    }
}

static void
test_values (gconstpointer data)
{
  const Case *model = data;
  g_autofree char *path = new_path ();
  g_autoptr (GgufWriter) writer = write_model (model, NULL, FALSE);
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = NULL;
  g_autoptr (MsPlan) plan = NULL;
  g_autofree float *one = NULL, *three = NULL;
  gint32 ids[ALL_TOKENS];
  double right[MAX_TOKENS * EXPERTS];
  guint first = 0;

  gguf_writer_save (writer, path);
  gguf = ms_gguf_open (path, &error);
  g_assert_no_error (error);
  plan = ms_plan_new (gguf, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (plan->warnings->len, ==, 0);
  draw_ids (ids);
  one = run_wave (plan, ids, 1);
  three = run_wave (plan, ids, 3);
  g_assert_nonnull (one);
  g_assert_cmpmem (one, ALL_TOKENS * EXPERTS * sizeof (float), three,
                   ALL_TOKENS * EXPERTS * sizeof (float));
  for (guint i = 0; i < G_N_ELEMENTS (lengths); first += lengths[i++])
    {
      run_naive (model, ids + first, lengths[i], right);
      for (guint j = 0; j < lengths[i] * EXPERTS; j++)
        g_assert_cmpfloat_with_epsilon ((double) one[first * EXPERTS + j], right[j], 1e-4);
    }
  remove_path (path);
}

/* A tensor of a wrong shape is named; one that is missing is, or the one that would stand in its
 * place.  Without the tensor that tells the mixer, another mixer is looked for, which misses a
 * key. */
static void
test_wrong (gconstpointer data)
{
  static const char *const marks[] = { "ssm_a", "ssm_f_a.weight", "attn_kv_a_mqa.weight", NULL };
  const Case *model = data;
  g_autofree char *path = new_path ();

  for (guint i = 0; model->tensors[i].name != NULL; i++)
    for (guint missing = 0; missing < 2; missing++)
      {
        g_autoptr (GgufWriter) writer = write_model (model, model->tensors[i].name, missing);
        g_autoptr (GError) error = NULL;
        g_autoptr (MsGguf) gguf = NULL;
        g_autoptr (MsPlan) plan = NULL;
        const char *says;

        gguf_writer_save (writer, path);
        gguf = ms_gguf_open (path, &error);
        g_assert_no_error (error);
        plan = ms_plan_new (gguf, &error);
        if (plan != NULL)
          g_error ("%s of %s is wrong and nobody minds", model->tensors[i].name, model->name);
        says = missing ? "blk.0." : model->tensors[i].name;
        if (strstr (error->message, says) == NULL
            && !(missing && g_strv_contains (marks, model->tensors[i].name)))
          g_error ("'%s' expected for %s: %s", says, model->tensors[i].name, error->message);
      }
  remove_path (path);
}

/* Whatever byte before the tensors' values is damaged, the model is refused or runs. */
static void
test_damaged (gconstpointer data)
{
  const Case *model = data;
  g_autofree char *path = new_path ();
  g_autoptr (GgufWriter) writer = write_model (model, NULL, FALSE);
  g_autoptr (GByteArray) bytes = gguf_writer_bytes (writer);
  g_autofree float *embedding = toy_model_values (&values_of, "token_embd.weight", WORDS * WIDTH);
  const guint8 *end = memmem (bytes->data, bytes->len, embedding, 64);
  gint32 ids[ALL_TOKENS];
  guint64 seed = 7;
  guint n_ran = 0;

  g_assert_nonnull (end);
  draw_ids (ids);
  for (guint i = 0; i < 400; i++)
    {
      gsize at = ms_random_below (&seed, (guint32) (end - bytes->data));
      guint8 kept = bytes->data[at];
      g_autoptr (MsGguf) gguf = NULL;
      g_autoptr (MsPlan) plan = NULL;

      bytes->data[at] ^= (guint8) (1u << ms_random_below (&seed, 8));
      g_assert_true (g_file_set_contents_full (path, (const char *) bytes->data,
                                               (gssize) bytes->len, G_FILE_SET_CONTENTS_NONE, 0600,
                                               NULL));
      gguf = ms_gguf_open (path, NULL);
      plan = gguf != NULL ? ms_plan_new (gguf, NULL) : NULL;
      if (plan != NULL && plan->embedding.n_rows >= WORDS
          && plan->blocks[0].gate.n_experts == EXPERTS)
        {
          g_autofree float *logits = run_wave (plan, ids, 2);

          n_ran += logits != NULL;
        }
      bytes->data[at] = kept;
    }
  g_assert_cmpuint (n_ran, >, 0);
  remove_path (path);
}

/* A model whose block chooses by token ids, `wrong` being an expert that word 3 is sent to; NULL:
 * none. */
static MsGguf *
open_hashed (const char *path, const gint32 *wrong, gint32 *table)
{
  Case model = { 0 };
  g_autoptr (GgufWriter) writer = NULL;
  MsGguf *gguf;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    if (g_str_equal (cases[i].name, "compressed-none"))
      model = cases[i];
  for (guint i = 0; model.keys[i].name != NULL; i++)
    if (g_str_equal (model.keys[i].name, "hash_layer_count"))
      model.keys[i].value = 1;
  for (guint i = 0; i < 2 * WORDS; i++)
    table[i] = (gint32) ((i * 7 + i / 2) % EXPERTS);
  if (wrong != NULL)
    table[2 * 3 + 1] = *wrong;
  writer = write_model (&model, NULL, FALSE);
  gguf_add_tensor (writer, "blk.0.ffn_gate_tid2eid.weight", MS_TYPE_I32, 2, WORDS, 0, table,
                   2 * WORDS * sizeof *table);
  gguf_writer_save (writer, path);
  gguf = ms_gguf_open (path, NULL);
  g_assert_nonnull (gguf);
  return gguf;
}

/* Experts come from the table, weights from the scores; a table that leads astray is refused. */
static void
test_hashed (void)
{
  g_autofree char *path = new_path ();
  gint32 table[2 * WORDS], ids[ALL_TOKENS];
  static const gint32 wrong[] = { EXPERTS, -1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = open_hashed (path, NULL, table);
  g_autoptr (MsPlan) plan = ms_plan_new (gguf, &error);
  g_autoptr (MsRows) rows = NULL;
  const gsize starts[] = { 0, 100, ALL_TOKENS };
  MsBroken broken;

  g_assert_no_error (error);
  rows = ms_rows_new (plan,
                      MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN
                          | MS_CHUNK_LOGITS,
                      FALSE, ALL_TOKENS);
  draw_ids (ids);
  g_assert_cmpint (ms_forward_run (plan, &(const MsForwardOptions){ .threads = 2 },
                                   &(const MsWave){ ids, starts, 2 }, rows, 0, NULL, NULL, &broken),
                   ==, MS_FORWARD_DONE);
  for (guint t = 0; t < ALL_TOKENS; t++)
    for (guint j = 0; j < 2; j++)
      {
        guint expert = rows->layers[0].experts[2 * t + j];
        double logit = (double) rows->layers[0].logits[t * EXPERTS + expert];

        g_assert_cmpint (expert, ==, table[2 * ids[t] + (gint) j]);
        g_assert_cmpfloat_with_epsilon ((double) rows->layers[0].weights[2 * t + j],
                                        sqrt (log1p (exp (logit))), 1e-5);
        g_assert_true (isnan (rows->layers[0].margin[t]));
      }
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autoptr (MsGguf) bad = open_hashed (path, &wrong[i], table);
      g_autoptr (GError) refusal = NULL;

      g_assert_null (ms_plan_new (bad, &refusal));
      g_assert_nonnull (strstr (refusal->message, "ffn_gate_tid2eid"));
    }
  remove_path (path);
}

/* Files of DeepSeek-V4 without the blocks that predict further tokens may count them all the
 * same. */
static void
test_counted_further (void)
{
  g_autofree char *path = new_path ();
  g_autoptr (GgufWriter) writer = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = NULL;
  g_autoptr (MsPlan) plan = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    if (g_str_equal (cases[i].name, "compressed-none"))
      writer = write_model (&cases[i], NULL, FALSE);
  gguf_add_u32 (writer, "deepseek4.nextn_predict_layers", 1);
  gguf_writer_save (writer, path);
  gguf = ms_gguf_open (path, &error);
  g_assert_no_error (error);
  plan = ms_plan_new (gguf, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (plan->n_blocks, ==, 1);
  g_assert_cmpuint (plan->warnings->len, ==, 1);
  g_assert_nonnull (strstr (g_ptr_array_index (plan->warnings, 0), "nextn_predict_layers"));
  remove_path (path);
}

/* A block without an index sees what the block before chose. */
static void
test_shared_choice (void)
{
  const Case *model = NULL;
  static const gint32 types[] = { 1, 0 };
  g_autofree char *path = new_path ();
  g_autoptr (GgufWriter) writer = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = NULL;
  g_autoptr (MsPlan) plan = NULL;
  g_autofree float *embedding = toy_model_values (&values_of, "token_embd.weight", WORDS * WIDTH);
  g_autofree float *found = NULL;
  gint32 ids[ALL_TOKENS];
  guint first = 0;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    if (g_str_equal (cases[i].name, "latent-chosen"))
      model = &cases[i];
  writer = write_blocks (model, 2, NULL, FALSE);
  gguf_add_i32s (writer, "glm-dsa.attention.indexer.types", types, 2);
  gguf_writer_save (writer, path);
  gguf = ms_gguf_open (path, &error);
  g_assert_no_error (error);
  plan = ms_plan_new (gguf, &error);
  g_assert_no_error (error);
  draw_ids (ids);
  found = run_wave (plan, ids, 2);
  for (guint i = 0; i < G_N_ELEMENTS (lengths); first += lengths[i++])
    {
      guint n = lengths[i];
      g_autofree double *x = g_new (double, n *WIDTH), *h = g_new (double, n *WIDTH);
      g_autofree double *out = g_new (double, n *WIDTH);
      g_autofree gboolean *seen = g_new0 (gboolean, n * n);

      for (guint j = 0; j < n * WIDTH; j++)
        x[j] = (double) embedding[ids[first + j / WIDTH] * WIDTH + (gint) (j % WIDTH)];
      for (guint block = 0; block < 2; block++)
        {
          memcpy (h, x, n * WIDTH * sizeof *h);
          for (guint t = 0; t < n; t++)
            norm ("attn_norm.weight", h + t * WIDTH, WIDTH);
          model->mix (&(const Naive){ model, n, h, out, seen, block == 0 });
          for (guint j = 0; j < n * WIDTH; j++)
            x[j] += out[j];
        }
      for (guint t = 0; t < n; t++)
        {
          double logits[EXPERTS];

          norm (model->ffn_norm, x + t * WIDTH, WIDTH);
          apply ("ffn_gate_inp.weight", x + t * WIDTH, WIDTH, 0, EXPERTS, EXPERTS, logits);
          for (guint e = 0; e < EXPERTS; e++)
            g_assert_cmpfloat_with_epsilon ((double) found[(first + t) * EXPERTS + e], logits[e],
                                            1e-4);
        }
    }
  remove_path (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *right = g_strconcat ("/blocks/values/", cases[i].name, NULL);
      g_autofree char *wrong = g_strconcat ("/blocks/wrong/", cases[i].name, NULL);
      g_autofree char *damaged = g_strconcat ("/blocks/damaged/", cases[i].name, NULL);

      g_test_add_data_func (right, &cases[i], test_values);
      g_test_add_data_func (wrong, &cases[i], test_wrong);
      g_test_add_data_func (damaged, &cases[i], test_damaged);
    }
  g_test_add_func ("/blocks/hashed", test_hashed);
  g_test_add_func ("/blocks/shared-choice", test_shared_choice);
  g_test_add_func ("/blocks/counted-further", test_counted_further);
  return g_test_run ();
}
