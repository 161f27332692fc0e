/* MsColumns lays its children out in as many equal columns as the width allows, like a page of figures. */
#include "columns-private.h"

#define LEAST_WIDTH 680 /* of a column, where there are several */
#define SPACING     18

struct _MsColumns
{
  GtkWidget parent_instance;
};

G_DEFINE_FINAL_TYPE (MsColumns, ms_columns, GTK_TYPE_WIDGET)

/* The child shown after `child`, or the first one. */
static GtkWidget *
next_shown (MsColumns *self, GtkWidget *child)
{
  child = child ? gtk_widget_get_next_sibling (child)
                : gtk_widget_get_first_child (GTK_WIDGET (self));
  while (child != NULL && !gtk_widget_should_layout (child))
    child = gtk_widget_get_next_sibling (child);
  return child;
}

static int
count_columns (MsColumns *self, int width)
{
  int n = 0, most = CLAMP ((width + SPACING) / (LEAST_WIDTH + SPACING), 1, 3);

  for (GtkWidget *child = next_shown (self, NULL); child != NULL && n < most;
       child = next_shown (self, child))
    n++;
  return MAX (n, 1);
}

static int
column_width (int width, int n)
{
  return MAX ((width - (n - 1) * SPACING) / n, 0);
}

/* Measures the row that begins with `child`, which is moved to the next one's. */
static void
measure_row (MsColumns *self, GtkWidget **child, int n, int width, int *minimum, int *natural)
{
  *minimum = *natural = 0;
  for (int i = 0; i < n && *child != NULL; i++, *child = next_shown (self, *child))
    {
      int least, likes;

      gtk_widget_measure (*child, GTK_ORIENTATION_VERTICAL, width, &least, &likes, NULL, NULL);
      *minimum = MAX (*minimum, least);
      *natural = MAX (*natural, likes);
    }
}

static void
measure (GtkWidget *widget, GtkOrientation orientation, int for_size, int *minimum, int *natural,
         int *minimum_baseline, int *natural_baseline)
{
  MsColumns *self = MS_COLUMNS (widget);
  GtkWidget *child = next_shown (self, NULL);
  int least, likes;

  (void) minimum_baseline;
  (void) natural_baseline;
  if (orientation == GTK_ORIENTATION_HORIZONTAL)
    for (; child != NULL; child = next_shown (self, child))
      {
        gtk_widget_measure (child, orientation, -1, &least, &likes, NULL, NULL);
        *minimum = MAX (*minimum, least);
        *natural = MAX (*natural, likes);
      }
  else
    {
      int n = for_size > 0 ? count_columns (self, for_size) : 1;

      for (gboolean first = TRUE; child != NULL; first = FALSE)
        {
          measure_row (self, &child, n, for_size > 0 ? column_width (for_size, n) : -1, &least,
                       &likes);
          *minimum += least + (first ? 0 : SPACING);
          *natural += likes + (first ? 0 : SPACING);
        }
    }
}

/* Rows get the height they like; what is left over is shared until figures are as tall as a screen is. */
static void
size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  MsColumns *self = MS_COLUMNS (widget);
  GtkWidget *child = next_shown (self, NULL);
  int n = count_columns (self, width), wide = column_width (width, n);
  int wanted = -SPACING, n_rows = 0, least, likes, y = 0;
  gboolean mirrored = gtk_widget_get_direction (widget) == GTK_TEXT_DIR_RTL;

  (void) baseline;
  for (GtkWidget *row = child; row != NULL; n_rows++)
    {
      measure_row (self, &row, n, wide, &least, &likes);
      wanted += likes + SPACING;
    }
  while (child != NULL)
    {
      GtkWidget *next = child;

      measure_row (self, &next, n, wide, &least, &likes);
      if (height > wanted)
        likes = MAX (likes, MIN (likes + (height - wanted) / n_rows, wide * 3 / 4));
      for (int i = 0; child != next; i++, child = next_shown (self, child))
        {
          int x = i * (wide + SPACING);

          gtk_widget_size_allocate (
              child, &(GtkAllocation){ mirrored ? width - x - wide : x, y, wide, likes }, -1);
        }
      y += likes + SPACING;
    }
}

static GtkSizeRequestMode
get_request_mode (GtkWidget *widget)
{
  (void) widget;
  return GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH;
}

static void
dispose (GObject *object)
{
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (object))) != NULL)
    gtk_widget_unparent (child);
  G_OBJECT_CLASS (ms_columns_parent_class)->dispose (object);
}

static void
ms_columns_class_init (MsColumnsClass *class)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (class);

  G_OBJECT_CLASS (class)->dispose = dispose;
  widget_class->get_request_mode = get_request_mode;
  widget_class->measure = measure;
  widget_class->size_allocate = size_allocate;
}

static void
ms_columns_init (MsColumns *self)
{
  (void) self;
}

GtkWidget *
ms_columns_new (void)
{
  return g_object_new (MS_TYPE_COLUMNS, NULL);
}

void
ms_columns_append (MsColumns *self, GtkWidget *child)
{
  gtk_widget_set_parent (child, GTK_WIDGET (self));
}
