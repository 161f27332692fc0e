/* Norms: one constant struct per kind (norm.c). */
#pragma once

#include "tensors-private.h"

G_BEGIN_DECLS

struct MsNormKind
{
  const char *name;
  const char *epsilon_key; /* without "ARCHITECTURE." */
  MsTensorTable
      tensors; /* in MsNorm; '*' is the norm's name in the block, the first must be there */
  /* out = norm of x, both (n); out may be x.  Any thread. */
  void (*apply) (const MsNorm *norm, const float *x, gsize n, float *out);
};

extern const MsNormKind ms_norm_rms;      /* x / sqrt (mean (x^2) + epsilon) * weight */
extern const MsNormKind ms_norm_rms_bias; /* ... + bias */
extern const MsNormKind
    ms_norm_layer; /* (x - mean) / sqrt (variance + epsilon) * weight [+ bias] */

G_END_DECLS
