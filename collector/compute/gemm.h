/* Matrix products: the one door to oneDNN, OpenBLAS and the plain C reference.
 *
 * All matrices are row-major float32.  Every call runs on the calling thread alone and gives the same
 * bits each time; callers spread work over threads by fixed blocks, so results do not depend on the
 * thread count. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  MS_GEMM_PLAIN, /* plain C loops, the reference the others are tested against */
  MS_GEMM_OPENBLAS,
  MS_GEMM_ONEDNN,
} MsGemmBackend;

/* The best backend built in; MOESCOPE_GEMM=plain|openblas|onednn chooses another. */
MsGemmBackend ms_gemm_backend (void);
const char *ms_gemm_backend_name (MsGemmBackend backend);
gboolean ms_gemm_backend_available (MsGemmBackend backend);
/* For tests; not thread-safe. */
void ms_gemm_set_backend (MsGemmBackend backend);

/* C (m, n) = alpha * op(A) (m, k) * op(B) (k, n) + beta * C.
 * With trans_b, B is stored (n, k): the usual weight layout y = x W^T.  lda, ldb, ldc are row lengths
 * in elements of the matrices as stored.  beta 0 means C is only written. */
void ms_gemm (gboolean trans_a, gboolean trans_b, gsize m, gsize n, gsize k, float alpha,
              const float *a, gsize lda, const float *b, gsize ldb, float beta, float *c,
              gsize ldc);

/* Y (t, n) = X (t, k) W^T with W (n, k), all dense, on the calling thread; faster than ms_gemm.  With
 * oneDNN a row of Y has the same bits wherever it stands in X and whatever t is. */
void ms_gemm_dense (gsize t, gsize n, gsize k, const float *x, const float *w, float *y);

/* The same from bfloat16 (the upper half of a float) with float32 sums. */
void ms_gemm_dense_bf16 (gsize t, gsize n, gsize k, const guint16 *x, const guint16 *w, float *y);
/* Whether the processor multiplies bfloat16 faster than float32, through the backend in use. */
gboolean ms_gemm_has_bf16 (void);

/* As ms_gemm_dense, spread over `threads` threads by fixed row and column blocks (same bits for every
 * thread count). */
void ms_gemm_linear (guint threads, gsize t, gsize n, gsize k, const float *x, const float *w,
                     float *y);

G_END_DECLS
