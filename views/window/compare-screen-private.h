/* Two runs against each other: their settings, and where routing changed. */
#pragma once

#include "analysis-screen-private.h"

G_BEGIN_DECLS

#define MS_TYPE_COMPARE_SCREEN (ms_compare_screen_get_type ())
G_DECLARE_FINAL_TYPE (MsCompareScreen, ms_compare_screen, MS, COMPARE_SCREEN, MsAnalysisScreen)

/* Its tabs, ends with an empty one. */
extern const MsTab ms_compare_tabs[];

GtkWidget *ms_compare_screen_new (MsWorkbench *bench);
/* The settings that differ, one a line "Name: a / b". (transfer full) */
char *ms_compare_screen_dup_differences (MsCompareScreen *screen);

G_END_DECLS
