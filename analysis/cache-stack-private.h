/* Every capacity of a cache in one pass (Mattson et al. 1970).
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

/* Row t asks for ids[t * width ..], MS_NO_EXPERT where a token uses fewer. */
typedef struct
{
  const guint16 *ids; /* (T, width) */
  gint64 n_tokens;
  guint width;
} MsRequests;

typedef struct MsStack MsStack;

/* For ids 0..n_ids-1.  lookahead is for SEGMENT, in tokens. */
MsStack *ms_stack_new (MsStackPolicy policy, guint n_ids, gint64 lookahead);
void ms_stack_free (MsStack *stack);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsStack, ms_stack_free)
/* Forgets everything. */
void ms_stack_reset (MsStack *stack);
/* Distinct ids seen since the last reset. */
guint ms_stack_seen (const MsStack *stack);

/* Goes on with further requests; returns the accesses.  gained (n_ids + 1) grows: gained[c] = accesses
 * that hit from capacity c on.  later (T * width) is for BELADY, see ms_cache_find_later; NULL
 * otherwise.
 *
 * serial: every id is an access of its own and the first access to it a miss.  Otherwise all ids of a
 * token are looked up before any is inserted, and the first access to an id counts as a hit while
 * fewer than c distinct ones have been seen (metrics.md b.2). */
guint64 ms_stack_run (MsStack *stack, const MsRequests *requests, const guint32 *later,
                      gboolean serial, guint64 *gained);

G_END_DECLS
