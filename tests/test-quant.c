/* Tensor types: rows of random blocks unpacked by the kernels, against the formula of one value at a time.
 * Bits must be equal: the formulas are exact but for roundings that they write down. */
#include "base.h"
#include "quant-private.h"

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

static const struct
{
  guint32 number;
  ValueFunc value;
  gint halves[2]; /* offsets of half numbers within a block, -1: none */
} cases[] = {
  { 2, q4_0, { 0, -1 } },
  { 8, q8_0, { 0, -1 } },
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
