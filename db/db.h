/* The moescope file: models, corpora, documents, tokens, runs and their routing decisions in SQLite.
 *
 * A corpus is a list of documents, its tokens numbered 0..n_tokens-1 in document order and cut into
 * blocks of MS_BLOCK_TOKENS.  A run is one pass of one model over one corpus.  Its decisions are
 * stored as chunks, one for each (block, MoE layer).  Row i is the decision made at input position i.
 *
 * Dimension letters: T tokens of a chunk, L MoE layers of the model, E experts, K slots per token.
 * Everything borrowed from a handle lives as long as the handle unless said otherwise.  A handle is
 * used by one thread at a time; open one per thread. */
#pragma once

#include "base.h"
#include "columns.h"
#include "gate.h"

#include <sqlite3.h>

G_BEGIN_DECLS

#define MS_APPLICATION_ID 0x4d6f4553 /* "MoES" */
#define MS_SCHEMA_VERSION 2
#define MS_BLOCK_TOKENS   4096
#define MS_NO_EXPERT      0xffffu /* an unused slot of a token with fewer than K experts */
#define MS_MAX_EXPERTS    65535

#define MS_DB_ERROR (ms_db_error_quark ())
GQuark ms_db_error_quark (void);

typedef enum
{
  MS_DB_ERROR_NOT_OURS,      /* no SQLite file, or one of another program */
  MS_DB_ERROR_TOO_NEW,       /* written by a newer moescope */
  MS_DB_ERROR_CORRUPT,       /* ours, but damaged */
  MS_DB_ERROR_BUSY,          /* another program holds the file */
  MS_DB_ERROR_IO,            /* cannot read or write, disk full */
  MS_DB_ERROR_NOT_FOUND,     /* no such run, block, layer */
  MS_DB_ERROR_MISSING_INPUT, /* the run was collected without what is asked for */
  MS_DB_ERROR_BAD_VALUE,     /* something to be stored is out of range */
  MS_DB_ERROR_SQL,           /* a statement is wrong */
} MsDbError;

/* --- What the file holds -------------------------------------------------------------------- */

/* A stage that routes: usually an MoE layer, else a round, a pool, a level.  Its model owns the name and
 * the gate's selection bias. */
typedef struct
{
  int number;  /* what exports, selections and chunks call "layer"; ascending within a model */
  int block;   /* of the model, -1 = it belongs to none */
  char *name;  /* NULL = the layer itself */
  MsGate gate; /* how its router decides, with E and K */
} MsLayer;

/* Initialiser of a layer of which the geometry alone is known. */
#define MS_PLAIN_LAYER(layer, experts, slots)                                                      \
  {                                                                                                \
    .number = (layer), .block = (layer),                                                           \
    .gate                                                                                          \
        = {.n_experts = (experts),                                                                 \
           .k = (slots),                                                                           \
           .scale = 1 }                                                                            \
  }

/* What an expert is when it is more than a number. */
typedef struct
{
  guint layer;  /* index into the model's layers */
  guint expert; /* of that layer */
  char *name;   /* NULL = its number */
  char *kind;   /* "routed", "shared", "null", "skip", "head", "adapter", "model", ... */
  char *owner;  /* what it belongs to, NULL = nothing else */
  double cost;  /* of one unit going there, NaN = unknown */
} MsDestination;

typedef struct
{
  gint64 id;
  char *name;
  char *architecture;  /* e.g. "olmoe"; "imported" for traces */
  char *fingerprint;   /* of the model file, hex; NULL for imported traces */
  char *details;       /* JSON object: further facts of the model file, may be NULL */
  guint n_blocks;      /* all blocks, dense ones too */
  guint n_shared;      /* shared experts per MoE layer */
  guint width;         /* hidden size, 0 = unknown */
  gint64 expert_bytes; /* bytes of one expert in the model file, 0 = unknown */
  guint n_layers;      /* L, MoE layers */
  MsLayer *layers;     /* (L) */
  guint n_destinations;
  MsDestination
      *destinations; /* (n_destinations) ascending by layer, then expert; others are ordinary */
} MsModel;

/* What is known of an expert of layer `layer` (an index); NULL when it is an ordinary routed one. */
const MsDestination *ms_model_destination (const MsModel *model, guint layer, guint expert);
/* The model's gates in words for people, newly allocated; NULL when nobody knows how it chooses. */
char *ms_model_describe_router (const MsModel *model);

/* The labels of documents with a known meaning.  A corpus may have more, numbered on from these. */
typedef enum
{
  MS_LABEL_LANGUAGE,
  MS_LABEL_DOMAIN,
  MS_LABEL_PARALLEL, /* documents with the same value are translations of each other */
  MS_LABEL_PHASE,    /* "prefill" or "decode" */
  MS_N_KNOWN_LABELS,
} MsKnownLabel;

typedef struct
{
  char *name; /* unique in its corpus; shown to people */
  union
  {
    char *known[MS_N_KNOWN_LABELS]; /* values of the known labels, NULL = none */
    struct
    {
      char *language, *domain, *parallel, *phase;
    };
  };
  char **more; /* (n_more of the corpus) values of its further labels; NULL = none at all */
  gint64 first_token;
  gint64 n_tokens;
} MsDocument;

/* A label of some tokens, such as a phase that changes inside a document. */
typedef struct
{
  char *name;
  char *value;
  gint64 first_token, n_tokens;
} MsTokenLabel;

typedef struct
{
  gint64 id;
  char *name;
  char *tokenizer; /* which tokenizer made the ids; NULL = ids were given */
  gint64 n_tokens;
  guint n_documents;
  MsDocument *documents; /* (n_documents), one after the other from token 0 */
  gboolean ids_known;    /* FALSE for traces imported without token ids */
  char *unit;            /* what is routed: "query", "frame", ...; NULL = "token" */
  guint n_more;
  char **more; /* (n_more) names of labels besides the known ones */
  guint n_ranges;
  MsTokenLabel *ranges; /* (n_ranges) those of one name ascending and apart */
} MsCorpus;

/* The number of labels that documents of the corpus may have, their names, and the number of a name
 * (-1 = no such label). */
guint ms_corpus_n_labels (const MsCorpus *corpus);
const char *ms_corpus_label_name (const MsCorpus *corpus, guint label);
int ms_corpus_find_label (const MsCorpus *corpus, const char *name);
/* The value of label number `label`, borrowed; NULL = the document has none. */
const char *ms_document_label (const MsDocument *document, guint label);

typedef enum
{
  MS_STORAGE_COMPACT, /* weights and entropy 16-bit fixed point, margin half float: ~3 bytes a decision */
  MS_STORAGE_EXACT, /* 32-bit floats */
} MsStorage;

typedef struct
{
  gint64 id;
  char *name;
  gint64 model;
  gint64 corpus;
  char *started;   /* ISO 8601, UTC */
  char *finished;  /* NULL while unfinished */
  char *precision; /* "reference", "fast", "imported", ..., or: */
#define MS_PRECISION_COUNTS                                                                        \
  "counts"         /* only the counts of the decisions are real (import/counts.c) */
  char *collector; /* program and version */
  char *command;   /* the command line, may be NULL */
  MsStorage storage;
  guint columns;          /* MsChunkColumns of every chunk */
  gboolean probabilities; /* the LOGITS column holds probabilities */
  gboolean predictions;   /* predicted ids and losses are there */
  char *outcome;      /* what the column outcome tells: "quality", "cost", "loss"; NULL = unsaid */
  gboolean has_step;  /* one of a series of checkpoints: */
  gint64 step;        /*   of training */
  char *intervention; /* JSON: what was changed while the model ran; NULL = nothing */
  gint64 n_tokens;    /* tokens recorded so far: whole blocks from the start of the corpus */
  char *damage;       /* what is wrong with the run; NULL = nothing that loading it tells */
} MsRun;

typedef enum
{
  MS_SEVERITY_NOTE,  /* worth knowing */
  MS_SEVERITY_DOUBT, /* numbers may not mean what they seem to */
  MS_SEVERITY_FAULT, /* numbers are wrong */
} MsSeverity;

/* Something that the data says against its reading, stored with the run. */
typedef struct
{
  char *code; /* kebab-case, one of a kind in its run */
  MsSeverity severity;
  gint64 count; /* how often it occurs */
  char *place;  /* the first, as a selection, "layer=3 token=17"; NULL = everywhere */
  char *text;   /* a sentence */
} MsRemark;

/* "note", "doubt" or "fault". */
const char *ms_severity_name (MsSeverity severity);
/* A remark with copies of `code` and `place` and a text made as by vprintf.  (transfer full) */
MsRemark *ms_remark_new (const char *code, MsSeverity severity, gint64 count, const char *place,
                         const char *format, va_list args) G_GNUC_PRINTF (5, 0);
void ms_remark_free (MsRemark *remark);

/* What was changed while the run's model ran, a few printable words, newly allocated; NULL = nothing. */
char *ms_run_describe_intervention (const MsRun *run);

void ms_model_free (MsModel *model);
void ms_corpus_free (MsCorpus *corpus);
void ms_run_free (MsRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsModel, ms_model_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsCorpus, ms_corpus_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsRun, ms_run_free)

/* --- Opening -------------------------------------------------------------------------------- */

typedef struct MsDb MsDb;

typedef enum
{
  MS_DB_READ,   /* the file must exist; nothing is written */
  MS_DB_WRITE,  /* the file must exist */
  MS_DB_CREATE, /* made when absent; an existing moescope file is extended */
} MsDbMode;

/* Opens `path`.  A file of an older version is read as it is, through temporary views of the connection
 * that give it the shape of this one; opened for writing it is brought to this version first, in one
 * transaction.  A file is ours only when its tables are: views, triggers or other columns in their place
 * are CORRUPT.  Fails with NOT_OURS, TOO_NEW, CORRUPT, BUSY or IO; an existing file that is not ours
 * is never touched. */
MsDb *ms_db_open (const char *path, MsDbMode mode, GError **error);
void ms_db_close (MsDb *db);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsDb, ms_db_close)

const char *ms_db_path (MsDb *db);
/* The connection, for statements of the same thread. */
sqlite3 *ms_db_handle (MsDb *db);
/* Turns the last failure of the connection into *error: "WHAT: sqlite's words" + what to do.
 * Always returns FALSE. */
gboolean ms_db_fail (MsDb *db, int code, const char *what, GError **error);

/* All runs, by id.  A damaged one is among them with what is wrong: of it only id, damage and the texts that
 * could be read are of use, and model and corpus may be missing.  (transfer full) */
GPtrArray *ms_db_list_runs (MsDb *db, GError **error); /* of MsRun */
/* Run `id`; 0 means the newest of which anything is recorded.  An unfinished run with blocks behind a missing one
 * ends before that, and its damage says so; any other damage fails with CORRUPT. */
MsRun *ms_db_load_run (MsDb *db, gint64 id, GError **error);
/* Models and corpora by id.  (transfer full) */
MsModel *ms_db_load_model (MsDb *db, gint64 id, GError **error);
MsCorpus *ms_db_load_corpus (MsDb *db, gint64 id, GError **error);
/* What is stored against run `id`, the worst first.  (transfer full) */
GPtrArray *ms_db_list_remarks (MsDb *db, gint64 id, GError **error); /* of MsRemark */

/* Called with each finding of ms_db_check; `bad` tells faults from remarks. */
typedef void (*MsCheckFunc) (gboolean bad, const char *finding, gpointer data);

/* SQLite's integrity check, then every chunk: lengths, checksum, expert ids in range and not repeated
 * within a token, weights finite, blocks without gaps.  Reports all findings; *n_bad counts the
 * faults.  FALSE only when the check itself could not run. */
gboolean ms_db_check (MsDb *db, MsCheckFunc report, gpointer data, guint *n_bad, GError **error);

/* --- Writing -------------------------------------------------------------------------------- */

typedef struct MsWriter MsWriter;

/* The raw bytes of token `id` in *length bytes (borrowed), or NULL when the id has no text. */
typedef const guint8 *(*MsPieceFunc) (gint32 id, gsize *length, gpointer data);

/* Stores model, corpus and run, and begins recording; ids are filled in, and run->started when it is
 * NULL.  token_ids (n_tokens) may be NULL for a trace whose ids are unknown.  When the file already has
 * an unfinished run of the same model, corpus, collector and settings, that run goes on instead, at its first
 * missing block: ms_writer_next_block tells where; run->id = -1 asks for a new run in any case.  Nobody else can
 * write the run until ms_writer_free; BUSY when somebody else does.  Runs that were left empty are removed.  `piece` gives the
 * text of the tokens that occur, which is kept beside the ids; NULL when there is no vocabulary.
 * `db` and `piece` are borrowed until ms_writer_free, the rest is copied.  BAD_VALUE names what cannot
 * be stored. */
MsWriter *ms_writer_new (MsDb *db, MsModel *model, MsCorpus *corpus, const gint32 *token_ids,
                         MsRun *run, MsPieceFunc piece, gpointer piece_data, GError **error);
guint ms_writer_next_block (const MsWriter *writer);
/* Commits block `next_block` with all L layers in one transaction: afterwards it is there for good.
 * `layers` (L) has an array, as wide as the block, for each column of the run.  T = MS_BLOCK_TOKENS except
 * in the last block.  What was stored of the block before is replaced.  Of predicted and loss (T) a run with predictions
 * gives at least one: the predicted next token at each position (-1 = none), and the negative log
 * probability in nats of the token that follows (NaN at a document's end).  On failure nothing of the
 * block is stored and the call may be repeated. */
gboolean ms_writer_put_block (MsWriter *writer, const MsDecisions *layers, const gint32 *predicted,
                              const float *loss, GError **error);
/* Stores a remark about the run; one with the same code is replaced. */
gboolean ms_writer_add_remark (MsWriter *writer, const MsRemark *remark, GError **error);
/* Marks the run, all of whose blocks are there, as finished. */
gboolean ms_writer_finish (MsWriter *writer, GError **error);
/* Folds the log into the one file.  Without ms_writer_finish the run stays unfinished and can be
 * resumed; one without any block is removed. */
void ms_writer_free (MsWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsWriter, ms_writer_free)

/* What went with a run. */
typedef struct
{
  char *name; /* of the run, to be freed */
  gint64 blocks, results;
  gboolean model, corpus; /* these too, which no other run has */
} MsRemoved;

/* Removes run `id` with all that belongs to it, in one transaction; *removed (may be NULL) is filled on success.
 * NOT_FOUND without such a run, BUSY while it is being written. */
gboolean ms_db_remove_run (MsDb *db, gint64 id, MsRemoved *removed, GError **error);

/* --- Reading -------------------------------------------------------------------------------- */

/* A decoded chunk: rows first_token .. first_token + n_tokens - 1 of the corpus. */
typedef struct
{
  gint64 first_token;
  guint n_tokens;       /* T */
  guint k;              /* K */
  guint n_experts;      /* E */
  guint id_bytes;       /* 1 or 2: width of the ids below */
  const guint8 *ids8;   /* (T, K) when id_bytes is 1; unused slot 0xff */
  const guint16 *ids16; /* (T, K) when id_bytes is 2; unused slot 0xffff */
  /* What was asked for and is there; the same arrays, all together or by name. */
  union
  {
    MsDecisions decisions;
    struct
    {
      MS_COLUMN_ARRAYS
    };
  };
} MsChunk;

/* Reads chunks of one run.  Has its own read-only connection: use one per thread. */
typedef struct MsReader MsReader;

/* Reads the run `id` of the file at `path`. */
MsReader *ms_reader_new (const char *path, gint64 run, GError **error);
void ms_reader_free (MsReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsReader, ms_reader_free)
/* The run and its model, borrowed. */
const MsRun *ms_reader_run (const MsReader *reader);
const MsModel *ms_reader_model (const MsReader *reader);

/* Chunk (block, layer), layer an index into the model's layers.  `columns` says what to decode;
 * ids8/ids16 come always and without copying, everything else costs its decoding.  The chunk is
 * borrowed until the next call with the same `slot`; slots 0..n let a caller hold several (one per
 * layer, say).  Fails with NOT_FOUND, CORRUPT (lengths, checksum) or MISSING_INPUT. */
const MsChunk *ms_reader_chunk (MsReader *reader, guint block, guint layer, guint columns,
                                guint slot, GError **error);

/* Token ids first..first+n-1 of the run's corpus into ids (n). */
gboolean ms_reader_tokens (MsReader *reader, gint64 first, gint64 n, gint32 *ids, GError **error);
/* Predicted next ids (-1 = unknown) and losses (NaN = unknown), (n) each, either may be NULL; fails with
 * MISSING_INPUT when the run has none. */
gboolean ms_reader_predictions (MsReader *reader, gint64 first, gint64 n, gint32 *predicted,
                                float *loss, GError **error);

/* The text of token `id` under the run's tokenizer: raw bytes, not always UTF-8, in *bytes and
 * *length (borrowed).  FALSE without a vocabulary. */
gboolean ms_reader_piece (MsReader *reader, gint32 id, const guint8 **bytes, gsize *length);

/* Adds to counts (E) how often each expert is chosen in rows from..from+n-1 of the chunk. */
void ms_chunk_count (const MsChunk *chunk, guint from, guint n, guint64 *counts);

/* --- Importing ------------------------------------------------------------------------------ */

typedef enum
{
  /* Probabilities when every row sums to 1 within the rounding of the file, logits when none does and some
   * score is below 0 or above 1; in doubt import fails and asks. */
  MS_IMPORT_SCORES_AUTO,
  MS_IMPORT_SCORES_LOGITS,
  MS_IMPORT_SCORES_PROBABILITIES,
} MsImportScores;

/* When the positions of a sequence begin anew. */
typedef enum
{
  MS_IMPORT_RESTARTS_ERROR,    /* the rows repeat others: an error */
  MS_IMPORT_RESTARTS_DOCUMENT, /* each pass is a document of its own */
  MS_IMPORT_RESTARTS_CONTINUE, /* the next pass goes on where the last ended */
} MsImportRestarts;

/* A form in which traces lie in files. */
typedef struct
{
  const char *name;              /* for --format, "csv" */
  const char *title;             /* for people, "CSV" */
  const char *const *extensions; /* of file names, without the point; NULL-terminated */
  const char *help;              /* lines: what is read, exactly */
} MsImportFormat;

/* The formats that import reads, index 0, 1, ...; NULL after the last. */
const MsImportFormat *ms_import_format (guint index);

typedef struct
{
  const char *const *inputs; /* NULL-terminated paths, "-" = standard input; each is read once */
  const char *format;  /* name of the format of all inputs; NULL = told from the first bytes */
  const char *output;  /* path of the database */
  const char *name;    /* of the model and the run; NULL = from the first input */
  const char *command; /* stored with the run, may be NULL */
  guint n_experts;     /* 0 = from the files */
  guint k;             /* slots per token, 0 = from the trace */
  MsImportScores scores;
  /* The model's rule.  Unknown: with decisions the gate of the run stays unknown, and router entropies and
   * margins are not recorded; scores alone are taken as those of a softmax, which a note tells. */
  MsScoring scoring;
  gboolean renormalise; /* the model divides the weights by their sum */
  float scale;          /* factor of the model's weights, 0 = none */
  /* A token without a row at some layer goes to no expert there; else it is an error. */
  gboolean holes;
  /* What columns mean: "unit=query,destination=model,weight=score", as `moescope import --help` says; NULL =
   * their names say it. */
  const char *map;
  /* What happens when a sequence's positions begin anew at a layer. */
  MsImportRestarts restarts;
  /* Leaves out what is suspected to be no routing: start-up rows and filler. */
  gboolean exclude_suspect;
  /* The order of the axes of arrays that do not tell it, of the letters T (token), L (layer), K (slot), E
   * (expert): "TLK", "LTK"; NULL = as the format says. */
  const char *axes;
  /* Layers of flat arrays, 0 = the format says. */
  guint n_layers;
} MsImportOptions;

typedef struct
{
  gint64 run, tokens, decisions;
  guint documents;
  GPtrArray *notes;   /* of char*: what was assumed */
  GPtrArray *remarks; /* of MsRemark: what the data says against its reading */
} MsImportSummary;

/* Reads decisions, router scores, expert outputs, tokens and labels and stores them as one finished run,
 * exactly.  The forms are those of `moescope import --help`.  BAD_VALUE names file and
 * line.  The file is not touched before everything is read and checked.  *summary is filled on success;
 * clear it with ms_import_summary_clear. */
gboolean ms_import (const MsImportOptions *options, MsImportSummary *summary, GError **error);
void ms_import_summary_clear (MsImportSummary *summary);

/* --- SQL from people ------------------------------------------------------------------------ */

/* A connection on which nothing but one SELECT at a time runs.  Besides the tables of the file it knows
 *   routing (run, layer, token, rank, expert, weight, entropy, margin)
 *   load    (run, layer, expert, count)
 *   token   (corpus, token, id, text)
 * where layer is the model's block number and token the position in the corpus. */
typedef struct MsConsole MsConsole;

MsConsole *ms_console_new (const char *path, GError **error);
void ms_console_free (MsConsole *console);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsConsole, ms_console_free)
/* The statement, to be finalized before the console is freed; SQL error when it is wrong or not allowed,
 * *offset is then the byte of `sql` where, or -1 (may be NULL). */
sqlite3_stmt *ms_console_prepare (MsConsole *console, const char *sql, int *offset, GError **error);
/* The next row, if any: *row.  Fails with G_IO_ERROR_CANCELLED soon after `cancel` (may be NULL). */
gboolean ms_console_step (MsConsole *console, sqlite3_stmt *statement, GCancellable *cancel,
                          gboolean *row, GError **error);
/* A cell as text, newly allocated: numbers exact, blobs as "<N bytes>", NULL as NULL. */
char *ms_console_text (sqlite3_stmt *statement, int column);

/* --- CSV ------------------------------------------------------------------------------------ */

/* Appends text as one field, quoted by libcsv and printable but for tabs and ends of lines; what a
 * spreadsheet would run as a formula gets "'" in front.  Numbers are appended bare. */
void ms_csv_append (GString *line, const char *text);

/* One row (n fields, borrowed) with the line where it begins, from 1; the header is the first.  FALSE
 * stops the reading: with *error set it fails, without it is done. */
typedef gboolean (*MsCsvFunc) (const char *const *fields, guint n, guint line, gpointer data,
                               GError **error);
/* Reads a CSV file with a header; a byte order mark, CRLF and empty lines do no harm.  BAD_VALUE with the
 * line where it is no CSV or a row has not as many fields as the header. */
gboolean ms_csv_read (const char *path, MsCsvFunc func, gpointer data, GError **error);

G_END_DECLS
