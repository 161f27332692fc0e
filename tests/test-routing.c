/* SRP, caches, repetition, transitions and comparisons: cases worked out by hand, and twins that count
 * plainly what the analyses slide, stack or sum up. */
#include "analysis-private.h"
#include "cache-simulator-private.h"
#include "cache-stack-private.h"
#include "routing-trace.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static MsTrace *trace;
static MsLoaded *loaded;

/* --- SRP ------------------------------------------------------------------------------------- */

static void
test_srp_hand (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 0 1 0"), .n_layers = 1, .n_experts = 2, .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 4, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (own, "srp", 0, LIST ("lengths=2", "null=0"));
  const MsTable *experts = ms_result_table (result, "experts");
  const MsTable *layers = ms_result_table (result, "layers");
  guint row = ms_test_row (experts, "expert=0");

  /* Windows 00 01 10: expert 0 has f = 2 1 1.  alpha 0 and 1 both find 4 in 6 loaded: F1 8 / 10. */
  ms_test_near (ms_test_real (experts, row, "srp"), 0.8);
  ms_test_near (ms_test_real (experts, row, "threshold"), 0);
  ms_test_near (ms_test_real (experts, row, "segment_cache_size"), 1.5);
  ms_test_near (ms_test_real (experts, row, "activation_frequency"), 4.0 / 6);
  /* Expert 1 has f = 0 1 1: alpha 1 finds 2 in 4: F1 4 / 6. */
  row = ms_test_row (experts, "expert=1");
  ms_test_near (ms_test_real (experts, row, "srp"), 2.0 / 3);
  ms_test_near (ms_test_real (experts, row, "threshold"), 1);
  ms_test_near (ms_test_real (experts, row, "segment_cache_size"), 2);
  /* Both: f = 2 1 1 0 1 1, alpha 1 finds 6 in 10: F1 12 / 16. */
  ms_test_near (ms_test_real (layers, 0, "srp"), 0.75);
  ms_test_near (ms_test_real (layers, 0, "threshold"), 1);
  ms_test_near (ms_test_real (layers, 0, "segment_cache_size"), 10.0 / 6);
  ms_fixture_remove (path);
}

/* Adds the uses of an expert in every window of m tokens to a list. */
static void
list_windows (const MsLayerTrace *layer, guint expert, guint m, GArray *uses)
{
  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);

      for (gint64 i = 0; i + m <= document->n_tokens; i++)
        {
          guint f = 0;

          for (guint j = 0; j < m; j++)
            f += ms_loaded_rank (layer, document->first_token + i + j, expert) >= 0;
          g_array_append_val (uses, f);
        }
    }
}

static void
check_srp (const MsTable *table, guint row, guint m, const GArray *uses)
{
  double best = -1, threshold = 0, size = 0, active = 0;

  for (guint alpha = 0; alpha <= m; alpha++)
    {
      double found = 0, wanted = 0, all = 0, f1;

      for (guint i = 0; i < uses->len; i++)
        {
          guint f = g_array_index (uses, guint, i);

          all += f;
          found += f >= alpha ? f : 0;
          wanted += f >= alpha ? m : 0;
        }
      f1 = 2 * found / MAX (wanted + all, 1);
      if (f1 > best)
        {
          best = f1;
          threshold = alpha;
          size = all > 0 ? wanted / all : 0;
        }
      active = all / (m * (double) uses->len);
    }
  ms_test_near (ms_test_real (table, row, "srp"), best);
  ms_test_near (ms_test_real (table, row, "threshold"), threshold);
  ms_test_near (ms_test_real (table, row, "segment_cache_size"), size);
  ms_test_near (ms_test_real (table, row, "activation_frequency"), active);
}

static void
test_srp_twin (void)
{
  static const guint lengths[] = { 1, 3, 16, 40 }; /* 40: longer than any document */
  g_autoptr (MsResult) result = ms_test_run (trace, "srp", 20, LIST ("lengths=1,3,16,40"));
  const MsTable *experts = ms_result_table (result, "experts");
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *model = ms_result_table (result, "model");

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      guint m = lengths[i];
      g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (guint));

      for (guint l = 0; l < loaded->n_layers; l++)
        {
          g_autoptr (GArray) of_layer = g_array_new (FALSE, FALSE, sizeof (guint));

          for (guint e = 0; e < loaded->layers[l]->n_experts; e++)
            {
              g_autoptr (GArray) own = g_array_new (FALSE, FALSE, sizeof (guint));

              list_windows (loaded->layers[l], e, m, own);
              check_srp (experts,
                         ms_test_row (experts, "layer=%d expert=%u segment_length=%u",
                                      loaded->blocks[l], e, m),
                         m, own);
              g_array_append_vals (of_layer, own->data, own->len);
            }
          check_srp (layers,
                     ms_test_row (layers, "layer=%d segment_length=%u", loaded->blocks[l], m), m,
                     of_layer);
          g_array_append_vals (all, of_layer->data, of_layer->len);
        }
      check_srp (model, ms_test_row (model, "segment_length=%u", m), m, all);
    }
}

/* --- Hit rate -------------------------------------------------------------------------------- */

static void
test_hit_rate_hand (void)
{
  static const struct
  {
    const char *policy;
    double hits[3]; /* of capacity 1, 2, 3 */
  } expected[] = {
    /* 0 1 2 0 1 2: the first uses hit while the cache is not full.  Of two slots LRU and LFU (all
     * counts tie) always drop what comes next; Belady drops 1, then 0; so does SCH, which sees
     * one token ahead. */
    { "lru", { 1, 2, 6 } },
    { "lfu", { 1, 2, 6 } },
    { "belady", { 1, 4, 6 } },
    { "sch-2", { 1, 4, 6 } },
  };
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 1 2 0 1 2"), .n_layers = 1, .n_experts = 3, .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 6, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (own, "hit-rate", 0, LIST ("lookahead=2"));
  const MsTable *layers = ms_result_table (result, "layers");

  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    for (guint c = 1; c <= 3; c++)
      ms_test_near (
          ms_test_real (layers,
                        ms_test_row (layers, "policy=%s capacity=%u", expected[i].policy, c),
                        "hit_rate"),
          expected[i].hits[c - 1] / 6);
  ms_fixture_remove (path);
}

/* A stream of requests: token i asks for ids[i * width ..], MS_NO_EXPERT = nothing. */
typedef struct
{
  guint16 *ids;
  gint64 n;
  guint width, n_ids;
} Stream;

/* All layers from..to-1 side by side, ids one after the other. */
static Stream *
stream_new (guint from, guint to)
{
  Stream *stream = g_new0 (Stream, 1);
  guint column = 0;

  for (guint l = from; l < to; l++)
    stream->width += loaded->layers[l]->k;
  stream->n = loaded->layers[0]->n_tokens;
  stream->ids = g_new (guint16, (gsize) stream->n * stream->width);
  for (guint l = from; l < to; l++)
    {
      const MsLayerTrace *layer = loaded->layers[l];

      for (gint64 t = 0; t < stream->n; t++)
        for (guint r = 0; r < layer->k; r++)
          {
            guint16 e = layer->experts[(gsize) t * layer->k + r];

            stream->ids[(gsize) t * stream->width + column + r]
                = e == MS_NO_EXPERT ? e : (guint16) (e + stream->n_ids);
          }
      column += layer->k;
      stream->n_ids += layer->n_experts;
    }
  return stream;
}

static void
stream_free (Stream *stream)
{
  g_free (stream->ids);
  g_free (stream);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Stream, stream_free)

/* How often the ids from..to-1 name one. */
static guint
occurrences (const Stream *stream, gint64 from, gint64 to, guint id)
{
  guint n = 0;

  for (gint64 i = from; i < to; i++)
    n += stream->ids[i] == id;
  return n;
}

/* The position of the next access after `at` before `end`; never again: after all, larger ids later. */
static gint64
next_access (const Stream *stream, gint64 at, gint64 end, guint id)
{
  for (gint64 i = at + 1; i < end; i++)
    if (stream->ids[i] == id)
      return i;
  return end + 1 + id;
}

/* The residents of a cache, least recently used first. */
typedef struct
{
  guint16 ids[32];
  guint n;
} Content;

static int
content_find (const Content *content, guint id)
{
  for (guint i = 0; i < content->n; i++)
    if (content->ids[i] == id)
      return (int) i;
  return -1;
}

static void
content_remove (Content *content, guint at)
{
  memmove (content->ids + at, content->ids + at + 1, (content->n - at - 1) * sizeof (guint16));
  content->n--;
}

static void
content_append (Content *content, guint id)
{
  g_assert_cmpuint (content->n, <, G_N_ELEMENTS (content->ids));
  content->ids[content->n++] = (guint16) id;
}

/* metrics.md b.2 and b.3 to the letter for one capacity and document; policy is the column's name. */
static double
naive_hit_rate (const Stream *stream, const MsDocument *document, const char *policy,
                guint capacity)
{
  Content content = { .n = 0 };
  gboolean seen[32] = { FALSE };
  guint count[32] = { 0 }, n_seen = 0;
  gint64 width = stream->width, start = document->first_token * width;
  gint64 end = start + document->n_tokens * width;
  gint64 lookahead = strncmp (policy, "sch-", 4) == 0 ? atoi (policy + 4) : 0;
  double hits = 0, accesses = 0;

  for (gint64 token = start; token < end; token += width)
    {
      for (gint64 at = token; at < token + width; at++)
        {
          guint id = stream->ids[at];

          if (id == MS_NO_EXPERT)
            continue;
          accesses++;
          hits += seen[id] ? content_find (&content, id) >= 0 : n_seen < capacity;
          n_seen += !seen[id];
          seen[id] = TRUE;
        }
      for (gint64 at = token; at < token + width; at++)
        {
          guint id = stream->ids[at];

          if (id == MS_NO_EXPERT)
            continue;
          count[id]++;
          if (content_find (&content, id) >= 0)
            content_remove (&content, (guint) content_find (&content, id));
          else if (content.n == capacity)
            {
              gint64 best = G_MAXINT64;
              guint victim = 0;

              for (guint i = 0; i < content.n; i++)
                {
                  guint x = content.ids[i];
                  gint64 key
                      = policy[1] == 'r' ? 0 /* lru: the first */
                        : lookahead > 0
                            ? occurrences (stream, at + 1, MIN (token + lookahead * width, end), x)
                        : policy[0] == 'b' ? -next_access (stream, at, end, x)
                                           : (gint64) count[x];

                  if (key < best)
                    {
                      best = key;
                      victim = i;
                    }
                }
              content_remove (&content, victim);
            }
          content_append (&content, id);
        }
    }
  return hits / accesses;
}

static double
mean_hit_rate (const Stream *stream, const char *policy, guint capacity)
{
  double sum = 0, n = 0;

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      double rate = naive_hit_rate (stream, ms_trace_document (trace, d), policy, capacity);

      if (isnan (rate))
        continue;
      sum += rate;
      n++;
    }
  return sum / n;
}

static void
test_hit_rate_twin (void)
{
  static const char *const policies[]
      = { "lru", "lfu", "belady", "sch-1", "sch-2", "sch-3", "sch-4", "sch-8", "sch-64" };
  g_autoptr (MsResult) result
      = ms_test_run (trace, "hit-rate", 20, LIST ("level=both", "lookahead=1,2,3,4,8,64"));
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *mean = ms_result_table (result, "mean");
  const MsTable *model = ms_result_table (result, "model");
  g_autoptr (Stream) whole = stream_new (0, loaded->n_layers);

  for (guint p = 0; p < G_N_ELEMENTS (policies); p++)
    {
      double sums[7] = { 0 };

      for (guint l = 0; l < loaded->n_layers; l++)
        {
          g_autoptr (Stream) stream = stream_new (l, l + 1);

          for (guint c = 1; c <= 6; c++)
            {
              double rate = mean_hit_rate (stream, policies[p], MIN (c, stream->n_ids));

              sums[c] += rate;
              if (c <= stream->n_ids)
                ms_test_near (ms_test_real (layers,
                                            ms_test_row (layers, "layer=%d policy=%s capacity=%u",
                                                         loaded->blocks[l], policies[p], c),
                                            "hit_rate"),
                              rate);
            }
        }
      for (guint c = 1; c <= 6; c++)
        ms_test_near (ms_test_real (mean,
                                    ms_test_row (mean, "policy=%s capacity=%u", policies[p], c),
                                    "hit_rate"),
                      sums[c] / loaded->n_layers);
      for (guint c = 1; c <= whole->n_ids; c++)
        ms_test_near (ms_test_real (model,
                                    ms_test_row (model, "policy=%s capacity=%u", policies[p], c),
                                    "hit_rate"),
                      mean_hit_rate (whole, policies[p], c));
    }
}

/* --- The stack ------------------------------------------------------------------------------- */

#define STACK_IDS    30
#define STACK_WIDTH  11
#define STACK_TOKENS 300

/* Rows wider than what goes down the stack together, and a stack that is told of so many tokens to come
 * that its times have to be renumbered every few rows. */
static void
test_stack (void)
{
  static const MsStackCurve curves[]
      = { { MS_STACK_LRU, 0 },     { MS_STACK_LFU, 0 },     { MS_STACK_BELADY, 0 },
          { MS_STACK_SEGMENT, 1 }, { MS_STACK_SEGMENT, 7 }, { MS_STACK_SEGMENT, 400 } };
  static const MsCachePolicy policies[] = { MS_CACHE_LRU, MS_CACHE_LFU, MS_CACHE_BELADY };
  guint16 ids[STACK_TOKENS * STACK_WIDTH];
  guint32 later[STACK_TOKENS * STACK_WIDTH], next[STACK_IDS];
  MsRequests requests = { ids, STACK_TOKENS, STACK_WIDTH };
  guint64 gained[2][2][G_N_ELEMENTS (curves)][STACK_IDS + 1] = { 0 };
  guint64 state = 1;

  for (guint t = 0; t < STACK_TOKENS; t++)
    for (guint r = 0, taken = 0; r < STACK_WIDTH; r++)
      {
        double u = ms_random_double (&state);
        guint16 id = (guint16) (STACK_IDS * u * u);

        ids[t * STACK_WIDTH + r] = taken >> id & 1 ? MS_NO_EXPERT : id;
        taken |= 1u << id;
      }
  ms_cache_find_later (ids, G_N_ELEMENTS (ids), STACK_IDS, later, next);
  g_assert_false (ms_stack_fits (STACK_IDS, 1 << 25, STACK_WIDTH));
  for (guint many = 0; many < 2; many++)
    for (guint serial = 0; serial < 2; serial++)
      {
        guint n_curves = serial ? G_N_ELEMENTS (policies) : G_N_ELEMENTS (curves);
        g_autoptr (MsStack) stack = ms_stack_new (curves, n_curves, STACK_IDS,
                                                  many ? 1 << 23 : STACK_TOKENS, STACK_WIDTH);

        ms_stack_run (stack, &requests, later, (gboolean) serial, &gained[many][serial][0][0]);
      }
  g_assert_cmpmem (gained[0], sizeof gained[0], gained[1], sizeof gained[1]);
  for (guint p = 0; p < G_N_ELEMENTS (policies); p++)
    for (guint c = 1, hits = 0; c <= STACK_IDS; c++)
      {
        g_autoptr (MsCache) cache = ms_cache_new (policies[p], MS_CACHE_SERIAL, STACK_IDS, c, 1);

        ms_cache_request (cache, ids, G_N_ELEMENTS (ids), later, NULL);
        hits += (guint) gained[0][1][p][c];
        g_assert_cmpuint (hits, ==, ms_cache_counts (cache)->hits);
      }
}

/* --- Cache ----------------------------------------------------------------------------------- */

static void
check_counts (const MsTable *table, guint row, double hits, double cold, double evictions)
{
  ms_test_near (ms_test_real (table, row, "hits"), hits);
  ms_test_near (ms_test_real (table, row, "cold_misses"), cold);
  ms_test_near (ms_test_real (table, row, "capacity_misses"),
                ms_test_real (table, row, "accesses") - hits - cold);
  ms_test_near (ms_test_real (table, row, "evictions"), evictions);
}

static void
test_cache_hand (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 1 2 0 1 2"), .n_layers = 1, .n_experts = 3, .k = 1 };
  MsHandTrace pairs = { .layers = LIST ("01 12 01"), .n_layers = 1, .n_experts = 3, .k = 2 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 6, 0 }, &path);
  g_autoptr (MsResult) serial = ms_test_run (
      own, "cache", 0, LIST ("capacities=2", "policies=lru,belady,static", "held-out=0"));
  const MsTable *table = ms_result_table (serial, "layers");
  g_autoptr (MsTrace) batched = NULL;
  g_autoptr (MsResult) batch = NULL;

  check_counts (table, ms_test_row (table, "policy=lru"), 0, 3, 4);
  /* Belady drops 1 for 2, hits 0, drops 0 for 1, hits 2. */
  check_counts (table, ms_test_row (table, "policy=belady"), 2, 3, 2);
  /* Static holds 0 and 1, the lower of three equals. */
  check_counts (table, ms_test_row (table, "policy=static"), 4, 1, 0);
  ms_fixture_remove (g_steal_pointer (&path));

  /* Batches: 1 of {1, 2} hits and is safe, 0 goes; 1 of {0, 1} hits, 2 goes.  In serial order 0 of the
   * last token pushes 1 out just before it is asked for. */
  batched = ms_hand_trace (&pairs, (guint[]){ 3, 0 }, &path);
  batch = ms_test_run (batched, "cache", 0, LIST ("capacities=2", "policies=lru", "mode=batch"));
  table = ms_result_table (batch, "layers");
  check_counts (table, 0, 2, 3, 2);
  g_clear_pointer (&batch, ms_result_free);
  batch = ms_test_run (batched, "cache", 0, LIST ("capacities=2", "policies=lru"));
  check_counts (ms_result_table (batch, "layers"), 0, 1, 3, 3);
  ms_fixture_remove (path);
}

/* A given start: 1 is older than 0, layer 5 is none of the run's. */
static void
test_cache_warm_set (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 1 2 0 1 2"), .n_layers = 1, .n_experts = 3, .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 6, 0 }, &path);
  g_autofree char *set = NULL;
  g_autofree char *option = NULL;
  g_autoptr (MsResult) result = NULL;
  const MsTable *table;

  g_close (g_file_open_tmp ("warm-XXXXXX.csv", &set, NULL), NULL);
  g_assert_true (g_file_set_contents (set, "layer,expert\n0,1\n5,2\n0,0\n0,1\n", -1, NULL));
  option = g_strconcat ("warm-set=", set, NULL);
  result = ms_test_run (own, "cache", 0, LIST ("capacities=2", "policies=lru,fifo", option));
  table = ms_result_table (result, "layers");
  /* 0 and 1 hit; 2 takes the place of 0, which is longest unused, and so on. */
  check_counts (table, ms_test_row (table, "policy=lru"), 2, 1, 4);
  ms_test_near (ms_test_real (table, ms_test_row (table, "policy=lru"), "warm_hit_rate"), 0.4);
  /* 1 came first, so 2 takes its place and 1 that of 0: 0 and 2 hit once more. */
  check_counts (table, ms_test_row (table, "policy=fifo"), 4, 1, 2);
  g_unlink (set);
  ms_fixture_remove (path);
}

typedef struct
{
  double hits, cold, evictions;
} Counts;

/* One access of a cache whose residents are in the order of `queue`: of use for LRU, LFU and Belady, of
 * insertion for FIFO.  `safe` (n_safe ids, of a batch) may not go unless nothing else can. */
static void
naive_access (const Stream *stream, Content *content, const char *policy, guint capacity, gint64 at,
              guint *count, gboolean hit, const guint16 *safe, guint n_safe)
{
  guint id = stream->ids[at], victim = G_MAXUINT;
  gboolean queue = strcmp (policy, "fifo") == 0;
  /* Up to where accesses are over for the residents: in a batch its hits come first. */
  gint64 done = n_safe > 0 ? at - at % stream->width + stream->width - 1 : at;
  gint64 best = G_MAXINT64;

  count[id]++;
  if (hit && queue)
    return;
  if (hit)
    content_remove (content, (guint) content_find (content, id));
  for (guint pass = 0; pass < 2 && !hit && content->n == capacity && victim == G_MAXUINT; pass++)
    for (guint i = 0; i < content->n; i++)
      {
        guint x = content->ids[i];
        gboolean is_safe = FALSE;
        gint64 key = policy[0] == 'b' ? -next_access (stream, done, stream->n * stream->width, x)
                     : strncmp (policy, "lfu", 3) == 0 ? (gint64) count[x]
                                                       : 0;

        for (guint j = 0; j < n_safe; j++)
          is_safe = is_safe || safe[j] == x;
        if ((pass == 0 && is_safe) || key >= best)
          continue;
        best = key;
        victim = i;
      }
  if (victim != G_MAXUINT)
    {
      if (strcmp (policy, "lfu_in_cache") == 0)
        count[content->ids[victim]] = 0;
      content_remove (content, victim);
    }
  content_append (content, id);
}

static void
naive_cache (const Stream *stream, const char *policy, guint capacity, gboolean batch,
             gboolean reset, Counts *out)
{
  Content content = { .n = 0 };
  gboolean seen[32] = { FALSE };
  guint count[32] = { 0 };
  gint64 width = stream->width;

  memset (out, 0, sizeof *out);
  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);

      if (reset)
        {
          content.n = 0;
          memset (seen, 0, sizeof seen);
          memset (count, 0, sizeof count);
        }
      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          Content before = content;

          for (guint pass = 0; pass < (batch ? 2u : 1u); pass++)
            for (gint64 at = t * width; at < (t + 1) * width; at++)
              {
                guint id = stream->ids[at];
                gboolean hit;

                if (id == MS_NO_EXPERT)
                  continue;
                hit = content_find (batch ? &before : &content, id) >= 0;
                if (batch && hit != (pass == 0))
                  continue;
                out->hits += hit;
                out->cold += !seen[id] && !hit;
                out->evictions += !hit && content.n == capacity;
                seen[id] = TRUE;
                naive_access (stream, &content, policy, capacity, at, count, hit,
                              stream->ids + t * width, batch ? stream->width : 0);
              }
        }
    }
}

/* The most hits that any choice of victims can reach in serial order: over all contents as bit sets. */
static double
most_hits (const Stream *stream, guint capacity)
{
  double hits[64], after[64];

  for (guint set = 0; set < 64; set++)
    hits[set] = set == 0 ? 0 : -INFINITY;
  for (gint64 at = 0; at < stream->n * stream->width; at++)
    {
      guint id = stream->ids[at];

      if (id == MS_NO_EXPERT)
        continue;
      for (guint set = 0; set < 64; set++)
        after[set] = -INFINITY;
      for (guint set = 0; set < 64; set++)
        {
          if (set & (1u << id))
            after[set] = MAX (after[set], hits[set] + 1);
          else if ((guint) __builtin_popcount (set) < capacity)
            after[set | (1u << id)] = MAX (after[set | (1u << id)], hits[set]);
          else
            for (guint x = 0; x < stream->n_ids; x++)
              if (set & (1u << x))
                {
                  guint next = (set & ~(1u << x)) | (1u << id);

                  after[next] = MAX (after[next], hits[set]);
                }
        }
      memcpy (hits, after, sizeof hits);
    }
  for (guint set = 1; set < 64; set++)
    hits[0] = MAX (hits[0], hits[set]);
  return hits[0];
}

static void
test_cache_twin (void)
{
  static const char *const policies[] = { "lru", "lfu", "lfu_in_cache", "fifo", "belady" };

  for (guint variant = 0; variant < 4; variant++)
    {
      gboolean batch = variant & 1, reset = variant & 2;
      g_autoptr (MsResult) result = ms_test_run (
          trace, "cache", 20,
          LIST ("capacities=1,2,3,4,5", "policies=lru,lfu,lfu_in_cache,fifo,belady",
                batch ? "mode=batch" : "mode=serial", reset ? "reset=1" : "reset=0"));
      const MsTable *table = ms_result_table (result, "layers");

      for (guint l = 0; l < loaded->n_layers; l++)
        for (guint c = 1; c <= 5; c++)
          {
            g_autoptr (Stream) stream = stream_new (l, l + 1);
            double lru = 0;

            for (guint p = 0; p < G_N_ELEMENTS (policies); p++)
              {
                guint row = ms_test_row (table, "layer=%d policy=%s capacity=%u", loaded->blocks[l],
                                         policies[p], c);
                Counts counts;

                naive_cache (stream, policies[p], MIN (c, stream->n_ids), batch, reset, &counts);
                check_counts (table, row, counts.hits, counts.cold, counts.evictions);
                lru = p == 0 ? counts.hits : lru;
                if (p != G_N_ELEMENTS (policies) - 1 || batch)
                  continue;
                g_assert_cmpfloat (lru, <=, counts.hits);
                if (!reset)
                  ms_test_near (counts.hits, most_hits (stream, MIN (c, stream->n_ids)));
              }
          }
    }
}

/* One cache of c x layers slots for all: the same simulation over ids of all layers side by side. */
static void
test_cache_shared (void)
{
  static const char *const policies[] = { "lru", "lfu", "fifo", "belady" };
  g_autoptr (MsResult) result = ms_test_run (
      trace, "cache", 0, LIST ("capacities=1,2,4", "policies=lru,lfu,fifo,belady", "scope=shared"));
  const MsTable *table = ms_result_table (result, "total");
  g_autoptr (Stream) stream = stream_new (0, loaded->n_layers);

  for (guint p = 0; p < G_N_ELEMENTS (policies); p++)
    for (guint c = 1; c <= 4; c *= 2)
      {
        guint capacity = c * loaded->n_layers;
        Counts counts;

        naive_cache (stream, policies[p], capacity, FALSE, FALSE, &counts);
        check_counts (table, ms_test_row (table, "policy=%s capacity=%u", policies[p], capacity),
                      counts.hits, counts.cold, counts.evictions);
      }
}

/* The null value: the same caches when places within documents are dealt anew, alike in all layers. */
static void
test_cache_null (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 0 0 1"), .n_layers = 1, .n_experts = 2, .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 3, 1, 0 }, &path);
  g_autoptr (MsResult) alike
      = ms_test_run (own, "cache", 0, LIST ("capacities=1", "policies=lru,belady"));
  g_autoptr (MsResult) without = ms_test_run (own, "cache", 0, LIST ("capacities=1", "null=no"));
  g_autoptr (MsResult) result
      = ms_test_run (trace, "cache", 0, LIST ("capacities=1,2,3", "policies=lru,fifo,belady"));
  static const char *const policies[] = { "lru", "fifo", "belady" };

  /* Documents of one kind of token are what they were: 2 hits of 4. */
  ms_test_near (ms_test_real (ms_result_table (alike, "total"), 0, "null_hit_rate"), 0.5);
  ms_test_near (ms_test_real (ms_result_table (alike, "layers"), 1, "null_hit_rate"), 0.5);
  ms_test_near (ms_test_real (ms_result_table (without, "total"), 0, "null_hit_rate"), NAN);
  ms_fixture_remove (path);

  for (guint l = 0; l < loaded->n_layers; l++)
    {
      g_autoptr (Stream) stream = stream_new (l, l + 1);

      for (guint d = 0; d < ms_trace_n_documents (trace); d++)
        {
          const MsDocument *document = ms_trace_document (trace, d);
          guint64 state = ms_seed (1, d);

          for (gint64 left = document->n_tokens; left > 1; left--)
            {
              gint64 other = (gint64) ms_random_below (&state, (guint64) left);

              for (guint r = 0; r < stream->width; r++)
                {
                  gint64 first = document->first_token;
                  guint16 *a = &stream->ids[(first + left - 1) * stream->width + r];
                  guint16 *b = &stream->ids[(first + other) * stream->width + r];
                  guint16 keep = *a;

                  *a = *b;
                  *b = keep;
                }
            }
        }
      for (guint p = 0; p < G_N_ELEMENTS (policies); p++)
        for (guint c = 1; c <= 3; c++)
          {
            const MsTable *table = ms_result_table (result, "layers");
            guint row = ms_test_row (table, "layer=%d policy=%s capacity=%u", loaded->blocks[l],
                                     policies[p], c);
            Counts counts;

            naive_cache (stream, policies[p], c, FALSE, FALSE, &counts);
            ms_test_near (ms_test_real (table, row, "null_hit_rate"),
                          counts.hits / ms_test_real (table, row, "accesses"));
          }
    }
}

/* --- Activation matrices --------------------------------------------------------------------- */

static void
test_matrix_hand (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("0 0 0 0 0 0 0 0 0 0", "1 1 1 0 0 0 0 0 1 1"),
                       .n_layers = 2,
                       .n_experts = 2,
                       .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 3, 2, 3, 2, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (own, "transitions", 0, LIST ("predict=1"));
  g_autoptr (MsResult) cache = NULL;
  const MsTable *table = ms_result_table (result, "predictors");
  guint row = 3; /* after conditional, frequency, previous token */

  g_assert_cmpstr (ms_test_text (table, row, "predictor"), ==, "activation matrix");
  /* Documents 111 00 000 11, even ones matched with odd ones and the reverse.  Every first token takes
   * the first of the two, which is wrong in documents 0 and 1; then the right one is found. */
  ms_test_near (ms_test_real (table, row, "recall"), 0.8);
  ms_test_near (ms_test_real (table, row, "tokens"), 10);
  cache = ms_test_run (own, "cache", 0,
                       LIST ("capacities=1", "policies=lru", "prefetch=activation-matrix"));
  table = ms_result_table (cache, "layers");
  row = ms_test_row (table, "layer=1");
  /* With one slot: 0 is fetched in vain before token 0, 1 in need before document 3; the wrong 1 before
   * document 1 is there anyway. */
  ms_test_near (ms_test_real (table, row, "hits"), 8);
  ms_test_near (ms_test_real (table, row, "prefetched"), 2);
  ms_test_near (ms_test_real (table, row, "wasted"), 1);
  ms_fixture_remove (path);
}

/* How often an expert is in the tokens from..to-1 of a layer. */
static double
uses_of (const MsLayerTrace *layer, gint64 from, gint64 to, guint expert)
{
  double n = 0;

  for (gint64 t = from; t < to; t++)
    n += ms_loaded_rank (layer, t, expert) >= 0;
  return n;
}

/* The cosine of the counts of a layer in tokens a..b-1 and c..d-1, 0 where there are none. */
static double
cosine_of (const MsLayerTrace *layer, gint64 a, gint64 b, gint64 c, gint64 d)
{
  double product = 0, left = 0, right = 0;

  for (guint e = 0; e < layer->n_experts; e++)
    {
      double x = uses_of (layer, a, b, e), y = uses_of (layer, c, d, e);

      product += x * y;
      left += x * x;
      right += y * y;
    }
  return product > 0 ? product / sqrt (left * right) : 0;
}

static void
test_matrix_twin (void)
{
  for (guint held_out = 0; held_out < 2; held_out++)
    {
      g_autoptr (MsResult) result = ms_test_run (
          trace, "transitions", 0, LIST (held_out ? "train=half" : "train=same", "predict=2"));
      const MsTable *table = ms_result_table (result, "predictors");

      for (guint x = 1; x < loaded->n_layers; x++)
        {
          const MsLayerTrace *layer = loaded->layers[x];
          double recall = 0, n = 0;

          for (guint d = 0; d < ms_trace_n_documents (trace); d++)
            for (gint64 i = 0; i < ms_trace_document (trace, d)->n_tokens; i++)
              {
                gint64 first = ms_trace_document (trace, d)->first_token;
                double best = -1, found = 0, named = 0;
                const MsDocument *match = NULL;

                for (guint s = 0; s < ms_trace_n_documents (trace); s++)
                  {
                    const MsDocument *stored = ms_trace_document (trace, s);
                    double similarity = 0;

                    if (held_out && s % 2 == d % 2)
                      continue;
                    for (guint y = loaded->n_layers; y-- > x;)
                      similarity
                          += cosine_of (loaded->layers[y], first, first + i, stored->first_token,
                                        stored->first_token + stored->n_tokens);
                    if (similarity > best)
                      match = stored;
                    best = MAX (best, similarity);
                  }
                for (guint e = 0; e < layer->n_experts; e++)
                  {
                    gint64 end = match->first_token + match->n_tokens;
                    double uses = uses_of (layer, match->first_token, end, e);
                    guint better = 0;

                    for (guint o = 0; o < layer->n_experts; o++)
                      {
                        double other = uses_of (layer, match->first_token, end, o);

                        better += other > uses || (other == uses && o < e);
                      }
                    named += better < 2 && uses > 0;
                    found += better < 2 && uses > 0 && ms_loaded_rank (layer, first + i, e) >= 0;
                  }
                if (ms_loaded_size (layer, first + i) == 0 || named == 0)
                  continue;
                recall += found / ms_loaded_size (layer, first + i);
                n++;
              }
          /* Its row is the last of the layer's four. */
          ms_test_near (ms_test_real (table, 4 * x - 1, "recall"), recall / n);
        }
    }
}

/* --- Repetition ------------------------------------------------------------------------------ */

static void
test_repetition_hand (void)
{
  char *path = NULL;
  MsHandTrace hand = { .layers = LIST ("01 10 23 2- --"), .n_layers = 1, .n_experts = 4, .k = 2 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 5, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (own, "repetition", 0, NULL);
  g_autoptr (MsResult) windows = ms_test_run (own, "load-windows", 0, LIST ("window=5"));
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *runs = ms_result_table (result, "runs");
  guint row = ms_test_row (runs, "expert=2");

  /* The pair with the token without experts does not count; by chance, two pairs are of two experts and two, one
   * of two and one. */
  ms_test_near (ms_test_real (layers, 0, "pairs"), 3);
  ms_test_near (ms_test_real (layers, 0, "first_choice"), 1.0 / 3);
  ms_test_near (ms_test_real (layers, 0, "any_choice"), 2.0 / 3);
  ms_test_near (ms_test_real (layers, 0, "mean_overlap"), (1 + 0 + 0.5) / 3);
  ms_test_near (ms_test_real (layers, 0, "identical_set"), 1.0 / 3);
  ms_test_near (ms_test_real (layers, 0, "first_choice_random"), 1.0 / 4);
  ms_test_near (ms_test_real (layers, 0, "any_choice_random"), (5.0 / 6 + 5.0 / 6 + 0.5) / 3);
  ms_test_near (ms_test_real (layers, 0, "mean_overlap_random"), (0.5 + 0.5 + 0.25) / 3);
  ms_test_near (ms_test_real (layers, 0, "identical_set_random"), 1.0 / 9);
  /* Three tokens of two experts, one of one, one of none: sum k (E - k) = 15, sum k = 7. */
  ms_test_near (ms_test_real (ms_result_table (windows, "windows"), 0, "noise_floor"),
                sqrt (15) / 7);
  ms_test_near (ms_test_real (runs, row, "runs"), 1);
  ms_test_near (ms_test_real (runs, row, "longest"), 2);
  ms_test_near (ms_test_real (runs, row, "mean_length"), 2);
  ms_test_near (ms_test_real (runs, row, "independent_length"), 1 / (1 - 2.0 / 5));
  ms_fixture_remove (path);
}

static void
test_repetition_twin (void)
{
  g_autoptr (MsResult) result = ms_test_run (trace, "repetition", 20, NULL);
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *table = ms_result_table (result, "runs");

  for (guint l = 0; l < loaded->n_layers; l++)
    {
      const MsLayerTrace *layer = loaded->layers[l];
      guint row = ms_test_row (layers, "layer=%d", loaded->blocks[l]);
      double pairs = 0, first = 0, any = 0, overlap = 0, identical = 0;
      double runs[8] = { 0 }, longest[8] = { 0 }, uses[8] = { 0 };

      for (guint d = 0; d < ms_trace_n_documents (trace); d++)
        {
          const MsDocument *document = ms_trace_document (trace, d);

          for (gint64 i = 0; i < document->n_tokens; i++)
            {
              gint64 t = document->first_token + i;
              guint n = ms_loaded_size (layer, t), before, common = 0;

              for (guint e = 0; e < layer->n_experts; e++)
                {
                  gint64 length = 0;

                  if (ms_loaded_rank (layer, t, e) < 0)
                    continue;
                  uses[e]++;
                  if (i > 0 && ms_loaded_rank (layer, t - 1, e) >= 0)
                    {
                      common++;
                      continue;
                    }
                  while (i + length < document->n_tokens
                         && ms_loaded_rank (layer, t + length, e) >= 0)
                    length++;
                  runs[e]++;
                  longest[e] = MAX (longest[e], (double) length);
                }
              before = i > 0 ? ms_loaded_size (layer, t - 1) : 0;
              if (n == 0 || before == 0)
                continue;
              pairs++;
              first += ms_loaded_rank (layer, t - 1, layer->experts[(gsize) t * layer->k]) == 0;
              any += common > 0;
              overlap += (double) common / MAX (n, before);
              identical += common == n && common == before;
            }
        }
      ms_test_near (ms_test_real (layers, row, "pairs"), pairs);
      ms_test_near (ms_test_real (layers, row, "first_choice"), first / pairs);
      ms_test_near (ms_test_real (layers, row, "any_choice"), any / pairs);
      ms_test_near (ms_test_real (layers, row, "mean_overlap"), overlap / pairs);
      ms_test_near (ms_test_real (layers, row, "identical_set"), identical / pairs);
      for (guint e = 0; e < layer->n_experts; e++)
        {
          row = ms_test_row (table, "layer=%d expert=%u", loaded->blocks[l], e);
          ms_test_near (ms_test_real (table, row, "runs"), runs[e]);
          ms_test_near (ms_test_real (table, row, "longest"), longest[e]);
          ms_test_near (ms_test_real (table, row, "mean_length"), uses[e] / runs[e]);
        }
    }
}

/* --- Transitions ----------------------------------------------------------------------------- */

static void
test_transitions_hand (void)
{
  char *path = NULL;
  MsHandTrace hand
      = { .layers = LIST ("0 0 1 1", "0 0 1 0"), .n_layers = 2, .n_experts = 2, .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 4, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (own, "transitions", 0, LIST ("train=same"));
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *pairs = ms_result_table (result, "pairs");
  const MsTable *predictors = ms_result_table (result, "predictors");
  double information
      = 0.5 * log (0.5 / 0.375) + 0.25 * log (0.25 / 0.375) + 0.25 * log (0.25 / 0.125);
  guint row = ms_test_row (pairs, "expert=1 next_expert=1");

  ms_test_near (ms_test_real (layers, 0, "pairs"), 4);
  ms_test_near (ms_test_real (layers, 0, "mutual_information_nats"), information);
  /* The next layer's marginal, 3/4 and 1/4, has the smaller entropy. */
  ms_test_near (ms_test_real (layers, 0, "normalised_mi"),
                information / -(0.75 * log (0.75) + 0.25 * log (0.25)));
  ms_test_near (ms_test_real (pairs, row, "share"), 0.25);
  ms_test_near (ms_test_real (pairs, row, "lift"), 2);
  /* After 1 both experts are as likely: the lower one, wrong at token 2.  So is the frequent one.  The
   * token before is right at token 1 alone of three. */
  ms_test_near (
      ms_test_real (predictors, ms_test_row (predictors, "predictor=conditional"), "recall"), 0.75);
  ms_test_near (
      ms_test_real (predictors, ms_test_row (predictors, "predictor=frequency"), "recall"), 0.75);
  ms_test_near (ms_test_real (predictors, 2, "recall"), 1.0 / 3);
  ms_fixture_remove (path);
}

static double
entropy_of (const double *counts, guint n)
{
  double sum = 0, h = 0;

  for (guint i = 0; i < n; i++)
    sum += counts[i];
  for (guint i = 0; i < n; i++)
    h -= counts[i] > 0 ? counts[i] / sum * log (counts[i] / sum) : 0;
  return h;
}

/* How often a and b were chosen together in two layers, over documents of a parity (2 = all). */
static double
together (const MsLayerTrace *from, const MsLayerTrace *to, guint a, guint b, guint parity)
{
  double n = 0;

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);

      for (gint64 i = 0; i < document->n_tokens && (parity == 2 || d % 2 == parity); i++)
        n += ms_loaded_rank (from, document->first_token + i, a) >= 0
             && ms_loaded_rank (to, document->first_token + i, b) >= 0;
    }
  return n;
}

/* Mean recall of the conditional predictor, trained on the documents of the other parity; it predicts nothing
 * for a token without an expert in the layer before. */
static double
conditional_recall (const MsLayerTrace *from, const MsLayerTrace *to)
{
  double count[2][8][8], recall = 0, n = 0;

  for (guint parity = 0; parity < 2; parity++)
    for (guint a = 0; a < from->n_experts; a++)
      for (guint b = 0; b < to->n_experts; b++)
        count[parity][a][b] = together (from, to, a, b, parity);
  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          double score[8] = { 0 }, found = 0;

          if (ms_loaded_size (to, t) == 0 || ms_loaded_size (from, t) == 0)
            continue;
          for (guint a = 0; a < from->n_experts; a++)
            {
              double sum = 0;

              for (guint b = 0; b < to->n_experts; b++)
                sum += count[1 - d % 2][a][b];
              for (guint b = 0; b < to->n_experts && sum > 0; b++)
                score[b] += ms_loaded_rank (from, t, a) >= 0 ? count[1 - d % 2][a][b] / sum : 0;
            }
          for (guint b = 0; b < to->n_experts; b++)
            {
              guint better = 0;

              for (guint x = 0; x < to->n_experts; x++)
                better += score[x] > score[b] || (score[x] == score[b] && x < b);
              found += better < to->k && score[b] > 0 && ms_loaded_rank (to, t, b) >= 0;
            }
          recall += found / ms_loaded_size (to, t);
          n++;
        }
    }
  return recall / n;
}

static void
test_transitions_twin (void)
{
  g_autoptr (MsResult) result = ms_test_run (trace, "transitions", 0, LIST ("least=0"));
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *pairs = ms_result_table (result, "pairs");
  const MsTable *predictors = ms_result_table (result, "predictors");

  for (guint l = 0; l + 1 < loaded->n_layers; l++)
    {
      const MsLayerTrace *from = loaded->layers[l], *to = loaded->layers[l + 1];
      double joint[64] = { 0 }, rows[8] = { 0 }, columns[8] = { 0 }, h_a, h_b, information;
      guint row = ms_test_row (layers, "layer=%d", loaded->blocks[l]);

      for (guint a = 0; a < from->n_experts; a++)
        for (guint b = 0; b < to->n_experts; b++)
          {
            double n = together (from, to, a, b, 2);

            joint[a * 8 + b] = n;
            rows[a] += n;
            columns[b] += n;
            ms_test_near (ms_test_real (pairs,
                                        ms_test_row (pairs, "layer=%d expert=%u next_expert=%u",
                                                     loaded->blocks[l], a, b),
                                        "count"),
                          n);
          }
      h_a = entropy_of (rows, 8);
      h_b = entropy_of (columns, 8);
      information = h_a + h_b - entropy_of (joint, 64);
      ms_test_near (ms_test_real (layers, row, "mutual_information_nats"), information);
      ms_test_near (ms_test_real (layers, row, "normalised_mi"), information / MIN (h_a, h_b));
      row = ms_test_row (predictors, "layer=%d predictor=conditional", loaded->blocks[l + 1]);
      ms_test_near (ms_test_real (predictors, row, "recall"), conditional_recall (from, to));
    }
}

/* Two documents: in one the layers agree, in the other the next always takes expert 0.  Of resamples some
 * see one of them alone, some both. */
static void
test_transitions_intervals (void)
{
  char *path = NULL;
  MsHandTrace hand
      = { .layers = LIST ("0 1 0 1", "0 1 0 0"), .n_layers = 2, .n_experts = 2, .k = 1 };
  g_autoptr (MsTrace) own = ms_hand_trace (&hand, (guint[]){ 2, 2, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run (own, "transitions", 100, LIST ("train=same"));
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *predictors = ms_result_table (result, "predictors");
  double information
      = 0.5 * log (0.5 / 0.375) + 0.25 * log (0.25 / 0.375) + 0.25 * log (0.25 / 0.125);
  guint row = ms_test_row (predictors, "predictor=conditional");

  ms_test_near (ms_test_real (layers, 0, "mutual_information_nats"), information);
  /* Of two documents the interval is as wide as t (1) makes it, 12.7 standard errors, and holds the value. */
  g_assert_cmpfloat (ms_test_real (layers, 0, "mutual_information_low"), <, information);
  g_assert_cmpfloat (ms_test_real (layers, 0, "mutual_information_high"), >, information);
  /* After 1 both are as likely, so 0: one wrong of the first document's two, none of the second's. */
  ms_test_near (ms_test_real (predictors, row, "recall"), 0.75);
  ms_test_near (ms_test_real (predictors, row, "recall_low"), 0);
  ms_test_near (ms_test_real (predictors, row, "recall_high"), 1);
  ms_fixture_remove (path);
}

/* --- Two runs -------------------------------------------------------------------------------- */

static void
test_compare_hand (void)
{
  char *path = NULL;
  MsHandTrace a = { .layers = LIST ("01 12 0- --"), .n_layers = 1, .n_experts = 4, .k = 2 };
  MsHandTrace b = { .layers = LIST ("10 13 0- --"), .n_layers = 1, .n_experts = 4, .k = 2 };
  g_autoptr (MsTrace) first = ms_hand_trace (&a, (guint[]){ 4, 0 }, &path);
  g_autoptr (MsTrace) second = ms_hand_trace (&b, (guint[]){ 4, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run_against (first, &second, 1, "compare", 0, NULL);
  const MsTable *layers = ms_result_table (result, "layers");

  ms_test_near (ms_test_real (layers, 0, "set_change_rate"), 1.0 / 4);
  ms_test_near (ms_test_real (layers, 0, "top1_change_rate"), 1.0 / 4);
  ms_test_near (ms_test_real (layers, 0, "order_change_rate"), 2.0 / 4);
  /* The last token has no set in either run: nothing to overlap. */
  ms_test_near (ms_test_real (layers, 0, "overlap"), (1 + 0.5 + 1) / 3);
  ms_test_near (ms_test_real (layers, 0, "jaccard"), (1 + 1.0 / 3 + 1) / 3);
  ms_test_near (ms_test_real (layers, 0, "mean_experts_changed"), 1.0 / 3);
  ms_test_near (ms_test_real (layers, 0, "weight_l1"), (0 + 1 + 0) / 3.0);
  ms_fixture_remove (path);
}

/* A change of load is the run less its baseline, in every analysis that tells it, and axes name both. */
static void
test_compare_direction (void)
{
  char *path = NULL;
  MsHandTrace a = { .layers = LIST ("0 0 0 1"), .n_layers = 1, .n_experts = 2, .k = 1 };
  MsHandTrace b = { .layers = LIST ("0 1 1 1"), .n_layers = 1, .n_experts = 2, .k = 1 };
  g_autoptr (MsTrace) run = ms_hand_trace (&a, (guint[]){ 4, 0 }, &path);
  g_autoptr (MsTrace) base = ms_hand_trace (&b, (guint[]){ 4, 0 }, &path);
  g_autoptr (MsResult) compared = ms_test_run_against (run, &base, 1, "compare", 0, NULL);
  g_autoptr (MsResult) mapped = ms_test_run_against (run, &base, 1, "experts", 0, NULL);
  const MsTable *tables[]
      = { ms_result_table (compared, "experts"), ms_result_table (mapped, "map") };
  g_autofree char *name = ms_run_label (ms_trace_run (run));
  g_autofree char *base_name = ms_run_label (ms_trace_run (base));
  g_autofree char *title = g_strdup_printf ("Load, %s minus %s", name, base_name);
  g_autofree char *share = g_strdup_printf ("Share of decisions, %s", base_name);

  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    {
      int change = ms_table_find_column (tables[i], "change");

      ms_test_near (ms_test_real (tables[i], 0, "change"), 2 * 0.75 - 2 * 0.25);
      ms_test_near (ms_test_real (tables[i], 1, "change"), 2 * 0.25 - 2 * 0.75);
      g_assert_cmpstr (ms_table_column (tables[i], (guint) change)->title, ==, title);
    }
  g_assert_cmpstr (
      ms_table_column (tables[0], (guint) ms_table_find_column (tables[0], "base_share"))->title,
      ==, share);
  ms_test_near (ms_test_real (tables[0], 0, "base_share"), 0.25);
  ms_fixture_remove (path);
}

/* The change of loss by the number of layers that differ, against plain sums over the tokens. */
static void
test_compare_losses (void)
{
  char *path = ms_fixture_rich (NULL, 0), *same = ms_fixture_rich (path, 0.3);
  g_autoptr (MsSelection) everything = ms_selection_new ();
  g_autoptr (MsTrace) run = ms_trace_open (path, 2, everything, NULL);
  g_autoptr (MsTrace) base = ms_trace_open (path, 1, everything, NULL);
  g_autoptr (MsResult) result = ms_test_run_against (run, &base, 1, "compare", 20, NULL);
  g_autofree float *own = NULL, *other = NULL;
  const MsTable *losses = ms_result_table (result, "losses");
  double tokens = 0, change = 0, expected = 0, n = 0;

  g_assert_true (ms_trace_predictions (run, NULL, &own, NULL));
  g_assert_true (ms_trace_predictions (base, NULL, &other, NULL));
  for (gint64 t = 0; t < ms_trace_n_tokens (run); t++)
    if (!isnan (own[t]) && !isnan (other[t]))
      {
        expected += (double) own[t] - (double) other[t];
        n++;
      }
  g_assert_cmpuint (ms_table_n_rows (losses), >, 1);
  for (guint row = 0; row < ms_table_n_rows (losses); row++)
    {
      ms_test_near (ms_test_real (losses, row, "change"),
                    ms_test_real (losses, row, "loss") - ms_test_real (losses, row, "base_loss"));
      tokens += ms_test_real (losses, row, "tokens");
      change += ms_test_real (losses, row, "tokens") * ms_test_real (losses, row, "change");
    }
  ms_test_near (tokens, n);
  g_assert_cmpfloat_with_epsilon (change / tokens, expected / n, 1e-6);
  g_assert_nonnull (strstr (result->summary, "The mean loss changes by"));
  g_free (same);
  ms_fixture_remove (path);
}

/* Routers that are certain of different experts: finite all the same. */
static void
test_compare_zeros (void)
{
  char *path = NULL;
  MsHandTrace a = { .layers = LIST ("0"),
                    .n_layers = 1,
                    .n_experts = 2,
                    .k = 1,
                    .probabilities = (const float[]){ 1, 0 } };
  MsHandTrace b = { .layers = LIST ("1"),
                    .n_layers = 1,
                    .n_experts = 2,
                    .k = 1,
                    .probabilities = (const float[]){ 0, 1 } };
  g_autoptr (MsTrace) first = ms_hand_trace (&a, (guint[]){ 1, 0 }, &path);
  g_autoptr (MsTrace) second = ms_hand_trace (&b, (guint[]){ 1, 0 }, &path);
  g_autoptr (MsResult) result = ms_test_run_against (first, &second, 1, "compare", 0, NULL);
  const MsTable *layers = ms_result_table (result, "layers");

  g_assert_cmpfloat_with_epsilon (ms_test_real (layers, 0, "kl_a_b_nats"), 10 * log (10), 1e-7);
  g_assert_cmpfloat_with_epsilon (ms_test_real (layers, 0, "js_nats"), log (2), 1e-7);
  ms_fixture_remove (path);
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
  return *(const guint16 *) a - *(const guint16 *) b;
}

/* Experts in common of two sets by sorting both and walking along. */
static guint
common_sorted (const MsLayerTrace *a, const MsLayerTrace *b, gint64 t)
{
  guint16 x[8], y[8];
  guint n = ms_loaded_size (a, t), m = ms_loaded_size (b, t), common = 0;

  memcpy (x, a->experts + (gsize) t * a->k, n * sizeof *x);
  memcpy (y, b->experts + (gsize) t * b->k, m * sizeof *y);
  qsort (x, n, sizeof *x, compare_ids);
  qsort (y, m, sizeof *y, compare_ids);
  for (guint i = 0, j = 0; i < n && j < m;)
    if (x[i] == y[j])
      {
        common++;
        i++;
        j++;
      }
    else if (x[i] < y[j])
      i++;
    else
      j++;
  return common;
}

/* The weight of an expert among the chosen ones of a token. */
static double
weight_share (const MsLayerTrace *layer, gint64 t, guint expert)
{
  int rank = ms_loaded_rank (layer, t, expert);
  double sum = 0;

  for (guint r = 0; r < layer->k; r++)
    sum += (double) layer->weights[(gsize) t * layer->k + r];
  return rank >= 0 ? (double) layer->weights[(gsize) t * layer->k + (gsize) rank] / sum : 0;
}

static void
probabilities (const MsLayerTrace *layer, gint64 t, double *p)
{
  double sum = 0;

  for (guint e = 0; e < layer->n_experts; e++)
    sum += p[e] = exp ((double) layer->logits[(gsize) t * layer->n_experts + e]);
  for (guint e = 0; e < layer->n_experts; e++)
    p[e] /= sum;
}

static void
test_compare_twin (void)
{
  char *path = NULL;
  g_autoptr (MsTrace) other = ms_random_trace (0.8, &path);
  g_autoptr (MsLoaded) second
      = ms_loaded_new (other, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_LOGITS);
  g_autoptr (MsResult) result = ms_test_run_against (trace, &other, 1, "compare", 20, NULL);
  const MsTable *layers = ms_result_table (result, "layers");
  const MsTable *total = ms_result_table (result, "total");
  gint64 n_tokens = ms_trace_n_tokens (trace);
  double differing = 0, any = 0;

  for (guint l = 0; l < loaded->n_layers; l++)
    {
      const MsLayerTrace *a = loaded->layers[l], *b = second->layers[l];
      guint row = ms_test_row (layers, "layer=%d", loaded->blocks[l]);
      double sets = 0, overlap = 0, jaccard = 0, n = 0, distance = 0, both = 0, kl = 0;

      for (gint64 t = 0; t < n_tokens; t++)
        {
          guint n_a = ms_loaded_size (a, t), n_b = ms_loaded_size (b, t);
          guint common = common_sorted (a, b, t), larger = MAX (n_a, n_b);
          double p[8] = { 0 }, q[8] = { 0 };

          sets += common != larger;
          probabilities (a, t, p);
          probabilities (b, t, q);
          for (guint e = 0; e < a->n_experts; e++)
            kl += p[e] * log (p[e] / q[e]);
          if (larger == 0)
            continue;
          n++;
          overlap += (double) common / larger;
          jaccard += (double) common / (n_a + n_b - common);
          if (MIN (n_a, n_b) == 0)
            continue;
          both++;
          for (guint e = 0; e < a->n_experts; e++)
            distance += fabs (weight_share (a, t, e) - weight_share (b, t, e));
        }
      g_assert_cmpfloat (sets, >, 0);
      for (guint k = 0; k < 2; k++)
        {
          const MsTable *intervals = ms_result_table (result, "intervals");
          guint at = ms_test_row (intervals, "layer=%d measure=set_change_rate", loaded->blocks[l]);

          ms_test_near (ms_test_real (intervals, at, k == 0 ? "low" : "high"),
                        ms_test_real (layers, row, k == 0 ? "set_change_low" : "set_change_high"));
          at = ms_test_row (intervals, "layer=%d measure=kl_a_b_nats", loaded->blocks[l]);
          ms_test_near (ms_test_real (intervals, at, "value"),
                        ms_test_real (layers, row, "kl_a_b_nats"));
        }
      ms_test_near (ms_test_real (layers, row, "set_change_rate"), sets / (double) n_tokens);
      ms_test_near (ms_test_real (layers, row, "overlap"), overlap / n);
      ms_test_near (ms_test_real (layers, row, "jaccard"), jaccard / n);
      ms_test_near (ms_test_real (layers, row, "weight_l1"), distance / both);
      ms_test_near (ms_test_real (layers, row, "kl_a_b_nats"), kl / (double) n_tokens);
      differing += sets;
    }
  for (gint64 t = 0; t < n_tokens; t++)
    {
      gboolean differs = FALSE;

      for (guint l = 0; l < loaded->n_layers; l++)
        differs = differs
                  || common_sorted (loaded->layers[l], second->layers[l], t)
                         != MAX (ms_loaded_size (loaded->layers[l], t),
                                 ms_loaded_size (second->layers[l], t));
      any += differs;
    }
  ms_test_near (
      ms_test_real (total, ms_test_row (total, "measure=router_difference_rate"), "value"),
      differing / (double) n_tokens / loaded->n_layers);
  ms_test_near (
      ms_test_real (total, ms_test_row (total, "measure=tokens_with_any_difference"), "value"),
      any / (double) n_tokens);
  ms_fixture_remove (path);
}

/* --- Checkpoints ----------------------------------------------------------------------------- */

static void
test_saturation_hand (void)
{
  char *path = NULL;
  const char *const steps[] = { "1 1 0", "0 0 2", "0 1 2" };
  MsTrace *traces[3];
  g_autoptr (MsResult) result = NULL;
  const MsTable *checkpoints, *neighbours, *fluctuation;

  for (guint i = 0; i < 3; i++)
    {
      MsHandTrace hand = { .layers = &steps[i], .n_layers = 1, .n_experts = 3, .k = 1 };

      traces[i] = ms_hand_trace (&hand, (guint[]){ 3, 0 }, &path);
    }
  result = ms_test_run_against (traces[2], traces, 2, "saturation", 0, LIST ("steps=10,20,40"));
  checkpoints = ms_result_table (result, "checkpoints");
  neighbours = ms_result_table (result, "neighbours");
  fluctuation = ms_result_table (result, "fluctuation");
  ms_test_near (ms_test_real (checkpoints, 0, "saturation"), 1.0 / 3);
  ms_test_near (ms_test_real (checkpoints, 0, "fraction_of_training"), 0.25);
  ms_test_near (ms_test_real (checkpoints, 1, "saturation"), 2.0 / 3);
  ms_test_near (ms_test_real (checkpoints, 2, "saturation"), 1);
  ms_test_near (ms_test_real (neighbours, 0, "neighbour_change_rate"), 1);
  ms_test_near (ms_test_real (neighbours, 1, "neighbour_change_rate"), 1.0 / 3);
  /* Tokens 0 and 2 last differ at step 10, token 1 (right at first) at step 20. */
  ms_test_near (ms_test_real (fluctuation, 2, "tokens_settled"), 0);
  ms_test_near (ms_test_real (fluctuation, 3, "tokens_settled"), 2.0 / 3);
  ms_test_near (ms_test_real (fluctuation, 5, "tokens_settled"), 1);
  for (guint i = 0; i < 3; i++)
    ms_trace_unref (traces[i]);
  ms_fixture_remove (path);
}

/* Two documents of a token each, settled after steps 10 and 20: resamples see one of them or both. */
/* Steps that the names tell are the axis; where they tell none checkpoints are counted, and no share of training
 * is made of that. */
static void
test_saturation_steps (void)
{
  static const struct
  {
    const char *name;
    gint64 step;
  } names[] = { { "step 001200", 1200 },    { "OLMoE-step1220000-tokens5117B", 1220000 },
                { "checkpoint-30", 30 },    { "iter_0000500", 500 },
                { "footstep 3", -1 },       { "stepwise", -1 },
                { "Q4_K_M of layer 7", -1 } };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpint (ms_run_step (&(MsRun){ .name = (char *) names[i].name }), ==, names[i].step);
  g_assert_cmpint (ms_run_step (&(MsRun){ .command = (char *) "moescope collect m-step70.gguf" }),
                   ==, 70);
  for (guint known = 0; known < 2; known++)
    {
      MsHandTrace hand = { .layers = LIST ("01 12"), .n_layers = 1, .n_experts = 4, .k = 2 };
      char *path = NULL;
      MsTrace *traces[2];
      g_autoptr (MsResult) result = NULL;
      const MsTable *table;
      guint step;

      for (guint i = 0; i < 2; i++)
        traces[i] = ms_hand_trace (&hand, (guint[]){ 2, 0 }, &path);
      result = ms_test_run_against (traces[1], traces, 1, "saturation", 0,
                                    known ? LIST ("steps=10,40") : NULL);
      table = ms_result_table (result, "checkpoints");
      step = (guint) ms_table_find_column (table, "step");
      g_assert_cmpstr (ms_table_column (table, step)->title, ==,
                       known ? "Training step" : "Checkpoint");
      g_assert_cmpint (ms_table_get_int (table, 0, step), ==, known ? 10 : 1);
      g_assert_cmpint (isnan (ms_test_real (table, 0, "fraction_of_training")), ==, !known);
      for (guint i = 0; i < 2; i++)
        ms_trace_unref (traces[i]);
      ms_fixture_remove (path);
    }
}

static void
test_saturation_intervals (void)
{
  char *path = NULL;
  const char *const steps[] = { "1 1", "0 0", "0 1" };
  MsTrace *traces[3];
  g_autoptr (MsResult) result = NULL;
  const MsTable *neighbours, *fluctuation;

  for (guint i = 0; i < 3; i++)
    {
      MsHandTrace hand = { .layers = &steps[i], .n_layers = 1, .n_experts = 2, .k = 1 };

      traces[i] = ms_hand_trace (&hand, (guint[]){ 1, 1, 0 }, &path);
    }
  result = ms_test_run_against (traces[2], traces, 2, "saturation", 100, LIST ("steps=10,20,40"));
  neighbours = ms_result_table (result, "neighbours");
  fluctuation = ms_result_table (result, "fluctuation");
  ms_test_near (ms_test_real (neighbours, 0, "neighbour_change_low"), 1);
  ms_test_near (ms_test_real (neighbours, 0, "neighbour_change_high"), 1);
  ms_test_near (ms_test_real (neighbours, 1, "set_change_rate"), 0.5);
  ms_test_near (ms_test_real (neighbours, 1, "set_change_low"), 0);
  ms_test_near (ms_test_real (neighbours, 1, "set_change_high"), 1);
  ms_test_near (ms_test_real (fluctuation, 2, "high"), 0);
  ms_test_near (ms_test_real (fluctuation, 3, "tokens_settled"), 0.5);
  ms_test_near (ms_test_real (fluctuation, 3, "low"), 0);
  ms_test_near (ms_test_real (fluctuation, 3, "high"), 1);
  ms_test_near (ms_test_real (fluctuation, 5, "low"), 1);
  for (guint i = 0; i < 3; i++)
    ms_trace_unref (traces[i]);
  ms_fixture_remove (path);
}

static void
test_saturation_twin (void)
{
  static const double noise[] = { 1.5, 0.7, 0.3 };
  char *path = NULL;
  MsTrace *others[3];
  MsLoaded *series[4];
  g_autoptr (MsResult) result = NULL;
  const MsTable *checkpoints, *fluctuation;

  for (guint i = 0; i < 3; i++)
    {
      others[i] = ms_random_trace (noise[i], &path);
      series[i] = ms_loaded_new (others[i], MS_CHUNK_EXPERTS);
    }
  series[3] = loaded;
  result = ms_test_run_against (trace, others, 3, "saturation", 20, LIST ("steps=1,5,6,10"));
  checkpoints = ms_result_table (result, "checkpoints");
  fluctuation = ms_result_table (result, "fluctuation");
  for (guint l = 0; l < loaded->n_layers; l++)
    {
      const MsLayerTrace *final = loaded->layers[l];
      double settled = 0;

      for (guint i = 0; i < 4; i++)
        {
          const MsLayerTrace *layer = series[i]->layers[l];
          guint row = l * 4 + i;
          double overlap = 0, sized = 0, same = 0;

          for (gint64 t = 0; t < final->n_tokens; t++)
            {
              guint larger = MAX (ms_loaded_size (layer, t), ms_loaded_size (final, t));
              guint common = common_sorted (layer, final, t);

              overlap += larger > 0 ? (double) common / larger : 0;
              sized += larger > 0;
              same += common == larger;
            }
          ms_test_near (ms_test_real (checkpoints, row, "saturation"), overlap / sized);
          ms_test_near (ms_test_real (checkpoints, row, "exact_set_match"),
                        same / (double) final->n_tokens);
        }
      /* Settled by half of the training: from the checkpoint of step 6 on as at the end. */
      for (gint64 t = 0; t < final->n_tokens; t++)
        settled += common_sorted (series[2]->layers[l], final, t)
                   == MAX (ms_loaded_size (series[2]->layers[l], t), ms_loaded_size (final, t));
      ms_test_near (ms_test_real (fluctuation, l * 11 + 5, "tokens_settled"),
                    settled / (double) final->n_tokens);
    }
  for (guint i = 0; i < 3; i++)
    {
      ms_loaded_free (series[i]);
      ms_trace_unref (others[i]);
    }
  ms_fixture_remove (path);
}

int
main (int argc, char **argv)
{
  char *path = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  trace = ms_random_trace (0, &path);
  loaded = ms_loaded_new (trace, MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS | MS_CHUNK_LOGITS);
  g_test_add_func ("/srp/hand", test_srp_hand);
  g_test_add_func ("/srp/twin", test_srp_twin);
  g_test_add_func ("/hit-rate/hand", test_hit_rate_hand);
  g_test_add_func ("/hit-rate/twin", test_hit_rate_twin);
  g_test_add_func ("/stack/simulator", test_stack);
  g_test_add_func ("/cache/hand", test_cache_hand);
  g_test_add_func ("/cache/twin", test_cache_twin);
  g_test_add_func ("/cache/shared", test_cache_shared);
  g_test_add_func ("/cache/warm-set", test_cache_warm_set);
  g_test_add_func ("/cache/null", test_cache_null);
  g_test_add_func ("/activation-matrix/hand", test_matrix_hand);
  g_test_add_func ("/activation-matrix/twin", test_matrix_twin);
  g_test_add_func ("/repetition/hand", test_repetition_hand);
  g_test_add_func ("/repetition/twin", test_repetition_twin);
  g_test_add_func ("/transitions/hand", test_transitions_hand);
  g_test_add_func ("/transitions/twin", test_transitions_twin);
  g_test_add_func ("/transitions/intervals", test_transitions_intervals);
  g_test_add_func ("/compare/hand", test_compare_hand);
  g_test_add_func ("/compare/direction", test_compare_direction);
  g_test_add_func ("/compare/losses", test_compare_losses);
  g_test_add_func ("/compare/zeros", test_compare_zeros);
  g_test_add_func ("/compare/twin", test_compare_twin);
  g_test_add_func ("/saturation/hand", test_saturation_hand);
  g_test_add_func ("/saturation/steps", test_saturation_steps);
  g_test_add_func ("/saturation/intervals", test_saturation_intervals);
  g_test_add_func ("/saturation/twin", test_saturation_twin);
  status = g_test_run ();
  ms_loaded_free (loaded);
  ms_trace_unref (trace);
  ms_fixture_remove (path);
  return status;
}
