/* Import: files of any trace format become one run.  Everything is read and checked before the database is
 * touched.  A row that is wrong is named by its line; nothing is guessed that would change a number, and
 * what is assumed is told in a note.  import-private.h has the map. */
#include "import-private.h"

void
ms_importer_note (MsImporter *importer, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (importer->summary->notes, g_strdup_vprintf (format, args));
  va_end (args);
}

void
ms_importer_remark (MsImporter *importer, const char *code, MsSeverity severity, gint64 count,
                    const MsImportRow *row, const char *format, ...)
{
  g_autofree char *place = NULL;
  va_list args;

  if (row != NULL)
    {
      const MsDocument *document = importer->documents->pdata[row->sequence];

      place = g_strdup_printf ("layer=%d token=%" G_GINT64_FORMAT, row->layer,
                               document->first_token + row->token);
    }
  va_start (args, format);
  g_ptr_array_add (importer->summary->remarks,
                   ms_remark_new (code, severity, count, place, format, args));
  va_end (args);
}

static void
document_free (gpointer data)
{
  MsDocument *document = data;

  g_free (document->name);
  g_free (document);
}

static void
names_init (MsImportNames *names)
{
  names->numbers = g_hash_table_new (g_str_hash, g_str_equal);
  names->names = g_ptr_array_new_with_free_func (g_free);
}

static void
names_clear (MsImportNames *names)
{
  g_hash_table_unref (names->numbers);
  g_ptr_array_unref (names->names);
}

static void
importer_init (MsImporter *importer, const MsImportOptions *options, MsImportSummary *summary)
{
  *importer = (MsImporter){ .options = options, .summary = summary };
  for (guint i = 0; i < MS_RECORD_N_KINDS; i++)
    importer->tables[i].rows = g_array_new (FALSE, FALSE, sizeof (MsImportRow));
  importer->sequences = g_hash_table_new (g_str_hash, g_str_equal);
  importer->documents = g_ptr_array_new_with_free_func (document_free);
  importer->scores = g_array_new (FALSE, FALSE, sizeof (float));
  importer->layers = g_array_new (FALSE, FALSE, sizeof (gint32));
  importer->files = g_ptr_array_new_with_free_func (g_free);
  importer->labels = ms_import_labels_new ();
  names_init (&importer->stages);
  names_init (&importer->destinations);
}

static void
importer_clear (MsImporter *importer)
{
  for (guint i = 0; i < MS_RECORD_N_KINDS; i++)
    {
      g_free (importer->tables[i].file);
      g_array_unref (importer->tables[i].rows);
    }
  g_hash_table_unref (importer->sequences);
  g_ptr_array_unref (importer->documents);
  g_array_unref (importer->scores);
  g_array_unref (importer->layers);
  g_ptr_array_unref (importer->files);
  ms_import_labels_free (importer->labels);
  names_clear (&importer->stages);
  names_clear (&importer->destinations);
  g_clear_pointer (&importer->announced, g_array_unref);
  g_clear_pointer (&importer->restarts, g_hash_table_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MsImporter, importer_clear)

static gint64
count_decisions (const MsImportLayout *layout)
{
  gint64 n = 0;

  for (guint i = 0; i < layout->n_layers; i++)
    for (gsize j = 0; j < (gsize) layout->n_tokens * layout->k; j++)
      n += layout->layers[i].experts[j] != MS_NO_EXPERT;
  return n;
}

gboolean
ms_import (const MsImportOptions *options, MsImportSummary *summary, GError **error)
{
  g_auto (MsImporter) importer = { 0 };
  g_auto (MsImportLayout) layout = { .importer = &importer };

  *summary = (MsImportSummary){ .notes = g_ptr_array_new_with_free_func (g_free),
                                .remarks = g_ptr_array_new_with_free_func (
                                    (GDestroyNotify) ms_remark_free) };
  importer_init (&importer, options, summary);
  if (ms_importer_read (&importer, error) && ms_importer_arrange (&importer, error)
      && ms_import_layout_fill (&layout, error))
    {
      ms_import_layout_check (&layout);
      if (!ms_import_layout_exclude (&layout, error) || !ms_import_layout_store (&layout, error))
        {
          ms_import_summary_clear (summary);
          return FALSE;
        }
      summary->decisions = count_decisions (&layout);
      return TRUE;
    }
  ms_import_summary_clear (summary);
  return FALSE;
}

void
ms_import_summary_clear (MsImportSummary *summary)
{
  g_clear_pointer (&summary->notes, g_ptr_array_unref);
  g_clear_pointer (&summary->remarks, g_ptr_array_unref);
}
