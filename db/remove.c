/* Removes runs, and with a run the model and the corpus that no other run has.
 *
 * What must hold: a removal is one transaction, and a run that is being written is not removed. */
#include "db-private.h"

static const char what[] = "removing the run";

static gboolean
execute (MsDb *db, const char *sql, gint64 argument, GError **error)
{
  g_autoptr (sqlite3_stmt) statement = ms_db_prepare (db, sql, what, error);
  int code;

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, argument);
  code = sqlite3_step (statement);
  return code == SQLITE_DONE || ms_db_fail (db, code, what, error);
}

/* What is about to go; NOT_FOUND without such a run. */
static gboolean
look (MsDb *db, gint64 run, MsRemoved *removed, gint64 *model, gint64 *corpus, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db,
                       "SELECT name, model, corpus, (SELECT count(*) FROM result WHERE run = ?1 OR "
                       "other_run = ?1), (SELECT count(DISTINCT block) FROM chunk WHERE run = ?1) "
                       "FROM run WHERE run = ?1",
                       what, error);
  int code;

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, run);
  code = sqlite3_step (statement);
  if (code == SQLITE_DONE)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND,
                   "%s has no run %" G_GINT64_FORMAT "; `moescope info` lists what it holds",
                   ms_db_path (db), run);
      return FALSE;
    }
  if (code != SQLITE_ROW)
    return ms_db_fail (db, code, what, error);
  removed->name = ms_db_text (statement, 0);
  *model = sqlite3_column_int64 (statement, 1);
  *corpus = sqlite3_column_int64 (statement, 2);
  removed->results = sqlite3_column_int64 (statement, 3);
  removed->blocks = sqlite3_column_int64 (statement, 4);
  return TRUE;
}

static gboolean
remove_rows (MsDb *db, gint64 run, MsRemoved *removed, GError **error)
{
  gint64 model = 0, corpus = 0;

  if (!look (db, run, removed, &model, &corpus, error) || !ms_db_lock_run (db, run, error))
    return FALSE;
  /* What belongs to them goes with them: the tables refer to each other so. */
  if (!execute (db, "DELETE FROM run WHERE run = ?1", run, error)
      || !execute (
          db, "DELETE FROM corpus WHERE corpus = ?1 AND corpus NOT IN (SELECT corpus FROM run)",
          corpus, error))
    return FALSE;
  removed->corpus = sqlite3_changes (ms_db_handle (db)) > 0;
  if (!execute (db, "DELETE FROM model WHERE model = ?1 AND model NOT IN (SELECT model FROM run)",
                model, error))
    return FALSE;
  removed->model = sqlite3_changes (ms_db_handle (db)) > 0;
  return TRUE;
}

gboolean
ms_db_remove_run (MsDb *db, gint64 run, MsRemoved *removed, GError **error)
{
  MsRemoved found = { 0 };
  gboolean good = ms_db_exec (db, "BEGIN IMMEDIATE", what, error);

  if (good)
    {
      good = remove_rows (db, run, &found, error) && ms_db_exec (db, "COMMIT", what, error);
      if (!good)
        sqlite3_exec (ms_db_handle (db), "ROLLBACK", NULL, NULL, NULL);
      ms_db_unlock_run (db, run);
    }
  if (good && removed != NULL)
    *removed = found;
  else
    g_free (found.name);
  return good;
}

gboolean
ms_db_remove_empty_runs (MsDb *db, GError **error)
{
  g_autoptr (GArray) runs = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db,
                       "SELECT run FROM run WHERE finished IS NULL AND NOT EXISTS "
                       "(SELECT 1 FROM chunk WHERE chunk.run = run.run)",
                       what, error);
  int code;

  if (statement == NULL)
    return FALSE;
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      gint64 run = sqlite3_column_int64 (statement, 0);

      g_array_append_val (runs, run);
    }
  if (code != SQLITE_DONE)
    return ms_db_fail (db, code, what, error);
  for (guint i = 0; i < runs->len; i++)
    {
      gint64 run = g_array_index (runs, gint64, i);
      MsRemoved removed = { 0 };
      gboolean good = TRUE;

      if (!ms_db_try_lock_run (db, run))
        continue;
      good = remove_rows (db, run, &removed, error);
      ms_db_unlock_run (db, run);
      g_free (removed.name);
      if (!good)
        return FALSE;
    }
  return TRUE;
}
