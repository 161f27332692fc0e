/* Decisions, loads and tokens as rows for SQL:
 *
 *   routing (run, layer, token, rank, expert, weight, entropy, margin)   "token" counts in the corpus
 *   load    (run, layer, expert, count)                                  counted here, not by SQL
 *   token   (corpus, token, id, text)
 *
 * Everything is read through the caller's connection, so that the same file serves as an extension of
 * any SQLite program.  Decoded chunks and prepared statements are kept with the table, not with the
 * cursor: a join opens a cursor for every row of the other side. */
#include "vtab-private.h"

#include "codec-private.h"

#include <math.h>
#include <string.h>

#ifdef MS_LOADABLE
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT1
int sqlite3_moescope_init (sqlite3 *db, char **message, const sqlite3_api_routines *api);
#endif

#define MOST_BLOCKS ((gint64) 1 << 28)       /* 2^40 tokens */
#define N_KEPT      64                       /* decoded chunks */
#define N_VALUES    (MS_N_COLUMNS_INROW - 1) /* columns in the chunk's row besides the ids */

/* A constraint that xBestIndex hands to xFilter; the arguments come in this order. */
enum
{
  BY_KEY = 1 << 0,   /* run, or corpus */
  BY_LAYER = 1 << 1, /* routing and load */
  BY_TOKEN = 1 << 2,
  BY_LEAST = 1 << 3, /* token >= */
  BY_MOST = 1 << 4,  /* token <= */
  BY_ALL = (1 << 5) - 1,
  WITH_WEIGHTS = 1 << 5, /* weight, entropy or margin is read */
};

typedef struct
{
  gint64 id; /* of the row, 0 = empty */
  gint64 run, first_token;
  int layer;
  gboolean has_values;
  MsShape shape;
  MsDecisions decisions; /* of those in the row; NULL = not recorded or not asked for */
  guint refs;
  guint64 used; /* clock of the last use */
} Chunk;

typedef struct
{
  sqlite3_vtab base;
  sqlite3 *db;
  sqlite3_stmt *get[2];   /* chunk without and with values */
  sqlite3_stmt *list[32]; /* chunk or block ids by constraints; NULL = in use or not yet prepared */
  sqlite3_stmt *get_piece;
  Chunk *kept[N_KEPT];
  guint64 clock;
} Table;

static int G_GNUC_PRINTF (3, 4) fail (Table *table, int code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  sqlite3_free (table->base.zErrMsg);
  table->base.zErrMsg = sqlite3_vmprintf (format, args);
  va_end (args);
  return code;
}

static int
fail_as_database (Table *table, int code)
{
  return fail (table, code, "%s", sqlite3_errmsg (table->db));
}

static void
chunk_unref (Chunk *chunk)
{
  if (chunk == NULL || --chunk->refs > 0)
    return;
  ms_decisions_clear (&chunk->decisions);
  g_free (chunk);
}

static int
connect (sqlite3 *db, const char *declaration, sqlite3_vtab **vtab)
{
  int code = sqlite3_declare_vtab (db, declaration);
  Table *table;

  if (code != SQLITE_OK)
    return code;
  table = g_new0 (Table, 1);
  table->db = db;
  *vtab = &table->base;
  return SQLITE_OK;
}

static int
disconnect (sqlite3_vtab *vtab)
{
  Table *table = (Table *) vtab;

  for (guint i = 0; i < G_N_ELEMENTS (table->list); i++)
    sqlite3_finalize (table->list[i]);
  sqlite3_finalize (table->get[0]);
  sqlite3_finalize (table->get[1]);
  sqlite3_finalize (table->get_piece);
  for (guint i = 0; i < N_KEPT; i++)
    chunk_unref (table->kept[i]);
  sqlite3_free (table->base.zErrMsg);
  g_free (table);
  return SQLITE_OK;
}

/* --- Chunks --------------------------------------------------------------------------------- */

static const char *const get_sql[2] = {
  "SELECT c.run, c.layer, c.block, c.first_token, c.n_tokens, c.k, c.id_bytes, l.experts, "
  "r.storage, c.crc, c.experts FROM chunk c JOIN run r ON r.run = c.run "
  "JOIN layer l ON l.model = r.model AND l.layer = c.layer WHERE c.chunk = ?1",
  "SELECT c.run, c.layer, c.block, c.first_token, c.n_tokens, c.k, c.id_bytes, l.experts, "
  "r.storage, c.crc, c.experts, c.scale, c.values_crc, c.weights, c.entropy, c.margin "
  "FROM chunk c JOIN run r ON r.run = c.run "
  "JOIN layer l ON l.model = r.model AND l.layer = c.layer WHERE c.chunk = ?1",
};

static void
decode_column (Chunk *chunk, guint column, const guint8 *bytes, double scale)
{
  gpointer values
      = g_malloc_n (ms_shape_count (&chunk->shape, column), ms_chunk_column (column)->size);

  ms_decode_column (&chunk->shape, column, bytes, scale, values);
  *ms_decisions_array (&chunk->decisions, column) = values;
}

/* NULL when the row at hand is no good chunk. */
static Chunk *
decode_chunk (sqlite3_stmt *row, gboolean values)
{
  gint64 block = sqlite3_column_int64 (row, 2), n_tokens = sqlite3_column_int64 (row, 4);
  gint64 k = sqlite3_column_int64 (row, 5), n_experts = sqlite3_column_int64 (row, 7);
  const char *storage = (const char *) sqlite3_column_text (row, 8);
  const guint8 *ids = sqlite3_column_blob (row, 10), *blobs[N_VALUES] = { NULL };
  gsize sizes[N_VALUES] = { 0 };
  double scale = values ? sqlite3_column_double (row, 11) : 0;
  MsShape shape;
  Chunk *chunk;

  if (block < 0 || block > MOST_BLOCKS || n_tokens < 1 || n_tokens > MS_BLOCK_TOKENS
      || sqlite3_column_int64 (row, 3) != block * MS_BLOCK_TOKENS || n_experts < 1
      || n_experts > MS_MAX_EXPERTS || k < 1 || k > n_experts)
    return NULL;
  shape = (MsShape){ (guint) n_tokens, (guint) k, (guint) n_experts,
                     g_strcmp0 (storage, "exact") == 0 ? MS_STORAGE_EXACT : MS_STORAGE_COMPACT };
  if (sqlite3_column_int64 (row, 6) != ms_shape_id_bytes (&shape)
      || (gsize) sqlite3_column_bytes (row, 10) != ms_shape_bytes (&shape, 0)
      || ms_crc_ids (block, sqlite3_column_int (row, 1), ids, ms_shape_bytes (&shape, 0))
             != sqlite3_column_int64 (row, 9)
      || !ms_ids_in_range (&shape, ids))
    return NULL;
  for (guint i = 0; values && i < N_VALUES; i++)
    {
      blobs[i] = sqlite3_column_blob (row, 13 + (int) i);
      sizes[i] = (gsize) sqlite3_column_bytes (row, 13 + (int) i);
      if (blobs[i] != NULL && sizes[i] != ms_shape_bytes (&shape, i + 1))
        return NULL;
    }
  if (values && ms_crc_values (scale, blobs, sizes) != sqlite3_column_int64 (row, 12))
    return NULL;
  chunk = g_new0 (Chunk, 1);
  chunk->run = sqlite3_column_int64 (row, 0);
  chunk->layer = sqlite3_column_int (row, 1);
  chunk->first_token = sqlite3_column_int64 (row, 3);
  chunk->has_values = values;
  chunk->shape = shape;
  decode_column (chunk, 0, ids, scale);
  for (guint i = 0; i < N_VALUES; i++)
    if (blobs[i] != NULL)
      decode_column (chunk, i + 1, blobs[i], scale);
  return chunk;
}

/* The decoded chunk with the given row id; *chunk gets a reference. */
static int
get_chunk (Table *table, gint64 id, gboolean values, Chunk **chunk)
{
  sqlite3_stmt **statement = &table->get[values];
  guint oldest = 0;
  int code;

  table->clock++;
  for (guint i = 0; i < N_KEPT; i++)
    {
      Chunk *kept = table->kept[i];

      if (kept != NULL && kept->id == id && (kept->has_values || !values))
        {
          kept->used = table->clock;
          kept->refs++;
          *chunk = kept;
          return SQLITE_OK;
        }
      if (kept == NULL || (table->kept[oldest] != NULL && kept->used < table->kept[oldest]->used))
        oldest = i;
    }
  if (*statement == NULL)
    {
      code = sqlite3_prepare_v3 (table->db, get_sql[values], -1, SQLITE_PREPARE_PERSISTENT,
                                 statement, NULL);
      if (code != SQLITE_OK)
        return fail_as_database (table, code);
    }
  sqlite3_bind_int64 (*statement, 1, id);
  code = sqlite3_step (*statement);
  *chunk = code == SQLITE_ROW ? decode_chunk (*statement, values) : NULL;
  sqlite3_reset (*statement);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    return fail_as_database (table, code);
  if (*chunk == NULL)
    return fail (table, SQLITE_CORRUPT_VTAB, "chunk %" G_GINT64_FORMAT " is damaged", id);
  chunk_unref (table->kept[oldest]);
  table->kept[oldest] = *chunk;
  (*chunk)->id = id;
  (*chunk)->refs = 2;
  (*chunk)->used = table->clock;
  return SQLITE_OK;
}

/* --- Constraints ---------------------------------------------------------------------------- */

/* Where the columns of a table are that can be constrained, -1 = none. */
typedef struct
{
  int key, layer, token;
} Keys;

static int
best_index (const Keys *keys, sqlite3_index_info *info, guint64 value_columns)
{
  int found[5] = { -1, -1, -1, -1, -1 };
  double rows = 1e9;
  int next = 1;

  info->idxNum = 0;
  for (int i = 0; i < info->nConstraint; i++)
    {
      const struct sqlite3_index_constraint *constraint = &info->aConstraint[i];
      gboolean equal = constraint->op == SQLITE_INDEX_CONSTRAINT_EQ;

      if (constraint->iColumn < 0)
        continue;
      if (!constraint->usable)
        {
          /* A plan that could not use it would scan all: let the join run the other way round. */
          if (equal && constraint->iColumn == keys->token)
            rows *= 10;
          continue;
        }
      if (equal && constraint->iColumn == keys->key)
        found[0] = i;
      else if (equal && constraint->iColumn == keys->layer)
        found[1] = i;
      else if (constraint->iColumn != keys->token)
        continue;
      else if (equal)
        found[2] = i;
      else if (constraint->op == SQLITE_INDEX_CONSTRAINT_GE
               || constraint->op == SQLITE_INDEX_CONSTRAINT_GT)
        found[3] = i;
      else if (constraint->op == SQLITE_INDEX_CONSTRAINT_LE
               || constraint->op == SQLITE_INDEX_CONSTRAINT_LT)
        found[4] = i;
    }
  for (guint i = 0; i < G_N_ELEMENTS (found); i++)
    if (found[i] >= 0)
      {
        static const double shrink[] = { 10, 50, 1e5, 5, 5 };

        info->idxNum |= 1 << i;
        info->aConstraintUsage[found[i]].argvIndex = next++;
        rows /= shrink[i];
      }
  if (info->colUsed & value_columns)
    info->idxNum |= WITH_WEIGHTS;
  info->estimatedRows = (gint64) MAX (rows, 1);
  info->estimatedCost = MAX (rows, 1);
  return SQLITE_OK;
}

/* The statement that lists chunks or blocks under the constraints, bound to the arguments.  Inner SQL
 * is built from them: "(?1 IS NULL OR run = ?1)" would scan the whole index. */
static int
list_rows (Table *table, const char *select, const char *key, const char *order, int constraints,
           sqlite3_value **arguments, sqlite3_stmt **statement)
{
  static const char *const blocks[]
      = { " AND block = CAST (%s AS INTEGER) / 4096", " AND block >= CAST (%s AS INTEGER) / 4096",
          " AND block <= CAST (%s AS INTEGER) / 4096" };
  int index = constraints & BY_ALL, n = 0, code;

  *statement = table->list[index];
  table->list[index] = NULL;
  if (*statement == NULL)
    {
      GString *sql = g_string_new (select);

      g_string_append (sql, " WHERE 1");
      for (int i = 0; i < 5; i++)
        if (constraints & (1 << i))
          {
            g_autofree char *parameter = g_strdup_printf ("?%d", ++n);

            if (i == 0)
              g_string_append_printf (sql, " AND %s = %s", key, parameter);
            else if (i == 1)
              g_string_append_printf (sql, " AND layer = %s", parameter);
            else
              {
                g_auto (GStrv) parts = g_strsplit (blocks[i - 2], "%s", 2);

                g_string_append_printf (sql, "%s%s%s", parts[0], parameter, parts[1]);
              }
          }
      g_string_append (sql, order);
      code = sqlite3_prepare_v3 (table->db, sql->str, -1, SQLITE_PREPARE_PERSISTENT, statement,
                                 NULL);
      g_string_free (sql, TRUE);
      if (code != SQLITE_OK)
        return fail_as_database (table, code);
    }
  n = 0;
  for (int i = 0; i < 5; i++)
    if (constraints & (1 << i))
      {
        sqlite3_bind_value (*statement, n + 1, arguments[n]);
        n++;
      }
  return SQLITE_OK;
}

/* The tokens that the constraints leave.  SQLite checks every row again, so bounds that are a little too
 * wide (> as >=) do no harm. */
static void
take_bounds (int constraints, sqlite3_value **arguments, gint64 *least, gint64 *most)
{
  gint64 bounds[3] = { 0, 0, G_MAXINT64 };

  for (int i = 0; i < 3; i++)
    if (constraints & (BY_TOKEN << i))
      bounds[i] = sqlite3_value_int64 (*arguments++);
  *least = MAX (bounds[1], 0);
  *most = bounds[2];
  if (constraints & BY_TOKEN)
    {
      *least = MAX (*least, bounds[0]);
      *most = MIN (*most, bounds[0]);
    }
}

/* Gives a listing back to the table for the next cursor. */
static void
end_list (Table *table, int constraints, sqlite3_stmt *statement)
{
  sqlite3_stmt **place = &table->list[constraints & BY_ALL];

  if (statement == NULL)
    return;
  sqlite3_reset (statement);
  if (*place == NULL)
    *place = statement;
  else
    sqlite3_finalize (statement);
}

/* --- routing -------------------------------------------------------------------------------- */

typedef struct
{
  sqlite3_vtab_cursor base;
  sqlite3_stmt *list;
  int constraints;
  gint64 least, most; /* tokens */
  Chunk *chunk;       /* NULL = at the end */
  gsize slot, end;    /* in the chunk */
} RoutingCursor;

enum
{
  ROUTING_RUN,
  ROUTING_LAYER,
  ROUTING_TOKEN,
  ROUTING_RANK,
  ROUTING_EXPERT,
  ROUTING_WEIGHT,
  ROUTING_ENTROPY,
  ROUTING_MARGIN,
};

static int
routing_connect (sqlite3 *db, void *data, int argc, const char *const *argv, sqlite3_vtab **vtab,
                 char **message)
{
  (void) data;
  (void) argc;
  (void) argv;
  (void) message;
  return connect (db,
                  "CREATE TABLE routing (run INTEGER, layer INTEGER, token INTEGER, rank INTEGER, "
                  "expert INTEGER, weight REAL, entropy REAL, margin REAL)",
                  vtab);
}

static int
routing_best_index (sqlite3_vtab *vtab, sqlite3_index_info *info)
{
  static const Keys keys = { ROUTING_RUN, ROUTING_LAYER, ROUTING_TOKEN };

  (void) vtab;
  return best_index (&keys, info, 1 << ROUTING_WEIGHT | 1 << ROUTING_ENTROPY | 1 << ROUTING_MARGIN);
}

static int
routing_open (sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor)
{
  (void) vtab;
  *cursor = (sqlite3_vtab_cursor *) g_new0 (RoutingCursor, 1);
  return SQLITE_OK;
}

static void
routing_end (RoutingCursor *cursor)
{
  end_list ((Table *) cursor->base.pVtab, cursor->constraints, cursor->list);
  cursor->list = NULL;
  chunk_unref (cursor->chunk);
  cursor->chunk = NULL;
}

static int
routing_close (sqlite3_vtab_cursor *base)
{
  routing_end ((RoutingCursor *) base);
  g_free (base);
  return SQLITE_OK;
}

/* Goes on to the next used slot at or after `slot`, through as many chunks as it takes. */
static int
routing_settle (RoutingCursor *cursor)
{
  Table *table = (Table *) cursor->base.pVtab;

  for (;;)
    {
      gint64 from, to;
      int code;

      if (cursor->chunk != NULL)
        {
          while (cursor->slot < cursor->end
                 && cursor->chunk->decisions.experts[cursor->slot] == MS_NO_EXPERT)
            cursor->slot++;
          if (cursor->slot < cursor->end)
            return SQLITE_OK;
          chunk_unref (cursor->chunk);
          cursor->chunk = NULL;
        }
      code = sqlite3_step (cursor->list);
      if (code == SQLITE_DONE)
        return SQLITE_OK;
      if (code != SQLITE_ROW)
        return fail_as_database (table, code);
      code = get_chunk (table, sqlite3_column_int64 (cursor->list, 0),
                        (cursor->constraints & WITH_WEIGHTS) != 0, &cursor->chunk);
      if (code != SQLITE_OK)
        return code;
      from = CLAMP (cursor->least - cursor->chunk->first_token, 0, cursor->chunk->shape.n_tokens);
      to = cursor->most < cursor->chunk->first_token
               ? 0
               : MIN (cursor->most - cursor->chunk->first_token,
                      (gint64) cursor->chunk->shape.n_tokens - 1)
                     + 1;
      cursor->slot = (gsize) from * cursor->chunk->shape.k;
      cursor->end = (gsize) to * cursor->chunk->shape.k;
    }
}

static int
routing_filter (sqlite3_vtab_cursor *base, int constraints, const char *text, int argc,
                sqlite3_value **arguments)
{
  RoutingCursor *cursor = (RoutingCursor *) base;
  int n = !!(constraints & BY_KEY) + !!(constraints & BY_LAYER), code;

  (void) text;
  (void) argc;
  routing_end (cursor);
  cursor->constraints = constraints;
  take_bounds (constraints, arguments + n, &cursor->least, &cursor->most);
  code = list_rows ((Table *) base->pVtab, "SELECT chunk FROM chunk", "run",
                    " ORDER BY run, block, layer", constraints, arguments, &cursor->list);
  return code == SQLITE_OK ? routing_settle (cursor) : code;
}

static int
routing_next (sqlite3_vtab_cursor *base)
{
  ((RoutingCursor *) base)->slot++;
  return routing_settle ((RoutingCursor *) base);
}

static int
routing_eof (sqlite3_vtab_cursor *base)
{
  return ((RoutingCursor *) base)->chunk == NULL;
}

static int
routing_column (sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
  const RoutingCursor *cursor = (RoutingCursor *) base;
  const Chunk *chunk = cursor->chunk;
  guint token = (guint) (cursor->slot / chunk->shape.k);
  const float *values;

  switch (column)
    {
    case ROUTING_RUN:
      sqlite3_result_int64 (context, chunk->run);
      break;
    case ROUTING_LAYER:
      sqlite3_result_int64 (context, chunk->layer);
      break;
    case ROUTING_TOKEN:
      sqlite3_result_int64 (context, chunk->first_token + token);
      break;
    case ROUTING_RANK:
      sqlite3_result_int64 (context, (gint64) (cursor->slot % chunk->shape.k));
      break;
    case ROUTING_EXPERT:
      sqlite3_result_int64 (context, chunk->decisions.experts[cursor->slot]);
      break;
    default: /* a NaN becomes NULL */
      values = ms_decisions_get (&chunk->decisions, 1 + (guint) (column - ROUTING_WEIGHT));
      if (values != NULL)
        sqlite3_result_double (context,
                               (double) values[column == ROUTING_WEIGHT ? cursor->slot : token]);
    }
  return SQLITE_OK;
}

static int
routing_rowid (sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
  const RoutingCursor *cursor = (RoutingCursor *) base;

  /* A chunk has at most 4096 x 65535 slots. */
  *rowid = (sqlite3_int64) ((guint64) cursor->chunk->id << 28 | cursor->slot);
  return SQLITE_OK;
}

/* --- load ----------------------------------------------------------------------------------- */

typedef struct
{
  sqlite3_vtab_cursor base;
  sqlite3_stmt *list; /* of layers of runs */
  int constraints;
  guint64 *counts; /* (n_experts) of the layer at hand, NULL = at the end */
  guint n_experts, expert;
  gint64 row;
} LoadCursor;

static int
load_connect (sqlite3 *db, void *data, int argc, const char *const *argv, sqlite3_vtab **vtab,
              char **message)
{
  (void) data;
  (void) argc;
  (void) argv;
  (void) message;
  return connect (
      db, "CREATE TABLE load (run INTEGER, layer INTEGER, expert INTEGER, count INTEGER)", vtab);
}

static int
load_best_index (sqlite3_vtab *vtab, sqlite3_index_info *info)
{
  static const Keys keys = { 0, 1, -1 };

  (void) vtab;
  return best_index (&keys, info, 0);
}

static int
load_open (sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor)
{
  (void) vtab;
  *cursor = (sqlite3_vtab_cursor *) g_new0 (LoadCursor, 1);
  return SQLITE_OK;
}

static void
load_end (LoadCursor *cursor)
{
  end_list ((Table *) cursor->base.pVtab, cursor->constraints, cursor->list);
  cursor->list = NULL;
  g_clear_pointer (&cursor->counts, g_free);
}

static int
load_close (sqlite3_vtab_cursor *base)
{
  load_end ((LoadCursor *) base);
  g_free (base);
  return SQLITE_OK;
}

/* Counts the layer that the list is at. */
static int
load_count (LoadCursor *cursor)
{
  Table *table = (Table *) cursor->base.pVtab;
  gint64 n_experts = sqlite3_column_int64 (cursor->list, 2);
  sqlite3_stmt *chunks;
  int code;

  if (n_experts < 1 || n_experts > MS_MAX_EXPERTS)
    return fail (table, SQLITE_CORRUPT_VTAB, "a layer is damaged");
  g_free (cursor->counts);
  cursor->counts = g_new0 (guint64, n_experts);
  cursor->n_experts = (guint) n_experts;
  cursor->expert = 0;
  code = sqlite3_prepare_v2 (table->db,
                             "SELECT chunk FROM chunk WHERE run = ?1 AND layer = ?2 ORDER BY block",
                             -1, &chunks, NULL);
  if (code != SQLITE_OK)
    return fail_as_database (table, code);
  sqlite3_bind_int64 (chunks, 1, sqlite3_column_int64 (cursor->list, 0));
  sqlite3_bind_int64 (chunks, 2, sqlite3_column_int64 (cursor->list, 1));
  while ((code = sqlite3_step (chunks)) == SQLITE_ROW)
    {
      Chunk *chunk;
      gsize n;

      code = get_chunk (table, sqlite3_column_int64 (chunks, 0), FALSE, &chunk);
      if (code != SQLITE_OK)
        break;
      n = ms_shape_count (&chunk->shape, 0);
      for (gsize i = 0; i < n; i++)
        if (chunk->decisions.experts[i] < cursor->n_experts)
          cursor->counts[chunk->decisions.experts[i]]++;
      chunk_unref (chunk);
    }
  if (code != SQLITE_DONE && table->base.zErrMsg == NULL)
    fail_as_database (table, code);
  sqlite3_finalize (chunks);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int
load_settle (LoadCursor *cursor)
{
  int code;

  if (cursor->counts != NULL && cursor->expert < cursor->n_experts)
    return SQLITE_OK;
  g_clear_pointer (&cursor->counts, g_free);
  code = sqlite3_step (cursor->list);
  if (code == SQLITE_ROW)
    return load_count (cursor);
  return code == SQLITE_DONE ? SQLITE_OK : fail_as_database ((Table *) cursor->base.pVtab, code);
}

static int
load_filter (sqlite3_vtab_cursor *base, int constraints, const char *text, int argc,
             sqlite3_value **arguments)
{
  LoadCursor *cursor = (LoadCursor *) base;
  int code;

  (void) text;
  (void) argc;
  load_end (cursor);
  cursor->constraints = constraints;
  cursor->row = 0;
  code = list_rows ((Table *) base->pVtab,
                    "SELECT run, layer, experts FROM run JOIN layer USING (model)", "run",
                    " ORDER BY run, layer", constraints, arguments, &cursor->list);
  return code == SQLITE_OK ? load_settle (cursor) : code;
}

static int
load_next (sqlite3_vtab_cursor *base)
{
  LoadCursor *cursor = (LoadCursor *) base;

  cursor->expert++;
  cursor->row++;
  return load_settle (cursor);
}

static int
load_eof (sqlite3_vtab_cursor *base)
{
  return ((LoadCursor *) base)->counts == NULL;
}

static int
load_column (sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
  const LoadCursor *cursor = (LoadCursor *) base;

  if (column < 2)
    sqlite3_result_value (context, sqlite3_column_value (cursor->list, column));
  else
    sqlite3_result_int64 (context, column == 2 ? (gint64) cursor->expert
                                               : (gint64) cursor->counts[cursor->expert]);
  return SQLITE_OK;
}

static int
load_rowid (sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
  *rowid = ((LoadCursor *) base)->row;
  return SQLITE_OK;
}

/* --- token ---------------------------------------------------------------------------------- */

typedef struct
{
  sqlite3_vtab_cursor base;
  sqlite3_stmt *list; /* of token blocks */
  int constraints;
  gint64 least, most;
  gint32 *ids; /* of the block at hand, NULL = at the end */
  gint64 first;
  guint at, end;
} TokenCursor;

static int
token_connect (sqlite3 *db, void *data, int argc, const char *const *argv, sqlite3_vtab **vtab,
               char **message)
{
  (void) data;
  (void) argc;
  (void) argv;
  (void) message;
  return connect (db, "CREATE TABLE token (corpus INTEGER, token INTEGER, id INTEGER, text TEXT)",
                  vtab);
}

static int
token_best_index (sqlite3_vtab *vtab, sqlite3_index_info *info)
{
  static const Keys keys = { 0, -1, 1 };

  (void) vtab;
  return best_index (&keys, info, 0);
}

static int
token_open (sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor)
{
  (void) vtab;
  *cursor = (sqlite3_vtab_cursor *) g_new0 (TokenCursor, 1);
  return SQLITE_OK;
}

static void
token_end (TokenCursor *cursor)
{
  end_list ((Table *) cursor->base.pVtab, cursor->constraints, cursor->list);
  cursor->list = NULL;
  g_clear_pointer (&cursor->ids, g_free);
}

static int
token_close (sqlite3_vtab_cursor *base)
{
  token_end ((TokenCursor *) base);
  g_free (base);
  return SQLITE_OK;
}

static int
token_settle (TokenCursor *cursor)
{
  Table *table = (Table *) cursor->base.pVtab;

  while (cursor->ids == NULL || cursor->at >= cursor->end)
    {
      int code, bytes;
      gint64 n, block;

      g_clear_pointer (&cursor->ids, g_free);
      code = sqlite3_step (cursor->list);
      if (code == SQLITE_DONE)
        return SQLITE_OK;
      if (code != SQLITE_ROW)
        return fail_as_database (table, code);
      bytes = sqlite3_column_bytes (cursor->list, 3);
      block = sqlite3_column_int64 (cursor->list, 1);
      n = bytes / 4;
      if (block < 0 || block > MOST_BLOCKS || bytes % 4 != 0 || n < 1 || n > MS_BLOCK_TOKENS
          || ms_crc_bytes (sqlite3_column_blob (cursor->list, 3), (gsize) bytes)
                 != sqlite3_column_int64 (cursor->list, 2))
        return fail (table, SQLITE_CORRUPT_VTAB, "a block of token ids is damaged");
      cursor->ids = g_memdup2 (sqlite3_column_blob (cursor->list, 3), (gsize) bytes);
      cursor->first = block * MS_BLOCK_TOKENS;
      cursor->at = (guint) CLAMP (cursor->least - cursor->first, 0, n);
      cursor->end = cursor->most < cursor->first
                        ? 0
                        : (guint) (MIN (cursor->most - cursor->first, n - 1) + 1);
    }
  return SQLITE_OK;
}

static int
token_filter (sqlite3_vtab_cursor *base, int constraints, const char *text, int argc,
              sqlite3_value **arguments)
{
  TokenCursor *cursor = (TokenCursor *) base;
  int n = !!(constraints & BY_KEY), code;

  (void) text;
  (void) argc;
  token_end (cursor);
  cursor->constraints = constraints;
  take_bounds (constraints, arguments + n, &cursor->least, &cursor->most);
  code = list_rows ((Table *) base->pVtab, "SELECT corpus, block, crc, ids FROM token_block",
                    "corpus", " ORDER BY corpus, block", constraints, arguments, &cursor->list);
  return code == SQLITE_OK ? token_settle (cursor) : code;
}

static int
token_next (sqlite3_vtab_cursor *base)
{
  ((TokenCursor *) base)->at++;
  return token_settle ((TokenCursor *) base);
}

static int
token_eof (sqlite3_vtab_cursor *base)
{
  return ((TokenCursor *) base)->ids == NULL;
}

static int
token_text (const TokenCursor *cursor, sqlite3_context *context)
{
  Table *table = (Table *) cursor->base.pVtab;
  int code;

  if (table->get_piece == NULL)
    {
      code = sqlite3_prepare_v3 (table->db, "SELECT bytes FROM piece WHERE corpus = ?1 AND id = ?2",
                                 -1, SQLITE_PREPARE_PERSISTENT, &table->get_piece, NULL);
      if (code != SQLITE_OK)
        return fail_as_database (table, code);
    }
  sqlite3_bind_int64 (table->get_piece, 1, sqlite3_column_int64 (cursor->list, 0));
  sqlite3_bind_int64 (table->get_piece, 2, cursor->ids[cursor->at]);
  if (sqlite3_step (table->get_piece) == SQLITE_ROW)
    {
      const char *bytes = sqlite3_column_blob (table->get_piece, 0);
      int length = sqlite3_column_bytes (table->get_piece, 0);

      if (length == 0 || g_utf8_validate (bytes, length, NULL))
        sqlite3_result_text (context, length == 0 ? "" : bytes, length, SQLITE_TRANSIENT);
      else
        {
          g_autofree char *clean = ms_text_printable (bytes, length);

          sqlite3_result_text (context, clean, -1, SQLITE_TRANSIENT);
        }
    }
  sqlite3_reset (table->get_piece);
  return SQLITE_OK;
}

static int
token_column (sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
  const TokenCursor *cursor = (TokenCursor *) base;

  switch (column)
    {
    case 0:
      sqlite3_result_value (context, sqlite3_column_value (cursor->list, 0));
      return SQLITE_OK;
    case 1:
      sqlite3_result_int64 (context, cursor->first + cursor->at);
      return SQLITE_OK;
    case 2:
      sqlite3_result_int64 (context, cursor->ids[cursor->at]);
      return SQLITE_OK;
    default:
      return token_text (cursor, context);
    }
}

static int
token_rowid (sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
  const TokenCursor *cursor = (TokenCursor *) base;

  *rowid = (sqlite3_int64) ((guint64) sqlite3_column_int64 (cursor->list, 0) << 40
                            | (guint64) (cursor->first + cursor->at));
  return SQLITE_OK;
}

/* --- Modules -------------------------------------------------------------------------------- */

#define MODULE(table)                                                                              \
  static const sqlite3_module table##_module = {                                                   \
    .xConnect = table##_connect,                                                                   \
    .xBestIndex = table##_best_index,                                                              \
    .xDisconnect = disconnect,                                                                     \
    .xOpen = table##_open,                                                                         \
    .xClose = table##_close,                                                                       \
    .xFilter = table##_filter,                                                                     \
    .xNext = table##_next,                                                                         \
    .xEof = table##_eof,                                                                           \
    .xColumn = table##_column,                                                                     \
    .xRowid = table##_rowid,                                                                       \
  }

MODULE (routing);
MODULE (load);
MODULE (token);

/* The known labels of documents as columns of the table document, as people ask for them; each is looked
 * up only when it is used.  A file of version 1 has such columns itself. */
static int
show_labels (sqlite3 *db)
{
#define LABEL(name)                                                                                \
  ", (SELECT value FROM main.document_label l WHERE l.corpus = d.corpus AND l.document = "         \
  "d.document AND l.name = '" name "') AS " name
  static const char view[]
      = "CREATE TEMP VIEW document AS SELECT d.corpus, d.document, d.name" LABEL ("language")
          LABEL ("domain") LABEL ("parallel") LABEL ("phase") ", d.first_token, d.n_tokens "
                                                              "FROM main.document d";
#undef LABEL
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2 (db,
                                 "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND "
                                 "name IN ('document', 'document_label')",
                                 -1, &statement, NULL);
  gboolean ours = code == SQLITE_OK && sqlite3_step (statement) == SQLITE_ROW
                  && sqlite3_column_int (statement, 0) == 2;

  sqlite3_finalize (statement);
  return ours ? sqlite3_exec (db, view, NULL, NULL, NULL) : SQLITE_OK;
}

int
ms_vtab_register (sqlite3 *db)
{
  int code = sqlite3_create_module_v2 (db, "routing", &routing_module, NULL, NULL);

  if (code == SQLITE_OK)
    code = sqlite3_create_module_v2 (db, "load", &load_module, NULL, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_module_v2 (db, "token", &token_module, NULL, NULL);
  return code == SQLITE_OK ? show_labels (db) : code;
}

#ifdef MS_LOADABLE
/* The entry point that SQLite looks for in moescope.so. */
int
sqlite3_moescope_init (sqlite3 *db, char **message, const sqlite3_api_routines *api)
{
  (void) message;
  SQLITE_EXTENSION_INIT2 (api)
  return ms_vtab_register (db);
}
#endif
