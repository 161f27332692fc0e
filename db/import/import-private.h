/* Inside import: formats turn files into records, one path turns records into a run.
 *
 *   file -> MsFormat -> MsRecord -> rows.c    sequences numbered, rows kept and sorted
 *                                             order.c   complete, without repetitions, about the same tokens
 *                                             layout.c  dense arrays, (T, K) and (T, E) for each layer
 *                                             scores.c  scores become choices, weights, entropy, margin
 *                                             checks.c  what the data says against its reading
 *                                             store.c   the run
 *
 * A format knows its file and nothing else; what is behind it knows no format. */
#pragma once

#include "db-private.h"
#include "file-reader-private.h"

G_BEGIN_DECLS

/* --- What a format gives -------------------------------------------------------------------- */

/* What a record speaks of.  Sources are read in this order: decisions say which sequences there are, or,
 * where there are none, scores. */
typedef enum
{
  MS_RECORD_DECISION,   /* one expert of one token at one layer */
  MS_RECORD_SCORES,     /* the scores of all experts for one token at one layer */
  MS_RECORD_SCORE,      /* the score of one expert */
  MS_RECORD_OUTPUT,     /* what one chosen expert puts out */
  MS_RECORD_OUTCOME,    /* the quality or cost of one expert, chosen or not */
  MS_RECORD_SIMILARITY, /* of block input and output */
  MS_RECORD_TOKEN,      /* id, predicted id and loss of one token */
  MS_RECORD_LABELS,     /* of one sequence */
  MS_RECORD_N_KINDS
} MsRecordKind;

/* What a record tells besides its kind. */
typedef enum
{
  MS_FIELD_LAYER = 1 << 0,
  MS_FIELD_RANK = 1 << 1,
  MS_FIELD_WEIGHT = 1 << 2,
  MS_FIELD_NORM = 1 << 3,
  MS_FIELD_DROPPED = 1 << 4,
  MS_FIELD_VALID = 1 << 5,
  MS_FIELD_TOKEN_ID = 1 << 6,
  MS_FIELD_PREDICTED = 1 << 7,
  MS_FIELD_LOSS = 1 << 8,
} MsRecordField;

typedef struct
{
  const char *name, *value;
} MsRecordLabel;

/* One typed record; a format fills what its kind needs and says in `fields` what else is there. */
typedef struct
{
  MsRecordKind kind;
  guint fields;                /* of MsRecordField */
  guint line;                  /* of the file, from 1 */
  const char *sequence;        /* borrowed until the next record */
  gint32 token, layer;         /* from 0 */
  gint32 rank, expert;         /* of a decision; expert also of a score, output or outcome */
  gboolean valid, dropped;     /* not valid: padding */
  gint32 token_id;             /* -1 = none */
  gint32 predicted;            /* -1 = none */
  float weight, norm, loss;    /* of a decision; loss of a token, NaN = none */
  float value;                 /* a score, an outcome or a similarity */
  const float *values;         /* (n_values) scores, or the elements of an output; borrowed */
  guint n_values;              /* the same in all records of a source */
  const MsRecordLabel *labels; /* (n_labels) borrowed */
  guint n_labels;
} MsRecord;

typedef struct MsFormat MsFormat;

/* A file being read by its format, which embeds this at its front. */
typedef struct
{
  const MsFormat *format;
  char *name;      /* of the file, in messages */
  guint kinds;     /* bits 1 << MsRecordKind: what its records are, known once it is open */
  guint n_experts; /* what the file itself says, 0 = nothing; known at its end */
  guint k;
  const char *outcome; /* what its outcomes are: "quality", "cost"; NULL = unsaid */
  GPtrArray *unused;   /* of char*: columns or keys that are there and not read, known at its end */
} MsSource;

struct MsFormat
{
  MsImportFormat about;
  /* How sure the first bytes (n) of a file named `name` are of this format: 0 (no) .. 100. */
  guint (*sniff) (const char *head, gsize n, const char *name);
  /* Begins reading; takes over `input`.  NULL with *error naming file and line. */
  MsSource *(*open) (MsFileReader *input, GError **error);
  /* The next record; *more = FALSE after the last. */
  gboolean (*next) (MsSource *source, MsRecord *record, gboolean *more, GError **error);
  void (*close) (MsSource *source);
};

extern const MsFormat ms_format_csv;
extern const MsFormat ms_format_json_lines;

/* The format that the file looks most like; `name`, which may be NULL, decides where it may be several, so
 * that labels in CSV may stand beside a trace in another format. */
const MsFormat *ms_format_find (const char *name, MsFileReader *input, GError **error);
/* For the end of a format's `close`. */
void ms_source_clear (MsSource *source);

/* "FILE, line N: ..." (without the line when it is 0) as BAD_VALUE; returns FALSE. */
gboolean ms_import_fail (GError **error, const char *file, guint line, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

/* --- What is made of it --------------------------------------------------------------------- */

/* A record as it is kept and sorted. */
typedef struct
{
  guint32 sequence;
  gint32 token, layer, slot; /* slot: rank, expert, or 0 */
  guint32 line;
  gint32 value;  /* expert, token id, or index of the scores */
  gint32 second; /* predicted id, or 1 for a dropped assignment */
  float a, b;    /* weight and norm, logit, norm and peak, similarity, or loss */
} MsImportRow;

typedef struct
{
  char *file; /* NULL = none has such records */
  GArray *rows;
  guint fields; /* of MsRecordField, in any of the rows */
} MsImportTable;

#define ms_import_row(table, i) (&g_array_index ((table)->rows, MsImportRow, (i)))

typedef struct
{
  const MsImportOptions *options;
  MsImportTable tables[MS_RECORD_N_KINDS];
  GHashTable *sequences; /* name -> number + 1 */
  GPtrArray *documents;  /* of MsDocument, by number */
  guint n_scores;        /* per row, 0 = no scores */
  GArray *scores;        /* of float, n_scores for each row */
  GArray *layers;        /* of gint32, ascending */
  guint n_experts, k;    /* what the files say of themselves, 0 = nothing */
  gboolean ids_beside;   /* the token ids stand beside the decisions */
  GHashTable *unsettled; /* of char **: labels of documents that change within them */
  GHashTable *changing;  /* name of a label -> in how many rows it changes within its sequence */
  MsImportSummary *summary;
  const char *outcome; /* as in MsSource */
} MsImporter;

typedef struct
{
  MsImporter *importer;
  guint n_layers, n_experts, k;
  gint64 n_tokens;
  gboolean probabilities; /* the scores are those, not logits */
  MsGate gate;            /* of every layer */
  gboolean gated;         /* there are scores, and enough is known to judge them */
  guint columns;
  MsDecisions *layers; /* one for each layer, over all T tokens */
} MsImportLayout;

void ms_import_layout_clear (MsImportLayout *layout);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MsImportLayout, ms_import_layout_clear)

/* A remark for the people who import. */
void ms_importer_note (MsImporter *importer, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* The same about the data, to be stored with the run: what occurs `count` times, first at `row` (NULL =
 * everywhere; its token as it is numbered after padding is left out). */
void ms_importer_remark (MsImporter *importer, const char *code, MsSeverity severity, gint64 count,
                         const MsImportRow *row, const char *format, ...) G_GNUC_PRINTF (6, 7);
const char *ms_importer_sequence (const MsImporter *importer, guint32 sequence);

/* rows.c: the records of all inputs. */
gboolean ms_importer_read (MsImporter *importer, GError **error);
int ms_import_row_compare (gconstpointer a, gconstpointer b);
/* Whether two rows are about the same token at the same layer. */
gboolean ms_import_row_same (const MsImportRow *a, const MsImportRow *b);
/* order.c: sorted, complete, without repetitions, about the same tokens. */
gboolean ms_importer_arrange (MsImporter *importer, GError **error);
/* layout.c: decisions and what stands beside them as arrays. */
gboolean ms_import_layout_fill (MsImportLayout *layout, GError **error);
/* scores.c: what the scores are and the gate that judges them. */
gboolean ms_import_layout_take_gate (MsImportLayout *layout, GError **error);
/* Scores into the arrays, and what follows from them. */
void ms_import_layout_scores (MsImportLayout *layout);
/* checks.c: what the data says against its reading, as remarks; weights that cannot be any become undefined. */
void ms_import_layout_check (MsImportLayout *layout);
/* store.c: arrays into the database. */
gboolean ms_import_layout_store (MsImportLayout *layout, GError **error);

G_END_DECLS
