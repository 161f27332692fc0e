/* The second half of a MoE block: router, routed experts, shared experts. */
#pragma once

#include "engine-private.h"

G_BEGIN_DECLS

/* Logits of rows (n, D), which engine->logits then are, and what the gate makes of them, into the layer's rows.  Always in float32,
 * whatever the precision of the rest. */
void ms_experts_route (MsEngine *engine, float *rows);
/* The decision of the wave's token t in a block whose table names its experts by token id: scores weigh and do
 * not choose.  scores (E): scratch. */
void ms_experts_look_up (const MsEngine *engine, gsize t, const float *logits, float *scores,
                         MsDecision *decision);
/* Adds the weighted outputs of the chosen experts to engine->sum; `in` is engine->normed as an operand. */
void ms_experts_run (const MsEngine *engine, const MsOperand *in);
/* Adds the shared experts' output, where there are any. */
void ms_experts_run_shared (const MsEngine *engine, const MsOperand *in);
/* Bytes for each token of a wave. */
gsize ms_experts_token_bytes (const MsPlanBlock *block, gsize width, gsize operand);

G_END_DECLS
