/* What every screen shares: it updates only while shown, and has a page for each reason to show nothing. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_SCREEN (ms_screen_get_type ())
G_DECLARE_DERIVABLE_TYPE (MsScreen, ms_screen, MS, SCREEN, AdwBin)

struct _MsScreenClass
{
  AdwBinClass parent_class;
  /* File, run or selection changed while the screen is shown (or it was just shown).  Called only when
   * there is a run with recorded tokens, unless works_without_run. */
  void (*update) (MsScreen *screen);
  /* Another screen took this one's place: drops what it still computes.  TRUE when something was, which
   * update() starts again on return; may be NULL. */
  gboolean (*leave) (MsScreen *screen);
  gboolean works_without_run;
};

MsWorkbench *ms_screen_get_bench (MsScreen *screen);
MsSession *ms_screen_get_session (MsScreen *screen);
void ms_screen_set_bench (MsScreen *screen, MsWorkbench *bench);
/* The screen itself, shown while there is something to show. */
void ms_screen_set_content (MsScreen *screen, GtkWidget *content);

void ms_screen_show_content (MsScreen *screen);
/* A page with one sentence and one button; action and label may be NULL. */
void ms_screen_show_status (MsScreen *screen, const char *icon, const char *title,
                            const char *description, const char *label, const char *action);
/* The page that fits an error of db, analysis or figure. */
void ms_screen_show_error (MsScreen *screen, const GError *error);
void ms_screen_show_waiting (MsScreen *screen, const char *title);
/* "content", "status" or "waiting", for tests. */
const char *ms_screen_get_shown (MsScreen *screen);
/* Updates at once instead of in the next idle moment. */
void ms_screen_update_now (MsScreen *screen);

/* The message as the sentence of a page: with a capital, as markup. (transfer full) */
char *ms_error_text (const GError *error);
/* Title, description, button label and action (static) for an error. */
void ms_error_page (const GError *error, const char **icon, const char **title, const char **label,
                    const char **action);

G_END_DECLS
