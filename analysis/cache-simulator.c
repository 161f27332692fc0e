/* A cache of experts under a replacement policy, one access after the other.  Clear before fast: a victim is
 * found by looking at every resident, and cache-stack.c has the quick ways for all sizes at once, which must
 * agree with this one to the hit. */
#include "cache-simulator-private.h"

#include <string.h>

/* What decides about eviction is a key per resident; the smallest goes.  FIFO, LRU, LFU and Belady differ
 * in the key alone.  SIEVE keeps its queue in insertion order and walks it. */
struct MsCache
{
  MsCachePolicy policy;
  MsCacheMode mode;
  guint n_ids, capacity, aging;
  guint n;           /* residents */
  guint16 *resident; /* (capacity) in insertion order for SIEVE, any order otherwise */
  guint32 *place;    /* (n_ids) index into resident, or NOWHERE */
  guint64 *count;    /* (n_ids) accesses */
  guint64 *accessed; /* (n_ids) time of the last access */
  guint64 *inserted; /* (n_ids) time of the insertion */
  guint64 *later;    /* (n_ids) next access (Belady) */
  guint8 *visited;   /* (n_ids) SIEVE's bit */
  guint8 *seen;      /* (n_ids) asked for before */
  guint8 *member;    /* (n_ids) belongs to the request under way */
  guint hand;        /* SIEVE: index into resident */
  guint64 clock;
  MsCacheCounts counts;
};

#define NOWHERE G_MAXUINT32

MsCache *
ms_cache_new (MsCachePolicy policy, MsCacheMode mode, guint n_ids, guint capacity, guint aging)
{
  MsCache *cache = g_new0 (MsCache, 1);

  cache->policy = policy;
  cache->mode = mode;
  cache->n_ids = n_ids;
  cache->capacity = MIN (capacity, n_ids);
  cache->aging = MAX (aging, 1);
  cache->resident = g_new (guint16, MAX (cache->capacity, 1));
  cache->place = g_new (guint32, n_ids);
  cache->count = g_new (guint64, n_ids);
  cache->accessed = g_new (guint64, n_ids);
  cache->inserted = g_new (guint64, n_ids);
  cache->later = g_new (guint64, n_ids);
  cache->visited = g_new (guint8, n_ids);
  cache->seen = g_new (guint8, n_ids);
  cache->member = g_new0 (guint8, n_ids);
  ms_cache_reset (cache);
  return cache;
}

void
ms_cache_free (MsCache *cache)
{
  if (cache == NULL)
    return;
  g_free (cache->resident);
  g_free (cache->place);
  g_free (cache->count);
  g_free (cache->accessed);
  g_free (cache->inserted);
  g_free (cache->later);
  g_free (cache->visited);
  g_free (cache->seen);
  g_free (cache->member);
  g_free (cache);
}

void
ms_cache_reset (MsCache *cache)
{
  gsize n = cache->n_ids;

  cache->n = 0;
  cache->hand = 0;
  cache->clock = 0;
  memset (cache->place, 0xff, n * sizeof *cache->place);
  memset (cache->count, 0, n * sizeof *cache->count);
  memset (cache->accessed, 0, n * sizeof *cache->accessed);
  memset (cache->inserted, 0, n * sizeof *cache->inserted);
  memset (cache->later, 0, n * sizeof *cache->later);
  memset (cache->visited, 0, n);
  memset (cache->seen, 0, n);
}

gboolean
ms_cache_holds (const MsCache *cache, guint16 id)
{
  return cache->place[id] != NOWHERE;
}

const MsCacheCounts *
ms_cache_counts (const MsCache *cache)
{
  return &cache->counts;
}

/* TRUE when resident a is a better victim than b. */
static gboolean
goes_before (const MsCache *cache, guint16 a, guint16 b)
{
  switch (cache->policy)
    {
    case MS_CACHE_FIFO:
      return cache->inserted[a] < cache->inserted[b];
    case MS_CACHE_LFU:
    case MS_CACHE_LFU_IN_CACHE:
    case MS_CACHE_LFU_AGING:
      if (cache->count[a] != cache->count[b])
        return cache->count[a] < cache->count[b];
      return cache->accessed[a] < cache->accessed[b];
    case MS_CACHE_BELADY:
      if (cache->later[a] != cache->later[b])
        return cache->later[a] > cache->later[b];
      return a > b;
    case MS_CACHE_LRU:
    case MS_CACHE_SIEVE:
    case MS_CACHE_STATIC:
    default:
      return cache->accessed[a] < cache->accessed[b];
    }
}

static guint
find_victim (MsCache *cache)
{
  guint victim = NOWHERE;
  gboolean spare = FALSE; /* a resident outside the request exists: members are protected */

  if (cache->policy == MS_CACHE_SIEVE)
    {
      for (;;)
        {
          guint16 id;

          if (cache->hand >= cache->n)
            cache->hand = 0;
          id = cache->resident[cache->hand];
          if (!cache->visited[id])
            return cache->hand;
          cache->visited[id] = 0;
          cache->hand++;
        }
    }
  for (guint i = 0; i < cache->n && !spare; i++)
    spare = !cache->member[cache->resident[i]];
  for (guint i = 0; i < cache->n; i++)
    {
      guint16 id = cache->resident[i];

      if (spare && cache->member[id])
        continue;
      if (victim == NOWHERE || goes_before (cache, id, cache->resident[victim]))
        victim = i;
    }
  return victim;
}

static void
evict (MsCache *cache)
{
  guint at = find_victim (cache);
  guint16 id = cache->resident[at];

  cache->place[id] = NOWHERE;
  cache->n--;
  if (cache->policy == MS_CACHE_LFU_IN_CACHE)
    cache->count[id] = 0;
  if (cache->policy == MS_CACHE_SIEVE)
    {
      for (guint i = at; i < cache->n; i++) /* keeps the order; the hand stays at the next */
        {
          cache->resident[i] = cache->resident[i + 1];
          cache->place[cache->resident[i]] = i;
        }
      if (cache->hand >= cache->n) /* the newest went: on with the oldest, not with what comes in */
        cache->hand = 0;
    }
  else if (at != cache->n)
    {
      cache->resident[at] = cache->resident[cache->n];
      cache->place[cache->resident[at]] = at;
    }
}

static void
insert (MsCache *cache, guint16 id, gboolean counted)
{
  if (cache->n == cache->capacity)
    {
      evict (cache);
      if (counted)
        cache->counts.evictions++;
    }
  cache->place[id] = cache->n;
  cache->resident[cache->n++] = id;
  cache->inserted[id] = cache->clock;
  cache->visited[id] = 0;
}

/* What every access does first, hit or miss: an access that ages the counts does so before a victim is
 * chosen. */
static void
touch (MsCache *cache, guint16 id, guint32 later)
{
  cache->clock++;
  cache->counts.accesses++;
  cache->accessed[id] = cache->clock;
  cache->count[id]++;
  cache->later[id] = later;
  if (cache->policy == MS_CACHE_LFU_AGING && cache->counts.accesses % cache->aging == 0)
    for (guint i = 0; i < cache->n_ids; i++)
      cache->count[i] /= 2;
}

static void
load (MsCache *cache, guint16 id)
{
  if (cache->seen[id])
    cache->counts.capacity_misses++;
  else
    cache->counts.cold_misses++;
  if (cache->policy != MS_CACHE_STATIC && cache->capacity > 0)
    insert (cache, id, TRUE);
}

guint
ms_cache_request (MsCache *cache, const guint16 *ids, guint n, const guint32 *later, guint8 *missed)
{
  guint misses = 0;

  for (guint i = 0; i < n && cache->mode == MS_CACHE_BATCH; i++)
    if (ids[i] != MS_NO_EXPERT)
      cache->member[ids[i]] = 1;

  /* Serial: one pass over everything in order.  Batch: a pass for the hits, then one for the misses. */
  for (guint pass = 0; pass < (cache->mode == MS_CACHE_BATCH ? 2u : 1u); pass++)
    for (guint i = 0; i < n; i++)
      {
        guint16 id = ids[i];
        gboolean hit;

        if (id == MS_NO_EXPERT)
          continue;
        hit = ms_cache_holds (cache, id);
        if (cache->mode == MS_CACHE_BATCH)
          {
            /* member: 1 = not yet handled, 2 = handled (a miss inserted now is no second hit) */
            if (cache->member[id] == 2 || (pass == 0 && !hit))
              continue;
            cache->member[id] = 2;
            if (pass == 1)
              hit = FALSE;
          }
        touch (cache, id, later != NULL ? later[i] : 0);
        if (hit)
          {
            cache->counts.hits++;
            cache->visited[id] = 1;
          }
        else
          {
            load (cache, id);
            misses++;
          }
        if (missed != NULL)
          missed[i] = !hit;
        cache->seen[id] = 1;
      }

  for (guint i = 0; i < n && cache->mode == MS_CACHE_BATCH; i++)
    if (ids[i] != MS_NO_EXPERT)
      cache->member[ids[i]] = 0;
  return misses;
}

gboolean
ms_cache_prefetch (MsCache *cache, guint16 id)
{
  if (cache->policy == MS_CACHE_STATIC || cache->capacity == 0 || ms_cache_holds (cache, id))
    return FALSE;
  cache->clock++;
  insert (cache, id, FALSE);
  cache->accessed[id] = cache->clock;
  return TRUE;
}

void
ms_cache_warm (MsCache *cache, const guint16 *ids, guint n)
{
  for (guint i = 0; i < MIN (n, cache->capacity); i++)
    {
      cache->clock++;
      insert (cache, ids[i], FALSE);
      cache->accessed[ids[i]] = cache->clock;
    }
}

guint
ms_cache_residents (const MsCache *cache, guint16 *ids)
{
  for (guint i = 0; i < cache->n; i++)
    {
      guint at = i;

      for (; at > 0 && cache->accessed[ids[at - 1]] > cache->accessed[cache->resident[i]]; at--)
        ids[at] = ids[at - 1];
      ids[at] = cache->resident[i];
    }
  return cache->n;
}

void
ms_cache_find_later (const guint16 *ids, gsize n, guint n_ids, guint32 *later, guint32 *next)
{
  for (guint i = 0; i < n_ids; i++)
    next[i] = (guint32) (n + 1 + i);
  for (gsize i = n; i-- > 0;)
    {
      if (ids[i] == MS_NO_EXPERT)
        continue;
      later[i] = next[ids[i]];
      next[ids[i]] = (guint32) (i + 1);
    }
}
