/* MsFigureCanvas draws its figure once into a render node and keeps it until figure or size change;
 * hover, cursor, marks and the brush are border and colour nodes on top, so following the pointer costs
 * next to nothing.  The node's pixels are those of the headless ms_figure_draw at the same size. */
#include "figure-canvas-private.h"

#include "pieces-private.h"

#include <math.h>

#define DRAG_THRESHOLD 4
#define NATURAL_WIDTH  560

struct _MsFigureCanvas
{
  GtkWidget parent_instance;
  MsFigure *figure;
  char *summary;
  GskRenderNode *node; /* the figure at node_width x node_height */
  int node_width, node_height;
  GskRenderNode *marks;
  GArray *marked; /* of guint, or NULL */
  char *rule;     /* column of the x axis, NULL = no line */
  double rule_at;
  GArray *ruled; /* of guint: rows with that value; NULL = not looked for yet */
  int cursor, hover;
  int anchor; /* where brushing by keys began: the cell the cursor was put in without; -1 = nowhere */
  gboolean stale, thumbnail, dragging;
  double drag_x, drag_y, drag_width, drag_height;
  double zoom;
};

enum
{
  ROW_ENTERED,
  BRUSHED,
  ROW_ACTIVATED,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (MsFigureCanvas, ms_figure_canvas, GTK_TYPE_WIDGET)

static void
forget_nodes (MsFigureCanvas *self)
{
  g_clear_pointer (&self->node, gsk_render_node_unref);
  g_clear_pointer (&self->marks, gsk_render_node_unref);
}

static void
finalize (GObject *object)
{
  MsFigureCanvas *self = MS_FIGURE_CANVAS (object);

  forget_nodes (self);
  g_clear_pointer (&self->figure, ms_figure_free);
  g_clear_pointer (&self->marked, g_array_unref);
  g_clear_pointer (&self->ruled, g_array_unref);
  g_free (self->rule);
  g_free (self->summary);
  G_OBJECT_CLASS (ms_figure_canvas_parent_class)->finalize (object);
}

static GtkSizeRequestMode
get_request_mode (GtkWidget *widget)
{
  return GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH;
}

static void
measure (GtkWidget *widget, GtkOrientation orientation, int for_size, int *minimum, int *natural,
         int *minimum_baseline, int *natural_baseline)
{
  MsFigureCanvas *self = MS_FIGURE_CANVAS (widget);
  double least = self->thumbnail ? 90 : 180;

  if (orientation == GTK_ORIENTATION_HORIZONTAL)
    {
      *minimum = (int) ((self->thumbnail ? 140 : 240) * self->zoom);
      *natural = (int) ((self->thumbnail ? 220 : NATURAL_WIDTH) * self->zoom);
    }
  else
    {
      double width = for_size > 0 ? for_size : NATURAL_WIDTH;
      double height = self->figure && !self->thumbnail
                          ? ms_figure_natural_height (self->figure, width)
                          : 0.6 * width;

      *minimum = (int) (least * self->zoom);
      *natural = (int) ceil (CLAMP (height, least, 4000) * (self->zoom > 1 ? self->zoom : 1));
    }
}

static void
draw_figure (MsFigureCanvas *self, GtkSnapshot *snapshot, int width, int height)
{
  if (self->node == NULL || self->node_width != width || self->node_height != height)
    {
      GtkSnapshot *own = gtk_snapshot_new ();
      cairo_t *cr;

      forget_nodes (self);
      cr = gtk_snapshot_append_cairo (own,
                                      &GRAPHENE_RECT_INIT (0, 0, (float) width, (float) height));
      ms_figure_draw (self->figure, cr, width, height);
      cairo_destroy (cr);
      self->node = gtk_snapshot_free_to_node (own);
      self->node_width = width;
      self->node_height = height;
    }
  if (self->node != NULL)
    gtk_snapshot_append_node (snapshot, self->node);
}

static gboolean
locate (MsFigureCanvas *self, int row, graphene_rect_t *rect)
{
  double x, y, w, h;

  if (row < 0
      || !ms_figure_locate (self->figure, gtk_widget_get_width (GTK_WIDGET (self)),
                            gtk_widget_get_height (GTK_WIDGET (self)), row, &x, &y, &w, &h))
    return FALSE;
  *rect = GRAPHENE_RECT_INIT ((float) x, (float) y, (float) w, (float) h);
  return TRUE;
}

/* The place of a row's bar in a margin of the map. */
static gboolean
locate_bar (MsFigureCanvas *self, int row, gboolean top, graphene_rect_t *rect)
{
  double x, y, w, h;

  if (row < 0
      || !ms_figure_locate_bar (self->figure, gtk_widget_get_width (GTK_WIDGET (self)),
                                gtk_widget_get_height (GTK_WIDGET (self)), row, top, &x, &y, &w,
                                &h))
    return FALSE;
  *rect = GRAPHENE_RECT_INIT ((float) x, (float) y, (float) w, (float) h);
  return TRUE;
}

static void
append_region (GtkSnapshot *snapshot, const cairo_region_t *region, const GdkRGBA *colour)
{
  for (int i = 0; i < cairo_region_num_rectangles (region); i++)
    {
      cairo_rectangle_int_t r;

      cairo_region_get_rectangle (region, i, &r);
      gtk_snapshot_append_color (
          snapshot, colour,
          &GRAPHENE_RECT_INIT ((float) r.x, (float) r.y, (float) r.width, (float) r.height));
    }
}

static void
unite (cairo_region_t *region, const graphene_rect_t *rect, int grown)
{
  int x = (int) floorf (rect->origin.x), y = (int) floorf (rect->origin.y);
  int width = (int) ceilf (rect->origin.x + rect->size.width) - x;
  int height = (int) ceilf (rect->origin.y + rect->size.height) - y;

  cairo_region_union_rectangle (
      region,
      &(cairo_rectangle_int_t){ x - grown, y - grown, width + 2 * grown, height + 2 * grown });
}

/* The outline of the marked rows' union in ink with a rim of paper, so that it shows on any colour: each
 * ring is a grown union minus the one inside it.  The bars that count them are tinted. */
static GskRenderNode *
make_marks (MsFigureCanvas *self, const GdkRGBA *ink, const GdkRGBA *paper, const GdkRGBA *tint)
{
  GtkSnapshot *own = gtk_snapshot_new ();
  cairo_region_t *rings[3], *bars = cairo_region_create ();

  for (guint ring = 0; ring < 3; ring++)
    rings[ring] = cairo_region_create ();
  for (guint i = 0; i < self->marked->len; i++)
    {
      int row = (int) g_array_index (self->marked, guint, i);
      graphene_rect_t rect;

      if (!locate (self, row, &rect))
        continue;
      for (int ring = 0; ring < 3; ring++)
        unite (rings[ring], &rect, 2 * ring);
      for (gboolean top = FALSE; top <= TRUE; top++)
        if (locate_bar (self, row, top, &rect))
          unite (bars, &rect, 0);
    }
  cairo_region_subtract (rings[2], rings[1]);
  cairo_region_subtract (rings[1], rings[0]);
  append_region (own, rings[2], paper);
  append_region (own, rings[1], ink);
  append_region (own, bars, tint);
  for (guint ring = 0; ring < 3; ring++)
    cairo_region_destroy (rings[ring]);
  cairo_region_destroy (bars);
  return gtk_snapshot_free_to_node (own);
}

static void
draw_border (GtkSnapshot *snapshot, graphene_rect_t rect, float width, const GdkRGBA *colour)
{
  GskRoundedRect outline;
  GdkRGBA colours[4] = { *colour, *colour, *colour, *colour };
  float widths[4] = { width, width, width, width };

  graphene_rect_inset (&rect, -width, -width);
  gsk_rounded_rect_init_from_rect (&outline, &rect, 0);
  gtk_snapshot_append_border (snapshot, &outline, widths, colours);
}

static void
find_ruled (MsFigureCanvas *self)
{
  const MsTable *table = ms_figure_table (self->figure);
  int column = ms_table_find_column (table, self->rule);

  self->ruled = g_array_new (FALSE, FALSE, sizeof (guint));
  if (column < 0 || g_strcmp0 (ms_figure_plot (self->figure)->x, self->rule) != 0)
    return;
  for (guint row = 0; row < ms_table_n_rows (table); row++)
    if (ms_table_get_real (table, row, (guint) column) == self->rule_at)
      g_array_append_val (self->ruled, row);
}

/* In ink with a rim of paper, so that it shows on any colour. */
static void
draw_rule (MsFigureCanvas *self, GtkSnapshot *snapshot, const GdkRGBA *ink, const GdkRGBA *paper)
{
  double width = gtk_widget_get_width (GTK_WIDGET (self));
  double height = gtk_widget_get_height (GTK_WIDGET (self)), before = -1, before_y = -1;

  if (self->ruled == NULL)
    find_ruled (self);
  for (guint i = 0; i < self->ruled->len; i++)
    {
      int row = (int) g_array_index (self->ruled, guint, i);
      double x, y, w, h;
      graphene_rect_t mark;

      if (!locate (self, row, &mark)
          || !ms_figure_locate_panel (self->figure, width, height, row, &x, &y, &w, &h))
        continue;
      x = round (mark.origin.x + mark.size.width / 2) - 0.5;
      if (x == before && y == before_y)
        continue;
      before = x;
      before_y = y;
      gtk_snapshot_append_color (snapshot, paper,
                                 &GRAPHENE_RECT_INIT ((float) x - 1, (float) y, 3, (float) h));
      gtk_snapshot_append_color (snapshot, ink,
                                 &GRAPHENE_RECT_INIT ((float) x, (float) y, 1, (float) h));
    }
}

static void
draw_overlays (MsFigureCanvas *self, GtkSnapshot *snapshot)
{
  GtkStyleContext *style = gtk_widget_get_style_context (GTK_WIDGET (self));
  GdkRGBA ink, paper, accent, veil;
  graphene_rect_t rect;

  gtk_style_context_get_color (style, &ink);
  paper = ink;
  paper.red = paper.green = paper.blue = ink.red + ink.green + ink.blue > 1.5f ? 0 : 1;
  if (!gtk_style_context_lookup_color (style, "accent_color", &accent))
    accent = ink;
  veil = ink;
  veil.alpha = 0.16f;
  if (self->rule != NULL)
    draw_rule (self, snapshot, &ink, &paper);
  if (self->marked != NULL && self->marked->len > 0)
    {
      if (self->marks == NULL)
        {
          GdkRGBA tint = accent;

          tint.alpha = 0.35f;
          self->marks = make_marks (self, &ink, &paper, &tint);
        }
      if (self->marks != NULL)
        gtk_snapshot_append_node (snapshot, self->marks);
    }
  if (locate (self, self->hover, &rect))
    draw_border (snapshot, rect, 1, &ink);
  for (gboolean top = FALSE; top <= TRUE; top++)
    if (locate_bar (self, self->hover, top, &rect))
      gtk_snapshot_append_color (snapshot, &veil, &rect);
  if (gtk_widget_has_focus (GTK_WIDGET (self)) && locate (self, self->cursor, &rect))
    {
      draw_border (snapshot, rect, 4, &paper); /* shows on any colour */
      draw_border (snapshot, rect, 3, &accent);
      draw_border (snapshot, rect, 1, &paper);
    }
  if (self->dragging)
    {
      rect = GRAPHENE_RECT_INIT ((float) self->drag_x, (float) self->drag_y,
                                 (float) self->drag_width, (float) self->drag_height);
      graphene_rect_normalize (&rect);
      gtk_snapshot_append_color (snapshot, &veil, &rect);
      draw_border (snapshot, rect, 1, &ink);
    }
}

static void
snapshot (GtkWidget *widget, GtkSnapshot *into)
{
  MsFigureCanvas *self = MS_FIGURE_CANVAS (widget);
  int width = gtk_widget_get_width (widget);
  int height = gtk_widget_get_height (widget);

  if (self->figure != NULL && width > 0 && height > 0)
    {
      if (self->stale)
        gtk_snapshot_push_opacity (into, 0.45);
      draw_figure (self, into, width, height);
      if (self->stale)
        gtk_snapshot_pop (into);
      if (!self->thumbnail)
        draw_overlays (self, into);
    }
  if (gtk_widget_has_visible_focus (widget))
    gtk_snapshot_render_focus (into, gtk_widget_get_style_context (widget), 0, 0, width, height);
}

static void
tell_row (MsFigureCanvas *self, int row)
{
  g_autofree char *text = row >= 0 ? ms_figure_describe (self->figure, row) : NULL;

  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                  text            ? text
                                  : self->summary ? self->summary
                                                  : "",
                                  -1);
  g_signal_emit (self, signals[ROW_ENTERED], 0, row);
}

static int
pick (MsFigureCanvas *self, double x, double y)
{
  if (self->figure == NULL)
    return -1;
  return ms_figure_pick (self->figure, gtk_widget_get_width (GTK_WIDGET (self)),
                         gtk_widget_get_height (GTK_WIDGET (self)), x, y);
}

static void
set_hover (MsFigureCanvas *self, int row)
{
  if (row == self->hover)
    return;
  self->hover = row;
  tell_row (self, row);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static void
on_motion (MsFigureCanvas *self, double x, double y)
{
  if (!self->dragging && !self->thumbnail)
    set_hover (self, pick (self, x, y));
}

static void
on_leave (MsFigureCanvas *self)
{
  set_hover (self, -1);
}

static gboolean
on_query_tooltip (MsFigureCanvas *self, int x, int y, gboolean keyboard, GtkTooltip *tooltip)
{
  int row = keyboard ? self->cursor : pick (self, x, y);
  g_autofree char *text = NULL;
  graphene_rect_t rect;

  if (self->figure == NULL || self->thumbnail)
    return FALSE;
  text = row >= 0 ? ms_figure_describe (self->figure, row)
         : keyboard
             ? NULL
             : ms_figure_describe_bar (self->figure, gtk_widget_get_width (GTK_WIDGET (self)),
                                       gtk_widget_get_height (GTK_WIDGET (self)), x, y);
  if (text == NULL)
    return FALSE;
  gtk_tooltip_set_text (tooltip, text);
  if (locate (self, row, &rect))
    gtk_tooltip_set_tip_area (tooltip, &(GdkRectangle){ (int) rect.origin.x, (int) rect.origin.y,
                                                        (int) ceilf (rect.size.width),
                                                        (int) ceilf (rect.size.height) });
  return TRUE;
}

static MsBrush
brush_mode (GtkEventController *controller)
{
  GdkModifierType state = gtk_event_controller_get_current_event_state (controller);

  return state & GDK_CONTROL_MASK ? MS_BRUSH_ADD
         : state & GDK_SHIFT_MASK ? MS_BRUSH_EXTEND
                                  : MS_BRUSH_REPLACE;
}

static void
emit_brush (MsFigureCanvas *self, GArray *rows, MsBrush mode)
{
  if (rows->len > 0)
    g_signal_emit (self, signals[BRUSHED], 0, rows, (int) mode);
}

static void
brush_row (MsFigureCanvas *self, int row, MsBrush mode)
{
  g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (guint));
  guint value = (guint) row;

  if (row < 0)
    return;
  g_array_append_val (rows, value);
  emit_brush (self, rows, mode);
}

static void
on_drag_update (MsFigureCanvas *self, double dx, double dy, GtkGestureDrag *gesture)
{
  if (!self->dragging && hypot (dx, dy) < DRAG_THRESHOLD)
    return;
  gtk_gesture_drag_get_start_point (gesture, &self->drag_x, &self->drag_y);
  self->dragging = TRUE;
  self->drag_width = dx;
  self->drag_height = dy;
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

/* Brushes the cells that the rectangle touches, or those of the bars that it lies in. */
static void
brush_area (MsFigureCanvas *self, double x, double y, double w, double h, MsBrush mode)
{
  g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (guint));
  graphene_rect_t brush;

  ms_figure_stretch (self->figure, gtk_widget_get_width (GTK_WIDGET (self)),
                     gtk_widget_get_height (GTK_WIDGET (self)), &x, &y, &w, &h);
  brush = GRAPHENE_RECT_INIT ((float) x, (float) y, (float) w, (float) h);
  for (guint row = 0; row < ms_table_n_rows (ms_figure_table (self->figure)); row++)
    {
      graphene_rect_t rect;

      if (locate (self, (int) row, &rect) && graphene_rect_intersection (&rect, &brush, NULL))
        g_array_append_val (rows, row);
    }
  emit_brush (self, rows, mode);
}

gboolean
ms_figure_canvas_brush_bar (MsFigureCanvas *self, double x, double y, MsBrush mode)
{
  g_autofree char *bar
      = ms_figure_describe_bar (self->figure, gtk_widget_get_width (GTK_WIDGET (self)),
                                gtk_widget_get_height (GTK_WIDGET (self)), x, y);

  if (bar != NULL)
    brush_area (self, x, y, 0.01, 0.01, mode);
  return bar != NULL;
}

static void
on_drag_end (MsFigureCanvas *self, double dx, double dy, GtkGestureDrag *gesture)
{
  if (!self->dragging || self->figure == NULL)
    return;
  self->dragging = FALSE;
  brush_area (self, MIN (self->drag_x, self->drag_x + dx), MIN (self->drag_y, self->drag_y + dy),
              fabs (dx), fabs (dy), brush_mode (GTK_EVENT_CONTROLLER (gesture)));
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static void
on_pressed (MsFigureCanvas *self, int n, double x, double y)
{
  gtk_widget_grab_focus (GTK_WIDGET (self));
  ms_figure_canvas_set_cursor (self, pick (self, x, y));
}

static void
on_released (MsFigureCanvas *self, int n, double x, double y, GtkGestureClick *gesture)
{
  int row = pick (self, x, y);

  if (self->dragging || self->figure == NULL || self->thumbnail)
    return;
  if (row < 0)
    {
      if (n == 1)
        ms_figure_canvas_brush_bar (self, x, y, brush_mode (GTK_EVENT_CONTROLLER (gesture)));
    }
  else if (n == 2)
    g_signal_emit (self, signals[ROW_ACTIVATED], 0, row);
  else if (n == 1)
    brush_row (self, row, brush_mode (GTK_EVENT_CONTROLLER (gesture)));
}

/* By keys, which unlike the pointer can leave what shows. */
static void
move_cursor (MsFigureCanvas *self, int row)
{
  graphene_rect_t rect;

  ms_figure_canvas_set_cursor (self, row);
  if (locate (self, row, &rect))
    ms_widget_reveal (GTK_WIDGET (self), &rect);
}

/* Brushes the cells between the anchor and the cursor, as dragging from one to the other would. */
static void
brush_from_anchor (MsFigureCanvas *self)
{
  graphene_rect_t from, to, both;

  if (!locate (self, self->anchor, &from) || !locate (self, self->cursor, &to))
    return;
  graphene_rect_union (&from, &to, &both);
  /* The neighbours of the outermost cells begin where these end. */
  graphene_rect_inset (&both, MIN (1, from.size.width / 4), MIN (1, from.size.height / 4));
  brush_area (self, (double) both.origin.x, (double) both.origin.y, (double) both.size.width,
              (double) both.size.height, MS_BRUSH_REPLACE);
}

/* With `brush`, from the cell in which the cursor was put without. */
void
ms_figure_canvas_step (MsFigureCanvas *self, MsStep step, gboolean brush)
{
  int anchor = self->anchor >= 0 ? self->anchor : self->cursor, row;

  if (self->figure == NULL)
    return;
  row = ms_figure_step (self->figure, self->cursor, step);
  if (row < 0)
    return;
  move_cursor (self, row);
  if (!brush)
    return;
  self->anchor = anchor >= 0 ? anchor : row;
  brush_from_anchor (self);
}

static gboolean
on_step (GtkWidget *widget, GVariant *args, gpointer data)
{
  int step, brush;

  g_variant_get (args, "(ib)", &step, &brush);
  ms_figure_canvas_step (MS_FIGURE_CANVAS (widget), (MsStep) step, brush);
  return TRUE;
}

static gboolean
on_pin (GtkWidget *widget, GVariant *args, gpointer data)
{
  MsFigureCanvas *self = MS_FIGURE_CANVAS (widget);
  int mode;

  g_variant_get (args, "(i)", &mode);
  if (self->cursor < 0)
    return FALSE;
  brush_row (self, self->cursor, (MsBrush) mode);
  return TRUE;
}

static gboolean
on_activate_key (GtkWidget *widget, GVariant *args, gpointer data)
{
  MsFigureCanvas *self = MS_FIGURE_CANVAS (widget);

  if (self->cursor >= 0)
    g_signal_emit (self, signals[ROW_ACTIVATED], 0, self->cursor);
  return self->cursor >= 0;
}

static gboolean
on_corner (GtkWidget *widget, GVariant *args, gpointer data)
{
  MsFigureCanvas *self = MS_FIGURE_CANVAS (widget);

  if (self->figure == NULL)
    return FALSE;
  move_cursor (self, ms_figure_step (self->figure, -1, MS_STEP_FIRST));
  return TRUE;
}

static gboolean
same_cell (MsTable *table, int column, int a, int b)
{
  g_autofree char *one = NULL, *other = NULL;

  if (column < 0)
    return TRUE;
  one = ms_table_format (table, (guint) a, (guint) column);
  other = ms_table_format (table, (guint) b, (guint) column);
  return g_str_equal (one, other);
}

/* Goes on to the next row of the same expert: of another layer, or of a token further on.  `across` is the
 * column that must change, NULL = any row will do; without such columns to the row beside. */
static void
step_same (MsFigureCanvas *self, int by, const char *across)
{
  MsTable *table = self->figure ? ms_figure_table (self->figure) : NULL;
  int expert = table ? ms_table_find_column (table, "expert") : -1;
  int changing = table && across ? ms_table_find_column (table, across) : -1;
  graphene_rect_t rect;

  if (self->cursor < 0 || (across ? changing : expert) < 0)
    {
      ms_figure_canvas_step (self, by > 0 ? MS_STEP_RIGHT : MS_STEP_LEFT, FALSE);
      return;
    }
  for (int row = self->cursor + by; row >= 0 && row < (int) ms_table_n_rows (table); row += by)
    if (same_cell (table, expert, row, self->cursor)
        && (changing < 0 || !same_cell (table, changing, row, self->cursor))
        && locate (self, row, &rect))
      {
        move_cursor (self, row);
        break;
      }
}

static gboolean
on_same (GtkWidget *widget, GVariant *args, gpointer data)
{
  step_same (MS_FIGURE_CANVAS (widget), g_variant_get_int32 (args), NULL);
  return TRUE;
}

static gboolean
on_layer (GtkWidget *widget, GVariant *args, gpointer data)
{
  step_same (MS_FIGURE_CANVAS (widget), g_variant_get_int32 (args), "layer");
  return TRUE;
}

static void
on_focus_changed (MsFigureCanvas *self)
{
  if (!self->thumbnail && self->figure != NULL && gtk_widget_has_focus (GTK_WIDGET (self))
      && self->cursor < 0 && ms_table_n_rows (ms_figure_table (self->figure)) > 0)
    ms_figure_canvas_step (self, MS_STEP_FIRST, FALSE);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static void
css_changed (GtkWidget *widget, GtkCssStyleChange *change)
{
  g_clear_pointer (&MS_FIGURE_CANVAS (widget)->marks, gsk_render_node_unref);
  GTK_WIDGET_CLASS (ms_figure_canvas_parent_class)->css_changed (widget, change);
}

static void
bind_steps (GtkWidgetClass *class)
{
  static const struct
  {
    guint key;
    MsStep step;
  } keys[] = {
    { GDK_KEY_Left, MS_STEP_LEFT },   { GDK_KEY_KP_Left, MS_STEP_LEFT },
    { GDK_KEY_Right, MS_STEP_RIGHT }, { GDK_KEY_KP_Right, MS_STEP_RIGHT },
    { GDK_KEY_Up, MS_STEP_UP },       { GDK_KEY_KP_Up, MS_STEP_UP },
    { GDK_KEY_Down, MS_STEP_DOWN },   { GDK_KEY_KP_Down, MS_STEP_DOWN },
    { GDK_KEY_Home, MS_STEP_FIRST },  { GDK_KEY_End, MS_STEP_LAST },
  };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      gtk_widget_class_add_binding (class, keys[i].key, 0, on_step, "(ib)", (int) keys[i].step,
                                    FALSE);
      gtk_widget_class_add_binding (class, keys[i].key, GDK_SHIFT_MASK, on_step, "(ib)",
                                    (int) keys[i].step, TRUE);
    }
  gtk_widget_class_add_binding (class, GDK_KEY_Home, GDK_CONTROL_MASK, on_corner, NULL);
  gtk_widget_class_add_binding (class, GDK_KEY_period, 0, on_same, "i", 1);
  gtk_widget_class_add_binding (class, GDK_KEY_comma, 0, on_same, "i", -1);
  gtk_widget_class_add_binding (class, GDK_KEY_bracketright, 0, on_layer, "i", 1);
  gtk_widget_class_add_binding (class, GDK_KEY_bracketleft, 0, on_layer, "i", -1);
  gtk_widget_class_add_binding (class, GDK_KEY_Return, 0, on_pin, "(i)", MS_BRUSH_REPLACE);
  gtk_widget_class_add_binding (class, GDK_KEY_KP_Enter, 0, on_pin, "(i)", MS_BRUSH_REPLACE);
  gtk_widget_class_add_binding (class, GDK_KEY_space, 0, on_pin, "(i)", MS_BRUSH_ADD);
  gtk_widget_class_add_binding (class, GDK_KEY_Return, GDK_CONTROL_MASK, on_activate_key, NULL);
}

static void
ms_figure_canvas_class_init (MsFigureCanvasClass *class)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (class);

  G_OBJECT_CLASS (class)->finalize = finalize;
  widget_class->get_request_mode = get_request_mode;
  widget_class->measure = measure;
  widget_class->snapshot = snapshot;
  widget_class->css_changed = css_changed;
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_IMG);
  gtk_widget_class_set_css_name (widget_class, "figure");
  bind_steps (widget_class);
  signals[ROW_ENTERED] = g_signal_new ("row-entered", MS_TYPE_FIGURE_CANVAS, G_SIGNAL_RUN_LAST, 0,
                                       NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_INT);
  signals[BRUSHED] = g_signal_new ("brushed", MS_TYPE_FIGURE_CANVAS, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 2, G_TYPE_ARRAY, G_TYPE_INT);
  signals[ROW_ACTIVATED] = g_signal_new ("row-activated", MS_TYPE_FIGURE_CANVAS, G_SIGNAL_RUN_LAST,
                                         0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_INT);
}

static void
ms_figure_canvas_init (MsFigureCanvas *self)
{
  GtkEventController *motion = gtk_event_controller_motion_new ();
  GtkGesture *drag = gtk_gesture_drag_new ();
  GtkGesture *click = gtk_gesture_click_new ();

  self->cursor = self->hover = self->anchor = -1;
  self->zoom = 1;
  gtk_widget_set_focusable (GTK_WIDGET (self), TRUE);
  gtk_widget_set_has_tooltip (GTK_WIDGET (self), TRUE);
  gtk_widget_set_overflow (GTK_WIDGET (self), GTK_OVERFLOW_HIDDEN);
  g_signal_connect_swapped (motion, "motion", G_CALLBACK (on_motion), self);
  g_signal_connect_swapped (motion, "leave", G_CALLBACK (on_leave), self);
  g_signal_connect_swapped (drag, "drag-update", G_CALLBACK (on_drag_update), self);
  g_signal_connect_swapped (drag, "drag-end", G_CALLBACK (on_drag_end), self);
  g_signal_connect_swapped (click, "pressed", G_CALLBACK (on_pressed), self);
  g_signal_connect_swapped (click, "released", G_CALLBACK (on_released), self);
  gtk_gesture_group (click, drag);
  gtk_widget_add_controller (GTK_WIDGET (self), motion);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (drag));
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (click));
  g_signal_connect (self, "query-tooltip", G_CALLBACK (on_query_tooltip), NULL);
  g_signal_connect (self, "notify::has-focus", G_CALLBACK (on_focus_changed), NULL);
}

GtkWidget *
ms_figure_canvas_new (void)
{
  return g_object_new (MS_TYPE_FIGURE_CANVAS, NULL);
}

void
ms_figure_canvas_set_figure (MsFigureCanvas *self, MsFigure *figure, const char *summary)
{
  guint rows = figure ? ms_table_n_rows (ms_figure_table (figure)) : 0;

  forget_nodes (self);
  g_clear_pointer (&self->figure, ms_figure_free);
  g_clear_pointer (&self->marked, g_array_unref);
  g_clear_pointer (&self->ruled, g_array_unref);
  g_free (self->summary);
  self->figure = figure;
  self->summary = g_strdup (summary);
  self->stale = FALSE;
  self->hover = -1;
  if (self->cursor >= (int) rows)
    self->cursor = -1;
  self->anchor = self->cursor;
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  figure ? ms_figure_plot (figure)->title : "",
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, summary ? summary : "", -1);
  gtk_widget_queue_resize (GTK_WIDGET (self));
}

MsFigure *
ms_figure_canvas_get_figure (MsFigureCanvas *self)
{
  return self->figure;
}

void
ms_figure_canvas_set_rule (MsFigureCanvas *self, const char *column, double value)
{
  if (g_strcmp0 (self->rule, column) == 0 && self->rule_at == value)
    return;
  g_free (self->rule);
  self->rule = g_strdup (column);
  self->rule_at = value;
  g_clear_pointer (&self->ruled, g_array_unref);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

void
ms_figure_canvas_set_marked (MsFigureCanvas *self, GArray *rows)
{
  g_clear_pointer (&self->marked, g_array_unref);
  g_clear_pointer (&self->marks, gsk_render_node_unref);
  self->marked = rows;
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

void
ms_figure_canvas_set_stale (MsFigureCanvas *self, gboolean stale)
{
  self->stale = stale;
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

void
ms_figure_canvas_set_thumbnail (MsFigureCanvas *self, gboolean thumbnail)
{
  self->thumbnail = thumbnail;
  gtk_widget_set_focusable (GTK_WIDGET (self), !thumbnail);
  gtk_widget_set_can_target (GTK_WIDGET (self), !thumbnail);
  gtk_widget_queue_resize (GTK_WIDGET (self));
}

int
ms_figure_canvas_get_cursor (MsFigureCanvas *self)
{
  return self->cursor;
}

void
ms_figure_canvas_set_cursor (MsFigureCanvas *self, int row)
{
  if (row == self->cursor || self->figure == NULL)
    return;
  self->cursor = self->anchor = row;
  tell_row (self, row);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

void
ms_figure_canvas_go_to (MsFigureCanvas *self, int row)
{
  move_cursor (self, row);
}

void
ms_figure_canvas_set_zoom (MsFigureCanvas *self, double zoom)
{
  self->zoom = CLAMP (zoom, 1, 16);
  gtk_widget_queue_resize (GTK_WIDGET (self));
}

double
ms_figure_canvas_get_zoom (MsFigureCanvas *self)
{
  return self->zoom;
}

gboolean
ms_figure_canvas_get_marked_bounds (MsFigureCanvas *self, graphene_rect_t *bounds)
{
  gboolean any = FALSE;

  for (guint i = 0; self->figure != NULL && self->marked != NULL && i < self->marked->len; i++)
    {
      graphene_rect_t rect;

      if (!locate (self, (int) g_array_index (self->marked, guint, i), &rect))
        continue;
      if (any)
        graphene_rect_union (bounds, &rect, bounds);
      else
        *bounds = rect;
      any = TRUE;
    }
  return any;
}
