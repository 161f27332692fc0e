/* Inside import: formats turn files into records, one path turns records into a run.
 *
 *   file -> MsFormat -> MsRecord -> rows.c    sequences numbered, rows kept and sorted
 *                                             labels.c  what stands beside them
 *                                             order.c   complete, without repetitions, about the same tokens
 *                                             layout.c  dense arrays, (T, K) and (T, E) for each layer
 *                                             counts.c  the same of counts without an order
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
  MS_RECORD_LABELS,     /* of one sequence, or one token of it */
  MS_RECORD_COUNT,      /* how often one expert was chosen at one layer: of a trace without order */
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
  MS_FIELD_TOKEN = 1 << 9,     /* labels are of the token */
  MS_FIELD_SENTINEL = 1 << 10, /* not valid because the expert is -1 */
} MsRecordField;

typedef struct
{
  const char *name; /* interned */
  const char *value;
  gboolean automatic; /* nobody said that this is a label: one with very many values is none */
} MsRecordLabel;

/* One typed record; a format fills what its kind needs and says in `fields` what else is there. */
typedef struct
{
  MsRecordKind kind;
  guint fields;           /* of MsRecordField */
  guint line;             /* of the file, from 1 */
  const char *sequence;   /* borrowed until the next record */
  gint32 token, layer;    /* from 0 */
  gint32 rank, expert;    /* of a decision; expert also of a score, output, outcome or count */
  const char *layer_name; /* instead of `layer`, and of `expert`, where they are names; borrowed */
  const char *expert_name;
  gboolean valid, dropped;     /* not valid: padding */
  gint32 token_id;             /* -1 = none */
  gint32 predicted;            /* -1 = none */
  float weight, norm, loss;    /* of a decision; loss of a token, NaN = none */
  float value;                 /* a score, an outcome or a similarity */
  const float *values;         /* (n_values) scores, or the elements of an output; borrowed */
  guint n_values;              /* the same in all records of a source */
  guint64 count;               /* of a count */
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
  const char *outcome;     /* what its outcomes are: "quality", "cost", "loss"; NULL = unsaid */
  const char *unit;        /* what is routed, NULL = tokens; interned, as is: */
  const char *destination; /* what named destinations are, NULL = experts */
  GPtrArray *unused;  /* of char*: columns or keys that are there and not read, known at its end */
  GPtrArray *remarks; /* of MsRemark: what the file says against its reading, known at its end */
  gboolean counted;   /* positions are not told: the rows of a layer follow each other */
  GArray *announced;  /* of gint32: layers that the file says it is about; NULL = it does not */
} MsSource;

struct MsFormat
{
  MsImportFormat about;
  /* How sure the first bytes (n) of a file named `name` are of this format: 0 (no) .. 100. */
  guint (*sniff) (const char *head, gsize n, const char *name);
  /* Begins reading; takes over `input`.  NULL with *error naming file and line. */
  MsSource *(*open) (MsFileReader *input, const MsImportOptions *options, GError **error);
  /* The next record; *more = FALSE after the last. */
  gboolean (*next) (MsSource *source, MsRecord *record, gboolean *more, GError **error);
  void (*close) (MsSource *source);
};

extern const MsFormat ms_format_csv;
extern const MsFormat ms_format_json_lines;
extern const MsFormat ms_format_responses;
extern const MsFormat ms_format_npy;
extern const MsFormat ms_format_npz;
extern const MsFormat ms_format_safetensors;
extern const MsFormat ms_format_torch;
extern const MsFormat ms_format_imatrix;
extern const MsFormat ms_format_llama;

/* The format that the file looks most like; `name`, which may be NULL, decides where it may be several, so
 * that labels in CSV may stand beside a trace in another format. */
const MsFormat *ms_format_find (const char *name, MsFileReader *input, GError **error);
/* For the begin of a format's `open` and the end of its `close`. */
void ms_source_init (MsSource *source, const MsFormat *format, const MsFileReader *input);
void ms_source_clear (MsSource *source);
/* A remark about the data, as ms_importer_remark, from a format. */
void ms_source_remark (MsSource *source, const char *code, MsSeverity severity, gint64 count,
                       const char *format, ...) G_GNUC_PRINTF (5, 6);

/* "FILE, line N: ..." (without the line when it is 0) as BAD_VALUE; returns FALSE. */
gboolean ms_import_fail (GError **error, const char *file, guint line, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

/* --- What is made of it --------------------------------------------------------------------- */

/* A record as it is kept and sorted. */
typedef struct
{
  guint32 sequence;
  gint32 token, layer;
  guint16 slot; /* rank, expert, or 0 */
  guint16 file; /* index of the input */
  guint32 line;
  gint32 value;  /* expert, token id, index of the scores, or the lower half of a count */
  gint32 second; /* predicted id, 1 for a dropped assignment, or the upper half of a count */
  float a, b;    /* weight and norm, logit, norm and peak, similarity, or loss */
} MsImportRow;

/* The count of a row of counts. */
static inline guint64
ms_import_row_count (const MsImportRow *row)
{
  return (guint32) row->value | (guint64) (guint32) row->second << 32;
}

typedef struct
{
  char *file; /* NULL = none has such records */
  GArray *rows;
  guint fields; /* of MsRecordField, in any of the rows */
} MsImportTable;

/* In `second` of a decision: its rank is not told. */
#define MS_IMPORT_UNRANKED 2

#define ms_import_row(table, i) (&g_array_index ((table)->rows, MsImportRow, (i)))

/* Names of stages or of destinations, where cells are names. */
typedef struct
{
  GHashTable *numbers; /* name -> number + 1, in the order in which they appear */
  GPtrArray *names;    /* of char*, by number; empty = they are numbers */
  gboolean numbered;   /* other records tell numbers */
} MsImportNames;

typedef struct MsImportLabels MsImportLabels;

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
  gboolean ids_told;     /* some row of tokens has an id, a prediction or a loss */
  gboolean ids_beside;   /* the token ids stand beside the decisions */
  MsImportNames stages, destinations;
  MsImportLabels *labels;
  GArray *announced; /* of gint32: layers that the files say they are about; NULL = they do not */
  GHashTable *restarts; /* where positions stand, when those that restart are no error */
  gint64 n_restarts, n_sentinels;
  gboolean counted; /* as in MsSource, of the decisions */
  GPtrArray *files; /* of char*: names of the inputs */
  guint32 last_sequence;
  MsImportSummary *summary;
  const char *outcome, *unit, *destination; /* as in MsSource */
} MsImporter;

/* Tokens first..last of a sequence. */
typedef struct
{
  guint32 sequence;
  gint32 first, last;
} MsImportSpan;

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
  GArray
      *suspects; /* of MsImportSpan, ascending: what is perhaps no routing; NULL = not looked for */
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

/* The file of a row, for messages. */
const char *ms_import_row_file (const MsImporter *importer, const MsImportRow *row);

/* labels.c: labels beside records become labels of documents, or of tokens where they change. */
MsImportLabels *ms_import_labels_new (void);
void ms_import_labels_free (MsImportLabels *labels);
void ms_import_labels_take (MsImportLabels *labels, const MsRecord *record, guint32 sequence,
                            gint32 token);
/* Counts the tokens anew: `to` gives the new position of each token in the old order, -1 = none. */
void ms_import_labels_renumber (MsImportLabels *labels, const MsImporter *importer,
                                const gint32 *to);
/* Gives tokens first..last of a sequence the value, whatever else they have. */
void ms_import_labels_put (MsImportLabels *labels, const char *name, const char *value,
                           guint32 sequence, gint32 first, gint32 last);
/* Fills labels and ranges of the corpus, whose documents are there; free them with ms_import_labels_clear. */
void ms_import_labels_settle (MsImporter *importer, MsCorpus *corpus);
void ms_import_labels_clear (MsCorpus *corpus);

/* counts.c: counts without an order become tokens. */
gboolean ms_importer_size_counts (MsImporter *importer, GError **error);
void ms_import_layout_place_counts (MsImportLayout *layout);

/* rows.c: the records of all inputs. */
gboolean ms_importer_read (MsImporter *importer, GError **error);
int ms_import_row_compare (gconstpointer a, gconstpointer b);
/* Whether two rows are about the same token at the same layer. */
gboolean ms_import_row_same (const MsImportRow *a, const MsImportRow *b);
/* order.c: sorted, complete, without repetitions, about the same tokens. */
gboolean ms_importer_arrange (MsImporter *importer, GError **error);
/* Takes the tokens that go nowhere (-1 in `to`, by their place before) out of the rows of a table, and counts
 * the others anew. */
void ms_importer_renumber (const MsImporter *importer, MsImportTable *table, const gint32 *to);
/* layout.c: decisions and what stands beside them as arrays. */
/* The index of the layer with this number, which is there. */
guint ms_import_find_layer (const MsImporter *importer, gint32 number);
gboolean ms_import_layout_fill (MsImportLayout *layout, GError **error);
/* scores.c: what the scores are and the gate that judges them. */
gboolean ms_import_layout_take_gate (MsImportLayout *layout, GError **error);
/* Scores into the arrays, and what follows from them. */
void ms_import_layout_scores (MsImportLayout *layout);
/* checks.c: what the data says against its reading, as remarks; weights that cannot be any become undefined. */
void ms_import_layout_check (MsImportLayout *layout);
/* Leaves what is suspected out of everything, when the options say so. */
gboolean ms_import_layout_exclude (MsImportLayout *layout, GError **error);
/* store.c: arrays into the database. */
gboolean ms_import_layout_store (MsImportLayout *layout, GError **error);

G_END_DECLS
