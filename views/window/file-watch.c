/* MsFileWatch knows a file by its device and inode.  Programs that write a file anew take it away first, so
 * it looks only when nothing has happened to the path for a moment. */
#include "file-watch-private.h"

#include <glib/gstdio.h>

#define LOOK_AFTER_MS 500

struct _MsFileWatch
{
  GObject parent_instance;
  char *path;
  GFileMonitor *monitor; /* NULL where files cannot be watched */
  guint timer;
  dev_t device;
  ino_t inode;
  gboolean gone;
};

G_DEFINE_FINAL_TYPE (MsFileWatch, ms_file_watch, G_TYPE_OBJECT)

static guint changed_signal;

/* Looks at what the path means; TRUE when it is not what it was. */
static gboolean
look (MsFileWatch *self)
{
  GStatBuf now;
  gboolean gone = g_stat (self->path, &now) != 0;
  gboolean same = gone ? self->gone : now.st_dev == self->device && now.st_ino == self->inode;

  self->gone = gone;
  if (!gone)
    {
      self->device = now.st_dev;
      self->inode = now.st_ino;
    }
  return !same;
}

static gboolean
look_again (gpointer data)
{
  g_autoptr (MsFileWatch) self = g_object_ref (data); /* who hears of it may let go of it */

  self->timer = 0;
  if (look (self))
    g_signal_emit (self, changed_signal, 0);
  return G_SOURCE_REMOVE;
}

static void
on_monitor_changed (MsFileWatch *self)
{
  if (self->timer == 0)
    self->timer = g_timeout_add (LOOK_AFTER_MS, look_again, self);
}

static void
finalize (GObject *object)
{
  MsFileWatch *self = MS_FILE_WATCH (object);

  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->monitor != NULL)
    g_file_monitor_cancel (self->monitor);
  g_clear_object (&self->monitor);
  g_free (self->path);
  G_OBJECT_CLASS (ms_file_watch_parent_class)->finalize (object);
}

static void
ms_file_watch_class_init (MsFileWatchClass *class)
{
  G_OBJECT_CLASS (class)->finalize = finalize;
  changed_signal = g_signal_new ("changed", MS_TYPE_FILE_WATCH, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
}

static void
ms_file_watch_init (MsFileWatch *self)
{
}

MsFileWatch *
ms_file_watch_new (const char *path)
{
  MsFileWatch *self = g_object_new (MS_TYPE_FILE_WATCH, NULL);
  g_autoptr (GFile) file = g_file_new_for_path (path);

  self->path = g_strdup (path);
  look (self);
  self->monitor = g_file_monitor_file (file, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);
  if (self->monitor != NULL)
    g_signal_connect_object (self->monitor, "changed", G_CALLBACK (on_monitor_changed), self,
                             G_CONNECT_SWAPPED);
  return self;
}

gboolean
ms_file_watch_is_gone (MsFileWatch *self)
{
  return self->gone;
}
