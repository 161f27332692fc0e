/* The window, in process: models first, then widgets and screens under Xvfb. */
#include "analyses-screen-private.h"
#include "actions-private.h"
#include "analysis-screen-private.h"
#include "cache-screen-private.h"
#include "collect-dialog-private.h"
#include "compare-screen-private.h"
#include "detail-pane-private.h"
#include "experts-screen-private.h"
#include "export-dialog-private.h"
#include "overview-screen-private.h"
#include "kept-private.h"
#include "palette-private.h"
#include "places-private.h"
#include "report-private.h"
#include "screenshots-private.h"
#include "sql-form-private.h"
#include "sql-screen-private.h"
#include "table-view-private.h"
#include "text-screen-private.h"
#include "windows.h"

#include <glib/gstdio.h>
#include <string.h>
#include <utime.h>

/* --- The session ------------------------------------------------------------------------------ */

static void
test_session_text (void)
{
  static const char *const texts[] = { "", "run=3 base=1 layer=4..8 expert=17,23",
                                       "lang=de,en domain=code doc=12 token=4097..5000" };
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (MsSession) session = ms_session_new ();

      g_assert_true (ms_session_set_text (session, texts[i], NULL));
      g_assert_cmpstr (ms_session_get_text (session), ==, texts[i]);
    }
  {
    g_autoptr (MsSession) session = ms_session_new ();

    ms_session_set_text (session, "layer=3", NULL);
    g_assert_false (ms_session_set_text (session, "layer=x", &error));
    g_assert_nonnull (error);
    g_assert_cmpstr (ms_session_get_text (session), ==, "layer=3");
  }
}

static void
count_notify (guint *n)
{
  (*n)++;
}

static void
test_session_history (void)
{
  g_autoptr (MsSession) session = ms_session_new ();
  guint n = 0;
  gboolean can;

  g_signal_connect_swapped (session, "notify::text", G_CALLBACK (count_notify), &n);
  g_assert_false (ms_session_go (session, -1));
  ms_session_set_text (session, "layer=1", NULL);
  ms_session_set_text (session, "layer=2", NULL);
  ms_session_set_text (session, "layer=2", NULL); /* the same again is no change */
  g_assert_cmpuint (n, ==, 2);
  g_assert_true (ms_session_go (session, -1));
  g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1");
  g_assert_true (ms_ranges_include (ms_session_get_selection (session)->layers, 1));
  g_assert_true (ms_session_go (session, 1));
  g_assert_cmpstr (ms_session_get_text (session), ==, "layer=2");
  ms_session_go (session, -2);
  g_assert_cmpstr (ms_session_get_text (session), ==, "");
  ms_session_set_text (session, "expert=5", NULL); /* cuts off what lay ahead */
  g_object_get (session, "can-go-forward", &can, NULL);
  g_assert_false (can);
  ms_session_reset (session);
  g_object_get (session, "can-go-back", &can, NULL);
  g_assert_false (can);
}

static void
brush (MsSession *session, MsBrush mode, gint64 layer, gint64 expert)
{
  g_autoptr (GArray) layers = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GArray) experts = g_array_new (FALSE, FALSE, sizeof (gint64));

  g_array_append_val (layers, layer);
  g_array_append_val (experts, expert);
  ms_session_brush (session, mode, layers, experts);
}

static void
test_session_brush (void)
{
  g_autoptr (MsSession) session = ms_session_new ();
  g_auto (GStrv) parts = NULL;

  g_assert_false (ms_session_has_brush (session));
  ms_session_set_text (session, "run=2 base=1 lang=\"two words\"", NULL);
  brush (session, MS_BRUSH_REPLACE, 4, 17);
  brush (session, MS_BRUSH_ADD, 6, 23);
  g_assert_cmpstr (ms_session_get_text (session), ==,
                   "run=2 base=1 layer=4,6 expert=17,23 lang=\"two words\"");
  g_assert_true (ms_session_brushes (session, 4, 23));
  g_assert_false (ms_session_brushes (session, 5, 23));
  g_assert_true (ms_session_brushes (session, 6, -1));
  brush (session, MS_BRUSH_EXTEND, 8, 20);
  g_assert_cmpstr (ms_session_get_text (session), ==,
                   "run=2 base=1 layer=4..8 expert=17..23 lang=\"two words\"");
  parts = ms_session_list_parts (session);
  g_assert_cmpuint (g_strv_length (parts), ==, 3);
  g_assert_cmpstr (parts[2], ==, "lang=\"two words\"");
  ms_session_clear (session, "layer");
  g_assert_cmpstr (ms_session_get_text (session), ==,
                   "run=2 base=1 expert=17..23 lang=\"two words\"");
  {
    g_autofree char *filter = ms_session_dup_filter (session);

    g_assert_cmpstr (filter, ==, "lang=\"two words\"");
  }
  ms_session_clear (session, NULL);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=2 base=1");
}

/* Runs shown beside the selected one: part of the history, kept when the selection is cleared. */
static void
test_session_runs (void)
{
  g_autoptr (MsSession) session = ms_session_new ();
  const MsAnalysis *load = ms_analysis_find ("load"), *compare = ms_analysis_find ("compare");
  const MsAnalysis *saturation = ms_analysis_find ("saturation");
  g_autoptr (GError) error = NULL;

  g_assert_true (ms_session_show_run (session, 3, 1, TRUE, NULL));
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=3 with=1");
  g_assert_true (ms_session_shows_run (session, 1));
  g_assert_false (ms_session_shows_run (session, 3));
  ms_session_set_run (session, 1); /* the same two are shown */
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=1 with=3");
  ms_session_set_run (session, 2); /* takes the place of the first */
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=2 with=3");
  g_assert_true (ms_session_go (session, -1));
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=1 with=3");
  ms_session_set_text (session, "run=7 base=2 with=1..3 layer=4 lang=de", NULL);
  {
    g_auto (GStrv) parts = ms_session_list_parts (session);
    g_autofree char *filter = ms_session_dup_filter (session);
    g_autoptr (MsSelection) together = ms_session_copy_for (session, load);
    g_autoptr (MsSelection) alone = ms_session_copy_for (session, compare);
    g_autoptr (MsSelection) series = ms_session_copy_for (session, saturation);
    g_autofree char *first = ms_selection_format (together), *second = ms_selection_format (alone);
    g_autofree char *third = ms_selection_format (series);

    g_assert_cmpuint (g_strv_length (parts), ==, 2);
    g_assert_cmpstr (filter, ==, "lang=de");
    g_assert_cmpstr (first, ==, "with=1..3 layer=4 lang=de");
    g_assert_cmpstr (second, ==, "layer=4 lang=de");
    g_assert_cmpstr (third, ==, "with=1..3 layer=4 lang=de");
  }
  ms_session_jump (session, "layer=5", NULL);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=7 base=2 with=1..3 layer=5 lang=de");
  ms_session_jump (session, "expert=2 lang=en", NULL);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=7 base=2 with=1..3 expert=2 lang=en");
  ms_session_clear (session, NULL);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=7 base=2 with=1..3");
  for (gint64 run = 4; run <= 6; run++)
    g_assert_true (ms_session_show_run (session, 7, run, TRUE, NULL));
  g_assert_false (ms_session_show_run (session, 7, 8, TRUE, &error));
  g_assert_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=7 base=2 with=1..6");
  ms_session_clear (session, "with");
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=7 base=2");
}

/* --- Jobs ------------------------------------------------------------------------------------- */

typedef struct
{
  GObject *owner;
  guint done;
  int result;
  GError *error;
} Heard;

static Heard heard;

static void
on_done (GObject *owner, gpointer result, const GError *error)
{
  heard.done++;
  heard.result = GPOINTER_TO_INT (result);
  g_clear_error (&heard.error);
  heard.error = error ? g_error_copy (error) : NULL;
}

static gpointer
answer (MsWork *job, gpointer data, GError **error)
{
  ms_work_progress (0.5, job);
  return data;
}

static gpointer
wait_forever (MsWork *job, gpointer data, GError **error)
{
  while (!g_cancellable_set_error_if_cancelled (ms_work_cancellable (job), error))
    g_usleep (1000);
  return NULL;
}

static gpointer
fail (MsWork *job, gpointer data, GError **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "it broke");
  return NULL;
}

static MsWork *
start (GListStore *jobs, MsWorkFunc work, int value)
{
  return ms_work_start (jobs, &(MsWorkSpec){ .title = "test",
                                             .work = work,
                                             .data = GINT_TO_POINTER (value),
                                             .done = on_done,
                                             .owner = heard.owner,
                                             .keep_failure = TRUE });
}

static void
test_job (void)
{
  g_autoptr (GObject) owner = g_object_new (G_TYPE_OBJECT, NULL);
  g_autoptr (GListStore) jobs = g_list_store_new (MS_TYPE_WORK);
  g_autofree char *message = NULL;
  MsWork *job;

  heard = (Heard){ .owner = owner };
  job = start (jobs, answer, 7);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (jobs)), ==, 1);
  wait_until (heard.done == 1);
  g_assert_cmpint (heard.result, ==, 7);
  g_assert_cmpfloat (ms_work_get_fraction (job), ==, 0.5);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (jobs)), ==, 0);
  g_object_unref (job);

  job = start (jobs, wait_forever, 0);
  ms_work_stop (job);
  wait_until (heard.done == 2);
  g_assert_error (heard.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (ms_work_get_state (job), ==, MS_WORK_STOPPED);
  g_object_unref (job);

  /* Latest wins: the dropped one is never heard of. */
  job = start (jobs, wait_forever, 1);
  ms_work_drop (&job);
  g_assert_null (job);
  job = start (jobs, answer, 2);
  wait_until (heard.done == 3);
  g_assert_cmpint (heard.result, ==, 2);
  g_object_unref (job);

  job = start (jobs, fail, 0);
  wait_until (heard.done == 4);
  g_assert_cmpint (ms_work_get_state (job), ==, MS_WORK_FAILED);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (jobs)), ==, 1);
  message = ms_work_dup_message (job);
  g_assert_cmpstr (message, ==, "it broke");
  g_object_unref (job);
  g_clear_error (&heard.error);
}

/* --- The window ------------------------------------------------------------------------------- */

/* Every screen with the rich run, with none, and with a file that is no database. */
static void
test_screens (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window;

  g_free (ms_fixture_rich (path, 0.5));
  window = open_window (path);
  ms_session_set_text (ms_workbench_get_session (ms_window_get_bench (window)), "run=2 base=1",
                       NULL);
  for (const MsScreenInfo *info = ms_screens; info->name != NULL; info++)
    {
      show_screen (window, info->name);
      wait_until (
          g_str_equal (ms_screen_get_shown (ms_window_get_screen (window, info->name)), "content"));
    }
  close_window (window);
  ms_fixture_remove (path);
}

static void
test_bad_files (void)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-window-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "bad.db", NULL);
  g_autofree char *missing = g_build_filename (folder, "missing.db", NULL);
  MsWindow *window;

  g_assert_true (g_file_set_contents (path, "no database at all", -1, NULL));
  window = open_window (path);
  g_assert_cmpint (ms_workbench_get_state (ms_window_get_bench (window)), ==, MS_BENCH_FAILED);
  for (const MsScreenInfo *info = ms_screens; info->name != NULL; info++)
    {
      show_screen (window, info->name);
      wait_until (
          g_str_equal (ms_screen_get_shown (ms_window_get_screen (window, info->name)), "status"));
    }
  ms_workbench_open (ms_window_get_bench (window), missing);
  wait_until (ms_window_is_quiet (window));
  g_assert_cmpint (ms_workbench_get_state (ms_window_get_bench (window)), ==, MS_BENCH_FAILED);
  close_window (window);
  g_unlink (path);
  g_rmdir (folder);
}

static gboolean
runs_are (MsWindow *window, guint n)
{
  MsWorkbench *bench = ms_window_get_bench (window);

  return ms_window_is_quiet (window) && ms_workbench_get_state (bench) == MS_BENCH_READY
         && g_list_model_get_n_items (ms_workbench_get_runs (bench)) == n;
}

/* A file opened again, replaced by another, and deleted while it is shown. */
static void
test_replaced (void)
{
  char *path = ms_fixture_rich (NULL, 0), *other = ms_fixture_rich (NULL, 0);
  MsWindow *window;
  MsWorkbench *bench;
  guint serial;

  g_free (ms_fixture_rich (other, 0.5));
  window = open_window (path);
  bench = ms_window_get_bench (window);
  screen_of (window, "overview");
  ms_workbench_open (bench, path);
  screen_of (window, "overview");
  g_assert_true (runs_are (window, 1));
  serial = ms_workbench_get_serial (bench);
  g_assert_cmpint (g_rename (other, path), ==, 0);
  wait_until (ms_workbench_get_serial (bench) != serial && runs_are (window, 2));
  screen_of (window, "overview");
  serial = ms_workbench_get_serial (bench);
  g_unlink (path);
  for (gint64 until = g_get_monotonic_time () + G_USEC_PER_SEC; g_get_monotonic_time () < until;)
    g_main_context_iteration (NULL, FALSE);
  g_assert_true (runs_are (window, 2)); /* what is shown stays */
  g_assert_cmpuint (ms_workbench_get_serial (bench), ==, serial);
  close_window (window);
  ms_fixture_remove (path);
  g_free (other);
}

/* The widget's pixels are those of the headless figure. */
static void
test_figure_pixels (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsExpertsScreen *screen;
  MsFigureCanvas *canvas;
  g_autoptr (GdkTexture) widget = NULL;
  g_autoptr (GdkTexture) headless = NULL;
  g_autofree guchar *seen = NULL, *drawn = NULL;
  int width, height;
  gsize size;

  show_screen (window, "experts");
  screen = MS_EXPERTS_SCREEN (ms_window_get_screen (window, "experts"));
  wait_until (ms_figure_view_get_outcome (ms_experts_screen_get_map (screen)) != NULL);
  canvas = ms_figure_view_get_canvas (ms_experts_screen_get_map (screen));
  gtk_test_widget_wait_for_draw (GTK_WIDGET (canvas));
  width = gtk_widget_get_width (GTK_WIDGET (canvas));
  height = gtk_widget_get_height (GTK_WIDGET (canvas));
  g_assert_cmpint (width, >, 200);
  widget = ms_widget_to_texture (GTK_WIDGET (canvas));
  g_assert_nonnull (widget);
  headless = ms_figure_to_texture (ms_figure_canvas_get_figure (canvas), width, height, 1);
  g_assert_cmpint (gdk_texture_get_width (widget), ==, width);
  size = (gsize) width * (gsize) height * 4;
  seen = g_malloc0 (size);
  drawn = g_malloc0 (size);
  gdk_texture_download (widget, seen, (gsize) width * 4);
  gdk_texture_download (headless, drawn, (gsize) width * 4);
  g_assert_true (memcmp (seen, drawn, size) == 0);
  close_window (window);
  ms_fixture_remove (path);
}

/* A brush leaves the map where it is, at the size of a laptop's screen. */
static void
test_map_stays (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsExpertsScreen *screen = MS_EXPERTS_SCREEN (screen_of (window, "experts"));
  GtkWidget *canvas = GTK_WIDGET (ms_figure_view_get_canvas (ms_experts_screen_get_map (screen)));
  graphene_rect_t before, after;

  gtk_test_widget_wait_for_draw (canvas);
  g_assert_true (gtk_widget_compute_bounds (canvas, GTK_WIDGET (window), &before));
  ms_session_set_text (ms_workbench_get_session (ms_window_get_bench (window)),
                       "layer=1 expert=0..2", NULL);
  wait_until (ms_analysis_pane_get_outcome (ms_experts_screen_get_readers (screen)) != NULL
              && ms_window_is_quiet (window));
  gtk_test_widget_wait_for_draw (canvas);
  gtk_test_widget_wait_for_draw (canvas);
  g_assert_true (gtk_widget_compute_bounds (canvas, GTK_WIDGET (window), &after));
  g_assert_true (graphene_rect_equal (&before, &after));
  close_window (window);
  ms_fixture_remove (path);
}

/* Keys move the cursor, brush the session, and tell the screen reader. */
static void
test_figure_brush (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsSession *session = ms_workbench_get_session (ms_window_get_bench (window));
  MsExpertsScreen *screen;
  MsFigureCanvas *canvas;
  g_autofree char *text = NULL;

  show_screen (window, "experts");
  screen = MS_EXPERTS_SCREEN (ms_window_get_screen (window, "experts"));
  wait_until (ms_figure_view_get_outcome (ms_experts_screen_get_map (screen)) != NULL);
  canvas = ms_figure_view_get_canvas (ms_experts_screen_get_map (screen));
  gtk_test_accessible_assert_role (canvas, GTK_ACCESSIBLE_ROLE_IMG);
  gtk_widget_grab_focus (GTK_WIDGET (canvas));
  ms_figure_canvas_set_cursor (canvas, 0);
  ms_figure_canvas_step (canvas, MS_STEP_RIGHT, TRUE);
  g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1 expert=0..1");
  ms_figure_canvas_step (canvas, MS_STEP_RIGHT, TRUE);
  g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1 expert=0..2");
  text = ms_figure_describe (ms_figure_canvas_get_figure (canvas),
                             ms_figure_canvas_get_cursor (canvas));
  gtk_test_accessible_assert_property (canvas, GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, text);
  gtk_widget_activate_action (GTK_WIDGET (window), "win.back", NULL);
  g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1 expert=0..1");
  /* From where the cursor is put next, not from where it was; and it shrinks again. */
  ms_figure_canvas_set_cursor (canvas, 4);
  ms_figure_canvas_step (canvas, MS_STEP_RIGHT, TRUE);
  ms_figure_canvas_step (canvas, MS_STEP_RIGHT, TRUE);
  g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1 expert=4..6");
  ms_figure_canvas_step (canvas, MS_STEP_LEFT, TRUE);
  g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1 expert=4..5");
  gtk_widget_activate_action (GTK_WIDGET (canvas), "win.clear-selection", NULL);
  ms_figure_canvas_set_cursor (canvas, 0);
  ms_figure_canvas_step (canvas, MS_STEP_RIGHT, TRUE);
  g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1 expert=0..1");
  gtk_widget_activate_action (GTK_WIDGET (window), "win.clear-selection", NULL);
  g_assert_cmpstr (ms_session_get_text (session), ==, "");
  close_window (window);
  ms_fixture_remove (path);
}

/* --- Saved selections ------------------------------------------------------------------------- */

static void
test_slices (void)
{
  static const char awkward[] = "Größe [a_b] = 1/2 % #";
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsSession *session = ms_workbench_get_session (ms_window_get_bench (window));
  g_autofree char *text = NULL;
  g_auto (GStrv) names = NULL;

  g_assert_true (ms_kept_put ("slices", path, "two", "layer=2 lang=\"a b\"", NULL));
  g_assert_true (ms_kept_put ("slices", path, awkward, "expert=1..3", NULL));
  g_assert_true (ms_kept_put ("slices", "/other.db", "three", "expert=3", NULL));
  names = ms_kept_list ("slices", path);
  g_assert_cmpuint (g_strv_length (names), ==, 2);
  g_assert_cmpstr (names[0], ==, "two");
  g_assert_cmpstr (names[1], ==, awkward);
  text = ms_kept_get ("slices", path, "two");
  g_assert_cmpstr (text, ==, "layer=2 lang=\"a b\"");
  /* A slice keeps the run looked at; it is undone like any selection. */
  ms_session_set_text (session, "run=1", NULL);
  gtk_widget_activate_action (GTK_WIDGET (window), "win.slice", "s", awkward);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=1 expert=1..3");
  gtk_widget_activate_action (GTK_WIDGET (window), "win.back", NULL);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=1");
  gtk_widget_activate_action (GTK_WIDGET (window), "win.forward", NULL);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=1 expert=1..3");
  gtk_widget_activate_action (GTK_WIDGET (window), "win.forget-slice", "s", awkward);
  g_assert_null (ms_kept_get ("slices", path, awkward));
  close_window (window);
  ms_fixture_remove (path);
}

/* --- Partial results -------------------------------------------------------------------------- */

static gint let_go, n_whole; /* atomic */

/* Counts tokens: of part of them soon, of all of them when it may. */
static gboolean
compute_slowly (const MsContext *context, MsResult *result, GError **error)
{
  gint64 n = ms_trace_n_tokens (context->trace);

  g_usleep (120000);
  if (n == ms_trace_run (context->trace)->n_tokens)
    g_atomic_int_inc (&n_whole);
  while (n == ms_trace_run (context->trace)->n_tokens && !g_atomic_int_get (&let_go))
    {
      if (g_cancellable_set_error_if_cancelled (context->cancel, error))
        return FALSE;
      g_usleep (1000);
    }
  ms_table_add_row (result->tables[0], MS_INT (0), MS_INT (n));
  result->summary = g_strdup_printf ("%" G_GINT64_FORMAT " tokens.", n);
  return TRUE;
}

static const MsColumn slow_columns[] = { { "layer", "Layer", NULL, MS_COLUMN_INT, "None." },
                                         { "n", "Tokens", NULL, MS_COLUMN_INT, "Counted." },
                                         { 0 } };
static const MsTableDef slow_tables[] = { { "counts", "Counts", slow_columns }, { 0 } };
static const MsPlotDef slow_plots[] = {
  { .name = "n", .title = "Count", .table = "counts", .mark = MS_MARK_BAR, .x = "layer", .y = "n" },
  { 0 }
};
static const MsAnalysis slow = { .name = "slow",
                                 .title = "Slow",
                                 .help = "How many tokens are there?",
                                 .tables = slow_tables,
                                 .plots = slow_plots,
                                 .compute = compute_slowly };

static void
fill_long (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  token->experts[0] = (guint16) ((position + layer) % 4);
  token->weights[0] = 1;
}

/* 60 blocks of nine layers: just long enough to look at parts first. */
static char *
write_long (guint n_documents)
{
  MsLayer layers[9];
  g_autofree MsDocument *documents = g_new0 (MsDocument, n_documents);

  for (int l = 0; l < 9; l++)
    layers[l] = (MsLayer) MS_PLAIN_LAYER (l, 4, 1);
  for (guint d = 0; d < n_documents; d++)
    documents[d].n_tokens = 240 * 1024 / n_documents;
  return ms_fixture_write (&(MsFixture){ .n_layers = 9,
                                         .layers = layers,
                                         .n_documents = n_documents,
                                         .documents = documents,
                                         .fill = fill_long },
                           NULL);
}

static gboolean
shows_share (MsAnalysisPane *pane, double share)
{
  MsOutcome *outcome = ms_analysis_pane_get_outcome (pane);

  return outcome != NULL && ABS (outcome->share - share) < 1e-9;
}

/* What is known so far is shown as such, and gives way to the whole; a newer request wins. */
static void
test_partial (void)
{
  char *path = write_long (240);
  MsWindow *window = open_window (path);
  g_autoptr (GtkWidget) widget
      = g_object_ref_sink (ms_analysis_pane_new (ms_window_get_bench (window), NULL, FALSE));
  g_autoptr (GtkWidget) second
      = g_object_ref_sink (ms_analysis_pane_new (ms_window_get_bench (window), NULL, FALSE));
  MsAnalysisPane *pane = MS_ANALYSIS_PANE (widget), *other = MS_ANALYSIS_PANE (second);
  g_autoptr (MsOutcome) before = NULL;
  MsTable *table;

  g_atomic_int_set (&let_go, 0);
  ms_analysis_pane_run (pane, ms_request_new (&slow), 0);
  wait_until (shows_share (pane, 32 / 240.0));
  g_assert_true (ms_analysis_pane_is_busy (pane));
  table = ms_figure_view_get_table (ms_analysis_pane_get_figure (pane, 0));
  g_assert_cmpint (ms_table_get_int (table, 0, 1), ==, 32 * 1024);
  g_assert_cmpstr (ms_analysis_pane_get_outcome (pane)->result->summary, ==,
                   "On 13 % of the tokens so far: 32768 tokens.");
  g_assert_cmpstr (ms_figure_view_get_title (ms_analysis_pane_get_figure (pane, 0)), ==,
                   "Count · 13 % of tokens");
  before = ms_outcome_ref (ms_analysis_pane_get_outcome (pane));
  ms_analysis_pane_run (pane, ms_request_new (&slow), 0);
  wait_until (ms_analysis_pane_get_outcome (pane) != before && shows_share (pane, 32 / 240.0));
  g_atomic_int_set (&let_go, 1);
  wait_until (shows_share (pane, 1));
  g_assert_false (ms_analysis_pane_is_busy (pane));
  table = ms_figure_view_get_table (ms_analysis_pane_get_figure (pane, 0));
  g_assert_cmpint (ms_table_get_int (table, 0, 1), ==, 240 * 1024);
  g_assert_cmpstr (ms_figure_view_get_title (ms_analysis_pane_get_figure (pane, 0)), ==, "Count");
  /* Two that ask the same at once share the work. */
  g_atomic_int_set (&let_go, 0);
  g_atomic_int_set (&n_whole, 0);
  for (guint i = 0; i < 2; i++)
    {
      MsRequest *request = ms_request_new (&slow);

      request->selection = ms_selection_parse ("layer=0..8", NULL);
      ms_analysis_pane_run (i == 0 ? pane : other, request, 0);
    }
  wait_until (shows_share (pane, 32 / 240.0) && shows_share (other, 32 / 240.0));
  g_atomic_int_set (&let_go, 1);
  wait_until (shows_share (pane, 1) && shows_share (other, 1));
  g_assert_true (ms_analysis_pane_get_outcome (pane) == ms_analysis_pane_get_outcome (other));
  g_assert_cmpint (g_atomic_int_get (&n_whole), ==, 1);
  close_window (window);
  ms_fixture_remove (path);
}

/* One long document is first looked at from its beginning. */
static void
test_partial_document (void)
{
  char *path = write_long (1);
  MsWindow *window = open_window (path);
  g_autoptr (GtkWidget) widget
      = g_object_ref_sink (ms_analysis_pane_new (ms_window_get_bench (window), NULL, FALSE));
  MsAnalysisPane *pane = MS_ANALYSIS_PANE (widget);

  g_atomic_int_set (&let_go, 0);
  ms_analysis_pane_run (pane, ms_request_new (&slow), 0);
  wait_until (shows_share (pane, 7 / 60.0)); /* an eighth of 60 blocks */
  g_assert_true (ms_analysis_pane_is_busy (pane));
  g_atomic_int_set (&let_go, 1);
  wait_until (shows_share (pane, 1));
  close_window (window);
  ms_fixture_remove (path);
}

/* Two that show the same, of which one may go out of sight. */
static GtkStack *
show_in_stack (GtkWindow *window, GtkWidget *pane)
{
  GtkStack *stack = GTK_STACK (gtk_stack_new ());

  gtk_stack_add_named (stack, pane, "pane");
  gtk_stack_add_named (stack, gtk_label_new ("elsewhere"), "elsewhere");
  gtk_window_set_child (window, GTK_WIDGET (stack));
  gtk_window_present (window);
  return stack;
}

/* What is out of sight stops computing, unless somebody else waits for the same, and starts again. */
static void
test_left (void)
{
  char *path = write_long (240);
  MsWindow *window = open_window (path);
  MsWorkbench *bench = ms_window_get_bench (window);
  GListModel *jobs = G_LIST_MODEL (ms_workbench_get_jobs (bench));
  GtkWindow *top = GTK_WINDOW (gtk_window_new ());
  MsAnalysisPane *pane = MS_ANALYSIS_PANE (ms_analysis_pane_new (bench, NULL, FALSE));
  GtkStack *stack = show_in_stack (top, GTK_WIDGET (pane));
  g_autoptr (GtkWidget) second = g_object_ref_sink (ms_analysis_pane_new (bench, NULL, FALSE));
  MsAnalysisPane *other = MS_ANALYSIS_PANE (second);
  MsRequest *request = ms_request_new (&slow);

  g_atomic_int_set (&let_go, 0);
  g_atomic_int_set (&n_whole, 0);
  ms_analysis_pane_run (pane, request, 0);
  wait_until (g_atomic_int_get (&n_whole) == 1);
  gtk_stack_set_visible_child_name (stack, "elsewhere");
  g_assert_false (ms_analysis_pane_is_busy (pane));
  wait_until (g_list_model_get_n_items (jobs) == 0);
  gtk_stack_set_visible_child_name (stack, "pane");
  g_assert_true (ms_analysis_pane_is_busy (pane));
  wait_until (g_atomic_int_get (&n_whole) == 2);
  ms_analysis_pane_run (other, ms_request_new (&slow), 0);
  wait_until (shows_share (other, 32 / 240.0));
  g_usleep (300000); /* until it waits for the same */
  gtk_stack_set_visible_child_name (stack, "elsewhere");
  g_assert_false (ms_analysis_pane_is_busy (pane));
  g_usleep (100000);
  g_atomic_int_set (&let_go, 1);
  wait_until (shows_share (other, 1));
  g_assert_cmpint (g_atomic_int_get (&n_whole), ==, 2);
  gtk_stack_set_visible_child_name (stack, "pane");
  wait_until (shows_share (pane, 1));
  g_assert_cmpint (g_atomic_int_get (&n_whole), ==, 2);
  gtk_window_destroy (top);
  /* A whole screen. */
  show_screen (window, "experts");
  ms_session_set_text (ms_workbench_get_session (bench), "doc=0..199", NULL);
  wait_until (g_list_model_get_n_items (jobs) > 0);
  gtk_widget_activate_action (GTK_WIDGET (window), "win.screen", "s", "sql");
  wait_until (g_list_model_get_n_items (jobs) == 0);
  show_screen (window, "experts");
  wait_until (
      g_str_equal (ms_screen_get_shown (ms_window_get_screen (window, "experts")), "content"));
  close_window (window);
  ms_fixture_remove (path);
}

/* --- Screens one by one ----------------------------------------------------------------------- */

static void
test_overview (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsOverviewScreen *screen = MS_OVERVIEW_SCREEN (screen_of (window, "overview"));
  MsSession *session = ms_workbench_get_session (ms_window_get_bench (window));

  wait_until (ms_overview_screen_get_n_findings (screen) > 0);
  wait_until (ms_window_is_quiet (window));
  {
    MsHeadlineBox *box = ms_overview_screen_get_headlines (screen);
    MsFigureView *map;
    g_autofree char *words = NULL;
    guint n = 0;

    for (const MsHeadlineDef *def = ms_headlines (); def->name != NULL; def++, n++)
      g_assert_true (g_str_has_prefix (ms_headline_box_get_text (box, n), def->title));
    g_assert_cmpuint (n, ==, 6);
    ms_headline_box_jump (box, 5);
    g_assert_cmpstr (ms_window_get_screen_name (window), ==, "cache");
    g_assert_cmpstr (ms_session_get_text (session), ==, "");
    show_screen (window, "overview");
    ms_headline_box_jump (box, 4);
    g_assert_cmpstr (ms_window_get_screen_name (window), ==, "experts");
    g_assert_true (g_str_has_prefix (ms_session_get_text (session), "layer="));
    wait_until (ms_window_is_quiet (window));
    map = ms_experts_screen_get_map (MS_EXPERTS_SCREEN (ms_window_get_screen (window, "experts")));
    g_assert_cmpstr (ms_figure_view_get_plot (map)->name, ==, "specialisation");
    words = ms_request_format (ms_figure_view_get_outcome (map)->request, NULL);
    g_assert_null (strstr (words, "--label")); /* the one that the headline is about */
    ms_session_set_text (session, "", NULL);
    show_screen (window, "overview");
    wait_until (ms_window_is_quiet (window));
  }
  ms_overview_screen_jump (screen, 0);
  g_assert_cmpstr (ms_session_get_text (session), !=, "");
  g_assert_cmpstr (ms_window_get_screen_name (window), ==, "experts");
  close_window (window);
  ms_fixture_remove (path);
}

static void
test_experts (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window;
  MsExpertsScreen *screen;
  MsSession *session;
  MsOutcome *outcome;
  MsTable *labels;

  g_free (ms_fixture_rich (path, 0.5));
  window = open_window (path);
  session = ms_workbench_get_session (ms_window_get_bench (window));
  screen = MS_EXPERTS_SCREEN (screen_of (window, "experts"));
  ms_session_set_text (session, "run=2 base=1", NULL);
  for (guint i = 0; i < ms_experts_screen_get_n_colours (screen); i++)
    {
      MsTable *table;
      const MsPlotDef *plot;

      ms_experts_screen_set_colour (screen, i);
      wait_until (ms_window_is_quiet (window));
      plot = ms_figure_view_get_plot (ms_experts_screen_get_map (screen));
      table = ms_figure_view_get_table (ms_experts_screen_get_map (screen));
      g_assert_cmpuint (ms_table_n_rows (table), ==, 28);
      g_assert_cmpint (ms_table_find_column (table, plot->value), >=, 0);
      g_assert_nonnull (ms_figure_canvas_get_figure (
          ms_figure_view_get_canvas (ms_experts_screen_get_map (screen))));
    }
  ms_experts_screen_set_colour (screen, 0);
  for (guint order = 0; order < 3; order++)
    {
      static const char *const columns[] = { "expert", "rank", "place" };
      MsTable *table;
      const gint64 *at;
      guint64 seen = 0;

      ms_experts_screen_set_order (screen, order);
      wait_until (ms_window_is_quiet (window));
      g_assert_cmpstr (ms_figure_view_get_plot (ms_experts_screen_get_map (screen))->x, ==,
                       columns[order]);
      g_assert_true (gtk_widget_get_visible (GTK_WIDGET (ms_experts_screen_get_tree (screen)))
                     == (order == 2));
      table = ms_figure_view_get_table (ms_experts_screen_get_map (screen));
      at = ms_table_ints (table, (guint) ms_table_find_column (table, columns[order]));
      for (guint expert = 0; expert < 8; expert++)
        seen |= (guint64) 1 << at[expert];
      g_assert_cmpuint (seen, ==, 0xff); /* every place of the first layer once */
    }
  ms_session_set_text (session, "run=2 base=1 layer=1 expert=0..3", NULL);
  wait_until (ms_analysis_pane_get_outcome (ms_experts_screen_get_readers (screen)) != NULL);
  outcome = ms_analysis_pane_get_outcome (ms_experts_screen_get_readers (screen));
  labels = ms_result_table (outcome->result, "labels");
  g_assert_cmpuint (ms_table_n_rows (labels), >, 0);
  close_window (window);
  ms_fixture_remove (path);
}

/* A click on a bar beside the map brushes what it counts, one between bars and cells nothing. */
static void
test_bars (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsExpertsScreen *screen = MS_EXPERTS_SCREEN (screen_of (window, "experts"));
  MsSession *session = ms_workbench_get_session (ms_window_get_bench (window));
  MsFigureCanvas *canvas = ms_figure_view_get_canvas (ms_experts_screen_get_map (screen));
  MsFigure *figure;
  double width, height, x, y, w, h;

  gtk_test_widget_wait_for_draw (GTK_WIDGET (canvas));
  figure = ms_figure_canvas_get_figure (canvas);
  width = gtk_widget_get_width (GTK_WIDGET (canvas));
  height = gtk_widget_get_height (GTK_WIDGET (canvas));
  g_assert_true (ms_figure_locate_bar (figure, width, height, 10, TRUE, &x, &y, &w, &h));
  g_assert_true (ms_figure_canvas_brush_bar (canvas, x + w / 2, y + h / 2, MS_BRUSH_REPLACE));
  g_assert_nonnull (strstr (ms_session_get_text (session), "expert=2"));
  g_assert_true (ms_figure_locate_bar (figure, width, height, 10, FALSE, &x, &y, &w, &h));
  g_assert_true (ms_figure_canvas_brush_bar (canvas, x + w / 2, y + h / 2, MS_BRUSH_REPLACE));
  g_assert_nonnull (strstr (ms_session_get_text (session), "expert=0..7"));
  g_assert_false (ms_figure_canvas_brush_bar (canvas, x - 2, y + h / 2, MS_BRUSH_REPLACE));
  close_window (window);
  ms_fixture_remove (path);
}

static void
test_text (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsTextScreen *screen = MS_TEXT_SCREEN (screen_of (window, "text"));
  MsFigureCanvas *canvas;
  GtkSpinButton *layer;

  ms_text_screen_choose (screen, 3);
  wait_until (ms_window_is_quiet (window));
  canvas = ms_figure_view_get_canvas (ms_text_screen_get_text (screen));
  g_assert_cmpuint (ms_table_n_rows (ms_figure_view_get_table (ms_text_screen_get_text (screen))),
                    >, 100);
  ms_figure_canvas_set_cursor (canvas, 5);
  g_assert_nonnull (strstr (ms_text_screen_get_card (screen), "\n"));
  layer = ms_text_screen_get_layer (screen);
  g_assert_cmpstr (gtk_editable_get_text (GTK_EDITABLE (layer)), ==, "Automatic");
  gtk_editable_set_text (GTK_EDITABLE (layer), "4");
  gtk_spin_button_update (layer);
  wait_until (ms_window_is_quiet (window));
  g_assert_cmpint (
      ms_table_get_int (ms_figure_view_get_table (ms_text_screen_get_text (screen)), 0, 4), ==, 4);
  gtk_editable_set_text (GTK_EDITABLE (layer), "any");
  gtk_spin_button_update (layer);
  g_assert_cmpstr (gtk_editable_get_text (GTK_EDITABLE (layer)), ==, "Automatic");
  close_window (window);
  ms_fixture_remove (path);
}

/* A trace without router scores has no entropy: words instead of a scale. */
static void
test_text_without_entropy (void)
{
  char *path = write_long (240);
  MsWindow *window = open_window (path);
  MsTextScreen *screen = MS_TEXT_SCREEN (screen_of (window, "text"));

  g_assert_nonnull (strstr (ms_text_screen_get_missing (screen), "not recorded"));
  g_assert_null (ms_figure_view_get_plot (ms_text_screen_get_text (screen))->value);
  ms_text_screen_colour_by (screen, "expert");
  wait_until (ms_window_is_quiet (window));
  g_assert_null (ms_text_screen_get_missing (screen));
  g_assert_nonnull (ms_figure_view_get_plot (ms_text_screen_get_text (screen))->series);
  close_window (window);
  ms_fixture_remove (path);
}

static void
test_compare (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsScreen *screen;
  g_autofree char *again = NULL;

  show_screen (window, "compare");
  screen = ms_window_get_screen (window, "compare");
  wait_until (g_str_equal (ms_screen_get_shown (screen), "status"));
  close_window (window);
  again = ms_fixture_rich (path, 0.5);
  window = open_window (path);
  show_screen (window, "compare");
  screen = ms_window_get_screen (window, "compare");
  gtk_widget_activate_action (GTK_WIDGET (window), "win.pick-baseline", NULL);
  wait_until (g_str_equal (ms_screen_get_shown (screen), "content"));
  wait_until (
      ms_analysis_pane_get_outcome (ms_analysis_screen_get_pane (MS_ANALYSIS_SCREEN (screen)))
      != NULL);
  {
    g_autofree char *differences = ms_compare_screen_dup_differences (MS_COMPARE_SCREEN (screen));

    g_assert_nonnull (differences);
  }
  close_window (window);
  ms_fixture_remove (path);
}

/* A screen that is first shown long after the file was opened has its choices, too. */
static void
test_languages (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsAnalysisScreen *screen = MS_ANALYSIS_SCREEN (screen_of (window, "languages"));
  GtkWidget *choice;

  ms_analysis_screen_show_tab (screen, ms_analysis_screen_get_n_tabs (screen) - 1);
  wait_until (ms_window_is_quiet (window));
  choice = find_type (GTK_WIDGET (screen), GTK_TYPE_DROP_DOWN);
  g_assert_nonnull (gtk_drop_down_get_selected_item (GTK_DROP_DOWN (choice)));
  close_window (window);
  ms_fixture_remove (path);
}

/* All tabs of the screens made from data; curves kept in the cache. */
static void
test_tabs (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);

  for (const MsScreenInfo *info = ms_screens; info->name != NULL; info++)
    {
      MsAnalysisScreen *screen;
      guint n_tabs = 0;

      if (info->tabs == NULL || g_str_equal (info->name, "compare")) /* needs a second run */
        continue;
      screen = MS_ANALYSIS_SCREEN (screen_of (window, info->name));
      while (info->tabs[n_tabs].title != NULL)
        n_tabs++;
      g_assert_cmpuint (ms_analysis_screen_get_n_tabs (screen), ==, n_tabs);
      for (guint tab = 0; tab < n_tabs; tab++)
        {
          MsAnalysisPane *pane;

          ms_analysis_screen_show_tab (screen, tab);
          pane = ms_analysis_screen_get_pane (screen);
          wait_until (!ms_analysis_pane_is_busy (pane) && ms_window_is_quiet (window));
          if (ms_analysis_pane_get_outcome (pane) == NULL)
            g_test_message ("%s, tab %u: nothing to show", info->name, tab);
          else
            g_assert_nonnull (ms_analysis_pane_get_figure (pane, 0));
        }
    }
  {
    MsAnalysisScreen *screen = MS_ANALYSIS_SCREEN (screen_of (window, "cache"));
    MsFigureView *view;
    guint before;

    ms_analysis_screen_show_tab (screen, 0);
    wait_until (ms_window_is_quiet (window));
    view = ms_analysis_pane_get_figure (ms_analysis_screen_get_pane (screen), 0);
    before = ms_table_n_rows (ms_figure_view_get_table (view));
    ms_analysis_screen_keep (screen);
    g_assert_cmpuint (ms_table_n_rows (ms_figure_view_get_table (view)), ==, 2 * before);
    g_assert_true (
        ms_analysis_form_set (ms_analysis_screen_get_form (screen), "bandwidth", "32", NULL));
    wait_until (ms_analysis_pane_is_busy (ms_analysis_screen_get_pane (screen)));
    wait_until (!ms_analysis_pane_is_busy (ms_analysis_screen_get_pane (screen)));
    g_assert_cmpuint (ms_table_n_rows (ms_figure_view_get_table (view)), ==, 2 * before);
  }
  close_window (window);
  ms_fixture_remove (path);
}

/* Every registered analysis as a form; those that lack something say what. */
static void
test_analyses (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsAnalysesScreen *screen = MS_ANALYSES_SCREEN (screen_of (window, "analyses"));

  for (const MsAnalysis *const *all = ms_analyses (); *all != NULL; all++)
    {
      g_assert_true (ms_analyses_screen_choose (screen, (*all)->name));
      for (const MsParam *param = (*all)->params; param != NULL && param->name != NULL; param++)
        if (param->type == MS_PARAM_CHOICE)
          g_assert_true (ms_analysis_form_set (ms_analyses_screen_get_form (screen), param->name,
                                               param->choices[(guint) param->usual], NULL));
      wait_until (ms_window_is_quiet (window)
                  && !ms_analysis_pane_is_busy (ms_analyses_screen_get_pane (screen)));
    }
  g_assert_false (ms_analyses_screen_choose (screen, "no-such-analysis"));
  close_window (window);
  ms_fixture_remove (path);
}

/* What is under the pointer is told in three digits with its unit, and forgotten with its screen and its file. */
static void
test_under_the_pointer (void)
{
  char *path = ms_fixture_rich (NULL, 0), *other = ms_fixture_rich (NULL, 1);
  MsWindow *window = open_window (path);
  MsWorkbench *bench = ms_window_get_bench (window);
  MsDetailPane *pane = MS_DETAIL_PANE (find_type (GTK_WIDGET (window), MS_TYPE_DETAIL_PANE));
  g_autofree char *empty = g_strdup (ms_detail_pane_get_text (pane)), *numbers = NULL;
  g_auto (GStrv) lines = NULL;

  screen_of (window, "experts");
  ms_session_set_hover (ms_workbench_get_session (bench), 0, 1, 2, -1);
  g_assert_cmpstr (ms_detail_pane_get_text (pane), !=, empty);
  numbers = ms_detail_pane_dup_numbers (pane);
  g_test_message ("%s", numbers);
  lines = g_strsplit (numbers, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), >, 4);
  for (guint i = 0; lines[i][0] != '\0'; i++)
    {
      const char *value = strstr (lines[i], ": ") + 2;
      guint digits = 0;

      value += strspn (value, "0.,-");
      for (; g_ascii_isdigit (*value) || *value == '.'; value++)
        digits += *value != '.';
      g_assert_cmpuint (digits, <=, 3);
    }
  g_assert_nonnull (strstr (numbers, " times the fair share"));
  show_screen (window, "cache");
  g_assert_cmpstr (ms_detail_pane_get_text (pane), ==, empty);
  show_screen (window, "experts");
  ms_session_set_hover (ms_workbench_get_session (bench), 0, 1, 3, -1);
  g_assert_cmpstr (ms_detail_pane_get_text (pane), !=, empty);
  ms_workbench_open (bench, other);
  wait_until (ms_window_is_quiet (window));
  g_assert_cmpstr (ms_detail_pane_get_text (pane), ==, empty);
  close_window (window);
  ms_fixture_remove (path);
  ms_fixture_remove (other);
}

/* What the dialog writes is byte for byte what the command shown writes. */
static void
check_export (MsExportDialog *dialog, guint format, const char *folder)
{
  const char *program = g_getenv ("MOESCOPE");
  g_autofree char *command = NULL, *saved = NULL, *again = NULL, *path = NULL;
  g_autofree char *saved_bytes = NULL, *again_bytes = NULL;
  g_auto (GStrv) argv = NULL;
  g_autoptr (GError) error = NULL;
  gsize n_saved, n_again;
  int status;

  ms_export_dialog_set_format (dialog, format);
  command = ms_export_dialog_dup_command (dialog);
  g_assert_true (g_shell_parse_argv (command, NULL, &argv, &error));
  for (guint i = 0; argv[i] != NULL; i++)
    if (strcmp (argv[i], "-o") == 0)
      path = g_strdup (argv[i + 1]);
  saved = g_build_filename (folder, "saved", path, NULL);
  again = g_build_filename (folder, path, NULL);
  g_assert_true (ms_export_dialog_save (dialog, saved, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (saved, &saved_bytes, &n_saved, NULL));
  g_assert_cmpuint (n_saved, >, 500);
  if (program != NULL && g_file_test (program, G_FILE_TEST_IS_EXECUTABLE))
    {
      g_free (argv[0]);
      argv[0] = g_strdup (program);
      g_assert_true (g_spawn_sync (folder, argv, NULL, 0, NULL, NULL, NULL, NULL, &status, &error));
      g_assert_no_error (error);
      g_assert_true (g_file_get_contents (again, &again_bytes, &n_again, NULL));
      g_assert_cmpuint (n_again, ==, n_saved);
      g_assert_true (memcmp (saved_bytes, again_bytes, n_saved) == 0);
      g_unlink (again);
    }
  g_unlink (saved);
}

/* The curves of the cache follow its settings without intervals, and say so; what is exported has them. */
static void
check_export_of_quick_look (MsWindow *window, const char *folder)
{
  MsAnalysisPane *pane
      = ms_analysis_screen_get_pane (MS_ANALYSIS_SCREEN (screen_of (window, "cache")));
  MsFigureView *curves;
  MsExportDialog *dialog;
  g_autofree char *command = NULL;

  wait_until (ms_analysis_pane_get_outcome (pane) != NULL);
  curves = ms_analysis_pane_get_figure (pane, 0);
  g_assert_nonnull (strstr (ms_figure_view_get_title (curves), "quick look"));
  dialog = ms_export_dialog_present (GTK_WINDOW (window), ms_window_get_bench (window),
                                     ms_figure_view_get_outcome (curves),
                                     ms_figure_view_get_plot (curves), NULL);
  wait_until (ms_export_dialog_is_ready (dialog));
  command = ms_export_dialog_dup_command (dialog);
  g_assert_null (strstr (command, "--bootstrap"));
  g_assert_null (strstr (command, "--null"));
  check_export (dialog, 0, folder);
  check_export (dialog, 3, folder);
  gtk_window_destroy (GTK_WINDOW (dialog));
}

static void
test_export (void)
{
  static const char *const formats[] = { "a.pdf", "a.svg", "a.png", "a.csv" };
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsExpertsScreen *screen = MS_EXPERTS_SCREEN (screen_of (window, "experts"));
  MsFigureView *map = ms_experts_screen_get_map (screen);
  g_autofree char *folder = g_dir_make_tmp ("moescope-export-XXXXXX", NULL);
  g_autofree char *saved = g_build_filename (folder, "saved", NULL);
  MsExportDialog *dialog;

  g_mkdir (saved, 0700);
  wait_until (ms_figure_view_get_outcome (map) != NULL);
  dialog = ms_export_dialog_present (GTK_WINDOW (window), ms_window_get_bench (window),
                                     ms_figure_view_get_outcome (map),
                                     ms_figure_view_get_plot (map), NULL);
  wait_until (ms_export_dialog_is_ready (dialog));
  for (guint format = 0; format < 4; format++)
    {
      g_autofree char *nowhere = g_build_filename (folder, "none", formats[format], NULL);
      g_autoptr (GError) error = NULL;

      check_export (dialog, format, folder);
      g_assert_false (ms_export_dialog_save (dialog, nowhere, &error));
      g_assert_nonnull (error);
    }
  ms_export_dialog_set_margins (dialog, FALSE);
  check_export (dialog, 0, folder);
  gtk_window_destroy (GTK_WINDOW (dialog));
  check_export_of_quick_look (window, folder);
  close_window (window);
  g_rmdir (saved);
  g_rmdir (folder);
  ms_fixture_remove (path);
}

/* The toggle of the run list for showing the n-th run from the top. */
static GtkToggleButton *
eye_of (GtkWidget *widget, guint *n)
{
  GtkToggleButton *found = NULL;

  if (GTK_IS_TOGGLE_BUTTON (widget) && gtk_widget_has_css_class (widget, "run")
      && g_str_has_prefix (gtk_button_get_icon_name (GTK_BUTTON (widget)), "view-reveal")
             + g_str_has_prefix (gtk_button_get_icon_name (GTK_BUTTON (widget)), "view-conceal")
      && (*n)-- == 0)
    return GTK_TOGGLE_BUTTON (widget);
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL && found == NULL;
       child = gtk_widget_get_next_sibling (child))
    found = eye_of (child, n);
  return found;
}

static GtkToggleButton *
nth_eye (MsWindow *window, guint n)
{
  GtkToggleButton *eye = eye_of (GTK_WIDGET (window), &n);

  g_assert_nonnull (eye);
  return eye;
}

/* The eyes of the run list: what is shown, how it is drawn and written, and the eighth. */
static void
test_eyes (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  g_autofree char *folder = g_dir_make_tmp ("moescope-eyes-XXXXXX", NULL);
  g_autofree char *saved = g_build_filename (folder, "saved", NULL);
  MsWindow *window;
  MsSession *session;
  MsAnalysisPane *pane;
  MsExportDialog *dialog;
  MsAnalysisPane *flows;
  MsFigureView *view;
  MsDetailPane *detail;
  MsOutcome *alone, *both;
  guint n_flows = 0, n_named = 0;

  for (guint i = 1; i < 8; i++)
    g_free (ms_fixture_rich (path, 0.1 * i));
  g_mkdir (saved, 0700);
  window = open_window (path);
  session = ms_workbench_get_session (ms_window_get_bench (window));
  pane = ms_analysis_screen_get_pane (MS_ANALYSIS_SCREEN (screen_of (window, "cache")));
  wait_until (ms_analysis_pane_get_outcome (pane) != NULL);
  alone = ms_outcome_ref (ms_analysis_pane_get_outcome (pane));
  g_assert_null (alone->runs);
  g_assert_false (gtk_widget_is_sensitive (GTK_WIDGET (nth_eye (window, 0)))); /* the selected */
  gtk_test_accessible_assert_property (nth_eye (window, 6), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                       "Show run 2 in figures");
  gtk_toggle_button_set_active (nth_eye (window, 6), TRUE);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=8 with=2");
  wait_until (ms_analysis_pane_get_outcome (pane) != alone && ms_window_is_quiet (window));
  both = ms_analysis_pane_get_outcome (pane);
  g_assert_cmpuint (both->result->n_runs, ==, 2);
  g_assert_cmpuint (both->runs->len, ==, 2);
  g_assert_true (g_ptr_array_index (both->runs, 1) == alone); /* not computed again */
  /* Curves hold both runs in one figure; a flow has one for each. */
  g_assert_true (ms_figure_view_get_outcome (ms_analysis_pane_get_figure (pane, 0)) == both);
  /* Pointing at the other run's panel tells its numbers. */
  ms_session_set_hover (session, 2, 1, 1, -1);
  detail = MS_DETAIL_PANE (find_type (GTK_WIDGET (window), MS_TYPE_DETAIL_PANE));
  wait_until (strstr (ms_detail_pane_get_text (detail), "\n2: ") != NULL);
  dialog = ms_export_dialog_present (
      GTK_WINDOW (window), ms_window_get_bench (window), both,
      ms_figure_view_get_plot (ms_analysis_pane_get_figure (pane, 0)), NULL);
  wait_until (ms_export_dialog_is_ready (dialog));
  for (guint format = 0; format < 4; format++)
    check_export (dialog, format, folder);
  gtk_window_destroy (GTK_WINDOW (dialog));
  flows = ms_analysis_screen_get_pane (MS_ANALYSIS_SCREEN (screen_of (window, "flow")));
  wait_until (ms_analysis_pane_get_outcome (flows) != NULL && ms_window_is_quiet (window));
  while ((view = ms_analysis_pane_get_figure (flows, n_flows++)) != NULL)
    n_named += strstr (ms_figure_view_get_title (view), " · 2: ") != NULL;
  g_assert_cmpuint (n_named, >, 0);
  screen_of (window, "cache");
  for (guint i = 1; i < 6; i++)
    gtk_toggle_button_set_active (nth_eye (window, i), TRUE);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=8 with=2..7");
  gtk_toggle_button_set_active (nth_eye (window, 7), TRUE);
  g_assert_cmpstr (ms_session_get_text (session), ==, "run=8 with=2..7");
  g_assert_false (gtk_toggle_button_get_active (nth_eye (window, 7)));
  ms_session_set_text (session, "run=8", NULL);
  wait_until (ms_analysis_pane_get_outcome (pane) == alone && ms_window_is_quiet (window));
  g_assert_false (gtk_toggle_button_get_active (nth_eye (window, 6)));
  ms_outcome_unref (alone);
  close_window (window);
  g_rmdir (saved);
  g_rmdir (folder);
  ms_fixture_remove (path);
}

static void
change (const char *path, const char *sql)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_WRITE, &error);

  g_assert_no_error (error);
  g_assert_cmpint (sqlite3_exec (ms_db_handle (db), sql, NULL, NULL, NULL), ==, SQLITE_OK);
}

/* The selection of last time comes back with the same file, not with another one in its place. */
static void
test_restored (void)
{
  for (guint other = 0; other < 2; other++)
    {
      char *path = ms_fixture_rich (NULL, 0);
      MsWindow *window = open_window (path);

      ms_session_set_text (ms_workbench_get_session (ms_window_get_bench (window)), "layer=1",
                           NULL);
      ms_window_save_state (window);
      close_window (window);
      if (other)
        change (path, "UPDATE run SET name = 'another', started = 'later'");
      window = open_window (path);
      g_assert_cmpstr (
          ms_session_get_text (ms_workbench_get_session (ms_window_get_bench (window))), ==,
          other ? "" : "layer=1");
      close_window (window);
      ms_fixture_remove (path);
    }
}

/* What the run list tells of a run that was not finished, or whose tokens got lost. */
static void
test_run_states (void)
{
  static const struct
  {
    const char *sql, *text;
    MsRunState state;
  } cases[] = { { "UPDATE run SET name = name", "4,980 tokens", MS_RUN_COMPLETE },
                { "DELETE FROM chunk WHERE block > 0", "broken: ", MS_RUN_BROKEN },
                { "UPDATE run SET finished = NULL", "collecting 82 % · ", MS_RUN_COLLECTING } };
  char *path = ms_fixture_rich (NULL, 0);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MsWindow *window;
      MsRunItem *item;
      g_autofree char *text = NULL;

      change (path, cases[i].sql);
      window = open_window (path);
      item = ms_workbench_get_run (ms_window_get_bench (window));
      text = ms_run_item_dup_subtitle (item);
      g_assert_cmpint (ms_run_item_get_state (item), ==, cases[i].state);
      g_assert_true (g_str_has_prefix (text, cases[i].text));
      close_window (window);
    }
  {
    /* Nobody has written for long. */
    struct utimbuf old = { 1000000000, 1000000000 };
    MsWindow *window;

    g_assert_cmpint (g_utime (path, &old), ==, 0);
    window = open_window (path);
    g_assert_cmpint (ms_run_item_get_state (ms_workbench_get_run (ms_window_get_bench (window))),
                     ==, MS_RUN_STOPPED);
    close_window (window);
  }
  ms_fixture_remove (path);
}

static void
test_collect_dialog (void)
{
  MsWindow *window = open_window (NULL);
  MsCollectDialog *dialog = ms_collect_dialog_present (
      GTK_WINDOW (window), ms_window_get_bench (window), MS_COLLECT_MODEL, "/models/a b.gguf");
  g_autofree char *command = NULL;

  g_assert_false (ms_collect_dialog_start (dialog)); /* no texts yet */
  ms_collect_dialog_set (dialog, NULL, "/texts/one.txt\n/texts/two.jsonl", "/tmp/out.db");
  command = ms_collect_dialog_dup_command (dialog);
  g_assert_cmpstr (
      command, ==,
      "moescope collect '/models/a b.gguf' /texts/one.txt /texts/two.jsonl -o /tmp/out.db");
  g_assert_true (ms_collect_is_trace ("trace.csv"));
  g_assert_true (ms_collect_is_trace ("trace.jsonl"));
  g_assert_true (ms_collect_is_trace ("trace.pt"));
  g_assert_false (ms_collect_is_trace ("notes.md"));
  g_assert_false (ms_collect_is_trace ("run.db"));
  gtk_window_destroy (GTK_WINDOW (dialog));
  close_window (window);
}

static void
run_sql (MsSqlScreen *screen, const char *sql)
{
  ms_sql_screen_set_text (screen, sql);
  ms_sql_screen_run (screen);
  wait_until (!ms_sql_screen_is_busy (screen));
}

static void
test_sql (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsSqlScreen *screen = MS_SQL_SCREEN (screen_of (window, "sql"));
  MsTable *table;

  run_sql (screen, "SELECT expert, count FROM load WHERE run = :run AND layer = 1 ORDER BY expert");
  table = ms_sql_screen_get_table (screen);
  g_assert_nonnull (table);
  g_assert_cmpuint (ms_table_n_rows (table), ==, 8);
  g_assert_cmpint (ms_table_column (table, 1)->type, ==, MS_COLUMN_INT);
  run_sql (screen, "SELECT 1.5 AS a, NULL AS b, 'x' AS c");
  table = ms_sql_screen_get_table (screen);
  g_assert_cmpfloat (ms_table_get_real (table, 0, 0), ==, 1.5);
  g_assert_cmpstr (ms_table_get_text (table, 0, 2), ==, "x");
  run_sql (screen, "SELECT layr FROM load");
  g_assert_null (ms_sql_screen_get_table (screen));
  g_assert_nonnull (strstr (ms_sql_screen_get_message (screen), "layr"));
  run_sql (screen, "DELETE FROM run");
  g_assert_null (ms_sql_screen_get_table (screen));
  close_window (window);
  ms_fixture_remove (path);
}

/* --- SQL forms -------------------------------------------------------------------------------- */

/* The row of a result table whose columns of whole numbers and texts equal those of the statement's row;
 * -1 when there is none. */
static int
find_row (MsTable *table, MsTable *rows, guint row)
{
  for (guint at = 0; at < ms_table_n_rows (table); at++)
    {
      gboolean same = TRUE;

      for (guint c = 0; c < ms_table_n_columns (rows) && same; c++)
        {
          const MsColumn *column = ms_table_column (rows, c);
          int there = ms_table_find_column (table, column->name);

          if (there >= 0 && column->type == MS_COLUMN_INT)
            same
                = ms_table_column (table, (guint) there)->type != MS_COLUMN_INT
                  || ms_table_get_int (rows, row, c) == ms_table_get_int (table, at, (guint) there);
          else if (there >= 0 && column->type == MS_COLUMN_TEXT)
            same = g_str_equal (ms_table_get_text (rows, row, c),
                                ms_table_get_text (table, at, (guint) there));
        }
      if (same)
        return (int) at;
    }
  return -1;
}

static void
compare_with_result (const MsRequest *request, MsTrace *trace, const char *name, MsTable *rows)
{
  g_autoptr (MsValues) defaults = ms_values_new (request->analysis);
  MsContext context = { .trace = trace,
                        .values = request->values ? request->values : defaults,
                        .sampling.seed = 1,
                        .sampling.confidence = 0.95 };
  g_autoptr (GError) error = NULL;
  g_autoptr (MsResult) result = ms_analysis_run (request->analysis, &context, &error);
  MsTable *table;

  g_assert_no_error (error);
  table = ms_result_table (result, name);
  g_assert_cmpuint (ms_table_n_rows (rows), >, 0);
  for (guint row = 0; row < MIN (ms_table_n_rows (rows), 400); row++)
    {
      int at = find_row (table, rows, row);

      /* The text analysis stops early and singles out a layer. */
      if (at < 0 && g_str_equal (request->analysis->name, "text"))
        continue;
      g_assert_cmpint (at, >=, 0);

      for (guint c = 0; c < ms_table_n_columns (rows); c++)
        {
          int there = ms_table_find_column (table, ms_table_column (rows, c)->name);

          if (there >= 0 && ms_table_column (table, (guint) there)->type == MS_COLUMN_REAL
              && !ms_table_is_null (rows, row, c))
            g_assert_cmpfloat_with_epsilon (ms_table_get_real (rows, row, c),
                                            ms_table_get_real (table, (guint) at, (guint) there),
                                            1e-6);
        }
    }
}

/* Statements give the numbers of the tables they stand for, with and without a selection. */
static void
test_sql_forms (void)
{
  static const char *const selects[]
      = { "", "layer=2..4", "lang=de domain=code", "token=100..900 doc=0..5,7" };
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsWorkbench *bench = ms_window_get_bench (window);
  MsSqlScreen *screen = MS_SQL_SCREEN (screen_of (window, "sql"));
  guint n = 0;

  for (const MsAnalysis *const *all = ms_analyses (); *all != NULL; all++)
    for (const MsTableDef *def = (*all)->tables; def->name != NULL; def++)
      for (guint s = 0; s < G_N_ELEMENTS (selects); s++)
        {
          g_autoptr (MsRequest) request = ms_request_new (*all);
          g_autofree char *sql = NULL;
          g_autoptr (MsTrace) trace = NULL;

          request->selection = ms_selection_parse (selects[s], NULL);
          sql = ms_sql_form_direct (request, 1, def->name);
          if (sql == NULL)
            continue;
          trace = ms_trace_open (path, 1, request->selection, NULL);
          gtk_widget_activate_action (GTK_WIDGET (window), "win.sql", "s", sql);
          ms_sql_screen_run (screen);
          wait_until (!ms_sql_screen_is_busy (screen));
          if (ms_sql_screen_get_table (screen) == NULL)
            g_error ("%s: %s", sql, ms_sql_screen_get_message (screen));
          g_test_message ("%s %s, %s", (*all)->name, def->name, selects[s]);
          compare_with_result (request, trace, def->name, ms_sql_screen_get_table (screen));
          n++;
        }
  g_assert_cmpuint (n, ==, 40);
  {
    g_autoptr (MsRequest) request = ms_request_new (ms_analysis_find ("hit-rate"));
    g_autofree char *sql = ms_sql_form (bench, request, "curve");

    g_assert_nonnull (strstr (sql, "--store\nSELECT * FROM hit_rate_curve\n"));
  }
  {
    MsExpertsScreen *experts = MS_EXPERTS_SCREEN (screen_of (window, "experts"));

    wait_until (ms_figure_view_get_outcome (ms_experts_screen_get_map (experts)) != NULL);
    gtk_widget_activate_action (GTK_WIDGET (ms_experts_screen_get_map (experts)), "figure.sql",
                                NULL);
    g_assert_cmpstr (ms_window_get_screen_name (window), ==, "sql");
    ms_sql_screen_run (screen);
    wait_until (!ms_sql_screen_is_busy (screen));
    g_assert_cmpuint (ms_table_n_rows (ms_sql_screen_get_table (screen)), ==, 28);
  }
  close_window (window);
  ms_fixture_remove (path);
}

/* An import runs as a process of its own and its file is opened at the end. */
static void
test_import (void)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-import-XXXXXX", NULL);
  g_autofree char *csv = g_build_filename (folder, "routing.csv", NULL);
  g_autofree char *output = g_build_filename (folder, "imported.db", NULL);
  g_autoptr (GString) rows = g_string_new ("sequence,token,layer,rank,expert,weight\n");
  MsWindow *window;
  MsWorkbench *bench;
  MsCollectDialog *dialog;

  if (g_getenv ("MOESCOPE") == NULL)
    {
      g_test_skip ("MOESCOPE does not name the command line program");
      return;
    }
  for (guint token = 0; token < 20; token++)
    for (guint layer = 0; layer < 2; layer++)
      g_string_append_printf (rows, "s,%u,%u,0,%u,0.75\ns,%u,%u,1,%u,0.25\n", token, layer,
                              (token + layer) % 4, token, layer, (token + layer + 1) % 4);
  g_assert_true (g_file_set_contents (csv, rows->str, -1, NULL));
  window = open_window (NULL);
  bench = ms_window_get_bench (window);
  dialog = ms_collect_dialog_present (GTK_WINDOW (window), bench, MS_COLLECT_IMPORT, csv);
  ms_collect_dialog_set (dialog, NULL, NULL, output);
  g_assert_true (ms_collect_dialog_start (dialog));
  wait_until (ms_workbench_get_state (bench) == MS_BENCH_READY);
  g_assert_cmpstr (ms_workbench_get_path (bench), ==, output);
  g_assert_cmpint (ms_run_item_run (ms_workbench_get_run (bench))->n_tokens, ==, 20);
  close_window (window);
  g_unlink (csv);
  g_unlink (output);
  g_rmdir (folder);
}

/* The sentence of a screen that a headline leads to. */
static const char *
said_by (MsWindow *window, const char *name)
{
  MsScreen *screen = ms_window_get_screen (window, name);

  if (strcmp (name, "experts") == 0)
    return ms_experts_screen_get_summary (MS_EXPERTS_SCREEN (screen));
  return ms_analysis_pane_get_summary (
      strcmp (name, "cache") == 0 ? ms_analysis_screen_get_pane (MS_ANALYSIS_SCREEN (screen))
                                  : ms_analyses_screen_get_pane (MS_ANALYSES_SCREEN (screen)));
}

/* Every number at the head of the overview is on the screen that it leads to, whatever was set there before. */
static void
check_lead (MsWindow *window, guint n)
{
  MsOverviewScreen *overview = MS_OVERVIEW_SCREEN (ms_window_get_screen (window, "overview"));
  MsHeadlineBox *box = ms_overview_screen_get_headlines (overview);
  g_autofree char *number = NULL;
  const char *screen;

  show_screen (window, "overview");
  wait_until (*ms_headline_box_get_text (box, 0) != '\0'
              && *ms_headline_box_get_text (box, n) != '\0');
  wait_until (ms_window_is_quiet (window));
  number = g_strdup (ms_headline_box_get_number (box, n));
  ms_headline_box_jump (box, n);
  screen = ms_window_get_screen_name (window);
  g_assert_cmpstr (screen, !=, "overview");
  wait_until (ms_window_is_quiet (window)
              && (strcmp (number, "0") == 0 ? strstr (said_by (window, screen), "All ") != NULL
                                            : strstr (said_by (window, screen), number) != NULL));
}

static void
test_headlines_lead (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsSession *session = ms_workbench_get_session (ms_window_get_bench (window));
  MsCacheScreen *cache = MS_CACHE_SCREEN (screen_of (window, "cache"));

  ms_cache_screen_set_slots (cache, 2);
  g_assert_true (ms_analysis_form_set (ms_analysis_screen_get_form (MS_ANALYSIS_SCREEN (cache)),
                                       "mode", "batch", NULL));
  for (guint filtered = 0; filtered < 2; filtered++)
    for (guint n = 0; ms_headlines ()[n].name != NULL; n++)
      {
        ms_session_set_text (session, filtered ? "layer=0 expert=1 lang=de" : "layer=1", NULL);
        check_lead (window, n);
      }
  g_assert_true (g_str_has_suffix (ms_session_get_text (session), "lang=de"));
  close_window (window);
  ms_fixture_remove (path);
}

/* The least number of resident experts that reach a share of hits, and which; by the tables another way. */
static void
test_cache_target (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsCacheScreen *screen = MS_CACHE_SCREEN (screen_of (window, "cache"));
  MsCacheTarget *target = ms_cache_screen_get_target (screen);
  g_auto (GStrv) lines = NULL;
  MsTable *total;
  double rate = 0, below = 0;
  gint64 slots;

  wait_until (ms_cache_target_get_slots (target) > 0);
  ms_cache_target_set (target, 60);
  wait_until (ms_cache_target_get_slots (target) > 0);
  wait_until (ms_window_is_quiet (window));
  slots = ms_cache_target_get_slots (target);
  total = ms_result_table (
      ms_analysis_pane_get_outcome (ms_analysis_screen_get_pane (MS_ANALYSIS_SCREEN (screen)))
          ->result,
      "total");
  for (guint row = 0; row < ms_table_n_rows (total); row++)
    if (strcmp (ms_table_get_text (total, row, (guint) ms_table_find_column (total, "policy")),
                "static")
        == 0)
      {
        gint64 size
            = ms_table_get_int (total, row, (guint) ms_table_find_column (total, "capacity"));
        double hits
            = ms_table_get_real (total, row, (guint) ms_table_find_column (total, "hit_rate"));

        if (size == slots)
          rate = hits;
        if (size == slots - 1)
          below = hits;
      }
  g_test_message ("%s", ms_cache_target_get_answer (target));
  g_assert_cmpfloat (rate, >=, 0.6);
  g_assert_cmpfloat (below, <, 0.6);
  lines = g_strsplit (ms_cache_target_get_list (target), "\n", -1);
  g_assert_cmpstr (lines[0], ==, "layer,expert");
  g_assert_cmpuint (
      g_strv_length (lines) - 2, ==,
      slots * ms_run_item_model (ms_workbench_get_run (ms_window_get_bench (window)))->n_layers);
  close_window (window);
  ms_fixture_remove (path);
}

/* A character whose bytes several tokens share is shown whole, and its bytes told of each. */
static void
check_joined (MsTextScreen *screen)
{
  MsTable *tokens;
  guint shown, token, n, joined = 0;

  ms_text_screen_search (screen, "\xe7\x9a\x84"); /* Chinese */
  wait_until (!ms_text_screen_is_searching (screen));
  ms_text_screen_get_hit (screen, &n);
  g_assert_cmpuint (n, >, 0);
  ms_text_screen_step_hit (screen, 1);
  wait_until (!ms_text_screen_is_searching (screen));
  tokens = ms_figure_view_get_table (ms_text_screen_get_text (screen));
  shown = (guint) ms_table_find_column (tokens, "shown");
  token = (guint) ms_table_find_column (tokens, "token");
  for (guint row = 1; row < ms_table_n_rows (tokens); row++)
    if (g_str_equal (ms_table_get_text (tokens, row, shown), MS_TEXT_CONTINUED))
      {
        joined++;
        g_assert_nonnull (strstr (ms_table_get_text (tokens, row, token), "<0x"));
      }
    else
      g_assert_null (strstr (ms_table_get_text (tokens, row, shown), "<0x"));
  g_assert_cmpuint (joined, >, 0);
}

/* Words are found in the texts, in any case and across tokens, shown where they are, and gone through round. */
static void
test_text_search (void)
{
  const char *root = g_getenv ("MOESCOPE_SOURCE_ROOT");
  g_autofree char *path
      = g_build_filename (root != NULL ? root : ".", "samples", "sample.db", NULL);
  MsWindow *window = open_window (path);
  MsTextScreen *screen = MS_TEXT_SCREEN (screen_of (window, "text"));
  MsFigureCanvas *canvas = ms_figure_view_get_canvas (ms_text_screen_get_text (screen));
  MsTable *tokens;
  MsTextHit *hit;
  gint64 first;
  guint n;

  ms_text_screen_search (screen, "RIVER froze");
  wait_until (!ms_text_screen_is_searching (screen));
  hit = ms_text_screen_get_hit (screen, &n);
  g_assert_null (hit);
  g_assert_cmpuint (n, >=, 1);
  ms_text_screen_step_hit (screen, 1);
  wait_until (!ms_text_screen_is_searching (screen) && ms_window_is_quiet (window));
  hit = ms_text_screen_get_hit (screen, &n);
  g_assert_cmpstr (hit->match, ==, "river froze");
  g_assert_true (g_str_has_suffix (hit->before, "The "));
  tokens = ms_figure_view_get_table (ms_text_screen_get_text (screen));
  g_assert_cmpint (ms_table_get_int (tokens, (guint) ms_figure_canvas_get_cursor (canvas),
                                     (guint) ms_table_find_column (tokens, "position")),
                   ==, hit->position);
  ms_text_screen_search (screen, "the");
  wait_until (!ms_text_screen_is_searching (screen));
  ms_text_screen_get_hit (screen, &n);
  g_assert_cmpuint (n, >, 5);
  ms_text_screen_step_hit (screen, 1);
  first = ms_text_screen_get_hit (screen, &n)->position;
  ms_text_screen_step_hit (screen, -1);
  g_assert_cmpint (ms_text_screen_get_hit (screen, &n)->position, >, first);
  ms_text_screen_step_hit (screen, 1);
  g_assert_cmpint (ms_text_screen_get_hit (screen, &n)->position, ==, first);
  check_joined (screen);
  ms_text_screen_search (screen, "no such words anywhere");
  wait_until (!ms_text_screen_is_searching (screen));
  ms_text_screen_get_hit (screen, &n);
  g_assert_cmpuint (n, ==, 0);
  close_window (window);
}

/* A click on a table leaves what was written, and what the screen writes can be undone; statements run come back. */
static void
test_sql_kept (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsSqlScreen *screen = MS_SQL_SCREEN (screen_of (window, "sql"));
  g_autofree char *mine = NULL, *made = NULL, *undone = NULL, *before = NULL, *after = NULL;

  wait_until (ms_sql_screen_choose_table (screen, 1)); /* over the example, which nobody wrote */
  made = ms_sql_screen_dup_text (screen);
  g_assert_cmpstr (made, ==, "SELECT * FROM load LIMIT 1000");
  ms_sql_screen_undo (screen);
  ms_sql_screen_undo (screen); /* waiting asked twice */
  undone = ms_sql_screen_dup_text (screen);
  g_assert_cmpstr (undone, !=, made);
  wait_until (!ms_sql_screen_is_busy (screen));
  run_sql (screen, "SELECT 1");
  run_sql (screen, "SELECT 2");
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (
                                find_type (GTK_WIDGET (screen), GTK_TYPE_TEXT_VIEW))),
                            "SELECT count (*) FROM ", -1);
  ms_sql_screen_choose_table (screen, 1);
  mine = ms_sql_screen_dup_text (screen);
  g_assert_cmpstr (mine, ==, "SELECT count (*) FROM load");
  ms_sql_screen_recall (screen, -1);
  before = ms_sql_screen_dup_text (screen);
  g_assert_cmpstr (before, ==, "SELECT 1");
  ms_sql_screen_recall (screen, 1);
  after = ms_sql_screen_dup_text (screen);
  g_assert_cmpstr (after, ==, "SELECT 2");
  close_window (window);
  ms_fixture_remove (path);
}

/* What the palette takes for a place, and what a click on a bar of languages selects. */
static void
test_places (void)
{
  static const char *const places[][2] = { { "l3 e7", "layer=3 expert=7" },
                                           { "layer 3 expert 7", "layer=3 expert=7" },
                                           { "E7", "expert=7" },
                                           { "layer12", "layer=12" },
                                           { "load", NULL },
                                           { "export", NULL },
                                           { "l", NULL } };
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsSession *session = ms_workbench_get_session (ms_window_get_bench (window));
  MsExpertsScreen *screen = MS_EXPERTS_SCREEN (screen_of (window, "experts"));
  MsAnalysisPane *readers = ms_experts_screen_get_readers (screen);
  MsFigureCanvas *bars;
  g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (guint));
  guint first = 0;

  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *place = ms_place_parse (places[i][0]);

      g_assert_cmpstr (place, ==, places[i][1]);
    }
  gtk_widget_activate_action (GTK_WIDGET (window), "win.place", "(ss)", "layer=1 expert=2",
                              "experts");
  g_assert_cmpstr (ms_session_get_text (session), ==, "layer=1 expert=2");
  wait_until (ms_analysis_pane_get_outcome (readers) != NULL && ms_window_is_quiet (window));
  bars = ms_figure_view_get_canvas (ms_analysis_pane_get_figure (readers, 0));
  g_array_append_val (rows, first);
  g_signal_emit_by_name (bars, "brushed", rows, (int) MS_BRUSH_REPLACE);
  g_assert_nonnull (strstr (ms_session_get_text (session), "lang="));
  close_window (window);
  ms_fixture_remove (path);
}

/* A collection goes beside the runs that are there, with what else is to be recorded. */
static void
test_collect_beside (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsCollectDialog *dialog = ms_collect_dialog_present (
      GTK_WINDOW (window), ms_window_get_bench (window), MS_COLLECT_MODEL, "model.gguf");
  g_autofree char *command = NULL, *output = ms_word_quote (path);
  g_autofree char *expected = NULL;

  ms_collect_dialog_set (dialog, NULL, "texts.txt", NULL);
  ms_collect_dialog_record (dialog, TRUE, 128, "again");
  command = ms_collect_dialog_dup_command (dialog);
  expected
      = g_strdup_printf ("moescope collect model.gguf texts.txt -o %s --scores --norms --predict "
                         "--max-tokens=128 --name=again",
                         output);
  g_assert_cmpstr (command, ==, expected);
  gtk_window_destroy (GTK_WINDOW (dialog));
  close_window (window);
  ms_fixture_remove (path);
}

/* Figures follow the size of text. */
static void
test_text_scale (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsExpertsScreen *screen = MS_EXPERTS_SCREEN (screen_of (window, "experts"));
  MsFigureCanvas *canvas = ms_figure_view_get_canvas (ms_experts_screen_get_map (screen));
  const gsize size = 600 * 300 * 4;
  guchar *pictures[3] = { g_malloc0 (size), g_malloc0 (size), g_malloc0 (size) };
  int usual;

  g_object_get (gtk_settings_get_default (), "gtk-xft-dpi", &usual, NULL);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (GdkTexture) texture = NULL;

      g_object_set (gtk_settings_get_default (), "gtk-xft-dpi", i == 1 ? 192 * 1024 : 96 * 1024,
                    NULL);
      texture = ms_figure_to_texture (ms_figure_canvas_get_figure (canvas), 600, 300, 1);
      gdk_texture_download (texture, pictures[i], 600 * 4);
    }
  g_assert_true (memcmp (pictures[0], pictures[1], size) != 0);
  g_assert_true (memcmp (pictures[0], pictures[2], size) == 0);
  for (guint i = 0; i < 3; i++)
    g_free (pictures[i]);
  g_object_set (gtk_settings_get_default (), "gtk-xft-dpi", usual, NULL);
  close_window (window);
  ms_fixture_remove (path);
}

/* --- The cache -------------------------------------------------------------------------------- */

/* The slider looks at a size that was simulated, and gives its numbers as they are in the result. */
static void
test_cache_size (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsCacheScreen *screen;
  MsOutcome *outcome;
  MsTable *total, *shown;
  guint found = 0;

  show_screen (window, "cache");
  screen = MS_CACHE_SCREEN (ms_window_get_screen (window, "cache"));
  wait_until (ms_cache_screen_get_table (screen) != NULL);
  outcome
      = ms_analysis_pane_get_outcome (ms_analysis_screen_get_pane (MS_ANALYSIS_SCREEN (screen)));
  total = ms_result_table (outcome->result, "total");
  for (gint64 slots = 1; slots <= 3; slots++)
    {
      ms_cache_screen_set_slots (screen, slots);
      g_assert_cmpint (ms_cache_screen_get_slots (screen), ==, slots);
      shown = ms_cache_screen_get_table (screen);
      g_assert_cmpuint (ms_table_n_rows (shown), ==, 4);
      for (guint row = 0; row < ms_table_n_rows (total); row++)
        for (guint i = 0; i < ms_table_n_rows (shown); i++)
          if (ms_table_get_int (total, row, (guint) ms_table_find_column (total, "capacity"))
                  == slots
              && g_str_equal (
                  ms_table_get_text (total, row, (guint) ms_table_find_column (total, "policy")),
                  ms_table_get_text (shown, i, 0)))
            {
              g_assert_cmpfloat (
                  ms_table_get_real (total, row, (guint) ms_table_find_column (total, "hit_rate")),
                  ==, ms_table_get_real (shown, i, 1));
              found++;
            }
    }
  g_assert_cmpuint (found, ==, 12);
  /* Beyond what there is lies the last. */
  ms_cache_screen_set_slots (screen, 1000000);
  g_assert_cmpint (ms_cache_screen_get_slots (screen), <, 1000);
  close_window (window);
  ms_fixture_remove (path);
}

/* The report of what is selected, by the command line program. */
static void
test_report (void)
{
  g_autofree char *folder = g_dir_make_tmp ("moescope-report-XXXXXX", NULL);
  g_autofree char *output = g_build_filename (folder, "report.md", NULL);
  g_autofree char *text = NULL;
  char *path;
  MsWindow *window;
  GListModel *jobs;

  if (g_getenv ("MOESCOPE") == NULL)
    {
      g_test_skip ("MOESCOPE does not name the command line program");
      return;
    }
  path = ms_fixture_rich (NULL, 0);
  window = open_window (path);
  jobs = G_LIST_MODEL (ms_workbench_get_jobs (ms_window_get_bench (window)));
  ms_session_set_text (ms_workbench_get_session (ms_window_get_bench (window)),
                       "run=1 layer=1 lang=de", NULL);
  wait_until (ms_window_is_quiet (window));
  gtk_widget_activate_action (GTK_WIDGET (window), "win.write-report", "s", output);
  wait_until (ms_window_is_quiet (window));
  g_assert_cmpuint (g_list_model_get_n_items (jobs), ==, 0); /* no failure is left */
  g_assert_true (g_file_get_contents (output, &text, NULL, NULL));
  g_assert_nonnull (strstr (text, "layer=1 lang=de"));
  close_window (window);
  ms_fixture_remove (path);
  g_unlink (output);
  g_rmdir (folder);
}

/* Figures added are sections of the report, once each, in the order given to them. */
static void
test_report_sections (void)
{
  static const char kind[] = "report";
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsWorkbench *bench = ms_window_get_bench (window);
  g_auto (GStrv) names = NULL, raised = NULL, left = NULL;
  g_autofree char *command = NULL, *alone = NULL;

  ms_session_set_text (ms_workbench_get_session (bench), "run=1 layer=1", NULL);
  show_screen (window, "experts");
  wait_until (ms_figure_view_find (GTK_WIDGET (ms_window_get_screen (window, "experts"))) != NULL);
  gtk_widget_activate_action (GTK_WIDGET (window), "win.report-figure", NULL);
  gtk_widget_activate_action (GTK_WIDGET (window), "win.report-figure", NULL);
  show_screen (window, "cache");
  wait_until (ms_figure_view_find (GTK_WIDGET (ms_window_get_screen (window, "cache"))) != NULL);
  gtk_widget_activate_action (GTK_WIDGET (window), "win.report-figure", NULL);
  names = ms_kept_list (kind, path);
  g_assert_cmpuint (g_strv_length (names), ==, 2);
  g_assert_true (g_str_has_prefix (names[0], "experts "));
  g_assert_true (g_str_has_prefix (names[1], "cache "));
  g_assert_nonnull (strstr (names[1], "layer=1"));
  ms_kept_raise (kind, path, names[1]);
  raised = ms_kept_list (kind, path);
  g_assert_cmpstr (raised[0], ==, names[1]);
  g_assert_cmpstr (raised[1], ==, names[0]);
  command = ms_report_dup_command (bench, "r.html", TRUE);
  alone = ms_report_dup_command (bench, "r.html", FALSE);
  g_assert_true (strstr (command, "--add") != NULL && strstr (command, "--sections") == NULL);
  g_assert_nonnull (strstr (alone, "--sections none"));
  if (g_getenv ("MOESCOPE") != NULL)
    {
      g_autofree char *output = g_strconcat (path, ".html", NULL), *text = NULL;
      const char *cache, *experts;

      gtk_widget_activate_action (GTK_WIDGET (window), "win.write-report", "s", output);
      wait_until (ms_window_is_quiet (window));
      g_assert_true (g_file_get_contents (output, &text, NULL, NULL));
      cache = strstr (text, "<h2 id=\"cache-1\">");
      experts = strstr (text, "<h2 id=\"experts-2\">");
      g_assert_true (cache != NULL && experts > cache);
      g_unlink (output);
    }
  ms_kept_remove (kind, path, names[0]);
  left = ms_kept_list (kind, path);
  g_assert_cmpuint (g_strv_length (left), ==, 1);
  close_window (window);
  ms_fixture_remove (path);
}

/* --- Actions ---------------------------------------------------------------------------------- */

static void
list_groups (GtkWidget *root, GString *titles)
{
  if (GTK_IS_SHORTCUTS_GROUP (root))
    {
      g_autofree char *title = NULL;

      g_object_get (root, "title", &title, NULL);
      g_string_append_printf (titles, "%s/", title);
      return;
    }
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    list_groups (child, titles);
}

static void
test_shortcuts (void)
{
  GtkWidget *window = ms_shortcuts_window_new (ms_actions ());
  g_autoptr (GString) titles = g_string_new (NULL);

  list_groups (find_type (window, GTK_TYPE_SHORTCUTS_SECTION), titles);
  g_assert_cmpstr (titles->str, ==, "File/Screens/Selection/View/Figure/In a Figure/");
  gtk_window_destroy (GTK_WINDOW (window));
}

static MsPalette *
find_palette (void)
{
  GListModel *toplevels = gtk_window_get_toplevels ();

  for (guint i = 0; i < g_list_model_get_n_items (toplevels); i++)
    {
      g_autoptr (GtkWidget) top = g_list_model_get_item (toplevels, i);

      if (MS_IS_PALETTE (top))
        return MS_PALETTE (top); /* GTK keeps it */
    }
  return NULL;
}

/* As a person does: from a figure that has the keyboard, typed and entered. */
static void
test_palette (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsExpertsScreen *screen = MS_EXPERTS_SCREEN (screen_of (window, "experts"));

  for (guint i = 0; i < 2; i++)
    {
      GtkWidget *entry;

      show_screen (window, "experts");
      wait_until (ms_figure_view_get_outcome (ms_experts_screen_get_map (screen)) != NULL);
      gtk_widget_activate_action (GTK_WIDGET (window), i == 0 ? "win.focus-figure" : "win.refresh",
                                  NULL);
      wait_until (ms_window_is_quiet (window));
      gtk_widget_activate_action (GTK_WIDGET (window), "win.palette", NULL);
      entry = find_type (GTK_WIDGET (find_palette ()), GTK_TYPE_SEARCH_ENTRY);
      gtk_editable_set_text (GTK_EDITABLE (entry), "sql behind");
      if (i == 1)
        gtk_test_widget_wait_for_draw (entry);
      g_signal_emit_by_name (entry, "activate");
      wait_until (find_palette () == NULL);
      wait_until (ms_window_is_quiet (window));
      g_assert_cmpstr (ms_window_get_screen_name (window), ==, "sql");
    }
  close_window (window);
  ms_fixture_remove (path);
}

/* Every action of the table exists; those that leave no dialog behind are done. */
static void
test_actions (void)
{
  static const char *const skipped[]
      = { "win.open", "win.open-sample", "app.quit", "app.new-window", "window.close", NULL };
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsExpertsScreen *screen = MS_EXPERTS_SCREEN (screen_of (window, "experts"));
  GtkWidget *view = GTK_WIDGET (ms_experts_screen_get_map (screen));

  /* GTK 4.8 warns of a label of its own shortcuts window. */
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
  wait_until (ms_figure_view_get_outcome (MS_FIGURE_VIEW (view)) != NULL);
  for (const MsAction *action = ms_actions (); !ms_action_is_end (action); action++)
    {
      g_autofree char *detailed = NULL, *name = NULL;
      g_autoptr (GVariant) parameter = NULL;
      GListModel *toplevels = gtk_window_get_toplevels ();

      if (action->name == NULL || g_strv_contains (skipped, action->name)
          || (action->parameter != NULL && action->target == NULL)
          || g_str_equal (action->name, "win.close-file"))
        continue;
      detailed = ms_action_detailed_name (action);
      g_assert_true (g_action_parse_detailed_name (detailed, &name, &parameter, NULL));
      show_screen (window, "experts");
      if (g_str_has_prefix (action->name, "win."))
        g_assert_nonnull (g_action_map_lookup_action (G_ACTION_MAP (window), name + 4));
      gtk_widget_activate_action_variant (view, name, parameter);
      wait_until (ms_window_is_quiet (window));
      for (guint i = g_list_model_get_n_items (toplevels); i > 0; i--)
        {
          g_autoptr (GtkWindow) top = g_list_model_get_item (toplevels, i - 1);

          if (top != GTK_WINDOW (window))
            gtk_window_destroy (top);
        }
    }
  gtk_widget_activate_action (GTK_WIDGET (window), "win.close-file", NULL);
  g_assert_cmpint (ms_workbench_get_state (ms_window_get_bench (window)), ==, MS_BENCH_EMPTY);
  close_window (window);
  ms_fixture_remove (path);
}

static void
test_table_twin (void)
{
  char *path = ms_fixture_rich (NULL, 0);
  MsWindow *window = open_window (path);
  MsExpertsScreen *screen = MS_EXPERTS_SCREEN (screen_of (window, "experts"));
  MsTable *table;
  GtkWidget *twin = ms_table_view_new ();

  wait_until (ms_figure_view_get_outcome (ms_experts_screen_get_map (screen)) != NULL);
  table = ms_figure_view_get_table (ms_experts_screen_get_map (screen));
  g_object_ref_sink (twin);
  ms_table_view_set_table (MS_TABLE_VIEW (twin), table);
  g_assert_cmpuint (g_list_model_get_n_items (ms_table_view_get_model (MS_TABLE_VIEW (twin))), ==,
                    ms_table_n_rows (table));
  g_object_unref (twin);
  close_window (window);
  ms_fixture_remove (path);
}

int
main (int argc, char **argv)
{
  ms_windows_init (&argc, &argv);
  g_test_add_func ("/window/session/text", test_session_text);
  g_test_add_func ("/window/session/history", test_session_history);
  g_test_add_func ("/window/session/brush", test_session_brush);
  g_test_add_func ("/window/session/runs", test_session_runs);
  g_test_add_func ("/window/job", test_job);
  g_test_add_func ("/window/screens", test_screens);
  g_test_add_func ("/window/bad-files", test_bad_files);
  g_test_add_func ("/window/replaced", test_replaced);
  g_test_add_func ("/window/figure/pixels", test_figure_pixels);
  g_test_add_func ("/window/figure/brush", test_figure_brush);
  g_test_add_func ("/window/figure/stays", test_map_stays);
  g_test_add_func ("/window/figure/table", test_table_twin);
  g_test_add_func ("/window/slices", test_slices);
  g_test_add_func ("/window/partial", test_partial);
  g_test_add_func ("/window/partial-document", test_partial_document);
  g_test_add_func ("/window/left", test_left);
  g_test_add_func ("/window/overview", test_overview);
  g_test_add_func ("/window/experts", test_experts);
  g_test_add_func ("/window/bars", test_bars);
  g_test_add_func ("/window/text", test_text);
  g_test_add_func ("/window/text-without-entropy", test_text_without_entropy);
  g_test_add_func ("/window/compare", test_compare);
  g_test_add_func ("/window/languages", test_languages);
  g_test_add_func ("/window/tabs", test_tabs);
  g_test_add_func ("/window/analyses", test_analyses);
  g_test_add_func ("/window/under-the-pointer", test_under_the_pointer);
  g_test_add_func ("/window/restored", test_restored);
  g_test_add_func ("/window/export", test_export);
  g_test_add_func ("/window/eyes", test_eyes);
  g_test_add_func ("/window/run-states", test_run_states);
  g_test_add_func ("/window/collect-dialog", test_collect_dialog);
  g_test_add_func ("/window/sql", test_sql);
  g_test_add_func ("/window/sql-forms", test_sql_forms);
  g_test_add_func ("/window/import", test_import);
  g_test_add_func ("/window/text-search", test_text_search);
  g_test_add_func ("/window/sql-kept", test_sql_kept);
  g_test_add_func ("/window/places", test_places);
  g_test_add_func ("/window/collect-beside", test_collect_beside);
  g_test_add_func ("/window/text-scale", test_text_scale);
  g_test_add_func ("/window/cache-size", test_cache_size);
  g_test_add_func ("/window/cache-target", test_cache_target);
  g_test_add_func ("/window/headlines-lead", test_headlines_lead);
  g_test_add_func ("/window/report", test_report);
  g_test_add_func ("/window/report-sections", test_report_sections);
  g_test_add_func ("/window/shortcuts", test_shortcuts);
  g_test_add_func ("/window/palette", test_palette);
  g_test_add_func ("/window/actions", test_actions);
  return ms_windows_run ();
}
