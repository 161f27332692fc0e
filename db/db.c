/* The connection: opening a file only after it is known to be ours, making a new one, errors.
 *
 * A reader never changes the file, an older version (migrate.c) included, except that a journal left by a crash is rolled back. */
#include "db-private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

G_DEFINE_QUARK (ms_db_error, ms_db_error)

#define HEADER_BYTES 100 /* of an SQLite file, with the application id at 68 */
#define BUSY_MS      5000

struct MsDb
{
  sqlite3 *handle;
  char *path;
  gboolean is_open; /* past the checks of ms_db_open: `moescope check` can read it too */
  int lock;         /* descriptor of lock.c */
};

const char *
ms_db_path (MsDb *db)
{
  return db->path;
}

sqlite3 *
ms_db_handle (MsDb *db)
{
  return db->handle;
}

int *
ms_db_lock_descriptor (MsDb *db)
{
  return &db->lock;
}

void
ms_db_close (MsDb *db)
{
  if (db == NULL)
    return;
  sqlite3_close_v2 (db->handle);
  ms_db_lock_closed (db->lock);
  g_free (db->path);
  g_free (db);
}

char *
ms_db_words (sqlite3 *handle)
{
  return g_utf8_make_valid (sqlite3_errmsg (handle), -1);
}

gboolean
ms_db_fail (MsDb *db, int code, const char *what, GError **error)
{
  g_autofree char *words
      = db->handle != NULL ? ms_db_words (db->handle) : g_strdup (sqlite3_errstr (code));
  const char *advice = db->is_open ? "`moescope check` tells where"
                                   : "use a copy of it, or collect or import anew";

  switch (code & 0xff)
    {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BUSY,
                   "%s: %s is in use by another program; close it there and try again", what,
                   db->path);
      break;
    case SQLITE_NOTADB:
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_OURS, "%s: %s is no moescope file", what,
                   db->path);
      break;
    case SQLITE_CORRUPT:
    case SQLITE_FORMAT:
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT, "%s: %s is damaged (%s); %s", what,
                   db->path, words, advice);
      break;
    case SQLITE_FULL:
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_IO,
                   "%s: no space left for %s; free some and repeat the command", what, db->path);
      break;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_IO,
                   "%s: cannot read or write %s (%s); check the disk and the permissions of the "
                   "file and its folder",
                   what, db->path, words);
      break;
    case SQLITE_INTERRUPT:
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s: stopped", what);
      break;
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE, "%s: %s", what, words);
      break;
    case SQLITE_NOMEM: /* also what SQLite says of a record that claims to be huge */
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
                   "%s: SQLite has not enough memory for what is in %s: the file is damaged, or "
                   "memory is short; %s",
                   what, db->path, advice);
      break;
    default:
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_SQL, "%s: %s", what, words);
    }
  return FALSE;
}

sqlite3_stmt *
ms_db_prepare (MsDb *db, const char *sql, const char *what, GError **error)
{
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2 (db->handle, sql, -1, &statement, NULL);

  if (code == SQLITE_OK)
    return statement;
  /* Our own statements are right: what they miss, the file has lost. */
  if (code == SQLITE_ERROR)
    {
      g_autofree char *words = ms_db_words (db->handle);

      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
                   "%s: %s is damaged (%s); `moescope check` tells where", what, db->path, words);
    }
  else
    ms_db_fail (db, code, what, error);
  return NULL;
}

gboolean
ms_db_exec (MsDb *db, const char *sql, const char *what, GError **error)
{
  int code = sqlite3_exec (db->handle, sql, NULL, NULL, NULL);

  return code == SQLITE_OK || ms_db_fail (db, code, what, error);
}

gboolean
ms_db_integer (MsDb *db, const char *sql, gint64 argument, gint64 *value, GError **error)
{
  g_autoptr (sqlite3_stmt) statement = ms_db_prepare (db, sql, "reading", error);
  int code;

  if (statement == NULL)
    return FALSE;
  if (sqlite3_bind_parameter_count (statement) > 0)
    sqlite3_bind_int64 (statement, 1, argument);
  code = sqlite3_step (statement);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    return ms_db_fail (db, code, "reading", error);
  *value = code == SQLITE_ROW ? sqlite3_column_int64 (statement, 0) : 0;
  return TRUE;
}

char *
ms_db_text (sqlite3_stmt *statement, int column)
{
  const char *text = (const char *) sqlite3_column_text (statement, column);

  return text == NULL ? NULL : g_utf8_make_valid (text, -1);
}

guint
ms_block_tokens (gint64 n_tokens, gint64 block)
{
  if (block < 0 || block > n_tokens / MS_BLOCK_TOKENS)
    return 0;
  return (guint) MIN (n_tokens - block * MS_BLOCK_TOKENS, MS_BLOCK_TOKENS);
}

/* The first n bytes of the file; fewer are filled up with zeros.  SQLite opens and closes it, since closing it
 * ourselves would drop the locks that another connection of this process holds. */
static gboolean
read_header (const char *path, guint8 *header, int n, GError **error)
{
  sqlite3 *handle = NULL;
  sqlite3_file *file = NULL;
  int code = sqlite3_open_v2 (path, &handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
  int failure = code == SQLITE_OK ? 0 : sqlite3_system_errno (handle);

  memset (header, 0, (gsize) n);
  if (code == SQLITE_OK)
    code = sqlite3_file_control (handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (code == SQLITE_OK)
    {
      code = file->pMethods->xRead (file, header, n, 0);
      failure = code != SQLITE_OK ? errno : 0;
    }
  sqlite3_close (handle);
  if (code == SQLITE_OK || code == SQLITE_IOERR_SHORT_READ)
    return TRUE;
  g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_IO, "cannot read %s: %s", path,
               failure != 0 ? g_strerror (failure) : sqlite3_errstr (code));
  return FALSE;
}

/* Looks at the first bytes, so that nobody else's file is opened for writing. */
static gboolean
inspect (const char *path, MsDbMode mode, GError **error)
{
  guint8 header[HEADER_BYTES];
  struct stat status;

  if (stat (path, &status) != 0)
    {
      if (errno == ENOENT && mode == MS_DB_CREATE)
        return TRUE;
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_IO, "cannot open %s: %s", path,
                   g_strerror (errno));
      return FALSE;
    }
  /* Opening a pipe waits for its other end. */
  if (!S_ISREG (status.st_mode))
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_IO,
                   S_ISDIR (status.st_mode)
                       ? "cannot open %s: it is a folder"
                       : "%s is a pipe or a device: a database has to be a file",
                   path);
      return FALSE;
    }
  if (status.st_size == 0 && mode == MS_DB_CREATE)
    return TRUE;
  if (!read_header (path, header, sizeof header, error))
    return FALSE;
  if (status.st_size == 0)
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_OURS, "%s is empty", path);
  else if (memcmp (header, "SQLite format 3", 16) != 0)
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_OURS,
                 "%s is no moescope file (not an SQLite database)", path);
  else if (((guint32) header[68] << 24 | (guint32) header[69] << 16 | (guint32) header[70] << 8
            | header[71])
           != MS_APPLICATION_ID)
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_OURS,
                 "%s is an SQLite database of another program; it is left as it is", path);
  else
    return TRUE;
  return FALSE;
}

static gboolean
create_schema (MsDb *db, GError **error)
{
  g_autofree char *tables = ms_db_schema ();
  g_autofree char *sql = g_strdup_printf ("%s\nPRAGMA application_id = %d;\n"
                                          "PRAGMA user_version = %d;\n"
                                          "COMMIT;",
                                          tables, MS_APPLICATION_ID, MS_SCHEMA_VERSION);
  gint64 version;

  if (!ms_db_exec (db, "PRAGMA page_size = 16384; BEGIN IMMEDIATE", "making the file", error)
      || !ms_db_integer (db, "PRAGMA user_version", 0, &version, error))
    return FALSE;
  if (version != 0) /* somebody was faster */
    return ms_db_exec (db, "ROLLBACK", "making the file", error);
  if (ms_db_exec (db, sql, "making the file", error))
    return TRUE;
  sqlite3_exec (db->handle, "ROLLBACK", NULL, NULL, NULL);
  return FALSE;
}

static gboolean
connect (MsDb *db, MsDbMode mode, GError **error)
{
  int flags = SQLITE_OPEN_NOMUTEX;
  int code;

  flags |= mode == MS_DB_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  flags |= mode == MS_DB_CREATE ? SQLITE_OPEN_CREATE : 0;
  code = sqlite3_open_v2 (db->path, &db->handle, flags, NULL);
  if (code != SQLITE_OK)
    return ms_db_fail (db, code, "opening", error);
  sqlite3_extended_result_codes (db->handle, 1);
  sqlite3_busy_timeout (db->handle, BUSY_MS);
  sqlite3_db_config (db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config (db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config (db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
  sqlite3_db_config (db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
  return ms_db_exec (
      db,
      "PRAGMA secure_delete = OFF; PRAGMA cell_size_check = ON;"
      "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
      "SELECT count(*) FROM sqlite_schema",
      "opening", error);
}

/* A crash may have left a journal that a reader must not roll back: a writer does it once. */
static gboolean
recover (MsDb *db, GError **error)
{
  sqlite3_close (db->handle);
  db->handle = NULL;
  if (!connect (db, MS_DB_WRITE, error))
    return FALSE;
  sqlite3_close (db->handle);
  db->handle = NULL;
  return connect (db, MS_DB_READ, error);
}

MsDb *
ms_db_open (const char *path, MsDbMode mode, GError **error)
{
  g_autoptr (MsDb) db = g_new0 (MsDb, 1);
  g_autoptr (GError) failure = NULL;
  gint64 application, version, tables;

  db->path = g_strdup (path);
  db->lock = -1;
  ms_db_lock_opened ();
  if (!inspect (path, mode, error))
    return NULL;
  if (!connect (db, mode, &failure))
    {
      if (sqlite3_extended_errcode (db->handle) != SQLITE_READONLY_ROLLBACK)
        {
          g_propagate_error (error, g_steal_pointer (&failure));
          return NULL;
        }
      if (!recover (db, error))
        return NULL;
    }
  if (!ms_db_integer (db, "PRAGMA application_id", 0, &application, error)
      || !ms_db_integer (db, "PRAGMA user_version", 0, &version, error)
      || !ms_db_integer (db, "SELECT count(*) FROM sqlite_schema", 0, &tables, error))
    return NULL;
  if (application == 0 && version == 0 && tables == 0 && mode == MS_DB_CREATE)
    return create_schema (db, error) ? g_steal_pointer (&db) : NULL;
  if (application != MS_APPLICATION_ID)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_OURS, "%s is no moescope file", path);
      return NULL;
    }
  if (version > MS_SCHEMA_VERSION)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_TOO_NEW,
                   "%s was written by a newer moescope (format %" G_GINT64_FORMAT
                   ", this one reads up to %d); update moescope",
                   path, version, MS_SCHEMA_VERSION);
      return NULL;
    }
  if (version < 1)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
                   "%s is damaged: its format version is %" G_GINT64_FORMAT, path, version);
      return NULL;
    }
  db->is_open = TRUE;
  if (!ms_db_check_schema (db, version, error)
      || (version == 1 && !(mode == MS_DB_READ ? ms_db_show_as_new : ms_db_migrate) (db, error)))
    return NULL;
  return g_steal_pointer (&db);
}
