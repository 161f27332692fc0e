/* Placements of experts on devices (metrics.md h).  Pure functions of loads. */
#pragma once

#include "analysis-private.h"

G_BEGIN_DECLS

/* One layer's placement.  Slots are numbered device by device. */
typedef struct
{
  guint n_experts, n_slots, most_replicas;
  guint *replicas;                                 /* (E) copies of each expert, >= 1 */
  guint *device;                                   /* (E, most_replicas) device of each copy */
  guint *slot_expert, *slot_replica, *slot_device; /* (n_slots) */
} MsPlacement;

void ms_placement_clear (MsPlacement *placement);
/* Expert e on device floor (e D / E), no copies. */
void ms_placement_contiguous (MsPlacement *placement, guint n_experts, guint n_devices);
/* One copy of each expert on the devices given (E), each < n_devices. */
void ms_placement_given (MsPlacement *placement, const guint *device, guint n_experts,
                         guint n_devices);
/* The experts and copies of `from` dealt at random to its slots: a null value of the same shape. */
void ms_placement_shuffled (MsPlacement *placement, const MsPlacement *from, guint64 seed);
/* EPLB, hierarchical when groups divide evenly among nodes, else global.  n_slots is a multiple of
 * n_devices, n_devices of n_nodes, n_experts of n_groups.  Sums in float32 as the published code. */
void ms_placement_eplb (MsPlacement *placement, const double *weight, guint n_experts,
                        guint n_slots, guint n_groups, guint n_nodes, guint n_devices);

/* A chunk of an expert's tokens. */
typedef struct
{
  guint expert, device;
  gint64 start, end;
  gboolean transfer; /* computed off the expert's own device */
} MsChunkPlan;

/* LLEP's plan for one batch, experts E / P native to each device, P divides E.  GArray of MsChunkPlan by
 * expert. (transfer full) */
GArray *ms_placement_llep (const double *count, guint n_experts, guint n_devices, double alpha,
                           gint64 least_chunk);

typedef struct
{
  guint n_experts;
  const double *weight;   /* (E) */
  const guint64 *pairs;   /* (E, E of the next layer), NULL in the last */
  MsPlacement *placement; /* filled in */
} MsJointLayer;

/* E / P experts on every device of every layer (P divides E), minimising the share of pairs between
 * devices plus balance x (max / mean load - 1), summed over layers.  Exact, by dynamic programming over
 * all placements of a layer, when there are at most 256 of them; else coordinate descent by swaps. */
void ms_placement_joint (const MsJointLayer *layers, guint n_layers, guint n_devices,
                         double balance);

G_END_DECLS
