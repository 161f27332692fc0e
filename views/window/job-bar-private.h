/* The bottom bar: what is being computed, how far it is, and a button to stop it. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_JOB_BAR (ms_job_bar_get_type ())
G_DECLARE_FINAL_TYPE (MsJobBar, ms_job_bar, MS, JOB_BAR, AdwBin)

GtkWidget *ms_job_bar_new (MsWorkbench *bench);

G_END_DECLS
