/* What can be shown of a long scan before its end. */
#pragma once

#include "pass-private.h"

G_BEGIN_DECLS

/* Seconds that the whole must be expected to take for its parts to be shown. */
#define MS_WORTH_A_LOOK 0.7

/* Of a long scan, first offers the job's owner the same on few documents, then on more, marked as partial;
 * returns the share of the job's progress that this took, 0 for a short scan.  For a worker. */
double ms_look_ahead (MsWork *job, const MsRequest *request, MsTrace *trace, GPtrArray *others);

G_END_DECLS
