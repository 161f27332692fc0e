/* The gate, every scoring with every switch, against loops that follow gguf-moe.md 1 another way: sorted lists
 * in place of insertion, sums of exponentials without a largest one.  And its words, and what is undefined. */
#include "base.h"
#include "gate.h"

#include <math.h>
#include <string.h>

#define E         12
#define NO_EXPERT 0xffffu

/* --- The twin ------------------------------------------------------------------------------- */

typedef struct
{
  double value;
  guint id;
} Entry;

static int
compare_entries (gconstpointer a, gconstpointer b)
{
  const Entry *x = a, *y = b;

  if (x->value != y->value)
    return x->value > y->value ? -1 : 1;
  return x->id < y->id ? -1 : 1;
}

typedef struct
{
  double scores[E], selection[E], weights[E], entropy, margin;
  guint experts[E];
} Twin;

static void
twin_scores (const MsGate *gate, const float *logits, Twin *twin)
{
  double sum = 0, total = 0, logs = 0;
  double p[E];

  for (guint e = 0; e < E; e++)
    sum += exp ((double) logits[e]);
  for (guint e = 0; e < E; e++)
    {
      double power = exp ((double) logits[e]);

      p[e] = power / sum;
      twin->scores[e] = gate->scoring == MS_SCORING_SOFTMAX         ? power / sum
                        : gate->scoring == MS_SCORING_SIGMOID       ? power / (power + 1)
                        : gate->scoring == MS_SCORING_SQRT_SOFTPLUS ? sqrt (log (1 + power))
                                                                    : (double) logits[e];
      if (gate->scoring == MS_SCORING_SIGMOID_SELECTED)
        p[e] = power / (power + 1);
      else if (gate->scoring != MS_SCORING_SELECTED)
        p[e] = twin->scores[e];
    }
  for (guint e = 0; e < E; e++)
    {
      total += p[e];
      logs += p[e] * log (p[e]);
    }
  twin->entropy = log (total) - logs / total;
}

/* Sorts the groups by their value, then all experts of the best ones. */
static void
twin_choice (const MsGate *gate, Twin *twin)
{
  guint groups = MAX (gate->groups, 1), size = E / groups, n = 0;
  Entry order[E], kept[E];

  for (guint g = 0; g < groups; g++)
    {
      Entry members[E];

      for (guint i = 0; i < size; i++)
        members[i] = (Entry){ twin->selection[g * size + i], i };
      qsort (members, size, sizeof *members, compare_entries);
      order[g] = (Entry){ members[0].value, g };
      if (gate->group_rule == MS_GROUP_BEST_TWO && size > 1) /* in float32, as the gate adds */
        order[g].value = (double) ((float) members[0].value + (float) members[1].value);
    }
  qsort (order, groups, sizeof *order, compare_entries);
  for (guint g = 0; g < (groups > 1 ? gate->groups_used : 1); g++)
    for (guint i = 0; i < size; i++)
      {
        guint e = order[g].id * size + i;

        kept[n++] = (Entry){ twin->selection[e], e };
      }
  qsort (kept, n, sizeof *kept, compare_entries);
  for (guint j = 0; j < gate->k; j++)
    twin->experts[j] = kept[j].id;
  twin->margin = n > gate->k ? kept[gate->k - 1].value - kept[gate->k].value : NAN;
}

static void
twin_weights (const MsGate *gate, Twin *twin)
{
  double sum = 0;

  for (guint j = 0; j < gate->k; j++)
    {
      double score = twin->scores[twin->experts[j]];

      twin->weights[j] = gate->scoring == MS_SCORING_SELECTED           ? exp (score)
                         : gate->scoring == MS_SCORING_SIGMOID_SELECTED ? 1 / (1 + exp (-score))
                                                                        : score;
      sum += twin->weights[j];
    }
  for (guint j = 0; j < gate->k; j++)
    {
      if (gate->scoring == MS_SCORING_SELECTED || gate->renormalise)
        twin->weights[j] /= sum;
      twin->weights[j] *= (double) gate->scale;
    }
}

/* --- Every switch --------------------------------------------------------------------------- */

static void
assert_near (double value, double expected)
{
  if (isnan (expected))
    g_assert_true (isnan (value));
  else
    g_assert_cmpfloat_with_epsilon (value, expected, 2e-6);
}

/* One token through the gate at once, step by step, and through the twin. */
static void
check_token (const MsGate *gate, const float *logits)
{
  float scratch[3 * E], scores[E], selection[2 * E], weights[E], step_weights[E], margin;
  guint16 experts[E], step_experts[E];
  double p[E];
  MsDecision decision = { .experts = experts, .weights = weights };
  Twin twin;

  ms_gate_choose (gate, logits, scratch, &decision);
  ms_gate_scores (gate, logits, scores);
  twin_scores (gate, logits, &twin);
  for (guint e = 0; e < E; e++)
    {
      assert_near ((double) scores[e], twin.scores[e]);
      /* The choice is compared exactly, so it starts from the same float32 scores. */
      twin.selection[e] = (double) (scores[e] + (gate->biased ? gate->selection_bias[e] : 0));
    }
  twin_choice (gate, &twin);
  twin_weights (gate, &twin);
  ms_gate_distribution (gate, logits, p);
  assert_near (ms_gate_entropy (p, E), twin.entropy);
  assert_near ((double) decision.entropy, twin.entropy);
  assert_near ((double) decision.margin, twin.margin);
  g_assert_true (ms_gate_selection (gate, scores, selection));
  g_assert_cmpuint (ms_gate_select (selection, E, gate->k, step_experts, &margin), ==, gate->k);
  ms_gate_weigh (gate, scores, step_experts, gate->k, step_weights);
  for (guint j = 0; j < gate->k; j++)
    {
      g_assert_cmpuint (experts[j], ==, twin.experts[j]);
      g_assert_cmpuint (step_experts[j], ==, twin.experts[j]);
      assert_near ((double) weights[j], twin.weights[j]);
      g_assert_cmpfloat (step_weights[j], ==, weights[j]);
    }
  assert_near ((double) margin, twin.margin);
  assert_near ((double) ms_gate_margin (selection, E, experts, gate->k), twin.margin);
}

static void
fill_logits (guint64 *state, gboolean tied, float *logits)
{
  for (guint e = 0; e < E; e++)
    logits[e] = tied ? (float) ms_random_below (state, 3) - 1
                     : (float) (6 * ms_random_double (state) - 3);
}

static void
test_switches (void)
{
  static const struct
  {
    guint groups, used;
  } groups[] = { { 0, 0 }, { 1, 1 }, { 4, 2 }, { 3, 1 }, { 12, 5 }, { 2, 2 } };
  static const guint ks[] = { 1, 3, 4, E };
  float bias[E], logits[E];
  guint64 state = 11;
  guint n = 0;

  for (guint i = 0; i < 5 * G_N_ELEMENTS (groups) * 2 * 2 * 2 * 2 * G_N_ELEMENTS (ks) * 6; i++)
    {
      guint at = i;
      guint shape, tokens, digit;
      MsGate gate = { .n_experts = E };

#define NEXT(choices) (digit = at % (guint) (choices), at /= (guint) (choices), digit)
      gate.scoring = (MsScoring) (NEXT (MS_N_SCORINGS - 1) + 1);
      shape = NEXT (G_N_ELEMENTS (groups));
      gate.groups = groups[shape].groups;
      gate.groups_used = groups[shape].used;
      gate.group_rule = NEXT (2) ? MS_GROUP_BEST : MS_GROUP_BEST_TWO;
      gate.renormalise = (gboolean) NEXT (2);
      gate.biased = (gboolean) NEXT (2);
      gate.selection_bias = gate.biased ? bias : NULL;
      gate.scale = NEXT (2) ? 2.5f : 1;
      gate.k = ks[NEXT (G_N_ELEMENTS (ks))];
      tokens = NEXT (6);
#undef NEXT
      if (!ms_gate_usable (&gate, MS_GATE_CHOICE, NULL)) /* more than the groups hold */
        {
          g_assert_cmpuint (gate.groups, >, 1);
          g_assert_cmpuint (gate.k, >, gate.groups_used * E / gate.groups);
          continue;
        }
      for (guint e = 0; e < E; e++)
        bias[e] = (float) (ms_random_double (&state) - 0.5);
      fill_logits (&state, tokens % 2 == 1, logits);
      check_token (&gate, logits);
      n++;
    }
  g_assert_cmpuint (n, >, 5000);
}

/* Relabelling the experts relabels the decision, groups apart; no logit is there twice. */
static void
test_relabelled (void)
{
  float bias[E], moved_bias[E], logits[E], moved[E], scratch[3 * E], weights[2][E];
  guint16 experts[2][E];
  guint order[E];
  guint64 state = 5;

  for (guint round = 0; round < 200; round++)
    {
      MsGate gate = { .scoring = (MsScoring) (round % 5 + 1),
                      .n_experts = E,
                      .k = 1 + round % 5,
                      .renormalise = round % 3 == 0,
                      .scale = 1,
                      .biased = TRUE,
                      .selection_bias = bias };
      MsGate other = gate;
      MsDecision one = { .experts = experts[0], .weights = weights[0] };
      MsDecision two = { .experts = experts[1], .weights = weights[1] };

      other.selection_bias = moved_bias;
      fill_logits (&state, FALSE, logits);
      fill_logits (&state, FALSE, bias);
      for (guint e = 0; e < E; e++)
        {
          guint place = (guint) ms_random_below (&state, e + 1);

          order[e] = order[place];
          order[place] = e;
        }
      for (guint e = 0; e < E; e++)
        {
          moved[order[e]] = logits[e];
          moved_bias[order[e]] = bias[e];
        }
      ms_gate_choose (&gate, logits, scratch, &one);
      ms_gate_choose (&other, moved, scratch, &two);
      for (guint j = 0; j < gate.k; j++)
        {
          g_assert_cmpuint (order[experts[0][j]], ==, experts[1][j]);
          assert_near ((double) weights[1][j], (double) weights[0][j]);
        }
      assert_near ((double) two.entropy, (double) one.entropy);
      assert_near ((double) two.margin, (double) one.margin);
    }
}

/* --- Undefined ------------------------------------------------------------------------------ */

static void
test_undefined (void)
{
  const float whole[] = { 1, 2, 3, 4 };
  float scratch[16], weights[4], selection[8];
  guint16 experts[4];
  double p[4];
  MsDecision decision = { .experts = experts, .weights = weights };

  for (guint scoring = MS_SCORING_SOFTMAX; scoring < MS_N_SCORINGS; scoring++)
    {
      MsGate gate = { .scoring = (MsScoring) scoring, .n_experts = 4, .k = 4, .scale = 1 };
      float holed[] = { NAN, 2, 3, 4 };

      /* Nothing is rejected. */
      ms_gate_choose (&gate, whole, scratch, &decision);
      g_assert_true (isnan (decision.margin));
      g_assert_cmpfloat (decision.entropy, >, 0);
      /* The groups that stay are all chosen. */
      gate.k = gate.groups = 2;
      gate.groups_used = 1;
      ms_gate_choose (&gate, whole, scratch, &decision);
      g_assert_true (isnan (decision.margin));
      g_assert_cmpuint (experts[0], ==, 3);
      /* Asked for more than they hold, the rest is no expert. */
      ms_gate_scores (&gate, whole, scratch);
      g_assert_true (ms_gate_selection (&gate, scratch, selection));
      g_assert_cmpuint (ms_gate_select (selection, 4, 3, experts, NULL), ==, 2);
      g_assert_cmpuint (experts[2], ==, NO_EXPERT);
      gate.groups = 0;
      for (guint at = 0; at < 4; at++)
        {
          memcpy (holed, whole, sizeof holed);
          holed[at] = NAN;
          ms_gate_choose (&gate, holed, scratch, &decision);
          g_assert_true (isnan (decision.entropy));
          g_assert_true (isnan (decision.margin));
          ms_gate_distribution (&gate, holed, p);
          g_assert_true (isnan (ms_gate_entropy (p, 4)));
          /* Where scores stand apart from each other, what is no number is never preferred. */
          if (scoring != MS_SCORING_SOFTMAX)
            g_assert_true (experts[0] != at && experts[1] != at);
        }
    }
  ms_gate_distribution_of_scores ((const float[]){ 0, 0 }, 2, p);
  g_assert_true (isnan (p[0]) && isnan (ms_gate_entropy (p, 2)));
  ms_gate_distribution_of_scores ((const float[]){ 3, 1 }, 2, p);
  g_assert_cmpfloat (p[0], ==, 0.75);
  /* Somebody else's choice: one of three slots is used. */
  g_assert_cmpfloat (ms_gate_margin (whole, 4, (const guint16[]){ 2, NO_EXPERT, NO_EXPERT }, 3), ==,
                     -1);
  g_assert_true (isnan (ms_gate_margin (whole, 4, (const guint16[]){ NO_EXPERT }, 1)));
}

static void
test_usable (void)
{
  const float bias[E] = { 0 };
  MsGate gate = { .n_experts = E, .k = 3, .scale = 1 };
  g_autoptr (GError) error = NULL;

  g_assert_false (ms_gate_usable (&gate, MS_GATE_SCORING, &error));
  g_assert_error (error, MS_GATE_ERROR, MS_GATE_ERROR_UNKNOWN);
  g_assert_nonnull (strstr (error->message, "--gating"));
  g_clear_error (&error);
  gate.scoring = MS_SCORING_SIGMOID;
  gate.biased = TRUE;
  g_assert_true (ms_gate_usable (&gate, MS_GATE_SCORING, &error));
  g_assert_false (ms_gate_usable (&gate, MS_GATE_CHOICE, &error));
  g_assert_error (error, MS_GATE_ERROR, MS_GATE_ERROR_NO_BIAS);
  g_clear_error (&error);
  gate.selection_bias = bias;
  g_assert_true (ms_gate_usable (&gate, MS_GATE_CHOICE, &error));
  gate.groups = 5; /* 12 experts are not 5 groups */
  gate.groups_used = 2;
  g_assert_false (ms_gate_usable (&gate, MS_GATE_CHOICE, &error));
  g_assert_error (error, MS_GATE_ERROR, MS_GATE_ERROR_INVALID);
}

/* --- Words ---------------------------------------------------------------------------------- */

static void
test_words (void)
{
  static const struct
  {
    MsGate gate;
    const char *words;
  } cases[] = {
    { { MS_SCORING_SOFTMAX, 64, 8, 0, 0, 0, TRUE, 1, FALSE, NULL },
      "softmax, top 8 of 64, renormalised" },
    { { MS_SCORING_SIGMOID, 256, 8, 8, 4, 0, TRUE, 2.5f, TRUE, NULL },
      "sigmoid, top 8 of 256 in the best 4 of 8 groups, selection bias, renormalised, scaled by "
      "2.5" },
    { { MS_SCORING_SOFTMAX, 160, 6, 8, 3, MS_GROUP_BEST, FALSE, 16, FALSE, NULL },
      "softmax, top 6 of 160 in the best 3 of 8 groups by their best expert, not renormalised, "
      "scaled by "
      "16" },
    { { MS_SCORING_SELECTED, 32, 4, 0, 0, 0, FALSE, 1, FALSE, NULL },
      "softmax on selected, top 4 of 32" },
    { { MS_SCORING_SQRT_SOFTPLUS, 8, 2, 0, 0, 0, FALSE, 1, TRUE, NULL },
      "sqrt of softplus, top 2 of 8, selection bias, not renormalised" },
    { { MS_SCORING_SIGMOID_SELECTED, 16, 1, 0, 0, 0, FALSE, 1, FALSE, NULL },
      "sigmoid on selected, top 1 of 16, not renormalised" },
  };
  MsGate old = { .n_experts = 4, .k = 2, .scale = 1 };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *words = ms_gate_describe (&cases[i].gate);
      MsGate read = { .n_experts = cases[i].gate.n_experts, .k = cases[i].gate.k };

      g_assert_cmpstr (words, ==, cases[i].words);
      g_assert_true (ms_gate_read_words (&read, words));
#define SAME(field) g_assert_true (read.field == cases[i].gate.field)
      SAME (scoring);
      SAME (groups);
      SAME (groups_used);
      SAME (group_rule);
      SAME (renormalise);
      SAME (scale);
      SAME (biased);
#undef SAME
    }
  g_assert_true (ms_gate_read_words (&old, "softmax over the selected, top-2"));
  g_assert_cmpint (old.scoring, ==, MS_SCORING_SELECTED);
  g_assert_false (ms_gate_read_words (&old, "probabilities, top-2"));
  g_assert_false (ms_gate_read_words (&old, NULL));
  g_assert_cmpint (old.scoring, ==, MS_SCORING_SELECTED);
  g_assert_true (ms_gate_read_words (&old, "sigmoid, top-2, renormalised"));
  g_assert_true (old.scoring == MS_SCORING_SIGMOID && old.renormalise && !old.biased);
  for (guint i = MS_SCORING_UNKNOWN; i < MS_N_SCORINGS; i++)
    g_assert_cmpint (ms_scoring_parse (ms_scoring_name ((MsScoring) i)), ==, i);
  g_assert_cmpint (ms_scoring_parse ("sigmund"), ==, MS_SCORING_UNKNOWN);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gate/switches", test_switches);
  g_test_add_func ("/gate/relabelled", test_relabelled);
  g_test_add_func ("/gate/undefined", test_undefined);
  g_test_add_func ("/gate/usable", test_usable);
  g_test_add_func ("/gate/words", test_words);
  return g_test_run ();
}
