/* Records of all inputs become rows of one shape.
 *
 * Every input is opened once, in the order given, and read in the order of what it holds: decisions
 * first, for they say which sequences there are.  So pipes are as good as files. */
#include "import-private.h"

#include <math.h>
#include <string.h>

static const char *const kind_names[MS_RECORD_N_KINDS]
    = { "decisions",    "router scores", "router scores", "expert outputs", "outcomes",
        "similarities", "token ids",     "labels",        "counts" };

int
ms_import_row_compare (gconstpointer a, gconstpointer b)
{
  const MsImportRow *x = a, *y = b;

#define COMPARE(field)                                                                             \
  if (x->field != y->field)                                                                        \
  return x->field < y->field ? -1 : 1
  COMPARE (sequence);
  COMPARE (token);
  COMPARE (layer);
  COMPARE (slot);
#undef COMPARE
  return 0;
}

gboolean
ms_import_row_same (const MsImportRow *a, const MsImportRow *b)
{
  return a->sequence == b->sequence && a->token == b->token && a->layer == b->layer;
}

const char *
ms_importer_sequence (const MsImporter *importer, guint32 sequence)
{
  return ((const MsDocument *) importer->documents->pdata[sequence])->name;
}

/* --- One record ------------------------------------------------------------------------------ */

const char *
ms_import_row_file (const MsImporter *importer, const MsImportRow *row)
{
  return importer->files->pdata[row->file];
}

/* The number of the sequence called `name`; records that bring decisions add new ones. */
static gboolean
number_sequence (MsImporter *importer, const MsSource *source, const MsRecord *record,
                 const char *name, guint32 *number, GError **error)
{
  gpointer known;
  g_autofree char *clean = NULL;
  MsDocument *document;
  gboolean first
      = record->kind == MS_RECORD_DECISION || record->kind == MS_RECORD_COUNT
        || (source->kinds & (1u << MS_RECORD_DECISION))
        || (record->kind <= MS_RECORD_SCORE && importer->tables[MS_RECORD_DECISION].file == NULL);

  if (importer->documents->len > 0
      && strcmp (name, ms_importer_sequence (importer, importer->last_sequence)) == 0)
    {
      *number = importer->last_sequence;
      return TRUE;
    }
  known = g_hash_table_lookup (importer->sequences, name);

  if (known != NULL)
    {
      *number = importer->last_sequence = GPOINTER_TO_UINT (known) - 1;
      return TRUE;
    }
  clean = ms_text_printable (name, -1);
  if (!first)
    return ms_import_fail (error, source->name, record->line, "sequence '%s' has no decisions",
                           clean);
  if (strcmp (clean, name) != 0 || *clean == '\0')
    return ms_import_fail (error, source->name, record->line, "'%s' is no name of a sequence",
                           clean);
  *number = importer->last_sequence = importer->documents->len;
  document = g_new0 (MsDocument, 1);
  document->name = g_steal_pointer (&clean);
  g_ptr_array_add (importer->documents, document);
  g_hash_table_insert (importer->sequences, document->name, GUINT_TO_POINTER (*number + 1));
  return TRUE;
}

/* Where a sequence stands at a layer. */
typedef struct
{
  gint32 token, rank; /* last seen */
  guint passes;       /* before this one */
  gint32 before;      /* tokens of these */
} Standing;

/* What restarts of positions make of the record's place: *name is that of its pass (to be freed), *token its
 * position. */
static void
follow_restarts (MsImporter *importer, const MsRecord *record, guint32 sequence, char **name,
                 gint32 *token)
{
  gsize key = (gsize) sequence << 24 | (gsize) (guint32) record->layer;
  Standing *at = g_hash_table_lookup (importer->restarts, GSIZE_TO_POINTER (key));
  gboolean decides = record->kind == MS_RECORD_DECISION;

  if (at == NULL)
    {
      at = g_new (Standing, 1);
      *at = (Standing){ .token = -1, .rank = -1 };
      g_hash_table_insert (importer->restarts, GSIZE_TO_POINTER (key), at);
    }
  if (decides
      && (record->token < at->token || (record->token == at->token && record->rank <= at->rank)))
    {
      importer->n_restarts++;
      at->passes++;
      at->before += at->token + 1;
    }
  if (decides)
    {
      at->token = record->token;
      at->rank = record->rank;
    }
  if (importer->options->restarts == MS_IMPORT_RESTARTS_CONTINUE)
    *token += at->before;
  else if (at->passes > 0)
    *name = g_strdup_printf ("%s#%u", record->sequence, at->passes + 1);
}

/* The number of a name of a stage or destination. */
static gint32
number_name (MsImportNames *names, const char *name)
{
  gpointer known = g_hash_table_lookup (names->numbers, name);

  if (known == NULL)
    {
      char *copy = ms_text_printable (name, -1);

      g_ptr_array_add (names->names, copy);
      g_hash_table_insert (names->numbers, copy, known = GUINT_TO_POINTER (names->names->len));
    }
  return (gint32) GPOINTER_TO_UINT (known) - 1;
}

/* Turns the names of the record into numbers. */
static gboolean
take_names (MsImporter *importer, const MsSource *source, MsRecord *record, GError **error)
{
  if (record->layer_name != NULL)
    record->layer = number_name (&importer->stages, record->layer_name);
  else
    importer->stages.numbered |= (record->fields & MS_FIELD_LAYER) != 0;
  if (record->expert_name != NULL)
    record->expert = number_name (&importer->destinations, record->expert_name);
  else
    importer->destinations.numbered
        |= record->kind != MS_RECORD_TOKEN && record->kind != MS_RECORD_LABELS;
  return importer->destinations.names->len < MS_MAX_EXPERTS
         || ms_import_fail (error, source->name, record->line,
                            "there are more than %u destinations", MS_MAX_EXPERTS);
}

/* The id that a decision repeats for every layer and rank: taken once for each run of rows of a token. */
static void
take_token_id (MsImporter *importer, const MsSource *source, const MsRecord *record,
               const MsImportRow *row)
{
  MsImportTable *tokens = &importer->tables[MS_RECORD_TOKEN];
  MsImportRow token
      = { row->sequence, row->token, 0, 0, row->file, row->line, record->token_id, -1, NAN, 0 };
  const MsImportRow *last;

  if (record->token_id < 0 || (tokens->file != NULL && !importer->ids_beside))
    return;
  if (tokens->file == NULL)
    tokens->file = g_strdup (source->name);
  importer->ids_beside = TRUE;
  last = tokens->rows->len > 0 ? ms_import_row (tokens, tokens->rows->len - 1) : NULL;
  if (last == NULL || !ms_import_row_same (last, &token) || last->value != token.value)
    g_array_append_val (tokens->rows, token);
}

static gboolean
take_decision (MsImporter *importer, const MsSource *source, const MsRecord *record,
               MsImportRow *row, GError **error)
{
  guint n = importer->options->n_experts;

  if (n > 0 && record->valid && record->expert_name == NULL && (guint) record->expert >= n)
    return ms_import_fail (
        error, source->name, record->line,
        "there is no expert %d: with --experts %u they are 0 to %u%s", record->expert, n, n - 1,
        (guint) record->expert == n ? "; if the ids count from 1, subtract 1 from all" : "");
  row->slot = (guint16) record->rank;
  row->value = record->valid ? record->expert : -1;
  row->second = record->dropped | (record->fields & MS_FIELD_RANK ? 0 : MS_IMPORT_UNRANKED);
  importer->n_sentinels += (record->fields & MS_FIELD_SENTINEL) != 0;
  row->a = record->weight; /* a missing weight is undefined, not 1 */
  row->b = record->norm;
  take_token_id (importer, source, record, row);
  return TRUE;
}

/* Norm and largest element of an expert's output. */
static void
take_output (const MsRecord *record, MsImportRow *row)
{
  double squares = 0;

  row->b = -G_MAXFLOAT;
  for (guint i = 0; i < record->n_values; i++)
    {
      squares += (double) record->values[i] * (double) record->values[i];
      row->b = MAX (row->b, record->values[i]);
    }
  row->a = (float) sqrt (squares);
  row->slot = (guint16) record->expert;
}

/* The place of the record: sequence, token and layer. */
static gboolean
take_place (MsImporter *importer, const MsSource *source, MsRecord *record, MsImportRow *row,
            GError **error)
{
  g_autofree char *pass = NULL;

  if (!take_names (importer, source, record, error)
      || !number_sequence (importer, source, record, record->sequence, &row->sequence, error))
    return FALSE;
  if (importer->restarts != NULL && (source->kinds & (1u << MS_RECORD_DECISION)))
    {
      follow_restarts (importer, record, row->sequence, &pass, &record->token);
      if (pass != NULL && !number_sequence (importer, source, record, pass, &row->sequence, error))
        return FALSE;
    }
  row->line = record->line;
  row->token = record->token;
  row->layer = record->layer;
  return TRUE;
}

static gboolean
take_record (MsImporter *importer, const MsSource *source, guint file, MsRecord *record,
             GError **error)
{
  MsImportTable *table = &importer->tables[record->kind];
  MsImportRow row = { .file = (guint16) file };

  if (!take_place (importer, source, record, &row, error))
    return FALSE;
  table->fields |= record->fields;
  if (record->n_labels > 0)
    ms_import_labels_take (importer->labels, record, row.sequence,
                           record->kind == MS_RECORD_COUNT ? -1 : row.token);
  switch (record->kind)
    {
    case MS_RECORD_DECISION:
      if (!take_decision (importer, source, record, &row, error))
        return FALSE;
      break;
    case MS_RECORD_SCORES:
      if (importer->n_scores > 0 && importer->n_scores != record->n_values)
        return ms_import_fail (error, source->name, record->line, "%u scores, but %u before",
                               record->n_values, importer->n_scores);
      importer->n_scores = record->n_values;
      row.value = (gint32) (importer->scores->len / importer->n_scores);
      g_array_append_vals (importer->scores, record->values, record->n_values);
      break;
    case MS_RECORD_SCORE:
    case MS_RECORD_OUTCOME:
      row.slot = (guint16) record->expert;
      row.a = record->value;
      break;
    case MS_RECORD_OUTPUT:
      take_output (record, &row);
      break;
    case MS_RECORD_SIMILARITY:
      row.a = record->value;
      break;
    case MS_RECORD_LABELS:
      break;
    case MS_RECORD_COUNT:
      row.token = 0;
      row.slot = (guint16) record->expert;
      row.value = (gint32) (guint32) record->count;
      row.second = (gint32) (guint32) (record->count >> 32);
      break;
    default:
      importer->ids_told
          |= record->token_id >= 0 || record->predicted >= 0 || !isnan (record->loss);
      row.value = record->token_id;
      row.second = record->predicted;
      row.a = record->loss;
    }
  g_array_append_val (table->rows, row);
  return TRUE;
}

/* --- Files ----------------------------------------------------------------------------------- */

static MsSource *
open_source (const MsImporter *importer, const char *path, GError **error)
{
  MsFileReader *input = ms_file_reader_open (path, error);
  const MsFormat *format
      = input == NULL ? NULL : ms_format_find (importer->options->format, input, error);

  if (format != NULL)
    return format->open (input, importer->options, error);
  ms_file_reader_free (input);
  return NULL;
}

static void
source_close (gpointer source)
{
  ((MsSource *) source)->format->close (source);
}

/* Claims the tables of the source's kinds.  Several files may hold the same kind: ranks of a cluster and layers are often
 * files of their own. */
static gboolean
claim (MsImporter *importer, const MsSource *source, GError **error)
{
  static const struct
  {
    MsRecordKind one, other;
  } apart[] = { { MS_RECORD_SCORES, MS_RECORD_SCORE },
                { MS_RECORD_COUNT, MS_RECORD_DECISION },
                { MS_RECORD_COUNT, MS_RECORD_SCORES },
                { MS_RECORD_COUNT, MS_RECORD_SCORE } };

  for (guint kind = 0; kind < MS_RECORD_N_KINDS; kind++)
    if ((source->kinds & (1u << kind)) && importer->tables[kind].file == NULL)
      importer->tables[kind].file = g_strdup (source->name);
  for (guint i = 0; i < G_N_ELEMENTS (apart); i++)
    if (importer->tables[apart[i].one].file != NULL
        && importer->tables[apart[i].other].file != NULL)
      return ms_import_fail (error, source->name, 0,
                             "%s cannot stand beside the %s of %s: give one of them",
                             kind_names[apart[i].one], kind_names[apart[i].other],
                             importer->tables[apart[i].other].file);
  return TRUE;
}

/* What the file says of itself, and what of it is not read. */
static gboolean
take_source (MsImporter *importer, const MsSource *source, guint n_records, GError **error)
{
  if (n_records == 0)
    return ms_import_fail (error, source->name, 0, "there are no rows below the header");
  if (source->n_experts > 0)
    importer->n_experts = source->n_experts;
  if (source->k > 0)
    importer->k = source->k;
  if (source->outcome != NULL)
    importer->outcome = source->outcome;
  if (source->unit != NULL)
    importer->unit = source->unit;
  if (source->destination != NULL)
    importer->destination = source->destination;
  importer->counted |= source->counted;
  for (guint i = 0; i < source->remarks->len; i++)
    {
      const MsRemark *remark = source->remarks->pdata[i];

      ms_importer_remark (importer, remark->code, remark->severity, remark->count, NULL, "%s",
                          remark->text);
    }
  if (source->announced != NULL)
    {
      if (importer->announced == NULL)
        importer->announced = g_array_new (FALSE, FALSE, sizeof (gint32));
      g_array_append_vals (importer->announced, source->announced->data, source->announced->len);
    }
  if (source->unused->len > 0)
    {
      g_autoptr (GString) names = g_string_new (NULL);

      for (guint i = 0; i < source->unused->len; i++)
        g_string_append_printf (names, "%s%s", i > 0 ? ", " : "",
                                (const char *) source->unused->pdata[i]);
      ms_importer_note (importer, "%s: not read: %s", source->name, names->str);
    }
  return TRUE;
}

static gboolean
read_source (MsImporter *importer, MsSource *source, guint file, GError **error)
{
  MsRecord record;
  guint n = 0;
  gboolean more = TRUE;

  while (TRUE)
    {
      if (!source->format->next (source, &record, &more, error))
        return FALSE;
      if (!more)
        return take_source (importer, source, n, error);
      if (!take_record (importer, source, file, &record, error))
        return FALSE;
      n++;
    }
}

/* --- Names ----------------------------------------------------------------------------------- */

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The names of a model's destinations by number, when all are named alike at its layers; NULL otherwise. */
static GPtrArray *
list_destinations (const MsModel *model)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  guint n = model->n_layers > 0 ? model->layers[0].gate.n_experts : 0;

  for (guint e = 0; e < n; e++)
    {
      const MsDestination *destination = ms_model_destination (model, 0, e);

      if (destination == NULL || destination->name == NULL)
        break;
      g_ptr_array_add (names, g_strdup (destination->name));
    }
  if (names->len == n && n > 0)
    return names;
  g_ptr_array_unref (names);
  return NULL;
}

/* The destinations of the newest run in the database that has all of ours, so that numbers mean the same in both;
 * NULL = none has. */
static GPtrArray *
find_known (const MsImporter *importer)
{
  const char *output = importer->options->output;
  g_autoptr (MsDb) db
      = g_file_test (output, G_FILE_TEST_IS_REGULAR) ? ms_db_open (output, MS_DB_READ, NULL) : NULL;
  g_autoptr (GPtrArray) runs = db != NULL ? ms_db_list_runs (db, NULL) : NULL;

  for (guint i = runs != NULL ? runs->len : 0; i-- > 0;)
    {
      g_autoptr (MsModel) model
          = ms_db_load_model (db, ((const MsRun *) runs->pdata[i])->model, NULL);
      g_autoptr (GPtrArray) names = model != NULL ? list_destinations (model) : NULL;
      gboolean all = names != NULL;

      for (guint j = 0; all && j < importer->destinations.names->len; j++)
        all = g_ptr_array_find_with_equal_func (names, importer->destinations.names->pdata[j],
                                                g_str_equal, NULL);
      if (all)
        return g_steal_pointer (&names);
    }
  return NULL;
}

/* The final number of each provisional one: the number itself where all names are numbers, which then are no
 * names; else, for destinations, in the order of the names, so that traces of the same destinations agree. */
static gboolean
settle_names (MsImporter *importer, MsImportNames *names, const char *what, gint64 most,
              gboolean sort, GArray *to, GError **error)
{
  g_autoptr (GPtrArray) sorted = NULL;
  gboolean numbers = TRUE;

  for (guint i = 0; i < names->names->len; i++)
    {
      gint64 number = i;
      gint32 value;

      numbers = numbers
                && g_ascii_string_to_signed (names->names->pdata[i], 10, 0, most, &number, NULL);
      value = (gint32) number;
      g_array_append_val (to, value);
    }
  if (names->names->len == 0 || numbers)
    {
      g_ptr_array_set_size (names->names, 0);
      return TRUE;
    }
  if (names->numbered)
    return ms_import_fail (error, importer->options->inputs[0], 0,
                           "%s are numbers in some records and names in others: use one of them",
                           what);
  sorted = sort ? find_known (importer) : NULL;
  if (sorted != NULL && sorted->len > names->names->len)
    ms_importer_note (importer, "%s are numbered as in a run that %s has: %u of its %u occur", what,
                      importer->options->output, names->names->len, sorted->len);
  if (sorted == NULL)
    {
      sorted = g_ptr_array_copy (names->names, (GCopyFunc) (GCallback) g_strdup, NULL);
      g_ptr_array_set_free_func (sorted, g_free);
      if (sort)
        g_ptr_array_sort (sorted, compare_names);
    }
  for (guint i = 0; i < sorted->len; i++)
    {
      gpointer from = g_hash_table_lookup (names->numbers, sorted->pdata[i]);

      if (from != NULL)
        g_array_index (to, gint32, GPOINTER_TO_UINT (from) - 1) = (gint32) i;
    }
  g_hash_table_remove_all (names->numbers);
  g_ptr_array_unref (names->names);
  names->names = g_steal_pointer (&sorted);
  return TRUE;
}

/* Provisional numbers of stages and destinations become final. */
static gboolean
settle_all_names (MsImporter *importer, GError **error)
{
  g_autoptr (GArray) stages = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GArray) destinations = g_array_new (FALSE, FALSE, sizeof (gint32));

  if (!settle_names (importer, &importer->stages, "stages", 1000000, FALSE, stages, error)
      || !settle_names (importer, &importer->destinations, "destinations", MS_MAX_EXPERTS - 1, TRUE,
                        destinations, error))
    return FALSE;
  for (guint kind = 0; kind < MS_RECORD_N_KINDS; kind++)
    for (guint i = 0; i < importer->tables[kind].rows->len; i++)
      {
        MsImportRow *row = ms_import_row (&importer->tables[kind], i);

        if (stages->len > 0 && kind != MS_RECORD_TOKEN && kind != MS_RECORD_LABELS)
          row->layer = g_array_index (stages, gint32, row->layer);
        if (destinations->len > 0 && kind == MS_RECORD_DECISION && row->value >= 0)
          row->value = g_array_index (destinations, gint32, row->value);
        else if (destinations->len > 0
                 && (kind == MS_RECORD_SCORE || kind == MS_RECORD_OUTPUT
                     || kind == MS_RECORD_OUTCOME || kind == MS_RECORD_COUNT))
          row->slot = (guint16) g_array_index (destinations, gint32, row->slot);
      }
  return TRUE;
}

gboolean
ms_importer_read (MsImporter *importer, GError **error)
{
  const char *const *inputs = importer->options->inputs;
  g_autoptr (GPtrArray) sources = g_ptr_array_new_with_free_func (source_close);

  if (importer->options->restarts != MS_IMPORT_RESTARTS_ERROR)
    importer->restarts = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  for (guint i = 0; inputs[i] != NULL; i++)
    {
      MsSource *source = open_source (importer, inputs[i], error);

      if (source == NULL)
        return FALSE;
      g_ptr_array_add (sources, source);
      g_ptr_array_add (importer->files, g_strdup (source->name));
      if (!claim (importer, source, error))
        return FALSE;
    }
  if (importer->tables[MS_RECORD_DECISION].file == NULL
      && importer->tables[MS_RECORD_SCORES].file == NULL
      && importer->tables[MS_RECORD_SCORE].file == NULL
      && importer->tables[MS_RECORD_COUNT].file == NULL)
    return ms_import_fail (
        error, inputs[0], 0,
        "neither decisions nor router scores are given; if the files hold them "
        "under other names, say which with --map token=COLUMN,destination=COLUMN");
  for (guint kind = 0; kind < MS_RECORD_N_KINDS; kind++)
    for (guint i = 0; i < sources->len; i++)
      {
        MsSource *source = sources->pdata[i];

        /* A source of several kinds is read at the first of them. */
        if ((source->kinds & (1u << kind)) && !(source->kinds & ((1u << kind) - 1))
            && !read_source (importer, source, i, error))
          return FALSE;
      }
  /* Rows of tokens that tell nothing of them brought labels alone. */
  if (importer->tables[MS_RECORD_TOKEN].file != NULL && !importer->ids_told
      && !importer->ids_beside)
    {
      g_clear_pointer (&importer->tables[MS_RECORD_TOKEN].file, g_free);
      g_array_set_size (importer->tables[MS_RECORD_TOKEN].rows, 0);
    }
  return settle_all_names (importer, error);
}
