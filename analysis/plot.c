/* What a plot's description says of a table, without drawing: which plot, and whether it has data.  What a
 * mark makes of it is the business of views/figure. */
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
