/* The window by keyboard alone: what Tab comes by, and what every key does. */
#include "actions-private.h"
#include "figure-view-private.h"
#include "tab-list-private.h"
#include "windows.h"

#include <gdk/x11/gdkx.h>
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
          if (list != NULL
              && (gtk_widget_get_ancestor (focus, GTK_TYPE_FLOW_BOX) != NULL
                  || (GTK_IS_LIST_BOX_ROW (focus) && !ADW_IS_COMBO_ROW (focus))))
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

/* --- Keys ------------------------------------------------------------------------------------- */

/* What a key is pressed in and what may come of it. */
typedef struct
{
  MsWindow *window;
  MsSession *session;
  MsFigureView *view;     /* the first figure of the screen, NULL = none */
  MsFigureCanvas *canvas; /* its canvas */
} Scene;

/* Presses keys as a person does, through the display; FALSE when xdotool is not there. */
static gboolean
press (GtkWindow *window, const char *keys)
{
  g_autofree char *xid = g_strdup_printf (
      "%lu", gdk_x11_surface_get_xid (gtk_native_get_surface (GTK_NATIVE (window))));
  const char *argv[]
      = { "xdotool", "windowfocus", "--sync", xid, "key", "--delay", "20", keys, NULL };
  g_autoptr (GSubprocess) process = g_subprocess_newv (argv, G_SUBPROCESS_FLAGS_NONE, NULL);
  gint64 until;

  if (process == NULL)
    return FALSE;
  g_assert_true (g_subprocess_wait (process, NULL, NULL));
  until = g_get_monotonic_time () + 60 * G_TIME_SPAN_MILLISECOND;
  wait_until (g_get_monotonic_time () > until);
  return TRUE;
}

/* The window over the main one, NULL when there is none. */
static GtkWindow *
find_dialog (MsWindow *window)
{
  GListModel *all = gtk_window_get_toplevels ();

  for (guint i = 0; i < g_list_model_get_n_items (all); i++)
    {
      g_autoptr (GtkWindow) top = g_list_model_get_item (all, i);

      if (top != GTK_WINDOW (window) && gtk_widget_get_visible (GTK_WIDGET (top)))
        return top; /* GTK keeps it */
    }
  return NULL;
}

/* What the window is in, in one line: compared before and after a key. */
static char *
state_of (const Scene *scene)
{
  GString *text = g_string_new (NULL);
  GtkWindow *dialog = find_dialog (scene->window);
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (scene->window));

  g_string_append_printf (text, "screen %s; selection '%s'; ",
                          ms_window_get_screen_name (scene->window),
                          ms_session_get_text (scene->session));
  if (dialog != NULL)
    g_string_append_printf (text, "dialog %s '%s'; ", G_OBJECT_TYPE_NAME (dialog),
                            gtk_window_get_title (dialog) ? gtk_window_get_title (dialog) : "");
  for (guint i = 0; i < 2; i++)
    {
      GtkWidget *flap = find_type (GTK_WIDGET (scene->window), ADW_TYPE_FLAP);

      if (i == 1)
        flap = find_type (adw_flap_get_content (ADW_FLAP (flap)), ADW_TYPE_FLAP);
      g_string_append_printf (text, "%s %s; ", i == 0 ? "left" : "right",
                              adw_flap_get_reveal_flap (ADW_FLAP (flap)) ? "open" : "shut");
    }
  if (scene->canvas != NULL)
    g_string_append_printf (text, "row %d; zoom %.2f; %s; ",
                            ms_figure_canvas_get_cursor (scene->canvas),
                            ms_figure_canvas_get_zoom (scene->canvas),
                            gtk_widget_get_mapped (GTK_WIDGET (scene->view))
                                    && !gtk_widget_get_mapped (GTK_WIDGET (scene->canvas))
                                ? "table"
                                : "figure");
  g_string_append_printf (text, "focus %s", focus ? G_OBJECT_TYPE_NAME (focus) : "none");
  return g_string_free (text, FALSE);
}

/* The state when it holds `part`, at the latest after some seconds. */
static char *
wait_for (const Scene *scene, const char *part)
{
  gint64 until = g_get_monotonic_time () + 5 * G_USEC_PER_SEC;
  g_autofree char *state = state_of (scene);

  while (strstr (state, part) == NULL && g_get_monotonic_time () < until)
    {
      gint64 soon = g_get_monotonic_time () + 20 * G_TIME_SPAN_MILLISECOND;

      wait_until (g_get_monotonic_time () > soon);
      g_free (state);
      state = state_of (scene);
    }
  wait_until (ms_window_is_quiet (scene->window));
  return g_steal_pointer (&state);
}

/* The toy trace: layers 1, 2 with experts 0 to 7, then layer 4 with 0 to 11. */
static const struct
{
  const char *screen;
  const char *selection; /* before */
  int row;               /* the cursor before; -1 = the keyboard is not in the figure */
  const char *keys;
  const char *after; /* a part of the state that comes of it, and must not have been before */
} keys[] = {
  { "experts", "", -1, "ctrl+k", "dialog MsPalette" },
  { "experts", "", -1, "ctrl+shift+p", "dialog MsPalette" },
  { "experts", "", -1, "ctrl+question", "dialog GtkShortcutsWindow" },
  { "experts", "", -1, "F1", "dialog AdwMessageDialog" },
  { "experts", "", -1, "ctrl+o", "dialog GtkFileChooserDialog" },
  { "experts", "", -1, "ctrl+n", "dialog MsCollectDialog 'New Collection'" },
  { "experts", "", -1, "ctrl+i", "dialog MsCollectDialog 'Import a Trace'" },
  { "experts", "", -1, "ctrl+e", "dialog MsExportDialog" },
  { "cache", "", -1, "ctrl+e", "dialog MsExportDialog" },
  { "experts", "layer=1", -1, "ctrl+l", "dialog AdwMessageDialog" },
  { "experts", "layer=1", -1, "ctrl+d", "dialog AdwMessageDialog" },
  { "experts", "", -1, "F9", "left shut" },
  { "experts", "", -1, "ctrl+F9", "right shut" },
  { "experts", "", -1, "F10", "focus GtkModelButton" },
  { "experts", "", -1, "F6", "focus MsFigureCanvas" },
  { "flow", "", -1, "F6", "focus MsFigureCanvas" },
  { "text", "", -1, "ctrl+f", "focus GtkText" },
  { "analyses", "", -1, "ctrl+f", "focus GtkText" },
  { "cache", "", -1, "ctrl+f", "dialog MsPalette" },
  { "overview", "", -1, "alt+2", "screen experts" },
  { "overview", "", -1, "alt+3", "screen text" },
  { "overview", "", -1, "alt+4", "screen cache" },
  { "overview", "", -1, "alt+5", "screen languages" },
  { "overview", "", -1, "alt+6", "screen compare" },
  { "overview", "", -1, "alt+7", "screen consistency" },
  { "overview", "", -1, "alt+8", "screen flow" },
  { "overview", "", -1, "alt+9", "screen placement" },
  { "overview", "", -1, "alt+0", "screen analyses" },
  { "overview", "", -1, "alt+minus", "screen sql" },
  { "experts", "", -1, "alt+1", "screen overview" },
  { "experts", "layer=1", -1, "Escape", "selection ''" },
  { "text", "layer=1", -1, "Escape", "selection ''" },
  { "sql", "layer=1", -1, "Escape", "selection ''" },
  { "analyses", "layer=1", -1, "Escape", "selection ''" },
  { "experts", "layer=1", -1, "alt+Left", "selection ''" },
  { "experts", "layer=1", -1, "ctrl+z", "selection ''" },
  { "experts", "", -1, "ctrl+b", "selection 'base=1'" },
  { "experts", "", -1, "ctrl+t", "; table" },
  { "languages", "", -1, "ctrl+t", "; table" },
  /* In a figure: a map of layers and experts, rows from the first layer down. */
  { "experts", "", 9, "Left", "row 8;" },
  { "experts", "", 9, "Right", "row 10;" },
  { "experts", "", 9, "Up", "row 1;" },
  { "experts", "", 9, "Down", "row 17;" },
  { "experts", "", 9, "bracketright", "row 17;" },
  { "experts", "", 9, "bracketleft", "row 1;" },
  { "experts", "", 9, "period", "row 17;" },
  { "experts", "", 9, "comma", "row 1;" },
  { "experts", "", 10, "Home", "row 8;" },
  { "experts", "", 10, "End", "row 15;" },
  { "experts", "", 10, "ctrl+Home", "row 0;" },
  { "experts", "", 9, "shift+Right", "selection 'layer=2 expert=1..2'" },
  { "experts", "", 9, "Return", "selection 'layer=2 expert=1'" },
  { "experts", "layer=1 expert=1", 9, "space", "selection 'layer=1..2 expert=1'" },
  { "experts", "layer=1 expert=1", 9, "Escape", "selection ''; left open; right open" },
  { "experts", "", 9, "plus", "zoom 1.50; figure; focus MsFigureCanvas" },
  { "experts", "layer=2 expert=1..3", 9, "f", "focus MsFigureCanvas" },
  { "experts", "", 9, "b", "selection 'base=1'" },
  { "experts", "", 9, "ctrl+t", "; table" },
  { "experts", "", 9, "shift+Down", "selection 'layer=2,4 expert=1'" },
  { "experts", "", 9, "equal", "zoom 1.50;" },
  { "experts", "", -1, "ctrl+shift+e", "dialog MsReportDialog" },
  { "text", "", 5, "Right", "row 6;" },
  { "text", "", 5, "Home", "row 0;" },
  { "cache", "", 5, "Right", "row 6;" },
};

/* Keys of the table of actions that are not pressed here, and why. */
static const char *const not_pressed[][2] = {
  { "<Control><Shift>n", "another window" },
  { "<Control>w", "closes the window" },
  { "<Control>q", "ends the program" },
  { "F11", "there is no window manager" },
  { "F5", "changes nothing that the state tells" },
  { "<Control><Shift>d", "a toast tells" },
  { "<Control><Shift>c", "into the clipboard" },
  { "<Control>c", "into the clipboard" },
  { "<Alt>Right", "in test_back_and_forth" },
  { "<Control><Shift>z", "in test_back_and_forth" },
  { "minus", "in test_back_and_forth" },
  { "0", "in test_back_and_forth" },
  { "<Control>Return", "no figure of these screens has a language in its rows" },
};

/* As xdotool writes it: "ctrl+shift+p". (transfer full) */
static char *
for_xdotool (const char *accelerator)
{
  g_autoptr (GString) text = g_string_new (accelerator);

  g_string_replace (text, "<Control>", "ctrl+", 0);
  g_string_replace (text, "<Shift>", "shift+", 0);
  g_string_replace (text, "<Alt>", "alt+", 0);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static gboolean
is_pressed (const char *key)
{
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (g_str_equal (keys[i].keys, key))
      return TRUE;
  return FALSE;
}

static gboolean
is_left_out (const char *accelerator)
{
  for (guint i = 0; i < G_N_ELEMENTS (not_pressed); i++)
    if (g_str_equal (not_pressed[i][0], accelerator))
      return TRUE;
  return FALSE;
}

/* Every key of the table of actions is pressed below, or it is said why not; every key pressed is listed. */
static void
test_listed (void)
{
  g_autoptr (GHashTable) listed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
    {
      g_auto (GStrv) words = g_strsplit (action->keys ? action->keys : "", " ", -1);

      for (guint i = 0; words[i] != NULL; i++)
        {
          g_autofree char *key = for_xdotool (words[i]);

          if (is_pressed (key) == is_left_out (words[i]))
            g_error ("%s of “%s” is not pressed", words[i], action->title);
          g_hash_table_add (listed, g_steal_pointer (&key));
        }
    }
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (!g_hash_table_contains (listed, keys[i].keys))
      g_error ("%s is in no row of the table of actions", keys[i].keys);
}

static void
close_dialog (MsWindow *window)
{
  GtkWindow *dialog = find_dialog (window);

  if (dialog == NULL)
    return;
  g_assert_true (press (dialog, "Escape"));
  wait_until (find_dialog (window) == NULL);
}

/* Until nothing has been computed for a while: one thing found may ask for the next. */
static void
settle (MsWindow *window)
{
  gint64 quiet_since = g_get_monotonic_time ();

  while (g_get_monotonic_time () < quiet_since + 150 * G_TIME_SPAN_MILLISECOND)
    {
      gint64 soon = g_get_monotonic_time () + 20 * G_TIME_SPAN_MILLISECOND;

      wait_until (g_get_monotonic_time () > soon);
      if (!ms_window_is_quiet (window))
        {
          wait_until (ms_window_is_quiet (window));
          quiet_since = g_get_monotonic_time ();
        }
    }
}

static void
set_scene (Scene *scene, guint i)
{
  GtkWidget *screen;

  show_screen (scene->window, keys[i].screen);
  ms_session_reset (scene->session);
  if (*keys[i].selection != '\0')
    g_assert_true (ms_session_set_text (scene->session, keys[i].selection, NULL));
  screen = GTK_WIDGET (ms_window_get_screen (scene->window, keys[i].screen));
  ms_screen_update_now (MS_SCREEN (screen));
  wait_until (!g_str_equal (ms_screen_get_shown (MS_SCREEN (screen)), "waiting"));
  if (!g_str_equal (keys[i].screen, "overview") && !g_str_equal (keys[i].screen, "sql"))
    wait_until (ms_figure_view_find (screen) != NULL);
  settle (scene->window);
  gtk_window_set_focus (GTK_WINDOW (scene->window), NULL);
  gtk_widget_child_focus (GTK_WIDGET (scene->window), GTK_DIR_TAB_FORWARD);
  scene->view = ms_figure_view_find (screen);
  scene->canvas = scene->view ? ms_figure_view_get_canvas (scene->view) : NULL;
  if (keys[i].row >= 0)
    {
      gtk_widget_grab_focus (GTK_WIDGET (scene->canvas));
      ms_figure_canvas_set_cursor (scene->canvas, keys[i].row);
    }
}

/* Every key of the table does what it says, Escape closes every dialog, and the keyboard is then where it
 * was. */
static void
test_keys (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  Scene scene = { .window = open_window (path) };

  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
  scene.session = ms_workbench_get_session (ms_window_get_bench (scene.window));
  if (!press (GTK_WINDOW (scene.window), "shift"))
    g_test_skip ("xdotool is not installed");
  else
    for (guint i = g_getenv ("FROM") ? (guint) atoi (g_getenv ("FROM")) : 0;
         i < G_N_ELEMENTS (keys); i++)
      {
        g_autofree char *before = NULL, *after = NULL;
        GtkWidget *focus;

        set_scene (&scene, i);
        focus = gtk_window_get_focus (GTK_WINDOW (scene.window));
        before = state_of (&scene);
        g_assert_true (press (GTK_WINDOW (scene.window), keys[i].keys));
        after = wait_for (&scene, keys[i].after);
        g_test_message ("%s, %s: %s", keys[i].screen, keys[i].keys, after);
        if (strstr (after, keys[i].after) == NULL)
          g_error ("%s on %s: “%s”, not “%s”", keys[i].keys, keys[i].screen, after, keys[i].after);
        if (find_dialog (scene.window) != NULL)
          {
            close_dialog (scene.window);
            wait_until (gtk_window_get_focus (GTK_WINDOW (scene.window)) == focus);
          }
        /* Back to how it was. */
        if (strstr (after, "; table") != NULL)
          gtk_widget_activate_action (GTK_WIDGET (scene.window), "win.figure-table", NULL);
        if (strstr (after, "left shut") != NULL)
          gtk_widget_activate_action (GTK_WIDGET (scene.window), "win.left-pane", NULL);
        if (strstr (after, "right shut") != NULL)
          gtk_widget_activate_action (GTK_WIDGET (scene.window), "win.right-pane", NULL);
        if (strstr (after, "GtkModelButton") != NULL)
          g_assert_true (press (GTK_WINDOW (scene.window), "Escape"));
        if (scene.view != NULL)
          gtk_widget_activate_action (GTK_WIDGET (scene.view), "figure.zoom-reset", NULL);
      }
  close_window (scene.window);
  ms_fixture_remove (path);
}

/* Keys that take back what another did. */
static void
test_back_and_forth (void)
{
  static const struct
  {
    const char *keys, *after;
  } steps[] = {
    { "alt+Left", "selection ''" }, { "alt+Right", "selection 'layer=1'" },
    { "ctrl+z", "selection ''" },   { "ctrl+shift+z", "selection 'layer=1'" },
    { "plus", "zoom 1.50" },        { "minus", "zoom 1.00" },
    { "equal", "zoom 1.50" },       { "0", "zoom 1.00" },
  };
  char *path = ms_fixture_rich (NULL, 0);
  Scene scene = { .window = open_window (path) };
  MsScreen *screen = screen_of (scene.window, "experts");

  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
  scene.session = ms_workbench_get_session (ms_window_get_bench (scene.window));
  wait_until (ms_figure_view_find (GTK_WIDGET (screen)) != NULL);
  scene.view = ms_figure_view_find (GTK_WIDGET (screen));
  scene.canvas = ms_figure_view_get_canvas (scene.view);
  ms_session_set_text (scene.session, "layer=1", NULL);
  settle (scene.window);
  gtk_widget_grab_focus (GTK_WIDGET (scene.canvas));
  if (!press (GTK_WINDOW (scene.window), "shift"))
    g_test_skip ("xdotool is not installed");
  else
    for (guint i = 0; i < G_N_ELEMENTS (steps); i++)
      {
        g_autofree char *before = state_of (&scene), *after = NULL;

        g_assert_null (strstr (before, steps[i].after));
        g_assert_true (press (GTK_WINDOW (scene.window), steps[i].keys));
        after = wait_for (&scene, steps[i].after);
        if (strstr (after, steps[i].after) == NULL)
          g_error ("%s: “%s”, not “%s”", steps[i].keys, after, steps[i].after);
      }
  close_window (scene.window);
  ms_fixture_remove (path);
}

/* Escape in a search empties it first. */
static void
test_search (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsSession *session = ms_workbench_get_session (ms_window_get_bench (window));
  GtkWidget *entry;

  ms_session_set_text (session, "layer=1", NULL);
  screen_of (window, "analyses");
  gtk_widget_activate_action (GTK_WIDGET (window), "win.search", NULL);
  entry
      = gtk_widget_get_ancestor (gtk_window_get_focus (GTK_WINDOW (window)), GTK_TYPE_SEARCH_ENTRY);
  if (press (GTK_WINDOW (window), "shift")) /* once the window is active one can type */
    {
      g_assert_true (press (GTK_WINDOW (window), "l"));
      wait_until (g_str_equal (gtk_editable_get_text (GTK_EDITABLE (entry)), "l"));
      g_assert_true (press (GTK_WINDOW (window), "Escape"));
      wait_until (g_str_equal (gtk_editable_get_text (GTK_EDITABLE (entry)), ""));
      g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1");
      g_assert_true (press (GTK_WINDOW (window), "Escape"));
      wait_until (g_str_equal (ms_session_get_text (session), ""));
    }
  else
    g_test_skip ("xdotool is not installed");
  close_window (window);
  ms_fixture_remove (path);
}

/* The buttons that open a popover, at or below root and shown. */
static void
list_openers (GtkWidget *root, GPtrArray *openers)
{
  if (!gtk_widget_get_mapped (root))
    return;
  if ((GTK_IS_MENU_BUTTON (root) || GTK_IS_DROP_DOWN (root)) && gtk_widget_is_sensitive (root))
    g_ptr_array_add (openers, gtk_widget_get_first_child (root));
  else
    for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
         child = gtk_widget_get_next_sibling (child))
      list_openers (child, openers);
}

static gboolean
is_in_sight (MsWindow *window, GtkWidget *widget)
{
  graphene_rect_t bounds;

  return gtk_widget_compute_bounds (widget, GTK_WIDGET (window), &bounds) && bounds.origin.y >= 0
         && bounds.origin.y + bounds.size.height
                <= (float) gtk_widget_get_height (GTK_WIDGET (window));
}

/* Space opens every menu and choice, Escape closes it without clearing the selection, and the keyboard is
 * back on the button. */
static void
test_popovers (void)
{
  static const char *const screens[]
      = { "experts", "text", "cache", "languages", "analyses", NULL };
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsSession *session = ms_workbench_get_session (ms_window_get_bench (window));

  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
  ms_session_set_text (session, "layer=1", NULL);
  if (!press (GTK_WINDOW (window), "shift"))
    g_test_skip ("xdotool is not installed");
  else
    for (guint i = 0; screens[i] != NULL; i++)
      {
        g_autoptr (GPtrArray) openers = g_ptr_array_new ();
        GtkWidget *screen = GTK_WIDGET (screen_of (window, screens[i]));

        wait_until (find_type (screen, GTK_TYPE_LABEL) != NULL);
        gtk_test_widget_wait_for_draw (screen);
        list_openers (screen, openers);
        g_assert_cmpuint (openers->len, >, 0);
        for (guint o = 0; o < openers->len; o++)
          {
            GtkWidget *button = g_ptr_array_index (openers, o);
            g_autofree char *words = in_words (button);

            gtk_widget_grab_focus (button);
            wait_until (is_in_sight (window, button)); /* scrolling takes a moment */
            g_assert_true (press (GTK_WINDOW (window), "space"));
            g_test_message ("%s: %s", screens[i], words);
            wait_until (gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (button)));
            wait_until (gtk_window_get_focus (GTK_WINDOW (window)) != button);
            g_assert_true (press (GTK_WINDOW (window), "Escape"));
            wait_until (!gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (button)));
            wait_until (gtk_window_get_focus (GTK_WINDOW (window)) == button);
            g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1");
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
  g_test_add_func ("/window/keys/listed", test_listed);
  g_test_add_func ("/window/keys/table", test_keys);
  g_test_add_func ("/window/keys/back-and-forth", test_back_and_forth);
  g_test_add_func ("/window/keys/search", test_search);
  g_test_add_func ("/window/keys/popovers", test_popovers);
  return ms_windows_run ();
}
