/* The programs on damaged files: each ends with status 1 and one line that says what is wrong, or, where
 * damage cannot be seen, with status 0; never otherwise.  Makes its own model and database. */
#include "base.h"
#include "gguf-writer.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

#define WIDTH    16
#define EXPERTS  4
#define HIDDEN   8
#define N_TOKENS 29

static char *folder, *model, *text, *database;

static char *
in_folder (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

/* A new file each time: writing over an old one waits for the disk. */
static void
write_file (const char *path, const char *bytes, gsize n)
{
  FILE *file;

  g_unlink (path);
  file = g_fopen (path, "wb");
  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (bytes, 1, n, file), ==, n);
  g_assert_cmpint (fclose (file), ==, 0);
}

/* Runs moescope; returns its exit status and, in *err, what it said on stderr. */
static int
run (const char *const *arguments, char **err)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  int status;

  g_ptr_array_add (argv, (char *) g_getenv ("MOESCOPE"));
  for (; *arguments != NULL; arguments++)
    g_ptr_array_add (argv, (char *) *arguments);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                err, &status, &error);
  g_assert_no_error (error);
  if (g_spawn_check_wait_status (status, &error))
    return 0;
  if (error->domain != G_SPAWN_EXIT_ERROR)
    g_error ("%s: %s: %s", arguments[-1], error->message, *err);
  return error->code;
}

#define ARGUMENTS(...)                                                                             \
  (const char *const[])                                                                            \
  {                                                                                                \
    __VA_ARGS__, NULL                                                                              \
  }

/* `part` of the message, NULL = any; `spared`: status 0 is fine, too. */
static void
check (const char *const *arguments, const char *part, gboolean spared)
{
  g_autofree char *err = NULL;
  int status = run (arguments, &err);
  const char *newline = strchr (err, '\n');

  if (status == 0 && spared)
    return;
  if (status != 1 || !g_str_has_prefix (err, "moescope ") || newline == NULL || newline[1] != '\0'
      || !g_utf8_validate (err, -1, NULL) || (part != NULL && strstr (err, part) == NULL))
    {
      g_autofree char *line = g_strjoinv (" ", (char **) arguments);

      g_error ("moescope %s: status %d (%s expected): %s", line, status, part ? part : "1 line",
               err);
    }
}

/* --- The good files --------------------------------------------------------------------------- */

static void
add_tensor (GgufWriter *writer, const char *name, gint64 ne0, gint64 ne1, gint64 ne2,
            guint64 *state)
{
  gsize n = (gsize) (ne0 * MAX (ne1, 1) * MAX (ne2, 1));
  g_autofree float *values = g_new (float, n);

  for (gsize i = 0; i < n; i++)
    values[i] = (float) (ms_random_double (state) - 0.5);
  gguf_add_f32 (writer, name, ne0, ne1, ne2, values);
}

static void
write_model (const char *path)
{
  static const char *const merges[] = { NULL };
  g_autoptr (GgufWriter) writer = gguf_writer_new ();
  g_autoptr (GPtrArray) tokens = g_ptr_array_new_with_free_func (g_free);
  guint64 state = 5;

  gguf_add_string (writer, "general.architecture", "llama");
  gguf_add_u32 (writer, "llama.block_count", 1);
  gguf_add_u32 (writer, "llama.context_length", 64);
  gguf_add_u32 (writer, "llama.embedding_length", WIDTH);
  gguf_add_u32 (writer, "llama.feed_forward_length", HIDDEN);
  gguf_add_u32 (writer, "llama.attention.head_count", 2);
  gguf_add_u32 (writer, "llama.attention.head_count_kv", 1);
  gguf_add_float (writer, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
  gguf_add_u32 (writer, "llama.rope.dimension_count", WIDTH / 2);
  gguf_add_u32 (writer, "llama.expert_count", EXPERTS);
  gguf_add_u32 (writer, "llama.expert_used_count", 2);
  gguf_add_u32 (writer, "llama.vocab_size", N_TOKENS);
  gguf_add_string (writer, "tokenizer.ggml.model", "gpt2");
  gguf_add_string (writer, "tokenizer.ggml.pre", "gpt-2");
  g_ptr_array_add (tokens, g_strdup ("<s>"));
  g_ptr_array_add (tokens, g_strdup ("\xc4\xa0"));
  g_ptr_array_add (tokens, g_strdup ("\xc4\x8a"));
  for (char c = 'a'; c <= 'z'; c++)
    g_ptr_array_add (tokens, g_strndup (&c, 1));
  g_assert_cmpuint (tokens->len, ==, N_TOKENS);
  g_ptr_array_add (tokens, NULL);
  gguf_add_strings (writer, "tokenizer.ggml.tokens", (const char *const *) tokens->pdata, -1);
  gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);

  add_tensor (writer, "token_embd.weight", WIDTH, N_TOKENS, 0, &state);
  add_tensor (writer, "output_norm.weight", WIDTH, 0, 0, &state);
  add_tensor (writer, "blk.0.attn_norm.weight", WIDTH, 0, 0, &state);
  add_tensor (writer, "blk.0.attn_q.weight", WIDTH, WIDTH, 0, &state);
  add_tensor (writer, "blk.0.attn_k.weight", WIDTH, WIDTH / 2, 0, &state);
  add_tensor (writer, "blk.0.attn_v.weight", WIDTH, WIDTH / 2, 0, &state);
  add_tensor (writer, "blk.0.attn_output.weight", WIDTH, WIDTH, 0, &state);
  add_tensor (writer, "blk.0.ffn_norm.weight", WIDTH, 0, 0, &state);
  add_tensor (writer, "blk.0.ffn_gate_inp.weight", WIDTH, EXPERTS, 0, &state);
  add_tensor (writer, "blk.0.ffn_gate_exps.weight", WIDTH, HIDDEN, EXPERTS, &state);
  add_tensor (writer, "blk.0.ffn_up_exps.weight", WIDTH, HIDDEN, EXPERTS, &state);
  add_tensor (writer, "blk.0.ffn_down_exps.weight", HIDDEN, WIDTH, EXPERTS, &state);
  gguf_writer_save (writer, path);
}

static void
write_good_files (void)
{
  g_autofree char *err = NULL;

  folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  model = in_folder ("model.gguf");
  text = in_folder ("text.txt");
  database = in_folder ("run.db");
  write_model (model);
  write_file (text, "a text of words\n", 16);
  if (run (ARGUMENTS ("collect", model, text, "-o", database), &err) != 0)
    g_error ("the good files do not work: %s", err);
}

/* --- Models ----------------------------------------------------------------------------------- */

static void
check_model (const char *bytes, gsize n, const char *part, gboolean spared)
{
  g_autofree char *path = in_folder ("bad.gguf"), *out = in_folder ("out.db");

  write_file (path, bytes, n);
  g_unlink (out);
  check (ARGUMENTS ("collect", path, text, "-o", out), part, spared);
  g_unlink (out);
}

static void
test_model (void)
{
  g_autofree char *bytes = NULL, *out = in_folder ("out.db");
  gsize n;
  guint64 state = 1;

  g_assert_true (g_file_get_contents (model, &bytes, &n, NULL));
  check_model ("", 0, "is empty", FALSE);
  check_model ("PK\3\4 something else", 18, "no GGUF", FALSE);
  check (ARGUMENTS ("collect", folder, text, "-o", out), "is no file", FALSE);
  check (ARGUMENTS ("collect", "/no/such.gguf", text, "-o", out), "No such file", FALSE);
  check (ARGUMENTS ("collect", text, text, "-o", out), "no GGUF", FALSE);
  for (guint i = 1; i < 16; i++)
    check_model (bytes, n * i / 16, NULL, FALSE);
  for (guint i = 0; i < 48; i++)
    {
      gsize at = ms_random_below (&state, 3000);
      char bit = (char) (1 << ms_random_below (&state, 8));

      bytes[at] ^= bit;
      check_model (bytes, n, NULL, TRUE);
      bytes[at] ^= bit;
    }
}

/* --- Inputs ----------------------------------------------------------------------------------- */

static void
test_inputs (void)
{
  static const struct
  {
    const char *option, *name, *contents, *part;
  } cases[] = {
    { NULL, "bad.txt", "", "is empty" },
    { NULL, "bad.txt", "a\xff", "not UTF-8" },
    { NULL, "bad.txt",
      "\xff\xfe"
      "a",
      "UTF-16" },
    { NULL, "bad.txt", "123", "no tokens" },
    { "--lines", "bad.txt", "\n\n", "is empty" },
    { NULL, "bad.jsonl", "", "is empty" },
    { NULL, "bad.jsonl", "{\"text\":\"a\"}\n{\"te", ":2: is not JSON" },
    { NULL, "bad.jsonl", "\"text\"", "no JSON object" },
    { NULL, "bad.jsonl", "{\"text\":[1]}", "no \"text\"" },
    { NULL, "bad.jsonl", "{\"text\":\"a\",\"domain\":{}}", "\"domain\"" },
    { "--token-ids", "bad.ids", "", "is empty" },
    { "--token-ids", "bad.ids", "1 2 x", "column 5" },
    { "--token-ids", "bad.ids", "1 29", "token id 29" },
    { "--token-ids", "bad.ids", "-1", "no token id" },
  };
  g_autofree char *out = in_folder ("out.db");

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = in_folder (cases[i].name);

      write_file (path, cases[i].contents, strlen (cases[i].contents));
      if (cases[i].option)
        check (ARGUMENTS ("collect", model, "-o", out, cases[i].option, path), cases[i].part,
               FALSE);
      else
        check (ARGUMENTS ("collect", model, path, "-o", out), cases[i].part, FALSE);
    }
  check (ARGUMENTS ("collect", model, folder, "-o", out), "is a folder", FALSE);
  check (ARGUMENTS ("collect", model, "/no/such", "-o", out), "No such file", FALSE);
}

/* --- Databases -------------------------------------------------------------------------------- */

/* Every command that reads a database. */
static void
check_database (const char *path, const char *part, gboolean spared)
{
  g_autofree char *csv = in_folder ("out.csv");

  check (ARGUMENTS ("info", path), part, spared);
  check (ARGUMENTS ("check", path), part, spared);
  check (ARGUMENTS ("export", path, "routing", "-o", csv), part, spared);
  check (ARGUMENTS ("analyze", path, "load", "-o", csv), part, spared);
}

static void
check_bytes (const char *bytes, gsize n, const char *part, gboolean spared)
{
  g_autofree char *path = in_folder ("bad.db");

  write_file (path, bytes, n);
  check_database (path, part, spared);
}

/* A copy of the good database, changed by SQL. */
static void
check_sql (const char *sql, const char *part, gboolean spared)
{
  g_autofree char *path = in_folder ("bad.db"), *bytes = NULL;
  sqlite3 *db;
  gsize n;

  g_assert_true (g_file_get_contents (database, &bytes, &n, NULL));
  write_file (path, bytes, n);
  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
  check_database (path, part, spared);
}

static void
test_database (void)
{
  g_autofree char *bytes = NULL;
  gsize n;
  guint64 state = 2;

  g_assert_true (g_file_get_contents (database, &bytes, &n, NULL));
  check_database ("/no/such.db", NULL, FALSE);
  check_database (folder, NULL, FALSE);
  check_database (text, NULL, FALSE);
  check_bytes ("", 0, NULL, FALSE);
  check_bytes ("SQLite format 3", 15, NULL, FALSE);
  for (guint i = 1; i < 8; i++)
    check_bytes (bytes, n * i / 8, NULL, TRUE);
  for (guint i = 0; i < 16; i++)
    {
      gsize at = i < 4 ? ms_random_below (&state, 100) : ms_random_below (&state, n);
      char bit = (char) (1 << ms_random_below (&state, 8));

      bytes[at] ^= bit;
      check_bytes (bytes, n, NULL, TRUE);
      bytes[at] ^= bit;
    }
  check_sql ("PRAGMA application_id = 7", NULL, FALSE);
  check_sql ("PRAGMA user_version = 9999", NULL, FALSE);
  check_sql ("UPDATE chunk SET experts = x'00'", NULL, TRUE);
  check_sql ("UPDATE chunk SET experts = zeroblob(100000)", NULL, TRUE);
  check_sql ("UPDATE chunk SET n_tokens = 1000000", NULL, TRUE);
  check_sql ("DELETE FROM chunk", NULL, TRUE);
}

static void
remove_files (void)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = in_folder (name);

      g_unlink (path);
    }
  g_rmdir (folder);
  g_free (folder);
  g_free (model);
  g_free (text);
  g_free (database);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  write_good_files ();
  g_test_add_func ("/bad-files/model", test_model);
  g_test_add_func ("/bad-files/inputs", test_inputs);
  g_test_add_func ("/bad-files/database", test_database);
  status = g_test_run ();
  remove_files ();
  return status;
}
