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

static void
check_action (const char *name)
{
  for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
    if (action->activate != NULL && strcmp (action->name, name) == 0)
      return;
  g_error ("the window has no action “%s”", name);
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
      check_action (place->action);
      if (strcmp (place->action, "win.map") == 0 && !is_colour (place->target))
        g_error ("the map is not coloured by “%s”", place->target);
      if (strcmp (place->action, "win.analysis") == 0)
        find_analysis (place->target, def->name);
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

/* Whether something does the action: GTK's own, or a row with a function. */
static gboolean
is_done (const MsAction *action)
{
  if (g_str_has_prefix (action->name, "window."))
    return TRUE;
  for (const MsAction *other = ms_actions (); !ms_action_is_end (other); other++)
    if (other->activate != NULL && g_str_equal (other->name, action->name))
      return TRUE;
  return FALSE;
}

/* A key means one thing wherever it works: in a figure it may mean something else than outside, and what
 * the canvas binds is listed beside the figure's. */
static void
test_keys (void)
{
  g_autoptr (GHashTable) outside = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) inside = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
    {
      g_auto (GStrv) keys = g_strsplit (action->keys ? action->keys : "", " ", -1);
      gboolean is_outside = action->scope == MS_KEYS_GLOBAL || action->scope == MS_KEYS_LAST;

      g_assert_true (action->keys != NULL || action->scope == MS_KEYS_NONE);
      g_assert_true (action->scope == MS_KEYS_NONE || action->name != NULL);
      for (guint i = 0; keys[i] != NULL; i++)
        {
          guint key;
          GdkModifierType modifiers;

          g_assert_true (gtk_accelerator_parse (keys[i], &key, &modifiers));
          g_assert_cmpuint (key, !=, 0);
          if (!g_hash_table_add (is_outside ? outside : inside,
                                 gtk_accelerator_name (key, modifiers)))
            g_error ("%s means “%s” and something else", keys[i], action->title);
        }
    }
}

/* What is listed can be done; what can be done is listed or asked for by a part of the window. */
static void
test_actions (void)
{
  g_autoptr (GHashTable) places = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint n_screens = 0;

  for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
    {
      g_assert_true (action->group == NULL || action->title != NULL);
      g_assert_true (action->name != NULL || action->keys != NULL);
      if (action->name == NULL)
        continue;
      if (!is_done (action))
        g_error ("nothing does “%s”", action->name);
      g_assert_true (action->group != NULL || action->parameter != NULL || action->menu > 0
                     || g_str_equal (action->name, "win.clear-all"));
      if (action->target != NULL)
        {
          const MsScreenInfo *screen = ms_screen_find (action->target);

          g_assert_cmpstr (action->name, ==, "win.screen");
          g_assert_cmpstr (screen->title, ==, action->title);
          n_screens++;
        }
      if (action->menu > 0
          && !g_hash_table_add (places, g_strdup_printf ("%.3s %d", action->name, action->menu)))
        g_error ("“%s” has the place of another in the menu", action->name);
    }
  for (const MsScreenInfo *info = ms_screens; info->name != NULL; info++)
    n_screens--;
  g_assert_cmpuint (n_screens, ==, 0);
}

/* Menus hold every row that has a place in one, without a gap. */
static void
test_menus (void)
{
  static const char *const prefixes[] = { "win.", "figure." };

  for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++)
    {
      g_autoptr (GMenuModel) menu = ms_actions_make_menu (ms_actions (), prefixes[i]);
      int n = 0;

      for (int s = 0; s < g_menu_model_get_n_items (menu); s++)
        {
          g_autoptr (GMenuModel) section
              = g_menu_model_get_item_link (menu, s, G_MENU_LINK_SECTION);

          n += g_menu_model_get_n_items (section);
        }
      for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
        if (action->menu > 0 && g_str_has_prefix (action->name, prefixes[i]))
          n--;
      g_assert_cmpint (n, ==, 0);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/window/names/tabs", test_tabs);
  g_test_add_func ("/window/names/map", test_map);
  g_test_add_func ("/window/names/overview", test_overview);
  g_test_add_func ("/window/names/headlines", test_headlines);
  g_test_add_func ("/window/names/keys", test_keys);
  g_test_add_func ("/window/names/actions", test_actions);
  g_test_add_func ("/window/names/menus", test_menus);
  return g_test_run ();
}
