#include "actions-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

const MsActionInfo ms_actions[] = {
  { N_ ("File"), N_ ("Open…"), "win.open", "<Control>o", MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("Try the Sample"), "win.open-sample", NULL, MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("New Collection…"), "win.collect", "<Control>n", MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("Import a Trace…"), "win.import", "<Control>i", MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("Export Figure…"), "win.export", "<Control>e", MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("Add Figure to Report"), "win.report-figure", "<Control><Shift>d",
    MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("Write a Report…"), "win.report", "<Control><Shift>e", MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("Close File"), "win.close-file", NULL, MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("Read File Again"), "win.refresh", "F5", MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("New Window"), "app.new-window", "<Control><Shift>n", MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("Close Window"), "window.close", "<Control>w", MS_KEYS_GLOBAL },
  { N_ ("File"), N_ ("Quit"), "app.quit", "<Control>q", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Overview"), "win.screen::overview", "<Alt>1", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Experts"), "win.screen::experts", "<Alt>2", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Text"), "win.screen::text", "<Alt>3", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Cache"), "win.screen::cache", "<Alt>4", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Languages"), "win.screen::languages", "<Alt>5", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Compare"), "win.screen::compare", "<Alt>6", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Consistency"), "win.screen::consistency", "<Alt>7", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Flow"), "win.screen::flow", "<Alt>8", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Placement"), "win.screen::placement", "<Alt>9", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("Analyses"), "win.screen::analyses", "<Alt>0", MS_KEYS_GLOBAL },
  { N_ ("Screens"), N_ ("SQL"), "win.screen::sql", "<Alt>minus", MS_KEYS_GLOBAL },
  { N_ ("Selection"), N_ ("Back"), "win.back", "<Alt>Left", MS_KEYS_GLOBAL },
  { N_ ("Selection"), N_ ("Undo Selection"), "win.back", "<Control>z", MS_KEYS_LAST },
  { N_ ("Selection"), N_ ("Forward"), "win.forward", "<Alt>Right", MS_KEYS_GLOBAL },
  { N_ ("Selection"), N_ ("Redo Selection"), "win.forward", "<Control><Shift>z", MS_KEYS_LAST },
  { N_ ("Selection"), N_ ("Clear Selection or Stop"), "win.clear-selection", "Escape",
    MS_KEYS_LAST },
  { N_ ("Selection"), N_ ("Edit Selection…"), "win.edit-selection", "<Control>l", MS_KEYS_GLOBAL },
  { N_ ("Selection"), N_ ("Save Selection…"), "win.save-slice", "<Control>d", MS_KEYS_GLOBAL },
  { N_ ("Selection"), N_ ("Copy Selection"), "win.copy-selection", "<Control><Shift>c",
    MS_KEYS_GLOBAL },
  { N_ ("Selection"), N_ ("Use This Run as Baseline"), "win.make-baseline", "<Control>b",
    MS_KEYS_GLOBAL },
  { N_ ("Selection"), N_ ("Compare With the Run Before"), "win.pick-baseline", NULL,
    MS_KEYS_GLOBAL },
  { N_ ("Selection"), N_ ("Compare Two Runs"), "win.compare", NULL, MS_KEYS_GLOBAL },
  { N_ ("Selection"), N_ ("Clear Baseline"), "win.clear-baseline", NULL, MS_KEYS_GLOBAL },
  { N_ ("View"), N_ ("Command Palette"), "win.palette", "<Control>k <Control><Shift>p",
    MS_KEYS_GLOBAL },
  { N_ ("View"), N_ ("Search in the Screen"), "win.search", "<Control>f", MS_KEYS_GLOBAL },
  { N_ ("View"), N_ ("Left Pane"), "win.left-pane", "F9", MS_KEYS_GLOBAL },
  { N_ ("View"), N_ ("Right Pane"), "win.right-pane", "<Control>F9", MS_KEYS_GLOBAL },
  { N_ ("View"), N_ ("Main Menu"), "win.menu", "F10", MS_KEYS_GLOBAL },
  { N_ ("View"), N_ ("Full Screen"), "win.fullscreen", "F11", MS_KEYS_GLOBAL },
  { N_ ("View"), N_ ("Keyboard Shortcuts"), "win.shortcuts", "<Control>question", MS_KEYS_GLOBAL },
  { N_ ("View"), N_ ("Help"), "win.help", "F1", MS_KEYS_GLOBAL },
  { N_ ("View"), N_ ("About moescope"), "win.about", NULL, MS_KEYS_GLOBAL },
  { N_ ("Figure"), N_ ("Go to the Figure"), "win.focus-figure", "F6", MS_KEYS_GLOBAL },
  { N_ ("Figure"), N_ ("Show as Table"), "win.figure-table", "<Control>t", MS_KEYS_GLOBAL },
  { N_ ("Figure"), N_ ("Copy Text"), "figure.copy-text", "<Control>c", MS_KEYS_NONE },
  { N_ ("Figure"), N_ ("Copy as CSV"), "figure.copy-csv", NULL, MS_KEYS_NONE },
  { N_ ("Figure"), N_ ("Copy Picture"), "figure.copy-image", NULL, MS_KEYS_NONE },
  { N_ ("Figure"), N_ ("Copy Command Line"), "figure.copy-command", NULL, MS_KEYS_NONE },
  { N_ ("Figure"), N_ ("Copy the SQL Behind This"), "figure.sql", NULL, MS_KEYS_NONE },
  { N_ ("Figure"), N_ ("Zoom In"), "figure.zoom-in", "plus", MS_KEYS_NONE },
  { N_ ("Figure"), N_ ("Zoom Out"), "figure.zoom-out", "minus", MS_KEYS_NONE },
  { N_ ("Figure"), N_ ("Whole Figure"), "figure.zoom-reset", "0", MS_KEYS_NONE },
  { N_ ("Figure"), N_ ("Fit the Brush"), "figure.zoom-fit", "f", MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("Move the Cursor"), NULL, "Left Right Up Down", MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("Row Start, Row End"), NULL, "Home End", MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("First Cell"), NULL, "<Control>Home", MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("Use This Run as Baseline"), NULL, "b", MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("Brush While Moving"), NULL, "<Shift>Right <Shift>Down", MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("Select the Cell"), NULL, "Return", MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("Add the Cell"), NULL, "space", MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("Look at This Alone"), NULL, "<Control>Return", MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("Layer Down, Layer Up"), NULL, "bracketleft bracketright",
    MS_KEYS_NONE },
  { N_ ("In a Figure"), N_ ("Previous, Next of the Expert"), NULL, "comma period", MS_KEYS_NONE },
  { NULL, NULL, NULL, NULL, MS_KEYS_NONE },
};

void
ms_actions_bind (GtkApplication *application)
{
  for (const MsActionInfo *info = ms_actions; info->title != NULL; info++)
    if (info->scope == MS_KEYS_GLOBAL && info->keys != NULL)
      {
        g_auto (GStrv) keys = g_strsplit (info->keys, " ", -1);

        gtk_application_set_accels_for_action (application, info->action,
                                               (const char *const *) keys);
      }
}

void
ms_actions_bind_last (GtkWidgetClass *window_class)
{
  for (const MsActionInfo *info = ms_actions; info->title != NULL; info++)
    if (info->scope == MS_KEYS_LAST)
      {
        guint key;
        GdkModifierType modifiers;

        if (gtk_accelerator_parse (info->keys, &key, &modifiers))
          gtk_widget_class_add_binding_action (window_class, key, modifiers, info->action, NULL);
      }
}

static void
append_shortcut (GString *ui, const MsActionInfo *info)
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
ms_shortcuts_window_new (void)
{
  g_autoptr (GString) ui = g_string_new (
      "<interface><object class='GtkShortcutsWindow' id='window'><property "
      "name='modal'>1</property>"
      "<child><object class='GtkShortcutsSection' id='section'>"
      "<property name='section-name'>all</property><property name='max-height'>1000</property>");
  g_autoptr (GtkBuilder) builder = NULL;
  const char *group = NULL;

  for (const MsActionInfo *info = ms_actions; info->title != NULL; info++)
    {
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
