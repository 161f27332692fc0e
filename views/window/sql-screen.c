/* MsSqlScreen sends statements to the safe console of db, in a job.  Results are read into a table of at
 * most MS_SQL_MOST_ROWS rows whose columns are typed by what is in them.  `:name` parameters become fields that
 * start with what the session looks at. */
#include "sql-screen-private.h"

#include "figure-view-private.h"
#include "pieces-private.h"
#include "sql-query-private.h"
#include "tab-list-private.h"
#include "table-view-private.h"

#include <gtksourceview/gtksource.h>
#include <math.h>
#include <string.h>

static const char first_statement[] = "-- Ctrl+Return runs, Escape stops.  Tables are on the left; "
                                      "these three are made on the fly:\n"
                                      "--   routing(run, layer, token, rank, expert, weight)   "
                                      "load(run, layer)   token(corpus, token)\n"
                                      "SELECT layer, expert, count FROM load\n"
                                      "WHERE run = :run AND layer = :layer\n"
                                      "ORDER BY count DESC";

struct _MsSqlScreen
{
  MsScreen parent_instance;
  AdwFlap *flap;
  GtkListBox *schema;
  GtkSourceView *editor;
  GtkTextBuffer *buffer;
  GtkTextTag *wrong;
  GtkFlowBox *fields;
  GHashTable *inputs; /* parameter -> GtkEntry */
  GtkButton *run, *stop;
  GtkLabel *message;
  GtkStack *results;
  MsTableView *table;
  MsFigureCanvas *canvas;
  GtkDropDown *x, *y, *mark;
  GtkWidget *plot_bar;
  MsSqlResult *result;
  MsPlotDef plot;
  MsWork *job, *schema_job;
  char *made;         /* the text that the screen itself wrote last */
  GPtrArray *history; /* of char*: statements run, the last at the end */
  guint at;           /* the one shown; history->len = none of them */
  GtkWidget *earlier, *later;
  int *offset;  /* where the statement is wrong, shared with the worker */
  guint listed; /* the file whose schema is shown, by its serial */
};

G_DEFINE_FINAL_TYPE (MsSqlScreen, ms_sql_screen, MS_TYPE_SCREEN)

/* --- Parameters ------------------------------------------------------------------------------- */

static char *
first_of (const GArray *ranges)
{
  return ranges && ranges->len > 0
             ? g_strdup_printf ("%" G_GINT64_FORMAT, g_array_index (ranges, MsRange, 0).first)
             : g_strdup ("0");
}

/* What the session looks at, for a parameter of that name. */
static char *
session_value (MsSqlScreen *self, const char *name)
{
  MsWorkbench *bench = ms_screen_get_bench (MS_SCREEN (self));
  MsSession *session = ms_workbench_get_session (bench);
  const MsSelection *selection = ms_session_get_selection (session);
  MsRunItem *run = ms_workbench_get_run (bench), *base = ms_workbench_get_base (bench);

  if (strcmp (name, "run") == 0)
    return g_strdup_printf ("%" G_GINT64_FORMAT, run ? ms_run_item_run (run)->id : 0);
  if (strcmp (name, "base") == 0)
    return g_strdup_printf ("%" G_GINT64_FORMAT, base ? ms_run_item_run (base)->id : 0);
  if (strcmp (name, "corpus") == 0)
    return g_strdup_printf ("%" G_GINT64_FORMAT, run ? ms_run_item_corpus (run)->id : 0);
  if (strcmp (name, "layer") == 0)
    return first_of (selection->layers);
  if (strcmp (name, "expert") == 0)
    return first_of (selection->experts);
  if (strcmp (name, "document") == 0)
    return first_of (selection->documents);
  if (strcmp (name, "token") == 0)
    return g_strdup_printf ("%" G_GINT64_FORMAT, MAX (ms_session_get_primary (session), 0));
  if (strcmp (name, "language") == 0 && selection->languages != NULL)
    return g_strdup (g_ptr_array_index (selection->languages, 0));
  return g_strdup ("");
}

static char *
editor_text (MsSqlScreen *self)
{
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (self->buffer, &start, &end);
  return gtk_text_buffer_get_text (self->buffer, &start, &end, FALSE);
}

static void
update_fields (MsSqlScreen *self)
{
  g_autofree char *sql = editor_text (self);
  g_autoptr (GPtrArray) names = ms_sql_parameters (sql);
  GtkWidget *child;
  gboolean same = g_hash_table_size (self->inputs) == names->len;

  for (guint i = 0; i < names->len && same; i++)
    same = g_hash_table_contains (self->inputs, g_ptr_array_index (names, i));
  if (same)
    return;
  g_hash_table_remove_all (self->inputs);
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->fields))) != NULL)
    gtk_flow_box_remove (self->fields, child);
  for (guint i = 0; i < names->len; i++)
    {
      const char *name = g_ptr_array_index (names, i);
      g_autofree char *value = session_value (self, name);
      g_autofree char *caption = g_strconcat (":", name, NULL);
      GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
      GtkWidget *entry = gtk_entry_new ();

      gtk_editable_set_text (GTK_EDITABLE (entry), value);
      gtk_editable_set_width_chars (GTK_EDITABLE (entry), 8);
      ms_widget_name (entry, caption);
      g_signal_connect_swapped (entry, "activate", G_CALLBACK (ms_sql_screen_run), self);
      gtk_box_append (GTK_BOX (box), gtk_label_new (caption));
      gtk_box_append (GTK_BOX (box), entry);
      gtk_flow_box_append (self->fields, box);
      gtk_widget_set_focusable (gtk_widget_get_parent (box), FALSE);
      g_hash_table_insert (self->inputs, g_strdup (name), entry);
    }
  gtk_widget_set_visible (GTK_WIDGET (self->fields), names->len > 0);
}

static void remember (MsSqlScreen *self, const char *sql);

/* --- Results ---------------------------------------------------------------------------------- */

static void
draw_plot (MsSqlScreen *self)
{
  static const MsMark marks[] = { MS_MARK_BAR, MS_MARK_LINE, MS_MARK_SCATTER };
  MsSqlResult *result = self->result;
  guint x = gtk_drop_down_get_selected (self->x), y = gtk_drop_down_get_selected (self->y);
  g_autoptr (GError) error = NULL;
  MsFigureOptions options = { .theme = ms_desktop_theme (), .title = "" };
  MsFigure *figure;

  if (result == NULL || x >= result->names->len || y >= result->names->len)
    return;
  self->plot = (MsPlotDef){ .name = "result",
                            .title = _ ("Result"),
                            .table = "result",
                            .mark = marks[gtk_drop_down_get_selected (self->mark)],
                            .x = g_ptr_array_index (result->names, x),
                            .y = g_ptr_array_index (result->names, y) };
  figure = ms_figure_new (result->table, &self->plot, &options, &error);
  ms_figure_canvas_set_figure (self->canvas, figure, NULL);
  if (figure == NULL)
    gtk_label_set_text (self->message, error->message);
}

static void
forget_result (MsSqlScreen *self)
{
  ms_figure_canvas_set_figure (self->canvas, NULL, NULL);
  ms_table_view_set_table (self->table, NULL);
  g_clear_pointer (&self->result, ms_sql_result_free);
}

static void
underline (MsSqlScreen *self, int offset)
{
  g_autofree char *sql = editor_text (self);
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (self->buffer, &start, &end);
  gtk_text_buffer_remove_tag (self->buffer, self->wrong, &start, &end);
  if (offset < 0 || (gsize) offset > strlen (sql))
    return;
  gtk_text_buffer_get_iter_at_offset (self->buffer, &start, (int) g_utf8_strlen (sql, offset));
  end = start;
  if (!gtk_text_iter_forward_word_end (&end))
    gtk_text_buffer_get_end_iter (self->buffer, &end);
  gtk_text_buffer_apply_tag (self->buffer, self->wrong, &start, &end);
}

static void
set_busy (MsSqlScreen *self, gboolean busy)
{
  /* Run stays: what loses its sense under the keyboard would leave it nowhere. */
  if (!busy && gtk_widget_has_focus (GTK_WIDGET (self->stop)))
    gtk_widget_grab_focus (GTK_WIDGET (self->run));
  gtk_widget_set_sensitive (GTK_WIDGET (self->stop), busy);
}

static void
on_result (GObject *owner, gpointer data, const GError *error)
{
  MsSqlScreen *self = MS_SQL_SCREEN (owner);
  MsSqlResult *result = data;
  g_autofree char *text = NULL;
  char rows[MS_NUMBER_SIZE];
  guint n_columns;
  GtkStringList *names;

  g_clear_object (&self->job);
  set_busy (self, FALSE);
  forget_result (self);
  self->result = result;
  if (result == NULL)
    {
      underline (self, *self->offset);
      gtk_label_set_text (self->message, error->message);
      gtk_widget_add_css_class (GTK_WIDGET (self->message), "error");
      return;
    }
  ms_number_grouped (rows, ms_table_n_rows (result->table));
  text = g_strdup_printf (result->cut
                              ? _ ("The first %s rows, %.2f s. Add LIMIT or WHERE for others.")
                              : _ ("%s rows, %.2f s"),
                          rows, result->seconds);
  gtk_label_set_text (self->message, text);
  ms_table_view_set_table (self->table, result->table);
  n_columns = result->names->len;
  names = gtk_string_list_new (NULL);
  for (guint i = 0; i < n_columns; i++)
    gtk_string_list_append (names, g_ptr_array_index (result->names, i));
  gtk_drop_down_set_model (self->x, G_LIST_MODEL (names));
  gtk_drop_down_set_model (self->y, G_LIST_MODEL (names));
  g_object_unref (names);
  gtk_drop_down_set_selected (self->x, n_columns > 2 ? 1 : 0);
  gtk_drop_down_set_selected (self->y, n_columns - 1);
  draw_plot (self);
}

void
ms_sql_screen_run (MsSqlScreen *self)
{
  MsWorkbench *bench = ms_screen_get_bench (MS_SCREEN (self));
  GHashTableIter iter;
  gpointer name, entry;
  MsSqlQuery *order;

  if (ms_workbench_get_path (bench) == NULL)
    return;
  ms_work_drop (&self->job);
  update_fields (self);
  underline (self, -1);
  gtk_widget_remove_css_class (GTK_WIDGET (self->message), "error");
  gtk_label_set_text (self->message, _ ("Running…"));
  order = g_new0 (MsSqlQuery, 1);
  order->path = g_strdup (ms_workbench_get_path (bench));
  order->sql = editor_text (self);
  remember (self, order->sql);
  order->values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_hash_table_iter_init (&iter, self->inputs);
  while (g_hash_table_iter_next (&iter, &name, &entry))
    g_hash_table_insert (order->values, g_strdup (name),
                         g_strdup (gtk_editable_get_text (GTK_EDITABLE (entry))));
  order->offset = g_atomic_rc_box_new0 (int);
  g_clear_pointer (&self->offset, g_atomic_rc_box_release);
  self->offset = g_atomic_rc_box_acquire (order->offset);
  set_busy (self, TRUE);
  self->job = ms_work_start (ms_workbench_get_jobs (bench),
                             &(MsWorkSpec){ .title = _ ("SQL"),
                                            .work = ms_sql_query_run,
                                            .data = order,
                                            .free_data = (GDestroyNotify) ms_sql_query_free,
                                            .free_result = (GDestroyNotify) ms_sql_result_free,
                                            .done = on_result,
                                            .owner = G_OBJECT (self) });
}

static void
stop (MsSqlScreen *self)
{
  if (self->job != NULL)
    ms_work_stop (self->job);
}

/* --- The schema ------------------------------------------------------------------------------- */

static void
add_schema_row (MsSqlScreen *self, const char *name, const char *tip)
{
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *label = gtk_label_new (name);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), label);
  gtk_widget_set_tooltip_text (row, tip);
  ms_widget_name (row, name);
  g_object_set_data_full (G_OBJECT (row), "moescope-name", g_strdup (name), g_free);
  gtk_list_box_append (self->schema, row);
}

static void
on_schema (GObject *owner, gpointer data, const GError *error)
{
  MsSqlScreen *self = MS_SQL_SCREEN (owner);
  MsSqlResult *result = data;
  GtkWidget *row;

  g_clear_object (&self->schema_job);
  while ((row = gtk_widget_get_first_child (GTK_WIDGET (self->schema))) != NULL)
    gtk_list_box_remove (self->schema, row);
  add_schema_row (self, "routing", _ ("run, layer, token, rank, expert, weight, entropy, margin"));
  add_schema_row (self, "load", _ ("run, layer, expert, count"));
  add_schema_row (self, "token", _ ("corpus, token, id, text"));
  for (guint i = 0; result != NULL && i < ms_table_n_rows (result->table); i++)
    add_schema_row (self, ms_table_get_text (result->table, i, 0),
                    ms_table_get_text (result->table, i, 1));
  ms_sql_result_free (result);
}

static void
on_schema_row (MsSqlScreen *self, GtkListBoxRow *row)
{
  const char *name = g_object_get_data (G_OBJECT (row), "moescope-name");
  g_autofree char *now = g_strstrip (editor_text (self));

  /* What somebody wrote stays: the name goes where the cursor is. */
  if (*now != '\0' && g_strcmp0 (now, self->made) != 0)
    {
      gtk_text_buffer_insert_at_cursor (self->buffer, name, -1);
      gtk_widget_grab_focus (GTK_WIDGET (self->editor));
    }
  else
    {
      g_autofree char *sql = g_strdup_printf ("SELECT * FROM %s LIMIT 1000", name);

      ms_sql_screen_set_text (self, sql);
      ms_sql_screen_run (self);
    }
}

/* --- The history ------------------------------------------------------------------------------ */

static void
update_history (MsSqlScreen *self)
{
  gtk_widget_set_sensitive (self->earlier, self->at > 0);
  gtk_widget_set_sensitive (self->later, self->at + 1 < self->history->len);
}

static void
remember (MsSqlScreen *self, const char *sql)
{
  for (guint i = self->history->len; i > 0; i--)
    if (strcmp (g_ptr_array_index (self->history, i - 1), sql) == 0)
      g_ptr_array_remove_index (self->history, i - 1);
  g_ptr_array_add (self->history, g_strdup (sql));
  self->at = self->history->len - 1;
  update_history (self);
}

static void
recall (MsSqlScreen *self, int step)
{
  gint64 to = (gint64) self->at + step;

  if (to < 0 || to >= self->history->len)
    return;
  self->at = (guint) to;
  ms_sql_screen_set_text (self, g_ptr_array_index (self->history, self->at));
  update_history (self);
}

static void
recall_earlier (MsSqlScreen *self)
{
  recall (self, -1);
}

static void
recall_later (MsSqlScreen *self)
{
  recall (self, 1);
}

void
ms_sql_screen_recall (MsSqlScreen *self, int step)
{
  recall (self, step);
}

char *
ms_sql_screen_dup_text (MsSqlScreen *self)
{
  return editor_text (self);
}

gboolean
ms_sql_screen_choose_table (MsSqlScreen *self, guint n)
{
  GtkListBoxRow *row = gtk_list_box_get_row_at_index (self->schema, (int) n);

  if (row != NULL)
    on_schema_row (self, row);
  return row != NULL;
}

void
ms_sql_screen_undo (MsSqlScreen *self)
{
  gtk_text_buffer_undo (self->buffer);
}

static GtkWidget *
history_button (MsSqlScreen *self, const char *icon, const char *name, GCallback callback)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon);

  gtk_widget_set_tooltip_text (button, name);
  ms_widget_name (button, name);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_sensitive (button, FALSE);
  g_signal_connect_swapped (button, "clicked", callback, self);
  return button;
}

static void
update (MsScreen *screen)
{
  MsSqlScreen *self = MS_SQL_SCREEN (screen);
  const char *path = ms_workbench_get_path (ms_screen_get_bench (screen));
  MsSqlQuery *order;

  ms_screen_show_content (screen);
  update_fields (self);
  if (ms_workbench_get_serial (ms_screen_get_bench (screen)) == self->listed)
    return;
  self->listed = ms_workbench_get_serial (ms_screen_get_bench (screen));
  forget_result (self);
  gtk_label_set_text (self->message, "");
  ms_work_drop (&self->schema_job);
  order = g_new0 (MsSqlQuery, 1);
  order->path = g_strdup (path);
  order->sql = g_strdup ("SELECT name, sql FROM sqlite_master WHERE type = 'table' "
                         "AND name NOT LIKE 'sqlite%' ORDER BY name");
  order->values = g_hash_table_new (g_str_hash, g_str_equal);
  order->offset = g_atomic_rc_box_new0 (int);
  self->schema_job
      = ms_work_start (NULL, &(MsWorkSpec){ .title = _ ("Schema"),
                                            .work = ms_sql_query_run,
                                            .data = order,
                                            .free_data = (GDestroyNotify) ms_sql_query_free,
                                            .free_result = (GDestroyNotify) ms_sql_result_free,
                                            .done = on_schema,
                                            .owner = G_OBJECT (self) });
  ms_sql_screen_run (self);
}

/* --- Building --------------------------------------------------------------------------------- */

static gboolean
on_run_key (GtkWidget *widget, GVariant *args, gpointer data)
{
  ms_sql_screen_run (data);
  return TRUE;
}

static gboolean
on_stop_key (GtkWidget *widget, GVariant *args, gpointer data)
{
  MsSqlScreen *self = data;

  if (self->job == NULL)
    return FALSE;
  stop (self);
  return TRUE;
}

static void
follow_style (MsSqlScreen *self)
{
  GtkSourceStyleSchemeManager *manager = gtk_source_style_scheme_manager_get_default ();
  gboolean dark = adw_style_manager_get_dark (adw_style_manager_get_default ());

  gtk_source_buffer_set_style_scheme (
      GTK_SOURCE_BUFFER (self->buffer),
      gtk_source_style_scheme_manager_get_scheme (manager, dark ? "Adwaita-dark" : "Adwaita"));
  draw_plot (self);
}

static GtkWidget *
make_editor (MsSqlScreen *self)
{
  GtkSourceLanguage *language = gtk_source_language_manager_get_language (
      gtk_source_language_manager_get_default (), "sql");
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkEventController *keys = gtk_shortcut_controller_new ();

  self->buffer = GTK_TEXT_BUFFER (gtk_source_buffer_new_with_language (language));
  self->editor
      = GTK_SOURCE_VIEW (gtk_source_view_new_with_buffer (GTK_SOURCE_BUFFER (self->buffer)));
  g_object_unref (self->buffer); /* the view has it */
  self->wrong
      = gtk_text_buffer_create_tag (self->buffer, NULL, "underline", PANGO_UNDERLINE_ERROR, NULL);
  gtk_source_view_set_show_line_numbers (self->editor, TRUE);
  gtk_text_view_set_wrap_mode (GTK_TEXT_VIEW (self->editor), GTK_WRAP_WORD_CHAR);
  gtk_source_view_set_tab_width (self->editor, 2);
  gtk_source_view_set_insert_spaces_instead_of_tabs (self->editor, TRUE);
  gtk_text_view_set_monospace (GTK_TEXT_VIEW (self->editor), TRUE);
  gtk_text_view_set_accepts_tab (GTK_TEXT_VIEW (self->editor), FALSE);
  ms_widget_name (GTK_WIDGET (self->editor), _ ("SQL"));
  gtk_shortcut_controller_add_shortcut (
      GTK_SHORTCUT_CONTROLLER (keys),
      gtk_shortcut_new (gtk_keyval_trigger_new (GDK_KEY_Return, GDK_CONTROL_MASK),
                        gtk_callback_action_new (on_run_key, self, NULL)));
  gtk_shortcut_controller_add_shortcut (
      GTK_SHORTCUT_CONTROLLER (keys),
      gtk_shortcut_new (gtk_keyval_trigger_new (GDK_KEY_Escape, 0),
                        gtk_callback_action_new (on_stop_key, self, NULL)));
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  gtk_widget_add_controller (GTK_WIDGET (self->editor), keys);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->editor));
  gtk_widget_set_size_request (scroller, -1, 130);
  gtk_widget_add_css_class (scroller, "card");
  gtk_text_buffer_set_text (self->buffer, first_statement, -1);
  self->made = g_strstrip (g_strdup (first_statement));
  self->history = g_ptr_array_new_with_free_func (g_free);
  return scroller;
}

static GtkWidget *
make_schema (MsSqlScreen *self)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();

  self->schema = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (self->schema, GTK_SELECTION_NONE);
  gtk_widget_add_css_class (GTK_WIDGET (self->schema), "navigation-sidebar");
  ms_widget_name (GTK_WIDGET (self->schema), _ ("Tables"));
  g_signal_connect_swapped (self->schema, "row-activated", G_CALLBACK (on_schema_row), self);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->schema));
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_widget_set_size_request (scroller, 170, -1);
  gtk_widget_set_hexpand (scroller, FALSE);
  gtk_widget_add_css_class (scroller, "background");
  return ms_tab_list_new (scroller);
}

static GtkDropDown *
plot_choice (MsSqlScreen *self, const char *name, const char *const *names)
{
  GtkWidget *choice
      = names ? gtk_drop_down_new_from_strings (names) : gtk_drop_down_new (NULL, NULL);

  ms_widget_name (choice, name);
  gtk_widget_set_tooltip_text (choice, name);
  g_signal_connect_swapped (choice, "notify::selected", G_CALLBACK (draw_plot), self);
  gtk_box_append (GTK_BOX (self->plot_bar), choice);
  return GTK_DROP_DOWN (choice);
}

static GtkWidget *
make_results (MsSqlScreen *self)
{
  const char *const marks[] = { _ ("Bars"), _ ("Line"), _ ("Points"), NULL };
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *plot = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *switcher = gtk_stack_switcher_new ();

  self->results = GTK_STACK (gtk_stack_new ());
  self->table = MS_TABLE_VIEW (ms_table_view_new ());
  self->canvas = MS_FIGURE_CANVAS (ms_figure_canvas_new ());
  self->plot_bar = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  self->mark = plot_choice (self, _ ("Mark"), marks);
  self->x = plot_choice (self, _ ("Across"), NULL);
  self->y = plot_choice (self, _ ("Up"), NULL);
  gtk_box_append (GTK_BOX (plot), self->plot_bar);
  gtk_box_append (GTK_BOX (plot), GTK_WIDGET (self->canvas));
  gtk_stack_add_titled (self->results, GTK_WIDGET (self->table), "table", _ ("Table"));
  gtk_stack_add_titled (self->results, ms_scroller_new (plot), "plot", _ ("Plot"));
  gtk_widget_set_vexpand (GTK_WIDGET (self->results), TRUE);
  gtk_stack_switcher_set_stack (GTK_STACK_SWITCHER (switcher), self->results);
  gtk_widget_set_halign (switcher, GTK_ALIGN_START);
  gtk_box_append (GTK_BOX (box), switcher);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->results));
  return box;
}

static void
dispose (GObject *object)
{
  MsSqlScreen *self = MS_SQL_SCREEN (object);

  ms_work_drop (&self->job);
  ms_work_drop (&self->schema_job);
  if (self->canvas != NULL)
    forget_result (self);
  self->canvas = NULL;
  g_clear_pointer (&self->inputs, g_hash_table_unref);
  g_clear_pointer (&self->offset, g_atomic_rc_box_release);
  g_clear_pointer (&self->history, g_ptr_array_unref);
  g_clear_pointer (&self->made, g_free);
  G_OBJECT_CLASS (ms_sql_screen_parent_class)->dispose (object);
}

static void
ms_sql_screen_class_init (MsSqlScreenClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  MS_SCREEN_CLASS (class)->update = update;
  MS_SCREEN_CLASS (class)->works_without_run = TRUE;
}

static void
ms_sql_screen_init (MsSqlScreen *self)
{
  self->inputs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
}

static GtkWidget *
make_buttons (MsSqlScreen *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  GtkWidget *toggle = gtk_toggle_button_new ();

  self->run = GTK_BUTTON (gtk_button_new_with_mnemonic (_ ("_Run")));
  self->stop = GTK_BUTTON (gtk_button_new_with_mnemonic (_ ("_Stop")));
  ms_widget_name (GTK_WIDGET (self->run), _ ("Run"));
  ms_widget_name (GTK_WIDGET (self->stop), _ ("Stop"));
  gtk_widget_add_css_class (GTK_WIDGET (self->run), "suggested-action");
  gtk_button_set_icon_name (GTK_BUTTON (toggle), "view-list-bullet-symbolic");
  gtk_widget_set_tooltip_text (toggle, _ ("Tables"));
  ms_widget_name (toggle, _ ("Tables"));
  g_object_bind_property (self->flap, "reveal-flap", toggle, "active",
                          G_BINDING_BIDIRECTIONAL | G_BINDING_SYNC_CREATE);
  g_signal_connect_swapped (self->run, "clicked", G_CALLBACK (ms_sql_screen_run), self);
  g_signal_connect_swapped (self->stop, "clicked", G_CALLBACK (stop), self);
  self->message = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_xalign (self->message, 0);
  gtk_label_set_wrap (self->message, TRUE);
  gtk_label_set_selectable (self->message, TRUE);
  gtk_widget_set_hexpand (GTK_WIDGET (self->message), TRUE);
  gtk_box_append (GTK_BOX (box), toggle);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->run));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->stop));
  self->earlier = history_button (self, "go-previous-symbolic", _ ("Earlier Statement"),
                                  G_CALLBACK (recall_earlier));
  self->later
      = history_button (self, "go-next-symbolic", _ ("Later Statement"), G_CALLBACK (recall_later));
  gtk_box_append (GTK_BOX (box), self->earlier);
  gtk_box_append (GTK_BOX (box), self->later);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->message));
  set_busy (self, FALSE);
  return box;
}

GtkWidget *
ms_sql_screen_new (MsWorkbench *bench)
{
  MsSqlScreen *self = g_object_new (MS_TYPE_SQL_SCREEN, NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);

  ms_screen_set_bench (MS_SCREEN (self), bench);
  self->flap = ADW_FLAP (adw_flap_new ());
  self->fields = GTK_FLOW_BOX (gtk_flow_box_new ());
  ms_widget_name (GTK_WIDGET (self->fields), _ ("Parameters"));
  gtk_flow_box_set_selection_mode (self->fields, GTK_SELECTION_NONE);
  gtk_flow_box_set_max_children_per_line (self->fields, 4);
  gtk_box_append (GTK_BOX (box), make_editor (self));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->fields));
  gtk_box_append (GTK_BOX (box), make_buttons (self));
  gtk_box_append (GTK_BOX (box), make_results (self));
  ms_widget_set_margins (box, 12);
  adw_flap_set_content (self->flap, box);
  adw_flap_set_flap (self->flap, make_schema (self));
  adw_flap_set_separator (self->flap, gtk_separator_new (GTK_ORIENTATION_VERTICAL));
  ms_screen_set_content (MS_SCREEN (self), GTK_WIDGET (self->flap));
  g_signal_connect_object (adw_style_manager_get_default (), "notify::dark",
                           G_CALLBACK (follow_style), self, G_CONNECT_SWAPPED);
  follow_style (self);
  return GTK_WIDGET (self);
}

void
ms_sql_screen_set_text (MsSqlScreen *self, const char *sql)
{
  GtkTextIter start, end;

  /* As an edit, which can be undone. */
  gtk_text_buffer_get_bounds (self->buffer, &start, &end);
  gtk_text_buffer_begin_user_action (self->buffer);
  gtk_text_buffer_delete (self->buffer, &start, &end);
  gtk_text_buffer_insert (self->buffer, &start, sql, -1);
  gtk_text_buffer_end_user_action (self->buffer);
  g_free (self->made);
  self->made = g_strstrip (g_strdup (sql));
  update_fields (self);
}

gboolean
ms_sql_screen_is_busy (MsSqlScreen *self)
{
  return self->job != NULL;
}

MsTable *
ms_sql_screen_get_table (MsSqlScreen *self)
{
  MsSqlResult *result = self->result;

  return result ? result->table : NULL;
}

const char *
ms_sql_screen_get_message (MsSqlScreen *self)
{
  return gtk_label_get_text (self->message);
}
