/* The experts of a layer that occur: what is counted for pairs of experts costs these alone, however large their
 * numbers are. */
#include "analysis-private.h"

void
ms_occurring_init (MsOccurring *occurring, const guint64 *counts, guint n_experts)
{
  *occurring = (MsOccurring){ .n_experts = n_experts,
                              .ids = g_new (guint, n_experts + 1),
                              .of = g_new (guint, n_experts + 1) };
  for (guint e = 0; e < n_experts; e++)
    {
      occurring->of[e] = counts[e] > 0 ? occurring->n : MS_NOT_OCCURRING;
      if (counts[e] > 0)
        occurring->ids[occurring->n++] = e;
    }
}

void
ms_occurring_init_of_layer (MsOccurring *occurring, const MsLayerTrace *layer)
{
  g_autofree guint64 *counts = g_new0 (guint64, layer->n_experts);

  for (gsize i = 0; i < (gsize) layer->n_tokens * layer->k; i++)
    if (layer->experts[i] != MS_NO_EXPERT)
      counts[layer->experts[i]]++;
  ms_occurring_init (occurring, counts, layer->n_experts);
}

void
ms_occurring_clear (MsOccurring *occurring)
{
  g_clear_pointer (&occurring->ids, g_free);
  g_clear_pointer (&occurring->of, g_free);
  occurring->n = 0;
}

gboolean
ms_occurring_pairs_fit (const MsContext *context, guint layer, const MsOccurring *a,
                        const MsOccurring *b, gsize bytes, GError **error)
{
  double needed = (double) a->n * b->n * (double) bytes;
  double most = MS_MOST_PAIR_BYTES / ms_trace_n_layers (context->trace);

  if (needed <= most)
    return TRUE;
  g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
               "in layer %d %u experts occur: counts of all their pairs would take %.1f GB of "
               "memory, and %.1f GB for each layer are the most; choose fewer layers with --select",
               ms_trace_layer (context->trace, layer)->number, MAX (a->n, b->n), needed / 1e9,
               most / 1e9);
  return FALSE;
}
