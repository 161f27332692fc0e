/* Hyper-connections: a stream made of several side by side, of which each half of a block reads a
 * mixture and adds to all (Zhu et al. 2024; DeepSeek-V4, 2026, with doubly stochastic mixtures).
 *
 *   mixes = W x / rms (x), x being all streams of a token in a row
 *   read: sum of (sigmoid (scale[0] mixes + base) + epsilon) times stream
 *   write: stream d becomes 2 sigmoid (scale[1] mixes + base)[d] times what the half gave, plus the
 *     sum over streams s of C[s][d] times stream s, C (streams, streams) made of the other mixes */
#pragma once

#include "engine-private.h"
#include "tensors-private.h"

G_BEGIN_DECLS

/* Of a block: MsPlanBlock's mixer_mix and ffn_mix. */
extern const MsTensorTable ms_streams_block_table;
/* Of the model: MsPlan's head_mix. */
extern const MsTensorTable ms_streams_model_table;

/* Keys and tensors, where the architecture has streams; the block NULL: of the model. */
gboolean ms_streams_load (MsLoader *loader, MsPlanBlock *block, guint number, GError **error);
/* Bytes of a token's streams and mixes. */
gsize ms_streams_token_bytes (const MsPlan *plan);

/* All of the following do nothing where the model has one stream, which is engine->x. */

/* Takes room from `arena`, and puts engine->x into every stream. */
void ms_streams_start (MsEngine *engine, MsArena *arena);
/* engine->x becomes what the half of a block reads. */
void ms_streams_read (const MsEngine *engine, const MsStreamMix *mix);
/* engine->x becomes 0, for the half to add to. */
void ms_streams_empty (const MsEngine *engine);
/* Writes engine->x, what the half gave, to the streams as ms_streams_read's mixes say. */
void ms_streams_write (const MsEngine *engine);

G_END_DECLS
