/* npy and safetensors: a head in text, then the elements.  Shapes and offsets come from outside: an array is only made
 * when all its elements lie within the file. */
#include "arrays-private.h"

#include "import-private.h"
#include "json-slice-private.h"

#include <math.h>
#include <string.h>

#define MOST_HEAD (64 << 20)

void
ms_array_free (MsArray *array)
{
  if (array == NULL)
    return;
  g_free (array->name);
  g_clear_pointer (&array->bytes, g_bytes_unref);
  g_free (array);
}

/* --- Elements -------------------------------------------------------------------------------- */

static guint64
read_bits (const MsArray *array, gint64 offset)
{
  const guint8 *at = array->data + offset * (gint64) array->size;
  guint64 bits = 0;

  for (guint i = 0; i < array->size; i++)
    bits |= (guint64) at[array->swapped ? array->size - 1 - i : i] << (8 * i);
  return bits;
}

static double
half_to_double (guint16 half)
{
  int exponent = half >> 10 & 31, mantissa = half & 1023;
  double value = exponent == 0    ? ldexp (mantissa, -24)
                 : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                  : ldexp (1024 + mantissa, exponent - 25);

  return half & 0x8000 ? -value : value;
}

gint64
ms_array_whole (const MsArray *array, gint64 offset)
{
  guint64 bits = read_bits (array, offset);
  guint unused = 64 - 8 * array->size;

  if (array->element == MS_ELEMENT_SIGNED)
    return (gint64) (bits << unused) >> unused;
  return (gint64) MIN (bits, (guint64) G_MAXINT64);
}

double
ms_array_real (const MsArray *array, gint64 offset)
{
  guint64 bits;
  guint32 word;
  float single;
  double value;

  if (array->element == MS_ELEMENT_SIGNED || array->element == MS_ELEMENT_UNSIGNED)
    return (double) ms_array_whole (array, offset);
  bits = read_bits (array, offset);
  if (array->size == 8)
    {
      memcpy (&value, &bits, sizeof value);
      return value;
    }
  if (array->size == 2 && array->element == MS_ELEMENT_FLOAT)
    return half_to_double ((guint16) bits);
  word = array->element == MS_ELEMENT_BFLOAT ? (guint32) bits << 16 : (guint32) bits;
  memcpy (&single, &word, sizeof single);
  return (double) single;
}

/* Sets strides and the number of elements; FALSE when the array is larger than `room` bytes. */
static gboolean
lay_out (MsArray *array, gboolean columns_first, guint64 room)
{
  guint64 n = 1;

  for (guint i = 0; i < array->n_dims; i++)
    {
      guint d = columns_first ? i : array->n_dims - 1 - i;

      array->strides[d] = (gint64) n;
      if (array->shape[d] != 0 && n > room / array->size / array->shape[d])
        return FALSE;
      n *= array->shape[d];
    }
  array->n = n;
  return TRUE;
}

/* --- npy ------------------------------------------------------------------------------------- */

/* "<i4": order, kind, bytes. */
static gboolean
take_type (MsArray *array, const char *type)
{
  static const char kinds[] = "iufb";
  const char *kind = type[0] != '\0' && type[1] != '\0' ? strchr (kinds, type[1]) : NULL;

  if (kind == NULL || strchr ("<>|=", type[0]) == NULL)
    return FALSE;
  array->size = (guint) g_ascii_strtoull (type + 2, NULL, 10);
  array->swapped = type[0] == '>';
  array->element = *kind == 'i'   ? MS_ELEMENT_SIGNED
                   : *kind == 'f' ? MS_ELEMENT_FLOAT
                                  : MS_ELEMENT_UNSIGNED;
  return array->size == 1 || array->size == 2 || array->size == 4 || array->size == 8;
}

/* The text behind 'KEY': in the head, NULL when it is not there. */
static const char *
find_key (const char *head, const char *key)
{
  const char *at = strstr (head, key);

  at = at == NULL ? NULL : strchr (at, ':');
  return at == NULL ? NULL : at + 1 + strspn (at + 1, " ");
}

static gboolean
take_head (MsArray *array, const char *head, gboolean *columns_first)
{
  const char *type = find_key (head, "'descr'"), *order = find_key (head, "'fortran_order'");
  const char *shape = find_key (head, "'shape'");
  g_autofree char *word = NULL;

  if (type == NULL || order == NULL || shape == NULL || *type != '\'' || *shape != '(')
    return FALSE;
  word = g_strndup (type + 1, strcspn (type + 1, "'"));
  *columns_first = g_str_has_prefix (order, "True");
  for (shape++; *shape != ')'; shape += strspn (shape, ", "))
    {
      char *end;

      if (array->n_dims == MS_ARRAY_DIMS)
        return FALSE;
      array->shape[array->n_dims++] = g_ascii_strtoull (shape, &end, 10);
      if (end == shape)
        return FALSE;
      shape = end;
    }
  return take_type (array, word);
}

MsArray *
ms_array_from_npy (const char *file, const char *name, GBytes *bytes, GError **error)
{
  g_autoptr (MsArray) array = g_new0 (MsArray, 1);
  g_autofree char *head = NULL;
  gsize n;
  const guint8 *data = g_bytes_get_data (bytes, &n);
  gsize begin, length;
  gboolean columns_first = FALSE;

  array->name = g_strdup (name);
  if (n < 12 || memcmp (data, "\x93NUMPY", 6) != 0)
    {
      ms_import_fail (error, file, 0, "'%s' is no .npy array", name);
      return NULL;
    }
  begin = data[6] == 1 ? 10 : 12;
  length = data[8] | (gsize) data[9] << 8
           | (data[6] == 1 ? 0 : (gsize) data[10] << 16 | (gsize) data[11] << 24);
  if (length > n - begin)
    {
      ms_import_fail (error, file, 0, "the array '%s' ends within its head", name);
      return NULL;
    }
  head = g_strndup ((const char *) data + begin, length);
  if (!take_head (array, head, &columns_first))
    {
      g_autofree char *clean = ms_text_printable (head, -1);

      ms_import_fail (error, file, 0,
                      "the array '%s' is none of numbers that is read: whole numbers, bool, or "
                      "floats of up to 8 bytes, of at most %d axes (its head: %.120s)",
                      name, MS_ARRAY_DIMS, clean);
      return NULL;
    }
  if (!lay_out (array, columns_first, n - begin - length))
    {
      ms_import_fail (error, file, 0, "the array '%s' ends too early", name);
      return NULL;
    }
  array->data = data + begin + length;
  array->bytes = g_bytes_ref (bytes);
  return g_steal_pointer (&array);
}

/* --- safetensors ----------------------------------------------------------------------------- */

static const struct
{
  const char *name;
  MsElement element;
  guint size;
} types[] = {
  { "I64", MS_ELEMENT_SIGNED, 8 },    { "I32", MS_ELEMENT_SIGNED, 4 },
  { "I16", MS_ELEMENT_SIGNED, 2 },    { "I8", MS_ELEMENT_SIGNED, 1 },
  { "U64", MS_ELEMENT_UNSIGNED, 8 },  { "U32", MS_ELEMENT_UNSIGNED, 4 },
  { "U16", MS_ELEMENT_UNSIGNED, 2 },  { "U8", MS_ELEMENT_UNSIGNED, 1 },
  { "BOOL", MS_ELEMENT_UNSIGNED, 1 }, { "F64", MS_ELEMENT_FLOAT, 8 },
  { "F32", MS_ELEMENT_FLOAT, 4 },     { "F16", MS_ELEMENT_FLOAT, 2 },
  { "BF16", MS_ELEMENT_BFLOAT, 2 },
};

/* The numbers of a JSON list into numbers (most); how many, or -1. */
static int
read_numbers (const char *list, guint64 *numbers, guint most)
{
  MsJsonSlice value;
  guint n = 0;

  while (ms_json_slice_next (&list, NULL, &value))
    {
      if (n == most || !g_ascii_isdigit (*value.text))
        return -1;
      numbers[n++] = g_ascii_strtoull (value.text, NULL, 10);
    }
  return (int) n;
}

/* One tensor of the head; NULL without *error when its type is none of numbers that are read. */
static MsArray *
make_tensor (const char *file, const char *name, const char *about, GBytes *bytes, gsize begin,
             GError **error)
{
  g_autoptr (MsArray) array = g_new0 (MsArray, 1);
  MsJsonSlice type, shape, offsets;
  guint64 ends[2];
  gsize room = g_bytes_get_size (bytes) - begin;
  int n_dims;
  guint t = 0;

  array->name = g_strdup (name);
  if (!ms_json_slice_member (about, "dtype", &type)
      || !ms_json_slice_member (about, "shape", &shape)
      || !ms_json_slice_member (about, "data_offsets", &offsets) || *shape.text != '['
      || *offsets.text != '[' || read_numbers (offsets.text, ends, 2) != 2
      || (n_dims = read_numbers (shape.text, array->shape, MS_ARRAY_DIMS)) < 0)
    {
      ms_import_fail (error, file, 0, "the head says of '%s' no dtype, shape and data_offsets",
                      name);
      return NULL;
    }
  array->n_dims = (guint) n_dims;
  while (t < G_N_ELEMENTS (types)
         && !(type.length == strlen (types[t].name) + 2
              && memcmp (type.text + 1, types[t].name, type.length - 2) == 0))
    t++;
  if (t == G_N_ELEMENTS (types))
    return NULL;
  array->element = types[t].element;
  array->size = types[t].size;
  if (ends[1] > room || ends[0] > ends[1] || !lay_out (array, FALSE, ends[1] - ends[0]))
    {
      ms_import_fail (error, file, 0, "the array '%s' ends too early", name);
      return NULL;
    }
  array->data = (const guint8 *) g_bytes_get_data (bytes, NULL) + begin + ends[0];
  array->bytes = g_bytes_ref (bytes);
  return g_steal_pointer (&array);
}

GPtrArray *
ms_arrays_from_safetensors (const char *file, GBytes *bytes, GError **error)
{
  g_autoptr (GPtrArray) arrays = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_array_free);
  g_autofree char *head = NULL;
  const char *at, *objection;
  MsJsonSlice name, about;
  guint64 length = 0;
  gsize n;
  const guint8 *data = g_bytes_get_data (bytes, &n);

  for (guint i = 0; n >= 8 && i < 8; i++)
    length |= (guint64) data[i] << (8 * i);
  if (n < 8 || length > n - 8 || length > MOST_HEAD)
    {
      ms_import_fail (error, file, 0, "the safetensors file ends within its head");
      return NULL;
    }
  head = g_strndup ((const char *) data + 8, length);
  objection = ms_json_objection (head, strlen (head), 8);
  if (objection != NULL || *head != '{')
    {
      ms_import_fail (error, file, 0, "the head is no JSON (%s)",
                      objection != NULL ? objection : "it is no object");
      return NULL;
    }
  for (at = head; ms_json_slice_next (&at, &name, &about);)
    {
      g_autoptr (GString) word = g_string_new (NULL);
      GError *failure = NULL;
      MsArray *array;

      ms_json_slice_append (word, &(MsJsonSlice){ name.text - 1, name.length + 2 });
      if (strcmp (word->str, "__metadata__") == 0 || *about.text != '{')
        continue;
      array = make_tensor (file, word->str, about.text, bytes, 8 + length, &failure);
      if (failure != NULL)
        {
          g_propagate_error (error, failure);
          return NULL;
        }
      if (array != NULL)
        g_ptr_array_add (arrays, array);
    }
  return g_steal_pointer (&arrays);
}
