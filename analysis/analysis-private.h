/* What the analyses share: tasks, statistics, intervals, parameter files. */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/* --- Loops over vectors ----------------------------------------------------------------------- */

#define MS_INLINE static inline __attribute__ ((always_inline))

/* A static function made of NAME_body, which is MS_INLINE: on x86 compiled for any processor and for those
 * with AVX2, otherwise once.  `give` is `return`, or nothing where the type is void. */
#ifdef __x86_64__
#define MS_KERNEL(type, give, name, parameters, arguments)                                         \
  __attribute__ ((target ("avx2"))) static type name##_avx2 parameters                             \
  {                                                                                                \
    give name##_body arguments;                                                                    \
  }                                                                                                \
  static type name parameters                                                                      \
  {                                                                                                \
    give __builtin_cpu_supports ("avx2") ? name##_avx2 arguments : name##_body arguments;          \
  }
#else
#define MS_KERNEL(type, give, name, parameters, arguments)                                         \
  static type name parameters                                                                      \
  {                                                                                                \
    give name##_body arguments;                                                                    \
  }
#endif

/* --- Tables and values ----------------------------------------------------------------------- */

/* The three cells of an MsInterval: value, low, high. */
#define MS_INTERVAL(x) MS_REAL ((x).value), MS_REAL ((x).low), MS_REAL ((x).high)
/* The four cells of one whose measure is biased: value, corrected, low, high. */
#define MS_CORRECTED(x)                                                                            \
  MS_REAL ((x).value), MS_REAL ((x).corrected), MS_REAL ((x).low), MS_REAL ((x).high)

/* The columns of these cells that stand behind the value; names begin with `prefix`. */
#define MS_CORRECTED_COLUMN(prefix, unit)                                                          \
  {                                                                                                \
    prefix "corrected", "Corrected", unit, MS_COLUMN_REAL,                                         \
        "The value less its bias: 2 value - mean of resamples; equals the value without "          \
        "resamples."                                                                               \
  }
#define MS_INTERVAL_COLUMNS(prefix, unit)                                                          \
  { prefix "low", "Low end", unit, MS_COLUMN_REAL,                                                 \
    "Bias-corrected bootstrap-t interval over independent groups of documents." },                 \
  {                                                                                                \
    prefix "high", "High end", unit, MS_COLUMN_REAL,                                               \
        "Bias-corrected bootstrap-t interval over independent groups of documents."                \
  }

/* Keeps the rows (n_rows) that are marked; for tables that nobody else has seen yet. */
void ms_table_keep (MsTable *table, const guint8 *marked);

/* An empty table of `def` with a first TEXT column "group". */
MsTable *ms_table_new_grouped (const MsTableDef *def);
/* Appends all rows of `from` (the same definition without the group) under `group`. */
void ms_table_append_group (MsTable *table, const char *group, const MsTable *from);
/* An empty table of `def` (grouped or not) with the first columns "run_id" and "run". */
MsTable *ms_table_new_stacked (const MsTableDef *def);
/* Appends all rows of `from` (the same definition without these two) as those of a run. */
void ms_table_append_run (MsTable *table, gint64 run, const char *label, const MsTable *from);
/* A number in a sentence and at the head: three digits, but no exponent (newly allocated). */
char *ms_number_told (double value);
/* Calls a column of the result's table after the trace's run, "Share of decisions, 3: step 001200"; and the
 * table's MS_LOAD_CHANGE_COLUMN after both runs compared. */
void ms_result_name_run (MsResult *result, const char *table, const char *column, const char *what,
                         MsTrace *trace);
void ms_result_name_change (MsResult *result, const MsContext *context, const char *table);

/* What a part of the work has done, as progress of the whole: an MsContext's progress with an
 * MsPartProgress as its data. */
typedef struct
{
  const MsContext *context; /* of the whole */
  double from, share;       /* of the whole, 0..1 */
} MsPartProgress;

void ms_part_progress (double done, gpointer data);

/* A result of `analysis` with empty tables, each made by `make` from its definition. */
MsResult *ms_result_new (const MsAnalysis *analysis, MsTable *(*make) (const MsTableDef *) );
/* Adds the findings of `one` to `all`, each behind "label: "; `run` > 0 is where their places lie. */
void ms_result_add_findings (MsResult *all, const char *label, gint64 run, const MsResult *one);
/* Adds the notes (n arrays of char *) of results with labels (n): one that all have is said once. */
void ms_result_join_notes (MsResult *all, const char *const *labels, GPtrArray *const *notes,
                           guint n);
/* Puts the strongest findings first. */
void ms_result_sort (MsResult *result);

/* Experts that advice is about, and those of them that too few tokens chose to decide it. */
typedef struct
{
  guint n, undecided;
  guint never; /* of the undecided, chosen by no token */
  double more; /* further tokens until the rarest chosen one is expected to have enough */
} MsScarcity;

/* Adds an expert that `count` of n_tokens chose and that wants `least`; returns whether it is decided. */
gboolean ms_scarcity_add (MsScarcity *scarcity, double count, double n_tokens, double least);
/* "3 of 8 WHAT are not decided: fewer than 20 tokens chose them; ...", newly allocated; NULL when all are
 * decided. */
char *ms_scarcity_sentence (const MsScarcity *scarcity, const char *what, double least);

/* The parameter that says how many are enough. */
#define MS_LEAST_PARAM                                                                             \
  {                                                                                                \
    .name = "least", .title = "Least tokens",                                                      \
    .help = "Nothing is decided about an expert that fewer tokens chose.", .unit = "tokens",       \
    .type = MS_PARAM_INT, .least = 0, .most = 1e9, .usual = 20, .ui_least = 0, .ui_most = 1000     \
  }

/* What speaks against a layer's decisions. */
typedef struct
{
  guint64 rows;        /* tokens looked at */
  guint64 idle;        /* of them without an expert */
  guint64 with_margin; /* of them with a recorded margin */
  guint64 ties;        /* of these with a margin of exactly 0 */
  guint64 negative;    /* rows with a negative weight; counted when all rows are looked at */
  guint64 unweighted;  /* rows with an undefined weight; likewise */
} MsLayerDoubts;

/* Counts at least the first `most` rows of trace layer `layer`, 0 = all. */
gboolean ms_trace_count_doubts (MsTrace *trace, guint layer, guint64 most, MsLayerDoubts *doubts,
                                GCancellable *cancel, GError **error);
/* Where the router of the context's trace is tied: takes findings there away and says so in the result. */
gboolean ms_result_doubt (MsResult *result, const MsContext *context, GError **error);

/* The value of parameter `i` as text (newly allocated). */
char *ms_values_text_of (const MsValues *values, guint i);

/* The parameters and whatever else of the context changes the numbers, as a JSON object (newly
 * allocated). */
char *ms_result_params (const MsResult *result, const MsContext *context);

/* All layers of the trace (n_layers), newly allocated. */
MsLayer *ms_trace_copy_layers (const MsTrace *trace);
/* The choices of all layers side by side, (T, L, width), newly allocated: width is the most that a layer
 * chooses, unused slots are MS_NO_EXPERT, and the layer's experts are numbered after those of the layers
 * before it, *n_ids in all.  SELECTION error when there are too many of them. */
guint16 *ms_trace_load_side_by_side (MsTrace *trace, guint *width, guint *n_ids,
                                     GCancellable *cancel, GError **error);

/* Columns that most analyses have. */
#define MS_LAYER_COLUMN                                                                            \
  {                                                                                                \
    "layer", "Layer", NULL, MS_COLUMN_INT, "The model's block number."                             \
  }
/* How a load differs between two runs: everywhere the run less its baseline, as ms_load_change gives it. */
#define MS_LOAD_CHANGE_COLUMN                                                                      \
  {                                                                                                \
    "change", "Change of load", "fair shares", MS_COLUMN_REAL,                                     \
        "Load in the run - load in the baseline."                                                  \
  }
#define MS_EXPERT_COLUMN                                                                           \
  {                                                                                                \
    "expert", "Expert", NULL, MS_COLUMN_INT, "The expert's number in its layer."                   \
  }

/* --- Tasks ---------------------------------------------------------------------------------- */

/* One task of an analysis, run on any thread: writes to slots of its index only.  FALSE with *error
 * set on failure. */
typedef gboolean (*MsContextTask) (const MsContext *context, guint index, gpointer data,
                                   GError **error);

/* Runs n tasks on the context's threads, most often one for each layer.  Progress goes from `from` to
 * `to` as they finish.  The error of the lowest failing index is returned, so that it does not depend
 * on the threads; tasks after a failure or a cancel are not started. */
gboolean ms_context_tasks (const MsContext *context, guint n, MsContextTask task, gpointer data,
                           double from, double to, GError **error);

/* Whether counts of all pairs of a layer's experts with those of the layer `distance` further on (0: of the
 * layer itself), `bytes` each and kept for all layers, fit in memory; else the error names the layer, its
 * experts and what they would take.  To be asked before anything is allocated. */
#define MS_MOST_PAIR_BYTES 4e9
gboolean ms_context_pairs_fit (const MsContext *context, guint distance, gsize bytes,
                               GError **error);

/* Which of a layer's E experts are chosen at all. */
typedef struct
{
  guint n_experts; /* E */
  guint n;
  guint *ids; /* (n) their numbers, ascending */
  guint *of;  /* (E) place among them, MS_NOT_OCCURRING = never chosen */
} MsOccurring;

#define MS_NOT_OCCURRING G_MAXUINT

/* From counts (n_experts), or from a loaded layer; to be cleared. */
void ms_occurring_init (MsOccurring *occurring, const guint64 *counts, guint n_experts);
void ms_occurring_init_of_layer (MsOccurring *occurring, const MsLayerTrace *layer);
void ms_occurring_clear (MsOccurring *occurring);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MsOccurring, ms_occurring_clear)
/* Whether counts of `bytes` for the pairs of a and b fit in the layer's part of memory; else the error names
 * trace layer `layer` and how many occur. */
gboolean ms_occurring_pairs_fit (const MsContext *context, guint layer, const MsOccurring *a,
                                 const MsOccurring *b, gsize bytes, GError **error);

/* A random state for stream `stream` of `seed`: independent of the other streams and of the threads. */
guint64 ms_seed (guint64 seed, guint64 stream);

/* --- Statistics ----------------------------------------------------------------------------- */

/* Of masses x (n) >= 0 that need not sum to 1; natural logs; NaN when their sum is 0. */
double ms_entropy (const double *x, guint n);
/* Sum of |x_i - x_j| over all pairs / (2 n sum x). */
double ms_gini (const double *x, guint n);
/* KL (p || q) in nats; infinite where q is 0 and p is not; NaN when one of the sums is 0. */
double ms_kl (const double *p, const double *q, guint n);
/* Jensen-Shannon divergence in nats, 0 .. ln 2. */
double ms_js (const double *p, const double *q, guint n);

/* The load of an expert, count times E over the layer's total: 1 = the fair share; NaN where nothing was
 * chosen.  Its change is the run's load less the baseline's. */
double ms_load (guint64 count, guint64 total, guint n_experts);
double ms_load_change (double load, double base_load);
double ms_mean (const double *x, guint n); /* NaN for n = 0 */
/* Standard deviation, divided by n - less (0 population, 1 sample); NaN when n <= less. */
double ms_deviation (const double *x, guint n, guint less);
/* Ranks 1..n, equal values get their mean rank. */
void ms_ranks (const double *x, guint n, double *ranks);
/* NaN for n < 2 or a constant side. */
double ms_pearson (const double *x, const double *y, guint n);
double ms_spearman (const double *x, const double *y, guint n);
/* The quantile q of sorted x, interpolated linearly between neighbours (numpy's default). */
double ms_quantile (const double *sorted, guint n, double q);
/* The quantile p of Student's t distribution with `freedom` > 0 degrees of freedom. */
double ms_student_quantile (double p, double freedom);
void ms_sort (double *x, guint n); /* ascending; NaN last */

/* Returns the statistic after item i got the label of item order[i]. */
typedef double (*MsPermuted) (const guint *order, gpointer data);
/* One-sided permutation test: (1 + number of `n_permutations` shuffles of n items whose statistic is
 * at least `observed`) / (1 + n_permutations). */
double ms_permutation_p (guint n, guint n_permutations, guint64 seed, double observed,
                         MsPermuted statistic, gpointer data);

/* --- What the router said -------------------------------------------------------------------- */

/* Whether the gates of all selected layers are known well enough to take `step` on what the run recorded as
 * LOGITS; the error, a NEEDS, says in words what is missing and what to do. */
gboolean ms_trace_gated (const MsTrace *trace, MsGateStep step, GError **error);
/* The router's distribution p (E) of trace layer `layer` from one token's LOGITS (E), be they logits or
 * probabilities: ms_gate_distribution.  NaN when the gate is unknown. */
void ms_trace_distribution (const MsTrace *trace, guint layer, const float *recorded, double *p);
/* Floats of scratch for ms_trace_order. */
gsize ms_trace_order_scratch (const MsTrace *trace, guint layer);
/* order (E): the experts by selection score as the layer's own rule has it, best first; the K first are its
 * choice.  Returns how many can be chosen at all: not those of groups that do not stay.  MS_GATE_CHOICE must be
 * usable. */
guint ms_trace_order (const MsTrace *trace, guint layer, const float *recorded, float *scratch,
                      guint16 *order);

/* --- Intervals by bootstrap over independent groups of documents ----------------------------- */

/* How often each unit is drawn in each resample.  A unit is a cluster of documents that go together; of
 * more than MS_BOOTSTRAP_UNITS clusters, cluster c is in unit c mod MS_BOOTSTRAP_UNITS, which leaves the
 * intervals of so many as they are and bounds the work. */
#define MS_BOOTSTRAP_UNITS 512

typedef struct
{
  guint n_units;     /* U */
  guint n_resamples; /* R */
  double confidence;
  double
      reach; /* of an interval to both sides, in standard deviations of the resamples; NaN for U = 1 */
  guint *unit;    /* (D) of a document, or of what else was given */
  guint16 *times; /* (R, U) */
} MsBootstrap;

/* Units of the trace's independent groups of documents (ms_trace_clusters by the context's cluster), from
 * the context's seed, resamples and confidence.  Always works: with fewer than two groups or no resamples,
 * intervals are NaN. */
MsBootstrap *ms_bootstrap_new_of_trace (const MsContext *context);
/* The same with at most `most` units. */
MsBootstrap *ms_bootstrap_new_most (const MsContext *context, guint most);
/* Units of n_items things that are independent, passages say. */
MsBootstrap *ms_bootstrap_new (const MsContext *context, guint n_items);
void ms_bootstrap_free (MsBootstrap *bootstrap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsBootstrap, ms_bootstrap_free)
/* The unit of a document. */
#define ms_bootstrap_unit(bootstrap, document) ((bootstrap)->unit[document])

typedef struct
{
  double value;     /* of the data as they are: the plug-in estimate */
  double corrected; /* less its bias: 2 value - mean of the resamples; without them value */
  double error;     /* standard deviation over the resamples */
  double low, high; /* corrected -+ reach * error */
  double basic_low, basic_high; /* basic interval of metrics.md b.1: 2 value - order statistics */
} MsInterval;

/* How resamples become an interval. */
typedef struct
{
  double confidence;
  double reach; /* as in MsBootstrap */
} MsIntervalRule;

/* The reach of an interval over n units; NaN for fewer than two. */
double ms_interval_reach (double confidence, guint n);
/* The interval of a value from its n resamples, of which those not finite are left out; all NaN but value and
 * corrected when fewer than two remain. */
MsInterval ms_interval_make (const MsIntervalRule *rule, double value, const double *resampled,
                             guint n);
/* For a share, or what else lies in least..most: lays the interval on the scale of log odds, where it is skewed as
 * such shares are and stays inside.  `grain` is what one observation more or less changes; the error is at
 * least that of independent observations, so that a share of 0 has an interval too. */
void ms_interval_bound (MsInterval *interval, const MsIntervalRule *rule, double least, double most,
                        double grain);
/* Keeps corrected, low and high within what the measure can be. */
void ms_interval_clamp (MsInterval *interval, double least, double most);

/* Makes the statistics (n_out) from sums (m) over documents. */
typedef void (*MsStatistic) (const double *sums, double *out, gpointer data);

/* Statistics (n_out) that depend on the data through sums over documents: `values` of the data as they
 * are, and of every resample (n_out, R).  sums (U, m) holds, for each unit, the sums over its documents. */
void ms_bootstrap_resample (const MsBootstrap *bootstrap, const double *sums, guint m,
                            MsStatistic statistic, gpointer data, guint n_out, double *values,
                            double *resampled);
/* The interval of one statistic from its resamples (R), as ms_interval_make. */
MsInterval ms_bootstrap_interval (const MsBootstrap *bootstrap, double value,
                                  const double *resampled);
/* Both at once. */
void ms_bootstrap_intervals (const MsBootstrap *bootstrap, const double *sums, guint m,
                             MsStatistic statistic, gpointer data, guint n_out, MsInterval *out);

/* The same of shares and rates, whose intervals stay within 0..1. */
void ms_bootstrap_rates (const MsBootstrap *bootstrap, const double *sums, guint m,
                         MsStatistic statistic, gpointer data, guint n_out, MsInterval *out);

/* The intervals of statistics of sparse tables, by leaving out one unit at a time (jackknife): corrected is n value -
 * (n - 1) mean of the values without one, low and high t (n - 1) of its standard errors away.  No basic interval. */
void ms_jackknife_intervals (const MsBootstrap *bootstrap, const double *sums, guint m,
                             MsStatistic statistic, gpointer data, guint n_out, MsInterval *out);

/* The draws of a CSV parameter file instead of random ones: a header, then U lines with a column per
 * resample, each cell a unit number 0..U-1.  NULL or "" gives ms_bootstrap_new.  Document d is in
 * unit d mod U. */
MsBootstrap *ms_bootstrap_new_from_file (const MsContext *context, guint n_documents,
                                         const char *path, GError **error);

/* Rows (n, width) in random order into out: what is left of a measure over time when order means
 * nothing. */
void ms_shuffle_rows (const guint16 *rows, gint64 n, guint width, guint64 seed, guint16 *out);

/* --- Documents by group --------------------------------------------------------------------- */

/* The expert in slot `slot` (row x K + rank) of a chunk, MS_NO_EXPERT when the slot is unused. */
static inline guint
ms_chunk_expert (const MsChunk *chunk, gsize slot)
{
  if (chunk->id_bytes == 2)
    return chunk->ids16[slot];
  return chunk->ids8[slot] == 0xff ? MS_NO_EXPERT : chunk->ids8[slot];
}

/* Documents of groups, for intervals and null values of measures that compare groups.  A row holds the
 * documents of one cluster (of several, beyond MS_BOOTSTRAP_UNITS) in one group.  Resamples draw clusters
 * within each group, and those that cross groups with all their rows; permutations deal the clusters of single
 * groups anew to the groups, whose numbers of rows stay, and swap the groups of rows within a cluster that
 * crosses them: what goes together is never parted. */
typedef struct
{
  guint n_groups; /* G */
  guint n_rows;
  guint n_resamples; /* R */
  double confidence;
  double reach; /* of an interval to both sides, in standard deviations of the resamples */
  guint *first; /* (G + 1) rows of group g are first[g] .. first[g + 1] - 1 */
  guint *row;   /* (D) row of a document, G_MAXUINT = in no group */
  guint *pool;  /* (rows) the group whose draws the row follows; G = those of crossing clusters */
  guint *unit;  /* (rows) its unit there */
  MsBootstrap **draws; /* (G + 1) */
  guint n_deals;       /* sets of rows that swap their data in a permutation */
  guint *dealt;        /* (rows) the rows set by set */
  guint *deals;        /* (n_deals + 1) where a set begins in `dealt` */
} MsStrata;

MsStrata *ms_strata_new (const MsContext *context, const MsGroups *groups, guint n_documents);
void ms_strata_free (MsStrata *strata);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsStrata, ms_strata_free)
/* Counts of the first `ranks` choices of every token (0 = all) in trace layer `layer`, then tokens with at
 * least one expert, by row: sums (rows, E + 1). */
gboolean ms_strata_count (const MsStrata *strata, const MsContext *context, guint layer,
                          guint ranks, double *sums, GError **error);
/* As ms_bootstrap_resample, but the statistic sees sums by group (G, m).  In resamples those of a group
 * of a single row are NaN: it tells nothing about its own spread. */
void ms_strata_resample (const MsStrata *strata, const double *sums, guint m, MsStatistic statistic,
                         gpointer data, guint n_out, double *values, double *resampled);
/* The statistics (n_out, n) under n random deals of the rows. */
void ms_strata_permute (const MsStrata *strata, const double *sums, guint m, guint n, guint64 seed,
                        MsStatistic statistic, gpointer data, guint n_out, double *permuted);
MsInterval ms_strata_interval (const MsStrata *strata, double value, const double *resampled);
/* The place of a finding: "layer=3 expert=5 language=de"; expert -1 = none, label NULL = none.  Newly
 * allocated. */
char *ms_place (gint64 layer, gint64 expert, const char *label, const char *name);
/* One-sided: (1 + number of the n permuted values at least as large) / (1 + n); NaN for n = 0. */
double ms_strata_p (double value, const double *permuted, guint n);

/* --- Parameter files ------------------------------------------------------------------------ */

/* A small CSV file with a header, wholly in memory. */
typedef struct MsInput MsInput;

/* INPUT error with the line when it cannot be read, is not CSV or a row is too short. */
MsInput *ms_input_load (const char *path, GError **error);
void ms_input_free (MsInput *input);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsInput, ms_input_free)
guint ms_input_n_rows (const MsInput *input);
guint ms_input_n_columns (const MsInput *input);
const char *ms_input_header (const MsInput *input, guint column);
/* The column called `name`; -1 when there is none. */
int ms_input_find (const MsInput *input, const char *name);
/* The same, but a missing column is an error. */
gboolean ms_input_need (const MsInput *input, const char *name, guint *column, GError **error);
/* ms_input_load, then ms_input_need for each of `names` (ended by NULL): columns[i] is the place of names[i]. */
MsInput *ms_input_load_columns (const char *path, const char *const *names, guint *columns,
                                GError **error);
const char *ms_input_text (const MsInput *input, guint row, guint column);
/* Numbers in a range, else an error with file, line and column. */
gboolean ms_input_int (const MsInput *input, guint row, guint column, gint64 least, gint64 most,
                       gint64 *value, GError **error);
gboolean ms_input_real (const MsInput *input, guint row, guint column, double least, double most,
                        double *value, GError **error);

typedef struct
{
  guint layer; /* index of the layer */
  guint expert;
  double value;
} MsExpertValue;

/* GArray of MsExpertValue from the columns layer, expert and `name` (least..most; NULL = the row's
 * number) of a file.  layers (n)
 * are those that count: rows of other blocks are left out, experts of theirs checked.  With NULL all of
 * the file's layers count, up to 4096, by their numbers, and there is at least one row.  (transfer full) */
GArray *ms_input_load_values (const char *path, const char *name, double least, double most,
                              const MsLayer *layers, guint n_layers, GError **error);
/* One more than the largest layer and expert of values. */
void ms_expert_values_extent (const GArray *values, guint *n_layers, guint *n_experts);

G_END_DECLS
