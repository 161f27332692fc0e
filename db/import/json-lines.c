/* JSON lines as loggers in vLLM write them: one object for each token and layer, with the ids and weights of
 * the chosen experts in order of rank.
 *
 * A line is read strictly: one object, no deeper than needed, whole numbers exactly whole.  An object of
 * another shape is refused with its keys; keys that are not read are named. */
#include "import-private.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define LINE_BYTES (16 << 20)
#define DEPTH      4

typedef struct
{
  MsSource source;
  MsFileReader *input;
  JsonParser *parser;
  const char *block; /* bytes read, not yet taken */
  gsize n;
  GString *text; /* the line */
  guint line;
  gboolean ended;
  GHashTable *unused; /* keys of routes that are not read */
  /* The route being handed out, one expert after the other. */
  char *request;
  gint32 token, layer;
  JsonArray *ids, *weights; /* of the parser's object; ids = NULL: none */
  guint rank;
} JsonSource;

static const char *const route_keys[]
    = { "type", "req_id", "token_idx", "layer", "topk_ids", "topk_weights", NULL };

static gboolean G_GNUC_PRINTF (3, 4)
    json_fail (const JsonSource *self, GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  return ms_import_fail (error, self->source.name, self->line, "%s", message);
}

/* --- Lines ----------------------------------------------------------------------------------- */

/* The next line that is not blank into text; *more = FALSE at the end of the file. */
static gboolean
read_line (JsonSource *self, gboolean *more, GError **error)
{
  *more = TRUE;
  while (TRUE)
    {
      gboolean whole = FALSE;

      g_string_truncate (self->text, 0);
      self->line++;
      while (!whole && !self->ended)
        {
          const char *end;
          gsize n;

          if (self->n == 0 && !ms_file_reader_read (self->input, &self->block, &self->n, error))
            return FALSE;
          self->ended = self->n == 0;
          end = self->n == 0 ? NULL : memchr (self->block, '\n', self->n);
          whole = end != NULL;
          n = whole ? (gsize) (end - self->block) : self->n;
          if (self->text->len + n > LINE_BYTES)
            return json_fail (self, error, "the line is longer than %d bytes", LINE_BYTES);
          g_string_append_len (self->text, self->block, (gssize) n);
          n += whole;
          self->block += n;
          self->n -= n;
        }
      if (strspn (self->text->str, " \t\r") < self->text->len)
        return TRUE;
      if (self->ended)
        {
          *more = FALSE;
          return TRUE;
        }
    }
}

/* Whether the line can be given to the parser: one object, not nested deeper than any shape needs. */
static gboolean
check_line (const JsonSource *self, GError **error)
{
  const char *text = self->text->str;
  const char *objection = ms_json_objection (text, self->text->len, DEPTH);

  if (text[strspn (text, " \t\r")] != '{')
    return json_fail (self, error, "a line must be one JSON object and begin with '{'");
  return objection == NULL
         || json_fail (self, error, "this is no JSON (%s); a line must be one object", objection);
}

static JsonObject *
parse_line (JsonSource *self, GError **error)
{
  g_autoptr (GError) failure = NULL;
  JsonNode *root;

  if (!check_line (self, error))
    return NULL;
  if (!json_parser_load_from_data (self->parser, self->text->str, (gssize) self->text->len,
                                   &failure))
    {
      json_fail (self, error, "this is no JSON: %s", failure->message);
      return NULL;
    }
  root = json_parser_get_root (self->parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    {
      json_fail (self, error, "a line must be one JSON object");
      return NULL;
    }
  return json_node_get_object (root);
}

/* --- Values ---------------------------------------------------------------------------------- */

static gboolean
is_int (JsonNode *node)
{
  return node != NULL && JSON_NODE_HOLDS_VALUE (node)
         && json_node_get_value_type (node) == G_TYPE_INT64;
}

/* The member as a whole number in least..most. */
static gboolean
read_int (const JsonSource *self, JsonNode *node, const char *name, gint64 least, gint64 most,
          gint32 *value, GError **error)
{
  gint64 number = is_int (node) ? json_node_get_int (node) : least - 1;

  if (number < least || number > most)
    return json_fail (self, error,
                      "'%s' is no whole number between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT,
                      name, least, most);
  *value = (gint32) number;
  return TRUE;
}

/* The member, when it is there, as a list. */
static gboolean
read_list (const JsonSource *self, JsonObject *object, const char *name, JsonArray **list,
           GError **error)
{
  JsonNode *node = json_object_get_member (object, name);

  *list = NULL;
  if (node == NULL)
    return TRUE;
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return json_fail (self, error, "'%s' is no list", name);
  *list = json_node_get_array (node);
  return TRUE;
}

/* The request's name, a text or a whole number; "0" when the object has none. */
static gboolean
read_request (JsonSource *self, JsonObject *object, GError **error)
{
  JsonNode *node = json_object_get_member (object, "req_id");

  g_clear_pointer (&self->request, g_free);
  if (node == NULL)
    self->request = g_strdup ("0");
  else if (is_int (node))
    self->request = g_strdup_printf ("%" G_GINT64_FORMAT, json_node_get_int (node));
  else if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    self->request = json_node_dup_string (node);
  else
    return json_fail (self, error, "'req_id' is neither a text nor a whole number");
  return TRUE;
}

/* --- Objects --------------------------------------------------------------------------------- */

static gboolean
fail_shape (const JsonSource *self, JsonObject *object, GError **error)
{
  g_autoptr (GString) keys = g_string_new (NULL);
  g_autoptr (GList) members = json_object_get_members (object);
  g_autofree char *clean = NULL;
  guint n = 0;

  for (GList *at = members; at != NULL && n < 12; at = at->next, n++)
    g_string_append_printf (keys, "%s%.40s", n > 0 ? ", " : "", (const char *) at->data);
  clean = ms_text_printable (keys->str, -1);
  return json_fail (self, error,
                    "JSON lines of this shape are not read: its keys are %s; token_idx, layer and "
                    "topk_ids are needed (`moescope import --help`)",
                    *clean != '\0' ? clean : "none");
}

/* The geometry that a line of type "meta" tells. */
static gboolean
take_meta (JsonSource *self, JsonObject *object, GError **error)
{
  const struct
  {
    const char *key;
    guint *value;
  } facts[] = { { "num_experts", &self->source.n_experts }, { "top_k", &self->source.k } };

  for (guint i = 0; i < G_N_ELEMENTS (facts); i++)
    {
      JsonNode *node = json_object_get_member (object, facts[i].key);
      gint32 value = 0;

      if (node == NULL || JSON_NODE_HOLDS_NULL (node))
        continue;
      if (!read_int (self, node, facts[i].key, 1, MS_MAX_EXPERTS, &value, error))
        return FALSE;
      *facts[i].value = (guint) value;
    }
  return TRUE;
}

/* Keys that are there and not read, each once. */
static void
note_unused (JsonSource *self, JsonObject *object)
{
  g_autoptr (GList) members = json_object_get_members (object);

  for (GList *at = members; at != NULL; at = at->next)
    {
      g_autofree char *clean = ms_text_printable (at->data, -1);

      if (g_strv_contains (route_keys, (const char *) at->data))
        continue;
      if (g_hash_table_size (self->unused) < 20
          && g_hash_table_add (self->unused, g_strdup_printf ("'%s'", clean)))
        continue;
    }
}

static gboolean
take_route (JsonSource *self, JsonObject *object, GError **error)
{
  if (!json_object_has_member (object, "token_idx") || !json_object_has_member (object, "layer")
      || !json_object_has_member (object, "topk_ids"))
    return fail_shape (self, object, error);
  if (!read_request (self, object, error)
      || !read_int (self, json_object_get_member (object, "token_idx"), "token_idx", 0,
                    G_MAXINT32 - 1, &self->token, error)
      || !read_int (self, json_object_get_member (object, "layer"), "layer", 0, 1000000,
                    &self->layer, error)
      || !read_list (self, object, "topk_ids", &self->ids, error)
      || !read_list (self, object, "topk_weights", &self->weights, error))
    return FALSE;
  if (self->weights != NULL
      && json_array_get_length (self->weights) != json_array_get_length (self->ids))
    return json_fail (self, error, "there are %u topk_weights for %u topk_ids",
                      json_array_get_length (self->weights), json_array_get_length (self->ids));
  note_unused (self, object);
  self->rank = 0;
  return TRUE;
}

static gboolean
take_line (JsonSource *self, GError **error)
{
  JsonObject *object = parse_line (self, error);
  JsonNode *type;

  self->ids = NULL;
  if (object == NULL)
    return FALSE;
  type = json_object_get_member (object, "type");
  if (type == NULL)
    return take_route (self, object, error);
  if (!JSON_NODE_HOLDS_VALUE (type) || json_node_get_value_type (type) != G_TYPE_STRING)
    return json_fail (self, error, "'type' is no text");
  if (strcmp (json_node_get_string (type), "meta") == 0)
    return take_meta (self, object, error);
  return strcmp (json_node_get_string (type), "route") == 0 ? take_route (self, object, error)
                                                            : fail_shape (self, object, error);
}

/* The expert of the current rank as a record. */
static gboolean
give_expert (JsonSource *self, MsRecord *record, GError **error)
{
  JsonNode *id = json_array_get_element (self->ids, self->rank);

  *record = (MsRecord){ .kind = MS_RECORD_DECISION,
                        .fields = MS_FIELD_LAYER | MS_FIELD_RANK
                                  | (self->weights != NULL ? MS_FIELD_WEIGHT : 0),
                        .line = self->line,
                        .sequence = self->request,
                        .token = self->token,
                        .layer = self->layer,
                        .rank = (gint32) self->rank,
                        .valid = TRUE,
                        .token_id = -1,
                        .predicted = -1,
                        .weight = NAN,
                        .loss = NAN };
  if (!read_int (self, id, "topk_ids", 0, MS_MAX_EXPERTS - 1, &record->expert, error))
    return FALSE;
  if (self->weights != NULL)
    {
      JsonNode *node = json_array_get_element (self->weights, self->rank);
      gboolean real
          = JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_DOUBLE;
      double weight = real            ? json_node_get_double (node)
                      : is_int (node) ? (double) json_node_get_int (node)
                                      : NAN;

      if (!(fabs (weight) <= (double) G_MAXFLOAT))
        return json_fail (self, error, "one of the topk_weights is no finite number");
      record->weight = (float) weight;
    }
  self->rank++;
  return TRUE;
}

static gboolean
json_next (MsSource *source, MsRecord *record, gboolean *more, GError **error)
{
  JsonSource *self = (JsonSource *) source;

  while (self->ids == NULL || self->rank == json_array_get_length (self->ids))
    {
      if (!read_line (self, more, error))
        return FALSE;
      if (*more && !take_line (self, error))
        return FALSE;
      if (!*more)
        {
          GHashTableIter iter;
          gpointer key;

          g_hash_table_iter_init (&iter, self->unused);
          while (g_hash_table_iter_next (&iter, &key, NULL))
            g_ptr_array_add (source->unused, g_strdup (key));
          return TRUE;
        }
    }
  *more = TRUE;
  return give_expert (self, record, error);
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

  ms_file_reader_free (self->input);
  g_object_unref (self->parser);
  g_string_free (self->text, TRUE);
  g_hash_table_unref (self->unused);
  g_free (self->request);
  ms_source_clear (source);
  g_free (self);
}

static MsSource *
json_open (MsFileReader *input, GError **error)
{
  JsonSource *self = g_new0 (JsonSource, 1);

  (void) error;
  self->source = (MsSource){ .format = &ms_format_json_lines,
                             .name = g_strdup (ms_file_reader_name (input)),
                             .kinds = 1u << MS_RECORD_DECISION,
                             .unused = g_ptr_array_new_with_free_func (g_free) };
  self->input = input;
  self->parser = json_parser_new ();
  self->text = g_string_new (NULL);
  self->unused = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return &self->source;
}

const MsFormat ms_format_json_lines = {
  .about = {
    .name = "json-lines",
    .title = "JSON lines",
    .extensions = (const char *const[]){ "jsonl", "ndjson", NULL },
    .help
    = "One JSON object on each line, as loggers in vLLM write them:\n"
      "  {\"type\":\"meta\",\"num_experts\":64,\"top_k\":2}                 optional\n"
      "  {\"type\":\"route\",\"req_id\":\"r1\",\"token_idx\":0,\"layer\":0,\n"
      "   \"topk_ids\":[3,7],\"topk_weights\":[0.6,0.4]}\n"
      "Of a route token_idx, layer and topk_ids (best first) are needed; type, req_id (a\n"
      "document) and topk_weights may be missing; of meta num_experts and top_k are read.\n"
      "Other keys are named and not used; objects of another shape are refused.\n",
  },
  .sniff = json_sniff,
  .open = json_open,
  .next = json_next,
  .close = json_close,
};
