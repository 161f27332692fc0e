/* Files that take another's place only when they are whole.
 *
 * What is written goes to a new file in the same folder, which is renamed over `path` when it is closed
 * whole: after a failure, a full disk or a kill the old file is there as it was, and no part of the new
 * one stands under its name.  The new file keeps the permissions of the old one; through a symbolic link
 * the file behind it is replaced, not the link.  A database is never replaced, a model only by a model:
 * whoever names one as an output of something else has swapped two words of the command line. */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixoutputstream.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FINAL_PATH "moescope-final-path" /* where the file belongs, symbolic links resolved */
#define PART_PATH  "moescope-part-path"  /* where it is written */

static GMutex parts_lock;
static GPtrArray *parts; /* of char*: paths of the parts that are being written; under the lock */

static void
remember_part (const char *part)
{
  g_mutex_lock (&parts_lock);
  if (parts == NULL)
    parts = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (parts, g_strdup (part));
  g_mutex_unlock (&parts_lock);
}

static void
forget_part (const char *part)
{
  guint index;

  g_mutex_lock (&parts_lock);
  if (parts != NULL && g_ptr_array_find_with_equal_func (parts, part, g_str_equal, &index))
    g_ptr_array_remove_index_fast (parts, index);
  g_mutex_unlock (&parts_lock);
}

void
ms_streams_abandon (void)
{
  g_mutex_lock (&parts_lock); /* and for good */
  for (guint i = 0; parts != NULL && i < parts->len; i++)
    g_unlink (parts->pdata[i]);
}

static gboolean
fail (GError **error, int code, const char *what, const char *path)
{
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s %s: %s", what, path,
               g_strerror (code));
  return FALSE;
}

static const char model[] = "a GGUF model";

/* What the first bytes of a file say that it is, when it is something that no output may replace. */
static const char *
precious (const char *path)
{
  static const struct
  {
    const char *magic, *what;
  } kinds[] = { { "SQLite format 3", "an SQLite database" }, { "GGUF", model } };
  char bytes[16] = "";
  int descriptor = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  gssize n = descriptor < 0 ? 0 : read (descriptor, bytes, sizeof bytes);

  if (descriptor >= 0)
    close (descriptor);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (n >= (gssize) strlen (kinds[i].magic)
        && memcmp (bytes, kinds[i].magic, strlen (kinds[i].magic)) == 0)
      return kinds[i].what;
  return NULL;
}

/* The stream of a local file; `path` is a path of the file system. */
static GOutputStream *
replace_local (const char *path, gboolean is_model, GError **error)
{
  g_autofree char *resolved = realpath (path, NULL); /* NULL: there is no such file yet */
  const char *final = resolved != NULL ? resolved : path;
  const char *what = resolved != NULL ? precious (final) : NULL;
  g_autofree char *folder = g_path_get_dirname (final), *name = g_path_get_basename (final);
  g_autofree char *part = g_strdup_printf ("%s/.%s.XXXXXX", folder, name);
  struct stat old;
  GOutputStream *stream;
  int descriptor;

  if (what != NULL && !(is_model && what == model))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                   "%s is %s and is not replaced: choose another name for the output", path, what);
      return NULL;
    }
  if (resolved != NULL && access (final, W_OK) != 0)
    {
      fail (error, errno, "cannot write", path);
      return NULL;
    }
  descriptor = g_mkstemp_full (part, O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor < 0)
    {
      fail (error, errno, "cannot write", path);
      return NULL;
    }
  if (resolved != NULL && stat (final, &old) == 0)
    (void) fchmod (descriptor, old.st_mode & 07777);
  stream = g_unix_output_stream_new (descriptor, TRUE);
  g_object_set_data_full (G_OBJECT (stream), FINAL_PATH, g_strdup (final), g_free);
  remember_part (part);
  g_object_set_data_full (G_OBJECT (stream), PART_PATH, g_steal_pointer (&part), g_free);
  return stream;
}

static GOutputStream *
replace (const char *path, gboolean is_model, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_commandline_arg (path);
  g_autofree char *local = g_file_get_path (file);

  if (local != NULL)
    return replace_local (local, is_model, error);
  return G_OUTPUT_STREAM (g_file_replace (file, NULL, FALSE, G_FILE_CREATE_NONE, NULL, error));
}

GOutputStream *
ms_stream_replace (const char *path, GError **error)
{
  return replace (path, FALSE, error);
}

GOutputStream *
ms_stream_replace_model (const char *path, GError **error)
{
  return replace (path, TRUE, error);
}

gboolean
ms_stream_close (GOutputStream *stream, gboolean whole, GError **error)
{
  const char *final = g_object_get_data (G_OBJECT (stream), FINAL_PATH);
  const char *part = g_object_get_data (G_OBJECT (stream), PART_PATH);
  g_autoptr (GCancellable) give_up = g_cancellable_new ();

  if (whole && g_output_stream_close (stream, NULL, error))
    {
      gboolean renamed;

      if (part == NULL)
        return TRUE;
      renamed = g_rename (part, final) == 0;
      forget_part (part);
      if (renamed)
        return TRUE;
      fail (error, errno, "cannot put the new file in place of", final);
      g_unlink (part);
      return FALSE;
    }
  /* Closed without this, even by the last unref, a part would take the place of a file of GIO's. */
  g_cancellable_cancel (give_up);
  g_output_stream_close (stream, give_up, NULL);
  if (part != NULL)
    {
      g_unlink (part);
      forget_part (part);
      if (error != NULL && *error != NULL)
        g_prefix_error (error, "%s: ", final);
    }
  return FALSE;
}

gboolean
ms_file_replace (const char *path, const void *data, gsize size, GError **error)
{
  g_autoptr (GOutputStream) stream = ms_stream_replace (path, error);

  return stream != NULL
         && ms_stream_close (
             stream, g_output_stream_write_all (stream, data, size, NULL, NULL, error), error);
}
