/* Inputs: what becomes of good ones, and the message for each kind of bad one. */
#include "gguf-writer.h"
#include "input-private.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct
{
  char *folder;
  MsTokenizer *tokenizer; /* one token per ASCII letter, digit and space, in order of their codes */
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GgufWriter) writer = gguf_writer_new ();
  g_autoptr (GPtrArray) tokens = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  static const char *const merges[] = { NULL };
  gint32 types[32];

  (void) data;
  fixture->folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  path = g_build_filename (fixture->folder, "model.gguf", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    types[i] = i == 0 ? 3 : 1; /* a control token, then plain ones */
  g_ptr_array_add (tokens, g_strdup ("<s>"));
  g_ptr_array_add (tokens, g_strdup ("\xc4\xa0"));
  g_ptr_array_add (tokens, g_strdup ("\xc4\x8a")); /* newline */
  for (char c = 'a'; c <= 'z'; c++)
    g_ptr_array_add (tokens, g_strndup (&c, 1));
  g_ptr_array_add (tokens, NULL);
  gguf_add_string (writer, "tokenizer.ggml.model", "gpt2");
  gguf_add_string (writer, "tokenizer.ggml.pre", "gpt-2");
  gguf_add_strings (writer, "tokenizer.ggml.tokens", (const char *const *) tokens->pdata, -1);
  gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
  gguf_add_i32s (writer, "tokenizer.ggml.token_type", types, tokens->len - 1);
  gguf_add_bool (writer, "tokenizer.ggml.add_bos_token", TRUE);
  gguf_add_u32 (writer, "tokenizer.ggml.bos_token_id", 0);
  gguf_writer_save (writer, path);
  fixture->tokenizer = ms_tokenizer_load (path, NULL, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (fixture->folder, 0, NULL);
  const char *name;

  (void) data;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (fixture->folder, name, NULL);

      g_unlink (path);
    }
  g_rmdir (fixture->folder);
  g_free (fixture->folder);
  ms_tokenizer_free (fixture->tokenizer);
}

/* Writes the files and loads them; names and contents by turns, up to NULL. */
static MsCorpus *
load (Fixture *fixture, MsInputKind kind, gboolean add_bos, gint64 max_tokens,
      const char *const *files, gint32 **ids, GError **error)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  MsInputOptions options = { .kind = kind,
                             .tokenizer = fixture->tokenizer,
                             .n_vocabulary = ms_tokenizer_size (fixture->tokenizer),
                             .max_tokens = max_tokens,
                             .add_bos = add_bos,
                             .threads = 2 };

  for (; *files != NULL; files += 2)
    {
      char *path = g_build_filename (fixture->folder, files[0], NULL);

      g_assert_true (g_file_set_contents (path, files[1], -1, NULL));
      g_ptr_array_add (paths, path);
    }
  g_ptr_array_add (paths, NULL);
  options.paths = (const char *const *) paths->pdata;
  return ms_documents_load (&options, ids, NULL, error);
}

/* "name language domain parallel phase: ids" per document, with "-" for absent labels. */
static char *
describe (const MsCorpus *corpus, const gint32 *ids)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < corpus->n_documents; i++)
    {
      const MsDocument *d = &corpus->documents[i];
      const char *labels[] = { d->language, d->domain, d->parallel, d->phase };

      g_string_append (text, d->name);
      for (guint j = 0; j < 4; j++)
        g_string_append_printf (text, " %s", labels[j] ? labels[j] : "-");
      g_string_append_c (text, ':');
      for (gint64 t = d->first_token; t < d->first_token + d->n_tokens; t++)
        g_string_append_printf (text, " %d", ids[t]);
      g_string_append_c (text, '\n');
    }
  return g_string_free (text, FALSE);
}

static void
check (Fixture *fixture, MsInputKind kind, gboolean add_bos, gint64 max_tokens,
       const char *const *files, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree gint32 *ids = NULL;
  g_autoptr (MsCorpus) corpus = load (fixture, kind, add_bos, max_tokens, files, &ids, &error);
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  text = describe (corpus, ids);
  g_assert_cmpstr (text, ==, expected);
}

#define FILES(...)                                                                                 \
  (const char *const[])                                                                            \
  {                                                                                                \
    __VA_ARGS__, NULL                                                                              \
  }

static void
test_text (Fixture *fixture, gconstpointer data)
{
  (void) data;
  check (fixture, MS_INPUT_AUTO, FALSE, 0, FILES ("x.txt", "ab c\n", "y.b.txt", "a"),
         "x - - - -: 3 4 1 5 2\ny.b - - - -: 3\n");
  check (fixture, MS_INPUT_AUTO, TRUE, 3,
         FILES ("x.txt", "\xef\xbb\xbf"
                         "abc"),
         "x - - - -: 0 3 4\n");
  check (fixture, MS_INPUT_LINES, FALSE, 0, FILES ("x.txt", "\n  \na\r\nb b\r\n\nc"),
         "x:3 - - - -: 3\nx:4 - - - -: 4 1 4\nx:6 - - - -: 5\n");
}

static void
test_json (Fixture *fixture, gconstpointer data)
{
  (void) data;
  check (fixture, MS_INPUT_AUTO, FALSE, 0,
         FILES ("x.jsonl", "{\"text\":\"a\",\"id\":7,\"language\":\"de\",\"other\":[{}]}\r\n"
                           "{\"text\":\"b\",\"id\":\"7\",\"parallel\":3,\"phase\":\"decode\"}\n\n"
                           "{\"text\":\"c\",\"domain\":\"law\",\"id\":null}\n"
                           "{\"text\":\"c\",\"id\":\"7#2\",\"language\":\"\"}"),
         "7 de - - -: 3\n7#2 - - 3 decode: 4\nx:4 - law - -: 5\n7#2#2 - - - -: 5\n");
}

static void
test_ids (Fixture *fixture, gconstpointer data)
{
  (void) data;
  check (fixture, MS_INPUT_TOKEN_IDS, TRUE, 0, FILES ("x.ids", "1 2\t28\r\n\n 0 0005 \n"),
         "x:1 - - - -: 1 2 28\nx:3 - - - -: 0 5\n");
  check (fixture, MS_INPUT_TOKEN_IDS, TRUE, 1, FILES ("x.jsonl", "1 2"), "x:1 - - - -: 1\n");
}

static void
test_same_names (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GString) json = g_string_new (NULL);
  g_autofree gint32 *ids = NULL;
  g_autoptr (MsCorpus) corpus = NULL;
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);

  (void) data;
  for (guint i = 0; i < 30000; i++)
    g_string_append (json, "{\"text\":\"a\",\"id\":\"same\"}\n");
  corpus = load (fixture, MS_INPUT_AUTO, FALSE, 0, FILES ("x.jsonl", json->str), &ids, NULL);
  for (guint i = 0; i < corpus->n_documents; i++)
    g_assert_true (g_hash_table_add (names, corpus->documents[i].name));
  g_assert_cmpstr (corpus->documents[29999].name, ==, "same#30000");
}

static void
test_bad (Fixture *fixture, gconstpointer data)
{
  g_autofree char *deep = g_strnfill (100000, '[');
  const struct
  {
    MsInputKind kind;
    const char *file, *contents, *part; /* of the message */
  } cases[] = {
    { MS_INPUT_AUTO, "x.txt", "", "x.txt: the file is empty" },
    { MS_INPUT_AUTO, "x.txt", "\xef\xbb\xbf", "is empty" },
    { MS_INPUT_AUTO, "x.txt", "ab\ncd\xff", ":2: byte 5 of the file is not UTF-8" },
    { MS_INPUT_AUTO, "x.txt",
      "\xff\xfe"
      "a",
      "UTF-16" },
    { MS_INPUT_AUTO, "x.txt", "\xe2\x82", "byte 0 of the file is not UTF-8" },
    { MS_INPUT_AUTO, "x.txt", "XYZ", "document 'x' has no tokens" },
    { MS_INPUT_LINES, "x.txt", "\n \r\n\t\n", "is empty" },
    { MS_INPUT_AUTO, "x.jsonl", "", "is empty" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":\"a\"}\n{\"text\":", "x.jsonl:2: is not JSON" },
    { MS_INPUT_AUTO, "x.jsonl", "[1]", "no JSON object" },
    { MS_INPUT_AUTO, "x.jsonl", "{}", "no \"text\"" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":3}", "no \"text\" that is a string" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":\"\"}", "\"text\" is empty" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":\"a\\u0000b\"}", "NUL" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":\"a\",\"id\":1.5}", "\"id\" is neither text" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":\"a\",\"language\":[]}", "\"language\" is neither" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":\"a\",\"phase\":\"x\"}", "\"phase\" is neither" },
    { MS_INPUT_AUTO, "x.jsonl", deep, "nested too deep" },
    { MS_INPUT_AUTO, "x.jsonl", "{'text':\"a\"}", "double quotes" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":\"a\" /* \" */}", "is not JSON" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":\"a\"} {\"text\":\"b\"}", "more stands behind" },
    { MS_INPUT_AUTO, "x.jsonl", "{\"text\":\"a\",\"id\":18446744073709551615}", "64 bits" },
    { MS_INPUT_TOKEN_IDS, "x.ids", "", "is empty" },
    { MS_INPUT_TOKEN_IDS, "x.ids", "1 2\n1 29", ":2: column 3: token id 29 is not in" },
    { MS_INPUT_TOKEN_IDS, "x.ids", "99999999999999999999999", "is not in the model's" },
    { MS_INPUT_TOKEN_IDS, "x.ids", "1 -2", "column 3: '-2' is no token id" },
    { MS_INPUT_TOKEN_IDS, "x.ids", "1,2", "'1,2' is no token id" },
    { MS_INPUT_TOKEN_IDS, "x.ids", "1 0x2", "'0x2' is no token id" },
  };

  (void) data;
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      gint32 *ids = NULL;

      g_assert_null (load (fixture, cases[i].kind, FALSE, 0,
                           FILES (cases[i].file, cases[i].contents), &ids, &error));
      g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT);
      g_assert_null (ids);
      g_assert_null (strchr (error->message, '\n'));
      if (strstr (error->message, cases[i].part) == NULL)
        g_error ("case %u: %s", i, error->message);
    }
}

/* Special tokens that texts spell out are counted, or taken. */
static void
test_special (Fixture *fixture, gconstpointer data)
{
  static const char text[] = "{\"text\":\"<s>a<s>\"}\n{\"text\":\"b\"}\n{\"text\":\"<s>\"}\n";
  g_autofree char *path = g_build_filename (fixture->folder, "x.jsonl", NULL);
  MsInputOptions options = { .paths = (const char *[]){ path, NULL },
                             .tokenizer = fixture->tokenizer,
                             .n_vocabulary = ms_tokenizer_size (fixture->tokenizer),
                             .add_bos = TRUE };

  (void) data;
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  for (guint special = 0; special < 2; special++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (MsCorpus) corpus = NULL;
      g_autofree gint32 *ids = NULL;
      MsSpelled spelled;

      options.parse_special = special;
      corpus = ms_documents_load (&options, &ids, &spelled, &error);
      g_assert_no_error (error);
      g_assert_cmpint (spelled.n, ==, special ? 0 : 3);
      g_assert_cmpuint (spelled.documents, ==, special ? 0 : 2);
      /* Those with which special tokens are spelled. */
      g_assert_cmpint (spelled.lost, ==, special ? 0 : 6);
      g_assert_cmpuint (spelled.lost_documents, ==, special ? 0 : 2);
      /* '<' and '>' are not in the vocabulary: what stays is the first token and the letters. */
      g_assert_cmpint (corpus->documents[0].n_tokens, ==, 4);
      g_assert_cmpint (ids[1], ==, special ? 0 : 3 + 's' - 'a');
    }
}

static void
test_no_file (Fixture *fixture, gconstpointer data)
{
  const char *const folder[] = { fixture->folder, NULL }, *const missing[] = { "/no/such", NULL };
  const char *const none[] = { NULL };
  const char *const *const cases[] = { folder, missing, none };
  const char *const parts[] = { "is a folder", "No such file", "no input" };

  (void) data;
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MsInputOptions options = { .paths = cases[i], .tokenizer = fixture->tokenizer };
      g_autoptr (GError) error = NULL;
      gint32 *ids = NULL;

      g_assert_null (ms_documents_load (&options, &ids, NULL, &error));
      g_assert_nonnull (strstr (error->message, parts[i]));
    }
}

#define TEST(name, function) g_test_add ("/input/" name, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("text", test_text);
  TEST ("json", test_json);
  TEST ("ids", test_ids);
  TEST ("same-names", test_same_names);
  TEST ("bad", test_bad);
  TEST ("no-file", test_no_file);
  TEST ("special", test_special);
  return g_test_run ();
}
