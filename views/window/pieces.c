/* Small widgets and settings that many parts of the window share. */
#include "pieces-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

GtkWidget *
ms_scroller_new (GtkWidget *child)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *viewport = gtk_viewport_new (NULL, NULL);

  gtk_viewport_set_child (GTK_VIEWPORT (viewport), child);
  gtk_scrollable_set_vscroll_policy (GTK_SCROLLABLE (viewport), GTK_SCROLL_NATURAL);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), viewport);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  return scroller;
}

GtkWidget *
ms_text_new (const char *text, const char *css_class)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  if (css_class != NULL)
    gtk_widget_add_css_class (label, css_class);
  return label;
}

void
ms_widget_set_margins (GtkWidget *widget, int margin)
{
  gtk_widget_set_margin_start (widget, margin);
  gtk_widget_set_margin_end (widget, margin);
  gtk_widget_set_margin_top (widget, margin);
  gtk_widget_set_margin_bottom (widget, margin);
}

void
ms_widget_name (GtkWidget *widget, const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "_", -1);
  g_autofree char *plain = g_strjoinv ("", parts);

  gtk_accessible_update_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_LABEL, plain,
                                  -1);
  /* Of these it is the button inside that gets the focus. */
  if (GTK_IS_DROP_DOWN (widget) || GTK_IS_MENU_BUTTON (widget))
    gtk_accessible_update_property (GTK_ACCESSIBLE (gtk_widget_get_first_child (widget)),
                                    GTK_ACCESSIBLE_PROPERTY_LABEL, plain, -1);
}

GtkWidget *
ms_icon_new (const char *name)
{
  return g_object_new (GTK_TYPE_IMAGE, "icon-name", name, "accessible-role",
                       GTK_ACCESSIBLE_ROLE_PRESENTATION, NULL);
}

static gboolean
show_number (GtkSpinButton *spin)
{
  g_autofree char *text = gtk_spin_button_get_value_as_int (spin) < 0
                              ? g_strdup (_ ("Automatic"))
                              : g_strdup_printf ("%d", gtk_spin_button_get_value_as_int (spin));

  if (strcmp (text, gtk_editable_get_text (GTK_EDITABLE (spin))) != 0)
    gtk_editable_set_text (GTK_EDITABLE (spin), text);
  return TRUE;
}

static int
read_number (GtkSpinButton *spin, double *value)
{
  const char *text = gtk_editable_get_text (GTK_EDITABLE (spin));
  guint64 number;

  *value = g_ascii_string_to_unsigned (text, 10, 0, G_MAXINT, &number, NULL) ? (double) number : -1;
  return TRUE;
}

void
ms_spin_name_automatic (GtkSpinButton *spin)
{
  gtk_spin_button_set_numeric (spin, FALSE);
  g_signal_connect (spin, "output", G_CALLBACK (show_number), NULL);
  g_signal_connect (spin, "input", G_CALLBACK (read_number), NULL);
  gtk_spin_button_update (spin);
}

void
ms_row_set_texts (GtkWidget *row, const char *title, const char *subtitle)
{
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  if (subtitle != NULL)
    adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
}

void
ms_row_add_input (GtkWidget *row, GtkWidget *input)
{
  gtk_widget_set_valign (input, GTK_ALIGN_CENTER);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), input);
  gtk_widget_set_focusable (row, FALSE);
}

static void
on_stop_search (GtkSearchEntry *entry, gpointer data)
{
  if (*gtk_editable_get_text (GTK_EDITABLE (entry)) != '\0')
    gtk_editable_set_text (GTK_EDITABLE (entry), "");
  else
    gtk_widget_activate_action (GTK_WIDGET (entry), "win.clear-selection", NULL);
}

GtkWidget *
ms_search_new (const char *name)
{
  GtkWidget *entry = gtk_search_entry_new ();

  g_object_set (entry, "placeholder-text", name, NULL);
  ms_widget_name (entry, name);
  gtk_widget_set_margin_start (entry, 6);
  gtk_widget_set_margin_end (entry, 6);
  gtk_widget_set_margin_top (entry, 6);
  g_signal_connect (entry, "stop-search", G_CALLBACK (on_stop_search), NULL);
  return entry;
}

AdwToast *
ms_toast_new (const char *text)
{
  g_autofree char *markup = g_markup_escape_text (text, -1);
  AdwToast *toast = adw_toast_new (markup);

  adw_toast_set_timeout (toast, 3 + (guint) g_utf8_strlen (text, -1) / 20);
  return toast;
}

GtkWidget *
ms_status_page_new (GtkWidget *child)
{
  GtkWidget *page = adw_status_page_new ();

  adw_status_page_set_child (ADW_STATUS_PAGE (page), child);
  /* It scrolls, and so would take the keyboard where nothing in it does. */
  gtk_widget_set_can_focus (page, child != NULL && gtk_widget_get_focusable (child));
  return page;
}

static void
reveal_range (GtkAdjustment *adjustment, double from, double length)
{
  double spare = MIN (24, (gtk_adjustment_get_page_size (adjustment) - length) / 2);

  if (spare > 0)
    gtk_adjustment_clamp_page (adjustment, from - spare, from + length + spare);
  else
    gtk_adjustment_set_value (adjustment, from);
}

void
ms_widget_reveal (GtkWidget *widget, const graphene_rect_t *part)
{
  for (GtkWidget *at = gtk_widget_get_ancestor (widget, GTK_TYPE_VIEWPORT); at != NULL;
       at = gtk_widget_get_ancestor (gtk_widget_get_parent (at), GTK_TYPE_VIEWPORT))
    {
      graphene_point_t inside;

      if (!gtk_widget_compute_point (widget, gtk_viewport_get_child (GTK_VIEWPORT (at)),
                                     &part->origin, &inside))
        continue;
      reveal_range (gtk_scrollable_get_hadjustment (GTK_SCROLLABLE (at)), inside.x,
                    part->size.width);
      reveal_range (gtk_scrollable_get_vadjustment (GTK_SCROLLABLE (at)), inside.y,
                    part->size.height);
    }
}

double
ms_text_scale (void)
{
  GtkSettings *settings = gtk_settings_get_default ();
  int dpi = -1;

  if (settings != NULL)
    g_object_get (settings, "gtk-xft-dpi", &dpi, NULL);
  return dpi > 0 ? CLAMP ((double) dpi / (96 * 1024), 0.5, 4) : 1;
}
