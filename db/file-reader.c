/* Bytes of a file, read once.  The front is looked at before it is read: a format is told from it, and
 * what cannot be rewound (a pipe, standard input) need not be.  Files packed with gzip or zstd, which their first
 * bytes tell, are unpacked on the way, a block at a time. */
#include "file-reader-private.h"

#include "db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define BLOCK_BYTES (1 << 16)

typedef enum
{
  PACKING_UNKNOWN, /* nothing was read yet */
  PACKING_NONE,
  PACKING_GZIP,
  PACKING_ZSTD,
} Packing;

struct MsFileReader
{
  char *name;
  int descriptor;
  char *block;   /* (BLOCK_BYTES) */
  gsize n;       /* bytes in block */
  gboolean held; /* they were looked at, not yet read */
  Packing packing;
  char *
      packed; /* (BLOCK_BYTES) bytes of the file as they are, n_packed from packed_at on not yet unpacked */
  gsize packed_at, n_packed;
  gboolean inside; /* a packed part that has not ended */
  z_stream gzip;
  ZSTD_DStream *zstd;
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
  if (input->packing == PACKING_GZIP)
    inflateEnd (&input->gzip);
  ZSTD_freeDStream (input->zstd);
  g_free (input->packed);
  g_free (input->block);
  g_free (input->name);
  g_free (input);
}

const char *
ms_file_reader_name (const MsFileReader *input)
{
  return input->name;
}

/* Reads some bytes of the file as they are; *n = 0 at its end. */
static gboolean
read_some (MsFileReader *input, char *to, gsize most, gsize *n, GError **error)
{
  gssize got;

  do
    got = read (input->descriptor, to, most);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    {
      g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_IO, "cannot read %s: %s", input->name,
                   g_strerror (errno));
      return FALSE;
    }
  *n = (gsize) got;
  return TRUE;
}

/* Looks how the file is packed; what was read of it waits in `packed`. */
static gboolean
tell_packing (MsFileReader *input, GError **error)
{
  static const char gzip[] = "\x1f\x8b\x08", zstd[] = "\x28\xb5\x2f\xfd";
  gsize n = 1;

  input->packed = g_malloc (BLOCK_BYTES);
  while (input->n_packed < 4 && n > 0)
    {
      if (!read_some (input, input->packed + input->n_packed, BLOCK_BYTES - input->n_packed, &n,
                      error))
        return FALSE;
      input->n_packed += n;
    }
  input->packing = PACKING_NONE;
  if (input->n_packed >= 3 && memcmp (input->packed, gzip, 3) == 0
      && inflateInit2 (&input->gzip, 15 + 32) == Z_OK)
    input->packing = PACKING_GZIP;
  else if (input->n_packed >= 4 && memcmp (input->packed, zstd, 4) == 0)
    {
      input->packing = PACKING_ZSTD;
      input->zstd = ZSTD_createDStream ();
    }
  return TRUE;
}

static gboolean
fail_packed (const MsFileReader *input, const char *what, GError **error)
{
  g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE, "%s: the %s data %s", input->name,
               input->packing == PACKING_GZIP ? "gzip" : "zstd", what);
  return FALSE;
}

/* Unpacks from `packed` to `to`; *n bytes come out, which may be none. */
static gboolean
unpack (MsFileReader *input, char *to, gsize most, gsize *n, GError **error)
{
  if (input->packing == PACKING_GZIP)
    {
      int code;

      input->gzip.next_in = (Bytef *) (input->packed + input->packed_at);
      input->gzip.avail_in = (uInt) input->n_packed;
      input->gzip.next_out = (Bytef *) to;
      input->gzip.avail_out = (uInt) most;
      code = inflate (&input->gzip, Z_NO_FLUSH);
      *n = most - input->gzip.avail_out;
      input->packed_at += input->n_packed - input->gzip.avail_in;
      input->n_packed = input->gzip.avail_in;
      input->inside = code != Z_STREAM_END;
      if (code == Z_STREAM_END && inflateReset (&input->gzip) == Z_OK) /* another part may follow */
        return TRUE;
      return code == Z_OK || code == Z_BUF_ERROR || fail_packed (input, "is damaged", error);
    }
  else
    {
      ZSTD_inBuffer from = { input->packed, input->packed_at + input->n_packed, input->packed_at };
      ZSTD_outBuffer out = { to, most, 0 };
      gsize code = ZSTD_decompressStream (input->zstd, &out, &from);

      *n = out.pos;
      input->n_packed -= from.pos - input->packed_at;
      input->packed_at = from.pos;
      input->inside = code != 0;
      return !ZSTD_isError (code) || fail_packed (input, "is damaged", error);
    }
}

/* Some bytes of the file, unpacked; *n = 0 at its end. */
static gboolean
pull (MsFileReader *input, char *to, gsize most, gsize *n, GError **error)
{
  *n = 0;
  if (input->packing == PACKING_UNKNOWN && !tell_packing (input, error))
    return FALSE;
  if (input->packing == PACKING_NONE && input->n_packed == 0)
    return read_some (input, to, most, n, error);
  if (input->packing == PACKING_NONE)
    {
      *n = MIN (most, input->n_packed);
      memcpy (to, input->packed + input->packed_at, *n);
      input->packed_at += *n;
      input->n_packed -= *n;
      return TRUE;
    }
  while (*n == 0)
    {
      gboolean ended = FALSE;

      if (input->n_packed == 0)
        {
          input->packed_at = 0;
          if (!read_some (input, input->packed, BLOCK_BYTES, &input->n_packed, error))
            return FALSE;
          ended = input->n_packed == 0;
        }
      if (ended && !input->inside)
        return TRUE;
      if (!unpack (input, to, most, n, error))
        return FALSE;
      if (ended && *n == 0)
        return fail_packed (input, "ends too early", error);
    }
  return TRUE;
}

/* Reads until the block holds `least` bytes or the file ends; a pipe gives few at a time. */
static gboolean
fill (MsFileReader *input, gsize least, GError **error)
{
  gsize n = 1;

  input->n = 0;
  while (input->n < least && n > 0)
    {
      if (!pull (input, input->block + input->n, BLOCK_BYTES - input->n, &n, error))
        return FALSE;
      input->n += n;
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

GBytes *
ms_file_reader_take_all (MsFileReader *input, gsize most, GError **error)
{
  g_autoptr (GByteArray) all = NULL;
  struct stat facts;

  /* A plain file need not be read to be looked at. */
  if (input->packing == PACKING_NONE && fstat (input->descriptor, &facts) == 0
      && S_ISREG (facts.st_mode))
    {
      GMappedFile *mapped = g_mapped_file_new_from_fd (input->descriptor, FALSE, NULL);
      GBytes *bytes = mapped != NULL ? g_mapped_file_get_bytes (mapped) : NULL;

      if (mapped != NULL)
        g_mapped_file_unref (mapped);
      if (bytes != NULL)
        return bytes;
    }
  all = g_byte_array_new ();
  while (TRUE)
    {
      const char *bytes;
      gsize n;

      if (!ms_file_reader_read (input, &bytes, &n, error))
        return NULL;
      if (n == 0)
        return g_byte_array_free_to_bytes (g_steal_pointer (&all));
      if (n > most - MIN (most, all->len))
        {
          g_set_error (error, MS_DB_ERROR, MS_DB_ERROR_BAD_VALUE,
                       "%s: more than %" G_GSIZE_FORMAT " bytes cannot be read from a pipe or a "
                       "packed file of this format: give it as a plain file",
                       input->name, most);
          return NULL;
        }
      g_byte_array_append (all, (const guint8 *) bytes, (guint) n);
    }
}
