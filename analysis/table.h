/* Tables: what analyses make, and what CSV, SQL, figures, report and window read. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  MS_COLUMN_INT,  /* gint64 */
  MS_COLUMN_REAL, /* double; NaN = undefined: NULL in SQL, empty in CSV, a gap or hatch in figures */
  MS_COLUMN_TEXT, /* UTF-8 */
} MsColumnType;

typedef struct
{
  const char *name;  /* snake_case, the CSV header and SQL column */
  const char *title; /* for people */
  const char *unit;  /* NULL = a pure number */
  MsColumnType type;
  const char *help; /* one sentence: the definition; goes into the data dictionary */
} MsColumn;

typedef struct
{
  const char *name; /* snake_case; SQL table <analysis>_<name> */
  const char *title;
  const MsColumn *columns; /* ends with an empty one */
} MsTableDef;

/* A table of a result.  Filled by one thread, then never changed: shared by reference count. */
typedef struct MsTable MsTable;

/* The first columns of a table of several groups or runs (with both, the runs come first). */
#define MS_GROUP_COLUMN  "group"
#define MS_RUN_ID_COLUMN "run_id"
#define MS_RUN_COLUMN    "run"

MsTable *ms_table_new (const MsTableDef *def);
/* Says in this table alone what a column is called: a run's name on an axis.  Before it is shared. */
void ms_table_retitle (MsTable *table, const char *column, const char *title);
MsTable *ms_table_ref (MsTable *table);
void ms_table_unref (MsTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsTable, ms_table_unref)

/* A cell on its way into a table: a value, and the type that it was written as. */
typedef struct
{
  MsColumnType type;
  union
  {
    gint64 integer;
    double real;
    const char *text;
  };
} MsCell;

/* The cells of a row, in column order.  The compiler refuses a value that is not of the type; a cell that is
 * not of its column's type, or a row with too few or too many, ends the program at once. */
#define MS_INT(x)  ((MsCell){ .type = MS_COLUMN_INT, .integer = (x) })
#define MS_REAL(x) ((MsCell){ .type = MS_COLUMN_REAL, .real = (x) })
/* Copied by the table; NULL = undefined. */
#define MS_TEXT(x) ((MsCell){ .type = MS_COLUMN_TEXT, .text = (x) })

/* Appends a row of cells: ms_table_add_row (table, MS_INT (layer), MS_REAL (share), MS_TEXT (name)). */
#define ms_table_add_row(table, ...)                                                               \
  ms_table_add_cells ((table), (const MsCell[]){ __VA_ARGS__ },                                    \
                      sizeof ((const MsCell[]){ __VA_ARGS__ }) / sizeof (MsCell))
/* Appends a part of a row, which ms_table_end_row ends. */
#define ms_table_put(table, ...)                                                                   \
  ms_table_put_cells ((table), (const MsCell[]){ __VA_ARGS__ },                                    \
                      sizeof ((const MsCell[]){ __VA_ARGS__ }) / sizeof (MsCell))

void ms_table_add_cells (MsTable *table, const MsCell *cells, gsize n);
void ms_table_put_cells (MsTable *table, const MsCell *cells, gsize n);
void ms_table_put_reals (MsTable *table, const double *values, guint n);
void ms_table_end_row (MsTable *table);
const MsTableDef *ms_table_def (const MsTable *table);
guint ms_table_n_rows (const MsTable *table);
guint ms_table_n_columns (const MsTable *table);
const MsColumn *ms_table_column (const MsTable *table, guint column);
/* The index of a column by name, -1 when there is none. */
int ms_table_find_column (const MsTable *table, const char *name);
gint64 ms_table_get_int (const MsTable *table, guint row, guint column);
/* Of a REAL or an INT column. */
double ms_table_get_real (const MsTable *table, guint row, guint column);
/* Of a TEXT column; borrowed, "" for NULL. */
const char *ms_table_get_text (const MsTable *table, guint row, guint column);
/* Any cell as text for people (newly allocated). */
char *ms_table_format (const MsTable *table, guint row, guint column);
/* Whether the cell is undefined: a NaN, or a NULL text. */
gboolean ms_table_is_null (const MsTable *table, guint row, guint column);
/* Whether the cell has a value given as text, as in MsPlotDef.where. */
gboolean ms_table_cell_is (const MsTable *table, guint row, guint column, const char *value);
/* The columns as arrays (n_rows), borrowed: for views that draw many points. */
const gint64 *ms_table_ints (const MsTable *table, guint column);
const double *ms_table_reals (const MsTable *table, guint column);
/* The table as CSV through libcsv's quoting: header, numbers bare (exact), undefined empty. */
gboolean ms_table_write_csv (const MsTable *table, GOutputStream *stream, GError **error);

G_END_DECLS
