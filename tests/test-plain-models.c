/* Whole models over longer documents than the conformance data has, against plain loops in double that
 * are written from the architectures' public definitions and know nothing of the engine: windows, YaRN,
 * blocks without positions, sinks, gates and the rest show there.  The model files are those of the
 * conformance data; skipped without them. */
#include "collector.h"
#include "db.h"
#include "gguf-private.h"
#include "loose-model.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

typedef enum
{
  EVERYWHERE,
  NOT_IN_FOURTH, /* the last of four blocks has no positions, */
  NOT_IN_FIRST,  /* or the first of four */
  IN_WINDOWS_OR_DENSE,
} Positions;

typedef enum
{
  SILU,
  GELU,
  RELU,
  CLAMPED,
} Activation;

typedef enum
{
  USUAL,
  PARALLEL,     /* attention and network read the same norm */
  ROUTER_FIRST, /* the router reads the block's input */
  EXPERTS_FIRST, /* router and experts read a norm of the block's input; a dense network after attention */
  SIDE_BY_SIDE, /* experts and a dense network, each with norms of its own */
} Flow;

/* What a definition says beside the file's keys and tensors. */
typedef struct
{
  const char *file; /* without ".gguf"; NULL: a MiniMax-M3 that the test makes */
  gboolean pairs;   /* positions turn (2 i, 2 i + 1) */
  guint period;     /* of so many blocks all but the last, or the first, attend within a window */
  gboolean whole_first;
  guint chunk; /* windows are chunks of so many tokens, */
  Positions positions;
  gboolean plain_windows; /* there positions are neither stretched nor divided */
  double window_base;     /* where the file does not tell; 0: as elsewhere */
  gboolean half;          /* whole blocks turn half the values */
  gboolean late_norms;    /* queries and keys are normed without weights, after turning */
  gboolean value_norm;
  double score_scale; /* 0: 1 / sqrt (head width) */
  gboolean softplus;  /* of attn_gate; otherwise sigmoid */
  double value_scale;
  gboolean root_embedding; /* times sqrt (D) */
  const char *ffn_norm;    /* what the network reads */
  const char *mixer_post, *ffn_post;
  Activation activation;
  guint scoring; /* 0: the key's */
  gboolean norm_weights, layer_norm;
  gboolean by_logit, weight_first; /* chosen by raw logits; weights multiply what experts read */
  Flow flow;
  double logits; /* bound of the differences of router scores */
} Rules;

static const Rules rules[] = {
  { .file = "gpt-oss",
    .period = 2,
    .ffn_norm = "post_attention_norm",
    .activation = CLAMPED,
    .scoring = 3 },
  { .file = "gpt-oss.mxfp4",
    .period = 2,
    .ffn_norm = "post_attention_norm",
    .activation = CLAMPED,
    .scoring = 3 },
  { .file = "laguna", .period = 4, .whole_first = TRUE, .plain_windows = TRUE, .softplus = TRUE },
  { .file = "hy_v3" },
  { .file = "step35", .plain_windows = TRUE, .window_base = 10000, .half = TRUE },
  { .file = "mimo2",
    .plain_windows = TRUE,
    .window_base = 10000,
    .value_scale = 0.7,
    .scoring = 2,
    .norm_weights = TRUE },
  { .file = "llama4",
    .pairs = TRUE,
    .period = 4,
    .chunk = 8192,
    .positions = NOT_IN_FOURTH,
    .late_norms = TRUE,
    .scoring = 2,
    .by_logit = TRUE,
    .weight_first = TRUE },
  { .file = "afmoe",
    .period = 4,
    .positions = NOT_IN_FOURTH,
    .root_embedding = TRUE,
    .mixer_post = "post_attention_norm",
    .ffn_post = "post_ffw_norm" },
  { .file = "smallthinker",
    .period = 4,
    .whole_first = TRUE,
    .positions = NOT_IN_FIRST,
    .activation = RELU,
    .norm_weights = TRUE,
    .flow = ROUTER_FIRST },
  { .file = "cohere2moe",
    .pairs = TRUE,
    .positions = IN_WINDOWS_OR_DENSE,
    .layer_norm = TRUE,
    .flow = PARALLEL },
  { .activation = CLAMPED },
  { .file = "mellum", .period = 4, .scoring = 1, .norm_weights = TRUE },
  { .file = "grovemoe", .scoring = 1, .norm_weights = TRUE },
  { .file = "arctic", .pairs = TRUE, .scoring = 1, .norm_weights = TRUE, .flow = EXPERTS_FIRST },
  { .file = "gemma4-moe",
    .plain_windows = TRUE,
    .window_base = 10000,
    .value_norm = TRUE,
    .score_scale = 1,
    .root_embedding = TRUE,
    .mixer_post = "post_attention_norm",
    .ffn_post = "post_ffw_norm",
    .activation = GELU,
    .scoring = 1,
    .norm_weights = TRUE,
    .flow = SIDE_BY_SIDE,
    .logits = 1e-2 },
};

typedef struct
{
  const Rules *rules;
  MsGguf *gguf;
  const char *architecture;
  GHashTable *tensors; /* name to double array */
  guint n, d, n_blocks, n_experts, k;
  double epsilon;
  double *x; /* (n, D) */
  /* Of the MoE layer under way. */
  double *logits, *weights; /* (n, E), (n, K) */
  guint *chosen;            /* (n, K) */
} Plain;

/* --- Keys and tensors ------------------------------------------------------------------------- */

static double
number (const Plain *p, const char *name, double otherwise)
{
  g_autofree char *key = g_strdup_printf ("%s.%s", p->architecture, name);
  gboolean truth = FALSE;
  guint32 whole;
  float real;

  if (!ms_gguf_has (p->gguf, key))
    return otherwise;
  if (ms_gguf_get_u32 (p->gguf, key, MS_KEY_REQUIRED, &whole, NULL))
    return whole;
  if (ms_gguf_get_bool (p->gguf, key, MS_KEY_REQUIRED, &truth, NULL))
    return truth;
  g_assert_true (ms_gguf_get_float (p->gguf, key, MS_KEY_REQUIRED, &real, NULL));
  return (double) real;
}

/* Of a block, where the key may hold an array. */
static double
number_of (const Plain *p, guint block, const char *name, double otherwise)
{
  g_autofree char *key = g_strdup_printf ("%s.%s", p->architecture, name);
  g_autofree float *reals = NULL;
  g_autofree gint32 *wholes = g_new (gint32, p->n_blocks);
  gsize n;

  if (!ms_gguf_has (p->gguf, key))
    return otherwise;
  if (ms_gguf_get_per_layer (p->gguf, key, MS_KEY_REQUIRED, p->n_blocks, wholes, NULL))
    return wholes[block];
  g_assert_true (ms_gguf_get_floats (p->gguf, key, MS_KEY_REQUIRED, &reals, &n, NULL));
  return (double) reals[block];
}

/* All values of a tensor; NULL where the file has none. */
static const double *tensor (const Plain *p, const char *format, ...) G_GNUC_PRINTF (2, 3);

static const double *
tensor (const Plain *p, const char *format, ...)
{
  g_autofree char *name = NULL;
  g_autofree float *values = NULL;
  const MsTensor *found;
  double *wide;
  gsize n;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  found = ms_gguf_find (p->gguf, name);
  wide = g_hash_table_lookup (p->tensors, name);
  if (found == NULL || wide != NULL)
    return wide;
  n = (gsize) (ms_tensor_n_rows (found) * found->ne[0]);
  values = g_new (float, n);
  wide = g_new (double, n);
  ms_tensor_to_float (found, 0, ms_tensor_n_rows (found), values);
  for (gsize i = 0; i < n; i++)
    wide[i] = (double) values[i];
  g_hash_table_insert (p->tensors, g_steal_pointer (&name), wide);
  return wide;
}

static guint
rows_of (const Plain *p, guint block, const char *part)
{
  g_autofree char *name = g_strdup_printf ("blk.%u.%s", block, part);
  const MsTensor *found = ms_gguf_find (p->gguf, name);

  return found != NULL ? (guint) found->ne[1] : 0;
}

/* --- Arithmetic ------------------------------------------------------------------------------- */

/* out (rows) = W in + bias; W starts at row `first`. */
static void
apply (const double *w, gsize first, const double *bias, const double *in, guint n, guint rows,
       double *out)
{
  for (guint i = 0; i < rows; i++)
    {
      out[i] = bias != NULL ? bias[i] : 0;
      for (guint j = 0; j < n; j++)
        out[i] += in[j] * w[(first + i) * n + j];
    }
}

/* weight NULL: ones. */
static void
norm (const Plain *p, const double *weight, const double *x, guint n, double *out)
{
  double mean = 0, squares = 0;

  for (guint i = 0; i < n && p->rules->layer_norm; i++)
    mean += x[i] / n;
  for (guint i = 0; i < n; i++)
    squares += (x[i] - mean) * (x[i] - mean);
  for (guint i = 0; i < n; i++)
    out[i] = (x[i] - mean) / sqrt (squares / n + p->epsilon) * (weight != NULL ? weight[i] : 1);
}

static double
sigmoid (double x)
{
  return 1 / (1 + exp (-x));
}

/* GELU is looked up in half precision. */
static double
to_half (double x)
{
  return (double) ms_half_to_float (ms_half_from_float ((float) x));
}

static double
activate (Activation kind, double limit, double gate, double up)
{
  switch (kind)
    {
    case GELU:
      gate = to_half (gate);
      return to_half (0.5 * gate * (1 + tanh (sqrt (2 / G_PI) * (gate + 0.044715 * pow (gate, 3)))))
             * up;
    case RELU:
      return MAX (gate, 0) * up;
    case CLAMPED:
      gate = MIN (gate, 7);
      return gate * sigmoid (1.702 * gate) * (CLAMP (up, -7, 7) + 1);
    default:
      gate *= sigmoid (gate);
      return limit > 0 ? MIN (gate, limit) * CLAMP (up, -limit, limit) : gate * up;
    }
}

/* --- Attention -------------------------------------------------------------------------------- */

typedef struct
{
  guint heads, kv_heads, key, value; /* how many, how wide */
  guint window, n_turned;            /* window 0: none */
  gboolean turned;
  double base;
} Geometry;

static gboolean
is_windowed (const Plain *p, guint b)
{
  guint period = p->rules->period;

  if (p->rules->chunk == 0 && number (p, "attention.sliding_window", 0) == 0)
    return FALSE;
  if (period == 0)
    return number_of (p, b, "attention.sliding_window_pattern", 0) != 0;
  return b % period != (p->rules->whole_first ? 0 : period - 1);
}

static Geometry
geometry_of (const Plain *p, guint b)
{
  const Rules *r = p->rules;
  gboolean windowed = is_windowed (p, b);
  Geometry g = { .heads = (guint) number_of (p, b, "attention.head_count", 0) };
  double full = number (p, "attention.key_length", p->d / g.heads);
  double turned = number (p, "rope.dimension_count", full);

  g.kv_heads = (guint) number_of (p, b, "attention.head_count_kv", g.heads);
  g.key = (guint) full;
  g.value = (guint) number (p, "attention.value_length", p->d / g.heads);
  g.n_turned = (guint) (r->half && !windowed ? turned / 2 : turned);
  g.base = number (p, "rope.freq_base", 10000);
  if (windowed)
    {
      g.window = r->chunk > 0 ? r->chunk : (guint) number (p, "attention.sliding_window", 0);
      g.key = (guint) number (p, "attention.key_length_swa", g.key);
      g.value = (guint) number (p, "attention.value_length_swa", g.value);
      g.n_turned = (guint) number (p, "rope.dimension_count_swa", turned);
      g.base = number (p, "rope.freq_base_swa", r->window_base > 0 ? r->window_base : g.base);
    }
  g.turned = r->positions == EVERYWHERE || (r->positions == NOT_IN_FOURTH && b % 4 != 3)
             || (r->positions == NOT_IN_FIRST && (b % 4 != 0 || p->n_blocks == 4))
             || (r->positions == IN_WINDOWS_OR_DENSE
                 && (windowed || b < number (p, "leading_dense_block_count", 0)));
  return g;
}

/* The angle of pair i at a position, and what cosine and sine are multiplied by. */
static double
angle_of (const Plain *p, const Geometry *g, guint i, guint position, double *magnitude)
{
  double n = g->n_turned, angle = position * pow (g->base, -2.0 * i / n);
  double factor = number (p, "rope.scaling.factor", 1), context, low, high, ramp;
  g_autofree char *key = g_strdup_printf ("%s.rope.scaling.type", p->architecture);
  const double *divisors = tensor (p, "rope_freqs.weight");
  gboolean plain = p->rules->plain_windows && g->window > 0;
  const char *type = "none";

  *magnitude = 1;
  if (divisors != NULL && !plain)
    angle /= divisors[i];
  g_assert_true (ms_gguf_get_string (p->gguf, key, MS_KEY_OPTIONAL, &type, NULL));
  if (strcmp (type, "yarn") != 0 || plain)
    return plain || strcmp (type, "none") == 0 ? angle : angle / factor;
  context = number (p, "rope.scaling.original_context_length", 0);
  low = MAX (floor (n * log (context / (32 * 2 * G_PI)) / (2 * log (g->base))), 0);
  high = MIN (ceil (n * log (context / (2 * G_PI)) / (2 * log (g->base))), n - 1);
  ramp = CLAMP ((i - low) / MAX (high - low, 0.001), 0, 1);
  *magnitude = 1 + 0.1 * log (factor);
  return angle / factor * ramp + angle * (1 - ramp);
}

static void
turn (const Plain *p, const Geometry *g, double *head, guint position)
{
  for (guint i = 0; i < g->n_turned / 2; i++)
    {
      guint first = p->rules->pairs ? 2 * i : i;
      guint second = p->rules->pairs ? 2 * i + 1 : i + g->n_turned / 2;
      double magnitude, angle = angle_of (p, g, i, position, &magnitude);
      double a = head[first], b = head[second];

      head[first] = magnitude * (a * cos (angle) - b * sin (angle));
      head[second] = magnitude * (b * cos (angle) + a * sin (angle));
    }
}

/* Queries 'q', keys or values of all tokens: (n, heads * width).  (transfer full) */
static double *
project (const Plain *p, guint b, const Geometry *g, const double *h, char which)
{
  guint heads = which == 'q' ? g->heads : g->kv_heads, width = which == 'v' ? g->value : g->key;
  guint all = heads * width;
  const double *w = tensor (p, "blk.%u.attn_%c.weight", b, which);
  const double *bias = tensor (p, "blk.%u.attn_%c.bias", b, which);
  const double *weight = tensor (p, "blk.%u.attn_%c_norm.weight", b, which);
  double *out = g_new (double, (gsize) p->n *all);

  if (w == NULL) /* values that are the keys */
    w = tensor (p, "blk.%u.attn_k.weight", b);
  for (guint t = 0; t < p->n; t++)
    for (guint i = 0; i < heads; i++)
      {
        double *head = out + t * all + i * width;

        apply (w, i * width, bias != NULL ? bias + i * width : NULL, h + t * p->d, p->d, width,
               head);
        if (weight != NULL || (which == 'v' && p->rules->value_norm))
          norm (p, weight, head, width, head);
        if (which == 'v')
          continue;
        if (g->turned)
          turn (p, g, head, t);
        else if (which == 'q' && p->rules->late_norms)
          for (guint j = 0; j < width; j++)
            head[j] *= 1 + 0.1 * log (1 + floor ((t + 1.0) / 8192));
        if (g->turned && p->rules->late_norms && p->n_experts != 128)
          norm (p, NULL, head, width, head);
      }
  return out;
}

/* Queries (heads of them) or keys of the index of all tokens, normed and turned.  (transfer full) */
static double *
project_index (const Plain *p, guint b, const Geometry *g, const double *h, char which, guint heads)
{
  guint width = (guint) number (p, "attention.indexer.key_length", 0);
  const double *w = tensor (p, "blk.%u.indexer.%c_proj.weight", b, which);
  const double *weight = tensor (p, "blk.%u.indexer.%c_norm.weight", b, which);
  double *out = g_new (double, (gsize) p->n *heads *width);

  for (guint t = 0; t < p->n; t++)
    for (guint i = 0; i < heads; i++)
      {
        double *head = out + (t * heads + i) * width;

        apply (w, i * width, NULL, h + t * p->d, p->d, width, head);
        norm (p, weight, head, width, head);
        turn (p, g, head, t);
      }
  return out;
}

/* Whether a key-value head of a token sees a block of its document: (n, kv_heads, blocks); NULL where the file
 * has no index for it.  (transfer full) */
static gboolean *
see_blocks (const Plain *p, guint b, const Geometry *g, const double *h, guint size)
{
  guint width = (guint) number (p, "attention.indexer.key_length", 0),
        n_blocks = p->n / MAX (size, 1) + 1;
  guint top = (guint) number (p, "attention.indexer.top_k", 0);
  guint local = (guint) number (p, "attention.indexer.local_blocks", 0);
  g_autofree double *q = NULL, *k = NULL, *best = g_new (double, n_blocks);
  gboolean *seen;

  if (rows_of (p, b, "indexer.q_proj.weight") == 0)
    return NULL;
  q = project_index (p, b, g, h, 'q', g->kv_heads);
  k = project_index (p, b, g, h, 'k', 1);
  seen = g_new0 (gboolean, (gsize) p->n * g->kv_heads * n_blocks);
  for (guint i = 0; i < p->n * g->kv_heads; i++)
    {
      guint t = i / g->kv_heads;

      for (guint block = 0; block < n_blocks; block++)
        best[block] = block <= t / size && block + local > t / size ? 1e30 : -1e30;
      for (guint s = 0; s <= t; s++)
        {
          double dot = 0;

          for (guint j = 0; j < width; j++)
            dot += q[i * width + j] * k[s * width + j];
          best[s / size] = MAX (best[s / size], dot);
        }
      for (guint taken = 0; taken < MIN (top, t / size + 1); taken++)
        {
          guint most = 0;

          for (guint block = 1; block < n_blocks; block++)
            most = best[block] > best[most] ? block : most;
          seen[i * n_blocks + most] = TRUE;
          best[most] = -1e31;
        }
    }
  return seen;
}

static void
gate_heads (const Plain *p, guint b, const Geometry *g, const double *h, double *mixed)
{
  const double *w = tensor (p, "blk.%u.attn_gate.weight", b);
  guint rows = rows_of (p, b, "attn_gate.weight"), per_head;
  g_autofree double *gate = g_new (double, MAX (rows, 1));

  if (w == NULL)
    return;
  per_head = rows / g->heads;
  apply (w, 0, NULL, h, p->d, rows, gate);
  for (guint i = 0; i < g->heads * g->value; i++)
    {
      double by = gate[i / g->value * per_head + (per_head > 1 ? i % g->value : 0)];

      mixed[i] *= p->rules->softplus ? log1p (exp (by)) : sigmoid (by);
    }
}

/* out (n, D) of normed inputs h (n, D). */
static void
attend (const Plain *p, guint b, const double *h, double *out)
{
  Geometry g = geometry_of (p, b);
  g_autofree double *q = project (p, b, &g, h, 'q'), *k = project (p, b, &g, h, 'k');
  g_autofree double *v = project (p, b, &g, h, 'v'), *e = g_new (double, p->n);
  g_autofree double *mixed = g_new (double, g.heads *g.value);
  const double *sinks = tensor (p, "blk.%u.attn_sinks.weight", b);
  guint size = (guint) number (p, "attention.indexer.block_size", 0);
  g_autofree gboolean *seen = see_blocks (p, b, &g, h, size);
  guint n_blocks = p->n / MAX (size, 1) + 1;
  double scale = p->rules->score_scale > 0 ? p->rules->score_scale : 1 / sqrt (g.key);

  for (guint t = 0; t < p->n; t++)
    {
      guint from = g.window == 0         ? 0
                   : p->rules->chunk > 0 ? t / g.window * g.window
                   : t >= g.window       ? t + 1 - g.window
                                         : 0;

      for (guint head = 0; head < g.heads; head++)
        {
          guint kv = head / (g.heads / g.kv_heads);
          double sum = sinks != NULL ? exp (sinks[head]) : 0;

          for (guint s = from; s <= t; s++)
            {
              double dot = 0;

              e[s] = 0;
              if (seen != NULL && !seen[(t * g.kv_heads + kv) * n_blocks + s / size])
                continue;
              for (guint i = 0; i < g.key; i++)
                dot += q[(t * g.heads + head) * g.key + i] * k[(s * g.kv_heads + kv) * g.key + i];
              sum += e[s] = exp (dot * scale);
            }
          for (guint i = 0; i < g.value; i++)
            {
              mixed[head * g.value + i] = 0;
              for (guint s = from; s <= t; s++)
                mixed[head * g.value + i] += e[s] / sum * v[(s * g.kv_heads + kv) * g.value + i];
            }
        }
      gate_heads (p, b, &g, h + t * p->d, mixed);
      apply (tensor (p, "blk.%u.attn_output.weight", b), 0,
             tensor (p, "blk.%u.attn_output.bias", b), mixed, g.heads * g.value, p->d,
             out + t * p->d);
      for (guint i = 0; i < p->d && p->rules->value_scale > 0; i++)
        out[t * p->d + i] *= p->rules->value_scale;
    }
}

/* --- Networks --------------------------------------------------------------------------------- */

/* out (D) of a network; expert e of the stack `stem` ("_exps"), or the matrices of another stem. */
static void
feed (const Plain *p, guint b, const char *stem, guint e, const double *h, double *out)
{
  g_autofree char *both = g_strdup_printf ("blk.%u.ffn_gate_up%s.weight", b, stem);
  g_autofree char *part = g_strdup_printf ("ffn_up%s.weight", stem);
  const double *fused = tensor (p, "%s", both);
  const double *up_bias = tensor (p, "blk.%u.ffn_up%s.bias", b, stem);
  const double *gate_bias = tensor (p, "blk.%u.ffn_gate%s.bias", b, stem);
  const double *down_bias = tensor (p, "blk.%u.ffn_down%s.bias", b, stem);
  const double *scale = tensor (p, "blk.%u.ffn_down%s.scale", b, stem);
  guint f = fused != NULL ? (guint) ms_gguf_find (p->gguf, both)->ne[1] / 2 : rows_of (p, b, part);
  g_autofree double *gate = g_new (double, f), *up = g_new (double, f);
  double limit = number_of (
      p, b, strcmp (stem, "_exps") == 0 ? "swiglu_clamp_exp" : "swiglu_clamp_shexp", 0);

  if (fused != NULL)
    {
      apply (fused, (gsize) e * 2 * f, NULL, h, p->d, f, gate);
      apply (fused, (gsize) e * 2 * f + f, NULL, h, p->d, f, up);
    }
  else
    {
      apply (tensor (p, "blk.%u.ffn_gate%s.weight", b, stem), (gsize) e * f,
             gate_bias != NULL ? gate_bias + (gsize) e * f : NULL, h, p->d, f, gate);
      apply (tensor (p, "blk.%u.ffn_up%s.weight", b, stem), (gsize) e * f,
             up_bias != NULL ? up_bias + (gsize) e * f : NULL, h, p->d, f, up);
    }
  for (guint i = 0; i < f; i++)
    gate[i] = activate (p->rules->activation, limit, gate[i], up[i]);
  apply (tensor (p, "blk.%u.ffn_down%s.weight", b, stem), (gsize) e * p->d, NULL, gate, f, p->d,
         out);
  for (guint i = 0; i < p->d; i++)
    out[i] = out[i] * (scale != NULL ? scale[e] : 1)
             + (down_bias != NULL ? down_bias[(gsize) e * p->d + i] : 0);
}

/* Weights of the chosen of token t, from its scores (E). */
static void
weigh (Plain *p, guint scoring, const double *scores, const guint *chosen, double *weights)
{
  double sum = 0, scale = number (p, "expert_weights_scale", 1);
  gboolean divide
      = scoring == 3 || p->rules->norm_weights || number (p, "expert_weights_norm", 0) != 0;

  for (guint j = 0; j < p->k; j++)
    sum += weights[j] = scoring == 3 ? exp (scores[chosen[j]]) : scores[chosen[j]];
  for (guint j = 0; j < p->k; j++)
    weights[j] = weights[j] / (divide ? sum : 1) * (scale > 0 ? scale : 1);
}

/* Decides for token t, whose router reads h (D). */
static void
route (Plain *p, guint b, guint t, const double *h)
{
  const double *bias = tensor (p, "blk.%u.exp_probs_b.bias", b);
  guint scoring
      = p->rules->scoring > 0 ? p->rules->scoring : (guint) number (p, "expert_gating_func", 2);
  double *logits = p->logits + t * p->n_experts, sum = 0;
  g_autofree double *scores = g_new (double, p->n_experts), *z = g_new (double, p->n_experts);

  if (bias == NULL)
    bias = tensor (p, "blk.%u.exp_probs_b", b);
  apply (tensor (p, "blk.%u.ffn_gate_inp.weight", b), 0, tensor (p, "blk.%u.ffn_gate_inp.bias", b),
         h, p->d, p->n_experts, logits);
  for (guint e = 0; e < p->n_experts; e++)
    sum += exp (logits[e]);
  for (guint e = 0; e < p->n_experts; e++)
    {
      scores[e] = scoring == 1   ? exp (logits[e]) / sum
                  : scoring == 2 ? sigmoid (logits[e])
                                 : logits[e];
      z[e] = (p->rules->by_logit ? logits[e] : scores[e]) + (bias != NULL ? bias[e] : 0);
    }
  for (guint j = 0; j < p->k; j++)
    {
      guint best = 0;

      for (guint e = 1; e < p->n_experts; e++)
        best = z[e] > z[best] ? e : best;
      p->chosen[t * p->k + j] = best;
      z[best] = -G_MAXDOUBLE;
    }
  weigh (p, scoring, scores, p->chosen + t * p->k, p->weights + t * p->k);
}

/* Adds what the experts of chunks make of `out` (D) to it: the chunks of the chosen experts, weighed as the
 * experts of the chunks' numbers. */
static void
run_chunks (const Plain *p, guint b, guint t, double *out)
{
  guint per_chunk = (guint) number (p, "experts_per_group", 0);
  double sum = 0, scale = number (p, "expert_group_scale", 0);
  g_autofree double *in = g_memdup2 (out, p->d * sizeof *out), *one = g_new (double, p->d);
  const double *logits = p->logits + t * p->n_experts;

  if (per_chunk == 0)
    return;
  for (guint j = 0; j < p->k; j++)
    sum += exp (logits[p->chosen[t * p->k + j] / per_chunk]);
  for (guint j = 0; j < p->k; j++)
    {
      guint chunk = p->chosen[t * p->k + j] / per_chunk;

      feed (p, b, "_chexps", chunk, in, one);
      for (guint i = 0; i < p->d; i++)
        out[i] += scale * exp (logits[chunk]) / sum * one[i];
    }
}

/* Adds the chosen experts' and the shared experts' outputs for token t to out (D). */
static void
run_experts (const Plain *p, guint b, guint t, const double *h, double *out)
{
  g_autofree double *one = g_new (double, p->d), *in = g_memdup2 (h, p->d * sizeof *h);

  for (guint j = 0; j < p->k; j++)
    {
      double weight = p->weights[t * p->k + j];

      for (guint i = 0; i < p->d && p->rules->weight_first; i++)
        in[i] = h[i] * weight;
      feed (p, b, "_exps", p->chosen[t * p->k + j], in, one);
      for (guint i = 0; i < p->d; i++)
        out[i] += one[i] * (p->rules->weight_first ? 1 : weight);
    }
  run_chunks (p, b, t, out);
  if (rows_of (p, b, "ffn_up_shexp.weight") == 0)
    return;
  feed (p, b, "_shexp", 0, h, one);
  for (guint i = 0; i < p->d; i++)
    out[i] = (out[i] + one[i]) * (p->rules->flow == PARALLEL ? 0.5 : 1);
}

/* --- Blocks ----------------------------------------------------------------------------------- */

static void
norm_all (const Plain *p, guint b, const char *which, const double *x, double *out)
{
  const double *weight = tensor (p, "blk.%u.%s.weight", b, which);

  g_assert_nonnull (weight);
  for (guint t = 0; t < p->n; t++)
    norm (p, weight, x + t * p->d, p->d, out + t * p->d);
}

/* A dense network and experts, each between norms of its own; the router reads a third. */
static void
run_sides (Plain *p, guint b, guint t, const double *x, double *out)
{
  g_autofree double *h = g_new (double, p->d), *dense = g_new (double, p->d);
  const double *scale = tensor (p, "blk.%u.ffn_gate_inp.scale", b);

  norm (p, scale, x, p->d, h);
  for (guint i = 0; i < p->d; i++)
    h[i] /= sqrt (p->d);
  route (p, b, t, h);
  norm (p, tensor (p, "blk.%u.ffn_norm.weight", b), x, p->d, h);
  feed (p, b, "", 0, h, dense);
  norm (p, tensor (p, "blk.%u.post_ffw_norm_1.weight", b), dense, p->d, dense);
  norm (p, tensor (p, "blk.%u.pre_ffw_norm_2.weight", b), x, p->d, h);
  run_experts (p, b, t, h, out);
  norm (p, tensor (p, "blk.%u.post_ffw_norm_2.weight", b), out, p->d, out);
  for (guint i = 0; i < p->d; i++)
    out[i] += dense[i];
}

/* What the network adds to the stream for token t, whose normed input is h (D) and whose stream is x. */
static void
run_network (Plain *p, guint b, guint t, const double *h, const double *x, double *out)
{
  Flow flow = p->rules->flow;

  memset (out, 0, p->d * sizeof *out);
  if (rows_of (p, b, "ffn_gate_inp.weight") == 0)
    {
      feed (p, b, "", 0, h, out);
      return;
    }
  if (flow == SIDE_BY_SIDE)
    {
      run_sides (p, b, t, x, out);
      return;
    }
  if (flow == USUAL || flow == PARALLEL)
    route (p, b, t, h);
  run_experts (p, b, t, h, out);
}

/* What experts read and route by before attention. */
static void
route_before (Plain *p, guint b, double *early)
{
  gsize size = (gsize) p->n * p->d;

  memcpy (early, p->x, size * sizeof *early);
  if (p->rules->flow == EXPERTS_FIRST)
    norm_all (p, b, "ffn_norm_exps", p->x, early);
  if (p->rules->flow == EXPERTS_FIRST || p->rules->flow == ROUTER_FIRST)
    for (guint t = 0; t < p->n; t++)
      route (p, b, t, early + t * p->d);
}

static void
run_block (Plain *p, guint b)
{
  const Rules *r = p->rules;
  gsize size = (gsize) p->n * p->d;
  g_autofree double *h = g_new (double, size), *mixed = g_new (double, size);
  g_autofree double *early = g_new (double, size), *out = g_new (double, p->d);
  const double *scale = tensor (p, "blk.%u.layer_output_scale.weight", b);

  route_before (p, b, early);
  norm_all (p, b, "attn_norm", p->x, h);
  attend (p, b, h, mixed);
  if (r->mixer_post != NULL)
    norm_all (p, b, r->mixer_post, mixed, mixed);
  for (gsize i = 0; i < size; i++)
    p->x[i] += mixed[i];
  if (r->flow != PARALLEL)
    norm_all (p, b, r->ffn_norm != NULL ? r->ffn_norm : "ffn_norm", p->x, h);
  for (guint t = 0; t < p->n; t++)
    {
      double *x = p->x + t * p->d;

      if (r->flow == EXPERTS_FIRST)
        {
          run_network (p, b, t, early + t * p->d, x, out);
          feed (p, b, "", 0, h + t * p->d, mixed);
          for (guint i = 0; i < p->d; i++)
            out[i] += mixed[i];
        }
      else
        run_network (p, b, t, h + t * p->d, x, out);
      if (r->ffn_post != NULL)
        norm (p, tensor (p, "blk.%u.%s.weight", b, r->ffn_post), out, p->d, out);
      for (guint i = 0; i < p->d; i++)
        x[i] = (x[i] + out[i]) * (scale != NULL ? scale[0] : 1);
    }
}

/* --- Comparison ------------------------------------------------------------------------------- */

static const guint lengths[] = { 600, 1, 130, 0 };

static void
compare (const Plain *p, MsReader *reader, guint layer, guint first)
{
  double bound = p->rules->logits > 0 ? p->rules->logits : 5e-4;
  g_autoptr (GError) error = NULL;

  for (guint t = 0; t < p->n; t++)
    {
      const MsChunk *chunk
          = ms_reader_chunk (reader, (first + t) / MS_BLOCK_TOKENS, layer,
                             MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_LOGITS, 0, &error);
      gsize row = (first + t) % MS_BLOCK_TOKENS;

      g_assert_no_error (error);
      for (guint e = 0; e < p->n_experts; e++)
        g_assert_cmpfloat_with_epsilon ((double) chunk->logits[row * p->n_experts + e],
                                        p->logits[t * p->n_experts + e], bound);
      for (guint j = 0; j < p->k; j++)
        {
          guint slot = 0;

          while (slot < p->k && chunk->experts[row * p->k + slot] != p->chosen[t * p->k + j])
            slot++;
          g_assert_cmpuint (slot, <, p->k);
          g_assert_cmpfloat_with_epsilon ((double) chunk->weights[row * p->k + slot],
                                          p->weights[t * p->k + j], bound);
        }
    }
}

static void
run_document (Plain *p, MsReader *reader, const gint32 *ids, guint first)
{
  const double *embedding = tensor (p, "token_embd.weight");
  double scale = p->rules->root_embedding ? sqrt (p->d) : 1;
  g_autofree double *x = p->x = g_new (double, (gsize) p->n * p->d);
  g_autofree double *logits = p->logits = g_new (double, (gsize) p->n * p->n_experts);
  g_autofree double *weights = p->weights = g_new (double, (gsize) p->n * p->k);
  g_autofree guint *chosen = p->chosen = g_new (guint, (gsize) p->n * p->k);
  guint layer = 0;

  for (guint t = 0; t < p->n; t++)
    for (guint i = 0; i < p->d; i++)
      x[t * p->d + i] = scale * embedding[(gsize) ids[t] * p->d + i];
  for (guint b = 0; b < p->n_blocks; b++)
    {
      run_block (p, b);
      if (rows_of (p, b, "ffn_gate_inp.weight") > 0)
        compare (p, reader, layer++, first);
    }
}

static void
write_ids (const char *path, guint vocabulary, gint32 *ids)
{
  g_autoptr (GString) text = g_string_new (NULL);
  guint64 seed = 7;

  for (const guint *length = lengths; *length > 0; length++)
    for (guint i = 0; i < *length; i++)
      {
        *ids = (gint32) ms_random_below (&seed, vocabulary);
        g_string_append_printf (text, "%d%c", *ids++, i + 1 < *length ? ' ' : '\n');
      }
  g_assert_true (g_file_set_contents (path, text->str, (gssize) text->len, NULL));
}

/* A small MiniMax-M3, whose first block is dense and has no index. */
static void
make_model (LooseModel *model)
{
  static const struct
  {
    const char *key;
    guint32 value;
  } numbers[] = { { "embedding_length", 32 },
                  { "block_count", 3 },
                  { "attention.head_count", 4 },
                  { "attention.head_count_kv", 2 },
                  { "attention.key_length", 16 },
                  { "attention.value_length", 16 },
                  { "rope.dimension_count", 8 },
                  { "expert_count", 8 },
                  { "expert_used_count", 2 },
                  { "expert_gating_func", 2 },
                  { "leading_dense_block_count", 1 },
                  { "attention.indexer.head_count", 2 },
                  { "attention.indexer.key_length", 12 },
                  { "attention.indexer.top_k", 3 },
                  { "attention.indexer.block_size", 16 },
                  { "attention.indexer.local_blocks", 1 } };
  static const struct
  {
    const char *name;
    gint64 ne[3];
    guint first, last; /* blocks that have it */
  } parts[] = {
    { "attn_norm.weight", { 32 }, 0, 2 },          { "ffn_norm.weight", { 32 }, 0, 2 },
    { "attn_q.weight", { 32, 64 }, 0, 2 },         { "attn_k.weight", { 32, 32 }, 0, 2 },
    { "attn_v.weight", { 32, 32 }, 0, 2 },         { "attn_q_norm.weight", { 16 }, 0, 2 },
    { "attn_k_norm.weight", { 16 }, 0, 2 },        { "attn_output.weight", { 64, 32 }, 0, 2 },
    { "ffn_gate.weight", { 32, 48 }, 0, 0 },       { "ffn_up.weight", { 32, 48 }, 0, 0 },
    { "ffn_down.weight", { 48, 32 }, 0, 0 },       { "indexer.q_proj.weight", { 32, 24 }, 1, 2 },
    { "indexer.k_proj.weight", { 32, 12 }, 1, 2 }, { "indexer.q_norm.weight", { 12 }, 1, 2 },
    { "indexer.k_norm.weight", { 12 }, 1, 2 },     { "ffn_gate_inp.weight", { 32, 8 }, 1, 2 },
    { "exp_probs_b.bias", { 8 }, 1, 2 },           { "ffn_gate_exps.weight", { 32, 20, 8 }, 1, 2 },
    { "ffn_up_exps.weight", { 32, 20, 8 }, 1, 2 }, { "ffn_down_exps.weight", { 20, 32, 8 }, 1, 2 },
    { "ffn_gate_shexp.weight", { 32, 20 }, 1, 2 }, { "ffn_up_shexp.weight", { 32, 20 }, 1, 2 },
    { "ffn_down_shexp.weight", { 20, 32 }, 1, 2 }
  };

  loose_model_init (model, "minimax-m3", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    loose_model_u32 (model, numbers[i].key, numbers[i].value);
  loose_model_bool (model, "expert_weights_norm", TRUE);
  loose_model_float (model, "expert_weights_scale", 2);
  loose_model_add (model, "token_embd.weight", 32, 90, 0);
  loose_model_add (model, "output_norm.weight", 32, 0, 0);
  loose_model_add (model, "output.weight", 32, 90, 0);
  for (guint b = 0; b < 3; b++)
    for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
      {
        g_autofree char *name = g_strdup_printf ("blk.%u.%s", b, parts[i].name);

        if (b >= parts[i].first && b <= parts[i].last)
          loose_model_add (model, name, parts[i].ne[0], parts[i].ne[1], parts[i].ne[2]);
      }
  gguf_writer_save (model->writer, model->path);
}

/* The file of a model; NULL without the conformance data.  (transfer full) */
static char *
find_model (const Rules *r, LooseModel *own)
{
  const char *shared = g_getenv ("MOESCOPE_SHARED");
  g_autofree char *file = g_strconcat (r->file != NULL ? r->file : "", ".gguf", NULL);
  g_autofree char *path = NULL;

  if (r->file == NULL)
    {
      make_model (own);
      return g_strdup (own->path);
    }
  if (shared != NULL)
    path = g_build_filename (shared, "conformance", "models", file, NULL);
  return path != NULL && g_file_test (path, G_FILE_TEST_EXISTS) ? g_steal_pointer (&path) : NULL;
}

static void
test_model (gconstpointer data)
{
  Plain p = { .rules = data };
  LooseModel own = { 0 };
  g_autofree char *model = find_model (p.rules, &own), *place = NULL;
  g_autofree char *ids_file = NULL, *db = NULL;
  g_autoptr (GHashTable) tensors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (MsGguf) gguf = NULL;
  g_autoptr (MsReader) reader = NULL;
  g_autoptr (GError) error = NULL;
  MsCollectSummary summary;
  gint32 ids[1000];
  guint first = 0;

  if (model == NULL)
    {
      g_test_skip ("no conformance data (MOESCOPE_SHARED)");
      return;
    }
  p.gguf = gguf = ms_gguf_open (model, &error);
  g_assert_no_error (error);
  p.tensors = tensors;
  g_assert_true (
      ms_gguf_get_string (gguf, "general.architecture", MS_KEY_REQUIRED, &p.architecture, NULL));
  p.d = (guint) number (&p, "embedding_length", 0);
  p.n_blocks = (guint) number (&p, "block_count", 0);
  p.n_experts = (guint) number (&p, "expert_count", 0);
  p.k = (guint) number (&p, "expert_used_count", 0);
  p.epsilon = number (&p, "attention.layer_norm_rms_epsilon", 0)
              + number (&p, "attention.layer_norm_epsilon", 0);
  g_assert_cmpuint (p.n_experts, >=, p.k);
  g_assert_cmpuint (p.k, >, 0);
  place = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  ids_file = g_build_filename (place, "ids.txt", NULL);
  db = g_build_filename (place, "run.db", NULL);
  write_ids (ids_file, (guint) ms_gguf_find (gguf, "token_embd.weight")->ne[1], ids);
  ms_collect (&(MsCollectOptions){ .model = model,
                                   .inputs = (const char *[]){ ids_file, NULL },
                                   .kind = MS_INPUT_TOKEN_IDS,
                                   .output = db,
                                   .storage = MS_STORAGE_EXACT,
                                   .threads = 2,
                                   .scores = TRUE },
              &summary, NULL, &error);
  g_assert_no_error (error);
  ms_collect_summary_clear (&summary);
  reader = ms_reader_new (db, 1, &error);
  g_assert_no_error (error);
  for (guint i = 0; lengths[i] > 0; first += lengths[i++])
    {
      p.n = lengths[i];
      run_document (&p, reader, ids + first, first);
    }
  g_unlink (ids_file);
  g_unlink (db);
  g_rmdir (place);
  if (own.path != NULL)
    loose_model_clear (&own);
}

/* --- Damaged files ---------------------------------------------------------------------------- */

/* What `moescope info` says of the file with these bytes: the error, or the warnings in lines. */
static char *
describe (const char *path, const guint8 *bytes, gsize length)
{
  g_autoptr (GPtrArray) warnings = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (MsModel) model = NULL;
  g_autoptr (GString) text = g_string_new (NULL);

  g_assert_true (g_file_set_contents (path, (const char *) bytes, (gssize) length, NULL));
  model = ms_model_describe (path, &warnings, &error);
  if (model == NULL)
    return g_strdup (error->message);
  for (guint i = 0; i < warnings->len; i++)
    g_string_append_printf (text, "warning: %s\n", (const char *) g_ptr_array_index (warnings, i));
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* The place of a tensor's name in the list of tensors; its number of dimensions follows it. */
static guint8 *
find_name (guint8 *bytes, gsize length, const char *name)
{
  guint64 n = strlen (name);
  g_autofree guint8 *sought = g_malloc (8 + n);
  guint8 *found;

  memcpy (sought, &n, 8);
  memcpy (sought + 8, name, n);
  found = memmem (bytes, length, sought, 8 + n);
  g_assert_nonnull (found);
  return found + 8;
}

/* Whether tensors of a name in the middle of which stands another letter are missed or told of as unused;
 * whether other shapes of as many values are refused. */
static void
damage (const char *path, guint8 *bytes, gsize length, const MsTensor *tensor)
{
  guint8 *name = find_name (bytes, length, tensor->name), *dims = name + strlen (tensor->name);
  gsize letter = strlen (tensor->name) - 1;
  guint64 old[4], changed[2] = { 1, 1 };
  g_autofree char *renamed = NULL, *reshaped = NULL;
  guint32 n_dims;

  name[letter] ^= 1;
  renamed = describe (path, bytes, length);
  name[letter] ^= 1;
  /* Without the two in one, each is asked for. */
  if (strstr (renamed,
              strstr (tensor->name, "ffn_gate_up") != NULL ? "ffn_gate_exps" : tensor->name)
          == NULL
      && (!g_str_has_prefix (renamed, "warning: ") || strstr (renamed, "not used") == NULL))
    g_error ("%s renamed: %s", tensor->name, renamed);

  memcpy (&n_dims, dims, 4);
  memcpy (old, dims + 4, 8 * n_dims);
  changed[0] = n_dims > 1 ? old[1] : 1;
  changed[1] = old[0];
  if (n_dims < 2 || old[0] == old[1] || strcmp (tensor->name, "token_embd.weight") == 0)
    return;
  memcpy (dims + 4, changed, 16);
  reshaped = describe (path, bytes, length);
  memcpy (dims + 4, old, 16);
  if (g_str_has_prefix (reshaped, "warning: ") || strstr (reshaped, tensor->name) == NULL)
    g_error ("%s of another shape: %s", tensor->name, reshaped);
}

static void
test_damage (gconstpointer data)
{
  const Rules *r = data;
  LooseModel own = { 0 };
  g_autofree char *model = find_model (r, &own), *place = NULL, *path = NULL, *bytes = NULL;
  g_autoptr (MsGguf) gguf = NULL;
  gsize length;

  if (model == NULL || !g_file_get_contents (model, &bytes, &length, NULL))
    {
      g_test_skip ("no conformance data (MOESCOPE_SHARED)");
      return;
    }
  place = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  path = g_build_filename (place, "damaged.gguf", NULL);
  gguf = ms_gguf_open (model, NULL);
  g_assert_nonnull (gguf);
  for (guint i = 0; i < ms_gguf_n_tensors (gguf); i++)
    if (!g_str_has_prefix (ms_gguf_tensor (gguf, i)->name, "blk.")
        || g_str_has_prefix (ms_gguf_tensor (gguf, i)->name, "blk.1."))
      damage (path, (guint8 *) bytes, length, ms_gguf_tensor (gguf, i));
  g_unlink (path);
  g_rmdir (place);
  if (own.path != NULL)
    loose_model_clear (&own);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (rules); i++)
    {
      const char *name = rules[i].file != NULL ? rules[i].file : "minimax-m3";
      g_autofree char *path = g_strconcat ("/plain/", name, NULL);

      g_autofree char *damaged = g_strconcat ("/damaged/", name, NULL);

      g_test_add_data_func (path, &rules[i], test_model);
      g_test_add_data_func (damaged, &rules[i], test_damage);
    }
  return g_test_run ();
}
