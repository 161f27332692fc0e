#include "screenshots-private.h"

#include "analysis-screen-private.h"

#define POLL_MS     80
#define QUIET_POLLS 8
#define MOST_POLLS  1500

typedef struct
{
  MsWindow *window;
  char *folder;
  guint index; /* of ms_screens */
  guint tab;   /* of the screen */
  guint quiet, polls;
} Tour;

GdkTexture *
ms_widget_to_texture (GtkWidget *widget)
{
  g_autoptr (GdkPaintable) paintable = gtk_widget_paintable_new (widget);
  GtkSnapshot *snapshot = gtk_snapshot_new ();
  g_autoptr (GskRenderNode) node = NULL;
  int width = gtk_widget_get_width (widget), height = gtk_widget_get_height (widget);

  gdk_paintable_snapshot (paintable, snapshot, width, height);
  node = gtk_snapshot_free_to_node (snapshot);
  if (node == NULL)
    return NULL;
  return gsk_renderer_render_texture (gtk_native_get_renderer (gtk_widget_get_native (widget)),
                                      node,
                                      &GRAPHENE_RECT_INIT (0, 0, (float) width, (float) height));
}

static void
save (Tour *tour, const char *name)
{
  g_autoptr (GdkTexture) texture = ms_widget_to_texture (GTK_WIDGET (tour->window));
  g_autofree char *file = g_strconcat (name, ".png", NULL);
  g_autofree char *path = g_build_filename (tour->folder, file, NULL);

  if (texture == NULL || !gdk_texture_save_to_png (texture, path))
    g_printerr ("moescope-gui: cannot write %s\n", path);
}

static void
show (Tour *tour)
{
  tour->quiet = tour->polls = 0;
  gtk_widget_activate_action (GTK_WIDGET (tour->window), "win.screen", "s",
                              ms_screens[tour->index].name);
}

/* The next tab of the screen shown; FALSE when there is none. */
static gboolean
next_tab (Tour *tour)
{
  MsScreen *screen = ms_window_get_screen (tour->window, ms_screens[tour->index].name);

  if (!MS_IS_ANALYSIS_SCREEN (screen)
      || tour->tab + 1 >= ms_analysis_screen_get_n_tabs (MS_ANALYSIS_SCREEN (screen)))
    return FALSE;
  tour->tab++;
  tour->quiet = tour->polls = 0;
  ms_analysis_screen_show_tab (MS_ANALYSIS_SCREEN (screen), tour->tab);
  return TRUE;
}

static gboolean
poll_quiet (gpointer data)
{
  Tour *tour = data;
  gboolean start = ms_workbench_get_state (ms_window_get_bench (tour->window)) == MS_BENCH_EMPTY;

  tour->quiet = ms_window_is_quiet (tour->window) ? tour->quiet + 1 : 0;
  if (tour->quiet < QUIET_POLLS && ++tour->polls < MOST_POLLS)
    return G_SOURCE_CONTINUE;
  if (start)
    save (tour, "start");
  else if (tour->tab == 0)
    save (tour, ms_screens[tour->index].name);
  else
    {
      g_autofree char *name
          = g_strdup_printf ("%s-%u", ms_screens[tour->index].name, tour->tab + 1);

      save (tour, name);
    }
  if (!start && next_tab (tour))
    return G_SOURCE_CONTINUE;
  tour->index++;
  tour->tab = 0;
  if (!start && ms_screens[tour->index].name != NULL)
    {
      show (tour);
      return G_SOURCE_CONTINUE;
    }
  gtk_window_close (GTK_WINDOW (tour->window));
  g_free (tour->folder);
  g_free (tour);
  return G_SOURCE_REMOVE;
}

void
ms_screenshots_start (MsWindow *window, const char *folder)
{
  Tour *tour = g_new0 (Tour, 1);

  if (g_mkdir_with_parents (folder, 0777) != 0)
    g_printerr ("moescope-gui: cannot make the folder %s\n", folder);
  tour->window = window;
  tour->folder = g_strdup (folder);
  show (tour);
  g_timeout_add (POLL_MS, poll_quiet, tour);
}
