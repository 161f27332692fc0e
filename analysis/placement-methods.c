/* The methods that place experts on devices.  Every expert gets a place and no device more slots than it has;
 * a placement depends on loads and seed alone. */
#include "placement-private.h"

#include <math.h>
#include <string.h>

void
ms_placement_clear (MsPlacement *p)
{
  g_free (p->replicas);
  g_free (p->device);
  g_free (p->slot_expert);
  g_free (p->slot_replica);
  g_free (p->slot_device);
  memset (p, 0, sizeof *p);
}

static void
placement_init (MsPlacement *p, guint n_experts, guint n_slots, guint most_replicas)
{
  p->n_experts = n_experts;
  p->n_slots = n_slots;
  p->most_replicas = most_replicas;
  p->replicas = g_new0 (guint, n_experts);
  p->device = g_new0 (guint, n_experts * (gsize) most_replicas);
  p->slot_expert = g_new0 (guint, n_slots);
  p->slot_replica = g_new0 (guint, n_slots);
  p->slot_device = g_new0 (guint, n_slots);
}

/* Slots are filled device by device. */
void
ms_placement_given (MsPlacement *p, const guint *device, guint n_experts, guint n_devices)
{
  guint slot = 0;

  placement_init (p, n_experts, n_experts, 1);
  for (guint d = 0; d < n_devices; d++)
    for (guint e = 0; e < n_experts; e++)
      if (device[e] == d)
        {
          p->slot_expert[slot] = e;
          p->slot_device[slot++] = d;
        }
  for (guint e = 0; e < n_experts; e++)
    {
      p->replicas[e] = 1;
      p->device[e] = device[e];
    }
}

void
ms_placement_contiguous (MsPlacement *p, guint n_experts, guint n_devices)
{
  g_autofree guint *device = g_new (guint, n_experts);

  for (guint e = 0; e < n_experts; e++)
    device[e] = (guint) ((guint64) e * n_devices / n_experts);
  ms_placement_given (p, device, n_experts, n_devices);
}

void
ms_placement_shuffled (MsPlacement *p, const MsPlacement *from, guint64 seed)
{
  placement_init (p, from->n_experts, from->n_slots, from->most_replicas);
  memcpy (p->replicas, from->replicas, from->n_experts * sizeof *p->replicas);
  memcpy (p->slot_expert, from->slot_expert, from->n_slots * sizeof *p->slot_expert);
  memcpy (p->slot_replica, from->slot_replica, from->n_slots * sizeof *p->slot_replica);
  memcpy (p->slot_device, from->slot_device, from->n_slots * sizeof *p->slot_device);
  for (guint i = from->n_slots; i > 1; i--)
    {
      guint j = (guint) ms_random_below (&seed, i), keep = p->slot_device[i - 1];

      p->slot_device[i - 1] = p->slot_device[j];
      p->slot_device[j] = keep;
    }
  for (guint slot = 0; slot < p->n_slots; slot++)
    p->device[p->slot_expert[slot] * (gsize) p->most_replicas + p->slot_replica[slot]]
        = p->slot_device[slot];
}

/* --- EPLB ------------------------------------------------------------------------------------ */

/* Packs n items into packs of n / n_packs each: heaviest first into the lightest pack with room.  pack and
 * rank (n). */
static void
balanced_packing (const float *weight, guint n, guint n_packs, guint *pack, guint *rank)
{
  guint per_pack = n / n_packs;
  g_autofree guint *order = g_new (guint, n);
  g_autofree float *load = g_new0 (float, n_packs);
  g_autofree guint *size = g_new0 (guint, n_packs);

  for (guint i = 0; i < n; i++)
    {
      guint at = i;

      for (; at > 0 && weight[order[at - 1]] < weight[i]; at--)
        order[at] = order[at - 1];
      order[at] = i;
    }
  for (guint i = 0; i < n; i++)
    {
      guint item = per_pack == 1 ? i : order[i], best = n_packs;

      if (per_pack == 1)
        best = i;
      for (guint q = 0; q < n_packs && per_pack > 1; q++)
        if (size[q] < per_pack && (best == n_packs || load[q] < load[best]))
          best = q;
      pack[item] = best;
      rank[item] = size[best]++;
      load[best] += weight[item];
    }
}

/* Gives the slots beyond n to whichever expert has the largest weight per copy.  expert and replica
 * (n_slots), copies (n). */
static void
replicate (const float *weight, guint n, guint n_slots, guint *expert, guint *replica,
           guint *copies)
{
  for (guint i = 0; i < n_slots; i++)
    {
      guint best = i;

      if (i < n)
        copies[i] = 0;
      else
        {
          best = 0;
          for (guint e = 1; e < n; e++)
            if (weight[e] / (float) copies[e] > weight[best] / (float) copies[best])
              best = e;
        }
      expert[i] = best;
      replica[i] = copies[best]++;
    }
}

void
ms_placement_eplb (MsPlacement *p, const double *weight, guint n_experts, guint n_slots,
                   guint n_groups, guint n_nodes, guint n_devices)
{
  guint group_size, groups_per_node, experts_per_node, slots_per_node, devices_per_node;
  g_autofree float *group_load = NULL;
  g_autofree guint *group_node = NULL;
  g_autofree guint *group_rank = NULL;
  g_autofree guint *logical = g_new (guint, n_experts); /* node-major position -> expert */
  g_autofree guint *slot_logical = g_new (guint, n_slots);
  g_autofree guint *slot_copy = g_new (guint, n_slots);
  g_autofree guint *copies = g_new0 (guint, n_experts);
  guint most = 1;

  if (n_groups % n_nodes != 0)
    n_groups = n_nodes = 1;
  group_size = n_experts / n_groups;
  groups_per_node = n_groups / n_nodes;
  experts_per_node = n_experts / n_nodes;
  slots_per_node = n_slots / n_nodes;
  devices_per_node = n_devices / n_nodes;

  group_load = g_new0 (float, n_groups);
  group_node = g_new (guint, n_groups);
  group_rank = g_new (guint, n_groups);
  for (guint e = 0; e < n_experts; e++)
    group_load[e / group_size] += (float) weight[e];
  balanced_packing (group_load, n_groups, n_nodes, group_node, group_rank);
  for (guint e = 0; e < n_experts; e++)
    {
      guint g = e / group_size;

      logical[(group_node[g] * groups_per_node + group_rank[g]) * group_size + e % group_size] = e;
    }
  for (guint node = 0; node < n_nodes; node++)
    {
      g_autofree float *w = g_new (float, experts_per_node);
      g_autofree float *slot_load = g_new (float, slots_per_node);
      g_autofree guint *expert = g_new (guint, slots_per_node);
      g_autofree guint *copy = g_new (guint, slots_per_node);
      g_autofree guint *count = g_new0 (guint, experts_per_node);
      g_autofree guint *device = g_new (guint, slots_per_node);
      g_autofree guint *rank = g_new (guint, slots_per_node);

      for (guint i = 0; i < experts_per_node; i++)
        w[i] = (float) weight[logical[node * experts_per_node + i]];
      replicate (w, experts_per_node, slots_per_node, expert, copy, count);
      for (guint i = 0; i < slots_per_node; i++)
        slot_load[i] = w[expert[i]] / (float) count[expert[i]];
      balanced_packing (slot_load, slots_per_node, devices_per_node, device, rank);
      for (guint i = 0; i < slots_per_node; i++)
        {
          guint slot = node * slots_per_node + device[i] * (n_slots / n_devices) + rank[i];

          slot_logical[slot] = logical[node * experts_per_node + expert[i]];
          slot_copy[slot] = copy[i];
        }
      for (guint i = 0; i < experts_per_node; i++)
        {
          copies[logical[node * experts_per_node + i]] = count[i];
          most = MAX (most, count[i]);
        }
    }
  placement_init (p, n_experts, n_slots, most);
  memcpy (p->replicas, copies, n_experts * sizeof *copies);
  for (guint slot = 0; slot < n_slots; slot++)
    {
      guint e = slot_logical[slot];

      p->slot_expert[slot] = e;
      p->slot_replica[slot] = slot_copy[slot];
      p->slot_device[slot] = slot / (n_slots / n_devices);
      p->device[e * (gsize) most + slot_copy[slot]] = p->slot_device[slot];
    }
}

/* --- LLEP ------------------------------------------------------------------------------------ */

typedef struct
{
  guint n_devices;
  gint64 capacity, least_chunk;
  gint64 *pending, *assigned; /* (devices) */
} Loads;

static gint64
effective (const Loads *loads, guint d)
{
  return loads->assigned[d] + loads->pending[d];
}

/* The other devices by effective load, ties to the lower number. */
static guint
order_devices (const Loads *loads, guint except, guint *order, gint64 *key)
{
  guint n = 0;

  for (guint d = 0; d < loads->n_devices; d++)
    {
      guint at = n;

      if (d == except)
        continue;
      for (; at > 0 && key[order[at - 1]] > effective (loads, d); at--)
        order[at] = order[at - 1];
      order[at] = d;
      key[d] = effective (loads, d);
      n++;
    }
  return n;
}

static void
add_chunk (GArray *plan, Loads *loads, guint expert, guint native, guint device, gint64 start,
           gint64 n)
{
  MsChunkPlan chunk = { expert, device, start, start + n, device != native };

  g_array_append_val (plan, chunk);
  loads->assigned[device] += n;
}

/* Spills `rest` tokens from `start` on.  again: the order of devices is made anew for each chunk (when part
 * of the expert stayed home), else once. */
static void
spill (GArray *plan, Loads *loads, guint expert, guint native, gint64 start, gint64 rest,
       gboolean again)
{
  g_autofree guint *order = g_new (guint, loads->n_devices);
  g_autofree gint64 *key = g_new (gint64, loads->n_devices);
  guint n = order_devices (loads, native, order, key);

  if (n == 0)
    {
      add_chunk (plan, loads, expert, native, native, start, rest);
      return;
    }
  while (rest > 0)
    {
      gboolean placed = FALSE;

      for (guint i = 0; i < n && rest > 0 && !(placed && again); i++)
        {
          gint64 room = loads->capacity - key[order[i]], chunk = MIN (rest, room);

          if (room <= 0 || (chunk < loads->least_chunk && rest > chunk))
            continue;
          add_chunk (plan, loads, expert, native, order[i], start, chunk);
          start += chunk;
          rest -= chunk;
          placed = TRUE;
        }
      if (rest > 0 && (!placed || !again))
        {
          add_chunk (plan, loads, expert, native, order[0], start, rest);
          rest = 0;
        }
      if (again)
        order_devices (loads, native, order, key);
    }
}

GArray *
ms_placement_llep (const double *count, guint n_experts, guint n_devices, double alpha,
                   gint64 least_chunk)
{
  GArray *plan = g_array_new (FALSE, FALSE, sizeof (MsChunkPlan));
  guint per_device = n_experts / n_devices;
  g_autofree gint64 *pending = g_new0 (gint64, n_devices);
  g_autofree gint64 *assigned = g_new0 (gint64, n_devices);
  g_autofree guint *order = g_new (guint, n_experts);
  Loads loads = { n_devices, 0, least_chunk, pending, assigned };
  gint64 total = 0;

  for (guint e = 0; e < n_experts; e++)
    {
      guint at = e;

      for (; at > 0 && count[order[at - 1]] < count[e]; at--)
        order[at] = order[at - 1];
      order[at] = e;
      total += (gint64) count[e];
      pending[e / per_device] += (gint64) count[e];
    }
  loads.capacity
      = MAX (total / n_devices > 0 ? (gint64) (alpha * (double) (total / n_devices)) : total, 1);
  for (guint i = 0; i < n_experts; i++)
    {
      guint e = order[i], native = e / per_device;
      gint64 n = (gint64) count[e], room, stays;

      if (n == 0)
        continue;
      pending[native] -= n;
      room = loads.capacity - effective (&loads, native);
      stays = n_devices == 1 ? n : CLAMP (room, 0, n);
      if (stays > 0)
        add_chunk (plan, &loads, e, native, native, 0, stays);
      if (stays < n)
        spill (plan, &loads, e, native, stays, n - stays, stays > 0);
    }
  return plan;
}

/* --- Joint placement ------------------------------------------------------------------------- */

#define MOST_STATES 256

static double
imbalance (const MsJointLayer *layer, const guint *device, guint n_devices)
{
  g_autofree double *load = g_new0 (double, n_devices);
  double sum = 0, most = 0;

  for (guint e = 0; e < layer->n_experts; e++)
    {
      load[device[e]] += layer->weight[e];
      sum += layer->weight[e];
    }
  for (guint d = 0; d < n_devices; d++)
    most = MAX (most, load[d]);
  return sum > 0 ? most * n_devices / sum - 1 : 0;
}

/* Share of the pairs from this layer to the next that cross devices. */
static double
crossing (const MsJointLayer *layer, const guint *device, const MsJointLayer *next,
          const guint *next_device)
{
  double all = 0, moves = 0;

  for (guint a = 0; a < layer->n_experts; a++)
    for (guint b = 0; b < next->n_experts; b++)
      {
        double n = (double) layer->pairs[(gsize) a * next->n_experts + b];

        all += n;
        moves += device[a] != next_device[b] ? n : 0;
      }
  return all > 0 ? moves / all : 0;
}

/* All ways to put n / P experts on each device, into states (count, n); 0 when there are too many. */
static guint
list_states (guint n, guint n_devices, guint *states)
{
  g_autofree guint *size = g_new0 (guint, n_devices);
  g_autofree guint *device = g_new0 (guint, n + 1);
  guint per_device = n / n_devices, n_states = 0, e = 0;

  for (guint i = 0; i <= n; i++)
    device[i] = n_devices; /* = none yet */
  for (;;)
    {
      guint d;

      if (e == n)
        {
          if (n_states == MOST_STATES)
            return 0;
          memcpy (states + (gsize) n_states++ * n, device, n * sizeof *device);
          e--;
        }
      d = device[e];
      if (d != n_devices)
        size[d]--;
      for (d = d == n_devices ? 0 : d + 1; d < n_devices && size[d] == per_device; d++)
        ;
      if (d < n_devices)
        {
          device[e] = d;
          size[d]++;
          e++;
          if (e < n)
            device[e] = n_devices;
          continue;
        }
      device[e] = n_devices;
      if (e == 0)
        return n_states;
      e--;
    }
}

/* Exact: the cheapest path through the states of all layers. */
static gboolean
place_exactly (const MsJointLayer *layers, guint n_layers, guint n_devices, double balance,
               guint **device)
{
  g_autofree guint **states = g_new0 (guint *, n_layers);
  g_autofree guint *n_states = g_new0 (guint, n_layers);
  g_autofree double *cost = g_new0 (double, (gsize) n_layers *MOST_STATES);
  g_autofree guint *from = g_new0 (guint, (gsize) n_layers * MOST_STATES);
  gboolean fine = TRUE;
  guint best = 0;

  for (guint l = 0; l < n_layers; l++)
    {
      states[l] = g_new (guint, MOST_STATES * (gsize) layers[l].n_experts);
      n_states[l] = list_states (layers[l].n_experts, n_devices, states[l]);
      fine = fine && n_states[l] > 0;
    }
  for (guint l = 0; l < n_layers && fine; l++)
    for (guint s = 0; s < n_states[l]; s++)
      {
        const guint *here = states[l] + (gsize) s * layers[l].n_experts;
        double *at = &cost[(gsize) l * MOST_STATES + s];

        *at = l == 0 ? 0 : INFINITY;
        for (guint r = 0; l > 0 && r < n_states[l - 1]; r++)
          {
            double through
                = cost[(gsize) (l - 1) * MOST_STATES + r]
                  + crossing (&layers[l - 1], states[l - 1] + (gsize) r * layers[l - 1].n_experts,
                              &layers[l], here);

            if (through < *at)
              {
                *at = through;
                from[(gsize) l * MOST_STATES + s] = r;
              }
          }
        *at += balance * imbalance (&layers[l], here, n_devices);
      }
  for (guint s = 0; fine && s < n_states[n_layers - 1]; s++)
    if (cost[(gsize) (n_layers - 1) * MOST_STATES + s]
        < cost[(gsize) (n_layers - 1) * MOST_STATES + best])
      best = s;
  for (guint l = n_layers; fine && l-- > 0;)
    {
      memcpy (device[l], states[l] + (gsize) best * layers[l].n_experts,
              layers[l].n_experts * sizeof **device);
      best = from[(gsize) l * MOST_STATES + best];
    }
  for (guint l = 0; l < n_layers; l++)
    g_free (states[l]);
  return fine;
}

/* Affinity of expert e of layer l to every device, from where its neighbours in both layers lie. */
static void
affinities (const MsJointLayer *layers, guint n_layers, guint l, guint **device, guint n_devices,
            double *affinity)
{
  const MsJointLayer *layer = &layers[l];

  memset (affinity, 0, layer->n_experts * (gsize) n_devices * sizeof *affinity);
  for (guint side = 0; side < 2; side++)
    {
      guint other = side == 0 ? l - 1 : l + 1;
      double all = 0;

      if ((side == 0 && l == 0) || other >= n_layers)
        continue;
      for (guint e = 0; e < layer->n_experts; e++)
        for (guint x = 0; x < layers[other].n_experts; x++)
          all += (double) (side == 0 ? layers[other].pairs[(gsize) x * layer->n_experts + e]
                                     : layer->pairs[(gsize) e * layers[other].n_experts + x]);
      for (guint e = 0; e < layer->n_experts && all > 0; e++)
        for (guint x = 0; x < layers[other].n_experts; x++)
          affinity[(gsize) e * n_devices + device[other][x]]
              += (double) (side == 0 ? layers[other].pairs[(gsize) x * layer->n_experts + e]
                                     : layer->pairs[(gsize) e * layers[other].n_experts + x])
                 / all;
    }
}

/* Swaps pairs of experts of one layer while that lowers the cost; TRUE when anything changed. */
static gboolean
improve_layer (const MsJointLayer *layers, guint n_layers, guint l, guint **device, guint n_devices,
               double balance)
{
  guint n = layers[l].n_experts;
  g_autofree double *affinity = g_new (double, n *(gsize) n_devices);
  double unbalanced = imbalance (&layers[l], device[l], n_devices);
  gboolean changed = FALSE;

  affinities (layers, n_layers, l, device, n_devices, affinity);
  for (guint a = 0; a < n; a++)
    for (guint b = a + 1; b < n; b++)
      {
        guint x = device[l][a], y = device[l][b];
        double gain, after;

        if (x == y)
          continue;
        gain = affinity[(gsize) a * n_devices + y] + affinity[(gsize) b * n_devices + x]
               - affinity[(gsize) a * n_devices + x] - affinity[(gsize) b * n_devices + y];
        device[l][a] = y;
        device[l][b] = x;
        after = imbalance (&layers[l], device[l], n_devices);
        if (gain - balance * (after - unbalanced) > 1e-12)
          {
            unbalanced = after;
            changed = TRUE;
            continue;
          }
        device[l][a] = x;
        device[l][b] = y;
      }
  return changed;
}

void
ms_placement_joint (const MsJointLayer *layers, guint n_layers, guint n_devices, double balance)
{
  guint **device = g_new (guint *, n_layers);
  gboolean changed;

  for (guint l = 0; l < n_layers; l++)
    {
      MsPlacement start = { 0 };

      /* The start is EPLB without copies: balanced, and never worse than it in the end. */
      ms_placement_eplb (&start, layers[l].weight, layers[l].n_experts, layers[l].n_experts, 1, 1,
                         n_devices);
      device[l] = g_memdup2 (start.device, layers[l].n_experts * sizeof **device);
      ms_placement_clear (&start);
    }
  if (!place_exactly (layers, n_layers, n_devices, balance, device))
    do
      {
        changed = FALSE;
        for (guint l = 0; l < n_layers; l++)
          changed = improve_layer (layers, n_layers, l, device, n_devices, balance) || changed;
      }
    while (changed);
  for (guint l = 0; l < n_layers; l++)
    {
      ms_placement_given (layers[l].placement, device[l], layers[l].n_experts, n_devices);
      g_free (device[l]);
    }
  g_free (device);
}
