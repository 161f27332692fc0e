/* Runs the program as a user does: nothing of its libraries is linked here. */
#include "golden.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

gboolean
ms_golden_init (MsGolden *golden, const char *metric)
{
  const char *shared = g_getenv ("MOESCOPE_SHARED");

  *golden = (MsGolden){ NULL, NULL };
  golden->folder = g_build_filename (shared != NULL ? shared : "", "golden", metric, NULL);
  if (shared == NULL || !g_file_test (golden->folder, G_FILE_TEST_IS_DIR))
    {
      g_clear_pointer (&golden->folder, g_free);
      g_test_skip ("the golden vectors are not here");
      return FALSE;
    }
  golden->scratch = g_dir_make_tmp ("moescope-golden-XXXXXX", NULL);
  g_assert_nonnull (golden->scratch);
  return TRUE;
}

void
ms_golden_clear (MsGolden *golden)
{
  g_autoptr (GDir) dir = golden->scratch != NULL ? g_dir_open (golden->scratch, 0, NULL) : NULL;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (golden->scratch, name, NULL);

      g_unlink (path);
    }
  if (golden->scratch != NULL)
    g_rmdir (golden->scratch);
  g_free (golden->scratch);
  g_free (golden->folder);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *
ms_golden_cases (const MsGolden *golden)
{
  GPtrArray *cases = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (golden->folder, 0, NULL);
  const char *name;

  g_assert_nonnull (dir);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (golden->folder, name, NULL);

      if (g_file_test (path, G_FILE_TEST_IS_DIR))
        g_ptr_array_add (cases, g_strdup (name));
    }
  g_ptr_array_sort (cases, compare_names);
  g_assert_cmpuint (cases->len, >, 0);
  return cases;
}

char *
ms_golden_path (const MsGolden *golden, const char *name, const char *file)
{
  return g_build_filename (golden->folder, name, file, NULL);
}

JsonNode *
ms_golden_json (const MsGolden *golden, const char *name, const char *file)
{
  g_autofree char *path = ms_golden_path (golden, name, file);
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  g_autoptr (GString) clean = NULL;
  JsonNode *node;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  clean = g_string_new (text);
  g_string_replace (clean, ": NaN", ": null", 0);
  g_string_replace (clean, "[NaN", "[null", 0);
  g_string_replace (clean, ", NaN", ", null", 0);
  node = json_from_string (clean->str, &error);
  g_assert_no_error (error);
  return node;
}

/* Runs moescope; returns what it writes. */
static char *
run (GPtrArray *command)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autofree char *errors = NULL;
  char *output = NULL;

  g_ptr_array_add (command, NULL);
  process
      = g_subprocess_newv ((const char *const *) command->pdata,
                           G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, &output, &errors, &error);
  g_assert_no_error (error);
  if (!g_subprocess_get_successful (process))
    {
      g_autofree char *line = g_strjoinv (" ", (char **) command->pdata);

      g_error ("%s: %s", line, errors);
    }
  return output;
}

char *
ms_golden_import (const MsGolden *golden, const char *const *arguments)
{
  static guint n_made;
  g_autoptr (GPtrArray) command = g_ptr_array_new ();
  char *db = g_strdup_printf ("%s/%u.db", golden->scratch, n_made++);
  g_autofree char *output = NULL;

  g_ptr_array_add (command, (gpointer) g_getenv ("MOESCOPE"));
  g_ptr_array_add (command, (gpointer) "import");
  /* Golden logits are of softmax routers, unless a further --gating says otherwise. */
  g_ptr_array_add (command, (gpointer) "--gating=softmax");
  for (; *arguments != NULL; arguments++)
    g_ptr_array_add (command, (gpointer) *arguments);
  g_ptr_array_add (command, (gpointer) "-o");
  g_ptr_array_add (command, db);
  output = run (command);
  return db;
}

JsonNode *
ms_golden_analyze (const char *db, const char *analysis, const char *const *arguments)
{
  g_autoptr (GPtrArray) command = g_ptr_array_new ();
  g_autofree char *output = NULL;
  g_autoptr (GError) error = NULL;
  JsonNode *node;

  g_ptr_array_add (command, (gpointer) g_getenv ("MOESCOPE"));
  g_ptr_array_add (command, (gpointer) "analyze");
  g_ptr_array_add (command, (gpointer) db);
  g_ptr_array_add (command, (gpointer) analysis);
  for (; *arguments != NULL; arguments++)
    g_ptr_array_add (command, (gpointer) *arguments);
  g_ptr_array_add (command, (gpointer) "--format=json");
  g_ptr_array_add (command, (gpointer) "--bootstrap=0");
  output = run (command);
  node = json_from_string (output, &error);
  g_assert_no_error (error);
  return node;
}

/* --- Values ---------------------------------------------------------------------------------- */

MsGoldenTable
ms_golden_table (JsonNode *result, const char *table)
{
  JsonObject *tables = json_object_get_object_member (json_node_get_object (result), "tables");
  JsonObject *one = json_object_get_object_member (tables, table);

  g_assert_nonnull (one);
  return (MsGoldenTable){ json_object_get_array_member (one, "columns"),
                          json_object_get_array_member (one, "rows") };
}

static guint
find_column (const MsGoldenTable *table, const char *name)
{
  for (guint i = 0; i < json_array_get_length (table->columns); i++)
    if (strcmp (json_array_get_string_element (table->columns, i), name) == 0)
      return i;
  g_error ("there is no column %s", name);
}

static JsonNode *
get_cell (const MsGoldenTable *table, int row, guint column)
{
  g_assert_cmpint (row, >=, 0);
  return json_array_get_element (json_array_get_array_element (table->rows, (guint) row), column);
}

int
ms_golden_find (const MsGoldenTable *table, const char *where)
{
  g_auto (GStrv) words = g_strsplit (where, " ", -1);
  guint n = g_strv_length (words);
  g_autofree guint *columns = g_new (guint, n);

  for (guint i = 0; i < n; i++)
    {
      char *equals = strchr (words[i], '=');

      *equals = '\0';
      columns[i] = find_column (table, words[i]);
    }
  for (guint row = 0; row < json_array_get_length (table->rows); row++)
    {
      gboolean fits = TRUE;

      for (guint i = 0; fits && i < n; i++)
        {
          JsonNode *cell = get_cell (table, (int) row, columns[i]);
          const char *value = words[i] + strlen (words[i]) + 1;

          if (json_node_get_value_type (cell) == G_TYPE_STRING)
            fits = strcmp (json_node_get_string (cell), value) == 0;
          else
            fits = ms_golden_number (cell) == g_ascii_strtod (value, NULL);
        }
      if (fits)
        return (int) row;
    }
  return -1;
}

double
ms_golden_real (const MsGoldenTable *table, int row, const char *column)
{
  return ms_golden_number (get_cell (table, row, find_column (table, column)));
}

const char *
ms_golden_text (const MsGoldenTable *table, int row, const char *column)
{
  return json_node_get_string (get_cell (table, row, find_column (table, column)));
}

double
ms_golden_number (JsonNode *node)
{
  g_assert_nonnull (node);
  return json_node_is_null (node) ? NAN : json_node_get_double (node);
}

JsonNode *
ms_golden_at (JsonNode *node, const char *path)
{
  g_auto (GStrv) names = g_strsplit (path, "/", -1);

  for (guint i = 0; node != NULL && names[i] != NULL; i++)
    if (JSON_NODE_HOLDS_OBJECT (node))
      node = json_object_get_member (json_node_get_object (node), names[i]);
    else if (JSON_NODE_HOLDS_ARRAY (node))
      {
        guint64 index = g_ascii_strtoull (names[i], NULL, 10);
        JsonArray *array = json_node_get_array (node);

        node = index < json_array_get_length (array) ? json_array_get_element (array, (guint) index)
                                                     : NULL;
      }
    else
      node = NULL;
  return node;
}
