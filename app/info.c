/* `moescope info`: what a file holds, for people or as JSON. */
#include "collector.h"
#include "command.h"
#include "db.h"
#include "info-model.h"
#include "json.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

typedef struct
{
  char *path;
  gint64 bytes;
  GPtrArray *runs;    /* of MsRun */
  GPtrArray *models;  /* of MsModel, those of the runs */
  GPtrArray *corpora; /* of MsCorpus, likewise */
  MsInspection *file; /* of a model file; NULL: it is a database */
} Content;

static void
content_clear (Content *content)
{
  g_clear_pointer (&content->runs, g_ptr_array_unref);
  g_clear_pointer (&content->models, g_ptr_array_unref);
  g_clear_pointer (&content->corpora, g_ptr_array_unref);
  g_clear_pointer (&content->file, ms_inspection_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Content, content_clear)

static MsModel *
model_of (const Content *content, gint64 id)
{
  for (guint i = 0; i < content->models->len; i++)
    if (((MsModel *) content->models->pdata[i])->id == id)
      return content->models->pdata[i];
  return NULL;
}

static MsCorpus *
corpus_of (const Content *content, gint64 id)
{
  for (guint i = 0; i < content->corpora->len; i++)
    if (((MsCorpus *) content->corpora->pdata[i])->id == id)
      return content->corpora->pdata[i];
  return NULL;
}

/* A model file has one model, if it can be run, and no runs. */
static gboolean
load_model_file (Content *content, GError **error)
{
  content->file = ms_model_inspect (content->path, error);
  if (content->file == NULL)
    return FALSE;
  content->bytes = content->file->bytes;
  content->runs = g_ptr_array_new ();
  if (content->file->model != NULL)
    g_ptr_array_add (content->models, g_steal_pointer (&content->file->model));
  return TRUE;
}

/* The model and the corpus of a run, unless another run had them before. */
static gboolean
load_context (Content *content, MsDb *db, const MsRun *run, GError **error)
{
  MsModel *model = NULL;
  MsCorpus *corpus = NULL;

  if (model_of (content, run->model) == NULL)
    {
      if ((model = ms_db_load_model (db, run->model, error)) == NULL)
        return FALSE;
      g_ptr_array_add (content->models, model);
    }
  if (corpus_of (content, run->corpus) == NULL)
    {
      if ((corpus = ms_db_load_corpus (db, run->corpus, error)) == NULL)
        return FALSE;
      g_ptr_array_add (content->corpora, corpus);
    }
  return TRUE;
}

static gboolean
load_database (Content *content, GError **error)
{
  g_autoptr (MsDb) db = ms_db_open (content->path, MS_DB_READ, error);

  if (db == NULL || (content->runs = ms_db_list_runs (db, error)) == NULL)
    return FALSE;
  for (guint i = 0; i < content->runs->len; i++)
    {
      MsRun *run = content->runs->pdata[i];
      g_autoptr (GError) failure = NULL;

      if (!load_context (content, db, run, &failure))
        {
          if (!g_error_matches (failure, MS_DB_ERROR, MS_DB_ERROR_CORRUPT)
              && !g_error_matches (failure, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND))
            {
              g_propagate_error (error, g_steal_pointer (&failure));
              return FALSE;
            }
          if (run->damage == NULL)
            run->damage = g_steal_pointer (&failure->message);
        }
    }
  return TRUE;
}

static gboolean
load (const char *path, Content *content, GError **error)
{
  GStatBuf status;
  gboolean there = g_stat (path, &status) == 0;
  /* Opening a pipe would wait for somebody to write to it. */
  FILE *file = there && S_ISREG (status.st_mode) ? fopen (path, "rbe") : NULL;
  char magic[4] = "";
  gboolean is_model
      = file != NULL && fread (magic, 1, 4, file) == 4 && memcmp (magic, "GGUF", 4) == 0;
  g_autoptr (GError) failure = NULL;

  if (file != NULL)
    fclose (file);
  content->path = (char *) path;
  content->bytes = there ? status.st_size : 0;
  if (there && !S_ISREG (status.st_mode) && !S_ISDIR (status.st_mode))
    {
      g_autofree char *shown = ms_text_printable (path, -1);

      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_OURS,
                   "%s is a pipe or a device; a file that can be read at any place is needed",
                   shown);
      return FALSE;
    }
  content->models = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_model_free);
  content->corpora = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_corpus_free);
  if (is_model)
    return load_model_file (content, error);
  if (load_database (content, &failure))
    return TRUE;
  if (g_error_matches (failure, MS_DB_ERROR, MS_DB_ERROR_NOT_OURS))
    g_set_error (error, failure->domain, failure->code,
                 "%s; a moescope database or a GGUF model file is needed", failure->message);
  else
    g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* Slots of all layers: decisions of one token. */
static gint64
slots_of (const MsModel *model)
{
  gint64 slots = 0;

  for (guint i = 0; i < model->n_layers; i++)
    slots += model->layers[i].gate.k;
  return slots;
}

/* --- Labels --------------------------------------------------------------------------------- */

typedef struct
{
  const char *label; /* borrowed */
  gint64 documents, tokens;
} Share;

static int
compare_shares (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (((const Share *) a)->label, ((const Share *) b)->label);
}

/* Documents and tokens per value of one label, sorted by value. */
static GArray *
shares_of (const MsCorpus *corpus, guint label_number)
{
  g_autoptr (GHashTable) found = g_hash_table_new (g_str_hash, g_str_equal);
  GArray *shares = g_array_new (FALSE, FALSE, sizeof (Share));

  for (guint i = 0; i < corpus->n_documents; i++)
    {
      const MsDocument *document = &corpus->documents[i];
      const char *label = ms_document_label (document, label_number);
      gpointer index;
      Share *share;

      if (label == NULL)
        continue;
      if (!g_hash_table_lookup_extended (found, label, NULL, &index))
        {
          Share fresh = { label, 0, 0 };

          index = GUINT_TO_POINTER (shares->len);
          g_hash_table_insert (found, (gpointer) label, index);
          g_array_append_val (shares, fresh);
        }
      share = &g_array_index (shares, Share, GPOINTER_TO_UINT (index));
      share->documents++;
      share->tokens += document->n_tokens;
    }
  g_array_sort (shares, compare_shares);
  return shares;
}

static const struct
{
  const char *name, *plural;
  MsKnownLabel label;
} labels[] = {
  { "language", "languages", MS_LABEL_LANGUAGE },
  { "domain", "domains", MS_LABEL_DOMAIN },
  { "phase", "phases", MS_LABEL_PHASE },
};

static guint
parallel_groups (const MsCorpus *corpus)
{
  g_autoptr (GArray) shares = shares_of (corpus, MS_LABEL_PARALLEL);

  return shares->len;
}

/* --- Text ----------------------------------------------------------------------------------- */

/* JSON that the file holds; NULL when there is none, or none that this program has written. */
static JsonNode *
read_stored (const char *text)
{
  return text != NULL && ms_json_objection (text, strlen (text), 8) == NULL
             ? json_from_string (text, NULL)
             : NULL;
}

/* The further facts of the model file, as it names them. */
static void
print_details (const MsModel *model)
{
  g_autoptr (JsonNode) root = read_stored (model->details);
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (model->details != NULL && root == NULL)
    puts ("  Details        damaged: what the file holds there is no plain JSON");
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return;
  json_object_iter_init_ordered (&iter, json_node_get_object (root));
  while (json_object_iter_next_ordered (&iter, &name, &node))
    {
      g_autofree char *title = g_strdelimit (ms_text_printable (name, -1), "_", ' ');
      g_autofree char *written
          = JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
                ? json_node_dup_string (node)
                : json_to_string (node, FALSE);
      g_autofree char *value = ms_text_printable (written, -1);

      title[0] = g_ascii_toupper (title[0]);
      ms_text_make_printable (&title);
      ms_text_make_printable (&value);
      printf ("  %-14s %s\n", title, value);
    }
}

static void
print_model (const MsModel *model)
{
  g_autofree char *router = ms_model_describe_router (model);
  const MsLayer *layers = model->layers;
  guint least = layers[0].gate.n_experts, most = least, least_k = layers[0].gate.k,
        most_k = least_k;
  char number[MS_NUMBER_SIZE];

  for (guint i = 0; i < model->n_layers; i++)
    {
      least = MIN (least, layers[i].gate.n_experts);
      most = MAX (most, layers[i].gate.n_experts);
      least_k = MIN (least_k, layers[i].gate.k);
      most_k = MAX (most_k, layers[i].gate.k);
    }
  if (model->id > 0)
    printf ("\nModel %" G_GINT64_FORMAT ": %s\n", model->id, model->name);
  else
    printf ("\nModel: %s\n", model->name);
  printf ("  Architecture   %s\n", model->architecture);
  printf ("  MoE layers     %u of %u blocks (%d..%d)\n", model->n_layers, model->n_blocks,
          layers[0].number, layers[model->n_layers - 1].number);
  if (least == most)
    printf ("  Experts        %u", most);
  else
    printf ("  Experts        %u to %u", least, most);
  if (least_k == most_k)
    printf (", %u per token", most_k);
  else
    printf (", %u to %u per token", least_k, most_k);
  if (model->n_shared > 0)
    printf (", %u shared", model->n_shared);
  if (layers[0].gate.groups > 1)
    printf (", %u groups", layers[0].gate.groups);
  putchar ('\n');
  if (router != NULL)
    printf ("  Router         %s\n", router);
  if (model->width > 0)
    printf ("  Hidden size    %u\n", model->width);
  if (model->expert_bytes > 0)
    printf ("  Expert         %s bytes\n", ms_number_grouped (number, model->expert_bytes));
  if (model->fingerprint != NULL)
    printf ("  Fingerprint    %s\n", model->fingerprint);
  print_details (model);
}

static void
print_corpus (const MsCorpus *corpus)
{
  char number[MS_NUMBER_SIZE];
  guint groups = parallel_groups (corpus);

  printf ("\nCorpus %" G_GINT64_FORMAT ": %s\n", corpus->id, corpus->name);
  printf ("  Documents      %s\n", ms_number_grouped (number, corpus->n_documents));
  printf ("  Tokens         %s%s\n", ms_number_grouped (number, corpus->n_tokens),
          corpus->ids_known ? "" : " (ids unknown)");
  if (corpus->tokenizer != NULL)
    printf ("  Tokenizer      %s\n", corpus->tokenizer);
  for (guint i = 0; i < G_N_ELEMENTS (labels); i++)
    {
      g_autoptr (GArray) shares = shares_of (corpus, labels[i].label);

      for (guint j = 0; j < shares->len; j++)
        {
          const Share *share = &g_array_index (shares, Share, j);
          g_autofree char *title = g_strdup (j == 0 ? labels[i].plural : "");
          g_autofree char *label = ms_text_printable (share->label, -1);

          title[0] = g_ascii_toupper (title[0]);
          printf ("  %-14s %-12s %s %s", title, label, ms_number_grouped (number, share->documents),
                  share->documents == 1 ? "document" : "documents");
          printf (", %s tokens\n", ms_number_grouped (number, share->tokens));
        }
    }
  for (guint i = 0; i < corpus->n_more; i++)
    {
      g_autoptr (GArray) shares = shares_of (corpus, MS_N_KNOWN_LABELS + i);
      g_autofree char *name = ms_text_printable (corpus->more[i], -1);

      printf ("  %-14s %s %s\n", name, ms_number_grouped (number, shares->len),
              shares->len == 1 ? "value of this label" : "different values of this label");
    }
  if (groups > 0)
    printf ("  Parallel       %s %s of translations\n", ms_number_grouped (number, groups),
            groups == 1 ? "group" : "groups");
}

static void
print_run (const Content *content, const MsRun *run)
{
  const MsModel *model = model_of (content, run->model);
  const MsCorpus *corpus = corpus_of (content, run->corpus);
  g_autofree char *columns = ms_columns_format (run->columns);
  g_autofree char *changed = ms_run_describe_intervention (run);
  char number[MS_NUMBER_SIZE];

  printf ("\nRun %" G_GINT64_FORMAT ": %s\n", run->id, run->name);
  printf ("  Model, corpus  %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT "\n", run->model, run->corpus);
  if (run->damage != NULL)
    printf ("  Damaged        %s; `moescope remove %s --run %" G_GINT64_FORMAT
            "` removes the run\n",
            run->damage, content->path, run->id);
  if (run->finished != NULL)
    printf ("  State          finished %s\n", run->finished);
  else if (corpus != NULL)
    printf ("  State          unfinished, %.1f %% recorded\n",
            100.0 * (double) run->n_tokens / (double) corpus->n_tokens);
  printf ("  Started        %s\n", run->started);
  if (model != NULL && (run->damage == NULL || run->n_tokens > 0))
    {
      printf ("  Tokens         %s\n", ms_number_grouped (number, run->n_tokens));
      printf ("  Decisions      %s\n",
              ms_number_grouped (number, run->n_tokens * slots_of (model)));
    }
  if (changed != NULL)
    printf ("  Changed        %s\n", changed);
  printf ("  Precision      %s\n", run->precision);
  printf ("  Columns        %s%s%s%s\n", columns, run->predictions ? " predictions" : "",
          run->probabilities ? " (logits are probabilities)" : "",
          run->storage == MS_STORAGE_EXACT ? ", exact" : ", compact");
  printf ("  Collector      %s\n", run->collector);
  if (run->command != NULL)
    printf ("  Command        %s\n", run->command);
}

/* --- JSON ----------------------------------------------------------------------------------- */

static void
add_model (JsonBuilder *json, const MsModel *model)
{
  JsonNode *details = read_stored (model->details);
  g_autofree char *router = ms_model_describe_router (model);

  json_builder_begin_object (json);
  ms_json_add_int (json, "model", model->id);
  ms_json_add_text (json, "name", model->name);
  ms_json_add_text (json, "architecture", model->architecture);
  ms_json_add_text (json, "fingerprint", model->fingerprint);
  ms_json_add_text (json, "router", router);
  ms_json_add_int (json, "blocks", model->n_blocks);
  ms_json_add_int (json, "shared", model->n_shared);
  ms_json_add_int (json, "width", model->width);
  ms_json_add_int (json, "expert_bytes", model->expert_bytes);
  ms_json_begin_array (json, "layers");
  for (guint i = 0; i < model->n_layers; i++)
    {
      json_builder_begin_object (json);
      ms_json_add_int (json, "layer", model->layers[i].number);
      ms_json_add_int (json, "experts", model->layers[i].gate.n_experts);
      ms_json_add_int (json, "k", model->layers[i].gate.k);
      ms_json_add_int (json, "groups", model->layers[i].gate.groups);
      ms_json_add_real (json, "scale", (double) model->layers[i].gate.scale);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
  json_builder_set_member_name (json, "details");
  if (details != NULL)
    json_builder_add_value (json, details);
  else
    json_builder_add_null_value (json);
  json_builder_end_object (json);
}

static void
add_corpus (JsonBuilder *json, const MsCorpus *corpus)
{
  json_builder_begin_object (json);
  ms_json_add_int (json, "corpus", corpus->id);
  ms_json_add_text (json, "name", corpus->name);
  ms_json_add_text (json, "tokenizer", corpus->tokenizer);
  ms_json_add_int (json, "tokens", corpus->n_tokens);
  ms_json_add_int (json, "documents", corpus->n_documents);
  ms_json_add_bool (json, "ids_known", corpus->ids_known);
  ms_json_add_int (json, "parallel_groups", parallel_groups (corpus));
  for (guint i = 0; i < G_N_ELEMENTS (labels); i++)
    {
      g_autoptr (GArray) shares = shares_of (corpus, labels[i].label);

      ms_json_begin_array (json, labels[i].plural);
      for (guint j = 0; j < shares->len; j++)
        {
          const Share *share = &g_array_index (shares, Share, j);

          json_builder_begin_object (json);
          ms_json_add_text (json, labels[i].name, share->label);
          ms_json_add_int (json, "documents", share->documents);
          ms_json_add_int (json, "tokens", share->tokens);
          json_builder_end_object (json);
        }
      json_builder_end_array (json);
    }
  json_builder_end_object (json);
}

static void
add_run (JsonBuilder *json, const Content *content, const MsRun *run)
{
  g_autofree char *columns = ms_columns_format (run->columns);
  const MsModel *model = model_of (content, run->model);
  JsonNode *intervention = read_stored (run->intervention);

  json_builder_begin_object (json);
  ms_json_add_int (json, "run", run->id);
  ms_json_add_text (json, "name", run->name);
  ms_json_add_int (json, "model", run->model);
  ms_json_add_int (json, "corpus", run->corpus);
  ms_json_add_text (json, "started", run->started);
  ms_json_add_text (json, "finished", run->finished);
  ms_json_add_int (json, "tokens", run->n_tokens);
  ms_json_add_int (json, "decisions", model != NULL ? run->n_tokens * slots_of (model) : 0);
  ms_json_add_text (json, "damage", run->damage);
  json_builder_set_member_name (json, "intervention");
  if (intervention != NULL)
    json_builder_add_value (json, intervention);
  else
    json_builder_add_null_value (json);
  ms_json_add_text (json, "precision", run->precision);
  ms_json_add_text (json, "collector", run->collector);
  ms_json_add_text (json, "command", run->command);
  ms_json_add_text (json, "storage", run->storage == MS_STORAGE_EXACT ? "exact" : "compact");
  ms_json_add_text (json, "columns", columns);
  ms_json_add_bool (json, "probabilities", run->probabilities);
  ms_json_add_bool (json, "predictions", run->predictions);
  json_builder_end_object (json);
}

static void
print_json (const Content *content)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();
  g_autofree char *text = NULL;

  json_builder_begin_object (json);
  ms_json_add_text (json, "file", content->path);
  ms_json_add_int (json, "bytes", content->bytes);
  ms_json_begin_array (json, "models");
  for (guint i = 0; i < content->models->len; i++)
    add_model (json, content->models->pdata[i]);
  json_builder_end_array (json);
  ms_json_begin_array (json, "corpora");
  for (guint i = 0; i < content->corpora->len; i++)
    add_corpus (json, content->corpora->pdata[i]);
  json_builder_end_array (json);
  ms_json_begin_array (json, "runs");
  for (guint i = 0; i < content->runs->len; i++)
    add_run (json, content, content->runs->pdata[i]);
  json_builder_end_array (json);
  ms_json_add_texts (json, "warnings", content->file != NULL ? content->file->warnings : NULL);
  if (content->file != NULL)
    ms_info_add_inspection (json, content->file);
  json_builder_end_object (json);
  text = ms_json_text (json);
  fputs (text, stdout);
}

/* What files say of themselves, as a terminal may show it. */
static void
make_printable (Content *content)
{
  for (guint i = 0; i < content->models->len; i++)
    {
      MsModel *model = content->models->pdata[i];

      ms_text_make_printable (&model->name);
      ms_text_make_printable (&model->architecture);
      ms_text_make_printable (&model->fingerprint);
    }
  for (guint i = 0; i < content->corpora->len; i++)
    {
      MsCorpus *corpus = content->corpora->pdata[i];

      ms_text_make_printable (&corpus->name);
      ms_text_make_printable (&corpus->tokenizer);
    }
  for (guint i = 0; i < content->runs->len; i++)
    {
      MsRun *run = content->runs->pdata[i];

      ms_text_make_printable (&run->name);
      ms_text_make_printable (&run->started);
      ms_text_make_printable (&run->finished);
      ms_text_make_printable (&run->precision);
      ms_text_make_printable (&run->collector);
      ms_text_make_printable (&run->command);
      ms_text_make_printable (&run->damage);
    }
}

static MsExit
run (int argc, char **argv)
{
  gboolean as_json = FALSE;
  const GOptionEntry entries[]
      = { { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print JSON", NULL }, { 0 } };
  g_auto (Content) content = { 0 };
  char number[MS_NUMBER_SIZE];
  GError *error = NULL;

  ms_command_parse (&ms_command_info, entries, &argc, &argv);
  if (argc != 2)
    return ms_command_misuse (&ms_command_info, "give one file");
  if (!load (argv[1], &content, &error))
    return ms_command_fail (&ms_command_info, error);
  if (as_json)
    {
      print_json (&content);
      return MS_EXIT_FINE;
    }
  make_printable (&content);
  printf ("%s: %s bytes", content.path, ms_number_grouped (number, content.bytes));
  if (content.file != NULL && content.file->n_parts > 1)
    printf (" in %u files", content.file->n_parts);
  if (content.file == NULL && (content.corpora->len > 0 || content.models->len == 0))
    printf (", %u %s", content.runs->len, content.runs->len == 1 ? "run" : "runs");
  putchar ('\n');
  for (guint i = 0; i < content.models->len; i++)
    print_model (content.models->pdata[i]);
  if (content.file != NULL)
    ms_info_print_inspection (content.file, content.models->len > 0);
  for (guint i = 0; i < content.corpora->len; i++)
    print_corpus (content.corpora->pdata[i]);
  for (guint i = 0; i < content.runs->len; i++)
    print_run (&content, content.runs->pdata[i]);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_info = {
  .name = "info",
  .usage = "RUN.db|MODEL.gguf [--json]",
  .summary = "Tell what a file holds: models, texts, runs",
  .details
  = "Of a model file: its geometry, types and bytes by role, what one token uses, how it routes "
    "and\n"
    "where each of these facts comes from, what about it misleads, and what stands in the way of\n"
    "running it.  Only headers are read, however large the file.",
  .example = "moescope info run.db\n  moescope info model.gguf --json",
  .run = run,
};
