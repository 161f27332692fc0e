/* The table of chunk columns, and what is done to all columns alike.
 *
 * Invariant: row i of the table is the column with bit 1 << i, and its array is the i-th of MsDecisions. */
#include "columns.h"

#include <string.h>

#define INDEX(flag) __builtin_ctz (flag)
#define COLUMN(flag, member, title, shape, coding, type)                                           \
  [INDEX (flag)]                                                                                   \
      = { #member, title, shape, coding, sizeof (type), G_STRUCT_OFFSET (MsDecisions, member) }

static const MsChunkColumn table[] = {
  COLUMN (MS_CHUNK_EXPERTS, experts, "expert ids", MS_PER_SLOT, MS_CODING_IDS, guint16),
  COLUMN (MS_CHUNK_WEIGHTS, weights, "weights", MS_PER_SLOT, MS_CODING_WEIGHTS, float),
  COLUMN (MS_CHUNK_ENTROPY, entropy, "router entropies", MS_PER_TOKEN, MS_CODING_ENTROPY, float),
  COLUMN (MS_CHUNK_MARGIN, margin, "score gaps", MS_PER_TOKEN, MS_CODING_HALF, float),
  COLUMN (MS_CHUNK_LOGITS, logits, "router scores", MS_PER_EXPERT, MS_CODING_PLAIN, float),
  COLUMN (MS_CHUNK_NORMS, norms, "output norms", MS_PER_SLOT, MS_CODING_PLAIN, float),
  COLUMN (MS_CHUNK_PEAKS, peaks, "output peaks", MS_PER_SLOT, MS_CODING_PLAIN, float),
  COLUMN (MS_CHUNK_SIMILARITY, similarity, "block similarities", MS_PER_TOKEN, MS_CODING_PLAIN,
          float),
  COLUMN (MS_CHUNK_DROPPED, dropped, "drop flags", MS_PER_SLOT, MS_CODING_PLAIN, guint8),
  COLUMN (MS_CHUNK_OUTCOME, outcome, "outcomes", MS_PER_EXPERT, MS_CODING_PLAIN, float),
};

G_STATIC_ASSERT (G_N_ELEMENTS (table) == MS_N_COLUMNS);
G_STATIC_ASSERT (sizeof (MsDecisions) == MS_N_COLUMNS * sizeof (gpointer));
G_STATIC_ASSERT (MS_COLUMNS_INROW
                 == (MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN));

const MsChunkColumn *
ms_chunk_column (guint index)
{
  return &table[index];
}

char *
ms_columns_format (guint columns)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < MS_N_COLUMNS; i++)
    if (columns & (1u << i))
      g_string_append_printf (text, "%s%s", text->len > 0 ? " " : "", table[i].name);
  return g_string_free (text, FALSE);
}

gboolean
ms_columns_parse (const char *names, guint *columns)
{
  g_auto (GStrv) words = g_strsplit (names, " ", -1);

  *columns = 0;
  for (guint i = 0; words[i] != NULL; i++)
    {
      guint index = 0;

      while (index < MS_N_COLUMNS && strcmp (table[index].name, words[i]) != 0)
        index++;
      if (index == MS_N_COLUMNS)
        return FALSE;
      *columns |= 1u << index;
    }
  return TRUE;
}

gsize
ms_column_width (guint index, guint k, guint n_experts)
{
  switch (table[index].shape)
    {
    case MS_PER_TOKEN:
      return 1;
    case MS_PER_SLOT:
      return k;
    default:
      return n_experts;
    }
}

gsize
ms_column_row_bytes (guint index, guint k, guint n_experts)
{
  return ms_column_width (index, k, n_experts) * table[index].size;
}

gsize
ms_decisions_row_bytes (guint columns, guint k, guint n_experts)
{
  gsize bytes = 0;

  for (guint i = 0; i < MS_N_COLUMNS; i++)
    if (columns & (1u << i))
      bytes += ms_column_row_bytes (i, k, n_experts);
  return bytes;
}

gpointer *
ms_decisions_array (MsDecisions *arrays, guint index)
{
  return G_STRUCT_MEMBER_P (arrays, table[index].offset);
}

gconstpointer
ms_decisions_get (const MsDecisions *arrays, guint index)
{
  return G_STRUCT_MEMBER (gconstpointer, arrays, table[index].offset);
}

gboolean
ms_decisions_allocate (MsDecisions *arrays, guint columns, gsize n, guint k, guint n_experts)
{
  *arrays = (MsDecisions){ 0 };
  for (guint i = 0; i < MS_N_COLUMNS; i++)
    if (columns & (1u << i))
      {
        gpointer array = g_try_malloc0_n (MAX (n, 1), ms_column_row_bytes (i, k, n_experts));

        if (array == NULL)
          {
            ms_decisions_clear (arrays);
            return FALSE;
          }
        *ms_decisions_array (arrays, i) = array;
      }
  return TRUE;
}

void
ms_decisions_clear (MsDecisions *arrays)
{
  for (guint i = 0; i < MS_N_COLUMNS; i++)
    g_clear_pointer (ms_decisions_array (arrays, i), g_free);
}

MsDecisions
ms_decisions_view (const MsDecisions *arrays, gsize row, guint k, guint n_experts)
{
  MsDecisions view = *arrays;

  for (guint i = 0; i < MS_N_COLUMNS; i++)
    {
      guint8 **array = (guint8 **) (gpointer) ms_decisions_array (&view, i);

      if (*array != NULL)
        *array += row * ms_column_row_bytes (i, k, n_experts);
    }
  return view;
}

void
ms_decisions_copy (MsDecisions *to, gsize at, const MsDecisions *from, gsize row, gsize n, guint k,
                   guint n_experts)
{
  for (guint i = 0; i < MS_N_COLUMNS; i++)
    {
      guint8 *target = *ms_decisions_array (to, i);
      const guint8 *source = ms_decisions_get (from, i);
      gsize bytes = ms_column_row_bytes (i, k, n_experts);

      if (target != NULL)
        memmove (target + at * bytes, source + row * bytes, n * bytes);
    }
}
