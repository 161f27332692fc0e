/* Decisions of consecutive tokens as the forward pass makes them and the writer takes them. */
#pragma once

#include "plan-private.h"

G_BEGIN_DECLS

typedef struct
{
  const MsPlan *plan;
  gsize capacity;
  MsDecisions *layers; /* (n_moe of the plan) of `capacity` rows */
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
/* The rows from `from` on, layer by layer, for the writer: layers (n_moe). */
void ms_rows_view (const MsRows *rows, gsize from, MsDecisions *layers);

G_END_DECLS
