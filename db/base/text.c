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
