/* The measures of routing on the small traces in tests/data/measures, against the numbers beside them.
 *
 * Those come from plain loops in Python that share nothing with ours (tests/data/make-measures.py).  A case
 * is a trace and an analysis with its arguments; both go through the command line.  Everything in
 * expected.csv belongs to a case, and every case has numbers there. */
#include "golden.h"

#include <string.h>

/* Scores are read back as float32; everything else is exact but for the digits written. */
#define TOLERANCE 1e-7

/* One line of cases.tsv: trace, experts, top-k, analysis, arguments. */
typedef struct
{
  char **cells;
  char **expected; /* lines of expected.csv */
  char *folder;
} Case;

static char *
read_file (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

/* Imports the trace of the case and runs its analysis. (transfer full) */
static JsonNode *
analyse (const Case *c)
{
  MsGolden golden = { c->folder, g_dir_make_tmp ("moescope-measures-XXXXXX", NULL) };
  g_autofree char *trace = g_strdup_printf ("%s/%s.csv", c->folder, c->cells[0]);
  g_autofree char *labels
      = g_strdup_printf ("--sequences=%s/%s-labels.csv", c->folder, c->cells[0]);
  g_autofree char *experts = g_strconcat ("--experts=", c->cells[1], NULL);
  g_autofree char *top_k = g_strconcat ("--top-k=", c->cells[2], NULL);
  g_autofree char *db = NULL;
  g_auto (GStrv) arguments = c->cells[4][0] != '\0' ? g_strsplit (c->cells[4], " ", -1) : NULL;
  const char *none[] = { NULL };
  JsonNode *result;

  g_assert_nonnull (golden.scratch);
  db = ms_golden_import (&golden, (const char *const[]){ trace, labels, experts, top_k, NULL });
  result = ms_golden_analyze (db, c->cells[3],
                              arguments != NULL ? (const char *const *) arguments : none);
  golden.folder = NULL;
  ms_golden_clear (&golden);
  return result;
}

/* Whether a line of expected.csv is about the case. */
static gboolean
belongs (char **line, const Case *c)
{
  return g_str_equal (line[0], c->cells[0]) && g_str_equal (line[1], c->cells[3]);
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (JsonNode) result = analyse (c);
  guint n_checked = 0;

  for (guint i = 1; c->expected[i] != NULL && c->expected[i][0] != '\0'; i++)
    {
      /* trace, analysis, table, row, column, value */
      g_auto (GStrv) cells = g_strsplit (c->expected[i], ",", -1);
      MsGoldenTable table;
      int row;

      g_assert_cmpuint (g_strv_length (cells), ==, 6);
      if (!belongs (cells, c))
        continue;
      table = ms_golden_table (result, cells[2]);
      row = ms_golden_find (&table, cells[3]);
      if (row < 0)
        g_error ("table %s has no row %s", cells[2], cells[3]);
      g_test_message ("%s, %s, %s", cells[2], cells[3], cells[4]);
      ms_golden_assert (ms_golden_real (&table, row, cells[4]), g_ascii_strtod (cells[5], NULL),
                        TOLERANCE);
      n_checked++;
    }
  g_assert_cmpuint (n_checked, >, 0);
}

/* Every number is of one case and no other. */
static void
test_complete (gconstpointer data)
{
  const GPtrArray *cases = data;
  const Case *first = g_ptr_array_index (cases, 0);

  for (guint i = 1; first->expected[i] != NULL && first->expected[i][0] != '\0'; i++)
    {
      g_auto (GStrv) cells = g_strsplit (first->expected[i], ",", -1);
      guint n = 0;

      for (guint j = 0; j < cases->len; j++)
        n += belongs (cells, g_ptr_array_index (cases, j));
      g_assert_cmpuint (n, ==, 1);
    }
}

static void
free_case (gpointer data)
{
  Case *c = data;

  g_strfreev (c->cells);
  g_free (c);
}

int
main (int argc, char **argv)
{
  g_autofree char *folder
      = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests", "data", "measures", NULL);
  g_autofree char *cases_text = read_file (folder, "cases.tsv");
  g_autofree char *expected_text = read_file (folder, "expected.csv");
  g_auto (GStrv) lines = g_strsplit (cases_text, "\n", -1);
  g_auto (GStrv) expected = g_strsplit (expected_text, "\n", -1);
  g_autoptr (GPtrArray) cases = g_ptr_array_new_with_free_func (free_case);

  g_test_init (&argc, &argv, NULL);
  for (guint i = 1; lines[i] != NULL && lines[i][0] != '\0'; i++)
    {
      Case *c = g_new0 (Case, 1);
      g_autofree char *path = NULL;

      *c = (Case){ g_strsplit (lines[i], "\t", -1), expected, folder };
      g_ptr_array_add (cases, c);
      g_assert_cmpuint (g_strv_length (c->cells), ==, 5);
      path = g_strdup_printf ("/measures/%s/%s", c->cells[3], c->cells[0]);
      g_test_add_data_func (path, c, test_case);
    }
  g_test_add_data_func ("/measures/complete", cases, test_complete);
  return g_test_run ();
}
