/* Analyses: what they are (one constant struct each), what they read (a trace), what they make (tables).
 *
 * The command line, its help, range checks, CSV, SQL tables, figures, report, window and manual all come
 * from MsAnalysis.  An analysis knows no colour, no file format and no widget.  Adding one is a file
 * and a line in registry.c.  Plain C structs, usable from any thread.
 *
 * This header brings those of all topics: who uses the folder includes it alone. */
#pragma once

#include "db.h"

#include "headline.h"
#include "plot.h"
#include "result.h"
#include "selection.h"
#include "table.h"
#include "trace.h"
#include "values.h"

G_BEGIN_DECLS

#define MS_ANALYSIS_ERROR (ms_analysis_error_quark ())
GQuark ms_analysis_error_quark (void);

typedef enum
{
  MS_ANALYSIS_ERROR_PARAM,     /* a parameter is unknown or out of range */
  MS_ANALYSIS_ERROR_NEEDS,     /* the trace lacks what the analysis needs */
  MS_ANALYSIS_ERROR_MISMATCH,  /* two traces cannot be compared */
  MS_ANALYSIS_ERROR_SELECTION, /* the selection is wrong or leaves nothing */
  MS_ANALYSIS_ERROR_INPUT,     /* an input file of a parameter is wrong */
} MsAnalysisError;

/* --- What a computation may look at --------------------------------------------------------- */

typedef enum
{
  MS_NEEDS_NOTHING = 0,
  MS_NEEDS_LOGITS = 1 << 0,
  MS_NEEDS_NORMS = 1 << 1,
  MS_NEEDS_PREDICTIONS = 1 << 2,
  MS_NEEDS_LANGUAGES = 1 << 3, /* documents with two or more languages */
  MS_NEEDS_DOMAINS = 1 << 4,
  MS_NEEDS_PARALLEL = 1 << 5,
  MS_NEEDS_OTHER = 1 << 6,  /* a second run */
  MS_NEEDS_SERIES = 1 << 7, /* a series of further runs */
  MS_NEEDS_SIMILARITY = 1 << 8,
  MS_NEEDS_PEAKS = 1 << 9,
  MS_NEEDS_NO_TRACE = 1 << 10, /* works from parameter files alone; the trace may be NULL */
  MS_NEEDS_LAYERS = 1 << 11,   /* two or more MoE layers */
  MS_NEEDS_GATE = 1 << 12,     /* what the recorded scores mean: MS_GATE_SCORING of all layers */
  MS_TAKES_COUNTS = 1 << 13, /* no need: counts of a layer suffice, without tokens or their order */
} MsNeeds;

/* Called from any thread with the share done, 0..1. */
typedef void (*MsProgressFunc) (double done, gpointer data);

/* What draws at random, and how intervals are made of it: one struct from the command line, a request of the
 * window or a report to MsBootstrap. */
typedef struct
{
  guint64 seed;      /* for the bootstrap and null values */
  guint resamples;   /* of an interval, 0 = no intervals */
  double confidence; /* of an interval, e.g. 0.95 */
} MsSampling;

/* What holds unless told. */
#define MS_SAMPLING_USUAL ((MsSampling){ .seed = 1, .resamples = 1000, .confidence = 0.95 })

/* All that a computation may look at. */
typedef struct MsContext
{
  MsTrace *trace;
  MsTrace **others; /* (n_others) the second run, or the series in order */
  guint n_others;
  MsTrace *
      *with; /* (n_with) runs shown beside the trace: ms_analysis_run_each alone looks at them */
  guint n_with;
  const MsValues *values;
  guint threads; /* 0 = all */
  MsSampling sampling;
  const char
      *cluster; /* documents with the same label of this name go together; NULL = translations do */
  GCancellable *cancel;    /* may be NULL */
  MsProgressFunc progress; /* may be NULL: use ms_context_progress */
  gpointer progress_data;
} MsContext;

void ms_context_progress (const MsContext *context, double done);
/* "95 % interval over 24 independent groups, bias-corrected bootstrap-t", NULL when there are no intervals. */
char *ms_interval_name (const MsContext *context);

/* --- Analyses ------------------------------------------------------------------------------- */

struct MsAnalysis
{
  const char *name;    /* kebab-case */
  const char *title;   /* Header Capitals, short */
  const char *help;    /* one or two sentences: the question it answers */
  const char *formula; /* the definition in plain text */
  const char *cite;    /* paper, with its arXiv number, and metrics.md section */
  int version;         /* raised when numbers change: keys the result cache */
  guint needs;         /* MsNeeds */
  gboolean live;       /* fast enough to follow a slider */
  gboolean selective;  /* about a selection of experts or documents: in a report only when named */
  gboolean times; /* findings are as strong as they are times chance, not standard errors off */
  const MsParam *params;    /* ends with an empty one; NULL = none */
  const MsTableDef *tables; /* ends with an empty one */
  const MsPlotDef *plots;   /* ends with an empty one */
  gboolean (*compute) (const MsContext *context, MsResult *result, GError **error);
};

/* All analyses in the order of the menu; NULL-terminated. */
const MsAnalysis *const *ms_analyses (void);
const MsAnalysis *ms_analysis_find (const char *name);
/* A plot by name, NULL = the first; NULL when there is no such plot. */
const MsPlotDef *ms_analysis_plot (const MsAnalysis *analysis, const char *name);
/* NULL when the trace (and others) give what the analysis needs, else the reason in a sentence with
 * what to do about it (newly allocated).  trace may be NULL. */
char *ms_analysis_missing (const MsAnalysis *analysis, MsTrace *trace, guint n_others);

/* Runs the analysis.  NULL with *error on failure or when cancelled (G_IO_ERROR_CANCELLED).  When the
 * trace's selection names experts, tables with a column "expert" keep the rows of these; their numbers
 * stay measured among all experts, and a note says so. */
MsResult *ms_analysis_run (const MsAnalysis *analysis, const MsContext *context, GError **error);
/* The same once for every group of documents: the tables get a first TEXT column `group`.  `by` as in
 * ms_trace_group. */
MsResult *ms_analysis_run_by (const MsAnalysis *analysis, const MsContext *context, const char *by,
                              GError **error);

/* --- Several runs together ------------------------------------------------------------------ */

/* What names a run among others: "3: step 001200", its number and the start of its name (newly
 * allocated). */
char *ms_run_label (const MsRun *run);
/* The training step that a run of a checkpoint carries in its name, or in the name of the model file in its
 * command: "step 001200", "checkpoint-1200", "iter_1200"; -1 when there is none. */
gint64 ms_run_step (const MsRun *run);
/* Whether results of the analysis on several runs can stand together: not when it compares runs. */
gboolean ms_analysis_takes_runs (const MsAnalysis *analysis);

/* The result of one of several runs. */
typedef struct
{
  const MsRun *run;
  const MsResult *result; /* NULL = left out */
  const char *reason;     /* then why, a sentence */
} MsRunResult;

/* Puts results of one analysis on several runs (n), at least one not NULL, into one: the tables get the
 * first columns run_id and run, the runs in the order of their numbers; the summary has a line for each,
 * findings and notes say whose they are. */
MsResult *ms_result_stack (const MsRunResult *runs, guint n);
/* ms_analysis_run, or with `by` (may be NULL) ms_analysis_run_by, on the context's trace and all runs of
 * `with`, stacked; without any the result as it is.  A run that lacks what the analysis needs is left out
 * and named, unless all lack it. */
MsResult *ms_analysis_run_each (const MsAnalysis *analysis, const MsContext *context,
                                const char *by, GError **error);

G_END_DECLS
