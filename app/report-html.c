/* The report as one HTML file: no script, no other file.  Figures are inline SVG whose ink, paper and
 * series colours are CSS variables, so that one drawing serves light, dark and print. */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 6.9 /* of a figure, inches */

static const char style[]
    = ":root{color-scheme:light dark;--paper:#fff;--ink:#1d1d20;--soft:#5c5c63;--rule:#d9d9de;"
      "--link:#0b5cad;--warn:#a33a00;"
      "--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#cc79a7;--s4:#e69f00;--s5:#56b4e9;--s6:#f0e442}"
      "\n"
      "@media(prefers-color-scheme:dark){:root{--paper:#1b1b1d;--ink:#ececee;--soft:#a9a9b0;"
      "--rule:#3d3d42;--link:#7cb9ff;--warn:#ff9a66;"
      "--s0:#3d9fdb;--s1:#e8762c;--s2:#1fb88b;--s3:#db93bb;--s5:#8fcff5}}\n"
      "@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--rule:#bbb;--link:#000;"
      "--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#cc79a7;--s5:#56b4e9}"
      "details:not([open]){display:none}"
      "figure,tr{break-inside:avoid}h2,h3{break-after:avoid}body{font-size:9.5pt}}\n"
      "body{margin:0 auto;padding:2rem 1.2rem 4rem;max-width:47rem;background:var(--paper);"
      "color:var(--ink);font:1rem/1.5 system-ui,'DejaVu Sans',sans-serif}\n"
      "h1{font-size:1.65rem;line-height:1.25;margin:0 0 .3rem}"
      "h2{font-size:1.3rem;margin:2.6rem 0 .5rem;padding-top:.6rem;border-top:1px solid "
      "var(--rule)}"
      "h3{font-size:1rem;margin:1.4rem 0 .3rem}\n"
      "a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}"
      ".sub,.note,figcaption,.place{color:var(--soft)}.note,figcaption{font-size:.88rem}\n"
      ".lead{font-size:1.05rem;margin:.4rem 0 1rem}"
      "ol,ul{padding-left:1.3rem}li{margin:.28rem 0}.place{font-size:.85rem;white-space:nowrap}\n"
      "figure{margin:1rem 0}figure svg{max-width:100%;height:auto;display:block}\n"
      "details{margin:.6rem 0}summary{cursor:pointer;color:var(--link);font-size:.92rem}"
      ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.82rem;"
      "font-variant-numeric:tabular-nums;margin:.5rem 0}"
      "th,td{padding:.16rem .6rem;text-align:left;border-bottom:1px solid var(--rule);"
      "vertical-align:top}th{font-weight:600;border-bottom-width:2px}"
      ".n{text-align:right}td.n{white-space:nowrap}\n"
      "dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem "
      "1rem;font-size:.9rem;margin:.5rem 0}"
      "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}"
      "code{font:.86em/1.4 'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}"
      ".warn{color:var(--warn)}\n";

/* Colours that stand for variables.  Paper is not pure white, which numbers in cells use. */
static const MsColour ink = { 0x1d / 255.0, 0x1d / 255.0, 0x20 / 255.0 };
static const MsColour paper = { 0xfd / 255.0, 0xfd / 255.0, 0xfe / 255.0 };
static const MsColour faint = { 0xcd / 255.0, 0xcd / 255.0, 0xd2 / 255.0 };

/* printf whose %s are escaped. */
static void G_GNUC_PRINTF (2, 3) append (GString *out, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_markup_vprintf_escaped (format, args);
  va_end (args);
  g_string_append (out, text);
}

/* --- Figures ------------------------------------------------------------------------------------ */

static gboolean
near (MsColour a, MsColour b)
{
  return fabs (a.r - b.r) < 4e-3 && fabs (a.g - b.g) < 4e-3 && fabs (a.b - b.b) < 4e-3;
}

static MsColour
mix (MsColour a, MsColour b, double share)
{
  return (MsColour){ a.r + (b.r - a.r) * share, a.g + (b.g - a.g) * share,
                     a.b + (b.b - a.b) * share };
}

/* A CSS value for colours between ink and paper and for series; FALSE for all others. */
static gboolean
variable_of (MsColour colour, const MsTheme *theme, char *out, gsize size)
{
  double share = (colour.g - ink.g) / (paper.g - ink.g);

  for (guint i = 0; i < theme->n_series; i++)
    /* The line itself, or its name, which is darker (line.c). */
    if (near (colour, theme->series[i]) || near (colour, mix (theme->series[i], ink, 0.35)))
      {
        g_snprintf (out, size, "var(--s%u)", i);
        return TRUE;
      }
  if (near (colour, ink))
    g_strlcpy (out, "var(--ink)", size);
  else if (near (colour, paper))
    g_strlcpy (out, "var(--paper)", size);
  else if (near (colour, faint) || near (colour, mix (faint, ink, 0.12)))
    g_strlcpy (out, "var(--rule)", size);
  else if (share > 0.1 && share < 0.9 && near (colour, mix (ink, paper, share)))
    g_strlcpy (out, "var(--soft)", size);
  else
    return FALSE;
  return TRUE;
}

static gboolean
replace_colour (const GMatchInfo *match, GString *out, gpointer data)
{
  g_autofree char *text = g_match_info_fetch (match, 0);
  MsColour colour;
  char variable[32];

  if (text[0] == '#')
    {
      guint64 rgb = g_ascii_strtoull (text + 1, NULL, 16);

      colour = (MsColour){ (double) (rgb >> 16) / 255, (double) (rgb >> 8 & 255) / 255,
                           (double) (rgb & 255) / 255 };
    }
  else
    {
      g_autofree char *r = g_match_info_fetch (match, 1), *g = g_match_info_fetch (match, 2);
      g_autofree char *b = g_match_info_fetch (match, 3);

      colour = (MsColour){ g_ascii_strtod (r, NULL) / 100, g_ascii_strtod (g, NULL) / 100,
                           g_ascii_strtod (b, NULL) / 100 };
    }
  g_string_append (out, variable_of (colour, data, variable, sizeof variable) ? variable : text);
  return FALSE;
}

/* The SVG element alone, its colours as variables. */
static char *
make_svg (MsFigure *figure, const MsTheme *theme)
{
  g_autoptr (GRegex) colours
      = g_regex_new ("rgb\\(([0-9.]+)%,([0-9.]+)%,([0-9.]+)%\\)|#[0-9a-f]{6}", 0, 0, NULL);
  g_autofree char *svg = ms_figure_to_svg (figure, WIDTH, 0, NULL);
  const char *start = svg != NULL ? strstr (svg, "<svg ") : NULL;

  if (start == NULL)
    return NULL;
  return g_regex_replace_eval (colours, start, -1, 0, 0, replace_colour, (gpointer) theme, NULL);
}

static gboolean
append_figure (GString *out, const MsReport *report, const MsSection *section,
               const MsPlotDef *plot)
{
  MsTheme theme = *ms_theme_find ("screen");
  g_autoptr (MsFigure) figure = NULL;
  g_autofree char *svg = NULL;
  gboolean interval = FALSE;
  int low;

  theme.ink = ink;
  theme.paper = paper;
  theme.faint = faint;
  theme.titles = FALSE;
  figure = ms_report_figure (report, section, plot, &theme);
  svg = figure != NULL ? make_svg (figure, &theme) : NULL;
  if (svg == NULL)
    return FALSE;
  low = plot->low != NULL ? ms_table_find_column (ms_figure_table (figure), plot->low) : -1;
  for (guint row = 0; low >= 0 && row < ms_table_n_rows (ms_figure_table (figure)); row++)
    interval = interval || !ms_table_is_null (ms_figure_table (figure), row, (guint) low);
  append (out, "<figure role=\"img\" aria-label=\"%s\">", plot->title);
  g_string_append (out, svg);
  append (out, "<figcaption>%s", plot->title);
  if (interval && report->interval != NULL)
    append (out, ". %s: %s", plot->mark == MS_MARK_LINE ? "Band" : "Bars", report->interval);
  g_string_append (out, ".</figcaption></figure>\n");
  return TRUE;
}

/* The first plot that has something to show, the others folded away. */
static void
append_figures (GString *out, const MsReport *report, const MsSection *section)
{
  const MsPlotDef *plot = section->analysis->plots;
  g_autoptr (GString) more = g_string_new (NULL);
  gboolean first = TRUE;
  guint n = 0;

  for (; plot != NULL && plot->name != NULL; plot++)
    if (first)
      first = !append_figure (out, report, section, plot);
    else
      n += append_figure (more, report, section, plot);
  if (n > 0)
    {
      append (out, "<details><summary>%u more figure%s</summary>\n", n, n == 1 ? "" : "s");
      g_string_append_len (out, more->str, (gssize) more->len);
      g_string_append (out, "</details>\n");
    }
}

/* --- Tables --------------------------------------------------------------------------------------- */

static void
append_table (GString *out, const MsReport *report, const MsSection *section, const MsTable *table)
{
  guint n = ms_table_n_rows (table), shown = MIN (n, MS_REPORT_ROWS);

  append (out,
          "<details%s><summary>Table: %s (%u row%s)</summary>\n<div class=\"scroll\"><table><tr>",
          n <= 12 && n > 0 ? " open" : "", ms_table_def (table)->title, n, n == 1 ? "" : "s");
  for (guint i = 0; i < ms_table_n_columns (table); i++)
    {
      const MsColumn *column = ms_table_column (table, i);

      append (out, "<th class=\"%s\" title=\"%s\">%s", column->type == MS_COLUMN_TEXT ? "t" : "n",
              column->help != NULL ? column->help : "", column->title);
      if (column->unit != NULL && g_ascii_strcasecmp (column->unit, column->title) != 0)
        append (out, " (%s)", column->unit);
      g_string_append (out, "</th>");
    }
  g_string_append (out, "</tr>\n");
  for (guint row = 0; row < shown; row++)
    {
      g_string_append (out, "<tr>");
      for (guint i = 0; i < ms_table_n_columns (table); i++)
        {
          g_autofree char *raw = ms_table_format (table, row, i);
          g_autofree char *text = ms_text_printable (raw, -1);

          append (out, "<td class=\"%s\">%s</td>",
                  ms_table_column (table, i)->type == MS_COLUMN_TEXT ? "t" : "n",
                  ms_table_is_null (table, row, i) ? "\xe2\x80\x93" : text);
        }
      g_string_append (out, "</tr>\n");
    }
  g_string_append (out, "</table></div>\n");
  if (shown < n)
    {
      g_autofree char *command = ms_report_command (report, section);

      append (
          out,
          "<p class=\"note\">The first %u of %u rows; all of them: <code>%s --table %s --format "
          "csv</code></p>\n",
          shown, n, command, ms_table_def (table)->name);
    }
  g_string_append (out, "</details>\n");
}

/* --- Sections --------------------------------------------------------------------------------------- */

static void
append_section (GString *out, const MsReport *report, const MsSection *section)
{
  const MsAnalysis *analysis = section->analysis;
  g_autofree char *command = ms_report_command (report, section);

  append (out,
          "<section id=\"%s\">\n<h2>%s</h2>\n<p class=\"sub\">%s</p>\n<p class=\"lead\">%s</p>\n",
          analysis->name, analysis->title, analysis->help, section->result->summary);
  if (section->other != NULL)
    append (out, "<p><b>The run compared with:</b> %s</p>\n", section->other);
  append_figures (out, report, section);
  for (guint i = 0; i < section->result->n_tables; i++)
    append_table (out, report, section, section->result->tables[i]);
  if (section->result->notes->len > 0)
    {
      g_string_append (out, "<ul class=\"note\">");
      for (guint i = 0; i < section->result->notes->len; i++)
        append (out, "<li>%s</li>", (char *) section->result->notes->pdata[i]);
      g_string_append (out, "</ul>\n");
    }
  append (out,
          "<dl><dt>Definition</dt><dd>%s</dd><dt>Source</dt><dd>%s</dd><dt>Command</dt>"
          "<dd><code>%s</code></dd></dl>\n</section>\n",
          analysis->formula, analysis->cite, command);
}

static void
append_findings (GString *out, const MsReport *report)
{
  guint shown = MIN (report->findings->len, MS_REPORT_FINDINGS);

  g_string_append (out, "<h2 id=\"findings\">What stands out</h2>\n");
  if (shown == 0)
    {
      g_string_append (out, "<p>Nothing stands out from what chance would give.</p>\n");
      return;
    }
  g_string_append (out, "<p class=\"note\">Strongest first.  The number is the distance from the "
                        "expected value in standard errors, or as a multiple of what chance "
                        "gives.</p>\n<table>");
  for (guint i = 0; i < shown; i++)
    {
      const MsReportFinding *f = &g_array_index (report->findings, MsReportFinding, i);
      char strength[MS_NUMBER_SIZE];

      g_ascii_formatd (strength, sizeof strength, f->finding->strength < 10 ? "%.1f" : "%.0f",
                       f->finding->strength);
      append (
          out,
          "<tr><td class=\"n\">%s</td><td>%s</td><td class=\"place\"><a href=\"#%s\">%s</a></td>"
          "</tr>\n",
          strength, f->finding->text, f->section->analysis->name, f->section->analysis->title);
    }
  g_string_append (out, "</table>\n");
  if (shown < report->n_findings)
    append (out,
            "<p class=\"note\">%u of %u, at most %u of each analysis; `moescope analyze` tells the "
            "others.</p>\n",
            shown, report->n_findings, MS_REPORT_EACH);
}

static void
append_fact (GString *out, const char *name, const char *value)
{
  if (value != NULL && value[0] != '\0')
    append (out, "<dt>%s</dt><dd>%s</dd>", name, value);
}

static void
append_trace_facts (GString *out, MsTrace *trace, const char *hash)
{
  const MsRun *run = ms_trace_run (trace);
  const MsModel *model = ms_trace_model (trace);
  g_autofree char *selection = ms_selection_format (ms_trace_selection (trace));
  g_autofree char *id = g_strdup_printf ("%" G_GINT64_FORMAT " (%s)", run->id, run->name);
  char tokens[MS_NUMBER_SIZE];
  g_autofree char *size = g_strdup_printf ("%s tokens of %u documents at %u MoE layers",
                                           ms_number_grouped (tokens, ms_trace_n_tokens (trace)),
                                           ms_trace_n_documents (trace), ms_trace_n_layers (trace));

  g_string_append (out, "<dl>");
  append_fact (out, "File", ms_trace_path (trace));
  append_fact (out, "SHA-256", hash);
  append_fact (out, "Run", id);
  append_fact (out, "Selection", selection[0] != '\0' ? selection : "everything");
  append_fact (out, "Looked at", size);
  append_fact (out, "Model", model->name);
  append_fact (out, "Architecture", model->architecture);
  append_fact (out, "Router", model->router);
  append_fact (out, "Model file", model->fingerprint);
  append_fact (out, "Collected", run->started);
  append_fact (out, "Finished",
               run->finished != NULL ? run->finished : "no: the run is incomplete");
  append_fact (out, "Precision", run->precision);
  append_fact (out, "Collector", run->collector);
  append_fact (out, "Command", run->command);
  g_string_append (out, "</dl>\n");
}

static void
append_provenance (GString *out, const MsReport *report)
{
  const MsJob *job = report->job;

  g_string_append (out, "<h2 id=\"provenance\">Where the numbers come from</h2>\n");
  append_trace_facts (out, job->trace, report->hash);
  for (guint i = 0; i < job->other_traces->len; i++)
    {
      g_string_append (out, "<h3>Compared with</h3>\n");
      append_trace_facts (out, job->other_traces->pdata[i], NULL);
    }
  append (out,
          "<dl><dt>Report by</dt><dd>moescope %s</dd><dt>Command</dt><dd><code>%s</code></dd>"
          "<dt>Seed</dt><dd>%" G_GINT64_FORMAT "</dd><dt>Intervals</dt><dd>%s</dd></dl>\n",
          MS_VERSION, ms_command_line (), job->seed,
          report->interval != NULL ? report->interval : "none");
  g_string_append (out, "<h2 id=\"check\">Trace check</h2>\n");
  if (report->n_bad == 0)
    g_string_append (out, "<p>The file is whole: SQLite's integrity check and the check of every "
                          "chunk found no fault.</p>\n");
  else
    append (out, "<p class=\"warn\">%u fault%s found: do not rely on these numbers.</p>\n",
            report->n_bad, report->n_bad == 1 ? "" : "s");
  if (report->checks->len > 0)
    {
      g_string_append (out, "<ul>");
      for (guint i = 0; i < MIN (report->checks->len, 30); i++)
        append (out, "<li>%s</li>", (char *) report->checks->pdata[i]);
      g_string_append (out, "</ul>\n");
    }
}

static void
append_missing (GString *out, const MsReport *report)
{
  gboolean any = FALSE;

  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];

      if (section->reason == NULL)
        continue;
      g_string_append (out, any ? "" : "<h2 id=\"missing\">Not in this report</h2>\n<ul>");
      append (out, "<li><b>%s</b>: %s</li>\n", section->analysis->title, section->reason);
      any = TRUE;
    }
  g_string_append (out, any ? "</ul>\n" : "");
}

char *
ms_report_html (const MsReport *report)
{
  GString *out = g_string_new ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                               "<meta name=\"viewport\" content=\"width=device-width\">");
  MsTrace *trace = report->job->trace;
  char tokens[MS_NUMBER_SIZE];
  g_autofree char *selection = ms_selection_format (ms_trace_selection (trace));

  append (out, "<title>%s</title><meta name=\"generator\" content=\"moescope %s\"><style>",
          report->title, MS_VERSION);
  g_string_append (out, style);
  append (out,
          "</style></head><body>\n<h1>%s</h1>\n<p class=\"sub\">%s tokens, %u documents, %u MoE "
          "layers%s%s</p>\n",
          report->title, ms_number_grouped (tokens, ms_trace_n_tokens (trace)),
          ms_trace_n_documents (trace), ms_trace_n_layers (trace),
          selection[0] != '\0' ? "; selection: " : "", selection);
  if (report->n_bad > 0)
    g_string_append (out, "<p class=\"warn\">The file is damaged: see the <a href=\"#check\">trace "
                          "check</a>.</p>\n");
  g_string_append (out, "<h2>Summary</h2>\n<ul>");
  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];

      if (section->result != NULL)
        append (out, "<li>%s <a class=\"place\" href=\"#%s\">%s</a></li>\n",
                section->result->summary, section->analysis->name, section->analysis->title);
    }
  g_string_append (out, "</ul>\n");
  append_findings (out, report);
  for (guint i = 0; i < report->sections->len; i++)
    if (((const MsSection *) report->sections->pdata[i])->result != NULL)
      append_section (out, report, report->sections->pdata[i]);
  append_missing (out, report);
  append_provenance (out, report);
  g_string_append (out, "</body></html>\n");
  return g_string_free (out, FALSE);
}
