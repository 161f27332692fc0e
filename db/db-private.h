/* What the files of this folder share: the connection, and the chunk codec. */
#pragma once

#include "db.h"

G_BEGIN_DECLS

G_DEFINE_AUTOPTR_CLEANUP_FUNC (sqlite3_stmt, sqlite3_finalize)

/* Prepares `sql`; `what` names the attempt in the error, as in ms_db_fail. */
sqlite3_stmt *ms_db_prepare (MsDb *db, const char *sql, const char *what, GError **error);
gboolean ms_db_exec (MsDb *db, const char *sql, const char *what, GError **error);
/* The one integer that `sql` (with ?1 = argument when it has one) gives, 0 for no row. */
gboolean ms_db_integer (MsDb *db, const char *sql, gint64 argument, gint64 *value, GError **error);
/* A text column as valid UTF-8, newly allocated; NULL stays NULL. */
char *ms_db_text (sqlite3_stmt *statement, int column);

/* Tokens of block `block` in a corpus of n_tokens; 0 beyond its end. */
guint ms_block_tokens (gint64 n_tokens, gint64 block);

G_END_DECLS
