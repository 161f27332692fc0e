/* Records of all inputs become rows of one shape.
 *
 * Every input is opened once, in the order given, and read in the order of what it holds: decisions
 * first, for they say which sequences there are.  So pipes are as good as files. */
#include "import-private.h"

#include <math.h>
#include <string.h>

static const char *const kind_names[MS_RECORD_N_KINDS]
    = { "decisions", "router scores", "router scores", "expert outputs",
        "outcomes",  "similarities",  "token ids",     "labels" };

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

/* The number of the record's sequence; those that bring decisions add new ones. */
static gboolean
number_sequence (MsImporter *importer, const MsSource *source, const MsRecord *record,
                 guint32 *number, GError **error)
{
  gpointer known = g_hash_table_lookup (importer->sequences, record->sequence);
  g_autofree char *clean = NULL;
  MsDocument *document;
  gboolean first
      = record->kind == MS_RECORD_DECISION
        || (record->kind <= MS_RECORD_SCORE && importer->tables[MS_RECORD_DECISION].file == NULL);

  if (known != NULL)
    {
      *number = GPOINTER_TO_UINT (known) - 1;
      return TRUE;
    }
  clean = ms_text_printable (record->sequence, -1);
  if (!first)
    return ms_import_fail (error, source->name, record->line, "sequence '%s' has no decisions",
                           clean);
  if (strcmp (clean, record->sequence) != 0 || *clean == '\0')
    return ms_import_fail (error, source->name, record->line, "'%s' is no name of a sequence",
                           clean);
  *number = importer->documents->len;
  document = g_new0 (MsDocument, 1);
  document->name = g_steal_pointer (&clean);
  g_ptr_array_add (importer->documents, document);
  g_hash_table_insert (importer->sequences, document->name, GUINT_TO_POINTER (*number + 1));
  return TRUE;
}

static char **
label_of (MsDocument *document, const char *name)
{
  if (strcmp (name, "domain") == 0)
    return &document->domain;
  if (strcmp (name, "language") == 0)
    return &document->language;
  return strcmp (name, "parallel") == 0 ? &document->parallel : &document->phase;
}

/* Labels of a sequence.  One that a label file gave, or the first that stood beside a decision, stays. */
static void
take_labels (MsImporter *importer, const MsRecord *record, guint32 number)
{
  MsDocument *document = importer->documents->pdata[number];

  for (guint i = 0; i < record->n_labels; i++)
    {
      char **label = label_of (document, record->labels[i].name);

      if (g_strcmp0 (*label, record->labels[i].value) == 0)
        continue;
      if (*label != NULL && record->kind == MS_RECORD_DECISION)
        {
          gpointer n = g_hash_table_lookup (importer->changing, record->labels[i].name);

          g_hash_table_insert (importer->changing, g_strdup (record->labels[i].name),
                               GUINT_TO_POINTER (GPOINTER_TO_UINT (n) + 1));
          g_hash_table_add (importer->unsettled, label);
          continue;
        }
      g_hash_table_remove (importer->unsettled, label);
      g_free (*label);
      *label = ms_text_printable (record->labels[i].value, -1);
    }
}

/* The id that a decision repeats for every layer and rank: taken once for each run of rows of a token. */
static void
take_token_id (MsImporter *importer, const MsSource *source, const MsRecord *record,
               const MsImportRow *row)
{
  MsImportTable *tokens = &importer->tables[MS_RECORD_TOKEN];
  MsImportRow token = { row->sequence, row->token, 0, 0, row->line, record->token_id, -1, NAN, 0 };
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

  if (n > 0 && (guint) record->expert >= n)
    return ms_import_fail (
        error, source->name, record->line,
        "there is no expert %d: with --experts %u they are 0 to %u%s", record->expert, n, n - 1,
        (guint) record->expert == n ? "; if the ids count from 1, subtract 1 from all" : "");
  row->slot = record->rank;
  row->value = record->valid ? record->expert : -1;
  row->second = record->dropped;
  row->a = record->weight; /* a missing weight is undefined, not 1 */
  row->b = record->norm;
  take_token_id (importer, source, record, row);
  take_labels (importer, record, row->sequence);
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
  row->slot = record->expert;
}

static gboolean
take_record (MsImporter *importer, const MsSource *source, const MsRecord *record, GError **error)
{
  MsImportTable *table = &importer->tables[record->kind];
  MsImportRow row = { .line = record->line, .token = record->token, .layer = record->layer };

  if (!number_sequence (importer, source, record, &row.sequence, error))
    return FALSE;
  table->fields |= record->fields;
  switch (record->kind)
    {
    case MS_RECORD_DECISION:
      if (!take_decision (importer, source, record, &row, error))
        return FALSE;
      break;
    case MS_RECORD_SCORES:
      importer->n_scores = record->n_values;
      row.value = (gint32) (importer->scores->len / importer->n_scores);
      g_array_append_vals (importer->scores, record->values, record->n_values);
      break;
    case MS_RECORD_SCORE:
    case MS_RECORD_OUTCOME:
      row.slot = record->expert;
      row.a = record->value;
      break;
    case MS_RECORD_OUTPUT:
      take_output (record, &row);
      break;
    case MS_RECORD_SIMILARITY:
      row.a = record->value;
      break;
    case MS_RECORD_LABELS:
      take_labels (importer, record, row.sequence);
      break;
    default:
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
    return format->open (input, error);
  ms_file_reader_free (input);
  return NULL;
}

static void
source_close (gpointer source)
{
  ((MsSource *) source)->format->close (source);
}

/* Claims the tables of the source's kinds: what is about one thing is in one file. */
static gboolean
claim (MsImporter *importer, const MsSource *source, GError **error)
{
  for (guint kind = 0; kind < MS_RECORD_N_KINDS; kind++)
    {
      MsImportTable *table = &importer->tables[kind];
      guint other = kind == MS_RECORD_SCORES  ? MS_RECORD_SCORE
                    : kind == MS_RECORD_SCORE ? MS_RECORD_SCORES
                                              : kind;
      const char *file = table->file != NULL ? table->file : importer->tables[other].file;

      if (!(source->kinds & (1u << kind)))
        continue;
      if (file != NULL)
        return ms_import_fail (error, source->name, 0,
                               "%s are already in %s; one file can hold them", kind_names[kind],
                               file);
      table->file = g_strdup (source->name);
    }
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
read_source (MsImporter *importer, MsSource *source, GError **error)
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
      if (!take_record (importer, source, &record, error))
        return FALSE;
      n++;
    }
}

/* Labels that change within their sequence are none of the whole sequence. */
static void
settle_labels (MsImporter *importer)
{
  GHashTableIter iter;
  gpointer label, name, n;

  g_hash_table_iter_init (&iter, importer->unsettled);
  while (g_hash_table_iter_next (&iter, &label, NULL))
    g_clear_pointer ((char **) label, g_free);
  g_hash_table_iter_init (&iter, importer->changing);
  while (g_hash_table_iter_next (&iter, &name, &n))
    ms_importer_remark (
        importer, "label-changes", MS_SEVERITY_NOTE, GPOINTER_TO_UINT (n), NULL,
        "the label '%s' changes within sequences, in %u rows, and is not kept for "
        "these: give each part a sequence of its own, its tokens counted from 0, or "
        "a label of the whole sequence with --sequences",
        (const char *) name, GPOINTER_TO_UINT (n));
}

gboolean
ms_importer_read (MsImporter *importer, GError **error)
{
  const char *const *inputs = importer->options->inputs;
  g_autoptr (GPtrArray) sources = g_ptr_array_new_with_free_func (source_close);

  for (guint i = 0; inputs[i] != NULL; i++)
    {
      MsSource *source = open_source (importer, inputs[i], error);

      if (source == NULL)
        return FALSE;
      g_ptr_array_add (sources, source);
      if (!claim (importer, source, error))
        return FALSE;
    }
  if (importer->tables[MS_RECORD_DECISION].file == NULL
      && importer->tables[MS_RECORD_SCORES].file == NULL
      && importer->tables[MS_RECORD_SCORE].file == NULL)
    return ms_import_fail (error, inputs[0], 0, "neither decisions nor router scores are given");
  for (guint kind = 0; kind < MS_RECORD_N_KINDS; kind++)
    for (guint i = 0; i < sources->len; i++)
      {
        MsSource *source = sources->pdata[i];

        /* A source of several kinds is read at the first of them. */
        if ((source->kinds & (1u << kind)) && !(source->kinds & ((1u << kind) - 1))
            && !read_source (importer, source, error))
          return FALSE;
      }
  settle_labels (importer);
  return TRUE;
}
