/* CSV through libcsv: rows of any size are handed out one by one, with the line for every complaint.
 *
 * libcsv calls back for each field; a block of the file is parsed at once, its whole rows wait in `rows`
 * and the fields of the last, unfinished row stay for the next block.  A fault is told after the rows
 * before it. */
#include "csv-private.h"

#include "db.h"

#include <csv.h>
#include <string.h>

static void
append_quoted (GString *line, const char *text, gsize length)
{
  gsize at = line->len, need = csv_write (NULL, 0, text, length);

  g_string_set_size (line, at + need);
  csv_write (line->str + at, need, text, length);
}

/* Whether a spreadsheet takes the text for a formula; blanks before it make no difference. */
static gboolean
is_formula (const char *text)
{
  char *end;

  text += strspn (text, " \t\n");
  if (text[0] == '\0' || strchr ("=+-@", text[0]) == NULL || text[1] == '\0')
    return FALSE;
  g_ascii_strtod (text, &end);
  return *end != '\0';
}

void
ms_csv_append (GString *line, const char *text)
{
  g_autoptr (GString) safe = g_string_new (is_formula (text) ? "'" : "");

  /* Tabs and ends of lines are fine between quotes. */
  for (gsize n; *text != '\0'; text += n)
    {
      g_autofree char *clean = NULL;

      n = strspn (text, "\t\n");
      g_string_append_len (safe, text, (gssize) n);
      if (n > 0)
        continue;
      n = strcspn (text, "\t\n");
      clean = ms_text_printable (text, (gssize) n);
      g_string_append (safe, clean);
    }
  append_quoted (line, safe->str, safe->len);
}

/* A whole row: its fields are starts[first .. first + n - 1]. */
typedef struct
{
  guint first, n, line;
} WaitingRow;

struct MsCsvReader
{
  MsFileReader *input;
  struct csv_parser parser;
  GString *text;     /* the fields of the waiting rows, each with its end */
  GArray *starts;    /* of gsize: where each field begins in text */
  GArray *rows;      /* of WaitingRow */
  guint next;        /* of rows */
  GPtrArray *fields; /* of the row handed out, as pointers */
  guint row_first;   /* in starts: the row being parsed */
  guint n_columns;   /* of the header, 0 = not yet read */
  guint line;        /* being parsed, from 1 */
  guint first_line;  /* of the row being parsed */
  gboolean begun, ended;
  GError *failure;
};

MsCsvReader *
ms_csv_reader_new (MsFileReader *input, char separator)
{
  MsCsvReader *reader = g_new0 (MsCsvReader, 1);

  reader->input = input;
  csv_init (&reader->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL);
  csv_set_delim (&reader->parser, (unsigned char) separator);
  reader->text = g_string_new (NULL);
  reader->starts = g_array_new (FALSE, FALSE, sizeof (gsize));
  reader->rows = g_array_new (FALSE, FALSE, sizeof (WaitingRow));
  reader->fields = g_ptr_array_new ();
  reader->line = reader->first_line = 1;
  return reader;
}

void
ms_csv_reader_free (MsCsvReader *reader)
{
  if (reader == NULL)
    return;
  ms_file_reader_free (reader->input);
  csv_free (&reader->parser);
  g_string_free (reader->text, TRUE);
  g_array_unref (reader->starts);
  g_array_unref (reader->rows);
  g_ptr_array_unref (reader->fields);
  g_clear_error (&reader->failure);
  g_free (reader);
}

static void
stop (MsCsvReader *reader, guint line, const char *what)
{
  if (reader->failure == NULL)
    g_set_error (&reader->failure, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE, "%s, line %u: %s",
                 ms_file_reader_name (reader->input), line, what);
  reader->ended = TRUE;
}

static void
take_field (void *field, size_t length, void *data)
{
  MsCsvReader *reader = data;
  const char *bytes = field;
  gsize start = reader->text->len;

  if (reader->failure != NULL)
    return;
  if (reader->starts->len == reader->row_first)
    reader->first_line = reader->line;
  if (length > 0 && memchr (bytes, '\0', length) != NULL)
    {
      stop (reader, reader->first_line, "a zero byte: this is no text");
      return;
    }
  for (const char *at = bytes;
       length > 0 && (at = memchr (at, '\n', length - (gsize) (at - bytes))); at++)
    reader->line++;
  g_array_append_val (reader->starts, start);
  g_string_append_len (reader->text, bytes, (gssize) length);
  g_string_append_c (reader->text, '\0');
}

static void
take_row (int end, void *data)
{
  MsCsvReader *reader = data;
  WaitingRow row
      = { reader->row_first, reader->starts->len - reader->row_first, reader->first_line };

  if (reader->failure == NULL && row.n > 0)
    {
      if (reader->n_columns == 0)
        reader->n_columns = row.n;
      if (row.n != reader->n_columns)
        stop (reader, row.line, "the row has not as many fields as the header");
      else
        g_array_append_val (reader->rows, row);
    }
  reader->row_first = reader->starts->len;
  reader->line += end == '\n';
}

/* Forgets the rows handed out and moves the fields of the unfinished row to the front. */
static void
make_way (MsCsvReader *reader)
{
  guint kept = reader->starts->len - reader->row_first;
  gsize from
      = kept > 0 ? g_array_index (reader->starts, gsize, reader->row_first) : reader->text->len;

  g_string_erase (reader->text, 0, (gssize) from);
  g_array_remove_range (reader->starts, 0, reader->row_first);
  for (guint i = 0; i < kept; i++)
    g_array_index (reader->starts, gsize, i) -= from;
  g_array_set_size (reader->rows, 0);
  reader->next = reader->row_first = 0;
}

static void
parse_block (MsCsvReader *reader)
{
  const char *bytes = NULL;
  gsize n = 0, skip = 0;

  make_way (reader);
  if (!ms_file_reader_read (reader->input, &bytes, &n, &reader->failure))
    {
      reader->ended = TRUE;
      return;
    }
  if (n == 0)
    {
      reader->ended = TRUE;
      if (csv_fini (&reader->parser, take_field, take_row, reader) != 0)
        stop (reader, reader->line, "a quote is not closed");
      return;
    }
  if (!reader->begun && n >= 3 && memcmp (bytes, "\xef\xbb\xbf", 3) == 0)
    skip = 3;
  reader->begun = TRUE;
  if (csv_parse (&reader->parser, bytes + skip, n - skip, take_field, take_row, reader) != n - skip)
    stop (reader, reader->line, "a quote is in the wrong place");
}

gboolean
ms_csv_reader_next (MsCsvReader *reader, const char *const **fields, guint *n, guint *line,
                    GError **error)
{
  const WaitingRow *row;

  while (reader->next == reader->rows->len && !reader->ended)
    parse_block (reader);
  *fields = NULL;
  if (reader->next == reader->rows->len)
    {
      if (reader->n_columns == 0 && reader->failure == NULL)
        g_set_error (&reader->failure, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE,
                     "%s is empty; a header and rows are needed",
                     ms_file_reader_name (reader->input));
      if (reader->failure == NULL)
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&reader->failure));
      return FALSE;
    }
  row = &g_array_index (reader->rows, WaitingRow, reader->next++);
  g_ptr_array_set_size (reader->fields, (int) row->n);
  for (guint i = 0; i < row->n; i++)
    reader->fields->pdata[i]
        = reader->text->str + g_array_index (reader->starts, gsize, row->first + i);
  *fields = (const char *const *) reader->fields->pdata;
  *n = row->n;
  *line = row->line;
  return TRUE;
}

gboolean
ms_csv_read (const char *path, MsCsvFunc func, gpointer data, GError **error)
{
  MsFileReader *input = ms_file_reader_open (path, error);
  g_autoptr (MsCsvReader) reader = input == NULL ? NULL : ms_csv_reader_new (input, ',');
  const char *const *fields;
  guint n, line;

  while (reader != NULL)
    {
      GError *failure = NULL;

      if (!ms_csv_reader_next (reader, &fields, &n, &line, error))
        return FALSE;
      if (fields == NULL)
        return TRUE;
      if (!func (fields, n, line, data, &failure))
        {
          if (failure == NULL)
            return TRUE;
          g_propagate_error (error, failure);
          return FALSE;
        }
    }
  return FALSE;
}
