/* The capacity of experts: how many tokens of a batch each expert takes, and who finds no room.  What runs a
 * model with drops and what replays recorded choices both ask here. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Rules of published programs, by the words of ms_capacity_rules. */
typedef enum
{
  MS_CAPACITY_TUTEL,
  MS_CAPACITY_GSHARD,
  MS_CAPACITY_GSHARD_EVAL,
  MS_CAPACITY_TORCHSCALE,
  MS_CAPACITY_FLAXFORMER,
  MS_CAPACITY_FIXED,
  MS_N_CAPACITY_RULES
} MsCapacityRule;

/* "tutel", ... in the order of the enumeration, then NULL. */
extern const char *const ms_capacity_rules[];

/* What is served: rows of choices (.., K) in the order in which they are served. */
typedef struct
{
  const guint16 *experts; /* (.., K), 0xffff: an unused slot */
  guint k, n_experts;
  const gint64 *rows; /* (n) */
  gint64 n;
} MsServing;

/* All first choices are served in the order of rows, then all second ones, and so on; kept (.., K) becomes 1 where
 * the expert has room, 0 elsewhere.  Returns the slots of each expert.  load (E): scratch. */
gint64 ms_capacity_serve (MsCapacityRule rule, double factor, const MsServing *serving,
                          guint64 *load, guint8 *kept);

/* Puts rows (n) into the order of falling priority (by row), those of one priority as they stand: batch-prioritised
 * routing. */
void ms_capacity_prioritise (const double *priority, gint64 *rows, gint64 n);

G_END_DECLS
