/* MsAnalysisPane keeps its figure views from one result to the next, so that cursor, zoom and "as table"
 * survive a change of parameters. */
#include "analysis-pane-private.h"

#include "columns-private.h"
#include "pieces-private.h"
#include "screen-private.h"
#include "table-view-private.h"

#include <string.h>

struct _MsAnalysisPane
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  char **plots; /* NULL = all */
  MsWork *job;
  MsRequest *request; /* the last */
  gboolean paused;    /* before its end, out of sight */
  MsOutcome *outcome;
  GtkStack *stack;
  AdwStatusPage *status;
  GtkButton *button;
  GtkProgressBar *progress;
  GtkLabel *summary;
  MsColumns *figures;
  GPtrArray *views; /* of MsFigureView, borrowed */
  GtkWidget *table_box;
  GtkDropDown *table_choice;
  MsTableView *table;
};

G_DEFINE_FINAL_TYPE (MsAnalysisPane, ms_analysis_pane, ADW_TYPE_BIN)

static guint outcome_signal;

static MsFigureView *
nth_view (MsAnalysisPane *self, guint n)
{
  if (n == self->views->len)
    {
      GtkWidget *view = ms_figure_view_new (self->bench);

      g_ptr_array_add (self->views, view);
      ms_columns_append (self->figures, view);
    }
  return g_ptr_array_index (self->views, n);
}

/* The n-th plot to show, in the order that was asked for; NULL beyond the last.  n grows by one from 0. */
static const MsPlotDef *
nth_plot (MsAnalysisPane *self, guint n)
{
  const MsAnalysis *analysis = self->outcome->request->analysis;

  if (self->plots != NULL)
    {
      const MsPlotDef *plot = self->plots[n] ? ms_analysis_plot (analysis, self->plots[n]) : NULL;

      if (plot == NULL && self->plots[n] != NULL)
        g_error ("%s has no plot “%s”", analysis->name, self->plots[n]);
      return plot;
    }
  return analysis->plots != NULL && analysis->plots[n].name != NULL ? &analysis->plots[n] : NULL;
}

/* A plot of rows that are not there (languages, where no document has one) has no place. */
static gboolean
has_place (MsAnalysisPane *self, const MsPlotDef *plot)
{
  return plot->where == NULL
         || ms_plot_has_data (plot, ms_result_table (self->outcome->result, plot->table));
}

static void
show_figure (MsAnalysisPane *self, guint n, MsOutcome *outcome, const MsPlotDef *plot,
             const char *run)
{
  MsFigureView *view = nth_view (self, n);

  gtk_widget_set_visible (GTK_WIDGET (view), TRUE);
  ms_figure_view_set_run (view, run);
  ms_figure_view_show (view, outcome, plot, NULL);
}

/* One figure for each plot; of several runs one for each run where a plot has no place for them. */
static void
show_figures (MsAnalysisPane *self)
{
  gboolean grouped = self->outcome->request->by != NULL;
  GPtrArray *runs = self->outcome->runs;
  const MsPlotDef *plot;
  guint n = 0;

  for (guint p = 0; (plot = nth_plot (self, p)) != NULL; p++)
    if (!has_place (self, plot))
      continue;
    else if (runs == NULL || ms_plot_takes_runs (plot, grouped))
      show_figure (self, n++, self->outcome, plot, NULL);
    else
      for (guint i = 0; i < runs->len; i++)
        {
          MsOutcome *one = g_ptr_array_index (runs, i);
          MsRunItem *item = ms_workbench_find_run (self->bench, one->request->run);
          g_autofree char *label = item ? ms_run_item_dup_label (item) : NULL;

          show_figure (self, n++, one, plot, label);
        }
  for (; n < self->views->len; n++)
    gtk_widget_set_visible (g_ptr_array_index (self->views, n), FALSE);
}

static void
on_table_chosen (MsAnalysisPane *self)
{
  guint index = gtk_drop_down_get_selected (self->table_choice);

  if (self->outcome != NULL && index < self->outcome->result->n_tables)
    ms_table_view_set_table (self->table, self->outcome->result->tables[index]);
}

static void
show_tables (MsAnalysisPane *self)
{
  const MsTableDef *defs = self->outcome->request->analysis->tables;
  GtkStringList *names = gtk_string_list_new (NULL);
  guint before = gtk_drop_down_get_selected (self->table_choice);
  guint n = self->outcome->result->n_tables;

  for (guint i = 0; i < n; i++)
    gtk_string_list_append (names, _ (defs[i].title));
  gtk_drop_down_set_model (self->table_choice, G_LIST_MODEL (names));
  g_object_unref (names);
  gtk_drop_down_set_selected (self->table_choice, before < n ? before : 0);
  gtk_widget_set_visible (self->table_box, n > 0);
  on_table_chosen (self);
}

static void
on_progress (MsAnalysisPane *self, GParamSpec *pspec, MsWork *job)
{
  double fraction = ms_work_get_fraction (job);

  if (job == self->job && fraction >= 0)
    gtk_progress_bar_set_fraction (self->progress, fraction);
}

static void
show_error (MsAnalysisPane *self, const GError *error)
{
  const char *icon, *title, *label, *action;
  g_autofree char *text = ms_error_text (error);

  ms_error_page (error, &icon, &title, &label, &action);
  if (g_error_matches (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS)
      && *ms_session_get_text (ms_workbench_get_session (self->bench)) != '\0')
    {
      title = _ ("Not in This Selection");
      label = _ ("_Clear Selection");
      action = "win.clear-selection";
    }
  adw_status_page_set_icon_name (self->status, icon);
  adw_status_page_set_title (self->status, title);
  adw_status_page_set_description (self->status, text);
  gtk_widget_set_visible (GTK_WIDGET (self->button), label != NULL);
  if (label != NULL)
    {
      gtk_button_set_label (self->button, label);
      gtk_actionable_set_detailed_action_name (GTK_ACTIONABLE (self->button), action);
    }
  gtk_stack_set_visible_child_name (self->stack, "status");
}

/* Shows an outcome of all tokens or of part of them; takes it. */
static void
on_partial (GObject *owner, gpointer outcome)
{
  MsAnalysisPane *self = MS_ANALYSIS_PANE (owner);
  const char *summary;

  g_clear_pointer (&self->outcome, ms_outcome_unref);
  self->outcome = outcome;
  summary = self->outcome->result->summary;
  gtk_label_set_text (self->summary, summary ? summary : "");
  /* Of several runs, two lines for each; figures are what people look at. */
  gtk_label_set_lines (self->summary, self->outcome->runs != NULL ? 2 : -1);
  gtk_label_set_ellipsize (self->summary, self->outcome->runs != NULL ? PANGO_ELLIPSIZE_END
                                                                      : PANGO_ELLIPSIZE_NONE);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->summary),
                               self->outcome->runs != NULL ? summary : NULL);
  gtk_widget_set_visible (GTK_WIDGET (self->summary), summary != NULL);
  show_figures (self);
  if (self->table != NULL)
    show_tables (self);
  gtk_stack_set_visible_child_name (self->stack, "content");
  g_signal_emit (self, outcome_signal, 0);
}

static void
on_outcome (GObject *owner, gpointer result, const GError *error)
{
  MsAnalysisPane *self = MS_ANALYSIS_PANE (owner);

  g_clear_object (&self->job);
  gtk_widget_set_visible (GTK_WIDGET (self->progress), FALSE);
  if (result != NULL)
    {
      on_partial (owner, result);
      return;
    }
  g_clear_pointer (&self->outcome, ms_outcome_unref);
  show_error (self, error);
  g_signal_emit (self, outcome_signal, 0);
}

void
ms_analysis_pane_run (MsAnalysisPane *self, MsRequest *request, guint delay)
{
  ms_work_drop (&self->job);
  ms_request_free (self->request);
  self->request = ms_request_copy (request);
  self->paused = FALSE;
  for (guint i = 0; i < self->views->len; i++)
    ms_figure_view_set_stale (g_ptr_array_index (self->views, i), TRUE);
  if (self->outcome == NULL)
    gtk_stack_set_visible_child_name (self->stack, "waiting");
  self->job
      = ms_workbench_analyze (self->bench, request, delay, on_outcome, on_partial, G_OBJECT (self));
  if (self->job != NULL)
    {
      gtk_progress_bar_set_fraction (self->progress, 0);
      gtk_widget_set_visible (GTK_WIDGET (self->progress), TRUE);
      g_signal_connect_object (self->job, "notify::fraction", G_CALLBACK (on_progress), self,
                               G_CONNECT_SWAPPED);
    }
}

void
ms_analysis_pane_set_plots (MsAnalysisPane *self, const char *plots)
{
  g_clear_pointer (&self->plots, g_strfreev);
  self->plots = plots ? g_strsplit (plots, " ", -1) : NULL;
  if (self->outcome != NULL)
    show_figures (self);
}

const char *
ms_analysis_pane_get_summary (MsAnalysisPane *self)
{
  return gtk_label_get_text (self->summary);
}

void
ms_analysis_pane_set_summary (MsAnalysisPane *self, const char *text)
{
  gtk_label_set_text (self->summary, text);
  gtk_widget_set_visible (GTK_WIDGET (self->summary), *text != '\0');
}

MsOutcome *
ms_analysis_pane_get_outcome (MsAnalysisPane *self)
{
  return self->outcome;
}

gboolean
ms_analysis_pane_is_busy (MsAnalysisPane *self)
{
  return self->job != NULL;
}

MsFigureView *
ms_analysis_pane_get_figure (MsAnalysisPane *self, guint n)
{
  return n < self->views->len ? g_ptr_array_index (self->views, n) : NULL;
}

/* What nobody sees does not compete with what is seen. */
static void
unmap (GtkWidget *widget)
{
  MsAnalysisPane *self = MS_ANALYSIS_PANE (widget);

  self->paused = self->job != NULL;
  ms_work_drop (&self->job);
  GTK_WIDGET_CLASS (ms_analysis_pane_parent_class)->unmap (widget);
}

/* The screen may ask for something else right away, hence the delay. */
static void
map (GtkWidget *widget)
{
  MsAnalysisPane *self = MS_ANALYSIS_PANE (widget);

  GTK_WIDGET_CLASS (ms_analysis_pane_parent_class)->map (widget);
  if (self->paused)
    ms_analysis_pane_run (self, ms_request_copy (self->request), 80);
}

static void
dispose (GObject *object)
{
  MsAnalysisPane *self = MS_ANALYSIS_PANE (object);

  ms_work_drop (&self->job);
  g_clear_pointer (&self->request, ms_request_free);
  g_clear_pointer (&self->outcome, ms_outcome_unref);
  g_clear_pointer (&self->plots, g_strfreev);
  g_clear_pointer (&self->views, g_ptr_array_unref);
  g_clear_object (&self->bench);
  G_OBJECT_CLASS (ms_analysis_pane_parent_class)->dispose (object);
}

static void
ms_analysis_pane_class_init (MsAnalysisPaneClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  GTK_WIDGET_CLASS (class)->map = map;
  GTK_WIDGET_CLASS (class)->unmap = unmap;
  outcome_signal = g_signal_new ("outcome", MS_TYPE_ANALYSIS_PANE, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
}

static void
ms_analysis_pane_init (MsAnalysisPane *self)
{
  GtkWidget *outer = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *content = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);
  GtkWidget *spinner = gtk_spinner_new ();
  GtkWidget *waiting = ms_status_page_new (spinner);

  self->views = g_ptr_array_new ();
  self->progress = GTK_PROGRESS_BAR (gtk_progress_bar_new ());
  gtk_widget_add_css_class (GTK_WIDGET (self->progress), "osd");
  gtk_widget_set_visible (GTK_WIDGET (self->progress), FALSE);
  self->summary = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_wrap (self->summary, TRUE);
  gtk_label_set_xalign (self->summary, 0);
  gtk_label_set_selectable (self->summary, TRUE);
  self->figures = MS_COLUMNS (ms_columns_new ());
  gtk_widget_set_vexpand (GTK_WIDGET (self->figures), TRUE);
  gtk_box_append (GTK_BOX (content), GTK_WIDGET (self->summary));
  gtk_box_append (GTK_BOX (content), GTK_WIDGET (self->figures));
  gtk_spinner_start (GTK_SPINNER (spinner));
  gtk_widget_set_size_request (spinner, 32, 32);
  adw_status_page_set_title (ADW_STATUS_PAGE (waiting), _ ("Computing…"));
  self->button = GTK_BUTTON (gtk_button_new ());
  gtk_button_set_use_underline (self->button, TRUE);
  gtk_widget_set_halign (GTK_WIDGET (self->button), GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (GTK_WIDGET (self->button), "pill");
  self->status = ADW_STATUS_PAGE (ms_status_page_new (GTK_WIDGET (self->button)));
  self->stack = GTK_STACK (gtk_stack_new ());
  gtk_stack_set_vhomogeneous (self->stack, FALSE);
  gtk_stack_add_named (self->stack, waiting, "waiting");
  gtk_stack_add_named (self->stack, content, "content");
  gtk_stack_add_named (self->stack, GTK_WIDGET (self->status), "status");
  gtk_widget_set_vexpand (GTK_WIDGET (self->stack), TRUE);
  gtk_box_append (GTK_BOX (outer), GTK_WIDGET (self->progress));
  gtk_box_append (GTK_BOX (outer), GTK_WIDGET (self->stack));
  adw_bin_set_child (ADW_BIN (self), outer);
}

static void
add_tables (MsAnalysisPane *self)
{
  self->table_box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  self->table_choice = GTK_DROP_DOWN (gtk_drop_down_new (NULL, NULL));
  self->table = MS_TABLE_VIEW (ms_table_view_new ());
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->table_choice),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL, _ ("Table"), -1);
  gtk_widget_set_halign (GTK_WIDGET (self->table_choice), GTK_ALIGN_START);
  gtk_widget_set_size_request (GTK_WIDGET (self->table), -1, 320);
  g_signal_connect_swapped (self->table_choice, "notify::selected", G_CALLBACK (on_table_chosen),
                            self);
  gtk_box_append (GTK_BOX (self->table_box), GTK_WIDGET (self->table_choice));
  gtk_box_append (GTK_BOX (self->table_box), GTK_WIDGET (self->table));
  gtk_box_append (GTK_BOX (gtk_stack_get_child_by_name (self->stack, "content")), self->table_box);
}

GtkWidget *
ms_analysis_pane_new (MsWorkbench *bench, const char *plots, gboolean tables)
{
  MsAnalysisPane *self = g_object_new (MS_TYPE_ANALYSIS_PANE, NULL);

  self->bench = g_object_ref (bench);
  ms_analysis_pane_set_plots (self, plots);
  if (tables)
    add_tables (self);
  return GTK_WIDGET (self);
}
