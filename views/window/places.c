/* Every place is one action of the window, so the palette does it as it does a command. */
#include "places-private.h"

#include <string.h>

#define MOST_DOCUMENTS 2000

static void
add (MsPalette *palette, const char *group, const char *title, const char *action, GVariant *target)
{
  g_autofree char *name = g_action_print_detailed_name (action, target);

  g_variant_unref (g_variant_ref_sink (target));
  ms_palette_add (palette, group, title, name);
}

static void
add_place (MsPalette *palette, const char *group, const char *title, const char *key,
           const char *value, const char *screen)
{
  g_autofree char *place = g_strdup_printf ("%s=\"%s\"", key, value);

  if (strchr (value, '"') == NULL)
    add (palette, group, title, "win.place", g_variant_new ("(ss)", place, screen));
}

static void
add_analyses (MsPalette *palette)
{
  for (const MsAnalysis *const *all = ms_analyses (); *all != NULL; all++)
    {
      g_autofree char *title = g_strdup_printf ("%s (%s)", _ ((*all)->title), (*all)->name);

      add (palette, _ ("Analyses"), title, "win.analysis", g_variant_new_string ((*all)->name));
    }
}

static void
add_runs (MsWorkbench *bench, MsPalette *palette)
{
  GListModel *runs = ms_workbench_get_runs (bench);

  for (guint i = 0; i < g_list_model_get_n_items (runs); i++)
    {
      g_autoptr (MsRunItem) item = g_list_model_get_item (runs, i);
      g_autofree char *label = ms_run_item_dup_label (item);

      add (palette, _ ("Runs"), label, "win.run", g_variant_new_int64 (ms_run_item_run (item)->id));
    }
}

static void
add_documents (const MsCorpus *corpus, MsPalette *palette)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < corpus->n_documents; i++)
    {
      const MsDocument *document = &corpus->documents[i];
      const char *const labels[][3] = { { document->language, "lang", N_ ("Languages") },
                                        { document->domain, "domain", N_ ("Domains") } };

      for (guint l = 0; l < G_N_ELEMENTS (labels); l++)
        if (labels[l][0] != NULL && g_hash_table_add (seen, (gpointer) labels[l][0]))
          add_place (palette, _ (labels[l][2]), labels[l][0], labels[l][1], labels[l][0], "");
      if (i < MOST_DOCUMENTS && document->name != NULL && *document->name != '\0')
        {
          g_autofree char *number = g_strdup_printf ("%u", i);
          g_autofree char *place = g_strconcat ("doc=", number, NULL);

          add (palette, _ ("Documents"), document->name, "win.place",
               g_variant_new ("(ss)", place, "text"));
        }
    }
}

void
ms_places_add_commands (MsWorkbench *bench, MsPalette *palette)
{
  MsRunItem *run = ms_workbench_get_run (bench);

  if (run == NULL)
    return;
  add_analyses (palette);
  add_runs (bench, palette);
  add_documents (ms_run_item_corpus (run), palette);
}

/* The number behind one of the two words; -1 = another word. */
static gint64
number_of (const char *word, const char *letter, const char *name, const char *next)
{
  const char *digits = NULL;
  gint64 number;

  if (g_str_has_prefix (word, letter) && g_ascii_isdigit (word[strlen (letter)]))
    digits = word + strlen (letter);
  else if (g_str_has_prefix (word, name))
    digits = word[strlen (name)] != '\0' ? word + strlen (name) : next;
  return digits != NULL && g_ascii_string_to_signed (digits, 10, 0, G_MAXUINT16, &number, NULL)
             ? number
             : -1;
}

char *
ms_place_parse (const char *words)
{
  g_autofree char *folded = g_ascii_strdown (words, -1);
  g_auto (GStrv) all = g_strsplit_set (folded, " ,", -1);
  gint64 layer = -1, expert = -1;

  for (guint i = 0; all[i] != NULL; i++)
    {
      gint64 l = number_of (all[i], "l", "layer", all[i + 1]);
      gint64 e = number_of (all[i], "e", "expert", all[i + 1]);

      layer = l >= 0 ? l : layer;
      expert = e >= 0 ? e : expert;
    }
  if (layer < 0 && expert < 0)
    return NULL;
  if (layer < 0)
    return g_strdup_printf ("expert=%d", (int) expert);
  if (expert < 0)
    return g_strdup_printf ("layer=%d", (int) layer);
  return g_strdup_printf ("layer=%d expert=%d", (int) layer, (int) expert);
}
