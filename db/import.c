/* Traces of other programs as CSV.  Every file becomes rows of one shape; rows are sorted, checked to be
 * complete and free of repetitions, and only then laid out as dense arrays and written.
 *
 * A row that is wrong is named by its line.  Nothing is guessed that would change a number: what is
 * assumed (the number of experts, say) is told in a note. */
#include "db.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* What a file holds, told from its header. */
typedef enum
{
  KIND_DECISIONS, /* sequence,token,layer,rank,expert,weight[,output_l2_norm][,dropped][,valid][,token_id] */
  KIND_SCORES,     /* sequence,token,layer,e0,e1,... */
  KIND_LONG,       /* sequence,token,[layer,]expert,logit */
  KIND_OUTPUTS,    /* sequence,token,[layer,]expert,h0,h1,... */
  KIND_SIMILARITY, /* sequence,token,layer,similarity: of block input and output */
  KIND_TOKENS,     /* sequence,token,token_id[,predicted_token_id][,loss] */
  KIND_SEQUENCES,  /* sequence[,dataset][,language][,parallel_id][,phase] */
  N_KINDS
} Kind;

/* The columns with a meaning; others are passed over. */
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
  COLUMN_TOKEN_ID,
  COLUMN_PREDICTED,
  COLUMN_LOSS,
  COLUMN_DOMAIN,
  COLUMN_LANGUAGE,
  COLUMN_PARALLEL,
  COLUMN_PHASE,
  COLUMN_FIRST, /* e0 or h0: the rest of the row are values */
  N_COLUMNS
} Column;

static const struct
{
  const char *name;
  Column column;
} column_names[] = {
  { "sequence", COLUMN_SEQUENCE },
  { "document", COLUMN_SEQUENCE },
  { "token", COLUMN_TOKEN },
  { "position", COLUMN_TOKEN },
  { "layer", COLUMN_LAYER },
  { "rank", COLUMN_RANK },
  { "expert", COLUMN_EXPERT },
  { "weight", COLUMN_WEIGHT },
  { "output_l2_norm", COLUMN_NORM },
  { "dropped", COLUMN_DROPPED },
  { "valid", COLUMN_VALID },
  { "similarity", COLUMN_SIMILARITY },
  { "logit", COLUMN_LOGIT },
  { "token_id", COLUMN_TOKEN_ID },
  { "predicted_token_id", COLUMN_PREDICTED },
  { "predicted_id", COLUMN_PREDICTED },
  { "loss", COLUMN_LOSS },
  { "dataset", COLUMN_DOMAIN },
  { "domain", COLUMN_DOMAIN },
  { "language", COLUMN_LANGUAGE },
  { "parallel_id", COLUMN_PARALLEL },
  { "parallel", COLUMN_PARALLEL },
  { "phase", COLUMN_PHASE },
  { "e0", COLUMN_FIRST },
  { "h0", COLUMN_FIRST },
};

/* One row of any file. */
typedef struct
{
  guint32 sequence;
  gint32 token, layer, slot; /* slot: rank, expert, or 0 */
  guint32 line;
  gint32 value;  /* expert, token id, or index of the scores */
  gint32 second; /* predicted id, or 1 for a dropped assignment */
  float a, b;    /* weight and norm, logit, norm and peak, similarity, or loss */
} Row;

typedef struct
{
  const char *path; /* NULL = none */
  GArray *rows;     /* of Row */
  gboolean has[N_COLUMNS];
} Table;

typedef struct
{
  const MsImportOptions *options;
  Table tables[N_KINDS];
  GHashTable *sequences; /* name -> number + 1 */
  GPtrArray *documents;  /* of MsDocument, by number */
  guint n_scores;        /* per row, 0 = no scores file */
  GArray *scores;        /* of float, n_scores for each row */
  GArray *layers;        /* of gint32, ascending */
  GPtrArray *notes;
} Import;

/* The file being read. */
typedef struct
{
  Import *import;
  Kind kind;
  const char *path;
  int at[N_COLUMNS]; /* index of the column, -1 = absent */
  guint n_values;    /* columns from COLUMN_FIRST on */
  gint32 first_layer;
  gboolean begun; /* the header is read */
} Source;

static gboolean G_GNUC_PRINTF (4, 5)
    fail (GError **error, const char *path, guint line, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  if (line > 0)
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE, "%s, line %u: %s", path, line, message);
  else
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE, "%s: %s", path, message);
  return FALSE;
}

static void G_GNUC_PRINTF (2, 3) note (Import *import, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (import->notes, g_strdup_vprintf (format, args));
  va_end (args);
}

/* --- Reading rows --------------------------------------------------------------------------- */

/* The column's cell as an integer in least..most; `otherwise` when the file has no such column. */
static gboolean
read_int (const Source *source, const char *const *fields, guint line, Column column, gint64 least,
          gint64 most, gint32 otherwise, gint32 *value, GError **error)
{
  int index = source->at[column];
  gint64 number = 0;

  *value = otherwise;
  if (index < 0 || (*fields[index] == '\0' && column == COLUMN_PREDICTED))
    return TRUE;
  if (!g_ascii_string_to_signed (fields[index], 10, least, most, &number, NULL))
    {
      g_autofree char *cell = ms_text_printable (fields[index], -1);

      return fail (error, source->path, line,
                   "'%s' is no integer between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT, cell,
                   least, most);
    }
  *value = (gint32) number;
  return TRUE;
}

static gboolean
read_real (const Source *source, const char *cell, guint line, float *value, GError **error)
{
  char *end;
  double number = g_ascii_strtod (cell, &end);

  if (end == cell || *end != '\0' || !(fabs (number) <= (double) G_MAXFLOAT))
    {
      g_autofree char *clean = ms_text_printable (cell, -1);

      return fail (error, source->path, line, "'%s' is no finite number", clean);
    }
  *value = (float) number;
  return TRUE;
}

/* The number of the sequence; new ones are added while the first file is read. */
static gboolean
read_sequence (const Source *source, const char *const *fields, guint line, guint32 *number,
               GError **error)
{
  Import *import = source->import;
  const char *name = source->at[COLUMN_SEQUENCE] < 0 ? "0" : fields[source->at[COLUMN_SEQUENCE]];
  gpointer known = g_hash_table_lookup (import->sequences, name);
  g_autofree char *clean = NULL;

  if (known != NULL)
    {
      *number = GPOINTER_TO_UINT (known) - 1;
      return TRUE;
    }
  clean = ms_text_printable (name, -1);
  if (source->kind != KIND_DECISIONS
      && !(source->kind <= KIND_LONG && import->tables[KIND_DECISIONS].path == NULL))
    return fail (error, source->path, line, "sequence '%s' has no decisions", clean);
  if (strcmp (clean, name) != 0 || *name == '\0')
    return fail (error, source->path, line, "'%s' is no name of a sequence", clean);
  *number = import->documents->len;
  g_ptr_array_add (import->documents, g_new0 (MsDocument, 1));
  ((MsDocument *) import->documents->pdata[*number])->name = g_steal_pointer (&clean);
  g_hash_table_insert (import->sequences, ((MsDocument *) import->documents->pdata[*number])->name,
                       GUINT_TO_POINTER (*number + 1));
  return TRUE;
}

static void
set_label (const Source *source, const char *const *fields, Column column, char **label)
{
  if (source->at[column] >= 0 && *fields[source->at[column]] != '\0')
    {
      g_free (*label);
      *label = ms_text_printable (fields[source->at[column]], -1);
    }
}

static void
take_labels (Source *source, const char *const *fields, guint32 number)
{
  MsDocument *document = source->import->documents->pdata[number];

  set_label (source, fields, COLUMN_DOMAIN, &document->domain);
  set_label (source, fields, COLUMN_LANGUAGE, &document->language);
  set_label (source, fields, COLUMN_PARALLEL, &document->parallel);
  set_label (source, fields, COLUMN_PHASE, &document->phase);
}

static gboolean
take_decision (Source *source, const char *const *fields, guint line, Row *row, GError **error)
{
  Table *table = &source->import->tables[KIND_DECISIONS];
  Table *tokens = &source->import->tables[KIND_TOKENS];
  guint most = source->import->options->n_experts > 0 ? source->import->options->n_experts
                                                      : MS_MAX_EXPERTS;
  gint32 valid, id;

  row->a = 1;
  if (!read_int (source, fields, line, COLUMN_RANK, 0, MS_MAX_EXPERTS - 1, 0, &row->slot, error)
      || !read_int (source, fields, line, COLUMN_EXPERT, 0, most - 1, 0, &row->value, error)
      || !read_int (source, fields, line, COLUMN_DROPPED, 0, 1, 0, &row->second, error)
      || !read_int (source, fields, line, COLUMN_VALID, 0, 1, 1, &valid, error)
      || (source->at[COLUMN_WEIGHT] >= 0
          && !read_real (source, fields[source->at[COLUMN_WEIGHT]], line, &row->a, error))
      || (source->at[COLUMN_NORM] >= 0
          && !read_real (source, fields[source->at[COLUMN_NORM]], line, &row->b, error)))
    return FALSE;
  if (!valid)
    row->value = -1;
  g_array_append_vals (table->rows, row, 1);
  if (source->at[COLUMN_TOKEN_ID] < 0 || *fields[source->at[COLUMN_TOKEN_ID]] == '\0'
      || (tokens->path != NULL && tokens->path != source->path))
    return TRUE;
  /* The id is repeated for every layer and rank: taken once. */
  if (!read_int (source, fields, line, COLUMN_TOKEN_ID, 0, G_MAXINT32, 0, &id, error))
    return FALSE;
  if (row->slot == 0 && row->layer == source->first_layer)
    {
      Row token = { row->sequence, row->token, 0, 0, line, id, -1, NAN, 0 };

      tokens->path = source->path;
      g_array_append_val (tokens->rows, token);
    }
  return TRUE;
}

static gboolean
take_scores (Source *source, const char *const *fields, guint line, Row *row, GError **error)
{
  Import *import = source->import;

  row->value = (gint32) (import->scores->len / import->n_scores);
  for (guint i = 0; i < import->n_scores; i++)
    {
      float value = 0;

      if (!read_real (source, fields[source->at[COLUMN_FIRST] + (int) i], line, &value, error))
        return FALSE;
      g_array_append_val (import->scores, value);
    }
  g_array_append_vals (import->tables[KIND_SCORES].rows, row, 1);
  return TRUE;
}

static gboolean
take_output (Source *source, const char *const *fields, guint line, Row *row, GError **error)
{
  double squares = 0;

  row->b = -G_MAXFLOAT;
  for (guint i = 0; i < source->n_values; i++)
    {
      float value = 0;

      if (!read_real (source, fields[source->at[COLUMN_FIRST] + (int) i], line, &value, error))
        return FALSE;
      squares += (double) value * (double) value;
      row->b = MAX (row->b, value);
    }
  row->a = (float) sqrt (squares);
  g_array_append_vals (source->import->tables[KIND_OUTPUTS].rows, row, 1);
  return TRUE;
}

static gboolean
take_row (const char *const *fields, guint n, guint line, gpointer data, GError **error)
{
  Source *source = data;
  Row row = { .line = line };

  (void) n;
  if (!source->begun) /* the header */
    {
      source->begun = TRUE;
      return TRUE;
    }
  if (!read_sequence (source, fields, line, &row.sequence, error))
    return FALSE;
  if (!read_int (source, fields, line, COLUMN_TOKEN, 0, G_MAXINT32 - 1, 0, &row.token, error)
      || !read_int (source, fields, line, COLUMN_LAYER, 0, 1000000, 0, &row.layer, error))
    return FALSE;
  if (source->first_layer < 0)
    source->first_layer = row.layer;
  switch (source->kind)
    {
    case KIND_DECISIONS:
      return take_decision (source, fields, line, &row, error);
    case KIND_SCORES:
      return take_scores (source, fields, line, &row, error);
    case KIND_LONG:
      if (!read_int (source, fields, line, COLUMN_EXPERT, 0, MS_MAX_EXPERTS - 1, 0, &row.slot,
                     error)
          || !read_real (source, fields[source->at[COLUMN_LOGIT]], line, &row.a, error))
        return FALSE;
      break;
    case KIND_SIMILARITY:
      if (!read_real (source, fields[source->at[COLUMN_SIMILARITY]], line, &row.a, error))
        return FALSE;
      break;
    case KIND_OUTPUTS:
      return read_int (source, fields, line, COLUMN_EXPERT, 0, MS_MAX_EXPERTS - 1, 0, &row.slot,
                       error)
             && take_output (source, fields, line, &row, error);
    case KIND_SEQUENCES:
      take_labels (source, fields, row.sequence);
      break;
    default:
      row.a = NAN;
      if (!read_int (source, fields, line, COLUMN_TOKEN_ID, 0, G_MAXINT32, -1, &row.value, error)
          || !read_int (source, fields, line, COLUMN_PREDICTED, -1, G_MAXINT32, -1, &row.second,
                        error)
          || (source->at[COLUMN_LOSS] >= 0 && *fields[source->at[COLUMN_LOSS]] != '\0'
              && !read_real (source, fields[source->at[COLUMN_LOSS]], line, &row.a, error)))
        return FALSE;
    }
  g_array_append_val (source->import->tables[source->kind].rows, row);
  return TRUE;
}

/* --- Files ---------------------------------------------------------------------------------- */

/* What the columns of each kind must be for a file to be of that kind; the first match counts. */
static const struct
{
  Kind kind;
  guint needs, lacks; /* bits of Column */
  const char *what;
} kinds[] = {
#define BIT(column) (1u << COLUMN_##column)
  { KIND_DECISIONS, BIT (TOKEN) | BIT (RANK) | BIT (EXPERT), 0, "decisions" },
  { KIND_LONG, BIT (TOKEN) | BIT (EXPERT) | BIT (LOGIT), 0, "router scores" },
  { KIND_OUTPUTS, BIT (TOKEN) | BIT (EXPERT) | BIT (FIRST), 0, "expert outputs" },
  { KIND_SCORES, BIT (TOKEN) | BIT (FIRST), 0, "router scores" },
  { KIND_SIMILARITY, BIT (TOKEN) | BIT (SIMILARITY), 0, "similarities" },
  { KIND_TOKENS, BIT (TOKEN) | BIT (TOKEN_ID), BIT (EXPERT), "token ids" },
  { KIND_SEQUENCES, BIT (SEQUENCE), BIT (TOKEN), "labels" },
};

static gboolean
take_header (const char *const *fields, guint n, guint line, gpointer data, GError **error)
{
  Source *source = data;
  guint there = 0;

  for (guint i = 0; i < N_COLUMNS; i++)
    source->at[i] = -1;
  for (guint i = 0; i < n && source->at[COLUMN_FIRST] < 0; i++)
    for (guint j = 0; j < G_N_ELEMENTS (column_names); j++)
      if (strcmp (fields[i], column_names[j].name) == 0)
        {
          Column column = column_names[j].column;

          if (source->at[column] >= 0)
            return fail (error, source->path, line, "the column '%s' is there twice", fields[i]);
          source->at[column] = (int) i;
          there |= 1u << column;
        }
  for (guint i = 0; source->at[COLUMN_FIRST] >= 0 && i < n - (guint) source->at[COLUMN_FIRST]; i++)
    {
      const char *name = fields[source->at[COLUMN_FIRST] + (int) i];
      g_autofree char *expected = g_strdup_printf ("%c%u", fields[source->at[COLUMN_FIRST]][0], i);

      if (strcmp (name, expected) != 0)
        return fail (error, source->path, line, "the column '%s' is expected, not '%s'", expected,
                     name);
      source->n_values = i + 1;
    }
  source->kind = N_KINDS;
  for (guint i = 0; i < G_N_ELEMENTS (kinds) && source->kind == N_KINDS; i++)
    if ((there & kinds[i].needs) == kinds[i].needs && (there & kinds[i].lacks) == 0)
      source->kind = kinds[i].kind;
  if (source->kind == N_KINDS)
    return fail (error, source->path, line,
                 "these columns are no trace; `moescope import --help` lists the forms");
  for (guint i = 0; i < N_COLUMNS; i++)
    source->import->tables[source->kind].has[i] = source->at[i] >= 0;
  return FALSE; /* enough */
}

static const char *
kind_name (Kind kind)
{
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (kinds[i].kind == kind)
      return kinds[i].what;
  return "";
}

/* Tells the kinds of the files from their headers, then reads them in the order of the kinds: decisions
 * first, for they say which sequences there are. */
static gboolean
read_files (Import *import, GError **error)
{
  guint n = g_strv_length ((char **) import->options->inputs);
  g_autofree Source *sources = g_new0 (Source, n);

  for (guint i = 0; i < n; i++)
    {
      Table *table;

      sources[i]
          = (Source){ .import = import, .path = import->options->inputs[i], .first_layer = -1 };
      if (!ms_csv_read (sources[i].path, take_header, &sources[i], error))
        return FALSE;
      table = &import->tables[sources[i].kind];
      if (table->path != NULL)
        return fail (error, sources[i].path, 0, "%s are already in %s; one file can hold them",
                     kind_name (sources[i].kind), table->path);
      table->path = sources[i].path;
    }
  if (import->tables[KIND_SCORES].path != NULL && import->tables[KIND_LONG].path != NULL)
    return fail (error, import->tables[KIND_LONG].path, 0, "router scores are already in %s",
                 import->tables[KIND_SCORES].path);
  if (import->tables[KIND_DECISIONS].path == NULL && import->tables[KIND_SCORES].path == NULL
      && import->tables[KIND_LONG].path == NULL)
    return fail (error, sources[0].path, 0, "neither decisions nor router scores are given");
  for (guint kind = 0; kind < N_KINDS; kind++)
    for (guint i = 0; i < n; i++)
      if (sources[i].kind == kind)
        {
          if (kind == KIND_SCORES)
            import->n_scores = sources[i].n_values;
          if (!ms_csv_read (sources[i].path, take_row, &sources[i], error))
            return FALSE;
          if (import->tables[kind].rows->len == 0)
            return fail (error, sources[i].path, 0, "there are no rows below the header");
        }
  return TRUE;
}

/* --- Order and completeness ----------------------------------------------------------------- */

static int
compare_rows (gconstpointer a, gconstpointer b)
{
  const Row *x = a, *y = b;

#define COMPARE(field)                                                                             \
  if (x->field != y->field)                                                                        \
  return x->field < y->field ? -1 : 1
  COMPARE (sequence);
  COMPARE (token);
  COMPARE (layer);
  COMPARE (slot);
#undef COMPARE
  return 0;
}

static gboolean
same_cell (const Row *a, const Row *b)
{
  return a->sequence == b->sequence && a->token == b->token && a->layer == b->layer;
}

/* Sorts by sequence, token, layer, slot; a repetition is an error. */
static gboolean
sort_rows (Table *table, GError **error)
{
  Row *rows = (Row *) (void *) table->rows->data;
  gboolean sorted = TRUE;

  for (guint i = 1; i < table->rows->len && sorted; i++)
    sorted = compare_rows (&rows[i - 1], &rows[i]) < 0;
  if (!sorted)
    g_array_sort (table->rows, compare_rows);
  for (guint i = 1; i < table->rows->len && !sorted; i++)
    if (compare_rows (&rows[i - 1], &rows[i]) == 0)
      return fail (error, table->path, rows[i].line, "this row repeats line %u", rows[i - 1].line);
  return TRUE;
}

static const char *
sequence_name (const Import *import, guint32 sequence)
{
  return ((const MsDocument *) import->documents->pdata[sequence])->name;
}

/* A file without a layer column speaks of the only layer. */
static gboolean
place_rows (Import *import, Table *table, GError **error)
{
  if (table->has[COLUMN_LAYER])
    return TRUE;
  if (import->layers->len > 1)
    return fail (error, table->path, 1, "a column 'layer' is needed: the trace has %u layers",
                 import->layers->len);
  for (guint i = 0; i < table->rows->len; i++)
    g_array_index (table->rows, Row, i).layer = g_array_index (import->layers, gint32, 0);
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
take_geometry (Import *import, const Table *table)
{
  g_autoptr (GHashTable) layers = g_hash_table_new (NULL, NULL);
  gint64 first = 0;

  for (guint i = 0; i < table->rows->len; i++)
    {
      const Row *row = &g_array_index (table->rows, Row, i);
      MsDocument *document = import->documents->pdata[row->sequence];

      document->n_tokens = MAX (document->n_tokens, row->token + 1);
      if (g_hash_table_add (layers, GINT_TO_POINTER (row->layer)))
        g_array_append_val (import->layers, row->layer);
    }
  g_array_sort (import->layers, compare_layers);
  for (guint i = 0; i < import->documents->len; i++)
    {
      MsDocument *document = import->documents->pdata[i];

      document->first_token = first;
      first += document->n_tokens;
    }
}

/* Whether sorted rows hold every token of every sequence in each of the layers (n). */
static gboolean
check_complete (const Import *import, const Table *table, const gint32 *layers, guint n,
                GError **error)
{
  Row next = { .layer = layers[0] };
  guint layer = 0;

  for (guint i = 0; i <= table->rows->len; i++)
    {
      const Row *row = i < table->rows->len ? &g_array_index (table->rows, Row, i) : NULL;
      gboolean ended = next.sequence == import->documents->len;
      Row cell = row != NULL ? *row : next;

      if (i > 0 && row != NULL && same_cell (row, row - 1))
        continue;
      cell.slot = 0;
      if (row == NULL && ended)
        return TRUE;
      if (row == NULL)
        return fail (error, table->path, 0, "sequence '%s', token %d, layer %d is missing",
                     sequence_name (import, next.sequence), next.token, next.layer);
      if (ended || compare_rows (&cell, &next) < 0)
        return fail (error, table->path, row->line,
                     "sequence '%s', token %d, layer %d has no decision",
                     sequence_name (import, row->sequence), row->token, row->layer);
      if (compare_rows (&cell, &next) > 0)
        return fail (error, table->path, row->line,
                     "sequence '%s', token %d, layer %d is missing before this row",
                     sequence_name (import, next.sequence), next.token, next.layer);
      if (++layer == n)
        {
          const MsDocument *document = import->documents->pdata[next.sequence];

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
widen_scores (Import *import, GError **error)
{
  Table *from = &import->tables[KIND_LONG], *to = &import->tables[KIND_SCORES];
  guint n = 0;

  if (from->path == NULL)
    return TRUE;
  for (guint i = 0; i < from->rows->len; i++)
    n = MAX (n, (guint) g_array_index (from->rows, Row, i).slot + 1);
  import->n_scores = n;
  to->path = from->path;
  memcpy (to->has, from->has, sizeof to->has);
  for (guint i = 0; i < from->rows->len; i++)
    {
      Row row = g_array_index (from->rows, Row, i);

      if ((guint) row.slot != i % n)
        return fail (error, from->path, row.line,
                     "expert %u of sequence '%s', token %d is missing before this row", i % n,
                     sequence_name (import, row.sequence), row.token);
      if (row.slot == 0)
        {
          row.value = (gint32) (import->scores->len / n);
          g_array_append_val (to->rows, row);
        }
      g_array_append_val (import->scores, row.a);
    }
  if (from->rows->len % n != 0)
    return fail (error, from->path, 0, "the last token has not %u scores", n);
  return TRUE;
}

/* Everything sorted, complete, and about the same tokens. */
static gboolean
arrange (Import *import, GError **error)
{
  Table *tables = import->tables;
  const Table *primary;
  const gint32 zero = 0;

  for (guint kind = 0; kind < N_KINDS; kind++)
    if (!sort_rows (&tables[kind], error))
      return FALSE;
  if (!widen_scores (import, error))
    return FALSE;
  primary = &tables[tables[KIND_DECISIONS].path != NULL ? KIND_DECISIONS : KIND_SCORES];
  take_geometry (import, primary);
  if (import->layers->len > 1 || g_array_index (import->layers, gint32, 0) > 0)
    for (guint kind = KIND_SCORES; kind <= KIND_SIMILARITY; kind++)
      if (tables[kind].path != NULL && !place_rows (import, &tables[kind], error))
        return FALSE;
  for (guint kind = 0; kind < N_KINDS; kind++)
    {
      const gint32 *layers = (const gint32 *) (void *) import->layers->data;
      gboolean layered = kind == KIND_DECISIONS || kind == KIND_SCORES || kind == KIND_SIMILARITY;

      if (tables[kind].path == NULL || (!layered && kind != KIND_TOKENS))
        continue;
      if (!check_complete (import, &tables[kind], layered ? layers : &zero,
                           layered ? import->layers->len : 1, error))
        return FALSE;
    }
  return TRUE;
}

/* --- Decisions as arrays -------------------------------------------------------------------- */

/* One layer over all T tokens. */
typedef struct
{
  guint16 *experts;                     /* (T, K) */
  float *weights;                       /* (T, K) */
  float *entropy, *margin, *similarity; /* (T) */
  float *logits;                        /* (T, E) */
  float *norms, *peaks;                 /* (T, K) */
  guint8 *dropped;                      /* (T, K) */
} Layer;

typedef struct
{
  Import *import;
  guint n_layers, n_experts, k;
  gint64 n_tokens;
  gboolean probabilities; /* the scores are those, not logits */
  MsGate gate;            /* of every layer */
  gboolean gated;         /* there are scores, and enough is known to judge them */
  guint columns;
  Layer *layers;
} Layout;

static void
layout_clear (Layout *layout)
{
  for (guint i = 0; i < layout->n_layers && layout->layers != NULL; i++)
    {
      Layer *layer = &layout->layers[i];

      g_free (layer->experts);
      g_free (layer->weights);
      g_free (layer->entropy);
      g_free (layer->margin);
      g_free (layer->similarity);
      g_free (layer->logits);
      g_free (layer->norms);
      g_free (layer->peaks);
      g_free (layer->dropped);
    }
  g_free (layout->layers);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Layout, layout_clear)

/* Names that begin so, or rows that sum to 1. */
static gboolean
are_probabilities (const Import *import)
{
  const Table *table = &import->tables[KIND_SCORES];
  g_autofree char *name = g_path_get_basename (table->path);

  if (import->options->scores != MS_IMPORT_SCORES_AUTO)
    return import->options->scores == MS_IMPORT_SCORES_PROBABILITIES;
  if (g_str_has_prefix (name, "prob"))
    return TRUE;
  for (guint i = 0; i < import->scores->len; i += import->n_scores)
    {
      double sum = 0;

      for (guint e = 0; e < import->n_scores; e++)
        {
          double score = (double) g_array_index (import->scores, float, i + e);

          if (score < 0)
            return FALSE;
          sum += score;
        }
      if (fabs (sum - 1) > 1e-3)
        return FALSE;
    }
  return TRUE;
}

static gboolean
size_up (Layout *layout, GError **error)
{
  Import *import = layout->import;
  const MsImportOptions *options = import->options;
  const Table *decisions = &import->tables[KIND_DECISIONS];
  guint largest = 0, most = 0, least = G_MAXUINT, used = 0;

  layout->n_layers = import->layers->len;
  for (guint i = 0; i < import->documents->len; i++)
    layout->n_tokens += ((const MsDocument *) import->documents->pdata[i])->n_tokens;
  for (guint i = 0; i < decisions->rows->len; i++)
    {
      const Row *row = &g_array_index (decisions->rows, Row, i);

      used = i > 0 && same_cell (row, row - 1) ? used + 1 : 1;
      if ((guint) row->slot + 1 != used)
        return fail (error, decisions->path, row->line, "rank %d stands where rank %u is expected",
                     row->slot, used - 1);
      if (options->k > 0 && used > options->k)
        return fail (error, decisions->path, row->line, "rank %d is not below --top-k %u",
                     row->slot, options->k);
      if (import->n_scores > 0 && row->value >= (gint32) import->n_scores)
        return fail (error, decisions->path, row->line, "there is no expert %d of %u", row->value,
                     import->n_scores);
      if (i + 1 == decisions->rows->len || !same_cell (row, row + 1))
        least = MIN (least, used);
      most = MAX (most, used);
      largest = MAX (largest, (guint) MAX (row->value, 0));
    }
  if (options->n_experts > 0 && import->n_scores > 0 && options->n_experts != import->n_scores)
    return fail (error, import->tables[KIND_SCORES].path, 1, "%u scores for --experts %u",
                 import->n_scores, options->n_experts);
  layout->n_experts = MAX (options->n_experts, import->n_scores);
  if (layout->n_experts == 0)
    {
      layout->n_experts = largest + 1;
      note (import,
            "the trace does not say how many experts there are: %u, the largest id and one, is "
            "assumed (--experts N)",
            layout->n_experts);
    }
  layout->k = options->k > 0 ? options->k : most;
  if (layout->k == 0)
    return fail (error, import->tables[KIND_SCORES].path, 0,
                 "the scores do not say how many experts a token goes to: give --top-k K");
  if (layout->k > layout->n_experts)
    return fail (error, import->options->inputs[0], 0, "%u of %u experts cannot be chosen",
                 layout->k, layout->n_experts);
  if (layout->n_experts > MS_MAX_EXPERTS)
    return fail (error, import->options->inputs[0], 0, "more than %u experts", MS_MAX_EXPERTS);
  if (decisions->path != NULL && least < layout->k)
    note (import, "tokens go to %u to %u experts", least, most);
  return TRUE;
}

/* Room for n floats in every layer; the size comes from the input, so it may be too much. */
static gboolean
reserve (const Layout *layout, gsize n, gsize size, gpointer *memory, GError **error)
{
  *memory = g_try_malloc0_n (n, size);
  return *memory != NULL
         || fail (error, layout->import->options->inputs[0], 0,
                  "not enough memory for %" G_GSIZE_FORMAT " values; import it in parts", n);
}

static gboolean
make_room (Layout *layout, GError **error)
{
  const Table *tables = layout->import->tables;
  gsize tokens = (gsize) layout->n_tokens, slots = tokens * layout->k;
  gboolean outputs = tables[KIND_OUTPUTS].path != NULL;

  layout->columns = MS_CHUNK_EXPERTS | MS_CHUNK_WEIGHTS;
  if (layout->import->n_scores > 0)
    layout->columns |= MS_CHUNK_LOGITS;
  if (layout->gated)
    layout->columns |= MS_CHUNK_ENTROPY | MS_CHUNK_MARGIN;
  if (outputs || tables[KIND_DECISIONS].has[COLUMN_NORM])
    layout->columns |= MS_CHUNK_NORMS;
  if (outputs)
    layout->columns |= MS_CHUNK_PEAKS;
  if (tables[KIND_SIMILARITY].path != NULL)
    layout->columns |= MS_CHUNK_SIMILARITY;
  if (tables[KIND_DECISIONS].has[COLUMN_DROPPED])
    layout->columns |= MS_CHUNK_DROPPED;
  layout->layers = g_new0 (Layer, layout->n_layers);
  for (guint i = 0; i < layout->n_layers; i++)
    {
      Layer *layer = &layout->layers[i];
      const struct
      {
        guint column;
        gsize n, size;
        gpointer *memory;
      } all[] = {
        { MS_CHUNK_EXPERTS, slots, sizeof (guint16), (gpointer *) &layer->experts },
        { MS_CHUNK_WEIGHTS, slots, sizeof (float), (gpointer *) &layer->weights },
        { MS_CHUNK_ENTROPY, tokens, sizeof (float), (gpointer *) &layer->entropy },
        { MS_CHUNK_MARGIN, tokens, sizeof (float), (gpointer *) &layer->margin },
        { MS_CHUNK_SIMILARITY, tokens, sizeof (float), (gpointer *) &layer->similarity },
        { MS_CHUNK_LOGITS, tokens * layout->n_experts, sizeof (float),
          (gpointer *) &layer->logits },
        { MS_CHUNK_NORMS, slots, sizeof (float), (gpointer *) &layer->norms },
        { MS_CHUNK_PEAKS, slots, sizeof (float), (gpointer *) &layer->peaks },
        { MS_CHUNK_DROPPED, slots, 1, (gpointer *) &layer->dropped },
      };

      for (guint j = 0; j < G_N_ELEMENTS (all); j++)
        if ((layout->columns & all[j].column)
            && !reserve (layout, all[j].n, all[j].size, all[j].memory, error))
          return FALSE;
      memset (layer->experts, 0xff, slots * sizeof (guint16));
    }
  return TRUE;
}

/* Norm and peak of the output of one expert. */
static gboolean
find_output (const Layout *layout, const Row *decision, Row *output, GError **error)
{
  const Table *table = &layout->import->tables[KIND_OUTPUTS];
  Row wanted = *decision;
  guint at;

  wanted.slot = decision->value;
  if (!g_array_binary_search (table->rows, &wanted, compare_rows, &at))
    return fail (error, table->path, 0,
                 "the output of expert %d at sequence '%s', token %d, layer %d is missing",
                 decision->value, sequence_name (layout->import, decision->sequence),
                 decision->token, decision->layer);
  *output = g_array_index (table->rows, Row, at);
  return TRUE;
}

/* The decisions as recorded: rows are sorted and complete, so cell follows cell. */
static gboolean
place_decisions (Layout *layout, GError **error)
{
  const Table *table = &layout->import->tables[KIND_DECISIONS];
  gsize cell = 0;
  guint used = 0;

  for (guint i = 0; i < table->rows->len; i++)
    {
      const Row *row = &g_array_index (table->rows, Row, i);
      Layer *layer;
      gsize first, at;

      if (row->slot == 0 && i > 0)
        {
          cell++;
          used = 0;
        }
      if (row->value < 0) /* not valid: the slot stays unused */
        continue;
      layer = &layout->layers[cell % layout->n_layers];
      first = cell / layout->n_layers * layout->k;
      at = first + used++;
      for (gsize j = first; j < at; j++)
        if (layer->experts[j] == row->value)
          return fail (error, table->path, row->line, "expert %d is already at rank %u", row->value,
                       (guint) (j - first));
      layer->experts[at] = (guint16) row->value;
      layer->weights[at] = row->a;
      if (layer->norms != NULL)
        layer->norms[at] = row->b;
      if (layer->dropped != NULL)
        layer->dropped[at] = (guint8) row->second;
      if (layer->peaks != NULL)
        {
          Row output = { 0 };

          if (!find_output (layout, row, &output, error))
            return FALSE;
          layer->peaks[at] = output.b;
          if (!table->has[COLUMN_NORM])
            layer->norms[at] = output.a;
        }
    }
  return TRUE;
}

/* --- Scores --------------------------------------------------------------------------------- */

/* The gate of all layers, and whether that is known which its entropies and margins need. */
static void
take_gate (Layout *layout)
{
  Import *import = layout->import;
  const MsImportOptions *options = import->options;
  gboolean decided = import->tables[KIND_DECISIONS].path != NULL;

  layout->gate = (MsGate){ .scoring = options->scoring,
                           .n_experts = layout->n_experts,
                           .k = layout->k,
                           .renormalise = options->renormalise,
                           .scale = 1 };
  if (options->scoring == MS_SCORING_UNKNOWN && !decided)
    {
      layout->gate.scoring = MS_SCORING_SOFTMAX;
      note (import, "the gate is taken as a softmax over all experts (--gating)");
    }
  layout->gated
      = import->n_scores > 0
        && (layout->probabilities || ms_gate_usable (&layout->gate, MS_GATE_CHOICE, NULL));
  if (import->n_scores > 0 && !layout->gated)
    note (import,
          "the model's gate is unknown, so router entropies and margins are not recorded: tell "
          "it with --gating");
}

/* Decides what was not recorded of one token: experts (K) and weights (K) unless `decided`; entropy and
 * margin.  recorded (E): logits or probabilities; scratch as ms_gate_scratch; p (E). */
static void
judge (const Layout *layout, const float *recorded, gboolean decided, float *scratch, double *p,
       MsDecision *decision)
{
  const MsGate *gate = &layout->gate;
  MsGate weights = *gate;
  guint n = gate->n_experts;
  float *selection = scratch + n;
  const float *scores = recorded;
  gboolean defined;

  if (layout->probabilities)
    ms_gate_distribution_of_scores (recorded, n, p);
  else
    {
      ms_gate_scores (gate, recorded, scratch);
      scores = scratch;
      ms_gate_distribution (gate, recorded, p);
    }
  defined = ms_gate_selection (gate, scores, selection);
  if (decided)
    decision->margin = ms_gate_margin (selection, n, decision->experts, gate->k);
  else
    {
      ms_gate_select (selection, n, gate->k, decision->experts, &decision->margin);
      if (layout->probabilities && gate->scoring == MS_SCORING_SELECTED)
        weights.scoring = MS_SCORING_SOFTMAX,
        weights.renormalise = TRUE; /* the same, of softmaxes */
      ms_gate_weigh (&weights, scores, decision->experts, gate->k, decision->weights);
    }
  if (!defined)
    decision->margin = NAN;
  decision->entropy = (float) ms_gate_entropy (p, n);
}

static void
place_scores (Layout *layout)
{
  const Import *import = layout->import;
  const Table *table = &import->tables[KIND_SCORES];
  gboolean decided = import->tables[KIND_DECISIONS].path != NULL;
  guint n = layout->n_experts;
  g_autofree float *scratch = g_new (float, ms_gate_scratch (&layout->gate));
  g_autofree double *p = g_new (double, n);

  for (guint i = 0; i < table->rows->len; i++)
    {
      const Row *row = &g_array_index (table->rows, Row, i);
      const float *scores
          = &g_array_index (import->scores, float, (gsize) row->value * import->n_scores);
      Layer *layer = &layout->layers[i % layout->n_layers];
      gsize token = i / layout->n_layers;
      MsDecision decision = { .experts = layer->experts + token * layout->k,
                              .weights = layer->weights + token * layout->k };

      memcpy (layer->logits + token * n, scores, n * sizeof *scores);
      if (!layout->gated)
        continue;
      judge (layout, scores, decided, scratch, p, &decision);
      layer->entropy[token] = decision.entropy;
      layer->margin[token] = decision.margin;
    }
}

/* --- Storing -------------------------------------------------------------------------------- */

static gboolean
store (Layout *layout, MsImportSummary *summary, GError **error)
{
  Import *import = layout->import;
  const GArray *tokens = import->tables[KIND_TOKENS].rows;
  gboolean ids_known = tokens->len > 0 && import->tables[KIND_TOKENS].path != NULL;
  gboolean predicted_known = import->tables[KIND_TOKENS].has[COLUMN_PREDICTED];
  gboolean loss_known = import->tables[KIND_TOKENS].has[COLUMN_LOSS];
  g_autofree char *base = g_path_get_basename (import->options->inputs[0]);
  g_autofree char *router
      = layout->gate.scoring != MS_SCORING_UNKNOWN ? ms_gate_describe (&layout->gate) : NULL;
  g_autofree MsLayer *layers = g_new0 (MsLayer, layout->n_layers);
  g_autofree MsDocument *documents = g_new0 (MsDocument, import->documents->len);
  g_autofree gint32 *ids = ids_known ? g_new (gint32, layout->n_tokens) : NULL;
  g_autofree gint32 *predicted = predicted_known ? g_new (gint32, layout->n_tokens) : NULL;
  g_autofree float *loss = loss_known ? g_new (float, layout->n_tokens) : NULL;
  g_autofree MsDecisions *blocks = g_new0 (MsDecisions, layout->n_layers);
  const char *name = import->options->name != NULL ? import->options->name : base;
  MsModel model = { .name = (char *) name,
                    .architecture = (char *) "imported",
                    .router = router,
                    .weight_scale = 1,
                    .n_layers = layout->n_layers,
                    .layers = layers };
  MsCorpus corpus = { .name = (char *) name,
                      .n_tokens = layout->n_tokens,
                      .n_documents = import->documents->len,
                      .documents = documents };
  MsRun run = { .id = -1,
                .name = (char *) name,
                .precision = (char *) "imported",
                .collector = (char *) "moescope " MS_VERSION " import",
                .command = (char *) import->options->command,
                .storage = MS_STORAGE_EXACT,
                .columns = layout->columns,
                .probabilities = layout->probabilities,
                .predictions = predicted_known || loss_known };
  g_autoptr (MsDb) db = NULL;
  g_autoptr (MsWriter) writer = NULL;

  for (guint i = 0; i < layout->n_layers; i++)
    layers[i] = (MsLayer){ g_array_index (import->layers, gint32, i), layout->gate };
  model.n_blocks = (guint) layers[layout->n_layers - 1].number + 1;
  for (guint i = 0; i < import->documents->len; i++)
    documents[i] = *(const MsDocument *) import->documents->pdata[i];
  for (guint i = 0; i < tokens->len; i++)
    {
      const Row *row = &g_array_index (tokens, Row, i);

      if (ids != NULL)
        ids[i] = row->value;
      if (predicted != NULL)
        predicted[i] = row->second;
      if (loss != NULL)
        loss[i] = row->a;
    }
  db = ms_db_open (import->options->output, MS_DB_CREATE, error);
  writer = db == NULL ? NULL : ms_writer_new (db, &model, &corpus, ids, &run, NULL, NULL, error);
  g_free (run.started);
  if (writer == NULL)
    return FALSE;
  for (gint64 first = 0; first < layout->n_tokens; first += MS_BLOCK_TOKENS)
    {
#define FROM(array, width) ((array) == NULL ? NULL : (array) + first * (width))
      for (guint i = 0; i < layout->n_layers; i++)
        {
          const Layer *layer = &layout->layers[i];

          blocks[i] = (MsDecisions){ FROM (layer->experts, layout->k),
                                     FROM (layer->weights, layout->k),
                                     FROM (layer->entropy, 1),
                                     FROM (layer->margin, 1),
                                     FROM (layer->logits, layout->n_experts),
                                     FROM (layer->norms, layout->k),
                                     FROM (layer->peaks, layout->k),
                                     FROM (layer->similarity, 1),
                                     FROM (layer->dropped, layout->k) };
        }
      if (!ms_writer_put_block (writer, blocks, FROM (predicted, 1), FROM (loss, 1), error))
        return FALSE;
#undef FROM
    }
  summary->run = run.id;
  summary->tokens = layout->n_tokens;
  summary->documents = import->documents->len;
  return ms_writer_finish (writer, error);
}

static void
document_free (gpointer data)
{
  MsDocument *document = data;

  g_free (document->name);
  g_free (document->language);
  g_free (document->domain);
  g_free (document->parallel);
  g_free (document->phase);
  g_free (document);
}

static gboolean
lay_out (Layout *layout, GError **error)
{
  Import *import = layout->import;
  const Table *similarity = &import->tables[KIND_SIMILARITY];

  if (!size_up (layout, error))
    return FALSE;
  if (import->n_scores > 0)
    {
      layout->probabilities = are_probabilities (import);
      note (import, "the scores are taken as %s (--scores)",
            layout->probabilities ? "probabilities" : "logits");
    }
  take_gate (layout);
  if (!make_room (layout, error) || !place_decisions (layout, error))
    return FALSE;
  if (import->n_scores > 0)
    place_scores (layout);
  if (similarity->path != NULL)
    for (guint i = 0; i < similarity->rows->len; i++)
      layout->layers[i % layout->n_layers].similarity[i / layout->n_layers]
          = g_array_index (similarity->rows, Row, i).a;
  return TRUE;
}

gboolean
ms_import (const MsImportOptions *options, MsImportSummary *summary, GError **error)
{
  Import import = { .options = options };
  g_auto (Layout) layout = { .import = &import };
  gboolean good;

  for (guint i = 0; i < N_KINDS; i++)
    import.tables[i].rows = g_array_new (FALSE, FALSE, sizeof (Row));
  import.sequences = g_hash_table_new (g_str_hash, g_str_equal);
  import.documents = g_ptr_array_new_with_free_func (document_free);
  import.scores = g_array_new (FALSE, FALSE, sizeof (float));
  import.layers = g_array_new (FALSE, FALSE, sizeof (gint32));
  import.notes = g_ptr_array_new_with_free_func (g_free);
  *summary = (MsImportSummary){ 0 };
  good = read_files (&import, error) && arrange (&import, error) && lay_out (&layout, error)
         && store (&layout, summary, error);
  for (guint i = 0; good && i < layout.n_layers; i++)
    for (gsize j = 0; j < (gsize) layout.n_tokens * layout.k; j++)
      summary->decisions += layout.layers[i].experts[j] != MS_NO_EXPERT;
  if (good)
    summary->notes = g_ptr_array_ref (import.notes);
  for (guint i = 0; i < N_KINDS; i++)
    g_array_unref (import.tables[i].rows);
  g_hash_table_unref (import.sequences);
  g_ptr_array_unref (import.documents);
  g_array_unref (import.scores);
  g_array_unref (import.layers);
  g_ptr_array_unref (import.notes);
  return good;
}

void
ms_import_summary_clear (MsImportSummary *summary)
{
  g_clear_pointer (&summary->notes, g_ptr_array_unref);
}
