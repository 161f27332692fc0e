/* Zip archives as numpy and torch write them: parts stored as they are or deflated, found through the directory at the
 * end.  Every offset and length is checked before it is followed. */
#include "arrays-private.h"
#include "import-private.h"

#include <string.h>
#include <zlib.h>

#define END_BYTES       22
#define DIRECTORY_BYTES 46
#define LOCAL_BYTES     30

void
ms_zip_part_free (MsZipPart *part)
{
  g_free (part->name);
  g_bytes_unref (part->bytes);
  g_free (part);
}

static guint64
number_at (const guint8 *at, guint bytes)
{
  guint64 value = 0;

  for (guint i = 0; i < bytes; i++)
    value |= (guint64) at[i] << (8 * i);
  return value;
}

/* What the directory says of a part. */
typedef struct
{
  guint method;
  guint64 packed, size, local;
} Entry;

/* Sizes and place that do not fit 32 bits stand in the extra field (n bytes) with number 1. */
static gboolean
take_extra (Entry *entry, const guint8 *extra, gsize n)
{
  guint64 *const wide[] = { &entry->size, &entry->packed, &entry->local };

  while (n >= 4)
    {
      guint64 id = number_at (extra, 2), length = number_at (extra + 2, 2);
      gsize at = 4;

      if (length > n - 4)
        return FALSE;
      for (guint i = 0; id == 1 && i < G_N_ELEMENTS (wide); i++)
        if (*wide[i] == G_MAXUINT32)
          {
            if (at + 8 > length + 4)
              return FALSE;
            *wide[i] = number_at (extra + at, 8);
            at += 8;
          }
      extra += 4 + length;
      n -= 4 + length;
    }
  return TRUE;
}

static GBytes *
inflate_part (const guint8 *packed, const Entry *entry)
{
  z_stream stream = { 0 };
  guint8 *to;
  gboolean good;

  if (entry->packed > G_MAXUINT || entry->size > G_MAXUINT || inflateInit2 (&stream, -15) != Z_OK)
    return NULL;
  to = g_try_malloc (MAX (entry->size, 1));
  stream.next_in = (Bytef *) packed;
  stream.avail_in = (uInt) entry->packed;
  stream.next_out = to;
  stream.avail_out = (uInt) entry->size;
  good = to != NULL && inflate (&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd (&stream);
  if (good)
    return g_bytes_new_take (to, entry->size);
  g_free (to);
  return NULL;
}

/* The bytes of a part; NULL when the archive is damaged there. */
static GBytes *
read_part (GBytes *archive, const Entry *entry)
{
  gsize n;
  const guint8 *data = g_bytes_get_data (archive, &n);
  guint64 begin;

  if (entry->local > n - MIN (n, LOCAL_BYTES) || memcmp (data + entry->local, "PK\3\4", 4) != 0)
    return NULL;
  begin = entry->local + LOCAL_BYTES + number_at (data + entry->local + 26, 2)
          + number_at (data + entry->local + 28, 2);
  if (begin > n || entry->packed > n - begin)
    return NULL;
  if (entry->method == 8)
    return inflate_part (data + begin, entry);
  return entry->method == 0 && entry->size == entry->packed
             ? g_bytes_new_from_bytes (archive, begin, entry->size)
             : NULL;
}

/* Where the end record begins, -1 when there is none. */
static gint64
find_end (const guint8 *data, gsize n)
{
  for (gsize back = END_BYTES; back <= MIN (n, END_BYTES + 65535u); back++)
    if (memcmp (data + n - back, "PK\5\6", 4) == 0)
      return (gint64) (n - back);
  return -1;
}

GPtrArray *
ms_zip_read (const char *file, GBytes *bytes, guint64 most, GError **error)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_zip_part_free);
  gsize n;
  const guint8 *data = g_bytes_get_data (bytes, &n);
  gint64 end = find_end (data, n);
  guint64 at, count, unpacked = 0;

  if (end < 0)
    {
      ms_import_fail (error, file, 0, "the zip archive has no directory: it ends too early");
      return NULL;
    }
  count = number_at (data + end + 10, 2);
  at = number_at (data + end + 16, 4);
  if (at == G_MAXUINT32 && end >= 20 && memcmp (data + end - 20, "PK\6\7", 4) == 0)
    {
      guint64 wide = number_at (data + end - 12, 8);

      if (wide <= n - MIN (n, 56) && memcmp (data + wide, "PK\6\6", 4) == 0)
        {
          count = number_at (data + wide + 32, 8);
          at = number_at (data + wide + 48, 8);
        }
    }
  for (guint64 i = 0; i < count; i++)
    {
      g_autofree char *name = NULL;
      g_autoptr (GBytes) content = NULL;
      guint64 name_bytes, extra_bytes;
      MsZipPart *part;
      Entry entry;

      if (at > n - MIN (n, DIRECTORY_BYTES) || memcmp (data + at, "PK\1\2", 4) != 0)
        break;
      entry = (Entry){ (guint) number_at (data + at + 10, 2), number_at (data + at + 20, 4),
                       number_at (data + at + 24, 4), number_at (data + at + 42, 4) };
      name_bytes = number_at (data + at + 28, 2);
      extra_bytes = number_at (data + at + 30, 2);
      if (DIRECTORY_BYTES + name_bytes + extra_bytes > n - at
          || !take_extra (&entry, data + at + DIRECTORY_BYTES + name_bytes, extra_bytes))
        break;
      name = g_strndup ((const char *) data + at + DIRECTORY_BYTES, name_bytes);
      unpacked += entry.method == 8 ? MIN (entry.size, most) : 0;
      if (unpacked >= most)
        {
          ms_import_fail (error, file, 0,
                          "the archive unpacks to more than %" G_GUINT64_FORMAT " bytes", most);
          return NULL;
        }
      content = read_part (bytes, &entry);
      if (content == NULL)
        {
          g_autofree char *clean = ms_text_printable (name, -1);

          ms_import_fail (error, file, 0,
                          "the part '%s' of the archive is damaged, or packed in a way that is not "
                          "read",
                          clean);
          return NULL;
        }
      part = g_new (MsZipPart, 1);
      part->name = g_steal_pointer (&name);
      part->bytes = g_steal_pointer (&content);
      g_ptr_array_add (parts, part);
      at += DIRECTORY_BYTES + name_bytes + extra_bytes + number_at (data + at + 32, 2);
    }
  if (parts->len == count)
    return g_steal_pointer (&parts);
  ms_import_fail (error, file, 0, "the directory of the zip archive is damaged");
  return NULL;
}
