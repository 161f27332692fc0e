/* The kinds of norms.  A new kind is a kernel, a function `apply` and a struct here, and a line in
 * norm-private.h; which architecture has it, its row says. */
#include "norm-private.h"

#include "kernels-private.h"

/* Sizes: how many values a norm is over. */
enum
{
  SIZE_VALUES = MS_SIZE_ONE + 1,
};

static void
apply_rms (const MsNorm *norm, const float *x, gsize n, float *out)
{
  ms_rms_norm (x, norm->weight, n, norm->epsilon, out);
}

static const MsTensorRule weight_alone[] = {
  { .name = "*.weight",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_VALUES },
    .required = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (MsNorm, weight) },
};

const MsNormKind ms_norm_rms = {
  .name = "RMS norm",
  .epsilon_key = "attention.layer_norm_rms_epsilon",
  .tensors = { weight_alone, G_N_ELEMENTS (weight_alone) },
  .apply = apply_rms,
};
