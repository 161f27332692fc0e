/* `moescope export`: tables of a run as CSV, in the order of the tokens, without holding more than one
 * block, and decisions as JSON lines and arrays.  Text is quoted by libcsv, numbers are bare. */
#include "analysis.h"
#include "command.h"
#include "db.h"
#include "export-arrays.h"

#include <math.h>
#include <string.h>

#define FLUSH_BYTES (1 << 20)

/* In the order of `formats`; the arrays last and in theirs. */
typedef enum
{
  FORMAT_CSV,
  FORMAT_JSONL,
  FORMAT_NPY,
  FORMAT_NPZ,
  FORMAT_SAFETENSORS,
} Format;

static const char *const formats[] = { "csv", "jsonl", "npy", "npz", "safetensors" };

typedef struct
{
  Format format;
  gboolean stages, destinations; /* have names */
  GOutputStream *stream;
  GString *text;
  MsTrace *trace;
  MsReader *reader;
  MsCorpus *corpus;
  const GArray *experts; /* of MsRange, NULL = all; borrowed */
  GCancellable *cancel;
} Export;

static void
export_clear (Export *export)
{
  g_clear_object (&export->stream);
  if (export->text != NULL)
    g_string_free (export->text, TRUE);
  g_clear_pointer (&export->trace, ms_trace_unref);
  g_clear_pointer (&export->reader, ms_reader_free);
  g_clear_pointer (&export->corpus, ms_corpus_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Export, export_clear)

static gboolean
flush (Export *export, GError **error)
{
  gboolean good = g_output_stream_write_all (export->stream, export->text->str, export->text->len,
                                             NULL, export->cancel, error);

  g_string_truncate (export->text, 0);
  return good;
}

static void
append_int (GString *text, gint64 value)
{
  char digits[24];
  int at = sizeof digits;
  guint64 rest = value < 0 ? 0 - (guint64) value : (guint64) value;

  do
    digits[--at] = (char) ('0' + rest % 10);
  while ((rest /= 10) > 0);
  if (value < 0)
    digits[--at] = '-';
  g_string_append_len (text, digits + at, (gssize) sizeof digits - at);
}

static void
append_text (GString *text, const char *value)
{
  if (value != NULL)
    ms_csv_append (text, value);
}

/* Calls for each selected token: its row of the trace, its position in the corpus, its document and
 * position therein. */
typedef gboolean (*TokenFunc) (Export *export, gint64 position, const MsDocument *document,
                               gint64 inside, gpointer data, GError **error);

static gboolean
each_token (Export *export, TokenFunc func, gpointer data, GError **error)
{
  for (guint d = 0; d < ms_trace_n_documents (export->trace); d++)
    {
      const MsDocument *selected = ms_trace_document (export->trace, d);
      const MsDocument *document
          = &export->corpus->documents[ms_trace_document_number (export->trace, d)];

      for (gint64 i = 0; i < selected->n_tokens; i++)
        {
          gint64 position = ms_trace_position (export->trace, selected->first_token + i);

          if (!func (export, position, document, position - document->first_token, data, error)
              || (export->text->len > FLUSH_BYTES && !flush (export, error)))
            return FALSE;
        }
    }
  return TRUE;
}

/* --- routing -------------------------------------------------------------------------------- */

typedef struct
{
  gint64 block;           /* the one that is loaded, -1 = none */
  gint32 *ids;            /* (MS_BLOCK_TOKENS) of that block, NULL = unknown */
  const MsChunk **chunks; /* one for each selected layer */
  guint *layers;          /* their indices in the model */
  GString *prefix;        /* run, document, position, token of the row */
  MsArrays *arrays;       /* NULL = it is written as text */
} Routing;

static gboolean
load_block (Export *export, Routing *routing, gint64 block, GError **error)
{
  gint64 first = block * MS_BLOCK_TOKENS;
  gint64 n = MIN (MS_BLOCK_TOKENS, ms_reader_run (export->reader)->n_tokens - first);

  for (guint i = 0; i < ms_trace_n_layers (export->trace); i++)
    {
      routing->chunks[i] = ms_reader_chunk (export->reader, (guint) block, routing->layers[i],
                                            MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS, i, error);
      if (routing->chunks[i] == NULL)
        return FALSE;
    }
  routing->block = block;
  return routing->ids == NULL || ms_reader_tokens (export->reader, first, n, routing->ids, error);
}

static gboolean
selected_expert (const Export *export, guint16 expert)
{
  if (export->experts == NULL)
    return TRUE;
  for (guint i = 0; i < export->experts->len; i++)
    {
      const MsRange *range = &g_array_index (export->experts, MsRange, i);

      if (expert >= range->first && expert <= range->last)
        return TRUE;
    }
  return FALSE;
}

/* The name of a stage or destination where all have one, else its number. */
static void
append_stage (const Export *export, GString *text, guint layer)
{
  if (export->stages)
    append_text (text, ms_trace_layer (export->trace, layer)->name);
  else
    append_int (text, ms_trace_layer (export->trace, layer)->number);
}

static void
append_destination (const Export *export, GString *text, guint layer, guint16 expert)
{
  if (export->destinations)
    append_text (text, ms_model_destination (ms_trace_model (export->trace), layer, expert)->name);
  else
    append_int (text, expert);
}

/* Whether all stages, and all destinations, have names. */
static void
look_for_names (Export *export)
{
  const MsModel *model = ms_trace_model (export->trace);

  export->stages = export->destinations = model->n_layers > 0;
  for (guint i = 0; i < model->n_layers; i++)
    {
      export->stages = export->stages && model->layers[i].name != NULL;
      for (guint e = 0; e < model->layers[i].gate.n_experts && export->destinations; e++)
        {
          const MsDestination *destination = ms_model_destination (model, i, e);

          export->destinations = destination != NULL && destination->name != NULL;
        }
    }
}

static gboolean
export_decisions (Export *export, gint64 position, const MsDocument *document, gint64 inside,
                  gpointer data, GError **error)
{
  Routing *routing = data;
  GString *text = export->text, *prefix = routing->prefix;
  gsize row = (gsize) (position % MS_BLOCK_TOKENS);
  char number[MS_NUMBER_SIZE];

  if (position / MS_BLOCK_TOKENS != routing->block
      && !load_block (export, routing, position / MS_BLOCK_TOKENS, error))
    return FALSE;
  g_string_truncate (prefix, 0);
  append_int (prefix, ms_reader_run (export->reader)->id);
  g_string_append_c (prefix, ',');
  ms_csv_append (prefix, document->name);
  g_string_append_c (prefix, ',');
  append_int (prefix, inside);
  g_string_append_c (prefix, ',');
  if (routing->ids != NULL)
    append_int (prefix, routing->ids[row]);
  g_string_append_c (prefix, ',');
  for (guint i = 0; i < ms_trace_n_layers (export->trace); i++)
    {
      const MsChunk *chunk = routing->chunks[i];
      const guint16 *experts = chunk->experts + row * chunk->k;
      const float *weights = chunk->weights + row * chunk->k;

      for (guint rank = 0; rank < chunk->k && experts[rank] != MS_NO_EXPERT; rank++)
        {
          if (!selected_expert (export, experts[rank]))
            continue;
          g_string_append_len (text, prefix->str, (gssize) prefix->len);
          append_stage (export, text, i);
          g_string_append_c (text, ',');
          append_int (text, rank);
          g_string_append_c (text, ',');
          append_destination (export, text, routing->layers[i], experts[rank]);
          g_string_append_c (text, ',');
          g_string_append (text, ms_number_float (number, weights[rank]));
          g_string_append_c (text, '\n');
        }
    }
  return TRUE;
}

/* --- routing in other formats ---------------------------------------------------------------- */

static void
append_json_text (GString *text, const char *value)
{
  g_autofree char *clean = ms_text_printable (value, -1);

  g_string_append_c (text, '"');
  for (const char *c = clean; *c != '\0'; c++)
    {
      if (*c == '"' || *c == '\\')
        g_string_append_c (text, '\\');
      g_string_append_c (text, *c);
    }
  g_string_append_c (text, '"');
}

/* One object for a token and layer: ids in order of rank, and weights where all are known. */
static void
append_route (const Export *export, GString *text, guint layer, const guint16 *experts,
              const float *weights, guint k)
{
  char number[MS_NUMBER_SIZE];
  gboolean known = TRUE;
  guint n = 0;

  g_string_append (text, ",\"layer\":");
  append_int (text, ms_trace_layer (export->trace, layer)->number);
  g_string_append (text, ",\"topk_ids\":[");
  for (guint rank = 0; rank < k && experts[rank] != MS_NO_EXPERT; rank++)
    {
      if (!selected_expert (export, experts[rank]))
        continue;
      if (n++ > 0)
        g_string_append_c (text, ',');
      append_int (text, experts[rank]);
      known = known && isfinite (weights[rank]);
    }
  g_string_append (text, "],\"topk_weights\":[");
  n = 0;
  for (guint rank = 0; known && rank < k && experts[rank] != MS_NO_EXPERT; rank++)
    if (selected_expert (export, experts[rank]))
      g_string_append_printf (text, "%s%s", n++ > 0 ? "," : "",
                              ms_number_float (number, weights[rank]));
  g_string_append (text, "]}\n");
}

static gboolean
export_routes (Export *export, gint64 position, const MsDocument *document, gint64 inside,
               gpointer data, GError **error)
{
  Routing *routing = data;
  GString *text = export->text;
  gsize row = (gsize) (position % MS_BLOCK_TOKENS);

  if (position / MS_BLOCK_TOKENS != routing->block
      && !load_block (export, routing, position / MS_BLOCK_TOKENS, error))
    return FALSE;
  for (guint i = 0; i < ms_trace_n_layers (export->trace); i++)
    {
      const MsChunk *chunk = routing->chunks[i];

      g_string_append (text, "{\"type\":\"route\",\"req_id\":");
      append_json_text (text, document->name);
      g_string_append (text, ",\"token_idx\":");
      append_int (text, inside);
      if (routing->ids != NULL)
        {
          g_string_append (text, ",\"token_id\":");
          append_int (text, routing->ids[row]);
        }
      append_route (export, text, i, chunk->experts + row * chunk->k,
                    chunk->weights + row * chunk->k, chunk->k);
    }
  return TRUE;
}

/* The first line of JSON lines: what is true of all. */
static void
append_meta (const Export *export, guint n_experts, guint k)
{
  GString *text = export->text;

  g_string_append_printf (
      text, "{\"type\":\"meta\",\"num_experts\":%u,\"top_k\":%u,\"layers_logged\":[", n_experts, k);
  for (guint i = 0; i < ms_trace_n_layers (export->trace); i++)
    g_string_append_printf (text, "%s%d", i > 0 ? "," : "",
                            ms_trace_layer (export->trace, i)->number);
  g_string_append (text, "]}\n");
}

static gboolean
export_array_rows (Export *export, gint64 position, const MsDocument *document, gint64 inside,
                   gpointer data, GError **error)
{
  Routing *routing = data;
  gsize row = (gsize) (position % MS_BLOCK_TOKENS);

  (void) document, (void) inside;
  if (position / MS_BLOCK_TOKENS != routing->block
      && !load_block (export, routing, position / MS_BLOCK_TOKENS, error))
    return FALSE;
  for (guint i = 0; i < ms_trace_n_layers (export->trace); i++)
    {
      const MsChunk *chunk = routing->chunks[i];

      ms_arrays_put (routing->arrays, (guint) ms_trace_layer (export->trace, i)->number,
                     chunk->experts + row * chunk->k, chunk->weights + row * chunk->k, chunk->k);
    }
  return ms_arrays_end_token (routing->arrays, error);
}

/* What the layers have at most. */
static void
measure_layers (const Export *export, guint *n_layers, guint *k, guint *n_experts)
{
  *n_layers = *k = *n_experts = 0;
  for (guint i = 0; i < ms_trace_n_layers (export->trace); i++)
    {
      const MsLayer *layer = ms_trace_layer (export->trace, i);

      *n_layers = MAX (*n_layers, (guint) layer->number + 1);
      *k = MAX (*k, layer->gate.k);
      *n_experts = MAX (*n_experts, layer->gate.n_experts);
    }
}

static gboolean
export_arrays (Export *export, Routing *routing, MsArraysKind kind, GError **error)
{
  guint n = ms_trace_n_documents (export->trace), n_layers, k, n_experts;
  g_autofree MsArraysDocument *documents = g_new0 (MsArraysDocument, n + 1);
  gboolean good;

  for (guint i = 0; i < n; i++)
    documents[i] = (MsArraysDocument){ ms_trace_document (export->trace, i)->name,
                                       ms_trace_document (export->trace, i)->n_tokens };
  measure_layers (export, &n_layers, &k, &n_experts);
  routing->arrays = ms_arrays_new (kind, export->stream, documents, n, n_layers, k, n_experts);
  good = each_token (export, export_array_rows, routing, error)
         && ms_arrays_finish (routing->arrays, error);
  ms_arrays_free (routing->arrays);
  return good;
}

static gboolean
export_routing (Export *export, GError **error)
{
  guint n_layers = ms_trace_n_layers (export->trace), blocks, k, n_experts;
  const MsModel *model = ms_trace_model (export->trace);
  g_autofree const MsChunk **chunks = g_new0 (const MsChunk *, n_layers);
  g_autofree guint *layers = g_new0 (guint, n_layers);
  g_autofree gint32 *ids = export->corpus->ids_known ? g_new (gint32, MS_BLOCK_TOKENS) : NULL;
  Routing routing = { -1, ids, chunks, layers, g_string_new (NULL), NULL };
  gboolean good;

  for (guint i = 0; i < n_layers; i++)
    while (model->layers[layers[i]].number != ms_trace_layer (export->trace, i)->number)
      layers[i]++;
  switch (export->format)
    {
    case FORMAT_CSV:
      good = each_token (export, export_decisions, &routing, error);
      break;
    case FORMAT_JSONL:
      measure_layers (export, &blocks, &k, &n_experts);
      append_meta (export, n_experts, k);
      good = each_token (export, export_routes, &routing, error);
      break;
    default:
      good = export_arrays (export, &routing, (MsArraysKind) (export->format - FORMAT_NPY), error);
    }
  g_string_free (routing.prefix, TRUE);
  return good;
}

/* --- The other tables ----------------------------------------------------------------------- */

static gboolean
export_documents (Export *export, GError **error)
{
  GString *text = export->text;

  for (guint d = 0; d < ms_trace_n_documents (export->trace); d++)
    {
      const MsDocument *document
          = &export->corpus->documents[ms_trace_document_number (export->trace, d)];
      const char *const labels[] = { document->name, document->language, document->domain,
                                     document->parallel, document->phase };

      append_int (text, ms_trace_run (export->trace)->id);
      for (guint i = 0; i < G_N_ELEMENTS (labels); i++)
        {
          g_string_append_c (text, ',');
          append_text (text, labels[i]);
        }
      g_string_append_c (text, ',');
      append_int (text, document->first_token);
      g_string_append_c (text, ',');
      append_int (text, document->n_tokens);
      for (guint label = MS_N_KNOWN_LABELS; label < ms_corpus_n_labels (export->corpus); label++)
        {
          g_string_append_c (text, ',');
          append_text (text, ms_document_label (document, label));
        }
      g_string_append_c (text, '\n');
      if (text->len > FLUSH_BYTES && !flush (export, error))
        return FALSE;
    }
  return TRUE;
}

/* The number of names that labels of tokens have; the first range of each goes to *firsts, newly allocated. */
static guint
list_ranges (const MsCorpus *corpus, guint **firsts)
{
  guint n = 0;

  *firsts = g_new (guint, corpus->n_ranges + 1);
  for (guint i = 0; i < corpus->n_ranges; i++)
    if (i == 0 || strcmp (corpus->ranges[i].name, corpus->ranges[i - 1].name) != 0)
      (*firsts)[n++] = i;
  (*firsts)[n] = corpus->n_ranges;
  return n;
}

/* The value of a token's label, whose ranges are first..end-1 of the corpus; NULL = it has none. */
static const char *
find_value (const MsCorpus *corpus, guint first, guint end, gint64 position)
{
  while (first < end)
    {
      guint middle = first + (end - first) / 2;
      const MsTokenLabel *at = &corpus->ranges[middle];

      if (position < at->first_token)
        end = middle;
      else if (position >= at->first_token + at->n_tokens)
        first = middle + 1;
      else
        return at->value;
    }
  return NULL;
}

typedef struct
{
  guint n_labels, *labels; /* as list_ranges has them */
  gint64 block;            /* loaded, -1 = none */
  gint32 *ids, *predicted;
  float *loss;
} Tokens;

static gboolean
export_token (Export *export, gint64 position, const MsDocument *document, gint64 inside,
              gpointer data, GError **error)
{
  Tokens *tokens = data;
  GString *text = export->text;
  gsize row = (gsize) (position % MS_BLOCK_TOKENS);
  const MsRun *run = ms_reader_run (export->reader);
  const guint8 *bytes;
  gsize length;
  char number[MS_NUMBER_SIZE];

  if (position / MS_BLOCK_TOKENS != tokens->block)
    {
      gint64 first = position - (gint64) row, n = MIN (MS_BLOCK_TOKENS, run->n_tokens - first);

      if ((export->corpus->ids_known
           && !ms_reader_tokens (export->reader, first, n, tokens->ids, error))
          || (run->predictions
              && !ms_reader_predictions (export->reader, first, n, tokens->predicted, tokens->loss,
                                         error)))
        return FALSE;
      tokens->block = position / MS_BLOCK_TOKENS;
    }
  append_int (text, run->id);
  g_string_append_c (text, ',');
  ms_csv_append (text, document->name);
  g_string_append_c (text, ',');
  append_int (text, inside);
  g_string_append_c (text, ',');
  if (export->corpus->ids_known)
    append_int (text, tokens->ids[row]);
  g_string_append_c (text, ',');
  if (export->corpus->ids_known
      && ms_reader_piece (export->reader, tokens->ids[row], &bytes, &length))
    {
      g_autofree char *piece = ms_text_printable ((const char *) bytes, (gssize) length);

      ms_csv_append (text, piece);
    }
  g_string_append_c (text, ',');
  if (run->predictions && tokens->predicted[row] >= 0)
    append_int (text, tokens->predicted[row]);
  g_string_append_c (text, ',');
  if (run->predictions && !isnan (tokens->loss[row]))
    g_string_append (text, ms_number_float (number, tokens->loss[row]));
  for (guint i = 0; i < tokens->n_labels; i++)
    {
      g_string_append_c (text, ',');
      append_text (text,
                   find_value (export->corpus, tokens->labels[i], tokens->labels[i + 1], position));
    }
  g_string_append_c (text, '\n');
  return TRUE;
}

static gboolean
export_tokens (Export *export, GError **error)
{
  g_autofree gint32 *ids = g_new (gint32, MS_BLOCK_TOKENS);
  g_autofree gint32 *predicted = g_new (gint32, MS_BLOCK_TOKENS);
  g_autofree float *loss = g_new (float, MS_BLOCK_TOKENS);
  g_autofree guint *labels = NULL;
  guint n_labels = list_ranges (export->corpus, &labels);
  Tokens tokens = { n_labels, labels, -1, ids, predicted, loss };

  return each_token (export, export_token, &tokens, error);
}

/* Counts as many programs read them. */
static gboolean
export_counts (Export *export, GError **error)
{
  GString *text = export->text;

  for (guint i = 0; i < ms_trace_n_layers (export->trace); i++)
    {
      const MsLayer *layer = ms_trace_layer (export->trace, i);
      g_autofree guint64 *counts = g_new0 (guint64, layer->gate.n_experts);

      if (!ms_trace_count (export->trace, i, counts, export->cancel, error))
        return FALSE;
      for (guint e = 0; e < layer->gate.n_experts; e++)
        {
          if (!selected_expert (export, (guint16) e))
            continue;
          append_int (text, layer->number);
          g_string_append_c (text, ',');
          append_int (text, e);
          g_string_append_c (text, ',');
          append_int (text, (gint64) counts[e]);
          g_string_append_c (text, '\n');
        }
    }
  return TRUE;
}

static gboolean
export_load (Export *export, GError **error)
{
  GString *text = export->text;
  char number[MS_NUMBER_SIZE];

  for (guint i = 0; i < ms_trace_n_layers (export->trace); i++)
    {
      const MsLayer *layer = ms_trace_layer (export->trace, i);
      g_autofree guint64 *counts = g_new0 (guint64, layer->gate.n_experts);
      guint64 all = 0;

      if (!ms_trace_count (export->trace, i, counts, export->cancel, error))
        return FALSE;
      for (guint e = 0; e < layer->gate.n_experts; e++)
        all += counts[e];
      for (guint e = 0; e < layer->gate.n_experts; e++)
        {
          if (!selected_expert (export, (guint16) e))
            continue;
          append_int (text, ms_trace_run (export->trace)->id);
          g_string_append_c (text, ',');
          append_int (text, layer->number);
          g_string_append_c (text, ',');
          append_int (text, e);
          g_string_append_c (text, ',');
          append_int (text, (gint64) counts[e]);
          g_string_append_c (text, ',');
          if (all > 0)
            g_string_append (text, ms_number_exact (number, (double) counts[e] / (double) all));
          g_string_append_c (text, '\n');
        }
    }
  return TRUE;
}

/* --- The command ---------------------------------------------------------------------------- */

#define RUN                                                                                        \
  {                                                                                                \
    "run", "Run", NULL, MS_COLUMN_INT, "Number of the run in the file"                             \
  }
#define DOCUMENT                                                                                   \
  {                                                                                                \
    "document", "Document", NULL, MS_COLUMN_TEXT, "Name of the document"                           \
  }
#define POSITION                                                                                   \
  {                                                                                                \
    "position", "Position", "tokens", MS_COLUMN_INT, "Place of the token in its document, from 0"  \
  }
#define TOKEN_ID                                                                                   \
  {                                                                                                \
    "token_id", "Token id", NULL, MS_COLUMN_INT, "Id in the vocabulary; empty when unknown"        \
  }
#define LAYER                                                                                      \
  {                                                                                                \
    "layer", "Layer", NULL, MS_COLUMN_INT, "The model's block number"                              \
  }
#define EXPERT                                                                                     \
  {                                                                                                \
    "expert", "Expert", NULL, MS_COLUMN_INT, "Expert of that layer, from 0"                        \
  }

/* The tables in the order of the columns that their functions write. */
static const MsTableDef defs[] = {
  { "routing", "Decisions",
    (const MsColumn[]){
        RUN,
        DOCUMENT,
        POSITION,
        TOKEN_ID,
        LAYER,
        { "rank", "Rank", NULL, MS_COLUMN_INT, "0 is the best choice of the token" },
        EXPERT,
        { "weight", "Weight", NULL, MS_COLUMN_REAL, "Weight of the expert's output in the sum" },
        { 0 } } },
  { "documents", "Documents",
    (const MsColumn[]){ RUN,
                        DOCUMENT,
                        { "language", "Language", NULL, MS_COLUMN_TEXT, "Label of the document" },
                        { "domain", "Domain", NULL, MS_COLUMN_TEXT, "Label of the document" },
                        { "parallel", "Parallel", NULL, MS_COLUMN_TEXT,
                          "Documents with the same key are translations of each other" },
                        { "phase", "Phase", NULL, MS_COLUMN_TEXT, "prefill or decode" },
                        { "first_token", "First token", "tokens", MS_COLUMN_INT,
                          "Place of the document in its corpus, from 0" },
                        { "tokens", "Tokens", "tokens", MS_COLUMN_INT, "Length of the document" },
                        { 0 } } },
  { "tokens", "Tokens",
    (const MsColumn[]){ RUN,
                        DOCUMENT,
                        POSITION,
                        TOKEN_ID,
                        { "text", "Text", NULL, MS_COLUMN_TEXT,
                          "Text of the token; bytes that are no UTF-8 as \\xHH" },
                        { "predicted_id", "Predicted id", NULL, MS_COLUMN_INT,
                          "The next token that the model finds likeliest" },
                        { "loss", "Loss", "nats", MS_COLUMN_REAL,
                          "Negative log probability of the token that follows" },
                        { 0 } } },
  { "load", "Load",
    (const MsColumn[]){
        RUN,
        LAYER,
        EXPERT,
        { "count", "Count", "decisions", MS_COLUMN_INT, "How often the expert is chosen" },
        { "share", "Share", NULL, MS_COLUMN_REAL, "Count over all decisions of the layer" },
        { 0 } } },
  { "counts", "Counts",
    (const MsColumn[]){
        LAYER,
        EXPERT,
        { "count", "Count", "decisions", MS_COLUMN_INT, "How often the expert is chosen" },
        { 0 } } },
};

static gboolean (*const writers[G_N_ELEMENTS (defs)]) (Export *export, GError **error)
    = { export_routing, export_documents, export_tokens, export_load, export_counts };

/* The columns of a table, and behind them the labels that documents and tokens have besides. */
static void
append_header (const Export *export, guint table)
{
  GString *text = export->text;
  const MsCorpus *corpus = export->corpus;

  for (const MsColumn *column = defs[table].columns; column->name != NULL; column++)
    {
      const char *name = column->name;

      if (table == 0 && export->stages && strcmp (name, "layer") == 0)
        name = "stage";
      if (table == 0 && export->destinations && strcmp (name, "expert") == 0)
        name = "destination";
      g_string_append_printf (text, "%s%s", column == defs[table].columns ? "" : ",", name);
    }
  for (guint i = 0; writers[table] == export_documents && i < corpus->n_more; i++)
    {
      g_string_append_c (text, ',');
      append_text (text, corpus->more[i]);
    }
  for (guint i = 0; writers[table] == export_tokens && i < corpus->n_ranges; i++)
    if (i == 0 || strcmp (corpus->ranges[i].name, corpus->ranges[i - 1].name) != 0)
      {
        g_string_append_c (text, ',');
        append_text (text, corpus->ranges[i].name);
      }
  g_string_append_c (text, '\n');
}

/* What every column of every table means: of the exports, then of the analyses. */
static void
append_meanings (GString *text, const char *analysis, const MsTableDef *def)
{
  static const char *const types[] = { "integer", "real", "text" };

  for (const MsColumn *column = def->columns; column->name != NULL; column++)
    {
      const char *const cells[]
          = { analysis, def->name, column->name, types[column->type], column->unit, column->help };

      for (guint i = 0; i < G_N_ELEMENTS (cells); i++)
        {
          if (i > 0)
            g_string_append_c (text, ',');
          append_text (text, cells[i]);
        }
      g_string_append_c (text, '\n');
    }
}

static gboolean
export_dictionary (const char *output, GError **error)
{
  g_autoptr (GString) text = g_string_new ("analysis,table,column,type,unit,meaning\n");

  for (guint i = 0; i < G_N_ELEMENTS (defs); i++)
    append_meanings (text, NULL, &defs[i]);
  for (const MsAnalysis *const *analysis = ms_analyses (); *analysis != NULL; analysis++)
    for (const MsTableDef *def = (*analysis)->tables; def != NULL && def->name != NULL; def++)
      append_meanings (text, (*analysis)->name, def);
  return ms_command_write (output, text->str, text->len, error);
}

static gboolean
export_table (Export *export, guint table, const char *path, gint64 run,
              const MsSelection *selection, const char *output, GError **error)
{
  g_autoptr (MsDb) db = NULL;

  export->trace = ms_trace_open (path, run, selection, error);
  if (export->trace == NULL)
    return FALSE;
  export->reader = ms_reader_new (path, ms_trace_run (export->trace)->id, error);
  db = export->reader == NULL ? NULL : ms_db_open (path, MS_DB_READ, error);
  if (db == NULL)
    return FALSE;
  export->corpus = ms_db_load_corpus (db, ms_trace_run (export->trace)->corpus, error);
  if (export->corpus == NULL)
    return FALSE;
  export->experts = selection != NULL ? selection->experts : NULL;
  export->stream = ms_command_output (output, error);
  if (export->stream == NULL)
    return FALSE;
  look_for_names (export);
  if (export->format == FORMAT_CSV)
    append_header (export, table);
  return ms_stream_close (export->stream, writers[table](export, error) && flush (export, error),
                          error);
}

static MsExit
run (int argc, char **argv)
{
  g_autofree char *output = NULL, *select = NULL, *format = NULL;
  gint64 number = 0;
  gboolean dictionary = FALSE;
  const GOptionEntry entries[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Write to FILE (default: stdout)", "FILE" },
    { "run", 0, 0, G_OPTION_ARG_INT64, &number, "Which run (default: the newest)", "N" },
    { "select", 0, 0, G_OPTION_ARG_STRING, &select,
      "Only a part: \"layer=4..8 expert=17 lang=de domain=code doc=12 token=0..99\"", "WHAT" },
    { "format", 0, 0, G_OPTION_ARG_STRING, &format,
      "Of routing: csv, jsonl, npy, npz or safetensors (default: csv)", "FORMAT" },
    { "dictionary", 0, 0, G_OPTION_ARG_NONE, &dictionary,
      "Write what every column of every table means instead", NULL },
    { 0 }
  };
  g_auto (Export) export = { .text = g_string_sized_new (FLUSH_BYTES + 4096) };
  g_autoptr (MsSelection) selection = NULL;
  GError *error = NULL;
  guint table = 0;

  ms_command_parse (&ms_command_export, entries, &argc, &argv);
  if (dictionary && argc != 1)
    return ms_command_misuse (&ms_command_export, "--dictionary needs no file");
  if (dictionary)
    return export_dictionary (output, &error) ? MS_EXIT_FINE
                                              : ms_command_fail (&ms_command_export, error);
  if (argc != 3)
    return ms_command_misuse (&ms_command_export, "give a file and a table");
  while (table < G_N_ELEMENTS (defs) && strcmp (defs[table].name, argv[2]) != 0)
    table++;
  if (table == G_N_ELEMENTS (defs))
    return ms_command_misuse (&ms_command_export,
                              "there is no table '%s'; the tables are routing, documents, tokens, "
                              "load and counts",
                              argv[2]);
  while (format != NULL && strcmp (formats[export.format], format) != 0)
    if (++export.format == G_N_ELEMENTS (formats))
      return ms_command_misuse (&ms_command_export,
                                "there is no format '%s': csv, jsonl, npy, npz or safetensors",
                                format);
  if (export.format != FORMAT_CSV && table != 0)
    return ms_command_misuse (&ms_command_export,
                              "--format %s is one of routing; the other tables are CSV", format);
  if (select != NULL && (selection = ms_selection_parse (select, &error)) == NULL)
    return ms_command_fail (&ms_command_export, error);
  if (selection != NULL && selection->with != NULL)
    return ms_command_misuse (&ms_command_export,
                              "a table is of one run: leave out with= and give each with --run");
  export.cancel = ms_command_cancellable (MS_STOP_AT_ONCE);
  if (!export_table (&export, table, argv[1], number, selection, output, &error))
    return ms_command_fail (&ms_command_export, error);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_export = {
  .name = "export",
  .usage = "RUN.db routing|documents|tokens|load [-o FILE.csv] | --dictionary",
  .summary = "Write decisions, documents, tokens or loads as CSV",
  .details
  = "'layer' is the model's block number, 'position' counts inside the document, 'rank' 0 is\n"
    "the best choice.  Weights are written with as many digits as a float needs.",
  .example = "moescope export run.db routing -o routing.csv\n"
             "  moescope export run.db routing --select \"layer=4..8 lang=de\" -o part.csv",
  .run = run,
};
