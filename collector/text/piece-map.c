/* Open addressing with linear probing, at most half full. */
#include "piece-map-private.h"

#include <string.h>
#include <xxhash.h>

typedef struct
{
  gconstpointer key;
  gsize length;
  guint32 hash;
  gint32 value; /* -1: free */
} Slot;

struct MsPieceMap
{
  Slot *slots;
  gsize mask; /* number of slots - 1 */
  guint size;
};

static void
set_slots (MsPieceMap *map, gsize n)
{
  map->slots = g_new (Slot, n);
  map->mask = n - 1;
  ms_piece_map_clear (map);
}

MsPieceMap *
ms_piece_map_new (void)
{
  MsPieceMap *map = g_new (MsPieceMap, 1);

  set_slots (map, 1024);
  return map;
}

void
ms_piece_map_free (MsPieceMap *map)
{
  if (map == NULL)
    return;
  g_free (map->slots);
  g_free (map);
}

void
ms_piece_map_clear (MsPieceMap *map)
{
  for (gsize i = 0; i <= map->mask; i++)
    map->slots[i].value = -1;
  map->size = 0;
}

guint
ms_piece_map_size (const MsPieceMap *map)
{
  return map->size;
}

/* The slot of the key, or the free one where it belongs. */
static Slot *
find_slot (const MsPieceMap *map, gconstpointer key, gsize length, guint32 hash)
{
  for (gsize i = hash & map->mask;; i = (i + 1) & map->mask)
    {
      Slot *slot = &map->slots[i];

      if (slot->value < 0
          || (slot->hash == hash && slot->length == length && memcmp (slot->key, key, length) == 0))
        return slot;
    }
}

gint32
ms_piece_map_find (const MsPieceMap *map, gconstpointer key, gsize length)
{
  return find_slot (map, key, length, (guint32) XXH3_64bits (key, length))->value;
}

static void
grow (MsPieceMap *map)
{
  Slot *old = map->slots;
  gsize n = map->mask + 1;

  set_slots (map, 2 * n);
  for (gsize i = 0; i < n; i++)
    if (old[i].value >= 0)
      {
        *find_slot (map, old[i].key, old[i].length, old[i].hash) = old[i];
        map->size++;
      }
  g_free (old);
}

gint32
ms_piece_map_add (MsPieceMap *map, gconstpointer key, gsize length, gint32 value)
{
  guint32 hash = (guint32) XXH3_64bits (key, length);
  Slot *slot = find_slot (map, key, length, hash);

  g_return_val_if_fail (value >= 0, -1);
  if (slot->value >= 0)
    return slot->value;
  *slot = (Slot){ key, length, hash, value };
  if (++map->size > map->mask / 2)
    grow (map);
  return value;
}
