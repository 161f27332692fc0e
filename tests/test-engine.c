/* The forward pass against plain double loops written another way, on small random models of every
 * kind; waves, threads, stopping and going on; model files that are wrong. */
#include "architecture-private.h"
#include "collector.h"
#include "gemm.h"
#include "quant-private.h"
#include "toy-model.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static const ToyModel models[] = {
  { "llama", 32, 3, 4, 2, 8, 50, 6, 2, 24, 1, 0, FALSE, 0, FALSE, 0, 1, 0, 0, FALSE },
  { "llama", 32, 2, 4, 4, 8, 50, 4, 4, 40, 0, 0, FALSE, 0, TRUE, 0, 2, 0, 0, FALSE },
  { "olmoe", 48, 2, 6, 3, 8, 70, 20, 5, 16, 0, 0, FALSE, 1, FALSE, 0, 3, 0, 0, FALSE },
  { "qwen2moe", 32, 2, 6, 1, 12, 50, 7, 3, 24, 0, 56, TRUE, 0, FALSE, 0, 4, 0, 0, FALSE },
  { "qwen3moe", 32, 2, 12, 2, 16, 50, 9, 1, 24, 0, 0, FALSE, 2, FALSE, 0, 5, 0, 0, FALSE },
  { "lfm2moe", 32, 4, 4, 2, 8, 50, 6, 2, 24, 1, 0, FALSE, 2, FALSE, 0, 6, 0, 3, FALSE },
  { "mellum", 32, 5, 4, 2, 8, 50, 6, 2, 24, 0, 0, FALSE, 2, FALSE, 0, 7, 9, 0, FALSE },
  { "granitemoe", 32, 3, 4, 2, 8, 50, 6, 2, 24, 0, 0, FALSE, 0, FALSE, 0, 8, 0, 0, FALSE },
  { "minicpm", 32, 2, 4, 2, 8, 50, 6, 2, 24, 1, 0, FALSE, 0, FALSE, 0, 9, 0, 0, FALSE },
};

/* Whatever a test writes lies in one folder. */
typedef struct
{
  char *folder, *model, *ids, *db;
} Place;

static void
place_init (Place *place, const ToyModel *model, const guint *lengths)
{
  g_autofree char *text = toy_ids (model, lengths);

  place->model = toy_model_save (model);
  place->folder = g_path_get_dirname (place->model);
  place->ids = g_build_filename (place->folder, "ids.txt", NULL);
  place->db = g_build_filename (place->folder, "run.db", NULL);
  g_assert_true (g_file_set_contents (place->ids, text, -1, NULL));
}

static void
place_clear (Place *place)
{
  g_unlink (place->model);
  g_unlink (place->ids);
  g_unlink (place->db);
  g_assert_cmpint (g_rmdir (place->folder), ==, 0);
  g_free (place->folder);
  g_free (place->model);
  g_free (place->ids);
  g_free (place->db);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Place, place_clear)

/* --- The other implementation ---------------------------------------------------------------- */

/* What it finds for one token at one MoE layer. */
typedef struct
{
  double logits[32], weights[32], norms[32], peaks[32];
  guint experts[32];
  double entropy, margin, similarity;
} Decision;

typedef struct
{
  const ToyModel *model;
  guint n;             /* tokens of the document */
  double *x;           /* (n, D) */
  Decision *decisions; /* (MoE layers, n) */
  guint *predicted;    /* (n) */
  double *loss;        /* (n) */
} Naive;

/* W x + bias for a weight of the file. */
static void
apply (const Naive *naive, guint block, const char *part, const double *in, guint n_in, guint n_out,
       gsize first_row, gsize all_rows, double *out)
{
  g_autofree char *name
      = block == G_MAXUINT ? g_strdup (part) : g_strdup_printf ("blk.%u.%s", block, part);
  g_autofree float *w = toy_model_values (naive->model, name, all_rows * n_in);

  for (guint i = 0; i < n_out; i++)
    {
      out[i] = 0;
      for (guint j = 0; j < n_in; j++)
        out[i] += in[j] * (double) w[(first_row + i) * n_in + j];
    }
}

static void
normalize (const Naive *naive, guint block, const char *part, double *x, guint n)
{
  g_autofree char *name
      = block == G_MAXUINT ? g_strdup (part) : g_strdup_printf ("blk.%u.%s", block, part);
  g_autofree float *weight = toy_model_values (naive->model, name, n);
  double squares = 0;

  for (guint i = 0; i < n; i++)
    squares += x[i] * x[i];
  for (guint i = 0; i < n; i++)
    x[i] = x[i] / sqrt (squares / n + (double) 1e-5f) * (double) weight[i];
}

static gboolean
is_one_of (const ToyModel *model, const char *names)
{
  g_auto (GStrv) list = g_strsplit (names, " ", -1);

  return g_strv_contains ((const char *const *) list, model->architecture);
}

/* The file's scale, or what is right where it has none. */
static double
scale_of (const ToyModel *model, const char *key, double otherwise)
{
  float scale = toy_model_scale (model, key);

  return scale != 0 ? (double) scale : otherwise;
}

static double
residual_scale (const ToyModel *model)
{
  return scale_of (model, "residual_scale",
                   is_one_of (model, "minicpm") ? 1.4 / sqrt (model->blocks) : 1);
}

static double
embedding_scale (const ToyModel *model)
{
  return scale_of (model, "embedding_scale", is_one_of (model, "minicpm") ? 12 : 1);
}

/* Of these architectures the key divides. */
static double
logit_scale (const ToyModel *model)
{
  return 1
         / scale_of (model, "logit_scale", is_one_of (model, "minicpm") ? model->width / 256.0 : 1);
}

static void
turn (const ToyModel *model, double *head, guint position)
{
  guint w = model->head_width;
  gboolean pairs = is_one_of (model, "llama granitemoe minicpm");

  for (guint i = 0; i < w / 2; i++)
    {
      double angle = position * pow (10000, -2.0 * i / w), a, b;
      guint first = pairs ? 2 * i : i, second = pairs ? 2 * i + 1 : i + w / 2;

      a = head[first];
      b = head[second];
      head[first] = a * cos (angle) - b * sin (angle);
      head[second] = b * cos (angle) + a * sin (angle);
    }
}

/* Queries (which 'q'), keys or values of one token. */
static void
project (const Naive *naive, guint block, char which, guint heads, const double *h, guint position,
         double *out)
{
  const ToyModel *m = naive->model;
  guint n = heads * m->head_width;
  char part[32];

  g_snprintf (part, sizeof part, "attn_%c.weight", which);
  apply (naive, block, part, h, m->width, n, 0, n, out);
  if (m->qkv_bias)
    {
      g_autofree char *name = g_strdup_printf ("blk.%u.attn_%c.bias", block, which);
      g_autofree float *bias = toy_model_values (m, name, n);

      for (guint i = 0; i < n; i++)
        out[i] += (double) bias[i];
    }
  if (which == 'v')
    return;
  g_snprintf (part, sizeof part, "attn_%c_norm.weight", which);
  if (m->qk_norm == 1)
    normalize (naive, block, part, out, n);
  for (guint i = 0; i < heads; i++)
    {
      if (m->qk_norm == 2)
        normalize (naive, block, part, out + i * m->head_width, m->head_width);
      turn (m, out + i * m->head_width, position);
    }
}

static void
attend (Naive *naive, guint block)
{
  const ToyModel *m = naive->model;
  guint w = m->head_width, nq = m->heads * w, nk = m->kv_heads * w, n = naive->n;
  g_autofree double *q = g_new (double, n *nq), *k = g_new (double, n *nk);
  g_autofree double *v = g_new (double, n *nk), *h = g_new (double, m->width);
  g_autofree double *mixed = g_new (double, nq), *p = g_new (double, n);

  for (guint t = 0; t < n; t++)
    {
      memcpy (h, naive->x + t * m->width, m->width * sizeof *h);
      normalize (naive, block, "attn_norm.weight", h, m->width);
      project (naive, block, 'q', m->heads, h, t, q + t * nq);
      project (naive, block, 'k', m->kv_heads, h, t, k + t * nk);
      project (naive, block, 'v', m->kv_heads, h, t, v + t * nk);
    }
  for (guint t = 0; t < n; t++)
    {
      for (guint head = 0; head < m->heads; head++)
        {
          guint kv = head / (m->heads / m->kv_heads);
          guint from = m->window > 0 && block % 4 != 3 && t + 1 > m->window ? t + 1 - m->window : 0;
          double sum = 0;

          for (guint s = from; s <= t; s++)
            {
              double dot = 0;

              for (guint i = 0; i < w; i++)
                dot += q[t * nq + head * w + i] * k[s * nk + kv * w + i];
              sum += p[s] = exp (dot * scale_of (m, "attention.scale", 1 / sqrt (w)));
            }
          for (guint i = 0; i < w; i++)
            {
              mixed[head * w + i] = 0;
              for (guint s = from; s <= t; s++)
                mixed[head * w + i] += p[s] / sum * v[s * nk + kv * w + i];
            }
        }
      apply (naive, block, "attn_output.weight", mixed, nq, m->width, 0, m->width, h);
      for (guint i = 0; i < m->width; i++)
        naive->x[t * m->width + i] += residual_scale (m) * h[i];
    }
}

/* The short convolution: b, c and x of each token, then a sum over three tokens. */
static void
convolve (Naive *naive, guint block)
{
  guint d = naive->model->width, n = naive->n;
  g_autofree char *name = g_strdup_printf ("blk.%u.shortconv.conv.weight", block);
  g_autofree float *kernel = toy_model_values (naive->model, name, 3 * d);
  g_autofree double *bcx = g_new (double, (gsize) n * 3 * d), *h = g_new (double, d);
  g_autofree double *y = g_new (double, d);

  for (guint t = 0; t < n; t++)
    {
      memcpy (h, naive->x + t * d, d * sizeof *h);
      normalize (naive, block, "attn_norm.weight", h, d);
      apply (naive, block, "shortconv.in_proj.weight", h, d, 3 * d, 0, 3 * d, bcx + t * 3 * d);
    }
  for (guint t = 0; t < n; t++)
    {
      for (guint i = 0; i < d; i++)
        {
          y[i] = 0;
          for (guint back = 0; back <= 2 && back <= t; back++)
            {
              const double *of = bcx + (t - back) * 3 * d;

              y[i] += (double) kernel[i * 3 + 2 - back] * of[i] * of[2 * d + i];
            }
          y[i] *= bcx[t * 3 * d + d + i];
        }
      apply (naive, block, "shortconv.out_proj.weight", y, d, d, 0, d, h);
      for (guint i = 0; i < d; i++)
        naive->x[t * d + i] += h[i];
    }
}

/* down (silu (gate) * up) of expert `e` of `n_experts`, or of the tensors with a suffix alone. */
static void
feed (const Naive *naive, guint block, const char *suffix, guint e, guint n_experts, guint width,
      const double *h, double *out)
{
  guint d = naive->model->width;
  g_autofree double *gate = g_new (double, width), *up = g_new (double, width);
  g_autofree char *gate_name = g_strdup_printf ("ffn_gate%s.weight", suffix);
  g_autofree char *up_name = g_strdup_printf ("ffn_up%s.weight", suffix);
  g_autofree char *down_name = g_strdup_printf ("ffn_down%s.weight", suffix);

  apply (naive, block, gate_name, h, d, width, (gsize) e * width, (gsize) n_experts * width, gate);
  apply (naive, block, up_name, h, d, width, (gsize) e * width, (gsize) n_experts * width, up);
  for (guint i = 0; i < width; i++)
    gate[i] *= up[i] / (1 + exp (-gate[i]));
  apply (naive, block, down_name, gate, width, d, (gsize) e * d, (gsize) n_experts * d, out);
}

static void
decide (const ToyModel *m, Decision *decision)
{
  double scores[32], sum = 0, kept = 0;
  gboolean taken[32] = { FALSE };

  for (guint e = 0; e < m->experts; e++)
    sum += exp (decision->logits[e]);
  decision->entropy = 0;
  for (guint e = 0; e < m->experts; e++)
    {
      scores[e] = exp (decision->logits[e]) / sum;
      decision->entropy -= scores[e] * log (scores[e]);
    }
  for (guint j = 0; j <= m->k; j++)
    {
      guint best = G_MAXUINT;

      for (guint e = 0; e < m->experts; e++)
        if (!taken[e] && (best == G_MAXUINT || scores[e] > scores[best]))
          best = e;
      if (j == m->k)
        {
          decision->margin
              = best == G_MAXUINT ? (double) NAN : decision->weights[j - 1] - scores[best];
          break;
        }
      taken[best] = TRUE;
      decision->experts[j] = best;
      kept += decision->weights[j] = scores[best];
    }
  for (guint j = 0; j < m->k; j++)
    if (is_one_of (m, "llama qwen3moe lfm2moe mellum granitemoe minicpm"))
      decision->weights[j] /= kept;
}

static void
route (const Naive *naive, guint block, const double *x, const double *h, Decision *decision,
       double *routed)
{
  const ToyModel *m = naive->model;
  guint d = m->width;
  g_autofree double *out = g_new (double, d);
  double before = 0, after = 0, across = 0;

  apply (naive, block, "ffn_gate_inp.weight", h, d, m->experts, 0, m->experts, decision->logits);
  decide (m, decision);
  memset (routed, 0, d * sizeof *routed);
  for (guint j = 0; j < m->k; j++)
    {
      guint e = decision->experts[j];
      g_autofree char *suffix = m->separate ? g_strdup_printf (".%u", e) : g_strdup ("_exps");

      feed (naive, block, suffix, m->separate ? 0 : e, m->separate ? 1 : m->experts,
            m->expert_width, h, out);
      decision->norms[j] = 0;
      decision->peaks[j] = out[0];
      for (guint i = 0; i < d; i++)
        {
          decision->norms[j] += out[i] * out[i];
          decision->peaks[j] = MAX (decision->peaks[j], out[i]);
          routed[i] += decision->weights[j] * out[i];
        }
      decision->norms[j] = sqrt (decision->norms[j]);
    }
  for (guint i = 0; i < d; i++)
    {
      double now = x[i] + residual_scale (m) * routed[i];

      before += x[i] * x[i];
      after += now * now;
      across += x[i] * now;
    }
  decision->similarity = across / sqrt (before * after);
}

static void
feed_forward (Naive *naive, guint block, Decision *decisions)
{
  const ToyModel *m = naive->model;
  guint d = m->width;
  g_autofree double *h = g_new (double, d), *out = g_new (double, d), *more = g_new (double, d);

  for (guint t = 0; t < naive->n; t++)
    {
      double *x = naive->x + t * d;

      memcpy (h, x, d * sizeof *h);
      normalize (naive, block, "ffn_norm.weight", h, d);
      if (decisions == NULL)
        feed (naive, block, "", 0, 1, 2 * m->expert_width, h, out);
      else
        route (naive, block, x, h, &decisions[t], out);
      if (decisions != NULL && m->shared_width > 0)
        {
          double gate;

          feed (naive, block, "_shexp", 0, 1, m->shared_width, h, more);
          apply (naive, block, "ffn_gate_inp_shexp.weight", h, d, 1, 0, 1, &gate);
          for (guint i = 0; i < d; i++)
            out[i] += more[i] / (1 + exp (-gate));
        }
      for (guint i = 0; i < d; i++)
        x[i] += residual_scale (m) * out[i];
    }
}

static void
run_naive (Naive *naive, const gint32 *ids)
{
  const ToyModel *m = naive->model;
  guint d = m->width, n = naive->n;
  g_autofree float *embedding
      = toy_model_values (m, "token_embd.weight", (gsize) m->vocabulary * d);
  g_autofree double *y = g_new (double, m->vocabulary);

  naive->x = g_new (double, (gsize) n *d);
  naive->decisions = g_new0 (Decision, (gsize) m->blocks * n);
  naive->predicted = g_new (guint, n);
  naive->loss = g_new (double, n);
  for (guint t = 0; t < n; t++)
    for (guint i = 0; i < d; i++)
      naive->x[t * d + i] = embedding_scale (m) * (double) embedding[(gsize) ids[t] * d + i];
  for (guint b = 0; b < m->blocks; b++)
    {
      if (b < m->conv_blocks)
        convolve (naive, b);
      else
        attend (naive, b);
      feed_forward (naive, b,
                    b < m->dense_blocks ? NULL : naive->decisions + (b - m->dense_blocks) * n);
    }
  for (guint t = 0; t < n; t++)
    {
      double sum = 0;

      normalize (naive, G_MAXUINT, toy_model_last_norm (m), naive->x + t * d, d);
      apply (naive, G_MAXUINT, "output.weight", naive->x + t * d, d, m->vocabulary, 0,
             m->vocabulary, y);
      naive->predicted[t] = 0;
      for (guint i = 0; i < m->vocabulary; i++)
        {
          y[i] *= logit_scale (m);
          sum += exp (y[i]);
          naive->predicted[t] = y[i] > y[naive->predicted[t]] ? i : naive->predicted[t];
        }
      naive->loss[t] = t + 1 < n ? log (sum) - y[ids[t + 1]] : (double) NAN;
    }
}

static void
naive_clear (Naive *naive)
{
  g_free (naive->x);
  g_free (naive->decisions);
  g_free (naive->predicted);
  g_free (naive->loss);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Naive, naive_clear)

/* --- Comparison ------------------------------------------------------------------------------ */

static void
assert_near (double found, double right, double bound)
{
  if (!(fabs (found - right) <= bound * MAX (1, fabs (right))) && found != right
      && !(isnan (found) && isnan (right)))
    g_error ("%.9g found, %.9g is right", found, right);
}

static void
collect (const MsCollectOptions *options, MsCollectSummary *summary)
{
  MsCollectSummary own;
  g_autoptr (GError) error = NULL;

  ms_collect (options, summary != NULL ? summary : &own, NULL, &error);
  g_assert_no_error (error);
  if (summary == NULL)
    ms_collect_summary_clear (&own);
}

static void
compare_layer (const ToyModel *m, const Naive *naive, const MsChunk *chunk, guint layer,
               guint first)
{
  const Decision *decisions = naive->decisions + layer * naive->n;

  for (guint t = 0; t < naive->n; t++)
    {
      const Decision *right = &decisions[t];
      gsize row = first + t;

      for (guint e = 0; e < m->experts; e++)
        assert_near ((double) chunk->logits[row * m->experts + e], right->logits[e], 1e-4);
      assert_near ((double) chunk->entropy[row], right->entropy, 1e-4);
      assert_near ((double) chunk->margin[row], right->margin, 1e-4);
      assert_near ((double) chunk->similarity[row], right->similarity, 1e-4);
      for (guint j = 0; j < m->k; j++)
        {
          g_assert_cmpuint (chunk->experts[row * m->k + j], ==, right->experts[j]);
          assert_near ((double) chunk->weights[row * m->k + j], right->weights[j], 1e-4);
          assert_near ((double) chunk->norms[row * m->k + j], right->norms[j], 1e-4);
          assert_near ((double) chunk->peaks[row * m->k + j], right->peaks[j], 1e-4);
        }
    }
}

/* Documents of one token, of several blocks of queries, and of none in between. */
static const guint lengths[] = { 5, 1, 140, 33, 0 };

static void
test_architecture (gconstpointer data)
{
  const ToyModel *m = data;
  const guint columns = MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN
                        | MS_CHUNK_LOGITS | MS_CHUNK_NORMS | MS_CHUNK_PEAKS | MS_CHUNK_SIMILARITY;
  g_auto (Place) place = { 0 };
  g_autoptr (MsReader) reader = NULL;
  g_autoptr (GError) error = NULL;
  gint32 ids[200], predicted[200];
  float loss[200];
  guint first = 0, n = 0;

  place_init (&place, m, lengths);
  collect (&(MsCollectOptions){ .model = place.model,
                                .inputs = (const char *[]){ place.ids, NULL },
                                .kind = MS_INPUT_TOKEN_IDS,
                                .output = place.db,
                                .storage = MS_STORAGE_EXACT,
                                .threads = 2,
                                .scores = TRUE,
                                .norms = TRUE,
                                .predict = TRUE },
           NULL);
  reader = ms_reader_new (place.db, 1, &error);
  g_assert_no_error (error);
  for (guint i = 0; lengths[i] > 0; i++)
    n += lengths[i];
  g_assert_true (ms_reader_tokens (reader, 0, n, ids, NULL));
  g_assert_true (ms_reader_predictions (reader, 0, n, predicted, loss, NULL));
  for (guint i = 0; lengths[i] > 0; first += lengths[i++])
    {
      g_auto (Naive) naive = { m, lengths[i], NULL, NULL, NULL, NULL };

      run_naive (&naive, ids + first);
      for (guint layer = 0; layer < m->blocks - m->dense_blocks; layer++)
        {
          const MsChunk *chunk = ms_reader_chunk (reader, 0, layer, columns, 0, &error);

          g_assert_no_error (error);
          compare_layer (m, &naive, chunk, layer, first);
        }
      for (guint t = 0; t < lengths[i]; t++)
        {
          g_assert_cmpint (predicted[first + t], ==, naive.predicted[t]);
          assert_near ((double) loss[first + t], naive.loss[t], 1e-4);
        }
    }
}

/* --- Waves, threads, stopping ---------------------------------------------------------------- */

/* All decisions of the newest run: ids, and the bits of the rest. */
static GByteArray *
read_all (const char *db)
{
  GByteArray *bytes = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) file = ms_db_open (db, MS_DB_READ, &error);
  g_autoptr (MsRun) run = file != NULL ? ms_db_load_run (file, 0, &error) : NULL;
  g_autoptr (MsModel) model = run != NULL ? ms_db_load_model (file, run->model, &error) : NULL;
  g_autoptr (MsReader) reader = model != NULL ? ms_reader_new (db, run->id, &error) : NULL;

  g_assert_no_error (error);
  g_assert_nonnull (run->finished);
  for (guint block = 0; (gint64) block * MS_BLOCK_TOKENS < run->n_tokens; block++)
    for (guint layer = 0; layer < model->n_layers; layer++)
      {
        const MsChunk *chunk = ms_reader_chunk (
            reader, block, layer,
            MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN, 0, &error);
        guint slots = chunk->n_tokens * chunk->k;

        g_assert_no_error (error);
        g_byte_array_append (bytes, (const guint8 *) chunk->experts, slots * 2);
        g_byte_array_append (bytes, (const guint8 *) chunk->weights, slots * 4);
        g_byte_array_append (bytes, (const guint8 *) chunk->entropy, chunk->n_tokens * 4);
        g_byte_array_append (bytes, (const guint8 *) chunk->margin, chunk->n_tokens * 4);
      }
  return bytes;
}

/* Some 9,000 tokens: three blocks, whose borders lie within documents. */
static const guint many[] = { 700, 3000, 10, 1000, 1, 2500, 600, 1200, 0 };

static void
assert_same (const GByteArray *a, const GByteArray *b)
{
  g_assert_cmpuint (a->len, ==, b->len);
  g_assert_cmpint (memcmp (a->data, b->data, a->len), ==, 0);
}

static void
test_waves (void)
{
  static const guint ways[][2] = { { 2, 50000 }, { 3, 1 }, { 1, 1500 }, { 2, 4000 } };
  const ToyModel *m = &models[2];
  g_auto (Place) place = { 0 };
  g_autoptr (GByteArray) first = NULL;

  place_init (&place, m, many);
  for (guint i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      g_autoptr (GByteArray) all = NULL;

      collect (&(MsCollectOptions){ .model = place.model,
                                    .inputs = (const char *[]){ place.ids, NULL },
                                    .kind = MS_INPUT_TOKEN_IDS,
                                    .output = place.db,
                                    .storage = MS_STORAGE_EXACT,
                                    .threads = ways[i][0],
                                    .wave_tokens = ways[i][1] },
               NULL);
      all = read_all (place.db);
      g_unlink (place.db);
      if (first == NULL)
        first = g_steal_pointer (&all);
      else if (ms_gemm_has_bf16 ())
        assert_same (first, all);
    }
  if (!ms_gemm_has_bf16 ())
    g_test_message ("without AVX-512 bits may depend on the wave: only run");
}

static void
stop_after (const MsCollectProgress *progress, gpointer data)
{
  if (progress->tokens_done >= MS_BLOCK_TOKENS)
    g_cancellable_cancel (data);
}

/* Stopped after the first block, then gone on with: the same as at one go. */
static void
test_resume (void)
{
  g_auto (Place) place = { 0 };
  g_autoptr (GByteArray) at_once = NULL, in_two = NULL;
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  MsCollectSummary summary;
  MsCollectOptions options;

  place_init (&place, &models[0], many);
  options = (MsCollectOptions){ .model = place.model,
                                .inputs = (const char *[]){ place.ids, NULL },
                                .kind = MS_INPUT_TOKEN_IDS,
                                .output = place.db,
                                .storage = MS_STORAGE_EXACT,
                                .wave_tokens = 1500 };
  collect (&options, NULL);
  at_once = read_all (place.db);
  g_unlink (place.db);

  options.progress = stop_after;
  options.progress_data = cancel;
  g_assert_true (ms_collect (&options, &summary, cancel, &error));
  g_assert_true (summary.stopped);
  g_assert_cmpint (summary.tokens, ==, MS_BLOCK_TOKENS);
  ms_collect_summary_clear (&summary);

  options.progress = NULL;
  collect (&options, &summary);
  g_assert_true (summary.resumed);
  g_assert_false (summary.stopped);
  g_assert_cmpint (summary.tokens, ==, 9011);
  ms_collect_summary_clear (&summary);
  in_two = read_all (place.db);
  if (ms_gemm_has_bf16 ())
    assert_same (at_once, in_two);

  /* Going on with nothing is a new run; so is restarting. */
  options.restart = TRUE;
  collect (&options, &summary);
  g_assert_false (summary.resumed);
  ms_collect_summary_clear (&summary);
}

static void
test_memory (void)
{
  g_auto (Place) place = { 0 };
  g_autoptr (GError) error = NULL;
  MsCollectSummary summary;

  place_init (&place, &models[0], lengths);
  g_assert_false (ms_collect (&(MsCollectOptions){ .model = place.model,
                                                   .inputs = (const char *[]){ place.ids, NULL },
                                                   .kind = MS_INPUT_TOKEN_IDS,
                                                   .output = place.db,
                                                   .memory = 1000 },
                              &summary, NULL, &error));
  g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT);
  g_assert_nonnull (strstr (error->message, "--max-tokens"));
}

/* --- Wrong numbers --------------------------------------------------------------------------- */

/* Writes `value` over n values of the tensor in the file's bytes, from number `from` on. */
static void
set_values (GByteArray *bytes, const ToyModel *model, const char *tensor, gsize size, gsize from,
            gsize n, float value)
{
  g_autofree float *values = toy_model_values (model, tensor, size);
  guint8 *found = memmem (bytes->data, bytes->len, values, size * sizeof *values);

  g_assert_nonnull (found);
  for (gsize i = from; i < from + n; i++)
    memcpy (found + i * sizeof value, &value, sizeof value);
}

static guint
count_runs (const char *db)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) file = ms_db_open (db, MS_DB_READ, &error);
  g_autoptr (GPtrArray) runs = file != NULL ? ms_db_list_runs (file, &error) : NULL;

  g_assert_no_error (error);
  return runs->len;
}

/* A weight that is no number is named, with its expert; no run is left behind. */
static void
test_broken (void)
{
  static const struct
  {
    const char *tensor;
    gsize size, from, n;
    float value;
    const char *says, *where; /* parts of the message */
  } cases[] = {
    { "blk.1.ffn_down_exps.weight", 24 * 32 * 6, 3 * 24 * 32 + 5, 1, NAN,
      "blk.1.ffn_down_exps.weight (expert 3) has a value that is not finite (NaN)", "in block 1" },
    { "blk.2.ffn_gate_inp.weight", 32 * 6, 32, 1, NAN, "blk.2.ffn_gate_inp.weight", "in block 2" },
    { "blk.0.attn_norm.weight", 32, 0, 1, INFINITY, "blk.0.attn_norm.weight", "position 0" },
    { "token_embd.weight", 32 * 50, 0, 32 * 50, NAN, "token_embd.weight", "position 0" },
    { "output.weight", 32 * 50, 40, 1, NAN, "output.weight", "the output head" },
    { "blk.1.ffn_up_exps.weight", 24 * 32 * 6, 0, 24 * 32 * 6, 1e38f,
      "all weights there are finite", "overflow in block 1" },
  };
  const ToyModel *m = &models[0];

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (Place) place = { 0 };
      g_autoptr (GgufWriter) writer = toy_model_write (m);
      g_autoptr (GByteArray) bytes = gguf_writer_bytes (writer);
      g_autoptr (GError) error = NULL;
      MsCollectSummary summary;

      place_init (&place, m, lengths);
      set_values (bytes, m, cases[i].tensor, cases[i].size, cases[i].from, cases[i].n,
                  cases[i].value);
      g_file_set_contents (place.model, (const char *) bytes->data, (gssize) bytes->len, NULL);
      g_assert_false (
          ms_collect (&(MsCollectOptions){ .model = place.model,
                                           .inputs = (const char *[]){ place.ids, NULL },
                                           .kind = MS_INPUT_TOKEN_IDS,
                                           .output = place.db,
                                           .threads = 2,
                                           .predict = TRUE },
                      &summary, NULL, &error));
      g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_CORRUPT);
      if (strstr (error->message, cases[i].says) == NULL
          || strstr (error->message, cases[i].where) == NULL)
        g_error ("'%s' and '%s' expected in: %s", cases[i].says, cases[i].where, error->message);
      g_assert_nonnull (strstr (error->message, "document 'ids:"));
      g_assert_null (strstr (error->message, "goes on"));
      g_assert_cmpuint (count_runs (place.db), ==, 0);
    }
}

static void
cut_model (const MsCollectProgress *progress, gpointer data)
{
  if (progress->layer > 0)
    g_assert_cmpint (truncate (data, 5000), ==, 0);
}

/* A model that gets shorter while it is read ends in a message. */
static void
test_cut (void)
{
  g_auto (Place) place = { 0 };
  g_autoptr (GError) error = NULL;
  MsCollectSummary summary;

  place_init (&place, &models[0], lengths);
  g_assert_false (ms_collect (&(MsCollectOptions){ .model = place.model,
                                                   .inputs = (const char *[]){ place.ids, NULL },
                                                   .kind = MS_INPUT_TOKEN_IDS,
                                                   .output = place.db,
                                                   .progress = cut_model,
                                                   .progress_data = place.model },
                              &summary, NULL, &error));
  g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_CORRUPT);
  g_assert_nonnull (strstr (error->message, "while it was read"));
  g_assert_cmpuint (count_runs (place.db), ==, 0);
}

static const MsRemark *
find_remark (const MsCollectSummary *summary, const char *code)
{
  for (guint i = 0; i < summary->remarks->len; i++)
    {
      const MsRemark *remark = g_ptr_array_index (summary->remarks, i);

      if (g_str_equal (remark->code, code))
        return remark;
    }
  return NULL;
}

static guint
count_remarks (const char *db, gint64 run)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) file = ms_db_open (db, MS_DB_READ, &error);
  g_autoptr (GPtrArray) remarks = file != NULL ? ms_db_list_remarks (file, run, &error) : NULL;

  g_assert_no_error (error);
  return remarks->len;
}

static void
collect_remarks (const Place *place, MsCollectSummary *summary)
{
  collect (&(MsCollectOptions){ .model = place->model,
                                .inputs = (const char *[]){ place->ids, NULL },
                                .kind = MS_INPUT_TOKEN_IDS,
                                .output = place->db },
           summary);
}

/* What model and text say against the decisions is counted; a sound model says nothing. */
static void
test_remarks (void)
{
  ToyModel m = models[0];
  g_auto (Place) place = { 0 };
  g_autoptr (GgufWriter) writer = NULL;
  g_autoptr (GByteArray) bytes = NULL;
  g_autoptr (MsModel) model = NULL;
  g_autofree char *key = NULL;
  MsCollectSummary summary;
  const guint32 context = 100;
  guint8 *found;

  place_init (&place, &m, lengths);
  collect_remarks (&place, &summary);
  g_assert_cmpuint (summary.remarks->len, ==, 0);
  ms_collect_summary_clear (&summary);

  writer = toy_model_write (&m);
  bytes = gguf_writer_bytes (writer);
  set_values (bytes, &m, "blk.1.ffn_gate_inp.weight", 32 * 6, 0, 32 * 6, 0);
  found = memmem (bytes->data, bytes->len, "llama.context_length", 20);
  memcpy (found + 20 + 4, &context, sizeof context);
  g_file_set_contents (place.model, (const char *) bytes->data, (gssize) bytes->len, NULL);
  collect_remarks (&place, &summary);
  g_assert_cmpuint (summary.remarks->len, ==, 2);
  /* One of two layers has ties alone. */
  g_assert_cmpint (find_remark (&summary, "ties")->count, ==, 5 + 1 + 140 + 33);
  g_assert_cmpstr (find_remark (&summary, "ties")->place, ==, "layer=1");
  g_assert_nonnull (strstr (find_remark (&summary, "ties")->text, "179 of 358"));
  g_assert_cmpint (find_remark (&summary, "beyond-context")->count, ==, 40);
  g_assert_nonnull (strstr (find_remark (&summary, "beyond-context")->text, "1 of 4 documents"));
  g_assert_nonnull (strstr (find_remark (&summary, "beyond-context")->text, "--max-tokens 100"));
  g_assert_cmpuint (count_remarks (place.db, summary.run), ==, 2);
  ms_collect_summary_clear (&summary);

  m.quantised_router = TRUE;
  g_clear_pointer (&writer, gguf_writer_free);
  writer = toy_model_write (&m);
  gguf_writer_save (writer, place.model);
  collect_remarks (&place, &summary);
  g_assert_cmpuint (summary.remarks->len, ==, 1);
  g_assert_cmpint (find_remark (&summary, "quantised-router")->count, ==, 2);
  ms_collect_summary_clear (&summary);
  model = ms_model_describe (place.model, NULL, NULL);
  g_assert_nonnull (strstr (model->details, "\"router_type\":\"Q8_0 (quantised)\""));
  g_assert_nonnull (strstr (model->details, "\"selection_bias\":\"no\""));
}

/* --- Wrong files ----------------------------------------------------------------------------- */

typedef enum
{
  SET,    /* a number of a key becomes `value` */
  RENAME, /* a key or tensor gets another name of the same length */
  CUT,    /* the file ends `value` bytes early */
} Damage;

typedef struct
{
  Damage damage;
  const char *what, *to;
  guint32 value;
  const char *says; /* part of the message */
} Fault;

static const Fault faults[] = {
  { RENAME, "llama.block_count", "llama.block_cound", 0, "block_count" },
  { RENAME, "blk.1.ffn_down_exps.weight", "blk.1.ffn_dawn_exps.weight", 0, "blk.1.ffn_down_exps" },
  { RENAME, "blk.2.attn_k.weight", "blk.2.attn_x.weight", 0, "blk.2.attn_k.weight" },
  { RENAME, "token_embd.weight", "tokem_embd.weight", 0, "token_embd.weight" },
  { RENAME, "blk.0.ffn_up.weight", "blk.0.ffn_op.weight", 0, "blk.0.ffn_up.weight" },
  { RENAME, "general.architecture", "general.architextura", 0, "general.architecture" },
  { SET, "llama.expert_used_count", NULL, 7, "expert_used_count" },
  { SET, "llama.expert_used_count", NULL, 0, "expert_used_count" },
  { SET, "llama.expert_count", NULL, 0, "expert_count" },
  { SET, "llama.expert_count", NULL, 8, "ffn_gate_inp" },
  { SET, "llama.block_count", NULL, 0, "blocks" },
  { SET, "llama.block_count", NULL, 4, "blk.3" },
  { SET, "llama.block_count", NULL, 1, "no Mixture-of-Experts" },
  { SET, "llama.embedding_length", NULL, 40, "token_embd.weight" },
  { SET, "llama.embedding_length", NULL, 0, "width" },
  { SET, "llama.attention.head_count", NULL, 0, "head" },
  { SET, "llama.attention.head_count", NULL, 8, "attn_q.weight" },
  { SET, "llama.attention.head_count_kv", NULL, 3, "key-value heads" },
  { SET, "llama.attention.key_length", NULL, 0, "heads of 0" },
  { SET, "llama.attention.value_length", NULL, 16, "attn_v.weight" },
  { SET, "llama.rope.dimension_count", NULL, 7, "rope.dimension_count" },
  { SET, "llama.rope.dimension_count", NULL, 10, "rope.dimension_count" },
  { CUT, NULL, NULL, 1, "toy.gguf" },
  { CUT, NULL, NULL, 5000, "toy.gguf" },
};

static void
spoil (GByteArray *bytes, const Fault *fault)
{
  gsize length = fault->what != NULL ? strlen (fault->what) : 0;
  guint8 *found = length > 0 ? memmem (bytes->data, bytes->len, fault->what, length) : NULL;

  if (fault->damage == CUT)
    {
      g_byte_array_set_size (bytes, bytes->len - fault->value);
      return;
    }
  g_assert_nonnull (found);
  if (fault->damage == RENAME)
    memcpy (found, fault->to, length);
  else /* after the key come its type (4 bytes) and the number */
    memcpy (found + length + 4, &fault->value, 4);
}

static void
assert_refused (GByteArray *bytes, const char *path, const char *says)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, (const char *) bytes->data, (gssize) bytes->len, NULL));
  g_assert_null (ms_model_describe (path, NULL, &error));
  g_assert_nonnull (error);
  if (strstr (error->message, says) == NULL)
    g_error ("'%s' expected in: %s", says, error->message);
}

static void
test_faults (void)
{
  g_autofree char *path = toy_model_save (&models[0]);
  g_autofree char *folder = g_path_get_dirname (path);

  for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
    {
      g_autoptr (GgufWriter) writer = toy_model_write (&models[0]);
      g_autoptr (GByteArray) bytes = gguf_writer_bytes (writer);

      spoil (bytes, &faults[i]);
      assert_refused (bytes, path, faults[i].says);
    }
  g_unlink (path);
  g_rmdir (folder);
}

/* Keys that models of these architectures do not have and that would change what they compute. */
static void
test_keys (void)
{
  static const struct
  {
    const char *key, *text;
    float value;
    const char *says;
  } keys[] = {
    { "llama.rope.scaling.type", "longrope", 0, "longrope" },
    { "llama.attn_logit_softcapping", NULL, 30, "attn_logit_softcapping" },
    { "llama.attention.clamp_kqv", NULL, 8, "clamp_kqv" },
    { "llama.logit_scale", NULL, 2, "logit_scale" },
    { "llama.rope.freq_base", NULL, -1, "rope" },
  };
  g_autofree char *path = toy_model_save (&models[0]);
  g_autofree char *folder = g_path_get_dirname (path);

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autoptr (GgufWriter) writer = toy_model_write (&models[0]);
      g_autoptr (GByteArray) bytes = NULL;

      if (keys[i].text != NULL)
        gguf_add_string (writer, keys[i].key, keys[i].text);
      else
        gguf_add_float (writer, keys[i].key, keys[i].value);
      bytes = gguf_writer_bytes (writer);
      assert_refused (bytes, path, keys[i].says);
    }
  g_unlink (path);
  g_rmdir (folder);
}

static void
test_describe (void)
{
  ToyModel unknown = models[0];
  g_autofree char *path = toy_model_save (&models[0]), *folder = g_path_get_dirname (path);
  g_autoptr (GPtrArray) warnings = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (MsModel) model = ms_model_describe (path, &warnings, &error);
  g_autoptr (GgufWriter) writer = NULL;
  g_autofree char *router = NULL;

  g_assert_no_error (error);
  router = ms_model_describe_router (model);
  g_assert_cmpstr (model->name, ==, "toy");
  g_assert_cmpstr (router, ==, "softmax, top 2 of 6, renormalised");
  g_assert_cmpuint (model->n_blocks, ==, 3);
  g_assert_cmpuint (model->n_layers, ==, 2);
  g_assert_cmpint (model->layers[0].number, ==, 1);
  g_assert_cmpint (model->expert_bytes, ==, 3 * 32 * 24 * 4);
  g_assert_cmpuint (warnings->len, ==, 0);
  g_assert_nonnull (strstr (model->details, "\"router_type\":\"F32\""));
  g_assert_nonnull (strstr (model->details, "\"context_length\":4096"));

  unknown.architecture = "starling";
  writer = toy_model_write (&unknown);
  gguf_writer_save (writer, path);
  g_assert_null (ms_model_describe (path, NULL, &error));
  g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "starling"));
  g_assert_nonnull (strstr (error->message, "olmoe"));
  g_unlink (path);
  g_rmdir (folder);
}

/* Blocks that predict further tokens are told of and left out. */
static void
test_further (void)
{
  g_autofree char *path = toy_model_save (&models[0]), *folder = g_path_get_dirname (path);
  g_autoptr (GgufWriter) writer = toy_model_write (&models[0]);
  g_autoptr (GgufWriter) none_left = toy_model_write (&models[0]);
  g_autoptr (GPtrArray) warnings = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (MsModel) model = NULL;

  gguf_add_u32 (writer, "llama.nextn_predict_layers", 1);
  gguf_writer_save (writer, path);
  model = ms_model_describe (path, &warnings, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model->n_blocks, ==, 2);
  g_assert_cmpuint (model->n_layers, ==, 1);
  g_assert_cmpuint (warnings->len, ==, 1);
  g_assert_nonnull (strstr (g_ptr_array_index (warnings, 0), "nextn_predict_layers"));

  gguf_add_u32 (none_left, "llama.nextn_predict_layers", 3);
  gguf_writer_save (none_left, path);
  g_assert_null (ms_model_describe (path, NULL, &error));
  g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_CORRUPT);
  g_unlink (path);
  g_rmdir (folder);
}

/* README lists what can be run; the lists are those of the tables. */
static void
test_readme (void)
{
  const char *root = g_getenv ("MOESCOPE_SOURCE_ROOT");
  g_autofree char *path = root != NULL ? g_build_filename (root, "README.md", NULL) : NULL;
  g_autofree char *text = NULL, *names = ms_architecture_names ();
  g_auto (GStrv) list = g_strsplit (names, ", ", -1);

  if (root == NULL)
    {
      g_test_skip ("no sources (MOESCOPE_SOURCE_ROOT)");
      return;
    }
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  for (guint i = 0; list[i] != NULL; i++)
    {
      g_autofree char *quoted = g_strdup_printf ("`%s`", list[i]);

      if (strstr (text, quoted) == NULL)
        g_error ("README.md does not name the architecture %s", list[i]);
    }
  for (guint32 number = 0; number < 256; number++)
    {
      const MsTensorType *type = ms_tensor_type (number);
      g_autofree char *quoted = type != NULL ? g_strdup_printf ("`%s`", type->name) : NULL;

      if (type != NULL && (type->to_float != NULL) != (strstr (text, quoted) != NULL))
        g_error ("README.md and the table disagree on the tensor type %s", type->name);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (models); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/engine/architecture/%s-%u", models[i].architecture, i);

      g_test_add_data_func (path, &models[i], test_architecture);
    }
  g_test_add_func ("/engine/waves", test_waves);
  g_test_add_func ("/engine/resume", test_resume);
  g_test_add_func ("/engine/memory", test_memory);
  g_test_add_func ("/engine/broken", test_broken);
  g_test_add_func ("/engine/cut", test_cut);
  g_test_add_func ("/engine/remarks", test_remarks);
  g_test_add_func ("/engine/faults", test_faults);
  g_test_add_func ("/engine/keys", test_keys);
  g_test_add_func ("/engine/describe", test_describe);
  g_test_add_func ("/engine/further", test_further);
  g_test_add_func ("/engine/readme", test_readme);
  return g_test_run ();
}
