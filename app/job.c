/* Options, parameters and traces of commands that run analyses; see job.h.
 *
 * The analysis decides which options there are, so its name is looked for before they are parsed. */
#include "job.h"

#include <string.h>

void
ms_job_init (MsJob *job, const MsCommand *command)
{
  *job = (MsJob){ .command = command, .sampling = MS_SAMPLING_USUAL };
  job->other_traces = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);
  job->with_traces = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);
}

void
ms_job_clear (MsJob *job)
{
  g_free (job->select);
  g_free (job->by);
  g_free (job->cluster);
  g_strfreev (job->others);
  g_free (job->path);
  ms_values_free (job->values);
  g_clear_pointer (&job->other_traces, g_ptr_array_unref);
  g_clear_pointer (&job->with_traces, g_ptr_array_unref);
  g_clear_pointer (&job->trace, ms_trace_unref);
}

void
ms_job_add_entries (MsJob *job, GArray *entries, gboolean by)
{
  const GOptionEntry common[] = {
    { "run", 0, 0, G_OPTION_ARG_INT64, &job->run, "Which run of the file (default: newest)", "N" },
    { "select", 0, 0, G_OPTION_ARG_STRING, &job->select,
      "What part to look at: 'layer=4..8 lang=de domain=code doc=12 token=0..4095'; 'expert=17' "
      "keeps rows of that expert; "
      "'with=2,3' shows these runs beside it",
      "TEXT" },
    { "other", 0, 0, G_OPTION_ARG_STRING_ARRAY, &job->others,
      "A second run to compare with, or the next of a series (repeatable)", "FILE[#RUN]" },
    { "threads", 0, 0, G_OPTION_ARG_INT, &job->threads, "Threads (default 0: all cores)", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &job->sampling.seed, "Seed of intervals and chance values",
      "N" },
    { "bootstrap", 0, 0, G_OPTION_ARG_INT, &job->sampling.resamples,
      "Resamples of documents for intervals (default 1000, 0 = none)", "N" },
    { "confidence", 0, 0, G_OPTION_ARG_DOUBLE, &job->sampling.confidence,
      "Confidence of intervals (default 0.95)", "P" },
    { "cluster", 0, 0, G_OPTION_ARG_STRING, &job->cluster,
      "Documents with the same language, domain, phase or parallel key are one observation "
      "(default: parallel; copies of a text always are)",
      "LABEL" },
  };
  const GOptionEntry groups
      = { "by",     0,
          0,        G_OPTION_ARG_STRING,
          &job->by, "Once for every language, domain, document, phase or parallel",
          "LABEL" };

  g_array_append_vals (entries, common, G_N_ELEMENTS (common));
  if (by)
    g_array_append_val (entries, groups);
}

const char *
ms_job_check (const MsJob *job)
{
  if (job->threads < 0 || job->threads > 1024)
    return "--threads: a number between 0 (all cores) and 1024 is needed";
  if (job->sampling.resamples > 100000) /* what is below 0 too: the option is an int */
    return "--bootstrap: a number between 0 and 100000 is needed";
  if (!(job->sampling.confidence > 0 && job->sampling.confidence < 1))
    return "--confidence: a number between 0 and 1 is needed";
  return NULL;
}

/* --- The command line ------------------------------------------------------------------------ */

static const GOptionEntry *
find_entry (const GArray *entries, const char *name)
{
  for (guint i = 0; i < entries->len; i++)
    if (strcmp (g_array_index (entries, GOptionEntry, i).long_name, name) == 0)
      return &g_array_index (entries, GOptionEntry, i);
  return NULL;
}

/* The words that are neither options nor their values. */
static GPtrArray *
find_positional (const GArray *entries, int argc, char **argv)
{
  GPtrArray *words = g_ptr_array_new ();

  for (int i = 1; i < argc; i++)
    {
      const GOptionEntry *entry
          = g_str_has_prefix (argv[i], "--") ? find_entry (entries, argv[i] + 2) : NULL;

      if (argv[i][0] != '-' || argv[i][1] == '\0')
        g_ptr_array_add (words, argv[i]);
      else if (strcmp (argv[i], "-o") == 0
               || (g_str_has_prefix (argv[i], "--") && strchr (argv[i], '=') == NULL
                   && strcmp (argv[i], "--help") != 0
                   && (entry == NULL || entry->arg != G_OPTION_ARG_NONE)))
        i++;
    }
  return words;
}

/* NULL when every option exists; else a message with the nearest one. */
static char *
find_wrong_option (const MsAnalysis *analysis, const GArray *entries, int argc, char **argv)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const char *nearest;

  for (guint i = 0; i < entries->len; i++)
    g_ptr_array_add (names, (gpointer) g_array_index (entries, GOptionEntry, i).long_name);
  g_ptr_array_add (names, NULL);
  for (int i = 1; i < argc; i++)
    {
      g_autofree char *name = NULL;

      if (!g_str_has_prefix (argv[i], "--") || argv[i][2] == '\0')
        continue;
      name = g_strndup (argv[i] + 2, strcspn (argv[i] + 2, "="));
      if (find_entry (entries, name) != NULL || strcmp (name, "help") == 0)
        continue;
      nearest = ms_text_nearest (name, (const char *const *) names->pdata);
      return g_strdup_printf ("%s has no parameter --%s%s%s%s", analysis->name, name,
                              nearest != NULL ? "; did you mean --" : "",
                              nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    }
  return NULL;
}

static MsExit
unknown_analysis (const MsJob *job, const char *name)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const MsAnalysis *const *all = ms_analyses ();
  const char *nearest;

  for (guint i = 0; all[i] != NULL; i++)
    g_ptr_array_add (names, (gpointer) all[i]->name);
  g_ptr_array_add (names, NULL);
  nearest = ms_text_nearest (name, (const char *const *) names->pdata);
  if (nearest != NULL)
    return ms_command_misuse (job->command, "there is no analysis '%s'; did you mean %s?", name,
                              nearest);
  return ms_command_misuse (job->command, "there is no analysis '%s'; see moescope analyze --list",
                            name);
}

/* Sets the parameters from their texts (freed). */
static gboolean
set_values (MsJob *job, char **texts, guint n, GError **error)
{
  gboolean fine = TRUE;

  job->values = ms_values_new (job->analysis);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *text = texts[i];

      fine = fine
             && (text == NULL
                 || ms_values_set (job->values, job->analysis->params[i].name, text, error));
    }
  return fine;
}

gboolean
ms_job_parse (MsJob *job, const GOptionEntry *own, int *argc, char ***argv,
              MsExit (*help) (const MsAnalysis *analysis), MsExit *status)
{
  g_autoptr (GArray) entries = g_array_new (TRUE, TRUE, sizeof (GOptionEntry));
  g_autoptr (GPtrArray) words = NULL;
  g_autofree char **texts = NULL;
  g_autofree char *wrong = NULL;
  g_autoptr (GError) error = NULL;
  const char *last, *complaint;
  guint n_params = 0;

  for (const GOptionEntry *entry = own; entry->long_name != NULL; entry++)
    g_array_append_val (entries, *entry);
  ms_job_add_entries (job, entries, TRUE);
  words = find_positional (entries, *argc, *argv);
  last = words->len > 0 ? g_ptr_array_index (words, MIN (words->len, 2) - 1) : "";
  job->analysis = ms_analysis_find (last);
  if (job->analysis != NULL
      && (g_strv_contains ((const char *const *) *argv, "--help")
          || g_strv_contains ((const char *const *) *argv, "-h")))
    {
      *status = help (job->analysis);
      return FALSE;
    }
  while (job->analysis != NULL && job->analysis->params != NULL
         && job->analysis->params[n_params].name != NULL)
    n_params++;
  texts = g_new0 (char *, n_params + 1);
  for (guint i = 0; i < n_params; i++)
    {
      GOptionEntry entry = { .long_name = job->analysis->params[i].name,
                             .arg = G_OPTION_ARG_STRING,
                             .arg_data = &texts[i] };

      g_array_append_val (entries, entry);
    }
  if (job->analysis != NULL
      && (wrong = find_wrong_option (job->analysis, entries, *argc, *argv)) != NULL)
    {
      *status = ms_command_misuse (job->command, "%s", wrong);
      return FALSE;
    }
  ms_command_parse (job->command, (const GOptionEntry *) (gpointer) entries->data, argc, argv);
  if (job->analysis == NULL && words->len >= 2)
    {
      *status = unknown_analysis (job, last);
      return FALSE;
    }
  complaint = ms_job_check (job);
  if (complaint != NULL)
    {
      *status = ms_command_misuse (job->command, "%s", complaint);
      return FALSE;
    }
  if (job->analysis != NULL && !set_values (job, texts, n_params, &error))
    {
      *status = ms_command_misuse (job->command, "%s", error->message);
      return FALSE;
    }
  if (*argc == 3)
    job->path = g_strdup ((*argv)[1]);
  return TRUE;
}

/* --- Running --------------------------------------------------------------------------------- */

static void
show_progress (double done, gpointer data)
{
  static gint shown = -1;
  gint percent = (gint) (100 * done);
  g_autofree char *line = NULL;

  if (g_atomic_int_get (&shown) == percent)
    return;
  g_atomic_int_set (&shown, percent);
  line = g_strdup_printf ("%s: %d %%", (const char *) data, percent);
  ms_command_progress (line);
}

/* FILE[#RUN]; an empty FILE is the job's own. */
static MsTrace *
open_other (const MsJob *job, const char *word, const MsSelection *selection, GError **error)
{
  const char *hash = strrchr (word, '#');
  gint64 run = 0;
  g_autofree char *file = NULL;
  MsSelection plain = *selection;

  if (hash != NULL && !g_ascii_string_to_signed (hash + 1, 10, 1, G_MAXINT64, &run, NULL))
    hash = NULL;
  file = hash != NULL ? g_strndup (word, (gsize) (hash - word)) : g_strdup (word);
  plain.run = 0;
  return ms_trace_open (file[0] != '\0' ? file : job->path, run, &plain, error);
}

/* The runs of `with`: shown beside the trace, or for an analysis of a series its earlier ones. */
static gboolean
open_with (MsJob *job, const MsSelection *selection, GError **error)
{
  gboolean series = job->analysis != NULL && job->analysis->needs & MS_NEEDS_SERIES;
  g_autofree gint64 *runs = NULL;
  guint n;

  if (job->trace == NULL || selection->with == NULL)
    return TRUE;
  if (job->analysis != NULL && !series && !ms_analysis_takes_runs (job->analysis))
    {
      g_set_error (
          error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
          "%s does not show several runs side by side: leave out with=", job->analysis->name);
      return FALSE;
    }
  if (!ms_selection_list_with (selection, ms_trace_run (job->trace)->id, &runs, &n, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      MsTrace *trace = ms_trace_open (job->path, runs[i], selection, error);

      if (trace == NULL)
        return FALSE;
      g_ptr_array_add (series ? job->other_traces : job->with_traces, trace);
    }
  return TRUE;
}

static gboolean
open_traces (MsJob *job, const MsSelection *selection, GError **error)
{
  MsTrace *other;

  if (strcmp (job->path, "-") != 0
      && (job->trace = ms_trace_open (job->path, job->run, selection, error)) == NULL)
    return FALSE;
  if (!open_with (job, selection, error))
    return FALSE;
  if (selection->base != 0)
    {
      if ((other = ms_trace_open (job->path, selection->base, selection, error)) == NULL)
        return FALSE;
      g_ptr_array_add (job->other_traces, other);
    }
  for (guint i = 0; job->others != NULL && job->others[i] != NULL; i++)
    {
      if ((other = open_other (job, job->others[i], selection, error)) == NULL)
        return FALSE;
      g_ptr_array_add (job->other_traces, other);
    }
  return TRUE;
}

gboolean
ms_job_open (MsJob *job, MsExit *status)
{
  g_autoptr (MsSelection) selection = NULL;
  GError *error = NULL;

  selection = ms_selection_parse (job->select != NULL ? job->select : "", &error);
  if (selection == NULL)
    {
      *status = ms_command_misuse (job->command, "%s", error->message);
      g_error_free (error);
      return FALSE;
    }
  if (!open_traces (job, selection, &error))
    {
      *status = ms_command_fail (job->command, error);
      return FALSE;
    }
  job->context = (MsContext){ .trace = job->trace,
                              .others = (MsTrace **) job->other_traces->pdata,
                              .n_others = job->other_traces->len,
                              .with = (MsTrace **) job->with_traces->pdata,
                              .n_with = job->with_traces->len,
                              .values = job->values,
                              .threads = (guint) job->threads,
                              .sampling = job->sampling,
                              .cluster = job->cluster,
                              .cancel = ms_command_cancellable (MS_STOP_AT_ONCE) };
  return TRUE;
}

MsResult *
ms_job_run (MsJob *job, MsExit *status)
{
  MsResult *result;
  GError *error = NULL;

  job->context.progress = show_progress;
  job->context.progress_data = (gpointer) job->analysis->name;
  result = ms_analysis_run_each (job->analysis, &job->context, job->by, &error);
  ms_command_progress (NULL);
  if (result == NULL && g_error_matches (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM))
    {
      *status = ms_command_misuse (job->command, "%s", error->message);
      g_error_free (error);
    }
  else if (result == NULL)
    *status = ms_command_fail (job->command, error);
  return result;
}
