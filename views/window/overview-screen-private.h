/* The run at a glance: a sentence and a small figure for each of the main questions, and what stands out. */
#pragma once

#include "figure-view-private.h"
#include "headline-box-private.h"
#include "screen-private.h"

G_BEGIN_DECLS

#define MS_TYPE_OVERVIEW_SCREEN (ms_overview_screen_get_type ())
G_DECLARE_FINAL_TYPE (MsOverviewScreen, ms_overview_screen, MS, OVERVIEW_SCREEN, MsScreen)

/* A card: an analysis, its plot, and where more of it is. */
typedef struct
{
  const char *analysis, *plot;
  const char *screen;
  const char *instead; /* the plot where the first has nothing to show; NULL = none */
} MsOverviewSource;

/* In the order of the cards, ends with an empty one.  The headlines are read from their results too. */
extern const MsOverviewSource ms_overview_sources[];

GtkWidget *ms_overview_screen_new (MsWorkbench *bench);
guint ms_overview_screen_get_n_findings (MsOverviewScreen *screen);
MsHeadlineBox *ms_overview_screen_get_headlines (MsOverviewScreen *screen);
/* Goes where the n-th finding is. */
void ms_overview_screen_jump (MsOverviewScreen *screen, guint n);

G_END_DECLS
