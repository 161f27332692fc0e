/* The breadcrumb: every part of the selection as a button that clears it. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_CRUMBS (ms_crumbs_get_type ())
G_DECLARE_FINAL_TYPE (MsCrumbs, ms_crumbs, MS, CRUMBS, AdwBin)

GtkWidget *ms_crumbs_new (MsWorkbench *bench);

G_END_DECLS
