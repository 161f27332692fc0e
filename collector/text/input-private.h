/* Inputs of a collection: text files, JSON lines and token ids become documents and their tokens.
 *
 * Text is taken as it stands in the file, line ends included; only a byte order mark at the start goes.
 * Formats of one document per line take both LF and CR LF. */
#pragma once

#include "collector.h"

G_BEGIN_DECLS

typedef struct
{
  const char *const *paths; /* NULL-terminated; "-" is the standard input */
  MsInputKind kind;
  MsTokenizer *tokenizer; /* not needed for token ids */
  guint n_vocabulary;     /* V of the model: ids must be below */
  gint64 max_tokens;      /* per document, BOS included; 0 = no limit */
  gboolean add_bos; /* begin documents with the tokenizer's BOS, if it has one; never token ids */
  gboolean parse_special; /* special tokens spelled out in a text are those tokens */
  guint threads;          /* 0 = all; the result does not depend on it */
  GCancellable *cancel;   /* may be NULL */
} MsInputOptions;

/* Special tokens that the texts spell out, bytes of them that no token expresses, and how many documents have
 * them. */
typedef struct
{
  gint64 n, lost;
  guint documents, lost_documents;
} MsSpelled;

/* Reads and tokenizes all inputs, in order.  What is what: see MsInputKind; JSON lines are objects with
 * `text`, and optionally `id`, `language`, `domain`, `parallel` (texts or integers) and `phase`
 * ("prefill" or "decode"); other members are ignored.  A document is named by its id, its file without
 * folder and suffix, or that and its line ("corpus:12"); a name that is taken gets "#2" and so on.
 * Returns the corpus, not yet stored (transfer full), and in *ids its n_tokens token ids (g_free);
 * *spelled (may be NULL) becomes what was taken, without parse_special, as plain characters.
 * Errors: INPUT, naming file, line and what to do; IO; G_IO_ERROR_CANCELLED. */
MsCorpus *ms_documents_load (const MsInputOptions *options, gint32 **ids, MsSpelled *spelled,
                             GError **error);

G_END_DECLS
