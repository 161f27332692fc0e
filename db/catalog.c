/* Loads models, corpora and runs.  Everything that later sizes an allocation is checked here: geometry,
 * documents, and that the file is large enough to hold the tokens it claims. */
#include "codec-private.h"
#include "db-private.h"

#include <string.h>

#define MOST_TOKENS ((gint64) 1 << 40)

void
ms_model_free (MsModel *model)
{
  if (model == NULL)
    return;
  g_free (model->name);
  g_free (model->architecture);
  g_free (model->fingerprint);
  g_free (model->router);
  g_free (model->details);
  g_free (model->layers);
  g_free (model);
}

void
ms_corpus_free (MsCorpus *corpus)
{
  if (corpus == NULL)
    return;
  for (guint i = 0; i < corpus->n_documents; i++)
    {
      MsDocument *document = &corpus->documents[i];

      g_free (document->name);
      g_free (document->language);
      g_free (document->domain);
      g_free (document->parallel);
      g_free (document->phase);
    }
  g_free (corpus->documents);
  g_free (corpus->name);
  g_free (corpus->tokenizer);
  g_free (corpus);
}

void
ms_run_free (MsRun *run)
{
  if (run == NULL)
    return;
  g_free (run->name);
  g_free (run->started);
  g_free (run->finished);
  g_free (run->precision);
  g_free (run->collector);
  g_free (run->command);
  g_free (run);
}

static gboolean G_GNUC_PRINTF (3, 4) corrupt (MsDb *db, GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
               "%s: %s; `moescope check` lists all faults of the file", ms_db_path (db), message);
  return FALSE;
}

/* Steps to the one row of `what` number `id`: NOT_FOUND without one. */
static sqlite3_stmt *
find (MsDb *db, const char *sql, const char *what, gint64 id, GError **error)
{
  g_autoptr (sqlite3_stmt) statement = ms_db_prepare (db, sql, what, error);
  int code;

  if (statement == NULL)
    return NULL;
  sqlite3_bind_int64 (statement, 1, id);
  code = sqlite3_step (statement);
  if (code == SQLITE_ROW)
    return g_steal_pointer (&statement);
  if (code != SQLITE_DONE)
    ms_db_fail (db, code, what, error);
  else if (id == 0)
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND, "%s holds no %s yet", ms_db_path (db),
                 what);
  else
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND,
                 "%s has no %s %" G_GINT64_FORMAT "; `moescope info` lists what it holds",
                 ms_db_path (db), what, id);
  return NULL;
}

/* Column `column` as an integer in least..most. */
static gboolean
read_int (MsDb *db, sqlite3_stmt *statement, int column, gint64 least, gint64 most, gint64 *value,
          GError **error)
{
  *value = sqlite3_column_int64 (statement, column);
  return (*value >= least && *value <= most)
         || corrupt (db, error, "%s = %" G_GINT64_FORMAT " is out of range",
                     sqlite3_column_name (statement, column), *value);
}

static gboolean
load_layers (MsDb *db, MsModel *model, GError **error)
{
  g_autoptr (sqlite3_stmt) statement = ms_db_prepare (
      db, "SELECT layer, experts, k, groups FROM layer WHERE model = ?1 ORDER BY layer",
      "reading the layers", error);
  g_autoptr (GArray) layers = g_array_new (FALSE, FALSE, sizeof (MsLayer));
  int code;

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, model->id);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      gint64 block, experts, k, groups;
      MsLayer layer;

      if (!read_int (db, statement, 0, 0, (gint64) model->n_blocks - 1, &block, error)
          || !read_int (db, statement, 1, 1, MS_MAX_EXPERTS, &experts, error)
          || !read_int (db, statement, 2, 1, experts, &k, error)
          || !read_int (db, statement, 3, 0, experts, &groups, error))
        {
          g_prefix_error (error, "model %" G_GINT64_FORMAT ", layer %d: ", model->id,
                          sqlite3_column_int (statement, 0));
          return FALSE;
        }
      layer = (MsLayer){
        .number = (int) block,
        .gate
        = { .n_experts = (guint) experts, .k = (guint) k, .groups = (guint) groups, .scale = 1 }
      };
      g_array_append_val (layers, layer);
    }
  if (code != SQLITE_DONE)
    return ms_db_fail (db, code, "reading the layers", error);
  if (layers->len == 0)
    return corrupt (db, error, "model %" G_GINT64_FORMAT " has no MoE layers", model->id);
  model->n_layers = layers->len;
  model->layers = (MsLayer *) (void *) g_array_free (g_steal_pointer (&layers), FALSE);
  return TRUE;
}

MsModel *
ms_db_load_model (MsDb *db, gint64 id, GError **error)
{
  g_autoptr (MsModel) model = g_new0 (MsModel, 1);
  g_autoptr (sqlite3_stmt) statement
      = find (db,
              "SELECT model, name, architecture, fingerprint, router, details, blocks, shared, "
              "width, expert_bytes, weight_scale FROM model WHERE model = ?1",
              "model", id, error);
  gint64 blocks, shared, width;

  if (statement == NULL)
    return NULL;
  model->id = sqlite3_column_int64 (statement, 0);
  model->name = ms_db_text (statement, 1);
  model->architecture = ms_db_text (statement, 2);
  model->fingerprint = ms_db_text (statement, 3);
  model->router = ms_db_text (statement, 4);
  model->details = ms_db_text (statement, 5);
  if (!read_int (db, statement, 6, 1, G_MAXINT, &blocks, error)
      || !read_int (db, statement, 7, 0, MS_MAX_EXPERTS, &shared, error)
      || !read_int (db, statement, 8, 0, G_MAXINT, &width, error)
      || !read_int (db, statement, 9, 0, G_MAXINT64, &model->expert_bytes, error))
    return NULL;
  model->n_blocks = (guint) blocks;
  model->n_shared = (guint) shared;
  model->width = (guint) width;
  model->weight_scale = sqlite3_column_double (statement, 10);
  if (!load_layers (db, model, error))
    return NULL;
  for (guint i = 0; i < model->n_layers; i++)
    ms_gate_read_words (&model->layers[i].gate, model->router);
  return g_steal_pointer (&model);
}

static gboolean
load_documents (MsDb *db, MsCorpus *corpus, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db,
                       "SELECT document, name, language, domain, parallel, phase, first_token, "
                       "n_tokens FROM document WHERE corpus = ?1 ORDER BY document",
                       "reading the documents", error);
  gint64 count, next = 0;
  int code;

  if (statement == NULL
      || !ms_db_integer (db, "SELECT count(*) FROM document WHERE corpus = ?1", corpus->id, &count,
                         error))
    return FALSE;
  corpus->documents = g_new0 (MsDocument, count);
  sqlite3_bind_int64 (statement, 1, corpus->id);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW && corpus->n_documents < count)
    {
      MsDocument *document = &corpus->documents[corpus->n_documents];

      if (sqlite3_column_int64 (statement, 0) != corpus->n_documents
          || sqlite3_column_int64 (statement, 6) != next || sqlite3_column_int64 (statement, 7) < 0
          || sqlite3_column_int64 (statement, 7) > corpus->n_tokens - next)
        return corrupt (db, error,
                        "the documents of corpus %" G_GINT64_FORMAT
                        " do not follow each other at document %u",
                        corpus->id, corpus->n_documents);
      corpus->n_documents++;
      document->name = ms_db_text (statement, 1);
      document->language = ms_db_text (statement, 2);
      document->domain = ms_db_text (statement, 3);
      document->parallel = ms_db_text (statement, 4);
      document->phase = ms_db_text (statement, 5);
      document->first_token = next;
      document->n_tokens = sqlite3_column_int64 (statement, 7);
      next += document->n_tokens;
    }
  if (code != SQLITE_DONE)
    return ms_db_fail (db, code, "reading the documents", error);
  if (next != corpus->n_tokens)
    return corrupt (db, error,
                    "the documents of corpus %" G_GINT64_FORMAT " hold %" G_GINT64_FORMAT
                    " tokens instead of %" G_GINT64_FORMAT,
                    corpus->id, next, corpus->n_tokens);
  return TRUE;
}

MsCorpus *
ms_db_load_corpus (MsDb *db, gint64 id, GError **error)
{
  g_autoptr (MsCorpus) corpus = g_new0 (MsCorpus, 1);
  g_autoptr (sqlite3_stmt) statement = find (
      db, "SELECT corpus, name, tokenizer, n_tokens, ids_known FROM corpus WHERE corpus = ?1",
      "corpus", id, error);

  if (statement == NULL)
    return NULL;
  corpus->id = sqlite3_column_int64 (statement, 0);
  corpus->name = ms_db_text (statement, 1);
  corpus->tokenizer = ms_db_text (statement, 2);
  corpus->ids_known = sqlite3_column_int (statement, 4) != 0;
  if (!read_int (db, statement, 3, 1, MOST_TOKENS, &corpus->n_tokens, error)
      || !load_documents (db, corpus, error))
    return NULL;
  return g_steal_pointer (&corpus);
}

/* Tokens recorded for all layers, from the chunks that are there. */
static gboolean
count_recorded (MsDb *db, MsRun *run, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db,
                       "SELECT count(*), coalesce(max(block) + 1, 0), "
                       "(SELECT n_tokens FROM corpus WHERE corpus = ?2) "
                       "FROM chunk WHERE run = ?1",
                       "reading the run", error);
  g_autoptr (MsModel) model = ms_db_load_model (db, run->model, error);
  gint64 chunks, blocks, tokens, pages, page_size, bytes = 0;
  int code;

  if (statement == NULL || model == NULL
      || !ms_db_integer (db, "PRAGMA page_count", 0, &pages, error)
      || !ms_db_integer (db, "PRAGMA page_size", 0, &page_size, error))
    return FALSE;
  sqlite3_bind_int64 (statement, 1, run->id);
  sqlite3_bind_int64 (statement, 2, run->corpus);
  code = sqlite3_step (statement);
  if (code != SQLITE_ROW)
    return ms_db_fail (db, code, "reading the run", error);
  chunks = sqlite3_column_int64 (statement, 0);
  blocks = sqlite3_column_int64 (statement, 1);
  tokens = sqlite3_column_int64 (statement, 2);
  if (blocks < 0 || blocks > chunks || chunks != blocks * model->n_layers || tokens < 1
      || tokens > MOST_TOKENS || blocks > (tokens + MS_BLOCK_TOKENS - 1) / MS_BLOCK_TOKENS)
    return corrupt (db, error,
                    "run %" G_GINT64_FORMAT ": %" G_GINT64_FORMAT
                    " chunks are no whole blocks of %u layers",
                    run->id, chunks, model->n_layers);
  run->n_tokens = MIN (tokens, blocks * MS_BLOCK_TOKENS);
  for (guint i = 0; i < model->n_layers; i++)
    {
      MsShape shape = { 1, model->layers[i].gate.k, model->layers[i].gate.n_experts, run->storage };

      bytes += (gint64) ms_shape_bytes (&shape, 0);
    }
  if (run->n_tokens > pages * page_size / bytes)
    return corrupt (db, error, "run %" G_GINT64_FORMAT ": the file is too small for its tokens",
                    run->id);
  return TRUE;
}

#define RUN_SQL                                                                                    \
  "SELECT run, name, model, corpus, started, finished, precision, collector, command, storage, "   \
  "columns, probabilities, predictions FROM run "

static MsRun *
read_run (MsDb *db, sqlite3_stmt *statement, GError **error)
{
  g_autoptr (MsRun) run = g_new0 (MsRun, 1);
  g_autofree char *storage = ms_db_text (statement, 9);
  g_autofree char *columns = ms_db_text (statement, 10);

  run->id = sqlite3_column_int64 (statement, 0);
  run->name = ms_db_text (statement, 1);
  run->model = sqlite3_column_int64 (statement, 2);
  run->corpus = sqlite3_column_int64 (statement, 3);
  run->started = ms_db_text (statement, 4);
  run->finished = ms_db_text (statement, 5);
  run->precision = ms_db_text (statement, 6);
  run->collector = ms_db_text (statement, 7);
  run->command = ms_db_text (statement, 8);
  run->storage = g_strcmp0 (storage, "exact") == 0 ? MS_STORAGE_EXACT : MS_STORAGE_COMPACT;
  run->probabilities = sqlite3_column_int (statement, 11) != 0;
  run->predictions = sqlite3_column_int (statement, 12) != 0;
  if (columns == NULL || !ms_columns_parse (columns, &run->columns))
    {
      corrupt (db, error, "run %" G_GINT64_FORMAT " has unknown columns", run->id);
      return NULL;
    }
  return count_recorded (db, run, error) ? g_steal_pointer (&run) : NULL;
}

GPtrArray *
ms_db_list_runs (MsDb *db, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db, RUN_SQL "ORDER BY run", "listing the runs", error);
  g_autoptr (GPtrArray) runs = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_run_free);
  int code;

  if (statement == NULL)
    return NULL;
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      MsRun *run = read_run (db, statement, error);

      if (run == NULL)
        return NULL;
      g_ptr_array_add (runs, run);
    }
  if (code != SQLITE_DONE)
    {
      ms_db_fail (db, code, "listing the runs", error);
      return NULL;
    }
  return g_steal_pointer (&runs);
}

MsRun *
ms_db_load_run (MsDb *db, gint64 id, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = find (db, RUN_SQL "WHERE run = coalesce(nullif(?1, 0), (SELECT max(run) FROM run))", "run",
              id, error);

  return statement == NULL ? NULL : read_run (db, statement, error);
}
