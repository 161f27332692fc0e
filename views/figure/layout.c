/* Where everything goes: a function of the figure, the width and the height alone.
 *
 * From the outside in: title, legend, notes, axis titles, labels, colour bar; what is left is cut into
 * panels of one size.  The room that labels take and the panels' size depend on each other, so the
 * margins are found in a few rounds. */
#include "figure-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* What the steps of one layout hand on: the layout itself, and what it does not keep.  Each step reads what
 * the ones before it set, in the order of make_layout. */
typedef struct
{
  MsFigure *figure;
  MsLayout *layout;
  MsPen *pen;
  gboolean natural; /* no height is given: the layout finds one */
  gboolean across;  /* the colour bar lies below the panels */
  double em, line, gap;

  double top, bottom, left, right; /* room outside the panels, without labels */
  double strip;                    /* height of a panel's heading */
  double x_labels, y_labels;       /* room that labels take, found in rounds */
  double edge;                     /* by which the last label of x sticks out at the right */

  guint columns, rows, shown; /* of panels */
  double gap_x, gap_y;        /* between them */
  double panel_w, panel_h;
} Plan;

/* Notes, colour bar and x title, as distances from the lower edge. */
static void
place_bottom (Plan *plan, guint shown)
{
  MsFigure *figure = plan->figure;
  MsLayout *layout = plan->layout;
  double gap = plan->gap, bottom = gap * 0.6;
  g_autofree char *notes = ms_figure_drawn_notes (figure, shown);
  g_autofree char *x_title = ms_figure_x_title (figure);

  if (notes != NULL)
    {
      bottom += ms_pen_paragraph (plan->pen, 0, 0, layout->width - 2 * gap, MS_TEXT_SMALL, notes);
      layout->note_y = bottom;
      bottom += gap * 0.8;
    }
  if (figure->has_value && plan->across)
    bottom += 0.7 * plan->em + gap * 0.5 + plan->line + 2.5 * gap;
  layout->bar.y = bottom - (plan->across ? 1.5 * gap : 0);
  if (figure->mark->axes && x_title[0] != '\0')
    {
      bottom += plan->line;
      layout->x_title_y = bottom;
      bottom += gap * 0.7;
    }
  plan->bottom = bottom;
}

static double
letter_width (const Plan *plan)
{
  double w;

  ms_pen_measure (plan->pen, plan->figure->panel, MS_TEXT_BOLD, 0, &w, NULL);
  return w;
}

/* Title, panel letter and legend, or at the right the names of lines. */
static void
place_head (Plan *plan)
{
  MsFigure *figure = plan->figure;
  MsLayout *layout = plan->layout;
  double em = plan->em, gap = plan->gap, width = layout->width, names = 0;
  gboolean letter = figure->panel != NULL && figure->title == NULL;

  plan->top = gap;
  if (figure->title != NULL)
    {
      layout->title_x = gap + (figure->panel != NULL ? letter_width (plan) + em * 0.6 : 0);
      layout->title_y = plan->top;
      layout->wraps = plan->natural || layout->height > 15 * em;
      plan->top
          += plan->line * 0.45
             + (layout->wraps ? ms_pen_paragraph (plan->pen, 0, 0, width - layout->title_x - gap,
                                                  MS_TEXT_BOLD, figure->title)
                              : plan->line);
    }
  layout->direct = ms_legend_wants_direct (figure, plan->pen, width, plan->line, &names);
  if (!layout->direct && figure->n_series > 1 && !figure->ordered_series && figure->mark->legend)
    plan->top
        += ms_legend_place (figure, layout, plan->pen,
                            gap + (letter ? letter_width (plan) + em : 0), width - gap, plan->top)
           + gap * 0.5;
  else if (letter)
    plan->top += plan->line * 0.9;
  layout->head = figure->title != NULL || layout->keys->len > 0 ? plan->top : 1;
  plan->strip = layout->strips ? plan->line * 1.05 : 0;
  /* The label of a tick at the upper end of an axis or a colour bar. */
  if (figure->mark->axes && plan->strip == 0)
    plan->top = MAX (plan->top, plan->line * 0.55);
  plan->right = layout->direct ? names : gap;
}

/* Colour bar at the right, title of y at the left, and what stands around a panel. */
static void
place_sides (Plan *plan)
{
  MsFigure *figure = plan->figure;
  MsLayout *layout = plan->layout;
  double em = plan->em, gap = plan->gap;
  g_autofree char *y_title = ms_figure_y_title (figure);

  if (figure->has_value && !plan->across)
    {
      double labels;

      ms_labels_of_axis (&figure->value_axis, 6, layout->bar_labels);
      labels = ms_labels_width (plan->pen, layout->bar_labels, MS_TEXT_PLAIN, 6 * em);
      plan->right += em * 0.8 + em * 0.9 + em * 0.5 + labels + plan->line + gap;
    }
  plan->left = gap + (figure->mark->axes && y_title[0] != '\0' ? plan->line + gap * 0.6 : 0);
  layout->y_title_x = gap;
  if (figure->mark->surround != NULL)
    figure->mark->surround (figure, layout, plan->pen);
}

static MsLayout *make_layout (MsFigure *figure, double width, double height, gboolean across);

/* How many panels are shown, in how many columns and rows; first guesses of the labels' room. */
static void
plan_panels (Plan *plan)
{
  MsFigure *figure = plan->figure;
  MsLayout *layout = plan->layout;
  double width = layout->width, most = page_height (width, FALSE);

  plan->shown = figure->n_facets;
  if (figure->mark->axes)
    {
      plan->x_labels = plan->line + plan->gap * 0.8;
      plan->y_labels = (figure->y.numbers != NULL ? 1.7 : 3) * plan->em;
    }
  if (!plan->natural && figure->n_facets > 1)
    {
      /* Near its natural height a figure keeps the panels it has there. */
      g_autoptr (MsLayout) free_height = make_layout (figure, width, 0, plan->across);

      if (fabs (free_height->height - layout->height) < 0.2 * layout->height)
        {
          plan->columns = free_height->columns;
          plan->shown = free_height->shown;
        }
    }
  if (plan->columns == 0)
    choose_panels (figure, width - plan->left - plan->y_labels - plan->right,
                   (plan->natural ? most : layout->height) - plan->top - plan->bottom
                       - plan->x_labels,
                   plan->natural ? most - page_height (width, TRUE) : 0, plan->natural, plan->em,
                   &plan->columns, &plan->shown);
  if (plan->shown < figure->n_facets)
    /* The notes say so, which takes some of the panels' room. */
    place_bottom (plan, plan->shown);
  layout->columns = plan->columns;
  layout->shown = plan->shown;
  plan->rows = figure->mark->whole ? 1 : (plan->shown + plan->columns - 1) / plan->columns;
  plan->gap_x = plan->em * PANEL_GAP_X;
  plan->gap_y = plan->em * 0.7 + plan->strip;
}

/* The height of panels `panel_w` wide when nobody says, and with it that of the figure. */
static void
find_height (Plan *plan)
{
  MsFigure *figure = plan->figure;
  MsLayout *layout = plan->layout;
  guint rows = plan->rows;
  double gaps = (rows - 1) * plan->gap_y;
  double wanted = MAX (figure->mark->panel_height (figure, plan->panel_w, plan->em), 2 * plan->em);
  double beside = plan->strip + plan->x_labels + gaps, title;
  g_autofree char *y_title = ms_figure_y_title (figure);

  /* Charts are as high as their y axis' title is long: it would reach into the legend. */
  ms_pen_measure (plan->pen, y_title, MS_TEXT_PLAIN, 16 * plan->em, &title, NULL);
  if (figure->mark->grid)
    wanted = MAX (wanted, (title - beside) / rows);
  plan->panel_h = plan->shown < figure->n_facets && figure->mark->grid
                      ? CLAMP (plan->panel_h, FLAT * plan->em, wanted)
                      : wanted;
  /* The y title stands between the head and the notes. */
  ms_pen_measure (plan->pen, y_title, MS_TEXT_SMALL, 0, &title, NULL);
  if (figure->mark->axes && !figure->mark->square)
    plan->panel_h
        += MAX (title
                    - (plan->top - layout->head + plan->strip + layout->over + rows * plan->panel_h
                       + gaps + plan->x_labels + plan->bottom - layout->note_y),
                0)
           / rows;
  layout->height = plan->top + plan->strip + layout->over + rows * plan->panel_h + gaps
                   + plan->x_labels + plan->bottom;
}

static void
size_panels (Plan *plan)
{
  MsLayout *layout = plan->layout;

  plan->panel_w = (layout->width - plan->left - plan->y_labels - plan->right - plan->edge
                   - layout->beside - plan->gap_x * (plan->columns - 1))
                  / plan->columns;
  plan->panel_w = MAX (plan->panel_w, 4);
  plan->panel_h = ((plan->natural ? page_height (layout->width, TRUE) : layout->height) - plan->top
                   - plan->strip - layout->over - plan->x_labels - plan->bottom
                   - plan->gap_y * (plan->rows - 1))
                  / plan->rows;
  if (plan->natural)
    find_height (plan);
  plan->panel_h = MAX (plan->panel_h, 4);
}

static void
label_y (Plan *plan)
{
  MsFigure *figure = plan->figure;
  MsLayout *layout = plan->layout;
  double width;

  if (figure->y.of_row != NULL)
    width = ms_labels_fit_down (figure, layout, plan->pen, plan->panel_h);
  else
    {
      ms_labels_of_axis (&figure->y_axis, (guint) CLAMP (plan->panel_h / (2.2 * plan->line), 2, 8),
                         layout->y_labels);
      width = ms_labels_width (plan->pen, layout->y_labels, MS_TEXT_PLAIN, layout->y_label_width);
    }
  plan->y_labels = width + plan->gap * 1.2;
  if (layout->bars > 0)
    plan->y_labels = MAX (plan->y_labels, layout->bars_label + plan->gap * 1.2);
}

/* As many ticks as stand apart. */
static void
label_x_axis (Plan *plan)
{
  GArray *labels = plan->layout->x_labels;
  guint most = (guint) CLAMP (plan->panel_w / (3.2 * plan->em), 2, 12);

  for (; most > 2; most--)
    {
      ms_labels_of_axis (&plan->figure->x_axis, most, labels);
      if (ms_labels_width (plan->pen, labels, MS_TEXT_PLAIN, 0) * 1.35 * labels->len
          < plan->panel_w)
        break;
    }
  ms_labels_of_axis (&plan->figure->x_axis, most, labels);
}

/* Labels of x: level while they fit, else leaning, else fewer. */
static void
label_x (Plan *plan)
{
  MsFigure *figure = plan->figure;
  MsLayout *layout = plan->layout;
  double w, height = plan->line;

  layout->x_angle = 0;
  layout->x_style = MS_TEXT_PLAIN;
  plan->edge = 0;
  if (figure->x.of_row == NULL)
    label_x_axis (plan);
  else if (figure->x.numbers != NULL)
    {
      ms_labels_of_categories (&figure->x, G_MAXUINT, layout->x_labels, figure->order);
      w = ms_labels_width (plan->pen, layout->x_labels, MS_TEXT_PLAIN, layout->x_label_width);
      ms_labels_of_categories (&figure->x, plan->panel_w / MAX (w + 0.5 * plan->em, 1.5 * plan->em),
                               layout->x_labels, figure->order);
    }
  else
    /* Names that lean would reach under the panels of the row below. */
    height = ms_labels_fit_across (figure, layout, plan->pen, plan->panel_w,
                                   plan->shown % plan->columns == 0);
  plan->x_labels = height + plan->gap * 0.8;
  /* The last label of a continuous axis may stick out to the right. */
  if (layout->x_angle == 0 && layout->x_labels->len > 0)
    {
      const MsLabel *last = &g_array_index (layout->x_labels, MsLabel, layout->x_labels->len - 1);

      ms_pen_measure (plan->pen, last->text, layout->x_style, layout->x_label_width, &w, NULL);
      plan->edge = MAX (0, w / 2 - (1 - last->at) * plan->panel_w - (plan->right - plan->gap));
    }
}

/* The height is known: distances from the lower edge become places. */
static void
fix_height (Plan *plan, double height)
{
  MsLayout *layout = plan->layout;

  plan->left += plan->y_labels;
  layout->height = plan->natural ? ceil (layout->height) : height;
  layout->note_y = layout->height - layout->note_y;
  layout->x_title_y = layout->height - layout->x_title_y;
  layout->direct_x = layout->width - plan->right + plan->em * 0.35;
}

static void
place_bar (Plan *plan)
{
  MsFigure *figure = plan->figure;
  MsLayout *layout = plan->layout;
  double em = plan->em, labels;

  if (!figure->has_value)
    return;
  if (plan->across)
    {
      double title, most = layout->width - plan->left - 2 * plan->gap;

      ms_pen_measure (plan->pen, figure->bar_title, MS_TEXT_PLAIN, 0.6 * most, &title, NULL);
      layout->across = TRUE;
      layout->bar = (MsRect){ plan->left + title + em, layout->height - layout->bar.y,
                              CLAMP (most - title - 3 * em, 4 * em, 16 * em), 0.7 * em };
      labels = CLAMP (layout->bar.w / (3.5 * em), 3, 7);
    }
  else
    {
      double tall = plan->rows * plan->panel_h + (plan->rows - 1) * plan->gap_y;

      layout->bar
          = (MsRect){ layout->width - plan->right + plan->gap + em * 0.4,
                      plan->top + plan->strip + layout->over, em * 0.9, MIN (tall, 16 * em) };
      labels = CLAMP (layout->bar.h / (2 * plan->line), 2, 7);
    }
  ms_labels_of_axis (&figure->value_axis, (guint) labels, layout->bar_labels);
}

/* Those shown are evenly spread from the first facet to the last. */
static void
place_panels (Plan *plan)
{
  guint shown = plan->shown, columns = plan->columns, all = plan->figure->n_facets;

  for (guint i = 0; i < (plan->rows == 1 && columns == 1 ? 1 : shown); i++)
    {
      guint column = i % columns, row = i / columns;
      MsPanel panel = {
        .plot
        = { plan->left + column * (plan->panel_w + plan->gap_x),
            plan->top + plan->strip + plan->layout->over + row * (plan->panel_h + plan->gap_y),
            plan->panel_w, plan->panel_h },
        .facet = shown < all && shown > 1 ? (guint) lround (i * (all - 1.0) / (shown - 1.0)) : i,
        .left = column == 0,
        .bottom = i + columns >= shown
      };

      g_array_append_val (plan->layout->panels, panel);
    }
}

static MsLayout *
layout_new (MsFigure *figure, MsPen *pen, double width, double height)
{
  MsLayout *layout = g_new0 (MsLayout, 1);
  double em = pen->em;

  *layout = (MsLayout){ .width = width, .height = height, .em = em };
  ms_pen_measure (pen, "Xg", MS_TEXT_PLAIN, 0, NULL, &layout->line);
  layout->panels = g_array_new (FALSE, FALSE, sizeof (MsPanel));
  layout->keys = g_array_new (FALSE, FALSE, sizeof (MsKey));
  layout->x_labels = ms_labels_new ();
  layout->y_labels = ms_labels_new ();
  layout->bar_labels = ms_labels_new ();
  layout->strips = figure->facet.n > 0 && figure->mark->axes;
  layout->x_label_width = height <= 0 ? 9 * em : MIN (9 * em, height * 0.3);
  layout->y_label_width = MIN (12 * em, width * (figure->n_facets > 1 ? 0.22 : 0.32));
  return layout;
}

/* The layout with the colour bar at the right, or `across` below the panels. */
static MsLayout *
make_layout (MsFigure *figure, double width, double height, gboolean across)
{
  g_auto (MsPen) pen = { 0 };
  Plan plan = { .figure = figure, .pen = &pen, .natural = height <= 0, .across = across };

  ms_pen_init (&pen, &figure->theme, NULL);
  plan.layout = layout_new (figure, &pen, width, height);
  plan.em = plan.layout->em;
  plan.line = plan.layout->line;
  plan.gap = plan.em * 0.4;
  place_head (&plan);
  place_bottom (&plan, figure->n_facets);
  place_sides (&plan);
  plan_panels (&plan);
  for (guint round = 0; round < 3; round++)
    {
      size_panels (&plan);
      if (!figure->mark->axes)
        continue;
      label_y (&plan);
      label_x (&plan);
    }
  fix_height (&plan, height);
  place_bar (&plan);
  place_panels (&plan);
  return plan.layout;
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
