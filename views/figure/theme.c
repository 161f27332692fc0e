/* The looks of a figure: colours, fonts, sizes.  A theme is data; nothing asks CSS or the display. */
#include "figure-private.h"

#include <string.h>

G_DEFINE_QUARK (ms - figure - error - quark, ms_figure_error)

#define RGB(hex)                                                                                   \
  {                                                                                                \
    ((hex) >> 16) / 255.0, ((hex) >> 8 & 0xff) / 255.0, ((hex) &0xff) / 255.0                      \
  }

/* Okabe and Ito (2008) without black; yellow, faint on white, comes last. */
static const MsColour okabe_ito[MS_SERIES_MAX]
    = { RGB (0x0072b2), RGB (0xd55e00), RGB (0x009e73), RGB (0xcc79a7),
        RGB (0xe69f00), RGB (0x56b4e9), RGB (0xf0e442) };
/* The same hues, lighter where they would sink into a dark window. */
static const MsColour okabe_ito_dark[MS_SERIES_MAX]
    = { RGB (0x3d9fdb), RGB (0xe8762c), RGB (0x1fb88b), RGB (0xdb93bb),
        RGB (0xe69f00), RGB (0x8fcff5), RGB (0xf0e442) };
/* Near the same hues, each with contrast 4.5 or more on white; found by search so that any two differ by
 * at least 13 (CIEDE2000) for every kind of colour vision, which the darkened hues themselves do not. */
static const MsColour contrast_series[MS_SERIES_MAX]
    = { RGB (0x224fbe), RGB (0x4c2707), RGB (0x02543d), RGB (0xc1006a),
        RGB (0x685400), RGB (0x088198), RGB (0x7b7945) };

#define SERIES(list) .series = (list), .n_series = MS_SERIES_MAX

static const MsTheme themes[] = {
  { .name = "screen",
    .paper = RGB (0xffffff),
    .ink = RGB (0x241f31),
    .faint = RGB (0xc8c8cc),
    .font = "DejaVu Sans, sans-serif",
    .font_points = 9,
    .line_points = 1.25,
    .titles = TRUE,
    SERIES (okabe_ito) },
  { .name = "dark",
    .paper = RGB (0x1e1e1e),
    .ink = RGB (0xeeeeec),
    .faint = RGB (0x5a5a5e),
    .font = "DejaVu Sans, sans-serif",
    .font_points = 9,
    .line_points = 1.25,
    .titles = TRUE,
    SERIES (okabe_ito_dark) },
  { .name = "paper",
    .paper = RGB (0xffffff),
    .ink = RGB (0x000000),
    .faint = RGB (0xb8b8b8),
    .font
    = "Times New Roman, Tinos, Liberation Serif, Nimbus Roman, TeX Gyre Termes, STIX Two Text, "
      "Latin Modern Roman, DejaVu Serif, serif",
    .font_points = 7.5,
    .line_points = 0.9,
    .titles = FALSE,
    .signs = TRUE,
    SERIES (okabe_ito) },
  { .name = "contrast",
    .paper = RGB (0xffffff),
    .ink = RGB (0x000000),
    .faint = RGB (0x767676),
    .font = "DejaVu Sans, sans-serif",
    .font_points = 10,
    .line_points = 2,
    .titles = TRUE,
    .signs = TRUE,
    SERIES (contrast_series) },
};

const MsTheme *
ms_theme_find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (themes); i++)
    if (strcmp (themes[i].name, name) == 0)
      return &themes[i];
  return NULL;
}

void
ms_run_slots (const gint64 *runs, guint n, guint *slots)
{
  gboolean taken[MS_SERIES_MAX] = { FALSE };
  gint64 done = 0;

  g_return_if_fail (n <= MS_SERIES_MAX);
  /* In the order of their numbers, whatever that of `runs`. */
  for (guint i = 0; i < n; i++)
    {
      guint next = n, slot;

      for (guint r = 0; r < n; r++)
        if (runs[r] > done && (next == n || runs[r] < runs[next]))
          next = r;
      if (next == n)
        return;
      done = runs[next];
      slot = (guint) ((done - 1) % MS_SERIES_MAX);
      while (taken[slot])
        slot = (slot + 1) % MS_SERIES_MAX;
      taken[slot] = TRUE;
      slots[next] = slot;
    }
}
