/* MsCacheScreen simulates all sizes at once, so its slider only looks: a line in the curves and the numbers
 * of that size, without computing anything. */
#include "cache-screen-private.h"

#include "cache-target-private.h"
#include "pieces-private.h"
#include "table-view-private.h"

#include <math.h>
#include <string.h>

struct _MsCacheScreen
{
  MsAnalysisScreen parent_instance;
  GtkScale *scale; /* over places in sizes */
  GtkLabel *readout;
  MsTable *shown; /* the policies at that size */
  GtkGrid *policies;
  MsTableView *layers;
  GtkWidget *top;
  MsCacheTarget *target;
  guint file;    /* serial of the one that `slots` was chosen in */
  GArray *sizes; /* of gint64, ascending: those simulated */
  gint64 slots;  /* 0 = half of the experts */
};

G_DEFINE_FINAL_TYPE (MsCacheScreen, ms_cache_screen, MS_TYPE_ANALYSIS_SCREEN)

#define SIMULATOR "Simulator"

const MsTab ms_cache_tabs[] = {
  { .title = N_ (SIMULATOR),
    .analysis = "cache",
    .plots = "hit-rate time layers",
    .params = "policies mode scope reset warm prefetch prefetch-experts bandwidth expert-megabytes "
              "overlap aging",
    /* What the shuffled text gives doubles the time, and no figure here shows it. */
    .values = "null=no",
    .keep = TRUE },
  { .title = N_ ("All Capacities"), .analysis = "hit-rate" },
  { NULL },
};

#define SIZE_COLUMNS                                                                               \
  { "policy", "Policy", NULL, MS_COLUMN_TEXT, NULL },                                              \
      { "hit_rate", "Hit rate", NULL, MS_COLUMN_REAL, NULL },                                      \
      { "loads_per_token", "Loads per token", "experts", MS_COLUMN_REAL, NULL },                   \
      { "megabytes_per_token", "Transfer per token", "MB", MS_COLUMN_REAL, NULL },                 \
  {                                                                                                \
    "milliseconds_per_token", "Waiting per token", "ms", MS_COLUMN_REAL, NULL                      \
  }

static const MsTableDef policies_def
    = { "policies", N_ ("At this size"), (const MsColumn[]){ SIZE_COLUMNS, { 0 } } };
static const MsTableDef layers_def = {
  "layers", N_ ("Every layer at this size"),
  (const MsColumn[]){ { "layer", "Layer", NULL, MS_COLUMN_INT, NULL }, SIZE_COLUMNS, { 0 } }
};

/* --- Sizes ------------------------------------------------------------------------------------ */

static int
compare_sizes (gconstpointer a, gconstpointer b)
{
  gint64 left = *(const gint64 *) a, right = *(const gint64 *) b;

  return (left > right) - (left < right);
}

static void
list_sizes (MsCacheScreen *self, const MsTable *total)
{
  guint column = (guint) ms_table_find_column (total, "capacity"), kept = 0;

  g_array_set_size (self->sizes, 0);
  for (guint row = 0; row < ms_table_n_rows (total); row++)
    {
      gint64 size = ms_table_get_int (total, row, column);

      g_array_append_val (self->sizes, size);
    }
  g_array_sort (self->sizes, compare_sizes);
  for (guint i = 0; i < self->sizes->len; i++)
    {
      gint64 size = g_array_index (self->sizes, gint64, i);

      if (kept == 0 || size != g_array_index (self->sizes, gint64, kept - 1))
        g_array_index (self->sizes, gint64, kept++) = size;
    }
  g_array_set_size (self->sizes, kept);
}

/* The place of the least size that holds `slots`, the last when none does. */
static guint
place_of (MsCacheScreen *self, gint64 slots)
{
  guint place = 0;

  while (place + 1 < self->sizes->len && g_array_index (self->sizes, gint64, place) < slots)
    place++;
  return place;
}

/* --- What is shown of one size ---------------------------------------------------------------- */

/* The rows of `from` at a size, with the columns of `def`; runs shown together are told apart. */
static MsTable *
at_size (const MsTable *from, gint64 size, const MsTableDef *def)
{
  MsTable *table = ms_table_new (def);
  guint capacity = (guint) ms_table_find_column (from, "capacity");
  int run = ms_table_find_column (from, MS_RUN_COLUMN);

  for (guint row = 0; row < ms_table_n_rows (from); row++)
    {
      if (ms_table_get_int (from, row, capacity) != size)
        continue;
      for (const MsColumn *column = def->columns; column->name != NULL; column++)
        {
          guint at = (guint) ms_table_find_column (from, column->name);

          if (column->type == MS_COLUMN_INT)
            ms_table_put (table, MS_INT (ms_table_get_int (from, row, at)));
          else if (column->type == MS_COLUMN_REAL)
            ms_table_put (table, MS_REAL (ms_table_get_real (from, row, at)));
          else if (run < 0)
            ms_table_put (table, MS_TEXT (ms_table_get_text (from, row, at)));
          else
            {
              g_autofree char *text
                  = g_strdup_printf ("%s · %s", ms_table_get_text (from, row, (guint) run),
                                     ms_table_get_text (from, row, at));

              ms_table_put (table, MS_TEXT (text));
            }
        }
      ms_table_end_row (table);
    }
  return table;
}

/* Bytes of one expert as the simulation took them. */
static double
expert_bytes (MsCacheScreen *self, const MsOutcome *outcome)
{
  MsRunItem *run = ms_workbench_get_run (ms_screen_get_bench (MS_SCREEN (self)));
  double megabytes = outcome->request->values != NULL
                         ? ms_values_real (outcome->request->values, "expert-megabytes")
                         : 0;

  return megabytes > 0 ? megabytes * 1e6
         : run != NULL ? (double) ms_run_item_model (run)->expert_bytes
                       : 0;
}

/* The layers simulated, which the selection may have chosen; 0 = one cache for all of them. */
static guint
count_layers (const MsOutcome *outcome)
{
  const MsTable *layers = ms_result_table (outcome->result, "layers");
  const gint64 *numbers = ms_table_ints (layers, (guint) ms_table_find_column (layers, "layer"));
  g_autoptr (GHashTable) seen = g_hash_table_new (g_int64_hash, g_int64_equal);

  for (guint row = 0; row < ms_table_n_rows (layers); row++)
    g_hash_table_add (seen, (gpointer) &numbers[row]);
  return g_hash_table_size (seen);
}

/* The sentence of the pane, about the size looked at. */
static void
tell_rates (MsCacheScreen *self, MsAnalysisPane *pane, const char *size)
{
  g_autoptr (GString) text = g_string_new (NULL);

  g_string_append_printf (text, _ ("With %s the hit rate is"), size);
  for (guint row = 0; row < ms_table_n_rows (self->shown); row++)
    g_string_append_printf (text, "%s %.1f %% (%s)", row > 0 ? "," : "",
                            100 * ms_table_get_real (self->shown, row, 1),
                            ms_table_get_text (self->shown, row, 0));
  g_string_append_c (text, '.');
  ms_analysis_pane_set_summary (pane, text->str);
}

static void
tell_size (MsCacheScreen *self, MsAnalysisPane *pane, const MsOutcome *outcome, gint64 size)
{
  gint64 most = g_array_index (self->sizes, gint64, self->sizes->len - 1);
  double bytes = expert_bytes (self, outcome);
  guint n_layers = count_layers (outcome);
  g_autofree char *share
      = n_layers == 1 ? g_strdup_printf (_ ("%d of %d slots in the layer"), (int) size, (int) most)
        : n_layers > 0
            ? g_strdup_printf (_ ("%d of %d slots in each of %u layers"), (int) size, (int) most,
                               n_layers)
            : g_strdup_printf (_ ("%d of %d slots for all layers"), (int) size, (int) most);
  g_autofree char *memory
      = bytes > 0 ? g_format_size ((guint64) (bytes * (double) size * MAX (n_layers, 1))) : NULL;
  g_autofree char *text
      = memory != NULL ? g_strdup_printf (_ ("%s, %s of memory"), share, memory) : g_strdup (share);

  gtk_label_set_text (self->readout, text);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->scale), GTK_ACCESSIBLE_PROPERTY_VALUE_TEXT,
                                  text, -1);
  tell_rates (self, pane, text);
}

static GtkWidget *
grid_label (const char *text, gboolean head, gboolean number)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_xalign (GTK_LABEL (label), number ? 1 : 0);
  gtk_widget_add_css_class (label, head ? "dim-label" : number ? "numeric" : "heading");
  if (head)
    gtk_widget_add_css_class (label, "caption");
  return label;
}

static char *
format_number (double value, gboolean percent)
{
  char number[MS_NUMBER_SIZE];

  if (isnan (value))
    return g_strdup ("–");
  g_ascii_formatd (number, sizeof number,
                   percent             ? "%.1f"
                   : fabs (value) < 10 ? "%.3g"
                                       : "%.0f",
                   percent ? 100 * value : value);
  return g_strconcat (number, percent ? " %" : NULL, NULL);
}

/* Policies below each other, in few digits: the table twin of the figure has them all. */
static void
fill_policies (MsCacheScreen *self)
{
  static const char *const heads[]
      = { N_ ("Policy"), N_ ("Hit rate"), N_ ("Loads/token"), N_ ("MB/token"), N_ ("ms/token") };
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->policies))) != NULL)
    gtk_grid_remove (self->policies, child);
  for (guint column = 0; column < G_N_ELEMENTS (heads); column++)
    gtk_grid_attach (self->policies, grid_label (_ (heads[column]), TRUE, column > 0), (int) column,
                     0, 1, 1);
  for (guint row = 0; row < ms_table_n_rows (self->shown); row++)
    {
      gtk_grid_attach (self->policies,
                       grid_label (ms_table_get_text (self->shown, row, 0), FALSE, FALSE), 0,
                       (int) row + 1, 1, 1);
      for (guint column = 1; column < G_N_ELEMENTS (heads); column++)
        {
          double value = ms_table_get_real (self->shown, row, column);
          g_autofree char *text = format_number (value, column == 1);

          gtk_grid_attach (self->policies, grid_label (text, FALSE, TRUE), (int) column,
                           (int) row + 1, 1, 1);
        }
    }
}

static void
show_size (MsCacheScreen *self)
{
  MsAnalysisPane *pane = ms_analysis_screen_get_tab_pane (MS_ANALYSIS_SCREEN (self), SIMULATOR);
  MsOutcome *outcome = ms_analysis_pane_get_outcome (pane);
  guint place = (guint) gtk_range_get_value (GTK_RANGE (self->scale));
  g_autoptr (MsTable) layers = NULL;
  MsFigureView *view;

  if (outcome == NULL || place >= self->sizes->len)
    return;
  self->slots = g_array_index (self->sizes, gint64, place);
  g_clear_pointer (&self->shown, ms_table_unref);
  self->shown = at_size (ms_result_table (outcome->result, "total"), self->slots, &policies_def);
  layers = at_size (ms_result_table (outcome->result, "layers"), self->slots, &layers_def);
  fill_policies (self);
  ms_table_view_set_table (self->layers, layers);
  tell_size (self, pane, outcome, self->slots);
  for (guint n = 0; (view = ms_analysis_pane_get_figure (pane, n)) != NULL; n++)
    ms_figure_canvas_set_rule (ms_figure_view_get_canvas (view), "capacity", (double) self->slots);
}

static void
on_outcome (MsCacheScreen *self, MsAnalysisPane *pane)
{
  MsOutcome *outcome = ms_analysis_pane_get_outcome (pane);
  MsTable *total = outcome != NULL ? ms_result_table (outcome->result, "total") : NULL;
  guint file = ms_workbench_get_serial (ms_screen_get_bench (MS_SCREEN (self)));
  gint64 slots = file == self->file ? self->slots : 0; /* a shorter range moves the slider */

  self->file = file;
  ms_cache_target_follow (self->target, total != NULL ? outcome : NULL);
  gtk_widget_set_visible (self->top, total != NULL && ms_table_n_rows (total) > 0);
  if (total == NULL || ms_table_n_rows (total) == 0)
    return;
  list_sizes (self, total);
  gtk_range_set_range (GTK_RANGE (self->scale), 0, MAX (1, (double) self->sizes->len - 1));
  gtk_widget_set_sensitive (GTK_WIDGET (self->scale), self->sizes->len > 1);
  ms_cache_screen_set_slots (self, slots);
}

void
ms_cache_screen_set_slots (MsCacheScreen *self, gint64 slots)
{
  self->slots = slots;
  if (slots <= 0 && self->sizes->len > 0)
    self->slots = MAX (g_array_index (self->sizes, gint64, self->sizes->len - 1) / 2, 1);
  if (self->sizes->len == 0)
    return;
  gtk_range_set_value (GTK_RANGE (self->scale), place_of (self, self->slots));
  show_size (self);
}

gint64
ms_cache_screen_get_slots (MsCacheScreen *self)
{
  return self->slots;
}

void
ms_cache_screen_show_half (MsCacheScreen *self)
{
  ms_analysis_screen_reset_tab (MS_ANALYSIS_SCREEN (self), SIMULATOR);
  ms_cache_screen_set_slots (self, 0);
}

MsCacheTarget *
ms_cache_screen_get_target (MsCacheScreen *self)
{
  return self->target;
}

MsTable *
ms_cache_screen_get_table (MsCacheScreen *self)
{
  return self->shown;
}

/* --- Building --------------------------------------------------------------------------------- */

static void
finalize (GObject *object)
{
  MsCacheScreen *self = MS_CACHE_SCREEN (object);

  g_array_unref (self->sizes);
  g_clear_pointer (&self->shown, ms_table_unref);
  G_OBJECT_CLASS (ms_cache_screen_parent_class)->finalize (object);
}

static void
ms_cache_screen_class_init (MsCacheScreenClass *class)
{
  G_OBJECT_CLASS (class)->finalize = finalize;
}

static void
ms_cache_screen_init (MsCacheScreen *self)
{
  self->sizes = g_array_new (FALSE, FALSE, sizeof (gint64));
}

static GtkWidget *
make_top (MsCacheScreen *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *label = gtk_label_new_with_mnemonic (_ ("Cache s_ize"));
  GtkWidget *layers = gtk_expander_new_with_mnemonic (_ ("Every _Layer at This Size"));

  self->scale = GTK_SCALE (gtk_scale_new_with_range (GTK_ORIENTATION_HORIZONTAL, 0, 1, 1));
  gtk_scale_set_draw_value (self->scale, FALSE);
  gtk_range_set_round_digits (GTK_RANGE (self->scale), 0);
  gtk_widget_set_hexpand (GTK_WIDGET (self->scale), TRUE);
  ms_widget_name (GTK_WIDGET (self->scale), _ ("Cache size"));
  gtk_label_set_mnemonic_widget (GTK_LABEL (label), GTK_WIDGET (self->scale));
  g_signal_connect_object (self->scale, "value-changed", G_CALLBACK (show_size), self,
                           G_CONNECT_SWAPPED);
  self->readout = GTK_LABEL (ms_text_new (NULL, "dim-label"));
  self->policies = GTK_GRID (gtk_grid_new ());
  gtk_grid_set_column_spacing (self->policies, 18);
  gtk_grid_set_row_spacing (self->policies, 3);
  ms_widget_name (GTK_WIDGET (self->policies), _ (policies_def.title));
  self->layers = MS_TABLE_VIEW (ms_table_view_new ());
  gtk_widget_set_size_request (GTK_WIDGET (self->layers), -1, 240);
  ms_widget_name (layers, _ ("Every Layer at This Size"));
  gtk_expander_set_child (GTK_EXPANDER (layers), GTK_WIDGET (self->layers));
  gtk_box_append (GTK_BOX (line), label);
  gtk_box_append (GTK_BOX (line), GTK_WIDGET (self->scale));
  self->target = MS_CACHE_TARGET (ms_cache_target_new (ms_screen_get_bench (MS_SCREEN (self))));
  g_signal_connect_swapped (self->target, "size", G_CALLBACK (ms_cache_screen_set_slots), self);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->target));
  gtk_box_append (GTK_BOX (box), line);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->readout));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->policies));
  gtk_box_append (GTK_BOX (box), layers);
  gtk_widget_set_visible (box, FALSE);
  self->top = box;
  return box;
}

GtkWidget *
ms_cache_screen_new (MsWorkbench *bench)
{
  MsCacheScreen *self = g_object_new (MS_TYPE_CACHE_SCREEN, NULL);

  ms_analysis_screen_construct (MS_ANALYSIS_SCREEN (self), bench, ms_cache_tabs);
  ms_analysis_screen_set_tab_top (MS_ANALYSIS_SCREEN (self), SIMULATOR, make_top (self));
  g_signal_connect_object (ms_analysis_screen_get_tab_pane (MS_ANALYSIS_SCREEN (self), SIMULATOR),
                           "outcome", G_CALLBACK (on_outcome), self, G_CONNECT_SWAPPED);
  return GTK_WIDGET (self);
}
