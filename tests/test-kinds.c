/* Kernels and kinds of the forward pass, each alone against plain loops in double. */
#include "base.h"
#include "gguf-private.h"
#include "gguf-writer.h"
#include "kernels-private.h"
#include "norm-private.h"
#include "product-private.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* Lengths around the widths of vectors. */
static const gsize lengths[] = { 1, 3, 8, 16, 31, 64, 100 };

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

/* --- Activations and caps -------------------------------------------------------------------- */

static void
test_relu_squared (void)
{
  float x[] = { -2, 0, 3, 0.5f, -0.25f, 1e-3f, -1e9f, NAN };
  const float right[] = { 0, 0, 9, 0.25f, 0, 1e-6f, 0 };

  ms_relu_squared (x, NULL, G_N_ELEMENTS (x));
  for (gsize i = 0; i < G_N_ELEMENTS (right); i++)
    g_assert_cmpfloat_with_epsilon (x[i], right[i], 1e-12f);
  g_assert_true (isnan (x[7]));
}

static void
test_soft_cap (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      float x[100], capped[100];

      fill (i + 1, i % 2 == 0 ? 100 : 2, lengths[i], x);
      memcpy (capped, x, lengths[i] * sizeof *x);
      ms_soft_cap (capped, 30, lengths[i]);
      for (gsize j = 0; j < lengths[i]; j++)
        assert_near ((double) capped[j], 30 * tanh ((double) x[j] / 30), 4e-7);
    }
}

static void
test_clamp (void)
{
  float x[] = { -3, 3, 0.5f, -1.5f, 1.5f, 1.6f, -1e9f, INFINITY, NAN };
  const float right[] = { -1.5f, 1.5f, 0.5f, -1.5f, 1.5f, 1.5f, -1.5f, 1.5f };

  ms_clamp (x, 1.5f, G_N_ELEMENTS (x));
  g_assert_cmpint (memcmp (x, right, sizeof right), ==, 0);
  g_assert_true (isnan (x[8]));
}

/* --- Norms ----------------------------------------------------------------------------------- */

/* All kinds, with a mean far from 0, where a layer norm differs from an RMS norm; in place too. */
static void
test_norms (void)
{
  static const struct
  {
    const MsNormKind *kind;
    gboolean centred, biased;
  } kinds[] = { { &ms_norm_rms, FALSE, FALSE },
                { &ms_norm_rms_bias, FALSE, TRUE },
                { &ms_norm_layer, TRUE, FALSE },
                { &ms_norm_layer, TRUE, TRUE } };

  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (gsize i = 1; i < G_N_ELEMENTS (lengths); i++)
      {
        float x[100], weight[100], bias[100], out[100];
        MsNorm norm = { .kind = kinds[k].kind,
                        .weight = weight,
                        .bias = kinds[k].biased ? bias : NULL,
                        .epsilon = 1e-3f };
        double mean = 0, squares = 0;
        gsize n = lengths[i];

        fill (i, 1, n, x);
        fill (i + 100, 2, n, weight);
        fill (i + 200, 2, n, bias);
        for (gsize j = 0; j < n; j++)
          x[j] += 2;
        norm.kind->apply (&norm, x, n, out);
        for (gsize j = 0; j < n && kinds[k].centred; j++)
          mean += (double) x[j] / (double) n;
        for (gsize j = 0; j < n; j++)
          squares += ((double) x[j] - mean) * ((double) x[j] - mean);
        for (gsize j = 0; j < n; j++)
          assert_near ((double) out[j],
                       ((double) x[j] - mean) / sqrt (squares / (double) n + 1e-3)
                               * (double) weight[j]
                           + (kinds[k].biased ? (double) bias[j] : 0),
                       3e-6);
        norm.kind->apply (&norm, x, n, x);
        g_assert_cmpint (memcmp (x, out, n * sizeof (float)), ==, 0);
      }
}

/* --- The output head ------------------------------------------------------------------------- */

#define D 24
#define V 301 /* more than one block of columns */
#define T 5

/* Bias, scale and cap of the logits, in that order. */
static void
test_head (void)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "head.gguf", NULL);
  g_autoptr (GgufWriter) writer = gguf_writer_new ();
  g_autoptr (MsProducts) products = ms_products_new (2);
  g_autoptr (MsGguf) gguf = NULL;
  g_autoptr (GError) error = NULL;
  static float w[V * D], bias[V], x[T * D];
  const gint32 target[T] = { 3, -1, 300, 0, 256 };
  const MsOperand operand = { x, NULL, D };
  MsHead head = { .bias = bias, .scale = 1.5f, .cap = 4 };
  gint32 best[T];
  float loss[T];

  fill (1, 1, V * D, w);
  fill (2, 2, V, bias);
  fill (3, 1, T * D, x);
  gguf_add_string (writer, "general.architecture", "none");
  gguf_add_f32 (writer, "output.weight", D, V, 0, w);
  gguf_writer_save (writer, path);
  gguf = ms_gguf_open (path, &error);
  g_assert_no_error (error);
  head.w = (MsMatrix){ .tensor = ms_gguf_find (gguf, "output.weight"), .n_rows = V };
  ms_products_predict (products, &head, &operand, T, target, best, loss);
  for (guint t = 0; t < T; t++)
    {
      double logits[V], sum = 0;
      guint most = 0;

      for (guint v = 0; v < V; v++)
        {
          logits[v] = (double) bias[v];
          for (guint i = 0; i < D; i++)
            logits[v] += (double) x[t * D + i] * (double) w[v * D + i];
          logits[v] = 4 * tanh (1.5 * logits[v] / 4);
          sum += exp (logits[v]);
          most = logits[v] > logits[most] ? v : most;
        }
      g_assert_cmpint (best[t], ==, most);
      if (target[t] < 0)
        g_assert_true (isnan (loss[t]));
      else
        assert_near ((double) loss[t], log (sum) - logits[target[t]], 1e-5);
    }
  g_unlink (path);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kinds/relu-squared", test_relu_squared);
  g_test_add_func ("/kinds/soft-cap", test_soft_cap);
  g_test_add_func ("/kinds/clamp", test_clamp);
  g_test_add_func ("/kinds/norms", test_norms);
  g_test_add_func ("/kinds/head", test_head);
  return g_test_run ();
}
