/* What Rectify-Router does with dropped assignments and free slots (metrics.md i, arXiv 2402.12399).
 * Folder-internal. */
#pragma once

#include "analysis-private.h"

G_BEGIN_DECLS

/* What a layer's tokens would choose next. */
typedef struct
{
  guint16 *next; /* (T) best expert outside the token's choice, MS_NO_EXPERT = none or no choice */
  double *score; /* (T) its router probability */
} MsRepairPlan;

/* From the layer's recorded scores; ties to the lower id. */
void ms_repair_plan_init (MsRepairPlan *plan, const MsTrace *trace, guint index,
                          const MsLayerTrace *layer);
void ms_repair_plan_clear (MsRepairPlan *plan);

/* Of one batch: rows first..first+n-1, capacity slots for each expert, device e D / E of expert e and
 * i D / n of the batch's i-th row. */
typedef struct
{
  gint64 first, n, capacity;
  guint n_devices;
} MsRepairBatch;

/* Repairs what kept (T, K) has dropped.  Intra-GPU: each dropped assignment goes, outside any capacity,
 * to the expert of largest score on the token's own device that the token has not yet: replaced (T, K),
 * MS_NO_EXPERT where nothing was dropped or no expert is left.  Fill-in: free slots go to the tokens
 * whose next expert it is and which were not sent there already, largest probability first, ties to the
 * earlier token: filled (T).  Returns the number of slots that were free before. */
guint64 ms_repair_batch (const MsRepairBatch *batch, const MsLayerTrace *layer,
                         const MsRepairPlan *plan, const guint8 *kept, guint16 *replaced,
                         guint8 *filled);

/* The home device of a row and the device of an expert. */
guint ms_repair_home (const MsRepairBatch *batch, gint64 row);
guint ms_repair_device (const MsRepairBatch *batch, guint expert, guint n_experts);

G_END_DECLS
