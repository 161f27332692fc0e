/* The runs of the open file: choose one, show others beside it, pin one as baseline. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_RUN_LIST (ms_run_list_get_type ())
G_DECLARE_FINAL_TYPE (MsRunList, ms_run_list, MS, RUN_LIST, AdwBin)

GtkWidget *ms_run_list_new (MsWorkbench *bench);

G_END_DECLS
