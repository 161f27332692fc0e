/* Where numbers come from: file, run, model, corpus, options and versions, for whoever wants to make
 * them again. */
#pragma once

#include "job.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* SHA-256 of the file, hex; NULL with an error. */
char *ms_file_hash (const char *path, GError **error);
/* Members "moescope", "command", "database", "run", "model", "corpus", "selection", "seed",
 * "bootstrap", "confidence", "libraries" of the object being built.  `hash` may be NULL. */
void ms_provenance_add (JsonBuilder *json, const MsJob *job, const char *hash);
/* A string member, null for NULL. */
void ms_json_add_text (JsonBuilder *json, const char *name, const char *text);
void ms_json_add_int (JsonBuilder *json, const char *name, gint64 value);
/* Null for NaN and infinities. */
void ms_json_add_real (JsonBuilder *json, const char *name, double value);
/* The built text, indented, with a line feed at the end. */
char *ms_json_text (JsonBuilder *json);

G_END_DECLS
