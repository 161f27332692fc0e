/* What a job computes for the workbench: a request, on one run or on several. */
#pragma once

#include "outcome-cache-private.h"
#include "trace-cache-private.h"
#include "work-private.h"

G_BEGIN_DECLS

/* All that a worker needs, so that it never looks at the workbench, which belongs to the main thread. */
typedef struct MsOrder MsOrder;

/* Takes request.  key is that of ms_order_key, generation that of the outcome cache when the order was made.
 * partial: somebody looks at results of part of the tokens or runs. */
MsOrder *ms_order_new (MsRequest *request, const char *path, const char *key, guint generation,
                       MsOutcomeCache *outcomes, MsTraceCache *traces, gboolean partial);
void ms_order_free (MsOrder *order);
/* Under what the outcome is kept.  `run` is the request's, or the newest where it names none: they are kept
 * as the same. (transfer full) */
char *ms_order_key (const MsRequest *request, gint64 run);
/* An MsWorkFunc whose data is the order: gives an MsOutcome. */
gpointer ms_order_compute (MsWork *job, gpointer order, GError **error);

G_END_DECLS
