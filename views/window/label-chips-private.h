/* Buttons in a flow, one for each language (or domain) of a run, or for each of its other runs. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

typedef enum
{
  MS_CHIPS_GROUPS, /* the values of the first label of language and domain that tells documents apart */
  MS_CHIPS_RUNS, /* the other runs of the same corpus */
} MsChipKind;

#define MS_TYPE_LABEL_CHIPS (ms_label_chips_get_type ())
G_DECLARE_FINAL_TYPE (MsLabelChips, ms_label_chips, MS, LABEL_CHIPS, AdwBin)

/* Property "any" (boolean): whether there is a button.  Pressed, one activates an action of the window:
 * win.specialists with label and value, win.compare-with with the run. */
GtkWidget *ms_label_chips_new (MsWorkbench *bench, MsChipKind kind);

G_END_DECLS
