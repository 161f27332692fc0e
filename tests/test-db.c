/* The file: what is written is read back, what is damaged is refused with one clear message. */
#include "db.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define assert_bytes(a, b, n) g_assert_true (memcmp ((a), (b), (n)) == 0)

/* A run with two layers of different shape, made from a seed. */
typedef struct
{
  char *path;
  MsModel model;
  MsLayer layers[2];
  MsCorpus corpus;
  MsDocument documents[3];
  gint32 *ids;
  MsRun run;
  guint64 seed;
  guint16 *experts[2];
  float *weights[2], *entropy[2], *margin[2], *logits[2], *norms[2], *peaks[2], *similarity[2];
  guint8 *dropped[2];
  gint32 *predicted;
  float *loss;
} Sample;

#define N_TOKENS 10000

static float
uniform (Sample *sample)
{
  return (float) ms_random_double (&sample->seed);
}

static void
fill (Sample *sample, float *values, gsize n, float most)
{
  for (gsize i = 0; i < n; i++)
    values[i] = uniform (sample) * most;
}

/* K different experts per token, now and then fewer. */
static void
fill_experts (Sample *sample, guint16 *experts, const MsLayer *layer)
{
  for (guint t = 0; t < N_TOKENS; t++)
    {
      guint16 *row = experts + (gsize) t * layer->gate.k;
      guint used = t % 10 == 3 ? layer->gate.k - 1 : layer->gate.k;

      for (guint i = 0; i < layer->gate.k; i++)
        {
          gboolean again = i < used;

          row[i] = MS_NO_EXPERT;
          while (again)
            {
              row[i] = (guint16) ms_random_below (&sample->seed, layer->gate.n_experts);
              again = FALSE;
              for (guint j = 0; j < i; j++)
                again = again || row[j] == row[i];
            }
        }
    }
}

static void
sample_init (Sample *sample, MsStorage storage, guint columns)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-db-XXXXXX", NULL);

  *sample = (Sample){ .seed = 5 };
  sample->path = g_build_filename (folder, "run.db", NULL);
  sample->layers[0] = (MsLayer) MS_PLAIN_LAYER (1, 12, 3);
  sample->layers[1] = (MsLayer) MS_PLAIN_LAYER (3, 300, 2);
  sample->layers[1].gate.groups = 4;
  sample->layers[0].gate.scoring = sample->layers[1].gate.scoring = MS_SCORING_SOFTMAX;
  sample->model = (MsModel){ .name = "m",
                             .architecture = "olmoe",
                             .fingerprint = "ab",
                             .router = "softmax",
                             .n_blocks = 4,
                             .width = 64,
                             .expert_bytes = 1000,
                             .weight_scale = 2.5,
                             .n_layers = 2,
                             .layers = sample->layers };
  sample->documents[0] = (MsDocument){ "a", "de", "code", "p1", "prefill", 0, 5000 };
  sample->documents[1] = (MsDocument){ "b", NULL, NULL, NULL, NULL, 5000, 0 };
  sample->documents[2] = (MsDocument){ "c", "en", NULL, "p1", "decode", 5000, N_TOKENS - 5000 };
  sample->corpus = (MsCorpus){ .name = "texts",
                               .tokenizer = "t",
                               .n_tokens = N_TOKENS,
                               .n_documents = 3,
                               .documents = sample->documents };
  sample->ids = g_new (gint32, N_TOKENS);
  sample->predicted = g_new (gint32, N_TOKENS);
  sample->loss = g_new (float, N_TOKENS);
  fill (sample, sample->loss, N_TOKENS, 9);
  for (guint i = 0; i < N_TOKENS; i++)
    {
      sample->ids[i] = (gint32) ms_random_below (&sample->seed, 1000);
      sample->predicted[i] = (gint32) ms_random_below (&sample->seed, 2000);
    }
  sample->run = (MsRun){ .name = "r",
                         .precision = "reference",
                         .collector = "test",
                         .storage = storage,
                         .columns = columns,
                         .predictions = TRUE };
  for (guint l = 0; l < 2; l++)
    {
      gsize slots = (gsize) N_TOKENS * sample->layers[l].gate.k;
      gsize scores = (gsize) N_TOKENS * sample->layers[l].gate.n_experts;

      sample->experts[l] = g_new (guint16, slots);
      fill_experts (sample, sample->experts[l], &sample->layers[l]);
      sample->dropped[l] = g_new0 (guint8, slots);
      for (gsize i = 0; i < slots; i++)
        sample->dropped[l][i] = (guint8) ms_random_below (&sample->seed, 2);
      sample->weights[l] = g_new (float, slots);
      fill (sample, sample->weights[l], slots, 0.7f);
      for (gsize i = 0; i < slots; i++)
        if (sample->experts[l][i] == MS_NO_EXPERT)
          sample->weights[l][i] = 0;
      sample->norms[l] = g_new (float, slots);
      fill (sample, sample->norms[l], slots, 10);
      sample->peaks[l] = g_new (float, slots);
      fill (sample, sample->peaks[l], slots, 5);
      sample->entropy[l] = g_new (float, N_TOKENS);
      fill (sample, sample->entropy[l], N_TOKENS, (float) log (sample->layers[l].gate.n_experts));
      sample->entropy[l][17] = NAN;
      sample->margin[l] = g_new (float, N_TOKENS);
      fill (sample, sample->margin[l], N_TOKENS, 0.01f);
      sample->margin[l][17] = 1e9f;
      sample->margin[l][18] = INFINITY; /* as older programs wrote where nothing is rejected */
      sample->similarity[l] = g_new (float, N_TOKENS);
      fill (sample, sample->similarity[l], N_TOKENS, 1);
      sample->logits[l] = g_new (float, scores);
      fill (sample, sample->logits[l], scores, 20);
    }
}

static void
sample_clear (Sample *sample)
{
  g_autofree char *folder = g_path_get_dirname (sample->path);

  g_remove (sample->path);
  g_rmdir (folder);
  g_free (sample->path);
  g_free (sample->ids);
  g_free (sample->predicted);
  g_free (sample->loss);
  g_free (sample->run.started);
  for (guint l = 0; l < 2; l++)
    {
      g_free (sample->experts[l]);
      g_free (sample->weights[l]);
      g_free (sample->entropy[l]);
      g_free (sample->margin[l]);
      g_free (sample->logits[l]);
      g_free (sample->norms[l]);
      g_free (sample->peaks[l]);
      g_free (sample->similarity[l]);
      g_free (sample->dropped[l]);
    }
}

static const guint8 *
piece (gint32 id, gsize *length, gpointer data)
{
  static char text[16];

  (void) data;
  if (id % 7 == 0)
    return NULL;
  *length = (gsize) g_snprintf (text, sizeof text, "<%d>", id);
  return (const guint8 *) text;
}

static gboolean
put (Sample *sample, MsWriter *writer, GError **error)
{
  guint first = ms_writer_next_block (writer) * MS_BLOCK_TOKENS;
  MsDecisions blocks[2];

  for (guint l = 0; l < 2; l++)
    {
      gsize slots = (gsize) first * sample->layers[l].gate.k;

      blocks[l]
          = (MsDecisions){ sample->experts[l] + slots,
                           sample->weights[l] + slots,
                           sample->entropy[l] + first,
                           sample->margin[l] + first,
                           sample->logits[l] + (gsize) first * sample->layers[l].gate.n_experts,
                           sample->norms[l] + slots,
                           sample->peaks[l] + slots,
                           sample->similarity[l] + first,
                           sample->dropped[l] + slots };
    }
  return ms_writer_put_block (writer, blocks, sample->predicted + first, sample->loss + first,
                              error);
}

static MsWriter *
begin (Sample *sample, MsDb *db)
{
  GError *error = NULL;
  MsWriter *writer = ms_writer_new (db, &sample->model, &sample->corpus, sample->ids, &sample->run,
                                    piece, NULL, &error);

  g_assert_no_error (error);
  return writer;
}

/* Writes blocks until `until` are there; all three finish the run. */
static void
write_blocks (Sample *sample, guint until)
{
  GError *error = NULL;
  g_autoptr (MsDb) db = ms_db_open (sample->path, MS_DB_CREATE, &error);
  g_autoptr (MsWriter) writer = NULL;

  g_assert_no_error (error);
  writer = begin (sample, db);
  while (ms_writer_next_block (writer) < until)
    {
      put (sample, writer, &error);
      g_assert_no_error (error);
    }
  if (until == 3)
    {
      ms_writer_finish (writer, &error);
      g_assert_no_error (error);
    }
}

static void
assert_near (const float *a, const float *b, gsize n, double absolute)
{
  for (gsize i = 0; i < n; i++)
    if (isnan (a[i]) != isnan (b[i]) || fabs ((double) a[i] - (double) b[i]) > absolute)
      g_error ("value %" G_GSIZE_FORMAT ": %g is not %g", i, (double) b[i], (double) a[i]);
}

static void
read_back (Sample *sample, double weight_error, double entropy_error)
{
  GError *error = NULL;
  g_autoptr (MsReader) reader = ms_reader_new (sample->path, sample->run.id, &error);
  g_autofree gint32 *ids = g_new (gint32, N_TOKENS);
  g_autofree float *loss = g_new (float, N_TOKENS);
  gboolean exact = sample->run.storage == MS_STORAGE_EXACT;
  const guint8 *bytes;
  gsize length;

  g_assert_no_error (error);
  for (guint b = 0; b < 3; b++)
    for (guint l = 0; l < 2; l++)
      {
        const MsChunk *chunk = ms_reader_chunk (reader, b, l, sample->run.columns, l, &error);
        const MsLayer *layer = &sample->layers[l];
        gsize first = (gsize) b * MS_BLOCK_TOKENS, slots = first * layer->gate.k, n, m;
        guint64 counts[300] = { 0 }, expected[300] = { 0 };

        g_assert_no_error (error);
        g_assert_cmpuint (chunk->first_token, ==, first);
        g_assert_cmpuint (chunk->n_tokens, ==, b < 2 ? 4096 : N_TOKENS - 8192);
        g_assert_cmpuint (chunk->k, ==, layer->gate.k);
        g_assert_cmpuint (chunk->n_experts, ==, layer->gate.n_experts);
        g_assert_cmpuint (chunk->id_bytes, ==, l == 0 ? 1 : 2);
        n = chunk->n_tokens;
        m = n * chunk->k;
        assert_bytes (chunk->experts, sample->experts[l] + slots, m * 2);
        assert_near (sample->weights[l] + slots, chunk->weights, m, weight_error);
        assert_near (sample->entropy[l] + first, chunk->entropy, n, entropy_error);
        for (gsize i = 0; i < n; i++)
          {
            float margin = sample->margin[l][first + i];

            if (isinf (margin))
              g_assert_true (isnan (chunk->margin[i]));
            else if (exact)
              g_assert_true (chunk->margin[i] == margin);
            else
              g_assert_true (chunk->margin[i] == ms_half_to_float (ms_half_from_float (margin))
                             || chunk->margin[i] == 65504.0f);
          }
        if (sample->run.columns & MS_CHUNK_LOGITS)
          {
            gsize scores = n * layer->gate.n_experts;

            assert_bytes (chunk->logits, sample->logits[l] + first * layer->gate.n_experts,
                          scores * 4);
            assert_bytes (chunk->norms, sample->norms[l] + slots, m * 4);
            assert_bytes (chunk->peaks, sample->peaks[l] + slots, m * 4);
            assert_bytes (chunk->similarity, sample->similarity[l] + first, n * 4);
            assert_bytes (chunk->dropped, sample->dropped[l] + slots, m);
          }
        else
          g_assert_null (chunk->logits);
        for (guint from = 0; from < n; from += 1000)
          ms_chunk_count (chunk, from, (guint) MIN (1000, n - from), counts);
        for (gsize i = 0; i < m; i++)
          if (chunk->experts[i] != MS_NO_EXPERT)
            expected[chunk->experts[i]]++;
        assert_bytes (counts, expected, sizeof counts);
      }
  ms_reader_tokens (reader, 100, 9000, ids, &error);
  g_assert_no_error (error);
  assert_bytes (ids, sample->ids + 100, 9000 * 4);
  ms_reader_predictions (reader, 4000, 5000, ids, loss, &error);
  g_assert_no_error (error);
  assert_bytes (ids, sample->predicted + 4000, 5000 * 4);
  assert_bytes (loss, sample->loss + 4000, 5000 * 4);
  for (guint i = 0; i < N_TOKENS; i++)
    {
      gboolean there = ms_reader_piece (reader, sample->predicted[i], &bytes, &length);

      g_assert_true (there == (sample->predicted[i] % 7 != 0));
      if (there)
        {
          gsize expected = 0;
          const guint8 *text = piece (sample->predicted[i], &expected, NULL);

          g_assert_cmpuint (length, ==, expected);
          assert_bytes (bytes, text, length);
        }
    }
  g_assert_false (ms_reader_tokens (reader, 0, N_TOKENS + 1, ids, NULL));
  g_assert_null (ms_reader_chunk (reader, 3, 0, 0, 0, &error));
  g_assert_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND);
  g_clear_error (&error);
}

#define USUAL (MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN)

static void
test_compact (void)
{
  Sample sample;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 3);
  read_back (&sample, 0.7 / 65535 / 2 * 1.01, log (300) / 65534 / 2 * 1.01);
  sample_clear (&sample);
}

static void
test_exact (void)
{
  Sample sample;

  sample_init (&sample, MS_STORAGE_EXACT, (1 << 9) - 1);
  write_blocks (&sample, 3);
  read_back (&sample, 0, 0);
  sample_clear (&sample);
}

static void
test_catalogue (void)
{
  GError *error = NULL;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (GPtrArray) runs = NULL;
  g_autoptr (MsModel) model = NULL;
  g_autoptr (MsCorpus) corpus = NULL;
  g_autofree char *wal = NULL;
  MsRun *run;
  Sample sample;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 3);
  wal = g_strconcat (sample.path, "-wal", NULL);
  g_assert_false (g_file_test (wal, G_FILE_TEST_EXISTS));
  db = ms_db_open (sample.path, MS_DB_READ, &error);
  g_assert_no_error (error);
  runs = ms_db_list_runs (db, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (runs->len, ==, 1);
  run = runs->pdata[0];
  g_assert_cmpstr (run->name, ==, "r");
  g_assert_cmpint (run->n_tokens, ==, N_TOKENS);
  g_assert_cmpuint (run->columns, ==, USUAL);
  g_assert_nonnull (run->finished);
  g_assert_true (run->predictions);
  model = ms_db_load_model (db, run->model, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (model->n_layers, ==, 2);
  assert_bytes (model->layers, sample.layers, sizeof sample.layers);
  g_assert_cmpfloat (model->weight_scale, ==, 2.5);
  corpus = ms_db_load_corpus (db, run->corpus, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (corpus->n_documents, ==, 3);
  g_assert_cmpstr (corpus->documents[2].language, ==, "en");
  g_assert_cmpstr (corpus->documents[0].parallel, ==, "p1");
  g_assert_null (corpus->documents[1].domain);
  g_assert_null (ms_db_load_run (db, 9, &error));
  g_assert_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_clear_pointer (&db, ms_db_close);
  sample_clear (&sample);
}

static void
test_resume (void)
{
  GError *error = NULL;
  Sample sample;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (GPtrArray) runs = NULL;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 1);
  write_blocks (&sample, 2);
  g_assert_cmpint (sample.run.n_tokens, ==, 4096);
  sample.run.precision = "fast"; /* other settings: another run, the same model and corpus */
  write_blocks (&sample, 1);
  sample.run.precision = "reference";
  write_blocks (&sample, 3);
  read_back (&sample, 1, 1);
  write_blocks (&sample, 3); /* finished runs are not resumed */
  sample.run.id = -1;
  sample.run.precision = "fast"; /* nor those that are to begin anew */
  write_blocks (&sample, 1);
  db = ms_db_open (sample.path, MS_DB_READ, &error);
  g_assert_no_error (error);
  runs = ms_db_list_runs (db, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (runs->len, ==, 4);
  for (guint i = 0; i < runs->len; i++)
    {
      MsRun *run = runs->pdata[i];

      g_assert_cmpint (run->model, ==, 1);
      g_assert_cmpint (run->corpus, ==, 1);
      g_assert_true ((run->finished != NULL) == (run->n_tokens == N_TOKENS));
    }
  g_clear_pointer (&db, ms_db_close);
  sample_clear (&sample);
}

/* --- What is refused ------------------------------------------------------------------------ */

/* Opens, lists and reads all that the file holds; FALSE with the first error. */
static gboolean
read_all (const char *path, GError **error)
{
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_READ, error);
  g_autoptr (GPtrArray) runs = db == NULL ? NULL : ms_db_list_runs (db, error);
  g_autofree gint32 *ids = g_new (gint32, N_TOKENS);

  if (runs == NULL)
    return FALSE;
  for (guint i = 0; i < runs->len; i++)
    {
      const MsRun *run = runs->pdata[i];
      g_autoptr (MsCorpus) corpus = ms_db_load_corpus (db, run->corpus, error);
      g_autoptr (MsReader) reader = corpus == NULL ? NULL : ms_reader_new (path, run->id, error);
      guint64 counts[MS_MAX_EXPERTS + 1];

      if (reader == NULL || run->n_tokens > N_TOKENS
          || !ms_reader_tokens (reader, 0, run->n_tokens, ids, error)
          || !ms_reader_predictions (reader, 0, run->n_tokens, ids, NULL, error))
        return FALSE;
      for (guint b = 0; b * MS_BLOCK_TOKENS < run->n_tokens; b++)
        for (guint l = 0; l < ms_reader_model (reader)->n_layers; l++)
          {
            const MsChunk *chunk = ms_reader_chunk (reader, b, l, run->columns, 0, error);

            if (chunk == NULL)
              return FALSE;
            ms_chunk_count (chunk, 0, chunk->n_tokens, counts);
          }
    }
  return TRUE;
}

static void
count_findings (gboolean bad, const char *finding, gpointer data)
{
  g_assert_cmpuint (strlen (finding), >, 0);
  *(guint *) data += bad;
}

/* Changes the file by SQL that knows nothing of our rules. */
static void
damage (const char *path, const char *sql)
{
  sqlite3 *handle;
  char *message = NULL;

  g_assert_cmpint (sqlite3_open (path, &handle), ==, SQLITE_OK);
  sqlite3_exec (handle, sql, NULL, NULL, &message);
  if (message != NULL)
    g_error ("%s: %s", sql, message);
  sqlite3_close (handle);
}

static void
test_damage (void)
{
  static const char *const damages[][2] = {
    { "UPDATE chunk SET experts = substr (experts, 2) WHERE chunk = 2", "ids of" },
    { "UPDATE chunk SET experts = x'' WHERE chunk = 1", "0 bytes found" },
    { "UPDATE chunk SET experts = zeroblob (length (experts)) WHERE chunk = 3", "checksum" },
    { "UPDATE chunk SET crc = crc + 1 WHERE chunk = 4", "checksum" },
    { "UPDATE chunk SET weights = zeroblob (length (weights)) WHERE chunk = 4", "checksum" },
    { "UPDATE chunk SET weights = zeroblob (7) WHERE chunk = 4", "bytes expected, 7" },
    { "UPDATE chunk SET entropy = NULL WHERE chunk = 5", "entropy" },
    { "UPDATE chunk SET scale = 1e999 WHERE chunk = 5", "checksum" },
    { "UPDATE chunk SET k = 99 WHERE chunk = 1", "size" },
    { "UPDATE chunk SET n_tokens = -1 WHERE chunk = 1", "size" },
    { "UPDATE chunk SET first_token = 5 WHERE chunk = 1", "size" },
    { "UPDATE chunk SET block = 77 WHERE chunk = 6", "whole blocks" },
    { "DELETE FROM chunk WHERE chunk = 3", "whole blocks" },
    { "UPDATE layer SET k = 1000 WHERE layer = 1", "k = 1000" },
    { "UPDATE layer SET k = 12 WHERE layer = 1", "size" },
    { "UPDATE layer SET experts = 70000 WHERE layer = 1", "experts = 70000" },
    { "UPDATE layer SET experts = 2 WHERE layer = 1", "k = 3" },
    { "UPDATE layer SET experts = 10 WHERE layer = 1", "not below 10" },
    { "DELETE FROM layer", "no MoE layers" },
    { "DELETE FROM model", "no model" },
    { "UPDATE corpus SET n_tokens = -5", "whole blocks" },
    { "UPDATE corpus SET n_tokens = 1 << 60", "whole blocks" },
    { "UPDATE corpus SET n_tokens = 9999", "documents" },
    { "UPDATE document SET first_token = 7 WHERE document = 1", "follow" },
    { "UPDATE document SET n_tokens = 1 << 62 WHERE document = 0", "follow" },
    { "DELETE FROM document", "documents" },
    { "UPDATE run SET columns = 'experts nonsense'", "unknown columns" },
    { "UPDATE token_block SET ids = x'01020304' WHERE block = 1", "tokens of block 1" },
    { "DELETE FROM token_block WHERE block = 2", "block 2" },
    { "DELETE FROM prediction WHERE block = 1", "block 1" },
    { "UPDATE prediction SET loss = NULL WHERE block = 1", "block 1" },
    { "DROP TABLE chunk", "damaged" },
  };
  Sample sample;
  g_autofree char *whole = NULL;
  gsize length;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 3);
  g_file_get_contents (sample.path, &whole, &length, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (damages); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (MsDb) db = NULL;
      guint n_bad = 0, n_told = 0;

      g_file_set_contents (sample.path, whole, (gssize) length, NULL);
      damage (sample.path, damages[i][0]);
      g_assert_false (read_all (sample.path, &error));
      g_assert_true (error->domain == MS_DB_ERROR);
      if (strstr (error->message, damages[i][1]) == NULL)
        g_error ("%s: '%s' is not about '%s'", damages[i][0], error->message, damages[i][1]);
      g_assert_nonnull (strstr (error->message, sample.path));
      g_clear_error (&error);
      db = ms_db_open (sample.path, MS_DB_READ, &error);
      g_assert_no_error (error);
      ms_db_check (db, count_findings, &n_told, &n_bad, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (n_bad, ==, n_told);
      g_assert_cmpuint (n_bad, >, 0);
    }
  sample_clear (&sample);
}

/* Bytes changed and files cut anywhere: an error or right numbers, never a crash. */
static void
test_noise (void)
{
  Sample sample;
  g_autofree char *whole = NULL;
  gsize length;
  guint64 state = 3;
  guint n_noticed = 0;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 3);
  g_file_get_contents (sample.path, &whole, &length, NULL);
  for (guint i = 0; i < 150; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (MsDb) db = NULL;
      g_autofree char *copy = g_memdup2 (whole, length);
      gsize n = i % 3 == 0 ? ms_random_below (&state, length) : length;
      guint n_bad = 0, n_told = 0;

      for (guint j = 0; i % 3 != 0 && j < 1 + i % 20; j++)
        {
          /* The first pages hold the structure: hit them more often. */
          gsize at = ms_random_below (&state, i % 2 ? length : 16384);

          copy[at] = (char) ms_random_next (&state);
        }
      g_file_set_contents (sample.path, copy, (gssize) n, NULL);
      n_noticed += !read_all (sample.path, &error);
      db = ms_db_open (sample.path, MS_DB_READ, NULL);
      if (db != NULL)
        ms_db_check (db, count_findings, &n_told, &n_bad, NULL);
    }
  g_assert_cmpuint (n_noticed, >, 100);
  sample_clear (&sample);
}

static void
assert_refused (const char *path, MsDbMode mode, int code, const char *about)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (ms_db_open (path, mode, &error));
  g_assert_error (error, MS_DB_ERROR, code);
  if (strstr (error->message, about) == NULL)
    g_error ("'%s' is not about '%s'", error->message, about);
}

static void
test_refusals (void)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-db-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "a.db", NULL);
  g_autofree char *before = NULL, *after = NULL;
  gsize n_before, n_after;

  assert_refused (path, MS_DB_READ, MS_DB_ERROR_IO, "No such file");
  assert_refused (path, MS_DB_WRITE, MS_DB_ERROR_IO, "No such file");
  assert_refused (folder, MS_DB_CREATE, MS_DB_ERROR_IO, folder);
  g_file_set_contents (path, "", 0, NULL);
  assert_refused (path, MS_DB_READ, MS_DB_ERROR_NOT_OURS, "empty");
  g_file_set_contents (path, "what a text", -1, NULL);
  for (guint mode = MS_DB_READ; mode <= MS_DB_CREATE; mode++)
    assert_refused (path, mode, MS_DB_ERROR_NOT_OURS, "no moescope file");
  g_remove (path);
  damage (path, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  g_file_get_contents (path, &before, &n_before, NULL);
  for (guint mode = MS_DB_READ; mode <= MS_DB_CREATE; mode++)
    assert_refused (path, mode, MS_DB_ERROR_NOT_OURS, "another program");
  g_file_get_contents (path, &after, &n_after, NULL);
  g_assert_cmpuint (n_before, ==, n_after);
  assert_bytes (before, after, n_before);
  g_remove (path);
  ms_db_close (ms_db_open (path, MS_DB_CREATE, NULL));
  damage (path, "PRAGMA user_version = 2");
  for (guint mode = MS_DB_READ; mode <= MS_DB_CREATE; mode++)
    assert_refused (path, mode, MS_DB_ERROR_TOO_NEW, "update moescope");
  damage (path, "PRAGMA user_version = 0");
  assert_refused (path, MS_DB_CREATE, MS_DB_ERROR_CORRUPT, "version");
  g_remove (path);
  g_rmdir (folder);
}

/* What cannot be stored is refused before anything changes, and the block can be put again. */
static void
test_bad_values (void)
{
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsWriter) writer = NULL;
  Sample sample;
  guint16 *experts;
  float *weights;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  experts = sample.experts[0];
  weights = sample.weights[0];
  db = ms_db_open (sample.path, MS_DB_CREATE, NULL);
  writer = begin (&sample, db);
#define ASSERT_BAD(place, value, about)                                                            \
  {                                                                                                \
    g_autoptr (GError) error = NULL;                                                               \
    __typeof__ (place) saved = place;                                                              \
                                                                                                   \
    place = value;                                                                                 \
    g_assert_false (put (&sample, writer, &error));                                                \
    g_assert_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE);                                    \
    g_assert_nonnull (strstr (error->message, about));                                             \
    place = saved;                                                                                 \
  }
  ASSERT_BAD (experts[4], 12, "no expert 12");
  ASSERT_BAD (experts[4], experts[3], "twice");
  ASSERT_BAD (experts[3], MS_NO_EXPERT, "unused slot");
  ASSERT_BAD (weights[3], NAN, "weight nan");
  ASSERT_BAD (weights[3], INFINITY, "weight inf");
  ASSERT_BAD (weights[3], -0.5f, "exact");
#undef ASSERT_BAD
  g_assert_cmpuint (ms_writer_next_block (writer), ==, 0);
  g_assert_true (put (&sample, writer, NULL));
  g_assert_false (ms_writer_finish (writer, NULL));
  g_clear_pointer (&writer, ms_writer_free);
  sample.documents[1].name = (char *) "a";
  g_assert_null (
      ms_writer_new (db, &sample.model, &sample.corpus, sample.ids, &sample.run, NULL, NULL, NULL));
  sample.documents[1].name = (char *) "b";
  sample.layers[0].gate.k = 13;
  g_assert_null (
      ms_writer_new (db, &sample.model, &sample.corpus, sample.ids, &sample.run, NULL, NULL, NULL));
  g_clear_pointer (&db, ms_db_close);
  sample_clear (&sample);
}

/* One database of every format that was ever written opens and says the same for ever. */
static void
test_first_format (void)
{
  g_autofree char *path
      = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests/data/format-1.db", NULL);
  GError *error = NULL;
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_READ, &error);
  g_autoptr (MsRun) run = NULL;
  g_autoptr (MsReader) reader = NULL;
  const MsChunk *chunk;
  guint n_bad = 0, n_told = 0;

  g_assert_no_error (error);
  ms_db_check (db, count_findings, &n_told, &n_bad, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (n_bad, ==, 0);
  run = ms_db_load_run (db, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpint (run->n_tokens, ==, 7);
  reader = ms_reader_new (path, run->id, &error);
  g_assert_no_error (error);
  chunk = ms_reader_chunk (reader, 0, 1, run->columns, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (chunk->k, ==, 2);
  g_assert_cmpuint (chunk->n_experts, ==, 4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/db/compact", test_compact);
  g_test_add_func ("/db/exact", test_exact);
  g_test_add_func ("/db/catalogue", test_catalogue);
  g_test_add_func ("/db/resume", test_resume);
  g_test_add_func ("/db/bad-values", test_bad_values);
  g_test_add_func ("/db/refusals", test_refusals);
  g_test_add_func ("/db/damage", test_damage);
  g_test_add_func ("/db/noise", test_noise);
  g_test_add_func ("/db/first-format", test_first_format);
  return g_test_run ();
}
