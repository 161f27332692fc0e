/* One that computes an outcome, for all who want it. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Shared by reference count; every function may be called from any thread. */
typedef struct MsComputation MsComputation;

/* As long as somebody waits, about 20 times a second, without any lock. */
typedef void (*MsComputationProgress) (double done, gpointer data);

/* Wanted once, by who computes. */
MsComputation *ms_computation_new (void);
MsComputation *ms_computation_ref (MsComputation *computation);
void ms_computation_unref (MsComputation *computation);

/* What stops the work: cancelled when the last one who wanted it does no longer. */
GCancellable *ms_computation_cancellable (MsComputation *computation);
void ms_computation_unwant (MsComputation *computation);

/* For who computes: the share done, and that it ended, whatever came of it. */
void ms_computation_progress (MsComputation *computation, double done);
void ms_computation_end (MsComputation *computation);
/* For who wants the same: waits until it ended or cancel, and hears of its progress. */
void ms_computation_wait (MsComputation *computation, GCancellable *cancel,
                          MsComputationProgress progress, gpointer data);

G_END_DECLS
