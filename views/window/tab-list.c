/* MsTabList: lists of GTK 4.8 stop the Tab key at every row.  Here it comes to the row that had the keyboard
 * last (of a list that selects: the selected one), goes by what is inside of the row, and leaves.  In a form
 * it goes from input to input. */
#include "tab-list-private.h"

struct _MsTabList
{
  AdwBin parent_instance;
  GtkWidget *last; /* the row left last; weak */
  GtkWidget *form; /* the list of inputs, NULL = rows are chosen from */
};

G_DEFINE_FINAL_TYPE (MsTabList, ms_tab_list, ADW_TYPE_BIN)

static gboolean
is_row (GtkWidget *widget)
{
  GtkWidget *list = gtk_widget_get_parent (widget);

  /* The list inside of a column view has no public type. */
  return GTK_IS_LIST_BOX_ROW (widget) || GTK_IS_FLOW_BOX_CHILD (widget) || GTK_IS_LIST_VIEW (list)
         || g_str_equal (G_OBJECT_TYPE_NAME (list), "GtkColumnListView");
}

/* The row that has the keyboard or holds what has it. */
static GtkWidget *
focused_row (MsTabList *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *at = root ? gtk_root_get_focus (root) : NULL;

  if (at == NULL || !gtk_widget_is_ancestor (at, GTK_WIDGET (self)))
    return NULL;
  while (at != GTK_WIDGET (self) && !is_row (at))
    at = gtk_widget_get_parent (at);
  return at != GTK_WIDGET (self) ? at : NULL;
}

/* Whether the list knows by itself which row Tab comes to. */
static gboolean
remembers (GtkWidget *list)
{
  return GTK_IS_LIST_BOX (list) ? gtk_list_box_get_selected_row (GTK_LIST_BOX (list)) != NULL
                                : !GTK_IS_FLOW_BOX (list);
}

static GtkWidget *
beside (GtkWidget *row, GtkDirectionType direction)
{
  return direction == GTK_DIR_TAB_FORWARD ? gtk_widget_get_next_sibling (row)
                                          : gtk_widget_get_prev_sibling (row);
}

static gboolean
focus_row (GtkWidget *row, GtkDirectionType direction)
{
  if (!GTK_IS_LIST_BOX_ROW (row) || !gtk_widget_get_mapped (row)) /* a placeholder, filtered */
    return FALSE;
  /* Of a row that does not take the keyboard GTK would focus the first input again and again. */
  if (!gtk_widget_get_focusable (row))
    row = gtk_list_box_row_get_child (GTK_LIST_BOX_ROW (row));
  return gtk_widget_child_focus (row, direction);
}

static gboolean
focus_form (MsTabList *self, GtkWidget *row, GtkDirectionType direction)
{
  if (row == NULL)
    row = direction == GTK_DIR_TAB_FORWARD ? gtk_widget_get_first_child (self->form)
                                           : gtk_widget_get_last_child (self->form);
  for (; row != NULL; row = beside (row, direction))
    if (focus_row (row, direction))
      return TRUE;
  return FALSE;
}

static gboolean
focus (GtkWidget *widget, GtkDirectionType direction)
{
  MsTabList *self = MS_TAB_LIST (widget);
  GtkWidget *row = focused_row (self);

  if (direction != GTK_DIR_TAB_FORWARD && direction != GTK_DIR_TAB_BACKWARD)
    return GTK_WIDGET_CLASS (ms_tab_list_parent_class)->focus (widget, direction);
  if (self->form != NULL)
    return focus_form (self, row, direction);
  if (row != NULL)
    {
      g_set_weak_pointer (&self->last, row);
      return gtk_widget_child_focus (row, direction);
    }
  if (self->last != NULL && gtk_widget_get_mapped (self->last)
      && gtk_widget_is_ancestor (self->last, widget)
      && !remembers (gtk_widget_get_parent (self->last))
      && gtk_widget_child_focus (self->last, direction))
    return TRUE;
  return GTK_WIDGET_CLASS (ms_tab_list_parent_class)->focus (widget, direction);
}

static void
dispose (GObject *object)
{
  g_clear_weak_pointer (&MS_TAB_LIST (object)->last);
  G_OBJECT_CLASS (ms_tab_list_parent_class)->dispose (object);
}

static void
ms_tab_list_class_init (MsTabListClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  GTK_WIDGET_CLASS (class)->focus = focus;
}

static void
ms_tab_list_init (MsTabList *self)
{
}

GtkWidget *
ms_tab_list_new (GtkWidget *child)
{
  return g_object_new (MS_TYPE_TAB_LIST, "child", child, NULL);
}

GtkWidget *
ms_tab_form_new (GtkListBox *list)
{
  MsTabList *self = MS_TAB_LIST (ms_tab_list_new (GTK_WIDGET (list)));

  self->form = GTK_WIDGET (list);
  return GTK_WIDGET (self);
}
