/* `moescope check`: is the file whole?  One line per finding; the exit status tells. */
#include "analysis.h"
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

/* What the decisions of a whole file say against their reading. */
static gboolean
print_doubts (MsDb *db, const char *path, GError **error)
{
  g_autoptr (GPtrArray) runs = ms_db_list_runs (db, error);

  for (guint i = 0; runs != NULL && i < runs->len; i++)
    {
      const MsRun *run = runs->pdata[i];
      g_autoptr (MsTrace) trace = NULL;
      g_autoptr (GPtrArray) doubts = NULL;

      if (run->n_tokens == 0) /* nothing recorded, or damaged and told before */
        continue;
      if ((trace = ms_trace_open (path, run->id, NULL, error)) == NULL
          || (doubts = ms_trace_doubts (trace, NULL, error)) == NULL)
        return FALSE;
      for (guint d = 0; d < doubts->len; d++)
        printf ("note: run %" G_GINT64_FORMAT ": %s\n", run->id, (char *) doubts->pdata[d]);
    }
  return runs != NULL;
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
  if (!print_doubts (db, argv[1], &error))
    return fail (error);
  printf ("%s is fine\n", argv[1]);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_check = {
  .name = "check",
  .usage = "RUN.db",
  .summary = "Check that a file is whole: structure, checksums, every decision",
  .details
  = "Prints one line per finding: 'fault' for damage, 'note' for what is worth knowing, also\n"
    "of the decisions themselves: exact ties, copies of documents, weights that are none.\n"
    "Exits with 1 when there is a fault.",
  .example = "moescope check run.db",
  .run = run,
};
