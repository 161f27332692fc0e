/* CSV through libcsv: rows of any size are read one by one, with the line for every complaint. */
#include "db.h"

#include <csv.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_BYTES (1 << 16)

void
ms_csv_append (GString *line, const char *text)
{
  gsize length = strlen (text);
  gsize at = line->len, need = csv_write (NULL, 0, text, length);

  g_string_set_size (line, at + need);
  csv_write (line->str + at, need, text, length);
}

typedef struct
{
  const char *path;
  MsCsvFunc func;
  gpointer data;
  GError **error;
  GString *text;     /* the fields of the row, each with its end */
  GArray *starts;    /* of gsize: where each field begins in text */
  GPtrArray *fields; /* the same as pointers */
  guint n_columns;   /* of the header, 0 = not yet read */
  guint line;        /* being read, from 1 */
  guint first_line;  /* of the row being read */
  gboolean stopped;
} Reading;

static void
stop (Reading *reading, const char *what)
{
  g_set_error (reading->error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE, "%s, line %u: %s", reading->path,
               reading->first_line, what);
  reading->stopped = TRUE;
}

static void
take_field (void *field, size_t length, void *data)
{
  Reading *reading = data;
  const char *bytes = field;
  gsize start = reading->text->len;

  if (reading->stopped)
    return;
  if (reading->starts->len == 0)
    reading->first_line = reading->line;
  if (length > 0 && memchr (bytes, '\0', length) != NULL)
    {
      stop (reading, "a zero byte: this is no text");
      return;
    }
  for (gsize i = 0; i < length; i++)
    reading->line += bytes[i] == '\n';
  g_array_append_val (reading->starts, start);
  g_string_append_len (reading->text, bytes, (gssize) length);
  g_string_append_c (reading->text, '\0');
}

static void
take_row (int end, void *data)
{
  Reading *reading = data;
  guint n = reading->starts->len;

  if (!reading->stopped && n > 0)
    {
      g_ptr_array_set_size (reading->fields, (int) n);
      for (guint i = 0; i < n; i++)
        reading->fields->pdata[i] = reading->text->str + g_array_index (reading->starts, gsize, i);
      if (reading->n_columns == 0)
        reading->n_columns = n;
      if (n != reading->n_columns)
        stop (reading, "the row has not as many fields as the header");
      else if (!reading->func ((const char *const *) reading->fields->pdata, n, reading->first_line,
                               reading->data, reading->error))
        reading->stopped = TRUE;
    }
  g_string_truncate (reading->text, 0);
  g_array_set_size (reading->starts, 0);
  reading->line += end == '\n';
}

static void
parse (Reading *reading, FILE *file)
{
  g_autofree char *block = g_malloc (BLOCK_BYTES);
  struct csv_parser parser;
  gboolean first = TRUE;
  gsize n;

  csv_init (&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL);
  while (!reading->stopped && (n = fread (block, 1, BLOCK_BYTES, file)) > 0)
    {
      gsize skip = first && n >= 3 && memcmp (block, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

      first = FALSE;
      if (csv_parse (&parser, block + skip, n - skip, take_field, take_row, reading) != n - skip
          && !reading->stopped)
        {
          reading->first_line = reading->line;
          stop (reading, "a quote is in the wrong place");
        }
    }
  if (!reading->stopped && csv_fini (&parser, take_field, take_row, reading) != 0)
    {
      reading->first_line = reading->line;
      stop (reading, "a quote is not closed");
    }
  csv_free (&parser);
}

gboolean
ms_csv_read (const char *path, MsCsvFunc func, gpointer data, GError **error)
{
  GError *failure = NULL;
  Reading reading = { .path = path, .func = func, .data = data, .error = &failure, .line = 1 };
  FILE *file = fopen (path, "rbe");

  if (file == NULL)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_IO, "cannot open %s: %s", path,
                   g_strerror (errno));
      return FALSE;
    }
  reading.text = g_string_new (NULL);
  reading.starts = g_array_new (FALSE, FALSE, sizeof (gsize));
  reading.fields = g_ptr_array_new ();
  parse (&reading, file);
  if (ferror (file) && failure == NULL)
    g_set_error (&failure, MS_DB_ERROR, MS_DB_ERROR_IO, "cannot read %s: %s", path,
                 g_strerror (errno));
  if (reading.n_columns == 0 && failure == NULL)
    g_set_error (&failure, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE,
                 "%s is empty; a header and rows are needed", path);
  fclose (file);
  g_string_free (reading.text, TRUE);
  g_array_unref (reading.starts);
  g_ptr_array_unref (reading.fields);
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, failure);
  return FALSE;
}
