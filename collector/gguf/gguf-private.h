/* Reader of GGUF model files, versions 2 and 3, little endian, in one file or split into parts.
 *
 * Files are memory-mapped; every count, length and offset is checked on opening, so what is handed out
 * lies inside the map and needs no further check.  A file that gets shorter while it is open reads as zeros
 * behind its end: whoever used what was read asks ms_gguf_check whether it was the file's. */
#pragma once

#include "collector.h"
#include "quant-private.h"

G_BEGIN_DECLS

typedef struct MsGguf MsGguf;

/* A weight of the file.  Borrowed from the MsGguf. */
typedef struct
{
  const char *name;
  guint32 number;           /* MsTypeNumber, or another */
  const MsTensorType *type; /* of an unknown number a row with a name alone */
  guint n_dims;
  gint64 ne[4];       /* values per dimension, fastest first, each >= 1; 1 above n_dims */
  const guint8 *data; /* aligned to 8 bytes at least */
  gsize size;         /* bytes; of a type whose blocks are not known: up to the next tensor */
  gsize row_size;     /* bytes of one row of ne[0] values; 0: not known */
} MsTensor;

/* Opens the model at `path`; of a split one, its first part, the others beside it being found by their
 * names (NAME-00002-of-00003.gguf).  Errors: NOT_GGUF (magic, version, byte order), CORRUPT, MISSING (a
 * part), IO. */
MsGguf *ms_gguf_open (const char *path, GError **error);
void ms_gguf_close (MsGguf *gguf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsGguf, ms_gguf_close)

/* Whether the files are still as they were opened.  CORRUPT when one was cut or written to. */
gboolean ms_gguf_check (const MsGguf *gguf, GError **error);

/* Files that the model consists of, and their bytes. */
guint ms_gguf_n_parts (const MsGguf *gguf);
gint64 ms_gguf_bytes (const MsGguf *gguf);

/* As given to ms_gguf_open (borrowed). */
const char *ms_gguf_path (const MsGguf *gguf);

/* 16 hex digits that tell model files apart at the cost of a few page reads: XXH64 over, for each part,
 * all bytes before the tensor data (metadata, names, shapes) and then of each tensor its first, middle
 * and last 4 KiB.  The same model split otherwise has another fingerprint.  (transfer full) */
char *ms_gguf_fingerprint (const MsGguf *gguf);

/* --- Metadata --------------------------------------------------------------------------------- */

typedef enum
{
  MS_KEY_OPTIONAL, /* absent: *value stays as it is and the function succeeds */
  MS_KEY_REQUIRED, /* absent: MS_COLLECTOR_ERROR_MISSING */
} MsKeyNeed;

/* Bytes of the file, not ended by NUL. */
typedef struct
{
  const char *bytes;
  gsize length;
} MsGgufString;

gboolean ms_gguf_has (const MsGguf *gguf, const char *key);

/* Scalars.  Integers of every width are accepted when the value fits (64 bits: below 2^63 - 1), floats of both.  A key of another
 * type, or a value that does not fit, is MS_COLLECTOR_ERROR_CORRUPT even when optional. */
gboolean ms_gguf_get_u32 (const MsGguf *gguf, const char *key, MsKeyNeed need, guint32 *value,
                          GError **error);
gboolean ms_gguf_get_i32 (const MsGguf *gguf, const char *key, MsKeyNeed need, gint32 *value,
                          GError **error);
gboolean ms_gguf_get_u64 (const MsGguf *gguf, const char *key, MsKeyNeed need, guint64 *value,
                          GError **error);
gboolean ms_gguf_get_float (const MsGguf *gguf, const char *key, MsKeyNeed need, float *value,
                            GError **error);
gboolean ms_gguf_get_bool (const MsGguf *gguf, const char *key, MsKeyNeed need, gboolean *value,
                           GError **error);
/* Valid UTF-8 without NUL; *value is borrowed from the MsGguf. */
gboolean ms_gguf_get_string (const MsGguf *gguf, const char *key, MsKeyNeed need,
                             const char **value, GError **error);

/* Arrays: *values (transfer full, g_free) and *n are set together.  Element types convert as above. */
gboolean ms_gguf_get_ints (const MsGguf *gguf, const char *key, MsKeyNeed need, gint32 **values,
                           gsize *n, GError **error);
gboolean ms_gguf_get_floats (const MsGguf *gguf, const char *key, MsKeyNeed need, float **values,
                             gsize *n, GError **error);
/* The array is the caller's, the bytes are borrowed. */
gboolean ms_gguf_get_strings (const MsGguf *gguf, const char *key, MsKeyNeed need,
                              MsGgufString **values, gsize *n, GError **error);
/* One number for each of n layers: from an array of at least n (truth values are 0 and 1), or one
 * scalar for all. */
gboolean ms_gguf_get_per_layer (const MsGguf *gguf, const char *key, MsKeyNeed need, guint n,
                                gint32 *values, GError **error);

/* --- Tensors ---------------------------------------------------------------------------------- */

guint ms_gguf_n_tensors (const MsGguf *gguf);
const MsTensor *ms_gguf_tensor (const MsGguf *gguf, guint index);
/* NULL when the file has none of that name. */
const MsTensor *ms_gguf_find (const MsGguf *gguf, const char *name);
/* A tensor that must be there, be readable by ms_tensor_to_float and have the shape (ne0, ne1, ne2),
 * where 0 means any and 1 also means absent.  Errors: MISSING, UNSUPPORTED, CORRUPT. */
const MsTensor *ms_gguf_need (const MsGguf *gguf, const char *name, gint64 ne0, gint64 ne1,
                              gint64 ne2, GError **error);
/* The same for a tensor that may be missing: then *tensor is NULL and TRUE is returned. */
gboolean ms_gguf_want (const MsGguf *gguf, const char *name, gint64 ne0, gint64 ne1, gint64 ne2,
                       const MsTensor **tensor, GError **error);

/* Rows of ne[0] values: ne[1] * ne[2] * ne[3]. */
gint64 ms_tensor_n_rows (const MsTensor *tensor);
/* Writes rows first_row .. first_row + n_rows - 1 to out (n_rows, ne[0]).  Any thread. */
void ms_tensor_to_float (const MsTensor *tensor, gint64 first_row, gint64 n_rows, float *out);

G_END_DECLS
