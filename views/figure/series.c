/* The series of a figure: which of many are shown apart, and the colour and slot of each.
 *
 * A slot is a place in the theme's colours, with a dash, a marker and a pattern of its own; series beyond
 * the colours are grey. */
#include "figure-private.h"

#include <math.h>
#include <string.h>

/* Runs keep the colours that they have in other figures. */
void
ms_series_keep_slots (MsFigure *figure)
{
  int ids = ms_table_find_column (figure->table, MS_RUN_ID_COLUMN);
  gint64 runs[MS_SERIES_MAX] = { 0 };

  for (guint s = 0; s < MS_SERIES_MAX; s++)
    figure->slots[s] = s;
  if (ids != 0 || figure->series.column == NULL || figure->n_series > MS_SERIES_MAX
      || strcmp (figure->series.column->name, MS_RUN_COLUMN) != 0)
    return;
  for (guint i = 0; i < figure->n_rows; i++)
    {
      guint row = ms_figure_row (figure, i);

      runs[ms_channel_category (&figure->series, row)] = ms_table_get_int (figure->table, row, 0);
    }
  ms_run_slots (runs, figure->n_series, figure->slots);
}

/* Many numbered series (layers, say) are an order, not names: colour runs along a scale.  So it does
 * when all names but one are numbers ("0", "1", ..., "all"); that one is drawn in ink. */
void
ms_series_order (MsFigure *figure)
{
  MsChannel *series = &figure->series;
  double low = INFINITY, high = -INFINITY;
  guint words = 0;

  if (series->numbers == NULL)
    {
      g_autofree double *numbers = g_new (double, series->n);

      for (guint i = 0; i < series->n; i++)
        {
          char *end;

          numbers[i] = g_ascii_strtod (series->names[i], &end);
          if (end == series->names[i] || *end != '\0' || !isfinite (numbers[i]))
            {
              numbers[i] = NAN;
              words++;
            }
        }
      if (words > 1)
        return;
      series->numbers = g_steal_pointer (&numbers);
    }
  for (guint i = 0; i < series->n; i++)
    {
      low = fmin (low, series->numbers[i]);
      high = fmax (high, series->numbers[i]);
    }
  figure->ordered_series = TRUE;
  figure->has_value = TRUE;
  figure->value_axis = ms_axis_new (MS_AXIS_LINEAR, low, high);
  figure->value_axis.whole = low == floor (low) && high == floor (high) && high - low >= 1;
  figure->bar_title = ms_channel_title (series);
}

/* More named series than colours: those that matter most come first and get them. */
void
ms_series_choose (MsFigure *figure)
{
  static const char *const chosen[] = { [MS_SERIES_AMOUNTS] = "largest",
                                        [MS_SERIES_CURVES] = "farthest from the mean",
                                        [MS_SERIES_NAMES] = "most frequent" };
  MsSeriesSense sense = figure->mark->series;
  gboolean curves = sense == MS_SERIES_CURVES;
  g_autofree double *sums = g_new0 (double, figure->n_series);
  g_autofree double *counts = g_new0 (double, figure->n_series);
  double sum = 0, count = 0;
  guint n_valued = 0;

  for (guint i = 0; i < figure->n_rows; i++)
    {
      guint row = ms_figure_row (figure, i), s = ms_channel_category (&figure->series, row);
      double value = sense == MS_SERIES_NAMES ? 1 : ms_channel_get (&figure->y, row);

      if (s == MS_NONE || !isfinite (value))
        continue;
      sums[s] += curves ? value : fabs (value);
      counts[s]++;
      sum += value;
      count++;
    }
  for (guint s = 0; s < figure->n_series; s++)
    {
      n_valued += counts[s] > 0;
      sums[s] = counts[s] == 0 ? (double) NAN
                : curves       ? fabs (sums[s] / counts[s] - sum / count)
                               : sums[s];
    }
  ms_channel_sort (&figure->series, sums, ms_table_n_rows (figure->table));
  if (n_valued <= figure->theme.n_series)
    return;
  figure->chosen_series = chosen[sense];
}

/* Which of the series with a colour of their own have anything to show. */
void
ms_series_find_valued (MsFigure *figure)
{
  figure->valued[0] = figure->series.column == NULL;
  for (guint i = 0; i < figure->n_rows && figure->series.column != NULL; i++)
    {
      guint row = ms_figure_row (figure, i), s = ms_channel_category (&figure->series, row);

      if (s < MS_SERIES_MAX
          && (figure->mark->series == MS_SERIES_NAMES ? figure->series.names[s][0] != '\0'
                                                      : !isnan (ms_channel_get (&figure->y, row))))
        figure->valued[s] = TRUE;
    }
}

/* The end of the scale that would sink into the paper is left out. */
MsColour
ms_figure_order_colour (const MsFigure *figure, double t)
{
  gboolean dark = figure->theme.paper.g < 0.5;

  return ms_colour_sequential (&figure->theme, dark ? 0.4 + 0.6 * t : 0.92 * t);
}

MsColour
ms_figure_series_colour (const MsFigure *figure, guint series)
{
  if (figure->ordered_series && isnan (figure->series.numbers[series]))
    return figure->theme.ink;
  if (figure->ordered_series)
    return ms_figure_order_colour (
        figure, ms_axis_map (&figure->value_axis, figure->series.numbers[series]));
  if (series < figure->theme.n_series)
    return figure->theme.series[figure->slots[series]];
  return ms_colour_mix (figure->theme.ink, figure->theme.paper, 0.6);
}

guint
ms_figure_slot (const MsFigure *figure, guint series)
{
  return series < MS_SERIES_MAX ? figure->slots[series] : series;
}
