/* Parameter files: small CSV with a header, through libcsv, with the line in every complaint. */
#include "analysis-private.h"

#include <csv.h>
#include <math.h>
#include <string.h>

struct MsInput
{
  char *path;
  guint n_columns;
  GPtrArray *fields; /* of char*; the header first, n_columns for each row */
  GArray *lines;     /* of guint: the line of each row, the header's first */
};

typedef struct
{
  MsInput *input;
  guint line;       /* of the text being read, from 1 */
  guint first_line; /* of the row being read, 0 = none yet */
  guint n_fields;
  guint bad_line; /* of the first row with another number of fields than the header */
} Parse;

static void
take_field (void *text, size_t length, void *data)
{
  Parse *parse = data;
  const char *from = text;

  if (parse->first_line == 0)
    parse->first_line = parse->line;
  for (gsize i = 0; i < length; i++)
    parse->line += from[i] == '\n';
  g_ptr_array_add (parse->input->fields, ms_text_printable (from, (gssize) length));
  parse->n_fields++;
}

static void
take_row (int end, void *data)
{
  Parse *parse = data;
  MsInput *input = parse->input;

  if (parse->n_fields > 0)
    {
      if (input->lines->len == 0)
        input->n_columns = parse->n_fields;
      else if (parse->n_fields != input->n_columns && parse->bad_line == 0)
        parse->bad_line = parse->first_line;
      g_array_append_val (input->lines, parse->first_line);
    }
  parse->n_fields = 0;
  parse->first_line = 0;
  parse->line += end == '\n';
}

static gboolean
fail (GError **error, const char *path, guint line, const char *what)
{
  if (line > 0)
    g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_INPUT, "%s, line %u: %s", path, line,
                 what);
  else
    g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_INPUT, "%s: %s", path, what);
  return FALSE;
}

MsInput *
ms_input_load (const char *path, GError **error)
{
  g_autoptr (MsInput) input = g_new0 (MsInput, 1);
  g_autoptr (GError) failure = NULL;
  g_autofree char *text = NULL;
  Parse parse = { .input = input, .line = 1 };
  struct csv_parser parser;
  gsize length, start, taken;

  input->path = g_strdup (path);
  input->fields = g_ptr_array_new_with_free_func (g_free);
  input->lines = g_array_new (FALSE, FALSE, sizeof (guint));
  if (!g_file_get_contents (path, &text, &length, &failure))
    {
      fail (error, path, 0, failure->message);
      return NULL;
    }
  start = length >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  csv_init (&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL);
  taken = csv_parse (&parser, text + start, length - start, take_field, take_row, &parse);
  if (taken != length - start || csv_fini (&parser, take_field, take_row, &parse) != 0)
    fail (error, path, parse.line, "a quote is in the wrong place");
  else if (input->lines->len == 0)
    fail (error, path, 0, "the file is empty; a header and rows are needed");
  else if (parse.bad_line > 0)
    fail (error, path, parse.bad_line, "the row has not as many fields as the header");
  else
    {
      csv_free (&parser);
      return g_steal_pointer (&input);
    }
  csv_free (&parser);
  return NULL;
}

void
ms_input_free (MsInput *input)
{
  if (input == NULL)
    return;
  g_free (input->path);
  g_ptr_array_unref (input->fields);
  g_array_unref (input->lines);
  g_free (input);
}

guint
ms_input_n_rows (const MsInput *input)
{
  return input->lines->len - 1;
}

guint
ms_input_n_columns (const MsInput *input)
{
  return input->n_columns;
}

const char *
ms_input_header (const MsInput *input, guint column)
{
  g_return_val_if_fail (column < input->n_columns, NULL);
  return g_ptr_array_index (input->fields, column);
}

int
ms_input_find (const MsInput *input, const char *name)
{
  for (guint i = 0; i < input->n_columns; i++)
    if (strcmp (ms_input_header (input, i), name) == 0)
      return (int) i;
  return -1;
}

gboolean
ms_input_need (const MsInput *input, const char *name, guint *column, GError **error)
{
  int found = ms_input_find (input, name);

  if (found < 0)
    {
      g_autofree char *what = g_strdup_printf ("the header has no column '%s'", name);
      return fail (error, input->path, 1, what);
    }
  *column = (guint) found;
  return TRUE;
}

MsInput *
ms_input_load_columns (const char *path, const char *const *names, guint *columns, GError **error)
{
  g_autoptr (MsInput) input = ms_input_load (path, error);

  for (guint i = 0; input != NULL && names[i] != NULL; i++)
    if (!ms_input_need (input, names[i], &columns[i], error))
      return NULL;
  return g_steal_pointer (&input);
}

const char *
ms_input_text (const MsInput *input, guint row, guint column)
{
  g_return_val_if_fail (row < ms_input_n_rows (input) && column < input->n_columns, NULL);
  return g_ptr_array_index (input->fields, (row + 1) * input->n_columns + column);
}

static gboolean
fail_number (const MsInput *input, guint row, guint column, const char *what, double least,
             double most, GError **error)
{
  char low[MS_NUMBER_SIZE], high[MS_NUMBER_SIZE];
  g_autofree char *message
      = g_strdup_printf ("%s is '%s': %s between %s and %s is needed",
                         ms_input_header (input, column), ms_input_text (input, row, column), what,
                         ms_number_short (low, least), ms_number_short (high, most));

  return fail (error, input->path, g_array_index (input->lines, guint, row + 1), message);
}

gboolean
ms_input_int (const MsInput *input, guint row, guint column, gint64 least, gint64 most,
              gint64 *value, GError **error)
{
  if (g_ascii_string_to_signed (ms_input_text (input, row, column), 10, least, most, value, NULL))
    return TRUE;
  return fail_number (input, row, column, "a whole number", (double) least, (double) most, error);
}

gboolean
ms_input_real (const MsInput *input, guint row, guint column, double least, double most,
               double *value, GError **error)
{
  const char *text = ms_input_text (input, row, column);
  char *end;
  double parsed = g_ascii_strtod (text, &end);

  if (end == text || *end != '\0' || !(parsed >= least && parsed <= most))
    return fail_number (input, row, column, "a number", least, most, error);
  *value = parsed;
  return TRUE;
}

/* --- Values by layer and expert -------------------------------------------------------------- */

#define MOST_LAYERS 4096

/* The layer and expert of a row; FALSE without *error when the layer does not count. */
static gboolean
find_place (const MsInput *input, guint row, const guint columns[2], const MsLayer *layers,
            guint n_layers, MsExpertValue *value, GError **error)
{
  gint64 block, expert, most = layers != NULL ? G_MAXINT : MOST_LAYERS - 1;
  guint n_experts = MS_MAX_EXPERTS, l = 0;

  if (!ms_input_int (input, row, columns[0], 0, most, &block, error))
    return FALSE;
  if (layers == NULL)
    l = (guint) block;
  else
    {
      while (l < n_layers && layers[l].number != block)
        l++;
      if (l == n_layers)
        return FALSE;
      n_experts = layers[l].gate.n_experts;
    }
  if (!ms_input_int (input, row, columns[1], 0, n_experts - 1, &expert, error))
    return FALSE;
  value->layer = l;
  value->expert = (guint) expert;
  return TRUE;
}

GArray *
ms_input_load_values (const char *path, const char *name, double least, double most,
                      const MsLayer *layers, guint n_layers, GError **error)
{
  g_autoptr (MsInput) input = ms_input_load (path, error);
  g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (MsExpertValue));
  guint columns[3];

  if (input == NULL || !ms_input_need (input, "layer", &columns[0], error)
      || !ms_input_need (input, "expert", &columns[1], error)
      || (name != NULL && !ms_input_need (input, name, &columns[2], error)))
    return NULL;
  for (guint row = 0; row < ms_input_n_rows (input); row++)
    {
      g_autoptr (GError) failure = NULL;
      MsExpertValue value = { .value = row };

      if (find_place (input, row, columns, layers, n_layers, &value, &failure)
          && (name == NULL
              || ms_input_real (input, row, columns[2], least, most, &value.value, &failure)))
        g_array_append_val (values, value);
      if (failure != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&failure));
          return NULL;
        }
    }
  if (layers == NULL && values->len == 0)
    {
      fail (error, path, 0, "there are no rows below the header");
      return NULL;
    }
  return g_steal_pointer (&values);
}

void
ms_expert_values_extent (const GArray *values, guint *n_layers, guint *n_experts)
{
  *n_layers = *n_experts = 0;
  for (guint i = 0; i < values->len; i++)
    {
      const MsExpertValue *value = &g_array_index (values, MsExpertValue, i);

      *n_layers = MAX (*n_layers, value->layer + 1);
      *n_experts = MAX (*n_experts, value->expert + 1);
    }
}
