/* Domain specialisation (metrics.md f.1 and b.4): how differently groups of documents use the experts.
 *
 * Groups are domains, languages or phases.  Golden: olmoe_domain_specialization (shares) and
 * lrc_specialization (variation of windowed rates). */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

/* A specialised expert is worth a finding from this ratio to the other groups and so many standard
 * errors on, when it takes at least its fair share of the group. */
#define FIND_RATIO  2.0
#define FIND_ERRORS 4.0
/* Groups that use an expert less are left out of its variation, as published. */
#define LEAST_RATE 1e-5
/* Deals behind the mean chance distance of two groups, of which there may be many. */
#define PAIR_DEALS 20

static const char *const labels[] = { "domain", "language", "phase", NULL };

typedef struct
{
  guint n_experts;
  guint n_groups;
  gint64 block;
  guint k;
  double *totals;        /* (G, E + 1) counts, then tokens */
  guint n_cells;         /* of totals above 0: cost follows the decisions */
  guint *cells;          /* (n_cells) group * E + expert, ascending */
  MsInterval *percents;  /* (G, E) */
  MsInterval *distances; /* (G) Jensen-Shannon from the other groups */
  double *nulls;         /* (G) mean over deals */
  double *p;             /* (G) */
  double *pairs;         /* (G, G) */
  double *pair_nulls;    /* (G, G) */
  double *rates;         /* (G, E) windowed activation frequency */
  double *variation;     /* (E) */
  double *consistency;   /* (E) SRP */
} Layer;

typedef struct
{
  const char *label;
  const MsGroups *groups;
  MsStrata *strata;
  guint n_documents, n_layers, segment, n_deals, top;
  Layer *layers; /* (n_layers) */
} Domains;

static void
clear_domains (Domains *all)
{
  for (guint i = 0; i < all->n_layers; i++)
    {
      g_free (all->layers[i].totals);
      g_free (all->layers[i].cells);
      g_free (all->layers[i].percents);
      g_free (all->layers[i].distances);
      g_free (all->layers[i].nulls);
      g_free (all->layers[i].p);
      g_free (all->layers[i].pairs);
      g_free (all->layers[i].pair_nulls);
      g_free (all->layers[i].rates);
      g_free (all->layers[i].variation);
      g_free (all->layers[i].consistency);
    }
  g_free (all->layers);
  ms_strata_free (all->strata);
}

/* --- Shares and distances -------------------------------------------------------------------- */

/* From totals (G, E + 1) the distance of each group from the others (G). */
static void
make_distances (const double *totals, double *out, gpointer data)
{
  const Layer *layer = data;
  guint n = layer->n_experts, n_groups = layer->n_groups;
  g_autofree double *all = g_new0 (double, n), *rest = g_new (double, n);

  for (guint g = 0; g < n_groups; g++)
    for (guint e = 0; e < n; e++)
      all[e] += totals[(gsize) g * (n + 1) + e];
  for (guint g = 0; g < n_groups; g++)
    {
      const double *own = totals + (gsize) g * (n + 1);

      for (guint e = 0; e < n; e++)
        rest[e] = all[e] - own[e];
      out[g] = n_groups > 1 ? ms_js (own, rest, n) : NAN;
    }
}

/* The distances (G), the percentages of the cells (n_cells), and of any other expert by group (G). */
static void
make_percents (const double *totals, double *out, gpointer data)
{
  const Layer *layer = data;
  guint n = layer->n_experts;

  make_distances (totals, out, data);
  out += layer->n_groups;
  for (guint i = 0; i < layer->n_cells; i++)
    {
      const double *own = totals + (gsize) (layer->cells[i] / n) * (n + 1);

      *out++ = own[n] > 0 ? 100 * own[layer->cells[i] % n] / own[n] : NAN;
    }
  for (guint g = 0; g < layer->n_groups; g++)
    *out++ = totals[(gsize) g * (n + 1) + n] > 0 ? 0 : NAN;
}

static void
find_cells (Layer *layer)
{
  guint n = layer->n_experts;
  g_autoptr (GArray) cells = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint cell = 0; cell < layer->n_groups * n; cell++)
    if (layer->totals[(gsize) (cell / n) * (n + 1) + cell % n] > 0)
      g_array_append_val (cells, cell);
  layer->n_cells = cells->len;
  layer->cells = (guint *) (gpointer) g_array_free (g_steal_pointer (&cells), FALSE);
}

/* The intervals of all percentages (G, E), from those of the cells and of all others. */
static void
take_percents (const Domains *all, Layer *layer, const double *values, const double *resampled)
{
  guint n = layer->n_experts;
  gsize n_resamples = all->strata->n_resamples, at = 0;
  const MsIntervalRule rule = { all->strata->confidence, all->strata->reach };

  layer->percents = g_new (MsInterval, layer->n_groups * n);
  for (guint g = 0; g < layer->n_groups; g++)
    for (guint e = 0; e < n; e++)
      {
        gboolean counted = at < layer->n_cells && layer->cells[at] == g * n + e;
        gsize i = counted ? at++ : (gsize) layer->n_cells + g;
        MsInterval *interval = &layer->percents[(gsize) g * n + e];

        if (!counted && e > 0 && !(layer->totals[(gsize) g * (n + 1) + e - 1] > 0))
          *interval = interval[-1];
        else
          {
            *interval = ms_strata_interval (all->strata, values[i], resampled + i * n_resamples);
            ms_interval_bound (interval, &rule, 0, 100,
                               100 / layer->totals[(gsize) g * (n + 1) + n]);
          }
      }
}

/* The distances between groups (G, G). */
static void
make_pairs (const double *totals, double *out, gpointer data)
{
  const Layer *layer = data;
  guint n = layer->n_groups, width = layer->n_experts + 1;

  for (guint a = 0; a < n; a++)
    for (guint b = a; b < n; b++)
      out[(gsize) a * n + b] = out[(gsize) b * n + a]
          = ms_js (totals + (gsize) a * width, totals + (gsize) b * width, layer->n_experts);
}

static void
measure_shares (const MsContext *context, const Domains *all, Layer *layer, const double *sums)
{
  guint n = layer->n_experts, n_groups = layer->n_groups, n_deals = all->n_deals;
  guint n_pair_deals = MIN (n_deals, PAIR_DEALS);
  gsize n_out, n_pairs = (gsize) n_groups * n_groups;
  guint64 seed = ms_seed (context->sampling.seed, layer->block);
  gsize n_resamples = all->strata->n_resamples;
  g_autofree double *values = NULL, *resampled = NULL;
  g_autofree double *permuted = g_new (double, (gsize) n_groups *n_deals);
  g_autofree double *pair_permuted = g_new (double, n_pairs *n_pair_deals);

  layer->totals = g_new0 (double, (gsize) n_groups *(n + 1));
  for (guint g = 0; g < n_groups; g++)
    for (guint row = all->strata->first[g]; row < all->strata->first[g + 1]; row++)
      for (guint e = 0; e <= n; e++)
        layer->totals[(gsize) g * (n + 1) + e] += sums[(gsize) row * (n + 1) + e];
  find_cells (layer);
  n_out = 2 * n_groups + (gsize) layer->n_cells;
  values = g_new (double, n_out);
  resampled = g_new (double, n_out *n_resamples);
  ms_strata_resample (all->strata, sums, n + 1, make_percents, layer, (guint) n_out, values,
                      resampled);
  layer->distances = g_new (MsInterval, n_groups);
  for (gsize g = 0; g < n_groups; g++)
    {
      layer->distances[g]
          = ms_strata_interval (all->strata, values[g], resampled + g * n_resamples);
      ms_interval_clamp (&layer->distances[g], 0, G_LN2);
    }
  take_percents (all, layer, values + n_groups, resampled + n_groups * n_resamples);
  ms_strata_permute (all->strata, sums, n + 1, n_deals, seed, make_distances, layer, n_groups,
                     permuted);
  layer->nulls = g_new (double, n_groups);
  layer->p = g_new (double, n_groups);
  for (gsize g = 0; g < n_groups; g++)
    {
      layer->nulls[g] = ms_mean (permuted + g * n_deals, n_deals);
      layer->p[g] = ms_strata_p (layer->distances[g].value, permuted + g * n_deals, n_deals);
    }
  layer->pairs = g_new (double, n_pairs);
  make_pairs (layer->totals, layer->pairs, layer);
  layer->pair_nulls = g_new (double, n_pairs);
  ms_strata_permute (all->strata, sums, n + 1, n_pair_deals, seed, make_pairs, layer,
                     (guint) n_pairs, pair_permuted);
  for (gsize i = 0; i < n_pairs; i++)
    layer->pair_nulls[i] = ms_mean (pair_permuted + i * n_pair_deals, n_pair_deals);
}

/* --- Windows --------------------------------------------------------------------------------- */

/* Uses of each expert in sliding windows of m tokens that never leave a document.  An expert's count is
 * entered only when it changes: windows since[e] .. have had frequency[e] so far. */
typedef struct
{
  const MsGroups *groups;
  guint n_experts, m;
  guint document;      /* the one being read, G_MAXUINT = none */
  gint64 t;            /* tokens of it read */
  guint16 *ring;       /* (m, K) */
  guint *frequency;    /* (E) */
  gint64 *since;       /* (E) */
  guint64 *histograms; /* (E, m + 1) windows by frequency, over all groups */
  guint64 *uses;       /* (G, E) sum of the frequencies */
  guint64 *windows;    /* (G) */
} Windows;

/* Enters what expert e had up to window `now`. */
static void
settle (Windows *windows, guint e, gint64 now)
{
  guint64 n = (guint64) (now - windows->since[e]);
  int group = windows->groups->group[windows->document];

  windows->histograms[(gsize) e * (windows->m + 1) + windows->frequency[e]] += n;
  windows->uses[(gsize) group * windows->n_experts + e] += n * windows->frequency[e];
  windows->since[e] = now;
}

static void
finish_document (Windows *windows)
{
  gint64 n = MAX (windows->t - (gint64) windows->m + 1, 0);

  if (windows->document == G_MAXUINT)
    return;
  for (guint e = 0; e < windows->n_experts; e++)
    settle (windows, e, n);
  windows->windows[windows->groups->group[windows->document]] += (guint64) n;
  memset (windows->since, 0, windows->n_experts * sizeof *windows->since);
  memset (windows->frequency, 0, windows->n_experts * sizeof *windows->frequency);
  windows->document = G_MAXUINT;
}

static gboolean
window_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
             GError **error)
{
  Windows *windows = data;

  (void) row, (void) error;
  if (windows->document != document)
    {
      finish_document (windows);
      if (windows->groups->group[document] < 0)
        return TRUE;
      windows->document = document;
      windows->t = 0;
    }
  for (gsize i = from; i < (gsize) from + n; i++, windows->t++)
    {
      guint16 *slots = windows->ring + (gsize) (windows->t % windows->m) * chunk->k;
      gint64 now = MAX (windows->t - (gint64) windows->m + 1, 0);

      for (guint r = 0; windows->t >= windows->m && r < chunk->k; r++)
        if (slots[r] < windows->n_experts)
          {
            settle (windows, slots[r], now);
            windows->frequency[slots[r]]--;
          }
      for (guint r = 0; r < chunk->k; r++)
        {
          guint e = ms_chunk_expert (chunk, i * chunk->k + r);

          slots[r] = (guint16) e;
          if (e >= windows->n_experts)
            continue;
          settle (windows, e, now);
          windows->frequency[e]++;
        }
    }
  return TRUE;
}

/* Segment routing best performance of one expert from its histogram (m + 1). */
static double
best_performance (const guint64 *histogram, guint m)
{
  double active = 0, found = 0, loaded = 0, best = 0;

  for (guint f = 0; f <= m; f++)
    active += (double) histogram[f] * f;
  for (guint f = m + 1; f-- > 0;)
    {
      found += (double) histogram[f] * f;
      loaded += (double) histogram[f] * m;
      best = MAX (best, 2 * found / MAX (loaded + active, 1));
    }
  return best;
}

static gboolean
measure_windows (const MsContext *context, const Domains *all, guint index, Layer *layer,
                 GError **error)
{
  guint n = layer->n_experts, m = all->segment;
  g_autofree guint16 *ring = g_new0 (guint16, (gsize) m * layer->k);
  g_autofree guint *frequency = g_new0 (guint, n);
  g_autofree gint64 *since = g_new0 (gint64, n);
  g_autofree guint64 *histograms = g_new0 (guint64, (gsize) n * (m + 1));
  g_autofree guint64 *uses = g_new0 (guint64, (gsize) layer->n_groups * n);
  g_autofree guint64 *n_windows = g_new0 (guint64, layer->n_groups);
  g_autofree double *kept = g_new (double, layer->n_groups);
  Windows windows
      = { all->groups, n, m, G_MAXUINT, 0, ring, frequency, since, histograms, uses, n_windows };

  if (!ms_trace_scan_layer (context->trace, index, 0, window_rows, &windows, context->cancel,
                            error))
    return FALSE;
  finish_document (&windows);
  layer->rates = g_new (double, (gsize) layer->n_groups *n);
  layer->variation = g_new (double, n);
  layer->consistency = g_new (double, n);
  for (guint e = 0; e < n; e++)
    {
      guint n_kept = 0;

      for (guint g = 0; g < layer->n_groups; g++)
        {
          double rate = n_windows[g] > 0 ? (double) uses[(gsize) g * n + e]
                                               / ((double) m * (double) n_windows[g])
                                         : NAN;

          layer->rates[(gsize) g * n + e] = rate;
          if (rate > LEAST_RATE)
            kept[n_kept++] = rate;
        }
      layer->variation[e] = ms_deviation (kept, n_kept, 1) / ms_mean (kept, n_kept);
      layer->consistency[e] = best_performance (histograms + (gsize) e * (m + 1), m);
    }
  return TRUE;
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Domains *all = data;
  Layer *layer = &all->layers[index];
  const MsLayer *def = ms_trace_layer (context->trace, index);
  g_autofree double *sums = g_new (double, (gsize) all->strata->n_rows *(def->gate.n_experts + 1));

  layer->block = def->number;
  layer->n_experts = def->gate.n_experts;
  layer->n_groups = all->groups->n;
  layer->k = def->gate.k;
  if (!ms_strata_count (all->strata, context, index, 0, sums, error))
    return FALSE;
  measure_shares (context, all, layer, sums);
  return measure_windows (context, all, index, layer, error);
}

/* --- Tables ---------------------------------------------------------------------------------- */

/* Percentage of an expert in all groups but one. */
static double
rest_percent (const Layer *layer, guint group, guint e)
{
  double count = 0, tokens = 0;

  for (guint g = 0; g < layer->n_groups; g++)
    if (g != group)
      {
        const double *own = layer->totals + (gsize) g * (layer->n_experts + 1);

        count += own[e];
        tokens += own[layer->n_experts];
      }
  return tokens > 0 ? 100 * count / tokens : NAN;
}

static double
baseline (const Layer *layer, guint group)
{
  const double *own = layer->totals + (gsize) group * (layer->n_experts + 1);
  double all = 0;

  for (guint e = 0; e < layer->n_experts; e++)
    all += own[e];
  return own[layer->n_experts] > 0 ? 100 * all / own[layer->n_experts] / layer->n_experts : NAN;
}

static void
find_expert (const Domains *all, const Layer *layer, guint group, guint e, MsResult *result)
{
  const MsInterval *percent = &layer->percents[(gsize) group * layer->n_experts + e];
  double rest = rest_percent (layer, group, e);
  double strength = (percent->value - rest) / percent->error;
  const char *name = all->groups->names[group];

  if (!(percent->value >= FIND_RATIO * rest) || !(percent->value >= baseline (layer, group))
      || !(strength >= FIND_ERRORS))
    return;
  ms_result_find (result, MIN (strength, 1e6), ms_place (layer->block, e, all->label, name),
                  "layer %d: expert %u takes %.3g %% of the tokens of %s, %.3g %% of the others",
                  (int) layer->block, e, percent->value, name, rest);
}

typedef struct
{
  double over;
  guint expert;
} Strong;

static int
compare_strong (gconstpointer a, gconstpointer b)
{
  const Strong *left = a, *right = b;

  if (left->over != right->over)
    return left->over < right->over ? 1 : -1;
  return (left->expert > right->expert) - (left->expert < right->expert);
}

static void
write_group (const Domains *all, const Layer *layer, guint group, MsResult *result)
{
  const char *name = all->groups->names[group];
  guint n = layer->n_experts, top = 0;
  const MsInterval *percents = layer->percents + (gsize) group * n;
  const double *totals = layer->totals + (gsize) group * (n + 1);
  const MsInterval *distance = &layer->distances[group];
  g_autofree Strong *strong = g_new (Strong, n);
  gint64 n_documents = 0;

  for (guint d = 0; d < all->n_documents; d++)
    n_documents += all->groups->group[d] == (int) group;
  for (guint e = 0; e < n; e++)
    {
      double rest = rest_percent (layer, group, e);

      if (percents[e].value > percents[top].value)
        top = e;
      strong[e] = (Strong){ percents[e].value - (isnan (rest) ? 0 : rest), e };
      ms_table_add_row (result->tables[1], MS_INT (layer->block), MS_TEXT (name), MS_INT (e),
                        MS_INT (llround (totals[e])), MS_INT (llround (totals[n])),
                        MS_INTERVAL (percents[e]), MS_REAL (baseline (layer, group)),
                        MS_REAL (rest), MS_REAL (percents[e].value / rest),
                        MS_REAL (layer->rates[(gsize) group * n + e]));
      find_expert (all, layer, group, e, result);
    }
  ms_table_add_row (result->tables[0], MS_INT (layer->block), MS_TEXT (name), MS_INT (n_documents),
                    MS_INT (llround (totals[n])), MS_CORRECTED (*distance),
                    MS_REAL (layer->nulls[group]), MS_REAL (layer->p[group]), MS_INT (top),
                    MS_REAL (percents[top].value), MS_REAL (baseline (layer, group)));
  qsort (strong, n, sizeof (Strong), compare_strong);
  for (guint i = 0; i < MIN (n, all->top); i++)
    {
      const MsInterval *percent = &percents[strong[i].expert];

      ms_table_add_row (result->tables[2], MS_INT (layer->block), MS_TEXT (name), MS_INT (i + 1),
                        MS_INT (strong[i].expert), MS_INTERVAL (*percent),
                        MS_REAL (rest_percent (layer, group, strong[i].expert)),
                        MS_REAL (baseline (layer, group)));
    }
}

/* Means over experts and layers, and how variation goes with local consistency. */
static void
write_overall (const Domains *all, MsResult *result)
{
  g_autoptr (GArray) variation = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (GArray) consistency = g_array_new (FALSE, FALSE, sizeof (double));
  guint n_distances = 0;
  double js = 0, null = 0;

  for (guint i = 0; i < all->n_layers; i++)
    {
      const Layer *layer = &all->layers[i];

      for (guint e = 0; e < layer->n_experts; e++)
        {
          guint n_used = 0;

          for (guint g = 0; g < layer->n_groups; g++)
            n_used += layer->rates[(gsize) g * layer->n_experts + e] > LEAST_RATE;
          ms_table_add_row (result->tables[4], MS_INT (layer->block), MS_INT (e), MS_INT (n_used),
                            MS_REAL (layer->variation[e]), MS_REAL (layer->consistency[e]));
          if (isnan (layer->variation[e]))
            continue;
          g_array_append_val (variation, layer->variation[e]);
          g_array_append_val (consistency, layer->consistency[e]);
        }
      for (guint g = 0; g < layer->n_groups; g++)
        if (!isnan (layer->distances[g].value))
          {
            js += layer->distances[g].corrected;
            null += layer->nulls[g];
            n_distances++;
          }
    }
  ms_table_add_row (result->tables[5], MS_TEXT ("js_rest"),
                    MS_TEXT ("Distance from the other groups"),
                    MS_REAL (n_distances > 0 ? js / n_distances : NAN),
                    MS_REAL (n_distances > 0 ? null / n_distances : NAN), MS_TEXT ("nats"));
  ms_table_add_row (result->tables[5], MS_TEXT ("variation"),
                    MS_TEXT ("Variation of experts over groups"),
                    MS_REAL (ms_mean ((const double *) (gpointer) variation->data, variation->len)),
                    MS_REAL (NAN), MS_TEXT (NULL));
  ms_table_add_row (
      result->tables[5], MS_TEXT ("variation_srp"), MS_TEXT ("Correlation of variation with SRP"),
      MS_REAL (ms_pearson ((const double *) (gpointer) variation->data,
                           (const double *) (gpointer) consistency->data, variation->len)),
      MS_REAL (NAN), MS_TEXT (NULL));
}

static void
summarise (const Domains *all, MsResult *result)
{
  const Layer *layer = NULL;
  guint group = 0, expert = 0;
  double most = -INFINITY;

  for (guint i = 0; i < all->n_layers; i++)
    for (guint g = 0; g < all->groups->n; g++)
      for (guint e = 0; e < all->layers[i].n_experts; e++)
        {
          const Layer *at = &all->layers[i];
          double rest = rest_percent (at, g, e);
          double over = at->percents[(gsize) g * at->n_experts + e].value
                        - (isnan (rest) ? baseline (at, g) : rest);

          if (over > most)
            {
              most = over;
              layer = at;
              group = g;
              expert = e;
            }
        }
  if (layer == NULL)
    {
      result->summary = g_strdup ("No selected token has an expert.");
      return;
    }
  if (all->groups->n < 2)
    {
      result->summary = g_strdup_printf (
          "All documents are of one %s, %s: there is nothing to compare it with.", all->label,
          all->groups->names[0]);
      return;
    }
  result->summary = g_strdup_printf (
      "The most specialised expert over %u groups is expert %u of layer %d: it takes %.1f %% of "
      "the "
      "tokens of %s, against %.1f %% of the others and %.1f %% by uniform routing; groups differ "
      "from the rest by %.3g nats (Jensen-Shannon, corrected for the %.3g that documents dealt at "
      "random show).",
      all->groups->n, expert, (int) layer->block,
      layer->percents[(gsize) group * layer->n_experts + expert].value, all->groups->names[group],
      rest_percent (layer, group, expert), baseline (layer, group),
      ms_table_get_real (result->tables[5], 0, 2), ms_table_get_real (result->tables[5], 0, 3));
}

/* The distance of two groups less its floor; without random deals the distance. */
static double
excess_of (const Layer *layer, guint a, guint b)
{
  gsize at = (gsize) a * layer->n_groups + b;

  return isnan (layer->pair_nulls[at]) ? layer->pairs[at]
                                       : layer->pairs[at] - layer->pair_nulls[at];
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  Domains all = { .label = labels[ms_values_choice (context->values, "label")],
                  .segment = (guint) ms_values_int (context->values, "segment"),
                  .n_deals = (guint) ms_values_int (context->values, "permutations"),
                  .top = (guint) ms_values_int (context->values, "top"),
                  .n_documents = ms_trace_n_documents (context->trace),
                  .n_layers = ms_trace_n_layers (context->trace) };
  g_autoptr (MsGroups) groups = ms_trace_group (context->trace, all.label, error);
  gboolean fine;

  if (groups == NULL)
    return FALSE;
  all.groups = groups;
  all.strata = ms_strata_new (context, groups, all.n_documents);
  all.layers = g_new0 (Layer, all.n_layers);
  fine = ms_context_tasks (context, all.n_layers, do_layer, &all, 0, 1, error);
  for (guint i = 0; fine && i < all.n_layers; i++)
    {
      const Layer *layer = &all.layers[i];

      for (guint g = 0; g < groups->n; g++)
        write_group (&all, layer, g, result);
      for (guint a = 0; a < groups->n; a++)
        for (guint b = 0; b < groups->n; b++)
          ms_table_add_row (result->tables[3], MS_INT (layer->block), MS_TEXT (groups->names[a]),
                            MS_TEXT (groups->names[b]),
                            MS_REAL (layer->pairs[(gsize) a * groups->n + b]),
                            MS_REAL (layer->pair_nulls[(gsize) a * groups->n + b]),
                            MS_REAL (excess_of (layer, a, b)));
    }
  if (fine)
    {
      write_overall (&all, result);
      summarise (&all, result);
      ms_result_note (result,
                      "Groups are documents by %s; percentages are of tokens with at least "
                      "one expert and sum to 100 k.",
                      all.label);
      ms_result_note (result,
                      "Chance values deal whole documents at random to groups of the same sizes, "
                      "%u times; intervals resample documents within each group.",
                      all.n_deals);
    }
  clear_domains (&all);
  return fine;
}

static const MsParam params[] = {
  { .name = "label",
    .title = "Groups",
    .help = "Which label of the documents makes the groups.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 2,
    .usual = 0,
    .choices = labels },
  { .name = "segment",
    .title = "Window",
    .help = "Tokens of the sliding windows of the windowed rates and of SRP.",
    .unit = "tokens",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 4096,
    .usual = 16,
    .ui_least = 2,
    .ui_most = 256 },
  { .name = "permutations",
    .title = "Random deals",
    .help = "How often documents are dealt at random to the groups for the chance values.",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 100000,
    .usual = 200,
    .ui_least = 0,
    .ui_most = 1000 },
  { .name = "top",
    .title = "Strongest experts",
    .help = "Experts listed for each group and layer: those that exceed the other groups most.",
    .unit = "experts",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 1000,
    .usual = 5,
    .ui_least = 1,
    .ui_most = 20 },
  { 0 },
};

#define GROUP                                                                                      \
  {                                                                                                \
    "name", "Group", NULL, MS_COLUMN_TEXT, "The documents' label."                                 \
  }
#define PERCENT                                                                                    \
  { "percent", "Share of tokens", "%", MS_COLUMN_REAL,                                             \
    "100 N_eD / N_D: tokens of the group that choose the expert." },                               \
      MS_INTERVAL_COLUMNS ("", "%")
#define BASELINE                                                                                   \
  {                                                                                                \
    "baseline", "Uniform routing", "%", MS_COLUMN_REAL, "100 k / E."                               \
  }
#define REST                                                                                       \
  {                                                                                                \
    "rest", "Share in the other groups", "%", MS_COLUMN_REAL,                                      \
        "The same over all other groups' tokens."                                                  \
  }

static const MsColumn group_columns[] = {
  MS_LAYER_COLUMN,
  GROUP,
  { "n_documents", "Documents", "documents", MS_COLUMN_INT, "Documents of the group." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "Its tokens with at least one expert, N_D." },
  { "js", "Distance from the others", "nats", MS_COLUMN_REAL,
    "Jensen-Shannon divergence of the group's expert shares from those of all other groups." },
  MS_CORRECTED_COLUMN ("js_", "nats"),
  MS_INTERVAL_COLUMNS ("js_", "nats"),
  { "js_null", "Floor", "nats", MS_COLUMN_REAL,
    "Mean of js when documents are dealt to the groups at random: what so few documents make of no "
    "difference; js_corrected has no such floor." },
  { "p", "p", NULL, MS_COLUMN_REAL, "Share of random deals with so large a distance." },
  { "top_expert", "Top expert", NULL, MS_COLUMN_INT, "The expert with the largest share." },
  { "top_percent", "Its share", "%", MS_COLUMN_REAL, "Of the group's tokens." },
  BASELINE,
  { 0 },
};

static const MsColumn share_columns[] = {
  MS_LAYER_COLUMN,
  GROUP,
  MS_EXPERT_COLUMN,
  { "count", "Count", "tokens", MS_COLUMN_INT, "Tokens of the group that choose it, N_eD." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "Tokens of the group, N_D." },
  PERCENT,
  BASELINE,
  REST,
  { "ratio", "Times the others", NULL, MS_COLUMN_REAL, "percent / rest." },
  { "windowed", "Windowed rate", NULL, MS_COLUMN_REAL,
    "act_r: mean share of window tokens that choose the expert, over all windows of the group." },
  { 0 },
};

static const MsColumn strongest_columns[] = {
  MS_LAYER_COLUMN,
  GROUP,
  { "place", "Place", NULL, MS_COLUMN_INT, "1 = exceeds the other groups most." },
  MS_EXPERT_COLUMN,
  PERCENT,
  REST,
  BASELINE,
  { 0 },
};

static const MsColumn distance_columns[] = {
  MS_LAYER_COLUMN,
  { "a", "Group", NULL, MS_COLUMN_TEXT, "The documents' label." },
  { "b", "Other group", NULL, MS_COLUMN_TEXT, "The documents' label." },
  { "js", "Distance", "nats", MS_COLUMN_REAL, "Jensen-Shannon divergence of the expert shares." },
  { "null", "Floor", "nats", MS_COLUMN_REAL, "Mean over random deals of the documents." },
  { "excess", "Excess over the floor", "nats", MS_COLUMN_REAL,
    "js - null: the distance less what chance makes of so few documents." },
  { 0 },
};

static const MsColumn expert_columns[] = {
  MS_LAYER_COLUMN,
  MS_EXPERT_COLUMN,
  { "n_groups", "Groups using it", NULL, MS_COLUMN_INT, "Groups with a windowed rate above 1e-5." },
  { "variation", "Variation over groups", NULL, MS_COLUMN_REAL,
    "Sample standard deviation / mean of the windowed rates of those groups." },
  { "srp", "SRP", NULL, MS_COLUMN_REAL,
    "Segment routing best performance of the expert over all groups." },
  { 0 },
};

static const MsColumn overall_columns[] = {
  { "measure", "Measure", NULL, MS_COLUMN_TEXT, "What was averaged." },
  { "title", "Title", NULL, MS_COLUMN_TEXT, "The measure's name for people." },
  { "value", "Value", NULL, MS_COLUMN_REAL,
    "Mean over layers and groups or experts; js_rest: of the corrected distances." },
  { "null", "By chance", NULL, MS_COLUMN_REAL,
    "The plain distance under random deals, which the corrected one is without." },
  { "unit", "Unit", NULL, MS_COLUMN_TEXT, "Of the numbers; undefined = a pure number." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "groups", "Groups by layer", group_columns },
  { "shares", "Experts of every group", share_columns },
  { "strongest", "The most specialised experts", strongest_columns },
  { "distances", "Distances between groups", distance_columns },
  { "experts", "Variation of every expert over groups", expert_columns },
  { "overall", "The model", overall_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "shares",
    .title = "Share of each group's tokens by expert",
    .table = "shares",
    .mark = MS_MARK_BAR,
    .x = "expert",
    .y = "percent",
    .series = "name",
    .facet = "layer",
    .low = "low",
    .high = "high",
    .reference = "baseline" },
  { .name = "map",
    .title = "Experts of every group",
    .table = "shares",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "name",
    .value = "percent",
    .facet = "layer" },
  { .name = "distance",
    .title = "Distance of each group from the others",
    .table = "groups",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "js_corrected",
    .series = "name",
    .low = "js_low",
    .high = "js_high",
    .y_title = "Distance from the others (nats)" },
  { .name = "distances",
    .title = "Distances between groups",
    .table = "distances",
    .mark = MS_MARK_MATRIX,
    .x = "b",
    .y = "a",
    .value = "excess",
    .facet = "layer" },
  { .name = "variation",
    .title = "Variation over groups against local consistency",
    .table = "experts",
    .mark = MS_MARK_SCATTER,
    .x = "srp",
    .y = "variation",
    .label = "expert",
    .series = "layer" },
  { 0 },
};

const MsAnalysis ms_analysis_domains = {
  .name = "domains",
  .title = "Domain Specialisation",
  .help = "Which experts serve some domains, languages or phases more than others?",
  .formula
  = "100 N_eD / N_D, N_eD = tokens of group D that choose expert e, N_D = its tokens; sums to "
    "100 k, uniform routing gives 100 k / E.  Variation: sample SD / mean over groups of act_r, "
    "the "
    "rate over sliding windows of m tokens, groups below 1e-5 left out.",
  .cite = "OLMoE, arXiv 2409.02060.  Variation and SRP: Not All Models Suit Expert "
          "Offloading, arXiv 2505.16056.",
  .version = 2,
  .needs = MS_TAKES_COUNTS,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
