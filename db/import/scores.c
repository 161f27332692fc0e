/* Router scores: what they are, the gate that judges them, and what it decides where the trace does not
 * say: experts, weights, router entropy and margin. */
#include "import-private.h"

#include <math.h>
#include <string.h>

/* Names that begin so, or rows that sum to 1. */
static gboolean
are_probabilities (const MsImporter *importer)
{
  const MsImportTable *table = &importer->tables[MS_RECORD_SCORES];
  g_autofree char *name = g_path_get_basename (table->file);

  if (importer->options->scores != MS_IMPORT_SCORES_AUTO)
    return importer->options->scores == MS_IMPORT_SCORES_PROBABILITIES;
  if (g_str_has_prefix (name, "prob"))
    return TRUE;
  for (guint i = 0; i < importer->scores->len; i += importer->n_scores)
    {
      double sum = 0;

      for (guint e = 0; e < importer->n_scores; e++)
        {
          double score = (double) g_array_index (importer->scores, float, i + e);

          if (score < 0)
            return FALSE;
          sum += score;
        }
      if (fabs (sum - 1) > 1e-3)
        return FALSE;
    }
  return TRUE;
}

void
ms_import_layout_take_gate (MsImportLayout *layout)
{
  MsImporter *importer = layout->importer;
  const MsImportOptions *options = importer->options;
  gboolean decided = importer->tables[MS_RECORD_DECISION].file != NULL;

  if (importer->n_scores > 0)
    {
      layout->probabilities = are_probabilities (importer);
      ms_importer_note (importer, "the scores are taken as %s (--scores)",
                        layout->probabilities ? "probabilities" : "logits");
    }
  layout->gate = (MsGate){ .scoring = options->scoring,
                           .n_experts = layout->n_experts,
                           .k = layout->k,
                           .renormalise = options->renormalise,
                           .scale = 1 };
  if (options->scoring == MS_SCORING_UNKNOWN && !decided)
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
