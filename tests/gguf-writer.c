/* Writes small GGUF files, right ones and wrong ones: keys and tensors are appended as they come, unchecked, so that
 * a test can say what no honest writer would.  It shares no code with the reader that it tests. */
#include "gguf-writer.h"

#include <string.h>

struct GgufWriter
{
  GByteArray *keys, *tensors, *data;
  guint64 n_keys, n_tensors;
};

enum
{
  TYPE_U16 = 2,
  TYPE_U32 = 4,
  TYPE_I32 = 5,
  TYPE_F32 = 6,
  TYPE_BOOL = 7,
  TYPE_STRING = 8,
  TYPE_ARRAY = 9,
  TYPE_U64 = 10,
};

static void
put (GByteArray *to, gconstpointer bytes, gsize n)
{
  g_byte_array_append (to, bytes, (guint) n);
}

static void
put32 (GByteArray *to, guint32 value)
{
  value = GUINT32_TO_LE (value);
  put (to, &value, sizeof value);
}

static void
put64 (GByteArray *to, guint64 value)
{
  value = GUINT64_TO_LE (value);
  put (to, &value, sizeof value);
}

static void
put_string (GByteArray *to, const char *text)
{
  put64 (to, strlen (text));
  put (to, text, strlen (text));
}

static void
put_key (GgufWriter *writer, const char *key, guint32 type)
{
  put_string (writer->keys, key);
  put32 (writer->keys, type);
  writer->n_keys++;
}

GgufWriter *
gguf_writer_new (void)
{
  GgufWriter *writer = g_new0 (GgufWriter, 1);

  writer->keys = g_byte_array_new ();
  writer->tensors = g_byte_array_new ();
  writer->data = g_byte_array_new ();
  return writer;
}

void
gguf_writer_free (GgufWriter *writer)
{
  if (writer == NULL)
    return;
  g_byte_array_unref (writer->keys);
  g_byte_array_unref (writer->tensors);
  g_byte_array_unref (writer->data);
  g_free (writer);
}

void
gguf_add_u16 (GgufWriter *writer, const char *key, guint16 value)
{
  value = GUINT16_TO_LE (value);
  put_key (writer, key, TYPE_U16);
  put (writer->keys, &value, sizeof value);
}

void
gguf_add_u32 (GgufWriter *writer, const char *key, guint32 value)
{
  put_key (writer, key, TYPE_U32);
  put32 (writer->keys, value);
}

void
gguf_add_i32 (GgufWriter *writer, const char *key, gint32 value)
{
  put_key (writer, key, TYPE_I32);
  put32 (writer->keys, (guint32) value);
}

void
gguf_add_u64 (GgufWriter *writer, const char *key, guint64 value)
{
  put_key (writer, key, TYPE_U64);
  put64 (writer->keys, value);
}

static void
put_float (GByteArray *to, float value)
{
  guint32 bits;

  memcpy (&bits, &value, sizeof bits);
  put32 (to, bits);
}

void
gguf_add_float (GgufWriter *writer, const char *key, float value)
{
  put_key (writer, key, TYPE_F32);
  put_float (writer->keys, value);
}

void
gguf_add_bool (GgufWriter *writer, const char *key, gboolean value)
{
  guint8 byte = value != FALSE;

  put_key (writer, key, TYPE_BOOL);
  put (writer->keys, &byte, 1);
}

void
gguf_add_string (GgufWriter *writer, const char *key, const char *value)
{
  put_key (writer, key, TYPE_STRING);
  put_string (writer->keys, value);
}

static void
put_array (GgufWriter *writer, const char *key, guint32 type, gsize n)
{
  put_key (writer, key, TYPE_ARRAY);
  put32 (writer->keys, type);
  put64 (writer->keys, n);
}

void
gguf_add_strings (GgufWriter *writer, const char *key, const char *const *values, gssize n)
{
  gsize count = n < 0 ? g_strv_length ((char **) values) : (gsize) n;

  put_array (writer, key, TYPE_STRING, count);
  for (gsize i = 0; i < count; i++)
    put_string (writer->keys, values[i]);
}

void
gguf_add_floats (GgufWriter *writer, const char *key, const float *values, gsize n)
{
  put_array (writer, key, TYPE_F32, n);
  for (gsize i = 0; i < n; i++)
    put_float (writer->keys, values[i]);
}

void
gguf_add_i32s (GgufWriter *writer, const char *key, const gint32 *values, gsize n)
{
  put_array (writer, key, TYPE_I32, n);
  for (gsize i = 0; i < n; i++)
    put32 (writer->keys, (guint32) values[i]);
}

static void
pad (GByteArray *bytes)
{
  static const guint8 zeros[32];

  put (bytes, zeros, (32 - bytes->len % 32) % 32);
}

void
gguf_add_tensor (GgufWriter *writer, const char *name, guint32 type, gint64 ne0, gint64 ne1,
                 gint64 ne2, gconstpointer data, gsize size)
{
  const gint64 ne[3] = { ne0, ne1, ne2 };
  guint n_dims = ne2 ? 3 : ne1 ? 2 : 1;

  put_string (writer->tensors, name);
  put32 (writer->tensors, n_dims);
  for (guint i = 0; i < n_dims; i++)
    put64 (writer->tensors, (guint64) ne[i]);
  put32 (writer->tensors, type);
  put64 (writer->tensors, writer->data->len);
  put (writer->data, data, size);
  pad (writer->data);
  writer->n_tensors++;
}

void
gguf_add_f32 (GgufWriter *writer, const char *name, gint64 ne0, gint64 ne1, gint64 ne2,
              const float *values)
{
  gsize n = (gsize) (ne0 * MAX (ne1, 1) * MAX (ne2, 1));

  gguf_add_tensor (writer, name, 0, ne0, ne1, ne2, values, n * sizeof *values);
}

GByteArray *
gguf_writer_bytes (const GgufWriter *writer)
{
  GByteArray *bytes = g_byte_array_new ();

  put (bytes, "GGUF", 4);
  put32 (bytes, 3);
  put64 (bytes, writer->n_tensors);
  put64 (bytes, writer->n_keys);
  put (bytes, writer->keys->data, writer->keys->len);
  put (bytes, writer->tensors->data, writer->tensors->len);
  pad (bytes);
  put (bytes, writer->data->data, writer->data->len);
  return bytes;
}

void
gguf_writer_save (const GgufWriter *writer, const char *path)
{
  g_autoptr (GByteArray) bytes = gguf_writer_bytes (writer);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, (const char *) bytes->data, (gssize) bytes->len, &error);
  g_assert_no_error (error);
}
