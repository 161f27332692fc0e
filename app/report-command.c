/* moescope report: every analysis of one run in one document.  The command line chooses sections and format;
 * report.c makes the numbers, the formats write them. */
#include "report-format.h"

#include <string.h>

typedef struct
{
  char *output, *sections, *paper;
  char **compare, **add;
} Options;

static void
clear_options (Options *options)
{
  g_free (options->output);
  g_free (options->sections);
  g_free (options->paper);
  g_strfreev (options->compare);
  g_strfreev (options->add);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, clear_options)

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MsReport, ms_report_clear)

/* --- Sections of --add -------------------------------------------------------------------------- */

static MsExit
refuse_help (const MsAnalysis *analysis)
{
  return ms_command_misuse (&ms_command_report, "--add %s: --help has no place in a report",
                            analysis->name);
}

/* "Cache simulator (layer=4..8, by language, slots 8)" */
static char *
name_section (const MsJob *job)
{
  g_autofree char *values = ms_values_describe (job->values, NULL);
  g_autofree char *by = job->by != NULL ? g_strdup_printf ("by %s", job->by) : NULL;
  const char *const parts[] = { job->select, by, values };
  GString *title = g_string_new (job->analysis->title);
  gboolean first = TRUE;

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    if (parts[i] != NULL && parts[i][0] != '\0')
      {
        g_string_append_printf (title, "%s%s", first ? " (" : ", ", parts[i]);
        first = FALSE;
      }
  g_string_append (title, first ? "" : ")");
  return g_string_free (title, FALSE);
}

/* What `words` leave open is as in the report. */
static MsJob *
inherit_job (const MsJob *from)
{
  MsJob *job = g_new (MsJob, 1);

  ms_job_init (job, from->command);
  job->run = from->run;
  job->sampling = from->sampling;
  job->cluster = g_strdup (from->cluster);
  return job;
}

/* The report's selection for a section that names none: an analysis that cannot show several runs goes
 * without the further ones. */
static char *
inherit_select (const MsJob *from, const MsAnalysis *analysis)
{
  return ms_analysis_takes_runs (analysis) || analysis->needs & MS_NEEDS_SERIES
             ? g_strdup (from->select)
             : ms_selection_without_runs (from->select);
}

/* Parses `words`, "NAME [--plot PLOT] [OPTION of analyze]...", and opens what they look at; NULL with
 * *status. */
static MsSection *
make_section (const MsJob *job, const char *words, guint number, MsExit *status)
{
  g_auto (GStrv) split = NULL;
  g_autoptr (GPtrArray) line = g_ptr_array_new ();
  g_autofree char *plot = NULL;
  const GOptionEntry own[] = { { "plot", 0, 0, G_OPTION_ARG_STRING, &plot, NULL, NULL }, { 0 } };
  g_autoptr (GError) error = NULL;
  MsSection *section;
  char **argv;
  int argc;

  if (!g_shell_parse_argv (words, NULL, &split, &error))
    {
      *status = ms_command_misuse (job->command, "--add '%s': %s", words, error->message);
      return NULL;
    }
  g_ptr_array_add (line, (gpointer) job->command->name);
  g_ptr_array_add (line, job->path);
  for (guint i = 0; split[i] != NULL; i++)
    g_ptr_array_add (line, split[i]);
  argc = (int) line->len;
  g_ptr_array_add (line, NULL);
  argv = (char **) line->pdata;
  section = g_new0 (MsSection, 1);
  section->own = inherit_job (job);
  if (!ms_job_parse (section->own, own, &argc, &argv, refuse_help, status))
    {
      ms_section_free (section);
      return NULL;
    }
  section->analysis = section->own->analysis;
  if (section->analysis == NULL || argc != 3)
    *status = ms_command_misuse (
        job->command, "--add '%s': the name of one analysis is needed, then its options", words);
  else if (plot != NULL && (section->plot = ms_analysis_plot (section->analysis, plot)) == NULL)
    *status = ms_command_misuse (job->command,
                                 "--add '%s': %s has no plot '%s'; see moescope plot %s --help",
                                 words, section->analysis->name, plot, section->analysis->name);
  else
    {
      if (section->own->select == NULL)
        section->own->select = inherit_select (job, section->analysis);
      if (section->own->others == NULL)
        section->own->others = g_strdupv (job->others);
      section->id = g_strdup_printf ("%s-%u", section->analysis->name, number);
      section->title = name_section (section->own);
      if (ms_job_open (section->own, status))
        return section;
    }
  ms_section_free (section);
  return NULL;
}

/* Puts the sections of --add before the others. */
static gboolean
add_sections (MsReport *report, char **added, MsExit *status)
{
  for (guint i = 0; added != NULL && added[i] != NULL; i++)
    {
      MsSection *section = make_section (report->job, added[i], i + 1, status);

      if (section == NULL)
        return FALSE;
      g_ptr_array_insert (report->sections, (int) i, section);
    }
  return TRUE;
}

/* --- Paper and format --------------------------------------------------------------------------- */

static const struct
{
  const char *name;
  double width, height; /* inches */
} papers[] = { { "a4", 210 / 25.4, 297 / 25.4 }, { "letter", 8.5, 11 } };

static gboolean
find_paper (const char *name, MsReportTarget *target)
{
  for (guint i = 0; i < G_N_ELEMENTS (papers); i++)
    if (strcmp (papers[i].name, name) == 0)
      {
        target->width = papers[i].width;
        target->height = papers[i].height;
        return TRUE;
      }
  return FALSE;
}

/* The formats that there are, told apart by the ending of the file. */
static const MsReportFormat *const formats[] = {
  &ms_report_format_html,
  &ms_report_format_markdown,
  &ms_report_format_pdf,
  &ms_report_format_json,
};

static const MsReportFormat *
find_format (const char *path)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    for (guint j = 0; formats[i]->endings[j] != NULL; j++)
      if (g_str_has_suffix (lower, formats[i]->endings[j]))
        return formats[i];
  return NULL;
}

static gboolean
save (const MsReport *report, const MsReportFormat *format, const MsReportTarget *target,
      GError **error)
{
  g_autoptr (GBytes) bytes = format->write (report, target, error);
  gsize size;
  gconstpointer data = bytes != NULL ? g_bytes_get_data (bytes, &size) : NULL;

  return bytes != NULL && ms_command_write (target->path, data, size, error);
}

static MsExit
run (int argc, char **argv)
{
  g_auto (Options) options = { 0 };
  g_auto (MsJob) job = { 0 };
  g_auto (MsReport) report = { .job = &job };
  const GOptionEntry own[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
      "The report: its ending, .html, .md, .pdf or .json, is the format", "FILE" },
    { "paper", 0, 0, G_OPTION_ARG_STRING, &options.paper, "Pages of a PDF: a4 (default) or letter",
      "NAME" },
    { "sections", 0, 0, G_OPTION_ARG_STRING, &options.sections,
      "Only these analyses, separated by commas, or none (see moescope analyze --list)", "NAMES" },
    { "add", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.add,
      "A section of your own before the others: an analysis with options of analyze, of which "
      "--select and --by are its own too, and --plot to show one figure only (repeatable)",
      "'NAME [OPTION...]'" },
    { "compare", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.compare, "A second run to compare with",
      "FILE[#RUN]" },
  };
  g_autoptr (GArray) entries = g_array_new (TRUE, TRUE, sizeof (GOptionEntry));
  g_autofree char *wrong = NULL;
  const MsReportFormat *format;
  const char *complaint;
  MsReportTarget target;
  GError *error = NULL;
  MsExit status;

  ms_job_init (&job, &ms_command_report);
  g_array_append_vals (entries, own, G_N_ELEMENTS (own));
  ms_job_add_entries (&job, entries, FALSE);
  ms_command_parse (&ms_command_report, (const GOptionEntry *) (gpointer) entries->data, &argc,
                    &argv);
  if (argc != 2)
    return ms_command_misuse (&ms_command_report, "give one file");
  format = options.output != NULL ? find_format (options.output) : NULL;
  if (format == NULL)
    return ms_command_misuse (&ms_command_report,
                              "-o FILE is needed, with ending .html, .md, .pdf or .json");
  target = (MsReportTarget){ .path = options.output };
  if (!find_paper (options.paper != NULL ? options.paper : papers[0].name, &target))
    return ms_command_misuse (&ms_command_report, "--paper: choose a4 or letter");
  complaint = ms_job_check (&job);
  if (complaint != NULL)
    return ms_command_misuse (&ms_command_report, "%s", complaint);
  if (!ms_report_choose (&report, options.sections, &wrong))
    return ms_command_misuse (&ms_command_report,
                              "--sections: there is no analysis '%s'; see moescope analyze --list",
                              wrong);
  if (options.compare != NULL)
    {
      g_autoptr (GStrvBuilder) all = g_strv_builder_new ();

      if (options.sections == NULL)
        ms_report_put_first (&report, ms_analysis_find ("compare"));
      report.compared
          = options.sections == NULL && job.others == NULL && g_strv_length (options.compare) == 1;
      g_strv_builder_addv (all, (const char **) options.compare);
      if (job.others != NULL)
        g_strv_builder_addv (all, (const char **) job.others);
      g_strfreev (job.others);
      job.others = g_strv_builder_end (all);
    }
  job.path = g_strdup (argv[1]);
  if (!ms_job_open (&job, &status) || !add_sections (&report, options.add, &status)
      || !ms_report_make (&report, &status))
    return status;
  if (!save (&report, format, &target, &error))
    return ms_command_fail (&ms_command_report, error);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_report = {
  .name = "report",
  .usage = "RUN.db -o FILE.{html,md,pdf,json} [OPTION...]",
  .summary = "Write one document with all analyses of a run",
  .details
  = "Sentences first, then what stands out, then a section for each analysis with figure,\n"
    "table, definition and source, then where the numbers come from.  Analyses whose\n"
    "input is missing are listed with the reason.",
  .example = "moescope report run.db -o report.html\n"
             "  moescope report run.db -o report.md --sections load,hit-rate --select lang=de\n"
             "  moescope report run.db -o my.pdf --add 'cache --policies lru,belady --by language'",
  .run = run,
};
