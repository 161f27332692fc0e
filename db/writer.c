/* Records a run: models and corpora with the same content are stored once, a block is one transaction,
 * the log is folded into the one file at the end.
 *
 * Nothing out of range is ever stored: what a reader refuses, the writer refuses first. */
#include "codec-private.h"
#include "db-private.h"

#include <math.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct MsWriter
{
  MsDb *db;
  gint64 run, corpus, n_tokens;
  guint next_block;
  MsStorage storage;
  guint columns;
  gboolean predictions;
  guint n_layers;
  MsLayer *layers; /* (n_layers) */
  MsPieceFunc piece;
  gpointer piece_data;
  GByteArray *known; /* bit set of ids whose piece is stored */
  guint32 *stamps;   /* (E) the last token that chose the expert, to find repetitions */
  /* The encoded columns, and weights of partly used tokens. */
  guint8 *buffers[MS_N_COLUMNS_INROW + 1];
  gsize buffer_bytes[MS_N_COLUMNS_INROW + 1];
  sqlite3_stmt *drop_block, *put_chunk, *put_column, *put_prediction, *put_piece;
};

static gboolean G_GNUC_PRINTF (2, 3) bad_value (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE, format, args);
  va_end (args);
  return FALSE;
}

/* Runs a bound statement that gives no rows. */
static gboolean
run_statement (MsDb *db, sqlite3_stmt *statement, const char *what, GError **error)
{
  int code = sqlite3_step (statement);

  sqlite3_reset (statement);
  sqlite3_clear_bindings (statement);
  return code == SQLITE_DONE || ms_db_fail (db, code, what, error);
}

static void
bind_text (sqlite3_stmt *statement, int index, const char *text)
{
  sqlite3_bind_text (statement, index, text, -1, SQLITE_STATIC);
}

static void
bind_blob (sqlite3_stmt *statement, int index, const void *bytes, gsize n)
{
  if (bytes != NULL)
    sqlite3_bind_blob64 (statement, index, bytes, n, SQLITE_STATIC);
}

/* --- Content hashes: equal content is stored once ------------------------------------------- */

static const char *
unit_of (const MsCorpus *corpus)
{
  return corpus->unit != NULL ? corpus->unit : "token";
}

static void
hash_text (XXH3_state_t *state, const char *text)
{
  guint8 there = text != NULL;

  XXH3_128bits_update (state, &there, 1);
  if (text != NULL)
    XXH3_128bits_update (state, text, strlen (text) + 1);
}

static char *
hash_digest (XXH3_state_t *state)
{
  XXH128_hash_t hash = XXH3_128bits_digest (state);

  return g_strdup_printf ("%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x", hash.high64,
                          hash.low64);
}

static void
hash_int (XXH3_state_t *state, gint64 number)
{
  XXH3_128bits_update (state, &number, sizeof number);
}

/* Of a number that is not finite only that counts. */
static void
hash_real (XXH3_state_t *state, double number)
{
  double value = isfinite (number) ? number + 0.0 : 0;

  hash_int (state, isfinite (number));
  XXH3_128bits_update (state, &value, sizeof value);
}

static void
hash_gate (XXH3_state_t *state, const MsGate *gate)
{
  hash_int (state, gate->n_experts);
  hash_int (state, gate->k);
  hash_text (state, ms_scoring_name (gate->scoring));
  hash_int (state, gate->renormalise != 0);
  hash_real (state, (double) gate->scale);
  hash_int (state, gate->groups);
  hash_int (state, gate->groups_used);
  hash_text (state, gate->groups > 1 ? ms_group_rule_name (gate->group_rule) : NULL);
  hash_int (state, gate->biased != 0);
  hash_int (state, gate->biased && gate->selection_bias != NULL);
  for (guint e = 0; gate->biased && gate->selection_bias != NULL && e < gate->n_experts; e++)
    hash_real (state, (double) gate->selection_bias[e]);
}

char *
ms_model_hash (const MsModel *model)
{
  XXH3_state_t state;

  XXH3_INITSTATE (&state);
  XXH3_128bits_reset (&state);
  hash_text (&state, model->name);
  hash_text (&state, model->architecture);
  hash_text (&state, model->fingerprint);
  hash_int (&state, model->n_blocks);
  hash_int (&state, model->n_shared);
  hash_int (&state, model->width);
  hash_int (&state, model->expert_bytes);
  hash_int (&state, model->n_layers);
  for (guint i = 0; i < model->n_layers; i++)
    {
      hash_int (&state, model->layers[i].number);
      hash_int (&state, model->layers[i].block);
      hash_text (&state, model->layers[i].name);
      hash_gate (&state, &model->layers[i].gate);
    }
  for (guint i = 0; i < model->n_destinations; i++)
    {
      const MsDestination *destination = &model->destinations[i];

      hash_int (&state, destination->layer);
      hash_int (&state, destination->expert);
      hash_text (&state, destination->name);
      hash_text (&state, destination->kind);
      hash_text (&state, destination->owner);
      hash_real (&state, destination->cost);
    }
  return hash_digest (&state);
}

char *
ms_corpus_hash (const MsCorpus *corpus, const gint32 *ids)
{
  guint n_labels = ms_corpus_n_labels (corpus);
  XXH3_state_t state;

  XXH3_INITSTATE (&state);
  XXH3_128bits_reset (&state);
  hash_text (&state, corpus->tokenizer);
  hash_text (&state, unit_of (corpus));
  hash_int (&state, corpus->n_tokens);
  hash_int (&state, ids != NULL);
  if (ids != NULL)
    XXH3_128bits_update (&state, ids, (gsize) corpus->n_tokens * sizeof *ids);
  hash_int (&state, n_labels);
  for (guint label = 0; label < n_labels; label++)
    hash_text (&state, ms_corpus_label_name (corpus, label));
  for (guint i = 0; i < corpus->n_documents; i++)
    {
      const MsDocument *document = &corpus->documents[i];

      hash_text (&state, document->name);
      for (guint label = 0; label < n_labels; label++)
        hash_text (&state, ms_document_label (document, label));
      hash_int (&state, document->n_tokens);
    }
  for (guint i = 0; i < corpus->n_ranges; i++)
    {
      hash_text (&state, corpus->ranges[i].name);
      hash_text (&state, corpus->ranges[i].value);
      hash_int (&state, corpus->ranges[i].first_token);
      hash_int (&state, corpus->ranges[i].n_tokens);
    }
  return hash_digest (&state);
}

/* --- What may be stored --------------------------------------------------------------------- */

static gboolean
check_gate (const MsModel *model, const MsLayer *layer, GError **error)
{
  const MsGate *gate = &layer->gate;

  if (gate->n_experts < 1 || gate->n_experts > MS_MAX_EXPERTS || gate->k < 1
      || gate->k > gate->n_experts || gate->groups > gate->n_experts
      || gate->groups_used > gate->groups || !isfinite (gate->scale))
    return bad_value (error, "model %s, layer %d: %u of %u experts cannot be recorded", model->name,
                      layer->number, gate->k, gate->n_experts);
  return TRUE;
}

static gboolean
check_model (const MsModel *model, GError **error)
{
  if (model->name == NULL || model->architecture == NULL)
    return bad_value (error, "a model needs a name and an architecture");
  if (model->n_layers == 0)
    return bad_value (error, "model %s has no MoE layers: there is no routing to record",
                      model->name);
  for (guint i = 0; i < model->n_layers; i++)
    {
      const MsLayer *layer = &model->layers[i];

      if (layer->number < 0 || layer->block < -1 || layer->block >= (int) model->n_blocks
          || (i > 0 && layer->number <= layer[-1].number))
        return bad_value (error, "model %s: layer %d of %u blocks is out of order", model->name,
                          layer->number, model->n_blocks);
      if (!check_gate (model, layer, error))
        return FALSE;
    }
  for (guint i = 0; i < model->n_destinations; i++)
    {
      const MsDestination *at = &model->destinations[i];

      if (at->layer >= model->n_layers || at->expert >= model->layers[at->layer].gate.n_experts
          || at->kind == NULL
          || (i > 0
              && (at->layer < at[-1].layer
                  || (at->layer == at[-1].layer && at->expert <= at[-1].expert))))
        return bad_value (error, "model %s: destination %u is out of order or without a kind",
                          model->name, i);
    }
  return TRUE;
}

static gboolean
check_ranges (const MsCorpus *corpus, GError **error)
{
  for (guint i = 0; i < corpus->n_ranges; i++)
    {
      const MsTokenLabel *at = &corpus->ranges[i];
      int order = i > 0 && at->name != NULL ? strcmp (at[-1].name, at->name) : -1;

      if (at->name == NULL || at->value == NULL || at->first_token < 0 || at->n_tokens < 1
          || at->first_token >= corpus->n_tokens
          || at->n_tokens > corpus->n_tokens - at->first_token || order > 0
          || (order == 0 && at->first_token < at[-1].first_token + at[-1].n_tokens))
        return bad_value (error, "label %u of tokens of corpus %s is out of order", i,
                          corpus->name);
    }
  return TRUE;
}

static gboolean
check_corpus (const MsCorpus *corpus, const gint32 *ids, GError **error)
{
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  gint64 next = 0;

  if (corpus->name == NULL || corpus->n_tokens < 1)
    return bad_value (error, "a corpus needs a name and at least one token");
  if (corpus->n_more > MS_MOST_LABELS
      || corpus->n_more * (gint64) corpus->n_documents > MS_MOST_LABEL_VALUES)
    return bad_value (error,
                      "corpus %s has %u kinds of labels for %u documents: at most %d kinds and %d "
                      "values can be kept; give documents the same kinds",
                      corpus->name, corpus->n_more, corpus->n_documents, MS_MOST_LABELS,
                      MS_MOST_LABEL_VALUES);
  for (guint i = 0; i < corpus->n_documents; i++)
    {
      const MsDocument *document = &corpus->documents[i];

      if (document->name == NULL || !g_hash_table_add (names, document->name))
        return bad_value (error, "two documents of corpus %s are named '%s'; rename one",
                          corpus->name, document->name);
      if (document->first_token != next || document->n_tokens < 0
          || document->n_tokens > corpus->n_tokens - next)
        return bad_value (error, "document %s does not begin where the one before ends",
                          document->name);
      next += document->n_tokens;
    }
  if (next != corpus->n_tokens)
    return bad_value (error, "the documents of corpus %s do not cover its tokens", corpus->name);
  if (!check_ranges (corpus, error))
    return FALSE;
  if (ids != NULL)
    for (gint64 i = 0; i < corpus->n_tokens; i++)
      if (ids[i] < 0)
        return bad_value (error, "token %" G_GINT64_FORMAT " of corpus %s has id %d", i,
                          corpus->name, ids[i]);
  return TRUE;
}

/* --- Model, corpus, run --------------------------------------------------------------------- */

/* The id of the row whose hash is `hash`; 0 = none. */
static gboolean
find_hash (MsDb *db, const char *sql, const char *hash, gint64 *id, GError **error)
{
  g_autoptr (sqlite3_stmt) statement = ms_db_prepare (db, sql, "looking for the same", error);
  int code;

  if (statement == NULL)
    return FALSE;
  bind_text (statement, 1, hash);
  code = sqlite3_step (statement);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    return ms_db_fail (db, code, "looking for the same", error);
  *id = code == SQLITE_ROW ? sqlite3_column_int64 (statement, 0) : 0;
  return TRUE;
}

static gboolean
store_layers (MsDb *db, const MsModel *model, GError **error)
{
  static const char what[] = "storing the layers";
  g_autoptr (sqlite3_stmt) put = ms_db_prepare (
      db,
      "INSERT INTO layer (model, layer, block, name, experts, k, scoring, renormalise, scale, "
      "groups, groups_used, group_rule, biased, selection_bias) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
      what, error);

  if (put == NULL)
    return FALSE;
  for (guint i = 0; i < model->n_layers; i++)
    {
      const MsLayer *layer = &model->layers[i];
      const MsGate *gate = &layer->gate;

      sqlite3_bind_int64 (put, 1, model->id);
      sqlite3_bind_int64 (put, 2, layer->number);
      if (layer->block >= 0)
        sqlite3_bind_int64 (put, 3, layer->block);
      bind_text (put, 4, layer->name);
      sqlite3_bind_int64 (put, 5, gate->n_experts);
      sqlite3_bind_int64 (put, 6, gate->k);
      bind_text (put, 7, ms_scoring_name (gate->scoring));
      sqlite3_bind_int64 (put, 8, gate->renormalise != 0);
      sqlite3_bind_double (put, 9, (double) gate->scale);
      sqlite3_bind_int64 (put, 10, gate->groups);
      sqlite3_bind_int64 (put, 11, gate->groups_used);
      bind_text (put, 12, ms_group_rule_name (gate->group_rule));
      sqlite3_bind_int64 (put, 13, gate->biased != 0);
      if (gate->biased)
        bind_blob (put, 14, gate->selection_bias, gate->n_experts * sizeof (float));
      if (!run_statement (db, put, what, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
store_destinations (MsDb *db, const MsModel *model, GError **error)
{
  static const char what[] = "storing the destinations";
  g_autoptr (sqlite3_stmt) put
      = ms_db_prepare (db,
                       "INSERT INTO destination (model, layer, expert, name, kind, owner, cost) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                       what, error);

  if (put == NULL)
    return FALSE;
  for (guint i = 0; i < model->n_destinations; i++)
    {
      const MsDestination *at = &model->destinations[i];

      sqlite3_bind_int64 (put, 1, model->id);
      sqlite3_bind_int64 (put, 2, model->layers[at->layer].number);
      sqlite3_bind_int64 (put, 3, at->expert);
      bind_text (put, 4, at->name);
      bind_text (put, 5, at->kind);
      bind_text (put, 6, at->owner);
      sqlite3_bind_double (put, 7, at->cost); /* NaN becomes NULL */
      if (!run_statement (db, put, what, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
store_model (MsDb *db, MsModel *model, GError **error)
{
  static const char what[] = "storing the model";
  g_autofree char *hash = ms_model_hash (model);
  g_autoptr (sqlite3_stmt) put = NULL;

  if (!find_hash (db, "SELECT model FROM model WHERE hash = ?1", hash, &model->id, error))
    return FALSE;
  if (model->id != 0)
    return TRUE;
  put = ms_db_prepare (db,
                       "INSERT INTO model (hash, name, architecture, fingerprint, blocks, shared, "
                       "width, expert_bytes, details) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                       what, error);
  if (put == NULL)
    return FALSE;
  bind_text (put, 1, hash);
  bind_text (put, 2, model->name);
  bind_text (put, 3, model->architecture);
  bind_text (put, 4, model->fingerprint);
  sqlite3_bind_int64 (put, 5, model->n_blocks);
  sqlite3_bind_int64 (put, 6, model->n_shared);
  sqlite3_bind_int64 (put, 7, model->width);
  sqlite3_bind_int64 (put, 8, model->expert_bytes);
  bind_text (put, 9, model->details);
  if (!run_statement (db, put, what, error))
    return FALSE;
  model->id = sqlite3_last_insert_rowid (ms_db_handle (db));
  return store_layers (db, model, error) && store_destinations (db, model, error);
}

static gboolean
store_labels (MsDb *db, const MsCorpus *corpus, GError **error)
{
  static const char what[] = "storing the labels";
  guint n_labels = ms_corpus_n_labels (corpus);
  g_autoptr (sqlite3_stmt) put
      = ms_db_prepare (db, "INSERT INTO document_label VALUES (?1, ?2, ?3, ?4)", what, error);
  g_autoptr (sqlite3_stmt) put_range = NULL;

  if (put == NULL)
    return FALSE;
  for (guint i = 0; i < corpus->n_documents; i++)
    for (guint label = 0; label < n_labels; label++)
      if (ms_document_label (&corpus->documents[i], label) != NULL)
        {
          sqlite3_bind_int64 (put, 1, corpus->id);
          sqlite3_bind_int64 (put, 2, i);
          bind_text (put, 3, ms_corpus_label_name (corpus, label));
          bind_text (put, 4, ms_document_label (&corpus->documents[i], label));
          if (!run_statement (db, put, what, error))
            return FALSE;
        }
  put_range = ms_db_prepare (db,
                             "INSERT INTO token_label (corpus, name, value, first_token, n_tokens) "
                             "VALUES (?1, ?2, ?3, ?4, ?5)",
                             what, error);
  for (guint i = 0; put_range != NULL && i < corpus->n_ranges; i++)
    {
      sqlite3_bind_int64 (put_range, 1, corpus->id);
      bind_text (put_range, 2, corpus->ranges[i].name);
      bind_text (put_range, 3, corpus->ranges[i].value);
      sqlite3_bind_int64 (put_range, 4, corpus->ranges[i].first_token);
      sqlite3_bind_int64 (put_range, 5, corpus->ranges[i].n_tokens);
      if (!run_statement (db, put_range, what, error))
        return FALSE;
    }
  return put_range != NULL;
}

static gboolean
store_documents (MsDb *db, const MsCorpus *corpus, GError **error)
{
  g_autoptr (sqlite3_stmt) put
      = ms_db_prepare (db,
                       "INSERT INTO document (corpus, document, name, first_token, n_tokens) "
                       "VALUES (?1, ?2, ?3, ?4, ?5)",
                       "storing the documents", error);

  if (put == NULL)
    return FALSE;
  for (guint i = 0; i < corpus->n_documents; i++)
    {
      const MsDocument *document = &corpus->documents[i];

      sqlite3_bind_int64 (put, 1, corpus->id);
      sqlite3_bind_int64 (put, 2, i);
      bind_text (put, 3, document->name);
      sqlite3_bind_int64 (put, 4, document->first_token);
      sqlite3_bind_int64 (put, 5, document->n_tokens);
      if (!run_statement (db, put, "storing the documents", error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
store_token_ids (MsDb *db, const MsCorpus *corpus, const gint32 *ids, GError **error)
{
  g_autoptr (sqlite3_stmt) put = ms_db_prepare (
      db, "INSERT INTO token_block (corpus, block, crc, ids) VALUES (?1, ?2, ?3, ?4)",
      "storing the tokens", error);

  if (put == NULL)
    return FALSE;
  for (gint64 first = 0; first < corpus->n_tokens; first += MS_BLOCK_TOKENS)
    {
      gint64 block = first / MS_BLOCK_TOKENS;
      gsize bytes = ms_block_tokens (corpus->n_tokens, block) * sizeof *ids;

      sqlite3_bind_int64 (put, 1, corpus->id);
      sqlite3_bind_int64 (put, 2, block);
      sqlite3_bind_int64 (put, 3, ms_crc_bytes (ids + first, bytes));
      bind_blob (put, 4, ids + first, bytes);
      if (!run_statement (db, put, "storing the tokens", error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
store_corpus (MsDb *db, MsCorpus *corpus, const gint32 *ids, GError **error)
{
  static const char what[] = "storing the corpus";
  g_autofree char *hash = ms_corpus_hash (corpus, ids);
  g_autoptr (sqlite3_stmt) put = NULL;

  corpus->ids_known = ids != NULL;
  if (!find_hash (db, "SELECT corpus FROM corpus WHERE hash = ?1", hash, &corpus->id, error))
    return FALSE;
  if (corpus->id != 0)
    return TRUE;
  put = ms_db_prepare (db,
                       "INSERT INTO corpus (hash, name, tokenizer, n_tokens, ids_known, unit) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                       what, error);
  if (put == NULL)
    return FALSE;
  bind_text (put, 1, hash);
  bind_text (put, 2, corpus->name);
  bind_text (put, 3, corpus->tokenizer);
  sqlite3_bind_int64 (put, 4, corpus->n_tokens);
  sqlite3_bind_int64 (put, 5, corpus->ids_known);
  bind_text (put, 6, unit_of (corpus));
  if (!run_statement (db, put, what, error))
    return FALSE;
  corpus->id = sqlite3_last_insert_rowid (ms_db_handle (db));
  return store_documents (db, corpus, error) && store_labels (db, corpus, error)
         && (ids == NULL || store_token_ids (db, corpus, ids, error));
}

/* Stores the pieces of those ids (n) that are not yet known to be stored. */
static gboolean
store_pieces (MsWriter *writer, const gint32 *ids, gsize n, GError **error)
{
  GByteArray *known = writer->known;

  for (gsize i = 0; i < n; i++)
    {
      guint byte = (guint) ids[i] / 8;
      guint8 bit = (guint8) (1u << (ids[i] % 8));
      const guint8 *piece;
      gsize length = 0;

      if (ids[i] < 0)
        continue;
      if (byte >= known->len)
        {
          guint old = known->len;

          g_byte_array_set_size (known, byte + 1 + byte / 2);
          memset (known->data + old, 0, known->len - old);
        }
      if (known->data[byte] & bit)
        continue;
      known->data[byte] |= bit;
      piece = writer->piece (ids[i], &length, writer->piece_data);
      if (piece == NULL)
        continue;
      sqlite3_bind_int64 (writer->put_piece, 1, writer->corpus);
      sqlite3_bind_int64 (writer->put_piece, 2, ids[i]);
      bind_blob (writer->put_piece, 3, piece, length);
      if (!run_statement (writer->db, writer->put_piece, "storing the vocabulary", error))
        return FALSE;
    }
  return TRUE;
}

static void
bind_run (sqlite3_stmt *statement, const MsRun *run, const char *columns)
{
  sqlite3_bind_int64 (statement, 1, run->model);
  sqlite3_bind_int64 (statement, 2, run->corpus);
  bind_text (statement, 3, run->precision);
  bind_text (statement, 4, run->collector);
  bind_text (statement, 5, run->storage == MS_STORAGE_EXACT ? "exact" : "compact");
  bind_text (statement, 6, columns);
  if (run->columns & MS_CHUNK_LOGITS)
    bind_text (statement, 7, run->probabilities ? "probabilities" : "logits");
  sqlite3_bind_int64 (statement, 8, run->predictions);
  bind_text (statement, 9, run->outcome);
  if (run->has_step)
    sqlite3_bind_int64 (statement, 10, run->step);
  bind_text (statement, 11, run->intervention);
}

/* The unfinished run with the same settings, or a new one. */
static gboolean
store_run (MsDb *db, MsRun *run, GError **error)
{
  static const char what[] = "storing the run";
  g_autofree char *columns = ms_columns_format (run->columns);
  g_autoptr (sqlite3_stmt) get = NULL;
  g_autoptr (sqlite3_stmt) put = NULL;
  gboolean fresh = run->id == -1;
  int code;

  if (run->started == NULL)
    {
      g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
      run->started = g_date_time_format (now, "%Y-%m-%dT%H:%M:%SZ");
    }
  get = ms_db_prepare (db,
                       "SELECT max(run) FROM run WHERE model = ?1 AND corpus = ?2 AND "
                       "precision = ?3 AND collector = ?4 AND storage = ?5 AND columns = ?6 AND "
                       "scores IS ?7 AND predictions = ?8 AND outcome IS ?9 AND step IS ?10 AND "
                       "intervention IS ?11 AND finished IS NULL",
                       what, error);
  if (get == NULL)
    return FALSE;
  bind_run (get, run, columns);
  code = sqlite3_step (get);
  if (code != SQLITE_ROW)
    return ms_db_fail (db, code, what, error);
  run->id = sqlite3_column_int64 (get, 0);
  if (run->id != 0 && !fresh)
    return TRUE;
  put = ms_db_prepare (db,
                       "INSERT INTO run (model, corpus, precision, collector, storage, columns, "
                       "scores, predictions, outcome, step, intervention, name, started, command) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                       what, error);
  if (put == NULL)
    return FALSE;
  bind_run (put, run, columns);
  bind_text (put, 12, run->name);
  bind_text (put, 13, run->started);
  bind_text (put, 14, run->command);
  if (!run_statement (db, put, what, error))
    return FALSE;
  run->id = sqlite3_last_insert_rowid (ms_db_handle (db));
  return TRUE;
}

/* --- The writer ----------------------------------------------------------------------------- */

static gboolean
prepare_statements (MsWriter *writer, GError **error)
{
  static const char what[] = "preparing to write";
  struct
  {
    sqlite3_stmt **statement;
    const char *sql;
  } all[] = {
    { &writer->drop_block, "DELETE FROM chunk WHERE run = ?1 AND block = ?2" },
    { &writer->put_chunk,
      "INSERT INTO chunk (run, block, layer, first_token, n_tokens, k, id_bytes, scale, crc, "
      "values_crc, experts, weights, entropy, margin) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)" },
    { &writer->put_column,
      "INSERT INTO chunk_column (chunk, name, crc, data) VALUES (?1, ?2, ?3, ?4)" },
    { &writer->put_prediction, "INSERT OR REPLACE INTO prediction (run, block, crc, ids, loss) "
                               "VALUES (?1, ?2, ?3, ?4, ?5)" },
    { &writer->put_piece, "INSERT OR IGNORE INTO piece (corpus, id, bytes) VALUES (?1, ?2, ?3)" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    {
      *all[i].statement = ms_db_prepare (writer->db, all[i].sql, what, error);
      if (*all[i].statement == NULL)
        return FALSE;
    }
  return TRUE;
}

/* One transaction around `writer`'s work: TRUE commits, FALSE rolls back. */
static gboolean
end_transaction (MsDb *db, gboolean good, const char *what, GError **error)
{
  if (good && ms_db_exec (db, "COMMIT", what, error))
    return TRUE;
  sqlite3_exec (ms_db_handle (db), "ROLLBACK", NULL, NULL, NULL);
  return FALSE;
}

/* Blocks that the corpus has not: of a damaged run that goes on. */
static gboolean
drop_strays (MsDb *db, gint64 run, gint64 n_tokens, GError **error)
{
  g_autofree char *sql = g_strdup_printf ("DELETE FROM chunk WHERE run = %" G_GINT64_FORMAT
                                          " AND (block < 0 OR block >= %" G_GINT64_FORMAT ")",
                                          run, (n_tokens + MS_BLOCK_TOKENS - 1) / MS_BLOCK_TOKENS);

  return ms_db_exec (db, sql, "going on with the run", error);
}

static gboolean
begin_run (MsWriter *writer, MsModel *model, MsCorpus *corpus, const gint32 *ids, MsRun *run,
           GError **error)
{
  MsBlocks blocks;

  if (!ms_db_remove_empty_runs (writer->db, error) || !store_model (writer->db, model, error)
      || !store_corpus (writer->db, corpus, ids, error))
    return FALSE;
  run->model = model->id;
  run->corpus = writer->corpus = corpus->id;
  if (!store_run (writer->db, run, error) || !ms_db_lock_run (writer->db, run->id, error))
    return FALSE;
  writer->run = run->id; /* from here on it is ours to unlock */
  if (!ms_db_find_blocks (writer->db, run->id, model->n_layers, &blocks, error)
      || (blocks.first != -1 && !drop_strays (writer->db, run->id, corpus->n_tokens, error)))
    return FALSE;
  writer->next_block = (guint) blocks.whole;
  run->n_tokens = MIN (corpus->n_tokens, blocks.whole * MS_BLOCK_TOKENS);
  return ids == NULL || writer->piece == NULL
         || store_pieces (writer, ids, (gsize) corpus->n_tokens, error);
}

MsWriter *
ms_writer_new (MsDb *db, MsModel *model, MsCorpus *corpus, const gint32 *token_ids, MsRun *run,
               MsPieceFunc piece, gpointer piece_data, GError **error)
{
  g_autoptr (MsWriter) writer = NULL;
  guint most_experts = 0;

  if (!check_model (model, error) || !check_corpus (corpus, token_ids, error))
    return NULL;
  if (run->name == NULL || run->precision == NULL || run->collector == NULL)
    {
      bad_value (error, "a run needs a name, a precision and a collector");
      return NULL;
    }
  run->columns = (run->columns & MS_COLUMNS_ALL) | MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS;
  for (guint i = 0; i < model->n_layers; i++)
    most_experts = MAX (most_experts, model->layers[i].gate.n_experts);
  writer = g_new0 (MsWriter, 1);
  writer->db = db;
  writer->n_tokens = corpus->n_tokens;
  writer->storage = run->storage;
  writer->columns = run->columns;
  writer->predictions = run->predictions;
  writer->n_layers = model->n_layers;
  writer->layers = g_memdup2 (model->layers, model->n_layers * sizeof (MsLayer));
  writer->piece = piece;
  writer->piece_data = piece_data;
  writer->known = g_byte_array_new ();
  writer->stamps = g_new0 (guint32, most_experts);
  /* A file system without shared memory keeps the rollback journal: slower, as safe. */
  sqlite3_exec (ms_db_handle (db), "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
  if (!prepare_statements (writer, error)
      || !ms_db_exec (db, "BEGIN IMMEDIATE", "beginning the run", error)
      || !end_transaction (db, begin_run (writer, model, corpus, token_ids, run, error),
                           "beginning the run", error))
    return NULL;
  return g_steal_pointer (&writer);
}

guint
ms_writer_next_block (const MsWriter *writer)
{
  return writer->next_block;
}

static guint8 *
buffer (MsWriter *writer, guint index, gsize bytes)
{
  if (writer->buffer_bytes[index] < bytes)
    {
      g_free (writer->buffers[index]);
      writer->buffers[index] = g_malloc (bytes);
      writer->buffer_bytes[index] = bytes;
    }
  return writer->buffers[index];
}

/* Ids in range, none twice, unused slots last, weights finite or, exactly stored, undefined (NaN); *scale becomes the largest weight. */
static gboolean
check_decisions (MsWriter *writer, const MsShape *shape, const MsDecisions *in, double *scale,
                 GError **error)
{
  gboolean compact = shape->storage == MS_STORAGE_COMPACT;
  float most = 0;

  memset (writer->stamps, 0, shape->n_experts * sizeof *writer->stamps);
  for (guint t = 0; t < shape->n_tokens; t++)
    {
      const guint16 *row = in->experts + (gsize) t * shape->k;
      const float *weights = in->weights + (gsize) t * shape->k;
      guint used = 0;

      while (used < shape->k && row[used] != MS_NO_EXPERT)
        {
          guint16 e = row[used];

          if (e >= shape->n_experts)
            return bad_value (error, "token %u: there is no expert %u of %u", t, e,
                              shape->n_experts);
          if (writer->stamps[e] == t + 1)
            return bad_value (error, "token %u: expert %u is chosen twice", t, e);
          if (isinf (weights[used]) || (compact && !(weights[used] >= 0)))
            return bad_value (error, "token %u: expert %u has weight %g%s", t, e,
                              (double) weights[used],
                              isinf (weights[used]) ? "" : "; use exact storage");
          writer->stamps[e] = t + 1;
          if (weights[used] > most) /* not so when undefined */
            most = weights[used];
          used++;
        }
      for (; used < shape->k; used++)
        if (row[used] != MS_NO_EXPERT)
          return bad_value (error, "token %u: an unused slot lies before expert %u", t, row[used]);
    }
  *scale = (double) most;
  return TRUE;
}

/* Weights as stored: 0 where no expert is. */
static float *
clean_weights (MsWriter *writer, const MsShape *shape, const MsDecisions *in)
{
  gsize n = ms_shape_count (shape, 0);
  float *clean = NULL;

  for (gsize i = 0; i < n; i++)
    if (in->experts[i] == MS_NO_EXPERT)
      {
        if (clean == NULL)
          {
            clean = (float *) (void *) buffer (writer, MS_N_COLUMNS_INROW, n * sizeof *clean);
            memcpy (clean, in->weights, n * sizeof *clean);
          }
        clean[i] = 0;
      }
  return clean != NULL ? clean : in->weights;
}

static gboolean
put_columns (MsWriter *writer, const MsShape *shape, const MsDecisions *in, GError **error)
{
  gint64 chunk = sqlite3_last_insert_rowid (ms_db_handle (writer->db));

  for (guint i = MS_N_COLUMNS_INROW; i < MS_N_COLUMNS; i++)
    if (writer->columns & (1u << i))
      {
        const void *values = ms_decisions_get (in, i);
        gsize bytes = ms_shape_bytes (shape, i);

        sqlite3_bind_int64 (writer->put_column, 1, chunk);
        bind_text (writer->put_column, 2, ms_chunk_column (i)->name);
        sqlite3_bind_int64 (writer->put_column, 3, ms_crc_bytes (values, bytes));
        bind_blob (writer->put_column, 4, values, bytes);
        if (!run_statement (writer->db, writer->put_column, "storing a column", error))
          return FALSE;
      }
  return TRUE;
}

static gboolean
put_layer (MsWriter *writer, guint index, const MsDecisions *in, GError **error)
{
  const MsLayer *layer = &writer->layers[index];
  const MsShape shape = { ms_block_tokens (writer->n_tokens, writer->next_block), layer->gate.k,
                          layer->gate.n_experts, writer->storage };
  MsDecisions clean = *in;
  sqlite3_stmt *put = writer->put_chunk;
  const guint8 *blobs[MS_N_COLUMNS_INROW] = { NULL };
  gsize sizes[MS_N_COLUMNS_INROW] = { 0 };
  double scale = 0;

  for (guint i = 0; i < MS_N_COLUMNS; i++)
    if ((writer->columns & (1u << i)) && ms_decisions_get (in, i) == NULL)
      return bad_value (error, "the column %s is missing", ms_chunk_column (i)->name);
  if (!check_decisions (writer, &shape, in, &scale, error))
    return FALSE;
  clean.weights = clean_weights (writer, &shape, in);
  for (guint i = 0; i < MS_N_COLUMNS_INROW; i++)
    if (writer->columns & (1u << i))
      {
        guint8 *out = buffer (writer, i, ms_shape_bytes (&shape, i));

        ms_encode_column (&shape, i, ms_decisions_get (&clean, i), scale, out);
        blobs[i] = out;
        sizes[i] = ms_shape_bytes (&shape, i);
      }
  sqlite3_bind_int64 (put, 1, writer->run);
  sqlite3_bind_int64 (put, 2, writer->next_block);
  sqlite3_bind_int64 (put, 3, layer->number);
  sqlite3_bind_int64 (put, 4, (gint64) writer->next_block * MS_BLOCK_TOKENS);
  sqlite3_bind_int64 (put, 5, shape.n_tokens);
  sqlite3_bind_int64 (put, 6, shape.k);
  sqlite3_bind_int64 (put, 7, ms_shape_id_bytes (&shape));
  sqlite3_bind_double (put, 8, scale);
  sqlite3_bind_int64 (put, 9, ms_crc_ids (writer->next_block, layer->number, blobs[0], sizes[0]));
  sqlite3_bind_int64 (put, 10, ms_crc_values (scale, blobs + 1, sizes + 1));
  for (guint i = 0; i < MS_N_COLUMNS_INROW; i++)
    bind_blob (put, 11 + (int) i, blobs[i], sizes[i]);
  return run_statement (writer->db, put, "storing a chunk", error)
         && put_columns (writer, &shape, in, error);
}

static gboolean
put_predictions (MsWriter *writer, const gint32 *predicted, const float *loss, GError **error)
{
  gsize n = ms_block_tokens (writer->n_tokens, writer->next_block);
  gsize n_ids = predicted != NULL ? n * sizeof *predicted : 0;
  gsize n_loss = loss != NULL ? n * sizeof *loss : 0;
  g_autofree guint8 *both = g_malloc (n_ids + n_loss);

  if (n_ids + n_loss == 0)
    return bad_value (error, "the predictions are missing");
  if (predicted != NULL)
    memcpy (both, predicted, n_ids);
  if (loss != NULL)
    memcpy (both + n_ids, loss, n_loss);
  sqlite3_bind_int64 (writer->put_prediction, 1, writer->run);
  sqlite3_bind_int64 (writer->put_prediction, 2, writer->next_block);
  sqlite3_bind_int64 (writer->put_prediction, 3, ms_crc_bytes (both, n_ids + n_loss));
  bind_blob (writer->put_prediction, 4, predicted, n_ids);
  bind_blob (writer->put_prediction, 5, loss, n_loss);
  if (!run_statement (writer->db, writer->put_prediction, "storing the predictions", error))
    return FALSE;
  if (predicted == NULL || writer->piece == NULL)
    return TRUE;
  if (store_pieces (writer, predicted, n, error))
    return TRUE;
  /* The transaction is undone, and with it pieces that are marked as known. */
  memset (writer->known->data, 0, writer->known->len);
  return FALSE;
}

static gboolean
put_all (MsWriter *writer, const MsDecisions *layers, const gint32 *predicted, const float *loss,
         GError **error)
{
  sqlite3_bind_int64 (writer->drop_block, 1, writer->run);
  sqlite3_bind_int64 (writer->drop_block, 2, writer->next_block);
  if (!run_statement (writer->db, writer->drop_block, "storing a block", error))
    return FALSE;
  for (guint i = 0; i < writer->n_layers; i++)
    if (!put_layer (writer, i, &layers[i], error))
      {
        g_prefix_error (error, "block %u, layer %d: ", writer->next_block,
                        writer->layers[i].number);
        return FALSE;
      }
  return !writer->predictions || put_predictions (writer, predicted, loss, error);
}

gboolean
ms_writer_put_block (MsWriter *writer, const MsDecisions *layers, const gint32 *predicted,
                     const float *loss, GError **error)
{
  MsDb *db = writer->db;

  if (ms_block_tokens (writer->n_tokens, writer->next_block) == 0)
    return bad_value (error, "all %" G_GINT64_FORMAT " tokens are recorded already",
                      writer->n_tokens);
  if (!ms_db_exec (db, "BEGIN IMMEDIATE", "storing a block", error)
      || !end_transaction (db, put_all (writer, layers, predicted, loss, error), "storing a block",
                           error))
    return FALSE;
  writer->next_block++;
  return TRUE;
}

/* Puts all into the one file.  While somebody else has it open the log stays beside it: no harm. */
static void
fold_log (MsDb *db)
{
  sqlite3_exec (ms_db_handle (db), "PRAGMA wal_checkpoint (TRUNCATE); PRAGMA journal_mode = DELETE",
                NULL, NULL, NULL);
}

gboolean
ms_writer_finish (MsWriter *writer, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (writer->db,
                       "UPDATE run SET finished = strftime('%Y-%m-%dT%H:%M:%SZ', 'now') "
                       "WHERE run = ?1",
                       "finishing the run", error);

  if (statement == NULL)
    return FALSE;
  if (ms_block_tokens (writer->n_tokens, writer->next_block) != 0)
    return bad_value (error, "run %" G_GINT64_FORMAT " is not complete at block %u", writer->run,
                      writer->next_block);
  sqlite3_bind_int64 (statement, 1, writer->run);
  return run_statement (writer->db, statement, "finishing the run", error);
}

gboolean
ms_writer_add_remark (MsWriter *writer, const MsRemark *remark, GError **error)
{
  g_autoptr (sqlite3_stmt) put
      = ms_db_prepare (writer->db,
                       "INSERT OR REPLACE INTO finding (run, code, severity, count, place, text) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                       "storing a finding", error);

  if (put == NULL)
    return FALSE;
  if (remark->code == NULL || remark->text == NULL || remark->count < 0)
    return bad_value (error, "a finding needs a code, a count and a text");
  sqlite3_bind_int64 (put, 1, writer->run);
  bind_text (put, 2, remark->code);
  bind_text (put, 3, ms_severity_name (remark->severity));
  sqlite3_bind_int64 (put, 4, remark->count);
  bind_text (put, 5, remark->place);
  bind_text (put, 6, remark->text);
  return run_statement (writer->db, put, "storing a finding", error);
}

/* A run of which nothing is recorded is not left behind; when even that fails, the next writer does it. */
static void
drop_empty (MsWriter *writer)
{
  if (ms_db_exec (writer->db, "BEGIN IMMEDIATE", "ending the run", NULL))
    end_transaction (writer->db, ms_db_remove_empty_runs (writer->db, NULL), "ending the run",
                     NULL);
}

void
ms_writer_free (MsWriter *writer)
{
  if (writer == NULL)
    return;
  sqlite3_finalize (writer->drop_block);
  sqlite3_finalize (writer->put_chunk);
  sqlite3_finalize (writer->put_column);
  sqlite3_finalize (writer->put_prediction);
  sqlite3_finalize (writer->put_piece);
  if (writer->run != 0)
    {
      ms_db_unlock_run (writer->db, writer->run);
      if (writer->next_block == 0)
        drop_empty (writer);
    }
  fold_log (writer->db);
  for (guint i = 0; i < G_N_ELEMENTS (writer->buffers); i++)
    g_free (writer->buffers[i]);
  if (writer->known != NULL)
    g_byte_array_unref (writer->known);
  g_free (writer->stamps);
  g_free (writer->layers);
  g_free (writer);
}
