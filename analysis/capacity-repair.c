/* Rectify-Router's repair of drops and free slots, replayed on recorded choices. */
#include "capacity-repair-private.h"

guint
ms_repair_home (const MsRepairBatch *batch, gint64 row)
{
  return (guint) ((guint64) (row - batch->first) * batch->n_devices / (guint64) batch->n);
}

guint
ms_repair_device (const MsRepairBatch *batch, guint expert, guint n_experts)
{
  return (guint) ((guint64) expert * batch->n_devices / n_experts);
}

static gboolean
holds (const guint16 *list, guint n, guint expert)
{
  for (guint i = 0; i < n; i++)
    if (list[i] == expert)
      return TRUE;
  return FALSE;
}

/* The best expert of from..to-1 that is in neither list (k each), MS_NO_EXPERT when there is none. */
static guint16
best_other (const float *score, guint from, guint to, const guint16 *chosen,
            const guint16 *replaced, guint k)
{
  guint16 best = MS_NO_EXPERT;

  for (guint e = from; e < to; e++)
    if ((best == MS_NO_EXPERT || score[e] > score[best]) && !holds (chosen, k, e)
        && !holds (replaced, k, e))
      best = (guint16) e;
  return best;
}

void
ms_repair_plan_init (MsRepairPlan *plan, const MsTrace *trace, guint index,
                     const MsLayerTrace *layer)
{
  guint n = layer->n_experts, k = layer->k;
  g_autofree double *p = g_new (double, n);

  plan->next = g_new (guint16, layer->n_tokens + 1);
  plan->score = g_new0 (double, layer->n_tokens + 1);
  for (gint64 t = 0; t < layer->n_tokens; t++)
    {
      const guint16 *chosen = layer->experts + t * k;

      plan->next[t] = chosen[0] == MS_NO_EXPERT
                          ? MS_NO_EXPERT
                          : best_other (layer->logits + t * n, 0, n, chosen, chosen, k);
      if (plan->next[t] == MS_NO_EXPERT)
        continue;
      ms_trace_distribution (trace, index, layer->logits + t * n, p);
      plan->score[t] = p[plan->next[t]];
    }
}

void
ms_repair_plan_clear (MsRepairPlan *plan)
{
  g_clear_pointer (&plan->next, g_free);
  g_clear_pointer (&plan->score, g_free);
}

/* Intra-GPU rectification of one token. */
static void
replace_dropped (const MsRepairBatch *batch, const MsLayerTrace *layer, gint64 row,
                 const guint8 *kept, guint16 *replaced)
{
  guint k = layer->k, n = layer->n_experts, home = ms_repair_home (batch, row);
  const guint16 *chosen = layer->experts + row * k;
  guint from = 0, to;

  while (from < n && ms_repair_device (batch, from, n) < home)
    from++;
  to = from;
  while (to < n && ms_repair_device (batch, to, n) == home)
    to++;
  for (guint r = 0; r < k; r++)
    replaced[r] = MS_NO_EXPERT;
  for (guint r = 0; r < k; r++)
    if (chosen[r] != MS_NO_EXPERT && !kept[r])
      replaced[r] = best_other (layer->logits + row * n, from, to, chosen, replaced, k);
}

static int
by_score (gconstpointer a, gconstpointer b, gpointer data)
{
  const double *score = data;
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return score[x] != score[y] ? (score[x] > score[y] ? -1 : 1) : x < y ? -1 : x > y;
}

guint64
ms_repair_batch (const MsRepairBatch *batch, const MsLayerTrace *layer, const MsRepairPlan *plan,
                 const guint8 *kept, guint16 *replaced, guint8 *filled)
{
  guint k = layer->k;
  g_autofree gint64 *room = g_new (gint64, layer->n_experts);
  g_autofree gint64 *rows = g_new (gint64, batch->n + 1);
  guint64 n_free = 0;

  for (guint e = 0; e < layer->n_experts; e++)
    room[e] = batch->capacity;
  for (gint64 i = 0; i < batch->n; i++)
    {
      gint64 row = batch->first + i;

      rows[i] = row;
      filled[row] = FALSE;
      replace_dropped (batch, layer, row, kept + row * k, replaced + row * k);
      for (guint r = 0; r < k; r++)
        if (kept[row * k + r])
          room[layer->experts[row * k + r]]--;
    }
  for (guint e = 0; e < layer->n_experts; e++)
    n_free += (guint64) room[e];
  g_qsort_with_data (rows, (gint) batch->n, sizeof *rows, by_score, plan->score);
  for (gint64 i = 0; i < batch->n; i++)
    {
      guint16 next = plan->next[rows[i]];

      if (next == MS_NO_EXPERT || room[next] <= 0 || holds (replaced + rows[i] * k, k, next))
        continue;
      room[next]--;
      filled[rows[i]] = TRUE;
    }
  return n_free;
}
