/* Decisions as dense arrays: how many experts and slots there are, room for every layer, and each row in
 * its place.  Sizes come from the input: they are checked before they are trusted. */
#include "import-private.h"

#include <math.h>
#include <string.h>

void
ms_import_layout_clear (MsImportLayout *layout)
{
  for (guint i = 0; i < layout->n_layers && layout->layers != NULL; i++)
    ms_decisions_clear (&layout->layers[i]);
  g_free (layout->layers);
  g_clear_pointer (&layout->suspects, g_array_unref);
}

/* What the decisions use: the largest expert id, the fewest and the most slots of a token. */
typedef struct
{
  guint largest, least, most;
} Used;

static gboolean
check_decisions (const MsImporter *importer, guint most, Used *used, GError **error)
{
  const MsImportTable *table = &importer->tables[MS_RECORD_DECISION];
  guint n = 0;

  *used = (Used){ .least = G_MAXUINT };
  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);

      n = i > 0 && ms_import_row_same (row, row - 1) ? n + 1 : 1;
      if ((guint) row->slot + 1 != n)
        return ms_import_fail (error, ms_import_row_file (importer, row), row->line,
                               "rank %d stands where rank %u is expected%s", row->slot, n - 1,
                               n == 1 && row->slot == 1 ? "; ranks count from 0" : "");
      if (most > 0 && n > most)
        return ms_import_fail (error, ms_import_row_file (importer, row), row->line,
                               "rank %d is not below --top-k %u; leave it out to take the largest "
                               "number of experts of a token",
                               row->slot, most);
      if (importer->n_scores > 0 && row->value >= (gint32) importer->n_scores)
        return ms_import_fail (error, ms_import_row_file (importer, row), row->line,
                               "there is no expert %d of %u", row->value, importer->n_scores);
      if (i + 1 == table->rows->len || !ms_import_row_same (row, row + 1))
        used->least = MIN (used->least, n);
      used->most = MAX (used->most, n);
      used->largest = MAX (used->largest, (guint) MAX (row->value, 0));
    }
  return TRUE;
}

/* The experts that counts name. */
static gboolean
check_counts (const MsImporter *importer, Used *used, GError **error)
{
  const MsImportTable *table = &importer->tables[MS_RECORD_COUNT];
  guint n = importer->options->n_experts;

  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);

      used->largest = MAX (used->largest, row->slot);
      if (n > 0 && row->slot >= n)
        return ms_import_fail (error, ms_import_row_file (importer, row), row->line,
                               "there is no expert %u: with --experts %u they are 0 to %u",
                               row->slot, n, n - 1);
    }
  return TRUE;
}

static gboolean
size_experts (MsImportLayout *layout, const Used *used, GError **error)
{
  MsImporter *importer = layout->importer;
  const MsImportOptions *options = importer->options;

  if (options->n_experts > 0 && importer->n_scores > 0 && options->n_experts != importer->n_scores)
    return ms_import_fail (error, importer->tables[MS_RECORD_SCORES].file, 1,
                           "%u scores for --experts %u", importer->n_scores, options->n_experts);
  layout->n_experts
      = MAX (MAX (options->n_experts, importer->n_scores), importer->destinations.names->len);
  if (layout->n_experts == 0 && used->largest < importer->n_experts)
    layout->n_experts = importer->n_experts;
  if (layout->n_experts == 0)
    {
      layout->n_experts = used->largest + 1;
      ms_importer_note (importer,
                        "the trace does not say how many experts there are: %u, the largest id and "
                        "one, is assumed (--experts N)",
                        layout->n_experts);
    }
  if (layout->n_experts > MS_MAX_EXPERTS)
    return ms_import_fail (error, options->inputs[0], 0, "more than %u experts", MS_MAX_EXPERTS);
  return TRUE;
}

static gboolean
size_slots (MsImportLayout *layout, const Used *used, GError **error)
{
  MsImporter *importer = layout->importer;
  const MsImportOptions *options = importer->options;
  gboolean decided = importer->tables[MS_RECORD_DECISION].file != NULL;

  if (decided && options->k > used->most)
    return ms_import_fail (error, options->inputs[0], 0,
                           "--top-k %u, but no token goes to more than %u experts: leave --top-k "
                           "out, or give %u",
                           options->k, used->most, used->most);
  layout->k = options->k > 0                                   ? options->k
              : importer->tables[MS_RECORD_COUNT].file != NULL ? importer->k
                                                               : used->most;
  if (layout->k == 0)
    return ms_import_fail (
        error, importer->tables[MS_RECORD_SCORES].file, 0,
        "the scores do not say how many experts a token goes to: give --top-k K");
  if (layout->k > layout->n_experts)
    return ms_import_fail (error, options->inputs[0], 0, "%u of %u experts cannot be chosen",
                           layout->k, layout->n_experts);
  if (importer->k > 0 && used->most > importer->k)
    ms_importer_remark (importer, "k-violated", MS_SEVERITY_DOUBT, used->most, NULL,
                        "the trace says that tokens go to %u experts, but some go to %u",
                        importer->k, used->most);
  if (decided && used->least < layout->k)
    ms_importer_note (importer, "tokens go to %u to %u experts", used->least, used->most);
  return TRUE;
}

static guint
choose_columns (const MsImportLayout *layout)
{
  const MsImportTable *tables = layout->importer->tables;
  gboolean outputs = tables[MS_RECORD_OUTPUT].file != NULL;
  guint columns = MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS;

  if (layout->importer->n_scores > 0)
    columns |= MS_CHUNK_LOGITS;
  if (layout->gated)
    columns |= MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN;
  if (outputs || (tables[MS_RECORD_DECISION].fields & MS_FIELD_NORM))
    columns |= MS_CHUNK_NORMS;
  if (outputs)
    columns |= MS_CHUNK_PEAKS;
  if (tables[MS_RECORD_OUTCOME].file != NULL)
    columns |= MS_CHUNK_OUTCOME;
  if (tables[MS_RECORD_SIMILARITY].file != NULL)
    columns |= MS_CHUNK_SIMILARITY;
  if (tables[MS_RECORD_DECISION].fields & MS_FIELD_DROPPED)
    columns |= MS_CHUNK_DROPPED;
  return columns;
}

/* Room for all layers; the size comes from the input, so it may be too much. */
static gboolean
make_room (MsImportLayout *layout, GError **error)
{
  gsize tokens = (gsize) layout->n_tokens;

  layout->layers = g_new0 (MsDecisions, layout->n_layers);
  for (guint i = 0; i < layout->n_layers; i++)
    {
      if (!ms_decisions_allocate (&layout->layers[i], layout->columns, tokens, layout->k,
                                  layout->n_experts))
        return ms_import_fail (error, layout->importer->options->inputs[0], 0,
                               "not enough memory for %" G_GSIZE_FORMAT " tokens in %u layers; "
                               "import it in parts",
                               tokens, layout->n_layers);
      memset (layout->layers[i].experts, 0xff, tokens * layout->k * sizeof (guint16));
    }
  return TRUE;
}

/* Norm and peak of the output of one expert. */
static gboolean
find_output (const MsImportLayout *layout, const MsImportRow *decision, MsImportRow *output,
             GError **error)
{
  const MsImportTable *table = &layout->importer->tables[MS_RECORD_OUTPUT];
  MsImportRow wanted = *decision;
  guint at;

  wanted.slot = (guint16) decision->value;
  if (!g_array_binary_search (table->rows, &wanted, ms_import_row_compare, &at))
    return ms_import_fail (
        error, table->file, 0,
        "the output of expert %d at sequence '%s', token %d, layer %d is missing", decision->value,
        ms_importer_sequence (layout->importer, decision->sequence), decision->token,
        decision->layer);
  *output = *ms_import_row (table, at);
  return TRUE;
}

/* Puts a decision into slot `at` of a layer whose token begins with slot `first`. */
static gboolean
place_decision (MsImportLayout *layout, MsDecisions *layer, const MsImportRow *row, gsize first,
                gsize at, GError **error)
{
  const MsImporter *importer = layout->importer;
  const MsImportTable *table = &layout->importer->tables[MS_RECORD_DECISION];

  for (gsize j = first; j < at; j++)
    if (layer->experts[j] == row->value)
      return ms_import_fail (
          error, ms_import_row_file (importer, row), row->line,
          "expert %d is already at rank %u; rows that name one expert twice are "
          "often an engine's filler and no routing: leave them out, or mark them "
          "with a column valid = 0",
          row->value, (guint) (j - first));
  layer->experts[at] = (guint16) row->value;
  layer->weights[at] = row->a;
  if (layer->norms != NULL)
    layer->norms[at] = row->b;
  if (layer->dropped != NULL)
    layer->dropped[at] = (guint8) row->second;
  if (layer->peaks != NULL)
    {
      MsImportRow output = { 0 };

      if (!find_output (layout, row, &output, error))
        return FALSE;
      layer->peaks[at] = output.b;
      if (!(table->fields & MS_FIELD_NORM))
        layer->norms[at] = output.a;
    }
  return TRUE;
}

guint
ms_import_find_layer (const MsImporter *importer, gint32 number)
{
  guint i = 0;

  while (g_array_index (importer->layers, gint32, i) != number)
    i++;
  return i;
}

static int
compare_numbers (gconstpointer a, gconstpointer b)
{
  gint32 left = *(const gint32 *) a, right = *(const gint32 *) b;

  return (left > right) - (left < right);
}

/* The decisions as recorded; where there are holes, slots stay unused. */
static gboolean
place_decisions (MsImportLayout *layout, GError **error)
{
  const MsImporter *importer = layout->importer;
  const MsImportTable *table = &importer->tables[MS_RECORD_DECISION];
  guint used = 0;

  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);
      const MsDocument *document = importer->documents->pdata[row->sequence];
      gsize first = (gsize) (document->first_token + row->token) * layout->k;

      if (row->slot == 0)
        used = 0;
      if (row->value < 0) /* not valid: the slot stays unused */
        continue;
      if (!place_decision (layout, &layout->layers[ms_import_find_layer (importer, row->layer)],
                           row, first, first + used, error))
        return FALSE;
      used++;
    }
  return TRUE;
}

/* Outcomes where they are known; the others stay undefined. */
static gboolean
place_outcomes (MsImportLayout *layout, GError **error)
{
  const MsImporter *importer = layout->importer;
  const MsImportTable *table = &importer->tables[MS_RECORD_OUTCOME];
  gsize n = (gsize) layout->n_tokens * layout->n_experts;

  for (guint l = 0; l < layout->n_layers; l++)
    for (gsize i = 0; i < n; i++)
      layout->layers[l].outcome[i] = NAN;
  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);
      const MsDocument *document = importer->documents->pdata[row->sequence];

      if (row->slot >= layout->n_experts)
        return ms_import_fail (error, ms_import_row_file (importer, row), row->line,
                               "there is no expert %d among %u; give --experts if there are more",
                               row->slot, layout->n_experts);
      if (row->token >= document->n_tokens
          || !g_array_binary_search (importer->layers, &row->layer, compare_numbers, NULL))
        return ms_import_fail (error, ms_import_row_file (importer, row), row->line,
                               "sequence '%s' has no decision for token %d at layer %d",
                               document->name, row->token, row->layer);
      layout->layers[ms_import_find_layer (importer, row->layer)]
          .outcome[(gsize) (document->first_token + row->token) * layout->n_experts
                   + (gsize) row->slot]
          = row->a;
    }
  return TRUE;
}

gboolean
ms_import_layout_fill (MsImportLayout *layout, GError **error)
{
  MsImporter *importer = layout->importer;
  const MsImportTable *similarity = &importer->tables[MS_RECORD_SIMILARITY];
  Used used;

  layout->n_layers = importer->layers->len;
  for (guint i = 0; i < importer->documents->len; i++)
    layout->n_tokens += ((const MsDocument *) importer->documents->pdata[i])->n_tokens;
  if (!check_decisions (importer, importer->options->k, &used, error)
      || !check_counts (importer, &used, error) || !size_experts (layout, &used, error)
      || !size_slots (layout, &used, error))
    return FALSE;
  if (!ms_import_layout_take_gate (layout, error))
    return FALSE;
  layout->columns = choose_columns (layout);
  if (!make_room (layout, error) || !place_decisions (layout, error))
    return FALSE;
  if (importer->tables[MS_RECORD_COUNT].file != NULL)
    ms_import_layout_place_counts (layout);
  if (layout->columns & MS_CHUNK_OUTCOME && !place_outcomes (layout, error))
    return FALSE;
  if (importer->n_scores > 0)
    ms_import_layout_scores (layout);
  if (similarity->file != NULL)
    for (guint i = 0; i < similarity->rows->len; i++)
      layout->layers[i % layout->n_layers].similarity[i / layout->n_layers]
          = ms_import_row (similarity, i)->a;
  return TRUE;
}
