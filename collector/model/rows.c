#include "rows-private.h"

#include <string.h>

typedef enum
{
  PER_TOKEN,
  PER_SLOT,
  PER_EXPERT,
} Shape;

/* The columns of a layer: which flag asks for one, where it lies, how wide it is. */
static const struct
{
  guint flag;
  gsize rows_offset, block_offset;
  Shape shape;
  gsize element;
} columns_table[] = {
#define COLUMN(flag, member, shape, type)                                                          \
  {                                                                                                \
    flag, G_STRUCT_OFFSET (MsLayerRows, member), G_STRUCT_OFFSET (MsLayerBlock, member), shape,    \
        sizeof (type)                                                                              \
  }
  COLUMN (MS_CHUNK_EXPERTS, experts, PER_SLOT, guint16),
  COLUMN (MS_CHUNK_WEIGHTS, weights, PER_SLOT, float),
  COLUMN (MS_CHUNK_ENTROPY, entropy, PER_TOKEN, float),
  COLUMN (MS_CHUNK_MARGIN, margin, PER_TOKEN, float),
  COLUMN (MS_CHUNK_LOGITS, logits, PER_EXPERT, float),
  COLUMN (MS_CHUNK_NORMS, norms, PER_SLOT, float),
  COLUMN (MS_CHUNK_PEAKS, peaks, PER_SLOT, float),
  COLUMN (MS_CHUNK_SIMILARITY, similarity, PER_TOKEN, float),
#undef COLUMN
};

static gsize
row_bytes (guint column, const MsGate *gate)
{
  const gsize values[] = { [PER_TOKEN] = 1, [PER_SLOT] = gate->k, [PER_EXPERT] = gate->n_experts };

  return values[columns_table[column].shape] * columns_table[column].element;
}

static gpointer *
array_of (const MsRows *rows, guint layer, guint column)
{
  return G_STRUCT_MEMBER_P (&rows->layers[layer], columns_table[column].rows_offset);
}

gsize
ms_rows_bytes (const MsPlan *plan, guint columns, gboolean predictions)
{
  gsize bytes = predictions ? sizeof (gint32) + sizeof (float) : 0;

  for (guint b = 0; b < plan->n_blocks; b++)
    for (guint c = 0; c < G_N_ELEMENTS (columns_table) && plan->blocks[b].is_moe; c++)
      if (columns & columns_table[c].flag)
        bytes += row_bytes (c, &plan->blocks[b].gate);
  return bytes;
}

MsRows *
ms_rows_new (const MsPlan *plan, guint columns, gboolean predictions, gsize capacity)
{
  MsRows *rows = g_new0 (MsRows, 1);

  rows->plan = plan;
  rows->capacity = capacity;
  rows->layers = g_new0 (MsLayerRows, plan->n_moe);
  for (guint b = 0, layer = 0; b < plan->n_blocks; b++)
    if (plan->blocks[b].is_moe)
      {
        for (guint c = 0; c < G_N_ELEMENTS (columns_table); c++)
          if (columns & columns_table[c].flag)
            *array_of (rows, layer, c)
                = g_malloc_n (capacity, row_bytes (c, &plan->blocks[b].gate));
        layer++;
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
    for (guint c = 0; c < G_N_ELEMENTS (columns_table); c++)
      g_free (*array_of (rows, layer, c));
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
        for (guint c = 0; c < G_N_ELEMENTS (columns_table); c++)
          {
            guint8 *array = *array_of (rows, layer, c);
            gsize bytes = row_bytes (c, &rows->plan->blocks[b].gate);

            if (array != NULL)
              memmove (array, array + from * bytes, n * bytes);
          }
        layer++;
      }
  if (rows->predicted != NULL)
    {
      memmove (rows->predicted, rows->predicted + from, n * sizeof *rows->predicted);
      memmove (rows->loss, rows->loss + from, n * sizeof *rows->loss);
    }
}

void
ms_rows_view (const MsRows *rows, gsize from, MsLayerBlock *blocks)
{
  for (guint b = 0, layer = 0; b < rows->plan->n_blocks; b++)
    if (rows->plan->blocks[b].is_moe)
      {
        memset (&blocks[layer], 0, sizeof blocks[layer]);
        for (guint c = 0; c < G_N_ELEMENTS (columns_table); c++)
          {
            const guint8 *array = *array_of (rows, layer, c);

            if (array != NULL)
              G_STRUCT_MEMBER (gconstpointer, &blocks[layer], columns_table[c].block_offset)
                  = array + from * row_bytes (c, &rows->plan->blocks[b].gate);
          }
        layer++;
      }
}
