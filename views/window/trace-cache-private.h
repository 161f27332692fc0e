/* Traces that were opened lately. */
#pragma once

#include "trace.h"

G_BEGIN_DECLS

/* Shared by reference count; every function may be called from any thread. */
typedef struct MsTraceCache MsTraceCache;

MsTraceCache *ms_trace_cache_new (void);
MsTraceCache *ms_trace_cache_ref (MsTraceCache *cache);
void ms_trace_cache_unref (MsTraceCache *cache);
/* The files are no longer what they were: traces opened until now are not given out again. */
void ms_trace_cache_forget (MsTraceCache *cache);
/* The trace of a run (0 = newest) seen through a selection, NULL = everything; its runs do not matter.
 * (transfer full) */
MsTrace *ms_trace_cache_open (MsTraceCache *cache, const char *path, gint64 run,
                              const MsSelection *selection, GError **error);

G_END_DECLS
