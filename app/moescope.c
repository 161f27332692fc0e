/* The command line: dispatches to the commands of command.h and holds what they share. */
#include "command.h"

#include "base.h"

#include <errno.h>
#include <gio/gunixoutputstream.h>
#include <locale.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off: one to a line, so that lines can be added from several sides */
static const MsCommand *const commands[] = {
  &ms_command_collect,  &ms_command_import,
  &ms_command_info,     &ms_command_check,
  &ms_command_analyze,  &ms_command_plot,
  &ms_command_report,   &ms_command_export,
  &ms_command_sql,      &ms_command_remove,
  &ms_command_tokenize, &ms_command_train,
  &ms_command_manual,   NULL,
};
/* clang-format on */

static char *command_line;
static char **words; /* of the command line, (n_words) */
static int n_words;
static GCancellable *cancellable;
static gboolean progress_shown;

const MsCommand *const *
ms_commands (void)
{
  return commands;
}

static void
print_help (FILE *out)
{
  fputs ("Usage: moescope COMMAND [OPTION...] [ARGUMENT...]\n\n"
         "Profiles and analyses the routing of Mixture-of-Experts models.\n\nCommands:\n",
         out);
  for (guint i = 0; commands[i] != NULL; i++)
    fprintf (out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
  fputs ("\n`moescope COMMAND --help` explains a command and shows an example.\n"
         "`moescope analyze --list` lists the analyses.\n",
         out);
}

char *
ms_command_details (const MsCommand *command)
{
  g_autofree char *made = command->describe != NULL ? command->describe () : NULL;

  return g_strconcat (command->details != NULL ? command->details : "", made != NULL ? made : "",
                      NULL);
}

void
ms_command_parse (const MsCommand *command, const GOptionEntry *entries, int *argc, char ***argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (command->usage);
  g_autofree char *details = ms_command_details (command);
  g_autofree char *description = g_strdup_printf ("%s%sExample:\n  %s\n", details,
                                                  *details != '\0' ? "\n\n" : "", command->example);
  g_autofree char *program = g_strconcat ("moescope ", command->name, NULL);
  g_autoptr (GError) error = NULL;

  g_set_prgname (program);
  g_option_context_set_summary (context, command->summary);
  g_option_context_set_description (context, description);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, &error))
    exit (ms_command_misuse (command, "%s", error->message));
}

MsExit
ms_command_fail (const MsCommand *command, GError *error)
{
  g_autofree char *message = ms_text_printable (error->message, -1);

  ms_command_progress (NULL);
  fprintf (stderr, "moescope %s: %s\n", command->name, message);
  g_error_free (error);
  return MS_EXIT_FAILED;
}

MsExit
ms_command_misuse (const MsCommand *command, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  ms_text_make_printable (&message);
  fprintf (stderr, "moescope %s: %s\nUsage: moescope %s %s\nMore: moescope %s --help\n",
           command->name, message, command->name, command->usage, command->name);
  return MS_EXIT_USAGE;
}

#define GRACE_USEC 700000 /* for what is under way to end by itself */

static sem_t stop_asked;
static volatile sig_atomic_t stop_signal; /* SIGINT or SIGTERM once one has come, else 0 */

/* Not sigwait: threads that a library started before main would take the signal and end the program. */
static void
ask_to_stop (int number)
{
  if (stop_signal != 0)
    _exit (128 + number);
  stop_signal = number;
  sem_post (&stop_asked);
}

static gpointer
wait_for_stop (gpointer data)
{
  while (sem_wait (&stop_asked) != 0)
    ;
  g_cancellable_cancel (cancellable);
  if (GPOINTER_TO_INT (data) == MS_STOP_AT_ONCE)
    {
      g_usleep (GRACE_USEC);
      ms_streams_abandon ();
      _exit (128 + stop_signal);
    }
  return NULL;
}

GCancellable *
ms_command_cancellable (MsStop stop)
{
  if (cancellable == NULL)
    {
      struct sigaction action = { .sa_handler = ask_to_stop, .sa_flags = SA_RESTART };

      cancellable = g_cancellable_new ();
      sem_init (&stop_asked, 0, 0);
      g_thread_unref (g_thread_new ("signals", wait_for_stop, GINT_TO_POINTER (stop)));
      sigaction (SIGINT, &action, NULL);
      sigaction (SIGTERM, &action, NULL);
    }
  return cancellable;
}

const char *
ms_command_line (void)
{
  return command_line;
}

void
ms_command_progress (const char *raw)
{
  g_autofree char *line = raw != NULL ? ms_text_printable (raw, -1) : NULL;

  if (!isatty (STDERR_FILENO))
    {
      static gint64 last;
      gint64 now = g_get_monotonic_time ();

      if (last == 0)
        last = now;
      if (line == NULL || now - last < G_USEC_PER_SEC * 60)
        return;
      fprintf (stderr, "%s\n", line);
      last = now;
      return;
    }
  if (line != NULL)
    fprintf (stderr, "\r\033[K%s", line);
  else if (progress_shown)
    fputs ("\r\033[K", stderr);
  progress_shown = line != NULL;
}

/* How many words of the command line, or what follows '=' or precedes '#' in them, name the same file as
 * `path`. */
static guint
times_named (const char *path)
{
  guint n = 0;
  struct stat wanted, found;

  if (stat (path, &wanted) != 0)
    return 0;
  for (int i = 1; i < n_words; i++)
    {
      const char *equals = strchr (words[i], '=');
      g_autofree char *word = g_strdup (equals != NULL ? equals + 1 : words[i]);
      char *run = strrchr (word, '#');

      if (run != NULL)
        *run = '\0';
      n += (stat (words[i], &found) == 0 || stat (word, &found) == 0)
           && found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino;
    }
  return n;
}

GOutputStream *
ms_command_output (const char *path, GError **error)
{
  g_autoptr (GFile) file = NULL;

  if (path == NULL || strcmp (path, "-") == 0)
    return g_unix_output_stream_new (STDOUT_FILENO, FALSE);
  file = g_file_new_for_commandline_arg (path);
  /* A device or pipe such as /dev/null cannot be replaced. */
  if (g_file_test (path, G_FILE_TEST_EXISTS) && !g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return G_OUTPUT_STREAM (g_file_append_to (file, G_FILE_CREATE_NONE, NULL, error));
  if (times_named (path) > 1)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                   "%s is read by this command and is not replaced: choose another output", path);
      return NULL;
    }
  return ms_stream_replace (path, error);
}

gboolean
ms_command_write (const char *path, const char *data, gsize size, GError **error)
{
  g_autoptr (GOutputStream) stream = ms_command_output (path, error);

  return stream != NULL
         && ms_stream_close (
             stream, g_output_stream_write_all (stream, data, size, NULL, NULL, error), error);
}

/* The exit status of a command that returned `status`: what it printed must have arrived, and a command
 * that a signal ended says so as a shell does. */
static int
finish (const char *name, MsExit status)
{
  gboolean failed = ferror (stdout) != 0;

  if (fflush (stdout) != 0 || failed)
    {
      fprintf (stderr, "moescope%s%s: cannot write to standard output: %s\n",
               name != NULL ? " " : "", name != NULL ? name : "", g_strerror (errno));
      status = status == MS_EXIT_FINE ? MS_EXIT_FAILED : status;
    }
  return stop_signal != 0 ? 128 + stop_signal : (int) status;
}

static MsExit
unknown_command (const char *word)
{
  g_autofree char *shown = ms_text_printable (word, -1);
  const char *names[G_N_ELEMENTS (commands)] = { NULL };
  const char *nearest;

  for (guint i = 0; commands[i] != NULL; i++)
    names[i] = commands[i]->name;
  nearest = ms_text_nearest (word, names);
  if (nearest != NULL)
    fprintf (stderr, "moescope: there is no command '%s'; did you mean %s?\n", shown, nearest);
  else
    fprintf (stderr, "moescope: there is no command '%s'; see moescope --help\n", shown);
  return MS_EXIT_USAGE;
}

int
main (int argc, char **argv)
{
  g_auto (GStrv) quoted = g_new0 (char *, (gsize) argc + 1);

  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C");
  for (int i = 0; i < argc; i++)
    quoted[i] = ms_word_quote (i == 0 ? "moescope" : argv[i]);
  command_line = g_strjoinv (" ", quoted);
  words = g_memdup2 (argv, (gsize) argc * sizeof *argv); /* options are taken out of argv */
  n_words = argc;

  if (argc < 2)
    {
      print_help (stderr);
      return MS_EXIT_USAGE;
    }
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0
      || strcmp (argv[1], "help") == 0)
    {
      print_help (stdout);
      return finish (NULL, MS_EXIT_FINE);
    }
  if (strcmp (argv[1], "--version") == 0)
    {
      puts ("moescope " MS_VERSION);
      return finish (NULL, MS_EXIT_FINE);
    }
  for (guint i = 0; commands[i] != NULL; i++)
    if (strcmp (commands[i]->name, argv[1]) == 0)
      return finish (commands[i]->name, commands[i]->run (argc - 1, argv + 1));
  return unknown_command (argv[1]);
}
