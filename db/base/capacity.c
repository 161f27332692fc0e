/* Capacity rules as published programs have them.  An assignment takes the next slot of its expert, whether or
 * not it is still within the capacity: what is dropped counts. */
#include "capacity.h"

#include <math.h>
#include <string.h>

#define NO_EXPERT 0xffffu

const char *const ms_capacity_rules[]
    = { "tutel", "gshard", "gshard-eval", "torchscale", "flaxformer", "fixed", NULL };
G_STATIC_ASSERT (G_N_ELEMENTS (ms_capacity_rules) == MS_N_CAPACITY_RULES + 1);

static guint64
largest_load (const MsServing *serving, guint64 *load)
{
  guint64 most = 0;

  memset (load, 0, serving->n_experts * sizeof *load);
  for (gint64 i = 0; i < serving->n; i++)
    for (guint r = 0; r < serving->k; r++)
      {
        guint16 e = serving->experts[serving->rows[i] * serving->k + r];

        if (e != NO_EXPERT && ++load[e] > most)
          most = load[e];
      }
  return most;
}

static gint64
slots_of (MsCapacityRule rule, double factor, const MsServing *serving, guint64 *load)
{
  gint64 n = serving->n, e = serving->n_experts, share = (n + e - 1) / e, most;

  switch (rule)
    {
    case MS_CAPACITY_GSHARD:
      return 2 * share;
    case MS_CAPACITY_GSHARD_EVAL:
      return (n + 3) / 4;
    case MS_CAPACITY_TORCHSCALE:
      return (gint64) (factor * (double) share);
    case MS_CAPACITY_FLAXFORMER:
      return MAX ((gint64) rint (factor * (double) n / (double) e), 4);
    case MS_CAPACITY_FIXED:
      return (gint64) factor;
    default:
      if (factor > 0)
        return serving->k * (gint64) (factor * (double) share);
      most = (gint64) largest_load (serving, load);
      return factor == 0 ? most : MIN (most, serving->k * (gint64) (-factor * (double) share));
    }
}

gint64
ms_capacity_serve (MsCapacityRule rule, double factor, const MsServing *serving, guint64 *load,
                   guint8 *kept)
{
  gint64 slots = slots_of (rule, factor, serving, load);

  memset (load, 0, serving->n_experts * sizeof *load);
  for (guint r = 0; r < serving->k; r++)
    for (gint64 i = 0; i < serving->n; i++)
      {
        gsize at = (gsize) serving->rows[i] * serving->k + r;
        guint16 e = serving->experts[at];

        kept[at] = e != NO_EXPERT && (gint64) load[e]++ < slots;
      }
  return slots;
}

static int
compare_priority (gconstpointer a, gconstpointer b, gpointer data)
{
  const double *priority = data;
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  if (priority[x] != priority[y])
    return priority[x] > priority[y] ? -1 : 1;
  return 0; /* the sort is stable */
}

void
ms_capacity_prioritise (const double *priority, gint64 *rows, gint64 n)
{
  g_qsort_with_data (rows, (gint) n, sizeof *rows, compare_priority, (gpointer) priority);
}
