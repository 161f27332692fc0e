/* Axes and ticks, see scale.c. */
#pragma once

#include "base.h"

G_BEGIN_DECLS

typedef enum
{
  MS_AXIS_LINEAR,
  MS_AXIS_LOG2,
  MS_AXIS_LOG10,
  MS_AXIS_RATIO,    /* log2, ticks written as factors */
  MS_AXIS_TIME,     /* seconds, ticks at clock-like steps */
  MS_AXIS_CATEGORY, /* category i lies at i, -0.5 .. n - 0.5 */
} MsAxisKind;

typedef struct
{
  MsAxisKind kind;
  double low, high; /* what maps to 0 and 1; finite, low < high; above 0 when logarithmic */
  gboolean whole;   /* ticks at whole numbers only */
} MsAxis;

#define MS_TICKS_MAX 24 /* size of the array */

typedef struct
{
  double value;
  double at; /* 0..1 */
  char label[40];
} MsTick;

/* Repairs limits that cannot be drawn: not finite, empty, or not positive where a logarithm is taken. */
MsAxis ms_axis_new (MsAxisKind kind, double low, double high);
MsAxis ms_axis_new_categories (guint n);
gboolean ms_axis_is_log (const MsAxis *axis);
/* 0..1 within the limits, beyond them outside; NaN for NaN and for logarithms of negative numbers,
 * -inf for the logarithm of 0. */
double ms_axis_map (const MsAxis *axis, double value);
double ms_axis_value (const MsAxis *axis, double t);
/* About `most` ticks (3..MS_TICKS_MAX - 1; one more rather than only two) inside the limits, ascending;
 * returns how many. */
guint ms_axis_ticks (const MsAxis *axis, guint most, MsTick *ticks);
/* `value` with `decimals` decimals: no sign for what rounds to 0, the minus as typographers want it. */
void ms_append_fixed (GString *out, double value, int decimals);

G_END_DECLS
