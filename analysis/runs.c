/* Results of several runs in one, so that tables and figures hold them together.
 *
 * Every run is computed by itself: its intervals are its own, and the numbers are those it has alone. */
#include "analysis-private.h"

#include <stdlib.h>
#include <string.h>

#define LABEL_MOST 28 /* characters of a run's name: a legend holds seven */

char *
ms_run_label (const MsRun *run)
{
  g_autofree char *name = ms_text_printable (run->name != NULL ? run->name : "", -1);
  gboolean whole = g_utf8_strlen (name, -1) <= LABEL_MOST;
  g_autofree char *start = whole ? g_strdup (name) : g_utf8_substring (name, 0, LABEL_MOST - 1);

  return g_strdup_printf ("%" G_GINT64_FORMAT ": %s%s", run->id, g_strchomp (start),
                          whole ? "" : "…");
}

/* The number behind the word, which stands alone or behind something that is no letter; -1 = none. */
static gint64
step_behind (const char *text, const char *word)
{
  for (const char *at = text; (at = strstr (at, word)) != NULL; at += strlen (word))
    {
      const char *digits = at + strlen (word);
      gint64 step;
      char *end;

      if (at > text && g_ascii_isalpha (at[-1]))
        continue;
      digits += strspn (digits, " _-=:");
      if (!g_ascii_isdigit (*digits))
        continue;
      step = g_ascii_strtoll (digits, &end, 10);
      if (step < G_MAXINT64 / 20 && !g_ascii_isalpha (*end))
        return step;
    }
  return -1;
}

gint64
ms_run_step (const MsRun *run)
{
  static const char *const words[] = { "step", "checkpoint", "ckpt", "iter" };
  const char *const texts[] = { run->name, run->command };

  for (guint t = 0; t < G_N_ELEMENTS (texts); t++)
    {
      g_autofree char *text = texts[t] != NULL ? g_ascii_strdown (texts[t], -1) : NULL;

      for (guint w = 0; text != NULL && w < G_N_ELEMENTS (words); w++)
        {
          gint64 step = step_behind (text, words[w]);

          if (step >= 0)
            return step;
        }
    }
  return -1;
}

void
ms_result_name_run (MsResult *result, const char *table, const char *column, const char *what,
                    MsTrace *trace)
{
  g_autofree char *label = ms_run_label (ms_trace_run (trace));
  g_autofree char *title = g_strdup_printf ("%s, %s", what, label);

  ms_table_retitle (ms_result_table (result, table), column, title);
}

void
ms_result_name_change (MsResult *result, const MsContext *context, const char *table)
{
  g_autofree char *run = ms_run_label (ms_trace_run (context->trace));
  g_autofree char *base = ms_run_label (ms_trace_run (context->others[0]));
  g_autofree char *title = g_strdup_printf ("Load, %s minus %s", run, base);

  ms_table_retitle (ms_result_table (result, table), "change", title);
}

gboolean
ms_analysis_takes_runs (const MsAnalysis *analysis)
{
  return !(analysis->needs & (MS_NEEDS_OTHER | MS_NEEDS_SERIES));
}

static int
compare_runs (gconstpointer a, gconstpointer b)
{
  const MsRunResult *left = a, *right = b;

  return (left->run->id > right->run->id) - (left->run->id < right->run->id);
}

/* An empty result with the columns of `one` behind those that name the run. */
static MsResult *
stack_new (const MsResult *one)
{
  MsResult *all = ms_result_new (one->analysis, ms_table_new_stacked);

  all->by = g_strdup (one->by);
  for (guint i = 0; one->by != NULL && i < all->n_tables; i++)
    {
      ms_table_unref (all->tables[i]);
      all->tables[i] = ms_table_new_stacked (ms_table_def (one->tables[i]));
    }
  return all;
}

MsResult *
ms_result_stack (const MsRunResult *runs, guint n)
{
  g_autofree MsRunResult *sorted = g_memdup2 (runs, n * sizeof *runs);
  g_autoptr (GString) summary = g_string_new (NULL);
  g_autoptr (GPtrArray) notes = g_ptr_array_new ();
  g_auto (GStrv) labels = g_new0 (char *, n + 1);
  MsResult *all = NULL;

  qsort (sorted, n, sizeof *sorted, compare_runs);
  for (guint r = 0; r < n; r++)
    {
      g_autofree char *label = ms_run_label (sorted[r].run);
      const MsResult *one = sorted[r].result;

      g_string_append_printf (summary, "%s%s: ", r > 0 ? "\n" : "", label);
      if (one == NULL)
        {
          g_string_append_printf (summary, "left out: %s", sorted[r].reason);
          continue;
        }
      g_string_append (summary, one->summary != NULL ? one->summary : "");
      if (all == NULL)
        all = stack_new (one);
      for (guint i = 0; i < all->n_tables; i++)
        ms_table_append_run (all->tables[i], sorted[r].run->id, label, one->tables[i]);
      ms_result_add_findings (all, label, sorted[r].run->id, one);
      labels[notes->len] = g_steal_pointer (&label);
      g_ptr_array_add (notes, one->notes);
      all->seconds += one->seconds;
      all->n_runs++;
    }
  g_return_val_if_fail (all != NULL, NULL);
  ms_result_join_notes (all, (const char *const *) labels, (GPtrArray **) notes->pdata, notes->len);
  all->summary = g_strdup (summary->str);
  ms_result_sort (all);
  return all;
}

MsResult *
ms_analysis_run_each (const MsAnalysis *analysis, const MsContext *context, const char *by,
                      GError **error)
{
  guint n = context->n_with + 1;
  g_autoptr (GPtrArray) results = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_result_free);
  g_autoptr (GPtrArray) failures = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autofree MsRunResult *runs = g_new0 (MsRunResult, n);

  if (context->n_with == 0)
    return by != NULL ? ms_analysis_run_by (analysis, context, by, error)
                      : ms_analysis_run (analysis, context, error);
  for (guint r = 0; r < n; r++)
    {
      MsPartProgress progress = { context, (double) r / n, 1.0 / n };
      MsContext part = *context;
      GError *failure = NULL;
      MsResult *result;

      part.trace = r == 0 ? context->trace : context->with[r - 1];
      part.with = NULL;
      part.n_with = 0;
      part.progress = ms_part_progress;
      part.progress_data = &progress;
      result = ms_analysis_run_each (analysis, &part, by, &failure);
      runs[r] = (MsRunResult){ ms_trace_run (part.trace), result,
                               failure != NULL ? failure->message : NULL };
      if (result != NULL)
        g_ptr_array_add (results, result);
      else if (g_error_matches (failure, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS))
        g_ptr_array_add (failures, failure);
      else
        {
          g_propagate_prefixed_error (error, failure, "run %" G_GINT64_FORMAT ": ",
                                      runs[r].run->id);
          return NULL;
        }
    }
  if (results->len > 0)
    return ms_result_stack (runs, n);
  if (error != NULL)
    *error = g_error_copy (failures->pdata[0]);
  return NULL;
}
