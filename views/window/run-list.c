#include "run-list-private.h"

struct _MsRunList
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  GtkListBox *list;
  gboolean following; /* the session changed: do not write back */
};

G_DEFINE_FINAL_TYPE (MsRunList, ms_run_list, ADW_TYPE_BIN)

static gint64
row_run (GtkListBoxRow *row)
{
  return *(gint64 *) g_object_get_data (G_OBJECT (row), "moescope-run");
}

static void
on_pin_toggled (GtkToggleButton *pin, gpointer data)
{
  MsRunList *self = data;
  MsSession *session = ms_workbench_get_session (self->bench);
  GtkListBoxRow *row
      = GTK_LIST_BOX_ROW (gtk_widget_get_ancestor (GTK_WIDGET (pin), GTK_TYPE_LIST_BOX_ROW));

  if (self->following || row == NULL)
    return;
  if (gtk_toggle_button_get_active (pin))
    ms_session_set_base (session, row_run (row));
  else if (ms_session_get_selection (session)->base == row_run (row))
    ms_session_set_base (session, 0);
}

static GtkWidget *
make_row (gpointer item, gpointer data)
{
  MsRunList *self = data;
  const MsRun *run = ms_run_item_run (item);
  g_autofree char *what = ms_run_item_dup_title (item);
  g_autofree char *title = g_strdup_printf ("%" G_GINT64_FORMAT ": %s", run->id, what);
  g_autofree char *subtitle = ms_run_item_dup_subtitle (item);
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *texts = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *name = gtk_label_new (title);
  GtkWidget *facts = gtk_label_new (subtitle);
  GtkWidget *pin = gtk_toggle_button_new ();
  gint64 *id = g_new (gint64, 1);

  *id = run->id;
  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_label_set_xalign (GTK_LABEL (facts), 0);
  for (guint i = 0; i < 2; i++)
    {
      GtkLabel *label = GTK_LABEL (i == 0 ? name : facts);

      gtk_label_set_wrap (label, TRUE);
      gtk_label_set_wrap_mode (label, PANGO_WRAP_WORD_CHAR);
      gtk_label_set_lines (label, 2);
      gtk_label_set_ellipsize (label, PANGO_ELLIPSIZE_END);
    }
  gtk_widget_add_css_class (facts, "caption");
  gtk_widget_add_css_class (facts, "dim-label");
  gtk_box_append (GTK_BOX (texts), name);
  gtk_box_append (GTK_BOX (texts), facts);
  if (ms_run_item_get_progress (item) < 1)
    {
      GtkWidget *bar = gtk_progress_bar_new ();

      gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (bar), ms_run_item_get_progress (item));
      gtk_box_append (GTK_BOX (texts), bar);
    }
  gtk_widget_set_hexpand (texts, TRUE);
  gtk_button_set_icon_name (GTK_BUTTON (pin), "view-pin-symbolic");
  gtk_widget_set_tooltip_text (pin, _ ("Use as Baseline"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (pin), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Use as Baseline"), -1);
  gtk_widget_add_css_class (pin, "flat");
  gtk_widget_set_valign (pin, GTK_ALIGN_CENTER);
  g_signal_connect (pin, "toggled", G_CALLBACK (on_pin_toggled), self);
  gtk_box_append (GTK_BOX (box), texts);
  gtk_box_append (GTK_BOX (box), pin);
  gtk_widget_set_tooltip_text (row, title);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, title,
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, subtitle, -1);
  g_object_set_data_full (G_OBJECT (row), "moescope-run", id, g_free);
  g_object_set_data (G_OBJECT (row), "moescope-pin", pin);
  return row;
}

/* Shows the session's run and baseline in the list. */
static void
follow (MsRunList *self)
{
  const MsSelection *selection = ms_session_get_selection (ms_workbench_get_session (self->bench));
  MsRunItem *run = ms_workbench_get_run (self->bench);
  gint64 id = run ? ms_run_item_run (run)->id : -1;
  GtkListBoxRow *row;

  self->following = TRUE;
  for (int i = 0; (row = gtk_list_box_get_row_at_index (self->list, i)) != NULL; i++)
    {
      gtk_toggle_button_set_active (g_object_get_data (G_OBJECT (row), "moescope-pin"),
                                    selection->base == row_run (row));
      if (row_run (row) == id && gtk_list_box_get_selected_row (self->list) != row)
        gtk_list_box_select_row (self->list, row);
    }
  self->following = FALSE;
}

static void
on_row_activated (MsRunList *self, GtkListBoxRow *row)
{
  ms_session_set_run (ms_workbench_get_session (self->bench), row_run (row));
}

static void
dispose (GObject *object)
{
  g_clear_object (&MS_RUN_LIST (object)->bench);
  G_OBJECT_CLASS (ms_run_list_parent_class)->dispose (object);
}

static void
ms_run_list_class_init (MsRunListClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
}

static void
ms_run_list_init (MsRunList *self)
{
  GtkWidget *nothing = gtk_label_new (_ ("No runs"));

  gtk_widget_add_css_class (nothing, "dim-label");
  gtk_widget_set_margin_top (nothing, 12);
  gtk_widget_set_margin_bottom (nothing, 12);
  self->list = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_widget_add_css_class (GTK_WIDGET (self->list), "navigation-sidebar");
  gtk_list_box_set_placeholder (self->list, nothing);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->list), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Runs"), -1);
  g_signal_connect_swapped (self->list, "row-activated", G_CALLBACK (on_row_activated), self);
  adw_bin_set_child (ADW_BIN (self), GTK_WIDGET (self->list));
}

GtkWidget *
ms_run_list_new (MsWorkbench *bench)
{
  MsRunList *self = g_object_new (MS_TYPE_RUN_LIST, NULL);

  self->bench = g_object_ref (bench);
  gtk_list_box_bind_model (self->list, ms_workbench_get_runs (bench), make_row, self, NULL);
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (follow), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text", G_CALLBACK (follow),
                           self, G_CONNECT_SWAPPED);
  return GTK_WIDGET (self);
}
