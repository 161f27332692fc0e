/* How fast each tensor type becomes floats: rows of 4,096 values, over and over, one thread.
 *
 * Types are visited in turn and the best of the rounds counts, so that ratios to F16 hold on a machine with other work;
 * the speeds themselves do not. */
#include "base.h"
#include "quant-private.h"

#include <stdio.h>

#define VALUES 4096
#define ROWS   64 /* of blocks: as many as the second cache holds */
#define ROUNDS 40
#define TYPES  64

int
main (void)
{
  static double best[TYPES];
  g_autofree guint8 *blocks = g_malloc (VALUES * 4 * ROWS);
  g_autofree float *out = g_new (float, VALUES);
  guint64 seed = 1;

  for (gsize i = 0; i < VALUES * 4 * ROWS; i++)
    blocks[i] = ((guint8) (ms_random_next (&seed) >> 32) & 0x3f)
                | 0x20; /* no tiny scales: they are slow */
  for (guint round = 0; round < ROUNDS; round++)
    for (guint32 number = 0; number < TYPES; number++)
      {
        const MsTensorType *type = ms_tensor_type (number);
        gint64 begun = g_get_monotonic_time ();
        double seconds;

        if (type == NULL || type->to_float == NULL)
          continue;
        for (guint row = 0; row < ROWS; row++)
          type->to_float (blocks + (gsize) row * VALUES / type->block_values * type->block_bytes,
                          VALUES, out);
        seconds = (double) (g_get_monotonic_time () - begun) / G_USEC_PER_SEC;
        if (best[number] == 0 || seconds < best[number])
          best[number] = seconds;
      }
  puts ("type      values/s   bytes/s   time to that of F16");
  for (guint32 number = 0; number < TYPES; number++)
    if (best[number] > 0)
      {
        const MsTensorType *type = ms_tensor_type (number);
        double values = (double) VALUES * ROWS / best[number];

        printf ("%-8s %8.2f G %7.2f G %8.2f\n", type->name, values / 1e9,
                values / 1e9 * type->block_bytes / type->block_values,
                best[number] / best[MS_TYPE_F16]);
      }
  return 0;
}
