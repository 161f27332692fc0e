/* Documents as running text, token by token on the colour of what the router did. */
#pragma once

#include "text-search-private.h"
#include "figure-view-private.h"
#include "screen-private.h"

G_BEGIN_DECLS

#define MS_TYPE_TEXT_SCREEN (ms_text_screen_get_type ())
G_DECLARE_FINAL_TYPE (MsTextScreen, ms_text_screen, MS, TEXT_SCREEN, MsScreen)

GtkWidget *ms_text_screen_new (MsWorkbench *bench);
MsFigureView *ms_text_screen_get_text (MsTextScreen *screen);
/* Shows document `number` (from 0) of the corpus. */
void ms_text_screen_choose (MsTextScreen *screen, guint number);
/* The layer that colours the text; -1 = the first brushed one, or the middle. */
GtkSpinButton *ms_text_screen_get_layer (MsTextScreen *screen);
/* Colours by a plot of the analysis "text". */
void ms_text_screen_colour_by (MsTextScreen *screen, const char *plot);
/* Why the text has no colours, NULL when it has. */
const char *ms_text_screen_get_missing (MsTextScreen *screen);
/* What the card of all layers says. */
const char *ms_text_screen_get_card (MsTextScreen *screen);

/* Looks for words in the texts; the places found, and the one shown (NULL = none yet), of *n. */
void ms_text_screen_search (MsTextScreen *screen, const char *words);
MsTextHit *ms_text_screen_get_hit (MsTextScreen *screen, guint *n);
/* The next place (by > 0) or the one before, round at the ends. */
void ms_text_screen_step_hit (MsTextScreen *screen, int by);
gboolean ms_text_screen_is_searching (MsTextScreen *screen);

G_END_DECLS
