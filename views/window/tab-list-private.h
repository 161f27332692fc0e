/* A holder that keeps the Tab key from stopping at every row of a list. */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_TAB_LIST (ms_tab_list_get_type ())
G_DECLARE_FINAL_TYPE (MsTabList, ms_tab_list, MS, TAB_LIST, AdwBin)

/* Around a widget that holds one list: a GtkListBox, GtkFlowBox, GtkListView or GtkColumnView.  All of it is
 * one stop, where the arrow keys go from row to row. */
GtkWidget *ms_tab_list_new (GtkWidget *child);
/* Around a list of inputs, which are the stops; those of ms_row_add_input without their rows. */
GtkWidget *ms_tab_form_new (GtkListBox *list);

G_END_DECLS
