/* Matrix: a square heatmap whose rows and columns are ordered by similarity, with the tree (average
 * linkage, UPGMA: Sokal and Michener 1958) on both sides.  With several panels the order of names
 * comes from their mean, numbers keep theirs, and the trees are left out. */
#include "figure-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct
{
  guint a, b; /* nodes: leaves 0..n-1, joint i is node n + i */
  double height;
} Joint;

/* Distance of every pair, from the mean over facets and over both directions.  Large values mean near
 * when the diagonal is larger than the rest, far when it is smaller. */
static double *
distances (MsFigure *figure)
{
  guint n = figure->x.n;
  double *sum = g_new0 (double, (gsize) n *n);
  g_autofree guint *count = g_new0 (guint, (gsize) n * n);
  double own = 0, other = 0, most = -INFINITY, least = INFINITY;
  guint n_own = 0, n_other = 0;
  gboolean near;

  for (guint i = 0; i < figure->n_rows; i++)
    {
      guint row = ms_figure_row (figure, i);
      guint x = ms_channel_category (&figure->x, row), y = ms_channel_category (&figure->y, row);
      double value = ms_channel_raw (&figure->value, row);

      if (x == MS_NONE || y == MS_NONE || !isfinite (value))
        continue;
      sum[(gsize) y * n + x] += value;
      count[(gsize) y * n + x]++;
      sum[(gsize) x * n + y] += value;
      count[(gsize) x * n + y]++;
      most = MAX (most, value);
      least = MIN (least, value);
      if (x == y)
        {
          own += value;
          n_own++;
        }
      else
        {
          other += value;
          n_other++;
        }
    }
  near = n_own > 0 ? n_other > 0 && own / n_own > other / n_other : FALSE;
  for (gsize i = 0; i < (gsize) n * n; i++)
    {
      double mean = count[i] > 0 ? sum[i] / count[i] : n_other > 0 ? other / n_other : 0;

      sum[i] = near ? most - mean : mean - MIN (least, 0);
    }
  return sum;
}

static int
compare_joints (gconstpointer a, gconstpointer b)
{
  const Joint *p = a, *q = b;

  return (p->height > q->height) - (p->height < q->height);
}

/* Nearest-neighbour chain: O(n^2), exact for average linkage.  d (n, n) is used up. */
static Joint *
cluster (double *d, guint n)
{
  Joint *joints = g_new (Joint, MAX (n, 1));
  g_autofree guint *size = g_new (guint, n), *chain = g_new (guint, n + 1);
  g_autofree guint *parent = g_new (guint, 2 * n), *node = g_new (guint, n);
  guint made = 0, length = 0;

  for (guint i = 0; i < n; i++)
    size[i] = 1;
  while (made + 1 < n)
    {
      guint a, b;

      if (length == 0)
        for (guint i = 0; i < n; i++)
          if (size[i] > 0)
            {
              chain[length++] = i;
              break;
            }
      for (;;)
        {
          guint nearest = MS_NONE;

          a = chain[length - 1];
          b = length > 1 ? chain[length - 2] : MS_NONE;
          /* The one before wins ties, so that the chain ends. */
          nearest = b;
          for (guint i = 0; i < n; i++)
            if (i != a && size[i] > 0
                && (nearest == MS_NONE || d[(gsize) a * n + i] < d[(gsize) a * n + nearest]))
              nearest = i;
          if (nearest == b)
            break;
          chain[length++] = nearest;
        }
      length -= 2;
      if (a > b)
        {
          guint swap = a;

          a = b;
          b = swap;
        }
      joints[made++] = (Joint){ a, b, d[(gsize) a * n + b] };
      for (guint i = 0; i < n; i++)
        if (i != a && i != b && size[i] > 0)
          {
            double mean = (d[(gsize) a * n + i] * size[a] + d[(gsize) b * n + i] * size[b])
                          / (size[a] + size[b]);

            d[(gsize) a * n + i] = d[(gsize) i * n + a] = mean;
          }
      size[a] += size[b];
      size[b] = 0;
    }
  /* In order of height, with the clusters named by the joint that made them. */
  qsort (joints, made, sizeof *joints, compare_joints);
  for (guint i = 0; i < n; i++)
    {
      parent[i] = i;
      node[i] = i;
    }
  for (guint j = 0; j < made; j++)
    {
      guint a = joints[j].a, b = joints[j].b;

      while (parent[a] != a)
        a = parent[a];
      while (parent[b] != b)
        b = parent[b];
      joints[j].a = node[a];
      joints[j].b = node[b];
      parent[b] = a;
      node[a] = n + j;
    }
  return joints;
}

/* Leaves from left to right; of two branches the one with the smaller first leaf comes first. */
static guint
first_leaf (const Joint *joints, guint n, guint node)
{
  return node < n ? node
                  : MIN (first_leaf (joints, n, joints[node - n].a),
                         first_leaf (joints, n, joints[node - n].b));
}

static guint
walk (const Joint *joints, guint n, guint node, guint32 *order, guint at)
{
  guint a, b;

  if (node < n)
    {
      order[at] = node;
      return at + 1;
    }
  a = joints[node - n].a;
  b = joints[node - n].b;
  if (first_leaf (joints, n, b) < first_leaf (joints, n, a))
    {
      a = joints[node - n].b;
      b = joints[node - n].a;
    }
  return walk (joints, n, b, order, walk (joints, n, a, order, at));
}

static gboolean
prepare (MsFigure *figure, GError **error)
{
  guint n = figure->x.n;
  g_autofree double *d = NULL;

  if (n > 4096)
    {
      g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA,
                   "plot '%s' would order %u things; at most 4096 are possible", figure->plot->name,
                   n);
      return FALSE;
    }
  if (!ms_grid_prepare (figure, error))
    return FALSE;
  ms_grid_mirror (figure);
  /* Numbers (experts) mean something else in each panel (layer): no common order. */
  if (n < 3 || (figure->n_facets > 1 && figure->x.numbers != NULL))
    return TRUE;
  d = distances (figure);
  figure->joints = cluster (d, n);
  figure->order = g_new (guint32, n);
  figure->place = g_new (guint32, n);
  walk (figure->joints, n, 2 * n - 2, figure->order, 0);
  for (guint i = 0; i < n; i++)
    figure->place[figure->order[i]] = i;
  return TRUE;
}

static void
draw_tree (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen,
           gboolean on_top)
{
  guint n = figure->x.n;
  const Joint *joints = figure->joints;
  g_autofree double *at = g_new (double, 2 * n), *height = g_new0 (double, 2 * n);
  double root = joints[n - 2].height, base = joints[0].height;
  const MsRect *plot = &panel->plot;
  double depth = layout->tree * 0.85;

  /* Trees of near-equal heights (similarities close to 1) still show their shape. */
  base = root > base ? base - 0.1 * (root - base) : base - 1;
  for (guint i = 0; i < n; i++)
    at[i] = (figure->place[i] + 0.5) / n;
  cairo_set_line_width (pen->cr, 0.6);
  ms_pen_colour (pen, ms_pen_ink (pen, MS_TEXT_FAINT), 1);
  for (guint j = 0; j + 1 < n; j++)
    {
      double h = (joints[j].height - base) / (root - base) * depth;
      double a = at[joints[j].a], b = at[joints[j].b];
      double ha = height[joints[j].a], hb = height[joints[j].b];

      at[n + j] = (a + b) / 2;
      height[n + j] = h;
      if (on_top)
        {
          cairo_move_to (pen->cr, plot->x + a * plot->w, plot->y - ha - 1);
          cairo_line_to (pen->cr, plot->x + a * plot->w, plot->y - h - 1);
          cairo_line_to (pen->cr, plot->x + b * plot->w, plot->y - h - 1);
          cairo_line_to (pen->cr, plot->x + b * plot->w, plot->y - hb - 1);
        }
      else
        {
          double right = plot->x + plot->w + 1;

          cairo_move_to (pen->cr, right + ha, plot->y + a * plot->h);
          cairo_line_to (pen->cr, right + h, plot->y + a * plot->h);
          cairo_line_to (pen->cr, right + h, plot->y + b * plot->h);
          cairo_line_to (pen->cr, right + hb, plot->y + b * plot->h);
        }
    }
  cairo_stroke (pen->cr);
}

static void
draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  ms_grid_draw (figure, layout, panel, pen);
  if (layout->tree <= 0 || figure->joints == NULL)
    return;
  draw_tree (figure, layout, panel, pen, TRUE);
  draw_tree (figure, layout, panel, pen, FALSE);
}

static double
panel_height (MsFigure *figure, double width, double em)
{
  return MIN (width, MAX (figure->x.n, 1) * 4 * em);
}

static void
surround (const MsFigure *figure, MsLayout *layout, MsPen *pen)
{
  (void) pen;
  if (figure->n_facets == 1 && figure->x.n > 2)
    layout->tree = MIN (3.2 * layout->em, 0.09 * layout->width);
  layout->over = layout->beside = layout->tree;
}

const MsMarkClass ms_mark_matrix = { .needs = MS_NEEDS_X | MS_NEEDS_Y | MS_NEEDS_VALUE,
                                     .x_categories = TRUE,
                                     .y_categories = TRUE,
                                     .united = TRUE,
                                     .legend = TRUE,
                                     .axes = TRUE,
                                     .framed = TRUE,
                                     .square = TRUE,
                                     .coloured = TRUE,
                                     .prepare = prepare,
                                     .finish = ms_grid_finish,
                                     .panel_height = panel_height,
                                     .panel_least = ms_grid_least,
                                     .surround = surround,
                                     .draw = draw,
                                     .pick = ms_grid_pick,
                                     .locate = ms_grid_locate,
                                     .step = ms_grid_step,
                                     .swatch = ms_swatch_point };
