/* MsStartPage is what one sees without a file: what can be opened, and what was open lately. */
#include "start-page-private.h"

#include "pieces-private.h"
#include "tab-list-private.h"

#define MOST_RECENT 6

struct _MsStartPage
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  GtkListBox *recent;
  GtkWidget *recent_group;
  AdwStatusPage *page;
};

G_DEFINE_FINAL_TYPE (MsStartPage, ms_start_page, ADW_TYPE_BIN)

char *
ms_sample_path (void)
{
  const char *given = g_getenv ("MOESCOPE_SAMPLE");
  const char *const *folders = g_get_system_data_dirs ();

  if (given != NULL)
    return g_file_test (given, G_FILE_TEST_IS_REGULAR) ? g_strdup (given) : NULL;
  for (guint i = 0; folders[i] != NULL; i++)
    {
      g_autofree char *path = g_build_filename (folders[i], "moescope", "sample.db", NULL);

      if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
        return g_steal_pointer (&path);
    }
  return g_file_test (MS_SAMPLE, G_FILE_TEST_IS_REGULAR) ? g_strdup (MS_SAMPLE) : NULL;
}

static void
on_recent_activated (MsStartPage *self, GtkListBoxRow *row)
{
  const char *path = g_object_get_data (G_OBJECT (row), "moescope-path");

  if (path != NULL)
    ms_workbench_open (self->bench, path);
}

static void
add_recent (MsStartPage *self, GtkRecentInfo *info)
{
  g_autofree char *path = g_filename_from_uri (gtk_recent_info_get_uri (info), NULL, NULL);
  g_autofree char *folder = path ? g_path_get_dirname (path) : NULL;
  GtkWidget *row = adw_action_row_new ();

  ms_row_set_texts (row, gtk_recent_info_get_display_name (info), folder);
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 1);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), ms_icon_new ("go-next-symbolic"));
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), TRUE);
  g_object_set_data_full (G_OBJECT (row), "moescope-path", g_steal_pointer (&path), g_free);
  gtk_list_box_append (self->recent, row);
}

static int
compare_recent (gconstpointer a, gconstpointer b)
{
  return g_date_time_compare (gtk_recent_info_get_modified ((GtkRecentInfo *) b),
                              gtk_recent_info_get_modified ((GtkRecentInfo *) a));
}

void
ms_start_page_refresh (MsStartPage *self)
{
  GList *items = g_list_sort (gtk_recent_manager_get_items (gtk_recent_manager_get_default ()),
                              compare_recent);
  GtkWidget *row;
  guint n = 0;

  while ((row = gtk_widget_get_first_child (GTK_WIDGET (self->recent))) != NULL)
    gtk_list_box_remove (self->recent, row);
  for (GList *at = items; at != NULL && n < MOST_RECENT; at = at->next)
    if (gtk_recent_info_has_application (at->data, "moescope")
        && gtk_recent_info_is_local (at->data) && gtk_recent_info_exists (at->data))
      {
        add_recent (self, at->data);
        n++;
      }
  g_list_free_full (items, (GDestroyNotify) gtk_recent_info_unref);
  gtk_widget_set_visible (self->recent_group, n > 0);
}

static void
dispose (GObject *object)
{
  g_clear_object (&MS_START_PAGE (object)->bench);
  G_OBJECT_CLASS (ms_start_page_parent_class)->dispose (object);
}

static void
ms_start_page_class_init (MsStartPageClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
}

static GtkWidget *
pill (const char *label, const char *action, gboolean suggested)
{
  GtkWidget *button = gtk_button_new_with_mnemonic (label);

  ms_widget_name (button, label);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), action);
  gtk_widget_add_css_class (button, "pill");
  if (suggested)
    gtk_widget_add_css_class (button, "suggested-action");
  return button;
}

static void
ms_start_page_init (MsStartPage *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 24);
  GtkWidget *buttons = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);
  GtkWidget *clamp = adw_clamp_new ();
  GtkWidget *open = pill (_ ("_Open a Database…"), "win.open", TRUE);
  GtkWidget *sample = pill (_ ("_Try the Sample"), "win.open-sample", FALSE);
  GtkWidget *collect = pill (_ ("_New Collection…"), "win.collect", FALSE);

  self->page = ADW_STATUS_PAGE (adw_status_page_new ());
  adw_status_page_set_icon_name (self->page, "org.moescope.Moescope");
  adw_status_page_set_title (self->page, "moescope");
  adw_status_page_set_description (self->page,
                                   _ ("See where a mixture-of-experts model sends each token.\n"
                                      "Drop a database here, or a model to collect a new one."));
  gtk_widget_set_halign (buttons, GTK_ALIGN_CENTER);
  gtk_box_append (GTK_BOX (buttons), open);
  gtk_box_append (GTK_BOX (buttons), sample);
  gtk_box_append (GTK_BOX (buttons), collect);
  self->recent = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (self->recent, GTK_SELECTION_NONE);
  gtk_widget_add_css_class (GTK_WIDGET (self->recent), "boxed-list");
  g_signal_connect_swapped (self->recent, "row-activated", G_CALLBACK (on_recent_activated), self);
  self->recent_group = adw_preferences_group_new ();
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (self->recent_group), _ ("Recent"));
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->recent_group),
                             ms_tab_list_new (GTK_WIDGET (self->recent)));
  adw_clamp_set_maximum_size (ADW_CLAMP (clamp), 520);
  adw_clamp_set_child (ADW_CLAMP (clamp), self->recent_group);
  gtk_box_append (GTK_BOX (box), buttons);
  gtk_box_append (GTK_BOX (box), clamp);
  adw_status_page_set_child (self->page, box);
  adw_bin_set_child (ADW_BIN (self), GTK_WIDGET (self->page));
}

GtkWidget *
ms_start_page_new (MsWorkbench *bench)
{
  MsStartPage *self = g_object_new (MS_TYPE_START_PAGE, NULL);

  self->bench = g_object_ref (bench);
  ms_start_page_refresh (self);
  return GTK_WIDGET (self);
}
