/* Small arrangements of stock widgets that several screens need. */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

/* A column that scrolls up and down and gives its child the height it likes. */
GtkWidget *ms_scroller_new (GtkWidget *child);
/* A wrapping, selectable label aligned to the start. */
GtkWidget *ms_text_new (const char *text, const char *css_class);
void ms_widget_set_margins (GtkWidget *widget, int margin);
/* Names a widget for screen readers, as mnemonics and icons do not; leaves out the underscores. */
void ms_widget_name (GtkWidget *widget, const char *name);
/* An icon beside words that say the same. */
GtkWidget *ms_icon_new (const char *name);
/* A whole number below 0 reads "Automatic". */
void ms_spin_name_automatic (GtkSpinButton *spin);
/* Title and subtitle (NULL = none, or where the row has none) of a preferences row, as plain text. */
void ms_row_set_texts (GtkWidget *row, const char *title, const char *subtitle);
/* Puts an input at the end of an action row.  The input takes the keyboard, the row does not: one stop of
 * the Tab key. */
void ms_row_add_input (GtkWidget *row, GtkWidget *input);
/* Scrolls what it lies in so far that a part of the widget shows. */
void ms_widget_reveal (GtkWidget *widget, const graphene_rect_t *part);
/* A search entry over a list.  Escape empties it, and with nothing in it clears the selection as elsewhere. */
GtkWidget *ms_search_new (const char *name);
/* A message that stays as long as it takes to read, as plain text. */
AdwToast *ms_toast_new (const char *text);
/* A page for when there is nothing else to show; `child` may be NULL. */
GtkWidget *ms_status_page_new (GtkWidget *child);

/* How large the user wants text, 1 = as usual. */
double ms_text_scale (void);

G_END_DECLS
