/* moescope manual: commands and analyses as Markdown, read off their structs. */
#include "analysis.h"
#include "analysis-list.h"
#include "command.h"

static void
append_command (GString *out, const MsCommand *command)
{
  g_auto (GStrv) examples = g_strsplit (command->example, "\n", -1);
  g_autofree char *details = ms_command_details (command);

  g_string_append_printf (out, "\n### `%s`: %s\n\n    moescope %s %s\n", command->name,
                          command->summary, command->name, command->usage);
  if (*details != '\0')
    g_string_append_printf (out, "\n```text\n%s\n```\n", details);
  g_string_append (out, "\nExample:\n\n");
  for (guint i = 0; examples[i] != NULL; i++)
    g_string_append_printf (out, "    %s\n", g_strstrip (examples[i]));
}

static void
append_selection (GString *out)
{
  const char *name, *help;

  g_string_append (
      out,
      "\n## Selections\n\n"
      "`--select TEXT` says what to look at, and the window shows, copies and restores the same "
      "text: keys with values, `layer=4..8,12 lang=de,fr name=\"a b\"`.  Values of one key are "
      "alternatives, keys narrow each other.  `run=3 with=1,2` shows three runs together: tables "
      "get the first columns `run_id` and `run`; in figures runs are lines where a plot has none "
      "of its own, else panels.\n\n"
      "| Key | Meaning |\n|---|---|\n");
  for (guint i = 0; (name = ms_selection_key (i, &help)) != NULL; i++)
    g_string_append_printf (out, "| `%s` | %s |\n", name, help);
}

static MsExit
run (int argc, char **argv)
{
  g_autofree char *output = NULL;
  const GOptionEntry entries[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Write to FILE (default: stdout)",
      "FILE.md" },
    G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GString) out = g_string_new (NULL);
  GError *error = NULL;

  ms_command_parse (&ms_command_manual, entries, &argc, &argv);
  if (argc != 1)
    return ms_command_misuse (&ms_command_manual, "it takes no file");
  g_string_append (out, "# moescope " MS_VERSION "\n\n"
                        "## Commands\n\n"
                        "`moescope COMMAND --help` lists the options of a command.\n");
  for (const MsCommand *const *command = ms_commands (); *command != NULL; command++)
    append_command (out, *command);
  append_selection (out);
  g_string_append (
      out, "\n## Analyses\n\n"
           "Run them with `moescope analyze RUN.db NAME`, draw them with `moescope plot`.\n");
  ms_analysis_list_markdown (out);
  if (!ms_command_write (output, out->str, out->len, &error))
    return ms_command_fail (&ms_command_manual, error);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_manual = {
  .name = "manual",
  .usage = "[-o FILE.md]",
  .summary = "Write the manual: every command, analysis, parameter and column",
  .example = "moescope manual -o manual.md",
  .run = run,
};
