/* The palettes, for all eyes: scales rise in lightness, series stay apart, under normal vision and the
 * three kinds of colour blindness (Machado, Oliveira and Fernandes 2009, full severity) and in grey.
 * Distances are CIEDE2000 (Sharma, Wu and Dalal 2005), whose published pair checks the formula. */
#include "figure.h"

#include <math.h>

#define VISIONS 4

typedef struct
{
  double l, a, b;
} Lab;

static const char *const vision_names[VISIONS] = { "normal", "protan", "deutan", "tritan" };
static const double visions[VISIONS][3][3] = { { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } },
                                               { { 0.152286, 1.052583, -0.204868 },
                                                 { 0.114503, 0.786281, 0.099216 },
                                                 { -0.003882, -0.048116, 1.051998 } },
                                               { { 0.367322, 0.860646, -0.227968 },
                                                 { 0.280085, 0.672501, 0.047413 },
                                                 { -0.011820, 0.042940, 0.968881 } },
                                               { { 1.255528, -0.076749, -0.178779 },
                                                 { -0.078411, 0.930809, 0.147602 },
                                                 { 0.004733, 0.691367, 0.303900 } } };

static double
linear (double c)
{
  return c <= 0.04045 ? c / 12.92 : pow ((c + 0.055) / 1.055, 2.4);
}

static double
cube_root (double t)
{
  return t > 216.0 / 24389 ? cbrt (t) : (24389.0 / 27 * t + 16) / 116;
}

/* The colour as somebody sees it, in CIELAB (D65). */
static Lab
see (MsColour colour, guint vision)
{
  double in[3] = { linear (colour.r), linear (colour.g), linear (colour.b) }, out[3], x, y, z;

  for (guint i = 0; i < 3; i++)
    out[i] = CLAMP (visions[vision][i][0] * in[0] + visions[vision][i][1] * in[1]
                        + visions[vision][i][2] * in[2],
                    0, 1);
  x = cube_root ((0.4124564 * out[0] + 0.3575761 * out[1] + 0.1804375 * out[2]) / 0.95047);
  y = cube_root (0.2126729 * out[0] + 0.7151522 * out[1] + 0.0721750 * out[2]);
  z = cube_root ((0.0193339 * out[0] + 0.1191920 * out[1] + 0.9503041 * out[2]) / 1.08883);
  return (Lab){ 116 * y - 16, 500 * (x - y), 200 * (y - z) };
}

static double
hue (double a, double b)
{
  double h = a == 0 && b == 0 ? 0 : atan2 (b, a);

  return h < 0 ? h + 2 * G_PI : h;
}

static double
distance (Lab p, Lab q)
{
  const double degree = G_PI / 180;
  double c7 = pow ((hypot (p.a, p.b) + hypot (q.a, q.b)) / 2, 7);
  double g = 0.5 * (1 - sqrt (c7 / (c7 + pow (25, 7))));
  double c1 = hypot ((1 + g) * p.a, p.b), c2 = hypot ((1 + g) * q.a, q.b);
  double h1 = hue ((1 + g) * p.a, p.b), h2 = hue ((1 + g) * q.a, q.b);
  double dh = h2 - h1, h = (h1 + h2) / 2, l = (p.l + q.l) / 2, c = (c1 + c2) / 2;
  double t, sl, sc, sh, rc, rt, dl, dc, dhue;

  if (c1 * c2 == 0)
    {
      dh = 0;
      h = h1 + h2;
    }
  else if (fabs (dh) > G_PI)
    {
      dh += dh > 0 ? -2 * G_PI : 2 * G_PI;
      h += h < G_PI ? G_PI : -G_PI;
    }
  t = 1 - 0.17 * cos (h - 30 * degree) + 0.24 * cos (2 * h) + 0.32 * cos (3 * h + 6 * degree)
      - 0.2 * cos (4 * h - 63 * degree);
  sl = 1 + 0.015 * (l - 50) * (l - 50) / sqrt (20 + (l - 50) * (l - 50));
  sc = 1 + 0.045 * c;
  sh = 1 + 0.015 * c * t;
  rc = 2 * sqrt (pow (c, 7) / (pow (c, 7) + pow (25, 7)));
  rt = -sin (60 * degree * exp (-pow ((h / degree - 275) / 25, 2))) * rc;
  dl = (q.l - p.l) / sl;
  dc = (c2 - c1) / sc;
  dhue = 2 * sqrt (c1 * c2) * sin (dh / 2) / sh;
  return sqrt (dl * dl + dc * dc + dhue * dhue + rt * dc * dhue);
}

static void
test_formula (void)
{
  g_assert_cmpfloat_with_epsilon (
      distance ((Lab){ 50, 2.6772, -79.7751 }, (Lab){ 50, 0, -82.7485 }), 2.0425, 5e-5);
  g_assert_cmpfloat_with_epsilon (
      distance ((Lab){ 2.0776, 0.0795, -1.135 }, (Lab){ 0.9033, -0.0636, -0.5514 }), 0.9082, 5e-5);
}

/* Lightness rises over every tenth of the scale and never falls by more than rounding. */
static void
test_sequential (void)
{
  for (guint cividis = 0; cividis < 2; cividis++)
    for (guint vision = 0; vision < VISIONS; vision++)
      {
        MsTheme theme = *ms_theme_find ("paper");
        double before = -1, tenth = -1;

        theme.cividis = cividis == 1;
        for (guint i = 0; i <= 250; i++)
          {
            double l = see (ms_colour_sequential (&theme, i / 250.0), vision).l;

            g_assert_cmpfloat (l, >, before - 0.4);
            before = l;
            if (i % 25 != 0)
              continue;
            g_assert_cmpfloat (l, >, tenth + 3);
            tenth = l;
          }
      }
}

/* Both arms darken from the middle on, alike in lightness, and their ends differ in hue for everyone. */
static void
test_diverging (void)
{
  const MsTheme *theme = ms_theme_find ("paper");

  for (guint vision = 0; vision < VISIONS; vision++)
    for (guint i = 1; i <= 10; i++)
      for (int side = -1; side <= 1; side += 2)
        g_assert_cmpfloat (see (ms_colour_diverging (theme, side * 0.1 * i), vision).l, <,
                           see (ms_colour_diverging (theme, side * 0.1 * (i - 1)), vision).l);
  for (guint i = 1; i <= 10; i++)
    {
      MsColour low = ms_colour_diverging (theme, -0.1 * i),
               high = ms_colour_diverging (theme, 0.1 * i);

      g_assert_cmpfloat (fabs (see (low, 0).l - see (high, 0).l), <, 4);
      for (guint vision = 0; vision < VISIONS && i >= 5; vision++)
        g_assert_cmpfloat (distance (see (low, vision), see (high, vision)), >, 15);
    }
}

static void
test_series (void)
{
  static const struct
  {
    const char *name;
    double least;
  } themes[] = { { "paper", 10 }, { "screen", 10 }, { "dark", 6 }, { "contrast", 13 } };

  for (guint t = 0; t < G_N_ELEMENTS (themes); t++)
    for (guint vision = 0; vision < VISIONS; vision++)
      {
        const MsTheme *theme = ms_theme_find (themes[t].name);
        double least = INFINITY;

        for (guint i = 0; i < theme->n_series; i++)
          for (guint j = 0; j < i; j++)
            least = fmin (
                least, distance (see (theme->series[i], vision), see (theme->series[j], vision)));
        g_test_message ("%s, %s: %.1f", themes[t].name, vision_names[vision], least);
        g_assert_cmpfloat (least, >, themes[t].least);
      }
}

/* A run keeps its colour whichever others are shown; of two with the same place the later moves on. */
static void
test_runs (void)
{
  const gint64 some[] = { 3, 1 }, more[] = { 7, 3, 6, 1 }, round[] = { 9, 2, 8, 1 };
  guint slots[4];

  ms_run_slots (some, 2, slots);
  g_assert_cmpuint (slots[0], ==, 2);
  g_assert_cmpuint (slots[1], ==, 0);
  ms_run_slots (more, 4, slots);
  g_assert_cmpuint (slots[0], ==, 6);
  g_assert_cmpuint (slots[1], ==, 2);
  g_assert_cmpuint (slots[2], ==, 5);
  g_assert_cmpuint (slots[3], ==, 0);
  ms_run_slots (round, 4, slots);
  g_assert_cmpuint (slots[3], ==, 0);
  g_assert_cmpuint (slots[1], ==, 1);
  g_assert_cmpuint (slots[2], ==, 2);
  g_assert_cmpuint (slots[0], ==, 3);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/colour/formula", test_formula);
  g_test_add_func ("/colour/sequential", test_sequential);
  g_test_add_func ("/colour/diverging", test_diverging);
  g_test_add_func ("/colour/series", test_series);
  g_test_add_func ("/colour/runs", test_runs);
  return g_test_run ();
}
