#include "gemm.h"

#include "base.h"

#include <string.h>

#ifdef MS_HAVE_OPENBLAS
#include <cblas-openblas.h>
#endif
#ifdef MS_HAVE_ONEDNN
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#endif

/* Blocks of ms_gemm_linear: large enough to be worth a call, small enough to spread and to keep the
 * weights of one block in the second-level cache. */
#define ROW_BLOCK    512
#define COLUMN_BLOCK 256

static gint chosen = -1;

static const char *const names[] = {
  [MS_GEMM_PLAIN] = "plain",
  [MS_GEMM_OPENBLAS] = "openblas",
  [MS_GEMM_ONEDNN] = "onednn",
};

const char *
ms_gemm_backend_name (MsGemmBackend backend)
{
  return names[backend];
}

gboolean
ms_gemm_backend_available (MsGemmBackend backend)
{
  switch (backend)
    {
#ifdef MS_HAVE_ONEDNN
    case MS_GEMM_ONEDNN:
      return TRUE;
#endif
#ifdef MS_HAVE_OPENBLAS
    case MS_GEMM_OPENBLAS:
      return TRUE;
#endif
    default:
      return backend == MS_GEMM_PLAIN;
    }
}

static MsGemmBackend
choose_backend (void)
{
  const char *wanted = g_getenv ("MOESCOPE_GEMM");

  for (int i = MS_GEMM_ONEDNN; i >= MS_GEMM_PLAIN; i--)
    if (g_strcmp0 (wanted, names[i]) == 0 && ms_gemm_backend_available ((MsGemmBackend) i))
      return (MsGemmBackend) i;
  for (int i = MS_GEMM_ONEDNN; i > MS_GEMM_PLAIN; i--)
    if (ms_gemm_backend_available ((MsGemmBackend) i))
      return (MsGemmBackend) i;
  return MS_GEMM_PLAIN;
}

void
ms_gemm_set_backend (MsGemmBackend backend)
{
#ifdef MS_HAVE_OPENBLAS
  openblas_set_num_threads (1);
#endif
  g_atomic_int_set (&chosen, (gint) backend);
}

MsGemmBackend
ms_gemm_backend (void)
{
  gint backend = g_atomic_int_get (&chosen);

  if (backend < 0)
    {
      ms_gemm_set_backend (choose_backend ());
      backend = g_atomic_int_get (&chosen);
    }
  return (MsGemmBackend) backend;
}

static void
gemm_plain (gboolean trans_a, gboolean trans_b, gsize m, gsize n, gsize k, float alpha,
            const float *a, gsize lda, const float *b, gsize ldb, float beta, float *c, gsize ldc)
{
  gsize step_a = trans_a ? lda : 1, step_b = trans_b ? 1 : ldb;

  for (gsize i = 0; i < m; i++)
    for (gsize j = 0; j < n; j++)
      {
        const float *row = trans_a ? a + i : a + i * lda;
        const float *column = trans_b ? b + j * ldb : b + j;
        float sum = 0;

        for (gsize l = 0; l < k; l++)
          sum += row[l * step_a] * column[l * step_b];
        c[i * ldc + j] = alpha * sum + (beta == 0 ? 0 : beta * c[i * ldc + j]);
      }
}

#ifdef MS_HAVE_ONEDNN
static void
gemm_onednn (gboolean trans_a, gboolean trans_b, gsize m, gsize n, gsize k, float alpha,
             const float *a, gsize lda, const float *b, gsize ldb, float beta, float *c, gsize ldc)
{
  static _Thread_local gboolean alone;

  /* OpenMP's thread count belongs to the calling thread: every worker has to say it once. */
  if (!alone)
    {
      omp_set_num_threads (1);
      alone = TRUE;
    }
  dnnl_sgemm (trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', (dnnl_dim_t) m, (dnnl_dim_t) n,
              (dnnl_dim_t) k, alpha, a, (dnnl_dim_t) lda, b, (dnnl_dim_t) ldb, beta, c,
              (dnnl_dim_t) ldc);
}
#endif

void
ms_gemm (gboolean trans_a, gboolean trans_b, gsize m, gsize n, gsize k, float alpha, const float *a,
         gsize lda, const float *b, gsize ldb, float beta, float *c, gsize ldc)
{
  if (m == 0 || n == 0)
    return;
  switch (ms_gemm_backend ())
    {
#ifdef MS_HAVE_ONEDNN
    case MS_GEMM_ONEDNN:
      if (k > 0)
        {
          gemm_onednn (trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
          return;
        }
      break;
#endif
#ifdef MS_HAVE_OPENBLAS
    case MS_GEMM_OPENBLAS:
      if (k > 0)
        {
          cblas_sgemm (CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                       trans_b ? CblasTrans : CblasNoTrans, (blasint) m, (blasint) n, (blasint) k,
                       alpha, a, (blasint) lda, b, (blasint) ldb, beta, c, (blasint) ldc);
          return;
        }
      break;
#endif
    default:
      break;
    }
  gemm_plain (trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

typedef struct
{
  gsize t, n, k, row_blocks;
  const float *x, *w;
  float *y;
} Linear;

static void
linear_block (guint index, guint worker, gpointer data)
{
  const Linear *l = data;
  gsize row = index % l->row_blocks * ROW_BLOCK, column = index / l->row_blocks * COLUMN_BLOCK;

  (void) worker;
  ms_gemm (FALSE, TRUE, MIN (ROW_BLOCK, l->t - row), MIN (COLUMN_BLOCK, l->n - column), l->k, 1,
           l->x + row * l->k, l->k, l->w + column * l->k, l->k, 0, l->y + row * l->n + column,
           l->n);
}

void
ms_gemm_linear (guint threads, gsize t, gsize n, gsize k, const float *x, const float *w, float *y)
{
  Linear linear = { t, n, k, (t + ROW_BLOCK - 1) / ROW_BLOCK, x, w, y };
  gsize column_blocks = (n + COLUMN_BLOCK - 1) / COLUMN_BLOCK;

  ms_parallel (threads, (guint) (linear.row_blocks * column_blocks), linear_block, &linear);
}
