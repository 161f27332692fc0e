/* MsExportDialog previews with the drawing code that also writes the file, so what is seen is what is
 * saved.  Sizes are in paper terms. */
#include "export-dialog-private.h"

#include "figure-canvas-private.h"
#include "pieces-private.h"
#include "tab-list-private.h"

#include <math.h>
#include <string.h>

/* What fits where, in inches (gui.md 7). */
static const struct
{
  const char *title;
  double width;
} widths[] = {
  { N_ ("ACL column, 3.03 in"), 3.03 }, { N_ ("ICML column, 3.25 in"), 3.25 },
  { N_ ("IEEE column, 3.5 in"), 3.5 },  { N_ ("NeurIPS text, 5.5 in"), 5.5 },
  { N_ ("Two columns, 6.3 in"), 6.3 },  { N_ ("Two columns, 6.75 in"), 6.75 },
  { N_ ("Slide, 10 in"), 10 },
};

static const char *const formats[] = { "pdf", "svg", "png", "csv", NULL };
static const char *const themes[] = { "paper", "screen", "dark", "contrast", NULL };

#define DPI 300

struct _MsExportDialog
{
  AdwWindow parent_instance;
  AdwToastOverlay *toasts;
  MsWorkbench *bench;
  MsOutcome *outcome;
  MsWork *job; /* makes of a quick look what a paper needs; NULL = it is that */
  GtkWidget *save;
  MsPlotDef plot;
  MsFigureOptions options;
  AdwComboRow *format, *width, *theme;
  GtkSpinButton *height, *font;
  GtkSwitch *title, *margins;
  MsFigureCanvas *preview;
  GtkLabel *size, *command;
};

G_DEFINE_FINAL_TYPE (MsExportDialog, ms_export_dialog, ADW_TYPE_WINDOW)

static const char *
format_of (MsExportDialog *self)
{
  return formats[adw_combo_row_get_selected (self->format)];
}

static double
width_of (MsExportDialog *self)
{
  return widths[adw_combo_row_get_selected (self->width)].width;
}

static MsFigure *
make_figure (MsExportDialog *self, GError **error)
{
  MsFigureOptions options = self->options;
  MsTable *table = ms_result_table (self->outcome->result, self->plot.table);
  g_autofree char *note = ms_plot_note (&self->plot, table, self->outcome->interval);

  options.theme = ms_theme_find (themes[adw_combo_row_get_selected (self->theme)]);
  options.font_points = gtk_spin_button_get_value (self->font);
  options.title = gtk_switch_get_active (self->title) ? self->plot.title : "";
  options.note = note;
  options.no_margins = !gtk_switch_get_active (self->margins);
  return ms_figure_new (table, &self->plot, &options, error);
}

static char *
dup_command (MsExportDialog *self, const char *output)
{
  gboolean csv = g_str_has_suffix (output, ".csv");
  g_autoptr (MsRequest) full = ms_request_in_full (self->outcome->request);
  g_autofree char *base
      = ms_workbench_dup_command (self->bench, full, csv ? NULL : self->plot.name, output);
  g_autoptr (GString) command = g_string_new (base);
  char number[MS_NUMBER_SIZE];

  if (csv)
    {
      g_string_append_printf (command, " --format csv --table %s", self->plot.table);
      return g_string_free (g_steal_pointer (&command), FALSE);
    }
  g_string_append_printf (command, " --width %s", ms_number_short (number, width_of (self)));
  if (gtk_spin_button_get_value (self->height) > 0)
    g_string_append_printf (command, " --height %s",
                            ms_number_short (number, gtk_spin_button_get_value (self->height)));
  g_string_append_printf (command, " --theme %s", themes[adw_combo_row_get_selected (self->theme)]);
  if (gtk_spin_button_get_value (self->font) > 0)
    g_string_append_printf (command, " --font-size %s",
                            ms_number_short (number, gtk_spin_button_get_value (self->font)));
  if (gtk_switch_get_active (self->title))
    g_string_append (command, " --title auto");
  if (!gtk_switch_get_active (self->margins))
    g_string_append (command, " --no-margins");
  return g_string_free (g_steal_pointer (&command), FALSE);
}

char *
ms_export_dialog_dup_command (MsExportDialog *self)
{
  g_autofree char *output = g_strconcat (self->plot.name, ".", format_of (self), NULL);

  return dup_command (self, output);
}

gboolean
ms_export_dialog_save (MsExportDialog *self, const char *path, GError **error)
{
  g_autoptr (MsFigure) figure = NULL;
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *command = dup_command (self, name);
  g_autofree char *comment = g_strdup_printf ("moescope %s: %s", MS_VERSION, command);

  if (g_str_has_suffix (path, ".csv"))
    {
      g_autoptr (GOutputStream) stream = ms_stream_replace (path, error);
      MsTable *table = ms_result_table (self->outcome->result, self->plot.table);

      return stream != NULL
             && ms_stream_close (stream, ms_table_write_csv (table, stream, error), error);
    }
  figure = make_figure (self, error);
  return figure != NULL
         && ms_figure_save (figure, path, width_of (self), gtk_spin_button_get_value (self->height),
                            DPI, comment, error);
}

void
ms_export_dialog_set_format (MsExportDialog *self, guint format)
{
  adw_combo_row_set_selected (self->format, format);
}

static void
update (MsExportDialog *self)
{
  g_autoptr (GError) error = NULL;
  MsFigure *figure = make_figure (self, &error);
  g_autofree char *command = ms_export_dialog_dup_command (self);
  g_autofree char *size = NULL;
  double width = 96 * width_of (self);
  double height = 96 * gtk_spin_button_get_value (self->height);

  if (figure != NULL && height <= 0)
    height = ms_figure_natural_height (figure, width);
  size = figure == NULL      ? g_strdup (error->message)
         : self->job != NULL ? g_strdup (_ ("Computing the intervals…"))
                             : g_strdup_printf ("%.2f × %.2f in", width / 96, height / 96);
  gtk_widget_set_sensitive (self->save, self->job == NULL);
  gtk_label_set_text (self->size, size);
  gtk_label_set_text (self->command, command);
  ms_figure_canvas_set_figure (self->preview, figure, self->outcome->result->summary);
  gtk_widget_set_size_request (GTK_WIDGET (self->preview), (int) width, (int) ceil (height));
}

/* The quick look that the screen had becomes the whole; when that cannot be, what there is stays, unsaved. */
static void
on_full (GObject *owner, gpointer result, const GError *error)
{
  MsExportDialog *self = MS_EXPORT_DIALOG (owner);

  g_clear_object (&self->job);
  if (result != NULL)
    {
      g_clear_pointer (&self->outcome, ms_outcome_unref);
      self->outcome = result;
    }
  update (self);
  if (result == NULL)
    {
      gtk_label_set_text (self->size, error->message);
      gtk_widget_set_sensitive (self->save, FALSE);
    }
}

/* Computes with intervals and null values what the screen left out. */
static void
complete (MsExportDialog *self)
{
  MsWork *job;

  if (ms_request_is_full (self->outcome->request))
    return;
  job = ms_workbench_analyze (self->bench, ms_request_in_full (self->outcome->request), 0, on_full,
                              NULL, G_OBJECT (self));
  if (job != NULL)
    self->job = job;
}

gboolean
ms_export_dialog_is_ready (MsExportDialog *self)
{
  return self->job == NULL;
}

void
ms_export_dialog_set_margins (MsExportDialog *self, gboolean shown)
{
  gtk_switch_set_active (self->margins, shown);
}

/* --- Saving ----------------------------------------------------------------------------------- */

/* Here: the window below is covered. */
static void
tell (MsExportDialog *self, const char *text)
{
  adw_toast_overlay_add_toast (self->toasts, ms_toast_new (text));
}

static void
on_save_response (GtkNativeDialog *chooser, int response, gpointer data)
{
  MsExportDialog *self = data;
  g_autoptr (GError) error = NULL;

  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser));
      g_autofree char *path = g_file_get_path (file);
      g_autofree char *name = path ? g_path_get_basename (path) : NULL;

      if (path != NULL && ms_export_dialog_save (self, path, &error))
        {
          ms_workbench_toast (self->bench, _ ("Saved %s"), name);
          gtk_window_close (GTK_WINDOW (self));
        }
      else if (error != NULL)
        {
          g_autofree char *text = g_strdup_printf (_ ("Not saved: %s"), error->message);

          tell (self, text);
        }
    }
  g_object_unref (chooser);
}

static void
on_save (MsExportDialog *self)
{
  g_autofree char *name = g_strconcat (self->plot.name, ".", format_of (self), NULL);
  GtkFileChooserNative *chooser = gtk_file_chooser_native_new (
      _ ("Export Figure"), GTK_WINDOW (self), GTK_FILE_CHOOSER_ACTION_SAVE, _ ("_Save"), NULL);

  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (chooser), name);
  g_signal_connect_object (chooser, "response", G_CALLBACK (on_save_response), self, 0);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

static void
on_copy (MsExportDialog *self)
{
  g_autofree char *command = ms_export_dialog_dup_command (self);

  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), command);
  tell (self, _ ("Command line copied"));
}

/* --- Building --------------------------------------------------------------------------------- */

static AdwComboRow *
combo_row (MsExportDialog *self, GtkWidget *list, const char *title, GtkStringList *names)
{
  GtkWidget *row = adw_combo_row_new ();

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_combo_row_set_model (ADW_COMBO_ROW (row), G_LIST_MODEL (names));
  g_object_unref (names);
  gtk_list_box_append (GTK_LIST_BOX (list), row);
  g_signal_connect_object (row, "notify::selected", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  return ADW_COMBO_ROW (row);
}

static GtkSpinButton *
spin_row (MsExportDialog *self, GtkWidget *list, const char *title, const char *subtitle,
          double most, double step, guint digits)
{
  GtkWidget *row = adw_action_row_new ();
  GtkWidget *spin = gtk_spin_button_new_with_range (0, most, step);

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
  gtk_spin_button_set_digits (GTK_SPIN_BUTTON (spin), digits);
  gtk_accessible_update_property (GTK_ACCESSIBLE (spin), GTK_ACCESSIBLE_PROPERTY_LABEL, title, -1);
  ms_row_add_input (row, spin);
  gtk_list_box_append (GTK_LIST_BOX (list), row);
  g_signal_connect_object (spin, "value-changed", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  return GTK_SPIN_BUTTON (spin);
}

static GtkSwitch *
switch_row (MsExportDialog *self, GtkWidget *list, const char *title, const char *subtitle,
            gboolean active)
{
  GtkWidget *row = adw_action_row_new ();
  GtkWidget *toggle = gtk_switch_new ();

  gtk_switch_set_active (GTK_SWITCH (toggle), active);
  gtk_accessible_update_property (GTK_ACCESSIBLE (toggle), GTK_ACCESSIBLE_PROPERTY_LABEL, title,
                                  -1);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
  ms_row_add_input (row, toggle);
  gtk_list_box_append (GTK_LIST_BOX (list), row);
  g_signal_connect_object (toggle, "notify::active", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  return GTK_SWITCH (toggle);
}

static GtkWidget *
make_form (MsExportDialog *self)
{
  static const char *const format_names[] = { "PDF", "SVG", "PNG", N_ ("CSV (the numbers)"), NULL };
  static const char *const theme_names[]
      = { N_ ("Paper"), N_ ("Screen"), N_ ("Dark"), N_ ("High contrast"), NULL };
  GtkWidget *list = gtk_list_box_new ();
  GtkStringList *names[3];

  for (guint i = 0; i < 3; i++)
    names[i] = gtk_string_list_new (NULL);
  for (guint i = 0; format_names[i] != NULL; i++)
    gtk_string_list_append (names[0], _ (format_names[i]));
  for (guint i = 0; i < G_N_ELEMENTS (widths); i++)
    gtk_string_list_append (names[1], _ (widths[i].title));
  for (guint i = 0; theme_names[i] != NULL; i++)
    gtk_string_list_append (names[2], _ (theme_names[i]));
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  self->format = combo_row (self, list, _ ("Format"), names[0]);
  self->width = combo_row (self, list, _ ("Width"), names[1]);
  self->height
      = spin_row (self, list, _ ("Height (in)"), _ ("0 = as the figure likes"), 20, 0.25, 2);
  self->font = spin_row (self, list, _ ("Font size (pt)"), _ ("0 = of the theme"), 24, 0.5, 1);
  self->theme = combo_row (self, list, _ ("Theme"), names[2]);
  self->title
      = switch_row (self, list, _ ("Title inside"), _ ("In a paper the caption has it"), FALSE);
  self->margins = switch_row (self, list, _ ("Bars beside the map"),
                              _ ("For each of its rows and columns"), TRUE);
  gtk_widget_set_visible (
      gtk_widget_get_ancestor (GTK_WIDGET (self->margins), GTK_TYPE_LIST_BOX_ROW),
      self->plot.right.kind != MS_MARGIN_NONE || self->plot.top.kind != MS_MARGIN_NONE);
  gtk_widget_set_valign (list, GTK_ALIGN_START);
  return list;
}

static GtkWidget *
make_side (MsExportDialog *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);
  GtkWidget *heading = gtk_label_new (_ ("The same from the command line"));
  GtkWidget *copy = gtk_button_new_with_mnemonic (_ ("_Copy Command Line"));
  GtkWidget *scroller = gtk_scrolled_window_new ();

  self->command = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_xalign (GTK_LABEL (heading), 0);
  gtk_widget_add_css_class (heading, "heading");
  gtk_label_set_selectable (self->command, TRUE);
  gtk_label_set_wrap (self->command, TRUE);
  gtk_label_set_wrap_mode (self->command, PANGO_WRAP_WORD_CHAR);
  gtk_label_set_xalign (self->command, 0);
  gtk_widget_add_css_class (GTK_WIDGET (self->command), "monospace");
  gtk_widget_add_css_class (GTK_WIDGET (self->command), "caption");
  gtk_accessible_update_property (GTK_ACCESSIBLE (copy), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Copy Command Line"), -1);
  gtk_widget_set_halign (copy, GTK_ALIGN_START);
  g_signal_connect_swapped (copy, "clicked", G_CALLBACK (on_copy), self);
  gtk_box_append (GTK_BOX (box), ms_tab_form_new (GTK_LIST_BOX (make_form (self))));
  gtk_box_append (GTK_BOX (box), heading);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->command));
  gtk_box_append (GTK_BOX (box), copy);
  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 12);
  gtk_widget_set_margin_top (box, 12);
  gtk_widget_set_margin_bottom (box, 12);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), box);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_widget_set_size_request (scroller, 340, -1);
  return scroller;
}

static GtkWidget *
make_preview (MsExportDialog *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *scroller = gtk_scrolled_window_new ();

  self->preview = MS_FIGURE_CANVAS (ms_figure_canvas_new ());
  gtk_widget_set_halign (GTK_WIDGET (self->preview), GTK_ALIGN_CENTER);
  gtk_widget_set_valign (GTK_WIDGET (self->preview), GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (GTK_WIDGET (self->preview), "card");
  self->size = GTK_LABEL (gtk_label_new (NULL));
  gtk_widget_add_css_class (GTK_WIDGET (self->size), "dim-label");
  gtk_widget_add_css_class (GTK_WIDGET (self->size), "caption");
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->preview));
  gtk_widget_set_vexpand (scroller, TRUE);
  gtk_widget_set_hexpand (scroller, TRUE);
  gtk_widget_set_margin_bottom (GTK_WIDGET (self->size), 6);
  gtk_box_append (GTK_BOX (box), scroller);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->size));
  return box;
}

static void
dispose (GObject *object)
{
  MsExportDialog *self = MS_EXPORT_DIALOG (object);

  ms_work_drop (&self->job);
  g_clear_pointer (&self->outcome, ms_outcome_unref);
  g_clear_object (&self->bench);
  G_OBJECT_CLASS (ms_export_dialog_parent_class)->dispose (object);
}

static void
ms_export_dialog_class_init (MsExportDialogClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  gtk_widget_class_add_binding_action (GTK_WIDGET_CLASS (class), GDK_KEY_Escape, 0, "window.close",
                                       NULL);
}

static void
ms_export_dialog_init (MsExportDialog *self)
{
}

MsExportDialog *
ms_export_dialog_present (GtkWindow *parent, MsWorkbench *bench, MsOutcome *outcome,
                          const MsPlotDef *plot, const MsFigureOptions *options)
{
  MsExportDialog *self = g_object_new (MS_TYPE_EXPORT_DIALOG, "transient-for", parent, "modal",
                                       TRUE, "title", _ ("Export Figure"), NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *header = adw_header_bar_new ();
  GtkWidget *save = gtk_button_new_with_mnemonic (_ ("_Save…"));
  GtkWidget *flap = adw_flap_new ();

  self->bench = g_object_ref (bench);
  self->outcome = ms_outcome_ref (outcome);
  self->save = save;
  self->plot = *plot;
  self->options = options ? *options : (MsFigureOptions){ 0 };
  gtk_widget_add_css_class (save, "suggested-action");
  gtk_accessible_update_property (GTK_ACCESSIBLE (save), GTK_ACCESSIBLE_PROPERTY_LABEL, _ ("Save"),
                                  -1);
  g_signal_connect_swapped (save, "clicked", G_CALLBACK (on_save), self);
  adw_header_bar_pack_end (ADW_HEADER_BAR (header), save);
  adw_flap_set_content (ADW_FLAP (flap), make_preview (self));
  adw_flap_set_flap (ADW_FLAP (flap), make_side (self));
  adw_flap_set_separator (ADW_FLAP (flap), gtk_separator_new (GTK_ORIENTATION_VERTICAL));
  gtk_widget_set_vexpand (flap, TRUE);
  gtk_box_append (GTK_BOX (box), header);
  gtk_box_append (GTK_BOX (box), flap);
  self->toasts = ADW_TOAST_OVERLAY (adw_toast_overlay_new ());
  adw_toast_overlay_set_child (self->toasts, box);
  adw_window_set_content (ADW_WINDOW (self), GTK_WIDGET (self->toasts));
  gtk_window_set_default_size (GTK_WINDOW (self), 960, 640);
  complete (self);
  adw_combo_row_set_selected (self->width, 3);
  update (self);
  gtk_window_present (GTK_WINDOW (self));
  return self;
}
