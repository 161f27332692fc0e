/* The parameters of an analysis as rows to fill in. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_ANALYSIS_FORM (ms_analysis_form_get_type ())
G_DECLARE_FINAL_TYPE (MsAnalysisForm, ms_analysis_form, MS, ANALYSIS_FORM, AdwBin)

/* Signal "changed": a value changed.  With sliders, numbers get a scale to drag.  only: the parameters
 * offered, by name, separated by spaces; NULL = all. */
GtkWidget *ms_analysis_form_new (const MsAnalysis *analysis, gboolean sliders, const char *only);
/* (transfer full) */
MsValues *ms_analysis_form_dup_values (MsAnalysisForm *form);
/* Sets a parameter as the command line would; the row follows. */
gboolean ms_analysis_form_set (MsAnalysisForm *form, const char *name, const char *text,
                               GError **error);

/* Sets all parameters as in `values`, of the same analysis. */
void ms_analysis_form_set_values (MsAnalysisForm *form, const MsValues *values);

G_END_DECLS
