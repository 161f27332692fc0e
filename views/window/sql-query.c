/* MsSqlQuery runs one statement in the safe console of db, in a worker.  Cells are read as text first: the
 * type of a column is the one that holds all that is in it, known at the end. */
#include "sql-query-private.h"

#include <math.h>
#include <string.h>

void
ms_sql_query_free (MsSqlQuery *query)
{
  g_free (query->path);
  g_free (query->sql);
  g_hash_table_unref (query->values);
  g_atomic_rc_box_release (query->offset);
  g_free (query);
}

void
ms_sql_result_free (MsSqlResult *result)
{
  if (result == NULL)
    return;
  g_clear_pointer (&result->table, ms_table_unref);
  g_clear_pointer (&result->names, g_ptr_array_unref);
  g_free (result->columns);
  g_free (result);
}

/* A number is bound as one, so that it compares as one. */
static void
bind_values (sqlite3_stmt *statement, GHashTable *values)
{
  for (int i = 1; i <= sqlite3_bind_parameter_count (statement); i++)
    {
      const char *name = sqlite3_bind_parameter_name (statement, i);
      const char *text = name ? g_hash_table_lookup (values, name + 1) : NULL;
      gint64 whole;
      char *end;

      if (text == NULL || *text == '\0')
        continue;
      if (g_ascii_string_to_signed (text, 10, G_MININT64, G_MAXINT64, &whole, NULL))
        sqlite3_bind_int64 (statement, i, whole);
      else
        {
          double real = g_ascii_strtod (text, &end);

          if (*end == '\0')
            sqlite3_bind_double (statement, i, real);
          else
            sqlite3_bind_text (statement, i, text, -1, SQLITE_TRANSIENT);
        }
    }
}

/* The type that holds every cell of a column. */
static MsColumnType
widen (MsColumnType type, int found)
{
  if (found == SQLITE_NULL || found == SQLITE_INTEGER)
    return found == SQLITE_NULL && type == MS_COLUMN_INT ? MS_COLUMN_REAL : type;
  if (found == SQLITE_FLOAT && type != MS_COLUMN_TEXT)
    return MS_COLUMN_REAL;
  return MS_COLUMN_TEXT;
}

static void
fill_table (MsSqlResult *result, GPtrArray *cells, guint n_columns)
{
  for (guint i = 0; i < cells->len; i++)
    {
      const char *text = g_ptr_array_index (cells, i);

      switch (result->columns[i % n_columns].type)
        {
        case MS_COLUMN_INT:
          ms_table_put (result->table, MS_INT (text ? g_ascii_strtoll (text, NULL, 10) : 0));
          break;
        case MS_COLUMN_REAL:
          ms_table_put (result->table, MS_REAL (text ? g_ascii_strtod (text, NULL) : (double) NAN));
          break;
        case MS_COLUMN_TEXT:
          ms_table_put (result->table, MS_TEXT (text));
          break;
        }
      if ((i + 1) % n_columns == 0)
        ms_table_end_row (result->table);
    }
}

static gboolean
read_rows (MsConsole *console, sqlite3_stmt *statement, MsWork *job, MsSqlResult *result,
           GError **error)
{
  guint n_columns = (guint) sqlite3_column_count (statement);
  g_autoptr (GPtrArray) cells = g_ptr_array_new_with_free_func (g_free);
  gboolean row = TRUE;
  guint n_rows = 0;

  result->names = g_ptr_array_new_with_free_func (g_free);
  result->columns = g_new0 (MsColumn, n_columns + 1);
  for (guint i = 0; i < n_columns; i++)
    {
      char *name = g_strdup (sqlite3_column_name (statement, (int) i));

      g_ptr_array_add (result->names, name);
      result->columns[i]
          = (MsColumn){ .name = name, .title = name, .type = MS_COLUMN_INT, .help = "" };
    }
  while (row)
    {
      if (!ms_console_step (console, statement, ms_work_cancellable (job), &row, error))
        return FALSE;
      if (!row)
        break;
      if (n_rows == MS_SQL_MOST_ROWS)
        {
          result->cut = TRUE;
          break;
        }
      n_rows++;
      for (guint i = 0; i < n_columns; i++)
        {
          int type = sqlite3_column_type (statement, (int) i);

          result->columns[i].type = widen (result->columns[i].type, type);
          g_ptr_array_add (cells,
                           type == SQLITE_NULL ? NULL : ms_console_text (statement, (int) i));
        }
    }
  result->def = (MsTableDef){ "result", "Result", result->columns };
  result->table = ms_table_new (&result->def);
  fill_table (result, cells, n_columns);
  return TRUE;
}

gpointer
ms_sql_query_run (MsWork *job, gpointer data, GError **error)
{
  MsSqlQuery *query = data;
  g_autoptr (MsConsole) console = ms_console_new (query->path, error);
  gint64 began = g_get_monotonic_time ();
  sqlite3_stmt *statement;
  MsSqlResult *result;

  *query->offset = -1;
  if (console == NULL)
    return NULL;
  statement = ms_console_prepare (console, query->sql, query->offset, error);
  if (statement == NULL)
    return NULL;
  bind_values (statement, query->values);
  result = g_new0 (MsSqlResult, 1);
  if (!read_rows (console, statement, job, result, error))
    g_clear_pointer (&result, ms_sql_result_free);
  else
    result->seconds = (double) (g_get_monotonic_time () - began) / G_USEC_PER_SEC;
  sqlite3_finalize (statement);
  return result;
}

GPtrArray *
ms_sql_parameters (const char *sql)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  char quote = '\0';

  for (const char *at = sql; *at != '\0'; at++)
    {
      const char *end = at + 1;

      if (quote != '\0')
        {
          quote = *at == quote ? '\0' : quote;
          continue;
        }
      if (*at == '\'' || *at == '"')
        quote = *at;
      if (at[0] == '-' && at[1] == '-')
        {
          at += strcspn (at, "\n");
          if (*at == '\0')
            break;
        }
      if (*at != ':')
        continue;
      while (g_ascii_isalnum (*end) || *end == '_')
        end++;
      if (end > at + 1)
        {
          g_autofree char *name = g_strndup (at + 1, (gsize) (end - at - 1));

          if (!g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL))
            g_ptr_array_add (names, g_steal_pointer (&name));
        }
      at = end - 1;
    }
  return names;
}
