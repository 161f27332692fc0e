/* Flow: things of neighbouring layers side by side, ribbons between them as wide as what flows.
 *
 * Facet i holds the flows from column i to column i + 1: x is where they come from, y where they go. */
#include "figure-private.h"

#include <math.h>
#include <stdlib.h>

#define RIBBONS_MOST 800 /* of the strongest flows, over all columns */
#define STRONG       12  /* drawn in the second colour */
#define TITLED       6   /* columns that are named in full */

typedef struct
{
  guint32 row;
  guint facet, from, to;
  double value;
  double out, in; /* offsets inside the two nodes, in units of value */
} Ribbon;

typedef struct
{
  guint n_ribbons, n_columns;
  Ribbon *ribbons; /* strongest first */
  double *size;    /* (columns, n) the larger of what comes in and what goes out */
  double *total;   /* (columns) */
} Flow;

static int
by_strength (gconstpointer a, gconstpointer b)
{
  const Ribbon *p = a, *q = b;

  if (p->value != q->value)
    return p->value > q->value ? -1 : 1;
  return p->row < q->row ? -1 : p->row > q->row;
}

static int
by_target (gconstpointer a, gconstpointer b)
{
  const Ribbon *p = a, *q = b;

  if (p->facet != q->facet)
    return p->facet < q->facet ? -1 : 1;
  if (p->to != q->to)
    return p->to < q->to ? -1 : 1;
  return p->from < q->from ? -1 : p->from > q->from;
}

static gboolean
prepare (MsFigure *figure, GError **error)
{
  Flow *flow = g_new0 (Flow, 1);
  gsize n = figure->x.n;
  g_autofree double *out = NULL, *in = NULL;

  (void) error;
  figure->data = flow;
  flow->n_columns = figure->n_facets + 1;
  flow->ribbons = g_new (Ribbon, MAX (figure->n_rows, 1));
  flow->size = g_new0 (double, flow->n_columns *n + 1);
  flow->total = g_new0 (double, flow->n_columns);
  out = g_new0 (double, flow->n_columns *n + 1);
  in = g_new0 (double, flow->n_columns *n + 1);
  for (guint i = 0; i < figure->n_rows; i++)
    {
      guint row = ms_figure_row (figure, i);
      Ribbon ribbon = { .row = row,
                        .facet = ms_channel_category (&figure->facet, row),
                        .from = ms_channel_category (&figure->x, row),
                        .to = ms_channel_category (&figure->y, row),
                        .value = ms_channel_raw (&figure->value, row) };

      if (ribbon.facet != MS_NONE && ribbon.from != MS_NONE && ribbon.to != MS_NONE
          && isfinite (ribbon.value) && ribbon.value > 0)
        flow->ribbons[flow->n_ribbons++] = ribbon;
    }
  /* Offsets in the order of the other end, so that ribbons of one node do not cross. */
  qsort (flow->ribbons, flow->n_ribbons, sizeof *flow->ribbons, by_target);
  for (guint i = 0; i < flow->n_ribbons; i++)
    {
      Ribbon *ribbon = &flow->ribbons[i];
      double *to = &in[(ribbon->facet + 1) * n + ribbon->to];
      double *from = &out[ribbon->facet * n + ribbon->from];

      ribbon->in = *to;
      *to += ribbon->value;
      ribbon->out = *from;
      *from += ribbon->value;
    }
  for (guint c = 0; c < flow->n_columns; c++)
    for (gsize i = 0; i < n; i++)
      {
        flow->size[c * n + i] = MAX (in[c * n + i], out[c * n + i]);
        flow->total[c] += flow->size[c * n + i];
      }
  qsort (flow->ribbons, flow->n_ribbons, sizeof *flow->ribbons, by_strength);
  {
    g_autoptr (GString) note = g_string_new (NULL);

    if (flow->n_columns > TITLED && figure->facet.numbers != NULL)
      g_string_append_printf (note, "Columns: %s. ", figure->facet.column->title);
    if (flow->n_ribbons >= 3)
      g_string_append_printf (note, "Strong lines: the %u strongest flows",
                              MIN (STRONG, MIN (flow->n_ribbons, RIBBONS_MOST) / 3));
    if (flow->n_ribbons > RIBBONS_MOST)
      g_string_append_printf (note, " of the %d drawn, of %u", RIBBONS_MOST, flow->n_ribbons);
    if (flow->n_ribbons >= 3)
      g_string_append_c (note, '.');
    if (note->len > 0)
      figure->mark_note = g_strdup (g_strchomp (note->str));
  }
  return TRUE;
}

static void
finish (MsFigure *figure)
{
  Flow *flow = figure->data;

  g_free (flow->ribbons);
  g_free (flow->size);
  g_free (flow->total);
  g_free (flow);
}

/* Where node i of column c is, and how many pixels a unit is high there. */
static MsRect
node_rect (const MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint c, guint i,
           double *unit)
{
  const Flow *flow = figure->data;
  guint n = figure->x.n;
  double height = panel->plot.h - 1.3 * layout->line, width, step;
  double gap = n > 1 ? MIN (layout->em * 0.4, 0.25 * height / (n - 1)) : 0;
  double scale = flow->total[c] > 0 ? (height - gap * (n - 1)) / flow->total[c] : 0;
  double y = panel->plot.y;

  step = flow->n_columns > 1 ? panel->plot.w / (flow->n_columns - 1) : panel->plot.w;
  width = MIN (MIN (layout->em * 0.4, 6), 0.25 * step);
  step = flow->n_columns > 1 ? (panel->plot.w - width) / (flow->n_columns - 1) : 0;
  for (guint j = 0; j < i; j++)
    y += flow->size[(gsize) c * n + j] * scale + gap;
  *unit = scale;
  return (MsRect){ panel->plot.x + c * step, y, width, flow->size[(gsize) c * n + i] * scale };
}

static void
ribbon_path (const MsFigure *figure, const MsLayout *layout, const MsPanel *panel,
             const Ribbon *ribbon, cairo_t *cr)
{
  double u, v;
  MsRect from = node_rect (figure, layout, panel, ribbon->facet, ribbon->from, &u);
  MsRect to = node_rect (figure, layout, panel, ribbon->facet + 1, ribbon->to, &v);
  double x1 = from.x + from.w, x2 = to.x, middle = (x1 + x2) / 2;
  double y1 = from.y + ribbon->out * u, y2 = to.y + ribbon->in * v;

  cairo_move_to (cr, x1, y1);
  cairo_curve_to (cr, middle, y1, middle, y2, x2, y2);
  cairo_line_to (cr, x2, y2 + ribbon->value * v);
  cairo_curve_to (cr, middle, y2 + ribbon->value * v, middle, y1 + ribbon->value * u, x1,
                  y1 + ribbon->value * u);
  cairo_close_path (cr);
}

/* A column's name below it: with what it counts when columns are few, every few when they are many. */
static void
draw_head (const MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen,
           guint c, MsRect head)
{
  guint n = ((const Flow *) figure->data)->n_columns;
  double step = panel->plot.w / MAX (n - 1, 1), align = c == 0 ? 0 : c + 1 == n ? 1 : 0.5;
  guint every = (guint) ceil (2.2 * layout->em / step);
  gboolean numbers = figure->facet.numbers != NULL;
  g_autofree char *title = NULL;

  if (c + 1 == n)
    title = g_strdup (numbers && step > 3.5 * layout->em ? "next" : "");
  else if (n <= TITLED || !numbers)
    title = ms_facet_title (figure, c);
  else
    title = g_strdup (c % every == 0 ? figure->facet.names[c] : "");
  ms_pen_text (pen, head.x + head.w * align, panel->plot.y + panel->plot.h, align, 1, 0,
               MS_TEXT_PLAIN, ms_pen_ink (pen, MS_TEXT_PLAIN), MAX (1.2 * step, 2.2 * layout->em),
               title);
}

static void
draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  const Flow *flow = figure->data;
  guint n = figure->x.n, shown = MIN (flow->n_ribbons, RIBBONS_MOST);
  double strongest = flow->n_ribbons > 0 ? flow->ribbons[0].value : 1;
  guint strong = MIN (STRONG, shown / 3);

  for (guint i = shown; i > 0; i--)
    {
      const Ribbon *ribbon = &flow->ribbons[i - 1];
      double share = ribbon->value / strongest;

      ribbon_path (figure, layout, panel, ribbon, pen->cr);
      if (i - 1 < strong)
        {
          /* However thin, the strongest show. */
          ms_pen_colour (pen, pen->theme->series[1 % pen->theme->n_series], 0.75);
          cairo_set_line_width (pen->cr, 0.6);
          cairo_stroke_preserve (pen->cr);
        }
      else
        ms_pen_colour (pen, pen->theme->ink,
                       shown > 400 ? 0.04 + 0.34 * share * share : 0.08 + 0.3 * share);
      cairo_fill (pen->cr);
    }
  for (guint c = 0; c < flow->n_columns; c++)
    {
      double u;
      MsRect head = node_rect (figure, layout, panel, c, 0, &u);

      for (guint i = 0; i < n; i++)
        {
          MsRect node = node_rect (figure, layout, panel, c, i, &u);

          if (node.h <= 0)
            continue;
          ms_pen_colour (pen, pen->theme->series[0], 1);
          cairo_rectangle (pen->cr, node.x, node.y, node.w, MAX (node.h, 0.5));
          cairo_fill (pen->cr);
          if (node.h >= layout->line * 0.75 && flow->n_columns <= 12)
            ms_pen_text (pen, c + 1 < flow->n_columns ? node.x + node.w + 2 : node.x - 2,
                         node.y + node.h / 2, c + 1 < flow->n_columns ? 0 : 1, 0.5, 0,
                         MS_TEXT_SMALL, ms_pen_ink (pen, MS_TEXT_PLAIN), 6 * layout->em,
                         figure->x.names[i]);
        }
      draw_head (figure, layout, panel, pen, c, head);
    }
}

static int
pick (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, double x, double y)
{
  const Flow *flow = figure->data;
  cairo_surface_t *surface = cairo_recording_surface_create (CAIRO_CONTENT_COLOR, NULL);
  cairo_t *cr = cairo_create (surface);
  int found = -1;

  for (guint i = 0; i < MIN (flow->n_ribbons, RIBBONS_MOST) && found < 0; i++)
    {
      cairo_new_path (cr);
      ribbon_path (figure, layout, panel, &flow->ribbons[i], cr);
      if (cairo_in_fill (cr, x, y))
        found = (int) flow->ribbons[i].row;
    }
  cairo_destroy (cr);
  cairo_surface_destroy (surface);
  return found;
}

static gboolean
locate (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint row, MsRect *rect)
{
  const Flow *flow = figure->data;

  for (guint i = 0; i < MIN (flow->n_ribbons, RIBBONS_MOST); i++)
    if (flow->ribbons[i].row == row)
      {
        double u, v;
        const Ribbon *r = &flow->ribbons[i];
        MsRect from = node_rect (figure, layout, panel, r->facet, r->from, &u);
        MsRect to = node_rect (figure, layout, panel, r->facet + 1, r->to, &v);
        double y1 = from.y + r->out * u, y2 = to.y + r->in * v;
        double high = MIN (y1, y2), low = MAX (y1 + r->value * u, y2 + r->value * v);

        *rect = (MsRect){ from.x + from.w, high, to.x - from.x - from.w, low - high };
        return TRUE;
      }
  return FALSE;
}

/* Along the flows from the strongest down. */
static int
step (MsFigure *figure, int row, MsStep direction)
{
  const Flow *flow = figure->data;
  guint n = MIN (flow->n_ribbons, RIBBONS_MOST), at = 0;

  if (n == 0)
    return -1;
  while (at < n && (int) flow->ribbons[at].row != row)
    at++;
  if (at == n || direction == MS_STEP_FIRST)
    at = 0;
  else if (direction == MS_STEP_LAST)
    at = n - 1;
  else if (direction == MS_STEP_RIGHT || direction == MS_STEP_DOWN)
    at = MIN (at + 1, n - 1);
  else
    at = at > 0 ? at - 1 : 0;
  return (int) flow->ribbons[at].row;
}

static double
panel_height (MsFigure *figure, double width, double em)
{
  return CLAMP (MAX (figure->x.n * em * 0.9, width * 0.5), 10 * em, 40 * em);
}

const MsMarkClass ms_mark_flow = { .needs = MS_NEEDS_X | MS_NEEDS_Y | MS_NEEDS_VALUE,
                                   .x_categories = TRUE,
                                   .y_categories = TRUE,
                                   .united = TRUE,
                                   .whole = TRUE,
                                   .prepare = prepare,
                                   .finish = finish,
                                   .panel_height = panel_height,
                                   .draw = draw,
                                   .pick = pick,
                                   .locate = locate,
                                   .step = step,
                                   .swatch = ms_swatch_point };
