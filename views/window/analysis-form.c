/* MsAnalysisForm makes a row for each parameter that is offered, by its type.  The values are always ones
 * that the analysis takes: text that cannot be is marked and the value before stays. */
#include "analysis-form-private.h"

#include "pieces-private.h"
#include "tab-list-private.h"

#include <math.h>
#include <string.h>

struct _MsAnalysisForm
{
  AdwBin parent_instance;
  const MsAnalysis *analysis;
  MsValues *values;
  GHashTable *inputs; /* name -> widget that holds the value */
};

G_DEFINE_FINAL_TYPE (MsAnalysisForm, ms_analysis_form, ADW_TYPE_BIN)

static guint changed_signal;

static const MsParam *
input_param (GObject *input)
{
  return g_object_get_data (input, "moescope-param");
}

/* Stores what an input says; text that cannot be is marked and keeps the old value. */
static void
store (MsAnalysisForm *self, GObject *input, const char *text)
{
  g_autoptr (GError) error = NULL;
  gboolean fine = ms_values_set (self->values, input_param (input)->name, text, &error);

  if (fine)
    gtk_widget_remove_css_class (GTK_WIDGET (input), "error");
  else
    gtk_widget_add_css_class (GTK_WIDGET (input), "error");
  gtk_widget_set_tooltip_text (GTK_WIDGET (input), fine ? NULL : error->message);
  if (fine)
    g_signal_emit (self, changed_signal, 0);
}

static void
on_number (GtkAdjustment *adjustment, gpointer data)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  GObject *input = g_object_get_data (G_OBJECT (adjustment), "moescope-input");

  if (input_param (input)->type == MS_PARAM_INT)
    g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT,
                (gint64) llround (gtk_adjustment_get_value (adjustment)));
  else
    g_ascii_formatd (text, sizeof text, "%.9g", gtk_adjustment_get_value (adjustment));
  store (data, input, text);
}

static void
on_switch (GObject *input, GParamSpec *pspec, gpointer data)
{
  store (data, input, gtk_switch_get_active (GTK_SWITCH (input)) ? "yes" : "no");
}

static void
on_choice (GObject *input, GParamSpec *pspec, gpointer data)
{
  store (data, input,
         input_param (input)->choices[adw_combo_row_get_selected (ADW_COMBO_ROW (input))]);
}

static void
on_text (GObject *input, gpointer data)
{
  store (data, input, gtk_editable_get_text (GTK_EDITABLE (input)));
}

static void
on_file_chosen (GtkNativeDialog *dialog, int response, gpointer data)
{
  GtkEditable *entry = data;

  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
      g_autofree char *path = g_file_get_path (file);

      gtk_editable_set_text (entry, path ? path : "");
      g_signal_emit_by_name (entry, "apply");
    }
  g_object_unref (dialog);
}

static void
on_choose_file (GtkWidget *button, gpointer data)
{
  GtkFileChooserNative *chooser
      = gtk_file_chooser_native_new (_ ("Choose a File"), GTK_WINDOW (gtk_widget_get_root (button)),
                                     GTK_FILE_CHOOSER_ACTION_OPEN, NULL, NULL);

  g_signal_connect (chooser, "response", G_CALLBACK (on_file_chosen), data);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

static void
name_input (GtkWidget *input, const MsParam *param)
{
  gtk_accessible_update_property (GTK_ACCESSIBLE (input), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ (param->title), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                  _ (param->help), -1);
}

static GtkWidget *
plain_row (const MsParam *param)
{
  GtkWidget *row = adw_action_row_new ();
  g_autofree char *title = param->unit
                               ? g_strdup_printf ("%s (%s)", _ (param->title), _ (param->unit))
                               : g_strdup (_ (param->title));

  ms_row_set_texts (row, title, _ (param->help));
  return row;
}

static GtkWidget *
number_row (MsAnalysisForm *self, const MsParam *param, gboolean slider, GtkWidget **input)
{
  gboolean whole = param->type == MS_PARAM_INT;
  gboolean ui = param->ui_least < param->ui_most;
  double least = ui && slider ? param->ui_least : param->least;
  double most = ui && slider ? param->ui_most : param->most;
  double value = whole ? (double) ms_values_int (self->values, param->name)
                       : ms_values_real (self->values, param->name);
  double step = whole ? 1 : pow (10, floor (log10 (MAX (most - least, 1e-9))) - 2);
  GtkAdjustment *adjustment
      = gtk_adjustment_new (value, MIN (least, value), MAX (most, value), step, 10 * step, 0);
  GtkWidget *row = plain_row (param);
  guint digits = whole ? 0 : (guint) CLAMP (ceil (-log10 (step)) + 1, 0, 9);

  *input = gtk_spin_button_new (adjustment, step, digits);
  gtk_spin_button_set_numeric (GTK_SPIN_BUTTON (*input), TRUE);
  if (whole && param->least == -1 && param->usual == -1)
    ms_spin_name_automatic (GTK_SPIN_BUTTON (*input));
  g_object_set_data (G_OBJECT (adjustment), "moescope-input", *input);
  g_signal_connect (adjustment, "value-changed", G_CALLBACK (on_number), self);
  if (slider && most - least > 0 && most - least < 1e7)
    {
      GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
      GtkWidget *scale = gtk_scale_new (GTK_ORIENTATION_HORIZONTAL, adjustment);

      gtk_widget_set_size_request (scale, 150, -1);
      gtk_widget_set_can_focus (scale, FALSE); /* the keys of the number do the same */
      name_input (scale, param);
      gtk_box_append (GTK_BOX (box), *input);
      gtk_box_append (GTK_BOX (box), scale);
      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), NULL);
      gtk_widget_set_tooltip_text (row, _ (param->help));
      ms_row_add_input (row, box);
    }
  else
    ms_row_add_input (row, *input);
  return row;
}

static GtkWidget *
switch_row (MsAnalysisForm *self, const MsParam *param, GtkWidget **input)
{
  GtkWidget *row = plain_row (param);

  *input = gtk_switch_new ();
  gtk_switch_set_active (GTK_SWITCH (*input), ms_values_bool (self->values, param->name));
  g_signal_connect (*input, "notify::active", G_CALLBACK (on_switch), self);
  ms_row_add_input (row, *input);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), *input);
  return row;
}

static GtkWidget *
choice_row (MsAnalysisForm *self, const MsParam *param, GtkWidget **input)
{
  GtkWidget *row = adw_combo_row_new ();
  g_autoptr (GtkStringList) names = gtk_string_list_new (param->choices);

  ms_row_set_texts (row, _ (param->title), _ (param->help));
  adw_combo_row_set_model (ADW_COMBO_ROW (row), G_LIST_MODEL (names));
  adw_combo_row_set_selected (ADW_COMBO_ROW (row), ms_values_choice (self->values, param->name));
  g_signal_connect (row, "notify::selected", G_CALLBACK (on_choice), self);
  *input = row;
  return row;
}

static GtkWidget *
text_row (MsAnalysisForm *self, const MsParam *param, GtkWidget **input)
{
  GtkWidget *row = adw_entry_row_new ();

  ms_row_set_texts (row, _ (param->title), NULL);
  gtk_widget_set_tooltip_text (row, _ (param->help));
  gtk_editable_set_text (GTK_EDITABLE (row), ms_values_text (self->values, param->name));
  adw_entry_row_set_show_apply_button (ADW_ENTRY_ROW (row), TRUE);
  g_signal_connect (row, "apply", G_CALLBACK (on_text), self);
  if (param->type == MS_PARAM_FILE)
    {
      GtkWidget *button = gtk_button_new_from_icon_name ("document-open-symbolic");

      gtk_widget_add_css_class (button, "flat");
      gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
      gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                      _ ("Choose a File"), -1);
      g_signal_connect (button, "clicked", G_CALLBACK (on_choose_file), row);
      adw_entry_row_add_suffix (ADW_ENTRY_ROW (row), button);
    }
  *input = row;
  return row;
}

static GtkWidget *
make_row (MsAnalysisForm *self, const MsParam *param, gboolean sliders)
{
  GtkWidget *input = NULL, *row = NULL;

  switch (param->type)
    {
    case MS_PARAM_INT:
    case MS_PARAM_REAL:
      row = number_row (self, param, sliders, &input);
      break;
    case MS_PARAM_BOOL:
      row = switch_row (self, param, &input);
      break;
    case MS_PARAM_CHOICE:
      row = choice_row (self, param, &input);
      break;
    case MS_PARAM_TEXT:
    case MS_PARAM_FILE:
      row = text_row (self, param, &input);
      break;
    }
  g_object_set_data (G_OBJECT (input), "moescope-param", (gpointer) param);
  name_input (input, param);
  g_hash_table_insert (self->inputs, (gpointer) param->name, input);
  return row;
}

static void
finalize (GObject *object)
{
  MsAnalysisForm *self = MS_ANALYSIS_FORM (object);

  g_hash_table_unref (self->inputs);
  g_clear_pointer (&self->values, ms_values_free);
  G_OBJECT_CLASS (ms_analysis_form_parent_class)->finalize (object);
}

static void
ms_analysis_form_class_init (MsAnalysisFormClass *class)
{
  G_OBJECT_CLASS (class)->finalize = finalize;
  changed_signal = g_signal_new ("changed", MS_TYPE_ANALYSIS_FORM, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
}

static void
ms_analysis_form_init (MsAnalysisForm *self)
{
  self->inputs = g_hash_table_new (g_str_hash, g_str_equal);
}

GtkWidget *
ms_analysis_form_new (const MsAnalysis *analysis, gboolean sliders, const char *only)
{
  g_auto (GStrv) names = only ? g_strsplit (only, " ", -1) : NULL;
  gboolean any = FALSE;
  MsAnalysisForm *self = g_object_new (MS_TYPE_ANALYSIS_FORM, NULL);
  GtkWidget *list = gtk_list_box_new ();

  self->analysis = analysis;
  self->values = ms_values_new (analysis);
  ms_widget_name (list, _ ("Settings"));
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
    if (names == NULL || g_strv_contains ((const char *const *) names, param->name))
      {
        gtk_list_box_append (GTK_LIST_BOX (list), make_row (self, param, sliders));
        any = TRUE;
      }
  gtk_widget_set_visible (list, any);
  gtk_widget_set_valign (list, GTK_ALIGN_START);
  adw_bin_set_child (ADW_BIN (self), ms_tab_form_new (GTK_LIST_BOX (list)));
  return GTK_WIDGET (self);
}

MsValues *
ms_analysis_form_dup_values (MsAnalysisForm *self)
{
  return ms_values_copy (self->values);
}

gboolean
ms_analysis_form_set (MsAnalysisForm *self, const char *name, const char *text, GError **error)
{
  g_autoptr (MsValues) trial = ms_values_copy (self->values);
  GtkWidget *input = g_hash_table_lookup (self->inputs, name);

  if (!ms_values_set (trial, name, text, error))
    return FALSE;
  if (input == NULL) /* not offered */
    return ms_values_set (self->values, name, text, error);
  switch (input_param (G_OBJECT (input))->type)
    {
    case MS_PARAM_INT:
      gtk_spin_button_set_value (GTK_SPIN_BUTTON (input), (double) ms_values_int (trial, name));
      break;
    case MS_PARAM_REAL:
      gtk_spin_button_set_value (GTK_SPIN_BUTTON (input), ms_values_real (trial, name));
      break;
    case MS_PARAM_BOOL:
      gtk_switch_set_active (GTK_SWITCH (input), ms_values_bool (trial, name));
      break;
    case MS_PARAM_CHOICE:
      adw_combo_row_set_selected (ADW_COMBO_ROW (input), ms_values_choice (trial, name));
      break;
    case MS_PARAM_TEXT:
    case MS_PARAM_FILE:
      gtk_editable_set_text (GTK_EDITABLE (input), text);
      g_signal_emit_by_name (input, "apply");
      break;
    }
  return TRUE;
}

static char *
format_value (const MsValues *values, const MsParam *param)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  switch (param->type)
    {
    case MS_PARAM_INT:
      return g_strdup_printf ("%" G_GINT64_FORMAT, ms_values_int (values, param->name));
    case MS_PARAM_REAL:
      return g_strdup (g_ascii_dtostr (text, sizeof text, ms_values_real (values, param->name)));
    case MS_PARAM_BOOL:
      return g_strdup (ms_values_bool (values, param->name) ? "yes" : "no");
    case MS_PARAM_CHOICE:
      return g_strdup (param->choices[ms_values_choice (values, param->name)]);
    case MS_PARAM_TEXT:
    case MS_PARAM_FILE:
    default:
      return g_strdup (ms_values_text (values, param->name));
    }
}

void
ms_analysis_form_set_values (MsAnalysisForm *self, const MsValues *values)
{
  for (const MsParam *param = self->analysis->params; param != NULL && param->name != NULL; param++)
    {
      g_autofree char *before = format_value (self->values, param);
      g_autofree char *text = format_value (values, param);

      if (strcmp (before, text) != 0)
        ms_analysis_form_set (self, param->name, text, NULL);
    }
}
