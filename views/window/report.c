/* A report is what `moescope report` writes about the run and selection of now, against the baseline. */
#include "report-private.h"

#include "process-private.h"

static void
on_written (GObject *owner, gpointer result, const GError *error)
{
  g_autofree char *path = result;

  if (path == NULL)
    return; /* the job list tells why */
  ms_workbench_toast (MS_WORKBENCH (owner), _ ("Report written: %s"), path);
  ms_process_notify (_ ("The report is ready"), path);
}

static void
add_run (GPtrArray *argv, const char *option, const char *file, gint64 run)
{
  g_ptr_array_add (argv, g_strdup (option));
  g_ptr_array_add (argv, file ? g_strdup_printf ("%s#%" G_GINT64_FORMAT, file, run)
                              : g_strdup_printf ("%" G_GINT64_FORMAT, run));
}

static void
write_report (MsWorkbench *bench, const char *path)
{
  g_auto (GStrv) parts = ms_session_list_parts (ms_workbench_get_session (bench));
  g_autofree char *select = g_strjoinv (" ", parts);
  MsRunItem *run = ms_workbench_get_run (bench), *base = ms_workbench_get_base (bench);
  GPtrArray *argv = g_ptr_array_new ();
  const char *file = ms_workbench_get_path (bench);

  g_ptr_array_add (argv, ms_process_program ());
  g_ptr_array_add (argv, g_strdup ("report"));
  g_ptr_array_add (argv, g_strdup (file));
  g_ptr_array_add (argv, g_strdup ("-o"));
  g_ptr_array_add (argv, g_strdup (path));
  add_run (argv, "--run", NULL, ms_run_item_run (run)->id);
  if (base != NULL)
    add_run (argv, "--compare", file, ms_run_item_run (base)->id);
  if (*select != '\0')
    {
      g_ptr_array_add (argv, g_strdup ("--select"));
      g_ptr_array_add (argv, g_strdup (select));
    }
  g_ptr_array_add (argv, NULL);
  ms_process_start (bench, _ ("Writing a Report"), (GStrv) g_ptr_array_free (argv, FALSE), path,
                    on_written, G_OBJECT (bench));
}

static void
on_write_report (GSimpleAction *action, GVariant *parameter, gpointer window)
{
  MsWorkbench *bench = ms_window_get_bench (window);

  if (ms_workbench_get_run (bench) != NULL)
    write_report (bench, g_variant_get_string (parameter, NULL));
}

static void
on_response (GtkNativeDialog *dialog, int response, gpointer window)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
      g_autofree char *path = g_file_get_path (file);

      if (path != NULL)
        gtk_widget_activate_action (window, "win.write-report", "s", path);
    }
  g_object_unref (dialog);
}

static void
on_report (GSimpleAction *action, GVariant *parameter, gpointer window)
{
  MsWorkbench *bench = ms_window_get_bench (window);
  GtkFileChooserNative *chooser;

  if (ms_workbench_get_run (bench) == NULL)
    {
      ms_workbench_toast (bench, _ ("There is no run to write about"));
      return;
    }
  chooser = gtk_file_chooser_native_new (_ ("Write a Report"), window, GTK_FILE_CHOOSER_ACTION_SAVE,
                                         _ ("_Write"), NULL);
  /* The ending is the format: .html, .md or .json. */
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (chooser), "report.html");
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  g_signal_connect (chooser, "response", G_CALLBACK (on_response), window);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

void
ms_report_install (MsWindow *window)
{
  static const GActionEntry entries[] = {
    { .name = "report", .activate = on_report },
    { .name = "write-report", .activate = on_write_report, .parameter_type = "s" },
  };

  g_action_map_add_action_entries (G_ACTION_MAP (window), entries, G_N_ELEMENTS (entries), window);
}
