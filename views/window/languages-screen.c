/* MsLanguagesScreen adds the choice of a text and its translations to the tabs: the documents of one
 * `parallel` key under each other, each token on the colour of its expert. */
#include "languages-screen-private.h"

#include "label-chips-private.h"
#include "pieces-private.h"

#define MOST_DOCUMENTS 8

struct _MsLanguagesScreen
{
  MsAnalysisScreen parent_instance;
  GtkDropDown *choice;
  GtkWidget *choice_box;
  guint listed_file; /* its serial */
  gint64 listed_corpus;
};

G_DEFINE_FINAL_TYPE (MsLanguagesScreen, ms_languages_screen, MS_TYPE_ANALYSIS_SCREEN)

#define SENTENCES   "Translations"
#define SPECIALISTS "Specialists"

const MsTab ms_languages_tabs[] = {
  { .title = N_ ("Distances"),
    .analysis = "language-map",
    .plots = "distances silhouette map spread" },
  { .title = N_ ("Curves"),
    .analysis = "languages",
    .plots = "curve languages entropy specialised" },
  { .title = N_ ("Matrix by Layer"), .analysis = "languages", .plots = "map matrix" },
  { .title = N_ (SENTENCES), .analysis = "text", .plots = "expert entropy", .params = "layer" },
  { .title = N_ (SPECIALISTS), .analysis = "specialists", .params = "label group", .tables = TRUE },
  { NULL },
};

void
ms_languages_screen_show_specialists (MsLanguagesScreen *self, const char *label, const char *value)
{
  MsAnalysisForm *form;

  ms_analysis_screen_reset_tab (MS_ANALYSIS_SCREEN (self), SPECIALISTS);
  form = ms_analysis_screen_get_form (MS_ANALYSIS_SCREEN (self));
  ms_analysis_form_set (form, "label", label, NULL);
  ms_analysis_form_set (form, "group", value, NULL);
}

/* The documents with a parallel key. */
static MsSelection *
select_documents (const MsCorpus *corpus, const char *key)
{
  MsSelection *selection = ms_selection_new ();

  selection->documents = g_array_new (FALSE, FALSE, sizeof (MsRange));
  for (guint i = 0; i < corpus->n_documents && selection->documents->len < MOST_DOCUMENTS; i++)
    if (g_strcmp0 (corpus->documents[i].parallel, key) == 0)
      g_array_append_val (selection->documents, ((MsRange){ i, i }));
  return selection;
}

static void
on_chosen (MsLanguagesScreen *self)
{
  GtkStringObject *item = gtk_drop_down_get_selected_item (self->choice);
  MsRunItem *run = ms_workbench_get_run (ms_screen_get_bench (MS_SCREEN (self)));

  if (item == NULL || run == NULL)
    return;
  ms_analysis_screen_take_selection (
      MS_ANALYSIS_SCREEN (self), SENTENCES,
      select_documents (ms_run_item_corpus (run), gtk_string_object_get_string (item)));
}

/* The keys that two or more documents share, in the order of the corpus. */
static void
list_keys (MsLanguagesScreen *self)
{
  MsRunItem *run = ms_workbench_get_run (ms_screen_get_bench (MS_SCREEN (self)));
  const MsCorpus *corpus = run ? ms_run_item_corpus (run) : NULL;
  guint file = ms_workbench_get_serial (ms_screen_get_bench (MS_SCREEN (self)));
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  GtkStringList *keys;

  if (corpus == NULL || (corpus->id == self->listed_corpus && file == self->listed_file))
    return;
  self->listed_file = file;
  self->listed_corpus = corpus->id;
  keys = gtk_string_list_new (NULL);
  for (guint i = 0; i < corpus->n_documents; i++)
    {
      const char *key = corpus->documents[i].parallel;
      guint n = key ? GPOINTER_TO_UINT (g_hash_table_lookup (seen, key)) : 0;

      if (key == NULL)
        continue;
      g_hash_table_insert (seen, (gpointer) key, GUINT_TO_POINTER (n + 1));
      if (n == 1)
        gtk_string_list_append (keys, key);
    }
  gtk_drop_down_set_model (self->choice, G_LIST_MODEL (keys));
  gtk_widget_set_visible (self->choice_box, g_list_model_get_n_items (G_LIST_MODEL (keys)) > 0);
  g_object_unref (keys);
  on_chosen (self);
}

static void
ms_languages_screen_class_init (MsLanguagesScreenClass *class)
{
}

static void
ms_languages_screen_init (MsLanguagesScreen *self)
{
  self->listed_corpus = -1;
}

GtkWidget *
ms_languages_screen_new (MsWorkbench *bench)
{
  MsLanguagesScreen *self = g_object_new (MS_TYPE_LANGUAGES_SCREEN, NULL);
  GtkWidget *label = gtk_label_new_with_mnemonic (_ ("_Text and its translations"));

  ms_analysis_screen_construct (MS_ANALYSIS_SCREEN (self), bench, ms_languages_tabs);
  self->choice_box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  self->choice = GTK_DROP_DOWN (gtk_drop_down_new (NULL, NULL));
  gtk_drop_down_set_enable_search (self->choice, TRUE);
  gtk_drop_down_set_expression (
      self->choice, gtk_property_expression_new (GTK_TYPE_STRING_OBJECT, NULL, "string"));
  ms_widget_name (GTK_WIDGET (self->choice), _ ("Text and its translations"));
  gtk_label_set_mnemonic_widget (GTK_LABEL (label), GTK_WIDGET (self->choice));
  gtk_box_append (GTK_BOX (self->choice_box), label);
  gtk_box_append (GTK_BOX (self->choice_box), GTK_WIDGET (self->choice));
  g_signal_connect_object (self->choice, "notify::selected", G_CALLBACK (on_chosen), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (list_keys), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text", G_CALLBACK (list_keys),
                           self, G_CONNECT_SWAPPED);
  ms_analysis_screen_set_tab_top (MS_ANALYSIS_SCREEN (self), SENTENCES, self->choice_box);
  ms_analysis_screen_set_tab_top (MS_ANALYSIS_SCREEN (self), SPECIALISTS,
                                  ms_label_chips_new (bench, MS_CHIPS_GROUPS));
  list_keys (self); /* the file may be open already */
  return GTK_WIDGET (self);
}
