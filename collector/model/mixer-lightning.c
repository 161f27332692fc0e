/* Lightning attention (MiniMax-01): linear attention whose state decays at a rate of the head and of the block
 * (recurrence-private.h).  Queries, keys and values are SiLU of one matrix, whose rows go head by head; the
 * output of all heads together is normed and gated.
 *
 *   S[t] = exp (-slope) S[t - 1] + k[t] v[t]^T;  out = W (norm (S[t]^T q[t]) * sigmoid (G x))
 *
 * with slope = 2^(-8 (head + 1) / heads) (1 - block / (blocks - 1) + 1e-5).  (Qin et al. 2024; the model's own
 * definition) */
#include "mixer-private.h"

#include "kernels-private.h"
#include "norm-private.h"
#include "recurrence-private.h"

#include <math.h>
#include <string.h>

typedef struct
{
  guint n_heads, width; /* of a head */
  float depth;          /* what the block's depth makes of the slopes */
  MsMatrix qkv;         /* (3 heads * width, D): of each head queries, keys, values */
  MsMatrix gate, out;   /* (heads * width, D), (D, heads * width) */
  MsNorm norm;          /* (heads * width) */
} Part;

enum
{
  SIZE_MODEL = MS_SIZE_ONE + 1, /* D */
  SIZE_HEADS,                   /* heads * width */
  SIZE_THREE,                   /* three times that */
  N_SIZES,
};

#define RULE(file_name, kind, size, other, member)                                                 \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_##kind, .shape = { size, other }, .required = MS_ALWAYS,    \
    .offset = G_STRUCT_OFFSET (Part, member)                                                       \
  }
static const MsTensorRule rules[] = {
  RULE ("attn_qkv.weight", MATRIX, SIZE_MODEL, SIZE_THREE, qkv),
  RULE ("attn_gate.weight", MATRIX, SIZE_MODEL, SIZE_HEADS, gate),
  RULE ("attn_output.weight", MATRIX, SIZE_HEADS, SIZE_MODEL, out),
  RULE ("attn_norm_2", NORM, SIZE_HEADS, 0, norm),
};

static gsize
values_of (const Part *part)
{
  return (gsize) part->n_heads * part->width;
}

static gboolean
load (MsLoader *loader, guint block, gpointer data, GError **error)
{
  Part *part = data;
  const MsPlan *plan = loader->plan;
  gint64 sizes[N_SIZES] = { 1, plan->width };
  gint32 heads = 0;

  if (!ms_loader_of_block (loader, "attention.head_count", MS_KEY_REQUIRED, block, &heads, error))
    return FALSE;
  if (heads <= 0 || heads > 65536)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "block %u: %d attention heads; 1 to 65536 are expected", block, heads);
  part->n_heads = (guint) heads;
  part->width = plan->width / part->n_heads;
  if (!ms_loader_u32 (loader, "attention.key_length", MS_KEY_OPTIONAL, &part->width, error))
    return FALSE;
  if (part->width == 0 || part->width > 65536)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s: attention heads of %u values", plan->architecture->name,
                             part->width);
  part->depth = (float) (1 - (double) block / MAX (plan->n_blocks - 1, 1) + 1e-5);
  sizes[SIZE_HEADS] = (gint64) values_of (part);
  sizes[SIZE_THREE] = 3 * sizes[SIZE_HEADS];
  return ms_tensors_load (loader, &ms_mixer_lightning.tensors,
                          &(const MsTensorPlace){ .block = (gint) block, .sizes = sizes }, part,
                          error);
}

static MsMixerBytes
bytes (gconstpointer data, gsize operand, gsize longest)
{
  const Part *part = data;

  (void) longest;
  return (MsMixerBytes){ .token = values_of (part) * (4 * sizeof (float) + operand),
                         .worker = ms_scan_worker_bytes (part->width) };
}

static void
describe (gconstpointer data, JsonBuilder *details)
{
  const Part *part = data;

  ms_mixer_add_fact (details, "linear_heads", part->n_heads);
  ms_mixer_add_fact (details, "linear_head_width", part->width);
}

/* --- Running --------------------------------------------------------------------------------- */

typedef struct
{
  const Part *part;
  float *qkv;  /* (n, 3 heads * width); values become the output */
  float *gate; /* (n, heads * width) */
  MsOperand mixed;
} Work;

static void
activate (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Work *work = data;
  gsize row = 3 * values_of (work->part);

  (void) engine;
  ms_silu (work->qkv + from * row, (to - from) * row);
}

static void
finish (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;
  const Part *part = work->part;
  gsize values = values_of (part), width = part->width;
  g_autofree float *out = g_new (float, values);

  (void) engine;
  for (gsize t = from; t < to; t++)
    {
      const float *row = work->qkv + t * 3 * values;

      for (guint h = 0; h < part->n_heads; h++)
        memcpy (out + h * width, row + (3 * h + 2) * width, width * sizeof (float));
      part->norm.kind->apply (&part->norm, out, values, out);
      ms_times_sigmoid (out, work->gate + t * values, values);
      ms_operand_put (&work->mixed, t, out);
    }
}

static void
run (const MsEngine *engine, gconstpointer data, const MsOperand *in, MsProduct out)
{
  const Part *part = data;
  gsize n = engine->n, values = values_of (part), width = part->width;
  Work work
      = { part, ms_arena_array (engine->arena, float, n * 3 * values),
          ms_arena_array (engine->arena, float, n *values), ms_engine_operand (engine, n, values) };
  g_autofree float *rates = g_new (float, part->n_heads);
  const MsProduct inward[] = {
    { .w = &part->qkv, .x = *in, .rows = n, .y = work.qkv, .y_width = 3 * values },
    { .w = &part->gate, .x = *in, .rows = n, .y = work.gate, .y_width = values },
  };

  for (guint h = 0; h < part->n_heads; h++)
    rates[h] = -(float) pow (2, -8.0 * (h + 1) / part->n_heads) * part->depth;
  ms_products_run (engine->products, inward, G_N_ELEMENTS (inward));
  ms_engine_for_tokens (engine, n, activate, &work);
  ms_scan_run (&(const MsScan){ .threads = engine->options->threads,
                                .starts = engine->wave->starts,
                                .n_documents = engine->wave->n_documents,
                                .n_heads = part->n_heads,
                                .width = width,
                                .n_states = width,
                                .x = work.qkv + 2 * width,
                                .x_row = 3 * values,
                                .x_head = 3 * width,
                                .b = work.qkv + width,
                                .c = work.qkv,
                                .group_row = 3 * values,
                                .group_head = 3 * width,
                                .n_groups = part->n_heads,
                                .rate = rates });
  ms_engine_for_tokens (engine, n, finish, &work);
  out.w = &part->out;
  out.x = work.mixed;
  ms_products_run (engine->products, &out, 1);
}

const MsMixer ms_mixer_lightning = {
  .name = "lightning attention",
  .mark = "attn_norm_2.weight",
  .part_size = sizeof (Part),
  .tensors = { rules, G_N_ELEMENTS (rules) },
  .load = load,
  .bytes = bytes,
  .run = run,
  .describe = describe,
};
