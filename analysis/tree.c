/* Average linkage, plainly: the nearest two of all clusters, again and again (n is at most hundreds). */
#include "tree-private.h"

#include <math.h>
#include <string.h>

void
ms_tree_join (const double *distances, guint n, MsJoin *joins)
{
  /* Slot i holds the cluster id[i] of size[i] items; emptied slots have size 0. */
  g_autofree double *between = g_memdup2 (distances, (gsize) n * n * sizeof (double));
  g_autofree guint *id = g_new (guint, n), *size = g_new (guint, n);

  for (guint i = 0; i < n; i++)
    {
      id[i] = i;
      size[i] = 1;
    }
  for (guint step = 0; step + 1 < n; step++)
    {
      double nearest = INFINITY;
      guint a = n, b = n;

      for (guint i = 0; i < n; i++)
        for (guint j = i + 1; size[i] > 0 && j < n; j++)
          if (size[j] > 0 && (a == n || between[(gsize) i * n + j] < nearest))
            {
              nearest = between[(gsize) i * n + j];
              a = i;
              b = j;
            }
      joins[step] = (MsJoin){ MIN (id[a], id[b]), MAX (id[a], id[b]), nearest, size[a] + size[b] };
      for (guint i = 0; i < n; i++)
        if (size[i] > 0 && i != a && i != b)
          between[(gsize) i * n + b] = between[(gsize) b * n + i]
              = (between[(gsize) i * n + a] * size[a] + between[(gsize) i * n + b] * size[b])
                / (size[a] + size[b]);
      size[b] += size[a];
      size[a] = 0;
      id[b] = n + step;
    }
}

/* Marks the items below cluster `id`. */
static void
mark (const MsJoin *joins, guint n, guint id, guint8 *is_member)
{
  if (id < n)
    is_member[id] = 1;
  else
    {
      mark (joins, n, joins[id - n].a, is_member);
      mark (joins, n, joins[id - n].b, is_member);
    }
}

void
ms_tree_heights (const MsJoin *joins, guint n, double *heights)
{
  g_autofree guint8 *in_a = g_new (guint8, n), *in_b = g_new (guint8, n);

  memset (heights, 0, (gsize) n * n * sizeof (double));
  for (guint step = 0; step + 1 < n; step++)
    {
      memset (in_a, 0, n);
      memset (in_b, 0, n);
      mark (joins, n, joins[step].a, in_a);
      mark (joins, n, joins[step].b, in_b);
      for (guint i = 0; i < n; i++)
        for (guint j = 0; in_a[i] && j < n; j++)
          if (in_b[j])
            heights[(gsize) i * n + j] = heights[(gsize) j * n + i] = joins[step].distance;
    }
}

char *
ms_tree_members (const MsJoin *joins, guint n, guint join, char **names)
{
  g_autofree guint8 *is_member = g_new0 (guint8, n);
  g_autoptr (GString) text = g_string_new (NULL);

  mark (joins, n, n + join, is_member);
  for (guint i = 0; i < n; i++)
    if (is_member[i])
      g_string_append_printf (text, "%s%s", text->len > 0 ? " " : "", names[i]);
  return g_strdup (text->str);
}

/* The lowest item below cluster `id`. */
static guint
lowest (const MsJoin *joins, guint n, guint id)
{
  return id < n ? id : MIN (lowest (joins, n, joins[id - n].a), lowest (joins, n, joins[id - n].b));
}

/* Writes the items below cluster `id`; returns the place behind them. */
static guint *
walk (const MsJoin *joins, guint n, guint id, guint *order)
{
  guint a, b;

  if (id < n)
    {
      *order = id;
      return order + 1;
    }
  a = joins[id - n].a;
  b = joins[id - n].b;
  if (lowest (joins, n, a) < lowest (joins, n, b))
    return walk (joins, n, b, walk (joins, n, a, order));
  return walk (joins, n, a, walk (joins, n, b, order));
}

void
ms_tree_order (const MsJoin *joins, guint n, guint *order)
{
  if (n > 0)
    walk (joins, n, 2 * n - 2, order);
}
