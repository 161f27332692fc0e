/* MsAnalysesScreen: the list, the form of the chosen analysis, and its results.  An analysis marked live
 * runs as values change; the others when told. */
#include "analyses-screen-private.h"

#include "pieces-private.h"
#include "tab-list-private.h"

#include <string.h>

static const char *const groupings[] = { N_ ("Not grouped"), N_ ("By language"), N_ ("By domain"),
                                         N_ ("By phase"),    N_ ("By document"), NULL };
static const char *const group_keys[] = { NULL, "language", "domain", "phase", "document" };

struct _MsAnalysesScreen
{
  MsScreen parent_instance;
  GtkSearchEntry *search;
  GtkListBox *list;
  AdwFlap *flap;
  const MsAnalysis *analysis;
  GtkLabel *title, *help, *formula, *cite;
  AdwBin *form_bin;
  GtkDropDown *group;
  GtkSpinButton *bootstrap;
  GtkButton *run;
  GtkWidget *show_list; /* opens the list where it does not fit beside the rest */
  MsAnalysisPane *pane;
};

G_DEFINE_FINAL_TYPE (MsAnalysesScreen, ms_analyses_screen, MS_TYPE_SCREEN)

void
ms_analyses_screen_run (MsAnalysesScreen *self)
{
  MsScreen *screen = MS_SCREEN (self);
  MsSession *session = ms_screen_get_session (screen);
  MsRunItem *base = ms_workbench_get_base (ms_screen_get_bench (screen));
  MsRequest *request = ms_request_new (self->analysis);

  request->run = ms_session_get_selection (session)->run;
  request->selection = ms_workbench_copy_for (ms_screen_get_bench (screen), self->analysis);
  request->values = ms_analysis_form_dup_values (ms_analyses_screen_get_form (self));
  if (base != NULL && (self->analysis->needs & MS_NEEDS_OTHER))
    request->other = ms_run_item_run (base)->id;
  request->by = g_strdup (group_keys[gtk_drop_down_get_selected (self->group)]);
  request->sampling.resamples = (guint) gtk_spin_button_get_value_as_int (self->bootstrap);
  ms_analysis_pane_run (self->pane, request, self->analysis->live ? 80 : 0);
}

static void
on_changed (MsAnalysesScreen *self)
{
  if (self->analysis->live && ms_workbench_get_run (ms_screen_get_bench (MS_SCREEN (self))) != NULL)
    ms_analyses_screen_run (self);
}

static void
set_text (GtkLabel *label, const char *text)
{
  gtk_label_set_text (label, text ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (label), text != NULL);
}

static void
choose (MsAnalysesScreen *self, const MsAnalysis *analysis)
{
  GtkWidget *form;

  if (analysis == self->analysis)
    return;
  self->analysis = analysis;
  set_text (self->title, _ (analysis->title));
  set_text (self->help, analysis->help ? _ (analysis->help) : NULL);
  set_text (self->formula, analysis->formula);
  set_text (self->cite, analysis->cite);
  form = ms_analysis_form_new (analysis, analysis->live, NULL);
  g_signal_connect_swapped (form, "changed", G_CALLBACK (on_changed), self);
  adw_bin_set_child (self->form_bin, form);
  if (gtk_widget_get_mapped (GTK_WIDGET (self)))
    ms_screen_update_now (MS_SCREEN (self));
}

static const MsAnalysis *
row_analysis (GtkListBoxRow *row)
{
  return g_object_get_data (G_OBJECT (row), "moescope-analysis");
}

gboolean
ms_analyses_screen_choose (MsAnalysesScreen *self, const char *name)
{
  GtkListBoxRow *row;

  for (int i = 0; (row = gtk_list_box_get_row_at_index (self->list, i)) != NULL; i++)
    if (strcmp (row_analysis (row)->name, name) == 0)
      {
        gtk_list_box_select_row (self->list, row);
        return TRUE;
      }
  return FALSE;
}

static void
on_row_selected (MsAnalysesScreen *self, GtkListBoxRow *row)
{
  if (row == NULL)
    return;
  choose (self, row_analysis (row));
  if (adw_flap_get_folded (self->flap))
    adw_flap_set_reveal_flap (self->flap, FALSE);
}

static gboolean
matches (GtkListBoxRow *row, gpointer data)
{
  MsAnalysesScreen *self = data;
  const MsAnalysis *analysis = row_analysis (row);
  g_autofree char *hay = g_strconcat (analysis->name, " ", _ (analysis->title), " ",
                                      analysis->help ? _ (analysis->help) : "", NULL);
  g_autofree char *folded = g_utf8_casefold (hay, -1);
  g_autofree char *typed
      = g_utf8_casefold (gtk_editable_get_text (GTK_EDITABLE (self->search)), -1);

  return strstr (folded, typed) != NULL;
}

static void
update (MsScreen *screen)
{
  ms_screen_show_content (screen);
  if (MS_ANALYSES_SCREEN (screen)->analysis != NULL)
    ms_analyses_screen_run (MS_ANALYSES_SCREEN (screen));
}

static void
ms_analyses_screen_class_init (MsAnalysesScreenClass *class)
{
  MS_SCREEN_CLASS (class)->update = update;
}

static void
ms_analyses_screen_init (MsAnalysesScreen *self)
{
}

static GtkLabel *
text_label (GtkWidget *box, const char *css_class)
{
  GtkWidget *label = gtk_label_new (NULL);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  if (css_class != NULL)
    gtk_widget_add_css_class (label, css_class);
  gtk_box_append (GTK_BOX (box), label);
  return GTK_LABEL (label);
}

static GtkWidget *
make_list (MsAnalysesScreen *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *nothing = gtk_label_new (_ ("No such analysis"));

  self->search = GTK_SEARCH_ENTRY (ms_search_new (_ ("Search analyses")));
  self->list = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_widget_add_css_class (GTK_WIDGET (self->list), "navigation-sidebar");
  gtk_list_box_set_placeholder (self->list, nothing);
  gtk_list_box_set_filter_func (self->list, matches, self, NULL);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->list), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Analyses"), -1);
  for (const MsAnalysis *const *all = ms_analyses (); *all != NULL; all++)
    {
      GtkWidget *row = gtk_list_box_row_new ();
      GtkWidget *label = gtk_label_new (_ ((*all)->title));

      gtk_label_set_xalign (GTK_LABEL (label), 0);
      gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
      gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), label);
      gtk_widget_set_tooltip_text (row, (*all)->help ? _ ((*all)->help) : NULL);
      gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                      _ ((*all)->title), -1);
      g_object_set_data (G_OBJECT (row), "moescope-analysis", (gpointer) *all);
      gtk_list_box_append (self->list, row);
    }
  g_signal_connect_swapped (self->search, "search-changed",
                            G_CALLBACK (gtk_list_box_invalidate_filter), self->list);
  g_signal_connect_swapped (self->list, "row-selected", G_CALLBACK (on_row_selected), self);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->list));
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_widget_set_vexpand (scroller, TRUE);
  gtk_widget_set_size_request (box, 210, -1);
  gtk_widget_set_hexpand (box, FALSE);
  gtk_widget_add_css_class (box, "background");
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->search));
  gtk_box_append (GTK_BOX (box), ms_tab_list_new (scroller));
  return box;
}

static void
add_setting (GtkWidget *list, const char *title, const char *subtitle, GtkWidget *input)
{
  GtkWidget *row = adw_action_row_new ();

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
  gtk_accessible_update_property (GTK_ACCESSIBLE (input), GTK_ACCESSIBLE_PROPERTY_LABEL, title, -1);
  ms_row_add_input (row, input);
  gtk_list_box_append (GTK_LIST_BOX (list), row);
}

/* What every analysis can be told beside its own parameters. */
static GtkWidget *
make_settings (MsAnalysesScreen *self)
{
  GtkWidget *list = gtk_list_box_new ();
  const char *names[G_N_ELEMENTS (groupings)] = { NULL };

  for (guint i = 0; groupings[i] != NULL; i++)
    names[i] = _ (groupings[i]);
  self->group = GTK_DROP_DOWN (gtk_drop_down_new_from_strings (names));
  self->bootstrap = GTK_SPIN_BUTTON (gtk_spin_button_new_with_range (0, 10000, 100));
  gtk_spin_button_set_value (self->bootstrap, MS_SAMPLING_USUAL.resamples);
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  add_setting (list, _ ("Grouping"), _ ("Once for each group of documents"),
               GTK_WIDGET (self->group));
  add_setting (list, _ ("Bootstrap"),
               /* xgettext:no-c-format */
               _ ("Resamples of the documents for 95 % intervals; 0 = no intervals"),
               GTK_WIDGET (self->bootstrap));
  return ms_tab_form_new (GTK_LIST_BOX (list));
}

static GtkWidget *
make_content (MsAnalysesScreen *self, MsWorkbench *bench)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 9);
  GtkWidget *definition = gtk_expander_new_with_mnemonic (_ ("_Definition"));
  GtkWidget *parameters = gtk_expander_new_with_mnemonic (_ ("_Parameters"));
  GtkWidget *inputs = gtk_box_new (GTK_ORIENTATION_VERTICAL, 9);
  GtkWidget *texts = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *head = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);

  ms_widget_name (definition, _ ("Definition"));
  ms_widget_name (parameters, _ ("Parameters"));
  self->show_list = gtk_toggle_button_new ();
  gtk_button_set_icon_name (GTK_BUTTON (self->show_list), "view-list-bullet-symbolic");
  gtk_widget_set_tooltip_text (self->show_list, _ ("List of Analyses"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->show_list), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("List of Analyses"), -1);
  gtk_box_append (GTK_BOX (head), self->show_list);
  self->title = text_label (head, "title-2");
  gtk_widget_set_hexpand (GTK_WIDGET (self->title), TRUE);
  self->run = GTK_BUTTON (gtk_button_new_with_mnemonic (_ ("_Run")));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->run), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Run"), -1);
  gtk_widget_add_css_class (GTK_WIDGET (self->run), "suggested-action");
  g_signal_connect_swapped (self->run, "clicked", G_CALLBACK (ms_analyses_screen_run), self);
  gtk_box_append (GTK_BOX (head), GTK_WIDGET (self->run));
  gtk_box_append (GTK_BOX (box), head);
  self->help = text_label (box, NULL);
  self->formula = text_label (texts, "monospace");
  self->cite = text_label (texts, "dim-label");
  gtk_expander_set_child (GTK_EXPANDER (definition), texts);
  gtk_box_append (GTK_BOX (box), definition);
  self->form_bin = ADW_BIN (adw_bin_new ());
  gtk_box_append (GTK_BOX (inputs), GTK_WIDGET (self->form_bin));
  gtk_box_append (GTK_BOX (inputs), make_settings (self));
  gtk_widget_set_margin_top (inputs, 6);
  gtk_expander_set_child (GTK_EXPANDER (parameters), inputs);
  gtk_box_append (GTK_BOX (box), parameters);
  self->pane = MS_ANALYSIS_PANE (ms_analysis_pane_new (bench, NULL, TRUE));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->pane));
  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 12);
  gtk_widget_set_margin_top (box, 12);
  gtk_widget_set_margin_bottom (box, 12);
  return ms_scroller_new (box);
}

GtkWidget *
ms_analyses_screen_new (MsWorkbench *bench)
{
  MsAnalysesScreen *self = g_object_new (MS_TYPE_ANALYSES_SCREEN, NULL);

  ms_screen_set_bench (MS_SCREEN (self), bench);
  self->flap = ADW_FLAP (adw_flap_new ());
  adw_flap_set_content (self->flap, make_content (self, bench));
  adw_flap_set_flap (self->flap, make_list (self));
  adw_flap_set_separator (self->flap, gtk_separator_new (GTK_ORIENTATION_VERTICAL));
  g_object_bind_property (self->flap, "reveal-flap", self->show_list, "active",
                          G_BINDING_BIDIRECTIONAL | G_BINDING_SYNC_CREATE);
  g_object_bind_property (self->flap, "folded", self->show_list, "visible", G_BINDING_SYNC_CREATE);
  ms_screen_set_content (MS_SCREEN (self), GTK_WIDGET (self->flap));
  gtk_list_box_select_row (self->list, gtk_list_box_get_row_at_index (self->list, 0));
  return GTK_WIDGET (self);
}

MsAnalysisPane *
ms_analyses_screen_get_pane (MsAnalysesScreen *self)
{
  return self->pane;
}

MsAnalysisForm *
ms_analyses_screen_get_form (MsAnalysesScreen *self)
{
  return MS_ANALYSIS_FORM (adw_bin_get_child (self->form_bin));
}
