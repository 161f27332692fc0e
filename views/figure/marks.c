/* The table of marks, and what it tells of plots to those who do not draw them.
 *
 * Nobody asks which mark a plot has: MsMarkClass answers every question about one.  A mark is a file with a
 * class and a line of MS_MARKS, from which this table and the declarations are made. */
#include "figure-private.h"

#define MS_MARK_ENTRY(NAME, name) [MS_MARK_##NAME] = &ms_mark_##name,
static const MsMarkClass *const marks[] = { MS_MARKS (MS_MARK_ENTRY) };
#undef MS_MARK_ENTRY

const MsMarkClass *
ms_mark_class (MsMark mark)
{
  g_return_val_if_fail ((guint) mark < G_N_ELEMENTS (marks), NULL);
  return marks[mark];
}

guint
ms_plot_count_free (const MsPlotDef *plot, gboolean *series)
{
  const MsMarkClass *mark = ms_mark_class (plot->mark);

  *series = plot->series == NULL && mark->takes_series;
  if (mark->whole)
    return 0;
  return (guint) *series + (plot->facet == NULL);
}

gboolean
ms_plot_takes_runs (const MsPlotDef *plot, gboolean grouped)
{
  gboolean series;

  return ms_plot_count_free (plot, &series) >= (grouped ? 2 : 1);
}

gboolean
ms_plot_is_map (const MsPlotDef *plot)
{
  return ms_mark_class (plot->mark)->framed;
}

gboolean
ms_plot_is_curves (const MsPlotDef *plot)
{
  return ms_mark_class (plot->mark)->joined;
}

char *
ms_plot_note (const MsPlotDef *plot, const MsTable *table, const char *interval)
{
  int low = plot->low != NULL ? ms_table_find_column (table, plot->low) : -1;
  gboolean drawn = FALSE;

  for (guint row = 0; low >= 0 && row < ms_table_n_rows (table) && !drawn; row++)
    drawn = !ms_table_is_null (table, row, (guint) low);
  if (interval == NULL || !drawn || ms_mark_class (plot->mark)->intervals == NULL)
    return NULL;
  return g_strdup_printf ("%s: %s.", ms_mark_class (plot->mark)->intervals, interval);
}
