/* Members of a JSON object that a command builds, and its text. */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* A string member, null for NULL. */
void ms_json_add_text (JsonBuilder *json, const char *name, const char *text);
void ms_json_add_int (JsonBuilder *json, const char *name, gint64 value);
/* Null for NaN and infinities. */
void ms_json_add_real (JsonBuilder *json, const char *name, double value);
void ms_json_add_bool (JsonBuilder *json, const char *name, gboolean value);
/* An array of strings (of char *); NULL gives an empty one. */
void ms_json_add_texts (JsonBuilder *json, const char *name, const GPtrArray *texts);
/* A member that is an object or an array; json_builder_end_object and json_builder_end_array end it. */
void ms_json_begin_object (JsonBuilder *json, const char *name);
void ms_json_begin_array (JsonBuilder *json, const char *name);
/* What was built, with a line feed at the end: indented over lines, or all in one (newly allocated). */
char *ms_json_text (JsonBuilder *json);
char *ms_json_line (JsonBuilder *json);

G_END_DECLS
