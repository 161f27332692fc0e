/* Slices: selections with a name, kept for each file. */
#pragma once

#include "palette-private.h"
#include "window-private.h"

G_BEGIN_DECLS

/* The names of a file's slices in the order they were saved. (transfer full) */
GStrv ms_slices_list (const char *path);
/* The selection behind a name, as `--select` takes it; NULL when there is none. (transfer full) */
char *ms_slices_get (const char *path, const char *name);
/* Saves a selection under a name; what had that name before is replaced. */
gboolean ms_slices_put (const char *path, const char *name, const char *select, GError **error);
void ms_slices_remove (const char *path, const char *name);

/* Gives the window the actions save-slice, slice(s) and forget-slice(s) for its file. */
void ms_slices_install (MsWindow *window);
/* A button whose menu saves, lists and forgets slices. */
GtkWidget *ms_slices_button_new (MsWorkbench *bench);
/* The slices as commands. */
void ms_slices_add_commands (MsWorkbench *bench, MsPalette *palette);

G_END_DECLS
