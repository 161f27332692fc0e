/* The numbers of a figure as CSV, as a table for PGFPlots, and its making as JSON; see plot-data.h. */
#include "plot-data.h"

#include <math.h>
#include <string.h>

/* The columns that the plot uses, each once, in the order x, y, value, ... */
static GArray *
used_columns (const MsTable *table, const MsPlotDef *plot)
{
  const char *const names[]
      = { MS_RUN_ID_COLUMN, MS_RUN_COLUMN, MS_GROUP_COLUMN, plot->facet, plot->series,
          plot->x,          plot->x2,      plot->y,         plot->value, plot->low,
          plot->high,       plot->label,   plot->reference };
  GArray *columns = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      int found = names[i] != NULL ? ms_table_find_column (table, names[i]) : -1;
      gboolean known = found < 0;

      for (guint j = 0; j < columns->len; j++)
        known = known || g_array_index (columns, guint, j) == (guint) found;
      if (!known)
        g_array_append_val (columns, found);
    }
  return columns;
}

/* A cell for PGFPlots: nan for no value, text in braces without what TeX would act on. */
static void
append_cell (GString *out, const MsTable *table, guint row, guint column)
{
  char number[MS_NUMBER_SIZE];

  if (ms_table_column (table, column)->type == MS_COLUMN_TEXT)
    {
      const char *text = ms_table_get_text (table, row, column);

      g_string_append_c (out, '{');
      for (; *text != '\0'; text++)
        if (strchr ("\\{}", *text) == NULL && !g_ascii_iscntrl (*text))
          {
            if (strchr ("#$%&_", *text) != NULL)
              g_string_append_c (out, '\\');
            g_string_append_c (out, *text);
          }
      g_string_append_c (out, '}');
    }
  else if (ms_table_is_null (table, row, column))
    g_string_append (out, "nan");
  else
    g_string_append (out, ms_number_exact (number, ms_table_get_real (table, row, column)));
}

/* One line for each row; a blank line where facet, series or the line of a map changes, which PGFPlots
 * reads as the end of a curve or of a row of cells. */
static char *
make_dat (MsFigure *figure)
{
  const MsTable *table = ms_figure_table (figure);
  const MsPlotDef *plot = ms_figure_plot (figure);
  g_autoptr (GArray) columns = used_columns (table, plot);
  GString *out = g_string_new (NULL);
  gboolean map = ms_plot_is_map (plot);
  const char *const breaks[]
      = { MS_RUN_COLUMN, MS_GROUP_COLUMN, plot->facet, plot->series, map ? plot->y : NULL };

  g_string_append_printf (out, "# %s.  \\addplot%s table [x=%s, y=%s%s%s] {THIS FILE};\n",
                          plot->title, map ? " [matrix plot*, point meta=explicit]" : "",
                          plot->x != NULL ? plot->x : plot->label, plot->y != NULL ? plot->y : "",
                          map ? ", meta=" : "", map ? plot->value : "");
  for (guint i = 0; i < columns->len; i++)
    g_string_append_printf (out, "%s%s", i > 0 ? " " : "",
                            ms_table_column (table, g_array_index (columns, guint, i))->name);
  g_string_append_c (out, '\n');
  for (guint row = 0, last = G_MAXUINT; row < ms_table_n_rows (table); row++)
    {
      gboolean blank = FALSE;

      if (!ms_figure_has_row (figure, row))
        continue;
      for (guint i = 0; i < G_N_ELEMENTS (breaks) && last != G_MAXUINT; i++)
        {
          int column = breaks[i] != NULL ? ms_table_find_column (table, breaks[i]) : -1;
          g_autofree char *before
              = column >= 0 ? ms_table_format (table, last, (guint) column) : NULL;
          g_autofree char *now = column >= 0 ? ms_table_format (table, row, (guint) column) : NULL;

          blank = blank || g_strcmp0 (before, now) != 0;
        }
      if (blank)
        g_string_append_c (out, '\n');
      for (guint i = 0; i < columns->len; i++)
        {
          if (i > 0)
            g_string_append_c (out, ' ');
          append_cell (out, table, row, g_array_index (columns, guint, i));
        }
      g_string_append_c (out, '\n');
      last = row;
    }
  return g_string_free (out, FALSE);
}

static char *
make_json (MsJob *job, const MsResult *result, const MsTable *table, const MsPlotDef *plot,
           const char *figure_path, const char *interval, const char *hash)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();
  g_autofree char *params = ms_values_format (job->values);
  g_autofree char *name = g_path_get_basename (figure_path);

  json_builder_begin_object (json);
  ms_json_add_text (json, "figure", name);
  ms_json_add_text (json, "title", plot->title);
  ms_json_add_text (json, "summary", result->summary);
  ms_json_add_text (json, "interval", interval);
  ms_json_add_text (json, "analysis", result->analysis->name);
  ms_json_add_int (json, "analysis_version", result->analysis->version);
  ms_json_add_text (json, "definition", result->analysis->formula);
  ms_json_add_text (json, "source", result->analysis->cite);
  ms_json_add_text (json, "params", params);
  ms_json_add_text (json, "plot", plot->name);
  ms_json_add_text (json, "table", plot->table);
  ms_json_add_text (json, "rows", plot->where);
  ms_provenance_add (json, job, hash);
  ms_json_add_texts (json, "notes", result->notes);
  ms_json_begin_array (json, "columns");
  for (guint i = 0; i < ms_table_n_columns (table); i++)
    {
      const MsColumn *column = ms_table_column (table, i);

      json_builder_begin_object (json);
      ms_json_add_text (json, "name", column->name);
      ms_json_add_text (json, "title", column->title);
      ms_json_add_text (json, "unit", column->unit);
      ms_json_add_text (json, "help", column->help);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
  json_builder_end_object (json);
  return ms_json_text (json);
}

/* Whether the files beside a figure may be written: none is there, or they were made with this figure
 * before.  A table of the user's that happens to have the figure's name is not lost. */
static gboolean
check_beside (const char *figure_path, const char *const *paths, const char *json, GError **error)
{
  g_autofree char *name = g_path_get_basename (figure_path);
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  const char *made_with = NULL;

  if (json_parser_load_from_file (parser, json, NULL))
    root = json_parser_steal_root (parser);
  if (root != NULL && JSON_NODE_HOLDS_OBJECT (root))
    made_with
        = json_object_get_string_member_with_default (json_node_get_object (root), "figure", NULL);
  for (guint i = 0; paths[i] != NULL; i++)
    if (g_file_test (paths[i], G_FILE_TEST_EXISTS) && g_strcmp0 (made_with, name) != 0)
      {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                     "%s exists and was not made with the figure %s: move it away, or give the "
                     "figure another name",
                     paths[i], name);
        return FALSE;
      }
  return TRUE;
}

gboolean
ms_plot_data_write (MsJob *job, const MsResult *result, MsFigure *figure, const char *figure_path,
                    const char *interval, GError **error)
{
  const MsPlotDef *plot = ms_figure_plot (figure);
  g_autofree char *stem
      = g_strndup (figure_path, (gsize) (strrchr (figure_path, '.') - figure_path));
  g_autofree char *csv = g_strconcat (stem, ".csv", NULL), *dat = g_strconcat (stem, ".dat", NULL);
  g_autofree char *json = g_strconcat (stem, ".json", NULL);
  MsTable *table = ms_result_table (result, plot->table);
  g_autofree char *hash = NULL, *numbers = NULL, *making = NULL;
  g_autoptr (GOutputStream) stream = NULL;

  if (!check_beside (figure_path, (const char *const[]){ csv, dat, json, NULL }, json, error))
    return FALSE;
  if (job->trace != NULL && (hash = ms_file_hash (job->path, error)) == NULL)
    return FALSE;
  if ((stream = ms_command_output (csv, error)) == NULL
      || !ms_stream_close (stream, ms_table_write_csv (table, stream, error), error))
    return FALSE;
  numbers = make_dat (figure);
  making = make_json (job, result, table, plot, figure_path, interval, hash);
  return ms_command_write (dat, numbers, strlen (numbers), error)
         && ms_command_write (json, making, strlen (making), error);
}
