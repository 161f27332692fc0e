/* Streams side by side (streams-private.h).
 *
 * What must hold: between read and write engine->mixes holds the mixes of the half under way; mixes
 * are float32 whatever the precision of other products. */
#include "streams-private.h"

#include "kernels-private.h"

#include <math.h>
#include <string.h>

#define MOST 16 /* streams */

enum
{
  SIZE_STREAMS = MS_SIZE_ONE + 1, /* streams * D */
  SIZE_MIXES,                     /* (2 + streams) * streams */
  SIZE_ONE_EACH,
  SIZE_SCALES, /* 3 */
  N_SIZES,
};

#define MIX(stem, struct, member, mixes, scales)                                                   \
  { .name = stem "_fn.weight",                                                                     \
    .form = MS_FORM_MATRIX,                                                                        \
    .shape = { SIZE_STREAMS, mixes },                                                              \
    .required = MS_STREAMS,                                                                        \
    .offset = G_STRUCT_OFFSET (struct, member.w) },                                                \
      { .name = stem "_base.weight",                                                               \
        .form = MS_FORM_VECTOR,                                                                    \
        .shape = { mixes },                                                                        \
        .required = MS_STREAMS,                                                                    \
        .offset = G_STRUCT_OFFSET (struct, member.base) },                                         \
  {                                                                                                \
    .name = stem "_scale.weight", .form = MS_FORM_VECTOR, .shape = { scales },                     \
    .required = MS_STREAMS, .offset = G_STRUCT_OFFSET (struct, member.scale)                       \
  }

static const MsTensorRule block_rules[]
    = { MIX ("hc_attn", MsPlanBlock, mixer_mix, SIZE_MIXES, SIZE_SCALES),
        MIX ("hc_ffn", MsPlanBlock, ffn_mix, SIZE_MIXES, SIZE_SCALES) };
const MsTensorTable ms_streams_block_table = { block_rules, G_N_ELEMENTS (block_rules) };

static const MsTensorRule model_rules[]
    = { MIX ("output_hc", MsPlan, head_mix, SIZE_ONE_EACH, MS_SIZE_ONE) };
const MsTensorTable ms_streams_model_table = { model_rules, G_N_ELEMENTS (model_rules) };

static guint
mixes_of (const MsPlan *plan)
{
  return (2 + plan->n_streams) * plan->n_streams;
}

/* --- Loading --------------------------------------------------------------------------------- */

static gboolean
load_keys (MsLoader *loader, GError **error)
{
  MsPlan *plan = loader->plan;

  if (!ms_loader_u32 (loader, "hyper_connection.count", MS_KEY_REQUIRED, &plan->n_streams, error)
      || !ms_loader_u32 (loader, "hyper_connection.sinkhorn_iterations", MS_KEY_REQUIRED,
                         &plan->stream_rounds, error)
      || !ms_loader_float (loader, "hyper_connection.epsilon", MS_KEY_REQUIRED,
                           &plan->stream_epsilon, error))
    return FALSE;
  if (plan->n_streams == 0 || plan->n_streams > MOST || plan->stream_rounds == 0
      || plan->stream_rounds > 10000 || !(plan->stream_epsilon >= 0)
      || !isfinite (plan->stream_epsilon))
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_CORRUPT, error,
        "%s.hyper_connection.*: %u streams, %u iterations, epsilon %g; 1 to %u "
        "streams are expected",
        plan->architecture->name, plan->n_streams, plan->stream_rounds,
        (double) plan->stream_epsilon, MOST);
  return TRUE;
}

gboolean
ms_streams_load (MsLoader *loader, MsPlanBlock *block, guint number, GError **error)
{
  MsPlan *plan = loader->plan;
  gint64 sizes[N_SIZES] = { 1 };

  if ((plan->architecture->switches & MS_STREAMS) == 0)
    return TRUE;
  if (block == NULL && !load_keys (loader, error))
    return FALSE;
  sizes[SIZE_STREAMS] = (gint64) plan->n_streams * plan->width;
  sizes[SIZE_MIXES] = mixes_of (plan);
  sizes[SIZE_ONE_EACH] = plan->n_streams;
  sizes[SIZE_SCALES] = 3;
  if (block == NULL)
    return ms_tensors_load (loader, &ms_streams_model_table,
                            &(const MsTensorPlace){ .block = -1, .sizes = sizes }, plan, error);
  return ms_tensors_load (loader, &ms_streams_block_table,
                          &(const MsTensorPlace){ .block = (gint) number, .sizes = sizes }, block,
                          error);
}

gsize
ms_streams_token_bytes (const MsPlan *plan)
{
  return (plan->n_streams * (gsize) plan->width + mixes_of (plan)) * sizeof (float);
}

/* --- Running --------------------------------------------------------------------------------- */

static void
copy (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  gsize d = engine->plan->width, n = engine->plan->n_streams;

  (void) data;
  for (gsize i = from * n; i < to * n; i++)
    memcpy (engine->streams + i * d, engine->x + i / n * d, d * sizeof (float));
}

void
ms_streams_start (MsEngine *engine, MsArena *arena)
{
  const MsPlan *plan = engine->plan;

  if (plan->n_streams == 0)
    return;
  engine->streams
      = ms_arena_array (arena, float, engine->n * plan->n_streams * (gsize) plan->width);
  engine->mixes = ms_arena_array (arena, float, engine->n *mixes_of (plan));
  ms_engine_for_tokens (engine, engine->n, copy, NULL);
}

static float
sigmoid (float x)
{
  return 1.0f / (1.0f + expf (-x));
}

/* Makes C (n, n) of its mixes: each row a softmax, then columns and rows in turn brought to sum
 * 1. */
static void
make_doubly_stochastic (const MsPlan *plan, float *c)
{
  guint n = plan->n_streams;
  float epsilon = plan->stream_epsilon;

  for (guint s = 0; s < n; s++)
    {
      float sum = ms_exponentials (c + s * n, n);

      for (guint d = 0; d < n; d++)
        c[s * n + d] = c[s * n + d] / sum + epsilon;
    }
  for (guint round = 0; round < 2 * plan->stream_rounds - 1; round++)
    {
      /* Columns first, which are n apart. */
      guint line = round % 2 == 0 ? 1 : n, step = round % 2 == 0 ? n : 1;

      for (guint i = 0; i < n; i++)
        {
          float sum = epsilon;

          for (guint j = 0; j < n; j++)
            sum += c[i * line + j * step];
          for (guint j = 0; j < n; j++)
            c[i * line + j * step] /= sum;
        }
    }
}

/* Takes mixes to weights: n of reading, n of writing, C. */
static void
settle (const MsPlan *plan, const MsStreamMix *mix, float rms, float *mixes)
{
  guint n = plan->n_streams;

  for (gint64 i = 0; i < mix->w.n_rows; i++)
    mixes[i] = mix->scale[i < n ? 0 : i < 2 * n ? 1 : 2] * (mixes[i] / rms) + mix->base[i];
  for (guint i = 0; i < n; i++)
    mixes[i] = sigmoid (mixes[i]) + plan->stream_epsilon;
  if (mix->w.n_rows == n)
    return;
  for (guint i = n; i < 2 * n; i++)
    mixes[i] = 2 * sigmoid (mixes[i]);
  make_doubly_stochastic (plan, mixes + 2 * n);
}

static void
read_streams (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const MsPlan *plan = engine->plan;
  const MsStreamMix *mix = data;
  gsize d = plan->width, n = plan->n_streams;

  for (gsize t = from; t < to; t++)
    {
      const float *streams = engine->streams + t * n * d;
      float *mixes = engine->mixes + t * mixes_of (plan), *x = engine->x + t * d;
      float rms = sqrtf (ms_dot (streams, streams, n * d) / (float) (n * d) + plan->epsilon);

      settle (plan, mix, rms, mixes);
      ms_scale (streams, mixes[0], d, x);
      for (gsize i = 1; i < n; i++)
        ms_add_scaled (x, streams + i * d, mixes[i], d);
    }
}

void
ms_streams_read (const MsEngine *engine, const MsStreamMix *mix)
{
  const MsPlan *plan = engine->plan;
  gsize width = plan->n_streams * (gsize) plan->width;
  const MsProduct product = { .w = &mix->w,
                              .x = { engine->streams, NULL, width },
                              .rows = engine->n,
                              .y = engine->mixes,
                              .y_width = mixes_of (plan) };

  if (plan->n_streams == 0)
    return;
  ms_products_run (engine->products, &product, 1);
  ms_engine_for_tokens (engine, engine->n, read_streams, (gpointer) mix);
}

void
ms_streams_empty (const MsEngine *engine)
{
  if (engine->plan->n_streams > 0)
    memset (engine->x, 0, engine->n * engine->plan->width * sizeof (float));
}

static void
write_streams (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  gsize d = engine->plan->width, n = engine->plan->n_streams;
  g_autofree float *before = g_new (float, n *d);

  (void) data;
  for (gsize t = from; t < to; t++)
    {
      float *streams = engine->streams + t * n * d;
      const float *post = engine->mixes + t * mixes_of (engine->plan) + n, *c = post + n;

      memcpy (before, streams, n * d * sizeof *before);
      for (gsize to_stream = 0; to_stream < n; to_stream++)
        {
          float *stream = streams + to_stream * d;

          ms_scale (engine->x + t * d, post[to_stream], d, stream);
          for (gsize s = 0; s < n; s++)
            ms_add_scaled (stream, before + s * d, c[s * n + to_stream], d);
        }
    }
}

void
ms_streams_write (const MsEngine *engine)
{
  if (engine->plan->n_streams > 0)
    ms_engine_for_tokens (engine, engine->n, write_streams, NULL);
}
