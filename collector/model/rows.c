/* Decisions on their way from the forward pass to the writer, layer by layer.
 *
 * What must hold: all layers hold the same rows, since a block of the file is written with all layers. */
#include "rows-private.h"

#include <string.h>

gsize
ms_rows_bytes (const MsPlan *plan, guint columns, gboolean predictions)
{
  gsize bytes = predictions ? sizeof (gint32) + sizeof (float) : 0;

  for (guint b = 0; b < plan->n_blocks; b++)
    if (plan->blocks[b].is_moe)
      bytes += ms_decisions_row_bytes (columns, plan->blocks[b].gate.k,
                                       plan->blocks[b].gate.n_experts);
  return bytes;
}

MsRows *
ms_rows_new (const MsPlan *plan, guint columns, gboolean predictions, gsize capacity)
{
  MsRows *rows = g_new0 (MsRows, 1);

  rows->plan = plan;
  rows->capacity = capacity;
  rows->layers = g_new0 (MsDecisions, plan->n_moe);
  for (guint b = 0, layer = 0; b < plan->n_blocks; b++)
    if (plan->blocks[b].is_moe)
      {
        const MsGate *gate = &plan->blocks[b].gate;

        if (!ms_decisions_allocate (&rows->layers[layer++], columns, capacity, gate->k,
                                    gate->n_experts))
          g_error ("no memory for the decisions of %" G_GSIZE_FORMAT " tokens", capacity);
      }
  if (predictions)
    {
      rows->predicted = g_new (gint32, capacity);
      rows->loss = g_new (float, capacity);
    }
  return rows;
}

void
ms_rows_free (MsRows *rows)
{
  if (rows == NULL)
    return;
  for (guint layer = 0; layer < rows->plan->n_moe; layer++)
    ms_decisions_clear (&rows->layers[layer]);
  g_free (rows->layers);
  g_free (rows->predicted);
  g_free (rows->loss);
  g_free (rows);
}

void
ms_rows_keep (MsRows *rows, gsize from, gsize n)
{
  g_assert (from + n <= rows->capacity);
  for (guint b = 0, layer = 0; b < rows->plan->n_blocks; b++)
    if (rows->plan->blocks[b].is_moe)
      {
        const MsGate *gate = &rows->plan->blocks[b].gate;
        MsDecisions *columns = &rows->layers[layer++];

        ms_decisions_copy (columns, 0, columns, from, n, gate->k, gate->n_experts);
      }
  if (rows->predicted != NULL)
    {
      memmove (rows->predicted, rows->predicted + from, n * sizeof *rows->predicted);
      memmove (rows->loss, rows->loss + from, n * sizeof *rows->loss);
    }
}

void
ms_rows_view (const MsRows *rows, gsize from, MsDecisions *layers)
{
  for (guint b = 0, layer = 0; b < rows->plan->n_blocks; b++)
    if (rows->plan->blocks[b].is_moe)
      {
        const MsGate *gate = &rows->plan->blocks[b].gate;

        layers[layer] = ms_decisions_view (&rows->layers[layer], from, gate->k, gate->n_experts);
        layer++;
      }
}
