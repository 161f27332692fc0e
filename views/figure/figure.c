/* A figure from a table and a plot: reads the plot's columns once and has axes, series and the mark made
 * ready.
 *
 * Of what a figure holds only the layout changes after ms_figure_new: it is kept for the size last asked
 * for.  marks.c knows the marks; what they share is in axes.c, series.c, tracks.c, grid.c and words.c; none
 * of these calls back here. */
#include "figure-private.h"

#include <math.h>
#include <string.h>

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
  ms_series_keep_slots (figure);
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
  if (options->font != NULL)
    figure->theme.font = options->font;
  figure->captioned = options->captioned;
  if (options->title != NULL)
    figure->title = options->title[0] != '\0' ? g_strdup (options->title) : NULL;
  else if (figure->theme.titles && !figure->captioned)
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
    ms_figure_place_axes (figure);
  if (figure->mark->coloured && figure->value.column != NULL
      && figure->value.column->type != MS_COLUMN_TEXT)
    ms_figure_value_axis (figure, &figure->value, plot->value_scale, options->low, options->high);
  else if (figure->n_series > MS_SERIES_MAX && figure->mark->series != MS_SERIES_NAMES)
    ms_series_order (figure);
  if (!figure->ordered_series && figure->n_series > figure->theme.n_series)
    ms_series_choose (figure);
  ms_series_find_valued (figure);
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
