/* The gate: the rule by which a router turns logits into chosen experts and combine weights.  The
 * collector, import, training and every analysis call it, so that one rule has one meaning everywhere;
 * the text that people read is made from it.
 *
 * The rule has separate steps: logits a become scores s, scores become selection scores z (bias, groups),
 * the k largest z are chosen, the s of the chosen become weights.  Beside them stands the distribution p,
 * the scores made to sum 1, whose entropy is the router's.
 *
 * Ties go to the lower expert id.  What is undefined is NaN, never 0 or infinite: the entropy and the
 * margin of logits with a NaN among them, the margin where nothing is rejected.  Dimension letters: E
 * experts, K slots of a token. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define MS_GATE_ERROR (ms_gate_error_quark ())
GQuark ms_gate_error_quark (void);

typedef enum
{
  MS_GATE_ERROR_UNKNOWN, /* nobody said how logits become scores */
  MS_GATE_ERROR_NO_BIAS, /* there is a selection bias, but its values were not recorded */
  MS_GATE_ERROR_INVALID, /* the numbers contradict each other */
} MsGateError;

/* How logits a become scores s.  1 to 4 are the numbers of GGUF's key ARCH.expert_gating_func. */
typedef enum
{
  MS_SCORING_UNKNOWN = 0,          /* nobody said: analyses that need the rule refuse and say so */
  MS_SCORING_SOFTMAX = 1,          /* s = softmax (a) over all experts */
  MS_SCORING_SIGMOID = 2,          /* s = sigmoid (a) */
  MS_SCORING_SELECTED = 3,         /* s = a; the weights are the softmax of the chosen */
  MS_SCORING_SQRT_SOFTPLUS = 4,    /* s = sqrt (ln (1 + e^a)) */
  MS_SCORING_SIGMOID_SELECTED = 5, /* s = a; the weights are the sigmoids of the chosen (Llama 4) */
  MS_N_SCORINGS
} MsScoring;

/* The word for command lines: "softmax", "sigmoid", "softmax-selected", "sqrt-softplus",
 * "sigmoid-selected", "unknown". */
const char *ms_scoring_name (MsScoring scoring);
/* The scoring of that word; MS_SCORING_UNKNOWN when there is none. */
MsScoring ms_scoring_parse (const char *name);

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

/* --- What is known of a gate ------------------------------------------------------------------ */

/* Steps of the rule, by what they need to know. */
typedef enum
{
  MS_GATE_SCORING, /* scores, distribution, weights: the scoring */
  MS_GATE_CHOICE, /* selection scores and choice: also the values of the bias, and groups that fit */
} MsGateStep;

/* Whether `step` can be taken; the error says in words what is missing and what to do. */
gboolean ms_gate_usable (const MsGate *gate, MsGateStep step, GError **error);

/* "softmax, top 8 of 64, renormalised".  (transfer full) */
char *ms_gate_describe (const MsGate *gate);
/* Takes scoring, groups, bias, renormalisation and scale from the words that files of format 1 hold in place
 * of the rule: those of ms_gate_describe, or of the import of that time.  E and K stay.  FALSE, the gate
 * being as before, when the words name no scoring; they may be NULL. */
gboolean ms_gate_read_words (MsGate *gate, const char *words);

/* --- The steps -------------------------------------------------------------------------------- */

/* scores (E) of logits (E), which may be the same array. */
void ms_gate_scores (const MsGate *gate, const float *logits, float *scores);

/* p (E): the scores of the logits (E), in double precision, over their sum; softmax (a) or sigmoid (a) for
 * those that choose by logits, which may be negative.  All NaN when a logit is NaN or all scores are 0. */
void ms_gate_distribution (const MsGate *gate, const float *logits, double *p);
/* p (n): recorded scores (n) or probabilities over their sum, likewise. */
void ms_gate_distribution_of_scores (const float *scores, guint n, double *p);
/* Nats, of a distribution p (n); NaN when p has a NaN. */
double ms_gate_entropy (const double *p, guint n);

/* Floats of scratch that ms_gate_selection needs, at least E. */
gsize ms_gate_selection_size (const MsGate *gate);
/* selection (ms_gate_selection_size): first (E) the selection scores, which are s plus the bias, and minus
 * infinity in the groups that do not stay.  A NaN becomes the least number, so that all others are better.
 * FALSE when there was one. */
gboolean ms_gate_selection (const MsGate *gate, const float *scores, float *selection);
/* experts (k): the k largest of the selection scores (n), best first, k <= n.  Returns how many there are,
 * fewer than k when minus infinity hides the others; slots from there on are 0xffff.  *margin, which may be
 * NULL: worst chosen minus best rejected, NaN where nothing is rejected. */
guint ms_gate_select (const float *selection, guint n, guint k, guint16 *experts, float *margin);
/* The same margin of a choice (k) that somebody else made; slots from the first 0xffff on are unused. */
float ms_gate_margin (const float *selection, guint n, const guint16 *experts, guint k);

/* weights (k) of the chosen experts (k) by their scores (E). */
void ms_gate_weigh (const MsGate *gate, const float *scores, const guint16 *experts, guint k,
                    float *weights);

/* --- All steps at once ------------------------------------------------------------------------ */

/* What one token's router decided. */
typedef struct
{
  guint16 *experts; /* (K) by selection score, best first */
  float *weights;   /* (K) */
  float entropy;    /* nats, of the distribution; NaN when undefined */
  float margin;     /* worst chosen minus best rejected selection score; NaN when undefined */
} MsDecision;

/* Floats of scratch that ms_gate_choose needs. */
gsize ms_gate_scratch (const MsGate *gate);
/* logits (E) as the router puts out; MS_GATE_CHOICE must be usable. */
void ms_gate_choose (const MsGate *gate, const float *logits, float *scratch, MsDecision *decision);

G_END_DECLS
