/* The arrays become a finished run of an imported model, exactly as they are. */
#include "import-private.h"

#include <math.h>
#include <string.h>

/* What is known of each token of the corpus; arrays (T), NULL where nothing is. */
typedef struct
{
  gint32 *ids, *predicted;
  float *loss;
} Tokens;

static void
tokens_clear (Tokens *tokens)
{
  g_free (tokens->ids);
  g_free (tokens->predicted);
  g_free (tokens->loss);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Tokens, tokens_clear)

/* Rows of tokens are sorted and complete. */
static void
take_tokens (const MsImportLayout *layout, Tokens *tokens)
{
  const MsImportTable *table = &layout->importer->tables[MS_RECORD_TOKEN];
  gsize n = (gsize) layout->n_tokens;

  if (table->file == NULL)
    return;
  tokens->ids = g_new (gint32, n);
  if (table->fields & MS_FIELD_PREDICTED)
    tokens->predicted = g_new (gint32, n);
  if (table->fields & MS_FIELD_LOSS)
    tokens->loss = g_new (float, n);
  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);

      tokens->ids[i] = row->value;
      if (tokens->predicted != NULL)
        tokens->predicted[i] = row->second;
      if (tokens->loss != NULL)
        tokens->loss[i] = row->a;
    }
}

#define FROM(array, first) ((array) == NULL ? NULL : (array) + (first))

static gboolean
put_blocks (const MsImportLayout *layout, const Tokens *tokens, MsWriter *writer, GError **error)
{
  g_autofree MsDecisions *blocks = g_new0 (MsDecisions, layout->n_layers);

  for (gint64 first = 0; first < layout->n_tokens; first += MS_BLOCK_TOKENS)
    {
      for (guint i = 0; i < layout->n_layers; i++)
        blocks[i]
            = ms_decisions_view (&layout->layers[i], (gsize) first, layout->k, layout->n_experts);
      if (!ms_writer_put_block (writer, blocks, FROM (tokens->predicted, first),
                                FROM (tokens->loss, first), error))
        return FALSE;
    }
  return TRUE;
}

#undef FROM

/* The layers of the model, with their names where stages have some. */
static void
fill_layers (const MsImportLayout *layout, MsLayer *layers)
{
  const MsImporter *importer = layout->importer;

  for (guint i = 0; i < layout->n_layers; i++)
    {
      int number = g_array_index (importer->layers, gint32, i);
      gboolean named = importer->stages.names->len > 0;

      layers[i] = (MsLayer){ .number = number,
                             .block = named ? -1 : number,
                             .name = named ? importer->stages.names->pdata[number] : NULL,
                             .gate = layout->gate };
    }
}

/* What destinations are called, at every layer.  (n_layers * n_experts), borrowing the names; NULL = nothing. */
static MsDestination *
make_destinations (const MsImportLayout *layout, guint *n)
{
  const MsImporter *importer = layout->importer;
  const GPtrArray *names = importer->destinations.names;
  const char *kind = importer->destination;
  MsDestination *destinations;

  *n = 0;
  if (names->len == 0)
    return NULL;
  if (kind == NULL || strcmp (kind, "expert") == 0 || strcmp (kind, "destination") == 0)
    kind = "routed";
  destinations = g_new (MsDestination, layout->n_layers * names->len);
  for (guint i = 0; i < layout->n_layers; i++)
    for (guint e = 0; e < names->len; e++)
      destinations[(*n)++] = (MsDestination){
        .layer = i, .expert = e, .name = names->pdata[e], .kind = (char *) kind, .cost = NAN
      };
  return destinations;
}

/* Leaves documents without tokens out; what they own stays for ms_import_labels_clear to free. */
static void
drop_empty (MsCorpus *corpus)
{
  guint kept = 0;

  for (guint i = 0; i < corpus->n_documents; i++)
    if (corpus->documents[i].n_tokens > 0)
      {
        MsDocument document = corpus->documents[kept];

        corpus->documents[kept++] = corpus->documents[i];
        if (kept - 1 < i)
          corpus->documents[i] = document;
      }
  corpus->n_documents = kept;
}

gboolean
ms_import_layout_store (MsImportLayout *layout, GError **error)
{
  MsImporter *importer = layout->importer;
  const MsImportOptions *options = importer->options;
  g_auto (Tokens) tokens = { 0 };
  g_autofree char *base = g_path_get_basename (options->inputs[0]);
  g_autofree MsLayer *layers = g_new0 (MsLayer, layout->n_layers);
  g_autofree MsDestination *destinations = NULL;
  gboolean stored;
  guint n_documents;
  g_autofree MsDocument *documents = g_new0 (MsDocument, importer->documents->len);
  const char *name = options->name != NULL ? options->name : base;
  MsModel model = { .name = (char *) name,
                    .architecture = (char *) "imported",
                    .n_layers = layout->n_layers,
                    .layers = layers };
  MsCorpus corpus = { .name = (char *) name,
                      .n_tokens = layout->n_tokens,
                      .n_documents = importer->documents->len,
                      .documents = documents,
                      .unit = (char *) importer->unit };
  MsRun run = { .id = -1,
                .name = (char *) name,
                .precision
                = (char *) (importer->tables[MS_RECORD_COUNT].file != NULL ? MS_PRECISION_COUNTS
                                                                           : "imported"),
                .collector = (char *) "moescope " MS_VERSION " import",
                .command = (char *) options->command,
                .storage = MS_STORAGE_EXACT,
                .columns = layout->columns,
                .outcome = (char *) importer->outcome,
                .probabilities = layout->probabilities };
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsWriter) writer = NULL;

  fill_layers (layout, layers);
  model.destinations = destinations = make_destinations (layout, &model.n_destinations);
  model.n_blocks = (guint) layers[layout->n_layers - 1].number + 1;
  for (guint i = 0; i < importer->documents->len; i++)
    documents[i] = *(const MsDocument *) importer->documents->pdata[i];
  ms_import_labels_settle (importer, &corpus);
  drop_empty (&corpus);
  take_tokens (layout, &tokens);
  run.predictions = tokens.predicted != NULL || tokens.loss != NULL;
  db = ms_db_open (options->output, MS_DB_CREATE, error);
  writer = db == NULL ? NULL
                      : ms_writer_new (db, &model, &corpus, tokens.ids, &run, NULL, NULL, error);
  g_free (run.started);
  stored = writer != NULL && put_blocks (layout, &tokens, writer, error);
  n_documents = corpus.n_documents;
  corpus.n_documents = importer->documents->len;
  ms_import_labels_clear (&corpus);
  if (!stored)
    return FALSE;
  for (guint i = 0; i < importer->summary->remarks->len; i++)
    if (!ms_writer_add_remark (writer, importer->summary->remarks->pdata[i], error))
      return FALSE;
  importer->summary->run = run.id;
  importer->summary->tokens = layout->n_tokens;
  importer->summary->documents = n_documents;
  return ms_writer_finish (writer, error);
}
