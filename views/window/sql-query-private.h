/* A statement, and the table that comes of it. */
#pragma once

#include "analysis.h"
#include "work-private.h"

G_BEGIN_DECLS

/* Rows that are read at most. */
#define MS_SQL_MOST_ROWS 1000000u

typedef struct
{
  char *path, *sql;
  GHashTable *values; /* parameter -> text; owned */
  int *
      offset; /* an atomic box, shared with who asks: the byte where the statement is wrong, or -1 */
} MsSqlQuery;

/* The definition of the table's columns lives beside the table. */
typedef struct
{
  MsTableDef def;
  MsColumn *columns;
  GPtrArray *names;
  MsTable *table;
  gboolean cut; /* there were more rows */
  double seconds;
} MsSqlResult;

void ms_sql_query_free (MsSqlQuery *query);
/* An MsWorkFunc whose data is the query: gives an MsSqlResult. */
gpointer ms_sql_query_run (MsWork *job, gpointer query, GError **error);
void ms_sql_result_free (MsSqlResult *result);

/* The :names of a statement outside of quotes and comments, in order, each once. (transfer full) */
GPtrArray *ms_sql_parameters (const char *sql);

G_END_DECLS
