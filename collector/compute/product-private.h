/* Products of activations with weights of the file: unpacked in blocks by the worker that multiplies,
 * so that a weight is read once per call and only a few blocks are in memory.
 *
 * Work is cut by shape alone and rows do not influence each other: no result depends on the threads. */
#pragma once

#include "gguf-private.h"

G_BEGIN_DECLS

/* Rows of a matrix of the file: y (n_rows) = scale W x. */
typedef struct
{
  const MsTensor *tensor; /* borrowed from the file; NULL: absent */
  gint64 first_row, n_rows;
  float scale; /* of the whole matrix; 0: none */
} MsMatrix;

/* What makes hidden values of one or two products, both (n): gate = f (gate, up).  `up` is NULL where the
 * network has no second matrix.  See kernels-private.h. */
typedef void (*MsActivation) (float *gate, const float *up, gsize n);
/* The same where hidden values are held within a limit, in the way of the model. */
typedef void (*MsLimitedActivation) (float *gate, const float *up, gsize n, float limit);

/* Rows of activations (.., width) in the form products take: floats, or bfloat16 when f is NULL. */
typedef struct
{
  float *f;
  guint16 *h;
  gsize width;
} MsOperand;

typedef enum
{
  MS_PRODUCT_STORE,     /* y = x W^T + bias */
  MS_PRODUCT_ADD,       /* y += factor scale (x W^T + bias) */
  MS_PRODUCT_ACTIVATED, /* h = activate (x W^T + bias, x V^T + v_bias), an operand of x's form */
} MsProductKind;

/* Rows row..row+rows-1 of x with W, to the same rows of the result. */
typedef struct
{
  MsProductKind kind;
  const MsMatrix *w, *v; /* v NULL: no second matrix */
  MsActivation activate;
  MsLimitedActivation limited; /* in place of `activate` where limit is above 0 */
  float limit;
  const float *bias, *v_bias; /* (rows of W, V) or NULL */
  const float *scale;         /* one per row, or NULL = 1 */
  float factor;               /* of all rows; 0 = 1 */
  MsOperand x;
  gsize row, rows;
  float *y; /* (.., y_width) */
  gsize y_width;
  MsOperand h;
} MsProduct;

/* Scratch of `threads` workers. */
typedef struct MsProducts MsProducts;

MsProducts *ms_products_new (guint threads);
void ms_products_free (MsProducts *products);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsProducts, ms_products_free)
/* Bytes of scratch per worker for weights of up to `widest` columns. */
gsize ms_products_worker_bytes (gsize widest);

/* Runs all of list (n), which must not depend on each other. */
void ms_products_run (MsProducts *products, const MsProduct *list, guint n);

/* The output head: logits = scale (x W^T + bias), then cap tanh (logits / cap). */
typedef struct
{
  MsMatrix w;        /* (V, D); tensor NULL: absent */
  const float *bias; /* (V) or NULL */
  float scale, cap;  /* 0: none */
} MsHead;

/* For each of n rows of x: the column of the largest logit (lowest on ties), and, where target is not
 * negative, -log softmax (logits)[target]; NaN elsewhere. */
void ms_products_predict (MsProducts *products, const MsHead *head, const MsOperand *x, gsize n,
                          const gint32 *target, gint32 *best, float *loss);

G_END_DECLS
