/* MsCrumbs shows the baseline, the runs beside the selected one and the parts of the selection, and makes
 * them anew whenever the session's text or the file changes. */
#include "crumbs-private.h"

#include "pieces-private.h"

#include <string.h>

struct _MsCrumbs
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  GtkBox *chips;
  GtkWidget *scroller, *clear;
};

G_DEFINE_FINAL_TYPE (MsCrumbs, ms_crumbs, ADW_TYPE_BIN)

static void
on_crumb_clicked (GtkButton *button, gpointer data)
{
  MsCrumbs *self = data;
  const char *part = g_object_get_data (G_OBJECT (button), "moescope-part");
  g_autofree char *key = g_strndup (part, strcspn (part, "="));

  ms_session_clear (ms_workbench_get_session (self->bench), key);
}

static void
on_with_clicked (MsCrumbs *self)
{
  ms_session_clear (ms_workbench_get_session (self->bench), "with");
}

/* The runs shown beside the selected one, by their numbers; their names are in the tooltip. */
static void
add_with_crumb (MsCrumbs *self)
{
  const MsSelection *selection = ms_session_get_selection (ms_workbench_get_session (self->bench));
  MsRunItem *main = ms_workbench_get_run (self->bench);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GString) names = g_string_new (_ ("Hide the other runs:"));
  g_autofree gint64 *runs = NULL;
  GtkWidget *chip;
  guint n = 0;

  if (main == NULL
      || !ms_selection_list_with (selection, ms_run_item_run (main)->id, &runs, &n, NULL) || n == 0)
    return;
  for (guint i = 0; i < n; i++)
    {
      MsRunItem *item = ms_workbench_find_run (self->bench, runs[i]);
      g_autofree char *label = item ? ms_run_item_dup_label (item) : NULL;

      g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i > 0 ? ", " : "", runs[i]);
      g_string_append_printf (names, "\n%s", label ? label : "");
    }
  g_string_prepend (text, n == 1 ? _ ("with run ") : _ ("with runs "));
  g_string_append (text, "  ×");
  chip = gtk_button_new_with_label (text->str);
  gtk_widget_add_css_class (chip, "crumb");
  gtk_widget_set_tooltip_text (chip, names->str);
  gtk_accessible_update_property (GTK_ACCESSIBLE (chip), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Hide the other runs"), -1);
  g_signal_connect_swapped (chip, "clicked", G_CALLBACK (on_with_clicked), self);
  gtk_box_append (self->chips, chip);
}

static void
update (MsCrumbs *self)
{
  g_auto (GStrv) parts = ms_session_list_parts (ms_workbench_get_session (self->bench));
  MsRunItem *base = ms_workbench_get_base (self->bench);
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->chips))) != NULL)
    gtk_box_remove (self->chips, child);
  if (base != NULL)
    {
      g_autofree char *title = ms_run_item_dup_label (base);
      g_autofree char *text = g_strdup_printf (_ ("baseline %s"), title);
      g_autofree char *crumb = g_strconcat (text, "  ×", NULL);
      GtkWidget *label = gtk_button_new_with_label (crumb);

      gtk_actionable_set_action_name (GTK_ACTIONABLE (label), "win.clear-baseline");
      gtk_widget_add_css_class (label, "crumb");
      gtk_widget_set_tooltip_text (label, _ ("Clear the baseline"));
      gtk_accessible_update_property (GTK_ACCESSIBLE (label), GTK_ACCESSIBLE_PROPERTY_LABEL, text,
                                      -1);
      gtk_box_append (self->chips, label);
    }
  add_with_crumb (self);
  for (guint i = 0; parts[i] != NULL; i++)
    {
      g_autofree char *text = g_strconcat (parts[i], "  ×", NULL);
      g_autofree char *name = g_strdup_printf (_ ("Clear %s"), parts[i]);
      GtkWidget *chip = gtk_button_new_with_label (text);

      gtk_widget_add_css_class (chip, "crumb");
      gtk_widget_set_tooltip_text (chip, name);
      gtk_accessible_update_property (GTK_ACCESSIBLE (chip), GTK_ACCESSIBLE_PROPERTY_LABEL, name,
                                      -1);
      g_object_set_data_full (G_OBJECT (chip), "moescope-part", g_strdup (parts[i]), g_free);
      g_signal_connect (chip, "clicked", G_CALLBACK (on_crumb_clicked), self);
      gtk_box_append (self->chips, chip);
    }
  gtk_widget_set_visible (self->clear, parts[0] != NULL);
  /* What scrolls takes the keyboard itself when nothing in it does. */
  gtk_widget_set_can_focus (self->scroller,
                            gtk_widget_get_first_child (GTK_WIDGET (self->chips)) != NULL);
}

static void
dispose (GObject *object)
{
  g_clear_object (&MS_CRUMBS (object)->bench);
  G_OBJECT_CLASS (ms_crumbs_parent_class)->dispose (object);
}

static void
ms_crumbs_class_init (MsCrumbsClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
}

static void
ms_crumbs_init (MsCrumbs *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);

  self->chips = GTK_BOX (gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6));
  self->scroller = gtk_scrolled_window_new ();
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (self->scroller), GTK_WIDGET (self->chips));
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (self->scroller), GTK_POLICY_AUTOMATIC,
                                  GTK_POLICY_NEVER);
  gtk_widget_set_hexpand (self->scroller, TRUE);
  self->clear = gtk_button_new_from_icon_name ("edit-clear-all-symbolic");
  gtk_widget_set_tooltip_text (self->clear, _ ("Clear Selection"));
  ms_widget_name (self->clear, _ ("Clear Selection"));
  gtk_actionable_set_action_name (GTK_ACTIONABLE (self->clear), "win.clear-selection");
  gtk_widget_add_css_class (self->clear, "flat");
  gtk_box_append (GTK_BOX (box), self->scroller);
  gtk_box_append (GTK_BOX (box), self->clear);
  adw_bin_set_child (ADW_BIN (self), box);
}

GtkWidget *
ms_crumbs_new (MsWorkbench *bench)
{
  MsCrumbs *self = g_object_new (MS_TYPE_CRUMBS, NULL);

  self->bench = g_object_ref (bench);
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text", G_CALLBACK (update),
                           self, G_CONNECT_SWAPPED);
  update (self);
  return GTK_WIDGET (self);
}
