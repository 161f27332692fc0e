/* What `moescope info` tells of a model file. */
#pragma once

#include "collector.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Prints it; `named` when the model's name and architecture have been printed before. */
void ms_info_print_inspection (const MsInspection *file, gboolean named);
/* Adds the member "inspection" with the same facts. */
void ms_info_add_inspection (JsonBuilder *json, const MsInspection *file);

G_END_DECLS
