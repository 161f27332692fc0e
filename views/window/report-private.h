/* Writing the report of a run from the window. */
#pragma once

#include "window-private.h"

G_BEGIN_DECLS

/* Gives the window the actions report (asks where to) and write-report(path). */
void ms_report_install (MsWindow *window);

G_END_DECLS
