/* Coverage: how much of the decisions the busiest slots take, and whether slots chosen on one half of the
 * documents are as busy on the other half: is there a hot set?
 *
 * A slot is a (layer, expert).  A scope is one layer, or all layers pooled.  The hot set is chosen on
 * whole documents, as neighbouring tokens are too alike for an honest check.  metrics.md a. */
#include "balance-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPLITS      32
#define NULL_DRAWS  100
#define MOST_POINTS 128
/* When the sentence says that there is a hot set. */
#define HOT_GAIN   1.5
#define HOT_ERRORS 3.0

typedef struct
{
  char *name;     /* "3" or "all" */
  guint n_slots;  /* S */
  double *sums;   /* (U, S) */
  double *shares; /* (S) of the whole */
  double total;   /* decisions */
  double *chosen; /* (S) in how many of the half-sets each slot is hot */
  guint n_points;
  guint *points;      /* (P) set sizes */
  MsInterval *inside; /* (P) share of decisions of the busiest slots */
  double *held_out;   /* (P) */
  double *held_out_error;
  double *null; /* (P) */
  /* The same at the size of the hot set. */
  guint hot;
  MsInterval hot_inside;
  double needed; /* part of the slots; a whole number of them, so that it has no interval */
  double hot_held_out, hot_error;
} Scope;

/* Sums over the tokens of a layer, k experts each: what an expert's count is by chance, and its variance. */
typedef struct
{
  double mean, variance; /* sum k / E, sum (k / E) (1 - k / E) */
} ByChance;

typedef struct
{
  const MsBootstrap *bootstrap;
  guint n_layers;
  guint n_scopes; /* layers, then all */
  Scope *scopes;
  guint64 **counts; /* (L) of (U, E) */
  ByChance *chance; /* (L) */
  double top;       /* part of the slots that is the hot set */
  double cover;     /* part of the decisions to be covered */
  guint64 seed;
} Coverage;

/* --- Counting -------------------------------------------------------------------------------- */

typedef struct
{
  const MsBootstrap *bootstrap;
  guint n_experts;
  guint64 *counts;
  ByChance *chance;
} Counting;

static gboolean
count_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
            GError **error)
{
  const Counting *counting = data;
  guint unit = ms_bootstrap_unit (counting->bootstrap, document);

  (void) row, (void) error;
  ms_chunk_count (chunk, from, n, counting->counts + (gsize) unit * counting->n_experts);
  for (gsize i = from; i < (gsize) from + n; i++)
    {
      double k = 0, p;

      for (guint r = 0; r < chunk->k; r++)
        k += ms_chunk_expert (chunk, i * chunk->k + r) < counting->n_experts;
      p = k / counting->n_experts;
      counting->chance->mean += p;
      counting->chance->variance += p * (1 - p);
    }
  return TRUE;
}

static gboolean
count_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Coverage *coverage = data;
  guint n_experts = ms_trace_layer (context->trace, index)->gate.n_experts;
  Counting counting = { coverage->bootstrap, n_experts, NULL, &coverage->chance[index] };

  coverage->counts[index] = g_new0 (guint64, (gsize) coverage->bootstrap->n_units * n_experts);
  counting.counts = coverage->counts[index];
  return ms_trace_scan_layer (context->trace, index, 0, count_rows, &counting, context->cancel,
                              error);
}

/* The scope of layers from..to-1. */
static void
init_scope (const MsContext *context, const Coverage *coverage, guint from, guint to, Scope *scope)
{
  guint n_units = coverage->bootstrap->n_units, at = 0;

  scope->name = to - from > 1 || coverage->n_layers == 0
                    ? g_strdup ("all")
                    : g_strdup_printf ("%d", ms_trace_layer (context->trace, from)->number);
  for (guint l = from; l < to; l++)
    scope->n_slots += ms_trace_layer (context->trace, l)->gate.n_experts;
  scope->sums = g_new (double, (gsize) n_units * scope->n_slots);
  for (guint l = from; l < to; l++)
    {
      guint n_experts = ms_trace_layer (context->trace, l)->gate.n_experts;

      for (guint u = 0; u < n_units; u++)
        for (guint e = 0; e < n_experts; e++)
          scope->sums[(gsize) u * scope->n_slots + at + e]
              = (double) coverage->counts[l][(gsize) u * n_experts + e];
      at += n_experts;
    }
  scope->n_points = MIN (scope->n_slots, MOST_POINTS);
  scope->points = g_new (guint, scope->n_points);
  for (guint p = 0; p < scope->n_points; p++)
    scope->points[p] = (guint) ((guint64) (p + 1) * scope->n_slots / scope->n_points);
  scope->hot = MAX ((guint) ceil (coverage->top * scope->n_slots - 1e-9), 1);
}

static void
clear_scope (Scope *scope)
{
  g_free (scope->name);
  g_free (scope->sums);
  g_free (scope->shares);
  g_free (scope->chosen);
  g_free (scope->points);
  g_free (scope->inside);
  g_free (scope->held_out);
  g_free (scope->held_out_error);
  g_free (scope->null);
}

/* --- Curves ---------------------------------------------------------------------------------- */

typedef struct
{
  double count;
  guint slot;
} Slot;

/* Busiest first, equal ones by number. */
static int
compare_slots (gconstpointer a, gconstpointer b)
{
  const Slot *left = a, *right = b;

  if (left->count != right->count)
    return left->count > right->count ? -1 : 1;
  return (left->slot > right->slot) - (left->slot < right->slot);
}

static void
sort_slots (const double *counts, guint n, Slot *order)
{
  for (guint i = 0; i < n; i++)
    order[i] = (Slot){ counts[i], i };
  qsort (order, n, sizeof (Slot), compare_slots);
}

/* The share of `counts` that the first points[p] slots of the order take, in out (P), and that of the
 * first `hot`, which is returned. */
static double
cumulate (const Scope *scope, const Slot *order, const double *counts, double *out)
{
  double total = 0, taken = 0, hot = NAN;
  guint p = 0;

  for (guint i = 0; i < scope->n_slots; i++)
    total += counts[i];
  for (guint i = 0; i < scope->n_slots; i++)
    {
      taken += counts[order[i].slot];
      if (i + 1 == scope->hot)
        hot = taken / total;
      if (i + 1 == scope->points[p])
        out[p++] = taken / total;
    }
  return hot;
}

typedef struct
{
  const Scope *scope;
  double cover;
  Slot *order; /* (S) scratch */
} Statistic;

/* The curve (P), the hot set's share, and the part of the slots that covers `cover`. */
static void
make_curve (const double *sums, double *out, gpointer data)
{
  const Statistic *statistic = data;
  const Scope *scope = statistic->scope;
  double total = 0, taken = 0;
  guint n = 0;

  sort_slots (sums, scope->n_slots, statistic->order);
  out[scope->n_points] = cumulate (scope, statistic->order, sums, out);
  for (guint i = 0; i < scope->n_slots; i++)
    total += sums[i];
  while (n < scope->n_slots && taken < statistic->cover * total * (1 - 1e-12))
    taken += statistic->order[n++].count;
  out[scope->n_points + 1] = total > 0 ? (double) n / scope->n_slots : NAN;
}

/* What a group of documents does to the held-out shares: with r = sum of hot / sum of all over the m held-out
 * groups of a halving, moving group u moves r by (hot_u - r all_u) / sum of all.  The sampling error of the
 * mean over halvings is the root of the sum over groups of the squared mean moves (infinitesimal jackknife). */
typedef struct
{
  guint n_units, n_points;
  double *moves; /* (U, P + 1), the last of the hot set */
  double *own;   /* (P + 1) scratch */
} Moves;

/* Adds the moves of the held-out groups (m) of one half, whose shares are `shares` (P + 1). */
static void
add_moves (const Scope *scope, const Slot *order, const guint *units, guint m, const double *shares,
           Moves *moves)
{
  guint n_points = moves->n_points;
  double total = 0;

  for (guint i = 0; i < m; i++)
    for (guint s = 0; s < scope->n_slots; s++)
      total += scope->sums[(gsize) units[2 * i] * scope->n_slots + s];
  for (guint i = 0; i < m; i++)
    {
      const double *sums = scope->sums + (gsize) units[2 * i] * scope->n_slots;
      double *own = moves->moves + (gsize) units[2 * i] * (n_points + 1), taken = 0, all = 0;
      guint p = 0;

      for (guint s = 0; s < scope->n_slots; s++)
        all += sums[s];
      for (guint s = 0; s < scope->n_slots; s++)
        {
          taken += sums[order[s].slot];
          if (s + 1 == scope->hot)
            moves->own[n_points] = taken;
          if (s + 1 == scope->points[p])
            moves->own[p++] = taken;
        }
      for (p = 0; p <= n_points; p++)
        own[p] += (moves->own[p] - shares[p] * all) / total * sqrt (m / (m - 1.0)) / (2 * SPLITS);
    }
}

/* Chooses the order on a random half of the units, takes its curve on the other half; both ways. */
static void
hold_out (const Coverage *coverage, Scope *scope)
{
  guint n_units = coverage->bootstrap->n_units, n = scope->n_slots, n_points = scope->n_points;
  g_autofree guint *units = g_new (guint, n_units);
  g_autofree double *half = g_new (double, n), *other_half = g_new (double, n);
  double *const halves[2] = { half, other_half };
  g_autofree double *mean = g_new0 (double, n_points + 1), *one = g_new (double, n_points + 1);
  g_autofree double *changes = g_new0 (double, (gsize) n_units *(n_points + 1));
  g_autofree double *own = g_new (double, n_points + 1);
  g_autofree Slot *order = g_new (Slot, n);
  Moves moves = { n_units, n_points, changes, own };

  scope->held_out = g_new (double, n_points);
  scope->held_out_error = g_new (double, n_points);
  scope->chosen = g_new0 (double, n);
  for (guint s = 0; n_units > 1 && s < SPLITS; s++)
    {
      guint64 state = ms_seed (coverage->seed, s);

      memset (half, 0, n * sizeof *half);
      memset (other_half, 0, n * sizeof *other_half);
      for (guint u = 0; u < n_units; u++)
        units[u] = u;
      for (guint u = n_units; u > 1; u--)
        {
          guint j = (guint) ms_random_below (&state, u), kept = units[u - 1];

          units[u - 1] = units[j];
          units[j] = kept;
        }
      for (guint u = 0; u < n_units; u++)
        for (guint i = 0; i < n; i++)
          halves[u % 2][i] += scope->sums[(gsize) units[u] * n + i];
      for (guint h = 0; h < 2; h++)
        {
          guint m = (n_units + h) / 2; /* units of the other half */

          sort_slots (halves[h], n, order);
          one[n_points] = cumulate (scope, order, halves[1 - h], one);
          for (guint p = 0; p <= n_points; p++)
            mean[p] += one[p] / (2 * SPLITS);
          for (guint i = 0; i < scope->hot; i++)
            scope->chosen[order[i].slot] += 1.0 / (2 * SPLITS);
          if (m > 1)
            add_moves (scope, order, units + 1 - h, m, one, &moves);
        }
    }
  for (guint p = 0; p <= n_points; p++)
    {
      double squares = n_units > 3 ? 0 : NAN;

      for (guint u = 0; u < n_units; u++)
        squares += moves.moves[(gsize) u * (n_points + 1) + p]
                   * moves.moves[(gsize) u * (n_points + 1) + p];
      *(p == n_points ? &scope->hot_held_out : &scope->held_out[p]) = n_units > 1 ? mean[p] : NAN;
      *(p == n_points ? &scope->hot_error : &scope->held_out_error[p]) = sqrt (squares);
    }
  for (guint i = 0; n_units < 2 && i < n; i++)
    scope->chosen[i] = NAN;
}

/* The curve by chance: every slot gets normal counts with the mean and the variance of uniform choices of as many
 * experts as each token has. */
static void
make_null (const MsContext *context, const Coverage *coverage, guint from, guint to, Scope *scope)
{
  g_autofree double *counts = g_new (double, scope->n_slots);
  g_autofree double *one = g_new (double, scope->n_points);
  g_autofree Slot *order = g_new (Slot, scope->n_slots);

  scope->null = g_new0 (double, scope->n_points);
  for (guint s = 0; s < NULL_DRAWS; s++)
    {
      guint64 state = ms_seed (coverage->seed, G_MAXUINT32 + (guint64) s);
      guint at = 0;

      for (guint l = from; l < to; l++)
        {
          const MsLayer *layer = ms_trace_layer (context->trace, l);
          const ByChance *chance = &coverage->chance[l];

          for (guint e = 0; e < layer->gate.n_experts; e++)
            {
              double radius = sqrt (-2 * log (1 - ms_random_double (&state)));
              double normal = radius * cos (2 * G_PI * ms_random_double (&state));

              counts[at++] = MAX (chance->mean + sqrt (MAX (chance->variance, 0)) * normal, 0);
            }
        }
      sort_slots (counts, scope->n_slots, order);
      cumulate (scope, order, counts, one);
      for (guint p = 0; p < scope->n_points; p++)
        scope->null[p] += one[p] / NULL_DRAWS;
    }
}

static gboolean
do_scope (const MsContext *context, guint index, gpointer data, GError **error)
{
  Coverage *coverage = data;
  Scope *scope = &coverage->scopes[index];
  gboolean all = index == coverage->n_layers;
  guint from = all ? 0 : index, to = all ? coverage->n_layers : index + 1;
  g_autofree MsInterval *intervals = NULL;
  g_autofree Slot *order = NULL;
  Statistic statistic = { scope, coverage->cover, NULL };
  const MsIntervalRule rule = { coverage->bootstrap->confidence, coverage->bootstrap->reach };
  double total = 0;

  (void) error;
  init_scope (context, coverage, from, to, scope);
  intervals = g_new (MsInterval, scope->n_points + 2);
  statistic.order = order = g_new (Slot, scope->n_slots);
  ms_bootstrap_intervals (coverage->bootstrap, scope->sums, scope->n_slots, make_curve, &statistic,
                          scope->n_points + 2, intervals);
  for (guint i = 0; i < scope->n_slots; i++)
    for (guint u = 0; u < coverage->bootstrap->n_units; u++)
      total += scope->sums[(gsize) u * scope->n_slots + i];
  for (guint p = 0; p <= scope->n_points; p++)
    ms_interval_bound (&intervals[p], &rule, 0, 1, 1 / total);
  scope->hot_inside = intervals[scope->n_points];
  scope->needed = intervals[scope->n_points + 1].value;
  scope->inside = g_steal_pointer (&intervals);
  hold_out (coverage, scope);
  make_null (context, coverage, from, to, scope);
  scope->shares = g_new0 (double, scope->n_slots);
  for (guint u = 0; u < coverage->bootstrap->n_units; u++)
    for (guint i = 0; i < scope->n_slots; i++)
      scope->shares[i] += scope->sums[(gsize) u * scope->n_slots + i];
  for (guint i = 0; i < scope->n_slots; i++)
    scope->shares[i] /= total;
  scope->total = total;
  g_clear_pointer (&scope->sums, g_free);
  return TRUE;
}

/* --- Tables ---------------------------------------------------------------------------------- */

static void
write_scope (const Scope *scope, MsResult *result)
{
  double uniform = (double) scope->hot / scope->n_slots;

  ms_table_add_row (result->tables[0], MS_TEXT (scope->name), MS_INT (scope->n_slots),
                    MS_INT (scope->hot), MS_REAL (100 * uniform),
                    MS_REAL (100 * scope->hot_inside.value),
                    MS_REAL (100 * scope->hot_inside.corrected),
                    MS_REAL (100 * scope->hot_inside.low), MS_REAL (100 * scope->hot_inside.high),
                    MS_REAL (100 * scope->hot_held_out), MS_REAL (100 * scope->hot_error),
                    MS_REAL (scope->hot_held_out / uniform), MS_REAL (100 * scope->needed));
  for (guint p = 0; p < scope->n_points; p++)
    {
      double part = 100.0 * scope->points[p] / scope->n_slots;

      ms_table_add_row (
          result->tables[1], MS_TEXT (scope->name), MS_INT (scope->points[p]), MS_REAL (part),
          MS_REAL (100 * scope->inside[p].value), MS_REAL (100 * scope->inside[p].corrected),
          MS_REAL (100 * scope->inside[p].low), MS_REAL (100 * scope->inside[p].high),
          MS_REAL (100 * scope->held_out[p]), MS_REAL (100 * scope->held_out_error[p]),
          MS_REAL (100 * scope->null[p]), MS_REAL (part));
    }
}

/* The slots of all layers, busiest first. */
static void
write_slots (const MsContext *context, const Scope *all, MsTable *table)
{
  g_autofree Slot *order = g_new (Slot, all->n_slots);
  g_autofree guint *layer_of = g_new (guint, all->n_slots), *first = g_new (guint, all->n_slots);
  guint at = 0;

  for (guint l = 0; l < ms_trace_n_layers (context->trace); l++)
    {
      guint n_experts = ms_trace_layer (context->trace, l)->gate.n_experts, start = at;

      for (guint e = 0; e < n_experts; e++, at++)
        {
          layer_of[at] = l;
          first[at] = start;
        }
    }
  sort_slots (all->shares, all->n_slots, order);
  for (guint i = 0; i < all->n_slots; i++)
    {
      guint slot = order[i].slot;

      ms_table_add_row (table, MS_INT (i + 1),
                        MS_INT (ms_trace_layer (context->trace, layer_of[slot])->number),
                        MS_INT (slot - first[slot]), MS_REAL (all->shares[slot]),
                        MS_INT (i < all->hot), MS_REAL (all->chosen[slot]));
    }
}

/* Why there is no other half: the selected documents are one independent group. */
static char *
explain_single (const MsContext *context)
{
  const MsClusters *clusters = ms_trace_clusters (context->trace, context->cluster, NULL);
  guint n = ms_trace_n_documents (context->trace);

  if (n < 2)
    return g_strdup ("with one document this cannot be checked on other text");
  if (clusters != NULL && clusters->n_copies + 1 == n)
    return g_strdup_printf ("all %u documents are copies of the same text, so this is an in-sample "
                            "figure that cannot be checked on other text",
                            n);
  return g_strdup_printf ("the %u documents go together as one group (translations, copies), so "
                          "this is an in-sample figure that cannot be checked on other text",
                          n);
}

/* How many slots of the hot set rest on so few tokens that others may be as busy. */
static void
note_scarce (const MsContext *context, const Scope *all, MsResult *result)
{
  double least = (double) ms_values_int (context->values, "least");
  g_autofree Slot *order = g_new (Slot, all->n_slots);
  g_autofree char *scarce = NULL;
  MsScarcity hot = { 0 };

  if (!(all->total > 0))
    return;
  sort_slots (all->shares, all->n_slots, order);
  for (guint i = 0; i < all->hot; i++)
    ms_scarcity_add (&hot, round (order[i].count * all->total),
                     (double) ms_trace_n_tokens (context->trace), least);
  scarce = ms_scarcity_sentence (&hot, "slots of the hot set", least);
  if (scarce != NULL)
    ms_result_note (result, "%s.", scarce);
}

static void
summarise (const MsContext *context, const Coverage *coverage, const Scope *all, MsResult *result)
{
  g_autofree char *why = explain_single (context);
  double uniform = (double) all->hot / all->n_slots, gain = all->hot_held_out / uniform;
  double strength = (all->hot_held_out - uniform) / all->hot_error;

  if (isnan (all->hot_held_out) || isnan (all->hot_error))
    result->summary = g_strdup_printf (
        "The busiest %.3g %% of the slots take %.3g %% of the decisions; %s.", 100 * uniform,
        100 * all->hot_inside.corrected,
        isnan (all->hot_held_out) ? why
                                  : "with so few documents this cannot be checked on other text");
  else
    result->summary = g_strdup_printf (
        "%s: the busiest %.3g %% of the slots, chosen on one half of the documents, take %.3g %% "
        "(\302\261%.2g) of the decisions in the other half, %.3g times their number; %.3g %% of "
        "the "
        "decisions need %.3g %% of the slots.",
        strength < HOT_ERRORS ? "There is no hot set on this text"
        : gain < HOT_GAIN     ? "There is only a weak hot set on this text"
                              : "There is a hot set on this text",
        100 * uniform, 100 * all->hot_held_out, 100 * all->hot_error, gain, 100 * coverage->cover,
        100 * all->needed);
  ms_result_note (
      result,
      "Held-out shares are means over %d random halvings of the documents' groups, used both "
      "ways; their error is that of sampling the documents.",
      SPLITS);
  note_scarce (context, all, result);
  ms_result_note (result, "\"All\" ranks the slots (layer, expert) of all layers as one list.");
  for (guint i = 0; i < coverage->n_layers; i++)
    {
      const Scope *scope = &coverage->scopes[i];
      double part = (double) scope->hot / scope->n_slots;

      strength = (scope->hot_held_out - part) / scope->hot_error;
      if (scope->hot_held_out >= HOT_GAIN * part && strength >= HOT_ERRORS)
        ms_result_find (result, MIN (strength, 1e6), g_strdup_printf ("layer=%s", scope->name),
                        "layer %s: %u of %u experts take %.3g %% of held-out decisions",
                        scope->name, scope->hot, scope->n_slots, 100 * scope->hot_held_out);
    }
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  g_autoptr (MsBootstrap) bootstrap = ms_bootstrap_new_of_trace (context);
  guint n_layers = ms_trace_n_layers (context->trace);
  guint n_scopes = n_layers > 1 ? n_layers + 1 : 1;
  g_autofree Scope *scopes = g_new0 (Scope, n_scopes);
  g_autofree guint64 **counts = g_new0 (guint64 *, n_layers);
  g_autofree ByChance *chance = g_new0 (ByChance, n_layers);
  Coverage coverage = { .bootstrap = bootstrap,
                        .n_layers = n_layers,
                        .n_scopes = n_scopes,
                        .scopes = scopes,
                        .counts = counts,
                        .chance = chance,
                        .top = ms_values_real (context->values, "top") / 100,
                        .cover = ms_values_real (context->values, "cover") / 100,
                        .seed = context->sampling.seed };
  gboolean fine = ms_context_tasks (context, n_layers, count_layer, &coverage, 0, 0.5, error)
                  && ms_context_tasks (context, n_scopes, do_scope, &coverage, 0.5, 1, error);

  for (guint i = 0; fine && i < n_scopes; i++)
    write_scope (&scopes[i], result);
  if (fine)
    {
      write_slots (context, &scopes[n_scopes - 1], result->tables[2]);
      summarise (context, &coverage, &scopes[n_scopes - 1], result);
    }
  for (guint i = 0; i < n_scopes; i++)
    clear_scope (&scopes[i]);
  for (guint l = 0; l < n_layers; l++)
    g_free (counts[l]);
  return fine;
}

/* --- The descriptor -------------------------------------------------------------------------- */

static const MsParam params[] = {
  { .name = "top",
    .title = "Hot set",
    .help = "The busiest part of the slots that is taken as the hot set.",
    .unit = "%",
    .type = MS_PARAM_REAL,
    .least = 0,
    .most = 100,
    .usual = 20 },
  { .name = "cover",
    .title = "Decisions to cover",
    .help = "How many slots cover this part of the decisions?",
    .unit = "%",
    .type = MS_PARAM_REAL,
    .least = 0,
    .most = 100,
    .usual = 80 },
  MS_LEAST_PARAM,
  { 0 },
};

static const MsColumn hot_columns[] = {
  { "scope", "Layer", NULL, MS_COLUMN_TEXT, "A layer's block number, or all layers." },
  { "n_slots", "Slots", "slots", MS_COLUMN_INT, "Slots (layer, expert) of the scope." },
  { "n_hot", "Hot slots", "slots", MS_COLUMN_INT, "Size of the hot set: ceil (top % of slots)." },
  { "hot_slots", "Hot slots", "%", MS_COLUMN_REAL, "Size of the hot set as part of the slots." },
  { "decisions", "Their decisions", "%", MS_COLUMN_REAL,
    "Decisions that the busiest slots take of the text they were chosen on." },
  MS_CORRECTED_COLUMN ("decisions_", "%"),
  MS_INTERVAL_COLUMNS ("decisions_", "%"),
  { "held_out", "Held out", "%", MS_COLUMN_REAL,
    "Decisions that slots chosen on one half of the documents take of the other half." },
  { "held_out_error", "Error", "%", MS_COLUMN_REAL,
    "Sampling error of held_out over independent groups of documents; none for fewer than four." },
  { "gain", "Gain", NULL, MS_COLUMN_REAL, "held_out / hot_slots; 1 = no hot set." },
  { "needed", "Slots needed", "%", MS_COLUMN_REAL,
    "Smallest part of the slots that covers the wanted part of the decisions." },
  { 0 },
};

static const MsColumn curve_columns[] = {
  { "scope", "Layer", NULL, MS_COLUMN_TEXT, "A layer's block number, or all layers." },
  { "n_slots", "Busiest slots", "slots", MS_COLUMN_INT, "How many of the busiest slots." },
  { "slots", "Slots", "%", MS_COLUMN_REAL, "The same as part of the scope's slots." },
  { "decisions", "Decisions", "%", MS_COLUMN_REAL,
    "What they take of the decisions of the text they were chosen on." },
  MS_CORRECTED_COLUMN ("decisions_", "%"),
  MS_INTERVAL_COLUMNS ("decisions_", "%"),
  { "held_out", "Held out", "%", MS_COLUMN_REAL,
    "What slots chosen on one half of the documents take of the other half." },
  { "held_out_error", "Error", "%", MS_COLUMN_REAL,
    "Sampling error of held_out over independent groups of documents; none for fewer than four." },
  { "null", "By chance", "%", MS_COLUMN_REAL,
    "decisions when tokens choose uniformly and independently." },
  { "uniform", "Uniform", "%", MS_COLUMN_REAL,
    "held_out when tokens choose uniformly and independently: the slots' number." },
  { 0 },
};

static const MsColumn slot_columns[] = {
  { "rank", "Rank", NULL, MS_COLUMN_INT, "1 = the busiest slot." },
  MS_LAYER_COLUMN,
  MS_EXPERT_COLUMN,
  { "share", "Share", NULL, MS_COLUMN_REAL, "Of the decisions of all layers." },
  { "hot", "Hot", NULL, MS_COLUMN_INT, "1 when the slot is in the hot set of all layers." },
  { "stability", "Stability", NULL, MS_COLUMN_REAL,
    "In which part of the halves of the documents the slot is in the half's hot set." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "hot", "The hot set", hot_columns },
  { "curve", "Decisions by number of busiest slots", curve_columns },
  { "slots", "All slots, the busiest first", slot_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "curve",
    .title = "Decisions taken by the busiest slots",
    .table = "curve",
    .mark = MS_MARK_LINE,
    .x = "slots",
    .y = "decisions_corrected",
    .series = "scope",
    .low = "decisions_low",
    .high = "decisions_high",
    .reference = "null" },
  { .name = "held-out",
    .title = "Held-out decisions taken by the busiest slots",
    .table = "curve",
    .mark = MS_MARK_LINE,
    .x = "slots",
    .y = "held_out",
    .series = "scope",
    .reference = "uniform" },
  { 0 },
};

const MsAnalysis ms_analysis_coverage = {
  .name = "coverage",
  .title = "Hot Set Coverage",
  .help = "Is there a hot set of experts on this text: do a few slots take most decisions, also on "
          "text they were not chosen on?",
  .formula
  = "Slots (layer, expert) sorted by count; decisions (x) = share of all decisions taken by "
    "the first x % of them.  Held out: sorted by the counts of one half of the documents, "
    "shares taken of the other half.  gain = held_out / x.",
  .cite = "Lorenz curve; the held-out check is our own definition; its error is the infinitesimal "
          "jackknife's.",
  .version = 2,
  .needs = MS_TAKES_COUNTS,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
