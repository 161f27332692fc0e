/* The layer x expert map. */
#pragma once

#include "analysis-pane-private.h"
#include "screen-private.h"

G_BEGIN_DECLS

#define MS_TYPE_EXPERTS_SCREEN (ms_experts_screen_get_type ())
G_DECLARE_FINAL_TYPE (MsExpertsScreen, ms_experts_screen, MS, EXPERTS_SCREEN, MsScreen)

GtkWidget *ms_experts_screen_new (MsWorkbench *bench);
MsFigureView *ms_experts_screen_get_map (MsExpertsScreen *screen);
/* What the brushed experts read. */
MsAnalysisPane *ms_experts_screen_get_readers (MsExpertsScreen *screen);
/* Colours the map by the n-th measure offered; the number of them. */
void ms_experts_screen_set_colour (MsExpertsScreen *screen, guint n);
guint ms_experts_screen_get_n_colours (MsExpertsScreen *screen);
/* The name of the n-th measure, NULL beyond the last. */
const char *ms_experts_colour_name (guint n);
/* Colours the map by the measure of a name. */
void ms_experts_screen_colour_by (MsExpertsScreen *screen, const char *name);
/* Orders experts by number (0), load (1) or similarity (2). */
/* What is said above the map. */
const char *ms_experts_screen_get_summary (MsExpertsScreen *screen);
void ms_experts_screen_set_order (MsExpertsScreen *screen, guint n);
/* How alike the experts of a layer are; shown when they are ordered by that. */
MsFigureView *ms_experts_screen_get_tree (MsExpertsScreen *screen);

G_END_DECLS
