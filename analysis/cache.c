/* The cache simulator: what an expert cache of some size and policy would do on this trace, in hits,
 * transfers and time (metrics.md c.1 to c.3).  hit-rate.c has the published SCH and CHR conventions. */
#include "cache-simulator-private.h"
#include "cache-stack-private.h"
#include "predictor-private.h"

#include <math.h>
#include <string.h>

enum
{
  SCOPE_LAYER,
  SCOPE_SHARED,
};

enum
{
  WARM_EMPTY,
  WARM_FIRST,
};

static const char *const mode_choices[] = { "serial", "batch", NULL };
static const char *const scope_choices[] = { "layer", "shared", NULL };
static const char *const warm_choices[] = { "empty", "first", NULL };
static const char *const prefetch_choices[]
    = { "none", "conditional", "frequency", "previous", "activation-matrix", NULL };
static const char *const policy_names[]
    = { "fifo", "lru", "lfu", "lfu_in_cache", "lfu_aging", "sieve", "belady", "static", NULL };

static const MsParam params[] = {
  { "capacities", "Cache slots",
    "Experts of one layer that fit at once, numbers separated by commas; "
    "empty = a range up to all experts",
    "experts", MS_PARAM_TEXT, .usual_text = "" },
  { "policies", "Policies",
    "Separated by commas: fifo, lru, lfu, lfu_in_cache, lfu_aging, sieve, belady, static", NULL,
    MS_PARAM_TEXT, .usual_text = "lru,lfu,belady,static" },
  { "mode", "Mode",
    "serial: every expert is an access of its own, in rank order; batch: the experts of a token "
    "and layer are requested together",
    NULL, MS_PARAM_CHOICE, .choices = mode_choices },
  { "scope", "Scope", "A cache for each layer, or one of capacity x layers for all of them", NULL,
    MS_PARAM_CHOICE, .choices = scope_choices },
  { "reset", "Empty between documents", "Start every document with an empty cache", NULL,
    MS_PARAM_BOOL, .usual = 0 },
  { "warm", "Warm start",
    "What is resident at the start: nothing, or the experts 0, 1, ... (as "
    "mixtral-offloading does)",
    NULL, MS_PARAM_CHOICE, .choices = warm_choices },
  { "warm-set", "Given warm start",
    "CSV file with the columns layer, expert: resident at the start, the oldest first, as many as "
    "fit",
    NULL, MS_PARAM_FILE, .usual_text = "" },
  { "held-out", "Held-out calibration",
    "Choose the static set, and train the prefetch predictor, on the documents of the other parity",
    NULL, MS_PARAM_BOOL, .usual = 1 },
  { "aging", "Aging interval", "lfu_aging halves all counts after so many accesses", "accesses",
    MS_PARAM_INT, 1, 1e9, 1024, .ui_least = 16, .ui_most = 65536 },
  { "prefetch", "Prefetch",
    "Load predicted experts before the layer's router has run: by counts given the layer before, "
    "the layer's most frequent, the token before, or the document with the nearest activation "
    "matrix (MoE-Infinity)",
    NULL, MS_PARAM_CHOICE, .choices = prefetch_choices },
  { "prefetch-experts", "Prefetched experts", "Experts to predict per token; 0 = as many as chosen",
    "experts", MS_PARAM_INT, 0, MS_MAX_EXPERTS, 0, .ui_least = 0, .ui_most = 64 },
  { "library", "Stored matrices", "Documents whose activation matrices are kept to match against",
    "documents", MS_PARAM_INT, 1, 1e6, MS_MATCHES_USUAL, .ui_least = 1, .ui_most = 2000 },
  { "null", "Null value", "Compute the same with each document's tokens in shuffled order", NULL,
    MS_PARAM_BOOL, .usual = 1 },
  { "bandwidth", "Bandwidth", "Of loading experts", "GB/s", MS_PARAM_REAL, 0.001, 1e6, 16,
    .ui_least = 1, .ui_most = 128 },
  { "expert-megabytes", "Expert size", "Of one expert; 0 = as in the model file", "MB",
    MS_PARAM_REAL, 0, 1e6, 0, .ui_least = 0, .ui_most = 1000 },
  { "overlap", "Overlap", "Loading time per layer hidden behind computation", "ms", MS_PARAM_REAL,
    0, 1e6, 0, .ui_least = 0, .ui_most = 20 },
  { 0 },
};

#define COUNT_COLUMNS                                                                              \
  { "policy", "Policy", NULL, MS_COLUMN_TEXT, "Which resident makes room" },                       \
      { "capacity", "Cache slots", "experts", MS_COLUMN_INT,                                       \
        "Experts that fit: per layer, or in the shared cache" },                                   \
      { "accesses", "Accesses", NULL, MS_COLUMN_INT, "Experts asked for" },                        \
      { "hits", "Hits", NULL, MS_COLUMN_INT, "Asked for and resident" },                           \
      { "cold_misses", "Cold misses", NULL, MS_COLUMN_INT, "First access ever to the expert" },    \
      { "capacity_misses", "Capacity misses", NULL, MS_COLUMN_INT, "Other misses" },               \
      { "evictions", "Evictions", NULL, MS_COLUMN_INT, "Residents that made room" },               \
      { "hit_rate", "Hit rate", NULL, MS_COLUMN_REAL, "Hits / accesses" },                         \
      { "low", "Low", NULL, MS_COLUMN_REAL,                                                        \
        "Lower end of the bootstrap interval of the hit rate over documents" },                    \
      { "high", "High", NULL, MS_COLUMN_REAL, "Upper end" },                                       \
      { "warm_hit_rate", "Hit rate, seen before", NULL, MS_COLUMN_REAL,                            \
        "Hits / (accesses - cold misses)" },                                                       \
      { "null_hit_rate", "By chance", NULL, MS_COLUMN_REAL,                                        \
        "Hit rate with each document's tokens in shuffled order" },                                \
      { "loads_per_token", "Loads per token", "experts", MS_COLUMN_REAL,                           \
        "Experts loaded per token, prefetched ones included" },                                    \
      { "megabytes_per_token", "Transfer per token", "MB", MS_COLUMN_REAL,                         \
        "Loads per token x bytes per expert; undefined when the size is unknown" },                \
      { "milliseconds_per_token", "Waiting per token", "ms", MS_COLUMN_REAL,                       \
        "Sum over layers of max (0, loads x bytes / bandwidth - overlap)" },                       \
      { "prefetched", "Prefetched", NULL, MS_COLUMN_INT,                                           \
        "Experts loaded before they were asked for" },                                             \
  {                                                                                                \
    "wasted", "Wasted", NULL, MS_COLUMN_INT, "Prefetched, but not asked for by that token"         \
  }

static const MsTableDef tables[] = {
  { "total", "All layers", (const MsColumn[]){ COUNT_COLUMNS, { 0 } } },
  { "layers", "By layer", (const MsColumn[]){ MS_LAYER_COLUMN, COUNT_COLUMNS, { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "hit-rate",
    .title = "Hit rate by cache size",
    .table = "total",
    .mark = MS_MARK_LINE,
    .x = "capacity",
    .y = "hit_rate",
    .series = "policy",
    .low = "low",
    .high = "high" },
  { .name = "layers",
    .title = "Hit rate by layer",
    .table = "layers",
    .mark = MS_MARK_HEATMAP,
    .x = "capacity",
    .y = "layer",
    .value = "hit_rate",
    .facet = "policy" },
  { .name = "time",
    .title = "Waiting for experts per token",
    .table = "total",
    .mark = MS_MARK_LINE,
    .x = "capacity",
    .y = "milliseconds_per_token",
    .series = "policy" },
  { 0 },
};

#define MAX_CAPACITIES 64

typedef struct
{
  guint n_policies;
  MsCachePolicy policies[G_N_ELEMENTS (policy_names) - 1];
  guint n_capacities;
  guint capacities[MAX_CAPACITIES];
  MsCacheMode mode;
  gboolean reset, warm, held_out, null;
  gboolean shuffle;                        /* this pass is of the null value */
  GArray *warm_set;                        /* of MsExpertValue, NULL = the experts 0, 1, ... */
  guint aging, prefetch, prefetch_experts; /* prefetch: 0 = none, else 1 + MsPredictorKind */
  double load_ms, overlap_ms;              /* time of one load; NaN when unknown */
  double megabytes;                        /* of one expert; NaN when unknown */
  const MsBootstrap *bootstrap;
  const MsMatches *matches;         /* NULL unless prefetching by them */
  struct Outcome *outcomes;         /* (scopes, policies, capacities) of this pass */
  struct Outcome *usual, *shuffled; /* of both passes */
} Job;

typedef struct Outcome
{
  MsCacheCounts counts;
  guint64 prefetched, wasted;
  double waiting; /* ms over all tokens */
  double *units;  /* (U, 2) hits, accesses */
} Outcome;

/* The requests of a scope: every token makes n_parts of them (one per layer in the shared cache). */
typedef struct
{
  const guint16 *ids; /* (T, n_parts, width) */
  guint n_parts, width, n_ids;
  gint64 n_tokens;
  guint16 *warm; /* (n_warm) resident at a warm start */
  guint n_warm;
} Stream;

static void
stream_clear (Stream *stream)
{
  g_free (stream->warm);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Stream, stream_clear)

static gboolean
bad_param (const char *name, const char *word, const char *what, GError **error)
{
  g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM, "--%s: '%s' is no %s", name, word,
               what);
  return FALSE;
}

/* About 16 steps, all of them where there are so few experts, and half of the experts among them: the head of
 * the overview tells that one. */
static void
list_usual_capacities (Job *job, guint most)
{
  guint half = MAX (most / 2, 1), step = MAX (1, most / 16);

  for (guint c = 1; job->n_capacities < MAX_CAPACITIES; c = MIN (most, c + step))
    {
      if (c > half && job->n_capacities > 0 && job->capacities[job->n_capacities - 1] < half)
        job->capacities[job->n_capacities++] = half;
      job->capacities[job->n_capacities++] = c;
      if (c >= most)
        break;
    }
}

static gboolean
read_params (const MsContext *context, Job *job, GError **error)
{
  const MsValues *values = context->values;
  g_auto (GStrv) policies = g_strsplit (ms_values_text (values, "policies"), ",", -1);
  g_auto (GStrv) capacities = g_strsplit (ms_values_text (values, "capacities"), ",", -1);
  double megabytes = ms_values_real (values, "expert-megabytes");
  guint most = 0;

  for (guint i = 0; policies[i] != NULL; i++)
    {
      guint p = 0;

      g_strstrip (policies[i]);
      while (policy_names[p] != NULL && strcmp (policy_names[p], policies[i]) != 0)
        p++;
      if (policy_names[p] == NULL || job->n_policies == G_N_ELEMENTS (job->policies))
        return bad_param ("policies", policies[i],
                          "policy; they are fifo, lru, lfu, lfu_in_cache, lfu_aging, sieve, belady "
                          "and static, each once",
                          error);
      job->policies[job->n_policies++] = (MsCachePolicy) p;
    }
  for (guint l = 0; l < ms_trace_n_layers (context->trace); l++)
    most = MAX (most, ms_trace_layer (context->trace, l)->gate.n_experts);
  for (guint i = 0; capacities[i] != NULL; i++)
    {
      guint64 capacity;

      if (!g_ascii_string_to_unsigned (g_strstrip (capacities[i]), 10, 1, MS_MAX_EXPERTS, &capacity,
                                       NULL)
          || job->n_capacities == MAX_CAPACITIES)
        return bad_param ("capacities", capacities[i],
                          "number of experts from 1 (up to 64 of them)", error);
      job->capacities[job->n_capacities++] = (guint) capacity;
    }
  if (job->n_capacities == 0)
    list_usual_capacities (job, most);
  job->mode = ms_values_choice (values, "mode") == 0 ? MS_CACHE_SERIAL : MS_CACHE_BATCH;
  for (guint i = 0; i < job->n_policies; i++)
    if (job->policies[i] == MS_CACHE_SIEVE && job->mode == MS_CACHE_BATCH)
      return bad_param ("policies", "sieve", "policy of batch mode; add --mode serial", error);
  job->reset = ms_values_bool (values, "reset");
  job->warm = ms_values_choice (values, "warm") == WARM_FIRST;
  if (ms_values_text (values, "warm-set")[0] != '\0')
    {
      g_autofree MsLayer *layers = ms_trace_copy_layers (context->trace);

      job->warm_set = ms_input_load_values (ms_values_text (values, "warm-set"), NULL, 0, 0, layers,
                                            ms_trace_n_layers (context->trace), error);
      if (job->warm_set == NULL)
        return FALSE;
      job->warm = TRUE;
    }
  job->held_out = ms_values_bool (values, "held-out") && ms_trace_n_documents (context->trace) > 1;
  job->null = ms_values_bool (values, "null");
  job->aging = (guint) ms_values_int (values, "aging");
  job->prefetch = ms_values_choice (values, "prefetch");
  job->prefetch_experts = (guint) ms_values_int (values, "prefetch-experts");
  if (job->prefetch > 0 && ms_values_choice (values, "scope") == SCOPE_SHARED)
    return bad_param ("prefetch", prefetch_choices[job->prefetch],
                      "choice for a shared cache; use --scope layer", error);
  job->megabytes
      = megabytes > 0 ? megabytes : (double) ms_trace_model (context->trace)->expert_bytes / 1e6;
  if (job->megabytes == 0)
    job->megabytes = NAN;
  job->load_ms = job->megabytes / ms_values_real (values, "bandwidth");
  job->overlap_ms = ms_values_real (values, "overlap");
  return TRUE;
}

/* The `capacity` most frequent ids of the documents of the other parity (or of all), ties to the lower. */
static void
choose_static (MsTrace *trace, const Stream *stream, gboolean held_out, guint parity,
               guint capacity, guint16 *ids)
{
  g_autofree guint64 *count = g_new0 (guint64, stream->n_ids);
  gsize width = (gsize) stream->n_parts * stream->width;

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);
      const guint16 *row = stream->ids + (gsize) document->first_token * width;

      if (held_out && d % 2 == parity)
        continue;
      for (gsize i = 0; i < (gsize) document->n_tokens * width; i++)
        if (row[i] != MS_NO_EXPERT)
          count[row[i]]++;
    }
  for (guint i = 0; i < capacity; i++)
    {
      guint best = G_MAXUINT;

      for (guint e = 0; e < stream->n_ids; e++)
        if (count[e] != G_MAXUINT64 && (best == G_MAXUINT || count[e] > count[best]))
          best = e;
      ids[i] = (guint16) best;
      count[best] = G_MAXUINT64;
    }
}

/* One policy and capacity over the whole stream.  layers[0] is the stream's layer and before the one
 * below it when experts are prefetched. */
static gboolean
simulate (const MsContext *context, const Job *job, const Stream *stream, MsCachePolicy policy,
          guint capacity, const guint32 *later, MsPredictor *predictor, Outcome *out,
          GError **error)
{
  gsize width = (gsize) stream->n_parts * stream->width;
  guint n_caches = policy == MS_CACHE_STATIC && job->held_out ? 2 : 1;
  MsCache *caches[2] = { NULL, NULL };
  g_autofree guint16 *content = NULL;
  g_autofree guint16 *predicted = g_new (guint16, stream->n_ids + stream->width);
  gboolean fine = TRUE;
  guint n_warm;

  capacity = MIN (capacity, stream->n_ids);
  n_warm = policy == MS_CACHE_STATIC ? capacity : MIN (capacity, stream->n_warm);
  content = g_new (guint16, capacity + 1);
  for (guint i = 0; i < n_caches; i++)
    {
      caches[i] = ms_cache_new (policy, job->mode, stream->n_ids, capacity, job->aging);
      if (policy == MS_CACHE_STATIC)
        choose_static (context->trace, stream, job->held_out, i, capacity, content);
      else
        memcpy (content, stream->warm, n_warm * sizeof *content);
      if (policy == MS_CACHE_STATIC || job->warm)
        ms_cache_warm (caches[i], content, n_warm);
    }
  for (guint d = 0; d < ms_trace_n_documents (context->trace) && fine; d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      MsCache *cache = caches[n_caches == 2 ? d % 2 : 0];
      MsCacheCounts before = *ms_cache_counts (cache);
      double *unit = out->units + (gsize) ms_bootstrap_unit (job->bootstrap, d) * 2;

      fine = !g_cancellable_set_error_if_cancelled (context->cancel, error);
      if (job->reset && policy != MS_CACHE_STATIC && d > 0)
        {
          ms_cache_reset (cache);
          if (job->warm)
            ms_cache_warm (cache, content, n_warm);
        }
      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens && fine;
           t++)
        for (guint part = 0; part < stream->n_parts; part++)
          {
            gsize at = (gsize) t * width + (gsize) part * stream->width;
            const guint16 *ids = stream->ids + at;
            guint loads = 0;

            if (predictor != NULL)
              {
                guint n = ms_predictor_predict (predictor, d, t, predicted);

                for (guint i = 0; i < MIN (n, capacity); i++)
                  if (ms_cache_prefetch (cache, predicted[i]))
                    {
                      gboolean used = FALSE;

                      for (guint r = 0; r < stream->width; r++)
                        used = used || ids[r] == predicted[i];
                      out->prefetched++;
                      out->wasted += !used;
                    }
              }
            loads += ms_cache_request (cache, ids, stream->width, later != NULL ? later + at : NULL,
                                       NULL);
            out->waiting += MAX (0.0, loads * job->load_ms - job->overlap_ms);
          }
      unit[0] += (double) (ms_cache_counts (cache)->hits - before.hits);
      unit[1] += (double) (ms_cache_counts (cache)->accesses - before.accesses);
    }
  for (guint i = 0; i < n_caches; i++)
    {
      const MsCacheCounts *counts = ms_cache_counts (caches[i]);

      out->counts.accesses += counts->accesses;
      out->counts.hits += counts->hits;
      out->counts.cold_misses += counts->cold_misses;
      out->counts.capacity_misses += counts->capacity_misses;
      out->counts.evictions += counts->evictions;
      ms_cache_free (caches[i]);
    }
  return fine;
}

/* Whether one pass over a stack gives all capacities of the policy as they would be simulated. */
static gboolean
is_stack (const Job *job, const Stream *stream, MsCachePolicy policy)
{
  return job->mode == MS_CACHE_SERIAL && !job->warm && job->prefetch == 0 && !(job->overlap_ms > 0)
         && (policy == MS_CACHE_LRU || policy == MS_CACHE_LFU || policy == MS_CACHE_BELADY)
         && ms_stack_fits (stream->n_ids, stream->n_tokens, stream->n_parts * stream->width);
}

/* What one document does to a cache. */
static void
add_document (const Job *job, guint document, guint64 accesses, guint64 hits, guint64 cold,
              guint64 evictions, Outcome *out)
{
  double *unit = out->units + (gsize) ms_bootstrap_unit (job->bootstrap, document) * 2;

  out->counts.accesses += accesses;
  out->counts.hits += hits;
  out->counts.cold_misses += cold;
  out->counts.capacity_misses += accesses - hits - cold;
  out->counts.evictions += evictions;
  out->waiting = (double) (out->counts.accesses - out->counts.hits) * job->load_ms;
  unit[0] += (double) hits;
  unit[1] += (double) accesses;
}

/* values (n) become the sums up to each. */
static void
add_up (guint64 *values, guint n)
{
  for (guint i = 1; i < n; i++)
    values[i] += values[i - 1];
}

G_STATIC_ASSERT (G_N_ELEMENTS (((Job *) NULL)->policies) <= MS_STACK_CURVES);

/* All policies that are stacks, at all capacities, in one pass; outcomes (policies, capacities). */
static gboolean
simulate_stacks (const MsContext *context, const Job *job, const Stream *stream,
                 guint capacity_factor, const guint32 *later, Outcome *outcomes, GError **error)
{
  gsize width = (gsize) stream->n_parts * stream->width, row = stream->n_ids + 1;
  MsStackCurve curves[MS_STACK_CURVES] = { 0 };
  guint policies[MS_STACK_CURVES], n = 0;
  g_autoptr (MsStack) stack = NULL;
  g_autofree guint64 *gained = NULL;

  for (guint p = 0; p < job->n_policies; p++)
    if (is_stack (job, stream, job->policies[p]))
      {
        curves[n].policy = job->policies[p] == MS_CACHE_LRU   ? MS_STACK_LRU
                           : job->policies[p] == MS_CACHE_LFU ? MS_STACK_LFU
                                                              : MS_STACK_BELADY;
        policies[n++] = p;
      }
  if (n == 0)
    return TRUE;
  stack = ms_stack_new (curves, n, stream->n_ids, stream->n_tokens, (guint) width);
  gained = g_new (guint64, n * row);
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      gsize at = (gsize) document->first_token * width;
      MsRequests requests = { stream->ids + at, document->n_tokens, (guint) width };
      guint before, seen;
      guint64 accesses;

      if (g_cancellable_set_error_if_cancelled (context->cancel, error))
        return FALSE;
      if (job->reset)
        ms_stack_reset (stack);
      before = ms_stack_seen (stack);
      memset (gained, 0, n * row * sizeof *gained);
      accesses = ms_stack_run (stack, &requests, later != NULL ? later + at : NULL, TRUE, gained);
      seen = ms_stack_seen (stack);
      for (guint i = 0; i < n; i++)
        {
          add_up (gained + i * row, (guint) row);
          for (guint c = 0; c < job->n_capacities; c++)
            {
              guint capacity = MIN (job->capacities[c] * capacity_factor, stream->n_ids);
              guint64 hits = gained[i * row + capacity];
              guint filled = MIN (capacity, seen) - MIN (capacity, before);

              add_document (job, d, accesses, hits, seen - before, accesses - hits - filled,
                            &outcomes[policies[i] * job->n_capacities + c]);
            }
        }
    }
  return TRUE;
}

/* The static cache at all capacities in one pass: an access hits from the place of its id in the order of
 * calibration on.  outcomes (capacities). */
static gboolean
simulate_static (const MsContext *context, const Job *job, const Stream *stream,
                 guint capacity_factor, Outcome *outcomes, GError **error)
{
  gsize width = (gsize) stream->n_parts * stream->width, row = stream->n_ids + 1;
  guint n_orders = job->held_out ? 2 : 1;
  g_autofree guint16 *order = g_new (guint16, stream->n_ids);
  g_autofree guint32 *least = g_new (guint32, n_orders * row); /* capacity that holds an id */
  g_autofree guint8 *seen = g_new0 (guint8, n_orders * row);
  g_autofree guint64 *hits = g_new (guint64, row), *firsts = g_new (guint64, row);

  for (guint i = 0; i < n_orders; i++)
    {
      choose_static (context->trace, stream, job->held_out, i, stream->n_ids, order);
      for (guint place = 0; place < stream->n_ids; place++)
        least[i * row + order[place]] = place + 1;
    }
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      const guint16 *ids = stream->ids + (gsize) document->first_token * width;
      gsize own = d % n_orders * row;

      if (g_cancellable_set_error_if_cancelled (context->cancel, error))
        return FALSE;
      memset (hits, 0, row * sizeof *hits);
      memset (firsts, 0, row * sizeof *firsts);
      for (gsize i = 0; i < (gsize) document->n_tokens * width; i++)
        if (ids[i] != MS_NO_EXPERT)
          {
            hits[least[own + ids[i]]]++;
            firsts[least[own + ids[i]]] += !seen[own + ids[i]];
            seen[own + ids[i]] = 1;
          }
      add_up (hits, (guint) row);
      add_up (firsts, (guint) row);
      for (guint c = 0; c < job->n_capacities; c++)
        {
          guint capacity = MIN (job->capacities[c] * capacity_factor, stream->n_ids);

          add_document (job, d, hits[stream->n_ids], hits[capacity],
                        firsts[stream->n_ids] - firsts[capacity], 0, &outcomes[c]);
        }
    }
  return TRUE;
}

/* All policies and capacities of one scope into outcomes (policies, capacities). */
static gboolean
simulate_all (const MsContext *context, const Job *job, const Stream *stream, guint capacity_factor,
              MsPredictor *predictor, Outcome *outcomes, GError **error)
{
  gsize n = (gsize) stream->n_tokens * stream->n_parts * stream->width;
  g_autofree guint32 *later = NULL;

  for (guint i = 0; i < job->n_policies * job->n_capacities; i++)
    outcomes[i].units = g_new0 (double, (gsize) job->bootstrap->n_units * 2);
  for (guint p = 0; p < job->n_policies; p++)
    if (job->policies[p] == MS_CACHE_BELADY && later == NULL)
      {
        g_autofree guint32 *next = g_new (guint32, stream->n_ids);

        later = g_new0 (guint32, n + 1);
        ms_cache_find_later (stream->ids, n, stream->n_ids, later, next);
      }
  if (!simulate_stacks (context, job, stream, capacity_factor, later, outcomes, error))
    return FALSE;
  for (guint p = 0; p < job->n_policies; p++)
    {
      MsCachePolicy policy = job->policies[p];
      Outcome *out = &outcomes[p * job->n_capacities];

      if (policy == MS_CACHE_STATIC && !(job->overlap_ms > 0))
        {
          if (!simulate_static (context, job, stream, capacity_factor, out, error))
            return FALSE;
          continue;
        }
      for (guint c = 0; c < job->n_capacities && !is_stack (job, stream, policy); c++)
        if (!simulate (context, job, stream, policy, job->capacities[c] * capacity_factor,
                       policy == MS_CACHE_BELADY ? later : NULL, predictor, &out[c], error))
          return FALSE;
    }
  return TRUE;
}

/* Puts the tokens of every document in random order, the same in every layer: what is about the layers
 * of a token stays, what is about its neighbours goes.  ids (T, width). */
static void
shuffle_tokens (const MsContext *context, guint16 *ids, gsize width)
{
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      guint16 *rows = ids + (gsize) document->first_token * width;
      g_autofree guint16 *was = g_memdup2 (rows, (gsize) document->n_tokens * width * sizeof *rows);

      ms_shuffle_rows (was, document->n_tokens, (guint) width, ms_seed (context->sampling.seed, d),
                       rows);
    }
}

static void
shuffle_layer (const MsContext *context, MsLayerTrace *layer)
{
  shuffle_tokens (context, layer->experts, layer->k);
}

static MsLayerTrace *
load_layer (const MsContext *context, const Job *job, guint index, GError **error)
{
  MsLayerTrace *layer
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);

  if (layer != NULL && job->shuffle)
    shuffle_layer (context, layer);
  return layer;
}

/* What is resident at a warm start of layers first..first+n-1 side by side. */
static void
list_warm (const MsContext *context, const Job *job, guint first, guint n, Stream *stream)
{
  g_autofree guint8 *listed = g_new0 (guint8, stream->n_ids);

  stream->warm = g_new (guint16, stream->n_ids);
  if (job->warm_set == NULL)
    for (guint id = 0; id < stream->n_ids; id++)
      stream->warm[stream->n_warm++] = (guint16) id;
  for (guint i = 0; job->warm_set != NULL && i < job->warm_set->len; i++)
    {
      const MsExpertValue *value = &g_array_index (job->warm_set, MsExpertValue, i);
      guint id = value->expert;

      if (value->layer < first || value->layer >= first + n)
        continue;
      for (guint l = first; l < value->layer; l++)
        id += ms_trace_layer (context->trace, l)->gate.n_experts;
      if (!listed[id])
        stream->warm[stream->n_warm++] = (guint16) id;
      listed[id] = TRUE;
    }
}

static gboolean
simulate_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  g_autoptr (MsLayerTrace) layer = load_layer (context, job, index, error);
  g_autoptr (MsLayerTrace) before = NULL;
  g_autoptr (MsPredictor) predictor = NULL;
  MsPredictorKind kind = (MsPredictorKind) (job->prefetch - 1);
  gboolean from_above = kind == MS_PREDICT_CONDITIONAL || kind == MS_PREDICT_MATRIX;
  g_auto (Stream) stream = { 0 };

  if (layer == NULL)
    return FALSE;
  if (job->prefetch > 0 && kind == MS_PREDICT_CONDITIONAL && index > 0)
    {
      before = load_layer (context, job, index - 1, error);
      if (before == NULL)
        return FALSE;
    }
  if (job->prefetch > 0 && (!from_above || index > 0))
    {
      MsPredictorInput input
          = { context->trace, index, layer, before, job->matches, job->held_out };

      predictor = ms_predictor_new (kind, &input,
                                    job->prefetch_experts > 0 ? job->prefetch_experts : layer->k);
    }
  stream = (Stream){ layer->experts, 1, layer->k, layer->n_experts, layer->n_tokens, NULL, 0 };
  list_warm (context, job, index, 1, &stream);
  return simulate_all (context, job, &stream, 1, predictor,
                       job->outcomes + (gsize) index * job->n_policies * job->n_capacities, error);
}

static gboolean
simulate_shared (const MsContext *context, Job *job, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  g_auto (Stream) stream = { .n_parts = n_layers, .n_tokens = ms_trace_n_tokens (context->trace) };
  g_autofree guint16 *ids = ms_trace_load_side_by_side (context->trace, &stream.width,
                                                        &stream.n_ids, context->cancel, error);

  if (ids == NULL)
    return FALSE;
  if (job->shuffle)
    shuffle_tokens (context, ids, (gsize) n_layers * stream.width);
  stream.ids = ids;
  list_warm (context, job, 0, n_layers, &stream);
  return simulate_all (context, job, &stream, n_layers, NULL, job->outcomes, error);
}

static void
rate_of_sums (const double *sums, double *out, gpointer data)
{
  (void) data;
  *out = sums[1] > 0 ? sums[0] / sums[1] : NAN;
}

static double
add_row (MsTable *table, gint64 layer, const Job *job, MsCachePolicy policy, guint capacity,
         gint64 n_tokens, const Outcome *o, const Outcome *null)
{
  double tokens = n_tokens > 0 ? (double) n_tokens : NAN;
  double loads = (double) (o->counts.accesses - o->counts.hits + o->prefetched) / tokens;
  MsInterval rate;
  double seen_before = (double) (o->counts.accesses - o->counts.cold_misses);
  double chance = null != NULL && null->counts.accesses > 0
                      ? (double) null->counts.hits / (double) null->counts.accesses
                      : NAN;

  ms_bootstrap_rates (job->bootstrap, o->units, 2, rate_of_sums, NULL, 1, &rate);
  if (layer >= 0)
    ms_table_put (table, MS_INT (layer));
  ms_table_put (table, MS_TEXT (policy_names[policy]), MS_INT (capacity),
                MS_INT (o->counts.accesses), MS_INT (o->counts.hits),
                MS_INT (o->counts.cold_misses), MS_INT (o->counts.capacity_misses),
                MS_INT (o->counts.evictions), MS_INTERVAL (rate),
                MS_REAL (seen_before > 0 ? (double) o->counts.hits / seen_before : NAN),
                MS_REAL (chance), MS_REAL (loads), MS_REAL (loads * job->megabytes),
                MS_REAL (o->waiting / tokens), MS_INT (o->prefetched), MS_INT (o->wasted));
  ms_table_end_row (table);
  return rate.value;
}

static void
summarise (MsResult *result, const Job *job, guint capacity, const double *rates)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "With %u cache slots%s the hit rate is", capacity,
                          job->mode == MS_CACHE_BATCH ? " (batch)" : "");
  for (guint p = 0; p < job->n_policies; p++)
    g_string_append_printf (text, "%s %.1f %% (%s)", p == 0 ? "" : ",", 100 * rates[p],
                            policy_names[job->policies[p]]);
  g_string_append_c (text, '.');
  result->summary = g_string_free (text, FALSE);
}

/* Adds the outcome of a layer to the total. */
static void
add_outcome (const Job *job, Outcome *total, const Outcome *layer)
{
  total->counts.accesses += layer->counts.accesses;
  total->counts.hits += layer->counts.hits;
  total->counts.cold_misses += layer->counts.cold_misses;
  total->counts.capacity_misses += layer->counts.capacity_misses;
  total->counts.evictions += layer->counts.evictions;
  total->prefetched += layer->prefetched;
  total->wasted += layer->wasted;
  total->waiting += layer->waiting;
  for (guint i = 0; i < 2 * job->bootstrap->n_units; i++)
    total->units[i] += layer->units[i];
}

/* The capacity that the sentence is about: half of the largest where it is among them. */
static guint
middle_of (const Job *job)
{
  guint most = 0;

  for (guint c = 0; c < job->n_capacities; c++)
    most = MAX (most, job->capacities[c]);
  for (guint c = 0; c < job->n_capacities; c++)
    if (job->capacities[c] == MAX (most / 2, 1))
      return c;
  return job->n_capacities / 2;
}

static void
fill_tables (const MsContext *context, MsResult *result, const Job *job, gboolean shared)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  gint64 n_tokens = ms_trace_n_tokens (context->trace);
  guint shown = middle_of (job);
  g_autofree double *rates = g_new0 (double, job->n_policies);

  for (guint p = 0; p < job->n_policies; p++)
    for (guint c = 0; c < job->n_capacities; c++)
      {
        g_autofree double *units = g_new0 (double, (gsize) job->bootstrap->n_units * 2);
        g_autofree double *null_units = g_new0 (double, (gsize) job->bootstrap->n_units * 2);
        Outcome total = { .units = units }, null = { .units = null_units };
        double rate;

        for (guint l = 0; l < (shared ? 1 : n_layers); l++)
          {
            gsize at = ((gsize) l * job->n_policies + p) * job->n_capacities + c;
            const Outcome *o = &job->usual[at];

            add_outcome (job, &total, o);
            if (job->null)
              add_outcome (job, &null, &job->shuffled[at]);
            if (!shared)
              add_row (ms_result_table (result, "layers"),
                       ms_trace_layer (context->trace, l)->number, job, job->policies[p],
                       job->capacities[c], n_tokens, o, job->null ? &job->shuffled[at] : NULL);
          }
        rate = add_row (ms_result_table (result, "total"), -1, job, job->policies[p],
                        job->capacities[c] * (shared ? n_layers : 1), n_tokens, &total,
                        job->null ? &null : NULL);
        if (c == shown)
          rates[p] = rate;
      }
  summarise (result, job, job->capacities[shown] * (shared ? n_layers : 1), rates);
}

/* One pass: as the tokens are, or shuffled for the null value. */
static gboolean
simulate_pass (const MsContext *context, Job *job, gboolean shuffle, gboolean shared,
               Outcome *outcomes, double from, double to, GError **error)
{
  g_autoptr (MsMatches) matches = NULL;
  gboolean fine = TRUE;

  job->shuffle = shuffle;
  job->outcomes = outcomes;
  if (job->prefetch == 1 + MS_PREDICT_MATRIX)
    {
      matches = ms_matches_new (context, (guint) ms_values_int (context->values, "library"),
                                job->held_out, shuffle ? shuffle_layer : NULL, error);
      fine = matches != NULL;
    }
  job->matches = matches;
  return fine
         && (shared ? simulate_shared (context, job, error)
                    : ms_context_tasks (context, ms_trace_n_layers (context->trace), simulate_layer,
                                        job, from, to, error));
}

static void
add_notes (MsResult *result, const Job *job)
{
  ms_result_note (
      result, "%s mode; the cache %s; %s.", mode_choices[job->mode == MS_CACHE_BATCH ? 1 : 0],
      job->reset ? "is emptied between documents" : "lives on between documents",
      job->held_out ? "static sets and predictors come from the documents of the other parity"
                    : "static sets and predictors come from the trace itself");
  if (job->null)
    ms_result_note (result, "Null: one shuffle of each document's tokens, alike in all layers.");
  if (job->prefetch == 1 + MS_PREDICT_MATRIX)
    ms_result_note (result,
                    "Activation matrices are matched as MoE-Infinity's code does, by the rows of "
                    "the layers still to come; the first layer is not predicted.");
  if (isnan (job->megabytes))
    ms_result_note (result, "The size of an expert is unknown: give --expert-megabytes for "
                            "transfers and time.");
  if (job->mode == MS_CACHE_BATCH)
    ms_result_note (result, "Belady's rule is a bound in serial mode only.");
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  gboolean shared = ms_values_choice (context->values, "scope") == SCOPE_SHARED;
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  Job job = { .bootstrap = bootstrap };
  gsize n_outcomes;
  gboolean fine;

  if (!read_params (context, &job, error))
    {
      g_clear_pointer (&job.warm_set, g_array_unref);
      return FALSE;
    }
  n_outcomes = (gsize) (shared ? 1 : n_layers) * job.n_policies * job.n_capacities;
  job.usual = g_new0 (Outcome, n_outcomes);
  job.shuffled = g_new0 (Outcome, n_outcomes);
  fine = simulate_pass (context, &job, FALSE, shared, job.usual, 0, job.null ? 0.5 : 0.95, error)
         && (!job.null
             || simulate_pass (context, &job, TRUE, shared, job.shuffled, 0.5, 0.95, error));
  if (fine)
    {
      fill_tables (context, result, &job, shared);
      add_notes (result, &job);
    }
  for (gsize i = 0; i < n_outcomes; i++)
    {
      g_free (job.usual[i].units);
      g_free (job.shuffled[i].units);
    }
  g_clear_pointer (&job.warm_set, g_array_unref);
  g_free (job.usual);
  g_free (job.shuffled);
  return fine;
}

const MsAnalysis ms_analysis_cache = {
  .name = "cache",
  .title = "Cache Simulator",
  .help
  = "How many expert loads, and how much waiting, would a cache of experts of some size and policy "
    "cost on this trace?",
  .formula
  = "Hit rate = hits / accesses; waiting per token = sum over layers of max (0, loads x bytes / "
    "bandwidth - overlap).",
  .cite = "Belady 1966; SIEVE: Zhang et al., NSDI 2024; mixtral-offloading (--mode batch "
          "--warm first --policies lru); MoE-Infinity, arXiv 2401.14361 (--prefetch "
          "activation-matrix); the simulator around them is our own.",
  .version = 5,
  .live = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
