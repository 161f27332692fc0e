/* A run of the open file, as the window lists it: plain facts, read once. */
#pragma once

#include "db.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define MS_TYPE_RUN_ITEM (ms_run_item_get_type ())
G_DECLARE_FINAL_TYPE (MsRunItem, ms_run_item, MS, RUN_ITEM, GObject)

typedef enum
{
  MS_RUN_COMPLETE,
  MS_RUN_COLLECTING, /* unfinished, and the file changes */
  MS_RUN_STOPPED,    /* unfinished; can go on */
  MS_RUN_BROKEN,     /* finished, but tokens are missing */
} MsRunState;

/* Reads the runs of a file with their models and corpora: of MsRunItem, newest first.  Those that are too
 * damaged are left out, unless all are; *damaged tells of one (transfer full; NULL = there is none).  For a
 * worker: this is SQL. (transfer full) */
GPtrArray *ms_run_items_read (const char *path, char **damaged, GError **error);

MsRunState ms_run_item_get_state (MsRunItem *item);
const MsRun *ms_run_item_run (MsRunItem *item);
const MsModel *ms_run_item_model (MsRunItem *item);
const MsCorpus *ms_run_item_corpus (MsRunItem *item);
/* "OLMoE / mixed-12" (transfer full) */
char *ms_run_item_dup_title (MsRunItem *item);
/* "3: step 001200": what names it among others in lists and figures. (transfer full) */
char *ms_run_item_dup_label (MsRunItem *item);
/* Tokens, layers x experts, state: one line. (transfer full) */
char *ms_run_item_dup_subtitle (MsRunItem *item);
/* The share of the corpus recorded, 1 when finished. */
double ms_run_item_get_progress (MsRunItem *item);
/* Whether both are of one run in one state: number, tokens recorded, whether it goes on. */
gboolean ms_run_item_equals (MsRunItem *a, MsRunItem *b);

G_END_DECLS
