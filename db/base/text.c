/* Text of unknown origin, and words that people may have meant.
 *
 * Bytes of a tokenizer or a file need not be UTF-8, and what is shown must be: nothing here takes that for
 * granted of its input. */
#include "base.h"

#include <string.h>

char *
ms_text_printable (const char *bytes, gssize length)
{
  GString *text = g_string_new (NULL);
  const char *end = bytes + (length < 0 ? (gssize) strlen (bytes) : length);

  while (bytes < end)
    {
      gunichar c = g_utf8_get_char_validated (bytes, end - bytes);

      if (c == (gunichar) -1 || c == (gunichar) -2 || g_unichar_iscntrl (c))
        g_string_append_printf (text, "\\x%02X", (guchar) *bytes++);
      else
        {
          g_string_append_unichar (text, c);
          bytes = g_utf8_next_char (bytes);
        }
    }
  return g_string_free (text, FALSE);
}

/* Levenshtein distance in bytes. */
static guint
distance (const char *a, const char *b)
{
  gsize n = strlen (b);
  g_autofree guint *row = g_new (guint, n + 1);

  for (gsize j = 0; j <= n; j++)
    row[j] = (guint) j;
  for (gsize i = 0; a[i] != '\0'; i++)
    {
      guint corner = row[0];

      row[0] = (guint) i + 1;
      for (gsize j = 0; j < n; j++)
        {
          guint replaced = corner + (a[i] != b[j]);

          corner = row[j + 1];
          row[j + 1] = MIN (replaced, MIN (row[j], corner) + 1);
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
