/* The names that the window writes and other folders own: analyses, their plots, parameters and values,
 * headlines, screens.  A name that nobody has would leave a tab, a figure or a card out in silence. */
#include "actions-private.h"
#include "experts-screen-private.h"
#include "overview-screen-private.h"
#include "window-private.h"

#include <string.h>

static const MsAnalysis *
find_analysis (const char *name, const char *where)
{
  const MsAnalysis *analysis = ms_analysis_find (name);

  if (analysis == NULL)
    g_error ("%s: no analysis is registered as “%s”", where, name);
  return analysis;
}

/* names: separated by spaces, NULL = none. */
static void
check_plots (const MsAnalysis *analysis, const char *names, const char *where)
{
  g_auto (GStrv) words = g_strsplit (names ? names : "", " ", -1);

  for (guint i = 0; words[i] != NULL; i++)
    if (ms_analysis_plot (analysis, words[i]) == NULL)
      g_error ("%s: %s has no plot “%s”", where, analysis->name, words[i]);
}

/* Plots draw tables and columns that the analysis declares. */
static void
check_tables (const MsAnalysis *analysis)
{
  for (const MsPlotDef *plot = analysis->plots; plot != NULL && plot->name != NULL; plot++)
    {
      const MsTableDef *table = analysis->tables;

      while (table->name != NULL && strcmp (table->name, plot->table) != 0)
        table++;
      if (table->name == NULL)
        g_error ("%s: the plot %s is of a table “%s”", analysis->name, plot->name, plot->table);
    }
}

static void
check_params (const MsAnalysis *analysis, const MsTab *tab)
{
  g_auto (GStrv) names = g_strsplit (tab->params ? tab->params : "", " ", -1);
  g_auto (GStrv) values = g_strsplit (tab->values ? tab->values : "", " ", -1);
  g_autoptr (MsValues) all = ms_values_new (analysis);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; names[i] != NULL; i++)
    {
      const MsParam *param = analysis->params;

      while (param->name != NULL && strcmp (param->name, names[i]) != 0)
        param++;
      if (param->name == NULL)
        g_error ("tab %s: %s has no parameter “%s”", tab->title, analysis->name, names[i]);
    }
  for (guint i = 0; values[i] != NULL; i++)
    {
      g_auto (GStrv) pair = g_strsplit (values[i], "=", 2);

      g_assert_cmpuint (g_strv_length (pair), ==, 2);
      ms_values_set (all, pair[0], pair[1], &error);
      g_assert_no_error (error);
    }
}

static void
test_tabs (void)
{
  guint n = 0;

  for (const MsScreenInfo *info = ms_screens; info->name != NULL; info++)
    {
      g_assert_true (info->make != NULL || info->tabs != NULL);
      for (const MsTab *tab = info->tabs; tab != NULL && tab->title != NULL; tab++, n++)
        {
          const MsAnalysis *analysis = find_analysis (tab->analysis, info->name);

          check_plots (analysis, tab->plots, tab->title);
          check_params (analysis, tab);
          /* find_page() goes by titles. */
          for (const MsTab *other = info->tabs; other != tab; other++)
            g_assert_cmpstr (other->title, !=, tab->title);
        }
    }
  g_assert_cmpuint (n, >, 0);
  for (const MsAnalysis *const *all = ms_analyses (); *all != NULL; all++)
    check_tables (*all);
}

/* What the map can be coloured by, and in which orders. */
static void
test_map (void)
{
  const MsAnalysis *experts = find_analysis ("experts", "the map");

  for (guint i = 0; ms_experts_colour_name (i) != NULL; i++)
    {
      const char *colour = ms_experts_colour_name (i);
      g_autofree char *plots = g_strdup_printf ("%s %s-ranked %s-similar", colour, colour, colour);

      check_plots (experts, plots, "the map");
    }
}

static gboolean
is_colour (const char *name)
{
  for (guint i = 0; ms_experts_colour_name (i) != NULL; i++)
    if (strcmp (ms_experts_colour_name (i), name) == 0)
      return TRUE;
  return FALSE;
}

static void
test_overview (void)
{
  for (const MsOverviewSource *source = ms_overview_sources; source->analysis != NULL; source++)
    {
      const MsAnalysis *analysis = find_analysis (source->analysis, "overview");

      check_plots (analysis, source->plot, "overview");
      check_plots (analysis, source->instead, "overview");
      g_assert_nonnull (ms_screen_find (source->screen));
    }
}

/* Each headline has its place, a screen that exists, and its analysis among those the overview asks for;
 * each place has its headline. */
static void
test_headlines (void)
{
  guint n = 0;

  for (const MsHeadlineDef *def = ms_headlines (); def->name != NULL; def++, n++)
    {
      const MsHeadlinePlace *place = ms_headline_places;
      const MsOverviewSource *source = ms_overview_sources;

      while (place->name != NULL && strcmp (place->name, def->name) != 0)
        place++;
      if (place->name == NULL)
        g_error ("the headline “%s” leads nowhere", def->name);
      g_assert_nonnull (ms_screen_find (place->screen));
      g_assert_cmpint (place->colour != NULL, ==, strcmp (place->screen, "experts") == 0);
      if (place->colour != NULL && !is_colour (place->colour))
        g_error ("the map is not coloured by “%s”", place->colour);
      find_analysis (def->analysis, def->name);
      while (source->analysis != NULL && strcmp (source->analysis, def->analysis) != 0)
        source++;
      if (source->analysis == NULL)
        g_error ("the overview asks for no “%s”, which “%s” needs", def->analysis, def->name);
    }
  for (const MsHeadlinePlace *place = ms_headline_places; place->name != NULL; place++)
    n--;
  g_assert_cmpuint (n, ==, 0);
}

/* Every action that is listed goes to a screen that exists, if it goes to one; keys can be parsed and mean
 * one thing. */
static void
test_actions (void)
{
  g_autoptr (GHashTable) bound = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) shown = g_hash_table_new (g_str_hash, g_str_equal);
  guint n_screens = 0;

  for (const MsActionInfo *info = ms_actions; info->title != NULL; info++)
    {
      g_auto (GStrv) keys = g_strsplit (info->keys ? info->keys : "", " ", -1);

      for (guint i = 0; keys[i] != NULL; i++)
        {
          guint key;
          GdkModifierType modifiers;

          g_assert_true (gtk_accelerator_parse (keys[i], &key, &modifiers));
          g_assert_cmpuint (key, !=, 0);
          if (info->scope != MS_KEYS_NONE
              && !g_hash_table_add (bound, gtk_accelerator_name (key, modifiers)))
            g_error ("%s means “%s” and something else", keys[i], info->title);
        }
      if (info->action != NULL && g_str_has_prefix (info->action, "win.screen::"))
        {
          const MsScreenInfo *screen = ms_screen_find (info->action + strlen ("win.screen::"));

          g_assert_nonnull (screen);
          g_assert_cmpstr (screen->title, ==, info->title);
          g_assert_true (g_hash_table_add (shown, (gpointer) screen->name));
        }
    }
  while (ms_screens[n_screens].name != NULL)
    n_screens++;
  g_assert_cmpuint (g_hash_table_size (shown), ==, n_screens);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/window/names/tabs", test_tabs);
  g_test_add_func ("/window/names/map", test_map);
  g_test_add_func ("/window/names/overview", test_overview);
  g_test_add_func ("/window/names/headlines", test_headlines);
  g_test_add_func ("/window/names/actions", test_actions);
  return g_test_run ();
}
