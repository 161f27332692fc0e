/* Bytes of a file, read once.  The front is looked at before it is read: a format is told from it, and
 * what cannot be rewound (a pipe, standard input) need not be. */
#include "file-reader-private.h"

#include "db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES (1 << 16)

struct MsFileReader
{
  char *name;
  int descriptor;
  char *block;   /* (BLOCK_BYTES) */
  gsize n;       /* bytes in block */
  gboolean held; /* they were looked at, not yet read */
};

MsFileReader *
ms_file_reader_open (const char *path, GError **error)
{
  gboolean standard = strcmp (path, "-") == 0;
  int descriptor = standard ? dup (STDIN_FILENO) : open (path, O_RDONLY | O_CLOEXEC);
  MsFileReader *input;

  if (descriptor < 0)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_IO, "cannot open %s: %s", path,
                   g_strerror (errno));
      return NULL;
    }
  input = g_new0 (MsFileReader, 1);
  input->name = g_strdup (standard ? "standard input" : path);
  input->descriptor = descriptor;
  input->block = g_malloc (BLOCK_BYTES);
  return input;
}

void
ms_file_reader_free (MsFileReader *input)
{
  if (input == NULL)
    return;
  close (input->descriptor);
  g_free (input->block);
  g_free (input->name);
  g_free (input);
}

const char *
ms_file_reader_name (const MsFileReader *input)
{
  return input->name;
}

/* Reads until the block holds `least` bytes or the file ends; a pipe gives few at a time. */
static gboolean
fill (MsFileReader *input, gsize least, GError **error)
{
  input->n = 0;
  while (input->n < least)
    {
      gssize n = read (input->descriptor, input->block + input->n, BLOCK_BYTES - input->n);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_IO, "cannot read %s: %s", input->name,
                       g_strerror (errno));
          return FALSE;
        }
      if (n == 0)
        return TRUE;
      input->n += (gsize) n;
    }
  return TRUE;
}

const char *
ms_file_reader_head (MsFileReader *input, gsize *length, GError **error)
{
  if (!input->held && !fill (input, MS_FILE_READER_HEAD, error))
    return NULL;
  input->held = TRUE;
  *length = input->n;
  return input->block;
}

gboolean
ms_file_reader_read (MsFileReader *input, const char **bytes, gsize *length, GError **error)
{
  if (!input->held && !fill (input, 1, error))
    return FALSE;
  input->held = FALSE;
  *bytes = input->block;
  *length = input->n;
  return TRUE;
}
