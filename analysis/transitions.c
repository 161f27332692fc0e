/* Cross-layer dependence: which experts of layer l + 1 follow which of layer l, how much one choice tells
 * about the next, and how well simple predictors guess it (metrics.md d.6, c.3). */
#include "predictor-private.h"

#include <math.h>
#include <string.h>

enum
{
  PAIRS_ALL,
  PAIRS_EQUAL_RANK,
};

enum
{
  TRAIN_SAME,
  TRAIN_HALF,
};

static const char *const pair_choices[] = { "all", "equal-rank", NULL };
static const char *const train_choices[] = { "same", "half", NULL };

static const MsParam params[] = {
  { "pairs", "Pairs",
    "Count all k x k pairs of a token, or only those of equal rank (OLMoE's script)", NULL,
    MS_PARAM_CHOICE, .choices = pair_choices },
  { "predict", "Predicted experts",
    "Experts that a predictor names per token; 0 = as many as chosen", "experts", MS_PARAM_INT, 0,
    MS_MAX_EXPERTS, 0, .ui_least = 0, .ui_most = 64 },
  { "train", "Predictor training",
    "Train the predictors on the tokens they are tested on, or on the other half of the documents",
    NULL, MS_PARAM_CHOICE, .choices = train_choices, .usual = TRAIN_HALF },
  { "least", "Least count", "Leave out pairs seen less often than this", "tokens", MS_PARAM_INT, 0,
    1e9, 1, .ui_least = 0, .ui_most = 100 },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Dependence between neighbouring layers",
    (const MsColumn[]){
        { "layer", "Layer", NULL, MS_COLUMN_INT, "Block number of the first of the two layers" },
        { "next_layer", "Next layer", NULL, MS_COLUMN_INT,
          "Block number of the MoE layer after it" },
        { "pairs", "Pairs", NULL, MS_COLUMN_INT,
          "Pairs counted (a chosen in layer, b in next layer)" },
        { "mutual_information_nats", "Mutual information", "nats", MS_COLUMN_REAL,
          "Sum of J ln (J / (Ja Jb)) with J = pairs / all pairs" },
        MS_CORRECTED_COLUMN ("mutual_information_", "nats"),
        MS_INTERVAL_COLUMNS ("mutual_information_", "nats"),
        { "normalised_mi", "Normalised mutual information", NULL, MS_COLUMN_REAL,
          "Mutual information over the smaller of the two marginal entropies; undefined if that is "
          "0" },
        MS_CORRECTED_COLUMN ("normalised_mi_", NULL),
        MS_INTERVAL_COLUMNS ("normalised_mi_", NULL),
        { "null_normalised_mi", "By chance", NULL, MS_COLUMN_REAL,
          "normalised_mi with the tokens of the next layer shuffled over the trace: what the "
          "finite "
          "number of tokens alone yields, which the corrected value is without" },
        { 0 } } },
  { "predictors", "Predicting the next layer's experts",
    (const MsColumn[]){
        { "layer", "Layer", NULL, MS_COLUMN_INT, "Block number of the predicted layer" },
        { "predictor", "Predictor", NULL, MS_COLUMN_TEXT,
          "conditional: counts given the layer before; frequency: the layer's most frequent "
          "experts; previous token: the layer's choice one token earlier; activation matrix: the "
          "experts of the document with the nearest matrix" },
        { "predicted", "Predicted", "experts", MS_COLUMN_REAL, "Mean number of experts predicted" },
        { "recall", "Recall", NULL, MS_COLUMN_REAL, "Mean of |Q and S| / |S|" },
        { "recall_low", "Recall, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents, what is learned unchanged" },
        { "recall_high", "Recall, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "precision", "Precision", NULL, MS_COLUMN_REAL, "Mean of |Q and S| / |Q|" },
        { "all_k", "All chosen predicted", NULL, MS_COLUMN_REAL,
          "Share of tokens with S inside Q" },
        { "chance", "By chance", NULL, MS_COLUMN_REAL,
          "Recall of as many experts drawn at random" },
        { "tokens", "Tokens", NULL, MS_COLUMN_INT,
          "Tokens with an expert for which there is a prediction" },
        { 0 } } },
  { "pairs", "Pairs of experts of neighbouring layers",
    (const MsColumn[]){
        { "layer", "Layer", NULL, MS_COLUMN_INT, "Block number of the first layer" },
        { "expert", "Expert", NULL, MS_COLUMN_INT, "Expert of the first layer" },
        { "next_expert", "Next expert", NULL, MS_COLUMN_INT, "Expert of the next MoE layer" },
        { "count", "Count", NULL, MS_COLUMN_INT,
          "Tokens that chose both (all pairs), or did at equal rank" },
        { "share", "Share", NULL, MS_COLUMN_REAL, "Count / all pairs of the layer" },
        { "lift", "Lift", NULL, MS_COLUMN_REAL, "J / (Ja Jb): 1 = independent" },
        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "dependence",
    .title = "Dependence between layers",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "normalised_mi_corrected",
    .low = "normalised_mi_low",
    .high = "normalised_mi_high",
    .x_title = "Layer, to the next one",
    .y_title = "Normalised mutual information" },
  { .name = "flow",
    .title = "Flow between layers",
    .table = "pairs",
    .mark = MS_MARK_FLOW,
    .x = "expert",
    .y = "next_expert",
    .value = "count",
    .facet = "layer" },
  { .name = "lift",
    .title = "Lift of expert pairs",
    .table = "pairs",
    .mark = MS_MARK_HEATMAP,
    .x = "next_expert",
    .y = "expert",
    .value = "lift",
    .facet = "layer",
    .value_scale = MS_SCALE_RATIO,
    .x_title = "Expert of the next layer",
    .value_title = "Times as often as by chance" },
  { .name = "predictors",
    .title = "Predicting the next layer",
    .table = "predictors",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "recall",
    .series = "predictor",
    .low = "recall_low",
    .high = "recall_high",
    .x_title = "Predicted layer",
    .reference = "chance" },
  { 0 },
};

typedef struct
{
  const MsLayerTrace *from, *to;
  MsOccurring row_experts, column_experts; /* of from, of to */
  guint rows, columns;                     /* how many these are */
  guint64 *count;                          /* (rows, columns) */
  guint n_cells;                           /* pairs that occur: */
  guint *cell_of;                          /* (rows, columns) number of the pair */
  guint *cell_row, *cell_column;           /* (n_cells) */
} Pairs;

static void
pairs_clear (Pairs *pairs)
{
  ms_occurring_clear (&pairs->row_experts);
  ms_occurring_clear (&pairs->column_experts);
  g_clear_pointer (&pairs->count, g_free);
  g_clear_pointer (&pairs->cell_of, g_free);
  g_clear_pointer (&pairs->cell_row, g_free);
  g_clear_pointer (&pairs->cell_column, g_free);
}

/* Adds n tokens from `first` on to count (rows, columns), or, when cells is given, to the cells that it numbers.
 * order (T), when given, says which token of the next layer stands beside token t: the null value. */
static void
add_pairs (const Pairs *pairs, gboolean equal_rank, gint64 first, gint64 n, const gint64 *order,
           const guint *cells, guint64 *count)
{
  guint ka = pairs->from->k, kb = pairs->to->k;

  for (gint64 t = first; t < first + n; t++)
    {
      const guint16 *a = pairs->from->experts + t * ka;
      const guint16 *b = pairs->to->experts + (order != NULL ? order[t] : t) * kb;

      for (guint i = 0; i < ka; i++)
        for (guint j = equal_rank ? i : 0; j < (equal_rank ? MIN (i + 1, kb) : kb); j++)
          if (a[i] != MS_NO_EXPERT && b[j] != MS_NO_EXPERT)
            {
              gsize at = (gsize) pairs->row_experts.of[a[i]] * pairs->columns
                         + pairs->column_experts.of[b[j]];

              count[cells != NULL ? cells[at] : at]++;
            }
    }
}

static void
count_pairs (Pairs *pairs, gboolean equal_rank, const gint64 *order)
{
  memset (pairs->count, 0, (gsize) pairs->rows * pairs->columns * sizeof *pairs->count);
  add_pairs (pairs, equal_rank, 0, pairs->from->n_tokens, order, NULL, pairs->count);
}

/* Numbers the pairs that were counted. */
static void
number_cells (Pairs *pairs)
{
  gsize n = (gsize) pairs->rows * pairs->columns;

  pairs->n_cells = 0;
  for (gsize i = 0; i < n; i++)
    pairs->n_cells += pairs->count[i] > 0;
  pairs->cell_of = g_new (guint, n + 1);
  pairs->cell_row = g_new (guint, pairs->n_cells + 1);
  pairs->cell_column = g_new (guint, pairs->n_cells + 1);
  pairs->n_cells = 0;
  for (gsize i = 0; i < n; i++)
    {
      pairs->cell_of[i] = pairs->n_cells;
      if (pairs->count[i] == 0)
        continue;
      pairs->cell_row[pairs->n_cells] = (guint) (i / pairs->columns);
      pairs->cell_column[pairs->n_cells++] = (guint) (i % pairs->columns);
    }
}

typedef struct
{
  guint64 total;
  double information, normalised;
  double *row, *column; /* marginal shares */
} Dependence;

static void
dependence_clear (Dependence *dependence)
{
  g_free (dependence->row);
  g_free (dependence->column);
}

static void
measure_dependence (const Pairs *pairs, Dependence *out)
{
  double row_entropy, column_entropy;

  out->total = 0;
  out->information = 0;
  out->row = g_new0 (double, pairs->rows);
  out->column = g_new0 (double, pairs->columns);
  for (gsize i = 0; i < (gsize) pairs->rows * pairs->columns; i++)
    out->total += pairs->count[i];
  for (guint a = 0; a < pairs->rows; a++)
    for (guint b = 0; b < pairs->columns; b++)
      {
        double share = (double) pairs->count[(gsize) a * pairs->columns + b] / (double) out->total;

        out->row[a] += share;
        out->column[b] += share;
      }
  for (guint a = 0; a < pairs->rows; a++)
    for (guint b = 0; b < pairs->columns; b++)
      {
        guint64 n = pairs->count[(gsize) a * pairs->columns + b];
        double share = (double) n / (double) out->total;

        if (n > 0)
          out->information += share * log (share / (out->row[a] * out->column[b]));
      }
  row_entropy = ms_entropy (out->row, pairs->rows);
  column_entropy = ms_entropy (out->column, pairs->columns);
  out->normalised = MIN (row_entropy, column_entropy) > 0
                        ? out->information / MIN (row_entropy, column_entropy)
                        : NAN;
  out->information = MAX (out->information, 0); /* rounding may leave less */
  if (out->normalised < 0)
    out->normalised = 0;
  if (out->total == 0)
    out->information = out->normalised = NAN;
}

/* Resampling whole tables of pairs is dear: fewer resamples, of documents in fewer groups. */
#define MOST_RESAMPLES 200
#define MOST_GROUPS    64

/* Mutual information of the pairs that occur (n_cells), and normalised. */
static void
information_of (const double *count, double *out, gpointer data)
{
  const Pairs *pairs = data;
  g_autofree double *row = g_new0 (double, pairs->rows);
  g_autofree double *column = g_new0 (double, pairs->columns);
  double row_entropy, column_entropy;

  for (guint i = 0; i < pairs->n_cells; i++)
    {
      row[pairs->cell_row[i]] += count[i];
      column[pairs->cell_column[i]] += count[i];
    }
  row_entropy = ms_entropy (row, pairs->rows);
  column_entropy = ms_entropy (column, pairs->columns);
  out[0] = row_entropy + column_entropy - ms_entropy (count, pairs->n_cells);
  out[1] = MIN (row_entropy, column_entropy) > 0 ? out[0] / MIN (row_entropy, column_entropy) : NAN;
}

static void
resample_dependence (const MsContext *context, const Pairs *pairs, gboolean equal_rank,
                     MsInterval intervals[2])
{
  MsContext own = *context;
  guint n_documents = ms_trace_n_documents (context->trace);
  gsize n = pairs->n_cells;
  g_autofree guint64 *count = NULL;
  g_autofree double *sums = NULL;
  g_autoptr (MsBootstrap) bootstrap = NULL;

  own.sampling.resamples = MIN (context->sampling.resamples, MOST_RESAMPLES);
  bootstrap = ms_bootstrap_new_most (&own, MOST_GROUPS);
  count = g_new0 (guint64, bootstrap->n_units * n);
  sums = g_new (double, bootstrap->n_units *n);
  for (guint d = 0; d < n_documents; d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);

      add_pairs (pairs, equal_rank, document->first_token, document->n_tokens, NULL, pairs->cell_of,
                 count + ms_bootstrap_unit (bootstrap, d) * n);
    }
  for (gsize i = 0; i < bootstrap->n_units * n; i++)
    sums[i] = (double) count[i];
  ms_jackknife_intervals (bootstrap, sums, (guint) n, information_of, (gpointer) pairs, 2,
                          intervals);
  ms_interval_clamp (&intervals[0], 0, INFINITY);
  ms_interval_clamp (&intervals[1], 0, 1);
}

/* --- Predictors ------------------------------------------------------------------------------ */

/* Sums over tokens with experts and a prediction. */
enum
{
  HIT_RECALL,
  HIT_PRECISION,
  HIT_ALL,
  HIT_PREDICTED,
  HIT_TOKENS,
  N_HITS,
};

static void
add_hits (double *hits, const guint16 *predicted, guint n_predicted, const guint16 *chosen, guint k)
{
  guint size = 0, found = 0;

  for (guint i = 0; i < k; i++)
    if (chosen[i] != MS_NO_EXPERT)
      {
        size++;
        for (guint j = 0; j < n_predicted; j++)
          found += predicted[j] == chosen[i];
      }
  if (size == 0 || n_predicted == 0)
    return;
  hits[HIT_RECALL] += (double) found / size;
  hits[HIT_PRECISION] += (double) found / n_predicted;
  hits[HIT_ALL] += found == size;
  hits[HIT_PREDICTED] += n_predicted;
  hits[HIT_TOKENS]++;
}

static void
test_predictor (MsPredictorKind kind, const MsPredictorInput *input, guint n,
                const MsBootstrap *bootstrap, double *units)
{
  MsTrace *trace = input->trace;
  const MsLayerTrace *to = input->layer;
  g_autoptr (MsPredictor) predictor = ms_predictor_new (kind, input, n);
  g_autofree guint16 *best = g_new (guint16, MAX (n, to->k) + 1);

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);
      double *hits = units + (gsize) ms_bootstrap_unit (bootstrap, d) * N_HITS;

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          guint predicted = ms_predictor_predict (predictor, d, t, best);

          add_hits (hits, best, predicted, to->experts + t * to->k, to->k);
        }
    }
}

/* --- Compute --------------------------------------------------------------------------------- */

typedef struct
{
  Pairs pairs;
  Dependence dependence;
  MsInterval intervals[2]; /* of information and normalised */
  double null_normalised;
  double *hits; /* (MS_PREDICTORS, U, N_HITS) */
} Step;         /* from one layer to the next */

typedef struct
{
  Step *steps; /* (L - 1) */
  const MsMatches *matches;
  const MsBootstrap *bootstrap;
} Job;

static gint64 *
shuffled_order (gint64 n, guint64 state)
{
  gint64 *order = g_new (gint64, n + 1);

  for (gint64 i = 0; i < n; i++)
    order[i] = i;
  for (gint64 i = n - 1; i > 0; i--)
    {
      gint64 j = (gint64) ms_random_below (&state, (guint64) i + 1), keep = order[i];

      order[i] = order[j];
      order[j] = keep;
    }
  return order;
}

static gboolean
is_held_out (const MsContext *context)
{
  return ms_values_choice (context->values, "train") == TRAIN_HALF;
}

static gboolean
compute_step (const MsContext *context, guint index, gpointer data, GError **error)
{
  const Job *job = data;
  Step *step = &job->steps[index];
  gboolean equal_rank = ms_values_choice (context->values, "pairs") == PAIRS_EQUAL_RANK;
  guint predict = (guint) ms_values_int (context->values, "predict");
  g_autoptr (MsLayerTrace) from
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);
  g_autoptr (MsLayerTrace) to = NULL;
  g_autofree gint64 *order = NULL;
  MsPredictorInput input;
  Dependence null;

  if (from == NULL)
    return FALSE;
  to = ms_trace_load_layer (context->trace, index + 1, MS_CHUNK_EXPERTS, context->cancel, error);
  if (to == NULL)
    return FALSE;
  step->pairs = (Pairs){ .from = from, .to = to };
  ms_occurring_init_of_layer (&step->pairs.row_experts, from);
  ms_occurring_init_of_layer (&step->pairs.column_experts, to);
  /* The pairs, and the numbers of those that occur, with room for the predictor's. */
  if (!ms_occurring_pairs_fit (context, index, &step->pairs.row_experts,
                               &step->pairs.column_experts, 4 * sizeof (guint64), error))
    return FALSE;
  step->pairs.rows = step->pairs.row_experts.n;
  step->pairs.columns = step->pairs.column_experts.n;
  step->pairs.count = g_new (guint64, (gsize) step->pairs.rows * step->pairs.columns + 1);
  order = shuffled_order (from->n_tokens, ms_seed (context->sampling.seed, index));
  count_pairs (&step->pairs, equal_rank, order);
  measure_dependence (&step->pairs, &null);
  step->null_normalised = null.normalised;
  dependence_clear (&null);
  count_pairs (&step->pairs, equal_rank, NULL);
  measure_dependence (&step->pairs, &step->dependence);
  number_cells (&step->pairs);
  resample_dependence (context, &step->pairs, equal_rank, step->intervals);
  step->hits = g_new0 (double, (gsize) MS_PREDICTORS * job->bootstrap->n_units * N_HITS);
  input = (MsPredictorInput){ context->trace, index + 1,    to,
                              from,           job->matches, is_held_out (context) };
  for (MsPredictorKind kind = 0; kind < MS_PREDICTORS; kind++)
    test_predictor (kind, &input, predict > 0 ? predict : to->k, job->bootstrap,
                    step->hits + (gsize) kind * job->bootstrap->n_units * N_HITS);
  step->pairs.from = step->pairs.to = NULL;
  return TRUE;
}

static void
hit_rates (const double *sums, double *out, gpointer data)
{
  (void) data;
  for (guint i = 0; i < HIT_TOKENS; i++)
    out[i] = sums[HIT_TOKENS] > 0 ? sums[i] / sums[HIT_TOKENS] : NAN;
  out[HIT_TOKENS] = sums[HIT_TOKENS];
}

/* Adds the row of a predictor; returns its recall. */
static double
add_predictor (MsTable *table, const Job *job, const Step *step, gint64 next, MsPredictorKind kind)
{
  MsInterval v[N_HITS];

  ms_bootstrap_intervals (job->bootstrap,
                          step->hits + (gsize) kind * job->bootstrap->n_units * N_HITS, N_HITS,
                          hit_rates, NULL, N_HITS, v);
  for (guint i = 0; i < HIT_TOKENS; i++)
    ms_interval_clamp (&v[i], 0, i == HIT_PREDICTED ? G_MAXDOUBLE : 1);
  ms_table_add_row (table, MS_INT (next), MS_TEXT (ms_predictor_name (kind)),
                    MS_REAL (v[HIT_PREDICTED].value), MS_INTERVAL (v[HIT_RECALL]),
                    MS_REAL (v[HIT_PRECISION].value), MS_REAL (v[HIT_ALL].value),
                    MS_REAL (v[HIT_PREDICTED].value / step->pairs.column_experts.n_experts),
                    MS_INT ((gint64) v[HIT_TOKENS].value));
  return v[HIT_RECALL].value;
}

static void
add_pair_row (const Step *step, gint64 block, guint a, guint b, MsTable *table)
{
  const Pairs *pairs = &step->pairs;
  const Dependence *d = &step->dependence;
  guint row = pairs->row_experts.of[a], column = pairs->column_experts.of[b];
  gboolean both = row != MS_NOT_OCCURRING && column != MS_NOT_OCCURRING;
  guint64 n = both ? pairs->count[(gsize) row * pairs->columns + column] : 0;
  double share = (double) n / (double) d->total,
         chance = both ? d->row[row] * d->column[column] : 0;

  ms_table_add_row (table, MS_INT (block), MS_INT (a), MS_INT (b), MS_INT (n),
                    MS_REAL (d->total > 0 ? share : NAN),
                    MS_REAL (chance > 0 ? share / chance : NAN));
}

/* Pairs seen at least so often; for 0 those too that are never seen. */
static void
add_pair_rows (const Step *step, gint64 block, guint64 least, MsTable *table)
{
  const Pairs *pairs = &step->pairs;

  for (guint a = 0; least == 0 && a < pairs->row_experts.n_experts; a++)
    for (guint b = 0; b < pairs->column_experts.n_experts; b++)
      add_pair_row (step, block, a, b, table);
  for (guint i = 0; least > 0 && i < pairs->n_cells; i++)
    if (pairs->count[(gsize) pairs->cell_row[i] * pairs->columns + pairs->cell_column[i]] >= least)
      add_pair_row (step, block, pairs->row_experts.ids[pairs->cell_row[i]],
                    pairs->column_experts.ids[pairs->cell_column[i]], table);
}

/* Returns the recall of the conditional predictor. */
static double
add_step (const MsContext *context, MsResult *result, const Job *job, guint layer)
{
  const Step *step = &job->steps[layer];
  double recall = NAN;
  gint64 block = ms_trace_layer (context->trace, layer)->number;
  gint64 next = ms_trace_layer (context->trace, layer + 1)->number;
  guint64 least = (guint64) ms_values_int (context->values, "least");

  ms_table_add_row (ms_result_table (result, "layers"), MS_INT (block), MS_INT (next),
                    MS_INT (step->dependence.total), MS_CORRECTED (step->intervals[0]),
                    MS_CORRECTED (step->intervals[1]), MS_REAL (step->null_normalised));
  for (MsPredictorKind kind = 0; kind < MS_PREDICTORS; kind++)
    {
      double own = add_predictor (ms_result_table (result, "predictors"), job, step, next, kind);

      recall = kind == MS_PREDICT_CONDITIONAL ? own : recall;
    }
  add_pair_rows (step, block, least, ms_result_table (result, "pairs"));
  return recall;
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_steps = ms_trace_n_layers (context->trace) - 1;
  g_autofree Step *steps = g_new0 (Step, n_steps);
  double information = 0, null = 0, recall = 0;
  guint strongest = 0;
  /* A row of the table for every pair. */
  gboolean fits = ms_values_int (context->values, "least") > 0
                  || ms_context_pairs_fit (context, 1, 6 * sizeof (double), error);
  g_autoptr (MsMatches) matches
      = fits ? ms_matches_new (context, MS_MATCHES_USUAL, is_held_out (context), NULL, error)
             : NULL;
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  Job job = { steps, matches, bootstrap };
  gboolean fine
      = matches != NULL && ms_context_tasks (context, n_steps, compute_step, &job, 0, 0.95, error);

  for (guint i = 0; i < n_steps && fine; i++)
    {
      double found = add_step (context, result, &job, i);

      information += steps[i].intervals[1].corrected / n_steps;
      null += steps[i].null_normalised / n_steps;
      recall += found / n_steps;
      if (steps[i].intervals[1].corrected > steps[strongest].intervals[1].corrected)
        strongest = i;
    }
  if (fine)
    {
      g_autofree char *place
          = g_strdup_printf ("layer=%d..%d", ms_trace_layer (context->trace, strongest)->number,
                             ms_trace_layer (context->trace, strongest + 1)->number);

      result->summary = g_strdup_printf (
          "One layer's choice tells %.1f %% of the next layer's entropy on average, corrected for "
          "the finite number of documents (uncorrected %.1f %% by chance alone); "
          "predicting the next layer from the one before finds %.1f %% of its experts.",
          100 * information, 100 * null, 100 * recall);
      ms_result_note (
          result,
          "Pairs: %s. Predictors trained on %s. The null shuffles the tokens of the next "
          "layer over the whole trace.  Mutual information is biased upwards, the more so the "
          "fewer documents there are: the corrected values are less this bias, and the intervals "
          "are about them.",
          pair_choices[ms_values_choice (context->values, "pairs")],
          is_held_out (context) ? "the documents of the other parity"
                                : "the tokens they are tested on");
      ms_result_find (
          result,
          MIN (steps[strongest].dependence.normalised
                   / MAX (steps[strongest].null_normalised, 1e-6),
               10),
          g_steal_pointer (&place),
          "layers %d and %d depend most on each other: normalised mutual information %.3f",
          ms_trace_layer (context->trace, strongest)->number,
          ms_trace_layer (context->trace, strongest + 1)->number,
          steps[strongest].intervals[1].corrected);
    }
  for (guint i = 0; i < n_steps; i++)
    {
      dependence_clear (&steps[i].dependence);
      pairs_clear (&steps[i].pairs);
      g_free (steps[i].hits);
    }
  return fine;
}

const MsAnalysis ms_analysis_transitions = {
  .name = "transitions",
  .title = "Layer-to-Layer Transitions",
  .help
  = "How much does the choice in one layer tell about the next layer's, and how well can the next "
    "layer's experts be predicted (and prefetched)?",
  .formula
  = "C[a,b] = tokens with a in S_l and b in S_(l+1); J = C / sum C; I = sum J ln (J / (Ja Jb)), "
    "normalised by min (H(a), H(b)). Conditional predictor: the P experts b of largest "
    "sum over a in S_l of C[a,b] / C[a,.]. Activation matrix: the P experts most used by the "
    "document whose counts of layer l + 1 and the layers after it have the largest mean cosine to "
    "those of the running document's earlier tokens.",
  .cite = "Activation matrix: MoE-Infinity, arXiv 2401.14361; co-activation across layers "
          "as in OLMoE, arXiv 2409.02060; dependence and the other predictors are our own.",
  .version = 4,
  .times = TRUE,
  .needs = MS_NEEDS_LAYERS,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
