/* Routers that can be trained: one row of ms_train_routers each (routers.md R1, R3).
 *
 * A router turns logits into chosen experts and weights, turns the gradient of the weights back into
 * one of the logits, and may keep a selection bias that learns from the load instead of from a
 * gradient.  Everything else (experts, grouping, optimiser) is the same for all. */
#pragma once

#include "gate.h"

#include <glib.h>

G_BEGIN_DECLS

/* One call of a router on n tokens; arrays borrowed. */
typedef struct
{
  gsize n;
  guint experts, top_k;
  float balance, z_loss; /* weights of the two auxiliary losses */
  float loss_scale;      /* what the mean over these tokens counts in the whole batch's loss */
  const float *bias;     /* (E) selection bias, or NULL */
  float *scores;         /* (n, E) in: logits; out: probabilities or sigmoids */
  float *log_sums;       /* (n) out, where the router has a z-loss */
  gint32 *ids;           /* (n, K) out, best first; ties go to the lower id */
  float *weights;        /* (n, K) out, sum 1 */
  gint64 *load;          /* (E) out: tokens per expert */
  double auxiliary;      /* out: auxiliary losses, not scaled by loss_scale */
} MsTrainRouting;

typedef struct
{
  const char *name, *help;
  MsGate gate;          /* the rule that it trains; E, K and the bias are those of the run */
  gboolean needs_dots1; /* only the dots1 architecture carries it */
  void (*forward) (MsTrainRouting *routing);
  /* d_weights (n, K) to d_logits (n, E), auxiliary losses included. */
  void (*backward) (const MsTrainRouting *routing, const float *d_weights, float *d_logits);
  /* After a step, from the load of the whole batch; NULL when the router keeps nothing. */
  void (*update) (guint experts, float rate, const gint64 *load, float *bias);
} MsTrainRouter;

extern const MsTrainRouter ms_train_routers[]; /* ends with an empty row */
/* NULL when there is none of that name. */
const MsTrainRouter *ms_train_router_find (const char *name);
/* Of the router's name and its whole rule: runs of which it differs do not go on from each other's state. */
guint64 ms_train_router_fingerprint (const MsTrainRouter *router);

G_END_DECLS
