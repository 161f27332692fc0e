/* Tensor types.  A type is a loop that unpacks a row of its blocks and a row in the table below; the
 * loops are tested against the formula of one value in tests/test-quant.c.
 *
 * What must hold: values are exact, each product and sum rounded as written (nothing is contracted), so
 * that the bits are those of any other exact implementation. */
#include "quant-private.h"

#include "quant-grids-private.h"

#include <string.h>

/* Plain loops that compilers vectorize, compiled twice on x86: for any processor and for those with
 * AVX2.  (Not target_clones: its resolvers run before a sanitizer is ready.) */
#ifdef __x86_64__
#define KERNEL(name)                                                                               \
  __attribute__ ((target ("avx2"))) static void name##_avx2 (const guint8 *in, gsize n,            \
                                                             float *out)                           \
  {                                                                                                \
    name##_values (in, n, out);                                                                    \
  }                                                                                                \
  static void name (const guint8 *in, gsize n, float *out)                                         \
  {                                                                                                \
    if (__builtin_cpu_supports ("avx2"))                                                           \
      name##_avx2 (in, n, out);                                                                    \
    else                                                                                           \
      name##_values (in, n, out);                                                                  \
  }
#else
#define KERNEL(name)                                                                               \
  static void name (const guint8 *in, gsize n, float *out)                                         \
  {                                                                                                \
    name##_values (in, n, out);                                                                    \
  }
#endif
#define VALUES static inline __attribute__ ((always_inline)) void

static inline __attribute__ ((always_inline)) guint16
load16 (const guint8 *in)
{
  guint16 value;

  memcpy (&value, in, sizeof value);
  return value;
}

static inline __attribute__ ((always_inline)) float
from_bits (guint32 bits)
{
  float value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

/* ms_half_to_float without branches, so that loops over it vectorize: normal numbers by moving the
 * exponent (which also makes infinities and NaNs), subnormal ones by an exact subtraction. */
static inline __attribute__ ((always_inline)) float
half (guint32 bits)
{
  guint32 rest = bits & 0x7fff;
  guint32 rebias = rest >= 0x7c00 ? 0x70000000u : 0x38000000u;
  guint32 normal = (rest << 13) + rebias;
  float tiny = from_bits (0x3f000000u | rest) - 0.5f;
  guint32 magnitude;

  memcpy (&magnitude, &tiny, sizeof magnitude);
  /* 0.5 has a step of 2^-24, the unit of half subnormals. */
  magnitude = rest < 0x400 ? magnitude : normal;
  return from_bits (magnitude | (bits & 0x8000) << 16);
}

VALUES
f16_values (const guint8 *in, gsize n, float *out)
{
  for (gsize i = 0; i < n; i++)
    out[i] = half (load16 (in + 2 * i));
}
KERNEL (f16)

VALUES
bf16_values (const guint8 *in, gsize n, float *out)
{
  for (gsize i = 0; i < n; i++)
    out[i] = from_bits ((guint32) load16 (in + 2 * i) << 16);
}
KERNEL (bf16)

/* Block of 32: half scale, 32 signed bytes. */
VALUES
q8_0_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 32; b++, in += 34, out += 32)
    {
      float scale = half (load16 (in));

      for (guint i = 0; i < 32; i++)
        out[i] = scale * (float) (gint8) in[2 + i];
    }
}
KERNEL (q8_0)

/* Block of 32: half scale, 16 bytes of two values each, the lower halves first, stored plus 8. */
VALUES
q4_0_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 32; b++, in += 18, out += 32)
    {
      float scale = half (load16 (in));

      for (guint i = 0; i < 16; i++)
        {
          out[i] = scale * (float) ((gint) (in[2 + i] & 15) - 8);
          out[16 + i] = scale * (float) ((gint) (in[2 + i] >> 4) - 8);
        }
    }
}
KERNEL (q4_0)

/* As Q4_0, the value times a scale plus a least value. */
VALUES
q4_1_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 32; b++, in += 20, out += 32)
    {
      float scale = half (load16 (in)), least = half (load16 (in + 2));

      for (guint i = 0; i < 16; i++)
        {
          out[i] = scale * (float) (in[4 + i] & 15) + least;
          out[16 + i] = scale * (float) (in[4 + i] >> 4) + least;
        }
    }
}
KERNEL (q4_1)

/* Five bits of value i and value 16 + i: four in `nibbles`, the fifth in bit i or 16 + i of `high`. */
#define LOW_FIVE(nibbles, high, i) (((nibbles) &15u) | ((((high) >> (i)) & 1u) << 4))
#define HIGH_FIVE(nibbles, high, i)                                                                \
  (((guint) (nibbles) >> 4) | ((((high) >> ((i) + 16)) & 1u) << 4))

/* Block of 32: half scale, 32 fifth bits, 16 bytes of two values each, stored plus 16. */
VALUES
q5_0_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 32; b++, in += 22, out += 32)
    {
      float scale = half (load16 (in));
      guint32 high = load16 (in + 2) | (guint32) load16 (in + 4) << 16;

      for (guint i = 0; i < 16; i++)
        {
          out[i] = scale * (float) ((gint) LOW_FIVE (in[6 + i], high, i) - 16);
          out[16 + i] = scale * (float) ((gint) HIGH_FIVE (in[6 + i], high, i) - 16);
        }
    }
}
KERNEL (q5_0)

VALUES
q5_1_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 32; b++, in += 24, out += 32)
    {
      float scale = half (load16 (in)), least = half (load16 (in + 2));
      guint32 high = load16 (in + 4) | (guint32) load16 (in + 6) << 16;

      for (guint i = 0; i < 16; i++)
        {
          out[i] = scale * (float) LOW_FIVE (in[8 + i], high, i) + least;
          out[16 + i] = scale * (float) HIGH_FIVE (in[8 + i], high, i) + least;
        }
    }
}
KERNEL (q5_1)

/* Sixteen values that a nibble stands for: finer around 0. */
static const gint8 uneven[16]
    = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

VALUES
iq4_nl_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 32; b++, in += 18, out += 32)
    {
      float scale = half (load16 (in));

      for (guint i = 0; i < 16; i++)
        {
          out[i] = scale * (float) uneven[in[2 + i] & 15];
          out[16 + i] = scale * (float) uneven[in[2 + i] >> 4];
        }
    }
}
KERNEL (iq4_nl)

/* Block of 32: the exponent of a power of two, 16 bytes of two four-bit floats each (OCP Microscaling
 * Formats 1.0).  Twice the floats are whole numbers, so the power is 2^(e - 128). */
VALUES
mxfp4_values (const guint8 *in, gsize n, float *out)
{
  static const gint8 doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

  for (gsize b = 0; b < n / 32; b++, in += 17, out += 32)
    {
      guint32 e = in[0];
      float scale = from_bits (e < 2 ? 0x00200000u << e : (e - 1) << 23);

      for (guint i = 0; i < 16; i++)
        {
          out[i] = scale * (float) doubled[in[1 + i] & 15];
          out[16 + i] = scale * (float) doubled[in[1 + i] >> 4];
        }
    }
}
KERNEL (mxfp4)

/* --- Blocks of 256: sub-blocks with small scales under one or two half numbers ------------------- */

/* Two bits each; 16 sub-blocks of 16 with four bits of scale and of least value. */
VALUES
q2_k_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 256; b++, in += 84, out += 256)
    {
      float scale = half (load16 (in + 80)), least = half (load16 (in + 82));

      for (guint s = 0; s < 16; s++)
        {
          const guint8 *quants = in + 16 + s / 8 * 32 + s % 2 * 16;
          float times = scale * (float) (in[s] & 15), minus = least * (float) (in[s] >> 4);
          guint shift = s / 2 % 4 * 2;

          for (guint i = 0; i < 16; i++)
            out[16 * s + i] = times * (float) ((quants[i] >> shift) & 3) - minus;
        }
    }
}
KERNEL (q2_k)

/* Three bits each, the highest in a mask of its own; 16 sub-blocks of 16 with six bits of scale. */
VALUES
q3_k_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 256; b++, in += 110, out += 256)
    {
      const guint8 *mask = in, *scales = in + 96;
      float scale = half (load16 (in + 108));

      for (guint s = 0; s < 16; s++)
        {
          const guint8 *quants = in + 32 + s / 8 * 32 + s % 2 * 16, *high = mask + s % 2 * 16;
          guint low = s < 8 ? scales[s] & 15u : scales[s - 8] >> 4;
          guint six = low | ((scales[8 + s % 4] >> (s / 4 * 2)) & 3u) << 4;
          float times = scale * (float) ((gint) six - 32);
          guint shift = s / 2 % 4 * 2, bit = s / 2;

          for (guint i = 0; i < 16; i++)
            out[16 * s + i] = times
                              * (float) ((gint) ((quants[i] >> shift) & 3)
                                         - (((high[i] >> bit) & 1) != 0 ? 0 : 4));
        }
    }
}
KERNEL (q3_k)

/* Six bits of scale and of least value of sub-block s of 8, packed into 12 bytes. */
static inline __attribute__ ((always_inline)) void
six_bits (const guint8 *packed, guint s, float *scale, float *least)
{
  guint a = s < 4 ? packed[s] & 63u : (packed[s + 4] & 15u) | (guint) (packed[s - 4] >> 6) << 4;
  guint b
      = s < 4 ? packed[s + 4] & 63u : (guint) (packed[s + 4] >> 4) | (guint) (packed[s] >> 6) << 4;

  *scale = (float) a;
  *least = (float) b;
}

/* Four bits each; 8 sub-blocks of 32, two of which share 32 bytes. */
VALUES
q4_k_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 256; b++, in += 144, out += 256)
    {
      float scale = half (load16 (in)), least = half (load16 (in + 2));

      for (guint s = 0; s < 8; s++)
        {
          const guint8 *quants = in + 16 + s / 2 * 32;
          guint shift = s % 2 * 4;
          float times, minus;

          six_bits (in + 4, s, &times, &minus);
          times *= scale;
          minus *= least;
          for (guint i = 0; i < 32; i++)
            out[32 * s + i] = times * (float) ((quants[i] >> shift) & 15) - minus;
        }
    }
}
KERNEL (q4_k)

/* As Q4_K, the fifth bit of sub-block s in bit s of 32 further bytes. */
VALUES
q5_k_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 256; b++, in += 176, out += 256)
    {
      const guint8 *high = in + 16;
      float scale = half (load16 (in)), least = half (load16 (in + 2));

      for (guint s = 0; s < 8; s++)
        {
          const guint8 *quants = in + 48 + s / 2 * 32;
          guint shift = s % 2 * 4;
          float times, minus;

          six_bits (in + 4, s, &times, &minus);
          times *= scale;
          minus *= least;
          for (guint i = 0; i < 32; i++)
            out[32 * s + i]
                = times * (float) (((quants[i] >> shift) & 15) + ((high[i] >> s) & 1) * 16) - minus;
        }
    }
}
KERNEL (q5_k)

/* Six bits each: four in 128 bytes, two in 64; 16 sub-blocks of 16 with a byte of scale; stored plus 32. */
VALUES
q6_k_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 256; b++, in += 210, out += 256)
    {
      float scale = half (load16 (in + 208));

      for (guint s = 0; s < 16; s++)
        {
          guint quarter = s % 8 / 2, at = s % 2 * 16;
          const guint8 *low = in + s / 8 * 64 + quarter % 2 * 32 + at;
          const guint8 *high = in + 128 + s / 8 * 32 + at;
          float times = scale * (float) (gint8) in[192 + s];
          guint low_shift = quarter / 2 * 4, high_shift = quarter * 2;

          for (guint i = 0; i < 16; i++)
            out[16 * s + i] = times
                              * (float) ((gint) (((low[i] >> low_shift) & 15u)
                                                 | ((high[i] >> high_shift) & 3u) << 4)
                                         - 32);
        }
    }
}
KERNEL (q6_k)

/* As IQ4_NL; 8 sub-blocks of 32 with six bits of scale. */
VALUES
iq4_xs_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 256; b++, in += 136, out += 256)
    {
      float scale = half (load16 (in));
      guint high = load16 (in + 2);

      for (guint s = 0; s < 8; s++)
        {
          const guint8 *quants = in + 8 + s * 16;
          guint six = ((in[4 + s / 2] >> (s % 2 * 4)) & 15u) | ((high >> (2 * s)) & 3u) << 4;
          float times = scale * (float) ((gint) six - 32);

          for (guint i = 0; i < 16; i++)
            {
              out[32 * s + i] = times * (float) uneven[quants[i] & 15];
              out[32 * s + 16 + i] = times * (float) uneven[quants[i] >> 4];
            }
        }
    }
}
KERNEL (iq4_xs)

/* --- One and two bits, ternary ----------------------------------------------------------------- */

/* Block of 128: half scale, a bit each: minus or plus. */
VALUES
q1_0_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 128; b++, in += 18, out += 128)
    {
      float scale = half (load16 (in));

      for (guint byte = 0; byte < 16; byte++)
        for (guint i = 0; i < 8; i++)
          out[8 * byte + i] = ((in[2 + byte] >> i) & 1) != 0 ? scale : -scale;
    }
}
KERNEL (q1_0)

/* Block of 64: half scale, two bits each, neighbours in a byte, stored plus 1. */
VALUES
q2_0_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 64; b++, in += 18, out += 64)
    {
      float scale = half (load16 (in));

      for (guint byte = 0; byte < 16; byte++)
        for (guint i = 0; i < 4; i++)
          out[4 * byte + i] = scale * (float) ((gint) ((in[2 + byte] >> (2 * i)) & 3) - 1);
    }
}
KERNEL (q2_0)

/* Digit `power` / 3 (3^0, 3^1, ...) of the fraction `byte` / 256 in base 3, less 1. */
static inline __attribute__ ((always_inline)) float
ternary (guint8 byte, guint8 power)
{
  guint8 rest = (guint8) (byte * power);

  return (float) ((gint) ((guint16) (rest * 3) >> 8) - 1);
}

/* n bytes of `digits` values each, value d n + i being digit d of byte i. */
static inline __attribute__ ((always_inline)) void
ternaries (const guint8 *in, guint n, guint digits, float scale, float *out)
{
  static const guint8 powers[] = { 1, 3, 9, 27, 81 };

  for (guint d = 0; d < digits; d++)
    for (guint i = 0; i < n; i++)
      out[d * n + i] = scale * ternary (in[i], powers[d]);
}

/* Block of 256: 32 and 16 bytes of five ternary values, 4 of four, half scale. */
VALUES
tq1_0_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 256; b++, in += 54, out += 256)
    {
      float scale = half (load16 (in + 52));

      ternaries (in, 32, 5, scale, out);
      ternaries (in + 32, 16, 5, scale, out + 160);
      ternaries (in + 48, 4, 4, scale, out + 240);
    }
}
KERNEL (tq1_0)

/* Block of 256: two bits each, 128 values sharing 32 bytes, stored plus 1; half scale. */
VALUES
tq2_0_values (const guint8 *in, gsize n, float *out)
{
  for (gsize b = 0; b < n / 256; b++, in += 66, out += 256)
    {
      float scale = half (load16 (in + 64));

      for (guint s = 0; s < 8; s++)
        for (guint i = 0; i < 32; i++)
          out[32 * s + i] = scale * (float) ((gint) ((in[s / 4 * 32 + i] >> (s % 4 * 2)) & 3) - 1);
    }
}
KERNEL (tq2_0)

/* Half of a number of four bits of exponent and three of mantissa, without a sign; its NaN is 0. */
static inline __attribute__ ((always_inline)) float
half_e4m3 (guint8 bits)
{
  guint exponent = (bits >> 3) & 15, mantissa = bits & 7;

  if (bits == 0x7f)
    return 0;
  return exponent == 0 ? (float) mantissa * 0x1p-10f
                       : from_bits ((exponent + 119) << 23 | mantissa << 20);
}

/* Block of 64: four scales of sub-blocks of 16, 8 bytes of two four-bit floats for each, as MXFP4. */
VALUES
nvfp4_values (const guint8 *in, gsize n, float *out)
{
  static const gint8 doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

  for (gsize b = 0; b < n / 64; b++, in += 36, out += 64)
    for (guint s = 0; s < 4; s++)
      {
        const guint8 *quants = in + 4 + 8 * s;
        float scale = half_e4m3 (in[s]);

        for (guint i = 0; i < 8; i++)
          {
            out[16 * s + i] = scale * (float) doubled[quants[i] & 15];
            out[16 * s + 8 + i] = scale * (float) doubled[quants[i] >> 4];
          }
      }
}
KERNEL (nvfp4)

/* --- Points of grids (quant-grids.c) --------------------------------------------------------------- */

/* All products of these types are exact: few bits each. */
static inline __attribute__ ((always_inline)) void
signed_point (const gint8 *sizes, const gint8 *signs, guint n, float times, float *out)
{
  for (guint i = 0; i < n; i++)
    out[i] = times * (float) (sizes[i] * signs[i]);
}

static inline __attribute__ ((always_inline)) guint32
load32 (const guint8 *in)
{
  guint32 value;

  memcpy (&value, in, sizeof value);
  return value;
}

/* Half scale; 8 sub-blocks of 32: four points, then a word of four times seven signs and a scale. */
VALUES
iq2_xxs_values (const guint8 *in, gsize n, float *out)
{
  const MsGrids *grids = ms_grids ();

  for (gsize b = 0; b < n / 256; b++, in += 66)
    {
      float scale = half (load16 (in));

      for (guint s = 0; s < 8; s++)
        {
          const guint8 *points = in + 2 + 8 * s;
          guint32 rest = load32 (points + 4);
          float times = scale * (0.5f + (float) (rest >> 28)) * 0.25f;

          for (guint i = 0; i < 4; i++, out += 8)
            signed_point (grids->iq2_xxs[points[i]], grids->even_signs[rest >> (7 * i) & 127], 8,
                          times, out);
        }
    }
}
KERNEL (iq2_xxs)

/* Half scale; 32 words of a point and seven signs; 16 scales of four bits. */
VALUES
iq2_xs_values (const guint8 *in, gsize n, float *out)
{
  const MsGrids *grids = ms_grids ();

  for (gsize b = 0; b < n / 256; b++, in += 74)
    {
      float scale = half (load16 (in));

      for (guint i = 0; i < 32; i++, out += 8)
        {
          guint word = load16 (in + 2 + 2 * i);
          guint four = (in[66 + i / 4] >> (i % 4 / 2 * 4)) & 15u;

          signed_point (grids->iq2_xs[word & 511], grids->even_signs[word >> 9], 8,
                        scale * (0.5f + (float) four) * 0.25f, out);
        }
    }
}
KERNEL (iq2_xs)

/* Half scale; 32 points, 32 bytes of signs, two further bits of four points in each of 8 bytes, 16 scales. */
VALUES
iq2_s_values (const guint8 *in, gsize n, float *out)
{
  const MsGrids *grids = ms_grids ();

  for (gsize b = 0; b < n / 256; b++, in += 82)
    {
      float scale = half (load16 (in));

      for (guint i = 0; i < 32; i++, out += 8)
        {
          guint point = in[2 + i] | ((in[66 + i / 4] >> (i % 4 * 2)) & 3u) << 8;
          guint four = (in[74 + i / 4] >> (i % 4 / 2 * 4)) & 15u;

          signed_point (grids->iq2_s[point], grids->signs[in[34 + i]], 8,
                        scale * (0.5f + (float) four) * 0.25f, out);
        }
    }
}
KERNEL (iq2_s)

/* Half scale; 64 points of four values; 8 words of four times seven signs and a scale. */
VALUES
iq3_xxs_values (const guint8 *in, gsize n, float *out)
{
  const MsGrids *grids = ms_grids ();

  for (gsize b = 0; b < n / 256; b++, in += 98)
    {
      float scale = half (load16 (in));

      for (guint i = 0; i < 32; i++, out += 8)
        {
          guint32 rest = load32 (in + 66 + i / 4 * 4);
          const gint8 *signs = grids->even_signs[rest >> (7 * (i % 4)) & 127];
          float times = scale * (0.5f + (float) (rest >> 28)) * 0.5f;

          signed_point (grids->iq3_xxs[in[2 + 2 * i]], signs, 4, times, out);
          signed_point (grids->iq3_xxs[in[3 + 2 * i]], signs + 4, 4, times, out + 4);
        }
    }
}
KERNEL (iq3_xxs)

/* Half scale; 64 points of four values, a further bit of each, 32 bytes of signs, 8 scales of four bits. */
VALUES
iq3_s_values (const guint8 *in, gsize n, float *out)
{
  const MsGrids *grids = ms_grids ();

  for (gsize b = 0; b < n / 256; b++, in += 110)
    {
      float scale = half (load16 (in));

      for (guint i = 0; i < 32; i++, out += 8)
        {
          guint high = (guint) in[66 + i / 4] >> (i % 4 * 2);
          const gint8 *signs = grids->signs[in[74 + i]];
          guint four = (in[106 + i / 8] >> (i % 8 / 4 * 4)) & 15u;
          float times = scale * (float) (1 + 2 * four);

          signed_point (grids->iq3_s[in[2 + 2 * i] | (high & 1) << 8], signs, 4, times, out);
          signed_point (grids->iq3_s[in[3 + 2 * i] | (high & 2) << 7], signs + 4, 4, times,
                        out + 4);
        }
    }
}
KERNEL (iq3_s)

static inline __attribute__ ((always_inline)) void
shifted_point (const gint8 *point, gboolean down, float times, float *out)
{
  float shift = down ? -0.125f : 0.125f;

  for (guint i = 0; i < 8; i++)
    out[i] = times * ((float) point[i] + shift);
}

/* Half scale; 32 points; 8 words: three further bits of four points, a scale, whether all shift down. */
VALUES
iq1_s_values (const guint8 *in, gsize n, float *out)
{
  const MsGrids *grids = ms_grids ();

  for (gsize b = 0; b < n / 256; b++, in += 50)
    {
      float scale = half (load16 (in));

      for (guint i = 0; i < 32; i++, out += 8)
        {
          guint word = load16 (in + 34 + i / 4 * 2);
          guint point = in[2 + i] | (word >> (i % 4 * 3) & 7u) << 8;

          shifted_point (grids->iq1[point], (word & 0x8000) != 0,
                         scale * (float) (2 * (word >> 12 & 7u) + 1), out);
        }
    }
}
KERNEL (iq1_s)

/* 32 points; four bits of each: three further ones and whether it shifts down; four words of four scales, with
 * a quarter of the half scale above them. */
VALUES
iq1_m_values (const guint8 *in, gsize n, float *out)
{
  const MsGrids *grids = ms_grids ();

  for (gsize b = 0; b < n / 256; b++, in += 56)
    {
      const guint8 *words = in + 48;
      float scale = half ((guint32) words[1] >> 4 | (words[3] & 0xf0u) | (words[5] & 0xf0u) << 4
                          | (words[7] & 0xf0u) << 8);

      for (guint i = 0; i < 32; i++, out += 8)
        {
          guint four = (in[32 + i / 2] >> (i % 2 * 4)) & 15u;
          guint eighth = load16 (words + i / 8 * 2) >> (i % 8 / 2 * 3) & 7u;

          shifted_point (grids->iq1[in[i] | (four & 7) << 8], (four & 8) != 0,
                         scale * (float) (2 * eighth + 1), out);
        }
    }
}
KERNEL (iq1_m)

static void
f32 (const guint8 *in, gsize n, float *out)
{
  memcpy (out, in, n * sizeof (float));
}

/* Names and block sizes of all types, so that a type we cannot read is refused by its name.  Gaps are
 * types that were withdrawn from the format. */
static const MsTensorType types[] = {
  [MS_TYPE_F32] = { "F32", 1, 4, f32 },
  [MS_TYPE_F16] = { "F16", 1, 2, f16 },
  [2] = { "Q4_0", 32, 18, q4_0 },
  [3] = { "Q4_1", 32, 20, q4_1 },
  [6] = { "Q5_0", 32, 22, q5_0 },
  [7] = { "Q5_1", 32, 24, q5_1 },
  [MS_TYPE_Q8_0] = { "Q8_0", 32, 34, q8_0 },
  [9] = { "Q8_1", 32, 36, NULL },
  [10] = { "Q2_K", 256, 84, q2_k },
  [11] = { "Q3_K", 256, 110, q3_k },
  [12] = { "Q4_K", 256, 144, q4_k },
  [13] = { "Q5_K", 256, 176, q5_k },
  [14] = { "Q6_K", 256, 210, q6_k },
  [15] = { "Q8_K", 256, 292, NULL },
  [16] = { "IQ2_XXS", 256, 66, iq2_xxs },
  [17] = { "IQ2_XS", 256, 74, iq2_xs },
  [18] = { "IQ3_XXS", 256, 98, iq3_xxs },
  [19] = { "IQ1_S", 256, 50, iq1_s },
  [20] = { "IQ4_NL", 32, 18, iq4_nl },
  [21] = { "IQ3_S", 256, 110, iq3_s },
  [22] = { "IQ2_S", 256, 82, iq2_s },
  [23] = { "IQ4_XS", 256, 136, iq4_xs },
  [24] = { "I8", 1, 1, NULL },
  [25] = { "I16", 1, 2, NULL },
  [MS_TYPE_I32] = { "I32", 1, 4, NULL },
  [27] = { "I64", 1, 8, NULL },
  [28] = { "F64", 1, 8, NULL },
  [29] = { "IQ1_M", 256, 56, iq1_m },
  [MS_TYPE_BF16] = { "BF16", 1, 2, bf16 },
  [34] = { "TQ1_0", 256, 54, tq1_0 },
  [35] = { "TQ2_0", 256, 66, tq2_0 },
  [39] = { "MXFP4", 32, 17, mxfp4 },
  [40] = { "NVFP4", 64, 36, nvfp4 },
  [41] = { "Q1_0", 128, 18, q1_0 },
  [42] = { "Q2_0", 64, 18, q2_0 },
};

const MsTensorType *
ms_tensor_type (guint32 number)
{
  return number < G_N_ELEMENTS (types) && types[number].name != NULL ? &types[number] : NULL;
}

/* Numbers as in ik_llama.cpp (ggml.h, gguf-py/gguf/constants.py of the fork), BitNet and old files. */
static const struct
{
  guint32 number;
  const char *name;
} foreign[] = {
  { 4, "Q4_2" },        { 5, "Q4_3" },         { 31, "Q4_0_4_4" },   { 32, "Q4_0_4_8" },
  { 33, "Q4_0_8_8" },   { 36, "I2_S" },        { 37, "IQ4_NL_4_8" }, { 38, "IQ4_NL_8_8" },
  { 97, "Q8_0_X4" },    { 98, "Q8_1_X4" },     { 99, "Q8_2_X4" },    { 133, "Q6_0" },
  { 134, "IQ1_BN" },    { 135, "IQ2_BN" },     { 136, "Q8_K64" },    { 137, "IQ2_K" },
  { 138, "IQ3_K" },     { 139, "IQ4_K" },      { 140, "IQ5_K" },     { 141, "IQ6_K" },
  { 144, "IQ4_KS" },    { 145, "IQ2_KS" },     { 146, "IQ4_KSS" },   { 147, "Q8_K16" },
  { 148, "Q8_K32" },    { 149, "Q8_KR8" },     { 150, "Q8_K128" },   { 151, "Q8_KV" },
  { 152, "IQ5_KS" },    { 153, "IQ2_KT" },     { 154, "IQ3_KT" },    { 155, "IQ4_KT" },
  { 156, "IQ3_KS" },    { 157, "IQ2_KL" },     { 158, "IQ1_KT" },    { 202, "Q4_0_R8" },
  { 206, "Q5_0_R4" },   { 208, "Q8_0_R8" },    { 210, "Q2_K_R4" },   { 211, "Q3_K_R4" },
  { 212, "Q4_K_R4" },   { 213, "Q5_K_R4" },    { 214, "Q6_K_R4" },   { 216, "IQ2_XXS_R4" },
  { 217, "IQ2_XS_R4" }, { 218, "IQ3_XXS_R4" }, { 219, "IQ1_S_R4" },  { 220, "IQ4_NL_R4" },
  { 221, "IQ3_S_R4" },  { 222, "IQ2_S_R4" },   { 223, "IQ4_XS_R8" }, { 229, "IQ1_M_R4" },
  { 230, "BF16_R16" },  { 233, "Q6_0_R4" },    { 239, "MXFP4_R8" },  { 335, "IQ2_BN_R4" },
  { 337, "IQ2_K_R4" },  { 338, "IQ3_K_R4" },   { 339, "IQ4_K_R4" },  { 340, "IQ5_K_R4" },
  { 344, "IQ4_KS_R4" }, { 352, "IQ5_KS_R4" },  { 397, "Q8_K_R16" },  { 398, "Q8_KV_R8" },
  { 399, "Q8_K_R8" },
};

const char *
ms_tensor_type_foreign (guint32 number)
{
  for (guint i = 0; i < G_N_ELEMENTS (foreign); i++)
    if (foreign[i].number == number)
      return foreign[i].name;
  return NULL;
}
