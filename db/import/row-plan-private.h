/* From named columns to typed records: what CSV and JSON lines have in common.
 *
 * The names of the columns, and what the reader says of them with --map, become a plan; each row of cells
 * (text) then becomes the records that the plan says. */
#pragma once

#include "import-private.h"

G_BEGIN_DECLS

typedef struct MsRowPlan MsRowPlan;

/* The plan for columns called `names` (n), which stand in line `line`.  Fills what is known of the source: its
 * kinds, outcome, unit and unused columns.  `source` and `options` are borrowed for the plan's life.  BAD_VALUE
 * when the columns are no trace, with what to write. */
MsRowPlan *ms_row_plan_new (const MsImportOptions *options, MsSource *source,
                            const char *const *names, guint n, guint line, GError **error);
void ms_row_plan_free (MsRowPlan *plan);
/* Takes a row: the cells (n of ms_row_plan_new), borrowed until the last record of the row is given. */
gboolean ms_row_plan_take (MsRowPlan *plan, const char *const *cells, guint line, GError **error);
/* The next record of the row; *more = FALSE after the last. */
gboolean ms_row_plan_give (MsRowPlan *plan, MsRecord *record, gboolean *more, GError **error);

/* Whether a column called so has a meaning without --map. */
gboolean ms_row_plan_knows (const char *name);

G_END_DECLS
