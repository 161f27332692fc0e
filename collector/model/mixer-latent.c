/* Multi-head latent attention (DeepSeek-V2, 2024): keys and values of all heads come from one short
 * vector per token, of which each head's keys have a part of their own and share a part that is
 * rotated.
 *
 *   q_h = [Q_h x]  or  [Q_h norm (A x)]      its last `rotated` values turn with the position
 *   (c, r) = C x;  k_h = [K_h norm (c), turned r];  v_h = V_h norm (c)
 *
 * Files hold K and V in one matrix, head by head (attn_kv_b), or apart, K turned (attn_k_b,
 * attn_v_b): both are run as attention of as many key heads as query heads, a few heads at a time.
 * What must hold: each group of heads writes its own columns of `mixed`.
 *
 * Where the architecture has an index (DeepSeek-V3.2, GLM-5), a token sees the `top` earlier tokens
 * of highest index score alone; a block without an index of its own takes the choice of the block
 * before. */
#include "mixer-private.h"

#include "attention-private.h"
#include "gemm.h"
#include "index-private.h"
#include "kernels-private.h"
#include "norm-private.h"
#include "positions-private.h"

#include <math.h>
#include <string.h>

#define INDEX_EPSILON 1e-6f /* of the norm of index keys, as the models fix it */
#define HEADS         16    /* under way at once: memory of long waves goes with them */
#define TOKENS        1024  /* of a task that makes a head's keys from K turned */

typedef struct
{
  guint n_heads, key_width, value_width, rotated, latent;
  float scale; /* of the scores */
  float temperature,
      stretch; /* queries grow by temperature * log (1 + floor (position / stretch)) */
  const MsRotation *rotation;      /* NULL: none */
  MsMatrix q;                      /* (heads * key width, D), or q_a and q_b: */
  MsMatrix q_a, q_b;               /* (q latent, D), (heads * key width, q latent) */
  MsNorm q_norm, kv_norm;          /* (q latent), (latent) */
  MsMatrix kv_a;                   /* (latent + rotated, D) */
  MsMatrix kv_b;                   /* (heads * (key width - rotated + value width), latent), or: */
  MsMatrix k_b;                    /* (heads * latent, key width - rotated) */
  MsMatrix v_b;                    /* (heads * value width, latent) */
  MsMatrix out;                    /* (D, heads * value width) */
  MsMatrix gate;                   /* (heads, D): its sigmoid multiplies each head; or absent */
  guint n_index, index_width, top; /* index heads, their width, tokens that one sees; top 0: all */
  MsMatrix index_q;                /* (index heads * width, q latent); tensor NULL: as before */
  MsMatrix index_k;                /* (index width, D) */
  MsMatrix index_proj;             /* (index heads, D) */
  float *index_norm, *index_norm_bias; /* (index width) */
} Part;

enum
{
  SIZE_MODEL = MS_SIZE_ONE + 1, /* D */
  SIZE_QUERIES,                 /* heads * key width */
  SIZE_QUERY_LATENT,            /* settled by attn_q_a */
  SIZE_LATENT,
  SIZE_LATENT_AND_ROTATED,
  SIZE_OWN, /* key width - rotated */
  SIZE_VALUE,
  SIZE_OWN_AND_VALUES, /* heads * (key width - rotated + value width) */
  SIZE_VALUES,         /* heads * value width */
  SIZE_HEADS,
  SIZE_INDEX_HEADS,
  SIZE_INDEX_WIDTH,
  SIZE_INDEX_QUERIES, /* index heads * width */
  N_SIZES,
};

#define RULE(file_name, kind, size, other, when, never, member)                                    \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_##kind, .shape = { size, other }, .required = when,         \
    .unless = never, .offset = G_STRUCT_OFFSET (Part, member)                                      \
  }
static const MsTensorRule rules[] = {
  RULE ("attn_q.weight", MATRIX, SIZE_MODEL, SIZE_QUERIES, MS_ALWAYS, MS_LATENT_QUERIES, q),
  RULE ("attn_q_a.weight", MATRIX, SIZE_MODEL, SIZE_QUERY_LATENT, MS_LATENT_QUERIES, 0, q_a),
  RULE ("attn_q_a_norm", NORM, SIZE_QUERY_LATENT, 0, MS_LATENT_QUERIES, 0, q_norm),
  RULE ("attn_q_b.weight", MATRIX, SIZE_QUERY_LATENT, SIZE_QUERIES, MS_LATENT_QUERIES, 0, q_b),
  RULE ("attn_kv_a_mqa.weight", MATRIX, SIZE_MODEL, SIZE_LATENT_AND_ROTATED, MS_ALWAYS, 0, kv_a),
  RULE ("attn_kv_a_norm", NORM, SIZE_LATENT, 0, MS_ALWAYS, 0, kv_norm),
  RULE ("attn_kv_b.weight", MATRIX, SIZE_LATENT, SIZE_OWN_AND_VALUES, MS_LATENT_WHOLE, 0, kv_b),
  RULE ("attn_output.weight", MATRIX, SIZE_VALUES, SIZE_MODEL, MS_ALWAYS, 0, out),
  RULE ("attn_gate.weight", MATRIX, SIZE_MODEL, SIZE_HEADS, MS_LATENT_GATED, 0, gate),
  RULE ("indexer.attn_q_b.weight", MATRIX, SIZE_QUERY_LATENT, SIZE_INDEX_QUERIES, MS_KEYS_CHOSEN, 0,
        index_q),
  RULE ("indexer.attn_k.weight", MATRIX, SIZE_MODEL, SIZE_INDEX_WIDTH, MS_KEYS_CHOSEN, 0, index_k),
  RULE ("indexer.proj.weight", MATRIX, SIZE_MODEL, SIZE_INDEX_HEADS, MS_KEYS_CHOSEN, 0, index_proj),
  RULE ("indexer.k_norm.weight", VECTOR, SIZE_INDEX_WIDTH, 0, MS_KEYS_CHOSEN, 0, index_norm),
  RULE ("indexer.k_norm.bias", VECTOR, SIZE_INDEX_WIDTH, 0, MS_KEYS_CHOSEN, 0, index_norm_bias),
  /* Loaded by load_split. */
  RULE ("attn_k_b.weight", MATRIX, SIZE_OWN, SIZE_LATENT, 0, 0, k_b),
  RULE ("attn_v_b.weight", MATRIX, SIZE_LATENT, SIZE_VALUE, 0, 0, v_b),
};

/* K and V of one head, where the file stacks them. */
typedef struct
{
  MsMatrix k, v;
} Head;

static const MsTensorRule head_rules[] = {
  { .name = "attn_k_b.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_OWN, SIZE_LATENT },
    .required = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Head, k) },
  { .name = "attn_v_b.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_LATENT, SIZE_VALUE },
    .required = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Head, v) },
};
static const MsTensorTable head_table = { head_rules, G_N_ELEMENTS (head_rules) };

static gsize
own_of (const Part *part)
{
  return part->key_width - part->rotated;
}

/* Values that make_keys wants: K of a head as the file has it, and turned, and keys of some
 * tokens. */
static gsize
scratch_values (const Part *part)
{
  return own_of (part) * (2 * (gsize) part->latent + TOKENS);
}

/* --- Loading --------------------------------------------------------------------------------- */

static gboolean
load_geometry (MsLoader *loader, guint block, Part *part, GError **error)
{
  gint32 heads = 0;
  float stretched = 1;

  if (!ms_loader_of_block (loader, "attention.head_count", MS_KEY_REQUIRED, block, &heads, error)
      || !ms_loader_u32 (loader, "attention.kv_lora_rank", MS_KEY_REQUIRED, &part->latent, error)
      || !ms_loader_u32 (loader, "rope.dimension_count", MS_KEY_REQUIRED, &part->rotated, error)
      || !ms_loader_u32 (loader, "attention.key_length", MS_KEY_OPTIONAL, &part->key_width, error)
      || !ms_loader_u32 (loader, "attention.key_length_mla", MS_KEY_OPTIONAL, &part->key_width,
                         error)
      || !ms_loader_u32 (loader, "attention.value_length", MS_KEY_OPTIONAL, &part->value_width,
                         error)
      || !ms_loader_u32 (loader, "attention.value_length_mla", MS_KEY_OPTIONAL, &part->value_width,
                         error))
    return FALSE;
  if (heads <= 0 || heads > 65536 || part->latent == 0 || part->latent > 65536
      || part->key_width > 65536 || part->value_width == 0 || part->value_width > 65536
      || part->rotated >= part->key_width)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "block %u: latent attention of %d heads of %u keys, %u of them "
                             "rotated, and %u values from %u cannot be",
                             block, heads, part->key_width, part->rotated, part->value_width,
                             part->latent);
  part->n_heads = (guint) heads;
  if (!ms_rotation_load (loader, part->rotated, FALSE, &part->rotation, error)
      || !ms_rotation_score_scale (loader, part->rotated, &stretched, error))
    return FALSE;
  part->scale = stretched / sqrtf ((float) part->key_width);
  return TRUE;
}

static gboolean
load_temperature (MsLoader *loader, Part *part, GError **error)
{
  guint32 stretch = 0;

  if ((loader->plan->architecture->switches & MS_LATENT_TEMPERATURE) == 0)
    return TRUE;
  if (!ms_loader_float (loader, "attention.temperature_scale", MS_KEY_OPTIONAL, &part->temperature,
                        error)
      || !ms_loader_u32 (loader, "attention.temperature_length", MS_KEY_OPTIONAL, &stretch, error))
    return FALSE;
  if (part->temperature != 0 && (stretch == 0 || !isfinite (part->temperature)))
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s: attention.temperature_scale %g with a temperature_length of %u; "
                             "tokens are expected",
                             loader->plan->architecture->name, (double) part->temperature, stretch);
  part->stretch = (float) stretch;
  return TRUE;
}

/* What the index says of the block: *own, whether it has one of its own. */
static gboolean
load_index (MsLoader *loader, guint block, Part *part, gboolean *own, GError **error)
{
  const MsLightning *lightning = loader->plan->architecture->lightning;
  /* Files of GLM-5.2, which are known by their context, need not say which blocks have one. */
  gint32 full = lightning != NULL && lightning->shared && loader->plan->context >= 1u << 20
                    ? block < 2 || block % 4 == 2
                    : 1;

  *own = FALSE;
  if (lightning == NULL)
    return TRUE;
  if (!ms_loader_u32 (loader, "attention.indexer.head_count", MS_KEY_REQUIRED, &part->n_index,
                      error)
      || !ms_loader_u32 (loader, "attention.indexer.key_length", MS_KEY_REQUIRED,
                         &part->index_width, error)
      || !ms_loader_u32 (loader, "attention.indexer.top_k", MS_KEY_REQUIRED, &part->top, error)
      || (lightning->shared
          && !ms_loader_of_block (loader, "attention.indexer.types", MS_KEY_OPTIONAL, block, &full,
                                  error)))
    return FALSE;
  if (part->n_index == 0 || part->n_index > 65536 || part->index_width < part->rotated
      || part->index_width > 65536 || part->top == 0 || part->top > 1u << 20)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "block %u: an index of %u heads of %u values, %u of them rotated, for "
                             "%u keys cannot be",
                             block, part->n_index, part->index_width, part->rotated, part->top);
  if (block == 0 && full == 0)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s.attention.indexer.types: block 0 takes the choice of a block "
                             "before it",
                             loader->plan->architecture->name);
  loader->plan->n_chosen = MAX (loader->plan->n_chosen, part->top);
  *own = full != 0;
  return TRUE;
}

/* K and V of all heads, which stand one after the other. */
static gboolean
load_split (MsLoader *loader, const MsTensorPlace *place, Part *part, GError **error)
{
  g_autofree Head *heads = g_new0 (Head, part->n_heads);
  MsTensorPlace stack = *place;

  stack.count = part->n_heads;
  stack.stride = sizeof (Head);
  if (!ms_tensors_load (loader, &head_table, &stack, heads, error))
    return FALSE;
  part->k_b = heads[0].k;
  part->k_b.n_rows *= part->n_heads;
  part->v_b = heads[0].v;
  part->v_b.n_rows *= part->n_heads;
  return TRUE;
}

static gboolean
load (MsLoader *loader, guint block, gpointer data, GError **error)
{
  Part *part = data;
  gint64 sizes[N_SIZES] = { 1, loader->plan->width };
  gboolean whole = ms_loader_block_has (loader, block, "attn_kv_b.weight")
                   && !ms_loader_block_has (loader, block, "attn_k_b.weight");
  MsTensorPlace place = { .block = (gint) block, .sizes = sizes };
  gboolean index;

  if (!load_geometry (loader, block, part, error) || !load_temperature (loader, part, error)
      || !load_index (loader, block, part, &index, error))
    return FALSE;
  place.switches
      = (index || ms_loader_block_has (loader, block, "attn_q_a.weight") ? MS_LATENT_QUERIES : 0)
        | (whole ? MS_LATENT_WHOLE : 0) | (index ? MS_KEYS_CHOSEN : 0);
  sizes[SIZE_INDEX_HEADS] = part->n_index;
  sizes[SIZE_INDEX_WIDTH] = part->index_width;
  sizes[SIZE_INDEX_QUERIES] = (gint64) part->n_index * part->index_width;
  sizes[SIZE_QUERIES] = (gint64) part->n_heads * part->key_width;
  sizes[SIZE_LATENT] = part->latent;
  sizes[SIZE_LATENT_AND_ROTATED] = (gint64) part->latent + part->rotated;
  sizes[SIZE_OWN] = (gint64) own_of (part);
  sizes[SIZE_VALUE] = part->value_width;
  sizes[SIZE_OWN_AND_VALUES] = part->n_heads * (gint64) (own_of (part) + part->value_width);
  sizes[SIZE_VALUES] = (gint64) part->n_heads * part->value_width;
  sizes[SIZE_HEADS] = part->n_heads;
  return ms_tensors_load (loader, &ms_mixer_latent_attention.tensors, &place, part, error)
         && (whole || load_split (loader, &place, part, error));
}

static MsMixerBytes
bytes (gconstpointer data, gsize operand, gsize longest)
{
  const Part *part = data;
  gsize heads = MIN (HEADS, part->n_heads), q_latent = (gsize) part->q_a.n_rows;
  gsize copy = operand != sizeof (float) ? operand : 0;
  gboolean index = part->index_q.tensor != NULL;
  gsize floats = index ? part->n_index * ((gsize) part->index_width + 1) + part->index_width : 0;

  return (MsMixerBytes){
    .token = (heads * (2 * (gsize) part->key_width + part->value_width + 1) + q_latent
              + 2 * (gsize) part->latent + part->rotated + floats)
                 * sizeof (float)
             + (q_latent + part->latent) * copy
             + part->n_heads * (gsize) part->value_width * operand,
    .worker = ms_attention_worker_bytes (part->key_width, part->value_width, longest)
              + scratch_values (part) * sizeof (float)
              + (index ? ms_index_worker_bytes (part->n_index, longest, 1) : 0),
  };
}

static void
describe (gconstpointer data, JsonBuilder *details)
{
  const Part *part = data;

  ms_mixer_add_fact (details, "heads", part->n_heads);
  ms_mixer_add_fact (details, "kv_heads", part->n_heads);
  ms_mixer_add_fact (details, "head_width", part->key_width);
  ms_mixer_add_fact (details, "kv_latent", part->latent);
}

/* --- Running --------------------------------------------------------------------------------- */

typedef struct
{
  const Part *part;
  float *q_latent;      /* (n, q latent) or NULL */
  MsOperand q_operand;  /* its norm */
  float *kv;            /* (n, latent + rotated): kv_a x, the last values turned */
  float *latent;        /* (n, latent): the norm of the others */
  MsOperand kv_operand; /* the same */
  float *q, *k, *v;     /* (n, heads of the group * width) */
  float *gate;          /* (n, heads of the group), or NULL */
  guint first, n_heads; /* of the group */
  float **scratch;      /* (threads), see make_keys */
} Work;

/* Turns `rotated` values to the token's position. */
static void
turn (const MsEngine *engine, const Part *part, gsize token, float *values)
{
  if (part->rotation != NULL)
    ms_engine_turn (engine, part->rotation, token, values);
}

/* Norms what came of the first matrices, and turns the keys' shared part. */
static void
settle (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;
  const Part *part = work->part;
  gsize latent = part->latent, q_latent = (gsize) part->q_a.n_rows;

  for (gsize t = from; t < to; t++)
    {
      float *kv = work->kv + t * (latent + part->rotated), *own = work->latent + t * latent;

      part->kv_norm.kind->apply (&part->kv_norm, kv, latent, own);
      turn (engine, part, t, kv + latent);
      if (work->kv_operand.f == NULL)
        ms_operand_put (&work->kv_operand, t, own);
      if (work->q_latent == NULL)
        continue;
      own = work->q_latent + t * q_latent;
      part->q_norm.kind->apply (&part->q_norm, own, q_latent, own);
      if (work->q_operand.f == NULL)
        ms_operand_put (&work->q_operand, t, own);
    }
}

/* Turns the group's queries, and puts the shared part of the keys to each head. */
static void
place_heads (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Work *work = data;
  const Part *part = work->part;
  gsize width = part->key_width, own = own_of (part), row = part->latent + part->rotated;

  for (gsize t = from; t < to; t++)
    {
      float *q = work->q + t * work->n_heads * width, *k = work->k + t * work->n_heads * width;
      const float *shared = work->kv + t * row + part->latent;

      for (guint h = 0; h < work->n_heads; h++)
        {
          turn (engine, part, t, q + h * width + own);
          memcpy (k + h * width + own, shared, part->rotated * sizeof (float));
        }
      if (part->temperature != 0)
        ms_scale (q,
                  1
                      + part->temperature
                            * logf (1 + floorf ((float) engine->positions[t] / part->stretch)),
                  work->n_heads * width, q);
    }
}

/* A head's keys, from K turned, for some tokens. */
static void
make_keys (guint index, guint worker, gpointer data)
{
  const MsEngine *engine = ((gpointer *) data)[0];
  Work *work = ((gpointer *) data)[1];
  const Part *part = work->part;
  gsize own = own_of (part), latent = part->latent, row = work->n_heads * (gsize) part->key_width;
  gsize head = index % work->n_heads, from = index / work->n_heads * (gsize) TOKENS;
  gsize n = MIN (TOKENS, engine->n - from);
  float scale = part->k_b.scale != 0 ? part->k_b.scale : 1;
  float *stored, *turned, *keys;

  if (work->scratch[worker] == NULL)
    work->scratch[worker] = ms_aligned_alloc (scratch_values (part) * sizeof (float));
  stored = work->scratch[worker];
  turned = stored + latent * own;
  keys = turned + latent * own;
  ms_tensor_to_float (part->k_b.tensor,
                      part->k_b.first_row + (gint64) ((work->first + head) * latent),
                      (gint64) latent, stored);
  for (gsize c = 0; c < latent; c++)
    for (gsize j = 0; j < own; j++)
      turned[j * latent + c] = scale * stored[c * own + j];
  ms_gemm_dense (n, own, latent, work->latent + from * latent, turned, keys);
  for (gsize t = 0; t < n; t++)
    memcpy (work->k + (from + t) * row + head * part->key_width, keys + t * own,
            own * sizeof (float));
}

/* The rows of a matrix that belong to the group's heads, each having `rows` of them. */
static MsMatrix
rows_of (const MsMatrix *matrix, gsize first, gsize rows)
{
  MsMatrix part = *matrix;

  part.first_row += (gint64) first;
  part.n_rows = (gint64) rows;
  return part;
}

/* Queries, keys and values of the group. */
static void
project (const MsEngine *engine, Work *work, const MsOperand *in)
{
  const Part *part = work->part;
  gsize n = engine->n, dk = part->key_width, dv = part->value_width, own = own_of (part);
  gsize g = work->n_heads, first = work->first;
  MsMatrix rows[2 + 2 * HEADS];
  MsProduct products[2 + 2 * HEADS];
  guint n_products = 0;

  rows[0] = rows_of (work->q_latent != NULL ? &part->q_b : &part->q, first * dk, g * dk);
  products[n_products++] = (MsProduct){ .x = work->q_latent != NULL ? work->q_operand : *in,
                                        .y = work->q,
                                        .y_width = g * dk };
  if (work->gate != NULL)
    {
      rows[n_products] = rows_of (&part->gate, first, g);
      products[n_products++] = (MsProduct){ .x = *in, .y = work->gate, .y_width = g };
    }
  if (part->kv_b.tensor == NULL)
    {
      gpointer data[] = { (gpointer) engine, work };

      rows[n_products] = rows_of (&part->v_b, first * dv, g * dv);
      products[n_products++]
          = (MsProduct){ .x = work->kv_operand, .y = work->v, .y_width = g * dv };
      ms_parallel (engine->options->threads, (guint) (g * ((n + TOKENS - 1) / TOKENS)), make_keys,
                   data);
    }
  for (gsize h = 0; h < g && part->kv_b.tensor != NULL; h++)
    {
      rows[n_products] = rows_of (&part->kv_b, (first + h) * (own + dv), own);
      products[n_products++]
          = (MsProduct){ .x = work->kv_operand, .y = work->k + h * dk, .y_width = g * dk };
      rows[n_products] = rows_of (&part->kv_b, (first + h) * (own + dv) + own, dv);
      products[n_products++]
          = (MsProduct){ .x = work->kv_operand, .y = work->v + h * dv, .y_width = g * dv };
    }
  for (guint i = 0; i < n_products; i++)
    {
      products[i].w = &rows[i];
      products[i].rows = n;
    }
  ms_products_run (engine->products, products, n_products);
  ms_engine_for_tokens (engine, n, place_heads, work);
}

/* --- The index ------------------------------------------------------------------------------- */

typedef struct
{
  const Part *part;
  float *q, *k, *weights; /* (n, index heads * width), (n, width), (n, index heads) */
} Index;

/* Norms the index keys, and turns the first values of keys and queries. */
static void
settle_index (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Index *index = data;
  const Part *part = index->part;
  const MsRotation *rotation = part->rotation;
  gboolean halves = engine->plan->architecture->lightning->halves;
  gsize width = part->index_width, heads = part->n_index;
  float scale = 1.0f / sqrtf ((float) (heads * width));

  for (gsize t = from; t < to; t++)
    {
      float *k = index->k + t * width, *weights = index->weights + t * heads;
      const MsAngles *angles = &engine->angles[rotation->index];
      const float *cosines = angles->cosines + engine->positions[t] * (gsize) rotation->n_pairs;
      const float *sines = angles->sines + engine->positions[t] * (gsize) rotation->n_pairs;

      ms_layer_norm (k, part->index_norm, width, INDEX_EPSILON, k);
      ms_add_scaled (k, part->index_norm_bias, 1, width);
      ms_rotate (k, cosines, sines, rotation->n_pairs, halves);
      for (gsize h = 0; h < heads; h++)
        ms_rotate (index->q + (t * heads + h) * width, cosines, sines, rotation->n_pairs, halves);
      ms_scale (weights, scale, heads, weights);
    }
}

/* Chooses which tokens each one sees, unless it sees all of them. */
static void
choose_tokens (const MsEngine *engine, const Work *work, const MsOperand *in)
{
  const Part *part = work->part;
  gsize n = engine->n, width = part->index_width, heads = part->n_index;
  Index index = { .part = part };
  MsProduct products[] = {
    { .w = &part->index_q, .x = work->q_operand, .rows = n, .y_width = heads * width },
    { .w = &part->index_k, .x = *in, .rows = n, .y_width = width },
    { .w = &part->index_proj, .x = *in, .rows = n, .y_width = heads },
  };

  if (part->index_q.tensor == NULL || engine->longest <= part->top)
    return;
  products[0].y = index.q = ms_arena_array (engine->arena, float, n *heads *width);
  products[1].y = index.k = ms_arena_array (engine->arena, float, n *width);
  products[2].y = index.weights = ms_arena_array (engine->arena, float, n *heads);
  ms_products_run (engine->products, products, G_N_ELEMENTS (products));
  ms_engine_for_tokens (engine, n, settle_index, &index);
  ms_index_run (&(const MsIndex){ .threads = engine->options->threads,
                                  .starts = engine->wave->starts,
                                  .n_documents = engine->wave->n_documents,
                                  .heads = heads,
                                  .width = width,
                                  .q = index.q,
                                  .weights = index.weights,
                                  .k = index.k,
                                  .key_starts = engine->wave->starts,
                                  .span = 1,
                                  .top = part->top,
                                  .chosen = engine->chosen });
}

/* The vectors that the heads share. */
static void
make_latent (const MsEngine *engine, Work *work, const MsOperand *in)
{
  const Part *part = work->part;
  gsize n = engine->n, latent = part->latent, q_latent = (gsize) part->q_a.n_rows;
  const MsProduct inward[] = {
    { .w = &part->kv_a, .x = *in, .rows = n, .y = work->kv, .y_width = latent + part->rotated },
    { .w = &part->q_a, .x = *in, .rows = n, .y = work->q_latent, .y_width = q_latent },
  };

  ms_products_run (engine->products, inward, work->q_latent != NULL ? 2 : 1);
  ms_engine_for_tokens (engine, n, settle, work);
}

static void
run (const MsEngine *engine, gconstpointer data, const MsOperand *in, MsProduct out)
{
  const Part *part = data;
  gsize n = engine->n, dk = part->key_width, dv = part->value_width;
  gsize latent = part->latent, q_latent = (gsize) part->q_a.n_rows;
  guint group = MIN (HEADS, part->n_heads), threads = ms_threads (engine->options->threads);
  gboolean sees_all = part->top == 0 || engine->longest <= part->top;
  g_autofree float **scratch = g_new0 (float *, threads);
  MsOperand mixed = ms_engine_operand (engine, n, part->n_heads * dv);
  Work work = { .part = part,
                .kv = ms_arena_array (engine->arena, float, n *(latent + part->rotated)),
                .latent = ms_arena_array (engine->arena, float, n *latent),
                .q = ms_arena_array (engine->arena, float, n *group *dk),
                .k = ms_arena_array (engine->arena, float, n *group *dk),
                .v = ms_arena_array (engine->arena, float, n *group *dv),
                .scratch = scratch };

  if (part->gate.tensor != NULL)
    work.gate = ms_arena_array (engine->arena, float, n *group);
  if (part->q_a.tensor != NULL)
    work.q_latent = ms_arena_array (engine->arena, float, n *q_latent);
  work.q_operand = engine->options->bf16 ? ms_engine_operand (engine, n, q_latent)
                                         : (MsOperand){ work.q_latent, NULL, q_latent };
  work.kv_operand = engine->options->bf16 ? ms_engine_operand (engine, n, latent)
                                          : (MsOperand){ work.latent, NULL, latent };
  make_latent (engine, &work, in);
  choose_tokens (engine, &work, in);
  for (work.first = 0; work.first < part->n_heads; work.first += group)
    {
      MsOperand to = mixed;

      work.n_heads = MIN (group, part->n_heads - work.first);
      project (engine, &work, in);
      if (to.f != NULL)
        to.f += work.first * dv;
      else
        to.h += work.first * dv;
      ms_attention_run (&(const MsAttention){ .threads = engine->options->threads,
                                              .n_heads = work.n_heads,
                                              .n_kv_heads = work.n_heads,
                                              .key_width = dk,
                                              .value_width = dv,
                                              .scale = part->scale,
                                              .starts = engine->wave->starts,
                                              .n_documents = engine->wave->n_documents,
                                              .q = work.q,
                                              .k = work.k,
                                              .v = work.v,
                                              .gate = work.gate,
                                              .gate_head = 1,
                                              .gate_width = 1,
                                              .gate_by = ms_times_sigmoid,
                                              .chosen = sees_all ? NULL : engine->chosen,
                                              .n_chosen = part->top,
                                              .out = to });
    }
  for (guint i = 0; i < threads; i++)
    ms_aligned_free (scratch[i]);
  out.w = &part->out;
  out.x = mixed;
  ms_products_run (engine->products, &out, 1);
}

const MsMixer ms_mixer_latent_attention = {
  .name = "multi-head latent attention",
  .mark = "attn_kv_a_mqa.weight",
  .part_size = sizeof (Part),
  .tensors = { rules, G_N_ELEMENTS (rules) },
  .load = load,
  .bytes = bytes,
  .run = run,
  .describe = describe,
};
