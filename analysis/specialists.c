/* Which experts serve one group of documents (a language, a domain, a phase) more than all others, in which
 * layers, and how sure that is: shares with intervals of the whole group against the rest (metrics.md f.1).
 *
 * An expert is a specialist of the group when it takes at least twice the share of the group's tokens that it takes
 * of the others', the whole interval of that ratio lies above 1, and it takes its fair share of the group. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

#define LEAST_RATIO 2.0
#define MOST_NAMED  3 /* in the sentence */

static const char *const labels[] = { "domain", "language", "phase", NULL };

enum
{
  GROUP,
  REST,
  N_GROUPS
};

/* What is measured of each expert, (N_OUT, E). */
enum
{
  OUT_PERCENT,
  OUT_RATIO,
  N_OUT
};

typedef struct
{
  guint n_experts, k;
  gint64 block;
  double *totals;        /* (N_GROUPS, E + 1) counts, then tokens */
  MsInterval *intervals; /* (N_OUT, E) */
} Layer;

typedef struct
{
  const char *label, *name;
  MsStrata *strata;
  Layer *layers; /* (n_layers) */
} Specialists;

static double
percent_of (const double *totals, guint n, guint group, guint e)
{
  const double *own = totals + (gsize) group * (n + 1);

  return own[n] > 0 ? 100 * own[e] / own[n] : NAN;
}

/* The logarithm of the ratio of both sides' shares, each with half a token more: so it exists for experts that a
 * resample does not choose at all. */
static double
log_ratio (const double *totals, guint n, guint e)
{
  const double *own = totals + (gsize) GROUP * (n + 1), *rest = totals + (gsize) REST * (n + 1);

  return log ((own[e] + 0.5) / (own[n] + 1)) - log ((rest[e] + 0.5) / (rest[n] + 1));
}

static void
measure (const double *totals, double *out, gpointer data)
{
  guint n = ((const Layer *) data)->n_experts;

  for (guint e = 0; e < n; e++)
    {
      out[OUT_PERCENT * n + e] = percent_of (totals, n, GROUP, e);
      out[OUT_RATIO * n + e] = log_ratio (totals, n, e);
    }
}

/* Shares lie on the scale of log odds, ratios on that of logarithms: neither leaves its range. */
static void
take_intervals (const Specialists *all, Layer *layer, const double *values, const double *resampled)
{
  const MsIntervalRule rule = { all->strata->confidence, all->strata->reach };
  gsize n = layer->n_experts, n_resamples = all->strata->n_resamples;
  double tokens = layer->totals[(gsize) GROUP * (n + 1) + n];

  layer->intervals = g_new (MsInterval, N_OUT * n);
  for (gsize i = 0; i < N_OUT * n; i++)
    layer->intervals[i] = ms_strata_interval (all->strata, values[i], resampled + i * n_resamples);
  for (guint e = 0; e < n; e++)
    {
      MsInterval *ratio = &layer->intervals[OUT_RATIO * n + e];
      double rest = percent_of (layer->totals, (guint) n, REST, e);
      double own = percent_of (layer->totals, (guint) n, GROUP, e);

      if (tokens > 0)
        ms_interval_bound (&layer->intervals[OUT_PERCENT * n + e], &rule, 0, 100, 100 / tokens);
      ratio->value = rest > 0 ? own / rest : NAN;
      if (isnan (ratio->value))
        ratio->low = ratio->high = NAN;
      else if (!isnan (ratio->low))
        {
          ratio->low = MIN (exp (ratio->low), ratio->value);
          ratio->high = MAX (exp (ratio->high), ratio->value);
        }
    }
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Specialists *all = data;
  Layer *layer = &all->layers[index];
  const MsLayer *def = ms_trace_layer (context->trace, index);
  guint n = def->gate.n_experts;
  gsize n_resamples = all->strata->n_resamples, n_out = (gsize) N_OUT * n;
  g_autofree double *sums = g_new (double, (gsize) all->strata->n_rows *(n + 1));
  g_autofree double *values = g_new (double, n_out);
  g_autofree double *resampled = g_new (double, n_out *n_resamples);

  layer->block = def->number;
  layer->n_experts = n;
  layer->k = def->gate.k;
  if (!ms_strata_count (all->strata, context, index, 0, sums, error))
    return FALSE;
  layer->totals = g_new0 (double, (gsize) N_GROUPS *(n + 1));
  for (guint g = 0; g < N_GROUPS; g++)
    for (guint row = all->strata->first[g]; row < all->strata->first[g + 1]; row++)
      for (guint e = 0; e <= n; e++)
        layer->totals[(gsize) g * (n + 1) + e] += sums[(gsize) row * (n + 1) + e];
  ms_strata_resample (all->strata, sums, n + 1, measure, layer, (guint) n_out, values, resampled);
  take_intervals (all, layer, values, resampled);
  return TRUE;
}

static double
fair_percent (const Layer *layer)
{
  double sum = 0;

  for (guint e = 0; e < layer->n_experts; e++)
    sum += layer->totals[e];
  return layer->totals[layer->n_experts] > 0
             ? 100 * sum / layer->totals[layer->n_experts] / layer->n_experts
             : NAN;
}

/* Without intervals the ratio alone decides. */
static gboolean
is_specialist (const Layer *layer, guint e)
{
  const MsInterval *ratio = &layer->intervals[OUT_RATIO * layer->n_experts + e];
  double percent = layer->intervals[OUT_PERCENT * layer->n_experts + e].value;

  return ratio->value >= LEAST_RATIO && !(ratio->low <= 1) && percent >= fair_percent (layer);
}

/* --- Tables ---------------------------------------------------------------------------------- */

typedef struct
{
  const Layer *layer;
  guint expert;
  double over; /* the others' share, in percent of tokens */
} Strong;

static int
compare_strong (gconstpointer a, gconstpointer b)
{
  const Strong *left = a, *right = b;

  if (left->over != right->over)
    return left->over < right->over ? 1 : -1;
  if (left->layer->block != right->layer->block)
    return left->layer->block > right->layer->block ? 1 : -1;
  return (left->expert > right->expert) - (left->expert < right->expert);
}

static void
write_layer (const Layer *layer, MsResult *result, GArray *strong)
{
  guint n = layer->n_experts, n_specialists = 0;
  double taken = 0, fair = fair_percent (layer);

  for (guint e = 0; e < n; e++)
    {
      double rest = percent_of (layer->totals, n, REST, e);
      const MsInterval *percent = &layer->intervals[OUT_PERCENT * n + e];
      const MsInterval *ratio = &layer->intervals[OUT_RATIO * n + e];
      gboolean special = is_specialist (layer, e);

      ms_table_add_row (ms_result_table (result, "experts"), MS_INT (layer->block), MS_INT (e),
                        MS_INT (llround (layer->totals[e])), MS_INTERVAL (*percent), MS_REAL (rest),
                        MS_REAL (ratio->value), MS_REAL (ratio->low), MS_REAL (ratio->high),
                        MS_REAL (fair), MS_INT (special));
      if (!special)
        continue;
      n_specialists++;
      taken += percent->value / layer->k;
      g_array_append_val (strong, ((Strong){ layer, e, percent->value - rest }));
    }
  ms_table_add_row (ms_result_table (result, "layers"), MS_INT (layer->block),
                    MS_INT (n_specialists), MS_REAL (layer->totals[n] > 0 ? taken : NAN));
}

static void
write_specialists (MsResult *result, const GArray *strong)
{
  for (guint i = 0; i < strong->len; i++)
    {
      const Strong *at = &g_array_index (strong, Strong, i);
      guint n = at->layer->n_experts;
      const MsInterval *percent = &at->layer->intervals[OUT_PERCENT * n + at->expert];
      const MsInterval *ratio = &at->layer->intervals[OUT_RATIO * n + at->expert];

      ms_table_add_row (ms_result_table (result, "specialists"), MS_INT (at->layer->block),
                        MS_INT (at->expert), MS_INTERVAL (*percent),
                        MS_REAL (percent_of (at->layer->totals, n, REST, at->expert)),
                        MS_REAL (ratio->value), MS_REAL (ratio->low), MS_REAL (ratio->high));
    }
}

static char *
name_interval (const MsInterval *interval)
{
  return isnan (interval->low) ? g_strdup_printf ("%.3g %%", interval->value)
                               : g_strdup_printf ("%.3g %% [%.3g, %.3g]", interval->value,
                                                  interval->low, interval->high);
}

static void
summarise (const Specialists *all, guint n_layers, const GArray *strong, MsResult *result)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GString) where = g_string_new (NULL);
  guint n_experts = 0;
  const MsTable *layers = ms_result_table (result, "layers");

  for (guint l = 0; l < n_layers; l++)
    {
      gint64 n = ms_table_get_int (layers, l, 1);

      n_experts += all->layers[l].n_experts;
      if (n > 0)
        g_string_append_printf (where, "%s%" G_GINT64_FORMAT " (%" G_GINT64_FORMAT ")",
                                where->len > 0 ? ", " : "", all->layers[l].block, n);
    }
  if (strong->len == 0)
    g_string_append_printf (text,
                            "None of %u experts is specialised on %s: none takes twice the share "
                            "of the others' tokens, by more than chance makes of so few documents.",
                            n_experts, all->name);
  else
    g_string_append_printf (text, "%u of %u experts are specialised on %s, in layers (experts) %s.",
                            strong->len, n_experts, all->name, where->str);
  for (guint i = 0; i < MIN (strong->len, MOST_NAMED); i++)
    {
      const Strong *at = &g_array_index (strong, Strong, i);
      guint n = at->layer->n_experts;
      g_autofree char *percent
          = name_interval (&at->layer->intervals[OUT_PERCENT * n + at->expert]);

      g_string_append_printf (text,
                              "%s expert %u of layer %d with %s of its tokens, %.3g %% of others",
                              i == 0 ? " Strongest:" : ";", at->expert, (int) at->layer->block,
                              percent, percent_of (at->layer->totals, n, REST, at->expert));
    }
  if (strong->len > 0)
    g_string_append_c (text, '.');
  result->summary = g_string_free (g_steal_pointer (&text), FALSE);
}

/* --- Groups ---------------------------------------------------------------------------------- */

/* The group's number among all; the one with most documents when none is named.  -1 with *error. */
static int
find_group (const MsGroups *groups, const char *wanted, const char *label, guint n_documents,
            GError **error)
{
  g_autofree guint *sizes = g_new0 (guint, groups->n + 1);
  g_autofree char *names = NULL;
  int best = 0;

  for (guint g = 0; g < groups->n; g++)
    if (*wanted != '\0' && strcmp (groups->names[g], wanted) == 0)
      return (int) g;
  for (guint d = 0; d < n_documents; d++)
    if (groups->group[d] >= 0 && ++sizes[groups->group[d]] > sizes[best])
      best = groups->group[d];
  if (*wanted == '\0')
    return best;
  names = g_strjoinv (", ", groups->names);
  g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
               "--group: no document selected has the %s '%s'; there are %s", label, wanted, names);
  return -1;
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  const char *label = labels[ms_values_choice (context->values, "label")];
  guint n_layers = ms_trace_n_layers (context->trace);
  guint n_documents = ms_trace_n_documents (context->trace);
  g_autoptr (MsGroups) groups = ms_trace_group (context->trace, label, error);
  g_autofree int *side = g_new (int, n_documents + 1);
  g_autoptr (GArray) strong = g_array_new (FALSE, FALSE, sizeof (Strong));
  MsGroups sides = { .n = N_GROUPS, .group = side };
  Specialists all = { .label = label };
  gboolean fine;
  int chosen;

  if (groups == NULL)
    return FALSE;
  chosen
      = find_group (groups, ms_values_text (context->values, "group"), label, n_documents, error);
  if (chosen < 0)
    return FALSE;
  if (groups->n < 2)
    {
      result->summary = g_strdup_printf (
          "All documents selected are of one %s, %s: there is nothing to compare it with.", label,
          groups->names[chosen]);
      return TRUE;
    }
  all.name = groups->names[chosen];
  for (guint d = 0; d < n_documents; d++)
    side[d] = groups->group[d] < 0 ? -1 : groups->group[d] == chosen ? GROUP : REST;
  all.strata = ms_strata_new (context, &sides, n_documents);
  all.layers = g_new0 (Layer, n_layers);
  fine = ms_context_tasks (context, n_layers, do_layer, &all, 0, 1, error);
  for (guint i = 0; fine && i < n_layers; i++)
    write_layer (&all.layers[i], result, strong);
  g_array_sort (strong, compare_strong);
  if (fine)
    {
      write_specialists (result, strong);
      summarise (&all, n_layers, strong, result);
      ms_result_note (result,
                      "Specialised: at least %.3g times the share of the others' tokens, with an "
                      "interval wholly above 1, and the fair share of the group's.",
                      LEAST_RATIO);
    }
  for (guint i = 0; i < n_layers; i++)
    {
      g_free (all.layers[i].totals);
      g_free (all.layers[i].intervals);
    }
  g_free (all.layers);
  ms_strata_free (all.strata);
  return fine;
}

static const MsParam params[] = {
  { .name = "label",
    .title = "Groups",
    .help = "Which label of the documents makes the groups.",
    .type = MS_PARAM_CHOICE,
    .choices = labels },
  { .name = "group",
    .title = "Group",
    .help = "The language, domain or phase to look at; empty = the one with most documents.",
    .type = MS_PARAM_TEXT,
    .usual_text = "" },
  { 0 },
};

#define PERCENT                                                                                    \
  { "percent", "Share of tokens", "%", MS_COLUMN_REAL,                                             \
    "Tokens of the group that choose the expert." },                                               \
      MS_INTERVAL_COLUMNS ("", "%")
#define RATIO                                                                                      \
  { "rest", "Share of the others' tokens", "%", MS_COLUMN_REAL,                                    \
    "The same over all documents of other groups." },                                              \
      { "ratio", "Times the others' share", NULL, MS_COLUMN_REAL, "percent / rest." },             \
      { "ratio_low", "Times the others' share, low", NULL, MS_COLUMN_REAL,                         \
        "Lower end of its bootstrap interval over documents of both sides." },                     \
  {                                                                                                \
    "ratio_high", "Times the others' share, high", NULL, MS_COLUMN_REAL, "Upper end."              \
  }

static const MsTableDef tables[] = {
  { "specialists", "Specialists of the group",
    (const MsColumn[]){ MS_LAYER_COLUMN, MS_EXPERT_COLUMN, PERCENT, RATIO, { 0 } } },
  { "experts", "All experts",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        MS_EXPERT_COLUMN,
        { "count", "Count", "tokens", MS_COLUMN_INT, "Tokens of the group that choose it." },
        PERCENT,
        RATIO,
        { "fair", "Fair share", "%", MS_COLUMN_REAL, "100 k / E where all tokens have k experts." },
        { "specialist", "Specialist", NULL, MS_COLUMN_INT, "1 = it is one of the group." },
        { 0 } } },
  { "layers", "Specialists by layer",
    (const MsColumn[]){
        MS_LAYER_COLUMN,
        { "specialists", "Specialists", "experts", MS_COLUMN_INT, "Of the group." },
        { "taken", "Choices that they take", "%", MS_COLUMN_REAL, "Of the group's choices." },
        { 0 } } },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "map",
    .title = "Share of the group's tokens, times that of the others",
    .table = "experts",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "layer",
    .value = "ratio",
    .value_scale = MS_SCALE_RATIO,
    .centre = 1,
    .x_title = "Expert (numbered anew in each layer)" },
  { .name = "layers",
    .title = "Specialists by layer",
    .table = "layers",
    .mark = MS_MARK_BAR,
    .x = "layer",
    .y = "specialists" },
  { 0 },
};

const MsAnalysis ms_analysis_specialists = {
  .name = "specialists",
  .title = "Specialists of a Group",
  .help
  = "Which experts are specialised on one language, domain or phase, in which layers, and how "
    "sure is that?",
  .formula = "percent = 100 N_eD / N_D of the group, rest the same of all other documents; a "
             "specialist has percent / rest >= 2, its interval above 1, and percent >= 100 k / E.",
  .cite = "Shares: OLMoE, arXiv 2409.02060; the threshold is our own.",
  .version = 1,
  .selective = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
