/* What is made of a list of actions: bindings, menus, the shortcuts window.  Nothing here knows which
 * actions there are. */
#include "action-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

char *
ms_action_detailed_name (const MsAction *action)
{
  if (action->target == NULL)
    return g_strdup (action->name);
  return g_strconcat (action->name, "::", action->target, NULL);
}

void
ms_actions_bind_to_class (const MsAction *actions, MsKeys scope, GtkWidgetClass *class)
{
  for (const MsAction *action = actions; !ms_action_is_end (action); action++)
    {
      g_auto (GStrv) keys = g_strsplit (action->keys ? action->keys : "", " ", -1);

      for (guint i = 0; action->scope == scope && keys[i] != NULL; i++)
        {
          guint key;
          GdkModifierType modifiers;

          if (!gtk_accelerator_parse (keys[i], &key, &modifiers))
            g_error ("“%s” is no key", keys[i]);
          gtk_widget_class_add_binding_action (class, key, modifiers, action->name, NULL);
        }
    }
}

static const MsAction *
find_place (const MsAction *actions, const char *prefix, int place)
{
  for (const MsAction *action = actions; !ms_action_is_end (action); action++)
    if (action->menu == place && g_str_has_prefix (action->name, prefix))
      return action;
  return NULL;
}

GMenuModel *
ms_actions_make_menu (const MsAction *actions, const char *prefix)
{
  GMenu *menu = g_menu_new ();
  const MsAction *action;

  for (int section = 10; find_place (actions, prefix, section + 1) != NULL; section += 10)
    {
      g_autoptr (GMenu) rows = g_menu_new ();

      for (int row = 1; (action = find_place (actions, prefix, section + row)) != NULL; row++)
        {
          g_autofree char *name = ms_action_detailed_name (action);

          g_menu_append (rows, _ (action->menu_title ? action->menu_title : action->title), name);
        }
      g_menu_append_section (menu, NULL, G_MENU_MODEL (rows));
    }
  return G_MENU_MODEL (menu);
}

/* --- The shortcuts window --------------------------------------------------------------------- */

static void
append_shortcut (GString *ui, const MsAction *info)
{
  g_autofree char *title = g_markup_escape_text (_ (info->title), -1);
  g_autofree char *keys = g_markup_escape_text (info->keys, -1);

  g_string_append_printf (ui,
                          "<child><object class='GtkShortcutsShortcut'>"
                          "<property name='title'>%s</property>"
                          "<property name='accelerator'>%s</property></object></child>",
                          title, keys);
}

/* GTK 4.8 builds shortcuts windows from interface descriptions alone, so one is written here. */
GtkWidget *
ms_shortcuts_window_new (const MsAction *actions)
{
  g_autoptr (GString) ui = g_string_new (
      "<interface><object class='GtkShortcutsWindow' id='window'><property "
      "name='modal'>1</property>"
      "<child><object class='GtkShortcutsSection' id='section'>"
      "<property name='section-name'>all</property><property name='max-height'>1000</property>");
  g_autoptr (GtkBuilder) builder = NULL;
  const char *group = NULL;

  for (const MsAction *info = actions; !ms_action_is_end (info); info++)
    {
      if (info->group == NULL)
        continue;
      if (group == NULL || strcmp (group, info->group) != 0)
        {
          g_autofree char *title = g_markup_escape_text (_ (info->group), -1);

          g_string_append_printf (ui,
                                  "%s<child><object class='GtkShortcutsGroup'>"
                                  "<property name='title'>%s</property>",
                                  group ? "</object></child>" : "", title);
          group = info->group;
        }
      if (info->keys != NULL)
        append_shortcut (ui, info);
    }
  g_string_append (ui, "</object></child></object></child></object></interface>");
  builder = gtk_builder_new_from_string (ui->str, -1);
  /* GTK turns the order of the pages round whenever it lays out more than one anew, as it does for every
   * group added: they become several only now. */
  g_object_set (gtk_builder_get_object (builder, "section"), "max-height", 12, NULL);
  return g_object_ref (GTK_WIDGET (gtk_builder_get_object (builder, "window")));
}
