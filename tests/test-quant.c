/* Tensor types: rows of random blocks unpacked by the kernels, against the formula of one value at a time.
 * Bits must be equal: the formulas are exact but for roundings that they write down. */
#include "base.h"
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

static const struct
{
  guint32 number;
  ValueFunc value;
  gint halves[2]; /* offsets of half numbers within a block, -1: none */
} cases[] = {
  { 2, q4_0, { 0, -1 } },    { 3, q4_1, { 0, 2 } },     { 6, q5_0, { 0, -1 } },
  { 7, q5_1, { 0, 2 } },     { 8, q8_0, { 0, -1 } },    { 10, q2_k, { 80, 82 } },
  { 11, q3_k, { 108, -1 } }, { 12, q4_k, { 0, 2 } },    { 13, q5_k, { 0, 2 } },
  { 14, q6_k, { 208, -1 } }, { 20, iq4_nl, { 0, -1 } }, { 23, iq4_xs, { 0, -1 } },
  { 39, mxfp4, { -1, -1 } },
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
  g_test_add_func ("/quant/all", test_all);
  return g_test_run ();
}
