/* The commands that draw: `moescope plot` end to end on a small trace. */
#include "analysis.h"
#include "fixture.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

static char *database, *folder;

/* Runs moescope with the words given, ending with NULL; returns the exit status. */
static int
run (char **err, const char *first, ...)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autofree char *out = NULL, *complaint = NULL;
  g_autoptr (GError) error = NULL;
  const char *word;
  int status;
  va_list args;

  g_ptr_array_add (words, (gpointer) g_getenv ("MOESCOPE"));
  va_start (args, first);
  for (word = first; word != NULL; word = va_arg (args, const char *))
    g_ptr_array_add (words, (gpointer) word);
  va_end (args);
  g_ptr_array_add (words, NULL);
  g_spawn_sync (NULL, (char **) words->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &complaint,
                &status, &error);
  g_assert_no_error (error);
  if (err != NULL)
    *err = g_strconcat (out, complaint, NULL);
  else if (status != 0)
    g_test_message ("%s", complaint);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

static char *
in_folder (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static char *
contents (const char *path, gsize *length)
{
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, length, &error);
  g_assert_no_error (error);
  return text;
}

static void
test_formats (void)
{
  static const char *const names[] = { "a.pdf", "a.svg", "a.png" };

  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *path = in_folder (names[i]), *first = NULL, *second = NULL;
      gsize n, m;

      g_assert_cmpint (run (NULL, "plot", database, "load", "-o", path, "--bootstrap", "50", NULL),
                       ==, 0);
      first = contents (path, &n);
      g_assert_cmpint (run (NULL, "plot", database, "load", "-o", path, "--bootstrap", "50", NULL),
                       ==, 0);
      second = contents (path, &m);
      g_assert_cmpuint (n, ==, m);
      g_assert_cmpint (memcmp (first, second, n), ==, 0);
      g_assert_cmpuint (n, >, 1000);
    }
}

static void
test_size (void)
{
  g_autofree char *path = in_folder ("size.png"), *bytes = NULL;

  g_assert_cmpint (run (NULL, "plot", database, "load", "-o", path, "--bootstrap", "0", "--width",
                        "50.8mm", "--height", "1in", "--dpi", "200", "--theme", "dark", "--panel",
                        "b", "--title", "A title", "--font-size", "7", "--palette", "cividis",
                        NULL),
                   ==, 0);
  bytes = contents (path, NULL);
  /* IHDR: width and height as big-endian numbers at 16 and 20. */
  g_assert_cmpuint (((guint8) bytes[18] << 8) + (guint8) bytes[19], ==, 400);
  g_assert_cmpuint (((guint8) bytes[22] << 8) + (guint8) bytes[23], ==, 200);
}

static void
test_data (void)
{
  g_autofree char *path = in_folder ("d.svg"), *csv = in_folder ("d.csv"),
                  *dat = in_folder ("d.dat");
  g_autofree char *json = in_folder ("d.json"), *text = NULL, *numbers = NULL, *hash = NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  JsonObject *object;
  g_auto (GStrv) lines = NULL;
  gsize length;

  g_assert_cmpint (run (NULL, "plot", database, "load", "-o", path, "--data", "--bootstrap", "50",
                        "--select", "layer=0..3", NULL),
                   ==, 0);
  text = contents (csv, NULL);
  lines = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), >, 5);
  numbers = contents (dat, NULL);
  g_assert_true (g_str_has_prefix (numbers, "# "));
  json_parser_load_from_file (parser, json, &error);
  g_assert_no_error (error);
  object = json_node_get_object (json_parser_get_root (parser));
  g_assert_cmpstr (json_object_get_string_member (object, "analysis"), ==, "load");
  g_assert_nonnull (strstr (json_object_get_string_member (object, "command"), "moescope plot"));
  g_assert_true (json_object_has_member (object, "run"));
  {
    g_autofree char *database_bytes = contents (database, &length);

    hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) database_bytes, length);
  }
  g_assert_cmpstr (
      json_object_get_string_member (json_object_get_object_member (object, "database"), "sha256"),
      ==, hash);
}

/* A plot of some rows of its table gives PGFPlots those alone: one for each of the three layers. */
static void
test_data_rows (void)
{
  g_autofree char *path = in_folder ("w.svg"), *dat = in_folder ("w.dat"), *text = NULL;
  g_auto (GStrv) lines = NULL;

  g_assert_cmpint (run (NULL, "plot", database, "load", "--plot", "max-vio", "-o", path, "--data",
                        "--bootstrap", "0", NULL),
                   ==, 0);
  text = contents (dat, NULL);
  lines = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, 2 + 3 + 1);
  g_assert_nonnull (strstr (lines[0], "x=layer, y=corrected"));
  g_assert_true (g_str_has_prefix (lines[1], "layer corrected"));
}

/* Two runs in one figure: each its series, and what was made says so; a plot without a place refuses. */
static void
test_runs (void)
{
  g_autofree char *path = in_folder ("r.svg"), *csv = in_folder ("r.csv"), *text = NULL;
  g_autofree char *json = in_folder ("r.json"), *svg = NULL, *making = NULL, *err = NULL;

  g_assert_cmpint (run (NULL, "plot", database, "load", "--plot", "max-vio", "-o", path, "--data",
                        "--bootstrap", "20", "--select", "run=2 with=1", NULL),
                   ==, 0);
  svg = contents (path, NULL);
  g_assert_nonnull (strstr (svg, ">1: "));
  g_assert_nonnull (strstr (svg, ">2: "));
  text = contents (csv, NULL);
  g_assert_true (g_str_has_prefix (text, "run_id,run,layer,"));
  g_assert_nonnull (strstr (text, "\n2,\"2: "));
  making = contents (json, NULL);
  g_assert_nonnull (strstr (making, "\"run=2 with=1\""));
  g_assert_nonnull (strstr (making, "\"with\" : ["));
  g_assert_cmpint (run (&err, "plot", database, "hit-rate", "--plot", "layers", "-o", path,
                        "--bootstrap", "0", "--select", "run=2 with=1", NULL),
                   !=, 0);
  g_assert_nonnull (strstr (err, "leave with= out"));
}

/* A locale with decimal commas changes no byte of any file.  Without the locale installed the two runs
 * are simply equal. */
static void
test_locale (void)
{
  static const char *const endings[] = { "svg", "csv", "dat", "json", "html" };
  g_autofree char *figure = in_folder ("l.svg"), *page = in_folder ("l.html");
  g_autofree char *before = g_strdup (g_getenv ("LC_ALL"));
  char *plain[G_N_ELEMENTS (endings)];

  for (guint pass = 0; pass < 2; pass++)
    {
      g_setenv ("LC_ALL", pass == 0 ? "C.UTF-8" : "de_DE.UTF-8", TRUE);
      g_assert_cmpint (run (NULL, "plot", database, "load", "--plot", "cv", "-o", figure, "--data",
                            "--bootstrap", "20", NULL),
                       ==, 0);
      g_assert_cmpint (run (NULL, "report", database, "-o", page, "--bootstrap", "20", "--sections",
                            "load,transitions", NULL),
                       ==, 0);
      for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
        {
          g_autofree char *name = g_strdup_printf ("l.%s", endings[i]), *path = in_folder (name);
          g_autofree char *text = contents (path, NULL);

          if (pass == 0)
            plain[i] = g_steal_pointer (&text);
          else
            g_assert_cmpstr (text, ==, plain[i]);
        }
    }
  g_setenv ("LC_ALL", before != NULL ? before : "C.UTF-8", TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    g_free (plain[i]);
}

static void
expect (int status, const char *words, const char *extra, const char *value)
{
  g_autofree char *err = NULL, *path = in_folder ("never.pdf");

  g_assert_cmpint (run (&err, "plot", database, "load", "-o", path, extra, value, NULL), ==,
                   status);
  if (strstr (err, words) == NULL)
    g_error ("\"%s\" is not in: %s", words, err);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
}

static void
test_misuse (void)
{
  g_autofree char *err = NULL, *path = in_folder ("x.gif");

  expect (2, "--theme", "--theme", "pink");
  expect (2, "length", "--width", "3parsec");
  expect (2, "length", "--height", "0");
  expect (2, "no plot", "--plot", "nothing");
  expect (2, "--dpi", "--dpi", "1");
  expect (2, "did you mean", "--widt", "3in");
  expect (1, "leaves no token", "--select", "lang=xx");
  expect (1, "leaves no expert", "--select", "expert=999");
  g_assert_cmpint (run (&err, "plot", database, "load", "-o", path, NULL), ==, 1);
  g_assert_nonnull (strstr (err, ".svg"));
  g_clear_pointer (&err, g_free);
  g_assert_cmpint (run (&err, "plot", database, "load", NULL), ==, 2);
  g_clear_pointer (&err, g_free);
  g_assert_cmpint (run (&err, "plot", "/nonexistent.db", "load", "-o", "/tmp/x.pdf", NULL), ==, 1);
  g_clear_pointer (&err, g_free);
  g_assert_cmpint (run (&err, "plot", database, "load", "-o", "/nonexistent/x.pdf", NULL), ==, 1);
}

static void
test_list (void)
{
  g_autofree char *all = NULL, *one = NULL;

  g_assert_cmpint (run (&all, "plot", "--list", NULL), ==, 0);
  for (guint i = 0; ms_analyses ()[i] != NULL; i++)
    g_assert_nonnull (strstr (all, ms_analyses ()[i]->name));
  g_assert_cmpint (run (&one, "plot", "load", "--list", NULL), ==, 0);
  g_assert_cmpuint (strlen (one), <, strlen (all));
}

/* Every plot of every analysis that this trace can feed, by its name alone. */
static void
test_all (void)
{
  g_autoptr (MsTrace) trace = ms_trace_open (database, 1, NULL, NULL);
  g_autoptr (MsTrace) other = ms_trace_open (database, 2, NULL, NULL);
  guint drawn = 0;

  for (guint i = 0; ms_analyses ()[i] != NULL; i++)
    {
      const MsAnalysis *analysis = ms_analyses ()[i];
      g_autofree char *missing = ms_analysis_missing (analysis, trace, 1);

      g_assert_true (analysis->plots != NULL && analysis->plots[0].name != NULL);
      if (missing != NULL)
        {
          g_test_message ("%s: %s", analysis->name, missing);
          continue;
        }
      for (const MsPlotDef *plot = analysis->plots; plot->name != NULL; plot++)
        {
          g_autofree char *name = g_strdup_printf ("%s-%s.pdf", analysis->name, plot->name);
          g_autofree char *path = in_folder (name), *err = NULL;
          int status;

          status = run (&err, "plot", database, analysis->name, "--plot", plot->name, "-o", path,
                        "--run", "1", "--other", "#2", "--bootstrap", "20", NULL);
          /* An analysis may have nothing for a plot, or refuse this small model (12 experts on 8
           * devices, say); then it refuses without a plot too. */
          if (status != 0 && strstr (err, "nothing to draw") == NULL
              && run (NULL, "analyze", database, analysis->name, "--run", "1", "--other", "#2",
                      "--bootstrap", "20", NULL)
                     == 0)
            g_error ("%s --plot %s: %s", analysis->name, plot->name, err);
          drawn += status == 0;
        }
    }
  g_assert_cmpuint (drawn, >, 0);
}

static void
test_report (void)
{
  static const char *const names[] = { "r.html", "r.md", "r.json", "r.pdf" };
  static const char *const holds[] = { "Trace check", "Trace check", "\"sha256\"", "%PDF-1." };

  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *path = in_folder (names[i]), *first = NULL, *second = NULL;
      gsize n, m;

      for (guint pass = 0; pass < 2; pass++)
        {
          g_assert_cmpint (run (NULL, "report", database, "-o", path, "--bootstrap", "20", "--run",
                                "1", "--compare", "#2", NULL),
                           ==, 0);
          *(pass == 0 ? &first : &second) = contents (path, pass == 0 ? &n : &m);
        }
      g_assert_cmpuint (n, ==, m);
      g_assert_cmpint (memcmp (first, second, n), ==, 0);
      g_assert_nonnull (strstr (first, holds[i]));
      if (i == 0)
        {
          /* One file: nothing is fetched from elsewhere and nothing runs. */
          g_assert_nonnull (strstr (first, "<svg "));
          g_assert_null (strstr (first, "<script"));
          g_assert_null (strstr (first, "<link"));
          g_assert_null (strstr (first, "src=\"http"));
        }
      if (i == 2)
        {
          g_autoptr (JsonParser) parser = json_parser_new ();

          g_assert_true (json_parser_load_from_data (parser, first, -1, NULL));
          g_assert_nonnull (strstr (first, "{\"section\": \"load\",\n \"analysis\": \"load\""));
          g_assert_cmpuint (json_array_get_length (json_object_get_array_member (
                                json_node_get_object (json_parser_get_root (parser)), "headlines")),
                            ==, 6);
        }
      /* The six numbers stand at the head, once each. */
      for (const MsHeadlineDef *def = ms_headlines (); i < 2 && def->name != NULL; def++)
        {
          const char *at = strstr (first, def->title);

          g_assert_nonnull (at);
          g_assert_true (at < strstr (first, "What stands out"));
        }
    }
}

/* Headings, findings and sections are the same in every format. */
static void
test_report_pages (void)
{
  g_autofree char *path = in_folder ("p.pdf"), *page = in_folder ("p.md");
  g_autofree char *text = NULL, *markdown = NULL, *info = NULL, *out = NULL;
  g_auto (GStrv) lines = NULL;
  const char *const sections = "load,hit-rate";
  gsize n;

  if ((info = g_find_program_in_path ("pdftotext")) == NULL)
    {
      g_test_skip ("pdftotext is not installed");
      return;
    }
  for (guint i = 0; i < 2; i++)
    g_assert_cmpint (run (NULL, "report", database, "-o", i == 0 ? path : page, "--bootstrap", "20",
                          "--run", "1", "--sections", sections, "--paper", "letter", NULL),
                     ==, 0);
  markdown = contents (page, &n);
  out = in_folder ("p.txt");
  {
    const char *const argv[] = { "pdftotext", "-layout", path, out, NULL };
    int status;

    g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                                 NULL, &status, NULL));
    g_assert_cmpint (status, ==, 0);
  }
  text = contents (out, &n);
  lines = g_strsplit (markdown, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (g_str_has_prefix (lines[i], "## "))
      g_assert_nonnull (strstr (text, lines[i] + 3));
}

/* Sections with settings of their own come first, and say what the same analysis says alone. */
static void
test_report_added (void)
{
  g_autofree char *path = in_folder ("added.md"), *alone = in_folder ("alone.csv");
  g_autofree char *text = NULL, *csv = NULL, *figure = NULL, *whole = NULL;
  const char *first, *second, *last;
  gsize n;

  g_assert_cmpint (run (NULL, "report", database, "-o", path, "--bootstrap", "20", "--run", "1",
                        "--sections", "load", "--add",
                        "load --select 'layer=1 lang=de' --plot experts", "--add",
                        "load --by language --bootstrap 0", NULL),
                   ==, 0);
  text = contents (path, &n);
  first = g_strstr_len (text, -1, "\n## Load Balance (layer=1 lang=de)\n");
  second = g_strstr_len (text, -1, "\n## Load Balance (by language)\n");
  last = g_strstr_len (text, -1, "\n## Load Balance\n");
  g_assert_true (first != NULL && second > first && last > second);
  g_assert_nonnull (g_strstr_len (text, -1, "--select 'layer=1 lang=de'"));
  g_assert_nonnull (g_strstr_len (second, -1, "--by language --bootstrap 0"));
  figure = in_folder ("added-figures/load-1-experts.svg");
  whole = in_folder ("added-figures/load-1-map.svg");
  g_assert_true (g_file_test (figure, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (whole, G_FILE_TEST_EXISTS));
  g_assert_cmpint (run (NULL, "analyze", database, "load", "--run", "1", "--select",
                        "layer=1 lang=de", "--bootstrap", "20", "-o", alone, "--format", "table",
                        NULL),
                   ==, 0);
  csv = contents (alone, &n);
  csv[strcspn (csv, "\n")] = '\0'; /* the first line is the sentence */
  g_assert_nonnull (g_strstr_len (first, second - first, csv));
  g_assert_null (g_strstr_len (last, -1, csv));
}

/* Runs shown together are together in every section, and the series where an analysis takes one. */
static void
test_report_runs (void)
{
  g_autofree char *path = in_folder ("runs.md"), *text = NULL;
  const char *load, *series;
  gsize n;

  g_assert_cmpint (run (NULL, "report", database, "-o", path, "--bootstrap", "20", "--run", "1",
                        "--select", "with=2", "--sections", "load,saturation,compare", "--add",
                        "compare --other '#2'", NULL),
                   ==, 0);
  text = contents (path, &n);
  load = g_strstr_len (text, -1, "\n## Load Balance\n");
  series = g_strstr_len (text, -1, "\n## Router Saturation");
  g_assert_true (load != NULL && series > load);
  g_assert_nonnull (g_strstr_len (load, series - load, "\n- 1: "));
  g_assert_nonnull (g_strstr_len (load, series - load, "\n- 2: "));
  g_assert_nonnull (g_strstr_len (text, -1, "### Shown beside it"));
  g_assert_nonnull (g_strstr_len (text, -1, "\n## Compare Two Runs\n"));
  g_assert_nonnull (
      g_strstr_len (text, -1, "\n## Not in this report\n")); /* nothing was given to compare with */
}

/* A comparison comes first, names both runs, and is no training; findings say how sure they are. */
static void
test_report_compare (void)
{
  g_autofree char *path = in_folder ("compare.md"), *text = NULL;
  g_autofree char *other = g_strdup_printf ("%s#2", database);
  const char *compare, *load;
  gsize n;

  g_assert_cmpint (run (NULL, "report", database, "-o", path, "--bootstrap", "20", "--run", "1",
                        "--compare", other, NULL),
                   ==, 0);
  text = contents (path, &n);
  compare = g_strstr_len (text, -1, "\n## Compare Two Runs\n");
  load = g_strstr_len (text, -1, "\n## Load Balance\n");
  g_assert_true (compare != NULL && load > compare);
  g_assert_nonnull (g_strstr_len (text, -1, " is compared with the baseline, "));
  g_assert_nonnull (g_strstr_len (load, -1, "\nBaseline: "));
  g_assert_null (g_strstr_len (text, -1, "\n## Router Saturation"));
  g_assert_true (g_strstr_len (text, -1, " SE)\n") != NULL
                 || g_strstr_len (text, -1, "\xc3\x97)\n") != NULL
                 || g_strstr_len (text, -1, "Nothing stands out") != NULL);
}

static void
test_report_misuse (void)
{
  static const char *const words[] = { "",
                                       "nothing",
                                       "load 'x",
                                       "load more",
                                       "load --nothing 1",
                                       "load --plot nothing",
                                       "load --select layer=x",
                                       "load --help" };

  g_autofree char *path = in_folder ("never.html"), *odd = in_folder ("never.doc"), *err = NULL;

  g_assert_cmpint (run (NULL, "report", database, "-o", odd, NULL), ==, 2);
  g_assert_cmpint (run (NULL, "report", database, NULL), ==, 2);
  g_assert_cmpint (run (&err, "report", database, "-o", path, "--sections", "load,nothing", NULL),
                   ==, 2);
  g_assert_nonnull (strstr (err, "nothing"));
  g_assert_cmpint (run (NULL, "report", database, "-o", path, "--paper", "legal", NULL), ==, 2);
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    g_assert_cmpint (run (NULL, "report", database, "-o", path, "--add", words[i], NULL), ==, 2);
  g_assert_cmpint (
      run (NULL, "report", database, "-o", path, "--add", "load --select layer=99", NULL), ==, 1);
  g_assert_cmpint (run (NULL, "report", "/nonexistent.db", "-o", path, NULL), ==, 1);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
}

int
main (int argc, char **argv)
{
  g_autofree char *clean = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("moescope-plot-XXXXXX", NULL);
  database = ms_fixture_rich (NULL, 0);
  g_free (ms_fixture_rich (database, 0.3));
  g_test_add_func ("/plot/formats", test_formats);
  g_test_add_func ("/plot/size", test_size);
  g_test_add_func ("/plot/data", test_data);
  g_test_add_func ("/plot/data-rows", test_data_rows);
  g_test_add_func ("/plot/runs", test_runs);
  g_test_add_func ("/plot/locale", test_locale);
  g_test_add_func ("/plot/misuse", test_misuse);
  g_test_add_func ("/plot/list", test_list);
  g_test_add_func ("/plot/all", test_all);
  g_test_add_func ("/report/formats", test_report);
  g_test_add_func ("/report/pages", test_report_pages);
  g_test_add_func ("/report/added", test_report_added);
  g_test_add_func ("/report/runs", test_report_runs);
  g_test_add_func ("/report/compare", test_report_compare);
  g_test_add_func ("/report/misuse", test_report_misuse);
  status = g_test_run ();
  clean = g_strdup_printf ("rm -r '%s'", folder);
  if (g_getenv ("MOESCOPE_KEEP") != NULL)
    g_printerr ("%s %s\n", database, folder);
  else
    {
      g_spawn_command_line_sync (clean, NULL, NULL, NULL, NULL);
      ms_fixture_remove (database);
    }
  return status;
}
