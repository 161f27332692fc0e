/* The values in a torch.save file: a zip with a pickle and the raw storages of its tensors.
 *
 * A pickle is a program for a small stack machine that can name any function of Python.  Here nothing is run: the only
 * names that mean something are those with which torch writes a tensor, and an ordered dict; any other is refused by
 * its name.  Loops are impossible (the machine has no jumps), stack and memo are bounded by the length of the pickle, and
 * what is in something is complete, so nothing contains itself and nesting is bounded. */
#include "arrays-private.h"
#include "import-private.h"

#include <string.h>

#define MOST_DEPTH    32
#define MOST_UNPACKED (G_GUINT64_CONSTANT (1) << 34)

void
ms_pickle_unref (MsPickle *value)
{
  if (value == NULL || --value->refs > 0)
    return;
  g_free (value->text);
  g_clear_pointer (&value->items, g_ptr_array_unref);
  ms_array_free (value->array);
  g_free (value);
}

static void
value_free (gpointer value)
{
  ms_pickle_unref (value);
}

static MsPickle *
value_ref (MsPickle *value)
{
  value->refs++;
  return value;
}

static MsPickle *
value_new (MsPickleKind kind)
{
  MsPickle *value = g_new0 (MsPickle, 1);

  value->refs = 1;
  value->kind = kind;
  if (kind == MS_PICKLE_LIST || kind == MS_PICKLE_DICT)
    value->items = g_ptr_array_new_with_free_func (value_free);
  return value;
}

const MsPickle *
ms_pickle_get (const MsPickle *dict, const char *key)
{
  for (guint i = 0; dict->kind == MS_PICKLE_DICT && i + 1 < dict->items->len; i += 2)
    {
      const MsPickle *name = dict->items->pdata[i];

      if (name->kind == MS_PICKLE_TEXT && strcmp (name->text, key) == 0)
        return dict->items->pdata[i + 1];
    }
  return NULL;
}

typedef struct
{
  const char *file;
  const guint8 *at, *end;
  GPtrArray *stack;    /* of MsPickle; NULL = a mark */
  GHashTable *memo;    /* number -> MsPickle */
  GPtrArray *storages; /* of MsZipPart: the archive */
  GError **error;
} Machine;

static gboolean G_GNUC_PRINTF (2, 3) machine_fail (Machine *m, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  return ms_import_fail (m->error, m->file, 0, "%s", message);
}

/* n bytes of the program; NULL with *error when it ends before. */
static const guint8 *
take_bytes (Machine *m, guint64 n)
{
  const guint8 *at = m->at;

  if (n > (guint64) (m->end - m->at))
    {
      machine_fail (m, "the pickle ends too early");
      return NULL;
    }
  m->at += n;
  return at;
}

static gboolean
take_number (Machine *m, guint bytes, guint64 *number)
{
  const guint8 *at = take_bytes (m, bytes);

  *number = 0;
  for (guint i = 0; at != NULL && i < bytes; i++)
    *number |= (guint64) at[i] << (8 * i);
  return at != NULL;
}

static gboolean
push (Machine *m, MsPickle *value)
{
  g_ptr_array_add (m->stack, value);
  return TRUE;
}

static gboolean
push_whole (Machine *m, gint64 whole)
{
  MsPickle *value = value_new (MS_PICKLE_INT);

  value->whole = whole;
  return push (m, value);
}

/* The value at the top, which is no mark. */
static MsPickle *
top (Machine *m)
{
  MsPickle *value = m->stack->len > 0 ? m->stack->pdata[m->stack->len - 1] : NULL;

  if (value == NULL)
    machine_fail (m, "the pickle takes a value where there is none");
  return value;
}

static MsPickle *
pop (Machine *m)
{
  MsPickle *value = top (m);

  if (value != NULL)
    g_ptr_array_steal_index (m->stack, m->stack->len - 1);
  return value;
}

/* The values above the last mark, which goes with them; NULL with *error without a mark. */
static GPtrArray *
pop_marked (Machine *m)
{
  GPtrArray *items;
  guint mark = m->stack->len;

  while (mark > 0 && m->stack->pdata[mark - 1] != NULL)
    mark--;
  if (mark == 0)
    {
      machine_fail (m, "the pickle takes a list where there is none");
      return NULL;
    }
  items = g_ptr_array_new_with_free_func (value_free);
  for (guint i = mark; i < m->stack->len; i++)
    g_ptr_array_add (items, value_ref (m->stack->pdata[i]));
  g_ptr_array_set_size (m->stack, (int) mark);
  g_ptr_array_steal_index (m->stack, mark - 1);
  return items;
}

/* Puts an item, which is taken over, into a container that is not yet in another. */
static gboolean
put (Machine *m, MsPickle *container, MsPickle *item)
{
  gboolean good = !container->contained && item != container && item->depth < MOST_DEPTH;

  container->depth = MAX (container->depth, item->depth + 1);
  item->contained = TRUE;
  g_ptr_array_add (container->items, item);
  return good || machine_fail (m, "the pickle nests its values in a way that torch does not write");
}

/* Takes the n topmost values, in order.  NULL with *error when there are fewer. */
static GPtrArray *
pop_some (Machine *m, guint n)
{
  GPtrArray *items = g_ptr_array_new_with_free_func (value_free);

  for (guint i = 0; i < n; i++)
    {
      MsPickle *item = pop (m);

      if (item == NULL)
        {
          g_ptr_array_unref (items);
          return NULL;
        }
      g_ptr_array_insert (items, 0, item);
    }
  return items;
}

/* A tuple or list of the values, which are taken over. */
static gboolean
push_items (Machine *m, GPtrArray *items)
{
  MsPickle *list = items != NULL ? value_new (MS_PICKLE_LIST) : NULL;
  gboolean good = items != NULL;

  for (guint i = 0; good && i < items->len; i++)
    good = put (m, list, value_ref (items->pdata[i]));
  if (items != NULL)
    g_ptr_array_unref (items);
  if (good)
    return push (m, list);
  ms_pickle_unref (list);
  return FALSE;
}
/* Adds the values, which are taken over, to the list or dict at the top. */
static gboolean
extend (Machine *m, GPtrArray *items, MsPickleKind kind)
{
  MsPickle *container = items != NULL ? top (m) : NULL;
  gboolean fits = container != NULL && container->kind == kind
                  && (kind != MS_PICKLE_DICT || items->len % 2 == 0);
  gboolean good = fits;

  for (guint i = 0; good && i < items->len; i++)
    good = put (m, container, value_ref (items->pdata[i]));
  if (items != NULL)
    g_ptr_array_unref (items);
  return good
         || (container != NULL && !fits && machine_fail (m, "the pickle adds to what is no list"));
}

/* --- Names ----------------------------------------------------------------------------------- */

static const struct
{
  const char *name;
  MsElement element;
  guint size;
} storages[] = {
  { "torch LongStorage", MS_ELEMENT_SIGNED, 8 },
  { "torch IntStorage", MS_ELEMENT_SIGNED, 4 },
  { "torch ShortStorage", MS_ELEMENT_SIGNED, 2 },
  { "torch CharStorage", MS_ELEMENT_SIGNED, 1 },
  { "torch ByteStorage", MS_ELEMENT_UNSIGNED, 1 },
  { "torch BoolStorage", MS_ELEMENT_UNSIGNED, 1 },
  { "torch DoubleStorage", MS_ELEMENT_FLOAT, 8 },
  { "torch FloatStorage", MS_ELEMENT_FLOAT, 4 },
  { "torch HalfStorage", MS_ELEMENT_FLOAT, 2 },
  { "torch BFloat16Storage", MS_ELEMENT_BFLOAT, 2 },
};

#define REBUILD_TENSOR "torch._utils _rebuild_tensor_v2"
#define ORDERED_DICT   "collections OrderedDict"

static gboolean
push_global (Machine *m, const char *module, const char *name)
{
  g_autofree char *whole = g_strdup_printf ("%s %s", module, name);
  gboolean known = strcmp (whole, REBUILD_TENSOR) == 0 || strcmp (whole, ORDERED_DICT) == 0;
  g_autofree char *clean = NULL;
  MsPickle *value;

  for (guint i = 0; i < G_N_ELEMENTS (storages); i++)
    known = known || strcmp (whole, storages[i].name) == 0;
  if (known)
    {
      value = value_new (MS_PICKLE_GLOBAL);
      value->text = g_steal_pointer (&whole);
      return push (m, value);
    }
  clean = ms_text_printable (whole, -1);
  return machine_fail (m,
                       "the file names '%.100s', which is no plain data: only tensors, lists, "
                       "dicts, numbers and texts are read, and nothing is executed; save these "
                       "with torch.save, or as .npz or safetensors",
                       clean);
}

/* A line of the program, without its end; NULL with *error. */
static char *
take_line (Machine *m)
{
  const guint8 *begin = m->at, *end = memchr (begin, '\n', (gsize) (m->end - begin));

  if (end == NULL)
    {
      machine_fail (m, "the pickle ends too early");
      return NULL;
    }
  m->at = end + 1;
  return g_strndup ((const char *) begin, (gsize) (end - begin));
}

/* ('storage', type, key, place, n) becomes an array of one axis. */
static gboolean
push_storage (Machine *m)
{
  g_autoptr (MsPickle) about = pop (m);
  const MsPickle *type, *key;
  guint t = 0;

  if (about == NULL)
    return FALSE;
  if (about->kind != MS_PICKLE_LIST || about->items->len < 5)
    return machine_fail (m, "the pickle has a storage of an unknown form");
  type = about->items->pdata[1];
  key = about->items->pdata[2];
  while (t < G_N_ELEMENTS (storages)
         && !(type->kind == MS_PICKLE_GLOBAL && strcmp (type->text, storages[t].name) == 0))
    t++;
  if (t == G_N_ELEMENTS (storages) || key->kind != MS_PICKLE_TEXT)
    return machine_fail (m, "the pickle has a storage of an unknown type");
  for (guint i = 0; i < m->storages->len; i++)
    {
      const MsZipPart *part = m->storages->pdata[i];
      g_autofree char *wanted = g_strconcat ("/data/", key->text, NULL);

      if (g_str_has_suffix (part->name, wanted))
        {
          MsPickle *value = value_new (MS_PICKLE_ARRAY);
          gsize n;

          value->array = g_new0 (MsArray, 1);
          value->array->data = g_bytes_get_data (part->bytes, &n);
          value->array->bytes = g_bytes_ref (part->bytes);
          value->array->element = storages[t].element;
          value->array->size = storages[t].size;
          value->array->n = n / storages[t].size;
          return push (m, value);
        }
    }
  return machine_fail (m, "the storage '%.40s' of a tensor is not in the file", key->text);
}

/* A tensor of (storage, offset, sizes, strides, ...): a view whose every element lies in the storage. */
static gboolean
push_tensor (Machine *m, const MsPickle *arguments)
{
  const MsPickle *storage, *offset, *sizes, *strides;
  g_autoptr (MsPickle) value = NULL;
  guint64 last = 0;
  MsArray *array;

  if (arguments->items->len < 4)
    return machine_fail (m, "the pickle has a tensor of an unknown form");
  storage = arguments->items->pdata[0];
  offset = arguments->items->pdata[1];
  sizes = arguments->items->pdata[2];
  strides = arguments->items->pdata[3];
  if (storage->kind != MS_PICKLE_ARRAY || offset->kind != MS_PICKLE_INT || offset->whole < 0
      || sizes->kind != MS_PICKLE_LIST || strides->kind != MS_PICKLE_LIST
      || sizes->items->len != strides->items->len || sizes->items->len > MS_ARRAY_DIMS)
    return machine_fail (m, "the pickle has a tensor of an unknown form");
  value = value_new (MS_PICKLE_ARRAY);
  value->array = array = g_new0 (MsArray, 1);
  *array = *storage->array;
  array->bytes = g_bytes_ref (array->bytes);
  array->n_dims = sizes->items->len;
  array->n = 1;
  for (guint i = 0; i < array->n_dims; i++)
    {
      const MsPickle *size = sizes->items->pdata[i], *stride = strides->items->pdata[i];

      if (size->kind != MS_PICKLE_INT || stride->kind != MS_PICKLE_INT || size->whole < 0
          || stride->whole < 0 || (guint64) size->whole > storage->array->n
          || (guint64) stride->whole > storage->array->n
          || (size->whole > 0 && array->n > G_MAXINT64 / (guint64) size->whole))
        return machine_fail (m, "a tensor reaches beyond its storage");
      array->shape[i] = (guint64) size->whole;
      array->strides[i] = stride->whole;
      array->n *= array->shape[i];
      last += size->whole > 0 ? (guint64) (size->whole - 1) * (guint64) stride->whole : 0;
    }
  if (array->n > 0 && (guint64) offset->whole + last >= storage->array->n)
    return machine_fail (m, "a tensor reaches beyond its storage");
  array->data += offset->whole * (gint64) array->size;
  return push (m, g_steal_pointer (&value));
}

static gboolean
reduce (Machine *m)
{
  g_autoptr (MsPickle) arguments = pop (m);
  g_autoptr (MsPickle) function = arguments != NULL ? pop (m) : NULL;

  if (function == NULL)
    return FALSE;
  if (function->kind == MS_PICKLE_GLOBAL && arguments->kind == MS_PICKLE_LIST)
    {
      if (strcmp (function->text, REBUILD_TENSOR) == 0)
        return push_tensor (m, arguments);
      if (strcmp (function->text, ORDERED_DICT) == 0 && arguments->items->len == 0)
        return push (m, value_new (MS_PICKLE_DICT));
    }
  return machine_fail (m, "the pickle calls what is no tensor; nothing is executed");
}

/* --- Steps ----------------------------------------------------------------------------------- */

static gboolean
remember (Machine *m, guint64 number)
{
  MsPickle *value = top (m);

  if (value == NULL || number > G_MAXUINT32)
    return FALSE;
  g_hash_table_insert (m->memo, GSIZE_TO_POINTER (number), value_ref (value));
  return TRUE;
}

static gboolean
recall (Machine *m, guint64 number)
{
  MsPickle *value = g_hash_table_lookup (m->memo, GSIZE_TO_POINTER (number));

  return value != NULL ? push (m, value_ref (value))
                       : machine_fail (m, "the pickle remembers what it never knew");
}

static gboolean
push_text (Machine *m, guint length_bytes)
{
  guint64 length = 0;
  const guint8 *text = take_number (m, length_bytes, &length) ? take_bytes (m, length) : NULL;
  MsPickle *value;

  if (text == NULL)
    return FALSE;
  value = value_new (MS_PICKLE_TEXT);
  value->text = g_strndup ((const char *) text, length);
  return push (m, value);
}

static gboolean
push_real (Machine *m)
{
  const guint8 *at = take_bytes (m, 8);
  guint64 bits = 0;
  MsPickle *value;

  if (at == NULL)
    return FALSE;
  for (guint i = 0; i < 8; i++)
    bits = bits << 8 | at[i];
  value = value_new (MS_PICKLE_REAL);
  memcpy (&value->real, &bits, sizeof bits);
  return push (m, value);
}

/* A whole number of n bytes with a sign; more than 8 are none that we know. */
static gboolean
push_long (Machine *m)
{
  guint64 n, bits = 0;

  if (!take_number (m, 1, &n))
    return FALSE;
  if (n > 8)
    return machine_fail (m, "the pickle has a whole number of more than 64 bits");
  if (!take_number (m, (guint) n, &bits))
    return FALSE;
  return push_whole (m, n == 0 ? 0 : (gint64) (bits << (64 - 8 * n)) >> (64 - 8 * n));
}

static gboolean
push_named (Machine *m)
{
  g_autofree char *module = take_line (m), *name = module != NULL ? take_line (m) : NULL;

  return name != NULL && push_global (m, module, name);
}

static gboolean
push_named_by_stack (Machine *m)
{
  g_autoptr (MsPickle) name = pop (m);
  g_autoptr (MsPickle) module = name != NULL ? pop (m) : NULL;

  if (module == NULL)
    return FALSE;
  if (name->kind != MS_PICKLE_TEXT || module->kind != MS_PICKLE_TEXT)
    return machine_fail (m, "the pickle has a name that is no text");
  return push_global (m, module->text, name->text);
}

static gboolean
step_more (Machine *m, guint8 code)
{
  guint64 number = 0;

  switch (code)
    {
    case 'J':
      return take_number (m, 4, &number) && push_whole (m, (gint32) (guint32) number);
    case 'K':
      return take_number (m, 1, &number) && push_whole (m, (gint64) number);
    case 'M':
      return take_number (m, 2, &number) && push_whole (m, (gint64) number);
    case 'q':
      return take_number (m, 1, &number) && remember (m, number);
    case 'r':
      return take_number (m, 4, &number) && remember (m, number);
    case 'h':
      return take_number (m, 1, &number) && recall (m, number);
    case 'j':
      return take_number (m, 4, &number) && recall (m, number);
    case 0x80: /* protocol */
      return take_number (m, 1, &number);
    case 0x94:
      return remember (m, g_hash_table_size (m->memo));
    case 0x95: /* length of a frame */
      return take_number (m, 8, &number);
    default:
      return machine_fail (m, "the pickle has a step (0x%02x) that is not read", code);
    }
}

static gboolean
step (Machine *m, guint8 code)
{
  switch (code)
    {
    case '(':
      return push (m, NULL);
    case '}':
      return push (m, value_new (MS_PICKLE_DICT));
    case ']':
    case ')':
      return push (m, value_new (MS_PICKLE_LIST));
    case 'N':
      return push (m, value_new (MS_PICKLE_NONE));
    case 0x88:
    case 0x89:
      return push_whole (m, code == 0x88);
    case 0x85:
    case 0x86:
    case 0x87:
      return push_items (m, pop_some (m, code - 0x84u));
    case 't':
      return push_items (m, pop_marked (m));
    case 'a':
      return extend (m, pop_some (m, 1), MS_PICKLE_LIST);
    case 'e':
      return extend (m, pop_marked (m), MS_PICKLE_LIST);
    case 's':
      return extend (m, pop_some (m, 2), MS_PICKLE_DICT);
    case 'u':
      return extend (m, pop_marked (m), MS_PICKLE_DICT);
    case 'X':
      return push_text (m, 4);
    case 0x8c:
      return push_text (m, 1);
    case 'G':
      return push_real (m);
    case 0x8a:
      return push_long (m);
    case 'c':
      return push_named (m);
    case 0x93:
      return push_named_by_stack (m);
    case 'Q':
      return push_storage (m);
    case 'R':
      return reduce (m);
    default:
      return step_more (m, code);
    }
}

static MsPickle *
run (Machine *m)
{
  while (m->at < m->end)
    {
      guint8 code = *m->at++;

      if (code == '.')
        return pop (m);
      if (!step (m, code))
        return NULL;
    }
  machine_fail (m, "the pickle ends too early");
  return NULL;
}

MsPickle *
ms_torch_read (const char *file, GBytes *bytes, GError **error)
{
  g_autoptr (GPtrArray) parts = ms_zip_read (file, bytes, MOST_UNPACKED, error);
  g_autoptr (GPtrArray) stack = g_ptr_array_new_with_free_func (value_free);
  g_autoptr (GHashTable) memo = g_hash_table_new_full (NULL, NULL, NULL, value_free);

  for (guint i = 0; parts != NULL && i < parts->len; i++)
    {
      const MsZipPart *part = parts->pdata[i];
      Machine machine
          = { .file = file, .stack = stack, .memo = memo, .storages = parts, .error = error };
      gsize n;

      if (!g_str_has_suffix (part->name, "/data.pkl"))
        continue;
      machine.at = g_bytes_get_data (part->bytes, &n);
      machine.end = machine.at + n;
      return run (&machine);
    }
  if (parts != NULL)
    ms_import_fail (error, file, 0,
                    "the archive has no data.pkl: it was not written by torch.save");
  return NULL;
}
