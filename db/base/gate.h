/* The gate: the rule by which a router turns logits into chosen experts and combine weights
 * (gguf-moe.md 1, steps 2 to 6).  The collector, import, training and every analysis call it, so that
 * one rule has one meaning everywhere; the text that people read is made from it.
 *
 * Ties go to the lower expert id.  Dimension letters: E experts, K chosen. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How logits a become scores s.  From 1 on the numbers are those of GGUF's key ARCH.expert_gating_func. */
typedef enum
{
  MS_SCORING_UNKNOWN = 0,       /* nobody said: analyses that need the rule refuse and say so */
  MS_SCORING_SOFTMAX = 1,       /* s = softmax (a) over all experts */
  MS_SCORING_SIGMOID = 2,       /* s = sigmoid (a) */
  MS_SCORING_SELECTED = 3,      /* s = a; the weights are the softmax of the chosen */
  MS_SCORING_SQRT_SOFTPLUS = 4, /* s = sqrt (ln (1 + e^a)) */
} MsScoring;

/* What a group of experts is worth when only the best groups stay. */
typedef enum
{
  MS_GROUP_BEST_TWO, /* the sum of its two best selection scores (DeepSeek-V3) */
  MS_GROUP_BEST,     /* its best selection score (DeepSeek-V2) */
} MsGroupRule;

typedef struct
{
  MsScoring scoring;
  guint n_experts, k;          /* E routed experts, K slots of a token */
  guint groups, groups_used;   /* consecutive groups of E / groups experts; groups <= 1: none */
  MsGroupRule group_rule;      /* matters with groups only */
  gboolean renormalise;        /* the weights are divided by their sum */
  float scale;                 /* factor of the weights; 1 = none */
  gboolean biased;             /* a selection bias is added to s for choosing, not for weighing */
  const float *selection_bias; /* (E) borrowed; NULL with `biased`: its values were not recorded */
} MsGate;

/* What one token's router decided. */
typedef struct
{
  guint16 *experts; /* (K) by selection score, best first */
  float *weights;   /* (K) */
  /* Nats, of s made to sum 1 over all experts (of softmax (a) for MS_SCORING_SELECTED). */
  float entropy;
  /* Worst chosen minus best rejected selection score; infinite when none is rejected. */
  float margin;
} MsDecision;

/* "softmax, top 8 of 64, renormalised".  (transfer full) */
char *ms_gate_describe (const MsGate *gate);
/* Floats of scratch that ms_gate_choose needs. */
gsize ms_gate_scratch (const MsGate *gate);
/* logits (E) as the router puts out; the scoring must be known and the bias, if any, recorded. */
void ms_gate_choose (const MsGate *gate, const float *logits, float *scratch, MsDecision *decision);

G_END_DECLS
