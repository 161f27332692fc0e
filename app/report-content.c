/* What a report says, in reading order: sentences, findings, a section for each analysis, what is
 * missing, where the numbers come from.  HTML, Markdown and PDF write the same blocks. */
#include "report-content.h"

#include <string.h>

#define CHECKS_MOST 30 /* findings of the integrity check that are listed */

static void
clear_item (gpointer data)
{
  MsItem *item = data;

  g_free (item->name);
  g_free (item->text);
  g_free (item->number);
}

static void
free_block (gpointer data)
{
  MsBlock *block = data;

  g_free (block->text);
  if (block->items != NULL)
    g_array_unref (block->items);
  g_free (block);
}

static MsBlock *
add (GPtrArray *blocks, MsBlockKind kind, MsBlockRole role, char *text)
{
  MsBlock *block = g_new0 (MsBlock, 1);

  block->kind = kind;
  block->role = role;
  block->text = text;
  g_ptr_array_add (blocks, block);
  return block;
}

static MsBlock *
add_heading (GPtrArray *blocks, guint level, const char *text, const char *id)
{
  MsBlock *block = add (blocks, MS_BLOCK_HEADING, MS_ROLE_PLAIN, g_strdup (text));

  block->level = level;
  block->id = id;
  return block;
}

static MsBlock *
add_items (GPtrArray *blocks, MsBlockKind kind, MsBlockRole role)
{
  MsBlock *block = add (blocks, kind, role, NULL);

  block->items = g_array_new (FALSE, FALSE, sizeof (MsItem));
  g_array_set_clear_func (block->items, clear_item);
  return block;
}

static void
add_item (MsBlock *block, const char *name, const char *text, const MsSection *place)
{
  MsItem item = { .name = g_strdup (name), .text = g_strdup (text), .place = place };

  if (text != NULL && text[0] != '\0')
    g_array_append_val (block->items, item);
  else
    clear_item (&item);
}

const MsSection *
ms_report_headline (const MsReport *report, const MsHeadlineDef *def, MsHeadline **headline)
{
  *headline = NULL;
  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];

      if (section->own != NULL || strcmp (section->analysis->name, def->analysis) != 0)
        continue;
      if (section->result != NULL && (section->result->by != NULL || section->result->n_runs > 0))
        return NULL;
      if (section->result != NULL)
        *headline = ms_headline_new (def, section->result);
      return section;
    }
  return NULL;
}

static void
add_headlines (GPtrArray *blocks, const MsReport *report)
{
  MsBlock *list = add_items (blocks, MS_BLOCK_NUMBERS, MS_ROLE_PLAIN);

  for (const MsHeadlineDef *def = ms_headlines (); def->name != NULL; def++)
    {
      g_autoptr (MsHeadline) headline = NULL;
      const MsSection *section = ms_report_headline (report, def, &headline);
      MsItem item = { .name = g_strdup (def->title) };

      if (section == NULL)
        {
          clear_item (&item);
          continue;
        }
      if (headline != NULL && headline->number != NULL)
        {
          item.number = g_strdup (headline->number);
          item.unit = headline->unit;
          item.text = g_strdup (headline->text);
          item.place = section;
        }
      else
        item.text = g_strdup_printf ("Not available: %s", headline != NULL  ? headline->text
                                                          : section->reason ? section->reason
                                                                            : "it did not run");
      g_array_append_val (list->items, item);
    }
  if (list->items->len == 0)
    g_ptr_array_remove (blocks, list);
}

/* The sentence of a section; by groups or runs it has one for each, in lines. */
static void
add_sentences (GPtrArray *blocks, const MsSection *section)
{
  g_auto (GStrv) lines = NULL;
  MsBlock *list;

  if (section->result->by == NULL && section->result->n_runs == 0)
    {
      add (blocks, MS_BLOCK_TEXT, MS_ROLE_LEAD, g_strdup (section->result->summary));
      return;
    }
  lines = g_strsplit (section->result->summary, "\n", -1);
  list = add_items (blocks, MS_BLOCK_LIST, MS_ROLE_PLAIN);
  for (guint i = 0; lines[i] != NULL; i++)
    add_item (list, NULL, lines[i], NULL);
}

/* Every section with its sentence. */
static void
add_contents (GPtrArray *blocks, const MsReport *report)
{
  MsBlock *list;

  add_heading (blocks, 2, "Contents", "contents");
  list = add_items (blocks, MS_BLOCK_LIST, MS_ROLE_PLAIN);
  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];
      g_autofree char *groups = NULL;

      if (section->result == NULL)
        continue;
      if (section->result->n_runs > 0 && section->result->by == NULL)
        {
          g_auto (GStrv) lines = g_strsplit (section->result->summary, "\n", -1);

          for (guint line = 0; lines[line] != NULL; line++)
            add_item (list, NULL, lines[line], section);
          continue;
        }
      if (section->result->by != NULL)
        groups = g_strdup_printf ("%s, once for every %s.", section->analysis->title,
                                  section->result->by);
      add_item (list, NULL, groups != NULL ? groups : section->result->summary, section);
    }
}

/* What was measured on what, and the numbers that say first what the run is like. */
static void
add_summary (GPtrArray *blocks, const MsReport *report)
{
  MsTrace *trace = report->job->trace;
  const MsModel *model = ms_trace_model (trace);
  const MsRun *run = ms_trace_run (trace);
  g_autofree char *router = ms_model_describe_router (model);

  add_heading (blocks, 2, "Summary", "summary");
  add (blocks, MS_BLOCK_TEXT, MS_ROLE_PLAIN,
       g_strdup_printf ("Measured is %s (%s) in run %" G_GINT64_FORMAT ", %s, recorded %s.  "
                        "Intervals: %s.",
                        model->name, router, run->id, run->name, run->started,
                        report->interval != NULL ? report->interval : "none"));
  add_headlines (blocks, report);
}

static void
add_findings (GPtrArray *blocks, const MsReport *report)
{
  guint shown = MIN (report->findings->len, MS_REPORT_FINDINGS);
  MsBlock *list;

  add_heading (blocks, 2, "What stands out", "findings");
  if (shown == 0)
    {
      add (blocks, MS_BLOCK_TEXT, MS_ROLE_PLAIN,
           g_strdup ("Nothing stands out from what chance would give."));
      return;
    }
  add (blocks, MS_BLOCK_TEXT, MS_ROLE_NOTE,
       g_strdup (
           "Strongest first.  SE: so many standard errors from what is expected, which says how "
           "sure it is.  \xc3\x97: so many times what chance or an even share gives, which says "
           "how large it is."));
  list = add_items (blocks, MS_BLOCK_RANKED, MS_ROLE_PLAIN);
  for (guint i = 0; i < shown; i++)
    {
      const MsReportFinding *f = &g_array_index (report->findings, MsReportFinding, i);
      char number[MS_NUMBER_SIZE];
      g_autofree char *strength = NULL;

      g_ascii_formatd (number, sizeof number, f->finding->strength < 10 ? "%.1f" : "%.0f",
                       f->finding->strength);
      strength = g_strconcat (number, f->section->analysis->times ? "\xc3\x97" : " SE", NULL);
      add_item (list, strength, f->finding->text, f->section);
    }
  if (shown < report->n_findings)
    add (blocks, MS_BLOCK_TEXT, MS_ROLE_NOTE,
         g_strdup_printf ("%u of %u, at most %u of each analysis; the sections' commands tell "
                          "the others.",
                          shown, report->n_findings, MS_REPORT_EACH));
}

/* Whether a plot has anything to show. */
static gboolean
has_figure (const MsSection *section, const MsPlotDef *plot)
{
  MsTable *table = ms_result_table (section->result, plot->table);

  return table != NULL && ms_plot_has_data (plot, table);
}

static void
add_figures (GPtrArray *blocks, const MsReport *report, const MsSection *section)
{
  const MsPlotDef *plot = section->analysis->plots;
  const MsJob *job = section->own != NULL ? section->own : report->job;
  g_autofree char *interval_name = ms_interval_name (&job->context);
  gboolean first = TRUE;

  for (; plot != NULL && plot->name != NULL; plot++)
    {
      MsTable *table = ms_result_table (section->result, plot->table);
      g_autofree char *note = NULL;
      MsBlock *block;

      if ((section->plot != NULL && plot != section->plot) || !has_figure (section, plot))
        continue;
      note = table != NULL ? ms_plot_note (plot, table, interval_name) : NULL;
      block = add (blocks, MS_BLOCK_FIGURE, MS_ROLE_PLAIN,
                   g_strdup_printf ("%s.%s%s", plot->title, note != NULL ? " " : "",
                                    note != NULL ? note : ""));
      block->section = section;
      block->plot = plot;
      block->further = !first;
      first = FALSE;
    }
}

/* The command that makes one section's tables alone. */
static char *
command_of (const MsReport *report, const MsSection *section)
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
  if (job->sampling.seed != MS_SAMPLING_USUAL.seed)
    g_string_append_printf (out, " --seed %" G_GINT64_FORMAT, (gint64) job->sampling.seed);
  if (job->sampling.resamples != MS_SAMPLING_USUAL.resamples)
    g_string_append_printf (out, " --bootstrap %u", job->sampling.resamples);
  if (job->cluster != NULL)
    g_string_append_printf (out, " --cluster %s", job->cluster);
  return g_string_free (out, FALSE);
}

static void
add_section (GPtrArray *blocks, const MsReport *report, const MsSection *section)
{
  const MsAnalysis *analysis = section->analysis;
  const MsResult *result = section->result;
  g_autofree char *command = command_of (report, section);
  MsBlock *block;

  add_heading (blocks, 2, section->title, section->id);
  add (blocks, MS_BLOCK_TEXT, MS_ROLE_SOFT, g_strdup (analysis->help));
  add_sentences (blocks, section);
  if (section->other != NULL)
    add (blocks, MS_BLOCK_TEXT, MS_ROLE_PLAIN, g_strdup_printf ("Baseline: %s", section->other));
  add_figures (blocks, report, section);
  for (guint i = 0; i < result->n_tables; i++)
    {
      if (ms_table_n_rows (result->tables[i]) == 0)
        continue;
      block = add (blocks, MS_BLOCK_TABLE, MS_ROLE_PLAIN,
                   g_strdup_printf ("%s --table %s --format csv", command,
                                    ms_table_def (result->tables[i])->name));
      block->table = result->tables[i];
    }
  if (result->notes->len > 0)
    {
      block = add_items (blocks, MS_BLOCK_LIST, MS_ROLE_NOTE);
      for (guint i = 0; i < result->notes->len; i++)
        add_item (block, NULL, result->notes->pdata[i], NULL);
    }
  block = add_items (blocks, MS_BLOCK_FACTS, MS_ROLE_PLAIN);
  add_item (block, "Definition", analysis->formula, NULL);
  add_item (block, "Source", analysis->cite, NULL);
  add_item (block, "Command", command, NULL);
}

static void
add_missing (GPtrArray *blocks, const MsReport *report)
{
  MsBlock *list = NULL;

  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];

      if (section->reason == NULL)
        continue;
      if (list == NULL)
        {
          add_heading (blocks, 2, "Not in this report", "missing");
          list = add_items (blocks, MS_BLOCK_FACTS, MS_ROLE_PLAIN);
        }
      add_item (list, section->title, section->reason, NULL);
    }
}

static void
add_trace (GPtrArray *blocks, MsTrace *trace, const char *hash)
{
  const MsRun *run = ms_trace_run (trace);
  const MsModel *model = ms_trace_model (trace);
  g_autofree char *selection = ms_selection_format (ms_trace_selection (trace));
  g_autofree char *id = g_strdup_printf ("%" G_GINT64_FORMAT " (%s)", run->id, run->name);
  char tokens[MS_NUMBER_SIZE], documents[MS_NUMBER_SIZE];
  guint n_documents = ms_trace_n_documents (trace), n_layers = ms_trace_n_layers (trace);
  g_autofree char *size
      = g_strdup_printf ("%s tokens of %s document%s at %u MoE layer%s",
                         ms_number_grouped (tokens, ms_trace_n_tokens (trace)),
                         ms_number_grouped (documents, n_documents), n_documents == 1 ? "" : "s",
                         n_layers, n_layers == 1 ? "" : "s");
  g_autofree char *router = ms_model_describe_router (model);
  MsBlock *facts = add_items (blocks, MS_BLOCK_FACTS, MS_ROLE_PLAIN);

  add_item (facts, "File", ms_trace_path (trace), NULL);
  add_item (facts, "SHA-256", hash, NULL);
  add_item (facts, "Run", id, NULL);
  add_item (facts, "Selection", selection[0] != '\0' ? selection : "everything", NULL);
  add_item (facts, "Looked at", size, NULL);
  add_item (facts, "Model", model->name, NULL);
  add_item (facts, "Architecture", model->architecture, NULL);
  add_item (facts, "Router", router, NULL);
  add_item (facts, "Model file", model->fingerprint, NULL);
  add_item (facts, "Collected", run->started, NULL);
  add_item (facts, "Finished", run->finished != NULL ? run->finished : "no: the run is incomplete",
            NULL);
  add_item (facts, "Precision", run->precision, NULL);
  add_item (facts, "Collector", run->collector, NULL);
  add_item (facts, "Command", run->command, NULL);
}

static void
add_provenance (GPtrArray *blocks, const MsReport *report)
{
  const MsJob *job = report->job;
  g_autofree char *seed = g_strdup_printf ("%" G_GINT64_FORMAT, (gint64) job->sampling.seed);
  MsBlock *facts;

  add_heading (blocks, 2, "Where the numbers come from", "provenance");
  add_trace (blocks, job->trace, report->hash);
  for (guint i = 0; i < job->with_traces->len; i++)
    {
      add_heading (blocks, 3, "Shown beside it", NULL);
      add_trace (blocks, job->with_traces->pdata[i], NULL);
    }
  for (guint i = 0; i < job->other_traces->len; i++)
    {
      add_heading (blocks, 3, "Compared with", NULL);
      add_trace (blocks, job->other_traces->pdata[i], NULL);
    }
  add_heading (blocks, 3, "This report", NULL);
  facts = add_items (blocks, MS_BLOCK_FACTS, MS_ROLE_PLAIN);
  add_item (facts, "Made by", "moescope " MS_VERSION, NULL);
  add_item (facts, "Command", ms_command_line (), NULL);
  add_item (facts, "Seed", seed, NULL);
  add_item (facts, "Intervals", report->interval != NULL ? report->interval : "none", NULL);
}

static void
add_check (GPtrArray *blocks, const MsReport *report)
{
  MsBlock *list;

  add_heading (blocks, 2, "Trace check", "check");
  if (report->n_bad == 0)
    add (blocks, MS_BLOCK_TEXT, MS_ROLE_PLAIN,
         g_strdup ("The file is whole: SQLite's integrity check and the check of every chunk found "
                   "no fault."));
  else
    add (blocks, MS_BLOCK_TEXT, MS_ROLE_WARNING,
         g_strdup_printf ("%u fault%s found: do not rely on these numbers.", report->n_bad,
                          report->n_bad == 1 ? "" : "s"));
  if (report->checks->len == 0)
    return;
  list = add_items (blocks, MS_BLOCK_LIST, MS_ROLE_NOTE);
  for (guint i = 0; i < MIN (report->checks->len, CHECKS_MOST); i++)
    add_item (list, NULL, report->checks->pdata[i], NULL);
}

/* Names from the file are in texts of all kinds: here none is forgotten. */
static void
make_printable (MsBlock *block)
{
  ms_text_make_printable (&block->text);
  for (guint i = 0; block->items != NULL && i < block->items->len; i++)
    {
      MsItem *item = &g_array_index (block->items, MsItem, i);

      ms_text_make_printable (&item->name);
      ms_text_make_printable (&item->text);
      ms_text_make_printable (&item->number);
    }
}

GPtrArray *
ms_report_content (const MsReport *report)
{
  GPtrArray *blocks = g_ptr_array_new_with_free_func (free_block);
  MsTrace *trace = report->job->trace;
  guint n_documents = ms_trace_n_documents (trace), n_layers = ms_trace_n_layers (trace);
  char tokens[MS_NUMBER_SIZE], documents[MS_NUMBER_SIZE];
  g_autofree char *selection = ms_selection_format (ms_trace_selection (trace));

  add_heading (blocks, 1, report->title, NULL);
  add (blocks, MS_BLOCK_TEXT, MS_ROLE_SOFT,
       g_strdup_printf ("%s tokens, %s document%s, %u MoE layer%s%s%s",
                        ms_number_grouped (tokens, ms_trace_n_tokens (trace)),
                        ms_number_grouped (documents, n_documents), n_documents == 1 ? "" : "s",
                        n_layers, n_layers == 1 ? "" : "s",
                        selection[0] != '\0' ? "; selection: " : "", selection));
  if (report->job->context.n_others == 1)
    add (blocks, MS_BLOCK_TEXT, MS_ROLE_SOFT,
         g_strdup_printf ("The run, %s, is compared with the baseline, %s.",
                          ms_trace_run (trace)->name,
                          ms_trace_run (report->job->context.others[0])->name));
  if (report->n_bad > 0)
    add (blocks, MS_BLOCK_TEXT, MS_ROLE_WARNING,
         g_strdup ("The file is damaged: see the trace check at the end."));
  add_summary (blocks, report);
  add_findings (blocks, report);
  add_contents (blocks, report);
  for (guint i = 0; i < report->sections->len; i++)
    if (((const MsSection *) report->sections->pdata[i])->result != NULL)
      add_section (blocks, report, report->sections->pdata[i]);
  add_missing (blocks, report);
  add_provenance (blocks, report);
  add_check (blocks, report);
  for (guint i = 0; i < blocks->len; i++)
    make_printable (blocks->pdata[i]);
  return blocks;
}

/* --- What the formats share --------------------------------------------------------------------- */

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
