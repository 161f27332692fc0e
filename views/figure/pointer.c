/* The pointer and the keys: which row is where, for the marks and for the bars beside a heatmap.
 *
 * All use the layout that drawing uses, so that what is found is what is seen. */
#include "figure-private.h"

#include <math.h>

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

gboolean
ms_figure_locate_bar (MsFigure *figure, double width, double height, int row, gboolean top,
                      double *x, double *y, double *w, double *h)
{
  const MsLayout *layout = ms_figure_layout (figure, width, height);
  MsRect area, place;
  const MsBars *bars = ms_margins_at (figure, layout, top, &area);
  guint i;

  if (bars == NULL || row < 0 || (guint) row >= ms_table_n_rows (figure->table))
    return FALSE;
  i = ms_channel_category (top ? &figure->x : &figure->y, (guint) row);
  if (i >= bars->n)
    return FALSE;
  place = ms_margins_place (bars, &area, top, i);
  *x = place.x;
  *y = place.y;
  *w = place.w;
  *h = place.h;
  return TRUE;
}

static gboolean
inside (const MsRect *area, double x, double y)
{
  return x >= area->x && x < area->x + area->w && y >= area->y && y < area->y + area->h;
}

char *
ms_figure_describe_bar (MsFigure *figure, double width, double height, double x, double y)
{
  const MsLayout *layout = ms_figure_layout (figure, width, height);

  for (gboolean top = FALSE; top <= TRUE; top++)
    {
      MsRect area;
      const MsBars *bars = ms_margins_at (figure, layout, top, &area);
      const MsChannel *channel = top ? &figure->x : &figure->y;
      const MsMargin *margin = top ? &figure->plot->top : &figure->plot->right;
      const char *unit;
      char number[MS_NUMBER_SIZE];
      guint i;

      if (bars == NULL || !inside (&area, x, y))
        continue;
      i = (guint) (top ? (x - area.x) / area.w * bars->n : (y - area.y) / area.h * bars->n);
      i = MIN (i, bars->n - 1);
      unit = figure->value.column->unit;
      if (isnan (bars->values[i]))
        g_strlcpy (number, "no data", sizeof number);
      else
        ms_number_short (number, bars->values[i]);
      return g_strdup_printf ("%s %s: %s %s%s%s", channel->column->title, channel->names[i],
                              margin->title, number, unit != NULL ? " " : "",
                              unit != NULL ? unit : "");
    }
  return NULL;
}

gboolean
ms_figure_stretch (MsFigure *figure, double width, double height, double *x, double *y, double *w,
                   double *h)
{
  const MsLayout *layout = ms_figure_layout (figure, width, height);

  for (gboolean top = FALSE; top <= TRUE; top++)
    {
      MsRect area;

      if (ms_margins_at (figure, layout, top, &area) == NULL
          || !inside (&area, *x + *w / 2, *y + *h / 2))
        continue;
      area = g_array_index (layout->panels, MsPanel, 0).plot;
      if (top)
        {
          *y = area.y;
          *h = area.h;
        }
      else
        {
          *x = area.x;
          *w = area.w;
        }
      return TRUE;
    }
  return FALSE;
}
