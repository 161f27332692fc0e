/* Chunk columns as bytes: sizes, encoding, decoding, checksums.  Pure functions without SQLite, so
 * that the loadable extension can use them too.  T tokens, K slots, E experts. */
#pragma once

#include "db.h"

G_BEGIN_DECLS

typedef struct
{
  guint n_tokens;  /* T, at most MS_BLOCK_TOKENS */
  guint k;         /* K <= E */
  guint n_experts; /* E <= MS_MAX_EXPERTS */
  MsStorage storage;
} MsShape;

/* 1 for up to 255 experts, else 2. */
guint ms_shape_id_bytes (const MsShape *shape);
/* Number of values of one column (index of its bit), and its size as stored. */
gsize ms_shape_count (const MsShape *shape, guint column);
gsize ms_shape_bytes (const MsShape *shape, guint column);

/* Whether every id is below E or the unused mark. */
gboolean ms_ids_in_range (const MsShape *shape, const guint8 *ids);

/* A column between its array in memory and its bytes in the file.  Of ids (T, K) an unused slot is all
 * ones in both; `scale` belongs to the compact weights. */
void ms_encode_column (const MsShape *shape, guint column, const void *values, double scale,
                       guint8 *out);
void ms_decode_column (const MsShape *shape, guint column, const guint8 *bytes, double scale,
                       void *values);

gint64 ms_crc_ids (gint64 block, int layer, const guint8 *ids, gsize n);
/* Of scale and the blobs weights, entropy, margin (NULL = absent). */
gint64 ms_crc_values (double scale, const guint8 *const blobs[3], const gsize sizes[3]);
gint64 ms_crc_bytes (const void *bytes, gsize n);

G_END_DECLS
