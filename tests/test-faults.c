/* What must not die is the file: every write and sync is made to fail in turn, a writer is killed, and each
 * time the file opens, is whole and holds every committed block. */
#include "db.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_TOKENS (3 * MS_BLOCK_TOKENS + 100)
#define N_BLOCKS 4
#define K        2
#define EXPERTS  16

/* --- A file system that fails the N-th operation -------------------------------------------- */

typedef struct
{
  sqlite3_file base;
  sqlite3_file *real; /* behind this struct */
} File;

static sqlite3_vfs *real_vfs;
static int left;       /* operations until the failure, -1 = never */
static int failure;    /* SQLITE_IOERR_WRITE or SQLITE_FULL */
static gboolean stays; /* all later operations fail too */
static gboolean kills; /* instead of failing, the program dies there */
static guint n_failed;

static gboolean
fails (void)
{
  if (left > 0)
    left--;
  if (left != 0)
    return FALSE;
  if (kills)
    kill (getpid (), SIGKILL);
  if (!stays)
    left = -1;
  n_failed++;
  return TRUE;
}

#define REAL(file) (((File *) (file))->real)

static int
faulty_close (sqlite3_file *file)
{
  return REAL (file)->pMethods->xClose (REAL (file));
}

static int
faulty_read (sqlite3_file *file, void *to, int n, sqlite3_int64 offset)
{
  return REAL (file)->pMethods->xRead (REAL (file), to, n, offset);
}

static int
faulty_write (sqlite3_file *file, const void *from, int n, sqlite3_int64 offset)
{
  return fails () ? failure : REAL (file)->pMethods->xWrite (REAL (file), from, n, offset);
}

static int
faulty_truncate (sqlite3_file *file, sqlite3_int64 size)
{
  return fails () ? SQLITE_IOERR_TRUNCATE : REAL (file)->pMethods->xTruncate (REAL (file), size);
}

static int
faulty_sync (sqlite3_file *file, int flags)
{
  return fails () ? SQLITE_IOERR_FSYNC : REAL (file)->pMethods->xSync (REAL (file), flags);
}

static int
faulty_size (sqlite3_file *file, sqlite3_int64 *size)
{
  return REAL (file)->pMethods->xFileSize (REAL (file), size);
}

static int
faulty_lock (sqlite3_file *file, int lock)
{
  return REAL (file)->pMethods->xLock (REAL (file), lock);
}

static int
faulty_unlock (sqlite3_file *file, int lock)
{
  return REAL (file)->pMethods->xUnlock (REAL (file), lock);
}

static int
faulty_reserved (sqlite3_file *file, int *result)
{
  return REAL (file)->pMethods->xCheckReservedLock (REAL (file), result);
}

static int
faulty_control (sqlite3_file *file, int op, void *argument)
{
  return REAL (file)->pMethods->xFileControl (REAL (file), op, argument);
}

static int
faulty_sector (sqlite3_file *file)
{
  return REAL (file)->pMethods->xSectorSize (REAL (file));
}

static int
faulty_characteristics (sqlite3_file *file)
{
  return REAL (file)->pMethods->xDeviceCharacteristics (REAL (file));
}

static int
faulty_shm_map (sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
  return REAL (file)->pMethods->xShmMap (REAL (file), page, size, extend, memory);
}

static int
faulty_shm_lock (sqlite3_file *file, int offset, int n, int flags)
{
  return REAL (file)->pMethods->xShmLock (REAL (file), offset, n, flags);
}

static void
faulty_shm_barrier (sqlite3_file *file)
{
  REAL (file)->pMethods->xShmBarrier (REAL (file));
}

static int
faulty_shm_unmap (sqlite3_file *file, int delete)
{
  return REAL (file)->pMethods->xShmUnmap (REAL (file), delete);
}

static const sqlite3_io_methods faulty_methods = {
  .iVersion = 2,
  .xClose = faulty_close,
  .xRead = faulty_read,
  .xWrite = faulty_write,
  .xTruncate = faulty_truncate,
  .xSync = faulty_sync,
  .xFileSize = faulty_size,
  .xLock = faulty_lock,
  .xUnlock = faulty_unlock,
  .xCheckReservedLock = faulty_reserved,
  .xFileControl = faulty_control,
  .xSectorSize = faulty_sector,
  .xDeviceCharacteristics = faulty_characteristics,
  .xShmMap = faulty_shm_map,
  .xShmLock = faulty_shm_lock,
  .xShmBarrier = faulty_shm_barrier,
  .xShmUnmap = faulty_shm_unmap,
};

static int
faulty_open (sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
  int code;

  (void) vfs;
  REAL (file) = (sqlite3_file *) ((File *) file + 1);
  code = real_vfs->xOpen (real_vfs, name, REAL (file), flags, out);
  file->pMethods = REAL (file)->pMethods != NULL ? &faulty_methods : NULL;
  return code;
}

static void
use_faulty_vfs (void)
{
  static sqlite3_vfs vfs;

  real_vfs = sqlite3_vfs_find (NULL);
  vfs = *real_vfs;
  vfs.zName = "faulty";
  vfs.szOsFile = (int) sizeof (File) + real_vfs->szOsFile;
  vfs.xOpen = faulty_open;
  sqlite3_vfs_register (&vfs, 1);
  left = -1;
}

/* --- A run ---------------------------------------------------------------------------------- */

/* Writes the run from where it stands to its end; *committed is how many blocks are surely there. */
static gboolean
record (const char *path, guint *committed, GError **error)
{
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_CREATE, error);
  g_autoptr (MsWriter) writer = NULL;
  g_autofree gint32 *ids = g_new0 (gint32, N_TOKENS);
  g_autofree guint16 *experts = g_new (guint16, MS_BLOCK_TOKENS * K);
  g_autofree float *weights = g_new (float, MS_BLOCK_TOKENS *K);
  MsLayer layers[2] = { MS_PLAIN_LAYER (0, EXPERTS, K), MS_PLAIN_LAYER (1, EXPERTS, K) };
  MsModel model = { .name = (char *) "m",
                    .architecture = (char *) "test",
                    .n_blocks = 2,
                    .n_layers = 2,
                    .layers = layers };
  MsDocument document = { .name = (char *) "d", .n_tokens = N_TOKENS };
  MsCorpus corpus
      = { .name = (char *) "c", .n_tokens = N_TOKENS, .n_documents = 1, .documents = &document };
  MsRun run = { .name = (char *) "r",
                .started = (char *) "2026-01-01T00:00:00Z",
                .precision = (char *) "test",
                .collector = (char *) "test" };

  for (guint i = 0; i < MS_BLOCK_TOKENS * K; i++)
    {
      experts[i] = (guint16) ((i / K * 7 + i % K) % EXPERTS);
      weights[i] = 0.5f;
    }
  if (db == NULL)
    return FALSE;
  writer = ms_writer_new (db, &model, &corpus, ids, &run, NULL, NULL, error);
  if (writer == NULL)
    return FALSE;
  g_assert_cmpuint (ms_writer_next_block (writer), >=, *committed);
  while (ms_writer_next_block (writer) < N_BLOCKS)
    {
      MsDecisions block = { .experts = experts, .weights = weights };
      const MsDecisions blocks[2] = { block, block };

      if (!ms_writer_put_block (writer, blocks, NULL, NULL, error))
        return FALSE;
      *committed = ms_writer_next_block (writer);
    }
  return ms_writer_finish (writer, error);
}

static void
report (gboolean bad, const char *finding, gpointer data)
{
  (void) data;
  if (bad)
    g_test_message ("%s", finding);
}

/* The file is whole and holds at least `committed` blocks. */
static void
assert_whole (const char *path, guint committed)
{
  GError *error = NULL;
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_READ, &error);
  g_autoptr (GPtrArray) runs = NULL;
  guint n_bad;

  if (committed == 0 && db == NULL) /* not even the tables were there */
    {
      g_assert_true (g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_NOT_OURS)
                     || g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_IO));
      g_clear_error (&error);
      return;
    }
  g_assert_no_error (error);
  ms_db_check (db, report, NULL, &n_bad, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (n_bad, ==, 0);
  runs = ms_db_list_runs (db, &error);
  g_assert_no_error (error);
  if (committed > 0)
    g_assert_cmpint (((MsRun *) runs->pdata[0])->n_tokens, >=,
                     MIN (committed * MS_BLOCK_TOKENS, N_TOKENS));
}

static char *
fresh_path (void)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-faults-XXXXXX", NULL);

  return g_build_filename (folder, "run.db", NULL);
}

static void
clear_path (char *path, gboolean folder_too)
{
  static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
  g_autofree char *folder = g_path_get_dirname (path);

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *name = g_strconcat (path, suffixes[i], NULL);

      g_remove (name);
    }
  if (!folder_too)
    return;
  g_rmdir (folder);
  g_free (path);
}

/* Fails operation 1, 2, ... until the recording passes without meeting the failure. */
static void
fail_each (int code, gboolean all_later)
{
  char *path = fresh_path ();
  guint n = 0, committed;

  failure = code;
  stays = all_later;
  do
    {
      g_autoptr (GError) error = NULL;
      gboolean good;

      clear_path (path, FALSE);
      committed = 0;
      n_failed = 0;
      left = (int) ++n;
      good = record (path, &committed, &error);
      left = -1;
      g_assert_true (good || error != NULL);
      assert_whole (path, good ? N_BLOCKS : committed);
      if (!good && n % 5 == 0)
        {
          /* What failed goes on where it stopped. */
          GError *again = NULL;

          record (path, &committed, &again);
          g_assert_no_error (again);
          assert_whole (path, N_BLOCKS);
        }
    }
  while (n_failed > 0);
  g_test_message ("%u operations failed in turn", n - 1);
  clear_path (path, TRUE);
}

static void
test_write_error (void)
{
  fail_each (SQLITE_IOERR_WRITE, FALSE);
}

static void
test_disk_full (void)
{
  fail_each (SQLITE_FULL, TRUE);
}

/* kill -9 at any moment: the run goes on after the last committed block. */
static void
test_kill (void)
{
  guint64 state = 11;

  for (int round = 0; round < 20; round++)
    {
      char *path = fresh_path ();
      g_autoptr (GError) error = NULL;
      guint committed = 0;
      pid_t child = fork ();

      if (child == 0)
        {
          record (path, &committed, NULL);
          _exit (0);
        }
      g_usleep (500 + ms_random_below (&state, 60000));
      kill (child, SIGKILL);
      waitpid (child, NULL, 0);
      assert_whole (path, 0);
      record (path, &committed, &error);
      g_assert_no_error (error);
      assert_whole (path, N_BLOCKS);
      clear_path (path, TRUE);
    }
}

/* Runs `work` on the file at `path`, made anew by `make`, in a program that dies before its 1st, 2nd, ... write
 * or sync, until it lives; `look` sees each file that is left. */
static void
kill_each (void (*make) (const char *path), void (*work) (const char *path),
           void (*look) (const char *path, gboolean done))
{
  char *path = fresh_path ();
  gboolean lives = FALSE;
  guint n = 0;

  while (!lives)
    {
      pid_t child;
      int status;

      clear_path (path, FALSE);
      make (path);
      n++;
      child = fork ();
      if (child == 0)
        {
          kills = TRUE;
          left = (int) n;
          work (path);
          _exit (0);
        }
      g_assert_cmpint (waitpid (child, &status, 0), ==, child);
      lives = WIFEXITED (status);
      g_assert_true (lives || WTERMSIG (status) == SIGKILL);
      look (path, lives);
    }
  g_assert_cmpuint (n, >, 5);
  g_test_message ("killed at %u operations", n - 1);
  clear_path (path, TRUE);
}

static void
make_two_runs (const char *path)
{
  guint committed = 0;

  for (guint i = 0; i < 2; i++)
    {
      g_assert_true (record (path, &committed, NULL));
      committed = 0;
    }
}

static void
remove_second (const char *path)
{
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_WRITE, NULL);

  if (!ms_db_remove_run (db, 2, NULL, NULL))
    abort ();
}

/* The run is there with all it had or not at all, and the other one is whole. */
static void
look_at_removal (const char *path, gboolean done)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (GPtrArray) runs = NULL;

  assert_whole (path, N_BLOCKS);
  db = ms_db_open (path, MS_DB_READ, &error);
  runs = ms_db_list_runs (db, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (runs->len, <=, done ? 1 : 2);
  for (guint i = 0; i < runs->len; i++)
    g_assert_cmpint (((MsRun *) runs->pdata[i])->n_tokens, ==, N_TOKENS);
}

static void
test_kill_removal (void)
{
  kill_each (make_two_runs, remove_second, look_at_removal);
}

static void
copy_first_format (const char *path)
{
  g_autofree char *from
      = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests/data/format-1.db", NULL);
  g_autofree char *bytes = NULL;
  gsize n;

  g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
  g_assert_true (g_file_set_contents (path, bytes, (gssize) n, NULL));
}

static void
migrate (const char *path)
{
  ms_db_close (ms_db_open (path, MS_DB_WRITE, NULL));
}

/* A file of one format or the other, with the same run; the next writer brings it over. */
static void
look_at_migration (const char *path, gboolean done)
{
  for (guint mode = MS_DB_READ; mode <= MS_DB_WRITE; mode++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (MsDb) db = ms_db_open (path, (MsDbMode) mode, &error);
      g_autoptr (MsRun) run = NULL;
      guint n_bad;

      g_assert_no_error (error);
      run = ms_db_load_run (db, 1, &error);
      g_assert_no_error (error);
      g_assert_cmpint (run->n_tokens, ==, 7);
      ms_db_check (db, report, NULL, &n_bad, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (n_bad, ==, 0);
    }
  (void) done;
}

static void
test_kill_migration (void)
{
  kill_each (copy_first_format, migrate, look_at_migration);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  use_faulty_vfs ();
  g_test_add_func ("/faults/kill", test_kill);
  g_test_add_func ("/faults/kill-removal", test_kill_removal);
  g_test_add_func ("/faults/kill-migration", test_kill_migration);
  g_test_add_func ("/faults/write-error", test_write_error);
  g_test_add_func ("/faults/disk-full", test_disk_full);
  return g_test_run ();
}
