/* Layout (all little endian):
 *
 *   "GGUF"  version u32  n_tensors u64  n_keys u64
 *   n_keys times     name (u64 length, bytes)  type u32  value
 *   n_tensors times  name  n_dims u32  ne u64 (n_dims)  type u32  offset u64
 *   padding to `general.alignment` (32 unless told)
 *   tensor data, offsets counted from here
 *
 * A string is a u64 length and bytes; an array is element type u32, count u64, elements. */
#include "gguf-private.h"
#include "guard-private.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>

G_DEFINE_QUARK (ms - collector - error - quark, ms_collector_error)

enum
{
  VALUE_U8,
  VALUE_I8,
  VALUE_U16,
  VALUE_I16,
  VALUE_U32,
  VALUE_I32,
  VALUE_F32,
  VALUE_BOOL,
  VALUE_STRING,
  VALUE_ARRAY,
  VALUE_U64,
  VALUE_I64,
  VALUE_F64,
  N_VALUES,
};

static const struct
{
  const char *name;
  guint bytes; /* 0: of its own length */
} value_types[N_VALUES] = {
  [VALUE_U8] = { "u8", 1 },   [VALUE_I8] = { "i8", 1 },       [VALUE_U16] = { "u16", 2 },
  [VALUE_I16] = { "i16", 2 }, [VALUE_U32] = { "u32", 4 },     [VALUE_I32] = { "i32", 4 },
  [VALUE_F32] = { "f32", 4 }, [VALUE_BOOL] = { "bool", 1 },   [VALUE_STRING] = { "string", 0 },
  [VALUE_U64] = { "u64", 8 }, [VALUE_ARRAY] = { "array", 0 }, [VALUE_I64] = { "i64", 8 },
  [VALUE_F64] = { "f64", 8 },
};

/* A key of the metadata.  `data` points to n values of `type` (strings: to the first length). */
typedef struct
{
  guint type;
  gboolean array;
  guint64 n;
  const guint8 *data;
  char *text; /* a scalar string with its NUL; NULL when it is not text */
} Key;

typedef struct
{
  GMappedFile *file;
  char *path;
  const guint8 *bytes;
  gsize size;
  gsize data_start;
  gint guard;        /* of the map */
  struct stat found; /* the file as it was opened */
} Part;

struct MsGguf
{
  GPtrArray *parts;    /* of Part */
  GHashTable *keys;    /* name -> Key, those of the first part */
  GPtrArray *tensors;  /* of MsTensor */
  GHashTable *by_name; /* name -> MsTensor */
  GHashTable *types;   /* numbers that quant.c does not know -> MsTensorType */
};

/* Reads forward through a part; `bad` once something did not fit. */
typedef struct
{
  const Part *part;
  gsize at;
  gboolean bad;
} Cursor;

static const guint8 *
take (Cursor *cursor, guint64 n)
{
  const guint8 *bytes = cursor->part->bytes + cursor->at;

  if (cursor->bad || n > cursor->part->size - cursor->at)
    {
      cursor->bad = TRUE;
      return NULL;
    }
  cursor->at += (gsize) n;
  return bytes;
}

static guint16
load16 (const guint8 *bytes)
{
  return (guint16) (bytes[0] | bytes[1] << 8);
}

static guint32
load32 (const guint8 *bytes)
{
  guint32 value;

  memcpy (&value, bytes, sizeof value);
  return GUINT32_FROM_LE (value);
}

static guint64
load64 (const guint8 *bytes)
{
  guint64 value;

  memcpy (&value, bytes, sizeof value);
  return GUINT64_FROM_LE (value);
}

static guint32
take32 (Cursor *cursor)
{
  const guint8 *bytes = take (cursor, 4);

  return bytes ? load32 (bytes) : 0;
}

static guint64
take64 (Cursor *cursor)
{
  const guint8 *bytes = take (cursor, 8);

  return bytes ? load64 (bytes) : 0;
}

/* Numbers that follow may be no more than the rest of the part can hold. */
static guint64
take_count (Cursor *cursor, gsize least_bytes)
{
  guint64 n = take64 (cursor);

  if (!cursor->bad && n > (cursor->part->size - cursor->at) / least_bytes)
    cursor->bad = TRUE;
  return cursor->bad ? 0 : n;
}

static MsGgufString
take_string (Cursor *cursor)
{
  guint64 length = take64 (cursor);
  const guint8 *bytes = take (cursor, length);

  return (MsGgufString){ (const char *) bytes, bytes ? (gsize) length : 0 };
}

/* The copy is NULL unless the string is UTF-8 without NUL. */
static char *
copy_text (MsGgufString string)
{
  return g_utf8_validate_len (string.bytes, string.length, NULL)
             ? g_strndup (string.bytes, string.length)
             : NULL;
}

static gboolean fail (GError **error, MsCollectorError code, const char *path, const char *format,
                      ...) G_GNUC_PRINTF (4, 5);

static gboolean
fail (GError **error, MsCollectorError code, const char *path, const char *format, ...)
{
  g_autofree char *message = NULL;
  g_autofree char *shown = ms_text_printable (path, -1);
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, MS_COLLECTOR_ERROR, code, "%s: %s", shown, message);
  return FALSE;
}

static gboolean
fail_truncated (GError **error, const Part *part, const char *what)
{
  return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
               "the file ends within its %s, or a length there is wrong (%" G_GSIZE_FORMAT
               " bytes long); download it again",
               what, part->size);
}

static void
key_free (gpointer data)
{
  Key *key = data;

  g_free (key->text);
  g_free (key);
}

static void
tensor_free (gpointer data)
{
  MsTensor *tensor = data;

  g_free ((char *) tensor->name);
  g_free (tensor);
}

static void
part_free (gpointer data)
{
  Part *part = data;

  if (part->file != NULL)
    ms_guard_remove (part->guard);
  g_clear_pointer (&part->file, g_mapped_file_unref);
  g_free (part->path);
  g_free (part);
}

static gboolean
parse_key (Cursor *cursor, GHashTable *keys, GError **error)
{
  const Part *part = cursor->part;
  g_autofree char *name = copy_text (take_string (cursor));
  g_autofree Key *key = g_new0 (Key, 1);

  key->type = take32 (cursor);
  key->n = 1;
  if (cursor->bad)
    return fail_truncated (error, part, "metadata");
  if (name == NULL || *name == '\0')
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                 "the name of metadata key %u is not text; download the file again",
                 g_hash_table_size (keys));
  if (key->type == VALUE_ARRAY)
    {
      key->array = TRUE;
      key->type = take32 (cursor);
      key->n = take_count (cursor, 1);
    }
  if (key->type >= N_VALUES || key->type == VALUE_ARRAY)
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                 "metadata key '%s' has a value of unknown type %u", name, key->type);
  key->data = part->bytes + cursor->at;
  if (key->type == VALUE_STRING)
    for (guint64 i = 0; i < key->n && !cursor->bad; i++)
      {
        MsGgufString string = take_string (cursor);

        if (!key->array && !cursor->bad)
          key->text = copy_text (string);
      }
  else if (key->n > G_MAXSIZE / 8)
    cursor->bad = TRUE;
  else
    take (cursor, key->n * value_types[key->type].bytes);
  if (cursor->bad)
    {
      g_free (key->text);
      return fail_truncated (error, part, "metadata");
    }
  if (g_hash_table_contains (keys, name))
    {
      g_free (key->text);
      return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path, "metadata key '%s' occurs twice",
                   name);
    }
  g_hash_table_insert (keys, g_steal_pointer (&name), g_steal_pointer (&key));
  return TRUE;
}

static void
type_free (gpointer data)
{
  MsTensorType *type = data;

  g_free ((char *) type->name);
  g_free (type);
}

/* The type's row; for a number without one, a row with a name. */
static const MsTensorType *
type_of (MsGguf *gguf, guint32 number)
{
  const MsTensorType *type = ms_tensor_type (number);
  const char *name = ms_tensor_type_foreign (number);
  MsTensorType *own;

  if (type != NULL || (type = g_hash_table_lookup (gguf->types, GUINT_TO_POINTER (number))) != NULL)
    return type;
  own = g_new0 (MsTensorType, 1);
  own->name = name != NULL ? g_strdup (name) : g_strdup_printf ("number %u", number);
  g_hash_table_insert (gguf->types, GUINT_TO_POINTER (number), own);
  return own;
}

/* Reads the entry of one tensor; `data` still holds the offset. */
static gboolean
parse_tensor (MsGguf *gguf, Cursor *cursor, guint64 *offset, GError **error)
{
  const Part *part = cursor->part;
  g_autofree char *name = copy_text (take_string (cursor));
  g_autofree MsTensor *tensor = g_new0 (MsTensor, 1);
  gsize rows = 1;

  tensor->n_dims = take32 (cursor);
  if (cursor->bad)
    return fail_truncated (error, part, "list of tensors");
  if (name == NULL || *name == '\0')
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                 "the name of tensor %u is not text; download the file again", gguf->tensors->len);
  if (tensor->n_dims < 1 || tensor->n_dims > 4)
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                 "tensor '%s' has %u dimensions, 1 to 4 expected", name, tensor->n_dims);
  for (guint i = 0; i < 4; i++)
    {
      guint64 ne = i < tensor->n_dims ? take64 (cursor) : 1;

      if (!cursor->bad && (ne < 1 || ne > G_MAXINT64))
        return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                     "dimension %u of tensor '%s' is %" G_GUINT64_FORMAT, i, name, ne);
      tensor->ne[i] = (gint64) ne;
      if (i > 0 && !cursor->bad && !g_size_checked_mul (&rows, rows, (gsize) ne))
        return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                     "the dimensions of tensor '%s' are too large", name);
    }
  tensor->number = take32 (cursor);
  *offset = take64 (cursor);
  if (cursor->bad)
    return fail_truncated (error, part, "list of tensors");
  tensor->type = type_of (gguf, tensor->number);
  if (tensor->type->block_values > 0 && tensor->ne[0] % tensor->type->block_values != 0)
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                 "tensor '%s' has rows of %" G_GINT64_FORMAT
                 " values, but %s comes in blocks of %u",
                 name, tensor->ne[0], tensor->type->name, tensor->type->block_values);
  if (!g_size_checked_mul (&tensor->row_size,
                           (gsize) tensor->ne[0] / MAX (tensor->type->block_values, 1),
                           tensor->type->block_bytes)
      || !g_size_checked_mul (&tensor->size, tensor->row_size, rows)
      /* Counts of values fit signed numbers, too. */
      || rows > G_MAXSSIZE / (gsize) tensor->ne[0])
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                 "the dimensions of tensor '%s' are too large", name);
  if (g_hash_table_contains (gguf->by_name, name))
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path, "tensor '%s' occurs twice", name);
  tensor->name = g_steal_pointer (&name);
  g_hash_table_insert (gguf->by_name, (char *) tensor->name, tensor);
  g_ptr_array_add (gguf->tensors, g_steal_pointer (&tensor));
  return TRUE;
}

static int
compare_offsets (gconstpointer a, gconstpointer b)
{
  guint64 p = *(const guint64 *) a, q = *(const guint64 *) b;

  return (p > q) - (p < q);
}

/* Tensors of types whose blocks are not known: up to where the next one begins, or the data ends. */
static void
measure_tensors (MsGguf *gguf, const Part *part, guint first, const guint64 *offsets)
{
  guint n = gguf->tensors->len - first;
  g_autofree guint64 *sorted = g_new (guint64, n + 1);

  memcpy (sorted, offsets, n * sizeof *sorted);
  sorted[n] = part->size - part->data_start;
  qsort (sorted, n, sizeof *sorted, compare_offsets);
  for (guint i = 0; i < n; i++)
    {
      MsTensor *tensor = g_ptr_array_index (gguf->tensors, first + i);
      guint low = 0, high = n; /* the first that begins later */

      while (low < high)
        if (sorted[(low + high) / 2] <= offsets[i])
          low = (low + high) / 2 + 1;
        else
          high = (low + high) / 2;
      if (tensor->type->block_values == 0 && sorted[low] > offsets[i])
        tensor->size = (gsize) (sorted[low] - offsets[i]);
    }
}

/* Places the tensors from number `first` on, whose offsets are given, in the data of the part. */
static gboolean
place_tensors (MsGguf *gguf, const Part *part, guint first, const guint64 *offsets,
               guint32 alignment, GError **error)
{
  for (guint i = first; i < gguf->tensors->len; i++)
    {
      MsTensor *tensor = g_ptr_array_index (gguf->tensors, i);
      guint64 offset = offsets[i - first];

      if (offset % alignment != 0)
        return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                     "the data of tensor '%s' begins at %" G_GUINT64_FORMAT
                     ", no multiple of the alignment %u",
                     tensor->name, offset, alignment);
      if (offset > part->size - part->data_start
          || tensor->size > part->size - part->data_start - offset)
        return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                     "the data of tensor '%s' ends beyond the end of the file (%" G_GSIZE_FORMAT
                     " bytes long); download it again",
                     tensor->name, part->size);
      /* No type packs more than eight values into a byte. */
      if (tensor->type->block_values == 0
          && tensor->ne[0] > (gint64) (tensor->size * 8 / (gsize) ms_tensor_n_rows (tensor)))
        return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                     "tensor '%s' has %" G_GSIZE_FORMAT " bytes, too few for its %" G_GINT64_FORMAT
                     " rows of %" G_GINT64_FORMAT " values",
                     tensor->name, tensor->size, ms_tensor_n_rows (tensor), tensor->ne[0]);
      tensor->data = part->bytes + part->data_start + offset;
    }
  return TRUE;
}

/* Opens one file, adds its tensors, and puts its keys into `keys`. */
static gboolean
add_part (MsGguf *gguf, const char *path, GHashTable *keys, GError **error)
{
  g_autoptr (GError) map_error = NULL;
  g_autofree guint64 *offsets = NULL;
  Part *part = g_new0 (Part, 1);
  Cursor cursor = { .part = part };
  const Key *key;
  const guint8 *magic;
  guint64 n_tensors, n_keys;
  guint32 version, alignment = 32;
  guint first = gguf->tensors->len;
  gsize padding;

  g_ptr_array_add (gguf->parts, part);
  part->path = g_strdup (path);
  if (stat (path, &part->found) != 0)
    return fail (error, MS_COLLECTOR_ERROR_IO, path, "cannot open the model: %s",
                 g_strerror (errno));
  if (!S_ISREG (part->found.st_mode))
    return fail (error, MS_COLLECTOR_ERROR_IO, path, "is no file; give the path of a GGUF file");
  part->file = g_mapped_file_new (path, FALSE, &map_error);
  if (part->file == NULL)
    return fail (error, MS_COLLECTOR_ERROR_IO, path, "cannot open the model: %s",
                 map_error->message);
  part->bytes = (const guint8 *) g_mapped_file_get_contents (part->file);
  part->size = g_mapped_file_get_length (part->file);
  part->guard = ms_guard_add (part->bytes, part->size);

  if (part->size == 0)
    return fail (error, MS_COLLECTOR_ERROR_NOT_GGUF, path, "the file is empty");
  magic = take (&cursor, 4);
  if (magic == NULL || memcmp (magic, "GGUF", 4) != 0)
    return fail (error, MS_COLLECTOR_ERROR_NOT_GGUF, path,
                 "is no GGUF model (it does not begin with GGUF)");
  version = take32 (&cursor);
  if (cursor.bad)
    return fail_truncated (error, part, "header");
  if ((version & 0xffff) == 0 && version != 0)
    return fail (error, MS_COLLECTOR_ERROR_NOT_GGUF, path,
                 "is a big-endian GGUF file; moescope reads little-endian ones");
  if (version != 2 && version != 3)
    return fail (error, MS_COLLECTOR_ERROR_NOT_GGUF, path,
                 "is GGUF version %u; moescope reads versions 2 and 3", version);
  n_tensors = take_count (&cursor, 8 + 4 + 8 + 4 + 8);
  n_keys = take_count (&cursor, 8 + 4 + 1);
  if (cursor.bad || n_tensors > G_MAXINT || n_keys > G_MAXINT)
    return fail_truncated (error, part, "header");

  for (guint64 i = 0; i < n_keys; i++)
    if (!parse_key (&cursor, keys, error))
      return FALSE;
  key = g_hash_table_lookup (keys, "general.alignment");
  if (key != NULL)
    alignment = key->type == VALUE_U32 && !key->array ? load32 (key->data) : 0;
  if (alignment < 8 || (alignment & (alignment - 1)) != 0)
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, path,
                 "general.alignment is not a power of two of at least 8");

  offsets = g_new (guint64, n_tensors + 1);
  for (guint64 i = 0; i < n_tensors; i++)
    if (!parse_tensor (gguf, &cursor, &offsets[i], error))
      return FALSE;
  padding = (alignment - cursor.at % alignment) % alignment;
  if (n_tensors > 0 && take (&cursor, padding) == NULL)
    return fail_truncated (error, part, "list of tensors");
  part->data_start = cursor.at;
  measure_tensors (gguf, part, first, offsets);
  return place_tensors (gguf, part, first, offsets, alignment, error);
}

void
ms_gguf_close (MsGguf *gguf)
{
  if (gguf == NULL)
    return;
  g_hash_table_unref (gguf->by_name);
  g_ptr_array_unref (gguf->tensors);
  g_hash_table_unref (gguf->types);
  g_hash_table_unref (gguf->keys);
  g_ptr_array_unref (gguf->parts);
  g_free (gguf);
}

gboolean
ms_gguf_check (const MsGguf *gguf, GError **error)
{
  for (guint i = 0; i < gguf->parts->len; i++)
    {
      const Part *part = g_ptr_array_index (gguf->parts, i);
      const struct stat *was = &part->found;
      struct stat is;

      /* Another file in its place, or none, changes nothing for the one that is open. */
      if (!ms_guard_is_cut (part->guard)
          && (stat (part->path, &is) != 0 || is.st_ino != was->st_ino || is.st_dev != was->st_dev
              || (is.st_size == was->st_size && is.st_mtim.tv_sec == was->st_mtim.tv_sec
                  && is.st_mtim.tv_nsec == was->st_mtim.tv_nsec)))
        continue;
      return fail (error, MS_COLLECTOR_ERROR_CORRUPT, part->path,
                   "the file was changed or cut while it was read (%" G_GSIZE_FORMAT
                   " bytes when it was opened); wait until it is whole, then run the command again",
                   part->size);
    }
  return TRUE;
}

guint
ms_gguf_n_parts (const MsGguf *gguf)
{
  return gguf->parts->len;
}

gint64
ms_gguf_bytes (const MsGguf *gguf)
{
  gint64 bytes = 0;

  for (guint i = 0; i < gguf->parts->len; i++)
    bytes += (gint64) ((const Part *) g_ptr_array_index (gguf->parts, i))->size;
  return bytes;
}

char *
ms_gguf_fingerprint (const MsGguf *gguf)
{
  const gsize sample = 4096;
  XXH64_state_t *state = XXH64_createState ();
  guint64 hash;

  XXH64_reset (state, 0);
  for (guint i = 0; i < gguf->parts->len; i++)
    {
      const Part *part = g_ptr_array_index (gguf->parts, i);

      XXH64_update (state, part->bytes, part->data_start);
      /* The samples lie far apart: nothing around them is to be read. */
      madvise ((gpointer) part->bytes, part->size, MADV_RANDOM);
    }
  for (guint i = 0; i < gguf->tensors->len; i++)
    {
      const MsTensor *tensor = g_ptr_array_index (gguf->tensors, i);
      gsize n = MIN (sample, tensor->size);

      XXH64_update (state, tensor->data, n);
      XXH64_update (state, tensor->data + (tensor->size - n) / 2, n);
      XXH64_update (state, tensor->data + (tensor->size - n), n);
    }
  for (guint i = 0; i < gguf->parts->len; i++)
    {
      const Part *part = g_ptr_array_index (gguf->parts, i);

      madvise ((gpointer) part->bytes, part->size, MADV_NORMAL);
    }
  hash = XXH64_digest (state);
  XXH64_freeState (state);
  return g_strdup_printf ("%016" G_GINT64_MODIFIER "x", hash);
}

/* --- Metadata --------------------------------------------------------------------------------- */

const char *
ms_gguf_path (const MsGguf *gguf)
{
  return ((const Part *) g_ptr_array_index (gguf->parts, 0))->path;
}

static gboolean
fail_type (const MsGguf *gguf, const char *name, const Key *key, const char *wanted, GError **error)
{
  return fail (error, MS_COLLECTOR_ERROR_CORRUPT, ms_gguf_path (gguf),
               "metadata key '%s' is of type %s%s, %s expected", name,
               key->array ? "array of " : "", value_types[key->type].name, wanted);
}

/* *key is NULL when it is absent and may be. */
static gboolean
find_key (const MsGguf *gguf, const char *name, MsKeyNeed need, gboolean array, const char *wanted,
          const Key **key, GError **error)
{
  *key = g_hash_table_lookup (gguf->keys, name);
  if (*key == NULL)
    return need == MS_KEY_OPTIONAL
           || fail (error, MS_COLLECTOR_ERROR_MISSING, ms_gguf_path (gguf),
                    "metadata key '%s' is missing; the file cannot be run without it", name);
  return (*key)->array == array || fail_type (gguf, name, *key, wanted, error);
}

/* Value i as an integer in least..most. */
static gboolean
integer_at (const MsGguf *gguf, const char *name, const Key *key, gsize i, gint64 least,
            gint64 most, gint64 *value, GError **error)
{
  gint64 number;

  switch (key->type)
    {
    case VALUE_U8:
      number = key->data[i];
      break;
    case VALUE_I8:
      number = (gint8) key->data[i];
      break;
    case VALUE_U16:
      number = load16 (key->data + 2 * i);
      break;
    case VALUE_I16:
      number = (gint16) load16 (key->data + 2 * i);
      break;
    case VALUE_U32:
      number = load32 (key->data + 4 * i);
      break;
    case VALUE_I32:
      number = (gint32) load32 (key->data + 4 * i);
      break;
    case VALUE_I64:
      number = (gint64) load64 (key->data + 8 * i);
      break;
    case VALUE_U64:
      number = (gint64) MIN (load64 (key->data + 8 * i), (guint64) G_MAXINT64);
      break;
    default:
      return fail_type (gguf, name, key, "an integer", error);
    }
  if (number < least || number > most)
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, ms_gguf_path (gguf),
                 "metadata key '%s' holds %" G_GINT64_FORMAT ", which is out of range", name,
                 number);
  *value = number;
  return TRUE;
}

/* What no integer getter returns. */
#define ABSENT G_MAXINT64

/* *value stays as it is when the key is absent and may be. */
static gboolean
get_integer (const MsGguf *gguf, const char *name, MsKeyNeed need, gint64 least, gint64 most,
             gint64 *value, GError **error)
{
  const Key *key;

  return find_key (gguf, name, need, FALSE, "an integer", &key, error)
         && (key == NULL || integer_at (gguf, name, key, 0, least, most, value, error));
}

static gboolean
float_at (const Key *key, gsize i, float *value)
{
  guint64 bits;
  guint32 bits32;
  double wide;

  if (key->type == VALUE_F32)
    {
      bits32 = load32 (key->data + 4 * i);
      memcpy (value, &bits32, sizeof *value);
      return TRUE;
    }
  if (key->type != VALUE_F64)
    return FALSE;
  bits = load64 (key->data + 8 * i);
  memcpy (&wide, &bits, sizeof wide);
  *value = (float) wide;
  return TRUE;
}

gboolean
ms_gguf_has (const MsGguf *gguf, const char *key)
{
  return g_hash_table_contains (gguf->keys, key);
}

gboolean
ms_gguf_get_u32 (const MsGguf *gguf, const char *name, MsKeyNeed need, guint32 *value,
                 GError **error)
{
  gint64 number = ABSENT;

  if (!get_integer (gguf, name, need, 0, G_MAXUINT32, &number, error))
    return FALSE;
  if (number != ABSENT)
    *value = (guint32) number;
  return TRUE;
}

gboolean
ms_gguf_get_i32 (const MsGguf *gguf, const char *name, MsKeyNeed need, gint32 *value,
                 GError **error)
{
  gint64 number = ABSENT;

  if (!get_integer (gguf, name, need, G_MININT32, G_MAXINT32, &number, error))
    return FALSE;
  if (number != ABSENT)
    *value = (gint32) number;
  return TRUE;
}

gboolean
ms_gguf_get_u64 (const MsGguf *gguf, const char *name, MsKeyNeed need, guint64 *value,
                 GError **error)
{
  gint64 number = ABSENT;

  if (!get_integer (gguf, name, need, 0, ABSENT - 1, &number, error))
    return FALSE;
  if (number != ABSENT)
    *value = (guint64) number;
  return TRUE;
}

gboolean
ms_gguf_get_float (const MsGguf *gguf, const char *name, MsKeyNeed need, float *value,
                   GError **error)
{
  const Key *key;
  float number;

  if (!find_key (gguf, name, need, FALSE, "a number", &key, error))
    return FALSE;
  if (key == NULL)
    return TRUE;
  if (!float_at (key, 0, &number))
    return fail_type (gguf, name, key, "a float", error);
  if (!isfinite (number))
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, ms_gguf_path (gguf),
                 "metadata key '%s' is not a finite number", name);
  *value = number;
  return TRUE;
}

gboolean
ms_gguf_get_bool (const MsGguf *gguf, const char *name, MsKeyNeed need, gboolean *value,
                  GError **error)
{
  const Key *key;

  if (!find_key (gguf, name, need, FALSE, "a truth value", &key, error))
    return FALSE;
  if (key == NULL)
    return TRUE;
  if (key->type != VALUE_BOOL)
    return fail_type (gguf, name, key, "bool", error);
  *value = key->data[0] != 0;
  return TRUE;
}

gboolean
ms_gguf_get_string (const MsGguf *gguf, const char *name, MsKeyNeed need, const char **value,
                    GError **error)
{
  const Key *key;

  if (!find_key (gguf, name, need, FALSE, "string", &key, error))
    return FALSE;
  if (key == NULL)
    return TRUE;
  if (key->type != VALUE_STRING)
    return fail_type (gguf, name, key, "string", error);
  if (key->text == NULL)
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, ms_gguf_path (gguf),
                 "metadata key '%s' is not UTF-8 text", name);
  *value = key->text;
  return TRUE;
}

gboolean
ms_gguf_get_ints (const MsGguf *gguf, const char *name, MsKeyNeed need, gint32 **values, gsize *n,
                  GError **error)
{
  g_autofree gint32 *numbers = NULL;
  const Key *key;

  if (!find_key (gguf, name, need, TRUE, "array of integers", &key, error))
    return FALSE;
  if (key == NULL)
    return TRUE;
  numbers = g_new (gint32, key->n + 1);
  for (gsize i = 0; i < key->n; i++)
    {
      gint64 number = 0;

      if (!integer_at (gguf, name, key, i, G_MININT32, G_MAXINT32, &number, error))
        return FALSE;
      numbers[i] = (gint32) number;
    }
  *values = g_steal_pointer (&numbers);
  *n = key->n;
  return TRUE;
}

gboolean
ms_gguf_get_floats (const MsGguf *gguf, const char *name, MsKeyNeed need, float **values, gsize *n,
                    GError **error)
{
  g_autofree float *numbers = NULL;
  const Key *key;

  if (!find_key (gguf, name, need, TRUE, "array of floats", &key, error))
    return FALSE;
  if (key == NULL)
    return TRUE;
  numbers = g_new (float, key->n + 1);
  for (gsize i = 0; i < key->n; i++)
    if (!float_at (key, i, &numbers[i]))
      return fail_type (gguf, name, key, "array of floats", error);
  *values = g_steal_pointer (&numbers);
  *n = key->n;
  return TRUE;
}

gboolean
ms_gguf_get_strings (const MsGguf *gguf, const char *name, MsKeyNeed need, MsGgufString **values,
                     gsize *n, GError **error)
{
  const Key *key;
  const guint8 *at;

  if (!find_key (gguf, name, need, TRUE, "array of strings", &key, error))
    return FALSE;
  if (key == NULL)
    return TRUE;
  if (key->type != VALUE_STRING)
    return fail_type (gguf, name, key, "array of strings", error);
  *values = g_new (MsGgufString, key->n + 1);
  *n = key->n;
  at = key->data;
  for (gsize i = 0; i < key->n; i++)
    {
      gsize length = load64 (at);

      (*values)[i] = (MsGgufString){ (const char *) at + 8, length };
      at += 8 + length;
    }
  return TRUE;
}

gboolean
ms_gguf_get_per_layer (const MsGguf *gguf, const char *name, MsKeyNeed need, guint n,
                       gint32 *values, GError **error)
{
  const Key *key = g_hash_table_lookup (gguf->keys, name);
  g_autofree gint32 *array = NULL;
  gsize length = 0;
  gint32 one;

  if (key != NULL && key->array && key->type == VALUE_BOOL && key->n >= n)
    {
      for (guint i = 0; i < n; i++)
        values[i] = key->data[i] != 0;
      return TRUE;
    }
  if (key == NULL || key->array)
    {
      if (!ms_gguf_get_ints (gguf, name, need, &array, &length, error))
        return FALSE;
      if (key == NULL)
        return TRUE;
      if (length < n)
        return fail (error, MS_COLLECTOR_ERROR_CORRUPT, ms_gguf_path (gguf),
                     "metadata key '%s' has %" G_GSIZE_FORMAT " values for %u layers", name, length,
                     n);
      memcpy (values, array, n * sizeof *values);
      return TRUE;
    }
  if (!ms_gguf_get_i32 (gguf, name, need, &one, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    values[i] = one;
  return TRUE;
}

/* --- Split files ------------------------------------------------------------------------------ */

/* "dir/NAME-00001-of-00003.gguf" -> "dir/NAME"; NULL when `path` is not named so. */
static char *
split_prefix (const char *path, guint32 number, guint32 count)
{
  g_autofree char *ending = g_strdup_printf ("-%05u-of-%05u.gguf", number, count);

  return g_str_has_suffix (path, ending) ? g_strndup (path, strlen (path) - strlen (ending)) : NULL;
}

static gboolean
add_other_parts (MsGguf *gguf, const char *path, GError **error)
{
  guint32 number = 0, count = 0, n_tensors = 0;
  g_autofree char *prefix = NULL;

  if (!ms_gguf_get_u32 (gguf, "split.count", MS_KEY_OPTIONAL, &count, error)
      || !ms_gguf_get_u32 (gguf, "split.no", MS_KEY_OPTIONAL, &number, error)
      || !ms_gguf_get_u32 (gguf, "split.tensors.count", MS_KEY_OPTIONAL, &n_tensors, error))
    return FALSE;
  if (count <= 1)
    return TRUE;
  if (number >= count)
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, path, "is part %u of %u, says its metadata",
                 number + 1, count);
  prefix = split_prefix (path, number + 1, count);
  if (number != 0)
    return fail (error, MS_COLLECTOR_ERROR_MISSING, path,
                 "is part %u of %u; give the first part%s%s%s", number + 1, count,
                 prefix ? ", " : "", prefix ? prefix : "", prefix ? "-00001-of-..." : "");
  if (prefix == NULL)
    return fail (
        error, MS_COLLECTOR_ERROR_MISSING, path,
        "is the first of %u parts, but its name does not end in -00001-of-%05u.gguf, so the "
        "others cannot be found; give all parts their original names",
        count, count);
  for (guint i = 1; i < count; i++)
    {
      g_autofree char *name = g_strdup_printf ("%s-%05u-of-%05u.gguf", prefix, i + 1, count);
      g_autoptr (GHashTable) keys
          = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, key_free);
      const Key *key;
      gint64 split_no;

      if (!g_file_test (name, G_FILE_TEST_EXISTS))
        return fail (error, MS_COLLECTOR_ERROR_MISSING, path,
                     "part %u of %u is missing: put %s beside it", i + 1, count, name);
      if (!add_part (gguf, name, keys, error))
        return FALSE;
      key = g_hash_table_lookup (keys, "split.no");
      if (key == NULL || key->array
          || !integer_at (gguf, "split.no", key, 0, i, i, &split_no, NULL))
        return fail (error, MS_COLLECTOR_ERROR_CORRUPT, name, "is not part %u of %u of this model",
                     i + 1, count);
    }
  if (n_tensors != 0 && n_tensors != gguf->tensors->len)
    return fail (error, MS_COLLECTOR_ERROR_CORRUPT, path,
                 "its %u parts hold %u tensors, %u expected; the parts do not belong together",
                 count, gguf->tensors->len, n_tensors);
  return TRUE;
}

MsGguf *
ms_gguf_open (const char *path, GError **error)
{
  g_autoptr (MsGguf) gguf = g_new0 (MsGguf, 1);

  gguf->parts = g_ptr_array_new_with_free_func (part_free);
  gguf->keys = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, key_free);
  gguf->tensors = g_ptr_array_new_with_free_func (tensor_free);
  gguf->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  gguf->types = g_hash_table_new_full (NULL, NULL, NULL, type_free);
  if (!add_part (gguf, path, gguf->keys, error) || !add_other_parts (gguf, path, error))
    return NULL;
  return g_steal_pointer (&gguf);
}

/* --- Tensors ---------------------------------------------------------------------------------- */

guint
ms_gguf_n_tensors (const MsGguf *gguf)
{
  return gguf->tensors->len;
}

const MsTensor *
ms_gguf_tensor (const MsGguf *gguf, guint index)
{
  g_return_val_if_fail (index < gguf->tensors->len, NULL);
  return g_ptr_array_index (gguf->tensors, index);
}

const MsTensor *
ms_gguf_find (const MsGguf *gguf, const char *name)
{
  return g_hash_table_lookup (gguf->by_name, name);
}

gboolean
ms_gguf_want (const MsGguf *gguf, const char *name, gint64 ne0, gint64 ne1, gint64 ne2,
              const MsTensor **tensor, GError **error)
{
  const gint64 wanted[4] = { ne0, ne1, ne2, 1 };
  const MsTensor *found = ms_gguf_find (gguf, name);

  *tensor = NULL;
  if (found == NULL)
    return TRUE;
  for (guint i = 0; i < 4; i++)
    if (wanted[i] != 0 && found->ne[i] != wanted[i])
      return fail (error, MS_COLLECTOR_ERROR_CORRUPT, ms_gguf_path (gguf),
                   "tensor %s has the shape %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                   " x %" G_GINT64_FORMAT ", but %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                   " x %" G_GINT64_FORMAT " follows from the metadata (0: any)",
                   name, found->ne[0], found->ne[1], found->ne[2], ne0, ne1, ne2);
  if (found->type->to_float == NULL)
    {
      guint n = 0;

      for (guint i = 0; i < gguf->tensors->len; i++)
        n += ms_gguf_tensor (gguf, i)->type == found->type;
      return fail (error, MS_COLLECTOR_ERROR_UNSUPPORTED, ms_gguf_path (gguf),
                   "tensors of type %s cannot be read: %u of %u, for example %s", found->type->name,
                   n, gguf->tensors->len, name);
    }
  *tensor = found;
  return TRUE;
}

const MsTensor *
ms_gguf_need (const MsGguf *gguf, const char *name, gint64 ne0, gint64 ne1, gint64 ne2,
              GError **error)
{
  const MsTensor *tensor;

  if (ms_gguf_want (gguf, name, ne0, ne1, ne2, &tensor, error) && tensor == NULL)
    fail (error, MS_COLLECTOR_ERROR_MISSING, ms_gguf_path (gguf),
          "tensor %s is missing; the model cannot be run without it", name);
  return tensor;
}

gint64
ms_tensor_n_rows (const MsTensor *tensor)
{
  return tensor->ne[1] * tensor->ne[2] * tensor->ne[3];
}

void
ms_tensor_to_float (const MsTensor *tensor, gint64 first_row, gint64 n_rows, float *out)
{
  g_return_if_fail (tensor->type->to_float != NULL);
  g_return_if_fail (first_row >= 0 && n_rows >= 0
                    && n_rows <= ms_tensor_n_rows (tensor) - first_row);
  tensor->type->to_float (tensor->data + (gsize) first_row * tensor->row_size,
                          (gsize) (n_rows * tensor->ne[0]), out);
}
