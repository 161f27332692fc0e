#include "gate.h"

#include <math.h>

/* The least sum that weights are divided by: the smallest normal half float. */
#define LEAST_SUM 6.103515625e-5f

char *
ms_gate_describe (const MsGate *gate)
{
  static const char *const names[] = { [MS_SCORING_UNKNOWN] = "unknown",
                                       [MS_SCORING_SOFTMAX] = "softmax",
                                       [MS_SCORING_SIGMOID] = "sigmoid",
                                       [MS_SCORING_SELECTED] = "softmax on selected",
                                       [MS_SCORING_SQRT_SOFTPLUS] = "sqrt of softplus" };
  GString *text = g_string_new (names[gate->scoring]);

  g_string_append_printf (text, ", top %u of %u", gate->k, gate->n_experts);
  if (gate->groups > 1)
    g_string_append_printf (text, " in the best %u of %u groups", gate->groups_used, gate->groups);
  if (gate->biased)
    g_string_append (text, ", selection bias");
  if (gate->scoring != MS_SCORING_SELECTED)
    g_string_append (text, gate->renormalise ? ", renormalised" : ", not renormalised");
  if (gate->scale != 1)
    {
      char number[G_ASCII_DTOSTR_BUF_SIZE];

      g_string_append_printf (text, ", scaled by %s",
                              g_ascii_formatd (number, sizeof number, "%.6g", gate->scale));
    }
  return g_string_free (text, FALSE);
}

gsize
ms_gate_scratch (const MsGate *gate)
{
  return 2 * (gsize) gate->n_experts + gate->groups;
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
score (const MsGate *gate, const float *logits, float *scores)
{
  if (gate->scoring == MS_SCORING_SOFTMAX)
    softmax (logits, gate->n_experts, scores);
  for (guint e = 0; e < gate->n_experts && gate->scoring != MS_SCORING_SOFTMAX; e++)
    switch (gate->scoring)
      {
      case MS_SCORING_SIGMOID:
        scores[e] = (float) (1 / (1 + exp (-(double) logits[e])));
        break;
      case MS_SCORING_SQRT_SOFTPLUS:
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
mask_groups (const MsGate *gate, float *selection, float *values)
{
  guint size = gate->n_experts / gate->groups;

  for (guint g = 0; g < gate->groups; g++)
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
      values[g] = size > 1 && gate->group_rule == MS_GROUP_BEST_TWO ? first + second : first;
    }
  for (guint g = 0; g < gate->groups; g++)
    {
      guint better = 0;

      for (guint other = 0; other < gate->groups; other++)
        better += values[other] > values[g] || (values[other] == values[g] && other < g);
      for (guint e = g * size; e < (g + 1) * size && better >= gate->groups_used; e++)
        selection[e] = -INFINITY;
    }
}

static void
weigh (const MsGate *gate, const float *scores, MsDecision *decision)
{
  float sum = 0;

  for (guint j = 0; j < gate->k; j++)
    decision->weights[j] = scores[decision->experts[j]];
  if (gate->scoring == MS_SCORING_SELECTED)
    softmax (decision->weights, gate->k, decision->weights);
  else if (gate->renormalise)
    {
      for (guint j = 0; j < gate->k; j++)
        sum += decision->weights[j];
      for (guint j = 0; j < gate->k; j++)
        decision->weights[j] /= MAX (sum, LEAST_SUM);
    }
  for (guint j = 0; j < gate->k && gate->scale != 1; j++)
    decision->weights[j] *= gate->scale;
}

void
ms_gate_choose (const MsGate *gate, const float *logits, float *scratch, MsDecision *decision)
{
  guint n = gate->n_experts, k = gate->k, filled = 0;
  float *scores = scratch, *selection = scratch + n;
  float rejected = -INFINITY;

  score (gate, logits, scores);
  for (guint e = 0; e < n; e++)
    selection[e] = scores[e] + (gate->selection_bias != NULL ? gate->selection_bias[e] : 0);
  if (gate->groups > 1)
    mask_groups (gate, selection, selection + n);
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
  weigh (gate, scores, decision);
  if (gate->scoring == MS_SCORING_SELECTED)
    softmax (logits, n, scores);
  decision->entropy = entropy (scores, n);
}
