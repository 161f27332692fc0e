/* Bars from zero: side by side, stacked, or a histogram between bin edges; whiskers for intervals.
 * More bars than pixels become one column per pixel with the greatest value in it. */
#include "figure-private.h"

#include <math.h>

/* The part of the axes that a bar takes, before what is outside the panel is cut off. */
typedef struct
{
  double left, right; /* in the panel's units */
  double from, to;    /* values along y */
} Span;

/* What tells the marks of this file apart. */
typedef struct
{
  /* Places the row's bar, whose values are those of a bar that stands alone; FALSE when it has no place. */
  gboolean (*place) (const MsFigure *figure, const MsPanel *panel, guint row, Span *span);
  gboolean beside;     /* the series of a category stand side by side */
  gboolean seams;      /* a hairline of paper keeps neighbours apart */
  gboolean whiskers;   /* intervals are drawn */
  gboolean continuous; /* bars have edges along x instead of categories */
} Kind;

static const Kind *
kind_of (const MsFigure *figure)
{
  return figure->mark->own;
}

/* Where bars begin: zero, or the lowest value (logarithms), or 1 (ratios). */
static double
base_of (const MsFigure *figure)
{
  if (figure->y_axis.kind == MS_AXIS_RATIO)
    return 1;
  if (ms_axis_is_log (&figure->y_axis))
    return figure->y_axis.low;
  return CLAMP (0, figure->y_axis.low, figure->y_axis.high);
}

/* What lies under a stacked bar: the sum of the earlier series at the same category. */
static double
stacked_below (const MsFigure *figure, const MsPanel *panel, guint series, guint category)
{
  double sum = 0;

  for (guint s = 0; s < series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);
      guint i = ms_track_search (figure, track, category);

      if (i < track->n && ms_channel_get (&figure->x, ms_track_row (track, i)) == category)
        {
          double value = ms_channel_get (&figure->y, ms_track_row (track, i));

          sum += isfinite (value) && value > 0 ? value : 0;
        }
    }
  return sum;
}

/* Inside the band of the row's category, with a gap to the next where there is room for one. */
static gboolean
place_in_band (const MsFigure *figure, const MsPanel *panel, guint row, Span *span)
{
  guint category = ms_channel_category (&figure->x, row);
  double band = panel->plot.w / figure->x.n, gap = band > 4 ? 0.18 : band > 2 ? 0.1 : 0;

  if (category == MS_NONE)
    return FALSE;
  span->left = panel->plot.x + category * band + band * gap / 2;
  span->right = span->left + band * (1 - gap);
  return TRUE;
}

static gboolean
place_beside (const MsFigure *figure, const MsPanel *panel, guint row, Span *span)
{
  double inner;

  if (!place_in_band (figure, panel, row, span))
    return FALSE;
  if (figure->lone_bars)
    return TRUE;
  inner = span->right - span->left;
  span->left += inner * ms_channel_category (&figure->series, row) / figure->n_series;
  span->right = span->left + inner / figure->n_series;
  return TRUE;
}

static gboolean
place_stacked (const MsFigure *figure, const MsPanel *panel, guint row, Span *span)
{
  if (!place_in_band (figure, panel, row, span))
    return FALSE;
  span->from = stacked_below (figure, panel, ms_channel_category (&figure->series, row),
                              ms_channel_category (&figure->x, row));
  span->to = span->from + MAX (span->to, 0);
  return TRUE;
}

static gboolean
place_between (const MsFigure *figure, const MsPanel *panel, guint row, Span *span)
{
  span->left = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row));
  span->right = ms_panel_x (figure, panel, ms_channel_get (&figure->x2, row));
  return TRUE;
}

/* The bar of a row; FALSE when it has no value. */
static gboolean
bar_rect (MsFigure *figure, const MsPanel *panel, guint row, MsRect *rect)
{
  Span span = { .from = base_of (figure), .to = ms_channel_get (&figure->y, row) };
  double y1, y2;

  if (isnan (span.to) || ms_channel_category (&figure->series, row) == MS_NONE
      || !kind_of (figure)->place (figure, panel, row, &span))
    return FALSE;
  y1 = ms_panel_y (figure, panel, span.from);
  y2 = ms_panel_y (figure, panel, span.to);
  if (!isfinite (y2))
    y2 = y1;
  y1 = CLAMP (y1, panel->plot.y, panel->plot.y + panel->plot.h);
  y2 = CLAMP (y2, panel->plot.y, panel->plot.y + panel->plot.h);
  if (!isfinite (span.left) || !isfinite (span.right))
    return FALSE;
  *rect = (MsRect){ span.left, MIN (y1, y2), span.right - span.left, fabs (y1 - y2) };
  return TRUE;
}

static void
draw_whisker (MsFigure *figure, const MsPanel *panel, MsPen *pen, guint row, const MsRect *bar)
{
  double low = ms_channel_get (&figure->low, row), high = ms_channel_get (&figure->high, row);
  double x = bar->x + bar->w / 2, cap = MIN (bar->w * 0.3, 3), y1, y2;

  if (figure->low.column == NULL || figure->high.column == NULL || bar->w < 2
      || !kind_of (figure)->whiskers)
    return;
  y1 = ms_panel_y (figure, panel, low);
  y2 = ms_panel_y (figure, panel, high);
  if (!isfinite (y1) || !isfinite (y2))
    return;
  cairo_set_line_width (pen->cr, 0.7);
  ms_pen_colour (pen, pen->theme->ink, 1);
  ms_pen_line (pen, x, y1, x, y2);
  ms_pen_line (pen, x - cap, y1, x + cap, y1);
  ms_pen_line (pen, x - cap, y2, x + cap, y2);
}

/* Bars thinner than half a pixel: the greatest of each column of pixels. */
static void
draw_thin (MsFigure *figure, const MsTrack *track, const MsPanel *panel, MsPen *pen)
{
  guint columns = (guint) MAX (panel->plot.w * 2, 1);
  g_autofree MsRect *best = g_new0 (MsRect, columns);

  for (guint i = 0; i < track->n; i++)
    {
      MsRect bar;
      guint c;

      if (!bar_rect (figure, panel, ms_track_row (track, i), &bar))
        continue;
      c = (guint) CLAMP ((bar.x - panel->plot.x) / panel->plot.w * columns, 0, columns - 1);
      if (bar.h >= best[c].h)
        best[c] = bar;
    }
  ms_pen_colour (pen, ms_figure_series_colour (figure, track->series), 1);
  for (guint c = 0; c < columns; c++)
    if (best[c].h > 0)
      cairo_rectangle (pen->cr, panel->plot.x + panel->plot.w * c / columns, best[c].y,
                       panel->plot.w / columns, best[c].h);
  cairo_fill (pen->cr);
}

static void
draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  guint pattern_from = figure->ordered_series || figure->n_series == 1 ? MS_SERIES_MAX : 0;

  (void) layout;
  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);
      MsColour colour = ms_figure_series_colour (figure, s);

      if (track->n > 4 * panel->plot.w)
        {
          draw_thin (figure, track, panel, pen);
          continue;
        }
      for (guint i = 0; i < track->n; i++)
        {
          guint row = ms_track_row (track, i);
          MsRect bar;

          if (!bar_rect (figure, panel, row, &bar))
            continue;
          cairo_rectangle (pen->cr, bar.x, bar.y, bar.w, bar.h);
          ms_pen_fill (pen, MAX (ms_figure_slot (figure, s), pattern_from), colour);
          if (kind_of (figure)->seams && bar.w > 3)
            {
              /* A hairline of paper keeps neighbours apart. */
              cairo_rectangle (pen->cr, bar.x, bar.y, bar.w, bar.h);
              cairo_set_line_width (pen->cr, 0.5);
              ms_pen_colour (pen, pen->theme->paper, 1);
              cairo_stroke (pen->cr);
            }
          draw_whisker (figure, panel, pen, row, &bar);
        }
    }
  if (figure->y_axis.low < 0 || figure->y_axis.kind == MS_AXIS_RATIO)
    {
      double y = ms_panel_y (figure, panel, base_of (figure));

      cairo_set_line_width (pen->cr, 0.6);
      ms_pen_colour (pen, pen->theme->ink, 1);
      ms_pen_line (pen, panel->plot.x, y, panel->plot.x + panel->plot.w, y);
    }
}

static int
pick (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, double x, double y)
{
  double at = ms_axis_value (&figure->x_axis, (x - panel->plot.x) / panel->plot.w);
  int column = -1;
  double best = INFINITY;

  (void) layout;
  if (!kind_of (figure)->continuous)
    at = floor (at + 0.5);
  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);
      guint i = ms_track_search (figure, track, at);

      if (kind_of (figure)->continuous && i > 0)
        i--;
      for (; i < track->n && ms_channel_get (&figure->x, ms_track_row (track, i)) <= at; i++)
        {
          guint row = ms_track_row (track, i);
          MsRect bar;
          double far;

          if (!bar_rect (figure, panel, row, &bar) || x < bar.x - 0.5 || x > bar.x + bar.w + 0.5)
            continue;
          if (y >= bar.y && y <= bar.y + bar.h)
            return (int) row;
          /* Above or below a bar still means that bar: short ones could not be hit otherwise. */
          far = MIN (fabs (y - bar.y), fabs (y - bar.y - bar.h));
          if (far < best)
            {
              best = far;
              column = (int) row;
            }
        }
    }
  return column;
}

/* Where no two series share a category, the series only colours the bars: they get the whole width. */
static gboolean
prepare (MsFigure *figure, GError **error)
{
  gsize n = (gsize) figure->n_facets * MAX (figure->x.n, 1);
  g_autofree guint8 *taken = g_new0 (guint8, n);

  (void) error;
  for (guint i = 0; i < figure->n_rows; i++)
    {
      guint row = ms_figure_row (figure, i), x = ms_channel_category (&figure->x, row);
      guint facet = ms_channel_category (&figure->facet, row);

      if (x == MS_NONE || facet == MS_NONE)
        continue;
      if (taken[(gsize) facet * figure->x.n + x]++ > 0)
        return TRUE;
    }
  figure->lone_bars = TRUE;
  return TRUE;
}

static gboolean
locate (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint row, MsRect *rect)
{
  (void) layout;
  return bar_rect (figure, panel, row, rect);
}

/* Bars wide enough to be told apart; more than a column of print holds stay as they are. */
static double
panel_least (MsFigure *figure, double em)
{
  guint beside = kind_of (figure)->beside && !figure->lone_bars ? figure->n_series : 1;

  return MIN (0.22 * em * figure->x.n * beside, 20 * em);
}

/* From zero to the highest stack. */
static void
stack_limits (const MsFigure *figure, double *low, double *high)
{
  g_autofree double *sums = g_new0 (double, (gsize) figure->n_facets *MAX (figure->x.n, 1));

  *low = 0;
  for (guint i = 0; i < figure->n_rows; i++)
    {
      guint row = ms_figure_row (figure, i);
      guint facet = ms_channel_category (&figure->facet, row);
      guint x = ms_channel_category (&figure->x, row);
      double value = ms_channel_get (&figure->y, row);

      if (facet == MS_NONE || x == MS_NONE || !isfinite (value) || value < 0)
        continue;
      sums[(gsize) facet * figure->x.n + x] += value;
      *high = MAX (*high, sums[(gsize) facet * figure->x.n + x]);
    }
}

static const Kind beside = { .place = place_beside, .beside = TRUE, .whiskers = TRUE };
static const Kind stacked = { .place = place_stacked, .seams = TRUE };
static const Kind between
    = { .place = place_between, .seams = TRUE, .whiskers = TRUE, .continuous = TRUE };

#define BARS                                                                                       \
  .tracks = TRUE, .axes = TRUE, .grid = TRUE, .y_zero = MS_ZERO_BASE,                              \
  .panel_height = ms_chart_height, .draw = draw, .pick = pick, .locate = locate,                   \
  .step = ms_tracks_step, .swatch = ms_swatch_box, .swatch_box = TRUE

const MsMarkClass ms_mark_bar = { BARS,
                                  .own = &beside,
                                  .needs = MS_NEEDS_X | MS_NEEDS_Y,
                                  .x_categories = TRUE,
                                  .takes_series = TRUE,
                                  .legend = TRUE,
                                  .intervals = "Error bars",
                                  .panel_least = panel_least,
                                  .prepare = prepare };
const MsMarkClass ms_mark_stack = {
  BARS,           .own = &stacked,          .needs = MS_NEEDS_X | MS_NEEDS_Y, .x_categories = TRUE,
  .legend = TRUE, .y_limits = stack_limits, .panel_least = panel_least
};
const MsMarkClass ms_mark_histogram
    = { BARS, .own = &between, .needs = MS_NEEDS_X | MS_NEEDS_Y | MS_NEEDS_X2, .edges = TRUE,
        .intervals = "Error bars" };
