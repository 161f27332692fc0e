/* Rows sorted by sequence, token, layer and slot; complete; without repetitions; all tables about the same
 * tokens.  After this, row follows row as cell follows cell in the arrays. */
#include "import-private.h"

#include <math.h>
#include <string.h>

/* By place, then the larger weight, then as they stand in the files. */
static int
compare_unranked (gconstpointer a, gconstpointer b)
{
  const MsImportRow *x = a, *y = b;

  if (!ms_import_row_same (x, y))
    return ms_import_row_compare (x, y);
  if (x->a != y->a && !isnan (x->a) && !isnan (y->a))
    return x->a > y->a ? -1 : 1;
  if (x->file != y->file)
    return x->file < y->file ? -1 : 1;
  return (x->line > y->line) - (x->line < y->line);
}

/* Gives decisions that tell no rank one. */
static gboolean
rank_rows (MsImporter *importer, GError **error)
{
  MsImportTable *table = &importer->tables[MS_RECORD_DECISION];
  MsImportRow *rows = (MsImportRow *) (void *) table->rows->data;
  gboolean unranked = FALSE;
  guint n = 0;

  for (guint i = 0; i < table->rows->len && !unranked; i++)
    unranked = rows[i].second & MS_IMPORT_UNRANKED;
  if (!unranked)
    return TRUE;
  g_array_sort (table->rows, compare_unranked);
  for (guint i = 0; i < table->rows->len; i++)
    {
      n = i > 0 && ms_import_row_same (&rows[i], &rows[i - 1]) ? n + 1 : 0;
      if (n >= MS_MAX_EXPERTS)
        return ms_import_fail (error, ms_import_row_file (importer, &rows[i]), rows[i].line,
                               "one token has more than %u rows", MS_MAX_EXPERTS);
      if (rows[i].second & MS_IMPORT_UNRANKED)
        rows[i].slot = (guint16) n;
      rows[i].second &= ~MS_IMPORT_UNRANKED;
    }
  if (n > 0 || table->fields & MS_FIELD_WEIGHT)
    ms_importer_note (importer,
                      table->fields & MS_FIELD_WEIGHT
                          ? "the trace tells no ranks: the larger weight is the better rank"
                          : "the trace tells no ranks: the earlier row is the better rank");
  return TRUE;
}

/* Counts of the same expert in different files, those of the ranks of a cluster, are added. */
static void
add_counts (MsImportTable *table)
{
  guint kept = 0;

  for (guint i = 0; i < table->rows->len; i++)
    {
      MsImportRow *row = ms_import_row (table, i);
      MsImportRow *last = kept > 0 ? ms_import_row (table, kept - 1) : NULL;

      if (last != NULL && ms_import_row_compare (last, row) == 0 && last->file != row->file)
        {
          guint64 sum = ms_import_row_count (last) + ms_import_row_count (row);

          last->value = (gint32) (guint32) sum;
          last->second = (gint32) (guint32) (sum >> 32);
          last->file = row->file;
          continue;
        }
      *ms_import_row (table, kept++) = *row;
    }
  g_array_set_size (table->rows, kept);
}

/* What to do about a repeated decision. */
#define RESTARTED                                                                                  \
  "; if positions begin anew in each request or batch, give --restarts document or --restarts "    \
  "continue, or name the column that tells sequences apart with --map document=COLUMN"

/* Sorts; a repetition is an error. */
static gboolean
sort_rows (MsImporter *importer, MsImportTable *table, GError **error)
{
  const char *advice = table == &importer->tables[MS_RECORD_DECISION] ? RESTARTED : "";
  const MsImportRow *rows = (const MsImportRow *) (void *) table->rows->data;
  gboolean sorted = TRUE;

  for (guint i = 1; i < table->rows->len && sorted; i++)
    sorted = ms_import_row_compare (&rows[i - 1], &rows[i]) < 0;
  if (!sorted)
    g_array_sort (table->rows, ms_import_row_compare);
  if (!sorted && table == &importer->tables[MS_RECORD_COUNT])
    add_counts (table);
  rows = (const MsImportRow *) (void *) table->rows->data;
  for (guint i = 1; i < table->rows->len && !sorted; i++)
    if (ms_import_row_compare (&rows[i - 1], &rows[i]) == 0)
      return rows[i].file == rows[i - 1].file
                 ? ms_import_fail (error, ms_import_row_file (importer, &rows[i]), rows[i].line,
                                   "this row repeats line %u%s", rows[i - 1].line, advice)
                 : ms_import_fail (error, ms_import_row_file (importer, &rows[i]), rows[i].line,
                                   "this row repeats line %u of %s%s", rows[i - 1].line,
                                   ms_import_row_file (importer, &rows[i - 1]), advice);
  return TRUE;
}

/* Token ids that stand beside decisions are there once for each layer: one of each stays. */
static gboolean
merge_ids (MsImporter *importer, GError **error)
{
  MsImportTable *table = &importer->tables[MS_RECORD_TOKEN];
  guint kept = 0;

  if (!importer->ids_beside)
    return TRUE;
  g_array_sort (table->rows, ms_import_row_compare);
  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);
      const MsImportRow *last = kept > 0 ? ms_import_row (table, kept - 1) : NULL;

      if (last == NULL || !ms_import_row_same (last, row))
        *ms_import_row (table, kept++) = *row;
      else if (last->value != row->value)
        return ms_import_fail (error, ms_import_row_file (importer, row), row->line,
                               "token id %d of sequence '%s', token %d is %d in line %u",
                               row->value, ms_importer_sequence (importer, row->sequence),
                               row->token, last->value, last->line);
    }
  g_array_set_size (table->rows, kept);
  return TRUE;
}

/* A file without a layer column speaks of the only layer. */
static gboolean
place_rows (MsImporter *importer, MsImportTable *table, GError **error)
{
  if (table->fields & MS_FIELD_LAYER)
    return TRUE;
  if (importer->layers->len > 1)
    return ms_import_fail (error, table->file, 1,
                           "a column 'layer' is needed: the trace has %u layers",
                           importer->layers->len);
  for (guint i = 0; i < table->rows->len; i++)
    ms_import_row (table, i)->layer = g_array_index (importer->layers, gint32, 0);
  return TRUE;
}

static int
compare_layers (gconstpointer a, gconstpointer b)
{
  gint32 x = *(const gint32 *) a, y = *(const gint32 *) b;

  return (x > y) - (x < y);
}

/* The layers, and how many tokens each sequence has, from the rows that say which decisions there are. */
static void
take_geometry (MsImporter *importer, const MsImportTable *table)
{
  g_autoptr (GHashTable) layers = g_hash_table_new (NULL, NULL);
  gint64 first = 0;

  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);
      MsDocument *document = importer->documents->pdata[row->sequence];

      document->n_tokens = MAX (document->n_tokens, row->token + 1);
      if ((i == 0 || row->layer != row[-1].layer)
          && g_hash_table_add (layers, GINT_TO_POINTER (row->layer)))
        g_array_append_val (importer->layers, row->layer);
    }
  g_array_sort (importer->layers, compare_layers);
  for (guint i = 0; i < importer->documents->len; i++)
    {
      MsDocument *document = importer->documents->pdata[i];

      document->first_token = first;
      first += document->n_tokens;
    }
}

/* Rows without positions are matched by their order, so a layer with fewer of them is matched wrongly.  The last one often
 * has fewer (llama.cpp routes only the tokens there whose output is wanted): it is left out. */
static gboolean
drop_truncated (MsImporter *importer, GError **error)
{
  MsImportTable *table = &importer->tables[MS_RECORD_DECISION];
  g_autoptr (GHashTable) tokens = g_hash_table_new (NULL, NULL);
  gint32 last = 0;
  gint64 most = 0, fewest = G_MAXINT64, at_last;
  guint kept = 0;

  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);
      gpointer key = GINT_TO_POINTER (row->layer);

      last = MAX (last, row->layer);
      if (i == 0 || !ms_import_row_same (row, row - 1))
        g_hash_table_insert (
            tokens, key,
            GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (tokens, key)) + 1));
    }
  at_last = GPOINTER_TO_UINT (g_hash_table_lookup (tokens, GINT_TO_POINTER (last)));
  {
    GHashTableIter iter;
    gpointer layer, n;

    g_hash_table_iter_init (&iter, tokens);
    while (g_hash_table_iter_next (&iter, &layer, &n))
      if (GPOINTER_TO_INT (layer) != last)
        {
          most = MAX (most, GPOINTER_TO_UINT (n));
          fewest = MIN (fewest, GPOINTER_TO_UINT (n));
        }
  }
  if (most == 0 || (most == fewest && at_last == most))
    return TRUE;
  if (most != fewest || at_last > most)
    return ms_import_fail (error, table->file, 0,
                           "the layers have %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
                           " tokens and the rows tell no positions, so they cannot be matched; "
                           "check --top-k",
                           MIN (fewest, at_last), MAX (most, at_last));
  for (guint i = 0; i < table->rows->len; i++)
    if (ms_import_row (table, i)->layer != last)
      *ms_import_row (table, kept++) = *ms_import_row (table, i);
  g_array_set_size (table->rows, kept);
  ms_importer_remark (importer, "truncated-last-layer", MS_SEVERITY_DOUBT, most - at_last, NULL,
                      "layer %d has %" G_GINT64_FORMAT
                      " tokens where the others have %" G_GINT64_FORMAT
                      ": llama.cpp routes in the last layer only tokens whose output is wanted; "
                      "which ones is not told, so the layer is left out",
                      last, at_last, most);
  return TRUE;
}

/* Sequences that other records than decisions brought have decisions, too. */
static gboolean
check_documents (const MsImporter *importer, GError **error)
{
  for (guint i = 0; i < importer->documents->len; i++)
    {
      const MsDocument *document = importer->documents->pdata[i];

      if (document->n_tokens == 0)
        return ms_import_fail (error, importer->options->inputs[0], 0,
                               "sequence '%s' has no decision: none of its rows is chosen",
                               document->name);
    }
  return TRUE;
}

/* Says which cell is missing before `row` (NULL: at the end), and what to do about it. */
static gboolean
fail_missing (const MsImporter *importer, const MsImportTable *table, const MsImportRow *missing,
              const MsImportRow *row, GError **error)
{
  const char *advice = table == &importer->tables[MS_RECORD_DECISION]
                           ? "; where a token goes to no expert, give --holes token"
                           : "";

  if (row != NULL && missing->token == 0 && row->token == 1 && row->sequence == missing->sequence)
    advice = "; tokens count from 0";
  return ms_import_fail (error, row != NULL ? ms_import_row_file (importer, row) : table->file,
                         row != NULL ? row->line : 0,
                         "sequence '%s', token %d, layer %d is missing%s%s",
                         ms_importer_sequence (importer, missing->sequence), missing->token,
                         missing->layer, row != NULL ? " before this row" : "", advice);
}

/* Says that `row` is about a token that has no decision. */
static gboolean
fail_surplus (const MsImporter *importer, const MsImportRow *row, GError **error)
{
  const MsDocument *document = importer->documents->pdata[row->sequence];
  gboolean beyond = row->token == document->n_tokens;

  return ms_import_fail (
      error, ms_import_row_file (importer, row), row->line,
      "sequence '%s', token %d, layer %d has no decision%s", document->name, row->token, row->layer,
      beyond ? "; an engine does not route the last token that it samples: leave that row out"
             : "");
}

/* Whether sorted rows hold every token of every sequence in each of the layers (n). */
static gboolean
check_complete (const MsImporter *importer, const MsImportTable *table, const gint32 *layers,
                guint n, GError **error)
{
  MsImportRow next = { .layer = layers[0] };
  guint layer = 0;

  for (guint i = 0; i <= table->rows->len; i++)
    {
      const MsImportRow *row = i < table->rows->len ? ms_import_row (table, i) : NULL;
      gboolean ended = next.sequence == importer->documents->len;
      MsImportRow cell = row != NULL ? *row : next;

      if (i > 0 && row != NULL && ms_import_row_same (row, row - 1))
        continue;
      cell.slot = 0;
      if (row == NULL && ended)
        return TRUE;
      if (row == NULL || (!ended && ms_import_row_compare (&cell, &next) > 0))
        return fail_missing (importer, table, &next, row, error);
      if (ended || ms_import_row_compare (&cell, &next) < 0)
        return fail_surplus (importer, row, error);
      if (++layer == n)
        {
          const MsDocument *document = importer->documents->pdata[next.sequence];

          layer = 0;
          if (++next.token == document->n_tokens)
            {
              next.token = 0;
              next.sequence++;
            }
        }
      next.layer = layers[layer];
    }
  return TRUE;
}

/* Scores one to a row become rows of n_scores scores. */
static gboolean
widen_scores (MsImporter *importer, GError **error)
{
  MsImportTable *from = &importer->tables[MS_RECORD_SCORE];
  MsImportTable *to = &importer->tables[MS_RECORD_SCORES];
  guint n = 0;

  if (from->file == NULL)
    return TRUE;
  for (guint i = 0; i < from->rows->len; i++)
    n = MAX (n, (guint) ms_import_row (from, i)->slot + 1);
  importer->n_scores = n;
  to->file = g_strdup (from->file);
  to->fields = from->fields;
  for (guint i = 0; i < from->rows->len; i++)
    {
      MsImportRow row = *ms_import_row (from, i);

      if (row.slot != i % n)
        return ms_import_fail (error, ms_import_row_file (importer, &row), row.line,
                               "expert %u of sequence '%s', token %d is missing before this row",
                               i % n, ms_importer_sequence (importer, row.sequence), row.token);
      if (row.slot == 0)
        {
          row.value = (gint32) (importer->scores->len / n);
          g_array_append_val (to->rows, row);
        }
      g_array_append_val (importer->scores, row.a);
    }
  if (from->rows->len % n != 0)
    return ms_import_fail (error, from->file, 0, "the last token has not %u scores", n);
  return TRUE;
}

/* --- Padding --------------------------------------------------------------------------------- */

/* Where each token of the old count (n) goes when padding is left out, -1 = nowhere.  Padding is a token
 * that has decisions, none of them valid. */
static gint32 *
find_padding (const MsImporter *importer, gint64 n, gint64 *n_padding)
{
  const MsImportTable *table = &importer->tables[MS_RECORD_DECISION];
  g_autofree guint8 *seen = g_new0 (guint8, (gsize) n); /* 1: a row not valid, 2: a valid one */
  gint32 *to = g_new (gint32, (gsize) n);

  for (guint i = 0; i < table->rows->len; i++)
    {
      const MsImportRow *row = ms_import_row (table, i);
      const MsDocument *document = importer->documents->pdata[row->sequence];

      seen[document->first_token + row->token] |= row->value < 0 ? 1 : 2;
    }
  *n_padding = 0;
  for (guint i = 0; i < importer->documents->len; i++)
    {
      const MsDocument *document = importer->documents->pdata[i];
      gint32 next = 0;

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        {
          gboolean padding = seen[t] == 1;

          *n_padding += padding;
          to[t] = padding ? -1 : next++;
        }
    }
  return to;
}

/* Takes the rows about padding out of a table and counts the tokens of the others anew. */
void
ms_importer_renumber (const MsImporter *importer, MsImportTable *table, const gint32 *to)
{
  guint kept = 0;

  for (guint i = 0; i < table->rows->len; i++)
    {
      MsImportRow row = *ms_import_row (table, i);
      const MsDocument *document = importer->documents->pdata[row.sequence];

      if (row.token >= document->n_tokens || to[document->first_token + row.token] < 0)
        continue;
      row.token = to[document->first_token + row.token];
      *ms_import_row (table, kept++) = row;
    }
  g_array_set_size (table->rows, kept);
}

/* Padding is no token: it leaves decisions, scores, ids and whatever else there is. */
static gboolean
leave_padding_out (MsImporter *importer, GError **error)
{
  const MsImportTable *decisions = &importer->tables[MS_RECORD_DECISION];
  gint64 n = 0, n_padding = 0, first = 0;
  g_autofree gint32 *to = NULL;

  if (!(decisions->fields & MS_FIELD_VALID))
    return TRUE;
  for (guint i = 0; i < importer->documents->len; i++)
    n += ((const MsDocument *) importer->documents->pdata[i])->n_tokens;
  to = find_padding (importer, n, &n_padding);
  if (n_padding == 0)
    return TRUE;
  for (guint kind = 0; kind < MS_RECORD_LABELS; kind++)
    ms_importer_renumber (importer, &importer->tables[kind], to);
  ms_import_labels_renumber (importer->labels, importer, to);
  for (guint i = 0; i < importer->documents->len; i++)
    {
      MsDocument *document = importer->documents->pdata[i];
      gint64 n_kept = 0;

      for (gint64 t = 0; t < document->n_tokens; t++)
        n_kept += to[document->first_token + t] >= 0;
      if (n_kept == 0)
        return ms_import_fail (error, decisions->file, 0,
                               "sequence '%s' is padding alone (valid = 0): leave it out",
                               document->name);
      document->first_token = first;
      document->n_tokens = n_kept;
      first += n_kept;
    }
  ms_importer_remark (
      importer, "padding", MS_SEVERITY_NOTE, n_padding, NULL,
      "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " tokens are padding (%s) and are "
      "left out",
      n_padding, n, importer->n_sentinels > 0 ? "expert -1: cached or never routed" : "valid = 0");
  return TRUE;
}

/* --- Holes ----------------------------------------------------------------------------------- */

/* Tokens without a row at some layer, by layer: a decision for no expert. */
static void
tell_holes (MsImporter *importer)
{
  const MsImportTable *table = &importer->tables[MS_RECORD_DECISION];
  g_autofree gint64 *have = g_new0 (gint64, importer->layers->len);
  gint64 n = 0, holes = 0;
  g_autoptr (GString) text = g_string_new (NULL);
  guint told = 0;

  for (guint i = 0; i < importer->documents->len; i++)
    n += ((const MsDocument *) importer->documents->pdata[i])->n_tokens;
  for (guint i = 0; i < table->rows->len; i++)
    for (guint j = 0; j < importer->layers->len; j++)
      have[j] += (i == 0
                  || !ms_import_row_same (ms_import_row (table, i), ms_import_row (table, i - 1)))
                 && ms_import_row (table, i)->layer == g_array_index (importer->layers, gint32, j);
  for (guint j = 0; j < importer->layers->len; j++)
    {
      holes += n - have[j];
      if (have[j] < n && told++ < 8)
        g_string_append_printf (text, "%s%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " at layer %d",
                                told > 1 ? ", " : "", n - have[j], n,
                                g_array_index (importer->layers, gint32, j));
    }
  /* llama.cpp routes in the last layer only tokens whose output is wanted. */
  if (importer->layers->len > 1 && holes > 0 && holes == n - have[importer->layers->len - 1])
    ms_importer_remark (importer, "truncated-last-layer", MS_SEVERITY_DOUBT, holes, NULL,
                        "only the last layer lacks tokens: engines leave out there those whose "
                        "output is not wanted, so it is measured on other tokens than the others");
  if (holes > 0)
    ms_importer_remark (importer, "holes", MS_SEVERITY_NOTE, holes, NULL,
                        "tokens without a row go to no expert (--holes token): %s%s", text->str,
                        told > 8 ? ", ..." : "");
}

gboolean
ms_importer_arrange (MsImporter *importer, GError **error)
{
  MsImportTable *tables = importer->tables;
  const gint32 zero = 0;

  if (!rank_rows (importer, error))
    return FALSE;
  for (guint kind = 0; kind < MS_RECORD_N_KINDS; kind++)
    if ((kind == MS_RECORD_TOKEN && !merge_ids (importer, error))
        || !sort_rows (importer, &tables[kind], error))
      return FALSE;
  if ((importer->counted && !drop_truncated (importer, error)) || !widen_scores (importer, error))
    return FALSE;
  take_geometry (importer, &tables[tables[MS_RECORD_DECISION].file != NULL ? MS_RECORD_DECISION
                                   : tables[MS_RECORD_COUNT].file != NULL  ? MS_RECORD_COUNT
                                                                           : MS_RECORD_SCORES]);
  if (tables[MS_RECORD_COUNT].file != NULL)
    return ms_importer_size_counts (importer, error);
  if (!check_documents (importer, error))
    return FALSE;
  if (importer->layers->len > 1 || g_array_index (importer->layers, gint32, 0) > 0)
    for (guint kind = MS_RECORD_SCORES; kind <= MS_RECORD_SIMILARITY; kind++)
      if (tables[kind].file != NULL && !place_rows (importer, &tables[kind], error))
        return FALSE;
  for (guint kind = 0; kind < MS_RECORD_N_KINDS; kind++)
    {
      const gint32 *layers = (const gint32 *) (void *) importer->layers->data;
      gboolean layered
          = kind == MS_RECORD_DECISION || kind == MS_RECORD_SCORES || kind == MS_RECORD_SIMILARITY;

      if (tables[kind].file == NULL || (!layered && kind != MS_RECORD_TOKEN)
          || (kind == MS_RECORD_DECISION && importer->options->holes))
        continue;
      if (!check_complete (importer, &tables[kind], layered ? layers : &zero,
                           layered ? importer->layers->len : 1, error))
        return FALSE;
    }
  if (importer->options->holes && tables[MS_RECORD_DECISION].file != NULL)
    tell_holes (importer);
  return leave_padding_out (importer, error);
}
