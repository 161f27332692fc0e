/* A GtkColumnView over an MsTable.  Row objects are made when a row comes into view and hold no more than
 * a table reference and a number. */
#include "table-view-private.h"

#include "pieces-private.h"
#include "tab-list-private.h"

#include <glib/gi18n-lib.h>

/* Sorting makes an object for every row: only offered up to here. */
#define MOST_SORTED 200000u

/* --- A row ------------------------------------------------------------------------------------ */

#define MS_TYPE_TABLE_ROW (ms_table_row_get_type ())
G_DECLARE_FINAL_TYPE (MsTableRow, ms_table_row, MS, TABLE_ROW, GObject)

struct _MsTableRow
{
  GObject parent_instance;
  MsTable *table;
  guint row;
};

G_DEFINE_FINAL_TYPE (MsTableRow, ms_table_row, G_TYPE_OBJECT)

static void
row_finalize (GObject *object)
{
  ms_table_unref (MS_TABLE_ROW (object)->table);
  G_OBJECT_CLASS (ms_table_row_parent_class)->finalize (object);
}

static void
ms_table_row_class_init (MsTableRowClass *class)
{
  G_OBJECT_CLASS (class)->finalize = row_finalize;
}

static void
ms_table_row_init (MsTableRow *self)
{
}

guint
ms_table_row_get (gpointer row_object)
{
  return MS_TABLE_ROW (row_object)->row;
}

/* --- The rows --------------------------------------------------------------------------------- */

#define MS_TYPE_TABLE_ROWS (ms_table_rows_get_type ())
G_DECLARE_FINAL_TYPE (MsTableRows, ms_table_rows, MS, TABLE_ROWS, GObject)

struct _MsTableRows
{
  GObject parent_instance;
  MsTable *table;
};

static GType
rows_get_item_type (GListModel *model)
{
  return MS_TYPE_TABLE_ROW;
}

static guint
rows_get_n_items (GListModel *model)
{
  MsTable *table = MS_TABLE_ROWS (model)->table;

  return table ? MIN (ms_table_n_rows (table), MS_TABLE_VIEW_MOST_ROWS) : 0;
}

static gpointer
rows_get_item (GListModel *model, guint position)
{
  MsTableRow *row;

  if (position >= rows_get_n_items (model))
    return NULL;
  row = g_object_new (MS_TYPE_TABLE_ROW, NULL);
  row->table = ms_table_ref (MS_TABLE_ROWS (model)->table);
  row->row = position;
  return row;
}

static void
rows_list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = rows_get_item_type;
  iface->get_n_items = rows_get_n_items;
  iface->get_item = rows_get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (MsTableRows, ms_table_rows, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, rows_list_model_init))

static void
rows_finalize (GObject *object)
{
  g_clear_pointer (&MS_TABLE_ROWS (object)->table, ms_table_unref);
  G_OBJECT_CLASS (ms_table_rows_parent_class)->finalize (object);
}

static void
ms_table_rows_class_init (MsTableRowsClass *class)
{
  G_OBJECT_CLASS (class)->finalize = rows_finalize;
}

static void
ms_table_rows_init (MsTableRows *self)
{
}

/* --- The view --------------------------------------------------------------------------------- */

struct _MsTableView
{
  AdwBin parent_instance;
  MsTable *table;
  GtkColumnView *columns;
  GtkWidget *scroller;
  GtkLabel *note;
};

G_DEFINE_FINAL_TYPE (MsTableView, ms_table_view, ADW_TYPE_BIN)

static guint activated_signal;

static void
finalize (GObject *object)
{
  g_clear_pointer (&MS_TABLE_VIEW (object)->table, ms_table_unref);
  G_OBJECT_CLASS (ms_table_view_parent_class)->finalize (object);
}

/* GTK asks what is in a closed expander, too, which has no window. */
static gboolean
focus (GtkWidget *widget, GtkDirectionType direction)
{
  return gtk_widget_get_mapped (widget)
         && GTK_WIDGET_CLASS (ms_table_view_parent_class)->focus (widget, direction);
}

static void
ms_table_view_class_init (MsTableViewClass *class)
{
  G_OBJECT_CLASS (class)->finalize = finalize;
  GTK_WIDGET_CLASS (class)->focus = focus;
  activated_signal = g_signal_new ("row-activated", MS_TYPE_TABLE_VIEW, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 1, G_TYPE_UINT);
}

static void
on_activate (MsTableView *self, guint position)
{
  g_autoptr (GObject) row = g_list_model_get_item (ms_table_view_get_model (self), position);

  if (row != NULL)
    g_signal_emit (self, activated_signal, 0, ms_table_row_get (row));
}

static void
ms_table_view_init (MsTableView *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *scroller = gtk_scrolled_window_new ();

  self->columns = GTK_COLUMN_VIEW (gtk_column_view_new (NULL));
  self->note = GTK_LABEL (gtk_label_new (NULL));
  ms_widget_name (GTK_WIDGET (self->columns), _ ("Table"));
  gtk_widget_add_css_class (GTK_WIDGET (self->columns), "data-table");
  gtk_column_view_set_show_column_separators (self->columns, TRUE);
  gtk_column_view_set_reorderable (self->columns, TRUE);
  g_signal_connect_swapped (self->columns, "activate", G_CALLBACK (on_activate), self);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->columns));
  self->scroller = scroller;
  gtk_widget_add_css_class (scroller, "table"); /* new columns would leave a glow at the edge */
  gtk_widget_set_vexpand (scroller, TRUE);
  gtk_widget_set_size_request (scroller, -1, 120);
  gtk_widget_add_css_class (GTK_WIDGET (self->note), "dim-label");
  gtk_label_set_wrap (self->note, TRUE);
  gtk_widget_set_visible (GTK_WIDGET (self->note), FALSE);
  gtk_box_append (GTK_BOX (box), ms_tab_list_new (scroller));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->note));
  adw_bin_set_child (ADW_BIN (self), box);
}

GtkWidget *
ms_table_view_new (void)
{
  return g_object_new (MS_TYPE_TABLE_VIEW, NULL);
}

static void
setup_cell (GtkSignalListItemFactory *factory, GtkListItem *item, gpointer column_info)
{
  const MsColumn *column = column_info;
  GtkWidget *label = gtk_label_new (NULL);

  gtk_label_set_xalign (GTK_LABEL (label), column->type == MS_COLUMN_TEXT ? 0 : 1);
  if (column->type == MS_COLUMN_TEXT)
    {
      gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
      gtk_label_set_max_width_chars (GTK_LABEL (label), 60);
    }
  else
    gtk_widget_add_css_class (label, "numeric");
  gtk_list_item_set_child (item, label);
}

static void
bind_cell (GtkSignalListItemFactory *factory, GtkListItem *item, gpointer column_info)
{
  MsTableRow *row = gtk_list_item_get_item (item);
  guint column = GPOINTER_TO_UINT (g_object_get_data (G_OBJECT (factory), "moescope-column-index"));
  g_autofree char *text = ms_table_format (row->table, row->row, column);
  GtkWidget *label = gtk_list_item_get_child (item);

  gtk_label_set_text (GTK_LABEL (label), text);
}

static int
compare_rows (gconstpointer a, gconstpointer b, gpointer column_index)
{
  const MsTableRow *left = a, *right = b;
  guint column = GPOINTER_TO_UINT (column_index);
  double x, y;

  if (ms_table_column (left->table, column)->type == MS_COLUMN_TEXT)
    return g_utf8_collate (ms_table_get_text (left->table, left->row, column),
                           ms_table_get_text (right->table, right->row, column));
  x = ms_table_get_real (left->table, left->row, column);
  y = ms_table_get_real (right->table, right->row, column);
  /* Undefined sorts last. */
  if (x != x || y != y)
    return (x != x) - (y != y);
  return (x > y) - (x < y);
}

static GtkColumnViewColumn *
make_column (MsTable *table, guint index, gboolean sorted)
{
  const MsColumn *column = ms_table_column (table, index);
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
  g_autofree char *title = column->unit
                               ? g_strdup_printf ("%s (%s)", _ (column->title), _ (column->unit))
                               : g_strdup (_ (column->title));
  GtkColumnViewColumn *made;

  g_object_set_data (G_OBJECT (factory), "moescope-column-index", GUINT_TO_POINTER (index));
  g_signal_connect (factory, "setup", G_CALLBACK (setup_cell), (gpointer) column);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_cell), (gpointer) column);
  made = gtk_column_view_column_new (title, factory);
  gtk_column_view_column_set_resizable (made, TRUE);
  if (sorted)
    {
      g_autoptr (GtkSorter) sorter
          = GTK_SORTER (gtk_custom_sorter_new (compare_rows, GUINT_TO_POINTER (index), NULL));

      gtk_column_view_column_set_sorter (made, sorter);
    }
  return made;
}

void
ms_table_view_set_table (MsTableView *self, MsTable *table)
{
  GListModel *columns = gtk_column_view_get_columns (self->columns);
  MsTableRows *rows;
  GtkSortListModel *sorted;
  gboolean sortable;

  if (table == self->table)
    return;
  gtk_column_view_set_model (self->columns, NULL);
  for (guint i = g_list_model_get_n_items (columns); i > 0; i--)
    {
      g_autoptr (GtkColumnViewColumn) column = g_list_model_get_item (columns, i - 1);

      gtk_column_view_remove_column (self->columns, column);
    }
  g_clear_pointer (&self->table, ms_table_unref);
  gtk_widget_set_visible (GTK_WIDGET (self->note), FALSE);
  gtk_widget_set_can_focus (self->scroller, table != NULL && ms_table_n_rows (table) > 0);
  if (table == NULL)
    return;
  self->table = ms_table_ref (table);
  sortable = ms_table_n_rows (table) <= MOST_SORTED;
  for (guint i = 0; i < ms_table_n_columns (table); i++)
    {
      g_autoptr (GtkColumnViewColumn) column = make_column (table, i, sortable);

      gtk_column_view_append_column (self->columns, column);
    }
  if (ms_table_n_rows (table) > MS_TABLE_VIEW_MOST_ROWS)
    {
      g_autofree char *note
          = g_strdup_printf (_ ("The first %u of %u rows. Export the table to get them all."),
                             MS_TABLE_VIEW_MOST_ROWS, ms_table_n_rows (table));

      gtk_label_set_text (self->note, note);
      gtk_widget_set_visible (GTK_WIDGET (self->note), TRUE);
    }
  rows = g_object_new (MS_TYPE_TABLE_ROWS, NULL);
  rows->table = ms_table_ref (table);
  if (sortable)
    {
      sorted = gtk_sort_list_model_new (G_LIST_MODEL (rows),
                                        g_object_ref (gtk_column_view_get_sorter (self->columns)));
      gtk_sort_list_model_set_incremental (sorted, TRUE);
      rows = (gpointer) sorted;
    }
  {
    g_autoptr (GtkSelectionModel) selection
        = GTK_SELECTION_MODEL (gtk_single_selection_new (G_LIST_MODEL (rows)));

    gtk_single_selection_set_autoselect (GTK_SINGLE_SELECTION (selection), FALSE);
    gtk_column_view_set_model (self->columns, selection);
  }
}

MsTable *
ms_table_view_get_table (MsTableView *self)
{
  return self->table;
}

GListModel *
ms_table_view_get_model (MsTableView *self)
{
  return G_LIST_MODEL (gtk_column_view_get_model (self->columns));
}
