/* What analyses say of traces that are not what they seem: runs laid against each other wrongly, and traces
 * that tell nothing.  The traces are made here. */
#include "analysis-private.h"
#include "routing-trace.h"

#include <math.h>
#include <string.h>

#define N_EXPERTS   16
#define N_LAYERS    4
#define LENGTH      60 /* tokens of a document */
#define N_DOCUMENTS 4
#define LIST(...)   ((const char *const[]){ __VA_ARGS__, NULL })

/* --- Runs against each other ------------------------------------------------------------------ */

/* Decisions drawn for (layer, token), and how the run records them. */
typedef struct
{
  int tokens, layers; /* what is recorded at (l, t) was drawn for (l - layers, t - tokens) */
  gboolean renumbered;
  guint from; /* the first layer that is renumbered */
  guint k;
  double noise; /* share of (layer, token) drawn anew */
  guint64 stream;
} Way;

static guint64
drawn (guint64 stream, gint64 layer, gint64 token)
{
  guint64 state = stream * 1000003 + (guint64) (layer + 10) * 10007 + (guint64) (token + 10);

  ms_random_next (&state);
  return ms_random_next (&state);
}

static void
fill_way (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const Way *way = data;
  gint64 at = position - way->tokens, from = (gint64) layer - way->layers;
  guint64 state = drawn (0, from, at), other = drawn (99, from, at);

  if (way->stream != 0 || ms_random_double (&other) < way->noise)
    state = drawn (way->stream + 7, from, at);
  for (guint i = 0; i < way->k; i++)
    {
      guint expert;
      gboolean had;

      do
        {
          expert = (guint) ms_random_below (&state, N_EXPERTS);
          if (way->renumbered && layer >= way->from)
            expert = (expert * 5 + 3 + layer) % N_EXPERTS;
          had = FALSE;
          for (guint j = 0; j < i; j++)
            had = had || token->experts[j] == expert;
        }
      while (had);
      token->experts[i] = (guint16) expert;
      token->weights[i] = 1.0f / (float) way->k;
    }
}

static MsTrace *
open_way (const Way *way, char **path)
{
  MsLayer layers[N_LAYERS];
  MsDocument documents[N_DOCUMENTS] = { 0 };
  MsFixture fixture = { .n_layers = N_LAYERS,
                        .layers = layers,
                        .n_documents = N_DOCUMENTS,
                        .documents = documents,
                        .fill = fill_way,
                        .data = (gpointer) way };
  g_autoptr (GError) error = NULL;
  char *written;
  MsTrace *trace;

  for (guint l = 0; l < N_LAYERS; l++)
    layers[l] = (MsLayer){ .number = (int) l,
                           .gate = { .scoring = MS_SCORING_SOFTMAX,
                                     .n_experts = N_EXPERTS,
                                     .k = way->k,
                                     .renormalise = TRUE,
                                     .scale = 1 } };
  for (guint d = 0; d < N_DOCUMENTS; d++)
    documents[d].n_tokens = LENGTH;
  written = ms_fixture_write (&fixture, *path);
  if (*path == NULL)
    *path = written;
  else
    g_free (written);
  trace = ms_trace_open (*path, 0, NULL, &error);
  g_assert_no_error (error);
  return trace;
}

/* Compares a plain run with another and looks for words in the sentence; `never` must not be there. */
static void
check_compared (const Way *way, const char *said, const char *never)
{
  const Way plain = { .k = 2 };
  char *path = NULL;
  g_autoptr (MsTrace) first = open_way (&plain, &path);
  g_autoptr (MsTrace) second = open_way (way, &path);
  g_autoptr (MsResult) result = ms_test_run_against (first, &second, 1, "compare", 0, NULL);

  g_test_message ("%s", result->summary);
  if (said != NULL)
    g_assert_nonnull (strstr (result->summary, said));
  if (never != NULL)
    g_assert_null (strstr (result->summary, never));
  ms_fixture_remove (path);
}

static void
test_moved_by_tokens (void)
{
  for (int tokens = -2; tokens <= 2; tokens++)
    if (tokens != 0)
      {
        g_autofree char *said
            = g_strdup_printf ("moving the baseline by %+d token%s gives 0 %% change", -tokens,
                               ABS (tokens) == 1 ? "" : "s");

        check_compared (&(Way){ .tokens = tokens, .k = 2 }, said, NULL);
      }
}

static void
test_moved_by_layers (void)
{
  check_compared (&(Way){ .layers = 1, .k = 2 },
                  "moving the baseline by -1 MoE layer gives 0 % change", NULL);
  check_compared (&(Way){ .layers = -2, .k = 2 },
                  "moving the baseline by +2 MoE layers gives 0 % change", NULL);
}

static void
test_renumbered (void)
{
  check_compared (&(Way){ .renumbered = TRUE, .k = 2 },
                  "renumbering the experts of the baseline gives 0 % change", NULL);
  /* Both faults at once, and a real change beneath a fault. */
  check_compared (&(Way){ .renumbered = TRUE, .tokens = 1, .k = 2 },
                  "moving the baseline by -1 token and renumbering its experts gives 0 % change",
                  NULL);
  check_compared (&(Way){ .renumbered = TRUE, .k = 2, .noise = 0.2 },
                  "renumbering the experts of the baseline gives", "gives 0 %");
}

/* One layer alone is renumbered. */
static void
test_renumbered_layer (void)
{
  const Way plain = { .k = 2 }, last = { .k = 2, .renumbered = TRUE, .from = N_LAYERS - 1 };
  char *path = NULL;
  g_autoptr (MsTrace) first = open_way (&plain, &path);
  g_autoptr (MsTrace) second = open_way (&last, &path);
  g_autoptr (MsResult) result = ms_test_run_against (first, &second, 1, "compare", 0, NULL);
  guint n = 0;

  for (guint i = 0; i < result->notes->len; i++)
    n += strstr (result->notes->pdata[i],
                 "layer 3: renumbering the experts of the baseline gives 0 % change")
             != NULL
         && strstr (result->notes->pdata[i], "layer 2") == NULL;
  g_assert_cmpuint (n, ==, 1);
  ms_fixture_remove (path);
}

/* A real change, small or large, is told as such. */
static void
test_changed (void)
{
  check_compared (&(Way){ .k = 2, .noise = 0 }, "0 % of the routing decisions", "misaligned");
  check_compared (&(Way){ .k = 2, .noise = 0.1 }, "% of the routing decisions", "misaligned");
  check_compared (&(Way){ .k = 2, .noise = 0.7 }, "% of the routing decisions", "misaligned");
  check_compared (&(Way){ .k = 2, .noise = 0.7 }, NULL, "chance");
}

static void
test_unrelated (void)
{
  check_compared (&(Way){ .k = 2, .stream = 1 }, "Agreement is at chance", "misaligned");
}

static void
test_other_k (void)
{
  check_compared (&(Way){ .k = 4 }, "differ in size alone", "misaligned");
  check_compared (&(Way){ .k = 4 }, "both has, 0 % of the decisions differ", NULL);
}

/* The table holds each reading's own numbers: the moved run agrees at its move alone. */
static void
test_readings (void)
{
  const Way plain = { .k = 2 }, moved = { .k = 2, .tokens = 2 };
  char *path = NULL;
  g_autoptr (MsTrace) first = open_way (&plain, &path);
  g_autoptr (MsTrace) second = open_way (&moved, &path);
  g_autoptr (MsResult) result = ms_test_run_against (first, &second, 1, "compare", 0, NULL);
  const MsTable *table = ms_result_table (result, "alignment");
  guint row = ms_test_row (table, "token_shift=-2 layer_shift=0 renumbered=0");

  for (guint i = 0; i < ms_table_n_rows (table); i++)
    if (i == row)
      ms_test_near (ms_test_real (table, i, "overlap"), 1);
    else
      g_assert_cmpfloat (ms_test_real (table, i, "held_out_overlap"), <, 0.3);
  ms_test_near (ms_test_real (table, row, "decisions"),
                N_DOCUMENTS * N_LAYERS * (double) (LENGTH - 2));
  g_assert_cmpfloat_with_epsilon (ms_test_real (table, 0, "chance"), 2.0 / N_EXPERTS, 0.03);
  ms_fixture_remove (path);
}

/* --- Traces that tell nothing ----------------------------------------------------------------- */

typedef enum
{
  HOSTILE_NONE,
  HOSTILE_TIED,     /* all experts score the same */
  HOSTILE_ALONE,    /* one document */
  HOSTILE_COPIES,   /* one text several times */
  HOSTILE_IDLE,     /* no token has an expert */
  HOSTILE_WEIGHT,   /* weights are undefined */
  HOSTILE_NEGATIVE, /* weights are logits */
  HOSTILE_ALL,      /* every token takes all experts */
  HOSTILE_SHORT,    /* a document has a token */
  HOSTILE_CERTAIN,  /* one expert takes all */
  HOSTILE_SINGLE,   /* every token has one expert */
  HOSTILE_BARE,     /* ids and weights alone, by a gate that nobody knows */
  N_HOSTILE,
} Hostile;

static const char *const hostile_names[N_HOSTILE]
    = { "none",     "tied",        "alone", "copies",  "idle",   "weight",
        "negative", "all experts", "short", "certain", "single", "bare" };

#define HOSTILE_EXPERTS   8
#define HOSTILE_DOCUMENTS 6

typedef struct
{
  Hostile kind;
  guint k, run;
  gint64 length;
} HostileTrace;

static void
fill_hostile (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const HostileTrace *trace = data;
  gint64 at = trace->kind == HOSTILE_COPIES ? position % trace->length : position;
  guint64 state = drawn (trace->run, (gint64) layer, at);
  MsGate gate = { .scoring = MS_SCORING_SOFTMAX,
                  .n_experts = HOSTILE_EXPERTS,
                  .k = trace->k,
                  .renormalise = TRUE,
                  .scale = 1 };
  float scratch[4 * HOSTILE_EXPERTS], own[HOSTILE_EXPERTS];
  gboolean bare = trace->kind == HOSTILE_BARE; /* nothing but experts and weights */
  float *logits = bare ? own : token->logits;
  MsDecision decision = { .experts = token->experts, .weights = token->weights };

  g_assert_cmpuint (ms_gate_scratch (&gate), <=, G_N_ELEMENTS (scratch));
  for (guint e = 0; e < HOSTILE_EXPERTS; e++)
    logits[e] = trace->kind == HOSTILE_TIED      ? 0
                : trace->kind == HOSTILE_CERTAIN ? -(float) e
                                                 : (float) (3 * ms_random_double (&state));
  ms_gate_choose (&gate, logits, scratch, &decision);
  if (bare)
    return;
  *token->entropy = decision.entropy;
  *token->margin = decision.margin;
  *token->similarity = 0.9f;
  for (guint i = 0; i < trace->k; i++)
    {
      token->norms[i] = 1;
      token->peaks[i] = 0.5f;
      if (trace->kind == HOSTILE_IDLE)
        token->experts[i] = MS_NO_EXPERT;
      if (trace->kind == HOSTILE_WEIGHT)
        token->weights[i] = NAN;
      if (trace->kind == HOSTILE_NEGATIVE)
        token->weights[i] = (float) ms_random_double (&state) - 0.6f;
    }
}

static gint32
id_of_hostile (gint64 position, gpointer data)
{
  const HostileTrace *trace = data;
  guint64 state = drawn (5, 0, trace->kind == HOSTILE_COPIES ? position % trace->length : position);

  return (gint32) ms_random_below (&state, 97);
}

static MsTrace *
open_hostile (Hostile kind, guint run, char **path)
{
  HostileTrace hostile = { kind,
                           kind == HOSTILE_ALL      ? HOSTILE_EXPERTS
                           : kind == HOSTILE_SINGLE ? 1
                                                    : 2,
                           run, kind == HOSTILE_SHORT ? 1 : 40 };
  MsLayer layers[2];
  MsDocument documents[HOSTILE_DOCUMENTS] = { 0 };
  MsFixture fixture
      = { .n_layers = 2,
          .layers = layers,
          .n_documents = kind == HOSTILE_ALONE ? 1 : HOSTILE_DOCUMENTS,
          .documents = documents,
          .columns = kind == HOSTILE_BARE
                         ? 0
                         : MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN | MS_CHUNK_LOGITS | MS_CHUNK_NORMS
                               | MS_CHUNK_PEAKS | MS_CHUNK_SIMILARITY,
          .predictions = TRUE,
          .fill = fill_hostile,
          .token_id = id_of_hostile,
          .data = &hostile };
  g_autoptr (GError) error = NULL;
  char *written;
  MsTrace *trace;

  for (guint l = 0; l < 2; l++)
    layers[l] = (MsLayer){ .number = (int) l,
                           .gate = { .scoring = kind == HOSTILE_BARE ? MS_SCORING_UNKNOWN
                                                                     : MS_SCORING_SOFTMAX,
                                     .n_experts = HOSTILE_EXPERTS,
                                     .k = hostile.k,
                                     .renormalise = TRUE,
                                     .scale = 1 } };
  for (guint d = 0; d < HOSTILE_DOCUMENTS; d++)
    documents[d] = (MsDocument){ .n_tokens = hostile.length,
                                 .language = d % 2 ? "de" : "en",
                                 .domain = d % 3 ? "prose" : "code",
                                 .parallel = d < 4 ? (d / 2 ? "y" : "x") : NULL,
                                 .phase = d % 2 ? "decode" : "prefill" };
  written = ms_fixture_write (&fixture, *path);
  if (*path == NULL)
    *path = written;
  else
    g_free (written);
  trace = ms_trace_open (*path, 0, NULL, &error);
  g_assert_no_error (error);
  return trace;
}

/* No sentence holds a number that is none, or a zero with a sign. */
static void
check_text (const char *analysis, Hostile kind, const char *text)
{
  if (g_regex_match_simple (
          "(^|[^[:alpha:]])(nan|inf)([^[:alpha:]]|$)|(^|[^[:alnum:].])-0([.]0+)?([^0-9.e]|$)", text,
          G_REGEX_CASELESS, 0))
    {
      g_test_message ("%s of the trace '%s': %s", analysis, hostile_names[kind], text);
      g_test_fail ();
    }
}

static void
check_result (const MsResult *result, Hostile kind)
{
  const char *name = result->analysis->name;

  g_assert_nonnull (result->summary);
  if (result->mended)
    {
      g_test_message ("%s of the trace '%s' makes a sentence of a number that is none: %s", name,
                      hostile_names[kind], result->summary);
      g_test_fail ();
    }
  check_text (name, kind, result->summary);
  for (guint i = 0; i < result->notes->len; i++)
    check_text (name, kind, result->notes->pdata[i]);
  for (guint i = 0; i < result->findings->len; i++)
    {
      const MsFinding *finding = &g_array_index (result->findings, MsFinding, i);

      check_text (name, kind, finding->text);
      g_assert_cmpfloat (finding->strength, <=, 1e4);
      g_assert_cmpfloat (finding->strength, >, result->analysis->times ? 1 : 0);
    }
  if (kind == HOSTILE_TIED && strcmp (name, "placement") != 0)
    g_assert_cmpuint (result->findings->len, ==, 0);
  if (kind == HOSTILE_TIED)
    g_assert_nonnull (strstr (result->summary, "tied"));
}

/* Every analysis on every hostile trace, with intervals and without. */
static void
test_hostile (gconstpointer data)
{
  Hostile kind = (Hostile) GPOINTER_TO_UINT (data);
  char *path = NULL;
  g_autoptr (MsTrace) trace = open_hostile (kind, 0, &path);
  g_autoptr (MsTrace) other = open_hostile (kind, 1, &path);
  guint n_ran = 0;

  for (const MsAnalysis *const *a = ms_analyses (); *a != NULL; a++)
    for (guint resamples = 0; resamples <= 20; resamples += 20)
      {
        g_autoptr (MsValues) values = ms_values_new (*a);
        g_autoptr (GError) error = NULL;
        MsContext context = { .trace = trace,
                              .others = &other,
                              .n_others = 1,
                              .sampling.seed = 1,
                              .sampling.resamples = resamples,
                              .sampling.confidence = 0.95,
                              .threads = 1,
                              .values = values };
        g_autoptr (MsResult) result = ms_analysis_run (*a, &context, &error);

        if (result == NULL)
          {
            g_test_message ("%s: %s", (*a)->name, error->message);
            check_text ((*a)->name, kind, error->message);
            continue;
          }
        check_result (result, kind);
        n_ran++;
      }
  g_assert_cmpuint (n_ran, >, 20);
  ms_fixture_remove (path);
}

static gboolean
has (GPtrArray *texts, const char *words)
{
  for (guint i = 0; i < texts->len; i++)
    if (strstr (texts->pdata[i], words) != NULL)
      return TRUE;
  return FALSE;
}

/* Divergences of what is alike are 0: rounding does not make them negative. */
static void
test_dust (void)
{
  guint64 state = 3;

  for (guint round = 0; round < 1000; round++)
    {
      double p[7], q[7], scale = 1 + ms_random_double (&state);

      for (guint i = 0; i < 7; i++)
        {
          p[i] = (double) ms_random_below (&state, 1000);
          q[i] = scale * p[i];
        }
      p[0] += 1;
      q[0] = scale * p[0];
      g_assert_cmpfloat (ms_kl (p, q, 7), >=, 0);
      g_assert_cmpfloat (ms_kl (p, q, 7), <, 1e-12);
      g_assert_cmpfloat (ms_js (p, q, 7), >=, 0);
      g_assert_cmpfloat (ms_js (p, q, 7), <, 1e-12);
    }
}

/* Doubts are told of the traces that give reason, and of no other. */
static void
test_doubts (void)
{
  static const struct
  {
    Hostile kind;
    const char *words;
  } cases[] = {
    { HOSTILE_NONE, NULL },
    { HOSTILE_TIED, "100 % of the decisions of all 2 MoE layers are exact ties" },
    { HOSTILE_COPIES, "5 of 6 documents are copies" },
    { HOSTILE_WEIGHT, "480 of 480 decisions have no weight" },
    { HOSTILE_NEGATIVE, "have a negative weight" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      char *path = NULL;
      g_autoptr (MsTrace) trace = open_hostile (cases[i].kind, 0, &path);
      g_autoptr (GError) error = NULL;
      g_autoptr (GPtrArray) doubts = ms_trace_doubts (trace, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (doubts->len, ==, cases[i].words == NULL ? 0 : 1);
      if (cases[i].words != NULL)
        g_assert_true (has (doubts, cases[i].words));
      ms_fixture_remove (path);
    }
}

/* --- Advice from few tokens -------------------------------------------------------------------- */

/* One layer, 4 experts, top-1: expert 0 has 30 tokens, 1 has 6, 2 has 4, 3 none. */
static MsTrace *
open_scarce (char **path)
{
  GString *digits = g_string_new (NULL);
  MsHandTrace hand = { .n_layers = 1, .n_experts = 4, .k = 1 };
  MsTrace *trace;

  for (guint t = 0; t < 40; t++)
    g_string_append_printf (digits, "%s%d", t > 0 ? " " : "", t < 30 ? 0 : t < 36 ? 1 : 2);
  hand.layers = (const char *const[]){ digits->str, NULL };
  trace = ms_hand_trace (&hand, (guint[]){ 20, 20, 0 }, path);
  g_string_free (digits, TRUE);
  return trace;
}

static void
test_scarce (void)
{
  char *path = NULL;
  g_autoptr (MsTrace) trace = open_scarce (&path);
  g_autoptr (MsResult) few = ms_test_run (trace, "importance", 0, LIST ("guard=none", "prune=0.5"));
  g_autoptr (MsResult) some = ms_test_run (
      trace, "importance", 0, LIST ("guard=none", "prune=0.75", "least=5", "criterion=frequency"));
  g_autoptr (MsResult) all
      = ms_test_run (trace, "importance", 0, LIST ("guard=none", "prune=0.5", "least=0"));
  const MsTable *table = ms_result_table (few, "experts");

  /* Experts 3 and 2 are listed; 2, with 4 of 40, is expected to have 20 of 200. */
  g_assert_null (strstr (few->summary, "0.00 %"));
  g_assert_nonnull (strstr (few->summary, "cannot be told"));
  g_assert_nonnull (strstr (few->summary, "2 of 2 experts on the list are not decided: fewer than "
                                          "20 tokens chose them (1 none at all); about 1.6e+02 "
                                          "more tokens"));
  g_assert_cmpstr (ms_test_text (table, 1, "bits_class"), ==, ""); /* undefined */
  g_assert_cmpstr (ms_test_text (table, 0, "bits_class"), ==, "high");
  ms_test_near (ms_test_real (table, 3, "prune"), 1); /* as the published list has it */
  ms_test_near (ms_test_real (ms_result_table (few, "layers"), 0, "undecided"), 2);
  /* Expert 1 alone is decided: 6 of 40. */
  g_assert_nonnull (strstr (some->summary, "15.00 % of the decisions"));
  g_assert_nonnull (strstr (some->summary, "2 of 3 experts on the list are not decided"));
  g_assert_null (strstr (all->summary, "decided"));
  g_assert_nonnull (strstr (all->summary, "10.00 % of the decisions"));
  ms_fixture_remove (path);
}

static void
test_scarce_hot (void)
{
  char *path = NULL;
  g_autoptr (MsTrace) trace = open_scarce (&path);
  g_autoptr (MsResult) few = ms_test_run (trace, "coverage", 0, LIST ("top=50"));
  g_autoptr (MsResult) enough = ms_test_run (trace, "coverage", 0, LIST ("top=25"));
  guint n = 0;

  for (guint i = 0; i < few->notes->len; i++)
    n += strstr (few->notes->pdata[i], "1 of 2 slots of the hot set is not decided") != NULL;
  g_assert_cmpuint (n, ==, 1);
  for (guint i = 0; i < enough->notes->len; i++)
    g_assert_null (strstr (enough->notes->pdata[i], "decided"));
  ms_fixture_remove (path);
}

/* Eight slots on two devices and one busy expert: most of its copies lie beside each other. */
static void
test_useless_copies (void)
{
  char *path = NULL;
  g_autoptr (MsTrace) trace = open_scarce (&path);
  g_autoptr (MsResult) result
      = ms_test_run (trace, "placement", 0, LIST ("devices=2", "replicas=8", "held-out=0"));
  const MsTable *slots = ms_result_table (result, "slots");
  guint n = 0;
  g_autofree char *said = NULL;

  for (guint i = 0; i < ms_table_n_rows (slots); i++)
    for (guint j = 0; j < i; j++)
      if (ms_test_real (slots, i, "device") == ms_test_real (slots, j, "device")
          && ms_test_real (slots, i, "expert") == ms_test_real (slots, j, "expert"))
        {
          n++;
          break;
        }
  g_assert_cmpuint (n, >, 0);
  said = g_strdup_printf ("%u slot%s a second copy of an expert on the same device", n,
                          n == 1 ? " holds" : "s hold");
  g_assert_nonnull (strstr (result->summary, said));
  ms_test_near (ms_test_real (ms_result_table (result, "layers"), 0, "useless_replicas"), n);
  ms_fixture_remove (path);
}

/* Copies are one observation: no other half, and no interval. */
static void
test_copies (void)
{
  char *path = NULL;
  g_autoptr (MsTrace) trace = open_hostile (HOSTILE_COPIES, 0, &path);
  g_autoptr (MsResult) result = ms_test_run (trace, "coverage", 50, NULL);

  g_assert_nonnull (strstr (result->summary, "all 6 documents are copies of the same text"));
  g_assert_true (isnan (ms_test_real (result->tables[0], 0, "held_out")));
  ms_fixture_remove (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sentences/compare/tokens", test_moved_by_tokens);
  g_test_add_func ("/sentences/compare/layers", test_moved_by_layers);
  g_test_add_func ("/sentences/compare/renumbered", test_renumbered);
  g_test_add_func ("/sentences/compare/renumbered-layer", test_renumbered_layer);
  g_test_add_func ("/sentences/compare/changed", test_changed);
  g_test_add_func ("/sentences/compare/unrelated", test_unrelated);
  g_test_add_func ("/sentences/compare/other-k", test_other_k);
  g_test_add_func ("/sentences/compare/readings", test_readings);
  g_test_add_func ("/sentences/dust", test_dust);
  g_test_add_func ("/sentences/doubts", test_doubts);
  g_test_add_func ("/sentences/scarce/importance", test_scarce);
  g_test_add_func ("/sentences/scarce/hot", test_scarce_hot);
  g_test_add_func ("/sentences/useless-copies", test_useless_copies);
  g_test_add_func ("/sentences/copies", test_copies);
  for (guint i = 0; i < N_HOSTILE; i++)
    {
      g_autofree char *name = g_strdup_printf ("/sentences/hostile/%s", hostile_names[i]);

      g_test_add_data_func (name, GUINT_TO_POINTER (i), test_hostile);
    }
  return g_test_run ();
}
