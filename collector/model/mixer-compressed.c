/* Compressed attention (DeepSeek-V4, 2026): one key per token that all heads share and that is also
 * the value; a token sees the last few tokens as they are, and everything before it as one key per
 * `ratio` tokens.
 *
 *   kv = turned norm (C x);  q_h = turned norm (Q_h norm (A x));  the output is turned back
 *   compressed key of tokens b r .. b r + r - 1, turned to position b r:
 *     norm of the sum of their C' x, weighted channel by channel by the softmax of G x + place of
 *     the token in its span; with r = 4 the span before takes part too, with columns of its own
 *   with r = 4 a token sees the `top` compressed keys of highest index score alone:
 *     sum over index heads of w_h max (0, index q_h . index key)
 *
 * What must hold: a compressed key is seen from the last of its tokens on, and no document's
 * reaches into another.  Heads run in the groups of the output's first matrix. */
#include "mixer-private.h"

#include "attention-private.h"
#include "index-private.h"
#include "kernels-private.h"
#include "norm-private.h"
#include "positions-private.h"

#include <math.h>
#include <string.h>

#define OVERLAP 4 /* the ratio whose spans overlap and are chosen among */

/* Makes compressed keys of `width`: rows of kv and gate are the span before's, where there is one,
 * then the span's. */
typedef struct
{
  MsMatrix kv, gate; /* (columns, D) */
  float *place;      /* (ratio, columns) */
  MsNorm norm;       /* (width) */
} Compressor;

typedef struct
{
  guint n_heads, width, rotated, window, ratio; /* ratio 0: no compressed keys */
  guint n_groups, rank;
  guint n_index, index_width, top; /* heads, width and number of choices of the index */
  const MsRotation *rotation;
  MsMatrix q_a, q_b; /* (q latent, D), (heads * width, q latent) */
  MsMatrix kv;       /* (width, D) */
  MsNorm q_norm, kv_norm;
  float *sinks;   /* (heads) */
  MsMatrix out_a; /* (groups * rank, heads / groups * width) */
  MsMatrix out_b; /* (D, groups * rank) */
  Compressor keys, index;
  MsMatrix index_q;    /* (index heads * index width, q latent) */
  MsMatrix index_proj; /* (index heads, D) */
} Part;

enum
{
  SIZE_MODEL = MS_SIZE_ONE + 1, /* D */
  SIZE_HEADS,
  SIZE_WIDTH,
  SIZE_QUERIES, /* heads * width */
  SIZE_QUERY_LATENT,
  SIZE_OF_GROUP, /* heads / groups * width */
  SIZE_GROUPED,  /* groups * rank */
  SIZE_COLUMNS,  /* of the compressor */
  SIZE_RATIO,
  SIZE_INDEX_HEADS,
  SIZE_INDEX_WIDTH,
  SIZE_INDEX_QUERIES,
  SIZE_INDEX_COLUMNS,
  N_SIZES,
};

#define RULE(file_name, kind, size, other, when, member)                                           \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_##kind, .shape = { size, other }, .required = when,         \
    .offset = G_STRUCT_OFFSET (Part, member)                                                       \
  }
static const MsTensorRule rules[] = {
  RULE ("attn_q_a.weight", MATRIX, SIZE_MODEL, SIZE_QUERY_LATENT, MS_ALWAYS, q_a),
  RULE ("attn_q_a_norm", NORM, SIZE_QUERY_LATENT, 0, MS_ALWAYS, q_norm),
  RULE ("attn_q_b.weight", MATRIX, SIZE_QUERY_LATENT, SIZE_QUERIES, MS_ALWAYS, q_b),
  RULE ("attn_kv.weight", MATRIX, SIZE_MODEL, SIZE_WIDTH, MS_ALWAYS, kv),
  RULE ("attn_kv_a_norm", NORM, SIZE_WIDTH, 0, MS_ALWAYS, kv_norm),
  RULE ("attn_sinks.weight", VECTOR, SIZE_HEADS, 0, MS_ALWAYS, sinks),
  RULE ("attn_output_a.weight", MATRIX, SIZE_OF_GROUP, SIZE_GROUPED, MS_ALWAYS, out_a),
  RULE ("attn_output_b.weight", MATRIX, SIZE_GROUPED, SIZE_MODEL, MS_ALWAYS, out_b),
  RULE ("attn_compressor_kv.weight", MATRIX, SIZE_MODEL, SIZE_COLUMNS, MS_COMPRESSED, keys.kv),
  RULE ("attn_compressor_gate.weight", MATRIX, SIZE_MODEL, SIZE_COLUMNS, MS_COMPRESSED, keys.gate),
  RULE ("attn_compressor_ape.weight", VECTOR, SIZE_COLUMNS, SIZE_RATIO, MS_COMPRESSED, keys.place),
  RULE ("attn_compressor_norm", NORM, SIZE_WIDTH, 0, MS_COMPRESSED, keys.norm),
  RULE ("indexer.attn_q_b.weight", MATRIX, SIZE_QUERY_LATENT, SIZE_INDEX_QUERIES, MS_KEYS_CHOSEN,
        index_q),
  RULE ("indexer.proj.weight", MATRIX, SIZE_MODEL, SIZE_INDEX_HEADS, MS_KEYS_CHOSEN, index_proj),
  RULE ("indexer_compressor_kv.weight", MATRIX, SIZE_MODEL, SIZE_INDEX_COLUMNS, MS_KEYS_CHOSEN,
        index.kv),
  RULE ("indexer_compressor_gate.weight", MATRIX, SIZE_MODEL, SIZE_INDEX_COLUMNS, MS_KEYS_CHOSEN,
        index.gate),
  RULE ("indexer_compressor_ape.weight", VECTOR, SIZE_INDEX_COLUMNS, SIZE_RATIO, MS_KEYS_CHOSEN,
        index.place),
  RULE ("indexer_compressor_norm", NORM, SIZE_INDEX_WIDTH, 0, MS_KEYS_CHOSEN, index.norm),
};

/* How many spans a compressed key is made of. */
static guint
spans_of (const Part *part)
{
  return part->ratio == OVERLAP ? 2 : 1;
}

static gboolean
is_chosen (const Part *part)
{
  return part->ratio == OVERLAP;
}

/* --- Loading --------------------------------------------------------------------------------- */

static gboolean
load_geometry (MsLoader *loader, guint block, Part *part, GError **error)
{
  gint32 heads = 0, ratio = 0;
  const struct
  {
    const char *name;
    guint32 *value;
  } numbers[] = { { "attention.key_length", &part->width },
                  { "rope.dimension_count", &part->rotated },
                  { "attention.sliding_window", &part->window },
                  { "attention.output_group_count", &part->n_groups },
                  { "attention.output_lora_rank", &part->rank },
                  { "attention.indexer.head_count", &part->n_index },
                  { "attention.indexer.key_length", &part->index_width },
                  { "attention.indexer.top_k", &part->top } };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      if (!ms_loader_u32 (loader, numbers[i].name, MS_KEY_REQUIRED, numbers[i].value, error))
        return FALSE;
      if (*numbers[i].value == 0 || *numbers[i].value > 1u << 20)
        return ms_loader_refuse (
            loader, MS_COLLECTOR_ERROR_CORRUPT, error, "%s.%s is %u; 1 to %u are expected",
            loader->plan->architecture->name, numbers[i].name, *numbers[i].value, 1u << 20);
    }
  if (!ms_loader_of_block (loader, "attention.head_count", MS_KEY_REQUIRED, block, &heads, error)
      || !ms_loader_of_block (loader, "attention.compress_ratios", MS_KEY_REQUIRED, block, &ratio,
                              error))
    return FALSE;
  if (heads <= 0 || heads > 65536 || (guint) heads % part->n_groups != 0
      || part->rotated > part->width || part->rotated > part->index_width || part->width > 65536
      || part->index_width > 65536 || part->n_index > 65536)
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_CORRUPT, error,
        "block %u: compressed attention of %d heads of %u values in %u groups, "
        "%u values rotated, with %u index heads of %u, cannot be",
        block, heads, part->width, part->n_groups, part->rotated, part->n_index, part->index_width);
  if (ratio < 0 || ratio > 65536)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "block %u: attention.compress_ratios is %d tokens", block, ratio);
  part->n_heads = (guint) heads;
  part->ratio = (guint) ratio;
  return ms_rotation_load (loader, part->rotated, ratio == 0, &part->rotation, error);
}

static gboolean
load (MsLoader *loader, guint block, gpointer data, GError **error)
{
  Part *part = data;
  gint64 sizes[N_SIZES] = { 1, loader->plan->width };
  MsTensorPlace place = { .block = (gint) block, .sizes = sizes };

  if (!load_geometry (loader, block, part, error))
    return FALSE;
  place.switches = (part->ratio > 0 ? MS_COMPRESSED : 0) | (is_chosen (part) ? MS_KEYS_CHOSEN : 0);
  sizes[SIZE_HEADS] = part->n_heads;
  sizes[SIZE_WIDTH] = part->width;
  sizes[SIZE_QUERIES] = (gint64) part->n_heads * part->width;
  sizes[SIZE_OF_GROUP] = sizes[SIZE_QUERIES] / part->n_groups;
  sizes[SIZE_GROUPED] = (gint64) part->n_groups * part->rank;
  sizes[SIZE_COLUMNS] = (gint64) spans_of (part) * part->width;
  sizes[SIZE_RATIO] = part->ratio;
  sizes[SIZE_INDEX_HEADS] = part->n_index;
  sizes[SIZE_INDEX_WIDTH] = part->index_width;
  sizes[SIZE_INDEX_QUERIES] = (gint64) part->n_index * part->index_width;
  sizes[SIZE_INDEX_COLUMNS] = (gint64) spans_of (part) * part->index_width;
  return ms_tensors_load (loader, &ms_mixer_compressed_attention.tensors, &place, part, error);
}

static MsMixerBytes
bytes (gconstpointer data, gsize operand, gsize longest)
{
  const Part *part = data;
  gsize copy = operand != sizeof (float) ? operand : 0, q_latent = (gsize) part->q_a.n_rows;
  gsize of_group = (gsize) part->n_heads / part->n_groups * part->width;
  gsize floats = q_latent + part->width + 2 * of_group, spans = spans_of (part);

  if (part->ratio > 0)
    floats += 2 * spans * part->width + part->width / part->ratio + 2;
  if (is_chosen (part))
    floats += 2 * spans * part->index_width + part->index_width / part->ratio + 1
              + part->n_index * ((gsize) part->index_width + 1) + part->top;
  return (MsMixerBytes){
    .token = floats * sizeof (float) + (q_latent + of_group) * copy
             + (gsize) part->n_groups * part->rank * operand,
    .worker
    = ms_attention_worker_bytes (part->width, part->width,
                                 longest + (part->ratio > 0 ? longest / part->ratio : 0))
      + (is_chosen (part) ? ms_index_worker_bytes (part->n_index, longest, part->ratio) : 0),
  };
}

static void
describe (gconstpointer data, JsonBuilder *details)
{
  const Part *part = data;

  ms_mixer_add_fact (details, "heads", part->n_heads);
  ms_mixer_add_fact (details, "kv_heads", 1);
  ms_mixer_add_fact (details, "head_width", part->width);
  ms_mixer_add_fact (details, "window", part->window);
  ms_mixer_add_fact (details, "compress_ratio", part->ratio);
}

/* --- Compressed keys -------------------------------------------------------------------------- */

typedef struct
{
  const MsEngine *engine;
  const Part *part;
  float *q_latent;     /* (n, q latent) */
  MsOperand q_operand; /* its norm */
  float *kv;           /* (n, width) */
  gsize n_spans;       /* of all documents */
  gsize *span_starts;  /* (documents + 1) */
  guint32 *firsts;     /* (spans): their first tokens */
  float *keys;         /* (spans, width) */
  float *index_keys;   /* (spans, index width) */
  float *index_q;      /* (n, index heads * index width) */
  float *index_weight; /* (n, index heads) */
  gint32 *chosen;      /* (n, top) */
  float *q, *out;      /* (n, heads of the group * width) */
  guint n_heads;       /* of the group */
  MsOperand out_operand;
} Work;

/* Turns the last values of `width` to position p, or back. */
static void
turn (const Work *work, float *values, gsize width, gsize p, gboolean back)
{
  const MsRotation *rotation = work->part->rotation;
  const MsAngles *angles = &work->engine->angles[rotation->index];
  const float *cosines = angles->cosines + p * rotation->n_pairs;
  const float *sines = angles->sines + p * rotation->n_pairs;
  float *last = values + width - work->part->rotated;

  if (!back)
    ms_rotate (last, cosines, sines, rotation->n_pairs, rotation->halves);
  else
    for (guint i = 0; i < rotation->n_pairs; i++)
      {
        guint other = rotation->halves ? i + rotation->n_pairs : 2 * i + 1;
        guint one = rotation->halves ? i : 2 * i;
        float a = last[one], b = last[other];

        last[one] = a * cosines[i] + b * sines[i];
        last[other] = b * cosines[i] - a * sines[i];
      }
}

/* The spans of all documents. */
static void
find_spans (const MsEngine *engine, Work *work)
{
  const MsWave *wave = engine->wave;
  gsize ratio = work->part->ratio, span = 0;

  work->span_starts[0] = 0;
  for (guint d = 0; d < wave->n_documents; d++)
    {
      gsize n = (wave->starts[d + 1] - wave->starts[d]) / ratio;

      for (gsize i = 0; i < n; i++)
        work->firsts[span++] = (guint32) (wave->starts[d] + i * ratio);
      work->span_starts[d + 1] = span;
    }
  work->n_spans = span;
}

typedef struct
{
  const Work *work;
  const Compressor *compressor;
  gsize width;
  const float *kv, *gate; /* (n, columns) */
  float *keys;            /* (spans, width) */
} Compression;

/* Adds one channel of a span's tokens to the weighted sum, the largest score being known. */
static void
add_channel (const Compression *c, gsize first, gsize column, float largest, float *sum,
             float *total)
{
  gsize ratio = c->work->part->ratio, columns = spans_of (c->work->part) * c->width;

  for (gsize i = 0; i < ratio; i++)
    {
      gsize at = (first + i) * columns + column;
      float weight = expf (c->gate[at] + c->compressor->place[i * columns + column] - largest);

      *total += weight;
      *sum += weight * c->kv[at];
    }
}

static float
largest_of_channel (const Compression *c, gsize first, gsize column, float largest)
{
  gsize ratio = c->work->part->ratio, columns = spans_of (c->work->part) * c->width;

  for (gsize i = 0; i < ratio; i++)
    largest = MAX (largest, c->gate[(first + i) * columns + column]
                                + c->compressor->place[i * columns + column]);
  return largest;
}

static void
compress_span (guint index, guint worker, gpointer data)
{
  const Compression *c = data;
  const Work *work = c->work;
  gsize first = work->firsts[index], ratio = work->part->ratio;
  guint p = work->engine->positions[first];
  gboolean overlaps = spans_of (work->part) == 2;
  float *key = c->keys + index * c->width;

  (void) worker;
  for (gsize j = 0; j < c->width; j++)
    {
      gsize own = overlaps ? c->width + j : j;
      gboolean before = overlaps && p >= ratio;
      float largest = largest_of_channel (c, first, own, -INFINITY), sum = 0, total = 0;

      if (before)
        {
          largest = largest_of_channel (c, first - ratio, j, largest);
          add_channel (c, first - ratio, j, largest, &sum, &total);
        }
      add_channel (c, first, own, largest, &sum, &total);
      key[j] = sum / total;
    }
  c->compressor->norm.kind->apply (&c->compressor->norm, key, c->width, key);
  turn (work, key, c->width, p, FALSE);
}

static void
compress (const MsEngine *engine, const Work *work, const Compressor *compressor, gsize width,
          const MsOperand *in, float *keys)
{
  gsize columns = spans_of (work->part) * width;
  float *kv = ms_arena_array (engine->arena, float, engine->n *columns);
  float *gate = ms_arena_array (engine->arena, float, engine->n *columns);
  const MsProduct products[] = {
    { .w = &compressor->kv, .x = *in, .rows = engine->n, .y = kv, .y_width = columns },
    { .w = &compressor->gate, .x = *in, .rows = engine->n, .y = gate, .y_width = columns },
  };
  Compression c = { work, compressor, width, kv, gate, keys };

  ms_products_run (engine->products, products, G_N_ELEMENTS (products));
  ms_parallel (engine->options->threads, (guint) work->n_spans, compress_span, &c);
}

/* --- The index ------------------------------------------------------------------------------- */

static void
turn_index (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Work *work = data;
  gsize heads = work->part->n_index, width = work->part->index_width;
  float scale = 1.0f / sqrtf ((float) (heads * width));

  for (gsize t = from; t < to; t++)
    {
      for (gsize h = 0; h < heads; h++)
        turn (work, work->index_q + (t * heads + h) * width, width, engine->positions[t], FALSE);
      ms_scale (work->index_weight + t * heads, scale, heads, work->index_weight + t * heads);
    }
}

static void
choose_keys (const MsEngine *engine, Work *work, const MsOperand *in)
{
  const Part *part = work->part;
  gsize n = engine->n, heads = part->n_index, width = part->index_width;
  const MsProduct products[] = {
    { .w = &part->index_q,
      .x = work->q_operand,
      .rows = n,
      .y = work->index_q,
      .y_width = heads * width },
    { .w = &part->index_proj, .x = *in, .rows = n, .y = work->index_weight, .y_width = heads },
  };

  ms_products_run (engine->products, products, G_N_ELEMENTS (products));
  ms_engine_for_tokens (engine, n, turn_index, work);
  compress (engine, work, &part->index, width, in, work->index_keys);
  ms_index_run (&(const MsIndex){ .threads = engine->options->threads,
                                  .starts = engine->wave->starts,
                                  .n_documents = engine->wave->n_documents,
                                  .heads = heads,
                                  .width = width,
                                  .q = work->index_q,
                                  .weights = work->index_weight,
                                  .k = work->index_keys,
                                  .key_starts = work->span_starts,
                                  .span = part->ratio,
                                  .top = part->top,
                                  .chosen = work->chosen });
}

/* --- Running --------------------------------------------------------------------------------- */

/* Norms the queries' short vector and the key of each token, and turns the key. */
static void
settle (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;
  const Part *part = work->part;
  gsize q_latent = (gsize) part->q_a.n_rows;

  for (gsize t = from; t < to; t++)
    {
      float *short_q = work->q_latent + t * q_latent, *kv = work->kv + t * part->width;

      part->q_norm.kind->apply (&part->q_norm, short_q, q_latent, short_q);
      if (work->q_operand.f == NULL)
        ms_operand_put (&work->q_operand, t, short_q);
      part->kv_norm.kind->apply (&part->kv_norm, kv, part->width, kv);
      turn (work, kv, part->width, engine->positions[t], FALSE);
    }
}

/* Norms and turns the group's queries. */
static void
place_heads (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Work *work = data;
  gsize width = work->part->width;

  for (gsize t = from; t < to; t++)
    for (guint h = 0; h < work->n_heads; h++)
      {
        float *head = work->q + (t * work->n_heads + h) * width;

        ms_scale (head,
                  1.0f / sqrtf (ms_dot (head, head, width) / (float) width + engine->plan->epsilon),
                  width, head);
        turn (work, head, width, engine->positions[t], FALSE);
      }
}

/* Turns the group's outputs back. */
static void
turn_back (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;
  gsize width = work->part->width, all = work->n_heads * width;

  for (gsize t = from; t < to; t++)
    {
      for (guint h = 0; h < work->n_heads; h++)
        turn (work, work->out + t * all + h * width, width, engine->positions[t], TRUE);
      if (work->out_operand.f == NULL)
        ms_operand_put (&work->out_operand, t, work->out + t * all);
    }
}

/* The activation of products whose results are only put into an operand. */
static void
keep (float *gate, const float *up, gsize n)
{
  (void) gate;
  (void) up;
  (void) n;
}

/* The heads of one group, and the group's rows of the output's first matrix. */
static void
run_group (const MsEngine *engine, Work *work, guint group, MsOperand mixed)
{
  const Part *part = work->part;
  gsize n = engine->n, width = part->width, all = work->n_heads * width;
  MsMatrix q = part->q_b, out = part->out_a;
  MsProduct product = { .w = &q, .x = work->q_operand, .rows = n, .y = work->q, .y_width = all };

  q.first_row += (gint64) (group * all);
  q.n_rows = (gint64) all;
  ms_products_run (engine->products, &product, 1);
  ms_engine_for_tokens (engine, n, place_heads, work);
  ms_attention_run (&(const MsAttention){ .threads = engine->options->threads,
                                          .n_heads = work->n_heads,
                                          .n_kv_heads = 1,
                                          .key_width = width,
                                          .value_width = width,
                                          .scale = 1.0f / sqrtf ((float) width),
                                          .window = part->window,
                                          .sinks = part->sinks + group * work->n_heads,
                                          .starts = engine->wave->starts,
                                          .n_documents = engine->wave->n_documents,
                                          .q = work->q,
                                          .k = work->kv,
                                          .v = work->kv,
                                          .span = part->ratio,
                                          .span_starts = work->span_starts,
                                          .span_k = work->keys,
                                          .span_v = work->keys,
                                          .chosen = work->chosen,
                                          .n_chosen = part->top,
                                          .out = { work->out, NULL, all } });
  ms_engine_for_tokens (engine, n, turn_back, work);
  out.first_row += (gint64) group * part->rank;
  out.n_rows = part->rank;
  if (mixed.f != NULL)
    mixed.f += (gsize) group * part->rank;
  else
    mixed.h += (gsize) group * part->rank;
  product = (MsProduct){ .kind = MS_PRODUCT_ACTIVATED,
                         .w = &out,
                         .activate = keep,
                         .x = work->out_operand,
                         .rows = n,
                         .h = mixed };
  ms_products_run (engine->products, &product, 1);
}

/* Room for what the heads share, and for one group of them. */
static void
make_room (const MsEngine *engine, Work *work)
{
  const Part *part = work->part;
  gsize n = engine->n, q_latent = (gsize) part->q_a.n_rows, width = part->width;
  gsize all = part->n_heads / part->n_groups * width;

  work->n_heads = part->n_heads / part->n_groups;
  work->q_latent = ms_arena_array (engine->arena, float, n *q_latent);
  work->kv = ms_arena_array (engine->arena, float, n *width);
  work->q = ms_arena_array (engine->arena, float, n *all);
  work->out = ms_arena_array (engine->arena, float, n *all);
  work->q_operand = (MsOperand){ work->q_latent, NULL, q_latent };
  work->out_operand = (MsOperand){ work->out, NULL, all };
  if (engine->options->bf16)
    {
      work->q_operand = ms_engine_operand (engine, n, q_latent);
      work->out_operand = ms_engine_operand (engine, n, all);
    }
  if (part->ratio == 0)
    return;
  work->firsts = ms_arena_array (engine->arena, guint32, n / part->ratio + 1);
  work->keys = ms_arena_array (engine->arena, float, n / part->ratio * width);
  if (!is_chosen (part))
    return;
  work->index_keys = ms_arena_array (engine->arena, float, n / part->ratio * part->index_width);
  work->index_q
      = ms_arena_array (engine->arena, float, n * part->n_index * (gsize) part->index_width);
  work->index_weight = ms_arena_array (engine->arena, float, n * part->n_index);
  work->chosen = ms_arena_array (engine->arena, gint32, n * part->top);
}

static void
run (const MsEngine *engine, gconstpointer data, const MsOperand *in, MsProduct out)
{
  const Part *part = data;
  gsize n = engine->n, q_latent = (gsize) part->q_a.n_rows;
  g_autofree gsize *span_starts = g_new (gsize, engine->wave->n_documents + 1);
  MsOperand mixed = ms_engine_operand (engine, n, (gsize) part->n_groups * part->rank);
  Work work = { .engine = engine, .part = part, .span_starts = span_starts };
  MsProduct inward[] = {
    { .w = &part->q_a, .x = *in, .rows = n, .y_width = q_latent },
    { .w = &part->kv, .x = *in, .rows = n, .y_width = part->width },
  };

  make_room (engine, &work);
  inward[0].y = work.q_latent;
  inward[1].y = work.kv;
  ms_products_run (engine->products, inward, G_N_ELEMENTS (inward));
  ms_engine_for_tokens (engine, n, settle, &work);
  if (part->ratio > 0)
    {
      find_spans (engine, &work);
      compress (engine, &work, &part->keys, part->width, in, work.keys);
    }
  if (is_chosen (part))
    choose_keys (engine, &work, in);
  for (guint group = 0; group < part->n_groups; group++)
    run_group (engine, &work, group, mixed);
  out.w = &part->out_b;
  out.x = mixed;
  ms_products_run (engine->products, &out, 1);
}

const MsMixer ms_mixer_compressed_attention = {
  .name = "compressed attention",
  .mark = "attn_kv.weight",
  .part_size = sizeof (Part),
  .tensors = { rules, G_N_ELEMENTS (rules) },
  .load = load,
  .bytes = bytes,
  .run = run,
  .describe = describe,
};
