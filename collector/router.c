#include "router-private.h"

#include <math.h>

/* The least sum that weights are divided by: the smallest normal half float. */
#define LEAST_SUM 6.103515625e-5f

char *
ms_router_describe (const MsRouter *router)
{
  static const char *const names[] = { [MS_GATING_SOFTMAX] = "softmax",
                                       [MS_GATING_SIGMOID] = "sigmoid",
                                       [MS_GATING_SELECTED] = "softmax on selected",
                                       [MS_GATING_SQRT_SOFTPLUS] = "sqrt of softplus" };
  GString *text = g_string_new (names[router->gating]);

  g_string_append_printf (text, ", top %u of %u", router->k, router->n_experts);
  if (router->groups > 1)
    g_string_append_printf (text, " in the best %u of %u groups", router->groups_used,
                            router->groups);
  if (router->selection_bias != NULL)
    g_string_append (text, ", selection bias");
  if (router->gating != MS_GATING_SELECTED)
    g_string_append (text, router->renormalize ? ", renormalised" : ", not renormalised");
  if (router->scale != 1)
    {
      char number[G_ASCII_DTOSTR_BUF_SIZE];

      g_string_append_printf (text, ", scaled by %s",
                              g_ascii_formatd (number, sizeof number, "%.6g", router->scale));
    }
  return g_string_free (text, FALSE);
}

gsize
ms_router_scratch (const MsRouter *router)
{
  return 2 * (gsize) router->n_experts + router->groups;
}

static double
softmax (const float *logits, guint n, float *out)
{
  float largest = logits[0];
  double sum = 0;

  for (guint i = 1; i < n; i++)
    largest = MAX (largest, logits[i]);
  for (guint i = 0; i < n; i++)
    sum += exp ((double) logits[i] - largest);
  for (guint i = 0; i < n; i++)
    out[i] = (float) (exp ((double) logits[i] - largest) / sum);
  return sum;
}

static void
score (const MsRouter *router, const float *logits, float *scores)
{
  if (router->gating == MS_GATING_SOFTMAX)
    softmax (logits, router->n_experts, scores);
  for (guint e = 0; e < router->n_experts && router->gating != MS_GATING_SOFTMAX; e++)
    switch (router->gating)
      {
      case MS_GATING_SIGMOID:
        scores[e] = (float) (1 / (1 + exp (-(double) logits[e])));
        break;
      case MS_GATING_SQRT_SOFTPLUS:
        scores[e]
            = (float) sqrt (log1p (exp (-fabs ((double) logits[e]))) + MAX ((double) logits[e], 0));
        break;
      default:
        scores[e] = logits[e];
      }
}

static float
entropy (const float *scores, guint n)
{
  double sum = 0, total = 0;

  for (guint e = 0; e < n; e++)
    total += scores[e];
  for (guint e = 0; e < n; e++)
    if (scores[e] > 0)
      sum -= scores[e] / total * log (scores[e] / total);
  return (float) MAX (sum, 0);
}

/* Leaves the best groups and puts minus infinity into the others. */
static void
mask_groups (const MsRouter *router, float *selection, float *values)
{
  guint size = router->n_experts / router->groups;

  for (guint g = 0; g < router->groups; g++)
    {
      float first = -INFINITY, second = -INFINITY;

      for (guint e = g * size; e < (g + 1) * size; e++)
        if (selection[e] > first)
          {
            second = first;
            first = selection[e];
          }
        else
          second = MAX (second, selection[e]);
      values[g] = size > 1 ? first + second : first;
    }
  for (guint g = 0; g < router->groups; g++)
    {
      guint better = 0;

      for (guint other = 0; other < router->groups; other++)
        better += values[other] > values[g] || (values[other] == values[g] && other < g);
      for (guint e = g * size; e < (g + 1) * size && better >= router->groups_used; e++)
        selection[e] = -INFINITY;
    }
}

static void
weigh (const MsRouter *router, const float *scores, MsDecision *decision)
{
  float sum = 0;

  for (guint j = 0; j < router->k; j++)
    decision->weights[j] = scores[decision->experts[j]];
  if (router->gating == MS_GATING_SELECTED)
    softmax (decision->weights, router->k, decision->weights);
  else if (router->renormalize)
    {
      for (guint j = 0; j < router->k; j++)
        sum += decision->weights[j];
      for (guint j = 0; j < router->k; j++)
        decision->weights[j] /= MAX (sum, LEAST_SUM);
    }
  for (guint j = 0; j < router->k && router->scale != 1; j++)
    decision->weights[j] *= router->scale;
}

void
ms_router_choose (const MsRouter *router, const float *logits, float *scratch, MsDecision *decision)
{
  guint n = router->n_experts, k = router->k, filled = 0;
  float *scores = scratch, *selection = scratch + n;
  float rejected = -INFINITY;

  score (router, logits, scores);
  for (guint e = 0; e < n; e++)
    selection[e] = scores[e] + (router->selection_bias != NULL ? router->selection_bias[e] : 0);
  if (router->groups > 1)
    mask_groups (router, selection, selection + n);
  /* The k best so far, kept in order; an equal score comes after the lower id. */
  for (guint e = 0; e < n; e++)
    {
      guint place = filled;

      while (place > 0 && selection[e] > selection[decision->experts[place - 1]])
        place--;
      if (filled == k)
        rejected = MAX (rejected, place == k ? selection[e] : selection[decision->experts[k - 1]]);
      if (place == k)
        continue;
      for (guint j = MIN (filled, k - 1); j > place; j--)
        decision->experts[j] = decision->experts[j - 1];
      decision->experts[place] = (guint16) e;
      filled = MIN (filled + 1, k);
    }
  decision->margin = selection[decision->experts[k - 1]] - rejected;
  weigh (router, scores, decision);
  if (router->gating == MS_GATING_SELECTED)
    softmax (logits, n, scores);
  decision->entropy = entropy (scores, n);
}
