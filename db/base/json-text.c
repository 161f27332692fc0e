/* Strict JSON (RFC 8259), looked through before a parser that recurses and takes more than JSON sees it.
 *
 * What must hold: time is linear, memory fixed; nothing passes that two parsers could read differently. */
#include "base.h"

#include <string.h>

#define MOST_DEPTH 64

typedef struct
{
  const char *text;
  gsize length, at;
  const char *objection; /* NULL: none so far */
} Scanner;

static gboolean
object_to (Scanner *s, const char *what)
{
  if (s->objection == NULL)
    s->objection = what;
  return FALSE;
}

static char
peek (const Scanner *s)
{
  return s->at < s->length ? s->text[s->at] : '\0';
}

static void
skip_blanks (Scanner *s)
{
  while (s->at < s->length && memchr (" \t\r\n", s->text[s->at], 4) != NULL)
    s->at++;
}

static gsize
skip_digits (Scanner *s)
{
  gsize from = s->at;

  while (g_ascii_isdigit (peek (s)))
    s->at++;
  return s->at - from;
}

static gboolean
scan_string (Scanner *s)
{
  for (s->at++; s->at < s->length; s->at++)
    {
      char c = s->text[s->at];

      if (c == '"')
        {
          s->at++;
          return TRUE;
        }
      if ((guchar) c < 0x20)
        return object_to (s, "a control character stands in a text without its escape");
      if (c != '\\')
        continue;
      c = ++s->at < s->length ? s->text[s->at] : '\0';
      if (c == 'u')
        {
          for (guint i = 1; i <= 4; i++)
            if (s->at + i >= s->length || !g_ascii_isxdigit (s->text[s->at + i]))
              return object_to (s, "\\u is not followed by four hexadecimal digits");
          if (memcmp (s->text + s->at, "u0000", 5) == 0)
            return object_to (s, "a text has a NUL character (\\u0000)");
          s->at += 4;
        }
      else if (c == '\0' || strchr ("\"\\/bfnrt", c) == NULL)
        return object_to (s, "a backslash is followed by none of \"\\/bfnrtu");
    }
  return object_to (s, "a text does not end");
}

static gboolean
scan_number (Scanner *s)
{
  gsize from = s->at;
  gboolean whole = TRUE;

  s->at += peek (s) == '-';
  if (peek (s) == '0' ? (s->at++, FALSE) : skip_digits (s) == 0)
    return object_to (s, "a value is neither a text, a number, true, false, null, a list nor an "
                         "object");
  if (g_ascii_isdigit (peek (s)))
    return object_to (s, "a number begins with 0");
  if (peek (s) == '.')
    {
      whole = FALSE;
      s->at++;
      if (skip_digits (s) == 0)
        return object_to (s, "a number ends in a point");
    }
  if (peek (s) == 'e' || peek (s) == 'E')
    {
      whole = FALSE;
      s->at++;
      s->at += peek (s) == '+' || peek (s) == '-';
      if (skip_digits (s) == 0)
        return object_to (s, "a number has no digits in its exponent");
    }
  if (whole)
    {
      g_autofree char *digits = g_strndup (s->text + from, s->at - from);
      gint64 value;

      if (!g_ascii_string_to_signed (digits, 10, G_MININT64, G_MAXINT64, &value, NULL))
        return object_to (s,
                          "a whole number does not fit 64 bits and would be changed; write it as "
                          "a text");
    }
  return TRUE;
}

static gboolean
scan_word (Scanner *s)
{
  static const char *const words[] = { "true", "false", "null" };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    {
      gsize n = strlen (words[i]);

      if (s->length - s->at >= n && memcmp (s->text + s->at, words[i], n) == 0)
        {
          s->at += n;
          return TRUE;
        }
    }
  return scan_number (s);
}

/* "name" and the colon behind it. */
static gboolean
scan_name (Scanner *s)
{
  skip_blanks (s);
  if (peek (s) != '"')
    return object_to (s, "an object's member has no name in double quotes");
  if (!scan_string (s))
    return FALSE;
  skip_blanks (s);
  if (peek (s) != ':')
    return object_to (s, "no colon follows the name of a member");
  s->at++;
  return TRUE;
}

/* One value with all that is in it; open[] holds the brackets that are open. */
static gboolean
scan_value (Scanner *s, guint most)
{
  char open[MOST_DEPTH];
  guint depth = 0;

  do
    {
      char c;

      skip_blanks (s);
      c = peek (s);
      if (c == '{' || c == '[')
        {
          char end = c == '{' ? '}' : ']';

          if (depth == most)
            return object_to (s, "the JSON is nested too deep");
          open[depth++] = end;
          s->at++;
          skip_blanks (s);
          if (peek (s) != end)
            {
              if (c == '{' && !scan_name (s))
                return FALSE;
              continue;
            }
        }
      else if (!(c == '"' ? scan_string (s) : scan_word (s)))
        return FALSE;
      /* Behind a value: ends of what is open, then a comma or the end of all. */
      for (skip_blanks (s); depth > 0 && peek (s) == open[depth - 1]; skip_blanks (s))
        {
          depth--;
          s->at++;
        }
      if (depth > 0 && peek (s) != ',')
        return object_to (s, s->at < s->length ? "a comma or a closing bracket is missing"
                                               : "an object or a list does not end");
      if (depth > 0)
        {
          s->at++;
          if (open[depth - 1] == '}' && !scan_name (s))
            return FALSE;
        }
    }
  while (depth > 0);
  return TRUE;
}

const char *
ms_json_objection (const char *text, gsize length, guint depth)
{
  Scanner s = { text, length, 0, NULL };

  if (!g_utf8_validate_len (text, length, NULL))
    return "the JSON is not UTF-8";
  if (scan_value (&s, MIN (depth, MOST_DEPTH)))
    {
      skip_blanks (&s);
      if (s.at < length)
        object_to (&s, "more stands behind the JSON value");
    }
  return s.objection;
}
