/* What model, texts and decisions say against their reading: found while collecting, told as remarks. */
#pragma once

#include "forward-private.h"
#include "input-private.h"

G_BEGIN_DECLS

/* Each adds to remarks (of MsRemark) what it finds, or nothing. */

/* Routers that are stored quantised. */
void ms_findings_routers (const MsPlan *plan, GPtrArray *remarks);
/* Documents longer than the model's context. */
void ms_findings_context (const MsPlan *plan, const MsCorpus *corpus, GPtrArray *remarks);
/* Special tokens that texts spell out and that were taken as characters. */
void ms_findings_spelled (const MsSpelled *spelled, GPtrArray *remarks);

/* Decisions whose last chosen and first rejected experts have the same score, by layer. */
typedef struct
{
  gint64 n;     /* rows looked at, per layer */
  gint64 *ties; /* (n_moe) */
} MsTies;

/* Counts rows from..from+n-1. */
void ms_ties_count (MsTies *ties, const MsRows *rows, gsize from, gsize n);
void ms_findings_ties (const MsPlan *plan, const MsTies *ties, GPtrArray *remarks);

/* Sets *error (CORRUPT) for a wave that broke: the tensor of that block, and its expert, with a value that
 * is not finite, or where the stream overflows when there is none.  document and position are those of
 * the token.  Reads the block's tensors. */
void ms_findings_broken (const MsPlan *plan, const MsGguf *gguf, guint block, const char *document,
                         gint64 position, GError **error);

G_END_DECLS
