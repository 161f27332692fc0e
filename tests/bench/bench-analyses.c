/* How many decisions per second the analyses process on a random trace, and how that compares with a
 * plain loop that counts the same decisions in memory.  Prints a table; nothing is asserted.
 *
 * bench-analyses [THREADS [DOCUMENTS [TOKENS [LAYERS [PATH]]]]]: a PATH keeps the trace, which other programs
 * may then be timed on. */
#include "analysis.h"
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define N_EXPERTS 64
#define K         8
#define KEPT      0.5 /* of a token's experts, also chosen by the next token */

typedef struct
{
  const char *label;
  const char *analysis;
  const char *params[7]; /* names and values, NULL after the last */
  guint bootstrap;
} Case;

static const Case cases[] = {
  { "counts", "load", { "weights", "no" }, 0 },
  { "counts and gate mass", "load", { NULL }, 0 },
  { "CHR x3, SCH x1", "hit-rate", { "level", "layer", "null", "no", "lookahead", "16" }, 0 },
  { "CHR x3, SCH x4", "hit-rate", { "level", "layer", "null", "no" }, 0 },
  { "CHR x3, SCH x4, intervals", "hit-rate", { "level", "layer", "null", "no" }, 1000 },
  { "hit-rate as usual", "hit-rate", { NULL }, 1000 },
  { "SRP m=16, intervals", "srp", { "null", "no", "lengths", "16" }, 1000 },
  { "SRP x4", "srp", { "null", "no" }, 0 },
  { "SRP x4, intervals", "srp", { "null", "no" }, 1000 },
  { "srp as usual", "srp", { NULL }, 1000 },
  { "cache as usual", "cache", { NULL }, 0 },
};

typedef struct
{
  double wall, processor;
} Seconds;

static Seconds
now (void)
{
  struct timespec wall, processor;

  clock_gettime (CLOCK_MONOTONIC, &wall);
  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &processor);
  return (Seconds){ (double) wall.tv_sec + 1e-9 * (double) wall.tv_nsec,
                    (double) processor.tv_sec + 1e-9 * (double) processor.tv_nsec };
}

static Seconds
since (Seconds start)
{
  Seconds end = now ();

  return (Seconds){ end.wall - start.wall, end.processor - start.processor };
}

typedef struct
{
  guint64 state;
  gint64 length; /* tokens of a document */
  guint16 *last; /* (L, K) */
} Router;

/* Some experts of the token before stay, the others come from a skewed distribution. */
static void
choose (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  Router *router = data;
  guint16 *last = router->last + layer * K;
  guint64 taken = 0;
  guint n = 0;

  for (guint r = 0; r < K && position % router->length > 0; r++)
    if (ms_random_double (&router->state) < KEPT)
      {
        token->experts[n++] = last[r];
        taken |= (guint64) 1 << last[r];
      }
  while (n < K)
    {
      double u = ms_random_double (&router->state);
      guint e = (guint) (N_EXPERTS * u * u + 7 * layer) % N_EXPERTS;

      if (!(taken >> e & 1))
        {
          token->experts[n++] = (guint16) e;
          taken |= (guint64) 1 << e;
        }
    }
  for (guint r = 0; r < K; r++)
    token->weights[r] = 1.0f / K;
  memcpy (last, token->experts, K * sizeof *last);
}

static char *
write_trace (guint n_documents, guint length, guint n_layers, const char *path)
{
  g_autofree MsLayer *layers = g_new (MsLayer, n_layers);
  g_autofree MsDocument *documents = g_new0 (MsDocument, n_documents);
  g_autofree guint16 *last = g_new0 (guint16, n_layers * K);
  Router router = { 1, length, last };
  MsFixture fixture = { .n_layers = n_layers,
                        .layers = layers,
                        .n_documents = n_documents,
                        .documents = documents,
                        .fill = choose,
                        .data = &router };

  for (guint i = 0; i < n_layers; i++)
    layers[i] = (MsLayer) MS_PLAIN_LAYER ((int) i, N_EXPERTS, K);
  for (guint i = 0; i < n_documents; i++)
    documents[i].n_tokens = length;
  return ms_fixture_write (&fixture, path);
}

/* Counting with one counter per expert, all in memory, on one thread. */
static Seconds
count_plainly (MsTrace *trace)
{
  Seconds sum = { 0, 0 };
  volatile guint64 kept;

  for (guint l = 0; l < ms_trace_n_layers (trace); l++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (MsLayerTrace) layer
          = ms_trace_load_layer (trace, l, MS_CHUNK_EXPERTS, NULL, &error);
      guint64 counts[N_EXPERTS] = { 0 };
      Seconds start, took;

      g_assert_no_error (error);
      start = now ();
      for (gint64 i = 0; i < layer->n_tokens * K; i++)
        counts[layer->experts[i] % N_EXPERTS]++;
      took = since (start);
      sum.wall += took.wall;
      sum.processor += took.processor;
      kept = counts[0];
      (void) kept;
    }
  return sum;
}

static void
print_row (const char *label, double n_decisions, Seconds took, Seconds plain)
{
  printf ("%-27s  %8.3f  %8.3f  %12.1f  %12.1f  %10.3f\n", label, took.wall, took.processor,
          1e-6 * n_decisions / took.wall, 1e-6 * n_decisions / took.processor,
          plain.processor / took.processor);
  fflush (stdout);
}

static Seconds
time_case (const Case *what, MsTrace *trace, guint threads)
{
  const MsAnalysis *analysis = ms_analysis_find (what->analysis);
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autoptr (MsResult) result = NULL;
  g_autoptr (GError) error = NULL;
  MsContext context = { .trace = trace,
                        .values = values,
                        .threads = threads,
                        .sampling.seed = 1,
                        .sampling.resamples = what->bootstrap,
                        .sampling.confidence = 0.95 };
  Seconds start;

  for (guint i = 0; i < G_N_ELEMENTS (what->params) - 1 && what->params[i] != NULL; i += 2)
    {
      ms_values_set (values, what->params[i], what->params[i + 1], &error);
      g_assert_no_error (error);
    }
  start = now ();
  result = ms_analysis_run (analysis, &context, &error);
  g_assert_no_error (error);
  return since (start);
}

static guint
argument (int argc, char **argv, int index, guint usual)
{
  return argc > index ? (guint) g_ascii_strtoull (argv[index], NULL, 10) : usual;
}

int
main (int argc, char **argv)
{
  guint threads = argument (argc, argv, 1, 0);
  guint n_documents = MAX (argument (argc, argv, 2, 64), 1);
  guint length = MAX (argument (argc, argv, 3, 2048), 1);
  guint n_layers = MAX (argument (argc, argv, 4, 16), 1);
  char *path = write_trace (n_documents, length, n_layers, argc > 5 ? argv[5] : NULL);
  double n_decisions = (double) n_documents * length * n_layers * K;
  g_autoptr (GError) error = NULL;
  g_autoptr (MsTrace) trace = ms_trace_open (path, 0, NULL, &error);
  Seconds plain;

  g_assert_no_error (error);
  printf ("%u layers of %u experts, %u chosen; %u documents of %u tokens: %.1f M decisions; "
          "%u threads\n",
          n_layers, N_EXPERTS, K, n_documents, length, 1e-6 * n_decisions, ms_threads (threads));
  printf ("%-27s  %8s  %8s  %12s  %12s  %10s\n", "", "wall s", "core s", "M/s", "M/s per core",
          "plain loop");
  plain = count_plainly (trace);
  print_row ("plain loop", n_decisions, plain, plain);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    print_row (cases[i].label, n_decisions, time_case (&cases[i], trace, threads), plain);
  g_clear_pointer (&trace, ms_trace_unref);
  if (argc > 5)
    g_free (path);
  else
    ms_fixture_remove (path);
  return 0;
}
