/* SQL from people: read-only, one statement at a time, nothing but SELECT, stoppable. */
#include "db-private.h"
#include "vtab-private.h"

#include <string.h>

#define MOST_BYTES    (256 << 20) /* of one value */
#define OPS_PER_CHECK 10000       /* SQLite's steps between looks at the cancellable */

struct MsConsole
{
  MsDb *db;
  GCancellable *cancel; /* of the step under way, borrowed */
};

static int
authorize (void *data, int action, const char *first, const char *second, const char *database,
           const char *trigger)
{
  (void) data;
  (void) first;
  (void) database;
  (void) trigger;
  switch (action)
    {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      return g_strcmp0 (second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default:
      return SQLITE_DENY;
    }
}

static int
is_cancelled (void *data)
{
  return g_cancellable_is_cancelled (((MsConsole *) data)->cancel);
}

MsConsole *
ms_console_new (const char *path, GError **error)
{
  g_autoptr (MsConsole) console = g_new0 (MsConsole, 1);
  sqlite3 *handle;
  int code;

  console->db = ms_db_open (path, MS_DB_READ, error);
  if (console->db == NULL)
    return NULL;
  handle = ms_db_handle (console->db);
  code = ms_vtab_register (handle);
  if (code != SQLITE_OK)
    {
      ms_db_fail (console->db, code, "opening the console", error);
      return NULL;
    }
  /* The first use of an eponymous table asks for writing to the schema, which is refused later on. */
  if (!ms_db_exec (console->db,
                   "SELECT 1 FROM routing WHERE 0; SELECT 1 FROM load WHERE 0; "
                   "SELECT 1 FROM token WHERE 0",
                   "opening the console", error))
    return NULL;
  sqlite3_limit (handle, SQLITE_LIMIT_LENGTH, MOST_BYTES);
  sqlite3_limit (handle, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_progress_handler (handle, OPS_PER_CHECK, is_cancelled, console);
  sqlite3_set_authorizer (handle, authorize, NULL);
  return g_steal_pointer (&console);
}

void
ms_console_free (MsConsole *console)
{
  if (console == NULL)
    return;
  ms_db_close (console->db);
  g_free (console);
}

sqlite3_stmt *
ms_console_prepare (MsConsole *console, const char *sql, int *offset, GError **error)
{
  sqlite3 *handle = ms_db_handle (console->db);
  sqlite3_stmt *statement = NULL, *second = NULL;
  const char *rest;
  int code = sqlite3_prepare_v2 (handle, sql, -1, &statement, &rest);

  if (offset != NULL)
    *offset = -1;
  if (code != SQLITE_OK)
    {
      g_autofree char *said = ms_db_words (handle);
      const char *words = said;

      if (offset != NULL)
        *offset = sqlite3_error_offset (handle);
      if (g_str_has_prefix (words, "not authorized") || g_str_has_prefix (words, "cannot modify"))
        words = "only SELECT is allowed here; use the sqlite3 program to change a file";
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_SQL, "%s", words);
    }
  else if (statement == NULL)
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_SQL, "there is no statement");
  else if (sqlite3_prepare_v2 (handle, rest, -1, &second, NULL) != SQLITE_OK || second != NULL)
    {
      if (offset != NULL)
        *offset = (int) (rest - sql);
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_SQL, "one statement at a time, please");
    }
  else
    return statement;
  sqlite3_finalize (second);
  sqlite3_finalize (statement);
  return NULL;
}

gboolean
ms_console_step (MsConsole *console, sqlite3_stmt *statement, GCancellable *cancel, gboolean *row,
                 GError **error)
{
  int code;

  console->cancel = cancel;
  code = sqlite3_step (statement);
  console->cancel = NULL;
  *row = code == SQLITE_ROW;
  return code == SQLITE_ROW || code == SQLITE_DONE
         || ms_db_fail (console->db, code, "the query", error);
}

char *
ms_console_text (sqlite3_stmt *statement, int column)
{
  char number[MS_NUMBER_SIZE];

  switch (sqlite3_column_type (statement, column))
    {
    case SQLITE_NULL:
      return NULL;
    case SQLITE_FLOAT:
      return g_strdup (ms_number_exact (number, sqlite3_column_double (statement, column)));
    case SQLITE_BLOB:
      return g_strdup_printf ("<%d bytes>", sqlite3_column_bytes (statement, column));
    default:
      return ms_db_text (statement, column);
    }
}
