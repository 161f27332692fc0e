/* Loops over rows of floats for training, forwards and backwards.
 *
 * What must hold: sums run over sixteen fixed lanes and nothing is contracted: same bits everywhere. */
#include "kernels-private.h"

#include <math.h>
#include <string.h>

/* One body per instruction set, chosen when the program starts.  Without contraction and with fixed
 * lanes they agree to the bit. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__ ((target_clones ("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

#define LANES 16

/* exp within 2 units in the last place, for x in [-87, 88]; written so that compilers vectorise it. */
static inline float
fast_exp (float x)
{
  const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
  float n, r, p;
  gint32 bits;

  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  n = (x * 1.44269504089f + shift) - shift;
  r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  bits = ((gint32) n + 127) << 23;
  memcpy (&n, &bits, sizeof n);
  return p * n;
}

static inline float
lane_sum (const float lanes[LANES])
{
  float sum[LANES];

  memcpy (sum, lanes, sizeof sum);
  for (guint width = LANES / 2; width > 0; width /= 2)
    for (guint i = 0; i < width; i++)
      sum[i] += sum[i + width];
  return sum[0];
}

static inline float
dot (gsize length, const float *x, const float *y)
{
  float lanes[LANES] = { 0 };
  gsize i = 0;

  for (; i + LANES <= length; i += LANES)
    for (guint j = 0; j < LANES; j++)
      lanes[j] += x[i + j] * y[i + j];
  for (guint j = 0; i < length; i++, j++)
    lanes[j] += x[i] * y[i];
  return lane_sum (lanes);
}

WIDE float
ms_train_dot (gsize length, const float *x, const float *y)
{
  return dot (length, x, y);
}

WIDE void
ms_train_add_scaled (gsize length, float a, const float *restrict x, float *restrict y)
{
  for (gsize i = 0; i < length; i++)
    y[i] += a * x[i];
}

WIDE double
ms_train_square_sum (gsize length, const float *x)
{
  double lanes[LANES] = { 0 }, sum = 0;
  gsize i = 0;

  for (; i + LANES <= length; i += LANES)
    for (guint j = 0; j < LANES; j++)
      lanes[j] += (double) x[i + j] * (double) x[i + j];
  for (guint j = 0; i < length; i++, j++)
    lanes[j] += (double) x[i] * (double) x[i];
  for (guint j = 0; j < LANES; j++)
    sum += lanes[j];
  return sum;
}

WIDE void
ms_train_rms_forward (gsize n, gsize d, float epsilon, const float *restrict x,
                      const float *restrict w, float *restrict y, float *restrict inverse)
{
  for (gsize t = 0; t < n; t++)
    {
      const float *row = x + t * d;
      float scale = 1.0f / sqrtf (dot (d, row, row) / (float) d + epsilon);

      inverse[t] = scale;
      for (gsize i = 0; i < d; i++)
        y[t * d + i] = row[i] * scale * w[i];
    }
}

WIDE void
ms_train_rms_backward (gsize n, gsize d, const float *restrict x, const float *restrict w,
                       const float *restrict inverse, const float *restrict dy, float *restrict dx,
                       float *restrict dw)
{
  for (gsize t = 0; t < n; t++)
    {
      const float *row = x + t * d, *dy_row = dy + t * d;
      float lanes[LANES] = { 0 };
      float scale = inverse[t], pull;
      gsize i = 0;

      for (; i + LANES <= d; i += LANES)
        for (guint j = 0; j < LANES; j++)
          lanes[j] += dy_row[i + j] * w[i + j] * row[i + j];
      for (guint j = 0; i < d; i++, j++)
        lanes[j] += dy_row[i] * w[i] * row[i];
      pull = lane_sum (lanes) * scale * scale * scale / (float) d;
      for (i = 0; i < d; i++)
        {
          dw[i] += dy_row[i] * row[i] * scale;
          dx[t * d + i] += dy_row[i] * w[i] * scale - row[i] * pull;
        }
    }
}

WIDE void
ms_train_swiglu_forward (gsize n, gsize f, const float *restrict gate_up, float *restrict act)
{
  for (gsize t = 0; t < n; t++)
    {
      const float *gate = gate_up + t * 2 * f, *up = gate + f;

      for (gsize i = 0; i < f; i++)
        act[t * f + i] = gate[i] / (1.0f + fast_exp (-gate[i])) * up[i];
    }
}

WIDE void
ms_train_swiglu_backward (gsize n, gsize f, const float *restrict gate_up,
                          const float *restrict d_act, float *restrict d_gate_up)
{
  for (gsize t = 0; t < n; t++)
    {
      const float *gate = gate_up + t * 2 * f, *up = gate + f, *d = d_act + t * f;
      float *d_gate = d_gate_up + t * 2 * f, *d_up = d_gate + f;

      for (gsize i = 0; i < f; i++)
        {
          float s = 1.0f / (1.0f + fast_exp (-gate[i]));

          d_gate[i] = d[i] * up[i] * s * (1.0f + gate[i] * (1.0f - s));
          d_up[i] = d[i] * gate[i] * s;
        }
    }
}

WIDE float
ms_train_softmax (gsize length, float *x)
{
  float lanes[LANES], peak, sum;
  gsize i = 0;

  for (guint j = 0; j < LANES; j++)
    lanes[j] = -G_MAXFLOAT;
  for (; i + LANES <= length; i += LANES)
    for (guint j = 0; j < LANES; j++)
      lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  for (; i < length; i++)
    lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
  peak = lanes[0];
  for (guint j = 1; j < LANES; j++)
    peak = lanes[j] > peak ? lanes[j] : peak;
  for (i = 0; i < length; i++)
    x[i] = fast_exp (x[i] - peak);
  memset (lanes, 0, sizeof lanes);
  for (i = 0; i + LANES <= length; i += LANES)
    for (guint j = 0; j < LANES; j++)
      lanes[j] += x[i + j];
  for (guint j = 0; i < length; i++, j++)
    lanes[j] += x[i];
  sum = lane_sum (lanes);
  for (i = 0; i < length; i++)
    x[i] *= 1.0f / sum;
  return peak + logf (sum);
}

WIDE void
ms_train_softmax_backward (gsize length, float scale, const float *restrict p, float *restrict d)
{
  float mean = dot (length, p, d);

  for (gsize i = 0; i < length; i++)
    d[i] = p[i] * (d[i] - mean) * scale;
}

WIDE void
ms_train_adam_step (const MsAdam *adam, gsize length, const float *restrict gradient,
                    float *restrict parameter, float *restrict mean, float *restrict variance)
{
  float b1 = adam->beta1, b2 = adam->beta2, keep = 1.0f - adam->rate * adam->decay;

  for (gsize i = 0; i < length; i++)
    {
      float g = gradient[i] * adam->clip;
      float m = b1 * mean[i] + (1.0f - b1) * g, v = b2 * variance[i] + (1.0f - b2) * g * g;

      mean[i] = m;
      variance[i] = v;
      parameter[i] = parameter[i] * keep
                     - adam->rate * (m / adam->correction1)
                           / (sqrtf (v / adam->correction2) + adam->epsilon);
    }
}
