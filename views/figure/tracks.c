/* Tracks: the rows of one facet and one series in the order of x, for lines, bars and points. */
#include "figure-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 512

typedef struct
{
  double x;
  guint32 row;
} Place;

static int
compare_places (gconstpointer a, gconstpointer b)
{
  const Place *p = a, *q = b;

  if (p->x != q->x)
    return p->x < q->x ? -1 : 1;
  return p->row < q->row ? -1 : p->row > q->row;
}

static void
sort_track (MsFigure *figure, MsTrack *track)
{
  g_autofree Place *places = NULL;
  gboolean sorted = TRUE;
  double before = -INFINITY;

  for (guint i = 0; i < track->n && sorted; i++)
    {
      double x = ms_channel_get (&figure->x, ms_track_row (track, i));

      sorted = x >= before;
      before = x;
    }
  if (sorted)
    return;
  places = g_new (Place, track->n);
  for (guint i = 0; i < track->n; i++)
    {
      guint row = ms_track_row (track, i);
      double x = ms_channel_get (&figure->x, row);

      places[i] = (Place){ isnan (x) ? INFINITY : x, row };
    }
  qsort (places, track->n, sizeof *places, compare_places);
  if (track->rows == NULL)
    track->rows = g_new (guint32, track->n);
  for (guint i = 0; i < track->n; i++)
    track->rows[i] = places[i].row;
  /* Points without x cannot be placed: they are last, and cut off. */
  while (track->n > 0 && isnan (ms_channel_get (&figure->x, track->rows[track->n - 1])))
    track->n--;
}

static void
build_pyramid (MsPyramid *pyramid, const MsTrack *track, const MsChannel *channel)
{
  guint n = (track->n + BLOCK - 1) / BLOCK;

  if (channel->column == NULL || track->n < 8 * BLOCK)
    return;
  pyramid->least = g_new (double, n);
  pyramid->most = g_new (double, n);
  for (guint b = 0; b < n; b++)
    {
      double least = INFINITY, most = -INFINITY;

      for (guint i = b * BLOCK; i < MIN ((b + 1) * BLOCK, track->n); i++)
        {
          double value = ms_channel_get (channel, ms_track_row (track, i));

          least = value < least ? value : least;
          most = value > most ? value : most;
        }
      pyramid->least[b] = least;
      pyramid->most[b] = most;
    }
}

void
ms_tracks_build (MsFigure *figure)
{
  guint n_tracks = figure->n_facets * figure->n_series;
  g_autofree guint32 *count = g_new0 (guint32, n_tracks + 1);

  figure->n_tracks = n_tracks;
  figure->tracks = g_new0 (MsTrack, n_tracks);
  for (guint t = 0; t < n_tracks; t++)
    {
      figure->tracks[t].facet = t / figure->n_series;
      figure->tracks[t].series = t % figure->n_series;
    }
  if (n_tracks == 1 && figure->rows == NULL && figure->n_rows > 0)
    figure->tracks[0].n = figure->n_rows;
  else
    for (guint pass = 0; pass < 2; pass++)
      {
        for (guint i = 0; i < figure->n_rows; i++)
          {
            guint row = ms_figure_row (figure, i);
            guint facet = ms_channel_category (&figure->facet, row);
            guint series = ms_channel_category (&figure->series, row);
            MsTrack *track;

            if (facet == MS_NONE || series == MS_NONE)
              continue;
            track = &figure->tracks[facet * figure->n_series + series];
            if (pass == 0)
              count[facet * figure->n_series + series]++;
            else
              track->rows[track->n++] = row;
          }
        for (guint t = 0; pass == 0 && t < n_tracks; t++)
          figure->tracks[t].rows = g_new (guint32, MAX (count[t], 1));
      }
  for (guint at = 0; at < n_tracks; at++)
    {
      MsTrack *track = &figure->tracks[at];

      sort_track (figure, track);
      build_pyramid (&track->y, track, &figure->y);
      build_pyramid (&track->low, track, &figure->low);
      build_pyramid (&track->high, track, &figure->high);
    }
}

static void
free_pyramid (MsPyramid *pyramid)
{
  g_free (pyramid->least);
  g_free (pyramid->most);
}

void
ms_tracks_free (MsFigure *figure)
{
  for (guint t = 0; t < figure->n_tracks; t++)
    {
      g_free (figure->tracks[t].rows);
      free_pyramid (&figure->tracks[t].y);
      free_pyramid (&figure->tracks[t].low);
      free_pyramid (&figure->tracks[t].high);
    }
  g_free (figure->tracks);
}

const MsTrack *
ms_track_find (const MsFigure *figure, guint facet, guint series)
{
  guint t = facet * figure->n_series + series;

  return t < figure->n_tracks ? &figure->tracks[t] : NULL;
}

guint
ms_track_search (const MsFigure *figure, const MsTrack *track, double x)
{
  guint least = 0, most = track->n;

  while (least < most)
    {
      guint middle = least + (most - least) / 2;

      if (ms_channel_get (&figure->x, ms_track_row (track, middle)) < x)
        least = middle + 1;
      else
        most = middle;
    }
  return least;
}

gboolean
ms_track_range (const MsTrack *track, const MsChannel *channel, const MsPyramid *pyramid,
                guint from, guint to, double *least, double *most)
{
  double low = INFINITY, high = -INFINITY;

  for (guint i = from; i < to;)
    if (pyramid->least != NULL && i % BLOCK == 0 && i + BLOCK <= to)
      {
        low = MIN (low, pyramid->least[i / BLOCK]);
        high = MAX (high, pyramid->most[i / BLOCK]);
        i += BLOCK;
      }
    else
      {
        double value = ms_channel_get (channel, ms_track_row (track, i++));

        low = value < low ? value : low;
        high = value > high ? value : high;
      }
  *least = low;
  *most = high;
  return low <= high;
}

/* Where `row` stands: its track and its index there. */
static gboolean
find_row (const MsFigure *figure, guint row, guint *track, guint *index)
{
  double x = ms_channel_get (&figure->x, row);
  guint facet = ms_channel_category (&figure->facet, row);
  guint series = ms_channel_category (&figure->series, row);

  if (facet == MS_NONE || series == MS_NONE || isnan (x))
    return FALSE;
  *track = facet * figure->n_series + series;
  if (*track >= figure->n_tracks)
    return FALSE;
  for (guint i = ms_track_search (figure, &figure->tracks[*track], x);
       i < figure->tracks[*track].n && ms_track_row (&figure->tracks[*track], i) <= row; i++)
    if (ms_track_row (&figure->tracks[*track], i) == row)
      {
        *index = i;
        return TRUE;
      }
  return FALSE;
}

int
ms_tracks_step (MsFigure *figure, int row, MsStep direction)
{
  guint t = 0, i = 0;
  const MsTrack *track;

  if (row < 0 || !find_row (figure, (guint) row, &t, &i))
    {
      for (t = 0; t < figure->n_tracks; t++)
        if (figure->tracks[t].n > 0)
          return (int) ms_track_row (&figure->tracks[t], 0);
      return -1;
    }
  track = &figure->tracks[t];
  switch (direction)
    {
    case MS_STEP_LEFT:
      return i > 0 ? (int) ms_track_row (track, i - 1) : row;
    case MS_STEP_RIGHT:
      return i + 1 < track->n ? (int) ms_track_row (track, i + 1) : row;
    case MS_STEP_FIRST:
      return (int) ms_track_row (track, 0);
    case MS_STEP_LAST:
      return (int) ms_track_row (track, track->n - 1);
    case MS_STEP_UP:
    case MS_STEP_DOWN:
      {
        int by = direction == MS_STEP_DOWN ? 1 : -1;
        double x = ms_channel_get (&figure->x, (guint) row);

        for (gint64 other = (gint64) t + by; other >= 0 && other < figure->n_tracks; other += by)
          {
            const MsTrack *to = &figure->tracks[other];
            guint near;

            if (to->n == 0)
              continue;
            near = MIN (ms_track_search (figure, to, x), to->n - 1);
            if (near > 0
                && fabs (ms_channel_get (&figure->x, ms_track_row (to, near - 1)) - x)
                       < fabs (ms_channel_get (&figure->x, ms_track_row (to, near)) - x))
              near--;
            return (int) ms_track_row (to, near);
          }
        return row;
      }
    default:
      return row;
    }
}
