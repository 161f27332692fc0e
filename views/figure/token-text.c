/* Running text on the colour of each token's value or series.  Line breaks are kept and shown; text that
 * does not fit the height is cut at a whole line, which tells how much is left out.
 *
 * A paragraph is one Pango layout, so that letters join across tokens and text of any direction and mix
 * reads as it should; a token is the pieces of lines that its bytes take there, several where a line or
 * the direction breaks inside it. */
#include "figure-private.h"

#include <math.h>
#include <string.h>

#define RETURN "\xe2\x86\xb5"
#define TAB    "\xe2\x87\xa5"
#define EMPTY  "\xe2\x88\x85"
/* Around tokens that stand for no text: they read from left to right wherever they are, say nothing of
 * the direction around them, and a line may end after them. */
#define ISOLATE_START "\xe2\x81\xa6"
#define ISOLATE_END   "\xe2\x81\xa9\xe2\x80\x8b"

typedef struct
{
  guint first, n; /* tokens */
  double y;       /* relative to the panel */
  gboolean rtl;
  PangoLayout *layout; /* for `width` of Tokens */
} Paragraph;

typedef struct
{
  guint token;
  MsRect box; /* relative to the panel */
} Piece;

typedef struct
{
  char **texts;       /* (n_rows) what is shown; "" = a part of the character before */
  GArray *paragraphs; /* of Paragraph */
  int *length;        /* (n_rows) bytes in the paragraph's layout */
  guint *paragraph;   /* (n_rows) */
  GArray *pieces;     /* of Piece, for `width` */
  MsRect *boxes;      /* (n_rows) the widest piece of each token */
  double width, height;
  double line; /* height of a line of plain text */
  double gap;  /* between lines */
} Tokens;

static char *
visible (const char *text)
{
  g_autoptr (GString) shown = NULL;

  if (strcmp (text, MS_TEXT_CONTINUED) == 0)
    return g_strdup ("");
  shown = g_string_new (
      g_str_has_prefix (text, MS_TEXT_CONTINUED) ? text + strlen (MS_TEXT_CONTINUED) : text);
  g_string_replace (shown, "\n", RETURN, 0);
  g_string_replace (shown, "\t", TAB, 0);
  return shown->len > 0 ? ms_text_printable (shown->str, (gssize) shown->len) : g_strdup (EMPTY);
}

static void
clear_paragraph (gpointer data)
{
  g_clear_object (&((Paragraph *) data)->layout);
}

static gboolean
prepare (MsFigure *figure, GError **error)
{
  Tokens *tokens = g_new0 (Tokens, 1);
  gboolean ended = TRUE;

  (void) error;
  figure->data = tokens;
  tokens->texts = g_new0 (char *, figure->n_rows + 1);
  tokens->boxes = g_new0 (MsRect, MAX (figure->n_rows, 1));
  tokens->paragraph = g_new (guint, MAX (figure->n_rows, 1));
  tokens->length = g_new (int, MAX (figure->n_rows, 1));
  tokens->pieces = g_array_new (FALSE, FALSE, sizeof (Piece));
  tokens->paragraphs = g_array_new (FALSE, TRUE, sizeof (Paragraph));
  g_array_set_clear_func (tokens->paragraphs, clear_paragraph);
  for (guint i = 0; i < figure->n_rows; i++)
    {
      const char *text
          = ms_table_get_text (figure->table, ms_figure_row (figure, i), figure->label.index);

      tokens->texts[i] = visible (text);
      if (ended)
        {
          Paragraph paragraph = { .first = i };

          g_array_append_val (tokens->paragraphs, paragraph);
        }
      tokens->paragraph[i] = tokens->paragraphs->len - 1;
      g_array_index (tokens->paragraphs, Paragraph, tokens->paragraph[i]).n++;
      ended = g_str_has_suffix (text, "\n");
    }
  return TRUE;
}

static void
finish (MsFigure *figure)
{
  Tokens *tokens = figure->data;

  g_strfreev (tokens->texts);
  g_free (tokens->boxes);
  g_free (tokens->paragraph);
  g_free (tokens->length);
  g_array_unref (tokens->pieces);
  g_array_unref (tokens->paragraphs);
  g_free (tokens);
}

/* "<0xE2>", "<s>": bytes that are no text, and marks. */
static gboolean
is_mark (const char *text)
{
  return text[0] == '<' && text[1] != '\0' && g_str_has_suffix (text, ">");
}

static guint
series_of (const MsFigure *figure, guint i)
{
  return ms_channel_category (&figure->series, ms_figure_row (figure, i));
}

/* The colour behind a token; FALSE when it has none. */
static gboolean
token_colour (const MsFigure *figure, guint i, MsColour *colour)
{
  guint row = ms_figure_row (figure, i);

  if (figure->has_value && !figure->ordered_series)
    return ms_figure_value_colour (figure, ms_channel_raw (&figure->value, row), colour);
  if (figure->series.column == NULL || series_of (figure, i) >= MS_SERIES_MAX
      || !figure->valued[series_of (figure, i)])
    return FALSE;
  *colour = ms_figure_series_colour (figure, series_of (figure, i));
  return TRUE;
}

static void
add_ink (PangoAttrList *inks, MsColour ink, guint from, guint to)
{
  PangoAttribute *attribute = pango_attr_foreground_new ((guint16) lround (ink.r * 65535),
                                                         (guint16) lround (ink.g * 65535),
                                                         (guint16) lround (ink.b * 65535));

  attribute->start_index = from;
  attribute->end_index = to;
  pango_attr_list_insert (inks, attribute);
}

/* Whether the first letter is of a script that reads from right to left. */
static gboolean
is_rtl (const Tokens *tokens, const Paragraph *paragraph)
{
  for (guint i = paragraph->first; i < paragraph->first + paragraph->n; i++)
    for (const char *at = tokens->texts[i]; *at != '\0' && !is_mark (tokens->texts[i]);
         at = g_utf8_next_char (at))
      switch (g_unichar_get_script (g_utf8_get_char (at)))
        {
        case G_UNICODE_SCRIPT_ARABIC:
        case G_UNICODE_SCRIPT_HEBREW:
        case G_UNICODE_SCRIPT_SYRIAC:
        case G_UNICODE_SCRIPT_THAANA:
        case G_UNICODE_SCRIPT_NKO:
        case G_UNICODE_SCRIPT_SAMARITAN:
        case G_UNICODE_SCRIPT_MANDAIC:
        case G_UNICODE_SCRIPT_ADLAM:
        case G_UNICODE_SCRIPT_HANIFI_ROHINGYA:
          return TRUE;
        default:
          if (g_unichar_isalpha (g_utf8_get_char (at)))
            return FALSE;
        }
  return FALSE;
}

static PangoLayout *
lay_out (const MsFigure *figure, const Paragraph *paragraph, MsPen *pen, double width)
{
  Tokens *tokens = figure->data;
  PangoLayout *layout = ms_pen_layout_new (pen, MS_TEXT_PLAIN);
  g_autoptr (GString) text = g_string_new (NULL);
  PangoAttrList *inks = pango_attr_list_new ();

  for (guint i = paragraph->first; i < paragraph->first + paragraph->n; i++)
    {
      gsize from = text->len;
      MsColour colour;

      if (is_mark (tokens->texts[i]))
        g_string_append_printf (text, ISOLATE_START "%s" ISOLATE_END, tokens->texts[i]);
      else
        g_string_append (text, tokens->texts[i]);
      tokens->length[i] = (int) (text->len - from);
      if (token_colour (figure, i, &colour))
        add_ink (inks, ms_colour_text_on (colour), (guint) from, (guint) text->len);
    }
  pango_layout_set_auto_dir (layout, FALSE);
  pango_layout_set_alignment (layout, paragraph->rtl ? PANGO_ALIGN_RIGHT : PANGO_ALIGN_LEFT);
  pango_layout_set_single_paragraph_mode (layout, TRUE);
  pango_layout_set_width (layout, (int) (MAX (width, 1) * PANGO_SCALE));
  pango_layout_set_wrap (layout, PANGO_WRAP_WORD_CHAR);
  pango_layout_set_spacing (layout, (int) (tokens->gap * PANGO_SCALE));
  pango_layout_set_text (layout, text->str, (int) text->len);
  pango_layout_set_attributes (layout, inks);
  pango_attr_list_unref (inks);
  return layout;
}

/* How many tokens from i on show one text: the one that has it, and those with a part of its last character. */
static guint
count_sharing (const Tokens *tokens, const Paragraph *paragraph, guint i)
{
  guint n = 1;

  while (i + n < paragraph->first + paragraph->n && tokens->texts[i + n][0] == '\0')
    n++;
  return n;
}

/* A piece of the line for a token, or parts of it for those that share its text. */
static void
add_pieces (Tokens *tokens, guint i, guint n, const MsRect *box)
{
  for (guint part = 0; part < n; part++)
    {
      Piece piece = { i + part, *box };

      piece.box.w = box->w / n;
      piece.box.x = box->x + part * piece.box.w;
      g_array_append_val (tokens->pieces, piece);
      if (piece.box.w > tokens->boxes[i + part].w)
        tokens->boxes[i + part] = piece.box;
    }
}

/* The pieces of a paragraph's tokens in one of its lines. */
static void
find_pieces (Tokens *tokens, const Paragraph *paragraph, PangoLayoutLine *line,
             const MsRect *extents)
{
  int from = 0, end = line->start_index + line->length;

  for (guint i = paragraph->first; i < paragraph->first + paragraph->n && from < end; i++)
    {
      int to = from + tokens->length[i], n, *ranges;

      if (to > line->start_index)
        {
          pango_layout_line_get_x_ranges (line, MAX (from, line->start_index), MIN (to, end),
                                          &ranges, &n);
          for (int r = 0; r < n; r++)
            {
              MsRect box = *extents;

              box.x = (double) ranges[2 * r] / PANGO_SCALE;
              box.w = (double) (ranges[2 * r + 1] - ranges[2 * r]) / PANGO_SCALE;
              if (box.w > 0) /* else a space that the line break swallowed */
                add_pieces (tokens, i, count_sharing (tokens, paragraph, i), &box);
            }
          g_free (ranges);
        }
      from = to;
    }
}

static void
break_lines (MsFigure *figure, double width)
{
  Tokens *tokens = figure->data;
  g_auto (MsPen) pen = { 0 };
  g_auto (MsPen) rtl_pen = { 0 };
  double y = 0;

  if (tokens->width == width)
    return;
  ms_pen_init (&pen, &figure->theme, NULL);
  ms_pen_init (&rtl_pen, &figure->theme, NULL);
  pango_context_set_base_dir (pen.context, PANGO_DIRECTION_LTR);
  pango_context_set_base_dir (rtl_pen.context, PANGO_DIRECTION_RTL);
  ms_pen_measure (&pen, "Xg", MS_TEXT_PLAIN, 0, NULL, &tokens->line);
  tokens->gap = 0.25 * tokens->line;
  /* Whatever the font, the lines under words are above the next line's colours. */
  if (figure->theme.signs && !figure->has_value && figure->series.column != NULL)
    tokens->gap = MAX (tokens->gap, MS_UNDERLINE_REACH + 0.6);
  g_array_set_size (tokens->pieces, 0);
  memset (tokens->boxes, 0, figure->n_rows * sizeof (MsRect));
  for (guint p = 0; p < tokens->paragraphs->len; p++)
    {
      Paragraph *paragraph = &g_array_index (tokens->paragraphs, Paragraph, p);
      PangoLayoutIter *at;

      g_clear_object (&paragraph->layout);
      paragraph->rtl = is_rtl (tokens, paragraph);
      paragraph->layout = lay_out (figure, paragraph, paragraph->rtl ? &rtl_pen : &pen, width);
      paragraph->y = y;
      at = pango_layout_get_iter (paragraph->layout);
      do
        {
          PangoLayoutLine *line = pango_layout_iter_get_line_readonly (at);
          PangoRectangle logical;
          MsRect extents;

          pango_layout_iter_get_line_extents (at, NULL, &logical);
          extents = (MsRect){ 0, y + (double) logical.y / PANGO_SCALE, 0,
                              (double) logical.height / PANGO_SCALE };
          find_pieces (tokens, paragraph, line, &extents);
        }
      while (pango_layout_iter_next_line (at));
      pango_layout_iter_free (at);
      {
        int height;

        pango_layout_get_size (paragraph->layout, NULL, &height);
        y += (double) height / PANGO_SCALE + tokens->gap;
      }
    }
  /* A token without a piece, such as a space at the end of a line, stands where the one before ends. */
  for (guint i = 1; i < figure->n_rows; i++)
    if (tokens->boxes[i].h <= 0)
      tokens->boxes[i] = tokens->boxes[i - 1];
  tokens->width = width;
  tokens->height = y;
}

/* How far down tokens are shown: text that is cut leaves its last line to say so. */
static double
limit_of (const Tokens *tokens, const MsPanel *panel)
{
  return tokens->height <= panel->plot.h + 0.5 * tokens->line ? INFINITY
                                                              : panel->plot.h - 1.25 * tokens->line;
}

static void
draw_backgrounds (MsFigure *figure, const MsPanel *panel, MsPen *pen, double limit)
{
  Tokens *tokens = figure->data;

  for (guint p = 0; p < tokens->pieces->len; p++)
    {
      const Piece *piece = &g_array_index (tokens->pieces, Piece, p);
      MsColour colour;

      if (piece->box.y + piece->box.h > limit)
        continue;
      /* A hair of paper between tokens of the same colour. */
      cairo_rectangle (pen->cr, panel->plot.x + piece->box.x + 0.3, panel->plot.y + piece->box.y,
                       MAX (piece->box.w - 0.6, 0.2), piece->box.h);
      if (token_colour (figure, piece->token, &colour))
        {
          ms_pen_colour (pen, colour, 1);
          cairo_fill (pen->cr);
          if (pen->theme->signs && !figure->has_value)
            ms_pen_underline (pen, ms_figure_slot (figure, series_of (figure, piece->token)),
                              panel->plot.x + piece->box.x + 0.3,
                              panel->plot.x + piece->box.x + piece->box.w - 0.3,
                              panel->plot.y + piece->box.y + piece->box.h);
        }
      else if (figure->has_value)
        ms_pen_hatch (pen, 3.5);
      else
        cairo_new_path (pen->cr);
    }
}

/* Where text stays text each token is written for itself: other programs shape it. */
static void
draw_live (MsFigure *figure, const MsPanel *panel, MsPen *pen, double limit)
{
  Tokens *tokens = figure->data;

  for (guint i = 0; i < figure->n_rows; i++)
    {
      const MsRect *box = &tokens->boxes[i];
      MsColour colour;

      if (box->w > 0 && box->y + box->h <= limit)
        ms_pen_text (pen, panel->plot.x + box->x, panel->plot.y + box->y, 0, 0, 0, MS_TEXT_PLAIN,
                     token_colour (figure, i, &colour) ? ms_colour_text_on (colour)
                                                       : ms_pen_ink (pen, MS_TEXT_PLAIN),
                     0, tokens->texts[i]);
    }
}

static void
draw_lines (MsFigure *figure, const MsPanel *panel, MsPen *pen, double limit)
{
  Tokens *tokens = figure->data;

  ms_pen_colour (pen, ms_pen_ink (pen, MS_TEXT_PLAIN), 1);
  for (guint p = 0; p < tokens->paragraphs->len; p++)
    {
      const Paragraph *paragraph = &g_array_index (tokens->paragraphs, Paragraph, p);
      PangoLayoutIter *at = pango_layout_get_iter (paragraph->layout);

      do
        {
          PangoRectangle logical;

          pango_layout_iter_get_line_extents (at, NULL, &logical);
          if (paragraph->y + (double) (logical.y + logical.height) / PANGO_SCALE > limit)
            break;
          cairo_move_to (pen->cr, panel->plot.x + (double) logical.x / PANGO_SCALE,
                         panel->plot.y + paragraph->y
                             + (double) pango_layout_iter_get_baseline (at) / PANGO_SCALE);
          pango_cairo_show_layout_line (pen->cr, pango_layout_iter_get_line_readonly (at));
        }
      while (pango_layout_iter_next_line (at));
      pango_layout_iter_free (at);
    }
}

/* How many tokens are below the limit, and where they begin. */
static guint
count_rest (const MsFigure *figure, double limit, double *y)
{
  Tokens *tokens = figure->data;
  guint n = 0;

  for (guint i = 0; i < figure->n_rows; i++)
    if (tokens->boxes[i].y + tokens->boxes[i].h > limit)
      {
        *y = n == 0 ? tokens->boxes[i].y : MIN (*y, tokens->boxes[i].y);
        n++;
      }
  return n;
}

static void
draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen)
{
  double limit, y = 0;
  guint rest;

  (void) layout;
  break_lines (figure, panel->plot.w);
  limit = limit_of (figure->data, panel);
  draw_backgrounds (figure, panel, pen, limit);
  if (pen->live != NULL)
    draw_live (figure, panel, pen, limit);
  else
    draw_lines (figure, panel, pen, limit);
  rest = count_rest (figure, limit, &y);
  if (rest > 0)
    {
      g_autofree char *text = g_strdup_printf ("\xe2\x80\xa6 and %u more tokens", rest);

      ms_pen_text (pen, panel->plot.x, panel->plot.y + y, 0, 0, 0, MS_TEXT_FAINT,
                   ms_pen_ink (pen, MS_TEXT_FAINT), panel->plot.w, text);
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
  for (guint p = 0; p < tokens->pieces->len; p++)
    {
      const Piece *piece = &g_array_index (tokens->pieces, Piece, p);
      const MsRect *box = &piece->box;

      if (x >= box->x && x < box->x + box->w && y >= box->y && y < box->y + box->h)
        return (int) ms_figure_row (figure, piece->token);
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

/* Left and right by token, as it reads; up and down by line. */
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
    at += (direction == MS_STEP_RIGHT)
                  != g_array_index (tokens->paragraphs, Paragraph, tokens->paragraph[i]).rtl
              ? 1
              : -1;
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

const MsMarkClass ms_mark_tokens = { .needs = MS_NEEDS_LABEL,
                                     .whole = TRUE,
                                     .consecutive = TRUE,
                                     .series = MS_SERIES_NAMES,
                                     .legend = TRUE,
                                     .coloured = TRUE,
                                     .spells = TRUE,
                                     .prepare = prepare,
                                     .finish = finish,
                                     .panel_height = panel_height,
                                     .draw = draw,
                                     .pick = pick,
                                     .locate = locate,
                                     .step = step,
                                     .swatch = ms_swatch_words,
                                     .swatch_box = TRUE,
                                     .swatch_reach = MS_UNDERLINE_REACH };
