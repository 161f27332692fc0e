/* Short convolution (LFM2): one matrix makes b, c and x of each token; b * x is convolved channel by
 * channel over the last L tokens of the document, multiplied by c and put through the output matrix.
 *
 *   y[t] = W_out (c[t] * sum over j < L of kernel[.][j] * (b * x)[t - L + 1 + j])
 *
 * What must hold: tokens before the document's first count as 0; sums run over j in order. */
#include "mixer-private.h"

#include "kernels-private.h"

typedef struct
{
  guint length;    /* L */
  MsMatrix in_bcx; /* (3 D, D): rows of b, then of c, then of x */
  float *kernel;   /* (D, L) */
  MsMatrix out;    /* (D, D) */
} Part;

enum
{
  SIZE_MODEL = MS_SIZE_ONE + 1, /* D */
  SIZE_THREE,                   /* 3 D */
  SIZE_LENGTH,                  /* L */
  N_SIZES,
};

static const MsTensorRule rules[] = {
  { .name = "shortconv.in_proj.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_THREE },
    .required = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Part, in_bcx) },
  { .name = "shortconv.conv.weight",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_LENGTH, SIZE_MODEL },
    .required = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Part, kernel) },
  { .name = "shortconv.out_proj.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_MODEL },
    .required = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Part, out) },
};

static gboolean
load (MsLoader *loader, guint block, gpointer data, GError **error)
{
  Part *part = data;
  gint64 width = loader->plan->width, sizes[N_SIZES] = { 1, width, 3 * width };

  if (!ms_loader_u32 (loader, "shortconv.l_cache", MS_KEY_REQUIRED, &part->length, error))
    return FALSE;
  if (part->length == 0 || part->length > 4096)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s.shortconv.l_cache is %u; a convolution of 1 to 4096 tokens is "
                             "expected",
                             loader->plan->architecture->name, part->length);
  sizes[SIZE_LENGTH] = part->length;
  return ms_tensors_load (loader, &ms_mixer_short_convolution.tensors,
                          &(const MsTensorPlace){ .block = (gint) block, .sizes = sizes }, part,
                          error);
}

static MsMixerBytes
bytes (gconstpointer data, gsize operand, gsize longest)
{
  const Part *part = data;
  gsize width = (gsize) part->out.n_rows;

  (void) longest;
  return (MsMixerBytes){ .token = width * (3 * sizeof (float) + operand) };
}

static void
describe (gconstpointer data, JsonBuilder *details)
{
  ms_mixer_add_fact (details, "convolution_length", ((const Part *) data)->length);
}

typedef struct
{
  const Part *part;
  float *bcx; /* (n, 3 D); b becomes b * x */
  MsOperand mixed;
} Work;

static void
multiply (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Work *work = data;
  gsize d = engine->plan->width;

  for (gsize t = from; t < to; t++)
    {
      float *b = work->bcx + t * 3 * d, *x = b + 2 * d;

      for (gsize i = 0; i < d; i++)
        b[i] *= x[i];
    }
}

static void
convolve (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;
  gsize d = engine->plan->width, length = work->part->length;
  g_autofree float *mixed = g_new (float, d);

  for (gsize t = from; t < to; t++)
    {
      const float *c = work->bcx + t * 3 * d + d;
      gsize first = engine->positions[t] + 1 < length ? length - 1 - engine->positions[t] : 0;

      for (gsize i = 0; i < d; i++)
        {
          const float *kernel = work->part->kernel + i * length;
          float sum = 0;

          for (gsize j = first; j < length; j++)
            sum += kernel[j] * work->bcx[(t + j + 1 - length) * 3 * d + i];
          mixed[i] = sum * c[i];
        }
      ms_operand_put (&work->mixed, t, mixed);
    }
}

static void
run (const MsEngine *engine, gconstpointer data, const MsOperand *in, MsProduct out)
{
  const Part *part = data;
  gsize n = engine->n, d = engine->plan->width;
  Work work = { part, ms_arena_array (engine->arena, float, n * 3 * d),
                ms_engine_operand (engine, n, d) };
  const MsProduct inward
      = { .w = &part->in_bcx, .x = *in, .rows = n, .y = work.bcx, .y_width = 3 * d };

  ms_products_run (engine->products, &inward, 1);
  ms_engine_for_tokens (engine, n, multiply, &work);
  ms_engine_for_tokens (engine, n, convolve, &work);
  out.w = &part->out;
  out.x = work.mixed;
  ms_products_run (engine->products, &out, 1);
}

const MsMixer ms_mixer_short_convolution = {
  .name = "short convolution",
  .mark = "shortconv.in_proj.weight",
  .part_size = sizeof (Part),
  .tensors = { rules, G_N_ELEMENTS (rules) },
  .load = load,
  .bytes = bytes,
  .run = run,
  .describe = describe,
};
