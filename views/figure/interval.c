/* Points with their intervals, at the places of a category: what a bar from zero says worse where the question
 * is whether an interval holds zero or its neighbour's value, not how much there is.
 *
 * Series stand side by side in a band.  A value without an interval is a point alone; in bands too narrow for
 * caps and markers both shrink, so that an interval stays a line. */
#include "figure-private.h"

#include <math.h>

/* In the panel's units. */
typedef struct
{
  double x, y;
  double top, low; /* ends of the interval; both y where there is none */
  double room;     /* the width that the point has to itself */
} Point;

/* FALSE when the row has no value or no place. */
static gboolean
place (const MsFigure *figure, const MsPanel *panel, guint row, Point *point)
{
  guint category = ms_channel_category (&figure->x, row);
  guint series = ms_channel_category (&figure->series, row);
  double band = panel->plot.w / MAX (figure->x.n, 1), inner = 0.8 * band;

  point->y = ms_panel_y (figure, panel, ms_channel_get (&figure->y, row));
  if (category == MS_NONE || series == MS_NONE || !isfinite (point->y))
    return FALSE;
  point->room = inner / figure->n_series;
  point->x = panel->plot.x + category * band + (band - inner) / 2 + (series + 0.5) * point->room;
  point->top = point->low = point->y;
  if (figure->low.column != NULL && figure->high.column != NULL)
    {
      double low = ms_panel_y (figure, panel, ms_channel_get (&figure->low, row));
      double top = ms_panel_y (figure, panel, ms_channel_get (&figure->high, row));

      if (isfinite (low) && isfinite (top))
        {
          point->top = MIN (top, point->y);
          point->low = MAX (low, point->y);
        }
    }
  return TRUE;
}

static double
radius_of (const Point *point, double em)
{
  return CLAMP (0.42 * point->room, 0.8, 0.19 * em);
}

static void
draw_point (MsPen *pen, const Point *point, guint slot, MsColour colour)
{
  double radius = radius_of (point, pen->em), cap = radius >= 0.15 * pen->em ? radius : 0;

  if (point->low > point->top)
    {
      cairo_set_dash (pen->cr, NULL, 0, 0);
      cairo_set_line_width (pen->cr, MIN (0.9, MAX (0.3, 0.4 * point->room)));
      ms_pen_colour (pen, ms_colour_mix (colour, pen->theme->ink, 0.35), 1);
      ms_pen_line (pen, point->x, point->top, point->x, point->low);
      if (cap > 0)
        {
          ms_pen_line (pen, point->x - cap, point->top, point->x + cap, point->top);
          ms_pen_line (pen, point->x - cap, point->low, point->x + cap, point->low);
        }
    }
  ms_pen_marker (pen, slot, point->x, point->y, radius, colour);
}

static void
draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  (void) layout;
  if (figure->y_axis.low < 0 && figure->y_axis.high > 0 && !ms_axis_is_log (&figure->y_axis))
    {
      double y = ms_panel_y (figure, panel, 0);

      cairo_set_line_width (pen->cr, 0.6);
      ms_pen_colour (pen, pen->theme->ink, 1);
      ms_pen_line (pen, panel->plot.x, y, panel->plot.x + panel->plot.w, y);
    }
  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);
      MsColour colour = ms_figure_series_colour (figure, s);
      guint slot = figure->ordered_series ? 0 : ms_figure_slot (figure, s);

      for (guint i = 0; i < track->n; i++)
        {
          Point point;

          if (place (figure, panel, ms_track_row (track, i), &point))
            draw_point (pen, &point, slot, colour);
        }
    }
}

/* The nearest of the points whose column the pointer is in: anywhere above or below means it. */
static int
pick (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, double x, double y)
{
  double at = floor (ms_axis_value (&figure->x_axis, (x - panel->plot.x) / panel->plot.w) + 0.5);
  double best = INFINITY;
  int found = -1;

  (void) layout;
  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);

      for (guint i = ms_track_search (figure, track, at);
           i < track->n && ms_channel_get (&figure->x, ms_track_row (track, i)) <= at; i++)
        {
          guint row = ms_track_row (track, i);
          Point point;
          double far;

          if (!place (figure, panel, row, &point))
            continue;
          far = hypot (point.x - x, fabs (y - CLAMP (y, point.top, point.low)));
          if (far < best)
            {
              best = far;
              found = (int) row;
            }
        }
    }
  return found;
}

static gboolean
locate (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint row, MsRect *rect)
{
  Point point;
  double radius;

  if (!place (figure, panel, row, &point))
    return FALSE;
  radius = radius_of (&point, layout->em);
  *rect = (MsRect){ point.x - radius, MIN (point.top, point.y - radius), 2 * radius, 0 };
  rect->h = MAX (point.low, point.y + radius) - rect->y;
  return TRUE;
}

/* Points that can be told apart; more than a column of print holds stay as they are. */
static double
panel_least (MsFigure *figure, double em)
{
  return MIN (0.22 * em * figure->x.n * figure->n_series, 20 * em);
}

const MsMarkClass ms_mark_interval = { .needs = MS_NEEDS_X | MS_NEEDS_Y,
                                       .x_categories = TRUE,
                                       .takes_series = TRUE,
                                       .tracks = TRUE,
                                       .legend = TRUE,
                                       .axes = TRUE,
                                       .grid = TRUE,
                                       .intervals = "Error bars",
                                       .panel_height = ms_chart_height,
                                       .panel_least = panel_least,
                                       .draw = draw,
                                       .pick = pick,
                                       .locate = locate,
                                       .step = ms_tracks_step,
                                       .swatch = ms_swatch_point };
