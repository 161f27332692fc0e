/* Uncertainty, importance, capacities, other routing rules and placement: cases worked out by hand, and
 * twins that replay plainly (sorting everything, counting again for each assignment, trying all). */
#include "analysis-private.h"
#include "routing-trace.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static MsTrace *trace;
static MsLoaded *loaded;

static void
probabilities (const MsLayerTrace *layer, gint64 t, double *p)
{
  const float *z = layer->logits + (gsize) t * layer->n_experts;
  double largest = -INFINITY, sum = 0;

  for (guint e = 0; e < layer->n_experts; e++)
    largest = MAX (largest, (double) z[e]);
  for (guint e = 0; e < layer->n_experts; e++)
    sum += p[e] = exp ((double) z[e] - largest);
  for (guint e = 0; e < layer->n_experts; e++)
    p[e] /= sum;
}

/* How many experts come before e when sorted by falling p, lower ids first. */
static guint
place_of (const double *p, guint n, guint e)
{
  guint place = 0;

  for (guint x = 0; x < n; x++)
    place += p[x] > p[e] || (p[x] == p[e] && x < e);
  return place;
}

/* The document of a token. */
static guint
document_of (gint64 t)
{
  guint d = 0;

  while (t >= ms_trace_document (trace, d)->first_token + ms_trace_document (trace, d)->n_tokens)
    d++;
  return d;
}

/* --- Uncertainty ----------------------------------------------------------------------------- */

static void
test_uncertainty_hand (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 0"),
                       .n_layers = 1,
                       .n_experts = 2,
                       .k = 1,
                       .probabilities = (const float[]){ 0.5f, 0.5f, 0.75f, 0.25f } };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 2, 0 }, &path);
  g_autoptr (MsResult) result
      = ms_test_run (own, "uncertainty", 0, LIST ("threshold=0.6", "slots=0", "q=2"));
  const MsTable *layers = ms_result_table (result, "layers");
  double h = -(0.75 * log (0.75) + 0.25 * log (0.25)); /* 0.562, below the threshold */

  ms_test_near (ms_test_real (layers, 0, "shannon_nats"), (log (2) + h) / 2);
  ms_test_near (ms_test_real (layers, 0, "normalised"), (log (2) + h) / 2 / log (2));
  ms_test_near (ms_test_real (layers, 0, "perplexity"), (2 + exp (h)) / 2);
  ms_test_near (ms_test_real (layers, 0, "tsallis"), (0.5 + 0.375) / 2); /* 1 - sum of squares */
  ms_test_near (ms_test_real (layers, 0, "max_prob"), 0.625);
  ms_test_near (ms_test_real (layers, 0, "margin_top1_top2"), 0.25);
  ms_test_near (ms_test_real (layers, 0, "uncertain_ratio"), 0.5);
  ms_fixture_remove (path);
}

static void
test_uncertainty_twin (void)
{
  g_autoptr (MsResult) result
      = ms_test_run (trace, "uncertainty", 20, LIST ("threshold=1.4", "slots=2"));
  const MsTable *layers = ms_result_table (result, "layers");

  for (guint l = 0; l < loaded->n_layers; l++)
    {
      const MsLayerTrace *layer = loaded->layers[l];
      guint row = ms_test_row (layers, "layer=%d", loaded->blocks[l]);
      double n = (double) layer->n_tokens, entropy = 0, tsallis = 0, margin = 0;
      guint uncertain[128] = { 0 };
      double all = 0, broadcast = 0;

      for (gint64 t = 0; t < layer->n_tokens; t++)
        {
          const MsDocument *document = ms_trace_document (trace, document_of (t));
          double p[8], powers = 0, gw = 0, first = 0, second = 0;
          guint before = 0;

          probabilities (layer, t, p);
          for (guint e = 0; e < layer->n_experts; e++)
            {
              entropy -= p[e] * log (p[e]);
              gw -= p[e] * log (p[e] + 1e-5);
              powers += pow (p[e], 1.1);
              first = place_of (p, layer->n_experts, e) == 0 ? p[e] : first;
              second = place_of (p, layer->n_experts, e) == 1 ? p[e] : second;
            }
          tsallis += (1 - powers) / 0.1;
          margin += first - second;
          uncertain[t] = gw >= 1.4;
          for (gint64 i = document->first_token; i < t; i++)
            before += uncertain[i];
          all += uncertain[t];
          broadcast += uncertain[t] && before < 2;
        }
      ms_test_near (ms_test_real (layers, row, "shannon_nats"), entropy / n);
      ms_test_near (ms_test_real (layers, row, "tsallis"), tsallis / n);
      ms_test_near (ms_test_real (layers, row, "margin_top1_top2"), margin / n);
      ms_test_near (ms_test_real (layers, row, "uncertain_ratio"), all / n);
      ms_test_near (ms_test_real (layers, row, "broadcast_ratio"), broadcast / n);
    }
}

/* --- Importance ------------------------------------------------------------------------------ */

static void
test_importance_hand (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("01 0-"),
                       .n_layers = 1,
                       .n_experts = 3,
                       .k = 2,
                       .norms = (const float[]){ 2, 3, 4, 0 },
                       .similarity = (const float[]){ 0.5f, 1.5f } };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 2, 0 }, &path);
  g_autoptr (MsResult) result
      = ms_test_run (own, "importance", 0, LIST ("guard=none", "prune=0.4"));
  const MsTable *experts = ms_result_table (result, "experts");
  guint row = ms_test_row (experts, "expert=0");

  /* All gates are 1 / 2: expert 0 has norms 2 and 4, expert 1 has 3, expert 2 none. */
  ms_test_near (ms_test_real (experts, row, "expert_frequency"), 2);
  ms_test_near (ms_test_real (experts, row, "weighted_expert_frequency_sum"), 1);
  ms_test_near (ms_test_real (experts, row, "ean_mean"), 3);
  ms_test_near (ms_test_real (experts, row, "weighted_ean_sum"), 3);
  ms_test_near (ms_test_real (experts, row, "reap"), 1.5);
  /* The second token moved along: 1 - 1.5 counts as 0. */
  ms_test_near (ms_test_real (experts, row, "easy_ep"), 0.5 * 0.5 * 2);
  ms_test_near (ms_test_real (experts, ms_test_row (experts, "expert=1"), "reap"), 1.5);
  row = ms_test_row (experts, "expert=2");
  ms_test_near (ms_test_real (experts, row, "reap"), 0);
  ms_test_near (ms_test_real (experts, row, "prune"), 1); /* one of three */
  ms_test_near (ms_test_real (ms_result_table (result, "layers"), 0, "lost_decisions"), 0);
  ms_fixture_remove (path);
}

/* Three documents: EASY-EP of the longest alone, and how often criteria agree. */
static void
test_importance_easy (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 1 1 2 2"),
                       .n_layers = 1,
                       .n_experts = 3,
                       .k = 1,
                       .norms = (const float[]){ 1, 2, 3, 4, 5 },
                       .similarity = (const float[]){ 0, 0, 0.5f, 0.5f, 0 } };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 1, 2, 2, 0 }, &path);
  g_autoptr (MsResult) all = ms_test_run (own, "importance", 0, LIST ("guard=none"));
  g_autoptr (MsResult) one
      = ms_test_run (own, "importance", 0, LIST ("guard=none", "easy-documents=1"));
  g_autoptr (MsResult) two
      = ms_test_run (own, "importance", 0, LIST ("guard=none", "easy-documents=2"));
  const MsTable *experts = ms_result_table (all, "experts");
  const MsTable *ranks = ms_result_table (all, "correlations");

  ms_test_near (ms_test_real (experts, 0, "easy_ep"), 1);
  ms_test_near (ms_test_real (experts, 1, "easy_ep"), 2 + 1.5);
  ms_test_near (ms_test_real (experts, 2, "easy_ep"), 2 + 5);
  ms_test_near (ms_test_real (experts, 2, "easy_ep_mixed"), NAN);
  /* EAN 1 5 9, REAP 1 2.5 4.5, counts 1 2 2. */
  ms_test_near (ms_test_real (ranks, ms_test_row (ranks, "a=reap b=ean"), "spearman"), 1);
  ms_test_near (ms_test_real (ranks, ms_test_row (ranks, "a=reap b=frequency"), "spearman"),
                1.5 / sqrt (2 * 1.5));
  ms_test_near (ms_test_real (ranks, ms_test_row (ranks, "a=ean b=easy-ep-mixed"), "spearman"),
                NAN);
  /* Of two as long the earlier. */
  experts = ms_result_table (one, "experts");
  ms_test_near (ms_test_real (experts, 0, "easy_ep"), 0);
  ms_test_near (ms_test_real (experts, 1, "easy_ep"), 3.5);
  ms_test_near (ms_test_real (experts, 2, "easy_ep"), 0);
  experts = ms_result_table (two, "experts");
  ms_test_near (ms_test_real (experts, 2, "easy_ep"), 7);
  ms_fixture_remove (path);
}

/* EASY-EP of an expert in a group of documents. */
static double
easy_of (const MsLayerTrace *layer, guint expert, const char *domain)
{
  double sum = 0;

  for (gint64 t = 0; t < layer->n_tokens; t++)
    {
      int rank = ms_loaded_rank (layer, t, expert);
      gsize at = (gsize) t * layer->k + (gsize) MAX (rank, 0);

      if (rank >= 0 && g_strcmp0 (ms_trace_document (trace, document_of (t))->domain, domain) == 0)
        sum += MAX (1 - (double) layer->similarity[t], 0) * (double) layer->weights[at]
               * (double) layer->norms[at];
    }
  return sum;
}

static void
test_importance_mixed (void)
{
  g_autoptr (MsResult) result = ms_test_run (trace, "importance", 0, LIST ("guard=domain"));
  g_autoptr (MsGroups) groups = ms_trace_group (trace, "domain", NULL);
  const MsTable *experts = ms_result_table (result, "experts");

  for (guint l = 0; l < loaded->n_layers; l++)
    for (guint e = 0; e < loaded->layers[l]->n_experts; e++)
      {
        guint row = ms_test_row (experts, "layer=%d expert=%u", loaded->blocks[l], e);
        double mixed = 0;

        for (guint g = 0; g < groups->n; g++)
          {
            double all = 0;

            for (guint x = 0; x < loaded->layers[l]->n_experts; x++)
              all += easy_of (loaded->layers[l], x, groups->names[g]);
            mixed += easy_of (loaded->layers[l], e, groups->names[g]) / all;
          }
        ms_test_near (ms_test_real (experts, row, "easy_ep_mixed"), mixed);
      }
}

static double
logit_distance (const MsLayerTrace *layer, guint a, guint b)
{
  double product = 0, aa = 0, bb = 0;

  for (gint64 t = 0; t < layer->n_tokens; t++)
    {
      double x = (double) layer->logits[(gsize) t * layer->n_experts + a];
      double y = (double) layer->logits[(gsize) t * layer->n_experts + b];

      product += x * y;
      aa += x * x;
      bb += y * y;
    }
  return 1 - product / sqrt (aa * bb);
}

static void
test_importance_twin (void)
{
  static const char *const gates[] = { "gate=recorded", "gate=softmax", "gate=renormalised" };

  for (guint gate = 0; gate < G_N_ELEMENTS (gates); gate++)
    {
      g_autoptr (MsResult) result = ms_test_run (trace, "importance", 20, LIST (gates[gate]));
      const MsTable *experts = ms_result_table (result, "experts");
      const MsTable *similarity = ms_result_table (result, "similarity");

      for (guint l = 0; l < loaded->n_layers; l++)
        for (guint e = 0; e < loaded->layers[l]->n_experts; e++)
          {
            const MsLayerTrace *layer = loaded->layers[l];
            guint row = ms_test_row (experts, "layer=%d expert=%u", loaded->blocks[l], e);
            double count = 0, mass = 0, norms = 0, weighted = 0, easy = 0, peak = 0;

            for (gint64 t = 0; t < layer->n_tokens; t++)
              {
                int rank = ms_loaded_rank (layer, t, e);
                gsize at = (gsize) t * layer->k + (gsize) MAX (rank, 0);
                double p[8], chosen = 0, g, norm;

                if (rank < 0)
                  continue;
                probabilities (layer, t, p);
                for (guint x = 0; x < layer->n_experts; x++)
                  chosen += ms_loaded_rank (layer, t, x) >= 0 ? p[x] : 0;
                g = gate == 0 ? (double) layer->weights[at] : gate == 1 ? p[e] : p[e] / chosen;
                norm = (double) layer->norms[at];
                count++;
                mass += g;
                norms += norm;
                weighted += g * norm;
                easy += MAX (1 - (double) layer->similarity[t], 0) * g * norm;
                peak = MAX (peak, (double) layer->peaks[at]);
              }
            ms_test_near (ms_test_real (experts, row, "expert_frequency"), count);
            ms_test_near (ms_test_real (experts, row, "weighted_expert_frequency_sum"), mass);
            ms_test_near (ms_test_real (experts, row, "ean_sum"), norms);
            ms_test_near (ms_test_real (experts, row, "weighted_ean_sum"), weighted);
            ms_test_near (ms_test_real (experts, row, "reap"), count > 0 ? weighted / count : 0);
            ms_test_near (ms_test_real (experts, row, "easy_ep"), easy);
            ms_test_near (ms_test_real (experts, row, "max_activation"), peak);
            row = ms_test_row (similarity, "layer=%d expert=%u other=0", loaded->blocks[l], e);
            ms_test_near (ms_test_real (similarity, row, "distance"), logit_distance (layer, e, 0));
          }
    }
}

/* --- Capacity -------------------------------------------------------------------------------- */

static void
test_capacity_hand (void)
{
  char *path = NULL;
  MsHandTrace one = { .layers = LIST ("0 0 0 1"), .n_layers = 1, .n_experts = 2, .k = 1 };
  MsHandTrace two = { .layers = LIST ("01 01 10"), .n_layers = 1, .n_experts = 2, .k = 2 };
  MsHandTrace tie = { .layers = LIST ("0 0"),
                      .n_layers = 1,
                      .n_experts = 2,
                      .k = 1,
                      .probabilities = (const float[]){ 0.75f, 0.25f, 0.75f, 0.25f } };
  MsTrace *own = ms_hand_trace (&one, (guint[]){ 4, 0 }, &path);
  MsResult *result = ms_test_run (own, "capacity", 0, LIST ("rule=torchscale", "factors=0.5"));
  const MsTable *table = ms_result_table (result, "sweep");

  /* int (0.5 ceil (4 / 2)) = 1 slot: two of three tokens of expert 0 go. */
  ms_test_near (ms_test_real (table, 0, "capacity"), 1);
  ms_test_near (ms_test_real (table, 0, "dropped_assignment_rate"), 0.5);
  ms_test_near (ms_test_real (table, 0, "token_left_behind_rate"), 0.5);
  ms_test_near (ms_test_real (table, 0, "expert_usage"), 1);
  ms_result_free (result);
  ms_trace_unref (own);
  ms_fixture_remove (g_steal_pointer (&path));

  /* Two slots; served in the order 0 0 1, then 1 1 0: the last two find them full. */
  own = ms_hand_trace (&two, (guint[]){ 3, 0 }, &path);
  result = ms_test_run (own, "capacity", 0, LIST ("rule=fixed", "factors=2"));
  table = ms_result_table (result, "sweep");
  ms_test_near (ms_test_real (table, 0, "dropped_assignment_rate"), 2.0 / 6);
  ms_test_near (ms_test_real (table, 0, "token_left_behind_rate"), 0);
  ms_test_near (ms_test_real (table, 0, "token_any_drop_rate"), 2.0 / 3);
  ms_test_near (ms_test_real (table, 0, "router_confidence"), 0.5);
  table = ms_result_table (result, "ranks");
  ms_test_near (ms_test_real (table, ms_test_row (table, "rank=1"), "dropped_assignment_rate"), 0);
  ms_test_near (ms_test_real (table, ms_test_row (table, "rank=2"), "dropped_assignment_rate"),
                2.0 / 3);
  ms_result_free (result);
  ms_trace_unref (own);
  ms_fixture_remove (g_steal_pointer (&path));

  /* Equal priority: who comes first in the batch keeps the slot, also in the reversed batch. */
  own = ms_hand_trace (&tie, (guint[]){ 1, 1, 0 }, &path);
  result = ms_test_run (own, "capacity", 0,
                        LIST ("rule=fixed", "factors=1", "order=batch-prioritised", "batch=2"));
  table = ms_result_table (result, "documents");
  ms_test_near (ms_test_real (table, 0, "dropped_in_batch"), 0);
  ms_test_near (ms_test_real (table, 0, "dropped_in_reversed_batch"), 1);
  ms_test_near (ms_test_real (table, 1, "tokens_changed_alone_vs_batch"), 1);
  ms_test_near (ms_test_real (table, 1, "tokens_changed_by_order"), 1);
  ms_result_free (result);
  ms_trace_unref (own);
  ms_fixture_remove (path);
}

/* Whether the assignment (t, r) is dropped when the documents (n) share the capacity: counts all that are
 * served before it. */
static gboolean
is_dropped (const MsLayerTrace *layer, const guint *documents, guint n, gboolean prioritised,
            double capacity, gint64 t, guint r)
{
  guint expert = layer->experts[(gsize) t * layer->k + r], own = 0, slot = 0;
  double p[8], mine = 0;

  while (documents[own] != document_of (t))
    own++;
  probabilities (layer, t, p);
  for (guint e = 0; e < layer->n_experts; e++)
    mine = MAX (mine, p[e]);
  for (guint i = 0; i < n; i++)
    {
      const MsDocument *document = ms_trace_document (trace, documents[i]);

      for (gint64 u = document->first_token; u < document->first_token + document->n_tokens; u++)
        {
          int rank = ms_loaded_rank (layer, u, expert);
          gboolean before = i < own || (i == own && u < t);
          double theirs = 0;

          if (rank < 0)
            continue;
          probabilities (layer, u, p);
          for (guint e = 0; e < layer->n_experts && prioritised; e++)
            theirs = MAX (theirs, p[e]);
          if (prioritised && theirs != mine)
            before = theirs > mine;
          slot += (guint) rank < r || ((guint) rank == r && before);
        }
    }
  return slot >= capacity;
}

typedef struct
{
  double assignments, alone, batch, reversed, changed, tokens_changed, by_order;
} Drops;

/* metrics.md a, flaxformer's and Tutel's formula for a number of tokens. */
static double
capacity_of (const MsLayerTrace *layer, gboolean tutel, double factor, gint64 tokens)
{
  double share = (double) tokens / layer->n_experts;

  return tutel ? layer->k * floor (factor * ceil (share)) : MAX (rint (factor * share), 4);
}

static void
check_capacity (const MsResult *result, gboolean tutel, gboolean prioritised, double factor)
{
  static const guint batch = 3;
  const MsTable *sweep = ms_result_table (result, "sweep");
  const MsTable *table = ms_result_table (result, "documents");
  guint n_documents = ms_trace_n_documents (trace);
  Drops drops[8] = { 0 };

  for (guint l = 0; l < loaded->n_layers; l++)
    {
      const MsLayerTrace *layer = loaded->layers[l];
      guint row = ms_test_row (sweep, "layer=%d capacity_factor=%g", loaded->blocks[l], factor);
      double assignments = 0, dropped = 0, behind = 0, any = 0, slots = 0, weight = 0;

      for (gint64 t = 0; t < layer->n_tokens; t++)
        {
          guint d = document_of (t), first = d - d % batch, n = MIN (batch, n_documents - first);
          guint forward[3], backward[3], size = ms_loaded_size (layer, t), lost = 0;
          gint64 tokens = 0, own = ms_trace_document (trace, d)->n_tokens;
          gboolean changed = FALSE, by_order = FALSE;
          double capacity;

          for (guint i = 0; i < n; i++)
            {
              forward[i] = first + i;
              backward[i] = first + n - 1 - i;
              tokens += ms_trace_document (trace, first + i)->n_tokens;
            }
          capacity = capacity_of (layer, tutel, factor, tokens);
          if (t == ms_trace_document (trace, first)->first_token)
            slots += capacity * layer->n_experts;
          for (guint r = 0; r < size; r++)
            {
              gboolean out = is_dropped (layer, forward, n, prioritised, capacity, t, r);
              gboolean reversed = is_dropped (layer, backward, n, prioritised, capacity, t, r);
              gboolean alone = is_dropped (layer, &d, 1, prioritised,
                                           capacity_of (layer, tutel, factor, own), t, r);

              lost += out;
              weight += out ? 0 : (double) layer->weights[(gsize) t * layer->k + r];
              drops[d].alone += alone;
              drops[d].batch += out;
              drops[d].reversed += reversed;
              drops[d].changed += alone != out;
              changed = changed || alone != out;
              by_order = by_order || reversed != out;
            }
          assignments += size;
          drops[d].assignments += size;
          drops[d].tokens_changed += changed;
          drops[d].by_order += by_order;
          dropped += lost;
          behind += size > 0 && lost == size;
          any += lost > 0;
        }
      ms_test_near (ms_test_real (sweep, row, "dropped_assignment_rate"), dropped / assignments);
      ms_test_near (ms_test_real (sweep, row, "token_left_behind_rate"),
                    behind / (double) layer->n_tokens);
      ms_test_near (ms_test_real (sweep, row, "token_any_drop_rate"),
                    any / (double) layer->n_tokens);
      ms_test_near (ms_test_real (sweep, row, "expert_usage"), (assignments - dropped) / slots);
      ms_test_near (ms_test_real (sweep, row, "router_confidence"),
                    weight / (assignments - dropped));
    }
  for (guint d = 0; d < n_documents; d++)
    {
      guint row = ms_test_row (table, "document=d%u capacity_factor=%g", d, factor);
      double decisions = (double) ms_trace_document (trace, d)->n_tokens * loaded->n_layers;

      ms_test_near (ms_test_real (table, row, "dropped_alone"),
                    drops[d].alone / drops[d].assignments);
      ms_test_near (ms_test_real (table, row, "dropped_in_batch"),
                    drops[d].batch / drops[d].assignments);
      ms_test_near (ms_test_real (table, row, "dropped_in_reversed_batch"),
                    drops[d].reversed / drops[d].assignments);
      ms_test_near (ms_test_real (table, row, "assignments_changed_alone_vs_batch"),
                    drops[d].changed / drops[d].assignments);
      ms_test_near (ms_test_real (table, row, "tokens_changed_alone_vs_batch"),
                    drops[d].tokens_changed / decisions);
      ms_test_near (ms_test_real (table, row, "tokens_changed_by_order"),
                    drops[d].by_order / decisions);
    }
}

static void
test_capacity_twin (void)
{
  for (guint variant = 0; variant < 4; variant++)
    {
      gboolean tutel = variant & 1, prioritised = variant & 2;
      g_autoptr (MsResult) result = ms_test_run (
          trace, "capacity", 20,
          LIST (tutel ? "rule=tutel" : "rule=flaxformer", "factors=0.5,1,1.25", "batch=3",
                prioritised ? "order=batch-prioritised" : "order=rank-major"));

      check_capacity (result, tutel, prioritised, 0.5);
      check_capacity (result, tutel, prioritised, 1.25);
    }
}

/* The second half of the first document is dropped, nothing of the second one: resamples see either. */
static void
test_capacity_positions (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 0 0 1"), .n_layers = 1, .n_experts = 2, .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 2, 2, 0 }, &path);
  g_autoptr (MsResult) result
      = ms_test_run (own, "capacity", 100, LIST ("rule=fixed", "factors=1"));
  const MsTable *table = ms_result_table (result, "positions");
  guint first = ms_test_row (table, "position=0.025"), half = ms_test_row (table, "position=0.525");

  ms_test_near (ms_test_real (table, first, "dropped_assignment_rate"), 0);
  ms_test_near (ms_test_real (table, first, "high"), 0);
  ms_test_near (ms_test_real (table, half, "dropped_assignment_rate"), 0.5);
  ms_test_near (ms_test_real (table, half, "low"), 0);
  ms_test_near (ms_test_real (table, half, "high"), 1);
  ms_test_near (ms_test_real (table, first + 1, "dropped_assignment_rate"), NAN);
  ms_fixture_remove (path);
}

static void
test_repair_hand (void)
{
  char *path = NULL;
  const float scores[] = { 0.7f, 0.1f, 0.1f,  0.1f,  0.6f, 0.1f, 0.2f, 0.1f,
                           0.5f, 0.1f, 0.15f, 0.25f, 0.5f, 0.3f, 0.1f, 0.1f };
  MsHandTrace hand = {
    .layers = LIST ("0 0 0 0"), .n_layers = 1, .n_experts = 4, .k = 1, .probabilities = scores
  };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 4, 0 }, &path);
  g_autoptr (MsResult) result
      = ms_test_run (own, "capacity", 0, LIST ("rule=fixed", "factors=1", "devices=2"));
  const MsTable *table = ms_result_table (result, "repair");

  /* One slot each; the first two tokens and experts 0 and 1 live on device 0.  Tokens 1, 2 and 3 are sent
   * to experts 1, 3 and 2.  Of the free slots of 1, 2 and 3, token 3 takes 1 and token 1 takes 2; token
   * 2's next is 3, where it is already, and token 0 finds 1 taken. */
  ms_test_near (ms_test_real (table, 0, "dropped"), 3);
  ms_test_near (ms_test_real (table, 0, "recovered"), 3);
  ms_test_near (ms_test_real (table, 0, "free_slots"), 3);
  ms_test_near (ms_test_real (table, 0, "filled"), 2);
  ms_test_near (ms_test_real (table, 0, "filled_rate"), 2.0 / 3);
  ms_test_near (ms_test_real (table, 0, "left_behind_before"), 0.75);
  ms_test_near (ms_test_real (table, 0, "left_behind_after"), 0);
  ms_test_near (ms_test_real (table, 0, "cross_device_before"), 0);
  ms_test_near (ms_test_real (table, 0, "cross_device_after"), 2.0 / 6);
  g_clear_pointer (&result, ms_result_free);

  /* With a device for each expert the dropped go to its one; with room for all nothing is dropped. */
  result = ms_test_run (own, "capacity", 0, LIST ("rule=fixed", "factors=1,4", "devices=4"));
  table = ms_result_table (result, "repair");
  ms_test_near (ms_test_real (table, ms_test_row (table, "capacity_factor=1"), "recovered"), 3);
  ms_test_near (ms_test_real (table, ms_test_row (table, "capacity_factor=4"), "recovered_rate"),
                NAN);
  ms_fixture_remove (path);
}

/* Whether an expert is among a token's choice or what it was sent to. */
static gboolean
has_expert (const MsLayerTrace *layer, gint64 t, const int *sent, guint expert)
{
  gboolean has = ms_loaded_rank (layer, t, expert) >= 0;

  for (guint r = 0; r < layer->k; r++)
    has = has || sent[r] == (int) expert;
  return has;
}

/* The expert of from..to-1 with the largest probability that the token has not, -1 = none. */
static int
best_new (const MsLayerTrace *layer, gint64 t, const int *sent, guint device, guint n_devices)
{
  double p[8];
  int best = -1;

  probabilities (layer, t, p);
  for (guint e = layer->n_experts; e-- > 0;)
    if ((n_devices == 0 || e * n_devices / layer->n_experts == device)
        && !has_expert (layer, t, sent, e) && (best < 0 || p[e] >= p[best]))
      best = (int) e;
  return best;
}

static void
test_repair_twin (void)
{
  static const guint n_devices = 2;
  g_autoptr (MsResult) result = ms_test_run (
      trace, "capacity", 0, LIST ("rule=flaxformer", "factors=0.5,1.25", "batch=0", "devices=2"));
  const MsTable *table = ms_result_table (result, "repair");
  guint documents[8];

  for (guint d = 0; d < 8; d++)
    documents[d] = d;
  for (guint i = 0; i < 2; i++)
    for (guint l = 0; l < loaded->n_layers; l++)
      {
        const MsLayerTrace *layer = loaded->layers[l];
        double factor = i == 0 ? 0.5 : 1.25, p[8];
        double capacity = capacity_of (layer, FALSE, factor, layer->n_tokens);
        double room[8], dropped = 0, recovered = 0, filled = 0, n_free = 0, after = 0;
        guint row = ms_test_row (table, "layer=%d capacity_factor=%g", loaded->blocks[l], factor);
        g_autofree int *sent = g_new (int, layer->n_tokens * layer->k);
        g_autofree double *wish = g_new (double, layer->n_tokens);
        g_autofree gboolean *served = g_new0 (gboolean, layer->n_tokens);

        for (guint e = 0; e < layer->n_experts; e++)
          room[e] = capacity;
        for (gint64 t = 0; t < layer->n_tokens; t++)
          {
            guint home = (guint) (t * n_devices / layer->n_tokens);
            int *own = sent + t * layer->k, none[3] = { -1, -1, -1 };
            int next = ms_loaded_size (layer, t) > 0 ? best_new (layer, t, none, 0, 0) : -1;

            for (guint r = 0; r < layer->k; r++)
              own[r] = -1;
            for (guint r = 0; r < ms_loaded_size (layer, t); r++)
              {
                if (!is_dropped (layer, documents, 8, FALSE, capacity, t, r))
                  {
                    room[layer->experts[t * layer->k + r]]--;
                    served[t] = TRUE;
                    continue;
                  }
                dropped++;
                own[r] = best_new (layer, t, own, home, n_devices);
                recovered += own[r] >= 0;
                served[t] = served[t] || own[r] >= 0;
              }
            probabilities (layer, t, p);
            wish[t] = next >= 0 && !has_expert (layer, t, own, (guint) next) ? p[next] : -1;
          }
        for (guint e = 0; e < layer->n_experts; e++)
          n_free += room[e];
        for (;;)
          {
            gint64 best = -1;
            int none[3] = { -1, -1, -1 };
            guint next;

            for (gint64 t = 0; t < layer->n_tokens; t++)
              if (wish[t] >= 0 && (best < 0 || wish[t] > wish[best]))
                best = t;
            if (best < 0)
              break;
            next = (guint) best_new (layer, best, none, 0, 0);
            wish[best] = -1;
            if (room[next] <= 0)
              continue;
            room[next]--;
            filled++;
            served[best] = TRUE;
          }
        for (gint64 t = 0; t < layer->n_tokens; t++)
          after += ms_loaded_size (layer, t) > 0 && !served[t];
        ms_test_near (ms_test_real (table, row, "dropped"), dropped);
        ms_test_near (ms_test_real (table, row, "recovered"), recovered);
        ms_test_near (ms_test_real (table, row, "free_slots"), n_free);
        ms_test_near (ms_test_real (table, row, "filled"), filled);
        ms_test_near (ms_test_real (table, row, "left_behind_after"),
                      after / (double) layer->n_tokens);
      }
}

/* --- Other rules ----------------------------------------------------------------------------- */

static void
test_what_if_hand (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 1 -"),
                       .n_layers = 1,
                       .n_experts = 3,
                       .k = 1,
                       .probabilities = (const float[]){ 0.5f, 0.25f, 0.25f, 0.25f, 0.5f, 0.25f,
                                                         0.25f, 0.25f, 0.5f } };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 3, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (
      own, "what-if", 0, LIST ("top-k=2", "top-p=0.4,0.5", "skip=0.5", "choice-factor=1"));
  const MsTable *rules = ms_result_table (result, "rules");
  const MsTable *choice = ms_result_table (result, "expert_choice");
  guint row = ms_test_row (rules, "rule=top-k");

  ms_test_near (ms_test_real (rules, row, "kept_mass"), 0.75);
  ms_test_near (ms_test_real (rules, row, "set_change_rate"), 1);
  /* The last token chose nothing, so there is nothing to find again. */
  ms_test_near (ms_test_real (rules, row, "recall"), 1);
  /* Equal probabilities go to the lower id: loads 0 1, 1 0, 2 0. */
  ms_test_near (ms_test_real (rules, row, "max_vio"), 3 / 2.0 - 1);
  /* A sum of 0.5 exceeds 0.4, but not 0.5. */
  row = ms_test_row (rules, "rule=top-p value=0.4");
  ms_test_near (ms_test_real (rules, row, "experts_per_token"), 1);
  row = ms_test_row (rules, "rule=top-p value=0.5");
  ms_test_near (ms_test_real (rules, row, "experts_per_token"), 2);
  /* Weights are 1: nothing is skipped, and the two tokens that chose keep all. */
  row = ms_test_row (rules, "rule=skip");
  ms_test_near (ms_test_real (rules, row, "experts_per_token"), 2.0 / 3);
  ms_test_near (ms_test_real (rules, row, "tokens_without"), 1.0 / 3);
  ms_test_near (ms_test_real (rules, row, "kept_mass"), 1);
  /* Each expert takes the token that prefers it. */
  ms_test_near (ms_test_real (choice, 0, "capacity"), 1);
  ms_test_near (ms_test_real (choice, 0, "mean_experts_per_token"), 1);
  ms_test_near (ms_test_real (choice, 0, "tokens_without_expert"), 0);
  ms_test_near (ms_test_real (choice, 0, "token_choice_recall"), 1);
  ms_fixture_remove (path);
}

typedef enum
{
  TOP_K,
  TOP_P,
  SKIP,
} Kind;

/* Replays one rule on one layer. */
static void
check_rule (const MsTable *rules, guint l, Kind kind, double value)
{
  static const char *const names[] = { "top-k", "top-p", "skip" };
  const MsLayerTrace *layer = loaded->layers[l];
  guint n = layer->n_experts;
  guint row
      = ms_test_row (rules, "rule=%s value=%g layer=%d", names[kind], value, loaded->blocks[l]);
  double tokens = (double) layer->n_tokens, recorded = 0, chosen = 0, mass = 0, recall = 0;
  double changed = 0, load[8] = { 0 }, most = 0;

  for (gint64 t = 0; t < layer->n_tokens; t++)
    {
      double p[8], kept = 0, all = 0;
      guint size = ms_loaded_size (layer, t), n_chosen = 0, common = 0;
      float before = 0; /* the running sum of the better ones, as float */

      probabilities (layer, t, p);
      for (guint place = 0; place < n; place++)
        for (guint e = 0; e < n; e++)
          {
            int rank = ms_loaded_rank (layer, t, e);
            double weight
                = rank >= 0 ? (double) layer->weights[(gsize) t * layer->k + (gsize) rank] : 0;
            gboolean takes;

            if (place_of (p, n, e) != place)
              continue;
            takes = kind == TOP_K   ? place < value
                    : kind == TOP_P ? !(before > (float) value)
                                    : rank >= 0 && weight >= value;
            before += (float) p[e];
            all += weight;
            if (!takes)
              continue;
            n_chosen++;
            load[e]++;
            kept += kind == SKIP ? weight : p[e];
            common += rank >= 0;
          }
      chosen += n_chosen;
      changed += common != size || n_chosen != size;
      recorded += size > 0;
      recall += size > 0 ? (double) common / size : 0;
      mass += kind != SKIP ? kept : size > 0 ? kept / all : 0;
    }
  for (guint e = 0; e < n; e++)
    most = MAX (most, load[e]);
  ms_test_near (ms_test_real (rules, row, "experts_per_token"), chosen / tokens);
  ms_test_near (ms_test_real (rules, row, "recall"), recall / recorded);
  ms_test_near (ms_test_real (rules, row, "kept_mass"), mass / (kind == SKIP ? recorded : tokens));
  ms_test_near (ms_test_real (rules, row, "recall_random"),
                ms_test_real (rules, row, "experts_per_token") / layer->n_experts);
  g_assert_cmpfloat (ms_test_real (rules, row, "recall_low"), <=,
                     ms_test_real (rules, row, "recall") + 1e-12);
  g_assert_cmpfloat (ms_test_real (rules, row, "recall_high"), >=,
                     ms_test_real (rules, row, "recall") - 1e-12);
  ms_test_near (ms_test_real (rules, row, "set_change_rate"), changed / tokens);
  ms_test_near (ms_test_real (rules, row, "max_vio"), most * n / chosen - 1);
}

/* The 95 % interval of a value from n resamples of eight documents. */
static void
expect_interval (double value, const double *made, guint n, double *low, double *high)
{
  const double t7 = 2.3646242515927844; /* Student's t, 7 degrees of freedom, at 97.5 % */
  double mean = 0, squares = 0, half;

  for (guint r = 0; r < n; r++)
    mean += made[r] / n;
  for (guint r = 0; r < n; r++)
    squares += (made[r] - mean) * (made[r] - mean);
  half = t7 * sqrt (squares / (n - 1)) * sqrt (8.0 / 7);
  *low = 2 * value - mean - half;
  *high = 2 * value - mean + half;
}

/* The same of a share of n tokens: on the scale of log odds, with the error of independent tokens at least. */
static void
expect_share (double value, const double *made, guint n, double tokens, double *low, double *high)
{
  double p = fmin (fmax (value, 0.5 / tokens), 1 - 0.5 / tokens), middle, error, half;

  expect_interval (value, made, n, low, high);
  middle = fmin (fmax ((*low + *high) / 2, 0.5 / tokens), 1 - 0.5 / tokens);
  error = (*high - *low) / 2 / (2.3646242515927844 * sqrt (8.0 / 7));
  error = fmax (error, sqrt (p * (1 - p) / tokens));
  half = 2.3646242515927844 * sqrt (8.0 / 7) * error / (p * (1 - p));
  *low = fmin (1 / (1 + exp (half) * (1 - middle) / middle), fmax ((*low + *high) / 2, 0));
  *high = 1 / (1 + exp (-half) * (1 - middle) / middle);
}

/* Column `i` of the documents' sums. */
static double
documents_sum (double documents[8][5], guint i)
{
  double sum = 0;

  for (guint d = 0; d < 8; d++)
    sum += documents[d][i];
  return sum;
}

static void
check_expert_choice (const MsTable *table, guint l)
{
  const MsLayerTrace *layer = loaded->layers[l];
  guint row = ms_test_row (table, "layer=%d", loaded->blocks[l]);
  double tokens = (double) layer->n_tokens;
  double capacity = rint (1.5 * tokens / layer->n_experts), without = 0, both = 0, recorded = 0;
  double documents[8][5] = { 0 }, made[3][40];
  MsContext context = { .sampling.seed = 1, .sampling.resamples = 40, .sampling.confidence = 0.95 };
  g_autoptr (MsBootstrap) draws = ms_bootstrap_new (&context, 8);
  guint d = 0;

  for (gint64 t = 0; t < layer->n_tokens; t++)
    {
      double p[8], q[8], both_before = both;
      guint n_taken = 0;

      probabilities (layer, t, p);
      for (guint e = 0; e < layer->n_experts; e++)
        {
          guint better = 0;

          for (gint64 u = 0; u < layer->n_tokens; u++)
            {
              probabilities (layer, u, q);
              better += (float) q[e] > (float) p[e] || ((float) q[e] == (float) p[e] && u < t);
            }
          n_taken += better < capacity;
          both += better < capacity && ms_loaded_rank (layer, t, e) >= 0;
        }
      while (d + 1 < 8 && ms_trace_document (trace, d + 1)->first_token <= t)
        d++;
      documents[d][0]++;
      documents[d][1] += n_taken == 0;
      documents[d][2] += n_taken;
      documents[d][3] += ms_loaded_size (layer, t);
      documents[d][4] += both - both_before;
      without += n_taken == 0;
      recorded += ms_loaded_size (layer, t);
    }
  ms_test_near (ms_test_real (table, row, "capacity"), capacity);
  ms_test_near (ms_test_real (table, row, "tokens_without_expert"), without / tokens);
  ms_test_near (ms_test_real (table, row, "token_choice_recall"), both / recorded);
  ms_test_near (ms_test_real (table, row, "recall_random"), capacity / tokens);
  ms_test_near (ms_test_real (table, row, "without_random"),
                pow (1 - capacity / tokens, layer->n_experts));
  for (guint r = 0; r < 40; r++)
    {
      double sums[5] = { 0 };

      for (d = 0; d < 8; d++)
        for (guint i = 0; i < 5; i++)
          sums[i] += draws->times[r * 8 + d] * documents[d][i];
      made[0][r] = sums[1] / sums[0];
      made[1][r] = sums[2] / sums[0];
      made[2][r] = sums[4] / sums[3];
    }
  for (guint i = 0; i < 3; i++)
    {
      static const char *const names[3][2] = { { "without_low", "without_high" },
                                               { "experts_low", "experts_high" },
                                               { "recall_low", "recall_high" } };
      const double values[]
          = { without / tokens, documents_sum (documents, 2) / tokens, both / recorded };
      double low, high;

      if (i == 1)
        expect_interval (values[i], made[i], 40, &low, &high);
      else
        expect_share (values[i], made[i], 40, tokens, &low, &high);
      ms_test_near (ms_test_real (table, row, names[i][0]), fmax (low, 0));
      ms_test_near (ms_test_real (table, row, names[i][1]), high);
    }
}

static void
test_what_if_twin (void)
{
  g_autoptr (MsResult) result
      = ms_test_run (trace, "what-if", 40,
                     LIST ("top-k=1,3", "top-p=0.3,0.6", "skip=0.1,0.25", "choice-factor=1.5"));
  const MsTable *rules = ms_result_table (result, "rules");

  for (guint l = 0; l < loaded->n_layers; l++)
    {
      check_rule (rules, l, TOP_K, 1);
      check_rule (rules, l, TOP_K, 3);
      check_rule (rules, l, TOP_P, 0.3);
      check_rule (rules, l, TOP_P, 0.6);
      check_rule (rules, l, SKIP, 0.1);
      check_rule (rules, l, SKIP, 0.25);
      check_expert_choice (ms_result_table (result, "expert_choice"), l);
    }
}

/* --- Merging --------------------------------------------------------------------------------- */

static void
test_merge_hand (void)
{
  char *path = NULL;
  const float scores[] = { 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1 };
  MsHandTrace hand = {
    .layers = LIST ("0 0 1 2"), .n_layers = 1, .n_experts = 3, .k = 1, .probabilities = scores
  };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 2, 2, 0 }, &path);
  g_autoptr (MsResult) one = ms_test_run (own, "merge", 200, LIST ("clusters=1"));
  g_autoptr (MsResult) two = ms_test_run (own, "merge", 0, LIST ("clusters=2"));
  const MsTable *experts = ms_result_table (one, "experts");
  const MsTable *layers = ms_result_table (one, "layers");

  /* Columns 1100, 0010 and 1001: cosines to the first are 0 and 1/2. */
  ms_test_near (ms_test_real (experts, 1, "distance"), 1);
  ms_test_near (ms_test_real (experts, 2, "distance"), 0.5);
  ms_test_near (ms_test_real (layers, 0, "mean_distance"), 0.25 * 1 + 0.25 * 0.5);
  ms_test_near (ms_test_real (layers, 0, "max_vio_before"), 0.5);
  ms_test_near (ms_test_real (layers, 0, "max_vio_after"), 0);
  /* Expert 2's distance differs between the documents, expert 1's does not. */
  g_assert_cmpfloat (ms_test_real (experts, 2, "low"), <, 0.5);
  g_assert_cmpfloat (ms_test_real (experts, 2, "high"), >, 0.5);
  ms_test_near (ms_test_real (experts, 1, "low"), 1);
  /* Of two equals the lower stays; 2 joins 0, which is nearer than 1. */
  experts = ms_result_table (two, "experts");
  layers = ms_result_table (two, "layers");
  ms_test_near (ms_test_real (experts, 1, "dominant"), 1);
  ms_test_near (ms_test_real (experts, 2, "dominant"), 0);
  ms_test_near (ms_test_real (experts, 2, "merge_weight"), 1.0 / 3);
  ms_test_near (ms_test_real (experts, 2, "low"), NAN);
  ms_test_near (ms_test_real (layers, 0, "max_vio_after"), 0.5);
  ms_test_near (ms_test_real (layers, 0, "mean_distance"), 0.25 * 0.5);
  ms_test_near (ms_test_real (layers, 0, "mean_distance_random"), 0.25 * 0.75);
  ms_fixture_remove (path);
}

/* 1 - cosine of the logits of two experts over documents, each as often as `times` (NULL: once). */
static double
distance_of (const MsLayerTrace *layer, guint x, guint y, const guint16 *times)
{
  double xx = 0, yy = 0, xy = 0;

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);

      for (guint again = 0; again < (times == NULL ? 1u : times[d]); again++)
        for (gint64 i = 0; i < document->n_tokens; i++)
          {
            const float *z = layer->logits + (document->first_token + i) * layer->n_experts;

            xx += (double) z[x] * z[x];
            yy += (double) z[y] * z[y];
            xy += (double) z[x] * z[y];
          }
    }
  return 1 - xy / sqrt (xx * yy);
}

static void
test_merge_twin (void)
{
  static const guint n_resamples = 40;
  MsContext context
      = { .sampling.seed = 1, .sampling.resamples = n_resamples, .sampling.confidence = 0.95 };
  g_autoptr (MsBootstrap) draws = ms_bootstrap_new (&context, ms_trace_n_documents (trace));
  g_autoptr (MsResult) result = ms_test_run (trace, "merge", n_resamples, LIST ("clusters=8"));
  const MsTable *experts = ms_result_table (result, "experts");
  double usage[3][8] = { 0 };
  gboolean kept[3][8] = { 0 };

  for (guint l = 0; l < 3; l++)
    {
      const MsLayerTrace *layer = loaded->layers[l];
      double all = 0;
      guint best = 0;

      for (gint64 i = 0; i < layer->n_tokens * layer->k; i++)
        all += layer->experts[i] != MS_NO_EXPERT;
      for (guint e = 0; e < layer->n_experts; e++)
        {
          for (gint64 t = 0; t < layer->n_tokens; t++)
            usage[l][e] += ms_loaded_rank (layer, t, e) >= 0;
          usage[l][e] /= all;
          best = usage[l][e] > usage[l][best] ? e : best;
        }
      kept[l][best] = TRUE;
    }
  for (guint left = 5; left > 0; left--)
    {
      guint layer = 0, expert = 0;
      double most = -1;

      for (guint l = 0; l < 3; l++)
        for (guint e = 0; e < loaded->layers[l]->n_experts; e++)
          if (!kept[l][e] && (float) usage[l][e] > (float) most)
            {
              most = usage[l][e];
              layer = l;
              expert = e;
            }
      kept[layer][expert] = TRUE;
    }
  for (guint l = 0; l < 3; l++)
    for (guint e = 0; e < loaded->layers[l]->n_experts; e++)
      {
        const MsLayerTrace *layer = loaded->layers[l];
        guint row = ms_test_row (experts, "layer=%d expert=%u", loaded->blocks[l], e), best = e;
        double nearest = INFINITY, made[40], low, high;

        ms_test_near (ms_test_real (experts, row, "usage"), usage[l][e]);
        for (guint d = 0; d < layer->n_experts && !kept[l][e]; d++)
          if (kept[l][d] && (float) distance_of (layer, e, d, NULL) < (float) nearest)
            {
              best = d;
              nearest = distance_of (layer, e, d, NULL);
            }
        ms_test_near (ms_test_real (experts, row, "dominant"), best);
        if (kept[l][e])
          continue;
        ms_test_near (ms_test_real (experts, row, "distance"), nearest);
        for (guint r = 0; r < n_resamples; r++)
          made[r] = distance_of (layer, e, best, draws->times + (gsize) r * draws->n_units);
        expect_interval (nearest, made, n_resamples, &low, &high);
        ms_test_near (ms_test_real (experts, row, "low"), low);
        ms_test_near (ms_test_real (experts, row, "high"), high);
      }
}

/* --- Placement ------------------------------------------------------------------------------- */

/* Runs placement on loads (n_layers, n_experts), without a trace. */
static MsResult *
place_loads (const double *loads, guint n_layers, guint n_experts, const char *const *params)
{
  g_autoptr (GString) text = g_string_new ("layer,expert,weight\n");
  g_autoptr (GPtrArray) all = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  g_autofree char *weights = NULL;
  int fd = g_file_open_tmp ("loads-XXXXXX.csv", &path, &error);
  MsResult *result;

  g_assert_no_error (error);
  g_close (fd, NULL);
  for (guint i = 0; i < n_layers * n_experts; i++)
    g_string_append_printf (text, "%u,%u,%.17g\n", i / n_experts, i % n_experts, loads[i]);
  g_file_set_contents (path, text->str, -1, &error);
  g_assert_no_error (error);
  weights = g_strconcat ("weights=", path, NULL);
  for (; *params != NULL; params++)
    g_ptr_array_add (all, (gpointer) *params);
  g_ptr_array_add (all, weights);
  g_ptr_array_add (all, NULL);
  result = ms_test_run (NULL, "placement", 0, (const char *const *) all->pdata);
  g_unlink (path);
  return result;
}

static void
test_placement_hand (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 0 0 1 1 2 3"), .n_layers = 1, .n_experts = 4, .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 7, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (own, "placement", 0, LIST ("devices=2"));
  const MsTable *layers = ms_result_table (result, "layers");
  const double loads[] = { 6, 2 };
  g_autoptr (MsResult) plan
      = place_loads (loads, 1, 2, LIST ("devices=2", "alpha=1", "least-chunk=0", "lambda=1"));
  const MsTable *llep = ms_result_table (plan, "llep");

  /* Loads 3 2 1 1: in order 5 and 2; packed 0 and 3 against 1 and 2: 4 and 3. */
  ms_test_near (ms_test_real (layers, 0, "max_over_mean_contiguous"), 5 / 3.5);
  ms_test_near (ms_test_real (layers, 0, "max_over_mean"), 4 / 3.5);
  /* Tokens 0 to 3 live on device 0, the others on 1: tokens 3 (expert 1) and 6 (expert 3) leave. */
  ms_test_near (ms_test_real (layers, 0, "dispatch_copies"), 2);
  ms_test_near (ms_test_real (layers, 0, "mean_devices_per_token"), 1);
  ms_fixture_remove (path);

  /* Fair share 4: expert 0 keeps four tokens, two go to device 1, which has room for two. */
  g_assert_cmpuint (ms_table_n_rows (llep), ==, 3);
  ms_test_near (ms_test_real (llep, ms_test_row (llep, "expert=0 device=0"), "end"), 4);
  ms_test_near (ms_test_real (llep, ms_test_row (llep, "expert=0 device=1"), "start"), 4);
  ms_test_near (ms_test_real (llep, ms_test_row (llep, "expert=0 device=1"), "end"), 6);
  ms_test_near (ms_test_real (llep, ms_test_row (llep, "expert=0 device=1"), "transfer"), 1);
  ms_test_near (ms_test_real (llep, ms_test_row (llep, "expert=1 device=1"), "end"), 2);
  layers = ms_result_table (plan, "layers");
  ms_test_near (ms_test_real (layers, 0, "llep_max_over_mean"), 1);
  ms_test_near (ms_test_real (layers, 0, "llep_transfers"), 1);
}

/* Copies go one by one to the expert of most load per copy; then slots, heaviest first, to the lightest
 * device with room. */
static void
check_balanced (const MsTable *devices, guint layer, const double *loads, guint n_experts,
                guint n_slots, guint n_devices)
{
  guint copies[16], size[8] = { 0 };
  float slot[32], packed[8] = { 0 };

  for (guint e = 0; e < n_experts; e++)
    copies[e] = 1;
  for (guint s = n_experts; s < n_slots; s++)
    {
      guint best = 0;

      for (guint e = 1; e < n_experts; e++)
        if ((float) loads[e] / (float) copies[e] > (float) loads[best] / (float) copies[best])
          best = e;
      copies[best]++;
    }
  for (guint e = 0, s = 0; e < n_experts; e++)
    for (guint r = 0; r < copies[e]; r++)
      slot[s++] = (float) loads[e] / (float) copies[e];
  for (guint i = 0; i < n_slots; i++)
    {
      guint heaviest = 0, lightest = n_devices;

      for (guint s = 1; s < n_slots; s++)
        if (slot[s] > slot[heaviest])
          heaviest = s;
      for (guint d = 0; d < n_devices; d++)
        if (size[d] < n_slots / n_devices
            && (lightest == n_devices || packed[d] < packed[lightest]))
          lightest = d;
      packed[lightest] += slot[heaviest];
      size[lightest]++;
      slot[heaviest] = -1;
    }
  for (guint d = 0; d < n_devices; d++)
    {
      double load
          = ms_test_real (devices, ms_test_row (devices, "layer=%u device=%u", layer, d), "load");

      g_assert_cmpfloat_with_epsilon (load, (double) packed[d], 1e-5 * load); /* float sums */
    }
}

static void
test_placement_balance (void)
{
  static const guint n_layers = 20, n_experts = 12;
  double loads[20 * 12];
  guint64 state = 7;
  g_autoptr (MsResult) copied = NULL;
  g_autoptr (MsResult) single = NULL;
  const MsTable *layers;

  for (guint i = 0; i < n_layers * n_experts; i++)
    loads[i] = exp (3 * ms_random_double (&state));
  /* In every second layer experts in order of load: then to place them in order is the worst there is. */
  for (guint l = 0; l < n_layers; l += 2)
    for (guint a = 0; a < n_experts; a++)
      for (guint b = a + 1; b < n_experts; b++)
        {
          double *x = &loads[l * n_experts + a], *y = &loads[l * n_experts + b], keep = *x;

          *x = MAX (keep, *y);
          *y = MIN (keep, *y);
        }
  single = place_loads (loads, n_layers, n_experts, LIST ("devices=4"));
  copied = place_loads (loads, n_layers, n_experts, LIST ("devices=4", "replicas=16"));
  layers = ms_result_table (single, "layers");
  for (guint l = 0; l < n_layers; l++)
    {
      const double *own = loads + l * n_experts;

      check_balanced (ms_result_table (single, "devices"), l, own, n_experts, 12, 4);
      check_balanced (ms_result_table (copied, "devices"), l, own, n_experts, 16, 4);
      if (l % 2 == 0)
        g_assert_cmpfloat (ms_test_real (layers, l, "max_over_mean"), <=,
                           ms_test_real (layers, l, "max_over_mean_contiguous"));
    }
}

/* The device that computes expert e of a layer for token t. */
static guint
device_for (const MsTable *slots, guint l, guint e, gint64 t)
{
  guint row = ms_test_row (slots, "layer=%d expert=%u", loaded->blocks[l], e);
  guint n = (guint) ms_test_real (slots, row, "replicas");

  row = ms_test_row (slots, "layer=%d expert=%u replica=%u", loaded->blocks[l], e, (guint) (t % n));
  return (guint) ms_test_real (slots, row, "device");
}

static void
test_placement_traffic (void)
{
  g_autoptr (MsResult) result
      = ms_test_run (trace, "placement", 0, LIST ("devices=4", "nodes=2", "replicas=8"));
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *slots = ms_result_table (result, "slots");

  for (guint l = 0; l < loaded->n_layers; l++)
    {
      const MsLayerTrace *layer = loaded->layers[l];
      const MsLayerTrace *next = l + 1 < loaded->n_layers ? loaded->layers[l + 1] : NULL;
      guint row = ms_test_row (layers, "layer=%d", loaded->blocks[l]);
      double fan_out = 0, copies = 0, distinct = 0, cross_node = 0, pairs = 0, moves = 0, n = 0;

      for (gint64 t = 0; t < layer->n_tokens; t++)
        {
          guint home = (guint) (4 * t / layer->n_tokens), devices = 0, nodes = 0;

          n += ms_loaded_size (layer, t) > 0;

          for (guint e = 0; e < layer->n_experts; e++)
            {
              guint device;

              if (ms_loaded_rank (layer, t, e) < 0)
                continue;
              device = device_for (slots, l, e, t);
              copies += device != home;
              devices |= 1u << device;
              nodes |= 1u << device / 2;
              for (guint x = 0; next != NULL && x < next->n_experts; x++)
                if (ms_loaded_rank (next, t, x) >= 0)
                  {
                    pairs++;
                    moves += device_for (slots, l + 1, x, t) != device;
                  }
            }
          fan_out += __builtin_popcount (devices);
          distinct += __builtin_popcount (devices & ~(1u << home));
          cross_node += __builtin_popcount (nodes & ~(1u << home / 2));
        }
      ms_test_near (ms_test_real (layers, row, "mean_devices_per_token"), fan_out / n);
      ms_test_near (ms_test_real (layers, row, "dispatch_copies"), copies);
      ms_test_near (ms_test_real (layers, row, "dispatch_copies_deduplicated"), distinct);
      ms_test_near (ms_test_real (layers, row, "cross_node_copies_deduplicated"), cross_node);
      ms_test_near (ms_test_real (layers, row, "cross_device_pairs"), moves);
      if (pairs > 0)
        ms_test_near (ms_test_real (layers, row, "cross_device_rate"), moves / pairs);
    }
}

static double
measure_of (const MsResult *result, int block, const char *measure, const char *column)
{
  const MsTable *measures = ms_result_table (result, "measures");

  return ms_test_real (measures, ms_test_row (measures, "layer=%d measure=%s", block, measure),
                       column);
}

/* Two documents that load one device each: resamples see one of them (2) or both (1). */
static void
test_placement_intervals (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 0 1 1"), .n_layers = 1, .n_experts = 2, .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 2, 2, 0 }, &path);
  g_autoptr (MsResult) result
      = ms_test_run (own, "placement", 100, LIST ("devices=2", "source=document"));
  g_autoptr (MsResult) held_out
      = ms_test_run (own, "placement", 0, LIST ("devices=2", "held-out=1", "draws=0"));

  ms_test_near (measure_of (result, 0, "max_over_mean", "value"), 1);
  ms_test_near (measure_of (result, 0, "max_over_mean", "low"), 1);
  ms_test_near (measure_of (result, 0, "max_over_mean", "high"), 2);
  ms_test_near (measure_of (result, 0, "balancedness", "low"), 0.5);
  /* Every token uses one device, its own, wherever documents come from. */
  ms_test_near (measure_of (result, 0, "mean_devices_per_token", "low"), 1);
  ms_test_near (measure_of (result, 0, "mean_devices_per_token", "high"), 1);
  ms_test_near (measure_of (result, 0, "dispatch_copies_per_token", "high"), 0);
  ms_test_near (measure_of (result, 0, "cross_device_rate", "value"), NAN);
  /* What the first document loads says nothing of the second, which is measured. */
  ms_test_near (measure_of (held_out, 0, "max_over_mean", "value"), 2);
  ms_test_near (ms_test_real (ms_result_table (held_out, "devices"), 1, "load"), 2);
  ms_test_near (measure_of (held_out, 0, "max_over_mean", "random"), NAN);
  ms_fixture_remove (path);
}

static double
choose (guint n, guint k)
{
  double ways = 1;

  for (guint i = 0; i < k; i++)
    ways *= (double) (n - i) / (i + 1);
  return k <= n ? ways : 0;
}

/* What random placements of E experts on 2 devices give on average, in closed form. */
static void
test_placement_chance (void)
{
  g_autoptr (MsResult) result
      = ms_test_run (trace, "placement", 50, LIST ("devices=2", "draws=1000", "method=contiguous"));

  for (guint l = 0; l < loaded->n_layers; l++)
    {
      const MsLayerTrace *layer = loaded->layers[l];
      int block = loaded->blocks[l];
      guint e = layer->n_experts;
      double devices = 0, copies = 0, n = 0;

      for (gint64 t = 0; t < layer->n_tokens; t++)
        {
          guint size = ms_loaded_size (layer, t);

          n += size > 0;
          copies += size / 2.0;
          devices += size > 0 ? 2 * (1 - choose (e / 2, size) / choose (e, size)) : 0;
        }
      g_assert_cmpfloat_with_epsilon (
          measure_of (result, block, "mean_devices_per_token", "random"), devices / n, 0.02);
      g_assert_cmpfloat_with_epsilon (
          measure_of (result, block, "dispatch_copies_per_token", "random"), copies / n, 0.02);
      if (l + 1 < loaded->n_layers)
        g_assert_cmpfloat_with_epsilon (measure_of (result, block, "cross_device_rate", "random"),
                                        0.5, 0.02);
      for (guint i = 0; i < 2; i++)
        {
          const char *measure = i == 0 ? "max_over_mean" : "mean_devices_per_token";
          double value = measure_of (result, block, measure, "value");

          ms_test_near (measure_of (result, block, measure, "contiguous"), value);
          g_assert_cmpfloat (measure_of (result, block, measure, "low"), <=, value + 0.05);
          g_assert_cmpfloat (measure_of (result, block, measure, "high"), >=, value);
        }
    }
}

/* Half of the experts of each layer, as bits, lie on device 1: largest over mean load, less 1. */
static double
imbalance (const double *load, guint n, guint set)
{
  double there = 0, all = 0;

  for (guint e = 0; e < n; e++)
    {
      all += load[e];
      there += set & (1u << e) ? load[e] : 0;
    }
  return 2 * MAX (there, all - there) / all - 1;
}

static double
crossing (double pairs[8][8], guint n, guint m, guint set, guint next)
{
  double all = 0, moves = 0;

  for (guint a = 0; a < n; a++)
    for (guint b = 0; b < m; b++)
      {
        all += pairs[a][b];
        moves += ((set >> a) & 1) != ((next >> b) & 1) ? pairs[a][b] : 0;
      }
  return moves / all;
}

static void
test_placement_joint (void)
{
  static const double balance = 0.5;
  g_autoptr (MsResult) result = ms_test_run (
      trace, "placement", 0, LIST ("method=joint", "devices=2", "balance-weight=0.5"));
  const MsTable *layers = ms_result_table (result, "layers");
  double load[3][8] = { 0 }, pairs[2][8][8] = { 0 }, least = INFINITY, cost = 0;
  guint n[3];

  for (guint l = 0; l < 3; l++)
    {
      const MsLayerTrace *layer = loaded->layers[l];

      n[l] = layer->n_experts;
      for (gint64 t = 0; t < layer->n_tokens; t++)
        for (guint a = 0; a < n[l]; a++)
          {
            if (ms_loaded_rank (layer, t, a) < 0)
              continue;
            load[l][a]++;
            for (guint b = 0; l < 2 && b < loaded->layers[l + 1]->n_experts; b++)
              pairs[l][a][b] += ms_loaded_rank (loaded->layers[l + 1], t, b) >= 0;
          }
      cost += balance * (ms_test_real (layers, l, "max_over_mean") - 1);
      cost += l < 2 ? ms_test_real (layers, l, "cross_device_rate") : 0;
    }
  for (guint x = 0; x < 1u << n[0]; x++)
    for (guint y = 0; y < 1u << n[1]; y++)
      for (guint z = 0; z < 1u << n[2]; z++)
        if (2 * (guint) __builtin_popcount (x) == n[0] && 2 * (guint) __builtin_popcount (y) == n[1]
            && 2 * (guint) __builtin_popcount (z) == n[2])
          least = MIN (least,
                       crossing (pairs[0], n[0], n[1], x, y) + crossing (pairs[1], n[1], n[2], y, z)
                           + balance
                                 * (imbalance (load[0], n[0], x) + imbalance (load[1], n[1], y)
                                    + imbalance (load[2], n[2], z)));
  ms_test_near (cost, least);
}

int
main (int argc, char **argv)
{
  char *path = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  trace = ms_random_trace (0, &path);
  loaded = ms_loaded_new (trace, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_LOGITS
                                     | MS_CHUNK_NORMS | MS_CHUNK_PEAKS | MS_CHUNK_SIMILARITY);
  g_test_add_func ("/uncertainty/hand", test_uncertainty_hand);
  g_test_add_func ("/uncertainty/twin", test_uncertainty_twin);
  g_test_add_func ("/importance/hand", test_importance_hand);
  g_test_add_func ("/importance/twin", test_importance_twin);
  g_test_add_func ("/importance/easy-ep", test_importance_easy);
  g_test_add_func ("/importance/mixed", test_importance_mixed);
  g_test_add_func ("/capacity/hand", test_capacity_hand);
  g_test_add_func ("/capacity/twin", test_capacity_twin);
  g_test_add_func ("/capacity/positions", test_capacity_positions);
  g_test_add_func ("/repair/hand", test_repair_hand);
  g_test_add_func ("/repair/twin", test_repair_twin);
  g_test_add_func ("/what-if/hand", test_what_if_hand);
  g_test_add_func ("/what-if/twin", test_what_if_twin);
  g_test_add_func ("/merge/hand", test_merge_hand);
  g_test_add_func ("/merge/twin", test_merge_twin);
  g_test_add_func ("/placement/hand", test_placement_hand);
  g_test_add_func ("/placement/balance", test_placement_balance);
  g_test_add_func ("/placement/traffic", test_placement_traffic);
  g_test_add_func ("/placement/joint", test_placement_joint);
  g_test_add_func ("/placement/intervals", test_placement_intervals);
  g_test_add_func ("/placement/chance", test_placement_chance);
  status = g_test_run ();
  ms_loaded_free (loaded);
  ms_trace_unref (trace);
  ms_fixture_remove (path);
  return status;
}
