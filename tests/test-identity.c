/* What must come out whatever the numbers are: a run's own rule changes nothing, every analysis that tells an
 * entropy tells the same one, one gate's numbers are not another's, other numbers for the experts change no
 * finding about them, and neither the way through CSV nor padding changes a table. */
#include "fixture.h"
#include "results.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define E 12
#define T 120

/* --- Runs of a gate ------------------------------------------------------------------------- */

/* Logits at random, the same for every gate; the decision is the gate's. */
static void
fill (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const MsGate *gate = data;
  guint64 state = (guint64) position * 31 + layer + 7;
  float logits[E], scratch[4 * E];
  MsDecision decision = { .experts = token->experts, .weights = token->weights };

  for (guint e = 0; e < E; e++)
    logits[e] = (float) (6 * ms_random_double (&state) - 3);
  ms_gate_choose (gate, logits, scratch, &decision);
  if (token->logits != NULL)
    memcpy (token->logits, logits, sizeof logits);
  if (token->entropy != NULL)
    *token->entropy = decision.entropy;
  if (token->margin != NULL)
    *token->margin = decision.margin;
}

/* A run of two layers with this gate; `columns` beside experts and weights. */
static char *
write_run (const MsGate *gate, guint columns)
{
  const MsLayer layers[] = { { .number = 0, .gate = *gate }, { .number = 2, .gate = *gate } };
  const MsDocument documents[] = { { .n_tokens = T / 2, .language = (char *) "en" },
                                   { .n_tokens = T / 2, .language = (char *) "de" } };
  const MsFixture fixture = { .n_layers = 2,
                              .layers = layers,
                              .n_documents = 2,
                              .documents = documents,
                              .columns = columns,
                              .fill = fill,
                              .data = (gpointer) gate };

  return ms_fixture_write (&fixture, NULL);
}

static MsTrace *
open_trace (const char *path)
{
  g_autoptr (GError) error = NULL;
  MsTrace *trace = ms_trace_open (path, 0, NULL, &error);

  g_assert_no_error (error);
  return trace;
}

static const float bias[E]
    = { 0.3f, -0.2f, 0, 0.1f, 0.4f, -0.4f, 0.2f, 0, -0.1f, 0.5f, -0.3f, 0.1f };

static const MsGate gates[] = {
  { MS_SCORING_SOFTMAX, E, 3, 0, 0, 0, FALSE, 1, FALSE, NULL },
  { MS_SCORING_SOFTMAX, E, 3, 0, 0, 0, TRUE, 1, FALSE, NULL },
  { MS_SCORING_SIGMOID, E, 4, 0, 0, 0, TRUE, 2.5f, FALSE, NULL },
  { MS_SCORING_SIGMOID, E, 3, 4, 2, MS_GROUP_BEST_TWO, TRUE, 1, FALSE, NULL },
  { MS_SCORING_SOFTMAX, E, 2, 3, 1, MS_GROUP_BEST, FALSE, 1, FALSE, NULL },
  { MS_SCORING_SELECTED, E, 3, 0, 0, 0, FALSE, 1, FALSE, NULL },
  { MS_SCORING_SQRT_SOFTPLUS, E, 3, 0, 0, 0, TRUE, 1, FALSE, NULL },
  { MS_SCORING_SIGMOID_SELECTED, E, 1, 0, 0, 0, FALSE, 1, FALSE, NULL },
  { MS_SCORING_SIGMOID, E, 3, 4, 2, MS_GROUP_BEST_TWO, TRUE, 2.5f, TRUE, bias },
  { MS_SCORING_SOFTMAX, E, 3, 0, 0, 0, FALSE, 1, TRUE, bias },
};

/* --- Identities ----------------------------------------------------------------------------- */

static void
test_own_rule (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (gates); i++)
    {
      char *path = write_run (&gates[i], MS_CHUNK_LOGITS);
      g_autofree char *top_k = g_strdup_printf ("top-k=%u,%u", gates[i].k, gates[i].k + 1);
      const char *const params[] = { top_k, NULL };
      g_autoptr (MsTrace) trace = open_trace (path);
      g_autoptr (MsResult) result = ms_test_run (trace, "what-if", 0, params);
      const MsTable *rules = ms_result_table (result, "rules");

      for (guint layer = 0; layer <= 2; layer += 2)
        {
          guint own = ms_test_row (rules, "rule=top-k value=%u layer=%u", gates[i].k, layer);
          guint more = ms_test_row (rules, "rule=top-k value=%u layer=%u", gates[i].k + 1, layer);

          g_assert_cmpfloat (ms_test_real (rules, own, "set_change_rate"), ==, 0);
          g_assert_cmpfloat (ms_test_real (rules, own, "recall"), ==, 1);
          g_assert_cmpfloat (ms_test_real (rules, more, "set_change_rate"), ==, 1);
        }
      ms_fixture_remove (path);
    }
}

static void
test_one_entropy (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (gates); i++)
    {
      char *scored = write_run (&gates[i], MS_CHUNK_LOGITS);
      char *bare = write_run (&gates[i], MS_CHUNK_ENTROPY);
      g_autoptr (MsTrace) a = open_trace (scored), b = open_trace (bare);
      g_autoptr (MsResult) uncertainty = ms_test_run (a, "uncertainty", 0, NULL);
      g_autoptr (MsResult) telemetry = ms_test_run (a, "gate-telemetry", 0, NULL);
      g_autoptr (MsResult) recorded = ms_test_run (b, "uncertainty", 0, NULL);
      g_autoptr (MsResult) recorded_too = ms_test_run (b, "gate-telemetry", 0, NULL);

      for (guint row = 0; row < 2; row++)
        {
          double right
              = ms_test_real (ms_result_table (uncertainty, "layers"), row, "shannon_nats");

          g_assert_true (right > 0 && right < log (E));
          ms_test_near (ms_test_real (telemetry->tables[0], row, "entropy"), right);
          /* As the collector recorded it, in float32. */
          g_assert_cmpfloat_with_epsilon (
              ms_test_real (ms_result_table (recorded, "layers"), row, "shannon_nats"), right,
              1e-6);
          g_assert_cmpfloat_with_epsilon (ms_test_real (recorded_too->tables[0], row, "entropy"),
                                          right, 1e-6);
        }
      ms_fixture_remove (scored);
      ms_fixture_remove (bare);
    }
}

/* The same logits under two gates: other entropies and other losses, but one z-loss, which is of the logits. */
static void
test_gate_matters (void)
{
  MsGate softmax = gates[0], sigmoid = gates[0];
  char *paths[2];
  double pooled[2], z[2], entropy[2];

  sigmoid.scoring = MS_SCORING_SIGMOID;
  paths[0] = write_run (&softmax, MS_CHUNK_LOGITS);
  paths[1] = write_run (&sigmoid, MS_CHUNK_LOGITS);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (MsTrace) trace = open_trace (paths[i]);
      g_autoptr (MsResult) losses = ms_test_run (trace, "losses", 0, NULL);
      g_autoptr (MsResult) uncertainty = ms_test_run (trace, "uncertainty", 0, NULL);
      const MsTable *table = ms_result_table (losses, "overall");

      pooled[i] = ms_test_real (table, ms_test_row (table, "measure=aux_pooled"), "value");
      z[i] = ms_test_real (table, ms_test_row (table, "measure=z_loss"), "value");
      entropy[i] = ms_test_real (ms_result_table (uncertainty, "layers"), 0, "shannon_nats");
      ms_fixture_remove (paths[i]);
    }
  g_assert_cmpfloat (fabs (pooled[0] - pooled[1]), >, 1e-3);
  g_assert_cmpfloat (entropy[1], >, entropy[0] + 0.1);
  ms_test_near (z[1], z[0]);
}

/* --- Tables that must be equal --------------------------------------------------------------- */

/* What a cell says of experts. */
typedef enum
{
  PLAIN,    /* nothing */
  EXPERT,   /* the number of one, of the row's layer */
  NEXT,     /* of the layer after it */
  MEMBERS,  /* numbers in any order, with what else stands in the text */
  CHOICES,  /* "number weight  number weight", in order */
  LEFT_OUT, /* not compared */
} Kind;

typedef struct
{
  const char *analysis, *table, *column; /* NULL = any */
  Kind kind;
  const char *reason; /* of what is left out */
} Meaning;

/* A new column that tells the number of an expert gets a row here, one that depends on the numbering as well. */
static const Meaning meanings[] = {
  { NULL, NULL, "expert", EXPERT, NULL },
  { NULL, NULL, "other", EXPERT, NULL },
  { NULL, NULL, "top_expert", EXPERT, NULL },
  { NULL, NULL, "next_expert", NEXT, NULL },
  { "calibration", "layers", "rarest", EXPERT, NULL },
  { "coactivation", "pairs", "a", EXPERT, NULL },
  { "coactivation", "pairs", "b", EXPERT, NULL },
  { "coactivation", "strongest", "pair", MEMBERS, NULL },
  { "committee", "layers", "members", MEMBERS, NULL },
  { "text", "choices", "choices", CHOICES, NULL },
  { "merge", "experts", "dominant", EXPERT, NULL },
  /* What depends on the numbers, and why. */
  { "coactivation", "layers", "a", LEFT_OUT, "the lower number of a pair; table strongest has it" },
  { "coactivation", "layers", "b", LEFT_OUT, "the higher number of that pair" },
  { "coactivation", "strongest", "a", LEFT_OUT, "the lower number; column pair has it" },
  { "coactivation", "strongest", "b", LEFT_OUT, "the higher number; column pair has it" },
  { "experts", "map", "place", LEFT_OUT,
    "of two branches of the tree the lower number comes first" },
  { "text", "tokens", "change", LEFT_OUT, "compares the numbers of two layers" },
  { "compare", "alignment", NULL, LEFT_OUT, "lays layers of one number beside those of another" },
  { "load", "intervals", "null", LEFT_OUT, "the seed deals other numbers to the experts" },
  { "load", "overall", "null", LEFT_OUT, "the seed deals other numbers to the experts" },
  { "merge", "experts", "label", LEFT_OUT, "clusters are numbered by their kept experts" },
  { "capacity", "repair", NULL, LEFT_OUT, "neighbouring numbers share a device" },
  { "placement", NULL, NULL, LEFT_OUT, "neighbouring numbers share a device" },
};

static const char *
leave_out (const char *analysis, const char *table, const char *column)
{
  for (guint i = 0; i < G_N_ELEMENTS (meanings); i++)
    if (meanings[i].kind == LEFT_OUT && g_str_equal (meanings[i].analysis, analysis)
        && (meanings[i].table == NULL || g_str_equal (meanings[i].table, table))
        && (meanings[i].column == NULL || g_str_equal (meanings[i].column, column)))
      return meanings[i].reason;
  return NULL;
}

static Kind
find_kind (const char *analysis, const char *table, const char *column)
{
  for (guint i = 0; i < G_N_ELEMENTS (meanings); i++)
    if ((meanings[i].analysis == NULL || g_str_equal (meanings[i].analysis, analysis))
        && (meanings[i].table == NULL || g_str_equal (meanings[i].table, table))
        && (meanings[i].column == NULL || g_str_equal (meanings[i].column, column)))
      return meanings[i].kind;
  return PLAIN;
}

/* The new number of expert e of a layer, given by its index. */
typedef guint16 (*Relabel) (guint layer, guint e);

/* A row: integers and texts as one text, numbers beside it. */
typedef struct
{
  char *key;
  double *reals;
} Row;

static void
row_free (gpointer data)
{
  Row *row = data;

  g_free (row->key);
  g_free (row->reals);
  g_free (row);
}

static int
compare_rows (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(Row *const *) a)->key, (*(Row *const *) b)->key);
}

/* The index of the layer that a row is about. */
static guint
row_layer (MsTrace *trace, const MsTable *table, guint row)
{
  int column = ms_table_find_column (table, "layer");
  guint layer = 0;

  g_assert_cmpint (column, >=, 0);
  while (ms_trace_layer (trace, layer)->number != ms_table_get_int (table, row, (guint) column))
    layer++;
  return layer;
}

static int
compare_numbers (gconstpointer a, gconstpointer b)
{
  return *(const int *) a - *(const int *) b;
}

/* The text with every expert in it renamed: a number that follows a blank or begins the text, and is not
 * the weight behind another.  Members are sorted. */
static char *
rename_list (const char *text, Kind kind, guint layer, Relabel relabel)
{
  g_auto (GStrv) words = g_strsplit_set (text, " ,+", -1);
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr (GString) out = g_string_new (NULL);
  gboolean weight = FALSE;

  for (guint i = 0; words[i] != NULL; i++)
    {
      int number = atoi (words[i]);

      if (words[i][0] == '\0')
        continue;
      if (relabel != NULL && !weight)
        number = relabel (layer, (guint) number);
      if (kind == MEMBERS)
        g_array_append_val (numbers, number);
      else if (weight)
        g_string_append_printf (out, " %s", words[i]);
      else
        g_string_append_printf (out, " %d", number);
      weight = kind == CHOICES && !weight;
    }
  g_array_sort (numbers, compare_numbers);
  for (guint i = 0; i < numbers->len; i++)
    g_string_append_printf (out, " %d", g_array_index (numbers, int, i));
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static void
append_cell (GString *key, MsTrace *trace, const MsTable *table, guint row, guint column, Kind kind,
             Relabel relabel)
{
  g_string_append_c (key, '|');
  if (ms_table_column (table, column)->type == MS_COLUMN_TEXT)
    {
      const char *text = ms_table_get_text (table, row, column);

      if (kind == PLAIN)
        g_string_append (key, text);
      else
        {
          g_autofree char *renamed
              = rename_list (text, kind, row_layer (trace, table, row), relabel);

          g_string_append (key, renamed);
        }
    }
  else
    {
      gint64 value = ms_table_get_int (table, row, column);

      if (kind != PLAIN && relabel != NULL && value >= 0)
        value = relabel (row_layer (trace, table, row) + (kind == NEXT ? 1 : 0), (guint) value);
      g_string_append_printf (key, "%" G_GINT64_FORMAT, value);
    }
}

/* The rows of a table by key, their experts renamed; what is left out is not in them. */
static GPtrArray *
read_rows (const char *analysis, MsTrace *trace, const MsTable *table, Relabel relabel)
{
  GPtrArray *rows = g_ptr_array_new_with_free_func (row_free);
  const char *name = ms_table_def (table)->name;
  guint n = ms_table_n_columns (table);

  for (guint i = 0; i < ms_table_n_rows (table); i++)
    {
      Row *row = g_new0 (Row, 1);
      g_autoptr (GString) key = g_string_new (NULL);

      row->reals = g_new (double, n);
      for (guint c = 0; c < n; c++)
        {
          const MsColumn *column = ms_table_column (table, c);

          row->reals[c] = NAN;
          if (leave_out (analysis, name, column->name) != NULL)
            continue;
          if (column->type == MS_COLUMN_REAL)
            row->reals[c] = ms_table_get_real (table, i, c);
          else
            append_cell (key, trace, table, i, c, find_kind (analysis, name, column->name),
                         relabel);
        }
      row->key = g_string_free (g_steal_pointer (&key), FALSE);
      g_ptr_array_add (rows, row);
    }
  g_ptr_array_sort (rows, compare_rows);
  return rows;
}

/* The first column in which two rows of n cells differ, n when there is none. */
static guint
differing (const Row *a, const Row *b, guint n)
{
  for (guint c = 0; c < n; c++)
    {
      double x = a->reals[c], y = b->reals[c];

      if (!(x == y || (isnan (x) && isnan (y)) || fabs (x - y) <= 1e-9 * MAX (fabs (x), 1)))
        return c;
    }
  return n;
}

/* Every row of a has its equal in b, and the other way about. */
static void
check_tables (const char *analysis, const MsTable *table, GPtrArray *a, GPtrArray *b,
              GString *faults)
{
  guint n = ms_table_n_columns (table), n_faults = 0;
  g_autofree gboolean *taken = g_new0 (gboolean, b->len + 1);

  if (a->len != b->len)
    g_string_append_printf (faults, "%s, %s: %u rows and %u\n", analysis,
                            ms_table_def (table)->name, a->len, b->len);
  for (guint i = 0, first = 0; i < a->len && n_faults < 3; i++)
    {
      const Row *row = a->pdata[i];
      guint j, column = n;

      while (first < b->len && strcmp (((Row *) b->pdata[first])->key, row->key) < 0)
        first++;
      for (j = first; j < b->len && g_str_equal (((Row *) b->pdata[j])->key, row->key); j++)
        if (!taken[j])
          {
            column = differing (row, b->pdata[j], n);
            if (column == n)
              break;
          }
      if (j < b->len && g_str_equal (((Row *) b->pdata[j])->key, row->key))
        taken[j] = TRUE;
      else if (column < n)
        g_string_append_printf (faults, "%s, %s %s: %s is %.15g or %.15g\n", analysis,
                                ms_table_def (table)->name, row->key,
                                ms_table_column (table, column)->name, row->reals[column],
                                ((Row *) b->pdata[j - 1])->reals[column]);
      else
        g_string_append_printf (faults, "%s, %s: no row %s\n", analysis, ms_table_def (table)->name,
                                row->key);
      n_faults += j >= b->len || !taken[j];
    }
}

/* Runs an analysis on two traces: the tables of the first, its experts renamed, are those of the second. */
static void
check_analysis (const MsAnalysis *analysis, MsTrace *traces[2], MsTrace *others[2], Relabel relabel,
                GString *faults)
{
  guint n_others = others[0] != NULL ? 1 : 0;
  g_autoptr (MsResult) a
      = ms_test_run_against (traces[0], &others[0], n_others, analysis->name, 8, NULL);
  g_autoptr (MsResult) b
      = ms_test_run_against (traces[1], &others[1], n_others, analysis->name, 8, NULL);

  for (guint i = 0; i < a->n_tables; i++)
    {
      g_autoptr (GPtrArray) rows = read_rows (analysis->name, traces[0], a->tables[i], relabel);
      g_autoptr (GPtrArray) others_rows = read_rows (analysis->name, traces[1], b->tables[i], NULL);

      check_tables (analysis->name, a->tables[i], rows, others_rows, faults);
    }
}

/* --- Other numbers for the experts ----------------------------------------------------------- */

/* Chosen so that the trace has no ties that an analysis would break by number. */
#define SKEW 0.2

/* A permutation of 8 and of 12 experts, another one in every layer. */
static guint16
shuffle (guint layer, guint e)
{
  return (guint16) ((5 * e + 3 + layer) % (layer < 2 ? 8 : 12));
}

/* Every row of the table is of an analysis, a table and a column that are there. */
static void
test_meanings (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (meanings); i++)
    {
      const Meaning *meaning = &meanings[i];
      guint n = 0;

      for (const MsAnalysis *const *analysis = ms_analyses (); *analysis != NULL; analysis++)
        for (const MsTableDef *def = (*analysis)->tables; def->name != NULL; def++)
          for (const MsColumn *column = def->columns; column->name != NULL; column++)
            n += (meaning->analysis == NULL || g_str_equal (meaning->analysis, (*analysis)->name))
                 && (meaning->table == NULL || g_str_equal (meaning->table, def->name))
                 && (meaning->column == NULL || g_str_equal (meaning->column, column->name));
      g_assert_cmpuint (n, >, 0);
      g_assert_true (meaning->kind != LEFT_OUT || meaning->reason != NULL);
    }
}

static void
test_relabelling (void)
{
  char *paths[]
      = { ms_fixture_skewed (NULL, 0, SKEW, NULL), ms_fixture_skewed (NULL, 0, SKEW, shuffle),
          ms_fixture_skewed (NULL, 0.5, SKEW, NULL), ms_fixture_skewed (NULL, 0.5, SKEW, shuffle) };
  MsTrace *traces[] = { open_trace (paths[0]), open_trace (paths[1]) };
  MsTrace *others[] = { open_trace (paths[2]), open_trace (paths[3]) };
  g_autoptr (GString) faults = g_string_new (NULL);

  for (const MsAnalysis *const *analysis = ms_analyses (); *analysis != NULL; analysis++)
    check_analysis (*analysis, traces, others, shuffle, faults);
  if (faults->len > 0)
    g_error ("other numbers for the experts change:\n%s", faults->str);
  for (guint i = 0; i < 2; i++)
    {
      ms_trace_unref (traces[i]);
      ms_trace_unref (others[i]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    ms_fixture_remove (paths[i]);
}

/* --- Through CSV ---------------------------------------------------------------------------- */

/* A folder of files, which is removed with them. */
static char *
make_folder (void)
{
  g_autoptr (GError) error = NULL;
  char *folder = g_dir_make_tmp ("moescope-XXXXXX", &error);

  g_assert_no_error (error);
  return folder;
}

static void
remove_folder (char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);

      g_remove (path);
    }
  g_rmdir (folder);
  g_free (folder);
}

/* Runs the program, which must succeed. */
static void
run_program (const char *const *words)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *messages = NULL;
  int status;

  g_ptr_array_add (argv, (gpointer) g_getenv ("MOESCOPE"));
  for (; *words != NULL; words++)
    g_ptr_array_add (argv, (gpointer) *words);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                &messages, &status, &error);
  g_assert_no_error (error);
  if (!g_spawn_check_wait_status (status, NULL))
    g_error ("%s: %s", (const char *) argv->pdata[1], messages);
}

/* As fill, but some tokens have fewer experts than slots, and a few have none; with the margin of that choice, and
 * the entropy in the precision of import. */
static void
fill_gaps (guint layer, gint64 position, MsFixtureToken *token, gpointer data)
{
  const MsGate *gate = data;
  guint64 state = (guint64) position * 7 + layer;
  guint kept = MIN (gate->k, (guint) ms_random_below (&state, 40));
  float scores[E], selection[2 * E];
  double p[E];

  fill (layer, position, token, data);
  for (guint r = kept; r < gate->k; r++)
    {
      token->experts[r] = MS_NO_EXPERT;
      token->weights[r] = 0;
    }
  ms_gate_distribution (gate, token->logits, p);
  *token->entropy = (float) ms_gate_entropy (p, E);
  ms_gate_scores (gate, token->logits, scores);
  ms_gate_selection (gate, scores, selection);
  *token->margin = ms_gate_margin (selection, E, token->experts, gate->k);
}

#define N_DOCUMENTS 12

static gint64
document_length (guint document)
{
  return 40 + 3 * (gint64) document;
}

/* A run with all labels of documents, predictions and the scores of the gate. */
static char *
write_labelled (const MsGate *gate)
{
  static const char *const languages[] = { "de", "en", "sw" };
  static const char *const texts[] = { "a", "b", "c", "e" };
  const MsLayer layers[] = { { .number = 0, .gate = *gate },
                             { .number = 2, .gate = *gate },
                             { .number = 3, .gate = *gate } };
  MsDocument documents[N_DOCUMENTS] = { 0 };
  const MsFixture fixture = { .n_layers = G_N_ELEMENTS (layers),
                              .layers = layers,
                              .n_documents = N_DOCUMENTS,
                              .documents = documents,
                              .columns = MS_CHUNK_LOGITS | MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN,
                              .predictions = TRUE,
                              .fill = fill_gaps,
                              .data = (gpointer) gate };

  for (guint d = 0; d < N_DOCUMENTS; d++)
    documents[d] = (MsDocument){ .language = (char *) languages[d % 3],
                                 .domain = (char *) (d < 6 ? "code" : "news"),
                                 .parallel = (char *) texts[d / 3],
                                 .phase = (char *) (d % 4 == 3 ? "decode" : "prefill"),
                                 .n_tokens = document_length (d) };
  return ms_fixture_write (&fixture, NULL);
}

/* The recorded scores as import reads them; no command writes them. */
static void
write_scores (const char *path, const char *output)
{
  g_autoptr (GString) text = g_string_new ("sequence,token,layer");
  g_autoptr (GError) error = NULL;
  MsTrace *trace = open_trace (path);
  char number[MS_NUMBER_SIZE];

  for (guint e = 0; e < E; e++)
    g_string_append_printf (text, ",e%u", e);
  for (guint l = 0; l < ms_trace_n_layers (trace); l++)
    {
      MsLayerTrace *layer = ms_trace_load_layer (trace, l, MS_CHUNK_LOGITS, NULL, &error);

      g_assert_no_error (error);
      for (guint d = 0; d < ms_trace_n_documents (trace); d++)
        {
          const MsDocument *document = ms_trace_document (trace, d);

          for (gint64 t = 0; t < document->n_tokens; t++)
            {
              g_string_append_printf (text, "\n%s,%" G_GINT64_FORMAT ",%d", document->name, t,
                                      ms_trace_layer (trace, l)->number);
              for (guint e = 0; e < E; e++)
                g_string_append_printf (
                    text, ",%s",
                    ms_number_float (number, layer->logits[(document->first_token + t) * E + e]));
            }
        }
      ms_layer_trace_free (layer);
    }
  g_string_append_c (text, '\n');
  g_file_set_contents (output, text->str, (gssize) text->len, &error);
  g_assert_no_error (error);
  ms_trace_unref (trace);
}

static const char *const csv_files[]
    = { "routing.csv", "scores.csv", "tokens.csv", "documents.csv" };

/* Exports a run into the folder. */
static void
export_run (const char *path, const char *folder)
{
  static const char *const tables[] = { "routing", "tokens", "documents" };
  g_autofree char *scores = g_build_filename (folder, "scores.csv", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    {
      g_autofree char *name = g_strconcat (tables[i], ".csv", NULL);
      g_autofree char *output = g_build_filename (folder, name, NULL);

      run_program ((const char *[]){ "export", path, tables[i], "-o", output, NULL });
    }
  write_scores (path, scores);
}

/* Imports the files of the folder, with the gate, into a run there; returns its path. */
static char *
import_run (const char *folder, const MsGate *gate)
{
  char *output = g_build_filename (folder, "imported.db", NULL);
  g_autoptr (GPtrArray) inputs = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  MsImportSummary summary;
  MsImportOptions options = { .output = output,
                              .name = "test",
                              .n_experts = E,
                              .k = gate->k,
                              .scores = MS_IMPORT_SCORES_LOGITS,
                              .scoring = gate->scoring,
                              .renormalise = gate->renormalise,
                              .scale = gate->scale,
                              .holes = TRUE };

  for (guint i = 0; i < G_N_ELEMENTS (csv_files); i++)
    g_ptr_array_add (inputs, g_build_filename (folder, csv_files[i], NULL));
  g_ptr_array_add (inputs, NULL);
  options.inputs = (const char *const *) inputs->pdata;
  g_remove (output);
  ms_import (&options, &summary, &error);
  g_assert_no_error (error);
  ms_import_summary_clear (&summary);
  return output;
}

/* All tables of all analyses are the same of both runs; an analysis that one lacks something for, both do. */
static void
check_same (const char *path, const char *other)
{
  MsTrace *traces[] = { open_trace (path), open_trace (other) };
  g_autoptr (GString) faults = g_string_new (NULL);
  guint n_run = 0;

  for (const MsAnalysis *const *analysis = ms_analyses (); *analysis != NULL; analysis++)
    {
      g_autofree char *missing = ms_analysis_missing (*analysis, traces[0], 1);
      g_autofree char *missing_too = ms_analysis_missing (*analysis, traces[1], 1);

      g_assert_cmpstr (missing, ==, missing_too);
      if (missing == NULL)
        {
          /* Each against itself: what compares runs finds no difference. */
          check_analysis (*analysis, traces, traces, NULL, faults);
          n_run++;
        }
    }
  if (faults->len > 0)
    g_error ("tables differ:\n%s", faults->str);
  g_assert_cmpuint (n_run, >=, 25);
  ms_trace_unref (traces[0]);
  ms_trace_unref (traces[1]);
}

/* Gates that import can be told of. */
static const guint told_gates[] = { 0, 2, 5, 6 };

static void
test_export_import (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (told_gates); i++)
    {
      const MsGate *gate = &gates[told_gates[i]];
      char *path = write_labelled (gate), *folder = make_folder ();
      g_autofree char *imported = NULL;

      export_run (path, folder);
      imported = import_run (folder, gate);
      check_same (path, imported);
      ms_fixture_remove (path);
      remove_folder (folder);
    }
}

/* --- Padding -------------------------------------------------------------------------------- */

#define PAD_LEFT  3
#define PAD_RIGHT 2

/* The CSV files that have a row for each token. */
typedef enum
{
  DECISIONS,
  SCORES,
  TOKENS,
} File;

/* Rows of a token that is none, with numbers that would be seen. */
static void
append_padding (GString *text, File file, guint document, gint64 position)
{
  static const int layers[] = { 0, 2, 3 };
  g_autofree char *token = g_strdup_printf ("d%u,%" G_GINT64_FORMAT, document, position);

  if (file == TOKENS)
    g_string_append_printf (text, "1,%s,0,,0,99\n", token);
  for (guint i = 0; i < G_N_ELEMENTS (layers) && file == DECISIONS; i++)
    g_string_append_printf (text, "1,%s,0,%d,0,5,0.9,0\n", token, layers[i]);
  for (guint i = 0; i < G_N_ELEMENTS (layers) && file == SCORES; i++)
    {
      g_string_append_printf (text, "%s,%d", token, layers[i]);
      for (guint e = 0; e < E; e++)
        g_string_append_printf (text, ",%u", e == 5 ? 9 : 0);
      g_string_append_c (text, '\n');
    }
}

/* Puts padding before and behind the tokens of each document; `column` is that of the position.  Decisions get a
 * column that says which are valid. */
static void
pad_file (const char *folder, const char *name, File file, guint column)
{
  g_autofree char *path = g_build_filename (folder, name, NULL), *text = NULL;
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) lines = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  lines = g_strsplit (text, "\n", -1);
  g_string_append_printf (out, "%s%s\n", lines[0], file == DECISIONS ? ",valid" : "");
  for (guint i = 1; lines[i] != NULL && lines[i][0] != '\0'; i++)
    {
      g_auto (GStrv) cells = g_strsplit (lines[i], ",", -1);
      char *moved = g_strdup_printf ("%d", atoi (cells[column]) + PAD_LEFT);
      g_autofree char *line = NULL;

      g_free (cells[column]);
      cells[column] = moved;
      line = g_strjoinv (",", cells);
      g_string_append_printf (out, "%s%s\n", line, file == DECISIONS ? ",1" : "");
    }
  for (guint d = 0; d < N_DOCUMENTS; d++)
    {
      gint64 end = PAD_LEFT + document_length (d);

      for (gint64 t = 0; t < PAD_LEFT; t++)
        append_padding (out, file, d, t);
      for (gint64 t = end; t < end + PAD_RIGHT; t++)
        append_padding (out, file, d, t);
    }
  g_file_set_contents (path, out->str, (gssize) out->len, &error);
  g_assert_no_error (error);
}

static void
test_padding (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (told_gates); i++)
    {
      const MsGate *gate = &gates[told_gates[i]];
      char *path = write_labelled (gate), *folder = make_folder ();
      g_autofree char *imported = NULL;

      export_run (path, folder);
      pad_file (folder, "routing.csv", DECISIONS, 2);
      pad_file (folder, "scores.csv", SCORES, 1);
      pad_file (folder, "tokens.csv", TOKENS, 2);
      imported = import_run (folder, gate);
      check_same (path, imported);
      ms_fixture_remove (path);
      remove_folder (folder);
    }
}

/* --- Collected runs ------------------------------------------------------------------------- */

/* Collects some tokens of the model: by its own k, no set of experts changes. */
static void
check_collected (const char *model)
{
  char *folder = make_folder ();
  g_autofree char *ids = g_build_filename (folder, "ids.txt", NULL);
  g_autofree char *path = g_build_filename (folder, "run.db", NULL), *top_k = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  MsTrace *trace;

  for (guint i = 0; i < 96; i++)
    g_string_append_printf (text, "%u%s", (7 * i + i / 5) % 31 + 1, i % 24 == 23 ? "\n" : " ");
  g_file_set_contents (ids, text->str, -1, NULL);
  run_program (
      (const char *[]){ "collect", model, "-o", path, "--token-ids", ids, "--scores", NULL });
  trace = open_trace (path);
  top_k = g_strdup_printf ("top-k=%u", ms_trace_layer (trace, 0)->gate.k);
  {
    const char *const params[] = { top_k, NULL };
    g_autoptr (MsResult) result = ms_test_run (trace, "what-if", 0, params);
    const MsTable *rules = ms_result_table (result, "rules");

    for (guint l = 0; l < ms_trace_n_layers (trace); l++)
      {
        guint row = ms_test_row (rules, "rule=top-k layer=%d", ms_trace_layer (trace, l)->number);
        double changed = ms_test_real (rules, row, "set_change_rate");

        if (changed != 0)
          g_error ("%s, layer %d: its own rule changes %.1f %% of the sets", model,
                   ms_trace_layer (trace, l)->number, 100 * changed);
      }
  }
  ms_trace_unref (trace);
  remove_folder (folder);
}

/* Every model of our own: with selection bias, groups, scale, renormalised and not. */
static void
test_own_models (void)
{
  g_autofree char *folder
      = g_build_filename (g_getenv ("MOESCOPE_SOURCE_ROOT"), "tests", "data", "models", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint n = 0;

  g_assert_nonnull (dir);
  while ((name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".gguf"))
      {
        g_autofree char *path = g_build_filename (folder, name, NULL);

        check_collected (path);
        n++;
      }
  g_assert_cmpuint (n, >=, 10);
}

/* A model of sigmoid scores with a selection bias, of another's making. */
static void
test_conformance_model (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("MOESCOPE_SHARED"), "conformance", "models",
                                            "dots1.gguf", NULL);

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    g_test_skip ("the conformance models are not there");
  else
    check_collected (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/identity/own-rule", test_own_rule);
  g_test_add_func ("/identity/one-entropy", test_one_entropy);
  g_test_add_func ("/identity/gate-matters", test_gate_matters);
  g_test_add_func ("/identity/meanings", test_meanings);
  g_test_add_func ("/identity/relabelling", test_relabelling);
  g_test_add_func ("/identity/export-import", test_export_import);
  g_test_add_func ("/identity/padding", test_padding);
  g_test_add_func ("/identity/own-models", test_own_models);
  g_test_add_func ("/identity/conformance-model", test_conformance_model);
  return g_test_run ();
}
