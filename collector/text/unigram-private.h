/* Unigram models (SentencePiece's, of T5 and XLM-R; "t5" in GGUF): a word is cut into the pieces whose scores
 * sum highest. */
#pragma once

#include "piece-map-private.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* Replacements of characters, as SentencePiece compiles them: a double array (S. Kanda, Space- and
 * Time-Efficient String Dictionaries, 2018) and the texts it points to. */
typedef struct MsCharsmap MsCharsmap;

/* Copies the bytes; NULL when their sizes cannot be. */
MsCharsmap *ms_charsmap_new (const guint8 *bytes, gsize n);
void ms_charsmap_free (MsCharsmap *map);
/* How many bytes at the start of text are replaced by the n bytes of `with` (borrowed); 0: none. */
gsize ms_charsmap_match (const MsCharsmap *map, const char *text, gsize length, const char **with,
                         gsize *n);

typedef struct
{
  MsPieceMap *pieces;   /* text -> id */
  const float *scores;  /* by id */
  gsize longest;        /* bytes of a piece */
  gint32 unknown;       /* stands for characters that are no piece; neighbours become one */
  double unknown_score; /* of a character */
} MsUnigram;

/* Appends the best pieces of word (valid UTF-8); `cells` is scratch (any GArray of MS_UNIGRAM_CELL bytes).
 * Stops early, with ids of no use, when cancelled.  Costs length times `longest`. */
void ms_unigram_cut (const MsUnigram *model, const char *word, gsize length, GArray *cells,
                     GArray *ids, GCancellable *cancel);
#define MS_UNIGRAM_CELL 16

G_END_DECLS
