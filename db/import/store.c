/* The arrays become a finished run of an imported model, exactly as they are. */
#include "import-private.h"

#include <math.h>

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

gboolean
ms_import_layout_store (MsImportLayout *layout, GError **error)
{
  MsImporter *importer = layout->importer;
  const MsImportOptions *options = importer->options;
  g_auto (Tokens) tokens = { 0 };
  g_autofree char *base = g_path_get_basename (options->inputs[0]);
  g_autofree MsLayer *layers = g_new0 (MsLayer, layout->n_layers);
  g_autofree MsDocument *documents = g_new0 (MsDocument, importer->documents->len);
  const char *name = options->name != NULL ? options->name : base;
  MsModel model = { .name = (char *) name,
                    .architecture = (char *) "imported",
                    .n_layers = layout->n_layers,
                    .layers = layers };
  MsCorpus corpus = { .name = (char *) name,
                      .n_tokens = layout->n_tokens,
                      .n_documents = importer->documents->len,
                      .documents = documents };
  MsRun run = { .id = -1,
                .name = (char *) name,
                .precision = (char *) "imported",
                .collector = (char *) "moescope " MS_VERSION " import",
                .command = (char *) options->command,
                .storage = MS_STORAGE_EXACT,
                .columns = layout->columns,
                .outcome = (char *) importer->outcome,
                .probabilities = layout->probabilities };
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsWriter) writer = NULL;

  for (guint i = 0; i < layout->n_layers; i++)
    {
      int number = g_array_index (importer->layers, gint32, i);

      layers[i] = (MsLayer){ .number = number, .block = number, .gate = layout->gate };
    }
  model.n_blocks = (guint) layers[layout->n_layers - 1].number + 1;
  for (guint i = 0; i < importer->documents->len; i++)
    documents[i] = *(const MsDocument *) importer->documents->pdata[i];
  take_tokens (layout, &tokens);
  run.predictions = tokens.predicted != NULL || tokens.loss != NULL;
  db = ms_db_open (options->output, MS_DB_CREATE, error);
  writer = db == NULL ? NULL
                      : ms_writer_new (db, &model, &corpus, tokens.ids, &run, NULL, NULL, error);
  g_free (run.started);
  if (writer == NULL || !put_blocks (layout, &tokens, writer, error))
    return FALSE;
  for (guint i = 0; i < importer->summary->remarks->len; i++)
    if (!ms_writer_add_remark (writer, importer->summary->remarks->pdata[i], error))
      return FALSE;
  importer->summary->run = run.id;
  importer->summary->tokens = layout->n_tokens;
  importer->summary->documents = importer->documents->len;
  return ms_writer_finish (writer, error);
}
