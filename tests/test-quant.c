/* Tensor types: rows of random blocks unpacked by the kernels, against the formula of one value at a time.
 * Bits must be equal: the formulas are exact but for roundings that they write down. */
#include "base.h"
#include "quant-grids-private.h"
#include "quant-private.h"

#include <math.h>
#include <string.h>

/* The value number i of a block. */
typedef float (*ValueFunc) (const guint8 *block, guint i);

static float
half_at (const guint8 *at)
{
  return ms_half_to_float ((guint16) (at[0] | at[1] << 8));
}

/* Half a byte: value i of `bytes` whose lower halves are the first n / 2 values. */
static guint
nibble (const guint8 *bytes, guint i, guint n)
{
  return i < n / 2 ? bytes[i] & 15u : bytes[i - n / 2] >> 4;
}

static float
q8_0 (const guint8 *block, guint i)
{
  return half_at (block) * (float) (gint8) block[2 + i];
}

static float
q4_0 (const guint8 *block, guint i)
{
  return half_at (block) * ((float) nibble (block + 2, i, 32) - 8);
}

static float
q4_1 (const guint8 *block, guint i)
{
  return half_at (block) * (float) nibble (block + 4, i, 32) + half_at (block + 2);
}

/* Bit i of `bytes`. */
static guint
bit (const guint8 *bytes, guint i)
{
  return (bytes[i / 8] >> (i % 8)) & 1u;
}

static float
q5_0 (const guint8 *block, guint i)
{
  return half_at (block) * ((float) (nibble (block + 6, i, 32) + 16 * bit (block + 2, i)) - 16);
}

static float
q5_1 (const guint8 *block, guint i)
{
  return half_at (block) * (float) (nibble (block + 8, i, 32) + 16 * bit (block + 4, i))
         + half_at (block + 2);
}

static float
uneven (guint nibble_value)
{
  static const float values[]
      = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

  return values[nibble_value];
}

static float
iq4_nl (const guint8 *block, guint i)
{
  return half_at (block) * uneven (nibble (block + 2, i, 32));
}

/* Sign, two bits of exponent, one of mantissa. */
static float
mxfp4 (const guint8 *block, guint i)
{
  guint four = nibble (block + 1, i, 32), exponent = (four >> 1) & 3, mantissa = four & 1;
  double size = exponent == 0 ? mantissa * 0.5 : ldexp (1 + mantissa * 0.5, (int) exponent - 1);

  return (float) ldexp (four & 8 ? -size : size, (int) block[0] - 127);
}

/* Where two bits of value i of 256 lie: 128 values share 32 bytes. */
static guint
two_bits (const guint8 *bytes, guint i)
{
  return (bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3u;
}

static float
q2_k (const guint8 *block, guint i)
{
  float scale = half_at (block + 80) * (float) (block[i / 16] & 15);
  float least = half_at (block + 82) * (float) (block[i / 16] >> 4);

  return scale * (float) two_bits (block + 16, i) - least;
}

static float
q3_k (const guint8 *block, guint i)
{
  const guint8 *scales = block + 96;
  guint s = i / 16, low = (scales[s % 8] >> (s / 8 * 4)) & 15u;
  gint scale = (gint) (low + 16 * ((scales[8 + s % 4] >> (s / 4 * 2)) & 3u)) - 32;
  gint value = (gint) two_bits (block + 32, i) + 4 * ((block[i % 32] >> (i / 32)) & 1) - 4;

  return half_at (block + 108) * (float) scale * (float) value;
}

/* Scale (or, with `least`, least value) of sub-block s: six bits in a stream of 12 bytes. */
static float
six_bits (const guint8 *packed, guint s, gboolean least)
{
  guint at = s % 4 + (least ? 4 : 0);

  if (s < 4)
    return (float) (packed[at] % 64);
  return (float) ((least ? packed[s + 4] / 16 : packed[s + 4] % 16) + packed[at] / 64 * 16);
}

static float
q4_k (const guint8 *block, guint i)
{
  guint four = (block[16 + i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4)) & 15u;

  return half_at (block) * six_bits (block + 4, i / 32, FALSE) * (float) four
         - half_at (block + 2) * six_bits (block + 4, i / 32, TRUE);
}

static float
q5_k (const guint8 *block, guint i)
{
  guint four = (block[48 + i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4)) & 15u;
  guint five = four + 16 * ((block[16 + i % 32] >> (i / 32)) & 1u);

  return half_at (block) * six_bits (block + 4, i / 32, FALSE) * (float) five
         - half_at (block + 2) * six_bits (block + 4, i / 32, TRUE);
}

static float
q6_k (const guint8 *block, guint i)
{
  guint four = (block[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4)) & 15u;
  gint six = (gint) (four + 16 * two_bits (block + 128, i)) - 32;

  return half_at (block + 208) * (float) (gint8) block[192 + i / 16] * (float) six;
}

static float
iq4_xs (const guint8 *block, guint i)
{
  guint s = i / 32, low = (block[4 + s / 2] >> (s % 2 * 4)) & 15u;
  guint high = ((block[2 + s / 4] >> (s % 4 * 2)) & 3u);

  return half_at (block) * (float) ((gint) (low + 16 * high) - 32)
         * uneven (nibble (block + 8 + s * 16, i % 32, 32));
}

static float
q1_0 (const guint8 *block, guint i)
{
  return half_at (block) * (bit (block + 2, i) ? 1.0f : -1.0f);
}

static float
q2_0 (const guint8 *block, guint i)
{
  return half_at (block)
         * (float) ((gint) (bit (block + 2, 2 * i) + 2 * bit (block + 2, 2 * i + 1)) - 1);
}

/* Digit d of `byte` / 256 in base 3, the first behind the point being 0. */
static gint
digit (guint byte, guint d)
{
  for (; d > 0; d--)
    byte = byte * 3 % 256;
  return (gint) (byte * 3 / 256);
}

static float
tq1_0 (const guint8 *block, guint i)
{
  gint value = i < 160   ? digit (block[i % 32], i / 32)
               : i < 240 ? digit (block[32 + (i - 160) % 16], (i - 160) / 16)
                         : digit (block[48 + (i - 240) % 4], (i - 240) / 4);

  return half_at (block + 52) * (float) (value - 1);
}

static float
tq2_0 (const guint8 *block, guint i)
{
  return half_at (block + 64) * (float) ((gint) two_bits (block, i) - 1);
}

static float
nvfp4 (const guint8 *block, guint i)
{
  static const float values[] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6 };
  guint four = nibble (block + 4 + i / 16 * 8, i % 16, 16), e = block[i / 16] >> 3 & 15;
  double mantissa = block[i / 16] % 8 / 8.0;
  double scale = block[i / 16] == 0x7f ? 0
                 : e == 0              ? ldexp (mantissa, -6)
                                       : ldexp (1 + mantissa, (int) e - 7);

  return (float) (scale * (double) values[four % 8] * (four & 8 ? -1 : 1));
}

/* Seven signs from bit `at` of a word on, the eighth of value 7 by the parity of the others. */
static float
even_sign (guint32 word, guint at, guint i)
{
  guint seven = word >> at & 127, ones = (guint) __builtin_popcount (seven);

  return (i < 7 ? seven >> i & 1 : ones & 1) ? -1 : 1;
}

static guint32
word_at (const guint8 *at)
{
  return at[0] | (guint32) at[1] << 8 | (guint32) at[2] << 16 | (guint32) at[3] << 24;
}

static float
iq2_xxs (const guint8 *block, guint i)
{
  const guint8 *part = block + 2 + i / 32 * 8;
  guint32 word = word_at (part + 4);
  float size = (float) ms_grids ()->iq2_xxs[part[i % 32 / 8]][i % 8];

  return half_at (block) * ((float) (word >> 28) + 0.5f) / 4 * size
         * even_sign (word, i % 32 / 8 * 7, i % 8);
}

static float
iq2_xs (const guint8 *block, guint i)
{
  guint word = block[2 + i / 8 * 2] + 256u * block[3 + i / 8 * 2];
  guint four = i % 32 < 16 ? block[66 + i / 32] % 16 : block[66 + i / 32] / 16;

  return half_at (block) * ((float) four + 0.5f) / 4
         * (float) ms_grids ()->iq2_xs[word % 512][i % 8] * even_sign (word, 9, i % 8);
}

static float
iq2_s (const guint8 *block, guint i)
{
  guint point = block[2 + i / 8] + 256u * (block[66 + i / 32] >> (i % 32 / 8 * 2) & 3);
  guint four = i % 32 < 16 ? block[74 + i / 32] % 16 : block[74 + i / 32] / 16;

  return half_at (block) * ((float) four + 0.5f) / 4 * (float) ms_grids ()->iq2_s[point][i % 8]
         * (bit (block + 34, i) ? -1.0f : 1.0f);
}

static float
iq3_xxs (const guint8 *block, guint i)
{
  guint32 word = word_at (block + 66 + i / 32 * 4);

  return half_at (block) * ((float) (word >> 28) + 0.5f) / 2
         * (float) ms_grids ()->iq3_xxs[block[2 + i / 4]][i % 4]
         * even_sign (word, i % 32 / 8 * 7, i % 8);
}

static float
iq3_s (const guint8 *block, guint i)
{
  guint point = block[2 + i / 4] + 256u * bit (block + 66, i / 4);
  guint four = i % 64 < 32 ? block[106 + i / 64] % 16 : block[106 + i / 64] / 16;

  return half_at (block) * (float) (1 + 2 * four) * (float) ms_grids ()->iq3_s[point][i % 4]
         * (bit (block + 74, i) ? -1.0f : 1.0f);
}

static float
iq1_s (const guint8 *block, guint i)
{
  guint word = block[34 + i / 32 * 2] + 256u * block[35 + i / 32 * 2];
  guint point = block[2 + i / 8] + 256u * (word >> (i % 32 / 8 * 3) & 7);

  return half_at (block) * (float) (2 * (word >> 12 & 7) + 1)
         * ((float) ms_grids ()->iq1[point][i % 8] + (word >> 15 ? -0.125f : 0.125f));
}

static float
iq1_m (const guint8 *block, guint i)
{
  guint four = i % 16 < 8 ? block[32 + i / 16] % 16 : block[32 + i / 16] / 16;
  guint point = block[i / 8] + 256u * (four % 8);
  const guint8 *word = block + 48 + i / 64 * 2;
  guint scale = (word[0] + 256u * word[1]) >> (i % 64 / 16 * 3) & 7;
  guint half = 0;

  for (guint j = 0; j < 4; j++)
    half |= (block[49 + 2 * j] >> 4) << (4 * j);
  return ms_half_to_float ((guint16) half) * (float) (2 * scale + 1)
         * ((float) ms_grids ()->iq1[point][i % 8] + (four & 8 ? -0.125f : 0.125f));
}

static const struct
{
  guint32 number;
  ValueFunc value;
  gint halves[2]; /* offsets of half numbers within a block, -1: none */
} cases[] = {
  { 2, q4_0, { 0, -1 } },     { 3, q4_1, { 0, 2 } },      { 6, q5_0, { 0, -1 } },
  { 7, q5_1, { 0, 2 } },      { 8, q8_0, { 0, -1 } },     { 10, q2_k, { 80, 82 } },
  { 11, q3_k, { 108, -1 } },  { 12, q4_k, { 0, 2 } },     { 13, q5_k, { 0, 2 } },
  { 14, q6_k, { 208, -1 } },  { 20, iq4_nl, { 0, -1 } },  { 23, iq4_xs, { 0, -1 } },
  { 39, mxfp4, { -1, -1 } },  { 16, iq2_xxs, { 0, -1 } }, { 17, iq2_xs, { 0, -1 } },
  { 18, iq3_xxs, { 0, -1 } }, { 19, iq1_s, { 0, -1 } },   { 21, iq3_s, { 0, -1 } },
  { 22, iq2_s, { 0, -1 } },   { 29, iq1_m, { -1, -1 } },  { 34, tq1_0, { 52, -1 } },
  { 35, tq2_0, { 64, -1 } },  { 40, nvfp4, { -1, -1 } },  { 41, q1_0, { 0, -1 } },
  { 42, q2_0, { 0, -1 } },
};

#define BLOCKS 64

static void
test_type (gconstpointer data)
{
  guint index = GPOINTER_TO_UINT (data);
  const MsTensorType *type = ms_tensor_type (cases[index].number);
  gsize n = BLOCKS * type->block_values, size = BLOCKS * type->block_bytes;
  g_autofree guint8 *bytes = g_malloc (size + 1);
  g_autofree float *out = g_new (float, n);
  guint8 *blocks = bytes + 1; /* rows of a file may lie anywhere */
  guint64 seed = 7;

  for (gsize i = 0; i < size; i++)
    blocks[i] = (guint8) (ms_random_next (&seed) >> 32);
  for (guint b = 0; b < BLOCKS; b++)
    for (guint j = 0; j < G_N_ELEMENTS (cases[0].halves); j++)
      if (cases[index].halves[j] >= 0)
        {
          guint16 half = ms_half_from_float ((float) (ms_random_double (&seed) - 0.5));

          memcpy (blocks + b * type->block_bytes + cases[index].halves[j], &half, sizeof half);
        }
  /* The half scale of IQ1_M lies in the upper halves of four bytes; its uppermost must be no NaN. */
  for (guint b = 0; b < BLOCKS && cases[index].number == 29; b++)
    blocks[b * type->block_bytes + 55] &= 0x8f;
  type->to_float (blocks, n, out);
  for (gsize i = 0; i < n; i++)
    {
      float right = cases[index].value (blocks + i / type->block_values * type->block_bytes,
                                        (guint) (i % type->block_values));

      if (out[i] != right)
        g_error ("%s: value %u of a block is %.9g, %.9g is right", type->name,
                 (guint) (i % type->block_values), (double) out[i], (double) right);
    }
}

/* What another implementation (llama.cpp's dequantize_row_*, compiled by itself) makes of the same bytes: FNV-1a
 * over the bits of all values.  Pins the grids, too. */
static void
test_reference (void)
{
  static const struct
  {
    guint32 number;
    gint half; /* offset of the half scale, whose exponent is made small; -1: none */
    guint64 hash;
  } references[] = {
    { 16, 0, 0x1b3d60b57a7bd6a9 },  { 17, 0, 0x8f9aef9ed31c9a3d },  { 18, 0, 0x49b2e6c8fb742bfd },
    { 19, 0, 0xd7748eb300e806a5 },  { 21, 0, 0xddbd97dbc2dfe0f5 },  { 22, 0, 0x75facc415ec17909 },
    { 29, -1, 0xec12f0c4113b64e5 }, { 34, 52, 0xf089a5990f0d0325 }, { 35, 64, 0xbcb9a3ea59d44325 },
    { 40, -1, 0x70741129e04b2325 }, { 41, 0, 0x3d4dbe3474c2a325 },  { 42, 0, 0x23ec342ed3982325 },
  };
  const guint n_blocks = 256;

  for (guint r = 0; r < G_N_ELEMENTS (references); r++)
    {
      const MsTensorType *type = ms_tensor_type (references[r].number);
      gsize n = n_blocks * type->block_values, size = n_blocks * type->block_bytes;
      g_autofree guint8 *blocks = g_malloc (size);
      g_autofree float *out = g_new (float, n);
      guint64 seed = references[r].number, hash = 14695981039346656037u;

      for (gsize i = 0; i < size; i++)
        blocks[i] = (guint8) (ms_random_next (&seed) >> 32);
      for (guint b = 0; b < n_blocks; b++)
        {
          guint8 *block = blocks + b * type->block_bytes;

          if (references[r].half >= 0)
            block[references[r].half + 1] = (block[references[r].half + 1] & 0x9f) | 0x20;
          if (references[r].number == 29)
            block[55] = (block[55] & 0x8f) | 0x20;
        }
      type->to_float (blocks, n, out);
      for (gsize i = 0; i < n; i++)
        {
          float value = out[i] == 0 ? 0 : out[i]; /* of zeros the sign does not count */
          guint32 bits;

          memcpy (&bits, &value, sizeof bits);
          hash = (hash ^ bits) * 1099511628211u;
        }
      if (hash != references[r].hash)
        g_error ("%s: 0x%016" G_GINT64_MODIFIER
                 "x, another implementation has 0x%016" G_GINT64_MODIFIER "x",
                 type->name, hash, references[r].hash);
    }
}

/* Every type of blocks that can be read has a formula above. */
static void
test_all (void)
{
  for (guint32 number = 0; number < 256; number++)
    {
      const MsTensorType *type = ms_tensor_type (number);
      gboolean found = type == NULL || type->to_float == NULL || type->block_values == 1;

      for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
        found |= cases[i].number == number;
      if (!found)
        g_error ("no formula for %s", type->name);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/quant/", ms_tensor_type (cases[i].number)->name, NULL);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_type);
    }
  g_test_add_func ("/quant/reference", test_reference);
  g_test_add_func ("/quant/all", test_all);
  return g_test_run ();
}
