/* Measures of how evenly the experts of a layer are used (metrics.md a), from their counts alone. */
#pragma once

#include "analysis-private.h"

G_BEGIN_DECLS

typedef enum
{
  MS_BALANCE_MAX_VIO,
  MS_BALANCE_MIN_VIO,
  MS_BALANCE_TOTAL_VIO,
  MS_BALANCE_CV,
  MS_BALANCE_CV_SAMPLE,
  MS_BALANCE_FREQUENCY_SD,
  MS_BALANCE_GINI,
  MS_BALANCE_ENTROPY,
  MS_BALANCE_ENTROPY_NORMALISED,
  MS_BALANCE_EFFECTIVE,
  MS_BALANCE_KL,
  MS_BALANCE_JS,
  MS_BALANCE_MAX_SHARE,
  MS_BALANCE_MIN_SHARE,
  MS_BALANCE_MIN_OVER_MAX,
  MS_BALANCE_MAX_OVER_MIN,
  MS_BALANCE_IDLE,
  MS_BALANCE_STARVED,
  MS_BALANCE_TOP20,
  MS_BALANCE_BOTTOM20,
  MS_N_BALANCE,
} MsBalance;

/* Their columns, in the order of the enum, to be put into table definitions. */
#define MS_BALANCE_COLUMNS                                                                         \
  { "max_vio", "MaxVio", NULL, MS_COLUMN_REAL, "Largest count / mean count - 1." },                \
      { "min_vio", "MinVio", NULL, MS_COLUMN_REAL, "1 - smallest count / mean count." },           \
      { "total_violation", "Total violation", NULL, MS_COLUMN_REAL,                                \
        "Sum of |count - mean count| / mean count." },                                             \
      { "cv", "CV", NULL, MS_COLUMN_REAL,                                                          \
        "Standard deviation of the counts (population, divided by E) / mean count." },             \
      { "cv_sample", "CV, sample", NULL, MS_COLUMN_REAL,                                           \
        "The same with the sample standard deviation (divided by E - 1)." },                       \
      { "frequency_sd", "SD of frequency", "%", MS_COLUMN_REAL,                                    \
        "Standard deviation over experts (population) of count / tokens, in percent." },           \
      { "gini", "Gini", NULL, MS_COLUMN_REAL,                                                      \
        "Sum over pairs of |count_i - count_j| / (2 E sum of counts)." },                          \
      { "entropy", "Entropy", "nats", MS_COLUMN_REAL, "-sum of share ln share." },                 \
      { "entropy_normalised", "Entropy / ln E", NULL, MS_COLUMN_REAL,                              \
        "Entropy / ln E; undefined for one expert." },                                             \
      { "effective_experts", "Effective experts", "experts", MS_COLUMN_REAL,                       \
        "exp (entropy): as many equally used experts would have this entropy." },                  \
      { "kl_uniform", "KL to uniform", "nats", MS_COLUMN_REAL, "ln E - entropy." },                \
      { "js_uniform", "JS to uniform", "nats", MS_COLUMN_REAL,                                     \
        "Jensen-Shannon divergence of the shares and 1/E." },                                      \
      { "max_share", "Largest share", NULL, MS_COLUMN_REAL, "Share of the busiest expert." },      \
      { "min_share", "Smallest share", NULL, MS_COLUMN_REAL, "Share of the least busy expert." },  \
      { "min_over_max", "Min / max", NULL, MS_COLUMN_REAL, "Smallest count / largest count." },    \
      { "max_over_min", "Max / min", NULL, MS_COLUMN_REAL,                                         \
        "Largest count / smallest count; infinite when an expert is idle." },                      \
      { "idle", "Idle experts", "experts", MS_COLUMN_REAL, "Experts that were never chosen." },    \
      { "starved", "Starved experts", "experts", MS_COLUMN_REAL,                                   \
        "Experts whose share is below the parameter starved / E." },                               \
      { "top20_share", "Top 20 % share", "%", MS_COLUMN_REAL,                                      \
        "Sum of the max (ceil (0.2 E), 1) largest shares." },                                      \
  {                                                                                                \
    "bottom20_share", "Bottom 20 % share", "%", MS_COLUMN_REAL,                                    \
        "Sum of the max (ceil (0.2 E), 1) smallest shares."                                        \
  }

/* The columns once more, for tables with a row for each measure; MS_N_BALANCE entries. */
extern const MsColumn ms_balance_columns[];

/* All measures (MS_N_BALANCE) of counts (E) made by n_tokens tokens; NaN throughout when nothing was
 * counted.  n_tokens 0 = unknown: only FREQUENCY_SD is then undefined.  starved as in metrics.md a. */
void ms_balance_measure (const double *counts, guint n_experts, double n_tokens, double starved,
                         double *measures);

/* Their expectation when each of n_tokens tokens chooses k of E experts uniformly and independently:
 * mean of 200 simulations, of tokens when they are few, else of normal counts with the same
 * covariance.  NaN when n_tokens is 0. */
void ms_balance_null (guint n_experts, double n_tokens, double n_decisions, double starved,
                      guint64 seed, double *measures);

/* What they are by chance where documents differ as these do but agree on no expert: the mean over 100
 * simulations in which the counts of every row of sums (rows, E + 1; the last column is left out) belong to
 * experts drawn at random.  The tokens of a row keep how alike they are, so that this is far above uniform routing
 * for few documents.  NaN for fewer than two rows. */
void ms_balance_relabel (const double *sums, guint n_rows, guint n_experts, double n_tokens,
                         double starved, guint64 seed, double *measures);

/* The interval of measure i by ms_bootstrap_interval, within what the measure can be.  Measures that hang on the
 * least busy experts (min_vio, min_share, both ratios, idle, starved, bottom20_share) get none: resamples repeat
 * how few the choices of such an expert were, and intervals made of them miss (20 to 80 % coverage). */
MsInterval ms_balance_interval (const MsBootstrap *bootstrap, guint i, guint n_experts,
                                double value, const double *resampled);

/* The same for tokens whose numbers of experts differ: normal counts of variance `variance`, the sum over tokens of
 * p (1 - p) where p is the token's number of experts / E. */
void ms_balance_null_of_variance (guint n_experts, double n_tokens, double n_decisions,
                                  double variance, double starved, guint64 seed, double *measures);

/* Standard deviation of an expert's load (count / mean count) under the same assumption. */
double ms_balance_null_error (guint n_experts, double n_tokens, double n_decisions);

G_END_DECLS
