/* Lines that the program writes to its error stream are read in a worker until it ends. */
#include "process-private.h"

#include <gtk/gtk.h>
#include <json-glib/json-glib.h>
#include <signal.h>

typedef struct
{
  char **argv;
  char *output;
} Order;

static void
order_free (gpointer data)
{
  Order *order = data;

  g_strfreev (order->argv);
  g_free (order->output);
  g_free (order);
}

/* One line of progress, as `moescope collect --progress-json` writes them. */
static void
read_progress (MsWork *job, const char *line)
{
  g_autoptr (JsonNode) node = json_from_string (line, NULL);
  JsonObject *object;

  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
    return;
  object = json_node_get_object (node);
  if (json_object_has_member (object, "done"))
    ms_work_progress (json_object_get_double_member_with_default (object, "done", 0), job);
  if (json_object_has_member (object, "doing"))
    ms_work_set_message (job, json_object_get_string_member_with_default (object, "doing", NULL));
}

/* The program stops cleanly at SIGINT: what is recorded is kept. */
static void
on_cancelled (GCancellable *cancellable, gpointer process)
{
  g_subprocess_send_signal (process, SIGINT);
}

static gpointer
run_process (MsWork *job, gpointer data, GError **error)
{
  Order *order = data;
  g_autoptr (GSubprocess) process = g_subprocess_newv (
      (const char *const *) order->argv,
      G_SUBPROCESS_FLAGS_STDERR_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE, error);
  g_autoptr (GDataInputStream) lines = NULL;
  g_autofree char *last = NULL;
  gulong handler;
  char *line;

  if (process == NULL)
    return NULL;
  handler
      = g_cancellable_connect (ms_work_cancellable (job), G_CALLBACK (on_cancelled), process, NULL);
  lines = g_data_input_stream_new (g_subprocess_get_stderr_pipe (process));
  while ((line = g_data_input_stream_read_line_utf8 (lines, NULL, NULL, NULL)) != NULL)
    {
      if (*line == '{')
        {
          read_progress (job, line);
          g_free (line);
        }
      else
        {
          g_free (last);
          last = line;
        }
    }
  g_subprocess_wait (process, NULL, NULL);
  g_cancellable_disconnect (ms_work_cancellable (job), handler);
  /* Stopped by SIGINT or SIGTERM, the program has kept what was recorded until then. */
  if (!g_subprocess_get_successful (process)
      && !(g_subprocess_get_if_exited (process) && g_subprocess_get_exit_status (process) > 128))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED,
                           last ? last : _ ("The program ended without saying why"));
      return NULL;
    }
  return g_steal_pointer (&order->output);
}

char *
ms_process_program (void)
{
  const char *given = g_getenv ("MOESCOPE");
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *folder = self ? g_path_get_dirname (self) : NULL;
  g_autofree char *beside = folder ? g_build_filename (folder, "moescope", NULL) : NULL;

  if (given != NULL)
    return g_strdup (given);
  return beside && g_file_test (beside, G_FILE_TEST_IS_EXECUTABLE) ? g_steal_pointer (&beside)
                                                                   : g_strdup ("moescope");
}

void
ms_process_start (MsWorkbench *bench, const char *title, GStrv argv, const char *output,
                  MsWorkDone done, GObject *owner)
{
  Order *order = g_new0 (Order, 1);

  order->argv = argv;
  order->output = g_strdup (output);
  g_object_unref (
      ms_work_start (ms_workbench_get_jobs (bench), &(MsWorkSpec){ .title = title,
                                                                   .work = run_process,
                                                                   .data = order,
                                                                   .free_data = order_free,
                                                                   .free_result = g_free,
                                                                   .done = done,
                                                                   .owner = owner,
                                                                   .keep_failure = TRUE }));
}

void
ms_process_notify (const char *title, const char *path)
{
  GApplication *application = g_application_get_default ();
  GtkWindow *active;
  g_autoptr (GNotification) note = NULL;

  if (application == NULL || g_application_get_dbus_connection (application) == NULL)
    return;
  active = gtk_application_get_active_window (GTK_APPLICATION (application));
  if (active != NULL && gtk_window_is_active (active))
    return;
  note = g_notification_new (title);
  g_notification_set_body (note, path);
  g_application_send_notification (application, path, note);
}
