/* Differential activation (metrics.md f.4): which experts serve one set of documents more than another.
 *
 * Tokens of a document are not independent, so the tests that count deal whole documents at random;
 * the token-wise z and chi-square are given beside them, as published.  Golden: risk_difference. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

#define N_GROUPS 2
#define CONCENTRATED                                                                               \
  0.2 /* share of the experts that carries half of a concentrated difference, at most */

typedef struct
{
  double z, p_token, log_odds, design, p, q;
  MsInterval difference;
  double by_document;
} Expert;

/* What an expert has of the layer's attribution: its absolute difference of rates over the sum of all. */
typedef struct
{
  guint expert;
  double own, sum; /* its share; that of it and all before it */
  double null;     /* the same sum, a mean over random deals that show any difference */
} Attribution;

typedef struct
{
  gint64 block;
  guint n_experts;
  double *totals;  /* (2, 2 E + 2) */
  Expert *experts; /* (E) */
  MsInterval js, gini;
  double js_null, js_p, gini_null, chi_square, chi_p;
  guint freedom;
  Attribution *curve; /* (E) by falling attribution */
} Layer;

typedef struct
{
  MsGroups groups; /* names and group borrowed from below */
  char *names[N_GROUPS];
  int *group; /* (D) */
  guint n_documents[N_GROUPS];
  MsSelection *selections[N_GROUPS]; /* NULL = the other documents */
  MsStrata *strata;
  guint n_layers, n_deals;
  double tau, level;
  Layer *layers; /* (n_layers) */
} Difference;

static void
clear_difference (Difference *all)
{
  for (guint i = 0; i < all->n_layers; i++)
    {
      g_free (all->layers[i].totals);
      g_free (all->layers[i].experts);
      g_free (all->layers[i].curve);
    }
  for (guint i = 0; i < N_GROUPS; i++)
    {
      g_free (all->names[i]);
      ms_selection_free (all->selections[i]);
    }
  g_free (all->layers);
  g_free (all->group);
  ms_strata_free (all->strata);
}

/* --- The two groups -------------------------------------------------------------------------- */

/* The selection of parameter `name`, which may only speak of documents; NULL when it is empty. */
static gboolean
parse_group (const MsContext *context, const char *name, MsSelection **selection, char **text,
             GError **error)
{
  const char *value = ms_values_text (context->values, name);

  if (value[0] == '\0')
    return TRUE;
  *selection = ms_selection_parse (value, error);
  if (*selection == NULL)
    {
      g_prefix_error (error, "--%s: ", name);
      return FALSE;
    }
  if ((*selection)->layers != NULL || (*selection)->experts != NULL || (*selection)->tokens != NULL
      || (*selection)->run != 0 || (*selection)->base != 0)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                   "--%s '%s': a group is chosen by lang, domain, phase, doc or name alone", name,
                   value);
      return FALSE;
    }
  *text = g_strdup (value);
  return TRUE;
}

/* Without parameters: the first value of the first label that has two. */
static gboolean
choose_usual (const MsContext *context, Difference *all, GError **error)
{
  static const char *const labels[][2]
      = { { "domain", "domain" }, { "language", "lang" }, { "phase", "phase" } };

  for (guint i = 0; i < G_N_ELEMENTS (labels); i++)
    {
      g_autoptr (MsGroups) groups = ms_trace_group (context->trace, labels[i][0], NULL);

      if (groups == NULL || groups->n < 2)
        continue;
      all->selections[0] = ms_selection_new ();
      {
        GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

        g_ptr_array_add (names, g_strdup (groups->names[0]));
        if (i == 0)
          all->selections[0]->domains = names;
        else if (i == 1)
          all->selections[0]->languages = names;
        else
          all->selections[0]->phases = names;
      }
      all->names[0] = ms_selection_format (all->selections[0]);
      return TRUE;
    }
  g_set_error (
      error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
      "difference cannot run: say which documents to compare with --group-a and --group-b, "
      "such as lang=de");
  return FALSE;
}

static gboolean
make_groups (const MsContext *context, Difference *all, GError **error)
{
  guint n = ms_trace_n_documents (context->trace), n_both = 0;

  if (!parse_group (context, "group-a", &all->selections[0], &all->names[0], error)
      || !parse_group (context, "group-b", &all->selections[1], &all->names[1], error))
    return FALSE;
  if (all->selections[0] == NULL && all->selections[1] == NULL
      && !choose_usual (context, all, error))
    return FALSE;
  all->group = g_new (int, n);
  for (guint d = 0; d < n; d++)
    {
      gboolean in[N_GROUPS] = { FALSE, FALSE };

      for (guint g = 0; g < N_GROUPS; g++)
        if (all->selections[g] != NULL)
          in[g] = ms_selection_has_document (all->selections[g], ms_trace_corpus (context->trace),
                                             ms_trace_document_number (context->trace, d));
      for (guint g = 0; g < N_GROUPS; g++)
        if (all->selections[g] == NULL)
          in[g] = !in[1 - g];
      n_both += in[0] && in[1];
      all->group[d] = in[0] ? 0 : in[1] ? 1 : -1;
      if (all->group[d] >= 0)
        all->n_documents[all->group[d]]++;
    }
  for (guint g = 0; g < N_GROUPS; g++)
    if (all->names[g] == NULL)
      all->names[g] = g_strdup ("all others");
  if (n_both > 0)
    g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                 "%u documents are in both '%s' and '%s'; choose groups that do not overlap",
                 n_both, all->names[0], all->names[1]);
  else if (all->n_documents[0] == 0 || all->n_documents[1] == 0)
    g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
                 "no selected document is in '%s'; `moescope info` lists what there is",
                 all->names[all->n_documents[0] == 0 ? 0 : 1]);
  else
    {
      all->groups = (MsGroups){ N_GROUPS, all->names, all->group };
      return TRUE;
    }
  return FALSE;
}

/* --- Counting -------------------------------------------------------------------------------- */

/* Sums of a row: counts (E), tokens, rates within documents (E), documents. */
typedef struct
{
  const Difference *all;
  guint n_experts;
  guint document;  /* being read, G_MAXUINT = none */
  guint64 *counts; /* (E) of it */
  guint64 tokens;
  double *sums; /* (rows, 2 E + 2) */
} Counting;

static void
finish_document (Counting *counting)
{
  guint n = counting->n_experts;
  double *sums;

  if (counting->document != G_MAXUINT && counting->tokens > 0)
    {
      sums = counting->sums + (gsize) counting->all->strata->row[counting->document] * (2 * n + 2);
      for (guint e = 0; e < n; e++)
        {
          sums[e] += (double) counting->counts[e];
          sums[n + 1 + e] += (double) counting->counts[e] / (double) counting->tokens;
        }
      sums[n] += (double) counting->tokens;
      sums[2 * n + 1]++;
    }
  memset (counting->counts, 0, n * sizeof *counting->counts);
  counting->tokens = 0;
}

static gboolean
count_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
            GError **error)
{
  Counting *counting = data;

  (void) row, (void) error;
  if (counting->all->group[document] < 0)
    return TRUE;
  if (counting->document != document)
    {
      finish_document (counting);
      counting->document = document;
    }
  ms_chunk_count (chunk, from, n, counting->counts);
  for (gsize i = from; i < (gsize) from + n; i++)
    counting->tokens += ms_chunk_expert (chunk, i * chunk->k) < counting->n_experts;
  return TRUE;
}

/* --- Statistics ------------------------------------------------------------------------------ */

/* JS of the shares, then differences of rates (E), then the rates of both groups (2, E), then the Gini of the
 * absolute differences, from totals (2, 2 E + 2). */
static void
make_differences (const double *totals, double *out, gpointer data)
{
  guint n = ((const Layer *) data)->n_experts;
  const double *a = totals, *b = totals + 2 * n + 2;
  g_autofree double *absolute = g_new (double, n);

  out[0] = ms_js (a, b, n);
  for (guint e = 0; e < n; e++)
    {
      out[1 + e] = a[n] > 0 && b[n] > 0 ? a[e] / a[n] - b[e] / b[n] : NAN;
      out[1 + n + e] = a[n] > 0 ? a[e] / a[n] : NAN;
      out[1 + 2 * n + e] = b[n] > 0 ? b[e] / b[n] : NAN;
      absolute[e] = fabs (out[1 + e]);
    }
  out[1 + 3 * n] = ms_gini (absolute, n);
}

/* The interval of expert e's difference.  Of independent groups it is made of those of the two rates (Newcombe
 * 1998, method 10), which hold for rare experts too; with documents that cross the groups, whose rates go
 * together, of the resampled differences. */
static MsInterval
make_difference (const Difference *all, const Layer *layer, guint e, const double *values,
                 const double *resampled)
{
  guint n = layer->n_experts;
  gsize n_resamples = all->strata->n_resamples;
  const MsIntervalRule rule = { all->strata->confidence, all->strata->reach };
  MsInterval interval
      = ms_strata_interval (all->strata, values[1 + e], resampled + (1 + e) * n_resamples);
  MsInterval rates[N_GROUPS];

  ms_interval_clamp (&interval, -1, 1);
  if (all->strata->draws[N_GROUPS]->n_units > 1 || isnan (interval.error))
    return interval;
  for (guint g = 0; g < N_GROUPS; g++)
    {
      gsize at = 1 + (gsize) (1 + g) * n + e;

      rates[g] = ms_strata_interval (all->strata, values[at], resampled + at * n_resamples);
      ms_interval_bound (&rates[g], &rule, 0, 1, 1 / layer->totals[(gsize) g * (2 * n + 2) + n]);
      if (isnan (rates[g].low))
        return interval;
    }
  interval.low = interval.value
                 - hypot (rates[0].value - MIN (rates[0].low, rates[0].value),
                          MAX (rates[1].high, rates[1].value) - rates[1].value);
  interval.high = interval.value
                  + hypot (MAX (rates[0].high, rates[0].value) - rates[0].value,
                           rates[1].value - MIN (rates[1].low, rates[1].value));
  return interval;
}

/* The upper regularised incomplete gamma function Q (a, x): series below a + 1, else the continued
 * fraction (Lentz). */
static double
gamma_upper (double a, double x)
{
  double scale = exp (a * log (x) - x - lgamma (a));

  if (!(x > 0))
    return 1;
  if (x < a + 1)
    {
      double term = 1 / a, sum = term;

      for (double i = a + 1; term > sum * 1e-16; i++)
        sum += term *= x / i;
      return 1 - sum * scale;
    }
  else
    {
      double b = x + 1 - a, c = 1e300, d = 1 / b, value = d;

      for (guint i = 1; i < 10000; i++)
        {
          double factor, above = -(double) i * (i - a);

          b += 2;
          d = 1 / (above * d + b);
          c = b + above / c;
          factor = c * d;
          value *= factor;
          if (fabs (factor - 1) < 1e-15)
            break;
        }
      return value * scale;
    }
}

static void
test_layer (Layer *layer)
{
  guint n = layer->n_experts, used = 0;
  const double *a = layer->totals, *b = layer->totals + 2 * n + 2;
  double a_sum = 0, b_sum = 0;

  for (guint e = 0; e < n; e++)
    {
      a_sum += a[e];
      b_sum += b[e];
    }
  layer->chi_square = 0;
  for (guint e = 0; e < n; e++)
    {
      double both = a[e] + b[e], p = both / (a[n] + b[n]);
      double error = sqrt (p * (1 - p) * (1 / a[n] + 1 / b[n]));
      Expert *expert = &layer->experts[e];
      double a_expected = both * a_sum / (a_sum + b_sum);
      double b_expected = both * b_sum / (a_sum + b_sum);

      expert->z = error > 0 ? (a[e] / a[n] - b[e] / b[n]) / error : NAN;
      expert->p_token = erfc (fabs (expert->z) / G_SQRT2);
      expert->log_odds
          = log ((a[e] + 0.5) / (a[n] - a[e] + 0.5)) - log ((b[e] + 0.5) / (b[n] - b[e] + 0.5));
      expert->design = expert->difference.error * expert->difference.error / (error * error);
      expert->by_document = a[n + 1 + e] / a[2 * n + 1] - b[n + 1 + e] / b[2 * n + 1];
      used += both > 0;
      if (both > 0)
        layer->chi_square += (a[e] - a_expected) * (a[e] - a_expected) / a_expected
                             + (b[e] - b_expected) * (b[e] - b_expected) / b_expected;
    }
  layer->freedom = MAX (used, 1) - 1;
  layer->chi_p
      = layer->freedom > 0 ? gamma_upper (layer->freedom / 2.0, layer->chi_square / 2) : NAN;
}

static int
compare_attributions (gconstpointer a, gconstpointer b)
{
  const Attribution *x = a, *y = b;

  if (x->own != y->own)
    return x->own > y->own ? -1 : 1;
  return x->expert < y->expert ? -1 : x->expert > y->expert;
}

/* Turns absolute differences (n) to the running sums of their shares, the largest first; NaN when all are 0. */
static void
run_up (double *absolute, guint n)
{
  double all = 0, sum = 0;

  ms_sort (absolute, n);
  for (guint i = 0; i < n; i++)
    all += absolute[i];
  for (guint i = 0; i < n / 2; i++)
    {
      double last = absolute[n - 1 - i];

      absolute[n - 1 - i] = absolute[i];
      absolute[i] = last;
    }
  for (guint i = 0; i < n; i++)
    {
      sum += absolute[i];
      absolute[i] = all > 0 ? MIN (sum / all, 1) : NAN;
    }
}

/* The curve of the layer, and what random deals show: permuted (E, deals) are absolute differences. */
static void
make_curve (Layer *layer, const double *permuted, gsize n_deals)
{
  guint n = layer->n_experts;
  g_autofree double *running = g_new (double, n);
  double all = 0, sum = 0, n_defined = 0;

  layer->curve = g_new0 (Attribution, n);
  for (guint e = 0; e < n; e++)
    all += fabs (layer->experts[e].difference.value);
  for (guint e = 0; e < n; e++)
    {
      double own = fabs (layer->experts[e].difference.value);

      layer->curve[e] = (Attribution){ e, all > 0 ? own / all : NAN, NAN, 0 };
    }
  if (all > 0)
    qsort (layer->curve, n, sizeof *layer->curve, compare_attributions);
  for (guint i = 0; i < n; i++)
    {
      sum += layer->curve[i].own;
      layer->curve[i].sum = all > 0 ? MIN (sum, 1) : NAN;
    }
  for (gsize deal = 0; deal < n_deals; deal++)
    {
      for (guint e = 0; e < n; e++)
        running[e] = permuted[e * n_deals + deal];
      run_up (running, n);
      for (guint i = 0; i < n && !isnan (running[0]); i++)
        layer->curve[i].null += running[i];
      n_defined += !isnan (running[0]);
    }
  for (guint i = 0; i < n; i++)
    layer->curve[i].null = n_defined > 0 ? layer->curve[i].null / n_defined : NAN;
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Difference *all = data;
  Layer *layer = &all->layers[index];
  guint n = ms_trace_layer (context->trace, index)->gate.n_experts, width = 2 * n + 2;
  gsize n_resamples = all->strata->n_resamples, n_deals = all->n_deals;
  g_autofree double *sums = g_new0 (double, (gsize) all->strata->n_rows *width);
  g_autofree guint64 *counts = g_new0 (guint64, n);
  guint n_out = 3 * n + 2;
  g_autofree double *values = g_new (double, n_out);
  g_autofree double *resampled = g_new (double, n_resamples *n_out);
  g_autofree double *permuted = g_new (double, n_deals *n_out);
  Counting counting = { all, n, G_MAXUINT, counts, 0, sums };

  layer->block = ms_trace_layer (context->trace, index)->number;
  layer->n_experts = n;
  layer->experts = g_new0 (Expert, n);
  layer->totals = g_new0 (double, (gsize) N_GROUPS *width);
  if (!ms_trace_scan_layer (context->trace, index, 0, count_rows, &counting, context->cancel,
                            error))
    return FALSE;
  finish_document (&counting);
  for (guint g = 0; g < N_GROUPS; g++)
    for (guint row = all->strata->first[g]; row < all->strata->first[g + 1]; row++)
      for (guint i = 0; i < width; i++)
        layer->totals[(gsize) g * width + i] += sums[(gsize) row * width + i];
  ms_strata_resample (all->strata, sums, width, make_differences, layer, n_out, values, resampled);
  ms_strata_permute (all->strata, sums, width, all->n_deals, context->sampling.seed,
                     make_differences, layer, n_out, permuted);
  layer->js = ms_strata_interval (all->strata, values[0], resampled);
  ms_interval_clamp (&layer->js, 0, G_LN2);
  layer->js_null = ms_mean (permuted, all->n_deals);
  layer->js_p = ms_strata_p (values[0], permuted, all->n_deals);
  layer->gini
      = ms_strata_interval (all->strata, values[n_out - 1], resampled + (n_out - 1) * n_resamples);
  ms_interval_clamp (&layer->gini, 0, 1);
  layer->gini_null = ms_mean (permuted + (n_out - 1) * n_deals, all->n_deals);
  for (guint e = 0; e < n; e++)
    {
      double *own = permuted + (gsize) (e + 1) * n_deals;

      layer->experts[e].difference = make_difference (all, layer, e, values, resampled);
      for (gsize i = 0; i < n_deals; i++)
        own[i] = fabs (own[i]);
      layer->experts[e].p = ms_strata_p (fabs (values[e + 1]), own, all->n_deals);
    }
  make_curve (layer, permuted + n_deals, n_deals);
  test_layer (layer);
  return TRUE;
}

/* --- Many tests at once ---------------------------------------------------------------------- */

static int
compare_p (gconstpointer a, gconstpointer b)
{
  const Expert *left = *(Expert *const *) a, *right = *(Expert *const *) b;

  return (left->p > right->p) - (left->p < right->p);
}

/* Benjamini and Hochberg: q = min over larger p of p m / rank, over all experts of all layers. */
static void
correct (Difference *all)
{
  g_autoptr (GPtrArray) tests = g_ptr_array_new ();
  double least = 1;

  for (guint i = 0; i < all->n_layers; i++)
    for (guint e = 0; e < all->layers[i].n_experts; e++)
      {
        all->layers[i].experts[e].q = NAN;
        if (!isnan (all->layers[i].experts[e].p))
          g_ptr_array_add (tests, &all->layers[i].experts[e]);
      }
  g_ptr_array_sort (tests, compare_p);
  for (guint i = tests->len; i-- > 0;)
    {
      Expert *expert = g_ptr_array_index (tests, i);

      least = MIN (least, expert->p * tests->len / (i + 1.0));
      expert->q = least;
    }
}

/* --- Tables ---------------------------------------------------------------------------------- */

static void
write_layer (const Difference *all, const Layer *layer, MsResult *result)
{
  guint n = layer->n_experts, n_different = 0, n_selected = 0, top = 0;
  const double *a = layer->totals, *b = layer->totals + 2 * n + 2;

  for (guint e = 0; e < n; e++)
    {
      const Expert *expert = &layer->experts[e];
      const MsInterval *difference = &expert->difference;
      gboolean is_different = expert->q <= all->level;

      n_different += is_different;
      n_selected += expert->by_document > all->tau;
      if (fabs (difference->value) > fabs (layer->experts[top].difference.value))
        top = e;
      ms_table_add_row (
          result->tables[1], MS_INT (layer->block), MS_INT (e), MS_INT (llround (a[e])),
          MS_INT (llround (b[e])), MS_REAL (a[n] > 0 ? a[e] / a[n] : NAN),
          MS_REAL (b[n] > 0 ? b[e] / b[n] : NAN), MS_INTERVAL (*difference), MS_REAL (expert->p),
          MS_REAL (expert->q), MS_REAL (expert->log_odds), MS_REAL (expert->z),
          MS_REAL (expert->p_token), MS_REAL (expert->design), MS_REAL (expert->by_document),
          MS_INT (expert->by_document > all->tau), MS_REAL (0.0));
      if (is_different)
        ms_result_find (result,
                        isnan (difference->error) || difference->error == 0
                            ? fabs (difference->value)
                            : MIN (fabs (difference->value) / difference->error, 1e6),
                        g_strdup_printf ("layer=%d expert=%u", (int) layer->block, e),
                        "layer %d: expert %u is chosen by %.3g %% of the tokens of %s, %.3g %% of "
                        "%s (q = %.2g)",
                        (int) layer->block, e, 100 * a[e] / a[n], all->names[0], 100 * b[e] / b[n],
                        all->names[1], expert->q);
    }
  ms_table_add_row (
      result->tables[0], MS_INT (layer->block), MS_INT (llround (a[n])), MS_INT (llround (b[n])),
      MS_CORRECTED (layer->js), MS_REAL (layer->js_null), MS_REAL (layer->js_p),
      MS_REAL (layer->chi_square), MS_INT (layer->freedom), MS_REAL (layer->chi_p), MS_INT (top),
      MS_REAL (layer->experts[top].difference.value), MS_INT (n_different), MS_INT (n_selected));
}

/* The fewest experts that have `share` of the attribution; 0 when there is none. */
static guint
carriers (const Layer *layer, double share)
{
  for (guint i = 0; i < layer->n_experts; i++)
    if (layer->curve[i].sum >= share - 1e-12)
      return i + 1;
  return 0;
}

static void
write_attribution (const Difference *all, const Layer *layer, MsResult *result)
{
  guint n = layer->n_experts, half = carriers (layer, 0.5), most = carriers (layer, 0.8);
  gboolean flagged = half > 0 && half <= n * CONCENTRATED && layer->js_p <= all->level;

  ms_table_add_row (ms_result_table (result, "concentration"), MS_INT (layer->block),
                    MS_REAL (layer->gini.value), MS_REAL (layer->gini.corrected),
                    MS_REAL (layer->gini_null), MS_REAL (half > 0 ? (double) half / n : NAN),
                    MS_REAL (most > 0 ? (double) most / n : NAN), MS_INT (flagged));
  for (guint i = 0; i < n; i++)
    ms_table_add_row (ms_result_table (result, "attribution"), MS_INT (layer->block),
                      MS_REAL ((i + 1.0) / n), MS_INT (layer->curve[i].expert),
                      MS_REAL (layer->curve[i].own), MS_REAL (layer->curve[i].sum),
                      MS_REAL (layer->curve[i].null));
}

static void
tell_concentration (const Difference *all, MsResult *result)
{
  guint n_flagged = 0;

  for (guint i = 0; i < all->n_layers; i++)
    n_flagged += ms_table_get_int (ms_result_table (result, "concentration"), i,
                                   (guint) ms_table_find_column (
                                       ms_result_table (result, "concentration"), "flagged"))
                 == 1;
  if (n_flagged > 0)
    ms_result_note (result,
                    "In %u of %u layers a fifth of the experts or fewer carries half of the "
                    "difference, beyond chance: whoever silences these few changes what the model "
                    "does with these texts (table concentration).",
                    n_flagged, all->n_layers);
}

static void
summarise (const Difference *all, MsResult *result)
{
  const Layer *layer = &all->layers[0];
  guint expert = 0, n_different = 0, n_tests = 0;
  double js = 0, null = 0;

  for (guint i = 0; i < all->n_layers; i++)
    {
      const Layer *at = &all->layers[i];

      js += at->js.corrected / all->n_layers;
      null += at->js_null / all->n_layers;
      for (guint e = 0; e < at->n_experts; e++)
        {
          n_tests += !isnan (at->experts[e].q);
          n_different += at->experts[e].q <= all->level;
          if (fabs (at->experts[e].difference.value)
              > fabs (layer->experts[expert].difference.value))
            {
              layer = at;
              expert = e;
            }
        }
    }
  result->summary = g_strdup_printf (
      "Expert %u of layer %d differs most between %s (%u documents) and %s (%u): risk difference "
      "%+.3g; %u of %u experts differ at a false discovery rate of %.3g; the groups' shares are "
      "%.3g nats apart (Jensen-Shannon, mean over layers, corrected for the %.3g that documents "
      "dealt at random show).",
      expert, (int) layer->block, all->names[0], all->n_documents[0], all->names[1],
      all->n_documents[1], layer->experts[expert].difference.value, n_different, n_tests,
      all->level, js, null);
  ms_result_note (result,
                  "p deals whole documents at random %u times (two-sided); q corrects it over "
                  "all experts of all layers (Benjamini-Hochberg).",
                  all->n_deals);
  ms_result_note (
      result,
      "z, its p and chi-square are as published and no tests: they take tokens as independent; "
      "`design` tells by how much the variance exceeds that of independent tokens.");
  if (all->n_deals > 0 && all->level * (all->n_deals + 1.0) < 1)
    ms_result_note (result, "With %u deals no p can be below %.3g: raise --permutations.",
                    all->n_deals, 1 / (all->n_deals + 1.0));
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  Difference all = { .n_deals = (guint) ms_values_int (context->values, "permutations"),
                     .tau = ms_values_real (context->values, "tau"),
                     .level = ms_values_real (context->values, "level") };
  gboolean fine = make_groups (context, &all, error);

  if (fine)
    {
      all.strata = ms_strata_new (context, &all.groups, ms_trace_n_documents (context->trace));
      all.n_layers = ms_trace_n_layers (context->trace);
      all.layers = g_new0 (Layer, all.n_layers);
      fine = ms_context_tasks (context, all.n_layers, do_layer, &all, 0, 1, error);
    }
  if (fine)
    correct (&all);
  for (guint i = 0; fine && i < all.n_layers; i++)
    {
      write_layer (&all, &all.layers[i], result);
      write_attribution (&all, &all.layers[i], result);
    }
  if (fine)
    {
      summarise (&all, result);
      tell_concentration (&all, result);
    }
  clear_difference (&all);
  return fine;
}

static const MsParam params[] = {
  { .name = "group-a",
    .title = "First group",
    .help = "Documents as a selection, such as 'lang=de' or 'domain=code'; empty = all others.",
    .type = MS_PARAM_TEXT },
  { .name = "group-b",
    .title = "Second group",
    .help = "Likewise; both empty = the first domain (or language, or phase) against the rest.",
    .type = MS_PARAM_TEXT },
  { .name = "permutations",
    .title = "Random deals",
    .help = "How often documents are dealt at random to the two groups for the p values.",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 1000000,
    .usual = 1999,
    .ui_least = 99,
    .ui_most = 9999 },
  { .name = "level",
    .title = "False discovery rate",
    .help = "Experts with q up to this are called different.",
    .type = MS_PARAM_REAL,
    .least = 0,
    .most = 1,
    .usual = 0.05,
    .ui_least = 0.001,
    .ui_most = 0.2 },
  { .name = "tau",
    .title = "Task threshold",
    .help
    = "Experts whose mean rate over documents of the first group exceeds that of the second by "
      "more are selected (task experts).",
    .type = MS_PARAM_REAL,
    .least = 0,
    .most = 1,
    .usual = 0.2 },
  { 0 },
};

static const MsColumn layer_columns[] = {
  MS_LAYER_COLUMN,
  { "n_a", "Tokens, first", "tokens", MS_COLUMN_INT, "Of the first group, with an expert." },
  { "n_b", "Tokens, second", "tokens", MS_COLUMN_INT, "Of the second group, with an expert." },
  { "js", "Distance", "nats", MS_COLUMN_REAL,
    "Jensen-Shannon divergence of the groups' expert shares." },
  MS_CORRECTED_COLUMN ("js_", "nats"),
  MS_INTERVAL_COLUMNS ("js_", "nats"),
  { "js_null", "Floor", "nats", MS_COLUMN_REAL,
    "Mean of js over random deals of the documents; js_corrected has no such floor." },
  { "js_p", "p", NULL, MS_COLUMN_REAL, "Share of random deals with so large a distance." },
  { "chi_square", "Chi-square", NULL, MS_COLUMN_REAL,
    "As published; no test: it takes choices as independent, which they are not." },
  { "freedom", "Degrees of freedom", NULL, MS_COLUMN_INT, "Experts used - 1." },
  { "chi_p", "p of chi-square", NULL, MS_COLUMN_REAL,
    "Not to be used: without any difference it is below 0.05 nearly always; use js_p." },
  { "top_expert", "Top expert", NULL, MS_COLUMN_INT, "With the largest absolute difference." },
  { "top_difference", "Its difference", NULL, MS_COLUMN_REAL, "Risk difference." },
  { "n_different", "Different experts", "experts", MS_COLUMN_INT, "With q up to the level." },
  { "n_selected", "Task experts", "experts", MS_COLUMN_INT, "With by_document above tau." },
  { 0 },
};

static const MsColumn expert_columns[] = {
  MS_LAYER_COLUMN,
  MS_EXPERT_COLUMN,
  { "count_a", "Count, first", "tokens", MS_COLUMN_INT, "Tokens of the first group choosing it." },
  { "count_b", "Count, second", "tokens", MS_COLUMN_INT,
    "Tokens of the second group choosing it." },
  { "rate_a", "Rate, first", NULL, MS_COLUMN_REAL, "count_a / tokens of the group." },
  { "rate_b", "Rate, second", NULL, MS_COLUMN_REAL, "count_b / tokens of the group." },
  { "difference", "Risk difference", NULL, MS_COLUMN_REAL, "rate_a - rate_b." },
  MS_INTERVAL_COLUMNS ("", NULL),
  { "p", "p", NULL, MS_COLUMN_REAL,
    "Share of random deals of whole documents with so large an absolute difference." },
  { "q", "q", NULL, MS_COLUMN_REAL, "p corrected for all experts (Benjamini-Hochberg)." },
  { "log_odds", "Log-odds", NULL, MS_COLUMN_REAL,
    "ln of the odds ratio, 0.5 added to every cell." },
  { "z", "z", NULL, MS_COLUMN_REAL,
    "As published; no test: it takes tokens as independent, which they are not." },
  { "p_token", "p of z", NULL, MS_COLUMN_REAL,
    "Not to be used: far too small, because tokens of a document go together; use p." },
  { "design", "Design effect", NULL, MS_COLUMN_REAL,
    "Bootstrap variance of the difference / variance for independent tokens." },
  { "by_document", "Difference by document", NULL, MS_COLUMN_REAL,
    "Mean over documents of count / tokens, first minus second group." },
  { "selected", "Task expert", NULL, MS_COLUMN_INT, "1 = by_document above tau." },
  { "none", "No difference", NULL, MS_COLUMN_REAL, "0." },
  { 0 },
};

static const MsColumn concentration_columns[] = {
  MS_LAYER_COLUMN,
  { "gini", "Concentration", NULL, MS_COLUMN_REAL,
    "Gini coefficient of the experts' absolute risk differences: 0 all alike, towards 1 one "
    "alone." },
  MS_CORRECTED_COLUMN ("gini_", NULL),
  { "gini_null", "Floor", NULL, MS_COLUMN_REAL,
    "Mean over random deals of the documents: what differences by chance show." },
  { "experts_half", "Experts with half", NULL, MS_COLUMN_REAL,
    "Least share of the experts that has half of the absolute differences." },
  { "experts_most", "Experts with most", NULL, MS_COLUMN_REAL,
    "Least share that has four fifths." },
  { "flagged", "Concentrated", NULL, MS_COLUMN_INT,
    "1 = a fifth of the experts or fewer has half, and the groups' distance is beyond chance (js_p "
    "up to the level)." },
  { 0 },
};

static const MsColumn attribution_columns[] = {
  MS_LAYER_COLUMN,
  { "expert_share", "Share of experts", NULL, MS_COLUMN_REAL,
    "Of the experts so far / all, those with the largest absolute differences first." },
  MS_EXPERT_COLUMN,
  { "attribution", "Attribution", NULL, MS_COLUMN_REAL,
    "The expert's absolute risk difference / the sum of all of its layer." },
  { "attribution_sum", "Share of attribution", NULL, MS_COLUMN_REAL, "Of the experts so far." },
  { "attribution_null", "By chance", NULL, MS_COLUMN_REAL,
    "The same, a mean over random deals of the documents." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Difference by layer", layer_columns },
  { "experts", "Difference of every expert", expert_columns },
  { "concentration", "Concentration of the difference", concentration_columns },
  { "attribution", "Attribution by share of experts", attribution_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "map",
    .title = "Risk difference of every expert",
    .table = "experts",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "layer",
    .value = "difference",
    .value_scale = MS_SCALE_DIVERGING },
  { .name = "experts",
    .title = "Risk difference by expert",
    .table = "experts",
    .mark = MS_MARK_INTERVAL,
    .x = "expert",
    .y = "difference",
    .facet = "layer",
    .low = "low",
    .high = "high" },
  { .name = "layers",
    .title = "Distance of the groups by layer",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "js_corrected",
    .low = "js_low",
    .high = "js_high",
    .y_title = "Distance of groups (nats)" },
  { .name = "attribution",
    .title = "Share of the difference that the strongest experts carry",
    .table = "attribution",
    .mark = MS_MARK_LINE,
    .x = "expert_share",
    .y = "attribution_sum",
    .facet = "layer",
    .x_title = "Share of experts",
    .y_title = "Share of attribution",
    .reference = "attribution_null" },
  { .name = "rates",
    .title = "Rates of every expert in the two groups",
    .table = "experts",
    .mark = MS_MARK_SCATTER,
    .x = "rate_b",
    .y = "rate_a",
    .series = "layer",
    .label = "expert",
    .x_title = "Rate in the second group",
    .y_title = "Rate in the first group",
    .reference = "rate_b" },
  { 0 },
};

const MsAnalysis ms_analysis_difference = {
  .name = "difference",
  .title = "Differential Activation",
  .help = "Which experts serve one set of documents more than another, beyond chance?",
  .formula = "difference = a1/n1 - a2/n2, a = tokens of the group that choose the expert, n = its "
             "tokens.  p deals whole documents at random, q corrects for all experts.  z = "
             "difference / sqrt (p (1-p) (1/n1 + 1/n2)) and chi-square over tokens stand beside.",
  .cite = "Risk difference: SteerMoE.  Task experts: Multilingual routing in mixture-of-"
          "experts, arXiv 2510.04694.  False discovery rate: Benjamini and Hochberg 1995.",
  .version = 3,
  .needs = MS_TAKES_COUNTS,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
