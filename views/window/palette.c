/* MsPalette lists commands, filters them by every word typed, and does the chosen one on the widget that had
 * the keyboard.  It knows no command itself: it is given the table of actions. */
#include "palette-private.h"

#include "places-private.h"
#include "tab-list-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

struct _MsPalette
{
  AdwWindow parent_instance;
  GtkSearchEntry *entry;
  GtkListBox *list;
  GtkWidget *place;  /* the row of the place typed, NULL = none is */
  GtkWidget *target; /* weak */
};

G_DEFINE_FINAL_TYPE (MsPalette, ms_palette, ADW_TYPE_WINDOW)

static const char *
row_action (GtkListBoxRow *row)
{
  return g_object_get_data (G_OBJECT (row), "moescope-action");
}

/* Every word typed occurs in the title or the group. */
static gboolean
matches (GtkListBoxRow *row, gpointer data)
{
  MsPalette *self = data;
  const char *folded = g_object_get_data (G_OBJECT (row), "moescope-words");
  g_autofree char *typed = g_utf8_casefold (gtk_editable_get_text (GTK_EDITABLE (self->entry)), -1);
  g_auto (GStrv) words = g_strsplit (typed, " ", -1);

  for (guint i = 0; words[i] != NULL; i++)
    if (strstr (folded, words[i]) == NULL)
      return FALSE;
  return TRUE;
}

static void
select_first (MsPalette *self)
{
  GtkListBoxRow *row;

  for (int i = 0; (row = gtk_list_box_get_row_at_index (self->list, i)) != NULL; i++)
    if (matches (row, self))
      {
        gtk_list_box_select_row (self->list, row);
        return;
      }
}

static void
run_row (MsPalette *self, GtkListBoxRow *row)
{
  g_autofree char *action = g_strdup (row_action (row));
  g_autofree char *name = NULL;
  g_autoptr (GVariant) parameter = NULL;
  GtkWidget *target = self->target;

  if (target != NULL)
    g_object_ref (target);
  gtk_window_close (GTK_WINDOW (self));
  if (target == NULL || !g_action_parse_detailed_name (action, &name, &parameter, NULL))
    {
      g_clear_object (&target);
      return;
    }
  gtk_widget_activate_action_variant (target, name, parameter);
  g_object_unref (target);
}

static void
on_activate (MsPalette *self)
{
  GtkListBoxRow *row = gtk_list_box_get_selected_row (self->list);

  if (row != NULL && matches (row, self))
    run_row (self, row);
}

static gboolean
on_key (MsPalette *self, guint key, guint code, GdkModifierType state)
{
  GtkListBoxRow *row = gtk_list_box_get_selected_row (self->list);
  int step = key == GDK_KEY_Down ? 1 : key == GDK_KEY_Up ? -1 : 0;

  if (step == 0 || row == NULL)
    return FALSE;
  for (int i = gtk_list_box_row_get_index (row) + step;
       (row = i < 0 ? NULL : gtk_list_box_get_row_at_index (self->list, i)) != NULL; i += step)
    if (matches (row, self))
      {
        GtkAdjustment *adjustment = gtk_list_box_get_adjustment (self->list);
        graphene_rect_t bounds;

        gtk_list_box_select_row (self->list, row);
        if (adjustment != NULL
            && gtk_widget_compute_bounds (GTK_WIDGET (row), GTK_WIDGET (self->list), &bounds))
          gtk_adjustment_clamp_page (adjustment, bounds.origin.y,
                                     bounds.origin.y + bounds.size.height);
        break;
      }
  return TRUE;
}

static void
dispose (GObject *object)
{
  MsPalette *self = MS_PALETTE (object);

  g_clear_weak_pointer (&self->target);
  G_OBJECT_CLASS (ms_palette_parent_class)->dispose (object);
}

static void
ms_palette_class_init (MsPaletteClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  gtk_widget_class_add_binding_action (GTK_WIDGET_CLASS (class), GDK_KEY_Escape, 0, "window.close",
                                       NULL);
}

static GtkWidget *
add_row (MsPalette *self, const char *group_text, const char *title_text, const char *action,
         const char *keys_text)
{
  g_autofree char *words = g_strconcat (group_text, " ", title_text, NULL);
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *title = gtk_label_new (title_text);
  GtkWidget *group = gtk_label_new (group_text);

  gtk_widget_add_css_class (group, "dim-label");
  gtk_widget_set_hexpand (title, TRUE);
  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_label_set_ellipsize (GTK_LABEL (title), PANGO_ELLIPSIZE_END);
  gtk_box_append (GTK_BOX (box), title);
  gtk_box_append (GTK_BOX (box), group);
  if (keys_text != NULL)
    {
      g_auto (GStrv) keys = g_strsplit (keys_text, " ", -1);

      gtk_box_append (GTK_BOX (box), gtk_shortcut_label_new (keys[0]));
    }
  gtk_widget_set_margin_start (box, 6);
  gtk_widget_set_margin_end (box, 6);
  gtk_widget_set_margin_top (box, 6);
  gtk_widget_set_margin_bottom (box, 6);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, title_text,
                                  -1);
  g_object_set_data_full (G_OBJECT (row), "moescope-action", g_strdup (action), g_free);
  g_object_set_data_full (G_OBJECT (row), "moescope-words", g_utf8_casefold (words, -1), g_free);
  gtk_list_box_append (self->list, row);
  return row;
}

/* One row is that of the place typed, "l3 e7". */
static void
follow_place (MsPalette *self)
{
  g_autofree char *place = ms_place_parse (gtk_editable_get_text (GTK_EDITABLE (self->entry)));
  g_autofree char *action = NULL;

  if (self->place != NULL)
    gtk_list_box_remove (self->list, self->place);
  self->place = NULL;
  if (place == NULL)
    return;
  action = g_action_print_detailed_name ("win.place", g_variant_new ("(ss)", place, "experts"));
  self->place
      = add_row (self, gtk_editable_get_text (GTK_EDITABLE (self->entry)), place, action, NULL);
}

static void
on_search_changed (MsPalette *self)
{
  follow_place (self);
  gtk_list_box_invalidate_filter (self->list);
  select_first (self);
}

static void
ms_palette_init (MsPalette *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *handle = gtk_window_handle_new ();
  GtkWidget *nothing = gtk_label_new (_ ("Nothing of this name"));
  GtkEventController *keys = gtk_event_controller_key_new ();

  self->entry = GTK_SEARCH_ENTRY (gtk_search_entry_new ());
  g_object_set (self->entry, "placeholder-text",
                _ ("A command, analysis, run, document, language, or l3 e7"), NULL);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->entry), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Command"), -1);
  self->list = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (self->list, GTK_SELECTION_BROWSE);
  gtk_list_box_set_filter_func (self->list, matches, self, NULL);
  gtk_list_box_set_placeholder (self->list, nothing);
  gtk_widget_add_css_class (GTK_WIDGET (self->list), "navigation-sidebar");
  /* Not "search-changed", which comes later than a quick Enter. */
  g_signal_connect_swapped (self->entry, "changed", G_CALLBACK (on_search_changed), self);
  g_signal_connect_swapped (self->entry, "activate", G_CALLBACK (on_activate), self);
  g_signal_connect_swapped (self->entry, "stop-search", G_CALLBACK (gtk_window_close), self);
  g_signal_connect_swapped (self->list, "row-activated", G_CALLBACK (run_row), self);
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect_swapped (keys, "key-pressed", G_CALLBACK (on_key), self);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->list));
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_widget_set_vexpand (scroller, TRUE);
  gtk_widget_set_margin_start (GTK_WIDGET (self->entry), 12);
  gtk_widget_set_margin_end (GTK_WIDGET (self->entry), 12);
  gtk_widget_set_margin_top (GTK_WIDGET (self->entry), 12);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->entry));
  gtk_box_append (GTK_BOX (box), ms_tab_list_new (scroller));
  gtk_window_handle_set_child (GTK_WINDOW_HANDLE (handle), box);
  adw_window_set_content (ADW_WINDOW (self), handle);
  gtk_window_set_default_size (GTK_WINDOW (self), 480, 420);
  gtk_window_set_title (GTK_WINDOW (self), _ ("Command Palette"));
}

MsPalette *
ms_palette_present (GtkWindow *parent, GtkWidget *target, const MsAction *actions)
{
  MsPalette *self = g_object_new (MS_TYPE_PALETTE, "transient-for", parent, "modal", TRUE, NULL);

  for (const MsAction *action = actions; !ms_action_is_end (action); action++)
    if (action->group != NULL && action->name != NULL && !action->key_only)
      {
        g_autofree char *name = ms_action_detailed_name (action);

        add_row (self, _ (action->group), _ (action->title), name, action->keys);
      }
  select_first (self);
  g_set_weak_pointer (&self->target, target);
  gtk_window_present (GTK_WINDOW (self));
  return self;
}

void
ms_palette_add (MsPalette *self, const char *group, const char *title, const char *action)
{
  add_row (self, group, title, action, NULL);
}
