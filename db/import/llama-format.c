/* What programs of the llama.cpp family write besides CSV: streams of binary records, counts behind "EXPR", and colibri's
 * usage files and route traces.  All are small and documented by their writers alone, so each is checked against
 * itself: sizes must fit, numbers be in range. */
#include "import-private.h"

#include <math.h>
#include <string.h>

#define MOST_LINE 65536

typedef enum
{
  LAYOUT_STREAM, /* int32 layer, tokens, k, then tokens * k ids, again and again */
  LAYOUT_COUNTS, /* "EXPR", uint32 version, layers, experts, tokens, then uint64 counts */
  LAYOUT_USAGE,  /* lines "layer expert count" behind "-1 layers experts" */
  LAYOUT_ROUTES, /* lines "call row layer expert:gate ..." */
} Layout;

typedef struct
{
  MsSource source;
  MsFileReader *input;
  Layout layout;
  const char *block; /* bytes read, not yet taken */
  gsize n;
  guint64 offset;   /* of the file, taken so far */
  guint row;        /* of the file: record or line */
  GHashTable *seen; /* layer -> tokens so far */
  /* The record at hand. */
  gint32 layer, tokens, k, token, rank;
  gint32 first;
  guint32 n_layers, n_experts; /* of counts */
  guint64 next;                /* of counts */
  GString *line;
  char *rest; /* of the line, at the next expert; NULL = none */
  char *call; /* document of the line */
} LlamaSource;

/* Copies n bytes to `to`; *there = FALSE when the file ended before the first. */
static gboolean
take (LlamaSource *self, gpointer to, gsize n, gboolean *there, GError **error)
{
  gsize done = 0;

  *there = TRUE;
  while (done < n)
    {
      gsize part;

      if (self->n == 0 && !ms_file_reader_read (self->input, &self->block, &self->n, error))
        return FALSE;
      if (self->n == 0)
        {
          *there = FALSE;
          return done == 0
                 || ms_import_fail (error, self->source.name, 0,
                                    "the file ends within a record, at byte %" G_GUINT64_FORMAT,
                                    self->offset);
        }
      part = MIN (n - done, self->n);
      memcpy ((guint8 *) to + done, self->block, part);
      self->block += part;
      self->n -= part;
      self->offset += part;
      done += part;
    }
  return TRUE;
}

static gint32
word_at (const guint8 *at)
{
  return (gint32) (at[0] | (guint32) at[1] << 8 | (guint32) at[2] << 16 | (guint32) at[3] << 24);
}

/* --- Streams --------------------------------------------------------------------------------- */

static gboolean
is_record (gint32 layer, gint32 tokens, gint32 k)
{
  return layer >= 0 && layer < 10000 && tokens > 0 && tokens <= 1 << 24 && k > 0 && k <= 1024;
}

/* The head of the next record of a stream; its tokens follow those that the layer had. */
static gboolean
take_record_head (LlamaSource *self, gboolean *more, GError **error)
{
  guint8 head[12];

  if (!take (self, head, sizeof head, more, error))
    return FALSE;
  if (!*more)
    return TRUE;
  self->row++;
  self->layer = word_at (head);
  self->tokens = word_at (head + 4);
  self->k = word_at (head + 8);
  if (!is_record (self->layer, self->tokens, self->k))
    return ms_import_fail (error, self->source.name, 0,
                           "record %u, before byte %" G_GUINT64_FORMAT
                           ", is of layer %d, %d tokens and %d choices, which are none",
                           self->row, self->offset, self->layer, self->tokens, self->k);
  self->token = self->rank = 0;
  self->first = GPOINTER_TO_INT (g_hash_table_lookup (self->seen, GINT_TO_POINTER (self->layer)));
  if (self->first > G_MAXINT32 - 1 - self->tokens)
    return ms_import_fail (error, self->source.name, 0, "there are too many tokens");
  g_hash_table_insert (self->seen, GINT_TO_POINTER (self->layer),
                       GINT_TO_POINTER (self->first + self->tokens));
  return TRUE;
}

static gboolean
next_of_stream (LlamaSource *self, MsRecord *record, gboolean *more, GError **error)
{
  guint8 id[4];
  gboolean there;

  *more = TRUE;
  if (self->token == self->tokens && !take_record_head (self, more, error))
    return FALSE;
  if (!*more)
    return TRUE;
  if (!take (self, id, sizeof id, &there, error))
    return FALSE;
  if (!there)
    return ms_import_fail (error, self->source.name, 0,
                           "the file ends within a record, at byte %" G_GUINT64_FORMAT,
                           self->offset);
  record->kind = MS_RECORD_DECISION;
  record->fields = MS_FIELD_LAYER | MS_FIELD_RANK;
  record->token = self->first + self->token;
  record->layer = self->layer;
  record->rank = self->rank;
  record->expert = word_at (id);
  if (record->expert < 0 || record->expert >= MS_MAX_EXPERTS)
    return ms_import_fail (error, self->source.name, 0,
                           "record %u has the expert %d, which is none (before byte "
                           "%" G_GUINT64_FORMAT ")",
                           self->row, record->expert, self->offset);
  if (++self->rank == self->k)
    {
      self->rank = 0;
      self->token++;
    }
  return TRUE;
}

/* --- Counts ---------------------------------------------------------------------------------- */

static gboolean
open_counts (LlamaSource *self, GError **error)
{
  guint8 head[20];
  gboolean there;

  if (!take (self, head, sizeof head, &there, error) || !there)
    return FALSE;
  self->n_layers = (guint32) word_at (head + 8);
  self->n_experts = (guint32) word_at (head + 12);
  if (self->n_layers < 1 || self->n_layers > 10000 || self->n_experts < 1
      || self->n_experts > MS_MAX_EXPERTS)
    return ms_import_fail (error, self->source.name, 0,
                           "the head says %u layers of %u experts, which are none", self->n_layers,
                           self->n_experts);
  self->source.n_experts = self->n_experts;
  return TRUE;
}

static gboolean
next_of_counts (LlamaSource *self, MsRecord *record, gboolean *more, GError **error)
{
  guint8 count[8];
  gboolean there;

  *more = self->next < (guint64) self->n_layers * self->n_experts;
  if (!*more)
    {
      if (!take (self, count, 1, &there, error))
        return FALSE;
      return !there
             || ms_import_fail (error, self->source.name, 0,
                                "more stands behind the counts of %u layers of %u experts",
                                self->n_layers, self->n_experts);
    }
  if (!take (self, count, sizeof count, &there, error))
    return FALSE;
  if (!there)
    return ms_import_fail (error, self->source.name, 0,
                           "the file ends before the counts of %u layers of %u experts",
                           self->n_layers, self->n_experts);
  record->kind = MS_RECORD_COUNT;
  record->fields = MS_FIELD_LAYER;
  record->layer = (gint32) (self->next / self->n_experts);
  record->expert = (gint32) (self->next % self->n_experts);
  record->count = (guint32) word_at (count) | (guint64) (guint32) word_at (count + 4) << 32;
  self->next++;
  return TRUE;
}

/* --- Lines ----------------------------------------------------------------------------------- */

/* The next line that is not blank, without its end; *more = FALSE at the end of the file. */
static gboolean
take_line (LlamaSource *self, gboolean *more, GError **error)
{
  do
    {
      char byte = '\0';
      gboolean there = TRUE;

      g_string_truncate (self->line, 0);
      self->row++;
      while (byte != '\n' && there)
        {
          if (!take (self, &byte, 1, &there, error))
            return FALSE;
          if (there && byte != '\n' && byte != '\r')
            g_string_append_c (self->line, byte == '\0' ? '?' : byte);
          if (self->line->len > MOST_LINE)
            return ms_import_fail (error, self->source.name, self->row, "the line is too long");
        }
      *more = there || self->line->len > 0;
    }
  while (*more && self->line->len == 0);
  return TRUE;
}

static gboolean
fail_line (const LlamaSource *self, const char *expected, GError **error)
{
  g_autofree char *clean = ms_text_printable (self->line->str, (gssize) MIN (self->line->len, 60));

  return ms_import_fail (error, self->source.name, self->row, "'%s' is not '%s'", clean, expected);
}

static gboolean
next_of_usage (LlamaSource *self, MsRecord *record, gboolean *more, GError **error)
{
  while (TRUE)
    {
      gint64 numbers[3] = { 0 };
      char *at, *end;
      guint n = 0;

      if (!take_line (self, more, error) || !*more)
        return *more == FALSE;
      for (at = self->line->str; n < 3; n++, at = end)
        {
          numbers[n] = g_ascii_strtoll (at, &end, 10);
          if (end == at)
            break;
        }
      if (numbers[0] == -2) /* version and engine */
        continue;
      if (n < 3 || numbers[0] < -2 || numbers[0] > 1000000 || numbers[1] < 0
          || numbers[1] >= MS_MAX_EXPERTS || numbers[2] < 0)
        return fail_line (self, "LAYER EXPERT COUNT", error);
      if (numbers[0] == -1)
        {
          if (numbers[2] > MS_MAX_EXPERTS)
            return fail_line (self, "-1 LAYERS EXPERTS", error);
          self->source.n_experts = (guint) numbers[2];
          continue;
        }
      record->kind = MS_RECORD_COUNT;
      record->fields = MS_FIELD_LAYER;
      record->line = self->row;
      record->layer = (gint32) numbers[0];
      record->expert = (gint32) numbers[1];
      record->count = (guint64) numbers[2];
      return TRUE;
    }
}

/* The head of a line of routes: call, row and layer. */
static gboolean
take_route (LlamaSource *self, GError **error)
{
  gint64 numbers[3];
  char *at = self->line->str, *end;

  for (guint i = 0; i < 3; i++, at = end)
    {
      numbers[i] = g_ascii_strtoll (at, &end, 10);
      if (end == at || numbers[i] < 0 || numbers[i] > (i == 2 ? 1000000 : G_MAXINT32 - 1))
        return fail_line (self, "CALL ROW LAYER EXPERT:GATE ...", error);
    }
  g_free (self->call);
  self->call = g_strdup_printf ("call-%" G_GINT64_FORMAT, numbers[0]);
  self->token = (gint32) numbers[1];
  self->layer = (gint32) numbers[2];
  self->rank = 0;
  self->rest = at;
  return TRUE;
}

static gboolean
next_of_routes (LlamaSource *self, MsRecord *record, gboolean *more, GError **error)
{
  gint64 expert;
  char *end;

  *more = TRUE;
  while (self->rest == NULL || self->rest[strspn (self->rest, " \t")] == '\0')
    if (!take_line (self, more, error) || !*more || !take_route (self, error))
      return *more == FALSE;
  expert = g_ascii_strtoll (self->rest, &end, 10);
  if (end == self->rest || *end != ':' || expert < 0 || expert >= MS_MAX_EXPERTS)
    return fail_line (self, "CALL ROW LAYER EXPERT:GATE ...", error);
  self->rest = end + 1;
  record->kind = MS_RECORD_DECISION;
  record->fields = MS_FIELD_LAYER | MS_FIELD_RANK | MS_FIELD_WEIGHT;
  record->line = self->row;
  record->sequence = self->call;
  record->token = self->token;
  record->layer = self->layer;
  record->rank = self->rank++;
  record->expert = (gint32) expert;
  record->weight = (float) g_ascii_strtod (self->rest, &end);
  if (end == self->rest || !(fabsf (record->weight) <= G_MAXFLOAT))
    return fail_line (self, "CALL ROW LAYER EXPERT:GATE ...", error);
  self->rest = end;
  return TRUE;
}

/* --- The format ------------------------------------------------------------------------------ */

static gboolean
llama_next (MsSource *source, MsRecord *record, gboolean *more, GError **error)
{
  LlamaSource *self = (LlamaSource *) source;

  *record = (MsRecord){ .line = self->row,
                        .sequence = "0",
                        .valid = TRUE,
                        .token_id = -1,
                        .predicted = -1,
                        .weight = NAN,
                        .loss = NAN };
  switch (self->layout)
    {
    case LAYOUT_STREAM:
      return next_of_stream (self, record, more, error);
    case LAYOUT_COUNTS:
      return next_of_counts (self, record, more, error);
    case LAYOUT_USAGE:
      return next_of_usage (self, record, more, error);
    default:
      return next_of_routes (self, record, more, error);
    }
}

/* Whether the head is records of a stream, one after the other as far as it goes. */
static gboolean
is_stream (const char *head, gsize n)
{
  const guint8 *at = (const guint8 *) head, *end = at + n;
  guint records = 0;

  while (end - at >= 12)
    {
      gint32 tokens = word_at (at + 4), k = word_at (at + 8);
      gint64 ids = (gint64) tokens * k;

      if (!is_record (word_at (at), tokens, k))
        return FALSE;
      at += 12;
      for (gint64 i = 0; i < ids && end - at >= 4; i++, at += 4)
        if (word_at (at) < 0 || word_at (at) >= MS_MAX_EXPERTS)
          return FALSE;
      records++;
    }
  return records > 0;
}

/* Which layout the head is of, -1 = none. */
static int
find_layout (const char *head, gsize n)
{
  g_autofree char *line = g_strndup (head, MIN (n, 200));
  const char *at = line;
  guint numbers = 0;

  if (n >= 20 && memcmp (head, "EXPR", 4) == 0)
    return LAYOUT_COUNTS;
  if (n >= 3 && memcmp (head, "-1 ", 3) == 0)
    return LAYOUT_USAGE;
  while (g_ascii_isdigit (*at))
    {
      at += strspn (at, "0123456789");
      numbers++;
      if (*at == ':')
        return numbers == 4 ? LAYOUT_ROUTES : -1;
      at += strspn (at, " \t");
    }
  return n > 0 && is_stream (head, n) ? LAYOUT_STREAM : -1;
}

static guint
llama_sniff (const char *head, gsize n, const char *name)
{
  (void) name;
  return find_layout (head, n) >= 0 ? 70 : 0;
}

static void
llama_close (MsSource *source)
{
  LlamaSource *self = (LlamaSource *) source;

  ms_file_reader_free (self->input);
  g_hash_table_unref (self->seen);
  g_string_free (self->line, TRUE);
  g_free (self->call);
  ms_source_clear (source);
  g_free (self);
}

static MsSource *
llama_open (MsFileReader *input, const MsImportOptions *options, GError **error)
{
  LlamaSource *self = g_new0 (LlamaSource, 1);
  gsize n = 0;
  const char *head = ms_file_reader_head (input, &n, error);
  int layout = head != NULL ? find_layout (head, n) : -1;

  (void) options;
  ms_source_init (&self->source, &ms_format_llama, input);
  self->input = input;
  self->seen = g_hash_table_new (NULL, NULL);
  self->line = g_string_new (NULL);
  self->layout = (Layout) MAX (layout, 0);
  self->source.counted = layout == LAYOUT_STREAM;
  self->source.kinds = layout == LAYOUT_STREAM || layout == LAYOUT_ROUTES ? 1u << MS_RECORD_DECISION
                                                                          : 1u << MS_RECORD_COUNT;
  if (layout >= 0 && (layout != LAYOUT_COUNTS || open_counts (self, error)))
    return &self->source;
  if (head != NULL && layout < 0)
    ms_import_fail (error, self->source.name, 0,
                    "this is no trace of the llama.cpp family that is read");
  llama_close (&self->source);
  return NULL;
}

const MsFormat ms_format_llama = {
  .about = {
    .name = "llama",
    .title = "llama.cpp family",
    .extensions = (const char *const[]){ "bin", "coli_usage", NULL },
    .help
    = "What programs of the llama.cpp family write besides CSV:\n"
      "  records           int32 layer, tokens, k, then tokens * k ids, again and again\n"
      "                    (llama-moe-trace); the tokens of a layer follow each other\n"
      "  expert counts     \"EXPR\", uint32 version, layers, experts, tokens, then uint64 counts\n"
      "  colibri's usage   -1 LAYERS EXPERTS, -2 VERSION ENGINE, then LAYER EXPERT COUNT\n"
      "  colibri's routes  CALL ROW LAYER EXPERT:GATE ...; a call is a document\n"
      "CSV of moe-trace (layer,expert) is read as CSV; give --top-k there.\n",
  },
  .sniff = llama_sniff,
  .open = llama_open,
  .next = llama_next,
  .close = llama_close,
};
