/* The headline: the few numbers at the head of overview and report. */
#pragma once

#include "result.h"

G_BEGIN_DECLS

/* One of the few numbers that say first what a run is like. */
typedef struct
{
  double value;     /* exact; NaN = not available */
  char *number;     /* for people, NULL when not available */
  const char *unit; /* NULL = none */
  char *text;       /* what it means, a sentence; or why it is not available */
  char *place;      /* a selection in text form, NULL = none */
} MsHeadline;

typedef struct
{
  const char *name;     /* kebab-case */
  const char *title;    /* Header Capitals */
  const char *analysis; /* whose result tells it, with the parameters' defaults */
  MsHeadline *(*tell) (const MsResult *result);
} MsHeadlineDef;

/* All of them in reading order; the last is empty. */
const MsHeadlineDef *ms_headlines (void);
/* `result` is one of def's analysis.  Reads its tables, computes nothing. */
MsHeadline *ms_headline_new (const MsHeadlineDef *def, const MsResult *result);
void ms_headline_free (MsHeadline *headline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsHeadline, ms_headline_free)

G_END_DECLS
