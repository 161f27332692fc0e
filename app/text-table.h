/* Tables and sentences as text for people. */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/* Appends title, header and the first rows of the table (at most most_rows).
 *
 * width 0: every column with all its digits.  Else the columns that fit in so many characters, first ones
 * first, each estimate together with its interval, numbers with three significant digits and counts with
 * thousands marks; a last line names the columns left out. */
void ms_text_table_append (GString *out, const MsTable *table, guint most_rows, guint width);
/* Appends the words of the text in lines of at most `width` characters (0: one line), each indented. */
void ms_text_append_wrapped (GString *out, const char *text, guint width, const char *indent);
/* The width of the terminal that standard output is (COLUMNS, if set, wins); 0 when it is none. */
guint ms_text_table_terminal (void);

G_END_DECLS
