/* The bootstrap: how an estimate varies over independent groups of documents, and the one place that turns
 * resamples into an interval.
 *
 * Most measures here are no linear functions of shares (CV, entropy, divergences), so that too few tokens
 * bias them upwards; a resample, which repeats documents, is biased once more.  The interval is therefore
 * laid about the corrected estimate, 2 value - mean of the resamples, and reaches t(n - 1) standard errors
 * to both sides, the errors multiplied by sqrt(n / (n - 1)) for n independent groups (metrics.md, Intervals).
 * tests/test-coverage.c measures how often these intervals hold the true value.
 *
 * Information of sparse tables (pairs of experts) is biased by so much more than one over the number of groups that
 * the bootstrap tells a part of it only; the jackknife, which leaves out one group at a time, tells more.
 *
 * The unit that is drawn is a group of documents that go together (ms_trace_clusters), not the document: a
 * text and its translations or copies are one observation. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

/* What standard errors of n groups with `freedom` degrees of freedom are multiplied by. */
static double
reach_of (double confidence, double freedom, double n)
{
  return ms_student_quantile (1 - (1 - confidence) / 2, freedom) * sqrt (n / (n - 1));
}

double
ms_interval_reach (double confidence, guint n)
{
  return n > 1 ? reach_of (confidence, n - 1.0, n) : NAN;
}

/* `n_units` units that are drawn n_units times in each resample. */
static MsBootstrap *
new_draws (const MsContext *context, guint n_units, guint n_items)
{
  MsBootstrap *bootstrap = g_new0 (MsBootstrap, 1);

  bootstrap->n_units = n_units;
  bootstrap->n_resamples = n_units > 1 ? context->sampling.resamples : 0;
  bootstrap->confidence = context->sampling.confidence;
  bootstrap->reach
      = n_units > 1 ? reach_of (context->sampling.confidence, n_units - 1.0, n_units) : NAN;
  bootstrap->unit = g_new (guint, n_items);
  bootstrap->times = g_new0 (guint16, (gsize) bootstrap->n_resamples * n_units);
  for (guint r = 0; r < bootstrap->n_resamples; r++)
    {
      guint64 state = ms_seed (context->sampling.seed, r);

      for (guint i = 0; i < n_units; i++)
        bootstrap->times[(gsize) r * n_units + ms_random_below (&state, n_units)]++;
    }
  return bootstrap;
}

MsBootstrap *
ms_bootstrap_new (const MsContext *context, guint n_items)
{
  guint n_units = MAX (MIN (n_items, MS_BOOTSTRAP_UNITS), 1);
  MsBootstrap *bootstrap = new_draws (context, n_units, n_items);

  for (guint i = 0; i < n_items; i++)
    bootstrap->unit[i] = i % n_units;
  return bootstrap;
}

MsBootstrap *
ms_bootstrap_new_most (const MsContext *context, guint most)
{
  const MsClusters *clusters = ms_trace_clusters (context->trace, context->cluster, NULL);
  guint n_documents = ms_trace_n_documents (context->trace), n_units;
  MsBootstrap *bootstrap;

  if (clusters == NULL)
    return ms_bootstrap_new (context, n_documents);
  n_units = MAX (MIN (clusters->n, most), 1);
  bootstrap = new_draws (context, n_units, n_documents);
  for (guint d = 0; d < n_documents; d++)
    bootstrap->unit[d] = clusters->of[d] % n_units;
  return bootstrap;
}

MsBootstrap *
ms_bootstrap_new_of_trace (const MsContext *context)
{
  return ms_bootstrap_new_most (context, MS_BOOTSTRAP_UNITS);
}

void
ms_bootstrap_free (MsBootstrap *bootstrap)
{
  if (bootstrap == NULL)
    return;
  g_free (bootstrap->unit);
  g_free (bootstrap->times);
  g_free (bootstrap);
}

/* --- Resamples of sums ------------------------------------------------------------------------ */

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

/* --- From resamples to an interval ------------------------------------------------------------ */

MsInterval
ms_interval_make (const MsIntervalRule *rule, double value, const double *resampled, guint n)
{
  g_autofree double *sorted = g_new (double, n);
  double tail = (1 - rule->confidence) / 2, half;
  MsInterval interval = { value, value, NAN, NAN, NAN, NAN, NAN };
  guint n_finite = 0, cut;

  for (guint i = 0; i < n; i++)
    if (isfinite (resampled[i]))
      sorted[n_finite++] = resampled[i];
  if (n_finite < 2 || !isfinite (value) || isnan (rule->reach))
    return interval;
  interval.error = ms_deviation (sorted, n_finite, 1);
  half = rule->reach * interval.error;
  interval.corrected = 2 * value - ms_mean (sorted, n_finite);
  /* Sums in another order differ in the last bits: that is no bias. */
  if (fabs (interval.corrected - value) <= 1e-12 * fabs (value))
    interval.corrected = value;
  interval.low = interval.corrected - half;
  interval.high = interval.corrected + half;
  /* Order statistics, not quantiles between them, as the local-routing paper takes them. */
  ms_sort (sorted, n_finite);
  cut = (guint) MAX (lround (n_finite * tail), 1);
  interval.basic_low = 2 * value - sorted[n_finite - cut];
  interval.basic_high = 2 * value - sorted[cut];
  return interval;
}

MsInterval
ms_bootstrap_interval (const MsBootstrap *bootstrap, double value, const double *resampled)
{
  const MsIntervalRule rule = { bootstrap->confidence, bootstrap->reach };

  return ms_interval_make (&rule, value, resampled, bootstrap->n_resamples);
}

void
ms_interval_bound (MsInterval *interval, const MsIntervalRule *rule, double least, double most,
                   double grain)
{
  double range = most - least, step = grain / range, p, middle, error, half;

  if (isnan (interval->error) || !(step > 0) || step >= 1)
    return;
  p = CLAMP ((interval->value - least) / range, step / 2, 1 - step / 2);
  middle = CLAMP ((interval->corrected - least) / range, step / 2, 1 - step / 2);
  error = MAX (interval->error / range, sqrt (step * p * (1 - p)));
  half = rule->reach * error / (p * (1 - p));
  interval->corrected = CLAMP (interval->corrected, least, most);
  interval->low = least + range / (1 + exp (half) * (1 - middle) / middle);
  interval->high = least + range / (1 + exp (-half) * (1 - middle) / middle);
  interval->low = MIN (interval->low, interval->corrected);
  interval->high = MAX (interval->high, interval->corrected);
}

void
ms_interval_clamp (MsInterval *interval, double least, double most)
{
  interval->corrected = CLAMP (interval->corrected, least, most);
  interval->low = CLAMP (interval->low, least, most);
  interval->high = CLAMP (interval->high, least, most);
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

void
ms_bootstrap_rates (const MsBootstrap *bootstrap, const double *sums, guint m,
                    MsStatistic statistic, gpointer data, guint n_out, MsInterval *out)
{
  ms_bootstrap_intervals (bootstrap, sums, m, statistic, data, n_out, out);
  for (guint i = 0; i < n_out; i++)
    ms_interval_clamp (&out[i], 0, 1);
}

void
ms_jackknife_intervals (const MsBootstrap *bootstrap, const double *sums, guint m,
                        MsStatistic statistic, gpointer data, guint n_out, MsInterval *out)
{
  gsize n = bootstrap->n_units;
  g_autofree double *totals = g_new0 (double, m), *rest = g_new (double, m);
  g_autofree double *values = g_new (double, n_out), *without = g_new (double, n *n_out);

  for (gsize u = 0; u < n; u++)
    for (gsize i = 0; i < m; i++)
      totals[i] += sums[u * m + i];
  statistic (totals, values, data);
  for (gsize u = 0; u < n && bootstrap->n_resamples > 0; u++)
    {
      for (gsize i = 0; i < m; i++)
        rest[i] = totals[i] - sums[u * m + i];
      statistic (rest, without + u * n_out, data);
    }
  for (guint i = 0; i < n_out; i++)
    {
      double mean = 0, squares = 0, half, size = (double) n;

      out[i] = (MsInterval){ values[i], values[i], NAN, NAN, NAN, NAN, NAN };
      if (bootstrap->n_resamples == 0 || isnan (bootstrap->reach))
        continue;
      for (gsize u = 0; u < n; u++)
        mean += without[u * n_out + i] / size;
      for (gsize u = 0; u < n; u++)
        squares += (without[u * n_out + i] - mean) * (without[u * n_out + i] - mean);
      out[i].corrected = size * values[i] - (size - 1) * mean;
      /* The reach makes t (n - 1) of it.  Beside the jackknife's error it holds half that of the correction, which is
       * proportional to a variance between n units and so known to sqrt (2 / (n - 1)) of itself: all of it made
       * intervals that hold always, none ones that hold in 83 of 100 traces of 8 documents. */
      out[i].error = hypot (sqrt (squares) * (size - 1) / size,
                            (values[i] - out[i].corrected) * sqrt (1 / (2 * (size - 1))));
      half = bootstrap->reach * out[i].error;
      out[i].low = out[i].corrected - half;
      out[i].high = out[i].corrected + half;
    }
}

MsBootstrap *
ms_bootstrap_new_from_file (const MsContext *context, guint n_documents, const char *path,
                            GError **error)
{
  g_autoptr (MsInput) input = NULL;
  g_autoptr (MsBootstrap) bootstrap = NULL;

  if (path == NULL || path[0] == '\0')
    return ms_bootstrap_new_of_trace (context);
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
  bootstrap->reach
      = bootstrap->n_units > 1
            ? reach_of (context->sampling.confidence, bootstrap->n_units - 1.0, bootstrap->n_units)
            : NAN;
  bootstrap->unit = g_new (guint, n_documents);
  for (guint d = 0; d < n_documents; d++)
    bootstrap->unit[d] = d % bootstrap->n_units;
  bootstrap->n_resamples = ms_input_n_columns (input);
  bootstrap->confidence = context->sampling.confidence;
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
