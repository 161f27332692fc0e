/* What a run recorded of its routers, read by the rule of each layer's gate.
 *
 * Every analysis that speaks of the router's distribution takes it from here, so that all tell the same entropy
 * of the same token.  What must hold: a gate that is not known gives no number, but NaN, and ms_trace_gated
 * says so in words before. */
#include "analysis-private.h"

#include <math.h>

/* The gate by which what was recorded is to be read.  Recorded probabilities are scores already, whoever made
 * them; nothing but a bias or groups changes their order. */
static MsGate
gate_of (const MsTrace *trace, guint layer)
{
  MsGate gate = ms_trace_layer (trace, layer)->gate;

  if (ms_trace_run (trace)->probabilities && gate.scoring == MS_SCORING_UNKNOWN)
    gate.scoring = MS_SCORING_SOFTMAX;
  return gate;
}

gboolean
ms_trace_gated (const MsTrace *trace, MsGateStep step, GError **error)
{
  for (guint l = 0; l < ms_trace_n_layers (trace); l++)
    {
      MsGate gate = gate_of (trace, l);
      g_autoptr (GError) reason = NULL;

      if (ms_gate_usable (&gate, step, &reason))
        continue;
      g_set_error_literal (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS, reason->message);
      return FALSE;
    }
  return TRUE;
}

void
ms_trace_distribution (const MsTrace *trace, guint layer, const float *recorded, double *p)
{
  MsGate gate = gate_of (trace, layer);

  if (ms_trace_run (trace)->probabilities)
    ms_gate_distribution_of_scores (recorded, gate.n_experts, p);
  else if (gate.scoring != MS_SCORING_UNKNOWN)
    ms_gate_distribution (&gate, recorded, p);
  else
    for (guint e = 0; e < gate.n_experts; e++)
      p[e] = NAN;
}

gsize
ms_trace_order_scratch (const MsTrace *trace, guint layer)
{
  return ms_gate_scratch (&ms_trace_layer (trace, layer)->gate);
}

guint
ms_trace_order (const MsTrace *trace, guint layer, const float *recorded, float *scratch,
                guint16 *order)
{
  MsGate gate = gate_of (trace, layer);
  const float *scores = recorded;
  float *selection = scratch + gate.n_experts;

  if (!ms_trace_run (trace)->probabilities)
    {
      ms_gate_scores (&gate, recorded, scratch);
      scores = scratch;
    }
  ms_gate_selection (&gate, scores, selection);
  return ms_gate_select (selection, gate.n_experts, gate.n_experts, order, NULL);
}
