/* A run seen through a selection: which layers, which documents, which of their tokens.
 *
 * The selected tokens are a list of spans in corpus order.  Everything that reads decisions walks the
 * spans block by block with a reader taken from a pool, so calls from several threads do not meet.
 * Invariant: spans are sorted, not empty and within the recorded tokens; their rows follow on. */
#include "analysis-private.h"

#include <string.h>

/* What all narrowings of one run share. */
typedef struct
{
  gatomicrefcount refs;
  char *path;
  MsRun *run;
  MsModel *model;
  MsCorpus *corpus;
  GMutex lock;
  GPtrArray *idle; /* of MsReader, under the lock */
} Source;

typedef struct
{
  gint64 position; /* in the corpus */
  gint64 n;
  gint64 row;
  guint document; /* selected document */
} Span;

struct MsTrace
{
  gatomicrefcount refs;
  Source *source;
  MsSelection *selection;
  guint n_layers;
  guint *layers; /* (n_layers) indices into the model's layers */
  guint n_documents;
  MsDocument *documents; /* (n_documents) with first_token and n_tokens of the selection */
  guint *numbers;        /* (n_documents) */
  guint n_spans;
  Span *spans; /* (n_spans) */
  gint64 n_tokens;
  GHashTable *clusters; /* label or "" -> MsClusters, under the source's lock */
};

static void
source_unref (Source *source)
{
  if (source == NULL || !g_atomic_ref_count_dec (&source->refs))
    return;
  g_ptr_array_unref (source->idle);
  g_mutex_clear (&source->lock);
  ms_run_free (source->run);
  ms_model_free (source->model);
  ms_corpus_free (source->corpus);
  g_free (source->path);
  g_free (source);
}

static void
free_reader (gpointer reader)
{
  ms_reader_free (reader);
}

static Source *
source_new (const char *path, gint64 run, GError **error)
{
  g_autoptr (MsDb) db = ms_db_open (path, MS_DB_READ, error);
  g_autoptr (MsRun) loaded = NULL;
  g_autoptr (MsModel) model = NULL;
  g_autoptr (MsCorpus) corpus = NULL;
  Source *source;

  if (db == NULL || (loaded = ms_db_load_run (db, run, error)) == NULL
      || (model = ms_db_load_model (db, loaded->model, error)) == NULL
      || (corpus = ms_db_load_corpus (db, loaded->corpus, error)) == NULL)
    return NULL;
  source = g_new0 (Source, 1);
  g_atomic_ref_count_init (&source->refs);
  g_mutex_init (&source->lock);
  source->path = g_strdup (path);
  source->run = g_steal_pointer (&loaded);
  source->model = g_steal_pointer (&model);
  source->corpus = g_steal_pointer (&corpus);
  source->idle = g_ptr_array_new_with_free_func (free_reader);
  return source;
}

static MsReader *
take_reader (Source *source, GError **error)
{
  MsReader *reader = NULL;

  g_mutex_lock (&source->lock);
  if (source->idle->len > 0)
    reader = g_ptr_array_steal_index (source->idle, source->idle->len - 1);
  g_mutex_unlock (&source->lock);
  return reader != NULL ? reader : ms_reader_new (source->path, source->run->id, error);
}

static void
give_reader (Source *source, MsReader *reader)
{
  g_mutex_lock (&source->lock);
  g_ptr_array_add (source->idle, reader);
  g_mutex_unlock (&source->lock);
}

/* --- Applying the selection ------------------------------------------------------------------ */

static gboolean
in_texts (const GPtrArray *texts, const char *label)
{
  if (texts == NULL)
    return TRUE;
  return label != NULL
         && g_ptr_array_find_with_equal_func ((GPtrArray *) texts, label, g_str_equal, NULL);
}

static int
compare_ranges (gconstpointer a, gconstpointer b)
{
  const MsRange *left = a, *right = b;

  return (left->first > right->first) - (left->first < right->first);
}

/* The label that import gives tokens which are perhaps no routing; where none are, it has the value "no". */
#define SUSPECT "suspect"

/* The first label of single tokens under this name that ends behind position `from`, or where it would stand:
 * those of one name are ascending and apart. */
static guint
find_range (const MsCorpus *corpus, const char *name, gint64 from)
{
  guint low = 0, high = corpus->n_ranges;

  while (low < high)
    {
      guint middle = low + (high - low) / 2;
      const MsTokenLabel *at = &corpus->ranges[middle];
      int names = strcmp (at->name, name);

      if (names < 0 || (names == 0 && at->first_token + at->n_tokens <= from))
        low = middle + 1;
      else
        high = middle;
    }
  return low;
}

/* Whether the corpus has labels of single tokens under this name. */
static gboolean
has_ranges (const MsCorpus *corpus, const char *name)
{
  guint at = find_range (corpus, name, 0);

  return at < corpus->n_ranges && strcmp (corpus->ranges[at].name, name) == 0;
}

/* What a selection says of labels: all of these hold. */
typedef struct
{
  const char *name;
  const GPtrArray *values; /* NULL = any */
} Condition;

static GArray *
list_conditions (const MsSelection *selection)
{
  GArray *conditions = g_array_new (FALSE, FALSE, sizeof (Condition));
  const Condition known[] = { { "language", selection->languages },
                              { "domain", selection->domains },
                              { "phase", selection->phases } };

  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (known[i].values != NULL)
      g_array_append_val (conditions, known[i]);
  for (guint i = 0; selection->labels != NULL && i < selection->labels->len; i++)
    {
      const MsLabelChoice *choice = selection->labels->pdata[i];
      Condition condition = { choice->name, choice->values };

      g_array_append_val (conditions, condition);
    }
  return conditions;
}

static gboolean
document_fulfils (const MsCorpus *corpus, guint number, const Condition *condition)
{
  int label = ms_corpus_find_label (corpus, condition->name);

  if (label < 0 && strcmp (condition->name, SUSPECT) == 0)
    return in_texts (condition->values, "no");
  return label >= 0
         && in_texts (condition->values,
                      ms_document_label (&corpus->documents[number], (guint) label));
}

gboolean
ms_selection_has_document (const MsSelection *selection, const MsCorpus *corpus, guint number)
{
  g_autoptr (GArray) conditions = list_conditions (selection);

  for (guint i = 0; i < conditions->len; i++)
    if (!document_fulfils (corpus, number, &g_array_index (conditions, Condition, i)))
      return FALSE;
  return ms_ranges_include (selection->documents, number)
         && in_texts (selection->names, corpus->documents[number].name);
}

/* Leaves of `ranges` (of MsRange, ascending) what is in first..last (keep) or what is not. */
static void
cut_range (GArray *ranges, gint64 first, gint64 last, GArray *kept, gboolean keep)
{
  for (guint i = 0; i < ranges->len; i++)
    {
      MsRange *range = &g_array_index (ranges, MsRange, i);
      MsRange inside = { MAX (range->first, first), MIN (range->last, last) };

      if (inside.first > inside.last)
        continue;
      if (keep)
        g_array_append_val (kept, inside);
      if (range->last > last)
        {
          MsRange rest = { last + 1, range->last };

          if (range->first < first)
            {
              range->last = first - 1;
              g_array_insert_val (ranges, i + 1, rest);
            }
          else
            *range = rest;
        }
      else
        range->last = first - 1; /* empty when it began inside */
    }
}

/* Leaves of the document's tokens `ranges` those that fulfil the condition: by their own label where they
 * have one, else by the document's. */
static void
cut_tokens (GArray *ranges, const MsCorpus *corpus, guint number, const Condition *condition)
{
  const MsDocument *document = &corpus->documents[number];
  g_autoptr (GArray) kept = g_array_new (FALSE, FALSE, sizeof (MsRange));

  for (guint i = find_range (corpus, condition->name, document->first_token); i < corpus->n_ranges;
       i++)
    {
      const MsTokenLabel *label = &corpus->ranges[i];

      if (strcmp (label->name, condition->name) != 0
          || label->first_token >= document->first_token + document->n_tokens)
        break;
      if (label->first_token + label->n_tokens > document->first_token)
        cut_range (ranges, label->first_token, label->first_token + label->n_tokens - 1, kept,
                   in_texts (condition->values, label->value));
    }
  if (!document_fulfils (corpus, number, condition))
    g_array_set_size (ranges, 0);
  g_array_append_vals (ranges, kept->data, kept->len);
  g_array_sort (ranges, compare_ranges);
}

/* The tokens of document `number` that are recorded and selected; ranges may be empty. */
static GArray *
select_in_document (const MsTrace *trace, const GArray *conditions, guint number)
{
  const MsCorpus *corpus = trace->source->corpus;
  const MsDocument *document = &corpus->documents[number];
  const MsSelection *selection = trace->selection;
  GArray *ranges = g_array_new (FALSE, FALSE, sizeof (MsRange));
  gint64 end = MIN (document->first_token + document->n_tokens, trace->source->run->n_tokens);
  guint n = selection->tokens != NULL ? selection->tokens->len : 1;

  if (!ms_ranges_include (selection->documents, number)
      || !in_texts (selection->names, document->name))
    return ranges;
  for (guint i = 0; i < n; i++)
    {
      MsRange range = { document->first_token, end - 1 };

      if (selection->tokens != NULL)
        {
          range.first = MAX (g_array_index (selection->tokens, MsRange, i).first, range.first);
          range.last = MIN (g_array_index (selection->tokens, MsRange, i).last, range.last);
        }
      if (range.first <= range.last)
        g_array_append_val (ranges, range);
    }
  for (guint i = 0; i < conditions->len && ranges->len > 0; i++)
    {
      const Condition *condition = &g_array_index (conditions, Condition, i);

      if (has_ranges (corpus, condition->name))
        cut_tokens (ranges, corpus, number, condition);
      else if (!document_fulfils (corpus, number, condition))
        g_array_set_size (ranges, 0);
    }
  return ranges;
}

static void
select_tokens (MsTrace *trace)
{
  const MsCorpus *corpus = trace->source->corpus;
  g_autoptr (GArray) conditions = list_conditions (trace->selection);
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (Span));
  g_autoptr (GArray) documents = g_array_new (FALSE, FALSE, sizeof (MsDocument));
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint i = 0; i < corpus->n_documents; i++)
    {
      g_autoptr (GArray) ranges = select_in_document (trace, conditions, i);
      MsDocument document = corpus->documents[i];

      document.first_token = trace->n_tokens;
      for (guint j = 0; j < ranges->len; j++)
        {
          const MsRange *range = &g_array_index (ranges, MsRange, j);
          Span span
              = { range->first, range->last - range->first + 1, trace->n_tokens, documents->len };

          if (span.n < 1)
            continue;
          g_array_append_val (spans, span);
          trace->n_tokens += span.n;
        }
      document.n_tokens = trace->n_tokens - document.first_token;
      if (document.n_tokens == 0)
        continue;
      g_array_append_val (documents, document);
      g_array_append_val (numbers, i);
    }
  trace->n_documents = documents->len;
  trace->n_spans = spans->len;
  trace->documents = g_array_steal (documents, NULL);
  trace->numbers = g_array_steal (numbers, NULL);
  trace->spans = g_array_steal (spans, NULL);
}

static void
select_layers (MsTrace *trace)
{
  const MsModel *model = trace->source->model;

  trace->layers = g_new (guint, model->n_layers);
  for (guint i = 0; i < model->n_layers; i++)
    if (ms_ranges_include (trace->selection->layers, model->layers[i].number))
      trace->layers[trace->n_layers++] = i;
}

/* "language, domain, ...": the labels that documents or tokens of the corpus have. */
static char *
list_labels (const MsCorpus *corpus)
{
  guint n_labels = ms_corpus_n_labels (corpus);
  GString *text = g_string_new (NULL);

  for (guint label = 0; label < n_labels; label++)
    {
      const char *name = ms_corpus_label_name (corpus, label);
      gboolean occurs = has_ranges (corpus, name);

      for (guint i = 0; i < corpus->n_documents && !occurs; i++)
        occurs = ms_document_label (&corpus->documents[i], label) != NULL;
      if (occurs)
        g_string_append_printf (text, "%s%s", text->len > 0 ? ", " : "", name);
    }
  for (guint i = 0; i < corpus->n_ranges; i++)
    if ((i == 0 || strcmp (corpus->ranges[i - 1].name, corpus->ranges[i].name) != 0)
        && ms_corpus_find_label (corpus, corpus->ranges[i].name) < 0)
      g_string_append_printf (text, "%s%s", text->len > 0 ? ", " : "", corpus->ranges[i].name);
  if (text->len == 0)
    g_string_append (text, "none");
  return g_string_free (text, FALSE);
}

/* Whether the corpus has every label that the selection names. */
static gboolean
check_labels (const MsCorpus *corpus, const MsSelection *selection, GError **error)
{
  for (guint i = 0; selection != NULL && selection->labels != NULL && i < selection->labels->len;
       i++)
    {
      const char *name = ((const MsLabelChoice *) selection->labels->pdata[i])->name;
      g_autofree char *there = NULL;

      if (ms_corpus_find_label (corpus, name) >= 0 || has_ranges (corpus, name)
          || strcmp (name, SUSPECT) == 0)
        continue;
      there = list_labels (corpus);
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
                   "the selection: there is no key and no label '%s'; the labels there are: %s",
                   name, there);
      return FALSE;
    }
  return TRUE;
}

/* Takes source and selection. */
static MsTrace *
trace_new (Source *source, MsSelection *selection)
{
  MsTrace *trace = g_new0 (MsTrace, 1);

  g_atomic_ref_count_init (&trace->refs);
  trace->source = source;
  trace->selection = selection;
  select_layers (trace);
  select_tokens (trace);
  return trace;
}

/* Whether a selected expert exists in a selected layer; yes if none is selected. */
static gboolean
selects_experts (const MsTrace *trace)
{
  const GArray *ranges = trace->selection != NULL ? trace->selection->experts : NULL;
  gint64 n_experts = 0;

  for (guint l = 0; l < trace->n_layers; l++)
    n_experts = MAX (n_experts, ms_trace_layer (trace, l)->gate.n_experts);
  for (guint i = 0; ranges != NULL && i < ranges->len; i++)
    if (g_array_index (ranges, MsRange, i).first < n_experts)
      return TRUE;
  return ranges == NULL || ranges->len == 0;
}

MsTrace *
ms_trace_open (const char *path, gint64 run, const MsSelection *selection, GError **error)
{
  g_autoptr (MsTrace) trace = NULL;
  g_autofree char *text = ms_selection_format (selection);
  Source *source;

  if (run == 0 && selection != NULL)
    run = selection->run;
  source = source_new (path, run, error);
  if (source == NULL)
    return NULL;
  if (!check_labels (source->corpus, selection, error))
    {
      source_unref (source);
      return NULL;
    }
  trace = trace_new (source, ms_selection_copy (selection));
  if (trace->n_layers > 0 && trace->n_tokens > 0 && selects_experts (trace))
    return g_steal_pointer (&trace);
  if (source->run->n_tokens == 0)
    g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
                 "run %" G_GINT64_FORMAT " of %s holds no recorded token; resume its collection",
                 source->run->id, path);
  else
    g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
                 "the selection %s leaves no %s of run %" G_GINT64_FORMAT
                 "; `moescope info` lists what there is",
                 text,
                 trace->n_layers == 0   ? "layer"
                 : trace->n_tokens == 0 ? "token"
                                        : "expert",
                 source->run->id);
  return NULL;
}

MsTrace *
ms_trace_narrow (MsTrace *trace, const guint *documents, guint n)
{
  MsSelection *selection = ms_selection_copy (trace->selection);
  g_autofree guint8 *wanted = g_new0 (guint8, trace->source->corpus->n_documents);

  for (guint i = 0; i < n; i++)
    {
      g_return_val_if_fail (documents[i] < trace->source->corpus->n_documents, NULL);
      wanted[documents[i]] = 1;
    }
  g_clear_pointer (&selection->documents, g_array_unref);
  selection->documents = g_array_new (FALSE, FALSE, sizeof (MsRange));
  for (guint i = 0; i < trace->n_documents; i++)
    {
      guint number = trace->numbers[i];
      GArray *ranges = selection->documents;
      MsRange range = { number, number };

      if (!wanted[number])
        continue;
      if (ranges->len > 0 && g_array_index (ranges, MsRange, ranges->len - 1).last == number - 1)
        g_array_index (ranges, MsRange, ranges->len - 1).last = number;
      else
        g_array_append_val (ranges, range);
    }
  g_atomic_ref_count_inc (&trace->source->refs);
  return trace_new (trace->source, selection);
}

MsTrace *
ms_trace_ref (MsTrace *trace)
{
  g_atomic_ref_count_inc (&trace->refs);
  return trace;
}

void
ms_trace_unref (MsTrace *trace)
{
  if (trace == NULL || !g_atomic_ref_count_dec (&trace->refs))
    return;
  source_unref (trace->source);
  ms_selection_free (trace->selection);
  g_clear_pointer (&trace->clusters, g_hash_table_unref);
  g_free (trace->layers);
  g_free (trace->documents);
  g_free (trace->numbers);
  g_free (trace->spans);
  g_free (trace);
}

/* --- What is there --------------------------------------------------------------------------- */

const char *
ms_trace_path (const MsTrace *trace)
{
  return trace->source->path;
}

const MsRun *
ms_trace_run (const MsTrace *trace)
{
  return trace->source->run;
}

const MsCorpus *
ms_trace_corpus (const MsTrace *trace)
{
  return trace->source->corpus;
}

const MsModel *
ms_trace_model (const MsTrace *trace)
{
  return trace->source->model;
}

const MsSelection *
ms_trace_selection (const MsTrace *trace)
{
  return trace->selection;
}

guint
ms_trace_n_layers (const MsTrace *trace)
{
  return trace->n_layers;
}

const MsLayer *
ms_trace_layer (const MsTrace *trace, guint layer)
{
  g_return_val_if_fail (layer < trace->n_layers, NULL);
  return &trace->source->model->layers[trace->layers[layer]];
}

MsLayer *
ms_trace_copy_layers (const MsTrace *trace)
{
  MsLayer *layers = g_new (MsLayer, trace->n_layers);

  for (guint l = 0; l < trace->n_layers; l++)
    layers[l] = *ms_trace_layer (trace, l);
  return layers;
}

guint
ms_trace_n_documents (const MsTrace *trace)
{
  return trace->n_documents;
}

const MsDocument *
ms_trace_document (const MsTrace *trace, guint document)
{
  g_return_val_if_fail (document < trace->n_documents, NULL);
  return &trace->documents[document];
}

guint
ms_trace_document_number (const MsTrace *trace, guint document)
{
  g_return_val_if_fail (document < trace->n_documents, 0);
  return trace->numbers[document];
}

gint64
ms_trace_n_tokens (const MsTrace *trace)
{
  return trace->n_tokens;
}

gint64
ms_trace_position (const MsTrace *trace, gint64 row)
{
  guint low = 0, high = trace->n_spans;

  g_return_val_if_fail (row >= 0 && row < trace->n_tokens, 0);
  while (high - low > 1)
    {
      guint middle = low + (high - low) / 2;

      if (trace->spans[middle].row <= row)
        low = middle;
      else
        high = middle;
    }
  return trace->spans[low].position + (row - trace->spans[low].row);
}

/* --- Reading decisions ----------------------------------------------------------------------- */

static gboolean
check_columns (const MsTrace *trace, guint columns, GError **error)
{
  guint missing = columns & ~trace->source->run->columns & ~(guint) MS_CHUNK_EXPERTS;

  if (missing == 0)
    return TRUE;
  g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_MISSING_INPUT,
               "run %" G_GINT64_FORMAT " was recorded without %s; collect it again with them",
               trace->source->run->id,
               ms_chunk_column ((guint) g_bit_nth_lsf (missing, -1))->title);
  return FALSE;
}

/* The spans block by block.  With `whole`, neighbouring spans of one block are given at once and the
 * document is that of the first. */
static gboolean
scan (MsTrace *trace, guint layer, guint columns, gboolean whole, MsRowsFunc func, gpointer data,
      GCancellable *cancel, GError **error)
{
  const MsChunk *chunk = NULL;
  MsReader *reader;
  gboolean fine = TRUE;

  g_return_val_if_fail (layer < trace->n_layers, FALSE);
  if (!check_columns (trace, columns, error)
      || (reader = take_reader (trace->source, error)) == NULL)
    return FALSE;
  for (guint i = 0; fine && i < trace->n_spans; i++)
    {
      Span span = trace->spans[i];

      while (whole && i + 1 < trace->n_spans
             && trace->spans[i + 1].position == span.position + span.n)
        span.n += trace->spans[++i].n;
      while (fine && span.n > 0)
        {
          guint block = (guint) (span.position / MS_BLOCK_TOKENS);
          guint from = (guint) (span.position % MS_BLOCK_TOKENS);
          guint n = (guint) MIN (span.n, MS_BLOCK_TOKENS - from);

          if (chunk == NULL || chunk->first_token != (gint64) block * MS_BLOCK_TOKENS)
            {
              fine = !g_cancellable_set_error_if_cancelled (cancel, error);
              if (!fine)
                break;
              chunk = ms_reader_chunk (reader, block, trace->layers[layer], columns, 0, error);
              if (chunk == NULL)
                {
                  fine = FALSE;
                  break;
                }
            }
          if (from + n > chunk->n_tokens || chunk->first_token != (gint64) block * MS_BLOCK_TOKENS)
            {
              g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_CORRUPT,
                           "block %u of run %" G_GINT64_FORMAT
                           " does not hold its tokens; see `moescope check`",
                           block, trace->source->run->id);
              fine = FALSE;
              break;
            }
          fine = func (chunk, from, n, span.row, span.document, data, error);
          span.position += n;
          span.row += n;
          span.n -= n;
        }
    }
  give_reader (trace->source, reader);
  return fine;
}

gboolean
ms_trace_scan_layer (MsTrace *trace, guint layer, guint columns, MsRowsFunc func, gpointer data,
                     GCancellable *cancel, GError **error)
{
  return scan (trace, layer, columns, FALSE, func, data, cancel, error);
}

static gboolean
count_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
            GError **error)
{
  (void) row, (void) document, (void) error;
  ms_chunk_count (chunk, from, n, data);
  return TRUE;
}

gboolean
ms_trace_count (MsTrace *trace, guint layer, guint64 *counts, GCancellable *cancel, GError **error)
{
  memset (counts, 0, ms_trace_layer (trace, layer)->gate.n_experts * sizeof *counts);
  return scan (trace, layer, 0, TRUE, count_rows, counts, cancel, error);
}

typedef struct
{
  guint n_experts;
  guint64 *piece;  /* (E) scratch */
  guint32 *counts; /* (D, E) */
} DocumentCounts;

static gboolean
count_document_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document,
                     gpointer data, GError **error)
{
  DocumentCounts *counts = data;
  guint32 *out = counts->counts + (gsize) document * counts->n_experts;

  (void) row, (void) error;
  memset (counts->piece, 0, counts->n_experts * sizeof (guint64));
  ms_chunk_count (chunk, from, n, counts->piece);
  for (guint e = 0; e < counts->n_experts; e++)
    out[e] += (guint32) counts->piece[e];
  return TRUE;
}

gboolean
ms_trace_count_documents (MsTrace *trace, guint layer, guint32 *counts, GCancellable *cancel,
                          GError **error)
{
  guint n_experts = ms_trace_layer (trace, layer)->gate.n_experts;
  g_autofree guint64 *piece = g_new (guint64, n_experts);
  DocumentCounts data = { n_experts, piece, counts };

  memset (counts, 0, (gsize) trace->n_documents * n_experts * sizeof *counts);
  return scan (trace, layer, 0, FALSE, count_document_rows, &data, cancel, error);
}

static gboolean
copy_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
           GError **error)
{
  MsLayerTrace *layer = data;

  (void) document, (void) error;
  ms_decisions_copy (&layer->decisions, (gsize) row, &chunk->decisions, from, n, layer->k,
                     layer->n_experts);
  return TRUE;
}

MsLayerTrace *
ms_trace_load_layer (MsTrace *trace, guint layer, guint columns, GCancellable *cancel,
                     GError **error)
{
  g_autoptr (MsLayerTrace) loaded = NULL;
  const MsLayer *def = ms_trace_layer (trace, layer);

  if (!check_columns (trace, columns, error))
    return NULL;
  loaded = g_new0 (MsLayerTrace, 1);
  loaded->n_experts = def->gate.n_experts;
  loaded->k = def->gate.k;
  loaded->n_tokens = trace->n_tokens;
  if (!ms_decisions_allocate (&loaded->decisions, columns, (gsize) trace->n_tokens, loaded->k,
                              loaded->n_experts))
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
                   "there is not enough memory for %" G_GINT64_FORMAT
                   " tokens of layer %d; select fewer documents",
                   trace->n_tokens, def->number);
      return NULL;
    }
  if (!scan (trace, layer, columns, TRUE, copy_rows, loaded, cancel, error))
    return NULL;
  return g_steal_pointer (&loaded);
}

guint16 *
ms_trace_load_side_by_side (MsTrace *trace, guint *width, guint *n_ids, GCancellable *cancel,
                            GError **error)
{
  gsize n_tokens = (gsize) trace->n_tokens, n_layers = trace->n_layers, row;
  g_autofree guint16 *ids = NULL;
  guint first = 0;

  *width = *n_ids = 0;
  for (guint l = 0; l < n_layers; l++)
    {
      *width = MAX (*width, ms_trace_layer (trace, l)->gate.k);
      *n_ids += ms_trace_layer (trace, l)->gate.n_experts;
    }
  if (*n_ids >= MS_NO_EXPERT)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION,
                   "one cache for all layers holds up to %u experts, this run has %u; select fewer "
                   "layers",
                   MS_NO_EXPERT - 1, *n_ids);
      return NULL;
    }
  row = n_layers * *width;
  ids = g_new (guint16, n_tokens * row);
  memset (ids, 0xff, n_tokens * row * sizeof *ids);
  for (guint l = 0; l < n_layers; l++)
    {
      g_autoptr (MsLayerTrace) layer
          = ms_trace_load_layer (trace, l, MS_CHUNK_EXPERTS, cancel, error);

      if (layer == NULL)
        return NULL;
      for (gsize t = 0; t < n_tokens; t++)
        for (guint r = 0; r < layer->k; r++)
          {
            guint16 e = layer->experts[t * layer->k + r];

            if (e != MS_NO_EXPERT)
              ids[t * row + l * *width + r] = (guint16) (first + e);
          }
      first += layer->n_experts;
    }
  return g_steal_pointer (&ids);
}

void
ms_layer_trace_free (MsLayerTrace *layer)
{
  if (layer == NULL)
    return;
  ms_decisions_clear (&layer->decisions);
  g_free (layer);
}

/* --- Tokens ---------------------------------------------------------------------------------- */

gint32 *
ms_trace_token_ids (MsTrace *trace, GError **error)
{
  g_autofree gint32 *ids = g_new (gint32, trace->n_tokens);
  MsReader *reader = take_reader (trace->source, error);
  gboolean fine = TRUE;

  if (reader == NULL)
    return NULL;
  for (guint i = 0; fine && i < trace->n_spans; i++)
    fine = ms_reader_tokens (reader, trace->spans[i].position, trace->spans[i].n,
                             ids + trace->spans[i].row, error);
  give_reader (trace->source, reader);
  return fine ? g_steal_pointer (&ids) : NULL;
}

gboolean
ms_trace_predictions (MsTrace *trace, gint32 **predicted, float **loss, GError **error)
{
  g_autofree gint32 *ids = g_new (gint32, trace->n_tokens);
  g_autofree float *losses = g_new (float, trace->n_tokens);
  MsReader *reader = take_reader (trace->source, error);
  gboolean fine = TRUE;

  if (reader == NULL)
    return FALSE;
  for (guint i = 0; fine && i < trace->n_spans; i++)
    fine = ms_reader_predictions (reader, trace->spans[i].position, trace->spans[i].n,
                                  ids + trace->spans[i].row, losses + trace->spans[i].row, error);
  give_reader (trace->source, reader);
  if (!fine)
    return FALSE;
  if (predicted != NULL)
    *predicted = g_steal_pointer (&ids);
  if (loss != NULL)
    *loss = g_steal_pointer (&losses);
  return TRUE;
}

GBytes *
ms_trace_piece_bytes (MsTrace *trace, gint32 id)
{
  MsReader *reader = take_reader (trace->source, NULL);
  GBytes *copy = NULL;
  const guint8 *bytes;
  gsize length;

  if (reader == NULL)
    return NULL;
  if (ms_reader_piece (reader, id, &bytes, &length))
    copy = g_bytes_new (bytes, length);
  give_reader (trace->source, reader);
  return copy;
}

char *
ms_trace_piece (MsTrace *trace, gint32 id)
{
  MsReader *reader = take_reader (trace->source, NULL);
  const guint8 *bytes;
  GString *text = NULL;
  gsize length;

  if (reader == NULL)
    return NULL;
  if (ms_reader_piece (reader, id, &bytes, &length))
    {
      const char *at = (const char *) bytes, *end = at + length;

      text = g_string_new (NULL);
      while (at < end)
        {
          gunichar c = g_utf8_get_char_validated (at, end - at);

          if (c == (gunichar) -1 || c == (gunichar) -2 || c == 0)
            g_string_append_printf (text, "<0x%02X>", (guchar) *at++);
          else
            {
              g_string_append_unichar (text, c);
              at = g_utf8_next_char (at);
            }
        }
    }
  give_reader (trace->source, reader);
  return text != NULL ? g_string_free (text, FALSE) : NULL;
}

/* --- Groups ---------------------------------------------------------------------------------- */

/* What documents are grouped by: label number `label`, or their names. */
#define BY_DOCUMENT G_MAXUINT

static const char *
group_label (const MsDocument *document, guint label)
{
  return label == BY_DOCUMENT ? document->name : ms_document_label (document, label);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

MsGroups *
ms_trace_group (const MsTrace *trace, const char *by, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  MsGroups *groups;
  const MsCorpus *corpus = trace->source->corpus;
  int found = ms_corpus_find_label (corpus, by);
  gboolean by_document = strcmp (by, "document") == 0;
  guint label = by_document ? BY_DOCUMENT : (guint) found;

  if (!by_document && found < 0) /* -1 as a guint is BY_DOCUMENT, too */
    {
      g_autofree char *there = list_labels (corpus);

      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
                   "cannot group by '%s': choose document, or one of the labels there are: %s", by,
                   there);
      return NULL;
    }
#define LABEL(i) group_label (&trace->documents[i], label)
  for (guint i = 0; i < trace->n_documents; i++)
    if (LABEL (i) != NULL)
      g_hash_table_add (seen, (gpointer) LABEL (i));
  if (g_hash_table_size (seen) == 0)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "no selected document has the label '%s'; give it when collecting or importing",
                   by);
      return NULL;
    }
  groups = g_new0 (MsGroups, 1);
  groups->names = (char **) g_hash_table_get_keys_as_array (seen, &groups->n);
  qsort (groups->names, groups->n, sizeof (char *), compare_names);
  g_hash_table_remove_all (seen);
  for (guint i = 0; i < groups->n; i++)
    {
      groups->names[i] = g_strdup (groups->names[i]);
      g_hash_table_insert (seen, groups->names[i], GUINT_TO_POINTER (i));
    }
  groups->group = g_new (int, trace->n_documents);
  for (guint i = 0; i < trace->n_documents; i++)
    groups->group[i]
        = LABEL (i) != NULL ? (int) GPOINTER_TO_UINT (g_hash_table_lookup (seen, LABEL (i))) : -1;
#undef LABEL
  return groups;
}

GPtrArray *
ms_trace_token_values (const MsTrace *trace, const char *label)
{
  const MsCorpus *corpus = trace->source->corpus;
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  int of_document = ms_corpus_find_label (corpus, label);
  GPtrArray *values;
  guint n;
  g_autofree char **texts = NULL;

  if (!has_ranges (corpus, label))
    return NULL;
  for (guint i = 0; i < trace->n_documents && of_document >= 0; i++)
    if (ms_document_label (&trace->documents[i], (guint) of_document) != NULL)
      g_hash_table_add (seen,
                        (gpointer) ms_document_label (&trace->documents[i], (guint) of_document));
  for (guint i = 0; i < trace->n_spans; i++)
    {
      const Span *span = &trace->spans[i];

      for (guint r = find_range (corpus, label, span->position);
           r < corpus->n_ranges && strcmp (corpus->ranges[r].name, label) == 0
           && corpus->ranges[r].first_token < span->position + span->n;
           r++)
        g_hash_table_add (seen, corpus->ranges[r].value);
    }
  values = g_ptr_array_new_with_free_func (g_free);
  texts = (char **) g_hash_table_get_keys_as_array (seen, &n);
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (values, g_strdup (texts[i]));
  g_ptr_array_sort (values, compare_names);
  return values;
}

MsTrace *
ms_trace_narrow_label (MsTrace *trace, const char *label, const char *value)
{
  MsSelection *selection = ms_selection_copy (trace->selection);

  ms_selection_set_label (selection, label, value);
  g_atomic_ref_count_inc (&trace->source->refs);
  return trace_new (trace->source, selection);
}

void
ms_groups_free (MsGroups *groups)
{
  if (groups == NULL)
    return;
  for (guint i = 0; i < groups->n; i++)
    g_free (groups->names[i]);
  g_free (groups->names);
  g_free (groups->group);
  g_free (groups);
}

/* --- Independent documents ------------------------------------------------------------------- */

static void
clusters_free (MsClusters *clusters)
{
  g_free (clusters->of);
  g_free (clusters);
}

/* The content of a document as one number; documents of another length are not alike. */
typedef struct
{
  gint64 n_tokens;
  guint64 hash;
} Content;

static guint
hash_content (gconstpointer key)
{
  const Content *content = key;

  return (guint) (content->hash ^ content->hash >> 32);
}

static gboolean
same_content (gconstpointer a, gconstpointer b)
{
  const Content *left = a, *right = b;

  return left->n_tokens == right->n_tokens && left->hash == right->hash;
}

static guint64
add_to_hash (guint64 hash, const guint8 *bytes, gsize n)
{
  for (gsize i = 0; i < n; i++) /* FNV-1a */
    hash = (hash ^ bytes[i]) * 0x100000001b3u;
  return hash;
}

static gboolean
hash_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
           GError **error)
{
  Content *contents = data;
  gsize bytes = (gsize) chunk->k * chunk->id_bytes;
  const guint8 *ids
      = chunk->id_bytes == 1 ? chunk->ids8 : (const guint8 *) (const void *) chunk->ids16;

  (void) row, (void) error;
  contents[document].hash = add_to_hash (contents[document].hash, ids + from * bytes, n * bytes);
  return TRUE;
}

/* Contents (D) from the token ids, of documents that are not the only ones of their length. */
static gboolean
hash_ids (MsTrace *trace, Content *contents, GError **error)
{
  g_autoptr (GHashTable) lengths = g_hash_table_new (NULL, NULL);
  g_autofree gint32 *ids = g_new (gint32, MS_BLOCK_TOKENS);
  MsReader *reader = take_reader (trace->source, error);
  gboolean fine = reader != NULL;

  for (guint d = 0; d < trace->n_documents; d++)
    {
      gpointer length = GSIZE_TO_POINTER ((gsize) contents[d].n_tokens);

      g_hash_table_insert (lengths, length,
                           GUINT_TO_POINTER (1 + g_hash_table_contains (lengths, length)));
    }
  for (guint i = 0; fine && i < trace->n_spans; i++)
    {
      const Span *span = &trace->spans[i];
      Content *content = &contents[span->document];

      if (g_hash_table_lookup (lengths, GSIZE_TO_POINTER ((gsize) content->n_tokens))
          == GUINT_TO_POINTER (1))
        continue;
      for (gint64 done = 0; fine && done < span->n; done += MS_BLOCK_TOKENS)
        {
          gint64 n = MIN (span->n - done, MS_BLOCK_TOKENS);

          fine = ms_reader_tokens (reader, span->position + done, n, ids, error);
          if (fine)
            content->hash
                = add_to_hash (content->hash, (const guint8 *) (const void *) ids, (gsize) n * 4);
        }
    }
  if (reader != NULL)
    give_reader (trace->source, reader);
  return fine;
}

/* The first document of the cluster of d, on the way shortened. */
static guint
first_of (guint *parent, guint d)
{
  while (parent[d] != d)
    d = parent[d] = parent[parent[d]];
  return d;
}

static void
join (guint *parent, guint a, guint b)
{
  a = first_of (parent, a);
  b = first_of (parent, b);
  parent[MAX (a, b)] = MIN (a, b);
}

/* Joins documents with the same value of the label. */
static gboolean
join_by_label (MsTrace *trace, const char *by, guint *parent, GError **error)
{
  g_autoptr (GError) missing = NULL;
  g_autoptr (MsGroups) groups = ms_trace_group (trace, by != NULL ? by : "parallel", &missing);
  g_autofree guint *first = NULL;

  if (groups == NULL && by != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&missing));
      return FALSE;
    }
  if (groups == NULL)
    return TRUE;
  first = g_new (guint, groups->n);
  memset (first, 0xff, groups->n * sizeof *first);
  for (guint d = 0; d < trace->n_documents; d++)
    if (groups->group[d] >= 0 && first[groups->group[d]] == G_MAXUINT)
      first[groups->group[d]] = d;
    else if (groups->group[d] >= 0)
      join (parent, first[groups->group[d]], d);
  return TRUE;
}

static MsClusters *
find_clusters (MsTrace *trace, const char *by, GError **error)
{
  guint n = trace->n_documents;
  g_autofree Content *contents = g_new (Content, n);
  g_autofree guint *parent = g_new (guint, n);
  g_autoptr (GHashTable) seen = g_hash_table_new (hash_content, same_content);
  gboolean ids_known = trace->source->corpus->ids_known;
  const char *unit = trace->source->corpus->unit;
  gboolean texts = unit == NULL || strcmp (unit, "token") == 0;
  MsClusters *clusters;

  for (guint d = 0; d < n; d++)
    {
      contents[d] = (Content){ trace->documents[d].n_tokens, 0xcbf29ce484222325u };
      parent[d] = d;
    }
  if (!(ids_known ? hash_ids (trace, contents, error)
                  : ms_trace_scan_layer (trace, 0, 0, hash_rows, contents, NULL, error))
      || !join_by_label (trace, by, parent, error))
    return NULL;
  clusters = g_new0 (MsClusters, 1);
  clusters->of = g_new (guint, n);
  for (guint d = 0; d < n; d++)
    {
      /* Units such as queries are no texts: that two of them go the same way makes them no copies. */
      const Content *twin = ids_known || texts ? g_hash_table_lookup (seen, &contents[d]) : NULL;

      if (twin == NULL) /* as of all that are alone of their length and were not read */
        g_hash_table_add (seen, &contents[d]);
      else
        {
          clusters->n_copies++;
          join (parent, (guint) (twin - contents), d);
        }
    }
  for (guint d = 0; d < n; d++)
    clusters->of[d]
        = first_of (parent, d) == d ? clusters->n++ : clusters->of[first_of (parent, d)];
  return clusters;
}

const MsClusters *
ms_trace_clusters (MsTrace *trace, const char *by, GError **error)
{
  const char *key = by != NULL ? by : "";
  MsClusters *clusters, *kept;

  g_mutex_lock (&trace->source->lock);
  kept = trace->clusters != NULL ? g_hash_table_lookup (trace->clusters, key) : NULL;
  g_mutex_unlock (&trace->source->lock);
  if (kept != NULL || trace->n_documents == 0)
    return kept;
  clusters = find_clusters (trace, by, error);
  if (clusters == NULL)
    return NULL;
  g_mutex_lock (&trace->source->lock);
  if (trace->clusters == NULL)
    trace->clusters
        = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) clusters_free);
  kept = g_hash_table_lookup (trace->clusters, key); /* another thread may have been faster */
  if (kept == NULL)
    g_hash_table_insert (trace->clusters, g_strdup (key), kept = g_steal_pointer (&clusters));
  g_mutex_unlock (&trace->source->lock);
  if (clusters != NULL)
    clusters_free (clusters);
  return kept;
}
