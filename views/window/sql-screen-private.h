/* The SQL console: one SELECT at a time on the open file. */
#pragma once

#include "screen-private.h"

G_BEGIN_DECLS

#define MS_TYPE_SQL_SCREEN (ms_sql_screen_get_type ())
G_DECLARE_FINAL_TYPE (MsSqlScreen, ms_sql_screen, MS, SQL_SCREEN, MsScreen)

GtkWidget *ms_sql_screen_new (MsWorkbench *bench);
void ms_sql_screen_set_text (MsSqlScreen *screen, const char *sql);
void ms_sql_screen_run (MsSqlScreen *screen);
gboolean ms_sql_screen_is_busy (MsSqlScreen *screen);
/* The last result, NULL after an error; borrowed. */
MsTable *ms_sql_screen_get_table (MsSqlScreen *screen);
/* What the line below the editor says. */
const char *ms_sql_screen_get_message (MsSqlScreen *screen);

/* The statement in the editor. (transfer full) */
char *ms_sql_screen_dup_text (MsSqlScreen *screen);
/* Shows a statement run before (step < 0) or after the one shown. */
void ms_sql_screen_recall (MsSqlScreen *screen, int step);
/* The n-th table of the list, as a click on it (FALSE while the list is not there); and the undo of the editor. */
gboolean ms_sql_screen_choose_table (MsSqlScreen *screen, guint n);
void ms_sql_screen_undo (MsSqlScreen *screen);

G_END_DECLS
