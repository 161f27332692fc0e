/* moescope analyze: runs one analysis and writes its tables for people, as CSV or as JSON.
 *
 * Options, help and checks of an analysis all come from its descriptor.  Its name is looked for before
 * the options are parsed, because it decides which there are. */
#include "command.h"

#include "analysis.h"

#include <stdio.h>
#include <string.h>

/* Rows of a table shown to people when several tables are shown. */
#define SHOWN_ROWS     40
#define SHOWN_FINDINGS 10

typedef struct
{
  gint64 run;
  char *select, *by, *format, *output, *table;
  char **others;
  int threads;
  gint64 seed;
  int bootstrap;
  double confidence;
  gboolean all, store, list;
} Options;

static const char *const formats[] = { "table", "csv", "json", NULL };

static MsExit
misuse (const GError *error)
{
  return ms_command_misuse (&ms_command_analyze, "%s", error->message);
}

/* --- Help ------------------------------------------------------------------------------------ */

static void
print_wrapped (const char *title, const char *text)
{
  guint at = 0;
  g_auto (GStrv) words = g_strsplit_set (text, " \n", -1);

  printf ("\n%s\n", title);
  for (guint i = 0; words[i] != NULL; i++)
    {
      guint length = (guint) g_utf8_strlen (words[i], -1);

      if (length == 0)
        continue;
      if (at > 0 && at + 1 + length > 92)
        {
          putchar ('\n');
          at = 0;
        }
      at += (guint) printf ("%s%s", at == 0 ? "  " : " ", words[i]);
    }
  putchar ('\n');
}

static void
print_param (const MsParam *param)
{
  char least[MS_NUMBER_SIZE], most[MS_NUMBER_SIZE], usual[MS_NUMBER_SIZE];
  g_autofree char *range = NULL, *value = NULL;

  switch (param->type)
    {
    case MS_PARAM_INT:
    case MS_PARAM_REAL:
      range = g_strdup_printf ("%s..%s", ms_number_short (least, param->least),
                               ms_number_short (most, param->most));
      value = g_strdup (ms_number_short (usual, param->usual));
      break;
    case MS_PARAM_BOOL:
      range = g_strdup ("yes|no");
      value = g_strdup (param->usual != 0 ? "yes" : "no");
      break;
    case MS_PARAM_CHOICE:
      range = g_strjoinv ("|", (char **) param->choices);
      value = g_strdup (param->choices[(guint) param->usual]);
      break;
    case MS_PARAM_TEXT:
    case MS_PARAM_FILE:
      range = g_strdup (param->type == MS_PARAM_FILE ? "FILE" : "TEXT");
      value = g_strdup (
          param->usual_text != NULL && param->usual_text[0] != '\0' ? param->usual_text : "none");
      break;
    }
  printf ("  --%s %s  (%s%s%s; default %s)\n      %s\n", param->name, range, param->title,
          param->unit != NULL ? ", in " : "", param->unit != NULL ? param->unit : "", value,
          param->help);
}

static MsExit
print_help (const MsAnalysis *analysis)
{
  printf ("Usage: moescope analyze RUN.db %s [OPTION...]\n\n%s\n", analysis->name, analysis->title);
  print_wrapped ("Question", analysis->help);
  print_wrapped ("Definition", analysis->formula);
  print_wrapped ("Source", analysis->cite);
  printf ("\nParameters\n");
  for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
    print_param (param);
  printf ("\nTables\n");
  for (const MsTableDef *def = analysis->tables; def->name != NULL; def++)
    {
      printf ("  %s: %s\n", def->name, def->title);
      for (const MsColumn *column = def->columns; column->name != NULL; column++)
        printf ("      %s%s%s%s  %s\n", column->name, column->unit != NULL ? " [" : "",
                column->unit != NULL ? column->unit : "", column->unit != NULL ? "]" : "",
                column->help);
    }
  printf ("\n`moescope analyze --help` explains the options of all analyses.\n");
  return MS_EXIT_FINE;
}

static MsExit
print_list (void)
{
  const MsAnalysis *const *all = ms_analyses ();
  int width = 0;

  for (guint i = 0; all[i] != NULL; i++)
    width = MAX (width, (int) strlen (all[i]->name));
  for (guint i = 0; all[i] != NULL; i++)
    printf ("%-*s  %s\n", width, all[i]->name, all[i]->help);
  return MS_EXIT_FINE;
}

/* --- Tables for people ----------------------------------------------------------------------- */

static void
print_cell (GString *out, const char *text, int width, gboolean right)
{
  int blanks = width - (int) g_utf8_strlen (text, -1);

  g_string_append_printf (out, "%*s%s%*s", right ? MAX (blanks, 0) : 0, "", text,
                          right ? 0 : MAX (blanks, 0), "");
}

static void
print_table (GString *out, const MsTable *table, guint most_rows)
{
  guint n_columns = ms_table_n_columns (table), n_rows = MIN (ms_table_n_rows (table), most_rows);
  g_autofree int *widths = g_new (int, n_columns);

  g_string_append_printf (out, "\n%s (%s)\n", ms_table_def (table)->title,
                          ms_table_def (table)->name);
  for (guint i = 0; i < n_columns; i++)
    {
      widths[i] = (int) g_utf8_strlen (ms_table_column (table, i)->name, -1);
      for (guint row = 0; row < n_rows; row++)
        {
          g_autofree char *text = ms_table_format (table, row, i);

          widths[i] = MAX (widths[i], (int) g_utf8_strlen (text, -1));
        }
    }
  for (guint i = 0; i < n_columns; i++)
    {
      const MsColumn *column = ms_table_column (table, i);

      g_string_append (out, i > 0 ? "  " : "");
      print_cell (out, column->name, widths[i], column->type != MS_COLUMN_TEXT);
    }
  g_string_append_c (out, '\n');
  for (guint row = 0; row < n_rows; row++)
    {
      for (guint i = 0; i < n_columns; i++)
        {
          gboolean null = ms_table_is_null (table, row, i);
          g_autofree char *text = null ? g_strdup ("-") : ms_table_format (table, row, i);

          g_string_append (out, i > 0 ? "  " : "");
          print_cell (out, text, widths[i], ms_table_column (table, i)->type != MS_COLUMN_TEXT);
        }
      g_string_append_c (out, '\n');
    }
  if (n_rows < ms_table_n_rows (table))
    g_string_append_printf (out, "... %u more rows: --table %s shows them all\n",
                            ms_table_n_rows (table) - n_rows, ms_table_def (table)->name);
}

static char *
format_result (const MsResult *result, const MsTable *only)
{
  GString *out = g_string_new (result->summary);

  g_string_append_c (out, '\n');
  for (guint i = 0; i < MIN (result->findings->len, SHOWN_FINDINGS); i++)
    g_string_append_printf (out, "%s  %s\n", i == 0 ? "\nWhat stands out\n" : "",
                            g_array_index (result->findings, MsFinding, i).text);
  if (only != NULL)
    print_table (out, only, G_MAXUINT);
  for (guint i = 0; only == NULL && i < result->n_tables; i++)
    print_table (out, result->tables[i], SHOWN_ROWS);
  for (guint i = 0; i < result->notes->len; i++)
    g_string_append_printf (out, "%s%s\n", i == 0 ? "\n" : "",
                            (char *) g_ptr_array_index (result->notes, i));
  return g_string_free (out, FALSE);
}

/* --- Writing --------------------------------------------------------------------------------- */

static gboolean
write_csv (const MsTable *table, const char *path, GError **error)
{
  g_autoptr (GOutputStream) stream = ms_command_output (path, error);

  return stream != NULL && ms_table_write_csv (table, stream, error)
         && g_output_stream_close (stream, NULL, error);
}

static gboolean
write_text (const char *text, const char *path, GError **error)
{
  g_autoptr (GOutputStream) stream = ms_command_output (path, error);

  return stream != NULL
         && g_output_stream_write_all (stream, text, strlen (text), NULL, NULL, error)
         && g_output_stream_close (stream, NULL, error);
}

static gboolean
write_all (const MsResult *result, const char *folder, GError **error)
{
  if (g_mkdir_with_parents (folder, 0777) != 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: cannot make this folder", folder);
      return FALSE;
    }
  for (guint i = 0; i < result->n_tables; i++)
    {
      g_autofree char *name = g_strdup_printf ("%s-%s.csv", result->analysis->name,
                                               ms_table_def (result->tables[i])->name);
      g_autofree char *path = g_build_filename (folder, name, NULL);

      if (!write_csv (result->tables[i], path, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
write_result (const MsResult *result, const MsContext *context, const Options *options,
              GError **error)
{
  const MsTable *only = options->table != NULL ? ms_result_table (result, options->table) : NULL;
  g_autofree char *text = NULL;

  if (options->all)
    return write_all (result, options->output, error);
  if (strcmp (options->format, "csv") == 0)
    return write_csv (only != NULL ? only : result->tables[0], options->output, error);
  text = strcmp (options->format, "json") == 0 ? ms_result_to_json (result, context)
                                               : format_result (result, only);
  return write_text (text, options->output, error);
}

static gboolean
store_result (const MsResult *result, const MsContext *context, const char *path, GError **error)
{
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_WRITE, error);

  return db != NULL && ms_result_store (result, context, db, error) != 0;
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

static gboolean
open_others (const Options *options, const char *path, const MsSelection *selection,
             GPtrArray *others, GError **error)
{
  if (selection->base != 0)
    {
      MsTrace *trace = ms_trace_open (path, selection->base, selection, error);

      if (trace == NULL)
        return FALSE;
      g_ptr_array_add (others, trace);
    }
  for (guint i = 0; options->others != NULL && options->others[i] != NULL; i++)
    {
      const char *word = options->others[i], *hash = strrchr (word, '#');
      gint64 run = 0;
      g_autofree char *file = NULL;
      MsSelection plain = *selection;
      MsTrace *trace;

      if (hash != NULL && !g_ascii_string_to_signed (hash + 1, 10, 1, G_MAXINT64, &run, NULL))
        hash = NULL;
      file = hash != NULL ? g_strndup (word, (gsize) (hash - word)) : g_strdup (word);
      plain.run = 0;
      trace = ms_trace_open (file[0] != '\0' ? file : path, run, &plain, error);
      if (trace == NULL)
        return FALSE;
      g_ptr_array_add (others, trace);
    }
  return TRUE;
}

static MsExit
analyze (const MsAnalysis *analysis, const char *path, const Options *options, MsValues *values)
{
  gboolean no_file = strcmp (path, "-") == 0;
  g_autoptr (GPtrArray) others = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);
  g_autoptr (MsSelection) selection = NULL;
  g_autoptr (MsTrace) trace = NULL;
  g_autoptr (MsResult) result = NULL;
  GError *error = NULL;
  MsContext context = { .values = values,
                        .threads = (guint) options->threads,
                        .seed = (guint64) options->seed,
                        .bootstrap = (guint) options->bootstrap,
                        .confidence = options->confidence,
                        .cancel = ms_command_cancellable (),
                        .progress = show_progress,
                        .progress_data = (gpointer) analysis->name };

  selection = ms_selection_parse (options->select != NULL ? options->select : "", &error);
  if (selection == NULL)
    {
      g_autoptr (GError) wrong = error;
      return misuse (wrong);
    }
  if (!no_file && (trace = ms_trace_open (path, options->run, selection, &error)) == NULL)
    return ms_command_fail (&ms_command_analyze, error);
  if (!open_others (options, path, selection, others, &error))
    return ms_command_fail (&ms_command_analyze, error);
  context.trace = trace;
  context.others = (MsTrace **) others->pdata;
  context.n_others = others->len;
  result = options->by != NULL ? ms_analysis_run_by (analysis, &context, options->by, &error)
                               : ms_analysis_run (analysis, &context, &error);
  ms_command_progress (NULL);
  if (result == NULL && g_error_matches (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM))
    {
      g_autoptr (GError) wrong = error;
      return misuse (wrong);
    }
  if (result == NULL || !write_result (result, &context, options, &error)
      || (options->store && !store_result (result, &context, path, &error)))
    return ms_command_fail (&ms_command_analyze, error);
  return MS_EXIT_FINE;
}

/* --- The command line ------------------------------------------------------------------------ */

static gboolean
is_param (const MsAnalysis *analysis, const char *name)
{
  for (guint i = 0; analysis != NULL && analysis->params != NULL && analysis->params[i].name; i++)
    if (strcmp (analysis->params[i].name, name) == 0)
      return TRUE;
  return FALSE;
}

static const GOptionEntry *
find_entry (const GOptionEntry *entries, const char *name)
{
  for (; entries->long_name != NULL; entries++)
    if (strcmp (entries->long_name, name) == 0)
      return entries;
  return NULL;
}

/* The words that are neither options nor their values. */
static GPtrArray *
find_positional (const GOptionEntry *entries, int argc, char **argv)
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
find_wrong_option (const MsAnalysis *analysis, const GOptionEntry *entries, int argc, char **argv)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const char *nearest;

  for (guint i = 0; entries[i].long_name != NULL; i++)
    g_ptr_array_add (names, (gpointer) entries[i].long_name);
  for (guint i = 0; analysis->params != NULL && analysis->params[i].name != NULL; i++)
    g_ptr_array_add (names, (gpointer) analysis->params[i].name);
  g_ptr_array_add (names, NULL);
  for (int i = 1; i < argc; i++)
    {
      g_autofree char *name = NULL;

      if (!g_str_has_prefix (argv[i], "--") || argv[i][2] == '\0')
        continue;
      name = g_strndup (argv[i] + 2, strcspn (argv[i] + 2, "="));
      if (is_param (analysis, name) || find_entry (entries, name) != NULL
          || strcmp (name, "help") == 0)
        continue;
      nearest = ms_text_nearest (name, (const char *const *) names->pdata);
      return g_strdup_printf ("%s has no parameter --%s%s%s%s", analysis->name, name,
                              nearest != NULL ? "; did you mean --" : "",
                              nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    }
  return NULL;
}

static MsExit
unknown_analysis (const char *name)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const MsAnalysis *const *all = ms_analyses ();
  const char *nearest;

  for (guint i = 0; all[i] != NULL; i++)
    g_ptr_array_add (names, (gpointer) all[i]->name);
  g_ptr_array_add (names, NULL);
  nearest = ms_text_nearest (name, (const char *const *) names->pdata);
  if (nearest != NULL)
    return ms_command_misuse (&ms_command_analyze, "there is no analysis '%s'; did you mean %s?",
                              name, nearest);
  return ms_command_misuse (&ms_command_analyze, "there is no analysis '%s'; see --list", name);
}

/* Complains about what the option parser lets through. */
static const char *
check_options (const Options *options, const MsAnalysis *analysis, const char *path)
{
  gboolean known = options->table == NULL;

  for (const MsTableDef *def = analysis->tables; def->name != NULL; def++)
    known = known || strcmp (def->name, options->table) == 0;
  if (!g_strv_contains (formats, options->format))
    return "--format: choose one of table, csv, json";
  if (!known)
    return "--table: the analysis has no such table; its --help lists them";
  if (options->all && options->output == NULL)
    return "--all needs -o FOLDER";
  if (options->threads < 0 || options->threads > 1024)
    return "--threads: a number between 0 (all cores) and 1024 is needed";
  if (options->bootstrap < 0 || options->bootstrap > 100000)
    return "--bootstrap: a number between 0 and 100000 is needed";
  if (!(options->confidence > 0 && options->confidence < 1))
    return "--confidence: a number between 0 and 1 is needed";
  if (options->store && strcmp (path, "-") == 0)
    return "--store needs a file to store in";
  return NULL;
}

static void
clear_options (Options *options)
{
  g_free (options->select);
  g_free (options->by);
  g_free (options->format);
  g_free (options->output);
  g_free (options->table);
  g_strfreev (options->others);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, clear_options)

static void
guess_format (Options *options)
{
  const char *name = options->output != NULL ? options->output : "";

  if (options->format == NULL)
    options->format = g_strdup (g_str_has_suffix (name, ".csv")    ? "csv"
                                : g_str_has_suffix (name, ".json") ? "json"
                                                                   : "table");
}

static MsExit
run (int argc, char **argv)
{
  g_auto (Options) options = { .seed = 1, .bootstrap = 1000, .confidence = 0.95 };
  const GOptionEntry common[] = {
    { "list", 0, 0, G_OPTION_ARG_NONE, &options.list, "List the analyses", NULL },
    { "run", 0, 0, G_OPTION_ARG_INT64, &options.run, "Which run of the file (default: newest)",
      "N" },
    { "select", 0, 0, G_OPTION_ARG_STRING, &options.select,
      "What part to look at: 'layer=4..8 lang=de domain=code doc=12 token=0..4095'", "TEXT" },
    { "by", 0, 0, G_OPTION_ARG_STRING, &options.by,
      "Once for every language, domain, document, phase or parallel", "LABEL" },
    { "other", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.others,
      "A second run to compare with, or the next of a series (repeatable)", "FILE[#RUN]" },
    { "format", 0, 0, G_OPTION_ARG_STRING, &options.format, "table, csv or json", "FORMAT" },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output, "Where to write", "FILE" },
    { "table", 0, 0, G_OPTION_ARG_STRING, &options.table,
      "Which table (default for CSV: the first)", "NAME" },
    { "all", 0, 0, G_OPTION_ARG_NONE, &options.all,
      "Write every table as CSV into the folder of -o", NULL },
    { "threads", 0, 0, G_OPTION_ARG_INT, &options.threads, "Threads (default 0: all cores)", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &options.seed, "Seed of intervals and chance values", "N" },
    { "bootstrap", 0, 0, G_OPTION_ARG_INT, &options.bootstrap,
      "Resamples of documents for intervals (default 1000, 0 = none)", "N" },
    { "confidence", 0, 0, G_OPTION_ARG_DOUBLE, &options.confidence,
      "Confidence of intervals (default 0.95)", "P" },
    { "store", 0, 0, G_OPTION_ARG_NONE, &options.store,
      "Also keep the result in the file, as tables NAME_TABLE", NULL },
    { 0 },
  };
  g_autoptr (GPtrArray) words = find_positional (common, argc, argv);
  const char *last = words->len > 0 ? g_ptr_array_index (words, MIN (words->len, 2) - 1) : "";
  const MsAnalysis *analysis = ms_analysis_find (last);
  g_autoptr (GArray) entries = g_array_new (TRUE, TRUE, sizeof (GOptionEntry));
  g_autofree char **texts = NULL;
  g_autoptr (MsValues) values = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *wrong = NULL;
  const char *complaint;
  guint n_params = 0;

  if (analysis != NULL
      && (g_strv_contains ((const char *const *) argv, "--help")
          || g_strv_contains ((const char *const *) argv, "-h")))
    return print_help (analysis);
  if (analysis != NULL && (wrong = find_wrong_option (analysis, common, argc, argv)) != NULL)
    return ms_command_misuse (&ms_command_analyze, "%s", wrong);
  while (analysis != NULL && analysis->params != NULL && analysis->params[n_params].name != NULL)
    n_params++;
  texts = g_new0 (char *, n_params);
  g_array_append_vals (entries, common, G_N_ELEMENTS (common) - 1);
  for (guint i = 0; i < n_params; i++)
    {
      GOptionEntry entry = { .long_name = analysis->params[i].name,
                             .arg = G_OPTION_ARG_STRING,
                             .arg_data = &texts[i] };
      g_array_append_val (entries, entry);
    }
  ms_command_parse (&ms_command_analyze, (const GOptionEntry *) (gpointer) entries->data, &argc,
                    &argv);
  if (options.list)
    return print_list ();
  if (analysis == NULL && words->len >= 2)
    return unknown_analysis (last);
  if (analysis == NULL || argc != 3)
    return ms_command_misuse (&ms_command_analyze, "give a file and the name of an analysis");
  guess_format (&options);
  complaint = check_options (&options, analysis, argv[1]);
  if (complaint != NULL)
    return ms_command_misuse (&ms_command_analyze, "%s", complaint);
  values = ms_values_new (analysis);
  for (guint i = 0; i < n_params; i++)
    {
      g_autofree char *text = texts[i];

      if (text != NULL && error == NULL)
        ms_values_set (values, analysis->params[i].name, text, &error);
    }
  if (error != NULL)
    return misuse (error);
  return analyze (analysis, argv[1], &options, values);
}

const MsCommand ms_command_analyze = {
  .name = "analyze",
  .usage = "RUN.db|- NAME [--PARAMETER VALUE]... [OPTION...]",
  .summary = "Run an analysis: tables for people, CSV or JSON",
  .details
  = "`moescope analyze NAME --help` explains an analysis: question, definition, source,\n"
    "parameters, tables.  \"-\" instead of a file is for analyses that work from parameter\n"
    "files alone.",
  .example = "moescope analyze run.db load --by language --format csv -o load.csv\n"
             "  moescope analyze --list",
  .run = run,
};
