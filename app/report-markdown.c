/* The report as Markdown, with its figures as SVG files beside it. */
#include "report.h"

#include <glib/gstdio.h>
#include <string.h>

#define ROWS 25 /* of a table */

/* Text in a table cell: no line breaks, pipes escaped. */
static void
append_cell (GString *out, const char *text)
{
  g_autofree char *clean = ms_text_printable (text, -1);

  for (const char *c = clean; *c != '\0'; c++)
    {
      if (*c == '|' || *c == '<' || *c == '*' || *c == '_' || *c == '`' || *c == '\\')
        g_string_append_c (out, '\\');
      g_string_append_c (out, *c);
    }
}

static void
append_table (GString *out, const MsReport *report, const MsSection *section, const MsTable *table)
{
  guint n = ms_table_n_rows (table), shown = MIN (n, ROWS);

  g_string_append_printf (out, "**%s**\n\n|", ms_table_def (table)->title);
  for (guint i = 0; i < ms_table_n_columns (table); i++)
    {
      const MsColumn *column = ms_table_column (table, i);

      g_string_append_c (out, ' ');
      append_cell (out, column->title);
      if (column->unit != NULL && g_ascii_strcasecmp (column->unit, column->title) != 0)
        g_string_append_printf (out, " (%s)", column->unit);
      g_string_append (out, " |");
    }
  g_string_append (out, "\n|");
  for (guint i = 0; i < ms_table_n_columns (table); i++)
    g_string_append (out,
                     ms_table_column (table, i)->type == MS_COLUMN_TEXT ? " --- |" : " ---: |");
  g_string_append_c (out, '\n');
  for (guint row = 0; row < shown; row++)
    {
      g_string_append_c (out, '|');
      for (guint i = 0; i < ms_table_n_columns (table); i++)
        {
          g_autofree char *text = ms_table_format (table, row, i);

          g_string_append_c (out, ' ');
          append_cell (out, text);
          g_string_append (out, " |");
        }
      g_string_append_c (out, '\n');
    }
  if (shown < n)
    {
      g_autofree char *command = ms_report_command (report, section);

      g_string_append_printf (out, "\nThe first %u of %u rows; all: `%s --table %s --format csv`\n",
                              shown, n, command, ms_table_def (table)->name);
    }
  g_string_append_c (out, '\n');
}

static gboolean
append_figures (GString *out, const MsReport *report, const MsSection *section, const char *folder,
                GError **error)
{
  g_autofree char *folder_name = g_path_get_basename (folder);
  const MsPlotDef *plot = section->analysis->plots;

  for (; plot != NULL && plot->name != NULL; plot++)
    {
      MsTheme theme = *ms_theme_find ("screen");
      g_autoptr (MsFigure) figure = NULL;
      g_autofree char *name = g_strdup_printf ("%s-%s.svg", section->analysis->name, plot->name);
      g_autofree char *path = g_build_filename (folder, name, NULL);

      theme.titles = FALSE;
      figure = ms_report_figure (report, section, plot, &theme);
      if (figure == NULL)
        continue;
      if (g_mkdir_with_parents (folder, 0777) != 0)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: this folder cannot be made",
                       folder);
          return FALSE;
        }
      if (!ms_figure_save (figure, path, 6.75, 0, 0, NULL, error))
        return FALSE;
      g_string_append_printf (out, "![%s](%s/%s)\n\n", plot->title, folder_name, name);
    }
  return TRUE;
}

static void
append_trace (GString *out, MsTrace *trace, const char *hash)
{
  const MsRun *run = ms_trace_run (trace);
  const MsModel *model = ms_trace_model (trace);
  g_autofree char *selection = ms_selection_format (ms_trace_selection (trace));

  g_string_append_printf (out, "- file: `%s`\n", ms_trace_path (trace));
  if (hash != NULL)
    g_string_append_printf (out, "- SHA-256: `%s`\n", hash);
  g_string_append_printf (out, "- run: %" G_GINT64_FORMAT " (%s), %s, %s\n", run->id, run->name,
                          run->precision, run->collector);
  g_string_append_printf (out, "- model: %s (%s), router: %s\n", model->name, model->architecture,
                          model->router != NULL ? model->router : "unknown");
  g_string_append_printf (out, "- selection: %s\n",
                          selection[0] != '\0' ? selection : "everything");
  g_string_append_printf (out, "- tokens: %" G_GINT64_FORMAT ", documents: %u, MoE layers: %u\n",
                          ms_trace_n_tokens (trace), ms_trace_n_documents (trace),
                          ms_trace_n_layers (trace));
}

static gboolean
append_section (GString *out, const MsReport *report, const MsSection *section, const char *folder,
                GError **error)
{
  const MsAnalysis *analysis = section->analysis;
  g_autofree char *command = ms_report_command (report, section);

  g_string_append_printf (out, "## %s\n\n%s\n\n%s\n\n", analysis->title, analysis->help,
                          section->result->summary);
  if (section->other != NULL)
    g_string_append_printf (out, "The run compared with: %s\n\n", section->other);
  if (!append_figures (out, report, section, folder, error))
    return FALSE;
  for (guint i = 0; i < section->result->n_tables; i++)
    append_table (out, report, section, section->result->tables[i]);
  for (guint i = 0; i < section->result->notes->len; i++)
    g_string_append_printf (out, "- %s\n", (char *) section->result->notes->pdata[i]);
  g_string_append_printf (out, "\nDefinition: %s\n\nSource: %s\n\n    %s\n\n", analysis->formula,
                          analysis->cite, command);
  return TRUE;
}

char *
ms_report_markdown (const MsReport *report, const char *folder, GError **error)
{
  g_autoptr (GString) out = g_string_new (NULL);
  gboolean missing = FALSE;

  g_string_append_printf (out, "# %s\n\n", report->title);
  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];

      if (section->result != NULL)
        g_string_append_printf (out, "- %s\n", section->result->summary);
    }
  g_string_append (out, "\n## What stands out\n\n");
  for (guint i = 0; i < MIN (report->findings->len, MS_REPORT_FINDINGS); i++)
    {
      const MsReportFinding *f = &g_array_index (report->findings, MsReportFinding, i);
      char strength[MS_NUMBER_SIZE];

      g_string_append_printf (
          out, "%u. %s (%s; strength %s)\n", i + 1, f->finding->text, f->section->analysis->title,
          g_ascii_formatd (strength, sizeof strength, "%.3g", f->finding->strength));
    }
  if (report->findings->len == 0)
    g_string_append (out, "Nothing stands out from what chance would give.\n");
  g_string_append (out,
                   "\nStrength is the distance from the expected value in standard errors, or as "
                   "a multiple of what chance gives.\n\n");
  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];

      if (section->result != NULL && !append_section (out, report, section, folder, error))
        return NULL;
    }
  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];

      if (section->reason == NULL)
        continue;
      g_string_append_printf (out, "%s- %s: %s\n", missing ? "" : "## Not in this report\n\n",
                              section->analysis->title, section->reason);
      missing = TRUE;
    }
  g_string_append (out, "\n## Where the numbers come from\n\n");
  append_trace (out, report->job->trace, report->hash);
  for (guint i = 0; i < report->job->other_traces->len; i++)
    {
      g_string_append (out, "\nCompared with\n\n");
      append_trace (out, report->job->other_traces->pdata[i], NULL);
    }
  g_string_append_printf (
      out, "\n- moescope %s: `%s`\n- seed: %" G_GINT64_FORMAT "\n- intervals: %s\n", MS_VERSION,
      ms_command_line (), report->job->seed, report->interval != NULL ? report->interval : "none");
  g_string_append_printf (out, "\n## Trace check\n\n%s\n\n",
                          report->n_bad == 0
                              ? "No fault was found in the file."
                              : "The file is damaged: do not rely on these numbers.");
  for (guint i = 0; i < MIN (report->checks->len, 30); i++)
    g_string_append_printf (out, "- %s\n", (char *) report->checks->pdata[i]);
  return g_string_free (g_steal_pointer (&out), FALSE);
}
