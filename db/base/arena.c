/* Memory that is given back all at once.
 *
 * An arena is a chain of slabs, filled one after the other; each new one is at least twice the size of the
 * last.  Memory that was handed out never moves.  A reset empties the slabs and keeps them, so that a second
 * round of the same allocations asks the system for nothing.  What is left at the end of a slab when something
 * does not fit is lost until then. */
#include "base.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

typedef struct Slab
{
  struct Slab *next;
  gsize size, used;
  guint8 *memory;
} Slab;

struct MsArena
{
  Slab *slabs; /* in order of making; `current` is the one being filled */
  Slab *current;
  gsize next_size;
};

gpointer
ms_aligned_alloc (gsize bytes)
{
  void *memory = NULL;

  if (bytes > G_MAXSIZE - ALIGNMENT || posix_memalign (&memory, ALIGNMENT, MAX (bytes, 1)) != 0)
    g_error ("out of memory: %" G_GSIZE_FORMAT " bytes", bytes);
  return memory;
}

void
ms_aligned_free (gpointer memory)
{
  free (memory);
}

static Slab *
slab_new (gsize size)
{
  Slab *slab = g_new0 (Slab, 1);

  slab->size = size;
  slab->memory = ms_aligned_alloc (size);
  return slab;
}

MsArena *
ms_arena_new (gsize first_bytes)
{
  MsArena *arena = g_new0 (MsArena, 1);

  arena->next_size = MAX (first_bytes, 4096);
  arena->slabs = arena->current = slab_new (arena->next_size);
  return arena;
}

void
ms_arena_free (MsArena *arena)
{
  if (arena == NULL)
    return;
  for (Slab *slab = arena->slabs; slab != NULL;)
    {
      Slab *next = slab->next;
      ms_aligned_free (slab->memory);
      g_free (slab);
      slab = next;
    }
  g_free (arena);
}

void
ms_arena_reset (MsArena *arena)
{
  for (Slab *slab = arena->slabs; slab != NULL; slab = slab->next)
    slab->used = 0;
  arena->current = arena->slabs;
}

gpointer
ms_arena_alloc (MsArena *arena, gsize bytes)
{
  gsize size;
  gpointer memory;

  g_assert (bytes <= G_MAXSIZE - ALIGNMENT);
  size = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  while (arena->current->size - arena->current->used < size)
    {
      if (arena->current->next == NULL)
        {
          arena->next_size = MAX (arena->next_size * 2, size);
          arena->current->next = slab_new (arena->next_size);
        }
      arena->current = arena->current->next;
    }
  memory = arena->current->memory + arena->current->used;
  arena->current->used += size;
  return memory;
}

gpointer
ms_arena_alloc0 (MsArena *arena, gsize bytes)
{
  return memset (ms_arena_alloc (arena, bytes), 0, bytes);
}
