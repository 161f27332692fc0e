/* A hash map from byte strings to numbers >= 0: vocabularies, merges, word caches.
 *
 * Keys are borrowed.  Looking up from several threads at once is safe while nobody adds. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct MsPieceMap MsPieceMap;

MsPieceMap *ms_piece_map_new (void);
void ms_piece_map_free (MsPieceMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsPieceMap, ms_piece_map_free)

/* The value of the key; -1 when it is not there. */
gint32 ms_piece_map_find (const MsPieceMap *map, gconstpointer key, gsize length);
/* Adds the key with its value unless it is there, and returns the value it then has. */
gint32 ms_piece_map_add (MsPieceMap *map, gconstpointer key, gsize length, gint32 value);
guint ms_piece_map_size (const MsPieceMap *map);
void ms_piece_map_clear (MsPieceMap *map);

G_END_DECLS
