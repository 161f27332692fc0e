/* Decisions as arrays: npy, npz and safetensors. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  MS_ARRAYS_NPY,         /* ids alone, all documents one after the other */
  MS_ARRAYS_NPZ,         /* a part for each document: NAME/routed_experts, NAME/topk_weights */
  MS_ARRAYS_SAFETENSORS, /* the same */
} MsArraysKind;

typedef struct
{
  const char *name;
  gint64 n_tokens;
} MsArraysDocument;

typedef struct MsArrays MsArrays;

/* Arrays of (tokens, layers, choices) for `documents` (n), borrowed as long as the writer lives, with layers 0 to
 * n_layers - 1.  The ids are int16, or int32 when there are more than 32,767 experts; -1 = none. */
MsArrays *ms_arrays_new (MsArraysKind kind, GOutputStream *stream,
                         const MsArraysDocument *documents, guint n, guint n_layers, guint k,
                         guint n_experts);
void ms_arrays_free (MsArrays *arrays);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsArrays, ms_arrays_free)
/* The choices (k) of the next token of the document at hand at one layer; a layer that is not put has none. */
void ms_arrays_put (MsArrays *arrays, guint layer, const guint16 *experts, const float *weights,
                    guint k);
/* The token is complete; the document is written after its last. */
gboolean ms_arrays_end_token (MsArrays *arrays, GError **error);
/* All documents are complete. */
gboolean ms_arrays_finish (MsArrays *arrays, GError **error);

G_END_DECLS
