/* Databases and traces that are damaged at random.
 *
 *   fuzz-data [--rounds N | --seconds N] [--seed N]
 *
 * A round changes the bytes of a small database, or one column of one of its tables by SQL, and lets everything
 * that reads databases have it; or it changes a trace in CSV or JSON lines and imports that.  What is refused must
 * be refused with a message, what is imported must be whole.  A crash, a finding of the sanitizers or a round of
 * more than 30 s ends the program; the file that did it is then still there, under the name printed at the start.
 * The same seed gives the same rounds. */
#include "mutate.h"
#include "results.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char csv[]
    = "sequence,token,layer,rank,expert,weight\n"
      "a,0,0,0,3,0.5\na,0,0,1,1,0.25\na,0,2,0,0,0.75\na,0,2,1,2,0.125\n"
      "a,1,0,0,1,0.5\na,1,0,1,2,0.25\na,1,2,0,3,0.75\na,1,2,1,1,0.125\n"
      "\"b,c\",0,0,0,2,1e-3\n\"b,c\",0,0,1,0,0\n\"b,c\",0,2,0,1,1\n\"b,c\",0,2,1,0,0.5\n";
static const char scores[]
    = "sequence,token,layer,e0,e1,e2,e3\n"
      "a,0,0,0.1,0.2,0.3,0.4\na,1,0,0.4,0.3,0.2,0.1\nb,0,0,0.25,0.25,0.25,0.25\n";
static const char lines[]
    = "{\"type\":\"meta\",\"num_experts\":8,\"top_k\":2}\n"
      "{\"type\":\"route\",\"req_id\":\"a\",\"token_idx\":0,\"layer\":0,\"topk_ids\":[1,2],"
      "\"topk_weights\":[0.6,0.25]}\n"
      "{\"type\":\"route\",\"req_id\":\"a\",\"token_idx\":1,\"layer\":0,\"topk_ids\":[7,2],"
      "\"topk_weights\":[0.6,0.25]}\n"
      "{\"type\":\"route\",\"req_id\":\"b\\u00e9\",\"token_idx\":0,\"layer\":0,\"topk_ids\":[0,5],"
      "\"topk_weights\":[0.6,2.5e-1]}\n";
static const char labels[] = "sequence,dataset,language,parallel_id\na,code,de,1\nb,prose,en,1\n";
static const char tokens[]
    = "sequence,token,token_id,predicted_token_id\na,0,5,6\na,1,7,8\n\"b,c\",0,5,-1\n";

static const struct
{
  const char *name, *text;
  const char *beside, *beside_text; /* a second file, NULL = none */
} traces[] = { { "trace.csv", csv, NULL, NULL },
               { "trace.csv", csv, "tokens.csv", tokens },
               { "scores.csv", scores, "labels.csv", labels },
               { "trace.jsonl", lines, NULL, NULL },
               { "labels.csv", labels, "trace.csv", csv },
               { "tokens.csv", tokens, "trace.csv", csv } };

static GByteArray *databases[2]; /* of the first format, and of this one */
static GArray *spots[2];         /* numbers of SQLite's pages */
static char *folder, *path;      /* of the file under test */

static char *
place (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

/* Into a new file each time: writing over an old one waits for the disk. */
static void
save (const char *file, const guint8 *bytes, gsize n)
{
  FILE *stream;

  g_unlink (file);
  stream = g_fopen (file, "wb");
  g_assert_nonnull (stream);
  g_assert_cmpuint (fwrite (bytes, 1, n, stream), ==, n);
  g_assert_cmpint (fclose (stream), ==, 0);
}

static void
check_error (GError **error)
{
  g_assert_nonnull (*error);
  g_assert_true (g_utf8_validate ((*error)->message, -1, NULL));
  g_assert_cmpuint (strlen ((*error)->message), >, 5);
  g_clear_error (error);
}

/* --- Reading ----------------------------------------------------------------------------------- */

static void
take_finding (gboolean bad, const char *finding, gpointer data)
{
  g_assert_true (g_utf8_validate (finding, -1, NULL));
  *(guint *) data += bad && strstr (finding, ", block ") != NULL;
}

static void
analyse (const char *file, gint64 run, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsTrace) trace = ms_trace_open (file, run, NULL, &error);
  const MsAnalysis *analysis = ms_analysis_find (name);
  g_autoptr (MsValues) values = ms_values_new (analysis);
  MsContext context = { .trace = trace,
                        .values = values,
                        .sampling = { .seed = 1, .resamples = 3, .confidence = 0.95 },
                        .threads = 1 };
  g_autoptr (MsResult) result = trace == NULL ? NULL : ms_analysis_run (analysis, &context, &error);

  if (result == NULL)
    check_error (&error);
  else
    g_assert_true (g_utf8_validate (result->summary != NULL ? result->summary : "", -1, NULL));
}

static void
ask (const char *file, const char *sql)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsConsole) console = ms_console_new (file, &error);
  sqlite3_stmt *statement
      = console != NULL ? ms_console_prepare (console, sql, NULL, &error) : NULL;
  gboolean row = TRUE;

  while (statement != NULL && row && ms_console_step (console, statement, NULL, &row, &error))
    if (row)
      g_free (ms_console_text (statement, 0));
  sqlite3_finalize (statement);
  if (error != NULL)
    check_error (&error);
}

/* Everything that reads a database; returns how many faults of decisions the check found, or G_MAXUINT when the
 * file is refused. */
static guint
read_database (const char *file)
{
  static const char *const questions[]
      = { "SELECT count(*) || sum(expert) || sum(weight) FROM routing",
          "SELECT sum(count) FROM load", "SELECT text FROM token LIMIT 100",
          "SELECT count(language) || count(phase) FROM document" };
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = ms_db_open (file, MS_DB_READ, &error);
  g_autoptr (GPtrArray) runs = NULL;
  guint n_bad = 0, n_blocks = 0;

  if (db == NULL)
    {
      check_error (&error);
      return G_MAXUINT;
    }
  if (!ms_db_check (db, take_finding, &n_blocks, &n_bad, &error))
    check_error (&error);
  runs = ms_db_list_runs (db, &error);
  if (runs == NULL)
    check_error (&error);
  for (guint i = 0; runs != NULL && i < MIN (runs->len, 3); i++)
    {
      static const char *const names[] = { "load", "coactivation", "domains", "transitions" };

      for (guint a = 0; a < G_N_ELEMENTS (names); a++)
        analyse (file, ((MsRun *) runs->pdata[i])->id, names[a]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (questions); i++)
    ask (file, questions[i]);
  return n_blocks;
}

/* --- Rounds ------------------------------------------------------------------------------------ */

static gboolean
play_bytes (guint64 *state)
{
  guint which = (guint) ms_random_below (state, 2);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  g_byte_array_append (bytes, databases[which]->data, databases[which]->len);
  fuzz_mutate (bytes, spots[which], databases[1 - which], state);
  save (path, bytes->data, bytes->len);
  return read_database (path) != G_MAXUINT;
}

/* A value that a column does not expect. */
static char *
odd_value (guint64 *state)
{
  static const char *const values[] = { "0",
                                        "-1",
                                        "1",
                                        "2147483648",
                                        "-9223372036854775808",
                                        "9223372036854775807",
                                        "NULL",
                                        "''",
                                        "'x'",
                                        "x'00'",
                                        "1e308",
                                        "-1e-308",
                                        "9e999",
                                        "zeroblob (70000)",
                                        "'softmax'",
                                        "65535",
                                        "'experts weights entropy margin logits'",
                                        "char (0, 27, 8238)",
                                        "4096",
                                        "1099511627776" };

  if (ms_random_below (state, 3) == 0)
    return g_strdup_printf ("%" G_GINT64_FORMAT, (gint64) (1ull << ms_random_below (state, 63))
                                                     - (gint64) ms_random_below (state, 3));
  return g_strdup (values[ms_random_below (state, G_N_ELEMENTS (values))]);
}

/* Changes a column, keeping the types of STRICT tables away from SQLite's refusal now and then in vain. */
static void
change_column (sqlite3 *db, guint64 *state)
{
  static const char *const columns[][2] = { { "model", "blocks" },
                                            { "model", "shared" },
                                            { "model", "width" },
                                            { "model", "expert_bytes" },
                                            { "model", "details" },
                                            { "model", "name" },
                                            { "layer", "layer" },
                                            { "layer", "block" },
                                            { "layer", "experts" },
                                            { "layer", "k" },
                                            { "layer", "scoring" },
                                            { "layer", "scale" },
                                            { "layer", "groups" },
                                            { "layer", "groups_used" },
                                            { "layer", "selection_bias" },
                                            { "layer", "biased" },
                                            { "corpus", "n_tokens" },
                                            { "corpus", "ids_known" },
                                            { "corpus", "unit" },
                                            { "document", "document" },
                                            { "document", "first_token" },
                                            { "document", "n_tokens" },
                                            { "document", "name" },
                                            { "document_label", "name" },
                                            { "document_label", "document" },
                                            { "token_block", "block" },
                                            { "token_block", "ids" },
                                            { "piece", "id" },
                                            { "piece", "bytes" },
                                            { "run", "model" },
                                            { "run", "corpus" },
                                            { "run", "finished" },
                                            { "run", "storage" },
                                            { "run", "columns" },
                                            { "run", "scores" },
                                            { "run", "predictions" },
                                            { "run", "step" },
                                            { "chunk", "block" },
                                            { "chunk", "layer" },
                                            { "chunk", "first_token" },
                                            { "chunk", "n_tokens" },
                                            { "chunk", "k" },
                                            { "chunk", "id_bytes" },
                                            { "chunk", "scale" },
                                            { "chunk", "crc" },
                                            { "chunk", "experts" },
                                            { "chunk", "weights" },
                                            { "chunk", "entropy" },
                                            { "chunk", "run" },
                                            { "chunk_column", "name" },
                                            { "chunk_column", "data" },
                                            { "prediction", "ids" },
                                            { "prediction", "loss" },
                                            { "prediction", "block" } };
  const char *const *column = columns[ms_random_below (state, G_N_ELEMENTS (columns))];
  g_autofree char *value = odd_value (state);
  g_autofree char *some = g_strdup_printf (" WHERE %s IN (SELECT %s FROM %s LIMIT 1)", column[1],
                                           column[1], column[0]);
  g_autofree char *sql
      = ms_random_below (state, 6) == 0
            ? g_strdup_printf ("DELETE FROM %s%s", column[0], some)
            : g_strdup_printf ("UPDATE OR IGNORE %s SET %s = %s%s", column[0], column[1], value,
                               ms_random_below (state, 2) == 0 ? "" : some);

  sqlite3_exec (db, sql, NULL, NULL, NULL);
}

static gboolean
play_sql (guint64 *state)
{
  guint which = (guint) ms_random_below (state, 2);
  sqlite3 *db;

  save (path, databases[which]->data, databases[which]->len);
  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  sqlite3_exec (db, "PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON", NULL, NULL,
                NULL);
  for (guint64 n = 1 + ms_random_below (state, 3); n > 0; n--)
    change_column (db, state);
  sqlite3_close (db);
  return read_database (path) != G_MAXUINT;
}

/* Puts an odd word in the place of a number or a name. */
static void
change_word (GByteArray *bytes, guint64 *state)
{
  static const char *const words[] = { "-1",
                                       "nan",
                                       "inf",
                                       "1e400",
                                       "18446744073709551616",
                                       "65535",
                                       "65536",
                                       "0x7",
                                       "",
                                       " ",
                                       "\"",
                                       "\"\"",
                                       "\\u0000",
                                       "null",
                                       "[",
                                       "]",
                                       "{",
                                       "}",
                                       "\n",
                                       "\r\n",
                                       ",",
                                       ";",
                                       "3.0",
                                       "\xef\xbb\xbf",
                                       "\xff",
                                       "1e-320",
                                       "=cmd()",
                                       "4294967295",
                                       "true" };
  const char *word = words[ms_random_below (state, G_N_ELEMENTS (words))];
  gsize at = ms_random_below (state, bytes->len), end = at, tail;

  while (end < bytes->len && strchr (",\n:[]{}", bytes->data[end]) == NULL)
    end++;
  tail = bytes->len - end;
  if (end > at)
    g_byte_array_remove_range (bytes, (guint) at, (guint) (end - at));
  g_byte_array_set_size (bytes, (guint) (at + strlen (word) + tail));
  memmove (bytes->data + at + strlen (word), bytes->data + at, tail);
  memcpy (bytes->data + at, word, strlen (word));
}

static gboolean
play_trace (guint64 *state)
{
  guint which = (guint) ms_random_below (state, G_N_ELEMENTS (traces));
  const char *other = traces[ms_random_below (state, G_N_ELEMENTS (traces))].text;
  g_autoptr (GByteArray) bytes = g_byte_array_new (), beside = g_byte_array_new ();
  g_autofree char *first = place (traces[which].name), *output = place ("out.db");
  g_autofree char *second = traces[which].beside != NULL ? place (traces[which].beside) : NULL;
  const char *const inputs[] = { first, second, NULL };
  MsImportOptions options = { .inputs = inputs,
                              .output = output,
                              .k = ms_random_below (state, 4) == 0 ? 2 : 0,
                              .holes = ms_random_below (state, 2) == 0 };
  MsImportSummary summary;
  g_autoptr (GError) error = NULL;
  gboolean taken;

  g_byte_array_append (bytes, (const guint8 *) traces[which].text,
                       (guint) strlen (traces[which].text));
  g_byte_array_append (beside, (const guint8 *) other, (guint) strlen (other));
  for (guint64 n = ms_random_below (state, 4); n > 0 && bytes->len > 0; n--)
    change_word (bytes, state);
  if (bytes->len > 0 && ms_random_below (state, 2) == 0)
    fuzz_mutate (bytes, NULL, beside, state);
  save (first, bytes->data, bytes->len);
  if (second != NULL)
    save (second, (const guint8 *) traces[which].beside_text, strlen (traces[which].beside_text));
  taken = ms_import (&options, &summary, &error);
  if (taken)
    {
      ms_import_summary_clear (&summary);
      g_assert_cmpuint (read_database (output), ==, 0);
    }
  else
    check_error (&error);
  g_unlink (output);
  return taken;
}

/* --- Beginning --------------------------------------------------------------------------------- */

static void
take_database (guint which, const char *file)
{
  char *contents;
  gsize n;

  g_assert_true (g_file_get_contents (file, &contents, &n, NULL));
  databases[which] = g_byte_array_new_take ((guint8 *) contents, n);
  spots[which] = g_array_new (FALSE, FALSE, sizeof (FuzzSpot));
  /* The headers of SQLite's pages and the first of their cells' places. */
  for (gsize page = 0; page < n; page += 1024)
    for (gsize at = page; at < page + 24; at += 2)
      {
        const FuzzSpot spot = { at, 2 };

        g_array_append_val (spots[which], spot);
      }
}

static void
make_seeds (void)
{
  g_autofree char *old
      = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests/data/format-1.db", NULL);
  g_autofree char *fresh = place ("seed.db"), *trace = place ("trace.csv");
  g_autofree char *ids = place ("tokens.csv");
  const char *const inputs[] = { trace, ids, NULL };
  MsImportOptions options = { .inputs = inputs, .output = fresh };
  MsImportSummary summary;
  g_autoptr (GError) error = NULL;

  take_database (0, old);
  save (trace, (const guint8 *) csv, strlen (csv));
  save (ids, (const guint8 *) tokens, strlen (tokens));
  ms_import (&options, &summary, &error);
  g_assert_no_error (error);
  ms_import_summary_clear (&summary);
  take_database (1, fresh);
  g_unlink (fresh);
}

static gboolean
play (guint64 round, guint64 seed)
{
  gboolean (*const kinds[]) (guint64 *) = { play_bytes, play_sql, play_trace };
  guint64 state = seed * 1000003 + round;
  guint kind = (guint) ms_random_below (&state, G_N_ELEMENTS (kinds));

  alarm (30); /* a round that takes so long ends the program */
  return kinds[kind](&state);
}

static void
tidy (void)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = place (name);

      g_unlink (file);
    }
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  gint64 rounds = 0, seconds = 0, seed = 1, begun = g_get_monotonic_time (), round = 0, taken = 0;
  const GOptionEntry entries[]
      = { { "rounds", 0, 0, G_OPTION_ARG_INT64, &rounds, "Rounds to play", "N" },
          { "seconds", 0, 0, G_OPTION_ARG_INT64, &seconds, "Time to play", "N" },
          { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Other rounds", "N" },
          { 0 } };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, NULL) || (rounds == 0) == (seconds == 0))
    {
      fputs ("fuzz-data --rounds N | --seconds N [--seed N]\n", stderr);
      return 2;
    }
#ifndef __SANITIZE_ADDRESS__
  setrlimit (RLIMIT_AS, &(struct rlimit){ (rlim_t) 4 << 30, (rlim_t) 4 << 30 });
#endif
  folder = g_dir_make_tmp ("moescope-fuzz-XXXXXX", NULL);
  path = place ("run.db");
  printf ("# the files under test are in %s\n", folder);
  fflush (stdout);
  make_seeds ();
  for (; rounds > 0 ? round < rounds : g_get_monotonic_time () - begun < seconds * G_USEC_PER_SEC;
       round++)
    taken += play ((guint64) round, (guint64) seed);
  alarm (0);
  printf ("1..1\nok 1 %" G_GINT64_FORMAT " rounds, %" G_GINT64_FORMAT " files taken\n", round,
          taken);
  tidy ();
  for (guint i = 0; i < 2; i++)
    {
      g_byte_array_unref (databases[i]);
      g_array_unref (spots[i]);
    }
  g_free (path);
  g_free (folder);
  return 0;
}
