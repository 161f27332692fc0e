/* What analyses say of traces that are not what they seem: runs laid against each other wrongly, and traces
 * that tell nothing.  The traces are made here. */
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
          if (way->renumbered)
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
        g_autofree char *said = g_strdup_printf ("moving run B by %+d token%s gives 0 %% change",
                                                 -tokens, ABS (tokens) == 1 ? "" : "s");

        check_compared (&(Way){ .tokens = tokens, .k = 2 }, said, NULL);
      }
}

static void
test_moved_by_layers (void)
{
  check_compared (&(Way){ .layers = 1, .k = 2 }, "moving run B by -1 MoE layer gives 0 % change",
                  NULL);
  check_compared (&(Way){ .layers = -2, .k = 2 }, "moving run B by +2 MoE layers gives 0 % change",
                  NULL);
}

static void
test_renumbered (void)
{
  check_compared (&(Way){ .renumbered = TRUE, .k = 2 },
                  "renumbering the experts of run B gives 0 % change", NULL);
  /* Both faults at once, and a real change beneath a fault. */
  check_compared (&(Way){ .renumbered = TRUE, .tokens = 1, .k = 2 },
                  "moving run B by -1 token and renumbering its experts gives 0 % change", NULL);
  check_compared (&(Way){ .renumbered = TRUE, .k = 2, .noise = 0.2 },
                  "renumbering the experts of run B gives", "gives 0 %");
}

/* A real change, small or large, is told as such. */
static void
test_changed (void)
{
  check_compared (&(Way){ .k = 2, .noise = 0 }, "0.00 % of the routing decisions", "misaligned");
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sentences/compare/tokens", test_moved_by_tokens);
  g_test_add_func ("/sentences/compare/layers", test_moved_by_layers);
  g_test_add_func ("/sentences/compare/renumbered", test_renumbered);
  g_test_add_func ("/sentences/compare/changed", test_changed);
  g_test_add_func ("/sentences/compare/unrelated", test_unrelated);
  g_test_add_func ("/sentences/compare/other-k", test_other_k);
  g_test_add_func ("/sentences/compare/readings", test_readings);
  return g_test_run ();
}
