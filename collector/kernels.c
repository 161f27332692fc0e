#include "kernels-private.h"

#include <math.h>
#include <string.h>

/* Plain loops that compilers vectorize, compiled twice on x86: for any processor and for those with
 * AVX2.  The bits are the same: sums run in LANES fixed lanes and nothing is contracted.  `give` is
 * `return`, or nothing where the type is void. */
#define INLINE static inline __attribute__ ((always_inline))
#ifdef __x86_64__
#define KERNEL(type, give, name, parameters, arguments)                                            \
  __attribute__ ((target ("avx2"))) static type name##_avx2 parameters                             \
  {                                                                                                \
    give name##_body arguments;                                                                    \
  }                                                                                                \
  type name parameters                                                                             \
  {                                                                                                \
    give __builtin_cpu_supports ("avx2") ? name##_avx2 arguments : name##_body arguments;          \
  }
#else
#define KERNEL(type, give, name, parameters, arguments)                                            \
  type name parameters                                                                             \
  {                                                                                                \
    give name##_body arguments;                                                                    \
  }
#endif

#define LANES 16
typedef float Lanes __attribute__ ((vector_size (LANES * sizeof (float))));

INLINE guint32
bits_of (float value)
{
  guint32 bits;

  memcpy (&bits, &value, sizeof bits);
  return bits;
}

INLINE float
from_bits (guint32 bits)
{
  float value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

INLINE float
sum_lanes (const Lanes *lanes)
{
  float part[LANES];

  memcpy (part, lanes, sizeof part);
  for (guint width = LANES / 2; width > 0; width /= 2)
    for (guint i = 0; i < width; i++)
      part[i] += part[i + width];
  return part[0];
}

/* Relative error below 2^-22 for |x| < 87, the ends beyond.  (Cephes' expf) */
INLINE float
exponential (float x)
{
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
  float bounded = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  float shifted = bounded * 1.44269504088896341f + magic;
  float whole = shifted - magic;
  float rest = bounded - whole * 0.693359375f - whole * -2.12194440e-4f;
  float series = 1.9875691500e-4f;

  series = series * rest + 1.3981999507e-3f;
  series = series * rest + 8.3334519073e-3f;
  series = series * rest + 4.1665795894e-2f;
  series = series * rest + 1.6666665459e-1f;
  series = series * rest + 5.0000001201e-1f;
  series = series * (rest * rest) + rest + 1.0f;
  return series * from_bits ((bits_of (shifted) - bits_of (magic) + 127u) << 23);
}

INLINE float
ms_dot_body (const float *a, const float *b, gsize n)
{
  Lanes lanes = { 0 };
  gsize whole = n / LANES * LANES;
  float sum;

  for (gsize i = 0; i < whole; i += LANES)
    {
      Lanes x, y;

      memcpy (&x, a + i, sizeof x);
      memcpy (&y, b + i, sizeof y);
      lanes += x * y;
    }
  sum = sum_lanes (&lanes);
  for (gsize i = whole; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}
KERNEL (float, return, ms_dot, (const float *a, const float *b, gsize n), (a, b, n))

INLINE void
ms_rms_norm_body (const float *x, const float *weight, gsize n, float epsilon, float *out)
{
  float scale = 1.0f / sqrtf (ms_dot_body (x, x, n) / (float) n + epsilon);

  for (gsize i = 0; i < n; i++)
    out[i] = x[i] * scale * weight[i];
}
KERNEL (void, , ms_rms_norm,
        (const float *x, const float *weight, gsize n, float epsilon, float *out),
        (x, weight, n, epsilon, out))

INLINE float
ms_largest_body (const float *x, gsize n)
{
  float part[LANES];
  gsize whole = n / LANES * LANES;
  float largest = -INFINITY;

  for (guint j = 0; j < LANES; j++)
    part[j] = -INFINITY;
  for (gsize i = 0; i < whole; i += LANES)
    for (guint j = 0; j < LANES; j++)
      part[j] = x[i + j] > part[j] ? x[i + j] : part[j];
  for (guint j = 0; j < LANES; j++)
    largest = part[j] > largest ? part[j] : largest;
  for (gsize i = whole; i < n; i++)
    largest = x[i] > largest ? x[i] : largest;
  return largest;
}
KERNEL (float, return, ms_largest, (const float *x, gsize n), (x, n))

INLINE void
ms_softmax_body (float *x, gsize n)
{
  float largest = ms_largest_body (x, n), sum, scale;
  Lanes lanes = { 0 };
  gsize whole = n / LANES * LANES;

  for (gsize i = 0; i < n; i++)
    x[i] = exponential (x[i] - largest);
  for (gsize i = 0; i < whole; i += LANES)
    {
      Lanes part;

      memcpy (&part, x + i, sizeof part);
      lanes += part;
    }
  sum = sum_lanes (&lanes);
  for (gsize i = whole; i < n; i++)
    sum += x[i];
  scale = 1.0f / sum;
  for (gsize i = 0; i < n; i++)
    x[i] *= scale;
}
KERNEL (void, , ms_softmax, (float *x, gsize n), (x, n))

INLINE void
ms_silu_times_body (float *gate, const float *up, gsize n)
{
  for (gsize i = 0; i < n; i++)
    gate[i] = gate[i] / (1.0f + exponential (-gate[i])) * up[i];
}
KERNEL (void, , ms_silu_times, (float *gate, const float *up, gsize n), (gate, up, n))

INLINE void
ms_add_scaled_body (float *y, const float *x, float scale, gsize n)
{
  for (gsize i = 0; i < n; i++)
    y[i] += scale * x[i];
}
KERNEL (void, , ms_add_scaled, (float *y, const float *x, float scale, gsize n), (y, x, scale, n))

INLINE void
ms_bf16_from_float_body (const float *x, gsize n, guint16 *out)
{
  for (gsize i = 0; i < n; i++)
    {
      guint32 bits = bits_of (x[i]);
      guint32 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;

      out[i] = (guint16) ((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded);
    }
}
KERNEL (void, , ms_bf16_from_float, (const float *x, gsize n, guint16 *out), (x, n, out))

INLINE void
ms_rotate_body (float *head, const float *cosines, const float *sines, gsize n_pairs,
                gboolean halves)
{
  gsize step = halves ? 1 : 2, other = halves ? n_pairs : 1;

  for (gsize i = 0; i < n_pairs; i++)
    {
      float a = head[i * step], b = head[i * step + other];

      head[i * step] = a * cosines[i] - b * sines[i];
      head[i * step + other] = a * sines[i] + b * cosines[i];
    }
}
KERNEL (void, , ms_rotate,
        (float *head, const float *cosines, const float *sines, gsize n_pairs, gboolean halves),
        (head, cosines, sines, n_pairs, halves))
