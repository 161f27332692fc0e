/* Vector maths of training: everything between two matrix products.
 *
 * Sums run over sixteen fixed lanes and nothing is contracted, so every instruction set gives the same
 * bits.  Rows are contiguous unless a row length is given. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* y (n, d) = x / rms (x) * w, inverse (n) = 1 / rms. */
void ms_train_rms_forward (gsize n, gsize d, float epsilon, const float *x, const float *w,
                           float *y, float *inverse);
/* dx (n, d) += gradient, dw (d) += gradient. */
void ms_train_rms_backward (gsize n, gsize d, const float *x, const float *w, const float *inverse,
                            const float *dy, float *dx, float *dw);

/* act (n, f) = silu (gate) * up with gate_up (n, 2f): gate first. */
void ms_train_swiglu_forward (gsize n, gsize f, const float *gate_up, float *act);
/* d_gate_up (n, 2f) from d_act (n, f). */
void ms_train_swiglu_backward (gsize n, gsize f, const float *gate_up, const float *d_act,
                               float *d_gate_up);

/* In place: x (length) becomes softmax (x); returns log (sum (exp (x))). */
float ms_train_softmax (gsize length, float *x);
/* d (length) becomes p * (d - sum (p d)) * scale. */
void ms_train_softmax_backward (gsize length, float scale, const float *p, float *d);

/* y += a x. */
void ms_train_add_scaled (gsize length, float a, const float *x, float *y);
float ms_train_dot (gsize length, const float *x, const float *y);
/* Sum of squares in double, lanes first. */
double ms_train_square_sum (gsize length, const float *x);

typedef struct
{
  float rate, decay;              /* of this step; decay is applied as rate * decay */
  float beta1, beta2, epsilon;    /* of AdamW */
  float correction1, correction2; /* 1 - beta^step */
  float clip;                     /* the gradient is multiplied by this first */
} MsAdam;

/* One decoupled weight decay Adam step (Loshchilov and Hutter 2019) over a range of parameters. */
void ms_train_adam_step (const MsAdam *adam, gsize length, const float *gradient, float *parameter,
                         float *mean, float *variance);

G_END_DECLS
