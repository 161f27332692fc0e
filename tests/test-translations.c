/* The texts of the analyses, which the window shows translated.  They are written plainly in their
 * structs, so gettext finds them in a list of their own, views/window/po/analyses.c: with the argument
 * --write this program writes it. */
#include "analysis.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* New analyses may wait a little for their translation. */
#define LEAST_SHARE 0.9

static void
add (GPtrArray *texts, GHashTable *seen, const char *text)
{
  gboolean has_letters = FALSE;

  for (const char *at = text; at != NULL && *at != '\0'; at++)
    has_letters = has_letters || g_ascii_isalpha (*at);
  if (has_letters && g_hash_table_add (seen, (gpointer) text))
    g_ptr_array_add (texts, (gpointer) text);
}

/* Titles, help and units, those of headlines too; names of choices and definitions of columns stay as the command line has them. */
static GPtrArray *
list_texts (void)
{
  GPtrArray *texts = g_ptr_array_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (const MsAnalysis *const *all = ms_analyses (); *all != NULL; all++)
    {
      add (texts, seen, (*all)->title);
      add (texts, seen, (*all)->help);
      for (const MsPlotDef *plot = (*all)->plots; plot != NULL && plot->name != NULL; plot++)
        add (texts, seen, plot->title);
      for (const MsTableDef *table = (*all)->tables; table->name != NULL; table++)
        {
          add (texts, seen, table->title);
          for (const MsColumn *column = table->columns; column->name != NULL; column++)
            {
              add (texts, seen, column->title);
              add (texts, seen, column->unit);
            }
        }
      for (const MsParam *param = (*all)->params; param != NULL && param->name != NULL; param++)
        {
          add (texts, seen, param->title);
          add (texts, seen, param->help);
          add (texts, seen, param->unit);
        }
    }
  for (const MsHeadlineDef *headline = ms_headlines (); headline->name != NULL; headline++)
    add (texts, seen, headline->title);
  return texts;
}

/* As C and gettext quote it, in one line. */
static char *
quote (const char *text)
{
  g_autoptr (GString) quoted = g_string_new (text);

  g_string_replace (quoted, "\\", "\\\\", 0);
  g_string_replace (quoted, "\"", "\\\"", 0);
  return g_strdup_printf ("\"%s\"", quoted->str);
}

static void
write_list (void)
{
  g_autoptr (GPtrArray) texts = list_texts ();

  g_print ("/* Texts of the analyses for gettext; written by test-translations --write.  Not "
           "compiled. */\n"
           "/* clang-format off */\n");
  for (guint i = 0; i < texts->len; i++)
    {
      g_autofree char *quoted = quote (texts->pdata[i]);

      /* No text is a format, whatever its percent signs look like. */
      g_print ("/* xgettext:no-c-format */ N_ (%s)\n", quoted);
    }
}

static char *
read_source (const char *name)
{
  const char *root = g_getenv ("MOESCOPE_SOURCE_ROOT");
  g_autofree char *path
      = root ? g_build_filename (root, "views", "window", "po", name, NULL) : NULL;
  char *text = NULL;

  return path != NULL && g_file_get_contents (path, &text, NULL, NULL) ? text : NULL;
}

/* The share of texts that a file has in the form "before" text "after". */
static double
share_in (const char *name, const char *before, const char *after)
{
  g_autofree char *file = read_source (name);
  g_autoptr (GPtrArray) texts = list_texts ();
  guint n = 0;

  if (file == NULL)
    return -1;
  for (guint i = 0; i < texts->len; i++)
    {
      g_autofree char *quoted = quote (texts->pdata[i]);
      g_autofree char *entry = g_strconcat (before, quoted, after, NULL);
      const char *at = strstr (file, entry);

      if (at != NULL && !g_str_has_prefix (at + strlen (entry), "\"\n\n"))
        n++;
      else
        g_test_message ("%s lacks %s", name, quoted);
    }
  return (double) n / texts->len;
}

static void
check (const char *name, const char *before, const char *after)
{
  double share = share_in (name, before, after);

  if (share < 0)
    g_test_skip ("MOESCOPE_SOURCE_ROOT does not name the source");
  else
    g_assert_cmpfloat (share, >, LEAST_SHARE);
}

static void
test_listed (void)
{
  check ("analyses.c", "N_ (", ")");
}

static void
test_german (void)
{
  check ("de.po", "msgid ", "\nmsgstr \"");
}

/* Runs a program in the source; whether it said that all is well. */
static gboolean
succeeds (const char *const *argv, char **err)
{
  int status = 1;

  return g_spawn_sync (g_getenv ("MOESCOPE_SOURCE_ROOT"), (char **) argv, NULL, G_SPAWN_SEARCH_PATH,
                       NULL, NULL, NULL, err, &status, NULL)
         && status == 0;
}

/* Every text of the window itself has a translation. */
static void
test_window (void)
{
  g_autofree char *xgettext = g_find_program_in_path ("xgettext");
  g_autofree char *template = g_build_filename (g_get_tmp_dir (), "moescope-XXXXXX", NULL);
  g_autofree char *err = NULL;
  int file;

  if (xgettext == NULL || g_getenv ("MOESCOPE_SOURCE_ROOT") == NULL)
    {
      g_test_skip ("xgettext is not installed, or MOESCOPE_SOURCE_ROOT does not name the source");
      return;
    }
  file = g_mkstemp (template);
  g_assert_cmpint (file, >=, 0);
  close (file);
  {
    const char *const extract[] = { xgettext, "--from-code=UTF-8",        "-k_", "-kN_",
                                    "-f",     "views/window/po/POTFILES", "-o",  template,
                                    NULL };
    const char *const compare[] = { "msgcmp", "views/window/po/de.po", template, NULL };

    g_assert_true (succeeds (extract, NULL));
    if (!succeeds (compare, &err))
      g_error ("%s", err);
  }
  g_unlink (template);
}

int
main (int argc, char **argv)
{
  if (argc == 2 && strcmp (argv[1], "--write") == 0)
    {
      write_list ();
      return 0;
    }
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/translations/listed", test_listed);
  g_test_add_func ("/translations/german", test_german);
  g_test_add_func ("/translations/window", test_window);
  return g_test_run ();
}
