/* The legend: keys in rows above the panels, or names at the ends of lines where those have room. */
#include "figure-private.h"

#include <math.h>
#include <stdlib.h>

/* Places the legend's keys in rows from (left, top); returns the height.  A row holds the line under its
 * swatches, whatever the font. */
double
ms_legend_place (MsFigure *figure, MsLayout *layout, MsPen *pen, double left, double right,
                 double top)
{
  double x = left, y = top, swatch = layout->em * 1.8, row = layout->line;
  guint shown = MIN (figure->n_series, figure->theme.n_series);

  if (figure->mark->swatch_reach > 0 && figure->theme.signs)
    row = MAX (row, MS_SWATCH_SIDE * layout->em + figure->mark->swatch_reach + 0.6);
  if (figure->series.numbers != NULL && shown > 0)
    {
      /* Numbers alone say nothing: what they count comes first. */
      g_autofree char *title = ms_channel_title (&figure->series);
      MsKey heading = { { x, y, 0, row }, MS_NONE };

      ms_pen_measure (pen, title, MS_TEXT_PLAIN, (right - left) * 0.6, &heading.box.w, NULL);
      g_array_append_val (layout->keys, heading);
      x += heading.box.w + layout->em * 0.9;
    }
  for (guint s = 0; s < shown; s++)
    {
      double w;
      MsKey key = { .series = s };

      if (!figure->valued[s])
        continue;
      ms_pen_measure (pen, figure->series.names[s], MS_TEXT_PLAIN, right - left - swatch, &w, NULL);
      w += swatch + layout->em * 0.4;
      if (x > left && x + w > right)
        {
          x = left;
          y += row;
        }
      key.box = (MsRect){ x, y, w, row };
      g_array_append_val (layout->keys, key);
      x += w + layout->em * 0.9;
    }
  return shown > 0 ? y + row - top : 0;
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

/* Whether names at the right ends of the lines would stand beside them, in a panel that high. */
static gboolean
ends_apart (const MsFigure *figure, double spacing, double height)
{
  double wanted[MS_SERIES_MAX], at[MS_SERIES_MAX];
  guint n = 0;

  for (guint s = 0; s < figure->n_series; s++)
    {
      const MsTrack *track = ms_track_find (figure, 0, s);

      for (guint i = track->n; i > 0; i--)
        {
          double t = ms_axis_map (&figure->y_axis,
                                  ms_channel_get (&figure->y, ms_track_row (track, i - 1)));

          if (!isfinite (t))
            continue;
          wanted[n++] = CLAMP (t, 0, 1) * height;
          break;
        }
    }
  qsort (wanted, n, sizeof *wanted, compare_doubles);
  for (guint i = 0; i < n; i++)
    at[i] = MAX (wanted[i], i == 0 ? spacing / 2 : at[i - 1] + spacing);
  for (guint i = n; i > 0; i--)
    at[i - 1] = MIN (at[i - 1], i == n ? height - spacing / 2 : at[i] - spacing);
  for (guint i = 0; i < n; i++)
    if (fabs (at[i] - wanted[i]) > 1.5 * spacing)
      return FALSE;
  return TRUE;
}

/* Lines are named at their right ends when they are few, alone, end apart and the names are short. */
gboolean
ms_legend_wants_direct (MsFigure *figure, MsPen *pen, double width, double line, double *room)
{
  double most = 0;

  if (!figure->mark->joined || figure->n_facets > 1 || figure->ordered_series
      || figure->n_series < 2 || figure->n_series > MS_SERIES_MAX)
    return FALSE;
  for (guint s = 0; s < figure->n_series; s++)
    {
      g_autofree char *name = ms_series_name (figure, s);
      double w;

      ms_pen_measure (pen, name, MS_TEXT_PLAIN, 0, &w, NULL);
      most = MAX (most, w);
    }
  *room = most + pen->em * 0.8;
  return *room < 0.28 * width
         && ends_apart (figure, line * 0.95,
                        figure->mark->panel_height (figure, 0.7 * width, pen->em));
}

void
ms_legend_draw (MsFigure *figure, const MsLayout *layout, MsPen *pen)
{
  double swatch = layout->em * 1.8;

  for (guint i = 0; i < layout->keys->len; i++)
    {
      const MsKey *key = &g_array_index (layout->keys, MsKey, i);
      double side = layout->em * (figure->mark->swatch_box ? MS_SWATCH_SIDE : 0.5);
      MsRect box
          = { key->box.x, key->box.y + (key->box.h - side) / 2, swatch - layout->em * 0.3, side };

      if (key->series == MS_NONE)
        {
          g_autofree char *title = ms_channel_title (&figure->series);

          ms_pen_text (pen, key->box.x, key->box.y + key->box.h / 2, 0, 0.5, 0, MS_TEXT_PLAIN,
                       ms_pen_ink (pen, MS_TEXT_PLAIN), key->box.w + 1, title);
          continue;
        }
      if (figure->mark->swatch_box)
        {
          box.w = layout->em * 1.2;
          box.x += layout->em * 0.3;
        }
      figure->mark->swatch (pen, ms_figure_slot (figure, key->series),
                            ms_figure_series_colour (figure, key->series), box);
      ms_pen_text (pen, key->box.x + swatch, key->box.y + key->box.h / 2, 0, 0.5, 0, MS_TEXT_PLAIN,
                   ms_pen_ink (pen, MS_TEXT_PLAIN), key->box.w - swatch,
                   figure->series.names[key->series]);
    }
}
