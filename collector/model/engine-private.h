/* The wave under way, as kinds see it, and what they share: work cut by tokens, operands. */
#pragma once

#include "forward-private.h"

G_BEGIN_DECLS

/* Of one rotation: cosines and sines of each position, (longest, n_pairs). */
typedef struct
{
  float *cosines, *sines;
} MsAngles;

typedef struct
{
  const MsPlan *plan;
  const MsForwardOptions *options;
  const MsWave *wave;
  MsRows *rows;
  gsize first;      /* row of the wave's first token */
  gsize n, longest; /* tokens of the wave, of its longest document */
  MsProducts *products;
  MsArena *arena;     /* of half a block */
  float *x, *normed;  /* (n, D): the residual stream; its norm */
  float *early;       /* (n, D) as `normed`, of blocks that read it before the mixer; or NULL */
  float *streams;     /* (n, streams * D) where there are several: x is then what a half of a
                             * block reads, and afterwards what it gives */
  gint32 *chosen;     /* (n, plan's n_chosen): by the last index, see MsIndex; or NULL */
  float *mixes;       /* how it is read and written (streams.c) */
  float *sum;         /* (n, D): to what networks add; the stream, or what is normed first */
  MsAngles *angles;   /* of the plan's rotations */
  guint32 *positions; /* (n) within the document */
  const MsPlanBlock *block; /* under way */
  guint moe;                /* which MoE layer it is */
  MsDecisions *layer;       /* its decisions */
  const float *logits;      /* (n, E) that they were made of */
} MsEngine;

/* Tokens from..to-1; any thread. */
typedef void (*MsTokenFunc) (const MsEngine *engine, gsize from, gsize to, gpointer data);

/* What results are multiplied by before they are added. */
float ms_engine_factor (const MsEngine *engine);
/* Calls run on pieces of 0..n-1, cut by n alone. */
void ms_engine_for_tokens (const MsEngine *engine, gsize n, MsTokenFunc run, gpointer data);
/* Turns a head's values to the position of token t of the wave.  Any thread. */
void ms_engine_turn (const MsEngine *engine, const MsRotation *rotation, gsize t, float *head);
/* Room for rows of activations in the form that products take, from the arena. */
MsOperand ms_engine_operand (const MsEngine *engine, gsize rows, gsize width);
void ms_operand_put (MsOperand *operand, gsize row, const float *from);

G_END_DECLS
