/* Vocabulary specialisation (metrics.md f.1, f.2, b.4): how far the token id decides the expert.
 *
 * One pass over the tokens of each id, in the order of the text, so that ties can go to the expert met
 * first.  The same pass over ids dealt at random to the tokens tells what counting alone yields.
 * Golden: olmoe_vocabulary_specialization, lrc_specialization. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

/* More resamples would take long and change the intervals of so many ids little. */
#define MOST_RESAMPLES 200

enum
{
  ID_INPUT,
  ID_OUTPUT,
  ID_PREDICTED
};
static const char *const id_choices[] = { "input", "output", "predicted", NULL };
static const char *const id_names[]
    = { "input tokens", "true next tokens (none at a document's end)", "predicted next tokens" };
static const char *const rank_choices[] = { "first", "all", NULL };

enum
{
  TIES_FIRST_MET,
  TIES_LOWEST
};
static const char *const tie_choices[] = { "first-met", "lowest", NULL };

/* Tokens by key: those of key i are rows[first[i]] .. rows[first[i + 1] - 1], in the order of the text. */
typedef struct
{
  guint n_keys;
  gint32 *keys;  /* (n_keys) ascending */
  gint64 *first; /* (n_keys + 1) */
  gint64 *rows;  /* (first[n_keys]) */
} Stream;

/* What one pass over a stream yields. */
typedef struct
{
  double n_ids, n_tokens;
  double specialisation; /* mean over keys of the largest share */
  double weighted;       /* the same weighted by occurrences */
  double deviation;      /* mean over frequent keys of the SD over experts of the shares */
  double n_frequent;
  double information; /* between key and expert, nats */
  double entropy;     /* of the experts, nats */
} Measures;

typedef struct
{
  gint64 block;
  guint n_experts, ranks;
  Measures ids, id_null, positions, position_null;
  MsInterval specialisation;
  gint64 *counts; /* (n_keys) occurrences with an expert */
  double *shares; /* (n_keys) largest share, NaN = too rare */
  guint *owners;  /* (n_keys) */
} Layer;

typedef struct
{
  Stream ids, positions;
  MsBootstrap *bootstrap;
  guint *units; /* (T) bootstrap unit of every row */
  guint n_layers, ranks, ties, least, frequent, top, n_shuffles;
  Layer *layers; /* (n_layers) */
} Vocabulary;

static void
clear_stream (Stream *stream)
{
  g_free (stream->keys);
  g_free (stream->first);
  g_free (stream->rows);
}

static void
clear_vocabulary (Vocabulary *all)
{
  clear_stream (&all->ids);
  clear_stream (&all->positions);
  for (guint i = 0; i < all->n_layers; i++)
    {
      g_free (all->layers[i].counts);
      g_free (all->layers[i].shares);
      g_free (all->layers[i].owners);
    }
  g_free (all->layers);
  g_free (all->units);
  ms_bootstrap_free (all->bootstrap);
}

/* --- Streams --------------------------------------------------------------------------------- */

static int
compare_keys (gconstpointer a, gconstpointer b)
{
  gint32 left = *(const gint32 *) a, right = *(const gint32 *) b;

  return (left > right) - (left < right);
}

static guint
find_key (const Stream *stream, gint32 key)
{
  guint low = 0, high = stream->n_keys;

  while (high - low > 1)
    {
      guint middle = low + (high - low) / 2;

      if (stream->keys[middle] <= key)
        low = middle;
      else
        high = middle;
    }
  return low;
}

/* Sorts the rows by their key (n); rows of key -1 are left out. */
static void
make_stream (const gint32 *key, gint64 n, Stream *stream)
{
  g_autofree gint64 *next = NULL;
  gint64 n_valid = 0;

  stream->keys = g_new (gint32, n);
  for (gint64 i = 0; i < n; i++)
    if (key[i] >= 0)
      stream->keys[n_valid++] = key[i];
  qsort (stream->keys, (gsize) n_valid, sizeof (gint32), compare_keys);
  for (gint64 i = 0; i < n_valid; i++)
    if (stream->n_keys == 0 || stream->keys[stream->n_keys - 1] != stream->keys[i])
      stream->keys[stream->n_keys++] = stream->keys[i];
  stream->first = g_new0 (gint64, (gsize) stream->n_keys + 1);
  stream->rows = g_new (gint64, n_valid);
  for (gint64 i = 0; i < n; i++)
    if (key[i] >= 0)
      stream->first[find_key (stream, key[i]) + 1]++;
  for (guint i = 0; i < stream->n_keys; i++)
    stream->first[i + 1] += stream->first[i];
  next = g_memdup2 (stream->first, ((gsize) stream->n_keys + 1) * sizeof (gint64));
  for (gint64 i = 0; i < n; i++)
    if (key[i] >= 0)
      stream->rows[next[find_key (stream, key[i])]++] = i;
}

static gboolean
make_streams (const MsContext *context, Vocabulary *all, GError **error)
{
  MsTrace *trace = context->trace;
  guint which = ms_values_choice (context->values, "id"),
        n_documents = ms_trace_n_documents (trace);
  gint64 n = ms_trace_n_tokens (trace);
  g_autofree gint32 *ids = NULL, *positions = g_new (gint32, n);

  if (which == ID_PREDICTED)
    {
      if (!ms_trace_run (trace)->predictions)
        {
          g_set_error (
              error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
              "vocabulary --id predicted cannot run: it needs the model's predicted tokens: "
              "collect with --predict");
          return FALSE;
        }
      if (!ms_trace_predictions (trace, &ids, NULL, error))
        return FALSE;
    }
  else if ((ids = ms_trace_token_ids (trace, error)) == NULL)
    return FALSE;
  all->units = g_new (guint, n);
  for (guint d = 0; d < n_documents; d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);
      gint64 end = document->first_token + document->n_tokens;

      for (gint64 i = document->first_token; i < end; i++)
        {
          all->units[i] = ms_bootstrap_unit (all->bootstrap, d);
          positions[i] = (gint32) MIN (i - document->first_token, G_MAXINT32);
        }
      if (which == ID_OUTPUT)
        {
          memmove (ids + document->first_token, ids + document->first_token + 1,
                   (gsize) (document->n_tokens - 1) * sizeof (gint32));
          ids[end - 1] = -1;
        }
    }
  make_stream (ids, n, &all->ids);
  make_stream (positions, n, &all->positions);
  return TRUE;
}

/* --- One pass -------------------------------------------------------------------------------- */

/* Counts of the experts at the tokens of one key. */
typedef struct
{
  guint n_experts;
  double *counts; /* (E) zero between keys */
  guint *met;     /* (E) experts in the order met */
  guint n_met;
  double n_tokens, n_decisions;
} Tally;

/* Adds the token at row i `weight` times. */
static void
tally_token (Tally *tally, const MsLayerTrace *trace, guint ranks, gint64 i, double weight)
{
  const guint16 *slots = trace->experts + (gsize) i * trace->k;

  if (slots[0] >= tally->n_experts)
    return;
  tally->n_tokens += weight;
  for (guint r = 0; r < ranks; r++)
    {
      if (slots[r] >= tally->n_experts)
        continue;
      if (tally->counts[slots[r]] == 0)
        tally->met[tally->n_met++] = slots[r];
      tally->counts[slots[r]] += weight;
      tally->n_decisions += weight;
    }
}

static void
reset_tally (Tally *tally)
{
  for (guint i = 0; i < tally->n_met; i++)
    tally->counts[tally->met[i]] = 0;
  tally->n_met = 0;
  tally->n_tokens = tally->n_decisions = 0;
}

/* The most frequent expert; equal ones by the rule.  There must be one. */
static guint
find_owner (const Tally *tally, guint ties)
{
  guint best = tally->met[0];

  for (guint i = 1; i < tally->n_met; i++)
    {
      guint e = tally->met[i];

      if (tally->counts[e] > tally->counts[best]
          || (ties == TIES_LOWEST && tally->counts[e] == tally->counts[best] && e < best))
        best = e;
    }
  return best;
}

/* Measures the stream with its rows in the order `rows`.  layer, when given, gets owners and shares. */
static void
measure (const Vocabulary *all, const Stream *stream, const gint64 *rows, guint least,
         const MsLayerTrace *trace, guint ranks, Layer *layer, Measures *out)
{
  guint n = trace->n_experts;
  g_autofree double *counts = g_new0 (double, n), *totals = g_new0 (double, n);
  g_autofree guint *met = g_new (guint, n);
  Tally tally = { n, counts, met, 0, 0, 0 };
  double joint = 0, decisions = 0;

  *out = (Measures){ 0 };
  for (guint key = 0; key < stream->n_keys; key++)
    {
      for (gint64 i = stream->first[key]; i < stream->first[key + 1]; i++)
        tally_token (&tally, trace, ranks, rows[i], 1);
      if (layer != NULL)
        {
          layer->counts[key] = (gint64) tally.n_tokens;
          layer->shares[key] = NAN;
        }
      if (tally.n_met > 0 && tally.n_tokens >= least)
        {
          guint owner = find_owner (&tally, all->ties);
          double share = counts[owner] / tally.n_tokens;

          if (layer != NULL)
            {
              layer->owners[key] = owner;
              layer->shares[key] = share;
            }
          out->n_ids++;
          out->n_tokens += tally.n_tokens;
          out->specialisation += share;
          out->weighted += counts[owner];
        }
      if (tally.n_tokens > all->frequent)
        {
          double mean = tally.n_decisions / tally.n_tokens / n, squares = 0;

          for (guint i = 0; i < tally.n_met; i++)
            {
              double over = counts[met[i]] / tally.n_tokens - mean;

              squares += over * over;
            }
          squares += (n - tally.n_met) * mean * mean;
          out->deviation += sqrt (squares / n);
          out->n_frequent++;
        }
      for (guint i = 0; i < tally.n_met; i++)
        {
          double count = counts[met[i]];

          joint += count * log (count / tally.n_decisions);
          totals[met[i]] += count;
        }
      decisions += tally.n_decisions;
      reset_tally (&tally);
    }
  out->specialisation = out->n_ids > 0 ? out->specialisation / out->n_ids : NAN;
  out->weighted = out->n_tokens > 0 ? out->weighted / out->n_tokens : NAN;
  out->deviation = out->n_frequent > 0 ? out->deviation / out->n_frequent : NAN;
  out->entropy = ms_entropy (totals, n);
  out->information = decisions > 0 ? MAX (out->entropy + joint / decisions, 0) : NAN;
}

/* The mean of the measures over random orders of the rows: keys keep their numbers of tokens. */
static void
measure_shuffled (const MsContext *context, const Vocabulary *all, const Stream *stream,
                  guint least, const MsLayerTrace *trace, guint ranks, Measures *out)
{
  gint64 n = stream->first[stream->n_keys];
  g_autofree gint64 *rows = g_memdup2 (stream->rows, (gsize) n * sizeof (gint64));
  guint64 state = ms_seed (context->sampling.seed, 4000);

  *out = (Measures){ .specialisation = NAN, .weighted = NAN, .deviation = NAN, .information = NAN };
  for (guint s = 0; s < all->n_shuffles; s++)
    {
      Measures one;

      for (gint64 i = n; i > 1; i--)
        {
          gint64 j = (gint64) ms_random_below (&state, (guint64) i), kept = rows[i - 1];

          rows[i - 1] = rows[j];
          rows[j] = kept;
        }
      measure (all, stream, rows, least, trace, ranks, NULL, &one);
      if (s == 0)
        *out = (Measures){ 0 };
      out->specialisation += one.specialisation / all->n_shuffles;
      out->weighted += one.weighted / all->n_shuffles;
      out->deviation += one.deviation / all->n_shuffles;
      out->information += one.information / all->n_shuffles;
    }
}

/* The specialisation (R) when documents are drawn again. */
static void
resample (const Vocabulary *all, const MsLayerTrace *trace, guint ranks, double *resampled)
{
  guint n = trace->n_experts, n_resamples = all->bootstrap->n_resamples;
  g_autofree double *counts = g_new0 (double, n), *n_ids = g_new0 (double, n_resamples);
  g_autofree guint *met = g_new (guint, n);
  Tally tally = { n, counts, met, 0, 0, 0 };

  for (guint r = 0; r < n_resamples; r++)
    resampled[r] = 0;
  for (guint key = 0; key < all->ids.n_keys; key++)
    for (guint r = 0; r < n_resamples; r++)
      {
        const guint16 *times = all->bootstrap->times + (gsize) r * all->bootstrap->n_units;

        for (gint64 i = all->ids.first[key]; i < all->ids.first[key + 1]; i++)
          {
            guint weight = times[all->units[all->ids.rows[i]]];

            if (weight > 0)
              tally_token (&tally, trace, ranks, all->ids.rows[i], weight);
          }
        if (tally.n_met > 0 && tally.n_tokens >= all->least)
          {
            resampled[r] += counts[find_owner (&tally, all->ties)] / tally.n_tokens;
            n_ids[r]++;
          }
        reset_tally (&tally);
      }
  for (guint r = 0; r < n_resamples; r++)
    resampled[r] = n_ids[r] > 0 ? resampled[r] / n_ids[r] : NAN;
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Vocabulary *all = data;
  Layer *layer = &all->layers[index];
  g_autoptr (MsLayerTrace) trace
      = ms_trace_load_layer (context->trace, index, MS_CHUNK_EXPERTS, context->cancel, error);
  g_autofree double *resampled = g_new (double, all->bootstrap->n_resamples);
  guint ranks;

  if (trace == NULL)
    return FALSE;
  layer->block = ms_trace_layer (context->trace, index)->number;
  layer->n_experts = trace->n_experts;
  layer->ranks = ranks = all->ranks == 0 ? 1 : trace->k;
  layer->counts = g_new0 (gint64, all->ids.n_keys);
  layer->shares = g_new (double, all->ids.n_keys);
  layer->owners = g_new0 (guint, all->ids.n_keys);
  measure (all, &all->ids, all->ids.rows, all->least, trace, ranks, layer, &layer->ids);
  measure_shuffled (context, all, &all->ids, all->least, trace, ranks, &layer->id_null);
  measure (all, &all->positions, all->positions.rows, 1, trace, ranks, NULL, &layer->positions);
  measure_shuffled (context, all, &all->positions, 1, trace, ranks, &layer->position_null);
  resample (all, trace, ranks, resampled);
  layer->specialisation
      = ms_bootstrap_interval (all->bootstrap, layer->ids.specialisation, resampled);
  ms_interval_clamp (&layer->specialisation, 0, 1);
  return TRUE;
}

/* --- Tables ---------------------------------------------------------------------------------- */

typedef struct
{
  double share;
  gint64 count;
  guint key;
} Owned;

static int
compare_owned (gconstpointer a, gconstpointer b)
{
  const Owned *left = a, *right = b;

  if (left->share != right->share)
    return left->share < right->share ? 1 : -1;
  if (left->count != right->count)
    return left->count < right->count ? 1 : -1;
  return (left->key > right->key) - (left->key < right->key);
}

static void
write_expert (const MsContext *context, const Vocabulary *all, const Layer *layer, guint expert,
              GArray *owned, MsResult *result)
{
  const Owned *ids = (const Owned *) (gpointer) owned->data;
  g_autoptr (GString) text = g_string_new (NULL);
  double mean = 0;
  gint64 n_tokens = 0;

  g_array_sort (owned, compare_owned);
  for (guint i = 0; i < owned->len; i++)
    {
      mean += ids[i].share / owned->len;
      n_tokens += ids[i].count;
    }
  for (guint i = 0; i < MIN (owned->len, all->top); i++)
    {
      gint32 id = all->ids.keys[ids[i].key];
      g_autofree char *piece = ms_trace_piece (context->trace, id);

      ms_table_add_row (result->tables[2], MS_INT (layer->block), MS_INT (expert), MS_INT (i + 1),
                        MS_INT (id), MS_TEXT (piece), MS_INT (ids[i].count),
                        MS_REAL (ids[i].share));
      if (piece != NULL)
        g_string_append_printf (text, "%s%s", i > 0 ? " " : "", piece);
      else
        g_string_append_printf (text, "%s%d", i > 0 ? " " : "", id);
    }
  ms_table_add_row (result->tables[1], MS_INT (layer->block), MS_INT (expert), MS_INT (owned->len),
                    MS_REAL (owned->len > 0 ? mean : NAN), MS_INT (n_tokens), MS_TEXT (text->str));
}

static void
put_dependence (const Layer *layer, const char *key, const Measures *own, const Measures *null,
                MsTable *table)
{
  ms_table_add_row (table, MS_INT (layer->block), MS_TEXT (key), MS_INT ((gint64) own->n_frequent),
                    MS_REAL (own->deviation), MS_REAL (null->deviation), MS_REAL (own->information),
                    MS_REAL (null->information),
                    MS_REAL (own->entropy > 0 ? own->information / own->entropy : NAN),
                    MS_REAL (own->entropy > 0 ? null->information / own->entropy : NAN));
}

static void
write_layer (const MsContext *context, const Vocabulary *all, const Layer *layer, MsResult *result)
{
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  const MsInterval *value = &layer->specialisation;

  for (guint e = 0; e < layer->n_experts; e++)
    g_ptr_array_add (owned, g_array_new (FALSE, FALSE, sizeof (Owned)));
  for (guint key = 0; key < all->ids.n_keys; key++)
    {
      Owned id = { layer->shares[key], layer->counts[key], key };

      if (!isnan (id.share))
        g_array_append_val ((GArray *) g_ptr_array_index (owned, layer->owners[key]), id);
    }
  for (guint e = 0; e < layer->n_experts; e++)
    write_expert (context, all, layer, e, g_ptr_array_index (owned, e), result);
  ms_table_add_row (result->tables[0], MS_INT (layer->block), MS_INT ((gint64) layer->ids.n_ids),
                    MS_INT ((gint64) layer->ids.n_tokens), MS_CORRECTED (*value),
                    MS_REAL (layer->id_null.specialisation), MS_REAL (layer->ids.weighted),
                    MS_REAL (layer->id_null.weighted));
  put_dependence (layer, "token id", &layer->ids, &layer->id_null, result->tables[3]);
  put_dependence (layer, "position", &layer->positions, &layer->position_null, result->tables[3]);
}

static void
summarise (const MsContext *context, const Vocabulary *all, MsResult *result)
{
  const Layer *most = &all->layers[0];
  double mean = 0, uncorrected = 0, null = 0, ids = 0, positions = 0;
  guint which = ms_values_choice (context->values, "id");

  for (guint i = 0; i < all->n_layers; i++)
    {
      const Layer *layer = &all->layers[i];

      mean += layer->specialisation.corrected / all->n_layers;
      uncorrected += layer->ids.specialisation / all->n_layers;
      null += layer->id_null.specialisation / all->n_layers;
      ids += (layer->ids.information - layer->id_null.information) / layer->ids.entropy
             / all->n_layers;
      positions += (layer->positions.information - layer->position_null.information)
                   / layer->positions.entropy / all->n_layers;
      if (layer->ids.specialisation - layer->id_null.specialisation
          > most->ids.specialisation - most->id_null.specialisation)
        most = layer;
      if (layer->ids.information > 2 * layer->id_null.information)
        ms_result_find (result, layer->ids.information / layer->id_null.information,
                        ms_place (layer->block, -1, NULL, NULL),
                        "layer %d: the token id tells %.2g nats about the expert, %.2g by chance",
                        (int) layer->block, layer->ids.information, layer->id_null.information);
    }
  if (isnan (mean))
    result->summary = g_strdup_printf ("In some layer no token id is seen %u times with an expert: "
                                       "choose a smaller --least.",
                                       all->least);
  else
    result->summary = g_strdup_printf (
        "A token id goes to its favourite expert in %.1f %% of its occurrences (mean over ids and "
        "layers; without correction for few occurrences %.1f %%, and %.1f %% when ids are "
        "shuffled), "
        "most above chance in layer %d (%.1f %%).  Beyond "
        "chance the id tells %.1f %% of the choice of expert, the position %.1f %%.",
        100 * mean, 100 * uncorrected, 100 * null, (int) most->block,
        100 * most->specialisation.corrected, 100 * ids, 100 * positions);
  ms_result_note (result, "Ids are %s; %s; ids seen at least %u times count.", id_names[which],
                  all->ranks == 0 ? "only the first expert counts" : "all chosen experts count",
                  all->least);
  ms_result_note (
      result,
      "Ids of equal shares belong to the expert %s.  Without a least frequency ids seen "
      "once give 1: compare with the shuffled value.",
      all->ties == TIES_FIRST_MET ? "met first (OLMoE)" : "of lowest number (moe-lrc)");
  ms_result_note (
      result,
      "Few occurrences raise the share of the favourite expert, and drawing documents again "
      "repeats ids and raises it once more: the corrected value is less this bias, the "
      "intervals are about it; at most %d resamples.",
      MOST_RESAMPLES);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  MsContext own = *context;
  Vocabulary all = { .ranks = ms_values_choice (context->values, "ranks"),
                     .ties = ms_values_choice (context->values, "ties"),
                     .least = (guint) ms_values_int (context->values, "least"),
                     .frequent = (guint) ms_values_int (context->values, "frequent"),
                     .top = (guint) ms_values_int (context->values, "top"),
                     .n_shuffles = (guint) ms_values_int (context->values, "permutations") };
  gboolean fine;

  own.sampling.resamples = MIN (context->sampling.resamples, MOST_RESAMPLES);
  all.bootstrap = ms_bootstrap_new_of_trace (&own);
  fine = make_streams (context, &all, error);
  if (fine)
    {
      all.n_layers = ms_trace_n_layers (context->trace);
      all.layers = g_new0 (Layer, all.n_layers);
      fine = ms_context_tasks (context, all.n_layers, do_layer, &all, 0, 1, error);
    }
  for (guint i = 0; fine && i < all.n_layers; i++)
    write_layer (context, &all, &all.layers[i], result);
  if (fine)
    summarise (context, &all, result);
  clear_vocabulary (&all);
  return fine;
}

static const MsParam params[] = {
  { .name = "id",
    .title = "Token",
    .help = "Which token of a position is meant: the one read, the true next one, or the model's "
            "prediction (needs --predict).",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 2,
    .usual = ID_INPUT,
    .choices = id_choices },
  { .name = "ranks",
    .title = "Choices counted",
    .help = "Only the first choice of each token, or all of its experts.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 1,
    .usual = 0,
    .choices = rank_choices },
  { .name = "least",
    .title = "Least occurrences",
    .help = "Rarer ids are left out; published: 1 (OLMoE), 10 (its table by expert), 20 (moe-lrc).",
    .unit = "tokens",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 1e9,
    .usual = 10,
    .ui_least = 1,
    .ui_most = 100 },
  { .name = "ties",
    .title = "Ties",
    .help = "To which of equally frequent experts an id belongs.",
    .type = MS_PARAM_CHOICE,
    .least = 0,
    .most = 1,
    .usual = TIES_FIRST_MET,
    .choices = tie_choices },
  { .name = "frequent",
    .title = "Frequent above",
    .help = "Ids and positions with more occurrences enter the context-independent measure.",
    .unit = "tokens",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 1e9,
    .usual = 128,
    .ui_least = 1,
    .ui_most = 1000 },
  { .name = "top",
    .title = "Ids listed",
    .help = "Ids listed for each expert, those of the largest share.",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 100000,
    .usual = 10,
    .ui_least = 1,
    .ui_most = 50 },
  { .name = "permutations",
    .title = "Shuffles",
    .help = "How often ids are dealt at random to the tokens for the chance values.",
    .type = MS_PARAM_INT,
    .least = 0,
    .most = 1000,
    .usual = 5,
    .ui_least = 0,
    .ui_most = 20 },
  { 0 },
};

static const MsColumn layer_columns[] = {
  MS_LAYER_COLUMN,
  { "n_ids", "Ids", "ids", MS_COLUMN_INT, "Distinct token ids that are frequent enough." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "Their occurrences with an expert." },
  { "specialisation", "Specialisation", NULL, MS_COLUMN_REAL,
    "Unweighted mean over ids of the share of the id's most frequent expert." },
  MS_CORRECTED_COLUMN ("", NULL),
  MS_INTERVAL_COLUMNS ("", NULL),
  { "shuffled", "By chance", NULL, MS_COLUMN_REAL, "The same with ids dealt at random to tokens." },
  { "weighted", "Weighted", NULL, MS_COLUMN_REAL, "Ids weighted by their occurrences." },
  { "weighted_shuffled", "Weighted, by chance", NULL, MS_COLUMN_REAL,
    "The same with ids dealt at random to tokens." },
  { 0 },
};

static const MsColumn expert_columns[] = {
  MS_LAYER_COLUMN,
  MS_EXPERT_COLUMN,
  { "n_ids", "Ids owned", "ids", MS_COLUMN_INT, "Ids whose most frequent expert it is." },
  { "share", "Mean share", NULL, MS_COLUMN_REAL, "Mean over its ids; undefined without any." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "Occurrences of its ids." },
  { "ids", "Ids of largest share", NULL, MS_COLUMN_TEXT, "Their texts, or numbers." },
  { 0 },
};

static const MsColumn id_columns[] = {
  MS_LAYER_COLUMN,
  MS_EXPERT_COLUMN,
  { "place", "Place", NULL, MS_COLUMN_INT, "1 = the id of largest share." },
  { "id", "Token id", NULL, MS_COLUMN_INT, "In the model's vocabulary." },
  { "text", "Text", NULL, MS_COLUMN_TEXT, "Of the token; undefined without a vocabulary." },
  { "count", "Occurrences", "tokens", MS_COLUMN_INT, "Of the id, with an expert." },
  { "share", "Share", NULL, MS_COLUMN_REAL, "Of its occurrences that go to the expert." },
  { 0 },
};

static const MsColumn dependence_columns[] = {
  MS_LAYER_COLUMN,
  { "key", "Key", NULL, MS_COLUMN_TEXT, "token id, or position in the document." },
  { "n_frequent", "Frequent keys", NULL, MS_COLUMN_INT, "Keys that enter the deviation." },
  { "deviation", "Context-independent", NULL, MS_COLUMN_REAL,
    "Mean over frequent keys of the standard deviation over experts of N_xe / N_x." },
  { "deviation_null", "By chance", NULL, MS_COLUMN_REAL, "With keys dealt at random to tokens." },
  { "information", "Mutual information", "nats", MS_COLUMN_REAL,
    "Between key and expert, over all keys." },
  { "information_null", "By chance", "nats", MS_COLUMN_REAL,
    "With keys dealt at random to tokens: what the finite sample alone yields." },
  { "explained", "Share of the choice", NULL, MS_COLUMN_REAL,
    "Mutual information / entropy of the experts." },
  { "explained_null", "By chance", NULL, MS_COLUMN_REAL, "Likewise." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "layers", "Vocabulary specialisation by layer", layer_columns },
  { "experts", "Ids of every expert", expert_columns },
  { "ids", "The ids of largest share", id_columns },
  { "dependence", "Dependence on token id and position", dependence_columns },
  { 0 },
};

static const MsPlotDef plots[] = {
  { .name = "layers",
    .title = "Vocabulary specialisation by layer",
    .table = "layers",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "corrected",
    .y_title = "Specialisation, corrected",
    .low = "low",
    .high = "high",
    .reference = "shuffled" },
  { .name = "experts",
    .title = "Vocabulary specialisation of every expert",
    .table = "experts",
    .mark = MS_MARK_HEATMAP,
    .x = "expert",
    .y = "layer",
    .value = "share",
    .value_title = "Mean share of its ids" },
  { .name = "dependence",
    .title = "Share of the choice of expert told by token id and position",
    .table = "dependence",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "explained",
    .series = "key",
    .y_title = "Choice explained (share)",
    .reference = "explained_null" },
  { .name = "deviation",
    .title = "Context-independent specialisation",
    .table = "dependence",
    .mark = MS_MARK_LINE,
    .x = "layer",
    .y = "deviation",
    .series = "key",
    .reference = "deviation_null" },
  { 0 },
};

const MsAnalysis ms_analysis_vocabulary = {
  .name = "vocabulary",
  .title = "Vocabulary Specialisation",
  .help = "How far does the token itself decide the expert, whatever its context?",
  .formula = "specialisation = mean over ids x of max_e N_xe / N_x, N_x = occurrences of x, N_xe = "
             "those whose counted choices contain e.  An id belongs to its most frequent expert.  "
             "Context-independent: mean over ids with more than 128 occurrences of sd_e (N_xe / "
             "N_x).  Mutual information I = H (e) - H (e | x).",
  .cite = "OLMoE, arXiv 2409.02060.  Ownership by lowest number: Not All Models Suit Expert"
          " Offloading, arXiv 2505.16056.  Context independence: OpenMoE.",
  .version = 2,
  .times = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
