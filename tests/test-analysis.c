/* One test for all analyses: walks the registry on a trace that has everything.
 *
 * On that trace every analysis succeeds, with its defaults and with both ends of every parameter; the
 * table `refused` names the few ends that such a small trace cannot serve.  Texts and files have no ends:
 * the table `given` holds a value for each of them, and a parameter without one fails the test. */
#include "analysis.h"
#include "balance-private.h"
#include "fixture.h"

#include <csv.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static char *path, *other_path;
static MsTrace *trace, *other, *pair[2]; /* the last two are of one file */

static MsContext
make_context (const MsValues *values, guint threads)
{
  return (MsContext){ .trace = trace,
                      .others = &other,
                      .n_others = 1,
                      .values = values,
                      .threads = threads,
                      .sampling.seed = 1,
                      .sampling.resamples = 40,
                      .sampling.confidence = 0.95 };
}

/* Fails the test on any error. */
static MsResult *
run (const MsAnalysis *analysis, const MsContext *context)
{
  g_autoptr (GError) error = NULL;
  MsResult *result = ms_analysis_run (analysis, context, &error);

  g_assert_no_error (error);
  g_assert_nonnull (result);
  return result;
}

/* --- CSV read back --------------------------------------------------------------------------- */

static void
take_field (void *text, size_t length, void *data)
{
  g_ptr_array_add (data, g_strndup (text, length));
}

static void
check_csv (const MsTable *table)
{
  g_autoptr (GOutputStream) stream = g_memory_output_stream_new_resizable ();
  g_autoptr (GPtrArray) fields = g_ptr_array_new_with_free_func (g_free);
  guint n = ms_table_n_columns (table);
  struct csv_parser parser;
  gsize length;

  g_assert_true (ms_table_write_csv (table, stream, NULL));
  length = g_memory_output_stream_get_data_size (G_MEMORY_OUTPUT_STREAM (stream));
  csv_init (&parser, CSV_STRICT | CSV_STRICT_FINI);
  g_assert_cmpuint (csv_parse (&parser,
                               g_memory_output_stream_get_data (G_MEMORY_OUTPUT_STREAM (stream)),
                               length, take_field, NULL, fields),
                    ==, length);
  csv_fini (&parser, take_field, NULL, fields);
  csv_free (&parser);
  g_assert_cmpuint (fields->len, ==, n * (ms_table_n_rows (table) + 1));
  for (guint c = 0; c < n; c++)
    {
      const MsColumn *column = ms_table_column (table, c);

      g_assert_cmpstr (g_ptr_array_index (fields, c), ==, column->name);
      for (guint row = 0; row < ms_table_n_rows (table); row++)
        {
          const char *field = g_ptr_array_index (fields, (row + 1) * n + c);

          if (column->type == MS_COLUMN_TEXT)
            g_assert_cmpstr (field, ==, ms_table_get_text (table, row, c));
          else if (ms_table_is_null (table, row, c))
            g_assert_cmpstr (field, ==, "");
          else
            g_assert_cmpfloat (g_ascii_strtod (field, NULL), ==, ms_table_get_real (table, row, c));
        }
    }
}

/* --- The descriptor -------------------------------------------------------------------------- */

static gboolean
is_name (const char *name, char separator)
{
  for (const char *c = name; *c != '\0'; c++)
    if (!g_ascii_islower (*c) && !g_ascii_isdigit (*c) && *c != separator)
      return FALSE;
  return name[0] != '\0';
}

static const MsColumn *
find_column (const MsAnalysis *analysis, const char *table, const char *column)
{
  for (guint i = 0; analysis->tables[i].name != NULL; i++)
    for (guint j = 0;
         strcmp (analysis->tables[i].name, table) == 0 && analysis->tables[i].columns[j].name; j++)
      if (strcmp (analysis->tables[i].columns[j].name, column) == 0)
        return &analysis->tables[i].columns[j];
  return NULL;
}

static void
check_plot (const MsAnalysis *analysis, const MsPlotDef *plot)
{
  const char *columns[] = { plot->x,   plot->y,    plot->value, plot->series,    plot->facet,
                            plot->low, plot->high, plot->label, plot->reference, plot->x2 };

  g_assert_true (is_name (plot->name, '-'));
  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    if (columns[i] != NULL && find_column (analysis, plot->table, columns[i]) == NULL)
      g_error ("%s, plot %s: table %s has no column %s", analysis->name, plot->name, plot->table,
               columns[i]);
  if (plot->where != NULL)
    {
      g_auto (GStrv) words = g_strsplit (plot->where, "=", 2);

      g_assert_nonnull (find_column (analysis, plot->table, words[0]));
    }
}

static double
largest_value (const MsParam *param)
{
  if (param->type == MS_PARAM_BOOL)
    return 1;
  if (param->type == MS_PARAM_CHOICE)
    return g_strv_length ((char **) param->choices) - 1;
  return param->most;
}

static void
test_descriptor (gconstpointer data)
{
  const MsAnalysis *analysis = data;
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autofree char *usual = ms_values_format (values);

  g_assert_true (is_name (analysis->name, '-'));
  g_assert_true (ms_analysis_find (analysis->name) == analysis);
  g_assert_cmpstr (usual, ==, "");
  g_assert_cmpint (analysis->version, >, 0);
  g_assert_nonnull (analysis->title);
  g_assert_nonnull (analysis->help);
  g_assert_nonnull (analysis->formula);
  g_assert_nonnull (analysis->cite);
  for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
    {
      g_assert_true (is_name (param->name, '-'));
      g_assert_nonnull (param->title);
      g_assert_nonnull (param->help);
      g_assert_cmpfloat (param->usual, >=, param->least);
      g_assert_cmpfloat (param->usual, <=, largest_value (param));
    }
  for (const MsTableDef *def = analysis->tables; def->name != NULL; def++)
    {
      g_assert_true (is_name (def->name, '_'));
      g_assert_nonnull (def->title);
      for (const MsColumn *column = def->columns; column->name != NULL; column++)
        {
          g_assert_true (is_name (column->name, '_'));
          g_assert_nonnull (column->title);
          g_assert_nonnull (column->help);
        }
    }
  for (const MsPlotDef *plot = analysis->plots; plot != NULL && plot->name != NULL; plot++)
    check_plot (analysis, plot);
}

/* --- Running --------------------------------------------------------------------------------- */

static void
test_run (gconstpointer data)
{
  const MsAnalysis *analysis = data;
  g_autoptr (MsValues) values = ms_values_new (analysis);
  MsContext context = make_context (values, 1);
  g_autofree char *missing = ms_analysis_missing (analysis, trace, 1);
  g_autoptr (MsResult) result = NULL;
  g_autofree char *json = NULL;

  g_assert_null (missing);
  result = run (analysis, &context);
  g_assert_nonnull (result->summary);
  g_assert_cmpint (strlen (result->summary), >, 10);
  g_assert_cmpuint (ms_table_n_rows (result->tables[0]), >, 0);
  for (guint i = 0; i < result->n_tables; i++)
    {
      g_assert_true (
          g_str_equal (ms_table_def (result->tables[i])->name, analysis->tables[i].name));
      check_csv (result->tables[i]);
    }
  for (guint i = 0; i < result->findings->len; i++)
    {
      const MsFinding *finding = &g_array_index (result->findings, MsFinding, i);
      g_autoptr (GError) error = NULL;
      g_autoptr (MsSelection) place = ms_selection_parse (finding->place, &error);

      g_assert_no_error (error);
      g_assert_nonnull (place);
      g_assert_false (isnan (finding->strength));
    }
  json = ms_result_to_json (result, &context);
  for (guint i = 0; i < 3; i++)
    {
      static const guint threads[] = { 1, 2, 7 };
      MsContext again = make_context (values, threads[i]);
      g_autoptr (MsResult) same = run (analysis, &again);
      g_autofree char *same_json = ms_result_to_json (same, &again);

      g_assert_cmpstr (same_json, ==, json);
    }
}

/* --- Parameters ------------------------------------------------------------------------------ */

/* An end of a parameter's range that the rich trace cannot serve, what the error must speak of, and a
 * further parameter and its value with which it is served all the same (NULL: with none). */
typedef struct
{
  const char *analysis, *param, *value, *reason;
  const char *with[2];
} Refused;

static const Refused refused[] = {
  { "what-if", "null-experts", "65535", "leaves no expert of the 8", { NULL } },
  { "placement",
    "method",
    "joint",
    "12 slots cannot be dealt out evenly to 8 devices",
    { "devices", "4" } },
  { "placement", "nodes", "4096", "8 devices cannot be dealt out evenly to 4096 nodes", { NULL } },
  { "placement", "groups", "65535", "8 experts cannot be cut into 65535 groups", { NULL } },
  { "placement",
    "replicas",
    "65535",
    "slots cannot be dealt out evenly to 8 devices",
    { "devices", "5" } },
};

static gboolean
is_refused (const Refused *row, const MsAnalysis *analysis, const char *param, const char *value)
{
  return g_str_equal (row->analysis, analysis->name) && g_str_equal (row->param, param)
         && g_str_equal (row->value, value);
}

/* Runs with one parameter set: it succeeds unless the table says that it is refused. */
static void
try_value (const MsAnalysis *analysis, const char *param, const char *value)
{
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autoptr (GError) error = NULL;
  MsContext context = make_context (values, 2);
  g_autoptr (MsResult) result = NULL;

  g_test_message ("--%s %s", param, value);
  g_assert_true (ms_values_set (values, param, value, &error));
  context.sampling.resamples = 0;
  result = ms_analysis_run (analysis, &context, &error);
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++)
    if (is_refused (&refused[i], analysis, param, value))
      {
        g_assert_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM);
        g_assert_nonnull (strstr (error->message, refused[i].reason));
        g_clear_error (&error);
        if (refused[i].with[0] == NULL)
          return;
        g_assert_true (ms_values_set (values, refused[i].with[0], refused[i].with[1], &error));
        result = ms_analysis_run (analysis, &context, &error);
      }
  g_assert_no_error (error);
  g_assert_nonnull (result);
}

static void
test_parameters (gconstpointer data)
{
  const MsAnalysis *analysis = data;

  for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
    {
      char number[MS_NUMBER_SIZE];

      switch (param->type)
        {
        case MS_PARAM_INT:
        case MS_PARAM_REAL:
          try_value (analysis, param->name, ms_number_exact (number, param->least));
          try_value (analysis, param->name, ms_number_exact (number, param->most));
          break;
        case MS_PARAM_BOOL:
          try_value (analysis, param->name, "no");
          try_value (analysis, param->name, "yes");
          break;
        case MS_PARAM_CHOICE:
          for (guint i = 0; param->choices[i] != NULL; i++)
            try_value (analysis, param->name, param->choices[i]);
          break;
        case MS_PARAM_TEXT: /* test_given */
        case MS_PARAM_FILE:
          break;
        }
    }
}

/* What a parameter of text or file is given.  Analyses that can do without a run get none with a file. */
typedef struct
{
  const char *analysis, *param;
  const char *value;      /* of a file: its contents */
  const char *also[2][2]; /* further parameters that it needs, by name and value; files likewise */
  gboolean traced;        /* the file serves with a run alone */
} Given;

#define USAGE "layer,expert,usage\n0,0,5\n0,1,9\n0,2,1\n0,3,2\n"
#define DISTANCES                                                                                  \
  "layer,expert,other,distance\n0,0,1,3\n0,1,0,3\n0,0,2,1\n0,2,0,1\n0,0,3,2\n0,3,0,2\n"            \
  "0,1,2,5\n0,2,1,5\n0,1,3,1\n0,3,1,1\n0,2,3,4\n0,3,2,4\n"
#define COUNTS "part,layer,expert,count\na,3,0,40\na,3,1,60\nb,3,0,7\nb,3,1,1\n"

static const Given given[] = {
  { .analysis = "cache", .param = "capacities", .value = "1,3,8" },
  { .analysis = "cache", .param = "policies", .value = "fifo,sieve,lfu_aging" },
  { .analysis = "cache", .param = "warm-set", .value = "layer,expert\n1,0\n1,7\n2,5\n4,11\n" },
  { .analysis = "capacity", .param = "factors", .value = "0.25,3" },
  { .analysis = "committee",
    .param = "eci",
    .value = "layer,domain,expert,eci\n0,a,0,0.7\n0,a,1,0.2\n0,a,2,0.1\n0,b,0,0.1\n0,b,1,0.1\n"
             "0,b,2,0.8\n",
    .also = { { "k", "1" } } },
  { .analysis = "difference", .param = "group-a", .value = "lang=de" },
  { .analysis = "difference", .param = "group-b", .value = "lang=sw" },
  { .analysis = "hit-rate", .param = "lookahead", .value = "2,32" },
  { .analysis = "language-map",
    .param = "families",
    .value = "language,family,branch\nde,Germanic,West\nen,Germanic,West\nsw,Bantu,\n" },
  { .analysis = "languages", .param = "pivot", .value = "sw" },
  { .analysis = "load", .param = "counts", .value = COUNTS },
  { .analysis = "load", .param = "where", .value = "part=b", .also = { { "counts", COUNTS } } },
  { .analysis = "merge", .param = "usage", .value = USAGE, .also = { { "distances", DISTANCES } } },
  { .analysis = "merge", .param = "distances", .value = DISTANCES, .also = { { "usage", USAGE } } },
  { .analysis = "placement",
    .param = "device-of-expert",
    .value = "layer,expert,device\n1,0,7\n1,1,6\n1,2,5\n1,3,4\n1,4,3\n1,5,2\n1,6,1\n1,7,0\n2,0,0\n"
             "2,1,1\n2,2,2\n2,3,3\n2,4,4\n2,5,5\n2,6,6\n2,7,7\n4,0,0\n4,1,0\n4,2,0\n4,3,0\n4,4,1\n"
             "4,5,1\n4,6,2\n4,7,3\n4,8,4\n4,9,5\n4,10,6\n4,11,7\n",
    .traced = TRUE },
  { .analysis = "placement",
    .param = "weights",
    .value = "layer,expert,weight\n0,0,90\n0,1,10\n0,2,30\n0,3,20\n0,4,5\n0,5,5\n0,6,1\n0,7,70\n" },
  { .analysis = "readers", .param = "experts", .value = "1,3..4" },
  { .analysis = "specialists", .param = "group", .value = "news" },
  { .analysis = "saturation", .param = "steps", .value = "100,700" },
  { .analysis = "saturation",
    .param = "assignments",
    .value = "step,token,expert\n5,0,1\n5,1,0\n5,2,2\n9,0,1\n9,1,2\n9,2,2\n" },
  { .analysis = "srp", .param = "lengths", .value = "3,20" },
  { .analysis = "srp", .param = "draws", .value = "b0,b1,b2\n0,1,0\n1,1,0\n" },
  { .analysis = "text", .param = "experts", .value = "2,5" },
  { .analysis = "what-if", .param = "top-k", .value = "1,3" },
  { .analysis = "what-if", .param = "top-p", .value = "0.55" },
  { .analysis = "what-if", .param = "skip", .value = "0.3" },
  { .analysis = "what-if", .param = "add", .value = "layer,expert,logit\n1,0,3\n4,11,-2.5\n" },
};

static const MsParam *
find_param (const MsAnalysis *analysis, const char *name)
{
  const MsParam *param = analysis->params;

  while (param->name != NULL && !g_str_equal (param->name, name))
    param++;
  g_assert_nonnull (param->name);
  return param;
}

/* Sets a parameter; the value of a file is written to a new one, which joins `files`. */
static void
give (MsValues *values, const MsAnalysis *analysis, const char *name, const char *value,
      GPtrArray *files)
{
  g_autoptr (GError) error = NULL;

  if (find_param (analysis, name)->type == MS_PARAM_FILE)
    {
      char *file = NULL;
      int fd = g_file_open_tmp ("moescope-XXXXXX.csv", &file, &error);

      g_assert_no_error (error);
      close (fd);
      g_ptr_array_add (files, file);
      g_file_set_contents (file, value, -1, &error);
      g_assert_no_error (error);
      value = file;
    }
  ms_values_set (values, name, value, &error);
  g_assert_no_error (error);
}

static void
remove_file (gpointer file)
{
  g_unlink (file);
  g_free (file);
}

/* Runs with what the row gives, `value` in place of its own. */
static MsResult *
run_given (const MsAnalysis *analysis, const Given *row, const char *value, GError **error)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (remove_file);
  g_autoptr (MsValues) values = ms_values_new (analysis);
  MsContext context = make_context (values, 2);

  give (values, analysis, row->param, value, files);
  for (guint i = 0; i < G_N_ELEMENTS (row->also) && row->also[i][0] != NULL; i++)
    give (values, analysis, row->also[i][0], row->also[i][1], files);
  if ((analysis->needs & MS_NEEDS_NO_TRACE) && files->len > 0 && !row->traced)
    {
      context.trace = NULL;
      context.n_others = 0;
    }
  return ms_analysis_run (analysis, &context, error);
}

static gboolean
same_tables (const MsResult *a, const MsResult *b)
{
  for (guint i = 0; i < a->n_tables; i++)
    {
      if (ms_table_n_rows (a->tables[i]) != ms_table_n_rows (b->tables[i]))
        return FALSE;
      for (guint row = 0; row < ms_table_n_rows (a->tables[i]); row++)
        for (guint c = 0; c < ms_table_n_columns (a->tables[i]); c++)
          {
            g_autofree char *x = ms_table_format (a->tables[i], row, c);
            g_autofree char *y = ms_table_format (b->tables[i], row, c);

            if (strcmp (x, y) != 0)
              return FALSE;
          }
    }
  return TRUE;
}

/* Every text and file that can be given is heeded: the tables change; and nonsense is refused. */
static void
test_given (gconstpointer data)
{
  const MsAnalysis *analysis = data;
  g_autoptr (MsValues) values = ms_values_new (analysis);
  MsContext context = make_context (values, 2);
  g_autoptr (MsResult) usual = run (analysis, &context);

  for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
    {
      const Given *row = given, *end = given + G_N_ELEMENTS (given);
      g_autoptr (GError) error = NULL;
      g_autoptr (MsResult) result = NULL;

      if (param->type != MS_PARAM_TEXT && param->type != MS_PARAM_FILE)
        continue;
      while (row < end
             && !(g_str_equal (row->analysis, analysis->name)
                  && g_str_equal (row->param, param->name)))
        row++;
      if (row == end)
        g_error ("the table of what is given has no row for %s --%s", analysis->name, param->name);
      g_test_message ("--%s", param->name);
      result = run_given (analysis, row, row->value, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (ms_table_n_rows (result->tables[0]), >, 0);
      g_assert_false (same_tables (usual, result));
      g_assert_null (run_given (analysis, row, "no such thing", &error));
      g_test_message ("%s", error->message);
      g_assert_true (error->domain == MS_ANALYSIS_ERROR);
    }
}

/* The tables above speak of analyses and parameters that there are. */
static void
test_tables (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++)
    {
      const MsAnalysis *analysis = ms_analysis_find (refused[i].analysis);
      const MsParam *param;
      double value = g_ascii_strtod (refused[i].value, NULL);

      g_assert_nonnull (analysis);
      param = find_param (analysis, refused[i].param);
      if (param->type == MS_PARAM_CHOICE)
        g_assert_true (g_strv_contains (param->choices, refused[i].value));
      else
        g_assert_true (value == param->least || value == param->most);
    }
  for (guint i = 0; i < G_N_ELEMENTS (given); i++)
    {
      const MsAnalysis *analysis = ms_analysis_find (given[i].analysis);
      const MsParam *param;

      g_assert_nonnull (analysis);
      param = find_param (analysis, given[i].param);
      g_assert_true (param->type == MS_PARAM_TEXT || param->type == MS_PARAM_FILE);
    }
}

static void
cancel_halfway (double done, gpointer data)
{
  if (done >= 0.5)
    g_cancellable_cancel (data);
}

static void
test_cancel (gconstpointer data)
{
  const MsAnalysis *analysis = data;
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  MsContext context = make_context (values, 2);

  context.cancel = cancel;
  context.progress = cancel_halfway;
  context.progress_data = cancel;
  g_assert_null (ms_analysis_run (analysis, &context, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (ms_analysis_run (analysis, &context, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* By domain: a first column, every group once, and the rows of the domain alone. */
static void
test_groups (gconstpointer data)
{
  const MsAnalysis *analysis = data;
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autoptr (GError) error = NULL;
  MsContext context = make_context (values, 2);
  g_autoptr (MsResult) result = NULL;

  context.sampling.resamples = 0;
  result = ms_analysis_run_by (analysis, &context, "domain", &error);
  g_assert_no_error (error);
  for (guint i = 0; i < result->n_tables; i++)
    {
      const MsTable *table = result->tables[i];

      g_assert_cmpstr (ms_table_column (table, 0)->name, ==, "group");
      for (guint row = 0; row < ms_table_n_rows (table); row++)
        g_assert_true (g_str_equal (ms_table_get_text (table, row, 0), "code")
                       || g_str_equal (ms_table_get_text (table, row, 0), "news"));
      check_csv (table);
    }
}

/* Two runs together are what each is alone, one below the other. */
static void
test_runs (gconstpointer data)
{
  const MsAnalysis *analysis = data;
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autoptr (GError) error = NULL;
  MsContext context = make_context (values, 2);
  g_autoptr (MsResult) first = NULL, second = NULL, both = NULL;

  if (!ms_analysis_takes_runs (analysis))
    {
      g_assert_true (analysis->needs & (MS_NEEDS_OTHER | MS_NEEDS_SERIES));
      return;
    }
  context.sampling.resamples = 10;
  context.trace = pair[0];
  first = run (analysis, &context);
  context.trace = pair[1];
  second = run (analysis, &context);
  context.with = &pair[0];
  context.n_with = 1;
  both = ms_analysis_run_each (analysis, &context, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (both->n_runs, ==, 2);
  g_assert_true (g_str_has_prefix (both->summary, "1: "));
  g_assert_nonnull (strstr (both->summary, "\n2: "));
  g_assert_cmpuint (both->findings->len, ==, first->findings->len + second->findings->len);
  for (guint i = 0; i < both->n_tables; i++)
    {
      const MsTable *table = both->tables[i];
      guint n = ms_table_n_rows (first->tables[i]);

      g_assert_cmpuint (ms_table_n_rows (table), ==, n + ms_table_n_rows (second->tables[i]));
      g_assert_cmpstr (ms_table_column (table, 0)->name, ==, MS_RUN_ID_COLUMN);
      g_assert_cmpstr (ms_table_column (table, 1)->name, ==, MS_RUN_COLUMN);
      for (guint row = 0; row < ms_table_n_rows (table); row++)
        {
          const MsTable *alone = row < n ? first->tables[i] : second->tables[i];

          g_assert_cmpint (ms_table_get_int (table, row, 0), ==, row < n ? 1 : 2);
          for (guint c = 0; c < ms_table_n_columns (alone); c++)
            {
              g_autofree char *a = ms_table_format (table, row, c + 2);
              g_autofree char *b = ms_table_format (alone, row < n ? row : row - n, c);

              g_assert_cmpstr (a, ==, b);
            }
        }
      check_csv (table);
    }
}

/* The rows of `row`'s values in another table of the same columns, from `from` on; -1 when not there. */
static int
find_row (const MsTable *table, guint from, const MsTable *of, guint row)
{
  for (; from < ms_table_n_rows (table); from++)
    {
      gboolean same = TRUE;

      for (guint c = 0; same && c < ms_table_n_columns (of); c++)
        {
          g_autofree char *a = ms_table_format (table, from, c);
          g_autofree char *b = ms_table_format (of, row, c);

          same = strcmp (a, b) == 0;
        }
      if (same)
        return (int) from;
    }
  return -1;
}

/* A selection of experts keeps their rows of what is computed without it, in order, and says so. */
static void
test_experts (gconstpointer data)
{
  const MsAnalysis *analysis = data;
  g_autoptr (MsSelection) selection = ms_selection_parse ("expert=1,6..7", NULL);
  g_autoptr (MsTrace) own = ms_trace_open (path, 0, selection, NULL);
  g_autoptr (MsValues) values = ms_values_new (analysis);
  MsContext context = make_context (values, 2);
  g_autoptr (MsResult) whole = NULL;
  g_autoptr (MsResult) part = NULL;

  context.sampling.resamples = 0;
  whole = run (analysis, &context);
  context.trace = own;
  part = run (analysis, &context);
  g_assert_cmpuint (part->notes->len, ==, whole->notes->len + 1);
  for (guint i = 0; i < part->n_tables; i++)
    {
      int column = ms_table_find_column (part->tables[i], "expert"), at = -1;
      guint n_rows = 0;

      for (guint row = 0; row < ms_table_n_rows (whole->tables[i]); row++)
        {
          gint64 expert
              = column >= 0 ? ms_table_get_int (whole->tables[i], row, (guint) column) : 1;

          if (expert != 1 && expert != 6 && expert != 7)
            continue;
          n_rows++;
          if (n_rows > 100) /* enough: the search is slow */
            continue;
          at = find_row (part->tables[i], (guint) (at + 1), whole->tables[i], row);
          g_assert_cmpint (at, >=, 0);
        }
      g_assert_cmpuint (ms_table_n_rows (part->tables[i]), ==, n_rows);
    }
}

static gint64
count_rows (MsDb *db, const char *sql)
{
  sqlite3_stmt *query = NULL;
  gint64 n;

  g_assert_cmpint (sqlite3_prepare_v2 (ms_db_handle (db), sql, -1, &query, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_step (query), ==, SQLITE_ROW);
  n = sqlite3_column_int64 (query, 0);
  sqlite3_finalize (query);
  return n;
}

static void
test_store (gconstpointer data)
{
  const MsAnalysis *analysis = data;
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autoptr (GError) error = NULL;
  MsContext context = make_context (values, 2);
  g_autoptr (MsResult) result = NULL;
  g_autoptr (MsDb) db = NULL;

  context.sampling.resamples = 0;
  result = run (analysis, &context);
  db = ms_db_open (path, MS_DB_WRITE, &error);
  g_assert_no_error (error);
  for (guint round = 0; round < 2; round++) /* the second replaces the first */
    {
      gint64 id = ms_result_store (result, &context, db, &error);

      g_assert_no_error (error);
      g_assert_cmpint (id, >, 0);
      for (guint i = 0; i < result->n_tables; i++)
        {
          g_autofree char *name
              = g_strdup_printf ("%s_%s", analysis->name, analysis->tables[i].name);
          g_autofree char *sql = NULL;

          g_strdelimit (name, "-", '_');
          sql = g_strdup_printf ("SELECT count(*) FROM %s", name);
          g_assert_cmpint (count_rows (db, sql), ==, ms_table_n_rows (result->tables[i]));
        }
    }
}

/* --- A trace that has nothing ------------------------------------------------------------------ */

static void
fill_bare (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  (void) layer, (void) data;
  token->experts[0] = (guint16) (position % 3);
}

/* One document without labels, one layer, no column but the experts.  (transfer full) */
static char *
write_bare (void)
{
  const MsLayer layer = MS_PLAIN_LAYER (3, 4, 1);
  const MsDocument document = { .n_tokens = 40 };
  const MsFixture fixture = {
    .n_layers = 1, .layers = &layer, .n_documents = 1, .documents = &document, .fill = fill_bare
  };

  return ms_fixture_write (&fixture, NULL);
}

/* Analyses that can say only while they run what such a trace lacks: a label that a parameter names, or
 * one of two things.  With what the error must speak of. */
static const char *const late[][2]
    = { { "domains", "label 'domain'" },   { "specialists", "label 'domain'" },
        { "committee", "label 'domain'" }, { "language-map", "label 'language'" },
        { "difference", "--group-a" },     { "uncertainty", "scores nor entropies" } };

/* An analysis that a trace does not serve says so, and if it can, beforehand. */
static void
test_bare (gconstpointer data)
{
  const MsAnalysis *analysis = data;
  char *bare = write_bare ();
  g_autoptr (MsTrace) bare_trace = ms_trace_open (bare, 0, NULL, NULL);
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autofree char *missing = ms_analysis_missing (analysis, bare_trace, 0);
  g_autoptr (GError) error = NULL;
  MsContext context = { .trace = bare_trace, .values = values, .sampling.seed = 1 };
  g_autoptr (MsResult) result = ms_analysis_run (analysis, &context, &error);
  const char *reason = missing;

  for (guint i = 0; i < G_N_ELEMENTS (late); i++)
    if (g_str_equal (late[i][0], analysis->name))
      {
        g_assert_null (missing);
        reason = late[i][1];
      }
  if (reason == NULL)
    {
      g_assert_no_error (error);
      check_csv (result->tables[0]);
    }
  else
    {
      g_assert_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS);
      g_assert_nonnull (strstr (error->message, reason));
    }
  ms_fixture_remove (bare);
}

/* --- The headline ----------------------------------------------------------------------------- */

static double
number_in (const MsTable *table, guint row, const char *column)
{
  return ms_table_get_real (table, row, (guint) ms_table_find_column (table, column));
}

/* What each number must be, found in the tables another way. */
static double
expected_headline (const char *name, const MsResult *result)
{
  const MsTable *table = result->tables[strcmp (name, "top-expert") == 0 ? 1 : 0];
  double sum = 0, weight = 0, most = -INFINITY, layer = NAN;

  if (strcmp (result->analysis->name, "experts") == 0)
    table = ms_result_table (result, "layers");
  for (guint row = 0; row < ms_table_n_rows (table); row++)
    {
      if (strcmp (name, "imbalance") == 0
          && row == 0) /* the bias is that of the mean over layers */
        sum = 1 + number_in (ms_result_table (result, "overall"), MS_BALANCE_MAX_VIO, "corrected");
      else if (strcmp (name, "dead-experts") == 0)
        sum += number_in (table, row, "idle");
      else if (strcmp (name, "top-expert") == 0)
        sum = MAX (sum, number_in (table, row, "load"));
      else if (strcmp (name, "entropy") == 0)
        sum += number_in (table, row, "entropy") / ms_table_n_rows (table);
      else if (strcmp (name, "cache-hits") == 0
               && strcmp (ms_table_get_text (table, row, 0), "lru") == 0
               && number_in (table, row, "capacity") == 6)
        sum = number_in (table, row, "hit_rate");
    }
  if (strcmp (name, "specialisation") != 0)
    return sum;
  for (gint64 block = 0; block < 8; block++)
    {
      sum = weight = 0;
      for (guint row = 0; row < ms_table_n_rows (result->tables[0]); row++)
        if (number_in (result->tables[0], row, "layer") == (double) block
            && !isnan (number_in (result->tables[0], row, "specialisation")))
          {
            sum += number_in (result->tables[0], row, "count")
                   * number_in (result->tables[0], row, "specialisation");
            weight += number_in (result->tables[0], row, "count");
          }
      if (weight > 0 && sum / weight > most)
        {
          most = sum / weight;
          layer = (double) block;
        }
    }
  return layer;
}

static void
test_headlines (void)
{
  guint n = 0;

  for (const MsHeadlineDef *def = ms_headlines (); def->name != NULL; def++, n++)
    {
      const MsAnalysis *analysis = ms_analysis_find (def->analysis);
      g_autoptr (MsValues) values = ms_values_new (analysis);
      MsContext context = make_context (values, 2);
      g_autoptr (MsResult) result = run (analysis, &context);
      g_autoptr (MsResult) grouped = ms_analysis_run_by (analysis, &context, "language", NULL);
      g_autoptr (MsHeadline) headline = ms_headline_new (def, result);
      g_autoptr (MsHeadline) none = ms_headline_new (def, grouped);

      g_assert_true (is_name (def->name, '-'));
      g_assert_cmpfloat_with_epsilon (headline->value, expected_headline (def->name, result), 1e-9);
      g_assert_nonnull (headline->number);
      g_assert_true (g_str_has_suffix (headline->text, "."));
      if (headline->place != NULL)
        {
          g_autoptr (MsSelection) place = ms_selection_parse (headline->place, NULL);

          g_assert_nonnull (place);
          g_assert_nonnull (place->layers);
        }
      g_assert_null (none->number);
      g_assert_true (isnan (none->value));
      g_assert_cmpstr (none->text, !=, "");
    }
  g_assert_cmpuint (n, ==, 6);
}

/* Of selected experts the busiest is not said to be the busiest of all. */
static void
test_headlines_selected (void)
{
  const MsAnalysis *analysis = ms_analysis_find ("load");
  g_autoptr (MsValues) values = ms_values_new (analysis);
  MsContext context = make_context (values, 2);
  const MsHeadlineDef *def = ms_headlines ();
  guint n_marked = 0;

  while (strcmp (def->name, "top-expert") != 0)
    def++;
  for (gint64 expert = 0; expert < 3; expert++)
    {
      MsRange range = { expert, expert };
      g_autoptr (MsSelection) one = ms_selection_copy (ms_trace_selection (trace));
      g_autoptr (MsTrace) part = NULL;
      g_autoptr (MsResult) result = NULL;
      g_autoptr (MsHeadline) headline = NULL;

      one->experts = g_array_new (FALSE, FALSE, sizeof (MsRange));
      g_array_append_val (one->experts, range);
      part = ms_trace_open (ms_trace_path (trace), 0, one, NULL);
      context.trace = part;
      result = run (analysis, &context);
      headline = ms_headline_new (def, result);
      n_marked += g_str_has_prefix (headline->text, "Of the selected experts, ");
    }
  g_assert_cmpuint (n_marked, >=, 2); /* at most one of them is the busiest of all */
}

/* Without labels and entropies the numbers that need them say so. */
static void
test_headlines_missing (void)
{
  const MsAnalysis *analysis = ms_analysis_find ("experts");
  char *bare = write_bare ();
  g_autoptr (MsTrace) bare_trace = ms_trace_open (bare, 0, NULL, NULL);
  g_autoptr (MsValues) values = ms_values_new (analysis);
  MsContext context = { .trace = bare_trace, .values = values };
  g_autoptr (MsResult) result = run (analysis, &context);

  for (const MsHeadlineDef *def = ms_headlines (); def->name != NULL; def++)
    if (strcmp (def->analysis, "experts") == 0)
      {
        g_autoptr (MsHeadline) headline = ms_headline_new (def, result);

        g_assert_null (headline->number);
        g_assert_true (g_str_has_suffix (headline->text, "."));
      }
  ms_fixture_remove (bare);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    GTestDataFunc func;
  } tests[] = { { "descriptor", test_descriptor },
                { "run", test_run },
                { "parameters", test_parameters },
                { "given", test_given },
                { "bare", test_bare },
                { "cancel", test_cancel },
                { "groups", test_groups },
                { "experts", test_experts },
                { "runs", test_runs },
                { "store", test_store } };
  const MsAnalysis *const *all = ms_analyses ();
  char *pair_path;
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  path = ms_fixture_rich (NULL, 0);
  other_path = ms_fixture_rich (NULL, 0.3);
  trace = ms_trace_open (path, 0, NULL, &error);
  g_assert_no_error (error);
  other = ms_trace_open (other_path, 0, NULL, &error);
  g_assert_no_error (error);
  pair_path = ms_fixture_rich (NULL, 0);
  g_free (ms_fixture_rich (pair_path, 0.3));
  for (guint i = 0; i < 2; i++)
    {
      pair[i] = ms_trace_open (pair_path, i + 1, NULL, &error);
      g_assert_no_error (error);
    }
  for (guint i = 0; all[i] != NULL; i++)
    for (guint j = 0; j < G_N_ELEMENTS (tests); j++)
      {
        g_autofree char *name = g_strdup_printf ("/analysis/%s/%s", all[i]->name, tests[j].name);

        g_test_add_data_func (name, all[i], tests[j].func);
      }
  g_test_add_func ("/analysis/tables", test_tables);
  g_test_add_func ("/analysis/headlines", test_headlines);
  g_test_add_func ("/analysis/headlines/missing", test_headlines_missing);
  g_test_add_func ("/analysis/headlines/selected", test_headlines_selected);
  status = g_test_run ();
  ms_trace_unref (trace);
  ms_trace_unref (other);
  for (guint i = 0; i < 2; i++)
    ms_trace_unref (pair[i]);
  ms_fixture_remove (pair_path);
  ms_fixture_remove (path);
  ms_fixture_remove (other_path);
  return status;
}
