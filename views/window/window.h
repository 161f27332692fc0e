/* The window: a GTK 4 workbench over figures and analyses. */
#pragma once

#include "figure.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* The application; files given on the command line are opened. (transfer full) */
AdwApplication *ms_application_new (void);

G_END_DECLS
