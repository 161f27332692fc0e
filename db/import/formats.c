/* The trace formats that import reads: a new one is a file beside this one and a line in `formats`.
 *
 * The list drives `import --help`, `import --format`, the file dialog of the window and the test that
 * walks all formats. */
#include "import-private.h"

#include <string.h>

/* The first of the surest wins. */
static const MsFormat *const formats[] = {
  &ms_format_csv,   &ms_format_json_lines, &ms_format_responses,
  &ms_format_npz,   &ms_format_npy,        &ms_format_safetensors,
  &ms_format_torch, &ms_format_imatrix,    &ms_format_llama,
};

const MsImportFormat *
ms_import_format (guint index)
{
  return index < G_N_ELEMENTS (formats) ? &formats[index]->about : NULL;
}

static char *
list_names (void)
{
  GString *names = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    g_string_append_printf (names, "%s%s", i > 0 ? ", " : "", formats[i]->about.name);
  return g_string_free (names, FALSE);
}

/* The format called so; NULL with *error when there is none. */
static const MsFormat *
find_named (const char *name, GError **error)
{
  g_autofree char *names = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (strcmp (formats[i]->about.name, name) == 0)
      return formats[i];
  names = list_names ();
  g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE,
               "there is no trace format '%s'; the formats are %s", name, names);
  return NULL;
}

/* The format that the front (n bytes) of a file looks most like, NULL when like none. */
static const MsFormat *
find_like (const char *head, gsize n, const char *file)
{
  const MsFormat *found = NULL;
  guint most = 0;

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      guint sure = formats[i]->sniff (head, n, file);

      if (sure > most)
        {
          most = sure;
          found = formats[i];
        }
    }
  return found;
}

const MsFormat *
ms_format_find (const char *name, MsFileReader *input, GError **error)
{
  const char *file = ms_file_reader_name (input);
  const MsFormat *named = NULL, *like;
  g_autofree char *names = NULL;
  const char *head;
  gsize n = 0;

  if (name != NULL && (named = find_named (name, error)) == NULL)
    return NULL;
  head = ms_file_reader_head (input, &n, error);
  if (head == NULL)
    return NULL;
  if (n == 0)
    {
      ms_import_fail (error, file, 0, "the file is empty; a header and rows are needed");
      return NULL;
    }
  if (named != NULL && named->sniff (head, n, file) > 0)
    return named;
  like = find_like (head, n, file);
  if (named != NULL || like != NULL)
    return like != NULL ? like : named;
  /* Model files are no traces. */
  if (n >= 4 && memcmp (head, "GGUF", 4) == 0)
    {
      ms_import_fail (error, file, 0,
                      "is a GGUF model, no trace; `moescope collect` records its routing");
      return NULL;
    }
  names = list_names ();
  ms_import_fail (error, file, 0,
                  "this looks like none of the trace formats (%s); `moescope import --help` tells "
                  "what each holds, --format NAME says which one it is",
                  names);
  return NULL;
}

void
ms_source_init (MsSource *source, const MsFormat *format, const MsFileReader *input)
{
  *source
      = (MsSource){ .format = format,
                    .name = g_strdup (ms_file_reader_name (input)),
                    .unused = g_ptr_array_new_with_free_func (g_free),
                    .remarks = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_remark_free) };
}

void
ms_source_remark (MsSource *source, const char *code, MsSeverity severity, gint64 count,
                  const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (source->remarks, ms_remark_new (code, severity, count, NULL, format, args));
  va_end (args);
}

void
ms_source_clear (MsSource *source)
{
  g_clear_pointer (&source->announced, g_array_unref);
  g_clear_pointer (&source->remarks, g_ptr_array_unref);
  g_clear_pointer (&source->name, g_free);
  g_clear_pointer (&source->unused, g_ptr_array_unref);
}

gboolean
ms_import_fail (GError **error, const char *file, guint line, const char *format, ...)
{
  g_autofree char *written = NULL, *message = NULL;
  va_list args;

  va_start (args, format);
  written = g_strdup_vprintf (format, args);
  va_end (args);
  message = g_utf8_make_valid (written, -1); /* it may quote what is no text */
  if (line > 0)
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE, "%s, line %u: %s", file, line, message);
  else
    g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE, "%s: %s", file, message);
  return FALSE;
}
