/* MsCacheTarget turns the simulator round: given the share of hits, the least number of resident experts.  The
 * sizes simulated bound the answer; those between are simulated for the two policies that it names, with
 * intervals.  The list is that of the static policy: the busiest experts of each layer, ties to the lower number. */
#include "cache-target-private.h"

#include "pieces-private.h"
#include "tab-list-private.h"

#include <math.h>
#include <string.h>

#define USUAL_PERCENT 90
#define WAIT          250 /* ms after a change of the target */

static const char *const policies[] = { "static", "lru" };
enum
{
  FIXED,
  LRU,
  N_POLICIES
};

struct _MsCacheTarget
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  GtkSpinButton *percent;
  GtkLabel *answer, *list;
  GtkWidget *show, *expander;
  MsOutcome *simulated; /* of the screen, NULL = nothing is known */
  MsOutcome *exact;     /* of the sizes between, with intervals */
  MsOutcome *load;
  MsWork *job, *load_job;
  guint timer;
  gint64 slots;
  char *csv;
};

G_DEFINE_FINAL_TYPE (MsCacheTarget, ms_cache_target, ADW_TYPE_BIN)

static guint size_signal;

/* The row of the policy with the least capacity that reaches the target; -1 when none does.  *below is the
 * largest capacity that does not. */
static int
find_least (const MsTable *total, const char *policy, double target, gint64 *below)
{
  guint names = (guint) ms_table_find_column (total, "policy");
  guint sizes = (guint) ms_table_find_column (total, "capacity");
  guint rates = (guint) ms_table_find_column (total, "hit_rate");
  int best = -1;

  *below = 0;
  for (guint row = 0; row < ms_table_n_rows (total); row++)
    {
      gint64 size = ms_table_get_int (total, row, sizes);

      if (strcmp (ms_table_get_text (total, row, names), policy) != 0)
        continue;
      if (!(ms_table_get_real (total, row, rates) >= target))
        *below = MAX (*below, size);
      else if (best < 0 || size < ms_table_get_int (total, (guint) best, sizes))
        best = (int) row;
    }
  return best;
}

static gint64
size_of (const MsTable *total, int row)
{
  return ms_table_get_int (total, (guint) row, (guint) ms_table_find_column (total, "capacity"));
}

static gint64
largest_size (const MsTable *total)
{
  gint64 most = 0;

  for (guint row = 0; row < ms_table_n_rows (total); row++)
    most = MAX (most, size_of (total, (int) row));
  return most;
}

static double
target_of (MsCacheTarget *self)
{
  return gtk_spin_button_get_value (self->percent) / 100;
}

/* --- The answer ------------------------------------------------------------------------------- */

static char *
describe_rate (const MsTable *total, int row)
{
  double rate
      = 100
        * ms_table_get_real (total, (guint) row, (guint) ms_table_find_column (total, "hit_rate"));
  double low
      = 100 * ms_table_get_real (total, (guint) row, (guint) ms_table_find_column (total, "low"));
  double high
      = 100 * ms_table_get_real (total, (guint) row, (guint) ms_table_find_column (total, "high"));

  return isnan (low) ? g_strdup_printf ("%.1f %%", rate)
                     : g_strdup_printf ("%.1f %% [%.1f, %.1f]", rate, low, high);
}

static void
show_list (MsCacheTarget *self)
{
  MsTable *experts = self->load != NULL ? ms_result_table (self->load->result, "experts") : NULL;
  g_autoptr (GString) text = g_string_new (NULL), csv = g_string_new ("layer,expert\n");
  const gint64 *layers, *numbers, *counts;
  guint n = experts != NULL ? ms_table_n_rows (experts) : 0, end;

  g_clear_pointer (&self->csv, g_free);
  gtk_widget_set_visible (self->expander, n > 0 && self->slots > 0);
  if (n == 0 || self->slots == 0)
    return;
  layers = ms_table_ints (experts, (guint) ms_table_find_column (experts, "layer"));
  numbers = ms_table_ints (experts, (guint) ms_table_find_column (experts, "expert"));
  counts = ms_table_ints (experts, (guint) ms_table_find_column (experts, "count"));
  for (guint first = 0; first < n; first = end)
    {
      g_autofree gboolean *taken = NULL;

      for (end = first; end < n && layers[end] == layers[first];)
        end++;
      taken = g_new0 (gboolean, end - first);
      g_string_append_printf (text, "%s%s %" G_GINT64_FORMAT ":", first > 0 ? "\n" : "",
                              _ ("Layer"), layers[first]);
      for (gint64 i = 0; i < MIN (self->slots, (gint64) (end - first)); i++)
        {
          guint best = end;

          for (guint row = first; row < end; row++)
            if (!taken[row - first] && (best == end || counts[row] > counts[best]))
              best = row;
          taken[best - first] = TRUE;
          g_string_append_printf (text, " %" G_GINT64_FORMAT, numbers[best]);
          g_string_append_printf (csv, "%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT "\n", layers[first],
                                  numbers[best]);
        }
    }
  self->csv = g_string_free (g_steal_pointer (&csv), FALSE);
  gtk_label_set_text (self->list, text->str);
}

static void
say (MsCacheTarget *self)
{
  const MsTable *total
      = self->exact != NULL ? ms_result_table (self->exact->result, "total") : NULL;
  double target = target_of (self);
  gint64 below, most;
  int fixed, lru;
  g_autofree char *text = NULL, *rate = NULL, *other = NULL;

  self->slots = 0;
  gtk_widget_set_sensitive (self->show, FALSE);
  if (total == NULL)
    return;
  most = largest_size (ms_result_table (self->simulated->result, "total"));
  fixed = find_least (total, policies[FIXED], target, &below);
  lru = find_least (total, policies[LRU], target, &below);
  if (fixed >= 0)
    {
      self->slots = size_of (total, fixed);
      rate = describe_rate (total, fixed);
    }
  if (lru >= 0)
    other = describe_rate (total, lru);
  if (fixed >= 0 && lru >= 0)
    text = g_strdup_printf (
        _ ("%d of %d experts of each layer, kept for good, give %s of hits; an LRU "
           "cache needs %d for %s."),
        (int) self->slots, (int) most, rate, (int) size_of (total, lru), other);
  else if (fixed >= 0)
    text = g_strdup_printf (_ ("%d of %d experts of each layer, kept for good, give %s of hits; an "
                               "LRU cache of no size "
                               "reaches that."),
                            (int) self->slots, (int) most, rate);
  else
    text = g_strdup (_ ("No number of resident experts reaches that."));
  gtk_label_set_text (self->answer, text);
  gtk_widget_set_sensitive (self->show, self->slots > 0);
  show_list (self);
}

static void
on_load (GObject *owner, gpointer result, const GError *error)
{
  MsCacheTarget *self = MS_CACHE_TARGET (owner);

  g_clear_object (&self->load_job);
  g_clear_pointer (&self->load, ms_outcome_unref);
  self->load = result;
  show_list (self);
}

static void
on_exact (GObject *owner, gpointer result, const GError *error)
{
  MsCacheTarget *self = MS_CACHE_TARGET (owner);

  g_clear_object (&self->job);
  g_clear_pointer (&self->exact, ms_outcome_unref);
  self->exact = result;
  if (error != NULL)
    gtk_label_set_text (self->answer, error->message);
  say (self);
}

/* Adds the sizes above `below` and up to `to` that are not there yet, as many as the simulator takes. */
static void
add_sizes (GString *text, GHashTable *seen, gint64 below, gint64 to)
{
  for (gint64 size = MAX (below + 1, to - 30); size <= to; size++)
    if (g_hash_table_add (seen, GINT_TO_POINTER ((int) size)))
      g_string_append_printf (text, "%s%" G_GINT64_FORMAT, text->len > 0 ? "," : "", size);
}

/* Asks for the sizes between the simulated ones that bound the answer. */
static void
ask (MsCacheTarget *self)
{
  const MsTable *total = ms_result_table (self->simulated->result, "total");
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  g_autoptr (GString) sizes = g_string_new (NULL);
  MsRequest *request;

  for (guint p = 0; p < N_POLICIES; p++)
    {
      gint64 below;
      int row = find_least (total, policies[p], target_of (self), &below);

      if (row >= 0)
        add_sizes (sizes, seen, below, size_of (total, row));
    }
  if (sizes->len == 0)
    {
      gtk_label_set_text (self->answer, _ ("No number of resident experts reaches that."));
      return;
    }
  request = ms_request_copy (self->simulated->request);
  ms_request_set (request, "policies", "static,lru");
  ms_request_set (request, "capacities", sizes->str);
  ms_request_set (request, "null", "no");
  request->sampling = MS_SAMPLING_USUAL;
  ms_work_drop (&self->job);
  self->job = ms_workbench_analyze (self->bench, request, 0, on_exact, NULL, G_OBJECT (self));
}

static gboolean
on_timer (gpointer data)
{
  MsCacheTarget *self = data;

  self->timer = 0;
  ask (self);
  return G_SOURCE_REMOVE;
}

/* What is shown is no answer to what is asked now. */
static void
forget_answer (MsCacheTarget *self)
{
  ms_work_drop (&self->job);
  g_clear_pointer (&self->exact, ms_outcome_unref);
  self->slots = 0;
  gtk_label_set_text (self->answer, "\xe2\x80\xa6");
  gtk_widget_set_visible (self->expander, FALSE);
  gtk_widget_set_sensitive (self->show, FALSE);
}

static void
on_percent (MsCacheTarget *self)
{
  g_clear_handle_id (&self->timer, g_source_remove);
  forget_answer (self);
  if (self->simulated != NULL)
    self->timer = g_timeout_add (WAIT, on_timer, self);
}

static void
ask_for_load (MsCacheTarget *self)
{
  MsRequest *request = ms_request_new (ms_known_analysis ("load"));

  request->run = self->simulated->request->run;
  request->selection = ms_selection_copy (self->simulated->request->selection);
  ms_work_drop (&self->load_job);
  self->load_job = ms_workbench_analyze (self->bench, request, 0, on_load, NULL, G_OBJECT (self));
}

void
ms_cache_target_follow (MsCacheTarget *self, MsOutcome *simulated)
{
  MsOutcome *one = simulated == NULL         ? NULL
                   : simulated->runs != NULL ? g_ptr_array_index (simulated->runs, 0)
                                             : simulated;
  gint64 below;

  g_clear_handle_id (&self->timer, g_source_remove);
  g_clear_pointer (&self->simulated, ms_outcome_unref);
  forget_answer (self);
  /* Of one cache for all layers there is no number for each of them. */
  gtk_widget_set_visible (
      GTK_WIDGET (self),
      one != NULL && ms_table_n_rows (ms_result_table (one->result, "layers")) > 0
          && find_least (ms_result_table (one->result, "total"), policies[FIXED], 0, &below) >= 0);
  if (!gtk_widget_get_visible (GTK_WIDGET (self)) || one->share < 1)
    return;
  self->simulated = ms_outcome_ref (one);
  ask (self);
  ask_for_load (self);
}

void
ms_cache_target_set (MsCacheTarget *self, double percent)
{
  gtk_spin_button_set_value (self->percent, percent);
}

const char *
ms_cache_target_get_answer (MsCacheTarget *self)
{
  return self->exact != NULL ? gtk_label_get_text (self->answer) : "";
}

gint64
ms_cache_target_get_slots (MsCacheTarget *self)
{
  return self->slots;
}

const char *
ms_cache_target_get_list (MsCacheTarget *self)
{
  return self->csv;
}

/* --- Building --------------------------------------------------------------------------------- */

static void
on_show (MsCacheTarget *self)
{
  g_signal_emit (self, size_signal, 0, self->slots);
}

static void
on_copy (MsCacheTarget *self)
{
  if (self->csv == NULL)
    return;
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), self->csv);
  ms_workbench_toast (self->bench, _ ("List copied, with the columns layer and expert"));
}

static void
dispose (GObject *object)
{
  MsCacheTarget *self = MS_CACHE_TARGET (object);

  g_clear_handle_id (&self->timer, g_source_remove);
  ms_work_drop (&self->job);
  ms_work_drop (&self->load_job);
  g_clear_pointer (&self->simulated, ms_outcome_unref);
  g_clear_pointer (&self->exact, ms_outcome_unref);
  g_clear_pointer (&self->load, ms_outcome_unref);
  g_clear_pointer (&self->csv, g_free);
  g_clear_object (&self->bench);
  G_OBJECT_CLASS (ms_cache_target_parent_class)->dispose (object);
}

static void
ms_cache_target_class_init (MsCacheTargetClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  size_signal = g_signal_new ("size", MS_TYPE_CACHE_TARGET, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                              G_TYPE_NONE, 1, G_TYPE_INT64);
}

static GtkWidget *
make_expander (MsCacheTarget *self)
{
  GtkWidget *expander = gtk_expander_new_with_mnemonic (_ ("Experts to _Keep Resident"));
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *copy = gtk_button_new_with_mnemonic (_ ("Co_py the List"));

  ms_widget_name (expander, _ ("Experts to Keep Resident"));
  self->list = GTK_LABEL (ms_text_new (NULL, "monospace"));
  ms_widget_name (copy, _ ("Copy the List"));
  gtk_widget_set_halign (copy, GTK_ALIGN_START);
  g_signal_connect_swapped (copy, "clicked", G_CALLBACK (on_copy), self);
  gtk_box_append (GTK_BOX (box),
                  ms_text_new (_ ("The busiest of each layer first. The hits above are measured on "
                                  "documents that did not choose the set."),
                               "dim-label"));
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->list));
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), 150);
  gtk_box_append (GTK_BOX (box), scroller);
  gtk_box_append (GTK_BOX (box), copy);
  gtk_expander_set_child (GTK_EXPANDER (expander), box);
  gtk_expander_set_expanded (GTK_EXPANDER (expander), TRUE);
  return expander;
}

static void
ms_cache_target_init (MsCacheTarget *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *label = gtk_label_new_with_mnemonic (_ ("Hits _wanted (%)"));

  self->percent = GTK_SPIN_BUTTON (gtk_spin_button_new_with_range (1, 99.9, 1));
  gtk_spin_button_set_digits (self->percent, 1);
  gtk_spin_button_set_value (self->percent, USUAL_PERCENT);
  ms_widget_name (GTK_WIDGET (self->percent), _ ("Hits wanted"));
  gtk_label_set_mnemonic_widget (GTK_LABEL (label), GTK_WIDGET (self->percent));
  g_signal_connect_swapped (self->percent, "value-changed", G_CALLBACK (on_percent), self);
  self->show = gtk_button_new_with_mnemonic (_ ("_Look at This Size"));
  ms_widget_name (self->show, _ ("Look at This Size"));
  g_signal_connect_swapped (self->show, "clicked", G_CALLBACK (on_show), self);
  self->answer = GTK_LABEL (ms_text_new (NULL, NULL));
  gtk_widget_add_css_class (GTK_WIDGET (self->answer), "heading");
  self->expander = make_expander (self);
  gtk_box_append (GTK_BOX (line), label);
  gtk_box_append (GTK_BOX (line), GTK_WIDGET (self->percent));
  gtk_box_append (GTK_BOX (line), self->show);
  gtk_box_append (GTK_BOX (box), line);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->answer));
  gtk_box_append (GTK_BOX (box), self->expander);
  adw_bin_set_child (ADW_BIN (self), box);
  gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
}

GtkWidget *
ms_cache_target_new (MsWorkbench *bench)
{
  MsCacheTarget *self = g_object_new (MS_TYPE_CACHE_TARGET, NULL);

  self->bench = g_object_ref (bench);
  return GTK_WIDGET (self);
}
