/* The cache simulator, with a slider for the size of the cache. */
#pragma once

#include "analysis-screen-private.h"
#include "cache-target-private.h"

G_BEGIN_DECLS

#define MS_TYPE_CACHE_SCREEN (ms_cache_screen_get_type ())
G_DECLARE_FINAL_TYPE (MsCacheScreen, ms_cache_screen, MS, CACHE_SCREEN, MsAnalysisScreen)

/* Its tabs, ends with an empty one. */
extern const MsTab ms_cache_tabs[];

GtkWidget *ms_cache_screen_new (MsWorkbench *bench);
/* The size looked at, in slots of a layer; one that was not simulated becomes the next one that was, 0 half
 * of the experts. */
void ms_cache_screen_set_slots (MsCacheScreen *screen, gint64 slots);
gint64 ms_cache_screen_get_slots (MsCacheScreen *screen);
/* Looks at half of the experts with the settings as they are at first: what the overview tells. */
void ms_cache_screen_show_half (MsCacheScreen *screen);
MsCacheTarget *ms_cache_screen_get_target (MsCacheScreen *screen);
/* What the policies reach at that size: policy, hit_rate, loads_per_token, megabytes_per_token,
 * milliseconds_per_token.  NULL before there is a result. */
MsTable *ms_cache_screen_get_table (MsCacheScreen *screen);

G_END_DECLS
