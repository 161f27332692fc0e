/* Writing the report of a run from the window, and choosing what it begins with. */
#pragma once

#include "window-private.h"

G_BEGIN_DECLS

/* Gives the window the actions report (the dialog) and write-report(path). */
void ms_report_install (MsWindow *window);
/* Keeps a figure, as it was asked for, as a section of the file's reports; tells so. */
void ms_report_add (MsWorkbench *bench, const MsRequest *request, const MsPlotDef *plot);
/* The command line that writes the report to `output`, with the sections kept and, when `whole`, all other
 * analyses. (transfer full) */
char *ms_report_dup_command (MsWorkbench *bench, const char *output, gboolean whole);

#define MS_TYPE_REPORT_DIALOG (ms_report_dialog_get_type ())
G_DECLARE_FINAL_TYPE (MsReportDialog, ms_report_dialog, MS, REPORT_DIALOG, AdwWindow)

G_END_DECLS
