/* Finding words in the texts of a run. */
#pragma once

#include "analysis.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define MS_TEXT_HITS_MOST 500

typedef struct
{
  guint document;               /* number in the corpus */
  gint64 token;                 /* of the document, from 0: where the words begin */
  gint64 position;              /* of that token in the corpus */
  guint n_tokens;               /* that the words lie in */
  char *before, *match, *after; /* in one line */
} MsTextHit;

/* Looks for `words`, in any case, in the documents of run `run` of the file, those of the selection (may be NULL).  Of
 * MsTextHit in the order of the texts, MS_TEXT_HITS_MOST at most.  For a worker: this is SQL. (transfer full) */
GPtrArray *ms_text_search (const char *path, gint64 run, const MsSelection *selection,
                           const char *words, GCancellable *cancel, GError **error);

G_END_DECLS
