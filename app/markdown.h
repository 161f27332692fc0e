/* Text in Markdown. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Appends text as it reads, in a table cell too: no line breaks, marks of Markdown escaped. */
void ms_markdown_append (GString *out, const char *text);

G_END_DECLS
