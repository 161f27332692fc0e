/* Tensor types of GGUF files and their values as floats: one table row per type.
 *
 * The kernels cannot fail; whoever calls them has checked sizes (gguf-private.h does). */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Numbers as in the file. */
typedef enum
{
  MS_TYPE_F32 = 0,
  MS_TYPE_F16 = 1,
  MS_TYPE_Q8_0 = 8,
  MS_TYPE_I32 = 26,
  MS_TYPE_BF16 = 30,
} MsTypeNumber;

typedef struct
{
  const char *name;   /* "Q8_0" */
  guint block_values; /* values per block: a row is a whole number of blocks; 0: not known */
  guint block_bytes;
  /* Writes n values (a multiple of block_values) to out; `blocks` needs no alignment.  NULL: the type
   * is known by name and size only. */
  void (*to_float) (const guint8 *blocks, gsize n, float *out);
} MsTensorType;

/* The row of type `number`; NULL when no such type exists (or it was withdrawn). */
const MsTensorType *ms_tensor_type (guint32 number);
/* The name of a type that files hold and moescope knows nothing else of: withdrawn ones, and those of forks
 * such as ik_llama.cpp's IQ4_KS or, with interleaved rows, IQ4_KS_R4.  NULL for other numbers. */
const char *ms_tensor_type_foreign (guint32 number);

G_END_DECLS
