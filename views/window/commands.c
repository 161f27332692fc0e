/* What the actions of a window do.  Commands know the window by what it offers and the screens by name; how
 * they are reached, by menus and keys, is said in the table of actions. */
#include "commands-private.h"

#include "analyses-screen-private.h"
#include "cache-screen-private.h"
#include "collect-dialog-private.h"
#include "experts-screen-private.h"
#include "figure-view-private.h"
#include "languages-screen-private.h"
#include "pieces-private.h"
#include "report-private.h"
#include "slices-private.h"
#include "sql-screen-private.h"
#include "start-page-private.h"
#include "window-private.h"

#include <string.h>

static MsWorkbench *
bench_of (GtkWidget *widget)
{
  return ms_window_get_bench (MS_WINDOW (widget));
}

/* --- Files ------------------------------------------------------------------------------------ */

static void
open_path (GtkWidget *widget, const char *path)
{
  if (g_str_has_suffix (path, ".gguf"))
    ms_collect_dialog_present (GTK_WINDOW (widget), bench_of (widget), MS_COLLECT_MODEL, path);
  else if (g_str_has_suffix (path, ".db") || g_str_has_suffix (path, ".sqlite")
           || !ms_collect_is_trace (path))
    ms_workbench_open (bench_of (widget), path);
  else
    ms_collect_dialog_present (GTK_WINDOW (widget), bench_of (widget), MS_COLLECT_IMPORT, path);
}

void
ms_command_open_path (GtkWidget *widget, const char *name, GVariant *parameter)
{
  open_path (widget, g_variant_get_string (parameter, NULL));
}

static void
on_open_response (GtkNativeDialog *dialog, int response, gpointer widget)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
      g_autofree char *path = g_file_get_path (file);

      if (path != NULL)
        open_path (widget, path);
    }
  g_object_unref (dialog);
}

void
ms_command_open (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GtkFileChooserNative *chooser = gtk_file_chooser_native_new (
      _ ("Open a Database"), GTK_WINDOW (widget), GTK_FILE_CHOOSER_ACTION_OPEN, _ ("_Open"), NULL);
  GtkFileFilter *ours = gtk_file_filter_new ();
  GtkFileFilter *all = gtk_file_filter_new ();

  gtk_file_filter_set_name (ours, _ ("Databases and models"));
  gtk_file_filter_add_suffix (ours, "db");
  gtk_file_filter_add_suffix (ours, "sqlite");
  gtk_file_filter_add_suffix (ours, "gguf");
  gtk_file_filter_set_name (all, _ ("All files"));
  gtk_file_filter_add_pattern (all, "*");
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (chooser), ours);
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (chooser), all);
  g_object_unref (ours);
  g_object_unref (all);
  g_signal_connect (chooser, "response", G_CALLBACK (on_open_response), widget);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

void
ms_command_open_sample (GtkWidget *widget, const char *name, GVariant *parameter)
{
  g_autofree char *path = ms_sample_path ();

  if (path == NULL)
    ms_workbench_toast (bench_of (widget), _ ("The sample is not installed."));
  else
    ms_workbench_open (bench_of (widget), path);
}

void
ms_command_collect (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_collect_dialog_present (GTK_WINDOW (widget), bench_of (widget), MS_COLLECT_MODEL, NULL);
}

void
ms_command_import (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_collect_dialog_present (GTK_WINDOW (widget), bench_of (widget), MS_COLLECT_IMPORT, NULL);
}

/* The figure that window-wide figure actions mean. */
static MsFigureView *
current_figure (GtkWidget *widget)
{
  GtkWidget *screen = ms_window_get_shown (MS_WINDOW (widget));
  MsFigureView *view = screen ? ms_figure_view_find (screen) : NULL;

  if (view == NULL)
    ms_workbench_toast (bench_of (widget), _ ("There is no figure on this screen"));
  return view;
}

/* Actions of the window that mean the current figure do its own of another name. */
void
ms_command_figure (GtkWidget *widget, const char *name, GVariant *parameter)
{
  static const char *const names[][2] = { { "win.export", "figure.export" },
                                          { "win.report-figure", "figure.report" },
                                          { "win.figure-table", "figure.table" } };
  MsFigureView *view = current_figure (widget);

  for (guint i = 0; view != NULL && i < G_N_ELEMENTS (names); i++)
    if (strcmp (name, names[i][0]) == 0)
      gtk_widget_activate_action (GTK_WIDGET (view), names[i][1], NULL);
}

void
ms_command_focus_figure (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *view = current_figure (widget);

  if (view != NULL)
    gtk_widget_grab_focus (GTK_WIDGET (ms_figure_view_get_canvas (view)));
}

void
ms_command_close_file (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_window_save_state (MS_WINDOW (widget));
  ms_workbench_close (bench_of (widget));
}

void
ms_command_refresh (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GtkWidget *screen = ms_window_get_shown (MS_WINDOW (widget));

  ms_workbench_refresh (bench_of (widget));
  if (MS_IS_SCREEN (screen))
    ms_screen_update_now (MS_SCREEN (screen));
}

void
ms_command_screen (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_window_show_screen (MS_WINDOW (widget), g_variant_get_string (parameter, NULL));
}

/* Selects a place given in text form and shows a screen, "" = the one that is shown. */
void
ms_command_place (GtkWidget *widget, const char *name, GVariant *parameter)
{
  const char *place, *screen;
  g_autoptr (GError) error = NULL;

  g_variant_get (parameter, "(&s&s)", &place, &screen);
  if (!ms_session_jump (ms_workbench_get_session (bench_of (widget)), place, &error))
    ms_workbench_toast (bench_of (widget), "%s", error->message);
  else if (*screen != '\0')
    ms_window_show_screen (MS_WINDOW (widget), screen);
}

void
ms_command_run (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_session_set_run (ms_workbench_get_session (bench_of (widget)),
                      g_variant_get_int64 (parameter));
}

/* Shows one of the analyses by its name. */
void
ms_command_analysis (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_window_show_screen (MS_WINDOW (widget), "analyses");
  ms_analyses_screen_choose (
      MS_ANALYSES_SCREEN (ms_window_get_screen (MS_WINDOW (widget), "analyses")),
      g_variant_get_string (parameter, NULL));
}

/* Shows which experts are specialised on a value of a label. */
void
ms_command_specialists (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsSession *session = ms_workbench_get_session (bench_of (widget));
  const char *label, *value;

  g_variant_get (parameter, "(&s&s)", &label, &value);
  /* The group is told from the others, which a filter on it would leave out. */
  ms_session_clear (session, strcmp (label, "language") == 0 ? "lang" : label);
  ms_window_show_screen (MS_WINDOW (widget), "languages");
  ms_languages_screen_show_specialists (
      MS_LANGUAGES_SCREEN (ms_window_get_screen (MS_WINDOW (widget), "languages")), label, value);
}

/* Shows how the session's run differs from another one, its baseline from now on. */
void
ms_command_compare_with (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_session_set_base (ms_workbench_get_session (bench_of (widget)),
                       g_variant_get_int64 (parameter));
  ms_window_show_screen (MS_WINDOW (widget), "compare");
  ms_analysis_screen_show_tab (
      MS_ANALYSIS_SCREEN (ms_window_get_screen (MS_WINDOW (widget), "compare")), 0);
}

/* Shows the cache simulator with its settings as at first and at "half" of the memory, which the overview
 * tells of. */
void
ms_command_cache (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_window_show_screen (MS_WINDOW (widget), "cache");
  ms_cache_screen_show_half (MS_CACHE_SCREEN (ms_window_get_screen (MS_WINDOW (widget), "cache")));
}

/* Shows the map of experts, coloured by a measure. */
void
ms_command_map (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_window_show_screen (MS_WINDOW (widget), "experts");
  ms_experts_screen_colour_by (
      MS_EXPERTS_SCREEN (ms_window_get_screen (MS_WINDOW (widget), "experts")),
      g_variant_get_string (parameter, NULL));
}

/* Opens the console with a statement, which may take long and so is not run yet. */
void
ms_command_sql (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_window_show_screen (MS_WINDOW (widget), "sql");
  ms_sql_screen_set_text (MS_SQL_SCREEN (ms_window_get_screen (MS_WINDOW (widget), "sql")),
                          g_variant_get_string (parameter, NULL));
}

void
ms_command_back (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_session_go (ms_workbench_get_session (bench_of (widget)), -1);
}

void
ms_command_forward (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_session_go (ms_workbench_get_session (bench_of (widget)), 1);
}

/* Stops what takes long; with nothing to stop, clears the selection. */
void
ms_command_clear_selection (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GListModel *jobs = G_LIST_MODEL (ms_workbench_get_jobs (bench_of (widget)));
  gboolean stopped = FALSE;

  for (guint i = g_list_model_get_n_items (jobs); i > 0; i--)
    {
      g_autoptr (MsWork) job = g_list_model_get_item (jobs, i - 1);

      if (ms_work_get_state (job) == MS_WORK_RUNNING && ms_work_get_seconds (job) > 1)
        {
          ms_work_stop (job);
          stopped = TRUE;
        }
    }
  if (!stopped)
    ms_session_clear (ms_workbench_get_session (bench_of (widget)), NULL);
}

void
ms_command_clear_all (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_session_set_text (ms_workbench_get_session (bench_of (widget)), "", NULL);
}

void
ms_command_copy_selection (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsSession *session = ms_workbench_get_session (bench_of (widget));

  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), ms_session_get_text (session));
  ms_workbench_toast (bench_of (widget), _ ("Selection copied"));
}

static void
on_selection_entered (AdwMessageDialog *dialog, const char *response, gpointer widget)
{
  GtkWidget *entry = adw_message_dialog_get_extra_child (dialog);
  g_autoptr (GError) error = NULL;

  if (strcmp (response, "apply") == 0
      && !ms_session_set_text (ms_workbench_get_session (bench_of (widget)),
                               gtk_editable_get_text (GTK_EDITABLE (entry)), &error))
    ms_workbench_toast (bench_of (widget), "%s", error->message);
}

void
ms_command_edit_selection (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GtkWidget *dialog = adw_message_dialog_new (GTK_WINDOW (widget), _ ("Selection"),
                                              _ ("For example: with=2,3 layer=4..8 expert=17,23 "
                                                 "lang=de domain=code doc=12 token=4097..5000"));
  GtkWidget *entry = gtk_entry_new ();

  gtk_editable_set_text (GTK_EDITABLE (entry),
                         ms_session_get_text (ms_workbench_get_session (bench_of (widget))));
  gtk_entry_set_activates_default (GTK_ENTRY (entry), TRUE);
  gtk_accessible_update_property (GTK_ACCESSIBLE (entry), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Selection"), -1);
  adw_message_dialog_set_extra_child (ADW_MESSAGE_DIALOG (dialog), entry);
  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "cancel", _ ("_Cancel"), "apply",
                                    _ ("_Select"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "apply",
                                              ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "apply");
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "cancel");
  g_signal_connect_object (dialog, "response", G_CALLBACK (on_selection_entered), widget, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

void
ms_command_make_baseline (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsRunItem *run = ms_workbench_get_run (bench_of (widget));

  if (run == NULL)
    return;
  ms_session_set_base (ms_workbench_get_session (bench_of (widget)), ms_run_item_run (run)->id);
  ms_workbench_toast (bench_of (widget), _ ("This run is the baseline now"));
}

/* The newest run before the session's, or any other, becomes the baseline. */
void
ms_command_pick_baseline (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GListModel *runs = ms_workbench_get_runs (bench_of (widget));
  MsRunItem *run = ms_workbench_get_run (bench_of (widget));
  gint64 base = 0;

  for (guint i = g_list_model_get_n_items (runs); run != NULL && i > 0; i--)
    {
      g_autoptr (MsRunItem) item = g_list_model_get_item (runs, i - 1);
      gint64 id = ms_run_item_run (item)->id;

      if (id != ms_run_item_run (run)->id && (base == 0 || id < ms_run_item_run (run)->id))
        base = id;
    }
  if (base > 0)
    ms_session_set_base (ms_workbench_get_session (bench_of (widget)), base);
}

/* The session's run against its baseline, or if none is pinned against the run before. */
void
ms_command_compare (GtkWidget *widget, const char *name, GVariant *parameter)
{
  if (ms_workbench_get_base (bench_of (widget)) == NULL)
    ms_command_pick_baseline (widget, name, NULL);
  gtk_widget_activate_action (widget, "win.screen", "s", "compare");
}

void
ms_command_clear_baseline (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_session_set_base (ms_workbench_get_session (bench_of (widget)), 0);
}

static GtkWidget *
find_search (GtkWidget *root)
{
  if (GTK_IS_SEARCH_ENTRY (root))
    return root;
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    if (gtk_widget_get_mapped (child))
      {
        GtkWidget *found = find_search (child);

        if (found != NULL)
          return found;
      }
  return NULL;
}

void
ms_command_search (GtkWidget *widget, const char *name, GVariant *parameter)
{
  GtkWidget *screen = ms_window_get_shown (MS_WINDOW (widget));
  GtkWidget *entry = screen ? find_search (screen) : NULL;

  if (entry != NULL)
    gtk_widget_grab_focus (entry);
  else
    gtk_widget_activate_action (widget, "win.palette", NULL);
}

void
ms_command_menu (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_window_open_menu (MS_WINDOW (widget));
}

void
ms_command_pane (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_window_toggle_pane (MS_WINDOW (widget), strcmp (name, "win.left-pane") == 0);
}

void
ms_command_fullscreen (GtkWidget *widget, const char *name, GVariant *parameter)
{
  if (gtk_window_is_fullscreen (GTK_WINDOW (widget)))
    gtk_window_unfullscreen (GTK_WINDOW (widget));
  else
    gtk_window_fullscreen (GTK_WINDOW (widget));
}

void
ms_command_help (GtkWidget *widget, const char *name, GVariant *parameter)
{
  const MsScreenInfo *info = ms_screen_find (ms_window_get_screen_name (MS_WINDOW (widget)));
  GtkWidget *dialog;

  if (ms_workbench_get_state (bench_of (widget)) == MS_BENCH_EMPTY || info == NULL)
    dialog = adw_message_dialog_new (
        GTK_WINDOW (widget), "moescope",
        _ ("Open a database that “moescope collect” or “moescope import” made, or collect one here "
           "from a model and texts. Everything can be reached from the command palette (Ctrl+K)."));
  else
    dialog = adw_message_dialog_new (GTK_WINDOW (widget), _ (info->title), _ (info->help));
  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "close", _ ("_Close"));
  gtk_window_present (GTK_WINDOW (dialog));
}

void
ms_command_about (GtkWidget *widget, const char *name, GVariant *parameter)
{
  adw_show_about_window (GTK_WINDOW (widget), "application-name", "moescope", "application-icon",
                         "org.moescope.Moescope", "version", MS_VERSION, "comments",
                         _ ("Profiling and routing analysis for mixture-of-experts models"),
                         "license-type", GTK_LICENSE_MIT_X11, NULL);
}

/* --- Slices and reports ----------------------------------------------------------------------- */

void
ms_command_save_slice (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_slices_save (GTK_WINDOW (widget), bench_of (widget));
}

void
ms_command_slice (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_slices_select (bench_of (widget), g_variant_get_string (parameter, NULL));
}

void
ms_command_forget_slice (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ms_slices_forget (bench_of (widget), g_variant_get_string (parameter, NULL));
}

void
ms_command_report (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsWorkbench *bench = bench_of (widget);

  if (ms_workbench_get_run (bench) != NULL)
    ms_report_dialog_present (GTK_WINDOW (widget), bench);
  else
    ms_workbench_toast (bench, _ ("There is no run to write about"));
}

void
ms_command_write_report (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsWorkbench *bench = bench_of (widget);

  if (ms_workbench_get_run (bench) != NULL)
    ms_report_write (bench, g_variant_get_string (parameter, NULL), TRUE);
}

void
ms_command_add_section (GtkWidget *widget, const char *name, GVariant *parameter)
{
  const char *analysis, *plot, *words;

  g_variant_get (parameter, "(&s&s&s)", &analysis, &plot, &words);
  ms_report_add (bench_of (widget), analysis, plot, words);
}
