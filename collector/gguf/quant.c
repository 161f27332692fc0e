/* Tensor types.  A type is a loop that unpacks a row of its blocks and a row in the table below; the
 * loops are tested against the formula of one value in tests/test-quant.c.
 *
 * What must hold: values are exact, each product and sum rounded as written (nothing is contracted), so
 * that the bits are those of any other exact implementation. */
#include "quant-private.h"

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
  [3] = { "Q4_1", 32, 20, NULL },
  [6] = { "Q5_0", 32, 22, NULL },
  [7] = { "Q5_1", 32, 24, NULL },
  [MS_TYPE_Q8_0] = { "Q8_0", 32, 34, q8_0 },
  [9] = { "Q8_1", 32, 36, NULL },
  [10] = { "Q2_K", 256, 84, NULL },
  [11] = { "Q3_K", 256, 110, NULL },
  [12] = { "Q4_K", 256, 144, NULL },
  [13] = { "Q5_K", 256, 176, NULL },
  [14] = { "Q6_K", 256, 210, NULL },
  [15] = { "Q8_K", 256, 292, NULL },
  [16] = { "IQ2_XXS", 256, 66, NULL },
  [17] = { "IQ2_XS", 256, 74, NULL },
  [18] = { "IQ3_XXS", 256, 98, NULL },
  [19] = { "IQ1_S", 256, 50, NULL },
  [20] = { "IQ4_NL", 32, 18, NULL },
  [21] = { "IQ3_S", 256, 110, NULL },
  [22] = { "IQ2_S", 256, 82, NULL },
  [23] = { "IQ4_XS", 256, 136, NULL },
  [24] = { "I8", 1, 1, NULL },
  [25] = { "I16", 1, 2, NULL },
  [MS_TYPE_I32] = { "I32", 1, 4, NULL },
  [27] = { "I64", 1, 8, NULL },
  [28] = { "F64", 1, 8, NULL },
  [29] = { "IQ1_M", 256, 56, NULL },
  [MS_TYPE_BF16] = { "BF16", 1, 2, bf16 },
  [34] = { "TQ1_0", 256, 54, NULL },
  [35] = { "TQ2_0", 256, 66, NULL },
  [39] = { "MXFP4", 32, 17, NULL },
  [40] = { "NVFP4", 64, 36, NULL },
  [41] = { "Q1_0", 128, 18, NULL },
  [42] = { "Q2_0", 64, 18, NULL },
};

const MsTensorType *
ms_tensor_type (guint32 number)
{
  return number < G_N_ELEMENTS (types) && types[number].name != NULL ? &types[number] : NULL;
}
