/* Whether a path still means the file that it meant. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define MS_TYPE_FILE_WATCH (ms_file_watch_get_type ())
G_DECLARE_FINAL_TYPE (MsFileWatch, ms_file_watch, MS, FILE_WATCH, GObject)

/* Signal "changed": the path means no file any more, or another one than before.  That the file itself was
 * written to is not told. */
MsFileWatch *ms_file_watch_new (const char *path);
gboolean ms_file_watch_is_gone (MsFileWatch *watch);

G_END_DECLS
