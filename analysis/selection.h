/* The selection: what part of a run to look at, and its text form. */
#pragma once

#include "db.h"

G_BEGIN_DECLS

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
  GPtrArray *names;  /* document names */
  GPtrArray *labels; /* of MsLabelChoice by name: labels besides these; NULL = none */
  gint64 run;        /* 0 = not given */
  gint64 base;       /* baseline run, 0 = not given */
  GArray *with;      /* of MsRange, further runs shown beside it; NULL = none */
} MsSelection;

/* Values of a label that has no key of its own: "source=wiki,web". */
typedef struct
{
  char *name;
  GPtrArray *values; /* of char*, sorted */
} MsLabelChoice;

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
/* Whether document `number` of the corpus fulfils what the selection says of documents.  Labels of tokens
 * inside it are looked at by ms_trace_open alone. */
gboolean ms_selection_has_document (const MsSelection *selection, const MsCorpus *corpus,
                                    guint number);
/* Wants the one value of the label called `name`, instead of what was wanted of it. */
void ms_selection_set_label (MsSelection *selection, const char *name, const char *value);
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

G_END_DECLS
