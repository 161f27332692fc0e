/* MsComputation lets several requests share one run of an analysis.  Each of them may be dropped at any
 * time: the work stops when the last is, not when the first is.  The lock guards the two fields below it;
 * nobody is called and nothing is cancelled while it is held, and only waiting for the end gives it up. */
#include "computation-private.h"

#define LOOK_EVERY (50 * G_TIME_SPAN_MILLISECOND)

struct MsComputation
{
  GCancellable *cancel;
  gint parts; /* atomic: the share done in 1/10000, -1 = unknown */
  GMutex lock;
  GCond change;    /* of `ended` */
  guint n_wanting; /* under lock, as what follows */
  gboolean ended;
};

MsComputation *
ms_computation_new (void)
{
  MsComputation *computation = g_atomic_rc_box_new0 (MsComputation);

  computation->cancel = g_cancellable_new ();
  computation->parts = -1;
  computation->n_wanting = 1;
  g_mutex_init (&computation->lock);
  g_cond_init (&computation->change);
  return computation;
}

static void
clear (gpointer data)
{
  MsComputation *computation = data;

  g_clear_object (&computation->cancel);
  g_mutex_clear (&computation->lock);
  g_cond_clear (&computation->change);
}

MsComputation *
ms_computation_ref (MsComputation *computation)
{
  return g_atomic_rc_box_acquire (computation);
}

void
ms_computation_unref (MsComputation *computation)
{
  g_atomic_rc_box_release_full (computation, clear);
}

GCancellable *
ms_computation_cancellable (MsComputation *computation)
{
  return computation->cancel;
}

void
ms_computation_unwant (MsComputation *computation)
{
  gboolean last;

  g_mutex_lock (&computation->lock);
  last = --computation->n_wanting == 0;
  g_mutex_unlock (&computation->lock);
  if (last)
    g_cancellable_cancel (computation->cancel);
}

void
ms_computation_progress (MsComputation *computation, double done)
{
  g_atomic_int_set (&computation->parts, (gint) (1e4 * CLAMP (done, 0, 1)));
}

void
ms_computation_end (MsComputation *computation)
{
  g_mutex_lock (&computation->lock);
  computation->ended = TRUE;
  g_cond_broadcast (&computation->change);
  g_mutex_unlock (&computation->lock);
}

/* Waits a moment; whether it ended. */
static gboolean
wait_a_moment (MsComputation *computation)
{
  gint64 until = g_get_monotonic_time () + LOOK_EVERY;
  gboolean ended;

  g_mutex_lock (&computation->lock);
  while (!computation->ended && g_cond_wait_until (&computation->change, &computation->lock, until))
    ;
  ended = computation->ended;
  g_mutex_unlock (&computation->lock);
  return ended;
}

void
ms_computation_wait (MsComputation *computation, GCancellable *cancel,
                     MsComputationProgress progress, gpointer data)
{
  g_mutex_lock (&computation->lock);
  computation->n_wanting++;
  g_mutex_unlock (&computation->lock);
  while (!g_cancellable_is_cancelled (cancel) && !wait_a_moment (computation))
    {
      gint parts = g_atomic_int_get (&computation->parts);

      if (parts >= 0)
        progress (1e-4 * parts, data);
    }
  ms_computation_unwant (computation);
}
