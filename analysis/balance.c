/* Measures of load balance (metrics.md a).  Golden: load_balance, olmoe_real_counts. */
#include "balance-private.h"

#include <math.h>
#include <string.h>

#define SIMULATIONS  200
#define RELABELLINGS 100
/* Up to so many decisions tokens are simulated one by one. */
#define MOST_SIMULATED 4096

const MsColumn ms_balance_columns[] = { MS_BALANCE_COLUMNS, { 0 } };

void
ms_balance_measure (const double *counts, guint n_experts, double n_tokens, double starved,
                    double *measures)
{
  g_autofree double *sorted = g_memdup2 (counts, n_experts * sizeof (double));
  guint fifth = MAX ((n_experts + 4) / 5, 1);
  double total = 0, mean, total_vio = 0, squares = 0, entropy = 0, js = 0, weighted = 0;
  double top = 0, bottom = 0, n_idle = 0, n_starved = 0, least, most;
  double uniform = 1.0 / n_experts;

  for (guint e = 0; e < n_experts; e++)
    total += counts[e];
  if (!(total > 0))
    {
      for (guint i = 0; i < MS_N_BALANCE; i++)
        measures[i] = NAN;
      return;
    }
  ms_sort (sorted, n_experts);
  mean = total / n_experts;
  least = sorted[0];
  most = sorted[n_experts - 1];
  for (guint e = 0; e < n_experts; e++)
    {
      double share = sorted[e] / total, middle = (share + uniform) / 2;

      total_vio += fabs (sorted[e] - mean);
      squares += (sorted[e] - mean) * (sorted[e] - mean);
      weighted += (2.0 * (e + 1) - n_experts - 1) * sorted[e];
      if (share > 0)
        entropy -= share * log (share);
      js -= middle * log (middle);
      n_idle += share == 0;
      n_starved += share < starved * uniform;
      bottom += e < fifth ? share : 0;
      top += e + fifth >= n_experts ? share : 0;
    }
  js -= (entropy + log (n_experts)) / 2;
  measures[MS_BALANCE_MAX_VIO] = most / mean - 1;
  measures[MS_BALANCE_MIN_VIO] = 1 - least / mean;
  measures[MS_BALANCE_TOTAL_VIO] = total_vio / mean;
  measures[MS_BALANCE_CV] = sqrt (squares / n_experts) / mean;
  measures[MS_BALANCE_CV_SAMPLE] = n_experts > 1 ? sqrt (squares / (n_experts - 1)) / mean : NAN;
  measures[MS_BALANCE_FREQUENCY_SD]
      = n_tokens > 0 ? 100 * sqrt (squares / n_experts) / n_tokens : NAN;
  measures[MS_BALANCE_GINI] = weighted / (n_experts * total);
  measures[MS_BALANCE_ENTROPY] = entropy;
  measures[MS_BALANCE_ENTROPY_NORMALISED] = n_experts > 1 ? entropy / log (n_experts) : NAN;
  measures[MS_BALANCE_EFFECTIVE] = exp (entropy);
  measures[MS_BALANCE_KL] = MAX (log (n_experts) - entropy, 0);
  measures[MS_BALANCE_JS] = MAX (js, 0);
  measures[MS_BALANCE_MAX_SHARE] = most / total;
  measures[MS_BALANCE_MIN_SHARE] = least / total;
  measures[MS_BALANCE_MIN_OVER_MAX] = least / most;
  measures[MS_BALANCE_MAX_OVER_MIN] = least > 0 ? most / least : INFINITY;
  measures[MS_BALANCE_IDLE] = n_idle;
  measures[MS_BALANCE_STARVED] = n_starved;
  measures[MS_BALANCE_TOP20] = 100 * top;
  measures[MS_BALANCE_BOTTOM20] = 100 * bottom;
}

/* Counts (E) of tokens that each choose k of E: the first k steps of a shuffle. */
static void
simulate_tokens (guint n_experts, guint n_tokens, guint k, guint64 *state, double *counts)
{
  g_autofree guint *order = g_new (guint, n_experts);

  for (guint e = 0; e < n_experts; e++)
    order[e] = e;
  memset (counts, 0, n_experts * sizeof (double));
  for (guint t = 0; t < n_tokens; t++)
    for (guint i = 0; i < k; i++)
      {
        guint j = i + (guint) ms_random_below (state, n_experts - i), chosen = order[j];

        order[j] = order[i];
        order[i] = chosen;
        counts[chosen]++;
      }
}

/* Normal counts (E) of a given variance and a fixed sum. */
static void
simulate_counts (guint n_experts, double n_decisions, double variance, guint64 *state,
                 double *counts)
{
  double mean = 0, scale = n_experts > 1 ? sqrt (variance * n_experts / (n_experts - 1.0)) : 0;

  for (guint e = 0; e < n_experts; e++)
    {
      /* Box-Muller, the cosine half. */
      double radius = sqrt (-2 * log (1 - ms_random_double (state)));

      counts[e] = radius * cos (2 * G_PI * ms_random_double (state));
      mean += counts[e] / n_experts;
    }
  for (guint e = 0; e < n_experts; e++)
    counts[e] = MAX (n_decisions / n_experts + scale * (counts[e] - mean), 0);
}

/* k > 0: tokens of k experts one by one; otherwise normal counts. */
static void
simulate (guint n_experts, double n_tokens, double n_decisions, guint k, double variance,
          double starved, guint64 seed, double *measures)
{
  g_autofree double *counts = g_new (double, n_experts);
  double one[MS_N_BALANCE];

  for (guint i = 0; i < MS_N_BALANCE; i++)
    measures[i] = n_tokens > 0 && n_decisions > 0 ? 0 : NAN;
  if (!(n_tokens > 0 && n_decisions > 0))
    return;
  for (guint s = 0; s < SIMULATIONS; s++)
    {
      guint64 state = ms_seed (seed, s);

      if (k > 0)
        simulate_tokens (n_experts, (guint) n_tokens, k, &state, counts);
      else
        simulate_counts (n_experts, n_decisions, variance, &state, counts);
      ms_balance_measure (counts, n_experts, n_tokens, starved, one);
      for (guint i = 0; i < MS_N_BALANCE; i++)
        measures[i] += one[i] / SIMULATIONS;
    }
}

void
ms_balance_relabel (const double *sums, guint n_rows, guint n_experts, double n_tokens,
                    double starved, guint64 seed, double *measures)
{
  g_autofree double *counts = g_new (double, n_experts);
  g_autofree guint *order = g_new (guint, n_experts);
  double one[MS_N_BALANCE];

  for (guint i = 0; i < MS_N_BALANCE; i++)
    measures[i] = n_rows > 1 ? 0 : NAN;
  for (guint e = 0; e < n_experts; e++)
    order[e] = e;
  for (guint s = 0; n_rows > 1 && s < RELABELLINGS; s++)
    {
      guint64 state = ms_seed (seed, s);

      memset (counts, 0, n_experts * sizeof *counts);
      for (gsize row = 0; row < n_rows; row++)
        for (guint e = n_experts; e > 0; e--)
          {
            guint j = (guint) ms_random_below (&state, e), chosen = order[j];

            order[j] = order[e - 1];
            order[e - 1] = chosen;
            counts[chosen] += sums[row * (n_experts + 1) + e - 1];
          }
      ms_balance_measure (counts, n_experts, n_tokens, starved, one);
      for (guint i = 0; i < MS_N_BALANCE; i++)
        measures[i] += one[i] / RELABELLINGS;
    }
}

MsInterval
ms_balance_interval (const MsBootstrap *bootstrap, guint i, guint n_experts, double value,
                     const double *resampled)
{
  MsInterval interval = ms_bootstrap_interval (bootstrap, value, resampled);
  double n = n_experts, least = 0, most = INFINITY;

  switch ((MsBalance) i)
    {
    case MS_BALANCE_MIN_VIO:
    case MS_BALANCE_MIN_SHARE:
    case MS_BALANCE_MIN_OVER_MAX:
    case MS_BALANCE_MAX_OVER_MIN:
    case MS_BALANCE_IDLE:
    case MS_BALANCE_STARVED:
    case MS_BALANCE_BOTTOM20:
      return (MsInterval){ value, value, NAN, NAN, NAN, NAN, NAN };
    case MS_BALANCE_MAX_VIO:
      most = n - 1;
      break;
    case MS_BALANCE_CV:
      most = sqrt (n - 1);
      break;
    case MS_BALANCE_ENTROPY:
    case MS_BALANCE_KL:
      most = log (n);
      break;
    case MS_BALANCE_EFFECTIVE:
      least = 1;
      most = n;
      break;
    case MS_BALANCE_MAX_SHARE:
      least = 1 / n;
      most = 1;
      break;
    case MS_BALANCE_TOP20:
      most = 100;
      break;
    case MS_BALANCE_GINI:
    case MS_BALANCE_ENTROPY_NORMALISED:
      most = 1;
      break;
    default: /* the others have no upper end */
      break;
    }
  ms_interval_clamp (&interval, least, most);
  return interval;
}

void
ms_balance_null (guint n_experts, double n_tokens, double n_decisions, double starved, guint64 seed,
                 double *measures)
{
  double k = n_decisions / n_tokens, p = MIN (n_decisions / (n_tokens * n_experts), 1);
  gboolean few = n_decisions <= MOST_SIMULATED && floor (k) == k && k <= n_experts;

  simulate (n_experts, n_tokens, n_decisions, few ? (guint) k : 0, n_tokens * p * (1 - p), starved,
            seed, measures);
}

void
ms_balance_null_of_variance (guint n_experts, double n_tokens, double n_decisions, double variance,
                             double starved, guint64 seed, double *measures)
{
  simulate (n_experts, n_tokens, n_decisions, 0, variance, starved, seed, measures);
}

double
ms_balance_null_error (guint n_experts, double n_tokens, double n_decisions)
{
  double p = n_decisions / (n_tokens * n_experts);

  return n_tokens > 0 && p > 0 ? sqrt (MAX (1 - p, 0) / (n_tokens * p)) : NAN;
}
