/* The report as a model: which sections there are, what each looks at, their results and findings.  It knows
 * neither the command line nor a format.  A section that cannot run keeps the reason; the others run. */
#include "report.h"

#include "provenance.h"

#include <math.h>
#include <string.h>

void
ms_section_free (MsSection *section)
{
  if (section == NULL)
    return;
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

void
ms_report_clear (MsReport *report)
{
  g_free (report->title);
  g_clear_pointer (&report->sections, g_ptr_array_unref);
  g_clear_pointer (&report->findings, g_array_unref);
  g_clear_pointer (&report->checks, g_ptr_array_unref);
  g_free (report->hash);
  g_free (report->interval);
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

gboolean
ms_report_choose (MsReport *report, const char *list, char **wrong)
{
  g_autoptr (GPtrArray) sections
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_section_free);
  g_auto (GStrv) names
      = list != NULL ? g_strsplit (strcmp (list, "none") != 0 ? list : "", ",", -1) : NULL;
  const MsAnalysis *const *all = ms_analyses ();

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    if (ms_analysis_find (g_strstrip (names[i])) == NULL)
      {
        *wrong = g_strdup (names[i]);
        return FALSE;
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
  report->sections = g_steal_pointer (&sections);
  return TRUE;
}

void
ms_report_put_first (MsReport *report, const MsAnalysis *analysis)
{
  GPtrArray *sections = report->sections;

  for (guint i = 0; i < sections->len; i++)
    if (((const MsSection *) sections->pdata[i])->analysis == analysis)
      {
        g_ptr_array_insert (sections, 0, g_ptr_array_steal_index (sections, i));
        return;
      }
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

static gboolean
add_doubts (MsReport *report, GError **error)
{
  g_autoptr (GPtrArray) doubts
      = ms_trace_doubts (report->job->trace, report->job->context.cancel, error);

  for (guint i = 0; doubts != NULL && i < doubts->len; i++)
    g_ptr_array_add (report->checks, g_strdup (doubts->pdata[i]));
  return doubts != NULL;
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

gboolean
ms_report_make (MsReport *report, MsExit *status)
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
  if (!add_doubts (report, &error))
    {
      *status = ms_command_fail (job->command, error);
      return FALSE;
    }
  report->interval = ms_interval_name (&job->context);
  report->title = g_strdup_printf ("Routing of %s on %s", ms_trace_model (job->trace)->name,
                                   ms_trace_run (job->trace)->name);
  ms_text_make_printable (&report->title);
  return TRUE;
}
