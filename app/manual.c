/* moescope manual: commands and analyses as Markdown, and the page for man, read off their structs.
 *
 * What must hold: the page lists the options that the program takes, since it is the program that is asked. */
#include "analysis.h"
#include "analysis-list.h"
#include "command.h"

#include <string.h>

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

static void
append_markdown (GString *out)
{
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
}

/* --- The page for man ------------------------------------------------------------------------ */

/* Text in roff: backslashes and hyphens keep their meaning, no line begins a request. */
static void
append_roff (GString *out, const char *text)
{
  for (const char *c = text; *c != '\0'; c++)
    {
      if ((*c == '.' || *c == '\'') && (c == text || c[-1] == '\n'))
        g_string_append (out, "\\&");
      if (*c == '\\' || *c == '-')
        g_string_append_c (out, '\\');
      g_string_append (out, *c == '\\' ? "e" : (const char[]){ *c, '\0' });
    }
}

/* Without filling: what stands in columns stays so. */
static void
append_roff_block (GString *out, const char *text)
{
  g_string_append (out, ".nf\n");
  append_roff (out, text);
  g_string_append (out, g_str_has_suffix (text, "\n") ? ".fi\n" : "\n.fi\n");
}

/* What `moescope COMMAND --help` prints of its options.  (transfer full) */
static char *
ask_options (const MsCommand *command, GError **error)
{
  const char *const argv[] = { "/proc/self/exe", command->name, "--help", NULL };
  g_autofree char *help = NULL;
  char *start, *end;

  if (!g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &help, NULL, NULL,
                     error))
    return NULL;
  start = strstr (help, "\nApplication Options:\n");
  if (start == NULL)
    return g_strdup ("");
  start += strlen ("\nApplication Options:\n");
  if ((end = strstr (start, "\n\n")) != NULL)
    *end = '\0';
  return g_strdup (start);
}

static gboolean
append_man_command (GString *out, const MsCommand *command, GError **error)
{
  g_autofree char *options = ask_options (command, error);
  g_autofree char *details = ms_command_details (command);

  if (options == NULL)
    return FALSE;
  g_string_append (out, ".SS ");
  append_roff (out, command->name);
  g_string_append (out, "\n");
  append_roff (out, command->summary);
  g_string_append (out, ".\n.PP\n.B moescope\n");
  append_roff (out, command->name);
  g_string_append_c (out, ' ');
  append_roff (out, command->usage);
  g_string_append (out, "\n.PP\n");
  append_roff_block (out, options);
  if (*details != '\0')
    {
      g_string_append (out, ".PP\n");
      append_roff_block (out, details);
    }
  g_string_append (out, ".PP\nExample:\n.PP\n");
  append_roff_block (out, command->example);
  return TRUE;
}

static gboolean
append_man (GString *out, GError **error)
{
  const MsAnalysis *const *all = ms_analyses ();

  g_string_append (out, ".TH MOESCOPE 1 \"\" \"moescope " MS_VERSION "\" \"User Commands\"\n"
                        ".SH NAME\nmoescope \\- profile and analyse the routing of "
                        "Mixture\\-of\\-Experts models\n"
                        ".SH SYNOPSIS\n.B moescope\n.I COMMAND\n[\\fIOPTION\\fR...] "
                        "[\\fIARGUMENT\\fR...]\n"
                        ".SH DESCRIPTION\nmoescope records which experts a model chooses for every "
                        "token and layer, and measures, shows and exports what it recorded.  "
                        "moescope\\-gui opens the same files in a window.\n"
                        ".SH COMMANDS\n");
  for (const MsCommand *const *command = ms_commands (); *command != NULL; command++)
    if (!append_man_command (out, *command, error))
      return FALSE;
  g_string_append (out, ".SH ANALYSES\nmoescope analyze NAME \\-\\-help explains one.\n");
  for (guint i = 0; all[i] != NULL; i++)
    {
      g_string_append (out, ".TP\n.B ");
      append_roff (out, all[i]->name);
      g_string_append_c (out, '\n');
      append_roff (out, all[i]->help);
      g_string_append_c (out, '\n');
    }
  g_string_append (out, ".SH EXIT STATUS\n0: done; 1: it failed; 2: wrong usage; 130 and 143: "
                        "stopped by SIGINT or SIGTERM.\n");
  return TRUE;
}

/* --- The command ----------------------------------------------------------------------------- */

static MsExit
run (int argc, char **argv)
{
  g_autofree char *output = NULL;
  gboolean man = FALSE;
  const GOptionEntry entries[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Write to FILE (default: stdout)", "FILE" },
    { "man", 0, 0, G_OPTION_ARG_NONE, &man, "Write the page for man instead of Markdown", NULL },
    G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GString) out = g_string_new (NULL);
  GError *error = NULL;

  ms_command_parse (&ms_command_manual, entries, &argc, &argv);
  if (argc != 1)
    return ms_command_misuse (&ms_command_manual, "it takes no file");
  if (!man)
    append_markdown (out);
  else if (!append_man (out, &error))
    return ms_command_fail (&ms_command_manual, error);
  if (!ms_command_write (output, out->str, out->len, &error))
    return ms_command_fail (&ms_command_manual, error);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_manual = {
  .name = "manual",
  .usage = "[--man] [-o FILE]",
  .summary = "Write the manual: every command, analysis, parameter and column",
  .example = "moescope manual -o manual.md",
  .run = run,
};
