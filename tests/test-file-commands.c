/* The commands about files as scripts use them: output, messages, exit status. */
#include "gguf-writer.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *database, *folder;

/* Runs moescope with the arguments (up to NULL); *out and *err are what it printed. */
static int
moescope (char **out, char **err, ...)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  GError *error = NULL;
  const char *word;
  va_list words;
  int status;

  g_ptr_array_add (argv, (char *) g_getenv ("MOESCOPE"));
  va_start (words, err);
  do
    {
      word = va_arg (words, const char *);
      g_ptr_array_add (argv, (char *) word);
    }
  while (word != NULL);
  va_end (words);
  g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, out, err, &status,
                &error);
  g_assert_no_error (error);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

#define RUN(status, ...)                                                                           \
  g_autofree char *out = NULL;                                                                     \
  g_autofree char *err = NULL;                                                                     \
  g_assert_cmpint (moescope (&out, &err, __VA_ARGS__, NULL), ==, status)

/* AddressSanitizer reserves terabytes of addresses: its programs cannot be limited. */
#ifdef __SANITIZE_ADDRESS__
#define LIMIT_MEMORY ""
#else
#define LIMIT_MEMORY "ulimit -v 3000000;"
#endif

#define ASSERT_HAS(text, part) g_assert_nonnull (strstr (text, part))

static void
test_info (void)
{
  {
    RUN (0, "info", database);
    ASSERT_HAS (out, "4, 2 per token");
    ASSERT_HAS (out, "Decisions");
  }
  {
    RUN (0, "info", "--json", database);
    ASSERT_HAS (out, "\"tokens\" : 7");
  }
  {
    RUN (1, "info", folder);
    ASSERT_HAS (err, "moescope info: cannot");
  }
  {
    RUN (2, "info");
    ASSERT_HAS (err, "Usage:");
  }
}

/* A model that cannot be run is described nonetheless, and what stands in the way said once. */
static void
test_info_model (void)
{
  static const guint8 bytes[1024] = { 0 };
  g_autofree char *path = g_build_filename (folder, "model.gguf", NULL);
  g_autoptr (GgufWriter) writer = gguf_writer_new ();
  g_autoptr (JsonParser) parser = json_parser_new ();

  gguf_add_string (writer, "general.architecture", "\x1b[1mx");
  gguf_add_u32 (writer, "\x1b[1mx.expert_used_count", 2);
  gguf_add_tensor (writer, "blk.0.ffn_gate_inp.weight", 0, 16, 4, 0, bytes, 256);
  gguf_add_tensor (writer, "blk.0.ffn_up_exps.weight", 344, 16, 8, 4, bytes, 512);
  gguf_writer_save (writer, path);
  {
    const char *way;
    RUN (0, "info", path);
    ASSERT_HAS (out, "Cannot be run  architecture '\\x1B[1mx' is none that can be run");
    way = strstr (out, "tensors of type IQ4_KS_R4: 1 of 2");
    g_assert_nonnull (way);
    g_assert_null (strstr (way + 1, "tensors of type"));
    ASSERT_HAS (out, "Experts                           512  66.7%  IQ4_KS_R4 512 in 1");
    ASSERT_HAS (out, "4 experts of 128 bytes, 2 per token; router F32");
    g_assert_null (strchr (out, 27));
  }
  {
    JsonObject *file;
    RUN (0, "info", "--json", path);
    g_assert_true (json_parser_load_from_data (parser, out, -1, NULL));
    file = json_object_get_object_member (json_node_get_object (json_parser_get_root (parser)),
                                          "inspection");
    g_assert_false (json_object_get_boolean_member (file, "can_be_run"));
    g_assert_cmpstr (
        json_array_get_string_element (json_object_get_array_member (file, "obstacles"), 1), ==,
        "tensors of type IQ4_KS_R4: 1 of 2");
    g_assert_cmpint (json_object_get_int_member (file, "active_parameters"), ==, 64 + 256);
    g_assert_cmpint (json_object_get_int_member (
                         json_object_get_object_member (
                             json_object_get_object_member (file, "routing"), "experts_per_token"),
                         "value"),
                     ==, 2);
  }
}

/* --- Tokens --------------------------------------------------------------------------------- */

/* The ids or pieces that `moescope tokenize --json` printed. */
static JsonArray *
printed (JsonParser *parser, const char *out, const char *member)
{
  g_autoptr (GError) error = NULL;

  json_parser_load_from_data (parser, out, -1, &error);
  g_assert_no_error (error);
  return json_object_get_array_member (json_node_get_object (json_parser_get_root (parser)),
                                       member);
}

static void
check_ids (JsonParser *parser, const char *out, JsonArray *wanted)
{
  JsonArray *ids = printed (parser, out, "ids");

  g_assert_cmpuint (json_array_get_length (ids), ==, json_array_get_length (wanted));
  for (guint i = 0; i < json_array_get_length (ids); i++)
    g_assert_cmpint (json_array_get_int_element (ids, i), ==,
                     json_array_get_int_element (wanted, i));
  g_assert_cmpuint (json_array_get_length (printed (parser, out, "pieces")), ==,
                    json_array_get_length (wanted));
}

/* Every text with two vocabularies of the independent engine, through the command. */
static void
test_tokenize_conformance (void)
{
  static const char *const vocabularies[] = { "llama-spm", "gpt-2" };
  g_autofree char *shared
      = g_build_filename (g_getenv ("MOESCOPE_SHARED"), "conformance", "tokenizers", NULL);
  g_autofree char *path = g_build_filename (shared, "expected.json", NULL);
  g_autofree char *text_path = g_build_filename (folder, "text.txt", NULL);
  g_autoptr (JsonParser) expected = json_parser_new (), parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  JsonArray *texts;
  JsonObject *root;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_test_skip ("reference data is not there");
      return;
    }
  json_parser_load_from_file (expected, path, &error);
  g_assert_no_error (error);
  root = json_node_get_object (json_parser_get_root (expected));
  texts = json_object_get_array_member (root, "texts");
  for (guint v = 0; v < G_N_ELEMENTS (vocabularies); v++)
    {
      g_autofree char *file = g_strconcat (vocabularies[v], ".gguf", NULL);
      g_autofree char *model = g_build_filename (shared, file, NULL);
      JsonArray *all = json_object_get_array_member (
          json_object_get_object_member (root, "own_vocabulary"), vocabularies[v]);

      for (guint i = 0; i < json_array_get_length (texts); i++)
        {
          const char *text = json_array_get_string_element (texts, i);

          g_assert_true (g_file_set_contents (text_path, text, -1, NULL));
          {
            RUN (0, "tokenize", model, text_path, "--no-special", "--json");
            check_ids (parser, out, json_array_get_array_element (all, i));
          }
        }
    }
}

static char *
save_vocabulary (const char *model, gboolean unknown)
{
  static const char *const tokens[]
      = { "a", "b", "ab", "<s>", "\xc3\xb6", "\xc4\x8a", "<e>", "?", NULL };
  static const gint32 types[] = { 1, 1, 1, 3, 1, 1, 3, 2 };
  static const char *const merges[] = { "a b", NULL };
  g_autoptr (GgufWriter) writer = gguf_writer_new ();
  char *path = g_build_filename (folder, "vocabulary.gguf", NULL);

  gguf_add_string (writer, "general.architecture", "no-such-architecture");
  gguf_add_string (writer, "tokenizer.ggml.model", model);
  gguf_add_string (writer, "tokenizer.ggml.pre", "gpt-2");
  gguf_add_strings (writer, "tokenizer.ggml.tokens", tokens, -1);
  gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
  gguf_add_i32s (writer, "tokenizer.ggml.token_type", types, G_N_ELEMENTS (types));
  if (unknown)
    gguf_add_u32 (writer, "tokenizer.ggml.unknown_token_id", 7);
  gguf_add_bool (writer, "tokenizer.ggml.add_bos_token", TRUE);
  gguf_add_u32 (writer, "tokenizer.ggml.bos_token_id", 3);
  gguf_add_bool (writer, "tokenizer.ggml.add_eos_token", TRUE);
  gguf_add_u32 (writer, "tokenizer.ggml.eos_token_id", 6);
  gguf_writer_save (writer, path);
  return path;
}

/* A vocabulary alone, of an architecture that nobody knows. */
static void
test_tokenize (void)
{
  g_autofree char *model = save_vocabulary ("gpt2", FALSE);
  g_autofree char *text = g_build_filename (folder, "text.txt", NULL);

  g_assert_true (g_file_set_contents (text, "abab<s>\xf6\n", -1, NULL));
  {
    RUN (0, "tokenize", model, text, "--json");
    g_assert_cmpstr (out, ==,
                     "{\"ids\": [3, 2, 2, 3, 4, 5, 6], \"pieces\": [\"<s>\", \"ab\", \"ab\", "
                     "\"<s>\", \"<0xF6>\", \"\\n\", \"<e>\"]}\n");
  }
  {
    RUN (0, "tokenize", "--json", "--max-tokens", "2", model, text);
    ASSERT_HAS (out, "\"ids\": [3, 2],");
  }
  {
    /* '<', 's' and '>' have no tokens. */
    RUN (1, "tokenize", model, text, "--no-special");
    g_assert_cmpstr (out, ==, "");
    ASSERT_HAS (err, "no token for 3 bytes of the text (the first is 0x3C)");
  }
  g_assert_true (g_file_set_contents (text, "ab\n", -1, NULL));
  {
    RUN (0, "tokenize", "--no-special", model, text);
    g_assert_cmpstr (out, ==,
                     "2 tokens (tokenizer gpt2 gpt-2)\n"
                     "       0        2  'ab'\n       1        5  '\\x0A'\n");
  }
  g_assert_true (g_file_set_contents (text, "", 0, NULL));
  {
    RUN (0, "tokenize", "--no-special", "--json", model, text);
    g_assert_cmpstr (out, ==, "{\"ids\": [], \"pieces\": []}\n");
  }
}

/* The standard input, and what goes wrong. */
static void
test_tokenize_refused (void)
{
  g_autofree char *model = save_vocabulary ("gpt2", TRUE);
  g_autofree char *line
      = g_strdup_printf ("printf ab | \"$MOESCOPE\" tokenize '%s' - --json --no-special", model);
  /* A word of 100 MB: stopped, or cut, in little memory and time. */
  g_autofree char *word = g_strdup_printf (
      LIMIT_MEMORY "head -c 100000000 /dev/zero | tr '\\0' a | timeout -s KILL 60 "
                   "\"$MOESCOPE\" tokenize '%s' - --json --max-tokens 3 --no-special",
      model);

  {
    const char *argv[] = { "sh", "-c", line, NULL };
    g_autofree char *out = NULL;

    g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out,
                                 NULL, NULL, NULL));
    g_assert_cmpstr (out, ==, "{\"ids\": [2], \"pieces\": [\"ab\"]}\n");
  }
  {
    const char *argv[] = { "sh", "-c", word, NULL };
    g_autofree char *out = NULL;

    g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out,
                                 NULL, NULL, NULL));
    g_assert_cmpstr (out, ==, "{\"ids\": [0, 0, 0], \"pieces\": [\"a\", \"a\", \"a\"]}\n");
  }
  {
    RUN (2, "tokenize", model);
    ASSERT_HAS (err, "give a model and a file");
  }
  {
    RUN (2, "tokenize", model, model, "--max-tokens", "-1");
    ASSERT_HAS (err, "--max-tokens");
  }
  {
    RUN (1, "tokenize", model, "no-such-file");
    ASSERT_HAS (err, "no-such-file cannot be read");
  }
  g_clear_pointer (&model, g_free);
  model = save_vocabulary ("rwkv", FALSE);
  {
    RUN (1, "tokenize", model, model);
    ASSERT_HAS (err, "its tokenizer 'rwkv' is not supported");
  }
}

/* GGUF files that are no models are told for what they are. */
static void
test_other_gguf (void)
{
  static const char *const datasets[] = { "calibration.txt", NULL };
  const float sums[8] = { 0 };
  g_autoptr (GgufWriter) matrix = gguf_writer_new (), adapter = gguf_writer_new ();
  g_autofree char *path = g_build_filename (folder, "calibration.gguf", NULL);
  g_autofree char *db = g_build_filename (folder, "other.db", NULL);

  gguf_add_string (matrix, "general.type", "imatrix");
  gguf_add_strings (matrix, "imatrix.datasets", datasets, -1);
  gguf_add_u32 (matrix, "imatrix.chunk_count", 4);
  gguf_add_f32 (matrix, "blk.0.ffn_down_exps.weight.counts", 1, 8, 0, sums);
  gguf_writer_save (matrix, path);
  {
    RUN (1, "info", path);
    ASSERT_HAS (err, "importance matrix");
  }
  {
    RUN (1, "import", path, "-o", db);
    ASSERT_HAS (err, "importance matrix");
  }
  {
    RUN (1, "collect", path, database, "-o", db);
    ASSERT_HAS (err, "importance matrix");
  }
  gguf_add_string (adapter, "general.type", "adapter");
  gguf_writer_save (adapter, path);
  {
    RUN (1, "info", path);
    ASSERT_HAS (err, "'adapter', not a whole model");
  }
  {
    RUN (1, "import", path, "-o", db);
    ASSERT_HAS (err, "`moescope collect`");
  }
  g_assert_false (g_file_test (db, G_FILE_TEST_EXISTS));
  g_remove (path);
}

/* What waits for somebody else, or has been made to harm, ends in a message. */
static void
test_hostile (void)
{
  g_autofree char *pipe = g_build_filename (folder, "pipe", NULL);
  g_autofree char *deep = g_build_filename (folder, "deep.db", NULL);
  g_autoptr (GString) details = g_string_new ("UPDATE model SET details = '");
  g_autofree char *bytes = NULL;
  gsize length;
  sqlite3 *db;

  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  {
    RUN (1, "info", pipe);
    ASSERT_HAS (err, "is a pipe");
  }
  {
    RUN (1, "collect", pipe, database, "-o", deep);
    ASSERT_HAS (err, "give the path of a GGUF file");
  }
  g_remove (pipe);
  g_assert_true (g_file_get_contents (database, &bytes, &length, NULL));
  g_assert_true (g_file_set_contents (deep, bytes, (gssize) length, NULL));
  for (guint i = 0; i < 100000; i++)
    g_string_append_c (details, '[');
  g_string_append (details, "'");
  g_assert_cmpint (sqlite3_open (deep, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, details->str, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
  {
    RUN (0, "info", deep);
    ASSERT_HAS (out, "Details        damaged");
  }
  {
    RUN (0, "info", "--json", deep);
    ASSERT_HAS (out, "\"details\" : null");
  }
  g_remove (deep);
}

/* Only what multiplies matrices loads the libraries for it, so little memory does for the rest. */
static void
test_little_memory (void)
{
  g_autofree char *script
      = g_strdup_printf ("ulimit -v 150000; exec '%s' info '%s'", g_getenv ("MOESCOPE"), database);
  g_autofree char *out = NULL;
  int status;

#ifdef __SANITIZE_ADDRESS__
  g_test_skip ("the address sanitizer wants all addresses");
  return;
#endif
  g_assert_true (g_spawn_sync (NULL, (char *[]){ "/bin/sh", "-c", script, NULL }, NULL,
                               G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, &status, NULL));
  g_assert_true (g_spawn_check_wait_status (status, NULL));
  ASSERT_HAS (out, "Decisions");
}

static void
test_check (void)
{
  g_autofree char *cut = g_build_filename (folder, "cut.db", NULL);
  g_autofree char *bytes = NULL;
  gsize length;

  {
    RUN (0, "check", database);
    ASSERT_HAS (out, "is fine");
  }
  g_assert_true (g_file_get_contents (database, &bytes, &length, NULL));
  g_file_set_contents (cut, bytes, (gssize) length / 2, NULL);
  {
    RUN (1, "check", cut);
    ASSERT_HAS (err, "damaged");
    g_assert_null (strstr (err, "`moescope check`")); /* that is what was just run */
  }
  g_file_set_contents (cut, "neither of them", -1, NULL);
  {
    RUN (1, "info", cut);
    ASSERT_HAS (err, "a moescope database or a GGUF model file is needed");
  }
  g_remove (cut);
}

static const char *
member (JsonObject *object, const char *name)
{
  return json_object_get_string_member_with_default (object, name, NULL);
}

/* The list for programs tells what is needed to call an analysis and to read its tables. */
static void
test_list (void)
{
  g_autoptr (JsonNode) root = NULL;
  JsonArray *all;
  gboolean seen = FALSE;

  RUN (0, "analyze", "--list", "--json");
  root = json_from_string (out, NULL);
  g_assert_nonnull (root);
  all = json_node_get_array (root);
  for (guint i = 0; i < json_array_get_length (all); i++)
    {
      JsonObject *analysis = json_array_get_object_element (all, i);
      JsonArray *tables = json_object_get_array_member (analysis, "tables");

      g_assert_nonnull (member (analysis, "definition"));
      g_assert_nonnull (member (analysis, "source"));
      g_assert_cmpuint (json_array_get_length (tables), >, 0);
      for (guint t = 0; t < json_array_get_length (tables); t++)
        {
          JsonObject *table = json_array_get_object_element (tables, t);

          g_assert_nonnull (member (table, "name"));
          g_assert_cmpuint (json_array_get_length (json_object_get_array_member (table, "columns")),
                            >, 0);
        }
      if (strcmp (member (analysis, "name"), "cache") == 0)
        {
          JsonArray *params = json_object_get_array_member (analysis, "parameters");
          JsonObject *mode = json_array_get_object_element (params, 2);

          g_assert_cmpstr (member (mode, "name"), ==, "mode");
          g_assert_cmpstr (member (mode, "default"), ==, "serial");
          g_assert_cmpuint (json_array_get_length (json_object_get_array_member (mode, "choices")),
                            ==, 2);
          seen = TRUE;
        }
    }
  g_assert_true (seen);
}

/* A pipe that nobody writes is refused, not waited for. */
static void
test_pipe (void)
{
  g_autofree char *pipe = g_build_filename (folder, "pipe", NULL);
  const char *const commands[] = { "info", "check" };

  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      RUN (1, commands[i], pipe);
      ASSERT_HAS (err, "is a pipe");
    }
  {
    RUN (1, "analyze", pipe, "load");
    ASSERT_HAS (err, "is a pipe");
  }
  {
    RUN (1, "import", database, "-o", pipe);
    ASSERT_HAS (err, "moescope import: ");
  }
  g_remove (pipe);
}

/* Two experts with the largest numbers: what counts all pairs refuses with the number, within little memory,
 * and what does not, runs. */
static void
test_sparse (void)
{
  /* What costs by experts that occur, and what is refused with the number. */
  static const char *const names[][2] = { { "coactivation", NULL },
                                          { "transitions", NULL },
                                          { "placement --devices 5", NULL },
                                          { "coactivation --experts 0", "65535" },
                                          { "transitions --least 0", "65535" },
                                          { "placement --devices 5 --method joint", "65535" } };
  g_autofree char *sparse = g_build_filename (folder, "sparse.db", NULL);
  g_autofree char *trace = g_build_filename (folder, "sparse.csv", NULL);
  g_autoptr (GString) rows = g_string_new ("sequence,token,layer,rank,expert,weight\n");

  if (g_getenv ("ASAN_OPTIONS") != NULL) /* whose shadow is larger than the limit below */
    return;
  for (guint token = 0; token < 40; token++)
    for (guint layer = 0; layer < 2; layer++)
      for (guint rank = 0; rank < 2; rank++)
        g_string_append_printf (rows, "s%u,%u,%u,%u,%u,0.5\n", token / 10, token % 10, layer, rank,
                                65534 - (rank + token) % 4);
  g_assert_true (g_file_set_contents (trace, rows->str, -1, NULL));
  {
    RUN (0, "import", trace, "-o", sparse);
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *line = g_strdup_printf ("%s exec %s analyze %s %s --threads 1", LIMIT_MEMORY,
                                               g_getenv ("MOESCOPE"), sparse, names[i][0]);
      const char *const argv[] = { "sh", "-c", line, NULL };
      g_autofree char *err = NULL;
      int status;

      g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL,
                                   G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                                   NULL, &err, &status, NULL));
      g_assert_true (WIFEXITED (status));
      g_assert_cmpint (WEXITSTATUS (status), ==, names[i][1] != NULL ? 1 : 0);
      if (names[i][1] != NULL)
        ASSERT_HAS (err, names[i][1]);
    }
  g_remove (trace);
  g_remove (sparse);
}

/* What export writes, import reads: the same decisions come out again. */
static void
test_round_trip (void)
{
  static const char *const tables[] = { "routing", "documents", "tokens" };
  g_autofree char *copy = g_build_filename (folder, "copy.db", NULL);
  char *files[3];

  for (guint i = 0; i < 3; i++)
    {
      files[i] = g_strdup_printf ("%s/%s.csv", folder, tables[i]);
      RUN (0, "export", database, tables[i], "-o", files[i]);
      g_assert_cmpstr (out, ==, "");
    }
  {
    RUN (0, "import", files[0], files[1], files[2], "--experts", "4", "-o", copy);
    ASSERT_HAS (out, "27 decisions for 7 tokens of 2 documents");
  }
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *before = NULL;
      RUN (0, "export", copy, tables[i]);

      g_assert_true (g_file_get_contents (files[i], &before, NULL, NULL));
      g_assert_cmpstr (out, ==, before);
      g_remove (files[i]);
      g_free (files[i]);
    }
  g_remove (copy);
}

/* The same through JSON lines and arrays: documents, layers, ranks, experts and weights come back. */
static void
test_format_round_trip (void)
{
  static const char *const formats[] = { "jsonl", "npz", "safetensors" };
  g_autofree char *copy = g_build_filename (folder, "copy.db", NULL);
  g_autofree char *again = g_build_filename (folder, "again.csv", NULL);
  g_autofree char *original = NULL;

  {
    RUN (0, "export", database, "routing", "--select", "layer=1");
    original = g_steal_pointer (&out);
  }
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_autofree char *file = g_strdup_printf ("%s/routing.%s", folder, formats[i]);
      g_autofree char *text = NULL;
      g_auto (GStrv) before = NULL, after = NULL;

      {
        RUN (0, "export", database, "routing", "--select", "layer=1", "--format", formats[i], "-o",
             file);
      }
      {
        RUN (0, "import", file, "--experts", "4", "-o", copy);
      }
      {
        RUN (0, "export", copy, "routing", "-o", again);
      }
      g_assert_true (g_file_get_contents (again, &text, NULL, NULL));
      before = g_strsplit (original, "\n", -1);
      after = g_strsplit (text, "\n", -1);
      g_assert_cmpuint (g_strv_length (before), ==, g_strv_length (after));
      for (guint l = 0; before[l] != NULL; l++)
        {
          g_auto (GStrv) x = g_strsplit (before[l], ",", -1), y = g_strsplit (after[l], ",", -1);

          for (guint c = 0; x[c] != NULL; c++)
            if (c != 3) /* token ids go with JSON lines alone */
              g_assert_cmpstr (x[c], ==, y[c]);
        }
      g_remove (file);
      g_remove (copy);
      g_remove (again);
    }
  {
    RUN (2, "export", database, "load", "--format", "npy");
    ASSERT_HAS (err, "one of routing");
  }
  {
    RUN (2, "export", database, "routing", "--format", "nothing");
    ASSERT_HAS (err, "there is no format 'nothing'");
  }
  {
    RUN (0, "export", database, "counts", "--select", "layer=1");
    ASSERT_HAS (out, "layer,expert,count\n1,0,");
    ASSERT_HAS (out, "\n1,3,5\n");
  }
}

/* Names of stages and destinations, labels of documents and of tokens go out and come back. */
static void
test_named_round_trip (void)
{
  static const char *const tables[] = { "routing", "documents", "tokens" };
  g_autofree char *trace = g_build_filename (folder, "models.csv", NULL);
  g_autofree char *run = g_build_filename (folder, "models.db", NULL);
  g_autofree char *copy = g_build_filename (folder, "copy.db", NULL);
  char *files[3];

  g_assert_true (g_file_set_contents (
      trace,
      "chat,turn,round,model,score,topic,mood\nc1,0,draft,small,1,law,good\nc1,0,final,big,1,law,"
      "good\n"
      "c1,1,draft,mid,1,law,bad\nc1,1,final,big,1,law,bad\nc2,0,draft,mid,1,art,bad\n"
      "c2,0,final,small,1,art,bad\n",
      -1, NULL));
  {
    RUN (0, "import", trace, "--map",
         "document=chat,token=turn,stage=round,destination=model,weight=score", "-o", run);
    ASSERT_HAS (out, "6 decisions for 3 tokens of 2 documents");
  }
  for (guint i = 0; i < 3; i++)
    {
      files[i] = g_strdup_printf ("%s/named-%s.csv", folder, tables[i]);
      RUN (0, "export", run, tables[i], "-o", files[i]);
      g_assert_cmpstr (out, ==, "");
    }
  {
    RUN (0, "import", files[0], files[1], files[2], "-o", copy);
    ASSERT_HAS (out, "6 decisions for 3 tokens of 2 documents");
  }
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *before = NULL;
      RUN (0, "export", copy, tables[i]);

      g_assert_true (g_file_get_contents (files[i], &before, NULL, NULL));
      g_assert_cmpstr (out, ==, before);
      if (i == 0)
        ASSERT_HAS (out, "1,\"c1\",1,,\"draft\",0,\"mid\",1\n");
      if (i == 1)
        ASSERT_HAS (out, ",tokens,\"mood\",\"topic\"\n");
      if (i == 2)
        ASSERT_HAS (out, "1,\"c1\",1,,,,,\"bad\"\n");
      g_remove (files[i]);
      g_free (files[i]);
    }
  /* A second trace with fewer destinations gets the numbers of the first, so that the two can be compared. */
  g_assert_true (g_file_set_contents (trace,
                                      "chat,turn,round,model\nc1,0,draft,small\nc1,0,final,small\n"
                                      "c1,1,draft,mid\nc1,1,final,small\nc2,0,draft,mid\n"
                                      "c2,0,final,small\n",
                                      -1, NULL));
  {
    RUN (0, "import", trace, "--map", "document=chat,token=turn,stage=round,destination=model",
         "-o", run);
    ASSERT_HAS (err, "2 of its 3 occur");
  }
  {
    RUN (0, "export", run, "counts");
    g_assert_cmpstr (out, ==, "layer,expert,count\n0,0,0\n0,1,2\n0,2,1\n1,0,0\n1,1,0\n1,2,3\n");
  }
  g_remove (trace);
  g_remove (run);
  g_remove (copy);
}

/* Labels of tokens select and group; runs of counts alone are measured only where order makes no difference. */
static void
test_token_labels (void)
{
  g_autofree char *trace = g_build_filename (folder, "phases.csv", NULL);
  g_autofree char *counts = g_build_filename (folder, "counts.csv", NULL);
  g_autofree char *run = g_build_filename (folder, "phases.db", NULL);
  g_autoptr (GString) rows = g_string_new ("sequence,token,rank,expert,weight,phase,tool\n");

  for (guint t = 0; t < 200; t++)
    g_string_append_printf (rows, "s%u,%u,0,%u,1,%s,%s\n", t / 20, t % 20,
                            t % 20 < 10 ? 0 : 1 + t % 3, t % 20 < 10 ? "prefill" : "decode",
                            t % 4 < 2 ? "search" : "none");
  g_assert_true (g_file_set_contents (trace, rows->str, -1, NULL));
  g_assert_true (
      g_file_set_contents (counts, "layer,expert,count\n0,0,30\n0,1,10\n0,2,20\n", -1, NULL));
  {
    RUN (0, "import", trace, "--experts", "4", "-o", run);
  }
  {
    RUN (0, "export", run, "counts", "--select", "phase=prefill");
    g_assert_cmpstr (out, ==, "layer,expert,count\n0,0,100\n0,1,0\n0,2,0\n0,3,0\n");
  }
  {
    RUN (0, "export", run, "counts", "--select", "phase=decode suspect=no");
    ASSERT_HAS (out, "layer,expert,count\n0,0,0\n");
  }
  {
    RUN (0, "analyze", run, "load", "--by", "phase", "--bootstrap", "0", "--format", "csv");
    ASSERT_HAS (out, "\"prefill\"");
    ASSERT_HAS (out, "\"decode\"");
  }
  {
    RUN (0, "analyze", run, "load", "--by", "tool", "--bootstrap", "0", "--format", "csv");
    ASSERT_HAS (out, "\"search\"");
  }
  g_remove (run);
  {
    RUN (0, "import", counts, "--top-k", "2", "-o", run);
    ASSERT_HAS (err, "counts without an order");
  }
  {
    RUN (0, "analyze", run, "load", "--bootstrap", "0", "--format", "csv");
  }
  {
    RUN (1, "analyze", run, "hit-rate");
    ASSERT_HAS (err, "counts alone");
  }
  g_remove (run);
  g_remove (trace);
  g_remove (counts);
}

static void
test_export (void)
{
  {
    RUN (2, "analyze", database, "load", "--by", "nothing");
    ASSERT_HAS (err, "cannot group by 'nothing'");
  }
  {
    RUN (2, "analyze", database, "load", "--cluster", "nothing");
    ASSERT_HAS (err, "cannot group by 'nothing'");
  }
  {
    RUN (0, "export", database, "routing", "--select", "layer=2 token=0 expert=2");
    g_assert_cmpstr (out, ==,
                     "run,document,position,token_id,layer,rank,expert,weight\n"
                     "1,\"a\",0,5,2,1,2,0.125\n");
  }
  {
    RUN (0, "export", database, "load", "--select", "layer=1");
    ASSERT_HAS (out, "1,1,3,5,0.35714285714285715\n");
  }
  {
    RUN (2, "export", database, "nothing");
    ASSERT_HAS (err, "the tables are");
  }
  {
    RUN (0, "export", "--dictionary");
    ASSERT_HAS (out, ",\"routing\",\"weight\",\"real\",,");
  }
}

/* The manual is read off commands and analyses. */
static void
test_manual (void)
{
  RUN (0, "manual");
  ASSERT_HAS (out, "\n### `collect`: ");
  ASSERT_HAS (out, "\n### `load`: Load Balance\n");
  ASSERT_HAS (out, "- `--starved 0..1` (default 0.1): ");
  ASSERT_HAS (out, "| `total_violation` |  | Sum of \\|count - mean count\\| / mean count. |");
}

/* The page for man tells every command with its options and every analysis; nothing in it is a request by
 * accident. */
static void
test_man (void)
{
  RUN (0, "manual", "--man");
  g_assert_true (g_str_has_prefix (out, ".TH MOESCOPE 1 "));
  ASSERT_HAS (out, "\n.SS collect\n");
  ASSERT_HAS (out, "\\-\\-token\\-ids=FILE");
  ASSERT_HAS (out, "\n.B load\n");
  g_assert_null (strstr (out, "\n..."));
}

/* A failed export leaves what was at the place of its output. */
static void
test_keep (void)
{
  g_autofree char *output = g_build_filename (folder, "kept.csv", NULL);
  g_autofree char *kept = NULL;

  g_file_set_contents (output, "before", -1, NULL);
  {
    RUN (1, "export", database, "routing", "--run", "9", "-o", output);
    ASSERT_HAS (err, "no run 9");
  }
  g_assert_true (g_file_get_contents (output, &kept, NULL, NULL));
  g_assert_cmpstr (kept, ==, "before");
  g_remove (output);
}

/* A file that cannot grow beyond 8 KiB stands for a full disk: the error names the file, a new one is not
 * begun, an old one stays. */
static void
test_full (void)
{
  g_autofree char *output = g_build_filename (folder, "full.md", NULL);

  for (guint pass = 0; pass < 2; pass++)
    {
      const char *const argv[]
          = { "/bin/sh", "-c", "trap '' XFSZ; ulimit -f 16; exec \"$MOESCOPE\" manual -o \"$0\"",
              output, NULL };
      g_autofree char *err = NULL, *kept = NULL;
      int status = 0;

      if (pass == 1)
        g_assert_true (g_file_set_contents (output, "before", -1, NULL));
      g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL,
                                   &err, &status, NULL));
      g_assert_cmpint (status, !=, 0);
      ASSERT_HAS (err, "full.md: ");
      g_file_get_contents (output, &kept, NULL, NULL);
      g_assert_cmpstr (kept, ==, pass == 0 ? NULL : "before");
    }
  g_remove (output);
}

/* Runs a line of shell in which $M is moescope, $D the database and $F the folder. */
static int
shell (const char *line, char **err)
{
  const char *const argv[] = { "/bin/sh", "-c", line, NULL };
  g_auto (GStrv) environment = g_get_environ ();
  g_autofree char *out = NULL;
  int status = 0;

  environment = g_environ_setenv (environment, "M", g_getenv ("MOESCOPE"), TRUE);
  environment = g_environ_setenv (environment, "D", database, TRUE);
  environment = g_environ_setenv (environment, "F", folder, TRUE);
  g_assert_true (g_spawn_sync (NULL, (char **) argv, environment, G_SPAWN_DEFAULT, NULL, NULL, &out,
                               err, &status, NULL));
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

#define SHELL(status, line)                                                                        \
  g_autofree char *err = NULL;                                                                     \
  g_assert_cmpint (shell (line, &err), ==, status)

/* On a terminal tables keep to its width and say what they leave out; numbers have three digits and an interval
 * stands with its estimate.  --wide and a pipe have everything. */
static void
test_terminal (void)
{
  {
    SHELL (0, "S=$MOESCOPE_SOURCE_ROOT/samples/sample.db; T=$F/terminal.txt; "
              "script -qec \"stty cols 72; $M analyze '$S' load --select layer=0 --bootstrap 50\" "
              "/dev/null </dev/null | tr -d '\\r' | grep -v \"$(printf '\\033')\" >$T; "
              "awk 'length ($0) > 72 { bad = 1; print } END { exit bad }' $T || exit 1; "
              "grep -q 'more columns (--wide)' $T || exit 2; "
              "grep -Eq '0\\.993 \\[0\\.9[0-9]+, 1\\.0[0-9]\\]' $T || exit 3; "
              "grep -q ' 8,974 ' $T || exit 4; rm $T");
  }
  {
    SHELL (0, "$M analyze \"$D\" load --bootstrap 50 | grep -q load_low || exit 1; "
              "script -qec \"stty cols 72; $M analyze '$D' load --wide --bootstrap 50\" /dev/null "
              "</dev/null | grep -q load_low");
  }
}

/* What a caption says is not said in the figure as well; a font that is not there is not replaced in silence. */
static void
test_caption (void)
{
  {
    SHELL (0,
           "S=$MOESCOPE_SOURCE_ROOT/samples/sample.db; cd $F; p () { $M plot \"$S\" load --plot "
           "max-vio "
           "--bootstrap 20 \"$@\" || exit 9; }; "
           "p -o a.svg --caption a.tex; p -o b.svg; "
           "grep -q '^.caption{MaxVio by layer\\. Band: 95 .% interval' a.tex || exit 1; "
           "grep -q '^.label{fig:load-max-vio}$' a.tex || exit 2; "
           "grep -q Band: b.svg || exit 3; ! grep -q Band: a.svg || exit 4; rm a.svg a.tex b.svg");
  }
  {
    RUN (2, "plot", database, "load", "-o", "x.svg", "--font", "No Such Face");
    ASSERT_HAS (err, "no font 'No Such Face' is installed");
  }
}

/* A word that is nearly a command's or an analysis's name gets a suggestion. */
static void
test_misspelt (void)
{
  {
    RUN (2, "analyse", database, "load");
    ASSERT_HAS (err, "did you mean analyze?");
  }
  {
    RUN (2, "analyze", database, "laod");
    ASSERT_HAS (err, "did you mean load?");
  }
}

/* The completion offers what the program has. */
static void
test_completion (void)
{
  SHELL (0, "exec bash -c '"
            "source \"$MOESCOPE_SOURCE_ROOT/app/data/moescope.bash\"; "
            "t () { COMP_WORDS=(\"$M\" \"$@\"); COMP_CWORD=$#; _moescope \"$M\"; "
            "echo \" ${COMPREPLY[*]} \"; }; "
            "[[ $(t col) == \" collect \" && $(t analyze run.db hit) == *\" hit-rate \"* "
            "&& $(t analyze run.db load --star) == \" --starved \" "
            "&& $(t plot run.db load --them) == \" --theme \" ]]'");
}

/* Whoever swaps two words of a command line loses neither a database nor a model nor an input; a figure's
 * tables do not take the place of files of the same name. */
static void
test_precious (void)
{
  {
    SHELL (1, "cp \"$D\" $F/p.db; $M analyze \"$D\" load -o $F/p.db; r=$?; "
              "cmp -s \"$D\" $F/p.db || exit 9; rm $F/p.db; exit $r");
    ASSERT_HAS (err, "is an SQLite database and is not replaced");
  }
  {
    SHELL (1, "printf GGUF123 > $F/m.gguf; $M export \"$D\" routing -o $F/m.gguf; r=$?; "
              "[ \"$(cat $F/m.gguf)\" = GGUF123 ] || exit 9; rm $F/m.gguf; exit $r");
    ASSERT_HAS (err, "is a GGUF model and is not replaced");
  }
  {
    SHELL (1, "printf 'layer,expert,weight\\n0,0,5\\n0,1,6\\n' > $F/in.csv; "
              "$M analyze - placement --weights $F/in.csv --devices 2 -o $F/in.csv; r=$?; "
              "grep -q 0,1,6 $F/in.csv || exit 9; rm $F/in.csv; exit $r");
    ASSERT_HAS (err, "is read by this command");
  }
  {
    SHELL (1, "echo mine > $F/f.csv; $M plot \"$D\" load -o $F/f.svg --data; r=$?; "
              "[ \"$(cat $F/f.csv)\" = mine ] || exit 9; rm $F/f.*; exit $r");
    ASSERT_HAS (err, "was not made with the figure f.svg");
  }
  {
    SHELL (0, "$M plot \"$D\" load -o $F/f.svg --data && $M plot \"$D\" load -o $F/f.svg --data "
              "&& rm $F/f.svg $F/f.csv $F/f.dat $F/f.json");
    g_assert_cmpstr (err, ==, "");
  }
}

/* An output keeps the permissions of the file it replaces and goes through a symbolic link; a killed export
 * leaves no part under its final name. */
static void
test_replace (void)
{
  {
    SHELL (0, "echo old > $F/real.csv; chmod 640 $F/real.csv; ln -s real.csv $F/link.csv; "
              "$M export \"$D\" load -o $F/link.csv && [ -L $F/link.csv ] && "
              "[ $(stat -c %a $F/real.csv) = 640 ] && grep -q expert $F/real.csv; r=$?; "
              "rm $F/real.csv $F/link.csv; exit $r");
    g_assert_cmpstr (err, ==, "");
  }
}

/* What is printed must arrive. */
static void
test_standard_output (void)
{
  static const char *const lines[] = {
    "$M info \"$D\" > /dev/full",
    "$M sql \"$D\" 'SELECT 1' > /dev/full",
    "$M check \"$D\" > /dev/full",
    "$M analyze --list > /dev/full",
    "$M analyze \"$D\" load > /dev/full",
    "$M --version > /dev/full",
    "$M manual > /dev/full",
    "$M export \"$D\" routing > /dev/full",
  };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    {
      SHELL (1, lines[i]);
      ASSERT_HAS (err, "No space left");
    }
}

/* A collection that a signal stops keeps its whole blocks and exits as a shell expects; the same command goes
 * on. */
static void
test_stopped (void)
{
  static const struct
  {
    const char *signal;
    int status;
  } cases[] = { { "INT", 130 }, { "TERM", 143 } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *line = g_strdup_printf (
          "S=\"$MOESCOPE_SOURCE_ROOT/samples\"; "
          "$M collect $S/moescope-sample.gguf $S/parallel.jsonl -o $F/s.db --wave 4096 "
          "--threads 1 >/dev/null 2>$F/s.err & p=$!; "
          "until [ -s $F/s.db ] || ! kill -0 $p; do sleep 0.02; done; sleep 0.3; kill -%s $p; "
          "wait $p; r=$?; $M check $F/s.db >&2 || r=9; rm -f $F/s.db* $F/s.err; exit $r",
          cases[i].signal);
      SHELL (cases[i].status, line);
    }
}

/* A second collector on the run of a first is refused, and the first one's run stays whole, even with --restart
 * and when both are killed; what is left goes on. */
static void
test_two_collectors (void)
{
  SHELL (
      0,
      "S=\"$MOESCOPE_SOURCE_ROOT/samples\"; head -700 $S/parallel.jsonl > $F/t.jsonl; "
      "C=\"$M collect $S/moescope-sample.gguf $F/t.jsonl -o $F/t.db --wave 4096 --threads 1\"; "
      "$C >/dev/null 2>&1 & p=$!; "
      "until $M info $F/t.db 2>/dev/null | grep -q 'Run 1' || ! kill -0 $p; do sleep 0.02; done; "
      "$C --restart >&2 && exit 9; $C 2>/dev/null && exit 8; "
      "$M remove $F/t.db --run 1 2>/dev/null && exit 7; "
      "kill -9 $p; wait $p; $M check $F/t.db >/dev/null || exit 6; "
      "$C >/dev/null 2>&1 || exit 5; $M info $F/t.db | grep -q 'Run 2' && exit 4; "
      "$M check $F/t.db >/dev/null; r=$?; rm -f $F/t.db* $F/t.jsonl; exit $r");
  ASSERT_HAS (err, "run 1 of ");
  ASSERT_HAS (err, "is being written by another program: wait until that has ended");
}

/* `remove` says what went; a damaged run is told of beside a good one and can be removed. */
static void
test_remove (void)
{
  g_autofree char *two = g_build_filename (folder, "two.db", NULL);
  g_autofree char *trace = g_build_filename (folder, "trace.csv", NULL);
  sqlite3 *db;

  g_assert_true (g_file_set_contents (
      trace, "sequence,token,layer,rank,expert,weight\na,0,0,0,1,1\na,1,0,0,3,1\n", -1, NULL));
  for (guint i = 0; i < 2; i++)
    {
      RUN (0, "import", trace, "-o", two);
    }
  g_assert_cmpint (sqlite3_open (two, &db), ==, SQLITE_OK);
  sqlite3_exec (db, "UPDATE chunk SET block = 5 WHERE run = 1", NULL, NULL, NULL);
  sqlite3_close (db);
  {
    RUN (0, "info", two);
    ASSERT_HAS (out,
                "block 0 is missing or lacks some, and blocks up to 5 lie behind it; `moescope "
                "remove ");
    ASSERT_HAS (out, "Run 2");
  }
  {
    RUN (0, "info", two, "--json");
    ASSERT_HAS (out, "\"damage\" : \"no whole blocks");
    ASSERT_HAS (out, "\"damage\" : null");
  }
  {
    RUN (0, "analyze", two, "load");
  }
  {
    RUN (1, "check", two);
    ASSERT_HAS (out, "run 1: no whole blocks");
  }
  {
    RUN (2, "remove", two);
    ASSERT_HAS (err, "--run N");
  }
  {
    RUN (1, "remove", two, "--run", "7");
    ASSERT_HAS (err, "has no run 7; `moescope info` lists");
  }
  {
    RUN (0, "remove", two, "--run", "1");
    ASSERT_HAS (out, "removed run 1 (trace.csv, 1 block) from ");
  }
  {
    RUN (0, "check", two);
  }
  {
    RUN (0, "remove", two, "--run", "2");
    ASSERT_HAS (out, "removed run 2 (trace.csv, 1 block), its corpus, its model from ");
  }
  {
    RUN (0, "info", two);
    ASSERT_HAS (out, "0 runs");
  }
  g_remove (two);
  g_remove (trace);
}

/* kill -9 while a table is exported: no part of it stands under its name, and what stood there stays. */
static void
test_killed_export (void)
{
  SHELL (0, "D=\"$MOESCOPE_SOURCE_ROOT/samples/sample.db\"; mkdir $F/k; n=0; "
            "for delay in 0.01 0.02 0.04 0.08 0.12; do for old in '' before; do "
            "rm -f $F/k/out.csv; [ -z \"$old\" ] || echo $old > $F/k/out.csv; "
            "$M export $D routing -o $F/k/out.csv & p=$!; sleep $delay; "
            "kill -9 $p 2>/dev/null; wait $p 2>/dev/null && continue; n=$((n + 1)); "
            "[ \"$(cat $F/k/out.csv 2>/dev/null)\" = \"$old\" ] || exit 9; "
            "done; done; rm -rf $F/k; [ $n -ge 3 ]");
}

/* Ctrl-C stops an analysis within a second, whatever it is at, and leaves no part of its output. */
static void
test_stopped_analysis (void)
{
  static const char *const analyses[]
      = { "load --bootstrap 100000", "domains --permutations 100000 --bootstrap 100000",
          "srp --bootstrap 100000" };

  for (guint i = 0; i < G_N_ELEMENTS (analyses); i++)
    {
      g_autofree char *line = g_strdup_printf (
          "mkdir $F/o; $M analyze $MOESCOPE_SOURCE_ROOT/samples/sample.db %s -o $F/o/out.txt & "
          "p=$!; "
          "sleep 0.4; kill -0 $p || exit 9; a=$(date +%%s%%N); kill -INT $p; wait $p; r=$?; "
          "b=$(date +%%s%%N); rmdir $F/o || exit 8; [ $((b - a)) -lt 1500000000 ] || exit 7; exit "
          "$r",
          analyses[i]);
      SHELL (130, line);
    }
}

/* 40 tasks of a pipeline of 17 stages with 680 destinations each: cost follows the decisions, not all pairs of
 * destinations times labels. */
static void
test_wide (void)
{
  g_autofree char *wide = g_build_filename (folder, "wide.db", NULL);
  g_autofree char *trace = g_build_filename (folder, "wide.csv", NULL);
  g_autofree char *labels = g_build_filename (folder, "wide-labels.csv", NULL);
  g_autoptr (GString) rows = g_string_new ("sequence,token,layer,rank,expert,weight\n");
  g_autoptr (GString) names = g_string_new ("sequence,dataset,language,parallel_id\n");

  for (guint task = 0; task < 40; task++)
    {
      g_string_append_printf (names, "t%u,d%u,,\n", task, task);
      for (guint token = 0; token < 8; token++)
        for (guint stage = 0; stage < 17; stage++)
          g_string_append_printf (rows, "t%u,%u,%u,0,%u,1\n", task, token, stage,
                                  (task * 17 + stage * 3 + token * token) % 680);
    }
  g_assert_true (g_file_set_contents (trace, rows->str, -1, NULL));
  g_assert_true (g_file_set_contents (labels, names->str, -1, NULL));
  {
    RUN (0, "import", trace, "--sequences", labels, "--experts", "680", "-o", wide);
  }
  {
    SHELL (0, "ulimit -t 20; for a in domains transitions coactivation; do "
              "$M analyze $F/wide.db $a -o $F/wide.txt || exit 9; done; rm $F/wide.txt");
  }
  g_remove (wide);
  g_remove (trace);
  g_remove (labels);
}

/* An error while rows come is told, whatever the format: what came before it is not all. */
static void
test_sql_fault (void)
{
  static const char *const formats[] = { "table", "csv", "json" };

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      RUN (1, "sql", database,
           "SELECT abs (CASE document WHEN 0 THEN 1 ELSE -9223372036854775807 - 1 END) FROM "
           "document",
           "--format", formats[i]);
      ASSERT_HAS (err, "integer overflow");
    }
}

static void
test_sql (void)
{
  {
    RUN (0, "sql", database, "SELECT name, 1.5 AS x, NULL AS y FROM document LIMIT 1", "--format",
         "csv");
    g_assert_cmpstr (out, ==, "name,x,y\n\"a\",1.5,\n");
  }
  {
    RUN (0, "sql", database, "SELECT name, 1.5 AS x, NULL AS y FROM document", "--format", "json");
    g_assert_cmpstr (out, ==,
                     "[\n  {\"name\":\"a\",\"x\":1.5,\"y\":null},\n"
                     "  {\"name\":\"b\",\"x\":1.5,\"y\":null}\n]\n");
  }
  {
    RUN (0, "sql", database, "SELECT document, name FROM document");
    g_assert_cmpstr (out, ==, "document  name\n       0  a\n       1  b\n");
  }
  {
    RUN (1, "sql", database, "SELECT nam FROM document");
    ASSERT_HAS (err, "  SELECT nam FROM document\n         ^\n");
  }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  database = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests/data/format-1.db", NULL);
  folder = g_dir_make_tmp ("moescope-commands-XXXXXX", NULL);
  g_test_add_func ("/file-commands/info", test_info);
  g_test_add_func ("/file-commands/info-model", test_info_model);
  g_test_add_func ("/file-commands/tokenize", test_tokenize);
  g_test_add_func ("/file-commands/tokenize-conformance", test_tokenize_conformance);
  g_test_add_func ("/file-commands/tokenize-refused", test_tokenize_refused);
  g_test_add_func ("/file-commands/other-gguf", test_other_gguf);
  g_test_add_func ("/file-commands/hostile", test_hostile);
  g_test_add_func ("/file-commands/little-memory", test_little_memory);
  g_test_add_func ("/file-commands/check", test_check);
  g_test_add_func ("/file-commands/pipe", test_pipe);
  g_test_add_func ("/file-commands/sparse", test_sparse);
  g_test_add_func ("/file-commands/list", test_list);
  g_test_add_func ("/file-commands/manual", test_manual);
  g_test_add_func ("/file-commands/man", test_man);
  g_test_add_func ("/file-commands/terminal", test_terminal);
  g_test_add_func ("/file-commands/caption", test_caption);
  g_test_add_func ("/file-commands/misspelt", test_misspelt);
  g_test_add_func ("/file-commands/completion", test_completion);
  g_test_add_func ("/file-commands/round-trip", test_round_trip);
  g_test_add_func ("/file-commands/format-round-trip", test_format_round_trip);
  g_test_add_func ("/file-commands/named-round-trip", test_named_round_trip);
  g_test_add_func ("/file-commands/token-labels", test_token_labels);
  g_test_add_func ("/file-commands/export", test_export);
  g_test_add_func ("/file-commands/keep", test_keep);
  g_test_add_func ("/file-commands/full", test_full);
  g_test_add_func ("/file-commands/precious", test_precious);
  g_test_add_func ("/file-commands/replace", test_replace);
  g_test_add_func ("/file-commands/standard-output", test_standard_output);
  g_test_add_func ("/file-commands/stopped", test_stopped);
  g_test_add_func ("/file-commands/stopped-analysis", test_stopped_analysis);
  g_test_add_func ("/file-commands/wide", test_wide);
  g_test_add_func ("/file-commands/two-collectors", test_two_collectors);
  g_test_add_func ("/file-commands/remove", test_remove);
  g_test_add_func ("/file-commands/killed-export", test_killed_export);
  g_test_add_func ("/file-commands/sql-fault", test_sql_fault);
  g_test_add_func ("/file-commands/sql", test_sql);
  status = g_test_run ();
  g_rmdir (folder);
  g_free (folder);
  g_free (database);
  return status;
}
