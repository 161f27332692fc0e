/* `moescope sql`: one SELECT over the file's tables and the decisions in it. */
#include "command.h"
#include "db.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#define SIZING_ROWS 200 /* rows that decide how wide the columns of a table are */

typedef struct
{
  MsConsole *console;
  sqlite3_stmt *statement;
  int n_columns;
} Query;

static gboolean
step (Query *query, gboolean *row, GError **error)
{
  return ms_console_step (query->console, query->statement,
                          ms_command_cancellable (MS_STOP_AT_ONCE), row, error);
}

static gboolean
is_number (const Query *query, int column)
{
  int type = sqlite3_column_type (query->statement, column);

  return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

/* --- Table ---------------------------------------------------------------------------------- */

static void
print_cell (const char *text, glong width, gboolean right, gboolean last)
{
  glong pad = MAX (width - g_utf8_strlen (text, -1), 0);

  printf ("%*s%s%*s%s", right ? (int) pad : 0, "", text, right || last ? 0 : (int) pad, "",
          last ? "\n" : "  ");
}

static gboolean
print_table (Query *query, GError **error)
{
  g_autoptr (GPtrArray) cells = g_ptr_array_new_with_free_func (g_free);
  g_autofree gboolean *right = g_new0 (gboolean, query->n_columns);
  g_autofree glong *widths = g_new0 (glong, query->n_columns);
  gboolean row = TRUE;
  guint n_rows = 1;

  for (int i = 0; i < query->n_columns; i++)
    g_ptr_array_add (cells, ms_text_printable (sqlite3_column_name (query->statement, i), -1));
  while (row)
    {
      if (!step (query, &row, error))
        return FALSE;
      for (int i = 0; row && i < query->n_columns; i++)
        {
          g_autofree char *text = ms_console_text (query->statement, i);

          right[i] = right[i] || is_number (query, i);
          g_ptr_array_add (cells, text == NULL ? g_strdup ("") : ms_text_printable (text, -1));
        }
      n_rows += row ? 1 : 0;
      if (row && n_rows < SIZING_ROWS)
        continue;
      for (guint i = 0; i < cells->len; i++)
        {
          glong *width = &widths[i % (guint) query->n_columns];

          *width = MAX (*width, g_utf8_strlen (cells->pdata[i], -1));
        }
      for (guint i = 0; i < cells->len; i++)
        {
          int column = (int) (i % (guint) query->n_columns);

          print_cell (cells->pdata[i], widths[column], right[column],
                      column == query->n_columns - 1);
        }
      g_ptr_array_set_size (cells, 0);
    }
  return TRUE;
}

/* --- CSV and JSON --------------------------------------------------------------------------- */

/* Column names are bare as far as they can be. */
static void
append_name (GString *line, const char *name)
{
  if (strpbrk (name, ",\"\r\n\x1b") == NULL && g_str_is_ascii (name))
    g_string_append (line, name);
  else
    ms_csv_append (line, name);
}

static gboolean
print_csv (Query *query, GError **error)
{
  g_autoptr (GString) line = g_string_new (NULL);
  gboolean row = TRUE;

  for (int i = 0; i < query->n_columns; i++)
    {
      if (i > 0)
        g_string_append_c (line, ',');
      append_name (line, sqlite3_column_name (query->statement, i));
    }
  puts (line->str);
  while (row)
    {
      if (!step (query, &row, error))
        return FALSE;
      if (!row)
        break;
      g_string_truncate (line, 0);
      for (int i = 0; i < query->n_columns; i++)
        {
          g_autofree char *text = ms_console_text (query->statement, i);

          if (i > 0)
            g_string_append_c (line, ',');
          if (text != NULL && is_number (query, i))
            g_string_append (line, text);
          else if (text != NULL)
            ms_csv_append (line, text);
        }
      puts (line->str);
    }
  return TRUE;
}

static gboolean
print_json (Query *query, GError **error)
{
  gboolean row = TRUE, first = TRUE;

  fputs ("[", stdout);
  while (row)
    {
      g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
      g_autoptr (JsonObject) object = json_object_new ();
      g_autofree char *line = NULL, *safe = NULL;

      if (!step (query, &row, error))
        return FALSE;
      if (!row)
        break;
      for (int i = 0; i < query->n_columns; i++)
        {
          const char *name = sqlite3_column_name (query->statement, i);
          g_autofree char *text = ms_console_text (query->statement, i);

          if (text == NULL)
            json_object_set_null_member (object, name);
          else if (sqlite3_column_type (query->statement, i) == SQLITE_INTEGER)
            json_object_set_int_member (object, name, sqlite3_column_int64 (query->statement, i));
          else if (is_number (query, i))
            json_object_set_double_member (object, name,
                                           sqlite3_column_double (query->statement, i));
          else
            json_object_set_string_member (object, name, text);
        }
      json_node_set_object (node, object);
      line = json_to_string (node, FALSE);
      safe = ms_text_safe_json (line);
      printf ("%s\n  %s", first ? "" : ",", safe);
      first = FALSE;
    }
  fputs (first ? "]\n" : "\n]\n", stdout);
  return TRUE;
}

/* --- The command ---------------------------------------------------------------------------- */

/* Shows where in the statement the error is. */
static void
point_at (const char *sql, int offset)
{
  const char *start = sql + offset, *end = sql + offset;

  while (start > sql && start[-1] != '\n')
    start--;
  while (*end != '\0' && *end != '\n')
    end++;
  fprintf (stderr, "  %.*s\n  %*s^\n", (int) (end - start), start,
           (int) g_utf8_strlen (start, sql + offset - start), "");
}

static MsExit
run (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    gboolean (*print) (Query *query, GError **error);
  } formats[] = { { "table", print_table }, { "csv", print_csv }, { "json", print_json } };
  g_autofree char *format = NULL;
  const GOptionEntry entries[] = { { "format", 0, 0, G_OPTION_ARG_STRING, &format,
                                     "table, csv or json (default: table)", "FORMAT" },
                                   { 0 } };
  g_autoptr (MsConsole) console = NULL;
  Query query = { 0 };
  GError *error = NULL;
  guint chosen = 0;
  gboolean good;
  int offset;

  ms_command_parse (&ms_command_sql, entries, &argc, &argv);
  if (argc != 3)
    return ms_command_misuse (&ms_command_sql, "give a file and a statement");
  while (format != NULL && chosen < G_N_ELEMENTS (formats)
         && strcmp (formats[chosen].name, format) != 0)
    chosen++;
  if (chosen == G_N_ELEMENTS (formats))
    return ms_command_misuse (&ms_command_sql, "there is no format '%s'", format);
  console = ms_console_new (argv[1], &error);
  if (console == NULL)
    return ms_command_fail (&ms_command_sql, error);
  query.console = console;
  query.statement = ms_console_prepare (console, argv[2], &offset, &error);
  if (query.statement == NULL)
    {
      MsExit status = ms_command_fail (&ms_command_sql, error);

      if (offset >= 0)
        point_at (argv[2], offset);
      return status;
    }
  query.n_columns = sqlite3_column_count (query.statement);
  good = formats[chosen].print (&query, &error);
  sqlite3_finalize (query.statement);
  return good ? MS_EXIT_FINE : ms_command_fail (&ms_command_sql, error);
}

const MsCommand ms_command_sql = {
  .name = "sql",
  .usage = "RUN.db \"SELECT ...\" [--format table|csv|json]",
  .summary = "Ask a file in SQL",
  .details = "Besides the tables of the file there are\n"
             "  routing (run, layer, token, rank, expert, weight, entropy, margin)\n"
             "  load    (run, layer, expert, count)\n"
             "  token   (corpus, token, id, text)\n"
             "'layer' is the model's block number, 'token' the position in the corpus.",
  .example = "moescope sql run.db \"SELECT layer, expert, count FROM load WHERE run = 1 "
             "ORDER BY count DESC LIMIT 10\"",
  .run = run,
};
