/* The six numbers that say first what a run is like, read from the tables of results: no measure is
 * computed here. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

/* --- Reading tables --------------------------------------------------------------------------- */

static double
get (const MsTable *table, guint row, const char *column)
{
  int index = ms_table_find_column (table, column);

  return index >= 0 && row < ms_table_n_rows (table) ? ms_table_get_real (table, row, (guint) index)
                                                     : (double) NAN;
}

/* The row whose text column holds `key`; -1 when there is none. */
static int
find_row (const MsTable *table, const char *column, const char *key)
{
  int index = ms_table_find_column (table, column);

  for (guint row = 0; index >= 0 && row < ms_table_n_rows (table); row++)
    if (strcmp (ms_table_get_text (table, row, (guint) index), key) == 0)
      return (int) row;
  return -1;
}

/* The first row with the column's largest value, or with `sign` -1 its smallest; -1 when none has one. */
static int
find_most (const MsTable *table, const char *column, double sign)
{
  int best = -1;

  for (guint row = 0; row < ms_table_n_rows (table); row++)
    {
      double value = sign * get (table, row, column);

      if (!isnan (value) && (best < 0 || value > sign * get (table, (guint) best, column)))
        best = (int) row;
    }
  return best;
}

/* The layer with the largest corrected value of `measure` in load's table of intervals; -1 when none has. */
static int
find_worst (const MsTable *intervals, const char *measure)
{
  int column = ms_table_find_column (intervals, "measure"), best = -1;

  for (guint row = 0; column >= 0 && row < ms_table_n_rows (intervals); row++)
    if (strcmp (ms_table_get_text (intervals, row, (guint) column), measure) == 0
        && !isnan (get (intervals, row, "corrected"))
        && (best < 0
            || get (intervals, row, "corrected") > get (intervals, (guint) best, "corrected")))
      best = (int) row;
  return best;
}

static double
sum_of (const MsTable *table, const char *column, guint *n)
{
  double sum = 0;

  *n = 0;
  for (guint row = 0; row < ms_table_n_rows (table); row++)
    if (!isnan (get (table, row, column)))
      {
        sum += get (table, row, column);
        ++*n;
      }
  return sum;
}

static char *
place_of (const MsTable *table, int row, const char *column)
{
  return g_strdup_printf ("%s=%.0f", column, get (table, (guint) row, column));
}

char *
ms_number_told (double value)
{
  char text[MS_NUMBER_SIZE];

  g_ascii_formatd (text, sizeof text,
                   fabs (value) >= 100  ? "%.0f"
                   : fabs (value) >= 10 ? "%.1f"
                                        : "%.2f",
                   value);
  return g_strdup (text);
}

static MsHeadline *
tell (double value, char *number, const char *unit, char *place, char *text)
{
  MsHeadline *headline = g_new0 (MsHeadline, 1);

  *headline = (MsHeadline){ value, number, unit, text, place };
  return headline;
}

static MsHeadline *
lack (const char *reason)
{
  return tell (NAN, NULL, NULL, NULL, g_strdup (reason));
}

/* " (interval 1.17 to 1.21)" of the bounds times `scale` plus `more`; "" where there are none. */
static char *
interval_of (const MsTable *table, int row, const char *low, const char *high, double scale,
             double more)
{
  double from = get (table, (guint) row, low), to = get (table, (guint) row, high);
  g_autofree char *first = ms_number_told (scale * from + more);
  g_autofree char *last = ms_number_told (scale * to + more);

  if (isnan (from) || isnan (to))
    return g_strdup ("");
  return g_strdup_printf (" (interval %s to %s)", first, last);
}

/* --- The numbers ------------------------------------------------------------------------------ */

#define SHARE_UNIT "times the fair share"

static MsHeadline *
tell_imbalance (const MsResult *result)
{
  const MsTable *overall = ms_result_table (result, "overall");
  const MsTable *layers = ms_result_table (result, "intervals");
  int row = find_row (overall, "measure", "max_vio"), worst = find_worst (layers, "max_vio");
  double value = row >= 0 ? 1 + get (overall, (guint) row, "corrected") : (double) NAN;
  g_autofree char *number = NULL, *chance = NULL, *most = NULL, *interval = NULL;

  if (isnan (value) || worst < 0)
    return lack ("No expert was chosen.");
  interval = interval_of (overall, row, "low", "high", 1, 1);
  number = ms_number_told (value);
  chance = ms_number_told (1 + get (overall, (guint) row, "null"));
  most = ms_number_told (1 + get (layers, (guint) worst, "corrected"));
  return tell (
      value, ms_number_told (value), SHARE_UNIT, place_of (layers, worst, "layer"),
      g_strdup_printf ("The busiest expert of a layer takes on average %s times its fair share%s, "
                       "by chance %s; most uneven is layer %.0f with %s.",
                       number, interval, chance, get (layers, (guint) worst, "layer"), most));
}

static MsHeadline *
tell_entropy (const MsResult *result)
{
  const MsTable *layers = ms_result_table (result, "layers");
  guint n, n_layers;
  double mean = sum_of (layers, "entropy", &n) / n;
  double experts = sum_of (layers, "n_experts", &n_layers) / n_layers;
  int least = find_most (layers, "entropy", -1);
  g_autofree char *spread = NULL, *lowest = NULL;

  if (least < 0)
    return lack ("The run was recorded without the router's entropy.");
  spread = ms_number_told (exp (mean));
  lowest = ms_number_told (get (layers, (guint) least, "entropy"));
  return tell (
      mean, ms_number_told (mean), "nats", place_of (layers, least, "layer"),
      g_strdup_printf ("The router is as undecided as between %s equally likely experts of "
                       "%.3g; most decided is layer %.0f with %s nats.",
                       spread, experts, get (layers, (guint) least, "layer"), lowest));
}

static MsHeadline *
tell_dead (const MsResult *result)
{
  const MsTable *layers = ms_result_table (result, "balance");
  guint n_layers;
  double dead = sum_of (layers, "idle", &n_layers), slots = sum_of (layers, "n_experts", &n_layers);
  int worst = find_most (layers, "idle", 1);

  if (worst < 0)
    return lack ("No expert was chosen.");
  if (dead == 0)
    return tell (0, g_strdup ("0"), NULL, NULL,
                 g_strdup_printf ("Each of the %.0f experts is chosen at least once.", slots));
  return tell (
      dead, g_strdup_printf ("%.0f", dead), NULL, place_of (layers, worst, "layer"),
      g_strdup_printf ("Of %.0f experts so many are never chosen; most of them, %.0f, are in "
                       "layer %.0f.",
                       slots, get (layers, (guint) worst, "idle"),
                       get (layers, (guint) worst, "layer")));
}

static MsHeadline *
tell_top (const MsResult *result)
{
  const MsTable *experts = ms_result_table (result, "experts");
  const MsTable *layers = ms_result_table (result, "balance");
  int top = find_most (experts, "load", 1), worst = find_most (layers, "max_vio", 1);
  double layer, expert, load, share;
  gboolean selected;
  g_autofree char *taken = NULL, *fair = NULL, *interval = NULL;

  if (top < 0 || worst < 0)
    return lack ("No expert was chosen.");
  layer = get (experts, (guint) top, "layer");
  expert = get (experts, (guint) top, "expert");
  load = get (experts, (guint) top, "load");
  share = get (experts, (guint) top, "share");
  /* A selection of experts keeps their rows only, layers are measured among all. */
  selected = load < 1 + get (layers, (guint) worst, "max_vio") - 1e-9;
  taken = ms_number_told (100 * share);
  fair = ms_number_told (100 * share / load);
  interval = interval_of (experts, top, "load_low", "load_high", 100 * share / load, 0);
  return tell (load, ms_number_told (load), SHARE_UNIT,
               g_strdup_printf ("layer=%.0f expert=%.0f", layer, expert),
               g_strdup_printf ("%s %.0f of layer %.0f is the busiest: it takes %s %%%s of "
                                "the layer's choices where %s %% are fair.",
                                selected ? "Of the selected experts, number" : "Expert", expert,
                                layer, taken, interval, fair));
}

static MsHeadline *
tell_specialisation (const MsResult *result)
{
  const MsTable *layers = ms_result_table (result, "layers");
  int most = find_most (layers, "specialisation", 1);
  int label = ms_table_find_column (layers, "label");
  double layer, total;
  guint n;
  g_autofree char *information = NULL, *mean = NULL;

  if (most < 0 || label < 0)
    return lack ("No document has a language, a domain or a phase.");
  total = sum_of (layers, "specialisation", &n);
  layer = get (layers, (guint) most, "layer");
  information = ms_number_told (get (layers, (guint) most, "specialisation"));
  mean = ms_number_told (total / n);
  return tell (layer, g_strdup_printf ("Layer %.0f", layer), NULL, place_of (layers, most, "layer"),
               g_strdup_printf ("There the chosen expert tells most of the text's %s: %s nats of "
                                "mutual information, %s on average over layers.",
                                ms_table_get_text (layers, (guint) most, (guint) label),
                                information, mean));
}

static MsHeadline *
tell_cache (const MsResult *result)
{
  const MsTable *curve = ms_result_table (result, "total");
  int policy = ms_table_find_column (curve, "policy"), row = -1;
  double most = 0, half;
  g_autofree char *chance = NULL, *number = NULL, *interval = NULL;

  for (guint i = 0; i < ms_table_n_rows (curve); i++)
    most = MAX (most, get (curve, i, "capacity"));
  half = MAX (floor (most / 2), 1);
  for (guint i = 0; i < ms_table_n_rows (curve) && row < 0; i++)
    if (get (curve, i, "capacity") == half
        && strcmp (ms_table_get_text (curve, i, (guint) policy), "lru") == 0)
      row = (int) i;
  if (row < 0 || isnan (get (curve, (guint) row, "hit_rate")))
    return lack ("No expert was asked for.");
  number = ms_number_told (100 * get (curve, (guint) row, "hit_rate"));
  interval = interval_of (curve, row, "low", "high", 100, 0);
  if (!isnan (get (curve, (guint) row, "null_hit_rate")))
    {
      g_autofree char *null = ms_number_told (100 * get (curve, (guint) row, "null_hit_rate"));

      chance = g_strdup_printf ("; with tokens shuffled %s %%", null);
    }
  return tell (get (curve, (guint) row, "hit_rate"),
               ms_number_told (100 * get (curve, (guint) row, "hit_rate")), "%", NULL,
               g_strdup_printf (
                   "A cache of %.0f experts for each layer, half of %.0f, empty at first, has %s "
                   "%%%s of those asked for (LRU, documents one after another)%s.",
                   half, most, number, interval, chance != NULL ? chance : ""));
}

static const MsHeadlineDef headlines[] = {
  { "imbalance", "Imbalance", "load", tell_imbalance },
  { "entropy", "Router Entropy", "experts", tell_entropy },
  { "dead-experts", "Dead Experts", "load", tell_dead },
  { "top-expert", "Top Expert", "load", tell_top },
  { "specialisation", "Strongest Specialisation", "experts", tell_specialisation },
  { "cache-hits", "Cache Hits at Half Memory", "cache", tell_cache },
  { 0 },
};

const MsHeadlineDef *
ms_headlines (void)
{
  return headlines;
}

MsHeadline *
ms_headline_new (const MsHeadlineDef *def, const MsResult *result)
{
  g_return_val_if_fail (strcmp (result->analysis->name, def->analysis) == 0, NULL);
  if (result->by != NULL || result->n_runs > 0)
    return lack ("The result is that of several groups or runs.");
  return def->tell (result);
}

void
ms_headline_free (MsHeadline *headline)
{
  if (headline == NULL)
    return;
  g_free (headline->number);
  g_free (headline->text);
  g_free (headline->place);
  g_free (headline);
}
