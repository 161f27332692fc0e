/* Margins: bars beside a heatmap, at its right one for each row of cells, on top one for each column.
 *
 * They begin at zero and are drawn as one path, so that bars narrower than a pixel average as the map's
 * cells do.  Small figures and small multiples go without. */
#include "figure-private.h"

#include <math.h>

#define LEAST_WIDTH  30 /* em; below this the map needs the room itself */
#define LEAST_HEIGHT 10
#define GAP          0.5 /* em between the map and the bars */

/* --- Numbers ---------------------------------------------------------------------------------- */

typedef struct
{
  double sum, weight, most;
} Sum;

static double
finish (const Sum *sum, MsMarginKind kind)
{
  if (kind == MS_MARGIN_MOST)
    return isfinite (sum->most) ? sum->most : (double) NAN;
  return sum->weight > 0 ? sum->sum / sum->weight : (double) NAN;
}

static void
add (Sum *sum, MsMarginKind kind, double value, double weight)
{
  if (!isfinite (value) || !(weight > 0) || !isfinite (weight))
    return;
  sum->sum += weight * (kind == MS_MARGIN_SIZE ? fabs (value) : value);
  sum->weight += weight;
  sum->most = MAX (sum->most, value);
}

static MsAxis
make_axis (const MsFigure *figure, const MsBars *bars)
{
  double low = 0, high = 0;

  for (guint i = 0; i < bars->n; i++)
    if (isfinite (bars->values[i]))
      {
        low = MIN (low, bars->values[i]);
        high = MAX (high, bars->values[i]);
      }
  if (figure->plot->value_scale == MS_SCALE_RATIO)
    high = MAX (high, figure->plot->centre);
  return ms_axis_new (MS_AXIS_LINEAR, low, high);
}

static gboolean
make_bars (MsFigure *figure, const MsMargin *margin, gboolean top, MsBars *bars, GError **error)
{
  g_autofree Sum *sums = NULL;
  MsChannel weight = { 0 };
  guint n = top ? figure->x.n : figure->y.n, across = top ? figure->y.n : figure->x.n;

  if (margin->kind == MS_MARGIN_NONE || n == 0 || across < 2)
    return TRUE;
  if (!ms_channel_open (&weight, figure->table, margin->weight, error))
    return FALSE;
  sums = g_new (Sum, n);
  for (guint i = 0; i < n; i++)
    sums[i] = (Sum){ .most = -INFINITY };
  for (guint y = 0; y < figure->y.n; y++)
    for (guint x = 0; x < figure->x.n; x++)
      {
        guint32 row = ms_grid_row (figure, 0, x, y);

        if (row != MS_NONE)
          add (&sums[top ? x : y], margin->kind, ms_channel_raw (&figure->value, row),
               weight.column != NULL ? ms_channel_raw (&weight, row) : 1);
      }
  bars->n = n;
  bars->values = g_new (double, n);
  for (guint i = 0; i < n; i++)
    bars->values[i] = finish (&sums[i], margin->kind);
  bars->axis = make_axis (figure, bars);
  ms_channel_clear (&weight);
  return TRUE;
}

gboolean
ms_margins_prepare (MsFigure *figure, GError **error)
{
  if (figure->no_margins || figure->n_facets > 1 || figure->empty)
    return TRUE;
  return make_bars (figure, &figure->plot->right, FALSE, &figure->right, error)
         && make_bars (figure, &figure->plot->top, TRUE, &figure->top, error);
}

/* --- Places ----------------------------------------------------------------------------------- */

/* Depth of the bars in a figure of that size, 0 = none. */
static double
depth_of (const MsFigure *figure, const MsLayout *layout)
{
  if ((figure->right.values == NULL && figure->top.values == NULL)
      || layout->width < LEAST_WIDTH * layout->em
      || (layout->height > 0 && layout->height < LEAST_HEIGHT * layout->em))
    return 0;
  return CLAMP (0.09 * layout->width, 2.4 * layout->em, 4.5 * layout->em);
}

static guint
bar_ticks (const MsBars *bars, MsTick *ticks)
{
  return ms_axis_ticks (&bars->axis, 3, ticks);
}

void
ms_margins_surround (const MsFigure *figure, MsLayout *layout, MsPen *pen)
{
  MsTick ticks[MS_TICKS_MAX];
  guint n = figure->top.values != NULL ? bar_ticks (&figure->top, ticks) : 0;

  layout->bars = depth_of (figure, layout);
  if (layout->bars <= 0)
    return;
  if (figure->right.values != NULL)
    layout->beside = layout->bars + 1.3 * layout->em;
  if (figure->top.values != NULL)
    layout->over = layout->bars + 0.6 * layout->em + layout->line;
  for (guint i = 0; i < n; i++)
    {
      double w;

      ms_pen_measure (pen, ticks[i].label, MS_TEXT_SMALL, 0, &w, NULL);
      layout->bars_label = MAX (layout->bars_label, w);
    }
}

static MsRect
bars_area (const MsLayout *layout, gboolean top)
{
  const MsRect *plot = &g_array_index (layout->panels, MsPanel, 0).plot;
  double gap = GAP * layout->em;

  return top ? (MsRect){ plot->x, plot->y - gap - layout->bars, plot->w, layout->bars }
             : (MsRect){ plot->x + plot->w + gap, plot->y, layout->bars, plot->h };
}

/* The whole place of a bar, whatever its length. */
MsRect
ms_margins_place (const MsBars *bars, const MsRect *area, gboolean top, guint i)
{
  double w = area->w / bars->n, h = area->h / bars->n;

  return top ? (MsRect){ area->x + i * w, area->y, w, area->h }
             : (MsRect){ area->x, area->y + i * h, area->w, h };
}

const MsBars *
ms_margins_at (const MsFigure *figure, const MsLayout *layout, gboolean top, MsRect *area)
{
  const MsBars *bars = top ? &figure->top : &figure->right;

  if (layout->bars <= 0 || bars->values == NULL)
    return NULL;
  *area = bars_area (layout, top);
  return bars;
}

/* --- Drawing ---------------------------------------------------------------------------------- */

static double
along (const MsBars *bars, const MsRect *area, gboolean top, double value)
{
  double t = ms_axis_map (&bars->axis, value);

  return top ? area->y + (1 - t) * area->h : area->x + t * area->w;
}

static void
draw_bars (const MsBars *bars, const MsRect *area, gboolean top, MsPen *pen)
{
  double zero = along (bars, area, top, 0);
  double thick = (top ? area->w : area->h) / bars->n;
  double inset = thick >= 4 ? MIN (0.1 * thick, 2) : 0;

  for (guint i = 0; i < bars->n; i++)
    {
      MsRect place = ms_margins_place (bars, area, top, i);
      double end = along (bars, area, top, bars->values[i]);

      if (isnan (end))
        continue;
      if (top)
        cairo_rectangle (pen->cr, place.x + inset, MIN (zero, end), thick - 2 * inset,
                         fabs (end - zero));
      else
        cairo_rectangle (pen->cr, MIN (zero, end), place.y + inset, fabs (end - zero),
                         thick - 2 * inset);
    }
  ms_pen_colour (pen, ms_colour_mix (pen->theme->ink, pen->theme->paper, 0.45), 1);
  cairo_fill (pen->cr);
}

static void
line_across (const MsBars *bars, const MsRect *area, gboolean top, MsPen *pen, double value)
{
  double at = along (bars, area, top, value);

  if (top)
    ms_pen_line (pen, area->x, at, area->x + area->w, at);
  else
    ms_pen_line (pen, at, area->y, at, area->y + area->h);
}

/* Where along the axis of the bars the map's own labels end. */
static double
end_of_labels (const MsLayout *layout, gboolean top, MsPen *pen)
{
  const MsRect *plot = &g_array_index (layout->panels, MsPanel, 0).plot;
  const GArray *labels = top ? layout->y_labels : layout->x_labels;
  const MsLabel *label;
  double w;

  if (labels->len == 0)
    return top ? plot->y : plot->x + plot->w;
  label = &g_array_index (labels, MsLabel, top ? 0 : labels->len - 1);
  if (top)
    return plot->y + label->at * plot->h - layout->line / 2;
  ms_pen_measure (pen, label->text, layout->x_style, layout->x_label_width, &w, NULL);
  return plot->x + label->at * plot->w + (layout->x_angle == 0 ? w / 2 : 0) + 0.4 * layout->em;
}

/* Ticks at the left of the bars on top, below those at the right.  Every label, or as many from zero on
 * as there is room for; zero's own goes where it would touch the map's. */
static void
draw_ticks (const MsLayout *layout, const MsBars *bars, const MsRect *area, gboolean top,
            MsPen *pen)
{
  MsTick ticks[MS_TICKS_MAX];
  guint n = bar_ticks (bars, ticks), zero = 0, stride = 1;
  double em = layout->em, tick = 0.25 * em, most = 0, end = end_of_labels (layout, top, pen);
  MsColour ink = ms_pen_ink (pen, MS_TEXT_PLAIN);

  for (guint i = 0; i < n; i++)
    {
      double w;

      ms_pen_measure (pen, ticks[i].label, MS_TEXT_SMALL, 0, &w, NULL);
      most = MAX (most, top ? layout->line * 0.8 : w + 0.4 * em);
      if (fabs (ticks[i].value) < fabs (ticks[zero].value))
        zero = i;
    }
  while (n > 1 && stride < n
         && stride * (ticks[1].at - ticks[0].at) * (top ? area->h : area->w) < most)
    stride++;
  cairo_set_line_width (pen->cr, 0.7);
  for (guint i = 0; i < n; i++)
    {
      double at = along (bars, area, top, ticks[i].value);

      ms_pen_colour (pen, ink, 1);
      if (top)
        ms_pen_line (pen, area->x - tick, at, area->x, at);
      else
        ms_pen_line (pen, at, area->y + area->h, at, area->y + area->h + tick);
      if ((i > zero ? i - zero : zero - i) % stride != 0
          || (top ? at + most / 2 > end : at - most / 2 < end))
        continue;
      if (top)
        ms_pen_text (pen, area->x - 0.4 * em, at, 1, 0.5, 0, MS_TEXT_SMALL, ink, 0, ticks[i].label);
      else
        ms_pen_text (pen, at, area->y + area->h + 0.4 * em, 0.5, 0, 0, MS_TEXT_SMALL, ink, 0,
                     ticks[i].label);
    }
}

static void
draw_side (MsFigure *figure, const MsLayout *layout, MsPen *pen, gboolean top)
{
  const MsMargin *margin = top ? &figure->plot->top : &figure->plot->right;
  MsRect area;
  const MsBars *bars = ms_margins_at (figure, layout, top, &area);
  MsColour ink = ms_pen_ink (pen, MS_TEXT_PLAIN);

  if (bars == NULL)
    return;
  draw_bars (bars, &area, top, pen);
  cairo_set_line_width (pen->cr, 0.7);
  ms_pen_colour (pen, ink, 1);
  line_across (bars, &area, top, pen, 0);
  if (figure->plot->value_scale == MS_SCALE_RATIO)
    {
      const double dashes[] = { 3, 2 };

      cairo_set_dash (pen->cr, dashes, 2, 0);
      line_across (bars, &area, top, pen, figure->plot->centre);
      cairo_set_dash (pen->cr, NULL, 0, 0);
    }
  draw_ticks (layout, bars, &area, top, pen);
  if (top)
    ms_pen_text (pen, area.x, area.y - 0.1 * layout->em, 0, 1, 0, MS_TEXT_SMALL, ink, area.w,
                 margin->title);
  else
    {
      double w, middle = area.x + area.w / 2;

      ms_pen_measure (pen, margin->title, MS_TEXT_SMALL, 0, &w, NULL);
      middle = MIN (MAX (middle, area.x + w / 2), layout->width - w / 2 - 0.4 * layout->em);
      ms_pen_text (pen, middle, layout->x_title_y, 0.5, 0, 0, MS_TEXT_SMALL, ink, 0, margin->title);
    }
}

void
ms_margins_draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  (void) panel;
  draw_side (figure, layout, pen, TRUE);
  draw_side (figure, layout, pen, FALSE);
}
