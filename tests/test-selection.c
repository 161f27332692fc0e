/* The selection's text form, the values of parameters and the result table, without any file. */
#include "analysis.h"

#include <math.h>
#include <string.h>

static void
check_selection (const char *text, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsSelection) selection = ms_selection_parse (text, &error);
  g_autoptr (MsSelection) copy = NULL;
  g_autofree char *format = NULL;

  g_assert_no_error (error);
  copy = ms_selection_copy (selection);
  format = ms_selection_format (copy);
  g_assert_cmpstr (format, ==, expected);
}

static void
test_selection (void)
{
  static const char *const wrong[] = { "layer",
                                       "layer=",
                                       "layer=a",
                                       "layer=5..4",
                                       "layer=1..",
                                       "layer=-1",
                                       "leyer=3",
                                       "name=\"a",
                                       "run=0",
                                       "run=x",
                                       "layer=1,",
                                       "doc=1..2..3",
                                       "lang=\xff",
                                       "token=1;2",
                                       "expert=1.5",
                                       "=3",
                                       "with=0",
                                       "with=x",
                                       "with=1..8",
                                       "with=1..9223372036854775807",
                                       "with=9223372036854775807",
                                       "run=9 with=1..7",
                                       "layer=99999999999999999999" };

  check_selection ("", "");
  check_selection ("  layer=4..8  expert=23,17 lang=de", "layer=4..8 expert=17,23 lang=de");
  check_selection ("layer=1 layer=2,3..5 layer=9", "layer=1..5,9");
  check_selection ("token=0..9223372036854775807,5", "token=0..9223372036854775807");
  check_selection ("language=fr,de,fr document=3 base=1 run=2", "run=2 base=1 lang=de,fr doc=3");
  check_selection ("with=5,2 run=1 layer=3", "run=1 with=2,5 layer=3");
  check_selection ("run=2 with=1..3,2", "run=2 with=1,3");
  check_selection ("run=9223372036854775807 with=1..3", "run=9223372036854775807 with=1..3");
  check_selection ("run=2 with=2", "run=2");
  check_selection ("run=7 with=1..7", "run=7 with=1..6");
  check_selection ("name=\"a b\",\"c\\\"d\\\\\",e domain=\"\"",
                   "domain=\"\" name=\"a b\",\"c\\\"d\\\\\",e");
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (ms_selection_parse (wrong[i], &error));
      g_assert_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION);
    }
}

/* The runs shown beside another: as many as a figure has colours for, that one counted. */
static void
test_runs (void)
{
  g_autoptr (MsSelection) selection = ms_selection_parse ("with=1..7", NULL);
  g_autofree gint64 *runs = NULL, *none = NULL;
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  guint n;

  g_assert_true (ms_selection_list_with (selection, 3, &runs, &n, NULL));
  g_assert_cmpuint (n, ==, 6);
  g_assert_cmpint (runs[0], ==, 1);
  g_assert_cmpint (runs[2], ==, 4);
  g_assert_false (ms_selection_list_with (selection, 8, &none, &n, &error));
  g_assert_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION);
  g_assert_nonnull (strstr (error->message, "at most 7"));
  ms_selection_show_run (selection, 4, FALSE);
  ms_selection_show_run (selection, 9, TRUE);
  ms_selection_show_run (selection, 9, TRUE);
  text = ms_selection_format (selection);
  g_assert_cmpstr (text, ==, "with=1..3,5..7,9");
  for (gint64 run = 1; run < 10; run++)
    ms_selection_show_run (selection, run, FALSE);
  g_assert_null (selection->with);
  g_assert_true (ms_selection_list_with (selection, 1, &none, &n, NULL));
  g_assert_cmpuint (n, ==, 0);
  g_assert_null (none);
}

static const char *const policies[] = { "lru", "lfu", NULL };
static const MsAnalysis toy = {
  .name = "toy",
  .params
  = (const MsParam
         []){ { .name = "slots", .type = MS_PARAM_INT, .least = 1, .most = 256, .usual = 8 },
              { .name = "share", .type = MS_PARAM_REAL, .least = 0, .most = 1, .usual = 0.5 },
              { .name = "deep", .type = MS_PARAM_BOOL },
              { .name = "policy", .type = MS_PARAM_CHOICE, .most = 1, .choices = policies },
              { .name = "file", .type = MS_PARAM_FILE },
              { 0 } },
};

static void
test_values (void)
{
  static const char *const wrong[][2]
      = { { "slots", "0" },    { "slots", "257" },  { "slots", "4.5" },
          { "slots", "" },     { "share", "nan" },  { "share", "1.1" },
          { "share", "0.5x" }, { "deep", "maybe" }, { "policy", "LRU" } };
  g_autoptr (MsValues) values = ms_values_new (&toy);
  g_autoptr (MsValues) copy = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *usual = ms_values_format (values), *text = NULL;

  g_assert_cmpstr (usual, ==, "");
  g_assert_true (ms_values_set (values, "slots", "256", NULL));
  g_assert_true (ms_values_set (values, "share", "0.25", NULL));
  g_assert_true (ms_values_set (values, "deep", "yes", NULL));
  g_assert_true (ms_values_set (values, "policy", "lfu", NULL));
  g_assert_true (ms_values_set (values, "file", "it's here", NULL));
  copy = ms_values_copy (values);
  text = ms_values_format (copy);
  g_assert_cmpstr (text, ==,
                   "--slots 256 --share 0.25 --deep yes --policy lfu --file 'it'\\''s here'");
  g_assert_cmpint (ms_values_int (copy, "slots"), ==, 256);
  g_assert_true (ms_values_bool (copy, "deep"));
  g_assert_cmpuint (ms_values_choice (copy, "policy"), ==, 1);
  g_assert_cmpstr (ms_values_text (copy, "file"), ==, "it's here");
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autoptr (GError) refused = NULL;

      g_assert_false (ms_values_set (values, wrong[i][0], wrong[i][1], &refused));
      g_assert_error (refused, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM);
    }
  g_assert_false (ms_values_set (values, "slot", "1", &error));
  g_assert_nonnull (strstr (error->message, "did you mean --slots?"));
}

static void
test_table (void)
{
  static const MsColumn columns[] = { { "layer", "Layer", NULL, MS_COLUMN_INT, "" },
                                      { "value", "Value", NULL, MS_COLUMN_REAL, "" },
                                      { "text", "Text", NULL, MS_COLUMN_TEXT, "" },
                                      { 0 } };
  static const MsTableDef def = { "toy", "Toy", columns };
  g_autoptr (MsTable) table = ms_table_new (&def);
  g_autoptr (GOutputStream) stream = g_memory_output_stream_new_resizable ();
  const char *expected = "layer,value,text\n-3,0.1,\"say \"\"hi\"\"\"\n4,,\n5,inf,\"\"\n";

  ms_table_add_row (table, MS_INT (-3), MS_REAL (0.1), MS_TEXT ("say \"hi\""));
  ms_table_add_row (table, MS_INT (4), MS_REAL (NAN), MS_TEXT (NULL));
  ms_table_add_row (table, MS_INT (5), MS_REAL (INFINITY), MS_TEXT (""));
  g_assert_cmpint (ms_table_find_column (table, "value"), ==, 1);
  g_assert_cmpint (ms_table_find_column (table, "none"), ==, -1);
  g_assert_cmpfloat (ms_table_get_real (table, 0, 0), ==, -3);
  g_assert_true (isnan (ms_table_reals (table, 1)[1]));
  g_assert_cmpstr (ms_table_get_text (table, 1, 2), ==, "");
  g_assert_true (ms_table_write_csv (table, stream, NULL));
  g_assert_true (g_output_stream_write_all (stream, "", 1, NULL, NULL, NULL));
  g_assert_cmpstr (g_memory_output_stream_get_data (G_MEMORY_OUTPUT_STREAM (stream)), ==, expected);
}

/* A row that does not fit the definition ends the program: of each wrong kind one. */
static void
test_wrong_rows (void)
{
  static const MsColumn columns[] = { { "layer", "Layer", NULL, MS_COLUMN_INT, "" },
                                      { "value", "Value", NULL, MS_COLUMN_REAL, "" },
                                      { 0 } };
  static const MsTableDef def = { "toy", "Toy", columns };

  if (g_test_subprocess ())
    {
      const char *kind = g_getenv ("WRONG_ROW");
      g_autoptr (MsTable) table = ms_table_new (&def);

      ms_table_add_row (table, MS_INT (1), MS_REAL (2));
      if (strcmp (kind, "type") == 0)
        ms_table_add_row (table, MS_INT (1), MS_INT (2));
      else if (strcmp (kind, "few") == 0)
        ms_table_add_row (table, MS_INT (1));
      else if (strcmp (kind, "many") == 0)
        ms_table_add_row (table, MS_INT (1), MS_REAL (2), MS_REAL (3));
      else if (strcmp (kind, "ended") == 0)
        {
          ms_table_put (table, MS_INT (1));
          ms_table_end_row (table);
        }
      else if (strcmp (kind, "begun") == 0)
        {
          ms_table_put (table, MS_INT (1));
          ms_table_add_row (table, MS_INT (1), MS_REAL (2));
        }
      return;
    }
  for (guint i = 0; i < 6; i++)
    {
      const char *kind = (const char *[]){ "none", "type", "few", "many", "ended", "begun" }[i];

      g_setenv ("WRONG_ROW", kind, TRUE);
      g_test_trap_subprocess (NULL, 0, 0);
      g_assert_true (g_test_trap_has_passed () == (i == 0));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/selection/text", test_selection);
  g_test_add_func ("/selection/runs", test_runs);
  g_test_add_func ("/selection/values", test_values);
  g_test_add_func ("/selection/table", test_table);
  g_test_add_func ("/selection/wrong-rows", test_wrong_rows);
  return g_test_run ();
}
