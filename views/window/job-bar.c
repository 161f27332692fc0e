/* MsJobBar lists the jobs that last: one that ends within SHOW_AFTER_MS never flickers into view.  A
 * failed job stays, in red, until dismissed. */
#include "job-bar-private.h"

#include "pieces-private.h"

#define SHOW_AFTER_MS 400
#define MOST_ROWS     4

struct _MsJobBar
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  GtkBox *rows;
  GtkWidget *scroller; /* hidden while there is no row to see */
  GtkLabel *facts;
};

G_DEFINE_FINAL_TYPE (MsJobBar, ms_job_bar, ADW_TYPE_BIN)

typedef struct
{
  MsJobBar *bar_widget;
  MsWork *job;
  GtkWidget *row;
  GtkLabel *label;
  GtkProgressBar *bar;
  GtkButton *button, *copy;
  guint timer;
} Row;

static void
row_free (gpointer data)
{
  Row *row = data;

  g_clear_handle_id (&row->timer, g_source_remove);
  g_signal_handlers_disconnect_by_data (row->job, row);
  g_object_unref (row->job);
  g_free (row);
}

static void
show_rows (MsJobBar *self)
{
  gboolean any = FALSE;

  for (GtkWidget *row = gtk_widget_get_first_child (GTK_WIDGET (self->rows)); row != NULL;
       row = gtk_widget_get_next_sibling (row))
    any = any || gtk_widget_get_visible (row);
  gtk_widget_set_visible (self->scroller, any);
  gtk_widget_set_hexpand (GTK_WIDGET (self->facts), !any);
}

static void
update_row (Row *row)
{
  g_autofree char *message = ms_work_dup_message (row->job);
  double fraction = ms_work_get_fraction (row->job);
  double left = ms_work_get_seconds_left (row->job);
  gboolean failed = ms_work_get_state (row->job) == MS_WORK_FAILED;
  g_autoptr (GString) text = g_string_new (ms_work_get_title (row->job));

  if (message != NULL)
    g_string_append_printf (text, ": %s", message);
  else if (fraction >= 0)
    g_string_append_printf (text, " %.0f %%", 100 * fraction);
  if (left >= 1 && !failed)
    g_string_append_printf (text, _ (", %.0f s left"), left);
  gtk_label_set_text (row->label, text->str);
  gtk_widget_set_tooltip_text (GTK_WIDGET (row->label), text->str);
  gtk_widget_set_visible (GTK_WIDGET (row->bar), !failed);
  gtk_widget_set_visible (GTK_WIDGET (row->copy), failed);
  if (fraction >= 0)
    gtk_progress_bar_set_fraction (row->bar, fraction);
  else
    gtk_progress_bar_pulse (row->bar);
  if (failed)
    {
      gtk_widget_add_css_class (row->row, "error");
      gtk_widget_set_visible (row->row, TRUE);
      gtk_button_set_label (row->button, _ ("_Dismiss"));
      ms_widget_name (GTK_WIDGET (row->button), _ ("Dismiss"));
      show_rows (row->bar_widget);
    }
}

static gboolean
show_row (gpointer data)
{
  Row *row = data;

  row->timer = 0;
  update_row (row);
  gtk_widget_set_visible (row->row, TRUE);
  show_rows (row->bar_widget);
  return G_SOURCE_REMOVE;
}

static void
on_button (GtkButton *button, gpointer data)
{
  Row *row = data;

  if (ms_work_get_state (row->job) == MS_WORK_FAILED)
    {
      GListStore *jobs = g_object_get_data (G_OBJECT (button), "moescope-jobs");
      guint position;

      if (g_list_store_find (jobs, row->job, &position))
        g_list_store_remove (jobs, position);
    }
  else
    ms_work_stop (row->job);
}

static void
on_copy (GtkButton *button, gpointer data)
{
  Row *row = data;
  g_autofree char *message = ms_work_dup_message (row->job);

  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (button)), message ? message : "");
}

static void
add_row (MsJobBar *self, MsWork *job)
{
  Row *row = g_new0 (Row, 1);

  row->bar_widget = self;
  row->job = g_object_ref (job);
  row->row = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  row->label = GTK_LABEL (gtk_label_new (NULL));
  row->bar = GTK_PROGRESS_BAR (gtk_progress_bar_new ());
  row->button = GTK_BUTTON (gtk_button_new_with_mnemonic (_ ("_Stop")));
  row->copy = GTK_BUTTON (gtk_button_new_with_mnemonic (_ ("_Copy")));
  gtk_label_set_ellipsize (row->label, PANGO_ELLIPSIZE_END);
  gtk_label_set_xalign (row->label, 0);
  gtk_widget_set_hexpand (GTK_WIDGET (row->label), TRUE);
  gtk_widget_set_valign (GTK_WIDGET (row->bar), GTK_ALIGN_CENTER);
  gtk_widget_set_size_request (GTK_WIDGET (row->bar), 120, -1);
  ms_widget_name (GTK_WIDGET (row->button), _ ("Stop"));
  ms_widget_name (GTK_WIDGET (row->copy), _ ("Copy"));
  ms_widget_name (GTK_WIDGET (row->bar), ms_work_get_title (job));
  gtk_widget_add_css_class (GTK_WIDGET (row->button), "flat");
  gtk_widget_add_css_class (GTK_WIDGET (row->copy), "flat");
  g_object_set_data (G_OBJECT (row->button), "moescope-jobs", ms_workbench_get_jobs (self->bench));
  gtk_box_append (GTK_BOX (row->row), GTK_WIDGET (row->label));
  gtk_box_append (GTK_BOX (row->row), GTK_WIDGET (row->bar));
  gtk_box_append (GTK_BOX (row->row), GTK_WIDGET (row->copy));
  gtk_box_append (GTK_BOX (row->row), GTK_WIDGET (row->button));
  gtk_widget_set_visible (row->row, FALSE);
  g_object_set_data_full (G_OBJECT (row->row), "moescope-row", row, row_free);
  g_signal_connect (row->button, "clicked", G_CALLBACK (on_button), row);
  g_signal_connect (row->copy, "clicked", G_CALLBACK (on_copy), row);
  g_signal_connect_swapped (job, "notify", G_CALLBACK (update_row), row);
  row->timer = g_timeout_add (SHOW_AFTER_MS, show_row, row);
  gtk_box_append (self->rows, row->row);
  update_row (row);
}

static void
on_jobs_changed (MsJobBar *self, guint position, guint removed, guint added, GListModel *jobs)
{
  GtkWidget *child = gtk_widget_get_first_child (GTK_WIDGET (self->rows));

  for (guint i = 0; i < position && child != NULL; i++)
    child = gtk_widget_get_next_sibling (child);
  for (guint i = 0; i < removed && child != NULL; i++)
    {
      GtkWidget *next = gtk_widget_get_next_sibling (child);

      gtk_box_remove (self->rows, child);
      child = next;
    }
  /* Jobs are only ever added at the end. */
  for (guint i = 0; i < added; i++)
    {
      g_autoptr (MsWork) job = g_list_model_get_item (jobs, position + i);

      add_row (self, job);
    }
  show_rows (self);
}

static void
update_facts (MsJobBar *self)
{
  MsRunItem *run = ms_workbench_get_run (self->bench);
  g_autofree char *text = NULL;

  if (run != NULL)
    {
      g_autofree char *subtitle = ms_run_item_dup_subtitle (run);

      text = g_strdup_printf ("%s · %s", ms_run_item_model (run)->architecture, subtitle);
    }
  gtk_label_set_text (self->facts, text ? text : "");
}

static void
dispose (GObject *object)
{
  g_clear_object (&MS_JOB_BAR (object)->bench);
  G_OBJECT_CLASS (ms_job_bar_parent_class)->dispose (object);
}

static void
ms_job_bar_class_init (MsJobBarClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
}

static void
ms_job_bar_init (MsJobBar *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *scroller = gtk_scrolled_window_new ();

  self->scroller = scroller;
  gtk_widget_set_visible (scroller, FALSE);
  self->rows = GTK_BOX (gtk_box_new (GTK_ORIENTATION_VERTICAL, 0));
  self->facts = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_ellipsize (self->facts, PANGO_ELLIPSIZE_END);
  gtk_widget_set_hexpand (GTK_WIDGET (self->facts), TRUE);
  gtk_label_set_xalign (self->facts, 1);
  gtk_widget_add_css_class (GTK_WIDGET (self->facts), "dim-label");
  gtk_widget_add_css_class (GTK_WIDGET (self->facts), "caption");
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->rows));
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), MOST_ROWS * 36);
  gtk_widget_set_hexpand (scroller, TRUE);
  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 12);
  gtk_widget_set_margin_top (box, 3);
  gtk_widget_set_margin_bottom (box, 3);
  gtk_box_append (GTK_BOX (box), scroller);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->facts));
  adw_bin_set_child (ADW_BIN (self), box);
}

GtkWidget *
ms_job_bar_new (MsWorkbench *bench)
{
  MsJobBar *self = g_object_new (MS_TYPE_JOB_BAR, NULL);

  self->bench = g_object_ref (bench);
  g_signal_connect_object (ms_workbench_get_jobs (bench), "items-changed",
                           G_CALLBACK (on_jobs_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (update_facts), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text",
                           G_CALLBACK (update_facts), self, G_CONNECT_SWAPPED);
  return GTK_WIDGET (self);
}
