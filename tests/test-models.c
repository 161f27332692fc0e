/* What `moescope collect` records of the small models in tests/data/models, against the numbers beside them.
 *
 * Those come from a forward pass in Python that shares nothing with ours (tests/data/make-models.py).  No
 * decision there is near a tie, so experts and their order are demanded exactly.  Every model runs twice:
 * alone on one thread, and on several in waves that cut its documents apart. */
#include "db.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* Largest differences; of a weight, times the scale.  Float32 errs by less than a third of them. */
#define LOGITS  1e-5
#define WEIGHTS 3e-6
#define OUTPUT  3e-5

/* Every model file: the test of the folder holds this list complete. */
static const char *const models[]
    = { "llama",         "llama-bias",    "llama-q8_0",      "olmoe",       "qwen2moe",
        "qwen3moe",      "qwen3moe-yarn", "dots1",           "dots1-plain", "dots1-softmax",
        "dots1-group-1", "dots1-group-2", "dots1-group-all", "granite_swa", "minimax-01" };

static char *
data_file (const char *model, const char *ending)
{
  g_autofree char *name = g_strconcat (model, ending, NULL);

  return g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests", "data", "models", name,
                           NULL);
}

/* --- The numbers beside a model -------------------------------------------------------------- */

typedef struct
{
  char **lines; /* the first is the header */
  guint n;      /* rows below it */
} Csv;

static Csv
load_csv (const char *model, const char *ending, const char *header)
{
  g_autofree char *path = data_file (model, ending);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  Csv csv;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  csv.lines = g_strsplit (text, "\n", -1);
  csv.n = g_strv_length (csv.lines) - 2; /* the header, and what follows the last line's end */
  g_assert_cmpstr (csv.lines[0], ==, header);
  return csv;
}

static void
csv_clear (Csv *csv)
{
  g_strfreev (csv->lines);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Csv, csv_clear)

/* Numbers of one cell, at most `most`; returns how many there are. */
static guint
parse_list (const char *cell, double *numbers, guint most)
{
  g_auto (GStrv) words = g_strsplit (cell, " ", -1);
  guint n = g_strv_length (words);

  g_assert_cmpuint (n, <=, most);
  for (guint i = 0; i < n; i++)
    numbers[i] = g_ascii_strtod (words[i], NULL);
  return n;
}

static gint64
parse_int (const char *cell)
{
  gint64 value;
  g_autoptr (GError) error = NULL;

  g_ascii_string_to_signed (cell, 10, 0, G_MAXINT32, &value, &error);
  g_assert_no_error (error);
  return value;
}

/* --- The run --------------------------------------------------------------------------------- */

/* Collects one run into `db`, with further options. */
static void
collect (const char *model, const char *db, const char *const *options)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *messages = NULL;
  int status;

  g_ptr_array_add (argv, (gpointer) g_getenv ("MOESCOPE"));
  g_ptr_array_add (argv, (gpointer) "collect");
  g_ptr_array_add (argv, (gpointer) model);
  g_ptr_array_add (argv, (gpointer) "-o");
  g_ptr_array_add (argv, (gpointer) db);
  for (; *options != NULL; options++)
    g_ptr_array_add (argv, (gpointer) *options);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                &messages, &status, &error);
  g_assert_no_error (error);
  if (!g_spawn_check_wait_status (status, NULL))
    g_error ("collect %s: %s", model, messages);
  /* A tensor or key that the engine does not know would be named. */
  g_assert_null (strstr (messages, "warning"));
}

/* A line of ids for each document, as the table tells them. */
static void
write_ids (const Csv *output, const char *path)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 1; i <= output->n; i++)
    {
      g_auto (GStrv) cells = g_strsplit (output->lines[i], ",", -1);

      if (i > 1)
        g_string_append_c (text, g_str_equal (cells[1], "0") ? '\n' : ' ');
      g_string_append (text, cells[2]);
    }
  g_string_append_c (text, '\n');
  g_file_set_contents (path, text->str, (gssize) text->len, &error);
  g_assert_no_error (error);
}

/* --- The comparison -------------------------------------------------------------------------- */

static void
assert_near (double value, double expected, double bound)
{
  if (isinf (expected) || isnan (expected))
    g_assert_true (value == expected || (isnan (value) && isnan (expected)));
  else
    g_assert_cmpfloat (fabs (value - expected), <=, bound);
}

/* Row `t` of the chunk against the cells experts, weights, margin, entropy, logits. */
static void
compare_decision (const MsChunk *chunk, guint t, char **cells, double scale)
{
  double experts[64], weights[64], logits[64];
  guint k = parse_list (cells[0], experts, 64), n = parse_list (cells[4], logits, 64);

  g_assert_cmpuint (chunk->k, ==, k);
  g_assert_cmpuint (chunk->n_experts, ==, n);
  g_assert_cmpuint (parse_list (cells[1], weights, 64), ==, k);
  for (guint e = 0; e < n; e++)
    assert_near ((double) chunk->logits[t * n + e], logits[e], LOGITS);
  for (guint j = 0; j < k; j++)
    {
      g_assert_cmpuint (chunk->experts[t * k + j], ==, (guint) experts[j]);
      assert_near ((double) chunk->weights[t * k + j], weights[j], WEIGHTS * scale);
    }
  assert_near ((double) chunk->margin[t], g_ascii_strtod (cells[2], NULL), WEIGHTS);
  assert_near ((double) chunk->entropy[t], g_ascii_strtod (cells[3], NULL), WEIGHTS);
}

static void
compare_routing (MsReader *reader, const Csv *routing, const Csv *output)
{
  const MsModel *model = ms_reader_model (reader);
  g_autoptr (GError) error = NULL;
  guint token = 0, layer = model->n_layers - 1;

  /* The table goes by document, position and layer: every token has a row for each layer. */
  g_assert_cmpuint (routing->n, ==, output->n * model->n_layers);
  for (guint i = 1; i <= routing->n; i++)
    {
      g_auto (GStrv) cells = g_strsplit (routing->lines[i], ",", -1);
      const MsChunk *chunk;

      layer = (layer + 1) % model->n_layers;
      token += i > 1 && layer == 0;
      g_assert_cmpint (model->layers[layer].number, ==, parse_int (cells[2]));
      chunk = ms_reader_chunk (reader, 0, layer,
                               MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_MARGIN
                                   | MS_CHUNK_ENTROPY | MS_CHUNK_LOGITS,
                               layer, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (chunk->n_tokens, ==, output->n);
      compare_decision (chunk, token, cells + 3, MAX (1, (double) model->layers[0].gate.scale));
    }
}

static void
compare_output (MsReader *reader, const Csv *output)
{
  g_autofree gint32 *predicted = g_new (gint32, output->n);
  g_autofree float *loss = g_new (float, output->n);
  g_autoptr (GError) error = NULL;

  ms_reader_predictions (reader, 0, output->n, predicted, loss, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < output->n; i++)
    {
      g_auto (GStrv) cells = g_strsplit (output->lines[i + 1], ",", -1);

      g_assert_cmpint (predicted[i], ==, parse_int (cells[3]));
      assert_near ((double) loss[i], g_ascii_strtod (cells[4], NULL), OUTPUT);
    }
}

static void
test_model (gconstpointer data)
{
  static const char *const ways[][2]
      = { { "--threads=1", "--wave=1000" }, { "--threads=3", "--wave=10" } };
  g_autofree char *model = data_file (data, ".gguf");
  g_autofree char *folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  g_autofree char *ids = g_build_filename (folder, "ids.txt", NULL);
  g_auto (Csv) routing
      = load_csv (data, ".csv", "document,position,layer,experts,weights,margin,entropy,logits");
  g_auto (Csv) output = load_csv (data, "-output.csv", "document,position,token_id,predicted,loss");

  write_ids (&output, ids);
  for (guint way = 0; way < G_N_ELEMENTS (ways); way++)
    {
      g_autofree char *db = g_strdup_printf ("%s/%u.db", folder, way);
      g_autoptr (GError) error = NULL;
      g_autoptr (MsReader) reader = NULL;

      collect (model, db,
               (const char *const[]){ "--token-ids", ids, "--scores", "--predict",
                                      "--storage=exact", ways[way][0], ways[way][1], NULL });
      reader = ms_reader_new (db, 1, &error);
      g_assert_no_error (error);
      compare_routing (reader, &routing, &output);
      compare_output (reader, &output);
      g_unlink (db);
    }
  g_unlink (ids);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

/* Texts become the ids that the vocabulary's own rule gives. */
static void
test_texts (void)
{
  g_autofree char *model = data_file ("llama", ".gguf");
  g_autofree char *folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  g_autofree char *texts = g_build_filename (folder, "texts.txt", NULL);
  g_autofree char *db = g_build_filename (folder, "texts.db", NULL);
  g_auto (Csv) csv = load_csv ("texts", ".csv", "text,ids");
  g_autoptr (GString) lines = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (MsReader) reader = NULL;
  gint64 at = 0;

  for (guint i = 1; i <= csv.n; i++)
    g_string_append_printf (lines, "%.*s\n", (int) strcspn (csv.lines[i], ","), csv.lines[i]);
  g_file_set_contents (texts, lines->str, -1, &error);
  g_assert_no_error (error);
  collect (model, db, (const char *const[]){ "--lines", texts, NULL });
  reader = ms_reader_new (db, 1, &error);
  g_assert_no_error (error);
  for (guint i = 1; i <= csv.n; i++)
    {
      double expected[64];
      gint32 ids[64];
      guint n = parse_list (strchr (csv.lines[i], ',') + 1, expected, 64);

      ms_reader_tokens (reader, at, n, ids, &error);
      g_assert_no_error (error);
      for (guint t = 0; t < n; t++)
        g_assert_cmpint (ids[t], ==, (gint64) expected[t]);
      at += n;
    }
  g_unlink (db);
  g_unlink (texts);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

/* No model of the folder is left out. */
static void
test_folder (void)
{
  g_autofree char *folder
      = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests", "data", "models", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint n = 0;

  g_assert_nonnull (dir);
  while ((name = g_dir_read_name (dir)) != NULL)
    n += g_str_has_suffix (name, ".gguf");
  g_assert_cmpuint (n, ==, G_N_ELEMENTS (models));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/models/folder", test_folder);
  g_test_add_func ("/models/texts", test_texts);
  for (guint i = 0; i < G_N_ELEMENTS (models); i++)
    {
      g_autofree char *path = g_strconcat ("/models/", models[i], NULL);

      g_test_add_data_func (path, models[i], test_model);
    }
  return g_test_run ();
}
