/* Does a change of routing matter?  The losses of two runs of the same tokens beside the number of layers in
 * which a token's sets of experts differ (metrics.md d.2). */
#include "aligned-private.h"

#include <math.h>

enum
{
  SUM_TOKENS,
  SUM_LOSS,
  SUM_BASE,
  N_SUMS,
};

/* Sums of the tokens with 0, 1, ... L differing layers, then of all. */
typedef struct
{
  guint n; /* L + 2 */
} Shape;

/* The change of the mean loss of each (n), the run less its baseline. */
static void
changes (const double *sums, double *out, gpointer data)
{
  guint n = ((const Shape *) data)->n;

  for (guint i = 0; i < n; i++)
    {
      const double *own = sums + i * N_SUMS;

      out[i] = own[SUM_TOKENS] > 0 ? (own[SUM_LOSS] - own[SUM_BASE]) / own[SUM_TOKENS] : NAN;
    }
}

static void
add_token (double *sums, double loss, double base)
{
  sums[SUM_TOKENS]++;
  sums[SUM_LOSS] += loss;
  sums[SUM_BASE] += base;
}

static void
write_row (MsTable *table, gint64 layers, const double *sums, const MsInterval *change)
{
  double n = sums[SUM_TOKENS];

  ms_table_add_row (table, MS_INT (layers), MS_INT ((gint64) n),
                    MS_REAL (n > 0 ? sums[SUM_LOSS] / n : NAN),
                    MS_REAL (n > 0 ? sums[SUM_BASE] / n : NAN), MS_INTERVAL (*change));
}

gboolean
ms_compare_losses (const MsContext *context, const MsBootstrap *bootstrap, const guint16 *differing,
                   MsResult *result, MsInterval *change, GError **error)
{
  MsTrace *run = context->trace, *base = context->others[0];
  guint n_layers = ms_trace_n_layers (run);
  Shape shape = { n_layers + 2 };
  gsize width = (gsize) shape.n * N_SUMS;
  g_autofree float *own = NULL, *other = NULL;
  g_autofree double *units = g_new0 (double, bootstrap->n_units *width);
  g_autofree double *total = g_new0 (double, width);
  g_autofree MsInterval *intervals = g_new (MsInterval, shape.n);

  *change = (MsInterval){ .value = NAN, .low = NAN, .high = NAN };
  if (!ms_trace_run (run)->predictions || !ms_trace_run (base)->predictions)
    return TRUE;
  if (!ms_trace_predictions (run, NULL, &own, error)
      || !ms_trace_predictions (base, NULL, &other, error))
    return FALSE;
  for (guint d = 0; d < ms_trace_n_documents (run); d++)
    {
      const MsDocument *x = ms_trace_document (run, d), *y = ms_trace_document (base, d);
      double *sums = units + ms_bootstrap_unit (bootstrap, d) * width;

      for (gint64 t = 0; t < x->n_tokens; t++)
        {
          double loss = (double) own[x->first_token + t],
                 before = (double) other[y->first_token + t];

          if (isnan (loss) || isnan (before))
            continue;
          add_token (sums + differing[x->first_token + t] * N_SUMS, loss, before);
          add_token (sums + (n_layers + 1) * N_SUMS, loss, before);
        }
    }
  for (guint u = 0; u < bootstrap->n_units; u++)
    for (gsize i = 0; i < width; i++)
      total[i] += units[u * width + i];
  if (total[(n_layers + 1) * N_SUMS] == 0)
    return TRUE;
  ms_bootstrap_intervals (bootstrap, units, (guint) width, changes, &shape, shape.n, intervals);
  for (guint i = 0; i <= n_layers; i++)
    if (total[i * N_SUMS] > 0)
      write_row (ms_result_table (result, "losses"), i, total + i * N_SUMS, &intervals[i]);
  *change = intervals[n_layers + 1];
  return TRUE;
}
