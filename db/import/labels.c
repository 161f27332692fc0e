/* Labels that stand beside records.  While records come they are kept as ranges of tokens in the order of the file;
 * at the end a label that does not change within a document is the document's, another one is of ranges of its
 * tokens, and one that has two values at one token (since it is about an expert or a layer) is none and is told. */
#include "import-private.h"

#include <string.h>

/* A label that nobody asked for is none when it has more values than people look at. */
#define MOST_VALUES 1000
/* A label of so many ranges is a number of each token. */
#define MOST_RANGES (1 << 20)

typedef struct
{
  guint32 sequence, value;
  gint32 first, last; /* tokens; first = -1: the whole sequence, whatever else is said */
} Range;

typedef struct
{
  const char *name;   /* interned */
  GHashTable *values; /* text -> number + 1 */
  GPtrArray *texts;   /* of char*, by number */
  GArray *ranges;     /* of Range */
  gboolean automatic, given_up;
} Label;

struct MsImportLabels
{
  GPtrArray *labels; /* of Label */
};

static void
label_free (gpointer data)
{
  Label *label = data;

  g_hash_table_unref (label->values);
  g_ptr_array_unref (label->texts);
  g_array_unref (label->ranges);
  g_free (label);
}

MsImportLabels *
ms_import_labels_new (void)
{
  MsImportLabels *labels = g_new0 (MsImportLabels, 1);

  labels->labels = g_ptr_array_new_with_free_func (label_free);
  return labels;
}

void
ms_import_labels_free (MsImportLabels *labels)
{
  if (labels == NULL)
    return;
  g_ptr_array_unref (labels->labels);
  g_free (labels);
}

static Label *
find_label (MsImportLabels *labels, const char *name, gboolean automatic)
{
  Label *label;

  for (guint i = 0; i < labels->labels->len; i++)
    {
      label = labels->labels->pdata[i];
      if (label->name == name)
        return label;
    }
  label = g_new0 (Label, 1);
  label->name = name;
  label->automatic = automatic;
  label->values = g_hash_table_new (g_str_hash, g_str_equal);
  label->texts = g_ptr_array_new_with_free_func (g_free);
  label->ranges = g_array_new (FALSE, FALSE, sizeof (Range));
  g_ptr_array_add (labels->labels, label);
  return label;
}

static guint32
number_value (Label *label, const char *text)
{
  gpointer known = g_hash_table_lookup (label->values, text);

  if (known == NULL)
    {
      char *copy = g_strdup (text);

      g_ptr_array_add (label->texts, copy);
      g_hash_table_insert (label->values, copy, known = GUINT_TO_POINTER (label->texts->len));
    }
  return GPOINTER_TO_UINT (known) - 1;
}

static void
add_range (Label *label, const Range *range)
{
  Range *last = label->ranges->len > 0
                    ? &g_array_index (label->ranges, Range, label->ranges->len - 1)
                    : NULL;

  if (last != NULL && last->sequence == range->sequence && last->value == range->value
      && last->first >= 0 && range->first >= last->first && range->first <= last->last + 1)
    last->last = MAX (last->last, range->last);
  else
    g_array_append_val (label->ranges, *range);
  if (label->automatic
      && (label->texts->len > MOST_VALUES || label->ranges->len > 64 * MOST_RANGES))
    {
      label->given_up = TRUE;
      g_array_set_size (label->ranges, 0);
    }
}

void
ms_import_labels_take (MsImportLabels *labels, const MsRecord *record, guint32 sequence,
                       gint32 token)
{
  gboolean whole = record->kind == MS_RECORD_LABELS && !(record->fields & MS_FIELD_TOKEN);

  for (guint i = 0; i < record->n_labels; i++)
    {
      Label *label = find_label (labels, record->labels[i].name, record->labels[i].automatic);
      const Range *last = label->ranges->len > 0
                              ? &g_array_index (label->ranges, Range, label->ranges->len - 1)
                              : NULL;
      Range range = { .sequence = sequence, .first = whole ? -1 : token, .last = token };

      if (label->given_up)
        continue;
      range.value
          = last != NULL && strcmp (label->texts->pdata[last->value], record->labels[i].value) == 0
                ? last->value
                : number_value (label, record->labels[i].value);
      add_range (label, &range);
    }
}

void
ms_import_labels_put (MsImportLabels *labels, const char *name, const char *value, guint32 sequence,
                      gint32 first, gint32 last)
{
  Label *label = find_label (labels, g_intern_string (name), FALSE);
  Range range = { sequence, number_value (label, value), first, last };

  add_range (label, &range);
}

void
ms_import_labels_renumber (MsImportLabels *labels, const MsImporter *importer, const gint32 *to)
{
  for (guint l = 0; l < labels->labels->len; l++)
    {
      Label *label = labels->labels->pdata[l];
      guint kept = 0;

      for (guint i = 0; i < label->ranges->len; i++)
        {
          Range range = g_array_index (label->ranges, Range, i);
          const MsDocument *document = importer->documents->pdata[range.sequence];
          const gint32 *here = to + document->first_token;

          if (range.first >= 0)
            {
              range.last = (gint32) MIN (range.last, document->n_tokens - 1);
              while (range.first <= range.last && here[range.first] < 0)
                range.first++;
              while (range.last >= range.first && here[range.last] < 0)
                range.last--;
              if (range.first > range.last)
                continue;
              range.first = here[range.first];
              range.last = here[range.last];
            }
          g_array_index (label->ranges, Range, kept++) = range;
        }
      g_array_set_size (label->ranges, kept);
    }
}

/* --- At the end ------------------------------------------------------------------------------ */

static int
compare_ranges (gconstpointer a, gconstpointer b)
{
  const Range *x = a, *y = b;

#define COMPARE(field)                                                                             \
  if (x->field != y->field)                                                                        \
  return x->field < y->field ? -1 : 1
  COMPARE (sequence);
  COMPARE (first);
  COMPARE (last);
  COMPARE (value);
#undef COMPARE
  return 0;
}

/* Sorts and joins the ranges.  Returns how many contradict another at one of their tokens. */
static guint
join_ranges (Label *label)
{
  guint kept = 0, conflicts = 0;
  gboolean whole = FALSE;

  g_array_sort (label->ranges, compare_ranges);
  for (guint i = 0; i < label->ranges->len; i++)
    {
      Range range = g_array_index (label->ranges, Range, i);
      Range *last = kept > 0 ? &g_array_index (label->ranges, Range, kept - 1) : NULL;

      if (last == NULL || last->sequence != range.sequence)
        whole = range.first < 0;
      else if (whole) /* the first is of the whole sequence and wins */
        continue;
      else if (range.first <= last->last && range.value != last->value)
        {
          conflicts++;
          continue;
        }
      else if (range.first <= last->last + 1 && range.value == last->value)
        {
          last->last = MAX (last->last, range.last);
          continue;
        }
      g_array_index (label->ranges, Range, kept++) = range;
    }
  g_array_set_size (label->ranges, kept);
  return conflicts;
}

static void
set_value (MsDocument *document, guint number, const char *text)
{
  char *clean = ms_text_printable (text, -1);

  if (number < MS_N_KNOWN_LABELS)
    {
      g_free (document->known[number]);
      document->known[number] = clean;
    }
  else
    document->more[number - MS_N_KNOWN_LABELS] = clean;
}

/* A label of documents gets its values, one of tokens its ranges. */
static void
settle_label (MsCorpus *corpus, const Label *label, GArray *ranges)
{
  int known = ms_corpus_find_label (corpus, label->name);
  guint n = label->ranges->len;

  for (guint i = 0; i < n;)
    {
      const Range *at = &g_array_index (label->ranges, Range, i);
      MsDocument *document = &corpus->documents[at->sequence];
      guint end = i + 1;

      while (end < n && g_array_index (label->ranges, Range, end).sequence == at->sequence)
        end++;
      if (end == i + 1 && (at->first < 0 || (at->first == 0 && at->last + 1 >= document->n_tokens)))
        set_value (document, (guint) known, label->texts->pdata[at->value]);
      else
        for (guint j = i; j < end; j++)
          {
            const Range *range = &g_array_index (label->ranges, Range, j);
            gint64 last = MIN (range->last, document->n_tokens - 1);
            MsTokenLabel token
                = { .name = (char *) label->name,
                    .value = ms_text_printable (label->texts->pdata[range->value], -1),
                    .first_token = document->first_token + range->first,
                    .n_tokens = last - range->first + 1 };

            if (token.n_tokens > 0)
              g_array_append_val (ranges, token);
            else
              g_free (token.value);
          }
      i = end;
    }
}

static int
compare_tokens (gconstpointer a, gconstpointer b)
{
  const MsTokenLabel *x = a, *y = b;
  int names = strcmp (x->name, y->name);

  return names != 0 ? names : (x->first_token > y->first_token) - (x->first_token < y->first_token);
}

/* Leaves out what is no label, which is told. */
static gboolean
is_label (MsImporter *importer, Label *label)
{
  guint conflicts;

  if (label->given_up)
    {
      ms_importer_note (importer,
                        "'%s' has more than %d different values, so it is no label and is not "
                        "kept; --map label=%s keeps it",
                        label->name, MOST_VALUES, label->name);
      return FALSE;
    }
  conflicts = join_ranges (label);
  if (conflicts > 0)
    {
      ms_importer_remark (importer, "label-differs", MS_SEVERITY_NOTE, conflicts, NULL,
                          "the label '%s' has different values at one token and is not kept: it "
                          "is about an expert or a layer",
                          label->name);
      return FALSE;
    }
  if (label->ranges->len > MOST_RANGES)
    {
      ms_importer_note (importer, "'%s' changes %u times, so it is no label and is not kept",
                        label->name, label->ranges->len);
      return FALSE;
    }
  return label->ranges->len > 0;
}

void
ms_import_labels_settle (MsImporter *importer, MsCorpus *corpus)
{
  GPtrArray *all = importer->labels->labels;
  g_autoptr (GArray) ranges = g_array_new (FALSE, FALSE, sizeof (MsTokenLabel));
  g_autofree gboolean *kept = g_new0 (gboolean, all->len + 1);

  corpus->more = g_new0 (char *, all->len + 1);
  for (guint i = 0; i < all->len; i++)
    {
      Label *label = all->pdata[i];

      kept[i] = is_label (importer, label);
      if (kept[i] && ms_corpus_find_label (corpus, label->name) < 0)
        corpus->more[corpus->n_more++] = g_strdup (label->name);
    }
  for (guint i = 0; i < corpus->n_documents && corpus->n_more > 0; i++)
    corpus->documents[i].more = g_new0 (char *, corpus->n_more);
  for (guint i = 0; i < all->len; i++)
    if (kept[i])
      settle_label (corpus, all->pdata[i], ranges);
  g_array_sort (ranges, compare_tokens);
  corpus->n_ranges = ranges->len;
  corpus->ranges = (MsTokenLabel *) (void *) g_array_free (g_steal_pointer (&ranges), FALSE);
}

void
ms_import_labels_clear (MsCorpus *corpus)
{
  for (guint i = 0; i < corpus->n_documents; i++)
    {
      for (guint j = 0; j < MS_N_KNOWN_LABELS; j++)
        g_clear_pointer (&corpus->documents[i].known[j], g_free);
      for (guint j = 0; corpus->documents[i].more != NULL && j < corpus->n_more; j++)
        g_free (corpus->documents[i].more[j]);
      g_clear_pointer (&corpus->documents[i].more, g_free);
    }
  for (guint i = 0; i < corpus->n_more; i++)
    g_free (corpus->more[i]);
  g_clear_pointer (&corpus->more, g_free);
  for (guint i = 0; i < corpus->n_ranges; i++)
    g_free (corpus->ranges[i].value);
  g_clear_pointer (&corpus->ranges, g_free);
  corpus->n_more = corpus->n_ranges = 0;
}
