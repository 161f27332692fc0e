/* One plot of an outcome with all that belongs to a figure: title, summary, definition, table twin, copy,
 * export, zoom, and linked brushing through the session. */
#pragma once

#include "action-private.h"
#include "figure-canvas-private.h"
#include "workbench-private.h"

G_BEGIN_DECLS

#define MS_TYPE_FIGURE_VIEW (ms_figure_view_get_type ())
G_DECLARE_FINAL_TYPE (MsFigureView, ms_figure_view, MS, FIGURE_VIEW, AdwBin)

/* What a figure view can be asked for, and the keys of its canvas.  "figure.report" asks the window to
 * "win.add-section" (titles of analysis and plot, words).  Ends with an empty row. */
extern const MsAction ms_figure_actions[];

/* Brushing a row whose table has columns `layer` or `expert` brushes the session; hover and marks follow
 * it. */
GtkWidget *ms_figure_view_new (MsWorkbench *bench);
/* Shows a plot of the outcome; references it.  options (borrowed, may be NULL) fix limits; the theme
 * follows the desktop.  Returns FALSE and shows why when the plot cannot be drawn. */
gboolean ms_figure_view_show (MsFigureView *view, MsOutcome *outcome, const MsPlotDef *plot,
                              const MsFigureOptions *options);
/* The same with another table of the same columns in the place of the outcome's (references it). */
gboolean ms_figure_view_show_table (MsFigureView *view, MsOutcome *outcome, const MsPlotDef *plot,
                                    MsTable *table, const MsFigureOptions *options);
/* Whose figure it is, for its title; NULL unless several runs have one each. */
void ms_figure_view_set_run (MsFigureView *view, const char *run);
void ms_figure_view_set_stale (MsFigureView *view, gboolean stale);
/* Hides the title row. */
void ms_figure_view_set_plain (MsFigureView *view, gboolean plain);

/* What the title row says. */
const char *ms_figure_view_get_title (MsFigureView *view);
MsOutcome *ms_figure_view_get_outcome (MsFigureView *view);
const MsPlotDef *ms_figure_view_get_plot (MsFigureView *view);
MsTable *ms_figure_view_get_table (MsFigureView *view);
MsFigureCanvas *ms_figure_view_get_canvas (MsFigureView *view);
void ms_figure_view_get_options (MsFigureView *view, MsFigureOptions *options);

/* The theme that suits the desktop's colours now. */
const MsTheme *ms_desktop_theme (void);
/* The figure as a picture, `scale` pixels per unit. (transfer full) */
GdkTexture *ms_figure_to_texture (MsFigure *figure, int width, int height, int scale);
/* The first figure view shown within a widget, the focused one when there is one; NULL for none. */
MsFigureView *ms_figure_view_find (GtkWidget *root);

G_END_DECLS
