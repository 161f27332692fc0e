/* The backends behind gemm.h.
 *
 * What must hold: a call runs on the calling thread alone and gives the same bits each time; only
 * ms_gemm_linear spreads work, by blocks that depend on the shape and not on the number of threads. */
#include "gemm.h"

#include "base.h"
#include "libraries-private.h"

#include <string.h>

/* Blocks of ms_gemm_linear: large enough to be worth a call, small enough to spread and to keep the
 * weights of one block in the second-level cache. */
#define ROW_BLOCK    512
#define COLUMN_BLOCK 256

static gint chosen = -1;
/* Set before `chosen` is. */
#ifdef MS_HAVE_OPENBLAS
static const MsOpenblas *blas;
#endif
#ifdef MS_HAVE_ONEDNN
static const MsOnednn *dnnl;
#endif

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
      return ms_library_onednn () != NULL;
#endif
#ifdef MS_HAVE_OPENBLAS
    case MS_GEMM_OPENBLAS:
      return ms_library_openblas () != NULL;
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
  if (backend == MS_GEMM_OPENBLAS && (blas = ms_library_openblas ()) != NULL)
    blas->set_num_threads (1);
#endif
#ifdef MS_HAVE_ONEDNN
  if (backend == MS_GEMM_ONEDNN)
    dnnl = ms_library_onednn ();
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
/* OpenMP's thread count belongs to the calling thread: every worker has to say it once. */
static void
alone (void)
{
  static _Thread_local gboolean said;

  if (!said)
    {
      dnnl->omp_set_num_threads (1);
      said = TRUE;
    }
}

static void
gemm_onednn (gboolean trans_a, gboolean trans_b, gsize m, gsize n, gsize k, float alpha,
             const float *a, gsize lda, const float *b, gsize ldb, float beta, float *c, gsize ldc)
{
  alone ();
  dnnl->sgemm (trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', (dnnl_dim_t) m, (dnnl_dim_t) n,
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
          blas->sgemm (CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
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

#ifdef MS_HAVE_ONEDNN

/* Batched-reduction kernels of oneDNN's matmul: measured faster than its sgemm at every size (2 cores
 * of a Zen 4: 100 against 92 GFLOP/s at 512 rows, 62 against 30 at 16) and, in steps of 16 rows up to
 * 512, with row results that do not depend on the number of rows.  A kernel is compiled on first use
 * of a shape (0.2 ms) and kept. */
#define ROW_STEP 16

typedef struct
{
  gsize t, n, k;
  gboolean bf16;
} Shape;

typedef struct
{
  Shape shape;
  dnnl_primitive_t primitive; /* NULL: oneDNN cannot */
  dnnl_memory_desc_t x, w, y, scratch;
} Product;

/* What one call needs for itself; calls take one from the stack and give it back. */
typedef struct Context
{
  struct Context *next;
  dnnl_stream_t stream;
  guint8 *scratch; /* of the primitive */
  gsize scratch_size;
  guint8 *padded; /* the last rows of X and of Y, made up to ROW_STEP */
  gsize padded_size;
} Context;

static struct
{
  GMutex lock;
  dnnl_engine_t engine;
  GHashTable *products; /* Shape (inside Product) -> Product */
  Context *contexts;
} onednn;

static guint
shape_hash (gconstpointer key)
{
  const Shape *s = key;

  return (guint) ((s->t * 31 + s->n) * 8191 + s->k * 2 + (s->bf16 ? 1 : 0));
}

static gboolean
shape_equal (gconstpointer a, gconstpointer b)
{
  const Shape *s = a, *t = b;

  return s->t == t->t && s->n == t->n && s->k == t->k && s->bf16 == t->bf16;
}

static gboolean
dense_matrix (dnnl_memory_desc_t *desc, gsize rows, gsize columns, gboolean transposed,
              dnnl_data_type_t type)
{
  dnnl_dims_t dims = { (dnnl_dim_t) rows, (dnnl_dim_t) columns };
  dnnl_dims_t strides
      = { transposed ? 1 : (dnnl_dim_t) columns, transposed ? (dnnl_dim_t) rows : 1 };

  return dnnl->memory_desc_init_by_strides (desc, 2, dims, type, strides) == dnnl_success;
}

static Product *
product_new (const Shape *s)
{
  Product *p = g_new0 (Product, 1);
  dnnl_data_type_t type = s->bf16 ? dnnl_bf16 : dnnl_f32;
  dnnl_matmul_desc_t desc;
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t described = NULL;

  p->shape = *s;
  if (onednn.engine == NULL && dnnl->engine_create (&onednn.engine, dnnl_cpu, 0) != dnnl_success)
    return p;
  if (dense_matrix (&p->x, s->t, s->k, FALSE, type) && dense_matrix (&p->w, s->k, s->n, TRUE, type)
      && dense_matrix (&p->y, s->t, s->n, FALSE, dnnl_f32)
      && dnnl->matmul_desc_init (&desc, &p->x, &p->w, NULL, &p->y) == dnnl_success
      && dnnl->primitive_attr_create (&attributes) == dnnl_success
      && dnnl->primitive_attr_set_scratchpad_mode (attributes, dnnl_scratchpad_mode_user)
             == dnnl_success
      && dnnl->primitive_desc_create (&described, &desc, attributes, onednn.engine, NULL)
             == dnnl_success)
    {
      p->scratch = *dnnl->primitive_desc_query_md (described, dnnl_query_scratchpad_md, 0);
      if (dnnl->primitive_create (&p->primitive, described) != dnnl_success)
        p->primitive = NULL;
    }
  if (described != NULL)
    dnnl->primitive_desc_destroy (described);
  if (attributes != NULL)
    dnnl->primitive_attr_destroy (attributes);
  return p;
}

static const Product *
take_product (const Shape *shape, Context **context)
{
  Product *product;

  g_mutex_lock (&onednn.lock);
  if (onednn.products == NULL)
    onednn.products = g_hash_table_new (shape_hash, shape_equal);
  product = g_hash_table_lookup (onednn.products, shape);
  if (product == NULL)
    {
      product = product_new (shape);
      g_hash_table_insert (onednn.products, &product->shape, product);
    }
  if (*context == NULL && onednn.contexts != NULL)
    {
      *context = onednn.contexts;
      onednn.contexts = (*context)->next;
    }
  g_mutex_unlock (&onednn.lock);
  if (*context == NULL && product->primitive != NULL)
    {
      *context = g_new0 (Context, 1);
      if (dnnl->stream_create (&(*context)->stream, onednn.engine, dnnl_stream_default_flags)
          != dnnl_success)
        g_error ("oneDNN: cannot make a stream");
    }
  return product;
}

static void
give_context (Context *context)
{
  if (context == NULL)
    return;
  g_mutex_lock (&onednn.lock);
  context->next = onednn.contexts;
  onednn.contexts = context;
  g_mutex_unlock (&onednn.lock);
}

static void
reserve (guint8 **memory, gsize *size, gsize wanted)
{
  if (*size >= wanted)
    return;
  ms_aligned_free (*memory);
  *memory = ms_aligned_alloc (wanted);
  *size = wanted;
}

static gboolean
run_product (const Product *p, Context *context, const void *x, const void *w, float *y)
{
  const dnnl_memory_desc_t *descs[] = { &p->x, &p->w, &p->y, &p->scratch };
  void *handles[] = { (void *) x, (void *) w, y, NULL };
  dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, NULL },
                             { DNNL_ARG_WEIGHTS, NULL },
                             { DNNL_ARG_DST, NULL },
                             { DNNL_ARG_SCRATCHPAD, NULL } };
  gboolean done = TRUE;

  reserve (&context->scratch, &context->scratch_size,
           MAX (dnnl->memory_desc_get_size (&p->scratch), 64));
  handles[3] = context->scratch;
  for (guint i = 0; i < G_N_ELEMENTS (args); i++)
    done = done
           && dnnl->memory_create (&args[i].memory, descs[i], onednn.engine, handles[i])
                  == dnnl_success;
  done = done
         && dnnl->primitive_execute (p->primitive, context->stream, G_N_ELEMENTS (args), args)
                == dnnl_success;
  for (guint i = 0; i < G_N_ELEMENTS (args); i++)
    if (args[i].memory != NULL)
      dnnl->memory_destroy (args[i].memory);
  return done;
}

/* Rows in blocks of ROW_BLOCK; the last block is made up to a multiple of ROW_STEP. */
static gboolean
dense_onednn (gboolean bf16, gsize t, gsize n, gsize k, const void *x, const void *w, float *y)
{
  gsize element = bf16 ? sizeof (guint16) : sizeof (float);
  Context *context = NULL;
  gboolean done = TRUE;

  alone ();
  for (gsize row = 0; row < t && done;)
    {
      gsize rows = MIN (ROW_BLOCK, t - row), whole = rows / ROW_STEP * ROW_STEP;
      Shape shape = { whole > 0 ? whole : ROW_STEP, n, k, bf16 };
      const Product *product = take_product (&shape, &context);
      const guint8 *from = (const guint8 *) x + row * k * element;

      done = product->primitive != NULL;
      if (done && whole > 0)
        {
          done = run_product (product, context, from, w, y + row * n);
          row += whole;
        }
      else if (done)
        {
          gsize x_size = ROW_STEP * k * element, y_size = ROW_STEP * n * sizeof (float);

          x_size = (x_size + 63) / 64 * 64;
          reserve (&context->padded, &context->padded_size, x_size + y_size);
          memset (context->padded, 0, x_size);
          memcpy (context->padded, from, rows * k * element);
          done = run_product (product, context, context->padded, w,
                              (float *) (context->padded + x_size));
          memcpy (y + row * n, context->padded + x_size, rows * n * sizeof (float));
          row += rows;
        }
    }
  give_context (context);
  return done;
}
#endif

void
ms_gemm_dense (gsize t, gsize n, gsize k, const float *x, const float *w, float *y)
{
  if (t == 0 || n == 0)
    return;
#ifdef MS_HAVE_ONEDNN
  if (k > 0 && ms_gemm_backend () == MS_GEMM_ONEDNN && dense_onednn (FALSE, t, n, k, x, w, y))
    return;
#endif
  ms_gemm (FALSE, TRUE, t, n, k, 1, x, k, w, k, 0, y, n);
}

static float
float_from_bf16 (guint16 value)
{
  guint32 bits = (guint32) value << 16;
  float result;

  memcpy (&result, &bits, sizeof result);
  return result;
}

void
ms_gemm_dense_bf16 (gsize t, gsize n, gsize k, const guint16 *x, const guint16 *w, float *y)
{
  if (t == 0 || n == 0)
    return;
#ifdef MS_HAVE_ONEDNN
  if (k > 0 && ms_gemm_backend () == MS_GEMM_ONEDNN && dense_onednn (TRUE, t, n, k, x, w, y))
    return;
#endif
  for (gsize i = 0; i < t; i++)
    for (gsize j = 0; j < n; j++)
      {
        float sum = 0;

        for (gsize l = 0; l < k; l++)
          sum += float_from_bf16 (x[i * k + l]) * float_from_bf16 (w[j * k + l]);
        y[i * n + j] = sum;
      }
}

gboolean
ms_gemm_has_bf16 (void)
{
#ifdef MS_HAVE_ONEDNN
  if (ms_gemm_backend () == MS_GEMM_ONEDNN)
    return ((guint) dnnl->get_effective_cpu_isa () & (guint) dnnl_cpu_isa_avx512_core_bf16)
           == (guint) dnnl_cpu_isa_avx512_core_bf16;
#endif
  return FALSE;
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
  gsize rows = MIN (ROW_BLOCK, l->t - row), columns = MIN (COLUMN_BLOCK, l->n - column);
  g_autofree float *block = g_new (float, rows *columns);

  (void) worker;
  ms_gemm_dense (rows, columns, l->k, l->x + row * l->k, l->w + column * l->k, block);
  for (gsize i = 0; i < rows; i++)
    memcpy (l->y + (row + i) * l->n + column, block + i * columns, columns * sizeof (float));
}

void
ms_gemm_linear (guint threads, gsize t, gsize n, gsize k, const float *x, const float *w, float *y)
{
  Linear linear = { t, n, k, (t + ROW_BLOCK - 1) / ROW_BLOCK, x, w, y };
  gsize column_blocks = (n + COLUMN_BLOCK - 1) / COLUMN_BLOCK;

  ms_parallel (threads, (guint) (linear.row_blocks * column_blocks), linear_block, &linear);
}
