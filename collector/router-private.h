/* The router of GGUF models: from logits to chosen experts and weights, one pipeline with switches.
 *
 * Ties go to the lower expert id.  Grouped choice follows the two-best-sum rule of DeepSeek-V3. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Numbers as in the key ARCH.expert_gating_func. */
typedef enum
{
  MS_GATING_SOFTMAX = 1,       /* s = softmax (a) over all experts */
  MS_GATING_SIGMOID = 2,       /* s = sigmoid (a) */
  MS_GATING_SELECTED = 3,      /* s = a; weights are the softmax of the chosen */
  MS_GATING_SQRT_SOFTPLUS = 4, /* s = sqrt (ln (1 + e^a)) */
} MsGating;

typedef struct
{
  MsGating gating;
  guint n_experts, k;
  guint groups, groups_used;   /* groups <= 1: none */
  gboolean renormalize;        /* weights divided by their sum */
  float scale;                 /* of the weights; 1 = none */
  const float *selection_bias; /* (E), added to s for choosing only; NULL = none */
} MsRouter;

/* What one token's router decided. */
typedef struct
{
  guint16 *experts; /* (K) by selection score, best first */
  float *weights;   /* (K) */
  float
      entropy; /* nats, of s made to sum 1 over all experts (softmax (a) for MS_GATING_SELECTED) */
  float
      margin; /* worst chosen minus best rejected selection score; infinite when none is rejected */
} MsDecision;

/* "softmax, top 8 of 64, renormalised".  (transfer full) */
char *ms_router_describe (const MsRouter *router);
/* Floats of scratch that ms_router_choose needs. */
gsize ms_router_scratch (const MsRouter *router);
/* logits (E) as the router puts out. */
void ms_router_choose (const MsRouter *router, const float *logits, float *scratch,
                       MsDecision *decision);

G_END_DECLS
