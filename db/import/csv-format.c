/* CSV: the header tells what a file holds, in any order of columns; each row is one record or some (row-plan.c). */
#include "csv-private.h"
#include "row-plan-private.h"

#include <string.h>

typedef struct
{
  MsSource source;
  MsCsvReader *reader;
  MsRowPlan *plan;
} CsvSource;

static gboolean
csv_next (MsSource *source, MsRecord *record, gboolean *more, GError **error)
{
  CsvSource *self = (CsvSource *) source;
  const char *const *cells;
  guint n, line;

  while (TRUE)
    {
      if (!ms_row_plan_give (self->plan, record, more, error))
        return FALSE;
      if (*more)
        return TRUE;
      if (!ms_csv_reader_next (self->reader, &cells, &n, &line, error))
        return FALSE;
      if (cells == NULL)
        return TRUE;
      if (!ms_row_plan_take (self->plan, cells, line, error))
        return FALSE;
    }
}

static gboolean
read_header (CsvSource *self, const MsImportOptions *options, GError **error)
{
  const char *const *names;
  guint n, line;

  if (!ms_csv_reader_next (self->reader, &names, &n, &line, error))
    return FALSE;
  if (n == 1 && strchr (names[0], ';') != NULL)
    return ms_import_fail (error, self->source.name, line,
                           "the columns are separated by ';': write ',' between columns and '.' in "
                           "numbers (in pandas: sep=',', decimal='.')");
  self->plan = ms_row_plan_new (options, &self->source, names, n, line, error);
  return self->plan != NULL;
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
  ms_row_plan_free (self->plan);
  ms_source_clear (source);
  g_free (self);
}

static MsSource *
csv_open (MsFileReader *input, const MsImportOptions *options, GError **error)
{
  CsvSource *self = g_new0 (CsvSource, 1);
  gsize n = 0;
  const char *head = ms_file_reader_head (input, &n, NULL);
  gsize width = 0;
  gboolean tabs;

  while (head != NULL && width < n && head[width] != '\n')
    width++;
  tabs = head != NULL && memchr (head, '\t', width) != NULL && memchr (head, ',', width) == NULL;
  ms_source_init (&self->source, &ms_format_csv, input);
  self->reader = ms_csv_reader_new (input, tabs ? '\t' : ',');
  if (read_header (self, options, error))
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
      "                  further columns: output_l2_norm, dropped, valid, chosen, token_id;\n"
      "                  or experts and weights, lists in one cell (\"3 7\" or \"[3, 7]\")\n"
      "  counts          layer,expert,count, of a trace without order; a sequence may stand there\n"
      "  router scores   sequence,token,layer,e0,e1,...  or  sequence,token,layer,expert,logit\n"
      "  expert outputs  sequence,token,layer,expert,h0,h1,...\n"
      "  outcomes        sequence,token,layer,expert,quality  (or cost, outcome), where known\n"
      "  similarities    sequence,token,layer,similarity\n"
      "  token ids       sequence,token,token_id,predicted_token_id,loss\n"
      "  labels          sequence,dataset,language,parallel_id,phase, or of any other name;\n"
      "                  with a column token they are labels of the tokens\n"
      "Sequences become documents; 'document' and 'position', and the names that other tools use\n"
      "(req_id, layer_idx, token_pos, topk_ids, ...), may stand for 'sequence', 'token' and so on,\n"
      "so what `moescope export RUN.db routing` writes is read back.  Any other name can be given\n"
      "a meaning: --map unit=query,destination=model,weight=score,quality=ndcg.  Cells of\n"
      "'stage' and 'destination' are names, or numbers.  Tokens, ranks and experts count from 0.\n"
      "Without ranks the larger weight is the better rank, else the earlier row.\n"
      "A row with valid = 0 or expert -1 is padding: its token is no token.\n"
      "Other columns beside decisions are labels of documents, or of tokens where they change; what\n"
      "is not read is named.  Columns may also be separated by tabs.\n",
  },
  .sniff = csv_sniff,
  .open = csv_open,
  .next = csv_next,
  .close = csv_close,
};
