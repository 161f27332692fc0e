/* MsExpertsScreen: the map above, what the brushed experts read below.  The map follows run, baseline and
 * filter; a brush on it changes only the panel below. */
#include "experts-screen-private.h"

#include "analysis-pane-private.h"
#include "pieces-private.h"

#include <string.h>

/* What the map can be coloured by: plots of the analysis "experts". */
static const struct
{
  const char *title, *plot;
  const char *missing; /* why all of it may be undefined */
} colours[] = {
  { N_ ("Load"), "load", NULL },
  { N_ ("Router Entropy"), "entropy", N_ ("This run was recorded without the router's entropy.") },
  { N_ ("Specialisation"), "specialisation", N_ ("The documents have no such label.") },
  { N_ ("Change Against Baseline"), "change",
    N_ ("Pin another run of the same model as baseline to see what changed.") },
  { N_ ("Margin"), "margin", N_ ("This run was recorded without margins.") },
};

/* How experts stand in a row: what is behind the plot's name. */
static const char *const order_names[]
    = { N_ ("By Number"), N_ ("By Load"), N_ ("By Similarity"), NULL };
static const char *const order_suffixes[] = { "", "-ranked", "-similar" };
#define BY_SIMILARITY 2

static const char *const label_names[]
    = { N_ ("Automatic"), N_ ("Languages"), N_ ("Domains"), N_ ("Phases"), N_ ("Documents"), NULL };
static const char *const label_keys[] = { "auto", "language", "domain", "phase", "document" };

struct _MsExpertsScreen
{
  MsScreen parent_instance;
  MsFigureView *map;
  GtkDropDown *colour, *label, *order;
  GtkLabel *summary;
  GtkStack *readers_stack;
  MsAnalysisPane *readers;
  MsFigureView *tree; /* how alike the experts of the brushed layer are */
  MsWork *job, *tree_job;
};

G_DEFINE_FINAL_TYPE (MsExpertsScreen, ms_experts_screen, MS_TYPE_SCREEN)

/* What stands above the map: the number at the head of the overview that its colour is about, or what the
 * analysis says. */
static char *
tell (const char *colour, const MsResult *result)
{
  for (const MsHeadlineDef *def = ms_headlines (); def->name != NULL; def++)
    if (strcmp (def->name, colour) == 0 && strcmp (def->analysis, result->analysis->name) == 0)
      {
        g_autoptr (MsHeadline) headline = ms_headline_new (def, result);

        if (headline->number == NULL)
          break;
        return g_strdup_printf ("%s: %s%s%s. %s", _ (def->title), headline->number,
                                headline->unit != NULL ? " " : "",
                                headline->unit != NULL ? _ (headline->unit) : "", headline->text);
      }
  return g_strdup (result->summary != NULL ? result->summary : "");
}

/* Shows the map of all tokens or of part of them. */
static void
on_partial (GObject *owner, gpointer result)
{
  MsExpertsScreen *self = MS_EXPERTS_SCREEN (owner);
  g_autoptr (MsOutcome) outcome = result;
  guint colour = gtk_drop_down_get_selected (self->colour);
  g_autofree char *name = NULL;
  const MsPlotDef *plot;

  name = g_strconcat (colours[colour].plot,
                      order_suffixes[gtk_drop_down_get_selected (self->order)], NULL);
  plot = ms_analysis_plot (outcome->request->analysis, name);
  ms_figure_view_show (self->map, outcome, plot, NULL);
  if (!ms_plot_has_data (plot, ms_result_table (outcome->result, plot->table)))
    gtk_label_set_text (self->summary, _ (colours[colour].missing));
  else
    {
      g_autofree char *text = tell (colours[colour].plot, outcome->result);

      gtk_label_set_text (self->summary, text);
    }
  ms_screen_show_content (MS_SCREEN (self));
}

static void
on_outcome (GObject *owner, gpointer result, const GError *error)
{
  MsExpertsScreen *self = MS_EXPERTS_SCREEN (owner);

  g_clear_object (&self->job);
  if (result != NULL)
    on_partial (owner, result);
  else
    ms_screen_show_error (MS_SCREEN (self), error);
}

static void
on_tree (GObject *owner, gpointer result, const GError *error)
{
  MsExpertsScreen *self = MS_EXPERTS_SCREEN (owner);
  g_autoptr (MsOutcome) outcome = result;

  g_clear_object (&self->tree_job);
  if (outcome != NULL)
    ms_figure_view_show (self->tree, outcome,
                         ms_analysis_plot (outcome->request->analysis, "similarity"), NULL);
}

static char *
format_ranges (const GArray *ranges)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; ranges != NULL && i < ranges->len; i++)
    {
      const MsRange *range = &g_array_index (ranges, MsRange, i);

      g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i > 0 ? "," : "", range->first);
      if (range->last > range->first)
        g_string_append_printf (text, "..%" G_GINT64_FORMAT, range->last);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* What the brushed experts read, in the brushed layers of the filtered documents. */
static void
update_readers (MsExpertsScreen *self)
{
  MsSession *session = ms_screen_get_session (MS_SCREEN (self));
  const MsSelection *selection = ms_session_get_selection (session);
  g_autoptr (MsSelection) part = NULL;
  g_autofree char *experts = NULL;
  MsRequest *request;

  if (!ms_session_has_brush (session))
    {
      gtk_stack_set_visible_child_name (self->readers_stack, "hint");
      return;
    }
  part = ms_selection_copy (selection);
  part->run = part->base = 0;
  g_clear_pointer (&part->experts, g_array_unref);
  experts = format_ranges (selection->experts);
  request = ms_request_new (ms_known_analysis ("readers"));
  request->run = selection->run;
  request->selection = g_steal_pointer (&part);
  ms_request_set (request, "experts", experts);
  request->sampling.resamples = 200;
  ms_analysis_pane_run (self->readers, request, 80);
  gtk_stack_set_visible_child_name (self->readers_stack, "readers");
}

static gboolean
is_by_similarity (MsExpertsScreen *self)
{
  return gtk_drop_down_get_selected (self->order) == BY_SIMILARITY;
}

static MsRequest *
make_request (MsExpertsScreen *self)
{
  MsSession *session = ms_screen_get_session (MS_SCREEN (self));
  MsRequest *request = ms_request_new (ms_known_analysis ("experts"));

  request->run = ms_session_get_selection (session)->run;
  request->selection = ms_session_copy_filter (session);
  ms_request_set (request, "label", label_keys[gtk_drop_down_get_selected (self->label)]);
  if (is_by_similarity (self))
    ms_request_set (request, "similar", "true");
  return request;
}

/* The tree of one layer, the first brushed or the first of all: each has its own. */
static void
update_tree (MsExpertsScreen *self)
{
  MsWorkbench *bench = ms_screen_get_bench (MS_SCREEN (self));
  const MsModel *model = ms_run_item_model (ms_workbench_get_run (bench));
  const GArray *layers
      = ms_session_get_selection (ms_screen_get_session (MS_SCREEN (self)))->layers;
  MsRequest *request;
  MsRange layer;

  ms_work_drop (&self->tree_job);
  gtk_widget_set_visible (GTK_WIDGET (self->tree), is_by_similarity (self) && model->n_layers > 0);
  if (!gtk_widget_get_visible (GTK_WIDGET (self->tree)))
    return;
  request = make_request (self);
  layer.first = layer.last = layers != NULL && layers->len > 0
                                 ? g_array_index (layers, MsRange, 0).first
                                 : model->layers[0].number;
  request->selection->layers = g_array_new (FALSE, FALSE, sizeof (MsRange));
  g_array_append_val (request->selection->layers, layer);
  ms_figure_view_set_stale (self->tree, TRUE);
  self->tree_job = ms_workbench_analyze (bench, request, 0, on_tree, NULL, G_OBJECT (self));
}

static void
update (MsScreen *screen)
{
  MsExpertsScreen *self = MS_EXPERTS_SCREEN (screen);
  MsWorkbench *bench = ms_screen_get_bench (screen);
  MsRunItem *base = ms_workbench_get_base (bench);
  MsRequest *request = make_request (self);

  request->other = base != NULL ? ms_run_item_run (base)->id : 0;
  ms_work_drop (&self->job);
  if (ms_figure_view_get_outcome (self->map) == NULL)
    ms_screen_show_waiting (screen, _ ("Counting…"));
  else
    ms_figure_view_set_stale (self->map, TRUE);
  self->job = ms_workbench_analyze (bench, request, 0, on_outcome, on_partial, G_OBJECT (self));
  update_tree (self);
  update_readers (self);
}

static gboolean
leave (MsScreen *screen)
{
  MsExpertsScreen *self = MS_EXPERTS_SCREEN (screen);
  gboolean busy = self->job != NULL || self->tree_job != NULL;

  ms_work_drop (&self->job);
  ms_work_drop (&self->tree_job);
  return busy;
}

static void
dispose (GObject *object)
{
  leave (MS_SCREEN (object));
  G_OBJECT_CLASS (ms_experts_screen_parent_class)->dispose (object);
}

static void
ms_experts_screen_class_init (MsExpertsScreenClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  MS_SCREEN_CLASS (class)->update = update;
  MS_SCREEN_CLASS (class)->leave = leave;
}

static void
ms_experts_screen_init (MsExpertsScreen *self)
{
}

static GtkDropDown *
drop_down (MsExpertsScreen *self, const char *const *names, guint n, const char *name)
{
  GtkStringList *list = gtk_string_list_new (NULL);
  GtkWidget *widget;

  for (guint i = 0; i < n; i++)
    gtk_string_list_append (list, _ (names[i]));
  widget = gtk_drop_down_new (G_LIST_MODEL (list), NULL);
  ms_widget_name (widget, name);
  gtk_widget_set_tooltip_text (widget, name);
  return GTK_DROP_DOWN (widget);
}

static GtkWidget *
make_controls (MsExpertsScreen *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  const char *names[G_N_ELEMENTS (colours)];

  for (guint i = 0; i < G_N_ELEMENTS (colours); i++)
    names[i] = colours[i].title;
  self->colour = drop_down (self, names, G_N_ELEMENTS (colours), _ ("Colour by"));
  self->label = drop_down (self, label_names, G_N_ELEMENTS (label_keys), _ ("Specialisation in"));
  self->order = drop_down (self, order_names, G_N_ELEMENTS (order_suffixes), _ ("Order experts"));
  g_signal_connect_swapped (self->colour, "notify::selected", G_CALLBACK (ms_screen_update_now),
                            self);
  g_signal_connect_swapped (self->label, "notify::selected", G_CALLBACK (ms_screen_update_now),
                            self);
  g_signal_connect_swapped (self->order, "notify::selected", G_CALLBACK (ms_screen_update_now),
                            self);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->colour));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->label));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->order));
  return box;
}

static GtkWidget *
make_readers (MsExpertsScreen *self, MsWorkbench *bench)
{
  GtkWidget *hint = ms_status_page_new (NULL);

  adw_status_page_set_title (ADW_STATUS_PAGE (hint), _ ("Brush Experts"));
  adw_status_page_set_description (
      ADW_STATUS_PAGE (hint),
      _ ("Drag over the map to see which languages, domains and tokens they read."));
  gtk_widget_add_css_class (hint, "compact");
  self->readers = MS_ANALYSIS_PANE (ms_analysis_pane_new (bench, NULL, FALSE));
  self->readers_stack = GTK_STACK (gtk_stack_new ());
  gtk_stack_set_vhomogeneous (self->readers_stack, FALSE);
  gtk_widget_set_vexpand (GTK_WIDGET (self->readers_stack), TRUE);
  gtk_stack_add_named (self->readers_stack, hint, "hint");
  gtk_stack_add_named (self->readers_stack, GTK_WIDGET (self->readers), "readers");
  return GTK_WIDGET (self->readers_stack);
}

GtkWidget *
ms_experts_screen_new (MsWorkbench *bench)
{
  MsExpertsScreen *self = g_object_new (MS_TYPE_EXPERTS_SCREEN, NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 9);

  ms_screen_set_bench (MS_SCREEN (self), bench);
  self->map = MS_FIGURE_VIEW (ms_figure_view_new (bench));
  self->tree = MS_FIGURE_VIEW (ms_figure_view_new (bench));
  gtk_widget_set_visible (GTK_WIDGET (self->tree), FALSE);
  /* Cells stay under the pointer: what is left over goes to what is below, whatever that is. */
  gtk_widget_set_vexpand (GTK_WIDGET (self->map), FALSE);
  gtk_widget_set_size_request (GTK_WIDGET (ms_figure_view_get_canvas (self->map)), -1, 320);
  self->summary = GTK_LABEL (ms_text_new (NULL, NULL));
  gtk_box_append (GTK_BOX (box), make_controls (self));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->summary));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->map));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->tree));
  gtk_box_append (GTK_BOX (box), make_readers (self, bench));
  ms_widget_set_margins (box, 12);
  ms_screen_set_content (MS_SCREEN (self), ms_scroller_new (box));
  return GTK_WIDGET (self);
}

MsFigureView *
ms_experts_screen_get_map (MsExpertsScreen *self)
{
  return self->map;
}

MsAnalysisPane *
ms_experts_screen_get_readers (MsExpertsScreen *self)
{
  return self->readers;
}

void
ms_experts_screen_set_colour (MsExpertsScreen *self, guint n)
{
  gtk_drop_down_set_selected (self->colour, n);
}

const char *
ms_experts_colour_name (guint n)
{
  return n < G_N_ELEMENTS (colours) ? colours[n].plot : NULL;
}

void
ms_experts_screen_colour_by (MsExpertsScreen *self, const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (colours); i++)
    if (strcmp (colours[i].plot, name) == 0)
      gtk_drop_down_set_selected (self->colour, i);
  gtk_drop_down_set_selected (self->label, 0); /* as the overview has it */
}

const char *
ms_experts_screen_get_summary (MsExpertsScreen *self)
{
  return gtk_label_get_text (self->summary);
}

void
ms_experts_screen_set_order (MsExpertsScreen *self, guint n)
{
  gtk_drop_down_set_selected (self->order, n);
}

MsFigureView *
ms_experts_screen_get_tree (MsExpertsScreen *self)
{
  return self->tree;
}

guint
ms_experts_screen_get_n_colours (MsExpertsScreen *self)
{
  return G_N_ELEMENTS (colours);
}
