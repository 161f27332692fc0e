/* Writing the report of a run from the window, and choosing what it begins with. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* Keeps a figure, given by the words that ask for it, as a section of the file's reports; tells so.  The
 * titles of its analysis and plot, untranslated, name it. */
void ms_report_add (MsWorkbench *bench, const char *analysis, const char *plot, const char *words);
/* Writes the report in the background, with the sections kept and, when `whole`, all other analyses. */
void ms_report_write (MsWorkbench *bench, const char *output, gboolean whole);
void ms_report_dialog_present (GtkWindow *parent, MsWorkbench *bench);
/* The command line that writes the report to `output`, with the sections kept and, when `whole`, all other
 * analyses. (transfer full) */
char *ms_report_dup_command (MsWorkbench *bench, const char *output, gboolean whole);

#define MS_TYPE_REPORT_DIALOG (ms_report_dialog_get_type ())
G_DECLARE_FINAL_TYPE (MsReportDialog, ms_report_dialog, MS, REPORT_DIALOG, AdwWindow)

G_END_DECLS
