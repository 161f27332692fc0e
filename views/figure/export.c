/* Figures as files: drawn into memory first, then put in place in one step.
 *
 * The same figure gives the same bytes: dates are fixed, ids come from the drawing alone.  PNG gets its
 * resolution and comment as chunks; SVG gets live text and, for images, the hint that keeps cells
 * sharp. */
#include "figure-private.h"

#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <math.h>
#include <string.h>

static cairo_status_t
collect (gpointer closure, const guint8 *data, guint length)
{
  g_byte_array_append (closure, data, length);
  return CAIRO_STATUS_SUCCESS;
}

/* Draws on `surface`, scaled to its units, and closes it. */
static gboolean
render (MsFigure *figure, cairo_surface_t *surface, double scale, double width, double height,
        GError **error)
{
  cairo_t *cr = cairo_create (surface);
  cairo_status_t status;

  cairo_scale (cr, scale, scale);
  ms_figure_draw (figure, cr, width, height);
  cairo_show_page (cr);
  status = cairo_status (cr);
  cairo_destroy (cr);
  cairo_surface_finish (surface);
  if (status == CAIRO_STATUS_SUCCESS)
    status = cairo_surface_status (surface);
  if (status == CAIRO_STATUS_SUCCESS)
    return TRUE;
  g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_IO, "drawing plot '%s' failed: %s",
               figure->plot->name, cairo_status_to_string (status));
  return FALSE;
}

static guint32
crc_of (const guint8 *data, gsize length)
{
  guint32 crc = 0xffffffff;

  for (gsize i = 0; i < length; i++)
    {
      crc ^= data[i];
      for (guint bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
  return ~crc;
}

static void
append_u32 (GByteArray *out, guint32 value)
{
  guint32 big = GUINT32_TO_BE (value);

  g_byte_array_append (out, (const guint8 *) &big, 4);
}

static void
append_chunk (GByteArray *out, const char *type, const guint8 *data, guint length)
{
  guint start;

  append_u32 (out, length);
  start = out->len;
  g_byte_array_append (out, (const guint8 *) type, 4);
  g_byte_array_append (out, data, length);
  append_u32 (out, crc_of (out->data + start, out->len - start));
}

/* After the header chunk: pHYs (pixels per metre) and iTXt (what made the figure). */
static GByteArray *
annotate_png (const GByteArray *png, double dpi, const char *comment)
{
  const guint head = 8 + 12 + 13; /* signature, IHDR */
  GByteArray *out = g_byte_array_new ();
  guint32 per_metre = GUINT32_TO_BE ((guint32) lround (dpi / 0.0254));
  guint8 physical[9] = { 0 };

  g_byte_array_append (out, png->data, head);
  memcpy (physical, &per_metre, 4);
  memcpy (physical + 4, &per_metre, 4);
  physical[8] = 1; /* metres */
  append_chunk (out, "pHYs", physical, sizeof physical);
  if (comment != NULL && comment[0] != '\0')
    {
      /* Keyword, no compression, no language, no translated keyword. */
      static const char start[] = "Comment\0\0\0\0";
      g_autoptr (GByteArray) text = g_byte_array_new ();

      g_byte_array_append (text, (const guint8 *) start, sizeof start);
      g_byte_array_append (text, (const guint8 *) comment, (guint) strlen (comment));
      append_chunk (out, "iTXt", text->data, text->len);
    }
  g_byte_array_append (out, png->data + head, png->len - head);
  return out;
}

static GByteArray *
to_png (MsFigure *figure, double width, double height, double dpi, const char *comment,
        GError **error)
{
  double scale = dpi / 96;
  double pixels_x = ceil (width * scale - 1e-6), pixels_y = ceil (height * scale - 1e-6);
  g_autoptr (GByteArray) png = g_byte_array_new ();
  cairo_surface_t *surface;
  gboolean fine;

  if (pixels_x > 32767 || pixels_y > 32767)
    {
      g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_IO,
                   "a PNG of %.0f x %.0f pixels is too large (at most 32767); lower the resolution",
                   pixels_x, pixels_y);
      return NULL;
    }
  surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, (int) pixels_x, (int) pixels_y);
  cairo_surface_reference (surface);
  {
    cairo_t *cr = cairo_create (surface);

    cairo_set_source_rgb (cr, figure->theme.paper.r, figure->theme.paper.g, figure->theme.paper.b);
    cairo_paint (cr);
    cairo_scale (cr, scale, scale);
    ms_figure_draw (figure, cr, width, height);
    fine = cairo_status (cr) == CAIRO_STATUS_SUCCESS;
    cairo_destroy (cr);
  }
  fine = fine && cairo_surface_write_to_png_stream (surface, collect, png) == CAIRO_STATUS_SUCCESS;
  cairo_surface_destroy (surface);
  cairo_surface_destroy (surface);
  if (!fine)
    {
      g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_IO, "drawing plot '%s' failed",
                   figure->plot->name);
      return NULL;
    }
  return annotate_png (png, dpi, comment);
}

static GByteArray *
to_pdf (MsFigure *figure, double width, double height, const char *comment, GError **error)
{
  g_autoptr (GByteArray) pdf = g_byte_array_new ();
  cairo_surface_t *surface
      = cairo_pdf_surface_create_for_stream (collect, pdf, width * 0.75, height * 0.75);
  gboolean fine;

  cairo_pdf_surface_set_metadata (surface, CAIRO_PDF_METADATA_CREATE_DATE, "1970-01-01T00:00:00Z");
  cairo_pdf_surface_set_metadata (surface, CAIRO_PDF_METADATA_CREATOR, "moescope " MS_VERSION);
  cairo_pdf_surface_set_metadata (surface, CAIRO_PDF_METADATA_TITLE, figure->plot->title);
  if (comment != NULL)
    cairo_pdf_surface_set_metadata (surface, CAIRO_PDF_METADATA_SUBJECT, comment);
  fine = render (figure, surface, 0.75, width, height, error);
  cairo_surface_destroy (surface);
  return fine ? g_steal_pointer (&pdf) : NULL;
}

/* cairo 1.16 loses the filter of images, which the style brings back. */
static GString *
to_svg (MsFigure *figure, double width, double height, const char *comment, GError **error)
{
  g_autoptr (GByteArray) raw = g_byte_array_new ();
  GString *live = g_string_new (NULL), *out = NULL;
  cairo_surface_t *surface = cairo_svg_surface_create_for_stream (collect, raw, width, height);

  cairo_svg_surface_set_document_unit (surface, CAIRO_SVG_UNIT_PX);
  cairo_surface_set_user_data (surface, &ms_pen_live_key, live, NULL);
  if (render (figure, surface, 1, width, height, error))
    {
      const char *end;

      g_byte_array_append (raw, (const guint8 *) "", 1);
      out = ms_svg_tidy ((const char *) raw->data);
      g_string_replace (out, "<image ", "<image style=\"image-rendering:pixelated\" ", 0);
      end = g_strrstr (out->str, "</svg>");
      if (end != NULL)
        {
          gssize at = end - out->str;
          g_autofree char *escaped = g_markup_escape_text (figure->plot->title, -1);
          g_autofree char *clean = ms_text_printable (comment != NULL ? comment : "", -1);
          g_autofree char *note = g_markup_escape_text (clean, -1);
          g_autofree char *words
              = comment != NULL
                    ? g_strdup_printf ("<title>%s</title>\n<desc>%s</desc>\n", escaped, note)
                    : g_strdup_printf ("<title>%s</title>\n", escaped);
          const char *open = strstr (out->str, "<svg ");
          const char *close = open != NULL ? strchr (open, '>') : NULL;

          gssize head = close != NULL ? close + 1 - out->str : -1;

          g_autofree char *common = ms_text_style (&figure->theme);
          g_autofree char *group
              = g_strdup_printf ("<g xml:space=\"preserve\" style=\"font-family:%s;%s\">\n",
                                 figure->theme.font, common);

          g_string_prepend (live, group);
          g_string_append (live, "</g>\n");
          g_string_insert (out, at, live->str);
          if (head >= 0)
            g_string_insert (out, head, words);
        }
    }
  cairo_surface_destroy (surface);
  g_string_free (live, TRUE);
  return out;
}

char *
ms_figure_to_svg (MsFigure *figure, double width, double height, GError **error)
{
  GString *svg;

  width *= 96;
  height = height > 0 ? height * 96 : ms_figure_natural_height (figure, width);
  svg = to_svg (figure, width, height, NULL, error);
  return svg != NULL ? g_string_free (svg, FALSE) : NULL;
}

gboolean
ms_figure_save (MsFigure *figure, const char *path, double width, double height, double dpi,
                const char *comment, GError **error)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);
  g_autoptr (GByteArray) bytes = NULL;
  g_autoptr (GError) local = NULL;

  width *= 96;
  height = height > 0 ? height * 96 : ms_figure_natural_height (figure, width);
  if (g_str_has_suffix (lower, ".pdf"))
    bytes = to_pdf (figure, width, height, comment, error);
  else if (g_str_has_suffix (lower, ".png"))
    bytes = to_png (figure, width, height, dpi > 0 ? dpi : 300, comment, error);
  else if (g_str_has_suffix (lower, ".svg"))
    {
      GString *svg = to_svg (figure, width, height, comment, error);

      if (svg != NULL)
        {
          bytes = g_byte_array_new ();
          g_byte_array_append (bytes, (const guint8 *) svg->str, (guint) svg->len);
          g_string_free (svg, TRUE);
        }
    }
  else
    g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_FORMAT,
                 "'%s': a figure is written as .pdf, .svg or .png; choose one of these endings",
                 path);
  if (bytes == NULL)
    return FALSE;
  if (ms_file_replace (path, bytes->data, bytes->len, &local))
    return TRUE;
  g_set_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_IO, "the figure cannot be written: %s",
               local->message);
  return FALSE;
}
