/* What the user keeps beside a database: named texts of one kind ("slices", "report") for each file. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The names kept for a file in their order. (transfer full) */
GStrv ms_kept_list (const char *kind, const char *path);
/* The text behind a name; NULL when there is none. (transfer full) */
char *ms_kept_get (const char *kind, const char *path, const char *name);
/* Keeps a text under a name, as the last; what had that name before is replaced where it stands. */
gboolean ms_kept_put (const char *kind, const char *path, const char *name, const char *text,
                      GError **error);
void ms_kept_remove (const char *kind, const char *path, const char *name);
/* Puts a name before the one that stands before it. */
void ms_kept_raise (const char *kind, const char *path, const char *name);

G_END_DECLS
