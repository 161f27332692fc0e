/* Channels: how a plot reads the columns of its table, as numbers or as categories. */
#include "figure-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double
ms_channel_raw (const MsChannel *channel, guint row)
{
  if (channel->reals != NULL)
    return channel->reals[row];
  return channel->ints != NULL ? (double) channel->ints[row] : NAN;
}

double
ms_channel_get (const MsChannel *channel, guint row)
{
  if (channel->of_row == NULL)
    return ms_channel_raw (channel, row);
  return channel->of_row[row] == MS_NONE ? NAN : (double) channel->of_row[row];
}

guint
ms_channel_category (const MsChannel *channel, guint row)
{
  return channel->of_row != NULL ? channel->of_row[row] : 0;
}

char *
ms_channel_title (const MsChannel *channel)
{
  if (channel->column == NULL)
    return g_strdup ("");
  if (channel->column->unit == NULL || channel->column->unit[0] == '\0'
      || g_ascii_strcasecmp (channel->column->unit, channel->column->title) == 0)
    return g_strdup (channel->column->title);
  return g_strdup_printf ("%s (%s)", channel->column->title, channel->column->unit);
}

gboolean
ms_channel_open (MsChannel *channel, MsTable *table, const char *name, GError **error)
{
  int index;

  if (name == NULL || name[0] == '\0')
    return TRUE;
  index = ms_table_find_column (table, name);
  if (index < 0)
    {
      g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA,
                   "the plot needs column '%s', which table '%s' does not have", name,
                   ms_table_def (table)->name);
      return FALSE;
    }
  channel->index = (guint) index;
  channel->column = ms_table_column (table, channel->index);
  if (channel->column->type == MS_COLUMN_INT)
    channel->ints = ms_table_ints (table, channel->index);
  else if (channel->column->type == MS_COLUMN_REAL)
    channel->reals = ms_table_reals (table, channel->index);
  return TRUE;
}

void
ms_channel_clear (MsChannel *channel)
{
  for (guint i = 0; i < channel->n; i++)
    g_free (channel->names[i]);
  g_free (channel->names);
  g_free (channel->numbers);
  g_free (channel->of_row);
}

static void
text_categories (MsChannel *channel, MsTable *table, const guint32 *rows, guint n_rows)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  for (guint i = 0; i < n_rows; i++)
    {
      guint row = rows != NULL ? rows[i] : i;
      const char *text = ms_table_get_text (table, row, channel->index);
      gpointer found = g_hash_table_lookup (seen, text);

      if (found == NULL)
        {
          g_ptr_array_add (names, g_strdup (text));
          found = GUINT_TO_POINTER (names->len);
          g_hash_table_insert (seen, names->pdata[names->len - 1], found);
        }
      channel->of_row[row] = GPOINTER_TO_UINT (found) - 1;
    }
  channel->n = names->len;
  g_ptr_array_add (names, NULL);
  channel->names = (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static char *
number_name (const MsChannel *channel, double value)
{
  char buffer[MS_NUMBER_SIZE];

  if (channel->ints != NULL)
    return g_strdup_printf ("%" G_GINT64_FORMAT, (gint64) value);
  g_ascii_formatd (buffer, sizeof buffer, "%.4g", value);
  return g_strdup (buffer);
}

static void
number_categories (MsChannel *channel, const guint32 *rows, guint n_rows)
{
  g_autofree double *values = g_new (double, n_rows + 1);
  guint n = 0, distinct = 0;
  gboolean whole = channel->ints != NULL;
  double low = 0, high = 0;

  for (guint i = 0; i < n_rows; i++)
    {
      double value = ms_channel_raw (channel, rows != NULL ? rows[i] : i);

      if (!isfinite (value))
        continue;
      low = n == 0 ? value : MIN (low, value);
      high = n == 0 ? value : MAX (high, value);
      values[n++] = value;
    }
  whole = whole && high - low < 1 << 22;
  if (whole)
    {
      /* Whole numbers close together: mark which occur rather than sort. */
      gsize span = n == 0 ? 0 : (gsize) (high - low) + 1;
      g_autofree guint32 *mark = g_new0 (guint32, span + 1);

      for (guint i = 0; i < n; i++)
        mark[(gsize) (values[i] - low)] = 1;
      for (gsize v = 0; v < span; v++)
        if (mark[v] != 0)
          {
            values[distinct] = low + (double) v;
            mark[v] = distinct++;
          }
      for (guint i = 0; i < n_rows; i++)
        {
          guint row = rows != NULL ? rows[i] : i;

          channel->of_row[row] = mark[(gsize) (ms_channel_raw (channel, row) - low)];
        }
    }
  else
    {
      qsort (values, n, sizeof *values, compare_doubles);
      for (guint i = 0; i < n; i++)
        if (distinct == 0 || values[i] != values[distinct - 1])
          values[distinct++] = values[i];
      for (guint i = 0; i < n_rows; i++)
        {
          guint row = rows != NULL ? rows[i] : i;
          double value = ms_channel_raw (channel, row);
          double *found = isfinite (value)
                              ? bsearch (&value, values, distinct, sizeof value, compare_doubles)
                              : NULL;

          channel->of_row[row] = found != NULL ? (guint32) (found - values) : MS_NONE;
        }
    }
  channel->n = distinct;
  channel->numbers = g_memdup2 (values, distinct * sizeof *values);
  channel->names = g_new0 (char *, distinct + 1);
  for (guint i = 0; i < distinct; i++)
    channel->names[i] = number_name (channel, values[i]);
}

void
ms_channel_categorize (MsChannel *channel, MsTable *table, const guint32 *rows, guint n_rows)
{
  if (channel->column == NULL || channel->of_row != NULL)
    return;
  channel->of_row = g_new (guint32, MAX (ms_table_n_rows (table), 1));
  memset (channel->of_row, 0xff, MAX (ms_table_n_rows (table), 1) * sizeof *channel->of_row);
  if (channel->column->type == MS_COLUMN_TEXT)
    text_categories (channel, table, rows, n_rows);
  else
    number_categories (channel, rows, n_rows);
}

typedef struct
{
  double score;
  guint32 category;
} Score;

static int
compare_scores (gconstpointer a, gconstpointer b)
{
  const Score *p = a, *q = b;

  if (p->score != q->score)
    return p->score > q->score ? -1 : 1;
  return p->category < q->category ? -1 : p->category > q->category;
}

void
ms_channel_sort (MsChannel *channel, const double *scores, guint n_table_rows)
{
  g_autofree Score *order = g_new (Score, channel->n + 1);
  g_autofree guint32 *place = g_new (guint32, channel->n + 1);
  char **names = g_new0 (char *, channel->n + 1);
  double *numbers = channel->numbers != NULL ? g_new (double, channel->n + 1) : NULL;

  for (guint i = 0; i < channel->n; i++)
    order[i] = (Score){ isnan (scores[i]) ? -INFINITY : scores[i], i };
  qsort (order, channel->n, sizeof *order, compare_scores);
  for (guint i = 0; i < channel->n; i++)
    {
      place[order[i].category] = i;
      names[i] = channel->names[order[i].category];
      if (numbers != NULL)
        numbers[i] = channel->numbers[order[i].category];
    }
  for (guint row = 0; row < n_table_rows; row++)
    if (channel->of_row[row] != MS_NONE)
      channel->of_row[row] = place[channel->of_row[row]];
  g_free (channel->names);
  g_free (channel->numbers);
  channel->names = names;
  channel->numbers = numbers;
}

/* Gives both channels the categories of either: a first, then what only b has (numbers: sorted). */
void
ms_channel_unite (MsChannel *a, MsChannel *b, guint n_table_rows)
{
  MsChannel *both[2] = { a, b };
  g_autoptr (GHashTable) place = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  gboolean numbers = a->numbers != NULL && b->numbers != NULL;
  double *merged = numbers ? g_new (double, a->n + b->n + 1) : NULL;
  guint i = 0, j = 0;

  while (numbers && (i < a->n || j < b->n))
    {
      gboolean first = j >= b->n || (i < a->n && a->numbers[i] <= b->numbers[j]);

      if (first && j < b->n && a->numbers[i] == b->numbers[j])
        j++;
      merged[names->len] = first ? a->numbers[i] : b->numbers[j];
      g_ptr_array_add (names, first ? a->names[i] : b->names[j]);
      i += first;
      j += !first;
    }
  for (guint c = 0; !numbers && c < 2; c++)
    for (guint k = 0; k < both[c]->n; k++)
      if (c == 0 || !g_strv_contains ((const char *const *) a->names, both[c]->names[k]))
        g_ptr_array_add (names, both[c]->names[k]);
  for (guint k = 0; k < names->len; k++)
    g_hash_table_insert (place, names->pdata[k], GUINT_TO_POINTER (k));
  for (guint c = 0; c < 2; c++)
    for (guint row = 0; row < n_table_rows; row++)
      if (both[c]->of_row[row] != MS_NONE)
        both[c]->of_row[row]
            = GPOINTER_TO_UINT (g_hash_table_lookup (place, both[c]->names[both[c]->of_row[row]]));
  {
    char **for_a, **for_b;
    double *numbers_b = numbers ? g_memdup2 (merged, names->len * sizeof *merged) : NULL;

    for_a = g_new0 (char *, names->len + 1);
    for_b = g_new0 (char *, names->len + 1);
    for (guint k = 0; k < names->len; k++)
      {
        for_a[k] = g_strdup (names->pdata[k]);
        for_b[k] = g_strdup (names->pdata[k]);
      }
    for (guint c = 0; c < 2; c++)
      {
        for (guint k = 0; k < both[c]->n; k++)
          g_free (both[c]->names[k]);
        g_free (both[c]->names);
        g_free (both[c]->numbers);
        both[c]->n = names->len;
        both[c]->names = c == 0 ? for_a : for_b;
        both[c]->numbers = c == 0 ? merged : numbers_b;
      }
  }
}
