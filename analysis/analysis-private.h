/* What the analyses share: tables of groups, tasks over layers, statistics, parameter files. */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/* --- Tables --------------------------------------------------------------------------------- */

/* An empty table of `def` with a first TEXT column "group". */
MsTable *ms_table_new_grouped (const MsTableDef *def);
/* Appends all rows of `from` (the same definition without the group) under `group`. */
void ms_table_append_group (MsTable *table, const char *group, const MsTable *from);

/* The value of parameter `i` as text (newly allocated). */
char *ms_values_text_of (const MsValues *values, guint i);

G_END_DECLS
