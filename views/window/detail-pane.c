/* MsDetailPane shows the numbers of one cell from the load of the whole run, and the settings of the run
 * below.  The load is the cheapest analysis and is asked for once for each run and filter. */
#include "detail-pane-private.h"

#include "tab-list-private.h"

#include <math.h>

struct _MsDetailPane
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  MsWork *job;
  MsOutcome *load;
  char *shown; /* the run and the filter of the load */
  MsWork *other_job;
  gint64 other_run; /* another of those shown, pointed at last */
  MsOutcome *other; /* its load */
  guint file;       /* serial of what is shown */
  GtkLabel *place;
  GtkWidget *run; /* what is known of it */
  GtkListBox *numbers, *facts;
};

G_DEFINE_FINAL_TYPE (MsDetailPane, ms_detail_pane, ADW_TYPE_BIN)

static void
clear_list (GtkListBox *list)
{
  GtkListBoxRow *row;

  while ((row = gtk_list_box_get_row_at_index (list, 0)) != NULL)
    gtk_list_box_remove (list, GTK_WIDGET (row));
}

static void
add_fact (GtkListBox *list, const char *name, const char *value, const char *help)
{
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  g_autofree char *words = g_strdup_printf ("%s: %s", name, value);
  GtkWidget *title = gtk_label_new (name);
  GtkWidget *label = gtk_label_new (value);

  gtk_widget_add_css_class (title, "dim-label");
  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_label_set_yalign (GTK_LABEL (title), 0);
  gtk_label_set_wrap (GTK_LABEL (title), TRUE);
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_NONE);
  gtk_widget_set_hexpand (title, TRUE);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  gtk_label_set_xalign (GTK_LABEL (label), 1);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  /* Not letter by letter, however large the text is. */
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 20);
  gtk_widget_add_css_class (label, "numeric");
  gtk_widget_set_tooltip_text (row, help);
  gtk_widget_set_focusable (label, FALSE); /* the row has the keyboard and is read as a whole */
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, words,
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, help ? help : "", -1);
  gtk_box_append (GTK_BOX (box), title);
  gtk_box_append (GTK_BOX (box), label);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), FALSE);
  gtk_list_box_append (list, row);
}

/* The row of a cell in the load table, -1 when it is not there. */
static int
find_row (MsTable *table, int layer, int expert)
{
  const gint64 *layers = ms_table_ints (table, (guint) ms_table_find_column (table, "layer"));
  const gint64 *experts = ms_table_ints (table, (guint) ms_table_find_column (table, "expert"));

  for (guint row = 0; row < ms_table_n_rows (table); row++)
    if (layers[row] == layer && experts[row] == expert)
      return (int) row;
  return -1;
}

static void show_place (MsDetailPane *self);

static void
on_other (GObject *owner, gpointer result, const GError *error)
{
  MsDetailPane *self = MS_DETAIL_PANE (owner);

  g_clear_object (&self->other_job);
  g_clear_pointer (&self->other, ms_outcome_unref);
  self->other = result;
  if (result != NULL)
    show_place (self);
}

static void
ask_for_load (MsDetailPane *self, gint64 run, MsWork **job, MsWorkDone done)
{
  MsRequest *request = ms_request_new (ms_known_analysis ("load"));

  request->run = run;
  request->selection = ms_session_copy_filter (ms_workbench_get_session (self->bench));
  ms_work_drop (job);
  *job = ms_workbench_analyze (self->bench, request, 0, done, NULL, G_OBJECT (self));
}

/* The load of the run pointed at; NULL while it is computed. */
static MsOutcome *
find_load (MsDetailPane *self, gint64 run)
{
  MsRunItem *main = ms_workbench_get_run (self->bench);

  if (main == NULL || run == 0 || run == ms_run_item_run (main)->id)
    return self->load;
  if (self->other != NULL && self->other_run == run)
    return self->other;
  if (self->other_job != NULL && self->other_run == run)
    return NULL;
  self->other_run = run;
  g_clear_pointer (&self->other, ms_outcome_unref);
  ask_for_load (self, run, &self->other_job, on_other);
  return NULL;
}

/* In three digits, with the unit; the table beside the figure has all of them. */
static char *
format_fact (const MsTable *table, guint row, guint column)
{
  const MsColumn *info = ms_table_column (table, column);
  g_autofree char *value = NULL;
  char number[MS_NUMBER_SIZE];
  double real;

  if (ms_table_is_null (table, row, column))
    return g_strdup ("");
  if (info->type == MS_COLUMN_TEXT)
    return g_strdup (ms_table_get_text (table, row, column));
  real = ms_table_get_real (table, row, column);
  if (info->type == MS_COLUMN_INT || fabs (real) >= 1000)
    value = g_strdup (ms_number_grouped (number, llround (real)));
  else
    value = g_strdup_printf ("%.3g", real);
  return info->unit != NULL ? g_strdup_printf ("%s %s", value, _ (info->unit))
                            : g_steal_pointer (&value);
}

void
ms_detail_pane_forget (MsDetailPane *self)
{
  clear_list (self->numbers);
  gtk_label_set_text (self->place, _ ("Move over a figure, or use the arrow keys in it."));
}

static void
show_place (MsDetailPane *self)
{
  MsSession *session = ms_workbench_get_session (self->bench);
  const MsPlace *place = ms_session_get_hover (session);
  MsOutcome *load = place->layer >= 0 && place->expert >= 0 ? find_load (self, place->run) : NULL;
  MsTable *table = load ? ms_result_table (load->result, "experts") : NULL;
  int row = table ? find_row (table, place->layer, place->expert) : -1;
  MsRunItem *item = ms_workbench_find_run (self->bench, place->run);
  g_autofree char *text = NULL;

  if (row < 0)
    return; /* the last place stays readable while the pointer travels */
  text = g_strdup_printf (_ ("Layer %d, expert %d"), place->layer, place->expert);
  if (item != NULL && ms_session_get_selection (session)->with != NULL)
    {
      g_autofree char *label = ms_run_item_dup_label (item);
      g_autofree char *whose = g_strdup_printf ("%s\n%s", text, label);

      gtk_label_set_text (self->place, whose);
    }
  else
    gtk_label_set_text (self->place, text);
  clear_list (self->numbers);
  for (guint column = 0; column < ms_table_n_columns (table); column++)
    {
      const MsColumn *info = ms_table_column (table, column);
      g_autofree char *value = format_fact (table, (guint) row, column);

      if (*value != '\0' && !g_str_equal (info->name, "layer")
          && !g_str_equal (info->name, "expert") && !g_str_equal (info->name, "fair"))
        add_fact (self->numbers, _ (info->title), value, info->help);
    }
}

static void
on_load (GObject *owner, gpointer result, const GError *error)
{
  MsDetailPane *self = MS_DETAIL_PANE (owner);

  g_clear_object (&self->job);
  g_clear_pointer (&self->load, ms_outcome_unref);
  self->load = result;
}

static void
show_run (MsDetailPane *self)
{
  MsRunItem *item = ms_workbench_get_run (self->bench);
  MsSession *session = ms_workbench_get_session (self->bench);
  const MsModel *model;
  const MsRun *run;
  char number[MS_NUMBER_SIZE];
  g_autofree char *layers = NULL, *filter = NULL, *now = NULL;
  g_autofree char *router = NULL;

  if (item == NULL || self->file != ms_workbench_get_serial (self->bench))
    ms_detail_pane_forget (self);
  self->file = ms_workbench_get_serial (self->bench);
  gtk_widget_set_visible (self->run, item != NULL);
  if (item == NULL)
    return;
  model = ms_run_item_model (item);
  run = ms_run_item_run (item);
  filter = ms_session_dup_filter (session);
  now = g_strdup_printf ("%u %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s",
                         ms_workbench_get_serial (self->bench), run->id, run->n_tokens, filter);
  if (g_strcmp0 (now, self->shown) == 0)
    return; /* only the brush changed */
  g_free (self->shown);
  self->shown = g_steal_pointer (&now);
  ms_detail_pane_forget (self); /* its numbers are of the tokens before */
  clear_list (self->facts);
  ms_work_drop (&self->job);
  g_clear_pointer (&self->load, ms_outcome_unref);
  ms_work_drop (&self->other_job);
  g_clear_pointer (&self->other, ms_outcome_unref);
  add_fact (self->facts, _ ("Model"), model->name, NULL);
  add_fact (self->facts, _ ("Architecture"), model->architecture, NULL);
  if (model->n_layers > 0)
    {
      layers = g_strdup_printf (_ ("%u × %u, %u chosen"), model->n_layers,
                                model->layers[0].gate.n_experts, model->layers[0].gate.k);
      add_fact (self->facts, _ ("Layers × experts"), layers, NULL);
    }
  router = ms_model_describe_router (model);
  add_fact (self->facts, _ ("Router"), router, NULL);
  add_fact (self->facts, _ ("Corpus"), ms_run_item_corpus (item)->name, NULL);
  add_fact (self->facts, _ ("Tokens"), ms_number_grouped (number, run->n_tokens), NULL);
  add_fact (self->facts, _ ("Precision"), run->precision, NULL);
  add_fact (self->facts, _ ("Collected by"), run->collector, NULL);
  if (run->started != NULL)
    add_fact (self->facts, _ ("Started"), run->started, NULL);
  if (run->n_tokens > 0)
    ask_for_load (self, run->id, &self->job, on_load);
}

static void
dispose (GObject *object)
{
  MsDetailPane *self = MS_DETAIL_PANE (object);

  ms_work_drop (&self->job);
  ms_work_drop (&self->other_job);
  g_clear_pointer (&self->load, ms_outcome_unref);
  g_clear_pointer (&self->other, ms_outcome_unref);
  g_clear_pointer (&self->shown, g_free);
  g_clear_object (&self->bench);
  G_OBJECT_CLASS (ms_detail_pane_parent_class)->dispose (object);
}

static void
ms_detail_pane_class_init (MsDetailPaneClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
}

static GtkWidget *
section (const char *title, GtkListBox **rows)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *label = gtk_label_new (title);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_widget_add_css_class (label, "heading");
  *rows = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (*rows, GTK_SELECTION_NONE);
  gtk_widget_add_css_class (GTK_WIDGET (*rows), "facts");
  gtk_accessible_update_property (GTK_ACCESSIBLE (*rows), GTK_ACCESSIBLE_PROPERTY_LABEL, title, -1);
  gtk_box_append (GTK_BOX (box), label);
  gtk_box_append (GTK_BOX (box), ms_tab_list_new (GTK_WIDGET (*rows)));
  return box;
}

static void
ms_detail_pane_init (MsDetailPane *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 18);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *cell = section (_ ("Under the Pointer"), &self->numbers);

  self->run = section (_ ("This Run"), &self->facts);
  self->place = GTK_LABEL (gtk_label_new (_ ("Move over a figure, or use the arrow keys in it.")));
  gtk_label_set_xalign (self->place, 0);
  gtk_label_set_wrap (self->place, TRUE);
  gtk_box_insert_child_after (GTK_BOX (cell), GTK_WIDGET (self->place),
                              gtk_widget_get_first_child (cell));
  gtk_box_append (GTK_BOX (box), cell);
  gtk_box_append (GTK_BOX (box), self->run);
  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 12);
  gtk_widget_set_margin_top (box, 12);
  gtk_widget_set_margin_bottom (box, 12);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), box);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_widget_set_size_request (scroller, 260, -1);
  gtk_widget_set_hexpand (scroller, FALSE);
  gtk_widget_add_css_class (scroller, "background");
  adw_bin_set_child (ADW_BIN (self), scroller);
}

GtkWidget *
ms_detail_pane_new (MsWorkbench *bench)
{
  MsDetailPane *self = g_object_new (MS_TYPE_DETAIL_PANE, NULL);
  MsSession *session = ms_workbench_get_session (bench);

  self->bench = g_object_ref (bench);
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (show_run), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::text", G_CALLBACK (show_run), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::hover", G_CALLBACK (show_place), self,
                           G_CONNECT_SWAPPED);
  return GTK_WIDGET (self);
}

const char *
ms_detail_pane_get_text (MsDetailPane *self)
{
  return gtk_label_get_text (self->place);
}

char *
ms_detail_pane_dup_numbers (MsDetailPane *self)
{
  g_autoptr (GString) text = g_string_new (NULL);
  GtkListBoxRow *row;

  for (int i = 0; (row = gtk_list_box_get_row_at_index (self->numbers, i)) != NULL; i++)
    {
      GtkWidget *box = gtk_list_box_row_get_child (row);

      g_string_append_printf (text, "%s: %s\n",
                              gtk_label_get_text (GTK_LABEL (gtk_widget_get_first_child (box))),
                              gtk_label_get_text (GTK_LABEL (gtk_widget_get_last_child (box))));
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}
