/* Pieces of a JSON text without a tree: the text was looked through before (ms_json_objection), so brackets and quotes
 * are known to match and only the way over them is looked for. */
#include "json-slice-private.h"

#include <string.h>

static const char *
skip_blanks (const char *at)
{
  return at + strspn (at, " \t\r\n");
}

static const char *
skip_text (const char *at)
{
  for (at++; *at != '"'; at++)
    at += *at == '\\';
  return at + 1;
}

static const char *
skip_value (const char *at)
{
  guint depth = 0;

  if (*at == '"')
    return skip_text (at);
  if (*at != '[' && *at != '{')
    return at + strcspn (at, ",]} \t\r\n");
  do
    {
      at += strcspn (at, "\"[]{}");
      if (*at == '"')
        {
          at = skip_text (at);
          continue;
        }
      depth += *at == '[' || *at == '{';
      depth -= *at == ']' || *at == '}';
      at++;
    }
  while (depth > 0);
  return at;
}

gboolean
ms_json_slice_next (const char **at, MsJsonSlice *name, MsJsonSlice *value)
{
  const char *here = skip_blanks (*at);

  if (*here == '[' || *here == '{' || *here == ',')
    here = skip_blanks (here + 1);
  if (*here == ']' || *here == '}')
    return FALSE;
  if (name != NULL)
    {
      const char *end = skip_text (here);

      *name = (MsJsonSlice){ here + 1, (gsize) (end - here) - 2 };
      here = skip_blanks (end);
      here = skip_blanks (here + 1); /* the colon */
    }
  value->text = here;
  here = skip_value (here);
  value->length = (gsize) (here - value->text);
  /* A list in a list must not be entered. */
  *at = skip_blanks (here);
  return TRUE;
}

gboolean
ms_json_slice_member (const char *text, const char *name, MsJsonSlice *value)
{
  const char *at = skip_blanks (text);
  MsJsonSlice here;

  if (*at != '{')
    return FALSE;
  while (ms_json_slice_next (&at, &here, value))
    if (here.length == strlen (name) && memcmp (here.text, name, here.length) == 0)
      return TRUE;
  return FALSE;
}

/* The four hexadecimal digits at `at`. */
static gunichar
read_hex (const char *at)
{
  gunichar code = 0;

  for (guint i = 0; i < 4; i++)
    code = code * 16 + (gunichar) g_ascii_xdigit_value (at[i]);
  return code;
}

static void
append_text (GString *cell, const char *at, const char *end)
{
  static const char letters[] = "bfnrt", controls[] = "\b\f\n\r\t";

  while (at < end)
    {
      const char *letter;

      if (*at != '\\')
        {
          g_string_append_c (cell, *at++);
          continue;
        }
      letter = strchr (letters, at[1]);
      if (at[1] == 'u')
        {
          gunichar code = read_hex (at + 2);

          at += 6;
          if (code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u'
              && read_hex (at + 2) >= 0xdc00 && read_hex (at + 2) < 0xe000)
            {
              code = 0x10000 + ((code - 0xd800) << 10) + (read_hex (at + 2) - 0xdc00);
              at += 6;
            }
          g_string_append_unichar (cell, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
          continue;
        }
      g_string_append_c (cell, letter != NULL ? controls[letter - letters] : at[1]);
      at += 2;
    }
}

void
ms_json_slice_append (GString *cell, const MsJsonSlice *value)
{
  if (*value->text == '"')
    append_text (cell, value->text + 1, value->text + value->length - 1);
  else if (*value->text == 't' || *value->text == 'f')
    g_string_append_c (cell, *value->text == 't' ? '1' : '0');
  else if (*value->text != 'n')
    g_string_append_len (cell, value->text, (gssize) value->length);
}
