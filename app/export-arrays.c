/* Decisions as arrays.  The heads say how long everything is, so the documents are told beforehand; the choices of one
 * document are held until it is complete, then its ids are written, then its weights.  Numbers are little-endian. */
#include "export-arrays.h"

#include "db.h"

#include <string.h>
#include <zlib.h>

struct MsArrays
{
  MsArraysKind kind;
  GOutputStream *stream;
  const MsArraysDocument *documents;
  guint n, n_layers, k;
  gboolean wide;                       /* int32 ids */
  guint document;                      /* at hand */
  gint64 token;                        /* of it */
  gint32 *ids;                         /* (n_layers, k) of the token */
  float *weights;                      /* likewise */
  GByteArray *id_bytes, *weight_bytes; /* of the document */
  GByteArray *directory;               /* of the archive */
  guint n_parts;
  guint64 offset; /* of the file */
  gboolean begun;
};

static gboolean
write_bytes (MsArrays *self, const void *bytes, gsize n, GError **error)
{
  self->offset += n;
  return g_output_stream_write_all (self->stream, bytes, n, NULL, NULL, error);
}

static void
append_number (GByteArray *bytes, guint64 value, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      guint8 byte = (guint8) (i < sizeof value ? value >> (8 * i) : 0);

      g_byte_array_append (bytes, &byte, 1);
    }
}

MsArrays *
ms_arrays_new (MsArraysKind kind, GOutputStream *stream, const MsArraysDocument *documents, guint n,
               guint n_layers, guint k, guint n_experts)
{
  MsArrays *self = g_new0 (MsArrays, 1);

  self->kind = kind;
  self->stream = g_object_ref (stream);
  self->documents = documents;
  self->n = n;
  self->n_layers = n_layers;
  self->k = k;
  self->wide = n_experts > G_MAXINT16;
  self->ids = g_new (gint32, (gsize) n_layers * k);
  self->weights = g_new (float, (gsize) n_layers *k);
  self->id_bytes = g_byte_array_new ();
  self->weight_bytes = g_byte_array_new ();
  self->directory = g_byte_array_new ();
  memset (self->ids, 0xff, (gsize) n_layers * k * sizeof *self->ids);
  memset (self->weights, 0, (gsize) n_layers * k * sizeof *self->weights);
  return self;
}

void
ms_arrays_free (MsArrays *self)
{
  if (self == NULL)
    return;
  g_object_unref (self->stream);
  g_free (self->ids);
  g_free (self->weights);
  g_byte_array_unref (self->id_bytes);
  g_byte_array_unref (self->weight_bytes);
  g_byte_array_unref (self->directory);
  g_free (self);
}

/* The head of an .npy array of n tokens. */
static GByteArray *
make_head (const MsArrays *self, const char *type, gint64 n)
{
  g_autoptr (GString) head = g_string_new (NULL);
  GByteArray *bytes = g_byte_array_new ();

  g_string_printf (
      head, "{'descr': '%s', 'fortran_order': False, 'shape': (%" G_GINT64_FORMAT ", %u, %u), }",
      type, n, self->n_layers, self->k);
  while ((10 + head->len + 1) % 64 != 0)
    g_string_append_c (head, ' ');
  g_string_append_c (head, '\n');
  g_byte_array_append (bytes, (const guint8 *) "\x93NUMPY\x01\0", 8);
  append_number (bytes, head->len, 2);
  g_byte_array_append (bytes, (const guint8 *) head->str, (guint) head->len);
  return bytes;
}

/* A stored part of the archive: local head, content, and its entry for the directory.  Archives beyond 4 GiB would
 * need other entries and are refused. */
static gboolean
write_part (MsArrays *self, const char *name, const char *type, const GByteArray *data, gint64 n,
            GError **error)
{
  g_autofree char *part = g_strdup_printf ("%s/%s.npy", self->documents[self->document].name, name);
  g_autoptr (GByteArray) head = make_head (self, type, n), local = g_byte_array_new ();
  guint64 size = (guint64) head->len + data->len, at = self->offset;
  uLong crc = crc32 (crc32 (0, head->data, head->len), data->data, data->len);

  if (size > G_MAXUINT32 || at > G_MAXUINT32 - size || self->n_parts == 65535)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE,
                   "the archive would be larger than 4 GiB or of more than 65,535 parts: export as "
                   "safetensors, or a selection");
      return FALSE;
    }
  g_byte_array_append (local, (const guint8 *) "PK\3\4\x14\0\0\0\0\0\0\0\x21\0", 14);
  append_number (local, crc, 4);
  append_number (local, size, 4);
  append_number (local, size, 4);
  append_number (local, strlen (part), 2);
  append_number (local, 0, 2);
  g_byte_array_append (local, (const guint8 *) part, (guint) strlen (part));
  g_byte_array_append (self->directory, (const guint8 *) "PK\1\2\x14\0\x14\0\0\0\0\0\0\0\x21\0",
                       16);
  append_number (self->directory, crc, 4);
  append_number (self->directory, size, 4);
  append_number (self->directory, size, 4);
  append_number (self->directory, strlen (part), 2);
  append_number (self->directory, 0, 12); /* extra, comment, disk, attributes (2 + 4) */
  append_number (self->directory, at, 4);
  g_byte_array_append (self->directory, (const guint8 *) part, (guint) strlen (part));
  self->n_parts++;
  return write_bytes (self, local->data, local->len, error)
         && write_bytes (self, head->data, head->len, error)
         && write_bytes (self, data->data, data->len, error);
}

/* One tensor in the head of a safetensors file. */
static void
append_tensor (const MsArrays *self, GString *head, const char *document, const char *name,
               const char *type, guint size, gint64 n, guint64 *offset)
{
  guint64 bytes = (guint64) n * self->n_layers * self->k * size;

  g_string_append_printf (head, "%s\"", head->len > 1 ? "," : "");
  for (const char *c = document; *c != '\0'; c++)
    if (*c == '"' || *c == '\\')
      g_string_append_printf (head, "\\%c", *c);
    else
      g_string_append_c (head, *c);
  g_string_append_printf (head,
                          "/%s\":{\"dtype\":\"%s\",\"shape\":[%" G_GINT64_FORMAT
                          ",%u,%u],\"data_offsets\":[%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT "]}",
                          name, type, n, self->n_layers, self->k, *offset, *offset + bytes);
  *offset += bytes;
}

/* What stands before the first document. */
static gboolean
begin (MsArrays *self, GError **error)
{
  g_autoptr (GString) head = g_string_new ("{");
  g_autoptr (GByteArray) bytes = NULL;
  guint64 offset = 0;
  gint64 n = 0;

  self->begun = TRUE;
  if (self->kind == MS_ARRAYS_NPZ)
    return TRUE;
  for (guint i = 0; i < self->n; i++)
    n += self->documents[i].n_tokens;
  if (self->kind == MS_ARRAYS_NPY)
    {
      bytes = make_head (self, self->wide ? "<i4" : "<i2", n);
      return write_bytes (self, bytes->data, bytes->len, error);
    }
  for (guint i = 0; i < self->n; i++)
    {
      const MsArraysDocument *document = &self->documents[i];

      append_tensor (self, head, document->name, "routed_experts", self->wide ? "I32" : "I16",
                     self->wide ? 4 : 2, document->n_tokens, &offset);
      append_tensor (self, head, document->name, "topk_weights", "F32", 4, document->n_tokens,
                     &offset);
    }
  g_string_append_c (head, '}');
  while (head->len % 8 != 0)
    g_string_append_c (head, ' ');
  bytes = g_byte_array_new ();
  append_number (bytes, head->len, 8);
  return write_bytes (self, bytes->data, bytes->len, error)
         && write_bytes (self, head->str, head->len, error);
}

void
ms_arrays_put (MsArrays *self, guint layer, const guint16 *experts, const float *weights, guint k)
{
  for (guint i = 0; i < MIN (k, self->k) && layer < self->n_layers; i++)
    if (experts[i] != MS_NO_EXPERT)
      {
        self->ids[(gsize) layer * self->k + i] = experts[i];
        self->weights[(gsize) layer * self->k + i] = weights[i];
      }
}

static gboolean
end_document (MsArrays *self, GError **error)
{
  gint64 n = self->documents[self->document].n_tokens;
  gboolean good;

  if (self->kind == MS_ARRAYS_NPZ)
    good = write_part (self, "routed_experts", self->wide ? "<i4" : "<i2", self->id_bytes, n, error)
           && write_part (self, "topk_weights", "<f4", self->weight_bytes, n, error);
  else
    good = write_bytes (self, self->id_bytes->data, self->id_bytes->len, error)
           && (self->kind == MS_ARRAYS_NPY
               || write_bytes (self, self->weight_bytes->data, self->weight_bytes->len, error));
  g_byte_array_set_size (self->id_bytes, 0);
  g_byte_array_set_size (self->weight_bytes, 0);
  self->token = 0;
  self->document++;
  return good;
}

gboolean
ms_arrays_end_token (MsArrays *self, GError **error)
{
  gsize n = (gsize) self->n_layers * self->k;

  if (!self->begun && !begin (self, error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    {
      guint32 bits;

      append_number (self->id_bytes, (guint32) self->ids[i], self->wide ? 4 : 2);
      memcpy (&bits, &self->weights[i], sizeof bits);
      append_number (self->weight_bytes, bits, 4);
    }
  memset (self->ids, 0xff, n * sizeof *self->ids);
  memset (self->weights, 0, n * sizeof *self->weights);
  if (self->id_bytes->len > G_MAXUINT32 / 4)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE,
                   "document '%s' is too long for an array: export a selection",
                   self->documents[self->document].name);
      return FALSE;
    }
  if (++self->token < self->documents[self->document].n_tokens)
    return TRUE;
  return end_document (self, error);
}

gboolean
ms_arrays_finish (MsArrays *self, GError **error)
{
  g_autoptr (GByteArray) end = g_byte_array_new ();
  guint64 at = self->offset;

  if (self->kind != MS_ARRAYS_NPZ)
    return TRUE;
  g_byte_array_append (end, (const guint8 *) "PK\5\6\0\0\0\0", 8);
  append_number (end, self->n_parts, 2);
  append_number (end, self->n_parts, 2);
  append_number (end, self->directory->len, 4);
  append_number (end, at, 4);
  append_number (end, 0, 2);
  return write_bytes (self, self->directory->data, self->directory->len, error)
         && write_bytes (self, end->data, end->len, error);
}
