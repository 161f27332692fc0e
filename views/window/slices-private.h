/* Slices: selections with a name, kept for each file. */
#pragma once

#include "palette-private.h"
#include "workbench-private.h"

G_BEGIN_DECLS

/* Asks for the name of what the session selects, and keeps it for the file. */
void ms_slices_save (GtkWindow *parent, MsWorkbench *bench);
/* Selects or forgets the slice of a name. */
void ms_slices_select (MsWorkbench *bench, const char *name);
void ms_slices_forget (MsWorkbench *bench, const char *name);
/* A button whose menu saves, lists and forgets slices. */
GtkWidget *ms_slices_button_new (MsWorkbench *bench);
/* The slices as commands. */
void ms_slices_add_commands (MsWorkbench *bench, MsPalette *palette);

G_END_DECLS
