/* Training: gradients against finite differences of a double-precision twin, the tokenizer, the writer,
 * and whole small runs (threads, interruption, resumption). */
#include "collector.h"
#include "gguf-private.h"
#include "train/bpe-private.h"
#include "train/decoder-private.h"
#include "train/gguf-write-private.h"
#include "train/train.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* --- The twin: the same model written token by token, in double, forward only ------------------ */

typedef struct
{
  const MsDecoder *decoder;
  const MsDecoderShape *shape;
  const double *parameters;
} Twin;

static const double *
tensor (const Twin *twin, int layer, const char *name, gsize *stride)
{
  guint n;
  const MsWeight *weights = ms_decoder_weights (twin->decoder, &n);
  g_autofree char *full = layer < 0 ? g_strdup (name) : g_strdup_printf ("blk.%d.%s", layer, name);

  for (guint i = 0; i < n; i++)
    if (g_str_equal (weights[i].name, full))
      {
        if (stride != NULL)
          *stride = weights[i].stride;
        return twin->parameters + weights[i].offset;
      }
  return NULL;
}

static void
twin_norm (const Twin *twin, guint d, const double *x, const double *w, double *y)
{
  double sum = 0;

  for (guint i = 0; i < d; i++)
    sum += x[i] * x[i];
  for (guint i = 0; i < d; i++)
    y[i] = x[i] / sqrt (sum / d + (double) twin->shape->epsilon) * w[i];
}

static void
twin_linear (guint rows, guint columns, const double *w, const double *x, double *y)
{
  for (guint r = 0; r < rows; r++)
    {
      y[r] = 0;
      for (guint c = 0; c < columns; c++)
        y[r] += w[r * columns + c] * x[c];
    }
}

static void
twin_rope (const Twin *twin, guint position, double *x)
{
  guint half = twin->shape->head_width / 2;

  for (guint i = 0; i < half; i++)
    {
      double angle = position * pow ((double) twin->shape->rope_base, -(double) i / half);
      double a = x[i], b = x[i + half];

      x[i] = a * cos (angle) - b * sin (angle);
      x[i + half] = b * cos (angle) + a * sin (angle);
    }
}

static void
twin_attention (const Twin *twin, int l, guint context, double *x)
{
  const MsDecoderShape *s = twin->shape;
  guint d = s->width, w = s->head_width;
  g_autofree double *q = g_new (double, context * s->heads * w);
  g_autofree double *k = g_new (double, context * s->kv_heads * w);
  g_autofree double *v = g_new (double, context * s->kv_heads * w);
  g_autofree double *h = g_new (double, d);
  g_autofree double *o = g_new (double, s->heads *w);
  g_autofree double *p = g_new (double, context);

  for (guint t = 0; t < context; t++)
    {
      twin_norm (twin, d, x + t * d, tensor (twin, l, "attn_norm.weight", NULL), h);
      twin_linear (s->heads * w, d, tensor (twin, l, "attn_q.weight", NULL), h,
                   q + t * s->heads * w);
      twin_linear (s->kv_heads * w, d, tensor (twin, l, "attn_k.weight", NULL), h,
                   k + t * s->kv_heads * w);
      twin_linear (s->kv_heads * w, d, tensor (twin, l, "attn_v.weight", NULL), h,
                   v + t * s->kv_heads * w);
      for (guint i = 0; i < s->heads; i++)
        {
          double *row = q + (t * s->heads + i) * w;
          twin_norm (twin, w, row, tensor (twin, l, "attn_q_norm.weight", NULL), row);
          twin_rope (twin, t, row);
        }
      for (guint i = 0; i < s->kv_heads; i++)
        {
          double *row = k + (t * s->kv_heads + i) * w;
          twin_norm (twin, w, row, tensor (twin, l, "attn_k_norm.weight", NULL), row);
          twin_rope (twin, t, row);
        }
    }
  for (guint t = 0; t < context; t++)
    {
      g_autofree double *out = g_new (double, d);

      for (guint i = 0; i < s->heads; i++)
        {
          guint g = i * s->kv_heads / s->heads;
          double sum = 0;

          for (guint u = 0; u <= t; u++)
            {
              p[u] = 0;
              for (guint c = 0; c < w; c++)
                p[u] += q[(t * s->heads + i) * w + c] * k[(u * s->kv_heads + g) * w + c];
              p[u] = exp (p[u] / sqrt (w));
              sum += p[u];
            }
          for (guint c = 0; c < w; c++)
            {
              o[i * w + c] = 0;
              for (guint u = 0; u <= t; u++)
                o[i * w + c] += p[u] / sum * v[(u * s->kv_heads + g) * w + c];
            }
        }
      twin_linear (d, s->heads * w, tensor (twin, l, "attn_output.weight", NULL), o, out);
      for (guint c = 0; c < d; c++)
        x[t * d + c] += out[c];
    }
}

/* x += weight * down (silu (gate h) * up h) */
static void
twin_expert (guint d, guint f, const double *gate, const double *up, const double *down,
             const double *h, double weight, double *x)
{
  g_autofree double *a = g_new (double, f);
  g_autofree double *b = g_new (double, f);
  g_autofree double *y = g_new (double, d);

  twin_linear (f, d, gate, h, a);
  twin_linear (f, d, up, h, b);
  for (guint i = 0; i < f; i++)
    a[i] *= b[i] / (1 + exp (-a[i]));
  twin_linear (d, f, down, a, y);
  for (guint i = 0; i < d; i++)
    x[i] += weight * y[i];
}

/* Returns the auxiliary loss of the layer over all n tokens; load must have been zeroed. */
static double
twin_mixture (const Twin *twin, int l, guint n, double *x, guint *load)
{
  const MsDecoderShape *s = twin->shape;
  guint d = s->width, f = s->expert_width;
  gboolean softmax = g_str_equal (s->router->name, "softmax");
  g_autofree double *h = g_new (double, d);
  g_autofree double *a = g_new (double, s->experts);
  g_autofree double *mean = g_new0 (double, s->experts);
  const double *bias = tensor (twin, l, "exp_probs_b.bias", NULL);
  double squares = 0, balance = 0;
  gsize gate_stride = 0, up_stride = 0, down_stride = 0;
  const double *gate = tensor (twin, l, "ffn_gate_exps.weight", &gate_stride);
  const double *up = tensor (twin, l, "ffn_up_exps.weight", &up_stride);
  const double *down = tensor (twin, l, "ffn_down_exps.weight", &down_stride);

  for (guint t = 0; t < n; t++)
    {
      gboolean taken[16] = { 0 };
      guint chosen[16];
      double sum = 0, total = 0;

      twin_norm (twin, d, x + t * d, tensor (twin, l, "ffn_norm.weight", NULL), h);
      twin_linear (s->experts, d, tensor (twin, l, "ffn_gate_inp.weight", NULL), h, a);
      for (guint e = 0; e < s->experts; e++)
        sum += exp (a[e]);
      squares += log (sum) * log (sum);
      for (guint e = 0; e < s->experts; e++)
        {
          a[e] = softmax ? exp (a[e]) / sum : 1 / (1 + exp (-a[e]));
          mean[e] += a[e] / n;
        }
      for (guint i = 0; i < s->top_k; i++)
        {
          int best = -1;

          for (guint e = 0; e < s->experts; e++)
            if (!taken[e]
                && (best < 0 || a[e] + (bias ? bias[e] : 0) > a[best] + (bias ? bias[best] : 0)))
              best = (int) e;
          taken[best] = TRUE;
          chosen[i] = (guint) best;
          load[best]++;
          total += a[best];
        }
      for (guint i = 0; i < s->top_k; i++)
        twin_expert (d, f, gate + chosen[i] * gate_stride, up + chosen[i] * up_stride,
                     down + chosen[i] * down_stride, h, a[chosen[i]] / total, x + t * d);
      if (s->shared > 0)
        twin_expert (d, s->shared * f, tensor (twin, l, "ffn_gate_shexp.weight", NULL),
                     tensor (twin, l, "ffn_up_shexp.weight", NULL),
                     tensor (twin, l, "ffn_down_shexp.weight", NULL), h, 1, x + t * d);
    }
  if (!softmax)
    return 0;
  for (guint e = 0; e < s->experts; e++)
    balance += mean[e] * load[e] / (n * s->top_k);
  return (double) s->balance * s->experts * balance + (double) s->z_loss * squares / n;
}

static double
twin_loss (const Twin *twin, guint sequences, guint context, const guint16 *tokens, guint *load)
{
  const MsDecoderShape *s = twin->shape;
  guint n = sequences * context, d = s->width;
  const double *embedding = tensor (twin, -1, "token_embd.weight", NULL);
  g_autofree double *x = g_new (double, n *d);
  g_autofree double *h = g_new (double, d);
  g_autofree double *logits = g_new (double, s->vocabulary);
  double loss = 0, auxiliary = 0;

  memset (load, 0, s->layers * s->experts * sizeof *load);
  for (guint t = 0; t < n; t++)
    memcpy (x + t * d, embedding + tokens[t / context * (context + 1) + t % context] * d,
            d * sizeof *x);
  for (guint l = 0; l < s->layers; l++)
    {
      for (guint b = 0; b < sequences; b++)
        twin_attention (twin, (int) l, context, x + b * context * d);
      auxiliary += twin_mixture (twin, (int) l, n, x, load + l * s->experts);
    }
  for (guint t = 0; t < n; t++)
    {
      double sum = 0;

      twin_norm (twin, d, x + t * d, tensor (twin, -1, "output_norm.weight", NULL), h);
      twin_linear (s->vocabulary, d, embedding, h, logits);
      for (guint v = 0; v < s->vocabulary; v++)
        sum += exp (logits[v]);
      loss += log (sum) - logits[tokens[t / context * (context + 1) + t % context + 1]];
    }
  return loss / n + auxiliary;
}

/* --- Gradients -------------------------------------------------------------------------------- */

static void
test_gradients (gconstpointer data)
{
  const char *router = data;
  gboolean sigmoid = g_str_equal (router, "sigmoid");
  guint sequences = 3, context = 7;
  MsDecoderShape shape = {
    .layers = 2,
    .experts = 5,
    .top_k = 2,
    .shared = sigmoid ? 2 : 0,
    .width = 12,
    .heads = 4,
    .kv_heads = sigmoid ? 4 : 2,
    .head_width = 6,
    .expert_width = 9,
    .vocabulary = 23,
    .context = context,
    .rope_base = 100,
    .epsilon = 1e-5f,
    .balance = 0.3f,
    .z_loss = 0.1f,
    .router = ms_train_router_find (router),
  };
  g_autoptr (MsDecoder) decoder = ms_decoder_new (&shape);
  g_autoptr (MsArena) scratch = ms_arena_new (1 << 16);
  gsize size = ms_decoder_size (decoder);
  g_autofree float *parameters = g_new0 (float, size);
  g_autofree float *gradient = g_new0 (float, size);
  g_autofree double *doubles = g_new0 (double, size);
  g_autofree guint16 *tokens = g_new (guint16, sequences * (context + 1));
  g_autofree gint64 *load = g_new (gint64, shape.layers * shape.experts);
  g_autofree guint *twin_load = g_new (guint, shape.layers * shape.experts);
  MsPassResult result = { .load = load };
  Twin twin = { decoder, &shape, doubles };
  guint64 seed = 7;
  guint n_weights;
  const MsWeight *weights = ms_decoder_weights (decoder, &n_weights);
  double loss;

  /* Large weights, so that nothing is nearly linear. */
  for (guint i = 0; i < n_weights; i++)
    for (gsize e = 0; e < weights[i].depth; e++)
      for (gsize j = 0; j < weights[i].rows * weights[i].columns; j++)
        {
          double r = ms_random_double (&seed) - 0.5;

          parameters[weights[i].offset + e * weights[i].stride + j]
              = (float) (weights[i].kind == MS_WEIGHT_VECTOR ? 1 + r : r);
        }
  for (gsize i = 0; i < size; i++)
    doubles[i] = (double) parameters[i];
  for (guint i = 0; i < sequences * (context + 1); i++)
    tokens[i] = (guint16) ms_random_below (&seed, shape.vocabulary);

  ms_decoder_pass (decoder, parameters, sequences, context, tokens, sequences * context, scratch,
                   gradient, &result);
  loss = twin_loss (&twin, sequences, context, tokens, twin_load);
  g_assert_cmpfloat_with_epsilon (result.loss / (sequences * context) + result.auxiliary, loss,
                                  2e-6);
  for (guint i = 0; i < shape.layers * shape.experts; i++)
    g_assert_cmpint (load[i], ==, twin_load[i]);

  for (guint i = 0; i < n_weights; i++)
    {
      gsize n = weights[i].rows * weights[i].columns * weights[i].depth;
      double largest = 0, worst = 0;

      if (weights[i].kind == MS_WEIGHT_STATE)
        continue;
      for (gsize j = 0; j < n; j++)
        {
          gsize matrix = weights[i].rows * weights[i].columns;
          gsize at = weights[i].offset + j / matrix * weights[i].stride + j % matrix;
          double kept = doubles[at], step = 1e-5, difference;

          doubles[at] = kept + step;
          difference = twin_loss (&twin, sequences, context, tokens, twin_load);
          doubles[at] = kept - step;
          difference -= twin_loss (&twin, sequences, context, tokens, twin_load);
          doubles[at] = kept;
          difference /= 2 * step;
          largest = MAX (largest, fabs (difference));
          worst = MAX (worst, fabs (difference - (double) gradient[at]));
        }
      g_test_message ("%s: largest %.3g, worst error %.3g", weights[i].name, largest, worst);
      g_assert_cmpfloat (largest, >, 1e-4);
      g_assert_cmpfloat (worst, <, 3e-6 * MAX (largest, 0.1));
    }
}

/* R3: an update moves each bias by exactly the rate or not at all, never up for an overloaded expert. */
static void
test_bias (void)
{
  const MsTrainRouter *router = ms_train_router_find ("sigmoid");
  float bias[4] = { 0 };
  const gint64 load[4] = { 8, 4, 4, 0 };

  router->update (4, 0.5f, load, bias);
  g_assert_cmpfloat (bias[0], ==, -0.5f);
  g_assert_cmpfloat (bias[1], ==, 0);
  g_assert_cmpfloat (bias[2], ==, 0);
  g_assert_cmpfloat (bias[3], ==, 0.5f);
  g_assert_null (ms_train_router_find ("softmax")->update);
  g_assert_null (ms_train_router_find ("none"));
}

/* --- Tokenizer -------------------------------------------------------------------------------- */

static void
test_bpe (void)
{
  static const char text[] = "low low low low low lower lower newest newest newest newest newest "
                             "newest widest widest widest";
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint16));
  g_autoptr (GArray) unseen = g_array_new (FALSE, FALSE, sizeof (guint16));
  g_autoptr (GString) back = g_string_new (NULL);
  g_autoptr (MsBpe) bpe = NULL;
  g_autofree char *first = NULL, *second = NULL, *space = NULL;
  guint bytes = 0;

  g_ptr_array_add (texts, g_bytes_new_static (text, sizeof text - 1));
  bpe = ms_bpe_learn (texts, 265, NULL, NULL);
  g_assert_nonnull (bpe);
  g_assert_cmpuint (ms_bpe_size (bpe), ==, 265);
  /* Nine times "es" and "st" (six newest, three widest); 's' before 't' has the lower left id. */
  first = ms_bpe_merge (bpe, 0);
  second = ms_bpe_merge (bpe, 1);
  g_assert_cmpstr (first, ==, "e s");
  g_assert_cmpstr (second, ==, "es t");
  space = ms_bpe_token (bpe, ' ');
  g_assert_cmpstr (space, ==, "\xC4\xA0");

  ms_bpe_encode (bpe, text, sizeof text - 1, ids);
  for (guint i = 0; i < ids->len; i++)
    {
      g_autofree char *token = ms_bpe_token (bpe, g_array_index (ids, guint16, i));

      bytes += ms_bpe_token_bytes (bpe, g_array_index (ids, guint16, i));
      g_string_append (back, token);
    }
  g_assert_cmpuint (bytes, ==, sizeof text - 1);
  g_string_replace (back, "\xC4\xA0", " ", 0);
  g_assert_cmpstr (back->str, ==, text);
  /* Words the corpus did not have go through the merges. */
  ms_bpe_encode (bpe, "zest", 4, unseen);
  g_assert_cmpuint (unseen->len, ==, 2);
  g_assert_cmpuint (g_array_index (unseen, guint16, 0), ==, 'z');
}

/* --- The writer ------------------------------------------------------------------------------- */

static void
test_writer (void)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "w.gguf", NULL);
  g_autoptr (MsGgufWriter) writer = ms_gguf_writer_new ();
  g_autoptr (MsGguf) gguf = NULL;
  g_autoptr (GError) error = NULL;
  float values[2 * 3 * 64], row[64];
  const MsGgufStore stores[] = { MS_GGUF_F32, MS_GGUF_F16, MS_GGUF_Q8_0 };
  static const char *const names[] = { "a", "b", "c" };
  guint32 number = 0;

  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    values[i] = sinf ((float) i);
  ms_gguf_writer_add_string (writer, "general.architecture", "test");
  ms_gguf_writer_add_u32 (writer, "test.number", 17);
  for (guint i = 0; i < 3; i++)
    ms_gguf_writer_add_tensor (writer, names[i], stores[i], 64, 2, 2, 3 * 64, values);
  g_assert_true (ms_gguf_writer_save (writer, path, &error));
  gguf = ms_gguf_open (path, &error);
  g_assert_no_error (error);
  g_assert_true (ms_gguf_get_u32 (gguf, "test.number", MS_KEY_REQUIRED, &number, &error));
  g_assert_cmpuint (number, ==, 17);
  for (guint i = 0; i < 3; i++)
    {
      const MsTensor *tensor = ms_gguf_find (gguf, names[i]);
      static const float tolerance[] = { 1e-9f, 5e-4f, 4.5e-3f };

      g_assert_nonnull (tensor);
      g_assert_cmpint (tensor->ne[0], ==, 64);
      g_assert_cmpint (tensor->ne[1], ==, 2);
      g_assert_cmpint (tensor->ne[2], ==, 2);
      for (guint r = 0; r < 4; r++)
        {
          ms_tensor_to_float (tensor, r, 1, row);
          for (guint c = 0; c < 64; c++)
            g_assert_cmpfloat_with_epsilon (row[c], values[r / 2 * 192 + r % 2 * 64 + c],
                                            tolerance[i]);
        }
    }
  g_unlink (path);
  g_rmdir (folder);
}

/* --- Whole runs ------------------------------------------------------------------------------- */

typedef struct
{
  char *folder, *corpus, *held_out;
  const char *corpora[2], *held_outs[2];
  GCancellable *cancel;
  gint64 stop_at;
} Fixture;

static void
setup (Fixture *f, gconstpointer data)
{
  g_autoptr (GString) text = g_string_new (NULL);
  static const char *const words[]
      = { "the", "river", "runs", "past", "a", "mill", "and", "42", "stones", "über", "水", "{x}" };
  guint64 seed = 3;

  (void) data;
  f->folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  f->corpus = g_build_filename (f->folder, "corpus.txt", NULL);
  f->held_out = g_build_filename (f->folder, "held-out.txt", NULL);
  for (guint i = 0; i < 4000; i++)
    g_string_append_printf (text, "%s%c", words[ms_random_below (&seed, 4) + i % 3 * 4],
                            i % 50 == 49 ? '\f' : ' ');
  g_file_set_contents (f->held_out, text->str, 2000, NULL);
  g_file_set_contents (f->corpus, text->str + 2000, -1, NULL);
  f->corpora[0] = f->corpus;
  f->held_outs[0] = f->held_out;
  f->cancel = g_cancellable_new ();
}

static void
teardown (Fixture *f, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (f->folder, 0, NULL);
  const char *name;

  (void) data;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (f->folder, name, NULL);
      g_unlink (path);
    }
  g_rmdir (f->folder);
  g_free (f->folder);
  g_free (f->corpus);
  g_free (f->held_out);
  g_object_unref (f->cancel);
}

static void
stop_at (const MsTrainProgress *progress, gpointer data)
{
  Fixture *f = data;

  if (progress->step == f->stop_at)
    g_cancellable_cancel (f->cancel);
}

/* The options of a tiny model. */
static void
options_of (Fixture *f, const char *path, const char *router, guint threads, MsTrainOptions *o)
{
  ms_train_options_init (o);
  o->corpus = f->corpora;
  o->held_out = f->held_outs;
  o->output = path;
  o->name = "test";
  o->router = router;
  o->layers = 2;
  o->experts = 4;
  o->width = 32;
  o->heads = 2;
  o->head_width = 16;
  o->expert_width = 32;
  o->vocabulary = 300;
  o->context = 64;
  o->batch = 36; /* three blocks, the last one shorter */
  o->steps = 10;
  o->warm_up = 2;
  o->cool_down = 4;
  o->rate = 0.03;
  o->threads = threads;
  o->checkpoint_every = 4;
  o->progress = stop_at;
  o->progress_data = f;
}

/* Trains a tiny model to folder/name.gguf and returns the sum of its bytes, "" when it was stopped. */
static char *
run (Fixture *f, const char *name, const char *router, guint threads, gint64 stop,
     MsTrainSummary *summary)
{
  g_autofree char *path = g_build_filename (f->folder, name, NULL);
  g_autofree char *bytes = NULL;
  g_autoptr (GError) error = NULL;
  MsTrainOptions o;
  gsize length;

  options_of (f, path, router, threads, &o);
  f->stop_at = stop;
  g_cancellable_reset (f->cancel);
  ms_train (&o, summary, f->cancel, &error);
  g_assert_no_error (error);
  if (summary->stopped)
    return g_strdup ("");
  g_assert_true (g_file_get_contents (path, &bytes, &length, NULL));
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256, (guint8 *) bytes, length);
}

static void
test_runs (Fixture *f, gconstpointer data)
{
  const char *router = data;
  MsTrainSummary summary, other;
  g_autofree char *one = run (f, "one.gguf", router, 1, -1, &summary);
  g_autofree char *state = g_build_filename (f->folder, "stop.gguf.state", NULL);
  g_autofree char *checkpoint = g_build_filename (f->folder, "one-step000008.gguf", NULL);
  g_autofree char *model = g_build_filename (f->folder, "one.gguf", NULL);
  const MsTrainPoint *first = &g_array_index (summary.points, MsTrainPoint, 0);
  g_autoptr (MsGguf) gguf = NULL;
  g_autoptr (MsTokenizer) tokenizer = NULL;
  g_autofree char *stopped = NULL, *resumed = NULL;

  /* It learns, and not only by heart. */
  g_test_message ("loss %.3f to %.3f, held out %.3f, unigram %.3f, bigram %.3f", first->loss,
                  summary.loss, summary.held_out, summary.unigram, summary.bigram);
  g_assert_cmpfloat (summary.loss, <, 0.7 * first->loss);
  g_assert_cmpfloat (summary.held_out, <, 0.7 * first->loss);
  g_assert_cmpfloat (summary.bigram, <, summary.unigram);

  for (guint threads = 2; threads <= 3; threads++)
    {
      g_autofree char *many = run (f, "many.gguf", router, threads, -1, &other);

      g_assert_cmpstr (many, ==, one);
      ms_train_summary_clear (&other);
    }

  stopped = run (f, "stop.gguf", router, 2, 5, &other);
  g_assert_true (other.stopped);
  g_assert_cmpint (other.steps, ==, 5);
  ms_train_summary_clear (&other);
  g_assert_true (g_file_test (state, G_FILE_TEST_EXISTS));
  resumed = run (f, "stop.gguf", router, 1, -1, &other);
  g_assert_true (other.resumed);
  g_assert_cmpstr (resumed, ==, one);
  g_assert_cmpint (memcmp (other.points->data, summary.points->data,
                           summary.points->len * sizeof (MsTrainPoint)),
                   ==, 0);
  ms_train_summary_clear (&other);
  g_assert_false (g_file_test (state, G_FILE_TEST_EXISTS));

  gguf = ms_gguf_open (model, NULL);
  g_assert_nonnull (gguf);
  g_assert_nonnull (ms_gguf_find (gguf, "blk.1.ffn_down_exps.weight"));
  g_assert_cmpint (ms_gguf_find (gguf, "blk.0.ffn_gate_inp.weight")->ne[1], ==, 4);
  g_assert_true ((ms_gguf_find (gguf, "blk.0.exp_probs_b.bias") != NULL)
                 == g_str_equal (router, "sigmoid"));
  g_assert_true (g_file_test (checkpoint, G_FILE_TEST_EXISTS));
  ms_train_summary_clear (&summary);
}

/* Nothing that defines a router may change without the fingerprint that a state is known by. */
static void
test_fingerprint (void)
{
  const MsTrainRouter *softmax = ms_train_router_find ("softmax");
  guint64 right = ms_train_router_fingerprint (softmax);
  MsTrainRouter other[] = { *softmax, *softmax, *softmax, *softmax, *softmax, *softmax, *softmax };

  g_assert_true (ms_train_router_fingerprint (&other[0]) == right);
  other[0].name = "softmax-2";
  other[1].gate.scoring = MS_SCORING_SQRT_SOFTPLUS;
  other[2].gate.renormalise = FALSE;
  other[3].gate.scale = 2.5f;
  other[4].gate.biased = TRUE;
  other[5].gate.groups = 2;
  other[6].gate.group_rule = MS_GROUP_BEST;
  for (guint i = 0; i < G_N_ELEMENTS (other); i++)
    g_assert_true (ms_train_router_fingerprint (&other[i]) != right);
}

/* A state of one router is no start for another. */
static void
test_other_router (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "two.gguf", NULL);
  g_autofree char *state = g_strconcat (path, ".state", NULL);
  g_autofree char *stopped = NULL, *before = NULL, *after = NULL;
  gsize length, length_after;
  g_autoptr (GError) error = NULL;
  MsTrainOptions o;
  MsTrainSummary summary;

  (void) data;
  stopped = run (f, "two.gguf", "softmax", 1, 3, &summary);
  g_assert_true (summary.stopped);
  ms_train_summary_clear (&summary);
  g_assert_true (g_file_get_contents (state, &before, &length, NULL));
  options_of (f, path, "sigmoid", 1, &o);
  g_assert_false (ms_train (&o, &summary, NULL, &error));
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error->message, "another router"));
  /* It stays as it was, for the run that it belongs to. */
  g_assert_true (g_file_get_contents (state, &after, &length_after, NULL));
  g_assert_true (length == length_after && memcmp (before, after, length) == 0);
}

static void
test_refusals (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "no.gguf", NULL);
  g_autofree char *state = g_build_filename (f->folder, "no.gguf.state", NULL);
  static const struct
  {
    const char *router;
    guint layers, heads;
    gint shared, kv_heads;
    double rate;
    const char *says;
  } cases[] = {
    { "oracle", 2, 2, -1, -1, 0.01, "softmax, sigmoid" },
    { "softmax", 0, 2, -1, -1, 0.01, "layers is 0" },
    { "softmax", 2, 3, -1, 2, 0.01, "3 heads" },
    { "sigmoid", 2, 2, 0, -1, 0.01, "shared 1 or more" },
    { "sigmoid", 2, 2, 1, 1, 0.01, "kv-heads 2" },
    { "softmax", 2, 2, -1, -1, -1, "above 0" },
    { "softmax", 2, 2, -1, -1, 0.01, "no training state" },
  };

  (void) data;
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      MsTrainOptions o;
      MsTrainSummary summary;

      ms_train_options_init (&o);
      o.corpus = f->corpora;
      o.output = path;
      o.router = cases[i].router;
      o.layers = cases[i].layers;
      o.heads = cases[i].heads;
      o.shared = cases[i].shared;
      o.kv_heads = cases[i].kv_heads;
      o.rate = cases[i].rate;
      o.vocabulary = 300;
      if (i == G_N_ELEMENTS (cases) - 1)
        g_file_set_contents (state, "rubbish", -1, NULL);
      g_assert_false (ms_train (&o, &summary, NULL, &error));
      g_assert_nonnull (error);
      g_test_message ("%s", error->message);
      g_assert_nonnull (strstr (error->message, cases[i].says));
      g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/train/gradients/softmax", "softmax", test_gradients);
  g_test_add_data_func ("/train/gradients/sigmoid", "sigmoid", test_gradients);
  g_test_add_func ("/train/bias", test_bias);
  g_test_add_func ("/train/bpe", test_bpe);
  g_test_add_func ("/train/writer", test_writer);
  g_test_add ("/train/runs/softmax", Fixture, "softmax", setup, test_runs, teardown);
  g_test_add ("/train/runs/sigmoid", Fixture, "sigmoid", setup, test_runs, teardown);
  g_test_add_func ("/train/fingerprint", test_fingerprint);
  g_test_add ("/train/other-router", Fixture, NULL, setup, test_other_router, teardown);
  g_test_add ("/train/refusals", Fixture, NULL, setup, test_refusals, teardown);
  return g_test_run ();
}
