/* The rows of a CSV file, asked for one after the other. */
#pragma once

#include "file-reader-private.h"

G_BEGIN_DECLS

typedef struct MsCsvReader MsCsvReader;

/* Takes over `input`. */
MsCsvReader *ms_csv_reader_new (MsFileReader *input, char separator);
void ms_csv_reader_free (MsCsvReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsCsvReader, ms_csv_reader_free)

/* The next row: *fields (n, borrowed until the next call) and the line where it begins, from 1; the header
 * is the first.  *fields = NULL after the last.  BAD_VALUE as in ms_csv_read. */
gboolean ms_csv_reader_next (MsCsvReader *reader, const char *const **fields, guint *n, guint *line,
                             GError **error);

G_END_DECLS
