/* Standing committee (metrics.md f.3): experts that every domain relies on.
 *
 * The importances (ECI) of the experts in each domain come from the run or from a file.  The pool is the
 * layer's real number of experts, never one guessed from the largest id.  Nothing here has an interval: lists are
 * ranks, which resamples change in leaps (intervals covered 80 to 100 % of the time); groups to which documents
 * were dealt at random tell what to compare the overlap with.  Golden: committee_audit. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

#define MOST_LAYERS  65536
#define MOST_DOMAINS 100000
/* Cells of a file's importances; more would not fit in memory. */
#define MOST_CELLS ((gint64) 1 << 28)

static const char *const labels[] = { "domain", "language", "phase", NULL };

enum
{
  IMPORTANCE_WEIGHTS,
  IMPORTANCE_SCORES,
  IMPORTANCE_RELEASED
};
static const char *const importances[] = { "weights", "scores", "released", NULL };
static const char *const importance_names[] = {
  "mean over tokens of the recorded combine weight (0 where not chosen)",
  "mean over tokens of the full router probability",
  "frequency times min-max-normalised mean weight, rounded to 4 places (the released "
  "preprocessing)",
};
static const char *const token_choices[] = { "all", "last", NULL };

/* One expert over the lists of all domains. */
typedef struct
{
  guint presence;
  guint64 rank_sum, rank_squares; /* rank k + 1 where not listed */
  double mass;                    /* sum of its importances where listed */
  gboolean is_member;
} Standing;

enum
{
  AUDIT_SIZE,
  AUDIT_COVERAGE,
  AUDIT_RATIO,
  AUDIT_JACCARD,
  AUDIT_LEAST_JACCARD,
  AUDIT_GINI,
  N_AUDIT
};

typedef struct
{
  gint64 block;
  guint n_experts, k;
  double *importance;  /* (G, E) */
  Standing *standings; /* (E) */
  double measures[N_AUDIT];
  double dealt; /* mean Jaccard when documents are dealt to the groups at random */
} Layer;

typedef struct
{
  guint n_groups;
  char **names;      /* (n_groups) */
  const char *label; /* NULL = from a file */
  MsStrata *strata;  /* NULL = from a file */
  const MsGroups *groups;
  guint n_layers, importance, n_deals;
  double presence;
  gboolean last;
  Layer *layers; /* (n_layers) */
} Committee;

static void
clear_committee (Committee *all)
{
  for (guint i = 0; i < all->n_layers; i++)
    {
      g_free (all->layers[i].importance);
      g_free (all->layers[i].standings);
    }
  g_free (all->layers);
  ms_strata_free (all->strata);
}

/* --- The audit ------------------------------------------------------------------------------- */

/* The k experts of greatest importance (E), equal ones by number, into list. */
static void
list_experts (const double *importance, guint n, guint k, guint *list)
{
  g_autofree guint8 *taken = g_new0 (guint8, n);

  for (guint i = 0; i < k; i++)
    {
      guint best = n;

      for (guint e = 0; e < n; e++)
        if (!taken[e] && (best == n || importance[e] > importance[best]))
          best = e;
      taken[best] = 1;
      list[i] = best;
    }
}

/* Whether a is dominated by b: b is at least as good in mean rank and its variance, and better in one.
 * Exact in integers: n^2 variance = n squares - sum^2. */
static gboolean
is_dominated (const Standing *a, const Standing *b, guint64 n)
{
  guint64 a_spread = n * a->rank_squares - a->rank_sum * a->rank_sum;
  guint64 b_spread = n * b->rank_squares - b->rank_sum * b->rank_sum;

  return b->rank_sum <= a->rank_sum && b_spread <= a_spread
         && (b->rank_sum != a->rank_sum || b_spread != a_spread);
}

/* Fills the standings (E) and measures of importances (G, E). */
static void
audit (const double *importance, guint n_groups, guint n, guint k, double presence,
       Standing *standings, double *measures)
{
  g_autofree guint *lists = g_new (guint, (gsize) n_groups * k);
  g_autofree guint8 *listed = g_new0 (guint8, (gsize) n_groups * n);
  g_autofree guint8 *is_candidate = g_new0 (guint8, n);
  g_autofree double *mean = g_new0 (double, n);
  guint need = (guint) ceil (n_groups * presence), most = 0, size = 0, n_pairs = 0;
  double all = 0, covered = 0, jaccard = 0, least = INFINITY, coverage;
  gboolean any = FALSE;

  memset (standings, 0, n * sizeof *standings);
  for (guint g = 0; g < n_groups; g++)
    {
      const double *own = importance + (gsize) g * n;

      list_experts (own, n, k, lists + (gsize) g * k);
      for (guint i = 0; i < k; i++)
        {
          guint e = lists[(gsize) g * k + i];

          listed[(gsize) g * n + e] = 1;
          standings[e].presence++;
          standings[e].rank_sum += i + 1;
          standings[e].rank_squares += (guint64) (i + 1) * (i + 1);
          standings[e].mass += own[e];
          all += own[e];
        }
      for (guint e = 0; e < n; e++)
        mean[e] += own[e] / n_groups;
    }
  for (guint e = 0; e < n; e++)
    {
      guint64 absent = n_groups - standings[e].presence;

      standings[e].rank_sum += absent * (k + 1);
      standings[e].rank_squares += absent * (k + 1) * (k + 1);
      most = MAX (most, standings[e].presence);
      any = any || (standings[e].presence > 0 && standings[e].presence >= need);
    }
  for (guint e = 0; e < n; e++)
    is_candidate[e] = standings[e].presence > 0 && standings[e].presence >= (any ? need : most);
  for (guint e = 0; e < n; e++)
    {
      gboolean stays = is_candidate[e];

      for (guint o = 0; stays && o < n; o++)
        stays = !is_candidate[o] || !is_dominated (&standings[e], &standings[o], n_groups);
      standings[e].is_member = stays;
      size += stays;
      covered += stays ? standings[e].mass : 0;
    }
  for (guint a = 0; a < n_groups; a++)
    for (guint b = a + 1; b < n_groups; b++)
      {
        guint both = 0;
        double one;

        for (guint i = 0; i < k; i++)
          both += listed[(gsize) b * n + lists[(gsize) a * k + i]];
        one = both / (2.0 * k - both);
        jaccard += one;
        least = MIN (least, one);
        n_pairs++;
      }
  coverage = all > 0 ? covered / all : NAN;
  measures[AUDIT_SIZE] = size;
  measures[AUDIT_COVERAGE] = coverage;
  if (size == 0 || size == n)
    measures[AUDIT_RATIO] = 1;
  else if (coverage >= 1)
    measures[AUDIT_RATIO] = INFINITY;
  else
    measures[AUDIT_RATIO] = coverage / size / ((1 - coverage) / (n - size));
  measures[AUDIT_JACCARD] = n_pairs > 0 ? jaccard / n_pairs : NAN;
  measures[AUDIT_LEAST_JACCARD] = n_pairs > 0 ? least : NAN;
  measures[AUDIT_GINI] = ms_gini (mean, n);
}

/* --- Importances of a run -------------------------------------------------------------------- */

typedef struct
{
  const Committee *all;
  const Layer *layer;
  const MsTrace *trace;
  guint index;  /* of the layer in the trace */
  double *sums; /* (rows, 2 E + 1) mass, count, then tokens */
  double *p;    /* (E) scratch */
} Scan;

static void
add_scores (const Scan *scan, const float *scores, double *mass)
{
  ms_trace_distribution (scan->trace, scan->index, scores, scan->p);
  for (guint e = 0; e < scan->layer->n_experts; e++)
    mass[e] += scan->p[e];
}

static gboolean
add_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
          GError **error)
{
  const Scan *scan = data;
  const MsDocument *text = ms_trace_document (scan->trace, document);
  guint n_experts = scan->layer->n_experts, unit = scan->all->strata->row[document];
  guint first = from;
  double *sums;

  (void) error;
  if (unit == G_MAXUINT)
    return TRUE;
  sums = scan->sums + (gsize) unit * (2 * n_experts + 1);
  if (scan->all->last)
    {
      if (row + n < text->first_token + text->n_tokens)
        return TRUE;
      first = from + n - 1;
    }
  for (gsize i = first; i < (gsize) from + n; i++)
    {
      if (ms_chunk_expert (chunk, i * chunk->k) >= n_experts)
        continue;
      sums[2 * n_experts]++;
      if (scan->all->importance == IMPORTANCE_SCORES)
        {
          add_scores (scan, chunk->logits + i * n_experts, sums);
          continue;
        }
      for (guint r = 0; r < chunk->k; r++)
        {
          guint e = ms_chunk_expert (chunk, i * chunk->k + r);

          if (e >= n_experts)
            continue;
          sums[e] += (double) chunk->weights[i * chunk->k + r];
          sums[n_experts + e]++;
        }
    }
  return TRUE;
}

/* Importances (E) of one group from its sums. */
static void
weigh (const Committee *all, const double *sums, guint n, double *importance)
{
  double tokens = sums[2 * n], low = INFINITY, high = -INFINITY;

  if (all->importance != IMPORTANCE_RELEASED)
    {
      for (guint e = 0; e < n; e++)
        importance[e] = tokens > 0 ? sums[e] / tokens : NAN;
      return;
    }
  for (guint e = 0; e < n; e++)
    {
      importance[e] = sums[n + e] > 0 ? sums[e] / sums[n + e] : 0;
      low = MIN (low, importance[e]);
      high = MAX (high, importance[e]);
    }
  for (guint e = 0; e < n; e++)
    {
      double weight = high > low ? (importance[e] - low) / (high - low) : 0;

      importance[e] = tokens > 0 ? round (sums[n + e] / tokens * weight * 1e4) / 1e4 : NAN;
    }
}

typedef struct
{
  const Committee *all;
  const Layer *layer;
  double *importance;  /* (G, E) scratch */
  Standing *standings; /* (E) scratch */
} Statistic;

static void
make_measures (const double *totals, double *out, gpointer data)
{
  const Statistic *statistic = data;
  guint n = statistic->layer->n_experts;

  for (guint g = 0; g < statistic->all->n_groups; g++)
    {
      weigh (statistic->all, totals + (gsize) g * (2 * n + 1), n,
             statistic->importance + (gsize) g * n);
      if (isnan (statistic->importance[(gsize) g * n]))
        {
          for (guint i = 0; i < N_AUDIT; i++)
            out[i] = NAN;
          return;
        }
    }
  audit (statistic->importance, statistic->all->n_groups, n, statistic->layer->k,
         statistic->all->presence, statistic->standings, out);
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Committee *all = data;
  Layer *layer = &all->layers[index];
  guint n = layer->n_experts, width = 2 * n + 1;
  g_autofree Standing *standings = g_new (Standing, n);
  g_autofree double *scratch = g_new (double, (gsize) all->n_groups *n);
  g_autofree double *sums = NULL;
  g_autofree double *permuted = g_new (double, (gsize) all->n_deals *N_AUDIT);
  Statistic statistic = { all, layer, scratch, standings };
  g_autofree double *p = g_new (double, n);
  Scan scan = { all, layer, context->trace, index, NULL, p };

  layer->standings = g_new0 (Standing, n);
  layer->dealt = NAN;
  if (all->strata != NULL)
    {
      scan.sums = sums = g_new0 (double, (gsize) all->strata->n_rows *width);
      if (!ms_trace_scan_layer (context->trace, index,
                                all->importance == IMPORTANCE_SCORES ? MS_CHUNK_LOGITS
                                                                     : MS_CHUNK_WEIGHTS,
                                add_rows, &scan, context->cancel, error))
        return FALSE;
      ms_strata_permute (all->strata, sums, width, all->n_deals, context->sampling.seed,
                         make_measures, &statistic, N_AUDIT, permuted);
      layer->dealt = ms_mean (permuted + (gsize) AUDIT_JACCARD * all->n_deals, all->n_deals);
      /* The importances of the data as they are. */
      layer->importance = g_new (double, (gsize) all->n_groups *n);
      for (guint g = 0; g < all->n_groups; g++)
        {
          g_autofree double *total = g_new0 (double, width);

          for (guint row = all->strata->first[g]; row < all->strata->first[g + 1]; row++)
            for (guint i = 0; i < width; i++)
              total[i] += sums[(gsize) row * width + i];
          weigh (all, total, n, layer->importance + (gsize) g * n);
        }
    }
  for (guint g = 0; g < all->n_groups; g++)
    if (isnan (layer->importance[(gsize) g * n]))
      {
        g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
                     "layer %d: no token of %s has an expert; leave it out with a selection",
                     (int) layer->block, all->names[g]);
        return FALSE;
      }
  audit (layer->importance, all->n_groups, n, layer->k, all->presence, layer->standings,
         layer->measures);
  return TRUE;
}

/* --- Importances of a file ------------------------------------------------------------------- */

static gboolean
read_file (const MsContext *context, const char *path, GPtrArray *names, Committee *all,
           GError **error)
{
  static const char *const wanted_columns[] = { "layer", "domain", "expert", "eci", NULL };
  guint columns[4];
  g_autoptr (MsInput) input = ms_input_load_columns (path, wanted_columns, columns, error);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  gint64 wanted = ms_values_int (context->values, "experts"), n_experts = wanted, n_layers = 0;
  gint64 k = ms_values_int (context->values, "k");

  if (input == NULL)
    return FALSE;
  for (guint pass = 0; pass < 2; pass++)
    {
      for (guint row = 0; row < ms_input_n_rows (input); row++)
        {
          const char *name = ms_input_text (input, row, columns[1]);
          gint64 block, expert;
          double importance;

          if (!ms_input_int (input, row, columns[0], 0, MOST_LAYERS - 1, &block, error)
              || !ms_input_int (input, row, columns[2], 0,
                                (wanted > 0 ? wanted : MS_MAX_EXPERTS) - 1, &expert, error)
              || !ms_input_real (input, row, columns[3], 0, 1e300, &importance, error))
            return FALSE;
          if (pass == 1)
            {
              guint group = GPOINTER_TO_UINT (g_hash_table_lookup (seen, name));

              all->layers[block].importance[group * n_experts + expert] = importance;
              continue;
            }
          n_layers = MAX (n_layers, block + 1);
          n_experts = MAX (n_experts, expert + 1);
          if (!g_hash_table_contains (seen, name))
            {
              g_hash_table_insert (seen, (gpointer) name, GUINT_TO_POINTER (names->len));
              g_ptr_array_add (names, g_strdup (name));
            }
        }
      if (pass == 1)
        break;
      if (n_layers == 0 || k < 1 || k > n_experts || names->len > MOST_DOMAINS
          || n_layers * (gint64) names->len > MOST_CELLS / n_experts)
        {
          g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_INPUT,
                       "%s: %" G_GINT64_FORMAT " layers, %u domains and %" G_GINT64_FORMAT
                       " experts are not usable; set --k from 1 to the number of experts",
                       path, n_layers, names->len, n_experts);
          return FALSE;
        }
      all->n_groups = names->len;
      all->names = (char **) names->pdata;
      all->n_layers = (guint) n_layers;
      all->layers = g_new0 (Layer, n_layers);
      for (gint64 i = 0; i < n_layers; i++)
        {
          all->layers[i].block = i;
          all->layers[i].n_experts = (guint) n_experts;
          all->layers[i].k = (guint) k;
          all->layers[i].importance = g_new0 (double, names->len *n_experts);
        }
    }
  return TRUE;
}

static gboolean
prepare_trace (const MsContext *context, Committee *all, MsGroups **groups, GError **error)
{
  gint64 k = ms_values_int (context->values, "k");

  if (context->trace == NULL)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "committee cannot run: it needs a recorded run, or importances with --eci FILE");
      return FALSE;
    }
  if (all->importance == IMPORTANCE_SCORES
      && !ms_trace_gated (context->trace, MS_GATE_SCORING, error))
    {
      g_prefix_error (error, "committee cannot weigh by the router's scores: ");
      return FALSE;
    }
  all->label = labels[ms_values_choice (context->values, "label")];
  *groups = ms_trace_group (context->trace, all->label, error);
  if (*groups == NULL)
    return FALSE;
  all->groups = *groups;
  all->n_groups = (*groups)->n;
  all->names = (*groups)->names;
  all->n_layers = ms_trace_n_layers (context->trace);
  all->layers = g_new0 (Layer, all->n_layers);
  for (guint i = 0; i < all->n_layers; i++)
    {
      const MsLayer *def = ms_trace_layer (context->trace, i);

      all->layers[i].block = def->number;
      all->layers[i].n_experts = def->gate.n_experts;
      all->layers[i].k = k > 0 ? (guint) MIN (k, def->gate.n_experts) : def->gate.k;
    }
  all->strata = ms_strata_new (context, *groups, ms_trace_n_documents (context->trace));
  return TRUE;
}

/* --- Tables ---------------------------------------------------------------------------------- */

/* Expected Jaccard index of two random lists of k of n experts. */
static double
uniform_jaccard (guint n, guint k)
{
  double sum = 0;

  for (guint i = k + k > n ? k + k - n : 0; i <= k; i++)
    {
      double log_p = lgamma (k + 1.0) - lgamma (i + 1.0) - lgamma (k - i + 1.0)
                     + lgamma (n - k + 1.0) - lgamma (k - i + 1.0) - lgamma (n + i - 2.0 * k + 1.0)
                     - lgamma (n + 1.0) + lgamma (k + 1.0) + lgamma (n - k + 1.0);

      sum += exp (log_p) * i / (2.0 * k - i);
    }
  return sum;
}

static void
write_layer (const Committee *all, const Layer *layer, MsResult *result)
{
  guint n = layer->n_experts, groups = all->n_groups;
  double size = layer->measures[AUDIT_SIZE], rank = 0, spread = 0;
  g_autoptr (GString) members = g_string_new (NULL), experts = g_string_new (NULL),
                      spoken = g_string_new (NULL);
  gboolean several;
  g_autofree guint *list = g_new (guint, layer->k);

  for (guint e = 0; e < n; e++)
    {
      const Standing *standing = &layer->standings[e];
      double mean = (double) standing->rank_sum / groups;
      double variance
          = (double) (groups * standing->rank_squares - standing->rank_sum * standing->rank_sum)
            / ((double) groups * groups);

      if (standing->presence == 0)
        continue;
      ms_table_add_row (result->tables[1], MS_INT (layer->block), MS_INT (e),
                        MS_INT (standing->presence), MS_REAL ((double) standing->presence / groups),
                        MS_REAL (mean), MS_REAL (variance), MS_REAL (standing->mass / groups),
                        MS_INT (standing->is_member),
                        MS_TEXT (standing->is_member ? "committee" : "listed"));
      if (!standing->is_member)
        continue;
      g_string_append_printf (members, "%s%u", members->len > 0 ? " " : "", e);
      g_string_append_printf (experts, "%s%u", experts->len > 0 ? "," : "", e);
      g_string_append_printf (spoken, "%s%u", spoken->len > 0 ? " and " : "", e);
      rank += mean / size;
      spread += variance / size;
    }
  ms_table_add_row (
      result->tables[0], MS_INT (layer->block), MS_INT (n), MS_INT (layer->k),
      MS_INT ((gint64) size), MS_TEXT (members->str), MS_REAL (rank), MS_REAL (spread),
      MS_REAL (layer->measures[AUDIT_COVERAGE]), MS_REAL (size / n),
      MS_REAL (layer->measures[AUDIT_RATIO]), MS_REAL (layer->measures[AUDIT_JACCARD]),
      MS_REAL (layer->measures[AUDIT_LEAST_JACCARD]), MS_REAL (uniform_jaccard (n, layer->k)),
      MS_REAL (layer->dealt), MS_REAL (layer->measures[AUDIT_GINI]));
  for (guint g = 0; g < groups; g++)
    {
      const double *importance = layer->importance + (gsize) g * n;

      list_experts (importance, n, layer->k, list);
      for (guint i = 0; i < layer->k; i++)
        ms_table_add_row (result->tables[2], MS_INT (layer->block), MS_TEXT (all->names[g]),
                          MS_INT (i + 1), MS_INT (list[i]), MS_REAL (importance[list[i]]),
                          MS_INT (layer->standings[list[i]].is_member));
    }
  several = strchr (members->str, ' ') != NULL;
  if (groups > 1 && layer->measures[AUDIT_RATIO] >= 2)
    ms_result_find (result, MIN (layer->measures[AUDIT_RATIO], 1e6),
                    g_strdup_printf ("layer=%d expert=%s", (int) layer->block, experts->str),
                    "layer %d: %s %s carr%s %.0f %% of the importance in the groups' lists",
                    (int) layer->block, several ? "experts" : "expert", spoken->str,
                    several ? "y" : "ies", 100 * layer->measures[AUDIT_COVERAGE]);
}

static void
summarise (const Committee *all, MsResult *result)
{
  const Layer *most = &all->layers[0];
  g_autofree char *times = NULL;
  double jaccard = 0, coverage = 0, gini = 0, size = 0, presence = 0;
  guint members = 0;

  for (guint i = 0; i < all->n_layers; i++)
    {
      const Layer *layer = &all->layers[i];

      if (layer->measures[AUDIT_COVERAGE] > most->measures[AUDIT_COVERAGE])
        most = layer;
      jaccard += layer->measures[AUDIT_JACCARD] / all->n_layers;
      coverage += layer->measures[AUDIT_COVERAGE] / all->n_layers;
      gini += layer->measures[AUDIT_GINI] / all->n_layers;
      size += layer->measures[AUDIT_SIZE] / all->n_layers;
      for (guint e = 0; e < layer->n_experts; e++)
        if (layer->standings[e].is_member)
          {
            presence += layer->standings[e].presence;
            members++;
          }
    }
  if (isfinite (most->measures[AUDIT_RATIO]))
    times = g_strdup_printf (", %.3g times an outside expert", most->measures[AUDIT_RATIO]);
  if (all->n_groups >= 2 && (isnan (coverage) || isnan (jaccard) || isnan (gini)))
    result->summary = g_strdup ("What the listed experts carry is undefined, since importances are "
                                "negative or none: choose another with --importance.");
  else if (all->n_groups < 2)
    result->summary = g_strdup_printf (
        "There is one group, %s: a committee is what several rely on.", all->names[0]);
  else
    result->summary = g_strdup_printf (
        "The committee of a layer has %.1f experts on average, each in the lists of "
        "%.1f of %u groups, and carries %.0f %% of the listed importance (most in "
        "layer %d: %.0f %%%s); the lists "
        "of two groups overlap by %.2f (Jaccard) and importance has Gini %.2f.",
        size, members > 0 ? presence / members : 0.0, all->n_groups, 100 * coverage,
        (int) most->block, 100 * most->measures[AUDIT_COVERAGE], times != NULL ? times : "",
        jaccard, gini);
  if (all->strata == NULL)
    ms_result_note (result, "Importances are those of the file.");
  else
    ms_result_note (result, "Importance: %s; groups are documents by %s, %s.",
                    importance_names[all->importance], all->label,
                    all->last ? "the last token of each" : "all tokens");
  ms_result_note (result,
                  "Candidates are in at least %.3g of the lists (or, if none is, in the most); the "
                  "pool is the layer's real number of experts.",
                  all->presence);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  const char *path = ms_values_text (context->values, "eci");
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (MsGroups) groups = NULL;
  Committee all = { .importance = ms_values_choice (context->values, "importance"),
                    .last = ms_values_choice (context->values, "tokens") == 1,
                    .n_deals = (guint) ms_values_int (context->values, "permutations"),
                    .presence = ms_values_real (context->values, "presence") };
  gboolean fine = path[0] != '\0' ? read_file (context, path, names, &all, error)
                                  : prepare_trace (context, &all, &groups, error);

  fine = fine && ms_context_tasks (context, all.n_layers, do_layer, &all, 0, 1, error);
  for (guint i = 0; fine && i < all.n_layers; i++)
    write_layer (&all, &all.layers[i], result);
  if (fine)
    summarise (&all, result);
  clear_committee (&all);
  return fine;
}

static const MsParam params[] = {
  { .name = "label",
    .title = "Groups",
    .help = "Which label of the documents makes the groups.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 2,
    .usual = 0,
    .choices = labels },
  { .name = "importance",
    .title = "Importance",
    .help = "What an expert contributes to a token: its recorded weight, its "
            "probability among all experts (needs --scores), or what the released code computes.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 2,
    .usual = IMPORTANCE_WEIGHTS,
    .choices = importances },
  { .name = "tokens",
    .title = "Tokens",
    .help = "All tokens, or the last one of every document as in the paper.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 1,
    .usual = 0,
    .choices = token_choices },
  { .name = "k",
    .title = "List length",
    .help = "Experts in the list of each group; 0 = as many as a token chooses.",
    .unit = "experts",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = MS_MAX_EXPERTS,
    .usual = 0,
    .ui_least = 0,
    .ui_most = 64 },
  { .name = "presence",
    .title = "Presence",
    .help = "Share of the lists that a candidate must be in.",
    .type = MS_PARAM_REAL,
    .least = 0,
    .most = 1,
    .usual = 0.8 },
  { .name = "permutations",
    .title = "Random deals",
    .help = "How often documents are dealt at random to the groups for the chance value.",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 100000,
    .usual = 100,
    .ui_least = 0,
    .ui_most = 1000 },
  { .name = "eci",
    .title = "Importances from a file",
    .help = "CSV with the columns layer, domain, expert and eci, used instead of a recorded run.",
    .type = MS_PARAM_FILE },
  { .name = "experts",
    .title = "Experts in the file",
    .help = "Experts of each layer of the file; 0 = the largest number in it plus one.",
    .unit = "experts",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = MS_MAX_EXPERTS },
  { 0 },
};

static const MsColumn layer_columns[] = {
  MS_LAYER_COLUMN,
  { "n_experts", "Experts", "experts", MS_COLUMN_INT, "The pool: routed experts E of the layer." },
  { "k", "List length", "experts", MS_COLUMN_INT, "Experts in the list of each group." },
  { "size", "Committee", "experts", MS_COLUMN_INT, "Experts in the committee." },
  { "members", "Members", NULL, MS_COLUMN_TEXT, "Their numbers." },
  { "mean_rank", "Mean rank", NULL, MS_COLUMN_REAL, "Mean over the members of their mean ranks." },
  { "rank_variance", "Rank variance", NULL, MS_COLUMN_REAL,
    "Mean over the members of the population variance of their ranks." },
  { "coverage", "Coverage", NULL, MS_COLUMN_REAL,
    "Importance of the members in the lists / importance of all lists." },
  { "fair", "Equal importance", NULL, MS_COLUMN_REAL, "The coverage of equal experts: size / E." },
  { "ratio", "Ratio", NULL, MS_COLUMN_REAL,
    "Coverage per member / remaining coverage per outside expert; 1 for an empty or full one." },
  { "jaccard", "Overlap of lists", NULL, MS_COLUMN_REAL, "Mean Jaccard index of two groups." },
  { "jaccard_least", "Least overlap", NULL, MS_COLUMN_REAL, "Of any two groups." },
  { "jaccard_uniform", "Overlap by chance", NULL, MS_COLUMN_REAL,
    "Expected Jaccard index of two random lists." },
  { "jaccard_dealt", "Overlap of random groups", NULL, MS_COLUMN_REAL,
    "Mean Jaccard index when documents are dealt to the groups at random: what equal groups "
    "reach." },
  { "gini", "Gini", NULL, MS_COLUMN_REAL, "Of the mean importance over groups." },
  { 0 },
};

static const MsColumn expert_columns[] = {
  MS_LAYER_COLUMN,
  MS_EXPERT_COLUMN,
  { "presence", "Lists", NULL, MS_COLUMN_INT, "Groups in whose list it is." },
  { "presence_share", "Share of lists", NULL, MS_COLUMN_REAL, "presence / groups." },
  { "mean_rank", "Mean rank", NULL, MS_COLUMN_REAL, "1 = first; k + 1 where not listed." },
  { "rank_variance", "Rank variance", NULL, MS_COLUMN_REAL, "Population variance over groups." },
  { "importance", "Importance", NULL, MS_COLUMN_REAL, "Sum where listed / groups." },
  { "member", "Member", NULL, MS_COLUMN_INT, "1 = in the committee." },
  { "role", "Role", NULL, MS_COLUMN_TEXT, "committee or listed." },
  { 0 },
};

static const MsColumn list_columns[] = {
  MS_LAYER_COLUMN,
  { "name", "Group", NULL, MS_COLUMN_TEXT, "The documents' label." },
  { "rank", "Rank", NULL, MS_COLUMN_INT, "1 = most important." },
  MS_EXPERT_COLUMN,
  { "importance", "Importance", NULL, MS_COLUMN_REAL, "Of the expert in this group." },
  { "member", "Member", NULL, MS_COLUMN_INT, "1 = in the committee." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Standing committee by layer", layer_columns },
  { "experts", "Listed experts", expert_columns },
  { "lists", "The most important experts of every group", list_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "coverage",
    .title = "Coverage of the standing committee by layer",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "coverage",
    .y_title = "Coverage (share)",
    .reference = "fair" },
  { .name = "jaccard",
    .title = "Overlap of the groups' lists by layer",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "jaccard",
    .y_title = "Overlap of lists (Jaccard)",
    .reference = "jaccard_dealt" },
  { .name = "standings",
    .title = "Mean rank and its variance of the listed experts",
    .table = "experts",
    .mark = MS_MARK_SCATTER,
    .x = "mean_rank",
    .y = "rank_variance",
    .series = "role",
    .label = "expert",
    .facet = "layer" },
  { .name = "lists",
    .title = "The most important experts of every group",
    .table = "lists",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "name",
    .value = "importance",
    .facet = "layer" },
  { 0 },
};

const MsAnalysis ms_analysis_committee = {
  .name = "committee",
  .title = "Standing Committee",
  .help = "Is there a small set of experts that every domain relies on?",
  .formula = "Each group lists its k most important experts; rank k + 1 where not listed.  "
             "Candidates: in at least ceil (presence groups) lists.  Committee: candidates not "
             "dominated in (mean rank, variance of ranks).  coverage = importance of the members "
             "in the lists / importance of all lists; ratio = (coverage / size) / "
             "((1 - coverage) / (E - size)).",
  .cite = "COMMITTEEAUDIT, arXiv 2601.03425, and The-FinAI/CommitteeAudit.",
  .version = 3,
  .times = TRUE,
  .needs = MS_NEEDS_NO_TRACE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
