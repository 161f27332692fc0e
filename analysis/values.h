/* Parameters of an analysis and the values that they have for one computation. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

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

G_END_DECLS
