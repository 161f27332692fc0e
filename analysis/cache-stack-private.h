/* Every capacity of a cache in one pass (Mattson et al. 1970), for several policies side by side.
 *
 * LRU, LFU, Belady and the segment cache order the residents by a priority that does not depend on the
 * capacity, so the content of a cache of c experts is the first c entries of one stack.  An access at
 * depth d hits from capacity d + 1 on. */
#pragma once

#include "db.h"

G_BEGIN_DECLS

typedef enum
{
  MS_STACK_LRU,
  MS_STACK_LFU,     /* counts outlive evictions; ties LRU */
  MS_STACK_BELADY,  /* farthest next access goes; of those never used again the larger id */
  MS_STACK_SEGMENT, /* fewest uses in the next `lookahead` tokens goes; ties LRU */
} MsStackPolicy;

typedef struct
{
  MsStackPolicy policy;
  guint lookahead; /* tokens, > 0; for SEGMENT */
} MsStackCurve;

/* Curves of one stack; one costs as much as all of them. */
#define MS_STACK_CURVES 8

/* Row t asks for ids[t * width ..], MS_NO_EXPERT where a token uses fewer. */
typedef struct
{
  const guint16 *ids; /* (T, width) */
  gint64 n_tokens;
  guint width;
} MsRequests;

typedef struct MsStack MsStack;

/* Whether stacks of n_ids ids can take so many tokens between two resets. */
gboolean ms_stack_fits (guint n_ids, gint64 n_tokens, guint width);
/* For ids 0..n_ids-1 and up to MS_STACK_CURVES curves, n_tokens of width as in ms_stack_fits. */
MsStack *ms_stack_new (const MsStackCurve *curves, guint n_curves, guint n_ids, gint64 n_tokens,
                       guint width);
void ms_stack_free (MsStack *stack);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsStack, ms_stack_free)
/* Forgets everything. */
void ms_stack_reset (MsStack *stack);
/* Distinct ids seen since the last reset. */
guint ms_stack_seen (const MsStack *stack);

/* Goes on with further requests; returns the accesses.  gained (curves, n_ids + 1) grows: gained[c] =
 * accesses that hit from capacity c on.  later (T * width) is for BELADY, see ms_cache_find_later; may be
 * NULL without.
 *
 * serial: every id is an access of its own and the first access to it a miss.  Otherwise all ids of a
 * token are looked up before any is inserted, and the first access to an id counts as a hit while
 * fewer than c distinct ones have been seen (metrics.md b.2).  With SEGMENT the stack must be fresh or
 * reset, and serial FALSE. */
guint64 ms_stack_run (MsStack *stack, const MsRequests *requests, const guint32 *later,
                      gboolean serial, guint64 *gained);

G_END_DECLS
