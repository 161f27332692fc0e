/* MsFigureView joins a canvas and a table under a title row.  It holds the outcome, so that everything a
 * figure can be asked for (numbers, definition, command line) is answered from the same result. */
#include "figure-view-private.h"

#include "export-dialog-private.h"
#include "pieces-private.h"
#include "sql-form-private.h"
#include "table-view-private.h"

#include <string.h>

/* Frames in which the rows of a table must appear to take the keyboard. */
#define MOST_TICKS 60

struct _MsFigureView
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  MsOutcome *outcome;
  MsPlotDef plot; /* a copy: grouped results change its facet */
  MsFigureOptions options;
  MsFigureCanvas *canvas;
  GtkStack *stack;
  AdwBin *holder; /* the canvas, in a scrolled window while zoomed */
  MsTable *table_override;
  char *run; /* whose figure it is among those of several runs, else NULL */
  MsTableView *table;
  GtkWidget *head;
  GtkLabel *title;
  GtkToggleButton *as_table;
  GtkMenuButton *definition, *menu;
  GtkLabel *failure;
};

G_DEFINE_FINAL_TYPE (MsFigureView, ms_figure_view, ADW_TYPE_BIN)

const MsTheme *
ms_desktop_theme (void)
{
  AdwStyleManager *style = adw_style_manager_get_default ();
  const char *name = adw_style_manager_get_dark (style)            ? "dark"
                     : adw_style_manager_get_high_contrast (style) ? "contrast"
                                                                   : "screen";

  return ms_theme_find (name);
}

/* --- Building the figure ---------------------------------------------------------------------- */

static void
mark_rows (MsFigureView *self)
{
  MsSession *session = ms_workbench_get_session (self->bench);
  MsTable *table = ms_figure_view_get_table (self);
  GArray *rows = NULL;
  int layer_column, expert_column;

  if (table == NULL)
    return;
  layer_column = ms_table_find_column (table, "layer");
  expert_column = ms_table_find_column (table, "expert");
  if (ms_session_has_brush (session) && (layer_column >= 0 || expert_column >= 0)
      && ms_table_n_rows (table) <= 200000)
    {
      const gint64 *layers = layer_column >= 0 ? ms_table_ints (table, (guint) layer_column) : NULL;
      const gint64 *experts
          = expert_column >= 0 ? ms_table_ints (table, (guint) expert_column) : NULL;

      rows = g_array_new (FALSE, FALSE, sizeof (guint));
      for (guint row = 0; row < ms_table_n_rows (table); row++)
        if (ms_session_brushes (session, layers ? (int) layers[row] : -1,
                                experts ? (int) experts[row] : -1))
          g_array_append_val (rows, row);
    }
  if (rows != NULL && rows->len == ms_table_n_rows (table))
    g_clear_pointer (&rows, g_array_unref); /* marking all of it tells nothing */
  ms_figure_canvas_set_marked (self->canvas, rows);
}

static gboolean
build (MsFigureView *self)
{
  MsFigureOptions options = self->options;
  g_autoptr (GError) error = NULL;
  MsTable *table = ms_figure_view_get_table (self);
  MsFigure *figure = NULL;

  options.theme = ms_desktop_theme ();
  options.title = "";
  if (options.font_points <= 0 && ms_text_scale () != 1)
    options.font_points = options.theme->font_points * ms_text_scale ();
  if (table == NULL)
    g_set_error (&error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA, _ ("There is no table '%s'"),
                 self->plot.table);
  else if (ms_table_n_rows (table) == 0)
    g_set_error_literal (&error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA,
                         _ ("Nothing to show: the table has no rows"));
  else
    figure = ms_figure_new (table, &self->plot, &options, &error);
  ms_figure_canvas_set_figure (self->canvas, figure, self->outcome->result->summary);
  if (figure == NULL)
    gtk_label_set_text (self->failure, error->message);
  gtk_stack_set_visible_child_name (self->stack, figure == NULL ? "failure"
                                                 : gtk_toggle_button_get_active (self->as_table)
                                                     ? "table"
                                                     : "figure");
  /* About as tall as a figure, where there are so many rows. */
  if (table != NULL)
    gtk_widget_set_size_request (GTK_WIDGET (self->table), -1,
                                 MIN (100 + 26 * (int) MIN (ms_table_n_rows (table), 20u), 340));
  ms_table_view_set_table (self->table,
                           gtk_toggle_button_get_active (self->as_table) ? table : NULL);
  mark_rows (self);
  return figure != NULL;
}

static void
on_style_changed (MsFigureView *self)
{
  if (self->outcome != NULL)
    build (self);
}

/* --- Linked brushing -------------------------------------------------------------------------- */

static GArray *
column_values (MsTable *table, const char *name, GArray *rows)
{
  int column = ms_table_find_column (table, name);
  g_autoptr (GHashTable) seen = NULL;
  const gint64 *values;
  GArray *found;

  if (column < 0 || ms_table_column (table, (guint) column)->type != MS_COLUMN_INT)
    return NULL;
  values = ms_table_ints (table, (guint) column);
  found = g_array_new (FALSE, FALSE, sizeof (gint64));
  seen = g_hash_table_new (g_int64_hash, g_int64_equal);
  for (guint i = 0; i < rows->len; i++)
    {
      gint64 value = values[g_array_index (rows, guint, i)];

      if (value >= 0 && g_hash_table_add (seen, (gpointer) &values[g_array_index (rows, guint, i)]))
        g_array_append_val (found, value);
    }
  return found;
}

static void on_row_activated (MsFigureView *self, guint row);

/* What has no layer or expert is chosen by what it is: a language, a domain, a document. */
static void
on_brushed (MsFigureView *self, GArray *rows, int mode)
{
  MsTable *table = ms_figure_view_get_table (self);
  g_autoptr (GArray) layers = column_values (table, "layer", rows);
  g_autoptr (GArray) experts = column_values (table, "expert", rows);

  if (layers != NULL || experts != NULL)
    ms_session_brush (ms_workbench_get_session (self->bench), (MsBrush) mode, layers, experts);
  else if (rows->len == 1)
    on_row_activated (self, g_array_index (rows, guint, 0));
}

static int
cell_value (MsTable *table, int row, const char *name)
{
  int column = ms_table_find_column (table, name);

  if (row < 0 || column < 0 || ms_table_column (table, (guint) column)->type != MS_COLUMN_INT)
    return -1;
  return (int) ms_table_get_int (table, (guint) row, (guint) column);
}

static void
on_row_entered (MsFigureView *self, int row)
{
  MsTable *table = ms_figure_view_get_table (self);
  int run = ms_table_find_column (table, MS_RUN_ID_COLUMN) == 0
                ? cell_value (table, row, MS_RUN_ID_COLUMN)
                : (int) self->outcome->request->run;

  ms_session_set_hover (ms_workbench_get_session (self->bench), MAX (run, 0),
                        cell_value (table, row, "layer"), cell_value (table, row, "expert"), -1);
}

/* A pair of languages opened in a matrix: the session looks at these two. */
static void
filter_pair (MsSession *session, MsTable *table, guint row)
{
  int a = ms_table_find_column (table, "a"), b = ms_table_find_column (table, "b");
  g_autofree char *text = NULL;

  if (a < 0 || b < 0 || ms_table_column (table, (guint) a)->type != MS_COLUMN_TEXT)
    return;
  ms_session_clear (session, "lang");
  text = g_strdup_printf ("%s lang=\"%s\",\"%s\"", ms_session_get_text (session),
                          ms_table_get_text (table, row, (guint) a),
                          ms_table_get_text (table, row, (guint) b));
  ms_session_set_text (session, text, NULL);
}

static const struct
{
  const char *column, *key;
} filters[] = {
  { "language", "lang" }, { "domain", "domain" }, { "phase", "phase" }, { "document", "name" }
};

/* The text in a column of the row, NULL when there is none. */
static const char *
text_in (MsTable *table, guint row, const char *name)
{
  int column = ms_table_find_column (table, name);
  const char *text;

  if (column < 0 || ms_table_column (table, (guint) column)->type != MS_COLUMN_TEXT)
    return NULL;
  text = ms_table_get_text (table, row, (guint) column);
  return *text != '\0' ? text : NULL;
}

static void
filter_by (MsSession *session, const char *key, const char *value)
{
  g_autofree char *text = NULL;

  ms_session_clear (session, key);
  text = g_strdup_printf ("%s %s=\"%s\"", ms_session_get_text (session), key, value);
  ms_session_set_text (session, text, NULL);
}

/* A language, domain or document opened: the session looks at it alone.  A table of several kinds says which. */
static void
on_row_activated (MsFigureView *self, guint row)
{
  MsTable *table = ms_figure_view_get_table (self);
  MsSession *session = ms_workbench_get_session (self->bench);
  const char *kind = text_in (table, row, "kind"), *label = text_in (table, row, "label");

  for (guint i = 0; i < G_N_ELEMENTS (filters); i++)
    {
      const char *value = g_strcmp0 (kind, filters[i].column) == 0
                              ? label
                              : text_in (table, row, filters[i].column);

      if (value != NULL)
        {
          filter_by (session, filters[i].key, value);
          return;
        }
    }
  filter_pair (session, table, row);
}

/* --- Actions ---------------------------------------------------------------------------------- */

static void
on_as_table (MsFigureView *self)
{
  if (self->outcome != NULL)
    build (self);
}

/* The rows come within some ticks; until then what scrolls would take the keyboard. */
static gboolean
focus_table (GtkWidget *table, GdkFrameClock *clock, gpointer ticks)
{
  GtkRoot *root = gtk_widget_get_root (table);
  GtkWidget *focus = gtk_root_get_focus (root);
  gboolean elsewhere = focus != NULL && !gtk_widget_is_ancestor (focus, table)
                       && !gtk_widget_is_ancestor (table, focus);

  if (elsewhere || !gtk_widget_get_mapped (table) || ++*(guint *) ticks > MOST_TICKS
      || (focus != NULL && !GTK_IS_SCROLLED_WINDOW (focus)))
    return G_SOURCE_REMOVE;
  if (*(guint *) ticks > 2)
    gtk_root_set_focus (root, NULL);
  if (*(guint *) ticks > 1)
    gtk_widget_child_focus (table, GTK_DIR_TAB_FORWARD);
  return G_SOURCE_CONTINUE;
}

/* The keyboard stays with what is shown. */
static void
toggle_table (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);
  gboolean table = !gtk_toggle_button_get_active (self->as_table);
  gboolean focused = gtk_widget_has_focus (GTK_WIDGET (self->canvas));

  gtk_toggle_button_set_active (self->as_table, table);
  if (table && focused)
    gtk_widget_add_tick_callback (GTK_WIDGET (self->table), focus_table, g_new0 (guint, 1), g_free);
}

static void
copy_text (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);
  MsFigure *figure = ms_figure_canvas_get_figure (self->canvas);
  int row = ms_figure_canvas_get_cursor (self->canvas);
  g_autofree char *text = NULL;

  if (figure == NULL)
    return;
  text = row >= 0 ? ms_figure_describe (figure, row)
                  : g_strdup (self->outcome->result->summary ? self->outcome->result->summary : "");
  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), text);
  ms_workbench_toast (self->bench, _ ("Text copied"));
}

static gpointer
write_csv (MsWork *job, gpointer table, GError **error)
{
  g_autoptr (GOutputStream) stream = g_memory_output_stream_new_resizable ();

  if (!ms_table_write_csv (table, stream, error) || !g_output_stream_close (stream, NULL, error))
    return NULL;
  return g_memory_output_stream_steal_as_bytes (G_MEMORY_OUTPUT_STREAM (stream));
}

static void
on_csv_written (GObject *owner, gpointer result, const GError *error)
{
  MsFigureView *self = MS_FIGURE_VIEW (owner);
  g_autoptr (GBytes) bytes = result;

  if (bytes == NULL)
    {
      ms_workbench_toast (self->bench, _ ("The table could not be copied: %s"), error->message);
      return;
    }
  {
    g_autofree char *text = g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));

    gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), text);
    ms_workbench_toast (self->bench, _ ("Table copied as CSV"));
  }
}

static void
copy_csv (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);
  MsTable *table = ms_figure_view_get_table (self);

  if (table == NULL)
    return;
  g_object_unref (ms_work_start (ms_workbench_get_jobs (self->bench),
                                 &(MsWorkSpec){ .title = _ ("Copy as CSV"),
                                                .work = write_csv,
                                                .data = ms_table_ref (table),
                                                .free_data = (GDestroyNotify) ms_table_unref,
                                                .free_result = (GDestroyNotify) g_bytes_unref,
                                                .done = on_csv_written,
                                                .owner = G_OBJECT (self) }));
}

GdkTexture *
ms_figure_to_texture (MsFigure *figure, int width, int height, int scale)
{
  cairo_surface_t *surface
      = cairo_image_surface_create (CAIRO_FORMAT_ARGB32, width * scale, height * scale);
  cairo_t *cr = cairo_create (surface);
  g_autoptr (GBytes) bytes = NULL;
  gsize stride;

  cairo_scale (cr, scale, scale);
  ms_figure_draw (figure, cr, width, height);
  cairo_destroy (cr);
  cairo_surface_flush (surface);
  stride = (gsize) cairo_image_surface_get_stride (surface);
  bytes = g_bytes_new (cairo_image_surface_get_data (surface), stride * (gsize) (height * scale));
  cairo_surface_destroy (surface);
  return gdk_memory_texture_new (width * scale, height * scale, GDK_MEMORY_DEFAULT, bytes, stride);
}

static void
copy_image (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);
  MsFigure *figure = ms_figure_canvas_get_figure (self->canvas);
  g_autoptr (GdkTexture) texture = NULL;

  if (figure == NULL)
    return;
  texture
      = ms_figure_to_texture (figure, MAX (gtk_widget_get_width (GTK_WIDGET (self->canvas)), 320),
                              MAX (gtk_widget_get_height (GTK_WIDGET (self->canvas)), 200), 2);
  gdk_clipboard_set_texture (gtk_widget_get_clipboard (widget), texture);
  ms_workbench_toast (self->bench, _ ("Picture copied"));
}

/* The command line that makes the figure as a paper needs it. */
static char *
dup_command (MsFigureView *self)
{
  g_autoptr (MsRequest) full = ms_request_in_full (self->outcome->request);

  return ms_workbench_dup_command (self->bench, full, self->plot.name, "figure.pdf");
}

static void
copy_command (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);
  g_autofree char *command = NULL;

  if (self->outcome == NULL)
    return;
  command = dup_command (self);
  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), command);
  ms_workbench_toast (self->bench, _ ("Command line copied"));
}

/* Copies the statement and opens the console with it. */
static void
show_sql (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);
  g_autofree char *sql = NULL;

  if (self->outcome == NULL)
    return;
  sql = ms_sql_form (self->bench, self->outcome->request, self->plot.table);
  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), sql);
  gtk_widget_activate_action (widget, "win.sql", "s", sql);
  ms_workbench_toast (self->bench, _ ("SQL copied"));
}

static void
export_figure (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);

  if (self->outcome != NULL)
    ms_export_dialog_present (GTK_WINDOW (gtk_widget_get_root (widget)), self->bench, self->outcome,
                              &self->plot, &self->options);
}

/* Says what to add; the window does it. */
static void
add_to_report (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);
  g_autoptr (MsRequest) full = NULL;
  g_autofree char *words = NULL;

  if (self->outcome == NULL)
    return;
  full = ms_request_in_full (self->outcome->request);
  words = ms_request_format (full, self->plot.name);
  gtk_widget_activate_action (widget, "win.add-section", "(sss)",
                              self->outcome->request->analysis->title, self->plot.title, words);
}

/* Scrolls only while zoomed: a scrolled window would hide the canvas's natural size. */
static void
hold_canvas (MsFigureView *self, gboolean scrolled)
{
  GtkWidget *child = adw_bin_get_child (self->holder);
  GtkWidget *canvas = GTK_WIDGET (self->canvas);
  gboolean focused = gtk_widget_has_focus (canvas);

  if (GTK_IS_SCROLLED_WINDOW (child) == scrolled && child != NULL)
    return;
  g_object_ref (canvas);
  if (GTK_IS_SCROLLED_WINDOW (child))
    gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (child), NULL);
  adw_bin_set_child (self->holder, NULL);
  if (scrolled)
    {
      GtkWidget *scroller = gtk_scrolled_window_new ();

      gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), canvas);
      gtk_widget_set_size_request (scroller, -1, 320);
      adw_bin_set_child (self->holder, scroller);
    }
  else
    adw_bin_set_child (self->holder, canvas);
  if (focused)
    gtk_widget_grab_focus (canvas);
  g_object_unref (canvas);
}

static void
set_zoom (MsFigureView *self, double zoom)
{
  ms_figure_canvas_set_zoom (self->canvas, zoom);
  hold_canvas (self, ms_figure_canvas_get_zoom (self->canvas) > 1);
}

static void
zoom (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);
  double now = ms_figure_canvas_get_zoom (self->canvas);

  set_zoom (self, g_str_has_suffix (name, "in")    ? now * 1.5
                  : g_str_has_suffix (name, "out") ? now / 1.5
                                                   : 1);
}

/* The canvas got its size after the first of two ticks. */
static gboolean
reveal_marked (GtkWidget *widget, GdkFrameClock *clock, gpointer ticks)
{
  graphene_rect_t bounds;

  if ((*(guint *) ticks)++ == 0)
    return G_SOURCE_CONTINUE;
  if (ms_figure_canvas_get_marked_bounds (MS_FIGURE_CANVAS (widget), &bounds))
    ms_widget_reveal (widget, &bounds);
  return G_SOURCE_REMOVE;
}

/* Zooms until the brush fills what shows; without a brush, to the whole. */
static void
zoom_fit (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MsFigureView *self = MS_FIGURE_VIEW (widget);
  GtkWidget *canvas = GTK_WIDGET (self->canvas);
  double width = gtk_widget_get_width (GTK_WIDGET (self->holder));
  double height = gtk_widget_get_height (GTK_WIDGET (self->holder));
  double now = ms_figure_canvas_get_zoom (self->canvas), times = 1 / now;
  graphene_rect_t bounds;

  if (ms_figure_canvas_get_marked_bounds (self->canvas, &bounds))
    times = 0.8 * MIN (width / (double) bounds.size.width, height / (double) bounds.size.height);
  set_zoom (self, now * times);
  gtk_widget_add_tick_callback (canvas, reveal_marked, g_new0 (guint, 1), g_free);
}

/* --- The title row ---------------------------------------------------------------------------- */

static GtkWidget *
wrapped_label (const char *text, const char *css_class)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 56);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  if (css_class != NULL)
    gtk_widget_add_css_class (label, css_class);
  return label;
}

static void
fill_definition (GtkMenuButton *button, gpointer data)
{
  MsFigureView *self = data;
  GtkWidget *popover = gtk_popover_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);

  if (self->outcome != NULL)
    {
      const MsAnalysis *analysis = self->outcome->request->analysis;
      GPtrArray *notes = self->outcome->result->notes;
      g_autofree char *command = dup_command (self);

      gtk_box_append (GTK_BOX (box), wrapped_label (_ (analysis->title), "heading"));
      gtk_box_append (GTK_BOX (box), wrapped_label (_ (analysis->help), NULL));
      if (analysis->formula != NULL)
        gtk_box_append (GTK_BOX (box), wrapped_label (analysis->formula, "monospace"));
      if (analysis->cite != NULL)
        gtk_box_append (GTK_BOX (box), wrapped_label (analysis->cite, "dim-label"));
      for (guint i = 0; notes != NULL && i < notes->len; i++)
        gtk_box_append (GTK_BOX (box), wrapped_label (g_ptr_array_index (notes, i), "caption"));
      gtk_box_append (GTK_BOX (box), wrapped_label (command, "monospace"));
    }
  gtk_popover_set_child (GTK_POPOVER (popover), box);
  gtk_menu_button_set_popover (button, popover);
}

/* The figure's own actions, and what its canvas does with keys. */
/* clang-format off */
const MsAction ms_figure_actions[] = {
  { .group = N_ ("Figure"), .title = N_ ("Copy Text"), .name = "figure.copy-text",
    .keys = "<Control>c", .scope = MS_KEYS_FIGURE, .activate = copy_text,
    .menu = 11, .menu_title = N_ ("Copy _Text") },
  { .group = N_ ("Figure"), .title = N_ ("Copy as CSV"), .name = "figure.copy-csv",
    .activate = copy_csv, .menu = 12, .menu_title = N_ ("Copy as _CSV") },
  { .group = N_ ("Figure"), .title = N_ ("Copy Picture"), .name = "figure.copy-image",
    .activate = copy_image, .menu = 13, .menu_title = N_ ("Copy _Picture") },
  { .group = N_ ("Figure"), .title = N_ ("Copy Command Line"), .name = "figure.copy-command",
    .activate = copy_command, .menu = 14, .menu_title = N_ ("Copy Command _Line") },
  { .group = N_ ("Figure"), .title = N_ ("Copy the SQL Behind This"), .name = "figure.sql",
    .activate = show_sql, .menu = 15, .menu_title = N_ ("Copy the _SQL Behind This") },
  { .group = N_ ("Figure"), .title = N_ ("Zoom In"), .name = "figure.zoom-in",
    .keys = "plus equal", .scope = MS_KEYS_FIGURE, .activate = zoom,
    .menu = 22, .menu_title = N_ ("Zoom _In") },
  { .group = N_ ("Figure"), .title = N_ ("Zoom Out"), .name = "figure.zoom-out",
    .keys = "minus", .scope = MS_KEYS_FIGURE, .activate = zoom,
    .menu = 23, .menu_title = N_ ("Zoom _Out") },
  { .group = N_ ("Figure"), .title = N_ ("Whole Figure"), .name = "figure.zoom-reset",
    .keys = "0", .scope = MS_KEYS_FIGURE, .activate = zoom,
    .menu = 24, .menu_title = N_ ("_Whole Figure") },
  { .group = N_ ("Figure"), .title = N_ ("Fit the Brush"), .name = "figure.zoom-fit",
    .keys = "f", .scope = MS_KEYS_FIGURE, .activate = zoom_fit,
    .menu = 25, .menu_title = N_ ("_Fit the Brush") },
  /* In the palette as actions of the window. */
  { .name = "figure.table", .activate = toggle_table,
    .menu = 21, .menu_title = N_ ("Show as T_able") },
  { .name = "figure.export", .activate = export_figure,
    .menu = 31, .menu_title = N_ ("_Export…") },
  { .name = "figure.report", .activate = add_to_report,
    .menu = 32, .menu_title = N_ ("Add to _Report") },
  { .group = N_ ("In a Figure"), .title = N_ ("Move the Cursor"), .keys = "Left Right Up Down" },
  { .group = N_ ("In a Figure"), .title = N_ ("Row Start, Row End"), .keys = "Home End" },
  { .group = N_ ("In a Figure"), .title = N_ ("First Cell"), .keys = "<Control>Home" },
  { .group = N_ ("In a Figure"), .title = N_ ("Use This Run as Baseline"),
    .name = "win.make-baseline", .keys = "b", .scope = MS_KEYS_FIGURE, .key_only = TRUE },
  { .group = N_ ("In a Figure"), .title = N_ ("Brush While Moving"),
    .keys = "<Shift>Right <Shift>Down" },
  { .group = N_ ("In a Figure"), .title = N_ ("Select the Cell"), .keys = "Return" },
  { .group = N_ ("In a Figure"), .title = N_ ("Add the Cell"), .keys = "space" },
  { .group = N_ ("In a Figure"), .title = N_ ("Look at This Alone"), .keys = "<Control>Return" },
  { .group = N_ ("In a Figure"), .title = N_ ("Layer Down, Layer Up"),
    .keys = "bracketleft bracketright" },
  { .group = N_ ("In a Figure"), .title = N_ ("Previous, Next of the Expert"),
    .keys = "comma period" },
  { 0 },
};
/* clang-format on */

static void
name_button (GtkWidget *button, const char *name)
{
  gtk_widget_set_tooltip_text (button, name);
  ms_widget_name (button, name);
  gtk_widget_add_css_class (button, "flat");
}

static void
make_head (MsFigureView *self)
{
  g_autoptr (GMenuModel) menu = ms_actions_make_menu (ms_figure_actions, "figure.");

  self->head = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);
  self->title = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_xalign (self->title, 0);
  gtk_label_set_ellipsize (self->title, PANGO_ELLIPSIZE_END);
  gtk_widget_add_css_class (GTK_WIDGET (self->title), "heading");
  gtk_widget_set_hexpand (GTK_WIDGET (self->title), TRUE);
  self->as_table = GTK_TOGGLE_BUTTON (gtk_toggle_button_new ());
  gtk_button_set_icon_name (GTK_BUTTON (self->as_table), "view-list-symbolic");
  name_button (GTK_WIDGET (self->as_table), _ ("Show as Table"));
  g_signal_connect_swapped (self->as_table, "toggled", G_CALLBACK (on_as_table), self);
  self->definition = GTK_MENU_BUTTON (gtk_menu_button_new ());
  gtk_menu_button_set_icon_name (self->definition, "dialog-information-symbolic");
  name_button (GTK_WIDGET (self->definition), _ ("Definition"));
  gtk_menu_button_set_create_popup_func (self->definition, fill_definition, self, NULL);
  self->menu = GTK_MENU_BUTTON (gtk_menu_button_new ());
  gtk_menu_button_set_icon_name (self->menu, "view-more-symbolic");
  name_button (GTK_WIDGET (self->menu), _ ("Figure Menu"));
  gtk_menu_button_set_menu_model (self->menu, menu);
  gtk_box_append (GTK_BOX (self->head), GTK_WIDGET (self->title));
  gtk_box_append (GTK_BOX (self->head), GTK_WIDGET (self->definition));
  gtk_box_append (GTK_BOX (self->head), GTK_WIDGET (self->as_table));
  gtk_box_append (GTK_BOX (self->head), GTK_WIDGET (self->menu));
}

static void
on_context_menu (MsFigureView *self)
{
  gtk_menu_button_popup (self->menu);
}

/* --- The widget ------------------------------------------------------------------------------- */

static void
dispose (GObject *object)
{
  MsFigureView *self = MS_FIGURE_VIEW (object);

  g_clear_pointer (&self->outcome, ms_outcome_unref);
  g_clear_pointer (&self->table_override, ms_table_unref);
  g_clear_pointer (&self->run, g_free);
  g_clear_object (&self->bench);
  G_OBJECT_CLASS (ms_figure_view_parent_class)->dispose (object);
}

static void
ms_figure_view_class_init (MsFigureViewClass *class)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (class);

  G_OBJECT_CLASS (class)->dispose = dispose;
  for (const MsAction *action = ms_figure_actions; !ms_action_is_end (action); action++)
    if (action->activate != NULL)
      gtk_widget_class_install_action (widget_class, action->name, NULL, action->activate);
  ms_actions_bind_to_class (ms_figure_actions, MS_KEYS_FIGURE, widget_class);
}

static void
ms_figure_view_init (MsFigureView *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 3);
  GtkGesture *right = gtk_gesture_click_new ();
  AdwStyleManager *style = adw_style_manager_get_default ();

  make_head (self);
  self->canvas = MS_FIGURE_CANVAS (ms_figure_canvas_new ());
  self->table = MS_TABLE_VIEW (ms_table_view_new ());
  self->failure = GTK_LABEL (wrapped_label (NULL, "dim-label"));
  self->stack = GTK_STACK (gtk_stack_new ());
  gtk_stack_set_hhomogeneous (self->stack, FALSE);
  gtk_stack_set_vhomogeneous (self->stack, FALSE);
  self->holder = ADW_BIN (adw_bin_new ());
  hold_canvas (self, FALSE);
  gtk_stack_add_named (self->stack, GTK_WIDGET (self->holder), "figure");
  gtk_stack_add_named (self->stack, GTK_WIDGET (self->table), "table");
  gtk_stack_add_named (self->stack, GTK_WIDGET (self->failure), "failure");
  gtk_widget_set_vexpand (GTK_WIDGET (self->stack), TRUE);
  gtk_box_append (GTK_BOX (box), self->head);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->stack));
  adw_bin_set_child (ADW_BIN (self), box);
  gtk_gesture_single_set_button (GTK_GESTURE_SINGLE (right), GDK_BUTTON_SECONDARY);
  g_signal_connect_swapped (right, "pressed", G_CALLBACK (on_context_menu), self);
  gtk_widget_add_controller (GTK_WIDGET (self->canvas), GTK_EVENT_CONTROLLER (right));
  g_signal_connect_swapped (self->canvas, "brushed", G_CALLBACK (on_brushed), self);
  g_signal_connect_swapped (self->canvas, "row-entered", G_CALLBACK (on_row_entered), self);
  g_signal_connect_swapped (self->canvas, "row-activated", G_CALLBACK (on_row_activated), self);
  g_signal_connect_swapped (self->table, "row-activated", G_CALLBACK (on_row_activated), self);
  g_signal_connect_object (style, "notify::dark", G_CALLBACK (on_style_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (gtk_settings_get_default (), "notify::gtk-xft-dpi",
                           G_CALLBACK (on_style_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (style, "notify::high-contrast", G_CALLBACK (on_style_changed), self,
                           G_CONNECT_SWAPPED);
}

GtkWidget *
ms_figure_view_new (MsWorkbench *bench)
{
  MsFigureView *self = g_object_new (MS_TYPE_FIGURE_VIEW, NULL);

  self->bench = g_object_ref (bench);
  g_signal_connect_object (ms_workbench_get_session (bench), "notify::text", G_CALLBACK (mark_rows),
                           self, G_CONNECT_SWAPPED);
  return GTK_WIDGET (self);
}

/* The title, and on how many tokens the picture rests if not on all.  What leaves the window (numbers,
 * pictures, files) waits for all of them, because the command line beside it means all. */
static void
show_title (MsFigureView *self)
{
  static const char *const final[] = { "figure.copy-csv", "figure.copy-image", "figure.export" };
  gboolean whole = self->outcome->share >= 1;
  g_autofree char *share
      = whole ? NULL
        : self->outcome->runs != NULL
            ? g_strdup_printf (_ ("runs so far: %u"), self->outcome->runs->len)
            : g_strdup_printf (_ ("%.2g %% of tokens"), 100 * self->outcome->share);
  gboolean quick
      = whole && self->plot.low != NULL && self->outcome->request->sampling.resamples == 0;
  const char *parts[5] = { _ (self->plot.title) };
  guint n = 1;
  g_autofree char *title = NULL;

  if (self->run != NULL)
    parts[n++] = self->run;
  if (share != NULL)
    parts[n++] = share;
  if (quick)
    parts[n++] = _ ("quick look");
  title = g_strjoinv (" · ", (char **) parts);

  gtk_label_set_text (self->title, title);
  if (quick)
    {
      g_autofree char *tip
          = g_strdup_printf ("%s\n%s", title, _ ("Without intervals; what is exported has them."));

      gtk_widget_set_tooltip_text (GTK_WIDGET (self->title), tip);
    }
  else
    gtk_widget_set_tooltip_text (GTK_WIDGET (self->title), title);
  for (guint i = 0; i < G_N_ELEMENTS (final); i++)
    gtk_widget_action_set_enabled (GTK_WIDGET (self), final[i], whole);
}

gboolean
ms_figure_view_show (MsFigureView *self, MsOutcome *outcome, const MsPlotDef *plot,
                     const MsFigureOptions *options)
{
  return ms_figure_view_show_table (self, outcome, plot, NULL, options);
}

gboolean
ms_figure_view_show_table (MsFigureView *self, MsOutcome *outcome, const MsPlotDef *plot,
                           MsTable *table, const MsFigureOptions *options)
{
  const MsFigureOptions wanted = options ? *options : (MsFigureOptions){ 0 };

  /* A brush asks every figure for what it shows already. */
  if (outcome == self->outcome && table == NULL && self->table_override == NULL
      && memcmp (plot, &self->plot, sizeof *plot) == 0
      && memcmp (&wanted, &self->options, sizeof wanted) == 0
      && ms_figure_canvas_get_figure (self->canvas) != NULL)
    {
      ms_figure_canvas_set_stale (self->canvas, FALSE);
      return TRUE;
    }
  if (table != NULL)
    ms_table_ref (table);
  g_clear_pointer (&self->table_override, ms_table_unref);
  self->table_override = table;
  ms_outcome_ref (outcome);
  g_clear_pointer (&self->outcome, ms_outcome_unref);
  self->outcome = outcome;
  self->plot = *plot;
  self->options = wanted;
  show_title (self);
  return build (self);
}

void
ms_figure_view_set_run (MsFigureView *self, const char *run)
{
  if (g_strcmp0 (run, self->run) == 0)
    return;
  g_free (self->run);
  self->run = g_strdup (run);
  if (self->outcome != NULL)
    show_title (self);
}

void
ms_figure_view_set_stale (MsFigureView *self, gboolean stale)
{
  ms_figure_canvas_set_stale (self->canvas, stale);
}

void
ms_figure_view_set_plain (MsFigureView *self, gboolean plain)
{
  gtk_widget_set_visible (self->head, !plain);
}

const char *
ms_figure_view_get_title (MsFigureView *self)
{
  return gtk_label_get_text (self->title);
}

MsOutcome *
ms_figure_view_get_outcome (MsFigureView *self)
{
  return self->outcome;
}

const MsPlotDef *
ms_figure_view_get_plot (MsFigureView *self)
{
  return &self->plot;
}

MsTable *
ms_figure_view_get_table (MsFigureView *self)
{
  if (self->table_override != NULL)
    return self->table_override;
  return self->outcome ? ms_result_table (self->outcome->result, self->plot.table) : NULL;
}

MsFigureCanvas *
ms_figure_view_get_canvas (MsFigureView *self)
{
  return self->canvas;
}

void
ms_figure_view_get_options (MsFigureView *self, MsFigureOptions *options)
{
  *options = self->options;
}

MsFigureView *
ms_figure_view_find (GtkWidget *root)
{
  GtkRoot *top = gtk_widget_get_root (root);
  GtkWidget *focus = top ? gtk_root_get_focus (top) : NULL;

  if (focus != NULL && gtk_widget_is_ancestor (focus, root))
    {
      GtkWidget *view = gtk_widget_get_ancestor (focus, MS_TYPE_FIGURE_VIEW);

      if (view != NULL)
        return MS_FIGURE_VIEW (view);
    }
  if (MS_IS_FIGURE_VIEW (root))
    return MS_FIGURE_VIEW (root);
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    if (gtk_widget_get_mapped (child))
      {
        MsFigureView *view = ms_figure_view_find (child);

        if (view != NULL)
          return view;
      }
  return NULL;
}
