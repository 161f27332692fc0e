/* The second half of a MoE block: router, routed experts, shared experts. */
#pragma once

#include "engine-private.h"

G_BEGIN_DECLS

/* Logits of engine->normed, and what the gate makes of them, into the layer's rows.  Always in float32,
 * whatever the precision of the rest. */
void ms_experts_route (const MsEngine *engine);
/* Adds the weighted outputs of the chosen experts to the residual stream. */
void ms_experts_run (const MsEngine *engine);
/* Adds the shared experts' output, where there are any; `in` is engine->normed as an operand. */
void ms_experts_run_shared (const MsEngine *engine, const MsOperand *in);

G_END_DECLS
