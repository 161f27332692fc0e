/* Results in the file: a row of the table `result` and the rows of <analysis>_<table> that refer to it.
 *
 * A result replaces an earlier one of the same analysis, run, selection and parameters.  When an
 * analysis has got a new version, its stored tables are dropped: they may have other columns. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

/* Runs one statement without rows; takes sql, which is from sqlite3_mprintf. */
static gboolean
execute (MsDb *db, char *sql, GError **error)
{
  int code = sqlite3_exec (ms_db_handle (db), sql, NULL, NULL, NULL);

  sqlite3_free (sql);
  return code == SQLITE_OK || ms_db_fail (db, code, "storing a result", error);
}

static char *
table_name (const MsAnalysis *analysis, const MsTableDef *def)
{
  g_autofree char *name = g_strdup_printf ("%s_%s", analysis->name, def->name);

  return g_strdelimit (g_steal_pointer (&name), "-", '_');
}

/* Deletes what the new result replaces. */
static gboolean
make_room (const MsAnalysis *analysis, gint64 run, const char *selection, const char *params,
           MsDb *db, GError **error)
{
  sqlite3_stmt *query = NULL;
  gboolean old = FALSE;
  int code;

  code = sqlite3_prepare_v2 (ms_db_handle (db),
                             "SELECT 1 FROM result WHERE analysis = ?1 AND version <> ?2", -1,
                             &query, NULL);
  if (code != SQLITE_OK)
    return ms_db_fail (db, code, "reading the stored results", error);
  sqlite3_bind_text (query, 1, analysis->name, -1, SQLITE_STATIC);
  sqlite3_bind_int (query, 2, analysis->version);
  old = sqlite3_step (query) == SQLITE_ROW;
  sqlite3_finalize (query);
  if (old)
    {
      for (guint i = 0; analysis->tables[i].name != NULL; i++)
        {
          g_autofree char *name = table_name (analysis, &analysis->tables[i]);

          if (!execute (db, sqlite3_mprintf ("DROP TABLE IF EXISTS \"%w\"", name), error))
            return FALSE;
        }
      if (!execute (db, sqlite3_mprintf ("DELETE FROM result WHERE analysis = %Q", analysis->name),
                    error))
        return FALSE;
    }
  return execute (
      db,
      sqlite3_mprintf ("DELETE FROM result WHERE analysis = %Q AND run IS nullif (%lld, 0) "
                       "AND selection = %Q AND params = %Q",
                       analysis->name, run, selection, params),
      error);
}

/* Every stored table has a column "group", NULL when the result is not grouped. */
static gboolean
make_table (const char *name, const MsTableDef *def, gboolean grouped, MsDb *db, GError **error)
{
  static const char *const types[] = { "INTEGER", "REAL", "TEXT" };
  g_autoptr (GString) sql = g_string_new (NULL);

  g_string_append_printf (sql,
                          "CREATE TABLE IF NOT EXISTS \"%s\" (result INTEGER NOT NULL REFERENCES "
                          "result ON DELETE CASCADE, \"group\" TEXT",
                          name);
  for (guint i = grouped; def->columns[i].name != NULL; i++)
    g_string_append_printf (sql, ", \"%s\" %s", def->columns[i].name, types[def->columns[i].type]);
  g_string_append (sql, ") STRICT");
  if (!execute (db, sqlite3_mprintf ("%s", sql->str), error))
    return FALSE;
  return execute (
      db,
      sqlite3_mprintf ("CREATE INDEX IF NOT EXISTS \"%w_result\" ON \"%w\" (result)", name, name),
      error);
}

static void
bind_cell (sqlite3_stmt *insert, int at, const MsTable *table, guint row, guint column)
{
  if (ms_table_is_null (table, row, column))
    {
      sqlite3_bind_null (insert, at);
      return;
    }
  switch (ms_table_column (table, column)->type)
    {
    case MS_COLUMN_INT:
      sqlite3_bind_int64 (insert, at, ms_table_get_int (table, row, column));
      break;
    case MS_COLUMN_REAL:
      sqlite3_bind_double (insert, at, ms_table_get_real (table, row, column));
      break;
    case MS_COLUMN_TEXT:
      sqlite3_bind_text (insert, at, ms_table_get_text (table, row, column), -1, SQLITE_STATIC);
      break;
    }
}

static gboolean
insert_rows (const char *name, const MsTable *table, gboolean grouped, gint64 result, MsDb *db,
             GError **error)
{
  g_autoptr (GString) sql = g_string_new (NULL);
  guint n = ms_table_n_columns (table);
  sqlite3_stmt *insert = NULL;
  int code;

  g_string_append_printf (sql, "INSERT INTO \"%s\" VALUES (%" G_GINT64_FORMAT "%s", name, result,
                          grouped ? "" : ", NULL");
  for (guint i = 0; i < n; i++)
    g_string_append (sql, ", ?");
  g_string_append_c (sql, ')');
  code = sqlite3_prepare_v2 (ms_db_handle (db), sql->str, -1, &insert, NULL);
  for (guint row = 0; code == SQLITE_OK && row < ms_table_n_rows (table); row++)
    {
      for (guint i = 0; i < n; i++)
        bind_cell (insert, (int) i + 1, table, row, i);
      sqlite3_step (insert);
      code = sqlite3_reset (insert);
    }
  sqlite3_finalize (insert);
  return code == SQLITE_OK || ms_db_fail (db, code, "storing a result", error);
}

/* The run of the file to which the numbers belong; 0 when the trace is of another file. */
static gint64
run_in (MsTrace *const *traces, guint n, MsDb *db)
{
  if (n == 0 || traces[0] == NULL || strcmp (ms_trace_path (traces[0]), ms_db_path (db)) != 0)
    return 0;
  return ms_trace_run (traces[0])->id;
}

static gint64
insert_result (const MsResult *result, const MsContext *context, MsDb *db, GError **error)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *created = g_date_time_format (now, "%Y-%m-%dT%H:%M:%SZ");
  g_autofree char *params = ms_result_params (result, context);
  g_autofree char *selection = context->trace != NULL
                                   ? ms_selection_format (ms_trace_selection (context->trace))
                                   : g_strdup ("");
  gint64 run = run_in (&context->trace, 1, db);
  gint64 other = run_in (context->others, context->n_others, db);
  char number[MS_NUMBER_SIZE];

  if (!make_room (result->analysis, run, selection, params, db, error)
      || !execute (db,
                   sqlite3_mprintf ("INSERT INTO result (analysis, version, run, other_run, "
                                    "selection, params, summary, created, seconds) VALUES (%Q, %d, "
                                    "nullif (%lld, 0), nullif (%lld, 0), %Q, %Q, %Q, %Q, %s)",
                                    result->analysis->name, result->analysis->version, run, other,
                                    selection, params, result->summary, created,
                                    ms_number_exact (number, result->seconds)),
                   error))
    return 0;
  return sqlite3_last_insert_rowid (ms_db_handle (db));
}

static gint64
store (const MsResult *result, const MsContext *context, MsDb *db, GError **error)
{
  gboolean grouped = result->by != NULL;
  gint64 id = insert_result (result, context, db, error);

  for (guint i = 0; id != 0 && i < result->n_tables; i++)
    {
      const MsTable *table = result->tables[i];
      g_autofree char *name = table_name (result->analysis, ms_table_def (table));

      if (!make_table (name, ms_table_def (table), grouped, db, error)
          || !insert_rows (name, table, grouped, id, db, error))
        return 0;
    }
  return id;
}

gint64
ms_result_store (const MsResult *result, const MsContext *context, MsDb *db, GError **error)
{
  gint64 id = 0;

  if (result->n_runs > 0)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
                   "%s: results of several runs are stored one by one; leave out with= and give "
                   "each run with --run",
                   result->analysis->name);
      return 0;
    }
  if (!execute (db, sqlite3_mprintf ("SAVEPOINT ms_result"), error))
    return 0;
  id = store (result, context, db, error);
  if (id == 0)
    sqlite3_exec (ms_db_handle (db), "ROLLBACK TO ms_result", NULL, NULL, NULL);
  if (!execute (db, sqlite3_mprintf ("RELEASE ms_result"), id != 0 ? error : NULL))
    return 0;
  return id;
}
