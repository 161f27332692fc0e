/* MsTraceCache keeps the traces opened last, because one screen after the other looks at the same run
 * through the same selection.  The lock guards the list alone and is never held while a file is read: two
 * threads that miss the same trace both open it, and the later one's replaces nothing.  A trace whose
 * opening began before the last forget() is given to whoever asked for it and not kept. */
#include "trace-cache-private.h"

#include <string.h>

#define MOST_TRACES 12

typedef struct
{
  char *key;
  MsTrace *trace;
} Kept;

struct MsTraceCache
{
  GMutex lock; /* of what follows */
  GQueue kept; /* of Kept, the last used first */
  guint generation;
};

MsTraceCache *
ms_trace_cache_new (void)
{
  MsTraceCache *cache = g_atomic_rc_box_new0 (MsTraceCache);

  g_mutex_init (&cache->lock);
  g_queue_init (&cache->kept);
  return cache;
}

static void
kept_free (gpointer data)
{
  Kept *kept = data;

  g_free (kept->key);
  ms_trace_unref (kept->trace);
  g_free (kept);
}

static void
clear (gpointer data)
{
  MsTraceCache *cache = data;

  g_queue_clear_full (&cache->kept, kept_free);
  g_mutex_clear (&cache->lock);
}

MsTraceCache *
ms_trace_cache_ref (MsTraceCache *cache)
{
  return g_atomic_rc_box_acquire (cache);
}

void
ms_trace_cache_unref (MsTraceCache *cache)
{
  g_atomic_rc_box_release_full (cache, clear);
}

void
ms_trace_cache_forget (MsTraceCache *cache)
{
  GQueue old;

  g_mutex_lock (&cache->lock);
  cache->generation++;
  old = cache->kept;
  g_queue_init (&cache->kept);
  g_mutex_unlock (&cache->lock);
  g_queue_clear_full (&old, kept_free);
}

/* What of a selection makes the trace: all but the runs. */
static MsSelection *
without_runs (const MsSelection *selection)
{
  MsSelection *part = selection != NULL ? ms_selection_copy (selection) : ms_selection_new ();

  part->run = part->base = 0;
  g_clear_pointer (&part->with, g_array_unref);
  return part;
}

/* The trace of the key, which becomes the last used; NULL when there is none. */
static MsTrace *
find (MsTraceCache *cache, const char *key, guint *generation)
{
  MsTrace *trace = NULL;

  g_mutex_lock (&cache->lock);
  *generation = cache->generation;
  for (GList *at = cache->kept.head; at != NULL && trace == NULL; at = at->next)
    {
      Kept *kept = at->data;

      if (strcmp (kept->key, key) != 0)
        continue;
      trace = ms_trace_ref (kept->trace);
      g_queue_unlink (&cache->kept, at);
      g_queue_push_head_link (&cache->kept, at);
      break;
    }
  g_mutex_unlock (&cache->lock);
  return trace;
}

MsTrace *
ms_trace_cache_open (MsTraceCache *cache, const char *path, gint64 run,
                     const MsSelection *selection, GError **error)
{
  g_autoptr (MsSelection) part = without_runs (selection);
  g_autofree char *text = ms_selection_format (part);
  g_autofree char *key = g_strdup_printf ("%s\n%" G_GINT64_FORMAT "\n%s", path, run, text);
  guint generation;
  MsTrace *trace = find (cache, key, &generation);
  Kept *kept, *dropped = NULL;

  if (trace != NULL)
    return trace;
  trace = ms_trace_open (path, run, part, error);
  if (trace == NULL)
    return NULL;
  kept = g_new0 (Kept, 1);
  kept->key = g_steal_pointer (&key);
  kept->trace = ms_trace_ref (trace);
  g_mutex_lock (&cache->lock);
  if (generation == cache->generation)
    g_queue_push_head (&cache->kept, kept);
  else
    dropped = kept;
  if (cache->kept.length > MOST_TRACES)
    dropped = g_queue_pop_tail (&cache->kept);
  g_mutex_unlock (&cache->lock);
  if (dropped != NULL)
    kept_free (dropped);
  return trace;
}
