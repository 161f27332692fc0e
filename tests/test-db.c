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
      guint16 *row = experts + (gsize) t * layer->k;
      guint used = t % 10 == 3 ? layer->k - 1 : layer->k;

      for (guint i = 0; i < layer->k; i++)
        {
          gboolean again = i < used;

          row[i] = MS_NO_EXPERT;
          while (again)
            {
              row[i] = (guint16) ms_random_below (&sample->seed, layer->n_experts);
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
  sample->layers[0] = (MsLayer){ 1, 12, 3, 0 };
  sample->layers[1] = (MsLayer){ 3, 300, 2, 4 };
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
      gsize slots = (gsize) N_TOKENS * sample->layers[l].k;
      gsize scores = (gsize) N_TOKENS * sample->layers[l].n_experts;

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
      fill (sample, sample->entropy[l], N_TOKENS, (float) log (sample->layers[l].n_experts));
      sample->entropy[l][17] = NAN;
      sample->margin[l] = g_new (float, N_TOKENS);
      fill (sample, sample->margin[l], N_TOKENS, 0.01f);
      sample->margin[l][17] = 1e9f;
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
  MsLayerBlock blocks[2];

  for (guint l = 0; l < 2; l++)
    {
      gsize slots = (gsize) first * sample->layers[l].k;

      blocks[l] = (MsLayerBlock){ sample->experts[l] + slots,
                                  sample->weights[l] + slots,
                                  sample->entropy[l] + first,
                                  sample->margin[l] + first,
                                  sample->logits[l] + (gsize) first * sample->layers[l].n_experts,
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
        gsize first = (gsize) b * MS_BLOCK_TOKENS, slots = first * layer->k, n, m;
        guint64 counts[300] = { 0 }, expected[300] = { 0 };

        g_assert_no_error (error);
        g_assert_cmpuint (chunk->first_token, ==, first);
        g_assert_cmpuint (chunk->n_tokens, ==, b < 2 ? 4096 : N_TOKENS - 8192);
        g_assert_cmpuint (chunk->k, ==, layer->k);
        g_assert_cmpuint (chunk->n_experts, ==, layer->n_experts);
        g_assert_cmpuint (chunk->id_bytes, ==, l == 0 ? 1 : 2);
        n = chunk->n_tokens;
        m = n * chunk->k;
        assert_bytes (chunk->experts, sample->experts[l] + slots, m * 2);
        assert_near (sample->weights[l] + slots, chunk->weights, m, weight_error);
        assert_near (sample->entropy[l] + first, chunk->entropy, n, entropy_error);
        for (gsize i = 0; i < n; i++)
          {
            float margin = sample->margin[l][first + i];

            if (exact)
              g_assert_true (chunk->margin[i] == margin);
            else
              g_assert_true (chunk->margin[i] == ms_half_to_float (ms_half_from_float (margin))
                             || chunk->margin[i] == 65504.0f);
          }
        if (sample->run.columns & MS_CHUNK_LOGITS)
          {
            gsize scores = n * layer->n_experts;

            assert_bytes (chunk->logits, sample->logits[l] + first * layer->n_experts, scores * 4);
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/db/compact", test_compact);
  g_test_add_func ("/db/exact", test_exact);
  g_test_add_func ("/db/catalogue", test_catalogue);
  g_test_add_func ("/db/resume", test_resume);
  return g_test_run ();
}
