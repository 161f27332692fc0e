/* Training text as one stream of tokens, cut into chunks.
 *
 * What must hold: the order of chunks depends on the seed alone, so that a run can go on where it was. */
#include "corpus-private.h"

#include "base.h"
#include "collector.h"

#include <math.h>
#include <string.h>

#define PRIOR_FROM -2
#define PRIOR_TO   12

gboolean
ms_corpus_read (const char *const *paths, GPtrArray *texts, GError **error)
{
  for (; *paths != NULL; paths++)
    {
      char *text;
      gsize length;
      const char *end;

      if (!g_file_get_contents (*paths, &text, &length, error))
        return FALSE;
      g_ptr_array_add (texts, g_bytes_new_take (text, length));
      if (!g_utf8_validate_len (text, length, &end))
        {
          g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT,
                       "'%s' is not UTF-8 text (byte %" G_GSIZE_FORMAT "); convert it with iconv",
                       *paths, (gsize) (end - text));
          return FALSE;
        }
    }
  return TRUE;
}

GArray *
ms_corpus_encode (MsBpe *bpe, GPtrArray *texts)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (guint16));
  guint16 end_of_text = (guint16) ms_bpe_end_of_text (bpe);

  for (guint i = 0; i < texts->len; i++)
    {
      gsize length;
      const char *text = g_bytes_get_data (g_ptr_array_index (texts, i), &length);

      for (gsize from = 0; from < length;)
        {
          const char *feed = memchr (text + from, '\f', length - from);
          gsize to = feed != NULL ? (gsize) (feed - text) : length;
          guint before = ids->len;

          ms_bpe_encode (bpe, text + from, to - from, ids);
          if (ids->len > before)
            g_array_append_val (ids, end_of_text);
          from = to + 1;
        }
    }
  return ids;
}

/* --- Dealing ---------------------------------------------------------------------------------- */

static void
shuffle (MsDealer *dealer, guint64 epoch)
{
  guint64 state = dealer->seed ^ (epoch * 0x9E3779B97F4A7C15u);

  dealer->epoch = epoch;
  for (guint i = 0; i < dealer->n_chunks; i++)
    dealer->order[i] = i;
  for (guint i = dealer->n_chunks; i > 1; i--)
    {
      guint j = (guint) ms_random_below (&state, i), swap = dealer->order[j];

      dealer->order[j] = dealer->order[i - 1];
      dealer->order[i - 1] = swap;
    }
}

gboolean
ms_dealer_init (MsDealer *dealer, GArray *stream, guint context, guint64 seed)
{
  *dealer = (MsDealer){ .stream = stream, .context = context, .seed = seed };
  if (stream->len < context + 1)
    return FALSE;
  dealer->n_chunks = (stream->len - 1) / context;
  dealer->order = g_new (guint, dealer->n_chunks);
  shuffle (dealer, 0);
  return TRUE;
}

void
ms_dealer_clear (MsDealer *dealer)
{
  g_clear_pointer (&dealer->order, g_free);
}

void
ms_dealer_deal (MsDealer *dealer, guint64 index, guint16 *tokens)
{
  if (index / dealer->n_chunks != dealer->epoch)
    shuffle (dealer, index / dealer->n_chunks);
  memcpy (tokens,
          (const guint16 *) dealer->stream->data
              + (gsize) dealer->order[index % dealer->n_chunks] * dealer->context,
          (dealer->context + 1) * sizeof *tokens);
}

/* --- Baselines -------------------------------------------------------------------------------- */

static int
compare_u32 (gconstpointer a, gconstpointer b)
{
  guint32 left = *(const guint32 *) a, right = *(const guint32 *) b;

  return left < right ? -1 : left > right;
}

/* How often key occurs in the sorted array. */
static gsize
count_of (const guint32 *sorted, gsize n, guint32 key)
{
  gsize low = 0, high = n, first;

  while (low < high)
    {
      gsize middle = low + (high - low) / 2;

      if (sorted[middle] < key)
        low = middle + 1;
      else
        high = middle;
    }
  first = low;
  for (high = n; low < high;)
    {
      gsize middle = low + (high - low) / 2;

      if (sorted[middle] <= key)
        low = middle + 1;
      else
        high = middle;
    }
  return low - first;
}

MsBaseline
ms_baseline (GArray *train, guint vocabulary, const guint16 *chunks, gsize n, guint context)
{
  const guint16 *ids = (const guint16 *) train->data;
  gsize n_pairs = train->len - 1;
  g_autofree double *count = g_new0 (double, vocabulary);
  g_autofree guint32 *pairs = g_new (guint32, n_pairs);
  double sums[PRIOR_TO - PRIOR_FROM + 1] = { 0 };
  double tokens = (double) n * context;
  MsBaseline result = { 0, G_MAXDOUBLE, 0 };

  for (guint i = 0; i < train->len; i++)
    count[ids[i]]++;
  for (gsize i = 0; i < n_pairs; i++)
    pairs[i] = (guint32) ids[i] << 16 | ids[i + 1];
  qsort (pairs, n_pairs, sizeof *pairs, compare_u32);
  for (gsize c = 0; c < n; c++)
    for (guint t = 0; t < context; t++)
      {
        const guint16 *at = chunks + c * (context + 1) + t;
        double unigram = (count[at[1]] + 1) / ((double) train->len + vocabulary);
        double together = (double) count_of (pairs, n_pairs, (guint32) at[0] << 16 | at[1]);

        result.unigram -= log (unigram) / tokens;
        for (int i = PRIOR_FROM; i <= PRIOR_TO; i++)
          {
            double prior = exp2 (i);

            sums[i - PRIOR_FROM] -= log ((together + prior * unigram) / (count[at[0]] + prior));
          }
      }
  for (int i = PRIOR_FROM; i <= PRIOR_TO; i++)
    if (sums[i - PRIOR_FROM] / tokens < result.bigram)
      {
        result.bigram = sums[i - PRIOR_FROM] / tokens;
        result.prior = exp2 (i);
      }
  return result;
}
