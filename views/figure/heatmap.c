/* Heatmap: a grid of cells with bars beside it that sum up its lines (margins.c). */
#include "figure-private.h"

static double
panel_height (MsFigure *figure, double width, double em)
{
  double cell = figure->x.n > 0 ? width / figure->x.n : width;
  double height = figure->y.n * CLAMP (cell, em * 0.35, em * 2);
  /* Names down the side are legible where that does not make a tower of the map. */
  double names = figure->y.numbers == NULL ? MIN (figure->y.n * em * 0.8, 2.4 * width) : 0;

  height = CLAMP (height, MIN (figure->y.n * em * 1.3, width * 0.45), width * 1.1);
  return MAX (height, names);
}

static gboolean
prepare (MsFigure *figure, GError **error)
{
  return ms_grid_prepare (figure, error) && ms_margins_prepare (figure, error);
}

static void
draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  ms_grid_draw (figure, layout, panel, pen);
  ms_margins_draw (figure, layout, panel, pen);
}

const MsMarkClass ms_mark_heatmap = { .needs = MS_NEEDS_X | MS_NEEDS_Y | MS_NEEDS_VALUE,
                                      .x_categories = TRUE,
                                      .y_categories = TRUE,
                                      .legend = TRUE,
                                      .axes = TRUE,
                                      .framed = TRUE,
                                      .coloured = TRUE,
                                      .prepare = prepare,
                                      .finish = ms_grid_finish,
                                      .panel_height = panel_height,
                                      .panel_least = ms_grid_least,
                                      .surround = ms_margins_surround,
                                      .draw = draw,
                                      .pick = ms_grid_pick,
                                      .locate = ms_grid_locate,
                                      .step = ms_grid_step,
                                      .swatch = ms_swatch_point };
