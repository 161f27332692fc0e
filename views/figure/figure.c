/* A figure: reads the plot's columns once, chooses the axes, and hands drawing to the mark. */
#include "figure-private.h"

#include <math.h>
#include <string.h>

/* The widest ratio a scale shows, as a power of two; what lies beyond is clipped and marked. */
#define RATIO_MOST 4

static gboolean
select_rows (MsFigure *figure, GError **error)
{
  const char *equals;
  g_autofree char *name = NULL;
  int column;
  guint n = ms_table_n_rows (figure->table);

  figure->n_rows = n;
  if (figure->plot->where == NULL)
    return TRUE;
  equals = strchr (figure->plot->where, '=');
  name = equals != NULL ? g_strndup (figure->plot->where, (gsize) (equals - figure->plot->where))
                        : g_strdup (figure->plot->where);
  column = ms_table_find_column (figure->table, name);
  if (equals == NULL || column < 0)
    {
      g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA,
                   "plot '%s' selects rows with \"%s\", which is no COLUMN=VALUE of table '%s'",
                   figure->plot->name, figure->plot->where, ms_table_def (figure->table)->name);
      return FALSE;
    }
  figure->rows = g_new (guint32, MAX (n, 1));
  figure->n_rows = 0;
  for (guint row = 0; row < n; row++)
    if (ms_table_cell_is (figure->table, row, (guint) column, equals + 1))
      figure->rows[figure->n_rows++] = row;
  return TRUE;
}

/* Tables of several runs or groups have first columns for them that no plot names: each becomes the
 * series where that place is free, else the facet. */
static gboolean
place_lead (MsFigure *figure, const char **series, const char **facet, GError **error)
{
  static const char *const leads[] = { MS_RUN_COLUMN, MS_GROUP_COLUMN };
  const MsPlotDef *plot = figure->plot;
  const char *const used[] = { plot->x, plot->y, *series, *facet, plot->value, plot->label };
  gboolean stacked = ms_table_find_column (figure->table, MS_RUN_ID_COLUMN) == 0;

  for (guint l = 0; l < G_N_ELEMENTS (leads); l++)
    {
      int column = ms_table_find_column (figure->table, leads[l]);
      gboolean known = column < 0 || column != (int) l + (stacked ? 1 : -1);
      MsPlotDef now = *plot;
      gboolean lines;

      for (guint i = 0; i < G_N_ELEMENTS (used) && !known; i++)
        known = g_strcmp0 (used[i], leads[l]) == 0;
      /* Groups of texts stand one after the other; runs would say the same text again. */
      if (known || (figure->mark->consecutive && strcmp (leads[l], MS_GROUP_COLUMN) == 0))
        continue;
      now.series = *series;
      now.facet = *facet;
      if (ms_plot_count_free (&now, &lines) == 0)
        {
          g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA,
                       "plot '%s' has no place for more than one %s: leave %s out", plot->name,
                       leads[l], l == 0 ? "with=" : "--by");
          return FALSE;
        }
      *(lines ? series : facet) = leads[l];
    }
  return TRUE;
}

/* Runs keep the colours that they have in other figures. */
static void
keep_run_colours (MsFigure *figure)
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

static void
make_position_axes (MsFigure *figure)
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

static void
make_value_axis (MsFigure *figure, const MsChannel *channel, MsScale scale, double low, double high)
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

/* Many numbered series (layers, say) are an order, not names: colour runs along a scale.  So it does
 * when all names but one are numbers ("0", "1", ..., "all"); that one is drawn in ink. */
static void
order_series (MsFigure *figure)
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
static void
choose_series (MsFigure *figure)
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
static void
find_valued (MsFigure *figure)
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

static gboolean
open_channels (MsFigure *figure, GError **error)
{
  const MsPlotDef *plot = figure->plot;
  const char *series = plot->series, *facet = plot->facet;

  if (!place_lead (figure, &series, &facet, error))
    return FALSE;
  {
    const struct
    {
      MsChannel *channel;
      const char *name;
    } wanted[] = { { &figure->x, plot->x },         { &figure->y, plot->y },
                   { &figure->value, plot->value }, { &figure->series, series },
                   { &figure->facet, facet },       { &figure->low, plot->low },
                   { &figure->high, plot->high },   { &figure->label, plot->label },
                   { &figure->x2, plot->x2 },       { &figure->reference, plot->reference } };

    for (guint i = 0; i < G_N_ELEMENTS (wanted); i++)
      if (!ms_channel_open (wanted[i].channel, figure->table, wanted[i].name, error))
        return FALSE;
  }
  return TRUE;
}

static void
categorize (MsFigure *figure)
{
  const MsMarkClass *mark = figure->mark;
  MsChannel *const both[] = { &figure->series, &figure->facet };

  for (guint i = 0; i < 2; i++)
    ms_channel_categorize (both[i], figure->table, figure->rows, figure->n_rows);
  if (mark->x_categories || figure->plot->x_scale == MS_SCALE_CATEGORY
      || (figure->x.column != NULL && figure->x.column->type == MS_COLUMN_TEXT))
    ms_channel_categorize (&figure->x, figure->table, figure->rows, figure->n_rows);
  if (mark->y_categories || (figure->y.column != NULL && figure->y.column->type == MS_COLUMN_TEXT))
    ms_channel_categorize (&figure->y, figure->table, figure->rows, figure->n_rows);
  if (mark->united && figure->x.column != NULL && figure->y.column != NULL)
    ms_channel_unite (&figure->x, &figure->y, ms_table_n_rows (figure->table));
  figure->n_facets = MAX (figure->facet.n, 1);
  figure->n_series = MAX (figure->series.n, 1);
  keep_run_colours (figure);
}

static gboolean
check_columns (MsFigure *figure, GError **error)
{
  const struct
  {
    MsMarkNeeds need;
    const MsChannel *channel;
    const char *name;
    gboolean number;
  } columns[] = { { MS_NEEDS_LABEL, &figure->label, "label", FALSE },
                  { MS_NEEDS_X, &figure->x, "x", FALSE },
                  { MS_NEEDS_Y, &figure->y, "y", FALSE },
                  { MS_NEEDS_VALUE, &figure->value, "value (a number)", TRUE },
                  { MS_NEEDS_X2, &figure->x2, "x2", FALSE } };
  const char *missing = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (columns) && missing == NULL; i++)
    if ((figure->mark->needs & columns[i].need) != 0
        && (columns[i].channel->column == NULL
            || (columns[i].number && columns[i].channel->column->type == MS_COLUMN_TEXT)))
      missing = columns[i].name;
  if (missing == NULL)
    return TRUE;
  g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA, "plot '%s' names no column for %s",
               figure->plot->name, missing);
  return FALSE;
}

MsFigure *
ms_figure_new (MsTable *table, const MsPlotDef *plot, const MsFigureOptions *options,
               GError **error)
{
  static const MsFigureOptions none;
  g_autoptr (MsFigure) figure = g_new0 (MsFigure, 1);

  g_return_val_if_fail (ms_mark_class (plot->mark) != NULL, NULL);
  options = options != NULL ? options : &none;
  figure->table = ms_table_ref (table);
  figure->plot = plot;
  figure->mark = ms_mark_class (plot->mark);
  figure->theme = options->theme != NULL ? *options->theme : *ms_theme_find ("screen");
  if (options->font_points > 0)
    figure->theme.font_points = options->font_points;
  if (options->title != NULL)
    figure->title = options->title[0] != '\0' ? g_strdup (options->title) : NULL;
  else if (figure->theme.titles)
    figure->title = g_strdup (plot->title);
  if (options->panel != NULL && options->panel[0] != '\0')
    figure->panel = g_strdup_printf ("(%s)", options->panel);
  figure->note = g_strdup (options->note);
  figure->compact = options->compact;
  figure->no_margins = options->no_margins;
  if (!select_rows (figure, error) || !open_channels (figure, error)
      || !check_columns (figure, error))
    return NULL;
  categorize (figure);
  {
    const MsChannel *shown = figure->value.column != NULL ? &figure->value : &figure->y;

    figure->empty = figure->mark->axes;
    for (guint i = 0; i < figure->n_rows && figure->empty; i++)
      figure->empty = isnan (ms_channel_get (shown, ms_figure_row (figure, i)));
  }
  if (figure->mark->axes)
    make_position_axes (figure);
  if (figure->mark->coloured && figure->value.column != NULL
      && figure->value.column->type != MS_COLUMN_TEXT)
    make_value_axis (figure, &figure->value, plot->value_scale, options->low, options->high);
  else if (figure->n_series > MS_SERIES_MAX && figure->mark->series != MS_SERIES_NAMES)
    order_series (figure);
  if (!figure->ordered_series && figure->n_series > figure->theme.n_series)
    choose_series (figure);
  find_valued (figure);
  if (figure->mark->tracks)
    ms_tracks_build (figure);
  if (figure->mark->prepare != NULL && !figure->mark->prepare (figure, error))
    return NULL;
  return g_steal_pointer (&figure);
}

void
ms_figure_free (MsFigure *figure)
{
  if (figure == NULL)
    return;
  if (figure->mark->finish != NULL && figure->data != NULL)
    figure->mark->finish (figure);
  ms_tracks_free (figure);
  ms_layout_free (figure->layout);
  {
    MsChannel *const channels[]
        = { &figure->x,   &figure->y,    &figure->value, &figure->series, &figure->facet,
            &figure->low, &figure->high, &figure->label, &figure->x2,     &figure->reference };

    for (guint i = 0; i < G_N_ELEMENTS (channels); i++)
      ms_channel_clear (channels[i]);
  }
  g_free (figure->rows);
  g_free (figure->order);
  g_free (figure->place);
  g_free (figure->joints);
  g_free (figure->right.values);
  g_free (figure->top.values);
  g_free (figure->title);
  g_free (figure->panel);
  g_free (figure->note);
  g_free (figure->mark_note);
  g_free (figure->bar_title);
  ms_table_unref (figure->table);
  g_free (figure);
}

MsTable *
ms_figure_table (MsFigure *figure)
{
  return figure->table;
}

const MsPlotDef *
ms_figure_plot (MsFigure *figure)
{
  return figure->plot;
}

const MsLayout *
ms_figure_layout (MsFigure *figure, double width, double height)
{
  if (figure->layout == NULL || figure->layout->width != width || figure->layout->height != height)
    {
      ms_layout_free (figure->layout);
      figure->layout = ms_layout_new (figure, width, height);
    }
  return figure->layout;
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

static char *
name_category (const MsChannel *channel, guint category)
{
  if (category >= channel->n)
    return g_strdup ("");
  if (channel->numbers == NULL)
    return g_strdup (channel->names[category]);
  return g_strdup_printf ("%s %s", channel->column->title, channel->names[category]);
}

char *
ms_facet_title (const MsFigure *figure, guint facet)
{
  return name_category (&figure->facet, facet);
}

char *
ms_series_name (const MsFigure *figure, guint series)
{
  return name_category (&figure->series, series);
}

char *
ms_figure_x_title (const MsFigure *figure)
{
  return figure->plot->x_title != NULL ? g_strdup (figure->plot->x_title)
                                       : ms_channel_title (&figure->x);
}

char *
ms_figure_y_title (const MsFigure *figure)
{
  return figure->plot->y_title != NULL ? g_strdup (figure->plot->y_title)
                                       : ms_channel_title (&figure->y);
}

char *
ms_figure_notes (const MsFigure *figure, guint panels_shown)
{
  g_autoptr (GPtrArray) notes = g_ptr_array_new_with_free_func (g_free);

  if (panels_shown == 1 && figure->n_facets > 1)
    g_ptr_array_add (notes, g_strdup_printf ("The first of %u panels is drawn; the data hold all.",
                                             figure->n_facets));
  else if (panels_shown < figure->n_facets)
    g_ptr_array_add (
        notes, g_strdup_printf ("%u of %u panels are drawn, evenly spread; the data hold all.",
                                panels_shown, figure->n_facets));
  if (figure->chosen_series != NULL && figure->mark->legend)
    g_ptr_array_add (notes,
                     g_strdup_printf ("Coloured are the %u of %u %s.", figure->theme.n_series,
                                      figure->n_series, figure->chosen_series));
  if (figure->ordered_series && figure->series.numbers != NULL)
    for (guint i = 0; i < figure->n_series; i++)
      if (isnan (figure->series.numbers[i]))
        g_ptr_array_add (notes,
                         g_strdup_printf ("The strongest line: %s.", figure->series.names[i]));
  if (figure->reference.column != NULL && figure->n_facets > 1 && figure->n_tracks > 0
      && g_strcmp0 (figure->plot->reference, figure->plot->x) != 0)
    g_ptr_array_add (notes, g_strdup_printf ("Dashed: %s.", figure->reference.column->title));
  if (figure->clip_low || figure->clip_high)
    g_ptr_array_add (notes, g_strdup ("Triangle: values beyond the scale."));
  if (figure->mark_note != NULL)
    g_ptr_array_add (notes, g_strdup (figure->mark_note));
  if (figure->note != NULL && figure->note[0] != '\0')
    g_ptr_array_add (notes, g_strdup (figure->note));
  if (notes->len == 0)
    return NULL;
  g_ptr_array_add (notes, NULL);
  return g_strjoinv (" ", (char **) notes->pdata);
}

/* --- Words ------------------------------------------------------------------------------------ */

/* "Layer 3" for numbers, the text itself for names. */
static void
name_place (GString *out, const MsFigure *figure, const MsChannel *channel, guint row)
{
  g_autofree char *text = NULL;

  if (channel->column == NULL)
    return;
  text = ms_table_format (figure->table, row, channel->index);
  if (out->len > 0)
    g_string_append (out, ", ");
  if (channel->column->type == MS_COLUMN_TEXT)
    {
      g_autofree char *clean = ms_text_printable (text, -1);

      g_string_append (out, clean[0] != '\0' ? clean : "(unnamed)");
    }
  else
    g_string_append_printf (out, "%s %s%s%s", channel->column->title, text,
                            channel->column->unit != NULL ? " " : "",
                            channel->column->unit != NULL ? channel->column->unit : "");
}

static void
tell_value (GString *out, const MsFigure *figure, const MsChannel *channel, guint row)
{
  g_autofree char *text = ms_table_format (figure->table, row, channel->index);

  if (text[0] == '\0')
    g_string_append_printf (out, "%s: no data", channel->column->title);
  else
    g_string_append_printf (out, "%s %s%s%s", channel->column->title, text,
                            channel->column->unit != NULL ? " " : "",
                            channel->column->unit != NULL ? channel->column->unit : "");
}

char *
ms_figure_describe (MsFigure *figure, int row)
{
  g_autoptr (GString) out = g_string_new (NULL);
  gboolean coloured = figure->value.column != NULL;
  const MsChannel *value = coloured ? &figure->value : &figure->y;
  guint r = (guint) row;

  if (row < 0 || r >= ms_table_n_rows (figure->table))
    return g_strdup ("");
  name_place (out, figure, &figure->label, r);
  name_place (out, figure, &figure->facet, r);
  name_place (out, figure, &figure->series, r);
  if (coloured && figure->y.column != NULL)
    name_place (out, figure, &figure->y, r);
  name_place (out, figure, &figure->x, r);
  if (figure->x2.column != NULL)
    {
      g_autofree char *edge = ms_table_format (figure->table, r, figure->x2.index);

      g_string_append_printf (out, " to %s", edge);
    }
  /* Text may be coloured by a category alone. */
  if (value->column == NULL)
    return g_string_free (g_steal_pointer (&out), FALSE);
  if (out->len > 0)
    g_string_append (out, ": ");
  tell_value (out, figure, value, r);
  if (figure->low.column != NULL && figure->high.column != NULL
      && isfinite (ms_channel_raw (&figure->low, r))
      && isfinite (ms_channel_raw (&figure->high, r)))
    {
      g_autofree char *low = ms_table_format (figure->table, r, figure->low.index);
      g_autofree char *high = ms_table_format (figure->table, r, figure->high.index);

      g_string_append_printf (out, " (%s to %s)", low, high);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* --- The pointer and the keys ------------------------------------------------------------------ */

int
ms_figure_pick (MsFigure *figure, double width, double height, double x, double y)
{
  const MsLayout *layout = ms_figure_layout (figure, width, height);

  for (guint i = 0; i < layout->panels->len; i++)
    {
      const MsPanel *panel = &g_array_index (layout->panels, MsPanel, i);

      if (x >= panel->plot.x && x < panel->plot.x + panel->plot.w && y >= panel->plot.y
          && y < panel->plot.y + panel->plot.h)
        return figure->mark->pick (figure, layout, panel, x, y);
    }
  return -1;
}

gboolean
ms_figure_has_row (MsFigure *figure, guint row)
{
  guint least = 0, most = figure->n_rows;

  if (figure->rows == NULL)
    return TRUE;
  while (least < most)
    {
      guint middle = least + (most - least) / 2;

      if (figure->rows[middle] < row)
        least = middle + 1;
      else
        most = middle;
    }
  return least < figure->n_rows && figure->rows[least] == row;
}

/* The panel that shows the row, and where in it; NULL when it is not drawn. */
static const MsPanel *
find_row (MsFigure *figure, double width, double height, int row, MsRect *rect)
{
  const MsLayout *layout = ms_figure_layout (figure, width, height);
  guint facet;

  if (row < 0 || (guint) row >= ms_table_n_rows (figure->table)
      || !ms_figure_has_row (figure, (guint) row))
    return NULL;
  facet = ms_channel_category (&figure->facet, (guint) row);
  for (guint i = 0; i < layout->panels->len; i++)
    {
      const MsPanel *panel = &g_array_index (layout->panels, MsPanel, i);

      if ((panel->facet == facet || figure->mark->whole)
          && figure->mark->locate (figure, layout, panel, (guint) row, rect))
        return panel;
    }
  return NULL;
}

static gboolean
give_rect (const MsRect *rect, double *x, double *y, double *w, double *h)
{
  *x = rect->x;
  *y = rect->y;
  *w = rect->w;
  *h = rect->h;
  return TRUE;
}

gboolean
ms_figure_locate (MsFigure *figure, double width, double height, int row, double *x, double *y,
                  double *w, double *h)
{
  MsRect rect;

  return find_row (figure, width, height, row, &rect) != NULL && give_rect (&rect, x, y, w, h);
}

gboolean
ms_figure_locate_panel (MsFigure *figure, double width, double height, int row, double *x,
                        double *y, double *w, double *h)
{
  MsRect rect;
  const MsPanel *panel = find_row (figure, width, height, row, &rect);

  return panel != NULL && give_rect (&panel->plot, x, y, w, h);
}

/* Whether the row's panel is among those last laid out. */
static gboolean
in_shown_panel (const MsFigure *figure, guint row)
{
  guint facet = ms_channel_category (&figure->facet, row);

  if (figure->layout == NULL || figure->layout->shown >= figure->n_facets)
    return TRUE;
  for (guint i = 0; i < figure->layout->panels->len; i++)
    if (g_array_index (figure->layout->panels, MsPanel, i).facet == facet)
      return TRUE;
  return FALSE;
}

int
ms_figure_step (MsFigure *figure, int row, MsStep direction)
{
  int next = figure->mark->step (figure, row, direction), before = row;

  /* On through the panels that are left out. */
  while (next >= 0 && next != before && !in_shown_panel (figure, (guint) next))
    {
      before = next;
      next = figure->mark->step (figure, next, direction);
    }
  return next == before ? row : next;
}
