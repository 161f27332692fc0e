#include "cache-stack-private.h"

#include <string.h>

#define NOWHERE G_MAXUINT32

struct MsStack
{
  MsStackPolicy policy;
  guint n_ids;
  gint64 lookahead;
  guint32 clock;
  guint n;           /* entries = distinct ids seen */
  guint16 *id;       /* (n_ids) by depth, top first */
  guint64 *priority; /* (n_ids) by depth: the smallest among the first c is the victim */
  guint32 *depth;    /* (n_ids) by id, NOWHERE if never seen */
  guint32 *count;    /* (n_ids) by id: accesses (LFU), occurrences in the window (SEGMENT) */
};

MsStack *
ms_stack_new (MsStackPolicy policy, guint n_ids, gint64 lookahead)
{
  MsStack *stack = g_new0 (MsStack, 1);

  stack->policy = policy;
  stack->n_ids = n_ids;
  stack->lookahead = lookahead;
  stack->id = g_new0 (guint16, n_ids);
  stack->priority = g_new0 (guint64, n_ids);
  stack->depth = g_new (guint32, n_ids);
  stack->count = g_new (guint32, n_ids);
  ms_stack_reset (stack);
  return stack;
}

void
ms_stack_free (MsStack *stack)
{
  if (stack == NULL)
    return;
  g_free (stack->id);
  g_free (stack->priority);
  g_free (stack->depth);
  g_free (stack->count);
  g_free (stack);
}

void
ms_stack_reset (MsStack *stack)
{
  stack->clock = 0;
  stack->n = 0;
  memset (stack->depth, 0xff, stack->n_ids * sizeof *stack->depth);
  memset (stack->count, 0, stack->n_ids * sizeof *stack->count);
}

guint
ms_stack_seen (const MsStack *stack)
{
  return stack->n;
}

/* Moves or inserts `id` at the top.  What it displaces sinks: at each level the entry of higher priority
 * stays, the other is carried on, until the place that `id` left. */
static inline void
touch (MsStack *stack, guint16 id, guint64 priority)
{
  guint32 from = stack->depth[id];
  guint16 carried = stack->id[0];
  guint64 carried_priority = stack->priority[0];

  if (from == NOWHERE)
    from = stack->n++;
  stack->id[0] = id;
  stack->priority[0] = priority;
  stack->depth[id] = 0;
  if (from == 0)
    return;
  for (guint32 i = 1; i < from; i++)
    if (stack->priority[i] < carried_priority)
      {
        guint16 sinks = stack->id[i];
        guint64 sinks_priority = stack->priority[i];

        stack->id[i] = carried;
        stack->priority[i] = carried_priority;
        stack->depth[carried] = i;
        carried = sinks;
        carried_priority = sinks_priority;
      }
  stack->id[from] = carried;
  stack->priority[from] = carried_priority;
  stack->depth[carried] = from;
}

static inline void
enter_window (MsStack *stack, const MsRequests *requests, gint64 token)
{
  const guint16 *row = requests->ids + token * requests->width;

  for (guint r = 0; r < requests->width; r++)
    if (row[r] != MS_NO_EXPERT)
      {
        stack->count[row[r]]++;
        if (stack->depth[row[r]] != NOWHERE)
          stack->priority[stack->depth[row[r]]] += (guint64) 1 << 32;
      }
}

static inline guint64
next_priority (MsStack *stack, guint16 id, guint32 later)
{
  switch (stack->policy)
    {
    case MS_STACK_LRU:
      return stack->clock;
    case MS_STACK_LFU:
      return (guint64) ++stack->count[id] << 32 | stack->clock;
    case MS_STACK_BELADY:
      return G_MAXUINT32 - later;
    case MS_STACK_SEGMENT:
    default:
      return (guint64) --stack->count[id] << 32 | stack->clock;
    }
}

guint64
ms_stack_run (MsStack *stack, const MsRequests *requests, const guint32 *later, gboolean serial,
              guint64 *gained)
{
  gboolean segment = stack->policy == MS_STACK_SEGMENT;
  guint64 accesses = 0;

  for (gint64 t = 0; segment && t < MIN (stack->lookahead, requests->n_tokens); t++)
    enter_window (stack, requests, t);
  for (gint64 t = 0; t < requests->n_tokens; t++)
    {
      const guint16 *row = requests->ids + t * requests->width;
      guint new_ids = 0;

      for (guint r = 0; r < requests->width && !serial; r++)
        if (row[r] != MS_NO_EXPERT)
          {
            guint32 depth = stack->depth[row[r]];

            gained[(depth == NOWHERE ? stack->n + new_ids++ : depth) + 1]++;
          }
      for (guint r = 0; r < requests->width; r++)
        {
          guint16 id = row[r];

          if (id == MS_NO_EXPERT)
            continue;
          if (serial && stack->depth[id] != NOWHERE)
            gained[stack->depth[id] + 1]++;
          accesses++;
          stack->clock++;
          touch (stack, id,
                 next_priority (stack, id, later != NULL ? later[t * requests->width + r] : 0));
        }
      if (segment && t + stack->lookahead < requests->n_tokens)
        enter_window (stack, requests, t + stack->lookahead);
    }
  return accesses;
}
