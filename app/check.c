/* `moescope check`: is the file whole?  One line per finding; the exit status tells. */
#include "command.h"
#include "db.h"

#include <stdio.h>
#include <string.h>

/* Messages about damage advise to run this command: here that helps nobody. */
static char *
without_advice (const char *message)
{
  const char *advice = strstr (message, "; `moescope check`");

  return advice != NULL ? g_strndup (message, (gsize) (advice - message)) : g_strdup (message);
}

static void
print_finding (gboolean bad, const char *finding, gpointer data)
{
  g_autofree char *text = without_advice (finding);

  (void) data;
  ms_text_make_printable (&text);
  printf ("%s: %s\n", bad ? "fault" : "note", text);
}

/* Takes error. */
static MsExit
fail (GError *error)
{
  g_autofree char *text = without_advice (error->message);

  if (g_error_matches (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT))
    {
      g_free (error->message);
      error->message
          = g_strconcat (text, "; nothing more can be told: use a copy, or collect anew", NULL);
    }
  return ms_command_fail (&ms_command_check, error);
}

static MsExit
run (int argc, char **argv)
{
  const GOptionEntry entries[] = { { 0 } };
  g_autoptr (MsDb) db = NULL;
  GError *error = NULL;
  guint n_bad = 0;

  ms_command_parse (&ms_command_check, entries, &argc, &argv);
  if (argc != 2)
    return ms_command_misuse (&ms_command_check, "give one file");
  db = ms_db_open (argv[1], MS_DB_READ, &error);
  if (db == NULL || !ms_db_check (db, print_finding, NULL, &n_bad, &error))
    return fail (error);
  if (n_bad > 0)
    {
      fprintf (stderr, "moescope check: %s has %u %s\n", argv[1], n_bad,
               n_bad == 1 ? "fault" : "faults");
      return MS_EXIT_FAILED;
    }
  printf ("%s is fine\n", argv[1]);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_check = {
  .name = "check",
  .usage = "RUN.db",
  .summary = "Check that a file is whole: structure, checksums, every decision",
  .details = "Prints one line per finding: 'fault' for damage, 'note' for what is worth knowing.\n"
             "Exits with 1 when there is a fault.",
  .example = "moescope check run.db",
  .run = run,
};
