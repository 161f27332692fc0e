/* An analysis at work: its sentence, figures and tables, or the reason why there are none. */
#pragma once

#include "figure-view-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_ANALYSIS_PANE (ms_analysis_pane_get_type ())
G_DECLARE_FINAL_TYPE (MsAnalysisPane, ms_analysis_pane, MS, ANALYSIS_PANE, AdwBin)

/* plots: names of the plots to show in that order, separated by spaces; NULL = all.  Signal "outcome": there is a new
 * one (or an error instead). */
GtkWidget *ms_analysis_pane_new (MsWorkbench *bench, const char *plots, gboolean tables);
/* Starts; what was running is dropped, what is shown stays, faint, until the new is there.  Takes
 * request. */
void ms_analysis_pane_run (MsAnalysisPane *pane, MsRequest *request, guint delay);
void ms_analysis_pane_set_plots (MsAnalysisPane *pane, const char *plots);
/* What is shown, NULL before the first result or after an error. */
MsOutcome *ms_analysis_pane_get_outcome (MsAnalysisPane *pane);
gboolean ms_analysis_pane_is_busy (MsAnalysisPane *pane);
/* The n-th figure shown, NULL beyond. */
MsFigureView *ms_analysis_pane_get_figure (MsAnalysisPane *pane, guint n);

/* The sentence above the figures. */
const char *ms_analysis_pane_get_summary (MsAnalysisPane *pane);
/* Says something else than the result's sentence, until the next result. */
void ms_analysis_pane_set_summary (MsAnalysisPane *pane, const char *text);

G_END_DECLS
