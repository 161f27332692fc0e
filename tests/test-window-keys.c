/* The window by keyboard alone: what Tab comes by, and what every key does. */
#include "tab-list-private.h"
#include "windows.h"

#include <string.h>

/* --- Tab -------------------------------------------------------------------------------------- */

/* A widget in words, for the log. */
static char *
in_words (GtkWidget *widget)
{
  const char *tip = gtk_widget_get_tooltip_text (widget);
  GtkWidget *label = find_type (widget, GTK_TYPE_LABEL);

  return g_strdup_printf ("%s “%s”", G_OBJECT_TYPE_NAME (widget),
                          tip     ? tip
                          : label ? gtk_label_get_text (GTK_LABEL (label))
                                  : "");
}

static GtkWidget *
press_tab (MsWindow *window, GtkDirectionType direction)
{
  if (!gtk_widget_child_focus (GTK_WIDGET (window), direction))
    return NULL;
  return gtk_window_get_focus (GTK_WINDOW (window));
}

/* Tab comes by the screen's own widgets and gets round, whatever the screen; a list is one stop; Shift+Tab
 * goes the same way back. */
static void
test_tab_order (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);

  for (int i = 0; ms_screens[i].name != NULL; i++)
    {
      g_autoptr (GPtrArray) stops = g_ptr_array_new ();
      g_autoptr (GHashTable) lists = g_hash_table_new (NULL, NULL);
      GtkWidget *screen, *focus;
      guint n_inside = 0;

      show_screen (window, ms_screens[i].name);
      screen = GTK_WIDGET (ms_window_get_screen (window, ms_screens[i].name));
      ms_screen_update_now (MS_SCREEN (screen));
      wait_until (!g_str_equal (ms_screen_get_shown (MS_SCREEN (screen)), "waiting"));
      wait_until (ms_window_is_quiet (window));
      gtk_test_widget_wait_for_draw (screen); /* Tab goes by where things are */
      gtk_window_set_focus (GTK_WINDOW (window), NULL);
      while ((focus = press_tab (window, GTK_DIR_TAB_FORWARD)) != NULL
             && !g_ptr_array_find (stops, focus, NULL))
        {
          GtkWidget *list = gtk_widget_get_ancestor (focus, MS_TYPE_TAB_LIST);
          g_autofree char *words = in_words (focus);

          g_test_message ("%s: %s", ms_screens[i].name, words);
          g_ptr_array_add (stops, focus);
          g_assert_true (gtk_widget_get_mapped (focus));
          n_inside += gtk_widget_is_ancestor (focus, screen) != FALSE;
          if (GTK_IS_LIST_BOX_ROW (focus) && !ADW_IS_COMBO_ROW (focus) && list != NULL)
            g_assert_true (g_hash_table_add (lists, list));
        }
      g_assert_cmpuint (n_inside, >, 0);
      /* The same way back, from the last. */
      gtk_window_set_focus (GTK_WINDOW (window), g_ptr_array_index (stops, stops->len - 1));
      for (guint s = stops->len - 1; s > 0; s--)
        {
          focus = press_tab (window, GTK_DIR_TAB_BACKWARD);
          if (focus != g_ptr_array_index (stops, s - 1))
            {
              g_autofree char *found = in_words (focus);
              g_autofree char *wanted = in_words (g_ptr_array_index (stops, s - 1));

              g_error ("%s: back to %s, not %s", ms_screens[i].name, found, wanted);
            }
        }
    }
  close_window (window);
  ms_fixture_remove (path);
}

int
main (int argc, char **argv)
{
  ms_windows_init (&argc, &argv);
  g_test_add_func ("/window/keys/tab-order", test_tab_order);
  return ms_windows_run ();
}
