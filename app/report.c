/* moescope report: every analysis of one run in one document. */
#include "report.h"

#include <math.h>
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

static void
free_section (gpointer data)
{
  MsSection *section = data;

  if (section->own != NULL)
    ms_job_clear (section->own);
  g_free (section->own);
  g_free (section->id);
  g_free (section->title);
  ms_values_free (section->values);
  ms_result_free (section->result);
  g_free (section->reason);
  g_free (section->other);
  g_free (section);
}

static void
clear_report (MsReport *report)
{
  g_free (report->title);
  g_clear_pointer (&report->sections, g_ptr_array_unref);
  g_clear_pointer (&report->findings, g_array_unref);
  g_clear_pointer (&report->checks, g_ptr_array_unref);
  g_free (report->hash);
  g_free (report->interval);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MsReport, clear_report)

/* --- What the formats share --------------------------------------------------------------------- */

gboolean
ms_report_has_figure (const MsSection *section, const MsPlotDef *plot)
{
  MsTable *table = ms_result_table (section->result, plot->table);

  return table != NULL && ms_plot_has_data (plot, table);
}

MsFigure *
ms_report_figure (const MsBlock *block, const MsTheme *theme, gboolean compact)
{
  const MsFigureOptions look = { .theme = theme, .compact = compact, .title = "" };

  return ms_figure_new (ms_result_table (block->section->result, block->plot->table), block->plot,
                        &look, NULL);
}

char *
ms_report_column_title (const MsColumn *column)
{
  if (column->unit == NULL || g_ascii_strcasecmp (column->unit, column->title) == 0)
    return g_strdup (column->title);
  return g_strdup_printf ("%s (%s)", column->title, column->unit);
}

char *
ms_report_command (const MsReport *report, const MsSection *section)
{
  const MsJob *job = section->own != NULL ? section->own : report->job;
  g_autofree char *path = g_shell_quote (job->path);
  g_autofree char *params = ms_values_format (section->own != NULL ? job->values : section->values);
  g_autofree char *select
      = job->select != NULL && job->select[0] != '\0' ? g_shell_quote (job->select) : NULL;
  GString *out = g_string_new ("moescope analyze ");

  g_string_append_printf (out, "%s %s", path, section->analysis->name);
  g_string_append_printf (out, " --run %" G_GINT64_FORMAT, ms_trace_run (job->trace)->id);
  if (select != NULL)
    g_string_append_printf (out, " --select %s", select);
  for (guint i = 0; job->others != NULL && job->others[i] != NULL; i++)
    {
      g_autofree char *other = g_shell_quote (job->others[i]);

      g_string_append_printf (out, " --other %s", other);
    }
  if (job->by != NULL)
    g_string_append_printf (out, " --by %s", job->by);
  if (params[0] != '\0')
    g_string_append_printf (out, " %s", params);
  if (job->seed != 1)
    g_string_append_printf (out, " --seed %" G_GINT64_FORMAT, job->seed);
  if (job->bootstrap != 1000)
    g_string_append_printf (out, " --bootstrap %d", job->bootstrap);
  return g_string_free (out, FALSE);
}

/* --- Making it ------------------------------------------------------------------------------------ */

typedef struct
{
  const MsReport *report;
  gint done;
} Work;

static char *
reason_of (const GError *error)
{
  return g_strdup (error != NULL ? error->message : "it was stopped");
}

/* What a section looks at.  The sections share the cores; each one alone is computed by one thread. */
static MsContext
section_context (const MsReport *report, const MsSection *section)
{
  MsContext context = section->own != NULL ? section->own->context : report->job->context;

  context.threads = 1;
  if (section->own != NULL)
    return context;
  context.values = section->values;
  /* Runs shown together are the series of an analysis of one; one to compare with is no step of it. */
  if (section->analysis->needs & MS_NEEDS_SERIES && (context.n_others == 0 || report->compared))
    {
      context.others = context.with;
      context.n_others = context.n_with;
    }
  if (!ms_analysis_takes_runs (section->analysis))
    context.n_with = 0;
  return context;
}

static void
do_section (guint index, guint worker, gpointer data)
{
  Work *work = data;
  MsSection *section = work->report->sections->pdata[index];
  MsContext context = section_context (work->report, section);
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;

  (void) worker;
  if (section->reason == NULL && !g_cancellable_is_cancelled (context.cancel))
    {
      section->result = ms_analysis_run_each (
          section->analysis, &context, section->own != NULL ? section->own->by : NULL, &error);
      if (section->result == NULL)
        section->reason = reason_of (error);
      else if (context.n_others > 0
               && !(section->analysis->needs & (MS_NEEDS_OTHER | MS_NEEDS_SERIES)))
        {
          g_autoptr (MsResult) other = NULL;

          context.trace = context.others[0];
          context.n_others = 0;
          other = ms_analysis_run (section->analysis, &context, NULL);
          section->other = other != NULL ? g_strdup (other->summary) : NULL;
        }
    }
  line = g_strdup_printf ("report: %d of %u analyses", g_atomic_int_add (&work->done, 1) + 1,
                          work->report->sections->len);
  ms_command_progress (line);
}

/* Analyses named in `list` ("none" for none), or all that say something about a whole run; NULL with the
 * unknown name in *wrong. */
static GPtrArray *
choose_sections (const char *list, char **wrong)
{
  g_autoptr (GPtrArray) sections = g_ptr_array_new_with_free_func (free_section);
  g_auto (GStrv) names
      = list != NULL ? g_strsplit (strcmp (list, "none") != 0 ? list : "", ",", -1) : NULL;
  const MsAnalysis *const *all = ms_analyses ();

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    if (ms_analysis_find (g_strstrip (names[i])) == NULL)
      {
        *wrong = g_strdup (names[i]);
        return NULL;
      }
  for (guint i = 0; all[i] != NULL; i++)
    if (names == NULL ? !all[i]->selective
                      : g_strv_contains ((const char *const *) names, all[i]->name))
      {
        MsSection *section = g_new0 (MsSection, 1);

        section->analysis = all[i];
        section->id = g_strdup (all[i]->name);
        section->title = g_strdup (all[i]->title);
        section->values = ms_values_new (all[i]);
        g_ptr_array_add (sections, section);
      }
  return g_steal_pointer (&sections);
}

/* What was asked for comes first. */
static void
put_first (GPtrArray *sections, const MsAnalysis *analysis)
{
  for (guint i = 0; i < sections->len; i++)
    if (((const MsSection *) sections->pdata[i])->analysis == analysis)
      {
        g_ptr_array_insert (sections, 0, g_ptr_array_steal_index (sections, i));
        return;
      }
}

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
  job->seed = from->seed;
  job->bootstrap = from->bootstrap;
  job->confidence = from->confidence;
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
      free_section (section);
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
  free_section (section);
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

static int
compare_findings (gconstpointer a, gconstpointer b)
{
  double x = ((const MsReportFinding *) a)->finding->strength;
  double y = ((const MsReportFinding *) b)->finding->strength;

  return (x < y) - (x > y);
}

static void
collect_findings (MsReport *report)
{
  report->findings = g_array_new (FALSE, FALSE, sizeof (MsReportFinding));
  /* Only the strongest few of each analysis, so that none hides the others. */
  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];

      g_autoptr (GArray) own = g_array_new (FALSE, FALSE, sizeof (MsReportFinding));

      for (guint j = 0; section->result != NULL && j < section->result->findings->len; j++)
        {
          MsReportFinding finding
              = { section, &g_array_index (section->result->findings, MsFinding, j) };

          g_array_append_val (own, finding);
        }
      g_array_sort (own, compare_findings);
      report->n_findings += own->len;
      g_array_append_vals (report->findings, own->data, MIN (own->len, MS_REPORT_EACH));
    }
  g_array_sort (report->findings, compare_findings);
}

static void
note_check (gboolean bad, const char *finding, gpointer data)
{
  MsReport *report = data;

  (void) bad;
  g_ptr_array_add (report->checks, g_strdup (finding));
}

/* What all runs lack; of several one may have what another lacks.  NULL when one has all. */
static char *
find_missing (const MsAnalysis *analysis, const MsContext *context)
{
  char *reason = ms_analysis_missing (analysis, context->trace, context->n_others);

  for (guint i = 0; i < context->n_with && reason != NULL; i++)
    {
      g_autofree char *own = ms_analysis_missing (analysis, context->with[i], context->n_others);

      if (own == NULL)
        g_clear_pointer (&reason, g_free);
    }
  return reason;
}

static gboolean
make_report (MsReport *report, MsExit *status)
{
  MsJob *job = report->job;
  g_autoptr (MsDb) db = NULL;
  GError *error = NULL;
  Work work = { .report = report };

  for (guint i = 0; i < report->sections->len; i++)
    {
      MsSection *section = report->sections->pdata[i];
      MsContext context = section_context (report, section);

      section->reason = find_missing (section->analysis, &context);
    }
  ms_parallel (job->context.threads, report->sections->len, do_section, &work);
  ms_command_progress (NULL);
  if (g_cancellable_set_error_if_cancelled (job->context.cancel, &error))
    {
      *status = ms_command_fail (job->command, error);
      return FALSE;
    }
  collect_findings (report);
  report->checks = g_ptr_array_new_with_free_func (g_free);
  report->hash = ms_file_hash (job->path, &error);
  if (report->hash == NULL || (db = ms_db_open (job->path, MS_DB_READ, &error)) == NULL
      || !ms_db_check (db, note_check, report, &report->n_bad, &error))
    {
      *status = ms_command_fail (job->command, error);
      return FALSE;
    }
  report->interval = ms_interval_name (&job->context);
  report->title = g_strdup_printf ("Routing of %s on %s", ms_trace_model (job->trace)->name,
                                   ms_trace_run (job->trace)->name);
  return TRUE;
}

static const struct
{
  const char *name;
  double width, height; /* inches */
} papers[] = { { "a4", 210 / 25.4, 297 / 25.4 }, { "letter", 8.5, 11 } };

static gboolean
find_paper (const char *name, double *width, double *height)
{
  for (guint i = 0; i < G_N_ELEMENTS (papers); i++)
    if (strcmp (papers[i].name, name) == 0)
      {
        *width = papers[i].width;
        *height = papers[i].height;
        return TRUE;
      }
  return FALSE;
}

static GBytes *
take_text (char *text)
{
  return text != NULL ? g_bytes_new_take (text, strlen (text)) : NULL;
}

static GBytes *
write_format (const MsReport *report, const char *path, const char *paper, GError **error)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);
  g_autofree char *folder = NULL;

  if (g_str_has_suffix (lower, ".html") || g_str_has_suffix (lower, ".htm"))
    return take_text (ms_report_html (report));
  if (g_str_has_suffix (lower, ".json"))
    return take_text (ms_report_json (report));
  if (g_str_has_suffix (lower, ".pdf"))
    {
      double width = 0, height = 0;
      GByteArray *pdf;

      find_paper (paper, &width, &height);
      pdf = ms_report_pdf (report, width, height, error);
      return pdf != NULL ? g_byte_array_free_to_bytes (pdf) : NULL;
    }
  folder = g_strdup_printf ("%.*s-figures", (int) (strrchr (path, '.') - path), path);
  return take_text (ms_report_markdown (report, folder, error));
}

static gboolean
known_format (const char *path)
{
  static const char *const endings[] = { ".html", ".htm", ".md", ".pdf", ".json" };
  g_autofree char *lower = g_ascii_strdown (path, -1);

  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    if (g_str_has_suffix (lower, endings[i]))
      return TRUE;
  return FALSE;
}

static gboolean
save (const MsReport *report, const char *path, const char *paper, GError **error)
{
  g_autoptr (GBytes) bytes = write_format (report, path, paper, error);
  gsize size;
  gconstpointer data = bytes != NULL ? g_bytes_get_data (bytes, &size) : NULL;

  return bytes != NULL && ms_command_write (path, data, size, error);
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
  const char *complaint;
  double width, height;
  GError *error = NULL;
  MsExit status;

  ms_job_init (&job, &ms_command_report);
  g_array_append_vals (entries, own, G_N_ELEMENTS (own));
  ms_job_add_entries (&job, entries, FALSE);
  ms_command_parse (&ms_command_report, (const GOptionEntry *) (gpointer) entries->data, &argc,
                    &argv);
  if (argc != 2)
    return ms_command_misuse (&ms_command_report, "give one file");
  if (options.output == NULL || !known_format (options.output))
    return ms_command_misuse (&ms_command_report,
                              "-o FILE is needed, with ending .html, .md, .pdf or .json");
  if (options.paper != NULL && !find_paper (options.paper, &width, &height))
    return ms_command_misuse (&ms_command_report, "--paper: choose a4 or letter");
  complaint = ms_job_check (&job);
  if (complaint != NULL)
    return ms_command_misuse (&ms_command_report, "%s", complaint);
  report.sections = choose_sections (options.sections, &wrong);
  if (report.sections == NULL)
    return ms_command_misuse (&ms_command_report,
                              "--sections: there is no analysis '%s'; see moescope analyze --list",
                              wrong);
  if (options.compare != NULL)
    {
      g_autoptr (GStrvBuilder) all = g_strv_builder_new ();

      if (options.sections == NULL)
        put_first (report.sections, ms_analysis_find ("compare"));
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
      || !make_report (&report, &status))
    return status;
  if (!save (&report, options.output, options.paper != NULL ? options.paper : "a4", &error))
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
