/* Every registered analysis as a form with its figures and tables. */
#pragma once

#include "analysis-form-private.h"
#include "analysis-pane-private.h"
#include "screen-private.h"

G_BEGIN_DECLS

#define MS_TYPE_ANALYSES_SCREEN (ms_analyses_screen_get_type ())
G_DECLARE_FINAL_TYPE (MsAnalysesScreen, ms_analyses_screen, MS, ANALYSES_SCREEN, MsScreen)

GtkWidget *ms_analyses_screen_new (MsWorkbench *bench);
/* FALSE when there is no such analysis. */
gboolean ms_analyses_screen_choose (MsAnalysesScreen *screen, const char *name);
void ms_analyses_screen_run (MsAnalysesScreen *screen);
MsAnalysisPane *ms_analyses_screen_get_pane (MsAnalysesScreen *screen);
MsAnalysisForm *ms_analyses_screen_get_form (MsAnalysesScreen *screen);

G_END_DECLS
