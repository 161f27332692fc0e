/* Loads models, corpora and runs.  Everything that later sizes an allocation is checked here: geometry,
 * documents, and that the file is large enough to hold the tokens it claims. */
#include "codec-private.h"
#include "db-private.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define MOST_TOKENS ((gint64) 1 << 40)

void
ms_model_free (MsModel *model)
{
  if (model == NULL)
    return;
  for (guint i = 0; i < model->n_layers; i++)
    {
      g_free (model->layers[i].name);
      g_free ((gpointer) model->layers[i].gate.selection_bias);
    }
  for (guint i = 0; i < model->n_destinations; i++)
    {
      g_free (model->destinations[i].name);
      g_free (model->destinations[i].kind);
      g_free (model->destinations[i].owner);
    }
  g_free (model->name);
  g_free (model->architecture);
  g_free (model->fingerprint);
  g_free (model->details);
  g_free (model->layers);
  g_free (model->destinations);
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
      for (guint label = 0; label < MS_N_KNOWN_LABELS; label++)
        g_free (document->known[label]);
      for (guint label = 0; document->more != NULL && label < corpus->n_more; label++)
        g_free (document->more[label]);
      g_free (document->more);
    }
  for (guint i = 0; i < corpus->n_more; i++)
    g_free (corpus->more[i]);
  for (guint i = 0; i < corpus->n_ranges; i++)
    {
      g_free (corpus->ranges[i].name);
      g_free (corpus->ranges[i].value);
    }
  g_free (corpus->more);
  g_free (corpus->ranges);
  g_free (corpus->documents);
  g_free (corpus->name);
  g_free (corpus->tokenizer);
  g_free (corpus->unit);
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
  g_free (run->outcome);
  g_free (run->damage);
  g_free (run->intervention);
  g_free (run);
}

/* The member "words" of what this program writes; of other texts there the beginning. */
char *
ms_run_describe_intervention (const MsRun *run)
{
  const char *text = run->intervention;
  g_autoptr (JsonNode) root = NULL;
  JsonNode *words = NULL;

  if (text == NULL)
    return NULL;
  if (ms_json_objection (text, strlen (text), 16) == NULL)
    root = json_from_string (text, NULL);
  if (root != NULL && JSON_NODE_HOLDS_OBJECT (root))
    words = json_object_get_member (json_node_get_object (root), "words");
  if (words != NULL && JSON_NODE_HOLDS_VALUE (words)
      && json_node_get_value_type (words) == G_TYPE_STRING)
    text = json_node_get_string (words);
  return ms_text_printable (text, (gssize) MIN (strlen (text), 1000));
}

MsRemark *
ms_remark_new (const char *code, MsSeverity severity, gint64 count, const char *place,
               const char *format, va_list args)
{
  MsRemark *remark = g_new0 (MsRemark, 1);

  remark->code = g_strdup (code);
  remark->severity = severity;
  remark->count = count;
  remark->place = g_strdup (place);
  remark->text = g_strdup_vprintf (format, args);
  return remark;
}

void
ms_remark_free (MsRemark *remark)
{
  if (remark == NULL)
    return;
  g_free (remark->code);
  g_free (remark->place);
  g_free (remark->text);
  g_free (remark);
}

/* --- Names ---------------------------------------------------------------------------------- */

static const char *const group_rules[]
    = { [MS_GROUP_BEST_TWO] = "best-two", [MS_GROUP_BEST] = "best" };
static const char *const severities[]
    = { [MS_SEVERITY_NOTE] = "note", [MS_SEVERITY_DOUBT] = "doubt", [MS_SEVERITY_FAULT] = "fault" };
static const char *const known_labels[MS_N_KNOWN_LABELS] = { [MS_LABEL_LANGUAGE] = "language",
                                                             [MS_LABEL_DOMAIN] = "domain",
                                                             [MS_LABEL_PARALLEL] = "parallel",
                                                             [MS_LABEL_PHASE] = "phase" };

static guint
find_name (const char *const *names, guint n, const char *name, guint otherwise)
{
  for (guint i = 0; i < n; i++)
    if (g_strcmp0 (names[i], name) == 0)
      return i;
  return otherwise;
}

const char *
ms_group_rule_name (MsGroupRule rule)
{
  return group_rules[rule];
}

const char *
ms_severity_name (MsSeverity severity)
{
  return severities[severity];
}

guint
ms_corpus_n_labels (const MsCorpus *corpus)
{
  return MS_N_KNOWN_LABELS + corpus->n_more;
}

const char *
ms_corpus_label_name (const MsCorpus *corpus, guint label)
{
  return label < MS_N_KNOWN_LABELS ? known_labels[label] : corpus->more[label - MS_N_KNOWN_LABELS];
}

int
ms_corpus_find_label (const MsCorpus *corpus, const char *name)
{
  guint n = ms_corpus_n_labels (corpus);

  for (guint i = 0; i < n; i++)
    if (strcmp (ms_corpus_label_name (corpus, i), name) == 0)
      return (int) i;
  return -1;
}

const char *
ms_document_label (const MsDocument *document, guint label)
{
  if (label < MS_N_KNOWN_LABELS)
    return document->known[label];
  return document->more != NULL ? document->more[label - MS_N_KNOWN_LABELS] : NULL;
}

const MsDestination *
ms_model_destination (const MsModel *model, guint layer, guint expert)
{
  guint low = 0, high = model->n_destinations;

  while (low < high)
    {
      guint middle = low + (high - low) / 2;
      const MsDestination *at = &model->destinations[middle];

      if (at->layer == layer && at->expert == expert)
        return at;
      if (at->layer < layer || (at->layer == layer && at->expert < expert))
        low = middle + 1;
      else
        high = middle;
    }
  return NULL;
}

char *
ms_model_describe_router (const MsModel *model)
{
  char *text = NULL;

  for (guint i = 0; i < model->n_layers; i++)
    {
      g_autofree char *words = NULL;

      if (model->layers[i].gate.scoring == MS_SCORING_UNKNOWN)
        continue;
      words = ms_gate_describe (&model->layers[i].gate);
      if (text == NULL)
        text = g_steal_pointer (&words);
      else if (strcmp (text, words) != 0)
        {
          g_free (text);
          return g_strdup ("differs from layer to layer");
        }
    }
  return text;
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

/* The gate of the layer at hand, from column 3 on. */
static gboolean
read_gate (MsDb *db, sqlite3_stmt *statement, MsGate *gate, GError **error)
{
  g_autofree char *scoring = ms_db_text (statement, 5), *rule = ms_db_text (statement, 10);
  const void *bias = sqlite3_column_blob (statement, 12);
  gint64 experts, k, groups, used;

  if (!read_int (db, statement, 3, 1, MS_MAX_EXPERTS, &experts, error)
      || !read_int (db, statement, 4, 1, experts, &k, error)
      || !read_int (db, statement, 8, 0, experts, &groups, error)
      || !read_int (db, statement, 9, 0, groups, &used, error))
    return FALSE;
  *gate = (MsGate){
    .scoring = scoring != NULL ? ms_scoring_parse (scoring) : MS_SCORING_UNKNOWN,
    .n_experts = (guint) experts,
    .k = (guint) k,
    .groups = (guint) groups,
    .groups_used = (guint) used,
    .group_rule
    = (MsGroupRule) find_name (group_rules, G_N_ELEMENTS (group_rules), rule, MS_GROUP_BEST_TWO),
    .renormalise = sqlite3_column_int (statement, 6) != 0,
    .scale = (float) sqlite3_column_double (statement, 7),
    .biased = sqlite3_column_int (statement, 11) != 0,
  };
  if (!isfinite (gate->scale)
      || (gate->groups > 1
          && (gate->n_experts % gate->groups != 0
              || (gate->scoring != MS_SCORING_UNKNOWN && gate->groups_used > 0
                  && gate->n_experts / gate->groups * gate->groups_used < gate->k))))
    gate->scoring = MS_SCORING_UNKNOWN; /* a rule that cannot choose K experts is none */
  if (bias == NULL || !gate->biased)
    return TRUE;
  if ((gsize) sqlite3_column_bytes (statement, 12) != gate->n_experts * sizeof (float))
    return corrupt (db, error, "the selection bias has %d bytes for %u experts",
                    sqlite3_column_bytes (statement, 12), gate->n_experts);
  gate->selection_bias = g_memdup2 (bias, gate->n_experts * sizeof (float));
  return TRUE;
}

static gboolean
load_layers (MsDb *db, MsModel *model, GError **error)
{
  g_autoptr (sqlite3_stmt) statement = ms_db_prepare (
      db,
      "SELECT layer, block, name, experts, k, scoring, renormalise, scale, groups, groups_used, "
      "group_rule, biased, selection_bias FROM layer WHERE model = ?1 ORDER BY layer",
      "reading the layers", error);
  int code;

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, model->id);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      gboolean stands_alone = sqlite3_column_type (statement, 1) == SQLITE_NULL;
      gint64 number, block = -1;
      MsGate gate;

      if (!read_int (db, statement, 0, 0, G_MAXINT, &number, error)
          || (!stands_alone
              && !read_int (db, statement, 1, 0, (gint64) model->n_blocks - 1, &block, error))
          || !read_gate (db, statement, &gate, error))
        {
          g_prefix_error (error, "model %" G_GINT64_FORMAT ", layer %d: ", model->id,
                          sqlite3_column_int (statement, 0));
          return FALSE;
        }
      if (model->n_layers % 64 == 0)
        model->layers = g_renew (MsLayer, model->layers, model->n_layers + 64);
      model->layers[model->n_layers++]
          = (MsLayer){ (int) number, (int) block, ms_db_text (statement, 2), gate };
    }
  if (code != SQLITE_DONE)
    return ms_db_fail (db, code, "reading the layers", error);
  return model->n_layers > 0
         || corrupt (db, error, "model %" G_GINT64_FORMAT " has no MoE layers", model->id);
}

static gboolean
load_destinations (MsDb *db, MsModel *model, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db,
                       "SELECT layer, expert, name, kind, owner, cost FROM destination "
                       "WHERE model = ?1 ORDER BY layer, expert",
                       "reading the destinations", error);
  guint layer = 0;
  int code;

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, model->id);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      gint64 number = sqlite3_column_int64 (statement, 0), expert;

      while (layer < model->n_layers && model->layers[layer].number < number)
        layer++;
      if (layer == model->n_layers || model->layers[layer].number != number)
        return corrupt (db, error, "a destination lies in layer %" G_GINT64_FORMAT " of none",
                        number);
      if (!read_int (db, statement, 1, 0, model->layers[layer].gate.n_experts - 1, &expert, error))
        return FALSE;
      if (model->n_destinations % 64 == 0)
        model->destinations
            = g_renew (MsDestination, model->destinations, model->n_destinations + 64);
      model->destinations[model->n_destinations++]
          = (MsDestination){ layer,
                             (guint) expert,
                             ms_db_text (statement, 2),
                             ms_db_text (statement, 3),
                             ms_db_text (statement, 4),
                             sqlite3_column_type (statement, 5) == SQLITE_NULL
                                 ? NAN
                                 : sqlite3_column_double (statement, 5) };
    }
  return code == SQLITE_DONE || ms_db_fail (db, code, "reading the destinations", error);
}

MsModel *
ms_db_load_model (MsDb *db, gint64 id, GError **error)
{
  g_autoptr (MsModel) model = g_new0 (MsModel, 1);
  g_autoptr (sqlite3_stmt) statement
      = find (db,
              "SELECT model, name, architecture, fingerprint, details, blocks, shared, width, "
              "expert_bytes FROM model WHERE model = ?1",
              "model", id, error);
  gint64 blocks, shared, width;

  if (statement == NULL)
    return NULL;
  model->id = sqlite3_column_int64 (statement, 0);
  model->name = ms_db_text (statement, 1);
  model->architecture = ms_db_text (statement, 2);
  model->fingerprint = ms_db_text (statement, 3);
  model->details = ms_db_text (statement, 4);
  if (!read_int (db, statement, 5, 0, G_MAXINT, &blocks, error)
      || !read_int (db, statement, 6, 0, MS_MAX_EXPERTS, &shared, error)
      || !read_int (db, statement, 7, 0, G_MAXINT, &width, error)
      || !read_int (db, statement, 8, 0, G_MAXINT64, &model->expert_bytes, error))
    return NULL;
  model->n_blocks = (guint) blocks;
  model->n_shared = (guint) shared;
  model->width = (guint) width;
  return load_layers (db, model, error) && load_destinations (db, model, error)
             ? g_steal_pointer (&model)
             : NULL;
}

static gboolean
load_documents (MsDb *db, MsCorpus *corpus, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db,
                       "SELECT document, name, first_token, n_tokens FROM document "
                       "WHERE corpus = ?1 ORDER BY document",
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
          || sqlite3_column_int64 (statement, 2) != next || sqlite3_column_int64 (statement, 3) < 0
          || sqlite3_column_int64 (statement, 3) > corpus->n_tokens - next)
        return corrupt (db, error,
                        "the documents of corpus %" G_GINT64_FORMAT
                        " do not follow each other at document %u",
                        corpus->id, corpus->n_documents);
      corpus->n_documents++;
      document->name = ms_db_text (statement, 1);
      document->first_token = next;
      document->n_tokens = sqlite3_column_int64 (statement, 3);
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

/* The names of labels besides the known ones, of documents and of ranges of tokens. */
static gboolean
load_label_names (MsDb *db, MsCorpus *corpus, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db,
                       "SELECT DISTINCT name FROM document_label WHERE corpus = ?1 AND name NOT IN "
                       "('language', 'domain', 'parallel', 'phase') ORDER BY name",
                       "reading the labels", error);
  int code;

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, corpus->id);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      if (corpus->n_more == MS_MOST_LABELS
          || (corpus->n_more + 1) * (gint64) corpus->n_documents > MS_MOST_LABEL_VALUES)
        return corrupt (db, error, "corpus %" G_GINT64_FORMAT " has more than %u kinds of labels",
                        corpus->id, corpus->n_more);
      corpus->more = g_renew (char *, corpus->more, corpus->n_more + 1);
      corpus->more[corpus->n_more++] = ms_db_text (statement, 0);
    }
  return code == SQLITE_DONE || ms_db_fail (db, code, "reading the labels", error);
}

static gboolean
load_labels (MsDb *db, MsCorpus *corpus, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db, "SELECT document, name, value FROM document_label WHERE corpus = ?1",
                       "reading the labels", error);
  g_autoptr (GHashTable) numbers
      = g_hash_table_new (g_str_hash, g_str_equal); /* name -> number + 1 */
  int code;

  if (statement == NULL || !load_label_names (db, corpus, error))
    return FALSE;
  for (guint i = 0; i < ms_corpus_n_labels (corpus); i++)
    g_hash_table_insert (numbers, (gpointer) ms_corpus_label_name (corpus, i),
                         GINT_TO_POINTER ((int) i + 1));
  sqlite3_bind_int64 (statement, 1, corpus->id);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      gint64 number = sqlite3_column_int64 (statement, 0);
      g_autofree char *name = ms_db_text (statement, 1);
      int label = name != NULL ? GPOINTER_TO_INT (g_hash_table_lookup (numbers, name)) - 1 : -1;
      MsDocument *document;
      char **value;

      if (number < 0 || number >= corpus->n_documents || label < 0)
        return corrupt (db, error, "a label of corpus %" G_GINT64_FORMAT " belongs to no document",
                        corpus->id);
      document = &corpus->documents[number];
      if (label >= MS_N_KNOWN_LABELS && document->more == NULL)
        document->more = g_new0 (char *, corpus->n_more);
      value = label < MS_N_KNOWN_LABELS ? &document->known[label]
                                        : &document->more[label - MS_N_KNOWN_LABELS];
      g_free (*value);
      *value = ms_db_text (statement, 2);
    }
  return code == SQLITE_DONE || ms_db_fail (db, code, "reading the labels", error);
}

static gboolean
load_ranges (MsDb *db, MsCorpus *corpus, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db,
                       "SELECT name, value, first_token, n_tokens FROM token_label "
                       "WHERE corpus = ?1 ORDER BY name, first_token",
                       "reading the labels of tokens", error);
  int code;

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, corpus->id);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      gint64 first = sqlite3_column_int64 (statement, 2), n = sqlite3_column_int64 (statement, 3);
      g_autofree char *name = ms_db_text (statement, 0);
      const MsTokenLabel *last
          = corpus->n_ranges > 0 ? &corpus->ranges[corpus->n_ranges - 1] : NULL;

      if (first < 0 || n < 1 || first >= corpus->n_tokens || n > corpus->n_tokens - first
          || (last != NULL && g_strcmp0 (last->name, name) == 0
              && first < last->first_token + last->n_tokens))
        return corrupt (db, error,
                        "the labels %s of tokens of corpus %" G_GINT64_FORMAT
                        " overlap or lie outside",
                        name, corpus->id);
      if (corpus->n_ranges % 256 == 0)
        corpus->ranges = g_renew (MsTokenLabel, corpus->ranges, corpus->n_ranges + 256);
      corpus->ranges[corpus->n_ranges++]
          = (MsTokenLabel){ g_steal_pointer (&name), ms_db_text (statement, 1), first, n };
    }
  return code == SQLITE_DONE || ms_db_fail (db, code, "reading the labels of tokens", error);
}

/* Where ids are known, each takes its bytes of the file. */
static gboolean
check_size (MsDb *db, const MsCorpus *corpus, GError **error)
{
  gint64 pages, page_size;

  if (!ms_db_integer (db, "PRAGMA page_count", 0, &pages, error)
      || !ms_db_integer (db, "PRAGMA page_size", 0, &page_size, error))
    return FALSE;
  return !corpus->ids_known || corpus->n_tokens <= pages * page_size / (gint64) sizeof (gint32)
         || corrupt (db, error,
                     "corpus %" G_GINT64_FORMAT ": the file is too small for its %" G_GINT64_FORMAT
                     " tokens",
                     corpus->id, corpus->n_tokens);
}

MsCorpus *
ms_db_load_corpus (MsDb *db, gint64 id, GError **error)
{
  g_autoptr (MsCorpus) corpus = g_new0 (MsCorpus, 1);
  g_autoptr (sqlite3_stmt) statement = find (
      db, "SELECT corpus, name, tokenizer, n_tokens, ids_known, unit FROM corpus WHERE corpus = ?1",
      "corpus", id, error);

  if (statement == NULL)
    return NULL;
  corpus->id = sqlite3_column_int64 (statement, 0);
  corpus->name = ms_db_text (statement, 1);
  corpus->tokenizer = ms_db_text (statement, 2);
  corpus->ids_known = sqlite3_column_int (statement, 4) != 0;
  corpus->unit = ms_db_text (statement, 5);
  if (!read_int (db, statement, 3, 1, MOST_TOKENS, &corpus->n_tokens, error)
      || !check_size (db, corpus, error) || !load_documents (db, corpus, error)
      || !load_labels (db, corpus, error) || !load_ranges (db, corpus, error))
    return NULL;
  return g_steal_pointer (&corpus);
}

GPtrArray *
ms_db_list_remarks (MsDb *db, gint64 id, GError **error)
{
  g_autoptr (GPtrArray) remarks = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_remark_free);
  g_autoptr (sqlite3_stmt) statement = ms_db_prepare (
      db,
      "SELECT code, severity, count, place, text FROM finding WHERE run = ?1 "
      "ORDER BY severity = 'fault' DESC, severity = 'doubt' DESC, count DESC, code",
      "reading the findings", error);
  int code;

  if (statement == NULL)
    return NULL;
  sqlite3_bind_int64 (statement, 1, id);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      MsRemark *remark = g_new0 (MsRemark, 1);
      g_autofree char *severity = ms_db_text (statement, 1);

      remark->code = ms_db_text (statement, 0);
      remark->severity = (MsSeverity) find_name (severities, G_N_ELEMENTS (severities), severity,
                                                 MS_SEVERITY_NOTE);
      remark->count = sqlite3_column_int64 (statement, 2);
      remark->place = ms_db_text (statement, 3);
      remark->text = ms_db_text (statement, 4);
      g_ptr_array_add (remarks, remark);
    }
  if (code == SQLITE_DONE)
    return g_steal_pointer (&remarks);
  ms_db_fail (db, code, "reading the findings", error);
  return NULL;
}

gboolean
ms_db_find_blocks (MsDb *db, gint64 run, guint n_layers, MsBlocks *blocks, GError **error)
{
  g_autoptr (sqlite3_stmt) statement
      = ms_db_prepare (db,
                       "SELECT block, count(*) FROM chunk WHERE run = ?1 GROUP BY block "
                       "ORDER BY block",
                       "reading the run", error);
  int code;

  if (statement == NULL)
    return FALSE;
  *blocks = (MsBlocks){ 0, -1, -1 };
  sqlite3_bind_int64 (statement, 1, run);
  while ((code = sqlite3_step (statement)) == SQLITE_ROW)
    {
      gint64 block = sqlite3_column_int64 (statement, 0);

      if (blocks->first == -1 && block == blocks->whole
          && sqlite3_column_int64 (statement, 1) == n_layers)
        blocks->whole++;
      else
        {
          blocks->first = blocks->first == -1 ? MAX (block, 0) : blocks->first;
          blocks->last = MAX (block, 0);
        }
    }
  return code == SQLITE_DONE || ms_db_fail (db, code, "reading the run", error);
}

/* What is wrong with the blocks of a run; NULL = nothing. */
static char *
describe_blocks (const MsBlocks *blocks, guint n_layers)
{
  if (blocks->first == -1)
    return NULL;
  if (blocks->last == blocks->whole)
    return g_strdup_printf ("no whole blocks of %u layers: block %" G_GINT64_FORMAT " lacks some",
                            n_layers, blocks->whole);
  return g_strdup_printf ("no whole blocks of %u layers: block %" G_GINT64_FORMAT
                          " is missing or lacks some, and blocks up to %" G_GINT64_FORMAT
                          " lie behind it",
                          n_layers, blocks->whole, blocks->last);
}

/* Tokens recorded for all layers, from the chunks that are there. */
static gboolean
count_recorded (MsDb *db, MsRun *run, GError **error)
{
  g_autoptr (MsModel) model = ms_db_load_model (db, run->model, error);
  gint64 tokens, pages, page_size, bytes = 0;
  MsBlocks blocks;

  if (model == NULL || !ms_db_find_blocks (db, run->id, model->n_layers, &blocks, error)
      || !ms_db_integer (db, "SELECT n_tokens FROM corpus WHERE corpus = ?1", run->corpus, &tokens,
                         error)
      || !ms_db_integer (db, "PRAGMA page_count", 0, &pages, error)
      || !ms_db_integer (db, "PRAGMA page_size", 0, &page_size, error))
    return FALSE;
  if (tokens < 1 || tokens > MOST_TOKENS
      || blocks.whole > (tokens + MS_BLOCK_TOKENS - 1) / MS_BLOCK_TOKENS)
    return corrupt (db, error,
                    "run %" G_GINT64_FORMAT ": %" G_GINT64_FORMAT
                    " whole blocks are none of a corpus of %" G_GINT64_FORMAT " tokens",
                    run->id, blocks.whole, tokens);
  run->n_tokens = MIN (tokens, blocks.whole * MS_BLOCK_TOKENS);
  run->damage = describe_blocks (&blocks, model->n_layers);
  if (run->damage != NULL && (run->finished != NULL || run->n_tokens == 0))
    return corrupt (db, error, "run %" G_GINT64_FORMAT ": %s", run->id, run->damage);
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

#define ALWAYS (guint) (MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS)
#define RUN_SQL                                                                                    \
  "SELECT run, name, model, corpus, started, finished, precision, collector, command, storage, "   \
  "columns, scores, predictions, outcome, step, intervention FROM run "

/* Fills `run` as far as the file allows. */
static gboolean
read_run (MsDb *db, sqlite3_stmt *statement, MsRun *run, GError **error)
{
  g_autofree char *storage = ms_db_text (statement, 9);
  g_autofree char *columns = ms_db_text (statement, 10), *scores = ms_db_text (statement, 11);

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
  run->probabilities = g_strcmp0 (scores, "probabilities") == 0;
  run->predictions = sqlite3_column_int (statement, 12) != 0;
  run->outcome = ms_db_text (statement, 13);
  run->has_step = sqlite3_column_type (statement, 14) != SQLITE_NULL;
  run->step = sqlite3_column_int64 (statement, 14);
  run->intervention = ms_db_text (statement, 15);
  if (columns == NULL || !ms_columns_parse (columns, &run->columns)
      || (run->columns & ALWAYS) != ALWAYS)
    return corrupt (db, error,
                    "run %" G_GINT64_FORMAT " has unknown columns, or lacks experts and weights",
                    run->id);
  return count_recorded (db, run, error);
}

/* Whether a failure to read one run says nothing of the others. */
static gboolean
is_of_one (const GError *error)
{
  return g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT)
         || g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND);
}

/* What corrupt says, without the file's name and the advice. */
static char *
name_damage (MsDb *db, const char *message)
{
  const char *advice = strstr (message, "; `moescope ");
  gsize path = strlen (ms_db_path (db));

  if (strncmp (message, ms_db_path (db), path) == 0 && g_str_has_prefix (message + path, ": "))
    message += path + 2;
  return advice != NULL ? g_strndup (message, (gsize) (advice - message)) : g_strdup (message);
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
      MsRun *run = g_new0 (MsRun, 1);
      g_autoptr (GError) failure = NULL;

      g_ptr_array_add (runs, run);
      if (read_run (db, statement, run, &failure))
        continue;
      if (!is_of_one (failure))
        {
          g_propagate_error (error, g_steal_pointer (&failure));
          return NULL;
        }
      run->n_tokens = 0;
      if (run->damage == NULL)
        run->damage = name_damage (db, failure->message);
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
  /* One of which nothing is recorded yet comes into question only when there is no other. */
  g_autoptr (sqlite3_stmt) statement
      = find (db,
              RUN_SQL "WHERE run = coalesce(nullif(?1, 0), (SELECT max(run) FROM run WHERE EXISTS "
                      "(SELECT 1 FROM chunk WHERE chunk.run = run.run AND block = 0)), "
                      "(SELECT max(run) FROM run))",
              "run", id, error);
  g_autoptr (MsRun) run = g_new0 (MsRun, 1);

  return statement != NULL && read_run (db, statement, run, error) ? g_steal_pointer (&run) : NULL;
}
