/* Matrix products: every backend against double loops, and the promises about bits. */
#include "base.h"
#include "gemm.h"

#include <math.h>
#include <string.h>

static float *
random_floats (gsize n, guint64 seed)
{
  float *values = g_new (float, MAX (n, 1));

  for (gsize i = 0; i < n; i++)
    values[i] = (float) (ms_random_double (&seed) * 2 - 1);
  return values;
}

static double
product (const float *a, const float *b, gsize k, gsize step_a, gsize step_b)
{
  double sum = 0;

  for (gsize l = 0; l < k; l++)
    sum += (double) a[l * step_a] * b[l * step_b];
  return sum;
}

/* Cut to bfloat16. */
static guint16 *
upper_halves (const float *values, gsize n)
{
  guint16 *halves = g_new (guint16, MAX (n, 1));

  for (gsize i = 0; i < n; i++)
    {
      guint32 bits;

      memcpy (&bits, &values[i], sizeof bits);
      halves[i] = (guint16) (bits >> 16);
    }
  return halves;
}

static void
assert_same_bits (const float *a, const float *b, gsize n)
{
  g_assert_cmpint (memcmp (a, b, n * sizeof *a), ==, 0);
}

/* Error energy over signal energy. */
static void
assert_close (const float *found, const double *right, gsize n, double bound)
{
  double error = 0, signal = 1e-30;

  for (gsize i = 0; i < n; i++)
    {
      error += (found[i] - right[i]) * (found[i] - right[i]);
      signal += right[i] * right[i];
    }
  g_assert_cmpfloat (error / signal, <, bound);
}

static const gsize shapes[][3]
    = { { 1, 1, 1 },    { 1, 7, 3 },   { 3, 1, 5 },      { 5, 5, 0 },    { 15, 17, 31 },
        { 16, 64, 64 }, { 33, 9, 65 }, { 64, 100, 128 }, { 100, 3, 257 } };

static void
test_general (gconstpointer data)
{
  MsGemmBackend backend = (MsGemmBackend) GPOINTER_TO_INT (data);

  if (!ms_gemm_backend_available (backend))
    {
      g_test_skip ("not built in");
      return;
    }
  ms_gemm_set_backend (backend);
  for (guint s = 0; s < G_N_ELEMENTS (shapes); s++)
    for (guint way = 0; way < 12; way++)
      {
        gsize m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
        gboolean ta = way & 1, tb = (way >> 1) & 1;
        float alpha = way < 4 ? 1 : 0.5f, beta = way < 8 ? 0 : -2;
        gsize lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
        g_autofree float *a = random_floats ((ta ? k : m) * lda, 1);
        g_autofree float *b = random_floats ((tb ? n : k) * ldb, 2);
        g_autofree float *c = random_floats (m * ldc, 3);
        g_autofree float *before = g_memdup2 (c, m * ldc * sizeof *c);
        g_autofree double *right = g_new (double, m *ldc);

        for (gsize i = 0; i < m; i++)
          for (gsize j = 0; j < ldc; j++)
            right[i * ldc + j]
                = j >= n ? before[i * ldc + j]
                         : alpha
                                   * product (ta ? a + i : a + i * lda, tb ? b + j * ldb : b + j, k,
                                              ta ? lda : 1, tb ? 1 : ldb)
                               + beta * before[i * ldc + j];
        if (beta == 0)
          for (gsize i = 0; i < m; i++)
            for (gsize j = 0; j < n; j++)
              c[i * ldc + j] = NAN; /* must not be read */
        ms_gemm (ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        assert_close (c, right, m * ldc, 1e-12);
      }
}

static void
test_dense (gconstpointer data)
{
  MsGemmBackend backend = (MsGemmBackend) GPOINTER_TO_INT (data);

  if (!ms_gemm_backend_available (backend))
    {
      g_test_skip ("not built in");
      return;
    }
  ms_gemm_set_backend (backend);
  for (guint s = 0; s < G_N_ELEMENTS (shapes); s++)
    {
      gsize t = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
      g_autofree float *x = random_floats (t * k, 4);
      g_autofree float *w = random_floats (n * k, 5);
      g_autofree float *y = g_new (float, t *n);
      g_autofree double *right = g_new (double, t *n);
      g_autofree guint16 *x16 = upper_halves (x, t * k);
      g_autofree guint16 *w16 = upper_halves (w, n * k);

      for (gsize i = 0; i < t * n; i++)
        right[i] = product (x + i / n * k, w + i % n * k, k, 1, 1);
      ms_gemm_dense (t, n, k, x, w, y);
      assert_close (y, right, t * n, 1e-12);
      ms_gemm_dense_bf16 (t, n, k, x16, w16, y);
      /* Cutting to 8 bits loses up to 2^-7 of each factor. */
      assert_close (y, right, t * n, 3e-4);
    }
}

/* A row has the same bits among few rows and among many, first and last. */
static void
test_rows (void)
{
  static const gsize counts[] = { 1, 2, 15, 16, 17, 31, 100, 512, 530 };
  const gsize n = 96, k = 160, most = 1100;
  g_autofree float *x = random_floats (most * k, 6);
  g_autofree float *w = random_floats (n * k, 7);
  g_autofree guint16 *x16 = upper_halves (x, most * k);
  g_autofree guint16 *w16 = upper_halves (w, n * k);
  g_autofree float *all = g_new (float, most *n);
  g_autofree float *some = g_new (float, most *n);

  if (!ms_gemm_backend_available (MS_GEMM_ONEDNN))
    {
      g_test_skip ("oneDNN is not built in");
      return;
    }
  ms_gemm_set_backend (MS_GEMM_ONEDNN);
  if (!ms_gemm_has_bf16 ())
    {
      g_test_skip ("promised with AVX-512 only");
      return;
    }
  for (guint bf16 = 0; bf16 < 2; bf16++)
    {
      if (bf16)
        ms_gemm_dense_bf16 (most, n, k, x16, w16, all);
      else
        ms_gemm_dense (most, n, k, x, w, all);
      for (guint c = 0; c < G_N_ELEMENTS (counts); c++)
        for (gsize first = 0; first + counts[c] <= most; first += 37)
          {
            if (bf16)
              ms_gemm_dense_bf16 (counts[c], n, k, x16 + first * k, w16, some);
            else
              ms_gemm_dense (counts[c], n, k, x + first * k, w, some);
            assert_same_bits (some, all + first * n, counts[c] * n);
          }
    }
}

static void
test_threads (gconstpointer data)
{
  MsGemmBackend backend = (MsGemmBackend) GPOINTER_TO_INT (data);
  const gsize t = 1030, n = 530, k = 70;
  g_autofree float *x = random_floats (t * k, 8);
  g_autofree float *w = random_floats (n * k, 9);
  g_autofree float *one = g_new (float, t *n);
  g_autofree float *many = g_new (float, t *n);

  if (!ms_gemm_backend_available (backend))
    {
      g_test_skip ("not built in");
      return;
    }
  ms_gemm_set_backend (backend);
  ms_gemm_linear (1, t, n, k, x, w, one);
  for (guint threads = 2; threads <= 7; threads++)
    {
      memset (many, 0xff, t * n * sizeof (float));
      ms_gemm_linear (threads, t, n, k, x, w, many);
      assert_same_bits (one, many, t * n);
    }
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    GTestDataFunc run;
  } cases[] = { { "general", test_general }, { "dense", test_dense }, { "threads", test_threads } };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    for (int b = MS_GEMM_PLAIN; b <= MS_GEMM_ONEDNN; b++)
      {
        g_autofree char *path
            = g_strdup_printf ("/gemm/%s/%s", cases[i].name, ms_gemm_backend_name (b));

        g_test_add_data_func (path, GINT_TO_POINTER (b), cases[i].run);
      }
  g_test_add_func ("/gemm/rows", test_rows);
  return g_test_run ();
}
