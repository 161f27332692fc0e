/* Guessing the experts of the next layer before its router has run (metrics.md c.2, c.3). */
#pragma once

#include "analysis-private.h"

G_BEGIN_DECLS

typedef enum
{
  MS_PREDICT_CONDITIONAL, /* counts given the experts of the layer before */
  MS_PREDICT_FREQUENCY,   /* the layer's most frequent experts */
  MS_PREDICT_PREVIOUS,    /* what the layer chose one token earlier */
  MS_PREDICT_MATRIX,      /* what the layer chose most in the document of the nearest matrix */
  MS_PREDICTORS,
} MsPredictorKind;

const char *ms_predictor_name (MsPredictorKind kind);

/* For each token and layer the stored document whose activation matrix is nearest to the running
 * document's (MoE-Infinity, arXiv 2401.14361, as its code has it). */
typedef struct MsMatches MsMatches;

/* Changes a layer as it was loaded: to match what is shuffled for a null value. */
typedef void (*MsChangeLayer) (const MsContext *context, MsLayerTrace *layer);

/* As many matrices as MoE-Infinity's code stores, unless told otherwise. */
#define MS_MATCHES_USUAL 1000

/* Stores the matrices of the first `library` documents; with `held_out`, of those of the other parity.
 * change may be NULL.  Holds the experts of all layers while it works; keeps 4 bytes per token and layer.
 * Fails when a layer cannot be read or when cancelled. */
MsMatches *ms_matches_new (const MsContext *context, guint library, gboolean held_out,
                           MsChangeLayer change, GError **error);
void ms_matches_free (MsMatches *matches);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsMatches, ms_matches_free)
/* The stored documents (n) for documents of parity `part`, 0 when nothing is held out.  Borrowed. */
const guint *ms_matches_stored (const MsMatches *matches, guint part, guint *n);
/* The index of the nearest of them for token t, known before trace layer `layer` > 0. */
guint ms_matches_find (const MsMatches *matches, guint layer, gint64 t);

typedef struct MsPredictor MsPredictor;

/* What a predictor works from; everything is borrowed. */
typedef struct
{
  MsTrace *trace;
  guint index;                /* of the predicted layer in the trace */
  const MsLayerTrace *layer;  /* the predicted layer */
  const MsLayerTrace *before; /* the MoE layer before it: CONDITIONAL needs it, else NULL */
  const MsMatches *matches;   /* MATRIX needs them, else NULL; of the same held_out */
  gboolean held_out; /* documents are predicted from those of the other parity, else from all */
} MsPredictorInput;

/* Predicts `n` experts of the layer for each token. */
MsPredictor *ms_predictor_new (MsPredictorKind kind, const MsPredictorInput *input, guint n);
void ms_predictor_free (MsPredictor *predictor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsPredictor, ms_predictor_free)
/* The prediction for row t of selected document `document`, best first, ties to the lower id, into best
 * (max of n and K); returns how many: n, or fewer where fewer experts have ever been seen to follow.  That is
 * 0 for CONDITIONAL when the token has no expert in the layer before, and for PREVIOUS at a document's
 * start; MATRIX predicts none but the experts that the matched document used. */
guint ms_predictor_predict (MsPredictor *predictor, guint document, gint64 t, guint16 *best);

G_END_DECLS
