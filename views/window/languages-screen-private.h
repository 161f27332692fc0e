/* How languages share experts: distances, curves over layers, and translations side by side. */
#pragma once

#include "analysis-screen-private.h"

G_BEGIN_DECLS

#define MS_TYPE_LANGUAGES_SCREEN (ms_languages_screen_get_type ())
G_DECLARE_FINAL_TYPE (MsLanguagesScreen, ms_languages_screen, MS, LANGUAGES_SCREEN,
                      MsAnalysisScreen)

/* Its tabs, ends with an empty one. */
extern const MsTab ms_languages_tabs[];

GtkWidget *ms_languages_screen_new (MsWorkbench *bench);

/* Shows the experts specialised on a value of "language", "domain" or "phase". */
void ms_languages_screen_show_specialists (MsLanguagesScreen *screen, const char *label,
                                           const char *value);

G_END_DECLS
