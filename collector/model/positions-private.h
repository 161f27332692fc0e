/* Rotary positions of a block, read from the keys ARCHITECTURE.rope.*: whole or partial, linear or YaRN
 * scaling, per-dimension divisors. */
#pragma once

#include "tensors-private.h"

G_BEGIN_DECLS

/* The rotation of heads of `head_width` values, in a block whose attention is `windowed` or not (borrowed from the plan, which keeps equal ones once);
 * *rotation is NULL where the block has no positions.  Errors: UNSUPPORTED, CORRUPT. */
gboolean ms_rotation_load (MsLoader *loader, guint head_width, gboolean windowed,
                           const MsRotation **rotation, GError **error);
/* What YaRN's log multiplier multiplies the scores of attention by, beside 1 / sqrt (width): queries and keys
 * each by 1 + 0.1 multiplier ln (factor).  1 without. */
gboolean ms_rotation_score_scale (const MsLoader *loader, guint head_width, float *scale,
                                  GError **error);
void ms_rotation_free (MsRotation *rotation);

/* What queries at position p are multiplied by. */
float ms_temperature (const MsTemperature *temperature, gsize p);

/* Writes cosines and sines (n_pairs) of position p, times the magnitude. */
void ms_rotation_angles (const MsRotation *rotation, gsize p, float *cosines, float *sines);

G_END_DECLS
