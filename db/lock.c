/* One writer per run, over all programs: who writes run N of a file holds a write lock on byte 2^62 + N of it,
 * far behind all that SQLite reads, writes or locks.  The lock belongs to the descriptor (F_OFD_SETLK), so it
 * ends with the program that holds it, however that ends.
 *
 * What must hold: SQLite's own locks belong to the process, and POSIX drops them when the process closes *any*
 * descriptor of the file.  So a descriptor is closed only when no connection of this process is open. */
#include "db-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FIRST_BYTE ((gint64) 1 << 62)

static GMutex mutex;
static guint n_open;  /* connections of this process */
static GArray *waits; /* of int: descriptors to be closed */

void
ms_db_lock_opened (void)
{
  g_mutex_lock (&mutex);
  n_open++;
  g_mutex_unlock (&mutex);
}

void
ms_db_lock_closed (int descriptor)
{
  g_mutex_lock (&mutex);
  if (waits == NULL)
    waits = g_array_new (FALSE, FALSE, sizeof (int));
  if (descriptor >= 0)
    g_array_append_val (waits, descriptor);
  n_open--;
  if (n_open == 0)
    {
      for (guint i = 0; i < waits->len; i++)
        close (g_array_index (waits, int, i));
      g_clear_pointer (&waits, g_array_unref);
    }
  g_mutex_unlock (&mutex);
}

/* FALSE when another descriptor holds the lock. */
static gboolean
set_lock (int descriptor, gint64 run, short type)
{
  struct flock lock = { .l_type = type,
                        .l_whence = SEEK_SET,
                        .l_start = FIRST_BYTE + (run & (FIRST_BYTE - 1)),
                        .l_len = 1 };

  if (fcntl (descriptor, F_OFD_SETLK, &lock) == 0)
    return TRUE;
  /* A file system without locks has none for SQLite either. */
  return errno != EAGAIN && errno != EACCES;
}

gboolean
ms_db_try_lock_run (MsDb *db, gint64 run)
{
  int *descriptor = ms_db_lock_descriptor (db);

  if (*descriptor < 0)
    *descriptor = open (ms_db_path (db), O_RDWR | O_CLOEXEC);
  return *descriptor < 0 || set_lock (*descriptor, run, F_WRLCK);
}

void
ms_db_unlock_run (MsDb *db, gint64 run)
{
  int descriptor = *ms_db_lock_descriptor (db);

  if (descriptor >= 0)
    set_lock (descriptor, run, F_UNLCK);
}

gboolean
ms_db_lock_run (MsDb *db, gint64 run, GError **error)
{
  if (ms_db_try_lock_run (db, run))
    return TRUE;
  g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BUSY,
               "run %" G_GINT64_FORMAT
               " of %s is being written by another program: wait until that "
               "has ended, stop it, or write to another file",
               run, ms_db_path (db));
  return FALSE;
}
