/* Pieces of a JSON text that ms_json_objection has nothing against, found without making a tree. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *text; /* borrowed; not terminated */
  gsize length;
} MsJsonSlice;

/* Walks the members of an object or the elements of a list: *at begins as the bracket and moves on.  FALSE at
 * the end.  `name` is the text between the quotes of a member's name; NULL for lists. */
gboolean ms_json_slice_next (const char **at, MsJsonSlice *name, MsJsonSlice *value);
/* The member of the object `text` called so; FALSE when there is none. */
gboolean ms_json_slice_member (const char *text, const char *name, MsJsonSlice *value);
/* Appends a value as a cell: a text without its quotes and escapes, true and false as 1 and 0, null as nothing,
 * anything else as it stands. */
void ms_json_slice_append (GString *cell, const MsJsonSlice *value);

G_END_DECLS
