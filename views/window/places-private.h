/* What the palette finds besides commands: analyses, runs, languages, domains, documents, experts. */
#pragma once

#include "palette-private.h"
#include "workbench-private.h"

G_BEGIN_DECLS

void ms_places_add_commands (MsWorkbench *bench, MsPalette *palette);
/* The place that words like "l3 e7", "layer 3 expert 7" or "e7" name, in the text form of a selection; NULL when they
 * name none. (transfer full) */
char *ms_place_parse (const char *words);

G_END_DECLS
