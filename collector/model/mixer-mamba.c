/* State space mixers: what a token leaves in a state that decays is read by those behind it
 * (recurrence-private.h).  Values pass a short convolution and SiLU before, and a gate after.
 *
 *   Mamba-2 (Granite 4, Nemotron 3)  one matrix makes gate, values, b, c and steps; b and c are of groups of heads;
 *                                    out = W (norm over each group (y * silu (gate)))
 *   Mamba (Jamba)                    one matrix makes values and gate, another makes of the values steps, b and c, which are normed; a third widens
 *                                    the steps to one per value; out = W (y * silu (gate))
 *
 * Steps are ms_softplus (.. + bias).  The file's ssm_a is already -exp (A_log).  What must hold: heads divide the
 * inner width, groups divide heads. */
#include "mixer-private.h"

#include "kernels-private.h"
#include "norm-private.h"
#include "recurrence-private.h"

#include <math.h>
#include <string.h>

typedef struct
{
  guint inner;    /* I: values of a token */
  guint n_states; /* N */
  guint n_heads;  /* Mamba-2: H; Mamba: the rank of the steps */
  guint n_groups; /* G; Mamba: 1 */
  guint length;   /* of the convolution */
  MsMatrix
      in; /* Mamba-2: (2 I + 2 G N + H, D): gate, values, b, c, steps; Mamba: (2 I, D): values, gate */
  float *kernel,
      *kernel_bias; /* (length, C), (C) of the convolution's channels; bias may be NULL */
  float *step_bias; /* Mamba-2: (H); Mamba: (I) */
  float *rate;      /* Mamba-2: (H); Mamba: (N, I padded) */
  float *skip;      /* Mamba-2: (H); Mamba: (I) */
  MsMatrix out;     /* (D, I) */
  float *norm;      /* Mamba-2: (G, I / G) */
  /* Of Mamba. */
  MsMatrix x;                       /* (rank + 2 N, I) */
  MsMatrix step;                    /* (I, rank) */
  MsNorm step_norm, b_norm, c_norm; /* (rank), (N), (N) */
} Part;

enum
{
  SIZE_MODEL = MS_SIZE_ONE + 1, /* D */
  SIZE_IN,                      /* rows of `in` */
  SIZE_INNER,                   /* I */
  SIZE_STATES,                  /* N */
  SIZE_HEADS,                   /* H, or the rank */
  SIZE_LENGTH,
  SIZE_CHANNELS,  /* of the convolution */
  SIZE_GROUP,     /* I / G */
  SIZE_GROUPS,    /* G */
  SIZE_STEPS_B_C, /* rank + 2 N */
  N_SIZES,
};

#define RULE(file_name, kind, size, other, member)                                                 \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_##kind, .shape = { size, other }, .required = MS_ALWAYS,    \
    .offset = G_STRUCT_OFFSET (Part, member)                                                       \
  }
#define MAY(file_name, kind, size, member)                                                         \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_##kind, .shape = { size }, .taken = MS_ALWAYS,              \
    .offset = G_STRUCT_OFFSET (Part, member)                                                       \
  }
static const MsTensorRule mamba_2_rules[] = {
  RULE ("ssm_in.weight", MATRIX, SIZE_MODEL, SIZE_IN, in),
  RULE ("ssm_conv1d.weight", KERNEL, SIZE_LENGTH, SIZE_CHANNELS, kernel),
  MAY ("ssm_conv1d.bias", VECTOR, SIZE_CHANNELS, kernel_bias),
  RULE ("ssm_dt.bias", VECTOR, SIZE_HEADS, 0, step_bias),
  RULE ("ssm_a", VECTOR, MS_SIZE_ONE, SIZE_HEADS, rate),
  RULE ("ssm_d", VECTOR, MS_SIZE_ONE, SIZE_HEADS, skip),
  RULE ("ssm_norm.weight", VECTOR, SIZE_GROUP, SIZE_GROUPS, norm),
  RULE ("ssm_out.weight", MATRIX, SIZE_INNER, SIZE_MODEL, out),
};
static const MsTensorRule mamba_rules[] = {
  RULE ("ssm_in.weight", MATRIX, SIZE_MODEL, SIZE_IN, in),
  RULE ("ssm_conv1d.weight", KERNEL, SIZE_LENGTH, SIZE_CHANNELS, kernel),
  MAY ("ssm_conv1d.bias", VECTOR, SIZE_CHANNELS, kernel_bias),
  RULE ("ssm_x.weight", MATRIX, SIZE_INNER, SIZE_STEPS_B_C, x),
  RULE ("ssm_dt_norm", NORM, SIZE_HEADS, 0, step_norm),
  RULE ("ssm_b_norm", NORM, SIZE_STATES, 0, b_norm),
  RULE ("ssm_c_norm", NORM, SIZE_STATES, 0, c_norm),
  RULE ("ssm_dt.weight", MATRIX, SIZE_HEADS, SIZE_INNER, step),
  RULE ("ssm_dt.bias", VECTOR, SIZE_INNER, 0, step_bias),
  RULE ("ssm_a", VECTOR, SIZE_STATES, SIZE_INNER, rate),
  RULE ("ssm_d", VECTOR, SIZE_INNER, 0, skip),
  RULE ("ssm_out.weight", MATRIX, SIZE_INNER, SIZE_MODEL, out),
};

/* b and c of a token, one after the other. */
static gsize
groups_of (const Part *part)
{
  return 2 * (gsize) part->n_groups * part->n_states;
}

/* --- Loading --------------------------------------------------------------------------------- */

static gboolean
load_geometry (const MsLoader *loader, guint block, Part *part, GError **error)
{
  if (!ms_loader_u32 (loader, "ssm.conv_kernel", MS_KEY_REQUIRED, &part->length, error)
      || !ms_loader_u32 (loader, "ssm.inner_size", MS_KEY_REQUIRED, &part->inner, error)
      || !ms_loader_u32 (loader, "ssm.state_size", MS_KEY_REQUIRED, &part->n_states, error)
      || !ms_loader_u32 (loader, "ssm.time_step_rank", MS_KEY_REQUIRED, &part->n_heads, error))
    return FALSE;
  if (part->inner == 0 || part->inner > 1u << 20 || part->n_states == 0 || part->n_states > 65536
      || part->n_heads == 0 || part->n_heads > 1u << 20 || part->length == 0 || part->length > 4096)
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_CORRUPT, error,
        "block %u: %s.ssm.*: %u values with %u states, time step rank %u and a "
        "convolution over %u tokens cannot be",
        block, loader->plan->architecture->name, part->inner, part->n_states, part->n_heads,
        part->length);
  return TRUE;
}

/* Loads the tensors and turns the kernel. */
static gboolean
load_tensors (MsLoader *loader, guint block, const MsMixer *mixer, Part *part, gsize rows_in,
              gsize channels, GError **error)
{
  g_autofree float *kernel = NULL;
  gint64 sizes[N_SIZES] = { 1, loader->plan->width };

  sizes[SIZE_IN] = (gint64) rows_in;
  sizes[SIZE_INNER] = part->inner;
  sizes[SIZE_STATES] = part->n_states;
  sizes[SIZE_HEADS] = part->n_heads;
  sizes[SIZE_LENGTH] = part->length;
  sizes[SIZE_CHANNELS] = (gint64) channels;
  sizes[SIZE_GROUP] = part->inner / part->n_groups;
  sizes[SIZE_GROUPS] = part->n_groups;
  sizes[SIZE_STEPS_B_C] = part->n_heads + 2 * (gint64) part->n_states;
  if (!ms_tensors_load (loader, &mixer->tensors,
                        &(const MsTensorPlace){ .block = (gint) block, .sizes = sizes }, part,
                        error))
    return FALSE;
  kernel = part->kernel;
  part->kernel = ms_convolution_kernel (kernel, channels, part->length);
  return TRUE;
}

static gboolean
load_mamba_2 (MsLoader *loader, guint block, gpointer data, GError **error)
{
  Part *part = data;

  if (!load_geometry (loader, block, part, error)
      || !ms_loader_u32 (loader, "ssm.group_count", MS_KEY_REQUIRED, &part->n_groups, error))
    return FALSE;
  if (part->n_groups == 0 || part->inner % part->n_heads != 0
      || part->n_heads % part->n_groups != 0)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "block %u: %s.ssm.*: %u values of %u heads in %u groups cannot be",
                             block, loader->plan->architecture->name, part->inner, part->n_heads,
                             part->n_groups);
  return load_tensors (loader, block, &ms_mixer_mamba_2, part,
                       2 * (gsize) part->inner + groups_of (part) + part->n_heads,
                       part->inner + groups_of (part), error);
}

/* Turns the rates (I, N) to (N, I padded). */
static float *
turn_rates (const float *rate, gsize inner, gsize n_states)
{
  gsize row = ms_scan_rates_row (inner);
  float *turned = g_new0 (float, row *n_states);

  for (gsize i = 0; i < inner; i++)
    for (gsize j = 0; j < n_states; j++)
      turned[j * row + i] = rate[i * n_states + j];
  return turned;
}

static gboolean
load_mamba (MsLoader *loader, guint block, gpointer data, GError **error)
{
  Part *part = data;
  g_autofree float *rate = NULL;

  part->n_groups = 1;
  if (!load_geometry (loader, block, part, error)
      || !load_tensors (loader, block, &ms_mixer_mamba, part, 2 * (gsize) part->inner, part->inner,
                        error))
    return FALSE;
  rate = part->rate;
  part->rate = turn_rates (rate, part->inner, part->n_states);
  return TRUE;
}

static MsMixerBytes
bytes_mamba_2 (gconstpointer data, gsize operand, gsize longest)
{
  const Part *part = data;

  (void) longest;
  return (MsMixerBytes){ .token = (gsize) part->in.n_rows * sizeof (float) + part->inner * operand,
                         .worker = ms_scan_worker_bytes (part->n_states) };
}

static MsMixerBytes
bytes_mamba (gconstpointer data, gsize operand, gsize longest)
{
  const Part *part = data;
  gsize floats = 3 * (gsize) part->inner + part->n_heads + groups_of (part);

  (void) longest;
  return (MsMixerBytes){ .token = floats * sizeof (float)
                                  + ((gsize) part->inner + part->n_heads) * operand,
                         .worker = ms_scan_worker_bytes (part->n_states) };
}

static void
describe_mamba (gconstpointer data, JsonBuilder *details)
{
  const Part *part = data;

  ms_mixer_add_fact (details, "state_values", part->inner);
  ms_mixer_add_fact (details, "state_size", part->n_states);
  ms_mixer_add_fact (details, "convolution_length", part->length);
}

static void
describe_mamba_2 (gconstpointer data, JsonBuilder *details)
{
  const Part *part = data;

  describe_mamba (data, details);
  ms_mixer_add_fact (details, "state_heads", part->n_heads);
  ms_mixer_add_fact (details, "state_groups", part->n_groups);
}

/* --- Running --------------------------------------------------------------------------------- */

typedef struct
{
  const Part *part;
  float *in;     /* (n, rows of the matrix `in`); values become the output */
  float *narrow; /* Mamba: (n, rank + 2 N) */
  float *steps;  /* Mamba: (n, I) */
  MsOperand inner, rank;
} Work;

/* Convolves `channels` values of each row from `first` on. */
static void
convolve (const MsEngine *engine, const Work *work, gsize first, gsize channels)
{
  const Part *part = work->part;

  ms_convolution_run (&(const MsConvolution){ .threads = engine->options->threads,
                                              .starts = engine->wave->starts,
                                              .n_documents = engine->wave->n_documents,
                                              .x = work->in + first,
                                              .row = (gsize) part->in.n_rows,
                                              .channels = channels,
                                              .kernel = part->kernel,
                                              .length = part->length,
                                              .bias = part->kernel_bias });
}

static void
run_in (const MsEngine *engine, Work *work, const MsOperand *in)
{
  const Part *part = work->part;
  gsize row = (gsize) part->in.n_rows;
  MsProduct inward = { .w = &part->in, .x = *in, .rows = engine->n, .y_width = row };

  inward.y = work->in = ms_arena_array (engine->arena, float, engine->n *row);
  ms_products_run (engine->products, &inward, 1);
}

/* Steps of each token's heads. */
static void
settle_steps (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Work *work = data;
  const Part *part = work->part;
  gsize row = (gsize) part->in.n_rows;

  (void) engine;
  for (gsize t = from; t < to; t++)
    {
      float *steps = work->in + (t + 1) * row - part->n_heads;

      for (guint h = 0; h < part->n_heads; h++)
        steps[h] = ms_softplus (steps[h] + part->step_bias[h]);
    }
}

/* Gates the outputs and norms each group. */
static void
finish_mamba_2 (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;
  const Part *part = work->part;
  gsize row = (gsize) part->in.n_rows, group = part->inner / part->n_groups;

  for (gsize t = from; t < to; t++)
    {
      float *gate = work->in + t * row;

      ms_silu_times (gate, gate + part->inner, part->inner);
      for (guint g = 0; g < part->n_groups; g++)
        ms_rms_norm (gate + g * group, part->norm + g * group, group, engine->plan->epsilon,
                     gate + g * group);
      ms_operand_put (&work->inner, t, gate);
    }
}

static void
run_mamba_2 (const MsEngine *engine, gconstpointer data, const MsOperand *in, MsProduct out)
{
  const Part *part = data;
  gsize row = (gsize) part->in.n_rows, inner = part->inner;
  Work work = { .part = part };

  run_in (engine, &work, in);
  work.inner = ms_engine_operand (engine, engine->n, inner);
  convolve (engine, &work, inner, inner + groups_of (part));
  ms_engine_for_tokens (engine, engine->n, settle_steps, &work);
  ms_scan_run (&(const MsScan){ .threads = engine->options->threads,
                                .starts = engine->wave->starts,
                                .n_documents = engine->wave->n_documents,
                                .n_heads = part->n_heads,
                                .width = inner / part->n_heads,
                                .n_states = part->n_states,
                                .x = work.in + inner,
                                .x_row = row,
                                .x_head = inner / part->n_heads,
                                .b = work.in + 2 * inner,
                                .c = work.in + 2 * inner + groups_of (part) / 2,
                                .group_row = row,
                                .group_head = part->n_states,
                                .n_groups = part->n_groups,
                                .step = work.in + row - part->n_heads,
                                .step_row = row,
                                .rate = part->rate,
                                .skip = part->skip });
  ms_engine_for_tokens (engine, engine->n, finish_mamba_2, &work);
  out.w = &part->out;
  out.x = work.inner;
  ms_products_run (engine->products, &out, 1);
}

/* The convolved values as an operand. */
static void
put_values (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;

  (void) engine;
  for (gsize t = from; t < to; t++)
    ms_operand_put (&work->inner, t, work->in + t * 2 * work->part->inner);
}

/* Norms what is to become steps, b and c. */
static void
norm_narrow (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;
  const Part *part = work->part;
  gsize rank = part->n_heads, row = rank + groups_of (part);

  (void) engine;
  for (gsize t = from; t < to; t++)
    {
      float *steps = work->narrow + t * row, *b = steps + rank, *c = b + part->n_states;

      part->step_norm.kind->apply (&part->step_norm, steps, rank, steps);
      part->b_norm.kind->apply (&part->b_norm, b, part->n_states, b);
      part->c_norm.kind->apply (&part->c_norm, c, part->n_states, c);
      ms_operand_put (&work->rank, t, steps);
    }
}

static void
settle_wide_steps (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Work *work = data;
  gsize inner = work->part->inner;

  (void) engine;
  for (gsize i = from * inner; i < to * inner; i++)
    work->steps[i] = ms_softplus (work->steps[i]);
}

static void
finish_mamba (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;
  gsize inner = work->part->inner;

  (void) engine;
  for (gsize t = from; t < to; t++)
    {
      float *y = work->in + t * 2 * inner, *gate = y + inner;

      ms_silu_times (gate, y, inner);
      ms_operand_put (&work->inner, t, gate);
    }
}

/* Makes steps, b and c of the convolved values. */
static void
select_states (const MsEngine *engine, Work *work)
{
  const Part *part = work->part;
  gsize n = engine->n, narrow = part->n_heads + groups_of (part);
  MsProduct first = { .w = &part->x, .x = work->inner, .rows = n, .y_width = narrow };
  MsProduct second
      = { .w = &part->step, .bias = part->step_bias, .rows = n, .y_width = part->inner };

  ms_engine_for_tokens (engine, n, put_values, work);
  first.y = work->narrow = ms_arena_array (engine->arena, float, n *narrow);
  ms_products_run (engine->products, &first, 1);
  work->rank = ms_engine_operand (engine, n, part->n_heads);
  ms_engine_for_tokens (engine, n, norm_narrow, work);
  second.x = work->rank;
  second.y = work->steps = ms_arena_array (engine->arena, float, n * part->inner);
  ms_products_run (engine->products, &second, 1);
  ms_engine_for_tokens (engine, n, settle_wide_steps, work);
}

static void
run_mamba (const MsEngine *engine, gconstpointer data, const MsOperand *in, MsProduct out)
{
  const Part *part = data;
  Work work = { .part = part };

  run_in (engine, &work, in);
  work.inner = ms_engine_operand (engine, engine->n, part->inner);
  convolve (engine, &work, 0, part->inner);
  select_states (engine, &work);
  ms_scan_run (&(const MsScan){ .threads = engine->options->threads,
                                .starts = engine->wave->starts,
                                .n_documents = engine->wave->n_documents,
                                .n_heads = 1,
                                .width = part->inner,
                                .n_states = part->n_states,
                                .x = work.in,
                                .x_row = 2 * (gsize) part->inner,
                                .x_head = part->inner,
                                .b = work.narrow + part->n_heads,
                                .c = work.narrow + part->n_heads + part->n_states,
                                .group_row = part->n_heads + groups_of (part),
                                .group_head = part->n_states,
                                .n_groups = 1,
                                .step = work.steps,
                                .step_row = part->inner,
                                .per_column = TRUE,
                                .rate = part->rate,
                                .skip = part->skip });
  ms_engine_for_tokens (engine, engine->n, finish_mamba, &work);
  out.w = &part->out;
  out.x = work.inner;
  ms_products_run (engine->products, &out, 1);
}

const MsMixer ms_mixer_mamba_2 = {
  .name = "Mamba-2",
  .mark = "ssm_in.weight",
  .part_size = sizeof (Part),
  .tensors = { mamba_2_rules, G_N_ELEMENTS (mamba_2_rules) },
  .load = load_mamba_2,
  .bytes = bytes_mamba_2,
  .run = run_mamba_2,
  .describe = describe_mamba_2,
};

const MsMixer ms_mixer_mamba = {
  .name = "Mamba",
  .mark = "ssm_in.weight",
  .part_size = sizeof (Part),
  .tensors = { mamba_rules, G_N_ELEMENTS (mamba_rules) },
  .load = load_mamba,
  .bytes = bytes_mamba,
  .run = run_mamba,
  .describe = describe_mamba,
};
