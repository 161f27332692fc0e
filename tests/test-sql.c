/* SQL triples: every file of tests/sql holds a statement, an empty line, and what comes back as CSV with
 * bare cells ("error: ..." for what is refused); all about tests/data/format-1.db. */
#include "db.h"

#include <string.h>

static char *
run_statement (MsConsole *console, const char *sql)
{
  GString *text = g_string_new (NULL);
  GError *error = NULL;
  int offset;
  sqlite3_stmt *statement = ms_console_prepare (console, sql, &offset, &error);
  gboolean row = statement != NULL;

  while (row && ms_console_step (console, statement, NULL, &row, &error) && row)
    for (int i = 0; i < sqlite3_column_count (statement); i++)
      {
        g_autofree char *cell = ms_console_text (statement, i);

        g_string_append_printf (text, "%s%s", i > 0 ? "," : "", cell != NULL ? cell : "NULL");
        if (i == sqlite3_column_count (statement) - 1)
          g_string_append_c (text, '\n');
      }
  if (error != NULL && statement == NULL && offset >= 0)
    g_string_append_printf (text, "error at %d: %s\n", offset, error->message);
  else if (error != NULL)
    g_string_append_printf (text, "error: %s\n", error->message);
  g_clear_error (&error);
  sqlite3_finalize (statement);
  return g_string_free (text, FALSE);
}

static void
test_triple (gconstpointer data)
{
  const char *path = data;
  g_autofree char *database
      = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests/data/format-1.db", NULL);
  g_autofree char *text = NULL, *result = NULL;
  GError *error = NULL;
  g_autoptr (MsConsole) console = ms_console_new (database, &error);
  char *expected;

  g_assert_no_error (error);
  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  expected = strstr (text, "\n\n");
  g_assert_nonnull (expected);
  *expected = '\0';
  result = run_statement (console, text);
  g_assert_cmpstr (result, ==, expected + 2);
}

static gpointer
cancel_soon (gpointer cancel)
{
  g_usleep (50000);
  g_cancellable_cancel (cancel);
  return NULL;
}

/* A query without an end stops when told. */
static void
test_cancel (void)
{
  g_autofree char *database
      = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests/data/format-1.db", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (MsConsole) console = ms_console_new (database, NULL);
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  sqlite3_stmt *statement = ms_console_prepare (
      console,
      "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max (x) FROM n",
      NULL, NULL);
  GThread *thread = g_thread_new ("cancel", cancel_soon, cancel);
  gboolean row;

  g_assert_false (ms_console_step (console, statement, cancel, &row, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
  sqlite3_finalize (statement);
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = NULL;
  g_autoptr (GDir) dir = NULL;
  const char *name;

  g_test_init (&argc, &argv, NULL);
  folder = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests/sql", NULL);
  dir = g_dir_open (folder, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".test"))
      {
        g_autofree char *test = g_strconcat ("/sql/", name, NULL);

        g_test_add_data_func_full (test, g_build_filename (folder, name, NULL), test_triple,
                                   g_free);
      }
  g_test_add_func ("/sql/cancel", test_cancel);
  return g_test_run ();
}
