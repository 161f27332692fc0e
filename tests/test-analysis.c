/* One test for all analyses: walks the registry on a trace that has everything. */
#include "analysis.h"
#include "fixture.h"

#include <csv.h>
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
                      .seed = 1,
                      .bootstrap = 40,
                      .confidence = 0.95 };
}

/* Fails the test on every error but those that say what is wrong with the parameters. */
static MsResult *
run (const MsAnalysis *analysis, const MsContext *context)
{
  g_autoptr (GError) error = NULL;
  MsResult *result = ms_analysis_run (analysis, context, &error);

  if (result == NULL)
    {
      g_test_message ("%s: %s", analysis->name, error->message);
      g_assert_cmpstr (g_quark_to_string (error->domain), ==,
                       g_quark_to_string (MS_ANALYSIS_ERROR));
    }
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
  if (result == NULL)
    {
      g_test_skip ("it needs a parameter file");
      return;
    }
  g_assert_nonnull (result->summary);
  g_assert_cmpint (strlen (result->summary), >, 10);
  g_assert_cmpuint (ms_table_n_rows (result->tables[0]), >, 0);
  for (guint i = 0; i < result->n_tables; i++)
    {
      g_assert_true (ms_table_def (result->tables[i]) == &analysis->tables[i]);
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

static void
test_parameters (gconstpointer data)
{
  const MsAnalysis *analysis = data;

  for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
    {
      g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
      char number[MS_NUMBER_SIZE];

      switch (param->type)
        {
        case MS_PARAM_INT:
        case MS_PARAM_REAL:
          g_ptr_array_add (texts, g_strdup (ms_number_exact (number, param->least)));
          g_ptr_array_add (texts, g_strdup (ms_number_exact (number, param->most)));
          break;
        case MS_PARAM_BOOL:
          g_ptr_array_add (texts, g_strdup ("no"));
          g_ptr_array_add (texts, g_strdup ("yes"));
          break;
        case MS_PARAM_CHOICE:
          for (guint i = 0; param->choices[i] != NULL; i++)
            g_ptr_array_add (texts, g_strdup (param->choices[i]));
          break;
        case MS_PARAM_TEXT:
        case MS_PARAM_FILE:
          break;
        }
      for (guint i = 0; i < texts->len; i++)
        {
          g_autoptr (MsValues) values = ms_values_new (analysis);
          g_autoptr (GError) error = NULL;
          MsContext context = make_context (values, 2);
          g_autoptr (MsResult) result = NULL;

          ms_values_set (values, param->name, g_ptr_array_index (texts, i), &error);
          g_assert_no_error (error);
          g_test_message ("--%s %s", param->name, (char *) g_ptr_array_index (texts, i));
          context.bootstrap = 0;
          result = run (analysis, &context);
        }
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
  if (error->domain == MS_ANALYSIS_ERROR)
    g_test_skip ("it needs a parameter file");
  else
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (ms_analysis_run (analysis, &context, &error));
  g_assert_nonnull (error);
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

  context.bootstrap = 0;
  result = ms_analysis_run_by (analysis, &context, "domain", &error);
  if (result == NULL)
    {
      g_assert_cmpstr (g_quark_to_string (error->domain), ==,
                       g_quark_to_string (MS_ANALYSIS_ERROR));
      g_test_skip (error->message);
      return;
    }
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
  context.bootstrap = 10;
  context.trace = pair[0];
  first = run (analysis, &context);
  context.trace = pair[1];
  second = run (analysis, &context);
  if (first == NULL || second == NULL)
    {
      g_test_skip ("it needs a parameter file");
      return;
    }
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

  context.bootstrap = 0;
  whole = run (analysis, &context);
  context.trace = own;
  part = run (analysis, &context);
  if (whole == NULL || part == NULL)
    {
      g_test_skip ("it needs a parameter file");
      return;
    }
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

  context.bootstrap = 0;
  result = run (analysis, &context);
  if (result == NULL)
    {
      g_test_skip ("it needs a parameter file");
      return;
    }
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
  guint n = ms_table_n_rows (table);
  double sum = 0, weight = 0, most = -INFINITY, layer = NAN;

  if (strcmp (result->analysis->name, "experts") == 0)
    table = ms_result_table (result, "layers");
  for (guint row = 0; row < ms_table_n_rows (table); row++)
    {
      if (strcmp (name, "imbalance") == 0)
        sum += (1 + number_in (table, row, "max_vio")) / n;
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

static void
fill_bare (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  (void) layer, (void) data;
  token->experts[0] = (guint16) (position % 3);
}

/* Without labels and entropies the numbers that need them say so. */
static void
test_headlines_missing (void)
{
  const MsAnalysis *analysis = ms_analysis_find ("experts");
  const MsLayer layer = MS_PLAIN_LAYER (3, 4, 1);
  const MsDocument document = { .n_tokens = 40 };
  const MsFixture fixture = {
    .n_layers = 1, .layers = &layer, .n_documents = 1, .documents = &document, .fill = fill_bare
  };
  char *bare = ms_fixture_write (&fixture, NULL);
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
