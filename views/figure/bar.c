/* Bars from zero: side by side, stacked, or a histogram between bin edges; whiskers for intervals.
 * More bars than pixels become one column per pixel with the greatest value in it. */
#include "figure-private.h"

#include <math.h>

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

/* The bar of a row; FALSE when it has no value. */
static gboolean
bar_rect (MsFigure *figure, const MsPanel *panel, guint row, MsRect *rect)
{
  double value = ms_channel_get (&figure->y, row), from = base_of (figure), left, right, y1, y2;
  guint series = ms_channel_category (&figure->series, row);

  if (isnan (value) || series == MS_NONE)
    return FALSE;
  if (figure->plot->mark == MS_MARK_HISTOGRAM)
    {
      left = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row));
      right = ms_panel_x (figure, panel, ms_channel_get (&figure->x2, row));
    }
  else
    {
      guint category = ms_channel_category (&figure->x, row);
      double band = panel->plot.w / figure->x.n, gap = band > 4 ? 0.18 : band > 2 ? 0.1 : 0;
      double inner = band * (1 - gap);

      if (category == MS_NONE)
        return FALSE;
      left = panel->plot.x + category * band + band * gap / 2;
      right = left + inner;
      if (figure->plot->mark == MS_MARK_BAR && !figure->lone_bars)
        {
          left += inner * series / figure->n_series;
          right = left + inner / figure->n_series;
        }
      else if (figure->plot->mark == MS_MARK_STACK)
        {
          from = stacked_below (figure, panel, series, category);
          value = from + MAX (value, 0);
        }
    }
  y1 = ms_panel_y (figure, panel, from);
  y2 = ms_panel_y (figure, panel, value);
  if (!isfinite (y2))
    y2 = y1;
  y1 = CLAMP (y1, panel->plot.y, panel->plot.y + panel->plot.h);
  y2 = CLAMP (y2, panel->plot.y, panel->plot.y + panel->plot.h);
  if (!isfinite (left) || !isfinite (right))
    return FALSE;
  *rect = (MsRect){ left, MIN (y1, y2), right - left, fabs (y1 - y2) };
  return TRUE;
}

static void
draw_whisker (MsFigure *figure, const MsPanel *panel, MsPen *pen, guint row, const MsRect *bar)
{
  double low = ms_channel_get (&figure->low, row), high = ms_channel_get (&figure->high, row);
  double x = bar->x + bar->w / 2, cap = MIN (bar->w * 0.3, 3), y1, y2;

  if (figure->low.column == NULL || figure->high.column == NULL || bar->w < 2
      || figure->plot->mark == MS_MARK_STACK)
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
          if (figure->plot->mark != MS_MARK_BAR && bar.w > 3)
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
  if (figure->plot->mark != MS_MARK_HISTOGRAM)
    at = floor (at + 0.5);
  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);
      guint i = ms_track_search (figure, track, at);

      if (figure->plot->mark == MS_MARK_HISTOGRAM && i > 0)
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
  gboolean side_by_side = figure->plot->mark == MS_MARK_BAR && !figure->lone_bars;

  return figure->plot->mark == MS_MARK_HISTOGRAM
             ? 0
             : MIN (0.22 * em * figure->x.n * (side_by_side ? figure->n_series : 1), 20 * em);
}

#define BARS                                                                                       \
  .panel_height = ms_chart_height, .panel_least = panel_least, .draw = draw, .pick = pick,         \
  .locate = locate, .step = ms_tracks_step, .axes = TRUE, .grid = TRUE, .swatch_box = TRUE

const MsMarkClass ms_mark_bar = { BARS, .prepare = prepare };
const MsMarkClass ms_mark_stack = { BARS };
const MsMarkClass ms_mark_histogram = { BARS };
