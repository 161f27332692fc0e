/* Feed-forward networks: one constant struct per kind (feed-forward.c).  Experts, shared experts and
 * dense layers of a block are of the same kind. */
#pragma once

#include "engine-private.h"
#include "tensors-private.h"

G_BEGIN_DECLS

struct MsFeedForwardKind
{
  const char *name;
  const char *differs;   /* from the model's own definition, for a warning; or NULL */
  MsTensorTable tensors; /* in MsFeedForward; '*' is "" (dense), "_exps", "_shexp" or ".EXPERT" */
  MsActivation activate; /* hidden = activate (gate x, up x), or activate (up x) without gate */
  MsLimitedActivation
      limited;        /* where swiglu_clamp_exp or swiglu_clamp_shexp is set; NULL: never */
  gboolean one_limit; /* without swiglu_clamp_shexp all networks have the limit of routed experts */
};

extern const MsFeedForwardKind ms_feed_forward_silu;         /* down (silu (gate x) * up x) */
extern const MsFeedForwardKind ms_feed_forward_silu_bounded; /* its limits are put before SiLU */
extern const MsFeedForwardKind ms_feed_forward_relu;         /* down (max (gate x, 0) * up x) */
/* down (g sigmoid (1.702 g) (u + 1)), g and u being gate x and up x clamped (ms_clamped_swiglu) */
extern const MsFeedForwardKind ms_feed_forward_clamped;

extern const MsFeedForwardKind ms_feed_forward_gelu;         /* down (gelu (gate x) * up x) */
extern const MsFeedForwardKind ms_feed_forward_relu_squared; /* down (relu (up x)^2) */

/* Loads `count` networks that read and write vectors of `width`: a stack of tensors, or plain matrices when count is 0.  With `optional` none
 * are left (zeroed) where the file has none. */
gboolean ms_feed_forward_load (MsLoader *loader, guint block, const char *stem, gint64 width,
                               guint count, gboolean optional, MsFeedForward *networks,
                               GError **error);
/* The networks of a block with a router: one stack or, in old files, one matrix per expert. */
gboolean ms_feed_forward_load_experts (MsLoader *loader, guint block, gint64 width, guint n_experts,
                                       MsFeedForward *networks, GError **error);

/* Rows that are under way at once. */
gsize ms_feed_forward_batch (const MsPlan *plan, const MsFeedForward *network);
/* The product that makes the hidden values `hidden` of rows of x, and the one that ends with them (kind
 * and place of the result are the caller's). */
MsProduct ms_feed_forward_inward (const MsFeedForwardKind *kind, const MsFeedForward *network,
                                  MsOperand x, gsize row, gsize rows, MsOperand hidden);
MsProduct ms_feed_forward_outward (const MsFeedForward *network, MsOperand hidden, gsize row,
                                   gsize rows);
/* Adds scale (n, or NULL: 1) times the residual scale times the network's output for every token to engine->sum. */
void ms_feed_forward_run (const MsEngine *engine, const MsFeedForward *network, const MsOperand *in,
                          const float *scale);

G_END_DECLS
