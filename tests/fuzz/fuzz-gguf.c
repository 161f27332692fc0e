/* Model files that are damaged at random: header, list of tensors, metadata, vocabulary.
 *
 *   fuzz-gguf [--rounds N | --seconds N] [--seed N] [--models FOLDER]
 *
 * Each round changes one of a few small models, or of the files of a folder, and lets everything that reads model
 * files have it: what is refused must be refused with a message, what is taken must be whole.  A crash or a
 * finding of the sanitizers ends the program; the file that did it is then still there, under the name printed at
 * the start.  The same seed gives the same rounds. */
#include "base.h"
#include "collector.h"
#include "gguf-private.h"
#include "mutate.h"
#include "toy-model.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  GByteArray *bytes;
  GArray *spots; /* of FuzzSpot: numbers of header, metadata and list of tensors */
} Seed;

static GPtrArray *seeds; /* of Seed */
static char *path;       /* of the file under test */

/* --- Seeds ------------------------------------------------------------------------------------ */

static const guint value_bytes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

typedef struct
{
  const Seed *seed;
  gsize at;
} Reader;

/* Reads a number and remembers where; 0 behind the end. */
static guint64
number (Reader *reader, guint size)
{
  const FuzzSpot spot = { reader->at, size };
  guint64 value = 0;

  if (size == 0 || reader->at + size > reader->seed->bytes->len)
    return 0;
  memcpy (&value, reader->seed->bytes->data + reader->at, size);
  g_array_append_val (reader->seed->spots, spot);
  reader->at += size;
  return GUINT64_FROM_LE (value);
}

static void
string (Reader *reader)
{
  reader->at += number (reader, 8);
}

/* Of a long array the first values will do. */
static void
value (Reader *reader, guint64 type, guint64 n)
{
  for (guint64 i = 0; i < n; i++)
    if (type == 8)
      string (reader);
    else if (i < 64)
      number (reader, type < G_N_ELEMENTS (value_bytes) ? value_bytes[type] : 0);
    else
      {
        reader->at += (n - i) * value_bytes[type];
        return;
      }
}

/* Takes bytes. */
static void
add_seed (GByteArray *bytes)
{
  Seed *seed = g_new0 (Seed, 1);
  Reader reader = { seed, 4 };
  guint64 n_tensors, n_keys;

  seed->bytes = bytes;
  seed->spots = g_array_new (FALSE, FALSE, sizeof (FuzzSpot));
  number (&reader, 4);
  n_tensors = number (&reader, 8);
  n_keys = number (&reader, 8);
  for (guint64 i = 0; i < n_keys; i++)
    {
      guint64 type;

      string (&reader);
      type = number (&reader, 4);
      if (type == 9)
        {
          type = number (&reader, 4);
          value (&reader, type, number (&reader, 8));
        }
      else
        value (&reader, type, 1);
    }
  for (guint64 i = 0; i < n_tensors; i++)
    {
      guint64 n_dims;

      string (&reader);
      n_dims = number (&reader, 4);
      for (guint64 d = 0; d < n_dims; d++)
        number (&reader, 8);
      number (&reader, 4);
      number (&reader, 8);
    }
  g_assert_cmpuint (reader.at, <=, bytes->len);
  g_ptr_array_add (seeds, seed);
}

static void
add_vocabulary (GgufWriter *writer, gboolean llama)
{
  static const char *const gpt2[] = { "a",
                                      "b",
                                      "ab",
                                      "\xc4\xa0",
                                      "\xc4\xa0"
                                      "a",
                                      "<|end|>",
                                      "abab",
                                      "1",
                                      "<u>",
                                      "\xc3\xb6",
                                      NULL };
  static const char *const merges[] = { "a b", "\xc4\xa0 a", "ab ab", "b a", NULL };
  static const gint32 gpt2_types[] = { 1, 1, 1, 1, 1, 3, 1, 1, 4, 1 };
  static const char *const pieces[] = { "<unk>",
                                        "<s>",
                                        "<0x0A>",
                                        "\xe2\x96\x81",
                                        "a",
                                        "b",
                                        "ab",
                                        "\xe2\x96\x81"
                                        "a",
                                        "ba",
                                        "[X]",
                                        NULL };
  static const float scores[] = { 0, 0, 0, -9, -9, -9, -1, -2, -1, 0 };
  static const gint32 types[] = { 2, 3, 6, 1, 1, 1, 1, 1, 1, 4 };

  gguf_add_string (writer, "tokenizer.ggml.model", llama ? "llama" : "gpt2");
  gguf_add_strings (writer, "tokenizer.ggml.tokens", llama ? pieces : gpt2, -1);
  gguf_add_i32s (writer, "tokenizer.ggml.token_type", llama ? types : gpt2_types, 10);
  if (llama)
    gguf_add_floats (writer, "tokenizer.ggml.scores", scores, 10);
  else
    {
      gguf_add_string (writer, "tokenizer.ggml.pre", "llama-bpe");
      gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
      gguf_add_u32 (writer, "tokenizer.ggml.unknown_token_id", 3);
    }
  gguf_add_u32 (writer, "tokenizer.ggml.bos_token_id", 1);
  gguf_add_u32 (writer, "tokenizer.ggml.eos_token_id", 5);
  gguf_add_bool (writer, "tokenizer.ggml.add_bos_token", TRUE);
}

static void
add_seeds (void)
{
  static const ToyModel models[] = {
    { .architecture = "olmoe", .qk_norm = 1 },
    { .architecture = "qwen2moe", .qkv_bias = TRUE, .shared_width = 16, .dense_blocks = 1 },
    { .architecture = "qwen3moe", .qk_norm = 2, .type = 8, .quantised_router = TRUE },
    { .architecture = "llama", .separate = TRUE },
    { .architecture = "lfm2moe", .qk_norm = 2, .conv_blocks = 1 },
    { .architecture = "mellum", .qk_norm = 2, .window = 4 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (models); i++)
    {
      ToyModel model = models[i];
      g_autoptr (GgufWriter) writer = NULL;

      model.width = model.type == 8 ? 32 : 16;
      model.blocks = 2;
      model.heads = 2;
      model.kv_heads = 1;
      model.head_width = model.type == 8 ? 32 : 8;
      model.vocabulary = 10;
      model.experts = 4;
      model.k = 2;
      model.expert_width = model.type == 8 ? 32 : 8;
      model.seed = i;
      writer = toy_model_write (&model);
      add_vocabulary (writer, i % 2 == 0);
      add_seed (gguf_writer_bytes (writer));
    }
  for (guint other = 0; other < 2; other++)
    {
      static const char *const pieces[] = { "<pad>",
                                            "</s>",
                                            "<unk>",
                                            "\xe2\x96\x81",
                                            "a",
                                            "b",
                                            "ab",
                                            "\xe2\x96\x81"
                                            "a",
                                            "[X]",
                                            "c",
                                            NULL };
      static const float scores[] = { 0, 0, 0, -3, -3, -3, -4, -5, 0, -1 };
      static const gint32 types[] = { 3, 3, 2, 1, 1, 1, 1, 1, 4, 5 };
      gint32 map[4 + 4 * 128 + 2] = { 0, 2 };
      g_autoptr (GgufWriter) writer = gguf_writer_new ();

      /* "A" becomes "a": tests/test-tokenizer.c. */
      memcpy (&map[4 + 4 * 'A'], (const gint32[]){ 'A', 1, 1, 0 }, 4 * sizeof *map);
      map[4 + 4 * ('A' ^ 64) + 3] = -128;
      map[4 + 4 * 128] = 'a';
      gguf_add_string (writer, "general.architecture", "x");
      gguf_add_string (writer, "tokenizer.ggml.model", other ? "t5" : "bert");
      gguf_add_strings (writer, "tokenizer.ggml.tokens", pieces, -1);
      gguf_add_i32s (writer, "tokenizer.ggml.token_type", types, 10);
      gguf_add_floats (writer, "tokenizer.ggml.scores", scores, 10);
      gguf_add_u32 (writer, "tokenizer.ggml.unknown_token_id", 2);
      gguf_add_bool (writer, "tokenizer.ggml.add_space_prefix", TRUE);
      if (other)
        gguf_add_i32s (writer, "tokenizer.ggml.precompiled_charsmap", map, G_N_ELEMENTS (map));
      add_seed (gguf_writer_bytes (writer));
    }
  for (guint llama = 0; llama < 2; llama++)
    {
      g_autoptr (GgufWriter) writer = gguf_writer_new ();

      gguf_add_string (writer, "general.architecture", "x");
      add_vocabulary (writer, llama);
      add_seed (gguf_writer_bytes (writer));
    }
}

static void
add_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (folder, name, NULL);
      char *contents;
      gsize length;

      if (g_str_has_suffix (name, ".gguf") && g_file_get_contents (file, &contents, &length, NULL))
        add_seed (g_byte_array_new_take ((guint8 *) contents, length));
    }
}

/* --- A round ---------------------------------------------------------------------------------- */

static void
check_error (const GError *error)
{
  g_assert_nonnull (error);
  g_assert_true (error->domain == MS_COLLECTOR_ERROR);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

static void
try_tokens (guint64 *state)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsTokenizer) tokenizer = ms_tokenizer_load (path, NULL, &error);
  g_autoptr (GByteArray) text = g_byte_array_new ();
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  if (tokenizer == NULL)
    {
      check_error (error);
      return;
    }
  for (guint i = 0; i < 40; i++)
    {
      gint32 id = (gint32) ms_random_below (state, ms_tokenizer_size (tokenizer));
      guint8 byte = (guint8) ms_random_next (state);
      gsize length = 0;
      const guint8 *piece = ms_tokenizer_piece (tokenizer, id, &length);

      g_assert_nonnull (piece);
      g_byte_array_append (text, piece, (guint) MIN (length, 1000));
      if (ms_random_below (state, 4) == 0)
        g_byte_array_append (text, &byte, 1);
    }
  for (guint special = 0; special < 2; special++)
    if (!ms_tokenizer_encode_with (tokenizer, &(MsEncoding){ special, 0, NULL },
                                   (const char *) text->data, text->len, ids, NULL, &error))
      {
        check_error (error);
        g_clear_error (&error);
      }
  for (guint i = 0; i < ids->len; i++)
    g_assert_cmpuint ((guint) g_array_index (ids, gint32, i), <, ms_tokenizer_size (tokenizer));
}

static void
try_tensors (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = ms_gguf_open (path, &error);

  if (gguf == NULL)
    {
      check_error (error);
      return;
    }
  for (guint i = 0; i < ms_gguf_n_tensors (gguf); i++)
    {
      const MsTensor *tensor = ms_gguf_tensor (gguf, i);
      g_autofree float *out = NULL;

      if (tensor->type->to_float == NULL)
        continue;
      out = g_new (float, tensor->ne[0]);
      ms_tensor_to_float (tensor, ms_tensor_n_rows (tensor) - 1, 1, out);
    }
}

static gboolean
try_inspection (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsInspection) found = ms_model_inspect (path, &error);

  if (found == NULL)
    {
      check_error (error);
      return FALSE;
    }
  g_assert_true ((found->model != NULL) == (found->obstacles->len == 0));
  g_assert_cmpint (found->tensor_bytes, >=, 0);
  g_assert_cmpint (found->active_values, >=, 0);
  return TRUE;
}

/* Into a new file each time: writing over an old one waits for the disk. */
static void
save (const GByteArray *bytes)
{
  FILE *file;

  g_unlink (path);
  file = g_fopen (path, "wb");
  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (bytes->data, 1, bytes->len, file), ==, bytes->len);
  g_assert_cmpint (fclose (file), ==, 0);
}

static gboolean
play (guint64 round, guint64 seed_number)
{
  guint64 state = seed_number * 1000003 + round;
  const Seed *seed = seeds->pdata[ms_random_below (&state, seeds->len)];
  const Seed *other = seeds->pdata[ms_random_below (&state, seeds->len)];
  g_autoptr (GByteArray) bytes = g_byte_array_sized_new (seed->bytes->len);
  gint64 begun = g_get_monotonic_time ();
  gboolean taken;

  g_byte_array_append (bytes, seed->bytes->data, seed->bytes->len);
  fuzz_mutate (bytes, seed->spots, other->bytes, &state);
  save (bytes);
  taken = try_inspection ();
  try_tensors ();
  try_tokens (&state);
  if (g_get_monotonic_time () - begun > 30 * G_USEC_PER_SEC)
    g_error ("round %" G_GUINT64_FORMAT " of seed %" G_GUINT64_FORMAT " took more than 30 s", round,
             seed_number);
  return taken;
}

static void
seed_free (gpointer data)
{
  Seed *seed = data;

  g_byte_array_unref (seed->bytes);
  g_array_unref (seed->spots);
  g_free (seed);
}

int
main (int argc, char **argv)
{
  gint64 rounds = 0, seconds = 0, seed_number = 1, begun = g_get_monotonic_time ();
  g_autofree char *folder = g_dir_make_tmp ("moescope-fuzz-XXXXXX", NULL), *models = NULL;
  const GOptionEntry entries[]
      = { { "rounds", 0, 0, G_OPTION_ARG_INT64, &rounds, "Rounds to play", "N" },
          { "seconds", 0, 0, G_OPTION_ARG_INT64, &seconds, "Time to play", "N" },
          { "seed", 0, 0, G_OPTION_ARG_INT64, &seed_number, "Other rounds", "N" },
          { "models", 0, 0, G_OPTION_ARG_FILENAME, &models, "Folder with models to change, too",
            "D" },
          { 0 } };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  gint64 round = 0, taken = 0;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, NULL) || (rounds == 0) == (seconds == 0))
    {
      fputs ("fuzz-gguf --rounds N | --seconds N [--seed N] [--models FOLDER]\n", stderr);
      return 2;
    }
  seeds = g_ptr_array_new_with_free_func (seed_free);
  path = g_build_filename (folder, "model.gguf", NULL);
  printf ("# the file under test is %s\n", path);
  fflush (stdout);
  add_seeds ();
  if (models != NULL)
    add_folder (models);
  for (; rounds > 0 ? round < rounds : g_get_monotonic_time () - begun < seconds * G_USEC_PER_SEC;
       round++)
    taken += play ((guint64) round, (guint64) seed_number);
  printf ("1..1\nok 1 %" G_GINT64_FORMAT " rounds, %" G_GINT64_FORMAT " files told of\n", round,
          taken);
  g_unlink (path);
  g_rmdir (folder);
  g_free (path);
  g_ptr_array_unref (seeds);
  return 0;
}
