/* Compact weights are fixed point over the chunk's largest weight (error at most 8e-6 of it), entropy
 * over ln E; the margin, whose near-zero values matter most, is a half float. */
#include "codec-private.h"

#include <math.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#error "blobs are read in place: only little-endian machines"
#endif

#define UNDEFINED 65535 /* entropy */

guint
ms_shape_id_bytes (const MsShape *shape)
{
  return shape->n_experts <= 255 ? 1 : 2;
}

gsize
ms_shape_count (const MsShape *shape, guint column)
{
  return shape->n_tokens * ms_column_width (column, shape->k, shape->n_experts);
}

/* Bytes of one value of a column as stored. */
static gsize
stored_size (const MsShape *shape, guint column)
{
  const MsChunkColumn *def = ms_chunk_column (column);

  if (def->coding == MS_CODING_IDS)
    return ms_shape_id_bytes (shape);
  return def->coding != MS_CODING_PLAIN && shape->storage == MS_STORAGE_COMPACT ? 2 : def->size;
}

gsize
ms_shape_bytes (const MsShape *shape, guint column)
{
  return stored_size (shape, column) * ms_shape_count (shape, column);
}

static void
encode_ids (const MsShape *shape, const guint16 *experts, guint8 *out)
{
  gsize n = ms_shape_count (shape, 0);

  if (ms_shape_id_bytes (shape) == 1)
    for (gsize i = 0; i < n; i++)
      out[i] = (guint8) experts[i]; /* MS_NO_EXPERT becomes 0xff */
  else
    memcpy (out, experts, n * 2);
}

static void
decode_ids (const MsShape *shape, const guint8 *ids, guint16 *experts)
{
  gsize n = ms_shape_count (shape, 0);

  if (ms_shape_id_bytes (shape) == 1)
    for (gsize i = 0; i < n; i++)
      experts[i] = ids[i] == 0xff ? (guint16) MS_NO_EXPERT : ids[i];
  else
    memcpy (experts, ids, n * 2);
}

gboolean
ms_ids_in_range (const MsShape *shape, const guint8 *ids)
{
  gsize n = ms_shape_count (shape, 0);

  /* The unused mark is all ones: one more is 0, every good id then lies in 0..E. */
  if (ms_shape_id_bytes (shape) == 1)
    {
      guint8 most = 0;

      for (gsize i = 0; i < n; i++)
        {
          guint8 next = (guint8) (ids[i] + 1);
          most = next > most ? next : most;
        }
      return most <= shape->n_experts;
    }
  else
    {
      const guint16 *wide = (const guint16 *) (const void *) ids;
      guint16 most = 0;

      for (gsize i = 0; i < n; i++)
        {
          guint16 next = (guint16) (wide[i] + 1);
          most = next > most ? next : most;
        }
      return most <= shape->n_experts;
    }
}

/* Values between 0 and `top` as 0..steps; what lies outside by rounding is clamped. */
static guint16
to_fixed (float value, double top, double steps)
{
  double x = top > 0 ? (double) value / top * steps : 0;

  return (guint16) (CLAMP (x, 0, steps) + 0.5);
}

void
ms_encode_column (const MsShape *shape, guint column, const void *values, double scale, guint8 *out)
{
  const MsChunkColumn *def = ms_chunk_column (column);
  gsize n = ms_shape_count (shape, column);
  guint16 *wide = (guint16 *) (void *) out;
  const float *in = values;
  double most = log (shape->n_experts);

  if (def->coding == MS_CODING_IDS)
    encode_ids (shape, values, out);
  else if (def->coding == MS_CODING_PLAIN || shape->storage == MS_STORAGE_EXACT)
    memcpy (out, values, n * def->size);
  else if (def->coding == MS_CODING_WEIGHTS)
    for (gsize i = 0; i < n; i++)
      wide[i] = to_fixed (in[i], scale, 65535);
  else if (def->coding == MS_CODING_ENTROPY)
    for (gsize i = 0; i < n; i++)
      wide[i] = isnan (in[i]) ? UNDEFINED : to_fixed (in[i], most, UNDEFINED - 1);
  else
    for (gsize i = 0; i < n; i++)
      wide[i] = ms_half_from_float (isfinite (in[i]) ? CLAMP (in[i], -65504.0f, 65504.0f) : in[i]);
}

void
ms_decode_column (const MsShape *shape, guint column, const guint8 *bytes, double scale,
                  void *values)
{
  const MsChunkColumn *def = ms_chunk_column (column);
  gsize n = ms_shape_count (shape, column);
  const guint16 *wide = (const guint16 *) (const void *) bytes;
  float *out = values;
  float weight_step = (float) (scale / 65535);
  float entropy_step = (float) (log (shape->n_experts) / (UNDEFINED - 1));

  if (def->coding == MS_CODING_IDS)
    decode_ids (shape, bytes, values);
  else if (def->coding == MS_CODING_PLAIN || shape->storage == MS_STORAGE_EXACT)
    memcpy (values, bytes, n * def->size);
  else if (def->coding == MS_CODING_WEIGHTS)
    for (gsize i = 0; i < n; i++)
      out[i] = (float) wide[i] * weight_step;
  else if (def->coding == MS_CODING_ENTROPY)
    for (gsize i = 0; i < n; i++)
      out[i] = wide[i] == UNDEFINED ? NAN : (float) wide[i] * entropy_step;
  else
    for (gsize i = 0; i < n; i++)
      out[i] = ms_half_to_float (wide[i]);
  /* Where nothing is rejected, older files say infinite. */
  for (gsize i = 0; def->coding == MS_CODING_HALF && i < n; i++)
    out[i] = isfinite (out[i]) ? out[i] : NAN;
}

gint64
ms_crc_ids (gint64 block, int layer, const guint8 *ids, gsize n)
{
  guint64 seed = (guint64) block << 32 | (guint32) layer;

  return (gint64) XXH3_64bits_withSeed (ids, n, seed);
}

gint64
ms_crc_values (double scale, const guint8 *const blobs[3], const gsize sizes[3])
{
  XXH3_state_t state;

  XXH3_INITSTATE (&state);
  XXH3_64bits_reset (&state);
  XXH3_64bits_update (&state, &scale, sizeof scale);
  for (guint i = 0; i < 3; i++)
    if (blobs[i] != NULL)
      XXH3_64bits_update (&state, blobs[i], sizes[i]);
  return (gint64) XXH3_64bits_digest (&state);
}

gint64
ms_crc_bytes (const void *bytes, gsize n)
{
  return (gint64) XXH3_64bits (bytes, n);
}

/* Counting one histogram stalls when neighbours name the same expert: each load waits for the last
 * store.  Neighbouring ids therefore go to different histograms. */
#define N_TABLES  4
#define TABLE_IDS 1024

static void
count_bytes (const guint8 *ids, gsize n, guint n_experts, guint64 *counts)
{
  guint32 tables[N_TABLES][256] = { 0 };
  gsize i = 0;

  if (n < 256)
    {
      for (; i < n; i++)
        if (ids[i] != 0xff)
          counts[ids[i]]++;
      return;
    }
  for (; i + 8 <= n; i += 8)
    {
      guint64 word;

      memcpy (&word, ids + i, 8);
      for (guint j = 0; j < 8; j++)
        tables[j % N_TABLES][(word >> (8 * j)) & 0xff]++;
    }
  for (; i < n; i++)
    tables[0][ids[i]]++;
  for (guint e = 0; e < n_experts; e++)
    counts[e] += tables[0][e] + tables[1][e] + tables[2][e] + tables[3][e];
}

static void
count_words (const guint16 *ids, gsize n, guint n_experts, guint64 *counts)
{
  guint32 tables[N_TABLES][TABLE_IDS + 1] = { 0 };
  gsize i = 0;

  if (n_experts > TABLE_IDS || n < TABLE_IDS)
    {
      for (; i < n; i++)
        if (ids[i] != MS_NO_EXPERT)
          counts[ids[i]]++;
      return;
    }
  for (; i + N_TABLES <= n; i += N_TABLES)
    for (guint j = 0; j < N_TABLES; j++)
      tables[j][MIN (ids[i + j], TABLE_IDS)]++;
  for (; i < n; i++)
    tables[0][MIN (ids[i], TABLE_IDS)]++;
  for (guint e = 0; e < n_experts; e++)
    counts[e] += tables[0][e] + tables[1][e] + tables[2][e] + tables[3][e];
}

void
ms_chunk_count (const MsChunk *chunk, guint from, guint n, guint64 *counts)
{
  gsize first = (gsize) from * chunk->k, size = (gsize) n * chunk->k;

  g_assert (from <= chunk->n_tokens && n <= chunk->n_tokens - from);
  if (chunk->id_bytes == 1)
    count_bytes (chunk->ids8 + first, size, chunk->n_experts, counts);
  else
    count_words (chunk->ids16 + first, size, chunk->n_experts, counts);
}
