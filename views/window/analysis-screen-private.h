/* A screen made from data: tabs, each an analysis with the parameters and plots that answer a question. */
#pragma once

#include "analysis-form-private.h"
#include "analysis-pane-private.h"
#include "screen-private.h"

G_BEGIN_DECLS

typedef struct
{
  const char *title;    /* of the tab */
  const char *analysis; /* that exists, as all names that follow */
  const char *plots;    /* names in the order shown, separated by spaces; NULL = all */
  const char *params;   /* the parameters offered, separated by spaces; NULL = all, "" = none */
  const char *values;   /* "name=value ..." that differ from the defaults; NULL = none */
  gboolean tables;      /* the numbers are below the figures */
  gboolean keep;        /* curves can be kept for comparison */
  gboolean against;     /* says nothing without a baseline, though the analysis would */
} MsTab;

#define MS_TYPE_ANALYSIS_SCREEN (ms_analysis_screen_get_type ())
G_DECLARE_DERIVABLE_TYPE (MsAnalysisScreen, ms_analysis_screen, MS, ANALYSIS_SCREEN, MsScreen)

struct _MsAnalysisScreenClass
{
  MsScreenClass parent_class;
};

/* tabs ends with an empty one and stays. */
GtkWidget *ms_analysis_screen_new (MsWorkbench *bench, const MsTab *tabs);
void ms_analysis_screen_construct (MsAnalysisScreen *screen, MsWorkbench *bench, const MsTab *tabs);
/* A widget above the tabs, for what makes a screen special. */
void ms_analysis_screen_set_top (MsAnalysisScreen *screen, GtkWidget *top);

/* The same above the figures of one tab, which must exist. */
void ms_analysis_screen_set_tab_top (MsAnalysisScreen *screen, const char *title, GtkWidget *top);
/* The figures of a tab, which must exist. */
MsAnalysisPane *ms_analysis_screen_get_tab_pane (MsAnalysisScreen *screen, const char *title);
/* What part of the run a tab looks at, instead of what the session selects; takes it. */
void ms_analysis_screen_take_selection (MsAnalysisScreen *screen, const char *title,
                                        MsSelection *selection);

guint ms_analysis_screen_get_n_tabs (MsAnalysisScreen *screen);
/* Shows a tab with its settings as they were at first. */
void ms_analysis_screen_reset_tab (MsAnalysisScreen *screen, const char *title);
void ms_analysis_screen_show_tab (MsAnalysisScreen *screen, guint n);
guint ms_analysis_screen_get_tab (MsAnalysisScreen *screen);
/* Of the tab shown. */
MsAnalysisPane *ms_analysis_screen_get_pane (MsAnalysisScreen *screen);
MsAnalysisForm *ms_analysis_screen_get_form (MsAnalysisScreen *screen);
/* Keeps the curves shown, as "Keep These Curves" does. */
void ms_analysis_screen_keep (MsAnalysisScreen *screen);

G_END_DECLS
