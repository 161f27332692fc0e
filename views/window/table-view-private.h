/* A result table as rows to read, sort and copy: the twin of every figure. */
#pragma once

#include "analysis.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* Rows beyond this are cut off with a note: GTK's lists stop scrolling long before 10^8. */
#define MS_TABLE_VIEW_MOST_ROWS 1000000u

#define MS_TYPE_TABLE_VIEW (ms_table_view_get_type ())
G_DECLARE_FINAL_TYPE (MsTableView, ms_table_view, MS, TABLE_VIEW, AdwBin)

/* Signal "row-activated" (guint row of the table). */
GtkWidget *ms_table_view_new (void);
/* References the table; NULL clears. */
void ms_table_view_set_table (MsTableView *view, MsTable *table);
MsTable *ms_table_view_get_table (MsTableView *view);
/* The list model behind it, of objects whose row ms_table_row_get gives. */
GListModel *ms_table_view_get_model (MsTableView *view);
guint ms_table_row_get (gpointer row_object);

G_END_DECLS
