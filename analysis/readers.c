/* What some experts get to read: how much of every language, domain, phase and token goes to a set of
 * experts in the selected layers, against the rest.  The answer to a brush on the expert map.  metrics.md f.1. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

#define MOST_PIECES  40 /* rows of the table of tokens */
#define LEAST_TOKENS 10 /* occurrences below which a token's share says nothing */

static const char *const kinds[] = { "language", "domain", "phase" };

typedef struct
{
  GArray *experts; /* of MsRange, NULL = all */
  guint64 *read;   /* (L, D) tokens that reach the set */
  guint64 *seen;   /* (L, D) */
  guint8 **marks;  /* (L) of (T) bits, one layer each; merged in order */
  gint64 n_tokens;
  guint n_documents;
} Readers;

typedef struct
{
  Readers *readers;
  guint layer;
  guint n_experts;
  guint8 *chosen; /* (E) */
} Scan;

static gboolean
scan_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
           GError **error)
{
  const Scan *scan = data;
  Readers *readers = scan->readers;
  gsize cell = (gsize) scan->layer * readers->n_documents + document;
  guint64 read = 0;

  (void) error;
  for (guint t = 0; t < n; t++)
    {
      const guint16 *experts = chunk->experts + (gsize) (from + t) * chunk->k;
      gboolean reached = FALSE;

      for (guint k = 0; k < chunk->k && experts[k] < scan->n_experts; k++)
        reached = reached || scan->chosen[experts[k]];
      if (reached)
        {
          readers->marks[scan->layer][(row + t) / 8] |= (guint8) (1 << ((row + t) % 8));
          read++;
        }
    }
  readers->read[cell] += read;
  readers->seen[cell] += n;
  return TRUE;
}

static gboolean
do_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Readers *readers = data;
  guint n_experts = ms_trace_layer (context->trace, index)->gate.n_experts;
  g_autofree guint8 *chosen = g_new0 (guint8, n_experts);
  Scan scan = { readers, index, n_experts, chosen };

  for (guint e = 0; e < n_experts; e++)
    chosen[e] = ms_ranges_include (readers->experts, e) ? 1 : 0;
  readers->marks[index] = g_new0 (guint8, (gsize) readers->n_tokens / 8 + 1);
  return ms_trace_scan_layer (context->trace, index, MS_CHUNK_EXPERTS, scan_rows, &scan,
                              context->cancel, error);
}

static double
share (double part, double whole)
{
  return whole > 0 ? part / whole : NAN;
}

/* What was counted of one label, and what is written of it. */
typedef struct
{
  const char *name;
  guint n_documents;
  double read, seen;
  MsInterval share;
} Label;

/* The strongest readers first. */
static int
compare_labels (gconstpointer a, gconstpointer b)
{
  const Label *left = a, *right = b;
  double p = share (left->read, left->seen), q = share (right->read, right->seen);

  return p != q ? (p < q) - (p > q) : strcmp (left->name, right->name);
}

/* From read and seen to the share. */
static void
make_share (const double *sums, double *out, gpointer data)
{
  (void) data;
  *out = share (sums[0], sums[1]);
}

/* The share of label g from sums (U, G, 2): only clusters that have the label are drawn and counted. */
static MsInterval
measure_share (const MsContext *context, const double *sums, guint n_units, guint n_groups, guint g)
{
  g_autofree double *own = g_new0 (double, 2 * (n_units + 1));
  g_autoptr (MsBootstrap) bootstrap = NULL;
  MsIntervalRule rule;
  MsInterval interval;
  double seen = 0;
  guint n = 0;

  for (guint u = 0; u < n_units; u++)
    {
      const double *unit = sums + ((gsize) u * n_groups + g) * 2;

      if (!(unit[1] > 0))
        continue;
      own[2 * n] = unit[0];
      own[2 * n + 1] = unit[1];
      seen += unit[1];
      n++;
    }
  bootstrap = ms_bootstrap_new (context, n);
  rule = (MsIntervalRule){ bootstrap->confidence, bootstrap->reach };
  ms_bootstrap_intervals (bootstrap, own, 2, make_share, NULL, 1, &interval);
  ms_interval_bound (&interval, &rule, 0, 1, 1 / seen);
  return interval;
}

/* One row for each label of a kind: how much of its tokens, and of all the others', is read. */
static void
write_labels (const MsContext *context, const Readers *readers, const char *kind, MsTable *table)
{
  g_autoptr (MsGroups) groups = ms_trace_group (context->trace, kind, NULL);
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autoptr (MsBootstrap) bootstrap = NULL;
  g_autofree double *sums = NULL;
  g_autofree Label *labels = NULL;
  g_autofree MsInterval *shares = NULL;
  double all_read = 0, all_seen = 0;

  if (groups == NULL)
    return;
  bootstrap = ms_bootstrap_new_of_trace (context);
  sums = g_new0 (double, (gsize) bootstrap->n_units * groups->n * 2);
  labels = g_new0 (Label, groups->n);
  shares = g_new (MsInterval, groups->n);
  for (guint d = 0; d < readers->n_documents; d++)
    for (guint l = 0; l < n_layers; l++)
      {
        gsize cell = (gsize) l * readers->n_documents + d;
        double read = (double) readers->read[cell], seen = (double) readers->seen[cell];
        int group = groups->group[d];
        double *unit = sums + (gsize) ms_bootstrap_unit (bootstrap, d) * groups->n * 2;

        all_read += read;
        all_seen += seen;
        if (group < 0)
          continue;
        unit[2 * group] += read;
        unit[2 * group + 1] += seen;
        labels[group].read += read;
        labels[group].seen += seen;
        labels[group].n_documents += l == 0;
      }
  for (guint g = 0; g < groups->n; g++)
    shares[g] = measure_share (context, sums, bootstrap->n_units, groups->n, g);
  for (guint g = 0; g < groups->n; g++)
    {
      labels[g].name = groups->names[g];
      labels[g].share = shares[g];
    }
  qsort (labels, groups->n, sizeof *labels, compare_labels);
  for (guint g = 0; g < groups->n; g++)
    {
      const Label *label = &labels[g];
      double rest = share (all_read - label->read, all_seen - label->seen);

      ms_table_add_row (table, MS_TEXT (kind), MS_TEXT (label->name), MS_INT (label->n_documents),
                        MS_INT ((gint64) (label->seen / n_layers)), MS_INT ((gint64) label->read),
                        MS_INTERVAL (label->share), MS_REAL (rest),
                        MS_REAL (rest > 0 ? label->share.value / rest : NAN),
                        MS_REAL (share (all_read, all_seen)));
    }
}

typedef struct
{
  gint32 id;
  guint64 seen, read;
  double strength; /* standard errors above what the overall share predicts */
} Piece;

static int
compare_pieces (gconstpointer a, gconstpointer b)
{
  const Piece *left = a, *right = b;

  if (left->strength != right->strength)
    return left->strength < right->strength ? 1 : -1;
  return (left->id > right->id) - (left->id < right->id);
}

/* Fills the pieces (by id) from the marks of all layers; the overall share in *overall. */
static GArray *
count_pieces (const Readers *readers, guint n_layers, const gint32 *ids, double *overall)
{
  g_autoptr (GHashTable) index = g_hash_table_new (NULL, NULL);
  GArray *pieces = g_array_new (FALSE, TRUE, sizeof (Piece));
  double read = 0;

  for (gint64 t = 0; t < readers->n_tokens; t++)
    {
      gpointer at = g_hash_table_lookup (index, GINT_TO_POINTER (ids[t]));
      Piece *piece;

      if (at == NULL)
        {
          Piece new = { .id = ids[t] };

          g_array_append_val (pieces, new);
          at = GUINT_TO_POINTER (pieces->len);
          g_hash_table_insert (index, GINT_TO_POINTER (ids[t]), at);
        }
      piece = &g_array_index (pieces, Piece, GPOINTER_TO_UINT (at) - 1);
      piece->seen += n_layers;
      for (guint l = 0; l < n_layers; l++)
        piece->read += (readers->marks[l][t / 8] >> (t % 8)) & 1;
    }
  for (guint i = 0; i < pieces->len; i++)
    read += (double) g_array_index (pieces, Piece, i).read;
  *overall = share (read, (double) readers->n_tokens * n_layers);
  return pieces;
}

static gboolean
write_pieces (const MsContext *context, const Readers *readers, MsTable *table, GError **error)
{
  guint n_layers = ms_trace_n_layers (context->trace);
  g_autofree gint32 *ids = ms_trace_token_ids (context->trace, error);
  g_autoptr (GArray) pieces = NULL;
  double overall;

  if (ids == NULL)
    return FALSE;
  pieces = count_pieces (readers, n_layers, ids, &overall);
  for (guint i = 0; i < pieces->len; i++)
    {
      Piece *piece = &g_array_index (pieces, Piece, i);
      double expected = overall * (double) piece->seen;

      piece->strength = piece->seen >= (guint64) LEAST_TOKENS * n_layers && expected > 0
                            ? ((double) piece->read - expected) / sqrt (expected)
                            : -INFINITY;
    }
  g_array_sort (pieces, compare_pieces);
  for (guint i = 0; i < MIN (pieces->len, MOST_PIECES); i++)
    {
      const Piece *piece = &g_array_index (pieces, Piece, i);
      g_autofree char *text = ms_trace_piece (context->trace, piece->id);
      g_autofree char *name = text ? g_strdup (text) : g_strdup_printf ("#%d", piece->id);
      double own = share ((double) piece->read, (double) piece->seen);

      if (!isfinite (piece->strength) || piece->strength <= 0)
        break;
      ms_table_add_row (table, MS_INT (i + 1), MS_INT (piece->id), MS_TEXT (name),
                        MS_INT (piece->seen / n_layers), MS_INT (piece->read), MS_REAL (own),
                        MS_REAL (own / overall), MS_REAL (overall));
    }
  return TRUE;
}

static void
summarise (const MsContext *context, const Readers *readers, const MsTable *table, MsResult *result)
{
  const char *experts = ms_values_text (context->values, "experts");
  guint n_layers = ms_trace_n_layers (context->trace);
  const char *layers = n_layers == 1 ? "layer" : "layers";
  guint ratio = (guint) ms_table_find_column (table, "ratio");
  gboolean one = *experts != '\0' && strpbrk (experts, ",.") == NULL;
  double read = 0, seen = 0;
  int best = -1;
  g_autoptr (GString) text = g_string_new (NULL);
  char part[MS_NUMBER_SIZE], whole[MS_NUMBER_SIZE];

  for (gsize i = 0; i < (gsize) n_layers * readers->n_documents; i++)
    {
      read += (double) readers->read[i];
      seen += (double) readers->seen[i];
    }
  for (guint row = 0; row < ms_table_n_rows (table); row++)
    if (ms_table_get_real (table, row, ratio)
        > (best < 0 ? 1 : ms_table_get_real (table, (guint) best, ratio)))
      best = (int) row;
  g_string_append_printf (text, "%s%s in %u %s %s %s of %s tokens (%.3g %%)",
                          *experts == '\0' ? "All experts"
                          : one            ? "Expert "
                                           : "Experts ",
                          experts, n_layers, layers, one ? "reads" : "read",
                          ms_number_grouped (part, llround (read / n_layers)),
                          ms_number_grouped (whole, llround (seen / n_layers)),
                          100 * share (read, seen));
  if (n_layers > 1)
    g_string_append (text, ", on average over layers");
  if (best >= 0)
    g_string_append_printf (
        text, "; most of %s %s: %.3g %% of its %s tokens, %.3g times the share of the rest",
        ms_table_get_text (table, (guint) best, 0), ms_table_get_text (table, (guint) best, 1),
        100 * ms_table_get_real (table, (guint) best, 5),
        ms_number_grouped (part, ms_table_get_int (table, (guint) best, 3)),
        ms_table_get_real (table, (guint) best, ratio));
  else if (ms_table_n_rows (table) == 0)
    g_string_append (text, "; no document is labelled");
  g_string_append_c (text, '.');
  result->summary = g_string_free (g_steal_pointer (&text), FALSE);
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  const char *text = ms_values_text (context->values, "experts");
  g_autofree char *selection_text = *text ? g_strconcat ("expert=", text, NULL) : g_strdup ("");
  g_autoptr (MsSelection) selection = ms_selection_parse (selection_text, error);
  guint n_layers = ms_trace_n_layers (context->trace);
  Readers readers = { .n_tokens = ms_trace_n_tokens (context->trace),
                      .n_documents = ms_trace_n_documents (context->trace) };
  gboolean fine;

  if (selection == NULL)
    return FALSE;
  readers.experts = selection->experts;
  readers.read = g_new0 (guint64, (gsize) n_layers * readers.n_documents);
  readers.seen = g_new0 (guint64, (gsize) n_layers * readers.n_documents);
  readers.marks = g_new0 (guint8 *, n_layers);
  fine = ms_context_tasks (context, n_layers, do_layer, &readers, 0, 0.8, error);
  if (fine)
    {
      for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
        write_labels (context, &readers, kinds[i], result->tables[0]);
      summarise (context, &readers, result->tables[0], result);
      fine = write_pieces (context, &readers, result->tables[1], error);
    }
  for (guint l = 0; l < n_layers; l++)
    g_free (readers.marks[l]);
  g_free (readers.marks);
  g_free (readers.read);
  g_free (readers.seen);
  return fine;
}

static const MsParam params[] = {
  { .name = "experts",
    .title = "Experts",
    .help = "The experts of the selected layers, as in a selection: 17,23..25; empty = all.",
    .type = MS_PARAM_TEXT,
    .usual_text = "" },
  { 0 },
};

static const MsColumn label_columns[] = {
  { "kind", "Kind", NULL, MS_COLUMN_TEXT, "language, domain or phase." },
  { "label", "Label", NULL, MS_COLUMN_TEXT, "Of the documents." },
  { "n_documents", "Documents", "documents", MS_COLUMN_INT, "Documents with the label." },
  { "n_tokens", "Tokens", "tokens", MS_COLUMN_INT, "Their tokens." },
  { "n_read", "Read", NULL, MS_COLUMN_INT,
    "Of the label's (token, layer) pairs, those that choose one of the experts." },
  { "share", "Share read", NULL, MS_COLUMN_REAL, "n_read over all of the label's pairs." },
  MS_INTERVAL_COLUMNS ("", NULL),
  { "rest", "The rest", NULL, MS_COLUMN_REAL, "The same of all other documents." },
  { "ratio", "Times the rest", NULL, MS_COLUMN_REAL, "share / rest." },
  { "overall", "All", NULL, MS_COLUMN_REAL, "The same of all documents." },
  { 0 },
};

static const MsColumn piece_columns[] = {
  { "place", "Place", NULL, MS_COLUMN_INT, "1 = furthest above its expected share." },
  { "token_id", "Token id", NULL, MS_COLUMN_INT, "Number in the vocabulary." },
  { "token", "Token", NULL, MS_COLUMN_TEXT, "Its text; #id without a vocabulary." },
  { "n_tokens", "Occurrences", "tokens", MS_COLUMN_INT, "In the selected documents." },
  { "n_read", "Read", NULL, MS_COLUMN_INT,
    "Of its (occurrence, layer) pairs, those that choose one of the experts." },
  { "share", "Share read", NULL, MS_COLUMN_REAL, "n_read over all of its pairs." },
  { "ratio", "Times overall", NULL, MS_COLUMN_REAL, "share / overall." },
  { "overall", "All", NULL, MS_COLUMN_REAL, "The same of all tokens." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "labels", "What the experts read", label_columns },
  { "tokens", "Tokens they read most", piece_columns },
  { 0 },
};

#define LABEL_PLOT(kind, title_, what)                                                             \
  {                                                                                                \
    .name = kind, .title = title_, .table = "labels", .mark = MS_MARK_BAR, .x = "label",           \
    .x_title = what, .y = "share", .low = "low", .high = "high", .reference = "overall",           \
    .where = "kind=" kind                                                                          \
  }

static const MsPlotDef plots[] = {
  LABEL_PLOT ("language", "Share of each language read", "Language"),
  LABEL_PLOT ("domain", "Share of each domain read", "Domain"),
  LABEL_PLOT ("phase", "Share of each phase read", "Phase"),
  { .name = "tokens",
    .title = "Tokens read most",
    .table = "tokens",
    .mark = MS_MARK_BAR,
    .x = "token",
    .y = "share",
    .reference = "overall" },
  { 0 },
};

const MsAnalysis ms_analysis_readers = {
  .name = "readers",
  .title = "What Experts Read",
  .help = "Which languages, domains and tokens go to some experts of the selected layers?",
  .formula
  = "share = (token, layer) pairs that choose at least one of the experts / all pairs; tokens "
    "are ordered by (read - expected) / sqrt (expected), at least 10 occurrences.",
  .cite = "Our own; for single experts it is the share of OLMoE's domain specialisation, "
          "arXiv 2409.02060.",
  .selective = TRUE,
  .version = 3,
  .live = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
