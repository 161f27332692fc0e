/* MsOverviewScreen asks a handful of cheap analyses one after the other, so that the first card is there
 * at once on a large file, and collects their findings, the strongest first. */
#include "overview-screen-private.h"

#include "label-chips-private.h"
#include "pieces-private.h"
#include "tab-list-private.h"

#include <string.h>

#define MOST_FINDINGS  12
#define FIRST_FINDINGS 4 /* that stand there until more are asked for */
/* One question does not crowd out the others. */
#define MOST_OF_ONE 2

/* What the cards show; those that are not possible for the run are left out. */
const MsOverviewSource ms_overview_sources[] = {
  { "load", "map", "experts", NULL },
  { "experts", "specialisation", "experts", "load-ranked" },
  { "coverage", "curve", "placement", NULL },
  { "cache", "hit-rate", "cache", NULL },
  { "repetition", "overlap", "consistency", NULL },
  { "transitions", "dependence", "flow", NULL },
  { "domains", "distance", "languages", NULL },
  { "coactivation", "layers", "flow", NULL },
  { NULL, NULL, NULL, NULL },
};

#define N_CARDS (G_N_ELEMENTS (ms_overview_sources) - 1)

typedef struct
{
  MsOverviewScreen *screen;
  guint source;
  GtkWidget *button;
  GtkLabel *title, *summary;
  MsFigureCanvas *figure;
  MsOutcome *outcome;
} Card;

struct _MsOverviewScreen
{
  MsScreen parent_instance;
  MsHeadlineBox *headlines;
  GtkFlowBox *cards_box;
  GtkListBox *findings;
  GtkWidget *findings_box, *looking, *more;
  gboolean all_findings;
  Card cards[N_CARDS];
  guint next; /* card to ask for */
  MsWork *job;
  char *shown; /* run and filter of what is shown */
};

G_DEFINE_FINAL_TYPE (MsOverviewScreen, ms_overview_screen, MS_TYPE_SCREEN)

/* The plot of a card; NULL when there is none to see. */
static const MsPlotDef *
choose_plot (const Card *card)
{
  const char *const names[]
      = { ms_overview_sources[card->source].plot, ms_overview_sources[card->source].instead };

  for (guint i = 0; i < G_N_ELEMENTS (names) && names[i] != NULL; i++)
    {
      const MsPlotDef *plot = ms_analysis_plot (card->outcome->request->analysis, names[i]);

      if (plot == NULL)
        g_error ("%s has no plot “%s”", ms_overview_sources[card->source].analysis, names[i]);
      if (ms_plot_has_data (plot, ms_result_table (card->outcome->result, plot->table)))
        return plot;
    }
  return NULL;
}

static void
draw_card (Card *card)
{
  const MsPlotDef *plot;
  g_autoptr (MsFigure) figure = NULL;
  MsFigureOptions options
      = { .theme = ms_desktop_theme (), .title = "", .font_points = 7, .no_margins = TRUE };

  if (card->outcome == NULL)
    return;
  plot = choose_plot (card);
  if (plot != NULL)
    figure = ms_figure_new (ms_result_table (card->outcome->result, plot->table), plot, &options,
                            NULL);
  gtk_widget_set_visible (GTK_WIDGET (card->figure), figure != NULL);
  if (figure != NULL)
    ms_figure_canvas_set_figure (card->figure, g_steal_pointer (&figure),
                                 card->outcome->result->summary);
}

static void
on_style_changed (MsOverviewScreen *self)
{
  for (guint i = 0; i < N_CARDS; i++)
    draw_card (&self->cards[i]);
}

static int
compare_findings (gconstpointer a, gconstpointer b)
{
  const MsFinding *left = *(const MsFinding *const *) a, *right = *(const MsFinding *const *) b;

  return (left->strength < right->strength) - (left->strength > right->strength);
}

/* The n-th strongest finding of every analysis whose strengths are of one scale: standard errors, or times chance;
 * the strongest first. (transfer full) */
static GPtrArray *
list_nth (MsOverviewScreen *self, guint n, gboolean times)
{
  GPtrArray *all = g_ptr_array_new ();

  for (guint i = 0; i < N_CARDS; i++)
    {
      MsOutcome *outcome = self->cards[i].outcome;
      GArray *findings = outcome ? outcome->result->findings : NULL;
      g_autoptr (GPtrArray) own = g_ptr_array_new ();

      if (findings == NULL || outcome->request->analysis->times != times)
        continue;
      for (guint f = 0; f < findings->len; f++)
        g_ptr_array_add (own, &g_array_index (findings, MsFinding, f));
      g_ptr_array_sort (own, compare_findings);
      if (n < own->len)
        g_ptr_array_add (all, g_ptr_array_index (own, n));
    }
  g_ptr_array_sort (all, compare_findings);
  return all;
}

/* First the strongest of each analysis, then the second; how sure and how large something is are no one scale, so
 * they take turns. (transfer full) */
static GPtrArray *
choose_findings (MsOverviewScreen *self)
{
  GPtrArray *chosen = g_ptr_array_new ();

  for (guint n = 0; n < MOST_OF_ONE; n++)
    {
      g_autoptr (GPtrArray) sure = list_nth (self, n, FALSE), large = list_nth (self, n, TRUE);

      for (guint i = 0; i < MAX (sure->len, large->len); i++)
        {
          if (i < sure->len)
            g_ptr_array_add (chosen, g_ptr_array_index (sure, i));
          if (i < large->len)
            g_ptr_array_add (chosen, g_ptr_array_index (large, i));
        }
    }
  return chosen;
}

/* What stands out, once all analyses have told: nothing moves under the pointer. */
static void
list_findings (MsOverviewScreen *self)
{
  g_autoptr (GPtrArray) all = choose_findings (self);
  gboolean done = self->next >= N_CARDS;
  GtkWidget *row;

  while ((row = gtk_widget_get_first_child (GTK_WIDGET (self->findings))) != NULL)
    gtk_list_box_remove (self->findings, row);
  gtk_widget_set_visible (self->looking, !done);
  for (guint i = 0; done && i < MIN (all->len, self->all_findings ? MOST_FINDINGS : FIRST_FINDINGS);
       i++)
    {
      const MsFinding *finding = g_ptr_array_index (all, i);

      row = adw_action_row_new ();
      ms_row_set_texts (row, finding->text, finding->place);
      adw_action_row_set_title_lines (ADW_ACTION_ROW (row), 3);
      adw_action_row_add_suffix (ADW_ACTION_ROW (row), ms_icon_new ("go-next-symbolic"));
      gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), finding->place != NULL);
      g_object_set_data_full (G_OBJECT (row), "moescope-place", g_strdup (finding->place), g_free);
      gtk_list_box_append (self->findings, row);
    }
  gtk_widget_set_visible (GTK_WIDGET (self->findings), done && all->len > 0);
  gtk_widget_set_visible (self->findings_box, !done || all->len > 0);
  gtk_widget_set_visible (self->more, done && !self->all_findings && all->len > FIRST_FINDINGS);
}

static void
on_more (MsOverviewScreen *self)
{
  self->all_findings = TRUE;
  list_findings (self);
}

static void
fill_card (Card *card, MsOutcome *outcome)
{
  g_clear_pointer (&card->outcome, ms_outcome_unref);
  card->outcome = outcome;
  gtk_widget_set_visible (gtk_widget_get_parent (card->button), outcome != NULL);
  if (outcome == NULL)
    return;
  gtk_label_set_text (card->summary, outcome->result->summary ? outcome->result->summary : "");
  draw_card (card);
}

/* A card of part of the tokens; what stands out there may not stand. */
static void
on_partial (GObject *owner, gpointer result)
{
  MsOverviewScreen *self = MS_OVERVIEW_SCREEN (owner);

  ms_headline_box_show (self->headlines, result);
  fill_card (&self->cards[self->next], result);
  ms_screen_show_content (MS_SCREEN (self));
}

static void ask_next (MsOverviewScreen *self);

static void
on_outcome (GObject *owner, gpointer result, const GError *error)
{
  MsOverviewScreen *self = MS_OVERVIEW_SCREEN (owner);

  g_clear_object (&self->job);
  if (result != NULL)
    ms_headline_box_show (self->headlines, result);
  if (self->next == N_CARDS)
    {
      g_clear_pointer ((MsOutcome **) &result, ms_outcome_unref);
      self->next++;
      return;
    }
  if (result == NULL)
    ms_headline_box_fail (self->headlines, ms_overview_sources[self->next].analysis, error);
  fill_card (&self->cards[self->next], result);
  if (result == NULL && self->next == 0)
    {
      /* What stops the first card stops them all: no file, an empty selection, a stop. */
      ms_screen_show_error (MS_SCREEN (self), error);
      return;
    }
  ms_screen_show_content (MS_SCREEN (self));
  self->next++;
  if (self->next == N_CARDS)
    list_findings (self);
  ask_next (self);
}

static void
ask_next (MsOverviewScreen *self)
{
  MsSession *session = ms_screen_get_session (MS_SCREEN (self));
  MsRequest *request;
  MsWork *job;

  if (self->next > N_CARDS)
    return;
  request = ms_request_new (ms_known_analysis (ms_overview_sources[self->next % N_CARDS].analysis));
  /* At last the first again, whose headline is corrected by resampling, as it is told elsewhere. */
  if (self->next == N_CARDS)
    request->sampling = MS_SAMPLING_USUAL;
  request->run = ms_session_get_selection (session)->run;
  request->selection = ms_session_copy_filter (session);
  job = ms_workbench_analyze (ms_screen_get_bench (MS_SCREEN (self)), request, 0, on_outcome,
                              self->next < N_CARDS ? on_partial : NULL, G_OBJECT (self));
  /* A known result was given to on_outcome at once, which may have asked for more since. */
  if (job != NULL)
    self->job = job;
}

static void
update (MsScreen *screen)
{
  MsOverviewScreen *self = MS_OVERVIEW_SCREEN (screen);
  MsSession *session = ms_screen_get_session (screen);
  g_autofree char *filter = ms_session_dup_filter (session);
  MsRunItem *run = ms_workbench_get_run (ms_screen_get_bench (screen));
  g_autofree char *now
      = g_strdup_printf ("%u %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s",
                         ms_workbench_get_serial (ms_screen_get_bench (screen)),
                         ms_run_item_run (run)->id, ms_run_item_run (run)->n_tokens, filter);

  if (g_strcmp0 (now, self->shown) == 0)
    return; /* only the brush changed */
  g_free (self->shown);
  self->shown = g_steal_pointer (&now);
  ms_work_drop (&self->job);
  self->next = 0;
  self->all_findings = FALSE;
  list_findings (self);
  ms_headline_box_wait (self->headlines);
  if (self->cards[0].outcome == NULL)
    ms_screen_show_waiting (screen, _ ("Looking…"));
  ask_next (self);
}

static gboolean
leave (MsScreen *screen)
{
  MsOverviewScreen *self = MS_OVERVIEW_SCREEN (screen);
  gboolean busy = self->job != NULL;

  ms_work_drop (&self->job);
  if (busy)
    g_clear_pointer (&self->shown, g_free);
  return busy;
}

static void
on_card (GtkButton *button, gpointer data)
{
  Card *card = data;

  gtk_widget_activate_action (GTK_WIDGET (button), "win.screen", "s",
                              ms_overview_sources[card->source].screen);
}

static void
jump (MsOverviewScreen *self, GtkListBoxRow *row)
{
  const char *place = g_object_get_data (G_OBJECT (row), "moescope-place");

  if (place == NULL || !ms_session_jump (ms_screen_get_session (MS_SCREEN (self)), place, NULL))
    return;
  gtk_widget_activate_action (GTK_WIDGET (self), "win.screen", "s", "experts");
}

MsHeadlineBox *
ms_overview_screen_get_headlines (MsOverviewScreen *self)
{
  return self->headlines;
}

guint
ms_overview_screen_get_n_findings (MsOverviewScreen *self)
{
  guint n = 0;

  while (gtk_list_box_get_row_at_index (self->findings, (int) n) != NULL)
    n++;
  return n;
}

void
ms_overview_screen_jump (MsOverviewScreen *self, guint n)
{
  jump (self, gtk_list_box_get_row_at_index (self->findings, (int) n));
}

static void
dispose (GObject *object)
{
  MsOverviewScreen *self = MS_OVERVIEW_SCREEN (object);

  ms_work_drop (&self->job);
  for (guint i = 0; i < N_CARDS; i++)
    g_clear_pointer (&self->cards[i].outcome, ms_outcome_unref);
  g_clear_pointer (&self->shown, g_free);
  G_OBJECT_CLASS (ms_overview_screen_parent_class)->dispose (object);
}

static void
ms_overview_screen_class_init (MsOverviewScreenClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  MS_SCREEN_CLASS (class)->update = update;
  MS_SCREEN_CLASS (class)->leave = leave;
}

static void
make_card (MsOverviewScreen *self, guint i)
{
  const MsAnalysis *analysis = ms_known_analysis (ms_overview_sources[i].analysis);
  Card *card = &self->cards[i];
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);

  card->screen = self;
  card->source = i;
  card->title = GTK_LABEL (gtk_label_new (_ (analysis->title)));
  gtk_label_set_xalign (card->title, 0);
  gtk_widget_add_css_class (GTK_WIDGET (card->title), "heading");
  card->summary = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_xalign (card->summary, 0);
  gtk_label_set_yalign (card->summary, 0);
  gtk_label_set_wrap (card->summary, TRUE);
  gtk_label_set_lines (card->summary, 5);
  gtk_label_set_ellipsize (card->summary, PANGO_ELLIPSIZE_END);
  gtk_label_set_width_chars (card->summary, 30);
  gtk_label_set_max_width_chars (card->summary, 40);
  gtk_widget_add_css_class (GTK_WIDGET (card->summary), "caption");
  card->figure = MS_FIGURE_CANVAS (ms_figure_canvas_new ());
  ms_figure_canvas_set_thumbnail (card->figure, TRUE);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (card->title));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (card->figure));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (card->summary));
  ms_widget_set_margins (box, 6);
  card->button = gtk_button_new ();
  gtk_button_set_child (GTK_BUTTON (card->button), box);
  gtk_widget_add_css_class (card->button, "card");
  ms_widget_name (card->button, _ (analysis->title));
  g_signal_connect (card->button, "clicked", G_CALLBACK (on_card), card);
  gtk_flow_box_append (self->cards_box, card->button);
  gtk_widget_set_focusable (gtk_widget_get_parent (card->button), FALSE);
  gtk_widget_set_visible (gtk_widget_get_parent (card->button), FALSE);
}

static void
ms_overview_screen_init (MsOverviewScreen *self)
{
  GtkWidget *heading = gtk_label_new (_ ("What Stands Out"));

  self->cards_box = GTK_FLOW_BOX (gtk_flow_box_new ());
  ms_widget_name (GTK_WIDGET (self->cards_box), _ ("Overview"));
  gtk_flow_box_set_selection_mode (self->cards_box, GTK_SELECTION_NONE);
  gtk_flow_box_set_homogeneous (self->cards_box, TRUE);
  gtk_flow_box_set_min_children_per_line (self->cards_box, 1);
  gtk_flow_box_set_max_children_per_line (self->cards_box, 4);
  gtk_flow_box_set_row_spacing (self->cards_box, 12);
  gtk_flow_box_set_column_spacing (self->cards_box, 12);
  gtk_widget_set_valign (GTK_WIDGET (self->cards_box), GTK_ALIGN_START);
  for (guint i = 0; i < N_CARDS; i++)
    make_card (self, i);
  self->findings = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (self->findings, GTK_SELECTION_NONE);
  gtk_widget_add_css_class (GTK_WIDGET (self->findings), "boxed-list");
  ms_widget_name (GTK_WIDGET (self->findings), _ ("What Stands Out"));
  g_signal_connect_swapped (self->findings, "row-activated", G_CALLBACK (jump), self);
  self->findings_box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  gtk_label_set_xalign (GTK_LABEL (heading), 0);
  gtk_widget_add_css_class (heading, "heading");
  gtk_box_append (GTK_BOX (self->findings_box), heading);
  self->looking = ms_text_new (_ ("Looking at the analyses, one after the other…"), "dim-label");
  gtk_box_append (GTK_BOX (self->findings_box), self->looking);
  gtk_box_append (GTK_BOX (self->findings_box), ms_tab_list_new (GTK_WIDGET (self->findings)));
  self->more = gtk_button_new_with_mnemonic (_ ("Show _All"));
  ms_widget_name (self->more, _ ("Show _All"));
  gtk_widget_add_css_class (self->more, "flat");
  gtk_widget_set_halign (self->more, GTK_ALIGN_CENTER);
  g_signal_connect_swapped (self->more, "clicked", G_CALLBACK (on_more), self);
  gtk_box_append (GTK_BOX (self->findings_box), self->more);
  gtk_widget_set_visible (self->findings_box, FALSE);
  g_signal_connect_object (adw_style_manager_get_default (), "notify::dark",
                           G_CALLBACK (on_style_changed), self, G_CONNECT_SWAPPED);
}

/* A question and what answers it, one press away. */
static void
add_question (GtkGrid *grid, int row, const char *text, GtkWidget *answer)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_yalign (GTK_LABEL (label), 0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 26);
  gtk_label_set_width_chars (GTK_LABEL (label), 20);
  gtk_widget_set_margin_top (label, 3);
  gtk_widget_set_hexpand (answer, TRUE);
  if (g_object_class_find_property (G_OBJECT_GET_CLASS (answer), "any") != NULL)
    {
      g_object_bind_property (answer, "any", answer, "visible", G_BINDING_SYNC_CREATE);
      g_object_bind_property (answer, "any", label, "visible", G_BINDING_SYNC_CREATE);
    }
  gtk_grid_attach (grid, label, 0, row, 1, 1);
  gtk_grid_attach (grid, answer, 1, row, 1, 1);
}

static GtkWidget *
make_questions (MsWorkbench *bench)
{
  GtkWidget *grid = gtk_grid_new ();
  GtkWidget *target = gtk_button_new_with_label (_ ("90 % of hits"));

  gtk_grid_set_column_spacing (GTK_GRID (grid), 12);
  gtk_grid_set_row_spacing (GTK_GRID (grid), 6);
  gtk_widget_add_css_class (target, "crumb");
  gtk_widget_set_halign (target, GTK_ALIGN_START);
  ms_widget_name (target, _ ("Experts to keep for 90 % of hits"));
  gtk_actionable_set_detailed_action_name (GTK_ACTIONABLE (target), "win.cache::target");
  add_question (GTK_GRID (grid), 0, _ ("Which experts are specialised on"),
                ms_label_chips_new (bench, MS_CHIPS_GROUPS));
  add_question (GTK_GRID (grid), 1, _ ("How many experts to keep for"), target);
  add_question (GTK_GRID (grid), 2, _ ("How does this run differ from"),
                ms_label_chips_new (bench, MS_CHIPS_RUNS));
  return grid;
}

GtkWidget *
ms_overview_screen_new (MsWorkbench *bench)
{
  MsOverviewScreen *self = g_object_new (MS_TYPE_OVERVIEW_SCREEN, NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 18);

  ms_screen_set_bench (MS_SCREEN (self), bench);
  self->headlines = MS_HEADLINE_BOX (ms_headline_box_new (bench));
  gtk_box_append (GTK_BOX (box), ms_tab_list_new (GTK_WIDGET (self->headlines)));
  gtk_box_append (GTK_BOX (box), make_questions (bench));
  gtk_box_append (GTK_BOX (box), self->findings_box);
  gtk_box_append (GTK_BOX (box), ms_tab_list_new (GTK_WIDGET (self->cards_box)));
  ms_widget_set_margins (box, 12);
  ms_screen_set_content (MS_SCREEN (self), ms_scroller_new (box));
  return GTK_WIDGET (self);
}
