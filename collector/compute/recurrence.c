/* Convolutions, delta rules and selective scans of recurrent mixers.
 *
 * What must hold: a document's state begins at 0, whatever lies before it in the wave; tasks are
 * cut by documents, channels, heads and columns alone and share nothing, and each runs its tokens
 * in order, so results do not depend on the threads. */
#include "recurrence-private.h"

#include "kernels-private.h"

#include <math.h>
#include <string.h>

#define CHANNELS 256 /* of a task of a convolution */

float
ms_softplus (float x)
{
  return x > 20 ? x : log1pf (expf (x));
}

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
                        length, c->bias != NULL ? c->bias + channel : NULL, n);
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

/* --- Selective scan -------------------------------------------------------------------------- */

typedef struct
{
  const MsScan *scan;
  float **states; /* (threads) of (n_states, MS_SCAN_COLUMNS) */
  guint tiles;    /* of a head's columns */
} Scan;

/* One token of n columns of a head from number `column` on. */
static void
scan_token (const MsScan *s, gsize t, guint head, gsize column, gsize n, float *state)
{
  gsize first = head * s->width + column, group = head / (s->n_heads / s->n_groups);
  const float *b = s->b + t * s->group_row + group * s->group_head;
  const float *c = s->c + t * s->group_row + group * s->group_head;
  float *x = s->x + t * s->x_row + head * s->x_head + column, in[MS_SCAN_COLUMNS] = { 0 };

  if (s->per_column)
    {
      const float *of_columns = s->step + t * s->step_row + first;
      float step[MS_SCAN_COLUMNS] = { 0 };

      for (gsize j = 0; j < n; j++)
        {
          step[j] = of_columns[j];
          in[j] = x[j] * step[j];
        }
      ms_scan_step_each (state, s->n_states, b, c, step, s->rate + first,
                         ms_scan_rates_row (s->n_heads * s->width), in);
    }
  else
    {
      float step = s->step != NULL ? s->step[t * s->step_row + head] : 1;

      for (gsize j = 0; j < n; j++)
        in[j] = x[j] * step;
      ms_scan_step (state, s->n_states, b, c, expf (step * s->rate[head]), in);
    }
  for (gsize j = 0; j < n; j++)
    x[j] = s->skip == NULL ? in[j] : in[j] + s->skip[s->per_column ? first + j : head] * x[j];
}

static void
scan_tile (guint index, guint worker, gpointer data)
{
  const Scan *work = data;
  const MsScan *s = work->scan;
  guint document = index / (s->n_heads * work->tiles);
  guint head = index / work->tiles % s->n_heads;
  gsize column = (gsize) (index % work->tiles) * MS_SCAN_COLUMNS;
  gsize n = MIN (MS_SCAN_COLUMNS, s->width - column), size = ms_scan_worker_bytes (s->n_states);

  if (work->states[worker] == NULL)
    work->states[worker] = ms_aligned_alloc (size);
  memset (work->states[worker], 0, size);
  for (gsize t = s->starts[document]; t < s->starts[document + 1]; t++)
    scan_token (s, t, head, column, n, work->states[worker]);
}

void
ms_scan_run (const MsScan *s)
{
  guint threads = ms_threads (s->threads);
  g_autofree float **states = g_new0 (float *, threads);
  Scan work = { s, states, (guint) ((s->width + MS_SCAN_COLUMNS - 1) / MS_SCAN_COLUMNS) };

  ms_parallel (threads, s->n_documents * s->n_heads * work.tiles, scan_tile, &work);
  for (guint i = 0; i < threads; i++)
    ms_aligned_free (states[i]);
}

gsize
ms_scan_rates_row (gsize columns)
{
  return (columns + MS_SCAN_COLUMNS - 1) / MS_SCAN_COLUMNS * MS_SCAN_COLUMNS;
}

gsize
ms_scan_worker_bytes (gsize n_states)
{
  return n_states * MS_SCAN_COLUMNS * sizeof (float);
}
