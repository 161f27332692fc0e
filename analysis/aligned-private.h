/* Two or more runs of the same tokens, aligned position by position (metrics.md d). */
#pragma once

#include "analysis-private.h"

G_BEGIN_DECLS

/* Whether all of the context's other traces hold the same documents of the same token ids as its own
 * (where both know them), and the same layers of the same number of experts; MISMATCH saying where they
 * differ if not. */
gboolean ms_context_aligned (const MsContext *context, GError **error);

/* How two sets of chosen experts differ.  Sets end at MS_NO_EXPERT. */
typedef struct
{
  guint n_a, n_b, common;
  gboolean top1, set, order; /* changed */
} MsSetChange;

MsSetChange ms_set_change (const guint16 *a, guint k_a, const guint16 *b, guint k_b);

G_END_DECLS
