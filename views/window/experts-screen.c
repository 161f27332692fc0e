#include "experts-screen-private.h"

/* What the map can be coloured by. */
static const struct
{
  const char *title;
  const char *analysis, *plot;
  gboolean base; /* against the baseline run */
} colours[] = {
  { N_ ("Load"), "load", "map", FALSE },
};

struct _MsExpertsScreen
{
  MsScreen parent_instance;
  MsFigureView *map;
  GtkDropDown *colour;
  GtkLabel *summary;
  MsJob *job;
};

G_DEFINE_FINAL_TYPE (MsExpertsScreen, ms_experts_screen, MS_TYPE_SCREEN)

static void
on_outcome (GObject *owner, gpointer result, const GError *error)
{
  MsExpertsScreen *self = MS_EXPERTS_SCREEN (owner);
  g_autoptr (MsOutcome) outcome = result;
  const MsPlotDef *plot;

  g_clear_object (&self->job);
  if (outcome == NULL)
    {
      ms_screen_show_error (MS_SCREEN (self), error);
      return;
    }
  plot = outcome->request->analysis->plots;
  while (plot->name != NULL
         && !g_str_equal (plot->name, colours[gtk_drop_down_get_selected (self->colour)].plot))
    plot++;
  ms_figure_view_show (self->map, outcome, plot, NULL);
  gtk_label_set_text (self->summary, outcome->result->summary ? outcome->result->summary : "");
  ms_screen_show_content (MS_SCREEN (self));
}

static void
update (MsScreen *screen)
{
  MsExpertsScreen *self = MS_EXPERTS_SCREEN (screen);
  MsSession *session = ms_screen_get_session (screen);
  guint colour = gtk_drop_down_get_selected (self->colour);
  MsRequest *request = ms_request_new (ms_analysis_find (colours[colour].analysis));

  request->run = ms_session_get_selection (session)->run;
  request->select = ms_session_dup_filter (session);
  ms_job_drop (&self->job);
  if (ms_figure_view_get_outcome (self->map) == NULL)
    ms_screen_show_waiting (screen, _ ("Counting…"));
  ms_figure_view_set_stale (self->map, TRUE);
  self->job = ms_workbench_analyze (ms_screen_get_bench (screen), request, 0, on_outcome,
                                    G_OBJECT (self));
}

static void
dispose (GObject *object)
{
  ms_job_drop (&MS_EXPERTS_SCREEN (object)->job);
  G_OBJECT_CLASS (ms_experts_screen_parent_class)->dispose (object);
}

static void
ms_experts_screen_class_init (MsExpertsScreenClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  MS_SCREEN_CLASS (class)->update = update;
}

static void
ms_experts_screen_init (MsExpertsScreen *self)
{
}

GtkWidget *
ms_experts_screen_new (MsWorkbench *bench)
{
  MsExpertsScreen *self = g_object_new (MS_TYPE_EXPERTS_SCREEN, NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkStringList *names = gtk_string_list_new (NULL);

  ms_screen_set_bench (MS_SCREEN (self), bench);
  for (guint i = 0; i < G_N_ELEMENTS (colours); i++)
    gtk_string_list_append (names, _ (colours[i].title));
  self->colour = GTK_DROP_DOWN (gtk_drop_down_new (G_LIST_MODEL (names), NULL));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->colour), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Colour by"), -1);
  gtk_widget_set_halign (GTK_WIDGET (self->colour), GTK_ALIGN_START);
  g_signal_connect_swapped (self->colour, "notify::selected", G_CALLBACK (ms_screen_update_now),
                            self);
  self->map = MS_FIGURE_VIEW (ms_figure_view_new (bench));
  gtk_widget_set_vexpand (GTK_WIDGET (self->map), TRUE);
  self->summary = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_wrap (self->summary, TRUE);
  gtk_label_set_xalign (self->summary, 0);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->colour));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->summary));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->map));
  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 12);
  gtk_widget_set_margin_top (box, 12);
  gtk_widget_set_margin_bottom (box, 12);
  ms_screen_set_content (MS_SCREEN (self), box);
  return GTK_WIDGET (self);
}

MsFigureView *
ms_experts_screen_get_map (MsExpertsScreen *self)
{
  return self->map;
}

void
ms_experts_screen_set_colour (MsExpertsScreen *self, guint n)
{
  gtk_drop_down_set_selected (self->colour, n);
}

guint
ms_experts_screen_get_n_colours (MsExpertsScreen *self)
{
  return G_N_ELEMENTS (colours);
}
