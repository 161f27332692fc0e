/* How fast the window answers: when it first shows a frame, the list of runs and a figure; the longest time
 * that each screen kept the main loop busy while it computed; frames while pointing, brushing and panning.
 * Prints tables; nothing is asserted.  Drawing is done by whatever renderer GTK takes: name it with
 * GSK_RENDERER.
 *
 * bench-window FILE.db [SECONDS [WIDTHxHEIGHT]]: at most SECONDS (default 20) for each screen. */
#include "actions-private.h"
#include "analysis-screen-private.h"
#include "figure-view-private.h"
#include "window-private.h"
#include "window.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FRAME 16.7 /* ms */

static double
clock_ms (clockid_t clock)
{
  struct timespec now;

  clock_gettime (clock, &now);
  return 1e3 * (double) now.tv_sec + 1e-6 * (double) now.tv_nsec;
}

/* Milliseconds since the process was made, loading of libraries included. */
static double
age (void)
{
  g_autofree char *text = NULL;
  const char *at;
  double start = 0;

  if (!g_file_get_contents ("/proc/self/stat", &text, NULL, NULL))
    return 0;
  at = strrchr (text, ')');
  for (guint field = 2; at != NULL && field < 22; field++)
    at = strchr (at + 1, ' ');
  if (at != NULL)
    start = 1e3 * g_ascii_strtod (at, NULL) / (double) sysconf (_SC_CLK_TCK);
  return clock_ms (CLOCK_BOOTTIME) - start;
}

/* --- The main loop ---------------------------------------------------------------------------- */

/* What the main thread did between two waits for events: on a busy machine `wall` also holds the time that
 * others had the processor. */
static struct
{
  double wall, processor; /* when the last wait ended */
  double longest_wall, longest_processor;
  double all_processor;
  guint late; /* how often longer than a frame, by processor time */
} loop;

static int
watched_poll (GPollFD *fds, guint n, int timeout)
{
  double wall = clock_ms (CLOCK_MONOTONIC) - loop.wall;
  double processor = clock_ms (CLOCK_THREAD_CPUTIME_ID) - loop.processor;
  int ready;

  loop.longest_wall = MAX (loop.longest_wall, wall);
  loop.longest_processor = MAX (loop.longest_processor, processor);
  loop.all_processor += processor;
  loop.late += processor > FRAME;
  ready = g_poll (fds, n, timeout);
  loop.wall = clock_ms (CLOCK_MONOTONIC);
  loop.processor = clock_ms (CLOCK_THREAD_CPUTIME_ID);
  return ready;
}

static void
begin (void)
{
  loop.longest_wall = loop.longest_processor = loop.all_processor = 0;
  loop.late = 0;
}

static gboolean
tick (gpointer data)
{
  (void) data;
  return G_SOURCE_CONTINUE;
}

typedef gboolean (*Check) (gpointer data);

/* Turns the main loop until `check` holds (NULL = never), at most `seconds`; returns milliseconds. */
static double
run_until (Check check, gpointer data, double seconds)
{
  double start = clock_ms (CLOCK_MONOTONIC), took = 0;

  while (took < 1e3 * seconds && (check == NULL || !check (data)))
    {
      g_main_context_iteration (NULL, TRUE);
      took = clock_ms (CLOCK_MONOTONIC) - start;
    }
  return took;
}

static gboolean
is_quiet (gpointer window)
{
  return ms_window_is_quiet (window);
}

static gboolean
is_opened (gpointer bench)
{
  return ms_workbench_get_state (bench) != MS_BENCH_OPENING;
}

static gboolean
has_content (gpointer screen)
{
  return strcmp (ms_screen_get_shown (screen), "content") == 0;
}

static gboolean
is_set (gpointer number)
{
  return *(double *) number > 0;
}

/* --- Frames ----------------------------------------------------------------------------------- */

typedef struct
{
  MsWindow *window;
  MsFigureCanvas *canvas;
  guint frames;
  void (*move) (guint frame, gpointer target);
  gpointer target;
} Show;

static gboolean
on_frame (GtkWidget *widget, GdkFrameClock *clock, gpointer data)
{
  Show *show = data;

  (void) clock;
  show->move (show->frames++, show->target);
  gtk_widget_queue_draw (widget);
  return G_SOURCE_CONTINUE;
}

static void
time_frames (MsWindow *window, const char *what, void (*move) (guint, gpointer), gpointer target)
{
  Show show = { .window = window, .move = move, .target = target };
  guint id;
  double took;

  begin ();
  id = gtk_widget_add_tick_callback (GTK_WIDGET (window), on_frame, &show, NULL);
  took = run_until (NULL, NULL, 2);
  gtk_widget_remove_tick_callback (GTK_WIDGET (window), id);
  printf ("%-34s  %8.1f  %9.1f  %10.1f  %10.1f  %6u\n", what, 1e3 * show.frames / took,
          loop.all_processor / MAX (show.frames, 1), loop.longest_wall, loop.longest_processor,
          loop.late);
  fflush (stdout);
}

static gpointer
find_controller (GtkWidget *widget, GType type)
{
  g_autoptr (GListModel) all = gtk_widget_observe_controllers (widget);

  for (guint i = 0; i < g_list_model_get_n_items (all); i++)
    {
      g_autoptr (GtkEventController) controller = g_list_model_get_item (all, i);

      if (G_TYPE_CHECK_INSTANCE_TYPE (controller, type))
        return controller; /* the widget keeps it */
    }
  return NULL;
}

static void
point (guint frame, gpointer canvas)
{
  int width = MAX (gtk_widget_get_width (canvas), 1), height = gtk_widget_get_height (canvas);

  g_signal_emit_by_name (find_controller (canvas, GTK_TYPE_EVENT_CONTROLLER_MOTION), "motion",
                         (double) (frame * 7 % (guint) width), 0.4 * height);
}

static void
drag (guint frame, gpointer canvas)
{
  gpointer gesture = find_controller (canvas, GTK_TYPE_GESTURE_DRAG);
  double width = gtk_widget_get_width (canvas), height = gtk_widget_get_height (canvas);
  double part = (frame % 60 + 1) / 60.0;

  g_signal_emit_by_name (gesture, "drag-update", part * width, part * height);
  if (frame % 60 == 59)
    g_signal_emit_by_name (gesture, "drag-end", part * width, part * height);
}

static void
step (guint frame, gpointer canvas)
{
  ms_figure_canvas_step (canvas, frame / 40 % 2 ? MS_STEP_LEFT : MS_STEP_RIGHT, TRUE);
}

static void
scroll (guint frame, gpointer adjustment)
{
  double room = gtk_adjustment_get_upper (adjustment) - gtk_adjustment_get_page_size (adjustment);
  double part = (frame % 120) / 60.0;

  gtk_adjustment_set_value (adjustment, room * (part < 1 ? part : 2 - part));
}

static GtkWidget *
find_scrolled (GtkWidget *root)
{
  if (GTK_IS_SCROLLED_WINDOW (root))
    {
      GtkAdjustment *y = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (root));

      if (gtk_adjustment_get_upper (y) > gtk_adjustment_get_page_size (y))
        return root;
    }
  for (GtkWidget *child = gtk_widget_get_first_child (root); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    if (gtk_widget_get_mapped (child))
      {
        GtkWidget *found = find_scrolled (child);

        if (found != NULL)
          return found;
      }
  return NULL;
}

static void
time_scrolling (MsWindow *window, const char *name)
{
  GtkWidget *scrolled;
  g_autofree char *what = g_strdup_printf ("%s: scroll", name);

  ms_window_show_screen (window, name);
  run_until (NULL, NULL, 1);
  scrolled = find_scrolled (GTK_WIDGET (ms_window_get_screen (window, name)));
  if (scrolled != NULL)
    time_frames (window, what, scroll,
                 gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (scrolled)));
}

static void
time_all_frames (MsWindow *window)
{
  MsFigureView *view;
  MsFigureCanvas *canvas;

  printf ("\n%-34s  %8s  %9s  %10s  %10s  %6s\n", "Every frame draws the window anew", "frames/s",
          "core ms", "longest ms", "by core ms", "late");
  ms_window_show_screen (window, "experts");
  run_until (NULL, NULL, 1);
  view = ms_figure_view_find (GTK_WIDGET (ms_window_get_screen (window, "experts")));
  canvas = view ? ms_figure_view_get_canvas (view) : NULL;
  if (canvas != NULL && ms_figure_canvas_get_figure (canvas) != NULL)
    {
      time_frames (window, "experts: point at the map", point, canvas);
      time_frames (window, "experts: drag a brush", drag, canvas);
      time_frames (window, "experts: brush by keys", step, canvas);
      gtk_widget_activate_action (GTK_WIDGET (view), "figure.zoom-in", NULL);
      gtk_widget_activate_action (GTK_WIDGET (view), "figure.zoom-in", NULL);
      run_until (NULL, NULL, 0.5);
      {
        GtkWidget *around = gtk_widget_get_ancestor (GTK_WIDGET (canvas), GTK_TYPE_SCROLLED_WINDOW);

        time_frames (window, "experts: pan the map zoomed", scroll,
                     gtk_scrolled_window_get_hadjustment (GTK_SCROLLED_WINDOW (around)));
      }
      gtk_widget_activate_action (GTK_WIDGET (view), "figure.zoom-reset", NULL);
    }
  time_scrolling (window, "overview");
  time_scrolling (window, "experts");
  time_scrolling (window, "text");
  time_scrolling (window, "languages");
}

static gboolean
has_figure (GtkWidget *widget)
{
  if (MS_IS_FIGURE_CANVAS (widget))
    return ms_figure_canvas_get_figure (MS_FIGURE_CANVAS (widget)) != NULL;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    if (gtk_widget_get_mapped (child) && has_figure (child))
      return TRUE;
  return FALSE;
}

/* There is something to see: a figure, or on a screen without figures its content. */
static gboolean
is_answered (gpointer screen)
{
  return has_figure (screen)
         || (!MS_IS_ANALYSIS_SCREEN (screen)
             && strcmp (ms_screen_get_shown (screen), "waiting") != 0);
}

/* --- Screens ---------------------------------------------------------------------------------- */

static void
time_screen (MsWindow *window, const char *name, guint tab, double seconds)
{
  MsScreen *screen = ms_window_get_screen (window, name);
  g_autofree char *what = tab > 0 ? g_strdup_printf ("%s, tab %u", name, tab + 1) : g_strdup (name);
  double first, all;
  gboolean quiet;

  begin ();
  ms_window_show_screen (window, name);
  if (tab > 0)
    ms_analysis_screen_show_tab (MS_ANALYSIS_SCREEN (screen), tab);
  first = run_until (is_answered, screen, seconds);
  all = first + run_until (NULL, NULL, 0.3) + run_until (is_quiet, window, seconds);
  quiet = ms_window_is_quiet (window);
  printf ("%-34s  %8.0f  %s%8.0f  %10.1f  %10.1f  %6u\n", what, first, quiet ? " " : ">", all,
          loop.longest_wall, loop.longest_processor, loop.late);
  fflush (stdout);
}

static void
time_screens (MsWindow *window, double seconds)
{
  printf ("\n%-34s  %8s  %9s  %10s  %10s  %6s\n", "While the screen computes", "first ms", "all ms",
          "longest ms", "by core ms", "late");
  for (const MsScreenInfo *info = ms_screens; info->name != NULL; info++)
    {
      MsScreen *screen = ms_window_get_screen (window, info->name);
      guint n = MS_IS_ANALYSIS_SCREEN (screen)
                    ? ms_analysis_screen_get_n_tabs (MS_ANALYSIS_SCREEN (screen))
                    : 1;

      for (guint tab = 0; tab < n; tab++)
        time_screen (window, info->name, tab, seconds);
    }
}

/* --- Opening ---------------------------------------------------------------------------------- */

static void
note_frame (GdkFrameClock *clock, double *first)
{
  (void) clock;
  if (*first == 0)
    *first = age ();
}

static MsWindow *
time_opening (AdwApplication *application, const char *path, int width, int height, double seconds)
{
  MsWindow *window = ms_actions_new_window (GTK_APPLICATION (application));
  MsWorkbench *bench = ms_window_get_bench (window);
  double frame = 0, made, listed, figure;

  gtk_window_set_default_size (GTK_WINDOW (window), width, height);
  ms_window_show_screen (window, "experts");
  ms_workbench_open (bench, path);
  gtk_window_present (GTK_WINDOW (window));
  made = clock_ms (CLOCK_THREAD_CPUTIME_ID);
  g_signal_connect (gtk_widget_get_frame_clock (GTK_WIDGET (window)), "after-paint",
                    G_CALLBACK (note_frame), &frame);
  run_until (is_opened, bench, seconds);
  listed = age ();
  run_until (has_content, ms_window_get_screen (window, "experts"), seconds);
  figure = age ();
  run_until (is_set, &frame, seconds);
  g_signal_handlers_disconnect_by_data (gtk_widget_get_frame_clock (GTK_WIDGET (window)), &frame);
  printf (
      "ms since the program was started: first frame %.0f, runs listed %.0f, map of experts %.0f",
      frame, listed, figure);
  fflush (stdout);
  run_until (is_quiet, window, seconds);
  printf (" and whole %.0f\n  longest turn of the main loop %.1f ms, %.1f by the core; the window "
          "was made in %.1f by the core\n",
          age (), loop.longest_wall, loop.longest_processor, made);
  return window;
}

int
main (int argc, char **argv)
{
  g_autofree char *state = g_dir_make_tmp ("moescope-state-XXXXXX", NULL);
  g_autoptr (AdwApplication) application = NULL;
  double seconds = argc > 2 ? g_ascii_strtod (argv[2], NULL) : 20;
  int width = 1280, height = 800;
  MsWindow *window;

  if (argc < 2 || (argc > 3 && sscanf (argv[3], "%dx%d", &width, &height) != 2))
    {
      g_printerr ("Usage: bench-window FILE.db [SECONDS [WIDTHxHEIGHT]]\n");
      return 2;
    }
  g_setenv ("XDG_STATE_HOME", state, TRUE);
  g_setenv ("XDG_DATA_HOME", state, TRUE);
  g_setenv ("GSETTINGS_BACKEND", "memory", TRUE);
  application = ms_application_new ();
  g_application_set_flags (G_APPLICATION (application), G_APPLICATION_NON_UNIQUE);
  if (!g_application_register (G_APPLICATION (application), NULL, NULL))
    return 1;
  g_timeout_add (5, tick, NULL);
  loop.wall = clock_ms (CLOCK_MONOTONIC);
  loop.processor = clock_ms (CLOCK_THREAD_CPUTIME_ID);
  g_main_context_set_poll_func (NULL, watched_poll);
  window = time_opening (application, argv[1], width, height, seconds);
  time_screens (window, seconds);
  time_all_frames (window);
  gtk_window_destroy (GTK_WINDOW (window));
  return 0;
}
