/* Cross-lingual alignment (metrics.md e.1): how differently translations of the same passages are routed.
 *
 * Every (language, passage) has one distribution over the experts of a layer: the mean over its tokens
 * of a routing distribution.  Divergences are taken passage by passage and then averaged.  Golden:
 * multilingual_divergence. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

/* Constants of the published formula. */
#define LEAST_MIDDLE 1e-10
#define LEAST_ROOM   1e-6
#define LEAST_SUM    1e-20
/* Tokens of the blocks that the floor deals to halves; fewer where a document has not four blocks. */
#define FLOOR_BLOCK 8

enum
{
  CHOICE_WEIGHTS,
  CHOICE_SCORES,
  CHOICE_TOP_K,
  CHOICE_COUNTS
};
static const char *const choices[] = { "weights", "scores", "top-k", "counts", NULL };
static const char *const choice_names[] = {
  "recorded weights of the chosen experts, renormalised to 1",
  "full router probabilities",
  "router scores at or above the k-th largest, renormalised to 1 (ties keep more than k)",
  "counts of the chosen experts",
};

enum
{
  SCORING_AUTO, /* the others are words of ms_scoring_parse */
  SCORING_SOFTMAX,
  SCORING_SIGMOID
};
static const char *const scorings[] = { "auto", "softmax", "sigmoid", NULL };

typedef struct
{
  gint64 block;
  guint n_experts, k;
  double *halves;       /* (X, M, 2, E) sums of a cell's blocks of even and of odd number */
  gint64 *half_tokens;  /* (X, M, 2) */
  double *q;            /* (X, M, E) */
  gint64 *tokens;       /* (X, M) that have a distribution */
  double *entropy;      /* (X, M) of the formula */
  double *self;         /* (X, M) sum of q ln q */
  MsInterval *pairs;    /* (P) entropy-normalised divergence of each pair of languages */
  double *js;           /* (P) */
  double *floors;       /* (P) divergence that so short passages show without any difference */
  guint *n_passages;    /* (P) */
  MsInterval mean;      /* over the languages, from the pivot */
  double *nulls;        /* (X) divergence from the pivot under random pairing */
  double *p;            /* (X) */
  double excess;        /* of mean over the mean floor */
  double same;          /* divergence of different passages of the pivot */
  double *pivot_means;  /* (E) */
  double *pivot_spread; /* (E) */
} Layer;

typedef struct
{
  const MsGroups *languages, *passages;
  MsBootstrap *bootstrap;
  guint n_languages, n_passages, n_pairs, pivot; /* X, M, P */
  guint choice, n_shuffles, n_layers;
  MsScoring scoring; /* said by the parameter; unknown: as the layer's gate says */
  double sigma;
  Layer *layers; /* (n_layers) */
} Languages;

static void
clear_languages (Languages *all)
{
  for (guint i = 0; i < all->n_layers; i++)
    {
      Layer *layer = &all->layers[i];

      g_free (layer->halves);
      g_free (layer->half_tokens);
      g_free (layer->floors);
      g_free (layer->q);
      g_free (layer->tokens);
      g_free (layer->entropy);
      g_free (layer->self);
      g_free (layer->pairs);
      g_free (layer->js);
      g_free (layer->n_passages);
      g_free (layer->nulls);
      g_free (layer->p);
      g_free (layer->pivot_means);
      g_free (layer->pivot_spread);
    }
  g_free (all->layers);
  ms_bootstrap_free (all->bootstrap);
}

/* Index of the pair of different languages a, b. */
static guint
pair_index (guint n, guint a, guint b)
{
  guint low = MIN (a, b), high = MAX (a, b);

  return low * n - low * (low + 1) / 2 + high - low - 1;
}

/* --- The distributions ----------------------------------------------------------------------- */

typedef struct
{
  const Languages *all;
  const MsTrace *trace;
  guint index; /* of the layer in the trace */
  Layer *layer;
  double *r; /* (E) of one token */
} Scan;

/* Turns the scores (E) of one token into the distribution r (E); FALSE when there is none. */
static gboolean
distribute_scores (const Scan *scan, const float *scores)
{
  const Languages *all = scan->all;
  guint n = scan->layer->n_experts, k = MIN (scan->layer->k, n);
  MsGate said = { .scoring = all->scoring, .n_experts = n };
  double sum = 0, bound = INFINITY;

  if (all->scoring != MS_SCORING_UNKNOWN && !ms_trace_run (scan->trace)->probabilities)
    ms_gate_distribution (&said, scores, scan->r);
  else
    ms_trace_distribution (scan->trace, scan->index, scores, scan->r);
  for (guint e = 0; e < n; e++)
    if (!isfinite (scan->r[e]))
      return FALSE;
  if (all->choice != CHOICE_TOP_K)
    return TRUE;
  /* The k-th largest, counting equal ones: step down from value to value. */
  for (guint found = 0; found < k;)
    {
      double next = -INFINITY;

      for (guint e = 0; e < n; e++)
        if (scan->r[e] < bound)
          next = MAX (next, scan->r[e]);
      bound = next;
      for (guint e = 0; e < n; e++)
        found += scan->r[e] == bound;
    }
  sum = 0;
  for (guint e = 0; e < n; e++)
    sum += scan->r[e] >= bound ? scan->r[e] : 0;
  for (guint e = 0; e < n; e++)
    scan->r[e] = scan->r[e] >= bound ? scan->r[e] / (sum + LEAST_SUM) : 0;
  return TRUE;
}

static gboolean
add_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
          GError **error)
{
  const Scan *scan = data;
  const Languages *all = scan->all;
  Layer *layer = scan->layer;
  int language = all->languages->group[document], passage = all->passages->group[document];
  gsize cell = (gsize) MAX (language, 0) * all->n_passages + (gsize) MAX (passage, 0);
  gint64 n_tokens = ms_trace_document (scan->trace, document)->n_tokens;
  gint64 block = CLAMP (n_tokens / 4, 1, FLOOR_BLOCK);

  (void) row, (void) error;
  if (language < 0 || passage < 0)
    return TRUE;
  for (gsize i = from; i < (gsize) from + n; i++)
    {
      gsize half = 2 * cell + (gsize) (layer->tokens[cell] / block % 2);
      double *q = layer->halves + half * layer->n_experts, sum = 0;

      if (all->choice == CHOICE_SCORES || all->choice == CHOICE_TOP_K)
        {
          if (!distribute_scores (scan, chunk->logits + i * layer->n_experts))
            continue;
          for (guint e = 0; e < layer->n_experts; e++)
            q[e] += scan->r[e];
          layer->tokens[cell]++;
          layer->half_tokens[half]++;
          continue;
        }
      for (guint r = 0; r < chunk->k; r++)
        if (ms_chunk_expert (chunk, i * chunk->k + r) < layer->n_experts)
          sum += all->choice == CHOICE_COUNTS ? 1 : (double) chunk->weights[i * chunk->k + r];
      if (!(sum > 0))
        continue;
      for (guint r = 0; r < chunk->k; r++)
        {
          guint e = ms_chunk_expert (chunk, i * chunk->k + r);

          if (e < layer->n_experts)
            q[e] += (all->choice == CHOICE_COUNTS ? 1 : (double) chunk->weights[i * chunk->k + r])
                    / sum;
        }
      layer->tokens[cell]++;
      layer->half_tokens[half]++;
    }
  return TRUE;
}

/* The entropy of the published formula, and sum q ln q, of a distribution (E). */
static void
describe (const double *q, guint n, double *entropy, double *self)
{
  *entropy = *self = 0;
  for (guint e = 0; e < n; e++)
    {
      *entropy -= q[e] * log (q[e] + LEAST_MIDDLE);
      if (q[e] > 0)
        *self += q[e] * log (q[e]);
    }
}

static void
finish_cells (const Languages *all, Layer *layer)
{
  guint n = layer->n_experts;

  for (gsize cell = 0; cell < (gsize) all->n_languages * all->n_passages; cell++)
    {
      const double *even = layer->halves + 2 * cell * n, *odd = even + n;
      double *q = layer->q + cell * n;

      if (layer->tokens[cell] == 0)
        continue;
      for (guint e = 0; e < n; e++)
        q[e] = (even[e] + odd[e]) / (double) layer->tokens[cell];
      describe (q, n, &layer->entropy[cell], &layer->self[cell]);
    }
}

/* --- Divergences ----------------------------------------------------------------------------- */

/* The entropy-normalised divergence of q and r (E), and *js; entropy and self are sums over both. */
static double
diverge_of (const double *q, const double *r, guint n, double entropy, double self, double *js)
{
  double cross = 0;

  for (guint e = 0; e < n; e++)
    if (q[e] + r[e] > 0)
      cross += (q[e] + r[e]) / 2 * log (MAX ((q[e] + r[e]) / 2, LEAST_MIDDLE));
  *js = MAX (self / 2 - cross, 0);
  return *js / MAX (log (n) - entropy / 2, LEAST_ROOM);
}

/* The divergence of two cells, and *js; FALSE when one has no token. */
static gboolean
diverge (const Layer *layer, gsize a, gsize b, double *divergence, double *js)
{
  guint n = layer->n_experts;

  if (layer->tokens[a] == 0 || layer->tokens[b] == 0)
    return FALSE;
  *divergence
      = diverge_of (layer->q + a * n, layer->q + b * n, n, layer->entropy[a] + layer->entropy[b],
                    layer->self[a] + layer->self[b], js);
  return TRUE;
}

/* What two cells would show without any difference: both texts pooled and parted in two, the even blocks of
 * one with the odd blocks of the other, so that both parts hold as much of either language and of the passage's
 * begin and end.  Blocks of neighbours stay together, as neighbours are alike.  scratch (2, E).  NaN when a
 * part has no token. */
static double
measure_floor (const Layer *layer, gsize a, gsize b, double *scratch)
{
  guint n = layer->n_experts;
  double entropy = 0, self = 0, js;

  for (guint part = 0; part < 2; part++)
    {
      gsize own = 2 * a + part, other = 2 * b + 1 - part;
      double tokens = (double) (layer->half_tokens[own] + layer->half_tokens[other]);
      double one_entropy, one_self;

      if (!(tokens > 0))
        return NAN;
      for (guint e = 0; e < n; e++)
        scratch[part * n + e]
            = (layer->halves[own * n + e] + layer->halves[other * n + e]) / tokens;
      describe (scratch + part * n, n, &one_entropy, &one_self);
      entropy += one_entropy;
      self += one_self;
    }
  return diverge_of (scratch, scratch + n, n, entropy, self, &js);
}

/* From (sum of divergences, passages) of each pair: their means (P), then that over the languages from the
 * pivot. */
static void
make_means (const double *sums, double *out, gpointer data)
{
  const Languages *all = data;
  double sum = 0, n = 0;

  for (guint p = 0; p < all->n_pairs; p++)
    out[p] = sums[2 * p + 1] > 0 ? sums[2 * p] / sums[2 * p + 1] : NAN;
  for (guint x = 0; x < all->n_languages; x++)
    if (x != all->pivot)
      {
        double one = out[pair_index (all->n_languages, all->pivot, x)];

        sum += isnan (one) ? 0 : one;
        n += !isnan (one);
      }
  out[all->n_pairs] = n > 0 ? sum / n : NAN;
}

static void
measure_pairs (const Languages *all, Layer *layer)
{
  guint n = all->n_languages, width = 2 * all->n_pairs;
  g_autofree double *sums = g_new0 (double, (gsize) all->bootstrap->n_units *width);
  g_autofree MsInterval *intervals = g_new (MsInterval, all->n_pairs + 1);
  g_autofree double *scratch = g_new (double, 2 * (gsize) layer->n_experts);

  layer->js = g_new0 (double, all->n_pairs);
  layer->floors = g_new0 (double, all->n_pairs);
  layer->n_passages = g_new0 (guint, all->n_pairs);
  for (guint a = 0; a < n; a++)
    for (guint b = a + 1; b < n; b++)
      for (guint i = 0; i < all->n_passages; i++)
        {
          guint pair = pair_index (n, a, b);
          double *sum
              = sums + (gsize) ms_bootstrap_unit (all->bootstrap, i) * width + 2 * (gsize) pair;
          double divergence, js;

          if (!diverge (layer, (gsize) a * all->n_passages + i, (gsize) b * all->n_passages + i,
                        &divergence, &js))
            continue;
          sum[0] += divergence;
          sum[1]++;
          layer->js[pair] += js;
          layer->floors[pair] += measure_floor (layer, (gsize) a * all->n_passages + i,
                                                (gsize) b * all->n_passages + i, scratch);
          layer->n_passages[pair]++;
        }
  ms_bootstrap_intervals (all->bootstrap, sums, width, make_means, (gpointer) all, all->n_pairs + 1,
                          intervals);
  layer->mean = intervals[all->n_pairs];
  layer->pairs = g_memdup2 (intervals, all->n_pairs * sizeof (MsInterval));
  for (guint p = 0; p < all->n_pairs; p++)
    {
      layer->js[p] = layer->n_passages[p] > 0 ? layer->js[p] / layer->n_passages[p] : NAN;
      layer->floors[p] = layer->n_passages[p] > 0 ? layer->floors[p] / layer->n_passages[p] : NAN;
    }
}

/* The divergence from the pivot when passages are paired at random, for every language (X); of the pivot
 * with itself it is that of different passages. */
static void
measure_nulls (const MsContext *context, const Languages *all, Layer *layer)
{
  guint m = all->n_passages;
  g_autofree guint *order = g_new (guint, m);
  g_autofree double *sums = g_new0 (double, all->n_languages);
  g_autofree guint *n_made = g_new0 (guint, all->n_languages);
  g_autofree guint *n_below = g_new0 (guint, all->n_languages);
  guint64 state = ms_seed (context->sampling.seed, 3000);

  for (guint i = 0; i < m; i++)
    order[i] = i;
  for (guint s = 0; s < all->n_shuffles; s++)
    {
      for (guint i = m; i > 1; i--)
        {
          guint j = (guint) ms_random_below (&state, i), kept = order[i - 1];

          order[i - 1] = order[j];
          order[j] = kept;
        }
      for (guint x = 0; x < all->n_languages; x++)
        {
          double sum = 0, divergence, js;
          guint n = 0;

          for (guint i = 0; i < m; i++)
            if (order[i] != i
                && diverge (layer, (gsize) all->pivot * m + i, (gsize) x * m + order[i],
                            &divergence, &js))
              {
                sum += divergence;
                n++;
              }
          if (n == 0)
            continue;
          sums[x] += sum / n;
          n_made[x]++;
          if (x != all->pivot)
            n_below[x]
                += sum / n <= layer->pairs[pair_index (all->n_languages, all->pivot, x)].value;
        }
    }
  layer->nulls = g_new (double, all->n_languages);
  layer->p = g_new (double, all->n_languages);
  for (guint x = 0; x < all->n_languages; x++)
    {
      layer->nulls[x] = n_made[x] > 0 ? sums[x] / n_made[x] : NAN;
      layer->p[x] = n_made[x] > 0 ? (1.0 + n_below[x]) / (1.0 + n_made[x]) : NAN;
    }
  layer->same = layer->nulls[all->pivot];
}

/* Mean over the passages of a language, and the standard deviation between them. */
static void
describe_expert (const Languages *all, const Layer *layer, guint language, guint e, double *mean,
                 double *spread)
{
  g_autofree double *values = g_new (double, all->n_passages);
  guint n = 0;

  for (guint i = 0; i < all->n_passages; i++)
    {
      gsize cell = (gsize) language * all->n_passages + i;

      if (layer->tokens[cell] > 0)
        values[n++] = layer->q[cell * layer->n_experts + e];
    }
  *mean = ms_mean (values, n);
  *spread = ms_deviation (values, n, 1);
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Languages *all = data;
  Layer *layer = &all->layers[index];
  const MsLayer *def = ms_trace_layer (context->trace, index);
  gsize n_cells = (gsize) all->n_languages * all->n_passages;
  g_autofree double *r = g_new (double, def->gate.n_experts);
  Scan scan = { all, context->trace, index, layer, r };
  guint columns = 0;

  if (all->choice == CHOICE_SCORES || all->choice == CHOICE_TOP_K)
    columns = MS_CHUNK_LOGITS;
  else if (all->choice == CHOICE_WEIGHTS)
    columns = MS_CHUNK_WEIGHTS;
  layer->block = def->number;
  layer->n_experts = def->gate.n_experts;
  layer->k = def->gate.k;
  layer->q = g_new0 (double, n_cells * def->gate.n_experts);
  layer->halves = g_new0 (double, 2 * n_cells * def->gate.n_experts);
  layer->half_tokens = g_new0 (gint64, 2 * n_cells);
  layer->tokens = g_new0 (gint64, n_cells);
  layer->entropy = g_new0 (double, n_cells);
  layer->self = g_new0 (double, n_cells);
  if (!ms_trace_scan_layer (context->trace, index, columns, add_rows, &scan, context->cancel,
                            error))
    return FALSE;
  finish_cells (all, layer);
  measure_pairs (all, layer);
  measure_nulls (context, all, layer);
  layer->pivot_means = g_new (double, def->gate.n_experts);
  layer->pivot_spread = g_new (double, def->gate.n_experts);
  for (guint e = 0; e < def->gate.n_experts; e++)
    describe_expert (all, layer, all->pivot, e, &layer->pivot_means[e], &layer->pivot_spread[e]);
  return TRUE;
}

/* --- Tables ---------------------------------------------------------------------------------- */

/* Writes the experts of a language that exceed the pivot's; returns how many. */
static guint
write_experts (const Languages *all, const Layer *layer, guint language, MsResult *result)
{
  const char *name = all->languages->names[language];
  guint n = 0;

  for (guint e = 0; e < layer->n_experts; e++)
    {
      double mean, spread, over, z;

      describe_expert (all, layer, language, e, &mean, &spread);
      over = mean - layer->pivot_means[e];
      z = over / layer->pivot_spread[e];
      if (!(z > all->sigma))
        continue;
      n++;
      ms_table_add_row (result->tables[4], MS_INT (layer->block), MS_TEXT (name), MS_INT (e),
                        MS_REAL (mean), MS_REAL (layer->pivot_means[e]), MS_REAL (over),
                        MS_REAL (z));
      ms_result_find (result, MIN (z, 1e6), ms_place (layer->block, e, "language", name),
                      "layer %d: expert %u has %.3g of the routing mass of %s, %.3g in %s",
                      (int) layer->block, e, mean, name, layer->pivot_means[e],
                      all->languages->names[all->pivot]);
    }
  return n;
}

/* The divergence of a pair beyond what so short passages show without any difference. */
static double
excess_of (const Layer *layer, guint pair)
{
  return layer->pairs[pair].value - layer->floors[pair];
}

static void
write_language (const MsContext *context, const Languages *all, const Layer *layer, guint language,
                MsResult *result)
{
  const char *name = all->languages->names[language];
  g_autofree double *values = g_new (double, all->n_passages);
  g_autofree double *sums = g_new0 (double, (gsize) all->bootstrap->n_units * 2);
  double entropy;
  guint n = 0;

  (void) context;
  for (guint i = 0; i < all->n_passages; i++)
    if (layer->tokens[(gsize) language * all->n_passages + i] > 0)
      values[n++] = layer->entropy[(gsize) language * all->n_passages + i];
  entropy = ms_mean (values, n);
  ms_table_add_row (result->tables[3], MS_INT (layer->block), MS_TEXT (name), MS_INT (n),
                    MS_REAL (entropy),
                    MS_REAL (layer->n_experts > 1 ? entropy / log (layer->n_experts) : NAN),
                    MS_REAL (ms_deviation (values, n, 1)));
  for (guint other = 0; other < all->n_languages; other++)
    {
      const MsInterval *pair = NULL;
      guint p = 0;

      if (other != language)
        {
          p = pair_index (all->n_languages, language, other);
          pair = &layer->pairs[p];
        }
      ms_table_add_row (
          result->tables[2], MS_INT (layer->block), MS_TEXT (name),
          MS_TEXT (all->languages->names[other]), MS_REAL (pair != NULL ? pair->value : 0),
          MS_REAL (pair != NULL ? pair->low : NAN), MS_REAL (pair != NULL ? pair->high : NAN),
          MS_REAL (pair != NULL ? layer->js[p] : 0), MS_REAL (pair != NULL ? layer->floors[p] : 0),
          MS_REAL (pair != NULL ? excess_of (layer, p) : 0),
          MS_INT (pair != NULL ? layer->n_passages[p] : n));
    }
}

static double
relative_depth (const Languages *all, guint index)
{
  return all->n_layers > 1 ? (double) index / (all->n_layers - 1) : NAN;
}

static void
write_layer (const MsContext *context, const Languages *all, guint index, MsResult *result)
{
  Layer *layer = &all->layers[index];
  double null = 0, js = 0, floor_ = 0, n = 0;

  for (guint x = 0; x < all->n_languages; x++)
    {
      guint p = pair_index (all->n_languages, all->pivot, x), n_experts;

      write_language (context, all, layer, x, result);
      if (x == all->pivot || layer->n_passages[p] == 0)
        continue;
      n_experts = write_experts (all, layer, x, result);
      ms_table_add_row (result->tables[1], MS_INT (layer->block),
                        MS_REAL (relative_depth (all, index)), MS_TEXT (all->languages->names[x]),
                        MS_INT (layer->n_passages[p]), MS_INTERVAL (layer->pairs[p]),
                        MS_REAL (layer->js[p]), MS_REAL (layer->floors[p]),
                        MS_REAL (excess_of (layer, p)), MS_REAL (layer->nulls[x]),
                        MS_REAL (layer->p[x]), MS_INT (n_experts));
      null += layer->nulls[x];
      js += layer->js[p];
      floor_ += layer->floors[p];
      n++;
    }
  layer->excess = layer->mean.value - floor_ / n;
  ms_table_add_row (result->tables[0], MS_INT (layer->block), MS_REAL (relative_depth (all, index)),
                    MS_INTERVAL (layer->mean), MS_REAL (js / n), MS_REAL (floor_ / n),
                    MS_REAL (layer->excess), MS_REAL (null / n), MS_REAL (layer->same));
}

static void
summarise (const Languages *all, MsResult *result)
{
  const Layer *first = &all->layers[0], *last = &all->layers[all->n_layers - 1], *least = first;
  double farthest = -INFINITY, nearest = INFINITY, random;
  g_autofree char *paired = NULL;
  guint far_language = all->pivot, near_language = all->pivot;

  for (guint i = 0; i < all->n_layers; i++)
    if (all->layers[i].excess < least->excess)
      least = &all->layers[i];
  for (guint x = 0; x < all->n_languages; x++)
    if (x != all->pivot)
      {
        double value = excess_of (least, pair_index (all->n_languages, all->pivot, x));

        if (value > farthest)
          {
            farthest = value;
            far_language = x;
          }
        if (value < nearest)
          {
            nearest = value;
            near_language = x;
          }
      }
  random = ms_table_get_real (result->tables[0], (guint) (least - all->layers), 8);
  if (!isnan (random))
    paired = g_strdup_printf ("; randomly paired passages show %.3g there", random);
  if (isnan (least->excess) || isnan (first->excess) || isnan (last->excess)
      || far_language == all->pivot)
    result->summary = g_strdup ("The distribution of the passages is undefined, since weights are: "
                                "choose another with --distribution.");
  else
    result->summary = g_strdup_printf (
        "Routing of the same text in %u languages differs least from %s in layer %d: by %.3g more "
        "than the %.3g that so short passages show without any difference (layer %d %.3g more, "
        "layer %d %.3g)%s.  Nearest there is %s (%.3g more), farthest %s (%.3g).",
        all->n_languages, all->languages->names[all->pivot], (int) least->block, least->excess,
        least->mean.value - least->excess, (int) first->block, first->excess, (int) last->block,
        last->excess, paired != NULL ? paired : "", all->languages->names[near_language], nearest,
        all->languages->names[far_language], farthest);
  ms_result_note (result, "Distribution of a token: %s.", choice_names[all->choice]);
  ms_result_note (result,
                  "The mean over passages is of divergences, not of distributions; intervals "
                  "resample groups of passages; the chance value pairs passages at random.");
  ms_result_note (result,
                  "Language-specialised experts, our reading of the published 3-sigma rule: mean "
                  "mass above that of %s by more than %.3g standard deviations of the passages of "
                  "%s.",
                  all->languages->names[all->pivot], all->sigma, all->languages->names[all->pivot]);
}

static gboolean
find_pivot (const MsContext *context, Languages *all, GError **error)
{
  const char *name = ms_values_text (context->values, "pivot");

  for (all->pivot = 0; all->pivot < all->n_languages; all->pivot++)
    if (strcmp (all->languages->names[all->pivot], name) == 0)
      break;
  if (all->pivot == all->n_languages)
    {
      g_autoptr (GString) names = g_string_new (NULL);

      for (guint i = 0; i < all->n_languages; i++)
        g_string_append_printf (names, "%s%s", i > 0 ? ", " : "", all->languages->names[i]);
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                   "no selected document is in the pivot language '%s': set --pivot to one of %s",
                   name, names->str);
      return FALSE;
    }
  return TRUE;
}

/* Whether some passage exists in the pivot and another language. */
static gboolean
has_translations (const MsContext *context, const Languages *all)
{
  g_autofree guint8 *has = g_new0 (guint8, all->n_passages);
  guint n = ms_trace_n_documents (context->trace);

  for (guint d = 0; d < n; d++)
    if (all->languages->group[d] == (int) all->pivot && all->passages->group[d] >= 0)
      has[all->passages->group[d]] = 1;
  for (guint d = 0; d < n; d++)
    if (all->languages->group[d] >= 0 && all->languages->group[d] != (int) all->pivot
        && all->passages->group[d] >= 0 && has[all->passages->group[d]])
      return TRUE;
  return FALSE;
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  g_autoptr (MsGroups) languages = ms_trace_group (context->trace, "language", error);
  g_autoptr (MsGroups) passages
      = languages != NULL ? ms_trace_group (context->trace, "parallel", error) : NULL;
  guint scoring = ms_values_choice (context->values, "scoring");
  Languages all = { .languages = languages,
                    .passages = passages,
                    .choice = ms_values_choice (context->values, "distribution"),
                    .n_shuffles = (guint) ms_values_int (context->values, "permutations"),
                    .sigma = ms_values_real (context->values, "sigma"),
                    .scoring = scoring == SCORING_AUTO ? MS_SCORING_UNKNOWN
                                                       : ms_scoring_parse (scorings[scoring]) };
  gboolean fine;

  if (languages == NULL || passages == NULL)
    return FALSE;
  if ((all.choice == CHOICE_SCORES || all.choice == CHOICE_TOP_K)
      && all.scoring == MS_SCORING_UNKNOWN
      && !ms_trace_gated (context->trace, MS_GATE_SCORING, error))
    {
      g_prefix_error (error, "languages cannot use the router's scores (give --scoring, or): ");
      return FALSE;
    }
  all.n_languages = languages->n;
  all.n_passages = passages->n;
  all.n_pairs = languages->n * (languages->n - 1) / 2;
  if (!find_pivot (context, &all, error))
    return FALSE;
  if (!has_translations (context, &all))
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "languages cannot run: no passage exists both in '%s' and in another language; "
                   "label translations with one `parallel` key",
                   languages->names[all.pivot]);
      return FALSE;
    }
  all.bootstrap = ms_bootstrap_new (context, all.n_passages);
  all.n_layers = ms_trace_n_layers (context->trace);
  all.layers = g_new0 (Layer, all.n_layers);
  fine = ms_context_tasks (context, all.n_layers, do_layer, &all, 0, 1, error);
  for (guint i = 0; fine && i < all.n_layers; i++)
    write_layer (context, &all, i, result);
  if (fine)
    summarise (&all, result);
  clear_languages (&all);
  return fine;
}

static const MsParam params[] = {
  { .name = "pivot",
    .title = "Pivot language",
    .help = "The language that the others are compared with.",
    .type = MS_PARAM_TEXT,
    .usual_text = "en" },
  { .name = "distribution",
    .title = "Distribution of a token",
    .help = "What a token contributes: recorded weights of its experts, full router scores, scores "
            "from the k-th largest on, or plain counts; scores need a run collected with --scores.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 3,
    .usual = CHOICE_WEIGHTS,
    .choices = choices },
  { .name = "scoring",
    .title = "Scores from logits",
    .help = "How recorded logits become scores; auto = as the model's gate says.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 2,
    .usual = SCORING_AUTO,
    .choices = scorings },
  { .name = "permutations",
    .title = "Random pairings",
    .help = "How often passages are paired at random for the chance value.",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 10000,
    .usual = 50,
    .ui_least = 0,
    .ui_most = 200 },
  { .name = "sigma",
    .title = "Standard deviations",
    .help = "From how many standard deviations above the pivot an expert is called specialised.",
    .type = MS_PARAM_REAL,
    .least = 0,
    .most = 100,
    .usual = 3,
    .ui_least = 1,
    .ui_most = 10 },
  { 0 },
};

#define DEPTH                                                                                      \
  {                                                                                                \
    "depth", "Depth", NULL, MS_COLUMN_REAL, "0 = first MoE layer, 1 = last."                       \
  }
#define LANGUAGE                                                                                   \
  {                                                                                                \
    "language", "Language", NULL, MS_COLUMN_TEXT, "The documents' label."                          \
  }
#define DIVERGENCE                                                                                 \
  { "divergence", "Divergence", NULL, MS_COLUMN_REAL,                                              \
    "Mean over passages of JS / (ln E - mean entropy): 0 = same routing, at most 1." },            \
      MS_INTERVAL_COLUMNS ("", NULL)
#define JS                                                                                         \
  {                                                                                                \
    "js", "JS", "nats", MS_COLUMN_REAL, "Mean over passages of the plain divergence."              \
  }
#define FLOOR                                                                                      \
  { "floor", "Floor", NULL, MS_COLUMN_REAL,                                                        \
    "Divergence of two parts that hold as much of both languages: what so short passages show "    \
    "without any difference." },                                                                   \
  {                                                                                                \
    "excess", "Excess over the floor", NULL, MS_COLUMN_REAL, "divergence - floor."                 \
  }
#define NULL_VALUE                                                                                 \
  {                                                                                                \
    "null", "By chance", NULL, MS_COLUMN_REAL, "The divergence of randomly paired passages."       \
  }

static const MsColumn curve_columns[] = {
  MS_LAYER_COLUMN,
  DEPTH,
  DIVERGENCE,
  JS,
  FLOOR,
  NULL_VALUE,
  { "same_language", "Other text, same language", NULL, MS_COLUMN_REAL,
    "The divergence of different passages of the pivot language." },
  { 0 },
};

static const MsColumn divergence_columns[] = {
  MS_LAYER_COLUMN,
  DEPTH,
  LANGUAGE,
  { "n_passages", "Passages", "passages", MS_COLUMN_INT, "Present in this and in the pivot." },
  DIVERGENCE,
  JS,
  FLOOR,
  NULL_VALUE,
  { "p", "p", NULL, MS_COLUMN_REAL, "Share of random pairings with so small a divergence." },
  { "n_specialised", "Specialised experts", "experts", MS_COLUMN_INT,
    "Experts listed for this language in the table experts." },
  { 0 },
};

static const MsColumn matrix_columns[] = {
  MS_LAYER_COLUMN,
  { "a", "Language", NULL, MS_COLUMN_TEXT, "The documents' label." },
  { "b", "Other language", NULL, MS_COLUMN_TEXT, "The documents' label." },
  DIVERGENCE,
  JS,
  FLOOR,
  { "n_passages", "Passages", "passages", MS_COLUMN_INT, "Present in both." },
  { 0 },
};

static const MsColumn entropy_columns[] = {
  MS_LAYER_COLUMN,
  LANGUAGE,
  { "n_passages", "Passages", "passages", MS_COLUMN_INT, "Of the language." },
  { "entropy", "Entropy", "nats", MS_COLUMN_REAL, "Mean over passages of H(q)." },
  { "normalised", "Normalised entropy", NULL, MS_COLUMN_REAL, "entropy / ln E." },
  { "spread", "Spread", "nats", MS_COLUMN_REAL, "Standard deviation between passages." },
  { 0 },
};

static const MsColumn expert_columns[] = {
  MS_LAYER_COLUMN,
  LANGUAGE,
  MS_EXPERT_COLUMN,
  { "mass", "Mass", NULL, MS_COLUMN_REAL, "Mean over the language's passages of q_e." },
  { "pivot_mass", "Mass in the pivot", NULL, MS_COLUMN_REAL, "Likewise for the pivot language." },
  { "difference", "Difference", NULL, MS_COLUMN_REAL, "mass - pivot_mass." },
  { "sigmas", "Standard deviations", NULL, MS_COLUMN_REAL,
    "difference / standard deviation of q_e between passages of the pivot." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "curve", "Divergence by layer", curve_columns },
  { "divergence", "Divergence of every language from the pivot", divergence_columns },
  { "matrix", "Divergence between languages", matrix_columns },
  { "entropy", "Routing entropy of every language", entropy_columns },
  { "experts", "Language-specialised experts", expert_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "languages",
    .title = "Divergence from the pivot by layer",
    .table = "divergence",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "excess",
    .series = "language" },
  { .name = "curve",
    .title = "Mean divergence from the pivot, with its floor",
    .table = "curve",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "divergence",
    .low = "low",
    .high = "high",
    .reference = "floor" },
  { .name = "map",
    .title = "Divergence of every language and layer",
    .table = "divergence",
    .mark = MS_MARK_HEATMAP,
    .x = "layer",
    .y = "language",
    .value = "excess" },
  { .name = "matrix",
    .title = "Divergence between languages",
    .table = "matrix",
    .mark = MS_MARK_MATRIX,
    .x = "b",
    .y = "a",
    .value = "excess",
    .facet = "layer" },
  { .name = "entropy",
    .title = "Routing entropy by layer and language",
    .table = "entropy",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "normalised",
    .series = "language" },
  { .name = "specialised",
    .title = "Language-specialised experts by layer",
    .table = "divergence",
    .mark = MS_MARK_STACK,
    .x = "layer",
    .y = "n_specialised",
    .series = "language" },
  { 0 },
};

const MsAnalysis ms_analysis_languages = {
  .name = "languages",
  .title = "Cross-Lingual Alignment",
  .help = "Is the same text routed alike in different languages, and in which layers?",
  .formula = "q = mean over a passage's tokens of the routing distribution; M = (q + r) / 2; "
             "JS = 1/2 sum q ln (q / M) + 1/2 sum r ln (r / M); H(q) = - sum q ln (q + 1e-10); "
             "divergence = JS / max (ln E - (H(q) + H(r)) / 2, 1e-6), mean over the passages that "
             "exist in both languages.  Floor: the same of two parts of a passage's pooled tokens, "
             "the even blocks of 8 tokens of one language with the odd ones of the other.",
  .cite = "Multilingual routing in mixture-of-experts, arXiv 2510.04694, and "
          "lucasbandarkar/xl_moe_alignment.",
  .version = 3,
  .needs = MS_NEEDS_LANGUAGES | MS_NEEDS_PARALLEL,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
