/* Guards maps of files against their files getting shorter.
 *
 * A page of a map behind the end of its file raises SIGBUS, which ends the program without a word.  A guarded
 * map reads as zeros there instead and is marked, so that whoever reads it can say what happened. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Guards size bytes from the start of a map, from any thread; returns a number for the other calls.  A map
 * beyond the number of those that can be guarded (1,024) is left as it is: -1. */
gint ms_guard_add (gconstpointer from, gsize size);
/* To be called before the map goes. */
void ms_guard_remove (gint guard);
/* Whether a page of the map was not there when it was read. */
gboolean ms_guard_is_cut (gint guard);

G_END_DECLS
