/* How many experts of each layer must be resident for a share of hits, and which ones. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_CACHE_TARGET (ms_cache_target_get_type ())
G_DECLARE_FINAL_TYPE (MsCacheTarget, ms_cache_target, MS, CACHE_TARGET, AdwBin)

/* Signal "size" (gint64 slots): the size that the answer is about, asked for by its button. */
GtkWidget *ms_cache_target_new (MsWorkbench *bench);
/* Answers for what was simulated, in all sizes about evenly spread; NULL = nothing is known. */
void ms_cache_target_follow (MsCacheTarget *target, MsOutcome *simulated);
/* The share of hits wanted, in percent. */
void ms_cache_target_set (MsCacheTarget *target, double percent);
/* The answer as a sentence, "" while it is not known. */
const char *ms_cache_target_get_answer (MsCacheTarget *target);
/* The slots of a fixed set that reach the target, 0 while they are not known. */
gint64 ms_cache_target_get_slots (MsCacheTarget *target);
/* The fixed set as CSV with the columns layer, expert, the busiest first; NULL while it is not known. */
const char *ms_cache_target_get_list (MsCacheTarget *target);

G_END_DECLS
