/* MsTextScreen: the list of documents, the text of one, and the card of the token under the pointer with its
 * experts in all layers.  Texts longer than MOST_TOKENS are shown in pages. */
#include "text-screen-private.h"

#include "pieces-private.h"
#include "tab-list-private.h"
#include "text-search-private.h"

#include <math.h>
#include <string.h>

#define MOST_TOKENS 2048

static const struct
{
  const char *title, *plot;
  const char *missing; /* what to do where no token has such a colour */
} colours[] = {
  { N_ ("Router Entropy"), "entropy",
    N_ ("Router entropy was not recorded in this run. Collecting from a model always records it; "
        "an "
        "imported trace has it when it holds router scores for all experts.") },
  { N_ ("First Choice"), "expert", N_ ("None of these tokens chose an expert in this layer.") },
  { N_ ("Brushed Experts"), "chosen",
    N_ ("None of these tokens chose a brushed expert in this layer. Brush experts on the Experts "
        "screen to see where they are chosen.") },
  { N_ ("Weight of Brushed Experts"), "weight",
    N_ ("No experts are brushed. Brush some on the Experts screen to see their weight.") },
  { N_ ("Change From Layer Before"), "change",
    N_ ("The first layer has none before it. Choose a later one.") },
  { N_ ("Change From Baseline"), "other-change",
    N_ ("There is no baseline that saw the same tokens in this layer. Pin a run of the list as "
        "baseline.") },
};

struct _MsTextScreen
{
  MsScreen parent_instance;
  AdwFlap *flap;
  GtkSearchEntry *search;
  GtkListView *list;
  GListStore *documents; /* of GtkStringObject, data "moescope-number" */
  GtkFilterListModel *filtered;
  GtkCustomFilter *filter;
  GtkSingleSelection *selection;
  GtkDropDown *colour;
  GtkSpinButton *layer;
  GtkLabel *name, *missing, *card;
  GtkButton *previous, *next;
  MsFigureView *text;
  GtkDrawingArea *strip;
  MsWork *job;
  GtkStack *lists; /* "documents" or "hits" */
  GtkListBox *hits_list;
  GtkLabel *found;
  GtkWidget *found_box;
  MsWork *search_job;
  GPtrArray *hits; /* of MsTextHit, in the order of the rows; NULL = nothing is looked for */
  int hit;         /* the one shown, -1 = none */
  gboolean sought; /* it waits for its page */
  gint64 listed_run;
  guint listed_file; /* its serial */
  guint number;      /* of the document shown */
  gint64 page;       /* first token of the page within the document */
};

G_DEFINE_FINAL_TYPE (MsTextScreen, ms_text_screen, MS_TYPE_SCREEN)

/* --- The documents ---------------------------------------------------------------------------- */

static guint
item_number (gpointer item)
{
  return GPOINTER_TO_UINT (g_object_get_data (item, "moescope-number"));
}

static char *
document_text (const MsDocument *document)
{
  g_autoptr (GString) text = g_string_new (document->name);
  const char *labels[] = { document->language, document->domain, document->phase };

  for (guint i = 0; i < G_N_ELEMENTS (labels); i++)
    if (labels[i] != NULL)
      g_string_append_printf (text, " · %s", labels[i]);
  g_string_append_printf (text, " · %" G_GINT64_FORMAT, document->n_tokens);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
list_documents (MsTextScreen *self, MsRunItem *run)
{
  const MsCorpus *corpus = ms_run_item_corpus (run);
  guint file = ms_workbench_get_serial (ms_screen_get_bench (MS_SCREEN (self))), n;
  gint64 recorded = ms_run_item_run (run)->n_tokens;
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);

  if (self->listed_run != ms_run_item_run (run)->id || self->listed_file != file)
    {
      g_list_store_remove_all (self->documents);
      self->number = 0;
      self->page = 0;
      gtk_editable_set_text (GTK_EDITABLE (self->search), "");
    }
  self->listed_run = ms_run_item_run (run)->id;
  self->listed_file = file;
  n = g_list_model_get_n_items (G_LIST_MODEL (self->documents));
  /* Those of a run that grows are added, so that the one shown stays. */
  for (guint i = n; i < corpus->n_documents && corpus->documents[i].first_token < recorded; i++)
    {
      g_autofree char *text = document_text (&corpus->documents[i]);
      GtkStringObject *item = gtk_string_object_new (text);

      g_object_set_data (G_OBJECT (item), "moescope-number", GUINT_TO_POINTER (i));
      g_ptr_array_add (items, item);
    }
  g_list_store_splice (self->documents, n, 0, items->pdata, items->len);
}

/* The session's filters on language, domain and document. */
static gboolean
matches (gpointer item, gpointer data)
{
  MsTextScreen *self = data;
  const MsSelection *selection
      = ms_session_get_selection (ms_screen_get_session (MS_SCREEN (self)));
  MsRunItem *run = ms_workbench_get_run (ms_screen_get_bench (MS_SCREEN (self)));
  const MsDocument *document;

  if (run == NULL || item_number (item) >= ms_run_item_corpus (run)->n_documents)
    return FALSE;
  document = &ms_run_item_corpus (run)->documents[item_number (item)];
  if (!ms_ranges_include (selection->documents, item_number (item)))
    return FALSE;
  if (selection->languages != NULL
      && !g_ptr_array_find_with_equal_func (
          selection->languages, document->language ? document->language : "", g_str_equal, NULL))
    return FALSE;
  return selection->domains == NULL
         || g_ptr_array_find_with_equal_func (
             selection->domains, document->domain ? document->domain : "", g_str_equal, NULL);
}

/* --- The text --------------------------------------------------------------------------------- */

/* Whether any token has what the plot colours by. */
static gboolean
has_colour (MsTable *table, const MsPlotDef *plot)
{
  const char *name = plot->value ? plot->value : plot->series;
  guint column = (guint) ms_table_find_column (table, name);

  for (guint row = 0; row < ms_table_n_rows (table); row++)
    switch (ms_table_column (table, column)->type)
      {
      case MS_COLUMN_REAL:
        if (!isnan (ms_table_get_real (table, row, column)))
          return TRUE;
        break;
      case MS_COLUMN_INT:
        if (ms_table_get_int (table, row, column) >= 0)
          return TRUE;
        break;
      case MS_COLUMN_TEXT:
        if (ms_table_get_text (table, row, column) != NULL)
          return TRUE;
        break;
      }
  return FALSE;
}

/* Marks the tokens of the hit in the page shown, and scrolls there. */
static void
point_at_hit (MsTextScreen *self)
{
  MsFigureCanvas *canvas = ms_figure_view_get_canvas (self->text);
  MsTable *tokens = ms_figure_view_get_table (self->text);
  const MsTextHit *hit = g_ptr_array_index (self->hits, (guint) self->hit);
  GArray *rows = g_array_new (FALSE, FALSE, sizeof (guint));
  const gint64 *positions;

  self->sought = FALSE;
  positions = ms_table_ints (tokens, (guint) ms_table_find_column (tokens, "position"));
  for (guint row = 0; row < ms_table_n_rows (tokens); row++)
    if (positions[row] >= hit->position && positions[row] < hit->position + hit->n_tokens)
      {
        if (rows->len == 0)
          ms_figure_canvas_go_to (canvas, (int) row);
        g_array_append_val (rows, row);
      }
  ms_figure_canvas_set_marked (canvas, rows);
}

static void
on_outcome (GObject *owner, gpointer result, const GError *error)
{
  MsTextScreen *self = MS_TEXT_SCREEN (owner);
  g_autoptr (MsOutcome) outcome = result;
  guint colour = gtk_drop_down_get_selected (self->colour);
  const MsPlotDef *plot;
  MsPlotDef shown;
  gboolean coloured;

  g_clear_object (&self->job);
  if (outcome == NULL)
    {
      ms_screen_show_error (MS_SCREEN (self), error);
      return;
    }
  plot = ms_analysis_plot (outcome->request->analysis, colours[colour].plot);
  shown = *plot;
  coloured = has_colour (ms_result_table (outcome->result, plot->table), plot);
  if (!coloured)
    shown.value = shown.series = NULL; /* a scale without values would mislead */
  gtk_label_set_text (self->missing, _ (colours[colour].missing));
  gtk_widget_set_visible (GTK_WIDGET (self->missing), !coloured);
  gtk_widget_set_visible (GTK_WIDGET (self->strip), coloured && shown.value != NULL);
  ms_figure_view_show (self->text, outcome, &shown, NULL);
  gtk_widget_queue_draw (GTK_WIDGET (self->strip));
  ms_screen_show_content (MS_SCREEN (self));
  if (self->sought)
    point_at_hit (self);
}

static char *
format_experts (const GArray *ranges)
{
  g_autoptr (MsSelection) selection = ms_selection_new ();
  g_autofree char *text = NULL;

  if (ranges == NULL)
    return g_strdup ("");
  selection->experts = g_array_ref ((GArray *) ranges);
  text = ms_selection_format (selection);
  return g_strdup (strchr (text, '=') + 1);
}

/* The layer chosen here, or the first brushed one. */
static int
chosen_layer (MsTextScreen *self)
{
  const MsSelection *selection
      = ms_session_get_selection (ms_screen_get_session (MS_SCREEN (self)));
  int layer = gtk_spin_button_get_value_as_int (self->layer);

  if (layer < 0 && selection->layers != NULL && selection->layers->len > 0)
    return (int) g_array_index (selection->layers, MsRange, 0).first;
  return layer;
}

/* At an end the keyboard goes to the button that still does something. */
static void
set_page_buttons (MsTextScreen *self, gboolean earlier, gboolean later)
{
  GtkWidget *previous = GTK_WIDGET (self->previous), *next = GTK_WIDGET (self->next);
  gboolean on_previous = gtk_widget_has_focus (previous), on_next = gtk_widget_has_focus (next);

  gtk_widget_set_sensitive (previous, earlier);
  gtk_widget_set_sensitive (next, later);
  if (on_previous && !earlier)
    gtk_widget_grab_focus (next);
  if (on_next && !later)
    gtk_widget_grab_focus (previous);
}

/* The tokens first to last of a document, which is given by its number. */
static MsSelection *
select_page (guint number, gint64 first, gint64 last)
{
  MsSelection *selection = ms_selection_new ();

  selection->documents = g_array_new (FALSE, FALSE, sizeof (MsRange));
  selection->tokens = g_array_new (FALSE, FALSE, sizeof (MsRange));
  g_array_append_val (selection->documents, ((MsRange){ number, number }));
  g_array_append_val (selection->tokens, ((MsRange){ first, last }));
  return selection;
}

static void
show_text (MsTextScreen *self)
{
  MsScreen *screen = MS_SCREEN (self);
  MsWorkbench *bench = ms_screen_get_bench (screen);
  const MsSelection *selection = ms_session_get_selection (ms_screen_get_session (screen));
  MsRunItem *run = ms_workbench_get_run (bench), *base = ms_workbench_get_base (bench);
  const MsCorpus *corpus = ms_run_item_corpus (run);
  const MsDocument *document = &corpus->documents[MIN (self->number, corpus->n_documents - 1)];
  MsRequest *request = ms_request_new (ms_known_analysis ("text"));
  g_autofree char *experts = format_experts (selection->experts);
  g_autofree char *layer = g_strdup_printf ("%d", chosen_layer (self));
  g_autofree char *title = document_text (document);
  gint64 first = document->first_token + self->page;
  gint64 last = MIN (first + MOST_TOKENS, document->first_token + document->n_tokens) - 1;

  request->run = selection->run;
  request->other = base != NULL ? ms_run_item_run (base)->id : 0;
  request->selection = select_page (self->number, first, last);
  ms_request_set (request, "layer", layer);
  ms_request_set (request, "experts", experts);
  gtk_label_set_text (self->name, title);
  gtk_widget_set_visible (GTK_WIDGET (self->previous), document->n_tokens > MOST_TOKENS);
  gtk_widget_set_visible (GTK_WIDGET (self->next), document->n_tokens > MOST_TOKENS);
  set_page_buttons (self, self->page > 0, self->page + MOST_TOKENS < document->n_tokens);
  ms_work_drop (&self->job);
  if (ms_figure_view_get_outcome (self->text) == NULL)
    ms_screen_show_waiting (screen, _ ("Reading…"));
  else
    ms_figure_view_set_stale (self->text, TRUE);
  self->job = ms_workbench_analyze (bench, request, 0, on_outcome, NULL, G_OBJECT (self));
}

static void
update (MsScreen *screen)
{
  MsTextScreen *self = MS_TEXT_SCREEN (screen);
  MsRunItem *run = ms_workbench_get_run (ms_screen_get_bench (screen));
  GListModel *shown = G_LIST_MODEL (self->filtered);
  gboolean there = FALSE;

  if (ms_run_item_model (run)->n_layers > 0)
    gtk_spin_button_set_range (
        self->layer, -1,
        ms_run_item_model (run)->layers[ms_run_item_model (run)->n_layers - 1].number);
  list_documents (self, run);
  gtk_filter_changed (GTK_FILTER (self->filter), GTK_FILTER_CHANGE_DIFFERENT);
  if (g_list_model_get_n_items (shown) == 0)
    {
      g_autofree char *text
          = g_strdup_printf (_ ("0 of %u documents are left by the selection."),
                             g_list_model_get_n_items (G_LIST_MODEL (self->documents)));

      ms_screen_show_status (screen, "edit-find-symbolic", _ ("No Document Is Left"), text,
                             _ ("_Clear Selection"), "win.clear-selection");
      return;
    }
  for (guint i = 0; i < g_list_model_get_n_items (shown) && !there; i++)
    {
      g_autoptr (GObject) item = g_list_model_get_item (shown, i);

      there = item_number (item) == self->number;
    }
  if (!there)
    {
      g_autoptr (GObject) item = g_list_model_get_item (shown, 0);

      self->number = item_number (item);
      self->page = 0;
    }
  show_text (self);
}

static void
on_selected (MsTextScreen *self)
{
  GObject *item = gtk_single_selection_get_selected_item (self->selection);

  if (item == NULL || item_number (item) == self->number
      || !gtk_widget_get_mapped (GTK_WIDGET (self)))
    return;
  self->number = item_number (item);
  self->page = 0;
  if (adw_flap_get_folded (self->flap))
    adw_flap_set_reveal_flap (self->flap, FALSE);
  show_text (self);
}

void
ms_text_screen_choose (MsTextScreen *self, guint number)
{
  self->number = number;
  self->page = 0;
  ms_screen_update_now (MS_SCREEN (self));
}

static void
turn (GtkButton *button, gpointer data)
{
  MsTextScreen *self = data;

  self->page += button == self->next ? MOST_TOKENS : -MOST_TOKENS;
  self->page = MAX (self->page, 0);
  show_text (self);
}

/* --- The card and the strip ------------------------------------------------------------------- */

/* All layers of the token in a row of the tokens' table. */
static void
on_row_entered (MsTextScreen *self, int row)
{
  MsOutcome *outcome = ms_figure_view_get_outcome (self->text);
  MsTable *tokens = ms_figure_view_get_table (self->text);
  MsTable *choices = outcome ? ms_result_table (outcome->result, "choices") : NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  char position[24];
  guint n_layers;

  if (row < 0 || tokens == NULL || ms_table_n_rows (tokens) == 0)
    return;
  n_layers = ms_table_n_rows (choices) / ms_table_n_rows (tokens);
  g_snprintf (position, sizeof position, "%" G_GINT64_FORMAT,
              ms_table_get_int (tokens, (guint) row, 1));
  g_string_append_printf (text, _ ("Token %s, position %s"),
                          ms_table_get_text (tokens, (guint) row, 3), position);
  for (guint l = 0; l < n_layers; l++)
    {
      guint at = (guint) row * n_layers + l;
      double entropy = ms_table_get_real (choices, at, 4);

      g_string_append_printf (text, "\n%3" G_GINT64_FORMAT "  %s",
                              ms_table_get_int (choices, at, 2),
                              ms_table_get_text (choices, at, 3));
      if (!isnan (entropy))
        g_string_append_printf (text, "   H %.2f", entropy);
    }
  gtk_label_set_text (self->card, text->str);
  ms_session_set_primary (ms_screen_get_session (MS_SCREEN (self)),
                          ms_table_get_int (tokens, (guint) row, 1));
}

/* The brackets, which in maps go from layer to layer. */
static gboolean
on_layer_key (GtkWidget *canvas, GVariant *args, gpointer data)
{
  MsTextScreen *self = data;
  double least, most;
  int by = g_variant_get_int32 (args);
  MsTable *tokens = ms_figure_view_get_table (self->text);
  int column = tokens ? ms_table_find_column (tokens, "layer") : -1;
  gint64 now = column >= 0 && ms_table_n_rows (tokens) > 0
                   ? ms_table_get_int (tokens, 0, (guint) column)
                   : gtk_spin_button_get_value_as_int (self->layer);

  gtk_spin_button_get_range (self->layer, &least, &most);
  gtk_spin_button_set_value (self->layer, CLAMP ((double) (now + by), 0, most));
  return TRUE;
}

static GtkEventController *
make_layer_keys (MsTextScreen *self)
{
  static const struct
  {
    guint key;
    int by;
  } keys[] = { { GDK_KEY_bracketleft, -1 }, { GDK_KEY_bracketright, 1 } };
  GtkEventController *controller = gtk_shortcut_controller_new ();

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      GtkShortcut *shortcut = gtk_shortcut_new (gtk_keyval_trigger_new (keys[i].key, 0),
                                                gtk_callback_action_new (on_layer_key, self, NULL));

      gtk_shortcut_set_arguments (shortcut, g_variant_new_int32 (keys[i].by));
      gtk_shortcut_controller_add_shortcut (GTK_SHORTCUT_CONTROLLER (controller), shortcut);
    }
  gtk_event_controller_set_propagation_phase (controller, GTK_PHASE_CAPTURE);
  return controller;
}

GtkSpinButton *
ms_text_screen_get_layer (MsTextScreen *self)
{
  return self->layer;
}

const char *
ms_text_screen_get_card (MsTextScreen *self)
{
  return gtk_label_get_text (self->card);
}

/* The whole page thinned to a line: the mean value of the tokens behind each pixel. */
static void
draw_strip (GtkDrawingArea *area, cairo_t *cr, int width, int height, gpointer data)
{
  MsTextScreen *self = data;
  MsTable *table = ms_figure_view_get_table (self->text);
  const MsPlotDef *plot = ms_figure_view_get_plot (self->text);
  const double *values;
  double low = INFINITY, high = -INFINITY;
  guint n;

  if (table == NULL || plot->value == NULL)
    return;
  values = ms_table_reals (table, (guint) ms_table_find_column (table, plot->value));
  n = ms_table_n_rows (table);
  for (guint i = 0; i < n; i++)
    if (!isnan (values[i]))
      {
        low = MIN (low, values[i]);
        high = MAX (high, values[i]);
      }
  for (int x = 0; x < width; x++)
    {
      guint from = (guint) ((double) x / width * n);
      guint to = MAX (from + 1, (guint) ((double) (x + 1) / width * n));
      double sum = 0;
      guint count = 0;
      MsColour colour;

      for (guint i = from; i < MIN (to, n); i++)
        if (!isnan (values[i]))
          {
            sum += values[i];
            count++;
          }
      if (count == 0 || high <= low)
        continue;
      colour = ms_colour_sequential (ms_desktop_theme (), (sum / count - low) / (high - low));
      cairo_set_source_rgb (cr, colour.r, colour.g, colour.b);
      cairo_rectangle (cr, x, 0, 1, height);
      cairo_fill (cr);
    }
}

/* --- Building --------------------------------------------------------------------------------- */

static void
setup_row (GtkSignalListItemFactory *factory, GtkListItem *item, gpointer data)
{
  GtkWidget *label = gtk_label_new (NULL);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  gtk_list_item_set_child (item, label);
}

static void
bind_row (GtkSignalListItemFactory *factory, GtkListItem *item, gpointer data)
{
  GtkWidget *label = gtk_list_item_get_child (item);
  const char *text = gtk_string_object_get_string (gtk_list_item_get_item (item));

  gtk_label_set_text (GTK_LABEL (label), text);
  gtk_widget_set_tooltip_text (label, text);
}

/* --- Search ----------------------------------------------------------------------------------- */

typedef struct
{
  char *path, *words;
  gint64 run;
  MsSelection *selection;
} Order;

static void
order_free (gpointer data)
{
  Order *order = data;

  g_free (order->path);
  g_free (order->words);
  ms_selection_free (order->selection);
  g_free (order);
}

static gpointer
search (MsWork *job, gpointer data, GError **error)
{
  const Order *order = data;

  return ms_text_search (order->path, order->run, order->selection, order->words,
                         ms_work_cancellable (job), error);
}

static void
show_hit (MsTextScreen *self, int n)
{
  const MsTextHit *hit;

  if (self->hits == NULL || self->hits->len == 0)
    return;
  self->hit = (n % (int) self->hits->len + (int) self->hits->len) % (int) self->hits->len;
  hit = g_ptr_array_index (self->hits, (guint) self->hit);
  self->sought = TRUE;
  self->number = hit->document;
  self->page = hit->token / MOST_TOKENS * MOST_TOKENS;
  gtk_list_box_select_row (self->hits_list,
                           gtk_list_box_get_row_at_index (self->hits_list, self->hit));
  {
    g_autofree char *text = g_strdup_printf (_ ("%d of %u"), self->hit + 1, self->hits->len);

    gtk_label_set_text (self->found, text);
  }
  show_text (self);
}

static void
on_hit_row (MsTextScreen *self, GtkListBoxRow *row)
{
  show_hit (self, gtk_list_box_row_get_index (row));
}

static void
on_next_hit (MsTextScreen *self)
{
  show_hit (self, self->hit + 1);
}

static void
on_previous_hit (MsTextScreen *self)
{
  show_hit (self, self->hit < 0 ? -1 : self->hit - 1);
}

static void
add_hit_row (MsTextScreen *self, const MsTextHit *hit)
{
  const MsCorpus *corpus
      = ms_run_item_corpus (ms_workbench_get_run (ms_screen_get_bench (MS_SCREEN (self))));
  const char *name
      = hit->document < corpus->n_documents ? corpus->documents[hit->document].name : NULL;
  g_autofree char *markup
      = g_markup_printf_escaped ("<small>%s</small>\n%s<b>%s</b>%s", name != NULL ? name : "",
                                 hit->before, hit->match, hit->after);
  g_autofree char *plain = g_strdup_printf ("%s: %s%s%s", name != NULL ? name : "", hit->before,
                                            hit->match, hit->after);
  GtkWidget *row = gtk_list_box_row_new (), *label = gtk_label_new (NULL);

  gtk_label_set_markup (GTK_LABEL (label), markup);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 24);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), label);
  ms_widget_name (row, plain);
  gtk_list_box_append (self->hits_list, row);
}

static void
clear_hits (MsTextScreen *self)
{
  GtkListBoxRow *row;

  while ((row = gtk_list_box_get_row_at_index (self->hits_list, 0)) != NULL)
    gtk_list_box_remove (self->hits_list, GTK_WIDGET (row));
  g_clear_pointer (&self->hits, g_ptr_array_unref);
  self->hit = -1;
  self->sought = FALSE;
}

static void
on_found (GObject *owner, gpointer result, const GError *error)
{
  MsTextScreen *self = MS_TEXT_SCREEN (owner);
  g_autofree char *text = NULL;

  g_clear_object (&self->search_job);
  clear_hits (self);
  self->hits = result;
  if (result == NULL)
    text = g_strdup (error->message);
  else if (self->hits->len == MS_TEXT_HITS_MOST)
    text = g_strdup_printf (_ ("the first %u places"), self->hits->len);
  else
    text = g_strdup_printf (ngettext ("%u place", "%u places", self->hits->len), self->hits->len);
  for (guint i = 0; self->hits != NULL && i < self->hits->len; i++)
    add_hit_row (self, g_ptr_array_index (self->hits, i));
  gtk_label_set_text (self->found, text);
}

static void
on_search (MsTextScreen *self)
{
  MsWorkbench *bench = ms_screen_get_bench (MS_SCREEN (self));
  MsRunItem *run = ms_workbench_get_run (bench);
  const char *words = gtk_editable_get_text (GTK_EDITABLE (self->search));
  gboolean looking = *words != '\0' && run != NULL;

  ms_work_drop (&self->search_job);
  gtk_stack_set_visible_child_name (self->lists, looking ? "hits" : "documents");
  gtk_widget_set_visible (self->found_box, looking);
  if (!looking)
    {
      clear_hits (self);
      return;
    }
  gtk_label_set_text (self->found, _ ("Searching…"));
  {
    Order *order = g_new0 (Order, 1);

    order->path = g_strdup (ms_workbench_get_path (bench));
    order->words = g_strdup (words);
    order->run = ms_run_item_run (run)->id;
    order->selection = ms_session_copy_filter (ms_screen_get_session (MS_SCREEN (self)));
    self->search_job
        = ms_work_start (ms_workbench_get_jobs (bench),
                         &(MsWorkSpec){ .title = _ ("Search the Texts"),
                                        .delay = 150,
                                        .work = search,
                                        .data = order,
                                        .free_data = order_free,
                                        .free_result = (GDestroyNotify) g_ptr_array_unref,
                                        .done = on_found,
                                        .owner = G_OBJECT (self) });
  }
}

MsTextHit *
ms_text_screen_get_hit (MsTextScreen *self, guint *n)
{
  *n = self->hits != NULL ? self->hits->len : 0;
  return self->hit >= 0 && self->hits != NULL ? g_ptr_array_index (self->hits, (guint) self->hit)
                                              : NULL;
}

void
ms_text_screen_search (MsTextScreen *self, const char *words)
{
  gtk_editable_set_text (GTK_EDITABLE (self->search), words);
  on_search (self);
}

void
ms_text_screen_step_hit (MsTextScreen *self, int by)
{
  if (by > 0)
    on_next_hit (self);
  else
    on_previous_hit (self);
}

gboolean
ms_text_screen_is_searching (MsTextScreen *self)
{
  return self->search_job != NULL || self->sought;
}

static GtkWidget *
hit_button (MsTextScreen *self, const char *icon, const char *name, GCallback callback)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);

  gtk_widget_set_tooltip_text (button, name);
  ms_widget_name (button, name);
  gtk_widget_add_css_class (button, "flat");
  g_signal_connect_swapped (button, "clicked", callback, self);
  return button;
}

static GtkWidget *
make_found_box (MsTextScreen *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);

  self->found = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_xalign (self->found, 0);
  gtk_label_set_ellipsize (self->found, PANGO_ELLIPSIZE_END);
  gtk_widget_set_hexpand (GTK_WIDGET (self->found), TRUE);
  gtk_widget_add_css_class (GTK_WIDGET (self->found), "dim-label");
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->found));
  gtk_box_append (GTK_BOX (box), hit_button (self, "go-up-symbolic", _ ("Previous Place"),
                                             G_CALLBACK (on_previous_hit)));
  gtk_box_append (GTK_BOX (box), hit_button (self, "go-down-symbolic", _ ("Next Place"),
                                             G_CALLBACK (on_next_hit)));
  gtk_widget_set_visible (box, FALSE);
  self->found_box = box;
  return box;
}

static GtkWidget *
make_hits_list (MsTextScreen *self)
{
  GtkWidget *scroller;

  self->hits_list = GTK_LIST_BOX (gtk_list_box_new ());
  self->hit = -1;
  gtk_widget_add_css_class (GTK_WIDGET (self->hits_list), "navigation-sidebar");
  ms_widget_name (GTK_WIDGET (self->hits_list), _ ("Places Found"));
  g_signal_connect_swapped (self->hits_list, "row-activated", G_CALLBACK (on_hit_row), self);
  scroller = ms_scroller_new (ms_tab_list_new (GTK_WIDGET (self->hits_list)));
  gtk_widget_set_vexpand (scroller, TRUE);
  return scroller;
}

static GtkWidget *
make_list (MsTextScreen *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();

  self->search = GTK_SEARCH_ENTRY (ms_search_new (_ ("Search the texts")));
  self->documents = g_list_store_new (GTK_TYPE_STRING_OBJECT);
  self->filter = gtk_custom_filter_new (matches, self, NULL);
  self->filtered = gtk_filter_list_model_new (G_LIST_MODEL (g_object_ref (self->documents)),
                                              GTK_FILTER (g_object_ref (self->filter)));
  self->selection = gtk_single_selection_new (G_LIST_MODEL (g_object_ref (self->filtered)));
  g_signal_connect (factory, "setup", G_CALLBACK (setup_row), NULL);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_row), NULL);
  self->list = GTK_LIST_VIEW (
      gtk_list_view_new (GTK_SELECTION_MODEL (g_object_ref (self->selection)), factory));
  gtk_widget_add_css_class (GTK_WIDGET (self->list), "navigation-sidebar");
  ms_widget_name (GTK_WIDGET (self->list), _ ("Documents"));
  g_signal_connect_swapped (self->search, "search-changed", G_CALLBACK (on_search), self);
  g_signal_connect_swapped (self->search, "activate", G_CALLBACK (on_next_hit), self);
  g_signal_connect_swapped (self->search, "next-match", G_CALLBACK (on_next_hit), self);
  g_signal_connect_swapped (self->search, "previous-match", G_CALLBACK (on_previous_hit), self);
  g_signal_connect_object (self->selection, "notify::selected-item", G_CALLBACK (on_selected), self,
                           G_CONNECT_SWAPPED);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->list));
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_widget_set_vexpand (scroller, TRUE);
  gtk_widget_set_size_request (box, 210, -1);
  gtk_widget_set_hexpand (box, FALSE);
  gtk_widget_add_css_class (box, "background");
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->search));
  self->lists = GTK_STACK (gtk_stack_new ());
  gtk_stack_set_hhomogeneous (self->lists, FALSE);
  gtk_stack_set_vhomogeneous (self->lists, FALSE);
  gtk_stack_add_named (self->lists, ms_tab_list_new (scroller), "documents");
  gtk_stack_add_named (self->lists, make_hits_list (self), "hits");
  gtk_box_append (GTK_BOX (box), make_found_box (self));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->lists));
  return box;
}

static GtkButton *
page_button (MsTextScreen *self, const char *icon, const char *name)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);

  gtk_widget_set_tooltip_text (button, name);
  ms_widget_name (button, name);
  gtk_widget_add_css_class (button, "flat");
  g_signal_connect (button, "clicked", G_CALLBACK (turn), self);
  return GTK_BUTTON (button);
}

static GtkWidget *
make_controls (MsTextScreen *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *toggle = gtk_toggle_button_new ();
  GtkWidget *choices = gtk_flow_box_new (); /* under each other where it is narrow */
  GtkWidget *layer = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *label = gtk_label_new_with_mnemonic (_ ("_Layer"));
  GtkStringList *names = gtk_string_list_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (colours); i++)
    gtk_string_list_append (names, _ (colours[i].title));
  self->colour = GTK_DROP_DOWN (gtk_drop_down_new (G_LIST_MODEL (names), NULL));
  ms_widget_name (GTK_WIDGET (self->colour), _ ("Colour by"));
  self->layer = GTK_SPIN_BUTTON (gtk_spin_button_new_with_range (-1, 64, 1));
  gtk_spin_button_set_numeric (self->layer, FALSE);
  gtk_editable_set_width_chars (GTK_EDITABLE (self->layer), 10);
  ms_spin_name_automatic (self->layer);
  gtk_spin_button_set_value (self->layer, 0); /* so that what follows is a change to show */
  gtk_spin_button_set_value (self->layer, -1);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->layer),
                               _ ("Automatic: the first brushed layer, or the middle one"));
  ms_widget_name (GTK_WIDGET (self->layer), _ ("Layer"));
  gtk_label_set_mnemonic_widget (GTK_LABEL (label), GTK_WIDGET (self->layer));
  gtk_button_set_icon_name (GTK_BUTTON (toggle), "view-list-bullet-symbolic");
  gtk_widget_set_tooltip_text (toggle, _ ("Documents"));
  ms_widget_name (toggle, _ ("Documents"));
  g_object_bind_property (self->flap, "reveal-flap", toggle, "active",
                          G_BINDING_BIDIRECTIONAL | G_BINDING_SYNC_CREATE);
  g_signal_connect_swapped (self->colour, "notify::selected", G_CALLBACK (ms_screen_update_now),
                            self);
  g_signal_connect_swapped (self->layer, "value-changed", G_CALLBACK (ms_screen_update_now), self);
  gtk_box_append (GTK_BOX (layer), label);
  gtk_box_append (GTK_BOX (layer), GTK_WIDGET (self->layer));
  gtk_flow_box_set_selection_mode (GTK_FLOW_BOX (choices), GTK_SELECTION_NONE);
  gtk_flow_box_set_max_children_per_line (GTK_FLOW_BOX (choices), 2);
  gtk_flow_box_append (GTK_FLOW_BOX (choices), GTK_WIDGET (self->colour));
  gtk_flow_box_append (GTK_FLOW_BOX (choices), layer);
  for (GtkWidget *child = gtk_widget_get_first_child (choices); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    gtk_widget_set_focusable (child, FALSE);
  gtk_widget_set_valign (toggle, GTK_ALIGN_START);
  gtk_box_append (GTK_BOX (box), toggle);
  gtk_box_append (GTK_BOX (box), choices);
  return box;
}

static GtkWidget *
make_head (MsTextScreen *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);

  self->name = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_xalign (self->name, 0);
  gtk_label_set_ellipsize (self->name, PANGO_ELLIPSIZE_END);
  gtk_widget_set_hexpand (GTK_WIDGET (self->name), TRUE);
  gtk_widget_add_css_class (GTK_WIDGET (self->name), "dim-label");
  self->previous = page_button (self, "go-previous-symbolic", _ ("Earlier Page"));
  self->next = page_button (self, "go-next-symbolic", _ ("Later Page"));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->name));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->previous));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->next));
  return box;
}

static gboolean
leave (MsScreen *screen)
{
  MsTextScreen *self = MS_TEXT_SCREEN (screen);
  gboolean busy = self->job != NULL;

  ms_work_drop (&self->job);
  return busy;
}

static void
dispose (GObject *object)
{
  MsTextScreen *self = MS_TEXT_SCREEN (object);

  ms_work_drop (&self->job);
  ms_work_drop (&self->search_job);
  g_clear_pointer (&self->hits, g_ptr_array_unref);
  g_clear_object (&self->documents);
  g_clear_object (&self->filtered);
  g_clear_object (&self->filter);
  g_clear_object (&self->selection);
  G_OBJECT_CLASS (ms_text_screen_parent_class)->dispose (object);
}

static void
ms_text_screen_class_init (MsTextScreenClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  MS_SCREEN_CLASS (class)->update = update;
  MS_SCREEN_CLASS (class)->leave = leave;
}

static void
ms_text_screen_init (MsTextScreen *self)
{
}

GtkWidget *
ms_text_screen_new (MsWorkbench *bench)
{
  MsTextScreen *self = g_object_new (MS_TYPE_TEXT_SCREEN, NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *split = gtk_paned_new (GTK_ORIENTATION_VERTICAL);
  GtkWidget *card = gtk_scrolled_window_new ();

  ms_screen_set_bench (MS_SCREEN (self), bench);
  self->flap = ADW_FLAP (adw_flap_new ());
  self->text = MS_FIGURE_VIEW (ms_figure_view_new (bench));
  self->strip = GTK_DRAWING_AREA (gtk_drawing_area_new ());
  self->missing = GTK_LABEL (ms_text_new (NULL, NULL));
  gtk_widget_set_visible (GTK_WIDGET (self->missing), FALSE);
  gtk_widget_set_size_request (GTK_WIDGET (self->strip), -1, 12);
  gtk_drawing_area_set_draw_func (self->strip, draw_strip, self, NULL);
  ms_widget_name (GTK_WIDGET (self->strip), _ ("The whole text, thinned"));
  self->card
      = GTK_LABEL (gtk_label_new (_ ("Move over a token to see its experts in all layers.")));
  gtk_label_set_xalign (self->card, 0);
  gtk_label_set_yalign (self->card, 0);
  gtk_label_set_selectable (self->card, TRUE);
  gtk_widget_add_css_class (GTK_WIDGET (self->card), "monospace");
  gtk_widget_add_css_class (GTK_WIDGET (self->card), "caption");
  g_signal_connect_swapped (ms_figure_view_get_canvas (self->text), "row-entered",
                            G_CALLBACK (on_row_entered), self);
  gtk_widget_add_controller (GTK_WIDGET (ms_figure_view_get_canvas (self->text)),
                             make_layer_keys (self));
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (card), GTK_WIDGET (self->card));
  gtk_widget_set_size_request (card, -1, 110);
  gtk_paned_set_start_child (GTK_PANED (split), ms_scroller_new (GTK_WIDGET (self->text)));
  gtk_paned_set_end_child (GTK_PANED (split), card);
  gtk_paned_set_resize_end_child (GTK_PANED (split), FALSE);
  gtk_paned_set_shrink_start_child (GTK_PANED (split), FALSE);
  gtk_paned_set_shrink_end_child (GTK_PANED (split), FALSE);
  gtk_widget_set_vexpand (split, TRUE);
  gtk_box_append (GTK_BOX (box), make_controls (self));
  gtk_box_append (GTK_BOX (box), make_head (self));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->missing));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->strip));
  gtk_box_append (GTK_BOX (box), split);
  ms_widget_set_margins (box, 12);
  adw_flap_set_content (self->flap, box);
  adw_flap_set_flap (self->flap, make_list (self));
  adw_flap_set_separator (self->flap, gtk_separator_new (GTK_ORIENTATION_VERTICAL));
  ms_screen_set_content (MS_SCREEN (self), GTK_WIDGET (self->flap));
  return GTK_WIDGET (self);
}

MsFigureView *
ms_text_screen_get_text (MsTextScreen *self)
{
  return self->text;
}

const char *
ms_text_screen_get_missing (MsTextScreen *self)
{
  return gtk_widget_get_visible (GTK_WIDGET (self->missing)) ? gtk_label_get_text (self->missing)
                                                             : NULL;
}

void
ms_text_screen_colour_by (MsTextScreen *self, const char *plot)
{
  for (guint i = 0; i < G_N_ELEMENTS (colours); i++)
    if (strcmp (colours[i].plot, plot) == 0)
      gtk_drop_down_set_selected (self->colour, i);
}
