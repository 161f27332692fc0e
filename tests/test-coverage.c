/* Do the intervals cover?  Draws traces from stated processes, runs every analysis on each, and counts how
 * often an interval holds the true value; a table of it is printed and stands in the manual.
 *
 * The true value is what the analysis says of a trace so long that neither bias nor chance is left.  An
 * interval is found by its columns: *low, directly behind its estimate, then *high (table.h).  Rows of the
 * short and the long trace belong together when their labels and whole numbers before the estimate agree.
 *
 * Documents are the independent groups of process "documents"; in process "pairs" a group is a text in two
 * languages, whose two documents route alike.  MOESCOPE_COVERAGE sets the number of traces of each size,
 * MOESCOPE_ONLY the analyses, with commas between, MOESCOPE_ROWS prints every row, MOESCOPE_TABLE names a file for
 * the table of COVERAGE.md. */
#include "fixture.h"
#include "results.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_LAYERS  4
#define N_EXPERTS 16
#define K         2
#define N_IDS     24
#define N_RUNS    3 /* the run, and two like it with other noise */
#define RESAMPLES 200
#define LONG      3000 /* documents of the long trace */
#define LEAST     0.90
#define MOST      0.995
#define COLUMNS   4 /* of the table: processes times sizes */

typedef struct
{
  const char *name;
  gboolean pairs; /* two documents of a group share what is their own */
  double spread;  /* of what is a document's own, against the experts' 0.7 */
  double sticky;  /* chance that a token routes by its neighbour's noise */
} Process;

static const Process processes[]
    = { { "documents", FALSE, 0.7, 0.0 }, { "pairs", TRUE, 0.5, 0.5 } };

/* One drawn trace: everything that the writer asks for, by run. */
typedef struct
{
  guint n_documents;
  MsDocument *documents;
  gint64 n_tokens;
  gint32 *ids;   /* (T) */
  float *logits; /* (runs, L, T, E) */
  guint run;     /* which of them is written now */
} Drawn;

static double
gauss (guint64 *state)
{
  double u = 1 - ms_random_double (state), v = ms_random_double (state);

  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

/* What every trace of a process has in common, from fixed seeds: the experts' and the ids' own parts. */
static double
fixed (guint64 kind, guint64 a, guint64 b, guint64 c)
{
  guint64 state = kind * 1000003 + a * 10007 + b * 101 + c;

  ms_random_next (&state);
  return gauss (&state);
}

static void
draw_logits (Drawn *drawn, const Process *process, guint64 *state)
{
  gsize t = 0, plane = (gsize) drawn->n_tokens * N_EXPERTS;
  double own[N_LAYERS][N_EXPERTS] = { { 0 } }, noise[N_RUNS][N_LAYERS][N_EXPERTS] = { { { 0 } } };

  for (guint d = 0; d < drawn->n_documents; d++)
    {
      guint domain = process->pairs ? d / 2 % 2 : d % 2, language = d % 2;

      if (!process->pairs || d % 2 == 0)
        for (guint l = 0; l < N_LAYERS; l++)
          for (guint e = 0; e < N_EXPERTS; e++)
            own[l][e] = process->spread * gauss (state);
      for (gint64 i = 0; i < drawn->documents[d].n_tokens; i++, t++)
        {
          double u = ms_random_double (state);
          gint32 id = (gint32) (N_IDS * u * u);

          drawn->ids[t] = id;
          for (guint l = 0; l < N_LAYERS; l++)
            for (guint e = 0; e < N_EXPERTS; e++)
              {
                double mean = 0.7 * fixed (1, l, e, 0) + 0.5 * fixed (2, l, e, domain)
                              + 0.3 * fixed (3, l, e, language)
                              + 0.6 * fixed (4, l, e, (guint64) id) + own[l][e];

                for (guint r = 0; r < N_RUNS; r++)
                  {
                    double fresh = gauss (state);

                    if (i == 0 || ms_random_double (state) >= process->sticky)
                      noise[r][l][e] = fresh;
                    drawn->logits[((gsize) r * N_LAYERS + l) * plane + t * N_EXPERTS + e]
                        = (float) (mean + 0.6 * noise[0][l][e] + 0.3 * r * noise[r][l][e]);
                  }
              }
        }
    }
}

static void
draw (Drawn *drawn, const Process *process, guint n_documents, guint64 seed)
{
  static const char *const domains[] = { "prose", "code" }, *const languages[] = { "en", "de" };
  guint64 state = seed * 7919 + 17;

  *drawn = (Drawn){ .n_documents = n_documents };
  drawn->documents = g_new0 (MsDocument, n_documents);
  for (guint d = 0; d < n_documents; d++)
    {
      MsDocument *document = &drawn->documents[d];

      document->n_tokens = 32 + (gint64) ms_random_below (&state, 33);
      document->domain = (char *) domains[process->pairs ? d / 2 % 2 : d % 2];
      document->language = (char *) languages[d % 2];
      document->parallel = process->pairs ? g_strdup_printf ("p%u", d / 2) : NULL;
      drawn->n_tokens += document->n_tokens;
    }
  drawn->ids = g_new (gint32, drawn->n_tokens);
  drawn->logits = g_new (float, (gsize) N_RUNS *N_LAYERS * drawn->n_tokens * N_EXPERTS);
  draw_logits (drawn, process, &state);
}

static void
clear (Drawn *drawn)
{
  for (guint d = 0; d < drawn->n_documents; d++)
    g_free (drawn->documents[d].parallel);
  g_free (drawn->documents);
  g_free (drawn->ids);
  g_free (drawn->logits);
}

static gint32
id_of (gint64 position, gpointer data)
{
  return ((Drawn *) data)->ids[position];
}

static void
fill (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const Drawn *drawn = data;
  const float *logits
      = drawn->logits
        + (((gsize) drawn->run * N_LAYERS + layer) * (gsize) drawn->n_tokens + (gsize) position)
              * N_EXPERTS;
  MsGate gate = {
    .scoring = MS_SCORING_SOFTMAX, .n_experts = N_EXPERTS, .k = K, .renormalise = TRUE, .scale = 1
  };
  float scratch[2 * N_EXPERTS + 1];
  MsDecision decision = { .experts = token->experts, .weights = token->weights };

  g_assert_cmpuint (ms_gate_scratch (&gate), <=, G_N_ELEMENTS (scratch));
  ms_gate_choose (&gate, logits, scratch, &decision);
  *token->entropy = decision.entropy;
  *token->margin = decision.margin;
  *token->similarity = 0.5f + 0.4f * tanhf (logits[0]);
  memcpy (token->logits, logits, sizeof (float) * N_EXPERTS);
  for (guint i = 0; i < K; i++)
    {
      /* As if of another router: the best expert's output is not always the largest. */
      token->norms[i] = 1 + expf (0.5f * logits[(token->experts[i] + 1) % N_EXPERTS]);
      token->peaks[i] = 0.2f * token->norms[i];
      token->dropped[i] = i == 1 && logits[0] > 1;
    }
}

/* Writes all runs of a drawn trace into one new file and opens them: traces (N_RUNS). */
static char *
open_runs (Drawn *drawn, MsTrace **traces)
{
  MsLayer layers[N_LAYERS];
  char *path = NULL;
  MsFixture fixture
      = { .n_layers = N_LAYERS,
          .layers = layers,
          .n_documents = drawn->n_documents,
          .documents = drawn->documents,
          .columns = MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN | MS_CHUNK_LOGITS | MS_CHUNK_NORMS
                     | MS_CHUNK_PEAKS | MS_CHUNK_SIMILARITY | MS_CHUNK_DROPPED,
          .fill = fill,
          .token_id = id_of,
          .data = drawn };

  for (guint l = 0; l < N_LAYERS; l++)
    layers[l] = (MsLayer){ .number = (int) l,
                           .gate = { .scoring = MS_SCORING_SOFTMAX,
                                     .n_experts = N_EXPERTS,
                                     .k = K,
                                     .renormalise = TRUE,
                                     .scale = 1 } };
  for (drawn->run = 0; drawn->run < N_RUNS; drawn->run++)
    {
      char *written = ms_fixture_write (&fixture, path);

      if (path != NULL)
        g_free (written);
      else
        path = written;
    }
  for (guint r = 0; r < N_RUNS; r++)
    {
      g_autoptr (GError) error = NULL;

      traces[r] = ms_trace_open (path, r + 1, NULL, &error);
      g_assert_no_error (error);
    }
  return path;
}

/* --- Intervals of tables ---------------------------------------------------------------------- */

/* One interval of one trace. */
typedef struct
{
  guint trace;
  double value; /* the plug-in estimate */
  double low, high;
} Found;

/* The intervals of one row in all traces. */
typedef struct
{
  double truth; /* what the long trace says */
  GArray *found;
} Row;

/* The intervals of one kind: those of a column. */
typedef struct
{
  GHashTable *rows; /* row key: Row */
  guint64 outside;  /* intervals that do not hold their own estimate */
} Count;

static void
row_free (gpointer data)
{
  Row *row = data;

  g_array_unref (row->found);
  g_free (row);
}

static void
count_free (gpointer data)
{
  Count *count = data;

  g_hash_table_unref (count->rows);
  g_free (count);
}

/* Whether column `c` begins an interval; *plug_in is the column whose value in a long trace is the truth. */
static gboolean
begins_interval (const MsTable *table, guint c, guint *plug_in)
{
  const char *name = ms_table_column (table, c)->name;
  const char *before = c > 0 ? ms_table_column (table, c - 1)->name : "";

  if (!g_str_has_suffix (name, "low") || strstr (name, "basic") != NULL
      || strcmp (name, "margin_low") == 0 || c + 1 >= ms_table_n_columns (table)
      || !g_str_has_suffix (ms_table_column (table, c + 1)->name, "high"))
    return FALSE;
  *plug_in = g_str_has_suffix (before, "corrected") ? c - 2 : c - 1;
  return TRUE;
}

/* Whether a column of whole numbers is counted or ranked: it differs between traces and does not name the row. */
static gboolean
is_counted (const char *name)
{
  static const char *const parts[] = { "tokens", "count", "misses", "frequency", NULL };
  static const char *const names[] = { "pairs",    "dropped", "recovered", "free_slots", "filled",
                                       "accesses", "hits",    "evictions", "clusters",   NULL };

  for (guint i = 0; parts[i] != NULL; i++)
    if (strstr (name, parts[i]) != NULL)
      return TRUE;
  return g_str_has_prefix (name, "n_") || g_strv_contains (names, name);
}

/* What tells a row from the others: texts and whole numbers of the columns before the estimate, and how many
 * rows before it have the same (`seen` counts them): a parameter that is a real number orders these. */
static char *
row_key (const MsTable *table, guint row, guint end, GHashTable *seen)
{
  guint n;
  GString *key = g_string_new (NULL);
  /* The tokens that an expert takes of all: an outcome here, what names the row elsewhere. */
  gboolean by_batch = strcmp (ms_table_def (table)->name, "expert_choice") == 0;

  for (guint c = 0; c < end; c++)
    {
      const MsColumn *column = ms_table_column (table, c);
      g_autofree char *cell = NULL;

      if (column->type == MS_COLUMN_REAL || is_counted (column->name)
          || (by_batch && strcmp (column->name, "capacity") == 0))
        continue;
      cell = ms_table_format (table, row, c);
      g_string_append_printf (key, "%s|", cell);
    }
  n = GPOINTER_TO_UINT (g_hash_table_lookup (seen, key->str));
  g_hash_table_insert (seen, g_strdup (key->str), GUINT_TO_POINTER (n + 1));
  g_string_append_printf (key, "%u", n);
  return g_string_free (key, FALSE);
}

static MsResult *
run_analysis (const MsAnalysis *analysis, MsTrace **traces, guint bootstrap)
{
  g_autoptr (MsValues) values = ms_values_new (analysis);
  g_autoptr (GError) error = NULL;
  MsContext context = { .trace = traces[0],
                        .others = traces + 1,
                        .n_others = N_RUNS - 1,
                        .values = values,
                        .sampling.seed = 1,
                        .sampling.resamples = bootstrap,
                        .sampling.confidence = 0.95,
                        .threads = 2 };
  MsResult *result;

  if (strcmp (analysis->name, "readers") == 0)
    ms_values_set (values, "experts", "0..3", &error);
  /* Unless told, it takes the group with most documents, which is not the same one in every trace. */
  if (strcmp (analysis->name, "specialists") == 0)
    ms_values_set (values, "group", "code", &error);
  g_assert_no_error (error);
  if (strcmp (analysis->name, "compare") == 0)
    context.n_others = 1;
  result = ms_analysis_run (analysis, &context, &error);
  if (result == NULL && !g_error_matches (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS))
    g_error ("%s: %s", analysis->name, error->message);
  return result;
}

/* The count of a column's intervals; in a table with a row for each measure, of one measure's. */
static Count *
count_of (GHashTable *counts, const MsAnalysis *analysis, const MsTable *table, guint column,
          guint row)
{
  int measure = ms_table_find_column (table, "measure");
  char *key = g_strdup_printf ("%s %s %s", analysis->name, ms_table_def (table)->name,
                               measure >= 0 ? ms_table_get_text (table, row, (guint) measure)
                                            : ms_table_column (table, column)->name);
  Count *count = g_hash_table_lookup (counts, key);

  if (count == NULL)
    {
      count = g_new0 (Count, 1);
      count->rows = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, row_free);
      g_hash_table_insert (counts, key, count);
    }
  else
    g_free (key);
  return count;
}

static void
add_found (Count *count, const char *key, double truth, const Found *found)
{
  Row *row = g_hash_table_lookup (count->rows, key);

  if (row == NULL)
    {
      row = g_new (Row, 1);
      *row = (Row){ truth, g_array_new (FALSE, FALSE, sizeof (Found)) };
      g_hash_table_insert (count->rows, g_strdup (key), row);
    }
  g_array_append_vals (row->found, found, 1);
}

/* Takes the intervals of the table of trace number `trace` down. */
static void
take_table (const MsAnalysis *analysis, guint trace, const MsTable *truth, const MsTable *table,
            GHashTable *counts)
{
  for (guint c = 0; c < ms_table_n_columns (table); c++)
    {
      g_autoptr (GHashTable) rows = NULL, seen = NULL;
      guint plug_in;
      Count *count;

      if (!begins_interval (table, c, &plug_in))
        continue;
      rows = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
      seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
      for (guint row = 0; row < ms_table_n_rows (truth); row++)
        g_hash_table_insert (rows, row_key (truth, row, plug_in, seen), GUINT_TO_POINTER (row + 1));
      g_hash_table_remove_all (seen);
      for (guint row = 0; row < ms_table_n_rows (table); row++)
        {
          g_autofree char *key = row_key (table, row, plug_in, seen);
          guint at = GPOINTER_TO_UINT (g_hash_table_lookup (rows, key));
          double estimate = ms_table_get_real (table, row, c - 1);
          Found found
              = { trace, ms_table_get_real (table, row, plug_in), ms_table_get_real (table, row, c),
                  ms_table_get_real (table, row, c + 1) };

          if (isnan (found.low) || isnan (found.high))
            continue;
          count = count_of (counts, analysis, table, plug_in, row);
          count->outside += !(estimate >= found.low && estimate <= found.high);
          add_found (count, key, at > 0 ? ms_table_get_real (truth, at - 1, plug_in) : NAN, &found);
        }
    }
}

/* What the intervals of a kind come to, over rows and traces. */
typedef struct
{
  guint64 held, all;
  double *of_trace; /* (traces) held - LEAST all */
  double width;     /* sum of widths over the true value's size, where that is not 0 */
  guint64 n_width;
} Sum;

static void
add_row (Sum *sum, const Row *row, double truth)
{
  for (guint i = 0; i < row->found->len && !isnan (truth); i++)
    {
      const Found *found = &g_array_index (row->found, Found, i);
      /* Sums in another order differ in the last bits. */
      double bits = 1e-9 * fabs (truth);
      gboolean held = truth >= found->low - bits && truth <= found->high + bits;

      sum->all++;
      sum->held += held;
      sum->of_trace[found->trace] += held - LEAST;
      if (truth != 0)
        {
          sum->width += (found->high - found->low) / fabs (truth);
          sum->n_width++;
        }
    }
}

/* Measures whose value depends on how long the trace is, and why.  The true value of these is the mean over
 * the traces of one length, not that of the long trace. */
static const struct
{
  const char *key, *why;
} by_length[] = {
  { "cache total hit_rate", "caches start empty and stay filled from document to document" },
  { "cache layers hit_rate", "caches start empty and stay filled from document to document" },
  { "transitions predictors recall",
    "predictors learn from the other half of the trace, and know more the longer it is" },
  { NULL, NULL },
};

static double
mean_found (const Row *row)
{
  double sum = 0;

  for (guint i = 0; i < row->found->len; i++)
    sum += g_array_index (row->found, Found, i).value / row->found->len;
  return sum;
}

/* Intervals of measures that are exempt, and why: said in the manual beside the table. */
static const struct
{
  const char *key, *why;
} exempt[] = {
  { "coactivation layers share",
    "is that of the pair that is strongest in this trace, and so too large" },
  { "merge layers max_vio_after",
    "is that of the groups that this trace chose; others choose others" },
  { "merge layers mean_distance",
    "is that of the groups that this trace chose; others choose others" },
  { "placement measures balancedness",
    "is that of the placement that this trace got; another trace gets another" },
  { "placement measures max_over_mean",
    "is that of the placement that this trace got; another trace gets another" },
  { "placement measures cross_device_rate",
    "is that of the placement that this trace got; another trace gets another" },
  { "placement measures mean_devices_per_token",
    "is that of the placement that this trace got; another trace gets another" },
  { "transitions predictors recall", "is that of what was learned from this trace's other half; "
                                     "another half teaches something else" },
  { "what-if expert_choice token_choice_recall",
    "keeps what experts took, which compete for tokens with the whole trace" },
  { NULL, NULL },
};

static gboolean
is_exempt (const char *key)
{
  for (guint i = 0; exempt[i].key != NULL; i++)
    if (strcmp (exempt[i].key, key) == 0)
      return TRUE;
  return FALSE;
}

static int
compare_keys (gconstpointer a, gconstpointer b)
{
  return strcmp (a, b);
}

static gboolean
is_by_length (const char *key)
{
  for (guint i = 0; by_length[i].key != NULL; i++)
    if (strcmp (by_length[i].key, key) == 0)
      return TRUE;
  return FALSE;
}

/* With MOESCOPE_ROWS: the rows that are held least. */
static void
tell_rows (const Count *count, gboolean mean, guint n_traces)
{
  GHashTableIter iter;
  gpointer key, value;

  g_hash_table_iter_init (&iter, count->rows);
  while (g_hash_table_iter_next (&iter, &key, &value))
    {
      const Row *row = value;
      g_autofree double *of_trace = g_new0 (double, n_traces);
      Sum sum = { 0, 0, of_trace, 0, 0 };
      double low = 0, high = 0;

      add_row (&sum, row, mean ? mean_found (row) : row->truth);
      for (guint i = 0; i < row->found->len; i++)
        {
          low += g_array_index (row->found, Found, i).low / row->found->len;
          high += g_array_index (row->found, Found, i).high / row->found->len;
        }
      g_print ("#    %-40s %5.1f %% of %3u: true %-8.4g mean %-8.4g in %-8.4g to %.4g\n",
               (const char *) key, 100.0 * (double) sum.held / (double) MAX (sum.all, 1),
               row->found->len, row->truth, mean_found (row), low, high);
    }
}

/* Shares held by key, (COLUMNS) percentages each, NaN = not measured: the rows of the table. */
static GHashTable *shares_of_keys;

static void
keep_share (const char *key, const Process *process, guint n_documents, double share)
{
  guint column = 2 * (guint) (process - processes) + (n_documents < 40);
  double *row;

  if (shares_of_keys == NULL)
    shares_of_keys = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  row = g_hash_table_lookup (shares_of_keys, key);
  if (row == NULL)
    {
      row = g_new (double, COLUMNS);
      for (guint i = 0; i < COLUMNS; i++)
        row[i] = NAN;
      g_hash_table_insert (shares_of_keys, g_strdup (key), row);
    }
  row[column] = 100 * share;
}

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (a, b);
}

/* Keys are "analysis table measure". */
static void
write_table (const char *path)
{
  g_autoptr (GString) text = g_string_new (
      "| Analysis | Table | Measure | 40 documents | 8 documents | 40 pairs | 8 pairs |\n"
      "| --- | --- | --- | ---: | ---: | ---: | ---: |\n");
  g_autoptr (GList) keys = shares_of_keys != NULL
                               ? g_list_sort (g_hash_table_get_keys (shares_of_keys), compare_texts)
                               : NULL;
  g_autoptr (GError) error = NULL;

  for (GList *at = keys; at != NULL; at = at->next)
    {
      const double *row = g_hash_table_lookup (shares_of_keys, at->data);
      g_auto (GStrv) words = g_strsplit (at->data, " ", 3);

      g_string_append_printf (text, "| %s | %s | %s%s |", words[0], words[1], words[2],
                              is_exempt (at->data) ? " (*)" : "");
      for (guint i = 0; i < COLUMNS; i++)
        if (isnan (row[i]))
          g_string_append (text, "  |");
        else
          g_string_append_printf (text, " %.1f |", row[i]);
      g_string_append_c (text, '\n');
    }
  g_file_set_contents (path, text->str, (gssize) text->len, &error);
  g_assert_no_error (error);
}

static gboolean
tell_one (const Process *process, guint n_documents, const char *key, const Count *count,
          guint n_traces)
{
  g_autofree double *of_trace = g_new0 (double, n_traces);
  gboolean low, high, mean = is_by_length (key);
  double share, error = 0;
  Sum sum = { 0, 0, of_trace, 0, 0 };
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, count->rows);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    add_row (&sum, value, mean ? mean_found (value) : ((Row *) value)->truth);
  if (sum.all == 0)
    return FALSE;
  share = (double) sum.held / (double) sum.all;
  keep_share (key, process, n_documents, share);
  /* Rows of a trace go together, so the traces are what varies. */
  for (guint i = 0; i < n_traces; i++)
    error += of_trace[i] * of_trace[i];
  error = sqrt (error) / (double) sum.all;
  low = share + 2 * error < LEAST;
  /* What cannot vary is held always. */
  high = share > MOST && sum.all >= 1000 && sum.width > 0;
  g_print ("# %-10s %2u  %-55s %5.1f %%  width %-8.3g of %" G_GUINT64_FORMAT "%s%s%s\n",
           process->name, n_documents, key, 100 * share,
           sum.n_width > 0 ? sum.width / (double) sum.n_width : 0, sum.all,
           low    ? "  TOO RARELY"
           : high ? "  TOO OFTEN"
                  : "",
           count->outside > 0 ? "  MISSES ITSELF" : "", is_exempt (key) ? " (exempt)" : "");
  if (g_getenv ("MOESCOPE_ROWS") != NULL)
    tell_rows (count, mean, n_traces);
  return (low || high || count->outside > 0) && !is_exempt (key);
}

/* One line for each kind of interval; the number of those that cover too rarely or too often. */
static guint
tell (const Process *process, guint n_documents, GHashTable *counts, guint n_traces)
{
  g_autoptr (GList) keys = g_list_sort (g_hash_table_get_keys (counts), compare_keys);
  guint n_bad = 0;

  for (GList *at = keys; at != NULL; at = at->next)
    n_bad += tell_one (process, n_documents, at->data, g_hash_table_lookup (counts, at->data),
                       n_traces);
  return n_bad;
}

static void
test_process (gconstpointer data)
{
  const Process *process = data;
  static const guint sizes[] = { 40, 8 };
  const char *wanted = g_getenv ("MOESCOPE_COVERAGE"), *only = g_getenv ("MOESCOPE_ONLY");
  g_auto (GStrv) names = g_strsplit (only != NULL ? only : "", ",", -1);
  guint n_traces = wanted != NULL ? (guint) atoi (wanted) : 40, n_bad = 0;
  const MsAnalysis *const *all = ms_analyses ();
  g_autoptr (GPtrArray) truths = g_ptr_array_new ();
  MsTrace *traces[N_RUNS];
  Drawn drawn;
  char *path;

  draw (&drawn, process, LONG, 1);
  path = open_runs (&drawn, traces);
  for (guint a = 0; all[a] != NULL; a++)
    g_ptr_array_add (truths,
                     only == NULL || g_strv_contains ((const char *const *) names, all[a]->name)
                         ? run_analysis (all[a], traces, 0)
                         : NULL);
  for (guint r = 0; r < N_RUNS; r++)
    ms_trace_unref (traces[r]);
  ms_fixture_remove (path);
  clear (&drawn);
  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
    {
      g_autoptr (GHashTable) counts
          = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, count_free);

      for (guint i = 0; i < n_traces; i++)
        {
          draw (&drawn, process, process->pairs ? 2 * sizes[s] : sizes[s], 1000 + i);
          path = open_runs (&drawn, traces);
          for (guint a = 0; all[a] != NULL; a++)
            {
              MsResult *truth = truths->pdata[a];
              g_autoptr (MsResult) result
                  = truth == NULL ? NULL : run_analysis (all[a], traces, RESAMPLES);

              for (guint t = 0; result != NULL && t < result->n_tables; t++)
                take_table (all[a], i, truth->tables[t], result->tables[t], counts);
            }
          for (guint r = 0; r < N_RUNS; r++)
            ms_trace_unref (traces[r]);
          ms_fixture_remove (path);
          clear (&drawn);
        }
      n_bad += tell (process, sizes[s], counts, n_traces);
    }
  for (guint a = 0; a < truths->len; a++)
    ms_result_free (truths->pdata[a]);
  /* The other process is worth its time when this one failed. */
  if (n_bad > 0)
    g_test_fail_printf ("%u kinds of intervals cover too rarely or too often", n_bad);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (processes); i++)
    {
      g_autofree char *name = g_strdup_printf ("/coverage/%s", processes[i].name);

      g_test_add_data_func (name, &processes[i], test_process);
    }
  status = g_test_run ();
  if (g_getenv ("MOESCOPE_TABLE") != NULL)
    write_table (g_getenv ("MOESCOPE_TABLE"));
  g_clear_pointer (&shares_of_keys, g_hash_table_unref);
  return status;
}
