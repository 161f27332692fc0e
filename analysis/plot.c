/* What a plot's description says of a table, without drawing: which plot, whether it has data, whether its
 * intervals show.  Drawing is the business of views/figure. */
#include "analysis.h"

#include <string.h>

const MsPlotDef *
ms_analysis_plot (const MsAnalysis *analysis, const char *name)
{
  for (const MsPlotDef *plot = analysis->plots; plot != NULL && plot->name != NULL; plot++)
    if (name == NULL || strcmp (plot->name, name) == 0)
      return plot;
  return NULL;
}

gboolean
ms_plot_has_data (const MsPlotDef *plot, const MsTable *table)
{
  const char *column = plot->value != NULL ? plot->value : plot->y;
  const char *equals = plot->where != NULL ? strchr (plot->where, '=') : NULL;
  g_autofree char *name
      = equals != NULL ? g_strndup (plot->where, (gsize) (equals - plot->where)) : NULL;
  int shown = column != NULL ? ms_table_find_column (table, column) : -1;
  int chosen = name != NULL ? ms_table_find_column (table, name) : -1;

  for (guint row = 0; row < ms_table_n_rows (table); row++)
    if ((chosen < 0 || ms_table_cell_is (table, row, (guint) chosen, equals + 1))
        && (shown < 0 || !ms_table_is_null (table, row, (guint) shown)))
      return TRUE;
  return FALSE;
}

char *
ms_plot_note (const MsPlotDef *plot, const MsTable *table, const char *interval)
{
  int low = plot->low != NULL ? ms_table_find_column (table, plot->low) : -1;
  gboolean drawn = FALSE;

  for (guint row = 0; low >= 0 && row < ms_table_n_rows (table) && !drawn; row++)
    drawn = !ms_table_is_null (table, row, (guint) low);
  if (interval == NULL || !drawn)
    return NULL;
  return g_strdup_printf ("%s: %s.", plot->mark == MS_MARK_LINE ? "Band" : "Error bars", interval);
}
