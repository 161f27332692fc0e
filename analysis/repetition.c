/* Repetition between neighbouring tokens (Mixtral's Table 5) and run lengths of experts (metrics.md d.5).
 *
 * A pair is a token and the one before it in the same document.  A run is a stretch of consecutive
 * tokens of a document that all choose the expert. */
#include "analysis-private.h"

#include <math.h>

enum
{
  SUM_PAIRS,
  SUM_FIRST,
  SUM_ANY,
  SUM_OVERLAP,
  SUM_IDENTICAL,
  N_SUMS,
};

static const MsTableDef tables[] = {
  { "layers", "Repetition by layer",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "pairs", "Pairs", NULL, MS_COLUMN_INT, "Neighbouring tokens of one document" },
        { "first_choice", "Same first choice", NULL, MS_COLUMN_REAL,
          "Share of pairs whose best experts are equal" },
        { "first_choice_low", "First choice, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents" },
        { "first_choice_high", "First choice, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "first_choice_random", "First choice by chance", NULL, MS_COLUMN_REAL, "1 / E" },
        { "any_choice", "Any choice in common", NULL, MS_COLUMN_REAL,
          "Share of pairs with an expert in common (Mixtral: first or second choice)" },
        { "any_choice_low", "Any choice, low", NULL, MS_COLUMN_REAL, "Lower end" },
        { "any_choice_high", "Any choice, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "any_choice_random", "Any choice by chance", NULL, MS_COLUMN_REAL,
          "Mean over pairs of 1 - C(E - a, b) / C(E, b) for tokens of a and b experts" },
        { "mean_overlap", "Overlap", NULL, MS_COLUMN_REAL,
          "Mean of experts in common / max of both sizes" },
        { "mean_overlap_low", "Overlap, low", NULL, MS_COLUMN_REAL, "Lower end" },
        { "mean_overlap_high", "Overlap, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "mean_overlap_random", "Overlap by chance", NULL, MS_COLUMN_REAL,
          "Mean over pairs of min (a, b) / E: k / E when every token has k experts" },
        { "identical_set", "Identical sets", NULL, MS_COLUMN_REAL,
          "Share of pairs with equal sets" },
        { "identical_set_random", "Identical sets by chance", NULL, MS_COLUMN_REAL,
          "Mean over pairs of 1 / C(E, a), 0 for tokens of different numbers of experts" },
        { 0 } } },
  { "runs", "Runs by expert",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        MS_EXPERT_COLUMN,
        { "runs", "Runs", NULL, MS_COLUMN_INT, "Stretches of consecutive tokens that choose it" },
        { "mean_length", "Mean length", "tokens", MS_COLUMN_REAL, "Tokens / runs" },
        { "longest", "Longest", "tokens", MS_COLUMN_INT, "The longest run" },
        { "independent_length", "Length if independent", "tokens", MS_COLUMN_REAL,
          "1 / (1 - activation frequency): mean length if neighbours were independent" },
        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "first",
    .title = "Same first choice as the token before",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "first_choice",
    .low = "first_choice_low",
    .high = "first_choice_high",
    .y_title = "Same first choice (share of pairs)",
    .reference = "first_choice_random" },
  { .name = "overlap",
    .title = "Overlap with the token before",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "mean_overlap",
    .low = "mean_overlap_low",
    .high = "mean_overlap_high",
    .y_title = "Overlap of expert sets",
    .reference = "mean_overlap_random" },
  { .name = "any",
    .title = "Any expert in common with the token before",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "any_choice",
    .low = "any_choice_low",
    .high = "any_choice_high",
    .y_title = "Any expert in common (share)",
    .reference = "any_choice_random" },
  { .name = "runs",
    .title = "Mean run length of experts",
    .table = "runs",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "layer",
    .value = "mean_length",
    .value_title = "Mean run length (tokens)" },
  { 0 },
};

typedef struct
{
  double *units;                    /* (U, N_SUMS) */
  guint64 *runs, *tokens, *longest; /* (E) */
  guint64 *sizes;                   /* (k + 1, k + 1) pairs of a token of a experts and one of b */
  gint64 n_tokens;
} Layer;

typedef struct
{
  const MsBootstrap *bootstrap;
  Layer *layers;
} Job;

static guint
set_size (const guint16 *set, guint k)
{
  guint n = 0;

  while (n < k && set[n] != MS_NO_EXPERT)
    n++;
  return n;
}

static void
add_pair (const guint16 *a, guint n_a, const guint16 *b, guint n_b, double *sums)
{
  guint common = 0;

  for (guint i = 0; i < n_a; i++)
    for (guint j = 0; j < n_b; j++)
      common += a[i] == b[j];
  sums[SUM_PAIRS]++;
  sums[SUM_FIRST] += a[0] == b[0];
  sums[SUM_ANY] += common > 0;
  sums[SUM_OVERLAP] += (double) common / MAX (n_a, n_b);
  sums[SUM_IDENTICAL] += common == n_a && n_a == n_b;
}

static gboolean
scan_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  g_autoptr (MsLayerTrace) layer
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);
  g_autofree gint64 *last = NULL;    /* (E) last token that chose e */
  g_autofree guint64 *length = NULL; /* (E) of the run that ended there */
  guint k, n_experts;

  if (layer == NULL)
    return FALSE;
  k = layer->k;
  n_experts = layer->n_experts;
  last = g_new (gint64, n_experts);
  length = g_new0 (guint64, n_experts);
  out->units = g_new0 (double, (gsize) job->bootstrap->n_units *N_SUMS);
  out->runs = g_new0 (guint64, n_experts);
  out->tokens = g_new0 (guint64, n_experts);
  out->longest = g_new0 (guint64, n_experts);
  out->sizes = g_new0 (guint64, (k + 1) * (gsize) (k + 1));
  out->n_tokens = layer->n_tokens;
  for (guint e = 0; e < n_experts; e++)
    last[e] = -2;
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      double *sums = out->units + (gsize) ms_bootstrap_unit (job->bootstrap, d) * N_SUMS;

      for (gint64 i = 0; i < document->n_tokens; i++)
        {
          gint64 t = document->first_token + i;
          const guint16 *set = layer->experts + t * k;
          guint n = set_size (set, k);

          for (guint r = 0; r < n; r++)
            {
              guint16 e = set[r];
              gboolean goes_on = i > 0 && last[e] == t - 1;

              out->runs[e] += !goes_on;
              length[e] = goes_on ? length[e] + 1 : 1;
              out->longest[e] = MAX (out->longest[e], length[e]);
              out->tokens[e]++;
              last[e] = t;
            }
          if (i > 0)
            {
              guint n_before = set_size (set - k, k);

              if (n == 0 || n_before == 0)
                continue;
              add_pair (set - k, n_before, set, n, sums);
              out->sizes[n_before * (k + 1) + n]++;
            }
        }
    }
  return TRUE;
}

static void
shares (const double *sums, double *out, gpointer data)
{
  (void) data;
  for (guint i = 0; i < N_SUMS; i++)
    out[i] = sums[SUM_PAIRS] > 0 ? sums[i] / sums[SUM_PAIRS] : NAN;
}

/* C(a, k) / C(b, k) for k <= b. */
static double
binomial_ratio (double a, double b, guint k)
{
  double ratio = 1;

  for (guint i = 0; i < k; i++)
    ratio *= MAX (a - i, 0) / (b - i);
  return ratio;
}

/* The measures (N_SUMS) of independent uniform choices of as many experts as each token has. */
static void
measure_chance (const Layer *layer, guint k, double n_experts, double *out)
{
  double pairs = 0;

  for (guint i = 0; i < N_SUMS; i++)
    out[i] = 0;
  for (guint a = 1; a <= k; a++)
    for (guint b = 1; b <= k; b++)
      {
        double n = (double) layer->sizes[a * (k + 1) + b];

        pairs += n;
        out[SUM_ANY] += n * (1 - binomial_ratio (n_experts - a, n_experts, b));
        out[SUM_OVERLAP] += n * MIN (a, b) / n_experts;
        out[SUM_IDENTICAL] += a == b ? n * binomial_ratio (a, n_experts, a) : 0;
      }
  out[SUM_FIRST] = pairs / n_experts;
  out[SUM_PAIRS] = pairs;
  for (guint i = SUM_FIRST; i < N_SUMS; i++)
    out[i] = pairs > 0 ? out[i] / pairs : NAN;
}

static void
add_runs (MsResult *result, const MsLayer *layer, const Layer *in)
{
  for (guint x = 0; x < layer->gate.n_experts; x++)
    {
      double tokens = (double) in->tokens[x];

      ms_table_add_row (
          ms_result_table (result, "runs"), MS_INT (layer->number), MS_INT (x),
          MS_INT (in->runs[x]), MS_REAL (in->runs[x] > 0 ? tokens / (double) in->runs[x] : NAN),
          MS_INT (in->longest[x]),
          MS_REAL (tokens < (double) in->n_tokens ? 1 / (1 - tokens / (double) in->n_tokens)
                                                  : NAN));
    }
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  Job job = { bootstrap, layers };
  double overlap = 0, chance = 0, best = -1;
  guint best_layer = 0;
  gboolean fine = ms_context_tasks (context, n_layers, scan_layer, &job, 0, 0.95, error);

  for (guint l = 0; l < n_layers && fine; l++)
    {
      const MsLayer *layer = ms_trace_layer (context->trace, l);
      double random[N_SUMS];
      MsInterval v[N_SUMS];

      measure_chance (&layers[l], layer->gate.k, layer->gate.n_experts, random);
      ms_bootstrap_rates (bootstrap, layers[l].units, N_SUMS, shares, NULL, N_SUMS, v);
      ms_table_add_row (ms_result_table (result, "layers"), MS_INT (layer->number),
                        MS_INT ((gint64) random[SUM_PAIRS]), MS_INTERVAL (v[SUM_FIRST]),
                        MS_REAL (random[SUM_FIRST]), MS_INTERVAL (v[SUM_ANY]),
                        MS_REAL (random[SUM_ANY]), MS_INTERVAL (v[SUM_OVERLAP]),
                        MS_REAL (random[SUM_OVERLAP]), MS_REAL (v[SUM_IDENTICAL].value),
                        MS_REAL (random[SUM_IDENTICAL]));
      add_runs (result, layer, &layers[l]);
      overlap += v[SUM_OVERLAP].value / n_layers;
      chance += random[SUM_OVERLAP] / n_layers;
      if (v[SUM_OVERLAP].value > best)
        {
          best = v[SUM_OVERLAP].value;
          best_layer = l;
        }
    }
  if (fine)
    {
      if (isnan (overlap))
        result->summary = g_strdup ("In some layer no two neighbouring tokens have experts.");
      else
        result->summary = g_strdup_printf (
            "Neighbouring tokens share %.1f %% of their experts (%.1f %% by chance), most in layer "
            "%d (%.1f %%).",
            100 * overlap, 100 * chance, ms_trace_layer (context->trace, best_layer)->number,
            100 * best);
      ms_result_note (result,
                      "Pairs never cross documents. Sets of different size: experts in common "
                      "over the larger size.");
    }
  for (guint l = 0; l < n_layers; l++)
    {
      g_free (layers[l].units);
      g_free (layers[l].runs);
      g_free (layers[l].tokens);
      g_free (layers[l].longest);
      g_free (layers[l].sizes);
    }
  return fine;
}

const MsAnalysis ms_analysis_repetition = {
  .name = "repetition",
  .title = "Repetition of Neighbouring Tokens",
  .help
  = "Does a token go to the same experts as the token before it, and how long do experts stay "
    "chosen?",
  .formula
  = "Over pairs (i - 1, i) of a document: first choice = [S_i[0] = S_(i-1)[0]], any choice = "
    "[S_i and S_(i-1) share an expert], overlap = |S_i and S_(i-1)| / k.",
  .cite = "Mixtral of Experts, Table 5, arXiv 2401.04088.",
  .version = 2,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
