/* Text, lines and fills.  Text goes through Pango at 96 dpi with font options of our own (no hinting,
 * no rounded metrics, grey antialiasing), so that it has the same size on every surface. */
#include "figure-private.h"

#include <math.h>
#include <string.h>

const cairo_user_data_key_t ms_pen_live_key;

void
ms_pen_init (MsPen *pen, const MsTheme *theme, cairo_t *cr)
{
  PangoFontMap *map = pango_cairo_font_map_get_default (); /* one per thread */
  cairo_font_options_t *options = cairo_font_options_create ();

  *pen = (MsPen){ .cr = cr, .theme = theme, .em = theme->font_points * 96 / 72 };
  cairo_font_options_set_hint_style (options, CAIRO_HINT_STYLE_NONE);
  cairo_font_options_set_hint_metrics (options, CAIRO_HINT_METRICS_OFF);
  cairo_font_options_set_antialias (options, CAIRO_ANTIALIAS_GRAY);
  pen->context = pango_font_map_create_context (map);
  pango_cairo_context_set_font_options (pen->context, options);
  pango_cairo_context_set_resolution (pen->context, 96);
  pango_context_set_round_glyph_positions (pen->context, FALSE);
  pango_context_set_language (pen->context, pango_language_from_string ("en"));
  cairo_font_options_destroy (options);
  if (cr != NULL)
    {
      pango_cairo_update_context (cr, pen->context);
      pen->live = cairo_surface_get_user_data (cairo_get_target (cr), &ms_pen_live_key);
    }
  pen->layout = pango_layout_new (pen->context);
}

void
ms_pen_clear (MsPen *pen)
{
  g_clear_object (&pen->layout);
  g_clear_object (&pen->context);
}

void
ms_pen_colour (MsPen *pen, MsColour colour, double alpha)
{
  cairo_set_source_rgba (pen->cr, colour.r, colour.g, colour.b, alpha);
}

MsColour
ms_pen_ink (const MsPen *pen, guint style)
{
  if (style & MS_TEXT_FAINT)
    return ms_colour_mix (pen->theme->ink, pen->theme->paper, 0.3);
  return pen->theme->ink;
}

static double
size_of (const MsPen *pen, guint style)
{
  return pen->em * (style & MS_TEXT_TINY ? 0.7 : style & MS_TEXT_SMALL ? 0.85 : 1);
}

static void
set_font (MsPen *pen, guint style)
{
  PangoFontDescription *font = pango_font_description_from_string (pen->theme->font);

  pango_font_description_set_absolute_size (font, size_of (pen, style) * PANGO_SCALE);
  pango_font_description_set_weight (font, style & MS_TEXT_BOLD ? PANGO_WEIGHT_BOLD
                                                                : PANGO_WEIGHT_NORMAL);
  pango_layout_set_font_description (pen->layout, font);
  pango_font_description_free (font);
}

PangoLayout *
ms_pen_layout_new (MsPen *pen, guint style)
{
  PangoLayout *layout = pango_layout_new (pen->context);

  set_font (pen, style);
  pango_layout_set_font_description (layout, pango_layout_get_font_description (pen->layout));
  return layout;
}

static double
width_of (MsPen *pen, const char *text, gssize length, double *height)
{
  int w, h;

  pango_layout_set_text (pen->layout, text, (int) length);
  pango_layout_get_size (pen->layout, &w, &h);
  if (height != NULL)
    *height = (double) h / PANGO_SCALE;
  return (double) w / PANGO_SCALE;
}

/* One clean line of text, cut to max_width.  Leaves the result in the layout. */
static char *
fit (MsPen *pen, const char *text, guint style, double max_width, double *width, double *height)
{
  g_autofree char *clean = ms_text_printable (text, -1);
  glong least = 0, most;

  set_font (pen, style);
  pango_layout_set_width (pen->layout, -1);
  pango_layout_set_single_paragraph_mode (pen->layout, TRUE);
  *width = width_of (pen, clean, -1, height);
  if (max_width <= 0 || *width <= max_width)
    return g_steal_pointer (&clean);
  /* The most characters that fit together with the ellipsis. */
  most = g_utf8_strlen (clean, -1) - 1;
  while (least < most)
    {
      glong middle = (least + most + 1) / 2;
      g_autofree char *start = g_utf8_substring (clean, 0, middle);
      g_autofree char *cut = g_strconcat (start, "\xe2\x80\xa6", NULL);

      if (width_of (pen, cut, -1, NULL) <= max_width)
        least = middle;
      else
        most = middle - 1;
    }
  {
    g_autofree char *start = g_utf8_substring (clean, 0, MAX (least, 0));
    char *cut = g_strconcat (g_strchomp (start), "\xe2\x80\xa6", NULL);

    *width = width_of (pen, cut, -1, height);
    return cut;
  }
}

void
ms_pen_measure (MsPen *pen, const char *text, guint style, double max_width, double *width,
                double *height)
{
  double w, h;
  g_autofree char *fitted = fit (pen, text, style, max_width, &w, &h);

  if (width != NULL)
    *width = w;
  if (height != NULL)
    *height = h;
}

static char *
style_of (double size, MsColour colour)
{
  char number[MS_NUMBER_SIZE];

  g_ascii_formatd (number, sizeof number, "%.4g", size);
  return g_strdup_printf ("font-size:%spx;fill:#%02x%02x%02x", number,
                          (guint) lround (colour.r * 255), (guint) lround (colour.g * 255),
                          (guint) lround (colour.b * 255));
}

char *
ms_text_style (const MsTheme *theme)
{
  return style_of (theme->font_points * 96 / 72, theme->ink);
}

/* <text> whose length is fixed to what Pango measured: another font keeps the layout. */
static void
write_live (MsPen *pen, double x, double baseline, double angle, double pivot_x, double pivot_y,
            guint style, MsColour colour, double width, const char *text)
{
  char a[6][MS_NUMBER_SIZE];
  const double numbers[6] = { x, baseline, width, angle, pivot_x, pivot_y };
  g_autofree char *escaped = g_markup_escape_text (text, -1);
  g_autofree char *own = style_of (size_of (pen, style), colour);
  g_autofree char *common = ms_text_style (pen->theme);

  for (guint i = 0; i < 6; i++)
    g_ascii_formatd (a[i], sizeof a[i], "%.6g", round (numbers[i] * 100) / 100);
  g_string_append_printf (pen->live, "<text x=\"%s\" y=\"%s\"", a[0], a[1]);
  if (angle != 0)
    g_string_append_printf (pen->live, " transform=\"rotate(%s %s %s)\"", a[3], a[4], a[5]);
  /* The shortest labels may be as wide as the font makes them. */
  if (!pen->compact && g_utf8_strlen (text, -1) > 3)
    g_string_append_printf (pen->live, " textLength=\"%s\" lengthAdjust=\"spacingAndGlyphs\"",
                            a[2]);
  if (style & MS_TEXT_BOLD)
    g_string_append (pen->live, " font-weight=\"bold\"");
  if (strcmp (own, common) != 0)
    g_string_append_printf (pen->live, " style=\"%s\"", own);
  g_string_append_printf (pen->live, ">%s</text>\n", escaped);
}

void
ms_pen_text (MsPen *pen, double x, double y, double ax, double ay, double angle, guint style,
             MsColour colour, double max_width, const char *text)
{
  double w, h;
  g_autofree char *fitted = fit (pen, text, style, max_width, &w, &h);

  if (pen->cr == NULL || fitted[0] == '\0')
    return;
  if (pen->live != NULL)
    {
      double baseline = (double) pango_layout_get_baseline (pen->layout) / PANGO_SCALE;

      write_live (pen, x - ax * w, y - ay * h + baseline, angle, x, y, style, colour, w, fitted);
      return;
    }
  cairo_save (pen->cr);
  ms_pen_colour (pen, colour, 1);
  cairo_translate (pen->cr, x, y);
  cairo_rotate (pen->cr, angle * G_PI / 180);
  cairo_move_to (pen->cr, -ax * w, -ay * h);
  pango_cairo_show_layout (pen->cr, pen->layout);
  cairo_restore (pen->cr);
}

double
ms_pen_paragraph (MsPen *pen, double x, double y, double width, guint style, const char *text)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  double height = 0;
  int n;

  set_font (pen, style);
  pango_layout_set_single_paragraph_mode (pen->layout, FALSE);
  pango_layout_set_width (pen->layout, (int) (MAX (width, 1) * PANGO_SCALE));
  pango_layout_set_wrap (pen->layout, PANGO_WRAP_WORD_CHAR);
  pango_layout_set_text (pen->layout, text, -1);
  n = pango_layout_get_line_count (pen->layout);
  for (int i = 0; i < n; i++)
    {
      PangoLayoutLine *line = pango_layout_get_line_readonly (pen->layout, i);

      g_ptr_array_add (lines, g_strchomp (g_strndup (text + line->start_index, line->length)));
    }
  for (guint i = 0; i < lines->len; i++)
    {
      double h;

      ms_pen_measure (pen, lines->pdata[i], style, 0, NULL, &h);
      ms_pen_text (pen, x, y + height, 0, 0, 0, style, ms_pen_ink (pen, style), 0, lines->pdata[i]);
      height += h;
    }
  return height;
}

void
ms_pen_line (MsPen *pen, double x1, double y1, double x2, double y2)
{
  cairo_move_to (pen->cr, x1, y1);
  cairo_line_to (pen->cr, x2, y2);
  cairo_stroke (pen->cr);
}

void
ms_pen_hatch (MsPen *pen, double spacing)
{
  double x1, y1, x2, y2;

  cairo_save (pen->cr);
  cairo_path_extents (pen->cr, &x1, &y1, &x2, &y2);
  cairo_clip (pen->cr);
  cairo_set_line_width (pen->cr, 0.6);
  ms_pen_colour (pen, ms_colour_mix (pen->theme->faint, pen->theme->ink, 0.12), 1);
  /* Lines are multiples of the spacing from the origin, so neighbours' hatches meet. */
  for (double d = floor ((x1 + y1) / spacing) * spacing; d < x2 + y2; d += spacing)
    {
      cairo_move_to (pen->cr, d - y1 + 1, y1 - 1);
      cairo_line_to (pen->cr, d - y2 - 1, y2 + 1);
    }
  cairo_stroke (pen->cr);
  cairo_restore (pen->cr);
}

void
ms_pen_dash (MsPen *pen, guint series, double line_width)
{
  static const struct
  {
    int n;
    double lengths[6];
  } dashes[MS_SERIES_MAX] = { { 0, { 0 } },      { 2, { 4, 1.6 } },
                              { 2, { 1, 1.4 } }, { 4, { 6, 1.5, 1, 1.5 } },
                              { 2, { 8, 2 } },   { 6, { 4, 1.5, 1, 1.5, 1, 1.5 } },
                              { 2, { 2, 2 } } };
  double scaled[6];

  if (series >= MS_SERIES_MAX)
    {
      cairo_set_dash (pen->cr, NULL, 0, 0);
      return;
    }
  for (int i = 0; i < dashes[series].n; i++)
    scaled[i] = dashes[series].lengths[i] * MAX (line_width, 0.8);
  cairo_set_dash (pen->cr, scaled, dashes[series].n, 0);
}

void
ms_pen_marker (MsPen *pen, guint series, double x, double y, double radius, MsColour colour)
{
  /* Corners of the polygons on the unit circle; 0 corners is a disc. */
  static const struct
  {
    int corners;
    double turn; /* of the first corner, in full turns from the right */
    double scale;
  } shapes[MS_SERIES_MAX] = { { 0, 0, 1 },      { 4, 0.125, 1.2 }, { 3, 0.75, 1.3 }, { 4, 0, 1.3 },
                              { 3, 0.25, 1.3 }, { 5, 0.75, 1.2 },  { 6, 0, 1.1 } };
  cairo_t *cr = pen->cr;
  guint shape = series < MS_SERIES_MAX ? series : 0;

  cairo_new_path (cr);
  if (shapes[shape].corners == 0)
    cairo_arc (cr, x, y, radius, 0, 2 * G_PI);
  for (int i = 0; i < shapes[shape].corners; i++)
    {
      double angle = 2 * G_PI * (shapes[shape].turn + (double) i / shapes[shape].corners);

      cairo_line_to (cr, x + radius * shapes[shape].scale * cos (angle),
                     y + radius * shapes[shape].scale * sin (angle));
    }
  cairo_close_path (cr);
  ms_pen_colour (pen, colour, 1);
  cairo_fill_preserve (cr);
  /* Yellow is faint on white: a dark outline carries it. */
  ms_pen_colour (pen, shape == MS_YELLOW_SLOT ? ms_pen_ink (pen, MS_TEXT_FAINT) : pen->theme->paper,
                 1);
  cairo_set_dash (cr, NULL, 0, 0);
  cairo_set_line_width (cr, 0.5);
  cairo_stroke (cr);
}

void
ms_pen_fill (MsPen *pen, guint series, MsColour colour)
{
  /* Directions of the hatch over the fill, as (dx, dy) of its lines. */
  static const struct
  {
    int n;
    double spacing;
    double lines[2][2];
  } patterns[MS_SERIES_MAX] = { { 0, 0, { { 0, 0 } } },
                                { 1, 5, { { 1, 1 } } },
                                { 1, 5, { { 1, -1 } } },
                                { 1, 4, { { 1, 0 } } },
                                { 2, 5, { { 1, 1 }, { 1, -1 } } },
                                { 1, 4, { { 0, 1 } } },
                                { 2, 4, { { 1, 0 }, { 0, 1 } } } };
  double x1, y1, x2, y2;
  cairo_t *cr = pen->cr;

  ms_pen_colour (pen, colour, 1);
  cairo_fill_preserve (cr);
  cairo_path_extents (cr, &x1, &y1, &x2, &y2);
  if (series == 0 || series >= MS_SERIES_MAX || x2 - x1 < 2 || y2 - y1 < 2)
    {
      cairo_new_path (cr);
      return;
    }
  cairo_save (cr);
  cairo_clip (cr);
  cairo_set_line_width (cr, 0.6);
  ms_pen_colour (pen, pen->theme->paper, 0.6);
  for (int i = 0; i < patterns[series].n; i++)
    {
      double dx = patterns[series].lines[i][0], dy = patterns[series].lines[i][1];
      /* A narrow bar holds as many lines as a wide one. */
      double step = x2 - x1 < 6 ? 3 : patterns[series].spacing, reach = x2 - x1 + y2 - y1 + step;
      /* Lines through points on the box's left and top (or bottom) edge. */
      for (double d = -reach; d < reach; d += step)
        {
          double px = dy == 0 ? x1 : x1 + d, py = dy == 0 ? y1 + d : dy < 0 ? y2 : y1;

          cairo_move_to (cr, px, py);
          cairo_rel_line_to (cr, dx * reach, dy * reach);
        }
    }
  cairo_stroke (cr);
  cairo_restore (cr);
}

void
ms_pen_underline (MsPen *pen, guint slot, double x1, double x2, double y)
{
  static const struct
  {
    double width, dash[2];
    gboolean twice;
  } lines[] = { { 0, { 0 }, FALSE },  { 0.7, { 0 }, FALSE }, { 0.9, { 0.9, 1.3 }, FALSE },
                { 0.6, { 0 }, TRUE }, { 1.7, { 0 }, FALSE }, { 0.8, { 3, 1.6 }, FALSE },
                { 0.6, { 0 }, FALSE } };
  const guint wave = G_N_ELEMENTS (lines) - 1;
  const double off = 1.2, apart = 1.5;
  cairo_t *cr = pen->cr;

  if (slot >= G_N_ELEMENTS (lines) || lines[slot].width == 0)
    return;
  y += off;
  ms_pen_colour (pen, pen->theme->ink, 1);
  cairo_set_line_width (cr, lines[slot].width);
  cairo_set_dash (cr, lines[slot].dash, lines[slot].dash[0] > 0 ? 2 : 0, 0);
  cairo_move_to (cr, x1, y);
  if (slot == wave)
    for (guint i = 1; x1 + 1.2 * i <= x2; i++)
      cairo_line_to (cr, x1 + 1.2 * i, y + (i % 2 == 0 ? -0.7 : 0.7));
  else
    cairo_line_to (cr, x2, y);
  if (lines[slot].twice)
    {
      cairo_move_to (cr, x1, y + apart);
      cairo_line_to (cr, x2, y + apart);
    }
  cairo_stroke (cr);
  cairo_set_dash (cr, NULL, 0, 0);
}

void
ms_swatch_point (MsPen *pen, guint slot, MsColour colour, MsRect box)
{
  ms_pen_marker (pen, slot, box.x + box.w / 2, box.y + box.h / 2, pen->em * 0.24, colour);
}

void
ms_swatch_line (MsPen *pen, guint slot, MsColour colour, MsRect box)
{
  double width = pen->theme->line_points * 96 / 72, y = box.y + box.h / 2;

  ms_pen_dash (pen, slot, width);
  if (slot == MS_YELLOW_SLOT)
    {
      cairo_set_line_width (pen->cr, width + 1);
      ms_pen_colour (pen, ms_pen_ink (pen, MS_TEXT_FAINT), 1);
      ms_pen_line (pen, box.x, y, box.x + box.w, y);
    }
  cairo_set_line_width (pen->cr, width);
  ms_pen_colour (pen, colour, 1);
  ms_pen_line (pen, box.x, y, box.x + box.w, y);
  cairo_set_dash (pen->cr, NULL, 0, 0);
  ms_swatch_point (pen, slot, colour, box);
}

void
ms_swatch_box (MsPen *pen, guint slot, MsColour colour, MsRect box)
{
  cairo_rectangle (pen->cr, box.x, box.y, box.w, box.h);
  ms_pen_fill (pen, slot, colour);
}

void
ms_swatch_words (MsPen *pen, guint slot, MsColour colour, MsRect box)
{
  ms_swatch_box (pen, MS_SERIES_MAX, colour, box);
  if (pen->theme->signs)
    ms_pen_underline (pen, slot, box.x, box.x + box.w, box.y + box.h);
}

void
ms_slot_draw (const MsTheme *theme, guint slot, cairo_t *cr, double width, double height)
{
  g_auto (MsPen) pen = { 0 };

  g_return_if_fail (slot < theme->n_series);
  ms_pen_init (&pen, theme, cr);
  ms_swatch_line (&pen, slot, theme->series[slot], (MsRect){ 0, 0, width, height });
}

gboolean
ms_font_is_installed (const char *family)
{
  PangoFontFamily **families = NULL;
  gboolean found = FALSE;
  int n = 0;

  pango_font_map_list_families (pango_cairo_font_map_get_default (), &families, &n);
  for (int i = 0; i < n; i++)
    found = found || g_ascii_strcasecmp (pango_font_family_get_name (families[i]), family) == 0;
  g_free (families);
  return found;
}
