/* The report as pages: text by Pango, figures drawn straight into them, links and an outline.
 *
 * A line is never cut by a page, a heading stays with what follows it.  Dates are fixed, so that the same
 * report gives the same bytes.  Tables show their first rows and the columns that fit. */
#include "report-format.h"

#include <cairo-pdf.h>
#include <math.h>
#include <pango/pangocairo.h>
#include <string.h>

#define MARGIN 62.0 /* points, as all lengths here */
#define GUTTER 14.0 /* between figures side by side, table columns half of it */
#define BODY   9.5
#define SMALL  8.0
#define CELLS  7.0
#define ROWS   12  /* of a table */
#define SINGLE 340 /* width of a figure that is one panel */

static const MsColour ink = { 0, 0, 0 }, soft = { 0.35, 0.35, 0.37 }, blue = { 0.04, 0.36, 0.68 },
                      warn = { 0.64, 0.23, 0 }, rule = { 0.75, 0.75, 0.77 };

typedef struct
{
  cairo_surface_t *surface;
  cairo_t *cr;
  PangoContext *context;
  double width, height; /* of the page */
  double y;             /* where the next block begins */
  guint page;           /* from 1 */
  MsFigure *beside;     /* waits for its neighbour */
  const MsBlock *beside_block;
} Pages;

static cairo_status_t
collect (gpointer closure, const guint8 *data, guint length)
{
  g_byte_array_append (closure, data, length);
  return CAIRO_STATUS_SUCCESS;
}

static double
text_width (const Pages *pages)
{
  return pages->width - 2 * MARGIN;
}

static void
use_colour (Pages *pages, MsColour colour)
{
  cairo_set_source_rgb (pages->cr, colour.r, colour.g, colour.b);
}

static PangoLayout *
make_layout (Pages *pages, const char *text, const char *family, double size, gboolean bold,
             double width)
{
  PangoLayout *layout = pango_layout_new (pages->context);
  PangoFontDescription *font = pango_font_description_from_string (
      family != NULL ? family : ms_theme_find ("paper")->font);
  g_autofree char *clean = ms_text_printable (text, -1);
  g_auto (GStrv) parts = g_strsplit (clean, " %", -1);
  /* A number keeps its per cent sign: a word joiner follows the space, since the font's space that
   * does not break is wide. */
  g_autofree char *kept = g_strjoinv (" \xe2\x81\xa0%", parts);

  pango_font_description_set_absolute_size (font, size * PANGO_SCALE);
  pango_font_description_set_weight (font, bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
  pango_layout_set_font_description (layout, font);
  pango_layout_set_text (layout, kept, -1);
  pango_layout_set_wrap (layout, PANGO_WRAP_WORD_CHAR);
  if (width > 0)
    pango_layout_set_width (layout, (int) (width * PANGO_SCALE));
  pango_font_description_free (font);
  return layout;
}

static double
layout_height (PangoLayout *layout)
{
  int height;

  pango_layout_get_size (layout, NULL, &height);
  return (double) height / PANGO_SCALE;
}

static double
layout_width (PangoLayout *layout)
{
  int width;

  pango_layout_get_size (layout, &width, NULL);
  return (double) width / PANGO_SCALE;
}

static void
end_page (Pages *pages)
{
  g_autofree char *number = g_strdup_printf ("%u", pages->page);
  g_autoptr (PangoLayout) layout = make_layout (pages, number, NULL, SMALL, FALSE, 0);

  use_colour (pages, soft);
  cairo_move_to (pages->cr, (pages->width - layout_width (layout)) / 2,
                 pages->height - MARGIN * 0.6);
  pango_cairo_show_layout (pages->cr, layout);
  cairo_show_page (pages->cr);
}

/* A new page unless `room` is left on this one. */
static void
need (Pages *pages, double room)
{
  if (pages->y + room <= pages->height - MARGIN || pages->y <= MARGIN)
    return;
  end_page (pages);
  pages->page++;
  pages->y = MARGIN;
}

/* Line after line, from page to page; as a link to a section when `place` is given. */
static void
show_lines (Pages *pages, PangoLayout *layout, double x, MsColour colour, const MsSection *place)
{
  PangoLayoutIter *iter = pango_layout_get_iter (layout);
  g_autofree char *target = place != NULL ? g_strdup_printf ("dest='%s'", place->id) : NULL;

  do
    {
      PangoRectangle box;
      int baseline = pango_layout_iter_get_baseline (iter);
      double height;

      pango_layout_iter_get_line_extents (iter, NULL, &box);
      height = (double) box.height / PANGO_SCALE;
      need (pages, height);
      use_colour (pages, colour);
      cairo_move_to (pages->cr, x + (double) box.x / PANGO_SCALE,
                     pages->y + (double) (baseline - box.y) / PANGO_SCALE);
      if (target != NULL)
        cairo_tag_begin (pages->cr, CAIRO_TAG_LINK, target);
      pango_cairo_show_layout_line (pages->cr, pango_layout_iter_get_line_readonly (iter));
      if (target != NULL)
        cairo_tag_end (pages->cr, CAIRO_TAG_LINK);
      pages->y += height;
    }
  while (pango_layout_iter_next_line (iter));
  pango_layout_iter_free (iter);
}

static void
show_text (Pages *pages, const char *text, double size, double x, MsColour colour)
{
  g_autoptr (PangoLayout) layout
      = make_layout (pages, text, NULL, size, FALSE, pages->width - MARGIN - x);

  show_lines (pages, layout, x, colour, NULL);
}

/* --- Blocks --------------------------------------------------------------------------------------- */

static void
show_heading (Pages *pages, const MsBlock *block)
{
  static const double sizes[] = { BODY, 17, 12.5, 10 };
  double size = sizes[MIN (block->level, 3)];
  g_autoptr (PangoLayout) layout
      = make_layout (pages, block->text, NULL, size, TRUE, text_width (pages));

  if (pages->y > MARGIN)
    pages->y += block->level == 2 ? 16 : 6;
  need (pages, layout_height (layout) + (block->level == 2 ? 130 : 40));
  if (block->id != NULL)
    {
      g_autofree char *name = g_strdup_printf ("name='%s'", block->id);
      g_autofree char *target = g_strdup_printf ("dest='%s'", block->id);

      cairo_move_to (pages->cr, MARGIN, pages->y);
      cairo_tag_begin (pages->cr, CAIRO_TAG_DEST, name);
      cairo_tag_end (pages->cr, CAIRO_TAG_DEST);
      cairo_pdf_surface_add_outline (pages->surface, CAIRO_PDF_OUTLINE_ROOT, block->text, target,
                                     0);
    }
  show_lines (pages, layout, MARGIN, ink, NULL);
  pages->y += 3;
}

static void
show_paragraph (Pages *pages, const MsBlock *block)
{
  gboolean note = block->role == MS_ROLE_NOTE, gentle = note || block->role == MS_ROLE_SOFT;

  show_text (pages, block->text, note ? SMALL : BODY, MARGIN,
             block->role == MS_ROLE_WARNING ? warn
             : gentle                       ? soft
                                            : ink);
  pages->y += 5;
}

/* An item's text, followed by the name of the section it comes from. */
static void
show_item (Pages *pages, const MsItem *item, double x, double size, MsColour colour)
{
  g_autofree char *text = item->place != NULL
                              ? g_strdup_printf ("%s  %s", item->text, item->place->title)
                              : g_strdup (item->text);
  gboolean command = g_strcmp0 (item->name, "Command") == 0;
  g_autoptr (PangoLayout) layout
      = make_layout (pages, text, command ? "DejaVu Sans Mono, monospace" : NULL,
                     command ? size * 0.85 : size, FALSE, pages->width - MARGIN - x);

  if (item->place != NULL)
    {
      PangoAttrList *attributes = pango_attr_list_new ();
      PangoAttribute *colour_of_link = pango_attr_foreground_new (
          (guint16) (blue.r * 65535), (guint16) (blue.g * 65535), (guint16) (blue.b * 65535));

      colour_of_link->start_index
          = (guint) (strlen (pango_layout_get_text (layout)) - strlen (item->place->title));
      pango_attr_list_insert (attributes, colour_of_link);
      pango_layout_set_attributes (layout, attributes);
      pango_attr_list_unref (attributes);
    }
  show_lines (pages, layout, x, colour, item->place);
}

static void
show_items (Pages *pages, const MsBlock *block)
{
  gboolean facts = block->kind == MS_BLOCK_FACTS, ranked = block->kind == MS_BLOCK_RANKED;
  double size = facts || block->role == MS_ROLE_NOTE ? SMALL : BODY;
  double indent = facts ? 0 : ranked ? 30 : 10;
  MsColour colour = block->role == MS_ROLE_NOTE ? soft : ink;

  for (guint i = 0; i < block->items->len && facts; i++)
    {
      g_autoptr (PangoLayout) name
          = make_layout (pages, g_array_index (block->items, MsItem, i).name, NULL, size, FALSE, 0);

      indent = MIN (MAX (indent, layout_width (name) + 10), 0.3 * text_width (pages));
    }
  for (guint i = 0; i < block->items->len; i++)
    {
      const MsItem *item = &g_array_index (block->items, MsItem, i);
      g_autoptr (PangoLayout) mark = make_layout (
          pages, facts || ranked ? item->name : "\xe2\x80\xa2", NULL, size, FALSE, 0);

      need (pages, layout_height (mark));
      use_colour (pages, facts ? soft : colour);
      cairo_move_to (pages->cr, ranked ? MARGIN + indent - 8 - layout_width (mark) : MARGIN,
                     pages->y);
      pango_cairo_show_layout (pages->cr, mark);
      show_item (pages, item, MARGIN + indent, size, colour);
      pages->y += facts ? 1 : 2.5;
    }
  pages->y += 5;
}

/* One of several numbers side by side; returns its height. */
static double
draw_number (Pages *pages, const MsItem *item, double x, double width, gboolean draw)
{
  const char *number = item->number != NULL ? item->number : "\xe2\x80\x93";
  g_autoptr (PangoLayout) name = make_layout (pages, item->name, NULL, SMALL, FALSE, width);
  g_autoptr (PangoLayout) large = make_layout (pages, number, NULL, 17, TRUE, 0);
  g_autoptr (PangoLayout) unit
      = make_layout (pages, item->unit != NULL ? item->unit : "", NULL, SMALL, FALSE, 0);
  g_autoptr (PangoLayout) text = make_layout (pages, item->text, NULL, SMALL, FALSE, width);
  double y = pages->y + layout_height (name), below = y + layout_height (large);

  if (draw)
    {
      use_colour (pages, soft);
      cairo_move_to (pages->cr, x, pages->y);
      pango_cairo_show_layout (pages->cr, name);
      cairo_move_to (
          pages->cr, x + layout_width (large) + 4,
          y
              + (double) (pango_layout_get_baseline (large) - pango_layout_get_baseline (unit))
                    / PANGO_SCALE);
      pango_cairo_show_layout (pages->cr, unit);
      use_colour (pages, ink);
      cairo_move_to (pages->cr, x, y);
      pango_cairo_show_layout (pages->cr, large);
      cairo_move_to (pages->cr, x, below);
      pango_cairo_show_layout (pages->cr, text);
    }
  return below + layout_height (text) - pages->y;
}

static void
show_numbers (Pages *pages, const MsBlock *block)
{
  const guint columns = 3;
  double width = (text_width (pages) - (columns - 1) * GUTTER) / columns;

  pages->y += 6;
  for (guint from = 0; from < block->items->len; from += columns)
    {
      double tall = 0;

      for (int draw = FALSE; draw <= TRUE; draw++)
        {
          for (guint i = 0; i < columns && from + i < block->items->len; i++)
            {
              const MsItem *item = &g_array_index (block->items, MsItem, from + i);
              double own = draw_number (pages, item, MARGIN + i * (width + GUTTER), width, draw);

              tall = MAX (tall, own);
            }
          if (!draw)
            need (pages, tall);
        }
      pages->y += tall + 8;
    }
}

/* --- Figures -------------------------------------------------------------------------------------- */

/* Draws at (x, y) with the caption below; returns the height. */
static double
draw_figure (Pages *pages, MsFigure *figure, const MsBlock *block, double x, double width,
             double height, gboolean draw)
{
  g_autoptr (PangoLayout) caption = make_layout (pages, block->text, NULL, CELLS, FALSE, width);
  const double scale = 0.75; /* points in 1/96 inch */

  if (draw)
    {
      cairo_save (pages->cr);
      cairo_translate (pages->cr, x, pages->y);
      cairo_scale (pages->cr, scale, scale);
      ms_figure_draw (figure, pages->cr, width / scale, height / scale);
      cairo_restore (pages->cr);
      use_colour (pages, soft);
      cairo_move_to (pages->cr, x, pages->y + height + 2);
      pango_cairo_show_layout (pages->cr, caption);
    }
  return height + 2 + layout_height (caption);
}

static double
figure_height (const Pages *pages, MsFigure *figure, double width)
{
  return MIN (0.75 * ms_figure_natural_height (figure, width / 0.75),
              pages->height - 2 * MARGIN - 40);
}

/* The width of a section's first figure. */
static double
first_width (const Pages *pages, const MsBlock *block)
{
  return block->plot->facet != NULL ? text_width (pages) : MIN (SINGLE, text_width (pages));
}

/* One figure, or two side by side. */
static void
show_figures (Pages *pages, MsFigure *const *figures, const MsBlock *const *blocks, guint n,
              double width)
{
  double heights[2], tall = 0;

  for (guint i = 0; i < n; i++)
    {
      heights[i] = figure_height (pages, figures[i], width);
      tall = MAX (tall, draw_figure (pages, figures[i], blocks[i], 0, width, heights[i], FALSE));
    }
  need (pages, tall);
  for (guint i = 0; i < n; i++)
    draw_figure (pages, figures[i], blocks[i], MARGIN + i * (width + GUTTER), width, heights[i],
                 TRUE);
  pages->y += tall + 9;
}

/* The figure that waits, alone. */
static void
flush_figures (Pages *pages)
{
  if (pages->beside == NULL)
    return;
  show_figures (pages, &pages->beside, &pages->beside_block, 1, (text_width (pages) - GUTTER) / 2);
  g_clear_pointer (&pages->beside, ms_figure_free);
}

/* The first figure of a section is large, the further ones stand in pairs. */
static void
show_figure (Pages *pages, const MsBlock *block)
{
  g_autoptr (MsFigure) figure = ms_report_figure (block, ms_theme_find ("paper"), FALSE);
  double column = (text_width (pages) - GUTTER) / 2;

  if (figure == NULL)
    return;
  if (!block->further)
    {
      show_figures (pages, &figure, &block, 1, first_width (pages, block));
      return;
    }
  if (pages->beside == NULL)
    {
      pages->beside = g_steal_pointer (&figure);
      pages->beside_block = block;
      return;
    }
  {
    MsFigure *const pair[] = { pages->beside, figure };
    const MsBlock *const blocks[] = { pages->beside_block, block };

    show_figures (pages, pair, blocks, 2, column);
    g_clear_pointer (&pages->beside, ms_figure_free);
  }
}

/* --- Tables --------------------------------------------------------------------------------------- */

static char *
cell_text (const MsTable *table, guint row, guint column)
{
  return ms_table_is_null (table, row, column) ? g_strdup ("\xe2\x80\x93")
                                               : ms_table_format (table, row, column);
}

/* The widths of the first columns that fit; returns how many. */
static guint
measure_columns (Pages *pages, const MsTable *table, guint rows, double *widths)
{
  double left = text_width (pages);
  guint n = ms_table_n_columns (table);

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *title = ms_report_column_title (ms_table_column (table, i));
      g_autoptr (PangoLayout) head = make_layout (pages, title, NULL, CELLS, TRUE, 0);

      widths[i] = MIN (layout_width (head) + 1, 52);
      for (guint row = 0; row < rows; row++)
        {
          g_autofree char *text = cell_text (table, row, i);
          g_autoptr (PangoLayout) cell = make_layout (pages, text, NULL, CELLS, FALSE, 0);

          widths[i] = MAX (widths[i], MIN (layout_width (cell) + 1, 150));
        }
      left -= widths[i] + GUTTER / 2;
      if (left < -GUTTER / 2 && i > 0)
        return i;
    }
  return n;
}

static double
show_row (Pages *pages, const MsTable *table, int row, const double *widths, guint n, gboolean draw)
{
  double x = MARGIN, tall = 0;

  for (guint i = 0; i < n; i++)
    {
      const MsColumn *column = ms_table_column (table, i);
      g_autofree char *text
          = row < 0 ? ms_report_column_title (column) : cell_text (table, (guint) row, i);
      g_autoptr (PangoLayout) layout = make_layout (pages, text, NULL, CELLS, row < 0, widths[i]);

      if (column->type != MS_COLUMN_TEXT)
        pango_layout_set_alignment (layout, PANGO_ALIGN_RIGHT);
      if (row >= 0)
        {
          pango_layout_set_height (layout, -1);
          pango_layout_set_ellipsize (layout, PANGO_ELLIPSIZE_END);
        }
      tall = MAX (tall, layout_height (layout));
      if (draw)
        {
          use_colour (pages, ink);
          cairo_move_to (pages->cr, x, pages->y);
          pango_cairo_show_layout (pages->cr, layout);
        }
      x += widths[i] + GUTTER / 2;
    }
  return tall;
}

static void
draw_rule (Pages *pages)
{
  use_colour (pages, rule);
  cairo_set_line_width (pages->cr, 0.5);
  cairo_move_to (pages->cr, MARGIN, pages->y);
  cairo_rel_line_to (pages->cr, text_width (pages), 0);
  cairo_stroke (pages->cr);
}

static void
show_table (Pages *pages, const MsBlock *block)
{
  const MsTable *table = block->table;
  guint all = ms_table_n_rows (table), shown = MIN (all, ROWS), n_all = ms_table_n_columns (table);
  g_autofree double *widths = g_new (double, n_all + 1);
  guint n = measure_columns (pages, table, shown, widths);
  g_autofree char *title = g_strdup_printf ("Table: %s (%u row%s)", ms_table_def (table)->title,
                                            all, all == 1 ? "" : "s");
  g_autoptr (PangoLayout) name = make_layout (pages, title, NULL, SMALL, TRUE, text_width (pages));
  double head = show_row (pages, table, -1, widths, n, FALSE);

  need (pages, layout_height (name) + head + 40);
  show_lines (pages, name, MARGIN, ink, NULL);
  pages->y += 2;
  if (shown > 0)
    {
      show_row (pages, table, -1, widths, n, TRUE);
      pages->y += head + 1;
      draw_rule (pages);
      pages->y += 1.5;
    }
  for (guint row = 0; row < shown; row++)
    {
      double tall = show_row (pages, table, (int) row, widths, n, FALSE);

      need (pages, tall);
      show_row (pages, table, (int) row, widths, n, TRUE);
      pages->y += tall;
    }
  if (shown < all || n < n_all)
    {
      g_autofree char *note = g_strdup_printf ("%u of %u rows, %u of %u columns; all: %s", shown,
                                               all, n, n_all, block->text);

      pages->y += 2;
      show_text (pages, note, CELLS, MARGIN, soft);
    }
  pages->y += 8;
}

/* --- The document --------------------------------------------------------------------------------- */

static void
show_block (Pages *pages, const MsBlock *block)
{
  if (block->kind != MS_BLOCK_FIGURE)
    flush_figures (pages);
  switch (block->kind)
    {
    case MS_BLOCK_HEADING:
      show_heading (pages, block);
      break;
    case MS_BLOCK_TEXT:
      show_paragraph (pages, block);
      break;
    case MS_BLOCK_FIGURE:
      show_figure (pages, block);
      break;
    case MS_BLOCK_TABLE:
      show_table (pages, block);
      break;
    case MS_BLOCK_NUMBERS:
      show_numbers (pages, block);
      break;
    default:
      show_items (pages, block);
    }
}

/* The height of a section's heading, sentences and first figure, which stand on one page; 0 when it
 * begins otherwise. */
static double
beginning_height (Pages *pages, const GPtrArray *blocks, guint from)
{
  double height = 30; /* of the spaces between them */

  for (guint i = from; i < blocks->len; i++)
    {
      const MsBlock *block = blocks->pdata[i];

      if (block->kind == MS_BLOCK_FIGURE)
        {
          g_autoptr (MsFigure) figure = ms_report_figure (block, ms_theme_find ("paper"), FALSE);
          double width = first_width (pages, block);

          return figure == NULL ? 0
                                : height + figure_height (pages, figure, width)
                                      + draw_figure (pages, figure, block, 0, width, 0, FALSE);
        }
      if (block->kind == MS_BLOCK_HEADING || block->kind == MS_BLOCK_TEXT)
        {
          g_autoptr (PangoLayout) layout = make_layout (
              pages, block->text, NULL, block->kind == MS_BLOCK_HEADING ? 2 * BODY : BODY, FALSE,
              text_width (pages));

          height += layout_height (layout) + 5;
        }
      else
        break;
    }
  return 0;
}

static PangoContext *
make_context (cairo_t *cr)
{
  PangoContext *context = pango_cairo_create_context (cr);
  cairo_font_options_t *options = cairo_font_options_create ();

  cairo_font_options_set_hint_style (options, CAIRO_HINT_STYLE_NONE);
  cairo_font_options_set_hint_metrics (options, CAIRO_HINT_METRICS_OFF);
  pango_cairo_context_set_font_options (context, options);
  pango_cairo_context_set_resolution (context, 72);
  pango_context_set_round_glyph_positions (context, FALSE);
  pango_context_set_language (context, pango_language_from_string ("en"));
  cairo_font_options_destroy (options);
  return context;
}

static GBytes *
write_pdf (const MsReport *report, const MsReportTarget *target, GError **error)
{
  g_autoptr (GByteArray) pdf = g_byte_array_new ();
  g_autoptr (GPtrArray) blocks = ms_report_content (report);
  Pages pages
      = { .width = target->width * 72, .height = target->height * 72, .y = MARGIN, .page = 1 };
  cairo_status_t status;

  pages.surface = cairo_pdf_surface_create_for_stream (collect, pdf, pages.width, pages.height);
  cairo_pdf_surface_set_metadata (pages.surface, CAIRO_PDF_METADATA_CREATE_DATE,
                                  "1970-01-01T00:00:00Z");
  cairo_pdf_surface_set_metadata (pages.surface, CAIRO_PDF_METADATA_CREATOR,
                                  "moescope " MS_VERSION);
  cairo_pdf_surface_set_metadata (pages.surface, CAIRO_PDF_METADATA_TITLE, report->title);
  cairo_pdf_surface_set_metadata (pages.surface, CAIRO_PDF_METADATA_SUBJECT, ms_command_line ());
  pages.cr = cairo_create (pages.surface);
  pages.context = make_context (pages.cr);
  for (guint i = 0; i < blocks->len; i++)
    {
      const MsBlock *block = blocks->pdata[i];

      if (block->kind == MS_BLOCK_HEADING)
        {
          flush_figures (&pages);
          need (&pages, beginning_height (&pages, blocks, i));
        }
      show_block (&pages, block);
    }
  flush_figures (&pages);
  end_page (&pages);
  g_object_unref (pages.context);
  status = cairo_status (pages.cr);
  cairo_destroy (pages.cr);
  cairo_surface_finish (pages.surface);
  if (status == CAIRO_STATUS_SUCCESS)
    status = cairo_surface_status (pages.surface);
  cairo_surface_destroy (pages.surface);
  if (status == CAIRO_STATUS_SUCCESS)
    return g_byte_array_free_to_bytes (g_steal_pointer (&pdf));
  g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_IO, "the pages cannot be drawn: %s",
               cairo_status_to_string (status));
  return NULL;
}

const MsReportFormat ms_report_format_pdf = {
  .endings = (const char *const[]){ ".pdf", NULL },
  .write = write_pdf,
};
