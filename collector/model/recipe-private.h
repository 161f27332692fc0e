/* The gate of an architecture's recipe and a file's keys. */
#pragma once

#include "tensors-private.h"

G_BEGIN_DECLS

/* Errors: MISSING, UNSUPPORTED (scoring), CORRUPT (k, groups). */
gboolean ms_recipe_load (const MsLoader *loader, MsGate *gate, GError **error);
/* Warns of keys that contradict the architecture and are not followed. */
void ms_recipe_warn (const MsLoader *loader);

G_END_DECLS
