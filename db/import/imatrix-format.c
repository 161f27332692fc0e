/* Importance matrices of llama.cpp (imatrix.gguf): beside sums of activations they count how often each expert was chosen,
 * exactly.  Only these counts are read.
 *
 * The file is GGUF: key-value pairs, then the names, shapes and offsets of tensors, then the tensors.  Of the pairs only
 * a few are needed, the others are stepped over by their types; every length is checked. */
#include "import-private.h"

#include <math.h>
#include <string.h>

#define MOST_BYTES   (G_GUINT64_CONSTANT (1) << 31)
#define EXACT_COUNTS 16777216.0f /* a float holds whole numbers up to here */

typedef struct
{
  guint layer, rank; /* rank: which of a layer's tensors it is, the first is enough */
  guint64 offset, n;
} Counts;

typedef struct
{
  MsSource source;
  GBytes *bytes;
  gsize at, n;
  const guint8 *data;
  GArray *counts; /* of Counts, by layer */
  guint alignment;
  guint64 chunks, chunk_tokens;
  guint index, expert;
} ImatrixSource;

static gboolean
fail_short (const ImatrixSource *self, GError **error)
{
  return ms_import_fail (error, self->source.name, 0,
                         "the file ends too early, at byte %" G_GSIZE_FORMAT, self->at);
}

static gboolean
take (ImatrixSource *self, guint bytes, guint64 *value, GError **error)
{
  *value = 0;
  if (self->n - self->at < bytes)
    return fail_short (self, error);
  for (guint i = 0; i < bytes; i++)
    *value |= (guint64) self->data[self->at + i] << (8 * i);
  self->at += bytes;
  return TRUE;
}

static gboolean
skip (ImatrixSource *self, guint64 bytes, GError **error)
{
  if (bytes > self->n - self->at)
    return fail_short (self, error);
  self->at += bytes;
  return TRUE;
}

/* A text, borrowed from the file and not terminated. */
static gboolean
take_text (ImatrixSource *self, const char **text, guint64 *length, GError **error)
{
  if (!take (self, 8, length, error))
    return FALSE;
  *text = (const char *) self->data + self->at;
  return skip (self, *length, error);
}

/* Bytes of a value of each type, 0 for texts and lists. */
static const guint sizes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
#define TYPE_TEXT 8
#define TYPE_LIST 9

static gboolean
skip_value (ImatrixSource *self, guint64 type, GError **error)
{
  const char *text;
  guint64 length, n = 1;

  if (type == TYPE_LIST && (!take (self, 4, &type, error) || !take (self, 8, &n, error)))
    return FALSE;
  if (type >= G_N_ELEMENTS (sizes) || type == TYPE_LIST)
    return ms_import_fail (error, self->source.name, 0,
                           "a value at byte %" G_GSIZE_FORMAT " is of an unknown type", self->at);
  if (type != TYPE_TEXT)
    return n <= self->n ? skip (self, n * sizes[type], error) : fail_short (self, error);
  for (guint64 i = 0; i < n; i++)
    if (!take_text (self, &text, &length, error))
      return FALSE;
  return TRUE;
}

static gboolean
take_pair (ImatrixSource *self, GError **error)
{
  const struct
  {
    const char *key;
    guint64 *value;
  } wanted[]
      = { { "imatrix.chunk_count", &self->chunks }, { "imatrix.chunk_size", &self->chunk_tokens } };
  const char *key;
  guint64 length, type, value;

  if (!take_text (self, &key, &length, error) || !take (self, 4, &type, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (wanted); i++)
    if (length == strlen (wanted[i].key) && memcmp (key, wanted[i].key, length) == 0 && type == 4)
      return take (self, 4, wanted[i].value, error);
  if (length == strlen ("general.alignment") && memcmp (key, "general.alignment", length) == 0
      && type == 4)
    {
      if (!take (self, 4, &value, error))
        return FALSE;
      self->alignment = value > 0 && value <= 4096 ? (guint) value : 32;
      return TRUE;
    }
  return skip_value (self, type, error);
}

/* "blk.3.ffn_gate_exps.weight.counts": layer and which tensor; FALSE for other names. */
static gboolean
read_name (const char *name, guint64 length, guint *layer, guint *rank)
{
  static const char *const kinds[]
      = { "ffn_gate_exps", "ffn_gate_up_exps", "ffn_up_exps", "ffn_down_exps" };
  g_autofree char *text = g_strndup (name, length);
  char *end;
  guint64 number;

  if (!g_str_has_prefix (text, "blk.") || !g_str_has_suffix (text, ".counts"))
    return FALSE;
  number = g_ascii_strtoull (text + 4, &end, 10);
  for (guint i = 0; i < G_N_ELEMENTS (kinds) && *end == '.' && number < 1000000; i++)
    {
      g_autofree char *rest = g_strdup_printf ("%s.weight.counts", kinds[i]);

      if (strcmp (end + 1, rest) != 0)
        continue;
      *layer = (guint) number;
      *rank = i;
      return TRUE;
    }
  return FALSE;
}

static gboolean
take_tensor (ImatrixSource *self, GError **error)
{
  const char *name;
  guint64 length, n_dims, type;
  Counts counts = { .n = 1 };
  gboolean wanted;

  if (!take_text (self, &name, &length, error) || !take (self, 4, &n_dims, error))
    return FALSE;
  for (guint64 i = 0; i < n_dims; i++)
    {
      guint64 size;

      if (!take (self, 8, &size, error))
        return FALSE;
      if (size != 0 && counts.n > G_MAXUINT64 / size)
        return fail_short (self, error);
      counts.n *= size;
    }
  if (!take (self, 4, &type, error) || !take (self, 8, &counts.offset, error))
    return FALSE;
  wanted = read_name (name, length, &counts.layer, &counts.rank);
  if (wanted && (type != 0 || counts.n < 2 || counts.n > MS_MAX_EXPERTS))
    return ms_import_fail (error, self->source.name, 0,
                           "'%.*s' are no counts of experts: they must be 32-bit floats, one for "
                           "each",
                           (int) length, name);
  if (wanted)
    g_array_append_val (self->counts, counts);
  return TRUE;
}

static int
compare_counts (gconstpointer a, gconstpointer b)
{
  const Counts *x = a, *y = b;

  if (x->layer != y->layer)
    return x->layer < y->layer ? -1 : 1;
  return (x->rank > y->rank) - (x->rank < y->rank);
}

static float
count_at (const ImatrixSource *self, const Counts *counts, guint64 i)
{
  const guint8 *at = self->data + counts->offset + 4 * i;
  guint32 bits = at[0] | (guint32) at[1] << 8 | (guint32) at[2] << 16 | (guint32) at[3] << 24;
  float value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

/* One tensor of counts stays for each layer, at its place in the file. */
static gboolean
settle_counts (ImatrixSource *self, GError **error)
{
  gsize begin = (self->at + self->alignment - 1) / self->alignment * self->alignment;
  guint kept = 0;

  g_array_sort (self->counts, compare_counts);
  for (guint i = 0; i < self->counts->len; i++)
    {
      Counts counts = g_array_index (self->counts, Counts, i);

      if (kept > 0 && g_array_index (self->counts, Counts, kept - 1).layer == counts.layer)
        continue;
      if (begin > self->n || counts.offset > self->n - begin
          || counts.n * 4 > self->n - begin - counts.offset)
        return fail_short (self, error);
      counts.offset += begin;
      g_array_index (self->counts, Counts, kept++) = counts;
    }
  g_array_set_size (self->counts, kept);
  return kept > 0
         || ms_import_fail (error, self->source.name, 0,
                            "the importance matrix has no counts of experts (blk.N.ffn_gate_exps."
                            "weight.counts): the model is dense, or an old llama.cpp wrote it");
}

/* What the counts say: whether they are of experts at all, and how many experts a token goes to. */
static gboolean
judge_counts (ImatrixSource *self, GError **error)
{
  guint64 tokens = self->chunks * self->chunk_tokens;
  guint equal = 0;
  double k = -1;
  float most = 0;

  for (guint i = 0; i < self->counts->len; i++)
    {
      const Counts *counts = &g_array_index (self->counts, Counts, i);
      double sum = 0;
      gboolean same = TRUE;

      for (guint64 e = 0; e < counts->n; e++)
        {
          float count = count_at (self, counts, e);

          if (!(count >= 0) || count != rintf (count) || count > 1e15f)
            return ms_import_fail (error, self->source.name, 0,
                                   "the count of expert %" G_GUINT64_FORMAT
                                   " at layer %u is no whole number",
                                   e, counts->layer);
          same = same && count == count_at (self, counts, 0);
          most = MAX (most, count);
          sum += (double) count;
        }
      equal += same;
      k = i == 0 || k == sum / (double) tokens ? sum / (double) tokens : -1;
    }
  if (equal == self->counts->len)
    return ms_import_fail (
        error, self->source.name, 0,
        "all experts of a layer have the same count in this importance matrix: an "
        "old llama.cpp wrote one count for all of them, which says nothing about "
        "routing");
  if (tokens > 0 && k >= 1 && k <= 1000 && k == rint (k))
    self->source.k = (guint) k;
  if (most >= EXACT_COUNTS)
    ms_source_remark (&self->source, "inexact-counts", MS_SEVERITY_DOUBT, 1,
                      "counts above %.0f are there, which the file's 32-bit floats do not hold "
                      "exactly",
                      (double) EXACT_COUNTS);
  return TRUE;
}

static gboolean
read_head (ImatrixSource *self, GError **error)
{
  guint64 version, n_tensors, n_pairs;

  self->at = 4;
  if (!take (self, 4, &version, error) || !take (self, 8, &n_tensors, error)
      || !take (self, 8, &n_pairs, error))
    return FALSE;
  if (version < 2 || version > 3)
    return ms_import_fail (error, self->source.name, 0,
                           "GGUF of version %" G_GUINT64_FORMAT " is not read", version);
  for (guint64 i = 0; i < n_pairs; i++)
    if (!take_pair (self, error))
      return FALSE;
  for (guint64 i = 0; i < n_tensors; i++)
    if (!take_tensor (self, error))
      return FALSE;
  return settle_counts (self, error) && judge_counts (self, error);
}

static gboolean
imatrix_next (MsSource *source, MsRecord *record, gboolean *more, GError **error)
{
  ImatrixSource *self = (ImatrixSource *) source;
  const Counts *counts;

  (void) error;
  *more = self->index < self->counts->len;
  if (!*more)
    return TRUE;
  counts = &g_array_index (self->counts, Counts, self->index);
  *record = (MsRecord){ .kind = MS_RECORD_COUNT,
                        .fields = MS_FIELD_LAYER,
                        .line = self->index + 1,
                        .sequence = "0",
                        .layer = (gint32) counts->layer,
                        .expert = (gint32) self->expert,
                        .count = (guint64) count_at (self, counts, self->expert),
                        .valid = TRUE };
  if (++self->expert == counts->n)
    {
      self->expert = 0;
      self->index++;
    }
  return TRUE;
}

static void
imatrix_close (MsSource *source)
{
  ImatrixSource *self = (ImatrixSource *) source;

  g_clear_pointer (&self->bytes, g_bytes_unref);
  g_array_unref (self->counts);
  ms_source_clear (source);
  g_free (self);
}

static MsSource *
imatrix_open (MsFileReader *input, const MsImportOptions *options, GError **error)
{
  ImatrixSource *self = g_new0 (ImatrixSource, 1);

  (void) options;
  ms_source_init (&self->source, &ms_format_imatrix, input);
  self->source.kinds = 1u << MS_RECORD_COUNT;
  self->counts = g_array_new (FALSE, FALSE, sizeof (Counts));
  self->alignment = 32;
  self->bytes = ms_file_reader_take_all (input, MOST_BYTES, error);
  ms_file_reader_free (input);
  if (self->bytes != NULL)
    {
      self->data = g_bytes_get_data (self->bytes, &self->n);
      if (read_head (self, error))
        return &self->source;
    }
  imatrix_close (&self->source);
  return NULL;
}

static guint
imatrix_sniff (const char *head, gsize n, const char *name)
{
  (void) name;
  return n >= 4 && memcmp (head, "GGUF", 4) == 0 && memmem (head, n, "imatrix", 7) != NULL ? 100
                                                                                           : 0;
}

const MsFormat ms_format_imatrix = {
  .about = {
    .name = "imatrix",
    .title = "Importance matrix",
    .extensions = (const char *const[]){ "imatrix", NULL },
    .help
    = "An imatrix.gguf of llama.cpp: blk.N.ffn_gate_exps.weight.counts (or ffn_gate_up, ffn_up,\n"
      "ffn_down) counts how often each expert was chosen.  How many experts a token goes to follows\n"
      "from imatrix.chunk_count and chunk_size, or is told with --top-k.  The legacy .dat files\n"
      "have no such counts.\n",
  },
  .sniff = imatrix_sniff,
  .open = imatrix_open,
  .next = imatrix_next,
  .close = imatrix_close,
};
