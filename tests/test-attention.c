/* Attention's kernel with all its switches, and the activations of experts, alone against plain loops in
 * double. */
#include "attention-private.h"
#include "base.h"
#include "kernels-private.h"
#include "positions-private.h"

#include <math.h>
#include <string.h>

static void
fill (guint64 seed, double spread, gsize n, float *values)
{
  for (gsize i = 0; i < n; i++)
    values[i] = (float) (spread * (2 * ms_random_double (&seed) - 1));
}

static void
assert_near (double found, double right, double bound)
{
  if (!(fabs (found - right) <= bound * MAX (1, fabs (right))))
    g_error ("%.9g found, %.9g is right", found, right);
}

static double
sigmoid (double x)
{
  return 1 / (1 + exp (-x));
}

/* --- Attention ------------------------------------------------------------------------------- */

#define HEADS    6
#define KV_HEADS 2
#define KEY      12
#define VALUE    9
#define TOKENS   431
#define BLOCKS   3 /* that a token sees, at most */

static const gsize starts[] = { 0, 1, 300, 300, TOKENS }; /* blocks of queries are 128 long */

typedef struct
{
  gsize window;
  gboolean chunked;
  double sinks;     /* 0: none; their spread */
  gsize gate_width; /* 0: none */
  gboolean softplus;
  gsize block; /* 0: all tokens are seen; otherwise those of some blocks of so many */
} Way;

static const Way ways[] = {
  { 0, FALSE, 0, 0, FALSE, 0 },     { 1, FALSE, 0, 0, FALSE, 0 },    { 37, FALSE, 0, 0, FALSE, 0 },
  { 37, TRUE, 0, 0, FALSE, 0 },     { 128, TRUE, 0, 0, FALSE, 0 },   { 500, TRUE, 0, 0, FALSE, 0 },
  { 0, FALSE, 3, 0, FALSE, 0 },     { 37, FALSE, 3, 1, FALSE, 0 },   { 0, FALSE, 200, 0, FALSE, 0 },
  { 0, FALSE, 0, VALUE, FALSE, 0 }, { 0, FALSE, 0, VALUE, TRUE, 0 }, { 50, TRUE, 2, 1, TRUE, 0 },
  { 0, FALSE, 0, 0, FALSE, 20 },    { 0, FALSE, 3, 1, FALSE, 64 },
};

static struct
{
  float q[TOKENS * HEADS * KEY], k[TOKENS * KV_HEADS * KEY], v[TOKENS * KV_HEADS * VALUE];
  float sinks[HEADS], gates[TOKENS * HEADS * VALUE];
  gint32 blocks[TOKENS * KV_HEADS * BLOCKS];
} given;

/* A token's own block, one drawn, and none or one more. */
static void
fill_blocks (gsize block)
{
  guint64 seed = 9;

  for (gsize d = 0; d + 1 < G_N_ELEMENTS (starts); d++)
    for (gsize t = starts[d]; t < starts[d + 1]; t++)
      for (guint kv = 0; kv < KV_HEADS; kv++)
        {
          gint32 *blocks = given.blocks + (t * KV_HEADS + kv) * BLOCKS;
          gint32 own = (gint32) ((t - starts[d]) / block);

          blocks[0] = (gint32) ms_random_below (&seed, (guint64) own + 1);
          blocks[1] = own;
          blocks[2] = t % 2 == 0 ? -1 : (gint32) ms_random_below (&seed, (guint64) own + 1);
        }
}

static gboolean
is_seen (const Way *way, gsize start, gsize query, guint kv, gsize key)
{
  const gint32 *blocks = given.blocks + ((start + query) * KV_HEADS + kv) * BLOCKS;
  gboolean hidden = way->block > 0;

  if (key > query)
    return FALSE;
  for (guint i = 0; i < BLOCKS && hidden && blocks[i] >= 0; i++)
    hidden = (gint32) (key / way->block) != blocks[i];
  if (hidden)
    return FALSE;
  if (way->window == 0)
    return TRUE;
  return way->chunked ? key / way->window == query / way->window : query - key < way->window;
}

/* What head h of the token at `query` of a document puts out for value i. */
static double
mix (const Way *way, gsize start, gsize query, guint h, guint i)
{
  guint kv = h / (HEADS / KV_HEADS);
  double top = way->sinks > 0 ? (double) given.sinks[h] : -INFINITY, sum = 0, mixed = 0, gate;
  double scores[TOKENS];

  for (gsize s = 0; s <= query; s++)
    {
      scores[s] = 0;
      for (guint j = 0; j < KEY; j++)
        scores[s] += 0.3 * (double) given.q[((start + query) * HEADS + h) * KEY + j]
                     * (double) given.k[((start + s) * KV_HEADS + kv) * KEY + j];
      if (is_seen (way, start, query, kv, s))
        top = MAX (top, scores[s]);
    }
  sum = way->sinks > 0 ? exp ((double) given.sinks[h] - top) : 0;
  for (gsize s = 0; s <= query; s++)
    if (is_seen (way, start, query, kv, s))
      {
        sum += exp (scores[s] - top);
        mixed
            += exp (scores[s] - top) * (double) given.v[((start + s) * KV_HEADS + kv) * VALUE + i];
      }
  if (way->gate_width == 0)
    return mixed / sum;
  gate
      = (double) given
            .gates[((start + query) * HEADS + h) * way->gate_width + (way->gate_width > 1 ? i : 0)];
  return mixed / sum * (way->softplus ? log (1 + exp (gate)) : sigmoid (gate));
}

static void
attend (const Way *way, guint threads, float *out)
{
  ms_attention_run (&(MsAttention){
      .threads = threads,
      .n_heads = HEADS,
      .n_kv_heads = KV_HEADS,
      .key_width = KEY,
      .value_width = VALUE,
      .scale = 0.3f,
      .window = way->window,
      .chunked = way->chunked,
      .sinks = way->sinks > 0 ? given.sinks : NULL,
      .blocks = way->block > 0 ? given.blocks : NULL,
      .block = way->block,
      .n_blocks = BLOCKS,
      .starts = starts,
      .n_documents = G_N_ELEMENTS (starts) - 1,
      .q = given.q,
      .k = given.k,
      .v = given.v,
      .gate = way->gate_width > 0 ? given.gates : NULL,
      .gate_head = way->gate_width,
      .gate_width = way->gate_width,
      .gate_by = way->softplus ? ms_times_softplus : ms_times_sigmoid,
      .out = { .f = out, .width = HEADS * VALUE },
  });
}

static void
test_attention (void)
{
  static float one[TOKENS * HEADS * VALUE], three[TOKENS * HEADS * VALUE];

  fill (1, 2, G_N_ELEMENTS (given.q), given.q);
  fill (2, 2, G_N_ELEMENTS (given.k), given.k);
  fill (3, 1, G_N_ELEMENTS (given.v), given.v);
  fill (4, 4, G_N_ELEMENTS (given.gates), given.gates);
  for (gsize w = 0; w < G_N_ELEMENTS (ways); w++)
    {
      fill (5, ways[w].sinks, HEADS, given.sinks);
      if (ways[w].block > 0)
        fill_blocks (ways[w].block);
      attend (&ways[w], 1, one);
      attend (&ways[w], 3, three);
      g_assert_cmpint (memcmp (one, three, sizeof one), ==, 0);
      for (gsize d = 0; d + 1 < G_N_ELEMENTS (starts); d++)
        for (gsize t = starts[d]; t < starts[d + 1]; t += t % 7 + 1)
          for (guint h = 0; h < HEADS; h++)
            for (guint i = 0; i < VALUE; i++)
              assert_near ((double) one[(t * HEADS + h) * VALUE + i],
                           mix (&ways[w], starts[d], t - starts[d], h, i), 2e-6);
    }
}

/* --- Activations ----------------------------------------------------------------------------- */

static double
clamped_swiglu (double gate, double up)
{
  gate = MIN (gate, 7);
  return gate * sigmoid (1.702 * gate) * (CLAMP (up, -7, 7) + 1);
}

static double
limited_silu (double gate, double up)
{
  return MIN (gate * sigmoid (gate), 2.5) * CLAMP (up, -2.5, 2.5);
}

static double
silu (double gate, double up)
{
  return gate * sigmoid (gate) * up;
}

static double
gated_relu (double gate, double up)
{
  return MAX (gate, 0) * up;
}

static double
to_half (double x)
{
  return (double) ms_half_to_float (ms_half_from_float ((float) x));
}

static double
gelu (double gate, double up)
{
  double x = to_half (gate);

  if (fabs (gate) >= 10)
    return gate > 0 ? gate * up : 0;
  return to_half (0.5 * x * (1 + tanh (sqrt (2 / G_PI) * (x + 0.044715 * x * x * x)))) * up;
}

static void
run_limited (float *gate, const float *up, gsize n)
{
  ms_silu_times_limited (gate, up, n, 2.5f);
}

/* Within and beyond every limit; what is no number stays so. */
static void
test_activations (void)
{
  static const struct
  {
    MsActivation run;
    double (*right) (double gate, double up);
  } kinds[] = { { ms_silu_times, silu },
                { ms_clamped_swiglu, clamped_swiglu },
                { run_limited, limited_silu },
                { ms_relu_times, gated_relu },
                { ms_gelu_times, gelu } };
  float x[203], gate[203], up[203];

  fill (1, 12, G_N_ELEMENTS (x), x);
  fill (2, 12, G_N_ELEMENTS (up), up);
  for (guint i = 100; i < 120; i++)
    x[i] *= 1e-6f; /* the smallest halves */
  for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++)
    {
      memcpy (gate, x, sizeof x);
      gate[7] = NAN;
      kinds[k].run (gate, up, G_N_ELEMENTS (gate));
      g_assert_true (isnan (gate[7]));
      for (gsize i = 0; i < G_N_ELEMENTS (gate); i++)
        if (i != 7)
          assert_near ((double) gate[i], kinds[k].right ((double) x[i], (double) up[i]), 2e-6);
    }
}

/* --- Positions ------------------------------------------------------------------------------- */

/* Queries of the first 8,191 tokens are as they are. */
static void
test_temperature (void)
{
  const MsTemperature temperature = { .scale = 0.1f, .offset = 1, .length = 8192 };
  const struct
  {
    gsize position;
    double right;
  } cases[] = { { 0, 1 },
                { 8190, 1 },
                { 8191, 1 + 0.1 * log (2) },
                { 16382, 1 + 0.1 * log (2) },
                { 16383, 1 + 0.1 * log (3) },
                { 1000000, 1 + 0.1 * log (123) } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_near ((double) ms_temperature (&temperature, cases[i].position), cases[i].right, 1e-6);
}

static void
test_plain_norm (void)
{
  float x[50], out[50];
  double squares = 0;

  fill (1, 3, 50, x);
  for (guint i = 0; i < 50; i++)
    squares += (double) x[i] * (double) x[i];
  ms_rms_norm (x, NULL, 50, 1e-3f, out);
  for (guint i = 0; i < 50; i++)
    assert_near ((double) out[i], (double) x[i] / sqrt (squares / 50 + 1e-3), 1e-6);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/attention/attention", test_attention);
  g_test_add_func ("/attention/activations", test_activations);
  g_test_add_func ("/attention/temperature", test_temperature);
  g_test_add_func ("/attention/plain-norm", test_plain_norm);
  return g_test_run ();
}
