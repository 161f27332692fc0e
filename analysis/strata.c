/* Documents by group: counts, intervals by resampling, null values by dealing anew.
 *
 * What is drawn and dealt is a cluster of documents that go together (ms_trace_clusters).  The clusters of each
 * group are a pool of their own; those with documents of several groups, as passages in several languages,
 * are one more pool.  Invariant: rows are sorted by group, a row holds documents of one pool's unit. */
#include "analysis-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A document's place while rows are made: which cluster and group it is in. */
typedef struct
{
  guint document, cluster, group;
} Place;

static int
compare_places (gconstpointer a, gconstpointer b)
{
  const Place *left = a, *right = b;

  if (left->group != right->group)
    return left->group < right->group ? -1 : 1;
  if (left->cluster != right->cluster)
    return left->cluster < right->cluster ? -1 : 1;
  return left->document < right->document ? -1 : 1;
}

/* Gives each cluster its pool: that of its only group, or the last one when it has documents of several.
 * n_in (pools) counts the clusters of each. */
static void
find_pools (const MsStrata *strata, const Place *places, guint n, guint n_clusters, guint *pool,
            guint *unit, guint *n_in)
{
  for (guint c = 0; c < n_clusters; c++)
    pool[c] = G_MAXUINT;
  for (guint i = 0; i < n; i++)
    {
      guint *of = &pool[places[i].cluster];

      *of = *of == G_MAXUINT || *of == places[i].group ? places[i].group : strata->n_groups;
    }
  for (guint c = 0; c < n_clusters; c++)
    if (pool[c] != G_MAXUINT)
      unit[c] = n_in[pool[c]]++;
}

/* Rows from places sorted by group and cluster. */
static void
make_rows (MsStrata *strata, const Place *places, guint n, const guint *pool, const guint *unit)
{
  for (guint i = 0; i < n; i++)
    {
      const Place *place = &places[i];
      guint p = pool[place->cluster], u = unit[place->cluster] % strata->draws[p]->n_units;
      guint row = strata->first[place->group];

      /* Beyond MS_BOOTSTRAP_UNITS clusters several share a row. */
      while (row < strata->n_rows && (strata->pool[row] != p || strata->unit[row] != u))
        row++;
      if (row == strata->n_rows)
        {
          strata->pool[row] = p;
          strata->unit[row] = u;
          strata->n_rows++;
        }
      strata->row[place->document] = row;
      for (guint g = place->group + 1; g <= strata->n_groups; g++)
        strata->first[g] = strata->n_rows;
    }
}

/* Which rows swap their data in a deal: those of single groups all among each other, those of a cluster that
 * crosses groups among themselves. */
static void
set_deals (MsStrata *strata)
{
  guint n_crossing = strata->draws[strata->n_groups]->n_units, n = 0;

  strata->dealt = g_new (guint, strata->n_rows);
  strata->deals = g_new0 (guint, n_crossing + 2);
  for (guint row = 0; row < strata->n_rows; row++)
    if (strata->pool[row] < strata->n_groups)
      strata->dealt[n++] = row;
  strata->deals[++strata->n_deals] = n;
  for (guint unit = 0; unit < n_crossing; unit++)
    {
      for (guint row = 0; row < strata->n_rows; row++)
        if (strata->pool[row] == strata->n_groups && strata->unit[row] == unit)
          strata->dealt[n++] = row;
      strata->deals[++strata->n_deals] = n;
    }
}

/* The degrees of freedom are those of all pools; the smallest says how much too small the errors are. */
static void
set_reach (MsStrata *strata, const MsContext *context)
{
  double freedom = 0, least = G_MAXDOUBLE;

  for (guint p = 0; p <= strata->n_groups; p++)
    if (strata->draws[p]->n_units > 1)
      {
        freedom += strata->draws[p]->n_units - 1.0;
        least = MIN (least, strata->draws[p]->n_units);
      }
  strata->reach = freedom > 0
                      ? ms_student_quantile (1 - (1 - context->sampling.confidence) / 2, freedom)
                            * sqrt (least / (least - 1))
                      : NAN;
}

MsStrata *
ms_strata_new (const MsContext *context, const MsGroups *groups, guint n_documents)
{
  MsStrata *strata = g_new0 (MsStrata, 1);
  const MsClusters *clusters = ms_trace_clusters (context->trace, context->cluster, NULL);
  guint n_clusters = clusters != NULL ? clusters->n : n_documents, n_pools = groups->n + 1, n = 0;
  g_autofree Place *places = g_new (Place, n_documents);
  g_autofree guint *pool = g_new (guint, n_clusters), *unit = g_new0 (guint, n_clusters);
  g_autofree guint *n_in = g_new0 (guint, n_pools);

  strata->n_groups = groups->n;
  strata->n_resamples = context->sampling.resamples;
  strata->confidence = context->sampling.confidence;
  strata->first = g_new0 (guint, groups->n + 1);
  strata->row = g_new (guint, n_documents);
  strata->pool = g_new (guint, n_documents);
  strata->unit = g_new (guint, n_documents);
  strata->draws = g_new0 (MsBootstrap *, n_pools);
  for (guint d = 0; d < n_documents; d++)
    {
      strata->row[d] = G_MAXUINT;
      if (groups->group[d] >= 0)
        places[n++]
            = (Place){ d, clusters != NULL ? clusters->of[d] : d, (guint) groups->group[d] };
    }
  qsort (places, n, sizeof *places, compare_places);
  find_pools (strata, places, n, n_clusters, pool, unit, n_in);
  for (guint p = 0; p < n_pools; p++)
    {
      MsContext own = *context;

      /* Draws of two groups must not be alike, or their differences would look too certain. */
      own.sampling.seed = ms_seed (context->sampling.seed, 1000 + p);
      strata->draws[p] = ms_bootstrap_new (&own, n_in[p]);
    }
  make_rows (strata, places, n, pool, unit);
  set_deals (strata);
  set_reach (strata, context);
  return strata;
}

void
ms_strata_free (MsStrata *strata)
{
  if (strata == NULL)
    return;
  for (guint p = 0; p <= strata->n_groups; p++)
    ms_bootstrap_free (strata->draws[p]);
  g_free (strata->draws);
  g_free (strata->first);
  g_free (strata->row);
  g_free (strata->pool);
  g_free (strata->dealt);
  g_free (strata->deals);
  g_free (strata->unit);
  g_free (strata);
}

/* --- Counting -------------------------------------------------------------------------------- */

typedef struct
{
  const MsStrata *strata;
  guint n_experts, ranks;
  guint64 *counts; /* (rows, E + 1) */
} Counting;

static gboolean
count_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
            GError **error)
{
  const Counting *counting = data;
  guint unit = counting->strata->row[document];
  guint64 *counts;

  (void) row, (void) error;
  if (unit == G_MAXUINT)
    return TRUE;
  counts = counting->counts + (gsize) unit * (counting->n_experts + 1);
  if (counting->ranks >= chunk->k)
    ms_chunk_count (chunk, from, n, counts);
  for (gsize i = from; i < (gsize) from + n; i++)
    {
      gsize slot = i * chunk->k;

      counts[counting->n_experts] += ms_chunk_expert (chunk, slot) < counting->n_experts;
      for (guint r = 0; counting->ranks < chunk->k && r < counting->ranks; r++)
        if (ms_chunk_expert (chunk, slot + r) < counting->n_experts)
          counts[ms_chunk_expert (chunk, slot + r)]++;
    }
  return TRUE;
}

gboolean
ms_strata_count (const MsStrata *strata, const MsContext *context, guint layer, guint ranks,
                 double *sums, GError **error)
{
  guint n_experts = ms_trace_layer (context->trace, layer)->gate.n_experts;
  gsize n = (gsize) strata->n_rows * (n_experts + 1);
  g_autofree guint64 *counts = g_new0 (guint64, n);
  Counting counting = { strata, n_experts, ranks > 0 ? ranks : G_MAXUINT, counts };

  if (!ms_trace_scan_layer (context->trace, layer, 0, count_rows, &counting, context->cancel,
                            error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    sums[i] = (double) counts[i];
  return TRUE;
}

/* --- Resampling and permuting ---------------------------------------------------------------- */

static void
add_row (double *total, const double *row, guint m, double weight)
{
  for (guint i = 0; i < m; i++)
    total[i] += weight * row[i];
}

/* The sums by group of one resample, or of the data as they are for resample G_MAXUINT.  A cluster that has
 * documents of several groups is drawn with all of them. */
static void
draw (const MsStrata *strata, const double *sums, guint m, guint resample, double *totals)
{
  memset (totals, 0, (gsize) strata->n_groups * m * sizeof (double));
  for (guint g = 0; g < strata->n_groups; g++)
    for (guint row = strata->first[g]; row < strata->first[g + 1]; row++)
      {
        const MsBootstrap *draws = strata->draws[strata->pool[row]];
        double times = 1;

        if (resample != G_MAXUINT)
          times = draws->n_units < 2
                      ? NAN
                      : draws->times[(gsize) resample * draws->n_units + strata->unit[row]];
        if (times != 0)
          add_row (totals + (gsize) g * m, sums + (gsize) row * m, m, times);
      }
}

void
ms_strata_resample (const MsStrata *strata, const double *sums, guint m, MsStatistic statistic,
                    gpointer data, guint n_out, double *values, double *resampled)
{
  g_autofree double *totals = g_new (double, (gsize) strata->n_groups *m);
  g_autofree double *made = g_new (double, n_out);

  draw (strata, sums, m, G_MAXUINT, totals);
  statistic (totals, values, data);
  /* Where every group is one document, nothing can be drawn. */
  for (gsize i = 0; isnan (strata->reach) && i < (gsize) n_out * strata->n_resamples; i++)
    resampled[i] = NAN;
  for (guint r = 0; !isnan (strata->reach) && r < strata->n_resamples; r++)
    {
      draw (strata, sums, m, r, totals);
      statistic (totals, made, data);
      for (guint i = 0; i < n_out; i++)
        resampled[(gsize) i * strata->n_resamples + r] = made[i];
    }
}

/* Deals rows anew: order[i] is the row whose data row i gets. */
static void
deal (const MsStrata *strata, guint *order, guint64 *state)
{
  for (guint i = 0; i < strata->n_rows; i++)
    order[i] = i;
  for (guint d = 0; d < strata->n_deals; d++)
    {
      const guint *rows = strata->dealt + strata->deals[d];

      for (guint i = strata->deals[d + 1] - strata->deals[d]; i > 1; i--)
        {
          guint j = (guint) ms_random_below (state, i), kept = order[rows[i - 1]];

          order[rows[i - 1]] = order[rows[j]];
          order[rows[j]] = kept;
        }
    }
}

void
ms_strata_permute (const MsStrata *strata, const double *sums, guint m, guint n, guint64 seed,
                   MsStatistic statistic, gpointer data, guint n_out, double *permuted)
{
  g_autofree double *totals = g_new (double, (gsize) strata->n_groups *m);
  g_autofree double *made = g_new (double, n_out);
  g_autofree guint *order = g_new (guint, strata->n_rows);
  guint64 state = ms_seed (seed, 2000);

  for (guint p = 0; p < n; p++)
    {
      memset (totals, 0, (gsize) strata->n_groups * m * sizeof (double));
      deal (strata, order, &state);
      for (guint g = 0; g < strata->n_groups; g++)
        for (guint i = strata->first[g]; i < strata->first[g + 1]; i++)
          add_row (totals + (gsize) g * m, sums + (gsize) order[i] * m, m, 1);
      statistic (totals, made, data);
      for (guint i = 0; i < n_out; i++)
        permuted[(gsize) i * n + p] = made[i];
    }
}

MsInterval
ms_strata_interval (const MsStrata *strata, double value, const double *resampled)
{
  const MsIntervalRule rule = { strata->confidence, strata->reach };

  return ms_interval_make (&rule, value, resampled, strata->n_resamples);
}

double
ms_strata_p (double value, const double *permuted, guint n)
{
  guint as_large = 1;

  /* Sums in another order differ in the last bits. */
  for (guint i = 0; i < n; i++)
    as_large += permuted[i] >= value - 1e-12 * fabs (value);
  return n > 0 && !isnan (value) ? as_large / (n + 1.0) : NAN;
}

char *
ms_place (gint64 layer, gint64 expert, const char *label, const char *name)
{
  g_autoptr (MsSelection) place = ms_selection_new ();
  MsRange layers = { layer, layer }, experts = { expert, expert };
  GPtrArray **names = NULL;

  place->layers = g_array_new (FALSE, FALSE, sizeof (MsRange));
  g_array_append_val (place->layers, layers);
  if (expert >= 0)
    {
      place->experts = g_array_new (FALSE, FALSE, sizeof (MsRange));
      g_array_append_val (place->experts, experts);
    }
  if (g_strcmp0 (label, "language") == 0)
    names = &place->languages;
  else if (g_strcmp0 (label, "domain") == 0)
    names = &place->domains;
  else if (g_strcmp0 (label, "phase") == 0)
    names = &place->phases;
  if (names != NULL)
    {
      *names = g_ptr_array_new_with_free_func (g_free);
      g_ptr_array_add (*names, g_strdup (name));
    }
  return ms_selection_format (place);
}
