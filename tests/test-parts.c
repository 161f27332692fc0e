/* Blocks that are built otherwise than a mixer with experts behind it, against plain loops in double: what the
 * first block makes of the stream shows in the second's router. */
#include "base.h"
#include "engine-private.h"
#include "loose-model.h"

#include <math.h>
#include <string.h>

#define D      16
#define WORDS  12
#define E      6
#define K      2
#define TOKENS 9
#define FIRST  4 /* of them in the first of two documents */
#define BLOCKS 2
#define NARROW 8 /* width of the experts' own */
#define WIDTH  5 /* of an expert */
#define SHARED 7 /* width of the shared expert */

static const gint32 ids[TOKENS] = { 3, 1, 4, 1, 5, 9, 2, 6, 5 };

/* Router scores (BLOCKS, TOKENS, E) and, of the first block, similarities (TOKENS) as the engine finds
 * them. */
static void
run_engine (const MsPlan *plan, float *logits, float *similarity)
{
  static const gsize starts[] = { 0, FIRST, TOKENS };
  const MsForwardOptions options = { .threads = 2 };
  const MsWave wave = { ids, starts, 2 };
  const guint columns = MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN
                        | MS_CHUNK_LOGITS | MS_CHUNK_NORMS | MS_CHUNK_SIMILARITY;
  g_autoptr (MsRows) rows = ms_rows_new (plan, columns, FALSE, TOKENS);
  MsBroken broken;

  g_assert_cmpuint (plan->n_moe, ==, BLOCKS);
  g_assert_cmpint (ms_forward_run (plan, &options, &wave, rows, 0, NULL, NULL, &broken), ==,
                   MS_FORWARD_DONE);
  for (guint b = 0; b < BLOCKS; b++)
    memcpy (logits + b * TOKENS * E, rows->layers[b].logits, TOKENS * E * sizeof *logits);
  memcpy (similarity, rows->layers[0].similarity, TOKENS * sizeof *similarity);
}

static void
assert_near (double found, double right)
{
  if (!(fabs (found - right) < 1e-5 * MAX (1, fabs (right))))
    g_error ("%.9g found, %.9g is right", found, right);
}

/* The K largest of E, best first. */
static void
choose (const double *scores, guint *chosen)
{
  for (guint j = 0; j < K; j++)
    {
      guint best = G_MAXUINT;

      for (guint e = 0; e < E; e++)
        {
          gboolean taken = FALSE;

          for (guint i = 0; i < j; i++)
            taken |= chosen[i] == e;
          if (!taken && (best == G_MAXUINT || scores[e] > scores[best]))
            best = e;
        }
      chosen[j] = best;
    }
}

/* --- Blocks of one part, experts of a width of their own (Nemotron 3) ------------------------- */

static void
add_nemotron_block (LooseModel *model, guint b, gint64 narrow)
{
  const struct
  {
    const char *name;
    gint64 ne[3];
  } tensors[] = { { "attn_norm.weight", { D } },
                  { "ffn_gate_inp.weight", { D, E } },
                  { "exp_probs_b.bias", { E } },
                  { "ffn_latent_down.weight", { D, narrow } },
                  { "ffn_latent_up.weight", { narrow, D } },
                  { "ffn_up_exps.weight", { narrow > 0 ? narrow : D, WIDTH, E } },
                  { "ffn_down_exps.weight", { WIDTH, narrow > 0 ? narrow : D, E } },
                  { "ffn_up_shexp.weight", { D, SHARED } },
                  { "ffn_down_shexp.weight", { SHARED, D } } };

  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
    {
      g_autofree char *name = g_strdup_printf ("blk.%u.%s", b, tensors[i].name);

      if (narrow > 0 || strstr (name, "latent") == NULL)
        loose_model_add (model, name, tensors[i].ne[0], tensors[i].ne[1], tensors[i].ne[2]);
    }
}

static gboolean
make_nemotron (LooseModel *model, gint64 narrow, const LooseFault *fault, GError **error)
{
  loose_model_init (model, "nemotron_h_moe", fault);
  loose_model_u32 (model, "embedding_length", D);
  loose_model_u32 (model, "block_count", BLOCKS);
  loose_model_u32 (model, "expert_count", E);
  loose_model_u32 (model, "expert_used_count", K);
  loose_model_bool (model, "expert_weights_norm", TRUE);
  loose_model_float (model, "expert_weights_scale", 2.5f);
  loose_model_add (model, "token_embd.weight", D, WORDS, 0);
  loose_model_add (model, "output_norm.weight", D, 0, 0);
  add_nemotron_block (model, 0, narrow);
  add_nemotron_block (model, 1, 0);
  return loose_model_load (model, error);
}

/* down (relu (up x)^2) of expert e, or of the only one. */
static void
feed (const char *suffix, guint e, const double *x, guint n_in, guint width, double *out)
{
  g_autofree char *up = g_strdup_printf ("blk.0.ffn_up%s.weight", suffix);
  g_autofree char *down = g_strdup_printf ("blk.0.ffn_down%s.weight", suffix);
  double hidden[SHARED];

  loose_apply (up, e * width, x, n_in, width, hidden);
  for (guint i = 0; i < width; i++)
    hidden[i] = hidden[i] > 0 ? hidden[i] * hidden[i] : 0;
  loose_apply (down, e * n_in, hidden, width, n_in, out);
}

/* Scores of both routers for one token, and how alike the stream is before and behind the experts. */
static void
naive_nemotron (gint32 id, guint narrow, double *first, double *second, double *similarity)
{
  g_autofree float *embedding = loose_values ("token_embd.weight", WORDS * D);
  g_autofree float *bias = loose_values ("blk.0.exp_probs_b.bias", E);
  guint z = narrow > 0 ? narrow : D, chosen[K];
  double x[D], h[D], read[D], sum[D] = { 0 }, out[D], routed[D], scores[E], biased[E], all = 0;
  double before = 0, after = 0, across = 0;

  for (guint i = 0; i < D; i++)
    h[i] = x[i] = (double) embedding[id * D + i];
  loose_norm ("blk.0.attn_norm.weight", 0, D, h);
  loose_apply ("blk.0.ffn_gate_inp.weight", 0, h, D, E, first);
  for (guint e = 0; e < E; e++)
    {
      scores[e] = 1 / (1 + exp (-first[e]));
      biased[e] = scores[e] + (double) bias[e];
    }
  choose (biased, chosen);
  memcpy (read, h, sizeof read);
  if (narrow > 0)
    loose_apply ("blk.0.ffn_latent_down.weight", 0, h, D, z, read);
  for (guint j = 0; j < K; j++)
    all += scores[chosen[j]];
  for (guint j = 0; j < K; j++)
    {
      feed ("_exps", chosen[j], read, z, WIDTH, out);
      for (guint i = 0; i < z; i++)
        sum[i] += 2.5 * scores[chosen[j]] / all * out[i];
    }
  memcpy (routed, sum, sizeof routed);
  if (narrow > 0)
    loose_apply ("blk.0.ffn_latent_up.weight", 0, sum, z, D, routed);
  feed ("_shexp", 0, h, D, SHARED, out);
  for (guint i = 0; i < D; i++)
    {
      before += x[i] * x[i];
      across += x[i] * (x[i] + routed[i]);
      after += (x[i] + routed[i]) * (x[i] + routed[i]);
      x[i] += routed[i] + out[i];
    }
  *similarity = across / sqrt (before * after);
  loose_norm ("blk.1.attn_norm.weight", 0, D, x);
  loose_apply ("blk.1.ffn_gate_inp.weight", 0, x, D, E, second);
}

static void
test_nemotron (gconstpointer data)
{
  guint narrow = GPOINTER_TO_UINT (data);
  g_auto (LooseModel) model = { 0 };
  g_autoptr (GError) error = NULL;
  static float logits[BLOCKS * TOKENS * E], similarity[TOKENS];

  make_nemotron (&model, narrow, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model.plan->warnings->len, ==, 0);
  run_engine (model.plan, logits, similarity);
  for (guint t = 0; t < TOKENS; t++)
    {
      double right[BLOCKS][E], alike;

      naive_nemotron (ids[t], narrow, right[0], right[1], &alike);
      for (guint b = 0; b < BLOCKS; b++)
        for (guint e = 0; e < E; e++)
          assert_near ((double) logits[(b * TOKENS + t) * E + e], right[b][e]);
      assert_near ((double) similarity[t], alike);
    }
}

/* A matrix whose rows nothing else tells settles the width: then the next one does not fit. */
static void
test_nemotron_faults (void)
{
  static const struct
  {
    LooseFault fault;
    const char *says;
  } faults[] = { { { "ffn_latent_down.weight", FALSE }, "ffn_latent_up.weight" },
                 { { "ffn_latent_up.weight", TRUE }, "ffn_latent_up.weight" },
                 { { "ffn_latent_up.weight", FALSE }, "ffn_latent_up.weight" },
                 { { "attn_norm", TRUE }, "attn_norm.weight" },
                 { { "ffn_up_exps.weight", FALSE }, "ffn_down_exps.weight" },
                 { { "ffn_down_exps.weight", TRUE }, "ffn_down_exps.weight" } };

  for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
    {
      g_auto (LooseModel) model = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_false (make_nemotron (&model, NARROW, &faults[i].fault, &error));
      if (strstr (error->message, faults[i].says) == NULL)
        g_error ("'%s' expected in: %s", faults[i].says, error->message);
    }
}

/* --- Norms behind, a dense network beside the experts, capped scores (Grok) ------------------- */

#define HEAD   8   /* width of a head; two of queries share one of keys */
#define SCALE  0.7 /* of scores */
#define CAP    0.9 /* of scores */
#define EMBED  3.0
#define BESIDE 9 /* width of the dense network */

typedef struct
{
  gboolean beside;
  const char *post; /* name of the norm behind the networks */
} Grok;

static const Grok groks[] = { { FALSE, "layer_output_norm" }, { TRUE, "post_ffw_norm" } };

static void
add_grok_block (LooseModel *model, guint b, const Grok *grok)
{
  g_autofree char *post = g_strconcat (grok->post, ".weight", NULL);
  const struct
  {
    const char *name;
    gint64 ne[3];
  } tensors[] = { { "attn_norm.weight", { D } },
                  { "attn_q.weight", { D, 2 * HEAD } },
                  { "attn_k.weight", { D, HEAD } },
                  { "attn_v.weight", { D, HEAD } },
                  { "attn_output.weight", { 2 * HEAD, D } },
                  { "attn_output_norm.weight", { D } },
                  { "ffn_norm.weight", { D } },
                  { post, { D } },
                  { "ffn_gate_inp.weight", { D, E } },
                  { "ffn_gate_exps.weight", { D, WIDTH, E } },
                  { "ffn_up_exps.weight", { D, WIDTH, E } },
                  { "ffn_down_exps.weight", { WIDTH, D, E } },
                  { "ffn_gate.weight", { D, BESIDE } },
                  { "ffn_up.weight", { D, BESIDE } },
                  { "ffn_down.weight", { BESIDE, D } } };

  for (guint i = 0; i < G_N_ELEMENTS (tensors) - (grok->beside ? 0 : 3); i++)
    {
      g_autofree char *name = g_strdup_printf ("blk.%u.%s", b, tensors[i].name);

      loose_model_add (model, name, tensors[i].ne[0], tensors[i].ne[1], tensors[i].ne[2]);
    }
}

static gboolean
make_grok (LooseModel *model, const Grok *grok, const LooseFault *fault, GError **error)
{
  loose_model_init (model, "grok", fault);
  loose_model_u32 (model, "embedding_length", D);
  loose_model_u32 (model, "block_count", BLOCKS);
  loose_model_u32 (model, "attention.head_count", 2);
  loose_model_u32 (model, "attention.head_count_kv", 1);
  loose_model_u32 (model, "expert_count", E);
  loose_model_u32 (model, "expert_used_count", K);
  loose_model_float (model, "embedding_scale", (float) EMBED);
  loose_model_float (model, "attention.output_scale", (float) SCALE);
  loose_model_float (model, "attn_logit_softcapping", (float) CAP);
  loose_model_add (model, "token_embd.weight", D, WORDS, 0);
  loose_model_add (model, "output_norm.weight", D, 0, 0);
  for (guint b = 0; b < BLOCKS; b++)
    add_grok_block (model, b, grok);
  return loose_model_load (model, error);
}

static void
turn (double *head, guint position, gboolean pairs)
{
  for (guint i = 0; i < HEAD / 2; i++)
    {
      guint first = pairs ? 2 * i : i, second = pairs ? first + 1 : i + HEAD / 2;
      double angle = position * pow (10000, -2.0 * i / HEAD), a = head[first], b = head[second];

      head[first] = a * cos (angle) - b * sin (angle);
      head[second] = a * sin (angle) + b * cos (angle);
    }
}

/* How attention differs. */
typedef struct
{
  double scale, cap;        /* of scores; cap 0: none */
  gboolean post;            /* a norm behind */
  double kept;              /* times the norm that takes the stream's place; 0: it stays */
  guint window;             /* tokens that one sees; 0: all */
  gboolean pairs, unplaced; /* how positions pair values; there are none */
  gboolean sinks;
  double residual; /* times what is added; 0: 1 */
} Style;

static const Style grok_style = { .scale = SCALE, .cap = CAP, .post = TRUE };

/* Attention of block b on n tokens of a document, x (n, D): the stream behind it. */
static void
attend (const Style *style, guint b, guint n, double *x)
{
  g_autofree double *q = g_new (double, n * 2 * HEAD), *k = g_new (double, n *HEAD);
  g_autofree double *v = g_new (double, n *HEAD), *p = g_new (double, n);
  g_autofree char *sink_name = g_strdup_printf ("blk.%u.attn_sinks.weight", b);
  g_autofree float *sinks = loose_values (sink_name, 2);
  char names[6][32];
  static const char *const parts[]
      = { "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "attn_output_norm" };

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    g_snprintf (names[i], sizeof names[i], "blk.%u.%s.weight", b, parts[i]);
  for (guint t = 0; t < n; t++)
    {
      double h[D];

      memcpy (h, x + t * D, sizeof h);
      loose_norm (names[0], 0, D, h);
      for (guint i = 0; i < D && style->kept > 0; i++)
        x[t * D + i] = style->kept * h[i];
      loose_apply (names[1], 0, h, D, 2 * HEAD, q + t * 2 * HEAD);
      loose_apply (names[2], 0, h, D, HEAD, k + t * HEAD);
      loose_apply (names[3], 0, h, D, HEAD, v + t * HEAD);
      for (guint i = 0; i < 3 && !style->unplaced; i++)
        turn (i < 2 ? q + (t * 2 + i) * HEAD : k + t * HEAD, t, style->pairs);
    }
  for (guint t = 0; t < n; t++)
    {
      double mixed[2 * HEAD] = { 0 }, out[D];

      for (guint h = 0; h < 2; h++)
        {
          guint from = style->window > 0 && t + 1 > style->window ? t + 1 - style->window : 0;
          double sum = style->sinks ? exp ((double) sinks[h]) : 0;

          for (guint s = from; s <= t; s++)
            {
              double score = 0;

              for (guint i = 0; i < HEAD; i++)
                score += q[(t * 2 + h) * HEAD + i] * k[s * HEAD + i];
              score *= style->scale;
              if (style->cap > 0)
                score = style->cap * tanh (score / style->cap);
              sum += p[s] = exp (score);
            }
          for (guint s = from; s <= t; s++)
            for (guint i = 0; i < HEAD; i++)
              mixed[h * HEAD + i] += p[s] / sum * v[s * HEAD + i];
        }
      loose_apply (names[4], 0, mixed, 2 * HEAD, D, out);
      if (style->post)
        loose_norm (names[5], 0, D, out);
      for (guint i = 0; i < D; i++)
        x[t * D + i] += style->residual > 0 ? style->residual * out[i] : out[i];
    }
}

static double
to_half (double x)
{
  return (double) ms_half_to_float (ms_half_from_float ((float) x));
}

/* As llama.cpp looks it up: the argument and the value in half precision. */
static double
gelu (double x)
{
  double half = to_half (x);

  return to_half (0.5 * half
                  * (1 + tanh (sqrt (2 / G_PI) * (half + 0.044715 * half * half * half))));
}

/* down (gelu (gate x) * up x) of expert e of block 0, or of the only one. */
static void
feed_gated (const char *suffix, guint e, const double *x, guint width, double *out)
{
  g_autofree char *gate_name = g_strdup_printf ("blk.0.ffn_gate%s.weight", suffix);
  g_autofree char *up_name = g_strdup_printf ("blk.0.ffn_up%s.weight", suffix);
  g_autofree char *down_name = g_strdup_printf ("blk.0.ffn_down%s.weight", suffix);
  double gate[BESIDE], up[BESIDE];

  loose_apply (gate_name, e * width, x, D, width, gate);
  loose_apply (up_name, e * width, x, D, width, up);
  for (guint i = 0; i < width; i++)
    gate[i] = up[i] * gelu (gate[i]);
  loose_apply (down_name, e * D, gate, width, D, out);
}

/* The networks of block 0 on one token. */
static void
naive_networks (const Grok *grok, double *x, double *logits, double *similarity)
{
  g_autofree char *post = g_strdup_printf ("blk.0.%s.weight", grok->post);
  double h[D], out[D], sum[D] = { 0 }, kept = 0, before = 0, after = 0, across = 0;
  guint chosen[K];

  memcpy (h, x, sizeof h);
  loose_norm ("blk.0.ffn_norm.weight", 0, D, h);
  loose_apply ("blk.0.ffn_gate_inp.weight", 0, h, D, E, logits);
  choose (logits, chosen);
  for (guint j = 0; j < K; j++)
    kept += exp (logits[chosen[j]]);
  for (guint j = 0; j < K; j++)
    {
      feed_gated ("_exps", chosen[j], h, WIDTH, out);
      for (guint i = 0; i < D; i++)
        sum[i] += exp (logits[chosen[j]]) / kept * out[i];
    }
  if (grok->beside)
    {
      feed_gated ("", 0, h, BESIDE, out);
      for (guint i = 0; i < D; i++)
        sum[i] = (sum[i] + out[i]) * sqrt (0.5);
    }
  loose_norm (post, 0, D, sum);
  for (guint i = 0; i < D; i++)
    {
      before += x[i] * x[i];
      across += x[i] * (x[i] + sum[i]);
      x[i] += sum[i];
      after += x[i] * x[i];
    }
  *similarity = across / sqrt (before * after);
}

static void
test_grok (gconstpointer data)
{
  const Grok *grok = data;
  g_auto (LooseModel) model = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree float *embedding = loose_values ("token_embd.weight", WORDS * D);
  static float logits[BLOCKS * TOKENS * E], similarity[TOKENS];
  double x[TOKENS * D];

  make_grok (&model, grok, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model.plan->warnings->len, ==, 1); /* of how GELU is rounded */
  run_engine (model.plan, logits, similarity);
  for (guint t = 0; t < TOKENS; t++)
    for (guint i = 0; i < D; i++)
      x[t * D + i] = EMBED * (double) embedding[ids[t] * D + i];
  for (guint b = 0; b < BLOCKS; b++)
    {
      attend (&grok_style, b, FIRST, x);
      attend (&grok_style, b, TOKENS - FIRST, x + FIRST * D);
      for (guint t = 0; t < TOKENS; t++)
        {
          double right[E], alike = 0;

          if (b == 0)
            {
              naive_networks (grok, x + t * D, right, &alike);
              assert_near ((double) similarity[t], alike);
            }
          else
            {
              loose_norm ("blk.1.ffn_norm.weight", 0, D, x + t * D);
              loose_apply ("blk.1.ffn_gate_inp.weight", 0, x + t * D, D, E, right);
            }
          for (guint e = 0; e < E; e++)
            assert_near ((double) logits[(b * TOKENS + t) * E + e], right[e]);
        }
    }
}

static void
test_grok_faults (void)
{
  static const LooseFault faults[]
      = { { "attn_output_norm", TRUE },    { "attn_output_norm", FALSE }, { "post_ffw_norm", TRUE },
          { "ffn_down.weight", TRUE },     { "ffn_down.weight", FALSE },  { "ffn_norm", TRUE },
          { "ffn_gate_inp.weight", FALSE } };

  for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
    {
      g_auto (LooseModel) model = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_false (make_grok (&model, &groks[1], &faults[i], &error));
      if (strstr (error->message, faults[i].name) == NULL)
        g_error ("'%s' expected in: %s", faults[i].name, error->message);
    }
}

/* --- The norm stays in place of the stream (MiniMax-01) ---------------------------------------- */

#define KEPT 1.75

static gboolean
make_minimax (LooseModel *model, GError **error)
{
  static const struct
  {
    const char *name;
    gint64 ne[3];
  } tensors[] = { { "attn_norm.weight", { D } },
                  { "attn_q.weight", { D, 2 * HEAD } },
                  { "attn_k.weight", { D, HEAD } },
                  { "attn_v.weight", { D, HEAD } },
                  { "attn_output.weight", { 2 * HEAD, D } },
                  { "ffn_norm.weight", { D } },
                  { "ffn_gate_inp.weight", { D, E } },
                  { "ffn_gate_exps.weight", { D, WIDTH, E } },
                  { "ffn_up_exps.weight", { D, WIDTH, E } },
                  { "ffn_down_exps.weight", { WIDTH, D, E } } };

  loose_model_init (model, "minimax-01", NULL);
  loose_model_u32 (model, "embedding_length", D);
  loose_model_u32 (model, "block_count", BLOCKS);
  loose_model_u32 (model, "attention.head_count", 2);
  loose_model_u32 (model, "attention.head_count_kv", 1);
  loose_model_u32 (model, "expert_count", E);
  loose_model_u32 (model, "expert_used_count", K);
  loose_model_float (model, "residual_scale", (float) KEPT);
  loose_model_add (model, "token_embd.weight", D, WORDS, 0);
  loose_model_add (model, "output_norm.weight", D, 0, 0);
  for (guint b = 0; b < BLOCKS; b++)
    for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
      {
        g_autofree char *name = g_strdup_printf ("blk.%u.%s", b, tensors[i].name);

        loose_model_add (model, name, tensors[i].ne[0], tensors[i].ne[1], tensors[i].ne[2]);
      }
  return loose_model_load (model, error);
}

/* down (silu (gate x) * up x) of expert e of block 0, added to sum times the weight. */
static void
add_expert (guint e, const double *x, double weight, double *sum)
{
  double gate[WIDTH], up[WIDTH], out[D];

  loose_apply ("blk.0.ffn_gate_exps.weight", e * WIDTH, x, D, WIDTH, gate);
  loose_apply ("blk.0.ffn_up_exps.weight", e * WIDTH, x, D, WIDTH, up);
  for (guint i = 0; i < WIDTH; i++)
    gate[i] *= up[i] / (1 + exp (-gate[i]));
  loose_apply ("blk.0.ffn_down_exps.weight", e * D, gate, WIDTH, D, out);
  for (guint i = 0; i < D; i++)
    sum[i] += weight * out[i];
}

static void
test_minimax (void)
{
  const Style style = { .scale = 1 / sqrt (HEAD), .kept = KEPT };
  g_auto (LooseModel) model = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree float *embedding = loose_values ("token_embd.weight", WORDS * D);
  static float logits[BLOCKS * TOKENS * E], similarity[TOKENS];
  double x[TOKENS * D];

  make_minimax (&model, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model.plan->warnings->len, ==, 0);
  run_engine (model.plan, logits, similarity);
  for (guint i = 0; i < TOKENS * D; i++)
    x[i] = (double) embedding[ids[i / D] * D + i % D];
  for (guint b = 0; b < BLOCKS; b++)
    {
      attend (&style, b, FIRST, x);
      attend (&style, b, TOKENS - FIRST, x + FIRST * D);
      for (guint t = 0; t < TOKENS; t++)
        {
          g_autofree char *norm = g_strdup_printf ("blk.%u.ffn_norm.weight", b);
          g_autofree char *router = g_strdup_printf ("blk.%u.ffn_gate_inp.weight", b);
          double right[E], h[D], kept = 0;
          guint chosen[K];

          memcpy (h, x + t * D, sizeof h);
          loose_norm (norm, 0, D, h);
          loose_apply (router, 0, h, D, E, right);
          for (guint e = 0; e < E; e++)
            assert_near ((double) logits[(b * TOKENS + t) * E + e], right[e]);
          choose (right, chosen);
          for (guint j = 0; j < K; j++)
            kept += exp (right[chosen[j]]);
          for (guint i = 0; i < D; i++)
            x[t * D + i] = KEPT * h[i];
          for (guint j = 0; j < K && b == 0; j++)
            add_expert (chosen[j], h, exp (right[chosen[j]]) / kept, x + t * D);
        }
    }
}

/* The scale must be there. */
static void
test_minimax_key (void)
{
  g_auto (LooseModel) model = { 0 };
  g_autoptr (GError) error = NULL;

  loose_model_init (&model, "minimax-01", NULL);
  loose_model_u32 (&model, "embedding_length", D);
  loose_model_u32 (&model, "block_count", BLOCKS);
  loose_model_u32 (&model, "expert_count", E);
  loose_model_u32 (&model, "expert_used_count", K);
  g_assert_false (loose_model_load (&model, &error));
  g_assert_nonnull (strstr (error->message, "residual_scale"));
}

/* --- Windows and positions block by block, sinks, gates in other matrices (Granite) ----------- */

#define WINDOW   3
#define RESIDUAL 0.4

static gboolean
make_granite (LooseModel *model, const LooseFault *fault, GError **error)
{
  static const gint32 windows[] = { 1, 0 }, placed[] = { 0, 1 };
  static const struct
  {
    const char *name;
    gint64 ne[3];
  } tensors[] = { { "attn_norm.weight", { D } },
                  { "attn_q.weight", { D, 2 * HEAD } },
                  { "attn_k.weight", { D, HEAD } },
                  { "attn_v.weight", { D, HEAD } },
                  { "attn_sinks.weight", { 2 } },
                  { "attn_output.weight", { 2 * HEAD, D } },
                  { "ffn_norm.weight", { D } },
                  { "ffn_gate_inp.weight", { D, E } },
                  { "ffn_gate_up_exps.weight", { D, 2 * WIDTH, E } },
                  { "ffn_down_exps.weight", { WIDTH, D, E } },
                  { "ffn_up_shexp.weight", { D, 2 * SHARED } },
                  { "ffn_down_shexp.weight", { SHARED, D } } };

  loose_model_init (model, "granite_swa", fault);
  loose_model_u32 (model, "embedding_length", D);
  loose_model_u32 (model, "block_count", BLOCKS);
  loose_model_u32 (model, "attention.head_count", 2);
  loose_model_u32 (model, "attention.head_count_kv", 1);
  loose_model_u32 (model, "attention.sliding_window", WINDOW);
  loose_model_i32s (model, "attention.sliding_window_pattern", windows, BLOCKS);
  loose_model_i32s (model, "attention.rope_pattern", placed, BLOCKS);
  loose_model_u32 (model, "expert_count", E);
  loose_model_u32 (model, "expert_used_count", K);
  loose_model_float (model, "attention.scale", 0.5f);
  loose_model_float (model, "embedding_scale", 3);
  loose_model_float (model, "residual_scale", (float) RESIDUAL);
  loose_model_float (model, "logit_scale", 6);
  loose_model_add (model, "token_embd.weight", D, WORDS, 0);
  loose_model_add (model, "output_norm.weight", D, 0, 0);
  for (guint b = 0; b < BLOCKS; b++)
    for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
      {
        g_autofree char *name = g_strdup_printf ("blk.%u.%s", b, tensors[i].name);

        loose_model_add (model, name, tensors[i].ne[0], tensors[i].ne[1], tensors[i].ne[2]);
      }
  return loose_model_load (model, error);
}

/* down (silu (g) * u) of number e, g and u being rows of one matrix, added to sum times the weight. */
static void
add_halves (const char *both, const char *down, guint e, guint width, const double *x,
            double weight, double *sum)
{
  double hidden[2 * SHARED], out[D];

  loose_apply (both, e * 2 * width, x, D, 2 * width, hidden);
  for (guint i = 0; i < width; i++)
    hidden[i] *= hidden[width + i] / (1 + exp (-hidden[i]));
  loose_apply (down, e * D, hidden, width, D, out);
  for (guint i = 0; i < D; i++)
    sum[i] += weight * out[i];
}

static void
test_granite (void)
{
  const Style styles[BLOCKS] = {
    { .scale = 0.5, .window = WINDOW, .unplaced = TRUE, .sinks = TRUE, .residual = RESIDUAL },
    { .scale = 0.5, .pairs = TRUE, .sinks = TRUE, .residual = RESIDUAL },
  };
  g_auto (LooseModel) model = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree float *embedding = loose_values ("token_embd.weight", WORDS * D);
  static float logits[BLOCKS * TOKENS * E], similarity[TOKENS];
  double x[TOKENS * D];

  make_granite (&model, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model.plan->warnings->len, ==, 0);
  run_engine (model.plan, logits, similarity);
  for (guint i = 0; i < TOKENS * D; i++)
    x[i] = 3 * (double) embedding[ids[i / D] * D + i % D];
  for (guint b = 0; b < BLOCKS; b++)
    {
      attend (&styles[b], b, FIRST, x);
      attend (&styles[b], b, TOKENS - FIRST, x + FIRST * D);
      for (guint t = 0; t < TOKENS; t++)
        {
          g_autofree char *norm = g_strdup_printf ("blk.%u.ffn_norm.weight", b);
          g_autofree char *router = g_strdup_printf ("blk.%u.ffn_gate_inp.weight", b);
          double right[E], h[D], kept = 0;
          guint chosen[K];

          memcpy (h, x + t * D, sizeof h);
          loose_norm (norm, 0, D, h);
          loose_apply (router, 0, h, D, E, right);
          for (guint e = 0; e < E; e++)
            assert_near ((double) logits[(b * TOKENS + t) * E + e], right[e]);
          choose (right, chosen);
          for (guint j = 0; j < K; j++)
            kept += exp (right[chosen[j]]);
          for (guint j = 0; j < K && b == 0; j++)
            add_halves ("blk.0.ffn_gate_up_exps.weight", "blk.0.ffn_down_exps.weight", chosen[j],
                        WIDTH, h, RESIDUAL * exp (right[chosen[j]]) / kept, x + t * D);
          if (b == 0)
            add_halves ("blk.0.ffn_up_shexp.weight", "blk.0.ffn_down_shexp.weight", 0, SHARED, h,
                        RESIDUAL, x + t * D);
        }
    }
}

/* Half a matrix of gates more is no whole number of them. */
static void
test_granite_faults (void)
{
  static const LooseFault faults[]
      = { { "attn_sinks.weight", TRUE },      { "attn_sinks.weight", FALSE },
          { "ffn_up_shexp.weight", FALSE },   { "ffn_down_shexp.weight", TRUE },
          { "ffn_down_shexp.weight", FALSE }, { "ffn_gate_up_exps.weight", FALSE } };

  for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
    {
      g_auto (LooseModel) model = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_false (make_granite (&model, &faults[i], &error));
      if (strstr (error->message, faults[i].name) == NULL)
        g_error ("'%s' expected in: %s", faults[i].name, error->message);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/parts/one-part", GUINT_TO_POINTER (0), test_nemotron);
  g_test_add_data_func ("/parts/latent-experts", GUINT_TO_POINTER (NARROW), test_nemotron);
  g_test_add_func ("/parts/latent-experts/faults", test_nemotron_faults);
  g_test_add_data_func ("/parts/norms-behind", &groks[0], test_grok);
  g_test_add_data_func ("/parts/beside", &groks[1], test_grok);
  g_test_add_func ("/parts/beside/faults", test_grok_faults);
  g_test_add_func ("/parts/norm-kept", test_minimax);
  g_test_add_func ("/parts/norm-kept/key", test_minimax_key);
  g_test_add_func ("/parts/block-by-block", test_granite);
  g_test_add_func ("/parts/block-by-block/faults", test_granite_faults);
  return g_test_run ();
}
