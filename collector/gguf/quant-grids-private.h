/* The points of the grids that the types IQ1, IQ2 and IQ3 choose groups of values from. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  gint8 iq2_xxs[256][8], iq2_xs[512][8], iq2_s[1024][8]; /* sizes of values, 8 to 43 */
  gint8 iq1[2048][8];                                    /* -1, 0, 1 */
  gint8 iq3_xxs[256][4], iq3_s[512][4];                  /* sizes, 1 to 62 */
  gint8 signs[256][8];                                   /* bit i of the index: -1 for 1, 1 for 0 */
  gint8 even_signs[128][8]; /* likewise, the eighth making the number of -1 even */
} MsGrids;

/* Made when it is first asked for; any thread. */
const MsGrids *ms_grids (void);

G_END_DECLS
