/* Drawing a figure: paper, panels with their marks, axes, legend, colour bar, title, notes. */
#include "figure-private.h"

#include <math.h>

static void
draw_grid (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  const MsRect *plot = &panel->plot;

  if (!figure->mark->grid)
    return;
  cairo_set_line_width (pen->cr, 0.5);
  ms_pen_colour (pen, pen->theme->faint, 0.55);
  for (guint i = 0; i < layout->y_labels->len && figure->y.of_row == NULL; i++)
    {
      double y = plot->y + (1 - g_array_index (layout->y_labels, MsLabel, i).at) * plot->h;

      ms_pen_line (pen, plot->x, y, plot->x + plot->w, y);
    }
}

/* A faint line from a tick to a label that stands behind the others; returns the y of its end. */
static double
lead (MsPen *pen, double x, double y, double dx, double dy)
{
  cairo_set_line_width (pen->cr, 0.35);
  ms_pen_colour (pen, ms_pen_ink (pen, MS_TEXT_FAINT), 1);
  ms_pen_line (pen, x, y, x + dx, y + dy);
  cairo_set_line_width (pen->cr, 0.7);
  return y + dy;
}

static void
draw_axes (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  const MsRect *plot = &panel->plot;
  MsColour ink = ms_pen_ink (pen, MS_TEXT_PLAIN);
  double tick = layout->em * 0.25, pad = layout->em * 0.4;

  cairo_set_line_width (pen->cr, 0.7);
  ms_pen_colour (pen, ink, 1);
  if (figure->mark->framed)
    {
      cairo_rectangle (pen->cr, plot->x, plot->y, plot->w, plot->h);
      cairo_stroke (pen->cr);
    }
  else
    {
      cairo_move_to (pen->cr, plot->x, plot->y);
      cairo_rel_line_to (pen->cr, 0, plot->h);
      cairo_rel_line_to (pen->cr, plot->w, 0);
      cairo_stroke (pen->cr);
    }
  for (guint i = 0; i < layout->x_labels->len; i++)
    {
      const MsLabel *label = &g_array_index (layout->x_labels, MsLabel, i);
      double x = plot->x + label->at * plot->w, y = plot->y + plot->h;

      ms_pen_colour (pen, ink, 1);
      ms_pen_line (pen, x, y, x, y + tick);
      if (!panel->bottom)
        continue;
      if (label->rank > 0)
        y = lead (pen, x, y + tick, 0, layout->x_rank) - tick;
      if (layout->x_angle == 0)
        ms_pen_text (pen, x, y + pad, 0.5, 0, 0, layout->x_style, ink, layout->x_label_width,
                     label->text);
      else
        ms_pen_text (pen, x + (layout->x_angle < 90 ? layout->line * 0.25 : 0), y + pad * 0.9, 1,
                     0.5, -layout->x_angle, layout->x_style, ink, layout->x_label_width,
                     label->text);
    }
  for (guint i = 0; i < layout->y_labels->len; i++)
    {
      const MsLabel *label = &g_array_index (layout->y_labels, MsLabel, i);
      double at = figure->y_down ? label->at : 1 - label->at, y = plot->y + at * plot->h;

      ms_pen_colour (pen, ink, 1);
      ms_pen_line (pen, plot->x - tick, y, plot->x, y);
      if (!panel->left)
        continue;
      if (label->rank > 0)
        lead (pen, plot->x - tick, y, -layout->y_rank, 0);
      ms_pen_text (pen, plot->x - pad - (label->rank > 0 ? layout->y_rank : 0), y, 1, 0.5, 0,
                   layout->y_style, ink, layout->y_label_width, label->text);
    }
}

static void
draw_strip (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  g_autofree char *title = NULL;
  double width, most = panel->plot.w + 0.6 * layout->em;
  guint style = MS_TEXT_PLAIN;

  if (!layout->strips)
    return;
  title = ms_facet_title (figure, panel->facet);
  /* A narrow panel's heading: small letters, then the number alone. */
  for (guint i = 0; i < 2; i++)
    {
      ms_pen_measure (pen, title, style, 0, &width, NULL);
      if (width <= most)
        break;
      if (i == 1 && figure->facet.numbers != NULL)
        {
          g_free (title);
          title = g_strdup (figure->facet.names[panel->facet]);
        }
      style = MS_TEXT_SMALL;
    }
  ms_pen_text (pen, panel->plot.x + panel->plot.w / 2,
               panel->plot.y - layout->tree - layout->em * 0.15, 0.5, 1, 0, style,
               ms_pen_ink (pen, MS_TEXT_PLAIN), most, title);
}

/* The title of an upright axis, centred at `middle` but between the figure's head and its notes; small when
 * long. */
static void
draw_upright (const MsLayout *layout, MsPen *pen, double x, double middle, double angle,
              const char *text)
{
  double most = layout->note_y - layout->head, length;
  guint style = MS_TEXT_PLAIN;

  ms_pen_measure (pen, text, style, 0, &length, NULL);
  if (length > most)
    {
      style = MS_TEXT_SMALL;
      ms_pen_measure (pen, text, style, most, &length, NULL);
    }
  middle = CLAMP (middle, layout->head + length / 2,
                  MAX (layout->note_y, layout->head + length) - length / 2);
  ms_pen_text (pen, x, middle, 0.5, 0, angle, style, pen->theme->ink, most, text);
}

/* A point of the colour bar: t along the scale, s (0..1) across it, plus `off` beyond its far side. */
static void
bar_point (const MsLayout *layout, double t, double s, double off, double *x, double *y)
{
  const MsRect *bar = &layout->bar;

  if (layout->across)
    {
      *x = bar->x + t * bar->w;
      *y = bar->y + s * bar->h + off;
    }
  else
    {
      *x = bar->x + s * bar->w + off;
      *y = bar->y + (1 - t) * bar->h;
    }
}

static MsColour
bar_colour (const MsFigure *figure, double t)
{
  return figure->ordered_series ? ms_figure_order_colour (figure, t)
         : figure->diverging    ? ms_colour_diverging (&figure->theme, 2 * t - 1)
                                : ms_colour_sequential (&figure->theme, t);
}

/* The triangle at an end of the bar beyond which values are clipped. */
static void
draw_clip (MsFigure *figure, const MsLayout *layout, MsPen *pen, double end)
{
  double length = layout->across ? layout->bar.w : layout->bar.h, x[3], y[3];
  double beyond = layout->em * 0.55 / MAX (length, 1);

  bar_point (layout, end, 0, 0, &x[0], &y[0]);
  bar_point (layout, end > 0.5 ? 1 + beyond : -beyond, 0.5, 0, &x[1], &y[1]);
  bar_point (layout, end, 1, 0, &x[2], &y[2]);
  for (guint i = 0; i < 3; i++)
    cairo_line_to (pen->cr, x[i], y[i]);
  cairo_close_path (pen->cr);
  ms_pen_colour (pen, bar_colour (figure, end), 1);
  cairo_fill_preserve (pen->cr);
  ms_pen_colour (pen, pen->theme->ink, 1);
  cairo_set_line_width (pen->cr, 0.5);
  cairo_stroke (pen->cr);
}

static void
draw_bar (MsFigure *figure, const MsLayout *layout, MsPen *pen)
{
  const MsRect *bar = &layout->bar;
  MsColour ink = ms_pen_ink (pen, MS_TEXT_PLAIN);
  const guint stops = 32; /* between which the colours are near enough to straight */
  cairo_pattern_t *scale;
  double x1, y1, x2, y2;

  if (!figure->has_value)
    return;
  bar_point (layout, 0, layout->across ? 0.5 : 0, 0, &x1, &y1);
  bar_point (layout, 1, layout->across ? 0.5 : 0, 0, &x2, &y2);
  scale = cairo_pattern_create_linear (x1, y1, x2, y2);
  for (guint i = 0; i <= stops; i++)
    {
      MsColour colour = bar_colour (figure, (double) i / stops);

      cairo_pattern_add_color_stop_rgb (scale, (double) i / stops, colour.r, colour.g, colour.b);
    }
  cairo_rectangle (pen->cr, bar->x, bar->y, bar->w, bar->h);
  cairo_set_source (pen->cr, scale);
  cairo_fill (pen->cr);
  cairo_pattern_destroy (scale);
  if (figure->diverging && figure->theme.signs)
    {
      double x, y, half = layout->em * 0.22;

      bar_point (layout, 0.22, 0.5, 0, &x, &y);
      cairo_set_line_width (pen->cr, 0.6);
      ms_pen_colour (pen, ms_colour_text_on (bar_colour (figure, 0.22)), 0.8);
      ms_pen_line (pen, x - half, y, x + half, y);
    }
  if (figure->clip_low)
    draw_clip (figure, layout, pen, 0);
  if (figure->clip_high)
    draw_clip (figure, layout, pen, 1);
  cairo_set_line_width (pen->cr, 0.5);
  ms_pen_colour (pen, ink, 1);
  cairo_rectangle (pen->cr, bar->x, bar->y, bar->w, bar->h);
  cairo_stroke (pen->cr);
  for (guint i = 0; i < layout->bar_labels->len; i++)
    {
      const MsLabel *label = &g_array_index (layout->bar_labels, MsLabel, i);

      bar_point (layout, label->at, 1, 0, &x1, &y1);
      bar_point (layout, label->at, 1, layout->em * 0.25, &x2, &y2);
      ms_pen_colour (pen, ink, 1);
      ms_pen_line (pen, x1, y1, x2, y2);
      bar_point (layout, label->at, 1, layout->em * (layout->across ? 0.3 : 0.45), &x2, &y2);
      ms_pen_text (pen, x2, y2, layout->across ? 0.5 : 0, layout->across ? 0 : 0.5, 0,
                   MS_TEXT_PLAIN, ink, 6 * layout->em, label->text);
    }
  if (layout->across)
    ms_pen_text (pen, bar->x - layout->em, bar->y + bar->h / 2, 1, 0.5, 0, MS_TEXT_PLAIN, ink,
                 bar->x - layout->em * 1.4, figure->bar_title);
  else
    draw_upright (layout, pen, layout->width - layout->em * 0.3, bar->y + bar->h / 2, 90,
                  figure->bar_title);
}

void
ms_figure_draw (MsFigure *figure, cairo_t *cr, double width, double height)
{
  const MsLayout *layout = ms_figure_layout (figure, width, height);
  g_auto (MsPen) pen = { 0 };
  MsColour ink;
  double em = layout->em;
  g_autofree char *notes = ms_figure_drawn_notes (figure, layout->shown);
  g_autofree char *x_title = ms_figure_x_title (figure);
  g_autofree char *y_title = ms_figure_y_title (figure);

  cairo_save (cr);
  cairo_new_path (cr);
  cairo_set_dash (cr, NULL, 0, 0);
  cairo_set_line_join (cr, CAIRO_LINE_JOIN_ROUND);
  ms_pen_init (&pen, &figure->theme, cr);
  pen.compact = figure->compact;
  ink = ms_pen_ink (&pen, MS_TEXT_PLAIN);
  ms_pen_colour (&pen, figure->theme.paper, 1);
  cairo_rectangle (cr, 0, 0, width, height);
  cairo_fill (cr);
  if (figure->panel != NULL)
    ms_pen_text (&pen, em * 0.4, em * 0.4, 0, 0, 0, MS_TEXT_BOLD, ink, 0, figure->panel);
  if (figure->title != NULL && !layout->wraps)
    ms_pen_text (&pen, layout->title_x, layout->title_y, 0, 0, 0, MS_TEXT_BOLD, ink,
                 width - layout->title_x - em * 0.4, figure->title);
  else if (figure->title != NULL)
    ms_pen_paragraph (&pen, layout->title_x, layout->title_y, width - layout->title_x - em * 0.4,
                      MS_TEXT_BOLD, figure->title);
  for (guint i = 0; i < layout->panels->len; i++)
    {
      const MsPanel *panel = &g_array_index (layout->panels, MsPanel, i);

      draw_grid (figure, layout, panel, &pen);
      figure->mark->draw (figure, layout, panel, &pen);
      cairo_set_dash (cr, NULL, 0, 0);
      cairo_new_path (cr);
      if (!figure->mark->axes)
        continue;
      ms_reference_draw (figure, layout, panel, &pen);
      draw_axes (figure, layout, panel, &pen);
      if (figure->empty)
        ms_pen_text (&pen, panel->plot.x + panel->plot.w / 2, panel->plot.y + panel->plot.h / 2,
                     0.5, 0.5, 0, MS_TEXT_PLAIN, ms_pen_ink (&pen, MS_TEXT_FAINT), panel->plot.w,
                     "no data");
      draw_strip (figure, layout, panel, &pen);
    }
  if (figure->mark->axes && layout->panels->len > 0)
    {
      const MsPanel *first = &g_array_index (layout->panels, MsPanel, 0);
      double right = 0, low = 0;

      for (guint i = 0; i < layout->panels->len; i++)
        {
          const MsPanel *panel = &g_array_index (layout->panels, MsPanel, i);

          right = MAX (right, panel->plot.x + panel->plot.w);
          low = MAX (low, panel->plot.y + panel->plot.h);
        }
      {
        double middle = (first->plot.x + right) / 2,
               most = MAX (right - first->plot.x, width * 0.8);
        guint style = MS_TEXT_PLAIN;

        if (layout->bars > 0)
          {
            /* What the bars at the right are is told beside it. */
            double length;

            most = MIN (most, right - em);
            ms_pen_measure (&pen, x_title, style, 0, &length, NULL);
            if (length > most)
              style = MS_TEXT_SMALL;
            ms_pen_measure (&pen, x_title, style, most, &length, NULL);
            middle = MIN (middle, right - 0.4 * em - length / 2);
          }
        ms_pen_text (&pen, middle, layout->x_title_y, 0.5, 0, 0, style, ink, most, x_title);
      }
      draw_upright (layout, &pen, layout->y_title_x, (first->plot.y + low) / 2, -90, y_title);
    }
  ms_legend_draw (figure, layout, &pen);
  draw_bar (figure, layout, &pen);
  if (notes != NULL)
    ms_pen_paragraph (&pen, em * 0.4, layout->note_y, width - em * 0.8, MS_TEXT_SMALL, notes);
  cairo_restore (cr);
}

double
ms_figure_natural_height (MsFigure *figure, double width)
{
  g_autoptr (MsLayout) layout = ms_layout_new (figure, width, 0);

  return layout->height;
}
