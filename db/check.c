/* Looks at everything a file holds and reports each fault once; reads one chunk at a time. */
#include "codec-private.h"
#include "db-private.h"

#include <math.h>
#include <string.h>

#define MOST_FINDINGS "100" /* of SQLite's own check */

typedef struct
{
  MsDb *db;
  MsCheckFunc report;
  gpointer data;
  guint *n_bad;
} Check;

static void G_GNUC_PRINTF (3, 4) tell (Check *check, gboolean bad, const char *format, ...)
{
  g_autofree char *finding = NULL;
  va_list args;

  va_start (args, format);
  finding = g_strdup_vprintf (format, args);
  va_end (args);
  *check->n_bad += bad;
  if (check->report != NULL)
    check->report (bad, finding, check->data);
}

/* Damage becomes a finding; anything else, such as a disk that cannot be read, ends the check. */
static gboolean
tell_error (Check *check, GError *fault, GError **error)
{
  gboolean finding = g_error_matches (fault, MS_DB_ERROR, MS_DB_ERROR_CORRUPT)
                     || g_error_matches (fault, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND)
                     || g_error_matches (fault, MS_DB_ERROR, MS_DB_ERROR_SQL);

  if (!finding)
    {
      g_propagate_error (error, fault);
      return FALSE;
    }
  tell (check, TRUE, "%s", fault->message);
  g_error_free (fault);
  return TRUE;
}

/* Reports each row that `sql` gives unless it is the text "ok". */
static gboolean
tell_rows (Check *check, const char *sql, const char *what, GError **error)
{
  GError *fault = NULL;
  g_autoptr (sqlite3_stmt) statement = ms_db_prepare (check->db, sql, what, &fault);
  int code;

  if (statement == NULL)
    return tell_error (check, fault, error);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      g_autofree char *text = ms_db_text (statement, 0);

      if (g_strcmp0 (text, "ok") != 0)
        tell (check, TRUE, "%s: %s", what, text);
    }
  if (code != SQLITE_DONE)
    {
      ms_db_fail (check->db, code, what, &fault);
      return tell_error (check, fault, error);
    }
  return TRUE;
}

/* What is wrong with the decisions of a chunk in themselves; NULL = nothing. */
static char *
find_fault (const MsChunk *chunk, guint32 *stamps)
{
  for (guint t = 0; t < chunk->n_tokens; t++)
    {
      const guint16 *row = chunk->experts + (gsize) t * chunk->k;
      const float *weights = chunk->weights + (gsize) t * chunk->k;
      gboolean ended = FALSE;

      for (guint i = 0; i < chunk->k; i++)
        {
          if (row[i] == MS_NO_EXPERT)
            {
              ended = TRUE;
              continue;
            }
          if (ended)
            return g_strdup_printf ("token %u: an unused slot lies before expert %u", t, row[i]);
          if (stamps[row[i]] == t + 1)
            return g_strdup_printf ("token %u: expert %u is there twice", t, row[i]);
          if (isinf (weights[i])) /* NaN: the trace had none */
            return g_strdup_printf ("token %u: the weight of expert %u is not finite", t, row[i]);
          stamps[row[i]] = t + 1;
        }
    }
  return NULL;
}

static gboolean
check_chunks (Check *check, MsReader *reader, GError **error)
{
  const MsRun *run = ms_reader_run (reader);
  const MsModel *model = ms_reader_model (reader);
  guint n_blocks = (guint) ((run->n_tokens + MS_BLOCK_TOKENS - 1) / MS_BLOCK_TOKENS);
  g_autofree guint32 *stamps = g_new (guint32, MS_MAX_EXPERTS);

  for (guint block = 0; block < n_blocks; block++)
    for (guint layer = 0; layer < model->n_layers; layer++)
      {
        GError *fault = NULL;
        const MsChunk *chunk = ms_reader_chunk (reader, block, layer, run->columns, 0, &fault);
        g_autofree char *text = NULL;

        if (chunk == NULL)
          {
            if (!tell_error (check, fault, error))
              return FALSE;
            continue;
          }
        memset (stamps, 0, chunk->n_experts * sizeof *stamps);
        text = find_fault (chunk, stamps);
        if (text != NULL)
          tell (check, TRUE, "run %" G_GINT64_FORMAT ", block %u, layer %d: %s", run->id, block,
                model->layers[layer].number, text);
      }
  return TRUE;
}

/* Token ids and predictions block by block, so that each bad block is one finding. */
static gboolean
check_tokens (Check *check, MsReader *reader, const MsCorpus *corpus, GError **error)
{
  const MsRun *run = ms_reader_run (reader);
  g_autofree gint32 *ids = g_new (gint32, MS_BLOCK_TOKENS);

  for (gint64 first = 0; first < corpus->n_tokens; first += MS_BLOCK_TOKENS)
    {
      gint64 n = MIN (MS_BLOCK_TOKENS, corpus->n_tokens - first);
      GError *fault = NULL;

      if (corpus->ids_known && !ms_reader_tokens (reader, first, n, ids, &fault)
          && !tell_error (check, fault, error))
        return FALSE;
      fault = NULL;
      if (run->predictions && first < run->n_tokens
          && !ms_reader_predictions (reader, first, n, NULL, NULL, &fault)
          && !tell_error (check, fault, error))
        return FALSE;
    }
  return TRUE;
}

/* What was found in the data when it was recorded. */
static gboolean
tell_remarks (Check *check, gint64 id, GError **error)
{
  GError *fault = NULL;
  g_autoptr (GPtrArray) remarks = ms_db_list_remarks (check->db, id, &fault);

  if (remarks == NULL)
    return tell_error (check, fault, error);
  for (guint i = 0; i < remarks->len; i++)
    {
      const MsRemark *remark = remarks->pdata[i];

      tell (check, remark->severity == MS_SEVERITY_FAULT,
            "run %" G_GINT64_FORMAT ": %s (%s, %" G_GINT64_FORMAT " times%s%s)", id, remark->text,
            remark->code, remark->count, remark->place != NULL ? ", first at " : "",
            remark->place != NULL ? remark->place : "");
    }
  return TRUE;
}

static gboolean
check_run (Check *check, gint64 id, GError **error)
{
  GError *fault = NULL;
  g_autoptr (MsReader) reader = ms_reader_new (ms_db_path (check->db), id, &fault);
  g_autoptr (MsCorpus) corpus = NULL;
  const MsRun *run;

  if (reader == NULL)
    return tell_error (check, fault, error);
  run = ms_reader_run (reader);
  corpus = ms_db_load_corpus (check->db, run->corpus, &fault);
  if (corpus == NULL)
    return tell_error (check, fault, error);
  if (run->damage != NULL)
    tell (check, TRUE, "run %" G_GINT64_FORMAT ": %s; going on with the run mends that", id,
          run->damage);
  if (run->finished == NULL)
    tell (check, FALSE,
          "run %" G_GINT64_FORMAT " is unfinished: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
          " tokens are recorded; what recorded them can go on with the same model and texts",
          id, run->n_tokens, corpus->n_tokens);
  else if (run->n_tokens != corpus->n_tokens)
    tell (check, TRUE,
          "run %" G_GINT64_FORMAT " is marked as finished but holds %" G_GINT64_FORMAT
          " of %" G_GINT64_FORMAT " tokens",
          id, run->n_tokens, corpus->n_tokens);
  return tell_remarks (check, id, error) && check_chunks (check, reader, error)
         && check_tokens (check, reader, corpus, error);
}

gboolean
ms_db_check (MsDb *db, MsCheckFunc report, gpointer data, guint *n_bad, GError **error)
{
  Check check = { db, report, data, n_bad };
  g_autoptr (GArray) runs = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (sqlite3_stmt) statement = NULL;
  GError *fault = NULL;

  *n_bad = 0;
  if (!tell_rows (&check, "PRAGMA integrity_check (" MOST_FINDINGS ")", "SQLite", error)
      || !tell_rows (&check,
                     "SELECT 'row ' || rowid || ' refers to a row of ' || parent || ' that is "
                     "missing' FROM pragma_foreign_key_check",
                     "references", error))
    return FALSE;
  statement = ms_db_prepare (db, "SELECT run FROM run ORDER BY run", "listing the runs", &fault);
  if (statement == NULL)
    return tell_error (&check, fault, error);
  while (sqlite3_step (statement) == SQLITE_ROW)
    {
      gint64 id = sqlite3_column_int64 (statement, 0);

      g_array_append_val (runs, id);
    }
  if (sqlite3_reset (statement) != SQLITE_OK)
    {
      g_autofree char *words = ms_db_words (ms_db_handle (db));

      tell (&check, TRUE, "the list of runs cannot be read: %s", words);
    }
  for (guint i = 0; i < runs->len; i++)
    if (!check_run (&check, g_array_index (runs, gint64, i), error))
      return FALSE;
  return TRUE;
}
