/* MsCollectDialog starts the command line program rather than collecting in the window's process: a crash
 * or a kill of either leaves the other alone, and what is recorded is kept. */
#include "collect-dialog-private.h"

#include "db.h"
#include "pieces-private.h"
#include "process-private.h"
#include "start-page-private.h"
#include "tab-list-private.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* What can be recorded besides the decisions. */
static const struct
{
  const char *title, *help, *option;
} recorded[] = {
  { N_ ("Scores"), N_ ("Of the router for all experts"), "--scores" },
  { N_ ("Norms"), N_ ("Of the chosen experts' outputs"), "--norms" },
  { N_ ("Predictions"), N_ ("And losses: whether a change of routing matters"), "--predict" },
};

struct _MsCollectDialog
{
  AdwWindow parent_instance;
  MsWorkbench *bench;
  MsCollectKind kind;
  AdwEntryRow *model, *output, *input;
  GtkListBox *inputs;
  AdwComboRow *precision;
  GtkSpinButton *threads;
  GtkSwitch *lines;
  GtkLabel *command;
  GtkButton *start;
  GtkSwitch *record[G_N_ELEMENTS (recorded)];
  GtkSpinButton *most;
  AdwEntryRow *name;
};

G_DEFINE_FINAL_TYPE (MsCollectDialog, ms_collect_dialog, ADW_TYPE_WINDOW)

static const char *const precisions[] = { "reference", "fast", NULL };

gboolean
ms_collect_is_trace (const char *path)
{
  const char *point = strrchr (path, '.');
  const MsImportFormat *format;

  for (guint i = 0; point != NULL && (format = ms_import_format (i)) != NULL; i++)
    if (g_strv_contains (format->extensions, point + 1))
      return TRUE;
  return FALSE;
}

/* The titles of all trace formats, in one line.  (transfer full) */
static char *
list_formats (void)
{
  GString *text = g_string_new (NULL);
  const MsImportFormat *format;

  for (guint i = 0; (format = ms_import_format (i)) != NULL; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? ", " : "", format->title);
  return g_string_free (text, FALSE);
}

/* Lets the chooser show traces, those of one format, or all files. */
static void
add_filters (GtkFileChooser *chooser)
{
  g_autoptr (GtkFileFilter) traces = gtk_file_filter_new (), all = gtk_file_filter_new ();
  const MsImportFormat *format;

  gtk_file_filter_set_name (traces, _ ("Traces"));
  gtk_file_chooser_add_filter (chooser, traces);
  for (guint i = 0; (format = ms_import_format (i)) != NULL; i++)
    {
      g_autoptr (GtkFileFilter) one = gtk_file_filter_new ();

      gtk_file_filter_set_name (one, format->title);
      for (guint j = 0; format->extensions[j] != NULL; j++)
        {
          gtk_file_filter_add_suffix (one, format->extensions[j]);
          gtk_file_filter_add_suffix (traces, format->extensions[j]);
        }
      gtk_file_chooser_add_filter (chooser, one);
    }
  gtk_file_filter_set_name (all, _ ("All files"));
  gtk_file_filter_add_pattern (all, "*");
  gtk_file_chooser_add_filter (chooser, all);
}

/* --- When it is done ------------------------------------------------------------------------- */

static void
on_collected (GObject *owner, gpointer result, const GError *error)
{
  MsWorkbench *bench = MS_WORKBENCH (owner);
  g_autofree char *output = result;

  if (output == NULL)
    {
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        ms_workbench_toast (bench, _ ("Stopped. Start the same again to go on from there."));
      ms_workbench_refresh (bench); /* what was recorded is kept; the job bar shows why it ended */
      return;
    }
  ms_process_notify (_ ("The new run is ready"), output);
  if (g_strcmp0 (output, ms_workbench_get_path (bench)) == 0)
    {
      ms_workbench_refresh (bench);
      ms_workbench_toast (bench, _ ("The new run is ready"));
    }
  else
    ms_workbench_open (bench, output);
}

/* --- The form --------------------------------------------------------------------------------- */

/* What is recorded besides the decisions, how much, and under which name. */
static void
add_recorded (MsCollectDialog *self, GPtrArray *argv)
{
  const char *name = gtk_editable_get_text (GTK_EDITABLE (self->name));
  int most = gtk_spin_button_get_value_as_int (self->most);

  for (guint i = 0; i < G_N_ELEMENTS (recorded); i++)
    if (gtk_switch_get_active (self->record[i]))
      g_ptr_array_add (argv, g_strdup (recorded[i].option));
  if (most > 0)
    g_ptr_array_add (argv, g_strdup_printf ("--max-tokens=%d", most));
  if (*name != '\0')
    g_ptr_array_add (argv, g_strconcat ("--name=", name, NULL));
}

static GPtrArray *
build_argv (MsCollectDialog *self)
{
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);
  GtkListBoxRow *row;

  g_ptr_array_add (argv, ms_process_program ());
  g_ptr_array_add (argv, g_strdup (self->kind == MS_COLLECT_MODEL ? "collect" : "import"));
  if (self->kind == MS_COLLECT_MODEL)
    g_ptr_array_add (argv, g_strdup (gtk_editable_get_text (GTK_EDITABLE (self->model))));
  for (int i = 0; (row = gtk_list_box_get_row_at_index (self->inputs, i)) != NULL; i++)
    {
      const char *path = g_object_get_data (G_OBJECT (row), "moescope-path");

      if (path != NULL)
        g_ptr_array_add (argv, g_strdup (path));
    }
  g_ptr_array_add (argv, g_strdup ("-o"));
  g_ptr_array_add (argv, g_strdup (gtk_editable_get_text (GTK_EDITABLE (self->output))));
  if (self->kind == MS_COLLECT_MODEL)
    {
      if (adw_combo_row_get_selected (self->precision) > 0)
        {
          g_ptr_array_add (argv, g_strdup ("--precision"));
          g_ptr_array_add (argv,
                           g_strdup (precisions[adw_combo_row_get_selected (self->precision)]));
        }
      if (gtk_spin_button_get_value_as_int (self->threads) > 0)
        {
          g_ptr_array_add (argv, g_strdup ("--threads"));
          g_ptr_array_add (
              argv, g_strdup_printf ("%d", gtk_spin_button_get_value_as_int (self->threads)));
        }
      if (gtk_switch_get_active (self->lines))
        g_ptr_array_add (argv, g_strdup ("--lines"));
      add_recorded (self, argv);
    }
  g_ptr_array_add (argv, NULL);
  return argv;
}

static guint
count_inputs (MsCollectDialog *self)
{
  guint n = 0;

  while (gtk_list_box_get_row_at_index (self->inputs, (int) n) != NULL)
    n++;
  return n;
}

static gboolean
is_complete (MsCollectDialog *self)
{
  return (self->kind == MS_COLLECT_IMPORT
          || *gtk_editable_get_text (GTK_EDITABLE (self->model)) != '\0')
         && count_inputs (self) > 0 && *gtk_editable_get_text (GTK_EDITABLE (self->output)) != '\0';
}

char *
ms_collect_dialog_dup_command (MsCollectDialog *self)
{
  g_autoptr (GPtrArray) argv = build_argv (self);
  g_autoptr (GString) command = g_string_new ("moescope");

  for (guint i = 1; i + 1 < argv->len; i++)
    {
      g_autofree char *word = ms_word_quote (g_ptr_array_index (argv, i));

      g_string_append_printf (command, " %s", word);
    }
  return g_string_free (g_steal_pointer (&command), FALSE);
}

static void
update (MsCollectDialog *self)
{
  g_autofree char *command = NULL;

  if (self->command == NULL)
    return;
  command = ms_collect_dialog_dup_command (self);
  gtk_label_set_text (self->command, command);
  gtk_widget_set_sensitive (GTK_WIDGET (self->start), is_complete (self));
}

gboolean
ms_collect_dialog_start (MsCollectDialog *self)
{
  g_autoptr (GPtrArray) argv = NULL;

  if (!is_complete (self))
    return FALSE;
  argv = build_argv (self);
  if (self->kind == MS_COLLECT_MODEL)
    g_ptr_array_insert (argv, 2, g_strdup ("--progress-json"));
  ms_process_start (
      self->bench, self->kind == MS_COLLECT_MODEL ? _ ("Collecting") : _ ("Importing"),
      (GStrv) g_ptr_array_free (g_steal_pointer (&argv), FALSE),
      gtk_editable_get_text (GTK_EDITABLE (self->output)), on_collected, G_OBJECT (self->bench));
  gtk_window_close (GTK_WINDOW (self));
  return TRUE;
}

/* --- Fields ----------------------------------------------------------------------------------- */

static void
remove_input (GtkButton *button, gpointer data)
{
  MsCollectDialog *self = data;

  gtk_list_box_remove (self->inputs,
                       gtk_widget_get_ancestor (GTK_WIDGET (button), GTK_TYPE_LIST_BOX_ROW));
  update (self);
}

static void
add_input (MsCollectDialog *self, const char *path)
{
  GtkWidget *row = adw_action_row_new ();
  GtkWidget *button = gtk_button_new_from_icon_name ("list-remove-symbolic");
  g_autofree char *name = g_filename_display_basename (path), *remove = NULL;

  ms_row_set_texts (row, name, path);
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 1);
  gtk_widget_add_css_class (button, "flat");
  remove = g_strdup_printf (_ ("Remove %s"), name);
  gtk_widget_set_tooltip_text (button, remove);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, remove,
                                  -1);
  g_signal_connect (button, "clicked", G_CALLBACK (remove_input), self);
  ms_row_add_input (row, button);
  g_object_set_data_full (G_OBJECT (row), "moescope-path", g_strdup (path), g_free);
  gtk_list_box_append (self->inputs, row);
}

static void
on_files_chosen (GtkNativeDialog *chooser, int response, gpointer data)
{
  MsCollectDialog *self = data;
  AdwEntryRow *row = g_object_get_data (G_OBJECT (chooser), "moescope-row");

  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GListModel) files = gtk_file_chooser_get_files (GTK_FILE_CHOOSER (chooser));

      for (guint i = 0; i < g_list_model_get_n_items (files); i++)
        {
          g_autoptr (GFile) file = g_list_model_get_item (files, i);
          g_autofree char *path = g_file_get_path (file);

          if (path == NULL)
            continue;
          if (row != NULL)
            gtk_editable_set_text (GTK_EDITABLE (row), path);
          else
            add_input (self, path);
        }
      update (self);
    }
  g_object_unref (chooser);
}

static void
choose (GtkButton *button, gpointer data)
{
  MsCollectDialog *self = data;
  GtkWidget *row = g_object_get_data (G_OBJECT (button), "moescope-row");
  gboolean save = row == GTK_WIDGET (self->output);
  GtkFileChooserNative *chooser = gtk_file_chooser_native_new (
      gtk_widget_get_tooltip_text (GTK_WIDGET (button)), GTK_WINDOW (self),
      save ? GTK_FILE_CHOOSER_ACTION_SAVE : GTK_FILE_CHOOSER_ACTION_OPEN, NULL, NULL);

  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (chooser), row == NULL);
  if (row == NULL && self->kind == MS_COLLECT_IMPORT)
    add_filters (GTK_FILE_CHOOSER (chooser));
  g_object_set_data (G_OBJECT (chooser), "moescope-row", row);
  g_signal_connect_object (chooser, "response", G_CALLBACK (on_files_chosen), self, 0);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

static GtkWidget *
choose_button (MsCollectDialog *self, const char *icon, const char *name, GtkWidget *row)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);

  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (button, name);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  g_object_set_data (G_OBJECT (button), "moescope-row", row);
  g_signal_connect (button, "clicked", G_CALLBACK (choose), self);
  return button;
}

static AdwEntryRow *
path_row (MsCollectDialog *self, GtkWidget *group, const char *title, const char *choose_name,
          gboolean one)
{
  GtkWidget *row = adw_entry_row_new ();

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_entry_row_add_suffix (ADW_ENTRY_ROW (row), choose_button (self, "document-open-symbolic",
                                                                choose_name, one ? row : NULL));
  g_signal_connect_swapped (row, "changed", G_CALLBACK (update), self);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), row);
  return ADW_ENTRY_ROW (row);
}

/* The path typed is one more input. */
static void
add_typed (MsCollectDialog *self)
{
  const char *path = gtk_editable_get_text (GTK_EDITABLE (self->input));

  if (*path == '\0')
    return;
  add_input (self, path);
  gtk_editable_set_text (GTK_EDITABLE (self->input), "");
  update (self);
}

static GtkWidget *
make_inputs (MsCollectDialog *self)
{
  GtkWidget *group = adw_preferences_group_new ();
  GtkWidget *add = gtk_button_new_from_icon_name ("list-add-symbolic");
  g_autofree char *formats = list_formats ();
  GtkWidget *nothing = gtk_label_new (
      self->kind == MS_COLLECT_MODEL ? _ ("Text files, or JSON lines with labels") : formats);

  gtk_widget_add_css_class (nothing, "dim-label");
  gtk_widget_set_margin_top (nothing, 12);
  gtk_widget_set_margin_bottom (nothing, 12);
  gtk_label_set_wrap (GTK_LABEL (nothing), TRUE);
  self->inputs = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (self->inputs, GTK_SELECTION_NONE);
  gtk_list_box_set_placeholder (self->inputs, nothing);
  gtk_widget_add_css_class (GTK_WIDGET (self->inputs), "boxed-list");
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (group),
                                   self->kind == MS_COLLECT_MODEL ? _ ("Texts") : _ ("Traces"));
  self->input = path_row (self, group, _ ("Path of a file"), _ ("Choose Files"), FALSE);
  gtk_widget_add_css_class (add, "flat");
  gtk_widget_set_valign (add, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (add, _ ("Add This File"));
  ms_widget_name (add, _ ("Add This File"));
  g_signal_connect_swapped (add, "clicked", G_CALLBACK (add_typed), self);
  g_signal_connect_swapped (self->input, "entry-activated", G_CALLBACK (add_typed), self);
  adw_entry_row_add_suffix (self->input, add);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), ms_tab_form_new (self->inputs));
  gtk_widget_set_margin_top (GTK_WIDGET (self->inputs), 6);
  return group;
}

static GtkWidget *
with_suffix (const char *title, const char *subtitle, GtkWidget *suffix)
{
  GtkWidget *row = adw_action_row_new ();

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
  gtk_accessible_update_property (GTK_ACCESSIBLE (suffix), GTK_ACCESSIBLE_PROPERTY_LABEL, title,
                                  -1);
  ms_row_add_input (row, suffix);
  return row;
}

static GtkWidget *
make_settings (MsCollectDialog *self)
{
  GtkWidget *group = adw_preferences_group_new ();
  GtkWidget *rows = gtk_list_box_new ();
  const char *names[] = { _ ("Reference (float32)"), _ ("Fast (bfloat16)"), NULL };
  GtkStringList *list = gtk_string_list_new (names);

  self->precision = ADW_COMBO_ROW (adw_combo_row_new ());
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->precision), _ ("Precision"));
  adw_combo_row_set_model (self->precision, G_LIST_MODEL (list));
  g_object_unref (list);
  self->threads = GTK_SPIN_BUTTON (gtk_spin_button_new_with_range (0, 256, 1));
  self->lines = GTK_SWITCH (gtk_switch_new ());
  g_signal_connect_swapped (self->precision, "notify::selected", G_CALLBACK (update), self);
  g_signal_connect_swapped (self->threads, "value-changed", G_CALLBACK (update), self);
  g_signal_connect_swapped (self->lines, "notify::active", G_CALLBACK (update), self);
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (group), _ ("How"));
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (rows), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (rows, "boxed-list");
  gtk_list_box_append (GTK_LIST_BOX (rows), GTK_WIDGET (self->precision));
  gtk_list_box_append (GTK_LIST_BOX (rows), with_suffix (_ ("Threads"), _ ("0 = all cores"),
                                                         GTK_WIDGET (self->threads)));
  gtk_list_box_append (GTK_LIST_BOX (rows),
                       with_suffix (_ ("One document for each line"),
                                    _ ("Else each text file is one"), GTK_WIDGET (self->lines)));
  for (guint i = 0; i < G_N_ELEMENTS (recorded); i++)
    {
      self->record[i] = GTK_SWITCH (gtk_switch_new ());
      g_signal_connect_swapped (self->record[i], "notify::active", G_CALLBACK (update), self);
      gtk_list_box_append (
          GTK_LIST_BOX (rows),
          with_suffix (_ (recorded[i].title), _ (recorded[i].help), GTK_WIDGET (self->record[i])));
    }
  self->most = GTK_SPIN_BUTTON (gtk_spin_button_new_with_range (0, 1e6, 64));
  g_signal_connect_swapped (self->most, "value-changed", G_CALLBACK (update), self);
  gtk_list_box_append (GTK_LIST_BOX (rows), with_suffix (_ ("Tokens of a document at most"),
                                                         _ ("0 = all"), GTK_WIDGET (self->most)));
  self->name = ADW_ENTRY_ROW (adw_entry_row_new ());
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->name), _ ("Name of the run"));
  g_signal_connect_swapped (self->name, "changed", G_CALLBACK (update), self);
  gtk_list_box_append (GTK_LIST_BOX (rows), GTK_WIDGET (self->name));
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), ms_tab_form_new (GTK_LIST_BOX (rows)));
  return group;
}

static void
dispose (GObject *object)
{
  g_clear_object (&MS_COLLECT_DIALOG (object)->bench);
  G_OBJECT_CLASS (ms_collect_dialog_parent_class)->dispose (object);
}

static void
ms_collect_dialog_class_init (MsCollectDialogClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  gtk_widget_class_add_binding_action (GTK_WIDGET_CLASS (class), GDK_KEY_Escape, 0, "window.close",
                                       NULL);
}

static void
ms_collect_dialog_init (MsCollectDialog *self)
{
}

static GtkWidget *
make_form (MsCollectDialog *self)
{
  GtkWidget *page = adw_preferences_page_new ();
  GtkWidget *files = adw_preferences_group_new ();
  GtkWidget *last = adw_preferences_group_new ();
  GtkLabel *command = GTK_LABEL (gtk_label_new (NULL));

  if (self->kind == MS_COLLECT_MODEL)
    self->model = path_row (self, files, _ ("Model (GGUF)"), _ ("Choose a Model"), TRUE);
  self->output = path_row (self, files, _ ("Database to write"), _ ("Choose Where to Write"), TRUE);
  adw_preferences_page_add (ADW_PREFERENCES_PAGE (page), ADW_PREFERENCES_GROUP (files));
  adw_preferences_page_add (ADW_PREFERENCES_PAGE (page),
                            ADW_PREFERENCES_GROUP (make_inputs (self)));
  if (self->kind == MS_COLLECT_MODEL)
    adw_preferences_page_add (ADW_PREFERENCES_PAGE (page),
                              ADW_PREFERENCES_GROUP (make_settings (self)));
  gtk_label_set_wrap (command, TRUE);
  gtk_label_set_wrap_mode (command, PANGO_WRAP_WORD_CHAR);
  gtk_label_set_selectable (command, TRUE);
  gtk_label_set_xalign (command, 0);
  gtk_widget_add_css_class (GTK_WIDGET (command), "monospace");
  gtk_widget_add_css_class (GTK_WIDGET (command), "caption");
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (last),
                                   _ ("The same from the command line"));
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (last), GTK_WIDGET (command));
  adw_preferences_page_add (ADW_PREFERENCES_PAGE (page), ADW_PREFERENCES_GROUP (last));
  self->command = command;
  gtk_widget_set_vexpand (page, TRUE);
  return page;
}

MsCollectDialog *
ms_collect_dialog_present (GtkWindow *parent, MsWorkbench *bench, MsCollectKind kind,
                           const char *path)
{
  const char *title = kind == MS_COLLECT_MODEL ? _ ("New Collection") : _ ("Import a Trace");
  MsCollectDialog *self = g_object_new (MS_TYPE_COLLECT_DIALOG, "transient-for", parent, "modal",
                                        TRUE, "title", title, NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *header = adw_header_bar_new ();
  const char *folder = g_get_user_special_dir (G_USER_DIRECTORY_DOCUMENTS);
  g_autofree char *sample = ms_sample_path ();
  const char *open = ms_workbench_get_path (bench);
  /* Beside the runs that are there, to be compared with them; the sample stays as it is. */
  gboolean beside = ms_workbench_get_state (bench) == MS_BENCH_READY
                    && g_strcmp0 (open, sample) != 0 && g_access (open, W_OK) == 0;
  g_autofree char *output
      = beside ? g_strdup (open)
               : g_build_filename (folder ? folder : g_get_home_dir (), "routing.db", NULL);

  self->bench = g_object_ref (bench);
  self->kind = kind;
  self->start = GTK_BUTTON (gtk_button_new_with_mnemonic (_ ("_Start")));
  gtk_widget_add_css_class (GTK_WIDGET (self->start), "suggested-action");
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->start), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Start"), -1);
  g_signal_connect_swapped (self->start, "clicked", G_CALLBACK (ms_collect_dialog_start), self);
  adw_header_bar_pack_end (ADW_HEADER_BAR (header), GTK_WIDGET (self->start));
  gtk_box_append (GTK_BOX (box), header);
  gtk_box_append (GTK_BOX (box), make_form (self));
  adw_window_set_content (ADW_WINDOW (self), box);
  gtk_window_set_default_size (GTK_WINDOW (self), 560, 640);
  gtk_editable_set_text (GTK_EDITABLE (self->output), output);
  if (path != NULL && kind == MS_COLLECT_MODEL)
    gtk_editable_set_text (GTK_EDITABLE (self->model), path);
  else if (path != NULL)
    add_input (self, path);
  update (self);
  gtk_window_present (GTK_WINDOW (self));
  return self;
}

void
ms_collect_dialog_record (MsCollectDialog *self, gboolean all, int most, const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (recorded); i++)
    gtk_switch_set_active (self->record[i], all);
  gtk_spin_button_set_value (self->most, most);
  gtk_editable_set_text (GTK_EDITABLE (self->name), name);
}

void
ms_collect_dialog_set (MsCollectDialog *self, const char *model, const char *inputs,
                       const char *output)
{
  g_auto (GStrv) paths = g_strsplit (inputs ? inputs : "", "\n", -1);

  if (model != NULL && self->model != NULL)
    gtk_editable_set_text (GTK_EDITABLE (self->model), model);
  for (guint i = 0; paths[i] != NULL; i++)
    if (*paths[i] != '\0')
      add_input (self, paths[i]);
  if (output != NULL)
    gtk_editable_set_text (GTK_EDITABLE (self->output), output);
  update (self);
}
