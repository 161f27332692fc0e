/* moescope analyze: runs one analysis and writes its tables for people, as CSV or as JSON.
 *
 * Options, help and checks of an analysis all come from its descriptor. */
#include "analysis-list.h"
#include "job.h"
#include "text-table.h"

#include <stdio.h>
#include <string.h>

/* Rows of a table shown to people when several tables are shown. */
#define SHOWN_ROWS     40
#define SHOWN_FINDINGS 10

typedef struct
{
  char *format, *output, *table;
  gboolean all, store, list, json, wide;
} Options;

static const char *const formats[] = { "table", "csv", "json", NULL };

/* --- Help ------------------------------------------------------------------------------------ */

static void
print_wrapped (const char *title, const char *text)
{
  g_autoptr (GString) out = g_string_new (NULL);

  ms_text_append_wrapped (out, text, 92, "  ");
  printf ("\n%s\n%s", title, out->str);
}

static void
print_param (const MsParam *param)
{
  g_autofree char *usual = NULL;
  g_autofree char *range = ms_param_range (param, &usual);

  printf ("  --%s %s  (%s%s%s; default %s)\n      %s\n", param->name, range, param->title,
          param->unit != NULL ? ", in " : "", param->unit != NULL ? param->unit : "", usual,
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

/* --- For people ----------------------------------------------------------------------------- */

/* Sentences, which hold names from the file; a summary has a line for each group. */
static void
append_lines (GString *out, const char *text, guint width, const char *indent)
{
  g_auto (GStrv) lines = g_strsplit (text != NULL ? text : "", "\n", -1);

  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_autofree char *line = ms_text_printable (lines[i], -1);

      ms_text_append_wrapped (out, line, width, indent);
    }
  if (lines[0] == NULL)
    g_string_append_c (out, '\n');
}

static char *
format_result (const MsResult *result, const MsTable *only, guint width)
{
  GString *out = g_string_new (NULL);

  append_lines (out, result->summary, width, "");
  for (guint i = 0; i < MIN (result->findings->len, SHOWN_FINDINGS); i++)
    {
      g_string_append (out, i == 0 ? "\nWhat stands out\n" : "");
      append_lines (out, g_array_index (result->findings, MsFinding, i).text, width, "  ");
    }
  if (only != NULL)
    ms_text_table_append (out, only, G_MAXUINT, width);
  for (guint i = 0; only == NULL && i < result->n_tables; i++)
    ms_text_table_append (out, result->tables[i], SHOWN_ROWS, width);
  for (guint i = 0; i < result->notes->len; i++)
    {
      g_string_append (out, i == 0 ? "\n" : "");
      append_lines (out, result->notes->pdata[i], width, "");
    }
  return g_string_free (out, FALSE);
}

/* --- Writing --------------------------------------------------------------------------------- */

static gboolean
write_csv (const MsTable *table, const char *path, GError **error)
{
  g_autoptr (GOutputStream) stream = ms_command_output (path, error);

  return stream != NULL
         && ms_stream_close (stream, ms_table_write_csv (table, stream, error), error);
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
  gboolean file = options->output != NULL && strcmp (options->output, "-") != 0;
  guint width = file || options->wide ? 0 : ms_text_table_terminal ();
  g_autofree char *text = NULL;

  if (options->all)
    return write_all (result, options->output, error);
  if (strcmp (options->format, "csv") == 0)
    return write_csv (only != NULL ? only : result->tables[0], options->output, error);
  text = strcmp (options->format, "json") == 0 ? ms_result_to_json (result, context)
                                               : format_result (result, only, width);
  return ms_command_write (options->output, text, strlen (text), error);
}

static gboolean
store_result (const MsResult *result, const MsContext *context, const char *path, GError **error)
{
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_WRITE, error);

  return db != NULL && ms_result_store (result, context, db, error) != 0;
}

/* --- Running --------------------------------------------------------------------------------- */

static MsExit
analyze (MsJob *job, const Options *options)
{
  g_autoptr (MsResult) result = NULL;
  GError *error = NULL;
  MsExit status;

  if (!ms_job_open (job, &status))
    return status;
  if (options->store && job->context.n_with > 0)
    return ms_command_misuse (&ms_command_analyze, "--store keeps the result of one run: leave out "
                                                   "with= and give each run with --run");
  if ((result = ms_job_run (job, &status)) == NULL)
    return status;
  if (!write_result (result, &job->context, options, &error)
      || (options->store && !store_result (result, &job->context, job->path, &error)))
    return ms_command_fail (&ms_command_analyze, error);
  return MS_EXIT_FINE;
}

/* --- The command line ------------------------------------------------------------------------ */

/* Complains about what the option parser lets through. */
static const char *
check_options (const Options *options, const MsAnalysis *analysis, const char *path,
               gboolean selected)
{
  gboolean known = options->table == NULL;

  for (const MsTableDef *def = analysis->tables; def->name != NULL; def++)
    known = known || strcmp (def->name, options->table) == 0;
  if (!g_strv_contains (formats, options->format))
    return "--format: choose one of table, csv, json";
  if (options->json && strcmp (options->format, "json") != 0)
    return "--json and --format contradict each other";
  if (!known)
    return "--table: the analysis has no such table; its --help lists them";
  if (options->all && options->output == NULL)
    return "--all needs -o FOLDER";
  if (options->store && strcmp (path, "-") == 0)
    return "--store needs a file to store in";
  if (selected && strcmp (path, "-") == 0)
    return "--select needs a recorded run to select from";
  return NULL;
}

static void
clear_options (Options *options)
{
  g_free (options->format);
  g_free (options->output);
  g_free (options->table);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, clear_options)

static void
guess_format (Options *options)
{
  const char *name = options->output != NULL ? options->output : "";

  if (options->format == NULL)
    options->format = g_strdup (options->json                      ? "json"
                                : g_str_has_suffix (name, ".csv")  ? "csv"
                                : g_str_has_suffix (name, ".json") ? "json"
                                                                   : "table");
}

static MsExit
list (const Options *options)
{
  if (options->json || g_strcmp0 (options->format, "json") == 0)
    {
      g_autofree char *text = ms_analysis_list_json ();

      fputs (text, stdout);
    }
  else
    ms_analysis_list_print ();
  return MS_EXIT_FINE;
}

static MsExit
run (int argc, char **argv)
{
  g_auto (Options) options = { 0 };
  g_auto (MsJob) job = { 0 };
  const GOptionEntry own[] = {
    { "list", 0, 0, G_OPTION_ARG_NONE, &options.list,
      "List the analyses; with --json with their parameters, tables and columns", NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "The same as --format json", NULL },
    { "format", 0, 0, G_OPTION_ARG_STRING, &options.format, "table, csv or json", "FORMAT" },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output, "Where to write", "FILE" },
    { "table", 0, 0, G_OPTION_ARG_STRING, &options.table,
      "Which table (default for CSV: the first)", "NAME" },
    { "all", 0, 0, G_OPTION_ARG_NONE, &options.all,
      "Write every table as CSV into the folder of -o", NULL },
    { "wide", 0, 0, G_OPTION_ARG_NONE, &options.wide,
      "On a terminal: all columns with all digits, not only what fits", NULL },
    { "store", 0, 0, G_OPTION_ARG_NONE, &options.store,
      "Also keep the result in the file, as tables NAME_TABLE", NULL },
    { 0 },
  };
  const char *complaint;
  MsExit status;

  ms_job_init (&job, &ms_command_analyze);
  if (!ms_job_parse (&job, own, &argc, &argv, print_help, &status))
    return status;
  if (options.list)
    return list (&options);
  if (job.analysis == NULL || job.path == NULL)
    return ms_command_misuse (&ms_command_analyze, "give a file and the name of an analysis");
  guess_format (&options);
  complaint = check_options (&options, job.analysis, job.path, job.select != NULL);
  if (complaint != NULL)
    return ms_command_misuse (&ms_command_analyze, "%s", complaint);
  return analyze (&job, &options);
}

const MsCommand ms_command_analyze = {
  .name = "analyze",
  .usage = "RUN.db|- NAME [--PARAMETER VALUE]... [OPTION...]",
  .summary = "Run an analysis: tables for people, CSV or JSON",
  .details
  = "`moescope analyze NAME --help` explains an analysis: question, definition, source,\n"
    "parameters, tables.  \"-\" instead of a file is for analyses that work from parameter\n"
    "files alone.\n\n"
    "Intervals: documents are observations, not tokens; translations (`parallel`), copies and\n"
    "those with the same --cluster label are one.  Such groups are drawn with replacement,\n"
    "--bootstrap times.  Measures such as CV, entropy or a divergence are biased on few tokens:\n"
    "`corrected` is 2 value - mean of the resamples, and the interval corrected -+ t(n - 1) x\n"
    "standard deviation of the resamples x sqrt (n / (n - 1)) for n groups; those of shares lie "
    "on\n"
    "the scale of log odds.  Unbiased measures, and --bootstrap 0, have the value alone.",
  .example = "moescope analyze run.db load --by language --format csv -o load.csv\n"
             "  moescope analyze --list --json",
  .run = run,
};
