/* The best path through a word, from the left: for each place the best way to get there. */
#include "unigram-private.h"

#include <float.h>
#include <string.h>

/* A place in the word: the best sum of scores up to it, and its last piece. */
typedef struct
{
  double score;
  gint32 id;
  guint32 length; /* bytes of the piece that ends here */
} Cell;

G_STATIC_ASSERT (sizeof (Cell) == MS_UNIGRAM_CELL);

static void
offer (Cell *cell, double score, gint32 id, gsize length)
{
  if (score > cell->score)
    *cell = (Cell){ score, id, (guint32) length };
}

static void
reverse (GArray *ids, guint from)
{
  gint32 *all = (gint32 *) (gpointer) ids->data;

  for (guint i = from, j = ids->len; i + 1 < j; i++)
    {
      gint32 id = all[--j];

      all[j] = all[i];
      all[i] = id;
    }
}

void
ms_unigram_cut (const MsUnigram *model, const char *word, gsize length, GArray *cells, GArray *ids,
                GCancellable *cancel)
{
  guint first = ids->len;
  Cell *cell;

  g_array_set_size (cells, (guint) length + 1);
  cell = (Cell *) (gpointer) cells->data;
  for (gsize i = 0; i <= length; i++)
    cell[i] = (Cell){ i == 0 ? 0 : -DBL_MAX, model->unknown, 0 };
  for (gsize at = 0, n = 0; at < length; n++)
    {
      gsize character = (gsize) (g_utf8_next_char (word + at) - (word + at));
      gboolean found = FALSE;

      if (n % 65536 == 65535 && g_cancellable_is_cancelled (cancel))
        return;
      for (gsize end = at + character; end <= length && end - at <= model->longest;
           end += (gsize) (g_utf8_next_char (word + end) - (word + end)))
        {
          gint32 id = ms_piece_map_find (model->pieces, word + at, end - at);

          if (id >= 0)
            offer (&cell[end], cell[at].score + (double) model->scores[id], id, end - at);
          found |= id >= 0 && end - at == character;
          if (end == length)
            break;
        }
      if (!found)
        offer (&cell[at + character], cell[at].score + model->unknown_score, model->unknown,
               character);
      at += character;
    }
  for (gsize at = length; at > 0; at -= cell[at].length)
    if (cell[at].id != model->unknown || ids->len == first
        || g_array_index (ids, gint32, ids->len - 1) != model->unknown)
      g_array_append_val (ids, cell[at].id);
  reverse (ids, first);
}

/* --- Replacements ------------------------------------------------------------------------------ */

/* Bytes that are replaced at once; a damaged array may lead in circles. */
#define LONGEST_MATCH ((gsize) 128)

struct MsCharsmap
{
  guint32 *nodes; /* (n_nodes) */
  gsize n_nodes;
  char *texts; /* each ended by NUL; the last byte is one */
  gsize n_texts;
};

MsCharsmap *
ms_charsmap_new (const guint8 *bytes, gsize n)
{
  MsCharsmap *map;
  guint32 size;

  if (n < sizeof size)
    return NULL;
  memcpy (&size, bytes, sizeof size);
  size = GUINT32_FROM_LE (size);
  if (size % 4 != 0 || size >= n - sizeof size)
    return NULL;
  map = g_new0 (MsCharsmap, 1);
  map->n_nodes = size / 4;
  map->nodes = g_memdup2 (bytes + sizeof size, size);
  for (gsize i = 0; i < map->n_nodes; i++)
    map->nodes[i] = GUINT32_FROM_LE (map->nodes[i]);
  map->n_texts = n - sizeof size - size;
  map->texts = g_malloc0 (map->n_texts + 1);
  memcpy (map->texts, bytes + sizeof size + size, map->n_texts);
  return map;
}

void
ms_charsmap_free (MsCharsmap *map)
{
  if (map == NULL)
    return;
  g_free (map->nodes);
  g_free (map->texts);
  g_free (map);
}

/* Where the children of a node begin; they are told apart by their character. */
static guint32
base_of (guint32 node)
{
  return (node >> 10) << ((node & 1u << 9) >> 6);
}

gsize
ms_charsmap_match (const MsCharsmap *map, const char *text, gsize length, const char **with,
                   gsize *n)
{
  gsize matched = 0;
  guint32 at;

  if (map == NULL || map->n_nodes == 0)
    return 0;
  at = base_of (map->nodes[0]);
  length = MIN (length, LONGEST_MATCH);
  for (gsize i = 0; i < length && text[i] != '\0'; i++)
    {
      guint8 c = (guint8) text[i];

      at ^= c;
      if (at >= map->n_nodes || (map->nodes[at] & (1u << 31 | 0xff)) != c)
        break;
      {
        gboolean ends = (map->nodes[at] >> 8 & 1) != 0;
        guint32 value;

        at ^= base_of (map->nodes[at]);
        if (!ends)
          continue;
        value = at < map->n_nodes ? map->nodes[at] & ~(1u << 31) : G_MAXUINT32;
        if (value >= map->n_texts)
          break;
        matched = i + 1;
        *with = map->texts + value;
      }
    }
  if (matched > 0)
    *n = strlen (*with);
  return matched;
}
