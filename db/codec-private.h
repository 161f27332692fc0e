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

#define MS_N_COLUMNS     9
#define MS_COLUMNS_INROW (MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN)
#define MS_COLUMNS_ALL   ((1 << MS_N_COLUMNS) - 1)

/* Name of the column with bit 1 << index, as in the file. */
const char *ms_column_name (guint index);
/* The bits of names separated by spaces; FALSE for an unknown one. */
gboolean ms_columns_parse (const char *names, guint *columns);

/* 1 for up to 255 experts, else 2. */
guint ms_shape_id_bytes (const MsShape *shape);
/* Number of values of one column (index of its bit), and its size as stored. */
gsize ms_shape_count (const MsShape *shape, guint column);
gsize ms_shape_bytes (const MsShape *shape, guint column);

/* Ids: (T, K), all-ones in unused slots. */
void ms_encode_ids (const MsShape *shape, const guint16 *experts, guint8 *out);
void ms_decode_ids (const MsShape *shape, const guint8 *ids, guint16 *experts);
/* Whether every id is below E or the unused mark. */
gboolean ms_ids_in_range (const MsShape *shape, const guint8 *ids);

/* A value column other than the ids and `dropped`; scale belongs to the compact weights. */
void ms_encode_column (const MsShape *shape, guint column, const float *values, double scale,
                       guint8 *out);
void ms_decode_column (const MsShape *shape, guint column, const guint8 *bytes, double scale,
                       float *values);

gint64 ms_crc_ids (gint64 block, int layer, const guint8 *ids, gsize n);
/* Of scale and the blobs weights, entropy, margin (NULL = absent). */
gint64 ms_crc_values (double scale, const guint8 *const blobs[3], const gsize sizes[3]);
gint64 ms_crc_bytes (const void *bytes, gsize n);

G_END_DECLS
