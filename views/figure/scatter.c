/* Points, with labels placed where they touch neither points nor one another. */
#include "figure-private.h"

#include <math.h>

#define MANY        3000 /* points beyond this are drawn as dots, one for each pixel they touch */
#define LABELS_MOST 80

static gboolean
place (MsFigure *figure, const MsPanel *panel, guint row, double *x, double *y)
{
  *x = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row));
  *y = ms_panel_y (figure, panel, ms_channel_get (&figure->y, row));
  return isfinite (*x) && isfinite (*y);
}

static void
draw_dots (MsFigure *figure, const MsTrack *track, const MsPanel *panel, MsPen *pen)
{
  guint w = (guint) ceil (panel->plot.w) + 1, h = (guint) ceil (panel->plot.h) + 1;
  g_autofree guint8 *taken = g_new0 (guint8, (gsize) w * h);

  for (guint i = 0; i < track->n; i++)
    {
      double x, y;
      gsize cell;

      if (!place (figure, panel, ms_track_row (track, i), &x, &y))
        continue;
      cell = (gsize) CLAMP (y - panel->plot.y, 0, h - 1) * w
             + (gsize) CLAMP (x - panel->plot.x, 0, w - 1);
      if (taken[cell])
        continue;
      taken[cell] = 1;
      cairo_rectangle (pen->cr, x - 0.6, y - 0.6, 1.2, 1.2);
    }
  ms_pen_colour (pen, ms_figure_series_colour (figure, track->series), 0.75);
  cairo_fill (pen->cr);
}

static void
draw_interval (MsFigure *figure, const MsPanel *panel, MsPen *pen, guint row, double x)
{
  double y1 = ms_panel_y (figure, panel, ms_channel_get (&figure->low, row));
  double y2 = ms_panel_y (figure, panel, ms_channel_get (&figure->high, row));

  if (figure->low.column == NULL || figure->high.column == NULL || !isfinite (y1) || !isfinite (y2))
    return;
  cairo_set_line_width (pen->cr, 0.7);
  ms_pen_colour (pen, ms_pen_ink (pen, MS_TEXT_FAINT), 1);
  ms_pen_line (pen, x, y1, x, y2);
}

static gboolean
overlaps (const MsRect *a, const MsRect *b)
{
  return a->x < b->x + b->w && b->x < a->x + a->w && a->y < b->y + b->h && b->y < a->y + a->h;
}

static void
draw_labels (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  /* Where a label may stand about its point: its anchor and the direction of its offset. */
  static const double spots[][4]
      = { { 0, 0.5, 1, 0 },    { 1, 0.5, -1, 0 },    { 0.5, 1, 0, -1 },  { 0.5, 0, 0, 1 },
          { 0, 1, 0.7, -0.7 }, { 1, 1, -0.7, -0.7 }, { 0, 0, 0.7, 0.7 }, { 1, 0, -0.7, 0.7 } };
  g_autoptr (GArray) taken = g_array_new (FALSE, FALSE, sizeof (MsRect));
  double radius = layout->em * 0.28, off = layout->em * 0.4;
  guint written = 0;

  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);

      for (guint i = 0; i < track->n && taken->len < MANY; i++)
        {
          MsRect point;
          double x, y;

          if (!place (figure, panel, ms_track_row (track, i), &x, &y))
            continue;
          point = (MsRect){ x - radius, y - radius, 2 * radius, 2 * radius };
          g_array_append_val (taken, point);
        }
    }
  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);

      for (guint i = 0; i < track->n && written < LABELS_MOST; i++)
        {
          guint row = ms_track_row (track, i);
          g_autofree char *text = ms_table_format (figure->table, row, figure->label.index);
          double x, y, w, h;

          if (text[0] == '\0' || !place (figure, panel, row, &x, &y))
            continue;
          ms_pen_measure (pen, text, MS_TEXT_SMALL, 9 * layout->em, &w, &h);
          h *= 0.85;
          for (guint c = 0; c < G_N_ELEMENTS (spots); c++)
            {
              MsRect box = { x + spots[c][2] * off - spots[c][0] * w,
                             y + spots[c][3] * off - spots[c][1] * h, w, h };
              gboolean free = box.x >= panel->plot.x && box.y >= panel->plot.y
                              && box.x + w <= panel->plot.x + panel->plot.w
                              && box.y + h <= panel->plot.y + panel->plot.h;

              for (guint t = 0; t < taken->len && free; t++)
                free = !overlaps (&box, &g_array_index (taken, MsRect, t));
              if (!free)
                continue;
              ms_pen_text (pen, box.x, box.y + h / 2, 0, 0.5, 0, MS_TEXT_SMALL,
                           ms_pen_ink (pen, MS_TEXT_PLAIN), 9 * layout->em, text);
              g_array_append_val (taken, box);
              written++;
              break;
            }
        }
    }
}

static void
draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  for (guint s = figure->n_series; s > 0; s--)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s - 1);
      MsColour colour = ms_figure_series_colour (figure, s - 1);

      if (track->n > MANY)
        {
          draw_dots (figure, track, panel, pen);
          continue;
        }
      for (guint i = 0; i < track->n; i++)
        {
          guint row = ms_track_row (track, i);
          double x, y;

          if (!place (figure, panel, row, &x, &y))
            continue;
          draw_interval (figure, panel, pen, row, x);
          ms_pen_marker (pen, figure->ordered_series ? 0 : s - 1, x, y,
                         layout->em * (track->n > 300 ? 0.16 : 0.26), colour);
        }
    }
  if (figure->label.column != NULL)
    draw_labels (figure, layout, panel, pen);
}

static int
pick (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, double x, double y)
{
  double best = layout->em * layout->em;
  int found = -1;

  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);

      for (guint i = 0; i < track->n; i++)
        {
          guint row = ms_track_row (track, i);
          double px, py, far;

          if (!place (figure, panel, row, &px, &py))
            continue;
          far = (px - x) * (px - x) + (py - y) * (py - y);
          if (far < best)
            {
              best = far;
              found = (int) row;
            }
        }
    }
  return found;
}

static double
panel_height (MsFigure *figure, double width, double em)
{
  (void) figure;
  return CLAMP (width * 0.8, 6 * em, 28 * em);
}

const MsMarkClass ms_mark_scatter = { .panel_height = panel_height,
                                      .draw = draw,
                                      .pick = pick,
                                      .locate = ms_point_locate,
                                      .step = ms_tracks_step,
                                      .axes = TRUE,
                                      .grid = TRUE };
