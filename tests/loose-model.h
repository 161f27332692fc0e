/* Model files put together key by key and tensor by tensor, for tests of single kinds: the values of a tensor
 * come from its name alone, so that whoever computes the model another way can ask for them. */
#pragma once

#include "gguf-private.h"
#include "gguf-writer.h"
#include "plan-private.h"

/* What is wrong with one tensor. */
typedef struct
{
  const char *
      name; /* of the tensor of block 0, without "blk.0." and, of norms, ".weight"; NULL: none is */
  gboolean missing; /* otherwise it is longer by one */
} LooseFault;

typedef struct
{
  const char *architecture;
  LooseFault fault;
  GgufWriter *writer;
  char *folder, *path;
  MsGguf *gguf;
  MsPlan *plan;
} LooseModel;

#define LOOSE_EPSILON 1e-3f /* of the norms */

/* (transfer full) */
float *loose_values (const char *name, gsize n);

void loose_model_init (LooseModel *model, const char *architecture, const LooseFault *fault);
void loose_model_clear (LooseModel *model);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (LooseModel, loose_model_clear)

/* Keys without "ARCHITECTURE.". */
void loose_model_u32 (LooseModel *model, const char *key, guint32 value);
void loose_model_float (LooseModel *model, const char *key, float value);
void loose_model_i32s (LooseModel *model, const char *key, const gint32 *values, gsize n);
void loose_model_bool (LooseModel *model, const char *key, gboolean value);
/* Shapes as in gguf_add_f32. */
void loose_model_add (LooseModel *model, const char *name, gint64 ne0, gint64 ne1, gint64 ne2);
/* Saves the file and makes its plan. */
gboolean loose_model_load (LooseModel *model, GError **error);

/* --- Plain arithmetic on the values ----------------------------------------------------------- */

/* out = W x, with W rows first_row..first_row+n_out-1 of the tensor. */
void loose_apply (const char *name, guint first_row, const double *x, guint n_in, guint n_out,
                  double *out);
/* x = RMS norm of x (n), with the values from number `first` on of the tensor. */
void loose_norm (const char *name, guint first, guint n, double *x);
