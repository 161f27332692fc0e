/* Looks cells up by name: slow, for tests. */
#include "results.h"

#include <string.h>

MsResult *
ms_test_run_against (MsTrace *trace, MsTrace **others, guint n_others, const char *name,
                     guint bootstrap, const char *const *params)
{
  const MsAnalysis *analysis = ms_analysis_find (name);
  g_autoptr (MsValues) values = NULL;
  g_autoptr (GError) error = NULL;
  MsContext context = { .trace = trace,
                        .others = others,
                        .n_others = n_others,
                        .sampling.seed = 1,
                        .sampling.resamples = bootstrap,
                        .sampling.confidence = 0.95,
                        .threads = 2 };
  MsResult *result;

  g_assert_nonnull (analysis);
  values = ms_values_new (analysis);
  for (; params != NULL && *params != NULL; params++)
    {
      g_auto (GStrv) words = g_strsplit (*params, "=", 2);

      ms_values_set (values, words[0], words[1], &error);
      g_assert_no_error (error);
    }
  context.values = values;
  result = ms_analysis_run (analysis, &context, &error);
  g_assert_no_error (error);
  return result;
}

MsResult *
ms_test_run (MsTrace *trace, const char *name, guint bootstrap, const char *const *params)
{
  return ms_test_run_against (trace, NULL, 0, name, bootstrap, params);
}

guint
ms_test_row (const MsTable *table, const char *format, ...)
{
  g_autofree char *where = NULL;
  g_auto (GStrv) words = NULL;
  va_list arguments;

  va_start (arguments, format);
  where = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  words = g_strsplit (where, " ", -1);
  for (guint row = 0; row < ms_table_n_rows (table); row++)
    {
      gboolean fits = TRUE;

      for (guint i = 0; fits && words[i] != NULL; i++)
        {
          const char *equals = strchr (words[i], '=');
          g_autofree char *name = g_strndup (words[i], (gsize) (equals - words[i]));
          int column = ms_table_find_column (table, name);

          g_assert_cmpint (column, >=, 0);
          if (ms_table_column (table, (guint) column)->type == MS_COLUMN_TEXT)
            fits = strcmp (ms_table_get_text (table, row, (guint) column), equals + 1) == 0;
          else
            fits = ms_table_get_real (table, row, (guint) column)
                   == g_ascii_strtod (equals + 1, NULL);
        }
      if (fits)
        return row;
    }
  g_error ("table %s has no row %s", ms_table_def (table)->name, where);
}

double
ms_test_real (const MsTable *table, guint row, const char *column)
{
  int index = ms_table_find_column (table, column);

  g_assert_cmpint (index, >=, 0);
  return ms_table_get_real (table, row, (guint) index);
}

const char *
ms_test_text (const MsTable *table, guint row, const char *column)
{
  int index = ms_table_find_column (table, column);

  g_assert_cmpint (index, >=, 0);
  return ms_table_get_text (table, row, (guint) index);
}
