/* The writer of GGUF files.
 *
 * What must hold: what it writes, gguf.c reads; a file appears under its name only when it is whole. */
#include "gguf-write-private.h"

#include "base.h"

#include <math.h>
#include <string.h>

#define ALIGNMENT   32
#define Q8_BLOCK    32
#define Q8_BYTES    34
#define TYPE_U32    4u
#define TYPE_I32    5u
#define TYPE_F32    6u
#define TYPE_BOOL   7u
#define TYPE_STRING 8u
#define TYPE_ARRAY  9u

typedef struct
{
  char *name;
  MsGgufStore store;
  gsize columns, rows, depth, stride;
  const float *values;
} Tensor;

struct MsGgufWriter
{
  GByteArray *pairs;
  guint64 n_pairs;
  GArray *tensors; /* of Tensor */
};

static void
tensor_clear (gpointer data)
{
  g_free (((Tensor *) data)->name);
}

MsGgufWriter *
ms_gguf_writer_new (void)
{
  MsGgufWriter *writer = g_new0 (MsGgufWriter, 1);

  writer->pairs = g_byte_array_new ();
  writer->tensors = g_array_new (FALSE, FALSE, sizeof (Tensor));
  g_array_set_clear_func (writer->tensors, tensor_clear);
  return writer;
}

void
ms_gguf_writer_free (MsGgufWriter *writer)
{
  if (writer == NULL)
    return;
  g_byte_array_unref (writer->pairs);
  g_array_unref (writer->tensors);
  g_free (writer);
}

static void
put (GByteArray *out, gconstpointer data, gsize size)
{
  g_byte_array_append (out, data, (guint) size);
}

static void
put_u32 (GByteArray *out, guint32 value)
{
  put (out, &value, sizeof value);
}

static void
put_u64 (GByteArray *out, guint64 value)
{
  put (out, &value, sizeof value);
}

static void
put_string (GByteArray *out, const char *string)
{
  gsize length = strlen (string);

  put_u64 (out, length);
  put (out, string, length);
}

static void
put_key (MsGgufWriter *writer, const char *key, guint32 type)
{
  put_string (writer->pairs, key);
  put_u32 (writer->pairs, type);
  writer->n_pairs++;
}

void
ms_gguf_writer_add_string (MsGgufWriter *writer, const char *key, const char *value)
{
  put_key (writer, key, TYPE_STRING);
  put_string (writer->pairs, value);
}

void
ms_gguf_writer_add_u32 (MsGgufWriter *writer, const char *key, guint32 value)
{
  put_key (writer, key, TYPE_U32);
  put_u32 (writer->pairs, value);
}

void
ms_gguf_writer_add_f32 (MsGgufWriter *writer, const char *key, float value)
{
  put_key (writer, key, TYPE_F32);
  put (writer->pairs, &value, sizeof value);
}

void
ms_gguf_writer_add_bool (MsGgufWriter *writer, const char *key, gboolean value)
{
  guint8 byte = value ? 1 : 0;

  put_key (writer, key, TYPE_BOOL);
  put (writer->pairs, &byte, 1);
}

void
ms_gguf_writer_add_strings (MsGgufWriter *writer, const char *key, GPtrArray *values)
{
  put_key (writer, key, TYPE_ARRAY);
  put_u32 (writer->pairs, TYPE_STRING);
  put_u64 (writer->pairs, values->len);
  for (guint i = 0; i < values->len; i++)
    put_string (writer->pairs, g_ptr_array_index (values, i));
}

void
ms_gguf_writer_add_i32s (MsGgufWriter *writer, const char *key, const gint32 *values, gsize n)
{
  put_key (writer, key, TYPE_ARRAY);
  put_u32 (writer->pairs, TYPE_I32);
  put_u64 (writer->pairs, n);
  put (writer->pairs, values, n * sizeof *values);
}

void
ms_gguf_writer_add_tensor (MsGgufWriter *writer, const char *name, MsGgufStore store, gsize columns,
                           gsize rows, gsize depth, gsize stride, const float *values)
{
  Tensor tensor = { g_strdup (name), store, columns, rows, depth, stride, values };

  if (store == MS_GGUF_Q8_0 && columns % Q8_BLOCK != 0)
    tensor.store = MS_GGUF_F16;
  g_array_append_val (writer->tensors, tensor);
}

static gsize
row_bytes (const Tensor *tensor)
{
  switch (tensor->store)
    {
    case MS_GGUF_Q8_0:
      return tensor->columns / Q8_BLOCK * Q8_BYTES;
    case MS_GGUF_F16:
      return tensor->columns * sizeof (guint16);
    case MS_GGUF_F32:
    default:
      return tensor->columns * sizeof (float);
    }
}

/* A block of 32: its scale as half float, then 32 signed bytes; as ggml's reference quantizes. */
static void
put_q8_block (GByteArray *out, const float *x)
{
  gint8 quants[Q8_BLOCK];
  float peak = 0, scale, inverse;
  guint16 half;

  for (guint i = 0; i < Q8_BLOCK; i++)
    peak = MAX (peak, fabsf (x[i]));
  scale = peak / 127.0f;
  inverse = scale > 0 ? 1.0f / scale : 0;
  half = ms_half_from_float (scale);
  for (guint i = 0; i < Q8_BLOCK; i++)
    quants[i] = (gint8) roundf (x[i] * inverse);
  put (out, &half, sizeof half);
  put (out, quants, sizeof quants);
}

static void
put_row (GByteArray *out, const Tensor *tensor, const float *x)
{
  switch (tensor->store)
    {
    case MS_GGUF_Q8_0:
      for (gsize i = 0; i < tensor->columns; i += Q8_BLOCK)
        put_q8_block (out, x + i);
      break;
    case MS_GGUF_F16:
      for (gsize i = 0; i < tensor->columns; i++)
        {
          guint16 half = ms_half_from_float (x[i]);

          put (out, &half, sizeof half);
        }
      break;
    case MS_GGUF_F32:
    default:
      put (out, x, tensor->columns * sizeof *x);
    }
}

static void
pad (GByteArray *out)
{
  static const guint8 zeros[ALIGNMENT];

  put (out, zeros, (ALIGNMENT - out->len % ALIGNMENT) % ALIGNMENT);
}

static void
put_tensor_info (GByteArray *out, const Tensor *tensor, guint64 offset)
{
  guint n_dims = tensor->depth > 1 ? 3 : tensor->rows > 1 ? 2 : 1;

  put_string (out, tensor->name);
  put_u32 (out, n_dims);
  put_u64 (out, tensor->columns);
  if (n_dims > 1)
    put_u64 (out, tensor->rows);
  if (n_dims > 2)
    put_u64 (out, tensor->depth);
  put_u32 (out, tensor->store);
  put_u64 (out, offset);
}

static gboolean
write_all (MsGgufWriter *writer, GOutputStream *stream, GError **error)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  guint64 offset = 0;

  put (out, "GGUF", 4);
  put_u32 (out, 3);
  put_u64 (out, writer->tensors->len);
  put_u64 (out, writer->n_pairs);
  put (out, writer->pairs->data, writer->pairs->len);
  for (guint i = 0; i < writer->tensors->len; i++)
    {
      const Tensor *tensor = &g_array_index (writer->tensors, Tensor, i);
      gsize size = row_bytes (tensor) * tensor->rows * tensor->depth;

      put_tensor_info (out, tensor, offset);
      offset += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
  pad (out);
  for (guint i = 0; i <= writer->tensors->len; i++)
    {
      const Tensor *tensor;

      if (!g_output_stream_write_all (stream, out->data, out->len, NULL, NULL, error))
        return FALSE;
      if (i == writer->tensors->len)
        break;
      tensor = &g_array_index (writer->tensors, Tensor, i);
      g_byte_array_set_size (out, 0);
      for (gsize e = 0; e < tensor->depth; e++)
        for (gsize r = 0; r < tensor->rows; r++)
          put_row (out, tensor, tensor->values + e * tensor->stride + r * tensor->columns);
      pad (out);
    }
  return TRUE;
}

gboolean
ms_gguf_writer_save (MsGgufWriter *writer, const char *path, GError **error)
{
  g_autoptr (GOutputStream) stream = ms_stream_replace_model (path, error);

  return stream != NULL && ms_stream_close (stream, write_all (writer, stream, error), error);
}
