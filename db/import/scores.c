/* Router scores: what they are, the gate that judges them, and what it decides where the trace does not
 * say: experts, weights, router entropy and margin. */
#include "import-private.h"

#include <math.h>
#include <string.h>

/* How the rows of scores look, each as a distribution over the experts. */
typedef struct
{
  guint n;             /* rows */
  guint distributions; /* all in 0..1 with sum 1, within the rounding of the file */
  guint outside;       /* with a score below 0 or above 1 */
  guint tied;          /* no distribution, but all the same: a router that is zero puts out these */
  guint first_other;   /* the first row that is no distribution, n = none */
  guint first_outside; /* n = none */
} Looks;

/* How far the sum of n rounded probabilities may be from 1: bfloat16 keeps 8 bits of each, and a file of d
 * decimals is off by half a unit of the last in each. */
static double
sum_tolerance (const GArray *scores, guint n)
{
  double tolerance = 0.01;

  for (guint digits = 2, unit = 100; digits <= 4; digits++, unit *= 10)
    {
      gboolean all = TRUE;

      for (guint i = 0; i < scores->len && all; i++)
        {
          double scaled = (double) g_array_index (scores, float, i) * unit;

          all = fabs (scaled - rint (scaled)) < 1e-2;
        }
      if (all)
        return MAX (tolerance, n * 0.5 / unit);
    }
  return tolerance;
}

static Looks
look_at (const MsImporter *importer)
{
  guint n = importer->n_scores;
  double tolerance = sum_tolerance (importer->scores, n);
  Looks looks = { .n = importer->scores->len / n };

  looks.first_other = looks.first_outside = looks.n;
  for (guint i = looks.n; i-- > 0;)
    {
      double sum = 0;
      float first = g_array_index (importer->scores, float, (gsize) i *n);
      gboolean inside = TRUE, tied = TRUE;

      for (guint e = 0; e < n; e++)
        {
          double score = (double) g_array_index (importer->scores, float, (gsize) i *n + e);

          inside = inside && score >= 0 && score <= 1 + 1e-3;
          tied = tied && g_array_index (importer->scores, float, (gsize) i *n + e) == first;
          sum += score;
        }
      looks.outside += !inside;
      if (!inside)
        looks.first_outside = i;
      if (inside && fabs (sum - 1) <= tolerance)
        looks.distributions++;
      else
        {
          looks.first_other = i;
          looks.tied += inside && tied;
        }
    }
  return looks;
}

/* The line of the scores with index `index`. */
static guint
line_of (const MsImportTable *table, guint index)
{
  for (guint i = 0; i < table->rows->len; i++)
    if (ms_import_row (table, i)->value == (gint32) index)
      return ms_import_row (table, i)->line;
  return 0;
}

/* What the scores are: as the options say when that can be, else as all of them look. */
static gboolean
take_kind (MsImportLayout *layout, GError **error)
{
  MsImporter *importer = layout->importer;
  const MsImportTable *table = &importer->tables[MS_RECORD_SCORES];
  MsImportScores told = importer->options->scores;
  Looks looks = look_at (importer);

  if (told == MS_IMPORT_SCORES_PROBABILITIES && looks.outside > 0)
    return ms_import_fail (
        error, table->file, line_of (table, looks.first_outside),
        "a score is below 0 or above 1 and so is no probability (%u of %u rows); "
        "give --scores logits when they are that",
        looks.outside, looks.n);
  layout->probabilities = told == MS_IMPORT_SCORES_PROBABILITIES
                          || (told == MS_IMPORT_SCORES_AUTO && looks.distributions == looks.n);
  if (told == MS_IMPORT_SCORES_AUTO && !layout->probabilities
      && (looks.distributions > 0 || (looks.outside == 0 && looks.tied < looks.n)))
    return ms_import_fail (
        error, table->file, line_of (table, looks.first_other),
        "%u of %u rows of scores sum to 1 as probabilities do, %u have scores below 0 or above 1 "
        "as only logits can, so it is not sure what they are; say it with --scores logits or "
        "--scores probabilities (this is the first row that is no distribution)",
        looks.distributions, looks.n, looks.outside);
  if (told == MS_IMPORT_SCORES_LOGITS && looks.distributions == looks.n)
    ms_importer_remark (importer, "scores-sum-to-1", MS_SEVERITY_DOUBT, looks.n, NULL,
                        "the scores of every row are in 0..1 and sum to 1 as probabilities do, but "
                        "they are taken as logits (--scores)");
  if (told == MS_IMPORT_SCORES_PROBABILITIES && looks.distributions < looks.n)
    ms_importer_remark (importer, "probabilities-off", MS_SEVERITY_NOTE,
                        looks.n - looks.distributions, NULL,
                        "the probabilities of %u of %u rows do not sum to 1",
                        looks.n - looks.distributions, looks.n);
  ms_importer_note (importer, "the scores are taken as %s (--scores)",
                    layout->probabilities ? "probabilities" : "logits");
  return TRUE;
}

gboolean
ms_import_layout_take_gate (MsImportLayout *layout, GError **error)
{
  MsImporter *importer = layout->importer;
  const MsImportOptions *options = importer->options;
  gboolean decided = importer->tables[MS_RECORD_DECISION].file != NULL
                     || importer->tables[MS_RECORD_COUNT].file != NULL;

  if (importer->n_scores > 0 && !take_kind (layout, error))
    return FALSE;
  layout->gate = (MsGate){ .scoring = options->scoring,
                           .n_experts = layout->n_experts,
                           .k = layout->k,
                           .renormalise = options->renormalise,
                           .scale = options->scale > 0 ? options->scale : 1 };
  /* The same scores mean the same whether or not decisions lie beside them; where the two contradict each
   * other, checks.c says so.  Decisions alone need no gate and tell none. */
  if (options->scoring == MS_SCORING_UNKNOWN && (importer->n_scores > 0 || !decided))
    {
      layout->gate.scoring = MS_SCORING_SOFTMAX;
      ms_importer_note (importer, "the gate is taken as a softmax over all experts (--gating)");
    }
  layout->gated
      = importer->n_scores > 0
        && (layout->probabilities || ms_gate_usable (&layout->gate, MS_GATE_CHOICE, NULL));
  if (importer->n_scores > 0 && !layout->gated)
    ms_importer_note (importer,
                      "the model's gate is unknown, so router entropies and margins are not "
                      "recorded: tell it with --gating");
  return TRUE;
}

/* Decides what was not recorded of one token: experts (K) and weights (K) unless `decided`; entropy and
 * margin.  recorded (E): logits or probabilities; scratch as ms_gate_scratch; p (E). */
static void
judge (const MsImportLayout *layout, const float *recorded, gboolean decided, float *scratch,
       double *p, MsDecision *decision)
{
  const MsGate *gate = &layout->gate;
  MsGate weights = *gate;
  guint n = gate->n_experts;
  float *selection = scratch + n;
  const float *scores = recorded;
  gboolean defined;

  if (layout->probabilities)
    ms_gate_distribution_of_scores (recorded, n, p);
  else
    {
      ms_gate_scores (gate, recorded, scratch);
      scores = scratch;
      ms_gate_distribution (gate, recorded, p);
    }
  defined = ms_gate_selection (gate, scores, selection);
  if (decided)
    decision->margin = ms_gate_margin (selection, n, decision->experts, gate->k);
  else
    {
      ms_gate_select (selection, n, gate->k, decision->experts, &decision->margin);
      if (layout->probabilities && gate->scoring == MS_SCORING_SELECTED)
        {
          weights.scoring
              = MS_SCORING_SOFTMAX; /* a softmax of the chosen is that of all, renormalised */
          weights.renormalise = TRUE;
        }
      else if (layout->probabilities && gate->scoring == MS_SCORING_SIGMOID_SELECTED)
        weights.scoring = MS_SCORING_SIGMOID; /* recorded probabilities are the weights already */
      ms_gate_weigh (&weights, scores, decision->experts, gate->k, decision->weights);
    }
  if (!defined)
    decision->margin = NAN;
  decision->entropy = (float) ms_gate_entropy (p, n);
}

void
ms_import_layout_scores (MsImportLayout *layout)
{
  const MsImporter *importer = layout->importer;
  const MsImportTable *table = &importer->tables[MS_RECORD_SCORES];
  gboolean decided = importer->tables[MS_RECORD_DECISION].file != NULL;
  guint n = layout->n_experts;
  g_autofree float *scratch = g_new (float, ms_gate_scratch (&layout->gate));
  g_autofree double *p = g_new (double, n);

  for (guint i = 0; i < table->rows->len; i++)
    {
      const float *scores = &g_array_index (
          importer->scores, float, (gsize) ms_import_row (table, i)->value * importer->n_scores);
      MsDecisions *layer = &layout->layers[i % layout->n_layers];
      gsize token = i / layout->n_layers;
      MsDecision decision = { .experts = layer->experts + token * layout->k,
                              .weights = layer->weights + token * layout->k };

      memcpy (layer->logits + token * n, scores, n * sizeof *scores);
      if (!layout->gated)
        continue;
      judge (layout, scores, decided, scratch, p, &decision);
      layer->entropy[token] = decision.entropy;
      layer->margin[token] = decision.margin;
    }
}
