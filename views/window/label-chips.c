/* MsLabelChips makes its buttons anew when the run is another.  It reads plain facts of run items alone. */
#include "label-chips-private.h"

#include "pieces-private.h"

#define MOST_CHIPS 24

struct _MsLabelChips
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  MsChipKind kind;
  GtkFlowBox *flow;
  char *shown; /* file and run */
};

G_DEFINE_FINAL_TYPE (MsLabelChips, ms_label_chips, ADW_TYPE_BIN)

enum
{
  PROP_ANY = 1,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

static void
add_chip (MsLabelChips *self, const char *text, const char *name, const char *action,
          GVariant *target)
{
  GtkWidget *chip = gtk_button_new_with_label (text);

  gtk_widget_add_css_class (chip, "crumb");
  ms_widget_name (chip, name);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (chip), action);
  gtk_actionable_set_action_target_value (GTK_ACTIONABLE (chip), target);
  gtk_flow_box_append (self->flow, chip);
  gtk_widget_set_focusable (gtk_widget_get_parent (chip), FALSE);
}

typedef struct
{
  const char *value;
  guint documents;
} Value;

static int
compare_values (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (((const Value *) a)->value, ((const Value *) b)->value);
}

static int
compare_sizes (gconstpointer a, gconstpointer b)
{
  const Value *left = a, *right = b;

  return left->documents != right->documents ? left->documents < right->documents ? 1 : -1
                                             : compare_values (a, b);
}

/* The values of a label over the corpus, those of most documents, by name. (transfer full) */
static GArray *
list_values (const MsCorpus *corpus, gboolean language)
{
  g_autoptr (GHashTable) counts = g_hash_table_new (g_str_hash, g_str_equal);
  GArray *values = g_array_new (FALSE, FALSE, sizeof (Value));
  GHashTableIter iter;
  gpointer name, count;

  for (guint i = 0; i < corpus->n_documents; i++)
    {
      const char *value = language ? corpus->documents[i].language : corpus->documents[i].domain;

      if (value != NULL)
        g_hash_table_insert (
            counts, (gpointer) value,
            GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (counts, value)) + 1));
    }
  g_hash_table_iter_init (&iter, counts);
  while (g_hash_table_iter_next (&iter, &name, &count))
    g_array_append_val (values, ((Value){ name, GPOINTER_TO_UINT (count) }));
  g_array_sort (values, compare_sizes);
  g_array_set_size (values, MIN (values->len, MOST_CHIPS));
  g_array_sort (values, compare_values);
  return values;
}

static void
add_groups (MsLabelChips *self, MsRunItem *run)
{
  for (guint domain = 0; domain < 2; domain++)
    {
      g_autoptr (GArray) values = list_values (ms_run_item_corpus (run), !domain);

      if (values->len < 2)
        continue;
      for (guint i = 0; i < values->len; i++)
        {
          const char *value = g_array_index (values, Value, i).value;
          g_autofree char *name = g_strdup_printf (_ ("Experts specialised on %s"), value);

          add_chip (self, value, name, "win.specialists",
                    g_variant_new ("(ss)", domain ? "domain" : "language", value));
        }
      return;
    }
}

static void
add_runs (MsLabelChips *self, MsRunItem *run)
{
  GListModel *runs = ms_workbench_get_runs (self->bench);
  guint n = g_list_model_get_n_items (runs), added = 0;

  for (guint i = n; i > 0 && added < MOST_CHIPS; i--)
    {
      g_autoptr (MsRunItem) item = g_list_model_get_item (runs, i - 1);
      g_autofree char *label = ms_run_item_dup_label (item), *name = NULL;

      if (item == run || ms_run_item_corpus (item)->id != ms_run_item_corpus (run)->id)
        continue;
      name = g_strdup_printf (_ ("Compare with run %s"), label);
      add_chip (self, label, name, "win.compare-with",
                g_variant_new_int64 (ms_run_item_run (item)->id));
      added++;
    }
}

static void
follow (MsLabelChips *self)
{
  MsRunItem *run = ms_workbench_get_run (self->bench);
  g_autofree char *now
      = run == NULL
            ? NULL
            : g_strdup_printf ("%u %" G_GINT64_FORMAT " %u", ms_workbench_get_serial (self->bench),
                               ms_run_item_run (run)->id,
                               g_list_model_get_n_items (ms_workbench_get_runs (self->bench)));
  GtkWidget *child;

  if (g_strcmp0 (now, self->shown) == 0)
    return;
  g_free (self->shown);
  self->shown = g_steal_pointer (&now);
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->flow))) != NULL)
    gtk_flow_box_remove (self->flow, child);
  if (run != NULL && self->kind == MS_CHIPS_GROUPS)
    add_groups (self, run);
  else if (run != NULL)
    add_runs (self, run);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_ANY]);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  g_value_set_boolean (
      value, gtk_widget_get_first_child (GTK_WIDGET (MS_LABEL_CHIPS (object)->flow)) != NULL);
}

static void
dispose (GObject *object)
{
  MsLabelChips *self = MS_LABEL_CHIPS (object);

  g_clear_object (&self->bench);
  g_clear_pointer (&self->shown, g_free);
  G_OBJECT_CLASS (ms_label_chips_parent_class)->dispose (object);
}

static void
ms_label_chips_class_init (MsLabelChipsClass *class)
{
  G_OBJECT_CLASS (class)->get_property = get_property;
  G_OBJECT_CLASS (class)->dispose = dispose;
  props[PROP_ANY]
      = g_param_spec_boolean ("any", NULL, NULL, FALSE,
                              G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY);
  g_object_class_install_properties (G_OBJECT_CLASS (class), N_PROPS, props);
}

static void
ms_label_chips_init (MsLabelChips *self)
{
  self->flow = GTK_FLOW_BOX (gtk_flow_box_new ());
  gtk_flow_box_set_selection_mode (self->flow, GTK_SELECTION_NONE);
  gtk_flow_box_set_max_children_per_line (self->flow, MOST_CHIPS);
  gtk_flow_box_set_row_spacing (self->flow, 3);
  gtk_flow_box_set_column_spacing (self->flow, 3);
  gtk_widget_set_hexpand (GTK_WIDGET (self), TRUE);
  adw_bin_set_child (ADW_BIN (self), GTK_WIDGET (self->flow));
}

GtkWidget *
ms_label_chips_new (MsWorkbench *bench, MsChipKind kind)
{
  MsLabelChips *self = g_object_new (MS_TYPE_LABEL_CHIPS, NULL);

  self->bench = g_object_ref (bench);
  self->kind = kind;
  ms_widget_name (GTK_WIDGET (self->flow),
                  kind == MS_CHIPS_GROUPS ? _ ("Languages or Domains") : _ ("Other Runs"));
  g_signal_connect_object (bench, "notify::state", G_CALLBACK (follow), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text", G_CALLBACK (follow),
                           self, G_CONNECT_SWAPPED);
  follow (self);
  return GTK_WIDGET (self);
}
