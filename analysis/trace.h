/* The trace: one run seen through a selection, as analyses read it. */
#pragma once

#include "selection.h"

G_BEGIN_DECLS

/* One run seen through a selection.  Immutable and usable from several threads; the calls that read
 * decisions use a reader of the calling thread inside. */
typedef struct MsTrace MsTrace;

/* Opens run `run` (0 = newest) of the file.  selection NULL = everything (borrowed, copied). */
MsTrace *ms_trace_open (const char *path, gint64 run, const MsSelection *selection, GError **error);
/* The same run through the documents given by their numbers (n): cheap, shares everything else. */
MsTrace *ms_trace_narrow (MsTrace *trace, const guint *documents, guint n);
MsTrace *ms_trace_ref (MsTrace *trace);
void ms_trace_unref (MsTrace *trace);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsTrace, ms_trace_unref)

const char *ms_trace_path (const MsTrace *trace);
const MsRun *ms_trace_run (const MsTrace *trace);
const MsModel *ms_trace_model (const MsTrace *trace);
const MsCorpus *ms_trace_corpus (const MsTrace *trace);
/* What the trace was opened with; after ms_trace_narrow with its documents. */
const MsSelection *ms_trace_selection (const MsTrace *trace);
/* Selected layers, in order: trace layer i is ms_trace_layer (trace, i). */
guint ms_trace_n_layers (const MsTrace *trace);
const MsLayer *ms_trace_layer (const MsTrace *trace, guint layer);
/* Selected documents, in order.  first_token counts selected tokens from 0: it is the row of the
 * document's first token in the arrays below.  Only recorded tokens count. */
guint ms_trace_n_documents (const MsTrace *trace);
const MsDocument *ms_trace_document (const MsTrace *trace, guint document);
/* The number of a selected document in its corpus, from 0. */
guint ms_trace_document_number (const MsTrace *trace, guint document);
gint64 ms_trace_n_tokens (const MsTrace *trace);
/* Position in the corpus of a selected token's row. */
gint64 ms_trace_position (const MsTrace *trace, gint64 row);

/* One layer of all selected tokens in memory; T = ms_trace_n_tokens.  Columns not asked for are NULL. */
typedef struct
{
  guint n_experts, k;
  gint64 n_tokens;
  union
  {
    MsDecisions decisions;
    struct
    {
      MS_COLUMN_ARRAYS
    };
  };
} MsLayerTrace;

/* Loads trace layer `layer`; columns are MsChunkColumns.  MISSING_INPUT when one was not recorded. */
MsLayerTrace *ms_trace_load_layer (MsTrace *trace, guint layer, guint columns, GCancellable *cancel,
                                   GError **error);
void ms_layer_trace_free (MsLayerTrace *layer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsLayerTrace, ms_layer_trace_free)

/* Walks the selected rows of trace layer `layer` chunk by chunk, without holding more than one: calls
 * func with each run of rows: rows from..from+n-1 of the chunk are rows row..row+n-1 of the trace and
 * belong to selected document `document`.  func returning FALSE stops with *error set by it. */
typedef gboolean (*MsRowsFunc) (const MsChunk *chunk, guint from, guint n, gint64 row,
                                guint document, gpointer data, GError **error);
gboolean ms_trace_scan_layer (MsTrace *trace, guint layer, guint columns, MsRowsFunc func,
                              gpointer data, GCancellable *cancel, GError **error);

/* Counts (E) of trace layer `layer` over all selected tokens. */
gboolean ms_trace_count (MsTrace *trace, guint layer, guint64 *counts, GCancellable *cancel,
                         GError **error);
/* Counts per selected document (D, E). */
gboolean ms_trace_count_documents (MsTrace *trace, guint layer, guint32 *counts,
                                   GCancellable *cancel, GError **error);

/* Token ids (T) of the selected tokens; predicted ids and losses likewise.  Free with g_free. */
gint32 *ms_trace_token_ids (MsTrace *trace, GError **error);
gboolean ms_trace_predictions (MsTrace *trace, gint32 **predicted, float **loss, GError **error);
/* The text of a token as valid UTF-8 (byte pieces as "<0xHH>"), newly allocated; NULL when unknown. */
char *ms_trace_piece (MsTrace *trace, gint32 id);
/* Its bytes as they are, which may be a part of a character; NULL when unknown.  (transfer full) */
GBytes *ms_trace_piece_bytes (MsTrace *trace, gint32 id);

/* Groups of documents by any label of the corpus ("language", "domain", ...) or by "document".  names (n) sorted,
 * group (D) = index into names; documents without the label get no group (-1).  FALSE with MISSING
 * labels when no document has one. */
typedef struct
{
  guint n;
  char **names;
  int *group; /* (D) */
} MsGroups;
MsGroups *ms_trace_group (const MsTrace *trace, const char *by, GError **error);
void ms_groups_free (MsGroups *groups);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsGroups, ms_groups_free)

/* The values, sorted, that the selected tokens have of a label that changes inside documents; NULL when the label
 * is one of whole documents, or there is none.  (transfer full) */
GPtrArray *ms_trace_token_values (const MsTrace *trace, const char *label);
/* The part of the trace whose tokens have the value of such a label. */
MsTrace *ms_trace_narrow_label (MsTrace *trace, const char *label, const char *value);

/* Which documents are independent of each other: those of different clusters.  Documents go together when they
 * hold the same tokens (without token ids: when the first layer decides the same), and when they have the
 * same value of a label. */
typedef struct
{
  guint n;        /* clusters */
  guint *of;      /* (D) cluster of a document, 0..n-1 in the order of their first documents */
  guint n_copies; /* documents that are copies of an earlier one */
} MsClusters;
/* The clusters by label `by`, NULL = "parallel" where documents have it: translations go together.  Borrowed
 * from the trace.  PARAM error when `by` is no label of the trace. */
const MsClusters *ms_trace_clusters (MsTrace *trace, const char *by, GError **error);

/* What the trace's own numbers say against taking it for a router's choices on independent texts: exact ties,
 * copies, weights that are none.  Reads all decisions.  GPtrArray of char *, a sentence each without the full
 * stop (transfer full); NULL with *error set on failure. */
GPtrArray *ms_trace_doubts (MsTrace *trace, GCancellable *cancel, GError **error);

G_END_DECLS
