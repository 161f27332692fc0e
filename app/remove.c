/* `moescope remove`: takes one run out of a file, and what only that run had. */
#include "command.h"
#include "db.h"

#include <stdio.h>

static void
tell (const char *path, gint64 run, const MsRemoved *removed)
{
  g_autofree char *name = ms_text_printable (removed->name, -1);
  g_autoptr (GString) with = g_string_new (NULL);

  if (removed->results > 0)
    g_string_append_printf (with, ", %" G_GINT64_FORMAT " stored %s", removed->results,
                            removed->results == 1 ? "result" : "results");
  if (removed->corpus)
    g_string_append (with, ", its corpus");
  if (removed->model)
    g_string_append (with, ", its model");
  printf ("removed run %" G_GINT64_FORMAT " (%s, %" G_GINT64_FORMAT " %s)%s from %s\n", run, name,
          removed->blocks, removed->blocks == 1 ? "block" : "blocks", with->str, path);
}

static MsExit
run (int argc, char **argv)
{
  gint64 number = 0;
  const GOptionEntry entries[] = { { "run", 0, 0, G_OPTION_ARG_INT64, &number,
                                     "Which run; `moescope info` lists them", "N" },
                                   { 0 } };
  g_autoptr (MsDb) db = NULL;
  MsRemoved removed;
  GError *error = NULL;

  ms_command_parse (&ms_command_remove, entries, &argc, &argv);
  if (argc != 2)
    return ms_command_misuse (&ms_command_remove, "give one file");
  if (number < 1)
    return ms_command_misuse (&ms_command_remove, "say which run with --run N");
  db = ms_db_open (argv[1], MS_DB_WRITE, &error);
  if (db == NULL || !ms_db_remove_run (db, number, &removed, &error))
    return ms_command_fail (&ms_command_remove, error);
  tell (argv[1], number, &removed);
  g_free (removed.name);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_remove = {
  .name = "remove",
  .usage = "RUN.db --run N",
  .summary = "Remove a run from a file",
  .details
  = "Removes the run with its stored results, and its corpus and its model when no other run has\n"
    "them, at once and without asking.  A run that is being written is refused.  The file keeps\n"
    "its size: what is written next takes the room.",
  .example = "moescope remove run.db --run 2",
  .run = run,
};
