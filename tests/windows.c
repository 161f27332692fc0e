/* One application for the window tests, with settings and state of its own in a temporary folder: a test neither
 * sees nor changes those of whoever runs it. */
#include "windows.h"

#include "actions-private.h"
#include "window.h"

#include <string.h>

static AdwApplication *application;

gboolean
ms_windows_tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

void
ms_windows_init (int *argc, char ***argv)
{
  g_autofree char *state = g_dir_make_tmp ("moescope-state-XXXXXX", NULL);

  g_setenv ("XDG_STATE_HOME", state, TRUE);
  g_setenv ("XDG_DATA_HOME", state, TRUE);
  g_setenv ("GTK_A11Y", "test", TRUE);
  g_setenv ("GSETTINGS_BACKEND", "memory", TRUE);
  g_setenv ("ADW_DISABLE_PORTAL", "1", TRUE);
  gtk_test_init (argc, argv, NULL);
  application = ms_application_new ();
  g_application_set_flags (G_APPLICATION (application), G_APPLICATION_NON_UNIQUE);
  g_assert_true (g_application_register (G_APPLICATION (application), NULL, NULL));
}

int
ms_windows_run (void)
{
  int status = g_test_run ();

  g_object_unref (application);
  return status;
}

MsWindow *
open_window (const char *path)
{
  MsWindow *window = ms_actions_new_window (GTK_APPLICATION (application));

  gtk_window_set_default_size (GTK_WINDOW (window), 1280, 800);
  gtk_window_present (GTK_WINDOW (window));
  if (path != NULL)
    {
      ms_workbench_open (ms_window_get_bench (window), path);
      wait_until (ms_window_is_quiet (window));
    }
  return window;
}

void
close_window (MsWindow *window)
{
  gtk_window_destroy (GTK_WINDOW (window));
}

void
show_screen (MsWindow *window, const char *name)
{
  gtk_widget_activate_action (GTK_WIDGET (window), "win.screen", "s", name);
  g_assert_cmpstr (ms_window_get_screen_name (window), ==, name);
  gtk_test_widget_wait_for_draw (GTK_WIDGET (window));
  wait_until (ms_window_is_quiet (window));
}

MsScreen *
screen_of (MsWindow *window, const char *name)
{
  show_screen (window, name);
  wait_until (g_str_equal (ms_screen_get_shown (ms_window_get_screen (window, name)), "content"));
  wait_until (ms_window_is_quiet (window));
  return ms_window_get_screen (window, name);
}

GtkWidget *
find_type (GtkWidget *root, GType type)
{
  if (G_TYPE_CHECK_INSTANCE_TYPE (root, type))
    return root;
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      GtkWidget *found = find_type (child, type);

      if (found != NULL)
        return found;
    }
  return NULL;
}
