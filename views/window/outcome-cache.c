/* MsOutcomeCache gives what was asked before at once, and lets those who ask the same at the same time wait
 * for one computation.  The rule of its lock: it guards the fields below it, is held for a look-up or a
 * change of them, and never while anybody waits, computes, reports progress, cancels or frees.  Who waits
 * does so on the computation itself, with a reference.  Outcomes of a generation that is over are given to
 * who asked for them and not kept. */
#include "outcome-cache-private.h"

#define MOST_OUTCOMES 64

struct MsOutcomeCache
{
  GMutex lock;          /* of what follows */
  guint generation;     /* of the file's contents */
  GHashTable *outcomes; /* key -> MsOutcome */
  GQueue keys;          /* of char* owned by the table, oldest first */
  GHashTable *running;  /* key -> MsComputation */
};

static GHashTable *
new_outcomes (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) ms_outcome_unref);
}

MsOutcomeCache *
ms_outcome_cache_new (void)
{
  MsOutcomeCache *cache = g_atomic_rc_box_new0 (MsOutcomeCache);

  g_mutex_init (&cache->lock);
  g_queue_init (&cache->keys);
  cache->outcomes = new_outcomes ();
  cache->running = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                          (GDestroyNotify) ms_computation_unref);
  return cache;
}

static void
clear (gpointer data)
{
  MsOutcomeCache *cache = data;

  g_queue_clear (&cache->keys);
  g_hash_table_unref (cache->outcomes);
  g_hash_table_unref (cache->running);
  g_mutex_clear (&cache->lock);
}

MsOutcomeCache *
ms_outcome_cache_ref (MsOutcomeCache *cache)
{
  return g_atomic_rc_box_acquire (cache);
}

void
ms_outcome_cache_unref (MsOutcomeCache *cache)
{
  g_atomic_rc_box_release_full (cache, clear);
}

void
ms_outcome_cache_forget (MsOutcomeCache *cache)
{
  GHashTable *empty = new_outcomes (), *old;

  g_mutex_lock (&cache->lock);
  cache->generation++;
  g_queue_clear (&cache->keys);
  old = cache->outcomes;
  cache->outcomes = empty;
  g_mutex_unlock (&cache->lock);
  g_hash_table_unref (old);
}

MsOutcome *
ms_outcome_cache_find (MsOutcomeCache *cache, const char *key, guint *generation)
{
  MsOutcome *outcome;

  g_mutex_lock (&cache->lock);
  *generation = cache->generation;
  outcome = g_hash_table_lookup (cache->outcomes, key);
  if (outcome != NULL)
    ms_outcome_ref (outcome);
  g_mutex_unlock (&cache->lock);
  return outcome;
}

void
ms_outcome_cache_keep (MsOutcomeCache *cache, const char *key, guint generation, MsOutcome *outcome)
{
  char *own = g_strdup (key);
  gpointer old_key = NULL, old = NULL;

  g_mutex_lock (&cache->lock);
  if (generation == cache->generation && !g_hash_table_contains (cache->outcomes, own))
    {
      g_queue_push_tail (&cache->keys, own);
      g_hash_table_insert (cache->outcomes, g_steal_pointer (&own), ms_outcome_ref (outcome));
      if (cache->keys.length > MOST_OUTCOMES)
        g_hash_table_steal_extended (cache->outcomes, g_queue_pop_head (&cache->keys), &old_key,
                                     &old);
    }
  g_mutex_unlock (&cache->lock);
  g_free (own);
  g_free (old_key);
  g_clear_pointer ((MsOutcome **) &old, ms_outcome_unref);
}

MsComputation *
ms_outcome_cache_claim (MsOutcomeCache *cache, const char *key, guint generation,
                        GCancellable *cancel, MsComputationProgress progress, gpointer data,
                        MsOutcome **outcome, GError **error)
{
  for (;;)
    {
      MsComputation *own = NULL, *running;
      gboolean stopped = g_cancellable_is_cancelled (cancel);

      *outcome = NULL;
      g_mutex_lock (&cache->lock);
      running = g_hash_table_lookup (cache->running, key);
      if (running != NULL)
        ms_computation_ref (running);
      else if (generation == cache->generation)
        *outcome = g_hash_table_lookup (cache->outcomes, key);
      if (*outcome != NULL)
        ms_outcome_ref (*outcome);
      else if (running == NULL && !stopped)
        {
          own = ms_computation_new ();
          g_hash_table_insert (cache->running, g_strdup (key), ms_computation_ref (own));
        }
      g_mutex_unlock (&cache->lock);
      if (own != NULL || *outcome != NULL)
        {
          g_clear_pointer (&running, ms_computation_unref);
          return own;
        }
      if (running != NULL && !stopped)
        ms_computation_wait (running, cancel, progress, data);
      g_clear_pointer (&running, ms_computation_unref);
      if (g_cancellable_set_error_if_cancelled (cancel, error))
        return NULL;
    }
}

void
ms_outcome_cache_let_go (MsOutcomeCache *cache, const char *key, MsComputation *computation)
{
  gpointer old_key = NULL;
  gpointer old = NULL;

  g_mutex_lock (&cache->lock);
  g_hash_table_steal_extended (cache->running, key, &old_key, &old);
  g_mutex_unlock (&cache->lock);
  g_free (old_key);
  g_clear_pointer ((MsComputation **) &old, ms_computation_unref);
  ms_computation_end (computation);
  ms_computation_unref (computation);
}
