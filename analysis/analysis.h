/* Analyses: what they are (one constant struct each), what they read (a trace), what they make (tables).
 *
 * The command line, its help, range checks, CSV, SQL tables, figures, report, window and manual all come
 * from MsAnalysis.  An analysis knows no colour, no file format and no widget.  Adding one is a file
 * and a line in registry.c.  Plain C structs, usable from any thread. */
#pragma once

#include "db.h"

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

/* --- Tables --------------------------------------------------------------------------------- */

typedef enum
{
  MS_COLUMN_INT,  /* gint64 */
  MS_COLUMN_REAL, /* double; NaN = undefined: NULL in SQL, empty in CSV, a gap or hatch in figures */
  MS_COLUMN_TEXT, /* UTF-8 */
} MsColumnType;

typedef struct
{
  const char *name;  /* snake_case, the CSV header and SQL column */
  const char *title; /* for people */
  const char *unit;  /* NULL = a pure number */
  MsColumnType type;
  const char *help; /* one sentence: the definition; goes into the data dictionary */
} MsColumn;

typedef struct
{
  const char *name; /* snake_case; SQL table <analysis>_<name> */
  const char *title;
  const MsColumn *columns; /* ends with an empty one */
} MsTableDef;

/* A table of a result.  Filled by one thread, then never changed: shared by reference count. */
typedef struct MsTable MsTable;

/* The first columns of a table of several groups or runs (with both, the runs come first). */
#define MS_GROUP_COLUMN  "group"
#define MS_RUN_ID_COLUMN "run_id"
#define MS_RUN_COLUMN    "run"

MsTable *ms_table_new (const MsTableDef *def);
MsTable *ms_table_ref (MsTable *table);
void ms_table_unref (MsTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsTable, ms_table_unref)

/* Appends a row; the values follow in column order: gint64 for INT, double for REAL, const char *
 * (copied, NULL allowed) for TEXT.  Pass integers as (gint64). */
void ms_table_add (MsTable *table, ...);
/* Instead of ms_table_add: the cells of a row one after the other, in column order. */
void ms_table_put_int (MsTable *table, gint64 value);
void ms_table_put_real (MsTable *table, double value);
void ms_table_put_reals (MsTable *table, const double *values, guint n);
void ms_table_put_text (MsTable *table, const char *text);
const MsTableDef *ms_table_def (const MsTable *table);
guint ms_table_n_rows (const MsTable *table);
guint ms_table_n_columns (const MsTable *table);
const MsColumn *ms_table_column (const MsTable *table, guint column);
/* The index of a column by name, -1 when there is none. */
int ms_table_find_column (const MsTable *table, const char *name);
gint64 ms_table_get_int (const MsTable *table, guint row, guint column);
/* Of a REAL or an INT column. */
double ms_table_get_real (const MsTable *table, guint row, guint column);
/* Of a TEXT column; borrowed, "" for NULL. */
const char *ms_table_get_text (const MsTable *table, guint row, guint column);
/* Any cell as text for people (newly allocated). */
char *ms_table_format (const MsTable *table, guint row, guint column);
/* Whether the cell is undefined: a NaN, or a NULL text. */
gboolean ms_table_is_null (const MsTable *table, guint row, guint column);
/* Whether the cell has a value given as text, as in MsPlotDef.where. */
gboolean ms_table_cell_is (const MsTable *table, guint row, guint column, const char *value);
/* The columns as arrays (n_rows), borrowed: for views that draw many points. */
const gint64 *ms_table_ints (const MsTable *table, guint column);
const double *ms_table_reals (const MsTable *table, guint column);

/* --- The selection -------------------------------------------------------------------------- */

/* What part of a run to look at, with the text form that the command line and the window share:
 *   "layer=4..8 expert=17,23 lang=de domain=code doc=12 phase=decode token=4097..5000"
 * Values of one key are alternatives; keys are combined with "and".  Quote values with spaces.
 * Experts choose rows of a result's tables, not decisions: see ms_analysis_run.  "run=3 with=1,2" shows
 * runs 1 and 2 beside run 3: see ms_analysis_run_each. */
typedef struct
{
  GArray *layers;       /* of MsRange, block numbers; NULL = all (likewise below) */
  GArray *experts;      /* of MsRange */
  GArray *tokens;       /* of MsRange, positions in the corpus */
  GArray *documents;    /* of MsRange, document numbers from 0 */
  GPtrArray *languages; /* of char* */
  GPtrArray *domains;
  GPtrArray *phases;
  GPtrArray *names; /* document names */
  gint64 run;       /* 0 = not given */
  gint64 base;      /* baseline run, 0 = not given */
  GArray *with;     /* of MsRange, further runs shown beside it; NULL = none */
} MsSelection;

/* Runs that are shown together at most: as many as there are colours for them. */
#define MS_RUNS_MOST 7

typedef struct
{
  gint64 first, last; /* both included */
} MsRange;

/* The keys in the order of the text form, from 0: the name, NULL beyond the last, and a sentence about it. */
const char *ms_selection_key (guint key, const char **help);
MsSelection *ms_selection_new (void); /* everything */
MsSelection *ms_selection_parse (const char *text, GError **error);
/* The text without the further runs of `with`; as it is when it is none (newly allocated). */
char *ms_selection_without_runs (const char *text);
char *ms_selection_format (const MsSelection *selection); /* the text form, "" for everything */
MsSelection *ms_selection_copy (const MsSelection *selection);
/* Whether the document, whose number is `number`, fulfils what the selection says of documents. */
gboolean ms_selection_has_document (const MsSelection *selection, const MsDocument *document,
                                    guint number);
/* Adds a run to the further ones, or takes it out. */
void ms_selection_show_run (MsSelection *selection, gint64 run, gboolean shown);
/* The numbers of the further runs shown beside run `main`, ascending, *n of them (newly allocated, NULL
 * for none).  SELECTION error when they are more than MS_RUNS_MOST with it. */
gboolean ms_selection_list_with (const MsSelection *selection, gint64 main, gint64 **runs, guint *n,
                                 GError **error);
/* Whether value is in one of the ranges (of MsRange), NULL = all. */
gboolean ms_ranges_include (const GArray *ranges, gint64 value);
void ms_selection_free (MsSelection *selection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsSelection, ms_selection_free)

/* --- The trace ------------------------------------------------------------------------------ */

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
  guint16 *experts;  /* (T, K) best first, MS_NO_EXPERT after the last */
  float *weights;    /* (T, K) */
  float *entropy;    /* (T) */
  float *margin;     /* (T) */
  float *logits;     /* (T, E) logits or probabilities as recorded */
  float *norms;      /* (T, K) */
  float *peaks;      /* (T, K) */
  float *similarity; /* (T) */
  guint8 *dropped;   /* (T, K) */
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

/* Groups of documents by "language", "domain", "document", "phase" or "parallel".  names (n) sorted,
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

/* --- Parameters ----------------------------------------------------------------------------- */

typedef enum
{
  MS_PARAM_INT,
  MS_PARAM_REAL,
  MS_PARAM_BOOL,
  MS_PARAM_CHOICE, /* value = index into choices */
  MS_PARAM_TEXT,
  MS_PARAM_FILE, /* path of an input file, "" = none */
} MsParamType;

typedef struct
{
  const char *name; /* kebab-case: --NAME */
  const char *title;
  const char *help; /* one sentence */
  const char *unit;
  MsParamType type;
  double least, most;         /* hard range; both 0 for TEXT, FILE, BOOL */
  double usual;               /* the default; for CHOICE an index */
  const char *usual_text;     /* the default of TEXT and FILE */
  const char *const *choices; /* NULL-terminated names of CHOICE */
  double ui_least, ui_most;   /* slider range, both 0 = the hard range */
} MsParam;

typedef struct MsAnalysis MsAnalysis;

/* Values for the parameters of one analysis, defaults where nothing was set. */
typedef struct MsValues MsValues;

MsValues *ms_values_new (const MsAnalysis *analysis);
MsValues *ms_values_copy (const MsValues *values);
void ms_values_free (MsValues *values);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsValues, ms_values_free)
/* Parses and checks; PARAM error with the allowed range or choices. */
gboolean ms_values_set (MsValues *values, const char *name, const char *text, GError **error);
/* Every value that differs from its default, "--slots 8 --policy lru". */
char *ms_values_format (const MsValues *values);
/* What differs from `usual` (of the same analysis, NULL = the defaults) for people: "slots 8, policy lru"
 * (newly allocated). */
char *ms_values_describe (const MsValues *values, const MsValues *usual);
/* The names must exist: anything else is our own mistake. */
gint64 ms_values_int (const MsValues *values, const char *name);
double ms_values_real (const MsValues *values, const char *name);
gboolean ms_values_bool (const MsValues *values, const char *name);
guint ms_values_choice (const MsValues *values, const char *name);
const char *ms_values_text (const MsValues *values, const char *name);

/* --- Plots ---------------------------------------------------------------------------------- */

typedef enum
{
  MS_MARK_LINE,      /* x, y, one line per series, band low..high */
  MS_MARK_BAR,       /* x, y, grouped by series */
  MS_MARK_STACK,     /* x, y, stacked by series */
  MS_MARK_HISTOGRAM, /* x = left edge, x2 = right edge, y = count */
  MS_MARK_SCATTER,   /* x, y, label, series */
  MS_MARK_HEATMAP,   /* x, y categories, value = colour */
  MS_MARK_MATRIX,    /* square heatmap of x against y with dendrograms on both sides */
  MS_MARK_FLOW,      /* x -> y with width = value, one band between neighbouring facets */
  MS_MARK_TOKENS,    /* running text of labels in row order, coloured by value or series */
} MsMark;

typedef enum
{
  MS_SCALE_LINEAR,
  MS_SCALE_LOG2,
  MS_SCALE_LOG10,
  MS_SCALE_RATIO,     /* log2 of a ratio to 1, diverging about 1: ticks x1/4 .. x4 */
  MS_SCALE_DIVERGING, /* linear, symmetric about `centre` */
  MS_SCALE_CATEGORY,  /* of x: each value a place of its own, at equal distances */
} MsScale;

/* What a bar beside a heatmap says of the cells of its line. */
typedef enum
{
  MS_MARGIN_NONE,
  MS_MARGIN_MEAN,
  MS_MARGIN_SIZE, /* mean of the absolute values */
  MS_MARGIN_MOST, /* largest value */
} MsMarginKind;

typedef struct
{
  MsMarginKind kind;
  const char *title;  /* what it is, in a few words */
  const char *weight; /* column that weighs the cells of a mean; NULL = all alike */
} MsMargin;

typedef struct
{
  const char *name; /* kebab-case, unique in the analysis */
  const char *title;
  const char *table; /* which result table */
  MsMark mark;
  const char *x, *y;      /* columns */
  const char *value;      /* colour or width column */
  const char *series;     /* one line / colour per value of this column; NULL = one */
  const char *facet;      /* small multiples by this column; NULL = one panel */
  const char *low, *high; /* interval columns */
  const char *label;      /* point labels */
  const char *x2;         /* right edge of histogram bins */
  MsScale x_scale, y_scale, value_scale;
  double centre;           /* of a diverging scale */
  const char *x_title;     /* of the x axis, with the unit; NULL = the title of column x */
  const char *y_title;     /* the same of the y axis */
  const char *value_title; /* the same of the colour bar */
  const char
      *reference;      /* column whose value is drawn as a dashed reference line (null, uniform) */
  const char *where;   /* only rows with "column=value"; NULL = all */
  MsMargin right, top; /* bars beside a heatmap: one for each of its rows, one for each column */
} MsPlotDef;

/* --- Analyses ------------------------------------------------------------------------------- */

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
} MsNeeds;

/* Called from any thread with the share done, 0..1. */
typedef void (*MsProgressFunc) (double done, gpointer data);

/* All that a computation may look at. */
typedef struct
{
  MsTrace *trace;
  MsTrace **others; /* (n_others) the second run, or the series in order */
  guint n_others;
  MsTrace *
      *with; /* (n_with) runs shown beside the trace: ms_analysis_run_each alone looks at them */
  guint n_with;
  const MsValues *values;
  guint threads;           /* 0 = all */
  guint64 seed;            /* for bootstrap and null values */
  guint bootstrap;         /* resamples of an interval, 0 = no intervals */
  double confidence;       /* e.g. 0.95 */
  GCancellable *cancel;    /* may be NULL */
  MsProgressFunc progress; /* may be NULL: use ms_context_progress */
  gpointer progress_data;
} MsContext;

void ms_context_progress (const MsContext *context, double done);

/* What an analysis makes: its tables in the order of the definition, a sentence, notes. */
typedef struct
{
  const MsAnalysis *analysis;
  guint n_tables;
  MsTable **tables; /* (n_tables) made empty before compute */
  char *summary;    /* one plain English sentence with the numbers that matter */
  GPtrArray *notes; /* of char*: exact variant used, limits, "12 tokens had no expert" */
  GArray *findings; /* of MsFinding, the strongest first */
  char *by;         /* how documents were grouped, NULL = not at all */
  guint n_runs;     /* of several runs shown together; 0 = of one alone */
  double seconds;   /* of computing */
} MsResult;

/* Something that stands out, with the place to jump to (a selection in text form). */
typedef struct
{
  char *text;      /* "layer 11: expert 4 takes 5.2x its share" */
  char *place;     /* "layer=11 expert=4" */
  double strength; /* for ordering: standard errors, or times the null (MsAnalysis.times) */
} MsFinding;

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

MsTable *ms_result_table (const MsResult *result, const char *name);
/* "95 % bootstrap interval over 24 documents", NULL when there are no intervals. */
char *ms_interval_name (const MsContext *context);
/* "Band: 95 % bootstrap interval over 24 documents.": what ms_interval_name told, for the figure's note;
 * NULL when the plot has no intervals or all are undefined. */
char *ms_plot_note (const MsPlotDef *plot, const MsTable *table, const char *interval);
/* Whether the table has a row for the plot, with a value. */
gboolean ms_plot_has_data (const MsPlotDef *plot, const MsTable *table);
void ms_result_note (MsResult *result, const char *format, ...) G_GNUC_PRINTF (2, 3);
void ms_result_find (MsResult *result, double strength, char *place, const char *format, ...)
    G_GNUC_PRINTF (4, 5); /* takes place */
void ms_result_free (MsResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsResult, ms_result_free)

/* --- The headline --------------------------------------------------------------------------- */

/* One of the few numbers that say first what a run is like. */
typedef struct
{
  double value;     /* exact; NaN = not available */
  char *number;     /* for people, NULL when not available */
  const char *unit; /* NULL = none */
  char *text;       /* what it means, a sentence; or why it is not available */
  char *place;      /* a selection in text form, NULL = none */
} MsHeadline;

typedef struct
{
  const char *name;     /* kebab-case */
  const char *title;    /* Header Capitals */
  const char *analysis; /* whose result tells it, with the parameters' defaults */
  MsHeadline *(*tell) (const MsResult *result);
} MsHeadlineDef;

/* All of them in reading order; the last is empty. */
const MsHeadlineDef *ms_headlines (void);
/* `result` is one of def's analysis.  Reads its tables, computes nothing. */
MsHeadline *ms_headline_new (const MsHeadlineDef *def, const MsResult *result);
void ms_headline_free (MsHeadline *headline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsHeadline, ms_headline_free)

/* --- Writing tables ------------------------------------------------------------------------- */

/* The table as CSV through libcsv's quoting: header, numbers bare (exact), undefined empty. */
gboolean ms_table_write_csv (const MsTable *table, GOutputStream *stream, GError **error);
/* The whole result as a JSON object: analysis, version, params, summary, notes, findings, tables
 * (each with columns and rows; undefined = null).  Newly allocated. */
char *ms_result_to_json (const MsResult *result, const MsContext *context);
/* Stores the result in the file's tables result and <analysis>_<table>; returns its id, 0 on error. */
gint64 ms_result_store (const MsResult *result, const MsContext *context, MsDb *db, GError **error);

G_END_DECLS
