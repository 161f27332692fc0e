/* Files of other versions, and files that only look like ours.
 *
 * A file is ours when each of our tables is a plain table with our columns and nothing of it computed:
 * a view, a virtual table or a trigger in its place could do anything when it is read.
 *
 * Version 1 had the gate in words (model.router), four labels as columns of document, and a flag for
 * probabilities.  NEW_SHAPE says once, in SQL, what that is in version 2: a reader looks at the old file
 * through these temporary views (unqualified names find them first), and the migration copies from them.
 * The migration is one transaction, so that a crash leaves the one version or the other. */
#include "db-private.h"

#include <string.h>

static const char *const schema[] = {
#include "schema.inc"
  NULL
};

char *
ms_db_schema (void)
{
  return g_strjoinv (NULL, (char **) schema);
}

/* --- Whether the tables are ours ------------------------------------------------------------- */

/* The columns of the tables of version 1 that changed since, in their order. */
static const struct
{
  const char *table, *columns;
} old_tables[] = {
  { "model", "model,hash,name,architecture,fingerprint,router,blocks,shared,width,expert_bytes,"
             "weight_scale,details" },
  { "layer", "model,layer,experts,k,groups" },
  { "corpus", "corpus,hash,name,tokenizer,n_tokens,ids_known" },
  { "document", "corpus,document,name,language,domain,parallel,phase,first_token,n_tokens" },
  { "run", "run,name,model,corpus,started,finished,precision,collector,command,storage,columns,"
           "probabilities,predictions" },
};

/* Tables that version 1 did not have. */
static const char *const new_tables[]
    = { "destination", "document_label", "token_label", "finding", NULL };

static const char *
old_columns (const char *table)
{
  for (guint i = 0; i < G_N_ELEMENTS (old_tables); i++)
    if (strcmp (old_tables[i].table, table) == 0)
      return old_tables[i].columns;
  return NULL;
}

#define COLUMNS_SQL                                                                                \
  "SELECT s.name, (SELECT group_concat(name) FROM (SELECT name FROM pragma_table_xinfo(s.name) "   \
  "WHERE hidden = 0 ORDER BY cid)) FROM main.sqlite_schema s WHERE s.type = 'table' AND s.name "   \
  "NOT LIKE 'sqlite%'"

/* Table name -> its columns, as the schema makes them.  Made once. */
static GHashTable *
expected_tables (void)
{
  static gsize made;
  static GHashTable *tables;

  if (g_once_init_enter (&made))
    {
      g_autofree char *sql = ms_db_schema ();
      g_autoptr (sqlite3_stmt) rows = NULL;
      sqlite3 *memory = NULL;

      tables = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
      if (sqlite3_open (":memory:", &memory) != SQLITE_OK
          || sqlite3_exec (memory, sql, NULL, NULL, NULL) != SQLITE_OK
          || sqlite3_prepare_v2 (memory, COLUMNS_SQL, -1, &rows, NULL) != SQLITE_OK)
        g_error ("the schema is wrong: %s", sqlite3_errmsg (memory));
      while (sqlite3_step (rows) == SQLITE_ROW)
        g_hash_table_insert (tables, g_strdup ((const char *) sqlite3_column_text (rows, 0)),
                             g_strdup ((const char *) sqlite3_column_text (rows, 1)));
      g_clear_pointer (&rows, sqlite3_finalize);
      sqlite3_close (memory);
      g_once_init_leave (&made, 1);
    }
  return tables;
}

static gboolean
foreign (MsDb *db, GError **error, const char *what, const char *name)
{
  g_autofree char *shown = ms_text_printable (name, -1);

  g_set_error (
      error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
      "%s: %s '%s'; it was not written by moescope alone: use a copy, or collect or import "
      "anew",
      ms_db_path (db), what, shown);
  return FALSE;
}

/* What is of another kind, before anything of it is looked at: pragma_table_xinfo would ask a view. */
static gboolean
check_kinds (MsDb *db, GHashTable *tables, GError **error)
{
  g_autoptr (sqlite3_stmt) rows = ms_db_prepare (
      db, "SELECT type, name, tbl_name, sql FROM main.sqlite_schema", "opening", error);
  int code;

  if (rows == NULL)
    return FALSE;
  while ((code = sqlite3_step (rows)) == SQLITE_ROW)
    {
      g_autofree char *type = ms_db_text (rows, 0), *name = ms_db_text (rows, 1);
      g_autofree char *table = ms_db_text (rows, 2), *sql = ms_db_text (rows, 3);

      if (type == NULL || name == NULL || table == NULL)
        return foreign (db, error, "its schema has an entry without a name beside", "?");
      if (strcmp (type, "trigger") == 0)
        return foreign (db, error, "it carries the trigger", name);
      if (!g_hash_table_contains (tables, name))
        continue;
      if (strcmp (type, "table") != 0 || sql == NULL || !g_str_has_prefix (sql, "CREATE TABLE "))
        return foreign (db, error, "something else is in place of the table", name);
    }
  return code == SQLITE_DONE || ms_db_fail (db, code, "opening", error);
}

gboolean
ms_db_check_schema (MsDb *db, gint64 version, GError **error)
{
  GHashTable *tables = expected_tables ();
  g_autoptr (sqlite3_stmt) rows = NULL;
  int code;

  if (!check_kinds (db, tables, error))
    return FALSE;
  rows = ms_db_prepare (db, COLUMNS_SQL, "opening", error);
  if (rows == NULL)
    return FALSE;
  while ((code = sqlite3_step (rows)) == SQLITE_ROW)
    {
      g_autofree char *table = ms_db_text (rows, 0), *found = ms_db_text (rows, 1);
      const char *expected = g_hash_table_lookup (tables, table);

      if (expected == NULL)
        continue;
      if (version == 1 && old_columns (table) != NULL)
        expected = old_columns (table);
      if (g_strcmp0 (found, expected) != 0)
        return foreign (db, error, "other columns are in the table", table);
    }
  return code == SQLITE_DONE || ms_db_fail (db, code, "opening", error);
}

/* --- Gates from words ------------------------------------------------------------------------ */

/* The gate of a layer of version 1: what nobody wrote, or not in these words, is unknown and not guessed. */
static MsGate
gate_from_words (const char *router, double weight_scale, gint64 n_experts, gint64 k)
{
  MsGate gate = { .n_experts = (guint) n_experts, .k = (guint) k, .scale = (float) weight_scale };
  MsGate plain = gate;
  g_autofree char *again = NULL;

  if (!ms_gate_read_words (&gate, router))
    return plain;
  again = ms_gate_describe (&gate);
  return strcmp (again, router) == 0 || strstr (router, ", top-") != NULL ? gate : plain;
}

/* --- The new shape --------------------------------------------------------------------------- */

#define LABEL_SQL(name)                                                                            \
  "SELECT corpus, document, '" name "' AS name, " name " AS value FROM main.document WHERE " name  \
  " IS NOT NULL"

#define NEW_SHAPE                                                                                  \
  "CREATE TEMP VIEW model AS SELECT model, hash, name, architecture, fingerprint, blocks, "        \
  "shared, width, expert_bytes, details FROM main.model;"                                          \
  "CREATE TEMP TABLE layer (model, layer, block, name, experts, k, scoring, renormalise, scale, "  \
  "groups, groups_used, group_rule, biased, selection_bias, PRIMARY KEY (model, layer));"          \
  "CREATE TEMP VIEW corpus AS SELECT corpus, hash, name, tokenizer, 'token' AS unit, n_tokens, "   \
  "ids_known FROM main.corpus;"                                                                    \
  "CREATE TEMP VIEW document_label AS " LABEL_SQL ("language") " UNION ALL " LABEL_SQL (           \
      "domain") " UNION ALL " LABEL_SQL ("parallel") " UNION ALL " LABEL_SQL ("phase") ";"         \
                                                                                       "CREATE "   \
                                                                                       "TEMP "     \
                                                                                       "VIEW run " \
                                                                                       "AS "       \
                                                                                       "SELECT "   \
                                                                                       "run, "     \
                                                                                       "name, "    \
                                                                                       "model, "   \
                                                                                       "corpus, "  \
                                                                                       "started, " \
                                                                                       "finished," \
                                                                                       " precisio" \
                                                                                       "n, "       \
                                                                                       "collector" \
                                                                                       ", "        \
                                                                                       "command, " \
                                                                                       "storage, " \
                                                                                       "columns, " \
                                                                                       "CASE "     \
                                                                                       "WHEN "     \
                                                                                       "instr(' "  \
                                                                                       "' || "     \
                                                                                       "columns "  \
                                                                                       "|| ' ', "  \
                                                                                       "' logits " \
                                                                                       "') = 0 "   \
                                                                                       "THEN "     \
                                                                                       "NULL "     \
                                                                                       "WHEN "     \
                                                                                       "probabili" \
                                                                                       "ties "     \
                                                                                       "THEN "     \
                                                                                       "'probabil" \
                                                                                       "ities' "   \
                                                                                       "ELSE "     \
                                                                                       "'logits' " \
                                                                                       "END AS "   \
                                                                                       "scores, "  \
                                                                                       "NULL AS "  \
                                                                                       "outcome, " \
                                                                                       "NULL AS "  \
                                                                                       "step, "    \
                                                                                       "NULL AS "  \
                                                                                       "intervent" \
                                                                                       "ion, "     \
                                                                                       "predictio" \
                                                                                       "ns FROM "  \
                                                                                       "main.run;" \
                                                                                       "CREATE "   \
                                                                                       "TEMP "     \
                                                                                       "TABLE "    \
                                                                                       "destinati" \
                                                                                       "on "       \
                                                                                       "(model, "  \
                                                                                       "layer, "   \
                                                                                       "expert, "  \
                                                                                       "name, "    \
                                                                                       "kind, "    \
                                                                                       "owner, "   \
                                                                                       "cost);"    \
                                                                                       "CREATE "   \
                                                                                       "TEMP "     \
                                                                                       "TABLE "    \
                                                                                       "token_"    \
                                                                                       "label "    \
                                                                                       "(corpus, " \
                                                                                       "name, "    \
                                                                                       "first_"    \
                                                                                       "token, "   \
                                                                                       "n_tokens," \
                                                                                       " value);"  \
                                                                                       "CREATE "   \
                                                                                       "TEMP "     \
                                                                                       "TABLE "    \
                                                                                       "finding "  \
                                                                                       "(run, "    \
                                                                                       "code, "    \
                                                                                       "severity," \
                                                                                       " count, "  \
                                                                                       "place, "   \
                                                                                       "text);"

static gboolean
fill_layers (MsDb *db, GError **error)
{
  static const char what[] = "reading the layers";
  g_autoptr (sqlite3_stmt) get = ms_db_prepare (
      db,
      "SELECT l.model, l.layer, l.experts, l.k, l.groups, m.router, m.weight_scale "
      "FROM main.layer l JOIN main.model m ON m.model = l.model",
      what, error);
  g_autoptr (sqlite3_stmt) put = NULL;
  int code;

  if (get == NULL)
    return FALSE;
  put = ms_db_prepare (db,
                       "INSERT INTO temp.layer VALUES (?1, ?2, ?2, NULL, ?3, ?4, ?5, ?6, ?7, ?8, "
                       "?9, ?10, ?11, NULL)",
                       what, error);
  if (put == NULL)
    return FALSE;
  while ((code = sqlite3_step (get)) == SQLITE_ROW)
    {
      MsGate gate = gate_from_words ((const char *) sqlite3_column_text (get, 5),
                                     sqlite3_column_double (get, 6), sqlite3_column_int64 (get, 2),
                                     sqlite3_column_int64 (get, 3));

      for (int i = 0; i < 4; i++)
        sqlite3_bind_value (put, i + 1, sqlite3_column_value (get, i));
      sqlite3_bind_text (put, 5, ms_scoring_name (gate.scoring), -1, SQLITE_STATIC);
      sqlite3_bind_int (put, 6, gate.renormalise);
      sqlite3_bind_double (put, 7, (double) gate.scale);
      sqlite3_bind_value (put, 8, sqlite3_column_value (get, 4));
      sqlite3_bind_int64 (put, 9, gate.groups_used);
      sqlite3_bind_text (put, 10, ms_group_rule_name (MS_GROUP_BEST_TWO), -1, SQLITE_STATIC);
      sqlite3_bind_int (put, 11, gate.biased);
      code = sqlite3_step (put);
      sqlite3_reset (put);
      if (code != SQLITE_DONE)
        return ms_db_fail (db, code, what, error);
    }
  return code == SQLITE_DONE || ms_db_fail (db, code, what, error);
}

gboolean
ms_db_show_as_new (MsDb *db, GError **error)
{
  return ms_db_exec (db, NEW_SHAPE, "opening", error) && fill_layers (db, error);
}

/* --- The migration --------------------------------------------------------------------------- */

static const char what[] = "bringing the file to the new format";

/* The statements that make the changed and the new tables. */
static gboolean
make_tables (MsDb *db, GError **error)
{
  g_autofree char *sql = ms_db_schema ();
  g_autoptr (sqlite3_stmt) rows = NULL;
  sqlite3 *memory = NULL;
  gboolean good = TRUE;

  if (sqlite3_open (":memory:", &memory) != SQLITE_OK
      || sqlite3_exec (memory, sql, NULL, NULL, NULL) != SQLITE_OK
      || sqlite3_prepare_v2 (memory, "SELECT tbl_name, sql FROM sqlite_schema WHERE sql NOT NULL",
                             -1, &rows, NULL)
             != SQLITE_OK)
    g_error ("the schema is wrong: %s", sqlite3_errmsg (memory));
  while (good && sqlite3_step (rows) == SQLITE_ROW)
    {
      const char *table = (const char *) sqlite3_column_text (rows, 0);

      if (old_columns (table) != NULL || g_strv_contains (new_tables, table))
        good = ms_db_exec (db, (const char *) sqlite3_column_text (rows, 1), what, error);
    }
  g_clear_pointer (&rows, sqlite3_finalize);
  sqlite3_close (memory);
  return good;
}

/* Puts the contents aside, the tables anew in place, and the contents back. */
static gboolean
move_tables (MsDb *db, GError **error)
{
  static const char aside[]
      = "CREATE TEMP TABLE old_model AS SELECT * FROM temp.model;"
        "CREATE TEMP TABLE old_layer AS SELECT * FROM temp.layer;"
        "CREATE TEMP TABLE old_corpus AS SELECT * FROM temp.corpus;"
        "CREATE TEMP TABLE old_document AS SELECT corpus, document, name, first_token, n_tokens "
        "FROM main.document;"
        "CREATE TEMP TABLE old_label AS SELECT * FROM temp.document_label;"
        "CREATE TEMP TABLE old_run AS SELECT * FROM temp.run;"
        "DROP VIEW temp.model; DROP TABLE temp.layer; DROP VIEW temp.corpus; DROP VIEW "
        "temp.document_label; DROP VIEW temp.run; DROP TABLE temp.destination; DROP TABLE "
        "temp.token_label; DROP TABLE temp.finding;"
        "DROP TABLE main.model; DROP TABLE main.layer; DROP TABLE main.corpus; DROP TABLE "
        "main.document; DROP TABLE main.run;";
  static const char back[]
      = "INSERT INTO main.model (model, hash, name, architecture, fingerprint, blocks, shared, "
        "width, expert_bytes, details) SELECT * FROM old_model;"
        "INSERT INTO main.layer SELECT * FROM old_layer;"
        "INSERT INTO main.corpus (corpus, hash, name, tokenizer, unit, n_tokens, ids_known) "
        "SELECT * FROM old_corpus;"
        "INSERT INTO main.document SELECT * FROM old_document;"
        "INSERT INTO main.document_label SELECT * FROM old_label;"
        "INSERT INTO main.run (run, name, model, corpus, started, finished, precision, collector, "
        "command, storage, columns, scores, outcome, step, intervention, predictions) "
        "SELECT * FROM old_run;"
        "DROP TABLE old_model; DROP TABLE old_layer; DROP TABLE old_corpus; DROP TABLE "
        "old_document; DROP TABLE old_label; DROP TABLE old_run;";

  return ms_db_exec (db, aside, what, error) && make_tables (db, error)
         && ms_db_exec (db, back, what, error);
}

static GArray *
list_ids (MsDb *db, const char *sql, GError **error)
{
  g_autoptr (sqlite3_stmt) rows = ms_db_prepare (db, sql, what, error);
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint64));

  while (rows != NULL && sqlite3_step (rows) == SQLITE_ROW)
    {
      gint64 id = sqlite3_column_int64 (rows, 0);

      g_array_append_val (ids, id);
    }
  return ids;
}

/* A row whose content another one has already keeps its own name: nothing will be found by it. */
static gboolean
put_hash (MsDb *db, const char *table, gint64 id, const char *hash, GError **error)
{
  g_autofree char *sql
      = g_strdup_printf ("UPDATE OR IGNORE main.%s SET hash = '%s' WHERE %s = %" G_GINT64_FORMAT,
                         table, hash, table, id);

  return ms_db_exec (db, sql, what, error);
}

/* All token ids of a corpus; NULL without an error when they were never known. */
static gboolean
load_ids (MsDb *db, const MsCorpus *corpus, gint32 **ids, GError **error)
{
  g_autoptr (sqlite3_stmt) rows = NULL;
  gint64 at = 0;

  *ids = NULL;
  if (!corpus->ids_known)
    return TRUE;
  rows = ms_db_prepare (db, "SELECT ids FROM token_block WHERE corpus = ?1 ORDER BY block", what,
                        error);
  if (rows == NULL)
    return FALSE;
  *ids = g_try_new0 (gint32, corpus->n_tokens);
  sqlite3_bind_int64 (rows, 1, corpus->id);
  while (*ids != NULL && sqlite3_step (rows) == SQLITE_ROW)
    {
      gint64 n = sqlite3_column_bytes (rows, 0) / 4;
      const void *blob = sqlite3_column_blob (rows, 0);

      if (n > corpus->n_tokens - at)
        break;
      if (n > 0)
        memcpy (*ids + at, blob, (gsize) n * 4);
      at += n;
    }
  if (at == corpus->n_tokens)
    return TRUE;
  g_clear_pointer (ids, g_free);
  g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
               "%s is damaged: token ids of corpus %" G_GINT64_FORMAT " are missing; `moescope "
               "check` tells where",
               ms_db_path (db), corpus->id);
  return FALSE;
}

static gboolean
hash_anew (MsDb *db, GError **error)
{
  g_autoptr (GArray) models = list_ids (db, "SELECT model FROM model ORDER BY model", error);
  g_autoptr (GArray) corpora = list_ids (db, "SELECT corpus FROM corpus ORDER BY corpus", error);

  for (guint i = 0; i < models->len; i++)
    {
      gint64 id = g_array_index (models, gint64, i);
      g_autoptr (MsModel) model = ms_db_load_model (db, id, error);
      g_autofree char *hash = model != NULL ? ms_model_hash (model) : NULL;

      if (model == NULL || !put_hash (db, "model", id, hash, error))
        return FALSE;
    }
  for (guint i = 0; i < corpora->len; i++)
    {
      gint64 id = g_array_index (corpora, gint64, i);
      g_autoptr (MsCorpus) corpus = ms_db_load_corpus (db, id, error);
      g_autofree char *hash = NULL;
      g_autofree gint32 *ids = NULL;

      if (corpus == NULL || !load_ids (db, corpus, &ids, error))
        return FALSE;
      hash = ms_corpus_hash (corpus, ids);
      if (!put_hash (db, "corpus", id, hash, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
migrate (MsDb *db, GError **error)
{
  g_autofree char *end = g_strdup_printf ("PRAGMA user_version = %d", MS_SCHEMA_VERSION);

  return ms_db_show_as_new (db, error) && move_tables (db, error) && hash_anew (db, error)
         && ms_db_exec (db, end, what, error);
}

gboolean
ms_db_migrate (MsDb *db, GError **error)
{
  gint64 version;
  gboolean good;

  /* Without foreign keys a table can go and come back while others refer to it. */
  if (!ms_db_exec (db, "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE",
                   what, error))
    return FALSE;
  good = ms_db_integer (db, "PRAGMA main.user_version", 0, &version, error)
         && (version == MS_SCHEMA_VERSION || migrate (db, error)); /* somebody was faster */
  if (good)
    good = ms_db_exec (db, "COMMIT", what, error);
  if (!good)
    sqlite3_exec (ms_db_handle (db), "ROLLBACK", NULL, NULL, NULL);
  return ms_db_exec (db, "PRAGMA foreign_keys = ON", what, good ? error : NULL) && good;
}
