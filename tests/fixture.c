/* Small traces for tests.  A fixture gives each decision by a function of layer and position, so that it is the
 * same however the writer cuts the tokens into blocks; the rich trace has every column, label and oddity that
 * an analysis may meet. */
#include "fixture.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* Gives the experts of a decision their other numbers. */
static void
rename_experts (const MsFixture *fixture, guint layer, MsFixtureToken *token)
{
  const MsGate *gate = &fixture->layers[layer].gate;

  for (guint r = 0; r < gate->k; r++)
    if (token->experts[r] != MS_NO_EXPERT)
      token->experts[r] = fixture->relabel (layer, token->experts[r]);
  if (token->logits != NULL)
    {
      g_autofree float *logits = g_memdup2 (token->logits, gate->n_experts * sizeof (float));

      for (guint e = 0; e < gate->n_experts; e++)
        token->logits[fixture->relabel (layer, e)] = logits[e];
    }
}

static MsDecisions
fill_layer (const MsFixture *fixture, guint layer, gint64 first, gsize n)
{
  const MsGate *gate = &fixture->layers[layer].gate;
  guint columns = fixture->columns | MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS;
  MsDecisions arrays;

  g_assert_true (ms_decisions_allocate (&arrays, columns, n, gate->k, gate->n_experts));
  memset (arrays.experts, 0xff, n * gate->k * sizeof (guint16));
  for (gsize i = 0; i < n; i++)
    {
      MsFixtureToken token = ms_decisions_view (&arrays, i, gate->k, gate->n_experts);

      fixture->fill (layer, first + (gint64) i, &token, fixture->data);
      if (fixture->relabel != NULL)
        rename_experts (fixture, layer, &token);
    }
  return arrays;
}

static void
write_blocks (const MsFixture *fixture, MsWriter *writer, gint64 n_tokens)
{
  g_autofree MsDecisions *layers = g_new (MsDecisions, fixture->n_layers);
  g_autoptr (GError) error = NULL;

  for (gint64 first = 0; first < n_tokens; first += MS_BLOCK_TOKENS)
    {
      gsize n = (gsize) MIN (n_tokens - first, MS_BLOCK_TOKENS);
      g_autofree gint32 *predicted = g_new (gint32, n);
      g_autofree float *loss = g_new (float, n);

      for (gsize i = 0; i < n; i++)
        {
          guint64 state = (guint64) first + i + 12345;

          predicted[i] = (gint32) ms_random_below (&state, 97);
          loss[i] = (float) (4 * ms_random_double (&state));
        }
      for (guint l = 0; l < fixture->n_layers; l++)
        layers[l] = fill_layer (fixture, l, first, n);
      ms_writer_put_block (writer, layers, fixture->predictions ? predicted : NULL,
                           fixture->predictions ? loss : NULL, &error);
      g_assert_no_error (error);
      for (guint l = 0; l < fixture->n_layers; l++)
        ms_decisions_clear (&layers[l]);
    }
  ms_writer_finish (writer, &error);
  g_assert_no_error (error);
}

char *
ms_fixture_write (const MsFixture *fixture, const char *path)
{
  g_autofree char *file = g_strdup (path);
  g_autofree MsDocument *documents
      = g_memdup2 (fixture->documents, fixture->n_documents * sizeof (MsDocument));
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autofree gint32 *ids = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsWriter) writer = NULL;
  g_autofree MsLayer *layers = g_memdup2 (fixture->layers, fixture->n_layers * sizeof (MsLayer));
  MsModel model = { .name = (char *) "toy",
                    .architecture = (char *) "imported",
                    .n_blocks = (guint) fixture->layers[fixture->n_layers - 1].number + 1,
                    .n_layers = fixture->n_layers,
                    .layers = layers };
  MsCorpus corpus = { .name = (char *) "toy",
                      .n_documents = fixture->n_documents,
                      .documents = documents,
                      .ids_known = TRUE };
  MsRun run = { .id = -1,
                .name = (char *) (fixture->name != NULL ? fixture->name : "test"),
                .precision = (char *) "imported",
                .collector = (char *) "test",
                .storage = MS_STORAGE_EXACT,
                .columns = fixture->columns,
                .probabilities = fixture->probabilities,
                .predictions = fixture->predictions };

  for (guint l = 0; l < fixture->n_layers; l++)
    if (layers[l].gate.scoring == MS_SCORING_UNKNOWN && !fixture->unknown_gates)
      layers[l].gate.scoring = MS_SCORING_SOFTMAX;
  if (file == NULL)
    {
      int fd = g_file_open_tmp ("moescope-XXXXXX.db", &file, &error);

      g_assert_no_error (error);
      close (fd);
      g_unlink (file);
    }
  for (guint i = 0; i < fixture->n_documents; i++)
    {
      documents[i].first_token = corpus.n_tokens;
      corpus.n_tokens += documents[i].n_tokens;
      if (documents[i].name == NULL)
        {
          documents[i].name = g_strdup_printf ("d%u", i);
          g_ptr_array_add (names, documents[i].name);
        }
    }
  ids = g_new (gint32, corpus.n_tokens);
  for (gint64 i = 0; i < corpus.n_tokens; i++)
    ids[i] = fixture->token_id != NULL ? fixture->token_id (i, fixture->data) : (gint32) (i % 97);
  db = ms_db_open (file, MS_DB_CREATE, &error);
  g_assert_no_error (error);
  writer = ms_writer_new (db, &model, &corpus, ids, &run, NULL, NULL, &error);
  g_assert_no_error (error);
  write_blocks (fixture, writer, corpus.n_tokens);
  g_free (run.started); /* the writer fills it in */
  return g_steal_pointer (&file);
}

void
ms_fixture_remove (char *path)
{
  g_unlink (path);
  g_free (path);
}

/* --- The rich trace -------------------------------------------------------------------------- */

#define N_DOCUMENTS 24

typedef struct
{
  double noise, skew;
  MsDocument documents[N_DOCUMENTS];
  guint document_of[8192];
} Rich;

static const MsLayer rich_layers[]
    = { MS_PLAIN_LAYER (1, 8, 2), MS_PLAIN_LAYER (2, 8, 2), MS_PLAIN_LAYER (4, 12, 3) };

static void
choose (const float *logits, guint n_experts, guint k, MsFixtureToken *token)
{
  double most = -INFINITY, sum = 0, entropy = 0, p[64];

  for (guint e = 0; e < n_experts; e++)
    most = MAX (most, (double) logits[e]);
  for (guint e = 0; e < n_experts; e++)
    sum += p[e] = exp ((double) logits[e] - most);
  for (guint e = 0; e < n_experts; e++)
    entropy -= p[e] / sum * log (p[e] / sum);
  for (guint r = 0; r < k; r++)
    {
      guint best = n_experts;

      for (guint e = 0; e < n_experts; e++)
        {
          gboolean taken = FALSE;

          for (guint q = 0; q < r; q++)
            taken = taken || token->experts[q] == e;
          if (!taken && (best == n_experts || logits[e] > logits[best]))
            best = e;
        }
      token->experts[r] = (guint16) best;
      token->weights[r] = (float) (p[best] / sum);
    }
  *token->entropy = (float) entropy;
  *token->margin = 0.125f * (float) (1 + token->experts[0] % 3);
}

static void
fill_rich (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const Rich *rich = data;
  guint d = rich->document_of[position], n_experts = rich_layers[layer].gate.n_experts;
  guint k = rich_layers[layer].gate.k;
  guint64 state = (guint64) position * 3 + layer + 99;
  guint64 noise = (guint64) (rich->noise * 1000) + (guint64) position * 5 + layer;
  guint64 kind = ms_random_below (&state, 100);

  for (guint e = 0; e < n_experts; e++)
    {
      double score = 3 * ms_random_double (&state) - 1.5;

      /* Experts lean to languages, domains and token ids, more so at the ends of the stack. */
      score += e % 3 == d % 3 ? 0.9 * (layer != 1) : 0;
      score += e % 2 == (d / 3) % 2 ? 0.5 : 0;
      score += (gint64) e == position % 97 % n_experts ? 0.7 : 0;
      score += rich->noise * (2 * ms_random_double (&noise) - 1);
      token->logits[e] = (float) (score + rich->skew * e);
    }
  choose (token->logits, n_experts, k, token);
  if (kind < 2) /* fewer experts than slots, or none */
    for (guint r = (guint) kind; r < k; r++)
      {
        token->experts[r] = MS_NO_EXPERT;
        token->weights[r] = 0;
      }
  for (guint r = 0; r < k && token->experts[r] != MS_NO_EXPERT; r++)
    {
      token->norms[r] = (float) (0.5 + ms_random_double (&state));
      token->peaks[r] = token->norms[r] * (float) (0.3 + 0.5 * ms_random_double (&state));
      token->dropped[r] = ms_random_below (&state, 40) == 0;
    }
  *token->similarity = (float) (1 - 0.5 * ms_random_double (&state));
}

char *
ms_fixture_rich (const char *path, double noise)
{
  return ms_fixture_skewed (path, noise, 0, NULL);
}

char *
ms_fixture_skewed (const char *path, double noise, double skew,
                   guint16 (*relabel) (guint layer, guint e))
{
  static const char *const languages[] = { "de", "en", "sw" };
  static const char *const domains[] = { "code", "news" };
  g_autofree Rich *rich = g_new0 (Rich, 1);
  MsFixture fixture
      = { .n_layers = G_N_ELEMENTS (rich_layers),
          .layers = rich_layers,
          .n_documents = N_DOCUMENTS,
          .documents = rich->documents,
          .columns = MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN | MS_CHUNK_LOGITS | MS_CHUNK_NORMS
                     | MS_CHUNK_PEAKS | MS_CHUNK_SIMILARITY | MS_CHUNK_DROPPED,
          .predictions = TRUE,
          .fill = fill_rich,
          .data = rich,
          .relabel = relabel };
  gint64 n = 0;

  rich->noise = noise;
  rich->skew = skew;
  for (guint d = 0; d < N_DOCUMENTS; d++)
    {
      MsDocument *document = &rich->documents[d];

      document->language = (char *) languages[d % 3];
      document->domain = (char *) domains[(d / 3) % 2];
      document->phase = (char *) (d % 4 == 3 ? "decode" : "prefill");
      /* The first twelve documents are four texts in three languages. */
      document->parallel = (char *) (d < 12 ? (const char *[]){ "a", "b", "c", "e" }[d / 3] : NULL);
      document->n_tokens = 150 + 5 * (gint64) d;
      for (gint64 i = 0; i < document->n_tokens; i++)
        rich->document_of[n++] = d;
    }
  return ms_fixture_write (&fixture, path);
}
