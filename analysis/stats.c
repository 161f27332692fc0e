/* Small statistics, quantiles of a distribution, and the permutation test. */
#include "analysis-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double
ms_entropy (const double *x, guint n)
{
  double sum = 0, entropy = 0;

  for (guint i = 0; i < n; i++)
    sum += x[i];
  if (!(sum > 0))
    return NAN;
  for (guint i = 0; i < n; i++)
    if (x[i] > 0)
      entropy -= x[i] / sum * log (x[i] / sum);
  return entropy;
}

double
ms_gini (const double *x, guint n)
{
  g_autofree double *sorted = g_memdup2 (x, n * sizeof (double));
  double sum = 0, weighted = 0;

  ms_sort (sorted, n);
  for (guint i = 0; i < n; i++)
    {
      sum += sorted[i];
      weighted += (2.0 * (i + 1) - n - 1) * sorted[i];
    }
  return sum > 0 ? weighted / (n * sum) : NAN;
}

double
ms_kl (const double *p, const double *q, guint n)
{
  double p_sum = 0, q_sum = 0, kl = 0;

  for (guint i = 0; i < n; i++)
    {
      p_sum += p[i];
      q_sum += q[i];
    }
  if (!(p_sum > 0) || !(q_sum > 0))
    return NAN;
  for (guint i = 0; i < n; i++)
    if (p[i] > 0)
      kl += q[i] > 0 ? p[i] / p_sum * log (p[i] / p_sum * (q_sum / q[i])) : INFINITY;
  return MAX (kl, 0); /* below it lies the dust of rounding alone */
}

double
ms_js (const double *p, const double *q, guint n)
{
  double p_sum = 0, q_sum = 0, js = 0;

  for (guint i = 0; i < n; i++)
    {
      p_sum += p[i];
      q_sum += q[i];
    }
  if (!(p_sum > 0) || !(q_sum > 0))
    return NAN;
  for (guint i = 0; i < n; i++)
    {
      double a = p[i] / p_sum, b = q[i] / q_sum, middle = (a + b) / 2;

      /* What only one of them has is twice the middle: most of what is sparse. */
      if (a > 0)
        js += a / 2 * (b > 0 ? log (a / middle) : G_LN2);
      if (b > 0)
        js += b / 2 * (a > 0 ? log (b / middle) : G_LN2);
    }
  return MAX (js, 0);
}

double
ms_load (guint64 count, guint64 total, guint n_experts)
{
  return total > 0 ? (double) count * n_experts / (double) total : NAN;
}

double
ms_load_change (double load, double base_load)
{
  return load - base_load;
}

double
ms_mean (const double *x, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += x[i];
  return n > 0 ? sum / n : NAN;
}

double
ms_deviation (const double *x, guint n, guint less)
{
  double mean = ms_mean (x, n), sum = 0;

  for (guint i = 0; i < n; i++)
    sum += (x[i] - mean) * (x[i] - mean);
  return n > less ? sqrt (sum / (n - less)) : NAN;
}

static int
compare_reals (gconstpointer a, gconstpointer b)
{
  double left = *(const double *) a, right = *(const double *) b;

  if (isnan (left) || isnan (right))
    return isnan (left) - isnan (right);
  return (left > right) - (left < right);
}

/* Merges two sorted pieces of the same length from both ends at once: each end makes half of the output, so
 * that neither runs out of input, and the two do not wait for each other. */
static void
merge (const double *from, gsize length, double *to)
{
  gsize left = 0, right = length, left_end = length - 1, right_end = 2 * length - 1;

  for (gsize i = 0; i < length; i++)
    {
      gboolean take_right = from[right] < from[left];
      gboolean take_left = from[right_end] < from[left_end];

      to[i] = from[take_right ? right : left];
      right += (gsize) take_right;
      left += (gsize) !take_right;
      to[2 * length - 1 - i] = from[take_left ? left_end : right_end];
      left_end -= (gsize) take_left;
      right_end -= (gsize) !take_left;
    }
}

void
ms_sort (double *x, guint n)
{
  gsize numbers = 0, size = 1;
  g_autofree double *pieces = NULL, *merged = NULL;

  for (guint i = 0; i < n; i++) /* NaN go last */
    if (!isnan (x[i]))
      {
        double number = x[i];

        x[i] = x[numbers];
        x[numbers++] = number;
      }
  while (size < numbers)
    size *= 2;
  pieces = g_new (double, size);
  merged = g_new (double, size);
  for (gsize i = 0; i < size; i++)
    pieces[i] = i < numbers ? x[i] : INFINITY;
  for (gsize length = 1; length < size; length *= 2)
    {
      double *swap = pieces;

      for (gsize i = 0; i < size; i += 2 * length)
        merge (pieces + i, length, merged + i);
      pieces = merged;
      merged = swap;
    }
  if (numbers > 0)
    memcpy (x, pieces, numbers * sizeof *x);
}

typedef struct
{
  double value;
  guint index;
} Ranked;

void
ms_ranks (const double *x, guint n, double *ranks)
{
  g_autofree Ranked *order = g_new (Ranked, n);

  for (guint i = 0; i < n; i++)
    order[i] = (Ranked){ x[i], i };
  qsort (order, n, sizeof (Ranked), compare_reals); /* the value comes first in Ranked */
  for (guint i = 0, end; i < n; i = end)
    {
      for (end = i + 1; end < n && order[end].value == order[i].value; end++)
        ;
      for (guint j = i; j < end; j++)
        ranks[order[j].index] = (i + 1 + end) / 2.0;
    }
}

double
ms_pearson (const double *x, const double *y, guint n)
{
  double x_mean = ms_mean (x, n), y_mean = ms_mean (y, n), xx = 0, yy = 0, xy = 0;

  for (guint i = 0; i < n; i++)
    {
      xx += (x[i] - x_mean) * (x[i] - x_mean);
      yy += (y[i] - y_mean) * (y[i] - y_mean);
      xy += (x[i] - x_mean) * (y[i] - y_mean);
    }
  return n >= 2 && xx > 0 && yy > 0 ? xy / sqrt (xx * yy) : NAN;
}

double
ms_spearman (const double *x, const double *y, guint n)
{
  g_autofree double *x_ranks = g_new (double, n), *y_ranks = g_new (double, n);

  ms_ranks (x, n, x_ranks);
  ms_ranks (y, n, y_ranks);
  return ms_pearson (x_ranks, y_ranks, n);
}

double
ms_quantile (const double *sorted, guint n, double q)
{
  double at = q * (n - 1.0), below = floor (at);
  guint low = (guint) below;

  if (n == 0)
    return NAN;
  if (low + 1 >= n)
    return sorted[n - 1];
  return sorted[low] + (at - below) * (sorted[low + 1] - sorted[low]);
}

/* The regularised incomplete beta function, by its continued fraction (modified Lentz). */
static double
incomplete_beta (double a, double b, double x)
{
  const double tiny = 1e-300;
  double front = exp (lgamma (a + b) - lgamma (a) - lgamma (b) + a * log (x) + b * log (1 - x));
  double c = 1, d, f;

  if (x > (a + 1) / (a + b + 2))
    return 1 - incomplete_beta (b, a, 1 - x);
  d = 1 / MAX (fabs (1 - (a + b) * x / (a + 1)), tiny);
  f = d;
  for (guint m = 1; m < 300; m++)
    {
      double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), step;

      d = 1 / (1 + even * d);
      c = 1 + even / c;
      f *= d * c;
      d = 1 / (1 + odd * d);
      c = 1 + odd / c;
      step = d * c;
      f *= step;
      if (fabs (step - 1) < 1e-15)
        break;
    }
  return front * f / a;
}

double
ms_student_quantile (double p, double freedom)
{
  double low = 0, high = 1;

  if (p < 0.5)
    return -ms_student_quantile (1 - p, freedom);
/* P (T <= t) for t > 0 */
#define BELOW(t) (1 - incomplete_beta (freedom / 2, 0.5, freedom / (freedom + (t) * (t))) / 2)
  while (BELOW (high) < p && high < 1e8)
    high *= 2;
  for (guint i = 0; i < 100; i++)
    {
      double middle = (low + high) / 2;

      if (BELOW (middle) < p)
        low = middle;
      else
        high = middle;
    }
#undef BELOW
  return (low + high) / 2;
}

guint64
ms_seed (guint64 seed, guint64 stream)
{
  guint64 state = seed;

  state = ms_random_next (&state) + stream * 0xd1342543de82ef95u;
  return ms_random_next (&state);
}

double
ms_permutation_p (guint n, guint n_permutations, guint64 seed, double observed,
                  MsPermuted statistic, gpointer data)
{
  g_autofree guint *order = g_new (guint, n);
  guint64 state = ms_seed (seed, 0);
  guint as_large = 1;

  for (guint i = 0; i < n; i++)
    order[i] = i;
  for (guint r = 0; r < n_permutations; r++)
    {
      for (guint i = n; i > 1; i--)
        {
          guint j = (guint) ms_random_below (&state, i), kept = order[i - 1];

          order[i - 1] = order[j];
          order[j] = kept;
        }
      as_large += statistic (order, data) >= observed;
    }
  return as_large / (n_permutations + 1.0);
}

void
ms_shuffle_rows (const guint16 *rows, gint64 n, guint width, guint64 seed, guint16 *out)
{
  memcpy (out, rows, (gsize) n * width * sizeof *rows);
  for (gint64 i = n - 1; i > 0; i--)
    {
      gint64 j = (gint64) ms_random_below (&seed, (guint64) i + 1);

      for (guint r = 0; r < width; r++)
        {
          guint16 keep = out[i * width + r];

          out[i * width + r] = out[j * width + r];
          out[j * width + r] = keep;
        }
    }
}
