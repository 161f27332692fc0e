/* What marks along two axes share: the shape of a panel, and the place of a point. */
#include "figure-private.h"

#include <math.h>

gboolean
ms_point_locate (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint row,
                 MsRect *rect)
{
  double x = ms_panel_x (figure, panel, ms_channel_get (&figure->x, row));
  double y = ms_panel_y (figure, panel, ms_channel_get (&figure->y, row)), r = layout->em * 0.35;

  if (!isfinite (x) || !isfinite (y))
    return FALSE;
  *rect = (MsRect){ x - r, y - r, 2 * r, 2 * r };
  return TRUE;
}

double
ms_chart_height (MsFigure *figure, double width, double em)
{
  (void) figure;
  return CLAMP (width * 0.62, 6 * em, 24 * em);
}
