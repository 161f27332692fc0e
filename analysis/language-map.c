/* Language map (metrics.md e.2 and e.3): which experts each language uses, how far languages are from each
 * other, and whether that follows their families.
 *
 * A language is the list of its expert shares in every layer, so languages of different amounts of text
 * weigh alike.  Golden: lola_language_experts. */
#include "analysis-private.h"
#include "families.h"
#include "tree-private.h"

#include <math.h>
#include <string.h>

/* An expert whose entropy over languages is below this part of the largest is language-specific. */
#define LOW_ENTROPY 0.5
/* Deals behind the mean chance distance of two languages, of which there may be many. */
#define PAIR_DEALS 20

enum
{
  RANKS_FIRST,
  RANKS_ALL
};
static const char *const rank_choices[] = { "first", "all", NULL };

enum
{
  DISTANCE_JS,
  DISTANCE_COSINE,
  DISTANCE_EUCLIDEAN,
  N_DISTANCES
};
static const char *const distances[] = { "js", "cosine", "euclidean", NULL };

typedef struct
{
  gint64 block;
  guint n_experts, first; /* its experts are entries first .. of a language's vector */
  double *sums;           /* (rows, E + 1) */
  double *totals;         /* (X, E + 1) */
  double *shares;         /* (X, E) */
  double *specificity;    /* (E) */
  double *entropy;        /* (E) over languages, over its maximum */
  MsInterval spread;      /* mean of entropy, weighted by use */
  double null;            /* the same when documents are dealt at random */
  double *floors;         /* (X, X) mean JS of two languages when documents are dealt at random */
  double p;
} Layer;

typedef struct
{
  const char *name, *family, *branch, *script;
} Family;

typedef struct
{
  const MsGroups *languages;
  MsStrata *strata;
  guint n, n_layers, n_deals, ranks, distance; /* n = languages X */
  Layer *layers;                               /* (n_layers) */
  double *matrices[N_DISTANCES];               /* (X, X) each */
  double *floors;   /* (X, X) of JS: documents dealt at random, NaN without deals */
  Family *families; /* (X) NULL where unknown */
  MsInput *input;   /* owns what families borrow, or NULL */
} Map;

static void
clear_map (Map *map)
{
  for (guint i = 0; i < map->n_layers; i++)
    {
      g_free (map->layers[i].sums);
      g_free (map->layers[i].totals);
      g_free (map->layers[i].shares);
      g_free (map->layers[i].specificity);
      g_free (map->layers[i].entropy);
      g_free (map->layers[i].floors);
    }
  g_free (map->layers);
  for (guint i = 0; i < N_DISTANCES; i++)
    g_free (map->matrices[i]);
  g_free (map->floors);
  g_free (map->families);
  ms_input_free (map->input);
  ms_strata_free (map->strata);
}

/* --- Layers ---------------------------------------------------------------------------------- */

typedef struct
{
  guint n, n_experts;
  double *entropy; /* (E) or NULL */
} Spread;

/* The entropy of every expert over languages of equal weight, and its mean weighted by use: 1 = experts
 * serve all languages alike. */
static void
make_spread (const double *totals, double *out, gpointer data)
{
  const Spread *spread = data;
  guint n = spread->n, n_experts = spread->n_experts;
  g_autofree double *inverse = g_new0 (double, n), *own = g_new (double, n);
  double sum = 0, weights = 0;

  for (guint x = 0; x < n; x++)
    {
      const double *row = totals + (gsize) x * (n_experts + 1);
      double total = 0;

      for (guint e = 0; e < n_experts; e++)
        total += row[e];
      inverse[x] = total > 0 ? 1 / total : isnan (total) ? NAN : 0;
    }
  for (guint e = 0; e < n_experts; e++)
    {
      double weight = 0, entropy;

      for (guint x = 0; x < n; x++)
        weight += own[x] = totals[(gsize) x * (n_experts + 1) + e] * inverse[x];
      entropy = n > 1 ? ms_entropy (own, n) / log (n) : NAN;
      if (spread->entropy != NULL)
        spread->entropy[e] = entropy;
      if (weight > 0)
        sum += weight * entropy;
      weights += weight;
    }
  *out = weights > 0 ? sum / weights : NAN;
}

/* JS between all languages (X, X). */
static void
make_pairs (const double *totals, double *out, gpointer data)
{
  const Spread *spread = data;
  guint n = spread->n, width = spread->n_experts + 1;

  for (guint a = 0; a < n; a++)
    for (guint b = a; b < n; b++)
      out[(gsize) a * n + b] = out[(gsize) b * n + a]
          = ms_js (totals + (gsize) a * width, totals + (gsize) b * width, spread->n_experts);
}

/* The JS that two languages would show if documents, dealt to them at random, were all the difference. */
static void
measure_floors (const MsContext *context, const Map *map, Layer *layer, Spread *spread)
{
  gsize n_pairs = (gsize) map->n * map->n;
  guint n_deals = MIN (map->n_deals, PAIR_DEALS);
  g_autofree double *permuted = g_new (double, n_pairs *n_deals);

  ms_strata_permute (map->strata, layer->sums, layer->n_experts + 1, n_deals,
                     context->sampling.seed, make_pairs, spread, (guint) n_pairs, permuted);
  layer->floors = g_new (double, n_pairs);
  for (gsize i = 0; i < n_pairs; i++)
    layer->floors[i] = ms_mean (permuted + i * n_deals, n_deals);
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Map *map = data;
  Layer *layer = &map->layers[index];
  guint n_experts = layer->n_experts, width = n_experts + 1;
  g_autofree double *resampled = g_new (double, map->strata->n_resamples);
  g_autofree double *permuted = g_new (double, map->n_deals);
  Spread spread = { map->n, n_experts, NULL };
  double value;

  layer->sums = g_new (double, (gsize) map->strata->n_rows *width);
  layer->totals = g_new0 (double, (gsize) map->n *width);
  layer->shares = g_new (double, (gsize) map->n *n_experts);
  layer->specificity = g_new0 (double, n_experts);
  layer->entropy = g_new (double, n_experts);
  if (!ms_strata_count (map->strata, context, index, map->ranks == RANKS_FIRST ? 1 : 0, layer->sums,
                        error))
    return FALSE;
  for (guint x = 0; x < map->n; x++)
    {
      double *total = layer->totals + (gsize) x * width, all = 0;

      for (guint row = map->strata->first[x]; row < map->strata->first[x + 1]; row++)
        for (guint e = 0; e < width; e++)
          total[e] += layer->sums[(gsize) row * width + e];
      for (guint e = 0; e < n_experts; e++)
        all += total[e];
      for (guint e = 0; e < n_experts; e++)
        {
          double share = all > 0 ? total[e] / all : NAN;

          layer->shares[(gsize) x * n_experts + e] = share;
          if (share > layer->specificity[e])
            layer->specificity[e] = share;
        }
    }
  ms_strata_resample (map->strata, layer->sums, width, make_spread, &spread, 1, &value, resampled);
  layer->spread = ms_strata_interval (map->strata, value, resampled);
  ms_interval_clamp (&layer->spread, 0, 1);
  ms_strata_permute (map->strata, layer->sums, width, map->n_deals, context->sampling.seed,
                     make_spread, &spread, 1, permuted);
  layer->null = ms_mean (permuted, map->n_deals);
  /* Specialised means less spread: turn the signs for the one-sided test. */
  for (guint i = 0; i < map->n_deals; i++)
    permuted[i] = -permuted[i];
  layer->p = ms_strata_p (-value, permuted, map->n_deals);
  measure_floors (context, map, layer, &spread);
  spread.entropy = layer->entropy;
  make_spread (layer->totals, &value, &spread);
  return TRUE;
}

/* --- Distances ------------------------------------------------------------------------------- */

/* Distances of two languages: JS as the mean over layers, the others of the joined vectors. */
static void
measure_pair (const Map *map, guint a, guint b, double *out)
{
  double dot = 0, a_square = 0, b_square = 0, difference = 0, js = 0;

  for (guint i = 0; i < map->n_layers; i++)
    {
      const Layer *layer = &map->layers[i];
      const double *x = layer->shares + (gsize) a * layer->n_experts;
      const double *y = layer->shares + (gsize) b * layer->n_experts;

      js += ms_js (x, y, layer->n_experts) / map->n_layers;
      for (guint e = 0; e < layer->n_experts; e++)
        {
          dot += x[e] * y[e];
          a_square += x[e] * x[e];
          b_square += y[e] * y[e];
          difference += (x[e] - y[e]) * (x[e] - y[e]);
        }
    }
  out[DISTANCE_JS] = js;
  out[DISTANCE_COSINE] = 1 - dot / sqrt (a_square * b_square);
  out[DISTANCE_EUCLIDEAN] = sqrt (difference);
}

static void
measure_distances (Map *map)
{
  guint n = map->n;

  for (guint i = 0; i < N_DISTANCES; i++)
    map->matrices[i] = g_new0 (double, (gsize) n *n);
  map->floors = g_new0 (double, (gsize) n *n);
  for (guint a = 0; a < n; a++)
    for (guint b = a + 1; b < n; b++)
      {
        double values[N_DISTANCES], floor_ = 0;

        measure_pair (map, a, b, values);
        for (guint i = 0; i < map->n_layers; i++)
          floor_ += map->layers[i].floors[(gsize) a * n + b] / map->n_layers;
        map->floors[(gsize) a * n + b] = map->floors[(gsize) b * n + a] = floor_;
        for (guint i = 0; i < N_DISTANCES; i++)
          map->matrices[i][(gsize) a * n + b] = map->matrices[i][(gsize) b * n + a] = values[i];
      }
}

/* --- Families -------------------------------------------------------------------------------- */

/* Looks the languages up in --families, else in the table that is compiled in. */
static gboolean
load_families (const MsContext *context, Map *map, GError **error)
{
  const char *path = ms_values_text (context->values, "families");
  static const char *const columns[] = { "language", "name", "family", "branch", "script" };
  guint at[G_N_ELEMENTS (columns)];

  map->families = g_new0 (Family, map->n);
  if (path[0] == '\0')
    {
      for (guint x = 0; x < map->n; x++)
        for (guint i = 0; i < G_N_ELEMENTS (ms_families); i++)
          if (strcmp (ms_families[i][0], map->languages->names[x]) == 0)
            map->families[x] = (Family){ ms_families[i][1], ms_families[i][2], ms_families[i][3],
                                         ms_families[i][4] };
      return TRUE;
    }
  map->input = ms_input_load (path, error);
  if (map->input == NULL)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    {
      /* Only the family itself must be there. */
      int column = ms_input_find (map->input, columns[i]);

      if (column < 0 && (i == 0 || i == 2))
        return ms_input_need (map->input, columns[i], &at[i], error);
      at[i] = column < 0 ? G_MAXUINT : (guint) column;
    }
#define CELL(row, i) (at[i] == G_MAXUINT ? NULL : ms_input_text (map->input, row, at[i]))
  for (guint row = 0; row < ms_input_n_rows (map->input); row++)
    for (guint x = 0; x < map->n; x++)
      if (strcmp (ms_input_text (map->input, row, at[0]), map->languages->names[x]) == 0)
        map->families[x] = (Family){ CELL (row, 1), CELL (row, 2), CELL (row, 3), CELL (row, 4) };
#undef CELL
  return TRUE;
}

/* The languages of known family: their number, which they are, and their family as a number. */
typedef struct
{
  guint n;
  guint *index;          /* (n) */
  int *family;           /* (n) */
  const double *routing; /* (X, X) of all languages */
  guint width;           /* X */
  double *pairs, *tree;  /* (n (n - 1) / 2) distances by routing and by family */
  double *scratch;       /* likewise */
  gboolean by_rank;
} Known;

static double
family_distance (const Family *a, const Family *b)
{
  if (strcmp (a->family, b->family) != 0)
    return 2;
  return g_strcmp0 (a->branch, b->branch) == 0 ? 0 : 1;
}

static guint
find_known (const Map *map, Known *known)
{
  known->n = 0;
  known->index = g_new (guint, map->n);
  known->family = g_new (int, map->n);
  known->routing = map->matrices[map->distance];
  known->width = map->n;
  for (guint x = 0; x < map->n; x++)
    {
      guint same = 0;

      if (map->families[x].family == NULL)
        continue;
      while (same < known->n
             && strcmp (map->families[known->index[same]].family, map->families[x].family) != 0)
        same++;
      known->family[known->n]
          = same < known->n ? known->family[same] : (int) known->n; /* the first of its family */
      known->index[known->n++] = x;
    }
  known->pairs = g_new (double, (gsize) known->n * known->n / 2 + 1);
  known->tree = g_new (double, (gsize) known->n * known->n / 2 + 1);
  known->scratch = g_new (double, (gsize) known->n * known->n / 2 + 1);
  for (guint i = 0, p = 0; i < known->n; i++)
    for (guint j = i + 1; j < known->n; j++, p++)
      {
        known->pairs[p] = known->routing[(gsize) known->index[i] * map->n + known->index[j]];
        known->tree[p]
            = family_distance (&map->families[known->index[i]], &map->families[known->index[j]]);
      }
  return known->n;
}

static void
clear_known (Known *known)
{
  g_free (known->index);
  g_free (known->family);
  g_free (known->pairs);
  g_free (known->tree);
  g_free (known->scratch);
}

/* Mantel: the correlation of the routing distances with family distances of relabelled languages. */
static double
mantel (const guint *order, gpointer data)
{
  Known *known = data;
  guint n = known->n;

  for (guint i = 0, p = 0; i < n; i++)
    for (guint j = i + 1; j < n; j++, p++)
      {
        guint a = MIN (order[i], order[j]), b = MAX (order[i], order[j]);

        known->scratch[p] = known->tree[a * n - a * (a + 1) / 2 + b - a - 1];
      }
  return known->by_rank ? ms_spearman (known->pairs, known->scratch, n * (n - 1) / 2)
                        : ms_pearson (known->pairs, known->scratch, n * (n - 1) / 2);
}

/* Silhouette of one language: NaN when its family has no other. */
static double
silhouette (const Known *known, const guint *order, guint i)
{
  double within = 0, between = INFINITY;
  guint n_within = 0;

  for (guint f = 0; f < known->n; f++)
    {
      double sum = 0;
      guint n = 0;

      for (guint j = 0; j < known->n; j++)
        if (j != i && known->family[order[j]] == (int) f)
          {
            sum += known->routing[(gsize) known->index[i] * known->width + known->index[j]];
            n++;
          }
      if ((int) f == known->family[order[i]])
        {
          within = sum;
          n_within = n;
        }
      else if (n > 0)
        between = MIN (between, sum / n);
    }
  if (n_within == 0 || isinf (between))
    return NAN;
  within /= n_within;
  return MAX (within, between) > 0 ? (between - within) / MAX (within, between) : 0;
}

static double
mean_silhouette (const guint *order, gpointer data)
{
  const Known *known = data;
  double sum = 0;
  guint n = 0;

  for (guint i = 0; i < known->n; i++)
    {
      double one = silhouette (known, order, i);

      sum += isnan (one) ? 0 : one;
      n += !isnan (one);
    }
  return n > 0 ? sum / n : NAN;
}

/* Mean distance between families over that within: large = families stick together. */
static double
family_ratio (const guint *order, gpointer data)
{
  const Known *known = data;
  double within = 0, between = 0;
  guint n_within = 0, n_between = 0;

  for (guint i = 0, p = 0; i < known->n; i++)
    for (guint j = i + 1; j < known->n; j++, p++)
      if (known->family[order[i]] == known->family[order[j]])
        {
          within += known->pairs[p];
          n_within++;
        }
      else
        {
          between += known->pairs[p];
          n_between++;
        }
  return n_within > 0 && n_between > 0 && within > 0 ? between / n_between / (within / n_within)
                                                     : NAN;
}

static void
write_test (const Map *map, const MsContext *context, Known *known, const char *measure,
            const char *title, MsPermuted statistic, MsResult *result)
{
  g_autofree guint *order = g_new (guint, known->n + 1);
  double value, p = NAN;

  for (guint i = 0; i < known->n; i++)
    order[i] = i;
  value = known->n > 1 ? statistic (order, known) : NAN;
  if (!isnan (value) && map->n_deals > 0)
    p = ms_permutation_p (known->n, map->n_deals, context->sampling.seed, value, statistic, known);
  ms_table_add_row (result->tables[5], MS_TEXT (measure), MS_TEXT (title), MS_REAL (value),
                    MS_REAL (p), MS_INT (known->n));
}

/* --- Tables ---------------------------------------------------------------------------------- */

typedef struct
{
  double value;
  guint expert;
} Sorted;

static int
compare_sorted (gconstpointer a, gconstpointer b)
{
  const Sorted *left = a, *right = b;

  if (left->value != right->value)
    return left->value > right->value ? 1 : -1;
  return (left->expert > right->expert) - (left->expert < right->expert);
}

static void
write_layer (const Map *map, guint index, MsResult *result)
{
  const Layer *layer = &map->layers[index];
  g_autofree Sorted *sorted = g_new (Sorted, layer->n_experts);
  g_autofree guint *places = g_new (guint, layer->n_experts);
  guint n_low = 0;

  for (guint e = 0; e < layer->n_experts; e++)
    {
      sorted[e] = (Sorted){ layer->specificity[e], e };
      n_low += layer->entropy[e] < LOW_ENTROPY;
    }
  qsort (sorted, layer->n_experts, sizeof (Sorted), compare_sorted);
  for (guint i = 0; i < layer->n_experts; i++)
    {
      guint e = sorted[i].expert, most = 0;

      places[e] = i;
      for (guint x = 1; x < map->n; x++)
        if (layer->shares[(gsize) x * layer->n_experts + e]
            > layer->shares[(gsize) most * layer->n_experts + e])
          most = x;
      ms_table_add_row (result->tables[2], MS_INT (layer->block), MS_INT (i), MS_INT (e),
                        MS_REAL (sorted[i].value), MS_TEXT (map->languages->names[most]),
                        MS_REAL (layer->entropy[e]), MS_REAL (1.0 / layer->n_experts));
    }
  for (guint x = 0; x < map->n; x++)
    for (guint e = 0; e < layer->n_experts; e++)
      ms_table_add_row (
          result->tables[1], MS_INT (layer->block), MS_TEXT (map->languages->names[x]), MS_INT (e),
          MS_INT (llround (layer->totals[(gsize) x * (layer->n_experts + 1) + e])),
          MS_REAL (layer->shares[(gsize) x * layer->n_experts + e]),
          MS_REAL (layer->shares[(gsize) x * layer->n_experts + e] * layer->n_experts),
          MS_INT (places[e]));
  ms_table_add_row (result->tables[0], MS_INT (layer->block), MS_INT (layer->n_experts),
                    MS_CORRECTED (layer->spread), MS_REAL (layer->null), MS_REAL (layer->p),
                    MS_INT (n_low), MS_REAL (sorted[layer->n_experts - 1].value));
}

static void
write_languages (const Map *map, const Known *known, MsResult *result)
{
  g_autofree guint *order = g_new (guint, known->n + 1);

  for (guint i = 0; i < known->n; i++)
    order[i] = i;
  for (guint x = 0, k = 0; x < map->n; x++)
    {
      const Family *family = &map->families[x];
      const double *row = map->matrices[map->distance] + (gsize) x * map->n;
      gboolean is_known = k < known->n && known->index[k] == x;
      guint nearest = x;
      double tokens
          = map->layers[0]
                .totals[(gsize) x * (map->layers[0].n_experts + 1) + map->layers[0].n_experts];

      for (guint y = 0; y < map->n; y++)
        if (y != x && (nearest == x || row[y] < row[nearest]))
          nearest = y;
      ms_table_add_row (result->tables[6], MS_TEXT (map->languages->names[x]),
                        MS_TEXT (family->name), MS_TEXT (family->family), MS_TEXT (family->branch),
                        MS_TEXT (family->script), MS_INT (llround (tokens)),
                        MS_TEXT (nearest != x ? map->languages->names[nearest] : NULL),
                        MS_REAL (nearest != x ? row[nearest] : NAN),
                        MS_REAL (is_known ? silhouette (known, order, k) : NAN));
      k += is_known;
    }
}

static void
write_distances (const Map *map, MsResult *result)
{
  for (guint a = 0; a < map->n; a++)
    for (guint b = 0; b < map->n; b++)
      {
        gsize at = (gsize) a * map->n + b;
        const char *relation = NULL;

        if (a == b)
          relation = "same";
        else if (map->families[a].family != NULL && map->families[b].family != NULL)
          relation = (const char *[]){
            "branch", "family", "none"
          }[(guint) family_distance (&map->families[a], &map->families[b])];
        ms_table_add_row (result->tables[3], MS_TEXT (map->languages->names[a]),
                          MS_TEXT (map->languages->names[b]),
                          MS_REAL (map->matrices[DISTANCE_JS][at]), MS_REAL (map->floors[at]),
                          MS_REAL (map->matrices[DISTANCE_JS][at]
                                   - (isnan (map->floors[at]) ? 0 : map->floors[at])),
                          MS_REAL (map->matrices[DISTANCE_COSINE][at]),
                          MS_REAL (map->matrices[DISTANCE_EUCLIDEAN][at]), MS_TEXT (relation));
      }
}

/* Returns the cophenetic correlation. */
static double
write_tree (const Map *map, MsResult *result)
{
  guint n = map->n;
  gsize n_pairs = (gsize) n * (n - 1) / 2;
  g_autofree MsJoin *joins = g_new (MsJoin, n);
  g_autofree double *heights = g_new (double, (gsize) n *n);
  g_autofree double *x = g_new (double, n_pairs + 1), *y = g_new (double, n_pairs + 1);

  ms_tree_join (map->matrices[map->distance], n, joins);
  ms_tree_heights (joins, n, heights);
  for (guint i = 0; i + 1 < n; i++)
    {
      g_autofree char *members = ms_tree_members (joins, n, i, map->languages->names);

      ms_table_add_row (result->tables[4], MS_INT (i), MS_INT (joins[i].a), MS_INT (joins[i].b),
                        MS_REAL (joins[i].distance), MS_INT (joins[i].size), MS_TEXT (members));
    }
  n_pairs = 0;
  for (guint a = 0; a < n; a++)
    for (guint b = a + 1; b < n; b++, n_pairs++)
      {
        x[n_pairs] = map->matrices[map->distance][(gsize) a * n + b];
        y[n_pairs] = heights[(gsize) a * n + b];
      }
  return ms_pearson (x, y, (guint) n_pairs);
}

static void
summarise (const Map *map, const Known *known, MsResult *result)
{
  guint a_near = 0, b_near = 0, a_far = 0, b_far = 0;
  const double *matrix = map->matrices[map->distance];
  const Layer *least = &map->layers[0];
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 1; i < map->n_layers; i++)
    if (map->layers[i].spread.corrected < least->spread.corrected)
      least = &map->layers[i];
  for (guint a = 0; a < map->n; a++)
    for (guint b = a + 1; b < map->n; b++)
      {
        gsize at = (gsize) a * map->n + b;

        if (b_near == 0 || matrix[at] < matrix[(gsize) a_near * map->n + b_near])
          {
            a_near = a;
            b_near = b;
          }
        if (b_far == 0 || matrix[at] > matrix[(gsize) a_far * map->n + b_far])
          {
            a_far = a;
            b_far = b;
          }
      }
  if (map->n > 1)
    g_string_append_printf (
        text,
        "Of %u languages, %s and %s are routed most alike (%s distance %.3g), %s and %s least "
        "(%.3g); experts are most language-specific in layer %d (entropy over languages, its bias "
        "corrected, %.3g of 1; p = %.2g)",
        map->n, map->languages->names[a_near], map->languages->names[b_near],
        distances[map->distance], matrix[(gsize) a_near * map->n + b_near],
        map->languages->names[a_far], map->languages->names[b_far],
        matrix[(gsize) a_far * map->n + b_far], (int) least->block, least->spread.corrected,
        least->p);
  else
    g_string_append_printf (text, "There is only one language, %s: nothing to compare",
                            map->languages->names[0]);
  if (known->n > 2 && !isnan (ms_table_get_real (result->tables[5], 1, 2)))
    g_string_append_printf (text,
                            "; routing distances go with language families (Mantel r = %.2f, "
                            "p = %.3g, %u languages)",
                            ms_table_get_real (result->tables[5], 1, 2),
                            ms_table_get_real (result->tables[5], 1, 3), known->n);
  g_string_append_c (text, '.');
  result->summary = g_strdup (text->str);
}

static void
add_notes (const Map *map, const Known *known, MsResult *result)
{
  ms_result_note (result, "Counts are of %s; tree and tests use the %s distance.",
                  map->ranks == RANKS_FIRST ? "each token's first expert"
                                            : "all chosen experts of each token",
                  distances[map->distance]);
  ms_result_note (result, "Tree: UPGMA (average linkage), ties to the first pair; the statistic of "
                          "the LOLA paper is not published, Mantel and family tests are ours.");
  ms_result_note (result, "Family distance: 0 same branch, 1 same family, 2 otherwise.");
  if (known->n < map->n)
    ms_result_note (result,
                    "%u of %u languages have no known family and are left out of the tests.",
                    map->n - known->n, map->n);
  for (guint i = 0; i < map->n_layers; i++)
    {
      const Layer *layer = &map->layers[i];

      for (guint e = 0; e < layer->n_experts; e++)
        for (guint x = 0; x < map->n; x++)
          if (layer->entropy[e] < LOW_ENTROPY
              && layer->shares[(gsize) x * layer->n_experts + e] == layer->specificity[e]
              && layer->specificity[e] * layer->n_experts >= 1)
            ms_result_find (
                result, layer->specificity[e] * layer->n_experts,
                ms_place (layer->block, e, "language", map->languages->names[x]),
                "layer %d: expert %u serves %s alone: %.3gx its fair share there, entropy over "
                "languages %.2g of 1",
                (int) layer->block, e, map->languages->names[x],
                layer->specificity[e] * layer->n_experts, layer->entropy[e]);
    }
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  g_autoptr (MsGroups) languages = ms_trace_group (context->trace, "language", error);
  Map map = { .languages = languages,
              .ranks = ms_values_choice (context->values, "ranks"),
              .distance = ms_values_choice (context->values, "distance"),
              .n_deals = (guint) ms_values_int (context->values, "permutations") };
  Known known = { 0 };
  gboolean fine;
  guint first = 0;

  if (languages == NULL)
    return FALSE;
  map.n = languages->n;
  map.n_layers = ms_trace_n_layers (context->trace);
  map.layers = g_new0 (Layer, map.n_layers);
  map.strata = ms_strata_new (context, languages, ms_trace_n_documents (context->trace));
  for (guint i = 0; i < map.n_layers; i++)
    {
      map.layers[i].block = ms_trace_layer (context->trace, i)->number;
      map.layers[i].n_experts = ms_trace_layer (context->trace, i)->gate.n_experts;
      map.layers[i].first = first;
      first += map.layers[i].n_experts;
    }
  fine = load_families (context, &map, error)
         && ms_context_tasks (context, map.n_layers, do_layer, &map, 0, 0.9, error);
  if (fine)
    {
      double cophenetic;

      measure_distances (&map);
      find_known (&map, &known);
      for (guint i = 0; i < map.n_layers; i++)
        write_layer (&map, i, result);
      write_distances (&map, result);
      cophenetic = write_tree (&map, result);
      ms_table_add_row (result->tables[5], MS_TEXT ("cophenetic"),
                        MS_TEXT ("Cophenetic correlation of the tree"), MS_REAL (cophenetic),
                        MS_REAL (NAN), MS_INT (map.n));
      write_test (&map, context, &known, "mantel_pearson", "Mantel, Pearson", mantel, result);
      known.by_rank = TRUE;
      write_test (&map, context, &known, "mantel_spearman", "Mantel, Spearman", mantel, result);
      write_test (&map, context, &known, "silhouette", "Mean silhouette of families",
                  mean_silhouette, result);
      write_test (&map, context, &known, "ratio", "Distance between families over within",
                  family_ratio, result);
      write_languages (&map, &known, result);
      summarise (&map, &known, result);
      add_notes (&map, &known, result);
      clear_known (&known);
    }
  clear_map (&map);
  return fine;
}

static const MsParam params[] = {
  { .name = "ranks",
    .title = "Choices counted",
    .help = "Only the first choice of each token, or all of its experts.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 1,
    .usual = RANKS_FIRST,
    .choices = rank_choices },
  { .name = "distance",
    .title = "Distance",
    .help = "The distance between languages that tree and tests use.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 2,
    .usual = DISTANCE_JS,
    .choices = distances },
  { .name = "families",
    .title = "Language families",
    .help = "CSV with the columns language and family, and optionally name, branch and script; "
            "a table of common languages is built in.",
    .type = MS_PARAM_FILE },
  { .name = "permutations",
    .title = "Permutations",
    .help = "Random deals behind the p values and chance values.",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 100000,
    .usual = 999,
    .ui_least = 0,
    .ui_most = 9999 },
  { 0 },
};

#define LANGUAGE                                                                                   \
  {                                                                                                \
    "language", "Language", NULL, MS_COLUMN_TEXT, "The documents' label."                          \
  }

static const MsColumn layer_columns[] = {
  MS_LAYER_COLUMN,
  { "n_experts", "Experts", "experts", MS_COLUMN_INT, "Routed experts E of the layer." },
  { "spread", "Entropy over languages", NULL, MS_COLUMN_REAL,
    "Entropy of languages within an expert (tokens of all languages equalised) over its maximum, "
    "mean over experts weighted by use: 1 = experts serve all languages alike." },
  MS_CORRECTED_COLUMN ("", NULL),
  MS_INTERVAL_COLUMNS ("", NULL),
  { "null", "By chance", NULL, MS_COLUMN_REAL,
    "Of spread, documents dealt to languages at random; corrected is 1 without any difference." },
  { "p", "p", NULL, MS_COLUMN_REAL, "Share of random deals with so small an entropy." },
  { "n_specific", "Language-specific experts", "experts", MS_COLUMN_INT,
    "Experts whose entropy over languages is below half of its maximum." },
  { "most_specific", "Highest specificity", NULL, MS_COLUMN_REAL, "Of any expert." },
  { 0 },
};

static const MsColumn map_columns[] = {
  MS_LAYER_COLUMN,
  LANGUAGE,
  MS_EXPERT_COLUMN,
  { "count", "Count", NULL, MS_COLUMN_INT, "How often the language's tokens chose the expert." },
  { "share", "Share", NULL, MS_COLUMN_REAL, "count / all of the language in this layer." },
  { "load", "Load", "times the fair share", MS_COLUMN_REAL, "share E; 1 = uniform routing." },
  { "place", "Place by specificity", NULL, MS_COLUMN_INT, "0 = least specific of the layer." },
  { 0 },
};

static const MsColumn specificity_columns[] = {
  MS_LAYER_COLUMN,
  { "place", "Place", NULL, MS_COLUMN_INT, "0 = least specific of the layer." },
  MS_EXPERT_COLUMN,
  { "specificity", "Specificity", NULL, MS_COLUMN_REAL, "Largest share over the languages." },
  LANGUAGE,
  { "entropy", "Entropy over languages", NULL, MS_COLUMN_REAL,
    "Over its maximum; 1 = all languages use the expert alike." },
  { "uniform", "Uniform routing", NULL, MS_COLUMN_REAL, "1 / E." },
  { 0 },
};

static const MsColumn distance_columns[] = {
  { "a", "Language", NULL, MS_COLUMN_TEXT, "The documents' label." },
  { "b", "Other language", NULL, MS_COLUMN_TEXT, "The documents' label." },
  { "js", "Jensen-Shannon", "nats", MS_COLUMN_REAL, "Mean over layers of JS of the shares." },
  { "js_floor", "Floor", "nats", MS_COLUMN_REAL,
    "Of js, documents dealt to the languages at random: what so little text makes of no "
    "difference." },
  { "js_excess", "Excess over the floor", "nats", MS_COLUMN_REAL, "js - js_floor." },
  { "cosine", "Cosine distance", NULL, MS_COLUMN_REAL, "1 - cosine of the shares of all layers." },
  { "euclidean", "Euclidean", NULL, MS_COLUMN_REAL, "Of the shares of all layers." },
  { "relation", "Relation", NULL, MS_COLUMN_TEXT,
    "same, branch, family or none; undefined where a family is unknown." },
  { 0 },
};

static const MsColumn tree_columns[] = {
  { "step", "Step", NULL, MS_COLUMN_INT, "Joins in order of distance; makes cluster n + step." },
  { "a", "First cluster", NULL, MS_COLUMN_INT,
    "Languages are 0..n-1 in the order of the table languages." },
  { "b", "Second cluster", NULL, MS_COLUMN_INT, "The higher number." },
  { "distance", "Distance", NULL, MS_COLUMN_REAL, "Mean distance between members of a and b." },
  { "size", "Size", "languages", MS_COLUMN_INT, "Languages of the new cluster." },
  { "members", "Members", NULL, MS_COLUMN_TEXT, "Its languages." },
  { 0 },
};

static const MsColumn agreement_columns[] = {
  { "measure", "Measure", NULL, MS_COLUMN_TEXT, "What is compared." },
  { "title", "Title", NULL, MS_COLUMN_TEXT, "The measure's name for people." },
  { "value", "Value", NULL, MS_COLUMN_REAL, "Correlation, mean silhouette or ratio." },
  { "p", "p", NULL, MS_COLUMN_REAL, "One-sided, languages dealt to families at random." },
  { "n_languages", "Languages", "languages", MS_COLUMN_INT, "Of known family." },
  { 0 },
};

static const MsColumn language_columns[] = {
  LANGUAGE,
  { "name", "Name", NULL, MS_COLUMN_TEXT, "From the table of families." },
  { "family", "Family", NULL, MS_COLUMN_TEXT, "From the table of families." },
  { "branch", "Branch", NULL, MS_COLUMN_TEXT, "From the table of families." },
  { "script", "Script", NULL, MS_COLUMN_TEXT, "From the table of families." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "With an expert in the first layer." },
  { "nearest", "Nearest", NULL, MS_COLUMN_TEXT, "The language routed most alike." },
  { "distance", "Its distance", NULL, MS_COLUMN_REAL, "By the distance chosen." },
  { "silhouette", "Silhouette", NULL, MS_COLUMN_REAL,
    "How much nearer its own family is than the nearest other one, -1 .. 1; undefined for the only "
    "language of a family." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Language-specific experts by layer", layer_columns },
  { "map", "Experts of every language", map_columns },
  { "specificity", "Specificity of every expert", specificity_columns },
  { "distances", "Distances between languages", distance_columns },
  { "tree", "Tree of languages", tree_columns },
  { "agreement", "Agreement with language families", agreement_columns },
  { "languages", "Languages", language_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "map",
    .title = "Experts of every language",
    .table = "map",
    .mark = MS_MARK_HEATMAP,
    .x = "place",
    .y = "language",
    .value = "load",
    .facet = "layer",
    .value_scale = MS_SCALE_RATIO,
    .centre = 1 },
  { .name = "distances",
    .title = "Distances between languages",
    .table = "distances",
    .mark = MS_MARK_MATRIX,
    .x = "b",
    .y = "a",
    .value = "js_excess" },
  { .name = "specificity",
    .title = "Specificity of the experts, sorted",
    .table = "specificity",
    .mark = MS_MARK_LINE,
    .x = "place",
    .y = "specificity",
    .series = "layer",
    .reference = "uniform" },
  { .name = "spread",
    .title = "Entropy of experts over languages by layer",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "corrected",
    .low = "low",
    .high = "high",
    .y_title = "Entropy over languages (of 1)" },
  { .name = "silhouette",
    .title = "Fit of each language with its family",
    .table = "languages",
    .mark = MS_MARK_BAR,
    .x = "language",
    .y = "silhouette",
    .series = "family" },
  { 0 },
};

const MsAnalysis ms_analysis_language_map = {
  .name = "language-map",
  .title = "Language Map",
  .help = "Which experts does each language use, and do related languages use the same ones?",
  .formula
  = "share = count / all of the language in the layer; specificity = max over languages of "
    "share; distance = mean over layers of JS, or cosine or Euclidean distance of the "
    "shares of all layers; tree by average linkage (UPGMA); Mantel = correlation with the "
    "family distance; expert's entropy = H (share_x / sum over languages) / ln languages.",
  .cite = "LOLA, arXiv 2409.11272.  Entropy by layer: Apollo-MoE (Democratizing Medical "
          "LLMs for 50 Languages).",
  .version = 2,
  .times = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
