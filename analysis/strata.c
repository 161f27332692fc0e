/* Documents by group: counts, intervals by resampling within groups, null values by dealing anew. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

MsStrata *
ms_strata_new (const MsContext *context, const MsGroups *groups, guint n_documents)
{
  MsStrata *strata = g_new0 (MsStrata, 1);
  g_autofree guint *seen = g_new0 (guint, groups->n);

  strata->n_groups = groups->n;
  strata->n_resamples = context->bootstrap;
  strata->confidence = context->confidence;
  strata->first = g_new0 (guint, groups->n + 1);
  strata->row = g_new (guint, n_documents);
  strata->draws = g_new0 (MsBootstrap *, groups->n);
  for (guint d = 0; d < n_documents; d++)
    if (groups->group[d] >= 0)
      seen[groups->group[d]]++;
  for (guint g = 0; g < groups->n; g++)
    {
      MsContext own = *context;

      /* Draws of two groups must not be alike, or their differences would look too certain. */
      own.seed = ms_seed (context->seed, 1000 + g);
      strata->draws[g] = ms_bootstrap_new (&own, seen[g]);
      strata->first[g + 1] = strata->first[g] + strata->draws[g]->n_units;
    }
  strata->n_rows = strata->first[groups->n];
  memset (seen, 0, groups->n * sizeof *seen);
  for (guint d = 0; d < n_documents; d++)
    {
      int g = groups->group[d];

      strata->row[d] = G_MAXUINT;
      if (g >= 0)
        strata->row[d] = strata->first[g] + ms_bootstrap_unit (strata->draws[g], seen[g]++);
    }
  return strata;
}

void
ms_strata_free (MsStrata *strata)
{
  if (strata == NULL)
    return;
  for (guint g = 0; g < strata->n_groups; g++)
    ms_bootstrap_free (strata->draws[g]);
  g_free (strata->draws);
  g_free (strata->first);
  g_free (strata->row);
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

/* The sums by group of one resample, or of the data as they are for resample G_MAXUINT. */
static void
draw (const MsStrata *strata, const double *sums, guint m, guint resample, double *totals)
{
  memset (totals, 0, (gsize) strata->n_groups * m * sizeof (double));
  for (guint g = 0; g < strata->n_groups; g++)
    {
      const MsBootstrap *draws = strata->draws[g];
      double *total = totals + (gsize) g * m;

      for (guint u = 0; u < draws->n_units; u++)
        {
          const double *row = sums + (gsize) (strata->first[g] + u) * m;
          guint times = 1;

          if (resample != G_MAXUINT && draws->n_resamples > 0)
            times = draws->times[(gsize) resample * draws->n_units + u];
          if (resample != G_MAXUINT && draws->n_units < 2)
            add_row (total, row, m, NAN);
          else if (times > 0)
            add_row (total, row, m, times);
        }
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
  for (guint r = 0; r < strata->n_resamples; r++)
    {
      draw (strata, sums, m, r, totals);
      statistic (totals, made, data);
      for (guint i = 0; i < n_out; i++)
        resampled[(gsize) i * strata->n_resamples + r] = made[i];
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

  for (guint i = 0; i < strata->n_rows; i++)
    order[i] = i;
  for (guint p = 0; p < n; p++)
    {
      memset (totals, 0, (gsize) strata->n_groups * m * sizeof (double));
      for (guint i = strata->n_rows; i > 1; i--)
        {
          guint j = (guint) ms_random_below (&state, i), kept = order[i - 1];

          order[i - 1] = order[j];
          order[j] = kept;
        }
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
  MsBootstrap shape = { .n_resamples = strata->n_resamples, .confidence = strata->confidence };

  return ms_bootstrap_interval (&shape, value, resampled);
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
