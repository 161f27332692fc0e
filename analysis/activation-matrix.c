/* Request-level activation matrices, as MoE-Infinity keeps and matches them (metrics.md c.2).
 *
 * The matrix of a document counts its experts by layer.  After layer x - 1 of a token, the stored matrix
 * is looked up whose rows x and below are nearest to the running document's, which then hold its earlier
 * tokens only.  The rows above are blanked in the published code and count alike for every candidate:
 * leaving them out changes no match.  All rows are empty at a document's first token: the first stored
 * matrix wins every tie. */
#include "predictor-private.h"

#include <math.h>
#include <string.h>

struct MsMatches
{
  MsTrace *trace;
  guint n_layers, n_ids; /* n_ids: experts of all layers that occur */
  guint n_parts;         /* 2 when held out */
  guint n_stored[2];
  guint *stored[2];       /* (n_stored) documents, for documents of parity 0 and 1 */
  MsLayerTrace **layers;  /* (L) */
  MsOccurring *occurring; /* (L) */
  guint *first;           /* (L + 1) id of the first expert of a layer that occurs */
  double *counts[2];      /* (n_ids, n_stored) */
  double *squares[2];     /* (L, n_stored) sums of squares of a row */
  guint32 *match;         /* (T, L) index into stored */
};

static void
count_stored (MsMatches *m, guint part)
{
  guint n = m->n_stored[part];

  m->counts[part] = g_new0 (double, (gsize) m->n_ids *n);
  m->squares[part] = g_new0 (double, (gsize) m->n_layers *n);
  for (guint l = 0; l < m->n_layers; l++)
    for (guint s = 0; s < n; s++)
      {
        const MsDocument *document = ms_trace_document (m->trace, m->stored[part][s]);
        const MsLayerTrace *layer = m->layers[l];
        gsize from = (gsize) document->first_token * layer->k;

        for (gsize i = 0; i < (gsize) document->n_tokens * layer->k; i++)
          if (layer->experts[from + i] != MS_NO_EXPERT)
            {
              gsize id = m->first[l] + m->occurring[l].of[layer->experts[from + i]];
              double *count = &m->counts[part][id * n + s];

              m->squares[part][(gsize) l * n + s] += 2 * *count + 1;
              *count += 1;
            }
      }
}

/* Adds a token of the running document: `running` (n_ids), its squares (L), its products with the stored
 * rows (L, n_stored). */
static void
add_token (const MsMatches *m, guint part, gint64 t, double *running, double *squares,
           double *products)
{
  guint n = m->n_stored[part];

  for (guint l = 0; l < m->n_layers; l++)
    {
      const MsLayerTrace *layer = m->layers[l];
      double *product = products + (gsize) l * n;

      for (guint r = 0; r < layer->k; r++)
        {
          guint16 e = layer->experts[t * layer->k + r];
          const double *counts;
          guint id;

          if (e == MS_NO_EXPERT)
            continue;
          id = m->first[l] + m->occurring[l].of[e];
          counts = m->counts[part] + (gsize) id * n;
          squares[l] += 2 * running[id]++ + 1;
          for (guint s = 0; s < n; s++)
            product[s] += counts[s];
        }
    }
}

/* The best match before each layer x > 0 of the next token: sums of cosines from the last layer up. */
static void
match_token (const MsMatches *m, guint part, const double *squares, const double *products,
             double *similarity, guint32 *match)
{
  guint n = m->n_stored[part];

  memset (similarity, 0, n * sizeof *similarity);
  for (guint x = m->n_layers; x-- > 1;)
    {
      const double *product = products + (gsize) x * n;
      const double *stored = m->squares[part] + (gsize) x * n;
      guint best = 0;

      for (guint s = 0; s < n; s++)
        similarity[s] += product[s] > 0 ? product[s] / sqrt (squares[x] * stored[s]) : 0;
      for (guint s = 1; s < n; s++)
        if (similarity[s] > similarity[best])
          best = s;
      match[x] = best;
    }
}

static gboolean
match_document (const MsContext *context, guint index, gpointer data, GError **error)
{
  MsMatches *m = data;
  const MsDocument *document = ms_trace_document (context->trace, index);
  guint part = m->n_parts == 2 ? index % 2 : 0;
  g_autofree double *running = g_new0 (double, m->n_ids);
  g_autofree double *squares = g_new0 (double, m->n_layers);
  g_autofree double *products = g_new0 (double, (gsize) m->n_layers * m->n_stored[part]);
  g_autofree double *similarity = g_new (double, m->n_stored[part]);

  for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
    {
      if (t % 256 == 0 && g_cancellable_set_error_if_cancelled (context->cancel, error))
        return FALSE;
      match_token (m, part, squares, products, similarity, m->match + t * m->n_layers);
      add_token (m, part, t, running, squares, products);
    }
  return TRUE;
}

static gboolean
load_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  MsMatches *m = data;

  m->layers[index]
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);
  return m->layers[index] != NULL;
}

/* Forgets what only the matching needs. */
static void
drop_scratch (MsMatches *m)
{
  for (guint l = 0; l < m->n_layers; l++)
    {
      g_clear_pointer (&m->layers[l], ms_layer_trace_free);
      ms_occurring_clear (&m->occurring[l]);
    }
  for (guint part = 0; part < 2; part++)
    {
      g_clear_pointer (&m->counts[part], g_free);
      g_clear_pointer (&m->squares[part], g_free);
    }
}

MsMatches *
ms_matches_new (const MsContext *context, guint library, gboolean held_out, MsChangeLayer change,
                GError **error)
{
  g_autoptr (MsMatches) m = g_new0 (MsMatches, 1);
  guint n_documents = ms_trace_n_documents (context->trace);

  m->trace = context->trace;
  m->n_layers = ms_trace_n_layers (context->trace);
  m->layers = g_new0 (MsLayerTrace *, m->n_layers);
  m->first = g_new0 (guint, m->n_layers + 1);
  m->occurring = g_new0 (MsOccurring, m->n_layers);
  m->match = g_new0 (guint32, (gsize) ms_trace_n_tokens (context->trace) * m->n_layers + 1);
  m->n_parts = held_out && n_documents > 1 ? 2 : 1;
  if (!ms_context_tasks (context, m->n_layers, load_layer, m, 0, 0, error))
    return NULL;
  for (guint l = 0; l < m->n_layers; l++)
    {
      if (change != NULL)
        change (context, m->layers[l]);
      ms_occurring_init_of_layer (&m->occurring[l], m->layers[l]);
      m->first[l + 1] = m->first[l] + m->occurring[l].n;
    }
  m->n_ids = m->first[m->n_layers];
  for (guint part = 0; part < m->n_parts; part++)
    {
      m->stored[part] = g_new (guint, MIN (library, n_documents) + 1);
      for (guint d = 0; d < n_documents && m->n_stored[part] < library; d++)
        if (m->n_parts == 1 || d % 2 != part)
          m->stored[part][m->n_stored[part]++] = d;
      count_stored (m, part);
    }
  if (!ms_context_tasks (context, n_documents, match_document, m, 0, 0, error))
    return NULL;
  drop_scratch (m);
  return g_steal_pointer (&m);
}

void
ms_matches_free (MsMatches *m)
{
  if (m == NULL)
    return;
  drop_scratch (m);
  for (guint part = 0; part < 2; part++)
    g_free (m->stored[part]);
  g_free (m->layers);
  g_free (m->occurring);
  g_free (m->first);
  g_free (m->match);
  g_free (m);
}

const guint *
ms_matches_stored (const MsMatches *m, guint part, guint *n)
{
  *n = m->n_stored[part];
  return m->stored[part];
}

guint
ms_matches_find (const MsMatches *m, guint layer, gint64 t)
{
  return m->match[(gsize) t * m->n_layers + layer];
}
