/* The golden vectors through the public command line: import a case, analyse it, look up values. */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* A folder for databases; delete with ms_golden_clear. */
typedef struct
{
  char *folder; /* of the metric; NULL = the vectors are not here, the test skips */
  char *scratch;
} MsGolden;

/* Skips the running test and returns FALSE when the vectors are absent. */
gboolean ms_golden_init (MsGolden *golden, const char *metric);
void ms_golden_clear (MsGolden *golden);
/* The names of the cases, sorted (of char*, transfer full). */
GPtrArray *ms_golden_cases (const MsGolden *golden);
/* A file of a case, newly allocated. */
char *ms_golden_path (const MsGolden *golden, const char *name, const char *file);
/* A JSON file of a case; NaN is read as null.  (transfer full) */
JsonNode *ms_golden_json (const MsGolden *golden, const char *name, const char *file);

/* Runs `moescope import` with further arguments (NULL-terminated list of char*) into a new database and
 * returns its path (newly allocated). */
char *ms_golden_import (const MsGolden *golden, const char *const *arguments);
/* Runs `moescope analyze DB NAME` with further arguments and without intervals; returns the object that
 * it writes as JSON (transfer full). */
JsonNode *ms_golden_analyze (const char *db, const char *analysis, const char *const *arguments);

/* Rows of a table of such an object. */
typedef struct
{
  JsonArray *columns, *rows;
} MsGoldenTable;

MsGoldenTable ms_golden_table (JsonNode *result, const char *table);
/* The row where the columns have these values: "layer=3 expert=5"; -1 when there is none. */
int ms_golden_find (const MsGoldenTable *table, const char *where);
/* NaN for null. */
double ms_golden_real (const MsGoldenTable *table, int row, const char *column);
const char *ms_golden_text (const MsGoldenTable *table, int row, const char *column);

/* A number of a JSON value, NaN for null. */
double ms_golden_number (JsonNode *node);
/* The value at a path of member names and indices, separated by '/'; NULL when it is absent. */
JsonNode *ms_golden_at (JsonNode *node, const char *path);

/* Both within `tolerance`, or both NaN. */
#define ms_golden_assert(value, expected, tolerance)                                               \
  G_STMT_START                                                                                     \
  {                                                                                                \
    double value_ = (value), expected_ = (expected);                                               \
    if (!(value_ == expected_ || (value_ != value_ && expected_ != expected_)                      \
          || (value_ - expected_ <= (tolerance) && expected_ - value_ <= (tolerance))))            \
      g_error ("%s:%d: %s is %.10g, expected %.10g", __FILE__, __LINE__, #value, value_,           \
               expected_);                                                                         \
  }                                                                                                \
  G_STMT_END

G_END_DECLS
