/* CSV: the header tells what a file holds, in any order of columns; each row is one record.
 *
 * A column that is not read is named, never passed over in silence: a misspelt one would lose what it
 * holds. */
#include "csv-private.h"
#include "import-private.h"

#include <math.h>
#include <string.h>

/* The columns with a meaning. */
typedef enum
{
  COLUMN_SEQUENCE,
  COLUMN_TOKEN,
  COLUMN_LAYER,
  COLUMN_RANK,
  COLUMN_EXPERT,
  COLUMN_WEIGHT,
  COLUMN_NORM,
  COLUMN_DROPPED,
  COLUMN_VALID,
  COLUMN_SIMILARITY,
  COLUMN_LOGIT,
  COLUMN_OUTCOME,
  COLUMN_TOKEN_ID,
  COLUMN_PREDICTED,
  COLUMN_LOSS,
  COLUMN_DOMAIN,
  COLUMN_LANGUAGE,
  COLUMN_PARALLEL,
  COLUMN_PHASE,
  COLUMN_FIRST,  /* e0 or h0: the rest of the row are values */
  COLUMN_SILENT, /* what `moescope export` writes beside and import makes anew */
  N_COLUMNS
} Column;

#define BIT(column) (1u << COLUMN_##column)
#define LABELS      (BIT (DOMAIN) | BIT (LANGUAGE) | BIT (PARALLEL) | BIT (PHASE))

static const struct
{
  const char *name;
  Column column;
  guint field; /* of MsRecordField, 0 = the kind says it is there */
} columns[] = {
  { "sequence", COLUMN_SEQUENCE, 0 },
  { "document", COLUMN_SEQUENCE, 0 },
  { "token", COLUMN_TOKEN, 0 },
  { "position", COLUMN_TOKEN, 0 },
  { "layer", COLUMN_LAYER, MS_FIELD_LAYER },
  { "rank", COLUMN_RANK, MS_FIELD_RANK },
  { "expert", COLUMN_EXPERT, 0 },
  { "weight", COLUMN_WEIGHT, MS_FIELD_WEIGHT },
  { "output_l2_norm", COLUMN_NORM, MS_FIELD_NORM },
  { "dropped", COLUMN_DROPPED, MS_FIELD_DROPPED },
  { "valid", COLUMN_VALID, MS_FIELD_VALID },
  { "similarity", COLUMN_SIMILARITY, 0 },
  { "logit", COLUMN_LOGIT, 0 },
  { "outcome", COLUMN_OUTCOME, 0 },
  { "quality", COLUMN_OUTCOME, 0 },
  { "cost", COLUMN_OUTCOME, 0 },
  { "token_id", COLUMN_TOKEN_ID, MS_FIELD_TOKEN_ID },
  { "predicted_token_id", COLUMN_PREDICTED, MS_FIELD_PREDICTED },
  { "predicted_id", COLUMN_PREDICTED, MS_FIELD_PREDICTED },
  { "loss", COLUMN_LOSS, MS_FIELD_LOSS },
  { "dataset", COLUMN_DOMAIN, 0 },
  { "domain", COLUMN_DOMAIN, 0 },
  { "language", COLUMN_LANGUAGE, 0 },
  { "parallel_id", COLUMN_PARALLEL, 0 },
  { "parallel", COLUMN_PARALLEL, 0 },
  { "phase", COLUMN_PHASE, 0 },
  { "e0", COLUMN_FIRST, 0 },
  { "h0", COLUMN_FIRST, 0 },
  { "run", COLUMN_SILENT, 0 },
  { "first_token", COLUMN_SILENT, 0 },
  { "tokens", COLUMN_SILENT, 0 },
};

/* What the columns must be for rows to be of a kind, the first match counts, and which of them it reads. */
static const struct
{
  MsRecordKind kind;
  guint needs, lacks, further; /* bits of Column */
} kinds[] = {
  { MS_RECORD_DECISION, BIT (TOKEN) | BIT (RANK) | BIT (EXPERT), 0,
    BIT (SEQUENCE) | BIT (LAYER) | BIT (WEIGHT) | BIT (NORM) | BIT (DROPPED) | BIT (VALID)
        | BIT (TOKEN_ID) | LABELS },
  { MS_RECORD_SCORE, BIT (TOKEN) | BIT (EXPERT) | BIT (LOGIT), 0, BIT (SEQUENCE) | BIT (LAYER) },
  { MS_RECORD_OUTCOME, BIT (TOKEN) | BIT (EXPERT) | BIT (OUTCOME), 0,
    BIT (SEQUENCE) | BIT (LAYER) },
  { MS_RECORD_OUTPUT, BIT (TOKEN) | BIT (EXPERT) | BIT (FIRST), 0, BIT (SEQUENCE) | BIT (LAYER) },
  { MS_RECORD_SCORES, BIT (TOKEN) | BIT (FIRST), 0, BIT (SEQUENCE) | BIT (LAYER) },
  { MS_RECORD_SIMILARITY, BIT (TOKEN) | BIT (SIMILARITY), 0, BIT (SEQUENCE) | BIT (LAYER) },
  { MS_RECORD_TOKEN, BIT (TOKEN) | BIT (TOKEN_ID), BIT (EXPERT),
    BIT (SEQUENCE) | BIT (PREDICTED) | BIT (LOSS) },
  { MS_RECORD_LABELS, BIT (SEQUENCE), BIT (TOKEN), LABELS },
};

typedef struct
{
  MsSource source;
  MsCsvReader *reader;
  MsRecordKind kind;
  guint fields;
  int at[N_COLUMNS]; /* index of the column, -1 = absent or not read */
  guint n_columns;
  GArray *values; /* of float: of the row */
  MsRecordLabel labels[4];
} CsvSource;

/* --- Cells ----------------------------------------------------------------------------------- */

/* Digits, and a point among them when `point` is not NULL, at the front of `cell`: all digits as one number,
 * and how many stand behind the point.  Returns where they end; at most 15 digits, so that all is exact. */
static const char *
read_digits (const char *cell, gint64 *digits, guint *behind, gboolean point)
{
  guint n = 0;
  gboolean pointed = FALSE;

  *digits = 0;
  *behind = 0;
  for (; n < 15; cell++)
    if (g_ascii_isdigit (*cell))
      {
        *digits = *digits * 10 + (*cell - '0');
        *behind += pointed;
        n++;
      }
    else if (*cell == '.' && point && !pointed && n > 0)
      pointed = TRUE;
    else
      break;
  return n > 0 ? cell : "?";
}

/* The column's cell as an integer in least..most; `otherwise` when the file has no such column. */
static gboolean
read_int (const CsvSource *self, const char *const *fields, guint line, Column column, gint64 least,
          gint64 most, gint32 otherwise, gint32 *value, GError **error)
{
  int index = self->at[column];
  gint64 number = 0;
  g_autofree char *cell = NULL;
  const char *point;
  guint behind;

  *value = otherwise;
  if (index < 0
      || (*fields[index] == '\0' && (column == COLUMN_PREDICTED || column == COLUMN_TOKEN_ID)))
    return TRUE;
  if (*read_digits (fields[index], &number, &behind, FALSE) == '\0' && number >= least
      && number <= most)
    {
      *value = (gint32) number;
      return TRUE;
    }
  if (g_ascii_string_to_signed (fields[index], 10, least, most, &number, NULL))
    {
      *value = (gint32) number;
      return TRUE;
    }
  cell = ms_text_printable (fields[index], -1);
  point = strchr (cell, '.');
  if (point != NULL && point > cell && point[1] != '\0'
      && strspn (point + 1, "0") == strlen (point + 1))
    return ms_import_fail (error, self->source.name, line,
                           "'%s' is no integer between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT
                           ": whole numbers are written without a point, %.*s",
                           cell, least, most, (int) (point - cell), cell);
  return ms_import_fail (error, self->source.name, line,
                         "'%s' is no integer between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT,
                         cell, least, most);
}

static gboolean
read_real (const CsvSource *self, const char *cell, guint line, float *value, GError **error)
{
  static const double powers[]
      = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
  gboolean minus = *cell == '-';
  gint64 digits;
  guint behind;
  double number;
  char *end;

  /* Numbers and powers of ten below 2^53 are exact, so their quotient is rounded as strtod rounds. */
  if (*read_digits (cell + minus, &digits, &behind, TRUE) == '\0')
    {
      number = (double) digits / powers[behind];
      *value = (float) (minus ? -number : number);
      return TRUE;
    }
  number = g_ascii_strtod (cell, &end);
  if (end == cell || *end != '\0' || !(fabs (number) <= (double) G_MAXFLOAT))
    {
      g_autofree char *clean = ms_text_printable (cell, -1);

      return ms_import_fail (error, self->source.name, line, "'%s' is no finite number", clean);
    }
  *value = (float) number;
  return TRUE;
}

/* The column's cell as a number; *value stays when the file has no such column. */
static gboolean
read_column (const CsvSource *self, const char *const *fields, guint line, Column column,
             float *value, GError **error)
{
  int index = self->at[column];

  if (index < 0 || (column == COLUMN_LOSS && *fields[index] == '\0'))
    return TRUE;
  return read_real (self, fields[index], line, value, error);
}

static gboolean
read_values (CsvSource *self, const char *const *fields, MsRecord *record, GError **error)
{
  record->values = (const float *) (void *) self->values->data;
  record->n_values = self->values->len;
  for (guint i = 0; i < self->values->len; i++)
    if (!read_real (self, fields[self->at[COLUMN_FIRST] + (int) i], record->line,
                    &g_array_index (self->values, float, i), error))
      return FALSE;
  return TRUE;
}

static void
read_labels (CsvSource *self, const char *const *fields, MsRecord *record)
{
  static const struct
  {
    Column column;
    const char *name;
  } names[] = { { COLUMN_DOMAIN, "domain" },
                { COLUMN_LANGUAGE, "language" },
                { COLUMN_PARALLEL, "parallel" },
                { COLUMN_PHASE, "phase" } };

  record->labels = self->labels;
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (self->at[names[i].column] >= 0 && *fields[self->at[names[i].column]] != '\0')
      self->labels[record->n_labels++]
          = (MsRecordLabel){ names[i].name, fields[self->at[names[i].column]] };
}

/* --- Rows ------------------------------------------------------------------------------------ */

static gboolean
read_decision (CsvSource *self, const char *const *fields, MsRecord *record, GError **error)
{
  gint32 valid, dropped;

  if (!read_int (self, fields, record->line, COLUMN_RANK, 0, MS_MAX_EXPERTS - 1, 0, &record->rank,
                 error)
      || !read_int (self, fields, record->line, COLUMN_EXPERT, 0, MS_MAX_EXPERTS - 1, 0,
                    &record->expert, error)
      || !read_int (self, fields, record->line, COLUMN_DROPPED, 0, 1, 0, &dropped, error)
      || !read_int (self, fields, record->line, COLUMN_VALID, 0, 1, 1, &valid, error)
      || !read_int (self, fields, record->line, COLUMN_TOKEN_ID, 0, G_MAXINT32, -1,
                    &record->token_id, error)
      || !read_column (self, fields, record->line, COLUMN_WEIGHT, &record->weight, error)
      || !read_column (self, fields, record->line, COLUMN_NORM, &record->norm, error))
    return FALSE;
  record->dropped = dropped;
  record->valid = valid;
  read_labels (self, fields, record);
  return TRUE;
}

static gboolean
read_row (CsvSource *self, const char *const *fields, MsRecord *record, GError **error)
{
  guint line = record->line;

  if (!read_int (self, fields, line, COLUMN_TOKEN, 0, G_MAXINT32 - 1, 0, &record->token, error)
      || !read_int (self, fields, line, COLUMN_LAYER, 0, 1000000, 0, &record->layer, error))
    return FALSE;
  switch (self->kind)
    {
    case MS_RECORD_DECISION:
      return read_decision (self, fields, record, error);
    case MS_RECORD_SCORES:
      return read_values (self, fields, record, error);
    case MS_RECORD_SCORE:
      return read_int (self, fields, line, COLUMN_EXPERT, 0, MS_MAX_EXPERTS - 1, 0, &record->expert,
                       error)
             && read_column (self, fields, line, COLUMN_LOGIT, &record->value, error);
    case MS_RECORD_OUTCOME:
      return read_int (self, fields, line, COLUMN_EXPERT, 0, MS_MAX_EXPERTS - 1, 0, &record->expert,
                       error)
             && read_column (self, fields, line, COLUMN_OUTCOME, &record->value, error);
    case MS_RECORD_OUTPUT:
      return read_int (self, fields, line, COLUMN_EXPERT, 0, MS_MAX_EXPERTS - 1, 0, &record->expert,
                       error)
             && read_values (self, fields, record, error);
    case MS_RECORD_SIMILARITY:
      return read_column (self, fields, line, COLUMN_SIMILARITY, &record->value, error);
    case MS_RECORD_LABELS:
      read_labels (self, fields, record);
      return TRUE;
    default:
      return read_int (self, fields, line, COLUMN_TOKEN_ID, 0, G_MAXINT32, -1, &record->token_id,
                       error)
             && read_int (self, fields, line, COLUMN_PREDICTED, -1, G_MAXINT32, -1,
                          &record->predicted, error)
             && read_column (self, fields, line, COLUMN_LOSS, &record->loss, error);
    }
}

static gboolean
csv_next (MsSource *source, MsRecord *record, gboolean *more, GError **error)
{
  CsvSource *self = (CsvSource *) source;
  const char *const *fields;
  guint n, line;

  if (!ms_csv_reader_next (self->reader, &fields, &n, &line, error))
    return FALSE;
  *more = fields != NULL;
  if (fields == NULL)
    return TRUE;
  *record = (MsRecord){ .kind = self->kind,
                        .fields = self->fields,
                        .line = line,
                        .valid = TRUE,
                        .token_id = -1,
                        .predicted = -1,
                        .weight = NAN,
                        .loss = NAN };
  record->sequence = self->at[COLUMN_SEQUENCE] < 0 ? "0" : fields[self->at[COLUMN_SEQUENCE]];
  return read_row (self, fields, record, error);
}

/* --- The header ------------------------------------------------------------------------------ */

/* The index in `columns` of the column called so, -1 when it has no meaning. */
static int
find_column (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    if (strcmp (name, columns[i].name) == 0)
      return (int) i;
  return -1;
}

/* The values from e0 or h0 to the end of the row must be numbered without gaps. */
static gboolean
check_values (CsvSource *self, const char *const *fields, guint n, guint line, GError **error)
{
  int first = self->at[COLUMN_FIRST];
  guint n_values = first < 0 ? 0 : n - (guint) first;

  for (guint i = 0; i < n_values; i++)
    {
      const char *name = fields[first + (int) i];
      g_autofree char *expected = g_strdup_printf ("%c%u", fields[first][0], i);

      if (strcmp (name, expected) != 0)
        {
          g_autofree char *clean = ms_text_printable (name, -1);

          return ms_import_fail (error, self->source.name, line,
                                 "the column '%s' is expected, not '%s'", expected, clean);
        }
    }
  g_array_set_size (self->values, n_values);
  return TRUE;
}

/* Names a column that is not read, and which one was perhaps meant. */
static void
pass_over (CsvSource *self, const char *name, guint reads)
{
  const char *others[N_COLUMNS * 2 + 1];
  g_autofree char *clean = ms_text_printable (name, -1);
  const char *near;
  guint n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    if ((reads & (1u << columns[i].column)) && self->at[columns[i].column] < 0)
      others[n++] = columns[i].name;
  others[n] = NULL;
  near = find_column (name) >= 0 ? NULL : ms_text_nearest (name, others);
  g_ptr_array_add (self->source.unused,
                   near == NULL ? g_strdup_printf ("'%s'", clean)
                                : g_strdup_printf ("'%s' (is '%s' meant?)", clean, near));
}

/* The first fields of a row as text for a message.  (transfer full) */
static char *
list_fields (const char *const *fields, guint n)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < MIN (n, 12); i++)
    g_string_append_printf (text, "%s%.40s", i > 0 ? "," : "", fields[i]);
  if (n > 12)
    g_string_append (text, ",...");
  return ms_text_printable (text->str, (gssize) text->len);
}

/* The kind of the rows from the columns that are there (bits), and what of them it reads. */
static gboolean
take_kind (CsvSource *self, const char *const *fields, guint n, guint line, guint there,
           GError **error)
{
  guint reads = 0;

  for (guint i = 0; i < G_N_ELEMENTS (kinds) && reads == 0; i++)
    if ((there & kinds[i].needs) == kinds[i].needs && (there & kinds[i].lacks) == 0)
      {
        self->kind = kinds[i].kind;
        reads = kinds[i].needs | kinds[i].further;
      }
  if (reads == 0)
    {
      g_autofree char *clean = list_fields (fields, n);

      return ms_import_fail (error, self->source.name, line,
                             "these columns are no trace; `moescope import --help` lists the forms "
                             "(found: %s)",
                             clean);
    }
  self->source.kinds = 1u << self->kind;
  for (guint i = 0; i < n && self->kind == MS_RECORD_OUTCOME; i++)
    if (strcmp (fields[i], "quality") == 0 || strcmp (fields[i], "cost") == 0)
      self->source.outcome = g_intern_string (fields[i]);
  for (guint i = 0; i < n && (self->at[COLUMN_FIRST] < 0 || i < (guint) self->at[COLUMN_FIRST]);
       i++)
    {
      int known = find_column (fields[i]);

      if (known >= 0 && columns[known].column == COLUMN_SILENT)
        continue;
      if (known < 0 || !(reads & (1u << columns[known].column)))
        pass_over (self, fields[i], reads);
      else
        self->fields |= columns[known].field;
    }
  for (guint i = 0; i < N_COLUMNS; i++)
    if (!(reads & (1u << i)))
      self->at[i] = -1;
  return TRUE;
}

static gboolean
read_header (CsvSource *self, GError **error)
{
  const char *const *fields;
  guint n, line, there = 0;

  if (!ms_csv_reader_next (self->reader, &fields, &n, &line, error))
    return FALSE;
  for (guint i = 0; i < N_COLUMNS; i++)
    self->at[i] = -1;
  if (n == 1 && strchr (fields[0], ';') != NULL)
    return ms_import_fail (error, self->source.name, line,
                           "the columns are separated by ';': write ',' between columns and '.' in "
                           "numbers (in pandas: sep=',', decimal='.')");
  for (guint i = 0; i < n && self->at[COLUMN_FIRST] < 0; i++)
    {
      int known = find_column (fields[i]);

      if (known < 0 || columns[known].column == COLUMN_SILENT)
        continue;
      if (self->at[columns[known].column] >= 0)
        return ms_import_fail (error, self->source.name, line, "the column '%s' is there twice",
                               fields[i]);
      self->at[columns[known].column] = (int) i;
      there |= 1u << columns[known].column;
    }
  return check_values (self, fields, n, line, error)
         && take_kind (self, fields, n, line, there, error);
}

static guint
csv_sniff (const char *head, gsize n, const char *name)
{
  gsize blank = 0;

  while (blank < n && g_ascii_isspace (head[blank]))
    blank++;
  if (blank < n && (head[blank] == '{' || head[blank] == '['))
    return 0;
  if (g_str_has_suffix (name, ".csv") || g_str_has_suffix (name, ".tsv"))
    return 60;
  return memchr (head, '\0', n) == NULL ? 20 : 0;
}

static void
csv_close (MsSource *source)
{
  CsvSource *self = (CsvSource *) source;

  ms_csv_reader_free (self->reader);
  g_array_unref (self->values);
  ms_source_clear (source);
  g_free (self);
}

static MsSource *
csv_open (MsFileReader *input, GError **error)
{
  CsvSource *self = g_new0 (CsvSource, 1);
  gsize n = 0;
  const char *head = ms_file_reader_head (input, &n, NULL);
  gsize width = 0;
  gboolean tabs;

  while (head != NULL && width < n && head[width] != '\n')
    width++;
  tabs = head != NULL && memchr (head, '\t', width) != NULL && memchr (head, ',', width) == NULL;
  self->source = (MsSource){ .format = &ms_format_csv,
                             .name = g_strdup (ms_file_reader_name (input)),
                             .unused = g_ptr_array_new_with_free_func (g_free) };
  self->values = g_array_new (FALSE, TRUE, sizeof (float));
  self->reader = ms_csv_reader_new (input, tabs ? '\t' : ',');
  if (read_header (self, error))
    return &self->source;
  csv_close (&self->source);
  return NULL;
}

const MsFormat ms_format_csv = {
  .about = {
    .name = "csv",
    .title = "CSV",
    .extensions = (const char *const[]){ "csv", "tsv", NULL },
    .help
    = "The header tells what a file holds, in any order of columns and rows:\n"
      "  decisions       sequence,token,layer,rank,expert,weight\n"
      "                  further columns: output_l2_norm, dropped, valid, token_id,\n"
      "                  dataset, language, parallel_id, phase\n"
      "  router scores   sequence,token,layer,e0,e1,...  or  sequence,token,layer,expert,logit\n"
      "  expert outputs  sequence,token,layer,expert,h0,h1,...\n"
      "  outcomes        sequence,token,layer,expert,quality  (or cost, outcome), where known\n"
      "  similarities    sequence,token,layer,similarity\n"
      "  token ids       sequence,token,token_id,predicted_token_id,loss\n"
      "  labels          sequence,dataset,language,parallel_id,phase\n"
      "Sequences become documents; 'document' and 'position' may stand for 'sequence' and\n"
      "'token', so what `moescope export RUN.db routing` writes is read back.  Tokens, ranks\n"
      "and experts count from 0.  A row with valid = 0 is padding: its token is no token.\n"
      "Columns that are not read are named.  Columns may also be separated by tabs.\n",
  },
  .sniff = csv_sniff,
  .open = csv_open,
  .next = csv_next,
  .close = csv_close,
};
