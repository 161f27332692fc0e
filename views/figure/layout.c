/* Where everything goes: a function of the figure, the width and the height alone.
 *
 * From the outside in: title, legend, notes, axis titles, labels, colour bar; what is left is cut into
 * panels of one size.  The room that labels take and the panels' size depend on each other, so the
 * margins are found in a few rounds. */
#include "figure-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void
clear_label (gpointer data)
{
  g_free (((MsLabel *) data)->text);
}

static GArray *
labels_new (void)
{
  GArray *labels = g_array_new (FALSE, FALSE, sizeof (MsLabel));

  g_array_set_clear_func (labels, clear_label);
  return labels;
}

void
ms_layout_free (MsLayout *layout)
{
  if (layout == NULL)
    return;
  g_array_unref (layout->panels);
  g_array_unref (layout->x_labels);
  g_array_unref (layout->y_labels);
  g_array_unref (layout->bar_labels);
  g_array_unref (layout->keys);
  g_free (layout);
}

static void
add_label (GArray *labels, double at, const char *text)
{
  MsLabel label = { .at = at, .text = g_strdup (text) };

  g_array_append_val (labels, label);
}

static void
axis_labels (const MsAxis *axis, guint most, GArray *labels)
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
static void
category_labels (const MsChannel *channel, double most, GArray *labels, const guint32 *order)
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

static double
widest (MsPen *pen, const GArray *labels, guint style, double most)
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
static double
fit_names_down (MsFigure *figure, MsLayout *layout, MsPen *pen, double length)
{
  const MsChannel *y = &figure->y;
  double em = layout->em, width, room = y->n > 0 ? length / y->n : length;
  guint last = G_N_ELEMENTS (label_styles) - 1;

  layout->y_rank = 0;
  for (guint i = 0; y->numbers == NULL && i <= last; i++)
    if (em * label_styles[i].spacing <= room)
      {
        category_labels (y, y->n, layout->y_labels, figure->order);
        layout->y_style = label_styles[i].style;
        return widest (pen, layout->y_labels, layout->y_style, layout->y_label_width);
      }
  if (y->numbers == NULL && em * MS_NAME_LEAST <= room)
    {
      category_labels (y, y->n, layout->y_labels, figure->order);
      width = widest (pen, layout->y_labels, label_styles[last].style, 0);
      if (2 * width < layout->y_label_width)
        {
          rank_labels (layout->y_labels);
          layout->y_style = label_styles[last].style;
          layout->y_rank = width + 0.3 * em;
          return width + layout->y_rank;
        }
    }
  category_labels (y, length / (em * 1.15), layout->y_labels, figure->order);
  layout->y_style = MS_TEXT_PLAIN;
  return widest (pen, layout->y_labels, layout->y_style, layout->y_label_width);
}

/* The names along an axis of `length`: level, leaning or upright, in one rank or two, whichever shows
 * all of them in the largest letters.  Returns the height they take. */
static double
fit_names_across (MsFigure *figure, MsLayout *layout, MsPen *pen, double length, gboolean may_lean)
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
  category_labels (x, G_MAXUINT, layout->x_labels, figure->order);
  for (guint i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      guint style = label_styles[ways[i].style].style;
      double line = layout->line * label_styles[ways[i].style].scale;
      double em = layout->em * label_styles[ways[i].style].scale;

      w = widest (pen, layout->x_labels, style, layout->x_label_width);
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
  w = widest (pen, layout->x_labels, MS_TEXT_PLAIN, layout->x_label_width);
  category_labels (x, length / (layout->line * 1.05), layout->x_labels, figure->order);
  return may_lean ? w * G_SQRT2 / 2 + layout->line * 0.7 : w + 0.2 * layout->line;
}

/* Places the legend's keys in rows from (left, top); returns the height.  A row holds the line under its
 * swatches, whatever the font. */
static double
place_keys (MsFigure *figure, MsLayout *layout, MsPen *pen, double left, double right, double top)
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
static gboolean
wants_direct (MsFigure *figure, MsPen *pen, double width, double line, double *room)
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

/* The most that a figure of small multiples is high when nobody says: twice the width of a narrow column
 * with all of them, less with `some`; no higher than the text of a page, never less than a screenful. */
static double
page_height (double width, gboolean some)
{
  return MAX (MIN ((some ? 1.6 : 2) * width, 8.8 * 96), 1.3 * width);
}

/* So few panels are always all drawn: the first, the middle and the last. */
#define PANELS_LEAST 3
/* So many are an atlas, not a figure: nobody compares more. */
#define PANELS_MOST 32
/* Side by side and one below the other where some are left out. */
#define PANELS_SOME 4

/* The height in em of a chart's panel that gives way to others. */
#define FLAT 7

/* The space between panels, with a heading above each, in em. */
#define PANEL_GAP_X 1.1
#define PANEL_GAP_Y 2.2

/* How many panels stand side by side and how many there are: all in panels some 12 em wide or, when the
 * height is given, as large as their shape allows.  Where that makes panels too small to read or a figure
 * higher than a page, fewer are shown, in a height that is less by `spare`. */
static void
choose_panels (MsFigure *figure, double width, double height, double spare, gboolean natural,
               double em, guint *best_columns, guint *shown)
{
  guint n = figure->n_facets, columns, rows;
  double least = figure->mark->panel_least != NULL ? figure->mark->panel_least (figure, em) : 0;
  double best_score = -INFINITY, w, h;

  *best_columns = 1;
  *shown = n;
  if (n <= 1 || figure->mark->whole)
    return;
  least = MAX (least, 4.5 * em);
  for (columns = 1; columns <= n && n <= PANELS_MOST; columns++)
    {
      double wanted, empty, score;

      rows = (n + columns - 1) / columns;
      w = width / columns - PANEL_GAP_X * em;
      wanted = figure->mark->panel_height (figure, w, em);
      empty = 3 * em * (columns * rows - n) / n;
      if (w < least && columns > 1)
        break;
      if (n > PANELS_LEAST
          && rows * ((natural ? wanted : MIN (wanted, 4 * em)) + PANEL_GAP_Y * em) > height)
        continue;
      if (natural)
        score = -fabs (w - 12 * em) - empty
                - MAX (0, rows * (wanted + PANEL_GAP_Y * em) - 1.25 * width);
      else
        score = MIN (w, 30 * em) * MIN (height / rows - PANEL_GAP_Y * em, wanted) - empty;
      if (score > best_score)
        {
          best_score = score;
          *best_columns = columns;
        }
    }
  if (best_score > -INFINITY)
    return;
  /* They do not all fit: then those shown get a comfortable size, less comfortable where that leaves only
   * a few; charts may be flat for it. */
  for (w = MAX (least, 8.5 * em);; w = MAX (least, w - em))
    {
      columns = (guint) CLAMP (width / (w + PANEL_GAP_X * em), 1, PANELS_SOME);
      h = figure->mark->panel_height (figure, width / columns - PANEL_GAP_X * em, em);
      if (figure->mark->grid)
        h = MIN (h, FLAT * em);
      rows = (guint) CLAMP ((height - spare) / (h + PANEL_GAP_Y * em), 1, PANELS_SOME);
      if (w <= least || columns * rows > PANELS_SOME)
        break;
    }
  *best_columns = columns;
  *shown = n <= PANELS_LEAST ? n : CLAMP (columns * rows, natural ? PANELS_LEAST : 1, n);
}

/* Notes, colour bar and x title, as distances from the lower edge; returns their height. */
static double
place_bottom (MsFigure *figure, MsLayout *layout, MsPen *pen, guint shown, gboolean across)
{
  double em = layout->em, gap = em * 0.4, bottom = gap * 0.6;
  g_autofree char *notes = ms_figure_notes (figure, shown);
  g_autofree char *x_title = ms_figure_x_title (figure);

  if (notes != NULL)
    {
      bottom += ms_pen_paragraph (pen, 0, 0, layout->width - 2 * gap, MS_TEXT_SMALL, notes);
      layout->note_y = bottom;
      bottom += gap * 0.8;
    }
  if (figure->has_value && across)
    bottom += 0.7 * em + gap * 0.5 + layout->line + 2.5 * gap;
  layout->bar.y = bottom - (across ? 1.5 * gap : 0);
  if (figure->mark->axes && x_title[0] != '\0')
    {
      bottom += layout->line;
      layout->x_title_y = bottom;
      bottom += gap * 0.7;
    }
  return bottom;
}

/* The layout with the colour bar at the right, or `across` below the panels. */
static MsLayout *
make_layout (MsFigure *figure, double width, double height, gboolean across)
{
  g_auto (MsPen) pen = { 0 };
  MsLayout *layout = g_new0 (MsLayout, 1);
  gboolean natural = height <= 0;
  gboolean axes = figure->mark->axes;
  double em, line, gap, top, bottom, left, right, legend_room = 0, strip;
  guint columns, rows, shown = figure->n_facets;
  g_autofree char *y_title = ms_figure_y_title (figure);
  double panel_w = 0, panel_h = 0, gap_x, gap_y, y_title_length;

  ms_pen_init (&pen, &figure->theme, NULL);
  ms_pen_measure (&pen, "Xg", MS_TEXT_PLAIN, 0, NULL, &line);
  em = pen.em;
  ms_pen_measure (&pen, y_title, MS_TEXT_SMALL, 0, &y_title_length, NULL);
  gap = em * 0.4;
  *layout = (MsLayout){ .width = width, .height = height, .em = em, .line = line };
  layout->panels = g_array_new (FALSE, FALSE, sizeof (MsPanel));
  layout->keys = g_array_new (FALSE, FALSE, sizeof (MsKey));
  layout->x_labels = labels_new ();
  layout->y_labels = labels_new ();
  layout->bar_labels = labels_new ();
  layout->strips = figure->facet.n > 0 && axes;
  layout->x_label_width = natural ? 9 * em : MIN (9 * em, height * 0.3);
  layout->y_label_width = MIN (12 * em, width * (figure->n_facets > 1 ? 0.22 : 0.32));

  /* Top: title, panel letter, legend. */
  top = gap;
  if (figure->title != NULL)
    {
      layout->title_x = gap;
      if (figure->panel != NULL)
        {
          double w;

          ms_pen_measure (&pen, figure->panel, MS_TEXT_BOLD, 0, &w, NULL);
          layout->title_x += w + em * 0.6;
        }
      layout->title_y = top;
      layout->wraps = natural || height > 15 * em;
      top += line * 0.45
             + (layout->wraps ? ms_pen_paragraph (&pen, 0, 0, width - layout->title_x - gap,
                                                  MS_TEXT_BOLD, figure->title)
                              : line);
    }
  layout->direct = wants_direct (figure, &pen, width, line, &legend_room);
  if (!layout->direct && figure->n_series > 1 && !figure->ordered_series && figure->mark->legend)
    {
      double from = gap;

      if (figure->panel != NULL && figure->title == NULL)
        {
          double w;

          ms_pen_measure (&pen, figure->panel, MS_TEXT_BOLD, 0, &w, NULL);
          from += w + em;
        }
      top += place_keys (figure, layout, &pen, from, width - gap, top) + gap * 0.5;
    }
  else if (figure->panel != NULL && figure->title == NULL)
    top += line * 0.9;
  layout->head = figure->title != NULL || layout->keys->len > 0 ? top : 1;
  strip = layout->strips ? line * 1.05 : 0;
  /* The label of a tick at the upper end of an axis or a colour bar. */
  if (axes && strip == 0)
    top = MAX (top, line * 0.55);

  /* Right: colour bar or names of lines. */
  right = gap;
  if (layout->direct)
    right = legend_room;
  if (figure->has_value && !across)
    {
      double labels;

      axis_labels (&figure->value_axis, 6, layout->bar_labels);
      labels = widest (&pen, layout->bar_labels, MS_TEXT_PLAIN, 6 * em);
      right += em * 0.8 + em * 0.9 + em * 0.5 + labels + line + gap;
    }

  bottom = place_bottom (figure, layout, &pen, shown, across);
  left = gap + (axes && y_title[0] != '\0' ? line + gap * 0.6 : 0);
  layout->y_title_x = gap;
  if (figure->mark->surround != NULL)
    figure->mark->surround (figure, layout, &pen);

  {
    double x_labels = axes ? line + gap * 0.8 : 0,
           y_labels = axes ? (figure->y.numbers != NULL ? 1.7 : 3) * em : 0, edge = 0;

    columns = 0;
    if (!natural && figure->n_facets > 1)
      {
        /* Near its natural height a figure keeps the panels it has there. */
        g_autoptr (MsLayout) free_height = make_layout (figure, width, 0, across);

        if (fabs (free_height->height - height) < 0.2 * height)
          {
            columns = free_height->columns;
            shown = free_height->shown;
          }
      }
    if (columns == 0)
      choose_panels (figure, width - left - y_labels - right,
                     (natural ? page_height (width, FALSE) : height) - top - bottom - x_labels,
                     natural ? page_height (width, FALSE) - page_height (width, TRUE) : 0, natural,
                     em, &columns, &shown);
    if (shown < figure->n_facets)
      /* The notes say so, which takes some of the panels' room. */
      bottom = place_bottom (figure, layout, &pen, shown, across);
    layout->columns = columns;
    layout->shown = shown;
    rows = (shown + columns - 1) / columns;
    if (figure->mark->whole)
      rows = 1;
    gap_x = em * PANEL_GAP_X;
    gap_y = em * 0.7 + strip;
    for (guint round = 0; round < 3; round++)
      {
        panel_w = (width - left - y_labels - right - edge - layout->beside - gap_x * (columns - 1))
                  / columns;
        panel_w = MAX (panel_w, 4);
        panel_h = ((natural ? page_height (width, TRUE) : height) - top - strip - layout->over
                   - x_labels - bottom - gap_y * (rows - 1))
                  / rows;
        if (natural)
          {
            double wanted = MAX (figure->mark->panel_height (figure, panel_w, em), 2 * em);
            double beside = strip + x_labels + (rows - 1) * gap_y, title;

            /* Charts are as high as their y axis' title is long: it would reach into the legend. */
            ms_pen_measure (&pen, y_title, MS_TEXT_PLAIN, 16 * em, &title, NULL);
            if (figure->mark->grid)
              wanted = MAX (wanted, (title - beside) / rows);
            panel_h = shown < figure->n_facets && figure->mark->grid
                          ? CLAMP (panel_h, FLAT * em, wanted)
                          : wanted;
            /* The y title stands between the head and the notes. */
            if (axes && !figure->mark->square)
              panel_h += MAX (y_title_length
                                  - (top - layout->head + strip + layout->over + rows * panel_h
                                     + (rows - 1) * gap_y + x_labels + bottom - layout->note_y),
                              0)
                         / rows;
            layout->height = top + strip + layout->over + rows * panel_h + (rows - 1) * gap_y
                             + x_labels + bottom;
          }
        panel_h = MAX (panel_h, 4);
        if (!axes)
          continue;
        /* Labels of y, and the room they take. */
        if (figure->y.of_row != NULL)
          y_labels = fit_names_down (figure, layout, &pen, panel_h) + gap * 1.2;
        else
          {
            axis_labels (&figure->y_axis, (guint) CLAMP (panel_h / (2.2 * line), 2, 8),
                         layout->y_labels);
            y_labels
                = widest (&pen, layout->y_labels, MS_TEXT_PLAIN, layout->y_label_width) + gap * 1.2;
          }
        if (layout->bars > 0)
          y_labels = MAX (y_labels, layout->bars_label + gap * 1.2);
        /* Labels of x: level while they fit, else leaning, else fewer. */
        layout->x_angle = 0;
        layout->x_style = MS_TEXT_PLAIN;
        edge = 0;
        if (figure->x.of_row == NULL)
          {
            guint most = (guint) CLAMP (panel_w / (3.2 * em), 2, 12);

            for (; most > 2; most--)
              {
                axis_labels (&figure->x_axis, most, layout->x_labels);
                if (widest (&pen, layout->x_labels, MS_TEXT_PLAIN, 0) * 1.35 * layout->x_labels->len
                    < panel_w)
                  break;
              }
            axis_labels (&figure->x_axis, most, layout->x_labels);
            x_labels = line + gap * 0.8;
          }
        else if (figure->x.numbers != NULL)
          {
            double w;

            category_labels (&figure->x, G_MAXUINT, layout->x_labels, figure->order);
            w = widest (&pen, layout->x_labels, MS_TEXT_PLAIN, layout->x_label_width);
            x_labels = line + gap * 0.8;
            category_labels (&figure->x, panel_w / MAX (w + 0.5 * em, 1.5 * em), layout->x_labels,
                             figure->order);
          }
        else
          /* Names that lean would reach under the panels of the row below. */
          x_labels
              = fit_names_across (figure, layout, &pen, panel_w, shown % columns == 0) + gap * 0.8;
        /* The last label of a continuous axis may stick out to the right. */
        if (layout->x_angle == 0 && layout->x_labels->len > 0)
          {
            const MsLabel *last
                = &g_array_index (layout->x_labels, MsLabel, layout->x_labels->len - 1);
            double w;

            ms_pen_measure (&pen, last->text, layout->x_style, layout->x_label_width, &w, NULL);
            edge = MAX (0, w / 2 - (1 - last->at) * panel_w - (right - gap));
          }
      }
    left += y_labels;
    layout->height = natural ? ceil (layout->height) : height;
    layout->note_y = layout->height - layout->note_y;
    layout->x_title_y = layout->height - layout->x_title_y;
    if (figure->has_value && across)
      {
        double title, most = width - left - 2 * gap;

        ms_pen_measure (&pen, figure->bar_title, MS_TEXT_PLAIN, 0.6 * most, &title, NULL);
        layout->across = TRUE;
        layout->bar = (MsRect){ left + title + em, layout->height - layout->bar.y,
                                CLAMP (most - title - 3 * em, 4 * em, 16 * em), 0.7 * em };
        axis_labels (&figure->value_axis, (guint) CLAMP (layout->bar.w / (3.5 * em), 3, 7),
                     layout->bar_labels);
      }
    else if (figure->has_value)
      {
        double tall = rows * panel_h + (rows - 1) * gap_y;

        layout->bar = (MsRect){ width - right + gap + em * 0.4, top + strip + layout->over,
                                em * 0.9, MIN (tall, 16 * em) };
        axis_labels (&figure->value_axis, (guint) CLAMP (layout->bar.h / (2 * line), 2, 7),
                     layout->bar_labels);
      }
    layout->direct_x = width - right + em * 0.35;
    for (guint i = 0; i < (rows == 1 && columns == 1 ? 1 : shown); i++)
      {
        guint column = i % columns, row = i / columns, all = figure->n_facets;
        MsPanel panel
            = { .plot = { left + column * (panel_w + gap_x),
                          top + strip + layout->over + row * (panel_h + gap_y), panel_w, panel_h },
                .facet
                = shown < all && shown > 1 ? (guint) lround (i * (all - 1.0) / (shown - 1.0)) : i,
                .left = column == 0,
                .bottom = i + columns >= shown };

        g_array_append_val (layout->panels, panel);
      }
  }
  return layout;
}

MsLayout *
ms_layout_new (MsFigure *figure, double width, double height)
{
  MsLayout *layout = make_layout (figure, width, height, FALSE);
  g_auto (MsPen) pen = { 0 };
  double title;

  if (!figure->has_value)
    return layout;
  ms_pen_init (&pen, &figure->theme, NULL);
  ms_pen_measure (&pen, figure->bar_title, MS_TEXT_PLAIN, 0, &title, NULL);
  if (title <= layout->note_y - layout->head && layout->bar.h >= 3 * layout->line)
    return layout;
  /* Its title is longer than there is room beside the panels, or its numbers would touch: the bar
   * goes below. */
  ms_layout_free (layout);
  return make_layout (figure, width, height, TRUE);
}
