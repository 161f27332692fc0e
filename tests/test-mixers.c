/* Mixers alone against plain loops in double, on a file of one block: several documents in one wave, any number
 * of threads; each tensor of recurrent mixers missing or of a wrong shape. */
#include "base.h"
#include "engine-private.h"
#include "loose-model.h"
#include "mixer-private.h"
#include "positions-private.h"

#include <math.h>
#include <string.h>

#define D 24

/* A state space of so many values, states, heads (or rank of the steps), groups, tokens of the convolution. */
typedef struct
{
  const char *architecture;
  guint inner, states, heads, groups, length;
  gboolean bias; /* of the convolution */
} Space;

static const Space spaces[] = {
  { "granitehybrid", 96, 5, 6, 1, 4, TRUE },    /* heads of 16 */
  { "granitehybrid", 160, 16, 4, 2, 3, FALSE }, /* heads of 40: more than a tile */
  { "jamba", 48, 16, 8, 1, 4, TRUE },
  { "jamba", 70, 3, 5, 1, 2, FALSE },
};

/* --- The file -------------------------------------------------------------------------------- */

/* All tensors of a block with the space, and of the rest of a model as little as can be. */
static void
write_tensors (const Space *s, LooseModel *model)
{
  gboolean second = strcmp (s->architecture, "jamba") != 0;
  gint64 inner = s->inner, states = s->states, heads = s->heads, bc = 2 * s->groups * states;
  gint64 channels = second ? inner + bc : inner;

  loose_model_add (model, "token_embd.weight", D, 8, 0);
  loose_model_add (model, "output_norm.weight", D, 0, 0);
  loose_model_add (model, "blk.0.attn_norm.weight", D, 0, 0);
  loose_model_add (model, "blk.0.ffn_norm.weight", D, 0, 0);
  loose_model_add (model, "blk.0.ffn_gate_inp.weight", D, 2, 0);
  loose_model_add (model, "blk.0.ffn_gate_exps.weight", D, 4, 2);
  loose_model_add (model, "blk.0.ffn_up_exps.weight", D, 4, 2);
  loose_model_add (model, "blk.0.ffn_down_exps.weight", 4, D, 2);
  loose_model_add (model, "blk.0.ssm_in.weight", D, second ? inner + channels + heads : 2 * inner,
                   0);
  loose_model_add (model, "blk.0.ssm_conv1d.weight", s->length, channels, 0);
  if (s->bias)
    loose_model_add (model, "blk.0.ssm_conv1d.bias", channels, 0, 0);
  loose_model_add (model, "blk.0.ssm_out.weight", inner, D, 0);
  loose_model_add (model, "blk.0.ssm_dt.bias", second ? heads : inner, 0, 0);
  loose_model_add (model, "blk.0.ssm_a", second ? 1 : states, second ? heads : inner, 0);
  if (second)
    {
      loose_model_add (model, "blk.0.ssm_d", 1, heads, 0);
      loose_model_add (model, "blk.0.ssm_norm.weight", inner / s->groups, s->groups, 0);
      return;
    }
  loose_model_add (model, "blk.0.ssm_d", inner, 0, 0);
  loose_model_add (model, "blk.0.ssm_x.weight", inner, heads + 2 * states, 0);
  loose_model_add (model, "blk.0.ssm_dt.weight", heads, inner, 0);
  loose_model_add (model, "blk.0.ssm_dt_norm.weight", heads, 0, 0);
  loose_model_add (model, "blk.0.ssm_b_norm.weight", states, 0, 0);
  loose_model_add (model, "blk.0.ssm_c_norm.weight", states, 0, 0);
}

static void
write_keys (const Space *s, LooseModel *model)
{
  const struct
  {
    const char *name;
    guint32 value;
  } numbers[] = { { "embedding_length", D },
                  { "block_count", 1 },
                  { "attention.head_count", 4 },
                  { "attention.head_count_kv", 0 },
                  { "expert_count", 2 },
                  { "expert_used_count", 1 },
                  { "ssm.conv_kernel", s->length },
                  { "ssm.inner_size", s->inner },
                  { "ssm.state_size", s->states },
                  { "ssm.time_step_rank", s->heads },
                  { "ssm.group_count", s->groups } };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    loose_model_u32 (model, numbers[i].name, numbers[i].value);
}

static gboolean
make_model (LooseModel *model, const Space *s, const LooseFault *fault, GError **error)
{
  loose_model_init (model, s->architecture, fault);
  write_keys (s, model);
  write_tensors (s, model);
  return loose_model_load (model, error);
}

/* --- Plain loops ----------------------------------------------------------------------------- */

static double
silu (double x)
{
  return x / (1 + exp (-x));
}

/* Convolves `channels` values from number `first` on of n rows: a new array. */
static double *
convolve (const Space *s, const double *x, guint n, guint row, guint first, guint channels)
{
  g_autofree float *kernel = loose_values ("blk.0.ssm_conv1d.weight", (gsize) s->length * channels);
  g_autofree float *bias = loose_values ("blk.0.ssm_conv1d.bias", channels);
  double *out = g_new (double, (gsize) n *channels);

  for (guint t = 0; t < n; t++)
    for (guint i = 0; i < channels; i++)
      {
        double sum = s->bias ? (double) bias[i] : 0;

        for (guint back = 0; back < s->length && back <= t; back++)
          sum += (double) kernel[i * s->length + s->length - 1 - back]
                 * x[(t - back) * row + first + i];
        out[t * channels + i] = silu (sum);
      }
  return out;
}

/* One column's output at one token: its state (states) goes on. */
static double
scan (double *state, guint states, double x, double step, const double *b, const double *c,
      const float *rate, guint rate_step, double skip)
{
  double y = 0;

  for (guint i = 0; i < states; i++)
    {
      state[i] = exp (step * (double) rate[i * rate_step]) * state[i] + b[i] * step * x;
      y += state[i] * c[i];
    }
  return y + skip * x;
}

static void
naive_mamba_2 (const Space *s, const double *x, guint n, double *y)
{
  guint bc = s->groups * s->states, channels = s->inner + 2 * bc, width = s->inner / s->heads;
  guint row = s->inner + channels + s->heads, group = s->inner / s->groups;
  g_autofree double *in = g_new (double, (gsize) n *row), *out = g_new (double, s->inner);
  g_autofree double *state = g_new0 (double, (gsize) s->inner * s->states), *mixed = NULL;
  g_autofree float *rate = loose_values ("blk.0.ssm_a", s->heads);
  g_autofree float *skip = loose_values ("blk.0.ssm_d", s->heads);
  g_autofree float *bias = loose_values ("blk.0.ssm_dt.bias", s->heads);

  for (guint t = 0; t < n; t++)
    loose_apply ("blk.0.ssm_in.weight", 0, x + t * D, D, row, in + t * row);
  mixed = convolve (s, in, n, row, s->inner, channels);
  for (guint t = 0; t < n; t++)
    {
      const double *of = mixed + t * channels, *gate = in + t * row;

      for (guint i = 0; i < s->inner; i++)
        {
          guint head = i / width, g = head / (s->heads / s->groups);
          double step = log (1 + exp (in[(t + 1) * row - s->heads + head] + (double) bias[head]));

          out[i] = silu (gate[i])
                   * scan (state + i * s->states, s->states, of[i], step,
                           of + s->inner + g * s->states, of + s->inner + bc + g * s->states,
                           rate + head, 0, (double) skip[head]);
        }
      for (guint g = 0; g < s->groups; g++)
        loose_norm ("blk.0.ssm_norm.weight", g * group, group, out + g * group);
      loose_apply ("blk.0.ssm_out.weight", 0, out, s->inner, D, y + t * D);
    }
}

static void
naive_mamba (const Space *s, const double *x, guint n, double *y)
{
  guint row = 2 * s->inner, narrow = s->heads + 2 * s->states;
  g_autofree double *in = g_new (double, (gsize) n *row), *out = g_new (double, s->inner);
  g_autofree double *state = g_new0 (double, (gsize) s->inner * s->states), *mixed = NULL;
  g_autofree double *few = g_new (double, narrow), *steps = g_new (double, s->inner);
  g_autofree float *rate = loose_values ("blk.0.ssm_a", (gsize) s->inner * s->states);
  g_autofree float *skip = loose_values ("blk.0.ssm_d", s->inner);
  g_autofree float *bias = loose_values ("blk.0.ssm_dt.bias", s->inner);

  for (guint t = 0; t < n; t++)
    loose_apply ("blk.0.ssm_in.weight", 0, x + t * D, D, row, in + t * row);
  mixed = convolve (s, in, n, row, 0, s->inner);
  for (guint t = 0; t < n; t++)
    {
      const double *of = mixed + t * s->inner, *gate = in + t * row + s->inner;

      loose_apply ("blk.0.ssm_x.weight", 0, of, s->inner, narrow, few);
      loose_norm ("blk.0.ssm_dt_norm.weight", 0, s->heads, few);
      loose_norm ("blk.0.ssm_b_norm.weight", 0, s->states, few + s->heads);
      loose_norm ("blk.0.ssm_c_norm.weight", 0, s->states, few + s->heads + s->states);
      loose_apply ("blk.0.ssm_dt.weight", 0, few, s->heads, s->inner, steps);
      for (guint i = 0; i < s->inner; i++)
        out[i] = silu (gate[i])
                 * scan (state + i * s->states, s->states, of[i],
                         log (1 + exp (steps[i] + (double) bias[i])), few + s->heads,
                         few + s->heads + s->states, rate + i * s->states, 1, (double) skip[i]);
      loose_apply ("blk.0.ssm_out.weight", 0, out, s->inner, D, y + t * D);
    }
}

/* --- Attention with limited queries, keys and values, and angles that go by a document's length ------ */

#define HEADS    4
#define KV_HEADS 2
#define HEAD     6 /* width of a head */
#define LIMIT    0.4f
#define CONTEXT  10   /* longer documents turn otherwise */
#define FACTOR   1.25 /* of cosines and sines */

static gboolean
make_attention (LooseModel *model, const LooseFault *fault, GError **error)
{
  loose_model_init (model, "dbrx", fault);
  loose_model_u32 (model, "embedding_length", D);
  loose_model_u32 (model, "block_count", 1);
  loose_model_u32 (model, "attention.head_count", HEADS);
  loose_model_u32 (model, "attention.head_count_kv", KV_HEADS);
  loose_model_u32 (model, "expert_count", 2);
  loose_model_u32 (model, "expert_used_count", 1);
  loose_model_u32 (model, "rope.scaling.original_context_length", CONTEXT);
  loose_model_float (model, "rope.scaling.attn_factor", (float) FACTOR);
  loose_model_float (model, "rope.freq_base", 100);
  loose_model_float (model, "attention.layer_norm_epsilon", LOOSE_EPSILON);
  loose_model_float (model, "attention.clamp_kqv", LIMIT);
  loose_model_add (model, "token_embd.weight", D, 8, 0);
  loose_model_add (model, "output_norm.weight", D, 0, 0);
  loose_model_add (model, "rope_factors_short.weight", HEAD / 2, 0, 0);
  loose_model_add (model, "rope_factors_long.weight", HEAD / 2, 0, 0);
  loose_model_add (model, "blk.0.attn_norm.weight", D, 0, 0);
  loose_model_add (model, "blk.0.attn_output_norm.weight", D, 0, 0);
  loose_model_add (model, "blk.0.attn_qkv.weight", D, (HEADS + 2 * KV_HEADS) * HEAD, 0);
  loose_model_add (model, "blk.0.attn_output.weight", HEADS * HEAD, D, 0);
  loose_model_add (model, "blk.0.ffn_gate_inp.weight", D, 2, 0);
  loose_model_add (model, "blk.0.ffn_gate_exps.weight", D, 4, 2);
  loose_model_add (model, "blk.0.ffn_up_exps.weight", D, 4, 2);
  loose_model_add (model, "blk.0.ffn_down_exps.weight", 4, D, 2);
  return loose_model_load (model, error);
}

static void
turn (double *head, guint position, const float *divisors)
{
  for (guint i = 0; i < HEAD / 2; i++)
    {
      double angle = position * pow (100, -2.0 * i / HEAD) / (double) divisors[i];
      double a = head[i], b = head[i + HEAD / 2];

      head[i] = FACTOR * (a * cos (angle) - b * sin (angle));
      head[i + HEAD / 2] = FACTOR * (a * sin (angle) + b * cos (angle));
    }
}

static void
naive_attention (const Space *unused, const double *x, guint n, double *y)
{
  const guint row = (HEADS + 2 * KV_HEADS) * HEAD;
  g_autofree double *qkv = g_new (double, (gsize) n *row), *p = g_new (double, n);
  g_autofree float *divisors = loose_values (
      n > CONTEXT ? "rope_factors_long.weight" : "rope_factors_short.weight", HEAD / 2);

  g_assert_null (unused);
  for (guint t = 0; t < n; t++)
    {
      double *of = qkv + t * row;

      loose_apply ("blk.0.attn_qkv.weight", 0, x + t * D, D, row, of);
      for (guint i = 0; i < row; i++)
        of[i] = CLAMP (of[i], -(double) LIMIT, (double) LIMIT);
      for (guint h = 0; h < HEADS + KV_HEADS; h++)
        turn (of + h * HEAD, t, divisors);
    }
  for (guint t = 0; t < n; t++)
    {
      double mixed[HEADS * HEAD] = { 0 };

      for (guint h = 0; h < HEADS; h++)
        {
          guint kv = h / (HEADS / KV_HEADS);
          double sum = 0;

          for (guint s = 0; s <= t; s++)
            {
              const double *q = qkv + t * row + h * HEAD;
              const double *k = qkv + s * row + (HEADS + kv) * HEAD;

              p[s] = 0;
              for (guint i = 0; i < HEAD; i++)
                p[s] += q[i] * k[i];
              sum += p[s] = exp (p[s] / sqrt (HEAD));
            }
          for (guint s = 0; s <= t; s++)
            for (guint i = 0; i < HEAD; i++)
              mixed[h * HEAD + i] += p[s] / sum * qkv[s * row + (HEADS + KV_HEADS + kv) * HEAD + i];
        }
      loose_apply ("blk.0.attn_output.weight", 0, mixed, HEADS * HEAD, D, y + t * D);
    }
}

/* --- Lightning attention ---------------------------------------------------------------------- */

#define LINEAR 40 /* width of a head: more than a tile */

static gboolean
make_lightning (LooseModel *model, const LooseFault *fault, GError **error)
{
  loose_model_init (model, "minimax-01", fault);
  loose_model_u32 (model, "embedding_length", D);
  loose_model_u32 (model, "block_count", 2);
  loose_model_u32 (model, "attention.head_count", HEADS);
  loose_model_u32 (model, "attention.key_length", LINEAR);
  loose_model_u32 (model, "attention.value_length", LINEAR);
  loose_model_u32 (model, "rope.dimension_count", LINEAR / 2);
  loose_model_u32 (model, "expert_count", 2);
  loose_model_u32 (model, "expert_used_count", 1);
  loose_model_float (model, "residual_scale", 2);
  loose_model_add (model, "token_embd.weight", D, 8, 0);
  loose_model_add (model, "output_norm.weight", D, 0, 0);
  for (guint b = 0; b < 2; b++)
    {
      const struct
      {
        const char *name;
        gint64 ne[3];
      } tensors[] = { { "attn_norm.weight", { D } },
                      { "attn_norm_2.weight", { HEADS * LINEAR } },
                      { "attn_qkv.weight", { D, 3 * HEADS * LINEAR } },
                      { "attn_gate.weight", { D, HEADS * LINEAR } },
                      { "attn_output.weight", { HEADS * LINEAR, D } },
                      { "ffn_norm.weight", { D } },
                      { "ffn_gate_inp.weight", { D, 2 } },
                      { "ffn_gate_exps.weight", { D, 4, 2 } },
                      { "ffn_up_exps.weight", { D, 4, 2 } },
                      { "ffn_down_exps.weight", { 4, D, 2 } } };

      for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
        {
          g_autofree char *name = g_strdup_printf ("blk.%u.%s", b, tensors[i].name);

          loose_model_add (model, name, tensors[i].ne[0], tensors[i].ne[1], tensors[i].ne[2]);
        }
    }
  return loose_model_load (model, error);
}

/* Of the first of two blocks, as sums over all tokens before. */
static void
naive_lightning (const Space *unused, const double *x, guint n, double *y)
{
  const guint all = HEADS * LINEAR, row = 3 * all;
  g_autofree double *qkv = g_new (double, (gsize) n *row), *out = g_new (double, all);
  g_autofree double *gate = g_new (double, all);

  g_assert_null (unused);
  for (guint t = 0; t < n; t++)
    {
      loose_apply ("blk.0.attn_qkv.weight", 0, x + t * D, D, row, qkv + t * row);
      for (guint i = 0; i < row; i++)
        qkv[t * row + i] = silu (qkv[t * row + i]);
    }
  for (guint t = 0; t < n; t++)
    {
      for (guint h = 0; h < HEADS; h++)
        {
          const double *q = qkv + t * row + 3 * h * LINEAR;
          double slope = pow (2, -8.0 * (h + 1) / HEADS) * (1 + 1e-5);

          memset (out + h * LINEAR, 0, LINEAR * sizeof *out);
          for (guint s = 0; s <= t; s++)
            {
              const double *k = qkv + s * row + (3 * h + 1) * LINEAR, *v = k + LINEAR;
              double score = 0;

              for (guint i = 0; i < LINEAR; i++)
                score += q[i] * k[i];
              score *= exp (-slope * (t - s));
              for (guint i = 0; i < LINEAR; i++)
                out[h * LINEAR + i] += score * v[i];
            }
        }
      loose_norm ("blk.0.attn_norm_2.weight", 0, all, out);
      loose_apply ("blk.0.attn_gate.weight", 0, x + t * D, D, all, gate);
      for (guint i = 0; i < all; i++)
        out[i] /= 1 + exp (-gate[i]);
      loose_apply ("blk.0.attn_output.weight", 0, out, all, D, y + t * D);
    }
}

/* --- Tests ----------------------------------------------------------------------------------- */

/* The mixer's output (n, D) for documents of these lengths, their inputs one after the other.  (transfer full) */
static float *
run_mixer (const MsPlan *plan, float *x, const gsize *starts, guint n_documents, guint threads)
{
  gsize n = starts[n_documents];
  const MsForwardOptions options = { .threads = threads };
  const MsWave wave = { .starts = starts, .n_documents = n_documents };
  g_autoptr (MsProducts) products = ms_products_new (threads);
  g_autoptr (MsArena) arena = ms_arena_new (1 << 20);
  g_autofree guint32 *positions = g_new (guint32, n);
  const MsOperand in = { x, NULL, D };
  g_autofree MsAngles *angles = g_new0 (MsAngles, plan->rotations->len + 1);
  float *y = g_new (float, n *D);
  const MsEngine engine = { .plan = plan,
                            .options = &options,
                            .wave = &wave,
                            .n = n,
                            .products = products,
                            .arena = arena,
                            .angles = angles,
                            .positions = positions,
                            .block = plan->blocks };

  for (guint d = 0; d < n_documents; d++)
    for (gsize t = starts[d]; t < starts[d + 1]; t++)
      positions[t] = (guint32) (t - starts[d]);
  for (guint i = 0; i < plan->rotations->len; i++)
    {
      const MsRotation *rotation = g_ptr_array_index (plan->rotations, i);

      angles[i].cosines = ms_arena_array (arena, float, n * rotation->n_pairs);
      angles[i].sines = ms_arena_array (arena, float, n * rotation->n_pairs);
      for (gsize p = 0; p < n; p++)
        ms_rotation_angles (rotation, p, angles[i].cosines + p * rotation->n_pairs,
                            angles[i].sines + p * rotation->n_pairs);
    }
  plan->blocks[0].mixer->run (
      &engine, plan->blocks[0].mixer_part, &in,
      (MsProduct){ .kind = MS_PRODUCT_STORE, .rows = n, .y = y, .y_width = D });
  return y;
}

typedef void (*NaiveFunc) (const Space *s, const double *x, guint n, double *y);

static void
compare_mixer (const MsPlan *plan, NaiveFunc naive, const Space *s)
{
  static const gsize starts[] = { 0, 7, 8, 650, 653 };
  const guint n_documents = G_N_ELEMENTS (starts) - 1;
  gsize n = starts[n_documents];
  g_autofree float *x = loose_values ("x", n * D), *one = NULL, *three = NULL;
  g_autofree double *wide = g_new (double, n *D), *right = g_new (double, n *D);

  for (gsize i = 0; i < n * D; i++)
    wide[i] = (double) (x[i] *= 3);
  one = run_mixer (plan, x, starts, n_documents, 1);
  three = run_mixer (plan, x, starts, n_documents, 3);
  g_assert_cmpint (memcmp (one, three, n * D * sizeof *one), ==, 0);
  for (guint d = 0; d < n_documents; d++)
    naive (s, wide + starts[d] * D, (guint) (starts[d + 1] - starts[d]), right + starts[d] * D);
  for (gsize i = 0; i < n * D; i++)
    if (!(fabs ((double) one[i] - right[i]) < 1e-5 * (1 + fabs (right[i]))))
      g_error ("token %" G_GSIZE_FORMAT ": %.9g found, %.9g is right", i / D, (double) one[i],
               right[i]);
}

static void
test_space (gconstpointer data)
{
  const Space *s = data;
  g_autoptr (GError) error = NULL;
  g_auto (LooseModel) model = { 0 };

  make_model (&model, s, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model.plan->warnings->len, ==, 0);
  compare_mixer (model.plan, strcmp (s->architecture, "jamba") == 0 ? naive_mamba : naive_mamba_2,
                 s);
}

static void
test_attention (void)
{
  g_autoptr (GError) error = NULL;
  g_auto (LooseModel) model = { 0 };

  make_attention (&model, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model.plan->warnings->len, ==, 0);
  compare_mixer (model.plan, naive_attention, NULL);
}

static void
test_lightning (void)
{
  g_autoptr (GError) error = NULL;
  g_auto (LooseModel) model = { 0 };

  make_lightning (&model, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model.plan->warnings->len, ==, 0);
  g_assert_cmpstr (model.plan->blocks[0].mixer->name, ==, "lightning attention");
  compare_mixer (model.plan, naive_lightning, NULL);
}

static void
test_lightning_faults (void)
{
  static const char *const names[]
      = { "attn_qkv.weight", "attn_gate.weight", "attn_output.weight", "attn_norm_2" };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (names); i++)
    {
      const LooseFault fault = { names[i / 2], i % 2 == 0 };
      g_autoptr (GError) error = NULL;
      g_auto (LooseModel) model = { 0 };

      /* A block without that norm is one of the other kind. */
      if (fault.missing && i / 2 == 3)
        continue;
      g_assert_false (make_lightning (&model, &fault, &error));
      if (strstr (error->message, fault.name) == NULL)
        g_error ("'%s' expected in: %s", fault.name, error->message);
    }
}

/* Every tensor that the mixer must have, missing or too long: the error names it. */
static void
test_faults (gconstpointer data)
{
  const Space *s = data;
  g_auto (LooseModel) whole = { 0 };
  const MsTensorTable *table;

  make_model (&whole, s, NULL, NULL);
  table = &whole.plan->blocks[0].mixer->tensors;
  for (guint i = 0; i < 2 * table->n; i++)
    {
      const MsTensorRule *rule = &table->rules[i / 2];
      const LooseFault fault = { rule->name, i % 2 == 0 };
      g_autoptr (GError) error = NULL;
      g_auto (LooseModel) model = { 0 };

      if ((rule->required & MS_ALWAYS) == 0 && (fault.missing || !s->bias))
        continue;
      g_assert_false (make_model (&model, s, &fault, &error));
      if (strstr (error->message, rule->name) == NULL)
        g_error ("'%s' expected in: %s", rule->name, error->message);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (spaces); i++)
    {
      g_autofree char *name = g_strdup_printf ("/mixers/%s-%u", spaces[i].architecture, i);
      g_autofree char *faults = g_strconcat (name, "/faults", NULL);

      g_test_add_data_func (name, &spaces[i], test_space);
      g_test_add_data_func (faults, &spaces[i], test_faults);
    }
  g_test_add_func ("/mixers/attention-by-length", test_attention);
  g_test_add_func ("/mixers/lightning", test_lightning);
  g_test_add_func ("/mixers/lightning/faults", test_lightning_faults);
  return g_test_run ();
}
