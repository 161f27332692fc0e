/* Counts without an order: how often each expert of a layer was chosen, and no more.
 *
 * They become a run with the same counts.  Its tokens stand for nobody's tokens: the choices of a layer are dealt out to
 * T tokens one expert after the other, so that no token has an expert twice (which T >= the largest count
 * grants).  What looks at tokens one by one has no meaning on such a run, whose precision is "counts". */
#include "import-private.h"

#include <math.h>

/* So many slots are more than such a run is worth. */
#define MOST_SLOTS (G_GINT64_CONSTANT (1) << 28)

/* The end of the rows of the same document and layer, which begin at `from`; their sum and largest. */
static guint
measure (const MsImportTable *table, guint from, guint64 *sum, guint64 *most)
{
  const MsImportRow *first = ms_import_row (table, from);
  guint end = from;

  *sum = *most = 0;
  for (; end < table->rows->len; end++)
    {
      const MsImportRow *row = ms_import_row (table, end);

      if (row->sequence != first->sequence || row->layer != first->layer)
        break;
      *sum += MIN (ms_import_row_count (row), (guint64) MOST_SLOTS); /* more is refused anyway */
      *most = MAX (*most, ms_import_row_count (row));
    }
  return end;
}

gboolean
ms_importer_size_counts (MsImporter *importer, GError **error)
{
  const MsImportTable *table = &importer->tables[MS_RECORD_COUNT];
  guint k = importer->options->k > 0 ? importer->options->k : importer->k;
  gint64 first = 0;

  if (k == 0)
    {
      k = 1;
      ms_importer_note (importer, "the counts do not tell how many experts a token goes to: one is "
                                  "assumed (--top-k)");
    }
  importer->k = k;
  for (guint i = 0; i < importer->documents->len; i++)
    ((MsDocument *) importer->documents->pdata[i])->n_tokens = 0;
  for (guint i = 0; i < table->rows->len;)
    {
      const MsImportRow *row = ms_import_row (table, i);
      MsDocument *document = importer->documents->pdata[row->sequence];
      guint64 sum, most, n;

      i = measure (table, i, &sum, &most);
      n = MAX (most, (sum + k - 1) / k);
      if (n >= (guint64) MOST_SLOTS / k / importer->layers->len)
        return ms_import_fail (error, ms_import_row_file (importer, row), row->line,
                               "the counts of document '%s' at layer %d are of %" G_GUINT64_FORMAT
                               " tokens, which are too many to be kept",
                               document->name, row->layer, n);
      document->n_tokens = MAX (document->n_tokens, (gint64) n);
    }
  for (guint i = 0; i < importer->documents->len; i++)
    {
      MsDocument *document = importer->documents->pdata[i];

      document->first_token = first;
      first += document->n_tokens;
    }
  if (first == 0)
    return ms_import_fail (error, table->file, 0, "all counts are 0: nothing was routed");
  ms_importer_remark (importer, "counts-only", MS_SEVERITY_NOTE, table->rows->len, NULL,
                      "the trace is counts without an order: which experts a token chose "
                      "together, when and with which weight is not known");
  return TRUE;
}

void
ms_import_layout_place_counts (MsImportLayout *layout)
{
  const MsImporter *importer = layout->importer;
  const MsImportTable *table = &importer->tables[MS_RECORD_COUNT];
  const MsImportRow *last = NULL;
  guint64 dealt = 0;

  for (guint i = 0; i < layout->n_layers; i++)
    for (gsize j = 0; j < (gsize) layout->n_tokens * layout->k; j++)
      layout->layers[i].weights[j] = NAN;
  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);
      const MsDocument *document = importer->documents->pdata[row->sequence];
      MsDecisions *layer = &layout->layers[ms_import_find_layer (importer, row->layer)];
      guint64 n = (guint64) document->n_tokens, count = ms_import_row_count (row);

      if (last == NULL || last->sequence != row->sequence || last->layer != row->layer)
        dealt = 0;
      for (guint64 c = 0; c < count; c++, dealt++)
        layer->experts[((guint64) document->first_token + dealt % n) * layout->k + dealt / n]
            = row->slot;
      last = row;
    }
}
