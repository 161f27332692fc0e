/* Small statistics, the bootstrap and the permutation test. */
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
  return kl;
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

      if (a > 0)
        js += a / 2 * log (a / middle);
      if (b > 0)
        js += b / 2 * log (b / middle);
    }
  return MAX (js, 0);
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

/* --- The bootstrap --------------------------------------------------------------------------- */

MsBootstrap *
ms_bootstrap_new (const MsContext *context, guint n_documents)
{
  MsBootstrap *bootstrap = g_new0 (MsBootstrap, 1);
  guint n = MAX (MIN (n_documents, MS_BOOTSTRAP_UNITS), 1);

  bootstrap->n_units = n;
  bootstrap->n_resamples = n > 1 ? context->bootstrap : 0;
  bootstrap->confidence = context->confidence;
  bootstrap->times = g_new0 (guint16, (gsize) bootstrap->n_resamples * n);
  for (guint r = 0; r < bootstrap->n_resamples; r++)
    {
      guint64 state = ms_seed (context->seed, r);

      for (guint i = 0; i < n; i++)
        bootstrap->times[(gsize) r * n + ms_random_below (&state, n)]++;
    }
  return bootstrap;
}

void
ms_bootstrap_free (MsBootstrap *bootstrap)
{
  if (bootstrap == NULL)
    return;
  g_free (bootstrap->times);
  g_free (bootstrap);
}

#define DRAWS 8 /* resamples added up together */
#define CELLS 4 /* sums added up together */
typedef double Cells __attribute__ ((vector_size (CELLS * sizeof (double))));

/* The units' sums (U, m) without those that are zero in all units. */
typedef struct
{
  guint n_units;
  gsize n;         /* groups of CELLS */
  gsize *first;    /* (n) the first of the group among the m */
  double *columns; /* (n, U, CELLS) */
} Packed;

/* totals (DRAWS, width) = the sums times how often each unit was drawn (U, DRAWS), added in the order of
 * the units. */
MS_INLINE void
add_draws_body (const Packed *sums, const double *times, gsize width, double *totals)
{
  for (gsize i = 0; i < sums->n; i++)
    {
      const double *column = sums->columns + i * sums->n_units * CELLS;
      Cells total[DRAWS] = { { 0 } };

      for (gsize u = 0; u < sums->n_units; u++)
        {
          Cells cells;

          memcpy (&cells, column + u * CELLS, sizeof cells);
          for (guint j = 0; j < DRAWS; j++)
            total[j] += times[u * DRAWS + j] * cells;
        }
      for (guint j = 0; j < DRAWS; j++)
        memcpy (totals + j * width + sums->first[i], &total[j], sizeof total[j]);
    }
}
MS_KERNEL (void, , add_draws,
           (const Packed *sums, const double *times, gsize width, double *totals),
           (sums, times, width, totals))

static void
pack (Packed *packed, const double *sums, gsize m)
{
  for (gsize first = 0; first < m; first += CELLS)
    {
      double *column = packed->columns + packed->n * packed->n_units * CELLS;
      gsize n = MIN (CELLS, m - first);
      gboolean zero = TRUE;

      for (gsize u = 0; u < packed->n_units; u++)
        for (gsize i = 0; i < n; i++)
          {
            column[u * CELLS + i] = sums[u * m + first + i];
            zero = zero && column[u * CELLS + i] == 0;
          }
      packed->first[packed->n] = first;
      packed->n += !zero;
    }
}

void
ms_bootstrap_resample (const MsBootstrap *bootstrap, const double *sums, guint m,
                       MsStatistic statistic, gpointer data, guint n_out, double *values,
                       double *resampled)
{
  gsize n_units = bootstrap->n_units, n = bootstrap->n_resamples;
  gsize width = (m + CELLS - 1) / CELLS * CELLS;
  g_autofree gsize *first = g_new (gsize, width / CELLS);
  g_autofree double *columns = g_new0 (double, n_units *width);
  g_autofree double *totals = g_new0 (double, DRAWS *width);
  g_autofree double *times = g_new0 (double, n_units *DRAWS);
  g_autofree double *made = g_new (double, n_out);
  Packed packed = { bootstrap->n_units, 0, first, columns };

  pack (&packed, sums, m);
  for (gsize u = 0; u < n_units; u++)
    for (gsize i = 0; i < m; i++)
      totals[i] += sums[u * m + i];
  statistic (totals, values, data);
  for (gsize r = 0; r < n; r += DRAWS)
    {
      gsize n_draws = MIN (DRAWS, n - r);

      for (gsize u = 0; u < n_units; u++)
        for (gsize j = 0; j < n_draws; j++)
          times[u * DRAWS + j] = bootstrap->times[(r + j) * n_units + u];
      add_draws (&packed, times, width, totals);
      for (gsize j = 0; j < n_draws; j++)
        {
          statistic (totals + j * width, made, data);
          for (gsize i = 0; i < n_out; i++)
            resampled[i * n + r + j] = made[i];
        }
    }
}

MsInterval
ms_bootstrap_interval (const MsBootstrap *bootstrap, double value, const double *resampled)
{
  guint n = bootstrap->n_resamples;
  g_autofree double *sorted = g_memdup2 (resampled, n * sizeof (double));
  double tail = (1 - bootstrap->confidence) / 2;
  guint cut;
  MsInterval interval = { value, NAN, NAN, NAN, NAN, NAN };

  ms_sort (sorted, n);
  while (n > 0 && isnan (sorted[n - 1]))
    n--;
  if (n < 2)
    return interval;
  interval.error = ms_deviation (sorted, n, 1);
  interval.low = ms_quantile (sorted, n, tail);
  interval.high = ms_quantile (sorted, n, 1 - tail);
  /* Order statistics, not quantiles between them, as the local-routing paper takes them. */
  cut = (guint) MAX (lround (n * tail), 1);
  interval.basic_low = 2 * value - sorted[n - cut];
  interval.basic_high = 2 * value - sorted[cut];
  return interval;
}

void
ms_bootstrap_intervals (const MsBootstrap *bootstrap, const double *sums, guint m,
                        MsStatistic statistic, gpointer data, guint n_out, MsInterval *out)
{
  gsize n = bootstrap->n_resamples;
  g_autofree double *values = g_new (double, n_out);
  g_autofree double *resampled = g_new (double, n *n_out);

  ms_bootstrap_resample (bootstrap, sums, m, statistic, data, n_out, values, resampled);
  for (guint i = 0; i < n_out; i++)
    out[i] = ms_bootstrap_interval (bootstrap, values[i], resampled + n * i);
}

MsBootstrap *
ms_bootstrap_new_from_file (const MsContext *context, guint n_documents, const char *path,
                            GError **error)
{
  g_autoptr (MsInput) input = NULL;
  g_autoptr (MsBootstrap) bootstrap = NULL;

  if (path == NULL || path[0] == '\0')
    return ms_bootstrap_new (context, n_documents);
  input = ms_input_load (path, error);
  if (input == NULL)
    return NULL;
  if (ms_input_n_rows (input) == 0 || ms_input_n_rows (input) > MAX (n_documents, 1))
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_INPUT,
                   "%s draws from %u documents, the selection has %u", path,
                   ms_input_n_rows (input), n_documents);
      return NULL;
    }
  bootstrap = g_new0 (MsBootstrap, 1);
  bootstrap->n_units = ms_input_n_rows (input);
  bootstrap->n_resamples = ms_input_n_columns (input);
  bootstrap->confidence = context->confidence;
  bootstrap->times = g_new0 (guint16, (gsize) bootstrap->n_resamples * bootstrap->n_units);
  for (guint u = 0; u < bootstrap->n_units; u++)
    for (guint r = 0; r < bootstrap->n_resamples; r++)
      {
        gint64 drawn;

        if (!ms_input_int (input, u, r, 0, bootstrap->n_units - 1, &drawn, error))
          return NULL;
        bootstrap->times[(gsize) r * bootstrap->n_units + (gsize) drawn]++;
      }
  return g_steal_pointer (&bootstrap);
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
