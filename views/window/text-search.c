/* The text of a document is that of its tokens' bytes, so a word is found across tokens and a character across the
 * tokens that share it.  Bytes that are no text are blanks: offsets stay those of the tokens. */
#include "text-search-private.h"

#include <string.h>

#define CONTEXT 28 /* characters to each side */

static void
hit_free (gpointer data)
{
  MsTextHit *hit = data;

  g_free (hit->before);
  g_free (hit->match);
  g_free (hit->after);
  g_free (hit);
}

/* The text of a document; starts gets the offset of each token. */
static char *
read_text (MsTrace *trace, const gint32 *ids, const MsDocument *document, GArray *starts,
           gsize *length)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  const char *end;
  char *text;

  g_array_set_size (starts, 0);
  for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
    {
      g_autoptr (GBytes) own = ms_trace_piece_bytes (trace, ids[t]);
      gsize start = bytes->len;

      g_array_append_val (starts, start);
      if (own != NULL)
        g_byte_array_append (bytes, g_bytes_get_data (own, NULL), (guint) g_bytes_get_size (own));
    }
  *length = bytes->len;
  g_byte_array_append (bytes, (const guint8 *) "", 1);
  text = (char *) g_byte_array_steal (bytes, NULL);
  for (char *at = text; !g_utf8_validate (at, (gssize) (text + *length - at), &end);)
    {
      at = text + (end - text);
      *at++ = ' ';
    }
  return text;
}

/* Blanks instead of line breaks. */
static char *
in_one_line (const char *from, const char *to)
{
  char *text = g_strndup (from, (gsize) (to - from));

  g_strdelimit (text, "\n\r\t", ' ');
  return text;
}

static MsTextHit *
make_hit (const char *text, gsize length, gsize from, gsize to)
{
  MsTextHit *hit = g_new0 (MsTextHit, 1);
  const char *start = text + from, *end = text + to;

  for (guint i = 0; i < CONTEXT && start > text; i++)
    start = g_utf8_prev_char (start);
  for (guint i = 0; i < CONTEXT && end < text + length; i++)
    end = g_utf8_next_char (end);
  hit->before = in_one_line (start, text + from);
  hit->match = in_one_line (text + from, text + to);
  hit->after = in_one_line (text + to, end);
  return hit;
}

static void
search_document (MsTrace *trace, guint d, const char *text, gsize length, const GArray *starts,
                 const GRegex *regex, GPtrArray *hits)
{
  g_autoptr (GMatchInfo) match = NULL;
  gint64 token = 0;

  g_regex_match_full (regex, text, (gssize) length, 0, 0, &match, NULL);
  while (g_match_info_matches (match) && hits->len < MS_TEXT_HITS_MOST)
    {
      int from, to;
      MsTextHit *hit;

      g_match_info_fetch_pos (match, 0, &from, &to);
      while (token + 1 < starts->len && g_array_index (starts, gsize, token + 1) <= (gsize) from)
        token++;
      hit = make_hit (text, length, (gsize) from, (gsize) to);
      hit->document = ms_trace_document_number (trace, d);
      hit->token = token;
      hit->n_tokens = 1;
      while (token + hit->n_tokens < starts->len
             && g_array_index (starts, gsize, token + hit->n_tokens) < (gsize) to)
        hit->n_tokens++;
      hit->position = ms_trace_position (trace, ms_trace_document (trace, d)->first_token + token);
      g_ptr_array_add (hits, hit);
      if (!g_match_info_next (match, NULL))
        break;
    }
}

GPtrArray *
ms_text_search (const char *path, gint64 run, const MsSelection *selection, const char *words,
                GCancellable *cancel, GError **error)
{
  g_autoptr (MsTrace) trace = ms_trace_open (path, run, selection, error);
  g_autoptr (GPtrArray) hits = g_ptr_array_new_with_free_func (hit_free);
  g_autoptr (GArray) starts = g_array_new (FALSE, FALSE, sizeof (gsize));
  g_autofree char *pattern = g_regex_escape_string (words, -1);
  g_autoptr (GRegex) regex = NULL;
  g_autofree gint32 *ids = NULL;

  if (trace == NULL)
    return NULL;
  ids = ms_trace_token_ids (trace, error);
  if (ids == NULL)
    return NULL;
  regex = g_regex_new (pattern, G_REGEX_CASELESS | G_REGEX_OPTIMIZE, 0, error);
  if (regex == NULL)
    return NULL;
  for (guint d = 0; d < ms_trace_n_documents (trace) && hits->len < MS_TEXT_HITS_MOST; d++)
    {
      g_autofree char *text = NULL;
      gsize length;

      if (g_cancellable_set_error_if_cancelled (cancel, error))
        return NULL;
      text = read_text (trace, ids, ms_trace_document (trace, d), starts, &length);
      search_document (trace, d, text, length, starts, regex, hits);
    }
  return g_steal_pointer (&hits);
}
