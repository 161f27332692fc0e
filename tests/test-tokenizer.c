/* The tokenizers: against the ids of an independent engine, and on tiny vocabularies made here. */
#include "collector.h"
#include "gguf-writer.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <time.h>

static char *
shared_path (const char *name)
{
  return g_build_filename (g_getenv ("MOESCOPE_SHARED"), "conformance", "tokenizers", name, NULL);
}

static char *
ids_text (const GArray *ids)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (text, "%s%d", i ? " " : "", g_array_index (ids, gint32, i));
  return g_string_free (text, FALSE);
}

static char *
encode (MsTokenizer *tokenizer, const char *text)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  ms_tokenizer_encode (tokenizer, text, strlen (text), ids);
  return ids_text (ids);
}

/* The text of the ids of `text`. */
static char *
round_trip (MsTokenizer *tokenizer, const char *text)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  GString *back = g_string_new (NULL);

  ms_tokenizer_encode (tokenizer, text, strlen (text), ids);
  for (guint i = 0; i < ids->len; i++)
    {
      gsize length = 0;
      const guint8 *piece = ms_tokenizer_piece (tokenizer, g_array_index (ids, gint32, i), &length);

      g_assert_nonnull (piece);
      g_string_append_len (back, (const char *) piece, (gssize) length);
    }
  return g_string_free (back, FALSE);
}

/* --- Conformance ------------------------------------------------------------------------------ */

static void
check_texts (MsTokenizer *tokenizer, const char *what, JsonArray *texts, JsonArray *expected,
             gboolean byte_level)
{
  g_assert_cmpuint (json_array_get_length (texts), ==, json_array_get_length (expected));
  for (guint i = 0; i < json_array_get_length (texts); i++)
    {
      const char *text = json_array_get_string_element (texts, i);
      JsonArray *ids = json_array_get_array_element (expected, i);
      g_autoptr (GArray) wanted = g_array_new (FALSE, FALSE, sizeof (gint32));
      g_autofree char *wanted_text = NULL, *got = encode (tokenizer, text);

      for (guint j = 0; j < json_array_get_length (ids); j++)
        {
          gint32 id = (gint32) json_array_get_int_element (ids, j);

          g_array_append_val (wanted, id);
        }
      wanted_text = ids_text (wanted);
      if (!g_str_equal (got, wanted_text))
        {
          g_test_message ("%s, text %u: %s", what, i, text);
          g_test_fail ();
        }
      g_assert_cmpstr (got, ==, wanted_text);
      if (byte_level)
        {
          g_autofree char *back = round_trip (tokenizer, text);

          g_assert_cmpstr (back, ==, text);
        }
    }
}

static JsonParser *
load_expected (void)
{
  g_autofree char *path = shared_path ("expected.json");
  JsonParser *parser = json_parser_new ();
  g_autoptr (GError) error = NULL;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_object_unref (parser);
      g_test_skip ("reference data is not there");
      return NULL;
    }
  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  return parser;
}

static void
test_own_vocabulary (void)
{
  g_autoptr (JsonParser) parser = load_expected ();
  JsonObject *root, *all;
  g_autoptr (GList) names = NULL;

  if (parser == NULL)
    return;
  root = json_node_get_object (json_parser_get_root (parser));
  all = json_object_get_object_member (root, "own_vocabulary");
  names = json_object_get_members (all);
  for (GList *l = names; l != NULL; l = l->next)
    {
      g_autofree char *file = g_strconcat (l->data, ".gguf", NULL);
      g_autofree char *path = shared_path (file);
      g_autoptr (GError) error = NULL;
      g_autoptr (MsTokenizer) tokenizer = ms_tokenizer_load (path, NULL, &error);

      g_assert_no_error (error);
      check_texts (tokenizer, l->data, json_object_get_array_member (root, "texts"),
                   json_object_get_array_member (all, l->data),
                   !g_str_equal (ms_tokenizer_name (tokenizer), "llama"));
    }
}

static void
test_pretokenizers (void)
{
  g_autoptr (JsonParser) parser = load_expected ();
  g_autofree char *path = shared_path ("gpt-2.gguf");
  JsonObject *root, *all;
  g_autoptr (GList) names = NULL;

  if (parser == NULL)
    return;
  root = json_node_get_object (json_parser_get_root (parser));
  all = json_object_get_object_member (root, "gpt2_vocabulary_with_pre");
  names = json_object_get_members (all);
  for (GList *l = names; l != NULL; l = l->next)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (MsTokenizer) tokenizer = ms_tokenizer_load (path, l->data, &error);

      g_assert_no_error (error);
      check_texts (tokenizer, l->data, json_object_get_array_member (root, "texts"),
                   json_object_get_array_member (all, l->data), !g_str_equal (l->data, "gemma4"));
    }
}

/* --- Tiny vocabularies ------------------------------------------------------------------------ */

static char *
save (const GgufWriter *writer)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  char *path = g_build_filename (folder, "vocabulary.gguf", NULL);

  gguf_writer_save (writer, path);
  return path;
}

static void
discard (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);

  g_unlink (path);
  g_rmdir (folder);
}

static MsTokenizer *
load (const GgufWriter *writer, const char *pre, GError **error)
{
  g_autofree char *path = save (writer);
  MsTokenizer *tokenizer = ms_tokenizer_load (path, pre, error);

  discard (path);
  return tokenizer;
}

static GgufWriter *
new_vocabulary (const char *model, const char *const *tokens)
{
  GgufWriter *writer = gguf_writer_new ();

  gguf_add_string (writer, "general.architecture", "llama");
  gguf_add_string (writer, "tokenizer.ggml.model", model);
  gguf_add_strings (writer, "tokenizer.ggml.tokens", tokens, -1);
  return writer;
}

static void
check (MsTokenizer *tokenizer, const char *text, const char *ids)
{
  g_autofree char *got = encode (tokenizer, text);

  g_assert_cmpstr (got, ==, ids);
}

static void
test_llama (void)
{
  static const char *const tokens[] = { "<unk>",
                                        "<s>",
                                        "<0x0A>",
                                        "\xe2\x96\x81",
                                        "a",
                                        "b",
                                        "ab",
                                        "\xe2\x96\x81"
                                        "a",
                                        "ba",
                                        "[X]",
                                        NULL };
  static const float scores[] = { 0, 0, 0, -9, -9, -9, -1, -2, -1, 0 };
  static const gint32 types[] = { 2, 3, 6, 1, 1, 1, 1, 1, 1, 4 };
  g_autoptr (GgufWriter) writer = new_vocabulary ("llama", tokens);
  g_autoptr (MsTokenizer) tokenizer = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  gguf_add_floats (writer, "tokenizer.ggml.scores", scores, G_N_ELEMENTS (scores));
  gguf_add_i32s (writer, "tokenizer.ggml.token_type", types, G_N_ELEMENTS (types));
  tokenizer = load (writer, NULL, &error);
  g_assert_no_error (error);
  check (tokenizer, "", "");
  check (tokenizer, "b", "3 5");
  check (tokenizer, "a", "7");
  /* "ab" and "ba" score the same: the first pair from the left goes first. */
  check (tokenizer, "ab", "3 6");
  check (tokenizer, "bab", "3 8 5");
  check (tokenizer, "a\n", "7 2");
  check (tokenizer, "\xe2\x82\xac", "3 0 0 0");
  /* After a user-defined token a space is put in front again. */
  check (tokenizer, "a[X]a", "7 9 7");
  check (tokenizer, "<s>", "3 0 0 0");
  g_assert_cmpint (ms_tokenizer_bos (tokenizer), ==, 1);
  g_assert_cmpuint (ms_tokenizer_size (tokenizer), ==, 10);
  g_assert_cmpint (*ms_tokenizer_piece (tokenizer, 2, &length), ==, '\n');
  g_assert_cmpuint (length, ==, 1);
  g_assert_cmpint (*ms_tokenizer_piece (tokenizer, 3, &length), ==, ' ');
  g_assert_null (ms_tokenizer_piece (tokenizer, 10, &length));
  g_assert_null (ms_tokenizer_piece (tokenizer, -1, &length));
}

static void
test_gpt2 (void)
{
  static const char *const tokens[] = { "a",
                                        "b",
                                        "c",
                                        "\xc4\xa0",
                                        "ab",
                                        "\xc4\xa0"
                                        "c",
                                        "<|end|>",
                                        "abab",
                                        NULL };
  static const char *const merges[] = { "a b", "\xc4\xa0 c", "ab ab", "b c", NULL };
  g_autoptr (GgufWriter) writer = new_vocabulary ("gpt2", tokens);
  g_autoptr (MsTokenizer) tokenizer = NULL;
  g_autoptr (GError) error = NULL;

  gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
  gguf_add_string (writer, "tokenizer.ggml.pre", "gpt-2");
  tokenizer = load (writer, NULL, &error);
  g_assert_no_error (error);
  check (tokenizer, "", "");
  check (tokenizer, "abab ab c", "7 3 4 5");
  /* "bc" is a merge but no token: it falls back to its bytes. */
  check (tokenizer, "bc", "1 2");
  /* Bytes that have no token are left out, as the text has no other way to be said. */
  check (tokenizer, "axb", "0 1");
  check (tokenizer, "<|end|>", "");
  g_assert_cmpint (ms_tokenizer_bos (tokenizer), ==, -1);
  g_assert_cmpstr (ms_tokenizer_name (tokenizer), ==, "gpt2 gpt-2");
}

static void
test_refused (void)
{
  static const char *const tokens[] = { "a", NULL }, *const none[] = { NULL };
  static const char *const bad_merge[] = { "ab", NULL };
  static const float few[] = { 0 }, nan_score[] = { (float) (0.0 / 0.0) };
  static const gint32 no_types[] = { 0 };
  static const struct
  {
    const char *model;
    const char *const *tokens, *const *merges;
    const float *scores;
    gsize n_scores;
    const gint32 *types;
    const char *pre, *part; /* of the message */
  } cases[] = {
    { "rwkv", tokens, NULL, NULL, 0, NULL, NULL, "'rwkv' is not supported" },
    { "t5", tokens, NULL, few, 1, NULL, NULL, "no unknown token" },
    { "llama", none, NULL, few, 1, NULL, NULL, "0 tokens" },
    { "llama", tokens, NULL, NULL, 0, NULL, NULL, "tokenizer.ggml.scores" },
    { "llama", tokens, NULL, few, 0, NULL, NULL, "0 scores" },
    { "llama", tokens, NULL, nan_score, 1, NULL, NULL, "score of token 0" },
    { "llama", tokens, NULL, few, 1, no_types, NULL, "0 types" },
    { "gpt2", tokens, NULL, NULL, 0, NULL, NULL, "tokenizer.ggml.merges" },
    { "gpt2", tokens, bad_merge, NULL, 0, NULL, NULL, "merge 0" },
    { "gpt2", tokens, none, NULL, 0, NULL, "no-such-rule", "Supported are: gpt-2" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GgufWriter) writer = new_vocabulary (cases[i].model, cases[i].tokens);
      g_autoptr (GError) error = NULL;

      if (cases[i].merges)
        gguf_add_strings (writer, "tokenizer.ggml.merges", cases[i].merges, -1);
      if (cases[i].scores)
        gguf_add_floats (writer, "tokenizer.ggml.scores", cases[i].scores, cases[i].n_scores);
      if (cases[i].types)
        gguf_add_i32s (writer, "tokenizer.ggml.token_type", cases[i].types, 0);
      g_assert_null (load (writer, cases[i].pre, &error));
      g_assert_nonnull (error);
      g_assert_true (error->domain == MS_COLLECTOR_ERROR);
      if (strstr (error->message, cases[i].part) == NULL)
        g_error ("case %u: %s", i, error->message);
    }
}

/* Empty and repeated pieces, merges of things that are no tokens: no crash, and text comes back. */
static void
test_odd_vocabulary (void)
{
  static const char *const tokens[] = { "", "a", "a", "b", "\xc4\xa0", "", "aa", NULL };
  static const char *const merges[]
      = { "x y", "xy z", "a a", "a a", "aa aa", "\xe2\x82\xac a", "a \xe2\x82\xac", NULL };
  g_autoptr (GgufWriter) writer = new_vocabulary ("gpt2", tokens);
  g_autoptr (MsTokenizer) tokenizer = NULL;
  g_autoptr (GError) error = NULL;

  gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
  tokenizer = load (writer, "qwen2", &error);
  g_assert_no_error (error);
  check (tokenizer, "aaab aaaa", "6 1 3 4 1 1 1 1");
}

/* Control tokens are characters unless asked for; longer tokens go first, and none overlaps another. */
static void
test_special (void)
{
  static const char *const tokens[]
      = { "<e>", "<u>", "a", "<", "e", "u", ">", "aa", "aaa", "<u", "<ua", NULL };
  static const gint32 types[] = { 3, 4, 1, 1, 1, 1, 1, 4, 4, 4, 3 };
  static const char *const merges[] = { NULL };
  static const struct
  {
    const char *text, *plain, *special;
    gint64 n;
  } cases[] = {
    { "a<e>a", "2 3 4 6 2", "2 0 2", 1 },
    { "<u><e>", "1 3 4 6", "1 0", 1 },
    { "aaaaaa", "8 8", "8 8", 0 },
    { "aaaaa", "8 7", "8 7", 0 },
    { "<uaaa", "9 8", "9 8", 0 },
    { "<u>a", "1 2", "1 2", 0 },
    { "<ua", "9 2", "10", 1 },
    { "", "", "", 0 },
  };
  g_autoptr (GgufWriter) writer = new_vocabulary ("gpt2", tokens);
  g_autoptr (MsTokenizer) tokenizer = NULL;
  g_autoptr (GError) error = NULL;

  gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
  gguf_add_i32s (writer, "tokenizer.ggml.token_type", types, G_N_ELEMENTS (types));
  tokenizer = load (writer, "gpt-2", &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    for (guint special = 0; special < 2; special++)
      {
        g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
        g_autofree char *got = NULL;
        MsEncoded encoded;

        ms_tokenizer_encode_with (tokenizer, &(MsEncoding){ special, 0, NULL }, cases[i].text,
                                  strlen (cases[i].text), ids, &encoded, &error);
        g_assert_no_error (error);
        got = ids_text (ids);
        g_assert_cmpstr (got, ==, special ? cases[i].special : cases[i].plain);
        g_assert_cmpint (encoded.spelled, ==, special ? 0 : cases[i].n);
      }
}

static void
check_encoded (MsTokenizer *tokenizer, const char *text, gsize length, const char *ids, gint64 lost)
{
  g_autoptr (GArray) got = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autofree char *got_text = NULL;
  g_autoptr (GError) error = NULL;
  MsEncoded encoded;

  /* Twice, as words are remembered. */
  for (guint i = 0; i < 2; i++)
    {
      g_array_set_size (got, 0);
      ms_tokenizer_encode_with (tokenizer, &(MsEncoding){ FALSE, 0, NULL }, text, length, got,
                                &encoded, &error);
      g_assert_no_error (error);
      g_assert_cmpint (encoded.lost, ==, lost);
    }
  got_text = ids_text (got);
  g_assert_cmpstr (got_text, ==, ids);
}

/* Bytes that are no UTF-8 have their own tokens, or the unknown one, or are counted; NUL is a character. */
static void
test_bytes (void)
{
  static const char *const tokens[] = { "a", "\xc3\xb6", "\xc4\x80", "?", "\xc3\xbf", "b", NULL };
  static const gint32 types[] = { 1, 1, 1, 2, 4, 1 };
  static const char *const merges[] = { NULL };

  for (guint unknown = 0; unknown < 2; unknown++)
    {
      g_autoptr (GgufWriter) writer = new_vocabulary ("gpt2", tokens);
      g_autoptr (MsTokenizer) tokenizer = NULL;
      g_autoptr (GError) error = NULL;

      gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
      gguf_add_i32s (writer, "tokenizer.ggml.token_type", types, G_N_ELEMENTS (types));
      if (unknown)
        gguf_add_u32 (writer, "tokenizer.ggml.unknown_token_id", 3);
      gguf_add_bool (writer, "tokenizer.ggml.add_eos_token", TRUE);
      gguf_add_u32 (writer, "tokenizer.ggml.eos_token_id", 5);
      tokenizer = load (writer, "gpt-2", &error);
      g_assert_no_error (error);
      check_encoded (tokenizer,
                     "a\xf6\xf6"
                     "a",
                     4, "0 1 1 0", 0);
      check_encoded (tokenizer, "\xf6", 1, "1", 0);
      check_encoded (tokenizer, "a\0a", 3, "0 2 0", 0);
      check_encoded (tokenizer, "\0\xf6", 2, "2 1", 0);
      /* The user-defined token is the letter, in two bytes, and not the byte that it is written with. */
      check_encoded (tokenizer, "\xc3\xbf", 2, "4", 0);
      check_encoded (tokenizer, "a\xff", 2, unknown ? "0 3" : "0", unknown ? 0 : 1);
      check_encoded (tokenizer, "axx\xc2", 4, unknown ? "0 3 3 3" : "0", unknown ? 0 : 3);
      g_assert_cmpint (ms_tokenizer_eos (tokenizer), ==, 5);
    }
}

/* --- Unigram and WordPiece ---------------------------------------------------------------------- */

#define BLOCK "\xe2\x96\x81"

/* A double array of one replacement, "A" by "a". */
static void
add_charsmap (GgufWriter *writer)
{
  gint32 bytes[4 + 4 * 256 + 2] = { 0 };
  guint32 nodes[256] = { 0 };

  nodes['A'] = 'A' | 1u << 8 | 0xc1u << 10; /* ends here; its text is told by node 'A' ^ 0xc1 */
  nodes['A' ^ 0xc1] = 1u << 31;
  bytes[1] = 4; /* 1024 bytes of nodes */
  for (guint i = 0; i < 1024; i++)
    bytes[4 + i] = (gint8) (nodes[i / 4] >> (i % 4 * 8));
  bytes[4 + 1024] = 'a';
  gguf_add_i32s (writer, "tokenizer.ggml.precompiled_charsmap", bytes, G_N_ELEMENTS (bytes));
}

static void
test_unigram (void)
{
  static const char *const tokens[]
      = { "<pad>",   "</s>",     "<unk>", BLOCK,       "a",   "b", "ab",
          BLOCK "a", BLOCK "ab", "bbb",   BLOCK BLOCK, "[X]", NULL };
  static const float scores[] = { 0, 0, 0, -3, -3, -3, -4, -3.5f, -9, -4, -20, 0 };
  static const gint32 types[] = { 3, 3, 2, 1, 1, 1, 1, 1, 1, 5, 1, 4 };

  for (guint merge = 0; merge < 2; merge++)
    {
      g_autoptr (GgufWriter) writer = new_vocabulary ("t5", tokens);
      g_autoptr (MsTokenizer) tokenizer = NULL;
      g_autoptr (GError) error = NULL;

      gguf_add_floats (writer, "tokenizer.ggml.scores", scores, G_N_ELEMENTS (scores));
      gguf_add_i32s (writer, "tokenizer.ggml.token_type", types, G_N_ELEMENTS (types));
      gguf_add_bool (writer, "tokenizer.ggml.add_space_prefix", TRUE);
      gguf_add_bool (writer, "tokenizer.ggml.remove_extra_whitespaces", merge != 0);
      add_charsmap (writer);
      tokenizer = load (writer, NULL, &error);
      g_assert_no_error (error);
      check (tokenizer, "", "");
      check (tokenizer, "a", "7");
      /* -3.5 - 3 is more than -3 - 4 and -9. */
      check (tokenizer, "ab", "7 5");
      check (tokenizer, "Ab", "7 5");
      check (tokenizer, "bbb", "3 9");
      check (tokenizer, "a b", "7 3 5");
      check (tokenizer, "b[X]b", "3 5 11 3 5");
      /* -3 - 3 is more than -20. */
      check (tokenizer, "a  b", merge ? "7 3 5" : "7 3 3 5");
      check (tokenizer, "b ", merge ? "3 5" : "3 5 3");
      /* Characters that are no piece are one unknown token as long as nothing is between them. */
      check (tokenizer, "xyz", "3 2");
      check (tokenizer, "xaxx", "3 2 4 2");
      check (tokenizer, "\xff", "2");
      g_assert_cmpint (ms_tokenizer_bos (tokenizer), ==, -1);
      g_assert_cmpint (ms_tokenizer_eos (tokenizer), ==, 1);
      g_assert_cmpstr (ms_tokenizer_name (tokenizer), ==, "t5");
    }
}

/* An array of replacements that leads in a circle: no match is followed for ever. */
static void
test_unigram_circle (void)
{
  static const char *const tokens[] = { "<pad>", "</s>", "<unk>", "a", NULL };
  static const float scores[] = { 0, 0, 0, -3 };
  gint32 bytes[4 + 4 * 256 + 2] = { 0, 4 };
  g_autoptr (GgufWriter) writer = new_vocabulary ("t5", tokens);
  g_autoptr (MsTokenizer) tokenizer = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  guint32 node = 'a' | (guint32) 'a' << 10; /* its child for "a" is itself */

  for (guint i = 0; i < 4; i++)
    bytes[4 + 4 * 'a' + i] = (gint8) (node >> (8 * i));
  for (guint i = 0; i < 500000; i++)
    g_string_append_c (text, 'a');
  gguf_add_floats (writer, "tokenizer.ggml.scores", scores, G_N_ELEMENTS (scores));
  gguf_add_i32s (writer, "tokenizer.ggml.precompiled_charsmap", bytes, G_N_ELEMENTS (bytes));
  tokenizer = load (writer, NULL, &error);
  g_assert_no_error (error);
  ms_tokenizer_encode (tokenizer, text->str, text->len, ids);
  g_assert_cmpuint (ids->len, ==, text->len);
}

/* The best sum of scores of word from `at` on, trying every way. */
static double
best_sum (const char *word, guint at, const char *const *tokens, const float *scores)
{
  double best = word[at] == '\0' ? 0 : -1e9;

  for (guint t = 3; tokens[t] != NULL; t++)
    if (word[at] != '\0' && g_str_has_prefix (word + at, tokens[t]))
      best = MAX (best, (double) scores[t]
                            + best_sum (word, at + (guint) strlen (tokens[t]), tokens, scores));
  return best;
}

static void
test_unigram_best (void)
{
  static const char *const tokens[] = { "<pad>", "</s>", "<unk>", "a",  "b",    "c",  "ab",
                                        "ba",    "abc",  "cab",   "aa", "bcab", "cc", NULL };
  float scores[G_N_ELEMENTS (tokens) - 1] = { 0 };
  guint64 seed = 5;

  for (guint round = 0; round < 20; round++)
    {
      g_autoptr (GgufWriter) writer = new_vocabulary ("t5", tokens);
      g_autoptr (MsTokenizer) tokenizer = NULL;
      g_autoptr (GError) error = NULL;

      for (guint i = 3; i < G_N_ELEMENTS (scores); i++)
        scores[i] = (float) -(1 + 9 * ms_random_double (&seed));
      gguf_add_floats (writer, "tokenizer.ggml.scores", scores, G_N_ELEMENTS (scores));
      tokenizer = load (writer, NULL, &error);
      g_assert_no_error (error);
      for (guint w = 0; w < 20; w++)
        {
          char word[13] = { 0 };
          g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
          g_autofree char *back = NULL;
          double sum = 0;

          for (guint i = 0; i < sizeof word - 1; i++)
            word[i] = (char) ('a' + ms_random_below (&seed, 3));
          ms_tokenizer_encode (tokenizer, word, strlen (word), ids);
          for (guint i = 0; i < ids->len; i++)
            sum += (double) scores[g_array_index (ids, gint32, i)];
          g_assert_cmpfloat_with_epsilon (sum, best_sum (word, 0, tokens, scores), 1e-9);
          back = round_trip (tokenizer, word);
          g_assert_cmpstr (back, ==, word);
        }
    }
}

static void
test_wordpiece (void)
{
  static const char *const tokens[] = { "[UNK]",
                                        "[CLS]",
                                        "[SEP]",
                                        BLOCK "he",
                                        "llo",
                                        BLOCK "hello",
                                        BLOCK ",",
                                        BLOCK "w",
                                        BLOCK "\xe6\x97\xa5",
                                        "o",
                                        "l",
                                        "H\xc3\xa9",
                                        BLOCK "H\xc3\xa9",
                                        NULL };
  static const gint32 types[] = { 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };

  for (guint cased = 0; cased < 2; cased++)
    {
      g_autoptr (GgufWriter) writer = new_vocabulary ("bert", tokens);
      g_autoptr (MsTokenizer) tokenizer = NULL;
      g_autoptr (GError) error = NULL;

      gguf_add_i32s (writer, "tokenizer.ggml.token_type", types, G_N_ELEMENTS (types));
      gguf_add_u32 (writer, "tokenizer.ggml.unknown_token_id", 0);
      gguf_add_u32 (writer, "tokenizer.ggml.bos_token_id", 1);
      gguf_add_u32 (writer, "tokenizer.ggml.seperator_token_id", 2);
      if (cased)
        gguf_add_bool (writer, "tokenizer.ggml.normalizer.lowercase", FALSE);
      tokenizer = load (writer, NULL, &error);
      g_assert_no_error (error);
      check (tokenizer, "", "");
      check (tokenizer, " \t\n", "");
      check (tokenizer, "hello", "5");
      check (tokenizer, "hello,hello", "5 6 5");
      check (tokenizer, "hellollo\xe6\x97\xa5w", "5 4 8 7");
      check (tokenizer, "wol", "7 9 10");
      /* All of a word or nothing; controls are no part of it. */
      check (tokenizer, "wolx w", "0 7");
      check (tokenizer, "hel\x01lo", "5");
      check (tokenizer, "H\xc3\xa9llo", cased ? "12 4" : "5");
      check (tokenizer, "He\xcc\x81llo", cased ? "0" : "5");
      g_assert_cmpint (ms_tokenizer_bos (tokenizer), ==, 1);
      g_assert_cmpint (ms_tokenizer_eos (tokenizer), ==, 2);
    }
}

/* A text with each of very many user-defined tokens. */
static void
test_many_users (void)
{
  const guint many = 30000;
  g_autoptr (GPtrArray) tokens = g_ptr_array_new_with_free_func (g_free);
  g_autofree gint32 *types = g_new (gint32, many);
  static const char *const merges[] = { NULL };
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GgufWriter) writer = NULL;
  g_autoptr (MsTokenizer) tokenizer = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < many; i++)
    {
      types[i] = 4;
      g_ptr_array_add (tokens, g_strdup_printf ("<%05u>", i));
      g_string_append (text, g_ptr_array_index (tokens, i));
    }
  g_ptr_array_add (tokens, NULL);
  writer = new_vocabulary ("gpt2", (const char *const *) tokens->pdata);
  gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
  gguf_add_i32s (writer, "tokenizer.ggml.token_type", types, many);
  tokenizer = load (writer, "gpt-2", &error);
  g_assert_no_error (error);
  ms_tokenizer_encode (tokenizer, text->str, text->len, ids);
  g_assert_cmpuint (ids->len, ==, many);
  for (guint i = 0; i < many; i++)
    g_assert_cmpint (g_array_index (ids, gint32, i), ==, (gint32) i);
}

/* --- Long and many ---------------------------------------------------------------------------- */

static MsTokenizer *
byte_tokenizer (const char *pre)
{
  g_autoptr (GPtrArray) tokens = g_ptr_array_new_with_free_func (g_free);
  static const char *const merges[] = { "a b", "ab ab", "abab abab", "\xc4\xa0 a", NULL };
  g_autoptr (GgufWriter) writer = NULL;
  g_autoptr (GError) error = NULL;
  MsTokenizer *tokenizer;

  for (gunichar c = 0x21; c < 0x144; c++)
    if (c <= 0x7e || (c >= 0xa1 && c != 0xad))
      {
        char text[7] = { 0 };

        g_unichar_to_utf8 (c, text);
        g_ptr_array_add (tokens, g_strdup (text));
      }
  g_assert_cmpuint (tokens->len, ==, 256);
  for (const char *const *token = (const char *const[]){ "ab", "abab", "abababab", NULL }; *token;
       token++)
    g_ptr_array_add (tokens, g_strdup (*token));
  g_ptr_array_add (tokens, NULL);
  writer = new_vocabulary ("gpt2", (const char *const *) tokens->pdata);
  gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
  tokenizer = load (writer, pre, &error);
  g_assert_no_error (error);
  return tokenizer;
}

/* Of processor time for a text that takes 0.2 s; of quadratic cost it would take minutes. */
#define LONG_SECONDS 10

/* Words as long as the text, runs of everything: patterns must neither fail nor take for ever. */
static void
test_long (void)
{
  static const char *const rules[]
      = { "gpt-2",        "llama-bpe",   "qwen2",       "qwen35",     "gpt-4o",
          "tekken",       "kimi-k2",     "afmoe",       "default",    "exaone-moe",
          "deepseek-llm", "deepseek-v3", "bailingmoe2", "cohere2moe", "deepseek-coder",
          "seed-coder",   "laguna",      "falcon",      "starcoder",  NULL };
  static const char *const units[]
      = { "ab", " ", "\n", "1", "\xe4\xbb\x8a", "a ", "!", "\xd0\x96", "\xcc\x81", "'", NULL };
  clock_t begun;

  for (const char *const *rule = rules; *rule != NULL; rule++)
    {
      g_autoptr (MsTokenizer) tokenizer = byte_tokenizer (*rule);

      for (const char *const *unit = units; *unit != NULL; unit++)
        {
          g_autoptr (GString) text = g_string_new (NULL);
          g_autofree char *back = NULL;

          for (guint i = 0; i < 200000; i++)
            g_string_append (text, *unit);
          g_string_append_c (text, 'x'); /* what follows a run decides whether a pattern fits it */
          begun = clock ();
          back = round_trip (tokenizer, text->str);
          g_assert_cmpstr (back, ==, text->str);
          g_assert_cmpfloat ((double) (clock () - begun) / CLOCKS_PER_SEC, <, LONG_SECONDS);
        }
    }
}

/* n times "ab". */
static char *
long_word (gsize n)
{
  char *text = g_malloc (2 * n + 1);

  for (gsize i = 0; i < n; i++)
    memcpy (text + 2 * i, "ab", 2);
  text[2 * n] = '\0';
  return text;
}

/* A word of 100 MB is cut where few of its tokens are wanted, and refused where all are. */
static void
test_limit (void)
{
  const gsize n = 50 * 1000 * 1000, few = 100 * 1000;
  g_autoptr (MsTokenizer) tokenizer = byte_tokenizer ("llama-bpe");
  g_autofree char *text = long_word (n);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GArray) whole = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;

  ms_tokenizer_encode (tokenizer, text, 2 * few, whole);
  g_assert_true (ms_tokenizer_encode_with (tokenizer, &(MsEncoding){ FALSE, 1000, NULL }, text,
                                           2 * n, ids, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (ids->len, >=, 1000);
  g_assert_cmpuint (ids->len, <, 20000);
  g_assert_cmpint (memcmp (ids->data, whole->data, 1000 * sizeof (gint32)), ==, 0);
  g_array_set_size (ids, 0);
  g_assert_false (ms_tokenizer_encode_with (tokenizer, &(MsEncoding){ FALSE, 0, NULL }, text, 2 * n,
                                            ids, NULL, &error));
  g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT);
  g_assert_nonnull (strstr (error->message, "--max-tokens"));
}

static gpointer
cancel_soon (gpointer cancel)
{
  g_usleep (G_USEC_PER_SEC / 10);
  g_cancellable_cancel (cancel);
  return NULL;
}

/* Asked to stop, it stops, in the midst of a word as between many. */
static void
test_stop (void)
{
  g_autoptr (MsTokenizer) tokenizer = byte_tokenizer ("llama-bpe");

  for (guint spaced = 0; spaced < 2; spaced++)
    {
      const gsize n = spaced ? 30 * 1000 * 1000 : 2 * 1000 * 1000;
      g_autofree char *text = long_word (n);
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      g_autoptr (GCancellable) cancel = g_cancellable_new ();
      g_autoptr (GError) error = NULL;
      GThread *thread;
      gint64 begun;

      for (gsize i = 1; i < 2 * n && spaced; i += 2)
        text[i] = "b !"[i / 2 % 3];
      thread = g_thread_new ("cancel", cancel_soon, cancel);
      begun = g_get_monotonic_time ();
      g_assert_false (ms_tokenizer_encode_with (tokenizer, &(MsEncoding){ FALSE, 0, cancel }, text,
                                                2 * n, ids, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_test_message ("stopped after %.2f s",
                      (double) (g_get_monotonic_time () - begun) / G_USEC_PER_SEC);
      g_assert_cmpint (g_get_monotonic_time () - begun, <, 5 * G_USEC_PER_SEC);
      g_thread_join (thread);
    }
}

typedef struct
{
  MsTokenizer *tokenizer;
  char *results[64];
} Many;

static void
encode_one (guint index, guint worker, gpointer data)
{
  Many *many = data;
  g_autoptr (GString) text = g_string_new (NULL);
  guint64 state = index % 8;

  (void) worker;
  for (guint i = 0; i < 5000; i++)
    g_string_append_c (text, "ab c\n1"[ms_random_below (&state, 6)]);
  many->results[index] = encode (many->tokenizer, text->str);
}

static void
test_threads (void)
{
  g_autoptr (MsTokenizer) tokenizer = byte_tokenizer ("llama-bpe");
  Many many = { .tokenizer = tokenizer };

  ms_parallel (4, 64, encode_one, &many);
  for (guint i = 8; i < 64; i++)
    g_assert_cmpstr (many.results[i], ==, many.results[i % 8]);
  for (guint i = 0; i < 64; i++)
    g_free (many.results[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizer/own-vocabulary", test_own_vocabulary);
  g_test_add_func ("/tokenizer/pretokenizers", test_pretokenizers);
  g_test_add_func ("/tokenizer/llama", test_llama);
  g_test_add_func ("/tokenizer/gpt2", test_gpt2);
  g_test_add_func ("/tokenizer/refused", test_refused);
  g_test_add_func ("/tokenizer/odd-vocabulary", test_odd_vocabulary);
  g_test_add_func ("/tokenizer/special", test_special);
  g_test_add_func ("/tokenizer/bytes", test_bytes);
  g_test_add_func ("/tokenizer/unigram", test_unigram);
  g_test_add_func ("/tokenizer/unigram-best", test_unigram_best);
  g_test_add_func ("/tokenizer/unigram-circle", test_unigram_circle);
  g_test_add_func ("/tokenizer/wordpiece", test_wordpiece);
  g_test_add_func ("/tokenizer/many-users", test_many_users);
  g_test_add_func ("/tokenizer/long", test_long);
  g_test_add_func ("/tokenizer/limit", test_limit);
  g_test_add_func ("/tokenizer/stop", test_stop);
  g_test_add_func ("/tokenizer/threads", test_threads);
  return g_test_run ();
}
