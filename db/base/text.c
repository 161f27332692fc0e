/* Text of unknown origin as terminals, documents and JSON may show it, and words that people may have meant.
 *
 * Bytes of a tokenizer or a file need not be UTF-8, and what is shown must be: nothing here takes that for
 * granted of its input.  One test says which characters something acts on; every output leaves them out in
 * its own way. */
#include "base.h"

#include <string.h>

/* What a terminal or a layout acts on, or XML does not allow: controls (C0, DEL, C1), the ends of lines and
 * paragraphs, embeddings, overrides and isolates of direction, and the two that are no characters. */
static gboolean
is_active (gunichar c)
{
  return g_unichar_iscntrl (c) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)
         || c == 0xfffe || c == 0xffff;
}

/* The character at bytes and its length; FALSE when it may not be shown.  Of invalid bytes the length is 1. */
static gboolean
shown_char (const char *bytes, gssize left, gsize *length)
{
  gunichar c = g_utf8_get_char_validated (bytes, left);

  *length = c == (gunichar) -1 || c == (gunichar) -2 ? 1 : (gsize) g_unichar_to_utf8 (c, NULL);
  return c != (gunichar) -1 && c != (gunichar) -2 && !is_active (c);
}

char *
ms_text_printable (const char *bytes, gssize length)
{
  GString *text = g_string_new (NULL);
  const char *end = bytes + (length < 0 ? (gssize) strlen (bytes) : length);
  gsize n;

  for (; bytes < end; bytes += n)
    if (shown_char (bytes, end - bytes, &n))
      g_string_append_len (text, bytes, (gssize) n);
    else
      for (gsize i = 0; i < n; i++)
        g_string_append_printf (text, "\\x%02X", (guchar) bytes[i]);
  return g_string_free (text, FALSE);
}

void
ms_text_make_printable (char **text)
{
  char *raw = *text;

  if (raw == NULL)
    return;
  *text = ms_text_printable (raw, -1);
  g_free (raw);
}

char *
ms_text_safe_json (const char *json)
{
  GString *text = g_string_new (NULL);
  const char *end = json + strlen (json);
  gsize n;

  for (; json < end; json += n)
    if (shown_char (json, end - json, &n) || strchr ("\n\r\t", *json) != NULL)
      g_string_append_len (text, json, (gssize) n);
    else
      {
        gunichar c = g_utf8_get_char_validated (json, end - json);

        g_string_append_printf (text, "\\u%04x", c <= 0xffff ? c : 0xfffd);
      }
  return g_string_free (text, FALSE);
}

/* Edit distance in bytes in which two neighbours that changed places are one edit (optimal string
 * alignment). */
static guint
distance (const char *a, const char *b)
{
  gsize n = strlen (b);
  g_autofree guint *rows = g_new (guint, 3 * (n + 1));
  guint *before = rows, *last = before + n + 1, *row = last + n + 1;

  for (gsize j = 0; j <= n; j++)
    row[j] = (guint) j;
  for (gsize i = 0; a[i] != '\0'; i++)
    {
      guint *oldest = before;

      before = last;
      last = row;
      row = oldest;
      row[0] = (guint) i + 1;
      for (gsize j = 0; j < n; j++)
        {
          row[j + 1] = MIN (last[j] + (a[i] != b[j]), MIN (row[j], last[j + 1]) + 1);
          if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j])
            row[j + 1] = MIN (row[j + 1], before[j - 1] + 1);
        }
    }
  return row[n];
}

const char *
ms_text_nearest (const char *word, const char *const *words)
{
  const char *nearest = NULL;
  guint least = G_MAXUINT;

  for (guint i = 0; words[i] != NULL; i++)
    {
      guint here = distance (word, words[i]);

      if (here < least && here <= MAX (strlen (words[i]) / 3, 1))
        {
          least = here;
          nearest = words[i];
        }
    }
  return nearest;
}

char *
ms_word_quote (const char *word)
{
  for (const char *c = word; *c != '\0'; c++)
    if (!g_ascii_isalnum (*c) && strchr ("-_./,=:+@%", *c) == NULL)
      return g_shell_quote (word);
  return *word != '\0' ? g_strdup (word) : g_shell_quote (word);
}
