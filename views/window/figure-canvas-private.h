/* The drawing surface of a figure: hover, keyboard cursor, brush and marks over ms_figure_draw. */
#pragma once

#include "figure.h"
#include "session-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_FIGURE_CANVAS (ms_figure_canvas_get_type ())
G_DECLARE_FINAL_TYPE (MsFigureCanvas, ms_figure_canvas, MS, FIGURE_CANVAS, GtkWidget)

/* Signals: "row-entered" (int row, -1 = left), by pointer or keyboard; "brushed" (GArray of guint rows,
 * int MsBrush); "row-activated" (int row): double click or Return. */
GtkWidget *ms_figure_canvas_new (void);
/* Takes the figure (NULL clears); summary is what a screen reader says of it. */
void ms_figure_canvas_set_figure (MsFigureCanvas *canvas, MsFigure *figure, const char *summary);
MsFigure *ms_figure_canvas_get_figure (MsFigureCanvas *canvas);
/* Outlines the rows (of guint, taken; NULL = none). */
void ms_figure_canvas_set_marked (MsFigureCanvas *canvas, GArray *rows);
/* A line from top to bottom of each panel where the x axis, if it shows that column, has the value; stays
 * from figure to figure.  NULL = none. */
void ms_figure_canvas_set_rule (MsFigureCanvas *canvas, const char *column, double value);
/* Drawn faintly while a newer figure is on its way. */
void ms_figure_canvas_set_stale (MsFigureCanvas *canvas, gboolean stale);
/* A small picture of something shown larger elsewhere: no cursor, no brush. */
void ms_figure_canvas_set_thumbnail (MsFigureCanvas *canvas, gboolean thumbnail);
int ms_figure_canvas_get_cursor (MsFigureCanvas *canvas);
/* The same, and scrolls to it. */
void ms_figure_canvas_go_to (MsFigureCanvas *canvas, int row);
void ms_figure_canvas_set_cursor (MsFigureCanvas *canvas, int row);
/* The cursor's next row in a direction, brushing on the way when `brush`. */
void ms_figure_canvas_step (MsFigureCanvas *canvas, MsStep step, gboolean brush);
/* Brushes the cells that the bar at (x, y) in a map's margins counts; FALSE when there is none. */
gboolean ms_figure_canvas_brush_bar (MsFigureCanvas *canvas, double x, double y, MsBrush mode);
/* 1 = fills the space given. */
void ms_figure_canvas_set_zoom (MsFigureCanvas *canvas, double zoom);
double ms_figure_canvas_get_zoom (MsFigureCanvas *canvas);
/* What the marked rows take of the canvas; FALSE when none is marked. */
gboolean ms_figure_canvas_get_marked_bounds (MsFigureCanvas *canvas, graphene_rect_t *bounds);

G_END_DECLS
