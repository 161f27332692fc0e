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

/* Adds the table "losses" by the number of layers that differ (differing, (T)), where both runs recorded losses;
 * *change is that of the mean loss, NaN where they did not.  Units of the bootstrap as for the trace. */
gboolean ms_compare_losses (const MsContext *context, const MsBootstrap *bootstrap,
                            const guint16 *differing, MsResult *result, MsInterval *change,
                            GError **error);

/* --- Are the runs laid against each other rightly? -------------------------------------------- */

/* How the baseline is laid against the run: its token t upon the run's token t + tokens, its MoE layer l upon
 * the run's l + layers, and its experts with the numbers that agree best. */
typedef struct
{
  int tokens, layers;
  gboolean renumbered;
} MsReading;

#define MS_READINGS 14 /* that are tried at most */

/* What a reading gives over (token, layer) pairs that have experts in both runs, of both lists the first m,
 * where m is the length of the shorter: share of pairs that differ, mean of common / m.  Where experts are
 * renumbered, `held_` are the same with numbers fitted to other tokens. */
typedef struct
{
  MsReading reading;
  double decisions, changed, overlap, held_changed, held_overlap;
} MsAlignment;

typedef struct
{
  guint n;
  MsAlignment all[MS_READINGS]; /* (n) the first: as they are */
  guint best;                   /* the one that explains most of the difference; 0 = none does */
  char *layers;                 /* what explains that of some layers; NULL = of none or all */
  double chance;                /* overlap of A's tokens with B's in random order */
  gint64 n_tokens;              /* looked at */
} MsAligning;

/* Tries readings of the aligned context's second run.  The caller frees out->layers. */
gboolean ms_context_aligning (const MsContext *context, MsAligning *out, GError **error);
/* Whether the runs as they are agree no more than their tokens in random order. */
gboolean ms_aligning_at_chance (const MsAligning *aligning);
/* "moving the baseline by -1 token", newly allocated. */
char *ms_reading_name (const MsReading *reading);

G_END_DECLS
