/* The numbers of a model that multiply streams, scores and logits. */
#pragma once

#include "tensors-private.h"

G_BEGIN_DECLS

/* Fills the plan's scales, its head's too.  Errors: UNSUPPORTED for a key that changes the result and that
 * the architecture does not honour. */
gboolean ms_scales_load (MsLoader *loader, GError **error);

G_END_DECLS
