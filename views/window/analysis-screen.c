/* MsAnalysisScreen runs the analysis of the tab shown with the session's run, baseline and selection.  A
 * live analysis follows its sliders; the others have a button.  Stale figures stay, faint. */
#include "analysis-screen-private.h"

#include "pieces-private.h"

#include <string.h>

typedef struct
{
  const MsTab *tab;
  const MsAnalysis *analysis;
  MsAnalysisScreen *screen;
  MsAnalysisForm *form;
  MsValues *usual; /* of the form at first */
  MsAnalysisPane *pane;
  GPtrArray *kept; /* of Kept */
  GtkBox *kept_box;
  GtkBox *box;
  MsSelection *selection; /* instead of the session's, NULL = that */
} Page;

typedef struct
{
  GPtrArray *pages; /* of Page */
  GtkStack *stack;
  GtkBox *box;
} MsAnalysisScreenPrivate;

G_DEFINE_TYPE_WITH_PRIVATE (MsAnalysisScreen, ms_analysis_screen, MS_TYPE_SCREEN)

static MsAnalysisScreenPrivate *private(MsAnalysisScreen *self)
{
  return ms_analysis_screen_get_instance_private (self);
}

static Page *
shown_page (MsAnalysisScreen *self)
{
  MsAnalysisScreenPrivate *own = private(self);
  GtkWidget *child = gtk_stack_get_visible_child (own->stack);

  return g_object_get_data (G_OBJECT (child), "moescope-page");
}

static void
run_page (Page *page, guint delay)
{
  MsScreen *screen = MS_SCREEN (page->screen);
  MsSession *session = ms_screen_get_session (screen);
  MsRunItem *base = ms_workbench_get_base (ms_screen_get_bench (screen));
  MsRequest *request = ms_request_new (page->analysis);
  MsSelection *part = page->selection
                          ? ms_selection_copy (page->selection)
                          : ms_workbench_copy_for (ms_screen_get_bench (screen), page->analysis);

  g_clear_pointer (&part->experts, g_array_unref);
  if (page->tab->against)
    g_clear_pointer (&part->with, g_array_unref);
  request->run = ms_session_get_selection (session)->run;
  request->selection = part;
  request->values = ms_analysis_form_dup_values (page->form);
  if (base != NULL && !(page->analysis->needs & MS_NEEDS_SERIES))
    request->other = ms_run_item_run (base)->id;
  /* Intervals cost a thousand times the work; figures that follow a slider do without. */
  request->sampling.resamples = page->analysis->live ? 0 : 200;
  ms_analysis_pane_run (page->pane, request, delay);
}

static void
on_changed (Page *page)
{
  if (ms_workbench_get_run (ms_screen_get_bench (MS_SCREEN (page->screen))) != NULL)
    run_page (page, 80);
}

/* Whether the page compares, and there is nothing to compare with. */
static gboolean
lacks_other (Page *page)
{
  MsWorkbench *bench = ms_screen_get_bench (MS_SCREEN (page->screen));

  if (page->analysis->needs & MS_NEEDS_SERIES)
    {
      g_autoptr (MsSelection) part = ms_workbench_copy_for (bench, page->analysis);

      return part->with == NULL;
    }
  return (page->tab->against || page->analysis->needs & MS_NEEDS_OTHER)
         && ms_workbench_get_base (bench) == NULL;
}

static void
update (MsScreen *screen)
{
  Page *page = shown_page (MS_ANALYSIS_SCREEN (screen));

  if (lacks_other (page))
    {
      gboolean more
          = g_list_model_get_n_items (ms_workbench_get_runs (ms_screen_get_bench (screen))) > 1;

      ms_screen_show_status (
          screen, "view-dual-symbolic", _ ("Nothing to Compare With"),
          more ? _ ("Pin a run of the list as baseline, or take the one before this.")
               : _ ("This file holds one run. Collect or import a second one into it."),
          more ? _ ("_Compare With the Run Before") : _ ("_New Collection…"),
          more ? "win.pick-baseline" : "win.collect");
      return;
    }
  ms_screen_show_content (screen);
  run_page (page, 0);
}

/* --- Kept curves ------------------------------------------------------------------------------ */

typedef struct
{
  char *name;
  MsOutcome *outcome;
} Kept;

static void
kept_free (gpointer data)
{
  Kept *kept = data;

  g_free (kept->name);
  ms_outcome_unref (kept->outcome);
  g_free (kept);
}

/* Appends the rows of a table; a row's series gets the kept curve's name behind it. */
static void
append_rows (MsTable *all, MsTable *table, int series, const char *name)
{
  for (guint row = 0; row < ms_table_n_rows (table); row++, ms_table_end_row (all))
    for (guint column = 0; column < ms_table_n_columns (table); column++)
      switch (ms_table_column (table, column)->type)
        {
        case MS_COLUMN_INT:
          ms_table_put (all, MS_INT (ms_table_get_int (table, row, column)));
          break;
        case MS_COLUMN_REAL:
          ms_table_put (all, MS_REAL (ms_table_get_real (table, row, column)));
          break;
        case MS_COLUMN_TEXT:
          {
            const char *text = ms_table_get_text (table, row, column);
            g_autofree char *named
                = name && (int) column == series ? g_strdup_printf ("%s (%s)", text, name) : NULL;

            ms_table_put (all, MS_TEXT (named ? named : text));
          }
          break;
        }
}

/* Draws the curves of now and the kept ones of every line figure into one. */
static void
merge_kept (Page *page)
{
  MsFigureView *view;

  if (ms_analysis_pane_get_outcome (page->pane) == NULL || page->kept->len == 0)
    return;
  for (guint n = 0; (view = ms_analysis_pane_get_figure (page->pane, n)) != NULL; n++)
    {
      MsOutcome *outcome = ms_figure_view_get_outcome (view);
      MsPlotDef plot = *ms_figure_view_get_plot (view);
      MsTable *table = ms_result_table (outcome->result, plot.table);
      int series = plot.series ? ms_table_find_column (table, plot.series) : -1;
      g_autoptr (MsTable) all = NULL;

      if (!ms_plot_is_curves (&plot) || series < 0
          || ms_table_column (table, (guint) series)->type != MS_COLUMN_TEXT)
        continue;
      all = ms_table_new (ms_table_def (table));
      append_rows (all, table, series, NULL);
      for (guint i = 0; i < page->kept->len; i++)
        {
          Kept *kept = g_ptr_array_index (page->kept, i);
          MsTable *old = ms_result_table (kept->outcome->result, plot.table);

          /* Curves of several runs and of one alone do not go into one table. */
          if (ms_table_n_columns (old) == ms_table_n_columns (table))
            append_rows (all, old, series, kept->name);
        }
      ms_figure_view_show_table (view, outcome, &plot, all, NULL);
    }
}

static void list_kept (Page *page);

static void
on_unkeep (GtkButton *button, gpointer data)
{
  Page *page = data;

  g_ptr_array_remove (page->kept, g_object_get_data (G_OBJECT (button), "moescope-kept"));
  list_kept (page);
  run_page (page, 0);
}

static void
list_kept (Page *page)
{
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (page->kept_box))) != NULL)
    gtk_box_remove (page->kept_box, child);
  for (guint i = 0; i < page->kept->len; i++)
    {
      Kept *kept = g_ptr_array_index (page->kept, i);
      g_autofree char *text = g_strconcat (kept->name, "  ×", NULL);
      g_autofree char *name = g_strdup_printf (_ ("Forget %s"), kept->name);
      GtkWidget *chip = gtk_button_new_with_label (text);

      gtk_widget_add_css_class (chip, "crumb");
      gtk_widget_set_tooltip_text (chip, name);
      ms_widget_name (chip, name);
      g_object_set_data (G_OBJECT (chip), "moescope-kept", kept);
      g_signal_connect (chip, "clicked", G_CALLBACK (on_unkeep), page);
      gtk_box_append (page->kept_box, chip);
    }
}

static void
keep (Page *page)
{
  MsOutcome *outcome = ms_analysis_pane_get_outcome (page->pane);
  Kept *kept;

  if (outcome == NULL || outcome->share < 1)
    return;
  kept = g_new0 (Kept, 1);
  kept->name = outcome->request->values ? ms_values_describe (outcome->request->values, page->usual)
                                        : g_strdup ("");
  if (*kept->name == '\0')
    {
      g_free (kept->name);
      kept->name = g_strdup_printf (_ ("kept %u"), page->kept->len + 1);
    }
  kept->outcome = ms_outcome_ref (outcome);
  g_ptr_array_add (page->kept, kept);
  list_kept (page);
  merge_kept (page);
}

void
ms_analysis_screen_keep (MsAnalysisScreen *self)
{
  Page *page = shown_page (self);

  keep (page);
}

/* --- Building --------------------------------------------------------------------------------- */

static void
page_free (gpointer data)
{
  Page *page = data;

  g_ptr_array_unref (page->kept);
  ms_values_free (page->usual);
  ms_selection_free (page->selection);
  g_free (page);
}

static void
finalize (GObject *object)
{
  g_ptr_array_unref (private(MS_ANALYSIS_SCREEN (object))->pages);
  G_OBJECT_CLASS (ms_analysis_screen_parent_class)->finalize (object);
}

static void
ms_analysis_screen_class_init (MsAnalysisScreenClass *class)
{
  G_OBJECT_CLASS (class)->finalize = finalize;
  MS_SCREEN_CLASS (class)->update = update;
}

static void
on_tab_changed (MsAnalysisScreen *self)
{
  if (gtk_widget_get_mapped (GTK_WIDGET (self)))
    ms_screen_update_now (MS_SCREEN (self));
}

static void
ms_analysis_screen_init (MsAnalysisScreen *self)
{
  MsAnalysisScreenPrivate *own = private(self);

  own->pages = g_ptr_array_new_with_free_func (page_free);
}

static void
set_values (MsAnalysisForm *form, const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; words[i] != NULL; i++)
    {
      char *equals = strchr (words[i], '=');

      *equals = '\0';
      if (!ms_analysis_form_set (form, words[i], equals + 1, &error))
        g_error ("the value “%s” of a tab: %s", text, error->message);
    }
}

static GtkWidget *
make_side (Page *page)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);
  GtkWidget *scroller;

  gtk_box_append (GTK_BOX (box), ms_text_new (_ (page->analysis->help), "dim-label"));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (page->form));
  if (page->tab->keep)
    {
      GtkWidget *button = gtk_button_new_with_mnemonic (_ ("_Keep These Curves"));

      ms_widget_name (button, _ ("Keep These Curves"));
      gtk_widget_set_halign (button, GTK_ALIGN_START);
      g_signal_connect_swapped (button, "clicked", G_CALLBACK (keep), page);
      gtk_box_append (GTK_BOX (box), button);
      gtk_box_append (GTK_BOX (box), GTK_WIDGET (page->kept_box));
    }
  ms_widget_set_margins (box, 12);
  scroller = ms_scroller_new (box);
  gtk_widget_set_size_request (scroller, 300, -1);
  gtk_widget_set_hexpand (scroller, FALSE);
  gtk_widget_add_css_class (scroller, "background");
  return scroller;
}

/* Settings beside the figures; where there is no room for both, a button opens them. */
static GtkWidget *
make_page (Page *page, MsWorkbench *bench)
{
  GtkWidget *flap = adw_flap_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *toggle = gtk_toggle_button_new_with_mnemonic (_ ("_Settings"));

  page->form = MS_ANALYSIS_FORM (
      ms_analysis_form_new (page->analysis, page->analysis->live, page->tab->params));
  if (page->tab->values != NULL)
    set_values (page->form, page->tab->values);
  page->usual = ms_analysis_form_dup_values (page->form);
  page->kept_box = GTK_BOX (gtk_box_new (GTK_ORIENTATION_VERTICAL, 3));
  page->pane = MS_ANALYSIS_PANE (ms_analysis_pane_new (bench, page->tab->plots, page->tab->tables));
  g_signal_connect_swapped (page->form, "changed", G_CALLBACK (on_changed), page);
  g_signal_connect_swapped (page->pane, "outcome", G_CALLBACK (merge_kept), page);
  gtk_widget_set_halign (toggle, GTK_ALIGN_START);
  ms_widget_name (toggle, _ ("Settings"));
  page->box = GTK_BOX (box);
  gtk_box_append (GTK_BOX (box), toggle);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (page->pane));
  ms_widget_set_margins (box, 12);
  adw_flap_set_content (ADW_FLAP (flap), ms_scroller_new (box));
  adw_flap_set_flap (ADW_FLAP (flap), make_side (page));
  adw_flap_set_flap_position (ADW_FLAP (flap), GTK_PACK_END);
  adw_flap_set_separator (ADW_FLAP (flap), gtk_separator_new (GTK_ORIENTATION_VERTICAL));
  g_object_bind_property (flap, "reveal-flap", toggle, "active",
                          G_BINDING_BIDIRECTIONAL | G_BINDING_SYNC_CREATE);
  adw_flap_set_reveal_flap (ADW_FLAP (flap), page->analysis->live);
  gtk_widget_set_vexpand (flap, TRUE);
  g_object_set_data (G_OBJECT (flap), "moescope-page", page);
  return flap;
}

void
ms_analysis_screen_construct (MsAnalysisScreen *self, MsWorkbench *bench, const MsTab *tabs)
{
  MsAnalysisScreenPrivate *own = private(self);
  GtkWidget *switcher = gtk_stack_switcher_new ();
  GtkWidget *scroller = gtk_scrolled_window_new ();

  ms_screen_set_bench (MS_SCREEN (self), bench);
  own->box = GTK_BOX (gtk_box_new (GTK_ORIENTATION_VERTICAL, 0));
  own->stack = GTK_STACK (gtk_stack_new ());
  gtk_stack_set_hhomogeneous (own->stack, FALSE);
  gtk_stack_set_vhomogeneous (own->stack, FALSE);
  for (const MsTab *tab = tabs; tab->title != NULL; tab++)
    {
      Page *page = g_new0 (Page, 1);

      page->tab = tab;
      page->analysis = ms_known_analysis (tab->analysis);
      page->screen = self;
      page->kept = g_ptr_array_new_with_free_func (kept_free);
      g_ptr_array_add (own->pages, page);
      gtk_stack_add_titled (own->stack, make_page (page, bench), tab->title, _ (tab->title));
    }
  gtk_stack_switcher_set_stack (GTK_STACK_SWITCHER (switcher), own->stack);
  gtk_widget_set_halign (switcher, GTK_ALIGN_CENTER);
  ms_widget_set_margins (switcher, 6);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), switcher);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_AUTOMATIC,
                                  GTK_POLICY_NEVER);
  gtk_widget_set_visible (scroller, own->pages->len > 1);
  g_signal_connect_object (own->stack, "notify::visible-child", G_CALLBACK (on_tab_changed), self,
                           G_CONNECT_SWAPPED);
  gtk_box_append (own->box, scroller);
  gtk_box_append (own->box, GTK_WIDGET (own->stack));
  ms_screen_set_content (MS_SCREEN (self), GTK_WIDGET (own->box));
}

GtkWidget *
ms_analysis_screen_new (MsWorkbench *bench, const MsTab *tabs)
{
  MsAnalysisScreen *self = g_object_new (MS_TYPE_ANALYSIS_SCREEN, NULL);

  ms_analysis_screen_construct (self, bench, tabs);
  return GTK_WIDGET (self);
}

void
ms_analysis_screen_set_top (MsAnalysisScreen *self, GtkWidget *top)
{
  gtk_box_prepend (private(self)->box, top);
}

static Page *
find_page (MsAnalysisScreen *self, const char *title)
{
  MsAnalysisScreenPrivate *own = private(self);

  for (guint i = 0; i < own->pages->len; i++)
    {
      Page *page = g_ptr_array_index (own->pages, i);

      if (strcmp (page->tab->title, title) == 0)
        return page;
    }
  g_error ("there is no tab “%s”", title);
}

void
ms_analysis_screen_set_tab_top (MsAnalysisScreen *self, const char *title, GtkWidget *top)
{
  Page *page = find_page (self, title);

  gtk_box_insert_child_after (page->box, top, gtk_widget_get_first_child (GTK_WIDGET (page->box)));
}

MsAnalysisPane *
ms_analysis_screen_get_tab_pane (MsAnalysisScreen *self, const char *title)
{
  return find_page (self, title)->pane;
}

static gboolean
same_selection (const MsSelection *a, const MsSelection *b)
{
  g_autofree char *left = a != NULL ? ms_selection_format (a) : NULL;
  g_autofree char *right = b != NULL ? ms_selection_format (b) : NULL;

  return g_strcmp0 (left, right) == 0;
}

void
ms_analysis_screen_take_selection (MsAnalysisScreen *self, const char *title,
                                   MsSelection *selection)
{
  Page *page = find_page (self, title);
  g_autoptr (MsSelection) old = page->selection;

  page->selection = selection;
  if (!same_selection (old, selection) && page == shown_page (self)
      && gtk_widget_get_mapped (GTK_WIDGET (self)))
    ms_screen_update_now (MS_SCREEN (self));
}

guint
ms_analysis_screen_get_n_tabs (MsAnalysisScreen *self)
{
  return private(self)->pages->len;
}

void
ms_analysis_screen_show_tab (MsAnalysisScreen *self, guint n)
{
  Page *page = g_ptr_array_index (private(self)->pages, n);

  gtk_stack_set_visible_child_name (private(self)->stack, page->tab->title);
}

void
ms_analysis_screen_reset_tab (MsAnalysisScreen *self, const char *title)
{
  Page *page = find_page (self, title);

  gtk_stack_set_visible_child_name (private(self)->stack, title);
  ms_analysis_form_set_values (page->form, page->usual);
}

guint
ms_analysis_screen_get_tab (MsAnalysisScreen *self)
{
  guint n = 0;

  g_ptr_array_find (private(self)->pages, shown_page (self), &n);
  return n;
}

MsAnalysisPane *
ms_analysis_screen_get_pane (MsAnalysisScreen *self)
{
  Page *page = shown_page (self);

  return page->pane;
}

MsAnalysisForm *
ms_analysis_screen_get_form (MsAnalysisScreen *self)
{
  Page *page = shown_page (self);

  return page->form;
}
