/* A report is what `moescope report` writes about the run and selection of now, against the baseline.
 * Its own sections are kept for each file as the words that --add takes, named by themselves. */
#include "report-private.h"

#include "kept-private.h"
#include "pieces-private.h"
#include "process-private.h"

#define KIND "report"

struct _MsReportDialog
{
  AdwWindow parent_instance;
  MsWorkbench *bench;
  GtkListBox *sections;
  GtkSwitch *whole;
  GtkLabel *command;
  GtkWidget *write;
};

G_DEFINE_FINAL_TYPE (MsReportDialog, ms_report_dialog, ADW_TYPE_WINDOW)

/* --- The program ------------------------------------------------------------------------------ */

static void
on_written (GObject *owner, gpointer result, const GError *error)
{
  g_autofree char *path = result;

  if (path == NULL)
    return; /* the job list tells why */
  ms_workbench_toast (MS_WORKBENCH (owner), _ ("Report written: %s"), path);
  ms_process_notify (_ ("The report is ready"), path);
}

static void
add_words (GPtrArray *argv, const char *option, const char *value)
{
  g_ptr_array_add (argv, g_strdup (option));
  g_ptr_array_add (argv, g_strdup (value));
}

/* All words but the program's. */
static GStrv
make_words (MsWorkbench *bench, const char *output, gboolean whole)
{
  g_autoptr (MsSelection) part
      = ms_selection_copy (ms_session_get_selection (ms_workbench_get_session (bench)));
  g_autofree char *select = NULL;
  MsRunItem *run = ms_workbench_get_run (bench), *base = ms_workbench_get_base (bench);
  const char *path = ms_workbench_get_path (bench);
  g_auto (GStrv) sections = ms_kept_list (KIND, path);
  GPtrArray *words = g_ptr_array_new ();
  char number[32];

  part->run = part->base = 0;
  select = ms_selection_format (part);
  add_words (words, "report", path);
  add_words (words, "-o", output);
  g_snprintf (number, sizeof number, "%" G_GINT64_FORMAT, ms_run_item_run (run)->id);
  add_words (words, "--run", number);
  if (base != NULL)
    {
      g_snprintf (number, sizeof number, "#%" G_GINT64_FORMAT, ms_run_item_run (base)->id);
      add_words (words, "--compare", number);
    }
  if (*select != '\0')
    add_words (words, "--select", select);
  for (guint i = 0; sections[i] != NULL; i++)
    add_words (words, "--add", sections[i]);
  if (!whole)
    add_words (words, "--sections", "none");
  g_ptr_array_add (words, NULL);
  return (GStrv) g_ptr_array_free (words, FALSE);
}

char *
ms_report_dup_command (MsWorkbench *bench, const char *output, gboolean whole)
{
  g_auto (GStrv) words = make_words (bench, output, whole);
  GString *command = g_string_new ("moescope");

  for (guint i = 0; words[i] != NULL; i++)
    {
      g_autofree char *quoted = ms_word_quote (words[i]);

      g_string_append_printf (command, " %s", quoted);
    }
  return g_string_free (command, FALSE);
}

void
ms_report_write (MsWorkbench *bench, const char *path, gboolean whole)
{
  g_auto (GStrv) words = make_words (bench, path, whole);
  GPtrArray *argv = g_ptr_array_new ();

  g_ptr_array_add (argv, ms_process_program ());
  for (guint i = 0; words[i] != NULL; i++)
    g_ptr_array_add (argv, g_strdup (words[i]));
  g_ptr_array_add (argv, NULL);
  ms_process_start (bench, _ ("Writing a Report"), (GStrv) g_ptr_array_free (argv, FALSE), path,
                    on_written, G_OBJECT (bench));
}

void
ms_report_add (MsWorkbench *bench, const char *analysis, const char *plot, const char *words)
{
  const char *path = ms_workbench_get_path (bench);
  g_autofree char *title = g_strdup_printf ("%s: %s", analysis, plot);
  g_autofree char *known = path != NULL ? ms_kept_get (KIND, path, words) : NULL;
  g_autoptr (GError) error = NULL;

  if (path == NULL)
    return;
  if (known != NULL)
    ms_workbench_toast (bench, _ ("The report has this figure already"));
  else if (ms_kept_put (KIND, path, words, title, &error))
    ms_workbench_toast (bench, _ ("Added to the report: %s"), _ (plot));
  else
    ms_workbench_toast (bench, _ ("Not added to the report: %s"), error->message);
}

/* --- The dialog ------------------------------------------------------------------------------- */

static void list_sections (MsReportDialog *self);

static void
on_row_button (MsReportDialog *self, GtkWidget *button)
{
  const char *name = g_object_get_data (G_OBJECT (button), "moescope-section");
  const char *path = ms_workbench_get_path (self->bench);
  gboolean raise = g_object_get_data (G_OBJECT (button), "moescope-raise") != NULL;

  if (path == NULL)
    return;
  if (raise)
    ms_kept_raise (KIND, path, name);
  else
    ms_kept_remove (KIND, path, name);
  list_sections (self);
}

static GtkWidget *
row_button (MsReportDialog *self, const char *icon, const char *label, const char *name,
            gboolean raise)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);

  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_tooltip_text (button, label);
  ms_widget_name (button, label);
  g_object_set_data_full (G_OBJECT (button), "moescope-section", g_strdup (name), g_free);
  g_object_set_data (G_OBJECT (button), "moescope-raise", GINT_TO_POINTER (raise));
  /* The button goes with its row while the list is made anew. */
  g_signal_connect_object (button, "clicked", G_CALLBACK (on_row_button), self,
                           G_CONNECT_SWAPPED | G_CONNECT_AFTER);
  return button;
}

static void
update_command (MsReportDialog *self)
{
  gboolean whole = gtk_switch_get_active (self->whole);
  g_autofree char *command = NULL;

  if (ms_workbench_get_run (self->bench) == NULL)
    {
      /* The file was replaced or deleted under the dialog. */
      gtk_widget_set_sensitive (self->write, FALSE);
      return;
    }
  command = ms_report_dup_command (self->bench, "report.html", whole);
  gtk_label_set_text (self->command, command);
  gtk_widget_set_sensitive (self->write,
                            whole || gtk_list_box_get_row_at_index (self->sections, 0) != NULL);
}

static void
list_sections (MsReportDialog *self)
{
  const char *path = ms_workbench_get_path (self->bench);
  g_auto (GStrv) names = ms_kept_list (KIND, path);
  GtkListBoxRow *old;

  while ((old = gtk_list_box_get_row_at_index (self->sections, 0)) != NULL)
    gtk_list_box_remove (self->sections, GTK_WIDGET (old));
  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *title = ms_kept_get (KIND, path, names[i]);
      GtkWidget *row = adw_action_row_new ();

      ms_row_set_texts (row, title, names[i]);
      adw_action_row_set_title_lines (ADW_ACTION_ROW (row), 2);
      adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 3);
      if (i > 0)
        adw_action_row_add_suffix (
            ADW_ACTION_ROW (row),
            row_button (self, "go-up-symbolic", _ ("Move Up"), names[i], TRUE));
      adw_action_row_add_suffix (ADW_ACTION_ROW (row), row_button (self, "user-trash-symbolic",
                                                                   _ ("Remove"), names[i], FALSE));
      gtk_list_box_append (self->sections, row);
    }
  update_command (self);
}

static void
on_copy (MsReportDialog *self)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)),
                          gtk_label_get_text (self->command));
  ms_workbench_toast (self->bench, _ ("Command line copied"));
}

static void
on_response (GtkNativeDialog *chooser, int response, gpointer data)
{
  MsReportDialog *self = data;

  if (response == GTK_RESPONSE_ACCEPT && ms_workbench_get_run (self->bench) != NULL)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));
      g_autofree char *path = g_file_get_path (file);

      if (path != NULL)
        {
          ms_report_write (self->bench, path, gtk_switch_get_active (self->whole));
          gtk_window_close (GTK_WINDOW (self));
        }
    }
  g_object_unref (chooser);
}

static void
on_write (MsReportDialog *self)
{
  GtkFileChooserNative *chooser = gtk_file_chooser_native_new (
      _ ("Write a Report"), GTK_WINDOW (self), GTK_FILE_CHOOSER_ACTION_SAVE, _ ("_Write"), NULL);

  /* The ending is the format: .html, .md, .pdf or .json. */
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (chooser), "report.html");
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  g_signal_connect_object (chooser, "response", G_CALLBACK (on_response), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

static GtkWidget *
make_whole (MsReportDialog *self)
{
  GtkWidget *list = gtk_list_box_new ();
  GtkWidget *row = adw_action_row_new ();

  self->whole = GTK_SWITCH (gtk_switch_new ());
  gtk_switch_set_active (self->whole, TRUE);
  gtk_widget_set_valign (GTK_WIDGET (self->whole), GTK_ALIGN_CENTER);
  ms_row_set_texts (row, _ ("All Other Analyses"),
                    _ ("Every analysis that the run has the data for"));
  ms_widget_name (GTK_WIDGET (self->whole), _ ("All Other Analyses"));
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), GTK_WIDGET (self->whole));
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), GTK_WIDGET (self->whole));
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  gtk_list_box_append (GTK_LIST_BOX (list), row);
  g_signal_connect_object (self->whole, "notify::active", G_CALLBACK (update_command), self,
                           G_CONNECT_SWAPPED);
  return list;
}

static GtkWidget *
make_sections (MsReportDialog *self)
{
  GtkWidget *none = ms_text_new (
      _ ("None yet. “Add to Report” in a figure's menu puts the figure here, with its parameters "
         "and selection."),
      "dim-label");

  ms_widget_set_margins (none, 12);
  self->sections = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (self->sections, GTK_SELECTION_NONE);
  gtk_list_box_set_placeholder (self->sections, none);
  gtk_widget_add_css_class (GTK_WIDGET (self->sections), "boxed-list");
  ms_widget_name (GTK_WIDGET (self->sections), _ ("Your Sections"));
  return GTK_WIDGET (self->sections);
}

static GtkWidget *
make_content (MsReportDialog *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);
  GtkWidget *copy = gtk_button_new_with_mnemonic (_ ("_Copy Command Line"));

  self->command = GTK_LABEL (ms_text_new (NULL, "monospace"));
  gtk_label_set_wrap_mode (self->command, PANGO_WRAP_WORD_CHAR);
  gtk_widget_add_css_class (GTK_WIDGET (self->command), "caption");
  ms_widget_name (copy, _ ("Copy Command Line"));
  gtk_widget_set_halign (copy, GTK_ALIGN_START);
  g_signal_connect_swapped (copy, "clicked", G_CALLBACK (on_copy), self);
  gtk_box_append (GTK_BOX (box), ms_text_new (_ ("Your Sections"), "heading"));
  gtk_box_append (GTK_BOX (box), make_sections (self));
  gtk_box_append (GTK_BOX (box), make_whole (self));
  gtk_box_append (GTK_BOX (box), ms_text_new (_ ("The same from the command line"), "heading"));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->command));
  gtk_box_append (GTK_BOX (box), copy);
  ms_widget_set_margins (box, 12);
  return ms_scroller_new (box);
}

static void
dispose (GObject *object)
{
  g_clear_object (&MS_REPORT_DIALOG (object)->bench);
  G_OBJECT_CLASS (ms_report_dialog_parent_class)->dispose (object);
}

static void
ms_report_dialog_class_init (MsReportDialogClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  gtk_widget_class_add_binding_action (GTK_WIDGET_CLASS (class), GDK_KEY_Escape, 0, "window.close",
                                       NULL);
}

static void
ms_report_dialog_init (MsReportDialog *self)
{
}

void
ms_report_dialog_present (GtkWindow *parent, MsWorkbench *bench)
{
  MsReportDialog *self = g_object_new (MS_TYPE_REPORT_DIALOG, "transient-for", parent, "modal",
                                       TRUE, "title", _ ("Write a Report"), NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *header = adw_header_bar_new ();
  GtkWidget *content;

  self->bench = g_object_ref (bench);
  self->write = gtk_button_new_with_mnemonic (_ ("_Write…"));
  gtk_widget_add_css_class (self->write, "suggested-action");
  ms_widget_name (self->write, _ ("Write"));
  g_signal_connect_swapped (self->write, "clicked", G_CALLBACK (on_write), self);
  adw_header_bar_pack_end (ADW_HEADER_BAR (header), self->write);
  content = make_content (self);
  gtk_widget_set_vexpand (content, TRUE);
  gtk_box_append (GTK_BOX (box), header);
  gtk_box_append (GTK_BOX (box), content);
  adw_window_set_content (ADW_WINDOW (self), box);
  gtk_window_set_default_size (GTK_WINDOW (self), 560, 520);
  list_sections (self);
  gtk_window_present (GTK_WINDOW (self));
}
