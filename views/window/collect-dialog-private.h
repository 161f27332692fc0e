/* Making a new run by starting `moescope collect` or `moescope import` as a process of its own. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

typedef enum
{
  MS_COLLECT_MODEL,
  MS_COLLECT_IMPORT,
} MsCollectKind;

#define MS_TYPE_COLLECT_DIALOG (ms_collect_dialog_get_type ())
G_DECLARE_FINAL_TYPE (MsCollectDialog, ms_collect_dialog, MS, COLLECT_DIALOG, AdwWindow)

/* path: the model or trace, may be NULL. */
MsCollectDialog *ms_collect_dialog_present (GtkWindow *parent, MsWorkbench *bench,
                                            MsCollectKind kind, const char *path);
/* Fills in the fields: inputs separated by newlines. */
void ms_collect_dialog_set (MsCollectDialog *dialog, const char *model, const char *inputs,
                            const char *output);
/* The command that Start runs, for a shell. (transfer full) */
char *ms_collect_dialog_dup_command (MsCollectDialog *dialog);
/* Starts and closes the dialog; the job is in the job bar and the file is opened when it is done.  FALSE
 * when a field is missing. */
gboolean ms_collect_dialog_start (MsCollectDialog *dialog);
/* Whether a file looks like a trace to import, by its ending. */
gboolean ms_collect_is_trace (const char *path);

/* Records all that can be, of documents of `most` tokens (0 = all), under a name (of a collection). */
void ms_collect_dialog_record (MsCollectDialog *dialog, gboolean all, int most, const char *name);

G_END_DECLS
