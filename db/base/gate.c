/* The steps of the gate, and the gate in words.
 *
 * What must hold: scores, selection and weights are float32 sums in the order of the experts, as the
 * inference programs form them, so that a choice between scores that float32 cannot tell apart is theirs.
 * Exponentials, and the distribution whose entropy is told, are double.  No step reads what it does not
 * need: weights know no bias, the distribution knows no groups.  ms_gate_describe and ms_gate_read_words
 * speak the same words. */
#include "gate.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* The least sum that weights are divided by: the smallest normal half float. */
#define LEAST_SUM 6.103515625e-5f
#define NO_EXPERT 0xffffu

G_DEFINE_QUARK (ms - gate - error - quark, ms_gate_error)

/* --- Words ------------------------------------------------------------------------------------ */

/* For each scoring: the word of command lines, the words of descriptions. */
static const struct
{
  const char *name, *words;
} scorings[] = {
  [MS_SCORING_UNKNOWN] = { "unknown", "unknown" },
  [MS_SCORING_SOFTMAX] = { "softmax", "softmax" },
  [MS_SCORING_SIGMOID] = { "sigmoid", "sigmoid" },
  [MS_SCORING_SELECTED] = { "softmax-selected", "softmax on selected" },
  [MS_SCORING_SQRT_SOFTPLUS] = { "sqrt-softplus", "sqrt of softplus" },
  [MS_SCORING_SIGMOID_SELECTED] = { "sigmoid-selected", "sigmoid on selected" },
};
G_STATIC_ASSERT (G_N_ELEMENTS (scorings) == MS_N_SCORINGS);

const char *
ms_scoring_name (MsScoring scoring)
{
  g_return_val_if_fail ((guint) scoring < MS_N_SCORINGS, NULL);
  return scorings[scoring].name;
}

MsScoring
ms_scoring_parse (const char *name)
{
  for (guint i = 1; i < G_N_ELEMENTS (scorings); i++)
    if (g_strcmp0 (name, scorings[i].name) == 0)
      return (MsScoring) i;
  return MS_SCORING_UNKNOWN;
}

char *
ms_gate_describe (const MsGate *gate)
{
  GString *text = g_string_new (scorings[gate->scoring].words);

  g_string_append_printf (text, ", top %u of %u", gate->k, gate->n_experts);
  if (gate->groups > 1)
    g_string_append_printf (text, " in the best %u of %u groups", gate->groups_used, gate->groups);
  if (gate->groups > 1 && gate->group_rule == MS_GROUP_BEST)
    g_string_append (text, " by their best expert");
  if (gate->biased)
    g_string_append (text, ", selection bias");
  if (gate->scoring != MS_SCORING_SELECTED && gate->scoring != MS_SCORING_UNKNOWN)
    g_string_append (text, gate->renormalise ? ", renormalised" : ", not renormalised");
  if (gate->scale != 1)
    {
      char number[G_ASCII_DTOSTR_BUF_SIZE];

      g_string_append_printf (text, ", scaled by %s",
                              g_ascii_formatd (number, sizeof number, "%.6g", gate->scale));
    }
  return g_string_free (text, FALSE);
}

/* The scoring that a description begins with. */
static MsScoring
scoring_of_words (const char *words)
{
  gsize length = strcspn (words, ",");

  if (g_str_has_prefix (words, "softmax over the selected,")) /* as imports once said */
    return MS_SCORING_SELECTED;
  for (guint i = 1; i < G_N_ELEMENTS (scorings); i++)
    if (strlen (scorings[i].words) == length && strncmp (words, scorings[i].words, length) == 0)
      return (MsScoring) i;
  return MS_SCORING_UNKNOWN;
}

gboolean
ms_gate_read_words (MsGate *gate, const char *words)
{
  g_auto (GStrv) parts = g_strsplit (words != NULL ? words : "", ", ", -1);
  MsScoring scoring = words != NULL ? scoring_of_words (words) : MS_SCORING_UNKNOWN;

  if (scoring == MS_SCORING_UNKNOWN)
    return FALSE;
  gate->scoring = scoring;
  gate->scale = 1;
  gate->biased = gate->renormalise = FALSE;
  for (guint i = 1; parts[i] != NULL; i++)
    {
      const char *groups = strstr (parts[i], " in the best ");
      char *end;

      gate->biased |= strcmp (parts[i], "selection bias") == 0;
      gate->renormalise |= strcmp (parts[i], "renormalised") == 0;
      if (g_str_has_prefix (parts[i], "scaled by "))
        gate->scale = (float) g_ascii_strtod (parts[i] + strlen ("scaled by "), NULL);
      if (groups == NULL)
        continue;
      gate->groups_used = (guint) g_ascii_strtoull (groups + strlen (" in the best "), &end, 10);
      if (g_str_has_prefix (end, " of "))
        gate->groups = (guint) g_ascii_strtoull (end + strlen (" of "), NULL, 10);
      if (g_str_has_suffix (parts[i], " by their best expert"))
        gate->group_rule = MS_GROUP_BEST;
    }
  return TRUE;
}

gboolean
ms_gate_usable (const MsGate *gate, MsGateStep step, GError **error)
{
  if (gate->scoring <= MS_SCORING_UNKNOWN || gate->scoring >= MS_N_SCORINGS)
    {
      g_set_error (
          error, MS_GATE_ERROR, MS_GATE_ERROR_UNKNOWN,
          "the model's gate is unknown, so nobody can tell what its logits mean: import the "
          "trace again with --gating and the model's rule (softmax, sigmoid, ...)");
      return FALSE;
    }
  if (step == MS_GATE_SCORING)
    return TRUE;
  if (gate->biased && gate->selection_bias == NULL)
    {
      g_set_error (
          error, MS_GATE_ERROR, MS_GATE_ERROR_NO_BIAS,
          "the model chooses by scores plus a selection bias, whose values this run does not "
          "hold: collect the run again from the model file");
      return FALSE;
    }
  if (gate->k < 1 || gate->k > gate->n_experts
      || (gate->groups > 1
          && (gate->n_experts % gate->groups != 0 || gate->groups_used < 1
              || gate->groups_used > gate->groups
              || gate->k > gate->groups_used * (gate->n_experts / gate->groups))))
    {
      g_autofree char *words = ms_gate_describe (gate);

      g_set_error (error, MS_GATE_ERROR, MS_GATE_ERROR_INVALID,
                   "a gate of this shape cannot choose: %s", words);
      return FALSE;
    }
  return TRUE;
}

/* --- Scores ----------------------------------------------------------------------------------- */

/* Takes n values to their softmax; in and out may be the same array. */
static void
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
}

static double
sigmoid (double logit)
{
  return 1 / (1 + exp (-logit));
}

static double
sqrt_softplus (double logit)
{
  return sqrt (log1p (exp (-fabs (logit))) + (logit > 0 ? logit : 0));
}

void
ms_gate_scores (const MsGate *gate, const float *logits, float *scores)
{
  guint n = gate->n_experts;

  switch (gate->scoring)
    {
    case MS_SCORING_SOFTMAX:
      softmax (logits, n, scores);
      break;
    case MS_SCORING_SIGMOID:
      for (guint e = 0; e < n; e++)
        scores[e] = (float) sigmoid ((double) logits[e]);
      break;
    case MS_SCORING_SQRT_SOFTPLUS:
      for (guint e = 0; e < n; e++)
        scores[e] = (float) sqrt_softplus ((double) logits[e]);
      break;
    default:
      memmove (scores, logits, n * sizeof *scores);
    }
}

/* Divides by the sum; what cannot be divided is undefined. */
static void
share (double *p, guint n)
{
  double sum = 0;

  for (guint e = 0; e < n; e++)
    sum += p[e];
  for (guint e = 0; e < n; e++)
    p[e] = sum > 0 ? p[e] / sum : NAN;
}

void
ms_gate_distribution (const MsGate *gate, const float *logits, double *p)
{
  double largest = -INFINITY;

  for (guint e = 0; e < gate->n_experts; e++)
    largest = (double) logits[e] > largest ? (double) logits[e] : largest;
  for (guint e = 0; e < gate->n_experts; e++)
    p[e] = gate->scoring == MS_SCORING_SIGMOID || gate->scoring == MS_SCORING_SIGMOID_SELECTED
               ? sigmoid ((double) logits[e])
           : gate->scoring == MS_SCORING_SQRT_SOFTPLUS ? sqrt_softplus ((double) logits[e])
                                                       : exp ((double) logits[e] - largest);
  share (p, gate->n_experts);
}

void
ms_gate_distribution_of_scores (const float *scores, guint n, double *p)
{
  for (guint e = 0; e < n; e++)
    p[e] = (double) scores[e];
  share (p, n);
}

double
ms_gate_entropy (const double *p, guint n)
{
  double sum = 0;

  for (guint e = 0; e < n; e++)
    if (!(p[e] <= 0)) /* a NaN counts */
      sum -= p[e] * log (p[e]);
  return sum < 0 ? 0 : sum;
}

/* The same of float32 scores, without an array between. */
static float
entropy_of_scores (const float *scores, guint n)
{
  double sum = 0, total = 0;

  for (guint e = 0; e < n; e++)
    total += scores[e];
  for (guint e = 0; e < n; e++)
    if (!(scores[e] <= 0))
      sum -= scores[e] / total * log (scores[e] / total);
  return total > 0 ? (float) (sum < 0 ? 0 : sum) : NAN;
}

/* --- Choosing --------------------------------------------------------------------------------- */

gsize
ms_gate_selection_size (const MsGate *gate)
{
  return (gsize) gate->n_experts + gate->groups;
}

/* Leaves the best groups and puts minus infinity into the others; values (groups) is scratch. */
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

gboolean
ms_gate_selection (const MsGate *gate, const float *scores, float *selection)
{
  guint n = gate->n_experts;
  gboolean defined = TRUE;

  for (guint e = 0; e < n; e++)
    {
      float z = scores[e] + (gate->selection_bias != NULL ? gate->selection_bias[e] : 0);

      defined = defined && !isnan (z);
      selection[e] = z > -FLT_MAX ? z : -FLT_MAX;
    }
  if (gate->groups > 1)
    mask_groups (gate, selection, selection + n);
  return defined;
}

guint
ms_gate_select (const float *selection, guint n, guint k, guint16 *experts, float *margin)
{
  float rejected = -INFINITY;
  guint filled = 0;

  /* The k best so far, kept in order; an equal score comes after the lower id. */
  for (guint e = 0; e < n; e++)
    {
      guint place = filled;

      if (selection[e] < -FLT_MAX)
        continue;
      while (place > 0 && selection[e] > selection[experts[place - 1]])
        place--;
      if (filled == k)
        rejected = MAX (rejected, place == k ? selection[e] : selection[experts[k - 1]]);
      if (place == k)
        continue;
      for (guint j = MIN (filled, k - 1); j > place; j--)
        experts[j] = experts[j - 1];
      experts[place] = (guint16) e;
      filled = MIN (filled + 1, k);
    }
  for (guint j = filled; j < k; j++)
    experts[j] = NO_EXPERT;
  if (margin != NULL)
    {
      *margin = filled > 0 ? selection[experts[filled - 1]] - rejected : NAN;
      if (!isfinite (*margin))
        *margin = NAN;
    }
  return filled;
}

float
ms_gate_margin (const float *selection, guint n, const guint16 *experts, guint k)
{
  float worst = INFINITY, best = -INFINITY, margin;
  guint used = 0;

  for (; used < k && experts[used] != NO_EXPERT; used++)
    worst = MIN (worst, selection[experts[used]]);
  for (guint e = 0; e < n; e++)
    {
      guint slot = 0;

      if (!(selection[e] > best))
        continue;
      while (slot < used && experts[slot] != e)
        slot++;
      if (slot == used)
        best = selection[e];
    }
  margin = worst - best;
  return isfinite (margin) ? margin : NAN;
}

/* --- Weights ---------------------------------------------------------------------------------- */

void
ms_gate_weigh (const MsGate *gate, const float *scores, const guint16 *experts, guint k,
               float *weights)
{
  float sum = 0;

  for (guint j = 0; j < k; j++)
    weights[j] = gate->scoring == MS_SCORING_SIGMOID_SELECTED
                     ? (float) sigmoid ((double) scores[experts[j]])
                     : scores[experts[j]];
  if (gate->scoring == MS_SCORING_SELECTED && k > 0)
    softmax (weights, k, weights);
  else if (gate->renormalise)
    {
      for (guint j = 0; j < k; j++)
        sum += weights[j];
      for (guint j = 0; j < k; j++)
        weights[j] /= MAX (sum, LEAST_SUM);
    }
  for (guint j = 0; j < k && gate->scale != 1; j++)
    weights[j] *= gate->scale;
}

/* --- All steps at once ------------------------------------------------------------------------ */

gsize
ms_gate_scratch (const MsGate *gate)
{
  return gate->n_experts + ms_gate_selection_size (gate);
}

void
ms_gate_choose (const MsGate *gate, const float *logits, float *scratch, MsDecision *decision)
{
  guint n = gate->n_experts;
  float *scores = scratch, *selection = scratch + n;
  gboolean defined;
  guint chosen;

  ms_gate_scores (gate, logits, scores);
  defined = ms_gate_selection (gate, scores, selection);
  chosen = ms_gate_select (selection, n, gate->k, decision->experts, &decision->margin);
  if (!defined)
    decision->margin = NAN;
  ms_gate_weigh (gate, scores, decision->experts, chosen, decision->weights);
  for (guint j = chosen; j < gate->k; j++)
    decision->weights[j] = 0;
  if (gate->scoring == MS_SCORING_SELECTED)
    softmax (logits, n, scores);
  for (guint e = 0; e < n && gate->scoring == MS_SCORING_SIGMOID_SELECTED; e++)
    scores[e] = (float) sigmoid ((double) logits[e]);
  decision->entropy = entropy_of_scores (scores, n);
}
