/* One database whose every name, label, key and piece carries what terminals, SVG, HTML, Markdown and
 * spreadsheets act on.  Whatever a command writes of it holds none of that raw, and JSON keeps the values. */
#include "fixture.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <sqlite3.h>
#include <string.h>

/* A formula, a colour and a title of a terminal, DEL, C1's CSI, an override and an isolate of direction, a
 * script, a link and a fence of Markdown, quotes, an entity, and what XML does not allow. */
#define ESCAPES                                                                                    \
  "\x1b[31m\x1b]0;x\x07\x7f\xc2\x9b"                                                               \
  "31m\xe2\x80\xae\xe2\x81\xa6\x01\xef\xbf\xbf"
#define MARKS   "<script>alert(1)</script>``` <b> `|](javascript:x)\"'&amp;&#27;"
#define HOSTILE "=cmd()" ESCAPES MARKS

static char *folder, *database;

static void
run_sql (sqlite3 *db, const char *sql)
{
  char *message = NULL;

  if (sqlite3_exec (db, sql, NULL, NULL, &message) != SQLITE_OK)
    g_error ("%s: %s", sql, message);
}

/* Prefixes a column's texts: what must differ still does. */
static void
spoil (sqlite3 *db, const char *table, const char *column)
{
  char *sql = sqlite3_mprintf ("UPDATE %s SET %s = %Q || coalesce(%s, '')", table, column, HOSTILE,
                               column);

  run_sql (db, sql);
  sqlite3_free (sql);
}

static void
make_database (void)
{
  static const char *const texts[][2]
      = { { "model", "name" },        { "model", "architecture" }, { "model", "fingerprint" },
          { "layer", "name" },        { "corpus", "name" },        { "corpus", "tokenizer" },
          { "corpus", "unit" },       { "document", "name" },      { "document_label", "value" },
          { "token_label", "value" }, { "run", "name" },           { "run", "precision" },
          { "run", "collector" },     { "run", "command" },        { "run", "started" },
          { "run", "finished" },      { "destination", "name" } };
  g_autoptr (JsonObject) details = json_object_new ();
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  g_autofree char *json = NULL;
  sqlite3 *db;
  char *sql;

  database = ms_fixture_rich (NULL, 0);
  g_assert_cmpint (sqlite3_open (database, &db), ==, SQLITE_OK);
  run_sql (db,
           "INSERT INTO document_label SELECT corpus, document, 'quality', 'x' FROM document;"
           "INSERT INTO token_label VALUES (1, 'voice', 0, 9, 'x');"
           "INSERT INTO destination SELECT model, layer, 1, 'x', 'null', 'x', 1 FROM layer LIMIT 1;"
           "INSERT INTO finding VALUES (1, 'x', 'doubt', 3, 'x', 'x')");
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    spoil (db, texts[i][0], texts[i][1]);
  json_object_set_string_member (details, HOSTILE, HOSTILE);
  json_node_set_object (root, details);
  json = json_to_string (root, FALSE);
  sql = sqlite3_mprintf ("UPDATE model SET details = %Q; UPDATE piece SET bytes = CAST(%Q AS BLOB)",
                         json, HOSTILE);
  run_sql (db, sql);
  sqlite3_free (sql);
  sqlite3_close (db);
}

/* --- What may not be in an output --------------------------------------------------------------- */

typedef enum
{
  TEXT,
  CSV,
  JSON,
  HTML,
  MARKDOWN,
  SVG,
  PDF,
} Form;

static void
assert_without (const char *what, const char *bytes, gsize n, const char *part)
{
  if (memmem (bytes, n, part, strlen (part)) != NULL)
    {
      g_autofree char *shown = g_strescape (part, NULL);

      g_error ("%s writes \"%s\" raw", what, shown);
    }
}

static void
assert_no_controls (const char *what, const char *bytes, gsize n)
{
  if (!g_utf8_validate (bytes, (gssize) n, NULL))
    g_error ("%s writes invalid UTF-8", what);
  for (const char *c = bytes; c < bytes + n; c = g_utf8_next_char (c))
    {
      gunichar u = g_utf8_get_char (c);

      if ((g_unichar_iscntrl (u) && u != '\n' && u != '\t') || (u >= 0x2028 && u <= 0x202e)
          || (u >= 0x2066 && u <= 0x2069) || u == 0xffff)
        g_error ("%s writes U+%04X raw before: %.60s", what, u, g_utf8_next_char (c));
    }
}

/* No field begins a formula, quoted or not. */
static void
assert_no_formula (const char *what, const char *bytes)
{
  g_autoptr (GRegex) formula = g_regex_new ("(^|,)\"?[=@+]\\w", G_REGEX_MULTILINE, 0, NULL);

  if (g_regex_match (formula, bytes, 0, NULL))
    g_error ("%s writes a formula: %.200s", what, bytes);
}

static void
assert_xml (const char *what, const char *bytes, gsize n)
{
  static const GMarkupParser nothing = { 0 };
  g_autoptr (GMarkupParseContext) context = g_markup_parse_context_new (&nothing, 0, NULL, NULL);
  g_autoptr (GError) error = NULL;

  if (!g_markup_parse_context_parse (context, bytes, (gssize) n, &error)
      || !g_markup_parse_context_end_parse (context, &error))
    g_error ("%s: %s", what, error->message);
  assert_without (what, bytes, n, "&#x1");
  assert_without (what, bytes, n, "&#x7");
  assert_without (what, bytes, n, "&#x9");
}

static void
assert_json (const char *what, const char *bytes)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) root = json_from_string (bytes, &error);

  if (root == NULL)
    g_error ("%s: %s", what, error != NULL ? error->message : "empty");
}

static void
assert_safe (const char *what, Form form, const char *bytes, gsize n)
{
  assert_without (what, bytes, n, "\x1b[31m");
  if (form == PDF)
    return;
  assert_no_controls (what, bytes, n);
  if (form == CSV)
    assert_no_formula (what, bytes);
  if (form == JSON)
    assert_json (what, bytes);
  if (form == HTML || form == MARKDOWN || form == SVG)
    {
      assert_without (what, bytes, n, "<script");
      assert_without (what, bytes, n, "&#27;&");
    }
  if (form == MARKDOWN)
    {
      assert_without (what, bytes, n, "|](java");
      assert_without (what, bytes, n, "\n```");
    }
  if (form == SVG)
    assert_xml (what, bytes, n);
}

/* --- Commands ------------------------------------------------------------------------------------ */

/* Runs moescope on the database; what it prints, and the file OUT of its line, are looked through. */
static char *
look (Form form, int wanted, const char *line)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *errors = NULL, *file = NULL;
  g_autoptr (GError) error = NULL;
  char *output = NULL;
  int status;

  g_ptr_array_add (argv, (char *) g_getenv ("MOESCOPE"));
  for (guint i = 0; words[i] != NULL; i++)
    if (strcmp (words[i], "DB") == 0)
      g_ptr_array_add (argv, database);
    else if (g_str_has_prefix (words[i], "OUT."))
      g_ptr_array_add (argv, file = g_build_filename (folder, words[i], NULL));
    else
      g_ptr_array_add (argv, g_strdelimit (words[i], "~", ' '));
  g_ptr_array_add (argv, NULL);
  g_assert_true (g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL,
                               &output, &errors, &status, &error));
  assert_safe (line, TEXT, errors, strlen (errors));
  if (!g_spawn_check_wait_status (status, &error) ? error->code != wanted : wanted != 0)
    g_error ("%s: status %d: %s", line, error != NULL ? error->code : 0, errors);
  if (file != NULL)
    {
      gsize n;

      assert_safe (line, TEXT, output, strlen (output));
      g_free (output);
      g_assert_true (g_file_get_contents (file, &output, &n, NULL));
      assert_safe (line, form, output, n);
      g_unlink (file);
    }
  else
    assert_safe (line, form, output, strlen (output));
  return output;
}

#define LOOK(form, line) g_free (look (form, 0, line))

static void
test_text (void)
{
  g_autofree char *info = look (TEXT, 0, "info DB");

  g_assert_nonnull (strstr (info, "\\x1B[31m")); /* it is there, and can be read */
  LOOK (TEXT, "check DB");
  LOOK (TEXT, "analyze DB load");
  LOOK (TEXT, "analyze DB load --by language --bootstrap 10");
  LOOK (TEXT, "analyze DB domains --bootstrap 10");
  LOOK (TEXT, "analyze DB text");
  LOOK (TEXT, "sql DB SELECT~name~AS~'\x1b[31mx',~bytes,~command~FROM~run,~piece~LIMIT~5");
  g_free (look (TEXT, 1, "analyze DB load --select lang=\x1b[31m"));
  g_free (look (TEXT, 2, "analyze DB load --no\x1b[31mthing"));
  g_free (look (TEXT, 1, "info \x1b[31m"));
}

static void
test_csv (void)
{
  LOOK (CSV, "analyze DB domains --bootstrap 10 --table distances --format csv");
  LOOK (CSV, "analyze DB load --by language --bootstrap 10 --format csv");
  LOOK (CSV, "analyze DB text --format csv");
  LOOK (CSV, "export DB documents");
  LOOK (CSV, "export DB tokens");
  LOOK (CSV, "export DB routing");
  LOOK (CSV, "sql DB SELECT~name~AS~'\x1b[31mx',~name~FROM~document --format csv");
}

/* The values of JSON are those of the file. */
static void
test_json (void)
{
  g_autofree char *text = look (JSON, 0, "info DB --json");
  g_autoptr (JsonNode) root = json_from_string (text, NULL);
  JsonObject *model = json_array_get_object_element (
      json_object_get_array_member (json_node_get_object (root), "models"), 0);

  g_assert_true (g_str_has_prefix (json_object_get_string_member (model, "name"), HOSTILE));
  LOOK (JSON, "analyze DB domains --bootstrap 10 --format json");
  LOOK (JSON, "analyze DB text --format json");
  LOOK (JSON, "sql DB SELECT~name~AS~'\x1b[31mx',~name~FROM~document --format json");
}

static void
test_report (void)
{
  const char *report = "report DB --bootstrap 10 -o OUT.";
  static const struct
  {
    const char *end;
    Form form;
  } forms[] = { { "html", HTML }, { "md", MARKDOWN }, { "json", JSON }, { "pdf", PDF } };

  for (guint i = 0; i < G_N_ELEMENTS (forms); i++)
    {
      g_autofree char *line = g_strconcat (report, forms[i].end, NULL);

      LOOK (forms[i].form, line);
    }
}

/* The figures beside the Markdown, too. */
static void
test_figures (void)
{
  g_autofree char *figures = g_build_filename (folder, "OUT-figures", NULL);
  g_autoptr (GDir) dir = g_dir_open (figures, 0, NULL);
  const char *name;
  guint n = 0;

  LOOK (SVG, "plot DB domains --bootstrap 10 -o OUT.svg");
  LOOK (SVG, "plot DB text -o OUT.svg");
  LOOK (SVG, "plot DB load --by language --bootstrap 10 -o OUT.svg");
  LOOK (SVG, "plot DB language-map -o OUT.svg");
  LOOK (SVG, "plot DB vocabulary -o OUT.svg");
  LOOK (SVG, "plot DB readers -o OUT.svg");
  LOOK (PDF, "plot DB text -o OUT.pdf");
  g_assert_nonnull (dir);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (figures, name, NULL);
      g_autofree char *svg = NULL;
      gsize length;

      g_assert_true (g_file_get_contents (path, &svg, &length, NULL));
      assert_safe (name, SVG, svg, length);
      g_unlink (path);
      n++;
    }
  g_assert_cmpuint (n, >, 5);
  g_rmdir (figures);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("moescope-hostile-XXXXXX", NULL);
  make_database ();
  g_test_add_func ("/hostile/text", test_text);
  g_test_add_func ("/hostile/csv", test_csv);
  g_test_add_func ("/hostile/json", test_json);
  g_test_add_func ("/hostile/report", test_report);
  g_test_add_func ("/hostile/figures", test_figures);
  status = g_test_run ();
  ms_fixture_remove (database);
  g_rmdir (folder);
  g_free (folder);
  return status;
}
