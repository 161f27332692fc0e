/* Which experts matter: frequency, gate mass, output norms, REAP and its siblings, EASY-EP, and the lists
 * that pruning and bit allocation start from, with a guard for each domain (metrics.md g). */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

enum
{
  BY_REAP,
  BY_FREQUENCY,
  BY_MASS,
  BY_EAN,
  BY_EASY_EP,
  BY_EASY_MIXED,
  N_CRITERIA,
};

enum
{
  GATE_RECORDED,
  GATE_SOFTMAX,
  GATE_RENORMALISED,
};

static const char *const criterion_choices[]
    = { "reap", "frequency", "gate-mass", "ean", "easy-ep", "easy-ep-mixed", NULL };
static const char *const gate_choices[] = { "recorded", "softmax", "renormalised", NULL };
static const char *const guard_choices[] = { "domain", "language", "none", NULL };

static const MsParam params[] = {
  { "criterion", "Criterion",
    "What the pruning list is ordered by; falls back to frequency when the run "
    "lacks its inputs",
    NULL, MS_PARAM_CHOICE, .choices = criterion_choices },
  { "gate", "Gate",
    "The gate value g: as recorded, or the router's distribution over all experts (the softmax of "
    "a softmax gate), raw or renormalised over "
    "the chosen (both need scores)",
    NULL, MS_PARAM_CHOICE, .choices = gate_choices },
  { "prune", "Share to prune", "Experts of each layer to put on the list", NULL, MS_PARAM_REAL, 0,
    1, 0.25, .ui_least = 0, .ui_most = 0.75 },
  { "guard", "Guard", "Keep experts that carry more than the guard share of some group", NULL,
    MS_PARAM_CHOICE, .choices = guard_choices },
  { "guard-share", "Guard share",
    "An expert is guarded when it takes this many times its fair share of a group's decisions",
    NULL, MS_PARAM_REAL, 0, 1000, 2, .ui_least = 1, .ui_most = 8 },
  { "easy-documents", "EASY-EP documents",
    "Only so many of the longest documents (of each group for the mixed score) count for EASY-EP, "
    "25 in the paper; 0 = all",
    "documents", MS_PARAM_INT, 0, 1000000, 0, .ui_least = 0, .ui_most = 100 },
  { "similarity-batch", "Similarity batch",
    "Documents per batch for the distance of router logits, whose batches are averaged by tokens "
    "as REAP "
    "does; 0 = the whole trace as one",
    "documents", MS_PARAM_INT, 0, 1000000, 0, .ui_least = 0, .ui_most = 256 },
  MS_LEAST_PARAM,
  { 0 },
};

static const MsTableDef tables[] = {
  { "experts", "Importance of every expert",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        MS_EXPERT_COLUMN,
        { "expert_frequency", "Count", NULL, MS_COLUMN_INT, "Tokens that choose it" },
        { "weighted_expert_frequency_sum", "Gate mass", NULL, MS_COLUMN_REAL,
          "Sum of g over them" },
        { "ean_sum", "Norm sum", NULL, MS_COLUMN_REAL, "Sum of the output's L2 norm (EAN)" },
        { "ean_mean", "Norm mean", NULL, MS_COLUMN_REAL, "Mean of it; 0 when never chosen" },
        { "weighted_ean_sum", "Weighted norm sum", NULL, MS_COLUMN_REAL, "Sum of g x norm" },
        { "reap", "REAP", NULL, MS_COLUMN_REAL, "Mean of g x norm; 0 when never chosen" },
        { "reap_low", "REAP, low", NULL, MS_COLUMN_REAL,
          "Lower end of the bootstrap interval over documents that choose it; undefined for fewer "
          "than four" },
        { "reap_high", "REAP, high", NULL, MS_COLUMN_REAL, "Upper end" },
        { "max_activation", "Largest activation", NULL, MS_COLUMN_REAL,
          "Largest element of its outputs" },
        { "easy_ep", "EASY-EP", NULL, MS_COLUMN_REAL,
          "Sum over tokens of max (1 - cosine (block in, out), 0) x g x norm" },
        { "easy_ep_mixed", "EASY-EP, mixed", NULL, MS_COLUMN_REAL,
          "Sum over the guard's groups of the expert's part of the group's EASY-EP in the layer" },
        { "super_expert", "Super expert", NULL, MS_COLUMN_INT,
          "1 when the largest activation exceeds max (99.5th percentile, maximum / 10) in the "
          "first three "
          "quarters of the layers" },
        { "rank", "Rank", NULL, MS_COLUMN_INT,
          "1 = least important of its layer by the criterion" },
        { "guard", "Guard", NULL, MS_COLUMN_TEXT,
          "The group of which it carries more than the guard share, empty = none" },
        { "prune", "Prune", NULL, MS_COLUMN_INT, "1 when on the pruning list" },
        { "bits_class", "Bits", NULL, MS_COLUMN_TEXT,
          "low, medium or high: thirds of the layer by the criterion, for bit allocation; "
          "undefined for an expert that fewer than --least tokens chose" },
        { "decided", "Decided", NULL, MS_COLUMN_INT,
          "0 when fewer than --least tokens chose it: its rank, and so whether to prune it, may be "
          "chance" },
        { 0 } } },
  { "layers", "What pruning the list would lose",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "pruned", "Pruned", "experts", MS_COLUMN_INT, "Experts on the list" },
        { "undecided", "Undecided", "experts", MS_COLUMN_INT,
          "Of those on the list, chosen by fewer than --least tokens" },
        { "guarded", "Guarded", "experts", MS_COLUMN_INT, "Experts kept by the guard alone" },
        { "lost_decisions", "Decisions lost", NULL, MS_COLUMN_REAL,
          "Share of decisions to pruned experts" },
        { "lost_gate_mass", "Gate mass lost", NULL, MS_COLUMN_REAL, "Share of gate mass" },
        { "lost_output", "Output lost", NULL, MS_COLUMN_REAL, "Share of the sum of g x norm" },
        { "rank_correlation", "Rank correlation", NULL, MS_COLUMN_REAL,
          "Spearman correlation of the criterion with frequency" },
        { 0 } } },
  { "correlations", "Rank correlation of the criteria",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "a", "Criterion", NULL, MS_COLUMN_TEXT, "One criterion" },
        { "b", "Other criterion", NULL, MS_COLUMN_TEXT, "The other" },
        { "spearman", "Spearman", NULL, MS_COLUMN_REAL,
          "Over the layer's experts; undefined when one is constant or its inputs are missing" },
        { 0 } } },
  { "similarity", "Distance of experts by router logits",
    (const MsColumn[]){ MS_LAYER_COLUMN,
                        { "expert", "Expert", NULL, MS_COLUMN_INT, "One expert" },
                        { "other", "Other expert", NULL, MS_COLUMN_INT, "The other" },
                        { "distance", "Distance", NULL, MS_COLUMN_REAL,
                          "1 - cosine of their logits over tokens; needs scores" },
                        { "pairwise_frequency", "Pairwise frequency", NULL, MS_COLUMN_INT,
                          "Count of the one + count of the other, as REAP calls it: not how often "
                          "both were chosen" },
                        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "reap",
    .title = "REAP saliency",
    .table = "experts",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "layer",
    .value = "reap",
    .value_title = "REAP saliency" },
  { .name = "frequency",
    .title = "REAP and frequency",
    .table = "experts",
    .mark = MS_MARK_SCATTER,
    .x = "expert_frequency",
    .y = "reap",
    .series = "layer",
    .x_title = "Tokens that choose the expert",
    .y_title = "REAP saliency" },
  { .name = "lost",
    .title = "Lost by pruning",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "lost_decisions",
    .y_title = "Decisions lost (share)" },
  { .name = "similarity",
    .title = "Distance of experts",
    .table = "similarity",
    .mark = MS_MARK_MATRIX,
    .x = "expert",
    .y = "other",
    .value = "distance",
    .facet = "layer",
    .value_title = "Distance of router logits" },
  { 0 },
};

typedef struct
{
  guint n_experts;
  double *count, *mass, *norm, *weighted, *easy, *peak; /* (E) */
  double *units;                                        /* (U, E, 2): sum of g x norm, count */
  double *groups;                                       /* (groups, E) counts */
  double *easy_groups;                                  /* (groups, E) EASY-EP of their longest */
  double *distance; /* (E, E) 1 - cosine of the logits, mean over batches; NULL without scores */
} Layer;

typedef struct
{
  const MsBootstrap *bootstrap;
  Layer *layers;
  guint columns, gate;
  const MsGroups *groups; /* NULL = no guard */
  guint batch;            /* documents of a batch of the similarity */
  guint8 *longest;        /* (D) whether EASY-EP takes the document: LONGEST_* */
} Job;

enum
{
  LONGEST_OF_ALL = 1,
  LONGEST_OF_GROUP = 2,
};

/* Marks the n longest documents of a group, -1 = all; of two equals the earlier.  n = 0 marks all. */
static void
mark_longest (const MsTrace *trace, const MsGroups *groups, int group, guint n, guint8 mark,
              guint8 *longest)
{
  guint n_documents = ms_trace_n_documents (trace);

  for (guint round = 0; round < MAX (n, 1); round++)
    {
      int best = -1;

      for (guint d = 0; d < n_documents; d++)
        {
          gint64 length = ms_trace_document (trace, d)->n_tokens;

          if ((group >= 0 && groups->group[d] != group) || longest[d] & mark)
            continue;
          if (n == 0)
            longest[d] |= mark;
          else if (best < 0 || length > ms_trace_document (trace, (guint) best)->n_tokens)
            best = (int) d;
        }
      if (best < 0)
        return;
      longest[best] |= mark;
    }
}

static void
gates (const Job *job, const MsTrace *trace, guint index, const MsLayerTrace *layer, gint64 t,
       double *p, double *g)
{
  const guint16 *set = layer->experts + t * layer->k;
  double sum = 0;

  if (job->gate == GATE_RECORDED)
    {
      /* A negative number is no combine weight. */
      for (guint r = 0; r < layer->k; r++)
        {
          float weight = layer->weights[t * layer->k + r];

          g[r] = weight >= 0 ? weight : NAN;
        }
      return;
    }
  ms_trace_distribution (trace, index, layer->logits + t * layer->n_experts, p);
  for (guint r = 0; r < layer->k; r++)
    {
      g[r] = set[r] == MS_NO_EXPERT ? 0 : p[set[r]];
      sum += g[r];
    }
  for (guint r = 0; r < layer->k && job->gate == GATE_RENORMALISED; r++)
    g[r] /= MAX (sum, 1.1920928955078125e-7); /* REAP clamps at float32 eps */
}

static void
add_products (const MsLayerTrace *layer, gint64 t, double *products)
{
  const float *z = layer->logits + t * layer->n_experts;

  for (guint i = 0; i < layer->n_experts; i++)
    for (guint j = 0; j <= i; j++)
      products[(gsize) i * layer->n_experts + j] += (double) z[i] * z[j];
}

/* Adds a batch's distances, weighted by its share of the tokens, and clears its products. */
static void
end_batch (double *products, guint n, double weight, double *distance)
{
  for (guint i = 0; i < n; i++)
    for (guint j = 0; j < n; j++)
      {
        double product = products[(gsize) MAX (i, j) * n + MIN (i, j)];
        double norm = sqrt (products[(gsize) i * n + i]) * sqrt (products[(gsize) j * n + j]);

        distance[(gsize) i * n + j] += weight * (norm > 0 ? 1 - product / norm : NAN);
      }
  memset (products, 0, (gsize) n * n * sizeof *products);
}

static gboolean
scan_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  Layer *out = &job->layers[index];
  g_autoptr (MsLayerTrace) layer
      = ms_trace_load_layer (context->trace, index, job->columns, context->cancel, error);
  g_autofree double *p = NULL;
  g_autofree double *g = NULL;
  g_autofree double *products = NULL; /* (E, E) lower triangle of sums of logit_i logit_j */
  gint64 batch_tokens = 0;
  guint n, n_documents = ms_trace_n_documents (context->trace);

  if (layer == NULL)
    return FALSE;
  n = out->n_experts = layer->n_experts;
  p = g_new (double, n);
  g = g_new (double, layer->k);
  out->count = g_new0 (double, n);
  out->mass = g_new0 (double, n);
  out->norm = g_new0 (double, n);
  out->weighted = g_new0 (double, n);
  out->easy = g_new0 (double, n);
  out->peak = g_new0 (double, n);
  out->units = g_new0 (double, n *(gsize) job->bootstrap->n_units * 2);
  if (job->groups != NULL)
    {
      out->groups = g_new0 (double, n *(gsize) job->groups->n);
      out->easy_groups = g_new0 (double, n *(gsize) job->groups->n);
    }
  if (layer->logits != NULL)
    {
      out->distance = g_new0 (double, n *(gsize) n);
      products = g_new0 (double, n *(gsize) n);
    }
  for (guint d = 0; d < ms_trace_n_documents (context->trace); d++)
    {
      const MsDocument *document = ms_trace_document (context->trace, d);
      double *unit = out->units + (gsize) ms_bootstrap_unit (job->bootstrap, d) * n * 2;
      int group = job->groups != NULL ? job->groups->group[d] : -1;

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          double change
              = layer->similarity != NULL ? MAX (1 - (double) layer->similarity[t], 0) : NAN;

          gates (job, context->trace, index, layer, t, p, g);
          if (layer->logits != NULL)
            add_products (layer, t, products);
          for (guint r = 0; r < layer->k; r++)
            {
              guint16 e = layer->experts[t * layer->k + r];
              double norm = layer->norms != NULL && e != MS_NO_EXPERT
                                ? layer->norms[t * layer->k + r]
                                : NAN;

              if (e == MS_NO_EXPERT)
                continue;
              out->count[e]++;
              out->mass[e] += g[r];
              out->norm[e] += norm;
              out->weighted[e] += g[r] * norm;
              if (job->longest[d] & LONGEST_OF_ALL)
                out->easy[e] += change * g[r] * norm;
              if (group >= 0 && job->longest[d] & LONGEST_OF_GROUP)
                out->easy_groups[(gsize) group * n + e] += change * g[r] * norm;
              if (layer->peaks != NULL)
                out->peak[e] = MAX (out->peak[e], layer->peaks[t * layer->k + r]);
              unit[2 * e] += g[r] * norm;
              unit[2 * e + 1]++;
              if (group >= 0)
                out->groups[(gsize) group * n + e]++;
            }
        }
      batch_tokens += document->n_tokens;
      if (products != NULL
          && (d + 1 == n_documents || (job->batch > 0 && (d + 1) % job->batch == 0)))
        {
          end_batch (products, n, (double) batch_tokens / (double) layer->n_tokens, out->distance);
          batch_tokens = 0;
        }
    }
  return TRUE;
}

static void
layer_clear (Layer *layer)
{
  g_free (layer->count);
  g_free (layer->mass);
  g_free (layer->norm);
  g_free (layer->weighted);
  g_free (layer->easy);
  g_free (layer->peak);
  g_free (layer->units);
  g_free (layer->groups);
  g_free (layer->easy_groups);
  g_free (layer->distance);
}

/* Of experts that are never chosen NaN. */
static void
mean_of_sums (const double *sums, double *out, gpointer data)
{
  guint n = *(guint *) data;

  for (guint e = 0; e < n; e++)
    out[e] = sums[2 * e + 1] > 0 ? sums[2 * e] / sums[2 * e + 1] : NAN;
}

/* An expert of fewer documents has no interval of REAP: it would be wide without end. */
#define LEAST_UNITS 4

/* REAP of every expert (E).  What tells how it varies are the units that choose the expert, so that one of few
 * documents has a wide interval; it is laid on a logarithmic scale, for a mean of positive numbers. */
static void
measure_reap (const Job *job, const Layer *in, MsInterval *reap)
{
  guint n = in->n_experts, n_units = job->bootstrap->n_units;
  guint n_resamples = job->bootstrap->n_resamples;
  g_autofree double *values = g_new (double, n),
                    *resampled = g_new (double, (gsize) n *n_resamples);

  ms_bootstrap_resample (job->bootstrap, in->units, 2 * n, mean_of_sums, &n, n, values, resampled);
  for (guint e = 0; e < n; e++)
    {
      MsIntervalRule rule = { job->bootstrap->confidence, NAN };
      double half;
      guint n_own = 0;

      for (gsize u = 0; u < n_units; u++)
        n_own += in->units[u * 2 * n + 2 * e + 1] > 0;
      rule.reach = n_own < LEAST_UNITS ? NAN : ms_interval_reach (rule.confidence, n_own);
      reap[e]
          = ms_interval_make (&rule, values[e], resampled + (gsize) e * n_resamples, n_resamples);
      if (isnan (reap[e].value))
        reap[e].value = 0;
      if (!(reap[e].corrected > 0) || isnan (reap[e].low))
        continue;
      half = rule.reach * reap[e].error / reap[e].value;
      reap[e].low = reap[e].corrected * exp (-half);
      reap[e].high = reap[e].corrected * exp (half);
    }
}

/* A largest activation beyond which an expert is "super", over all layers. */
static double
super_threshold (const Job *job, guint n_layers)
{
  g_autoptr (GArray) peaks = g_array_new (FALSE, FALSE, sizeof (double));
  double *all;

  for (guint l = 0; l < n_layers; l++)
    g_array_append_vals (peaks, job->layers[l].peak, job->layers[l].n_experts);
  all = (double *) (gpointer) peaks->data;
  ms_sort (all, peaks->len);
  return MAX (ms_quantile (all, peaks->len, 0.995), all[peaks->len - 1] / 10);
}

/* The group of which expert e takes most beyond `share` times its fair part; NULL = none. */
static const char *
guarding_group (const Job *job, const Layer *layer, guint e, double share)
{
  double best = share;
  const char *name = NULL;

  for (guint i = 0; job->groups != NULL && i < job->groups->n; i++)
    {
      const double *counts = layer->groups + (gsize) i * layer->n_experts;
      double sum = 0;

      for (guint x = 0; x < layer->n_experts; x++)
        sum += counts[x];
      if (sum > 0 && counts[e] / sum * layer->n_experts > best)
        {
          best = counts[e] / sum * layer->n_experts;
          name = job->groups->names[i];
        }
    }
  return name;
}

typedef struct
{
  guint criterion;
  double prune, guard_share, super, least;
  guint n_layers;
} Rule;

/* What pruning the list takes away, for the sentence. */
typedef struct
{
  double lost[3]; /* mean over layers, by decided experts of the list: decisions, mass, output */
  MsScarcity listed;
} Outcome;

/* EASY-EP over groups: the parts of the layer that it gives each expert, summed; NaN without groups or
 * their inputs. */
static double
mixed_score (const Job *job, const Layer *layer, guint e)
{
  double score = 0;

  if (job->groups == NULL || !(job->columns & MS_CHUNK_SIMILARITY))
    return NAN;
  for (guint i = 0; i < job->groups->n; i++)
    {
      const double *easy = layer->easy_groups + (gsize) i * layer->n_experts;
      double sum = 0;

      for (guint x = 0; x < layer->n_experts; x++)
        sum += easy[x];
      score += sum > 0 ? easy[e] / sum : 0;
    }
  return score;
}

/* What the criterion says of an expert; NaN without its inputs. */
static double
score_of (const Job *job, const Layer *layer, guint criterion, guint e)
{
  gboolean norms = (job->columns & MS_CHUNK_NORMS) != 0;

  switch (criterion)
    {
    case BY_REAP:
      return !norms ? NAN : layer->count[e] > 0 ? layer->weighted[e] / layer->count[e] : 0;
    case BY_MASS:
      return layer->mass[e];
    case BY_EAN:
      return norms ? layer->norm[e] : NAN;
    case BY_EASY_EP:
      return job->columns & MS_CHUNK_SIMILARITY ? layer->easy[e] : NAN;
    case BY_EASY_MIXED:
      return mixed_score (job, layer, e);
    case BY_FREQUENCY:
    default:
      return layer->count[e];
    }
}

static void
add_correlations (MsTable *table, const Job *job, const Layer *layer, gint64 block)
{
  guint n = layer->n_experts;
  g_autofree double *scores = g_new (double, (gsize) N_CRITERIA *n);

  for (guint c = 0; c < N_CRITERIA; c++)
    for (guint e = 0; e < n; e++)
      scores[c * n + e] = score_of (job, layer, c, e);
  for (guint a = 0; a < N_CRITERIA; a++)
    for (guint b = a + 1; b < N_CRITERIA; b++)
      ms_table_add_row (table, MS_INT (block), MS_TEXT (criterion_choices[a]),
                        MS_TEXT (criterion_choices[b]),
                        MS_REAL (isnan (scores[a * n]) || isnan (scores[b * n])
                                     ? NAN
                                     : ms_spearman (scores + a * n, scores + b * n, n)));
}

static void
add_layer (const MsContext *context, MsResult *result, const Job *job, const Rule *rule, guint l,
           Outcome *outcome)
{
  const Layer *in = &job->layers[l];
  guint n = in->n_experts, n_prune = (guint) (n * rule->prune), pruned = 0, guarded = 0;
  gint64 block = ms_trace_layer (context->trace, l)->number;
  gboolean norms = (job->columns & MS_CHUNK_NORMS) != 0;
  g_autofree double *score = g_new (double, n);
  g_autofree double *ranks = g_new (double, n);
  g_autofree guint *order = g_new (guint, n);
  g_autofree guint *place = g_new (guint, n);
  g_autofree gboolean *out = g_new0 (gboolean, n);
  g_autofree MsInterval *reap = g_new (MsInterval, n);
  double total[3] = { 0 }, gone[3] = { 0 }, sure[3] = { 0 };
  double n_tokens = (double) ms_trace_n_tokens (context->trace);
  guint undecided = outcome->listed.undecided;

  measure_reap (job, in, reap);
  for (guint e = 0; e < n; e++)
    score[e] = score_of (job, in, rule->criterion, e);
  for (guint e = 0; e < n; e++) /* order by score, ties to the lower id */
    {
      guint at = e;

      for (; at > 0 && score[order[at - 1]] > score[e]; at--)
        order[at] = order[at - 1];
      order[at] = e;
    }
  for (guint i = 0; i < n; i++)
    {
      guint e = order[i];

      place[e] = i;
      if (pruned == n_prune)
        continue;
      if (guarding_group (job, in, e, rule->guard_share) != NULL)
        guarded++;
      else
        {
          out[e] = TRUE;
          pruned++;
        }
    }
  for (guint e = 0; e < n; e++)
    {
      const char *guard = guarding_group (job, in, e, rule->guard_share);
      const char *bits = 3 * place[e] < n ? "low" : 3 * place[e] < 2 * n ? "medium" : "high";
      gboolean super = norms && in->peak[e] > rule->super && 4 * l < 3 * rule->n_layers;

      ms_table_add_row (
          ms_result_table (result, "experts"), MS_INT (block), MS_INT (e),
          MS_INT ((gint64) in->count[e]), MS_REAL (in->mass[e]),
          MS_REAL (norms ? in->norm[e] : NAN),
          MS_REAL (norms ? in->norm[e] / MAX (in->count[e], 1) : NAN),
          MS_REAL (norms ? in->weighted[e] : NAN), MS_REAL (norms ? reap[e].value : NAN),
          MS_REAL (norms ? reap[e].low : NAN), MS_REAL (norms ? reap[e].high : NAN),
          MS_REAL (job->columns & MS_CHUNK_PEAKS ? in->peak[e] : NAN),
          MS_REAL (job->columns & MS_CHUNK_SIMILARITY ? in->easy[e] : NAN),
          MS_REAL (mixed_score (job, in, e)), MS_INT (super), MS_INT (place[e] + 1),
          MS_TEXT (guard), MS_INT (out[e]), MS_TEXT (in->count[e] >= rule->least ? bits : NULL),
          MS_INT (in->count[e] >= rule->least));
      total[0] += in->count[e];
      total[1] += in->mass[e];
      total[2] += in->weighted[e];
      gone[0] += out[e] ? in->count[e] : 0;
      gone[1] += out[e] ? in->mass[e] : 0;
      gone[2] += out[e] ? in->weighted[e] : 0;
      if (out[e] && ms_scarcity_add (&outcome->listed, in->count[e], n_tokens, rule->least))
        {
          sure[0] += in->count[e];
          sure[1] += in->mass[e];
          sure[2] += in->weighted[e];
        }
      if (super)
        ms_result_find (result, in->peak[e] / rule->super,
                        g_strdup_printf ("layer=%d expert=%u", (int) block, e),
                        "layer %d: expert %u is a super expert (largest activation %.3g)",
                        (int) block, e, in->peak[e]);
    }
  for (guint i = 0; i < 3; i++)
    outcome->lost[i] += sure[i] / total[i] / rule->n_layers;
  undecided = outcome->listed.undecided - undecided;
  ms_table_add_row (ms_result_table (result, "layers"), MS_INT (block), MS_INT (pruned),
                    MS_INT (undecided), MS_INT (guarded), MS_REAL (gone[0] / total[0]),
                    MS_REAL (gone[1] / total[1]), MS_REAL (norms ? gone[2] / total[2] : NAN),
                    MS_REAL (ms_spearman (score, in->count, n)));
  add_correlations (ms_result_table (result, "correlations"), job, in, block);
  for (guint i = 0; in->distance != NULL && i < n; i++)
    for (guint j = 0; j < n; j++)
      ms_table_add_row (ms_result_table (result, "similarity"), MS_INT (block), MS_INT (i),
                        MS_INT (j), MS_REAL (in->distance[(gsize) i * n + j]),
                        MS_INT ((gint64) (in->count[i] + in->count[j])));
}

/* Whether the criterion says nothing of an expert, its weights being undefined. */
static gboolean
lacks_scores (const Job *job, const Rule *rule)
{
  for (guint l = 0; l < rule->n_layers; l++)
    for (guint e = 0; e < job->layers[l].n_experts; e++)
      if (isnan (score_of (job, &job->layers[l], rule->criterion, e)))
        return TRUE;
  return FALSE;
}

static void
summarise (const MsContext *context, MsResult *result, const Job *job, Rule *rule)
{
  Outcome outcome = { 0 };
  const MsScarcity *listed = &outcome.listed;
  g_autofree char *scarce = NULL, *mass = NULL;
  GString *text = g_string_new (NULL);

  if (lacks_scores (job, rule))
    {
      ms_result_note (result,
                      "Weights are undefined or negative: ordered by frequency instead of %s.",
                      criterion_choices[rule->criterion]);
      rule->criterion = BY_FREQUENCY;
    }
  rule->super = super_threshold (job, rule->n_layers);
  for (guint l = 0; l < rule->n_layers; l++)
    add_layer (context, result, job, rule, l, &outcome);
  mass = isnan (outcome.lost[1])
             ? g_strdup ("an undefined share of the gate mass (it needs weights of at least 0)")
             : g_strdup_printf ("%.2f %% of the gate mass", 100 * outcome.lost[1]);
  scarce = ms_scarcity_sentence (listed, "experts on the list", rule->least);
  if (listed->undecided < listed->n || listed->n == 0)
    g_string_append_printf (
        text,
        "Pruning the least important %.0f %% of each layer's experts by %s would take away %.2f %% "
        "of the decisions and %s%s.",
        100 * rule->prune, criterion_choices[rule->criterion], 100 * outcome.lost[0], mass,
        scarce != NULL ? ", by the decided ones alone" : "");
  else
    g_string_append_printf (text,
                            "What pruning the least important %.0f %% of each layer's experts by "
                            "%s would take away cannot be told from so few tokens.",
                            100 * rule->prune, criterion_choices[rule->criterion]);
  if (scarce != NULL)
    g_string_append_printf (text, " %s.", scarce);
  result->summary = g_string_free (text, FALSE);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  guint recorded = ms_trace_run (context->trace)->columns;
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  g_autofree Layer *layers = g_new0 (Layer, n_layers);
  guint guard = ms_values_choice (context->values, "guard");
  g_autoptr (MsGroups) groups
      = guard == 2 ? NULL : ms_trace_group (context->trace, guard_choices[guard], NULL);
  guint n_easy = (guint) ms_values_int (context->values, "easy-documents");
  g_autofree guint8 *longest = g_new0 (guint8, ms_trace_n_documents (context->trace) + 1);
  Job job = { bootstrap,
              layers,
              MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS
                  | (recorded
                     & (MS_CHUNK_LOGITS | MS_CHUNK_NORMS | MS_CHUNK_PEAKS | MS_CHUNK_SIMILARITY)),
              ms_values_choice (context->values, "gate"),
              groups,
              (guint) ms_values_int (context->values, "similarity-batch"),
              longest };
  Rule rule = {
    ms_values_choice (context->values, "criterion"),   ms_values_real (context->values, "prune"),
    ms_values_real (context->values, "guard-share"),   0,
    (double) ms_values_int (context->values, "least"), n_layers
  };
  guint wants = rule.criterion == BY_EASY_EP || rule.criterion == BY_EASY_MIXED
                    ? MS_CHUNK_NORMS | MS_CHUNK_SIMILARITY
                : rule.criterion == BY_REAP || rule.criterion == BY_EAN ? MS_CHUNK_NORMS
                                                                        : 0;
  gboolean fine;

  if (job.gate != GATE_RECORDED && !(recorded & MS_CHUNK_LOGITS))
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "--gate %s needs the router's scores: collect with --scores",
                   gate_choices[job.gate]);
      return FALSE;
    }
  if (job.gate != GATE_RECORDED && !ms_trace_gated (context->trace, MS_GATE_SCORING, error))
    {
      g_prefix_error (error, "--gate %s cannot be made: ", gate_choices[job.gate]);
      return FALSE;
    }
  if ((recorded & wants) != wants)
    {
      ms_result_note (result,
                      "The run has no output norms (collect with --norms): ordered by frequency "
                      "instead of %s.",
                      criterion_choices[rule.criterion]);
      rule.criterion = BY_FREQUENCY;
    }
  if (rule.criterion == BY_EASY_MIXED && groups == NULL)
    {
      ms_result_note (result, "There are no groups to mix (see --guard): ordered by frequency.");
      rule.criterion = BY_FREQUENCY;
    }
  mark_longest (context->trace, NULL, -1, n_easy, LONGEST_OF_ALL, longest);
  for (guint i = 0; groups != NULL && i < groups->n; i++)
    mark_longest (context->trace, groups, (int) i, n_easy, LONGEST_OF_GROUP, longest);
  fine = ms_context_tasks (context, n_layers, scan_layer, &job, 0, 0.95, error);
  if (fine)
    {
      summarise (context, result, &job, &rule);
      ms_result_note (result, "Gate: %s. Guard: %s.", gate_choices[job.gate],
                      groups != NULL ? guard_choices[guard] : "none");
    }
  for (guint l = 0; l < n_layers; l++)
    layer_clear (&layers[l]);
  return fine;
}

const MsAnalysis ms_analysis_importance = {
  .name = "importance",
  .title = "Importance of Experts (REAP)",
  .help
  = "Which experts matter least, by which measure, and what would be lost, for whom, if they were "
    "pruned or given fewer bits?",
  .formula
  = "REAP = mean over the tokens that choose e of g x ||f_e(x)||; EAN = sum or mean of the norm; "
    "EASY-EP = sum of max (1 - cos (x, x'), 0) x g x ||f_e(x)||; mixed: its parts of a layer, "
    "summed "
    "over groups.",
  .cite = "REAP, arXiv 2510.13999; EASY-EP, arXiv 2504.06792; MC-SMoE, arXiv 2310.01334.",
  .version = 4,
  .times = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
