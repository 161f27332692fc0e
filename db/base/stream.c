/* Files that take another's place only when they are whole.
 *
 * GIO writes beside an existing file and renames, but a new file it writes in place: a part of that is
 * removed here. */
#include "base.h"

#include <glib/gstdio.h>

#define PATH   "moescope-path"
#define IS_NEW "moescope-new"

GOutputStream *
ms_stream_replace (const char *path, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_commandline_arg (path);
  gboolean is_new = !g_file_query_exists (file, NULL);
  GFileOutputStream *stream
      = g_file_replace (file, NULL, FALSE, G_FILE_CREATE_REPLACE_DESTINATION, NULL, error);

  if (stream == NULL)
    return NULL;
  g_object_set_data_full (G_OBJECT (stream), PATH, g_file_get_path (file), g_free);
  g_object_set_data (G_OBJECT (stream), IS_NEW, GINT_TO_POINTER (is_new));
  return G_OUTPUT_STREAM (stream);
}

gboolean
ms_stream_close (GOutputStream *stream, gboolean whole, GError **error)
{
  const char *path = g_object_get_data (G_OBJECT (stream), PATH);
  g_autoptr (GCancellable) give_up = g_cancellable_new ();

  if (whole && g_output_stream_close (stream, NULL, error))
    return TRUE;
  /* Closed without this, even by the last unref, the part would take the place of the old file. */
  g_cancellable_cancel (give_up);
  g_output_stream_close (stream, give_up, NULL);
  if (path != NULL && g_object_get_data (G_OBJECT (stream), IS_NEW) != NULL)
    g_unlink (path);
  if (path != NULL && error != NULL && *error != NULL)
    g_prefix_error (error, "%s: ", path);
  return FALSE;
}
