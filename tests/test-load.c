/* The trace, load balance, windows, coverage and losses: hand-checked cases and brute-force twins. */
#include "balance-private.h"
#include "fixture.h"

#include <math.h>
#include <string.h>

#define NEAR(value, expected, tolerance)                                                           \
  G_STMT_START                                                                                     \
  {                                                                                                \
    double value_ = (value), expected_ = (expected);                                               \
    if (!(fabs (value_ - expected_) <= (tolerance)))                                               \
      g_error ("%s:%d: %s is %.12g, expected %.12g", __FILE__, __LINE__, #value, value_,           \
               expected_);                                                                         \
  }                                                                                                \
  G_STMT_END

static char *rich_path;

static MsTrace *
open_trace (const char *path, const char *selection_text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsSelection) selection = ms_selection_parse (selection_text, &error);
  MsTrace *trace;

  g_assert_no_error (error);
  trace = ms_trace_open (path, 0, selection, &error);
  g_assert_no_error (error);
  return trace;
}

/* Runs an analysis with one parameter (NULL = none). */
static MsResult *
analyze (MsTrace *trace, const char *name, const char *param, const char *value, guint bootstrap)
{
  const MsAnalysis *analysis = ms_analysis_find (name);
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autoptr (GError) error = NULL;
  MsContext context = { .trace = trace,
                        .values = values,
                        .threads = 2,
                        .sampling.seed = 7,
                        .sampling.resamples = bootstrap,
                        .sampling.confidence = 0.9 };
  MsResult *result;

  if (param != NULL)
    ms_values_set (values, param, value, &error);
  g_assert_no_error (error);
  result = ms_analysis_run (analysis, &context, &error);
  g_assert_no_error (error);
  return result;
}

static double
cell (const MsTable *table, guint row, const char *column)
{
  int at = ms_table_find_column (table, column);

  g_assert_cmpint (at, >=, 0);
  return ms_table_get_real (table, row, (guint) at);
}

/* The row of a long table. */
static guint
find_row (const MsTable *table, gint64 layer, const char *measure)
{
  int layers = ms_table_find_column (table, "layer");
  int measures = ms_table_find_column (table, "measure");

  for (guint row = 0; row < ms_table_n_rows (table); row++)
    if ((layers < 0 || ms_table_get_int (table, row, (guint) layers) == layer)
        && strcmp (ms_table_get_text (table, row, (guint) measures), measure) == 0)
      return row;
  g_error ("no row %s", measure);
}

/* --- The trace ------------------------------------------------------------------------------- */

static void
test_selection (void)
{
  g_autoptr (MsTrace) all = open_trace (rich_path, "");
  g_autoptr (MsTrace) part
      = open_trace (rich_path, "layer=2..4 lang=de,sw domain=news token=100..900,4000..4200");
  g_autoptr (MsLayerTrace) all_rows
      = ms_trace_load_layer (all, 2, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS, NULL, NULL);
  g_autoptr (MsLayerTrace) part_rows
      = ms_trace_load_layer (part, 1, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS, NULL, NULL);
  gint64 row = 0;

  g_assert_cmpuint (ms_trace_n_layers (part), ==, 2);
  g_assert_cmpint (ms_trace_layer (part, 1)->number, ==, 4);
  g_assert_cmpint (ms_trace_n_tokens (all), ==, all_rows->n_tokens);
  /* Walk all tokens and ask of each whether it should be selected. */
  for (guint d = 0; d < ms_trace_n_documents (all); d++)
    {
      const MsDocument *document = ms_trace_document (all, d);
      gboolean fits = strcmp (document->domain, "news") == 0 && strcmp (document->language, "en");

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          if (!fits || !((t >= 100 && t <= 900) || (t >= 4000 && t <= 4200)))
            continue;
          g_assert_cmpint (ms_trace_position (part, row), ==, t);
          g_assert_true (memcmp (part_rows->experts + row * 3, all_rows->experts + t * 3, 6) == 0);
          g_assert_true (memcmp (part_rows->weights + row * 3, all_rows->weights + t * 3, 12) == 0);
          row++;
        }
    }
  g_assert_cmpint (row, ==, ms_trace_n_tokens (part));
  g_assert_cmpint (row, >, 0);
}

static void
test_counts (void)
{
  g_autoptr (MsTrace) all = open_trace (rich_path, "token=17..4500");
  g_autoptr (MsTrace) narrow = ms_trace_narrow (all, (const guint[]){ 20, 3, 4 }, 3);
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (ms_trace_n_documents (narrow), ==, 3);
  g_assert_cmpuint (ms_trace_document_number (narrow, 2), ==, 20);
  for (guint l = 0; l < ms_trace_n_layers (narrow); l++)
    {
      guint n_experts = ms_trace_layer (narrow, l)->gate.n_experts,
            k = ms_trace_layer (narrow, l)->gate.k;
      g_autofree guint64 *counts = g_new (guint64, n_experts);
      g_autofree guint32 *by_document = g_new (guint32, 3 * n_experts);
      g_autoptr (MsLayerTrace) rows
          = ms_trace_load_layer (narrow, l, MS_CHUNK_EXPERTS, NULL, &error);

      g_assert_no_error (error);
      g_assert_true (ms_trace_count (narrow, l, counts, NULL, NULL));
      g_assert_true (ms_trace_count_documents (narrow, l, by_document, NULL, NULL));
      for (guint d = 0; d < 3; d++)
        {
          const MsDocument *document = ms_trace_document (narrow, d);

          for (gint64 i = document->first_token * k;
               i < (document->first_token + document->n_tokens) * k; i++)
            if (rows->experts[i] != MS_NO_EXPERT)
              {
                by_document[d * n_experts + rows->experts[i]]--;
                counts[rows->experts[i]]--;
              }
        }
      for (guint e = 0; e < n_experts; e++)
        g_assert_true (counts[e] == 0 && by_document[e] == 0
                       && by_document[2 * n_experts + e] == 0);
    }
}

/* --- Load balance ---------------------------------------------------------------------------- */

/* Ten tokens that choose experts 0, 1, 2, 3 once, twice, three and four times. */
static void
fill_ten (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  static const guint16 chosen[] = { 3, 2, 1, 3, 0, 2, 3, 1, 2, 3 };

  (void) layer, (void) data;
  token->experts[0] = chosen[position];
  token->weights[0] = 0.5f;
}

static void
test_hand (void)
{
  const MsFixture ten = { .n_layers = 1,
                          .layers = (const MsLayer[]){ MS_PLAIN_LAYER (5, 4, 1) },
                          .n_documents = 2,
                          .documents = (const MsDocument[]){ { .n_tokens = 4 }, { .n_tokens = 6 } },
                          .fill = fill_ten };
  char *path = ms_fixture_write (&ten, NULL);
  g_autoptr (MsTrace) trace = open_trace (path, "");
  g_autoptr (MsResult) result = analyze (trace, "load", NULL, NULL, 0);
  const MsTable *table = ms_result_table (result, "balance");
  const MsTable *experts = ms_result_table (result, "experts");

  NEAR (cell (table, 0, "max_vio"), 0.6, 1e-12);
  NEAR (cell (table, 0, "min_vio"), 0.6, 1e-12);
  NEAR (cell (table, 0, "total_violation"), 1.6, 1e-12);
  NEAR (cell (table, 0, "cv"), sqrt (1.25) / 2.5, 1e-12);
  NEAR (cell (table, 0, "cv_sample"), sqrt (5.0 / 3) / 2.5, 1e-12);
  NEAR (cell (table, 0, "frequency_sd"), 10 * sqrt (1.25), 1e-12);
  NEAR (cell (table, 0, "gini"), 0.25, 1e-12);
  NEAR (cell (table, 0, "min_over_max"), 0.25, 1e-12);
  NEAR (cell (table, 0, "max_over_min"), 4, 1e-12);
  NEAR (cell (table, 0, "top20_share"), 40, 1e-12);
  NEAR (cell (table, 0, "bottom20_share"), 10, 1e-12);
  NEAR (cell (table, 0, "idle"), 0, 0);
  NEAR (cell (table, 0, "empty"), 0, 0);
  NEAR (cell (experts, 3, "load"), 1.6, 1e-12);
  NEAR (cell (experts, 3, "gate_mass"), 2, 1e-12);
  NEAR (cell (experts, 3, "mean_weight"), 0.5, 1e-12);
  g_clear_pointer (&trace, ms_trace_unref);
  ms_fixture_remove (path);
}

/* The measures from their formulas, each by itself. */
static void
check_measures (const double *counts, guint n, double n_tokens, const MsTable *table, guint row)
{
  double sum = 0, most = 0, least = INFINITY, pairs = 0, entropy = 0, js = 0, squares = 0;

  for (guint i = 0; i < n; i++)
    {
      sum += counts[i];
      most = fmax (most, counts[i]);
      least = fmin (least, counts[i]);
    }
  for (guint i = 0; i < n; i++)
    {
      double p = counts[i] / sum, u = 1.0 / n, m = (p + u) / 2;

      for (guint j = 0; j < n; j++)
        pairs += fabs (counts[i] - counts[j]);
      squares += (counts[i] / n_tokens - sum / n / n_tokens)
                 * (counts[i] / n_tokens - sum / n / n_tokens);
      entropy += p > 0 ? p * log (1 / p) : 0;
      js += 0.5 * (p > 0 ? p * log (p / m) : 0) + 0.5 * u * log (u / m);
    }
  NEAR (cell (table, row, "max_vio"), most * n / sum - 1, 1e-9);
  NEAR (cell (table, row, "min_vio"), 1 - least * n / sum, 1e-9);
  NEAR (cell (table, row, "gini"), pairs / (2 * n * sum), 1e-9);
  NEAR (cell (table, row, "entropy"), entropy, 1e-9);
  NEAR (cell (table, row, "kl_uniform"), log (n) - entropy, 1e-9);
  NEAR (cell (table, row, "js_uniform"), js, 1e-9);
  NEAR (cell (table, row, "frequency_sd"), 100 * sqrt (squares / n), 1e-9);
}

static void
test_twin (void)
{
  g_autoptr (MsTrace) trace = open_trace (rich_path, "lang=de,en");
  g_autoptr (MsResult) load = analyze (trace, "load", NULL, NULL, 0);
  g_autoptr (MsResult) windows = analyze (trace, "load-windows", "window", "300", 0);
  const MsTable *series = ms_result_table (windows, "windows");
  guint series_row = 0;

  for (guint l = 0; l < ms_trace_n_layers (trace); l++)
    {
      g_autoptr (MsLayerTrace) rows = ms_trace_load_layer (trace, l, MS_CHUNK_EXPERTS, NULL, NULL);
      double counts[12] = { 0 }, window[12] = { 0 }, n_tokens = 0;

      for (gint64 t = 0; t < rows->n_tokens; t++)
        {
          n_tokens += rows->experts[t * rows->k] != MS_NO_EXPERT;
          for (guint r = 0; r < rows->k; r++)
            if (rows->experts[t * rows->k + r] != MS_NO_EXPERT)
              {
                counts[rows->experts[t * rows->k + r]]++;
                window[rows->experts[t * rows->k + r]]++;
              }
          if ((t + 1) % 300 == 0 || t + 1 == rows->n_tokens)
            {
              gint64 size = t % 300 + 1;

              NEAR (cell (series, series_row, "n_tokens"), (double) size, 0);
              NEAR (cell (series, series_row, "complete"), size == 300, 0);
              check_measures (window, rows->n_experts, (double) size, series, series_row++);
              memset (window, 0, sizeof window);
            }
        }
      check_measures (counts, rows->n_experts, n_tokens, ms_result_table (load, "balance"), l);
    }
  g_assert_cmpuint (series_row, ==, ms_table_n_rows (series));
}

/* Resamples documents by writing their decisions out one after the other. */
static void
test_bootstrap (void)
{
  g_autoptr (MsTrace) trace = open_trace (rich_path, "");
  g_autoptr (MsResult) result = analyze (trace, "load", NULL, NULL, 200);
  const MsTable *table = ms_result_table (result, "intervals");
  g_autoptr (MsLayerTrace) rows = ms_trace_load_layer (trace, 0, MS_CHUNK_EXPERTS, NULL, NULL);
  MsContext context = {
    .trace = trace, .sampling.seed = 7, .sampling.resamples = 200, .sampling.confidence = 0.9
  };
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (&context);
  double values[200], mean = 0, squares = 0, corrected, half;
  guint row = find_row (table, 1, "max_vio");

  for (guint r = 0; r < 200; r++)
    {
      double counts[8] = { 0 }, sum = 0, most = 0;
      guint n = 0;

      for (guint u = 0; u < bootstrap->n_units; u++)
        n += bootstrap->times[r * bootstrap->n_units + u];
      for (guint d = 0; d < ms_trace_n_documents (trace); d++)
        for (guint i = 0; i < bootstrap->times[r * bootstrap->n_units + bootstrap->unit[d]]; i++)
          for (gint64 t = 0; t < ms_trace_document (trace, d)->n_tokens * 2; t++)
            {
              guint16 e = rows->experts[ms_trace_document (trace, d)->first_token * 2 + t];

              if (e != MS_NO_EXPERT)
                counts[e]++;
            }
      g_assert_cmpuint (n, ==, bootstrap->n_units);
      for (guint e = 0; e < 8; e++)
        {
          sum += counts[e];
          most = fmax (most, counts[e]);
        }
      values[r] = most * 8 / sum - 1;
    }
  for (guint r = 0; r < 200; r++)
    mean += values[r] / 200;
  for (guint r = 0; r < 200; r++)
    squares += (values[r] - mean) * (values[r] - mean);
  /* The four texts in three languages are four clusters: 24 documents are 16; t (15) at 95 %. */
  g_assert_cmpuint (bootstrap->n_units, ==, 16);
  corrected = 2 * cell (table, row, "value") - mean;
  half = 1.753050356 * sqrt (squares / 199) * sqrt (16.0 / 15);
  NEAR (cell (table, row, "corrected"), fmax (corrected, 0), 1e-9);
  NEAR (cell (table, row, "low"), fmax (corrected - half, 0), 1e-8); /* MaxVio cannot be less */
  NEAR (cell (table, row, "high"), corrected + half, 1e-8);
  ms_sort (values, 200);
  NEAR (cell (table, row, "basic_low"), 2 * cell (table, row, "value") - values[200 - 10], 1e-9);
  NEAR (cell (table, row, "basic_high"), 2 * cell (table, row, "value") - values[10], 1e-9);
}

/* E[CV^2] = (E - k) / (n k), for simulated tokens and for normal counts. */
static void
test_null (void)
{
  static const double tokens[] = { 100, 100000 };

  for (guint i = 0; i < 2; i++)
    {
      double measures[MS_N_BALANCE];

      ms_balance_null (64, tokens[i], 8 * tokens[i], 0.1, 3, measures);
      NEAR (measures[MS_BALANCE_CV] / sqrt (56 / (8 * tokens[i])), 1, 0.03);
    }
}

/* --- Coverage -------------------------------------------------------------------------------- */

/* Document d uses expert d alone; `shared` lets all use expert 0. */
static void
fill_hot (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  (void) layer;
  token->experts[0] = (guint16) (*(gboolean *) data ? 0 : position / 10 % 5);
  token->weights[0] = 1;
}

static void
check_hot (guint n_documents, gboolean shared, double held_out, const char *answer)
{
  MsDocument documents[5] = { 0 };
  const MsFixture fixture = { .n_layers = 1,
                              .layers = (const MsLayer[]){ MS_PLAIN_LAYER (0, 5, 1) },
                              .n_documents = n_documents,
                              .documents = documents,
                              .fill = fill_hot,
                              .data = &shared };
  g_autoptr (MsTrace) trace = NULL;
  g_autoptr (MsResult) result = NULL;
  const MsTable *hot;
  char *path;

  for (guint d = 0; d < n_documents; d++)
    documents[d].n_tokens = 10;
  path = ms_fixture_write (&fixture, NULL);
  trace = open_trace (path, "");
  result = analyze (trace, "coverage", NULL, NULL, 0);
  hot = ms_result_table (result, "hot");
  NEAR (cell (hot, 0, "n_hot"), 1, 0);
  NEAR (cell (hot, 0, "decisions"), shared ? 100 : 100.0 / n_documents, 1e-9);
  NEAR (cell (hot, 0, "needed"), shared ? 20 : 20 * ceil (0.8 * n_documents), 1e-9);
  NEAR (cell (hot, 0, "held_out"), held_out, 1e-9);
  if (n_documents > 3) /* no half has another share than the other: nothing varies */
    NEAR (cell (hot, 0, "held_out_error"), 0, 1e-12);
  else
    g_assert_true (isnan (cell (hot, 0, "held_out_error")));
  g_assert_true (g_str_has_prefix (result->summary, answer));
  g_clear_pointer (&trace, ms_trace_unref);
  ms_fixture_remove (path);
}

static void
test_coverage (void)
{
  check_hot (5, TRUE, 100, "There is a hot set");
  check_hot (5, FALSE, 0, "There is no hot set");
  check_hot (2, TRUE, 100, "The busiest 20 % of the slots take 100 %");
}

/* Ten tokens to each of two experts in turn: three of five experts stay idle, 15 of each take half as much text
 * again. */
static void
test_calibration (void)
{
  gboolean shared = FALSE;
  const MsFixture fixture
      = { .n_layers = 1,
          .layers = (const MsLayer[]){ MS_PLAIN_LAYER (0, 5, 1) },
          .n_documents = 2,
          .documents = (const MsDocument[]){ { .n_tokens = 10 }, { .n_tokens = 10 } },
          .fill = fill_hot,
          .data = &shared };
  char *path = ms_fixture_write (&fixture, NULL);
  g_autoptr (MsTrace) trace = open_trace (path, "");
  g_autoptr (MsResult) result = analyze (trace, "calibration", "least", "15", 0);
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *experts = ms_result_table (result, "experts");
  const MsTable *thresholds = ms_result_table (result, "thresholds");

  NEAR (cell (layers, 0, "idle"), 3, 0);
  NEAR (cell (layers, 0, "scarce"), 5, 0);
  NEAR (cell (layers, 0, "rarest"), 2, 0);
  NEAR (cell (layers, 0, "more_tokens"), 10, 1e-9);
  NEAR (cell (experts, 1, "count"), 10, 0);
  NEAR (cell (experts, 1, "more_tokens"), 10, 1e-9);
  g_assert_true (isnan (cell (experts, 4, "more_tokens")));
  for (guint i = 0; i < ms_table_n_rows (thresholds); i++)
    NEAR (cell (thresholds, i, "experts"), cell (thresholds, i, "at_most") < 10 ? 3 : 5, 0);
  g_assert_cmpstr (
      result->summary, ==,
      "5 of 5 experts see fewer than 15 tokens, 3 of these none; about 10 further tokens "
      "of such text would give each of the others 15.");
  g_clear_pointer (&trace, ms_trace_unref);
  ms_fixture_remove (path);
}

static void
test_served (void)
{
  g_autoptr (MsTrace) trace = open_trace (rich_path, "layer=4");
  g_autoptr (MsResult) result = analyze (trace, "load", "served", "yes", 0);
  const MsTable *table = ms_result_table (result, "experts");
  g_autoptr (MsLayerTrace) rows = ms_trace_load_layer (
      trace, 0, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_DROPPED, NULL, NULL);
  gboolean any = FALSE;

  for (guint e = 0; e < rows->n_experts; e++)
    {
      double count = 0, mass = 0;

      for (gint64 i = 0; i < rows->n_tokens * rows->k; i++)
        {
          any = any || rows->dropped[i];
          if (rows->experts[i] != e || rows->dropped[i])
            continue;
          count++;
          mass += (double) rows->weights[i];
        }
      NEAR (cell (table, e, "count"), count, 1e-9);
      NEAR (cell (table, e, "gate_mass"), mass, 1e-6);
    }
  g_assert_true (any);
}

/* --- Losses ---------------------------------------------------------------------------------- */

static void
test_losses (void)
{
  g_autoptr (MsTrace) trace = open_trace (rich_path, "layer=4");
  g_autoptr (MsResult) result = analyze (trace, "losses", "null-experts", "3", 0);
  const MsTable *table = ms_result_table (result, "losses");
  g_autoptr (MsLayerTrace) rows = ms_trace_load_layer (
      trace, 0, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_LOGITS, NULL, NULL);
  guint n = rows->n_experts, k = rows->k, n_documents = ms_trace_n_documents (trace);
  double pooled = 0, grouped = 0, z = 0, null_f = 0, null_p = 0, true_part = 0;
  double masses = 0, squares = 0;

  for (guint e = 0; e < n; e++)
    {
      double all_f = 0, all_p = 0;

      for (guint d = 0; d < n_documents; d++)
        {
          const MsDocument *document = ms_trace_document (trace, d);
          double f = 0, p = 0, size = (double) document->n_tokens;

          for (gint64 t = document->first_token; t < document->first_token + document->n_tokens;
               t++)
            {
              double sum = 0;

              for (guint i = 0; i < n; i++)
                sum += exp ((double) rows->logits[t * n + i]);
              for (guint r = 0; r < k; r++)
                f += rows->experts[t * k + r] == e;
              p += exp ((double) rows->logits[t * n + e]) / sum;
              z += e == 0 ? log (sum) * log (sum) : 0;
            }
          grouped += n * (f / size) * (p / size) / n_documents;
          all_f += f;
          all_p += p;
        }
      pooled += n * (all_f / (double) rows->n_tokens) * (all_p / (double) rows->n_tokens);
      if (e + 3 >= n)
        {
          null_f += all_f / 3;
          null_p += all_p;
        }
      else
        true_part += all_f * all_p;
      all_f = 0;
      for (gint64 i = 0; i < rows->n_tokens * k; i++)
        all_f += rows->experts[i] == e ? (double) rows->weights[i] : 0;
      masses += all_f;
      squares += all_f * all_f;
    }
  /* Sample variance by sums of squares. */
  squares = (squares - masses * masses / n) / (n - 1) / (masses / n * masses / n + 1e-10);
  NEAR (cell (table, find_row (table, 4, "importance_tutel"), "value"), squares, 1e-9);
  NEAR (cell (table, find_row (table, 4, "aux_null"), "value"),
        n * (true_part + null_f * null_p) / ((double) rows->n_tokens * (double) rows->n_tokens),
        1e-9);
  NEAR (cell (table, find_row (table, 4, "aux_pooled"), "value"), pooled, 1e-9);
  NEAR (cell (table, find_row (table, 4, "aux_grouped"), "value"), grouped, 1e-9);
  NEAR (cell (table, find_row (table, 4, "z_loss"), "value"), z / (double) rows->n_tokens, 1e-9);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  rich_path = ms_fixture_rich (NULL, 0);
  g_test_add_func ("/load/trace/selection", test_selection);
  g_test_add_func ("/load/trace/counts", test_counts);
  g_test_add_func ("/load/hand", test_hand);
  g_test_add_func ("/load/twin", test_twin);
  g_test_add_func ("/load/served", test_served);
  g_test_add_func ("/load/calibration", test_calibration);
  g_test_add_func ("/load/bootstrap", test_bootstrap);
  g_test_add_func ("/load/null", test_null);
  g_test_add_func ("/load/coverage", test_coverage);
  g_test_add_func ("/load/losses", test_losses);
  status = g_test_run ();
  ms_fixture_remove (rich_path);
  return status;
}
