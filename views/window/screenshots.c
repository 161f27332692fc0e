/* The program photographs itself: every screen, every tab, every dialog, each when nothing is computed any
 * more.  The pictures hold the window's own surface, so no popovers. */
#include "screenshots-private.h"

#include "analysis-screen-private.h"

#define POLL_MS     80
#define QUIET_POLLS 8

/* What opens a window of its own, shown after the screens. */
static const struct
{
  const char *action, *name;
} dialogs[] = { { "win.collect", "dialog-collect" }, { "win.import", "dialog-import" },
                { "win.export", "dialog-export" },   { "win.report", "dialog-report" },
                { "win.palette", "dialog-palette" }, { "win.shortcuts", "dialog-shortcuts" },
                { "win.help", "dialog-help" },       { NULL, NULL } };

typedef struct
{
  MsWindow *window;
  char *folder;
  guint most_polls; /* before a screen is taken as it is */
  guint index;      /* of ms_screens */
  guint tab;        /* of the screen */
  guint dialog;     /* of dialogs, when all screens are done */
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
save (Tour *tour, GtkWidget *window, const char *name)
{
  g_autoptr (GdkTexture) texture = ms_widget_to_texture (window);
  g_autofree char *file = g_strconcat (name, ".png", NULL);
  g_autofree char *path = g_build_filename (tour->folder, file, NULL);

  if (texture == NULL || !gdk_texture_save_to_png (texture, path))
    g_printerr ("moescope-gui: cannot write %s\n", path);
}

/* The dialog over the window, NULL when there is none. */
static GtkWindow *
find_dialog (Tour *tour)
{
  GListModel *all = gtk_window_get_toplevels ();

  for (guint i = 0; i < g_list_model_get_n_items (all); i++)
    {
      g_autoptr (GtkWindow) window = g_list_model_get_item (all, i);

      if (gtk_window_get_transient_for (window) == GTK_WINDOW (tour->window))
        return window; /* GTK keeps it */
    }
  return NULL;
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

static void
save_screen (Tour *tour)
{
  const char *name = ms_screens[tour->index].name;
  g_autofree char *numbered = g_strdup_printf ("%s-%u", name, tour->tab + 1);

  save (tour, GTK_WIDGET (tour->window), tour->tab == 0 ? name : numbered);
}

/* Takes the picture of what is shown and shows what comes next; FALSE when there is nothing more. */
static gboolean
go_on (Tour *tour)
{
  GtkWindow *dialog = find_dialog (tour);

  if (ms_workbench_get_state (ms_window_get_bench (tour->window)) == MS_BENCH_EMPTY)
    {
      save (tour, GTK_WIDGET (tour->window), "start");
      return FALSE;
    }
  if (ms_screens[tour->index].name != NULL)
    {
      save_screen (tour);
      if (next_tab (tour))
        return TRUE;
      tour->tab = 0;
      tour->index++;
      if (ms_screens[tour->index].name != NULL)
        {
          show (tour);
          return TRUE;
        }
      /* Dialogs are shown over a screen with a figure. */
      gtk_widget_activate_action (GTK_WIDGET (tour->window), "win.screen", "s", "experts");
      return dialogs[0].name != NULL;
    }
  if (dialog != NULL)
    {
      save (tour, GTK_WIDGET (dialog), dialogs[tour->dialog].name);
      gtk_window_destroy (dialog);
      tour->dialog++;
    }
  /* Without a figure there is nothing to export. */
  while (dialogs[tour->dialog].name != NULL)
    {
      gtk_widget_activate_action (GTK_WIDGET (tour->window), dialogs[tour->dialog].action, NULL);
      if (find_dialog (tour) != NULL)
        return TRUE;
      tour->dialog++;
    }
  return FALSE;
}

static gboolean
poll_quiet (gpointer data)
{
  Tour *tour = data;

  tour->quiet = ms_window_is_quiet (tour->window) ? tour->quiet + 1 : 0;
  if (tour->quiet < QUIET_POLLS && ++tour->polls < tour->most_polls)
    return G_SOURCE_CONTINUE;
  tour->quiet = tour->polls = 0;
  if (go_on (tour))
    return G_SOURCE_CONTINUE;
  gtk_window_close (GTK_WINDOW (tour->window));
  g_free (tour->folder);
  g_free (tour);
  return G_SOURCE_REMOVE;
}

void
ms_screenshots_start (MsWindow *window, const char *folder, double seconds)
{
  Tour *tour = g_new0 (Tour, 1);

  if (g_mkdir_with_parents (folder, 0777) != 0)
    g_printerr ("moescope-gui: cannot make the folder %s\n", folder);
  tour->window = window;
  tour->folder = g_strdup (folder);
  tour->most_polls = (guint) (1000 * seconds / POLL_MS);
  show (tour);
  g_timeout_add (POLL_MS, poll_quiet, tour);
}
