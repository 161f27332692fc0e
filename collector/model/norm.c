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

static void
add_bias (const MsNorm *norm, gsize n, float *out)
{
  if (norm->bias != NULL)
    ms_add_scaled (out, norm->bias, 1, n);
}

static void
apply_rms_bias (const MsNorm *norm, const float *x, gsize n, float *out)
{
  ms_rms_norm (x, norm->weight, n, norm->epsilon, out);
  add_bias (norm, n, out);
}

static void
apply_layer (const MsNorm *norm, const float *x, gsize n, float *out)
{
  ms_layer_norm (x, norm->weight, n, norm->epsilon, out);
  add_bias (norm, n, out);
}

#define WEIGHT                                                                                     \
  {                                                                                                \
    .name = "*.weight", .form = MS_FORM_VECTOR, .shape = { SIZE_VALUES }, .required = MS_ALWAYS,   \
    .offset = G_STRUCT_OFFSET (MsNorm, weight)                                                     \
  }
#define BIAS(needed)                                                                               \
  {                                                                                                \
    .name = "*.bias", .form = MS_FORM_VECTOR, .shape = { SIZE_VALUES }, .required = needed,        \
    .taken = MS_ALWAYS, .offset = G_STRUCT_OFFSET (MsNorm, bias)                                   \
  }
static const MsTensorRule weight_alone[] = { WEIGHT };
static const MsTensorRule weight_and_bias[] = { WEIGHT, BIAS (MS_ALWAYS) };
static const MsTensorRule weight_or_both[] = { WEIGHT, BIAS (0) };

const MsNormKind ms_norm_rms = {
  .name = "RMS norm",
  .epsilon_key = "attention.layer_norm_rms_epsilon",
  .tensors = { weight_alone, G_N_ELEMENTS (weight_alone) },
  .apply = apply_rms,
};

const MsNormKind ms_norm_rms_bias = {
  .name = "RMS norm with bias",
  .epsilon_key = "attention.layer_norm_rms_epsilon",
  .tensors = { weight_and_bias, G_N_ELEMENTS (weight_and_bias) },
  .apply = apply_rms_bias,
};

const MsNormKind ms_norm_layer = {
  .name = "layer norm",
  .epsilon_key = "attention.layer_norm_epsilon",
  .tensors = { weight_or_both, G_N_ELEMENTS (weight_or_both) },
  .apply = apply_layer,
};
