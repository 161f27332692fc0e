/* How long drawing takes: a 512 x 512 map and a line of 10^7 points, against painting the same area.
 *
 * The ratios hold on any machine; the milliseconds are those of this one.  Fails when a figure takes
 * longer than the 50 ms that a window may spend on it. */
#include "figure-private.h"

#include <math.h>
#include <stdio.h>

#define WIDTH  1200
#define HEIGHT 800
#define MOST   50.0 /* ms */

static const MsColumn columns[] = { { "x", "X", NULL, MS_COLUMN_INT, NULL },
                                    { "y", "Y", NULL, MS_COLUMN_INT, NULL },
                                    { "value", "Value", NULL, MS_COLUMN_REAL, NULL },
                                    { 0 } };
static const MsTableDef def = { "bench", "Bench", columns };

static double
best_of (MsFigure *figure, int rounds)
{
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
  cairo_t *cr = cairo_create (surface);
  double best = INFINITY;

  for (int i = 0; i < rounds; i++)
    {
      gint64 start = g_get_monotonic_time ();

      if (figure != NULL)
        ms_figure_draw (figure, cr, WIDTH, HEIGHT);
      else
        cairo_paint (cr);
      cairo_surface_flush (surface);
      best = MIN (best, (double) (g_get_monotonic_time () - start) / 1000);
    }
  cairo_destroy (cr);
  cairo_surface_destroy (surface);
  return best;
}

static int
report (const char *what, MsTable *table, const MsPlotDef *plot, double paint)
{
  gint64 start = g_get_monotonic_time ();
  g_autoptr (MsFigure) figure = ms_figure_new (table, plot, NULL, NULL);
  double prepare = (double) (g_get_monotonic_time () - start) / 1000, first, best;

  first = best_of (figure, 1);
  best = best_of (figure, 7);
  printf ("%-22s new %7.1f ms, first draw %6.1f ms, then %5.1f ms = %5.1f x painting the area\n",
          what, prepare, first, best, best / paint);
  return best > MOST;
}

int
main (void)
{
  const MsPlotDef map = { .name = "map",
                          .title = "Map",
                          .mark = MS_MARK_HEATMAP,
                          .x = "x",
                          .y = "y",
                          .value = "value",
                          .value_scale = MS_SCALE_RATIO,
                          .right = { MS_MARGIN_MOST, "Highest", NULL },
                          .top = { MS_MARGIN_MEAN, "Mean", NULL } };
  const MsPlotDef line
      = { .name = "line", .title = "Line", .mark = MS_MARK_LINE, .x = "x", .y = "value" };
  const MsPlotDef scatter
      = { .name = "scatter", .title = "Scatter", .mark = MS_MARK_SCATTER, .x = "x", .y = "value" };
  double paint = best_of (NULL, 7);
  guint64 state = 1;
  int slow = 0;

  {
    g_autoptr (MsTable) table = ms_table_new (&def);

    for (gint64 i = 0; i < 512 * 512; i++)
      ms_table_add_row (table, MS_INT (i % 512), MS_INT (i / 512),
                        MS_REAL (exp2 (4 * ms_random_double (&state) - 2)));
    slow += report ("map of 512 x 512", table, &map, paint);
    slow += report ("scatter of 262144", table, &scatter, paint);
  }
  {
    g_autoptr (MsTable) table = ms_table_new (&def);

    for (gint64 i = 0; i < 10000000; i++)
      ms_table_add_row (table, MS_INT (i), MS_INT (0),
                        MS_REAL (sin ((double) i * 1e-6) + ms_random_double (&state)));
    slow += report ("line of 10^7 points", table, &line, paint);
  }
  return slow > 0;
}
