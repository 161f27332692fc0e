/* MsCompareScreen puts the choice of both runs and the table of their settings above the tabs. */
#include "compare-screen-private.h"

#include "pieces-private.h"

struct _MsCompareScreen
{
  MsAnalysisScreen parent_instance;
  GtkDropDown *runs[2]; /* the run, the baseline */
  GtkGrid *settings;
  GtkSwitch *only_differences;
  GtkLabel *warning;
  gboolean following;
};

G_DEFINE_FINAL_TYPE (MsCompareScreen, ms_compare_screen, MS_TYPE_ANALYSIS_SCREEN)

const MsTab ms_compare_tabs[] = {
  { .title = N_ ("Differences"), .analysis = "compare" },
  { .title = N_ ("Map of Change"),
    .analysis = "experts",
    .plots = "change change-ranked",
    .against = TRUE },
  { .title = N_ ("Over Checkpoints"), .analysis = "saturation" },
  { NULL },
};

/* --- Settings --------------------------------------------------------------------------------- */

typedef struct
{
  const char *name;
  char *values[2];
} Setting;

static void
setting_clear (gpointer data)
{
  Setting *setting = data;

  g_free (setting->values[0]);
  g_free (setting->values[1]);
}

static void
add_setting (GArray *settings, const char *name, char *a, char *b)
{
  Setting setting = { name, { a, b } };

  g_array_append_val (settings, setting);
}

static char *
number (gint64 value)
{
  char buffer[MS_NUMBER_SIZE];

  return g_strdup (ms_number_grouped (buffer, value));
}

static char *
text (const char *value)
{
  return g_strdup (value ? value : "–");
}

/* Takes value. */
static char *
take (char *value)
{
  return value != NULL ? value : g_strdup ("–");
}

static char *
shape (const MsModel *model)
{
  if (model->n_layers == 0)
    return g_strdup ("–");
  return g_strdup_printf (_ ("%u layers × %u experts, %u chosen"), model->n_layers,
                          model->layers[0].gate.n_experts, model->layers[0].gate.k);
}

static GArray *
list_settings (MsRunItem *a, MsRunItem *b)
{
  const MsModel *models[2] = { ms_run_item_model (a), ms_run_item_model (b) };
  const MsRun *runs[2] = { ms_run_item_run (a), ms_run_item_run (b) };
  const MsCorpus *corpora[2] = { ms_run_item_corpus (a), ms_run_item_corpus (b) };
  GArray *settings = g_array_new (FALSE, FALSE, sizeof (Setting));

#define BOTH(title, expression)                                                                    \
  do                                                                                               \
    {                                                                                              \
      char *values[2];                                                                             \
      for (guint i = 0; i < 2; i++)                                                                \
        {                                                                                          \
          const MsModel *model = models[i];                                                        \
          const MsRun *run = runs[i];                                                              \
          const MsCorpus *corpus = corpora[i];                                                     \
          (void) model, (void) run, (void) corpus;                                                 \
          values[i] = (expression);                                                                \
        }                                                                                          \
      add_setting (settings, (title), values[0], values[1]);                                       \
    }                                                                                              \
  while (0)

  g_array_set_clear_func (settings, setting_clear);
  BOTH (_ ("Model"), text (model->name));
  BOTH (_ ("Architecture"), text (model->architecture));
  BOTH (_ ("Shape"), shape (model));
  BOTH (_ ("Router"), take (ms_model_describe_router (model)));
  BOTH (_ ("Model file"), text (model->fingerprint));
  BOTH (_ ("Corpus"), text (corpus->name));
  BOTH (_ ("Tokenizer"), text (corpus->tokenizer));
  BOTH (_ ("Documents"), number (corpus->n_documents));
  BOTH (_ ("Tokens recorded"), number (run->n_tokens));
  BOTH (_ ("Precision"), text (run->precision));
  BOTH (_ ("Collected by"), text (run->collector));
  BOTH (_ ("Command"), text (run->command));
  BOTH (_ ("Started"), text (run->started));
#undef BOTH
  return settings;
}

static GArray *
current_settings (MsCompareScreen *self)
{
  MsWorkbench *bench = ms_screen_get_bench (MS_SCREEN (self));
  MsRunItem *run = ms_workbench_get_run (bench), *base = ms_workbench_get_base (bench);

  return run && base ? list_settings (run, base) : NULL;
}

char *
ms_compare_screen_dup_differences (MsCompareScreen *self)
{
  g_autoptr (GArray) settings = current_settings (self);
  g_autoptr (GString) lines = g_string_new (NULL);

  for (guint i = 0; settings != NULL && i < settings->len; i++)
    {
      const Setting *setting = &g_array_index (settings, Setting, i);

      if (!g_str_equal (setting->values[0], setting->values[1]))
        g_string_append_printf (lines, "%s: %s / %s\n", setting->name, setting->values[0],
                                setting->values[1]);
    }
  return g_string_free (g_steal_pointer (&lines), FALSE);
}

static GtkWidget *
cell (const char *value, gboolean dim)
{
  GtkWidget *label = ms_text_new (value, dim ? "dim-label" : NULL);

  gtk_label_set_max_width_chars (GTK_LABEL (label), 40);
  gtk_label_set_yalign (GTK_LABEL (label), 0);
  return label;
}

static void
show_settings (MsCompareScreen *self)
{
  g_autoptr (GArray) settings = current_settings (self);
  gboolean all = !gtk_switch_get_active (self->only_differences);
  GtkWidget *child;
  int row = 0;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->settings))) != NULL)
    gtk_grid_remove (self->settings, child);
  for (guint i = 0; settings != NULL && i < settings->len; i++)
    {
      const Setting *setting = &g_array_index (settings, Setting, i);
      gboolean same = g_str_equal (setting->values[0], setting->values[1]);

      if (same && !all)
        continue;
      gtk_grid_attach (self->settings, cell (setting->name, TRUE), 0, row, 1, 1);
      gtk_grid_attach (self->settings, cell (setting->values[0], same), 1, row, 1, 1);
      gtk_grid_attach (self->settings, cell (setting->values[1], same), 2, row, 1, 1);
      row++;
    }
}

static void
show_warning (MsCompareScreen *self)
{
  MsWorkbench *bench = ms_screen_get_bench (MS_SCREEN (self));
  MsRunItem *run = ms_workbench_get_run (bench), *base = ms_workbench_get_base (bench);
  const char *warning = NULL;

  if (run != NULL && base != NULL)
    {
      const MsCorpus *a = ms_run_item_corpus (run), *b = ms_run_item_corpus (base);

      if (g_strcmp0 (a->tokenizer, b->tokenizer) != 0)
        warning = _ ("The tokenizers differ: tokens cannot be compared one by one.");
      else if (a->id != b->id)
        warning = _ ("The corpora differ: a difference may come from the texts.");
    }
  gtk_label_set_text (self->warning, warning ? warning : "");
  gtk_widget_set_visible (GTK_WIDGET (self->warning), warning != NULL);
}

/* --- The two runs ----------------------------------------------------------------------------- */

static void
on_run_chosen (GtkDropDown *choice, GParamSpec *pspec, gpointer data)
{
  MsCompareScreen *self = data;
  MsWorkbench *bench = ms_screen_get_bench (MS_SCREEN (self));
  MsSession *session = ms_workbench_get_session (bench);
  g_autoptr (MsRunItem) item
      = g_list_model_get_item (ms_workbench_get_runs (bench), gtk_drop_down_get_selected (choice));

  if (self->following || item == NULL)
    return;
  if (choice == self->runs[0])
    ms_session_set_run (session, ms_run_item_run (item)->id);
  else
    ms_session_set_base (session, ms_run_item_run (item)->id);
}

static void
follow (MsCompareScreen *self)
{
  MsWorkbench *bench = ms_screen_get_bench (MS_SCREEN (self));
  GListModel *runs = ms_workbench_get_runs (bench);
  MsRunItem *chosen[2] = { ms_workbench_get_run (bench), ms_workbench_get_base (bench) };

  self->following = TRUE;
  for (guint c = 0; c < 2; c++)
    {
      GtkStringList *names = gtk_string_list_new (NULL);
      guint selected = GTK_INVALID_LIST_POSITION;

      for (guint i = 0; i < g_list_model_get_n_items (runs); i++)
        {
          g_autoptr (MsRunItem) item = g_list_model_get_item (runs, i);
          g_autofree char *name = ms_run_item_dup_label (item);

          gtk_string_list_append (names, name);
          if (item == chosen[c])
            selected = i;
        }
      gtk_drop_down_set_model (self->runs[c], G_LIST_MODEL (names));
      gtk_drop_down_set_selected (self->runs[c], selected);
      g_object_unref (names);
    }
  self->following = FALSE;
  show_settings (self);
  show_warning (self);
}

static GtkWidget *
make_choice (MsCompareScreen *self, guint index, const char *name)
{
  GtkWidget *choice = gtk_drop_down_new (NULL, NULL);

  self->runs[index] = GTK_DROP_DOWN (choice);
  ms_widget_name (choice, name);
  gtk_widget_set_tooltip_text (choice, name);
  gtk_widget_set_hexpand (choice, TRUE);
  gtk_widget_set_size_request (choice, 120, -1);
  g_signal_connect (choice, "notify::selected", G_CALLBACK (on_run_chosen), self);
  return choice;
}

static GtkWidget *
make_top (MsCompareScreen *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *choices = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *expander = gtk_expander_new_with_mnemonic (_ ("_Settings of Both Runs"));
  GtkWidget *inner = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *only = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *scroller = gtk_scrolled_window_new ();

  ms_widget_name (expander, _ ("Settings of Both Runs"));
  gtk_box_append (GTK_BOX (choices), make_choice (self, 0, _ ("Run")));
  gtk_box_append (GTK_BOX (choices), gtk_label_new (_ ("against")));
  gtk_box_append (GTK_BOX (choices), make_choice (self, 1, _ ("Baseline")));
  self->warning = GTK_LABEL (ms_text_new (NULL, "warning"));
  self->settings = GTK_GRID (gtk_grid_new ());
  gtk_grid_set_column_spacing (self->settings, 18);
  gtk_grid_set_row_spacing (self->settings, 3);
  self->only_differences = GTK_SWITCH (gtk_switch_new ());
  gtk_switch_set_active (self->only_differences, TRUE);
  ms_widget_name (GTK_WIDGET (self->only_differences), _ ("Differences only"));
  g_signal_connect_swapped (self->only_differences, "notify::active", G_CALLBACK (show_settings),
                            self);
  gtk_box_append (GTK_BOX (only), GTK_WIDGET (self->only_differences));
  gtk_box_append (GTK_BOX (only), gtk_label_new (_ ("Differences only")));
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->settings));
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), 180);
  gtk_box_append (GTK_BOX (inner), only);
  gtk_box_append (GTK_BOX (inner), scroller);
  gtk_expander_set_child (GTK_EXPANDER (expander), inner);
  gtk_box_append (GTK_BOX (box), choices);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->warning));
  gtk_box_append (GTK_BOX (box), expander);
  ms_widget_set_margins (box, 12);
  return box;
}

static void
ms_compare_screen_class_init (MsCompareScreenClass *class)
{
}

static void
ms_compare_screen_init (MsCompareScreen *self)
{
}

GtkWidget *
ms_compare_screen_new (MsWorkbench *bench)
{
  MsCompareScreen *self = g_object_new (MS_TYPE_COMPARE_SCREEN, NULL);

  ms_analysis_screen_construct (MS_ANALYSIS_SCREEN (self), bench, ms_compare_tabs);
  ms_analysis_screen_set_top (MS_ANALYSIS_SCREEN (self), make_top (self));
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (follow), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text", G_CALLBACK (follow),
                           self, G_CONNECT_SWAPPED);
  follow (self);
  return GTK_WIDGET (self);
}
