/* Products of activations with weights of the file, cut into pieces: some rows with a block of columns.
 *
 * What must hold: each piece writes elements of its own, and pieces are cut by shapes alone, so results
 * do not depend on the threads; a worker unpacks a block once for all its rows, into scratch of its own. */
#include "product-private.h"

#include "gemm.h"
#include "kernels-private.h"

#include <math.h>
#include <string.h>

#define TILE_ROWS   512           /* rows of one product */
#define TASK_ROWS   2048          /* rows for which a worker unpacks a block of weights once */
#define COLUMNS     256           /* most columns (rows of a weight) of a block ... */
#define FEW_COLUMNS 64            /* ... and the fewest, where rows are long */
#define BLOCK       (1024 * 1024) /* values of a block, unless that leaves too few columns */

typedef struct
{
  float *unpacked[2];
  guint16 *packed[2]; /* as bfloat16 */
  float *tile[2];     /* (TILE_ROWS, COLUMNS) */
  gsize size;         /* values in unpacked and packed */
} Scratch;

struct MsProducts
{
  guint threads;
  Scratch *scratch; /* (threads) */
};

/* A task: some rows of one product with a block of its weight. */
typedef struct
{
  guint product;
  gsize row, rows, column, columns;
} Piece;

typedef struct
{
  MsProducts *products;
  const MsProduct *list;
  const Piece *pieces;
} Work;

MsProducts *
ms_products_new (guint threads)
{
  MsProducts *products = g_new0 (MsProducts, 1);

  products->threads = ms_threads (threads);
  products->scratch = g_new0 (Scratch, products->threads);
  return products;
}

void
ms_products_free (MsProducts *products)
{
  if (products == NULL)
    return;
  for (guint i = 0; i < products->threads; i++)
    for (guint j = 0; j < 2; j++)
      {
        ms_aligned_free (products->scratch[i].unpacked[j]);
        ms_aligned_free (products->scratch[i].packed[j]);
        ms_aligned_free (products->scratch[i].tile[j]);
      }
  g_free (products->scratch);
  g_free (products);
}

static gsize
block_columns (gsize width)
{
  return CLAMP (BLOCK / width / FEW_COLUMNS * FEW_COLUMNS, FEW_COLUMNS, COLUMNS);
}

gsize
ms_products_worker_bytes (gsize widest)
{
  gsize values = MAX (block_columns (widest) * widest, (gsize) BLOCK);

  return 2 * (values * (sizeof (float) + sizeof (guint16)) + TILE_ROWS * COLUMNS * sizeof (float));
}

static void
reserve (Scratch *scratch, gsize values)
{
  for (guint j = 0; j < 2 && scratch->size < values; j++)
    {
      ms_aligned_free (scratch->unpacked[j]);
      ms_aligned_free (scratch->packed[j]);
      scratch->unpacked[j] = ms_aligned_alloc (values * sizeof (float));
      scratch->packed[j] = ms_aligned_alloc (values * sizeof (guint16));
      if (scratch->tile[j] == NULL)
        scratch->tile[j] = ms_aligned_alloc (TILE_ROWS * COLUMNS * sizeof (float));
    }
  scratch->size = MAX (scratch->size, values);
}

/* A block of weights as products want it: in place where the file already has that form. */
static const void *
unpack (const MsMatrix *w, gsize column, gsize columns, gboolean bf16, Scratch *scratch, guint slot)
{
  const MsTensor *tensor = w->tensor;
  gint64 row = w->first_row + (gint64) column;
  gsize values = columns * (gsize) tensor->ne[0];

  if (tensor->number == (bf16 ? MS_TYPE_BF16 : MS_TYPE_F32))
    return tensor->data + (gsize) row * tensor->row_size;
  ms_tensor_to_float (tensor, row, (gint64) columns, scratch->unpacked[slot]);
  if (!bf16)
    return scratch->unpacked[slot];
  ms_bf16_from_float (scratch->unpacked[slot], values, scratch->packed[slot]);
  return scratch->packed[slot];
}

static void
multiply (const MsOperand *x, gsize row, gsize rows, const void *block, gsize columns, float *tile)
{
  if (x->f == NULL)
    ms_gemm_dense_bf16 (rows, columns, x->width, x->h + row * x->width, block, tile);
  else
    ms_gemm_dense (rows, columns, x->width, x->f + row * x->width, block, tile);
}

/* Rows of x with a block of w's rows. */
static void
multiply_scaled (const MsProduct *p, const MsMatrix *w, const Piece *piece, gsize row, gsize rows,
                 const void *block, float *tile)
{
  multiply (&p->x, row, rows, block, piece->columns, tile);
  if (w->scale != 0)
    ms_scale (tile, w->scale, rows * piece->columns, tile);
}

static void
add_bias (const float *bias, const Piece *piece, gsize rows, float *tile)
{
  for (gsize i = 0; i < rows && bias != NULL; i++)
    ms_add_scaled (tile + i * piece->columns, bias + piece->column, 1, piece->columns);
}

static void
put_activated (const MsProduct *p, const Piece *piece, gsize row, gsize rows, const float *tile)
{
  for (gsize i = 0; i < rows; i++, tile += piece->columns)
    {
      gsize at = (row + i) * p->h.width + piece->column;

      if (p->h.f == NULL)
        ms_bf16_from_float (tile, piece->columns, p->h.h + at);
      else
        memcpy (p->h.f + at, tile, piece->columns * sizeof (float));
    }
}

static void
put_plain (const MsProduct *p, const Piece *piece, gsize row, gsize rows, const float *tile)
{
  for (gsize i = 0; i < rows; i++, tile += piece->columns)
    {
      float *y = p->y + (row + i) * p->y_width + piece->column;
      float scale = (p->scale != NULL ? p->scale[row + i] : 1) * (p->factor != 0 ? p->factor : 1);

      if (p->kind == MS_PRODUCT_STORE)
        memcpy (y, tile, piece->columns * sizeof (float));
      else
        ms_add_scaled (y, tile, scale, piece->columns);
      if (p->bias != NULL)
        ms_add_scaled (y, p->bias + piece->column, scale, piece->columns);
    }
}

static void
run_piece (guint index, guint worker, gpointer data)
{
  const Work *work = data;
  const Piece *piece = &work->pieces[index];
  const MsProduct *p = &work->list[piece->product];
  Scratch *scratch = &work->products->scratch[worker];
  gboolean bf16 = p->x.f == NULL;
  const void *w, *v = NULL;

  reserve (scratch, piece->columns * p->x.width);
  w = unpack (p->w, piece->column, piece->columns, bf16, scratch, 0);
  if (p->v != NULL)
    v = unpack (p->v, piece->column, piece->columns, bf16, scratch, 1);
  for (gsize row = piece->row; row < piece->row + piece->rows; row += TILE_ROWS)
    {
      gsize rows = MIN (TILE_ROWS, piece->row + piece->rows - row);

      multiply_scaled (p, p->w, piece, row, rows, w, scratch->tile[0]);
      if (p->kind != MS_PRODUCT_ACTIVATED)
        {
          put_plain (p, piece, row, rows, scratch->tile[0]);
          continue;
        }
      add_bias (p->bias, piece, rows, scratch->tile[0]);
      if (v != NULL)
        {
          multiply_scaled (p, p->v, piece, row, rows, v, scratch->tile[1]);
          add_bias (p->v_bias, piece, rows, scratch->tile[1]);
        }
      if (p->limit > 0)
        p->limited (scratch->tile[0], v != NULL ? scratch->tile[1] : NULL, rows * piece->columns,
                    p->limit);
      else
        p->activate (scratch->tile[0], v != NULL ? scratch->tile[1] : NULL, rows * piece->columns);
      put_activated (p, piece, row, rows, scratch->tile[0]);
    }
}

void
ms_products_run (MsProducts *products, const MsProduct *list, guint n)
{
  g_autoptr (GArray) pieces = g_array_new (FALSE, FALSE, sizeof (Piece));
  Work work = { products, list, NULL };

  for (guint i = 0; i < n; i++)
    {
      gsize columns = (gsize) list[i].w->n_rows, step = block_columns (list[i].x.width);

      for (gsize row = 0; row < list[i].rows; row += TASK_ROWS)
        for (gsize column = 0; column < columns; column += step)
          {
            Piece piece = { i, list[i].row + row, MIN (TASK_ROWS, list[i].rows - row), column,
                            MIN (step, columns - column) };

            g_array_append_val (pieces, piece);
          }
    }
  work.pieces = (const Piece *) (gconstpointer) pieces->data;
  ms_parallel (products->threads, pieces->len, run_piece, &work);
}

/* --- The output head ------------------------------------------------------------------------ */

/* What one block of columns tells about a row's softmax. */
typedef struct
{
  float largest;
  gint32 best;
  double sum; /* of exp (y - largest) */
} Part;

typedef struct
{
  MsProducts *products;
  const MsHead *head;
  const MsOperand *x;
  gsize n, columns;
  const gint32 *target;
  Part *parts;   /* (blocks, n) */
  float *chosen; /* (n) the target's y */
} Prediction;

/* Makes logits of what the product gives for `columns` columns from `column` on. */
static void
finish_logits (const MsHead *head, gsize column, gsize columns, float *y)
{
  if (head->bias != NULL)
    ms_add_scaled (y, head->bias + column, 1, columns);
  if (head->scale != 0)
    ms_scale (y, head->scale, columns, y);
  if (head->cap != 0)
    ms_soft_cap (y, head->cap, columns);
}

static void
run_head (guint index, guint worker, gpointer data)
{
  const Prediction *all = data;
  Scratch *scratch = &all->products->scratch[worker];
  gsize column = index * all->columns;
  gsize columns = MIN (all->columns, (gsize) all->head->w.n_rows - column);
  const void *w;

  reserve (scratch, columns * all->x->width);
  w = unpack (&all->head->w, column, columns, all->x->f == NULL, scratch, 0);
  for (gsize row = 0; row < all->n; row += TILE_ROWS)
    {
      gsize rows = MIN (TILE_ROWS, all->n - row);
      float *y = scratch->tile[0];

      multiply (all->x, row, rows, w, columns, y);
      if (all->head->w.scale != 0)
        ms_scale (y, all->head->w.scale, rows * columns, y);
      for (gsize i = row; i < row + rows; i++, y += columns)
        {
          Part part = { 0, (gint32) column, 0 };
          gint64 wanted = all->target[i] - (gint64) column;

          finish_logits (all->head, column, columns, y);
          part.largest = y[0];
          if (wanted >= 0 && wanted < (gint64) columns)
            all->chosen[i] = y[wanted];
          for (gsize j = 1; j < columns; j++)
            if (y[j] > part.largest)
              {
                part.largest = y[j];
                part.best = (gint32) (column + j);
              }
          for (gsize j = 0; j < columns; j++)
            part.sum += (double) expf (y[j] - part.largest);
          all->parts[index * all->n + i] = part;
        }
    }
}

void
ms_products_predict (MsProducts *products, const MsHead *head, const MsOperand *x, gsize n,
                     const gint32 *target, gint32 *best, float *loss)
{
  gsize columns = block_columns (x->width);
  gsize n_blocks = ((gsize) head->w.n_rows + columns - 1) / columns;
  g_autofree Part *parts = g_new (Part, MAX (n_blocks * n, 1));
  g_autofree float *chosen = g_new0 (float, MAX (n, 1));
  Prediction all = { products, head, x, n, columns, target, parts, chosen };

  ms_parallel (products->threads, (guint) n_blocks, run_head, &all);
  for (gsize i = 0; i < n; i++)
    {
      Part best_part = parts[i];
      double sum = 0;

      for (gsize b = 1; b < n_blocks; b++)
        if (parts[b * n + i].largest > best_part.largest)
          best_part = parts[b * n + i];
      for (gsize b = 0; b < n_blocks; b++)
        sum += parts[b * n + i].sum * exp ((double) (parts[b * n + i].largest - best_part.largest));
      best[i] = best_part.best;
      loss[i]
          = target[i] < 0 ? NAN : (float) (log (sum) + (double) (best_part.largest - chosen[i]));
    }
}
