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

static const char *const names[MS_N_COLUMNS]
    = { "experts", "weights", "entropy",    "margin", "logits",
        "norms",   "peaks",   "similarity", "dropped" };

const char *
ms_column_name (guint index)
{
  return names[index];
}

gboolean
ms_columns_parse (const char *text, guint *columns)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);

  *columns = 0;
  for (guint i = 0; words[i] != NULL; i++)
    {
      guint index = 0;

      while (index < MS_N_COLUMNS && strcmp (names[index], words[i]) != 0)
        index++;
      if (index == MS_N_COLUMNS)
        return FALSE;
      *columns |= 1u << index;
    }
  return TRUE;
}

char *
ms_columns_format (guint columns)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < MS_N_COLUMNS; i++)
    if (columns & (1u << i))
      g_string_append_printf (text, "%s%s", text->len > 0 ? " " : "", names[i]);
  return g_string_free (text, FALSE);
}

guint
ms_shape_id_bytes (const MsShape *shape)
{
  return shape->n_experts <= 255 ? 1 : 2;
}

gsize
ms_shape_count (const MsShape *shape, guint column)
{
  switch (1u << column)
    {
    case MS_CHUNK_ENTROPY:
    case MS_CHUNK_MARGIN:
    case MS_CHUNK_SIMILARITY:
      return shape->n_tokens;
    case MS_CHUNK_LOGITS:
      return (gsize) shape->n_tokens * shape->n_experts;
    default:
      return (gsize) shape->n_tokens * shape->k;
    }
}

gsize
ms_shape_bytes (const MsShape *shape, guint column)
{
  gsize each = 4;

  if ((1u << column) == MS_CHUNK_EXPERTS)
    each = ms_shape_id_bytes (shape);
  else if ((1u << column) == MS_CHUNK_DROPPED)
    each = 1;
  else if ((1u << column) & MS_COLUMNS_INROW && shape->storage == MS_STORAGE_COMPACT)
    each = 2;
  return each * ms_shape_count (shape, column);
}

void
ms_encode_ids (const MsShape *shape, const guint16 *experts, guint8 *out)
{
  gsize n = ms_shape_count (shape, 0);

  if (ms_shape_id_bytes (shape) == 1)
    for (gsize i = 0; i < n; i++)
      out[i] = (guint8) experts[i]; /* MS_NO_EXPERT becomes 0xff */
  else
    memcpy (out, experts, n * 2);
}

void
ms_decode_ids (const MsShape *shape, const guint8 *ids, guint16 *experts)
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
ms_encode_column (const MsShape *shape, guint column, const float *values, double scale,
                  guint8 *out)
{
  gsize n = ms_shape_count (shape, column);
  guint16 *wide = (guint16 *) (void *) out;
  double most = log (shape->n_experts);

  if (ms_shape_bytes (shape, column) == n * 4)
    memcpy (out, values, n * 4);
  else if ((1u << column) == MS_CHUNK_WEIGHTS)
    for (gsize i = 0; i < n; i++)
      wide[i] = to_fixed (values[i], scale, 65535);
  else if ((1u << column) == MS_CHUNK_ENTROPY)
    for (gsize i = 0; i < n; i++)
      wide[i] = isnan (values[i]) ? UNDEFINED : to_fixed (values[i], most, UNDEFINED - 1);
  else
    for (gsize i = 0; i < n; i++)
      wide[i] = ms_half_from_float (isfinite (values[i]) ? CLAMP (values[i], -65504.0f, 65504.0f)
                                                         : values[i]);
}

void
ms_decode_column (const MsShape *shape, guint column, const guint8 *bytes, double scale,
                  float *values)
{
  gsize n = ms_shape_count (shape, column);
  const guint16 *wide = (const guint16 *) (const void *) bytes;
  float weight_step = (float) (scale / 65535);
  float entropy_step = (float) (log (shape->n_experts) / (UNDEFINED - 1));

  if (ms_shape_bytes (shape, column) == n * 4)
    memcpy (values, bytes, n * 4);
  else if ((1u << column) == MS_CHUNK_WEIGHTS)
    for (gsize i = 0; i < n; i++)
      values[i] = (float) wide[i] * weight_step;
  else if ((1u << column) == MS_CHUNK_ENTROPY)
    for (gsize i = 0; i < n; i++)
      values[i] = wide[i] == UNDEFINED ? NAN : (float) wide[i] * entropy_step;
  else
    for (gsize i = 0; i < n; i++)
      values[i] = ms_half_to_float (wide[i]);
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
