/* WordPiece (BERT): words without accents and case, each cut from the left into the longest pieces. */
#pragma once

#include "piece-map-private.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  gboolean lower_case, strip_accents;
} MsWordpieceRules;

/* The next word of text from *at on, which moves behind it, with a space in front; signs and Chinese characters
 * are words of their own.  FALSE at the end. */
gboolean ms_wordpiece_next (MsWordpieceRules rules, const char *text, gsize length, gsize *at,
                            GByteArray *word);
/* Appends the pieces of such a word, ids below n of up to `longest` bytes; `unknown` alone when it cannot be cut
 * so.  A `pieces` key with a space in front begins a word. */
void ms_wordpiece_cut (const MsPieceMap *pieces, gint32 n, gsize longest, gint32 unknown,
                       const char *word, gsize length, GArray *ids, GCancellable *cancel);

G_END_DECLS
