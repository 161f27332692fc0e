/* The labels along axes: which of them are written, in which size, level or leaning.
 *
 * All names of categories are written while a legible size lets them; numbers give way to round ones.  The
 * functions that fit labels into a length set the layout's labels and their style, and return the room that
 * they take across the axis. */
#include "figure-private.h"

#include <math.h>

static void
clear_label (gpointer data)
{
  g_free (((MsLabel *) data)->text);
}

GArray *
ms_labels_new (void)
{
  GArray *labels = g_array_new (FALSE, FALSE, sizeof (MsLabel));

  g_array_set_clear_func (labels, clear_label);
  return labels;
}

static void
add_label (GArray *labels, double at, const char *text)
{
  MsLabel label = { .at = at, .text = g_strdup (text) };

  g_array_append_val (labels, label);
}

void
ms_labels_of_axis (const MsAxis *axis, guint most, GArray *labels)
{
  MsTick ticks[MS_TICKS_MAX];
  guint n = ms_axis_ticks (axis, most, ticks);

  g_array_set_size (labels, 0);
  for (guint i = 0; i < n; i++)
    add_label (labels, ticks[i].at, ticks[i].label);
}

/* The step that leaves at most `most` of n: powers of two among experts counted in eights, which keeps
 * both sides of a map alike, else 1, 2, 5. */
static guint
category_step (guint n, double most)
{
  static const guint decimal[] = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 0 };
  static const guint binary[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 0 };
  const guint *step = n % 8 == 0 ? binary : decimal;

  while (*step > 0 && n / (double) *step > most)
    step++;
  return *step > 0 ? *step : (guint) ceil (n / MAX (most, 1));
}

/* Every category, or as many as `most` leaves: numbers at round values. */
void
ms_labels_of_categories (const MsChannel *channel, double most, GArray *labels,
                         const guint32 *order)
{
  gboolean consecutive
      = channel->numbers != NULL && channel->n > 0
        && channel->numbers[channel->n - 1] - channel->numbers[0] == channel->n - 1;
  /* Where the numbers leap no step is rounder than another. */
  guint step = consecutive || channel->numbers == NULL ? category_step (channel->n, MAX (most, 1))
                                                       : (guint) ceil (channel->n / MAX (most, 1));

  g_array_set_size (labels, 0);
  for (guint place = 0; place < channel->n; place++)
    {
      guint i = order != NULL ? order[place] : place;
      gboolean shown = order == NULL && consecutive ? fmod (channel->numbers[i], step) == 0
                                                    : place % step == 0;

      if (shown)
        add_label (labels, (place + 0.5) / channel->n,
                   channel->names[i][0] != '\0' ? channel->names[i] : "\xe2\x80\x93");
    }
}

/* The sizes of labels, from the largest on, and the room that names in a column need, in em. */
static const struct
{
  guint style;
  double scale, spacing;
} label_styles[]
    = { { MS_TEXT_PLAIN, 1, 1.1 }, { MS_TEXT_SMALL, 0.85, 0.94 }, { MS_TEXT_TINY, 0.7, 0.67 } };

double
ms_labels_width (MsPen *pen, const GArray *labels, guint style, double most)
{
  double width = 0;

  for (guint i = 0; i < labels->len; i++)
    {
      double w;

      ms_pen_measure (pen, g_array_index (labels, MsLabel, i).text, style, most, &w, NULL);
      width = MAX (width, w);
    }
  return width;
}

/* Every second label stands behind the others. */
static void
rank_labels (GArray *labels)
{
  for (guint i = 1; i < labels->len; i += 2)
    g_array_index (labels, MsLabel, i).rank = 1;
}

/* The names down an axis of `length`: all of them while a legible size lets them, short ones in two
 * ranks where one is too tight, else every few.  Sets the labels and style of y; returns their width. */
double
ms_labels_fit_down (MsFigure *figure, MsLayout *layout, MsPen *pen, double length)
{
  const MsChannel *y = &figure->y;
  double em = layout->em, width, room = y->n > 0 ? length / y->n : length;
  guint last = G_N_ELEMENTS (label_styles) - 1;

  layout->y_rank = 0;
  for (guint i = 0; y->numbers == NULL && i <= last; i++)
    if (em * label_styles[i].spacing <= room)
      {
        ms_labels_of_categories (y, y->n, layout->y_labels, figure->order);
        layout->y_style = label_styles[i].style;
        return ms_labels_width (pen, layout->y_labels, layout->y_style, layout->y_label_width);
      }
  if (y->numbers == NULL && em * MS_NAME_LEAST <= room)
    {
      ms_labels_of_categories (y, y->n, layout->y_labels, figure->order);
      width = ms_labels_width (pen, layout->y_labels, label_styles[last].style, 0);
      if (2 * width < layout->y_label_width)
        {
          rank_labels (layout->y_labels);
          layout->y_style = label_styles[last].style;
          layout->y_rank = width + 0.3 * em;
          return width + layout->y_rank;
        }
    }
  ms_labels_of_categories (y, length / (em * 1.15), layout->y_labels, figure->order);
  layout->y_style = MS_TEXT_PLAIN;
  return ms_labels_width (pen, layout->y_labels, layout->y_style, layout->y_label_width);
}

/* The names along an axis of `length`: level, leaning or upright, in one rank or two, whichever shows
 * all of them in the largest letters.  Returns the height they take. */
double
ms_labels_fit_across (MsFigure *figure, MsLayout *layout, MsPen *pen, double length,
                      gboolean may_lean)
{
  /* Level or not, in which style, in how many ranks. */
  static const struct
  {
    double angle;
    guint style, ranks;
  } ways[] = { { 0, 0, 1 },  { 0, 1, 1 },  { 45, 0, 1 }, { 0, 2, 1 }, { 45, 1, 1 },
               { 90, 1, 1 }, { 90, 2, 1 }, { 0, 2, 2 },  { 90, 2, 2 } };
  const MsChannel *x = &figure->x;
  double w = 0;

  layout->x_rank = 0;
  ms_labels_of_categories (x, G_MAXUINT, layout->x_labels, figure->order);
  for (guint i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      guint style = label_styles[ways[i].style].style;
      double line = layout->line * label_styles[ways[i].style].scale;
      double em = layout->em * label_styles[ways[i].style].scale;

      w = ms_labels_width (pen, layout->x_labels, style, layout->x_label_width);
      if ((ways[i].angle == 0    ? w + 0.3 * layout->em
           : ways[i].angle == 45 ? 1.2 * em
                                 : label_styles[ways[i].style].spacing * layout->em)
              * x->n
          > length * ways[i].ranks)
        continue;
      if (ways[i].angle == 45 && !may_lean)
        continue;
      if (ways[i].ranks > 1 && w > 4 * em)
        continue;
      if (ways[i].ranks > 1)
        {
          rank_labels (layout->x_labels);
          layout->x_rank = ways[i].angle == 0 ? line : w + 0.3 * em;
        }
      layout->x_angle = ways[i].angle;
      layout->x_style = style;
      return layout->x_rank
             + (ways[i].angle == 0    ? line
                : ways[i].angle == 45 ? w * G_SQRT2 / 2 + line * 0.7
                                      : w + 0.2 * line);
    }
  layout->x_angle = may_lean ? 45 : 90;
  layout->x_style = MS_TEXT_PLAIN;
  w = ms_labels_width (pen, layout->x_labels, MS_TEXT_PLAIN, layout->x_label_width);
  ms_labels_of_categories (x, length / (layout->line * 1.05), layout->x_labels, figure->order);
  return may_lean ? w * G_SQRT2 / 2 + layout->line * 0.7 : w + 0.2 * layout->line;
}
