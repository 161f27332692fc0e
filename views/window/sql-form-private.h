/* What figures and tables show, as statements for the SQL console. */
#pragma once

#include "workbench-private.h"

G_BEGIN_DECLS

/* A SELECT for a table of a request's result, with run and selection written out.  For what SQL says
 * badly it is that of the stored table, with the command that stores it as a comment. (transfer full) */
char *ms_sql_form (MsWorkbench *bench, const MsRequest *request, const char *table);
/* The same when it computes the table's numbers from the decisions, else NULL; run is a number of the
 * file. (transfer full) */
char *ms_sql_form_direct (const MsRequest *request, gint64 run, const char *table);

G_END_DECLS
