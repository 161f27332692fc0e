/* Reads chunks of one run over a connection of its own.  Each slot owns the memory of one chunk.
 *
 * No blob is used before its length matches the geometry, its checksum its content, and no id is
 * handed out that is not below E: consumers index arrays with them. */
#include "codec-private.h"
#include "db-private.h"

#include <math.h>
#include <string.h>

#define N_VALUES (MS_N_COLUMNS_INROW - 1) /* columns in the chunk's row besides the ids */

typedef struct
{
  gpointer memory;
  gsize bytes;
} Buffer;

typedef struct
{
  MsChunk chunk;
  Buffer raw;                   /* the ids as stored */
  Buffer columns[MS_N_COLUMNS]; /* decoded */
} Slot;

struct MsReader
{
  MsDb *db;
  MsRun *run;
  MsModel *model;
  gint64 n_tokens; /* of the corpus */
  gboolean ids_known;
  sqlite3_stmt *get_ids, *get_values, *get_column, *get_tokens, *get_prediction, *get_piece;
  GPtrArray *slots;
  GHashTable *pieces; /* id -> GBytes, NULL = none */
};

static void
slot_free (Slot *slot)
{
  if (slot == NULL)
    return;
  g_free (slot->raw.memory);
  for (guint i = 0; i < MS_N_COLUMNS; i++)
    g_free (slot->columns[i].memory);
  g_free (slot);
}

static gpointer
reserve (Buffer *buffer, gsize bytes)
{
  if (buffer->bytes < bytes)
    {
      g_free (buffer->memory);
      buffer->memory = g_malloc (bytes);
      buffer->bytes = bytes;
    }
  return buffer->memory;
}

static gboolean
prepare_statements (MsReader *reader, GError **error)
{
#define WHERE_CHUNK " FROM chunk WHERE run = ?1 AND block = ?2 AND layer = ?3"
  struct
  {
    sqlite3_stmt **statement;
    const char *sql;
  } all[] = {
    { &reader->get_ids,
      "SELECT chunk, first_token, n_tokens, k, id_bytes, crc, experts" WHERE_CHUNK },
    { &reader->get_values,
      "SELECT chunk, first_token, n_tokens, k, id_bytes, crc, experts, scale, values_crc, weights, "
      "entropy, margin" WHERE_CHUNK },
    { &reader->get_column, "SELECT crc, data FROM chunk_column WHERE chunk = ?1 AND name = ?2" },
    { &reader->get_tokens, "SELECT crc, ids FROM token_block WHERE corpus = ?1 AND block = ?2" },
    { &reader->get_prediction,
      "SELECT crc, ids, loss FROM prediction WHERE run = ?1 AND block = ?2" },
    { &reader->get_piece, "SELECT bytes FROM piece WHERE corpus = ?1 AND id = ?2" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    {
      *all[i].statement = ms_db_prepare (reader->db, all[i].sql, "preparing to read", error);
      if (*all[i].statement == NULL)
        return FALSE;
    }
  return TRUE;
}

MsReader *
ms_reader_new (const char *path, gint64 run, GError **error)
{
  g_autoptr (MsReader) reader = g_new0 (MsReader, 1);

  reader->slots = g_ptr_array_new_with_free_func ((GDestroyNotify) slot_free);
  reader->db = ms_db_open (path, MS_DB_READ, error);
  if (reader->db == NULL)
    return NULL;
  reader->run = ms_db_load_run (reader->db, run, error);
  if (reader->run == NULL)
    return NULL;
  reader->model = ms_db_load_model (reader->db, reader->run->model, error);
  if (reader->model == NULL
      || !ms_db_integer (reader->db, "SELECT n_tokens FROM corpus WHERE corpus = ?1",
                         reader->run->corpus, &reader->n_tokens, error)
      || !prepare_statements (reader, error))
    return NULL;
  return g_steal_pointer (&reader);
}

void
ms_reader_free (MsReader *reader)
{
  if (reader == NULL)
    return;
  sqlite3_finalize (reader->get_ids);
  sqlite3_finalize (reader->get_values);
  sqlite3_finalize (reader->get_column);
  sqlite3_finalize (reader->get_tokens);
  sqlite3_finalize (reader->get_prediction);
  sqlite3_finalize (reader->get_piece);
  g_ptr_array_unref (reader->slots);
  g_clear_pointer (&reader->pieces, g_hash_table_unref);
  ms_run_free (reader->run);
  ms_model_free (reader->model);
  ms_db_close (reader->db);
  g_free (reader);
}

const MsRun *
ms_reader_run (const MsReader *reader)
{
  return reader->run;
}

const MsModel *
ms_reader_model (const MsReader *reader)
{
  return reader->model;
}

static gboolean G_GNUC_PRINTF (5, 6)
    corrupt (MsReader *reader, guint block, guint layer, GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
               "%s, run %" G_GINT64_FORMAT ", block %u, layer %d: %s; `moescope check` lists all "
               "faults of the file",
               ms_db_path (reader->db), reader->run->id, block, reader->model->layers[layer].number,
               message);
  return FALSE;
}

/* The blob of a result column if it has exactly `bytes` bytes, else NULL. */
static const guint8 *
blob_of (sqlite3_stmt *statement, int column, gsize bytes)
{
  const guint8 *blob = sqlite3_column_blob (statement, column);

  return (gsize) sqlite3_column_bytes (statement, column) == bytes ? blob : NULL;
}

/* Decodes the bytes of a column, checked before, into the slot's own memory. */
static void
decode (Slot *slot, const MsShape *shape, guint column, const guint8 *bytes, double scale)
{
  gsize size = ms_shape_count (shape, column) * ms_chunk_column (column)->size;
  gpointer values = reserve (&slot->columns[column], size);

  ms_decode_column (shape, column, bytes, scale, values);
  *ms_decisions_array (&slot->chunk.decisions, column) = values;
}

static gboolean
take_ids (MsReader *reader, sqlite3_stmt *row, const MsShape *shape, guint block, guint layer,
          Slot *slot, GError **error)
{
  gsize bytes = ms_shape_bytes (shape, 0);
  const guint8 *ids = blob_of (row, 6, bytes);
  gboolean narrow = ms_shape_id_bytes (shape) == 1;
  guint8 *copy;

  if (sqlite3_column_int64 (row, 1) != (gint64) block * MS_BLOCK_TOKENS
      || sqlite3_column_int64 (row, 2) != shape->n_tokens
      || sqlite3_column_int64 (row, 3) != shape->k
      || sqlite3_column_int64 (row, 4) != ms_shape_id_bytes (shape))
    return corrupt (reader, block, layer, error,
                    "its size does not match the model and the corpus");
  if (ids == NULL)
    return corrupt (reader, block, layer, error, "%u x %u ids of %u bytes expected, %d bytes found",
                    shape->n_tokens, shape->k, ms_shape_id_bytes (shape),
                    sqlite3_column_bytes (row, 6));
  if (ms_crc_ids (block, reader->model->layers[layer].number, ids, bytes)
      != sqlite3_column_int64 (row, 5))
    return corrupt (reader, block, layer, error, "the checksum of the expert ids is wrong");
  if (!ms_ids_in_range (shape, ids))
    return corrupt (reader, block, layer, error, "an expert id is not below %u", shape->n_experts);
  copy = memcpy (reserve (&slot->raw, bytes), ids, bytes);
  slot->chunk = (MsChunk){ .first_token = (gint64) block * MS_BLOCK_TOKENS,
                           .n_tokens = shape->n_tokens,
                           .k = shape->k,
                           .n_experts = shape->n_experts,
                           .id_bytes = narrow ? 1 : 2,
                           .ids8 = narrow ? copy : NULL,
                           .ids16 = narrow ? NULL : (const guint16 *) (const void *) copy };
  return TRUE;
}

static gboolean
take_values (MsReader *reader, sqlite3_stmt *row, const MsShape *shape, guint block, guint layer,
             guint columns, Slot *slot, GError **error)
{
  const guint8 *blobs[N_VALUES];
  gsize sizes[N_VALUES];
  double scale = sqlite3_column_double (row, 7);

  for (guint i = 0; i < N_VALUES; i++)
    {
      gboolean there = (reader->run->columns & (2u << i)) != 0;

      sizes[i] = there ? ms_shape_bytes (shape, i + 1) : 0;
      blobs[i] = blob_of (row, 9 + (int) i, sizes[i]);
      if (there && blobs[i] == NULL)
        return corrupt (
            reader, block, layer, error, "%s: %" G_GSIZE_FORMAT " bytes expected, %d found",
            ms_chunk_column (i + 1)->name, sizes[i], sqlite3_column_bytes (row, 9 + (int) i));
    }
  if (!isfinite (scale) || scale < 0
      || ms_crc_values (scale, blobs, sizes) != sqlite3_column_int64 (row, 8))
    return corrupt (reader, block, layer, error, "the checksum of the weights is wrong");
  for (guint i = 0; i < N_VALUES; i++)
    if (columns & reader->run->columns & (2u << i))
      decode (slot, shape, i + 1, blobs[i], scale);
  return TRUE;
}

/* A column of the side table. */
static gboolean
take_column (MsReader *reader, gint64 chunk, const MsShape *shape, guint block, guint layer,
             guint column, Slot *slot, GError **error)
{
  sqlite3_stmt *row = reader->get_column;
  gsize bytes = ms_shape_bytes (shape, column);
  const char *name = ms_chunk_column (column)->name;
  const guint8 *blob = NULL;
  gboolean good = FALSE;
  int code;

  sqlite3_bind_int64 (row, 1, chunk);
  sqlite3_bind_text (row, 2, name, -1, SQLITE_STATIC);
  code = sqlite3_step (row);
  if (code == SQLITE_ROW)
    blob = blob_of (row, 1, bytes);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    ms_db_fail (reader->db, code, "reading a column", error);
  else if (blob == NULL)
    corrupt (reader, block, layer, error, "%s: %" G_GSIZE_FORMAT " bytes expected, %d found", name,
             bytes, code == SQLITE_ROW ? sqlite3_column_bytes (row, 1) : 0);
  else if (ms_crc_bytes (blob, bytes) != sqlite3_column_int64 (row, 0))
    corrupt (reader, block, layer, error, "the checksum of %s is wrong", name);
  else
    {
      decode (slot, shape, column, blob, 1);
      good = TRUE;
    }
  sqlite3_reset (row);
  return good;
}

static gboolean
read_chunk (MsReader *reader, sqlite3_stmt *row, guint block, guint layer, guint columns,
            Slot *slot, GError **error)
{
  const MsLayer *of = &reader->model->layers[layer];
  MsShape shape = { ms_block_tokens (reader->n_tokens, block), of->gate.k, of->gate.n_experts,
                    reader->run->storage };
  int code;

  sqlite3_bind_int64 (row, 1, reader->run->id);
  sqlite3_bind_int64 (row, 2, block);
  sqlite3_bind_int64 (row, 3, of->number);
  code = sqlite3_step (row);
  if (code == SQLITE_DONE)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND,
                   "%s, run %" G_GINT64_FORMAT ": block %u of layer %d is not there",
                   ms_db_path (reader->db), reader->run->id, block, of->number);
      return FALSE;
    }
  if (code != SQLITE_ROW)
    return ms_db_fail (reader->db, code, "reading a chunk", error);
  if (!take_ids (reader, row, &shape, block, layer, slot, error))
    return FALSE;
  if (columns & MS_CHUNK_EXPERTS)
    decode (slot, &shape, 0, slot->raw.memory, 1);
  if (row == reader->get_values
      && !take_values (reader, row, &shape, block, layer, columns, slot, error))
    return FALSE;
  for (guint i = MS_N_COLUMNS_INROW; i < MS_N_COLUMNS; i++)
    if ((columns & reader->run->columns & (1u << i))
        && !take_column (reader, sqlite3_column_int64 (row, 0), &shape, block, layer, i, slot,
                         error))
      return FALSE;
  return TRUE;
}

const MsChunk *
ms_reader_chunk (MsReader *reader, guint block, guint layer, guint columns, guint slot_index,
                 GError **error)
{
  guint missing = columns & ~reader->run->columns & MS_COLUMNS_ALL;
  sqlite3_stmt *row;
  Slot *slot;
  gboolean good;

  g_assert (layer < reader->model->n_layers);
  if (missing != 0)
    {
      g_autofree char *names = ms_columns_format (missing);

      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_MISSING_INPUT,
                   "run %" G_GINT64_FORMAT " of %s was recorded without %s", reader->run->id,
                   ms_db_path (reader->db), names);
      return NULL;
    }
  while (reader->slots->len <= slot_index)
    g_ptr_array_add (reader->slots, g_new0 (Slot, 1));
  slot = reader->slots->pdata[slot_index];
  row = columns & MS_COLUMNS_INROW & ~(guint) MS_CHUNK_EXPERTS ? reader->get_values
                                                               : reader->get_ids;
  good = read_chunk (reader, row, block, layer, columns, slot, error);
  sqlite3_reset (row);
  return good ? &slot->chunk : NULL;
}

/* --- Tokens --------------------------------------------------------------------------------- */

/* Calls for each block that first..first+n-1 touches: `row` is at the block, whose rows from..from+m-1
 * are elements out..out+m-1 of the caller's arrays. */
typedef gboolean (*BlockFunc) (MsReader *reader, sqlite3_stmt *row, guint block, guint from,
                               guint m, gsize out, gpointer data, GError **error);

static gboolean
walk_blocks (MsReader *reader, sqlite3_stmt *row, gint64 key, gint64 end, gint64 first, gint64 n,
             BlockFunc func, gpointer data, GError **error)
{
  if (first < 0 || n < 0 || n > end - first)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_NOT_FOUND,
                   "%s has no tokens %" G_GINT64_FORMAT "..%" G_GINT64_FORMAT,
                   ms_db_path (reader->db), first, first + n - 1);
      return FALSE;
    }
  for (gint64 at = first; at < first + n;)
    {
      guint block = (guint) (at / MS_BLOCK_TOKENS), from = (guint) (at % MS_BLOCK_TOKENS);
      guint m = (guint) MIN (MS_BLOCK_TOKENS - from, first + n - at);
      gboolean good;
      int code;

      sqlite3_bind_int64 (row, 1, key);
      sqlite3_bind_int64 (row, 2, block);
      code = sqlite3_step (row);
      if (code == SQLITE_ROW)
        good = func (reader, row, block, from, m, (gsize) (at - first), data, error);
      else if (code == SQLITE_DONE)
        {
          g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
                       "%s: the tokens of block %u are missing; `moescope check` lists all faults",
                       ms_db_path (reader->db), block);
          good = FALSE;
        }
      else
        good = ms_db_fail (reader->db, code, "reading tokens", error);
      sqlite3_reset (row);
      if (!good)
        return FALSE;
      at += m;
    }
  return TRUE;
}

static gboolean
token_fault (MsReader *reader, guint block, GError **error)
{
  g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
               "%s: the tokens of block %u have a wrong length or checksum; `moescope check` lists "
               "all faults",
               ms_db_path (reader->db), block);
  return FALSE;
}

static gboolean
copy_tokens (MsReader *reader, sqlite3_stmt *row, guint block, guint from, guint m, gsize out,
             gpointer data, GError **error)
{
  gsize bytes = ms_block_tokens (reader->n_tokens, block) * sizeof (gint32);
  const guint8 *ids = blob_of (row, 1, bytes);

  if (ids == NULL || ms_crc_bytes (ids, bytes) != sqlite3_column_int64 (row, 0))
    return token_fault (reader, block, error);
  memcpy ((gint32 *) data + out, ids + from * sizeof (gint32), m * sizeof (gint32));
  return TRUE;
}

gboolean
ms_reader_tokens (MsReader *reader, gint64 first, gint64 n, gint32 *ids, GError **error)
{
  gint64 known;

  if (!ms_db_integer (reader->db, "SELECT ids_known FROM corpus WHERE corpus = ?1",
                      reader->run->corpus, &known, error))
    return FALSE;
  if (!known)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_MISSING_INPUT,
                   "run %" G_GINT64_FORMAT " of %s was imported without token ids", reader->run->id,
                   ms_db_path (reader->db));
      return FALSE;
    }
  return walk_blocks (reader, reader->get_tokens, reader->run->corpus, reader->n_tokens, first, n,
                      copy_tokens, ids, error);
}

typedef struct
{
  gint32 *ids;
  float *loss;
} Predictions;

static gboolean
copy_predictions (MsReader *reader, sqlite3_stmt *row, guint block, guint from, guint m, gsize out,
                  gpointer data, GError **error)
{
  const Predictions *to = data;
  gsize n = ms_block_tokens (reader->n_tokens, block);
  gsize n_ids = (gsize) sqlite3_column_bytes (row, 1),
        n_loss = (gsize) sqlite3_column_bytes (row, 2);
  const guint8 *ids = sqlite3_column_blob (row, 1), *loss = sqlite3_column_blob (row, 2);
  g_autofree guint8 *both = NULL;

  if ((n_ids != 0 && n_ids != n * 4) || (n_loss != 0 && n_loss != n * 4) || n_ids + n_loss == 0)
    return token_fault (reader, block, error);
  both = g_malloc (n_ids + n_loss);
  if (n_ids != 0)
    memcpy (both, ids, n_ids);
  if (n_loss != 0)
    memcpy (both + n_ids, loss, n_loss);
  if (ms_crc_bytes (both, n_ids + n_loss) != sqlite3_column_int64 (row, 0))
    return token_fault (reader, block, error);
  for (guint i = 0; i < m; i++)
    {
      if (to->ids != NULL)
        to->ids[out + i] = -1;
      if (to->loss != NULL)
        to->loss[out + i] = NAN;
    }
  if (to->ids != NULL && n_ids != 0)
    memcpy (to->ids + out, both + from * 4, m * 4);
  if (to->loss != NULL && n_loss != 0)
    memcpy (to->loss + out, both + n_ids + from * 4, m * 4);
  return TRUE;
}

gboolean
ms_reader_predictions (MsReader *reader, gint64 first, gint64 n, gint32 *predicted, float *loss,
                       GError **error)
{
  Predictions to = { predicted, loss };

  if (!reader->run->predictions)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_MISSING_INPUT,
                   "run %" G_GINT64_FORMAT " of %s was recorded without predictions",
                   reader->run->id, ms_db_path (reader->db));
      return FALSE;
    }
  return walk_blocks (reader, reader->get_prediction, reader->run->id, reader->n_tokens, first, n,
                      copy_predictions, &to, error);
}

static void
unref_bytes (gpointer bytes)
{
  if (bytes != NULL)
    g_bytes_unref (bytes);
}

gboolean
ms_reader_piece (MsReader *reader, gint32 id, const guint8 **bytes, gsize *length)
{
  gpointer found = NULL;

  if (reader->pieces == NULL)
    reader->pieces = g_hash_table_new_full (NULL, NULL, NULL, unref_bytes);
  if (!g_hash_table_lookup_extended (reader->pieces, GINT_TO_POINTER (id), NULL, &found))
    {
      sqlite3_stmt *row = reader->get_piece;

      sqlite3_bind_int64 (row, 1, reader->run->corpus);
      sqlite3_bind_int64 (row, 2, id);
      if (sqlite3_step (row) == SQLITE_ROW)
        {
          const void *blob = sqlite3_column_blob (row, 0);

          found = g_bytes_new (blob, (gsize) sqlite3_column_bytes (row, 0));
        }
      sqlite3_reset (row);
      g_hash_table_insert (reader->pieces, GINT_TO_POINTER (id), found);
    }
  if (found == NULL)
    return FALSE;
  *bytes = g_bytes_get_data (found, length);
  return TRUE;
}
