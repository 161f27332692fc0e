/* Hit rates of an expert cache at every capacity at once: SCH and CHR of the local-routing paper.
 *
 * The conventions are the paper's, metrics.md b.2 and b.3: all experts of a token are tested against the
 * content before the token; an expert never seen before counts as a hit while fewer than c distinct
 * ones have been seen; misses are inserted one by one in rank order; the cache is emptied between
 * documents.  cache-stack-private.h gives every capacity in one pass; the general simulator is cache.c. */
#include "analysis-private.h"
#include "cache-simulator-private.h"
#include "cache-stack-private.h"

#include <math.h>
#include <string.h>

#define MAX_LOOKAHEADS 8
#define MAX_CURVES     (MS_STACK_SEGMENT + MAX_LOOKAHEADS)
#define MAX_STACKS     ((MAX_CURVES + MS_STACK_CURVES - 1) / MS_STACK_CURVES)

/* --- The analysis ---------------------------------------------------------------------------- */

enum
{
  LEVEL_LAYER,
  LEVEL_MODEL,
  LEVEL_BOTH,
};

static const char *const level_choices[] = { "layer", "model", "both", NULL };

static const MsParam params[] = {
  { "level", "Level", "A cache for each layer, one for the whole model, or both", NULL,
    MS_PARAM_CHOICE, .choices = level_choices },
  { "lookahead", "Look-ahead", "Window lengths m of SCH in tokens, separated by commas", "tokens",
    MS_PARAM_TEXT, .usual_text = "4,16,64,256" },
  { "null", "Null value", "Compute the same with each document's tokens in shuffled order", NULL,
    MS_PARAM_BOOL, .usual = 1 },
  { 0 },
};

#define CURVE_COLUMNS                                                                              \
  { "policy", "Policy", NULL, MS_COLUMN_TEXT,                                                      \
    "lru, lfu, belady (CHR), or sch-m: segment cache with a look-ahead of m tokens (SCH)" },       \
      { "capacity", "Capacity", "experts", MS_COLUMN_INT, "Experts that fit in the cache" },       \
      { "rho", "Capacity / active experts", NULL, MS_COLUMN_REAL,                                  \
        "Capacity over the experts that one token uses in the scope (of layers: the most)" },      \
      { "hit_rate", "Hit rate", NULL, MS_COLUMN_REAL,                                              \
        "Hits / accesses, mean over documents; the first use of an expert counts as a hit while "  \
        "the "                                                                                     \
        "cache is not full" },                                                                     \
      { "low", "Low", NULL, MS_COLUMN_REAL,                                                        \
        "Lower end of the bootstrap interval over documents" },                                    \
      { "high", "High", NULL, MS_COLUMN_REAL, "Upper end of the interval" },                       \
  {                                                                                                \
    "null_hit_rate", "By chance", NULL, MS_COLUMN_REAL,                                            \
        "Hit rate with each document's tokens in shuffled order"                                   \
  }

static const MsTableDef tables[] = {
  { "mean", "Hit rate, mean over layers", (const MsColumn[]){ CURVE_COLUMNS, { 0 } } },
  { "layers", "Hit rate by layer",
    (const MsColumn[]){ { "layer", "Layer", NULL, MS_COLUMN_INT, "The model's block number" },
                        CURVE_COLUMNS,
                        { 0 } } },
  { "model", "Hit rate of one cache for all layers", (const MsColumn[]){ CURVE_COLUMNS, { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "curve",
    .title = "Cache hit rate by capacity",
    .table = "mean",
    .mark = MS_MARK_LINE,
    .x = "capacity",
    .y = "hit_rate",
    .series = "policy",
    .low = "low",
    .high = "high" },
  { .name = "layers",
    .title = "Cache hit rate by layer",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "capacity",
    .y = "hit_rate",
    .series = "layer",
    .facet = "policy" },
  { .name = "map",
    .title = "LRU hit rate by layer and capacity",
    .table = "layers",
    .mark = MS_MARK_HEATMAP,
    .x = "capacity",
    .y = "layer",
    .value = "hit_rate",
    .value_title = "LRU hit rate",
    .where = "policy=lru" },
  { .name = "model",
    .title = "Hit rate of one cache for all layers",
    .table = "model",
    .mark = MS_MARK_LINE,
    .x = "capacity",
    .y = "hit_rate",
    .series = "policy",
    .low = "low",
    .high = "high" },
  { 0 },
};

/* The curves of one scope: sums over the documents of each bootstrap unit. */
typedef struct
{
  guint n_ids;
  guint width;     /* experts of a token */
  guint row;       /* ids of a token, of which width are used */
  double accesses; /* of all documents */
  double *sums; /* (curves, U, n_ids + 1): rates of capacities 1.., then the number of documents */
  double *null; /* (curves, n_ids + 1) the same over all documents, shuffled */
  MsInterval *intervals; /* (curves, n_ids) of the rates */
} Scope;

typedef struct
{
  guint n_curves;
  MsStackCurve curves[MAX_CURVES];
  char labels[MAX_CURVES][24];
  gboolean null;
  const MsBootstrap *bootstrap;
  Scope *scopes; /* (L), then the model's */
} Job;

static void
scope_clear (Scope *scope)
{
  g_free (scope->sums);
  g_free (scope->null);
  g_free (scope->intervals);
}

static gboolean
list_curves (const MsValues *values, Job *job, GError **error)
{
  static const char *const names[] = { "lru", "lfu", "belady" };
  g_auto (GStrv) words = g_strsplit (ms_values_text (values, "lookahead"), ",", -1);

  for (MsStackPolicy i = 0; i < MS_STACK_SEGMENT; i++)
    {
      job->curves[job->n_curves].policy = i;
      g_strlcpy (job->labels[job->n_curves++], names[i], sizeof job->labels[0]);
    }
  for (guint i = 0; words[i] != NULL; i++)
    {
      guint64 length;

      if (job->n_curves == MAX_CURVES
          || !g_ascii_string_to_unsigned (g_strstrip (words[i]), 10, 1, 1 << 20, &length, NULL))
        {
          g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                       "--lookahead: '%s' is no window length; give up to %d numbers from 1 to %d, "
                       "separated by commas",
                       words[i], MAX_LOOKAHEADS, 1 << 20);
          return FALSE;
        }
      job->curves[job->n_curves] = (MsStackCurve){ MS_STACK_SEGMENT, (guint) length };
      g_snprintf (job->labels[job->n_curves++], sizeof job->labels[0], "sch-%u", (guint) length);
    }
  return TRUE;
}

/* What a scope works with. */
typedef struct
{
  guint n_stacks;
  MsStack *stacks[MAX_STACKS]; /* of MS_STACK_CURVES curves each */
  guint64 *gained;             /* (MS_STACK_CURVES, n_ids + 1) */
  guint32 *next;               /* (n_ids) */
  guint32 *later;              /* (T of the longest document, row) */
  guint16 *shuffled;           /* the same */
} Scratch;

static gboolean
scratch_init (Scratch *scratch, const Job *job, const Scope *scope, MsTrace *trace, GError **error)
{
  gint64 longest = 0;

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    longest = MAX (longest, ms_trace_document (trace, d)->n_tokens);
  if (!ms_stack_fits (scope->n_ids, longest, scope->row))
    {
      g_set_error (
          error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
          "a document of %" G_GINT64_FORMAT
          " tokens is too long for curves over %u experts; select fewer tokens or, for one "
          "cache of the whole model, fewer layers",
          longest, scope->n_ids);
      return FALSE;
    }
  scratch->n_stacks = (job->n_curves + MS_STACK_CURVES - 1) / MS_STACK_CURVES;
  for (guint i = 0; i < scratch->n_stacks; i++)
    scratch->stacks[i] = ms_stack_new (job->curves + i * MS_STACK_CURVES,
                                       MIN (job->n_curves - i * MS_STACK_CURVES, MS_STACK_CURVES),
                                       scope->n_ids, longest, scope->row);
  scratch->gained = g_new (guint64, MS_STACK_CURVES * (scope->n_ids + 1));
  scratch->next = g_new (guint32, scope->n_ids);
  scratch->later = g_new (guint32, (gsize) longest * scope->row + 1);
  scratch->shuffled = g_new (guint16, (gsize) longest * scope->row + 1);
  return TRUE;
}

static void
scratch_clear (Scratch *scratch)
{
  for (guint i = 0; i < scratch->n_stacks; i++)
    ms_stack_free (scratch->stacks[i]);
  g_free (scratch->gained);
  g_free (scratch->next);
  g_free (scratch->later);
  g_free (scratch->shuffled);
}

/* One document through all curves; adds its rates to the sums (n_ids + 1) of curve i at sums + i * stride.
 * Returns its accesses. */
static guint64
run_document (Scratch *scratch, const Job *job, const Scope *scope, const MsRequests *requests,
              double *sums, gsize stride)
{
  guint n = scope->n_ids;
  guint64 accesses = 0;

  ms_cache_find_later (requests->ids, (gsize) requests->n_tokens * requests->width, n,
                       scratch->later, scratch->next);
  for (guint i = 0; i < job->n_curves; i++)
    {
      const guint64 *gained = scratch->gained + i % MS_STACK_CURVES * (n + 1);
      double *out = sums + i * stride;
      guint64 hits = 0;

      if (i % MS_STACK_CURVES == 0)
        {
          MsStack *stack = scratch->stacks[i / MS_STACK_CURVES];

          memset (scratch->gained, 0, MS_STACK_CURVES * (n + 1) * sizeof (guint64));
          ms_stack_reset (stack);
          accesses = ms_stack_run (stack, requests, scratch->later, FALSE, scratch->gained);
        }
      if (accesses == 0)
        return 0;
      for (guint c = 0; c < n; c++)
        {
          hits += gained[c + 1];
          out[c] += (double) hits / (double) accesses;
        }
      out[n]++;
    }
  return accesses;
}

static void
mean_of_sums (const double *sums, double *out, gpointer data)
{
  guint n = *(guint *) data;

  for (guint c = 0; c < n; c++)
    out[c] = sums[n] > 0 ? sums[c] / sums[n] : NAN;
}

static void
make_intervals (const Job *job, Scope *scope)
{
  const MsIntervalRule rule = { job->bootstrap->confidence, job->bootstrap->reach };
  gsize row = scope->n_ids + 1;

  scope->intervals = g_new (MsInterval, job->n_curves * scope->n_ids);
  for (guint i = 0; i < job->n_curves; i++)
    {
      MsInterval *intervals = scope->intervals + i * scope->n_ids;

      ms_bootstrap_intervals (job->bootstrap, scope->sums + i * job->bootstrap->n_units * row,
                              (guint) row, mean_of_sums, &scope->n_ids, scope->n_ids, intervals);
      /* Large caches miss rarely; one that holds all experts never, by the convention. */
      for (guint c = 0; c + 1 < scope->n_ids; c++)
        ms_interval_bound (&intervals[c], &rule, 0, 1, 1 / scope->accesses);
    }
}

/* All documents of one scope; ids (T, row). */
static gboolean
run_scope (const MsContext *context, const Job *job, Scope *scope, const guint16 *ids,
           GError **error)
{
  gsize row = scope->n_ids + 1, n_units = job->bootstrap->n_units;
  Scratch scratch = { 0 };
  gboolean fine;

  scope->sums = g_new0 (double, job->n_curves *n_units *row);
  scope->null = g_new0 (double, job->n_curves *row);
  fine = scratch_init (&scratch, job, scope, context->trace, error);
  for (guint d = 0; d < ms_trace_n_documents (context->trace) && fine; d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      MsRequests requests
          = { ids + document->first_token * scope->row, document->n_tokens, scope->row };

      fine = !g_cancellable_set_error_if_cancelled (context->cancel, error);
      scope->accesses += (double) run_document (
          &scratch, job, scope, &requests,
          scope->sums + ms_bootstrap_unit (job->bootstrap, d) * row, n_units * row);
      if (!job->null)
        continue;
      ms_shuffle_rows (requests.ids, requests.n_tokens, requests.width,
                       ms_seed (context->sampling.seed, d), scratch.shuffled);
      requests.ids = scratch.shuffled;
      run_document (&scratch, job, scope, &requests, scope->null, row);
    }
  scratch_clear (&scratch);
  if (fine)
    make_intervals (job, scope);
  return fine;
}

static gboolean
run_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Scope *scope = &job->scopes[index];
  g_autoptr (MsLayerTrace) layer
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);

  if (layer == NULL)
    return FALSE;
  scope->n_ids = layer->n_experts;
  scope->width = scope->row = layer->k;
  return run_scope (context, job, scope, layer->experts, error);
}

/* All layers' experts of a token as one request, in layer order. */
static gboolean
run_model (const MsContext *context, Job *job, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace), most;
  Scope *scope = &job->scopes[n_layers];
  g_autofree guint16 *ids
      = ms_trace_load_side_by_side (context->trace, &most, &scope->n_ids, context->cancel, error);

  if (ids == NULL)
    return FALSE;
  scope->row = n_layers * most;
  for (guint l = 0; l < n_layers; l++)
    scope->width += ms_trace_layer (context->trace, l)->gate.k;
  return run_scope (context, job, scope, ids, error);
}

/* Rows of one scope; layer -1 = the table has no layer column. */
static void
add_scope (MsTable *table, gint64 layer, const Job *job, const Scope *scope)
{
  gsize row = scope->n_ids + 1;
  guint n = scope->n_ids;
  g_autofree double *null = g_new (double, n);

  for (guint i = 0; i < job->n_curves; i++)
    {
      const MsInterval *intervals = scope->intervals + i * n;

      mean_of_sums (scope->null + i * row, null, &n);
      for (guint c = 0; c < n; c++)
        {
          double rho = (double) (c + 1) / scope->width;

          if (layer >= 0)
            ms_table_put (table, MS_INT (layer));
          ms_table_put (table, MS_TEXT (job->labels[i]), MS_INT (c + 1), MS_REAL (rho),
                        MS_INTERVAL (intervals[c]), MS_REAL (null[c]));
          ms_table_end_row (table);
        }
    }
}

/* The mean over layers is a scope as well: its sums are the means of theirs.  Beyond its experts a
 * layer's cache holds them all, so its rate stays that of its last capacity. */
static void
average_scopes (const Job *job, guint n_layers, Scope *mean)
{
  gsize n_rows = (gsize) job->n_curves * job->bootstrap->n_units, row;

  for (guint l = 0; l < n_layers; l++)
    {
      mean->n_ids = MAX (mean->n_ids, job->scopes[l].n_ids);
      mean->width = MAX (mean->width, job->scopes[l].width);
      mean->accesses += job->scopes[l].accesses;
    }
  row = mean->n_ids + 1;
  mean->sums = g_new0 (double, n_rows *row);
  mean->null = g_new0 (double, job->n_curves *row);
  for (guint l = 0; l < n_layers; l++)
    {
      const Scope *scope = &job->scopes[l];
      gsize scope_row = scope->n_ids + 1;

      for (gsize i = 0; i < n_rows + job->n_curves; i++)
        {
          const double *from
              = i < n_rows ? scope->sums + i * scope_row : scope->null + (i - n_rows) * scope_row;
          double *to = i < n_rows ? mean->sums + i * row : mean->null + (i - n_rows) * row;

          for (guint c = 0; c < mean->n_ids; c++)
            to[c] += from[MIN (c, scope->n_ids - 1)] / n_layers;
          to[mean->n_ids] += from[scope->n_ids] / n_layers;
        }
    }
}

static void
summarise (MsResult *result, const Job *job, const Scope *scope)
{
  guint c = MIN (2 * scope->width, scope->n_ids);
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "A cache of %u experts%s hits", c,
                          c == 2 * scope->width ? " (twice the active ones)" : "");
  for (guint i = 0; i < job->n_curves; i++)
    {
      gsize row = scope->n_ids + 1;
      double hits = 0, n = 0;

      for (guint u = 0; u < job->bootstrap->n_units; u++)
        {
          hits += scope->sums[(i * job->bootstrap->n_units + u) * row + c - 1];
          n += scope->sums[(i * job->bootstrap->n_units + u) * row + scope->n_ids];
        }
      g_string_append_printf (text, "%s %.1f %% (%s", i == 0 ? "" : ",", 100 * hits / n,
                              job->labels[i]);
      if (job->null)
        g_string_append_printf (text, "; by chance %.1f",
                                100 * scope->null[i * row + c - 1]
                                    / scope->null[i * row + scope->n_ids]);
      g_string_append_c (text, ')');
    }
  g_string_append_c (text, '.');
  result->summary = g_string_free (text, FALSE);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  guint level = ms_values_choice (context->values, "level");
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  Job job = { .null = ms_values_bool (context->values, "null"), .bootstrap = bootstrap };
  Scope mean = { 0 };
  gboolean fine;

  if (!list_curves (context->values, &job, error))
    return FALSE;
  job.scopes = g_new0 (Scope, n_layers + 1);
  fine = level == LEVEL_MODEL
         || ms_context_tasks (context, n_layers, run_layer, &job, 0,
                              level == LEVEL_BOTH ? 0.3 : 0.9, error);
  fine = fine && (level == LEVEL_LAYER || run_model (context, &job, error));
  if (fine && level != LEVEL_MODEL)
    {
      for (guint l = 0; l < n_layers; l++)
        add_scope (ms_result_table (result, "layers"), ms_trace_layer (context->trace, l)->number,
                   &job, &job.scopes[l]);
      average_scopes (&job, n_layers, &mean);
      make_intervals (&job, &mean);
      add_scope (ms_result_table (result, "mean"), -1, &job, &mean);
    }
  if (fine && level != LEVEL_LAYER)
    add_scope (ms_result_table (result, "model"), -1, &job, &job.scopes[n_layers]);
  if (fine)
    {
      summarise (result, &job, level == LEVEL_MODEL ? &job.scopes[n_layers] : &mean);
      ms_result_note (
          result,
          "Conventions of arXiv 2505.16056: all experts of a token are tested against the "
          "content before the token, the first use of an expert is a hit while the cache is "
          "not full, the cache is emptied between documents. SCH looks ahead and is no "
          "policy one can run; Belady is the best in serial order only.");
    }
  for (guint l = 0; l <= n_layers; l++)
    scope_clear (&job.scopes[l]);
  g_free (job.scopes);
  scope_clear (&mean);
  return fine;
}

const MsAnalysis ms_analysis_hit_rate = {
  .name = "hit-rate",
  .title = "Cache Hit Rate (SCH, CHR)",
  .help
  = "How often would the experts a token needs be in a cache of c experts: the best a segment-wise "
    "look-ahead could do (SCH), and LRU, LFU and Belady (CHR), at all capacities at once?",
  .formula
  = "Hit rate = hits / accesses, mean over documents. SCH evicts the resident with the fewest "
    "uses in the next m tokens (ties: least recently used).",
  .cite = "Not All Models Suit Expert Offloading, arXiv 2505.16056; stack algorithms: "
          "Mattson et al. 1970.",
  .version = 2,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
