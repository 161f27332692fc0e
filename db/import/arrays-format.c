/* Routing in arrays: npy, npz, safetensors and torch files.
 *
 * What an array is, its name tells (routed_experts, topk_ids, router_logits, ...), and its axes too where the tool that
 * writes it has documented them; otherwise they are asked for (--axes), never guessed.  Every array becomes a section;
 * a section is walked from its first axis to its last. */
#include "arrays-private.h"
#include "import-private.h"
#include "json-slice-private.h"

#include <math.h>
#include <string.h>

/* The letters of --axes: documents, tokens, layers, choices, experts. */
static const char letters[] = "DTLKE";

typedef enum
{
  AXIS_DOCUMENT,
  AXIS_TOKEN,
  AXIS_LAYER,
  AXIS_CHOICE,
  AXIS_EXPERT,
  N_AXES
} Axis;

typedef enum
{
  ROLE_IDS,
  ROLE_WEIGHTS,
  ROLE_SCORES,
  ROLE_TOKENS,
  ROLE_COUNTS,
  ROLE_NONE
} Role;

/* What arrays are called; `axes` are those that the tool documents, by the number of axes: 2, 3, 4. */
static const struct
{
  const char *name;
  Role role;
  const char *axes[3];
  const char *phase;
} names[] = {
  { "prompt_routed_experts", ROLE_IDS, { NULL, "TLK", "DTLK" }, "prefill" },
  { "rollout_routed_experts", ROLE_IDS, { NULL, "TLK", "DTLK" }, NULL },
  { "routed_experts", ROLE_IDS, { NULL, "TLK", "DTLK" }, NULL },
  { "topk_ids", ROLE_IDS, { "TK", NULL, NULL }, NULL },
  { "topk_indices", ROLE_IDS, { "TK", NULL, NULL }, NULL },
  { "topk_idx", ROLE_IDS, { "TK", NULL, NULL }, NULL },
  { "topk_experts", ROLE_IDS, { "TK", NULL, NULL }, NULL },
  { "top_indices", ROLE_IDS, { "TK", NULL, NULL }, NULL },
  { "selected_experts", ROLE_IDS, { "TK", NULL, NULL }, NULL },
  { "expert_ids", ROLE_IDS, { "TK", NULL, NULL }, NULL },
  { "experts", ROLE_IDS, { "TK", "LTK", NULL }, NULL },
  { "topk_weights", ROLE_WEIGHTS, { NULL, NULL, NULL }, NULL },
  { "routing_weights", ROLE_WEIGHTS, { NULL, NULL, NULL }, NULL },
  { "expert_weights", ROLE_WEIGHTS, { NULL, NULL, NULL }, NULL },
  { "weights", ROLE_WEIGHTS, { NULL, NULL, NULL }, NULL },
  { "router_logits", ROLE_SCORES, { "TE", "LTE", NULL }, NULL },
  { "gate_logits", ROLE_SCORES, { "TE", "LTE", NULL }, NULL },
  { "logits", ROLE_SCORES, { "TE", "LTE", NULL }, NULL },
  { "input_ids", ROLE_TOKENS, { NULL, NULL, NULL }, NULL },
  { "token_ids", ROLE_TOKENS, { NULL, NULL, NULL }, NULL },
  { "logical_count", ROLE_COUNTS, { "LE", "DLE", NULL }, NULL },
};

typedef struct
{
  Role role;
  const MsArray *array, *weights; /* weights: as the array, NULL = none */
  int axis[N_AXES];               /* which of the array's, -1 = it has none */
  guint64 size[N_AXES];           /* 1 where there is none */
  gint32 layer;                   /* where there is no axis of layers, -1 = unknown */
  gint32 first;                   /* position of its first token */
  char *document;
  const char *phase;
  guint8 *dense; /* by layer: 1 = only zeros; NULL = no layer is */
  /* A forward pass of SGLang: lengths of its sequences, ids of its tokens, NULL = unknown. */
  const MsPickle *lengths, *ids;
  const MsArray *logical; /* (L, physical) logical ids, NULL = ids are logical */
} Section;

typedef struct
{
  MsSource source;
  const MsImportOptions *options;
  GPtrArray *arrays; /* of MsArray, owned unless a torch file holds them */
  MsPickle *root;    /* of a torch file */
  GPtrArray *sections;
  guint section;
  guint64 at[N_AXES];
  gboolean filler; /* the row of choices at hand is all zeros */
  gint64 n_filler;
  GArray *scores; /* of float */
  GString *name;  /* of the document at hand */
  guint row;
  MsRecordLabel phase;
} ArraySource;

static void
section_free (gpointer data)
{
  Section *section = data;

  g_free (section->document);
  g_free (section->dense);
  g_free (section);
}

/* --- What arrays are ------------------------------------------------------------------------- */

/* What a name says: "req1/layers.3.router_logits" is router_logits of document req1 at layer 3. */
typedef struct
{
  guint name; /* in names, G_N_ELEMENTS (names) = none */
  gint32 layer;
  char *document; /* "" = none */
} Meaning;

/* Whether the word is the name, or the name and a number. */
static gboolean
is_name (const char *word, const char *name, gint32 *layer)
{
  gsize n = strlen (name);
  const char *rest = word + n;

  if (strncmp (word, name, n) != 0)
    return FALSE;
  rest += *rest == '_' || *rest == '-';
  if (*rest == '\0')
    return TRUE;
  if (strspn (rest, "0123456789") != strlen (rest))
    return FALSE;
  *layer = (gint32) MIN (g_ascii_strtoull (rest, NULL, 10), 1000000u);
  return TRUE;
}

static Meaning
understand (const char *text)
{
  const char *slash = strrchr (text, '/');
  g_auto (GStrv) words = g_strsplit (slash != NULL ? slash + 1 : text, ".", -1);
  g_autoptr (GString) document = g_string_new (NULL);
  Meaning meaning = { G_N_ELEMENTS (names), -1, NULL };

  for (guint i = 0; words[i] != NULL; i++)
    {
      gboolean number = *words[i] != '\0' && strspn (words[i], "0123456789") == strlen (words[i]);
      gboolean known = FALSE;

      for (guint j = 0; j < G_N_ELEMENTS (names) && !known; j++)
        if (is_name (words[i], names[j].name, &meaning.layer))
          {
            meaning.name = j;
            known = TRUE;
          }
      if (number)
        meaning.layer = (gint32) MIN (g_ascii_strtoull (words[i], NULL, 10), 1000000u);
      known = known || number || is_name (words[i], "layer", &meaning.layer)
              || is_name (words[i], "layers", &meaning.layer) || strcmp (words[i], "model") == 0
              || strcmp (words[i], "mlp") == 0 || strcmp (words[i], "npy") == 0;
      if (!known && meaning.name == G_N_ELEMENTS (names))
        g_string_append_printf (document, "%s%s", document->len > 0 ? "/" : "", words[i]);
    }
  /* What stands before a slash is the document, unless it only names a layer. */
  if (slash != NULL)
    {
      g_autofree char *before = g_strndup (text, (gsize) (slash - text));

      if (!is_name (before, "layer", &meaning.layer) && !is_name (before, "layers", &meaning.layer))
        g_string_assign (document, before);
    }
  meaning.document = g_string_free (g_steal_pointer (&document), FALSE);
  return meaning;
}

static char *
describe_shape (const MsArray *array)
{
  GString *text = g_string_new ("(");

  for (guint i = 0; i < array->n_dims; i++)
    g_string_append_printf (text, "%s%" G_GUINT64_FORMAT, i > 0 ? ", " : "", array->shape[i]);
  g_string_append_c (text, ')');
  return g_string_free (text, FALSE);
}

/* Gives the section the axes that the letters name. */
static gboolean
take_axes (ArraySource *self, Section *section, const char *axes, GError **error)
{
  g_autofree char *shape = describe_shape (section->array);

  for (guint i = 0; i < N_AXES; i++)
    {
      section->axis[i] = -1;
      section->size[i] = 1;
    }
  if (axes == NULL || strlen (axes) != section->array->n_dims)
    return ms_import_fail (error, self->source.name, 0,
                           "the axes of the array '%s' of shape %s are not known: say them with "
                           "--axes, a letter for each: T (token), L (layer), K (choice), E "
                           "(expert), D (document), for example --axes TLK",
                           section->array->name, shape);
  for (guint i = 0; axes[i] != '\0'; i++)
    {
      const char *letter = strchr (letters, g_ascii_toupper (axes[i]));
      guint axis = letter != NULL ? (guint) (letter - letters) : N_AXES;

      if (axis == N_AXES || section->axis[axis] >= 0)
        return ms_import_fail (error, self->source.name, 0,
                               "--axes %s: each letter is one of D, T, L, K and E, and there once",
                               axes);
      section->axis[axis] = (int) i;
      section->size[axis] = section->array->shape[i];
    }
  if (section->size[AXIS_LAYER] > 100000 || section->size[AXIS_CHOICE] > MS_MAX_EXPERTS
      || section->size[AXIS_EXPERT] > MS_MAX_EXPERTS || section->size[AXIS_TOKEN] > G_MAXINT32 - 1)
    return ms_import_fail (error, self->source.name, 0,
                           "the array '%s' of shape %s is none of routing with the axes %s",
                           section->array->name, shape, axes);
  return TRUE;
}

/* The place of an element in the array. */
static gint64
offset_of (const Section *section, const MsArray *array, const guint64 at[N_AXES])
{
  gint64 offset = 0;

  for (guint i = 0; i < N_AXES; i++)
    if (section->axis[i] >= 0)
      offset += (gint64) at[i] * array->strides[section->axis[i]];
  return offset;
}

/* Whether all choices of one token at one layer are `id`. */
static gboolean
all_are (const Section *section, const guint64 at[N_AXES], gint64 id)
{
  guint64 here[N_AXES];

  memcpy (here, at, sizeof here);
  for (here[AXIS_CHOICE] = 0; here[AXIS_CHOICE] < section->size[AXIS_CHOICE]; here[AXIS_CHOICE]++)
    if (ms_array_whole (section->array, offset_of (section, section->array, here)) != id)
      return FALSE;
  return TRUE;
}

/* Whether all choices of one token at one layer are 0, which no router chooses twice. */
static gboolean
is_filler (const Section *section, const guint64 at[N_AXES])
{
  return section->size[AXIS_CHOICE] > 1 && all_are (section, at, 0);
}

/* Layers that hold only zeros are dense ones: engines make room for every layer of the model. */
static void
find_dense (ArraySource *self, Section *section)
{
  g_autoptr (GString) numbers = g_string_new (NULL);
  g_autofree guint8 *dense = g_new0 (guint8, section->size[AXIS_LAYER]);
  guint64 n = section->size[AXIS_LAYER], found = 0;

  for (guint64 l = 0; l < n; l++)
    {
      guint64 at[N_AXES] = { [AXIS_LAYER] = l };
      gboolean all = TRUE;

      for (; at[AXIS_DOCUMENT] < section->size[AXIS_DOCUMENT] && all; at[AXIS_DOCUMENT]++)
        for (at[AXIS_TOKEN] = 0; at[AXIS_TOKEN] < section->size[AXIS_TOKEN] && all;
             at[AXIS_TOKEN]++)
          all = is_filler (section, at) || all_are (section, at, -1);
      dense[l] = all ? 1 : 0;
      if (all && found++ < 8)
        g_string_append_printf (numbers, "%s%" G_GUINT64_FORMAT, found > 1 ? ", " : "", l);
    }
  if (found == 0 || found == n || section->size[AXIS_TOKEN] == 0)
    return;
  section->dense = g_steal_pointer (&dense);
  ms_source_remark (&self->source, "dense-layers", MS_SEVERITY_NOTE, (gint64) found,
                    "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " layers hold only zeros or -1 "
                    "(%s%s): they are dense and are left out",
                    found, n, numbers->str, found > 8 ? ", ..." : "");
}

/* The array of the role that belongs to the same document and layer as `meaning`. */
static const MsArray *
find_beside (const ArraySource *self, const Meaning *meaning, Role role)
{
  for (guint i = 0; i < self->arrays->len; i++)
    {
      const MsArray *array = self->arrays->pdata[i];
      Meaning other = understand (array->name);
      gboolean same = other.name < G_N_ELEMENTS (names) && names[other.name].role == role
                      && (role == ROLE_TOKENS || other.layer == meaning->layer)
                      && strcmp (other.document, meaning->document) == 0;

      g_free (other.document);
      if (same)
        return array;
    }
  return NULL;
}

static gboolean
same_shape (const MsArray *a, const MsArray *b)
{
  return a->n_dims == b->n_dims && memcmp (a->shape, b->shape, a->n_dims * sizeof *a->shape) == 0;
}

/* An array of one row of L * K choices for each token gets its two axes apart. */
static gboolean
unfold (ArraySource *self, MsArray *array, GError **error)
{
  guint64 n = self->options->n_layers;

  if (array->n_dims != 2 || n == 0)
    return TRUE;
  if (array->shape[1] % n != 0)
    return ms_import_fail (error, self->source.name, 0,
                           "the %" G_GUINT64_FORMAT " columns of the array '%s' are no multiple of "
                           "--layers %" G_GUINT64_FORMAT,
                           array->shape[1], array->name, n);
  array->n_dims = 3;
  array->shape[2] = array->shape[1] / n;
  array->shape[1] = n;
  array->strides[2] = array->strides[1];
  array->strides[1] *= (gint64) array->shape[2];
  return TRUE;
}

/* The axes of an array: told, or those that its tool documents. */
static const char *
choose_axes (const ArraySource *self, const MsArray *array, const Meaning *meaning, Role role)
{
  const char *told = self->options->axes;
  char needed = role == ROLE_IDS ? 'K' : 'E';

  if (told != NULL && strlen (told) == array->n_dims
      && (strchr (told, needed) != NULL || strchr (told, g_ascii_tolower (needed)) != NULL))
    return told;
  if (meaning->name == G_N_ELEMENTS (names) || array->n_dims < 2 || array->n_dims > 4)
    return NULL;
  if (array->n_dims == 2 && role == ROLE_IDS && meaning->layer >= 0)
    return "TK";
  return names[meaning->name].axes[array->n_dims - 2];
}

/* Token ids of a document, as far as its tokens were routed: engines do not route the last one they sample. */
static void
add_tokens (ArraySource *self, const Section *ids, const MsArray *tokens)
{
  Section *section;

  if (tokens == NULL || tokens->n_dims != 1 || tokens->shape[0] < ids->size[AXIS_TOKEN]
      || ids->axis[AXIS_DOCUMENT] >= 0 || ids->first > 0)
    return;
  for (guint i = 0; i < self->sections->len; i++)
    if (((const Section *) self->sections->pdata[i])->array == tokens)
      return;
  section = g_new0 (Section, 1);
  section->role = ROLE_TOKENS;
  section->array = tokens;
  section->document = g_strdup (ids->document);
  for (guint i = 0; i < N_AXES; i++)
    {
      section->axis[i] = -1;
      section->size[i] = 1;
    }
  section->axis[AXIS_TOKEN] = 0;
  section->size[AXIS_TOKEN] = ids->size[AXIS_TOKEN];
  if (tokens->shape[0] > ids->size[AXIS_TOKEN])
    ms_source_remark (&self->source, "unrouted-end", MS_SEVERITY_NOTE,
                      (gint64) (tokens->shape[0] - ids->size[AXIS_TOKEN]),
                      "the last %" G_GUINT64_FORMAT " of the token ids have no decision: an engine "
                      "does not route the token that it samples last",
                      tokens->shape[0] - ids->size[AXIS_TOKEN]);
  g_ptr_array_add (self->sections, section);
}

/* A section for the array, when it is one of decisions, scores or counts. */
static gboolean
add_array (ArraySource *self, MsArray *array, GError **error)
{
  Meaning meaning = understand (array->name);
  g_autofree char *document = meaning.document;
  Role role = meaning.name < G_N_ELEMENTS (names) ? names[meaning.name].role : ROLE_NONE;
  const char *told = self->options->axes;
  Section *section;

  /* An array on its own is what the axes say. */
  if (role == ROLE_NONE && (told != NULL || self->arrays->len == 1))
    role = array->element == MS_ELEMENT_FLOAT || array->element == MS_ELEMENT_BFLOAT ? ROLE_SCORES
                                                                                     : ROLE_IDS;
  if (role == ROLE_WEIGHTS || role == ROLE_TOKENS)
    return TRUE;
  if (role == ROLE_NONE)
    {
      g_ptr_array_add (self->source.unused, g_strdup_printf ("'%s'", array->name));
      return TRUE;
    }
  if (role == ROLE_IDS && meaning.layer < 0 && !unfold (self, array, error))
    return FALSE;
  section = g_new0 (Section, 1);
  g_ptr_array_add (self->sections, section);
  section->role = role;
  section->array = array;
  section->layer = MAX (meaning.layer, 0);
  section->document
      = g_strdup (*document != '\0' && meaning.name < G_N_ELEMENTS (names) ? document : "0");
  section->phase = meaning.name < G_N_ELEMENTS (names) ? names[meaning.name].phase : NULL;
  if (!take_axes (self, section, choose_axes (self, array, &meaning, role), error))
    return FALSE;
  if (role == ROLE_COUNTS)
    self->source.n_experts = (guint) section->size[AXIS_EXPERT];
  if (role != ROLE_COUNTS)
    add_tokens (self, section, find_beside (self, &meaning, ROLE_TOKENS));
  if (role != ROLE_IDS)
    return TRUE;
  section->weights = find_beside (self, &meaning, ROLE_WEIGHTS);
  if (section->weights != NULL && !same_shape (section->weights, array))
    return ms_import_fail (error, self->source.name, 0,
                           "the weights '%s' have not the shape of '%s'", section->weights->name,
                           array->name);
  find_dense (self, section);
  return TRUE;
}

/* What the prompt's decisions leave for the others of the same document: their positions follow, and phases differ. */
static void
join_prompts (ArraySource *self)
{
  for (guint i = 0; i < self->sections->len; i++)
    {
      const Section *prompt = self->sections->pdata[i];

      for (guint j = 0; j < self->sections->len && prompt->phase != NULL; j++)
        {
          Section *rest = self->sections->pdata[j];

          if (rest->role != ROLE_IDS || rest->phase != NULL
              || strcmp (rest->document, prompt->document) != 0)
            continue;
          rest->first = (gint32) prompt->size[AXIS_TOKEN];
          rest->phase = "decode";
          break;
        }
    }
}

static gboolean
add_arrays (ArraySource *self, GError **error)
{
  for (guint i = 0; i < self->arrays->len; i++)
    if (!add_array (self, self->arrays->pdata[i], error))
      return FALSE;
  join_prompts (self);
  if (self->sections->len > 0)
    return TRUE;
  return ms_import_fail (error, self->source.name, 0,
                         "no array of it is one of routing by its name (routed_experts, topk_ids, "
                         "experts, router_logits, ...): give an array on its own with --axes");
}

/* --- Torch files ----------------------------------------------------------------------------- */

/* A forward pass of SGLang's recorder. */
static gboolean
add_pass (ArraySource *self, const MsPickle *pass, const MsPickle *logical, guint number,
          GError **error)
{
  const MsPickle *ids = ms_pickle_get (pass, "topk_ids_of_layer");
  const MsPickle *counts = ms_pickle_get (pass, "global_physical_count");
  const MsPickle *id = ms_pickle_get (pass, "forward_pass_id");
  const MsPickle *array = ids != NULL ? ids : counts;
  Section *section;

  if (array == NULL || array->kind != MS_PICKLE_ARRAY)
    return ms_import_fail (error, self->source.name, 0,
                           "record %u has neither topk_ids_of_layer nor global_physical_count",
                           number);
  section = g_new0 (Section, 1);
  g_ptr_array_add (self->sections, section);
  section->role = ids != NULL ? ROLE_IDS : ROLE_COUNTS;
  section->array = array->array;
  section->document = g_strdup_printf (
      "pass-%" G_GINT64_FORMAT, id != NULL && id->kind == MS_PICKLE_INT ? id->whole : number);
  if (!take_axes (self, section, ids != NULL ? "LTK" : "LE", error))
    return FALSE;
  if (logical != NULL && logical->kind == MS_PICKLE_ARRAY && logical->array->n_dims == 2
      && logical->array->shape[0] == section->size[AXIS_LAYER])
    section->logical = logical->array;
  section->lengths = ms_pickle_get (pass, "extend_seq_lens");
  section->phase = ids == NULL ? NULL
                   : section->lengths != NULL && section->lengths->kind == MS_PICKLE_LIST
                       ? "prefill"
                       : "decode";
  section->ids = ms_pickle_get (pass, "input_ids");
  return TRUE;
}

static gboolean
add_recorded (ArraySource *self, const MsPickle *records, GError **error)
{
  const MsPickle *logical = ms_pickle_get (self->root, "last_physical_to_logical_map");

  if (records->kind != MS_PICKLE_LIST || records->items->len == 0)
    return ms_import_fail (error, self->source.name, 0, "the recorder recorded nothing");
  for (guint i = 0; i < records->items->len; i++)
    if (!add_pass (self, records->items->pdata[i], logical, i, error))
      return FALSE;
  if (((const Section *) self->sections->pdata[0])->logical == NULL)
    ms_source_remark (&self->source, "physical-ids", MS_SEVERITY_DOUBT, 0,
                      "the ids are of physical experts, replicas apart, and the file does not say "
                      "which logical ones they are");
  else
    ms_source_remark (&self->source, "physical-ids", MS_SEVERITY_NOTE, 0,
                      "ids of physical experts were turned into logical ones by the file's last "
                      "map; if experts were moved while it was recorded, earlier ids are wrong");
  return TRUE;
}

/* Tensors by their keys or numbers, as far as dicts and lists hold them. */
static void
gather (ArraySource *self, const MsPickle *value, const char *name)
{
  if (value->kind == MS_PICKLE_ARRAY)
    {
      MsArray *array = g_new0 (MsArray, 1);

      *array = *value->array;
      array->name = g_strdup (name);
      g_bytes_ref (array->bytes);
      g_ptr_array_add (self->arrays, array);
    }
  for (guint i = 0; value->kind == MS_PICKLE_LIST && i < value->items->len; i++)
    {
      g_autofree char *inner = g_strdup_printf ("%s.%u", name, i);

      gather (self, value->items->pdata[i], inner);
    }
  for (guint i = 0; value->kind == MS_PICKLE_DICT && i + 1 < value->items->len; i += 2)
    {
      const MsPickle *key = value->items->pdata[i];
      g_autofree char *word = key->kind == MS_PICKLE_TEXT
                                  ? ms_text_printable (key->text, -1)
                                  : g_strdup_printf ("%" G_GINT64_FORMAT, key->whole);
      g_autofree char *inner
          = *name != '\0' ? g_strdup_printf ("%s/%s", name, word) : g_strdup (word);

      gather (self, value->items->pdata[i + 1], inner);
    }
}

/* What a torch file holds; a tuple of tensors is Hugging Face's router_logits, a tensor for each MoE layer. */
static gboolean
add_torch (ArraySource *self, GError **error)
{
  const MsPickle *records = ms_pickle_get (self->root, "records");

  if (records != NULL)
    return add_recorded (self, records, error);
  gather (self, self->root,
          self->root->kind == MS_PICKLE_LIST    ? "router_logits"
          : self->root->kind == MS_PICKLE_ARRAY ? "array"
                                                : "");
  return add_arrays (self, error);
}

/* --- Records --------------------------------------------------------------------------------- */

/* The document and position of a token of a pass whose sequences lie one after the other. */
static void
place_in_pass (ArraySource *self, const Section *section, guint64 token, MsRecord *record)
{
  gint64 before = 0;

  if (section->lengths == NULL || section->lengths->kind != MS_PICKLE_LIST)
    return;
  for (guint i = 0; i < section->lengths->items->len; i++)
    {
      const MsPickle *length = section->lengths->items->pdata[i];

      if ((gint64) token < before + length->whole)
        {
          g_string_append_printf (self->name, ".%u", i);
          record->token = (gint32) ((gint64) token - before);
          return;
        }
      before += length->whole;
    }
}

/* The logical id of a physical one. */
static gint64
to_logical (const Section *section, guint64 layer, gint64 id)
{
  const MsArray *map = section->logical;

  if (map == NULL || id < 0 || (guint64) id >= map->shape[1])
    return id;
  return ms_array_whole (map, (gint64) layer * map->strides[0] + id * map->strides[1]);
}

static gboolean
give_choice (ArraySource *self, const Section *section, MsRecord *record, GError **error)
{
  gint64 offset = offset_of (section, section->array, self->at);
  gint64 id = ms_array_whole (section->array, offset);
  gint64 none = section->array->element == MS_ELEMENT_UNSIGNED && section->array->size < 8
                    ? (G_GINT64_CONSTANT (1) << (8 * section->array->size)) - 1
                    : -1;

  if (self->at[AXIS_CHOICE] == 0)
    {
      self->filler = is_filler (section, self->at);
      self->n_filler += self->filler;
    }
  record->kind = MS_RECORD_DECISION;
  record->fields = MS_FIELD_LAYER | MS_FIELD_RANK;
  record->rank = (gint32) self->at[AXIS_CHOICE];
  if (section->weights != NULL)
    {
      record->weight = (float) ms_array_real (section->weights,
                                              offset_of (section, section->weights, self->at));
      record->fields |= MS_FIELD_WEIGHT;
    }
  if (id == none || id == -1 || self->filler)
    {
      record->valid = FALSE;
      record->fields |= MS_FIELD_VALID | MS_FIELD_SENTINEL;
      return TRUE;
    }
  id = to_logical (section, self->at[AXIS_LAYER], id);
  if (id < 0 || id >= MS_MAX_EXPERTS)
    return ms_import_fail (
        error, self->source.name, record->line,
        "the array '%s' has the expert %" G_GINT64_FORMAT " of token %d at layer %d, which is none",
        section->array->name != NULL ? section->array->name : "topk_ids_of_layer", id,
        record->token, record->layer);
  record->expert = (gint32) id;
  if (section->ids != NULL && section->ids->kind == MS_PICKLE_LIST
      && self->at[AXIS_TOKEN] < section->ids->items->len)
    {
      const MsPickle *token = section->ids->items->pdata[self->at[AXIS_TOKEN]];

      record->token_id = (gint32) CLAMP (token->whole, -1, G_MAXINT32);
      record->fields |= MS_FIELD_TOKEN_ID;
    }
  return TRUE;
}

/* The count of a logical expert: the sum over its replicas. */
static gboolean
give_count (ArraySource *self, const Section *section, MsRecord *record, GError **error)
{
  guint64 at[N_AXES];
  gint64 count = 0;

  memcpy (at, self->at, sizeof at);
  record->kind = MS_RECORD_COUNT;
  record->fields = MS_FIELD_LAYER;
  record->expert = (gint32) at[AXIS_EXPERT];
  if (section->logical == NULL)
    count = (gint64) ms_array_real (section->array, offset_of (section, section->array, at));
  for (at[AXIS_EXPERT] = 0;
       section->logical != NULL && at[AXIS_EXPERT] < section->size[AXIS_EXPERT]; at[AXIS_EXPERT]++)
    if (to_logical (section, at[AXIS_LAYER], (gint64) at[AXIS_EXPERT]) == record->expert)
      count += ms_array_whole (section->array, offset_of (section, section->array, at));
  if (count < 0)
    return ms_import_fail (error, self->source.name, record->line,
                           "the count of expert %d at layer %d is negative", record->expert,
                           record->layer);
  record->count = (guint64) count;
  return TRUE;
}

static void
give_scores (ArraySource *self, const Section *section, MsRecord *record)
{
  guint64 at[N_AXES];

  memcpy (at, self->at, sizeof at);
  record->kind = MS_RECORD_SCORES;
  record->fields = MS_FIELD_LAYER;
  g_array_set_size (self->scores, (guint) section->size[AXIS_EXPERT]);
  for (at[AXIS_EXPERT] = 0; at[AXIS_EXPERT] < section->size[AXIS_EXPERT]; at[AXIS_EXPERT]++)
    g_array_index (self->scores, float, at[AXIS_EXPERT])
        = (float) ms_array_real (section->array, offset_of (section, section->array, at));
  record->values = (const float *) (void *) self->scores->data;
  record->n_values = self->scores->len;
}

/* Moves on; FALSE at the end of the section. */
static gboolean
advance (ArraySource *self, const Section *section)
{
  static const Axis order[] = { AXIS_DOCUMENT, AXIS_TOKEN, AXIS_LAYER, AXIS_CHOICE, AXIS_EXPERT };

  for (guint i = N_AXES; i-- > 0;)
    {
      Axis axis = order[i];

      if (axis == AXIS_EXPERT && section->role == ROLE_SCORES)
        continue;
      if (++self->at[axis] < section->size[axis])
        return TRUE;
      self->at[axis] = 0;
    }
  return FALSE;
}

/* The section at hand with elements; NULL after the last. */
static const Section *
current (ArraySource *self)
{
  while (self->section < self->sections->len)
    {
      const Section *section = self->sections->pdata[self->section];
      gboolean empty = FALSE;

      for (guint i = 0; i < N_AXES; i++)
        empty = empty || section->size[i] == 0;
      if (!empty)
        return section;
      self->section++;
    }
  return NULL;
}

static gboolean
array_next (MsSource *source, MsRecord *record, gboolean *more, GError **error)
{
  ArraySource *self = (ArraySource *) source;
  const Section *section = current (self);
  gboolean good = TRUE;

  while (section != NULL && section->dense != NULL && section->dense[self->at[AXIS_LAYER]])
    {
      self->section += !advance (self, section);
      section = current (self);
    }
  *more = section != NULL;
  if (section == NULL)
    {
      if (self->n_filler > 0)
        ms_source_remark (source, "zero-rows", MS_SEVERITY_DOUBT, self->n_filler,
                          "%" G_GINT64_FORMAT " rows hold the expert 0 in every place: they are an "
                          "engine's filler and are left out",
                          self->n_filler);
      return TRUE;
    }
  g_string_assign (self->name, section->document);
  if (section->axis[AXIS_DOCUMENT] >= 0)
    g_string_append_printf (self->name, "-%" G_GUINT64_FORMAT, self->at[AXIS_DOCUMENT]);
  *record = (MsRecord){ .line = ++self->row,
                        .token = (gint32) self->at[AXIS_TOKEN] + section->first,
                        .layer = section->axis[AXIS_LAYER] >= 0 ? (gint32) self->at[AXIS_LAYER]
                                                                : section->layer,
                        .valid = TRUE,
                        .token_id = -1,
                        .predicted = -1,
                        .weight = NAN,
                        .loss = NAN };
  place_in_pass (self, section, self->at[AXIS_TOKEN], record);
  record->sequence = self->name->str;
  if (section->phase != NULL)
    {
      self->phase = (MsRecordLabel){ g_intern_static_string ("phase"), section->phase, FALSE };
      record->labels = &self->phase;
      record->n_labels = 1;
    }
  if (section->role == ROLE_SCORES)
    give_scores (self, section, record);
  else if (section->role == ROLE_COUNTS)
    good = give_count (self, section, record, error);
  else if (section->role == ROLE_TOKENS)
    {
      gint64 id = ms_array_whole (section->array, offset_of (section, section->array, self->at));

      record->kind = MS_RECORD_TOKEN;
      record->fields = MS_FIELD_TOKEN_ID;
      record->token_id = (gint32) id;
      good = (id >= 0 && id <= G_MAXINT32)
             || ms_import_fail (error, source->name, record->line,
                                "the array '%s' has the token id %" G_GINT64_FORMAT
                                ", which is none",
                                section->array->name, id);
    }
  else
    good = give_choice (self, section, record, error);
  if (good && !advance (self, section))
    self->section++;
  return good;
}

/* --- Responses ------------------------------------------------------------------------------- */

/* Whole numbers of nested lists, one after the other, and their shape; FALSE where lists of one depth differ in
 * length, or something else stands in them. */
static gboolean
flatten (const MsJsonSlice *list, guint depth, MsArray *array, GByteArray *values)
{
  const char *at = list->text;
  MsJsonSlice value;
  guint64 n = 0;
  gboolean known = depth < array->n_dims;

  if (depth == 4)
    return FALSE;
  if (!known)
    array->n_dims = depth + 1;
  while (ms_json_slice_next (&at, NULL, &value))
    {
      n++;
      if (*value.text == '[')
        {
          if (!flatten (&value, depth + 1, array, values))
            return FALSE;
          continue;
        }
      if (depth + 1 < array->n_dims || (!g_ascii_isdigit (*value.text) && *value.text != '-'))
        return FALSE;
      {
        guint32 word = GUINT32_TO_LE ((guint32) g_ascii_strtoll (value.text, NULL, 10));

        g_byte_array_append (values, (const guint8 *) &word, 4);
      }
    }
  if (known && n != array->shape[depth])
    return FALSE;
  array->shape[depth] = n;
  return TRUE;
}

/* The bytes of int32 in base64, whose shape the options tell. */
static gboolean
unpack_text (ArraySource *self, const MsJsonSlice *text, MsArray *array, GByteArray *values,
             GError **error)
{
  g_autofree char *packed = g_strndup (text->text + 1, text->length - 2);
  guint64 row = (guint64) self->options->n_layers * self->options->k;
  gsize n = 0;
  guchar *bytes;

  if (row == 0)
    return ms_import_fail (
        error, self->source.name, 0,
        "'%s' is packed and does not tell its shape: give --layers N (all of the "
        "model, dense ones too) and --top-k K",
        array->name);
  bytes = g_base64_decode (packed, &n);
  g_byte_array_append (values, bytes, (guint) n);
  g_free (bytes);
  if (n == 0 || n % (4 * row) != 0)
    return ms_import_fail (error, self->source.name, 0,
                           "'%s' has %" G_GSIZE_FORMAT
                           " bytes, which are no rows of %u layers and %u "
                           "choices",
                           array->name, n, self->options->n_layers, self->options->k);
  array->n_dims = 3;
  array->shape[0] = n / (4 * row);
  array->shape[1] = self->options->n_layers;
  array->shape[2] = self->options->k;
  return TRUE;
}

static gboolean
add_response_array (ArraySource *self, const char *document, const char *name,
                    const MsJsonSlice *value, GError **error)
{
  g_autoptr (MsArray) array = g_new0 (MsArray, 1);
  g_autoptr (GByteArray) values = g_byte_array_new ();
  gint64 n = 1;

  array->name = g_strdup_printf ("%s/%s", document, name);
  array->element = MS_ELEMENT_SIGNED;
  array->size = 4;
  if (*value->text == '"' ? !unpack_text (self, value, array, values, error)
                          : !flatten (value, 0, array, values) || array->n_dims != 3)
    return (error != NULL && *error != NULL)
               ? FALSE
               : ms_import_fail (error, self->source.name, 0,
                                 "'%s' is no list of (token, layer, choice)", array->name);
  for (guint i = array->n_dims; i-- > 0;)
    {
      array->strides[i] = n;
      n *= (gint64) array->shape[i];
    }
  array->n = (guint64) n;
  array->bytes = g_byte_array_free_to_bytes (g_steal_pointer (&values));
  array->data = g_bytes_get_data (array->bytes, NULL);
  g_ptr_array_add (self->arrays, g_steal_pointer (&array));
  return TRUE;
}

/* Adds what the object holds of routing, wherever in it; `document` is the name that the objects around gave. */
static gboolean
search_response (ArraySource *self, const char *text, const char *document, GError **error)
{
  static const char *const ids[] = { "id", "rid", "request_id" };
  g_autoptr (GString) own = g_string_new (NULL);
  const char *at = text;
  MsJsonSlice name, value;
  gboolean object = *text == '{';
  guint element = 0;

  for (guint i = 0; object && i < G_N_ELEMENTS (ids) && own->len == 0; i++)
    if (ms_json_slice_member (text, ids[i], &value) && *value.text != '{' && *value.text != '[')
      ms_json_slice_append (own, &value);
  if (own->len == 0)
    g_string_append (own, document);
  for (guint i = 0; i < own->len; i++)
    own->str[i] = strchr ("/.", own->str[i]) != NULL ? '-' : own->str[i];
  while (ms_json_slice_next (&at, object ? &name : NULL, &value))
    {
      g_autofree char *key = object ? g_strndup (name.text, name.length) : NULL;
      g_autofree char *inner = object || element == 0
                                   ? g_strdup (own->str)
                                   : g_strdup_printf ("%s-%u", own->str, element);

      element++;
      if (key != NULL
          && (strcmp (key, "routed_experts") == 0 || strcmp (key, "prompt_routed_experts") == 0)
          && (*value.text == '"' || *value.text == '['))
        {
          if (!add_response_array (self, own->str, key, &value, error))
            return FALSE;
        }
      else if ((*value.text == '{' || (*value.text == '[' && g_strcmp0 (key, "choices") == 0))
               && !search_response (self, value.text, inner, error))
        return FALSE;
    }
  return TRUE;
}

#define RESPONSE_DEPTH 16

/* Objects one a line, or one value in all. */
static gboolean
read_responses (ArraySource *self, GBytes *bytes, GError **error)
{
  gsize n;
  const char *data = g_bytes_get_data (bytes, &n);
  g_autofree char *text = g_strndup (data, n);
  const char *objection = ms_json_objection (text, strlen (text), RESPONSE_DEPTH);
  g_auto (GStrv) lines = NULL;

  if (objection == NULL)
    {
      const char *at = text + strspn (text, " \t\r\n");
      MsJsonSlice value;
      guint i = 0;

      if (*at == '{')
        return search_response (self, at, "response-0", error) && add_arrays (self, error);
      while (ms_json_slice_next (&at, NULL, &value))
        {
          g_autofree char *document = g_strdup_printf ("response-%u", i++);

          if (*value.text == '{' && !search_response (self, value.text, document, error))
            return FALSE;
        }
      return add_arrays (self, error);
    }
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_autofree char *document = g_strdup_printf ("response-%u", i);
      const char *at = lines[i] + strspn (lines[i], " \t\r");

      if (*at == '\0')
        continue;
      objection = ms_json_objection (at, strlen (at), RESPONSE_DEPTH);
      if (objection != NULL || *at != '{')
        return ms_import_fail (error, self->source.name, i + 1, "this is no JSON object (%s)",
                               objection != NULL ? objection : "it does not begin with '{'");
      if (!search_response (self, at, document, error))
        return FALSE;
    }
  return add_arrays (self, error);
}

/* --- Files ----------------------------------------------------------------------------------- */

static void
array_close (MsSource *source)
{
  ArraySource *self = (ArraySource *) source;

  g_ptr_array_unref (self->sections);
  g_ptr_array_unref (self->arrays);
  ms_pickle_unref (self->root);
  g_array_unref (self->scores);
  g_string_free (self->name, TRUE);
  ms_source_clear (source);
  g_free (self);
}

/* The arrays of an npz archive; parts that are no numbers are named. */
static gboolean
read_npz (ArraySource *self, GBytes *bytes, GError **error)
{
  g_autoptr (GPtrArray) parts
      = ms_zip_read (self->source.name, bytes, G_GUINT64_CONSTANT (1) << 34, error);

  for (guint i = 0; parts != NULL && i < parts->len; i++)
    {
      const MsZipPart *part = parts->pdata[i];
      g_autofree char *name = ms_text_printable (part->name, -1);
      g_autoptr (GError) failure = NULL;
      MsArray *array;

      if (g_str_has_suffix (name, ".npy"))
        name[strlen (name) - 4] = '\0';
      array = ms_array_from_npy (self->source.name, name, part->bytes, &failure);
      if (array != NULL)
        g_ptr_array_add (self->arrays, array);
      else if (strstr (failure->message, "ends") == NULL)
        g_ptr_array_add (self->source.unused, g_strdup_printf ("'%s'", name));
      else
        {
          g_propagate_error (error, g_steal_pointer (&failure));
          return FALSE;
        }
    }
  return parts != NULL && add_arrays (self, error);
}

static gboolean
read_npy (ArraySource *self, GBytes *bytes, GError **error)
{
  g_autofree char *base = g_path_get_basename (self->source.name);
  g_autofree char *name = ms_text_printable (base, -1);
  MsArray *array = ms_array_from_npy (self->source.name, name, bytes, error);

  if (array == NULL)
    return FALSE;
  g_ptr_array_add (self->arrays, array);
  return add_arrays (self, error);
}

static gboolean
read_safetensors (ArraySource *self, GBytes *bytes, GError **error)
{
  GPtrArray *arrays = ms_arrays_from_safetensors (self->source.name, bytes, error);

  if (arrays == NULL)
    return FALSE;
  g_ptr_array_unref (self->arrays);
  self->arrays = arrays;
  return add_arrays (self, error);
}

static gboolean
read_torch (ArraySource *self, GBytes *bytes, GError **error)
{
  self->root = ms_torch_read (self->source.name, bytes, error);
  return self->root != NULL && add_torch (self, error);
}

typedef gboolean (*ReadFunc) (ArraySource *self, GBytes *bytes, GError **error);

static MsSource *
open_with (MsFileReader *input, const MsImportOptions *options, const MsFormat *format,
           ReadFunc reading, GError **error)
{
  static const guint kinds[]
      = { MS_RECORD_DECISION, 0, MS_RECORD_SCORES, MS_RECORD_TOKEN, MS_RECORD_COUNT };
  ArraySource *self = g_new0 (ArraySource, 1);
  g_autoptr (GBytes) bytes = ms_file_reader_take_all (input, G_MAXUINT / 2, error);

  ms_source_init (&self->source, format, input);
  ms_file_reader_free (input);
  self->options = options;
  self->arrays = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_array_free);
  self->sections = g_ptr_array_new_with_free_func (section_free);
  self->scores = g_array_new (FALSE, FALSE, sizeof (float));
  self->name = g_string_new (NULL);
  if (bytes != NULL && reading (self, bytes, error))
    {
      for (guint i = 0; i < self->sections->len; i++)
        self->source.kinds |= 1u << kinds[((const Section *) self->sections->pdata[i])->role];
      return &self->source;
    }
  array_close (&self->source);
  return NULL;
}

static MsSource *
npz_open (MsFileReader *input, const MsImportOptions *options, GError **error)
{
  return open_with (input, options, &ms_format_npz, read_npz, error);
}

static MsSource *
npy_open (MsFileReader *input, const MsImportOptions *options, GError **error)
{
  return open_with (input, options, &ms_format_npy, read_npy, error);
}

static MsSource *
safetensors_open (MsFileReader *input, const MsImportOptions *options, GError **error)
{
  return open_with (input, options, &ms_format_safetensors, read_safetensors, error);
}

static MsSource *
torch_open (MsFileReader *input, const MsImportOptions *options, GError **error)
{
  return open_with (input, options, &ms_format_torch, read_torch, error);
}

static MsSource *
responses_open (MsFileReader *input, const MsImportOptions *options, GError **error)
{
  return open_with (input, options, &ms_format_responses, read_responses, error);
}

static guint
responses_sniff (const char *head, gsize n, const char *name)
{
  gsize blank = 0;

  (void) name;
  while (blank < n && g_ascii_isspace (head[blank]))
    blank++;
  return blank < n && (head[blank] == '{' || head[blank] == '[')
                 && memmem (head, n, "routed_experts\"", strlen ("routed_experts\"")) != NULL
             ? 90
             : 0;
}

static guint
npy_sniff (const char *head, gsize n, const char *name)
{
  (void) name;
  return n >= 6 && memcmp (head, "\x93NUMPY", 6) == 0 ? 100 : 0;
}

/* The first part of an archive tells who wrote it. */
static guint
zip_sniff (const char *head, gsize n, gboolean npy)
{
  g_autofree char *part = NULL;

  if (n < 30 || memcmp (head, "PK\3\4", 4) != 0)
    return 0;
  part = g_strndup (head + 30, MIN (n - 30, (guint8) head[26] | (gsize) (guint8) head[27] << 8));
  return g_str_has_suffix (part, ".npy") == npy ? 100 : 0;
}

static guint
npz_sniff (const char *head, gsize n, const char *name)
{
  (void) name;
  return zip_sniff (head, n, TRUE);
}

static guint
torch_sniff (const char *head, gsize n, const char *name)
{
  (void) name;
  return zip_sniff (head, n, FALSE);
}

static guint
safetensors_sniff (const char *head, gsize n, const char *name)
{
  (void) name;
  return n > 10 && head[8] == '{' && head[5] == 0 && head[6] == 0 && head[7] == 0 ? 100 : 0;
}

#define ARRAYS                                                                                     \
  "  routed_experts           (token, layer, choice); two axes with --layers N; vLLM, SGLang, "    \
  "and\n"                                                                                          \
  "                           frameworks that replay routing; prompt_routed_experts goes before "  \
  "it\n"                                                                                           \
  "  experts                  (layer, token, choice); llama-moe-trace\n"                           \
  "  topk_ids, top_indices, selected_experts, ...  (token, choice), the layer in the name\n"       \
  "  topk_weights, weights, routing_weights        of the same shape as the ids\n"                 \
  "  router_logits, logits    (token, expert), the layer in the name; or (layer, token, expert)\n" \
  "  input_ids, token_ids     (token)\n"                                                           \
  "What stands before such a name is the document: 'req1/routed_experts'.  Other axes are told\n"  \
  "with --axes.  -1 and rows of zeros are padding; layers of zeros are dense and left out.\n"

const MsFormat ms_format_npy = {
  .about = {
    .name = "npy",
    .title = "NumPy array",
    .extensions = (const char *const[]){ "npy", NULL },
    .help = "One array; its name, that of the file, says what it is:\n" ARRAYS,
  },
  .sniff = npy_sniff,
  .open = npy_open,
  .next = array_next,
  .close = array_close,
};

const MsFormat ms_format_npz = {
  .about = {
    .name = "npz",
    .title = "NumPy archive",
    .extensions = (const char *const[]){ "npz", NULL },
    .help = "Arrays by name, as those of an .npy file; parts that are no numbers are named.\n",
  },
  .sniff = npz_sniff,
  .open = npz_open,
  .next = array_next,
  .close = array_close,
};

const MsFormat ms_format_safetensors = {
  .about = {
    .name = "safetensors",
    .title = "Safetensors",
    .extensions = (const char *const[]){ "safetensors", NULL },
    .help = "Arrays by name, as those of an .npy file.\n",
  },
  .sniff = safetensors_sniff,
  .open = safetensors_open,
  .next = array_next,
  .close = array_close,
};

const MsFormat ms_format_torch = {
  .about = {
    .name = "torch",
    .title = "Torch file",
    .extensions = (const char *const[]){ "pt", "pth", NULL },
    .help
    = "Files of torch.save, read without executing anything; other objects than tensors, dicts,\n"
      "lists, numbers and texts are refused:\n"
      "  SGLang's expert distribution recorder: stat (counts of each step), per_pass (counts of\n"
      "  each pass) and per_token; physical ids become logical by the file's map\n"
      "  a tuple of tensors        router_logits of Hugging Face, a tensor for each MoE layer\n"
      "  a dict of tensors         arrays by name, as those of an .npy file\n",
  },
  .sniff = torch_sniff,
  .open = torch_open,
  .next = array_next,
  .close = array_close,
};

const MsFormat ms_format_responses = {
  .about = {
    .name = "responses",
    .title = "Responses of servers",
    .extensions = (const char *const[]){ "json", NULL },
    .help
    = "JSON responses of vLLM and SGLang with routed_experts (and prompt_routed_experts), wherever\n"
      "in them: lists of (token, layer, choice), or base64 of int32 with --layers N --top-k K.\n"
      "Objects one a line, a list of them, or one; id, rid or request_id names the document.\n",
  },
  .sniff = responses_sniff,
  .open = responses_open,
  .next = array_next,
  .close = array_close,
};
