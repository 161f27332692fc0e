/* As many equal columns as there is room for, filled row by row: wide windows show more figures at once. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define MS_TYPE_COLUMNS (ms_columns_get_type ())
G_DECLARE_FINAL_TYPE (MsColumns, ms_columns, MS, COLUMNS, GtkWidget)

GtkWidget *ms_columns_new (void);
void ms_columns_append (MsColumns *columns, GtkWidget *child);

G_END_DECLS
