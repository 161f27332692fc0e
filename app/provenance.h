/* Where numbers come from: file, run, model, corpus, options and versions, for whoever wants to make
 * them again. */
#pragma once

#include "job.h"
#include "json.h"

G_BEGIN_DECLS

/* SHA-256 of the file, hex; NULL with an error. */
char *ms_file_hash (const char *path, GError **error);
/* Members "moescope", "command", "database", "run", "model", "corpus", "selection", "seed",
 * "bootstrap", "confidence", "libraries" of the object being built.  `hash` may be NULL. */
void ms_provenance_add (JsonBuilder *json, const MsJob *job, const char *hash);

G_END_DECLS
