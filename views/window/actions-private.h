/* Every action of the program in one table: menus, palette, shortcuts window, keys and tests share it. */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

typedef enum
{
  MS_KEYS_NONE,   /* shown in the shortcuts window; the widget that has the action binds them */
  MS_KEYS_GLOBAL, /* work whatever has the focus */
  MS_KEYS_LAST,   /* work unless the focused widget wants them: Escape, Ctrl+Z */
} MsKeys;

typedef struct
{
  const char *group;  /* section of the shortcuts window */
  const char *title;  /* Header Capitals, untranslated */
  const char *action; /* detailed name: "win.open", "win.screen::experts", "figure.table" */
  const char *keys;   /* accelerators separated by spaces, or NULL */
  MsKeys scope;
} MsActionInfo;

/* Ends with an empty one. */
extern const MsActionInfo ms_actions[];

/* Binds the global keys to the application and the last ones to the class of its windows. */
void ms_actions_bind (GtkApplication *application);
void ms_actions_bind_last (GtkWidgetClass *window_class);
/* (transfer full) */
GtkWidget *ms_shortcuts_window_new (void);

G_END_DECLS
