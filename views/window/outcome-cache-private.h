/* Outcomes that were computed lately, and those that are being computed. */
#pragma once

#include "computation-private.h"
#include "outcome-private.h"

G_BEGIN_DECLS

/* Shared by reference count; every function may be called from any thread. */
typedef struct MsOutcomeCache MsOutcomeCache;

MsOutcomeCache *ms_outcome_cache_new (void);
MsOutcomeCache *ms_outcome_cache_ref (MsOutcomeCache *cache);
void ms_outcome_cache_unref (MsOutcomeCache *cache);

/* The contents of the file changed: what is kept does not hold any more, nor what is being computed. */
void ms_outcome_cache_forget (MsOutcomeCache *cache);
/* What is kept under the key (transfer full), or NULL and in *generation which contents of the file an
 * order of now is about. */
MsOutcome *ms_outcome_cache_find (MsOutcomeCache *cache, const char *key, guint *generation);
/* Keeps the outcome for whoever asks the same again, unless it is about contents of before. */
void ms_outcome_cache_keep (MsOutcomeCache *cache, const char *key, guint generation,
                            MsOutcome *outcome);

/* Waits, until cancel, while somebody else computes what is to be kept under the key; progress hears how
 * far that is.  Returns what is the caller's to compute, and to end with ms_outcome_cache_let_go; or NULL,
 * and *outcome is what came of it (transfer full), or it was cancelled and that is *error. */
MsComputation *ms_outcome_cache_claim (MsOutcomeCache *cache, const char *key, guint generation,
                                       GCancellable *cancel, MsComputationProgress progress,
                                       gpointer data, MsOutcome **outcome, GError **error);
/* Takes the computation. */
void ms_outcome_cache_let_go (MsOutcomeCache *cache, const char *key, MsComputation *computation);

G_END_DECLS
