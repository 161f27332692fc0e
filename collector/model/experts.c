/* Router and experts.  The wave's tokens are grouped by expert, so that each expert's weights are read and
 * unpacked once per wave, however many tokens chose it.
 *
 * What must hold: the pairs of (token, slot) stand in the order of experts, then tokens; each token's sum
 * runs over its experts in the order of their ids, whatever the batches.  So results do not depend on the
 * thread count. */
#include "experts-private.h"

#include "feed-forward-private.h"
#include "intervene-private.h"
#include "kernels-private.h"
#include "norm-private.h"

#include <math.h>
#include <string.h>

/* --- The router ------------------------------------------------------------------------------ */

void
ms_experts_look_up (const MsEngine *engine, gsize t, const float *logits, float *scores,
                    MsDecision *decision)
{
  const MsGate *gate = &engine->block->gate;
  g_autofree double *p = g_new (double, gate->n_experts);

  memcpy (decision->experts, engine->block->by_token + (gsize) engine->wave->ids[t] * gate->k,
          gate->k * sizeof (guint16));
  ms_gate_scores (gate, logits, scores);
  ms_gate_weigh (gate, scores, decision->experts, gate->k, decision->weights);
  ms_gate_distribution (gate, logits, p);
  decision->entropy = (float) ms_gate_entropy (p, gate->n_experts);
  decision->margin = NAN;
}

static void
choose (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const MsGate *gate = &engine->block->gate;
  const float *logits = data;
  g_autofree float *scratch = g_new (float, ms_gate_scratch (gate));

  if (engine->options->changes != NULL)
    {
      ms_changes_choose (engine->options->changes, engine, from, to, logits);
      return;
    }
  for (gsize t = from; t < to; t++)
    {
      gsize row = engine->first + t;
      MsDecision decision = { .experts = engine->layer->experts + row * gate->k,
                              .weights = engine->layer->weights + row * gate->k };

      if (engine->block->by_token != NULL)
        ms_experts_look_up (engine, t, logits + t * gate->n_experts, scratch, &decision);
      else
        ms_gate_choose (gate, logits + t * gate->n_experts, scratch, &decision);
      if (ms_any_undefined (logits + t * gate->n_experts, gate->n_experts))
        decision.weights[0] = NAN; /* for the executor to find: the choice is worth nothing */
      engine->layer->entropy[row] = decision.entropy;
      engine->layer->margin[row] = decision.margin;
    }
}

void
ms_experts_route (MsEngine *engine, float *rows)
{
  const MsPlanBlock *b = engine->block;
  gsize n_experts = b->gate.n_experts;
  float *logits = engine->layer->logits != NULL
                      ? engine->layer->logits + engine->first * n_experts
                      : ms_arena_array (engine->arena, float, engine->n *n_experts);
  const MsProduct product = { .w = &b->logits,
                              .bias = b->router_bias,
                              .x = { rows, NULL, engine->plan->width },
                              .rows = engine->n,
                              .y = logits,
                              .y_width = n_experts };

  engine->logits = logits;
  ms_products_run (engine->products, &product, 1);
  ms_engine_for_tokens (engine, engine->n, choose, logits);
  if (engine->options->changes != NULL)
    ms_changes_end_layer (engine->options->changes, engine, logits);
}

/* --- Routed experts ------------------------------------------------------------------------- */

/* Networks, and which of them each token of the wave takes. */
typedef struct
{
  const MsFeedForward *networks; /* (count) */
  guint count, k;
  const guint16 *chosen; /* (n, k) unused slots last */
  const guint8 *dropped; /* (n, k) 1: does not run; or NULL */
  const float *weights;  /* (n, k) */
  gboolean weight_first; /* a weight multiplies what a network reads, not what it gives */
  gboolean recorded;     /* norms and peaks of what they give go to the layer */
} Set;

#define NO_PLACE G_MAXUINT32

/* The wave's (token, slot) pairs that run, in the order of experts, then tokens. */
typedef struct
{
  gsize *starts;   /* (E + 1): first pair of each expert */
  guint32 *tokens; /* (n K): the token of each pair */
  guint32 *places; /* (n, K): the pair of each token's slot; NO_PLACE: it does not run */
} Groups;

static gboolean
runs (const Set *set, gsize i)
{
  return set->chosen[i] != MS_NO_EXPERT && (set->dropped == NULL || !set->dropped[i]);
}

/* What pair i, which does not run, has given. */
static void
clear_pair (const MsEngine *engine, const Set *set, gsize i)
{
  gsize row = engine->first * set->k + i;

  if (set->recorded && engine->layer->norms != NULL)
    engine->layer->norms[row] = 0;
  if (set->recorded && engine->layer->peaks != NULL)
    engine->layer->peaks[row] = 0;
}

static Groups
group_by_expert (const MsEngine *engine, const Set *set)
{
  gsize n_pairs = engine->n * set->k;
  Groups groups = { ms_arena_alloc0 (engine->arena, (set->count + 1) * sizeof (gsize)),
                    ms_arena_array (engine->arena, guint32, n_pairs),
                    ms_arena_array (engine->arena, guint32, n_pairs) };
  g_autofree gsize *next = g_new (gsize, set->count);

  for (gsize i = 0; i < n_pairs; i++)
    if (runs (set, i))
      groups.starts[set->chosen[i] + 1]++;
    else
      clear_pair (engine, set, i);
  for (guint e = 0; e < set->count; e++)
    {
      groups.starts[e + 1] += groups.starts[e];
      next[e] = groups.starts[e];
    }
  for (gsize i = 0; i < n_pairs; i++)
    {
      gsize place;

      groups.places[i] = NO_PLACE;
      if (!runs (set, i))
        continue;
      place = next[set->chosen[i]]++;
      groups.places[i] = (guint32) place;
      groups.tokens[place] = (guint32) (i / set->k);
    }
  return groups;
}

/* Pairs from..to-1 under way. */
typedef struct
{
  const Set *set;
  const Groups *groups;
  gsize from, to;
  /* (n, Z): what the experts read; Z is D unless they have a width of their own. */
  const float *rows;
  MsOperand in;  /* (to - from, Z) */
  float *out;    /* (to - from, Z): what the experts give */
  float *routed; /* (n, Z): their weighted sum */
} Batch;

/* The weight of the pair at a place, by its token's slot. */
static float
weight_of (const Batch *batch, gsize place)
{
  const Groups *groups = batch->groups;
  guint k = batch->set->k;
  gsize token = groups->tokens[place], slot = 0;

  while (groups->places[token * k + slot] != place)
    slot++;
  return batch->set->weights[token * k + slot];
}

static void
gather (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Batch *batch = data;
  gboolean weighted = batch->set->weight_first;
  g_autofree float *scaled = weighted ? g_new (float, batch->in.width) : NULL;

  (void) engine;
  for (gsize i = from; i < to; i++)
    {
      const float *row = batch->rows + batch->groups->tokens[batch->from + i] * batch->in.width;

      if (weighted)
        ms_scale (row, weight_of (batch, batch->from + i), batch->in.width, scaled);
      ms_operand_put (&batch->in, i, weighted ? scaled : row);
    }
}

/* Adds the batch's outputs to each token's sum, in the order of expert ids. */
static void
combine (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Batch *batch = data;
  const Set *set = batch->set;
  MsDecisions *layer = engine->layer;
  guint k = set->k;
  gsize d = batch->in.width;

  for (gsize t = from; t < to; t++)
    {
      const guint32 *places = batch->groups->places + t * k;
      gsize next = batch->from;

      for (guint done = 0; done < k; done++)
        {
          gsize slot = G_MAXSIZE, row;
          const float *out;
          float share;

          for (guint j = 0; j < k; j++)
            if (places[j] >= next && (slot == G_MAXSIZE || places[j] < places[slot]))
              slot = j;
          if (slot == G_MAXSIZE || places[slot] >= batch->to)
            break;
          next = (gsize) places[slot] + 1;
          out = batch->out + (places[slot] - batch->from) * d;
          row = (engine->first + t) * k + slot;
          ms_add_scaled (batch->routed + t * d, out,
                         set->weight_first ? 1 : set->weights[t * k + slot], d);
          /* Where the weight is in the output already, weight times norm is still what is added. */
          share = set->weight_first ? 1 / set->weights[t * k + slot] : 1;
          if (set->recorded && layer->norms != NULL)
            layer->norms[row] = share * sqrtf (ms_dot (out, out, d));
          if (set->recorded && layer->peaks != NULL)
            layer->peaks[row] = share * ms_largest (out, d);
        }
    }
}

/* Adds the routed sum to engine->sum, by the residual scale where there is one.  Where that is not the
 * stream, what becomes of the stream shows later (forward.c). */
static void
add_routed (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  float *routed = data;
  gsize d = engine->plan->width;
  float scale = ms_engine_factor (engine);
  const MsNorm *post = &engine->block->experts_post;

  for (gsize t = from; t < to; t++)
    {
      float *x = engine->sum + t * d, *sum = routed + t * d, before, across, after;

      if (post->kind != NULL)
        post->kind->apply (post, sum, d, sum);
      before = ms_dot (x, x, d);
      across = scale * ms_dot (x, sum, d);
      ms_add_scaled (x, sum, scale, d);
      after = ms_dot (x, x, d);
      if (engine->layer->similarity != NULL && engine->sum == engine->x)
        engine->layer->similarity[engine->first + t]
            = (before + across) / (sqrtf (before) * sqrtf (after));
    }
}

static void
run_batch (const MsEngine *engine, Batch *batch, MsOperand hidden)
{
  const Set *set = batch->set;
  g_autoptr (GArray) up = g_array_new (FALSE, FALSE, sizeof (MsProduct));
  g_autoptr (GArray) down = g_array_new (FALSE, FALSE, sizeof (MsProduct));

  for (guint e = 0; e < set->count; e++)
    {
      gsize from = MAX (batch->groups->starts[e], batch->from);
      gsize to = MIN (batch->groups->starts[e + 1], batch->to);
      gsize row = from - batch->from, rows = to - from;
      MsProduct product;

      if (from >= to)
        continue;
      product = ms_feed_forward_inward (engine->block->feed_forward, &set->networks[e], batch->in,
                                        row, rows, hidden);
      g_array_append_val (up, product);
      product = ms_feed_forward_outward (&set->networks[e], hidden, row, rows);
      product.y = batch->out;
      product.y_width = batch->in.width;
      g_array_append_val (down, product);
    }
  ms_engine_for_tokens (engine, batch->to - batch->from, gather, batch);
  ms_products_run (engine->products, (const MsProduct *) (gconstpointer) up->data, up->len);
  ms_products_run (engine->products, (const MsProduct *) (gconstpointer) down->data, down->len);
  ms_engine_for_tokens (engine, engine->n, combine, batch);
}

/* What experts of a width of their own read: (n, Z). */
static float *
narrow (const MsEngine *engine, const MsOperand *in)
{
  const MsMatrix *w = &engine->block->latent_down;
  gsize z = (gsize) w->n_rows;
  MsProduct product = { .w = w, .x = *in, .rows = engine->n, .y_width = z };

  product.y = ms_arena_array (engine->arena, float, engine->n *z);
  ms_products_run (engine->products, &product, 1);
  return product.y;
}

typedef struct
{
  const float *rows;
  MsOperand operand;
} Rows;

static void
put_rows (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Rows *rows = data;

  (void) engine;
  for (gsize t = from; t < to; t++)
    ms_operand_put (&rows->operand, t, rows->rows + t * rows->operand.width);
}

/* Brings their sum (n, Z) back to the width of the model. */
static float *
widen (const MsEngine *engine, const float *routed)
{
  gsize z = (gsize) engine->block->latent_down.n_rows, d = engine->plan->width;
  Rows rows = { routed, ms_engine_operand (engine, engine->n, z) };
  MsProduct product = { .w = &engine->block->latent_up, .rows = engine->n, .y_width = d };

  ms_engine_for_tokens (engine, engine->n, put_rows, &rows);
  product.x = rows.operand;
  product.y = ms_arena_array (engine->arena, float, engine->n *d);
  ms_products_run (engine->products, &product, 1);
  return product.y;
}

/* Which pairs of the layer are dropped (n, K); NULL: none. */
static const guint8 *
dropped_of (const MsEngine *engine)
{
  const guint8 *dropped = engine->layer->dropped;

  return dropped != NULL ? dropped + engine->first * engine->block->gate.k : NULL;
}

/* The weighted sum (n, width) of what a set's networks make of rows (n, width). */
static float *
run_set (const MsEngine *engine, const Set *set, const float *rows, gsize width)
{
  Groups groups = group_by_expert (engine, set);
  gsize n_pairs = groups.starts[set->count];
  gsize most = MIN (ms_feed_forward_batch (engine->plan, set->networks), n_pairs);
  MsOperand hidden = ms_engine_operand (engine, most, (gsize) set->networks[0].up.n_rows);
  Batch batch = {
    .set = set, .groups = &groups, .rows = rows, .in = ms_engine_operand (engine, most, width)
  };

  batch.out = ms_arena_array (engine->arena, float, most *width);
  batch.routed = ms_arena_alloc0 (engine->arena, engine->n * width * sizeof (float));
  for (guint e = 0; batch.from < n_pairs; batch.from = batch.to)
    {
      /* Whole experts while they fit, so that each is unpacked once. */
      while (e < set->count && groups.starts[e + 1] <= batch.from + most)
        e++;
      batch.to = groups.starts[e] > batch.from ? groups.starts[e] : batch.from + most;
      run_batch (engine, &batch, hidden);
    }
  return batch.routed;
}

/* --- Experts of chunks ------------------------------------------------------------------------ */

typedef struct
{
  guint16 *chosen;   /* (n, K) the chunk of each chosen expert */
  float *weights;    /* (n, K) */
  float *routed;     /* (n, D) what the routed experts gave; then with what the chunks' add */
  const float *more; /* (n, D) what these give */
} Chunks;

/* A chunk is weighed by the score of the expert whose number is the chunk's: so llama.cpp does. */
static void
choose_chunks (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const MsPlanBlock *b = engine->block;
  const MsGate *gate = &b->gate;
  const Chunks *chunks = data;
  g_autofree float *scores = g_new (float, gate->n_experts);

  for (gsize t = from; t < to; t++)
    {
      const guint16 *experts = engine->layer->experts + (engine->first + t) * gate->k;
      guint16 *chosen = chunks->chosen + t * gate->k;
      guint used = 0;

      for (; used < gate->k && experts[used] != MS_NO_EXPERT; used++)
        chosen[used] = (guint16) (experts[used] / b->per_chunk);
      for (guint j = used; j < gate->k; j++)
        chosen[j] = MS_NO_EXPERT;
      ms_gate_scores (gate, engine->logits + t * gate->n_experts, scores);
      ms_gate_weigh (gate, scores, chosen, used, chunks->weights + t * gate->k);
    }
}

static void
add_chunks (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Chunks *chunks = data;
  gsize d = engine->plan->width;

  ms_add_scaled (chunks->routed + from * d, chunks->more + from * d, engine->block->chunk_scale,
                 (to - from) * d);
}

/* Adds what the chunks' experts make of the routed experts' sum (n, D) to it. */
static void
run_chunks (const MsEngine *engine, float *routed)
{
  const MsPlanBlock *b = engine->block;
  gsize n_pairs = engine->n * b->gate.k;
  Chunks chunks = { ms_arena_array (engine->arena, guint16, n_pairs),
                    ms_arena_array (engine->arena, float, n_pairs), routed, NULL };
  const Set set = { .networks = b->chunks,
                    .count = b->n_chunks,
                    .k = b->gate.k,
                    .chosen = chunks.chosen,
                    .dropped = dropped_of (engine),
                    .weights = chunks.weights };

  ms_engine_for_tokens (engine, engine->n, choose_chunks, &chunks);
  chunks.more = run_set (engine, &set, routed, engine->plan->width);
  ms_engine_for_tokens (engine, engine->n, add_chunks, &chunks);
}

/* --- All of a block --------------------------------------------------------------------------- */

void
ms_experts_run (const MsEngine *engine, const MsOperand *in)
{
  const MsPlanBlock *b = engine->block;
  gsize first = engine->first * b->gate.k;
  gboolean latent = b->latent_down.tensor != NULL;
  const MsChanges *changes = engine->options->changes;
  const Set set
      = { .networks = changes != NULL ? ms_changes_networks (changes, engine) : b->networks,
          .count = b->gate.n_experts,
          .k = b->gate.k,
          .chosen = engine->layer->experts + first,
          .dropped = dropped_of (engine),
          .weights = engine->layer->weights + first,
          .weight_first = engine->plan->architecture->recipe->weight_first,
          .recorded = TRUE };
  const float *rows = latent                       ? narrow (engine, in)
                      : b->early_norm.kind != NULL ? engine->early
                                                   : engine->normed;
  float *routed
      = run_set (engine, &set, rows, latent ? (gsize) b->latent_down.n_rows : engine->plan->width);

  if (latent)
    routed = widen (engine, routed);
  if (b->chunks != NULL)
    run_chunks (engine, routed);
  ms_engine_for_tokens (engine, engine->n, add_routed, routed);
}

void
ms_experts_run_shared (const MsEngine *engine, const MsOperand *in)
{
  const MsPlanBlock *b = engine->block;
  float *scale = NULL;

  if (b->shared.up.tensor == NULL)
    return;
  if (b->shared_gate.tensor != NULL)
    {
      MsProduct gate = { .w = &b->shared_gate,
                         .x = { engine->normed, NULL, engine->plan->width },
                         .rows = engine->n,
                         .y_width = 1 };

      gate.y = scale = ms_arena_array (engine->arena, float, engine->n);
      ms_products_run (engine->products, &gate, 1);
      for (gsize t = 0; t < engine->n; t++)
        scale[t] = 1.0f / (1.0f + expf (-scale[t]));
    }
  ms_feed_forward_run (engine, &b->shared, in, scale);
}

gsize
ms_experts_token_bytes (const MsPlanBlock *block, gsize width, gsize operand)
{
  gsize latent = block->latent_down.tensor != NULL ? (gsize) block->latent_down.n_rows : 0;

  return (block->gate.n_experts + width + 2 * latent + 1) * sizeof (float) + latent * operand
         + block->gate.k * 2 * sizeof (guint32)
         + (block->chunks != NULL
                ? width * sizeof (float)
                      + block->gate.k * (sizeof (guint16) + sizeof (float) + 2 * sizeof (guint32))
                : 0);
}
