/* Tables as text for people: whole, or cut to a terminal.
 *
 * What must hold: cutting never changes a value, only its digits, and says which columns it left out. */
#include "text-table.h"

#include "base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GAP 2

/* A column as it is shown: one of the table, or an estimate with its interval (low and high follow it). */
typedef struct
{
  guint column;
  gboolean interval;
  int width;
  GPtrArray *cells; /* of char*, one per row */
} Shown;

static void
clear_shown (gpointer data)
{
  g_ptr_array_unref (((Shown *) data)->cells);
}

/* --- Cells ----------------------------------------------------------------------------------- */

/* Three significant digits, more only before the point. */
static char *
format_real (double value)
{
  char text[MS_NUMBER_SIZE];
  char *short_text;

  if (isnan (value))
    return g_strdup ("-");
  if (value == 0)
    return g_strdup ("0");
  if (fabs (value) >= 999.5 && fabs (value) < 1e15)
    return g_strdup (ms_number_grouped (text, (gint64) llround (value)));
  short_text = g_strdup_printf ("%#.3g", value); /* 1.80, so that points stand below each other */
  if (g_str_has_suffix (short_text, "."))
    short_text[strlen (short_text) - 1] = '\0';
  return short_text;
}

/* Thousands marks belong to counts: ids of tokens, documents and runs are names. */
static gboolean
is_id (const MsColumn *column)
{
  return g_str_has_suffix (column->name, "token") || g_str_has_suffix (column->name, "_id")
         || strcmp (column->name, "document") == 0 || strcmp (column->name, "position") == 0;
}

static char *
format_cell (const MsTable *table, guint row, guint column, gboolean cut)
{
  const MsColumn *def = ms_table_column (table, column);
  char text[MS_NUMBER_SIZE];

  if (ms_table_is_null (table, row, column))
    return g_strdup ("-");
  if (cut && def->type == MS_COLUMN_REAL)
    return format_real (ms_table_get_real (table, row, column));
  if (cut && def->type == MS_COLUMN_INT && !is_id (def))
    return g_strdup (ms_number_grouped (text, ms_table_get_int (table, row, column)));
  return ms_table_format (table, row, column);
}

static char *
format_interval (const MsTable *table, guint row, guint column)
{
  g_autofree char *value = format_real (ms_table_get_real (table, row, column));
  g_autofree char *low = format_real (ms_table_get_real (table, row, column + 1));
  g_autofree char *high = format_real (ms_table_get_real (table, row, column + 2));

  return ms_table_is_null (table, row, column + 1) || ms_table_is_null (table, row, column + 2)
             ? g_steal_pointer (&value)
             : g_strdup_printf ("%s [%s, %s]", value, low, high);
}

/* --- Columns --------------------------------------------------------------------------------- */

static gboolean
ends_in (const MsTable *table, guint column, const char *end)
{
  return column < ms_table_n_columns (table)
         && ms_table_column (table, column)->type == MS_COLUMN_REAL
         && g_str_has_suffix (ms_table_column (table, column)->name, end);
}

/* Bounds of an interval stand directly behind their estimate. */
static gboolean
has_interval (const MsTable *table, guint column)
{
  return ms_table_column (table, column)->type == MS_COLUMN_REAL && !ends_in (table, column, "low")
         && !ends_in (table, column, "high") && ends_in (table, column + 1, "low")
         && ends_in (table, column + 2, "high");
}

static int
length_of (const char *text)
{
  return (int) g_utf8_strlen (text, -1);
}

static void
add_column (GArray *columns, const MsTable *table, guint column, guint n_rows, gboolean cut)
{
  Shown shown = { .column = column, .interval = cut && has_interval (table, column) };

  shown.width = length_of (ms_table_column (table, column)->name);
  shown.cells = g_ptr_array_new_with_free_func (g_free);
  for (guint row = 0; row < n_rows; row++)
    {
      char *text = shown.interval ? format_interval (table, row, column)
                                  : format_cell (table, row, column, cut);

      g_ptr_array_add (shown.cells, text);
      shown.width = MAX (shown.width, length_of (text));
    }
  g_array_append_val (columns, shown);
}

/* The columns in their order; where columns are left out, bounds of no interval shown go last. */
static GArray *
list_columns (const MsTable *table, guint n_rows, gboolean cut)
{
  GArray *columns = g_array_new (FALSE, FALSE, sizeof (Shown));
  g_autoptr (GArray) last = g_array_new (FALSE, FALSE, sizeof (guint));

  g_array_set_clear_func (columns, clear_shown);
  for (guint i = 0; i < ms_table_n_columns (table); i++)
    if (cut && (ends_in (table, i, "low") || ends_in (table, i, "high")))
      g_array_append_val (last, i);
    else
      {
        add_column (columns, table, i, n_rows, cut);
        i += g_array_index (columns, Shown, columns->len - 1).interval ? 2 : 0;
      }
  for (guint i = 0; i < last->len; i++)
    add_column (columns, table, g_array_index (last, guint, i), n_rows, cut);
  return columns;
}

/* How many of the columns fit. */
static guint
count_fitting (const GArray *columns, guint width)
{
  guint n = 0;
  int used = 0;

  for (; n < columns->len; n++)
    {
      used += (n > 0 ? GAP : 0) + g_array_index (columns, Shown, n).width;
      if (width > 0 && n > 0 && used > (int) width)
        break;
    }
  return n;
}

/* --- Lines ----------------------------------------------------------------------------------- */

static void
append_cell (GString *out, const char *text, const Shown *shown, gboolean first, gboolean right)
{
  int blanks = MAX (shown->width - length_of (text), 0);

  g_string_append_printf (out, "%*s%*s%s%*s", first ? 0 : GAP, "", right ? blanks : 0, "", text,
                          right ? 0 : blanks, "");
}

static void
append_line (GString *out, const MsTable *table, const GArray *columns, guint n, int row)
{
  for (guint i = 0; i < n; i++)
    {
      const Shown *shown = &g_array_index (columns, Shown, i);
      const MsColumn *column = ms_table_column (table, shown->column);

      append_cell (out, row < 0 ? column->name : shown->cells->pdata[row], shown, i == 0,
                   column->type != MS_COLUMN_TEXT && !shown->interval);
    }
  while (out->len > 0 && out->str[out->len - 1] == ' ')
    g_string_truncate (out, out->len - 1);
  g_string_append_c (out, '\n');
}

static void
append_left_out (GString *out, const MsTable *table, const GArray *columns, guint n, guint width)
{
  g_autoptr (GString) line = g_string_new (NULL);

  g_string_printf (line, "... %u more columns (--wide):", columns->len - n);
  for (guint i = n; i < columns->len; i++)
    {
      const char *name = ms_table_column (table, g_array_index (columns, Shown, i).column)->name;

      if (line->len + 1 + strlen (name) > width)
        {
          g_string_append_printf (out, "%s\n", line->str);
          g_string_assign (line, "   ");
        }
      g_string_append_printf (line, " %s", name);
    }
  g_string_append_printf (out, "%s\n", line->str);
}

void
ms_text_table_append (GString *out, const MsTable *table, guint most_rows, guint width)
{
  guint n_rows = MIN (ms_table_n_rows (table), most_rows);
  g_autoptr (GArray) columns = list_columns (table, n_rows, width > 0);
  guint n = count_fitting (columns, width);

  g_string_append_printf (out, "\n%s (%s)\n", ms_table_def (table)->title,
                          ms_table_def (table)->name);
  for (int row = -1; row < (int) n_rows; row++)
    append_line (out, table, columns, n, row);
  if (n < columns->len)
    append_left_out (out, table, columns, n, width);
  if (n_rows < ms_table_n_rows (table))
    g_string_append_printf (out, "... %u more rows: --table %s shows them all\n",
                            ms_table_n_rows (table) - n_rows, ms_table_def (table)->name);
}

void
ms_text_append_wrapped (GString *out, const char *text, guint width, const char *indent)
{
  g_auto (GStrv) words = g_strsplit_set (text, " \n", -1);
  guint at = 0, margin = (guint) g_utf8_strlen (indent, -1);

  for (guint i = 0; words[i] != NULL; i++)
    {
      guint length = (guint) g_utf8_strlen (words[i], -1);

      if (length == 0)
        continue;
      if (at > 0 && width > 0 && margin + at + 1 + length > width)
        {
          g_string_append_c (out, '\n');
          at = 0;
        }
      g_string_append (out, at == 0 ? indent : " ");
      g_string_append (out, words[i]);
      at += length + (at > 0);
    }
  g_string_append_c (out, '\n');
}

guint
ms_text_table_terminal (void)
{
  const char *columns = g_getenv ("COLUMNS");
  guint64 width = 0;
  struct winsize size;

  if (!isatty (STDOUT_FILENO))
    return 0;
  if (columns != NULL && g_ascii_string_to_unsigned (columns, 10, 20, 10000, &width, NULL))
    return (guint) width;
  return ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}
