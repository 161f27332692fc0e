/* Delta nets: each head keeps a matrix that decays, and that each token corrects by what it misses
 * of its value (recurrence-private.h).  Queries, keys and values pass a short convolution and SiLU,
 * queries and keys are brought to length 1; the output is normed head by head and gated.
 *
 *   gated delta net (Qwen3-Next, Qwen3.5): gate SiLU, decay of a head exp (a softplus (alpha x + dt))
 *   Kimi delta attention (Kimi Linear): gate sigmoid, decay of a channel exp (a softplus (F x + dt))
 *   ... of Ling 3: exp (bound sigmoid (|a| (F x + dt)))
 *
 * The file's a is already -exp (A_log).  What must hold: heads of values are a multiple of heads of
 * keys; q, k and v of a token lie in one row, so that the output takes the place of v. */
#include "mixer-private.h"

#include "kernels-private.h"
#include "norm-private.h"
#include "recurrence-private.h"

#include <math.h>
#include <string.h>

/* What both kinds have.  Rows of q, k and v are (key heads * key width) twice, then the values. */
typedef struct
{
  guint n_heads, n_key_heads, key_width, value_width;
  guint length;     /* of the convolution */
  float *a;         /* (n_heads) */
  float *dt;        /* (n_heads), Kimi: (n_heads * key_width) */
  MsNorm norm;      /* (value_width) of a head's output */
  MsMatrix out;     /* (D, n_heads * value_width) */
  MsMatrix beta;    /* (n_heads, D) */
  MsMatrix q, k, v; /* (.., D); gated delta net: q holds all three, or in_qkvz does */
  float *kernel;    /* gated delta net: (length, row of q, k and v) */
  /* Of the gated delta net. */
  MsMatrix alpha;      /* (n_heads, D) */
  MsMatrix beta_alpha; /* (2 n_heads, D): of each key head's heads beta, then alpha */
  MsMatrix z;          /* (n_heads * value_width, D): the gate */
  MsMatrix in_qkvz;    /* of each key head q, k, then its heads' v, z: in older files */
  /* Of Kimi's. */
  float *q_kernel, *k_kernel, *v_kernel; /* (length, ..) */
  /* Decay and gate: (key_width, D), (n_heads * key_width, key_width), or f_a and g_a alone,
   * whole. */
  MsMatrix f_a, f_b, g_a, g_b;
  float bound; /* of the logarithm of a decay, from below; 0: none */
} Part;

enum
{
  SIZE_MODEL = MS_SIZE_ONE + 1, /* D */
  SIZE_HEADS,
  SIZE_TWO_HEADS,
  SIZE_KEY_WIDTH,
  SIZE_VALUE_WIDTH,
  SIZE_KEYS,    /* key heads * key width */
  SIZE_VALUES,  /* heads * value width */
  SIZE_ROW,     /* of q, k and v */
  SIZE_ROW_AND, /* ... and z */
  SIZE_LENGTH,
  SIZE_DECAY_INNER, /* rows of f_a */
  SIZE_GATE_INNER,  /* rows of g_a */
  N_SIZES,
};

#define RULE(file_name, kind, size, other, when, never, member)                                    \
  {                                                                                                \
    .name = file_name, .form = MS_FORM_##kind, .shape = { size, other }, .required = when,         \
    .unless = never, .offset = G_STRUCT_OFFSET (Part, member)                                      \
  }
static const MsTensorRule gated_rules[] = {
  RULE ("ssm_a", VECTOR, SIZE_HEADS, 0, MS_ALWAYS, 0, a),
  RULE ("ssm_dt.bias", VECTOR, SIZE_HEADS, 0, MS_ALWAYS, 0, dt),
  RULE ("ssm_norm", NORM, SIZE_VALUE_WIDTH, 0, MS_ALWAYS, 0, norm),
  RULE ("ssm_out.weight", MATRIX, SIZE_VALUES, SIZE_MODEL, MS_ALWAYS, 0, out),
  RULE ("ssm_conv1d.weight", KERNEL, SIZE_LENGTH, SIZE_ROW, MS_ALWAYS, 0, kernel),
  RULE ("ssm_in.weight", MATRIX, SIZE_MODEL, SIZE_ROW_AND, MS_DELTA_FUSED_IN, 0, in_qkvz),
  RULE ("attn_qkv.weight", MATRIX, SIZE_MODEL, SIZE_ROW, MS_ALWAYS, MS_DELTA_FUSED_IN, q),
  RULE ("attn_gate.weight", MATRIX, SIZE_MODEL, SIZE_VALUES, MS_ALWAYS, MS_DELTA_FUSED_IN, z),
  RULE ("ssm_beta.weight", MATRIX, SIZE_MODEL, SIZE_HEADS, MS_DELTA_SPLIT, 0, beta),
  RULE ("ssm_alpha.weight", MATRIX, SIZE_MODEL, SIZE_HEADS, MS_DELTA_SPLIT, 0, alpha),
  RULE ("ssm_ba.weight", MATRIX, SIZE_MODEL, SIZE_TWO_HEADS, MS_DELTA_GROUPED, 0, beta_alpha),
};
static const MsTensorRule kimi_rules[] = {
  RULE ("ssm_a", VECTOR, MS_SIZE_ONE, SIZE_HEADS, MS_ALWAYS, 0, a),
  RULE ("ssm_dt.bias", VECTOR, SIZE_KEYS, 0, MS_ALWAYS, 0, dt),
  RULE ("ssm_norm", NORM, SIZE_VALUE_WIDTH, 0, MS_ALWAYS, 0, norm),
  RULE ("attn_output.weight", MATRIX, SIZE_VALUES, SIZE_MODEL, MS_ALWAYS, 0, out),
  RULE ("attn_q.weight", MATRIX, SIZE_MODEL, SIZE_KEYS, MS_ALWAYS, 0, q),
  RULE ("attn_k.weight", MATRIX, SIZE_MODEL, SIZE_KEYS, MS_ALWAYS, 0, k),
  RULE ("attn_v.weight", MATRIX, SIZE_MODEL, SIZE_VALUES, MS_ALWAYS, 0, v),
  RULE ("ssm_conv1d_q.weight", KERNEL, SIZE_LENGTH, SIZE_KEYS, MS_ALWAYS, 0, q_kernel),
  RULE ("ssm_conv1d_k.weight", KERNEL, SIZE_LENGTH, SIZE_KEYS, MS_ALWAYS, 0, k_kernel),
  RULE ("ssm_conv1d_v.weight", KERNEL, SIZE_LENGTH, SIZE_VALUES, MS_ALWAYS, 0, v_kernel),
  RULE ("ssm_beta.weight", MATRIX, SIZE_MODEL, SIZE_HEADS, MS_ALWAYS, 0, beta),
  RULE ("ssm_f_a.weight", MATRIX, SIZE_MODEL, SIZE_DECAY_INNER, MS_ALWAYS, 0, f_a),
  RULE ("ssm_f_b.weight", MATRIX, SIZE_KEY_WIDTH, SIZE_KEYS, MS_DELTA_DECAY_LOW, 0, f_b),
  RULE ("ssm_g_a.weight", MATRIX, SIZE_MODEL, SIZE_GATE_INNER, MS_ALWAYS, 0, g_a),
  RULE ("ssm_g_b.weight", MATRIX, SIZE_KEY_WIDTH, SIZE_VALUES, MS_DELTA_GATE_LOW, 0, g_b),
};

static gsize
keys_of (const Part *part)
{
  return (gsize) part->n_key_heads * part->key_width;
}

static gsize
values_of (const Part *part)
{
  return (gsize) part->n_heads * part->value_width;
}

static gsize
row_of (const Part *part)
{
  return 2 * keys_of (part) + values_of (part);
}

/* --- Loading --------------------------------------------------------------------------------- */

/* Checks the geometry and loads the tensors. */
static gboolean
load_tensors (MsLoader *loader, guint block, const MsMixer *mixer, Part *part, MsSwitches switches,
              GError **error)
{
  gint64 sizes[N_SIZES] = { 1, loader->plan->width };

  if (part->n_heads == 0 || part->n_key_heads == 0 || part->n_heads % part->n_key_heads != 0
      || part->key_width == 0 || part->value_width == 0 || part->length == 0
      || part->n_heads > 65536 || part->key_width > 65536 || part->value_width > 65536
      || part->length > 4096)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "block %u: a delta net of %u heads of %u values over %u heads of %u "
                             "keys, convolved over %u tokens, cannot be",
                             block, part->n_heads, part->value_width, part->n_key_heads,
                             part->key_width, part->length);
  sizes[SIZE_HEADS] = part->n_heads;
  sizes[SIZE_TWO_HEADS] = 2 * (gint64) part->n_heads;
  sizes[SIZE_KEY_WIDTH] = part->key_width;
  sizes[SIZE_VALUE_WIDTH] = part->value_width;
  sizes[SIZE_KEYS] = (gint64) keys_of (part);
  sizes[SIZE_VALUES] = (gint64) values_of (part);
  sizes[SIZE_ROW] = (gint64) row_of (part);
  sizes[SIZE_ROW_AND] = (gint64) (row_of (part) + values_of (part));
  sizes[SIZE_LENGTH] = part->length;
  sizes[SIZE_DECAY_INNER]
      = (switches & MS_DELTA_DECAY_LOW) != 0 ? (gint64) part->key_width : sizes[SIZE_KEYS];
  sizes[SIZE_GATE_INNER]
      = (switches & MS_DELTA_GATE_LOW) != 0 ? (gint64) part->key_width : sizes[SIZE_VALUES];
  return ms_tensors_load (
      loader, &mixer->tensors,
      &(const MsTensorPlace){ .block = (gint) block, .sizes = sizes, .switches = switches }, part,
      error);
}

static gboolean
load_gated (MsLoader *loader, guint block, gpointer data, GError **error)
{
  Part *part = data;
  guint32 inner = 0;
  g_autofree char *fused = g_strdup_printf ("blk.%u.ssm_in.weight", block);
  gboolean is_fused = ms_gguf_find (loader->gguf, fused) != NULL;
  g_autofree float *kernel = NULL;

  if (!ms_loader_u32 (loader, "ssm.conv_kernel", MS_KEY_REQUIRED, &part->length, error)
      || !ms_loader_u32 (loader, "ssm.inner_size", MS_KEY_REQUIRED, &inner, error)
      || !ms_loader_u32 (loader, "ssm.state_size", MS_KEY_REQUIRED, &part->key_width, error)
      || !ms_loader_u32 (loader, "ssm.time_step_rank", MS_KEY_REQUIRED, &part->n_heads, error)
      || !ms_loader_u32 (loader, "ssm.group_count", MS_KEY_REQUIRED, &part->n_key_heads, error))
    return FALSE;
  part->value_width = part->n_heads > 0 && inner % part->n_heads == 0 ? inner / part->n_heads : 0;
  if (!load_tensors (loader, block, &ms_mixer_gated_delta_net, part,
                     is_fused ? MS_DELTA_FUSED_IN : 0, error))
    return FALSE;
  kernel = part->kernel;
  part->kernel = ms_convolution_kernel (kernel, row_of (part), part->length);
  return TRUE;
}

/* The bound of decays.  Models without one have decays and gates through two matrices each. */
static gboolean
load_bound (MsLoader *loader, Part *part, GError **error)
{
  g_autofree char *safe_key = ms_loader_key (loader, "kda.safe_gate");
  gboolean safe = TRUE;

  if (!ms_loader_float (loader, "kda.gate_lower_bound", MS_KEY_OPTIONAL, &part->bound, error)
      || !ms_gguf_get_bool (loader->gguf, safe_key, MS_KEY_OPTIONAL, &safe, error))
    return FALSE;
  if (!safe)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                             "%s is false: decays without a bound beside one cannot be run",
                             safe_key);
  if (!(part->bound <= 0) || !isfinite (part->bound))
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s.kda.gate_lower_bound is %g; a bound below 0 is expected",
                             loader->plan->architecture->name, (double) part->bound);
  return TRUE;
}

static gboolean
load_kimi (MsLoader *loader, guint block, gpointer data, GError **error)
{
  Part *part = data;
  gint32 heads = 0;
  gboolean low_decay, low_gate;

  if (!ms_loader_u32 (loader, "ssm.conv_kernel", MS_KEY_REQUIRED, &part->length, error)
      || !ms_loader_u32 (loader, "kda.head_dim", MS_KEY_REQUIRED, &part->key_width, error)
      || !ms_loader_of_block (loader, "attention.head_count", MS_KEY_REQUIRED, block, &heads, error)
      || !load_bound (loader, part, error))
    return FALSE;
  part->n_heads = part->n_key_heads = (guint) MAX (heads, 0);
  part->value_width = part->key_width;
  low_decay = part->bound == 0 || ms_loader_block_has (loader, block, "ssm_f_b.weight");
  low_gate = part->bound == 0 || ms_loader_block_has (loader, block, "ssm_g_b.weight");
  if (!load_tensors (loader, block, &ms_mixer_kimi_delta, part,
                     (low_decay ? MS_DELTA_DECAY_LOW : 0) | (low_gate ? MS_DELTA_GATE_LOW : 0),
                     error))
    return FALSE;
  for (guint i = 0; i < 3; i++)
    {
      float **own = i == 0 ? &part->q_kernel : i == 1 ? &part->k_kernel : &part->v_kernel;
      g_autofree float *kernel = *own;

      *own
          = ms_convolution_kernel (kernel, i < 2 ? keys_of (part) : values_of (part), part->length);
    }
  return TRUE;
}

static MsMixerBytes
bytes_gated (gconstpointer data, gsize operand, gsize longest)
{
  const Part *part = data;

  (void) longest;
  return (MsMixerBytes){
    .token = (row_of (part) + values_of (part) + 2 * part->n_heads) * sizeof (float)
             + values_of (part) * operand,
    .worker = ms_delta_rule_worker_bytes (part->key_width),
  };
}

static MsMixerBytes
bytes_kimi (gconstpointer data, gsize operand, gsize longest)
{
  const Part *part = data;

  (void) longest;
  return (MsMixerBytes){
    .token = (row_of (part) + keys_of (part) + values_of (part) + part->n_heads) * sizeof (float)
             + (values_of (part) + 2 * part->key_width) * operand,
    .worker = ms_delta_rule_worker_bytes (part->key_width),
  };
}

static void
describe (gconstpointer data, JsonBuilder *details)
{
  const Part *part = data;

  ms_mixer_add_fact (details, "heads", part->n_heads);
  ms_mixer_add_fact (details, "kv_heads", part->n_key_heads);
  ms_mixer_add_fact (details, "head_width", part->value_width);
  ms_mixer_add_fact (details, "convolution_length", part->length);
}

/* --- Running --------------------------------------------------------------------------------- */

typedef struct
{
  const Part *part;
  gboolean kimi, grouped;
  float *qkv;   /* (n, row); v becomes the output */
  float *gate;  /* (n, values) */
  float *beta;  /* (n, n_heads); gated delta net: (n, 2 n_heads), the decays behind */
  float *decay; /* Kimi: (n, keys) */
  MsOperand mixed;
} Work;

/* The head's decay or that of one of its channels. */
static float
decay_of (float a, float x, float dt)
{
  return expf (a * ms_softplus (x + dt));
}

/* Brings the heads of queries or keys to length 1, times scale. */
static void
to_unit (const MsEngine *engine, const Part *part, float *heads, float scale)
{
  for (guint h = 0; h < part->n_key_heads; h++)
    {
      float *head = heads + h * (gsize) part->key_width;
      float length = sqrtf (ms_dot (head, head, part->key_width));

      ms_scale (head, scale / MAX (length, engine->plan->epsilon), part->key_width, head);
    }
}

/* Betas and decays of a token whose row holds betas and alphas, in the order of heads or of key
 * heads. */
static void
settle_gated (const Work *work, float *row, float *copy)
{
  const Part *part = work->part;
  guint heads = part->n_heads, of_key = heads / part->n_key_heads;

  memcpy (copy, row, 2 * heads * sizeof (float));
  for (guint h = 0; h < heads; h++)
    {
      guint beta = work->grouped ? h / of_key * 2 * of_key + h % of_key : h;
      guint alpha = work->grouped ? beta + of_key : h + heads;

      row[h] = 1.0f / (1.0f + expf (-copy[beta]));
      row[heads + h] = decay_of (part->a[h], copy[alpha], part->dt[h]);
    }
}

static void
settle_kimi (const Work *work, gsize t)
{
  const Part *part = work->part;
  float *beta = work->beta + t * part->n_heads, *decay = work->decay + t * keys_of (part);

  for (guint h = 0; h < part->n_heads; h++)
    beta[h] = 1.0f / (1.0f + expf (-beta[h]));
  for (gsize i = 0; i < keys_of (part); i++)
    {
      float a = part->a[i / part->key_width];

      decay[i] = part->bound < 0
                     ? expf (part->bound / (1.0f + expf (-fabsf (a) * (decay[i] + part->dt[i]))))
                     : decay_of (a, decay[i], part->dt[i]);
    }
}

static void
prepare (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  const Work *work = data;
  const Part *part = work->part;
  g_autofree float *copy = g_new (float, 2 * part->n_heads);

  for (gsize t = from; t < to; t++)
    {
      float *row = work->qkv + t * row_of (part);

      to_unit (engine, part, row, 1.0f / sqrtf ((float) part->key_width));
      to_unit (engine, part, row + keys_of (part), 1);
      if (work->kimi)
        settle_kimi (work, t);
      else
        settle_gated (work, work->beta + t * 2 * part->n_heads, copy);
    }
}

/* Norms each head's output and gates it. */
static void
finish (const MsEngine *engine, gsize from, gsize to, gpointer data)
{
  Work *work = data;
  const Part *part = work->part;
  gsize width = part->value_width, values = values_of (part);

  (void) engine;
  for (gsize t = from; t < to; t++)
    {
      float *out = work->qkv + t * row_of (part) + 2 * keys_of (part);
      float *gate = work->gate + t * values;

      for (guint h = 0; h < part->n_heads; h++)
        part->norm.kind->apply (&part->norm, out + h * width, width, out + h * width);
      if (work->kimi)
        ms_times_sigmoid (out, gate, values);
      else
        ms_silu_times (gate, out, values);
      ms_operand_put (&work->mixed, t, work->kimi ? out : gate);
    }
}

static void
recur (const MsEngine *engine, Work *work)
{
  const Part *part = work->part;
  gsize row = row_of (part), keys = keys_of (part);
  guint heads = part->n_heads;

  ms_engine_for_tokens (engine, engine->n, prepare, work);
  ms_delta_rule_run (&(const MsDeltaRule){
      .threads = engine->options->threads,
      .starts = engine->wave->starts,
      .n_documents = engine->wave->n_documents,
      .n_heads = heads,
      .key_width = part->key_width,
      .value_width = part->value_width,
      .q = work->qkv,
      .k = work->qkv + keys,
      .key_row = row,
      .n_key_heads = part->n_key_heads,
      .grouped = work->grouped,
      .v = work->qkv + 2 * keys,
      .value_row = row,
      .beta = work->beta,
      .beta_row = work->kimi ? heads : 2 * (gsize) heads,
      .decay = work->kimi ? work->decay : work->beta + heads,
      .decay_row = work->kimi ? keys : 2 * (gsize) heads,
      .per_channel = work->kimi,
  });
  ms_engine_for_tokens (engine, engine->n, finish, work);
}

static void
convolve (const MsEngine *engine, const Part *part, float *x, const float *kernel, gsize channels)
{
  ms_convolution_run (&(const MsConvolution){ .threads = engine->options->threads,
                                              .starts = engine->wave->starts,
                                              .n_documents = engine->wave->n_documents,
                                              .x = x,
                                              .row = row_of (part),
                                              .channels = channels,
                                              .kernel = kernel,
                                              .length = part->length });
}

/* The products of ssm_in: its rows go by key heads, each q, k, then the values and gates of its
 * heads. */
static void
run_fused (const MsEngine *engine, const Work *work, const MsOperand *in)
{
  const Part *part = work->part;
  gsize dk = part->key_width, keys = keys_of (part), values = values_of (part);
  gsize dv = values / part->n_key_heads, row = 0;
  g_autofree MsMatrix *parts = g_new (MsMatrix, 4 * part->n_key_heads);
  g_autofree MsProduct *products = g_new (MsProduct, 4 * part->n_key_heads);

  for (guint i = 0; i < 4 * part->n_key_heads; i++)
    {
      guint head = i / 4;
      float *to[] = { work->qkv + head * dk, work->qkv + keys + head * dk,
                      work->qkv + 2 * keys + head * dv, work->gate + head * dv };
      gsize n = i % 4 < 2 ? dk : dv;

      parts[i] = (MsMatrix){ .tensor = part->in_qkvz.tensor,
                             .first_row = (gint64) row,
                             .n_rows = (gint64) n };
      products[i] = (MsProduct){ .w = &parts[i],
                                 .x = *in,
                                 .rows = engine->n,
                                 .y = to[i % 4],
                                 .y_width = i % 4 < 3 ? row_of (part) : values };
      row += n;
    }
  ms_products_run (engine->products, products, 4 * part->n_key_heads);
}

static void
run_gated (const MsEngine *engine, gconstpointer data, const MsOperand *in, MsProduct out)
{
  const Part *part = data;
  gsize n = engine->n, row = row_of (part), values = values_of (part), heads = part->n_heads;
  Work work = { .part = part,
                .grouped = (engine->plan->architecture->switches & MS_DELTA_GROUPED) != 0,
                .qkv = ms_arena_array (engine->arena, float, n *row),
                .gate = ms_arena_array (engine->arena, float, n *values),
                .beta = ms_arena_array (engine->arena, float, n * 2 * heads),
                .mixed = ms_engine_operand (engine, n, values) };
  const MsProduct apart[]
      = { { .w = &part->q, .x = *in, .rows = n, .y = work.qkv, .y_width = row },
          { .w = &part->z, .x = *in, .rows = n, .y = work.gate, .y_width = values } };
  const MsProduct settings[] = {
    { .w = &part->beta, .x = *in, .rows = n, .y = work.beta, .y_width = 2 * heads },
    { .w = &part->alpha, .x = *in, .rows = n, .y = work.beta + heads, .y_width = 2 * heads },
    { .w = &part->beta_alpha, .x = *in, .rows = n, .y = work.beta, .y_width = 2 * heads },
  };

  if (part->in_qkvz.tensor != NULL)
    run_fused (engine, &work, in);
  else
    ms_products_run (engine->products, apart, G_N_ELEMENTS (apart));
  if (part->beta_alpha.tensor != NULL)
    ms_products_run (engine->products, &settings[2], 1);
  else
    ms_products_run (engine->products, settings, 2);
  convolve (engine, part, work.qkv, part->kernel, row);
  recur (engine, &work);
  out.w = &part->out;
  out.x = work.mixed;
  ms_products_run (engine->products, &out, 1);
}

/* The activation of products whose results are only put into an operand. */
static void
keep (float *gate, const float *up, gsize n)
{
  (void) gate;
  (void) up;
  (void) n;
}

static void
run_kimi (const MsEngine *engine, gconstpointer data, const MsOperand *in, MsProduct out)
{
  const Part *part = data;
  gsize n = engine->n, row = row_of (part), keys = keys_of (part), values = values_of (part);
  Work work = { .part = part,
                .kimi = TRUE,
                .qkv = ms_arena_array (engine->arena, float, n *row),
                .gate = ms_arena_array (engine->arena, float, n *values),
                .beta = ms_arena_array (engine->arena, float, n * part->n_heads),
                .decay = ms_arena_array (engine->arena, float, n *keys),
                .mixed = ms_engine_operand (engine, n, values) };
  MsOperand f = ms_engine_operand (engine, n, part->key_width);
  MsOperand g = ms_engine_operand (engine, n, part->key_width);
  gboolean low_f = part->f_b.tensor != NULL, low_g = part->g_b.tensor != NULL;
  MsProduct inward[] = {
    { .w = &part->q, .x = *in, .rows = n, .y = work.qkv, .y_width = row },
    { .w = &part->k, .x = *in, .rows = n, .y = work.qkv + keys, .y_width = row },
    { .w = &part->v, .x = *in, .rows = n, .y = work.qkv + 2 * keys, .y_width = row },
    { .w = &part->beta, .x = *in, .rows = n, .y = work.beta, .y_width = part->n_heads },
    { .w = &part->f_a, .x = *in, .rows = n, .y = work.decay, .y_width = keys },
    { .w = &part->g_a, .x = *in, .rows = n, .y = work.gate, .y_width = values },
  };
  const MsProduct second[] = {
    { .w = &part->f_b, .x = f, .rows = n, .y = work.decay, .y_width = keys },
    { .w = &part->g_b, .x = g, .rows = n, .y = work.gate, .y_width = values },
  };

  for (guint i = 0; i < 2; i++)
    if (i == 0 ? low_f : low_g)
      {
        inward[4 + i].kind = MS_PRODUCT_ACTIVATED;
        inward[4 + i].activate = keep;
        inward[4 + i].h = i == 0 ? f : g;
      }
  ms_products_run (engine->products, inward, G_N_ELEMENTS (inward));
  if (low_f)
    ms_products_run (engine->products, &second[0], 1);
  if (low_g)
    ms_products_run (engine->products, &second[1], 1);
  convolve (engine, part, work.qkv, part->q_kernel, keys);
  convolve (engine, part, work.qkv + keys, part->k_kernel, keys);
  convolve (engine, part, work.qkv + 2 * keys, part->v_kernel, values);
  recur (engine, &work);
  out.w = &part->out;
  out.x = work.mixed;
  ms_products_run (engine->products, &out, 1);
}

const MsMixer ms_mixer_gated_delta_net = {
  .name = "gated delta net",
  .mark = "ssm_a",
  .part_size = sizeof (Part),
  .tensors = { gated_rules, G_N_ELEMENTS (gated_rules) },
  .load = load_gated,
  .bytes = bytes_gated,
  .run = run_gated,
  .describe = describe,
};

const MsMixer ms_mixer_kimi_delta = {
  .name = "Kimi delta attention",
  .mark = "ssm_f_a.weight",
  .part_size = sizeof (Part),
  .tensors = { kimi_rules, G_N_ELEMENTS (kimi_rules) },
  .load = load_kimi,
  .bytes = bytes_kimi,
  .run = run_kimi,
  .describe = describe,
};
