/* The axes of a figure, chosen from its data, and what a value becomes on them: a place or a colour.
 *
 * Limits are finite and apart whatever the data (ms_axis_new sees to that), so that mapping a value never
 * fails; a value that is no number maps to NaN. */
#include "figure-private.h"

#include <math.h>

/* The widest ratio a scale shows, as a power of two; what lies beyond is clipped and marked. */
#define RATIO_MOST 4

/* Widens low..high by the finite values of a channel; those at zero do not count where `positive`. */
static void
widen (const MsFigure *figure, const MsChannel *channel, gboolean positive, double *low,
       double *high)
{
  /* Along a logarithmic axis empty bins reach many decades: only what has a value counts. */
  gboolean valued = positive && channel == &figure->x && !figure->empty;

  if (channel->column == NULL)
    return;
  for (guint i = 0; i < figure->n_rows; i++)
    {
      double value = ms_channel_get (channel, ms_figure_row (figure, i));

      if (!isfinite (value) || (positive && value <= 0)
          || (valued && isnan (ms_channel_get (&figure->y, ms_figure_row (figure, i)))))
        continue;
      *low = MIN (*low, value);
      *high = MAX (*high, value);
    }
}

static MsAxisKind
kind_of (MsScale scale)
{
  switch (scale)
    {
    case MS_SCALE_LOG2:
      return MS_AXIS_LOG2;
    case MS_SCALE_LOG10:
      return MS_AXIS_LOG10;
    case MS_SCALE_RATIO:
      return MS_AXIS_RATIO;
    default:
      return MS_AXIS_LINEAR;
    }
}

/* Limits with room at both ends, symmetric where the scale has a centre. */
static MsAxis
make_axis (const MsFigure *figure, MsScale scale, const MsChannel *channel, double low, double high,
           double pad, MsZero zero)
{
  MsAxisKind kind = kind_of (scale);
  const char *unit = channel->column != NULL ? channel->column->unit : NULL;
  double room;
  MsAxis axis;

  if (kind != MS_AXIS_LINEAR)
    {
      if (kind == MS_AXIS_RATIO && low <= high)
        {
          high = exp2 (MAX (MAX (fabs (log2 (low)), fabs (log2 (high))), 1));
          low = 1 / high;
        }
      axis = ms_axis_new (kind, low, high);
      room = pow (axis.high / axis.low, pad);
      axis.low /= room;
      axis.high *= room;
      return axis;
    }
  if (scale == MS_SCALE_DIVERGING && low <= high)
    {
      double most = MAX (fabs (low - figure->plot->centre), fabs (high - figure->plot->centre));

      low = figure->plot->centre - most;
      high = figure->plot->centre + most;
    }
  else if (low <= high
           && (zero == MS_ZERO_BASE
               || (zero == MS_ZERO_NEAR && low >= 0 && (low < 0.5 * high || low == high))))
    {
      low = MIN (low, 0);
      high = MAX (high, 0);
    }
  if (zero != MS_ZERO_FREE && low == 0 && high == 0)
    high = 1;
  axis = ms_axis_new (kind, low, high);
  room = high > low ? pad * (high - low) : 0;
  if (low != 0 || zero == MS_ZERO_FREE)
    axis.low -= room;
  if (high != 0 || zero == MS_ZERO_FREE)
    axis.high += room;
  axis.whole = channel->ints != NULL && axis.high - axis.low >= 1;
  if (g_strcmp0 (unit, "s") == 0 && axis.high - axis.low >= 90)
    axis.kind = MS_AXIS_TIME;
  return axis;
}

void
ms_figure_place_axes (MsFigure *figure)
{
  const MsMarkClass *mark = figure->mark;
  double low = INFINITY, high = -INFINITY;
  MsScale scale = figure->plot->x_scale;

  if (figure->x.of_row != NULL)
    figure->x_axis = ms_axis_new_categories (figure->x.n);
  else
    {
      gboolean log = scale == MS_SCALE_LOG2 || scale == MS_SCALE_LOG10 || scale == MS_SCALE_RATIO;

      widen (figure, &figure->x, log, &low, &high);
      widen (figure, &figure->x2, log, &low, &high);
      figure->x_axis = make_axis (figure, scale, &figure->x, low, high, mark->edges ? 0 : 0.03,
                                  mark->measured ? MS_ZERO_NEAR : MS_ZERO_FREE);
      /* Points at few whole places (layers) stand beside the axis, not on it. */
      if (mark->measured && figure->x.ints != NULL && high - low >= 1 && high - low <= 64
          && figure->x_axis.kind == MS_AXIS_LINEAR)
        {
          figure->x_axis.low = low - 0.4;
          figure->x_axis.high = high + 0.4;
        }
    }
  low = INFINITY;
  high = -INFINITY;
  if (figure->y.of_row != NULL)
    {
      figure->y_axis = ms_axis_new_categories (figure->y.n);
      figure->y_down = TRUE;
      return;
    }
  scale = figure->plot->y_scale;
  {
    gboolean log = scale == MS_SCALE_LOG2 || scale == MS_SCALE_LOG10 || scale == MS_SCALE_RATIO;

    if (mark->y_limits != NULL)
      mark->y_limits (figure, &low, &high);
    else
      {
        widen (figure, &figure->y, log, &low, &high);
        widen (figure, &figure->low, log, &low, &high);
        widen (figure, &figure->high, log, &low, &high);
      }
    if (!mark->measured)
      widen (figure, &figure->reference, log, &low, &high);
    figure->y_axis = make_axis (figure, scale, &figure->y, low, high, 0.05, mark->y_zero);
  }
}

void
ms_figure_value_axis (MsFigure *figure, const MsChannel *channel, MsScale scale, double low,
                      double high)
{
  double least = INFINITY, most = -INFINITY;
  gboolean log = scale == MS_SCALE_LOG2 || scale == MS_SCALE_LOG10 || scale == MS_SCALE_RATIO;

  widen (figure, channel, log, &least, &most);
  if (low != 0 || high != 0)
    figure->value_axis = ms_axis_new (kind_of (scale), low, high);
  else if (scale == MS_SCALE_RATIO)
    {
      double reach = least <= most ? MAX (fabs (log2 (least)), fabs (log2 (most))) : 1;

      reach = CLAMP (ceil (reach * 2) / 2, 1, RATIO_MOST);
      figure->value_axis = ms_axis_new (MS_AXIS_RATIO, exp2 (-reach), exp2 (reach));
    }
  else if (scale == MS_SCALE_DIVERGING)
    {
      double centre = figure->plot->centre;
      double reach = least <= most ? MAX (fabs (least - centre), fabs (most - centre)) : 1;

      figure->value_axis = ms_axis_new (MS_AXIS_LINEAR, centre - (reach > 0 ? reach : 1),
                                        centre + (reach > 0 ? reach : 1));
    }
  else
    {
      if (!log && least >= 0 && least < 0.3 * most)
        least = 0;
      /* Nothing but zeros: the scale says which way values would go. */
      if (!log && least == 0 && most == 0)
        most = 1;
      figure->value_axis = ms_axis_new (kind_of (scale), least, most);
    }
  figure->value_axis.whole
      = channel->ints != NULL && figure->value_axis.high - figure->value_axis.low >= 1;
  figure->diverging = scale == MS_SCALE_RATIO || scale == MS_SCALE_DIVERGING;
  for (guint i = 0; i < figure->n_rows; i++)
    {
      double t
          = ms_axis_map (&figure->value_axis, ms_channel_get (channel, ms_figure_row (figure, i)));

      figure->clip_low |= t < -1e-9;
      figure->clip_high |= t > 1 + 1e-9;
    }
  figure->has_value = TRUE;
  figure->bar_title = figure->plot->value_title != NULL ? g_strdup (figure->plot->value_title)
                                                        : ms_channel_title (channel);
}

double
ms_panel_x (const MsFigure *figure, const MsPanel *panel, double value)
{
  return panel->plot.x + ms_axis_map (&figure->x_axis, value) * panel->plot.w;
}

double
ms_panel_y (const MsFigure *figure, const MsPanel *panel, double value)
{
  double t = ms_axis_map (&figure->y_axis, value);

  return panel->plot.y + (figure->y_down ? t : 1 - t) * panel->plot.h;
}

gboolean
ms_figure_value_colour (const MsFigure *figure, double value, MsColour *colour)
{
  double t = ms_axis_map (&figure->value_axis, value);

  if (isnan (t))
    return FALSE;
  *colour = figure->diverging ? ms_colour_diverging (&figure->theme, 2 * CLAMP (t, 0, 1) - 1)
                              : ms_colour_sequential (&figure->theme, CLAMP (t, 0, 1));
  return TRUE;
}
