/* Two tokenizers merge neighbours until nothing fits: `llama` (SentencePiece) joins the pair whose
 * result has the best score in the vocabulary, `gpt2` (byte-pair encoding) the pair that stands first in
 * its list of merges, within words.  So one merge loop serves both, with a heap: O(n log n).  The other two
 * have files of their own: `t5` (unigram.c) and `bert` (wordpiece.c).
 *
 * Works on raw bytes: vocabulary entries are decoded once (byte alphabet of gpt2; U+2581 for spaces), so
 * text is used as it is.  Words are remembered, as most text repeats them. */
#include "gguf-private.h"
#include "piece-map-private.h"
#include "pretokenizer-private.h"
#include "unigram-private.h"
#include "wordpiece-private.h"

#include <math.h>
#include <string.h>

#define LOWER_BLOCK "\xe2\x96\x81" /* U+2581 */

/* tokenizer.ggml.token_type */
enum
{
  TYPE_NORMAL = 1,
  TYPE_UNKNOWN = 2,
  TYPE_CONTROL = 3,
  TYPE_USER = 4, /* taken as a whole wherever it stands in the text */
  TYPE_UNUSED = 5,
  TYPE_BYTE = 6,
};

/* tokenizer.ggml.model */
typedef enum
{
  KIND_LLAMA,
  KIND_GPT2, /* and gemma4 */
  KIND_UNIGRAM,
  KIND_WORDPIECE,
} Kind;

typedef enum
{
  ALPHABET_BYTES, /* of gpt2: each byte a printable character */
  ALPHABET_TEXT,  /* UTF-8 with U+2581 for spaces, and <0xHH> for bytes */
} Alphabet;

/* Tokens that are looked for as a whole. */
typedef struct
{
  GArray *ids;          /* of gint32, longest first */
  MsPieceMap *ranks;    /* text -> index into ids */
  GArray *lengths[256]; /* of gsize: first byte -> their lengths, longest first; NULL: none */
} Whole;

struct MsTokenizer
{
  MsGguf *gguf; /* keeps the strings */
  char *name;
  Kind kind;
  MsPretokenizer *pre; /* gpt2 only */
  Alphabet alphabet;
  guint n;              /* V */
  GStringChunk *chunk;  /* decoded strings */
  MsGgufString *texts;  /* (V) as in the file */
  MsGgufString *pieces; /* (V) */
  MsPieceMap *symbols;  /* bytes -> symbol: tokens by their id, then parts of merges from V on */
  float *scores;        /* (V), llama and unigram */
  MsPieceMap *merges;   /* pair of symbols (gint32[2]) -> rank, gpt2 only */
  gint32 (*pairs)[2];   /* keys of merges */
  GArray *merged;       /* of gint32: symbol made by the merge of each rank */
  gint32 byte_tokens[256];
  gsize longest;        /* bytes of the longest token; 0: some text gives no token */
  gint32 unknown;       /* -1: none */
  gint32 bos, eos;      /* what documents begin and end with; -1: nothing */
  gboolean add_space;   /* llama, unigram: the text gets a space in front */
  gboolean split_words; /* llama, unigram: no token goes over the start of a word */
  gsize longest_piece;  /* bytes of the longest token, whatever else */
  /* Unigram only. */
  MsUnigram unigram;
  MsCharsmap *charsmap; /* NULL: characters stay what they are */
  gboolean merge_spaces;
  MsWordpieceRules rules; /* WordPiece only */
  Whole users;            /* user-defined tokens */
  Whole specials;         /* these, control tokens and the unknown one */
  GMutex lock;
  GPtrArray *idle; /* of Worker: scratch not in use */
};

typedef struct
{
  const char *text;
  guint32 length; /* 0: joined to the one before */
  gint32 symbol;  /* -1: not in the vocabulary */
  gint32 prev, next;
} Symbol;

typedef struct
{
  double cost; /* smaller first, then by position */
  gint32 left, right;
  guint32 length;
  gint32 symbol;
} Pair;

/* What one thread needs for encoding. */
typedef struct
{
  MsSplitter *splitter; /* NULL: llama */
  GArray *symbols;      /* of Symbol */
  GArray *heap;         /* of Pair */
  GByteArray *spaced;   /* text with U+2581 replaced; the word under way */
  GArray *cells;        /* unigram only */
  /* Ids of words seen: map value i -> ids spans[2 i] .. spans[2 i + 1] - 1. */
  MsPieceMap *cache;
  MsArena *keys;
  GArray *spans; /* of guint */
  GArray *ids;   /* of gint32 */
  /* The text under way. */
  const MsEncoding *how;
  gsize too_long; /* bytes of a word that cannot be merged; 0: none */
  gint64 lost;    /* bytes that no token stands for */
  guint8 first_lost;
} Worker;

/* Longer words are refused: merging takes some 70 bytes for each of theirs. */
#define MAX_WORD ((gsize) 4 << 20)
/* How far beyond the last token that is used a word is merged, so that its end changes nothing. */
#define BEYOND_LIMIT  65536
#define CACHED_WORDS  65536
#define CACHED_LENGTH 64

static void
worker_free (gpointer data)
{
  Worker *worker = data;

  ms_splitter_free (worker->splitter);
  g_array_unref (worker->symbols);
  g_array_unref (worker->heap);
  g_byte_array_unref (worker->spaced);
  g_array_unref (worker->cells);
  ms_piece_map_free (worker->cache);
  ms_arena_free (worker->keys);
  g_array_unref (worker->spans);
  g_array_unref (worker->ids);
  g_free (worker);
}

/* Whether no more ids are wanted. */
static gboolean
has_ended (const Worker *worker, const GArray *ids)
{
  return worker->too_long > 0 || (worker->how->limit > 0 && ids->len >= worker->how->limit)
         || g_cancellable_is_cancelled (worker->how->cancel);
}

static Worker *
take_worker (MsTokenizer *tokenizer)
{
  Worker *worker = NULL;

  g_mutex_lock (&tokenizer->lock);
  if (tokenizer->idle->len > 0)
    worker = g_ptr_array_steal_index (tokenizer->idle, tokenizer->idle->len - 1);
  g_mutex_unlock (&tokenizer->lock);
  if (worker != NULL)
    return worker;
  worker = g_new0 (Worker, 1);
  worker->splitter = tokenizer->pre ? ms_splitter_new (tokenizer->pre) : NULL;
  worker->symbols = g_array_new (FALSE, FALSE, sizeof (Symbol));
  worker->heap = g_array_new (FALSE, FALSE, sizeof (Pair));
  worker->spaced = g_byte_array_new ();
  worker->cells = g_array_new (FALSE, FALSE, MS_UNIGRAM_CELL);
  worker->cache = ms_piece_map_new ();
  worker->keys = ms_arena_new (1 << 20);
  worker->spans = g_array_new (FALSE, FALSE, sizeof (guint));
  worker->ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  return worker;
}

static void
give_worker (MsTokenizer *tokenizer, Worker *worker)
{
  g_mutex_lock (&tokenizer->lock);
  g_ptr_array_add (tokenizer->idle, worker);
  g_mutex_unlock (&tokenizer->lock);
}

/* --- Merging ---------------------------------------------------------------------------------- */

static gboolean
before (const Pair *a, const Pair *b)
{
  return a->cost < b->cost || (a->cost == b->cost && a->left < b->left);
}

static void
heap_push (GArray *heap, Pair pair)
{
  guint i = heap->len;
  Pair *pairs;

  g_array_append_val (heap, pair);
  pairs = (Pair *) (gpointer) heap->data;
  for (; i > 0 && before (&pair, &pairs[(i - 1) / 2]); i = (i - 1) / 2)
    pairs[i] = pairs[(i - 1) / 2];
  pairs[i] = pair;
}

static Pair
heap_pop (GArray *heap)
{
  Pair *pairs = (Pair *) (gpointer) heap->data;
  Pair top = pairs[0], last = pairs[heap->len - 1];
  guint n = heap->len - 1, i = 0;

  g_array_set_size (heap, n);
  for (guint child = 1; child < n; child = 2 * i + 1)
    {
      child += child + 1 < n && before (&pairs[child + 1], &pairs[child]);
      if (!before (&pairs[child], &last))
        break;
      pairs[i] = pairs[child];
      i = child;
    }
  if (n > 0)
    pairs[i] = last;
  return top;
}

/* Puts the pair of symbols onto the heap if it can be merged. */
static void
consider (const MsTokenizer *tokenizer, Worker *worker, gint32 left, gint32 right)
{
  const Symbol *symbols = (const Symbol *) (gconstpointer) worker->symbols->data;
  const Symbol *a, *b;
  Pair pair = { .left = left, .right = right };

  if (left < 0 || right < 0)
    return;
  a = &symbols[left];
  b = &symbols[right];
  pair.length = a->length + b->length;
  if (tokenizer->kind == KIND_GPT2)
    {
      const gint32 key[2] = { a->symbol, b->symbol };
      gint32 rank = ms_piece_map_find (tokenizer->merges, key, sizeof key);

      if (rank < 0)
        return;
      pair.cost = rank;
      pair.symbol = g_array_index (tokenizer->merged, gint32, rank);
    }
  else
    {
      pair.symbol = ms_piece_map_find (tokenizer->symbols, a->text, pair.length);
      if (pair.symbol < 0)
        return;
      pair.cost = -(double) tokenizer->scores[pair.symbol];
    }
  heap_push (worker->heap, pair);
}

/* Appends the token of a byte that is in no other one, else the unknown token, else it is counted. */
static void
append_byte (const MsTokenizer *tokenizer, Worker *worker, guint8 byte, GArray *ids)
{
  gint32 id = tokenizer->byte_tokens[byte];

  if (id < 0)
    id = tokenizer->unknown;
  if (id >= 0)
    g_array_append_val (ids, id);
  else if (worker->lost++ == 0)
    worker->first_lost = byte;
}

/* Appends the token of a symbol, or those of its bytes. */
static void
append_symbol (const MsTokenizer *tokenizer, Worker *worker, const Symbol *symbol, GArray *ids)
{
  if (symbol->symbol >= 0 && (guint) symbol->symbol < tokenizer->n)
    g_array_append_val (ids, symbol->symbol);
  else
    for (guint32 i = 0; i < symbol->length; i++)
      append_byte (tokenizer, worker, (guint8) symbol->text[i], ids);
}

/* The bytes of a word of which the ids that are used can come. */
static gsize
cut_word (const MsTokenizer *tokenizer, const Worker *worker, const char *word, gsize length,
          const GArray *ids)
{
  gsize wanted = worker->how->limit > ids->len ? worker->how->limit - ids->len : 0;
  gsize most;

  if (wanted == 0 || tokenizer->longest == 0
      || !g_size_checked_mul (&most, wanted, tokenizer->longest) || most >= length
      || length - most <= BEYOND_LIMIT)
    return length;
  most += BEYOND_LIMIT;
  while ((word[most] & 0xc0) == 0x80)
    most--;
  return most;
}

static void
merge_word (const MsTokenizer *tokenizer, Worker *worker, const char *word, gsize length,
            GArray *ids)
{
  Symbol *symbols;

  g_array_set_size (worker->symbols, 0);
  g_array_set_size (worker->heap, 0);
  for (gsize at = 0; at < length;)
    {
      gint32 i = (gint32) worker->symbols->len;
      guint32 n = tokenizer->alphabet == ALPHABET_BYTES
                      ? 1
                      : (guint32) (g_utf8_next_char (word + at) - (word + at));
      Symbol symbol = { word + at, n, -1, i - 1, i + 1 };

      if (i % 65536 == 65535 && g_cancellable_is_cancelled (worker->how->cancel))
        return;
      symbol.symbol = ms_piece_map_find (tokenizer->symbols, word + at, n);
      at += n;
      if (at == length)
        symbol.next = -1;
      g_array_append_val (worker->symbols, symbol);
    }
  symbols = (Symbol *) (gpointer) worker->symbols->data;
  for (guint i = 1; i < worker->symbols->len; i++)
    {
      if (i % 65536 == 0 && g_cancellable_is_cancelled (worker->how->cancel))
        return;
      consider (tokenizer, worker, (gint32) i - 1, (gint32) i);
    }
  for (guint i = 1; worker->heap->len > 0; i++)
    {
      Pair pair = heap_pop (worker->heap);
      Symbol *left = &symbols[pair.left], *right = &symbols[pair.right];

      if (i % 65536 == 0 && g_cancellable_is_cancelled (worker->how->cancel))
        return;
      /* Either may have been merged with another neighbour meanwhile. */
      if (left->length == 0 || right->length == 0 || left->length + right->length != pair.length)
        continue;
      left->length = pair.length;
      left->symbol = pair.symbol;
      left->next = right->next;
      right->length = 0;
      if (left->next >= 0)
        symbols[left->next].prev = pair.left;
      consider (tokenizer, worker, left->prev, pair.left);
      consider (tokenizer, worker, pair.left, left->next);
    }
  for (gint32 i = worker->symbols->len > 0 ? 0 : -1; i >= 0; i = symbols[i].next)
    append_symbol (tokenizer, worker, &symbols[i], ids);
}

/* Appends the ids of a word, by whatever rule. */
static void
cut_into_tokens (const MsTokenizer *tokenizer, Worker *worker, const char *word, gsize length,
                 GArray *ids)
{
  length = cut_word (tokenizer, worker, word, length, ids);
  if (length > MAX_WORD)
    worker->too_long = length;
  else if (tokenizer->kind == KIND_UNIGRAM)
    ms_unigram_cut (&tokenizer->unigram, word, length, worker->cells, ids, worker->how->cancel);
  else if (tokenizer->kind == KIND_WORDPIECE)
    ms_wordpiece_cut (tokenizer->symbols, (gint32) tokenizer->n, tokenizer->longest_piece,
                      tokenizer->unknown, word, length, ids, worker->how->cancel);
  else
    merge_word (tokenizer, worker, word, length, ids);
}

static gboolean
is_newlines (const char *word, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (word[i] != '\n')
      return FALSE;
  return TRUE;
}

/* A word that is a token and, by its rule, needs no merging: its id, else -1. */
static gint32
whole_word (const MsTokenizer *tokenizer, const char *word, gsize length)
{
  guint flags = tokenizer->pre ? ms_pretokenizer_flags (tokenizer->pre) : 0;
  gint32 id;

  if ((flags & MS_PRE_WHOLE_WORDS) == 0
      && ((flags & MS_PRE_WHOLE_NEWLINES) == 0 || !is_newlines (word, length)))
    return -1;
  id = ms_piece_map_find (tokenizer->symbols, word, length);
  return id >= 0 && (guint) id < tokenizer->n ? id : -1;
}

static void
encode_word (const MsTokenizer *tokenizer, Worker *worker, const char *word, gsize length,
             GArray *ids)
{
  guint first = ids->len;
  gint64 lost = worker->lost;
  gint32 known, whole;

  known = length <= CACHED_LENGTH ? ms_piece_map_find (worker->cache, word, length) : -1;
  if (known >= 0)
    {
      const guint *span = &g_array_index (worker->spans, guint, 2 * known);

      g_array_append_vals (ids, &g_array_index (worker->ids, gint32, span[0]), span[1] - span[0]);
      return;
    }
  whole = whole_word (tokenizer, word, length);
  if (whole >= 0)
    g_array_append_val (ids, whole);
  else
    cut_into_tokens (tokenizer, worker, word, length, ids);
  if (length > CACHED_LENGTH || worker->lost > lost)
    return;
  if (ms_piece_map_size (worker->cache) == CACHED_WORDS)
    {
      ms_piece_map_clear (worker->cache);
      ms_arena_reset (worker->keys);
      g_array_set_size (worker->spans, 0);
      g_array_set_size (worker->ids, 0);
    }
  {
    char *key = ms_arena_alloc (worker->keys, length);
    guint span[2] = { worker->ids->len, worker->ids->len + ids->len - first };

    memcpy (key, word, length);
    ms_piece_map_add (worker->cache, key, length, (gint32) (worker->spans->len / 2));
    g_array_append_vals (worker->spans, span, 2);
    if (ids->len > first)
      g_array_append_vals (worker->ids, &g_array_index (ids, gint32, first), ids->len - first);
  }
}

/* --- Text ------------------------------------------------------------------------------------- */

static void
encode_wordpiece (const MsTokenizer *tokenizer, Worker *worker, const char *text, gsize length,
                  GArray *ids)
{
  gsize at = 0;

  while (!has_ended (worker, ids)
         && ms_wordpiece_next (tokenizer->rules, text, length, &at, worker->spaced))
    encode_word (tokenizer, worker, (const char *) worker->spaced->data, worker->spaced->len, ids);
}

/* Encodes the word under way; `start` is where the ids of the text begin. */
static void
flush_unigram (const MsTokenizer *tokenizer, Worker *worker, guint start, GArray *ids)
{
  guint first = ids->len;

  if (worker->spaced->len > 0)
    encode_word (tokenizer, worker, (const char *) worker->spaced->data, worker->spaced->len, ids);
  g_byte_array_set_size (worker->spaced, 0);
  /* Characters that are no piece are one unknown token together, over the borders of words, too. */
  if (first > start && ids->len > first && tokenizer->unknown >= 0
      && g_array_index (ids, gint32, first) == tokenizer->unknown
      && g_array_index (ids, gint32, first - 1) == tokenizer->unknown)
    g_array_remove_index (ids, first);
}

/* Replaces characters and spaces, and encodes word by word. */
static void
encode_unigram (const MsTokenizer *tokenizer, Worker *worker, const char *text, gsize length,
                gboolean add_space, GArray *ids)
{
  GByteArray *word = worker->spaced;
  guint start = ids->len;
  gboolean in_word = FALSE, begun = FALSE;
  gsize used;

  g_byte_array_set_size (word, 0);
  for (gsize at = 0; at < length && word->len <= MAX_WORD && !has_ended (worker, ids); at += used)
    {
      const char *with = text + at;
      gsize n = 0;

      used = ms_charsmap_match (tokenizer->charsmap, text + at, length - at, &with, &n);
      if (used == 0)
        used = n = (gsize) (g_utf8_next_char (with) - with);
      for (gsize i = 0; i < n; i++)
        {
          gboolean block = n - i >= 3 && memcmp (with + i, LOWER_BLOCK, 3) == 0;
          gboolean space = with[i] == ' ';
          guint spaces = 0;

          if (space)
            spaces = !tokenizer->merge_spaces;
          else if (!in_word)
            spaces = (add_space && !begun) || tokenizer->merge_spaces;
          begun |= !space && !in_word;
          in_word = !space;
          spaces += block;
          if (spaces > 0 && tokenizer->split_words && word->len > 0
              && word->data[word->len - 1] != ' ')
            flush_unigram (tokenizer, worker, start, ids);
          for (guint j = 0; j < spaces; j++)
            g_byte_array_append (word, (const guint8 *) " ", 1);
          if (!space && !block)
            g_byte_array_append (word, (const guint8 *) with + i, 1);
          i += block ? 2 : 0;
        }
    }
  flush_unigram (tokenizer, worker, start, ids);
}

/* Valid UTF-8 (with NUL characters). */
static void
encode_valid (const MsTokenizer *tokenizer, Worker *worker, const char *text, gsize length,
              gboolean add_space, GArray *ids)
{
  gsize from = 0;

  if (tokenizer->kind == KIND_WORDPIECE)
    {
      encode_wordpiece (tokenizer, worker, text, length, ids);
      return;
    }
  if (tokenizer->kind == KIND_UNIGRAM)
    {
      encode_unigram (tokenizer, worker, text, length, add_space, ids);
      return;
    }
  if (tokenizer->alphabet == ALPHABET_TEXT
      && (add_space || memmem (text, length, LOWER_BLOCK, 3) != NULL))
    {
      const char *block;

      g_byte_array_set_size (worker->spaced, 0);
      if (add_space)
        g_byte_array_append (worker->spaced, (const guint8 *) " ", 1);
      for (; (block = memmem (text, length, LOWER_BLOCK, 3)) != NULL; text = block + 3)
        {
          g_byte_array_append (worker->spaced, (const guint8 *) text, (guint) (block - text));
          g_byte_array_append (worker->spaced, (const guint8 *) " ", 1);
          length -= (gsize) (block - text) + 3;
        }
      g_byte_array_append (worker->spaced, (const guint8 *) text, (guint) length);
      text = (const char *) worker->spaced->data;
      length = worker->spaced->len;
    }
  if (tokenizer->pre != NULL)
    {
      gsize n;
      const gsize *ends
          = ms_splitter_split (worker->splitter, text, length, worker->how->cancel, &n);

      for (gsize i = 0; i < n && !has_ended (worker, ids); from = ends[i++])
        encode_word (tokenizer, worker, text + from, ends[i] - from, ids);
      return;
    }
  for (gsize i = 1; i < length && tokenizer->split_words; i++)
    if (text[i] == ' ' && text[i - 1] != ' ')
      {
        if (has_ended (worker, ids))
          return;
        encode_word (tokenizer, worker, text + from, i - from, ids);
        from = i;
      }
  if (from < length)
    encode_word (tokenizer, worker, text + from, length - from, ids);
}

/* How many of the bytes from the start on are UTF-8; NUL characters are. */
static gsize
valid_length (const char *text, gsize length)
{
  const char *at = text, *end = text + length;

  while (at < end && !g_utf8_validate_len (at, (gsize) (end - at), &at) && *at == '\0')
    at++;
  return (gsize) (at - text);
}

/* Text between user-defined tokens; bytes that are no UTF-8 are tokens of their own. */
static void
encode_plain (const MsTokenizer *tokenizer, Worker *worker, const char *text, gsize length,
              GArray *ids)
{
  gboolean add_space = tokenizer->add_space;

  while (length > 0 && !has_ended (worker, ids))
    {
      gsize valid = valid_length (text, length);

      if (valid > 0)
        encode_valid (tokenizer, worker, text, valid, add_space, ids);
      if (valid < length)
        append_byte (tokenizer, worker, (guint8) text[valid++], ids);
      text += valid;
      length -= valid;
      add_space = FALSE;
    }
}

/* A token that stands in the text as a whole. */
typedef struct
{
  gint32 rank; /* in the order of Whole.ids */
  gsize at, length;
} Place;

static int
by_rank (gconstpointer a, gconstpointer b)
{
  const Place *p = a, *q = b;

  return p->rank != q->rank ? (p->rank > q->rank) - (p->rank < q->rank)
                            : (p->at > q->at) - (p->at < q->at);
}

static int
by_place (gconstpointer a, gconstpointer b)
{
  const Place *p = a, *q = b;

  return (p->at > q->at) - (p->at < q->at);
}

/* Wherever one of the tokens stands, in one pass over the text; NULL when none does. */
static GArray *
find_all (const Whole *whole, const char *text, gsize length, GCancellable *cancel)
{
  GArray *places = NULL;

  for (gsize at = 0; at < length; at++)
    {
      if (at % 65536 == 0 && g_cancellable_is_cancelled (cancel))
        break;
      const GArray *lengths = whole->lengths[(guint8) text[at]];

      for (guint i = 0; lengths != NULL && i < lengths->len; i++)
        {
          gsize n = g_array_index (lengths, gsize, i);
          Place place = { -1, at, n };

          if (n <= length - at)
            place.rank = ms_piece_map_find (whole->ranks, text + at, n);
          if (place.rank < 0)
            continue;
          if (places == NULL)
            places = g_array_new (FALSE, FALSE, sizeof (Place));
          g_array_append_val (places, place);
        }
    }
  return places;
}

/* Those that are cut out, in the order of the text: longer tokens are taken before shorter ones, the same
 * token from the left, and none where another was taken.  NULL when there is none. */
static GArray *
find_whole (const Whole *whole, const char *text, gsize length, GCancellable *cancel)
{
  GArray *places = find_all (whole, text, length, cancel);
  g_autofree guint8 *taken = places != NULL ? g_malloc0 (length) : NULL;
  guint n = 0;

  if (places == NULL)
    return NULL;
  g_array_sort (places, by_rank);
  for (guint i = 0; i < places->len; i++)
    {
      Place place = g_array_index (places, Place, i);

      /* What was taken is no shorter, so it covers an end of whatever it overlaps. */
      if (taken[place.at] || taken[place.at + place.length - 1])
        continue;
      memset (taken + place.at, 1, place.length);
      g_array_index (places, Place, n++) = place;
    }
  g_array_set_size (places, n);
  g_array_sort (places, by_place);
  return places;
}

/* How many control tokens the text spells. */
static gint64
count_controls (const MsTokenizer *tokenizer, const char *text, gsize length, GCancellable *cancel)
{
  g_autoptr (GArray) places = NULL;
  gint64 n = 0;

  if (tokenizer->specials.ids->len == tokenizer->users.ids->len)
    return 0;
  places = find_whole (&tokenizer->specials, text, length, cancel);
  for (guint i = 0; places != NULL && i < places->len; i++)
    {
      const Place *place = &g_array_index (places, Place, i);

      n += ms_piece_map_find (tokenizer->users.ranks, text + place->at, place->length) < 0;
    }
  return n;
}

gboolean
ms_tokenizer_encode_with (MsTokenizer *tokenizer, const MsEncoding *how, const char *text,
                          gsize length, GArray *ids, MsEncoded *encoded, GError **error)
{
  const Whole *whole = how->special ? &tokenizer->specials : &tokenizer->users;
  Worker *worker = take_worker (tokenizer);
  g_autoptr (GArray) places = find_whole (whole, text, length, how->cancel);
  gsize from = 0, too_long;

  worker->how = how;
  worker->too_long = 0;
  worker->lost = 0;
  for (guint i = 0; places != NULL && i < places->len && !has_ended (worker, ids); i++)
    {
      const Place *place = &g_array_index (places, Place, i);

      if (place->at > from)
        encode_plain (tokenizer, worker, text + from, place->at - from, ids);
      g_array_append_val (ids, g_array_index (whole->ids, gint32, place->rank));
      from = place->at + place->length;
    }
  if (length > from && !has_ended (worker, ids))
    {
      encode_plain (tokenizer, worker, text + from, length - from, ids);
      from = length;
    }
  too_long = worker->too_long;
  if (encoded != NULL)
    *encoded = (MsEncoded){ how->special ? 0 : count_controls (tokenizer, text, from, how->cancel),
                            worker->lost, worker->first_lost };
  give_worker (tokenizer, worker);
  if (too_long > 0)
    g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT,
                 "a word of %" G_GSIZE_FORMAT " bytes is too long for the model's tokenizer (most: "
                 "%" G_GSIZE_FORMAT "); break the text, or cut it with --max-tokens",
                 too_long, MAX_WORD);
  return too_long == 0 && !g_cancellable_set_error_if_cancelled (how->cancel, error);
}

void
ms_tokenizer_encode (MsTokenizer *tokenizer, const char *text, gsize length, GArray *ids)
{
  ms_tokenizer_encode_with (tokenizer, &(MsEncoding){ FALSE, 0, NULL }, text, length, ids, NULL,
                            NULL);
}

/* --- Loading ---------------------------------------------------------------------------------- */

/* The byte that a character of gpt2's alphabet stands for; -1 for other characters.  Printable Latin-1
 * stands for itself, the other 68 bytes in order are U+0100 and up. */
static int
byte_of_char (gunichar c)
{
  if ((c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xff && c != 0xad))
    return (int) c;
  if (c >= 0x100 && c <= 0x120)
    return (int) (c - 0x100);
  if (c >= 0x121 && c <= 0x142)
    return (int) (c - 0x121 + 0x7f);
  return c == 0x143 ? 0xad : -1;
}

/* The text that an entry of the vocabulary or of the merges stands for; FALSE when it cannot occur. */
static gboolean
decode (const MsTokenizer *tokenizer, MsGgufString string, MsGgufString *decoded)
{
  g_autoptr (GByteArray) bytes = g_byte_array_sized_new ((guint) string.length);
  const char *at = string.bytes, *end = at + string.length;

  while (at < end)
    {
      gunichar c = g_utf8_get_char (at);
      const char *next = g_utf8_next_char (at);
      guint8 byte = ' ';

      if (tokenizer->alphabet == ALPHABET_BYTES)
        {
          int value = byte_of_char (c);

          if (value < 0)
            return FALSE;
          byte = (guint8) value;
          g_byte_array_append (bytes, &byte, 1);
        }
      else if (c == ' ')
        return FALSE;
      else if (c == 0x2581)
        g_byte_array_append (bytes, &byte, 1);
      else
        g_byte_array_append (bytes, (const guint8 *) at, (guint) (next - at));
      at = next;
    }
  *decoded = (MsGgufString){
    g_string_chunk_insert_len (tokenizer->chunk, (const char *) bytes->data, bytes->len), bytes->len
  };
  return bytes->len > 0;
}

/* "<0x0A>" -> 10; -1 for other strings. */
static int
byte_of_name (MsGgufString text)
{
  if (text.length != 6 || memcmp (text.bytes, "<0x", 3) != 0 || text.bytes[5] != '>'
      || !g_ascii_isxdigit (text.bytes[3]) || !g_ascii_isxdigit (text.bytes[4]))
    return -1;
  return g_ascii_xdigit_value (text.bytes[3]) * 16 + g_ascii_xdigit_value (text.bytes[4]);
}

static gboolean fail (const MsTokenizer *tokenizer, GError **error, MsCollectorError code,
                      const char *format, ...) G_GNUC_PRINTF (4, 5);

static gboolean
fail (const MsTokenizer *tokenizer, GError **error, MsCollectorError code, const char *format, ...)
{
  g_autofree char *message = NULL;
  g_autofree char *path = ms_text_printable (ms_gguf_path (tokenizer->gguf), -1);
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, MS_COLLECTOR_ERROR, code, "%s: %s", path, message);
  return FALSE;
}

static gboolean
load_pieces (MsTokenizer *tokenizer, const gint32 *types, GError **error)
{
  tokenizer->pieces = g_new (MsGgufString, tokenizer->n);
  for (int i = 0; i < 256; i++)
    tokenizer->byte_tokens[i] = -1;
  for (guint i = 0; i < tokenizer->n; i++)
    {
      MsGgufString text = tokenizer->texts[i], decoded;
      gint32 type = types ? types[i] : TYPE_NORMAL;
      gboolean plain = type != TYPE_CONTROL && type != TYPE_USER && type != TYPE_UNKNOWN;
      gboolean occurs;
      int byte = tokenizer->alphabet == ALPHABET_TEXT ? byte_of_name (text) : -1;

      if (!g_utf8_validate_len (text.bytes, text.length, NULL))
        return fail (tokenizer, error, MS_COLLECTOR_ERROR_CORRUPT,
                     "token %u of the vocabulary is not UTF-8", i);
      occurs = decode (tokenizer, text, &decoded);
      tokenizer->pieces[i] = plain && occurs ? decoded : text;
      if (occurs)
        ms_piece_map_add (tokenizer->symbols, decoded.bytes, decoded.length, (gint32) i);
      if (byte >= 0 && (type == TYPE_BYTE || type == TYPE_NORMAL))
        {
          char value = (char) byte;

          tokenizer->pieces[i]
              = (MsGgufString){ g_string_chunk_insert_len (tokenizer->chunk, &value, 1), 1 };
          if (tokenizer->byte_tokens[byte] < 0)
            tokenizer->byte_tokens[byte] = (gint32) i;
        }
    }
  for (int i = 0; i < 256; i++)
    {
      char byte = (char) i;

      gint32 id = ms_piece_map_find (tokenizer->symbols, &byte, 1);

      /* A user-defined token that is spelled as the alphabet writes the byte is not the byte. */
      if (tokenizer->byte_tokens[i] < 0 && id >= 0 && tokenizer->pieces[id].length == 1
          && tokenizer->pieces[id].bytes[0] == byte)
        tokenizer->byte_tokens[i] = id;
    }
  return TRUE;
}

/* The symbol of a part of a merge, a new one when it is no token. */
static gint32
symbol_of (MsTokenizer *tokenizer, MsGgufString part, gint32 *n_symbols)
{
  gint32 symbol = ms_piece_map_add (tokenizer->symbols, part.bytes, part.length, *n_symbols);

  *n_symbols += symbol == *n_symbols;
  return symbol;
}

static gboolean
load_merges (MsTokenizer *tokenizer, GError **error)
{
  g_autofree MsGgufString *merges = NULL;
  gint32 n_symbols = (gint32) tokenizer->n;
  gsize n = 0;

  if (!ms_gguf_get_strings (tokenizer->gguf, "tokenizer.ggml.merges", MS_KEY_REQUIRED, &merges, &n,
                            error))
    return FALSE;
  if (n > G_MAXINT32 / 4)
    return fail (tokenizer, error, MS_COLLECTOR_ERROR_CORRUPT, "the tokenizer has too many merges");
  tokenizer->merges = ms_piece_map_new ();
  tokenizer->pairs = g_malloc_n (n + 1, sizeof *tokenizer->pairs);
  tokenizer->merged = g_array_sized_new (FALSE, FALSE, sizeof (gint32), (guint) n);
  for (gsize i = 0; i < n; i++)
    {
      /* The space between the parts; a first part that is a space itself is never one. */
      const char *space
          = merges[i].length > 1 ? memchr (merges[i].bytes + 1, ' ', merges[i].length - 1) : NULL;
      MsGgufString parts[2], joined = { NULL, 0 };
      gint32 symbol = -1;

      if (space == NULL || !g_utf8_validate_len (merges[i].bytes, merges[i].length, NULL))
        return fail (tokenizer, error, MS_COLLECTOR_ERROR_CORRUPT,
                     "merge %" G_GSIZE_FORMAT " of the tokenizer is not two words", i);
      parts[0] = (MsGgufString){ merges[i].bytes, (gsize) (space - merges[i].bytes) };
      parts[1]
          = (MsGgufString){ space + 1, merges[i].length - (gsize) (space + 1 - merges[i].bytes) };
      if (decode (tokenizer, parts[0], &parts[0]) && decode (tokenizer, parts[1], &parts[1]))
        {
          g_autofree char *both = g_malloc (parts[0].length + parts[1].length);

          memcpy (both, parts[0].bytes, parts[0].length);
          memcpy (both + parts[0].length, parts[1].bytes, parts[1].length);
          joined.length = parts[0].length + parts[1].length;
          joined.bytes = g_string_chunk_insert_len (tokenizer->chunk, both, (gssize) joined.length);
          tokenizer->pairs[i][0] = symbol_of (tokenizer, parts[0], &n_symbols);
          tokenizer->pairs[i][1] = symbol_of (tokenizer, parts[1], &n_symbols);
          symbol = symbol_of (tokenizer, joined, &n_symbols);
          ms_piece_map_add (tokenizer->merges, tokenizer->pairs[i], sizeof tokenizer->pairs[i],
                            (gint32) i);
        }
      g_array_append_val (tokenizer->merged, symbol);
    }
  return TRUE;
}

static gboolean
load_scores (MsTokenizer *tokenizer, GError **error)
{
  gsize n = 0;

  if (!ms_gguf_get_floats (tokenizer->gguf, "tokenizer.ggml.scores", MS_KEY_REQUIRED,
                           &tokenizer->scores, &n, error))
    return FALSE;
  if (n < tokenizer->n)
    return fail (tokenizer, error, MS_COLLECTOR_ERROR_CORRUPT,
                 "the tokenizer has %u tokens but %" G_GSIZE_FORMAT " scores", tokenizer->n, n);
  for (guint i = 0; i < tokenizer->n; i++)
    if (isnan (tokenizer->scores[i]))
      return fail (tokenizer, error, MS_COLLECTOR_ERROR_CORRUPT,
                   "the score of token %u is not a number", i);
  tokenizer->split_words = TRUE;
  for (guint i = 0; i < tokenizer->n && tokenizer->split_words; i++)
    {
      MsGgufString piece = tokenizer->pieces[i];

      for (gsize j = 1; j < piece.length; j++)
        if (piece.bytes[j] == ' ' && piece.bytes[j - 1] != ' ')
          tokenizer->split_words = FALSE;
    }
  return TRUE;
}

static int
by_length (gconstpointer a, gconstpointer b, gpointer data)
{
  const MsTokenizer *tokenizer = data;
  gint32 i = *(const gint32 *) a, j = *(const gint32 *) b;
  gsize n = tokenizer->texts[i].length, m = tokenizer->texts[j].length;

  return n != m ? (n < m) - (n > m) : (i > j) - (i < j);
}

/* Enters the tokens of the type `least` and up to `most`. */
static void
load_whole (const MsTokenizer *tokenizer, const gint32 *types, gint32 least, gint32 most,
            Whole *whole)
{
  whole->ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  whole->ranks = ms_piece_map_new ();
  for (guint i = 0; i < tokenizer->n && types != NULL; i++)
    if (types[i] >= least && types[i] <= most && tokenizer->texts[i].length > 0)
      {
        gint32 id = (gint32) i;

        g_array_append_val (whole->ids, id);
      }
  g_array_sort_with_data (whole->ids, by_length, (gpointer) tokenizer);
  for (guint i = 0; i < whole->ids->len; i++)
    {
      MsGgufString text = tokenizer->texts[g_array_index (whole->ids, gint32, i)];
      guint8 first = (guint8) text.bytes[0];
      GArray *lengths;

      ms_piece_map_add (whole->ranks, text.bytes, text.length, (gint32) i);
      if (whole->lengths[first] == NULL)
        whole->lengths[first] = g_array_new (FALSE, FALSE, sizeof (gsize));
      lengths = whole->lengths[first];
      if (lengths->len == 0 || g_array_index (lengths, gsize, lengths->len - 1) != text.length)
        g_array_append_val (lengths, text.length);
    }
}

static void
whole_clear (Whole *whole)
{
  for (guint i = 0; i < 256; i++)
    g_clear_pointer (&whole->lengths[i], g_array_unref);
  g_clear_pointer (&whole->ids, g_array_unref);
  g_clear_pointer (&whole->ranks, ms_piece_map_free);
}

/* What files leave out: ids of special tokens (none: G_MAXUINT32), and whether they are added. */
static const struct
{
  const char *eos_key, *add_eos_key;
  guint32 bos, eos, unknown;
  gboolean add_bos, add_eos, add_space;
} ends[] = {
  [KIND_LLAMA]
  = { "tokenizer.ggml.eos_token_id", "tokenizer.ggml.add_eos_token", 1, 2, 0, TRUE, FALSE, TRUE },
  [KIND_GPT2] = { "tokenizer.ggml.eos_token_id", "tokenizer.ggml.add_eos_token", G_MAXUINT32,
                  G_MAXUINT32, G_MAXUINT32, FALSE, FALSE, FALSE },
  [KIND_UNIGRAM] = { "tokenizer.ggml.eos_token_id", "tokenizer.ggml.add_eos_token", G_MAXUINT32, 1,
                     2, FALSE, TRUE, FALSE },
  /* [CLS] and [SEP]; the key is spelled so. */
  [KIND_WORDPIECE] = { "tokenizer.ggml.seperator_token_id", "tokenizer.ggml.add_sep_token", 101,
                       102, 100, TRUE, TRUE, FALSE },
};

static gboolean
load_ends (MsTokenizer *tokenizer, const gint32 *types, GError **error)
{
  const MsGguf *gguf = tokenizer->gguf;
  guint32 bos = ends[tokenizer->kind].bos, eos = ends[tokenizer->kind].eos;
  guint32 unknown = ends[tokenizer->kind].unknown;
  gboolean add_bos = ends[tokenizer->kind].add_bos, add_eos = ends[tokenizer->kind].add_eos;

  tokenizer->add_space = ends[tokenizer->kind].add_space;
  if (tokenizer->pre != NULL && (ms_pretokenizer_flags (tokenizer->pre) & MS_PRE_BOS) != 0)
    add_bos = TRUE;
  if (!ms_gguf_get_bool (gguf, "tokenizer.ggml.add_bos_token", MS_KEY_OPTIONAL, &add_bos, error)
      || !ms_gguf_get_u32 (gguf, "tokenizer.ggml.bos_token_id", MS_KEY_OPTIONAL, &bos, error)
      || !ms_gguf_get_bool (gguf, ends[tokenizer->kind].add_eos_key, MS_KEY_OPTIONAL, &add_eos,
                            error)
      || !ms_gguf_get_u32 (gguf, ends[tokenizer->kind].eos_key, MS_KEY_OPTIONAL, &eos, error)
      || !ms_gguf_get_u32 (gguf, "tokenizer.ggml.unknown_token_id", MS_KEY_OPTIONAL, &unknown,
                           error)
      || !ms_gguf_get_bool (gguf, "tokenizer.ggml.add_space_prefix", MS_KEY_OPTIONAL,
                            &tokenizer->add_space, error))
    return FALSE;
  tokenizer->add_space &= tokenizer->kind == KIND_LLAMA || tokenizer->kind == KIND_UNIGRAM;
  tokenizer->bos = add_bos && bos < tokenizer->n ? (gint32) bos : -1;
  tokenizer->eos = add_eos && eos < tokenizer->n ? (gint32) eos : -1;
  /* What byte-pair encoders name so is often the token that ends a text, which would end it there. */
  if (unknown < tokenizer->n
      && (tokenizer->kind != KIND_GPT2 || types == NULL || types[unknown] != TYPE_CONTROL))
    tokenizer->unknown = (gint32) unknown;
  else
    tokenizer->unknown = -1;
  return TRUE;
}

/* --- Loading: unigram and WordPiece ------------------------------------------------------------- */

static gboolean
load_charsmap (MsTokenizer *tokenizer, GError **error)
{
  g_autofree gint32 *numbers = NULL;
  g_autofree guint8 *bytes = NULL;
  gsize n = 0;

  if (!ms_gguf_get_ints (tokenizer->gguf, "tokenizer.ggml.precompiled_charsmap", MS_KEY_OPTIONAL,
                         &numbers, &n, error))
    return FALSE;
  if (n == 0)
    return TRUE;
  bytes = g_malloc (n);
  for (gsize i = 0; i < n; i++)
    bytes[i] = (guint8) numbers[i];
  tokenizer->charsmap = ms_charsmap_new (bytes, n);
  return tokenizer->charsmap != NULL
         || fail (tokenizer, error, MS_COLLECTOR_ERROR_CORRUPT,
                  "tokenizer.ggml.precompiled_charsmap has sizes that cannot be");
}

/* User-defined pieces cost nothing; the unknown one ten more than the dearest. */
static gboolean
load_unigram (MsTokenizer *tokenizer, const gint32 *types, GError **error)
{
  MsUnigram *model = &tokenizer->unigram;
  float least = 0;

  if (tokenizer->unknown < 0)
    return fail (tokenizer, error, MS_COLLECTOR_ERROR_CORRUPT,
                 "the tokenizer has no unknown token (tokenizer.ggml.unknown_token_id)");
  if (!ms_gguf_get_bool (tokenizer->gguf, "tokenizer.ggml.remove_extra_whitespaces",
                         MS_KEY_OPTIONAL, &tokenizer->merge_spaces, error)
      || !load_charsmap (tokenizer, error))
    return FALSE;
  model->pieces = ms_piece_map_new ();
  for (guint i = 0; i < tokenizer->n; i++)
    {
      gint32 type = types ? types[i] : TYPE_NORMAL;
      MsGgufString piece = tokenizer->pieces[i];

      if (type == TYPE_NORMAL)
        least = MIN (least, tokenizer->scores[i]);
      if (type == TYPE_USER)
        tokenizer->scores[i] = 0;
      if (piece.length > 0 && (type == TYPE_NORMAL || type == TYPE_USER || type == TYPE_UNUSED))
        ms_piece_map_add (model->pieces, piece.bytes, piece.length, (gint32) i);
    }
  model->scores = tokenizer->scores;
  model->longest = tokenizer->longest_piece;
  model->unknown = tokenizer->unknown;
  model->unknown_score = (double) least - 10;
  return TRUE;
}

static gboolean
load_wordpiece (MsTokenizer *tokenizer, GError **error)
{
  MsWordpieceRules *rules = &tokenizer->rules;

  rules->lower_case = TRUE;
  if (!ms_gguf_get_bool (tokenizer->gguf, "tokenizer.ggml.normalizer.lowercase", MS_KEY_OPTIONAL,
                         &rules->lower_case, error))
    return FALSE;
  rules->strip_accents = rules->lower_case;
  return ms_gguf_get_bool (tokenizer->gguf, "tokenizer.ggml.normalizer.strip_accents",
                           MS_KEY_OPTIONAL, &rules->strip_accents, error);
}

/* The most bytes of text that a token stands for. */
static void
find_longest (MsTokenizer *tokenizer)
{
  for (guint i = 0; i < tokenizer->n; i++)
    tokenizer->longest_piece = MAX (tokenizer->longest_piece,
                                    MAX (tokenizer->pieces[i].length, tokenizer->texts[i].length));
  tokenizer->longest = tokenizer->longest_piece;
  /* One unknown token stands for any number of characters. */
  if (tokenizer->kind == KIND_UNIGRAM || tokenizer->kind == KIND_WORDPIECE)
    tokenizer->longest = 0;
  for (guint i = 0; i < 256; i++)
    /* Bytes that occur in UTF-8; others are in no word. */
    if (i != 0xc0 && i != 0xc1 && i < 0xf5 && tokenizer->byte_tokens[i] < 0
        && tokenizer->unknown < 0)
      tokenizer->longest = 0;
}

/* Which tokenizer it is, and its pre-tokenizer. */
static gboolean
load_kind (MsTokenizer *tokenizer, const char *model, const char *pre, GError **error)
{
  static const struct
  {
    const char *model;
    Kind kind;
  } kinds[] = { { "llama", KIND_LLAMA },
                { "gpt2", KIND_GPT2 },
                { "gemma4", KIND_GPT2 },
                { "t5", KIND_UNIGRAM },
                { "bert", KIND_WORDPIECE } };
  guint i = 0;

  while (i < G_N_ELEMENTS (kinds) && strcmp (kinds[i].model, model) != 0)
    i++;
  if (i == G_N_ELEMENTS (kinds))
    {
      g_autofree char *shown = ms_text_printable (model, -1);

      return fail (tokenizer, error, MS_COLLECTOR_ERROR_UNSUPPORTED,
                   "its tokenizer '%s' is not supported (llama, gpt2, gemma4, t5 and bert are); "
                   "give token ids instead of text",
                   shown);
    }
  tokenizer->kind = kinds[i].kind;
  tokenizer->alphabet = ALPHABET_TEXT;
  if (tokenizer->kind != KIND_GPT2)
    {
      tokenizer->name = g_strdup (model);
      return TRUE;
    }
  if (strcmp (model, "gemma4") == 0) /* byte-pair encoding with its own rule, under its own name */
    pre = "gemma4";
  tokenizer->pre = ms_pretokenizer_new (pre, error);
  if (tokenizer->pre == NULL)
    {
      g_prefix_error (error, "%s: ", ms_gguf_path (tokenizer->gguf));
      return FALSE;
    }
  if ((ms_pretokenizer_flags (tokenizer->pre) & MS_PRE_RAW) == 0)
    tokenizer->alphabet = ALPHABET_BYTES;
  tokenizer->name = g_strdup_printf ("%s %s", model, pre);
  return TRUE;
}

static gboolean
load (MsTokenizer *tokenizer, const char *pre, GError **error)
{
  g_autofree gint32 *types = NULL;
  const char *model = NULL, *own_pre = "default";
  gsize n = 0, n_types = 0;

  if (!ms_gguf_get_string (tokenizer->gguf, "tokenizer.ggml.model", MS_KEY_REQUIRED, &model, error)
      || !ms_gguf_get_string (tokenizer->gguf, "tokenizer.ggml.pre", MS_KEY_OPTIONAL, &own_pre,
                              error)
      || !ms_gguf_get_strings (tokenizer->gguf, "tokenizer.ggml.tokens", MS_KEY_REQUIRED,
                               &tokenizer->texts, &n, error)
      || !ms_gguf_get_ints (tokenizer->gguf, "tokenizer.ggml.token_type", MS_KEY_OPTIONAL, &types,
                            &n_types, error))
    return FALSE;
  if (n == 0 || n > G_MAXINT32 / 4)
    return fail (tokenizer, error, MS_COLLECTOR_ERROR_CORRUPT,
                 "the vocabulary has %" G_GSIZE_FORMAT " tokens", n);
  if (types != NULL && n_types < n)
    return fail (tokenizer, error, MS_COLLECTOR_ERROR_CORRUPT,
                 "the vocabulary has %" G_GSIZE_FORMAT " tokens but %" G_GSIZE_FORMAT " types", n,
                 n_types);
  tokenizer->n = (guint) n;
  if (!load_kind (tokenizer, model, pre ? pre : own_pre, error))
    return FALSE;
  load_whole (tokenizer, types, TYPE_USER, TYPE_USER, &tokenizer->users);
  load_whole (tokenizer, types, TYPE_UNKNOWN, TYPE_USER, &tokenizer->specials);
  if (!load_pieces (tokenizer, types, error) || !load_ends (tokenizer, types, error))
    return FALSE;
  find_longest (tokenizer);
  if (tokenizer->kind == KIND_GPT2)
    return load_merges (tokenizer, error);
  if (tokenizer->kind == KIND_WORDPIECE)
    return load_wordpiece (tokenizer, error);
  return load_scores (tokenizer, error)
         && (tokenizer->kind == KIND_LLAMA || load_unigram (tokenizer, types, error));
}

MsTokenizer *
ms_tokenizer_load (const char *path, const char *pre, GError **error)
{
  g_autoptr (MsTokenizer) tokenizer = g_new0 (MsTokenizer, 1);

  g_mutex_init (&tokenizer->lock);
  tokenizer->idle = g_ptr_array_new_with_free_func (worker_free);
  tokenizer->symbols = ms_piece_map_new ();
  tokenizer->chunk = g_string_chunk_new (1 << 16);
  tokenizer->gguf = ms_gguf_open (path, error);
  if (tokenizer->gguf == NULL || !load (tokenizer, pre, error))
    return NULL;
  return g_steal_pointer (&tokenizer);
}

void
ms_tokenizer_free (MsTokenizer *tokenizer)
{
  if (tokenizer == NULL)
    return;
  g_ptr_array_unref (tokenizer->idle);
  whole_clear (&tokenizer->users);
  whole_clear (&tokenizer->specials);
  ms_piece_map_free (tokenizer->symbols);
  ms_piece_map_free (tokenizer->merges);
  g_free (tokenizer->pairs);
  g_clear_pointer (&tokenizer->merged, g_array_unref);
  g_free (tokenizer->scores);
  g_free (tokenizer->pieces);
  g_free (tokenizer->texts);
  g_string_chunk_free (tokenizer->chunk);
  ms_pretokenizer_free (tokenizer->pre);
  ms_piece_map_free (tokenizer->unigram.pieces);
  ms_charsmap_free (tokenizer->charsmap);
  ms_gguf_close (tokenizer->gguf);
  g_free (tokenizer->name);
  g_mutex_clear (&tokenizer->lock);
  g_free (tokenizer);
}

guint
ms_tokenizer_size (const MsTokenizer *tokenizer)
{
  return tokenizer->n;
}

const char *
ms_tokenizer_name (const MsTokenizer *tokenizer)
{
  return tokenizer->name;
}

gint32
ms_tokenizer_bos (const MsTokenizer *tokenizer)
{
  return tokenizer->bos;
}

gint32
ms_tokenizer_eos (const MsTokenizer *tokenizer)
{
  return tokenizer->eos;
}

const guint8 *
ms_tokenizer_piece (MsTokenizer *tokenizer, gint32 id, gsize *length)
{
  if (id < 0 || (guint) id >= tokenizer->n)
    return NULL;
  *length = tokenizer->pieces[id].length;
  return (const guint8 *) tokenizer->pieces[id].bytes;
}
