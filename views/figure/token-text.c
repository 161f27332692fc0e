/* Running text, token by token, on the colour of its value or series.  Line breaks are kept and shown;
 * text that does not fit the height is cut at a whole line, which tells how much is left out. */
#include "figure-private.h"

#include <math.h>
#include <string.h>

#define RETURN "\xe2\x86\xb5"

typedef struct
{
  char **texts;  /* (n_rows) what is shown */
  MsRect *boxes; /* (n_rows) relative to the panel, for `width` */
  double width, height;
} Tokens;

static gboolean
prepare (MsFigure *figure, GError **error)
{
  Tokens *tokens = g_new0 (Tokens, 1);

  (void) error;
  figure->data = tokens;
  tokens->texts = g_new0 (char *, figure->n_rows + 1);
  tokens->boxes = g_new0 (MsRect, MAX (figure->n_rows, 1));
  for (guint i = 0; i < figure->n_rows; i++)
    {
      g_autofree char *text
          = ms_table_format (figure->table, ms_figure_row (figure, i), figure->label.index);
      g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
      g_autofree char *joined = g_strjoinv (RETURN, lines);

      tokens->texts[i] = ms_text_printable (joined, -1);
    }
  return TRUE;
}

static void
finish (MsFigure *figure)
{
  Tokens *tokens = figure->data;

  g_strfreev (tokens->texts);
  g_free (tokens->boxes);
  g_free (tokens);
}

static void
break_lines (MsFigure *figure, double width)
{
  Tokens *tokens = figure->data;
  g_autoptr (GHashTable) known = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  g_auto (MsPen) pen = { 0 };
  double x = 0, y = 0, line, spacing;

  if (tokens->width == width)
    return;
  ms_pen_init (&pen, &figure->theme, NULL);
  ms_pen_measure (&pen, "Xg", MS_TEXT_PLAIN, 0, NULL, &line);
  spacing = line * 1.25;
  for (guint i = 0; i < figure->n_rows; i++)
    {
      const char *text = tokens->texts[i];
      double *w = g_hash_table_lookup (known, text);

      if (w == NULL)
        {
          w = g_new (double, 1);
          ms_pen_measure (&pen, text, MS_TEXT_PLAIN, 0, w, NULL);
          *w = MIN (MAX (*w, pen.em * 0.25), width);
          g_hash_table_insert (known, (gpointer) text, w);
        }
      if (x > 0 && x + *w > width)
        {
          x = 0;
          y += spacing;
        }
      tokens->boxes[i] = (MsRect){ x, y, *w, line };
      x += *w + 0.6;
      if (g_str_has_suffix (text, RETURN))
        {
          x = 0;
          y += spacing;
        }
    }
  tokens->width = width;
  tokens->height = y + spacing;
}

/* How far down tokens are shown: text that is cut leaves its last line to say so. */
static double
limit_of (const Tokens *tokens, const MsPanel *panel)
{
  double line = tokens->boxes[0].h;

  return tokens->height <= panel->plot.h + 0.3 * line ? INFINITY : panel->plot.h - 1.25 * line;
}

static void
draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  Tokens *tokens = figure->data;

  double limit;

  (void) layout;
  break_lines (figure, panel->plot.w);
  limit = limit_of (tokens, panel);
  for (guint i = 0; i < figure->n_rows; i++)
    {
      guint row = ms_figure_row (figure, i);
      const MsRect *box = &tokens->boxes[i];
      double x = panel->plot.x + box->x, y = panel->plot.y + box->y;
      gboolean coloured = FALSE;
      MsColour colour = figure->theme.paper;

      if (box->y + box->h > limit)
        {
          g_autofree char *rest = g_strdup_printf ("\xe2\x80\xa6 and %u more", figure->n_rows - i);

          ms_pen_text (pen, panel->plot.x, y, 0, 0, 0, MS_TEXT_FAINT,
                       ms_pen_ink (pen, MS_TEXT_FAINT), panel->plot.w, rest);
          break;
        }
      if (figure->has_value && !figure->ordered_series)
        coloured = ms_figure_value_colour (figure, ms_channel_raw (&figure->value, row), &colour);
      else if (figure->series.column != NULL
               && ms_channel_category (&figure->series, row) < MS_SERIES_MAX)
        {
          colour = ms_figure_series_colour (figure, ms_channel_category (&figure->series, row));
          coloured = TRUE;
        }
      if (coloured)
        {
          ms_pen_colour (pen, colour, 1);
          cairo_rectangle (pen->cr, x, y, box->w, box->h);
          cairo_fill (pen->cr);
        }
      else if (figure->has_value)
        {
          cairo_rectangle (pen->cr, x, y, box->w, box->h);
          ms_pen_hatch (pen, 3.5);
        }
      ms_pen_text (pen, x, y, 0, 0, 0, MS_TEXT_PLAIN,
                   coloured ? ms_colour_text_on (colour) : ms_pen_ink (pen, MS_TEXT_PLAIN), 0,
                   tokens->texts[i]);
    }
}

static int
pick (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, double x, double y)
{
  Tokens *tokens = figure->data;

  (void) layout;
  break_lines (figure, panel->plot.w);
  x -= panel->plot.x;
  y -= panel->plot.y;
  for (guint i = 0; i < figure->n_rows; i++)
    {
      const MsRect *box = &tokens->boxes[i];

      if (x >= box->x && x < box->x + box->w && y >= box->y && y < box->y + box->h)
        return (int) ms_figure_row (figure, i);
    }
  return -1;
}

/* The index of a table row among the rows shown. */
static gboolean
find (const MsFigure *figure, guint row, guint *index)
{
  if (figure->rows == NULL)
    {
      *index = row;
      return row < figure->n_rows;
    }
  for (*index = 0; *index < figure->n_rows; (*index)++)
    if (figure->rows[*index] == row)
      return TRUE;
  return FALSE;
}

static gboolean
locate (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint row, MsRect *rect)
{
  Tokens *tokens = figure->data;
  guint i;

  (void) layout;
  break_lines (figure, panel->plot.w);
  if (!find (figure, row, &i) || tokens->boxes[i].y + tokens->boxes[i].h > limit_of (tokens, panel))
    return FALSE;
  *rect = tokens->boxes[i];
  rect->x += panel->plot.x;
  rect->y += panel->plot.y;
  return TRUE;
}

/* Left and right by token, up and down by line. */
static int
step (MsFigure *figure, int row, MsStep direction)
{
  Tokens *tokens = figure->data;
  guint i = 0, n = figure->n_rows;
  gint64 at;

  if (n == 0)
    return -1;
  if (row < 0 || !find (figure, (guint) row, &i))
    return (int) ms_figure_row (figure, 0);
  at = i;
  if (direction == MS_STEP_LEFT || direction == MS_STEP_RIGHT)
    at += direction == MS_STEP_RIGHT ? 1 : -1;
  else
    {
      gboolean forward = direction == MS_STEP_DOWN || direction == MS_STEP_LAST;
      double x = tokens->boxes[i].x, y = tokens->boxes[i].y;
      gboolean lines = direction == MS_STEP_UP || direction == MS_STEP_DOWN;
      gint64 best = at;
      double target = NAN;

      for (gint64 j = at + (forward ? 1 : -1); j >= 0 && j < n; j += forward ? 1 : -1)
        {
          const MsRect *box = &tokens->boxes[j];

          if (!lines && box->y != y)
            break;
          if (lines && isnan (target) && box->y != y)
            target = box->y;
          if (lines && box->y == y)
            continue;
          if (lines && box->y != target)
            break;
          if (!lines || best == at || fabs (box->x - x) < fabs (tokens->boxes[best].x - x))
            best = j;
        }
      at = best;
    }
  return (int) ms_figure_row (figure, (guint) CLAMP (at, 0, (gint64) n - 1));
}

static double
panel_height (MsFigure *figure, double width, double em)
{
  break_lines (figure, width);
  return MIN (((Tokens *) figure->data)->height, MAX (1.2 * width, 12 * em));
}

const MsMarkClass ms_mark_tokens = { .prepare = prepare,
                                     .finish = finish,
                                     .panel_height = panel_height,
                                     .draw = draw,
                                     .pick = pick,
                                     .locate = locate,
                                     .step = step,
                                     .swatch_box = TRUE };
