/* Learning byte-level byte pair encoding, and encoding with it.
 *
 * What must hold: the same text gives the same merges; ties go to the pair of lower ids. */
#include "bpe-private.h"

#include "base.h"
#include "collector.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#define BYTES 256

static const char pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
                              "|\\s+(?!\\S)|\\s+";

/* A distinct piece of text and its tokens so far. */
typedef struct
{
  const char *bytes;
  gint32 *ids;
  guint length, n_ids;
  gint64 count;
} Word;

/* A pair of neighbouring tokens: what it became, or while learning where it is. */
typedef struct
{
  guint64 key; /* left << 32 | right */
  gint64 count;
  GArray *words;    /* of guint32, may repeat; NULL once merged */
  gint32 merged;    /* -1 = not */
  gboolean touched; /* grew in this round */
} Pair;

typedef struct
{
  gint64 count;
  guint64 key;
} Candidate;

struct MsBpe
{
  pcre2_code *code;
  pcre2_match_data *match;
  MsArena *arena;
  GHashTable *words; /* set of Word */
  GPtrArray
      *word_list;    /* in order of first appearance, so that learning does not depend on hashes */
  GHashTable *pairs; /* set of Pair */
  GArray *merges;    /* of guint64 keys */
};

static guint
word_hash (gconstpointer data)
{
  const Word *word = data;
  guint64 hash = 1469598103934665603u;

  for (guint i = 0; i < word->length; i++)
    hash = (hash ^ (guint8) word->bytes[i]) * 1099511628211u;
  return (guint) (hash ^ hash >> 32);
}

static gboolean
word_equal (gconstpointer a, gconstpointer b)
{
  const Word *left = a, *right = b;

  return left->length == right->length && memcmp (left->bytes, right->bytes, left->length) == 0;
}

static guint
pair_hash (gconstpointer data)
{
  guint64 key = ((const Pair *) data)->key * 0x9E3779B97F4A7C15u;

  return (guint) (key >> 32);
}

static gboolean
pair_equal (gconstpointer a, gconstpointer b)
{
  return ((const Pair *) a)->key == ((const Pair *) b)->key;
}

static void
pair_free (gpointer data)
{
  Pair *pair = data;

  if (pair->words != NULL)
    g_array_unref (pair->words);
  g_free (pair);
}

static guint64
pair_key (gint32 left, gint32 right)
{
  return (guint64) left << 32 | (guint32) right;
}

static Pair *
find_pair (MsBpe *bpe, guint64 key)
{
  Pair wanted = { .key = key };

  return g_hash_table_lookup (bpe->pairs, &wanted);
}

static Pair *
need_pair (MsBpe *bpe, guint64 key)
{
  Pair *pair = find_pair (bpe, key);

  if (pair == NULL)
    {
      pair = g_new0 (Pair, 1);
      pair->key = key;
      pair->merged = -1;
      pair->words = g_array_new (FALSE, FALSE, sizeof (guint32));
      g_hash_table_add (bpe->pairs, pair);
    }
  return pair;
}

/* The word of these bytes; a new one starts as single bytes. */
static Word *
need_word (MsBpe *bpe, const char *bytes, gsize length, gboolean *is_new)
{
  Word wanted = { .bytes = bytes, .length = (guint) length };
  Word *word = g_hash_table_lookup (bpe->words, &wanted);
  char *copy;

  *is_new = word == NULL;
  if (word != NULL)
    return word;
  word = ms_arena_alloc0 (bpe->arena, sizeof *word);
  copy = ms_arena_alloc (bpe->arena, length);
  memcpy (copy, bytes, length);
  word->bytes = copy;
  word->length = word->n_ids = (guint) length;
  word->ids = ms_arena_array (bpe->arena, gint32, length);
  for (gsize i = 0; i < length; i++)
    word->ids[i] = (guint8) bytes[i];
  g_hash_table_add (bpe->words, word);
  return word;
}

/* The next piece of text at *at, which moves on. */
static gsize
next_piece (MsBpe *bpe, const char *text, gsize length, gsize *at)
{
  gsize from = *at;
  int rc = pcre2_match (bpe->code, (PCRE2_SPTR) text, length, from, PCRE2_NO_UTF_CHECK, bpe->match,
                        NULL);
  const PCRE2_SIZE *found = pcre2_get_ovector_pointer (bpe->match);

  /* The alternatives cover every character; should the matcher give up, the rest is one piece. */
  *at = rc > 0 && found[0] == from && found[1] > from ? found[1] : length;
  return *at - from;
}

/* --- Learning --------------------------------------------------------------------------------- */

static gboolean
comes_first (const Candidate *a, const Candidate *b)
{
  return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static void
heap_push (GArray *heap, Candidate candidate)
{
  guint i = heap->len;
  Candidate *items;

  g_array_append_val (heap, candidate);
  items = (Candidate *) heap->data;
  while (i > 0 && comes_first (&candidate, &items[(i - 1) / 2]))
    {
      items[i] = items[(i - 1) / 2];
      i = (i - 1) / 2;
    }
  items[i] = candidate;
}

static Candidate
heap_pop (GArray *heap)
{
  Candidate *items = (Candidate *) heap->data, top = items[0], last = items[heap->len - 1];
  guint n = heap->len - 1, i = 0;

  for (;;)
    {
      guint child = 2 * i + 1;

      if (child >= n)
        break;
      if (child + 1 < n && comes_first (&items[child + 1], &items[child]))
        child++;
      if (!comes_first (&items[child], &last))
        break;
      items[i] = items[child];
      i = child;
    }
  items[i] = last;
  g_array_set_size (heap, n);
  return top;
}

static void
count_pair (MsBpe *bpe, guint64 key, gint64 count, guint32 word, GArray *touched)
{
  Pair *pair = need_pair (bpe, key);

  pair->count += count;
  if (count < 0)
    return;
  if (pair->words->len == 0 || g_array_index (pair->words, guint32, pair->words->len - 1) != word)
    g_array_append_val (pair->words, word);
  if (touched != NULL && !pair->touched)
    {
      pair->touched = TRUE;
      g_array_append_val (touched, key);
    }
}

/* Replaces the pair in one word and corrects the counts of its neighbours. */
static void
merge_in_word (MsBpe *bpe, guint32 index, guint64 key, gint32 merged, GArray *touched)
{
  Word *word = g_ptr_array_index (bpe->word_list, index);
  guint out = 0;

  for (guint i = 0; i < word->n_ids;)
    {
      if (i + 1 < word->n_ids && pair_key (word->ids[i], word->ids[i + 1]) == key)
        {
          if (out > 0)
            {
              count_pair (bpe, pair_key (word->ids[out - 1], word->ids[i]), -word->count, index,
                          NULL);
              count_pair (bpe, pair_key (word->ids[out - 1], merged), word->count, index, touched);
            }
          if (i + 2 < word->n_ids)
            {
              count_pair (bpe, pair_key (word->ids[i + 1], word->ids[i + 2]), -word->count, index,
                          NULL);
              count_pair (bpe, pair_key (merged, word->ids[i + 2]), word->count, index, touched);
            }
          word->ids[out++] = merged;
          i += 2;
        }
      else
        word->ids[out++] = word->ids[i++];
    }
  word->n_ids = out;
}

static void
count_words (MsBpe *bpe, GPtrArray *texts)
{
  for (guint i = 0; i < texts->len; i++)
    {
      gsize length, at = 0;
      const char *text = g_bytes_get_data (g_ptr_array_index (texts, i), &length);

      while (at < length)
        {
          const char *piece = text + at;
          gboolean is_new;
          Word *word = need_word (bpe, piece, next_piece (bpe, text, length, &at), &is_new);

          word->count++;
          if (is_new)
            g_ptr_array_add (bpe->word_list, word);
        }
    }
  for (guint i = 0; i < bpe->word_list->len; i++)
    {
      const Word *word = g_ptr_array_index (bpe->word_list, i);

      for (guint j = 0; j + 1 < word->n_ids; j++)
        count_pair (bpe, pair_key (word->ids[j], word->ids[j + 1]), word->count, i, NULL);
    }
}

MsBpe *
ms_bpe_learn (GPtrArray *texts, guint vocabulary, GCancellable *cancel, GError **error)
{
  g_autoptr (MsBpe) bpe = g_new0 (MsBpe, 1);
  g_autoptr (GArray) heap = g_array_new (FALSE, FALSE, sizeof (Candidate));
  g_autoptr (GArray) touched = g_array_new (FALSE, FALSE, sizeof (guint64));
  GHashTableIter iter;
  gpointer value;
  int code;
  PCRE2_SIZE where;

  bpe->code = pcre2_compile ((PCRE2_SPTR) pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                             &code, &where, NULL);
  g_assert (bpe->code != NULL);
  pcre2_jit_compile (bpe->code, PCRE2_JIT_COMPLETE);
  bpe->match = pcre2_match_data_create_from_pattern (bpe->code, NULL);
  bpe->arena = ms_arena_new (1 << 20);
  bpe->words = g_hash_table_new (word_hash, word_equal);
  bpe->word_list = g_ptr_array_new ();
  bpe->pairs = g_hash_table_new_full (pair_hash, pair_equal, pair_free, NULL);
  bpe->merges = g_array_new (FALSE, FALSE, sizeof (guint64));

  count_words (bpe, texts);
  g_hash_table_iter_init (&iter, bpe->pairs);
  while (g_hash_table_iter_next (&iter, &value, NULL))
    heap_push (heap, (Candidate){ ((Pair *) value)->count, ((Pair *) value)->key });
  while (BYTES + bpe->merges->len + 1 < vocabulary && heap->len > 0)
    {
      Candidate best = heap_pop (heap);
      Pair *pair = find_pair (bpe, best.key);
      gint32 merged = BYTES + (gint32) bpe->merges->len;
      g_autoptr (GArray) words = NULL;

      if (g_cancellable_set_error_if_cancelled (cancel, error))
        return NULL;
      if (pair->merged >= 0 || pair->count < 2)
        continue;
      if (pair->count != best.count)
        {
          /* Entries are not updated in place: a lower count goes back to its place now. */
          if (pair->count < best.count)
            heap_push (heap, (Candidate){ pair->count, pair->key });
          continue;
        }
      pair->merged = merged;
      g_array_append_val (bpe->merges, pair->key);
      words = g_array_ref (pair->words);
      g_array_set_size (touched, 0);
      for (guint i = 0; i < words->len; i++)
        merge_in_word (bpe, g_array_index (words, guint32, i), best.key, merged, touched);
      for (guint i = 0; i < touched->len; i++)
        {
          Pair *grown = find_pair (bpe, g_array_index (touched, guint64, i));

          grown->touched = FALSE;
          heap_push (heap, (Candidate){ grown->count, grown->key });
        }
    }
  g_hash_table_iter_init (&iter, bpe->pairs);
  while (g_hash_table_iter_next (&iter, &value, NULL))
    {
      Pair *pair = value;

      g_clear_pointer (&pair->words, g_array_unref);
      if (pair->merged < 0)
        g_hash_table_iter_remove (&iter);
    }
  return g_steal_pointer (&bpe);
}

void
ms_bpe_free (MsBpe *bpe)
{
  if (bpe == NULL)
    return;
  g_clear_pointer (&bpe->words, g_hash_table_unref);
  g_clear_pointer (&bpe->word_list, g_ptr_array_unref);
  g_clear_pointer (&bpe->pairs, g_hash_table_unref);
  g_clear_pointer (&bpe->merges, g_array_unref);
  pcre2_match_data_free (bpe->match);
  pcre2_code_free (bpe->code);
  ms_arena_free (bpe->arena);
  g_free (bpe);
}

guint
ms_bpe_size (const MsBpe *bpe)
{
  return BYTES + bpe->merges->len + 1;
}

guint
ms_bpe_end_of_text (const MsBpe *bpe)
{
  return ms_bpe_size (bpe) - 1;
}

/* --- Encoding --------------------------------------------------------------------------------- */

/* Merges a new word's pairs, the earliest learned first. */
static void
apply_merges (MsBpe *bpe, Word *word)
{
  for (;;)
    {
      const Pair *best = NULL;
      guint out = 0;

      for (guint i = 0; i + 1 < word->n_ids; i++)
        {
          const Pair *pair = find_pair (bpe, pair_key (word->ids[i], word->ids[i + 1]));

          if (pair != NULL && (best == NULL || pair->merged < best->merged))
            best = pair;
        }
      if (best == NULL)
        return;
      for (guint i = 0; i < word->n_ids;)
        if (i + 1 < word->n_ids && pair_key (word->ids[i], word->ids[i + 1]) == best->key)
          {
            word->ids[out++] = best->merged;
            i += 2;
          }
        else
          word->ids[out++] = word->ids[i++];
      word->n_ids = out;
    }
}

void
ms_bpe_encode (MsBpe *bpe, const char *text, gsize length, GArray *ids)
{
  gsize at = 0;

  while (at < length)
    {
      const char *piece = text + at;
      gboolean is_new;
      Word *word = need_word (bpe, piece, next_piece (bpe, text, length, &at), &is_new);

      if (is_new)
        apply_merges (bpe, word);
      for (guint i = 0; i < word->n_ids; i++)
        {
          guint16 id = (guint16) word->ids[i];

          g_array_append_val (ids, id);
        }
    }
}

/* GPT-2's stand-ins: printable Latin-1 bytes are themselves, the others follow from U+0100 on. */
static gunichar
byte_character (guint byte)
{
  guint others = 0;

  if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174)
    return byte;
  for (guint b = 0; b < byte; b++)
    if (!((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174))
      others++;
  return 256 + others;
}

static void
append_token (const MsBpe *bpe, guint id, GString *out)
{
  if (id < BYTES)
    g_string_append_unichar (out, byte_character (id));
  else
    {
      guint64 key = g_array_index (bpe->merges, guint64, id - BYTES);

      append_token (bpe, (guint) (key >> 32), out);
      append_token (bpe, (guint) (key & G_MAXUINT32), out);
    }
}

guint
ms_bpe_token_bytes (const MsBpe *bpe, guint id)
{
  guint64 key;

  if (id < BYTES)
    return 1;
  if (id == ms_bpe_end_of_text (bpe))
    return 0;
  key = g_array_index (bpe->merges, guint64, id - BYTES);
  return ms_bpe_token_bytes (bpe, (guint) (key >> 32))
         + ms_bpe_token_bytes (bpe, (guint) (key & G_MAXUINT32));
}

char *
ms_bpe_token (const MsBpe *bpe, guint id)
{
  GString *out = g_string_new (NULL);

  if (id == ms_bpe_end_of_text (bpe))
    g_string_append (out, "<|endoftext|>");
  else
    append_token (bpe, id, out);
  return g_string_free (out, FALSE);
}

char *
ms_bpe_merge (const MsBpe *bpe, guint i)
{
  guint64 key = g_array_index (bpe->merges, guint64, i);
  GString *out = g_string_new (NULL);

  append_token (bpe, (guint) (key >> 32), out);
  g_string_append_c (out, ' ');
  append_token (bpe, (guint) (key & G_MAXUINT32), out);
  return g_string_free (out, FALSE);
}
