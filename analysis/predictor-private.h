/* Guessing the experts of the next layer before its router has run (metrics.md c.3). */
#pragma once

#include "analysis-private.h"

G_BEGIN_DECLS

typedef enum
{
  MS_PREDICT_CONDITIONAL, /* counts given the experts of the layer before */
  MS_PREDICT_FREQUENCY,   /* the layer's most frequent experts */
  MS_PREDICT_PREVIOUS,    /* what the layer chose one token earlier */
  MS_PREDICTORS,
} MsPredictorKind;

const char *ms_predictor_name (MsPredictorKind kind);

typedef struct MsPredictor MsPredictor;

/* Predicts `n` experts of `layer` for each token; `before` is the MoE layer before it (CONDITIONAL needs
 * it, else NULL).  With `held_out`, documents are predicted from the documents of the other parity;
 * without, from all.  Everything is borrowed. */
MsPredictor *ms_predictor_new (MsPredictorKind kind, MsTrace *trace, const MsLayerTrace *before,
                               const MsLayerTrace *layer, guint n, gboolean held_out);
void ms_predictor_free (MsPredictor *predictor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsPredictor, ms_predictor_free)
/* The prediction for row t of selected document `document`, best first, ties to the lower id, into best
 * (max of n and K); returns how many: n, or fewer for PREVIOUS (0 at a document's start). */
guint ms_predictor_predict (MsPredictor *predictor, guint document, gint64 t, guint16 *best);

G_END_DECLS
