/* What the programs that test the window share: an application without a bus, windows over a fixture, and
 * turning the main loop until something holds. */
#pragma once

#include "fixture.h"
#include "window-private.h"

G_BEGIN_DECLS

/* Turns the main loop until the condition holds; fails the test after a minute. */
#define wait_until(condition)                                                                      \
  G_STMT_START                                                                                     \
  {                                                                                                \
    gint64 deadline = g_get_monotonic_time () + 60 * G_USEC_PER_SEC;                               \
    guint ticker = g_timeout_add (20, ms_windows_tick, NULL);                                      \
    while (!(condition) && g_get_monotonic_time () < deadline)                                     \
      g_main_context_iteration (NULL, TRUE);                                                       \
    g_source_remove (ticker);                                                                      \
    g_assert_true (condition);                                                                     \
  }                                                                                                \
  G_STMT_END

gboolean ms_windows_tick (gpointer data);

/* Instead of g_test_init() and g_test_run(): with a state folder of their own and no session bus. */
void ms_windows_init (int *argc, char ***argv);
int ms_windows_run (void);

/* A window with what is in `path` (NULL = nothing), when its runs are listed. */
MsWindow *open_window (const char *path);
void close_window (MsWindow *window);
/* Shows a screen and waits until nothing is computed. */
void show_screen (MsWindow *window, const char *name);
/* The same until its content is there. */
MsScreen *screen_of (MsWindow *window, const char *name);
/* The first widget of this type at or below root, NULL when there is none. */
GtkWidget *find_type (GtkWidget *root, GType type);

G_END_DECLS
