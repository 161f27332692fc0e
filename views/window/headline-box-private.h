/* The six numbers that say first what a run is like, each with its sentence and a way to the place. */
#pragma once

#include "workbench-private.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define MS_TYPE_HEADLINE_BOX (ms_headline_box_get_type ())
G_DECLARE_FINAL_TYPE (MsHeadlineBox, ms_headline_box, MS, HEADLINE_BOX, AdwBin)

/* Where a number is again, the same: what the action of the window shows. */
typedef struct
{
  const char *name, *action, *target;
} MsHeadlinePlace;

/* One for each of ms_headlines(), ends with an empty one. */
extern const MsHeadlinePlace ms_headline_places[];

GtkWidget *ms_headline_box_new (MsWorkbench *bench);
/* Other results are on their way. */
void ms_headline_box_wait (MsHeadlineBox *box);
/* Shows what the outcome tells; of part of the tokens, faintly. */
void ms_headline_box_show (MsHeadlineBox *box, MsOutcome *outcome);
/* The analysis could not be run. */
void ms_headline_box_fail (MsHeadlineBox *box, const char *analysis, const GError *error);
/* The n-th number as read out, "" while it is not known. */
const char *ms_headline_box_get_text (MsHeadlineBox *box, guint n);
const char *ms_headline_box_get_number (MsHeadlineBox *box, guint n);
/* Goes where the n-th number is about. */
void ms_headline_box_jump (MsHeadlineBox *box, guint n);

G_END_DECLS
