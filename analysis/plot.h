/* Plots: how a table is to be drawn, as data; views/figure draws them. */
#pragma once

#include "table.h"

G_BEGIN_DECLS

/* Every mark: the name in MS_MARK_..., that of its class ms_mark_... in views/figure, and what it draws.  A
 * new mark is a line here and a file there. */
#define MS_MARKS(MARK)                                                                             \
  MARK (LINE, line)           /* x, y, one line per series, band low..high */                      \
  MARK (BAR, bar)             /* x, y, grouped by series, whiskers low..high */                    \
  MARK (INTERVAL, interval)   /* x categories, y points with whiskers low..high, by series */      \
  MARK (STACK, stack)         /* x, y, stacked by series */                                        \
  MARK (HISTOGRAM, histogram) /* x = left edge, x2 = right edge, y = count */                      \
  MARK (SCATTER, scatter)     /* x, y, label, series */                                            \
  MARK (HEATMAP, heatmap)     /* x, y categories, value = colour */                                \
  MARK (MATRIX, matrix)       /* square heatmap of x against y with dendrograms on both sides */   \
  MARK (FLOW, flow)     /* x -> y with width = value, one band between neighbouring facets */      \
  MARK (TOKENS, tokens) /* running text of labels in row order, coloured by value or series */

#define MS_MARK_ENUMERATOR(NAME, name) MS_MARK_##NAME,
typedef enum
{
  MS_MARKS (MS_MARK_ENUMERATOR)
} MsMark;
#undef MS_MARK_ENUMERATOR

typedef enum
{
  MS_SCALE_LINEAR,
  MS_SCALE_LOG2,
  MS_SCALE_LOG10,
  MS_SCALE_RATIO,     /* log2 of a ratio to 1, diverging about 1: ticks x1/4 .. x4 */
  MS_SCALE_DIVERGING, /* linear, symmetric about `centre` */
  MS_SCALE_CATEGORY,  /* of x: each value a place of its own, at equal distances */
} MsScale;

/* The label of a token that has nothing but later bytes of the character that the token before begins: U+2060. */
#define MS_TEXT_CONTINUED "\xe2\x81\xa0"

/* What a bar beside a heatmap says of the cells of its line. */
typedef enum
{
  MS_MARGIN_NONE,
  MS_MARGIN_MEAN,
  MS_MARGIN_SIZE, /* mean of the absolute values */
  MS_MARGIN_MOST, /* largest value */
} MsMarginKind;

typedef struct
{
  MsMarginKind kind;
  const char *title;  /* what it is, in a few words */
  const char *weight; /* column that weighs the cells of a mean; NULL = all alike */
} MsMargin;

typedef struct
{
  const char *name; /* kebab-case, unique in the analysis */
  const char *title;
  const char *table; /* which result table */
  MsMark mark;
  const char *x, *y;      /* columns */
  const char *value;      /* colour or width column */
  const char *series;     /* one line / colour per value of this column; NULL = one */
  const char *facet;      /* small multiples by this column; NULL = one panel */
  const char *low, *high; /* interval columns */
  const char *label;      /* point labels */
  const char *x2;         /* right edge of histogram bins */
  MsScale x_scale, y_scale, value_scale;
  double centre;           /* of a diverging scale */
  const char *x_title;     /* of the x axis, with the unit; NULL = the title of column x */
  const char *y_title;     /* the same of the y axis */
  const char *value_title; /* the same of the colour bar */
  const char
      *reference;      /* column whose value is drawn as a dashed reference line (null, uniform) */
  const char *where;   /* only rows with "column=value"; NULL = all */
  MsMargin right, top; /* bars beside a heatmap: one for each of its rows, one for each column */
} MsPlotDef;

/* Whether the table has a row for the plot, with a value. */
gboolean ms_plot_has_data (const MsPlotDef *plot, const MsTable *table);

G_END_DECLS
