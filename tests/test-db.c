/* The file: what is written is read back, what is damaged is refused with one clear message. */
#include "db.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>

#define assert_bytes(a, b, n) g_assert_true (memcmp ((a), (b), (n)) == 0)

/* A run with two layers of different shape, made from a seed. */
typedef struct
{
  char *path;
  MsModel model;
  MsLayer layers[2];
  float bias[300]; /* of the second layer */
  MsDestination destinations[2];
  MsTokenLabel ranges[2];
  char *label_names[1], *label_values[1];
  MsCorpus corpus;
  MsDocument documents[3];
  gint32 *ids;
  MsRun run;
  guint64 seed;
  guint16 *experts[2];
  float *weights[2], *entropy[2], *margin[2], *logits[2], *norms[2], *peaks[2], *similarity[2],
      *outcome[2];
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
  sample->layers[1].block = -1;
  sample->layers[1].name = "round 3";
  sample->layers[1].gate.scoring = MS_SCORING_SIGMOID;
  sample->layers[1].gate.groups = 4;
  sample->layers[0].gate.scoring = MS_SCORING_SOFTMAX;
  sample->layers[1].gate.groups_used = 2;
  sample->layers[1].gate.group_rule = MS_GROUP_BEST;
  sample->layers[1].gate.renormalise = TRUE;
  sample->layers[1].gate.scale = 2.5f;
  sample->layers[1].gate.biased = TRUE;
  for (guint e = 0; e < 300; e++)
    sample->bias[e] = (float) e / 64 - 2;
  sample->layers[1].gate.selection_bias = sample->bias;
  sample->destinations[0] = (MsDestination){ 0, 5, "nothing", "null", NULL, 0 };
  sample->destinations[1] = (MsDestination){ 1, 7, NULL, "model", "a router", NAN };
  sample->model = (MsModel){ .name = "m",
                             .architecture = "olmoe",
                             .fingerprint = "ab",
                             .n_blocks = 4,
                             .width = 64,
                             .expert_bytes = 1000,
                             .n_layers = 2,
                             .layers = sample->layers,
                             .n_destinations = 2,
                             .destinations = sample->destinations };
  sample->documents[0] = (MsDocument){ .name = "a",
                                       .language = "de",
                                       .domain = "code",
                                       .parallel = "p1",
                                       .phase = "prefill",
                                       .n_tokens = 5000 };
  sample->documents[1] = (MsDocument){ .name = "b", .first_token = 5000 };
  sample->documents[2] = (MsDocument){ .name = "c",
                                       .language = "en",
                                       .parallel = "p1",
                                       .phase = "decode",
                                       .first_token = 5000,
                                       .n_tokens = N_TOKENS - 5000 };
  sample->corpus = (MsCorpus){ .name = "texts",
                               .tokenizer = "t",
                               .n_tokens = N_TOKENS,
                               .n_documents = 3,
                               .documents = sample->documents };
  sample->corpus.unit = "query";
  sample->corpus.n_more = 1;
  sample->corpus.more = sample->label_names;
  sample->label_names[0] = "source";
  sample->label_values[0] = "web";
  sample->documents[2].more = sample->label_values;
  sample->ranges[0] = (MsTokenLabel){ "phase", "decode", 100, 100 };
  sample->ranges[1] = (MsTokenLabel){ "phase", "prefill", 200, 50 };
  sample->corpus.n_ranges = 2;
  sample->corpus.ranges = sample->ranges;
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
      sample->outcome[l] = g_new (float, scores);
      fill (sample, sample->outcome[l], scores, 3);
      sample->outcome[l][5] = NAN; /* nobody knows */
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
      g_free (sample->outcome[l]);
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
                           sample->dropped[l] + slots,
                           sample->outcome[l] + (gsize) first * sample->layers[l].gate.n_experts };
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
            assert_bytes (chunk->outcome, sample->outcome[l] + first * layer->gate.n_experts,
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

  sample_init (&sample, MS_STORAGE_EXACT, MS_COLUMNS_ALL);
  write_blocks (&sample, 3);
  read_back (&sample, 0, 0);
  sample_clear (&sample);
}

/* Gates and destinations come back as they were given. */
static void
check_gates (const MsModel *given, const MsModel *read)
{
  for (guint l = 0; l < 2; l++)
    {
      const MsGate *a = &given->layers[l].gate, *b = &read->layers[l].gate;
      g_autofree char *first = ms_gate_describe (a), *second = ms_gate_describe (b);

      g_assert_cmpstr (first, ==, second);
      g_assert_cmpint (a->scoring, ==, b->scoring);
      g_assert_cmpint (a->group_rule, ==, b->group_rule);
      g_assert_cmpfloat (a->scale, ==, b->scale);
      g_assert_cmpint (a->biased, ==, b->biased);
      if (a->selection_bias == NULL)
        g_assert_null (b->selection_bias);
      else
        assert_bytes (a->selection_bias, b->selection_bias, a->n_experts * sizeof (float));
    }
  g_assert_cmpuint (read->n_destinations, ==, 2);
  g_assert_null (ms_model_destination (read, 0, 3));
  g_assert_cmpstr (ms_model_destination (read, 0, 5)->kind, ==, "null");
  g_assert_cmpfloat (ms_model_destination (read, 0, 5)->cost, ==, 0);
  g_assert_cmpstr (ms_model_destination (read, 1, 7)->owner, ==, "a router");
  g_assert_true (isnan (ms_model_destination (read, 1, 7)->cost));
}

/* Labels of any name, of documents and of tokens inside them, and what is routed. */
static void
check_labels (const MsCorpus *corpus)
{
  g_assert_cmpstr (corpus->unit, ==, "query");
  g_assert_cmpuint (ms_corpus_n_labels (corpus), ==, MS_N_KNOWN_LABELS + 1);
  g_assert_cmpint (ms_corpus_find_label (corpus, "source"), ==, MS_N_KNOWN_LABELS);
  g_assert_cmpint (ms_corpus_find_label (corpus, "domain"), ==, MS_LABEL_DOMAIN);
  g_assert_cmpint (ms_corpus_find_label (corpus, "nothing"), ==, -1);
  g_assert_null (ms_document_label (&corpus->documents[0], MS_N_KNOWN_LABELS));
  g_assert_cmpstr (ms_document_label (&corpus->documents[2], MS_N_KNOWN_LABELS), ==, "web");
  g_assert_cmpuint (corpus->n_ranges, ==, 2);
  g_assert_cmpstr (corpus->ranges[0].value, ==, "decode");
  g_assert_cmpint (corpus->ranges[1].first_token, ==, 200);
  g_assert_cmpint (corpus->ranges[1].n_tokens, ==, 50);
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
  g_assert_cmpint (model->layers[0].block, ==, 1);
  g_assert_cmpint (model->layers[1].block, ==, -1);
  g_assert_null (model->layers[0].name);
  g_assert_cmpstr (model->layers[1].name, ==, "round 3");
  check_gates (&sample.model, model);
  corpus = ms_db_load_corpus (db, run->corpus, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (corpus->n_documents, ==, 3);
  g_assert_cmpstr (corpus->documents[2].language, ==, "en");
  g_assert_cmpstr (corpus->documents[0].parallel, ==, "p1");
  g_assert_null (corpus->documents[1].domain);
  check_labels (corpus);
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

/* What another program does with the file at `path`: exits with 0, 1 when it was busy, or 2. */
static int
be_other_program (const char *what, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_WRITE, &error);
  g_autoptr (MsWriter) writer = NULL;
  Sample sample;
  gboolean good;

  if (db == NULL)
    return 2;
  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  if (strcmp (what, "write") == 0)
    {
      writer = ms_writer_new (db, &sample.model, &sample.corpus, sample.ids, &sample.run, piece,
                              NULL, &error);
      good = writer != NULL;
    }
  else
    good = ms_db_remove_run (db, 1, NULL, &error);
  g_clear_pointer (&writer, ms_writer_free);
  sample_clear (&sample);
  if (good)
    return 0;
  return g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_BUSY)
                 && strstr (error->message, "is being written by another program") != NULL
             ? 1
             : 2;
}

/* A program of its own: a fork would know of its parent's locks. */
static int
in_other_program (const char *what, const Sample *sample)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  const char *argv[] = { self, "--other", what, sample->path, NULL };
  g_autoptr (GError) error = NULL;
  int status;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

/* One writer per run: while it is there, others are refused in this and in other programs, whatever else opens
 * and closes the file meanwhile. */
static void
test_one_writer (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsDb) second = NULL;
  g_autoptr (MsWriter) writer = NULL;
  Sample sample;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 1);
  db = ms_db_open (sample.path, MS_DB_WRITE, &error);
  writer = begin (&sample, db);
  g_assert_cmpint (in_other_program ("write", &sample), ==, 1);
  g_assert_cmpint (in_other_program ("remove", &sample), ==, 1);
  second = ms_db_open (sample.path, MS_DB_WRITE, &error);
  g_assert_no_error (error);
  g_assert_null (ms_writer_new (second, &sample.model, &sample.corpus, sample.ids, &sample.run,
                                piece, NULL, &error));
  g_assert_error (error, MS_DB_ERROR, MS_DB_ERROR_BUSY);
  g_clear_error (&error);
  g_clear_pointer (&second, ms_db_close);
  g_assert_cmpint (in_other_program ("write", &sample), ==, 1);
  g_assert_true (put (&sample, writer, NULL));
  g_clear_pointer (&writer, ms_writer_free);
  g_assert_cmpint (in_other_program ("write", &sample), ==, 0);
  g_assert_cmpint (in_other_program ("remove", &sample), ==, 0);
  g_clear_pointer (&db, ms_db_close);
  sample_clear (&sample);
}

/* SQLite's own locks stay when other connections of the process come and go: without them a second program
 * would take the log away from under the first. */
static void
test_log_stays (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsWriter) writer = NULL;
  g_autofree char *wal = NULL;
  Sample sample;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 1);
  db = ms_db_open (sample.path, MS_DB_WRITE, &error);
  writer = begin (&sample, db);
  wal = g_strconcat (sample.path, "-wal", NULL);
  g_assert_true (put (&sample, writer, NULL));
  ms_db_close (ms_db_open (sample.path, MS_DB_READ, NULL));
  in_other_program ("write", &sample); /* opens the file and closes it */
  g_assert_true (g_file_test (wal, G_FILE_TEST_EXISTS));
  g_assert_true (put (&sample, writer, NULL));
  g_assert_true (ms_writer_finish (writer, &error));
  g_clear_pointer (&writer, ms_writer_free);
  g_clear_pointer (&db, ms_db_close);
  read_back (&sample, 1, 1);
  sample_clear (&sample);
}

static guint
count_rows (const char *path, const char *table)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_READ, &error);
  g_autofree char *sql = g_strdup_printf ("SELECT count(*) FROM %s", table);
  sqlite3_stmt *statement = NULL;
  guint n;

  g_assert_no_error (error);
  g_assert_cmpint (sqlite3_prepare_v2 (ms_db_handle (db), sql, -1, &statement, NULL), ==,
                   SQLITE_OK);
  g_assert_cmpint (sqlite3_step (statement), ==, SQLITE_ROW);
  n = (guint) sqlite3_column_int (statement, 0);
  sqlite3_finalize (statement);
  return n;
}

/* A run that nothing was recorded of is gone when its writer is, with model and corpus; one that a killed
 * program left is never the default and goes when the next writer comes. */
static void
test_empty (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsRun) run = NULL;
  Sample sample;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 0);
  g_assert_cmpuint (count_rows (sample.path, "run"), ==, 0);
  g_assert_cmpuint (count_rows (sample.path, "model"), ==, 0);
  g_assert_cmpuint (count_rows (sample.path, "corpus"), ==, 0);
  g_assert_cmpuint (count_rows (sample.path, "piece"), ==, 0);
  write_blocks (&sample, 3);
  damage (sample.path, "INSERT INTO run (run, name, model, corpus, started, precision, collector, "
                       "storage, columns, predictions) SELECT 2, 'left', model, corpus, started, "
                       "precision, collector, storage, columns, predictions FROM run");
  db = ms_db_open (sample.path, MS_DB_READ, &error);
  run = ms_db_load_run (db, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpint (run->id, ==, 1);
  g_clear_pointer (&db, ms_db_close);
  sample.run.id = -1;
  write_blocks (&sample, 1);
  g_assert_cmpint (sample.run.id, ==, 2);
  g_assert_cmpuint (count_rows (sample.path, "run"), ==, 2);
  sample_clear (&sample);
}

/* A run with a hole is told of beside the others, and goes on at the hole, whatever lies behind it. */
static void
test_hole (void)
{
  static const char *const holes[][2] = {
    { "DELETE FROM chunk WHERE run = 2 AND block = 0", "block 0 is missing" },
    { "DELETE FROM chunk WHERE run = 2 AND block = 1", "block 1 is missing" },
    { "DELETE FROM chunk WHERE run = 2 AND block = 1 AND layer = 1", "block 1 is missing" },
    { "UPDATE chunk SET block = 77 WHERE run = 2 AND block = 1 AND layer = 1", "up to 77" },
    { "UPDATE chunk SET block = -7 WHERE run = 2 AND block = 2", "block 0 is missing" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (holes); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (MsDb) db = NULL;
      g_autoptr (GPtrArray) runs = NULL;
      g_autoptr (MsRun) run = NULL;
      guint n_bad = 0, n_told = 0;
      Sample sample;

      sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
      write_blocks (&sample, 3);
      sample.run.id = -1;
      write_blocks (&sample, 3);
      damage (sample.path, "UPDATE run SET finished = NULL WHERE run = 2");
      damage (sample.path, holes[i][0]);
      db = ms_db_open (sample.path, MS_DB_READ, &error);
      runs = ms_db_list_runs (db, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (runs->len, ==, 2);
      g_assert_null (((MsRun *) runs->pdata[0])->damage);
      g_assert_cmpint (((MsRun *) runs->pdata[0])->n_tokens, ==, N_TOKENS);
      g_assert_nonnull (strstr (((MsRun *) runs->pdata[1])->damage, holes[i][1]));
      run = ms_db_load_run (db, 1, &error);
      g_assert_no_error (error);
      ms_db_check (db, count_findings, &n_told, &n_bad, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (n_bad, >=, 1);
      g_clear_pointer (&db, ms_db_close);
      sample.run.id = 0;
      write_blocks (&sample, 3);
      g_assert_cmpint (sample.run.id, ==, 2);
      read_back (&sample, 1, 1);
      db = ms_db_open (sample.path, MS_DB_READ, &error);
      ms_db_check (db, count_findings, &n_told, &n_bad, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (n_bad, ==, 0);
      g_clear_pointer (&db, ms_db_close);
      sample_clear (&sample);
    }
}

/* Of one of two runs only what is its own goes; of the last, all. */
static void
test_remove (void)
{
  static const char *const tables[]
      = { "run",      "chunk",          "chunk_column", "prediction",  "corpus",
          "document", "document_label", "token_label",  "token_block", "piece",
          "model",    "layer",          "finding",      "result" };
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = NULL;
  MsRemoved removed = { 0 };
  Sample sample;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 3);
  sample.run.id = -1;
  write_blocks (&sample, 2);
  damage (sample.path, "INSERT INTO result (analysis, version, run, selection, params, created) "
                       "VALUES ('load', 1, 2, '', '', '')");
  db = ms_db_open (sample.path, MS_DB_WRITE, &error);
  g_assert_false (ms_db_remove_run (db, 9, NULL, &error));
  g_assert_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (ms_db_remove_run (db, 2, &removed, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (removed.name, ==, "r");
  g_assert_cmpint (removed.blocks, ==, 2);
  g_assert_cmpint (removed.results, ==, 1);
  g_assert_false (removed.model || removed.corpus);
  g_clear_pointer (&removed.name, g_free);
  g_assert_cmpuint (count_rows (sample.path, "result"), ==, 0);
  g_assert_cmpuint (count_rows (sample.path, "chunk"), ==, 6);
  sample.run.id = 1;
  read_back (&sample, 1, 1);
  g_assert_true (ms_db_remove_run (db, 1, &removed, &error));
  g_assert_no_error (error);
  g_assert_true (removed.model && removed.corpus);
  g_clear_pointer (&removed.name, g_free);
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    g_assert_cmpuint (count_rows (sample.path, tables[i]), ==, 0);
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
    { "UPDATE corpus SET n_tokens = -5", "n_tokens = -5" },
    { "UPDATE corpus SET n_tokens = 1 << 60", "out of range" },
    { "UPDATE corpus SET n_tokens = 9999", "documents" },
    { "UPDATE corpus SET n_tokens = 1 << 36; UPDATE document SET n_tokens = (1 << 36) - "
      "first_token "
      "WHERE document = 2",
      "too small" },
    { "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) INSERT INTO "
      "document_label SELECT 1, 0, 'label' || i, 'x' FROM n",
      "kinds of labels" },
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
  damage (path, "PRAGMA user_version = 3");
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

/* A copy of a file of the first format in a folder of its own. */
static char *
copy_first_format (void)
{
  g_autofree char *path
      = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests/data/format-1.db", NULL);
  g_autofree char *folder = g_dir_make_tmp ("moescope-db-XXXXXX", NULL), *bytes = NULL;
  char *copy = g_build_filename (folder, "old.db", NULL);
  gsize n;

  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  g_assert_true (g_file_set_contents (copy, bytes, (gssize) n, NULL));
  return copy;
}

static void
remove_copy (char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);

  g_assert_cmpint (g_remove (path), ==, 0);
  g_rmdir (folder);
  g_free (path);
}

static void
run_sql (const char *path, const char *sql)
{
  sqlite3 *db;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

/* The text of one cell. */
static char *
ask (const char *path, const char *sql)
{
  sqlite3_stmt *statement = NULL;
  sqlite3 *db;
  char *text;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &statement, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_step (statement), ==, SQLITE_ROW);
  text = g_strdup ((const char *) sqlite3_column_text (statement, 0));
  sqlite3_finalize (statement);
  sqlite3_close (db);
  return text;
}

static void
check_old_labels (MsDb *db)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsCorpus) corpus = ms_db_load_corpus (db, 1, &error);
  g_autoptr (GPtrArray) remarks = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (corpus->unit, ==, "token");
  g_assert_cmpstr (corpus->documents[0].language, ==, "de");
  g_assert_cmpstr (corpus->documents[1].parallel, ==, "7");
  g_assert_cmpuint (corpus->n_ranges, ==, 0);
  remarks = ms_db_list_remarks (db, 1, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (remarks->len, ==, 0);
}

/* Reading an old file leaves it as it is; writing to it brings it to this version, whole. */
static void
test_migration (void)
{
  char *path = copy_first_format ();
  g_autofree char *before = NULL, *after = NULL, *version = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = NULL;
  guint n_bad = 0, n_told = 0;
  gsize n, m;

  g_file_get_contents (path, &before, &n, NULL);
  db = ms_db_open (path, MS_DB_READ, &error);
  g_assert_no_error (error);
  check_old_labels (db);
  g_clear_pointer (&db, ms_db_close);
  g_file_get_contents (path, &after, &m, NULL);
  g_assert_cmpuint (n, ==, m);
  assert_bytes (before, after, n);
  db = ms_db_open (path, MS_DB_WRITE, &error);
  g_assert_no_error (error);
  check_old_labels (db);
  ms_db_check (db, count_findings, &n_told, &n_bad, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (n_bad, ==, 0);
  g_clear_pointer (&db, ms_db_close);
  version = ask (path, "PRAGMA user_version");
  g_assert_cmpstr (version, ==, "2");
  db = ms_db_open (path, MS_DB_READ, &error);
  g_assert_no_error (error);
  check_old_labels (db);
  g_clear_pointer (&db, ms_db_close);
  remove_copy (path);
}

/* The words of version 1 become gates; what nobody knows stays unknown. */
static void
test_old_words (void)
{
  static const struct
  {
    const char *words, *gate;
  } cases[] = {
    { "softmax, top 2 of 4, renormalised", "softmax, top 2 of 4, renormalised" },
    { "sigmoid, top 2 of 4 in the best 1 of 2 groups, selection bias, not renormalised, scaled by "
      "2.5",
      "sigmoid, top 2 of 4 in the best 1 of 2 groups, selection bias, not renormalised, scaled by "
      "2.5" },
    { "softmax on selected, top 2 of 4", "softmax on selected, top 2 of 4" },
    { "sqrt of softplus, top 2 of 4, renormalised", "sqrt of softplus, top 2 of 4, renormalised" },
    { "softmax over the selected, top-2", "softmax on selected, top 2 of 4" },
    { "sigmoid, top-2, renormalised", "sigmoid, top 2 of 4, renormalised" },
    { "probabilities, top-2", NULL },
    { "softmax, top 2 of 4, by magic", NULL },
    { "", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      char *path = copy_first_format ();
      g_autofree char *sql
          = g_strdup_printf ("UPDATE model SET router = '%s', weight_scale = %s; UPDATE layer SET "
                             "groups = %d",
                             cases[i].words, strstr (cases[i].words, "2.5") ? "2.5" : "1",
                             strstr (cases[i].words, "groups") ? 2 : 0);

      run_sql (path, sql);
      for (guint pass = 0; pass < 2; pass++)
        {
          g_autoptr (GError) error = NULL;
          g_autoptr (MsDb) db = ms_db_open (path, pass == 0 ? MS_DB_READ : MS_DB_WRITE, &error);
          g_autoptr (MsModel) model = NULL;
          g_autofree char *router = NULL;

          g_assert_no_error (error);
          model = ms_db_load_model (db, 1, &error);
          g_assert_no_error (error);
          router = ms_model_describe_router (model);
          g_assert_cmpstr (router, ==, cases[i].gate);
          g_assert_null (model->layers[0].gate.selection_bias);
        }
      remove_copy (path);
    }
}

/* What was written before is found again by its content, so that a run goes on. */
static void
test_hash_after_migration (void)
{
  char *path = copy_first_format ();
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsModel) model = NULL;
  g_autoptr (MsCorpus) corpus = NULL;
  g_autoptr (MsRun) run = NULL;
  g_autoptr (MsReader) reader = NULL;
  g_autoptr (MsWriter) writer = NULL;
  g_autofree gint32 *ids = NULL;

  run_sql (path, "UPDATE run SET finished = NULL");
  db = ms_db_open (path, MS_DB_WRITE, &error);
  g_assert_no_error (error);
  run = ms_db_load_run (db, 0, &error);
  model = ms_db_load_model (db, run->model, &error);
  corpus = ms_db_load_corpus (db, run->corpus, &error);
  g_assert_no_error (error);
  if (corpus->ids_known)
    {
      ids = g_new (gint32, corpus->n_tokens);
      reader = ms_reader_new (path, run->id, &error);
      g_assert_true (ms_reader_tokens (reader, 0, corpus->n_tokens, ids, &error));
    }
  model->id = corpus->id = run->id = 0;
  writer = ms_writer_new (db, model, corpus, ids, run, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (model->id, ==, 1);
  g_assert_cmpint (corpus->id, ==, 1);
  g_assert_cmpint (run->id, ==, 1);
  g_assert_cmpuint (ms_writer_next_block (writer), ==, 1);
  g_clear_pointer (&writer, ms_writer_free);
  g_clear_pointer (&reader, ms_reader_free);
  g_clear_pointer (&db, ms_db_close);
  remove_copy (path);
}

static void
test_remarks (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsWriter) writer = NULL;
  g_autoptr (GPtrArray) remarks = NULL;
  MsRemark remark = { "repeated-rows", MS_SEVERITY_DOUBT, 3, "layer=1 token=9", "Rows repeat." };
  MsRemark worse = { "holes", MS_SEVERITY_FAULT, 1, NULL, "Rows are missing." };
  guint n_bad = 0, n_told = 0;
  Sample sample;

  sample_init (&sample, MS_STORAGE_COMPACT, USUAL);
  write_blocks (&sample, 3);
  db = ms_db_open (sample.path, MS_DB_WRITE, &error);
  sample.run.id = -1;
  writer = begin (&sample, db);
  g_assert_true (put (&sample, writer, &error));
  g_assert_true (ms_writer_add_remark (writer, &remark, &error));
  remark.count = 4;
  g_assert_true (ms_writer_add_remark (writer, &remark, &error));
  g_assert_true (ms_writer_add_remark (writer, &worse, &error));
  remarks = ms_db_list_remarks (db, sample.run.id, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (remarks->len, ==, 2);
  g_assert_cmpstr (((MsRemark *) remarks->pdata[0])->code, ==, "holes");
  g_assert_cmpint (((MsRemark *) remarks->pdata[1])->count, ==, 4);
  g_assert_cmpstr (((MsRemark *) remarks->pdata[1])->place, ==, "layer=1 token=9");
  g_clear_pointer (&writer, ms_writer_free);
  ms_db_check (db, count_findings, &n_told, &n_bad, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (n_bad, ==, 1);
  g_clear_pointer (&db, ms_db_close);
  sample_clear (&sample);
}

/* Whatever lies in the place of a table of ours, the file is refused before it is asked. */
static void
test_foreign_schema (void)
{
  static const char *const tricks[] = {
    "ALTER TABLE run RENAME TO r; CREATE VIEW run AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL "
    "SELECT i + 1 FROM n) SELECT r.* FROM r, n",
    "CREATE TRIGGER t AFTER UPDATE ON run BEGIN DELETE FROM chunk; END",
    "ALTER TABLE document ADD COLUMN more TEXT",
    "ALTER TABLE layer RENAME TO l; CREATE TABLE layer (model, layer, experts AS (1), k, groups)",
    "DROP TABLE piece; CREATE VIEW piece AS SELECT 1 AS corpus, 1 AS id, zeroblob (1e9) AS bytes",
  };

  for (guint i = 0; i < G_N_ELEMENTS (tricks); i++)
    {
      char *path = copy_first_format ();

      run_sql (path, tricks[i]);
      for (guint mode = MS_DB_READ; mode <= MS_DB_CREATE; mode++)
        {
          g_autoptr (GError) error = NULL;

          g_assert_null (ms_db_open (path, (MsDbMode) mode, &error));
          g_assert_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT);
        }
      remove_copy (path);
    }
}

int
main (int argc, char **argv)
{
  if (argc == 4 && strcmp (argv[1], "--other") == 0)
    return be_other_program (argv[2], argv[3]);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/db/compact", test_compact);
  g_test_add_func ("/db/exact", test_exact);
  g_test_add_func ("/db/catalogue", test_catalogue);
  g_test_add_func ("/db/resume", test_resume);
  g_test_add_func ("/db/one-writer", test_one_writer);
  g_test_add_func ("/db/log-stays", test_log_stays);
  g_test_add_func ("/db/empty", test_empty);
  g_test_add_func ("/db/hole", test_hole);
  g_test_add_func ("/db/remove", test_remove);
  g_test_add_func ("/db/bad-values", test_bad_values);
  g_test_add_func ("/db/refusals", test_refusals);
  g_test_add_func ("/db/damage", test_damage);
  g_test_add_func ("/db/noise", test_noise);
  g_test_add_func ("/db/first-format", test_first_format);
  g_test_add_func ("/db/migration", test_migration);
  g_test_add_func ("/db/old-words", test_old_words);
  g_test_add_func ("/db/hash-after-migration", test_hash_after_migration);
  g_test_add_func ("/db/remarks", test_remarks);
  g_test_add_func ("/db/foreign-schema", test_foreign_schema);
  return g_test_run ();
}
