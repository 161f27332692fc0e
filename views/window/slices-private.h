/* Slices: selections with a name, kept for each file. */
#pragma once

#include "palette-private.h"
#include "window-private.h"

G_BEGIN_DECLS

/* Gives the window the actions save-slice, slice(s) and forget-slice(s) for its file. */
void ms_slices_install (MsWindow *window);
/* A button whose menu saves, lists and forgets slices. */
GtkWidget *ms_slices_button_new (MsWorkbench *bench);
/* The slices as commands. */
void ms_slices_add_commands (MsWorkbench *bench, MsPalette *palette);

G_END_DECLS
