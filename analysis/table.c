/* The result table: typed columns filled row by row, then read only.
 *
 * Invariant: every column array has n_rows entries.  Texts are interned: equal texts share one copy. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

struct MsTable
{
  gatomicrefcount refs;
  const MsTableDef *def;
  MsTableDef own_def;    /* of a grouped or retitled table */
  MsColumn *own_columns; /* likewise */
  guint n_columns;
  guint n_rows;
  guint next;       /* the column of the next cell put */
  GArray **columns; /* (n_columns) of gint64, double or const char* */
  GStringChunk *texts;
};

static gsize
cell_size (MsColumnType type)
{
  switch (type)
    {
    case MS_COLUMN_INT:
      return sizeof (gint64);
    case MS_COLUMN_REAL:
      return sizeof (double);
    case MS_COLUMN_TEXT:
    default:
      return sizeof (const char *);
    }
}

static void
make_columns (MsTable *table)
{
  while (table->def->columns[table->n_columns].name != NULL)
    table->n_columns++;
  table->columns = g_new (GArray *, table->n_columns);
  for (guint i = 0; i < table->n_columns; i++)
    table->columns[i] = g_array_new (FALSE, FALSE, (guint) cell_size (table->def->columns[i].type));
}

MsTable *
ms_table_new (const MsTableDef *def)
{
  MsTable *table = g_new0 (MsTable, 1);

  g_atomic_ref_count_init (&table->refs);
  table->def = def;
  table->texts = g_string_chunk_new (1024);
  make_columns (table);
  return table;
}

/* A table with columns before those of `def`, whose texts are borrowed for good. */
static MsTable *
new_with_lead (const MsTableDef *def, const MsColumn *lead, guint n_lead)
{
  MsTable *table = g_new0 (MsTable, 1);
  guint n = 0;

  while (def->columns[n].name != NULL)
    n++;
  g_atomic_ref_count_init (&table->refs);
  table->own_columns = g_new0 (MsColumn, n_lead + n + 1);
  memcpy (table->own_columns, lead, n_lead * sizeof (MsColumn));
  memcpy (table->own_columns + n_lead, def->columns, n * sizeof (MsColumn));
  table->own_def = *def;
  table->own_def.columns = table->own_columns;
  table->def = &table->own_def;
  table->texts = g_string_chunk_new (1024);
  make_columns (table);
  return table;
}

MsTable *
ms_table_new_grouped (const MsTableDef *def)
{
  static const MsColumn lead[]
      = { { MS_GROUP_COLUMN, "Group", NULL, MS_COLUMN_TEXT, "The group of documents." } };

  return new_with_lead (def, lead, G_N_ELEMENTS (lead));
}

MsTable *
ms_table_new_stacked (const MsTableDef *def)
{
  static const MsColumn lead[]
      = { { MS_RUN_ID_COLUMN, "Run number", NULL, MS_COLUMN_INT, "Number of the run in the file." },
          { MS_RUN_COLUMN, "Run", NULL, MS_COLUMN_TEXT, "The run's number and name." } };

  return new_with_lead (def, lead, G_N_ELEMENTS (lead));
}

void
ms_table_retitle (MsTable *table, const char *column, const char *title)
{
  int at = ms_table_find_column (table, column);

  g_assert (at >= 0);
  if (table->own_columns == NULL)
    {
      table->own_columns
          = g_memdup2 (table->def->columns, (table->n_columns + 1) * sizeof (MsColumn));
      table->own_def = *table->def;
      table->own_def.columns = table->own_columns;
      table->def = &table->own_def;
    }
  /* Tables made after this one borrow its titles. */
  table->own_columns[at].title = g_intern_string (title);
}

MsTable *
ms_table_ref (MsTable *table)
{
  g_atomic_ref_count_inc (&table->refs);
  return table;
}

void
ms_table_unref (MsTable *table)
{
  if (table == NULL || !g_atomic_ref_count_dec (&table->refs))
    return;
  for (guint i = 0; i < table->n_columns; i++)
    g_array_unref (table->columns[i]);
  g_free (table->columns);
  g_free (table->own_columns);
  g_string_chunk_free (table->texts);
  g_free (table);
}

static void
append_text (MsTable *table, guint column, const char *text)
{
  const char *kept = text != NULL ? g_string_chunk_insert_const (table->texts, text) : NULL;

  g_array_append_val (table->columns[column], kept);
}

static void
put_cell (MsTable *table, const MsCell *cell)
{
  guint column = table->next++;

  g_assert (column < table->n_columns);
  g_assert (table->def->columns[column].type == cell->type);
  switch (cell->type)
    {
    case MS_COLUMN_INT:
      g_array_append_val (table->columns[column], cell->integer);
      break;
    case MS_COLUMN_REAL:
      g_array_append_val (table->columns[column], cell->real);
      break;
    case MS_COLUMN_TEXT:
      append_text (table, column, cell->text);
      break;
    }
}

void
ms_table_put_cells (MsTable *table, const MsCell *cells, gsize n)
{
  for (gsize i = 0; i < n; i++)
    put_cell (table, &cells[i]);
}

void
ms_table_put_reals (MsTable *table, const double *values, guint n)
{
  for (guint i = 0; i < n; i++)
    ms_table_put (table, MS_REAL (values[i]));
}

void
ms_table_end_row (MsTable *table)
{
  g_assert (table->next == table->n_columns);
  table->next = 0;
  table->n_rows++;
}

void
ms_table_add_cells (MsTable *table, const MsCell *cells, gsize n)
{
  g_assert (table->next == 0 && n == table->n_columns);
  ms_table_put_cells (table, cells, n);
  ms_table_end_row (table);
}

/* The cells of `from` behind the n_lead cells that each of its rows has got already. */
static void
append_cells (MsTable *table, guint n_lead, const MsTable *from)
{
  for (guint i = 0; i < from->n_columns; i++)
    if (from->def->columns[i].type == MS_COLUMN_TEXT)
      for (guint row = 0; row < from->n_rows; row++)
        append_text (table, i + n_lead, g_array_index (from->columns[i], const char *, row));
    else
      g_array_append_vals (table->columns[i + n_lead], from->columns[i]->data, from->n_rows);
  table->n_rows += from->n_rows;
}

void
ms_table_append_group (MsTable *table, const char *group, const MsTable *from)
{
  g_return_if_fail (table->n_columns == from->n_columns + 1);

  for (guint row = 0; row < from->n_rows; row++)
    append_text (table, 0, group);
  append_cells (table, 1, from);
}

void
ms_table_append_run (MsTable *table, gint64 run, const char *label, const MsTable *from)
{
  g_return_if_fail (table->n_columns == from->n_columns + 2);

  for (guint row = 0; row < from->n_rows; row++)
    {
      g_array_append_val (table->columns[0], run);
      append_text (table, 1, label);
    }
  append_cells (table, 2, from);
}

void
ms_table_keep (MsTable *table, const guint8 *marked)
{
  guint n = 0;

  for (guint i = 0; i < table->n_columns; i++)
    {
      gsize size = cell_size (table->def->columns[i].type);
      char *cells = table->columns[i]->data;

      n = 0;
      for (guint row = 0; row < table->n_rows; row++)
        if (marked[row])
          memmove (cells + size * n++, cells + size * row, size);
      g_array_set_size (table->columns[i], n);
    }
  table->n_rows = n;
}

const MsTableDef *
ms_table_def (const MsTable *table)
{
  return table->def;
}

guint
ms_table_n_rows (const MsTable *table)
{
  return table->n_rows;
}

guint
ms_table_n_columns (const MsTable *table)
{
  return table->n_columns;
}

const MsColumn *
ms_table_column (const MsTable *table, guint column)
{
  g_return_val_if_fail (column < table->n_columns, NULL);
  return &table->def->columns[column];
}

int
ms_table_find_column (const MsTable *table, const char *name)
{
  for (guint i = 0; name != NULL && i < table->n_columns; i++)
    if (strcmp (table->def->columns[i].name, name) == 0)
      return (int) i;
  return -1;
}

gint64
ms_table_get_int (const MsTable *table, guint row, guint column)
{
  g_return_val_if_fail (column < table->n_columns && row < table->n_rows, 0);
  g_return_val_if_fail (table->def->columns[column].type == MS_COLUMN_INT, 0);
  return g_array_index (table->columns[column], gint64, row);
}

double
ms_table_get_real (const MsTable *table, guint row, guint column)
{
  g_return_val_if_fail (column < table->n_columns && row < table->n_rows, NAN);
  g_return_val_if_fail (table->def->columns[column].type != MS_COLUMN_TEXT, NAN);
  if (table->def->columns[column].type == MS_COLUMN_INT)
    return (double) g_array_index (table->columns[column], gint64, row);
  return g_array_index (table->columns[column], double, row);
}

const char *
ms_table_get_text (const MsTable *table, guint row, guint column)
{
  const char *text;

  g_return_val_if_fail (column < table->n_columns && row < table->n_rows, "");
  g_return_val_if_fail (table->def->columns[column].type == MS_COLUMN_TEXT, "");
  text = g_array_index (table->columns[column], const char *, row);
  return text != NULL ? text : "";
}

gboolean
ms_table_is_null (const MsTable *table, guint row, guint column)
{
  g_return_val_if_fail (column < table->n_columns && row < table->n_rows, TRUE);
  switch (table->def->columns[column].type)
    {
    case MS_COLUMN_REAL:
      return isnan (g_array_index (table->columns[column], double, row));
    case MS_COLUMN_TEXT:
      return g_array_index (table->columns[column], const char *, row) == NULL;
    case MS_COLUMN_INT:
    default:
      return FALSE;
    }
}

gboolean
ms_table_cell_is (const MsTable *table, guint row, guint column, const char *value)
{
  return ms_table_column (table, column)->type == MS_COLUMN_TEXT
             ? strcmp (ms_table_get_text (table, row, column), value) == 0
             : ms_table_get_real (table, row, column) == g_ascii_strtod (value, NULL);
}

char *
ms_table_format (const MsTable *table, guint row, guint column)
{
  char number[MS_NUMBER_SIZE];

  g_return_val_if_fail (column < table->n_columns && row < table->n_rows, g_strdup (""));
  switch (table->def->columns[column].type)
    {
    case MS_COLUMN_INT:
      return g_strdup_printf ("%" G_GINT64_FORMAT, ms_table_get_int (table, row, column));
    case MS_COLUMN_REAL:
      return g_strdup (ms_number_short (number, ms_table_get_real (table, row, column)));
    case MS_COLUMN_TEXT:
    default:
      return ms_text_printable (ms_table_get_text (table, row, column), -1);
    }
}

const gint64 *
ms_table_ints (const MsTable *table, guint column)
{
  g_return_val_if_fail (column < table->n_columns, NULL);
  g_return_val_if_fail (table->def->columns[column].type == MS_COLUMN_INT, NULL);
  return (const gint64 *) (gpointer) table->columns[column]->data;
}

const double *
ms_table_reals (const MsTable *table, guint column)
{
  g_return_val_if_fail (column < table->n_columns, NULL);
  g_return_val_if_fail (table->def->columns[column].type == MS_COLUMN_REAL, NULL);
  return (const double *) (gpointer) table->columns[column]->data;
}

gboolean
ms_table_write_csv (const MsTable *table, GOutputStream *stream, GError **error)
{
  g_autoptr (GString) out = g_string_sized_new (1 << 16);
  char number[MS_NUMBER_SIZE];

  for (guint i = 0; i < table->n_columns; i++)
    g_string_append_printf (out, "%s%s", i > 0 ? "," : "", table->def->columns[i].name);
  g_string_append_c (out, '\n');
  for (guint row = 0; row < table->n_rows; row++)
    {
      for (guint i = 0; i < table->n_columns; i++)
        {
          if (i > 0)
            g_string_append_c (out, ',');
          switch (table->def->columns[i].type)
            {
            case MS_COLUMN_INT:
              g_string_append_printf (out, "%" G_GINT64_FORMAT, ms_table_get_int (table, row, i));
              break;
            case MS_COLUMN_REAL:
              g_string_append (out, ms_number_exact (number, ms_table_get_real (table, row, i)));
              break;
            case MS_COLUMN_TEXT:
              if (!ms_table_is_null (table, row, i))
                ms_csv_append (out, ms_table_get_text (table, row, i));
              break;
            }
        }
      g_string_append_c (out, '\n');
      if (out->len > (1 << 16) - 4096)
        {
          if (!g_output_stream_write_all (stream, out->str, out->len, NULL, NULL, error))
            return FALSE;
          g_string_truncate (out, 0);
        }
    }
  return g_output_stream_write_all (stream, out->str, out->len, NULL, NULL, error);
}
