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
/* What SQLite says of the last failure, as valid UTF-8: it quotes names of the file as they lie there. */
char *ms_db_words (sqlite3 *handle);
/* A text column as valid UTF-8, newly allocated; NULL stays NULL. */
char *ms_db_text (sqlite3_stmt *statement, int column);

/* lock.c: one writer per run.  Nothing else but ms_db_open and ms_db_close call the first two, with the
 * descriptor (-1 = none) that the connection leaves. */
void ms_db_lock_opened (void);
void ms_db_lock_closed (int descriptor);
/* The descriptor that holds the connection's locks, -1 = none yet. */
int *ms_db_lock_descriptor (MsDb *db);
/* Whether this connection may now write the run; the second fails with BUSY. */
gboolean ms_db_try_lock_run (MsDb *db, gint64 run);
gboolean ms_db_lock_run (MsDb *db, gint64 run, GError **error);
void ms_db_unlock_run (MsDb *db, gint64 run);

/* remove.c: removes the unfinished runs without a block that nobody writes, inside a transaction. */
gboolean ms_db_remove_empty_runs (MsDb *db, GError **error);

/* How many labels besides the known ones a corpus may have, and how many values: all are kept in memory. */
#define MS_MOST_LABELS       4096
#define MS_MOST_LABEL_VALUES (1 << 25)

/* The stored blocks of a run. */
typedef struct
{
  gint64 whole;       /* how many have all layers, from block 0 on */
  gint64 first, last; /* of those behind; -1 = there are none */
} MsBlocks;

gboolean ms_db_find_blocks (MsDb *db, gint64 run, guint n_layers, MsBlocks *blocks, GError **error);

/* The rule's name in the file. */
const char *ms_group_rule_name (MsGroupRule rule);

/* migrate.c: whether what stands under our tables' names are the tables of `version`, and there is no
 * trigger; CORRUPT if not.  A table that is missing is found when it is read. */
gboolean ms_db_check_schema (MsDb *db, gint64 version, GError **error);
/* Lets this connection see a file of version 1 in the shape of this version; nothing is written. */
gboolean ms_db_show_as_new (MsDb *db, GError **error);
/* Brings a file of version 1 to this version in one transaction. */
gboolean ms_db_migrate (MsDb *db, GError **error);
/* The statements that make the tables of this version. */
char *ms_db_schema (void);

/* writer.c: what content is known by, so that it is stored once.  ids (n_tokens) or NULL. */
char *ms_model_hash (const MsModel *model);
char *ms_corpus_hash (const MsCorpus *corpus, const gint32 *ids);

/* Tokens of block `block` in a corpus of n_tokens; 0 beyond its end. */
guint ms_block_tokens (gint64 n_tokens, gint64 block);

G_END_DECLS
