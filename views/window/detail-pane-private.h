/* The right pane: what is under the pointer or cursor, in words and numbers. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_DETAIL_PANE (ms_detail_pane_get_type ())
G_DECLARE_FINAL_TYPE (MsDetailPane, ms_detail_pane, MS, DETAIL_PANE, AdwBin)

GtkWidget *ms_detail_pane_new (MsWorkbench *bench);
/* The text shown for the place under the pointer. */
const char *ms_detail_pane_get_text (MsDetailPane *pane);

/* The numbers of that place, "title: value" a line. (transfer full) */
char *ms_detail_pane_dup_numbers (MsDetailPane *pane);
/* Another screen is shown: what was under the pointer is there no more. */
void ms_detail_pane_forget (MsDetailPane *pane);

G_END_DECLS
