/* The dashed line of a reference column: what chance or uniform routing would give.
 *
 * Its name stands along it where it hides least: above or below, at the right, the left or the middle. */
#include "figure-private.h"

#include <math.h>

typedef struct
{
  double x, y; /* x is NaN where a line begins anew */
  guint series;
} Point;

static void
add_point (GArray *points, double x, double y, guint series)
{
  Point point = { x, y, series };

  g_array_append_val (points, point);
}

/* Rows from one point to the next: no more points than the eye tells apart, as comparing lines takes the
 * square of them. */
static guint
step_of (const MsTrack *track, const MsPanel *panel)
{
  return MAX (track->n / (guint) MAX (panel->plot.w, 50), 1);
}

/* Whether the lines collected so far pass through a point, to within what the eye tells apart. */
static gboolean
passes (const GArray *points, Point p)
{
  for (guint i = 1; i < points->len; i++)
    {
      Point a = g_array_index (points, Point, i - 1), b = g_array_index (points, Point, i);
      double y;

      if (!isfinite (a.x + a.y + b.x + b.y) || p.x < MIN (a.x, b.x) - 0.1
          || p.x > MAX (a.x, b.x) + 0.1)
        continue;
      y = a.x == b.x ? b.y : a.y + (b.y - a.y) * (p.x - a.x) / (b.x - a.x);
      if (fabs (y - p.y) < 0.3)
        return TRUE;
    }
  return FALSE;
}

/* Adds a line but for the stretches that are there already. */
static void
add_new (GArray *points, const GArray *line, guint series)
{
  guint before = points->len;
  g_autofree gboolean *known = g_new0 (gboolean, MAX (line->len, 1));

  for (guint i = 0; i < line->len && before > 0; i++)
    known[i] = passes (points, g_array_index (line, Point, i));
  add_point (points, NAN, NAN, series);
  for (guint i = 0; i < line->len; i++)
    {
      Point p = g_array_index (line, Point, i);
      gboolean needed
          = !known[i] || (i > 0 && !known[i - 1]) || (i + 1 < line->len && !known[i + 1]);

      add_point (points, needed ? p.x : (double) NAN, p.y, series);
    }
}

/* The lines of a panel's series, one after the other; a constant one spans the panel.  What one series
 * draws the next does not repeat: dashes over dashes would make a solid line. */
static GArray *
collect_lines (MsFigure *figure, const MsPanel *panel)
{
  const MsChannel *channel = &figure->reference;
  GArray *points = g_array_new (FALSE, FALSE, sizeof (Point));
  g_autoptr (GArray) own = g_array_new (FALSE, FALSE, sizeof (Point));

  if (g_strcmp0 (figure->plot->reference, figure->plot->x) == 0)
    {
      /* The diagonal, where both are equal: one line, whatever the series. */
      double low = fmax (figure->x_axis.low, figure->y_axis.low);
      double high = fmin (figure->x_axis.high, figure->y_axis.high);

      add_point (points, NAN, NAN, 0);
      add_point (points, ms_panel_x (figure, panel, low), ms_panel_y (figure, panel, low), 0);
      add_point (points, ms_panel_x (figure, panel, high), ms_panel_y (figure, panel, high), 0);
      return points;
    }
  for (guint series = 0; series < figure->n_series; series++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, series);
      gboolean constant = TRUE;
      double value = track->n > 0 ? ms_channel_raw (channel, ms_track_row (track, 0)) : NAN;
      guint step = step_of (track, panel);

      for (guint i = 1; i < track->n && constant; i++)
        constant = ms_channel_raw (channel, ms_track_row (track, i)) == value;
      if (constant && isnan (value))
        continue;
      g_array_set_size (own, 0);
      if (constant)
        {
          add_point (own, panel->plot.x, ms_panel_y (figure, panel, value), series);
          add_point (own, panel->plot.x + panel->plot.w, ms_panel_y (figure, panel, value), series);
        }
      for (guint i = 0; i < track->n && !constant; i += step)
        {
          guint row = ms_track_row (track, i);
          double x = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row));
          double y = ms_panel_y (figure, panel, ms_channel_raw (channel, row));

          add_point (own, isfinite (y) && isfinite (x) ? x : (double) NAN, y, series);
        }
      add_new (points, own, series);
    }
  return points;
}

/* The part of the line from a to b between `left` and `right`: FALSE when there is none. */
static gboolean
cut (Point a, Point b, double left, double right, double *top, double *low)
{
  double from = MAX (MIN (a.x, b.x), left), to = MIN (MAX (a.x, b.x), right), y1, y2;

  if (!isfinite (a.x + a.y + b.x + b.y) || from > to)
    return FALSE;
  y1 = a.x == b.x ? a.y : a.y + (b.y - a.y) * (from - a.x) / (b.x - a.x);
  y2 = a.x == b.x ? b.y : a.y + (b.y - a.y) * (to - a.x) / (b.x - a.x);
  *top = MIN (y1, y2);
  *low = MAX (y1, y2);
  return TRUE;
}

static guint
crosses (Point a, Point b, const MsRect *box)
{
  double top, low;

  return cut (a, b, box->x, box->x + box->w, &top, &low) && top < box->y + box->h && low > box->y;
}

/* How many lines, points or bars of the panel a box would hide. */
static guint
count_hidden (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, const GArray *points,
              const MsRect *box)
{
  guint n = 0;

  for (guint i = 1; i < points->len; i++)
    n += crosses (g_array_index (points, Point, i - 1), g_array_index (points, Point, i), box);
  for (guint series = 0; series < figure->n_series; series++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, series);
      guint step = step_of (track, panel);
      Point before = { NAN, NAN, series };

      for (guint i = 0; i < track->n; i += step)
        {
          guint row = ms_track_row (track, i);
          MsRect mark;

          if (figure->mark->joined)
            {
              Point point
                  = { ms_panel_x (figure, panel, ms_channel_get (&figure->x, row)),
                      ms_panel_y (figure, panel, ms_channel_get (&figure->y, row)), series };

              n += crosses (before, point, box);
              before = point;
            }
          else if (figure->mark->locate (figure, layout, panel, row, &mark))
            n += mark.x < box->x + box->w && mark.x + mark.w > box->x && mark.y < box->y + box->h
                 && mark.y + mark.h > box->y;
        }
    }
  return n;
}

/* The name's box above or below the line that begins at point `first`, `share` of the way along the
 * panel; FALSE when it has no place there. */
static gboolean
place_name (const MsLayout *layout, const MsPanel *panel, const GArray *points, guint first,
            double share, gboolean above, MsRect *box)
{
  const MsRect *plot = &panel->plot;
  double inset = layout->em * 0.2, top = INFINITY, low = -INFINITY;

  box->x = plot->x + inset + share * (plot->w - box->w - 2 * inset);
  for (guint i = first + 1; i < points->len; i++)
    {
      double a, b;

      if (cut (g_array_index (points, Point, i - 1), g_array_index (points, Point, i), box->x,
               box->x + box->w, &a, &b))
        {
          top = MIN (top, a);
          low = MAX (low, b);
        }
      else if (isnan (g_array_index (points, Point, i).x) && top <= low)
        break;
    }
  box->y = above ? top - 1 - box->h : low + 1;
  return top <= low && box->y >= plot->y && box->y + box->h <= plot->y + plot->h;
}

static void
write_name (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen,
            const GArray *points)
{
  static const double shares[] = { 1, 0, 0.5, 0.75, 0.25 };
  const char *name = figure->reference.column->title;
  guint best_hidden = G_MAXUINT;
  MsRect box, best = { 0 };

  ms_pen_measure (pen, name, MS_TEXT_SMALL, panel->plot.w * 0.8, &box.w, &box.h);
  /* A line begins after each gap: any of them may carry the name. */
  for (guint first = 0; first < MIN (points->len, 100); first++)
    for (guint i = 0; i < 2 * G_N_ELEMENTS (shares) && best_hidden > 0; i++)
      {
        guint hidden;

        if (!isnan (g_array_index (points, Point, first).x)
            || !place_name (layout, panel, points, first, shares[i / 2], i % 2 == 0, &box))
          continue;
        hidden = count_hidden (figure, layout, panel, points, &box);
        if (hidden < best_hidden)
          {
            best_hidden = hidden;
            best = box;
          }
      }
  if (best_hidden == G_MAXUINT)
    return;
  if (best_hidden > 0)
    {
      ms_pen_colour (pen, pen->theme->paper, 0.8);
      cairo_rectangle (pen->cr, best.x - 1, best.y, best.w + 2, best.h);
      cairo_fill (pen->cr);
    }
  ms_pen_text (pen, best.x, best.y, 0, 0, 0, MS_TEXT_SMALL | MS_TEXT_FAINT,
               ms_pen_ink (pen, MS_TEXT_FAINT), panel->plot.w * 0.8, name);
}

/* In one colour, or each in that of its series where they differ. */
static void
stroke_lines (MsFigure *figure, MsPen *pen, const GArray *points)
{
  const double dash[] = { 3, 2 };
  const Point *all = (const Point *) (const gpointer) points->data;
  gboolean several = FALSE;

  for (guint i = 0, first = MS_NONE; i < points->len; i++)
    if (!isnan (all[i].x))
      {
        first = MIN (first, all[i].series);
        several |= all[i].series != first && !figure->ordered_series;
      }
  cairo_set_dash (pen->cr, dash, 2, 0);
  cairo_set_line_width (pen->cr, pen->theme->line_points * 0.8 * 96 / 72);
  for (guint i = 1; i < points->len; i++)
    {
      if (!isnan (all[i].x) && isnan (all[i - 1].x))
        cairo_move_to (pen->cr, all[i].x, all[i].y);
      else if (!isnan (all[i].x))
        cairo_line_to (pen->cr, all[i].x, all[i].y);
      if (i + 1 < points->len && all[i + 1].series == all[i].series)
        continue;
      ms_pen_colour (pen,
                     several ? ms_figure_series_colour (figure, all[i].series)
                             : ms_pen_ink (pen, MS_TEXT_FAINT),
                     1);
      cairo_stroke (pen->cr);
    }
}

void
ms_reference_draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  g_autoptr (GArray) points = NULL;

  if (figure->reference.column == NULL || figure->n_tracks == 0)
    return;
  points = collect_lines (figure, panel);
  cairo_save (pen->cr);
  cairo_rectangle (pen->cr, panel->plot.x, panel->plot.y, panel->plot.w, panel->plot.h);
  cairo_clip (pen->cr);
  stroke_lines (figure, pen, points);
  cairo_restore (pen->cr);
  /* One panel has room for the name; with several a note tells it. */
  if (figure->n_facets == 1 && g_strcmp0 (figure->plot->reference, figure->plot->x) != 0)
    write_name (figure, layout, panel, pen, points);
}
