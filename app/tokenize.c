/* `moescope tokenize`: the tokens that a model cuts a text into.
 *
 * What must hold: no byte of the text is lost.  Bytes that are no UTF-8 have tokens of their own, and a
 * vocabulary that cannot express a byte is refused. */
#include "collector.h"
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_TEXT ((gsize) 1 << 30)

typedef struct
{
  gboolean special; /* BOS, EOS, and special tokens that the text spells out */
  gint64 limit;     /* tokens; 0 = all */
} Options;

static GByteArray *
fail_text (GError **error, const char *path, const char *what)
{
  g_autofree char *shown = ms_text_printable (path, -1);

  g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT, "%s %s",
               strcmp (path, "-") == 0 ? "standard input" : shown, what);
  return NULL;
}

/* All bytes of the file; of the standard input for "-". */
static GByteArray *
read_text (const char *path, GError **error)
{
  g_autoptr (GByteArray) text = g_byte_array_new ();
  int file = strcmp (path, "-") == 0 ? STDIN_FILENO : open (path, O_RDONLY | O_CLOEXEC);
  guint8 buffer[65536];
  gssize n = file < 0 ? -1 : 1;

  while (n > 0 && text->len <= MAX_TEXT)
    {
      n = read (file, buffer, sizeof buffer);
      if (n > 0)
        g_byte_array_append (text, buffer, (guint) n);
    }
  if (n < 0)
    {
      g_autofree char *what = g_strconcat ("cannot be read: ", g_strerror (errno), NULL);

      fail_text (error, path, what);
    }
  if (file > STDIN_FILENO)
    close (file);
  if (n > 0)
    return fail_text (error, path, "is longer than 1 GiB; split it");
  return n < 0 ? NULL : g_steal_pointer (&text);
}

static GArray *
encode (MsTokenizer *tokenizer, const GByteArray *text, const Options *options, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  gint32 bos = options->special ? ms_tokenizer_bos (tokenizer) : -1;
  gint32 eos = options->special ? ms_tokenizer_eos (tokenizer) : -1;
  const MsEncoding how
      = { options->special, (gsize) options->limit, ms_command_cancellable (MS_STOP_AT_ONCE) };
  MsEncoded encoded;

  if (bos >= 0)
    g_array_append_val (ids, bos);
  if (!ms_tokenizer_encode_with (tokenizer, &how, (const char *) text->data, text->len, ids,
                                 &encoded, error))
    return NULL;
  if (encoded.lost > 0)
    {
      g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_INPUT,
                   "the vocabulary has no token for %" G_GINT64_FORMAT
                   " %s of the text (the first is 0x%02X), nor one for what it does not know: ids "
                   "would tell the text without them",
                   encoded.lost, encoded.lost == 1 ? "byte" : "bytes", encoded.first_lost);
      return NULL;
    }
  if (eos >= 0)
    g_array_append_val (ids, eos);
  if (options->limit > 0 && ids->len > options->limit)
    g_array_set_size (ids, (guint) options->limit);
  return g_steal_pointer (&ids);
}

/* The token's text; bytes that are no part of a character are told as <0xHH>.  (transfer full) */
static char *
piece_text (MsTokenizer *tokenizer, gint32 id)
{
  gsize length = 0;
  const char *at = (const char *) ms_tokenizer_piece (tokenizer, id, &length);
  const char *end = at + length;
  GString *text = g_string_sized_new (length);

  while (at < end)
    {
      const char *wrong;

      g_utf8_validate_len (at, (gsize) (end - at), &wrong);
      g_string_append_len (text, at, wrong - at);
      at = wrong;
      if (at < end)
        g_string_append_printf (text, "<0x%02X>", (guint8) *at++);
    }
  return g_string_free (text, FALSE);
}

static void
print_list (MsTokenizer *tokenizer, const GArray *ids)
{
  char number[MS_NUMBER_SIZE];

  printf ("%s %s (tokenizer %s)\n", ms_number_grouped (number, ids->len),
          ids->len == 1 ? "token" : "tokens", ms_tokenizer_name (tokenizer));
  for (guint i = 0; i < ids->len; i++)
    {
      gint32 id = g_array_index (ids, gint32, i);
      g_autofree char *piece = piece_text (tokenizer, id);
      g_autofree char *shown = ms_text_printable (piece, -1);

      printf ("%8u %8d  '%s'\n", i, id, shown);
    }
}

/* Piece by piece: a tree of all of them would take many times the memory of the text. */
static void
print_json (MsTokenizer *tokenizer, const GArray *ids)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_VALUE);

  fputs ("{\"ids\": [", stdout);
  for (guint i = 0; i < ids->len; i++)
    printf ("%s%d", i > 0 ? ", " : "", g_array_index (ids, gint32, i));
  fputs ("], \"pieces\": [", stdout);
  for (guint i = 0; i < ids->len; i++)
    {
      g_autofree char *piece = piece_text (tokenizer, g_array_index (ids, gint32, i));
      g_autofree char *json = NULL, *safe = NULL;

      json_node_set_string (node, piece);
      json = json_to_string (node, FALSE);
      safe = ms_text_safe_json (json);
      printf ("%s%s", i > 0 ? ", " : "", safe);
    }
  fputs ("]}\n", stdout);
}

static MsExit
run (int argc, char **argv)
{
  gboolean as_json = FALSE, no_special = FALSE;
  Options options = { 0 };
  const GOptionEntry entries[]
      = { { "json", 0, 0, G_OPTION_ARG_NONE, &as_json,
            "Print JSON: {\"ids\": [...], \"pieces\": [...]}", NULL },
          { "no-special", 0, 0, G_OPTION_ARG_NONE, &no_special,
            "Add no BOS and EOS, and take special tokens that the text spells out as plain text",
            NULL },
          { "max-tokens", 0, 0, G_OPTION_ARG_INT64, &options.limit,
            "No more than the first N tokens", "N" },
          { 0 } };
  g_autoptr (MsTokenizer) tokenizer = NULL;
  g_autoptr (GByteArray) text = NULL;
  g_autoptr (GArray) ids = NULL;
  GError *error = NULL;

  ms_command_parse (&ms_command_tokenize, entries, &argc, &argv);
  if (argc != 3)
    return ms_command_misuse (&ms_command_tokenize, "give a model and a file with text, or -");
  if (options.limit < 0)
    return ms_command_misuse (&ms_command_tokenize, "--max-tokens is less than 0");
  options.special = !no_special;
  if ((tokenizer = ms_tokenizer_load (argv[1], NULL, &error)) == NULL
      || (text = read_text (argv[2], &error)) == NULL
      || (ids = encode (tokenizer, text, &options, &error)) == NULL)
    return ms_command_fail (&ms_command_tokenize, error);
  if (as_json)
    print_json (tokenizer, ids);
  else
    print_list (tokenizer, ids);
  return MS_EXIT_FINE;
}

const MsCommand ms_command_tokenize = {
  .name = "tokenize",
  .usage = "MODEL.gguf FILE|- [--no-special] [--json]",
  .summary = "Cut a text into a model's tokens",
  .details
  = "The file is text as it stands, every byte of it; - is the standard input.  Any GGUF file with "
    "a\n"
    "tokenizer will do, also of an architecture that cannot be run, or with a vocabulary alone.\n"
    "Pieces are the tokens' texts; a byte that is no whole character reads <0xHH> there.",
  .example = "moescope tokenize model.gguf notes.txt\n"
             "  echo 'How now?' | moescope tokenize model.gguf - --json",
  .run = run,
};
