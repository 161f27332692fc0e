/* Cells of two categories, coloured by value, as heatmap and matrix show them; no value is hatched, or
 * tinted where cells are tiny.
 *
 * The cells of a panel are painted as one small image scaled without interpolation: any size costs
 * milliseconds and stays crisp in PDF.  SVG viewers blur such images, so SVG gets rectangles while
 * they are few. */
#include "figure-private.h"

#include <math.h>
#include <stdlib.h>

#define SVG_CELLS   4000 /* above this, SVG gets an image too */
#define SVG_COMPACT 64   /* the same in a compact figure */
#define SVG_PIXELS  8    /* whose cells are so many pixels wide, which hides what viewers blur */
#define TEXT_CELLS  900  /* above this, cells never carry their numbers */

typedef struct
{
  guint32 *rows;            /* (facets, ny, nx) table row or MS_NONE */
  cairo_surface_t **images; /* (facets) made when first drawn; cells without a value are clear */
  gboolean *missing;        /* (facets) of images: whether there are such cells */
} Grid;

static guint
place_of (const MsFigure *figure, guint category)
{
  return figure->place != NULL ? figure->place[category] : category;
}

guint32
ms_grid_row (const MsFigure *figure, guint facet, guint x, guint y)
{
  const Grid *grid = figure->data;

  return grid->rows[((gsize) facet * figure->y.n + y) * figure->x.n + x];
}

gboolean
ms_grid_prepare (MsFigure *figure, GError **error)
{
  gsize cells = (gsize) figure->n_facets * figure->x.n * figure->y.n;
  Grid *grid;

  if (cells > (gsize) 1 << 28)
    {
      g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA,
                   "plot '%s' has %u x %u x %u cells, more than can be drawn; narrow the selection",
                   figure->plot->name, figure->n_facets, figure->y.n, figure->x.n);
      return FALSE;
    }
  grid = g_new0 (Grid, 1);
  figure->data = grid;
  grid->images = g_new0 (cairo_surface_t *, figure->n_facets);
  grid->missing = g_new0 (gboolean, figure->n_facets);
  grid->rows = g_new (guint32, MAX (cells, 1));
  for (gsize i = 0; i < cells; i++)
    grid->rows[i] = MS_NONE;
  for (guint i = 0; i < figure->n_rows; i++)
    {
      guint row = ms_figure_row (figure, i);
      guint facet = ms_channel_category (&figure->facet, row);
      guint x = ms_channel_category (&figure->x, row);
      guint y = ms_channel_category (&figure->y, row);

      if (facet != MS_NONE && x != MS_NONE && y != MS_NONE)
        grid->rows[((gsize) facet * figure->y.n + y) * figure->x.n + x] = row;
    }
  return TRUE;
}

void
ms_grid_mirror (MsFigure *figure)
{
  guint32 *rows = ((Grid *) figure->data)->rows;
  gsize n = figure->x.n;

  for (gsize f = 0; f < figure->n_facets; f++)
    for (gsize y = 0; y < n; y++)
      for (gsize x = 0; x < n; x++)
        if (rows[(f * n + y) * n + x] == MS_NONE)
          rows[(f * n + y) * n + x] = rows[(f * n + x) * n + y];
}

void
ms_grid_finish (MsFigure *figure)
{
  Grid *grid = figure->data;

  for (guint f = 0; f < figure->n_facets; f++)
    if (grid->images[f] != NULL)
      cairo_surface_destroy (grid->images[f]);
  g_free (grid->images);
  g_free (grid->missing);
  g_free (grid->rows);
  g_free (grid);
}

static gboolean
cell_colour (const MsFigure *figure, guint facet, guint x, guint y, MsColour *colour)
{
  guint32 row = ms_grid_row (figure, facet, x, y);

  return row != MS_NONE
         && ms_figure_value_colour (figure, ms_channel_raw (&figure->value, row), colour);
}

static guint32
pixel (MsColour c)
{
  return (guint32) lround (c.r * 255) << 16 | (guint32) lround (c.g * 255) << 8
         | (guint32) lround (c.b * 255);
}

/* The cells of a facet in the order shown, `zoom` pixels a side; tells whether some have no value. */
static cairo_surface_t *
make_image (const MsFigure *figure, guint facet, guint zoom, gboolean *missing)
{
  guint nx = figure->x.n, ny = figure->y.n;
  cairo_surface_t *image
      = cairo_image_surface_create (CAIRO_FORMAT_ARGB32, (int) (nx * zoom), (int) (ny * zoom));
  guint8 *data = cairo_image_surface_get_data (image);
  int stride = cairo_image_surface_get_stride (image);

  if (data == NULL)
    return image;
  for (guint y = 0; y < ny; y++)
    for (guint x = 0; x < nx; x++)
      {
        MsColour colour;
        guint32 value = 0;

        if (cell_colour (figure, facet, x, y, &colour))
          value = 0xff000000 | pixel (colour);
        else
          *missing = TRUE;
        for (guint v = 0; v < zoom; v++)
          {
            guint32 *line
                = (guint32 *) (gpointer) (data
                                          + (gsize) stride * (place_of (figure, y) * zoom + v));

            for (guint u = 0; u < zoom; u++)
              line[place_of (figure, x) * zoom + u] = value;
          }
      }
  cairo_surface_mark_dirty (image);
  return image;
}

static MsRect
cell_rect (const MsFigure *figure, const MsPanel *panel, guint x, guint y)
{
  double w = panel->plot.w / figure->x.n, h = panel->plot.h / figure->y.n;

  return (MsRect){ panel->plot.x + place_of (figure, x) * w,
                   panel->plot.y + place_of (figure, y) * h, w, h };
}

/* What shows where cells have no value; in cells too small for the hatch, where it would be noise,
 * a flat tint. */
static void
hatch (const MsFigure *figure, const MsPanel *panel, MsPen *pen)
{
  double w = panel->plot.w / figure->x.n, h = panel->plot.h / figure->y.n;

  cairo_rectangle (pen->cr, panel->plot.x, panel->plot.y, panel->plot.w, panel->plot.h);
  if (MIN (w, h) < 3.5)
    {
      ms_pen_colour (pen, ms_colour_mix (pen->theme->paper, pen->theme->faint, 0.6), 1);
      cairo_fill (pen->cr);
    }
  else
    ms_pen_hatch (pen, 3.5);
  cairo_new_path (pen->cr);
}

typedef struct
{
  guint32 colour, x, y;
} Cell;

static int
compare_cells (gconstpointer a, gconstpointer b)
{
  const Cell *p = a, *q = b;

  if (p->colour != q->colour)
    return p->colour < q->colour ? -1 : 1;
  if (p->y != q->y)
    return p->y < q->y ? -1 : 1;
  return (p->x > q->x) - (p->x < q->x);
}

/* One path for all cells of a colour. */
static void
paint_rectangles (MsFigure *figure, const MsPanel *panel, MsPen *pen)
{
  const MsRect *plot = &panel->plot;
  guint n = 0, all = figure->x.n * figure->y.n;
  g_autofree Cell *cells = g_new (Cell, all);

  for (guint i = 0; i < all; i++)
    {
      guint x = i % figure->x.n, y = i / figure->x.n;
      MsColour colour;

      if (cell_colour (figure, panel->facet, x, y, &colour))
        cells[n++] = (Cell){ pixel (colour), x, y };
    }
  if (n < all)
    hatch (figure, panel, pen);
  qsort (cells, n, sizeof *cells, compare_cells);
  for (guint i = 0; i < n; i++)
    {
      MsRect cell = cell_rect (figure, panel, cells[i].x, cells[i].y);
      guint32 c = cells[i].colour;

      /* Each cell reaches under the next ones, so that antialiasing leaves no seams. */
      cairo_rectangle (pen->cr, cell.x, cell.y, fmin (cell.w + 0.3, plot->x + plot->w - cell.x),
                       fmin (cell.h + 0.3, plot->y + plot->h - cell.y));
      if (i + 1 < n && cells[i + 1].colour == c)
        continue;
      cairo_set_source_rgb (pen->cr, (c >> 16) / 255.0, (c >> 8 & 0xff) / 255.0,
                            (c & 0xff) / 255.0);
      cairo_fill (pen->cr);
    }
}

static void
paint_cells (MsFigure *figure, const MsPanel *panel, MsPen *pen)
{
  const MsRect *plot = &panel->plot;
  Grid *grid = figure->data;
  cairo_t *cr = pen->cr;
  gboolean svg = cairo_surface_get_type (cairo_get_target (cr)) == CAIRO_SURFACE_TYPE_SVG;
  cairo_surface_t *image;
  double dx = plot->w, dy = plot->h, zoom = 1;

  if (svg && (gsize) figure->x.n * figure->y.n <= (figure->compact ? SVG_COMPACT : SVG_CELLS))
    {
      paint_rectangles (figure, panel, pen);
      return;
    }
  if (svg)
    {
      gboolean missing = FALSE;

      zoom = figure->compact ? 1 : SVG_PIXELS;
      image = make_image (figure, panel->facet, (guint) zoom, &missing);
      if (missing)
        hatch (figure, panel, pen);
    }
  else
    {
      if (grid->images[panel->facet] == NULL)
        grid->images[panel->facet]
            = make_image (figure, panel->facet, 1, &grid->missing[panel->facet]);
      if (grid->missing[panel->facet])
        hatch (figure, panel, pen);
      image = cairo_surface_reference (grid->images[panel->facet]);
    }
  cairo_user_to_device_distance (cr, &dx, &dy);
  cairo_save (cr);
  cairo_rectangle (cr, plot->x, plot->y, plot->w, plot->h);
  cairo_clip (cr);
  cairo_translate (cr, plot->x, plot->y);
  cairo_scale (cr, plot->w / (figure->x.n * zoom), plot->h / (figure->y.n * zoom));
  cairo_set_source_surface (cr, image, 0, 0);
  cairo_pattern_set_extend (cairo_get_source (cr), CAIRO_EXTEND_PAD);
  /* More cells than pixels: average them rather than drop most. */
  cairo_pattern_set_filter (cairo_get_source (cr),
                            cairo_surface_get_type (cairo_get_target (cr))
                                        == CAIRO_SURFACE_TYPE_IMAGE
                                    && (figure->x.n > fabs (dx) || figure->y.n > fabs (dy))
                                ? CAIRO_FILTER_GOOD
                                : CAIRO_FILTER_NEAREST);
  cairo_paint (cr);
  cairo_restore (cr);
  cairo_surface_destroy (image);
}

/* A dash in each cell clearly below the middle, so that the two sides differ without colour too. */
static void
mark_signs (MsFigure *figure, const MsPanel *panel, MsPen *pen)
{
  MsRect cell = cell_rect (figure, panel, 0, 0);
  double half = MIN (MIN (cell.w, cell.h) * 0.25, 2.5);

  if (MIN (cell.w, cell.h) < 3)
    return;
  cairo_set_line_width (pen->cr, 0.6);
  for (guint y = 0; y < figure->y.n; y++)
    for (guint x = 0; x < figure->x.n; x++)
      {
        guint32 row = ms_grid_row (figure, panel->facet, x, y);
        double t = row != MS_NONE
                       ? ms_axis_map (&figure->value_axis, ms_channel_raw (&figure->value, row))
                       : (double) NAN;
        MsColour colour;

        if (!(t < 0.45) || !cell_colour (figure, panel->facet, x, y, &colour))
          continue;
        cell = cell_rect (figure, panel, x, y);
        ms_pen_colour (pen, ms_colour_text_on (colour), 0.8);
        ms_pen_line (pen, cell.x + cell.w / 2 - half, cell.y + cell.h / 2,
                     cell.x + cell.w / 2 + half, cell.y + cell.h / 2);
      }
}

/* The cells' numbers with `decimals`; NULL when one is too wide. */
static GPtrArray *
make_numbers (MsFigure *figure, const MsPanel *panel, MsPen *pen, guint style, double width,
              int decimals)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);

  for (guint y = 0; y < figure->y.n; y++)
    for (guint x = 0; x < figure->x.n; x++)
      {
        guint32 row = ms_grid_row (figure, panel->facet, x, y);
        double value = row != MS_NONE ? ms_channel_raw (&figure->value, row) : NAN, w;
        g_autoptr (GString) number = g_string_new (NULL);

        if (!isnan (value))
          ms_append_fixed (number, value, decimals);
        ms_pen_measure (pen, number->str, style, 0, &w, NULL);
        if (w > width)
          return NULL;
        g_ptr_array_add (texts, g_strdup (number->str));
      }
  return g_steal_pointer (&texts);
}

/* Numbers in the cells, with as many decimals as fit in all of them; FALSE when they do not fit. */
static gboolean
write_numbers (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  MsRect cell = cell_rect (figure, panel, 0, 0);
  double span = figure->diverging && figure->value_axis.kind == MS_AXIS_RATIO
                    ? 1
                    : figure->value_axis.high - figure->value_axis.low;
  /* One unit of the last decimal is at most a thirtieth of the range: else numbers hardly differ. */
  int least = figure->value.ints != NULL
                  ? 0
                  : (int) CLAMP (ceil (1.5 - log10 (MAX (span, 1e-9)) - 1e-9), 0, 6);
  int best = figure->value.ints != NULL ? 0 : least + 1;
  g_autoptr (GPtrArray) texts = NULL;
  guint style = MS_TEXT_SMALL;

  if ((gsize) figure->x.n * figure->y.n > TEXT_CELLS || cell.h < layout->line * 0.95
      || cell.w < layout->em * 1.4)
    return FALSE;
  for (int decimals = best; decimals >= least && texts == NULL; decimals--)
    texts = make_numbers (figure, panel, pen, style, cell.w * 0.92, decimals);
  /* Two sides need their signs, which take room. */
  if (texts == NULL && figure->diverging)
    {
      style = MS_TEXT_TINY;
      texts = make_numbers (figure, panel, pen, style, cell.w * 0.92, least);
    }
  if (texts == NULL)
    return FALSE;
  for (guint y = 0; y < figure->y.n; y++)
    for (guint x = 0; x < figure->x.n; x++)
      {
        MsColour colour;

        if (!cell_colour (figure, panel->facet, x, y, &colour))
          continue;
        cell = cell_rect (figure, panel, x, y);
        ms_pen_text (pen, cell.x + cell.w / 2, cell.y + cell.h / 2, 0.5, 0.5, 0, style,
                     ms_colour_text_on (colour), 0, texts->pdata[(gsize) y * figure->x.n + x]);
      }
  return TRUE;
}

void
ms_grid_draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  if (figure->x.n == 0 || figure->y.n == 0)
    {
      cairo_rectangle (pen->cr, panel->plot.x, panel->plot.y, panel->plot.w, panel->plot.h);
      ms_pen_hatch (pen, 6);
      return;
    }
  paint_cells (figure, panel, pen);
  if (!write_numbers (figure, layout, panel, pen) && figure->diverging && figure->theme.signs)
    mark_signs (figure, panel, pen);
}

int
ms_grid_pick (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, double x, double y)
{
  guint u = (guint) ((x - panel->plot.x) / panel->plot.w * figure->x.n);
  guint v = (guint) ((y - panel->plot.y) / panel->plot.h * figure->y.n);
  guint32 row;

  (void) layout;
  if (u >= figure->x.n || v >= figure->y.n)
    return -1;
  if (figure->order != NULL)
    {
      u = figure->order[u];
      v = figure->order[v];
    }
  row = ms_grid_row (figure, panel->facet, u, v);
  return row == MS_NONE ? -1 : (int) row;
}

gboolean
ms_grid_locate (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint row,
                MsRect *rect)
{
  guint x = ms_channel_category (&figure->x, row), y = ms_channel_category (&figure->y, row);

  (void) layout;
  if (x >= figure->x.n || y >= figure->y.n || ms_grid_row (figure, panel->facet, x, y) != row)
    return FALSE;
  *rect = cell_rect (figure, panel, x, y);
  return TRUE;
}

int
ms_grid_step (MsFigure *figure, int row, MsStep direction)
{
  static const int dx[] = { [MS_STEP_LEFT] = -1, [MS_STEP_RIGHT] = 1, [MS_STEP_UP] = 0,
                            [MS_STEP_DOWN] = 0,  [MS_STEP_FIRST] = 1, [MS_STEP_LAST] = -1 };
  static const int dy[] = { [MS_STEP_UP] = -1, [MS_STEP_DOWN] = 1, [MS_STEP_LAST] = 0 };
  gint64 nx = figure->x.n, ny = figure->y.n, x = 0, y = 0, facet = 0;
  guint category = row >= 0 ? ms_channel_category (&figure->x, (guint) row) : MS_NONE;

  if (category == MS_NONE || category >= nx)
    {
      for (gsize i = 0; i < (gsize) (nx * ny) * figure->n_facets; i++)
        if (((Grid *) figure->data)->rows[i] != MS_NONE)
          return (int) ((Grid *) figure->data)->rows[i];
      return -1;
    }
  x = place_of (figure, category);
  y = place_of (figure, ms_channel_category (&figure->y, (guint) row));
  facet = ms_channel_category (&figure->facet, (guint) row);
  if (direction == MS_STEP_FIRST || direction == MS_STEP_LAST)
    x = direction == MS_STEP_FIRST ? -1 : nx;
  /* On to the next cell that has a row; sideways on into the next panel. */
  for (;;)
    {
      guint32 found;

      x += dx[direction];
      y += direction == MS_STEP_UP || direction == MS_STEP_DOWN ? dy[direction] : 0;
      if (x < 0 || x >= nx)
        {
          if (direction == MS_STEP_FIRST || direction == MS_STEP_LAST)
            return row;
          facet += dx[direction];
          x = x < 0 ? nx - 1 : 0;
        }
      if (y < 0 || y >= ny || facet < 0 || facet >= figure->n_facets)
        return row;
      found = ms_grid_row (figure, (guint) facet,
                           figure->order != NULL ? figure->order[x] : (guint) x,
                           figure->order != NULL ? figure->order[y] : (guint) y);
      if (found != MS_NONE)
        return (int) found;
    }
}

/* Cells as wide as a hair and rows as high as names that can be read. */
double
ms_grid_least (MsFigure *figure, double em)
{
  guint names = figure->x.numbers == NULL ? figure->x.n : 0;

  return MAX (MIN (figure->x.n * 0.12 * em, 20 * em), names * MS_NAME_LEAST * em);
}
