/* Loops over rows of floats (kernels-private.h).
 *
 * What must hold: a kernel compiled for AVX2 gives the bits of the one compiled for any processor, so
 * sums run in a fixed number of lanes and nothing is contracted (-ffp-contract=off). */
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

/* Sums and maxima run in two vectors of 8. */
#define WIDTH 8
#define LANES (2 * WIDTH)
typedef float Floats __attribute__ ((vector_size (WIDTH * sizeof (float))));
typedef float FloatsInMemory
    __attribute__ ((vector_size (WIDTH * sizeof (float)), aligned (sizeof (float)), may_alias));
typedef gint32 Ints __attribute__ ((vector_size (WIDTH * sizeof (gint32))));

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

/* A macro, since a function would return a vector, which has no calling convention without AVX. */
#define load(from) (*(const FloatsInMemory *) (from))

INLINE float
sum_lanes (const Floats *first, const Floats *second)
{
  Floats both = *first + *second;
  float part[WIDTH];

  memcpy (part, &both, sizeof part);
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

/* Relative error below 2^-22 for x in -87..88, the ends beyond.  (Cephes' expf) */
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
  Floats first = { 0 }, second = { 0 };
  gsize whole = n / LANES * LANES;
  float sum;

  for (gsize i = 0; i < whole; i += LANES)
    {
      first += load (a + i) * load (b + i);
      second += load (a + i + WIDTH) * load (b + i + WIDTH);
    }
  sum = sum_lanes (&first, &second);
  for (gsize i = whole; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}
KERNEL (float, return, ms_dot, (const float *a, const float *b, gsize n), (a, b, n))

INLINE void
ms_rms_norm_body (const float *x, const float *weight, gsize n, float epsilon, float *out)
{
  float scale = 1.0f / sqrtf (ms_dot_body (x, x, n) / (float) n + epsilon);

  if (weight == NULL)
    for (gsize i = 0; i < n; i++)
      out[i] = x[i] * scale;
  else
    for (gsize i = 0; i < n; i++)
      out[i] = x[i] * scale * weight[i];
}
KERNEL (void, , ms_rms_norm,
        (const float *x, const float *weight, gsize n, float epsilon, float *out),
        (x, weight, n, epsilon, out))

INLINE void
ms_layer_norm_body (const float *x, const float *weight, gsize n, float epsilon, float *out)
{
  Floats first = { 0 }, second = { 0 };
  gsize whole = n / LANES * LANES;
  float mean, scale;

  for (gsize i = 0; i < whole; i += LANES)
    {
      first += load (x + i);
      second += load (x + i + WIDTH);
    }
  mean = sum_lanes (&first, &second);
  for (gsize i = whole; i < n; i++)
    mean += x[i];
  mean /= (float) n;
  for (gsize i = 0; i < n; i++)
    out[i] = x[i] - mean;
  scale = 1.0f / sqrtf (ms_dot_body (out, out, n) / (float) n + epsilon);
  for (gsize i = 0; i < n; i++)
    out[i] = out[i] * scale * weight[i];
}
KERNEL (void, , ms_layer_norm,
        (const float *x, const float *weight, gsize n, float epsilon, float *out),
        (x, weight, n, epsilon, out))

INLINE float
ms_largest_body (const float *x, gsize n)
{
  gsize whole = n / WIDTH * WIDTH;
  Floats most;
  float part[WIDTH], largest = -INFINITY;

  for (guint j = 0; j < WIDTH; j++)
    part[j] = -INFINITY;
  memcpy (&most, part, sizeof most);
  for (gsize i = 0; i < whole; i += WIDTH)
    {
      Floats here = load (x + i);
      Ints more = here > most;

      most = (Floats) (((Ints) here & more) | ((Ints) most & ~more));
    }
  memcpy (part, &most, sizeof part);
  for (guint j = 0; j < WIDTH; j++)
    largest = part[j] > largest ? part[j] : largest;
  for (gsize i = whole; i < n; i++)
    largest = x[i] > largest ? x[i] : largest;
  return largest;
}
KERNEL (float, return, ms_largest, (const float *x, gsize n), (x, n))

INLINE float
ms_exponentials_body (float *x, gsize n)
{
  float largest = ms_largest_body (x, n), sum;
  Floats first = { 0 }, second = { 0 };
  gsize whole = n / LANES * LANES;

  for (gsize i = 0; i < whole; i += LANES)
    {
      for (gsize j = i; j < i + LANES; j++)
        x[j] = exponential (x[j] - largest);
      first += load (x + i);
      second += load (x + i + WIDTH);
    }
  sum = sum_lanes (&first, &second);
  for (gsize i = whole; i < n; i++)
    {
      x[i] = exponential (x[i] - largest);
      sum += x[i];
    }
  return sum;
}
KERNEL (float, return, ms_exponentials, (float *x, gsize n), (x, n))

INLINE void
ms_silu_body (float *x, gsize n)
{
  for (gsize i = 0; i < n; i++)
    x[i] = x[i] / (1.0f + exponential (-x[i]));
}
KERNEL (void, , ms_silu, (float *x, gsize n), (x, n))

INLINE void
ms_silu_times_body (float *gate, const float *up, gsize n)
{
  for (gsize i = 0; i < n; i++)
    gate[i] = gate[i] / (1.0f + exponential (-gate[i])) * up[i];
}
KERNEL (void, , ms_silu_times, (float *gate, const float *up, gsize n), (gate, up, n))

INLINE void
ms_relu_times_body (float *gate, const float *up, gsize n)
{
  for (gsize i = 0; i < n; i++)
    gate[i] = (gate[i] < 0 ? 0 : gate[i]) * up[i]; /* NaN stays NaN */
}
KERNEL (void, , ms_relu_times, (float *gate, const float *up, gsize n), (gate, up, n))

/* Comparisons are so that a NaN stays. */
INLINE void
ms_silu_times_limited_body (float *gate, const float *up, gsize n, float limit)
{
  for (gsize i = 0; i < n; i++)
    {
      float g = gate[i] / (1.0f + exponential (-gate[i]));
      float u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];

      gate[i] = (g > limit ? limit : g) * u;
    }
}
KERNEL (void, , ms_silu_times_limited, (float *gate, const float *up, gsize n, float limit),
        (gate, up, n, limit))

INLINE void
ms_silu_times_bounded_body (float *gate, const float *up, gsize n, float limit)
{
  for (gsize i = 0; i < n; i++)
    {
      float g = gate[i] > limit ? limit : gate[i];
      float u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];

      gate[i] = g / (1.0f + exponential (-g)) * u;
    }
}
KERNEL (void, , ms_silu_times_bounded, (float *gate, const float *up, gsize n, float limit),
        (gate, up, n, limit))

INLINE void
ms_clamped_swiglu_body (float *gate, const float *up, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      float g = gate[i] > 7.0f ? 7.0f : gate[i];
      float u = up[i] > 7.0f ? 7.0f : up[i] < -7.0f ? -7.0f : up[i];

      gate[i] = g / (1.0f + exponential (-1.702f * g)) * (u + 1.0f);
    }
}
KERNEL (void, , ms_clamped_swiglu, (float *gate, const float *up, gsize n), (gate, up, n))

INLINE float
gelu (float x)
{
  return x / (1.0f + exponential (-1.5957691216057308f * (x + 0.044715f * x * x * x)));
}

/* To the nearest half-precision number, ties to even; below 10 in size.  Adding 0.75 rounds to the step
 * of the smallest ones. */
INLINE float
round_to_half (float x)
{
  guint32 bits = bits_of (x);
  float small = (x + 0.75f) - 0.75f;
  float normal = from_bits ((bits + 0xfffu + ((bits >> 13) & 1u)) & ~0x1fffu);
  float size = x < 0 ? -x : x;

  return size < 6.103515625e-5f ? small : normal;
}

INLINE void
ms_gelu_times_body (float *gate, const float *up, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      float g = gate[i], rounded = round_to_half (gelu (round_to_half (g)));

      rounded = g >= 10.0f ? g : g <= -10.0f ? 0.0f : rounded;
      gate[i] = g != g ? g : rounded;
    }
  for (gsize i = 0; i < n && up != NULL; i++)
    gate[i] *= up[i];
}
KERNEL (void, , ms_gelu_times, (float *gate, const float *up, gsize n), (gate, up, n))

INLINE void
ms_relu_squared_body (float *x, const float *up, gsize n)
{
  (void) up;
  for (gsize i = 0; i < n; i++)
    x[i] = x[i] < 0 ? 0 : x[i] * x[i]; /* NaN stays NaN */
}
KERNEL (void, , ms_relu_squared, (float *x, const float *up, gsize n), (x, up, n))

INLINE void
ms_clamp_body (float *x, float limit, gsize n)
{
  for (gsize i = 0; i < n; i++)
    x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}
KERNEL (void, , ms_clamp, (float *x, float limit, gsize n), (x, limit, n))

/* Near 0 a series, where the quotient would lose digits.  (Cephes' tanhf) */
INLINE float
hyperbolic_tangent (float x)
{
  float square = x * x, series = -5.70498872745e-3f;
  float size = x < 0 ? -x : x, far = 1.0f - 2.0f / (1.0f + exponential (2.0f * size));

  series = series * square + 2.06390887954e-2f;
  series = series * square - 5.37397155531e-2f;
  series = series * square + 1.33314422036e-1f;
  series = series * square - 3.33332819422e-1f;
  far = x < 0 ? -far : far;
  return size < 0.625f ? series * square * x + x : far;
}

INLINE void
ms_soft_cap_body (float *x, float cap, gsize n)
{
  float inverse = 1.0f / cap;

  for (gsize i = 0; i < n; i++)
    x[i] = cap * hyperbolic_tangent (x[i] * inverse);
}
KERNEL (void, , ms_soft_cap, (float *x, float cap, gsize n), (x, cap, n))

INLINE void
ms_times_sigmoid_body (float *x, const float *gate, gsize n)
{
  for (gsize i = 0; i < n; i++)
    x[i] = x[i] / (1.0f + exponential (-gate[i]));
}
KERNEL (void, , ms_times_sigmoid, (float *x, const float *gate, gsize n), (x, gate, n))

void
ms_times_softplus (float *x, const float *gate, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      double g = (double) gate[i];

      x[i] *= (float) (MAX (g, 0) + log1p (exp (-fabs (g))));
    }
}

INLINE void
ms_scale_body (const float *x, float scale, gsize n, float *out)
{
  for (gsize i = 0; i < n; i++)
    out[i] = scale * x[i];
}
KERNEL (void, , ms_scale, (const float *x, float scale, gsize n, float *out), (x, scale, n, out))

INLINE void
ms_convolve_silu_body (float *x, gsize row, const float *kernel, gsize kernel_row, gsize length,
                       const float *bias, gsize n)
{
  const float *own = kernel + (length - 1) * kernel_row;

  for (gsize i = 0; i < n; i++)
    x[i] *= own[i];
  for (gsize j = 0; j + 1 < length; j++)
    for (gsize i = 0; i < n; i++)
      x[i] += kernel[j * kernel_row + i] * (x - (length - 1 - j) * row)[i];
  for (gsize i = 0; i < n && bias != NULL; i++)
    x[i] += bias[i];
  for (gsize i = 0; i < n; i++)
    x[i] = x[i] / (1.0f + exponential (-x[i]));
}
KERNEL (void, , ms_convolve_silu,
        (float *x, gsize row, const float *kernel, gsize kernel_row, gsize length,
         const float *bias, gsize n),
        (x, row, kernel, kernel_row, length, bias, n))

#define DELTA_VECTORS (MS_DELTA_COLUMNS / WIDTH)

INLINE void
ms_delta_step_body (float *state, gsize key_width, const float *k, const float *q,
                    const float *decay, gsize decay_step, float beta, float *values)
{
  Floats seen[DELTA_VECTORS] = { 0 }, change[DELTA_VECTORS], out[DELTA_VECTORS] = { 0 };

  /* What decayed by d and is seen with k was seen with d k before: so the state is written once. */
  for (gsize i = 0; i < key_width; i++)
    {
      float weight = decay[i * decay_step] * k[i];

      for (guint j = 0; j < DELTA_VECTORS; j++)
        seen[j] += load (state + i * MS_DELTA_COLUMNS + j * WIDTH) * weight;
    }
  for (guint j = 0; j < DELTA_VECTORS; j++)
    change[j] = (load (values + j * WIDTH) - seen[j]) * beta;
  for (gsize i = 0; i < key_width; i++)
    for (guint j = 0; j < DELTA_VECTORS; j++)
      {
        FloatsInMemory *at
            = (FloatsInMemory *) (gpointer) (state + i * MS_DELTA_COLUMNS + j * WIDTH);
        Floats now = *at * decay[i * decay_step] + change[j] * k[i];

        *at = now;
        out[j] += now * q[i];
      }
  memcpy (values, out, sizeof out);
}
KERNEL (void, , ms_delta_step,
        (float *state, gsize key_width, const float *k, const float *q, const float *decay,
         gsize decay_step, float beta, float *values),
        (state, key_width, k, q, decay, decay_step, beta, values))

#define SCAN_VECTORS (MS_SCAN_COLUMNS / WIDTH)

INLINE void
ms_scan_step_body (float *state, gsize n, const float *b, const float *c, float decay, float *x)
{
  Floats in[SCAN_VECTORS], out[SCAN_VECTORS] = { 0 };

  memcpy (in, x, sizeof in);
  for (gsize i = 0; i < n; i++)
    for (guint j = 0; j < SCAN_VECTORS; j++)
      {
        FloatsInMemory *at
            = (FloatsInMemory *) (gpointer) (state + i * MS_SCAN_COLUMNS + j * WIDTH);
        Floats now = *at * decay + in[j] * b[i];

        *at = now;
        out[j] += now * c[i];
      }
  memcpy (x, out, sizeof out);
}
KERNEL (void, , ms_scan_step,
        (float *state, gsize n, const float *b, const float *c, float decay, float *x),
        (state, n, b, c, decay, x))

INLINE void
ms_scan_step_each_body (float *state, gsize n, const float *b, const float *c, const float *step,
                        const float *rates, gsize rates_row, float *x)
{
  float out[MS_SCAN_COLUMNS] = { 0 };

  for (gsize i = 0; i < n; i++)
    for (guint j = 0; j < MS_SCAN_COLUMNS; j++)
      {
        float *at = state + i * MS_SCAN_COLUMNS + j;

        *at = *at * exponential (step[j] * rates[i * rates_row + j]) + x[j] * b[i];
        out[j] += *at * c[i];
      }
  memcpy (x, out, sizeof out);
}
KERNEL (void, , ms_scan_step_each,
        (float *state, gsize n, const float *b, const float *c, const float *step,
         const float *rates, gsize rates_row, float *x),
        (state, n, b, c, step, rates, rates_row, x))

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

gboolean
ms_any_undefined (const float *values, gsize n)
{
  gboolean any = FALSE;

  for (gsize i = 0; i < n; i++)
    any |= values[i] != values[i];
  return any;
}
