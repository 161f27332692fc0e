/* The analyses that there are, for people, programs and the manual. */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/* A line for each: name and question. */
void ms_analysis_list_print (void);
/* All that the descriptors hold, as JSON: name, title, question, definition, source, version, needs,
 * parameters with ranges and defaults, tables with their columns, plots.  Newly allocated. */
char *ms_analysis_list_json (void);
/* The same for readers: appends a Markdown section for each analysis. */
void ms_analysis_list_markdown (GString *out);
/* What values a parameter takes, "0..1" or "yes|no", and in *usual its default, "none" for no text.  Both
 * newly allocated. */
char *ms_param_range (const MsParam *param, char **usual);

G_END_DECLS
