/* Traces for tests of routing.  A decision depends on layer and position alone, so that every test sees the same
 * trace however it is written. */
#include "routing-trace.h"

#include <math.h>

static const MsLayer random_layers[]
    = { MS_PLAIN_LAYER (1, 6, 2), MS_PLAIN_LAYER (2, 6, 3), MS_PLAIN_LAYER (4, 4, 2) };

static MsTrace *
write_and_open (const MsFixture *fixture, char **path)
{
  g_autoptr (GError) error = NULL;
  char *written = ms_fixture_write (fixture, *path);
  MsTrace *trace = ms_trace_open (written, 0, NULL, &error);

  g_assert_no_error (error);
  g_free (*path);
  *path = written;
  return trace;
}

static void
fill_hand (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const MsHandTrace *hand = data;
  gsize at = (gsize) position;

  for (guint r = 0; r < hand->k; r++)
    {
      char digit = hand->layers[layer][at * (hand->k + 1) + r];

      token->experts[r] = digit == '-' ? MS_NO_EXPERT : (guint16) (digit - '0');
      token->weights[r] = digit == '-' ? 0 : 1.0f / (float) hand->k;
      if (hand->norms != NULL)
        token->norms[r] = hand->norms[at * hand->k + r];
    }
  for (guint e = 0; e < hand->n_experts && hand->probabilities != NULL; e++)
    token->logits[e] = hand->probabilities[at * hand->n_experts + e];
  if (hand->similarity != NULL)
    *token->similarity = hand->similarity[at];
}

MsTrace *
ms_hand_trace (const MsHandTrace *hand, const guint *lengths, char **path)
{
  MsHandTrace copy = *hand;
  MsDocument documents[8] = { 0 };
  MsLayer layers[4];
  MsFixture fixture = { .n_layers = hand->n_layers,
                        .layers = layers,
                        .documents = documents,
                        .columns = (hand->probabilities != NULL ? MS_CHUNK_LOGITS : 0u)
                                   | (hand->norms != NULL ? MS_CHUNK_NORMS : 0u)
                                   | (hand->similarity != NULL ? MS_CHUNK_SIMILARITY : 0u),
                        .probabilities = hand->probabilities != NULL,
                        .fill = fill_hand,
                        .data = &copy };

  for (guint l = 0; l < hand->n_layers; l++)
    layers[l] = (MsLayer) MS_PLAIN_LAYER ((int) l, hand->n_experts, hand->k);
  for (; lengths[fixture.n_documents] > 0; fixture.n_documents++)
    documents[fixture.n_documents].n_tokens = lengths[fixture.n_documents];
  return write_and_open (&fixture, path);
}

static void
fill_random (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  double noise = *(const double *) data, p[8], sum = 0;
  guint n = random_layers[layer].gate.n_experts, k = random_layers[layer].gate.k;
  guint64 shared = (guint64) (position / 3) * 11 + layer * 7919;
  guint64 own = (guint64) position * 13 + layer * 104729 + 5;
  guint64 other = (guint64) position * 17 + layer + (guint64) (noise * 1000);
  guint64 kind = ms_random_below (&own, 25);

  for (guint e = 0; e < n; e++)
    {
      double score = 3 * ms_random_double (&shared) + ms_random_double (&own)
                     + noise * ms_random_double (&other);

      token->logits[e] = (float) (rint (8 * score) / 8);
      sum += p[e] = exp ((double) token->logits[e]);
    }
  for (guint r = 0; r < k; r++)
    {
      guint best = n;

      for (guint e = 0; e < n; e++)
        {
          gboolean taken = FALSE;

          for (guint q = 0; q < r; q++)
            taken = taken || token->experts[q] == e;
          if (!taken && (best == n || p[e] > p[best]))
            best = e;
        }
      token->experts[r] = (guint16) best;
      token->weights[r] = (float) (p[best] / sum);
      token->norms[r] = (float) (0.5 + ms_random_double (&own));
      token->peaks[r] = (float) ms_random_double (&own);
    }
  for (guint r = kind < 1 ? 0 : 1; r < k && kind < 3; r++)
    {
      token->experts[r] = MS_NO_EXPERT;
      token->weights[r] = token->norms[r] = token->peaks[r] = 0;
    }
  *token->similarity = (float) (1.1 - ms_random_double (&own));
}

MsTrace *
ms_random_trace (double noise, char **path)
{
  static const gint64 lengths[] = { 14, 1, 33, 3, 9, 26, 5, 20 };
  MsDocument documents[G_N_ELEMENTS (lengths)] = { 0 };
  MsFixture fixture
      = { .n_layers = G_N_ELEMENTS (random_layers),
          .layers = random_layers,
          .n_documents = G_N_ELEMENTS (lengths),
          .documents = documents,
          .columns = MS_CHUNK_LOGITS | MS_CHUNK_NORMS | MS_CHUNK_PEAKS | MS_CHUNK_SIMILARITY,
          .fill = fill_random,
          .data = &noise };

  for (guint d = 0; d < G_N_ELEMENTS (lengths); d++)
    {
      documents[d].n_tokens = lengths[d];
      documents[d].domain = (char *) (d % 2 == 0 ? "code" : "news");
    }
  return write_and_open (&fixture, path);
}

MsLoaded *
ms_loaded_new (MsTrace *trace, guint columns)
{
  MsLoaded *loaded = g_new0 (MsLoaded, 1);
  g_autoptr (GError) error = NULL;

  loaded->n_layers = ms_trace_n_layers (trace);
  for (guint l = 0; l < loaded->n_layers; l++)
    {
      loaded->blocks[l] = ms_trace_layer (trace, l)->number;
      loaded->layers[l] = ms_trace_load_layer (trace, l, columns, NULL, &error);
      g_assert_no_error (error);
    }
  return loaded;
}

void
ms_loaded_free (MsLoaded *loaded)
{
  for (guint l = 0; l < loaded->n_layers; l++)
    ms_layer_trace_free (loaded->layers[l]);
  g_free (loaded);
}

guint
ms_loaded_size (const MsLayerTrace *layer, gint64 row)
{
  guint n = 0;

  while (n < layer->k && layer->experts[(gsize) row * layer->k + n] != MS_NO_EXPERT)
    n++;
  return n;
}

int
ms_loaded_rank (const MsLayerTrace *layer, gint64 row, guint expert)
{
  for (guint r = 0; r < layer->k; r++)
    if (layer->experts[(gsize) row * layer->k + r] == expert)
      return (int) r;
  return -1;
}
