/* Every action of the program in one table: menus, palette, shortcuts window, keys and tests share it. */
#pragma once

#include "action-private.h"
#include "window-private.h"

G_BEGIN_DECLS

/* In the order in which palette and shortcuts window list them; those of screens and of figures among them.
 * Ends with an empty one. */
const MsAction *ms_actions (void);

/* Gives the application its actions, and all global keys. */
void ms_actions_install_application (GtkApplication *application);
/* A window with its actions and menu; they are enabled as the file, its runs and the selection allow. */
MsWindow *ms_actions_new_window (GtkApplication *application);

G_END_DECLS
