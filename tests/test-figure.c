/* The figure engine: axes and ticks, every mark on every surface, pointer and keys, odd data.
 *
 * With MOESCOPE_GALLERY=DIR the examples are also written there as PNG, to be looked at. */
#include "figure-private.h"

#include <glib/gstdio.h>
#include <locale.h>
#include <math.h>
#include <string.h>

/* --- Example tables ----------------------------------------------------------------------------- */

static const MsColumn columns[] = {
  { "x", "Expert", NULL, MS_COLUMN_INT, NULL },
  { "y", "Layer", NULL, MS_COLUMN_INT, NULL },
  { "value", "Load relative to uniform", NULL, MS_COLUMN_REAL, NULL },
  { "name", "Language", NULL, MS_COLUMN_TEXT, NULL },
  { "other", "Other language", NULL, MS_COLUMN_TEXT, NULL },
  { "real", "Hit rate", "%", MS_COLUMN_REAL, NULL },
  { "low", "95 % low", "%", MS_COLUMN_REAL, NULL },
  { "high", "95 % high", "%", MS_COLUMN_REAL, NULL },
  { "steps", "Cache slots", "experts", MS_COLUMN_REAL, NULL },
  { "uniform", "Uniform", "%", MS_COLUMN_REAL, NULL },
  { "next", "Next edge", "experts", MS_COLUMN_REAL, NULL },
  { 0 },
};
static const MsTableDef example_def = { "example", "Example", columns };

static const char *const languages[] = { "English",
                                         "German",
                                         "French",
                                         "\xe4\xb8\xad\xe6\x96\x87",
                                         "\xd8\xa7\xd9\x84\xd8\xb9\xd8\xb1"
                                         "\xd8\xa8\xd9\x8a\xd8\xa9",
                                         "\xd7\xa2\xd7\x91\xd7\xa8\xd7\x99\xd7\xaa",
                                         "Japanese",
                                         "Finnish",
                                         "Swahili",
                                         "A language with a remarkably long name" };

static double
noise (guint a, guint b)
{
  guint64 state = ((guint64) a << 32) + b * 2654435761u + 17;

  ms_random_next (&state);
  return ms_random_double (&state);
}

static void
add (MsTable *table, gint64 x, gint64 y, double value, const char *name, const char *other,
     double real, double spread, double steps)
{
  ms_table_add_row (table, MS_INT (x), MS_INT (y), MS_REAL (value), MS_TEXT (name), MS_TEXT (other),
                    MS_REAL (real), MS_REAL (real - spread), MS_REAL (real + spread),
                    MS_REAL (steps), MS_REAL (12.5), MS_REAL (2 * steps));
}

/* nx experts of ny layers; some cells undefined. */
static MsTable *
grid_table (guint nx, guint ny)
{
  MsTable *table = ms_table_new (&example_def);

  for (guint y = 0; y < ny; y++)
    for (guint x = 0; x < nx; x++)
      add (table, x, y, x % 17 == 5 && y % 5 == 2 ? (double) NAN : exp2 (4 * noise (x, y) - 2.2),
           languages[y % 10], languages[x % 10], 100 * noise (x, y), 5, x);
  return table;
}

/* Curves of n_series names over powers of two. */
static MsTable *
curve_table (guint n_series, guint n)
{
  MsTable *table = ms_table_new (&example_def);

  for (guint s = 0; s < n_series; s++)
    for (guint i = 0; i < n; i++)
      {
        double x = exp2 ((double) i * 8 / MAX (n - 1, 1));
        double y = 100 * (1 - exp (-x / (10.0 + 12 * s)));

        add (table, i, s, y, languages[s % 10], "", i == 4 && s == 1 ? (double) NAN : y, 3 + s, x);
      }
  return table;
}

static MsTable *
language_table (void)
{
  MsTable *table = ms_table_new (&example_def);

  for (guint a = 0; a < 10; a++)
    for (guint b = 0; b < 10; b++)
      add (table, a, b,
           a == b ? 0 : 0.1 + 0.1 * (a % 3 != b % 3) + 0.05 * noise (MIN (a, b), MAX (a, b)),
           languages[a], languages[b], 0, 0, 0);
  return table;
}

static MsTable *
flow_table (void)
{
  MsTable *table = ms_table_new (&example_def);

  for (guint layer = 0; layer < 4; layer++)
    for (guint a = 0; a < 8; a++)
      for (guint b = 0; b < 8; b++)
        ms_table_add_row (table, MS_INT (a), MS_INT (layer),
                          MS_REAL (pow (noise (a + 8 * layer, b), 4) * 100), MS_TEXT (""),
                          MS_TEXT (""), MS_REAL ((double) b), MS_REAL (0.0), MS_REAL (0.0),
                          MS_REAL ((double) b), MS_REAL (0.0), MS_REAL (0.0));
  return table;
}

static MsTable *
text_table (void)
{
  static const char *const words[] = { "The",          " quick",       " brown", " fox", " jumps",
                                       " over",        " the",         " lazy",  " dog", ".\n",
                                       "\xe4\xb8\xad", "\xe6\x96\x87", "<0xE2>", "  if", " (x",
                                       " ==",          " 1",           ")",      ";\n" };
  MsTable *table = ms_table_new (&example_def);

  for (guint i = 0; i < 120; i++)
    add (table, i, 0, noise (i, 3) * 2, words[i % G_N_ELEMENTS (words)], i % 4 ? "a" : "b", 0, 0,
         i);
  return table;
}

typedef struct
{
  const char *name;
  MsTable *(*table) (void);
  MsPlotDef plot;
} Example;

static MsTable *
small_grid (void)
{
  return grid_table (64, 16);
}

static MsTable *
three_curves (void)
{
  return curve_table (3, 9);
}

static MsTable *
many_curves (void)
{
  return curve_table (9, 30);
}

static MsTable *
tiny_grid (void)
{
  return grid_table (8, 4);
}

static const Example examples[] = {
  { "heatmap",
    small_grid,
    { .name = "heatmap",
      .title = "Load of every expert",
      .table = "example",
      .mark = MS_MARK_HEATMAP,
      .x = "x",
      .y = "y",
      .value = "value",
      .value_scale = MS_SCALE_RATIO } },
  { "heatmap-linear",
    tiny_grid,
    { .name = "linear",
      .title = "Hit rate",
      .table = "example",
      .mark = MS_MARK_HEATMAP,
      .x = "x",
      .y = "y",
      .value = "real" } },
  { "heatmap-facets",
    small_grid,
    { .name = "facets",
      .title = "Small multiples",
      .table = "example",
      .mark = MS_MARK_HEATMAP,
      .x = "x",
      .y = "y",
      .value = "real",
      .facet = "name" } },
  { "matrix",
    language_table,
    { .name = "matrix",
      .title = "Distance of languages",
      .table = "example",
      .mark = MS_MARK_MATRIX,
      .x = "name",
      .y = "other",
      .value = "value" } },
  { "line",
    three_curves,
    { .name = "line",
      .title = "Hit rate by cache size",
      .table = "example",
      .mark = MS_MARK_LINE,
      .x = "steps",
      .y = "real",
      .series = "name",
      .low = "low",
      .high = "high",
      .reference = "uniform",
      .x_scale = MS_SCALE_LOG2 } },
  { "line-many",
    many_curves,
    { .name = "many",
      .title = "Nine languages",
      .table = "example",
      .mark = MS_MARK_LINE,
      .x = "x",
      .y = "value",
      .series = "name" } },
  { "line-ordered",
    many_curves,
    { .name = "ordered",
      .title = "Nine layers",
      .table = "example",
      .mark = MS_MARK_LINE,
      .x = "steps",
      .y = "value",
      .series = "y" } },
  { "line-facets",
    many_curves,
    { .name = "line-facets",
      .title = "One panel each",
      .table = "example",
      .mark = MS_MARK_LINE,
      .x = "steps",
      .y = "real",
      .facet = "name",
      .low = "low",
      .high = "high" } },
  { "line-numbers",
    three_curves,
    { .name = "line-numbers",
      .title = "A legend of numbers",
      .table = "example",
      .mark = MS_MARK_LINE,
      .x = "steps",
      .y = "real",
      .series = "y",
      .facet = "name" } },
  { "bar",
    tiny_grid,
    { .name = "bar",
      .title = "Grouped bars",
      .table = "example",
      .mark = MS_MARK_BAR,
      .x = "x",
      .y = "real",
      .series = "name",
      .low = "low",
      .high = "high",
      .reference = "uniform" } },
  { "interval",
    tiny_grid,
    { .name = "interval",
      .title = "Points with intervals",
      .table = "example",
      .mark = MS_MARK_INTERVAL,
      .x = "x",
      .y = "real",
      .series = "name",
      .low = "low",
      .high = "high",
      .reference = "uniform" } },
  { "bar-names",
    language_table,
    { .name = "bar-names",
      .title = "Long names",
      .table = "example",
      .mark = MS_MARK_BAR,
      .x = "name",
      .y = "value",
      .where = "other=English" } },
  { "stack",
    tiny_grid,
    { .name = "stack",
      .title = "Stacked bars",
      .table = "example",
      .mark = MS_MARK_STACK,
      .x = "x",
      .y = "real",
      .series = "name" } },
  { "histogram",
    three_curves,
    { .name = "histogram",
      .title = "Histogram",
      .table = "example",
      .mark = MS_MARK_HISTOGRAM,
      .x = "steps",
      .x2 = "next",
      .y = "real",
      .x_scale = MS_SCALE_LOG2,
      .where = "y=0" } },
  { "scatter",
    language_table,
    { .name = "scatter",
      .title = "Scatter",
      .table = "example",
      .mark = MS_MARK_SCATTER,
      .x = "x",
      .y = "value",
      .label = "other",
      .where = "name=English" } },
  { "scatter-series",
    small_grid,
    { .name = "scatter-series",
      .title = "A against B",
      .table = "example",
      .mark = MS_MARK_SCATTER,
      .x = "real",
      .y = "value",
      .series = "y",
      .y_scale = MS_SCALE_LOG2 } },
  { "flow",
    flow_table,
    { .name = "flow",
      .title = "Flow between layers",
      .table = "example",
      .mark = MS_MARK_FLOW,
      .x = "x",
      .y = "steps",
      .value = "value",
      .facet = "y" } },
  { "tokens",
    text_table,
    { .name = "tokens",
      .title = "Entropy of each token",
      .table = "example",
      .mark = MS_MARK_TOKENS,
      .label = "name",
      .value = "value" } },
  { "heatmap-margins",
    small_grid,
    { .name = "margins",
      .title = "Load of every expert",
      .table = "example",
      .mark = MS_MARK_HEATMAP,
      .x = "x",
      .y = "y",
      .value = "value",
      .value_scale = MS_SCALE_RATIO,
      .centre = 1,
      .right = { MS_MARGIN_MOST, "Highest load", NULL },
      .top = { MS_MARGIN_MEAN, "Mean over layers", NULL } } },
};

static MsFigure *
make (const Example *example, const char *theme)
{
  g_autoptr (MsTable) table = example->table ();
  g_autoptr (GError) error = NULL;
  MsFigureOptions options = { .theme = ms_theme_find (theme) };
  MsFigure *figure = ms_figure_new (table, &example->plot, &options, &error);

  g_assert_no_error (error);
  g_assert_nonnull (figure);
  return figure;
}

/* --- Axes ---------------------------------------------------------------------------------------- */

static void
check_ticks (const MsAxis *axis, guint most)
{
  MsTick ticks[MS_TICKS_MAX];
  guint n = ms_axis_ticks (axis, most, ticks);

  g_assert_cmpuint (n, <=, MAX (most, 3) + 1);
  g_assert_cmpuint (n, >=, axis->whole ? 0 : 1);
  for (guint i = 0; i < n; i++)
    {
      g_assert_cmpfloat (ticks[i].at, >=, 0);
      g_assert_cmpfloat (ticks[i].at, <=, 1);
      g_assert_cmpfloat (fabs (ms_axis_map (axis, ticks[i].value) - ticks[i].at), <, 1e-6);
      g_assert_cmpint ((int) strlen (ticks[i].label), >, 0);
      g_assert_true (g_utf8_validate (ticks[i].label, -1, NULL));
      g_assert_null (strchr (ticks[i].label, ','));
      if (axis->whole)
        g_assert_cmpfloat (ticks[i].value, ==, floor (ticks[i].value));
      if (i == 0)
        continue;
      g_assert_cmpfloat (ticks[i].value, >, ticks[i - 1].value);
      g_assert_cmpstr (ticks[i].label, !=, ticks[i - 1].label);
    }
  if (axis->kind == MS_AXIS_LINEAR && n > 2)
    {
      double step = ticks[1].value - ticks[0].value, digits;

      for (guint i = 2; i < n; i++)
        g_assert_cmpfloat (fabs (ticks[i].value - ticks[i - 1].value - step), <, 1e-6 * step);
      digits = step / pow (10, floor (log10 (step) + 1e-9));
      g_assert_true (fabs (digits - 1) < 1e-6 || fabs (digits - 2) < 1e-6
                     || fabs (digits - 5) < 1e-6);
    }
}

static void
test_ticks (void)
{
  guint64 state = 5;

  for (guint i = 0; i < 20000; i++)
    {
      double size = pow (10, 24 * ms_random_double (&state) - 12);
      double low = size * (ms_random_double (&state) - 0.5);
      double high = low + size * (0.01 + ms_random_double (&state));
      MsAxisKind kinds[] = { MS_AXIS_LINEAR, MS_AXIS_LOG2, MS_AXIS_LOG10, MS_AXIS_RATIO };

      for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
        {
          MsAxis axis = k == 0 ? ms_axis_new (kinds[k], low, high)
                               : ms_axis_new (kinds[k], fabs (low) + size * 1e-3,
                                              (fabs (low) + size) * (1 + 1e4 * noise (i, k)));

          for (guint most = 2; most < 12; most += 3)
            check_ticks (&axis, most);
          for (double t = 0; t <= 1; t += 0.25)
            g_assert_cmpfloat (fabs (ms_axis_map (&axis, ms_axis_value (&axis, t)) - t), <, 1e-7);
        }
    }
}

static void
expect_labels (MsAxis axis, guint most, const char *expected)
{
  MsTick ticks[MS_TICKS_MAX];
  guint n = ms_axis_ticks (&axis, most, ticks);
  g_autoptr (GString) found = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    g_string_append_printf (found, "%s%s", i > 0 ? " " : "", ticks[i].label);
  g_assert_cmpstr (found->str, ==, expected);
}

static void
test_labels (void)
{
  MsAxis layers = ms_axis_new (MS_AXIS_LINEAR, 0, 3);

  layers.whole = TRUE;
  expect_labels (layers, 8, "0 1 2 3");
  expect_labels (ms_axis_new (MS_AXIS_LINEAR, 0, 1), 6, "0 0.2 0.4 0.6 0.8 1.0");
  expect_labels (ms_axis_new (MS_AXIS_LINEAR, -1, 1), 5,
                 "\xe2\x88\x92"
                 "1.0 \xe2\x88\x92"
                 "0.5 0 0.5 1.0");
  expect_labels (ms_axis_new (MS_AXIS_LINEAR, 0, 3e6), 4, "0 1M 2M 3M");
  expect_labels (ms_axis_new (MS_AXIS_LINEAR, 0, 5000), 6, "0 1000 2000 3000 4000 5000");
  expect_labels (ms_axis_new (MS_AXIS_LINEAR, 0, 4e-5), 5,
                 "0 1\xc3\x97"
                 "10\xe2\x81\xbb\xe2\x81\xb5 2\xc3\x97"
                 "10\xe2\x81\xbb\xe2\x81\xb5 3\xc3\x97"
                 "10\xe2\x81\xbb\xe2\x81\xb5 4\xc3\x97"
                 "10\xe2\x81\xbb\xe2\x81\xb5");
  expect_labels (ms_axis_new (MS_AXIS_RATIO, 0.25, 4), 8,
                 "\xc3\x97"
                 "1/4 \xc3\x97"
                 "1/2 1 \xc3\x97"
                 "2 \xc3\x97"
                 "4");
  expect_labels (ms_axis_new (MS_AXIS_LOG2, 1, 256), 5, "1 4 16 64 256");
  expect_labels (ms_axis_new (MS_AXIS_LOG10, 0.01, 100), 8, "0.01 0.1 1 10 100");
  expect_labels (ms_axis_new (MS_AXIS_LOG10, 1.5, 9), 8, "2 5");
  expect_labels (ms_axis_new (MS_AXIS_LOG10, 1e-6, 1), 3, "10\xe2\x81\xbb\xe2\x81\xb6 0.001 1");
  expect_labels (ms_axis_new (MS_AXIS_TIME, 0, 600), 6, "0 min 2 min 4 min 6 min 8 min 10 min");
}

static void
test_odd_axes (void)
{
  const double odd[]
      = { 0, -1, 1, NAN, INFINITY, -INFINITY, 1e300, -1e300, 1e-300, 5, 5.0000000001 };

  for (guint kind = MS_AXIS_LINEAR; kind < MS_AXIS_CATEGORY; kind++)
    for (guint i = 0; i < G_N_ELEMENTS (odd); i++)
      for (guint j = 0; j < G_N_ELEMENTS (odd); j++)
        {
          MsAxis axis = ms_axis_new (kind, odd[i], odd[j]);
          MsTick ticks[MS_TICKS_MAX];

          g_assert_true (isfinite (axis.low) && isfinite (axis.high) && axis.low < axis.high);
          g_assert_cmpuint (ms_axis_ticks (&axis, 6, ticks), <=, 7);
        }
}

/* --- Drawing --------------------------------------------------------------------------------------- */

/* How many pixels differ from the paper. */
static guint
ink_of (MsFigure *figure, guint width, guint height)
{
  cairo_surface_t *surface
      = cairo_image_surface_create (CAIRO_FORMAT_RGB24, (int) width, (int) height);
  cairo_t *cr = cairo_create (surface);
  guint ink = 0;
  const guint8 *data;

  ms_figure_draw (figure, cr, width, height);
  g_assert_cmpint (cairo_status (cr), ==, CAIRO_STATUS_SUCCESS);
  cairo_surface_flush (surface);
  data = cairo_image_surface_get_data (surface);
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++)
      ink += memcmp (data + (gsize) y * cairo_image_surface_get_stride (surface) + x * 4, data, 3)
             != 0;
  cairo_destroy (cr);
  cairo_surface_destroy (surface);
  return ink;
}

static void
test_draw (gconstpointer data)
{
  const Example *example = data;
  static const char *const themes[] = { "screen", "dark", "paper", "contrast" };
  const char *gallery = g_getenv ("MOESCOPE_GALLERY");

  for (guint t = 0; t < G_N_ELEMENTS (themes); t++)
    {
      g_autoptr (MsFigure) figure = make (example, themes[t]);

      g_assert_cmpuint (ink_of (figure, 640, 400), >, 2000);
      g_assert_cmpuint (ink_of (figure, 90, 60), >, 0);
      g_assert_cmpuint (ink_of (figure, 1, 1), >=, 0);
      if (gallery != NULL)
        {
          g_autofree char *path
              = g_strdup_printf ("%s/%s-%s.png", gallery, example->name, themes[t]);
          gboolean small = strcmp (themes[t], "paper") == 0;

          g_assert_true (ms_figure_save (figure, path, small ? 3.25 : 640 / 96.0,
                                         small ? 0 : 400 / 96.0, small ? 200 : 96, NULL, NULL));
        }
    }
}

static void
test_save (gconstpointer data)
{
  const Example *example = data;
  static const char *const endings[] = { "pdf", "svg", "png" };
  g_autofree char *folder = g_dir_make_tmp ("moescope-figure-XXXXXX", NULL);
  g_autoptr (GError) error = NULL;

  for (guint e = 0; e < G_N_ELEMENTS (endings); e++)
    {
      char *bytes[2] = { NULL, NULL };
      gsize length[2];
      g_autofree char *path = g_strdup_printf ("%s/f.%s", folder, endings[e]);

      for (guint i = 0; i < 2; i++)
        {
          g_autoptr (MsFigure) figure = make (example, "paper");

          ms_figure_save (figure, path, 3.25, 0, 150, "a <comment> & more", &error);
          g_assert_no_error (error);
          g_file_get_contents (path, &bytes[i], &length[i], &error);
          g_assert_no_error (error);
        }
      g_assert_cmpuint (length[0], ==, length[1]);
      g_assert_true (memcmp (bytes[0], bytes[1], length[0]) == 0);
      g_assert_cmpuint (length[0], >, 1000);
      g_assert_true (g_str_has_prefix (bytes[0], e == 0 ? "%PDF" : e == 1 ? "<?xml" : "\x89PNG"));
      if (e == 1)
        g_assert_nonnull (strstr (bytes[0], "<text "));
      for (guint i = 0; i < 2; i++)
        g_free (bytes[i]);
      g_remove (path);
    }
  {
    g_autoptr (MsFigure) figure = make (example, "paper");
    g_autofree char *path = g_strdup_printf ("%s/f.gif", folder);

    g_assert_false (ms_figure_save (figure, path, 3, 2, 96, NULL, &error));
    g_assert_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_FORMAT);
    g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  }
  g_rmdir (folder);
}

/* What is at the middle of a row's mark is that row (or a row drawn over it); every row has words. */
static void
test_pick (gconstpointer data)
{
  const Example *example = data;
  g_autoptr (MsFigure) figure = make (example, "screen");
  guint n = ms_table_n_rows (ms_figure_table (figure)), located = 0, same = 0;

  for (guint row = 0; row < n; row++)
    {
      double x, y, w, h;
      g_autofree char *words = ms_figure_describe (figure, (int) row);

      g_assert_cmpint ((int) strlen (words), >, 3);
      g_assert_true (g_utf8_validate (words, -1, NULL));
      if (!ms_figure_locate (figure, 700, 450, (int) row, &x, &y, &w, &h))
        continue;
      located++;
      same += ms_figure_pick (figure, 700, 450, x + w / 2, y + h / 2) == (int) row;
    }
  g_assert_cmpuint (located, >, 0);
  g_assert_cmpuint (same * 10, >=, located * (ms_plot_is_map (&example->plot) ? 10 : 3));
  g_assert_cmpint (ms_figure_pick (figure, 700, 450, 0, 0), ==, -1);
  g_assert_cmpint (ms_figure_pick (figure, 700, 450, 1e9, NAN), ==, -1);
}

static void
test_step (gconstpointer data)
{
  const Example *example = data;
  g_autoptr (MsFigure) figure = make (example, "screen");
  int n = (int) ms_table_n_rows (ms_figure_table (figure));
  int row = ms_figure_step (figure, -1, MS_STEP_RIGHT), first = row;
  gboolean moved = FALSE;
  guint64 state = 3;

  g_assert_cmpint (row, >=, 0);
  for (guint i = 0; i < 2000; i++)
    {
      row = ms_figure_step (figure, row, (MsStep) ms_random_below (&state, 6));
      g_assert_cmpint (row, >=, 0);
      g_assert_cmpint (row, <, n);
      moved |= row != first;
    }
  g_assert_true (moved);
  /* Going on in one direction ends. */
  for (MsStep direction = MS_STEP_LEFT; direction <= MS_STEP_LAST; direction++)
    {
      int before = -1;

      row = first;
      for (int i = 0; i < n + 2 && row != before; i++)
        {
          before = row;
          row = ms_figure_step (figure, row, direction);
        }
      g_assert_cmpint (row, ==, before);
    }
}

/* The share of a panel's columns in which the line at `value` leaves ink. */
static double
line_share (MsFigure *figure, double value)
{
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, 500, 300);
  cairo_t *cr = cairo_create (surface);
  const MsPanel *panel;
  guint inked = 0, n = 0;
  int y;

  ms_figure_draw (figure, cr, 500, 300);
  cairo_destroy (cr);
  cairo_surface_flush (surface);
  panel = &g_array_index (ms_figure_layout (figure, 500, 300)->panels, MsPanel, 0);
  y = (int) ms_panel_y (figure, panel, value);
  for (int x = (int) panel->plot.x + 4; x < panel->plot.x + panel->plot.w - 4; x++, n++)
    {
      const guint8 *pixel = cairo_image_surface_get_data (surface)
                            + y * cairo_image_surface_get_stride (surface) + x * 4;

      inked += pixel[0] < 220;
    }
  cairo_surface_destroy (surface);
  return (double) inked / n;
}

/* The reference that several series share is drawn once: dashes over dashes would close the gaps. */
static void
test_shared_reference (void)
{
  const MsPlotDef plot = { .name = "shared",
                           .title = "Shared",
                           .table = "example",
                           .mark = MS_MARK_LINE,
                           .x = "x",
                           .y = "real",
                           .series = "name",
                           .reference = "low" };
  MsTheme theme = *ms_theme_find ("screen");
  const MsFigureOptions options = { .theme = &theme };

  theme.faint = theme.paper;
  for (guint n_series = 1; n_series <= 6; n_series += 5)
    {
      g_autoptr (MsTable) table = ms_table_new (&example_def);
      g_autoptr (GError) error = NULL;
      g_autoptr (MsFigure) figure = NULL;
      double share;

      /* Almost constant, and each series begins elsewhere. */
      for (guint s = 0; s < n_series; s++)
        for (guint x = s; x < 40; x++)
          add (table, x, 0, 0, languages[s], "", 90 - s, 65 - s + 0.001 * (x % 2), 0);
      figure = ms_figure_new (table, &plot, &options, &error);
      g_assert_no_error (error);
      share = line_share (figure, 25);
      g_assert_cmpfloat (share, >, 0.4);
      g_assert_cmpfloat (share, <, 0.85);
    }
}

/* --- Small multiples -------------------------------------------------------------------------------- */

/* `plot` of a table with one facet for each layer, on paper. */
static MsFigure *
make_layers (MsMark mark, guint n_layers, guint n_experts, gboolean names)
{
  static const MsPlotDef plots[]
      = { { .title = "Layers", .table = "example", .x = "x", .y = "real", .facet = "y" },
          { .title = "Layers",
            .table = "example",
            .x = "x",
            .y = "steps",
            .value = "value",
            .facet = "y" },
          { .title = "Layers",
            .table = "example",
            .x = "name",
            .y = "other",
            .value = "value",
            .facet = "y" } };
  static MsPlotDef plot;
  MsTable *table = ms_table_new (&example_def);
  const MsFigureOptions options = { .theme = ms_theme_find ("paper") };
  gboolean grid = ms_mark_class (mark)->framed;
  MsFigure *figure;
  GError *error = NULL;

  plot = plots[!grid ? 0 : names ? 2 : 1];
  plot.name = "layers";
  plot.mark = mark;
  for (guint layer = 0; layer < n_layers; layer++)
    for (guint i = 0; i < n_experts; i++)
      for (guint j = 0; j < (grid ? n_experts : 1); j++)
        {
          g_autofree char *a = g_strdup_printf ("l%u", i), *b = g_strdup_printf ("l%u", j);

          add (table, i, layer, 1 + noise (i, j + layer), a, b, 100 * noise (i, layer), 5, j);
        }
  figure = ms_figure_new (table, &plot, &options, &error);
  g_assert_no_error (error);
  ms_table_unref (table);
  return figure;
}

static guint
facet_at (const MsLayout *layout, guint i)
{
  return g_array_index (layout->panels, MsPanel, i).facet;
}

/* Of many layers an evenly spread part is drawn, from the first to the last, and a note says so. */
static void
test_many_panels (void)
{
  static const MsMark kinds[]
      = { MS_MARK_LINE, MS_MARK_BAR, MS_MARK_SCATTER, MS_MARK_HEATMAP, MS_MARK_MATRIX };
  static const double sizes[][2]
      = { { 312, 0 }, { 648, 0 }, { 1200, 0 }, { 312, 250 }, { 900, 700 }, { 150, 90 } };

  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
      {
        g_autoptr (MsFigure) figure = make_layers (kinds[k], 64, 24, FALSE);
        double width = sizes[s][0], x, y, w, h;
        double height = sizes[s][1] > 0 ? sizes[s][1] : ms_figure_natural_height (figure, width);
        const MsLayout *layout = ms_figure_layout (figure, width, height);
        guint n = layout->shown;
        g_autofree char *note = ms_figure_notes (figure, n);
        g_autofree char *counts
            = g_strdup_printf (n > 1 ? "%u of 64 panels" : "The first of 64 panels", n);

        g_assert_cmpuint (layout->panels->len, ==, n);
        g_assert_cmpuint (n, >=, sizes[s][1] == 0 ? 3 : 1);
        g_assert_cmpuint (n, <, 64);
        g_assert_nonnull (strstr (note, counts));
        g_assert_cmpuint (facet_at (layout, 0), ==, 0);
        g_assert_cmpuint (facet_at (layout, n - 1), ==, n > 1 ? 63 : 0);
        for (guint i = 1; i < n; i++)
          {
            guint step = facet_at (layout, i) - facet_at (layout, i - 1);

            g_assert_cmpfloat (fabs (step - 63.0 / (n - 1)), <=, 1);
          }
        if (sizes[s][1] == 0)
          g_assert_cmpfloat (height, <=, 1.15 * MAX (MIN (1.6 * width, 845), 1.3 * width));
        /* What is left out has no place, and the keys pass over it. */
        g_assert_true (ms_figure_locate (figure, width, height, 0, &x, &y, &w, &h));
        g_assert_false (ms_figure_locate (figure, width, height,
                                          (int) ms_table_n_rows (ms_figure_table (figure)) / 64, &x,
                                          &y, &w, &h));
        for (MsStep direction = MS_STEP_LEFT; direction <= MS_STEP_LAST; direction++)
          for (int row = 0, before = -1; row != before;)
            {
              g_assert_true (ms_figure_locate (figure, width, height, row, &x, &y, &w, &h));
              before = row;
              row = ms_figure_step (figure, row, direction);
            }
      }
}

/* Few panels are all drawn, however little room there is. */
static void
test_few_panels (void)
{
  for (guint n = 1; n <= 3; n++)
    {
      g_autoptr (MsFigure) figure = make_layers (MS_MARK_HEATMAP, n, 300, FALSE);
      g_autofree char *note = ms_figure_notes (figure, ms_figure_layout (figure, 200, 100)->shown);

      g_assert_cmpuint (figure->layout->panels->len, ==, n);
      g_assert_null (note);
    }
  /* The layers of a usual model fit a column. */
  {
    g_autoptr (MsFigure) figure = make_layers (MS_MARK_LINE, 16, 30, FALSE);

    g_assert_cmpuint (ms_figure_layout (figure, 312, ms_figure_natural_height (figure, 312))->shown,
                      ==, 16);
  }
}

/* Twenty-two languages keep all their names in the panels of a narrow column. */
static void
test_names_in_panels (void)
{
  static const MsMark kinds[] = { MS_MARK_HEATMAP, MS_MARK_MATRIX };

  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    {
      g_autoptr (MsFigure) figure = make_layers (kinds[k], 8, 22, TRUE);
      double height = ms_figure_natural_height (figure, 312);
      const MsLayout *layout = ms_figure_layout (figure, 312, height);
      double room = g_array_index (layout->panels, MsPanel, 0).plot.h / 22;

      g_assert_cmpuint (layout->x_labels->len, ==, 22);
      g_assert_cmpuint (layout->y_labels->len, ==, 22);
      g_assert_cmpuint (layout->columns, >, 1);
      /* Names in one rank are 0.7 em high at least; those of two ranks alternate. */
      g_assert_true (room >= 0.7 * layout->em || layout->y_rank > 0);
      g_assert_cmpfloat (room, >=, MS_NAME_LEAST * layout->em * 0.99);
      if (layout->y_rank > 0)
        for (guint i = 0; i < 22; i++)
          g_assert_cmpuint (g_array_index (layout->y_labels, MsLabel, i).rank, ==, i % 2);
    }
}

/* Ink in columns left..right-1 of rows top..low-1: 0 where all is white. */
static guint64
ink_within (cairo_surface_t *surface, int left, int right, int top, int low)
{
  const guint8 *data = cairo_image_surface_get_data (surface);
  guint64 ink = 0;

  for (int v = top; v < low; v++)
    for (int u = left; u < right; u++)
      ink += 255u - data[v * cairo_image_surface_get_stride (surface) + u * 4 + 1];
  return ink;
}

/* On paper words of all series but the first are underlined, each in its own way, so that grey shows them
 * apart; no underline reaches the colours of the line below or the swatches of the next row of keys. */
static void
check_underlines (const char *font, double points)
{
  const MsPlotDef plot = { .name = "words",
                           .title = "Words",
                           .table = "example",
                           .mark = MS_MARK_TOKENS,
                           .label = "other",
                           .series = "name" };
  MsTheme theme = *ms_theme_find ("paper");
  const MsFigureOptions options = { .theme = &theme };
  g_autoptr (MsTable) table = ms_table_new (&example_def);
  g_autoptr (MsFigure) figure = NULL;
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, 1600, 1600);
  cairo_t *cr = cairo_create (surface);
  guint64 ink[MS_SERIES_MAX];
  const MsLayout *layout;
  double x, y[MS_SERIES_MAX], w, h;

  theme.font = font;
  theme.font_points = points;
  for (guint s = 0; s < MS_SERIES_MAX; s++)
    add (table, s, 0, 0, languages[s], "nnnnnnnnnn ", 0, 0, 0);
  figure = ms_figure_new (table, &plot, &options, NULL);
  cairo_scale (cr, 4, 4);
  ms_figure_draw (figure, cr, 400, 400);
  cairo_surface_flush (surface);
  for (guint s = 0; s < MS_SERIES_MAX; s++)
    g_assert_true (ms_figure_locate (figure, 400, 400, (int) s, &x, &y[s], &w, &h));
  for (guint s = 0; s < MS_SERIES_MAX; s++)
    {
      double next = INFINITY;
      int top, low;

      g_assert_true (ms_figure_locate (figure, 400, 400, (int) s, &x, &y[s], &w, &h));
      for (guint other = s; other < MS_SERIES_MAX && !isfinite (next); other++)
        if (y[other] > y[s])
          next = y[other];
      top = (int) (4 * (y[s] + h)) + 2;
      low = (int) floor (4 * fmin (next, y[s] + h + MS_UNDERLINE_REACH + 0.5));
      ink[s] = ink_within (surface, (int) (4 * x) + 4, (int) (4 * (x + 20)), top, low);
      g_assert_true ((ink[s] == 0) == (s == 0));
      for (guint before = 0; before < s; before++)
        g_assert_cmpuint (ink[s], !=, ink[before]);
      g_assert_cmpuint (ink_within (surface, (int) (4 * x) + 4, (int) (4 * (x + 20)), low - 1, low),
                        ==, 0);
    }
  layout = ms_figure_layout (figure, 400, 400);
  for (guint i = 0; i < layout->keys->len; i++)
    g_assert_cmpfloat (g_array_index (layout->keys, MsKey, i).box.h, >,
                       MS_SWATCH_SIDE * layout->em + MS_UNDERLINE_REACH);
  cairo_destroy (cr);
  cairo_surface_destroy (surface);
}

/* The tests' fonts.conf knows the first three families only; the others stand for what it has instead. */
static void
test_underlines (void)
{
  static const char *const fonts[]
      = { "DejaVu Serif",        "DejaVu Sans",  "DejaVu Sans Mono", "Latin Modern Roman",
          "STIX Two Text, STIX", "Nimbus Roman", "Noto Serif" };
  static const double points[] = { 5, 7.5, 10, 14 };

  for (guint f = 0; f < G_N_ELEMENTS (fonts); f++)
    for (guint p = 0; p < G_N_ELEMENTS (points); p++)
      check_underlines (fonts[f], points[p]);
}

/* A series without a value has no key, empty decades are not drawn, zeros are no negative numbers, and a
 * long title takes a second line. */
static void
test_nothing_to_show (void)
{
  const MsPlotDef plot = { .name = "keys",
                           .title = "Keys",
                           .table = "example",
                           .mark = MS_MARK_LINE,
                           .x = "steps",
                           .y = "real",
                           .series = "name",
                           .facet = "y",
                           .x_scale = MS_SCALE_LOG10 };
  MsFigureOptions options = { .theme = ms_theme_find ("screen") };
  g_autoptr (MsTable) table = ms_table_new (&example_def);
  g_autoptr (MsFigure) figure = NULL, titled = NULL;
  double low;

  for (guint s = 0; s < 9; s++)
    for (guint i = 0; i < 20; i++)
      add (table, i, i % 2, 0, languages[s], "", s % 4 == 1 && i > 9 ? 0 : (double) NAN, 0,
           exp10 (i / 2.0 - 8));
  figure = ms_figure_new (table, &plot, &options, NULL);
  /* Of nine series two have values, so that none is without a colour. */
  g_assert_cmpuint (ms_figure_layout (figure, 400, 300)->keys->len, ==, 2);
  g_assert_null (ms_figure_notes (figure, 2));
  low = log10 (figure->x_axis.low);
  g_assert_cmpfloat (low, >, -3.5);
  g_assert_cmpfloat (figure->y_axis.low, ==, 0);
  options.title = "A title that says rather more about the figure than one line of it has room for";
  titled = ms_figure_new (table, &plot, &options, NULL);
  g_assert_cmpfloat (ms_figure_natural_height (titled, 300), >,
                     ms_figure_natural_height (figure, 300) + 0.9 * figure->layout->line);
}

/* --- Odd data --------------------------------------------------------------------------------------- */

static void
test_empty (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (examples); i++)
    {
      g_autoptr (MsTable) table = ms_table_new (&example_def);
      g_autoptr (GError) error = NULL;
      g_autoptr (MsFigure) figure = ms_figure_new (table, &examples[i].plot, NULL, &error);

      g_assert_no_error (error);
      ink_of (figure, 300, 200);
      g_assert_cmpint (ms_figure_pick (figure, 300, 200, 150, 100), ==, -1);
      g_assert_cmpint (ms_figure_step (figure, -1, MS_STEP_RIGHT), ==, -1);
      g_assert_cmpfloat (ms_figure_natural_height (figure, 300), >, 0);
    }
}

/* One row, constant values, nothing but NaN, infinities. */
static void
test_degenerate (void)
{
  const double values[] = { 0, 1, -5, NAN, INFINITY, -INFINITY, 1e300, 1e-300 };

  for (guint i = 0; i < G_N_ELEMENTS (examples); i++)
    for (guint v = 0; v < G_N_ELEMENTS (values); v++)
      for (guint n = 1; n < 40; n += 13)
        {
          g_autoptr (MsTable) table = ms_table_new (&example_def);
          g_autoptr (GError) error = NULL;
          g_autoptr (MsFigure) figure = NULL;

          for (guint row = 0; row < n; row++)
            ms_table_add_row (table, MS_INT (row), MS_INT (row % 2), MS_REAL (values[v]),
                              MS_TEXT ("English"), MS_TEXT ("English"), MS_REAL (values[v]),
                              MS_REAL (values[v]), MS_REAL (values[v]), MS_REAL (values[v]),
                              MS_REAL (values[v]), MS_REAL (values[v]));
          figure = ms_figure_new (table, &examples[i].plot, NULL, &error);
          g_assert_no_error (error);
          ink_of (figure, 300, 200);
          for (guint row = 0; row < n; row++)
            {
              double x, y, w, h;

              if (ms_figure_locate (figure, 300, 200, (int) row, &x, &y, &w, &h))
                g_assert_true (isfinite (x) && isfinite (y) && isfinite (w) && isfinite (h));
            }
        }
}

/* A cell without a value shows the hatch: neither paper alone nor a colour of the scale. */
static void
test_hatch (void)
{
  const MsPlotDef plot = examples[1].plot;
  g_autoptr (MsTable) table = ms_table_new (&example_def);
  g_autoptr (MsFigure) figure = NULL;
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, 400, 300);
  cairo_t *cr = cairo_create (surface);
  double x, y, w, h;
  guint paper = 0, other = 0;
  const guint8 *data;

  for (guint i = 0; i < 4; i++)
    add (table, i % 2, i / 2, 0, "", "", i == 3 ? (double) NAN : 5.0 * i, 0, 0);
  figure = ms_figure_new (table, &plot, NULL, NULL);
  ms_figure_draw (figure, cr, 400, 300);
  cairo_surface_flush (surface);
  data = cairo_image_surface_get_data (surface);
  g_assert_true (ms_figure_locate (figure, 400, 300, 3, &x, &y, &w, &h));
  for (int v = (int) y + 2; v < (int) (y + h) - 2; v++)
    for (int u = (int) x + 2; u < (int) (x + w) - 2; u++)
      {
        const guint8 *pixel = data + (gsize) v * cairo_image_surface_get_stride (surface) + u * 4;

        if (pixel[0] == 255 && pixel[1] == 255 && pixel[2] == 255)
          paper++;
        else
          other++;
      }
  g_assert_cmpuint (paper, >, 0);
  g_assert_cmpuint (other, >, 0);
  g_assert_cmpint (ms_figure_pick (figure, 400, 300, x + w / 2, y + h / 2), ==, 3);
  {
    g_autofree char *words = ms_figure_describe (figure, 3);

    g_assert_nonnull (strstr (words, "no data"));
  }
  cairo_destroy (cr);
  cairo_surface_destroy (surface);
}

static void
test_missing_column (void)
{
  g_autoptr (MsTable) table = ms_table_new (&example_def);
  MsPlotDef plot = examples[0].plot;
  g_autoptr (GError) error = NULL;

  plot.value = "nothing";
  g_assert_null (ms_figure_new (table, &plot, NULL, &error));
  g_assert_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA);
  g_clear_error (&error);
  plot = examples[0].plot;
  plot.where = "nothing=3";
  g_assert_null (ms_figure_new (table, &plot, NULL, &error));
  g_assert_error (error, MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA);
}

static void
test_large (void)
{
  g_autoptr (MsTable) table = ms_table_new (&example_def);

  for (guint i = 0; i < 1000000; i++)
    ms_table_add_row (table, MS_INT (i % 1000), MS_INT (i / 1000), MS_REAL (noise (i, 1)),
                      MS_TEXT ("a"), MS_TEXT ("b"), MS_REAL (sin (i * 1e-5) + noise (i, 2)),
                      MS_REAL (0.0), MS_REAL (1.0), MS_REAL ((double) i), MS_REAL (0.0),
                      MS_REAL (i + 1.0));
  for (guint i = 0; i < G_N_ELEMENTS (examples); i++)
    {
      MsPlotDef plot = examples[i].plot;
      g_autoptr (GError) error = NULL;
      g_autoptr (MsFigure) figure = NULL;

      if (ms_mark_class (plot.mark)->whole || plot.series != NULL)
        continue;
      plot.where = NULL;
      figure = ms_figure_new (table, &plot, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (ink_of (figure, 600, 400), >, 500);
    }
}

/* Average linkage on a case worked by hand: 0-1 at 1, 2-3 at 2, then (6 + 7 + 8 + 7) / 4 = 7. */
static void
test_dendrogram (void)
{
  static const double d[4][4] = { { 0, 1, 6, 7 }, { 1, 0, 8, 7 }, { 6, 8, 0, 2 }, { 7, 7, 2, 0 } };
  static const char *const names[] = { "a", "c", "b", "d" };
  g_autoptr (MsTable) table = ms_table_new (&example_def);
  g_autoptr (MsFigure) figure = NULL;
  double x[4], y, w, h;

  for (guint i = 0; i < 4; i++)
    for (guint j = 0; j < 4; j++)
      add (table, i, j, d[i][j], names[i], names[j], 0, 0, 0);
  figure = ms_figure_new (table, &examples[3].plot, NULL, NULL);
  for (guint i = 0; i < 4; i++)
    g_assert_true (ms_figure_locate (figure, 400, 400, (int) (i * 5), &x[i], &y, &w, &h));
  g_assert_true (x[0] < x[1] && x[1] < x[2] && x[2] < x[3]);
  g_assert_nonnull (figure->joints);
}

static void
test_locale (void)
{
  g_autofree char *plain = NULL, *german = NULL;

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (MsFigure) figure = make (&examples[4], "paper");

      if (i == 1 && setlocale (LC_ALL, "de_DE.UTF-8") == NULL)
        {
          g_test_skip ("the locale de_DE.UTF-8 is not installed");
          return;
        }
      *(i == 0 ? &plain : &german) = ms_figure_to_svg (figure, 3.25, 0, NULL);
    }
  setlocale (LC_ALL, "C");
  g_assert_cmpstr (plain, ==, german);
}

static void
test_colours (void)
{
  static const char *const names[] = { "screen", "dark", "paper", "contrast" };
  double before = -1;
  MsTheme cividis = *ms_theme_find ("screen");

  cividis.cividis = TRUE;
  for (guint n = 0; n < 2; n++, before = -1)
    for (guint i = 0; i <= 255; i++)
      {
        MsColour c = ms_colour_sequential (n == 0 ? ms_theme_find ("screen") : &cividis, i / 255.0);
        double grey = 0.2126 * pow (c.r, 2.2) + 0.7152 * pow (c.g, 2.2) + 0.0722 * pow (c.b, 2.2);

        g_assert_cmpfloat (grey, >, before - 0.004);
        before = grey;
      }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpstr (ms_theme_find (names[i])->name, ==, names[i]);
  g_assert_null (ms_theme_find ("pink"));
}

/* --- Text of any direction ------------------------------------------------------------------------ */

static MsTable *
mixed_table (void)
{
  /* A mark, two Hebrew words with a Latin one between, a byte in Arabic, and an English line. */
  static const char *const words[] = { "<s>",      "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
                                       " GPU",     " \xd7\xa2\xd7\x95\xd7\x9c\xd7\x9d",
                                       ".\n",      "one",
                                       " two",     "\n",
                                       "<0xD8>",   "\xd9\x86\xd9\x87",
                                       "\xd8\xb1", "\tx" };
  MsTable *table = ms_table_new (&example_def);

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    add (table, i, 0, i, words[i], "a", 0, 0, i);
  return table;
}

/* Tokens coloured by a name alone, or by nothing, have words too. */
static void
test_tokens_without_value (void)
{
  Example example = { "names",
                      mixed_table,
                      { .name = "tokens",
                        .title = "Names",
                        .table = "example",
                        .mark = MS_MARK_TOKENS,
                        .label = "name",
                        .series = "other" } };

  for (guint pass = 0; pass < 2; pass++)
    {
      g_autoptr (MsFigure) figure = make (&example, "screen");
      g_autofree char *words = ms_figure_describe (figure, 2);

      g_assert_true (g_str_has_prefix (words, " GPU"));
      example.plot.series = NULL;
    }
}

/* Paragraphs run in their own direction; what is found under the pointer is the token drawn there. */
static void
test_directions (void)
{
  const Example example = { "mixed",
                            mixed_table,
                            { .name = "tokens",
                              .title = "Mixed",
                              .table = "example",
                              .mark = MS_MARK_TOKENS,
                              .label = "name",
                              .value = "value" } };
  g_autoptr (MsFigure) figure = make (&example, "screen");
  double x[12], y[12], w[12], h[12];

  for (guint i = 0; i < 12; i++)
    {
      g_assert_true (ms_figure_locate (figure, 500, 300, (int) i, &x[i], &y[i], &w[i], &h[i]));
      g_assert_cmpint (ms_figure_pick (figure, 500, 300, x[i] + w[i] / 2, y[i] + h[i] / 2), ==, i);
    }
  for (guint i = 0; i < 4; i++)
    g_assert_cmpfloat (x[i], >, x[i + 1]);
  g_assert_cmpfloat (x[5], <, x[6]);
  g_assert_cmpfloat (y[4], <, y[5]);
  for (guint i = 8; i < 10; i++)
    g_assert_cmpfloat (x[i], >, x[i + 1]);
  g_assert_cmpint (ms_figure_step (figure, 1, MS_STEP_LEFT), ==, 2);
  g_assert_cmpint (ms_figure_step (figure, 5, MS_STEP_RIGHT), ==, 6);
  g_assert_cmpint (ms_figure_step (figure, 5, MS_STEP_UP), <, 5);
}

/* Three experts of two layers; value / weight: 1/1 2/3 -/1, 4/1 -8/1 -/1. */
static MsTable *
margin_table (void)
{
  static const double values[2][3] = { { 1, 2, NAN }, { 4, -8, NAN } };
  MsTable *table = ms_table_new (&example_def);

  for (guint y = 0; y < 2; y++)
    for (guint x = 0; x < 3; x++)
      add (table, x, y, values[y][x], "", "", 0, 0, y == 0 && x == 1 ? 3 : 1);
  return table;
}

static void
check_margin (MsMarginKind kind, const char *weight, const double *right, const double *top)
{
  const Example example = { "margins",
                            margin_table,
                            { .name = "margins",
                              .title = "Margins",
                              .table = "example",
                              .mark = MS_MARK_HEATMAP,
                              .x = "x",
                              .y = "y",
                              .value = "value",
                              .right = { kind, "Right", weight },
                              .top = { kind, "Top", weight } } };
  g_autoptr (MsFigure) figure = make (&example, "screen");

  g_assert_cmpuint (figure->right.n, ==, 2);
  g_assert_cmpuint (figure->top.n, ==, 3);
  for (guint i = 0; i < 2; i++)
    g_assert_cmpfloat_with_epsilon (figure->right.values[i], right[i], 1e-12);
  for (guint i = 0; i < 2; i++)
    g_assert_cmpfloat_with_epsilon (figure->top.values[i], top[i], 1e-12);
  g_assert_true (isnan (figure->top.values[2]));
}

static void
test_margin_values (void)
{
  check_margin (MS_MARGIN_MEAN, NULL, (const double[]){ 1.5, -2 }, (const double[]){ 2.5, -3 });
  check_margin (MS_MARGIN_MEAN, "steps", (const double[]){ 1.75, -2 },
                (const double[]){ 2.5, -0.5 });
  check_margin (MS_MARGIN_SIZE, NULL, (const double[]){ 1.5, 6 }, (const double[]){ 2.5, 5 });
  check_margin (MS_MARGIN_MOST, NULL, (const double[]){ 2, 4 }, (const double[]){ 4, 2 });
}

/* The bars lie beside their cells, tell of them and stand for all of them. */
static void
test_margin_places (void)
{
  const Example *example = &examples[G_N_ELEMENTS (examples) - 1];
  const double width = 640, height = 360;
  g_autoptr (MsFigure) figure = make (example, "screen");
  double x, y, w, h, cx, cy, cw, ch, sx, sy, sw = 0.01, sh = 0.01;
  g_autofree char *text = NULL;
  const int row = 37;

  g_assert_cmpstr (example->name, ==, "heatmap-margins");
  g_assert_true (ms_figure_locate (figure, width, height, row, &cx, &cy, &cw, &ch));
  g_assert_true (ms_figure_locate_bar (figure, width, height, row, TRUE, &x, &y, &w, &h));
  g_assert_cmpfloat_with_epsilon (x, cx, 1e-6);
  g_assert_cmpfloat_with_epsilon (w, cw, 1e-6);
  g_assert_cmpfloat (y + h, <, cy);
  g_assert_true (ms_figure_locate_bar (figure, width, height, row, FALSE, &x, &y, &w, &h));
  g_assert_cmpfloat_with_epsilon (y, cy, 1e-6);
  g_assert_cmpfloat_with_epsilon (h, ch, 1e-6);
  g_assert_cmpfloat (x, >, cx + cw);
  /* No cell is there, but words are. */
  g_assert_cmpint (ms_figure_pick (figure, width, height, x + 1, y + h / 2), ==, -1);
  text = ms_figure_describe_bar (figure, width, height, x + 1, y + h / 2);
  g_assert_true (g_str_has_prefix (text, "Layer "));
  g_assert_nonnull (strstr (text, ": Highest load "));
  g_assert_null (ms_figure_describe_bar (figure, width, height, cx + 1, cy + 1));
  sx = x + 1;
  sy = y + h / 2;
  g_assert_true (ms_figure_stretch (figure, width, height, &sx, &sy, &sw, &sh));
  g_assert_cmpfloat (sx, <=, cx);
  g_assert_cmpfloat (sx + sw, >=, cx + cw);
  g_assert_cmpfloat_with_epsilon (sy, y + h / 2, 1e-9);
  sx = cx + 1;
  g_assert_false (ms_figure_stretch (figure, width, height, &sx, &sy, &cw, &ch));
  {
    g_autoptr (MsFigure) lines = make_layers (MS_MARK_LINE, 2, 30, FALSE);

    g_assert_null (ms_figure_describe_bar (lines, 312, 200, 300, 100));
  }
}

/* A small figure and one told so go without, and then look as if the plot asked for none. */
static void
test_margin_off (void)
{
  const Example *example = &examples[G_N_ELEMENTS (examples) - 1];
  MsFigureOptions options = { .theme = ms_theme_find ("screen"), .no_margins = TRUE };
  g_autoptr (MsTable) table = example->table ();
  g_autoptr (MsFigure) with = make (example, "screen"), plain = make (&examples[0], "screen");
  g_autoptr (MsFigure) without = ms_figure_new (table, &example->plot, &options, NULL);
  double x, y, w, h;

  g_assert_false (ms_figure_locate_bar (without, 640, 360, 3, TRUE, &x, &y, &w, &h));
  g_assert_false (ms_figure_locate_bar (with, 220, 132, 3, TRUE, &x, &y, &w, &h));
  g_assert_true (ms_figure_locate_bar (with, 640, 360, 3, TRUE, &x, &y, &w, &h));
  g_assert_cmpfloat (ms_figure_natural_height (without, 640), ==,
                     ms_figure_natural_height (plain, 640));
  g_assert_cmpfloat (ms_figure_natural_height (with, 640), >,
                     ms_figure_natural_height (plain, 640));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/figure/ticks", test_ticks);
  g_test_add_func ("/figure/labels", test_labels);
  g_test_add_func ("/figure/odd-axes", test_odd_axes);
  for (guint i = 0; i < G_N_ELEMENTS (examples); i++)
    {
      static const struct
      {
        const char *name;
        GTestDataFunc func;
      } tests[] = {
        { "draw", test_draw }, { "save", test_save }, { "pick", test_pick }, { "step", test_step }
      };

      for (guint t = 0; t < G_N_ELEMENTS (tests); t++)
        {
          g_autofree char *path
              = g_strdup_printf ("/figure/%s/%s", tests[t].name, examples[i].name);

          g_test_add_data_func (path, &examples[i], tests[t].func);
        }
    }
  g_test_add_func ("/figure/shared-reference", test_shared_reference);
  g_test_add_func ("/figure/nothing-to-show", test_nothing_to_show);
  g_test_add_func ("/figure/underlines", test_underlines);
  g_test_add_func ("/figure/many-panels", test_many_panels);
  g_test_add_func ("/figure/few-panels", test_few_panels);
  g_test_add_func ("/figure/names-in-panels", test_names_in_panels);
  g_test_add_func ("/figure/empty", test_empty);
  g_test_add_func ("/figure/degenerate", test_degenerate);
  g_test_add_func ("/figure/hatch", test_hatch);
  g_test_add_func ("/figure/missing-column", test_missing_column);
  g_test_add_func ("/figure/large", test_large);
  g_test_add_func ("/figure/dendrogram", test_dendrogram);
  g_test_add_func ("/figure/margins/values", test_margin_values);
  g_test_add_func ("/figure/margins/places", test_margin_places);
  g_test_add_func ("/figure/margins/off", test_margin_off);
  g_test_add_func ("/figure/tokens-without-value", test_tokens_without_value);
  g_test_add_func ("/figure/directions", test_directions);
  g_test_add_func ("/figure/locale", test_locale);
  g_test_add_func ("/figure/colours", test_colours);
  return g_test_run ();
}
