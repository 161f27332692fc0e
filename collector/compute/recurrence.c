/* Convolutions and delta rules of recurrent mixers.
 *
 * What must hold: a document's state begins at 0, whatever lies before it in the wave; tasks are cut by
 * documents, channels, heads and columns alone and share nothing, and each runs its tokens in order, so
 * results do not depend on the threads. */
#include "recurrence-private.h"

#include "kernels-private.h"

#include <string.h>

#define CHANNELS 256 /* of a task of a convolution */

/* --- Convolution ----------------------------------------------------------------------------- */

static void
convolve (guint index, guint worker, gpointer data)
{
  const MsConvolution *c = data;
  gsize tasks = (c->channels + CHANNELS - 1) / CHANNELS;
  gsize document = index / tasks, channel = index % tasks * CHANNELS;
  gsize start = c->starts[document], end = c->starts[document + 1];
  gsize n = MIN (CHANNELS, c->channels - channel);

  (void) worker;
  /* From the last token on, since each becomes its result in place. */
  for (gsize t = end; t-- > start;)
    {
      gsize length = MIN (c->length, t - start + 1);

      ms_convolve_silu (c->x + t * c->row + channel, c->row,
                        c->kernel + (c->length - length) * c->channels + channel, c->channels,
                        length, n);
    }
}

void
ms_convolution_run (const MsConvolution *c)
{
  gsize tasks = (c->channels + CHANNELS - 1) / CHANNELS;

  ms_parallel (c->threads, (guint) (c->n_documents * tasks), convolve, (gpointer) c);
}

float *
ms_convolution_kernel (const float *kernel, gsize channels, gsize length)
{
  float *turned = g_new (float, channels *length);

  for (gsize i = 0; i < channels; i++)
    for (gsize j = 0; j < length; j++)
      turned[j * channels + i] = kernel[i * length + j];
  return turned;
}

/* --- Delta rule ------------------------------------------------------------------------------ */

typedef struct
{
  const MsDeltaRule *rule;
  float **states; /* (threads) of (key_width, MS_DELTA_COLUMNS) */
  guint tiles;    /* of a head's columns */
} Work;

static void
run_tile (guint index, guint worker, gpointer data)
{
  const Work *work = data;
  const MsDeltaRule *r = work->rule;
  guint document = index / (r->n_heads * work->tiles);
  guint head = index / work->tiles % r->n_heads;
  gsize column = (gsize) (index % work->tiles) * MS_DELTA_COLUMNS;
  gsize n = MIN (MS_DELTA_COLUMNS, r->value_width - column), key;
  gsize size = ms_delta_rule_worker_bytes (r->key_width);
  float values[MS_DELTA_COLUMNS] = { 0 };

  key = r->grouped ? head / (r->n_heads / r->n_key_heads) : head % r->n_key_heads;
  if (work->states[worker] == NULL)
    work->states[worker] = ms_aligned_alloc (size);
  memset (work->states[worker], 0, size);
  for (gsize t = r->starts[document]; t < r->starts[document + 1]; t++)
    {
      float *v = r->v + t * r->value_row + head * r->value_width + column;
      const float *decay
          = r->decay + t * r->decay_row + (r->per_channel ? head * r->key_width : (gsize) head);

      memcpy (values, v, n * sizeof (float));
      ms_delta_step (work->states[worker], r->key_width, r->k + t * r->key_row + key * r->key_width,
                     r->q + t * r->key_row + key * r->key_width, decay, r->per_channel ? 1 : 0,
                     r->beta[t * r->beta_row + head], values);
      memcpy (v, values, n * sizeof (float));
    }
}

void
ms_delta_rule_run (const MsDeltaRule *r)
{
  guint threads = ms_threads (r->threads);
  g_autofree float **states = g_new0 (float *, threads);
  Work work = { r, states, (guint) ((r->value_width + MS_DELTA_COLUMNS - 1) / MS_DELTA_COLUMNS) };

  ms_parallel (threads, r->n_documents * r->n_heads * work.tiles, run_tile, &work);
  for (guint i = 0; i < threads; i++)
    ms_aligned_free (states[i]);
}

gsize
ms_delta_rule_worker_bytes (gsize key_width)
{
  return key_width * MS_DELTA_COLUMNS * sizeof (float);
}
