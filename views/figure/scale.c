/* Axes: from data values to 0..1 and back, and the ticks that people can read.
 *
 * Ticks sit at 1, 2, 5 times a power of ten (linear, time has its own steps), at powers of the base
 * (logarithmic), or on categories.  Labels are written in the C locale. */
#include "scale-private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MINUS "\xe2\x88\x92"
#define TIMES "\xc3\x97"

gboolean
ms_axis_is_log (const MsAxis *axis)
{
  return axis->kind == MS_AXIS_LOG2 || axis->kind == MS_AXIS_LOG10 || axis->kind == MS_AXIS_RATIO;
}

MsAxis
ms_axis_new (MsAxisKind kind, double low, double high)
{
  MsAxis axis = { .kind = kind, .low = low, .high = high };

  if (ms_axis_is_log (&axis))
    {
      if (!(isfinite (high) && high > 0))
        axis.high = 1;
      if (!(isfinite (low) && low > 0))
        axis.low = axis.high / 2;
      if (axis.low > axis.high)
        axis.low = axis.high;
      if (axis.low == axis.high)
        {
          axis.low /= 2;
          axis.high *= 2;
        }
    }
  else
    {
      if (!isfinite (low) || !isfinite (high))
        {
          axis.low = 0;
          axis.high = 1;
        }
      else if (low > high)
        axis.high = low;
      /* A constant, or a spread below what a double can tell apart, still needs a length. */
      if (axis.high - axis.low <= 1e-12 * MAX (fabs (axis.low), fabs (axis.high)))
        {
          double pad = axis.low != 0 ? fabs (axis.low) * 0.5 : 0.5;

          axis.low -= pad;
          axis.high += pad;
        }
    }
  return axis;
}

MsAxis
ms_axis_new_categories (guint n)
{
  return (MsAxis){ .kind = MS_AXIS_CATEGORY, .low = -0.5, .high = MAX (n, 1) - 0.5, .whole = TRUE };
}

double
ms_axis_map (const MsAxis *axis, double value)
{
  if (!ms_axis_is_log (axis))
    return (value - axis->low) / (axis->high - axis->low);
  if (isnan (value) || value < 0)
    return NAN;
  if (value == 0)
    return -INFINITY;
  return log (value / axis->low) / log (axis->high / axis->low);
}

double
ms_axis_value (const MsAxis *axis, double t)
{
  if (ms_axis_is_log (axis))
    return axis->low * pow (axis->high / axis->low, t);
  return axis->low + t * (axis->high - axis->low);
}

/* The smallest of 1, 2, 5 times a power of ten that is not below `least`. */
static double
nice_step (double least)
{
  double power = pow (10, floor (log10 (least)));

  for (guint i = 0; i < 3; i++)
    {
      static const double factors[] = { 1, 2, 5 };

      if (factors[i] * power >= least * (1 - 1e-9))
        return factors[i] * power;
    }
  return 10 * power;
}

static const struct
{
  double seconds;
  const char *unit;
  double length;
} time_steps[] = { { 1, "s", 1 },          { 2, "s", 1 },         { 5, "s", 1 },
                   { 10, "s", 1 },         { 15, "s", 1 },        { 30, "s", 1 },
                   { 60, "min", 60 },      { 120, "min", 60 },    { 300, "min", 60 },
                   { 600, "min", 60 },     { 900, "min", 60 },    { 1800, "min", 60 },
                   { 3600, "h", 3600 },    { 7200, "h", 3600 },   { 10800, "h", 3600 },
                   { 21600, "h", 3600 },   { 43200, "h", 3600 },  { 86400, "d", 86400 },
                   { 172800, "d", 86400 }, { 604800, "d", 86400 } };

static void
superscript (GString *out, int number)
{
  static const char *const digits[]
      = { "\xe2\x81\xb0", "\xc2\xb9",     "\xc2\xb2",     "\xc2\xb3",     "\xe2\x81\xb4",
          "\xe2\x81\xb5", "\xe2\x81\xb6", "\xe2\x81\xb7", "\xe2\x81\xb8", "\xe2\x81\xb9" };
  char text[16];

  snprintf (text, sizeof text, "%d", number);
  for (const char *c = text; *c != '\0'; c++)
    g_string_append (out, *c == '-' ? "\xe2\x81\xbb" : digits[*c - '0']);
}

void
ms_append_fixed (GString *out, double value, int decimals)
{
  char format[16], number[MS_NUMBER_SIZE + 320];

  if (fabs (value) < 0.5 * pow (10, -decimals))
    value = 0;
  snprintf (format, sizeof format, "%%.%df", decimals);
  g_ascii_formatd (number, sizeof number, format, fabs (value));
  if (value < 0)
    g_string_append (out, MINUS);
  g_string_append (out, number);
}

static int
decimals_of (double step)
{
  return MAX (0, (int) -floor (log10 (step) + 1e-9));
}

/* Labels of ticks `step` apart whose largest magnitude is `most`: plain, with k/M/G, or with a power
 * of ten. */
static void
label_linear (MsTick *tick, double step, double most)
{
  g_autoptr (GString) out = g_string_new (NULL);

  if (most >= 1e13 || most < 0.999e-3)
    {
      int exponent = (int) floor (log10 (most) + 1e-9);
      double unit = pow (10, exponent);

      ms_append_fixed (out, tick->value / unit, decimals_of (step / unit));
      if (tick->value != 0)
        {
          g_string_append (out, TIMES "10");
          superscript (out, exponent);
        }
      else
        g_string_assign (out, "0");
    }
  else
    {
      static const struct
      {
        double unit;
        const char *suffix;
      } units[] = { { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" }, { 1, "" } };
      guint u = 0;

      while (u < 3 && most < units[u].unit * (u == 2 ? 10 : 1))
        u++;
      ms_append_fixed (out, tick->value / units[u].unit, decimals_of (step / units[u].unit));
      if (tick->value != 0)
        g_string_append (out, units[u].suffix);
      else
        g_string_assign (out, "0");
    }
  g_strlcpy (tick->label, out->str, sizeof tick->label);
}

static guint
linear_ticks (const MsAxis *axis, guint most, MsTick *ticks)
{
  double span = axis->high - axis->low, step = nice_step (span / most), first;
  double largest = MAX (fabs (axis->low), fabs (axis->high));
  const char *unit = NULL;
  double length = 1;
  guint n;

  if (axis->whole)
    step = MAX (step, 1);
  if (axis->kind == MS_AXIS_TIME)
    for (guint i = 0; i < G_N_ELEMENTS (time_steps); i++)
      if (time_steps[i].seconds >= span / most)
        {
          step = time_steps[i].seconds;
          unit = time_steps[i].unit;
          length = time_steps[i].length;
          break;
        }
  for (;;)
    {
      first = ceil (axis->low / step - 1e-9);
      n = (guint) (floor (axis->high / step + 1e-9) - first) + 1;
      if (n <= most)
        break;
      step = nice_step (step * 1.01);
    }
  if (n < 3 && axis->kind != MS_AXIS_TIME)
    {
      /* Two ticks or one say too little: the next smaller step, when it is not too many. */
      double finer = nice_step (step * 0.39);
      double finer_first = ceil (axis->low / finer - 1e-9);
      guint finer_n = (guint) (floor (axis->high / finer + 1e-9) - finer_first) + 1;

      if (finer_n > n && finer_n <= MAX (most + 1, 4) && (!axis->whole || finer >= 1))
        {
          step = finer;
          first = finer_first;
          n = finer_n;
        }
    }
  for (guint i = 0; i < n; i++)
    {
      /* Multiples are computed, not summed, so that 0.3 is 0.3; a value at zero is exactly zero. */
      double multiple = first + i;

      ticks[i].value = multiple == 0 ? 0 : multiple * step;
      ticks[i].at = CLAMP (ms_axis_map (axis, ticks[i].value), 0, 1);
      if (unit != NULL)
        {
          g_autoptr (GString) out = g_string_new (NULL);

          ms_append_fixed (out, ticks[i].value / length, fmod (step, length) == 0 ? 0 : 1);
          g_string_append_printf (out, " %s", unit);
          g_strlcpy (ticks[i].label, out->str, sizeof ticks[i].label);
        }
      else
        label_linear (&ticks[i], step, largest);
    }
  return n;
}

static void
label_log (MsTick *tick, MsAxisKind kind)
{
  g_autoptr (GString) out = g_string_new (NULL);
  double magnitude = log10 (tick->value);

  if (kind == MS_AXIS_RATIO)
    {
      if (tick->value < 1)
        g_string_printf (out, TIMES "1/%.0f", 1 / tick->value);
      else if (tick->value == 1)
        g_string_assign (out, "1");
      else
        g_string_printf (out, TIMES "%.0f", tick->value);
    }
  else if (kind == MS_AXIS_LOG2 && tick->value < 1 && tick->value > 0.9 / 1024)
    g_string_printf (out, "1/%.0f", 1 / tick->value);
  else if (magnitude > 4.99 || magnitude < -3.01)
    {
      double exponent = kind == MS_AXIS_LOG2 ? log2 (tick->value) : floor (magnitude + 1e-9);
      double factor = kind == MS_AXIS_LOG2 ? 1 : tick->value / pow (10, exponent);

      if (fabs (factor - 1) > 1e-6)
        g_string_append_printf (out, "%.0f" TIMES, factor);
      g_string_append (out, kind == MS_AXIS_LOG2 ? "2" : "10");
      superscript (out, (int) lround (exponent));
    }
  else
    ms_append_fixed (out, tick->value, decimals_of (pow (10, floor (magnitude + 1e-9))));
  g_strlcpy (tick->label, out->str, sizeof tick->label);
}

static guint
log_ticks (const MsAxis *axis, guint most, MsTick *ticks)
{
  static const double minor[] = { 1, 2, 5 };
  gboolean ten = axis->kind == MS_AXIS_LOG10;
  double base = ten ? 10 : 2;
  double lowest = log (axis->low) / log (base), highest = log (axis->high) / log (base);
  int first = (int) ceil (lowest - 1e-9), last = (int) floor (highest + 1e-9);
  int step = 1;
  guint n = 0;

  /* Less than two powers in view: 1, 2, 5 of each decade, or plain linear ticks. */
  if (ten && last - first < 1)
    {
      for (int e = first - 1; e <= last + 1; e++)
        for (guint i = 0; i < 3; i++)
          {
            double value = minor[i] * pow (10, e);

            if (n < most && value >= axis->low * (1 - 1e-9) && value <= axis->high * (1 + 1e-9))
              ticks[n++].value = value;
          }
    }
  if (n < 2 && last - first < 1 && axis->kind != MS_AXIS_RATIO)
    {
      MsAxis plain = { .kind = MS_AXIS_LINEAR, .low = axis->low, .high = axis->high };

      n = linear_ticks (&plain, most, ticks);
      for (guint i = 0; i < n; i++)
        ticks[i].at = CLAMP (ms_axis_map (axis, ticks[i].value), 0, 1);
      return n;
    }
  if (n == 0)
    {
      while ((last - first) / step + 1 > (int) most)
        step++;
      /* Ratios keep 1 among the ticks, the others a round exponent. */
      first += (step - first % step) % step;
      for (int e = first; e <= last && n < most; e += step)
        ticks[n++].value = pow (base, e);
    }
  for (guint i = 0; i < n; i++)
    {
      ticks[i].at = CLAMP (ms_axis_map (axis, ticks[i].value), 0, 1);
      label_log (&ticks[i], axis->kind);
    }
  return n;
}

guint
ms_axis_ticks (const MsAxis *axis, guint most, MsTick *ticks)
{
  most = CLAMP (most, 3, MS_TICKS_MAX - 1);
  if (ms_axis_is_log (axis))
    return log_ticks (axis, most, ticks);
  return linear_ticks (axis, most, ticks);
}
