/* An action: one row says what menus, keys, palette, shortcuts window and tests need of it. */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

typedef enum
{
  MS_KEYS_NONE,   /* listed here, bound by the widget that has the focus */
  MS_KEYS_GLOBAL, /* work whatever has the focus */
  MS_KEYS_LAST,   /* work unless the focused widget wants them: Escape, Ctrl+Z */
  MS_KEYS_FIGURE, /* work in a figure view */
} MsKeys;

/* When an action of the window is enabled. */
typedef enum
{
  MS_WHEN_ALWAYS,
  MS_WHEN_FILE,     /* a file is open */
  MS_WHEN_RUN,      /* it has a run */
  MS_WHEN_RUNS,     /* it has several */
  MS_WHEN_BASELINE, /* one of them is pinned */
  MS_WHEN_PAST,     /* there is a selection to go back to */
  MS_WHEN_FUTURE,   /* ... to go forward to */
} MsWhen;

typedef struct
{
  const char
      *group; /* section of palette and shortcuts window; NULL = not for people, in neither */
  const char *title;  /* Header Capitals, untranslated */
  const char *name;   /* "win.open", "figure.sql"; NULL = keys of a figure that are no action */
  const char *target; /* NULL = none */
  const char *keys;   /* accelerators separated by spaces, or NULL */
  MsKeys scope;
  MsWhen when;
  /* Gets the window or, of "figure.", the figure view; NULL where GTK or another row has it.  Of "app.", the
   * active window. */
  GtkWidgetActionActivateFunc activate;
  const char *parameter; /* GVariant type, NULL = none */
  int menu; /* place in the menu: 10 times the section plus the row, from 11; 0 = not in it */
  const char *menu_title; /* with a mnemonic; NULL = the title */
  gboolean key_only; /* listed for its keys: another row of the same action is in the palette */
} MsAction;

/* Lists of actions end with a row without title and name. */
#define ms_action_is_end(action) ((action)->title == NULL && (action)->name == NULL)

/* "win.screen::experts"; NULL of keys that are no action. (transfer full) */
char *ms_action_detailed_name (const MsAction *action);
/* Binds the keys of one scope to a class of widgets. */
void ms_actions_bind_to_class (const MsAction *actions, MsKeys scope, GtkWidgetClass *class);
/* The menu of the rows whose name begins with prefix. (transfer full) */
GMenuModel *ms_actions_make_menu (const MsAction *actions, const char *prefix);
/* (transfer full) */
GtkWidget *ms_shortcuts_window_new (const MsAction *actions);

G_END_DECLS
