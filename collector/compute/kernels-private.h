/* Kernels of the forward pass on rows of floats: norms, softmax, activations, rotations.
 *
 * They cannot fail, run on the calling thread, and sum in a fixed order: same bits on every processor. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* out = x / sqrt (mean (x^2) + epsilon) * weight, all (n); weight NULL: 1; out may be x.  (Zhang & Sennrich
 * 2019) */
void ms_rms_norm (const float *x, const float *weight, gsize n, float epsilon, float *out);
/* out = (x - mean (x)) / sqrt (variance (x) + epsilon) * weight, all (n); out may be x.  (Ba et al. 2016) */
void ms_layer_norm (const float *x, const float *weight, gsize n, float epsilon, float *out);
/* x (n) becomes exp (x - max); returns the sum: a softmax not yet divided. */
float ms_exponentials (float *x, gsize n);
/* out = scale * x, all (n). */
void ms_scale (const float *x, float scale, gsize n, float *out);
/* x = silu (x), all (n). */
void ms_silu (float *x, gsize n);
/* gate = silu (gate) * up, all (n). */
void ms_silu_times (float *gate, const float *up, gsize n);
/* gate = silu (min (gate, limit)) * up, all (n), up within -limit..limit.  (DeepSeek-V4) */
void ms_silu_times_bounded (float *gate, const float *up, gsize n, float limit);
/* gate = max (gate, 0) * up, all (n). */
void ms_relu_times (float *gate, const float *up, gsize n);
/* gate = min (silu (gate), limit) * up, all (n), up within -limit..limit.  (Step 3.5) */
void ms_silu_times_limited (float *gate, const float *up, gsize n, float limit);
/* gate = gate * sigmoid (1.702 gate) * (up + 1), all (n), the gate at most 7, up within -7..7.  (gpt-oss) */
void ms_clamped_swiglu (float *gate, const float *up, gsize n);
/* x = x * sigmoid (gate), all (n). */
void ms_times_sigmoid (float *x, const float *gate, gsize n);
/* x (n) = silu (sum over j < length of kernel[j * kernel_row ..] * x[(j - length + 1) * row ..] + bias):
 * the last factor goes with x itself; bias (n) or NULL. */
void ms_convolve_silu (float *x, gsize row, const float *kernel, gsize kernel_row, gsize length,
                       const float *bias, gsize n);

/* Columns of a state that the delta rule takes at once. */
#define MS_DELTA_COLUMNS 32
/* A token of the delta rule: state (key_width, MS_DELTA_COLUMNS) decays, row i by decay[i * decay_step],
 * takes in k (beta (values - state^T k))^T; values (MS_DELTA_COLUMNS) becomes state^T q. */
void ms_delta_step (float *state, gsize key_width, const float *k, const float *q,
                    const float *decay, gsize decay_step, float beta, float *values);

/* Columns of a state that a selective scan takes at once. */
#define MS_SCAN_COLUMNS 32
/* A token of a selective scan: state (n, MS_SCAN_COLUMNS) decays and takes in b x^T; x (MS_SCAN_COLUMNS)
 * becomes state^T c. */
void ms_scan_step (float *state, gsize n, const float *b, const float *c, float decay, float *x);
/* The same with a decay for each value of the state: exp (step[j] * rates[i * rates_row + j]). */
void ms_scan_step_each (float *state, gsize n, const float *b, const float *c, const float *step,
                        const float *rates, gsize rates_row, float *x);
/* gate = gelu (gate) * up, or gelu (gate) where up is NULL, all (n).  GELU in its tanh form, x / (1 + exp (-2 c
 * (x + 0.044715 x^3))) with c = sqrt (2 / pi); gate and GELU are rounded to half precision where the gate lies
 * within -10..10, as llama.cpp looks it up.  (Hendrycks & Gimpel 2016) */
void ms_gelu_times (float *gate, const float *up, gsize n);
/* x = max (x, 0)^2, all (n); up is NULL.  (So et al. 2021) */
void ms_relu_squared (float *x, const float *up, gsize n);
/* x = x within -limit..limit, all (n); NaN stays. */
void ms_clamp (float *x, float limit, gsize n);
/* x = cap * tanh (x / cap), all (n). */
void ms_soft_cap (float *x, float cap, gsize n);
/* x = x * ln (1 + exp (gate)), all (n). */
void ms_times_softplus (float *x, const float *gate, gsize n);
/* y += scale * x, all (n). */
void ms_add_scaled (float *y, const float *x, float scale, gsize n);
/* Sum of a * b, both (n). */
float ms_dot (const float *a, const float *b, gsize n);
float ms_largest (const float *x, gsize n);
/* Rounds to nearest even; NaN stays NaN. */
void ms_bf16_from_float (const float *x, gsize n, guint16 *out);
/* Rotates pairs of the first 2 * n_pairs elements of a head by the angles whose cosines and sines are
 * given (n_pairs): elements (2 i, 2 i + 1), or (i, i + n_pairs) when `halves`.  (Su et al. 2021) */
void ms_rotate (float *head, const float *cosines, const float *sines, gsize n_pairs,
                gboolean halves);

/* Whether any of the values (n) is NaN. */
gboolean ms_any_undefined (const float *values, gsize n);

G_END_DECLS
