/* MsRunList: of each run its facts, whether figures show it and in which colour, and the baseline's pin. */
#include "run-list-private.h"

#include "figure-view-private.h"

#include <string.h>

/* Pixels in height: between these the list scrolls. */
#define LIST_LEAST 184
#define LIST_MOST  480
#define LIST_EDGE  8 /* around a row */

struct _MsRunList
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  GtkListBox *list;
  GtkScrolledWindow *scroller;
  guint revealing;    /* the selected row comes into view when all have their places */
  gboolean following; /* the session changed: do not write back */
};

G_DEFINE_FINAL_TYPE (MsRunList, ms_run_list, ADW_TYPE_BIN)

static void follow (MsRunList *self);

static gint64
row_run (GtkListBoxRow *row)
{
  return *(gint64 *) g_object_get_data (G_OBJECT (row), "moescope-run");
}

static void
on_pin_toggled (GtkToggleButton *pin, gpointer data)
{
  MsRunList *self = data;
  MsSession *session = ms_workbench_get_session (self->bench);
  GtkListBoxRow *row
      = GTK_LIST_BOX_ROW (gtk_widget_get_ancestor (GTK_WIDGET (pin), GTK_TYPE_LIST_BOX_ROW));

  if (self->following || row == NULL)
    return;
  if (gtk_toggle_button_get_active (pin))
    ms_session_set_base (session, row_run (row));
  else if (ms_session_get_selection (session)->base == row_run (row))
    ms_session_set_base (session, 0);
}

/* The list's row that a widget of it stands in. */
static gint64
run_of (GtkWidget *widget)
{
  GtkWidget *row = gtk_widget_get_ancestor (widget, GTK_TYPE_LIST_BOX_ROW);

  return row != NULL ? row_run (GTK_LIST_BOX_ROW (row)) : 0;
}

static void
on_eye_toggled (GtkToggleButton *eye, gpointer data)
{
  MsRunList *self = data;
  MsRunItem *main = ms_workbench_get_run (self->bench);
  gint64 run = run_of (GTK_WIDGET (eye));
  g_autoptr (GError) error = NULL;

  if (self->following || run == 0 || main == NULL)
    return;
  if (ms_session_show_run (ms_workbench_get_session (self->bench), ms_run_item_run (main)->id, run,
                           gtk_toggle_button_get_active (eye), &error))
    return;
  ms_workbench_toast (self->bench, _ ("A figure has colours for %d runs: hide another one first"),
                      MS_RUNS_MOST);
  follow (self);
}

/* --- Colours ---------------------------------------------------------------------------------- */

/* The colour of a run in figures of several, MS_RUNS_MOST = it is not in them. */
static guint
slot_of (MsRunList *self, gint64 run)
{
  MsRunItem *main = ms_workbench_get_run (self->bench);
  g_autofree gint64 *with = NULL;
  gint64 runs[MS_RUNS_MOST];
  guint slots[MS_RUNS_MOST], n;

  if (main == NULL
      || !ms_selection_list_with (ms_session_get_selection (ms_workbench_get_session (self->bench)),
                                  ms_run_item_run (main)->id, &with, &n, NULL)
      || n == 0)
    return MS_RUNS_MOST;
  memcpy (runs, with, n * sizeof *runs);
  runs[n++] = ms_run_item_run (main)->id;
  ms_run_slots (runs, n, slots);
  for (guint i = 0; i < n; i++)
    if (runs[i] == run)
      return slots[i];
  return MS_RUNS_MOST;
}

static void
draw_swatch (GtkDrawingArea *area, cairo_t *cr, int width, int height, gpointer data)
{
  guint slot = slot_of (data, run_of (GTK_WIDGET (area)));

  if (slot < MS_RUNS_MOST)
    ms_slot_draw (ms_desktop_theme (), slot, cr, width, height);
}

/* --- Rows ------------------------------------------------------------------------------------- */

static GtkWidget *
make_label (const char *text, gboolean small)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  if (small)
    {
      gtk_widget_add_css_class (label, "caption");
      gtk_widget_add_css_class (label, "dim-label");
    }
  return label;
}

static GtkWidget *
make_toggle (const char *icon, const char *name, const char *accessible, GCallback toggled,
             MsRunList *self)
{
  GtkWidget *toggle = gtk_toggle_button_new ();

  gtk_button_set_icon_name (GTK_BUTTON (toggle), icon);
  gtk_widget_set_tooltip_text (toggle, name);
  gtk_accessible_update_property (GTK_ACCESSIBLE (toggle), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  accessible, -1);
  gtk_widget_add_css_class (toggle, "flat");
  gtk_widget_add_css_class (toggle, "run");
  gtk_widget_set_valign (toggle, GTK_ALIGN_CENTER);
  g_signal_connect (toggle, "toggled", toggled, self);
  return toggle;
}

static GtkWidget *
make_swatch (MsRunList *self)
{
  GtkWidget *swatch = gtk_drawing_area_new ();

  gtk_drawing_area_set_content_width (GTK_DRAWING_AREA (swatch), 22);
  gtk_drawing_area_set_content_height (GTK_DRAWING_AREA (swatch), 14);
  gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (swatch), draw_swatch, self, NULL);
  gtk_widget_set_valign (swatch, GTK_ALIGN_CENTER);
  return swatch;
}

/* Two buttons and a swatch above two lines of facts: in a narrow pane a row of all would leave no room
 * for names. */
static GtkWidget *
make_row (gpointer item, gpointer data)
{
  MsRunList *self = data;
  const MsRun *run = ms_run_item_run (item);
  g_autofree char *title = ms_run_item_dup_label (item);
  g_autofree char *what = ms_run_item_dup_title (item);
  g_autofree char *facts = ms_run_item_dup_subtitle (item);
  g_autofree char *full
      = g_strdup_printf ("%" G_GINT64_FORMAT ": %s\n%s\n%s", run->id, run->name, what, facts);
  g_autofree char *description = g_strdup_printf ("%s, %s", what, facts);
  g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, run->id);
  g_autofree char *show = g_strdup_printf (_ ("Show run %s in figures"), number);
  g_autofree char *base = g_strdup_printf (_ ("Use run %s as baseline"), number);
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *head = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 3);
  GtkWidget *name = make_label (title, FALSE), *swatch = make_swatch (self);
  GtkWidget *eye = make_toggle ("view-reveal-symbolic", _ ("Show in Figures"), show,
                                G_CALLBACK (on_eye_toggled), self);
  GtkWidget *pin = make_toggle ("view-pin-symbolic", _ ("Use as Baseline"), base,
                                G_CALLBACK (on_pin_toggled), self);
  gint64 *id = g_new (gint64, 1);

  *id = run->id;
  gtk_widget_set_hexpand (name, TRUE);
  gtk_box_append (GTK_BOX (head), name);
  gtk_box_append (GTK_BOX (head), swatch);
  gtk_box_append (GTK_BOX (head), eye);
  gtk_box_append (GTK_BOX (head), pin);
  gtk_box_append (GTK_BOX (box), head);
  gtk_box_append (GTK_BOX (box), make_label (what, TRUE));
  gtk_box_append (GTK_BOX (box), make_label (facts, TRUE));
  if (ms_run_item_get_progress (item) < 1)
    {
      GtkWidget *bar = gtk_progress_bar_new ();

      gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (bar), ms_run_item_get_progress (item));
      gtk_box_append (GTK_BOX (box), bar);
    }
  gtk_widget_set_tooltip_text (row, full);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, title,
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, description, -1);
  g_object_set_data_full (G_OBJECT (row), "moescope-run", id, g_free);
  g_object_set_data (G_OBJECT (row), "moescope-pin", pin);
  g_object_set_data (G_OBJECT (row), "moescope-eye", eye);
  g_object_set_data (G_OBJECT (row), "moescope-swatch", swatch);
  return row;
}

/* The main run is in every figure, so its eye cannot be closed; a run without tokens has nothing to show. */
static void
follow_eye (MsRunList *self, GtkListBoxRow *row, gint64 main)
{
  MsSession *session = ms_workbench_get_session (self->bench);
  MsRunItem *item = ms_workbench_find_run (self->bench, row_run (row));
  GtkWidget *eye = g_object_get_data (G_OBJECT (row), "moescope-eye");
  gboolean is_main = row_run (row) == main;
  gboolean shown = is_main || ms_session_shows_run (session, row_run (row));

  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (eye), shown);
  gtk_button_set_icon_name (GTK_BUTTON (eye),
                            shown ? "view-reveal-symbolic" : "view-conceal-symbolic");
  gtk_widget_set_sensitive (
      eye, !is_main && (shown || (item != NULL && ms_run_item_run (item)->n_tokens > 0)));
  gtk_widget_set_tooltip_text (eye, is_main ? _ ("The Selected Run Is Always Shown")
                                    : shown ? _ ("Hide in Figures")
                                            : _ ("Show in Figures"));
  gtk_widget_queue_draw (g_object_get_data (G_OBJECT (row), "moescope-swatch"));
}

static gboolean
reveal_selected (gpointer data)
{
  MsRunList *self = data;
  GtkListBoxRow *row = gtk_list_box_get_selected_row (self->list);
  graphene_rect_t place;

  self->revealing = 0;
  if (row != NULL && gtk_widget_compute_bounds (GTK_WIDGET (row), GTK_WIDGET (self->list), &place))
    gtk_adjustment_clamp_page (gtk_scrolled_window_get_vadjustment (self->scroller),
                               (double) place.origin.y - LIST_EDGE,
                               (double) place.origin.y + place.size.height + LIST_EDGE);
  return G_SOURCE_REMOVE;
}

static void
reveal_later (MsRunList *self)
{
  if (self->revealing == 0)
    self->revealing = g_idle_add_full (G_PRIORITY_LOW, reveal_selected, self, NULL);
}

/* Shows the session's runs and baseline in the list. */
static void
follow (MsRunList *self)
{
  const MsSelection *selection = ms_session_get_selection (ms_workbench_get_session (self->bench));
  MsRunItem *run = ms_workbench_get_run (self->bench);
  gint64 id = run ? ms_run_item_run (run)->id : -1;
  GtkListBoxRow *row;
  int height;

  self->following = TRUE;
  for (int i = 0; (row = gtk_list_box_get_row_at_index (self->list, i)) != NULL; i++)
    {
      gtk_toggle_button_set_active (g_object_get_data (G_OBJECT (row), "moescope-pin"),
                                    selection->base == row_run (row));
      follow_eye (self, row, id);
      if (row_run (row) == id && gtk_list_box_get_selected_row (self->list) != row)
        {
          gtk_list_box_select_row (self->list, row);
          reveal_later (self);
        }
    }
  self->following = FALSE;
  gtk_widget_measure (GTK_WIDGET (self->list), GTK_ORIENTATION_VERTICAL, -1, NULL, &height, NULL,
                      NULL);
  gtk_scrolled_window_set_min_content_height (self->scroller, MIN (height, LIST_LEAST));
}

static void
on_row_activated (MsRunList *self, GtkListBoxRow *row)
{
  ms_session_set_run (ms_workbench_get_session (self->bench), row_run (row));
}

static void
dispose (GObject *object)
{
  g_clear_handle_id (&MS_RUN_LIST (object)->revealing, g_source_remove);
  g_clear_object (&MS_RUN_LIST (object)->bench);
  G_OBJECT_CLASS (ms_run_list_parent_class)->dispose (object);
}

static void
ms_run_list_class_init (MsRunListClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
}

static void
ms_run_list_init (MsRunList *self)
{
  GtkWidget *nothing = gtk_label_new (_ ("No runs"));

  gtk_widget_add_css_class (nothing, "dim-label");
  gtk_widget_set_margin_top (nothing, 12);
  gtk_widget_set_margin_bottom (nothing, 12);
  self->list = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_widget_add_css_class (GTK_WIDGET (self->list), "navigation-sidebar");
  gtk_list_box_set_placeholder (self->list, nothing);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->list), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Runs"), -1);
  g_signal_connect_swapped (self->list, "row-activated", G_CALLBACK (on_row_activated), self);
  self->scroller = GTK_SCROLLED_WINDOW (gtk_scrolled_window_new ());
  /* The list takes the room that the screens below leave it. */
  gtk_scrolled_window_set_policy (self->scroller, GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (self->scroller, TRUE);
  gtk_scrolled_window_set_max_content_height (self->scroller, LIST_MOST);
  gtk_scrolled_window_set_child (self->scroller, GTK_WIDGET (self->list));
  g_signal_connect_object (gtk_scrolled_window_get_vadjustment (self->scroller), "changed",
                           G_CALLBACK (reveal_later), self, G_CONNECT_SWAPPED);
  adw_bin_set_child (ADW_BIN (self), GTK_WIDGET (self->scroller));
}

GtkWidget *
ms_run_list_new (MsWorkbench *bench)
{
  static const char *const looks[] = { "notify::dark", "notify::high-contrast" };
  MsRunList *self = g_object_new (MS_TYPE_RUN_LIST, NULL);

  self->bench = g_object_ref (bench);
  gtk_list_box_bind_model (self->list, ms_workbench_get_runs (bench), make_row, self, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (looks); i++)
    g_signal_connect_object (adw_style_manager_get_default (), looks[i], G_CALLBACK (follow), self,
                             G_CONNECT_SWAPPED);
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (follow), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text", G_CALLBACK (follow),
                           self, G_CONNECT_SWAPPED);
  return GTK_WIDGET (self);
}
