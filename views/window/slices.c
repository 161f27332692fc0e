/* Slices are kept by name for each file.  A slice names no run, so it can be looked at in every run of the
 * file. */
#include "slices-private.h"

#include "kept-private.h"
#include "pieces-private.h"

#include <string.h>

#define KIND "slices"

/* --- Actions ---------------------------------------------------------------------------------- */

static void
on_named (AdwMessageDialog *dialog, const char *response, gpointer data)
{
  MsWorkbench *bench = data;
  MsSession *session = ms_workbench_get_session (bench);
  GtkEditable *entry = GTK_EDITABLE (adw_message_dialog_get_extra_child (dialog));
  g_auto (GStrv) parts = ms_session_list_parts (session);
  g_autofree char *select = g_strjoinv (" ", parts);
  g_autofree char *name = g_strstrip (g_strdup (gtk_editable_get_text (entry)));
  g_autoptr (GError) error = NULL;

  if (strcmp (response, "save") != 0 || ms_workbench_get_path (bench) == NULL || *select == '\0')
    return;
  if (ms_kept_put (KIND, ms_workbench_get_path (bench), *name ? name : select, select, &error))
    ms_workbench_toast (bench, _ ("Selection saved"));
  else
    ms_workbench_toast (bench, _ ("The selection could not be saved: %s"), error->message);
}

void
ms_slices_save (GtkWindow *window, MsWorkbench *bench)
{
  g_auto (GStrv) parts = ms_session_list_parts (ms_workbench_get_session (bench));
  g_autofree char *select = g_strjoinv (" ", parts);
  GtkWidget *dialog, *entry;

  if (*select == '\0' || ms_workbench_get_path (bench) == NULL)
    {
      ms_workbench_toast (bench, _ ("Nothing is selected"));
      return;
    }
  dialog = adw_message_dialog_new (window, _ ("Save the Selection"), select);
  entry = gtk_entry_new ();
  gtk_entry_set_placeholder_text (GTK_ENTRY (entry), _ ("Name"));
  gtk_entry_set_activates_default (GTK_ENTRY (entry), TRUE);
  ms_widget_name (entry, _ ("Name"));
  adw_message_dialog_set_extra_child (ADW_MESSAGE_DIALOG (dialog), entry);
  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "cancel", _ ("_Cancel"), "save",
                                    _ ("_Save"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "save",
                                              ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "save");
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "cancel");
  g_signal_connect_object (dialog, "response", G_CALLBACK (on_named), bench, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

void
ms_slices_select (MsWorkbench *bench, const char *name)
{
  const char *path = ms_workbench_get_path (bench);
  g_autofree char *select = path ? ms_kept_get (KIND, path, name) : NULL;
  g_autoptr (GError) error = NULL;

  if (select != NULL && !ms_session_jump (ms_workbench_get_session (bench), select, &error))
    ms_workbench_toast (bench, "%s", error->message);
}

void
ms_slices_forget (MsWorkbench *bench, const char *name)
{
  if (ms_workbench_get_path (bench) != NULL)
    ms_kept_remove (KIND, ms_workbench_get_path (bench), name);
}

/* --- Button and palette ----------------------------------------------------------------------- */

static GMenuModel *
list_menu (GStrv names, const char *action)
{
  GMenu *menu = g_menu_new ();

  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autoptr (GMenuItem) item = g_menu_item_new (NULL, NULL);
      g_auto (GStrv) pieces = g_strsplit (names[i], "_", -1);
      g_autofree char *label = g_strjoinv ("__", pieces); /* no mnemonics */

      g_menu_item_set_label (item, label);
      g_menu_item_set_action_and_target (item, action, "s", names[i]);
      g_menu_append_item (menu, item);
    }
  return G_MENU_MODEL (menu);
}

static void
fill_menu (GtkMenuButton *button, gpointer data)
{
  const char *path = ms_workbench_get_path (data);
  g_auto (GStrv) names = path ? ms_kept_list (KIND, path) : g_new0 (char *, 1);
  g_autoptr (GMenu) menu = g_menu_new ();
  g_autoptr (GMenuModel) shown = list_menu (names, "win.slice");
  g_autoptr (GMenuModel) forgotten = list_menu (names, "win.forget-slice");

  g_menu_append (menu, _ ("_Save Selection…"), "win.save-slice");
  g_menu_append_section (menu, NULL, shown);
  if (names[0] != NULL)
    g_menu_append_submenu (menu, _ ("_Forget"), forgotten);
  gtk_menu_button_set_menu_model (button, G_MENU_MODEL (menu));
}

GtkWidget *
ms_slices_button_new (MsWorkbench *bench)
{
  GtkWidget *button = gtk_menu_button_new ();

  gtk_menu_button_set_icon_name (GTK_MENU_BUTTON (button), "user-bookmarks-symbolic");
  gtk_menu_button_set_create_popup_func (GTK_MENU_BUTTON (button), fill_menu, bench, NULL);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_tooltip_text (button, _ ("Saved Selections"));
  ms_widget_name (button, _ ("Saved Selections"));
  return button;
}

void
ms_slices_add_commands (MsWorkbench *bench, MsPalette *palette)
{
  const char *path = ms_workbench_get_path (bench);
  g_auto (GStrv) names = path ? ms_kept_list (KIND, path) : g_new0 (char *, 1);

  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *action
          = g_action_print_detailed_name ("win.slice", g_variant_new_string (names[i]));

      ms_palette_add (palette, _ ("Saved Selections"), names[i], action);
    }
}
