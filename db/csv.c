/* CSV through libcsv: rows of any size are handed out one by one, with the line for every complaint.
 *
 * As long as a file has neither quotes nor blanks its lines need no parser: they are cut at the separators, which is
 * faster.  From the first block that has some on, libcsv calls back for each field; a block of the file is parsed at
 * once.  Either way its whole rows wait in `rows` and what is left of the last, unfinished row stays for the next
 * block.  A fault is told after the rows before it. */
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
  gboolean plain; /* no quote and no blank so far: lines are cut without libcsv */
  GString *carry; /* the line that the last block did not end, while it is plain */
  char separator;
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
  reader->plain = TRUE;
  reader->carry = g_string_new (NULL);
  reader->separator = separator;
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
  g_string_free (reader->carry, TRUE);
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

/* Whether lines can be cut at the separators as they are: libcsv gives quotes, blanks at the ends of fields, and
 * ends of lines other than LF and CRLF a meaning of their own. */
static gboolean
is_plain (const MsCsvReader *reader, const char *bytes, gsize n)
{
  const char *end = bytes + n;

  if (memchr (bytes, '"', n) != NULL || memchr (bytes, ' ', n) != NULL
      || memchr (bytes, '\0', n) != NULL
      || (reader->separator != '\t' && memchr (bytes, '\t', n) != NULL))
    return FALSE;
  for (const char *at = bytes; (at = memchr (at, '\r', (gsize) (end - at))) != NULL; at++)
    if (at + 1 == end || at[1] != '\n')
      return FALSE;
  return TRUE;
}

/* One line (n bytes, without its end) becomes a row. */
static void
cut_line (MsCsvReader *reader, const char *line, gsize n)
{
  gsize base = reader->text->len;
  WaitingRow row = { reader->starts->len, 1, reader->line };
  guint room = MAX (reader->n_columns, 1);
  gsize *starts;
  char *text;

  g_string_append_len (reader->text, line, (gssize) n);
  g_string_append_c (reader->text, '\0');
  text = reader->text->str + base;
  for (gsize i = 0; i < n && reader->n_columns == 0; i++) /* the header tells how many there are */
    room += text[i] == reader->separator;
  g_array_set_size (reader->starts, row.first + room);
  starts = &g_array_index (reader->starts, gsize, row.first);
  *starts = base;
  for (gsize i = 0; i < n; i++)
    if (text[i] == reader->separator)
      {
        text[i] = '\0';
        if (row.n < room)
          starts[row.n] = base + i + 1;
        row.n++;
      }
  if (reader->n_columns == 0)
    reader->n_columns = row.n;
  if (row.n != reader->n_columns)
    stop (reader, row.line, "the row has not as many fields as the header");
  else
    g_array_append_val (reader->rows, row);
  reader->row_first = reader->starts->len;
}

/* Cuts all whole lines of the bytes; what is left of the last one is carried over. */
static void
cut_lines (MsCsvReader *reader, const char *bytes, gsize n)
{
  const char *at = bytes, *end = bytes + n, *stopped;

  while (reader->failure == NULL && (stopped = memchr (at, '\n', (gsize) (end - at))) != NULL)
    {
      gsize length = (gsize) (stopped - at);

      if (reader->carry->len > 0)
        {
          g_string_append_len (reader->carry, at, (gssize) length);
          if (reader->carry->str[reader->carry->len - 1] == '\r')
            g_string_truncate (reader->carry, reader->carry->len - 1);
          if (reader->carry->len > 0)
            cut_line (reader, reader->carry->str, reader->carry->len);
          g_string_truncate (reader->carry, 0);
        }
      else
        {
          length -= length > 0 && at[length - 1] == '\r';
          if (length > 0)
            cut_line (reader, at, length);
        }
      reader->line++;
      at = stopped + 1;
    }
  g_string_append_len (reader->carry, at, (gssize) (end - at));
}

/* Cuts the block when all that is new is plain; FALSE when libcsv must take over, with what was carried. */
static gboolean
take_plain (MsCsvReader *reader, const char *bytes, gsize n)
{
  /* A CR at the end of a block may be half an end of line: it is left to the next look. */
  gsize whole = n - (n > 0 && bytes[n - 1] == '\r');

  if (reader->plain && is_plain (reader, bytes, whole)
      && (reader->carry->len == 0 || reader->carry->str[reader->carry->len - 1] != '\r'
          || (n > 0 && bytes[0] == '\n')))
    {
      cut_lines (reader, bytes, n);
      return TRUE;
    }
  if (reader->plain && reader->carry->len > 0
      && csv_parse (&reader->parser, reader->carry->str, reader->carry->len, take_field, take_row,
                    reader)
             != reader->carry->len)
    stop (reader, reader->line, "a quote is in the wrong place");
  reader->plain = FALSE;
  return FALSE;
}

/* The end of the file: the last line may lack its end. */
static void
end_file (MsCsvReader *reader)
{
  reader->ended = TRUE;
  if (reader->plain && reader->carry->len > 0)
    {
      gsize n = reader->carry->len - (reader->carry->str[reader->carry->len - 1] == '\r');

      if (n > 0)
        cut_line (reader, reader->carry->str, n);
      g_string_truncate (reader->carry, 0);
    }
  else if (!reader->plain && csv_fini (&reader->parser, take_field, take_row, reader) != 0)
    stop (reader, reader->line, "a quote is not closed");
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
      end_file (reader);
      return;
    }
  if (!reader->begun && n >= 3 && memcmp (bytes, "\xef\xbb\xbf", 3) == 0)
    skip = 3;
  reader->begun = TRUE;
  if (!take_plain (reader, bytes + skip, n - skip)
      && csv_parse (&reader->parser, bytes + skip, n - skip, take_field, take_row, reader)
             != n - skip)
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
