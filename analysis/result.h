/* Results: the tables, the sentence, the notes and the findings of one computation, and their keeping. */
#pragma once

#include "db.h"
#include "table.h"

G_BEGIN_DECLS

typedef struct MsAnalysis MsAnalysis;
typedef struct MsContext MsContext;
typedef struct MsResult MsResult;

/* What an analysis makes: its tables in the order of the definition, a sentence, notes. */
struct MsResult
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
  gboolean mended;  /* a sentence was made of a number that is none: a fault of the analysis */
};

/* Something that stands out, with the place to jump to (a selection in text form). */
typedef struct
{
  char *text;      /* "layer 11: expert 4 takes 5.2x its share" */
  char *place;     /* "layer=11 expert=4" */
  double strength; /* for ordering: standard errors, or times the null (MsAnalysis.times) */
} MsFinding;

MsTable *ms_result_table (const MsResult *result, const char *name);
void ms_result_note (MsResult *result, const char *format, ...) G_GNUC_PRINTF (2, 3);
void ms_result_find (MsResult *result, double strength, char *place, const char *format, ...)
    G_GNUC_PRINTF (4, 5); /* takes place */
void ms_result_free (MsResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsResult, ms_result_free)

/* The whole result as a JSON object: analysis, version, params, summary, notes, findings, tables
 * (each with columns and rows; undefined = null).  Newly allocated. */
char *ms_result_to_json (const MsResult *result, const MsContext *context);
/* Stores the result in the file's tables result and <analysis>_<table>; returns its id, 0 on error. */
gint64 ms_result_store (const MsResult *result, const MsContext *context, MsDb *db, GError **error);

G_END_DECLS
