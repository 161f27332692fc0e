/* The collector: runs a reference MoE forward pass on text and records routing in the file.
 *
 * Layer-major: a wave of tokens goes through one layer after the other, tokens grouped by expert, each
 * weight read and unpacked once per wave.  Uses db; knows nothing of analyses. */
#pragma once

#include "db.h"

G_BEGIN_DECLS

#define MS_COLLECTOR_ERROR (ms_collector_error_quark ())
GQuark ms_collector_error_quark (void);

typedef enum
{
  MS_COLLECTOR_ERROR_NOT_GGUF,    /* wrong magic, wrong version */
  MS_COLLECTOR_ERROR_CORRUPT,     /* truncated, lengths or offsets out of range */
  MS_COLLECTOR_ERROR_UNSUPPORTED, /* architecture, tensor type, tokenizer we do not run: named */
  MS_COLLECTOR_ERROR_MISSING,     /* a key or tensor the architecture must have */
  MS_COLLECTOR_ERROR_INPUT,       /* texts, JSON lines, token ids */
  MS_COLLECTOR_ERROR_IO,
  MS_COLLECTOR_ERROR_TRAINING,
} MsCollectorError;

/* --- Model files ---------------------------------------------------------------------------- */

/* The model as it would be stored with a run (transfer full); warnings (of char*, may be NULL) about keys that
 * make the file run differently from what its authors meant. */
MsModel *ms_model_describe (const char *path, GPtrArray **warnings, GError **error);

/* Where a fact belongs. */
typedef enum
{
  MS_FACTS_GEOMETRY,
  MS_FACTS_ROUTING,
} MsFactSection;

typedef struct
{
  MsFactSection section;
  char *name;      /* "experts_per_token" */
  GVariant *value; /* int64, double, boolean or string */
  char *source;    /* "key qwen3moe.expert_used_count", "the architecture", ... */
} MsFact;

typedef enum
{
  MS_ROLE_EXPERTS, /* routed ones */
  MS_ROLE_ROUTER,
  MS_ROLE_SHARED,
  MS_ROLE_DENSE, /* feed-forward networks of every token beside or instead of experts */
  MS_ROLE_ATTENTION,
  MS_ROLE_STATE, /* other mixers: recurrent ones, convolutions */
  MS_ROLE_NORM,
  MS_ROLE_EMBEDDING,
  MS_ROLE_OUTPUT,
  MS_ROLE_FURTHER, /* whatever belongs to blocks that predict further tokens */
  MS_ROLE_OTHER,
  MS_N_ROLES
} MsTensorRole;
/* "experts", "shared experts", ... */
const char *ms_role_name (MsTensorRole role);

typedef struct
{
  const char *name;  /* of the type, "Q4_K"; "number 999" for one that nobody knows */
  gboolean readable; /* its values can be computed */
  gboolean whole;    /* integers and wide floats, of which tables are made */
  guint n_tensors;
  gint64 bytes, n_values;
} MsTypeShare;

typedef struct
{
  const char *mixer;       /* by its tensors: "attention", "Mamba-2", ..., "none" */
  const char *router_type; /* NULL: there is no router */
  gboolean router_quantised, router_bias, selection_bias, shared;
  gboolean hashed;     /* the experts come from a table of token ids */
  gboolean further;    /* predicts further tokens; no part of the pass */
  guint experts, k;    /* 0: a block without experts */
  gint64 bytes;        /* of all its tensors, */
  gint64 expert_bytes; /* of its routed experts together */
} MsBlockFacts;

/* What a model file is, whether it can be run or not. */
typedef struct
{
  char *architecture, *name;
  guint n_parts, n_tensors;
  gint64 bytes, tensor_bytes; /* of the files; of the tensors */
  gint64 n_values;            /* parameters */
  gint64 active_values,
      active_bytes;          /* that one token uses: k experts a layer; the embedding where it is
                                       * the output head as well; no blocks for further tokens */
  GArray *facts;             /* of MsFact */
  GArray *types;             /* of MsTypeShare, most bytes first */
  GArray *roles[MS_N_ROLES]; /* of MsTypeShare, likewise */
  MsBlockFacts *blocks;      /* (n_blocks) */
  guint n_blocks, n_moe;     /* n_moe: with experts, in the pass */
  GPtrArray *warnings;       /* of char*: what makes the file route otherwise than expected */
  GPtrArray *obstacles;      /* of char*: why it cannot be run */
  MsModel *model;            /* as it would be stored; NULL with obstacles */
} MsInspection;

/* Reads metadata, the list of tensors, and of a model that can be run its vectors and samples of its data.
 * Errors: as for any model file that is damaged or not whole; UNSUPPORTED for files that are no models. */
MsInspection *ms_model_inspect (const char *path, GError **error);
void ms_inspection_free (MsInspection *inspection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsInspection, ms_inspection_free)

/* --- Collecting ----------------------------------------------------------------------------- */

typedef enum
{
  MS_INPUT_AUTO,      /* .jsonl: JSON lines; else text, one document per file */
  MS_INPUT_LINES,     /* text, one document per non-empty line */
  MS_INPUT_TOKEN_IDS, /* one sequence of space-separated ids per line */
} MsInputKind;

typedef enum
{
  MS_PRECISION_REFERENCE, /* float32 throughout */
  MS_PRECISION_FAST,      /* bf16 products where the processor has them; routers float32 */
} MsPrecision;

/* A way to change the routing while the model runs: an option and its value. */
typedef struct
{
  const char *name, *argument, *help; /* "top-k", "N", ... */
} MsInterventionOption;
#define MS_MOST_INTERVENTIONS 16
/* Number `index` from 0 on; NULL behind the last, of at most MS_MOST_INTERVENTIONS. */
const MsInterventionOption *ms_intervention_option (guint index);

typedef struct
{
  gint64 tokens_done, tokens_total; /* recorded / to record */
  guint layer, n_layers;            /* of the wave under way */
  double done;                      /* share of the work, with the layers behind that wave */
  double seconds;                   /* since the start */
  const char *doing;                /* "layer 3 of 16" ... */
} MsCollectProgress;
typedef void (*MsCollectProgressFunc) (const MsCollectProgress *progress, gpointer data);

typedef struct
{
  const char *model;         /* path of the GGUF file (first part of a split one) */
  const char *const *inputs; /* NULL-terminated paths */
  MsInputKind kind;
  const char *output;  /* path of the database */
  const char *name;    /* run name; NULL = made from model and inputs */
  const char *command; /* stored with the run, may be NULL */
  MsPrecision precision;
  MsStorage storage;
  guint threads;          /* 0 = all */
  gint64 max_tokens;      /* per document, 0 = no limit */
  guint wave_tokens;      /* 0 = as many as the memory budget allows */
  gsize memory;           /* budget in bytes, 0 = half of what is free */
  gboolean add_bos;       /* begin each document as the tokenizer wants (BOS when the model asks) */
  gboolean parse_special; /* special tokens that a text spells out are those tokens */
  gboolean scores;        /* record full router scores */
  gboolean norms;         /* record output norms, peaks and block similarity */
  gboolean predict;       /* record the predicted next token and the loss of each token */
  gboolean restart;       /* do not resume an unfinished run */
  /* What is changed in the routing: the value of each ms_intervention_option, NULL = none of it; the array
   * may be NULL.  The run is recorded with it; an unfinished one goes on only with the same. */
  const char *const *interventions;
  MsCollectProgressFunc progress; /* may be NULL; called from the calling thread */
  gpointer progress_data;
} MsCollectOptions;

/* e to the mean loss of the document's tokens but the first; NaN when there is none. */
typedef struct
{
  char *document;
  gint64 n_tokens;
  double value;
} MsPerplexity;

typedef struct
{
  gint64 run; /* 0 when it was stopped before there was one */
  gint64 tokens, documents, decisions;
  double seconds, recording_seconds; /* all, and the part spent in writing decisions */
  gboolean resumed, stopped;         /* stopped: cancelled, what was recorded is kept */
  GPtrArray *warnings;               /* of char* */
  GPtrArray *remarks;   /* of MsRemark: what text, model and decisions say against their reading */
  GArray *perplexities; /* of MsPerplexity, one per document; empty unless predicted */
} MsCollectSummary;

/* Cancelling keeps the blocks recorded so far and is no error.  *summary is filled on success; clear
 * it with ms_collect_summary_clear.  A run of which nothing was recorded is not left in the file.
 * Errors: beside those of model, texts and file, CORRUPT when the model's numbers stop being finite, naming
 * the tensor (and expert) that holds such a value, or the block, document and position. */
gboolean ms_collect (const MsCollectOptions *options, MsCollectSummary *summary,
                     GCancellable *cancel, GError **error);
void ms_collect_summary_clear (MsCollectSummary *summary);

/* --- Tokenizing ----------------------------------------------------------------------------- */

typedef struct MsTokenizer MsTokenizer;
/* The tokenizer of a GGUF file (a vocabulary-only one will do).  pre overrides
 * tokenizer.ggml.pre when not NULL. */
MsTokenizer *ms_tokenizer_load (const char *path, const char *pre, GError **error);
void ms_tokenizer_free (MsTokenizer *tokenizer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsTokenizer, ms_tokenizer_free)
/* Appends the ids of text to ids (GArray of gint32); no BOS or EOS, control tokens in the text are
 * plain text.  Text is below 2 GiB; a byte of it that is no UTF-8 becomes the token of that byte.  Any number
 * of threads may encode at once. */
void ms_tokenizer_encode (MsTokenizer *tokenizer, const char *text, gsize length, GArray *ids);
typedef struct
{
  gboolean special; /* control tokens spelled out in the text are those tokens */
  gsize limit; /* ids that will be used, those there before included; 0 = all.  More may come */
  GCancellable *cancel; /* may be NULL */
} MsEncoding;
/* What the ids do not tell of a text. */
typedef struct
{
  gint64 spelled; /* control tokens that it spells and that were taken as plain text */
  gint64 lost; /* bytes for which the vocabulary has no token, nor one for what it does not know */
  guint8 first_lost; /* the first of them */
} MsEncoded;
/* The same; *encoded may be NULL.  Errors: INPUT (a word too long to be merged), G_IO_ERROR_CANCELLED. */
gboolean ms_tokenizer_encode_with (MsTokenizer *tokenizer, const MsEncoding *how, const char *text,
                                   gsize length, GArray *ids, MsEncoded *encoded, GError **error);
guint ms_tokenizer_size (const MsTokenizer *tokenizer);
/* Kind and rule, e.g. "llama" or "gpt2 qwen2" (borrowed). */
const char *ms_tokenizer_name (const MsTokenizer *tokenizer);
/* The token that documents begin with as the model wants it (its add_bos flag); -1 for none. */
gint32 ms_tokenizer_bos (const MsTokenizer *tokenizer);
/* The token that a whole text ends with (its add_eos flag); -1 for none, as for nearly all models. */
gint32 ms_tokenizer_eos (const MsTokenizer *tokenizer);
/* The raw bytes of a token (borrowed); NULL when out of range. */
const guint8 *ms_tokenizer_piece (MsTokenizer *tokenizer, gint32 id, gsize *length);

G_END_DECLS
