#include "forward-private.h"

#include "attention-private.h"
#include "gemm.h"
#include "kernels-private.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TOKENS      64                  /* of a task that works token by token */
#define BATCH_BYTES (256 * 1024 * 1024) /* of feed-forward activations under way at once */
#define BATCH_MOST  16384               /* rows of such a batch */

typedef struct
{
  const MsPlan *plan;
  const MsForwardOptions *options;
  const MsWave *wave;
  MsRows *rows;
  gsize first;      /* row of the wave's first token */
  gsize n, longest; /* tokens of the wave, of its longest document */
  MsProducts *products;
  MsArena *arena;         /* of half a layer */
  float *x, *normed;      /* (n, D): the residual stream; its norm */
  float *cosines, *sines; /* (longest, n_pairs) */
  guint32 *positions;     /* (n) within the document */
  const MsBlock *block;   /* under way */
  MsDecisions *layer;     /* its decisions */
} Engine;

/* --- Token by token -------------------------------------------------------------------------- */

typedef void (*TokenFunc) (const Engine *engine, gsize from, gsize to, gpointer data);

typedef struct
{
  const Engine *engine;
  TokenFunc run;
  gsize n;
  gpointer data;
} Tokens;

static void
run_tokens (guint index, guint worker, gpointer data)
{
  const Tokens *tokens = data;
  gsize from = (gsize) index * TOKENS;

  (void) worker;
  tokens->run (tokens->engine, from, MIN (from + TOKENS, tokens->n), tokens->data);
}

static void
for_tokens (const Engine *engine, gsize n, TokenFunc run, gpointer data)
{
  Tokens tokens = { engine, run, n, data };

  ms_parallel (engine->options->threads, (guint) ((n + TOKENS - 1) / TOKENS), run_tokens, &tokens);
}

static MsOperand
new_operand (const Engine *engine, gsize rows, gsize width)
{
  MsOperand operand = { NULL, NULL, width };

  if (engine->options->bf16)
    operand.h = ms_arena_array (engine->arena, guint16, rows * width);
  else
    operand.f = ms_arena_array (engine->arena, float, rows *width);
  return operand;
}

static void
put_operand (MsOperand *operand, gsize row, const float *from)
{
  if (operand->f == NULL)
    ms_bf16_from_float (from, operand->width, operand->h + row * operand->width);
  else
    memcpy (operand->f + row * operand->width, from, operand->width * sizeof (float));
}

static void
embed (const Engine *engine, gsize from, gsize to, gpointer data)
{
  (void) data;
  for (gsize t = from; t < to; t++)
    ms_tensor_to_float (engine->plan->embedding.tensor, engine->wave->ids[t], 1,
                        engine->x + t * engine->plan->width);
}

typedef struct
{
  const float *weight;
  MsOperand *operand; /* a copy of engine->normed as an operand; f: the same memory */
} Norm;

static void
norm (const Engine *engine, gsize from, gsize to, gpointer data)
{
  const Norm *what = data;
  gsize d = engine->plan->width;

  for (gsize t = from; t < to; t++)
    {
      float *out = engine->normed + t * d;

      ms_rms_norm (engine->x + t * d, what->weight, d, engine->plan->epsilon, out);
      if (what->operand->f == NULL)
        put_operand (what->operand, t, out);
    }
}

/* engine->normed, and the same as an operand. */
static MsOperand
normalize (const Engine *engine, const float *weight)
{
  MsOperand operand = { engine->normed, NULL, engine->plan->width };
  Norm what = { weight, &operand };

  if (engine->options->bf16)
    operand = new_operand (engine, engine->n, engine->plan->width);
  for_tokens (engine, engine->n, norm, &what);
  return operand;
}

/* --- Attention ------------------------------------------------------------------------------- */

static void
fill_angles (const Engine *engine, gsize from, gsize to, gpointer data)
{
  const MsRotation *rotation = &engine->plan->rotation;

  (void) data;
  for (gsize p = from; p < to; p++)
    for (guint i = 0; i < rotation->n_pairs; i++)
      {
        double angle = (double) p * rotation->step[i];

        engine->cosines[p * rotation->n_pairs + i] = (float) cos (angle) * rotation->magnitude;
        engine->sines[p * rotation->n_pairs + i] = (float) sin (angle) * rotation->magnitude;
      }
}

typedef struct
{
  float *values; /* (n, n_heads * head_width) */
  guint n_heads;
  const float *weight; /* of the norm, or NULL */
} Heads;

/* Norms queries or keys as the family wants, then turns them to their positions. */
static void
place_heads (const Engine *engine, gsize from, gsize to, gpointer data)
{
  const Heads *heads = data;
  const MsPlan *plan = engine->plan;
  const MsFamily *family = plan->family;
  gsize width = plan->head_width, all = heads->n_heads * width, pairs = plan->rotation.n_pairs;

  for (gsize t = from; t < to; t++)
    {
      float *row = heads->values + t * all;
      gsize angles = engine->positions[t] * pairs;

      if (family->qk_norm == MS_QK_NORM_WHOLE)
        ms_rms_norm (row, heads->weight, all, plan->epsilon, row);
      for (guint h = 0; h < heads->n_heads; h++)
        {
          if (family->qk_norm == MS_QK_NORM_HEAD)
            ms_rms_norm (row + h * width, heads->weight, width, plan->epsilon, row + h * width);
          ms_rotate (row + h * width, engine->cosines + angles, engine->sines + angles, pairs,
                     family->rope == MS_ROPE_HALVES);
        }
    }
}

static void
attend (const Engine *engine)
{
  const MsPlan *plan = engine->plan;
  const MsBlock *b = engine->block;
  MsOperand in = normalize (engine, b->attention_norm);
  gsize nq = (gsize) b->n_heads * plan->head_width, nk = (gsize) b->n_kv_heads * plan->head_width;
  gsize nv = (gsize) b->n_kv_heads * plan->value_width;
  float *q = ms_arena_array (engine->arena, float, engine->n *nq);
  float *k = ms_arena_array (engine->arena, float, engine->n *nk);
  float *v = ms_arena_array (engine->arena, float, engine->n *nv);
  MsOperand out = new_operand (engine, engine->n, (gsize) b->n_heads * plan->value_width);
  const MsProduct inward[] = {
    { .w = &b->q, .bias = b->q_bias, .x = in, .rows = engine->n, .y = q, .y_width = nq },
    { .w = &b->k, .bias = b->k_bias, .x = in, .rows = engine->n, .y = k, .y_width = nk },
    { .w = &b->v, .bias = b->v_bias, .x = in, .rows = engine->n, .y = v, .y_width = nv },
  };
  const MsProduct outward = { .kind = MS_PRODUCT_ADD,
                              .w = &b->out,
                              .bias = b->out_bias,
                              .x = out,
                              .rows = engine->n,
                              .y = engine->x,
                              .y_width = plan->width };
  Heads queries = { q, b->n_heads, b->q_norm }, keys = { k, b->n_kv_heads, b->k_norm };

  ms_products_run (engine->products, inward, G_N_ELEMENTS (inward));
  for_tokens (engine, engine->n, place_heads, &queries);
  for_tokens (engine, engine->n, place_heads, &keys);
  ms_attention_run (&(const MsAttention){
      .threads = engine->options->threads,
      .n_heads = b->n_heads,
      .n_kv_heads = b->n_kv_heads,
      .key_width = plan->head_width,
      .value_width = plan->value_width,
      .scale = 1.0f / sqrtf ((float) plan->head_width),
      .starts = engine->wave->starts,
      .n_documents = engine->wave->n_documents,
      .q = q,
      .k = k,
      .v = v,
      .out = out,
  });
  ms_products_run (engine->products, &outward, 1);
}

/* --- The router ------------------------------------------------------------------------------ */

static void
choose (const Engine *engine, gsize from, gsize to, gpointer data)
{
  const MsGate *gate = &engine->block->gate;
  const float *logits = data;
  g_autofree float *scratch = g_new (float, ms_gate_scratch (gate));

  for (gsize t = from; t < to; t++)
    {
      gsize row = engine->first + t;
      MsDecision decision = { .experts = engine->layer->experts + row * gate->k,
                              .weights = engine->layer->weights + row * gate->k };

      ms_gate_choose (gate, logits + t * gate->n_experts, scratch, &decision);
      engine->layer->entropy[row] = decision.entropy;
      engine->layer->margin[row] = decision.margin;
    }
}

/* Always in float32, whatever the precision of the rest. */
static void
route (const Engine *engine)
{
  const MsBlock *b = engine->block;
  gsize n_experts = b->gate.n_experts;
  float *logits = engine->layer->logits != NULL
                      ? engine->layer->logits + engine->first * n_experts
                      : ms_arena_array (engine->arena, float, engine->n *n_experts);
  const MsProduct product = { .w = &b->logits,
                              .bias = b->router_bias,
                              .x = { engine->normed, NULL, engine->plan->width },
                              .rows = engine->n,
                              .y = logits,
                              .y_width = n_experts };

  ms_products_run (engine->products, &product, 1);
  for_tokens (engine, engine->n, choose, logits);
}

/* --- Feed-forward ---------------------------------------------------------------------------- */

static gsize
batch_rows (const MsPlan *plan, const MsFeedForward *ffn)
{
  gsize width = 2 * (gsize) plan->width + (gsize) ffn->gate.n_rows;

  return CLAMP (BATCH_BYTES / (width * sizeof (float)), 512, BATCH_MOST);
}

/* Adds scale (or 1) times the network's output for every token to the residual stream. */
static void
feed_all (const Engine *engine, const MsFeedForward *ffn, const MsOperand *in, const float *scale)
{
  gsize most = MIN (batch_rows (engine->plan, ffn), engine->n), d = engine->plan->width;
  MsOperand hidden = new_operand (engine, most, (gsize) ffn->gate.n_rows);

  for (gsize from = 0; from < engine->n; from += most)
    {
      gsize rows = MIN (most, engine->n - from);
      MsOperand x
          = { in->f != NULL ? in->f + from * d : NULL, in->f == NULL ? in->h + from * d : NULL, d };
      const MsProduct up = {
        .kind = MS_PRODUCT_GATED, .w = &ffn->gate, .v = &ffn->up, .x = x, .rows = rows, .h = hidden
      };
      const MsProduct down = { .kind = MS_PRODUCT_ADD,
                               .w = &ffn->down,
                               .scale = scale != NULL ? scale + from : NULL,
                               .x = hidden,
                               .rows = rows,
                               .y = engine->x + from * d,
                               .y_width = d };

      ms_products_run (engine->products, &up, 1);
      ms_products_run (engine->products, &down, 1);
    }
}

/* The wave's (token, slot) pairs in the order of experts, then tokens. */
typedef struct
{
  gsize *starts;   /* (E + 1): first pair of each expert */
  guint32 *tokens; /* (n K): the token of each pair */
  guint32 *places; /* (n, K): the pair of each token's slot */
} Groups;

static Groups
group_by_expert (const Engine *engine)
{
  const MsGate *gate = &engine->block->gate;
  const guint16 *experts = engine->layer->experts + engine->first * gate->k;
  gsize n_pairs = engine->n * gate->k;
  Groups groups = { ms_arena_alloc0 (engine->arena, (gate->n_experts + 1) * sizeof (gsize)),
                    ms_arena_array (engine->arena, guint32, n_pairs),
                    ms_arena_array (engine->arena, guint32, n_pairs) };
  g_autofree gsize *next = g_new (gsize, gate->n_experts);

  for (gsize i = 0; i < n_pairs; i++)
    groups.starts[experts[i] + 1]++;
  for (guint e = 0; e < gate->n_experts; e++)
    {
      groups.starts[e + 1] += groups.starts[e];
      next[e] = groups.starts[e];
    }
  for (gsize i = 0; i < n_pairs; i++)
    {
      gsize place = next[experts[i]]++;

      groups.places[i] = (guint32) place;
      groups.tokens[place] = (guint32) (i / gate->k);
    }
  return groups;
}

/* Pairs from..to-1 under way. */
typedef struct
{
  const Groups *groups;
  gsize from, to;
  MsOperand in;  /* (to - from, D) */
  float *out;    /* (to - from, D): what the experts give */
  float *routed; /* (n, D): their weighted sum */
} Batch;

static void
gather (const Engine *engine, gsize from, gsize to, gpointer data)
{
  Batch *batch = data;

  for (gsize i = from; i < to; i++)
    put_operand (&batch->in, i,
                 engine->normed + batch->groups->tokens[batch->from + i] * batch->in.width);
}

/* Adds the batch's outputs to each token's sum, in the order of expert ids. */
static void
combine (const Engine *engine, gsize from, gsize to, gpointer data)
{
  const Batch *batch = data;
  MsDecisions *layer = engine->layer;
  guint k = engine->block->gate.k;
  gsize d = engine->plan->width;

  for (gsize t = from; t < to; t++)
    {
      const guint32 *places = batch->groups->places + t * k;
      gsize next = batch->from;

      for (guint done = 0; done < k; done++)
        {
          gsize slot = G_MAXSIZE, row;
          const float *out;

          for (guint j = 0; j < k; j++)
            if (places[j] >= next && (slot == G_MAXSIZE || places[j] < places[slot]))
              slot = j;
          if (slot == G_MAXSIZE || places[slot] >= batch->to)
            break;
          next = (gsize) places[slot] + 1;
          out = batch->out + (places[slot] - batch->from) * d;
          row = (engine->first + t) * k + slot;
          ms_add_scaled (batch->routed + t * d, out, layer->weights[row], d);
          if (layer->norms != NULL)
            layer->norms[row] = sqrtf (ms_dot (out, out, d));
          if (layer->peaks != NULL)
            layer->peaks[row] = ms_largest (out, d);
        }
    }
}

/* Adds the routed sum to the residual stream. */
static void
add_routed (const Engine *engine, gsize from, gsize to, gpointer data)
{
  const float *routed = data;
  gsize d = engine->plan->width;

  for (gsize t = from; t < to; t++)
    {
      float *x = engine->x + t * d;
      float before = ms_dot (x, x, d), across = ms_dot (x, routed + t * d, d), after;

      ms_add_scaled (x, routed + t * d, 1, d);
      after = ms_dot (x, x, d);
      if (engine->layer->similarity != NULL)
        engine->layer->similarity[engine->first + t]
            = (before + across) / (sqrtf (before) * sqrtf (after));
    }
}

static void
run_batch (const Engine *engine, Batch *batch, MsOperand hidden)
{
  const MsBlock *b = engine->block;
  g_autoptr (GArray) up = g_array_new (FALSE, FALSE, sizeof (MsProduct));
  g_autoptr (GArray) down = g_array_new (FALSE, FALSE, sizeof (MsProduct));

  for (guint e = 0; e < b->gate.n_experts; e++)
    {
      gsize from = MAX (batch->groups->starts[e], batch->from);
      gsize to = MIN (batch->groups->starts[e + 1], batch->to);
      MsProduct product = { .kind = MS_PRODUCT_GATED,
                            .w = &b->experts[e].gate,
                            .v = &b->experts[e].up,
                            .x = batch->in,
                            .row = from - batch->from,
                            .rows = to - from,
                            .h = hidden };

      if (from >= to)
        continue;
      g_array_append_val (up, product);
      product.kind = MS_PRODUCT_STORE;
      product.w = &b->experts[e].down;
      product.x = hidden;
      product.y = batch->out;
      product.y_width = engine->plan->width;
      g_array_append_val (down, product);
    }
  for_tokens (engine, batch->to - batch->from, gather, batch);
  ms_products_run (engine->products, (const MsProduct *) (gconstpointer) up->data, up->len);
  ms_products_run (engine->products, (const MsProduct *) (gconstpointer) down->data, down->len);
  for_tokens (engine, engine->n, combine, batch);
}

static void
run_experts (const Engine *engine)
{
  const MsBlock *b = engine->block;
  Groups groups = group_by_expert (engine);
  gsize n_pairs = engine->n * b->gate.k, d = engine->plan->width;
  gsize most = MIN (batch_rows (engine->plan, b->experts), n_pairs);
  MsOperand hidden = new_operand (engine, most, (gsize) b->experts[0].gate.n_rows);
  Batch batch = { .groups = &groups, .in = new_operand (engine, most, d) };

  batch.out = ms_arena_array (engine->arena, float, most *d);
  batch.routed = ms_arena_alloc0 (engine->arena, engine->n * d * sizeof (float));
  for (guint e = 0; batch.from < n_pairs; batch.from = batch.to)
    {
      /* Whole experts while they fit, so that each is unpacked once. */
      while (e < b->gate.n_experts && groups.starts[e + 1] <= batch.from + most)
        e++;
      batch.to = groups.starts[e] > batch.from ? groups.starts[e] : batch.from + most;
      run_batch (engine, &batch, hidden);
    }
  for_tokens (engine, engine->n, add_routed, batch.routed);
}

static void
run_shared (const Engine *engine, const MsOperand *in)
{
  const MsBlock *b = engine->block;
  float *scale = NULL;

  if (b->shared.gate.tensor == NULL)
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
  feed_all (engine, &b->shared, in, scale);
}

/* --- The wave -------------------------------------------------------------------------------- */

/* Tells the kernel that a block's weights come next, or are done with: what is resident stays one
 * block even where the whole model would not fit. */
static void
advise (const MsBlock *block, int advice)
{
  const MsWeight attention[] = { block->q, block->k, block->v, block->out };
  gsize page = (gsize) sysconf (_SC_PAGESIZE);
  guint n_ffn = block->is_moe ? block->gate.n_experts : 1;

  for (guint i = 0; i < G_N_ELEMENTS (attention) + 3 * n_ffn + 3; i++)
    {
      guint f = i < G_N_ELEMENTS (attention) ? 0 : (i - (guint) G_N_ELEMENTS (attention)) / 3;
      const MsFeedForward *ffn = f < n_ffn ? &block->experts[f] : &block->shared;
      const MsWeight *parts[] = { &ffn->gate, &ffn->up, &ffn->down };
      const MsWeight *w = i < G_N_ELEMENTS (attention)
                              ? &attention[i]
                              : parts[(i - (guint) G_N_ELEMENTS (attention)) % 3];
      guintptr from, to;

      if (w->tensor == NULL)
        continue;
      from = (guintptr) w->tensor->data + (gsize) w->first_row * w->tensor->row_size;
      to = from + (gsize) w->n_rows * w->tensor->row_size;
      from = from / page * page;
      /* Advice only: what fails costs time, not results. */
      (void) madvise ((void *) from, to - from, advice);
    }
}

static void
run_block (Engine *engine, gboolean last)
{
  MsOperand in;

  ms_arena_reset (engine->arena);
  attend (engine);
  ms_arena_reset (engine->arena);
  in = normalize (engine, engine->block->ffn_norm);
  if (!engine->block->is_moe)
    {
      feed_all (engine, engine->block->experts, &in, NULL);
      return;
    }
  route (engine);
  if (last)
    return;
  run_experts (engine);
  run_shared (engine, &in);
}

static void
predict (const Engine *engine)
{
  const MsPlan *plan = engine->plan;
  MsOperand in;
  gint32 *targets;

  ms_arena_reset (engine->arena);
  targets = ms_arena_array (engine->arena, gint32, engine->n);
  for (gsize t = 0; t < engine->n; t++)
    targets[t] = t + 1 < engine->n && engine->positions[t + 1] > 0 ? engine->wave->ids[t + 1] : -1;
  in = normalize (engine, plan->output_norm);
  ms_products_predict (engine->products, &plan->output, &in, engine->n, targets,
                       engine->rows->predicted + engine->first, engine->rows->loss + engine->first);
}

static gsize
widest_weight (const MsPlan *plan)
{
  gsize widest = plan->width;

  for (guint b = 0; b < plan->n_blocks; b++)
    {
      const MsBlock *block = &plan->blocks[b];

      widest = MAX (widest, (gsize) block->n_heads * plan->value_width);
      widest = MAX (widest, (gsize) block->experts[0].gate.n_rows);
      widest = MAX (widest, (gsize) block->shared.gate.n_rows);
    }
  return widest;
}

gsize
ms_forward_token_bytes (const MsPlan *plan, const MsForwardOptions *options)
{
  gsize operand = options->bf16 ? sizeof (guint16) : sizeof (float), most = 0;
  gsize d = plan->width, copy = options->bf16 ? d * operand : 0;

  for (guint b = 0; b < plan->n_blocks; b++)
    {
      const MsBlock *block = &plan->blocks[b];
      gsize attention = ((block->n_heads + block->n_kv_heads) * (gsize) plan->head_width
                         + block->n_kv_heads * (gsize) plan->value_width)
                            * sizeof (float)
                        + block->n_heads * (gsize) plan->value_width * operand;
      gsize experts = block->is_moe ? (block->gate.n_experts + d + 1) * sizeof (float)
                                          + block->gate.k * 2 * sizeof (guint32)
                                    : 0;

      most = MAX (most, MAX (attention, experts));
    }
  return 2 * d * sizeof (float) + copy + most + sizeof (guint32) + sizeof (gint32);
}

gsize
ms_forward_fixed_bytes (const MsPlan *plan, const MsForwardOptions *options, gsize longest)
{
  return 2 * (gsize) BATCH_BYTES
         + ms_threads (options->threads)
               * (ms_products_worker_bytes (widest_weight (plan))
                  + ms_attention_worker_bytes (plan->head_width, plan->value_width, longest))
         + 2 * longest * plan->rotation.n_pairs * sizeof (float);
}

/* The block after which nothing is needed; its experts are not run if *skip_experts. */
static guint
last_block (const MsPlan *plan, const MsRows *rows, gboolean *skip_experts)
{
  gboolean outputs = FALSE;

  for (guint i = 0; i < plan->n_moe; i++)
    outputs |= rows->layers[i].norms != NULL || rows->layers[i].peaks != NULL
               || rows->layers[i].similarity != NULL;
  *skip_experts = !outputs && rows->predicted == NULL;
  return rows->predicted != NULL ? plan->n_blocks - 1 : plan->last_moe;
}

gboolean
ms_forward_run (const MsPlan *plan, const MsForwardOptions *options, const MsWave *wave,
                MsRows *rows, gsize first, MsBlockFunc begin, gpointer data)
{
  gsize n = wave->starts[wave->n_documents], d = plan->width, pairs = plan->rotation.n_pairs;
  gsize longest = 0;
  gboolean skip_experts, going = TRUE;
  guint last = last_block (plan, rows, &skip_experts), layer = 0;
  g_autoptr (MsProducts) products = ms_products_new (options->threads);
  g_autoptr (MsArena) lasting = NULL, arena = NULL;
  g_autofree guint32 *positions = g_new (guint32, MAX (n, 1));
  Engine engine = { .plan = plan,
                    .options = options,
                    .wave = wave,
                    .rows = rows,
                    .first = first,
                    .n = n,
                    .products = products,
                    .positions = positions };

  if (n == 0)
    return TRUE;
  for (guint i = 0; i < wave->n_documents; i++)
    {
      gsize length = wave->starts[i + 1] - wave->starts[i];

      longest = MAX (longest, length);
      for (gsize p = 0; p < length; p++)
        positions[wave->starts[i] + p] = (guint32) p;
    }
  engine.longest = longest;
  lasting = ms_arena_new (2 * (n * d + longest * pairs) * sizeof (float) + 4096);
  engine.arena = arena = ms_arena_new (n * ms_forward_token_bytes (plan, options));
  engine.x = ms_arena_array (lasting, float, n *d);
  engine.normed = ms_arena_array (lasting, float, n *d);
  engine.cosines = ms_arena_array (lasting, float, longest *pairs);
  engine.sines = ms_arena_array (lasting, float, longest *pairs);
  for_tokens (&engine, longest, fill_angles, NULL);
  for_tokens (&engine, n, embed, NULL);
  for (guint b = 0; b <= last && (going = begin == NULL || begin (b, data)); b++)
    {
      engine.block = &plan->blocks[b];
      engine.layer = engine.block->is_moe ? &rows->layers[layer++] : NULL;
      if (b < last)
        advise (engine.block + 1, MADV_WILLNEED);
      run_block (&engine, b == last && skip_experts);
      advise (engine.block, MADV_DONTNEED);
    }
  if (going && rows->predicted != NULL)
    predict (&engine);
  return going;
}
