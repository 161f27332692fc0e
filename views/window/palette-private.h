/* The command palette: every action by its name. */
#pragma once

#include "action-private.h"

G_BEGIN_DECLS

#define MS_TYPE_PALETTE (ms_palette_get_type ())
G_DECLARE_FINAL_TYPE (MsPalette, ms_palette, MS, PALETTE, AdwWindow)

/* target is the widget that figure.* actions go to; held weakly. */
MsPalette *ms_palette_present (GtkWindow *parent, GtkWidget *target, const MsAction *actions);
/* One more command, with texts as they are shown and a detailed action name. */
void ms_palette_add (MsPalette *palette, const char *group, const char *title, const char *action);

G_END_DECLS
