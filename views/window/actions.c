/* The table of actions, and how a window and the application get theirs from it.  An action is one row here
 * (a figure's own are in ms_figure_actions, screens in ms_screens) and one function that does it: bindings,
 * the main menu, the palette, the shortcuts window, the state of each GAction and the test of keys are made
 * from the rows. */
#include "actions-private.h"

#include "commands-private.h"
#include "figure-view-private.h"
#include "palette-private.h"
#include "places-private.h"
#include "slices-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static void new_window (GtkWidget *widget, const char *name, GVariant *parameter);
static void quit (GtkWidget *widget, const char *name, GVariant *parameter);
static void open_palette (GtkWidget *widget, const char *name, GVariant *parameter);
static void open_shortcuts (GtkWidget *widget, const char *name, GVariant *parameter);

#define FILE_GROUP      .group = N_ ("File")
#define SELECTION_GROUP .group = N_ ("Selection")
#define VIEW_GROUP      .group = N_ ("View")
#define FIGURE_GROUP    .group = N_ ("Figure")
#define GLOBAL(text)    .keys = (text), .scope = MS_KEYS_GLOBAL
#define LAST(text)      .keys = (text), .scope = MS_KEYS_LAST

/* clang-format off */
static const MsAction of_files[] = {
  { FILE_GROUP, .title = N_ ("Open…"), .name = "win.open", GLOBAL ("<Control>o"),
    .activate = ms_command_open, .menu = 11 },
  { FILE_GROUP, .title = N_ ("Try the Sample"), .name = "win.open-sample",
    .activate = ms_command_open_sample },
  { FILE_GROUP, .title = N_ ("New Collection…"), .name = "win.collect", GLOBAL ("<Control>n"),
    .activate = ms_command_collect, .menu = 12 },
  { FILE_GROUP, .title = N_ ("Import a Trace…"), .name = "win.import", GLOBAL ("<Control>i"),
    .activate = ms_command_import, .menu = 13 },
  { FILE_GROUP, .title = N_ ("Export Figure…"), .name = "win.export", GLOBAL ("<Control>e"),
    .when = MS_WHEN_FILE, .activate = ms_command_figure, .menu = 14 },
  { FILE_GROUP, .title = N_ ("Add Figure to Report"), .name = "win.report-figure",
    GLOBAL ("<Control><Shift>d"), .activate = ms_command_figure, .menu = 15 },
  { FILE_GROUP, .title = N_ ("Write a Report…"), .name = "win.report", GLOBAL ("<Control><Shift>e"),
    .when = MS_WHEN_FILE, .activate = ms_command_report, .menu = 16 },
  { FILE_GROUP, .title = N_ ("Close File"), .name = "win.close-file", .when = MS_WHEN_FILE,
    .activate = ms_command_close_file, .menu = 24 },
  { FILE_GROUP, .title = N_ ("Read File Again"), .name = "win.refresh", GLOBAL ("F5"),
    .when = MS_WHEN_FILE, .activate = ms_command_refresh },
  { FILE_GROUP, .title = N_ ("New Window"), .name = "app.new-window", GLOBAL ("<Control><Shift>n"),
    .activate = new_window },
  { FILE_GROUP, .title = N_ ("Close Window"), .name = "window.close", GLOBAL ("<Control>w") },
  { FILE_GROUP, .title = N_ ("Quit"), .name = "app.quit", GLOBAL ("<Control>q"),
    .activate = quit },
};

static const MsAction of_views[] = {
  { SELECTION_GROUP, .title = N_ ("Back"), .name = "win.back", GLOBAL ("<Alt>Left"),
    .when = MS_WHEN_PAST, .activate = ms_command_back },
  { SELECTION_GROUP, .title = N_ ("Undo Selection"), .name = "win.back", LAST ("<Control>z") },
  { SELECTION_GROUP, .title = N_ ("Forward"), .name = "win.forward", GLOBAL ("<Alt>Right"),
    .when = MS_WHEN_FUTURE, .activate = ms_command_forward },
  { SELECTION_GROUP, .title = N_ ("Redo Selection"), .name = "win.forward",
    LAST ("<Control><Shift>z") },
  { SELECTION_GROUP, .title = N_ ("Clear Selection or Stop"), .name = "win.clear-selection",
    LAST ("Escape"), .activate = ms_command_clear_selection },
  { SELECTION_GROUP, .title = N_ ("Edit Selection…"), .name = "win.edit-selection",
    GLOBAL ("<Control>l"), .when = MS_WHEN_FILE, .activate = ms_command_edit_selection, .menu = 21 },
  { SELECTION_GROUP, .title = N_ ("Save Selection…"), .name = "win.save-slice",
    GLOBAL ("<Control>d"), .when = MS_WHEN_FILE, .activate = ms_command_save_slice },
  { SELECTION_GROUP, .title = N_ ("Copy Selection"), .name = "win.copy-selection",
    GLOBAL ("<Control><Shift>c"), .when = MS_WHEN_FILE, .activate = ms_command_copy_selection,
    .menu = 22 },
  { SELECTION_GROUP, .title = N_ ("Use This Run as Baseline"), .name = "win.make-baseline",
    GLOBAL ("<Control>b"), .when = MS_WHEN_RUN, .activate = ms_command_make_baseline, .menu = 23 },
  { SELECTION_GROUP, .title = N_ ("Compare With the Run Before"), .name = "win.pick-baseline",
    .activate = ms_command_pick_baseline },
  { SELECTION_GROUP, .title = N_ ("Compare Two Runs"), .name = "win.compare",
    .when = MS_WHEN_RUNS, .activate = ms_command_compare },
  { SELECTION_GROUP, .title = N_ ("Clear Baseline"), .name = "win.clear-baseline",
    .when = MS_WHEN_BASELINE, .activate = ms_command_clear_baseline },
  { VIEW_GROUP, .title = N_ ("Command Palette"), .name = "win.palette",
    GLOBAL ("<Control>k <Control><Shift>p"), .activate = open_palette, .menu = 31 },
  { VIEW_GROUP, .title = N_ ("Search in the Screen"), .name = "win.search", GLOBAL ("<Control>f"),
    .when = MS_WHEN_FILE, .activate = ms_command_search },
  { VIEW_GROUP, .title = N_ ("Left Pane"), .name = "win.left-pane", GLOBAL ("F9"),
    .when = MS_WHEN_FILE, .activate = ms_command_pane },
  { VIEW_GROUP, .title = N_ ("Right Pane"), .name = "win.right-pane", GLOBAL ("<Control>F9"),
    .when = MS_WHEN_FILE, .activate = ms_command_pane },
  { VIEW_GROUP, .title = N_ ("Main Menu"), .name = "win.menu", GLOBAL ("F10"),
    .activate = ms_command_menu },
  { VIEW_GROUP, .title = N_ ("Full Screen"), .name = "win.fullscreen", GLOBAL ("F11"),
    .activate = ms_command_fullscreen },
  { VIEW_GROUP, .title = N_ ("Keyboard Shortcuts"), .name = "win.shortcuts",
    GLOBAL ("<Control>question"), .activate = open_shortcuts, .menu = 32 },
  { VIEW_GROUP, .title = N_ ("Help"), .name = "win.help", GLOBAL ("F1"),
    .activate = ms_command_help, .menu = 33 },
  { VIEW_GROUP, .title = N_ ("About moescope"), .name = "win.about",
    .activate = ms_command_about, .menu = 34 },
  { FIGURE_GROUP, .title = N_ ("Go to the Figure"), .name = "win.focus-figure", GLOBAL ("F6"),
    .when = MS_WHEN_FILE, .activate = ms_command_focus_figure },
  { FIGURE_GROUP, .title = N_ ("Show as Table"), .name = "win.figure-table", GLOBAL ("<Control>t"),
    .when = MS_WHEN_FILE, .activate = ms_command_figure },
  /* What other parts of the window ask for. */
  { .name = "win.open-path", .parameter = "s", .activate = ms_command_open_path },
  { .name = "win.map", .parameter = "s", .activate = ms_command_map },
  { .name = "win.place", .parameter = "(ss)", .activate = ms_command_place },
  { .name = "win.run", .parameter = "x", .activate = ms_command_run },
  { .name = "win.analysis", .parameter = "s", .activate = ms_command_analysis },
  { .name = "win.specialists", .parameter = "(ss)", .activate = ms_command_specialists },
  { .name = "win.compare-with", .parameter = "x", .activate = ms_command_compare_with },
  { .name = "win.cache", .parameter = "s", .activate = ms_command_cache },
  { .name = "win.sql", .parameter = "s", .activate = ms_command_sql },
  { .name = "win.clear-all", .when = MS_WHEN_FILE, .activate = ms_command_clear_all },
  { .name = "win.slice", .parameter = "s", .activate = ms_command_slice },
  { .name = "win.forget-slice", .parameter = "s", .activate = ms_command_forget_slice },
  { .name = "win.write-report", .parameter = "s", .activate = ms_command_write_report },
  { .name = "win.add-section", .parameter = "(sss)", .activate = ms_command_add_section },
};
/* clang-format on */

static void
append_screens (GArray *all)
{
  for (const MsScreenInfo *info = ms_screens; info->name != NULL; info++)
    {
      MsAction action = { .group = N_ ("Screens"),
                          .title = info->title,
                          .name = "win.screen",
                          .target = info->name,
                          .keys = info->keys,
                          .scope = MS_KEYS_GLOBAL,
                          .when = MS_WHEN_FILE,
                          .parameter = "s",
                          .activate = ms_command_screen };

      g_array_append_val (all, action);
    }
}

const MsAction *
ms_actions (void)
{
  static GArray *all;

  if (all == NULL)
    {
      all = g_array_new (TRUE, TRUE, sizeof (MsAction));
      g_array_append_vals (all, of_files, G_N_ELEMENTS (of_files));
      append_screens (all);
      g_array_append_vals (all, of_views, G_N_ELEMENTS (of_views));
      for (const MsAction *action = ms_figure_actions; !ms_action_is_end (action); action++)
        g_array_append_vals (all, action, 1);
    }
  return &g_array_index (all, MsAction, 0);
}

/* --- Actions that need the table -------------------------------------------------------------- */

static void
new_window (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsWindow *window = ms_actions_new_window (GTK_APPLICATION (g_application_get_default ()));

  gtk_window_present (GTK_WINDOW (window));
}

static void
quit (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GtkApplication *application = GTK_APPLICATION (g_application_get_default ());
  GList *windows = g_list_copy (gtk_application_get_windows (application));

  for (GList *at = windows; at != NULL; at = at->next)
    gtk_window_close (at->data);
  g_list_free (windows);
}

static void
open_palette (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GtkWidget *screen = ms_window_get_shown (MS_WINDOW (widget));
  MsFigureView *view = screen ? ms_figure_view_find (screen) : NULL;

  MsPalette *palette
      = ms_palette_present (GTK_WINDOW (widget), view ? GTK_WIDGET (view) : widget, ms_actions ());

  ms_slices_add_commands (ms_window_get_bench (MS_WINDOW (widget)), palette);
  ms_places_add_commands (ms_window_get_bench (MS_WINDOW (widget)), palette);
}

static void
open_shortcuts (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GtkWidget *shortcuts = ms_shortcuts_window_new (ms_actions ());

  gtk_window_set_transient_for (GTK_WINDOW (shortcuts), GTK_WINDOW (widget));
  gtk_window_present (GTK_WINDOW (shortcuts));
}

/* --- Installing ------------------------------------------------------------------------------- */

static void
on_activate (GSimpleAction *simple, GVariant *parameter, gpointer window)
{
  const MsAction *action = g_object_get_data (G_OBJECT (simple), "moescope-action");

  action->activate (window, action->name, parameter);
}

/* Of the rows whose name begins with prefix; window: what they get, NULL = none. */
static void
add_actions (GActionMap *map, const char *prefix, gpointer window)
{
  for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
    {
      const char *name = action->name + strlen (prefix);
      g_autoptr (GSimpleAction) simple = NULL;

      if (action->activate == NULL || !g_str_has_prefix (action->name, prefix)
          || g_action_map_lookup_action (map, name) != NULL)
        continue;
      simple = g_simple_action_new (name,
                                    action->parameter ? G_VARIANT_TYPE (action->parameter) : NULL);
      g_object_set_data (G_OBJECT (simple), "moescope-action", (gpointer) action);
      g_signal_connect (simple, "activate", G_CALLBACK (on_activate), window);
      g_action_map_add_action (map, G_ACTION (simple));
    }
}

void
ms_actions_install_application (GtkApplication *application)
{
  add_actions (G_ACTION_MAP (application), "app.", NULL);
  for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
    if (action->scope == MS_KEYS_GLOBAL && action->keys != NULL)
      {
        g_auto (GStrv) keys = g_strsplit (action->keys, " ", -1);
        g_autofree char *name = ms_action_detailed_name (action);

        gtk_application_set_accels_for_action (application, name, (const char *const *) keys);
      }
}

static gboolean
holds (MsWhen when, MsWorkbench *bench)
{
  gboolean back, forward;

  g_object_get (ms_workbench_get_session (bench), "can-go-back", &back, "can-go-forward", &forward,
                NULL);
  switch (when)
    {
    case MS_WHEN_FILE:
      return ms_workbench_get_state (bench) != MS_BENCH_EMPTY;
    case MS_WHEN_RUN:
      return ms_workbench_get_run (bench) != NULL;
    case MS_WHEN_RUNS:
      return g_list_model_get_n_items (ms_workbench_get_runs (bench)) > 1;
    case MS_WHEN_BASELINE:
      return ms_workbench_get_base (bench) != NULL;
    case MS_WHEN_PAST:
      return back;
    case MS_WHEN_FUTURE:
      return forward;
    case MS_WHEN_ALWAYS:
    default:
      return TRUE;
    }
}

static void
update_enabled (MsWindow *window)
{
  MsWorkbench *bench = ms_window_get_bench (window);

  for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
    if (action->activate != NULL && g_str_has_prefix (action->name, "win."))
      g_simple_action_set_enabled (G_SIMPLE_ACTION (g_action_map_lookup_action (
                                       G_ACTION_MAP (window), action->name + strlen ("win."))),
                                   holds (action->when, bench));
}

/* Escape and what the focused widget may want first: bubbling up, they come by the window last. */
static void
add_last_keys (GtkWidget *window)
{
  GtkEventController *controller = gtk_shortcut_controller_new ();

  for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
    if (action->scope == MS_KEYS_LAST)
      gtk_shortcut_controller_add_shortcut (
          GTK_SHORTCUT_CONTROLLER (controller),
          gtk_shortcut_new (gtk_shortcut_trigger_parse_string (action->keys),
                            gtk_named_action_new (action->name)));
  gtk_widget_add_controller (window, controller);
}

MsWindow *
ms_actions_new_window (GtkApplication *application)
{
  MsWindow *window = ms_window_new (application);
  MsWorkbench *bench = ms_window_get_bench (window);
  g_autoptr (GMenuModel) menu = ms_actions_make_menu (ms_actions (), "win.");

  add_actions (G_ACTION_MAP (window), "win.", window);
  add_last_keys (GTK_WIDGET (window));
  ms_window_set_menu (window, menu);
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (update_enabled), window,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text",
                           G_CALLBACK (update_enabled), window, G_CONNECT_SWAPPED);
  update_enabled (window);
  return window;
}
