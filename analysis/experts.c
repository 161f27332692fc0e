/* The expert map: every (layer, expert) slot with its load, the router's certainty where it was chosen,
 * what it specialises in, and its change against a second run.  Made for looking around; the measures that
 * papers report have analyses of their own.  metrics.md a, f. */
#include "analysis-private.h"

#include "tree-private.h"

#include <math.h>

/* Fewer choices than this say nothing about the labels an expert prefers. */
#define LEAST_CHOICES 20
/* Rows of the table of distances: beyond this it is left empty. */
#define MOST_PAIRS 500000

static const char *const labels[] = { "auto", "language", "domain", "phase", "document", NULL };
#define AUTO_FIRST 1 /* what "auto" tries, */
#define AUTO_LAST  3

typedef struct
{
  guint n_experts;
  guint64 *counts;  /* (E) choices */
  double *entropy;  /* (E) sums over the tokens that chose it; NULL = not recorded */
  double *margin;   /* (E) likewise */
  double *by_label; /* (E, G) choices by label of the document; NULL = no labels */
  guint64 *other;   /* (E) choices in the second run; NULL = none or of another shape */
  double *apart; /* (E, E) distances by what they read, NaN = too few choices; NULL = not asked */
  guint *place;  /* (E) place in the order of the tree of these distances; NULL likewise */
  guint64 n_choices, n_other;
} Layer;

typedef struct
{
  const char *label; /* what the groups are of */
  MsGroups *groups;  /* NULL = no document has the label */
  guint columns;
  gboolean similar;
  Layer *layers; /* (n_layers) */
} Map;

typedef struct
{
  const Map *map;
  Layer *layer;
} Scan;

static gboolean
scan_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
           GError **error)
{
  const Scan *scan = data;
  Layer *layer = scan->layer;
  int group = scan->map->groups != NULL ? scan->map->groups->group[document] : -1;

  (void) row, (void) error;
  for (guint t = from; t < from + n; t++)
    for (guint k = 0; k < chunk->k; k++)
      {
        guint expert = chunk->experts[(gsize) t * chunk->k + k];

        if (expert >= layer->n_experts)
          break;
        layer->counts[expert]++;
        if (layer->entropy != NULL)
          layer->entropy[expert] += (double) chunk->entropy[t];
        if (layer->margin != NULL)
          layer->margin[expert] += (double) chunk->margin[t];
        if (group >= 0)
          layer->by_label[(gsize) expert * scan->map->groups->n + (guint) group]++;
      }
  return TRUE;
}

/* Counts of the same layer in the second run, where it has one of the same size. */
static gboolean
count_other (const MsContext *context, guint index, Layer *layer, GError **error)
{
  MsTrace *other = context->n_others > 0 ? context->others[0] : NULL;
  int block = ms_trace_layer (context->trace, index)->number;

  for (guint l = 0; other != NULL && l < ms_trace_n_layers (other); l++)
    if (ms_trace_layer (other, l)->number == block
        && ms_trace_layer (other, l)->gate.n_experts == layer->n_experts)
      {
        layer->other = g_new0 (guint64, layer->n_experts);
        if (!ms_trace_count (other, l, layer->other, context->cancel, error))
          return FALSE;
        for (guint e = 0; e < layer->n_experts; e++)
          layer->n_other += layer->other[e];
      }
  return TRUE;
}

/* Distances between the experts' labels, and the order of their tree: experts that read alike stand side
 * by side.  Experts with too few choices are as far from all others as can be. */
static void
arrange (const Map *map, Layer *layer)
{
  guint n = layer->n_experts, n_groups = map->groups->n;
  g_autofree double *known = g_new0 (double, (gsize) n *n);
  g_autofree MsJoin *joins = g_new (MsJoin, n);
  g_autofree guint *order = g_new (guint, n);

  layer->apart = g_new0 (double, (gsize) n *n);
  layer->place = g_new (guint, n);
  for (guint a = 0; a < n; a++)
    for (guint b = 0; b < n; b++)
      {
        gboolean few = layer->counts[a] < LEAST_CHOICES || layer->counts[b] < LEAST_CHOICES;
        double apart = few ? NAN
                           : ms_js (layer->by_label + (gsize) a * n_groups,
                                    layer->by_label + (gsize) b * n_groups, n_groups);

        layer->apart[(gsize) a * n + b] = apart;
        known[(gsize) a * n + b] = isnan (apart) ? G_LN2 : apart;
      }
  ms_tree_join (known, n, joins);
  ms_tree_order (joins, n, order);
  for (guint i = 0; i < n; i++)
    layer->place[order[i]] = i;
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Map *map = data;
  Layer *layer = &map->layers[index];
  guint n = ms_trace_layer (context->trace, index)->gate.n_experts;
  Scan scan = { map, layer };

  layer->n_experts = n;
  layer->counts = g_new0 (guint64, n);
  if (map->columns & MS_CHUNK_ENTROPY)
    layer->entropy = g_new0 (double, n);
  if (map->columns & MS_CHUNK_MARGIN)
    layer->margin = g_new0 (double, n);
  if (map->groups != NULL)
    layer->by_label = g_new0 (double, (gsize) n * map->groups->n);
  if (!ms_trace_scan_layer (context->trace, index, MS_CHUNK_EXPERTS | map->columns, scan_rows,
                            &scan, context->cancel, error))
    return FALSE;
  for (guint e = 0; e < n; e++)
    layer->n_choices += layer->counts[e];
  if (map->similar)
    arrange (map, layer);
  return count_other (context, index, layer, error);
}

static void
clear_map (Map *map, guint n_layers)
{
  for (guint l = 0; l < n_layers; l++)
    {
      Layer *layer = &map->layers[l];

      g_free (layer->counts);
      g_free (layer->entropy);
      g_free (layer->margin);
      g_free (layer->by_label);
      g_free (layer->other);
      g_free (layer->apart);
      g_free (layer->place);
    }
  g_free (map->layers);
  ms_groups_free (map->groups);
}

/* The place of every expert when the layer is sorted by count, the busiest first. */
static void
rank_experts (const Layer *layer, guint *rank)
{
  for (guint e = 0; e < layer->n_experts; e++)
    {
      rank[e] = 0;
      for (guint o = 0; o < layer->n_experts; o++)
        rank[e] += layer->counts[o] > layer->counts[e]
                   || (layer->counts[o] == layer->counts[e] && o < e);
    }
}

/* How far the expert's labels are from those of the whole layer, in nats; *top the label most above. */
static double
specialise (const Layer *layer, guint expert, const double *all, guint n_groups, int *top,
            double *top_ratio)
{
  const double *own = layer->by_label + (gsize) expert * n_groups;
  double own_sum = 0, all_sum = 0;

  *top = -1;
  *top_ratio = NAN;
  for (guint g = 0; g < n_groups; g++)
    {
      own_sum += own[g];
      all_sum += all[g];
    }
  if (own_sum < LEAST_CHOICES)
    return NAN;
  for (guint g = 0; g < n_groups; g++)
    {
      double times = all[g] > 0 ? own[g] / own_sum * all_sum / all[g] : 0;

      if (*top < 0 || times > *top_ratio)
        {
          *top = (int) g;
          *top_ratio = times;
        }
    }
  return ms_kl (own, all, n_groups);
}

/* Sums over the layer's choices of what is defined. */
typedef struct
{
  double sum, choices;
} Mean;

static void
mean_add (Mean *mean, double value, double choices)
{
  if (isnan (value))
    return;
  mean->sum += value * choices;
  mean->choices += choices;
}

static double
mean_of (const Mean *mean)
{
  return mean->choices > 0 ? mean->sum / mean->choices : (double) NAN;
}

static void
write_layer (const Map *map, const Layer *layer, gint64 block, MsTable *table, MsTable *layers)
{
  g_autofree guint *rank = g_new (guint, layer->n_experts);
  guint n_groups = map->groups != NULL ? map->groups->n : 0;
  g_autofree double *all = g_new0 (double, n_groups);
  Mean entropy = { 0 }, margin = { 0 }, specialisation = { 0 };

  rank_experts (layer, rank);
  for (guint e = 0; e < layer->n_experts; e++)
    for (guint g = 0; g < n_groups; g++)
      all[g] += layer->by_label[(gsize) e * n_groups + g];
  for (guint e = 0; e < layer->n_experts; e++)
    {
      double count = (double) layer->counts[e], load = NAN, base = NAN, top_ratio = NAN;
      double special = NAN, own_entropy = NAN, own_margin = NAN;
      int top = -1;

      load = ms_load (layer->counts[e], layer->n_choices, layer->n_experts);
      if (layer->other != NULL)
        base = ms_load (layer->other[e], layer->n_other, layer->n_experts);
      if (n_groups > 0)
        special = specialise (layer, e, all, n_groups, &top, &top_ratio);
      if (layer->entropy != NULL && count > 0)
        own_entropy = layer->entropy[e] / count;
      if (layer->margin != NULL && count > 0)
        own_margin = layer->margin[e] / count;
      mean_add (&entropy, own_entropy, count);
      mean_add (&margin, own_margin, count);
      mean_add (&specialisation, special, count);
      ms_table_add_row (table, MS_INT (block), MS_INT (e), MS_INT (rank[e]),
                        MS_INT (layer->place != NULL ? layer->place[e] : e),
                        MS_INT (layer->counts[e]), MS_REAL (load), MS_REAL (own_entropy),
                        MS_REAL (own_margin), MS_REAL (special),
                        MS_TEXT (top >= 0 ? map->groups->names[top] : NULL), MS_REAL (top_ratio),
                        MS_REAL (base), MS_REAL (ms_load_change (load, base)));
    }
  ms_table_add_row (layers, MS_INT (block), MS_INT (layer->n_experts), MS_INT (layer->n_choices),
                    MS_REAL (mean_of (&entropy)), MS_REAL (mean_of (&margin)),
                    MS_REAL (mean_of (&specialisation)),
                    MS_TEXT (map->groups != NULL ? map->label : NULL));
}

static void
write_pairs (const MsContext *context, const Map *map, MsResult *result)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  guint64 n_pairs = 0;

  for (guint l = 0; l < n_layers; l++)
    n_pairs += (guint64) map->layers[l].n_experts * map->layers[l].n_experts;
  if (n_pairs > MOST_PAIRS)
    {
      ms_result_note (result,
                      "%" G_GUINT64_FORMAT " distances are too many for a table; select layers",
                      n_pairs);
      return;
    }
  for (guint l = 0; l < n_layers; l++)
    for (gsize i = 0, n = map->layers[l].n_experts; i < n * n; i++)
      {
        ms_table_add_row (result->tables[1], MS_INT (ms_trace_layer (context->trace, l)->number),
                          MS_INT (i / n), MS_INT (i % n), MS_REAL (map->layers[l].apart[i]));
      }
}

static void
summarise (const MsContext *context, const Map *map, MsResult *result)
{
  guint n_layers = ms_trace_n_layers (context->trace), idle = 0, slots = 0, best_layer = 0,
        best = 0;
  double most = 0;
  g_autofree char *chosen = NULL, *times = NULL;

  for (guint l = 0; l < n_layers; l++)
    for (guint e = 0; e < map->layers[l].n_experts; e++)
      {
        const Layer *layer = &map->layers[l];
        double load = ms_load (layer->counts[e], layer->n_choices, layer->n_experts);

        slots++;
        idle += layer->counts[e] == 0;
        if (load > most)
          {
            most = load;
            best_layer = l;
            best = e;
          }
      }
  times = ms_number_told (most);
  if (idle == 0)
    chosen = g_strdup_printf ("All %u experts", slots);
  else
    chosen = g_strdup_printf ("%u of %u experts", slots - idle, slots);
  result->summary = g_strdup_printf (
      "%s in %u %s are chosen at least once; the busiest is expert %u of layer %d with "
      "%s times its fair share.",
      chosen, n_layers, n_layers == 1 ? "layer" : "layers", best,
      ms_trace_layer (context->trace, best_layer)->number, times);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  guint choice = ms_values_choice (context->values, "label");
  Map map
      = { .columns = ms_trace_run (context->trace)->columns & (MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN),
          .layers = g_new0 (Layer, n_layers) };
  gboolean asked = ms_values_bool (context->values, "similar"), fine;

  /* The first label that tells documents apart, else the first that they have. */
  for (guint i = choice > 0 ? choice : AUTO_FIRST;
       i <= (choice > 0 ? choice : AUTO_LAST) && (map.groups == NULL || map.groups->n < 2); i++)
    {
      MsGroups *groups = ms_trace_group (context->trace, labels[i], NULL);

      if (map.groups != NULL && (groups == NULL || groups->n < 2))
        {
          g_clear_pointer (&groups, ms_groups_free);
          continue;
        }
      g_clear_pointer (&map.groups, ms_groups_free);
      map.label = labels[i];
      map.groups = groups;
    }
  map.similar = asked && map.groups != NULL;
  fine = ms_context_tasks (context, n_layers, do_layer, &map, 0, 1, error);

  if (fine)
    {
      for (guint l = 0; l < n_layers; l++)
        write_layer (&map, &map.layers[l], ms_trace_layer (context->trace, l)->number,
                     result->tables[0], ms_result_table (result, "layers"));
      summarise (context, &map, result);
      if (context->n_others > 0)
        ms_result_name_change (result, context, "map");
      if (map.similar)
        write_pairs (context, &map, result);
      if (map.groups == NULL)
        ms_result_note (result, "No document has a %s: specialisation%s undefined.",
                        choice > 0 ? map.label : "language, domain or phase",
                        asked ? " and similarity are" : " is");
      else if (choice == 0)
        ms_result_note (result, "Specialisation is in the documents' %s.", map.label);
      ms_result_note (result, "Expert numbers mean nothing across layers.");
    }
  clear_map (&map, n_layers);
  return fine;
}

static const MsParam params[] = {
  { .name = "label",
    .title = "Specialisation in",
    .help = "Which label of the documents specialisation is measured against; auto takes the "
            "first of language, domain and phase that they have.",
    .type = MS_PARAM_CHOICE,
    .choices = labels },
  { .name = "similar",
    .title = "Compare experts",
    .help = "Whether to order the experts of each layer by how alike the labels they read are.",
    .type = MS_PARAM_BOOL },
  { 0 },
};

static const MsColumn map_columns[] = {
  MS_LAYER_COLUMN,
  MS_EXPERT_COLUMN,
  { "rank", "Rank by load", NULL, MS_COLUMN_INT, "0 = the layer's busiest expert." },
  { "place", "Place by similarity", NULL, MS_COLUMN_INT,
    "In the tree of the layer's experts (average linkage over the Jensen-Shannon divergence of the "
    "labels they read); the expert's number when they are not compared." },
  { "count", "Choices", "tokens", MS_COLUMN_INT, "Tokens that choose the expert." },
  { "load", "Load", "times the fair share", MS_COLUMN_REAL,
    "Choices over the layer's mean: 1 = the fair share." },
  { "entropy", "Router entropy", "nats", MS_COLUMN_REAL,
    "Mean entropy of the router over the tokens that choose the expert." },
  { "margin", "Margin", NULL, MS_COLUMN_REAL,
    "Mean gap between the last chosen and the first rejected expert over its tokens." },
  { "specialisation", "Specialisation", "nats", MS_COLUMN_REAL,
    "KL (labels of the expert's choices || labels of all choices of the layer); undefined below 20 "
    "choices." },
  { "top_label", "Prefers", NULL, MS_COLUMN_TEXT, "The label most above its share in the layer." },
  { "top_ratio", "Times its share", NULL, MS_COLUMN_REAL,
    "Share of that label among the expert's choices over its share among the layer's." },
  { "base_load", "Load in the baseline", "times the fair share", MS_COLUMN_REAL,
    "The same in the second run, the baseline." },
  MS_LOAD_CHANGE_COLUMN,
  { 0 },
};

static const MsColumn pair_columns[] = {
  MS_LAYER_COLUMN,
  MS_EXPERT_COLUMN,
  { "other", "Other expert", NULL, MS_COLUMN_INT, "Another of the layer." },
  { "distance", "Distance", "nats", MS_COLUMN_REAL,
    "Jensen-Shannon divergence of the labels they read; undefined below 20 choices." },
  { 0 },
};

static const MsColumn layer_columns[] = {
  MS_LAYER_COLUMN,
  { "n_experts", "Experts", "experts", MS_COLUMN_INT, "Routed experts of the layer." },
  { "choices", "Choices", NULL, MS_COLUMN_INT, "Of an expert by a token." },
  { "entropy", "Router entropy", "nats", MS_COLUMN_REAL, "Mean over the choices." },
  { "margin", "Margin", NULL, MS_COLUMN_REAL, "Mean over the choices." },
  { "specialisation", "Specialisation", "nats", MS_COLUMN_REAL,
    "Mean over the choices of the experts' specialisation: the mutual information of label and "
    "expert, but for experts below 20 choices." },
  { "label", "Specialisation in", NULL, MS_COLUMN_TEXT, "The documents' label." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "map", "All experts", map_columns },
  { "similarity", "Distances between the experts of a layer", pair_columns },
  { "layers", "All layers", layer_columns },
  { 0 },
};

/* Each measure by the expert's number, by its rank and by its place among similar ones.  The bars at the
 * right tell of a layer what the measure means for all of it: the mean over its choices is the layer's own
 * entropy and margin, and of specialisation the mutual information of label and expert. */
#define MAP(name_, title_, value_, scale, x_, x_title_, label_, kind, bars, weight, top_kind,      \
            top_bars)                                                                              \
  {                                                                                                \
    .name = name_, .title = title_, .table = "map", .mark = MS_MARK_HEATMAP, .x = x_,              \
    .y = "layer", .value = value_, .value_scale = scale,                                           \
    .centre = (scale) == MS_SCALE_RATIO ? 1 : 0, .x_title = x_title_, .label = label_,             \
    .right = { kind, bars, weight },                                                               \
    .top                                                                                           \
        = { top_kind,                                                                              \
            top_bars,                                                                              \
            NULL }                                                                                 \
  }
#define MAPS(name_, title_, value_, scale, ...)                                                    \
  MAP (name_, title_, value_, scale, "expert", "Expert (numbered anew in each layer)", NULL,       \
       __VA_ARGS__),                                                                               \
      MAP (name_ "-ranked", title_ ", busiest first", value_, scale, "rank",                       \
           "Rank by load in the layer", "expert", __VA_ARGS__),                                    \
      MAP (name_ "-similar", title_ ", similar ones together", value_, scale, "place",             \
           "Place by similarity in the layer", "expert", __VA_ARGS__)
#define HIGHEST MS_MARGIN_MOST, "Highest load", NULL, MS_MARGIN_MEAN, "Mean over layers"
#define OVER_CHOICES                                                                               \
  MS_MARGIN_MEAN, "Mean over choices", "count", MS_MARGIN_MEAN, "Mean over layers"
#define MEAN_SIZE MS_MARGIN_SIZE, "Mean size", NULL, MS_MARGIN_SIZE, "Mean size over layers"

static const MsPlotDef plots[] = {
  MAPS ("load", "Load of every expert", "load", MS_SCALE_RATIO, HIGHEST),
  MAPS ("entropy", "Router entropy where it is chosen", "entropy", MS_SCALE_LINEAR, OVER_CHOICES),
  MAPS ("margin", "Margin where it is chosen", "margin", MS_SCALE_LINEAR, OVER_CHOICES),
  MAPS ("specialisation", "Specialisation of every expert", "specialisation", MS_SCALE_LINEAR,
        OVER_CHOICES),
  MAPS ("change", "Change of load against the baseline", "change", MS_SCALE_DIVERGING, MEAN_SIZE),
  { .name = "similarity",
    .title = "How differently experts read",
    .table = "similarity",
    .mark = MS_MARK_MATRIX,
    .x = "other",
    .y = "expert",
    .value = "distance",
    .facet = "layer" },
  { 0 },
};

const MsAnalysis ms_analysis_experts = {
  .name = "experts",
  .title = "Expert Map",
  .help
  = "What is each expert of each layer: how busy, how surely chosen, specialised in what, changed "
    "how?",
  .formula
  = "load = c_e E / C; entropy and margin are means over the tokens that choose e; "
    "specialisation = KL (p(label | e) || p(label)) over the layer's choices; place = order of "
    "the leaves of the UPGMA tree over JS (p(label | a), p(label | b)).",
  .cite = "UPGMA: Sokal and Michener 1958; the map itself is our own.",
  .version = 4,
  .needs = MS_TAKES_COUNTS,
  .live = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
