/* The window's shared state: what part of the open file every view looks at, and its history. */
#pragma once

#include "analysis.h"

#include <glib-object.h>

G_BEGIN_DECLS

/* What the pointer or the keyboard cursor is on; -1 = nothing. */
typedef struct
{
  int layer; /* block number */
  int expert;
  gint64 token; /* position in the corpus */
  gint64 run;   /* 0 = the selected one */
} MsPlace;

typedef enum
{
  MS_BRUSH_REPLACE,
  MS_BRUSH_EXTEND, /* the smallest ranges that hold the old and the new */
  MS_BRUSH_ADD,
} MsBrush;

#define MS_TYPE_SESSION (ms_session_get_type ())
G_DECLARE_FINAL_TYPE (MsSession, ms_session, MS, SESSION, GObject)

/* Properties: "text" (the selection's text form), "hover" (notified only), "can-go-back",
 * "can-go-forward". */
MsSession *ms_session_new (void);

/* The selection in the text form of ms_selection_parse; setting it pushes on the history.  A text that
 * does not parse changes nothing. */
const char *ms_session_get_text (MsSession *session);
gboolean ms_session_set_text (MsSession *session, const char *text, GError **error);
/* Borrowed until the next change. */
const MsSelection *ms_session_get_selection (MsSession *session);
/* Pushes a selection; takes it. */
void ms_session_take (MsSession *session, MsSelection *selection);
/* The selection without runs, layer and expert: the part that filters the data, where layers and experts
 * are the brush; and its text form. (transfer full) */
MsSelection *ms_session_copy_filter (MsSession *session);
char *ms_session_dup_filter (MsSession *session);
/* What a request for the analysis selects: without run and base, and with the further runs shown only
 * where the analysis takes several; of a series of runs chosen by their eyes the baseline is one as well.
 * (transfer full) */
MsSelection *ms_session_copy_for (MsSession *session, const MsAnalysis *analysis);

/* Selects a place given in text form: its layers and experts instead of those of now; of documents what it
 * says, and else the filter of now.  Runs and baseline stay. */
gboolean ms_session_jump (MsSession *session, const char *place, GError **error);

/* step < 0 back, > 0 forward; FALSE when there is nothing there. */
gboolean ms_session_go (MsSession *session, int step);
/* Forgets selection and history, for another file. */
void ms_session_reset (MsSession *session);

/* The runs shown stay the same when the new run is among them, else it takes the old one's place. */
void ms_session_set_run (MsSession *session, gint64 run);
/* Whether figures show the run beside the main one, and showing or hiding it beside run `main`.  FALSE with a sentence when
 * there is no colour left. */
gboolean ms_session_shows_run (MsSession *session, gint64 run);
gboolean ms_session_show_run (MsSession *session, gint64 main, gint64 run, gboolean shown,
                              GError **error);
void ms_session_set_base (MsSession *session, gint64 run);
/* Brushes the layers and experts given as numbers; NULL or empty leaves that key as it is. */
void ms_session_brush (MsSession *session, MsBrush mode, GArray *layers, GArray *experts);
/* The parts of the text form but run, base and with, "layer=4..8", one each. (transfer full) */
GStrv ms_session_list_parts (MsSession *session);
/* Clears one part by its key, or everything but run, base and with for NULL. */
void ms_session_clear (MsSession *session, const char *key);
/* Whether the brush holds the cell; -1 for a coordinate that does not matter.  FALSE when nothing is
 * brushed in the coordinates given. */
gboolean ms_session_brushes (MsSession *session, int layer, int expert);
gboolean ms_session_has_brush (MsSession *session);

const MsPlace *ms_session_get_hover (MsSession *session);
void ms_session_set_hover (MsSession *session, gint64 run, int layer, int expert, gint64 token);
/* The one token looked at closely, -1 for none; no part of the history. */
gint64 ms_session_get_primary (MsSession *session);
void ms_session_set_primary (MsSession *session, gint64 token);

G_END_DECLS
