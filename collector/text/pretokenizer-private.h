/* Cutting text into words before byte-pair merging, as each kind of tokenizer does it.
 *
 * Every rule is a row of data: regular expressions, each applied to the pieces the one before left. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  MS_PRE_WHOLE_WORDS = 1 << 0, /* a word that is a token is taken without merging */
  MS_PRE_RAW = 1 << 1,         /* vocabulary in plain UTF-8 with U+2581 for spaces, not in bytes */
  MS_PRE_WHOLE_NEWLINES = 1 << 2, /* the same as WHOLE_WORDS for words of newlines alone */
  MS_PRE_BOS = 1 << 3,            /* documents begin with BOS unless the file says otherwise */
} MsPreFlags;

typedef struct MsPretokenizer MsPretokenizer;

/* The rule of that name (`tokenizer.ggml.pre`).  UNSUPPORTED for an unknown one, with the known ones. */
MsPretokenizer *ms_pretokenizer_new (const char *name, GError **error);
void ms_pretokenizer_free (MsPretokenizer *pre);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsPretokenizer, ms_pretokenizer_free)
guint ms_pretokenizer_flags (const MsPretokenizer *pre);

/* What one thread needs for splitting. */
typedef struct MsSplitter MsSplitter;
MsSplitter *ms_splitter_new (const MsPretokenizer *pre);
void ms_splitter_free (MsSplitter *splitter);
/* The ends of the words of text (valid UTF-8), as byte offsets: *n of them, the last being `length`;
 * none for empty text.  Borrowed until the next call. */
const gsize *ms_splitter_split (MsSplitter *splitter, const char *text, gsize length,
                                GCancellable *cancel, gsize *n);

G_END_DECLS
