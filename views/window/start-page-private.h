/* What a window shows before a file is open: open, recent files, the sample. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_START_PAGE (ms_start_page_get_type ())
G_DECLARE_FINAL_TYPE (MsStartPage, ms_start_page, MS, START_PAGE, AdwBin)

GtkWidget *ms_start_page_new (MsWorkbench *bench);
/* Reads the recent files again. */
void ms_start_page_refresh (MsStartPage *page);
/* The installed or built sample database, NULL when there is none. (transfer full) */
char *ms_sample_path (void);

G_END_DECLS
