/* The general cache simulator behind the cache analyses (metrics.md c.1): one policy, one capacity, any
 * request order.  Folder-internal. */
#pragma once

#include "db.h"

G_BEGIN_DECLS

typedef enum
{
  MS_CACHE_FIFO,         /* oldest insertion */
  MS_CACHE_LRU,          /* oldest access */
  MS_CACHE_LFU,          /* smallest count, counts outlive evictions; ties LRU */
  MS_CACHE_LFU_IN_CACHE, /* the same, counts forgotten at eviction */
  MS_CACHE_LFU_AGING,    /* all counts halved after every `aging`-th access */
  MS_CACHE_SIEVE,        /* one queue, visited bit, a hand from old to new */
  MS_CACHE_BELADY,       /* farthest next access; of those never used again the larger id */
  MS_CACHE_STATIC,       /* the most frequent ids of a calibration trace, never changed */
} MsCachePolicy;

typedef enum
{
  MS_CACHE_SERIAL, /* every expert is an access of its own, in rank order */
  MS_CACHE_BATCH,  /* the experts of a request are tested together, hits touched first, then misses
                      inserted; members are not victims while a non-member is resident */
} MsCacheMode;

typedef struct
{
  guint64 accesses, hits, cold_misses, capacity_misses, evictions;
} MsCacheCounts;

typedef struct MsCache MsCache;

/* A cache of `capacity` of the ids 0..n_ids-1.  `aging` is for LFU_AGING (accesses, > 0). */
MsCache *ms_cache_new (MsCachePolicy policy, MsCacheMode mode, guint n_ids, guint capacity,
                       guint aging);
void ms_cache_free (MsCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsCache, ms_cache_free)

/* Makes ids (n <= capacity) resident, in order of age, without counting anything.  For STATIC this is
 * the content for good. */
void ms_cache_warm (MsCache *cache, const guint16 *ids, guint n);
/* Forgets content and counts, keeps what was counted; first accesses are cold again. */
void ms_cache_reset (MsCache *cache);

/* A request for ids (n), best first, MS_NO_EXPERT skipped.  For BELADY, later (n) holds the position of
 * the next access to each (see ms_cache_find_later); NULL otherwise.  missed (n, may be NULL) is set to
 * 1 where an id had to be loaded.  Returns the number of misses. */
guint ms_cache_request (MsCache *cache, const guint16 *ids, guint n, const guint32 *later,
                        guint8 *missed);
gboolean ms_cache_holds (const MsCache *cache, guint16 id);
/* Loads `id` before it is asked for: inserted like a miss, nothing counted.  FALSE when it is resident
 * already or the cache is static. */
gboolean ms_cache_prefetch (MsCache *cache, guint16 id);
const MsCacheCounts *ms_cache_counts (const MsCache *cache);
/* The residents, oldest access first, into ids (capacity); returns how many. */
guint ms_cache_residents (const MsCache *cache, guint16 *ids);

/* later (n): for each access the position of the next access to the same id, from 1; n + 1 + id when
 * there is none.  next (n_ids) is scratch. */
void ms_cache_find_later (const guint16 *ids, gsize n, guint n_ids, guint32 *later, guint32 *next);

G_END_DECLS
