/* A result with what it was asked for. */
#pragma once

#include "request-private.h"

G_BEGIN_DECLS

/* Shared by reference count, from any thread, and never changed once somebody else has it.  A result of part
 * of the tokens or runs says so in its summary and notes. */
typedef struct
{
  MsRequest *request;
  MsResult *result;
  char *interval; /* what bands and whiskers are, NULL when there are none */
  double seconds;
  double share;    /* of the tokens or runs asked for that it rests on, 1 = all */
  GPtrArray *runs; /* of several runs together: of MsOutcome, one for each; else NULL */
} MsOutcome;

/* Of all that was asked for; takes request and result, context says what the intervals are. */
MsOutcome *ms_outcome_new (MsRequest *request, MsResult *result, const MsContext *context,
                           double seconds);
/* The outcomes of the first n of the traces (of MsTrace; the main run's first) as one: results holds what
 * each of these gave, outcomes (of MsOutcome) those that gave something.  That of only some of the runs
 * says so. */
MsOutcome *ms_outcome_stack (const MsRequest *request, GPtrArray *traces, GPtrArray *outcomes,
                             const MsRunResult *results, guint n);
/* Makes it say in words that it rests on this share of the tokens, wherever it is shown, copied or read
 * aloud.  Before anybody else has it. */
void ms_outcome_mark_partial (MsOutcome *outcome, double share);
MsOutcome *ms_outcome_ref (MsOutcome *outcome);
void ms_outcome_unref (MsOutcome *outcome);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsOutcome, ms_outcome_unref)

G_END_DECLS
