/* Lines over x, with a band where there is an interval.  Long lines are thinned to the least and the
 * greatest value of each pixel column, which looks the same; missing values are gaps. */
#include "figure-private.h"

#include <math.h>

#define MARKERS_MOST 40 /* points of a line that still get a marker each */

/* Columns of about one device pixel for long tracks, 0 when each point is drawn. */
static guint
n_columns (const MsTrack *track, const MsPanel *panel, MsPen *pen)
{
  double dx = panel->plot.w, dy = 0;
  guint columns;

  cairo_user_to_device_distance (pen->cr, &dx, &dy);
  columns = (guint) CLAMP (fabs (dx), 50, 8000);
  return track->n > 4 * columns ? columns : 0;
}

static void
line_path (MsFigure *figure, const MsTrack *track, const MsPanel *panel, MsPen *pen)
{
  gboolean open = FALSE;

  for (guint i = 0; i < track->n; i++)
    {
      guint row = ms_track_row (track, i);
      double x = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row));
      double y = ms_panel_y (figure, panel, ms_channel_get (&figure->y, row));

      if (isfinite (x) && isfinite (y))
        {
          if (open)
            cairo_line_to (pen->cr, x, y);
          else
            cairo_move_to (pen->cr, x, y);
        }
      open = isfinite (x) && isfinite (y);
    }
}

/* A long line as one upright bar for each column of pixels, from its least to its greatest value and on
 * to where the column before ended: filling bars costs a tenth of stroking the same zigzag. */
static void
fill_columns (MsFigure *figure, const MsTrack *track, const MsPanel *panel, MsPen *pen,
              guint columns, double width)
{
  double step = panel->plot.w / columns, before_top = NAN, before_low = NAN;
  guint from = 0;

  for (guint c = 0; c < columns; c++)
    {
      double edge = ms_axis_value (&figure->x_axis, (c + 1.0) / columns), least, most, top, low;
      guint to = c + 1 == columns ? track->n : ms_track_search (figure, track, edge);

      if (to <= from)
        continue;
      if (!ms_track_range (track, &figure->y, &track->y, from, to, &least, &most))
        {
          before_top = before_low = NAN;
          from = to;
          continue;
        }
      from = to;
      top = CLAMP (ms_panel_y (figure, panel, most), -1e5, 1e5);
      low = CLAMP (ms_panel_y (figure, panel, least), -1e5, 1e5);
      cairo_rectangle (pen->cr, panel->plot.x + c * step, fmin (top, before_low) - width / 2, step,
                       fmax (low, before_top) - fmin (top, before_low) + width);
      before_top = top;
      before_low = low;
    }
  cairo_fill (pen->cr);
}

/* One closed shape for each stretch of points that have both ends. */
static void
band_path (MsFigure *figure, const MsTrack *track, const MsPanel *panel, MsPen *pen)
{
  guint columns = n_columns (track, panel, pen), n = columns > 0 ? columns : track->n, from = 0;
  g_autofree double *x = g_new (double, MAX (n, 1));
  g_autofree double *low = g_new (double, MAX (n, 1)), *high = g_new (double, MAX (n, 1));
  guint used = 0;

  for (guint i = 0; i <= n; i++)
    {
      double a = NAN, b = NAN, at = 0, ignore;

      if (i < n && columns > 0)
        {
          double edge = ms_axis_value (&figure->x_axis, (i + 1.0) / columns);
          guint to = i + 1 == columns ? track->n : ms_track_search (figure, track, edge);

          at = panel->plot.x + panel->plot.w * (i + 0.5) / columns;
          if (to <= from)
            continue;
          if (!ms_track_range (track, &figure->low, &track->low, from, to, &a, &ignore)
              || !ms_track_range (track, &figure->high, &track->high, from, to, &ignore, &b))
            a = b = NAN;
          from = to;
        }
      else if (i < n)
        {
          guint row = ms_track_row (track, i);

          at = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row));
          a = ms_channel_get (&figure->low, row);
          b = ms_channel_get (&figure->high, row);
        }
      a = CLAMP (ms_panel_y (figure, panel, a), -1e5, 1e5);
      b = CLAMP (ms_panel_y (figure, panel, b), -1e5, 1e5);
      if (isfinite (a) && isfinite (b) && isfinite (at) && i < n)
        {
          x[used] = at;
          low[used] = a;
          high[used++] = b;
          continue;
        }
      cairo_new_sub_path (pen->cr);
      for (guint p = 0; p < used; p++)
        cairo_line_to (pen->cr, x[p], low[p]);
      for (guint p = used; p > 0; p--)
        cairo_line_to (pen->cr, x[p - 1], high[p - 1]);
      if (used > 0)
        cairo_close_path (pen->cr);
      used = 0;
    }
}

/* A marker at every point, or only at those that no line reaches. */
static void
draw_markers (MsFigure *figure, const MsTrack *track, const MsPanel *panel, MsPen *pen,
              gboolean all)
{
  MsColour colour = ms_figure_series_colour (figure, track->series);
  double before = NAN;

  for (guint i = 0; i < track->n; i++)
    {
      guint row = ms_track_row (track, i);
      double x = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row));
      double y = ms_panel_y (figure, panel, ms_channel_get (&figure->y, row));
      double after = i + 1 < track->n ? ms_channel_get (&figure->y, ms_track_row (track, i + 1))
                                      : (double) NAN;

      if (isfinite (x) && isfinite (y) && (all || (!isfinite (before) && !isfinite (after))))
        ms_pen_marker (pen, figure->ordered_series ? 0 : ms_figure_slot (figure, track->series), x,
                       y, pen->em * 0.22, colour);
      before = y;
    }
}

/* Among series coloured along a scale the one that is no number. */
static gboolean
is_strong (const MsFigure *figure, guint series)
{
  return figure->ordered_series && isnan (figure->series.numbers[series]);
}

static void
draw_track (MsFigure *figure, const MsTrack *track, const MsPanel *panel, MsPen *pen)
{
  MsColour colour = ms_figure_series_colour (figure, track->series);
  guint slot = figure->ordered_series ? MS_SERIES_MAX : ms_figure_slot (figure, track->series);
  gboolean grey = !figure->ordered_series && track->series >= figure->theme.n_series;
  gboolean strong = is_strong (figure, track->series);
  double width = pen->theme->line_points * 96 / 72 * (grey ? 0.6 : strong ? 1.3 : 1);
  cairo_t *cr = pen->cr;

  if (figure->low.column != NULL && figure->high.column != NULL && !grey)
    {
      band_path (figure, track, panel, pen);
      ms_pen_colour (pen, colour, figure->n_series > 3 ? 0.13 : 0.2);
      cairo_fill (cr);
    }
  if (n_columns (track, panel, pen) > 0)
    {
      ms_pen_colour (pen, colour, 1);
      fill_columns (figure, track, panel, pen, n_columns (track, panel, pen), width);
      return;
    }
  line_path (figure, track, panel, pen);
  cairo_set_line_width (cr, width);
  ms_pen_dash (pen, slot, width);
  if (slot == MS_YELLOW_SLOT)
    {
      /* Yellow is faint on white: a dark outline carries it. */
      cairo_set_line_width (cr, width + 1);
      ms_pen_colour (pen, ms_pen_ink (pen, MS_TEXT_FAINT), 1);
      cairo_stroke_preserve (cr);
      cairo_set_line_width (cr, width);
    }
  ms_pen_colour (pen, colour, 1);
  cairo_stroke (cr);
  cairo_set_dash (cr, NULL, 0, 0);
  draw_markers (figure, track, panel, pen,
                track->n <= (figure->n_series == 1 ? MARKERS_MOST / 2 : MARKERS_MOST)
                    && (track->n < 3 || panel->plot.w / track->n > pen->em * 0.8) && !grey
                    && !figure->ordered_series);
}

typedef struct
{
  double y, wanted;
  guint series;
} End;

static int
compare_ends (gconstpointer a, gconstpointer b)
{
  const End *p = a, *q = b;

  return (p->wanted > q->wanted) - (p->wanted < q->wanted);
}

/* Names at the right ends, pushed apart until they do not touch, with leaders where they moved. */
static void
draw_names (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  End ends[MS_SERIES_MAX];
  guint n = 0;
  double spacing = layout->line * 0.95, top = panel->plot.y + spacing / 2;
  double low = panel->plot.y + panel->plot.h - spacing / 2;

  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);

      for (guint i = track->n; i > 0; i--)
        {
          double y = ms_panel_y (figure, panel,
                                 ms_channel_get (&figure->y, ms_track_row (track, i - 1)));

          if (isfinite (y))
            {
              y = CLAMP (y, panel->plot.y, panel->plot.y + panel->plot.h);
              ends[n++] = (End){ y, y, s };
              break;
            }
        }
    }
  qsort (ends, n, sizeof *ends, compare_ends);
  for (guint i = 0; i < n; i++)
    ends[i].y = MAX (ends[i].wanted, i == 0 ? top : ends[i - 1].y + spacing);
  for (guint i = n; i > 0; i--)
    ends[i - 1].y = MIN (ends[i - 1].y, i == n ? low : ends[i].y - spacing);
  for (guint i = 0; i < n; i++)
    {
      MsColour colour = ms_figure_series_colour (figure, ends[i].series);
      g_autofree char *name = ms_series_name (figure, ends[i].series);
      double x = panel->plot.x + panel->plot.w;

      if (fabs (ends[i].y - ends[i].wanted) > 1)
        {
          cairo_set_line_width (pen->cr, 0.6);
          ms_pen_colour (pen, colour, 1);
          ms_pen_line (pen, x + 1, ends[i].wanted, layout->direct_x - 1, ends[i].y);
        }
      ms_pen_text (pen, layout->direct_x + 1, ends[i].y, 0, 0.5, 0, MS_TEXT_PLAIN,
                   ms_colour_mix (colour, pen->theme->ink, 0.35), 0, name);
    }
}

static void
draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  cairo_save (pen->cr);
  cairo_rectangle (pen->cr, panel->plot.x - 3, panel->plot.y - 3, panel->plot.w + 6,
                   panel->plot.h + 6);
  cairo_clip (pen->cr);
  /* The first series is drawn last, on top; of a scale's the strong one. */
  for (guint round = 0; round < 2; round++)
    for (guint s = figure->n_series; s > 0; s--)
      if (is_strong (figure, s - 1) == (round == 1))
        draw_track (figure, ms_track_find (figure, panel->facet, s - 1), panel, pen);
  cairo_restore (pen->cr);
  if (layout->direct)
    draw_names (figure, layout, panel, pen);
}

static int
pick (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, double x, double y)
{
  double reach = 1.2 * layout->em, best = reach * reach;
  int found = -1;

  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);
      double left = ms_axis_value (&figure->x_axis, (x - reach - panel->plot.x) / panel->plot.w);
      double right = ms_axis_value (&figure->x_axis, (x + reach - panel->plot.x) / panel->plot.w);
      guint last = ms_track_search (figure, track, right);

      for (guint i = ms_track_search (figure, track, left); i < track->n && i <= last; i++)
        {
          guint row = ms_track_row (track, i);
          double dx = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row)) - x;
          double dy = ms_panel_y (figure, panel, ms_channel_get (&figure->y, row)) - y;

          if (dx * dx + dy * dy < best)
            {
              best = dx * dx + dy * dy;
              found = (int) row;
            }
        }
    }
  return found;
}

const MsMarkClass ms_mark_line = { .needs = MS_NEEDS_X | MS_NEEDS_Y,
                                   .takes_series = TRUE,
                                   .series = MS_SERIES_CURVES,
                                   .tracks = TRUE,
                                   .joined = TRUE,
                                   .legend = TRUE,
                                   .axes = TRUE,
                                   .grid = TRUE,
                                   .intervals = "Band",
                                   .panel_height = ms_chart_height,
                                   .draw = draw,
                                   .pick = pick,
                                   .locate = ms_point_locate,
                                   .step = ms_tracks_step,
                                   .swatch = ms_swatch_line };
