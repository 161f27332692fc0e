/* Grouped-query attention: queries, keys and values from the normed residual stream, norms over heads
 * where the architecture has them, rotary positions, causal softmax within the document, output matrix.
 *
 * What must hold: heads is a multiple of key-value heads; widths are those of the block, so that blocks
 * of one model may differ. */
#include "mixer-private.h"

#include "attention-private.h"
#include "block-index-private.h"
#include "kernels-private.h"
#include "norm-private.h"
#include "positions-private.h"

#include <math.h>

typedef struct
{
  guint n_heads, n_kv_heads, head_width, value_width;
  float scale;      /* of the scores */
  guint window;     /* tokens that one sees, or of a chunk; 0: all of its document before it */
  gboolean chunked; /* a token sees those of its chunk */
  const MsTemperature *temperature; /* of the queries, or NULL */
  float value_scale;                /* of what the block adds; 0: none */
  gboolean gated;                   /* a gate as wide stands behind each head's query */
  const MsRotation *rotation;
  MsMatrix q, k, v, out;
  MsMatrix gate; /* of heads' outputs: a row per head, or one per value; tensor NULL: none */
  float *q_bias, *k_bias, *v_bias, *out_bias; /* NULL: none */
  MsNorm q_norm, k_norm, v_norm;              /* the last without weights */
  float *sinks;                               /* (n_heads) or NULL */
  MsBlockIndex index;
} Part;

enum
{
  SIZE_MODEL = MS_SIZE_ONE + 1, /* D */
  SIZE_QUERIES,                 /* heads * head width, twice where they are gated */
  SIZE_KEYS,                    /* key-value heads * head width */
  SIZE_VALUES,                  /* key-value heads * value width */
  SIZE_MIXED,                   /* heads * value width */
  SIZE_QUERY_NORM,
  SIZE_KEY_NORM,
  SIZE_FUSED,         /* queries, keys and values */
  SIZE_INDEX_QUERIES, /* heads of the index * their width */
  SIZE_INDEX,         /* their width */
  SIZE_HEADS,
  SIZE_GATES, /* heads, or heads * value width: settled by the gate */
  N_SIZES,
};

#define MATRIX(file_name, columns, rows, parts, member)                                            \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_MATRIX, .shape = { columns, rows }, .required = MS_ALWAYS,  \
    .unless = parts, .offset = G_STRUCT_OFFSET (Part, member)                                      \
  }
#define BIAS(file_name, size, needed, parts, member)                                               \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_VECTOR, .shape = { size }, .required = needed,              \
    .taken = MS_ALWAYS, .unless = parts, .offset = G_STRUCT_OFFSET (Part, member)                  \
  }
#define NORM(file_name, size, member)                                                              \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_NORM, .shape = { size },                                    \
    .required = MS_QK_NORM_WHOLE | MS_QK_NORM_HEAD, .taken = MS_QK_NORM_MAY,                       \
    .offset = G_STRUCT_OFFSET (Part, member)                                                       \
  }
static const MsTensorRule rules[] = {
  MATRIX ("attn_q.weight", SIZE_MODEL, SIZE_QUERIES, MS_QKV_FUSED, q),
  MATRIX ("attn_k.weight", SIZE_MODEL, SIZE_KEYS, MS_QKV_FUSED, k),
  MATRIX ("attn_v.weight", SIZE_MODEL, SIZE_VALUES, MS_QKV_FUSED | MS_VALUES_ARE_KEYS, v),
  MATRIX ("attn_output.weight", SIZE_MIXED, SIZE_MODEL, 0, out),
  BIAS ("attn_q.bias", SIZE_QUERIES, MS_QKV_BIAS, MS_QKV_FUSED, q_bias),
  BIAS ("attn_k.bias", SIZE_KEYS, MS_QKV_BIAS, MS_QKV_FUSED, k_bias),
  BIAS ("attn_v.bias", SIZE_VALUES, MS_QKV_BIAS, MS_QKV_FUSED, v_bias),
  BIAS ("attn_output.bias", SIZE_MODEL, 0, 0, out_bias),
  NORM ("attn_q_norm", SIZE_QUERY_NORM, q_norm),
  NORM ("attn_k_norm", SIZE_KEY_NORM, k_norm),
  { .name = "attn_gate.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_GATES },
    .required = MS_GATED,
    .taken = MS_GATED_MAY,
    .offset = G_STRUCT_OFFSET (Part, gate) },
  { .name = "indexer.q_proj.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_INDEX_QUERIES },
    .taken = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Part, index.q) },
  { .name = "indexer.k_proj.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_INDEX },
    .taken = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Part, index.k) },
  { .name = "indexer.q_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_INDEX },
    .taken = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Part, index.q_norm) },
  { .name = "indexer.k_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_INDEX },
    .taken = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Part, index.k_norm) },
  { .name = "attn_sinks.weight",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_HEADS },
    .required = MS_SINKS,
    .taken = MS_SINKS_MAY,
    .offset = G_STRUCT_OFFSET (Part, sinks) },
};

/* Queries, keys and values one after the other in one matrix, whose rows the part's three borrow. */
typedef struct
{
  MsMatrix qkv;
  float *bias;
} Fused;

static const MsTensorRule fused_rules[] = {
  { .name = "attn_qkv.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_FUSED },
    .required = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Fused, qkv) },
  { .name = "attn_qkv.bias",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_FUSED },
    .required = MS_QKV_BIAS,
    .taken = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Fused, bias) },
};
static const MsTensorTable fused_table = { fused_rules, G_N_ELEMENTS (fused_rules) };

/* Values of a head in the queries' matrix. */
static guint
query_width (const Part *part)
{
  return part->gated ? 2 * part->head_width : part->head_width;
}

/* --- Loading --------------------------------------------------------------------------------- */

static gboolean
load_geometry (MsLoader *loader, guint block, Part *part, GError **error)
{
  gint32 heads = 0, kv_heads, first = 0;
  gboolean windowed = part->window > 0;
  guint32 head_width, value_width;

  if (!ms_loader_of_block (loader, "attention.head_count", MS_KEY_REQUIRED, block, &heads, error)
      || !ms_loader_of_block (loader, "attention.head_count", MS_KEY_REQUIRED, 0, &first, error))
    return FALSE;
  kv_heads = heads;
  if (!ms_loader_of_block (loader, "attention.head_count_kv", MS_KEY_OPTIONAL, block, &kv_heads,
                           error))
    return FALSE;
  if (heads <= 0 || kv_heads <= 0 || heads > 65536 || heads % kv_heads != 0)
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_CORRUPT, error,
        "block %u: %d attention heads over %d key-value heads; a multiple is expected", block,
        heads, kv_heads);
  /* Where the keys do not tell, the first block's heads share the width; a block without attention has
   * none. */
  head_width = value_width = loader->plan->width / (guint) (first > 0 ? first : heads);
  if (!ms_loader_u32 (loader, "attention.key_length", MS_KEY_OPTIONAL, &head_width, error)
      || !ms_loader_u32 (loader, "attention.value_length", MS_KEY_OPTIONAL, &value_width, error)
      || (windowed
          && (!ms_loader_u32 (loader, "attention.key_length_swa", MS_KEY_OPTIONAL, &head_width,
                              error)
              || !ms_loader_u32 (loader, "attention.value_length_swa", MS_KEY_OPTIONAL,
                                 &value_width, error))))
    return FALSE;
  if (head_width == 0 || value_width == 0 || head_width > 65536 || value_width > 65536)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s: attention heads of %u keys and %u values",
                             loader->plan->architecture->name, head_width, value_width);
  part->n_heads = (guint) heads;
  part->n_kv_heads = (guint) kv_heads;
  part->head_width = head_width;
  part->value_width = value_width;
  part->scale = loader->plan->scales.attention;
  if (part->scale == 0)
    part->scale = 1.0f / sqrtf ((float) head_width);
  return TRUE;
}

/* The model's window, 0 where it has none. */
static gboolean
load_width (MsLoader *loader, guint32 *window, GError **error)
{
  const MsWindows *windows = loader->plan->architecture->windows;

  *window = windows != NULL ? windows->chunk : 0;
  return windows == NULL
         || ms_loader_u32 (loader, "attention.sliding_window",
                           windows->needed ? MS_KEY_REQUIRED : MS_KEY_OPTIONAL, window, error);
}

static gboolean
load_window (MsLoader *loader, guint block, Part *part, GError **error)
{
  const MsWindows *windows = loader->plan->architecture->windows;
  g_autofree char *key = ms_loader_key (loader, "attention.sliding_window_pattern");
  guint32 window, period;
  gint32 windowed;

  if (windows == NULL)
    return TRUE;
  period = windows->period;
  if (!load_width (loader, &window, error))
    return FALSE;
  /* One number is a period, an array tells it block by block. */
  if ((!windows->by_block && !ms_gguf_has (loader->gguf, key))
      || ms_gguf_get_u32 (loader->gguf, key, MS_KEY_REQUIRED, &period, NULL))
    windowed = period == 0 || block % period != (windows->whole_first ? 0 : period - 1);
  else if (!ms_loader_of_block (loader, "attention.sliding_window_pattern", MS_KEY_REQUIRED, block,
                                &windowed, error))
    return FALSE;
  part->window = windowed ? window : 0;
  part->chunked = windows->chunk > 0;
  return TRUE;
}

/* The block's rotary positions, where it has any, or else the temperature of its queries. */
static gboolean
load_positions (MsLoader *loader, guint block, Part *part, GError **error)
{
  const MsArchitecture *architecture = loader->plan->architecture;
  MsPlaced placed = architecture->placed;
  guint32 window, dense = 0;
  gint32 has = TRUE;

  if (!load_width (loader, &window, error)
      || (placed == MS_PLACED_BY_KEY
          && !ms_loader_of_block (loader, "attention.rope_pattern", MS_KEY_OPTIONAL, block, &has,
                                  error)))
    return FALSE;
  if (window == 0 && (architecture->switches & MS_PLACED_UNLESS) != 0)
    placed = MS_PLACED_ALL;
  if (placed == MS_PLACED_OR_FOUR && loader->plan->n_blocks == 4)
    {
      placed = MS_PLACED_ALL;
      if (block == 0)
        ms_loader_warn (loader,
                        "a %s of four blocks has positions in all of them, as llama.cpp runs "
                        "it; larger ones have none in every fourth",
                        architecture->name);
    }
  if (placed == MS_PLACED_OR_DENSE
      && !ms_loader_u32 (loader, "leading_dense_block_count", MS_KEY_OPTIONAL, &dense, error))
    return FALSE;
  if (((placed == MS_PLACED_IN_WINDOWS || placed == MS_PLACED_OR_FOUR) && part->window == 0)
      || (placed == MS_PLACED_OR_DENSE && part->window == 0 && block >= dense)
      || (placed == MS_PLACED_NOT_IN_FOURTH && block % 4 == 3) || !has)
    {
      part->temperature = architecture->temperature;
      return TRUE;
    }
  return ms_rotation_load (loader, part->head_width, part->window > 0, &part->rotation, error);
}

/* Norms without weights behind the rotation, which the largest models of the architecture do without. */
static gboolean
load_plain_norms (MsLoader *loader, Part *part, GError **error)
{
  const MsArchitecture *architecture = loader->plan->architecture;
  guint32 n_experts = 0;

  if ((architecture->switches & MS_QK_NORM_PLAIN) == 0 || part->rotation == NULL)
    return TRUE;
  if (!ms_loader_u32 (loader, "expert_count", MS_KEY_OPTIONAL, &n_experts, error))
    return FALSE;
  if (n_experts != 128)
    part->q_norm = part->k_norm
        = (MsNorm){ .kind = loader->plan->norm, .epsilon = loader->plan->epsilon };
  return TRUE;
}

/* An index is whole, and its heads can turn as those of attention do. */
static gboolean
check_index (const MsLoader *loader, guint block, const Part *part, GError **error)
{
  const MsBlockIndex *index = &part->index;
  const char *missing = index->k.tensor == NULL      ? "k_proj"
                        : index->q_norm.kind == NULL ? "q_norm"
                        : index->k_norm.kind == NULL ? "k_norm"
                                                     : NULL;

  if (index->n_heads == 0)
    return TRUE;
  if (missing != NULL)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_MISSING, error,
                             "tensor blk.%u.indexer.%s.weight is missing; the model cannot be run "
                             "without it",
                             block, missing);
  if (part->rotation == NULL || 2 * part->rotation->n_pairs <= index->width)
    return TRUE;
  return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                           "%s.attention.indexer.key_length is %u, and %u values of a head turn",
                           loader->plan->architecture->name, index->width,
                           2 * part->rotation->n_pairs);
}

/* Finds out whether the block's values are its keys. */
static gboolean
check_values (const MsLoader *loader, MsTensorPlace *place, const Part *part, GError **error)
{
  g_autofree char *own = g_strdup_printf ("blk.%d.attn_v.weight", place->block);
  g_autofree char *fused = g_strdup_printf ("blk.%d.attn_qkv.weight", place->block);

  if ((loader->plan->architecture->switches & MS_VALUES_MAY_BE_KEYS) == 0
      || ms_gguf_find (loader->gguf, own) != NULL || ms_gguf_find (loader->gguf, fused) != NULL)
    return TRUE;
  place->switches |= MS_VALUES_ARE_KEYS;
  if (part->head_width == part->value_width)
    return TRUE;
  return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_MISSING, error,
                           "%s is missing, and heads of %u keys cannot stand for %u values", own,
                           part->head_width, part->value_width);
}

static gboolean
check_gate (const MsLoader *loader, guint block, const Part *part, GError **error)
{
  gint64 rows = part->gate.n_rows;

  if (part->gate.tensor == NULL || rows == part->n_heads
      || rows == (gint64) part->n_heads * part->value_width)
    return TRUE;
  return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                           "blk.%u.attn_gate.weight has %" G_GINT64_FORMAT
                           " rows; one for each of %u heads, or for each of their %u values, is "
                           "expected",
                           block, rows, part->n_heads, part->value_width);
}

/* Cuts attn_qkv into the part's three matrices and biases, where the block has it. */
static gboolean
load_fused (MsLoader *loader, MsTensorPlace *place, Part *part, GError **error)
{
  g_autofree char *name = g_strdup_printf ("blk.%d.attn_qkv.weight", place->block);
  gint64 *sizes = place->sizes, row = 0;
  Fused fused = { 0 };
  const struct
  {
    MsMatrix *matrix;
    float **bias;
    guint size;
  } parts[] = { { &part->q, &part->q_bias, SIZE_QUERIES },
                { &part->k, &part->k_bias, SIZE_KEYS },
                { &part->v, &part->v_bias, SIZE_VALUES } };

  if (ms_gguf_find (loader->gguf, name) == NULL)
    return TRUE;
  place->switches |= MS_QKV_FUSED;
  sizes[SIZE_FUSED] = sizes[SIZE_QUERIES] + sizes[SIZE_KEYS] + sizes[SIZE_VALUES];
  if (!ms_tensors_load (loader, &fused_table, place, &fused, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (parts); row += sizes[parts[i++].size])
    {
      gsize n = (gsize) sizes[parts[i].size];

      *parts[i].matrix = (MsMatrix){ fused.qkv.tensor, row, (gint64) n, fused.qkv.scale };
      if (fused.bias != NULL)
        *parts[i].bias = g_memdup2 (fused.bias + row, n * sizeof (float));
    }
  ms_tensors_clear (&fused_table, &fused);
  return TRUE;
}

static gboolean
load (MsLoader *loader, guint block, gpointer data, GError **error)
{
  Part *part = data;
  MsSwitches switches = loader->plan->architecture->switches;
  gboolean whole = (switches & MS_QK_NORM_WHOLE) != 0;
  gint64 sizes[N_SIZES] = { 1 };
  MsTensorPlace place = { .block = (gint) block, .sizes = sizes };

  if (!load_window (loader, block, part, error) || !load_geometry (loader, block, part, error)
      || !load_positions (loader, block, part, error) || !load_plain_norms (loader, part, error)
      || !ms_loader_float (loader, "attention.value_scale", MS_KEY_OPTIONAL, &part->value_scale,
                           error))
    return FALSE;
  sizes[SIZE_MODEL] = loader->plan->width;
  sizes[SIZE_HEADS] = part->n_heads;
  if (!ms_block_index_load (loader, block, part->n_kv_heads, &part->index, error))
    return FALSE;
  sizes[SIZE_INDEX] = part->index.width;
  sizes[SIZE_INDEX_QUERIES] = (gint64) part->index.n_heads * part->index.width;
  part->gated = (switches & MS_QUERY_GATED) != 0;
  if (part->gated && part->value_width != part->head_width)
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_CORRUPT, error,
        "block %u: gated attention heads of %u keys and %u values; as many are "
        "expected",
        block, part->head_width, part->value_width);
  if (!check_values (loader, &place, part, error))
    return FALSE;
  sizes[SIZE_QUERIES] = (gint64) part->n_heads * query_width (part);
  sizes[SIZE_KEYS] = (gint64) part->n_kv_heads * part->head_width;
  sizes[SIZE_VALUES] = (gint64) part->n_kv_heads * part->value_width;
  sizes[SIZE_MIXED] = (gint64) part->n_heads * part->value_width;
  sizes[SIZE_QUERY_NORM] = whole ? (gint64) part->n_heads * part->head_width : part->head_width;
  sizes[SIZE_KEY_NORM] = whole ? sizes[SIZE_KEYS] : part->head_width;
  if (!load_fused (loader, &place, part, error)
      || !ms_tensors_load (loader, &ms_mixer_attention.tensors, &place, part, error)
      || !check_gate (loader, block, part, error) || !check_index (loader, block, part, error))
    return FALSE;
  if ((place.switches & MS_VALUES_ARE_KEYS) != 0)
    part->v = part->k;
  if ((switches & MS_VALUES_NORMED) != 0)
    part->v_norm = (MsNorm){ .kind = loader->plan->norm, .epsilon = loader->plan->epsilon };
  return TRUE;
}

static MsMixerBytes
bytes (gconstpointer data, gsize operand, gsize longest)
{
  const Part *part = data;
  const MsBlockIndex *index = &part->index;
  gsize indexed = (index->n_heads + 1) * (gsize) index->width * sizeof (float)
                  + index->n_heads * (gsize) index->top * sizeof (gint32);

  return (MsMixerBytes){
    .token
    = (part->n_heads * (gsize) query_width (part) + part->n_kv_heads * (gsize) part->head_width
       + part->n_kv_heads * (gsize) part->value_width + (gsize) part->gate.n_rows)
          * sizeof (float)
      + part->n_heads * (gsize) part->value_width * operand + indexed,
    .worker = ms_attention_worker_bytes (part->head_width, part->value_width, longest),
  };
}

static void
describe (gconstpointer data, JsonBuilder *details)
{
  const Part *part = data;

  ms_mixer_add_fact (details, "heads", part->n_heads);
  ms_mixer_add_fact (details, "kv_heads", part->n_kv_heads);
  ms_mixer_add_fact (details, "head_width", part->head_width);
}

/* --- Running --------------------------------------------------------------------------------- */

typedef struct
{
  float *values; /* (n, n_heads * stride), of which `width` count */
  guint n_heads, width, stride;
  const MsNorm *norm;
  const MsRotation *rotation;       /* or NULL */
  const MsTemperature *temperature; /* or NULL */
} Heads;

/* Norms queries or keys as the architecture wants, then turns them to their positions. */
static void
place_heads (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Heads *heads = data;
  const MsNorm *norm = heads->norm;
  const MsRotation *rotation = heads->rotation;
  MsSwitches switches = engine->plan->architecture->switches;
  gboolean per_head = norm->kind != NULL && (switches & MS_QK_NORM_WHOLE) == 0;
  gboolean turned = (switches & (MS_QK_NORM_TURNED | MS_QK_NORM_PLAIN)) != 0;
  gsize width = heads->width, stride = heads->stride, all = heads->n_heads * stride;

  for (gsize t = from; t < to; t++)
    {
      float *row = heads->values + t * all;

      if (switches & MS_QK_NORM_WHOLE)
        norm->kind->apply (norm, row, all, row);
      for (guint h = 0; h < heads->n_heads; h++)
        {
          if (per_head && !turned)
            norm->kind->apply (norm, row + h * stride, width, row + h * stride);
          if (heads->temperature != NULL)
            ms_scale (row + h * stride, ms_temperature (heads->temperature, engine->positions[t]),
                      width, row + h * stride);
          if (rotation != NULL)
            ms_engine_turn (engine, rotation, t, row + h * stride);
          if (per_head && turned)
            norm->kind->apply (norm, row + h * stride, width, row + h * stride);
        }
    }
}

typedef struct
{
  float *values; /* (n, width) */
  gsize width;
  float limit;
} Limited;

static void
limit (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Limited *limited = data;
  gsize width = limited->width;

  (void) engine;
  ms_clamp (limited->values + from * width, limited->limit, (to - from) * width);
}

/* Keeps queries, keys or values within the model's clamp, where it has one. */
static void
clamp (const MsEngine *engine, float *values, gsize width)
{
  Limited limited = { values, width, engine->plan->scales.clamp };

  if (limited.limit > 0)
    ms_engine_for_tokens (engine, engine->n, limit, &limited);
}

/* The blocks that each token's key-value heads see (n, n_kv_heads, top); NULL where there is no index. */
static const gint32 *
choose_blocks (const MsEngine *engine, const Part *part, const MsOperand *in)
{
  const MsBlockIndex *index = &part->index;
  gsize n = engine->n, width = index->width, all = index->n_heads * width;
  float *q = ms_arena_array (engine->arena, float, n *all);
  float *k = ms_arena_array (engine->arena, float, n *width);
  gint32 *blocks = ms_arena_array (engine->arena, gint32, n * index->n_heads * index->top);
  const MsProduct inward[] = {
    { .w = &index->q, .x = *in, .rows = n, .y = q, .y_width = all },
    { .w = &index->k, .x = *in, .rows = n, .y = k, .y_width = width },
  };
  Heads queries
      = { q, index->n_heads, index->width, index->width, &index->q_norm, part->rotation, NULL };
  Heads keys = { k, 1, index->width, index->width, &index->k_norm, part->rotation, NULL };

  if (index->n_heads == 0)
    return NULL;
  ms_products_run (engine->products, inward, G_N_ELEMENTS (inward));
  ms_engine_for_tokens (engine, n, place_heads, &queries);
  ms_engine_for_tokens (engine, n, place_heads, &keys);
  ms_block_index_choose (engine, index, q, k, blocks);
  return blocks;
}

static void
run (const MsEngine *engine, gconstpointer data, const MsOperand *in, MsProduct out)
{
  const Part *part = data;
  gsize n = engine->n, nq = (gsize) part->n_heads * query_width (part);
  gsize nk = (gsize) part->n_kv_heads * part->head_width;
  gsize nv = (gsize) part->n_kv_heads * part->value_width;
  float *q = ms_arena_array (engine->arena, float, n *nq);
  float *k = ms_arena_array (engine->arena, float, n *nk);
  float *v = ms_arena_array (engine->arena, float, n *nv);
  MsOperand mixed = ms_engine_operand (engine, n, (gsize) part->n_heads * part->value_width);
  gsize n_gates = (gsize) part->gate.n_rows;
  float *gates = ms_arena_array (engine->arena, float, n *n_gates);
  const MsProduct inward[] = {
    { .w = &part->q, .bias = part->q_bias, .x = *in, .rows = n, .y = q, .y_width = nq },
    { .w = &part->k, .bias = part->k_bias, .x = *in, .rows = n, .y = k, .y_width = nk },
    { .w = &part->v, .bias = part->v_bias, .x = *in, .rows = n, .y = v, .y_width = nv },
    { .w = &part->gate, .x = *in, .rows = n, .y = gates, .y_width = n_gates },
  };
  guint dk = part->head_width, dv = part->value_width;
  Heads queries = {
    q, part->n_heads, dk, query_width (part), &part->q_norm, part->rotation, part->temperature
  };
  Heads keys = { k, part->n_kv_heads, dk, dk, &part->k_norm, part->rotation, NULL };
  Heads values = { v, part->n_kv_heads, dv, dv, &part->v_norm, NULL, NULL };

  ms_products_run (engine->products, inward, G_N_ELEMENTS (inward) - (n_gates == 0));
  clamp (engine, q, nq);
  clamp (engine, k, nk);
  clamp (engine, v, nv);
  ms_engine_for_tokens (engine, n, place_heads, &queries);
  ms_engine_for_tokens (engine, n, place_heads, &keys);
  if (part->v_norm.kind != NULL)
    ms_engine_for_tokens (engine, n, place_heads, &values);
  ms_attention_run (&(const MsAttention){
      .threads = engine->options->threads,
      .n_heads = part->n_heads,
      .n_kv_heads = part->n_kv_heads,
      .key_width = part->head_width,
      .value_width = part->value_width,
      .scale = part->scale,
      .cap = engine->plan->scales.score_cap,
      .window = part->window,
      .chunked = part->chunked,
      .sinks = part->sinks,
      .blocks = choose_blocks (engine, part, in),
      .block = part->index.block,
      .n_blocks = part->index.top,
      .starts = engine->wave->starts,
      .n_documents = engine->wave->n_documents,
      .q = q,
      .q_head = query_width (part),
      .gate = part->gated   ? q + part->head_width
              : n_gates > 0 ? gates
                            : NULL,
      .gate_head = part->gated ? query_width (part) : n_gates / part->n_heads,
      .gate_width = part->gated ? part->value_width : n_gates / part->n_heads,
      .gate_by = (engine->plan->architecture->switches & MS_GATE_SOFTPLUS) != 0 ? ms_times_softplus
                                                                                : ms_times_sigmoid,
      .k = k,
      .v = v,
      .out = mixed,
  });
  out.w = &part->out;
  out.bias = part->out_bias;
  out.x = mixed;
  if (part->value_scale != 0)
    out.factor = part->value_scale * (out.factor != 0 ? out.factor : 1);
  ms_products_run (engine->products, &out, 1);
}

const MsMixer ms_mixer_attention = {
  .name = "attention",
  .mark = "attn_output.weight",
  .part_size = sizeof (Part),
  .tensors = { rules, G_N_ELEMENTS (rules) },
  .load = load,
  .bytes = bytes,
  .run = run,
  .describe = describe,
};
