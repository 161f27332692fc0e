/* Points, with labels placed where they touch neither points nor one another. */
#include "figure-private.h"

#include <math.h>

#define MANY         3000 /* points beyond this are drawn as dots of a mask */
#define LABELS_MOST  80
#define LABELS_TRIED 400

static gboolean
place (MsFigure *figure, const MsPanel *panel, guint row, double *x, double *y)
{
  *x = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row));
  *y = ms_panel_y (figure, panel, ms_channel_get (&figure->y, row));
  return isfinite (*x) && isfinite (*y);
}

/* Very many points: a mask of the panel with a dot for each, at two pixels a unit or the device's. */
static void
draw_dots (MsFigure *figure, const MsTrack *track, const MsPanel *panel, MsPen *pen)
{
  double scale = 1, ignore = 0;
  gboolean image = cairo_surface_get_type (cairo_get_target (pen->cr)) == CAIRO_SURFACE_TYPE_IMAGE;
  int w, h, dot, stride;
  cairo_surface_t *mask;
  guint8 *data;

  cairo_user_to_device_distance (pen->cr, &scale, &ignore);
  scale = image ? CLAMP (fabs (scale), 0.5, 8) : 2;
  w = (int) ceil (panel->plot.w * scale);
  h = (int) ceil (panel->plot.h * scale);
  dot = MAX (1, (int) lround (1.3 * scale));
  mask = cairo_image_surface_create (CAIRO_FORMAT_A8, MAX (w, 1), MAX (h, 1));
  data = cairo_image_surface_get_data (mask);
  stride = cairo_image_surface_get_stride (mask);
  for (guint i = 0; i < track->n && data != NULL; i++)
    {
      double x, y;
      int left, top;

      if (!place (figure, panel, ms_track_row (track, i), &x, &y))
        continue;
      left = (int) CLAMP ((x - panel->plot.x) * scale - dot / 2.0, 0, w);
      top = (int) CLAMP ((y - panel->plot.y) * scale - dot / 2.0, 0, h);
      for (int v = top; v < MIN (top + dot, h); v++)
        for (int u = left; u < MIN (left + dot, w); u++)
          data[(gsize) v * stride + u] = 0xff;
    }
  cairo_surface_mark_dirty (mask);
  cairo_save (pen->cr);
  cairo_rectangle (pen->cr, panel->plot.x, panel->plot.y, panel->plot.w, panel->plot.h);
  cairo_clip (pen->cr);
  cairo_translate (pen->cr, panel->plot.x, panel->plot.y);
  cairo_scale (pen->cr, 1 / scale, 1 / scale);
  ms_pen_colour (pen, ms_figure_series_colour (figure, track->series), 0.75);
  cairo_mask_surface (pen->cr, mask, 0, 0);
  cairo_restore (pen->cr);
  cairo_surface_destroy (mask);
}

static gboolean
interval_of (MsFigure *figure, const MsPanel *panel, guint row, double *top, double *low)
{
  if (figure->low.column == NULL || figure->high.column == NULL)
    return FALSE;
  *low = ms_panel_y (figure, panel, ms_channel_get (&figure->low, row));
  *top = ms_panel_y (figure, panel, ms_channel_get (&figure->high, row));
  return isfinite (*low) && isfinite (*top);
}

static void
draw_interval (MsFigure *figure, const MsPanel *panel, MsPen *pen, guint row, double x)
{
  double top, low;

  if (!interval_of (figure, panel, row, &top, &low))
    return;
  cairo_set_line_width (pen->cr, 0.7);
  ms_pen_colour (pen, ms_pen_ink (pen, MS_TEXT_FAINT), 1);
  ms_pen_line (pen, x, low, x, top);
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
  guint written = 0, tried = 0;

  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);

      for (guint i = 0; i < track->n && taken->len < MANY; i++)
        {
          MsRect point;
          double x, y, top, low;

          if (!place (figure, panel, ms_track_row (track, i), &x, &y))
            continue;
          point = (MsRect){ x - radius, y - radius, 2 * radius, 2 * radius };
          g_array_append_val (taken, point);
          if (interval_of (figure, panel, ms_track_row (track, i), &top, &low))
            {
              point = (MsRect){ x - 0.5, top, 1, low - top };
              g_array_append_val (taken, point);
            }
        }
    }
  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, panel->facet, s);

      for (guint i = 0; i < track->n && written < LABELS_MOST && tried < LABELS_TRIED; i++)
        {
          guint row = ms_track_row (track, i);
          g_autofree char *text = ms_table_format (figure->table, row, figure->label.index);
          double x, y, w, h;

          if (text[0] == '\0' || !place (figure, panel, row, &x, &y))
            continue;
          tried++;
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
              box.x -= 0.2 * layout->em;
              box.w += 0.4 * layout->em;
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

      if (track->n > MANY || figure->n_rows > 4 * MANY)
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
          ms_pen_marker (pen, figure->ordered_series ? 0 : ms_figure_slot (figure, s - 1), x, y,
                         layout->em * (track->n > 300 || figure->n_rows > 150 ? 0.16 : 0.26),
                         colour);
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

const MsMarkClass ms_mark_scatter = { .needs = MS_NEEDS_X | MS_NEEDS_Y,
                                      .takes_series = TRUE,
                                      .series = MS_SERIES_CURVES,
                                      .tracks = TRUE,
                                      .legend = TRUE,
                                      .axes = TRUE,
                                      .grid = TRUE,
                                      .measured = TRUE,
                                      .intervals = "Error bars",
                                      .panel_height = panel_height,
                                      .draw = draw,
                                      .pick = pick,
                                      .locate = ms_point_locate,
                                      .step = ms_tracks_step,
                                      .swatch = ms_swatch_point };
