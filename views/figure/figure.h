/* Figures: a result table and a plot description drawn with cairo.  No GTK here.
 *
 * The same code paints the window's widget, PNG, PDF and SVG.  Layout depends on (width, height,
 * theme) alone; text goes through Pango with our own font options at 96 dpi; numbers are formatted in
 * the C locale.  A figure is immutable after ms_figure_new and may be used from any one thread. */
#pragma once

#include "analysis.h"

#include <cairo.h>

G_BEGIN_DECLS

#define MS_FIGURE_ERROR (ms_figure_error_quark ())
GQuark ms_figure_error_quark (void);

typedef enum
{
  MS_FIGURE_ERROR_FORMAT, /* the file name's ending is none of .pdf .svg .png */
  MS_FIGURE_ERROR_DATA,   /* the plot asks for columns the table lacks */
  MS_FIGURE_ERROR_IO,
} MsFigureError;

typedef struct
{
  double r, g, b;
} MsColour;

typedef struct
{
  const char *name;       /* "screen", "dark", "paper" */
  MsColour paper, ink;    /* background and text */
  MsColour faint;         /* grid and frames */
  const char *font;       /* Pango family list */
  double font_points;     /* size of tick labels */
  double line_points;     /* width of lines */
  gboolean titles;        /* draw the plot's title */
  const MsColour *series; /* (n_series) */
  guint n_series;
  gboolean cividis; /* sequential scale: cividis instead of viridis */
  gboolean signs;   /* cells below the middle of a diverging scale carry a dash */
} MsTheme;

/* "screen", "dark", "paper", or "contrast" (high contrast, screen); NULL when unknown. */
const MsTheme *ms_theme_find (const char *name);

/* Colours of runs shown together (n), at most as many as a theme has: slots (n) are places in
 * MsTheme.series.  A run keeps its colour whichever others are shown, as long as the numbers allow it:
 * run r has place r - 1, counted round, and gives way to an earlier run of the same place. */
void ms_run_slots (const gint64 *runs, guint n, guint *slots);
/* The line with its marker that stands for a slot in the legend, centred in (0, 0, width, height). */
void ms_slot_draw (const MsTheme *theme, guint slot, cairo_t *cr, double width, double height);
/* Whether one figure of the plot holds several runs, `grouped` by documents besides; if not, each run
 * needs a figure of its own. */
gboolean ms_plot_takes_runs (const MsPlotDef *plot, gboolean grouped);
/* Whether its rows are the cells of a map, whose colours show `value`. */
gboolean ms_plot_is_map (const MsPlotDef *plot);
/* Whether it joins rows to curves, of which one figure may hold those of several results. */
gboolean ms_plot_is_curves (const MsPlotDef *plot);
/* "Band: 95 % bootstrap interval over 24 documents.": what ms_interval_name told, for the figure's note;
 * NULL when the plot has no intervals or all are undefined. */
char *ms_plot_note (const MsPlotDef *plot, const MsTable *table, const char *interval);

/* Whether a font family of that name is installed. */
gboolean ms_font_is_installed (const char *family);

typedef struct MsFigure MsFigure;

typedef struct
{
  const MsTheme *theme; /* NULL = screen */
  const char *title;    /* NULL = the plot's, "" = none */
  const char *panel;    /* panel letter, e.g. "a"; NULL = none */
  double low, high;     /* fixed limits of the value scale; both 0 = from the data */
  double font_points;   /* 0 = the theme's */
  const char *note;     /* small text below, e.g. what the interval is; NULL = none */
  const char *font;     /* Pango family list; NULL = the theme's; must outlive the figure */
  gboolean captioned;   /* notes and the plot's own title stand in a caption, not in it */
  gboolean no_margins;  /* leave out the bars beside a heatmap */
  gboolean
      compact; /* SVG for browsers alone: maps as images, texts as wide as the font makes them */
} MsFigureOptions;

/* The table is referenced, `plot` borrowed for the figure's life.  DATA error when a column is missing.
 * `options` may be NULL. */
MsFigure *ms_figure_new (MsTable *table, const MsPlotDef *plot, const MsFigureOptions *options,
                         GError **error);
void ms_figure_free (MsFigure *figure);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsFigure, ms_figure_free)

MsTable *ms_figure_table (MsFigure *figure);
const MsPlotDef *ms_figure_plot (MsFigure *figure);
/* Whether the plot is about that row of the table (MsPlotDef.where). */
gboolean ms_figure_has_row (MsFigure *figure, guint row);

/* What a caption below the figure says, drawn so large (units of 1/96 inch): its title and all notes, in
 * sentences (newly allocated). */
char *ms_figure_caption (MsFigure *figure, double width, double height);
/* Draws into (0, 0, width, height), in units of 1/96 inch. */
void ms_figure_draw (MsFigure *figure, cairo_t *cr, double width, double height);
/* The table row whose mark is at (x, y), -1 for none; same geometry as drawing. */
int ms_figure_pick (MsFigure *figure, double width, double height, double x, double y);
/* The rectangle of a row's mark; FALSE when it is not drawn. */
gboolean ms_figure_locate (MsFigure *figure, double width, double height, int row, double *x,
                           double *y, double *w, double *h);
/* The plot area of the panel that shows the row; FALSE when the row is not drawn. */
gboolean ms_figure_locate_panel (MsFigure *figure, double width, double height, int row, double *x,
                                 double *y, double *w, double *h);
/* What the row says, one line: tooltip, accessible text, command line (newly allocated). */
char *ms_figure_describe (MsFigure *figure, int row);

/* The place, in the bars beside a heatmap, of those that count the row's cell: the bar on top or that
 * at the right; FALSE when there is none. */
gboolean ms_figure_locate_bar (MsFigure *figure, double width, double height, int row, gboolean top,
                               double *x, double *y, double *w, double *h);
/* What the bar at (x, y) says (newly allocated), NULL where there is none. */
char *ms_figure_describe_bar (MsFigure *figure, double width, double height, double x, double y);
/* Stretches a rectangle that lies in the bars over the cells that they count; FALSE, and unchanged,
 * when it does not. */
gboolean ms_figure_stretch (MsFigure *figure, double width, double height, double *x, double *y,
                            double *w, double *h);

typedef enum
{
  MS_STEP_LEFT,
  MS_STEP_RIGHT,
  MS_STEP_UP,
  MS_STEP_DOWN,
  MS_STEP_FIRST, /* start of the line of marks */
  MS_STEP_LAST,
} MsStep;
/* The keyboard cursor: the row after `row` (-1 = none yet) in a direction. */
int ms_figure_step (MsFigure *figure, int row, MsStep direction);

/* A size that suits the figure's content at a given width (units of 1/96 inch). */
double ms_figure_natural_height (MsFigure *figure, double width);

/* Writes PDF, SVG or PNG by the ending of `path` (atomically: a failed write leaves nothing).  width
 * and height in inches; height 0 = natural; PNG at `dpi`.  The same call twice gives the same bytes.
 * `comment` (may be NULL) goes into the file's metadata. */
gboolean ms_figure_save (MsFigure *figure, const char *path, double width, double height,
                         double dpi, const char *comment, GError **error);
/* The figure as an SVG document (for reports); newly allocated. */
char *ms_figure_to_svg (MsFigure *figure, double width, double height, GError **error);

/* Colour of t in 0..1 on the sequential scale, and of t in -1..1 on the diverging one. */
MsColour ms_colour_sequential (const MsTheme *theme, double t);
MsColour ms_colour_diverging (const MsTheme *theme, double t);
/* Black or white, whichever reads better on `background`. */
MsColour ms_colour_text_on (MsColour background);

G_END_DECLS
