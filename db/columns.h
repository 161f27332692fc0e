/* What may be recorded of a decision: the columns of a chunk, in one table.
 *
 * Writer, reader, codec, check, SQL, traces, collector and import loop over the table; nothing else lists
 * columns.  To add one: a flag and an array here, a row in columns.c, a word in schema.sql.
 *
 * Dimension letters: T tokens, K slots of a token, E experts. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Bit i stands for column i of the table.  The first two are always recorded. */
typedef enum
{
  MS_CHUNK_EXPERTS = 1 << 0,
  MS_CHUNK_WEIGHTS = 1 << 1,
  MS_CHUNK_ENTROPY = 1 << 2,
  MS_CHUNK_MARGIN = 1 << 3,
  MS_CHUNK_LOGITS = 1 << 4,
  MS_CHUNK_NORMS = 1 << 5,
  MS_CHUNK_PEAKS = 1 << 6,
  MS_CHUNK_SIMILARITY = 1 << 7,
  MS_CHUNK_DROPPED = 1 << 8,
  MS_CHUNK_OUTCOME = 1 << 9,
} MsChunkColumns;

#define MS_N_COLUMNS   10
#define MS_COLUMNS_ALL ((1u << MS_N_COLUMNS) - 1)
/* The columns that lie in the row of the chunk itself; they come first. */
#define MS_N_COLUMNS_INROW 4
#define MS_COLUMNS_INROW   ((1u << MS_N_COLUMNS_INROW) - 1)

/* One array for each column, in the order of the flags; NULL where it is absent or not asked for. */
#define MS_COLUMN_ARRAYS                                                                           \
  guint16 *experts;  /* (T, K) best first, MS_NO_EXPERT after the last */                          \
  float *weights;    /* (T, K) combine weights */                                                  \
  float *entropy;    /* (T) router entropy in nats over all E; NaN = undefined */                  \
  float *margin;     /* (T) worst chosen minus best rejected selection score */                    \
  float *logits;     /* (T, E) full router scores: logits, or probabilities (see the run) */       \
  float *norms;      /* (T, K) L2 norm of each chosen expert's output */                           \
  float *peaks;      /* (T, K) largest element of each chosen expert's output */                   \
  float *similarity; /* (T) cosine of block input and output (EASY-EP) */                          \
  guint8 *dropped;   /* (T, K) 1 where the assignment was dropped */                               \
  float *                                                                                          \
      outcome; /* (T, E) quality, cost or loss of each destination (see the run); NaN = unknown */

typedef struct
{
  MS_COLUMN_ARRAYS
} MsDecisions;

typedef enum
{
  MS_PER_TOKEN,  /* (T) */
  MS_PER_SLOT,   /* (T, K) */
  MS_PER_EXPERT, /* (T, E) */
} MsColumnShape;

/* How the values lie in the file. */
typedef enum
{
  MS_CODING_PLAIN,   /* as in memory */
  MS_CODING_IDS,     /* one or two bytes an id */
  MS_CODING_WEIGHTS, /* compact: uint16 over the chunk's largest weight */
  MS_CODING_ENTROPY, /* compact: uint16 over ln E */
  MS_CODING_HALF,    /* compact: float16 */
} MsColumnCoding;

typedef struct
{
  const char *name;  /* in the file, in SQL and in messages about the file */
  const char *title; /* for people, plural: "router scores" */
  MsColumnShape shape;
  MsColumnCoding coding;
  gsize size;   /* bytes of a value in memory */
  gsize offset; /* of its array in MsDecisions */
} MsChunkColumn;

/* Column `index` (the number of its bit), index < MS_N_COLUMNS. */
const MsChunkColumn *ms_chunk_column (guint index);
/* The names of the columns with bits in `columns`, separated by spaces, newly allocated. */
char *ms_columns_format (guint columns);
/* The bits of names separated by spaces; FALSE for an unknown one. */
gboolean ms_columns_parse (const char *names, guint *columns);

/* Values of one token in column `index`: 1, k or n_experts; and their bytes in memory. */
gsize ms_column_width (guint index, guint k, guint n_experts);
gsize ms_column_row_bytes (guint index, guint k, guint n_experts);
/* The bytes of one token in all of `columns`. */
gsize ms_decisions_row_bytes (guint columns, guint k, guint n_experts);

/* The place of the array of column `index`. */
gpointer *ms_decisions_array (MsDecisions *arrays, guint index);
gconstpointer ms_decisions_get (const MsDecisions *arrays, guint index);

/* Makes arrays of n rows, all zero, for each of `columns`; the others become NULL.  FALSE, and nothing
 * made, when memory does not suffice.  Free with ms_decisions_clear. */
gboolean ms_decisions_allocate (MsDecisions *arrays, guint columns, gsize n, guint k,
                                guint n_experts);
void ms_decisions_clear (MsDecisions *arrays);
/* The rows of `arrays` from `row` on, borrowed. */
MsDecisions ms_decisions_view (const MsDecisions *arrays, gsize row, guint k, guint n_experts);
/* Copies n rows from `row` of `from` to row `at` of `to`, in the columns that `to` has, which `from` must
 * have too.  They may be the same. */
void ms_decisions_copy (MsDecisions *to, gsize at, const MsDecisions *from, gsize row, gsize n,
                        guint k, guint n_experts);

G_END_DECLS
