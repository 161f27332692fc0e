/* Writing a figure to a file, with a live preview and the command line that makes the same file. */
#pragma once

#include "figure.h"
#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_EXPORT_DIALOG (ms_export_dialog_get_type ())
G_DECLARE_FINAL_TYPE (MsExportDialog, ms_export_dialog, MS, EXPORT_DIALOG, AdwWindow)

/* Shows the dialog; references the outcome, copies plot and options. */
MsExportDialog *ms_export_dialog_present (GtkWindow *parent, MsWorkbench *bench, MsOutcome *outcome,
                                          const MsPlotDef *plot, const MsFigureOptions *options);
/* 0 = PDF, 1 = SVG, 2 = PNG, 3 = CSV. */
void ms_export_dialog_set_format (MsExportDialog *dialog, guint format);
/* Whether bars stand beside a map. */
/* Whether it has what a paper needs: of a quick look intervals and null values are computed first. */
gboolean ms_export_dialog_is_ready (MsExportDialog *dialog);
void ms_export_dialog_set_margins (MsExportDialog *dialog, gboolean shown);
/* What "Copy" copies. (transfer full) */
char *ms_export_dialog_dup_command (MsExportDialog *dialog);
/* Writes the figure (or its table for .csv) to `path` as the dialog says. */
gboolean ms_export_dialog_save (MsExportDialog *dialog, const char *path, GError **error);

G_END_DECLS
