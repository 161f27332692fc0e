/* Decisions of consecutive tokens as the forward pass makes them and the writer takes them. */
#pragma once

#include "plan-private.h"

G_BEGIN_DECLS

/* One MoE layer; arrays as in MsLayerBlock with `capacity` rows, NULL where not recorded. */
typedef struct
{
  guint16 *experts;
  float *weights, *entropy, *margin, *logits, *norms, *peaks, *similarity;
} MsLayerRows;

typedef struct
{
  const MsPlan *plan;
  gsize capacity;
  MsLayerRows *layers; /* (n_moe of the plan) */
  gint32 *predicted;   /* (capacity) or NULL */
  float *loss;         /* (capacity) or NULL */
} MsRows;

/* `columns` are MsChunkColumns; experts are always there.  Borrows the plan. */
MsRows *ms_rows_new (const MsPlan *plan, guint columns, gboolean predictions, gsize capacity);
void ms_rows_free (MsRows *rows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsRows, ms_rows_free)
/* Bytes of one row. */
gsize ms_rows_bytes (const MsPlan *plan, guint columns, gboolean predictions);
/* Moves rows from..from+n-1 to the front. */
void ms_rows_keep (MsRows *rows, gsize from, gsize n);
/* The rows from `from` on, layer by layer, for the writer: blocks (n_moe). */
void ms_rows_view (const MsRows *rows, gsize from, MsLayerBlock *blocks);

G_END_DECLS
