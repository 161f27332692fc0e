/* The executor.
 *
 *   ms_forward_run   a wave: whole documents, all their tokens, one block after the other
 *     embed            x = rows of the embedding                                     (forward.c)
 *     per block
 *       normed = norm (x); mixer adds to x                       (norm.c, mixer-*.c, attention.c)
 *       normed = norm (x)
 *       dense block:  x += network (normed)                                     (feed-forward.c)
 *       MoE block:    logits = router (normed); the gate chooses     (experts.c, db/base/gate.c)
 *                     x += sum of weight * expert (normed), tokens grouped by expert (experts.c)
 *                     x += a dense network beside them, shared experts (normed)
 *       Some architectures norm what the mixer or the networks give before it is added to x; of some, x
 *       is read from several streams before each half and written to them after it       (streams.c).
 *     predict          where asked for: losses of the output head                    (product.c)
 *
 * What must hold:
 *
 *  1. Never computed: experts of the last block with a router, and all blocks behind it, unless their
 *     norms or predictions are asked for, since no decision depends on them.  Attention beyond the
 *     document, and before the first token of a wave's document: a wave holds whole documents.
 *  2. Memory: the plan borrows matrices from the mapped file and owns vectors.  The engine owns x and
 *     normed for the whole wave, and one arena that is emptied before each half of a block: whatever a
 *     mixer or expert gets from it is gone afterwards.  ms_forward_token_bytes foretells its size, so a
 *     kind that takes more must say so in its `bytes`.  Decisions go straight into the caller's rows.
 *  3. Weights are unpacked in blocks by the worker that multiplies (product.c).  The next block's are
 *     announced to the kernel, those done with given up: what is resident stays one block.
 *  4. Results do not depend on the number of threads: work is cut by shapes alone, no worker adds to
 *     what another adds to, and sums over experts run in the order of their ids.
 *  5. Routers are float32 whatever the precision of the other products.
 *  6. Nothing can fail here but the model's numbers: the plan has checked shapes, types and geometry.
 *     After each block every token's stream and decision are looked through for what is no number. */
#include "engine-private.h"

#include "experts-private.h"
#include "feed-forward-private.h"
#include "kernels-private.h"
#include "mixer-private.h"
#include "norm-private.h"
#include "positions-private.h"
#include "streams-private.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

#define TOKENS 64 /* of a task that works token by token */

/* --- Token by token -------------------------------------------------------------------------- */

typedef struct
{
  const MsEngine *engine;
  MsTokenFunc run;
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

void
ms_engine_for_tokens (const MsEngine *engine, gsize n, MsTokenFunc run, gpointer data)
{
  Tokens tokens = { engine, run, n, data };

  ms_parallel (engine->options->threads, (guint) ((n + TOKENS - 1) / TOKENS), run_tokens, &tokens);
}

/* Tokens of the document that token t belongs to. */
static gsize
document_length (const MsEngine *engine, gsize t)
{
  const gsize *starts = engine->wave->starts;
  gsize low = 0, high = engine->wave->n_documents; /* starts[low] <= t < starts[high] */

  while (high - low > 1)
    {
      gsize middle = low + (high - low) / 2;

      *(starts[middle] <= t ? &low : &high) = middle;
    }
  return starts[low + 1] - starts[low];
}

void
ms_engine_turn (const MsEngine *engine, const MsRotation *rotation, gsize t, float *head)
{
  const MsAngles *angles;
  gsize at = engine->positions[t] * (gsize) rotation->n_pairs;

  if (rotation->longer != NULL && document_length (engine, t) > rotation->longest)
    rotation = rotation->longer;
  angles = &engine->angles[rotation->index];
  ms_rotate (head, angles->cosines + at, angles->sines + at, rotation->n_pairs, rotation->halves);
}

MsOperand
ms_engine_operand (const MsEngine *engine, gsize rows, gsize width)
{
  MsOperand operand = { NULL, NULL, width };

  if (engine->options->bf16)
    operand.h = ms_arena_array (engine->arena, guint16, rows * width);
  else
    operand.f = ms_arena_array (engine->arena, float, rows *width);
  return operand;
}

void
ms_operand_put (MsOperand *operand, gsize row, const float *from)
{
  if (operand->f == NULL)
    ms_bf16_from_float (from, operand->width, operand->h + row * operand->width);
  else
    memcpy (operand->f + row * operand->width, from, operand->width * sizeof (float));
}

static void
embed (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  gsize d = engine->plan->width;
  float scale = engine->plan->scales.embedding;

  (void) data;
  for (gsize t = from; t < to; t++)
    {
      float *x = engine->x + t * d;

      ms_tensor_to_float (engine->plan->embedding.tensor, engine->wave->ids[t], 1, x);
      if (scale != 0)
        ms_scale (x, scale, d, x);
    }
}

typedef struct
{
  const MsNorm *norm;
  float *out;         /* (n, D) */
  MsOperand *operand; /* a copy of `out` as an operand; f: the same memory */
} Norm;

static void
norm (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Norm *what = data;
  gsize d = engine->plan->width;

  for (gsize t = from; t < to; t++)
    {
      float *out = what->out + t * d;

      if (what->norm != NULL)
        what->norm->kind->apply (what->norm, engine->x + t * d, d, out);
      if (what->operand->f == NULL)
        ms_operand_put (what->operand, t, out);
    }
}

/* engine->normed, and the same as an operand; of a norm that is NULL, what engine->normed is already. */
static MsOperand
normalize (const MsEngine *engine, const MsNorm *which)
{
  MsOperand operand = { engine->normed, NULL, engine->plan->width };
  Norm what = { which, engine->normed, &operand };

  if (engine->options->bf16)
    operand = ms_engine_operand (engine, engine->n, engine->plan->width);
  if (engine->options->bf16 || which != NULL)
    ms_engine_for_tokens (engine, engine->n, norm, &what);
  return operand;
}

/* A norm of the stream into rows of floats (n, D). */
static void
normalize_to (const MsEngine *engine, const MsNorm *which, float *out)
{
  MsOperand operand = { out, NULL, engine->plan->width };
  Norm what = { which, out, &operand };

  ms_engine_for_tokens (engine, engine->n, norm, &what);
}

float
ms_engine_factor (const MsEngine *engine)
{
  const MsScales *scales = &engine->plan->scales;
  gboolean shared = engine->block->is_moe && engine->block->shared.up.tensor != NULL;
  float factor = engine->sum == engine->x && scales->residual != 0 ? scales->residual : 1;

  return shared && scales->shared != 0 ? factor * scales->shared : factor;
}

static void
keep_tokens (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  gsize d = engine->plan->width;

  (void) data;
  ms_scale (engine->normed + from * d, engine->plan->scales.kept, (to - from) * d,
            engine->x + from * d);
}

/* Puts what was normed in place of the stream, of architectures that go on with it. */
static void
keep_norm (const MsEngine *engine)
{
  if (engine->plan->architecture->keeps_norm)
    ms_engine_for_tokens (engine, engine->n, keep_tokens, NULL);
}

static void
fill_angles (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const MsRotation *rotation = data;
  const MsAngles *angles = &engine->angles[rotation->index];

  for (gsize p = from; p < to; p++)
    ms_rotation_angles (rotation, p, angles->cosines + p * rotation->n_pairs,
                        angles->sines + p * rotation->n_pairs);
}

/* --- The wave -------------------------------------------------------------------------------- */

static void
advise_table (const MsTensorTable *table, gpointer base, gpointer data)
{
  ms_tensors_advise (table, base, *(const int *) data);
}

/* Tells the kernel that a block's weights come next, or are done with: what is resident stays one
 * block even where the whole model would not fit. */
static void
advise (const MsPlanBlock *block, int advice)
{
  ms_plan_block_each (block, advise_table, &advice);
}

typedef struct
{
  const MsNorm *norm;
  float *values;     /* (n, D) */
  float factor;      /* before the norm; 0 = 1 */
  float *similarity; /* (n) of the stream before and behind, or NULL */
} Post;

static void
add_normed (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Post *post = data;
  gsize d = engine->plan->width;
  float scale = engine->plan->scales.residual != 0 ? engine->plan->scales.residual : 1;

  for (gsize t = from; t < to; t++)
    {
      float *x = engine->x + t * d, *values = post->values + t * d;
      float before = ms_dot (x, x, d), across, after;

      if (post->factor != 0)
        ms_scale (values, post->factor, d, values);
      post->norm->kind->apply (post->norm, values, d, values);
      across = scale * ms_dot (x, values, d);
      ms_add_scaled (x, values, scale, d);
      after = ms_dot (x, x, d);
      if (post->similarity != NULL)
        post->similarity[t] = (before + across) / (sqrtf (before) * sqrtf (after));
    }
}

static void
run_mixer (const MsEngine *engine)
{
  const MsPlanBlock *block = engine->block;
  gsize d = engine->plan->width;
  MsOperand in;
  MsProduct out = { .kind = MS_PRODUCT_ADD,
                    .factor = engine->plan->scales.residual,
                    .rows = engine->n,
                    .y = engine->x,
                    .y_width = d };
  Post post = { .norm = &block->mixer_post };

  ms_streams_read (engine, &block->mixer_mix);
  in = normalize (engine, &block->mixer_norm);
  keep_norm (engine);
  ms_streams_empty (engine);
  if (post.norm->kind != NULL)
    {
      out.kind = MS_PRODUCT_STORE;
      out.y = post.values = ms_arena_array (engine->arena, float, engine->n *d);
    }
  block->mixer->run (engine, block->mixer_part, &in, out);
  if (post.norm->kind != NULL)
    ms_engine_for_tokens (engine, engine->n, add_normed, &post);
  ms_streams_write (engine);
}

/* engine->normed becomes the stream's norm without weights, times router_scale / sqrt (D). */
static void
norm_for_router (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  gsize d = engine->plan->width;
  const float *scale = engine->block->router_scale;
  float root = 1.0f / sqrtf ((float) d);

  (void) data;
  for (gsize t = from; t < to; t++)
    {
      float *out = engine->normed + t * d;

      ms_rms_norm (engine->x + t * d, NULL, d, engine->plan->epsilon, out);
      for (gsize i = 0; i < d; i++)
        out[i] = out[i] * root * scale[i];
    }
}

/* Decisions of routers that read the block's input. */
static void
route_early (MsEngine *engine)
{
  const MsPlanBlock *block = engine->block;

  if (!block->is_moe)
    return;
  if ((engine->plan->architecture->switches & MS_ROUTER_FIRST) != 0)
    ms_experts_route (engine, engine->x);
  if (block->early_norm.kind == NULL)
    return;
  normalize_to (engine, &block->early_norm, engine->early);
  ms_experts_route (engine, engine->early);
}

/* Decisions of the others; engine->normed is what the networks read. */
static void
route_late (MsEngine *engine)
{
  const MsPlanBlock *block = engine->block;

  if (!block->is_moe || block->early_norm.kind != NULL
      || (engine->plan->architecture->switches & MS_ROUTER_FIRST) != 0)
    return;
  if (block->router_scale != NULL)
    ms_engine_for_tokens (engine, engine->n, norm_for_router, NULL);
  ms_experts_route (engine, engine->normed);
}

static void
norm_beside (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const MsNorm *norm = &engine->block->beside_post;
  gsize d = engine->plan->width;

  (void) data;
  for (gsize t = from; t < to; t++)
    norm->kind->apply (norm, engine->sum + t * d, d, engine->sum + t * d);
}

/* Experts, what stands beside them, shared experts; or the dense network.  All add to engine->sum. */
static void
add_networks (const MsEngine *engine, const MsOperand *in)
{
  const MsPlanBlock *block = engine->block;
  gboolean beside = block->beside.up.tensor != NULL, own = block->beside_norm.kind != NULL;
  MsOperand next;

  if (!block->is_moe)
    {
      ms_feed_forward_run (engine, block->networks, in, NULL);
      return;
    }
  if (own)
    {
      next = normalize (engine, &block->beside_norm);
      ms_feed_forward_run (engine, &block->beside, &next, NULL);
      ms_engine_for_tokens (engine, engine->n, norm_beside, NULL);
      next = normalize (engine, &block->ffn_norm);
      in = &next;
    }
  ms_experts_run (engine, in);
  if (beside && !own)
    ms_feed_forward_run (engine, &block->beside, in, NULL);
  ms_experts_run_shared (engine, in);
}

static void
run_networks (MsEngine *engine, const MsOperand *in)
{
  const MsPlanBlock *block = engine->block;
  gsize bytes = engine->n * engine->plan->width * sizeof (float);
  Post post = { .norm = &block->ffn_post };

  engine->sum = engine->x;
  if (post.norm->kind != NULL)
    engine->sum = post.values = ms_arena_alloc0 (engine->arena, bytes);
  add_networks (engine, in);
  if (post.norm->kind == NULL)
    return;
  if (block->beside.up.tensor != NULL)
    post.factor = engine->plan->scales.beside;
  if (block->is_moe && engine->layer->similarity != NULL)
    post.similarity = engine->layer->similarity + engine->first;
  ms_engine_for_tokens (engine, engine->n, add_normed, &post);
}

static void
scale_stream (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  gsize d = engine->plan->width;

  (void) data;
  ms_scale (engine->x + from * d, engine->block->output_scale[0], (to - from) * d,
            engine->x + from * d);
}

/* The second half of a block: router and networks. */
static void
run_second (MsEngine *engine, gboolean last)
{
  const MsPlanBlock *block = engine->block;
  MsOperand in = { 0 };

  ms_streams_read (engine, &block->ffn_mix);
  if (block->beside_norm.kind == NULL)
    in = normalize (engine, block->ffn_norm.kind != NULL ? &block->ffn_norm : NULL);
  keep_norm (engine);
  ms_streams_empty (engine);
  route_late (engine);
  if (last)
    return;
  run_networks (engine, &in);
  ms_streams_write (engine);
}

static void
run_block (MsEngine *engine, gboolean last)
{
  const MsPlanBlock *block = engine->block;

  ms_arena_reset (engine->arena);
  route_early (engine);
  ms_arena_reset (engine->arena);
  if (block->mixer != NULL)
    run_mixer (engine);
  ms_arena_reset (engine->arena);
  if (block->networks != NULL)
    run_second (engine, last);
  if (block->output_scale != NULL)
    ms_engine_for_tokens (engine, engine->n, scale_stream, NULL);
}

/* Whether one of n values is infinite or no number: then all bits of its exponent are set. */
static gboolean
has_no_number (const float *values, gsize n)
{
  const guint32 *bits = (const guint32 *) (gconstpointer) values;
  guint32 bad = 0;

  for (gsize i = 0; i < n; i++)
    bad |= (bits[i] & 0x7f800000) == 0x7f800000;
  return bad != 0;
}

typedef struct
{
  gboolean decisions;
  gint token; /* atomic: the first that has a value which is no number; G_MAXINT: none */
} Search;

static void
search (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Search *search = data;
  gsize d = engine->plan->width, k = engine->block->gate.k;

  for (gsize t = from; t < to; t++)
    {
      gsize row = engine->first + t;
      gboolean bad = has_no_number (engine->x + t * d, d);

      if (search->decisions)
        bad |= has_no_number (engine->layer->weights + row * k, k);
      for (gint old = g_atomic_int_get (&search->token);
           bad && (gint) t < old
           && !g_atomic_int_compare_and_exchange (&search->token, old, (gint) t);)
        old = g_atomic_int_get (&search->token);
      if (bad)
        return;
    }
}

/* Whether a token of the wave has a value that is no number behind the block, or a decision made of one. */
static gboolean
is_broken (const MsEngine *engine, guint block, MsBroken *broken)
{
  Search found = { engine->layer != NULL, G_MAXINT };

  ms_engine_for_tokens (engine, engine->n, search, &found);
  *broken = (MsBroken){ block, (gsize) found.token };
  return found.token != G_MAXINT;
}

/* Whether a token that has a loss has one that is no number. */
static gboolean
is_head_broken (const MsEngine *engine, MsBroken *broken)
{
  for (gsize t = 0; t + 1 < engine->n; t++)
    if (engine->positions[t + 1] > 0 && !isfinite (engine->rows->loss[engine->first + t]))
      {
        *broken = (MsBroken){ engine->plan->n_blocks, t };
        return TRUE;
      }
  return FALSE;
}

static void
predict (const MsEngine *engine)
{
  const MsPlan *plan = engine->plan;
  MsOperand in;
  gint32 *targets;

  ms_arena_reset (engine->arena);
  targets = ms_arena_array (engine->arena, gint32, engine->n);
  for (gsize t = 0; t < engine->n; t++)
    targets[t] = t + 1 < engine->n && engine->positions[t + 1] > 0 ? engine->wave->ids[t + 1] : -1;
  ms_streams_read (engine, &plan->head_mix);
  in = normalize (engine, &plan->output_norm);
  ms_products_predict (engine->products, &plan->head, &in, engine->n, targets,
                       engine->rows->predicted + engine->first, engine->rows->loss + engine->first);
}

static void
widen (const MsTensorTable *table, gpointer base, gpointer data)
{
  gsize *widest = data;

  *widest = MAX (*widest, ms_tensors_widest (table, base));
}

static gsize
operand_bytes (const MsForwardOptions *options)
{
  return options->bf16 ? sizeof (guint16) : sizeof (float);
}

static MsMixerBytes
mixer_bytes (const MsPlanBlock *block, gsize operand, gsize longest)
{
  return block->mixer != NULL ? block->mixer->bytes (block->mixer_part, operand, longest)
                              : (MsMixerBytes){ 0 };
}

/* Whether experts of a block read what is there before its mixer. */
static gboolean
has_early (const MsPlan *plan)
{
  gboolean any = FALSE;

  for (guint b = 0; b < plan->n_blocks; b++)
    any |= plan->blocks[b].early_norm.kind != NULL;
  return any;
}

/* Bytes of a token that stay from block to block, beside the stream and its norm. */
static gsize
lasting_bytes (const MsPlan *plan)
{
  return ms_streams_token_bytes (plan) + plan->n_chosen * sizeof (gint32);
}

gsize
ms_forward_token_bytes (const MsPlan *plan, const MsForwardOptions *options)
{
  gsize operand = operand_bytes (options), most = 0;
  gsize d = plan->width, copy = options->bf16 ? d * operand : 0;

  for (guint b = 0; b < plan->n_blocks; b++)
    {
      const MsPlanBlock *block = &plan->blocks[b];
      gsize mixer = mixer_bytes (block, operand, 0).token;
      gsize experts = block->is_moe ? ms_experts_token_bytes (block, d, operand) : 0;

      /* What is normed before it is added lies in the arena first. */
      mixer += block->mixer_post.kind != NULL ? d * sizeof (float) : 0;
      experts += block->ffn_post.kind != NULL ? d * sizeof (float) : 0;
      experts += block->beside_norm.kind != NULL ? copy : 0;
      most = MAX (most, MAX (mixer, experts));
    }
  return (2 + has_early (plan)) * d * sizeof (float) + lasting_bytes (plan) + copy + most
         + sizeof (guint32) + sizeof (gint32);
}

/* Bytes of the angles of documents of up to `longest` tokens. */
static gsize
angle_bytes (const MsPlan *plan, gsize longest)
{
  gsize bytes = 0;

  for (guint i = 0; i < plan->rotations->len; i++)
    bytes += 2 * longest * ((const MsRotation *) g_ptr_array_index (plan->rotations, i))->n_pairs
             * sizeof (float);
  return bytes;
}

/* Whether a block has a second set of experts, whose batches lie beside those of the first. */
static gboolean
has_chunks (const MsPlan *plan)
{
  gboolean any = FALSE;

  for (guint b = 0; b < plan->n_blocks; b++)
    any |= plan->blocks[b].chunks != NULL;
  return any;
}

gsize
ms_forward_fixed_bytes (const MsPlan *plan, const MsForwardOptions *options, gsize longest)
{
  gsize widest = plan->width, worker = 0;

  for (guint b = 0; b < plan->n_blocks; b++)
    {
      const MsPlanBlock *block = &plan->blocks[b];

      ms_plan_block_each (block, widen, &widest);
      worker = MAX (worker, mixer_bytes (block, operand_bytes (options), longest).worker);
    }
  return (2 + has_chunks (plan)) * (gsize) MS_FORWARD_BATCH_BYTES
         + ms_threads (options->threads) * (ms_products_worker_bytes (widest) + worker)
         + angle_bytes (plan, longest);
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

MsForwardEnd
ms_forward_run (const MsPlan *plan, const MsForwardOptions *options, const MsWave *wave,
                MsRows *rows, gsize first, MsBlockFunc begin, gpointer data, MsBroken *broken)
{
  gsize n = wave->starts[wave->n_documents], d = plan->width;
  gsize longest = 0;
  gboolean skip_experts;
  guint last = last_block (plan, rows, &skip_experts), layer = 0;
  g_autoptr (MsProducts) products = ms_products_new (options->threads);
  g_autoptr (MsArena) lasting = NULL, arena = NULL;
  g_autofree MsAngles *angles = g_new0 (MsAngles, MAX (plan->rotations->len, 1));
  g_autofree guint32 *positions = g_new (guint32, MAX (n, 1));
  MsEngine engine = { .plan = plan,
                      .options = options,
                      .wave = wave,
                      .rows = rows,
                      .first = first,
                      .n = n,
                      .products = products,
                      .positions = positions };

  if (n == 0)
    return MS_FORWARD_DONE;
  for (guint i = 0; i < wave->n_documents; i++)
    {
      gsize length = wave->starts[i + 1] - wave->starts[i];

      longest = MAX (longest, length);
      for (gsize p = 0; p < length; p++)
        positions[wave->starts[i] + p] = (guint32) p;
    }
  engine.longest = longest;
  lasting = ms_arena_new (n * ((2 + has_early (plan)) * d * sizeof (float) + lasting_bytes (plan))
                          + angle_bytes (plan, longest) + 4096);
  engine.arena = arena = ms_arena_new (n * ms_forward_token_bytes (plan, options));
  engine.x = ms_arena_array (lasting, float, n *d);
  engine.normed = ms_arena_array (lasting, float, n *d);
  if (has_early (plan))
    engine.early = ms_arena_array (lasting, float, n *d);
  engine.angles = angles;
  for (guint i = 0; i < plan->rotations->len; i++)
    {
      MsRotation *rotation = g_ptr_array_index (plan->rotations, i);

      angles[i].cosines = ms_arena_array (lasting, float, longest * rotation->n_pairs);
      angles[i].sines = ms_arena_array (lasting, float, longest * rotation->n_pairs);
      ms_engine_for_tokens (&engine, longest, fill_angles, rotation);
    }
  ms_engine_for_tokens (&engine, n, embed, NULL);
  ms_streams_start (&engine, lasting);
  if (plan->n_chosen > 0)
    engine.chosen = ms_arena_array (lasting, gint32, n * plan->n_chosen);
  for (guint b = 0; b <= last; b++)
    {
      if (begin != NULL && !begin (b, data))
        return MS_FORWARD_STOPPED;
      engine.block = &plan->blocks[b];
      engine.moe = layer;
      engine.layer = engine.block->is_moe ? &rows->layers[layer++] : NULL;
      if (b < last)
        advise (engine.block + 1, MADV_WILLNEED);
      run_block (&engine, b == last && skip_experts);
      advise (engine.block, MADV_DONTNEED);
      if (is_broken (&engine, b, broken))
        return MS_FORWARD_BROKEN;
    }
  if (rows->predicted == NULL)
    return MS_FORWARD_DONE;
  predict (&engine);
  return is_head_broken (&engine, broken) ? MS_FORWARD_BROKEN : MS_FORWARD_DONE;
}
