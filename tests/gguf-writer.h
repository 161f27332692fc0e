/* Writes small GGUF files for tests: keys first, then tensors, then the bytes. */
#pragma once

#include <glib.h>

typedef struct GgufWriter GgufWriter;

GgufWriter *gguf_writer_new (void);
void gguf_writer_free (GgufWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GgufWriter, gguf_writer_free)

void gguf_add_u16 (GgufWriter *writer, const char *key, guint16 value);
void gguf_add_u32 (GgufWriter *writer, const char *key, guint32 value);
void gguf_add_i32 (GgufWriter *writer, const char *key, gint32 value);
void gguf_add_u64 (GgufWriter *writer, const char *key, guint64 value);
void gguf_add_float (GgufWriter *writer, const char *key, float value);
void gguf_add_bool (GgufWriter *writer, const char *key, gboolean value);
void gguf_add_string (GgufWriter *writer, const char *key, const char *value);
/* n < 0: up to the NULL. */
void gguf_add_strings (GgufWriter *writer, const char *key, const char *const *values, gssize n);
void gguf_add_floats (GgufWriter *writer, const char *key, const float *values, gsize n);
void gguf_add_i32s (GgufWriter *writer, const char *key, const gint32 *values, gsize n);
/* The data is copied and padded to 32 bytes; dimensions of 0 at the end are left out. */
void gguf_add_tensor (GgufWriter *writer, const char *name, guint32 type, gint64 ne0, gint64 ne1,
                      gint64 ne2, gconstpointer data, gsize size);
/* A float32 tensor. */
void gguf_add_f32 (GgufWriter *writer, const char *name, gint64 ne0, gint64 ne1, gint64 ne2,
                   const float *values);

/* (transfer full) */
GByteArray *gguf_writer_bytes (const GgufWriter *writer);
void gguf_writer_save (const GgufWriter *writer, const char *path);
