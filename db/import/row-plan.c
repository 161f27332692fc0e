/* Named columns become records.  A column has its meaning from its name or from --map; one that has none is a
 * label of the tokens or documents it stands beside, or is named as not read, never passed over in silence: a
 * misspelt one would lose what it holds. */
#include "row-plan-private.h"

#include <math.h>
#include <string.h>

/* The columns with a meaning. */
typedef enum
{
  COLUMN_SEQUENCE,
  COLUMN_UNIT,
  COLUMN_TOKEN,
  COLUMN_LAYER,
  COLUMN_RANK,
  COLUMN_EXPERT,
  COLUMN_EXPERTS, /* a list of experts, best first, or a list of such lists, one for each token */
  COLUMN_WEIGHT,
  COLUMN_WEIGHTS,
  COLUMN_NORM,
  COLUMN_DROPPED,
  COLUMN_VALID,
  COLUMN_CHOSEN,
  COLUMN_SIMILARITY,
  COLUMN_LOGIT,
  COLUMN_OUTCOME,
  COLUMN_COUNT,
  COLUMN_TOKEN_ID,
  COLUMN_PREDICTED,
  COLUMN_LOSS,
  COLUMN_TEXT, /* of a token: what its id says, too */
  COLUMN_LABEL,
  COLUMN_FIRST,  /* e0 or h0: the rest of the row are values */
  COLUMN_SILENT, /* what `moescope export` writes beside and import makes anew */
  N_COLUMNS
} Column;

#define BIT(column) (1u << COLUMN_##column)

/* The names that columns have in files. */
static const struct
{
  const char *name;
  Column column;
  const char *label; /* of a label: its name */
} words[] = {
  { "sequence", COLUMN_SEQUENCE, NULL },
  { "document", COLUMN_SEQUENCE, NULL },
  { "req_id", COLUMN_SEQUENCE, NULL },
  { "request_id", COLUMN_SEQUENCE, NULL },
  { "seq_id", COLUMN_SEQUENCE, NULL },
  { "sequence_id", COLUMN_SEQUENCE, NULL },
  { "doc_id", COLUMN_SEQUENCE, NULL },
  { "document_id", COLUMN_SEQUENCE, NULL },
  { "problem_id", COLUMN_SEQUENCE, NULL },
  { "prompt_id", COLUMN_SEQUENCE, NULL },
  { "sample_id", COLUMN_SEQUENCE, NULL },
  { "unit", COLUMN_UNIT, NULL },
  { "token", COLUMN_TOKEN, NULL },
  { "position", COLUMN_TOKEN, NULL },
  { "pos", COLUMN_TOKEN, NULL },
  { "token_idx", COLUMN_TOKEN, NULL },
  { "token_pos", COLUMN_TOKEN, NULL },
  { "token_index", COLUMN_TOKEN, NULL },
  { "token_position", COLUMN_TOKEN, NULL },
  { "layer", COLUMN_LAYER, NULL },
  { "stage", COLUMN_LAYER, NULL },
  { "layer_idx", COLUMN_LAYER, NULL },
  { "layer_id", COLUMN_LAYER, NULL },
  { "layer_index", COLUMN_LAYER, NULL },
  { "moe_layer", COLUMN_LAYER, NULL },
  { "moe_layer_index", COLUMN_LAYER, NULL },
  { "rank", COLUMN_RANK, NULL },
  { "slot", COLUMN_RANK, NULL },
  { "expert", COLUMN_EXPERT, NULL },
  { "destination", COLUMN_EXPERT, NULL },
  { "expert_id", COLUMN_EXPERT, NULL },
  { "expert_idx", COLUMN_EXPERT, NULL },
  { "expert_index", COLUMN_EXPERT, NULL },
  { "experts", COLUMN_EXPERTS, NULL },
  { "topk_ids", COLUMN_EXPERTS, NULL },
  { "topk_experts", COLUMN_EXPERTS, NULL },
  { "top_experts", COLUMN_EXPERTS, NULL },
  { "topk_indices", COLUMN_EXPERTS, NULL },
  { "top_indices", COLUMN_EXPERTS, NULL },
  { "topk_idx", COLUMN_EXPERTS, NULL },
  { "expert_ids", COLUMN_EXPERTS, NULL },
  { "expert_indices", COLUMN_EXPERTS, NULL },
  { "selected_experts", COLUMN_EXPERTS, NULL },
  { "weight", COLUMN_WEIGHT, NULL },
  { "gate_weight", COLUMN_WEIGHT, NULL },
  { "weights", COLUMN_WEIGHTS, NULL },
  { "topk_weights", COLUMN_WEIGHTS, NULL },
  { "gate_weights", COLUMN_WEIGHTS, NULL },
  { "expert_weights", COLUMN_WEIGHTS, NULL },
  { "gating_probs", COLUMN_WEIGHTS, NULL },
  { "output_l2_norm", COLUMN_NORM, NULL },
  { "dropped", COLUMN_DROPPED, NULL },
  { "valid", COLUMN_VALID, NULL },
  { "chosen", COLUMN_CHOSEN, NULL },
  { "similarity", COLUMN_SIMILARITY, NULL },
  { "logit", COLUMN_LOGIT, NULL },
  { "score", COLUMN_LOGIT, NULL },
  { "outcome", COLUMN_OUTCOME, NULL },
  { "quality", COLUMN_OUTCOME, NULL },
  { "cost", COLUMN_OUTCOME, NULL },
  { "count", COLUMN_COUNT, NULL },
  { "selection_count", COLUMN_COUNT, NULL },
  { "token_id", COLUMN_TOKEN_ID, NULL },
  { "predicted_token_id", COLUMN_PREDICTED, NULL },
  { "predicted_id", COLUMN_PREDICTED, NULL },
  { "loss", COLUMN_LOSS, NULL },
  { "text", COLUMN_TEXT, NULL },
  { "dataset", COLUMN_LABEL, "domain" },
  { "domain", COLUMN_LABEL, "domain" },
  { "language", COLUMN_LABEL, "language" },
  { "parallel_id", COLUMN_LABEL, "parallel" },
  { "parallel", COLUMN_LABEL, "parallel" },
  { "phase", COLUMN_LABEL, "phase" },
  { "e0", COLUMN_FIRST, NULL },
  { "h0", COLUMN_FIRST, NULL },
  { "run", COLUMN_SILENT, NULL },
  { "first_token", COLUMN_SILENT, NULL },
  { "tokens", COLUMN_SILENT, NULL },
  { "share", COLUMN_SILENT, NULL },
};

/* What a record tells besides its kind when it has such a column. */
static const guint fields[N_COLUMNS] = {
  [COLUMN_LAYER] = MS_FIELD_LAYER,       [COLUMN_RANK] = MS_FIELD_RANK,
  [COLUMN_EXPERTS] = MS_FIELD_RANK,      [COLUMN_WEIGHT] = MS_FIELD_WEIGHT,
  [COLUMN_WEIGHTS] = MS_FIELD_WEIGHT,    [COLUMN_NORM] = MS_FIELD_NORM,
  [COLUMN_DROPPED] = MS_FIELD_DROPPED,   [COLUMN_VALID] = MS_FIELD_VALID,
  [COLUMN_TOKEN_ID] = MS_FIELD_TOKEN_ID, [COLUMN_PREDICTED] = MS_FIELD_PREDICTED,
  [COLUMN_LOSS] = MS_FIELD_LOSS,
};

#define BESIDE_DECISIONS                                                                           \
  (BIT (SEQUENCE) | BIT (UNIT) | BIT (LAYER) | BIT (WEIGHT) | BIT (WEIGHTS) | BIT (NORM)           \
   | BIT (DROPPED) | BIT (VALID) | BIT (CHOSEN) | BIT (TOKEN_ID) | BIT (LABEL))
#define PLACE (BIT (SEQUENCE) | BIT (UNIT) | BIT (LAYER))

/* What the columns must be for rows to be of a kind, the first match counts, and which of them it reads.  A unit
 * is as good as a token. */
static const struct
{
  MsRecordKind kind;
  guint needs, lacks, further; /* bits of Column */
} kinds[] = {
  { MS_RECORD_COUNT, BIT (EXPERT) | BIT (COUNT), BIT (TOKEN) | BIT (RANK),
    BIT (SEQUENCE) | BIT (LAYER) | BIT (LABEL) },
  { MS_RECORD_DECISION, BIT (TOKEN) | BIT (EXPERTS), 0, BESIDE_DECISIONS },
  { MS_RECORD_DECISION, BIT (TOKEN) | BIT (RANK) | BIT (EXPERT), 0, BESIDE_DECISIONS },
  { MS_RECORD_DECISION, BIT (TOKEN) | BIT (EXPERT) | BIT (WEIGHT), 0, BESIDE_DECISIONS },
  { MS_RECORD_DECISION, BIT (TOKEN) | BIT (EXPERT) | BIT (CHOSEN), 0, BESIDE_DECISIONS },
  { MS_RECORD_SCORE, BIT (TOKEN) | BIT (EXPERT) | BIT (LOGIT), 0, PLACE },
  { MS_RECORD_OUTCOME, BIT (TOKEN) | BIT (EXPERT) | BIT (OUTCOME), 0, PLACE },
  { MS_RECORD_OUTPUT, BIT (TOKEN) | BIT (EXPERT) | BIT (FIRST), 0, PLACE },
  { MS_RECORD_SCORES, BIT (TOKEN) | BIT (FIRST), 0, PLACE },
  { MS_RECORD_SIMILARITY, BIT (TOKEN) | BIT (SIMILARITY), 0, PLACE },
  { MS_RECORD_DECISION, BIT (TOKEN) | BIT (EXPERT), 0, BESIDE_DECISIONS },
  { MS_RECORD_TOKEN, BIT (TOKEN) | BIT (TOKEN_ID), BIT (EXPERT),
    BIT (SEQUENCE) | BIT (UNIT) | BIT (PREDICTED) | BIT (LOSS) | BIT (TEXT) | BIT (LABEL) },
  { MS_RECORD_LABELS, BIT (TOKEN) | BIT (LABEL), BIT (EXPERT), BIT (SEQUENCE) | BIT (UNIT) },
  { MS_RECORD_LABELS, BIT (SEQUENCE), BIT (TOKEN) | BIT (EXPERT) | BIT (EXPERTS), BIT (LABEL) },
  /* One after the other: positions are counted, and ranks, --top-k to a token. */
  { MS_RECORD_DECISION, BIT (LAYER) | BIT (EXPERTS), BIT (TOKEN), BESIDE_DECISIONS },
  { MS_RECORD_DECISION, BIT (LAYER) | BIT (EXPERT), BIT (TOKEN) | BIT (RANK), BESIDE_DECISIONS },
};

/* A column that is a label. */
typedef struct
{
  guint at;
  const char *name;   /* interned */
  gboolean automatic; /* nobody said that it is one */
} LabelColumn;

struct MsRowPlan
{
  const MsImportOptions *options;
  MsSource *source;
  MsRecordKind kind;
  guint fields;
  gboolean outcomes, scores;            /* stand beside decisions */
  gboolean named_layers, named_experts; /* cells are names */
  gboolean counted;                     /* no positions: rows of a layer follow each other */
  int at[N_COLUMNS];                    /* index of the column, -1 = absent or not read */
  GArray *sequences;                    /* of guint: columns that name the sequence */
  GArray *labels;                       /* of LabelColumn */
  /* The row being given. */
  const char *const *cells;
  MsRecord record;      /* what all its records have in common */
  GArray *values;       /* of float: scores, or elements of an output */
  GArray *experts;      /* of gint32: of a list */
  GArray *weights;      /* of float, as long, or empty */
  GArray *tokens;       /* of guint: where in `experts` the list of each token ends */
  guint next, token;    /* of `experts`, of `tokens` */
  guint stage;          /* 0: decisions, 1: outcome, 2: score, 3: all are given */
  GString *sequence;    /* name put together */
  GHashTable *selected; /* sequence and layer -> rows, when positions are counted */
  MsRecordLabel *given; /* labels of the row */
};

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

static gboolean
fail_int (const MsRowPlan *self, const char *text, gint64 least, gint64 most, GError **error)
{
  g_autofree char *cell = ms_text_printable (text, -1);
  const char *point = strchr (cell, '.');

  if (point != NULL && point > cell && point[1] != '\0'
      && strspn (point + 1, "0") == strlen (point + 1))
    return ms_import_fail (error, self->source->name, self->record.line,
                           "'%s' is no integer between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT
                           ": whole numbers are written without a point, %.*s",
                           cell, least, most, (int) (point - cell), cell);
  return ms_import_fail (error, self->source->name, self->record.line,
                         "'%s' is no integer between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT,
                         cell, least, most);
}

/* The column's cell as an integer in least..most; `otherwise` when the file has no such column. */
static gboolean
read_int (const MsRowPlan *self, Column column, gint64 least, gint64 most, gint32 otherwise,
          gint32 *value, GError **error)
{
  int index = self->at[column];
  gint64 number = 0;
  const char *cell;
  guint behind;

  *value = otherwise;
  cell = index < 0 ? "" : self->cells[index];
  if (index < 0 || (*cell == '\0' && (column == COLUMN_PREDICTED || column == COLUMN_TOKEN_ID)))
    return TRUE;
  if ((*read_digits (cell, &number, &behind, FALSE) == '\0' && number >= least && number <= most)
      || g_ascii_string_to_signed (cell, 10, least, most, &number, NULL))
    {
      *value = (gint32) number;
      return TRUE;
    }
  return fail_int (self, cell, MAX (least, 0), most, error);
}

static gboolean
read_real (const MsRowPlan *self, const char *cell, float *value, GError **error)
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

      return ms_import_fail (error, self->source->name, self->record.line,
                             "'%s' is no finite number", clean);
    }
  *value = (float) number;
  return TRUE;
}

/* The column's cell as a number; *value stays when the file has no such column. */
static gboolean
read_column (const MsRowPlan *self, Column column, float *value, GError **error)
{
  int index = self->at[column];

  if (index < 0 || (column == COLUMN_LOSS && *self->cells[index] == '\0'))
    return TRUE;
  return read_real (self, self->cells[index], value, error);
}

static gboolean
read_values (MsRowPlan *self, GError **error)
{
  self->record.values = (const float *) (void *) self->values->data;
  self->record.n_values = self->values->len;
  for (guint i = 0; i < self->values->len; i++)
    if (!read_real (self, self->cells[self->at[COLUMN_FIRST] + (int) i],
                    &g_array_index (self->values, float, i), error))
      return FALSE;
  return TRUE;
}

/* The numbers of a list such as "[3, 7]", "3 7", "3;7", or of a list of lists, whose ends go to `ends`. */
static gboolean
read_list (const MsRowPlan *self, const char *cell, GArray *numbers, gboolean whole, GArray *ends,
           GError **error)
{
  const char *at = cell + strspn (cell, " \t");
  gboolean nested = at[0] == '[' && at[1 + strspn (at + 1, " \t")] == '[';

  while (*at != '\0')
    {
      gsize n;
      char word[64];

      if (strchr (" \t,;|[](){}", *at) != NULL)
        {
          guint end = numbers->len;

          if (nested && ends != NULL && *at == ']'
              && (at[1 + strspn (at + 1, " \t")] == ']' || at[1 + strspn (at + 1, " \t")] == ','))
            g_array_append_val (ends, end);
          at++;
          continue;
        }
      n = strcspn (at, " \t,;|[](){}");
      if (n >= sizeof word)
        return ms_import_fail (error, self->source->name, self->record.line,
                               "the list has an element that is no number");
      memcpy (word, at, n);
      word[n] = '\0';
      at += n;
      if (whole)
        {
          gint64 number;
          gint32 expert;

          if (!g_ascii_string_to_signed (word, 10, -1, MS_MAX_EXPERTS - 1, &number, NULL))
            return fail_int (self, word, 0, MS_MAX_EXPERTS - 1, error);
          expert = (gint32) number;
          g_array_append_val (numbers, expert);
        }
      else
        {
          float number;

          if (!read_real (self, word, &number, error))
            return FALSE;
          g_array_append_val (numbers, number);
        }
    }
  if (!nested && ends != NULL)
    g_array_append_val (ends, numbers->len);
  return TRUE;
}

/* The labels of the row. */
static void
read_labels (MsRowPlan *self)
{
  self->record.labels = self->given;
  for (guint i = 0; i < self->labels->len; i++)
    {
      const LabelColumn *label = &g_array_index (self->labels, LabelColumn, i);

      if (*self->cells[label->at] != '\0')
        self->given[self->record.n_labels++]
            = (MsRecordLabel){ label->name, self->cells[label->at], label->automatic };
    }
}

/* --- Rows ------------------------------------------------------------------------------------ */

/* The lists of experts and weights of a row. */
static gboolean
read_lists (MsRowPlan *self, GError **error)
{
  g_array_set_size (self->experts, 0);
  g_array_set_size (self->weights, 0);
  g_array_set_size (self->tokens, 0);
  if (self->at[COLUMN_EXPERTS] < 0)
    return TRUE;
  if (!read_list (self, self->cells[self->at[COLUMN_EXPERTS]], self->experts, TRUE, self->tokens,
                  error)
      || (self->at[COLUMN_WEIGHTS] >= 0
          && !read_list (self, self->cells[self->at[COLUMN_WEIGHTS]], self->weights, FALSE, NULL,
                         error)))
    return FALSE;
  if (self->weights->len > 0 && self->weights->len != self->experts->len)
    return ms_import_fail (error, self->source->name, self->record.line,
                           "there are %u weights for %u experts", self->weights->len,
                           self->experts->len);
  return TRUE;
}

static gboolean
read_decision (MsRowPlan *self, GError **error)
{
  MsRecord *record = &self->record;
  gint32 valid, dropped, chosen;

  read_labels (self);
  if (!read_lists (self, error)
      || !read_int (self, COLUMN_RANK, 0, MS_MAX_EXPERTS - 1, 0, &record->rank, error)
      || !read_int (self, COLUMN_DROPPED, 0, 1, 0, &dropped, error)
      || !read_int (self, COLUMN_VALID, 0, 1, 1, &valid, error)
      || !read_int (self, COLUMN_CHOSEN, 0, 1, 1, &chosen, error)
      || !read_int (self, COLUMN_TOKEN_ID, 0, G_MAXINT32, -1, &record->token_id, error)
      || !read_column (self, COLUMN_WEIGHT, &record->weight, error)
      || !read_column (self, COLUMN_NORM, &record->norm, error))
    return FALSE;
  record->dropped = dropped;
  record->valid = valid;
  if (!chosen)
    self->stage = 1;
  return TRUE;
}

/* Position, and rank where the row has one expert, of a row that tells neither: rows of a sequence at a layer follow
 * each other. */
static gboolean
count_row (MsRowPlan *self, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%s %d", self->record.sequence, self->record.layer);
  guint k = self->options->k, n;

  if (k == 0 && self->at[COLUMN_EXPERTS] < 0)
    return ms_import_fail (error, self->source->name, self->record.line,
                           "the rows tell no positions: give with --top-k how many rows a token "
                           "has at a layer, or name the column of positions with --map "
                           "token=COLUMN");
  n = GPOINTER_TO_UINT (g_hash_table_lookup (self->selected, key));
  if (self->at[COLUMN_EXPERTS] >= 0)
    {
      self->record.token = (gint32) n;
      n += self->tokens->len;
    }
  else
    {
      self->record.token = (gint32) (n / k);
      self->record.rank = (gint32) (n++ % k);
    }
  g_hash_table_insert (self->selected, g_steal_pointer (&key), GUINT_TO_POINTER (n));
  return TRUE;
}

/* The expert of the row: its number, or its name. */
static gboolean
read_expert (MsRowPlan *self, GError **error)
{
  if (self->at[COLUMN_EXPERT] < 0)
    return TRUE;
  if (self->named_experts)
    {
      self->record.expert_name = self->cells[self->at[COLUMN_EXPERT]];
      return *self->record.expert_name != '\0'
             || ms_import_fail (error, self->source->name, self->record.line,
                                "the name of the destination is empty");
    }
  return read_int (self, COLUMN_EXPERT, self->kind == MS_RECORD_DECISION ? -1 : 0,
                   MS_MAX_EXPERTS - 1, 0, &self->record.expert, error);
}

/* Sequence, token and layer of the row. */
static gboolean
read_place (MsRowPlan *self, GError **error)
{
  MsRecord *record = &self->record;
  int unit = self->at[COLUMN_UNIT];
  gint64 number;

  record->sequence = "0";
  if (self->sequences->len == 1)
    record->sequence = self->cells[g_array_index (self->sequences, guint, 0)];
  else if (self->sequences->len > 1)
    {
      g_string_truncate (self->sequence, 0);
      for (guint i = 0; i < self->sequences->len; i++)
        g_string_append_printf (self->sequence, "%s%s", i > 0 ? "/" : "",
                                self->cells[g_array_index (self->sequences, guint, i)]);
      record->sequence = self->sequence->str;
    }
  if (!read_int (self, COLUMN_TOKEN, 0, G_MAXINT32 - 1, 0, &record->token, error))
    return FALSE;
  /* A unit without a document of several is a document of its own. */
  if (unit >= 0 && self->sequences->len == 0)
    record->sequence = self->cells[unit];
  else if (unit >= 0 && self->at[COLUMN_TOKEN] < 0)
    {
      if (!g_ascii_string_to_signed (self->cells[unit], 10, 0, G_MAXINT32 - 1, &number, NULL))
        return fail_int (self, self->cells[unit], 0, G_MAXINT32 - 1, error);
      record->token = (gint32) number;
    }
  if (self->at[COLUMN_LAYER] >= 0 && self->named_layers)
    {
      record->layer_name = self->cells[self->at[COLUMN_LAYER]];
      return *record->layer_name != '\0'
             || ms_import_fail (error, self->source->name, record->line,
                                "the name of the stage is empty");
    }
  return read_int (self, COLUMN_LAYER, 0, 1000000, 0, &record->layer, error);
}

static gboolean
read_row (MsRowPlan *self, GError **error)
{
  if (!read_place (self, error) || !read_expert (self, error))
    return FALSE;
  switch (self->kind)
    {
    case MS_RECORD_DECISION:
      return read_decision (self, error) && (!self->counted || count_row (self, error))
             && (!self->outcomes || *self->cells[self->at[COLUMN_OUTCOME]] == '\0'
                 || read_column (self, COLUMN_OUTCOME, &self->record.value, error));
    case MS_RECORD_COUNT:
      read_labels (self);
      self->record.count = g_ascii_strtoull (self->cells[self->at[COLUMN_COUNT]], NULL, 10);
      return g_ascii_string_to_unsigned (self->cells[self->at[COLUMN_COUNT]], 10, 0, G_MAXINT64,
                                         &self->record.count, NULL)
             || fail_int (self, self->cells[self->at[COLUMN_COUNT]], 0, G_MAXINT64, error);
    case MS_RECORD_SCORES:
      return read_values (self, error);
    case MS_RECORD_SCORE:
      return read_column (self, COLUMN_LOGIT, &self->record.value, error);
    case MS_RECORD_OUTCOME:
      return read_column (self, COLUMN_OUTCOME, &self->record.value, error);
    case MS_RECORD_OUTPUT:
      return read_values (self, error);
    case MS_RECORD_SIMILARITY:
      return read_column (self, COLUMN_SIMILARITY, &self->record.value, error);
    case MS_RECORD_LABELS:
      read_labels (self);
      return TRUE;
    default:
      read_labels (self);
      return read_int (self, COLUMN_TOKEN_ID, 0, G_MAXINT32, -1, &self->record.token_id, error)
             && read_int (self, COLUMN_PREDICTED, -1, G_MAXINT32, -1, &self->record.predicted,
                          error)
             && read_column (self, COLUMN_LOSS, &self->record.loss, error);
    }
}

gboolean
ms_row_plan_take (MsRowPlan *self, const char *const *cells, guint line, GError **error)
{
  self->cells = cells;
  self->next = self->token = self->stage = 0;
  self->record = (MsRecord){ .kind = self->kind,
                             .fields = self->fields,
                             .line = line,
                             .valid = TRUE,
                             .token_id = -1,
                             .predicted = -1,
                             .value = NAN,
                             .weight = NAN,
                             .loss = NAN };
  return read_row (self, error);
}

/* The next expert of the row's lists. */
static gboolean
give_listed (MsRowPlan *self, MsRecord *record)
{
  guint begin;

  while (self->token < self->tokens->len
         && self->next == g_array_index (self->tokens, guint, self->token))
    self->token++;
  if (self->next == self->experts->len)
    return FALSE;
  begin = self->token > 0 ? g_array_index (self->tokens, guint, self->token - 1) : 0;
  record->token += (gint32) self->token;
  record->rank = (gint32) (self->next - begin);
  record->expert = g_array_index (self->experts, gint32, self->next);
  if (self->weights->len > 0)
    record->weight = g_array_index (self->weights, float, self->next);
  self->next++;
  return TRUE;
}

gboolean
ms_row_plan_give (MsRowPlan *self, MsRecord *record, gboolean *more, GError **error)
{
  *record = self->record;
  *more = TRUE;
  if (self->stage == 0)
    {
      gboolean given = TRUE;

      if (self->at[COLUMN_EXPERTS] >= 0 && self->kind == MS_RECORD_DECISION)
        given = give_listed (self, record);
      else
        self->stage = 1;
      if (given && record->expert < 0)
        {
          record->valid = FALSE;
          record->fields |= MS_FIELD_VALID | MS_FIELD_SENTINEL;
        }
      if (given)
        return TRUE;
      self->stage = 1;
    }
  if (self->stage == 1)
    {
      self->stage = 2;
      record->kind = MS_RECORD_OUTCOME;
      if (self->outcomes && !isnan (record->value))
        return TRUE;
    }
  if (self->stage == 2)
    {
      self->stage = 3;
      record->kind = MS_RECORD_SCORE;
      if (self->scores)
        return read_column (self, COLUMN_LOGIT, &record->value, error);
    }
  *more = FALSE;
  return TRUE;
}

/* --- The columns ----------------------------------------------------------------------------- */

/* The index in `words` of the column called so, -1 when it has no meaning. */
static int
find_word (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (strcmp (name, words[i].name) == 0)
      return (int) i;
  return -1;
}

gboolean
ms_row_plan_knows (const char *name)
{
  return find_word (name) >= 0;
}

/* The values from e0 or h0 to the end of the row must be numbered without gaps. */
static gboolean
check_values (MsRowPlan *self, const char *const *names, guint n, guint line, GError **error)
{
  int first = self->at[COLUMN_FIRST];
  guint n_values = first < 0 ? 0 : n - (guint) first;

  for (guint i = 0; i < n_values; i++)
    {
      const char *name = names[first + (int) i];
      g_autofree char *expected = g_strdup_printf ("%c%u", names[first][0], i);

      if (strcmp (name, expected) != 0)
        {
          g_autofree char *clean = ms_text_printable (name, -1);

          return ms_import_fail (error, self->source->name, line,
                                 "the column '%s' is expected, not '%s'", expected, clean);
        }
    }
  g_array_set_size (self->values, n_values);
  return TRUE;
}

/* The first names as text for a message.  (transfer full) */
static char *
list_names (const char *const *names, guint n)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < MIN (n, 12); i++)
    g_string_append_printf (text, "%s%.40s", i > 0 ? "," : "", names[i]);
  if (n > 12)
    g_string_append (text, ",...");
  return ms_text_printable (text->str, (gssize) text->len);
}

/* Says that the columns are no trace, and which --map would make them one: columns without a meaning are taken for
 * what is missing, as an example. */
static gboolean
fail_columns (const MsRowPlan *self, const char *const *names, guint n, guint line, guint there,
              GError **error)
{
  static const struct
  {
    guint column;
    const char *role;
  } roles[]
      = { { BIT (TOKEN) | BIT (UNIT), "token" }, { BIT (EXPERT) | BIT (EXPERTS), "destination" } };
  g_autofree char *clean = list_names (names, n);
  g_autoptr (GString) example = g_string_new (NULL);
  guint next = 0;

  for (guint i = 0; i < G_N_ELEMENTS (roles); i++)
    {
      const char *name = NULL;

      if (there & roles[i].column)
        continue;
      while (next < n && name == NULL)
        {
          if (find_word (names[next]) < 0)
            name = names[next];
          next++;
        }
      g_string_append_printf (example, "%s%s=%.40s", example->len > 0 ? "," : "", roles[i].role,
                              name != NULL ? name : "COLUMN");
    }
  {
    g_autofree char *shown = ms_text_printable (example->str, -1);

    return ms_import_fail (error, self->source->name, line,
                           "these columns are no trace: say what they mean, for example with --map "
                           "%s; `moescope import --help` lists the forms (found: %s)",
                           *shown != '\0' ? shown : "token=COLUMN", clean);
  }
}

/* Names a column that is not read, and which one was perhaps meant. */
static void
pass_over (MsRowPlan *self, const char *name, const char *near)
{
  g_autofree char *clean = ms_text_printable (name, -1);

  g_ptr_array_add (self->source->unused,
                   near == NULL ? g_strdup_printf ("'%s'", clean)
                                : g_strdup_printf ("'%s' (is '%s' meant?)", clean, near));
}

static void
add_label (MsRowPlan *self, guint at, const char *name, gboolean automatic)
{
  LabelColumn label = { at, g_intern_string (name), automatic };

  g_array_append_val (self->labels, label);
}

/* A column that the kind does not read: a label, or one that is named. */
static void
take_other (MsRowPlan *self, const char *name, guint at, guint reads)
{
  const char *others[G_N_ELEMENTS (words) + 1];
  const char *near;
  guint n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if ((reads & (1u << words[i].column)) && self->at[words[i].column] < 0)
      others[n++] = words[i].name;
  others[n] = NULL;
  near = find_word (name) >= 0 ? NULL : ms_text_nearest (name, others);
  if ((reads & BIT (LABEL)) && near == NULL && *name != '\0')
    add_label (self, at, name, TRUE);
  else
    pass_over (self, name, near);
}

/* The kind of the rows from the columns that are there (bits), and what of them it reads. */
static gboolean
take_kind (MsRowPlan *self, const char *const *names, guint n, guint line, guint there,
           const guint8 *meanings, GError **error)
{
  guint reads = 0, found = there | (there & BIT (UNIT) ? BIT (TOKEN) : 0);
  gboolean mapped = self->options->map != NULL && *self->options->map != '\0';

  for (guint i = 0; i < G_N_ELEMENTS (kinds) && reads == 0; i++)
    if ((found & kinds[i].needs) == kinds[i].needs && (found & kinds[i].lacks) == 0)
      {
        self->kind = kinds[i].kind;
        reads = kinds[i].needs | kinds[i].further | (kinds[i].further & BIT (UNIT));
        self->counted = self->kind == MS_RECORD_DECISION && !(found & BIT (TOKEN));
      }
  if (reads == 0)
    return fail_columns (self, names, n, line, there, error);
  self->source->kinds = 1u << self->kind;
  if (self->kind == MS_RECORD_DECISION && mapped && (there & BIT (OUTCOME)))
    {
      self->outcomes = TRUE;
      self->source->kinds |= 1u << MS_RECORD_OUTCOME;
      reads |= BIT (OUTCOME);
    }
  if (self->kind == MS_RECORD_DECISION && mapped && (there & BIT (LOGIT)))
    {
      self->scores = TRUE;
      self->source->kinds |= 1u << MS_RECORD_SCORE;
      reads |= BIT (LOGIT);
    }
  for (guint i = 0; i < n && (self->at[COLUMN_FIRST] < 0 || i < (guint) self->at[COLUMN_FIRST]);
       i++)
    {
      guint column = meanings[i];

      if (column == COLUMN_SILENT || column == COLUMN_LABEL)
        continue;
      if (column == N_COLUMNS || !(reads & (1u << column)))
        take_other (self, names[i], i, reads);
      else
        self->fields |= fields[column];
    }
  self->source->counted = self->counted;
  if (self->counted)
    self->fields |= MS_FIELD_RANK;
  if (self->kind == MS_RECORD_LABELS && self->at[COLUMN_TOKEN] >= 0)
    self->fields |= MS_FIELD_TOKEN;
  if (!(reads & BIT (LABEL)))
    {
      for (guint i = 0; i < self->labels->len; i++)
        pass_over (self, names[g_array_index (self->labels, LabelColumn, i).at], NULL);
      g_array_set_size (self->labels, 0);
    }
  for (guint i = 0; i < N_COLUMNS; i++)
    if (!(reads & (1u << i)))
      self->at[i] = -1;
  return TRUE;
}

/* --- What --map says ------------------------------------------------------------------------- */

/* The words that --map has besides the names of columns. */
static const struct
{
  const char *name;
  Column column;
  gboolean named; /* cells are names of stages or destinations */
} roles[] = {
  { "stage", COLUMN_LAYER, TRUE },   { "destination", COLUMN_EXPERT, TRUE },
  { "none", COLUMN_SILENT, FALSE },  { "label", COLUMN_LABEL, FALSE },
  { "loss", COLUMN_OUTCOME, FALSE }, { "token_loss", COLUMN_LOSS, FALSE },
};

static const char *const outcome_kinds[] = { "quality", "cost", "loss" };

/* One ROLE=COLUMN; `meanings` (n) of the columns called `names`. */
static gboolean
map_one (MsRowPlan *self, const char *part, const char *const *names, guint n, guint8 *meanings,
         gboolean *found, GError **error)
{
  const char *equal = strchr (part, '=');
  g_autofree char *role = g_strndup (part, equal != NULL ? (gsize) (equal - part) : 0);
  Column column = N_COLUMNS;
  const char *label = NULL;
  gboolean named = FALSE;
  guint at = 0;

  if (g_str_has_prefix (role, "label:") && role[strlen ("label:")] != '\0')
    {
      column = COLUMN_LABEL;
      label = role + strlen ("label:");
    }
  for (guint i = 0; i < G_N_ELEMENTS (words) && column == N_COLUMNS; i++)
    if (strcmp (role, words[i].name) == 0 && words[i].column < COLUMN_FIRST)
      {
        column = words[i].column;
        label = words[i].label;
      }
  for (guint i = 0; i < G_N_ELEMENTS (roles); i++)
    if (strcmp (role, roles[i].name) == 0)
      {
        column = roles[i].column;
        named = roles[i].named;
        label = NULL;
      }
  if (equal == NULL || column == N_COLUMNS)
    return ms_import_fail (error, "--map", 0,
                           "'%s' is not ROLE=COLUMN with a role that there is: unit, document, "
                           "token, stage, layer, rank, destination, expert, experts, weight, "
                           "weights, score, quality, cost, loss, outcome, chosen, count, valid, "
                           "token_id, language, domain, parallel, phase, label or none",
                           part);
  while (at < n && strcmp (names[at], equal + 1) != 0)
    at++;
  if (at == n)
    return TRUE;
  *found = TRUE;
  meanings[at] = (guint8) column;
  if (column == COLUMN_LABEL)
    {
      add_label (self, at, label != NULL ? label : names[at], FALSE);
      return TRUE;
    }
  self->named_layers |= named && column == COLUMN_LAYER;
  self->named_experts |= named && column == COLUMN_EXPERT;
  if (named && column == COLUMN_EXPERT)
    self->source->destination = g_intern_string (names[at]);
  if (column == COLUMN_SEQUENCE)
    g_array_append_val (self->sequences, at);
  else if (self->at[column] >= 0 && column != COLUMN_SILENT)
    return ms_import_fail (error, "--map", 0, "the role '%s' is given twice", role);
  if (column == COLUMN_UNIT && strcmp (names[at], "unit") != 0)
    self->source->unit = g_intern_string (names[at]);
  self->at[column] = (int) at;
  for (guint i = 0; i < G_N_ELEMENTS (outcome_kinds) && column == COLUMN_OUTCOME; i++)
    if (strcmp (role, outcome_kinds[i]) == 0
        || (strcmp (role, "outcome") == 0 && strcmp (names[at], outcome_kinds[i]) == 0))
      self->source->outcome = outcome_kinds[i];
  return TRUE;
}

/* What --map says of these columns.  A file that has none of the mapped columns is read without it; one that has
 * some must have all. */
static gboolean
take_map (MsRowPlan *self, const char *const *names, guint n, guint line, guint8 *meanings,
          GError **error)
{
  g_auto (GStrv) parts = g_strsplit (self->options->map != NULL ? self->options->map : "", ",", -1);
  g_autofree char *missing = NULL;
  gboolean any = FALSE;

  for (guint i = 0; parts[i] != NULL; i++)
    {
      gboolean found = FALSE;

      if (*parts[i] == '\0')
        continue;
      if (!map_one (self, parts[i], names, n, meanings, &found, error))
        return FALSE;
      any |= found;
      if (!found && missing == NULL)
        missing = g_strdup (strchr (parts[i], '=') + 1);
    }
  if (any && missing != NULL)
    {
      g_autofree char *clean = list_names (names, n);

      return ms_import_fail (error, self->source->name, line,
                             "there is no column '%s' that --map names (found: %s)", missing,
                             clean);
    }
  return TRUE;
}

/* Gives the columns that --map leaves their meaning by name. */
static gboolean
take_words (MsRowPlan *self, const char *const *names, guint n, guint line, guint8 *meanings,
            GError **error)
{
  guint mapped = 0;

  for (guint i = 0; i < N_COLUMNS; i++)
    mapped |= self->at[i] >= 0 ? 1u << i : 0;
  for (guint i = 0; i < n && self->at[COLUMN_FIRST] < 0; i++)
    {
      int word = meanings[i] == N_COLUMNS ? find_word (names[i]) : -1;
      Column column = word < 0 ? N_COLUMNS : words[word].column;

      if (word < 0 || (column < COLUMN_SILENT && (mapped & (1u << column)))
          || (column == COLUMN_TOKEN && (mapped & BIT (UNIT)))
          || (column == COLUMN_SEQUENCE && (mapped & BIT (UNIT)) && self->sequences->len == 0))
        continue;
      meanings[i] = (guint8) column;
      if (column == COLUMN_LABEL)
        add_label (self, i, words[word].label, FALSE);
      if (column == COLUMN_SILENT || column == COLUMN_LABEL)
        continue;
      if (self->at[column] >= 0)
        return ms_import_fail (error, self->source->name, line, "the column '%s' is there twice",
                               names[i]);
      self->at[column] = (int) i;
      self->named_layers |= strcmp (names[i], "stage") == 0;
      self->named_experts |= strcmp (names[i], "destination") == 0;
      if (column == COLUMN_OUTCOME && strcmp (names[i], "outcome") != 0)
        self->source->outcome = g_intern_string (names[i]);
      if (column == COLUMN_SEQUENCE)
        {
          /* A problem's number says only together with its data set which problem it is. */
          for (guint j = 0; j < n && strcmp (names[i], "problem_id") == 0; j++)
            if (strcmp (names[j], "dataset") == 0)
              g_array_append_val (self->sequences, j);
          g_array_append_val (self->sequences, i);
        }
    }
  return TRUE;
}

MsRowPlan *
ms_row_plan_new (const MsImportOptions *options, MsSource *source, const char *const *names,
                 guint n, guint line, GError **error)
{
  MsRowPlan *self = g_new0 (MsRowPlan, 1);
  g_autofree guint8 *meanings = g_new (guint8, n + 1);
  guint there = 0;

  self->options = options;
  self->source = source;
  self->values = g_array_new (FALSE, TRUE, sizeof (float));
  self->experts = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->weights = g_array_new (FALSE, FALSE, sizeof (float));
  self->tokens = g_array_new (FALSE, FALSE, sizeof (guint));
  self->sequences = g_array_new (FALSE, FALSE, sizeof (guint));
  self->labels = g_array_new (FALSE, FALSE, sizeof (LabelColumn));
  self->sequence = g_string_new (NULL);
  self->stage = 3;
  self->selected = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  memset (meanings, N_COLUMNS, n + 1);
  for (guint i = 0; i < N_COLUMNS; i++)
    self->at[i] = -1;
  if (take_map (self, names, n, line, meanings, error)
      && take_words (self, names, n, line, meanings, error)
      && check_values (self, names, n, line, error))
    {
      for (guint i = 0; i < N_COLUMNS; i++)
        there |= self->at[i] >= 0 ? 1u << i : 0;
      there |= self->labels->len > 0 ? BIT (LABEL) : 0;
      if (there & BIT (EXPERTS) && self->at[COLUMN_WEIGHTS] < 0)
        {
          self->at[COLUMN_WEIGHTS] = self->at[COLUMN_WEIGHT]; /* a list beside a list */
          self->at[COLUMN_WEIGHT] = -1;
        }
      if (take_kind (self, names, n, line, there, meanings, error))
        {
          self->given = g_new (MsRecordLabel, self->labels->len + 1);
          return self;
        }
    }
  ms_row_plan_free (self);
  return NULL;
}

void
ms_row_plan_free (MsRowPlan *self)
{
  if (self == NULL)
    return;
  g_array_unref (self->values);
  g_array_unref (self->experts);
  g_array_unref (self->weights);
  g_array_unref (self->tokens);
  g_array_unref (self->sequences);
  g_array_unref (self->labels);
  g_string_free (self->sequence, TRUE);
  g_hash_table_unref (self->selected);
  g_free (self->given);
  g_free (self);
}
