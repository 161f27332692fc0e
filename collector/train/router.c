/* The routers that training knows, forward and backward.
 *
 * Each is a row of ms_train_routers.  A backward pass gives the derivative of what its forward pass computed, the
 * choice of experts and their load held constant: it reads the scores, ids, weights and load that the forward
 * pass wrote into MsTrainRouting and changes none.  Auxiliary losses are those of the tokens of one call, not of
 * the batch; their gradient counts loss_scale times. */
#include "router-private.h"

#include "kernels-private.h"

#include <math.h>
#include <string.h>

/* Chooses by value, weighs by score, weights renormalised; counts the load. */
static void
choose (MsTrainRouting *routing, const float *score, const float *value, gint32 *ids,
        float *weights)
{
  float sum = 0;

  for (guint k = 0; k < routing->top_k; k++)
    {
      gint32 best = -1;

      for (gint32 e = 0; e < (gint32) routing->experts; e++)
        {
          gboolean taken = FALSE;

          for (guint j = 0; j < k; j++)
            taken = taken || ids[j] == e;
          if (!taken && (best < 0 || value[e] > value[best]))
            best = e;
        }
      ids[k] = best;
      weights[k] = score[best];
      sum += weights[k];
      routing->load[best]++;
    }
  for (guint k = 0; k < routing->top_k; k++)
    weights[k] /= sum;
}

/* Gradient of the scores of one token from that of its renormalised weights; d_scores was zeroed. */
static void
choose_backward (const MsTrainRouting *routing, gsize t, const float *d_weights, float *d_scores)
{
  guint k_max = routing->top_k;
  const gint32 *ids = routing->ids + t * k_max;
  const float *weights = routing->weights + t * k_max,
              *scores = routing->scores + t * routing->experts;
  float sum = 0, mean = 0;

  for (guint k = 0; k < k_max; k++)
    {
      sum += scores[ids[k]];
      mean += weights[k] * d_weights[t * k_max + k];
    }
  for (guint k = 0; k < k_max; k++)
    d_scores[ids[k]] += (d_weights[t * k_max + k] - mean) / sum;
}

/* --- softmax, top-k, renormalised; balance loss E sum f P and z-loss (R1) --------------------- */

static void
softmax_forward (MsTrainRouting *routing)
{
  guint n_experts = routing->experts;
  g_autofree double *mean = g_new0 (double, n_experts);
  double squares = 0, balance = 0, n = (double) routing->n;

  for (gsize t = 0; t < routing->n; t++)
    {
      float *p = routing->scores + t * n_experts;

      routing->log_sums[t] = ms_train_softmax (n_experts, p);
      squares += (double) routing->log_sums[t] * (double) routing->log_sums[t];
      for (guint e = 0; e < n_experts; e++)
        mean[e] += (double) p[e];
      choose (routing, p, p, routing->ids + t * routing->top_k,
              routing->weights + t * routing->top_k);
    }
  for (guint e = 0; e < n_experts; e++)
    balance += mean[e] / n * (double) routing->load[e] / (n * routing->top_k);
  routing->auxiliary
      = (double) routing->balance * n_experts * balance + (double) routing->z_loss * squares / n;
}

static void
softmax_backward (const MsTrainRouting *routing, const float *d_weights, float *d_logits)
{
  guint n_experts = routing->experts;
  g_autofree float *pull = g_new (float, n_experts);
  float per_token = routing->loss_scale / (float) routing->n;

  for (guint e = 0; e < n_experts; e++)
    pull[e] = routing->balance * (float) n_experts * per_token * (float) routing->load[e]
              / (float) (routing->n * routing->top_k);
  for (gsize t = 0; t < routing->n; t++)
    {
      const float *p = routing->scores + t * n_experts;
      float *d = d_logits + t * n_experts;

      memcpy (d, pull, n_experts * sizeof *d);
      choose_backward (routing, t, d_weights, d);
      ms_train_softmax_backward (n_experts, 1.0f, p, d);
      ms_train_add_scaled (n_experts, 2.0f * routing->z_loss * routing->log_sums[t] * per_token, p,
                           d);
    }
}

/* --- sigmoid with a selection bias that follows the load; no auxiliary loss (R3, one group) ---- */

static void
sigmoid_forward (MsTrainRouting *routing)
{
  guint n_experts = routing->experts;
  g_autofree float *value = g_new (float, n_experts);

  for (gsize t = 0; t < routing->n; t++)
    {
      float *s = routing->scores + t * n_experts;

      for (guint e = 0; e < n_experts; e++)
        {
          s[e] = 1.0f / (1.0f + expf (-s[e]));
          value[e] = s[e] + routing->bias[e];
        }
      choose (routing, s, value, routing->ids + t * routing->top_k,
              routing->weights + t * routing->top_k);
    }
  routing->auxiliary = 0;
}

static void
sigmoid_backward (const MsTrainRouting *routing, const float *d_weights, float *d_logits)
{
  guint n_experts = routing->experts;

  memset (d_logits, 0, routing->n * n_experts * sizeof *d_logits);
  for (gsize t = 0; t < routing->n; t++)
    {
      const float *s = routing->scores + t * n_experts;
      float *d = d_logits + t * n_experts;

      choose_backward (routing, t, d_weights, d);
      for (guint e = 0; e < n_experts; e++)
        d[e] *= s[e] * (1.0f - s[e]);
    }
}

static void
sigmoid_update (guint experts, float rate, const gint64 *load, float *bias)
{
  gint64 total = 0;

  for (guint e = 0; e < experts; e++)
    total += load[e];
  for (guint e = 0; e < experts; e++)
    {
      gint64 excess = load[e] * experts - total;

      bias[e] -= excess > 0 ? rate : excess < 0 ? -rate : 0;
    }
}

const MsTrainRouter ms_train_routers[] = {
  { "softmax",
    "softmax over all experts, weights renormalised, balance loss and z-loss",
    { .scoring = MS_SCORING_SOFTMAX, .renormalise = TRUE, .scale = 1 },
    FALSE,
    softmax_forward,
    softmax_backward,
    NULL },
  { "sigmoid",
    "sigmoid scores, selection bias updated from the load, no auxiliary loss",
    { .scoring = MS_SCORING_SIGMOID, .renormalise = TRUE, .scale = 1, .biased = TRUE },
    TRUE,
    sigmoid_forward,
    sigmoid_backward,
    sigmoid_update },
  { NULL, NULL, { .scoring = MS_SCORING_UNKNOWN }, FALSE, NULL, NULL, NULL },
};

const MsTrainRouter *
ms_train_router_find (const char *name)
{
  for (const MsTrainRouter *router = ms_train_routers; router->name != NULL; router++)
    if (g_strcmp0 (router->name, name) == 0)
      return router;
  return NULL;
}

guint64
ms_train_router_fingerprint (const MsTrainRouter *router)
{
  const MsGate *gate = &router->gate;
  g_autofree char *rule = g_strdup_printf (
      "%s %d %u %u %u %u %d %d %.9g %d %d", router->name, gate->scoring, gate->n_experts, gate->k,
      gate->groups, gate->groups_used, gate->group_rule, gate->renormalise, (double) gate->scale,
      gate->biased, router->update != NULL);
  guint64 hash = 14695981039346656037u; /* FNV-1a */

  for (const char *at = rule; *at != '\0'; at++)
    hash = (hash ^ (guint8) *at) * 1099511628211u;
  return hash;
}
