/* The run at a glance: a sentence and a small figure for each of the main questions, and what stands out. */
#pragma once

#include "figure-view-private.h"
#include "headline-box-private.h"
#include "screen-private.h"

G_BEGIN_DECLS

#define MS_TYPE_OVERVIEW_SCREEN (ms_overview_screen_get_type ())
G_DECLARE_FINAL_TYPE (MsOverviewScreen, ms_overview_screen, MS, OVERVIEW_SCREEN, MsScreen)

GtkWidget *ms_overview_screen_new (MsWorkbench *bench);
guint ms_overview_screen_get_n_findings (MsOverviewScreen *screen);
MsHeadlineBox *ms_overview_screen_get_headlines (MsOverviewScreen *screen);
/* Goes where the n-th finding is. */
void ms_overview_screen_jump (MsOverviewScreen *screen, guint n);

G_END_DECLS
