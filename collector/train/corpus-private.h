/* Training text: files to one stream of token ids, cut into chunks that a seed deals out.
 *
 * A form feed begins a new document; <|endoftext|> stands between documents. */
#pragma once

#include "bpe-private.h"

G_BEGIN_DECLS

/* Appends one GBytes per path to texts; the text must be valid UTF-8 without NUL bytes. */
gboolean ms_corpus_read (const char *const *paths, GPtrArray *texts, GError **error);
/* The ids of all texts, each document followed by <|endoftext|> (GArray of guint16, transfer full). */
GArray *ms_corpus_encode (MsBpe *bpe, GPtrArray *texts);

/* Deals the chunks of `context` + 1 tokens (neighbours share one) of a stream in a random order without
 * repetition, then in another, ...; what is dealt depends on seed and index alone. */
typedef struct
{
  GArray *stream; /* borrowed */
  guint context;
  guint64 seed;
  guint n_chunks;
  guint *order;
  guint64 epoch; /* that `order` is of */
} MsDealer;

/* FALSE when the stream has less than one chunk. */
gboolean ms_dealer_init (MsDealer *dealer, GArray *stream, guint context, guint64 seed);
void ms_dealer_clear (MsDealer *dealer);
/* Copies chunk number index of the endless series to tokens (context + 1). */
void ms_dealer_deal (MsDealer *dealer, guint64 index, guint16 *tokens);

/* What a model without memory, and one that sees one token, would reach. */
typedef struct
{
  double unigram, bigram; /* nats per token */
  double prior;           /* the bigram's weight of the unigram, see ms_baseline */
} MsBaseline;

/* Unigram: (c(b) + 1) / (n + V).  Bigram: (c(a, b) + prior * unigram (b)) / (c(a) + prior), the prior
 * of 2^-2 .. 2^12 that suits the evaluated text itself best: in the baseline's favour.  Counts from
 * `train`, mean over predicted positions of `chunks` (n, context + 1). */
MsBaseline ms_baseline (GArray *train, guint vocabulary, const guint16 *chunks, gsize n,
                        guint context);

G_END_DECLS
