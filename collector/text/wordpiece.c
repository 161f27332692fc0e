/* What must hold: a word comes out the same wherever it stands. */
#include "wordpiece-private.h"

#include <string.h>

static gboolean
is_space (gunichar c)
{
  GUnicodeType type = g_unichar_type (c);

  return (c >= 0x09 && c <= 0x0d) || c == 0x85 || type == G_UNICODE_SPACE_SEPARATOR
         || type == G_UNICODE_LINE_SEPARATOR || type == G_UNICODE_PARAGRAPH_SEPARATOR;
}

/* What no word holds. */
static gboolean
is_left_out (gunichar c, gboolean strip_accents)
{
  switch (g_unichar_type (c))
    {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_PRIVATE_USE:
    case G_UNICODE_SURROGATE:
      return TRUE;
    case G_UNICODE_NON_SPACING_MARK:
    case G_UNICODE_SPACING_MARK:
    case G_UNICODE_ENCLOSING_MARK:
      return strip_accents;
    default:
      return c == 0xfffd;
    }
}

/* Chinese characters as BERT counts them. */
static gboolean
is_chinese (gunichar c)
{
  static const gunichar ranges[][2]
      = { { 0x4e00, 0x9fff },   { 0x3400, 0x4dbf },   { 0x20000, 0x2a6df }, { 0x2a700, 0x2b73f },
          { 0x2b740, 0x2b81f }, { 0x2b920, 0x2ceaf }, { 0xf900, 0xfaff },   { 0x2f800, 0x2fa1f } };

  for (guint i = 0; i < G_N_ELEMENTS (ranges); i++)
    if (c >= ranges[i][0] && c <= ranges[i][1])
      return TRUE;
  return FALSE;
}

/* A sign that is a word: punctuation, and what ASCII has of other signs. */
static gboolean
is_sign (gunichar c)
{
  return g_unichar_ispunct (c)
         && (c < 0x7f
             || (g_unichar_type (c) >= G_UNICODE_CONNECT_PUNCTUATION
                 && g_unichar_type (c) <= G_UNICODE_OPEN_PUNCTUATION));
}

static void
append (GByteArray *word, gunichar c)
{
  char bytes[6];

  if (word->len == 0)
    g_byte_array_append (word, (const guint8 *) " ", 1);
  g_byte_array_append (word, (const guint8 *) bytes, (guint) g_unichar_to_utf8 (c, bytes));
}

/* Appends what a character of the text becomes; FALSE when it ends the word before it and is to be read again. */
static gboolean
take (MsWordpieceRules rules, gunichar whole, GByteArray *word, gboolean *ended)
{
  gunichar parts[G_UNICHAR_MAX_DECOMPOSITION_LENGTH] = { whole };
  gsize n = rules.strip_accents
                ? g_unichar_fully_decompose (whole, FALSE, parts, G_N_ELEMENTS (parts))
                : 1;

  for (gsize i = 0; i < n; i++)
    {
      gunichar c = parts[i];

      if (is_space (c))
        *ended = word->len > 0;
      else if (c == 0 || is_left_out (c, rules.strip_accents))
        continue;
      else if (is_sign (c) || is_chinese (c))
        {
          *ended = TRUE;
          if (word->len > 0)
            return FALSE;
          append (word, rules.lower_case ? g_unichar_tolower (c) : c);
        }
      else
        append (word, rules.lower_case ? g_unichar_tolower (c) : c);
    }
  return TRUE;
}

gboolean
ms_wordpiece_next (MsWordpieceRules rules, const char *text, gsize length, gsize *at,
                   GByteArray *word)
{
  gboolean ended = FALSE;

  g_byte_array_set_size (word, 0);
  while (*at < length && !ended)
    if (take (rules, g_utf8_get_char (text + *at), word, &ended))
      *at += (gsize) (g_utf8_next_char (text + *at) - (text + *at));
  return word->len > 0;
}

void
ms_wordpiece_cut (const MsPieceMap *pieces, gint32 n, gsize longest, gint32 unknown,
                  const char *word, gsize length, GArray *ids, GCancellable *cancel)
{
  guint first = ids->len;

  for (gsize at = 0, end; at < length; at = end)
    {
      gint32 id = -1;

      for (end = MIN (length, at + longest); end > at; end--)
        {
          id = ms_piece_map_find (pieces, word + at, end - at);
          if (id >= 0 && id < n)
            break;
        }
      if (end == at || ((ids->len - first) % 65536 == 65535 && g_cancellable_is_cancelled (cancel)))
        {
          g_array_set_size (ids, first);
          if (unknown >= 0)
            g_array_append_val (ids, unknown);
          return;
        }
      g_array_append_val (ids, id);
    }
}
