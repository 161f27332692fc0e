/* Inputs of a collection become documents and their tokens.
 *
 * What must hold: no byte of a text is lost or changed but a byte order mark at the start; documents stand
 * in the order of the inputs, whatever the number of threads that tokenize. */
#include "input-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Deeper JSON is refused before the parser, which recurses, sees it. */
#define MAX_DEPTH 64
#define MAX_TEXT  ((gsize) 1 << 30)

/* A document before it is cut into tokens. */
typedef struct
{
  char *name;
  char *labels[4]; /* in the order of label_names */
  const char *text;
  gsize length;
  char *own;   /* the text where it is not part of a file */
  GArray *ids; /* of gint32 */
  MsEncoded encoded;
  GError *error; /* why it has no ids */
} Item;

static const char *const label_names[] = { "language", "domain", "parallel", "phase" };

typedef struct
{
  const MsInputOptions *options;
  GPtrArray *items;    /* of Item */
  GPtrArray *contents; /* of char*: files that items point into */
  GHashTable *names;   /* those in use -> the last number given to it */
} Input;

/* The file being read. */
typedef struct
{
  char *shown; /* path for messages */
  char *stem;  /* name without folder and suffix */
  const char *text;
  gsize length;
} Source;

static void
item_free (gpointer data)
{
  Item *item = data;

  g_free (item->name);
  for (guint i = 0; i < G_N_ELEMENTS (item->labels); i++)
    g_free (item->labels[i]);
  g_free (item->own);
  g_clear_pointer (&item->ids, g_array_unref);
  g_clear_error (&item->error);
  g_free (item);
}

static gboolean fail (GError **error, const Source *source, gsize line, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

/* line 0: the whole file. */
static gboolean
fail (GError **error, const Source *source, gsize line, const char *format, ...)
{
  g_autofree char *message = NULL;
  g_autofree char *where = line ? g_strdup_printf (":%" G_GSIZE_FORMAT, line) : g_strdup ("");
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT, "%s%s: %s", source->shown,
               where, message);
  return FALSE;
}

/* Adds a document of that name, or of the name and a number when it is taken. */
static Item *
add_item (Input *input, const char *wanted)
{
  g_autofree char *plain = ms_text_printable (wanted, -1);
  char *name = g_strdup (plain);
  Item *item = g_new0 (Item, 1);
  guint number = GPOINTER_TO_UINT (g_hash_table_lookup (input->names, plain));

  while (g_hash_table_contains (input->names, name))
    {
      g_free (name);
      name = g_strdup_printf ("%s#%u", plain, ++number);
    }
  g_hash_table_insert (input->names, g_steal_pointer (&plain), GUINT_TO_POINTER (MAX (number, 1)));
  if (number > 0)
    g_hash_table_insert (input->names, g_strdup (name), GUINT_TO_POINTER (1));
  item->name = name;
  g_ptr_array_add (input->items, item);
  return item;
}

static Item *
add_line_item (Input *input, const Source *source, gsize line)
{
  g_autofree char *name = g_strdup_printf ("%s:%" G_GSIZE_FORMAT, source->stem, line);

  return add_item (input, name);
}

/* --- Formats ---------------------------------------------------------------------------------- */

static gboolean
check_utf8 (const Source *source, GError **error)
{
  const char *end;
  gsize line = 1;

  if (g_utf8_validate_len (source->text, source->length, &end))
    return TRUE;
  if (source->length >= 2
      && (memcmp (source->text, "\xff\xfe", 2) == 0 || memcmp (source->text, "\xfe\xff", 2) == 0))
    return fail (error, source, 0,
                 "is UTF-16; convert it with: iconv -f UTF-16 -t UTF-8 FILE > NEW");
  for (const char *c = source->text; c < end; c++)
    line += *c == '\n';
  return fail (error, source, line,
               *end == '\0' ? "byte %" G_GSIZE_FORMAT " of the file is NUL, so this is no text file"
                            : "byte %" G_GSIZE_FORMAT
                              " of the file is not UTF-8; convert it with: iconv -f ENCODING -t "
                              "UTF-8 FILE > NEW",
               (gsize) (end - source->text));
}

static gboolean
read_text (Input *input, const Source *source, GError **error)
{
  Item *item;

  if (source->length == 0)
    return fail (error, source, 0, "the file is empty");
  if (source->length > MAX_TEXT)
    return fail (error, source, 0, "is longer than 1 GiB; split it, or use one document per line");
  item = add_item (input, source->stem);
  item->text = source->text;
  item->length = source->length;
  return TRUE;
}

static gboolean
is_blank (const char *text, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isspace (text[i]))
      return FALSE;
  return TRUE;
}

static gboolean
read_text_line (Input *input, const Source *source, gsize line, const char *text, gsize length,
                GError **error)
{
  Item *item;

  if (length > MAX_TEXT)
    return fail (error, source, line, "the line is longer than 1 GiB");
  item = add_line_item (input, source, line);
  item->text = text;
  item->length = length;
  return TRUE;
}

/* Member `name` as text, integers too; NULL when it is absent, null or empty. */
static gboolean
get_label (JsonObject *object, const char *name, const Source *source, gsize line, char **label,
           GError **error)
{
  JsonNode *node = json_object_get_member (object, name);

  *label = NULL;
  if (node == NULL || JSON_NODE_HOLDS_NULL (node))
    return TRUE;
  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_INT64)
    *label = g_strdup_printf ("%" G_GINT64_FORMAT, json_node_get_int (node));
  else if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    *label = json_node_dup_string (node);
  else
    return fail (error, source, line, "\"%s\" is neither text nor an integer", name);
  if (!g_utf8_validate (*label, -1, NULL))
    {
      g_clear_pointer (label, g_free);
      return fail (error, source, line, "\"%s\" has half of a surrogate pair", name);
    }
  if (**label == '\0')
    g_clear_pointer (label, g_free);
  return TRUE;
}

static gboolean
read_object (Input *input, const Source *source, gsize line, JsonObject *object, GError **error)
{
  JsonNode *node = json_object_get_member (object, "text");
  g_autofree char *id = NULL;
  const char *text;
  Item *item;

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node)
      || json_node_get_value_type (node) != G_TYPE_STRING)
    return fail (error, source, line, "the object has no \"text\" that is a string");
  text = json_node_get_string (node);
  if (*text == '\0')
    return fail (error, source, line, "\"text\" is empty; leave the line out");
  if (!g_utf8_validate (text, -1, NULL))
    return fail (error, source, line, "\"text\" has half of a surrogate pair");
  if (!get_label (object, "id", source, line, &id, error))
    return FALSE;
  item = id ? add_item (input, id) : add_line_item (input, source, line);
  item->own = g_strdup (text);
  item->text = item->own;
  item->length = strlen (text);
  for (guint i = 0; i < G_N_ELEMENTS (label_names); i++)
    if (!get_label (object, label_names[i], source, line, &item->labels[i], error))
      return FALSE;
  if (item->labels[3] != NULL && !g_str_equal (item->labels[3], "prefill")
      && !g_str_equal (item->labels[3], "decode"))
    return fail (error, source, line, "\"phase\" is neither \"prefill\" nor \"decode\"");
  return TRUE;
}

static gboolean
read_json_line (Input *input, const Source *source, gsize line, const char *text, gsize length,
                GError **error)
{
  g_autoptr (JsonParser) parser = NULL;
  g_autoptr (GError) wrong = NULL;
  const char *objection;
  JsonNode *root;

  if (length > MAX_TEXT)
    return fail (error, source, line, "the line is longer than 1 GiB");
  objection = ms_json_objection (text, length, MAX_DEPTH);
  if (objection != NULL)
    return fail (error, source, line, "is not JSON (%s); each line must be one object", objection);
  parser = json_parser_new_immutable ();
  if (!json_parser_load_from_data (parser, text, (gssize) length, &wrong))
    {
      /* "<data>:1:17: Parse error: ...", where the line is ours to tell. */
      const char *reason = strstr (wrong->message, ": ");

      return fail (error, source, line, "is not JSON (%s); each line must be one object",
                   reason ? reason + 2 : wrong->message);
    }
  root = json_parser_get_root (parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return fail (error, source, line, "is no JSON object such as {\"text\": \"...\"}");
  return read_object (input, source, line, json_node_get_object (root), error);
}

static gboolean
read_id_line (Input *input, const Source *source, gsize line, const char *text, gsize length,
              GError **error)
{
  guint n = input->options->n_vocabulary;
  Item *item = add_line_item (input, source, line);

  item->ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  for (gsize i = 0; i < length;)
    {
      gsize from = i;
      guint64 value = 0;
      gint32 id;

      for (; i < length && g_ascii_isdigit (text[i]); i++)
        value = MIN (value * 10 + (guint64) (text[i] - '0'), G_MAXUINT32);
      if (i == from && (text[i] == ' ' || text[i] == '\t'))
        {
          i++;
          continue;
        }
      if (i == from || (i < length && text[i] != ' ' && text[i] != '\t'))
        {
          g_autofree char *word = NULL;

          while (i < length && text[i] != ' ' && text[i] != '\t' && i - from < 20)
            i++;
          word = ms_text_printable (text + from, (gssize) (i - from));
          return fail (error, source, line,
                       "column %" G_GSIZE_FORMAT
                       ": '%s' is no token id; write numbers with spaces between them",
                       from + 1, word);
        }
      if (value >= n)
        return fail (error, source, line,
                     "column %" G_GSIZE_FORMAT ": token id %.*s is not in the model's vocabulary "
                     "(0 to %u)",
                     from + 1, (int) MIN (i - from, 20), text + from, n - 1);
      id = (gint32) value;
      g_array_append_val (item->ids, id);
    }
  return TRUE;
}

typedef gboolean (*ReadLine) (Input *input, const Source *source, gsize line, const char *text,
                              gsize length, GError **error);

static gboolean
read_lines (Input *input, const Source *source, ReadLine read_line, GError **error)
{
  const char *at = source->text, *end = at + source->length;
  guint before = input->items->len;

  for (gsize line = 1; at < end; line++)
    {
      const char *newline = memchr (at, '\n', (gsize) (end - at));
      gsize length = (gsize) ((newline ? newline : end) - at);
      const char *text = at;

      at = newline ? newline + 1 : end;
      if (length > 0 && text[length - 1] == '\r')
        length--;
      if (!is_blank (text, length) && !read_line (input, source, line, text, length, error))
        return FALSE;
    }
  if (input->items->len == before)
    return fail (error, source, 0, "the file is empty, or blank in every line");
  return TRUE;
}

/* --- Files ------------------------------------------------------------------------------------ */

static gboolean
read_stdin (char **text, gsize *length, const Source *source, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint8 buffer[65536];
  gssize n;

  while ((n = read (STDIN_FILENO, buffer, sizeof buffer)) > 0)
    {
      if (bytes->len > MAX_TEXT)
        return fail (error, source, 0, "is longer than 1 GiB; put it into files");
      g_byte_array_append (bytes, buffer, (guint) n);
    }
  if (n < 0)
    return fail (error, source, 0, "cannot be read: %s", g_strerror (errno));
  g_byte_array_append (bytes, (const guint8 *) "", 1);
  *length = bytes->len - 1;
  *text = (char *) g_byte_array_free (g_steal_pointer (&bytes), FALSE);
  return TRUE;
}

static gboolean
read_contents (const char *path, char **text, gsize *length, const Source *source, GError **error)
{
  g_autoptr (GError) wrong = NULL;
  GStatBuf status;

  if (g_str_equal (path, "-"))
    return read_stdin (text, length, source, error);
  if (g_stat (path, &status) != 0)
    return fail (error, source, 0, "cannot be read: %s", g_strerror (errno));
  if (S_ISDIR (status.st_mode))
    return fail (error, source, 0, "is a folder; name the files in it, for example %s/*.txt",
                 source->shown);
  if (!g_file_get_contents (path, text, length, &wrong))
    return fail (error, source, 0, "cannot be read: %s", wrong->message);
  return TRUE;
}

static gboolean
read_source (Input *input, const char *path, Source *source, GError **error)
{
  gboolean json = g_str_has_suffix (path, ".jsonl") || g_str_has_suffix (path, ".ndjson");
  char *contents = NULL;

  if (!read_contents (path, &contents, &source->length, source, error))
    return FALSE;
  g_ptr_array_add (input->contents, contents);
  source->text = contents;
  if (source->length >= 3 && memcmp (contents, "\xef\xbb\xbf", 3) == 0)
    {
      source->text += 3;
      source->length -= 3;
    }
  if (!check_utf8 (source, error))
    return FALSE;
  switch (input->options->kind)
    {
    case MS_INPUT_TOKEN_IDS:
      return read_lines (input, source, read_id_line, error);
    case MS_INPUT_LINES:
      return read_lines (input, source, read_text_line, error);
    case MS_INPUT_AUTO:
    default:
      return json ? read_lines (input, source, read_json_line, error)
                  : read_text (input, source, error);
    }
}

static char *
stem_of (const char *path)
{
  g_autofree char *base = g_str_equal (path, "-") ? g_strdup ("stdin") : g_path_get_basename (path);
  char *dot = strrchr (base, '.');

  if (dot != NULL && dot != base)
    *dot = '\0';
  return ms_text_printable (base, -1);
}

static gboolean
read_path (Input *input, const char *path, GError **error)
{
  Source source = { 0 };
  gboolean fine;

  source.shown
      = g_str_equal (path, "-") ? g_strdup ("standard input") : ms_text_printable (path, -1);
  source.stem = stem_of (path);
  fine = read_source (input, path, &source, error);
  g_free (source.shown);
  g_free (source.stem);
  return fine;
}

/* --- Tokens ----------------------------------------------------------------------------------- */

static void
tokenize (guint index, guint worker, gpointer data)
{
  const Input *input = data;
  const MsInputOptions *options = input->options;
  Item *item = g_ptr_array_index (input->items, index);
  const MsEncoding how
      = { options->parse_special, (gsize) MAX (options->max_tokens, 0), options->cancel };
  gint32 bos;

  (void) worker;
  if (item->ids == NULL)
    {
      item->ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      bos = options->add_bos ? ms_tokenizer_bos (options->tokenizer) : -1;
      if (bos >= 0)
        g_array_append_val (item->ids, bos);
      ms_tokenizer_encode_with (options->tokenizer, &how, item->text, item->length, item->ids,
                                &item->encoded, &item->error);
    }
  if (options->max_tokens > 0 && item->ids->len > options->max_tokens)
    g_array_set_size (item->ids, (guint) options->max_tokens);
}

/* The tokens of all items, one after the other. */
static gboolean
join (const Input *input, MsCorpus *corpus, gint32 **ids, MsSpelled *spelled, GError **error)
{
  g_autofree gint32 *all = NULL;
  gint64 n = 0;

  corpus->n_documents = input->items->len;
  corpus->documents = g_new0 (MsDocument, corpus->n_documents);
  *spelled = (MsSpelled){ 0 };
  for (guint i = 0; i < corpus->n_documents; i++)
    {
      const Item *item = g_ptr_array_index (input->items, i);

      n += item->ids->len;
      spelled->n += item->encoded.spelled;
      spelled->documents += item->encoded.spelled > 0;
      spelled->lost += item->encoded.lost;
      spelled->lost_documents += item->encoded.lost > 0;
    }
  all = g_new (gint32, n);
  for (guint i = 0; i < corpus->n_documents; i++)
    {
      Item *item = g_ptr_array_index (input->items, i);
      MsDocument *document = &corpus->documents[i];

      document->first_token = corpus->n_tokens;
      document->n_tokens = item->ids->len;
      corpus->n_tokens += item->ids->len;
      document->name = g_strdup (item->name);
      document->language = g_steal_pointer (&item->labels[0]);
      document->domain = g_steal_pointer (&item->labels[1]);
      document->parallel = g_steal_pointer (&item->labels[2]);
      document->phase = g_steal_pointer (&item->labels[3]);
      if (item->ids->len == 0)
        {
          g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT,
                       "document '%s' has no tokens: the model's vocabulary cannot express it",
                       item->name);
          return FALSE;
        }
      memcpy (all + document->first_token, item->ids->data, item->ids->len * sizeof *all);
      for (guint j = 0; j < item->ids->len; j++)
        if ((guint32) all[document->first_token + j] >= input->options->n_vocabulary)
          {
            g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_CORRUPT,
                         "the tokenizer gives token %d, but the model has embeddings for %u tokens "
                         "only; its file is inconsistent",
                         all[document->first_token + j], input->options->n_vocabulary);
            return FALSE;
          }
      g_clear_pointer (&item->ids, g_array_unref);
    }
  *ids = g_steal_pointer (&all);
  return TRUE;
}

MsCorpus *
ms_documents_load (const MsInputOptions *options, gint32 **ids, MsSpelled *spelled, GError **error)
{
  MsSpelled not_told;
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (item_free);
  g_autoptr (GPtrArray) contents = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (MsCorpus) corpus = g_new0 (MsCorpus, 1);
  g_autofree char *stem = NULL;
  Input input = { options, items, contents, names };
  guint n_paths = g_strv_length ((char **) options->paths);

  g_return_val_if_fail (options->tokenizer != NULL || options->kind == MS_INPUT_TOKEN_IDS, NULL);
  if (n_paths == 0)
    {
      g_set_error_literal (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT,
                           "there is no input; name text files, JSON lines or token ids");
      return NULL;
    }
  for (guint i = 0; i < n_paths; i++)
    if (!read_path (&input, options->paths[i], error))
      return NULL;
  ms_parallel (options->threads, items->len, tokenize, &input);
  for (guint i = 0; i < items->len; i++)
    {
      Item *item = g_ptr_array_index (items, i);

      if (item->error == NULL)
        continue;
      g_propagate_prefixed_error (error, g_steal_pointer (&item->error),
                                  "document '%s': ", item->name);
      return NULL;
    }
  if (!join (&input, corpus, ids, spelled != NULL ? spelled : &not_told, error))
    return NULL;
  stem = stem_of (options->paths[0]);
  corpus->name = n_paths == 1 ? g_steal_pointer (&stem)
                              : g_strdup_printf ("%s and %u more", stem, n_paths - 1);
  if (options->kind != MS_INPUT_TOKEN_IDS)
    corpus->tokenizer = g_strdup (ms_tokenizer_name (options->tokenizer));
  return g_steal_pointer (&corpus);
}
