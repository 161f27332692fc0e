/* Damages bytes as files are damaged and as people do it who mean harm. */
#pragma once

#include <glib.h>

/* A number in the bytes that somebody reads: `size` (1, 2, 4 or 8) bytes at `at`, little endian. */
typedef struct
{
  gsize at;
  guint size;
} FuzzSpot;

/* Changes `bytes` in one to eight ways: numbers at spots (of FuzzSpot, may be NULL) become odd ones, bits flip,
 * pieces go, come twice or come from `other` (may be NULL), the end is cut.  The same state gives the same
 * change. */
void fuzz_mutate (GByteArray *bytes, const GArray *spots, const GByteArray *other, guint64 *state);
