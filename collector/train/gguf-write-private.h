/* Writes GGUF version 3: metadata first, tensors in the order given, aligned to 32 bytes.
 *
 * Little-endian machines only, as the rest of the collector. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Values of ggml's tensor types. */
typedef enum
{
  MS_GGUF_F32 = 0,
  MS_GGUF_F16 = 1,
  MS_GGUF_Q8_0 = 8,
} MsGgufStore;

typedef struct MsGgufWriter MsGgufWriter;

MsGgufWriter *ms_gguf_writer_new (void);
void ms_gguf_writer_free (MsGgufWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsGgufWriter, ms_gguf_writer_free)

void ms_gguf_writer_add_string (MsGgufWriter *writer, const char *key, const char *value);
void ms_gguf_writer_add_u32 (MsGgufWriter *writer, const char *key, guint32 value);
void ms_gguf_writer_add_f32 (MsGgufWriter *writer, const char *key, float value);
void ms_gguf_writer_add_bool (MsGgufWriter *writer, const char *key, gboolean value);
/* values: of char* */
void ms_gguf_writer_add_strings (MsGgufWriter *writer, const char *key, GPtrArray *values);
void ms_gguf_writer_add_i32s (MsGgufWriter *writer, const char *key, const gint32 *values, gsize n);

/* depth matrices (rows, columns), `stride` floats apart (ignored for depth 1), borrowed until the file
 * is written.  A Q8_0 tensor whose columns are no multiple of 32 is stored as F16. */
void ms_gguf_writer_add_tensor (MsGgufWriter *writer, const char *name, MsGgufStore store,
                                gsize columns, gsize rows, gsize depth, gsize stride,
                                const float *values);

/* Replaces path atomically. */
gboolean ms_gguf_writer_save (MsGgufWriter *writer, const char *path, GError **error);

G_END_DECLS
