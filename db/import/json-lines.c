/* JSON lines: one object after the other, as loggers and tracers write them; a list of objects, or objects over several
 * lines, are read alike.
 *
 * Each object is looked through strictly before it is read.  Its members are the cells of a row (row-plan.c).
 * Shapes with a meaning of their own: lines of type "meta" tell the geometry, records with "activations" hold a
 * list of rows, records with "top_indices" a list of experts for each of their tokens. */
#include "json-slice-private.h"
#include "row-plan-private.h"

#include <string.h>

#define MOST_BYTES (64 << 20)
#define DEPTH      12

/* Members of Megatron's router traces that say where its sidecars hold more. */
#define SIDECARS "hs_offset", "hs_bytes", "hs_shape", "logit_offset", "logit_bytes", "logit_shape"

typedef struct
{
  MsSource source;
  const MsImportOptions *options;
  MsFileReader *input;
  const char *block; /* bytes read, not yet taken */
  gsize n;
  GString *text; /* the object */
  guint line, first_line;
  gboolean ended, listed; /* the file is one list */
  MsRowPlan *plan;
  MsImportOptions shaped; /* the options with what the shape of the records says */
  GPtrArray *names;       /* of char*: the members that the plan knows, in its order */
  GHashTable *unused;     /* members that no plan knows */
  GString *cells;         /* texts of the row's cells, each with its end */
  GArray *starts;         /* of gsize, into cells */
  GPtrArray *row;         /* of const char*: the cells */
  guint n_records;
  const char *inner; /* in text: where the list of rows goes on; NULL = none */
  char *document;    /* name of the record whose rows are given, NULL = rows name theirs */
  guint n_other;     /* records of other blocks than the decoder */
} JsonSource;

static gboolean G_GNUC_PRINTF (3, 4)
    json_fail (const JsonSource *self, GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  return ms_import_fail (error, self->source.name, self->first_line, "%s", message);
}

/* --- Objects of the file --------------------------------------------------------------------- */

/* The next byte, '\0' at the end of the file. */
static gboolean
next_byte (JsonSource *self, char *byte, GError **error)
{
  *byte = '\0';
  if (self->n == 0 && !self->ended)
    {
      if (!ms_file_reader_read (self->input, &self->block, &self->n, error))
        return FALSE;
      self->ended = self->n == 0;
    }
  if (self->ended)
    return TRUE;
  *byte = *self->block++;
  self->n--;
  self->line += *byte == '\n';
  if (*byte == '\0') /* no JSON: the look through the object says so */
    *byte = '\x01';
  return TRUE;
}

/* Appends the rest of an object whose first byte is in text, as far as brackets and quotes tell. */
static gboolean
read_rest (JsonSource *self, GError **error)
{
  guint depth = 1;
  gboolean quoted = FALSE, escaped = FALSE;

  while (depth > 0)
    {
      char byte;

      if (!next_byte (self, &byte, error))
        return FALSE;
      if (byte == '\0')
        return TRUE;
      if (self->text->len >= MOST_BYTES)
        return json_fail (self, error, "the object is longer than %d bytes", MOST_BYTES);
      g_string_append_c (self->text, byte);
      if (quoted)
        {
          quoted = escaped || byte != '"';
          escaped = !escaped && byte == '\\';
          continue;
        }
      quoted = byte == '"';
      depth += byte == '{' || byte == '[';
      depth -= byte == '}' || byte == ']';
    }
  return TRUE;
}

/* The next object into text; *more = FALSE at the end of the file. */
static gboolean
read_object (JsonSource *self, gboolean *more, GError **error)
{
  char byte = ' ';
  const char *objection;

  g_string_truncate (self->text, 0);
  *more = TRUE;
  while (g_ascii_isspace (byte) || (self->listed && (byte == ',' || byte == ']')))
    {
      self->first_line = self->line;
      if (!next_byte (self, &byte, error))
        return FALSE;
      if (byte == '[' && !self->listed && self->n_records == 0)
        {
          self->listed = TRUE;
          byte = ' ';
        }
    }
  *more = byte != '\0';
  if (!*more)
    return TRUE;
  if (byte != '{')
    return json_fail (self, error, "a line must be one JSON object and begin with '{'");
  g_string_append_c (self->text, byte);
  if (!read_rest (self, error))
    return FALSE;
  objection = ms_json_objection (self->text->str, self->text->len, DEPTH);
  return objection == NULL
         || json_fail (self, error, "this is no JSON (%s); a line must be one object", objection);
}

/* --- Rows ------------------------------------------------------------------------------------ */

static gboolean
fail_shape (const JsonSource *self, GError **error)
{
  g_autoptr (GString) keys = g_string_new (NULL);
  g_autofree char *clean = NULL;
  const char *at = self->text->str;
  MsJsonSlice name, value;

  for (guint n = 0; n < 12 && ms_json_slice_next (&at, &name, &value); n++)
    g_string_append_printf (keys, "%s%.*s", n > 0 ? ", " : "", (int) MIN (name.length, 40),
                            name.text);
  clean = ms_text_printable (keys->str, -1);
  return json_fail (self, error,
                    "JSON lines of this shape are not read: its keys are %s; token_idx, layer and "
                    "topk_ids are needed, or say with --map token=KEY,layer=KEY,experts=KEY what "
                    "they mean (`moescope import --help`)",
                    *clean != '\0' ? clean : "none");
}

/* A plan for rows with the members of the object `text`. */
static gboolean
make_plan (JsonSource *self, const char *text, const char *map, GError **error)
{
  const char *at = text;
  MsJsonSlice name, value;
  GError *failure = NULL;
  guint kinds = self->source.kinds;

  while (ms_json_slice_next (&at, &name, &value))
    {
      GString *cell = g_string_new (NULL);

      ms_json_slice_append (cell, &(MsJsonSlice){ name.text - 1, name.length + 2 });
      g_ptr_array_add (self->names, g_string_free (cell, FALSE));
    }
  self->shaped = *self->options;
  if (map != NULL && self->options->map == NULL)
    self->shaped.map = map;
  self->plan
      = ms_row_plan_new (&self->shaped, &self->source, (const char *const *) self->names->pdata,
                         self->names->len, self->first_line, &failure);
  if (self->plan == NULL && self->options->map == NULL)
    {
      g_clear_error (&failure);
      return fail_shape (self, error);
    }
  if (self->plan == NULL)
    {
      g_propagate_error (error, failure);
      return FALSE;
    }
  if (kinds != 0 && (self->source.kinds & ~kinds))
    return fail_shape (self, error);
  return TRUE;
}

/* The cells of the object `text` in the plan's order; members that it does not know are kept as unused. */
static gboolean
take_row (JsonSource *self, const char *text, GError **error)
{
  const char *at = text;
  MsJsonSlice name, value;
  guint expected = 0, n = self->names->len;

  g_string_truncate (self->cells, 0);
  g_string_append_c (self->cells, '\0');
  g_array_set_size (self->starts, 0);
  g_array_set_size (self->starts, n);
  memset (self->starts->data, 0, n * sizeof (gsize)); /* the empty cell */
  while (ms_json_slice_next (&at, &name, &value))
    {
      guint i = 0;

      for (; i < n; i++)
        {
          const char *known = self->names->pdata[(expected + i) % n];

          if (strncmp (known, name.text, name.length) == 0 && known[name.length] == '\0')
            break;
        }
      if (i == n)
        {
          g_autofree char *clean = ms_text_printable (name.text, (gssize) name.length);

          if (g_hash_table_size (self->unused) < 20)
            g_hash_table_add (self->unused, g_strdup_printf ("'%s'", clean));
          continue;
        }
      i = (expected + i) % n;
      expected = i + 1;
      g_array_index (self->starts, gsize, i) = self->cells->len;
      ms_json_slice_append (self->cells, &value);
      g_string_append_c (self->cells, '\0');
    }
  g_ptr_array_set_size (self->row, (int) n);
  for (guint i = 0; i < n; i++)
    self->row->pdata[i] = self->cells->str + g_array_index (self->starts, gsize, i);
  return ms_row_plan_take (self->plan, (const char *const *) self->row->pdata, self->first_line,
                           error);
}

/* --- Shapes ---------------------------------------------------------------------------------- */

static gboolean
is_text (const MsJsonSlice *value, const char *text)
{
  return value->length == strlen (text) + 2 && *value->text == '"'
         && memcmp (value->text + 1, text, value->length - 2) == 0;
}

/* A whole number of the object, which may be missing. */
static gboolean
take_number (JsonSource *self, const char *key, guint *number, GError **error)
{
  MsJsonSlice value;
  guint64 read;

  if (!ms_json_slice_member (self->text->str, key, &value) || *value.text == 'n')
    return TRUE;
  {
    g_autofree char *word = g_strndup (value.text, value.length);

    if (!g_ascii_string_to_unsigned (word, 10, 1, MS_MAX_EXPERTS, &read, NULL))
      return json_fail (self, error, "'%s' is no whole number between 1 and %u", key,
                        MS_MAX_EXPERTS);
  }
  *number = (guint) read;
  return TRUE;
}

/* The layers that a line of type "meta" announces. */
static void
take_announced (JsonSource *self)
{
  MsJsonSlice value, layer;
  const char *at;

  if (!ms_json_slice_member (self->text->str, "layers_logged", &value) || *value.text != '[')
    return;
  if (self->source.announced == NULL)
    self->source.announced = g_array_new (FALSE, FALSE, sizeof (gint32));
  for (at = value.text; ms_json_slice_next (&at, NULL, &layer);)
    {
      gint32 number = (gint32) g_ascii_strtoll (layer.text, NULL, 10);

      g_array_append_val (self->source.announced, number);
    }
}

/* A record of Megatron's router trace: a list of experts for each of its tokens. */
static gboolean
take_megatron (JsonSource *self, GError **error)
{
  static const char *const aside[]
      = { "block", "stage", "num_tokens", "topk", "mtp_idx", SIDECARS };
  MsJsonSlice value;

  if (ms_json_slice_member (self->text->str, "block", &value) && !is_text (&value, "decoder"))
    {
      self->n_other++;
      return TRUE;
    }
  if (self->plan == NULL)
    {
      g_autoptr (GString) map = g_string_new ("layer=layer,experts=top_indices");

      if (ms_json_slice_member (self->text->str, "rank", &value))
        g_string_append (map, ",document=rank");
      if (ms_json_slice_member (self->text->str, "step", &value))
        g_string_append (map, ",document=step");
      for (guint i = 0; i < G_N_ELEMENTS (aside); i++)
        if (ms_json_slice_member (self->text->str, aside[i], &value))
          g_string_append_printf (map, ",none=%s", aside[i]);
      if (!take_number (self, "topk", &self->source.k, error)
          || !make_plan (self, self->text->str, map->str, error))
        return FALSE;
      if (ms_json_slice_member (self->text->str, "hs_offset", &value)
          || ms_json_slice_member (self->text->str, "logit_offset", &value))
        g_hash_table_add (self->unused, g_strdup ("hidden states and logits in sidecar files"));
    }
  return take_row (self, self->text->str, error);
}

/* A text with a list of rows, "activations"; the record is the document. */
static gboolean
take_activations (JsonSource *self, const char *list, GError **error)
{
  static const char *const read[] = { "activations", "num_experts", "top_k" };
  const char *at = self->text->str;
  MsJsonSlice name, value;

  if (!take_number (self, "num_experts", &self->source.n_experts, error)
      || !take_number (self, "top_k", &self->source.k, error))
    return FALSE;
  while (ms_json_slice_next (&at, &name, &value))
    {
      g_autofree char *clean = ms_text_printable (name.text, (gssize) name.length);
      guint i = 0;

      while (i < G_N_ELEMENTS (read) && strcmp (clean, read[i]) != 0)
        i++;
      if (i == G_N_ELEMENTS (read))
        g_hash_table_add (self->unused, g_strdup_printf ("'%s'", clean));
    }
  self->inner = list;
  g_free (self->document);
  self->document = g_strdup_printf ("text-%u", self->n_records - 1);
  return TRUE;
}

static gboolean
take_object (JsonSource *self, GError **error)
{
  const char *text = self->text->str;
  MsJsonSlice type, list;

  self->n_records++;
  if (ms_json_slice_member (text, "activations", &list) && *list.text == '[')
    return take_activations (self, list.text, error);
  if (ms_json_slice_member (text, "top_indices", &list) && *list.text == '[')
    return take_megatron (self, error);
  if (ms_json_slice_member (text, "type", &type))
    {
      if (*type.text != '"')
        return json_fail (self, error, "'type' is no text");
      if (is_text (&type, "meta"))
        {
          take_announced (self);
          return take_number (self, "num_experts", &self->source.n_experts, error)
                 && take_number (self, "top_k", &self->source.k, error);
        }
      if (!is_text (&type, "route") && self->options->map == NULL)
        return fail_shape (self, error);
    }
  if (self->plan == NULL && !make_plan (self, text, NULL, error))
    return FALSE;
  return take_row (self, text, error);
}

/* The next row of the list in the record. */
static gboolean
take_inner (JsonSource *self, GError **error)
{
  MsJsonSlice row;

  if (!ms_json_slice_next (&self->inner, NULL, &row))
    {
      self->inner = NULL;
      return TRUE;
    }
  if (*row.text != '{')
    return json_fail (self, error, "an element of 'activations' is no object");
  if (self->plan == NULL && !make_plan (self, row.text, NULL, error))
    return FALSE;
  return take_row (self, row.text, error);
}

/* What was not read is known at the end. */
static void
finish (JsonSource *self)
{
  g_autoptr (GList) keys
      = g_list_sort (g_hash_table_get_keys (self->unused), (GCompareFunc) strcmp);

  for (GList *key = keys; key != NULL; key = key->next)
    g_ptr_array_add (self->source.unused, g_strdup (key->data));
  if (self->n_other > 0)
    g_ptr_array_add (
        self->source.unused,
        g_strdup_printf ("%u records of other blocks than the decoder", self->n_other));
}

static gboolean
json_next (MsSource *source, MsRecord *record, gboolean *more, GError **error)
{
  JsonSource *self = (JsonSource *) source;

  while (TRUE)
    {
      *more = FALSE;
      if (self->plan != NULL && !ms_row_plan_give (self->plan, record, more, error))
        return FALSE;
      if (*more)
        {
          if (self->document != NULL)
            record->sequence = self->document;
          return TRUE;
        }
      if (self->inner != NULL)
        {
          if (!take_inner (self, error))
            return FALSE;
          continue;
        }
      if (!read_object (self, more, error))
        return FALSE;
      if (!*more)
        {
          finish (self);
          return TRUE;
        }
      if (!take_object (self, error))
        return FALSE;
    }
}

static guint
json_sniff (const char *head, gsize n, const char *name)
{
  gsize blank = 0;

  (void) name;
  while (blank < n && g_ascii_isspace (head[blank]))
    blank++;
  return blank == n ? 0 : head[blank] == '{' ? 80 : head[blank] == '[' ? 40 : 0;
}

static void
json_close (MsSource *source)
{
  JsonSource *self = (JsonSource *) source;

  ms_row_plan_free (self->plan);
  ms_file_reader_free (self->input);
  g_string_free (self->text, TRUE);
  g_string_free (self->cells, TRUE);
  g_array_unref (self->starts);
  g_ptr_array_unref (self->row);
  g_ptr_array_unref (self->names);
  g_hash_table_unref (self->unused);
  g_free (self->document);
  ms_source_clear (source);
  g_free (self);
}

static MsSource *
json_open (MsFileReader *input, const MsImportOptions *options, GError **error)
{
  JsonSource *self = g_new0 (JsonSource, 1);

  (void) error;
  ms_source_init (&self->source, &ms_format_json_lines, input);
  self->source.kinds = 1u << MS_RECORD_DECISION;
  self->options = options;
  self->input = input;
  self->line = 1;
  self->text = g_string_new (NULL);
  self->cells = g_string_new (NULL);
  self->starts = g_array_new (FALSE, FALSE, sizeof (gsize));
  self->row = g_ptr_array_new ();
  self->names = g_ptr_array_new_with_free_func (g_free);
  self->unused = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return &self->source;
}

const MsFormat ms_format_json_lines = {
  .about = {
    .name = "json-lines",
    .title = "JSON lines",
    .extensions = (const char *const[]){ "jsonl", "ndjson", NULL },
    .help
    = "One JSON object after the other, or a list of them; a member is what a column is in CSV:\n"
      "  {\"type\":\"meta\",\"num_experts\":64,\"top_k\":2}                 optional\n"
      "  {\"type\":\"route\",\"req_id\":\"r1\",\"token_idx\":0,\"layer\":0,\n"
      "   \"topk_ids\":[3,7],\"topk_weights\":[0.6,0.4]}            loggers in vLLM\n"
      "  {\"dataset\":\"gsm8k\",\"problem_id\":4,\"layer\":0,\"token_idx\":0,\n"
      "   \"experts\":[3,7],\"gating_probs\":[0.6,0.4]}           speculative-moe\n"
      "  {\"step\":0,\"block\":\"decoder\",\"layer\":3,\"rank\":0,\"topk\":2,\n"
      "   \"top_indices\":[[3,7],[1,2]]}                          Megatron router_trace\n"
      "  {\"num_experts\":64,\"top_k\":2,\"activations\":[{\"layer\":0,\"token_idx\":0,\n"
      "   \"expert_idx\":3,\"gate_weight\":0.6}, ...]}             moe-atlas\n"
      "Lists of lists hold a list for each of the following tokens (a batch in a line); without\n"
      "token_idx the tokens of a document at a layer are counted.  Megatron's documents are\n"
      "RANK/STEP; blocks other than the decoder are left out and named.  Other members are\n"
      "labels, those of another meaning can be given it with --map, and what is not read is\n"
      "named.\n",
  },
  .sniff = json_sniff,
  .open = json_open,
  .next = json_next,
  .close = json_close,
};
