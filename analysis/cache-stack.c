/* The curves are lanes of vectors: a level of the stack holds one key per curve, the priority of an id and
 * of no other (0 = empty).  An insertion carries the smaller of two keys down, level by level, to the place
 * that the id left: a maximum and a minimum per level without a branch, and several insertions go down one
 * behind the other.  A key is uses << clock_bits | time of the last use, except Belady's. */
#include "cache-stack-private.h"

#include "analysis-private.h"

#include <string.h>

#define GROUP 8 /* insertions that go down together */

typedef gint32 Lanes __attribute__ ((vector_size (MS_STACK_CURVES * sizeof (gint32))));

struct MsStack
{
  guint n_curves, n_ids;
  guint lookahead[MS_STACK_CURVES]; /* tokens, 0 = not SEGMENT */
  gint32 use[MS_STACK_CURVES];      /* what an access adds to the uses */
  int belady;                       /* lane, -1 = none */
  guint clock_bits;
  gint32 clock;
  guint n;       /* distinct ids seen = entries of a lane */
  gint32 *last;  /* (n_ids) time of the last use, 0 = never */
  Lanes *key;    /* (n_ids) by id */
  Lanes *entry;  /* (n_ids) by depth, top first */
  Lanes *gained; /* (n_ids + 1) of this run */
};

static const Lanes nothing = { -1, -1, -1, -1, -1, -1, -1, -1 }; /* equals no key */

static guint
clock_bits (gint64 n_tokens)
{
  return 31 - g_bit_storage ((gulong) MIN (n_tokens, G_MAXINT32));
}

gboolean
ms_stack_fits (guint n_ids, gint64 n_tokens, guint width)
{
  return n_tokens < (G_MAXINT32 - n_ids) / MAX (width, 1)
         && n_ids + width < (guint) 1 << clock_bits (n_tokens) >> 1;
}

MsStack *
ms_stack_new (const MsStackCurve *curves, guint n_curves, guint n_ids, gint64 n_tokens, guint width)
{
  MsStack *stack = g_new0 (MsStack, 1);

  g_assert (n_curves <= MS_STACK_CURVES && ms_stack_fits (n_ids, n_tokens, width));
  stack->n_curves = n_curves;
  stack->n_ids = n_ids;
  stack->clock_bits = clock_bits (n_tokens);
  stack->belady = -1;
  for (guint i = 0; i < n_curves; i++)
    switch (curves[i].policy)
      {
      case MS_STACK_LFU:
        stack->use[i] = 1;
        break;
      case MS_STACK_BELADY:
        stack->belady = (int) i;
        break;
      case MS_STACK_SEGMENT:
        stack->lookahead[i] = curves[i].lookahead;
        stack->use[i] = -1;
        break;
      case MS_STACK_LRU:
      default:
        break;
      }
  stack->last = g_new (gint32, n_ids);
  stack->key = g_aligned_alloc (n_ids, sizeof (Lanes), sizeof (Lanes));
  stack->entry = g_aligned_alloc (n_ids, sizeof (Lanes), sizeof (Lanes));
  stack->gained = g_aligned_alloc (n_ids + 1, sizeof (Lanes), sizeof (Lanes));
  ms_stack_reset (stack);
  return stack;
}

void
ms_stack_free (MsStack *stack)
{
  if (stack == NULL)
    return;
  g_free (stack->last);
  g_aligned_free (stack->key);
  g_aligned_free (stack->entry);
  g_aligned_free (stack->gained);
  g_free (stack);
}

void
ms_stack_reset (MsStack *stack)
{
  stack->clock = 0;
  stack->n = 0;
  memset (stack->last, 0, stack->n_ids * sizeof *stack->last);
  memset (stack->key, 0, stack->n_ids * sizeof *stack->key);
  memset (stack->entry, 0, stack->n_ids * sizeof *stack->entry);
}

guint
ms_stack_seen (const MsStack *stack)
{
  return stack->n;
}

/* One sweep: entries equal to one of `entering` get a use more, those equal to one of `wanted` then count
 * as found at their depth. */
MS_INLINE void
look_up (MsStack *stack, const Lanes *entering, const Lanes *wanted)
{
  for (guint i = 0; i < stack->n; i++)
    {
      Lanes entry = stack->entry[i], uses = { 0 }, found = { 0 };

      for (guint r = 0; r < GROUP; r++)
        uses -= entry == entering[r];
      entry += uses << stack->clock_bits;
      for (guint r = 0; r < GROUP; r++)
        found -= entry == wanted[r];
      stack->entry[i] = entry;
      stack->gained[i + 1] += found;
    }
}

/* One sweep: the ids whose keys were `old` go to the top one after another, with keys `fresh`. */
MS_INLINE void
insert (MsStack *stack, const Lanes *old, const Lanes *fresh, guint n, gboolean count)
{
  Lanes carried[GROUP] = { { 0 } };
  Lanes entry = stack->entry[0], found = { 0 };

  for (guint r = 0; r < n; r++)
    {
      Lanes same = entry == old[r];

      found -= same;
      carried[r] = entry & ~same;
      entry = fresh[r];
    }
  stack->entry[0] = entry;
  if (count)
    stack->gained[1] += found;
  for (guint i = 1; i < stack->n; i++)
    {
      entry = stack->entry[i];
      found = (Lanes){ 0 };
#pragma GCC unroll 8 /* keeps the carried ones in registers */
      for (guint r = 0; r < GROUP; r++)
        {
          Lanes same = entry == old[r], stays, sinks;

          if (count)
            found -= same;
          entry &= ~same;
          for (guint l = 0; l < MS_STACK_CURVES; l++)
            {
              stays[l] = MAX (entry[l], carried[r][l]);
              sinks[l] = MIN (entry[l], carried[r][l]);
            }
          entry = stays;
          carried[r] = sinks;
        }
      stack->entry[i] = entry;
      if (count)
        stack->gained[i + 1] += found;
    }
}

/* Token t comes into the windows: sets entering (GROUP) to the keys that its ids `first`.. have on the
 * stacks, and counts a use more of them. */
MS_INLINE void
enter (MsStack *stack, const MsRequests *requests, gint64 token, guint first, Lanes *entering)
{
  for (guint r = 0; r < GROUP; r++)
    entering[r] = nothing;
  for (guint l = 0; l < stack->n_curves; l++)
    {
      gint64 t = token + stack->lookahead[l] - 1;

      if (stack->lookahead[l] == 0 || t >= requests->n_tokens)
        continue;
      for (guint r = 0; r < MIN (GROUP, requests->width - first); r++)
        {
          guint16 id = requests->ids[t * requests->width + first + r];

          if (id != MS_NO_EXPERT && stack->last[id] > 0)
            entering[r][l] = stack->key[id][l];
        }
      for (guint r = 0; r < MIN (GROUP, requests->width - first); r++)
        {
          guint16 id = requests->ids[t * requests->width + first + r];

          if (id != MS_NO_EXPERT)
            stack->key[id][l] += 1 << stack->clock_bits;
        }
    }
}

/* The windows before the first token, without the token that it lets in. */
static void
fill_windows (MsStack *stack, const MsRequests *requests)
{
  for (guint l = 0; l < stack->n_curves; l++)
    {
      gint64 n = MIN ((gint64) stack->lookahead[l] - 1, requests->n_tokens);

      for (gint64 i = 0; i < n * requests->width; i++)
        if (requests->ids[i] != MS_NO_EXPERT)
          stack->key[requests->ids[i]][l] += 1 << stack->clock_bits;
    }
}

/* Times become 1, 2, ... in the same order. */
static void
renumber (MsStack *stack)
{
  g_autofree double *order = g_new (double, stack->n); /* time, then id: exact */
  guint n = 0;

  for (guint e = 0; e < stack->n_ids; e++)
    if (stack->last[e] > 0)
      order[n++] = (double) stack->last[e] * 65536 + e;
  ms_sort (order, n);
  stack->clock = 0;
  for (guint i = 0; i < n; i++)
    {
      guint id = (guint) ((guint64) order[i] & 0xffff);
      gint32 less = stack->last[id] - ++stack->clock;

      for (guint l = 0; l < stack->n_curves; l++)
        {
          gint32 key = stack->key[id][l];

          for (guint d = 0; d < stack->n && (int) l != stack->belady; d++)
            if (stack->entry[d][l] == key)
              stack->entry[d][l] = stack->key[id][l] = key - less;
        }
      stack->last[id] = stack->clock;
    }
}

/* The key of an id after one more access. */
MS_INLINE void
access_id (MsStack *stack, guint16 id, guint32 later)
{
  Lanes use;

  memcpy (&use, stack->use, sizeof use);
  stack->last[id] = ++stack->clock;
  stack->key[id] = ((stack->key[id] >> stack->clock_bits) + use) << stack->clock_bits;
  stack->key[id] |= stack->clock;
  if (stack->belady >= 0)
    stack->key[id][stack->belady] = G_MAXINT32 - (gint32) later;
}

MS_INLINE guint64
run_body (MsStack *stack, const MsRequests *requests, const guint32 *later, gboolean serial)
{
  guint width = requests->width;
  guint64 accesses = 0;

  for (gint64 t = 0; t < requests->n_tokens; t++)
    {
      const guint16 *row = requests->ids + t * width;
      guint new_ids = 0;

      if (stack->clock >= (1 << stack->clock_bits) - (gint32) width)
        renumber (stack);
      for (guint first = 0; first < width && !serial; first += GROUP)
        {
          Lanes entering[GROUP], wanted[GROUP];

          enter (stack, requests, t, first, entering);
          for (guint r = 0; r < GROUP; r++)
            {
              guint16 id = first + r < width ? row[first + r] : MS_NO_EXPERT;

              wanted[r] = nothing;
              if (id == MS_NO_EXPERT)
                continue;
              if (stack->last[id] > 0)
                wanted[r] = stack->key[id];
              else /* a damaged file may have an id twice */
                {
                  new_ids++;
                  stack->gained[MIN (stack->n + new_ids, stack->n_ids)] += 1;
                }
            }
          look_up (stack, entering, wanted);
        }
      for (guint first = 0; first < width; first += GROUP)
        {
          Lanes old[GROUP], fresh[GROUP];
          guint n = 0;

          for (guint r = first; r < MIN (first + GROUP, width); r++)
            {
              guint16 id = row[r];

              if (id == MS_NO_EXPERT)
                continue;
              old[n] = stack->last[id] > 0 ? stack->key[id] : nothing;
              stack->n += stack->last[id] == 0;
              access_id (stack, id, later != NULL ? later[t * width + r] : 0);
              fresh[n++] = stack->key[id];
            }
          accesses += n;
          for (guint r = n; r < GROUP; r++)
            old[r] = nothing;
          if (serial)
            insert (stack, old, fresh, n, TRUE);
          else
            insert (stack, old, fresh, n, FALSE);
        }
    }
  return accesses;
}
MS_KERNEL (guint64, return, run,
           (MsStack * stack, const MsRequests *requests, const guint32 *later, gboolean serial),
           (stack, requests, later, serial))

guint64
ms_stack_run (MsStack *stack, const MsRequests *requests, const guint32 *later, gboolean serial,
              guint64 *gained)
{
  guint64 accesses;

  memset (stack->gained, 0, (stack->n_ids + 1) * sizeof *stack->gained);
  fill_windows (stack, requests);
  accesses = run (stack, requests, later, serial);
  for (guint l = 0; l < stack->n_curves; l++)
    for (guint c = 0; c <= stack->n_ids; c++)
      gained[l * (stack->n_ids + 1) + c] += (guint64) stack->gained[c][l];
  return accesses;
}
