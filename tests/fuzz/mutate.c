/* Half of all changes keep the length, so that what stands behind them still means something. */
#include "mutate.h"

#include "base.h"

#include <string.h>

/* A number that readers get wrong: around 0, around a power of two, or any. */
static guint64
odd_number (guint64 *state)
{
  switch (ms_random_below (state, 4))
    {
    case 0:
      return ms_random_below (state, 9) - 4;
    case 1:
      return (1ull << ms_random_below (state, 64)) + ms_random_below (state, 3) - 1;
    case 2:
      return ms_random_below (state, 100000);
    default:
      return ms_random_next (state);
    }
}

static void
change_number (GByteArray *bytes, FuzzSpot spot, guint64 *state)
{
  guint64 number = 0;

  if (spot.at + spot.size > bytes->len)
    return;
  memcpy (&number, bytes->data + spot.at, spot.size);
  number = GUINT64_FROM_LE (number);
  number = ms_random_below (state, 3) == 0 ? number + ms_random_below (state, 5) - 2
                                           : odd_number (state);
  number = GUINT64_TO_LE (number);
  memcpy (bytes->data + spot.at, &number, spot.size);
}

/* A piece of up to 64 bytes, or now and then of any length. */
static gsize
piece (gsize most, guint64 *state)
{
  gsize length = ms_random_below (state, 8) == 0 ? most : MIN (most, 64);

  return 1 + ms_random_below (state, MAX (length, 1));
}

static void
insert (GByteArray *bytes, gsize at, const guint8 *what, gsize length)
{
  gsize old = bytes->len;

  g_byte_array_set_size (bytes, (guint) (old + length));
  memmove (bytes->data + at + length, bytes->data + at, old - at);
  memcpy (bytes->data + at, what, length);
}

static void
change_once (GByteArray *bytes, const GArray *spots, const GByteArray *other, guint64 *state)
{
  gsize at = ms_random_below (state, bytes->len), rest = bytes->len - at;
  gsize length = MIN (piece (rest, state), rest);
  g_autofree guint8 *copy = g_memdup2 (bytes->data + at, length);
  guint kind = (guint) ms_random_below (state, 12);

  if (kind < 5 && spots != NULL && spots->len > 0)
    change_number (bytes, g_array_index (spots, FuzzSpot, ms_random_below (state, spots->len)),
                   state);
  else if (kind < 7)
    bytes->data[at] ^= (guint8) (1u << ms_random_below (state, 8));
  else if (kind == 7)
    change_number (bytes, (FuzzSpot){ at, 1u << ms_random_below (state, 4) }, state);
  else if (kind == 8)
    g_byte_array_remove_range (bytes, (guint) at, (guint) length);
  else if (kind == 9)
    insert (bytes, at, copy, length);
  else if (kind == 10 && other != NULL && other->len > 0)
    {
      gsize from = ms_random_below (state, other->len);

      length = MIN (length, other->len - from);
      if (ms_random_below (state, 2) == 0)
        insert (bytes, at, other->data + from, length);
      else
        memcpy (bytes->data + at, other->data + from, MIN (length, rest));
    }
  else if (kind == 11 && ms_random_below (state, 4) == 0)
    g_byte_array_set_size (bytes, (guint) at);
}

void
fuzz_mutate (GByteArray *bytes, const GArray *spots, const GByteArray *other, guint64 *state)
{
  for (guint64 n = 1 + ms_random_below (state, 1 + ms_random_below (state, 8));
       n > 0 && bytes->len > 0; n--)
    change_once (bytes, spots, other, state);
}
