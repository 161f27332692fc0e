/* The documents as text: what the router did with each token, to be read in place.  One table row per
 * token for a chosen layer, and one per token and layer with all its experts.  metrics.md d. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

typedef struct
{
  guint n_layers;
  guint shown;           /* the layer of the table of tokens */
  gint64 n;              /* tokens shown */
  MsLayerTrace **layers; /* (n_layers) */
  MsLayerTrace *other;   /* the shown layer in the second run, NULL = none that fits */
  GArray *experts;       /* of MsRange, NULL = none are singled out */
} Text;

static gboolean
load_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Text *text = data;
  guint columns = MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS
                  | (ms_trace_run (context->trace)->columns & MS_CHUNK_ENTROPY);

  text->layers[index]
      = ms_trace_load_layer (context->trace, index, columns, context->cancel, error);
  return text->layers[index] != NULL;
}

/* The shown layer of the second run, when that saw the same tokens. */
static gboolean
load_other (const MsContext *context, Text *text, MsTrace *trace, GError **error)
{
  MsTrace *other = context->n_others > 0 ? context->others[0] : NULL;
  int block = ms_trace_layer (trace, text->shown)->number;
  g_autofree gint32 *ids = NULL, *other_ids = NULL;

  if (other == NULL || ms_trace_n_tokens (other) < text->n)
    return TRUE;
  ids = ms_trace_token_ids (trace, NULL);
  other_ids = ms_trace_token_ids (other, NULL);
  for (gint64 t = 0; t < text->n; t++)
    if (ids == NULL || other_ids == NULL || ids[t] != other_ids[t])
      return TRUE;
  for (guint l = 0; l < ms_trace_n_layers (other); l++)
    if (ms_trace_layer (other, l)->number == block)
      {
        text->other = ms_trace_load_layer (other, l, MS_CHUNK_EXPERTS, context->cancel, error);
        return text->other != NULL;
      }
  return TRUE;
}

static gboolean
holds (const GArray *ranges, guint value)
{
  for (guint i = 0; i < ranges->len; i++)
    {
      const MsRange *range = &g_array_index (ranges, MsRange, i);

      if (value >= range->first && value <= range->last)
        return TRUE;
    }
  return FALSE;
}

/* Share of the two sets that is not in both; NaN when both are empty. */
static double
difference (const MsLayerTrace *a, const MsLayerTrace *b, gint64 token)
{
  const guint16 *x = a->experts + token * a->k, *y = b->experts + token * b->k;
  guint n_x = 0, n_y = 0, both = 0;

  while (n_x < a->k && x[n_x] != MS_NO_EXPERT)
    n_x++;
  while (n_y < b->k && y[n_y] != MS_NO_EXPERT)
    n_y++;
  for (guint i = 0; i < n_x; i++)
    for (guint j = 0; j < n_y; j++)
      both += x[i] == y[j];
  return n_x + n_y > 0 ? 1 - (double) both / (n_x + n_y - both) : NAN;
}

/* The first of the singled-out experts the token chose, as text, and the weight of all of them. */
static char *
find_chosen (const Text *text, const MsLayerTrace *layer, gint64 token, double *weight)
{
  int first = -1;

  *weight = 0;
  if (text->experts == NULL)
    {
      *weight = NAN;
      return NULL;
    }
  for (guint k = 0; k < layer->k; k++)
    {
      guint expert = layer->experts[token * layer->k + k];

      if (expert != MS_NO_EXPERT && holds (text->experts, expert))
        {
          first = first < 0 ? (int) expert : first;
          *weight += (double) layer->weights[token * layer->k + k];
        }
    }
  return first >= 0 ? g_strdup_printf ("%d", first) : NULL;
}

/* Appends the character at bytes[at] to the token that it begins in; the tokens that have nothing but its later
 * bytes are marked.  Returns its length. */
static gsize
join_character (const guint8 *bytes, gsize at, gsize n, const gsize *starts, gint64 token,
                gint64 last, GString **shown)
{
  gunichar c = g_utf8_get_char_validated ((const char *) bytes + at, (gssize) (n - at));
  gsize length = 1;

  if (c == (gunichar) -1 || c == (gunichar) -2 || c == 0)
    g_string_append_printf (shown[token], "<0x%02X>", bytes[at]);
  else
    {
      length = (gsize) (g_utf8_next_char ((const char *) bytes + at) - (const char *) bytes) - at;
      g_string_append_len (shown[token], (const char *) bytes + at, (gssize) length);
    }
  for (gint64 t = token + 1; t < last && starts[t] < at + length; t++)
    if (starts[t + 1] <= at + length && starts[t + 1] > starts[t])
      g_string_assign (shown[t], MS_TEXT_CONTINUED);
  return length;
}

/* The texts of tokens first..last-1 of one document as a reader sees them: characters whose bytes several tokens
 * share are whole in the first of these. */
static void
join_pieces (MsTrace *trace, const gint32 *ids, gint64 first, gint64 last, char **pieces,
             char **joined)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree gsize *starts = g_new (gsize, last - first + 1);
  g_autofree GString **shown = g_new (GString *, last - first);
  gint64 n = last - first, token = 0;

  for (gint64 t = 0; t < n; t++)
    {
      g_autoptr (GBytes) own = ids != NULL ? ms_trace_piece_bytes (trace, ids[first + t]) : NULL;

      starts[t] = bytes->len;
      shown[t] = g_string_new (NULL);
      if (own != NULL)
        g_byte_array_append (bytes, g_bytes_get_data (own, NULL), (guint) g_bytes_get_size (own));
      else
        g_byte_array_append (bytes, (const guint8 *) pieces[first + t],
                             (guint) strlen (pieces[first + t]));
    }
  starts[n] = bytes->len;
  for (gsize at = 0; at < bytes->len;)
    {
      while (token + 1 < n && starts[token + 1] <= at)
        token++;
      at += join_character (bytes->data, at, bytes->len, starts, token, n, shown);
    }
  for (gint64 t = 0; t < n; t++)
    joined[first + t] = g_string_free (shown[t], FALSE);
}

static char **
join_all (MsTrace *trace, const gint32 *ids, gint64 n, char **pieces)
{
  char **joined = g_new0 (char *, n + 1);

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    {
      const MsDocument *document = ms_trace_document (trace, d);

      if (document->first_token < n)
        join_pieces (trace, ids, document->first_token,
                     MIN (document->first_token + document->n_tokens, n), pieces, joined);
    }
  return joined;
}

static void
write_tokens (const Text *text, MsTrace *trace, const gint32 *ids, char **pieces, char **joined,
              MsTable *table)
{
  const MsLayerTrace *layer = text->layers[text->shown];
  guint document = 0;

  for (gint64 t = 0; t < text->n; t++)
    {
      guint top = layer->experts[t * layer->k];
      g_autofree char *chosen = NULL, *shown = NULL;
      gboolean last;
      double weight;

      while (document + 1 < ms_trace_n_documents (trace)
             && ms_trace_document (trace, document + 1)->first_token <= t)
        document++;
      chosen = find_chosen (text, layer, t, &weight);
      last = t + 1 == text->n
             || (document + 1 < ms_trace_n_documents (trace)
                 && ms_trace_document (trace, document + 1)->first_token == t + 1);
      shown = last ? g_strconcat (joined[t], "\n", NULL) : NULL;
      ms_table_add_row (
          table, MS_TEXT (ms_trace_document (trace, document)->name),
          MS_INT (ms_trace_position (trace, t)), MS_INT (ids != NULL ? ids[t] : -1),
          MS_TEXT (pieces[t]), MS_INT (ms_trace_layer (trace, text->shown)->number),
          MS_INT (top == MS_NO_EXPERT ? -1 : (gint64) top), MS_TEXT (chosen), MS_REAL (weight),
          MS_REAL (layer->entropy ? (double) layer->entropy[t] : NAN),
          MS_REAL (text->shown > 0 ? difference (text->layers[text->shown - 1], layer, t) : NAN),
          MS_REAL (text->other ? difference (text->other, layer, t) : NAN),
          MS_TEXT (shown ? shown : joined[t]));
    }
}

static void
write_choices (const Text *text, MsTrace *trace, char **pieces, MsTable *table)
{
  for (gint64 t = 0; t < text->n; t++)
    for (guint l = 0; l < text->n_layers; l++)
      {
        const MsLayerTrace *layer = text->layers[l];
        g_autoptr (GString) choices = g_string_new (NULL);

        for (guint k = 0; k < layer->k; k++)
          {
            char number[MS_NUMBER_SIZE];

            if (layer->experts[t * layer->k + k] == MS_NO_EXPERT)
              break;
            g_ascii_formatd (number, sizeof number, "%.2f",
                             (double) layer->weights[t * layer->k + k]);
            g_string_append_printf (choices, "%s%u %s", k > 0 ? "  " : "",
                                    layer->experts[t * layer->k + k], number);
          }
        ms_table_add_row (table, MS_INT (ms_trace_position (trace, t)), MS_TEXT (pieces[t]),
                          MS_INT (ms_trace_layer (trace, l)->number), MS_TEXT (choices->str),
                          MS_REAL (layer->entropy ? (double) layer->entropy[t] : NAN));
      }
}

/* As many of the first documents as hold the tokens shown. */
static MsTrace *
narrow (const MsContext *context, gint64 most)
{
  g_autoptr (GArray) documents = g_array_new (FALSE, FALSE, sizeof (guint));
  gint64 n = 0;

  for (guint d = 0; d < ms_trace_n_documents (context->trace) && n < most; d++)
    {
      guint number = ms_trace_document_number (context->trace, d);

      g_array_append_val (documents, number);
      n += ms_trace_document (context->trace, d)->n_tokens;
    }
  return ms_trace_narrow (context->trace, (const guint *) (gpointer) documents->data,
                          documents->len);
}

static guint
find_layer (MsTrace *trace, gint64 block)
{
  for (guint l = 0; l < ms_trace_n_layers (trace); l++)
    if (ms_trace_layer (trace, l)->number == block)
      return l;
  return ms_trace_n_layers (trace) / 2;
}

static char **
read_pieces (MsTrace *trace, const gint32 *ids, gint64 n)
{
  char **pieces = g_new0 (char *, n + 1);

  for (gint64 t = 0; t < n; t++)
    {
      if (ids != NULL)
        pieces[t] = ms_trace_piece (trace, ids[t]);
      if (pieces[t] == NULL)
        pieces[t] = g_strdup_printf ("#%" G_GINT64_FORMAT " ",
                                     ids != NULL ? (gint64) ids[t] : ms_trace_position (trace, t));
    }
  return pieces;
}

static gboolean
compute (const MsContext *context, MsResult *result, GError **error)
{
  const char *experts = ms_values_text (context->values, "experts");
  g_autofree char *selection_text = g_strconcat ("expert=", experts, NULL);
  g_autoptr (MsSelection) selection = NULL;
  gint64 most = ms_values_int (context->values, "most");
  g_autoptr (MsTrace) trace = narrow (context, most);
  g_autofree gint32 *ids = ms_trace_token_ids (trace, NULL);
  g_auto (GStrv) pieces = NULL, joined = NULL;
  MsContext own = *context;
  Text text = { .n_layers = ms_trace_n_layers (trace), .n = MIN (ms_trace_n_tokens (trace), most) };
  gboolean fine;

  if (*experts != '\0')
    {
      selection = ms_selection_parse (selection_text, error);
      if (selection == NULL)
        return FALSE;
      text.experts = selection->experts;
    }
  text.shown = find_layer (trace, ms_values_int (context->values, "layer"));
  text.layers = g_new0 (MsLayerTrace *, text.n_layers);
  own.trace = trace;
  fine = ms_context_tasks (&own, text.n_layers, load_layer, &text, 0, 0.8, error)
         && load_other (context, &text, trace, error);
  if (fine)
    {
      pieces = read_pieces (trace, ids, text.n);
      joined = join_all (trace, ids, text.n, pieces);
      write_tokens (&text, trace, ids, pieces, joined, result->tables[0]);
      write_choices (&text, trace, pieces, result->tables[1]);
      result->summary = g_strdup_printf ("%" G_GINT64_FORMAT " tokens of %u document%s, layer %d.",
                                         text.n, ms_trace_n_documents (trace),
                                         ms_trace_n_documents (trace) == 1 ? "" : "s",
                                         ms_trace_layer (trace, text.shown)->number);
      if (text.n < ms_trace_n_tokens (context->trace))
        ms_result_note (result,
                        "the first %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " selected tokens",
                        text.n, ms_trace_n_tokens (context->trace));
    }
  for (guint l = 0; l < text.n_layers; l++)
    ms_layer_trace_free (text.layers[l]);
  g_free (text.layers);
  ms_layer_trace_free (text.other);
  return fine;
}

static const MsParam params[] = {
  { .name = "layer",
    .title = "Layer",
    .help = "The model's block number; -1 = the middle one.",
    .type = MS_PARAM_INT,
    .least = -1,
    .most = 65535,
    .usual = -1,
    .ui_least = 0,
    .ui_most = 64 },
  { .name = "experts",
    .title = "Experts",
    .help = "Experts to single out, as in a selection: 17,23..25; empty = none.",
    .type = MS_PARAM_TEXT,
    .usual_text = "" },
  { .name = "most",
    .title = "Tokens at most",
    .help = "Tokens shown, from the start of the selected documents.",
    .unit = "tokens",
    .type = MS_PARAM_INT,
    .least = 1,
    .most = 65536,
    .usual = 2048 },
  { 0 },
};

static const MsColumn token_columns[] = {
  { "document", "Document", NULL, MS_COLUMN_TEXT, "Its name." },
  { "position", "Position", NULL, MS_COLUMN_INT, "Of the token in the corpus." },
  { "token_id", "Token id", NULL, MS_COLUMN_INT, "Number in the vocabulary, -1 = unknown." },
  { "token", "Token", NULL, MS_COLUMN_TEXT, "Its text; bytes that are no text as <0xHH>." },
  MS_LAYER_COLUMN,
  { "expert", "First choice", NULL, MS_COLUMN_INT, "The expert of rank 1, -1 = none." },
  { "chosen", "Singled-out expert", NULL, MS_COLUMN_TEXT,
    "The best of the experts singled out that the token chose." },
  { "weight", "Weight of the singled-out", NULL, MS_COLUMN_REAL,
    "Sum of the combine weights of the experts singled out." },
  { "entropy", "Router entropy", "nats", MS_COLUMN_REAL, "Of the router in this layer." },
  { "change", "Change from the layer before", NULL, MS_COLUMN_REAL,
    "1 - Jaccard index of the expert numbers chosen here and in the layer before." },
  { "other_change", "Change from the other run", NULL, MS_COLUMN_REAL,
    "1 - Jaccard index of the experts chosen in the two runs." },
  { "shown", "Shown", NULL, MS_COLUMN_TEXT,
    "The token as text: characters whose bytes several tokens share are whole in the first, the "
    "others have the sign U+2060; and a line break after a document's last." },
  { 0 },
};

static const MsColumn choice_columns[] = {
  { "position", "Position", NULL, MS_COLUMN_INT, "Of the token in the corpus." },
  { "token", "Token", NULL, MS_COLUMN_TEXT, "Its text." },
  MS_LAYER_COLUMN,
  { "choices", "Experts and weights", NULL, MS_COLUMN_TEXT, "Best first." },
  { "entropy", "Router entropy", "nats", MS_COLUMN_REAL, "Of the router in this layer." },
  { 0 },
};

static const MsTableDef tables[] = {
  { "tokens", "Tokens", token_columns },
  { "choices", "Tokens in all layers", choice_columns },
  { 0 },
};

#define TEXT_PLOT(name_, title_, ...)                                                              \
  {                                                                                                \
    .name = name_, .title = title_, .table = "tokens", .mark = MS_MARK_TOKENS, .label = "shown",   \
    __VA_ARGS__                                                                                    \
  }

static const MsPlotDef plots[] = {
  TEXT_PLOT ("entropy", "Router entropy", .value = "entropy"),
  TEXT_PLOT ("expert", "First choice", .series = "expert"),
  TEXT_PLOT ("chosen", "Experts singled out", .series = "chosen"),
  TEXT_PLOT ("weight", "Weight of the experts singled out", .value = "weight",
             .value_title = "Weight of the experts singled out"),
  TEXT_PLOT ("change", "Change from the layer before", .value = "change"),
  TEXT_PLOT ("other-change", "Change from the other run", .value = "other_change"),
  { 0 },
};

const MsAnalysis ms_analysis_text = {
  .name = "text",
  .title = "Text",
  .help = "What did the router do with each token of the documents?",
  .formula = "change = 1 - |A and B| / |A or B| of two sets of experts.",
  .cite = "Our own view.",
  .selective = TRUE,
  .version = 2,
  .live = TRUE,
  .params = params,
  .tables = tables,
  .plots = plots,
  .compute = compute,
};
