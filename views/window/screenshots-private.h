/* Self-portraits of every screen, for people to look at before a release. */
#pragma once

#include "window-private.h"

G_BEGIN_DECLS

/* Shows one screen after the other and then the dialogs, waits until all is quiet, at most `seconds` for
 * each, writes FOLDER/NAME.png, and closes the window at the end. */
void ms_screenshots_start (MsWindow *window, const char *folder, double seconds);
/* The widget as it is drawn now; NULL before it was drawn. (transfer full) */
GdkTexture *ms_widget_to_texture (GtkWidget *widget);

G_END_DECLS
