/* One window: panes, screens, actions. */
#pragma once

#include "analysis-screen-private.h"
#include "screen-private.h"

G_BEGIN_DECLS

typedef struct
{
  const char *name;  /* of the action's target */
  const char *title; /* Header Capitals */
  const char *icon;
  const char *keys;                        /* accelerators that show it, separated by spaces */
  const char *help;                        /* what one does there: F1 */
  GtkWidget *(*make) (MsWorkbench *bench); /* NULL = a screen of the tabs and nothing else */
  const MsTab *tabs;                       /* that it has, ends with an empty one; NULL = none */
} MsScreenInfo;

/* Ends with an empty one. */
extern const MsScreenInfo ms_screens[];

/* NULL when there is none of this name. */
const MsScreenInfo *ms_screen_find (const char *name);
/* (transfer floating) */
GtkWidget *ms_screen_make (const MsScreenInfo *info, MsWorkbench *bench);

#define MS_TYPE_WINDOW (ms_window_get_type ())
G_DECLARE_FINAL_TYPE (MsWindow, ms_window, MS, WINDOW, AdwApplicationWindow)

/* Without its actions: see ms_actions_new_window. */
MsWindow *ms_window_new (GtkApplication *application);
MsWorkbench *ms_window_get_bench (MsWindow *window);
/* The screen of a name, whether shown or not; NULL when there is none. */
MsScreen *ms_window_get_screen (MsWindow *window, const char *name);
const char *ms_window_get_screen_name (MsWindow *window);
/* Also before a file is open, when the action for it has nothing to show yet. */
void ms_window_show_screen (MsWindow *window, const char *name);
/* The screen shown, NULL before there is one. */
GtkWidget *ms_window_get_shown (MsWindow *window);
/* The main menu: what it holds; opens it. */
void ms_window_set_menu (MsWindow *window, GMenuModel *menu);
void ms_window_open_menu (MsWindow *window);
/* Shows or hides the left or the right pane. */
void ms_window_toggle_pane (MsWindow *window, gboolean left);
/* Keeps size, screen, file and selection for the next start. */
void ms_window_save_state (MsWindow *window);
/* TRUE when nothing is being opened or computed. */
gboolean ms_window_is_quiet (MsWindow *window);

G_END_DECLS
