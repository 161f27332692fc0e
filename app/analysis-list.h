/* The analyses that there are, for people and for programs. */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/* A line for each: name and question. */
void ms_analysis_list_print (void);
/* All that the descriptors hold, as JSON: name, title, question, definition, source, version, needs,
 * parameters with ranges and defaults, tables with their columns, plots.  Newly allocated. */
char *ms_analysis_list_json (void);

G_END_DECLS
