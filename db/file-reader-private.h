/* A file that is read once from front to back, so that a pipe is as good as a file, and one packed with gzip or zstd
 * as good as a plain one. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct MsFileReader MsFileReader;

/* Opens `path`, "-" being standard input. */
MsFileReader *ms_file_reader_open (const char *path, GError **error);
void ms_file_reader_free (MsFileReader *input);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsFileReader, ms_file_reader_free)

/* How messages call the file. */
const char *ms_file_reader_name (const MsFileReader *input);
/* The bytes at the front (at least MS_FILE_READER_HEAD of them where there are so many), borrowed until the first
 * ms_file_reader_read, which gives them again.  NULL only with *error. */
#define MS_FILE_READER_HEAD 4096
const char *ms_file_reader_head (MsFileReader *input, gsize *length, GError **error);
/* The next bytes, borrowed until the next call; *length = 0 at the end. */
gboolean ms_file_reader_read (MsFileReader *input, const char **bytes, gsize *length,
                              GError **error);
/* All bytes from the front, of a file that was not read yet (but its head looked at): mapped where it is a plain
 * file, else read, at most `most` bytes.  (transfer full) */
GBytes *ms_file_reader_take_all (MsFileReader *input, gsize most, GError **error);

G_END_DECLS
