/* The GGUF reader: values, tensor types, split files, and files that are damaged in every way. */
#include "gguf-private.h"
#include "gguf-writer.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static char *folder;

static char *
file_path (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

/* Into a new file each time: writing over an old one waits for the disk, and thousands are written. */
static void
write_bytes (const char *path, const guint8 *bytes, gsize n)
{
  FILE *file;

  g_unlink (path);
  file = g_fopen (path, "wb");
  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (bytes, 1, n, file), ==, n);
  g_assert_cmpint (fclose (file), ==, 0);
}

static MsGguf *
open_bytes (const guint8 *bytes, gsize n, GError **error)
{
  g_autofree char *path = file_path ("model.gguf");

  write_bytes (path, bytes, n);
  return ms_gguf_open (path, error);
}

static MsGguf *
open_writer (const GgufWriter *writer, GError **error)
{
  g_autoptr (GByteArray) bytes = gguf_writer_bytes (writer);

  return open_bytes (bytes->data, bytes->len, error);
}

/* A file with a key of each kind, a vocabulary and three tensors. */
static GgufWriter *
new_model (void)
{
  static const char *const tokens[] = { "a", "b", "ab", "\xc4\xa0", NULL };
  static const char *const merges[] = { "a b", NULL };
  static const float floats[] = { 1, -2.5f };
  static const gint32 ints[] = { 3, -4, 5 };
  static const float matrix[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
  static const guint8 odd[292] = { 0 };
  static const guint16 halves[] = { 0x3c00, 0xc000 };
  GgufWriter *writer = gguf_writer_new ();

  gguf_add_string (writer, "general.architecture", "llama");
  gguf_add_u16 (writer, "u16", 65535);
  gguf_add_u32 (writer, "u32", 4000000000u);
  gguf_add_i32 (writer, "i32", -7);
  gguf_add_u64 (writer, "u64", 1ull << 40);
  gguf_add_float (writer, "float", 0.5f);
  gguf_add_float (writer, "nan", NAN);
  gguf_add_bool (writer, "bool", TRUE);
  gguf_add_string (writer, "bad.text", "\xff");
  gguf_add_floats (writer, "floats", floats, 2);
  gguf_add_i32s (writer, "ints", ints, 3);
  gguf_add_string (writer, "tokenizer.ggml.model", "gpt2");
  gguf_add_strings (writer, "tokenizer.ggml.tokens", tokens, -1);
  gguf_add_strings (writer, "tokenizer.ggml.merges", merges, -1);
  gguf_add_f32 (writer, "matrix.weight", 2, 4, 0, matrix);
  gguf_add_tensor (writer, "half.weight", 1, 2, 0, 0, halves, sizeof halves);
  gguf_add_tensor (writer, "odd.weight", 15, 256, 0, 0, odd, sizeof odd);
  return writer;
}

static void
test_values (void)
{
  g_autoptr (GgufWriter) writer = new_model ();
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = NULL;
  g_autofree gint32 *ints = NULL;
  g_autofree float *floats = NULL;
  g_autofree MsGgufString *strings = NULL;
  const char *text = NULL;
  guint32 u32 = 9;
  gint32 i32, layers[3];
  guint64 u64;
  float number;
  gboolean truth;
  gsize n;

  gguf = open_writer (writer, &error);
  g_assert_no_error (error);
  g_assert_true (ms_gguf_has (gguf, "u16"));
  g_assert_false (ms_gguf_has (gguf, "u"));

  g_assert_true (ms_gguf_get_u32 (gguf, "absent", MS_KEY_OPTIONAL, &u32, &error));
  g_assert_cmpuint (u32, ==, 9);
  g_assert_true (ms_gguf_get_u32 (gguf, "u16", MS_KEY_REQUIRED, &u32, &error));
  g_assert_cmpuint (u32, ==, 65535);
  g_assert_true (ms_gguf_get_u32 (gguf, "u32", MS_KEY_REQUIRED, &u32, &error));
  g_assert_cmpuint (u32, ==, 4000000000u);
  g_assert_true (ms_gguf_get_i32 (gguf, "i32", MS_KEY_REQUIRED, &i32, &error));
  g_assert_cmpint (i32, ==, -7);
  g_assert_true (ms_gguf_get_u64 (gguf, "u64", MS_KEY_REQUIRED, &u64, &error));
  g_assert_cmpuint (u64, ==, 1ull << 40);
  g_assert_true (ms_gguf_get_float (gguf, "float", MS_KEY_REQUIRED, &number, &error));
  g_assert_cmpfloat (number, ==, 0.5f);
  g_assert_true (ms_gguf_get_bool (gguf, "bool", MS_KEY_REQUIRED, &truth, &error));
  g_assert_true (truth);
  g_assert_true (ms_gguf_get_string (gguf, "general.architecture", MS_KEY_REQUIRED, &text, &error));
  g_assert_cmpstr (text, ==, "llama");
  g_assert_true (ms_gguf_get_ints (gguf, "ints", MS_KEY_REQUIRED, &ints, &n, &error));
  g_assert_cmpuint (n, ==, 3);
  g_assert_cmpint (ints[1], ==, -4);
  g_assert_true (ms_gguf_get_floats (gguf, "floats", MS_KEY_REQUIRED, &floats, &n, &error));
  g_assert_cmpuint (n, ==, 2);
  g_assert_cmpfloat (floats[1], ==, -2.5f);
  g_assert_true (
      ms_gguf_get_strings (gguf, "tokenizer.ggml.tokens", MS_KEY_REQUIRED, &strings, &n, &error));
  g_assert_cmpmem (strings[2].bytes, (int) strings[2].length, "ab", 2);
  g_assert_true (ms_gguf_get_per_layer (gguf, "ints", MS_KEY_REQUIRED, 3, layers, &error));
  g_assert_cmpint (layers[2], ==, 5);
  g_assert_true (ms_gguf_get_per_layer (gguf, "i32", MS_KEY_REQUIRED, 3, layers, &error));
  g_assert_cmpint (layers[2], ==, -7);
}

/* Calls that must fail, with a part of the message. */
static void
test_wrong_values (void)
{
  g_autoptr (GgufWriter) writer = new_model ();
  g_autoptr (MsGguf) gguf = NULL;
  guint32 u32 = 1;
  gint32 i32, layers[4], *ints = NULL;
  float number;
  gboolean truth;
  const char *text = NULL;
  gsize n;

  gguf = open_writer (writer, NULL);
#define FAILS(call, code, part)                                                                    \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autoptr (GError) error = NULL;                                                               \
    g_assert_false (call);                                                                         \
    g_assert_error (error, MS_COLLECTOR_ERROR, code);                                              \
    if (strstr (error->message, part) == NULL)                                                     \
      g_error ("%s", error->message);                                                              \
  }                                                                                                \
  G_STMT_END
  FAILS (ms_gguf_get_u32 (gguf, "absent", MS_KEY_REQUIRED, &u32, &error),
         MS_COLLECTOR_ERROR_MISSING, "'absent' is missing");
  FAILS (ms_gguf_get_u32 (gguf, "float", MS_KEY_OPTIONAL, &u32, &error), MS_COLLECTOR_ERROR_CORRUPT,
         "'float' is of type f32, an integer expected");
  FAILS (ms_gguf_get_u32 (gguf, "i32", MS_KEY_REQUIRED, &u32, &error), MS_COLLECTOR_ERROR_CORRUPT,
         "-7, which is out of range");
  FAILS (ms_gguf_get_u32 (gguf, "u64", MS_KEY_REQUIRED, &u32, &error), MS_COLLECTOR_ERROR_CORRUPT,
         "out of range");
  FAILS (ms_gguf_get_i32 (gguf, "u32", MS_KEY_REQUIRED, &i32, &error), MS_COLLECTOR_ERROR_CORRUPT,
         "out of range");
  FAILS (ms_gguf_get_u32 (gguf, "ints", MS_KEY_REQUIRED, &u32, &error), MS_COLLECTOR_ERROR_CORRUPT,
         "'ints' is of type array of i32");
  FAILS (ms_gguf_get_float (gguf, "u32", MS_KEY_REQUIRED, &number, &error),
         MS_COLLECTOR_ERROR_CORRUPT, "type u32, a float");
  FAILS (ms_gguf_get_float (gguf, "nan", MS_KEY_REQUIRED, &number, &error),
         MS_COLLECTOR_ERROR_CORRUPT, "not a finite number");
  FAILS (ms_gguf_get_bool (gguf, "u32", MS_KEY_REQUIRED, &truth, &error),
         MS_COLLECTOR_ERROR_CORRUPT, "bool expected");
  FAILS (ms_gguf_get_string (gguf, "u32", MS_KEY_REQUIRED, &text, &error),
         MS_COLLECTOR_ERROR_CORRUPT, "string expected");
  FAILS (ms_gguf_get_string (gguf, "bad.text", MS_KEY_REQUIRED, &text, &error),
         MS_COLLECTOR_ERROR_CORRUPT, "not UTF-8");
  FAILS (ms_gguf_get_ints (gguf, "floats", MS_KEY_REQUIRED, &ints, &n, &error),
         MS_COLLECTOR_ERROR_CORRUPT, "array of f32, an integer");
  FAILS (ms_gguf_get_per_layer (gguf, "ints", MS_KEY_REQUIRED, 4, layers, &error),
         MS_COLLECTOR_ERROR_CORRUPT, "3 values for 4 layers");
  FAILS (ms_gguf_need (gguf, "none", 0, 0, 0, &error) != NULL, MS_COLLECTOR_ERROR_MISSING,
         "tensor none is missing");
  FAILS (ms_gguf_need (gguf, "matrix.weight", 2, 5, 1, &error) != NULL, MS_COLLECTOR_ERROR_CORRUPT,
         "has the shape 2 x 4 x 1, but 2 x 5 x 1");
  FAILS (ms_gguf_need (gguf, "odd.weight", 256, 1, 1, &error) != NULL,
         MS_COLLECTOR_ERROR_UNSUPPORTED,
         "tensors of type Q8_K cannot be read: 1 of 3, for example odd.weight");
#undef FAILS
  g_assert_cmpuint (u32, ==, 1);
  g_assert_null (text);
  g_assert_null (ints);
}

/* Types that nobody can read are named; their bytes reach up to the next tensor. */
static void
test_foreign (void)
{
  static const guint8 bytes[96] = { 0 };
  g_autoptr (GgufWriter) writer = gguf_writer_new ();
  g_autoptr (GgufWriter) short_writer = gguf_writer_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = NULL;
  const MsTensor *tensor;

  g_assert_cmpstr (ms_tensor_type_foreign (137), ==, "IQ2_K");
  g_assert_cmpstr (ms_tensor_type_foreign (344), ==, "IQ4_KS_R4");
  g_assert_null (ms_tensor_type_foreign (12));
  gguf_add_tensor (writer, "a", 134, 64, 2, 0, bytes, 30);
  gguf_add_tensor (writer, "b", 999, 64, 2, 4, bytes, 96);
  gguf_add_tensor (writer, "c", 0, 8, 0, 0, bytes, 32);
  gguf_add_tensor (writer, "d", 335, 64, 0, 0, bytes, 20);
  gguf = open_writer (writer, &error);
  g_assert_no_error (error);
  tensor = ms_gguf_find (gguf, "a");
  g_assert_cmpstr (tensor->type->name, ==, "IQ1_BN");
  g_assert_null (tensor->type->to_float);
  g_assert_cmpuint (tensor->size, ==, 32);
  tensor = ms_gguf_find (gguf, "b");
  g_assert_cmpstr (tensor->type->name, ==, "number 999");
  g_assert_cmpuint (tensor->size, ==, 96);
  g_assert_cmpuint (ms_gguf_find (gguf, "c")->size, ==, 32);
  g_assert_cmpuint (ms_gguf_find (gguf, "d")->size, ==, 32);
  g_assert_null (ms_gguf_need (gguf, "d", 64, 1, 1, &error));
  g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "of type IQ2_BN_R4 cannot be read: 1 of 4"));
  g_clear_error (&error);
  /* More values than bits. */
  gguf_add_tensor (short_writer, "a", 134, 64, 2, 64, bytes, 96);
  g_assert_null (open_writer (short_writer, &error));
  g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_CORRUPT);
  g_assert_nonnull (strstr (error->message, "too few"));
}

/* --- Tensor types ----------------------------------------------------------------------------- */

static void
test_half (void)
{
  const MsTensorType *type = ms_tensor_type (MS_TYPE_F16), *wide = ms_tensor_type (MS_TYPE_BF16);
  g_autofree guint8 *bytes = g_malloc (2 * 65536 + 1);
  g_autofree float *out = g_new (float, 65536);

  /* One byte off, as data in a file may lie anywhere. */
  for (guint i = 0; i < 65536; i++)
    {
      bytes[2 * i + 1] = (guint8) i;
      bytes[2 * i + 2] = (guint8) (i >> 8);
    }
  type->to_float (bytes + 1, 65536, out);
  for (guint i = 0; i < 65536; i++)
    {
      float expected = ms_half_to_float ((guint16) i);

      g_assert_true (memcmp (&out[i], &expected, sizeof expected) == 0
                     || (isnan (out[i]) && isnan (expected)));
    }
  wide->to_float (bytes + 1, 65536, out);
  for (guint i = 0; i < 65536; i++)
    {
      guint32 bits;

      memcpy (&bits, &out[i], sizeof bits);
      g_assert_cmpuint (bits, ==, i << 16);
    }
}

static void
test_q8_0 (void)
{
  const MsTensorType *type = ms_tensor_type (MS_TYPE_Q8_0);
  guint8 bytes[3 * 34];
  float out[96];
  guint64 state = 1;

  for (guint i = 0; i < sizeof bytes; i++)
    bytes[i] = (guint8) ms_random_next (&state);
  for (guint b = 0; b < 3; b++)
    {
      guint16 scale = ms_half_from_float (0.01f * (float) (b + 1));

      memcpy (bytes + 34 * b, &scale, 2);
    }
  type->to_float (bytes, 96, out);
  for (guint i = 0; i < 96; i++)
    {
      const guint8 *block = bytes + 34 * (i / 32);
      guint16 scale;

      memcpy (&scale, block, 2);
      g_assert_cmpfloat (out[i], ==, ms_half_to_float (scale) * (float) (gint8) block[2 + i % 32]);
    }
}

static void
test_rows (void)
{
  g_autoptr (GgufWriter) writer = gguf_writer_new ();
  g_autoptr (MsGguf) gguf = NULL;
  g_autoptr (GError) error = NULL;
  const MsTensor *tensor;
  float values[24], out[8];

  for (guint i = 0; i < 24; i++)
    values[i] = (float) i;
  gguf_add_f32 (writer, "t", 4, 3, 2, values);
  gguf = open_writer (writer, &error);
  g_assert_no_error (error);
  tensor = ms_gguf_need (gguf, "t", 4, 3, 2, &error);
  g_assert_no_error (error);
  g_assert_cmpint (ms_tensor_n_rows (tensor), ==, 6);
  ms_tensor_to_float (tensor, 2, 2, out);
  g_assert_cmpmem (out, sizeof out, values + 8, sizeof out);
  g_assert_true (ms_gguf_find (gguf, "t") == tensor);
  g_assert_true (ms_gguf_tensor (gguf, 0) == tensor);
  g_assert_cmpuint (ms_gguf_n_tensors (gguf), ==, 1);
}

/* --- Split files ------------------------------------------------------------------------------ */

static void
save_part (const char *name, guint16 number, guint16 count, gint32 n_tensors)
{
  g_autoptr (GgufWriter) writer = gguf_writer_new ();
  g_autofree char *path = file_path (name), *tensor = g_strdup_printf ("t%u", number);
  const float value = (float) number;

  gguf_add_u16 (writer, "split.no", number);
  gguf_add_u16 (writer, "split.count", count);
  gguf_add_i32 (writer, "split.tensors.count", n_tensors);
  gguf_add_f32 (writer, tensor, 1, 0, 0, &value);
  gguf_writer_save (writer, path);
}

static void
check_split (const char *name, const char *part)
{
  g_autofree char *path = file_path (name);
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = ms_gguf_open (path, &error);

  g_assert_null (gguf);
  if (strstr (error->message, part) == NULL)
    g_error ("%s", error->message);
}

static void
test_split (void)
{
  g_autofree char *path = file_path ("m-00001-of-00003.gguf");
  g_autoptr (GError) error = NULL;
  float value;

  save_part ("m-00001-of-00003.gguf", 0, 3, 3);
  save_part ("m-00002-of-00003.gguf", 1, 3, 3);
  check_split ("m-00001-of-00003.gguf", "part 3 of 3 is missing: put ");
  check_split ("m-00001-of-00003.gguf", "m-00003-of-00003.gguf beside it");
  check_split ("m-00002-of-00003.gguf", "give the first part");
  save_part ("m-00003-of-00003.gguf", 2, 3, 3);
  {
    g_autoptr (MsGguf) gguf = ms_gguf_open (path, &error);

    g_assert_no_error (error);
    g_assert_cmpuint (ms_gguf_n_tensors (gguf), ==, 3);
    ms_tensor_to_float (ms_gguf_find (gguf, "t2"), 0, 1, &value);
    g_assert_cmpfloat (value, ==, 2);
  }
  save_part ("m-00003-of-00003.gguf", 1, 3, 3);
  check_split ("m-00001-of-00003.gguf", "tensor 't1' occurs twice");
  save_part ("m-00003-of-00003.gguf", 7, 3, 3);
  check_split ("m-00001-of-00003.gguf", "is not part 3 of 3");
  save_part ("m-00003-of-00003.gguf", 2, 3, 3);
  save_part ("m-00001-of-00003.gguf", 0, 3, 4);
  check_split ("m-00001-of-00003.gguf", "3 tensors, 4 expected");
  save_part ("renamed.gguf", 0, 3, 3);
  check_split ("renamed.gguf", "original names");
}

static void
test_fingerprint (void)
{
  g_autoptr (GgufWriter) writer = new_model ();
  g_autofree guint8 *data = g_malloc0 (100000);
  g_autoptr (GByteArray) bytes = NULL;
  char *prints[4];

  gguf_add_tensor (writer, "large", 24, 100000, 0, 0, data, 100000);
  bytes = gguf_writer_bytes (writer);
  for (guint i = 0; i < 4; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (MsGguf) gguf = NULL;

      if (i == 2)
        bytes->data[bytes->len - 40] ^= 1; /* in the tensor's end */
      if (i == 3)
        bytes->data[80] ^= 1; /* in the metadata: a digit of a value */
      gguf = open_bytes (bytes->data, bytes->len, &error);
      g_assert_no_error (error);
      prints[i] = ms_gguf_fingerprint (gguf);
      g_assert_cmpuint (strlen (prints[i]), ==, 16);
    }
  g_assert_cmpstr (prints[0], ==, prints[1]);
  g_assert_cmpstr (prints[1], !=, prints[2]);
  g_assert_cmpstr (prints[2], !=, prints[3]);
  for (guint i = 0; i < 4; i++)
    g_free (prints[i]);
}

/* --- Damage ----------------------------------------------------------------------------------- */

/* Opens the bytes and, if that works, reads everything there is. */
static gboolean
survive (const guint8 *bytes, gsize n, MsCollectorError *code)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = open_bytes (bytes, n, &error);
  g_autofree char *path = file_path ("model.gguf");
  g_autoptr (MsTokenizer) tokenizer = NULL;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  const char *const keys[]
      = { "u16", "u32", "float", "ints", "floats", "general.architecture", "tokenizer.ggml.tokens",
          NULL };

  if (gguf == NULL)
    {
      g_assert_true (error->domain == MS_COLLECTOR_ERROR);
      g_assert_null (strchr (error->message, '\n'));
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      *code = error->code;
      return FALSE;
    }
  for (guint i = 0; i < ms_gguf_n_tensors (gguf); i++)
    {
      const MsTensor *tensor = ms_gguf_tensor (gguf, i);
      gint64 rows = ms_tensor_n_rows (tensor);
      g_autofree float *out = NULL;

      g_assert_cmpuint (tensor->size, <=, n);
      if (tensor->type->to_float == NULL)
        continue;
      out = g_new (float, rows * tensor->ne[0]);
      ms_tensor_to_float (tensor, 0, rows, out);
    }
  for (const char *const *key = keys; *key != NULL; key++)
    {
      guint32 u32;
      float number;
      const char *text;
      gsize count = 0;
      g_autofree gint32 *ints = NULL;
      g_autofree float *floats = NULL;
      g_autofree MsGgufString *strings = NULL;

      ms_gguf_get_u32 (gguf, *key, MS_KEY_REQUIRED, &u32, NULL);
      ms_gguf_get_float (gguf, *key, MS_KEY_REQUIRED, &number, NULL);
      ms_gguf_get_string (gguf, *key, MS_KEY_REQUIRED, &text, NULL);
      ms_gguf_get_ints (gguf, *key, MS_KEY_REQUIRED, &ints, &count, NULL);
      ms_gguf_get_floats (gguf, *key, MS_KEY_REQUIRED, &floats, &count, NULL);
      if (ms_gguf_get_strings (gguf, *key, MS_KEY_REQUIRED, &strings, &count, NULL))
        for (gsize i = 0; i < count; i++)
          g_assert_cmpuint (strings[i].length, <=, n);
    }
  tokenizer = ms_tokenizer_load (path, NULL, NULL);
  if (tokenizer != NULL)
    ms_tokenizer_encode (tokenizer, "ab ab <s> \xe2\x82\xac", 13, ids);
  return TRUE;
}

static GByteArray *
sample_bytes (void)
{
  g_autoptr (GgufWriter) writer = new_model ();

  return gguf_writer_bytes (writer);
}

static void
test_truncated (void)
{
  g_autoptr (GByteArray) bytes = sample_bytes ();
  gsize least = 0;

  for (gsize n = 0; n <= bytes->len; n++)
    {
      MsCollectorError code;
      g_autofree guint8 *copy = g_malloc (n ? n : 1);

      memcpy (copy, bytes->data, n);
      if (survive (copy, n, &code))
        least = least ? least : n;
      else
        {
          g_assert_cmpuint (least, ==, 0);
          g_assert_cmpint (code, ==,
                           n < 4 ? MS_COLLECTOR_ERROR_NOT_GGUF : MS_COLLECTOR_ERROR_CORRUPT);
        }
    }
  /* Nothing but padding at the end can be spared. */
  g_assert_cmpuint (least, >, bytes->len - 64);
}

static void
test_flipped (void)
{
  g_autoptr (GByteArray) bytes = sample_bytes ();
  gsize first = 0, last = bytes->len;
  guint opened = 0;

  for (gsize i = first; i < last; i++)
    for (guint bit = 0; bit < 8; bit++)
      {
        MsCollectorError code;

        bytes->data[i] ^= (guint8) (1 << bit);
        opened += survive (bytes->data, bytes->len, &code);
        bytes->data[i] ^= (guint8) (1 << bit);
      }
  g_test_message ("%u of %" G_GSIZE_FORMAT " flips are readable", opened, 8 * (last - first));
}

/* Four bytes anywhere set to values that break arithmetic. */
static void
test_hostile (void)
{
  static const guint32 values[]
      = { 0xffffffff, 0x7fffffff, 0x80000000, 0xfffffff8, 0x10000, 0x3fffffff };
  g_autoptr (GByteArray) bytes = sample_bytes ();

  for (gsize i = 0; i + 8 <= bytes->len; i++)
    for (guint j = 0; j < G_N_ELEMENTS (values); j++)
      {
        guint8 saved[8];
        guint32 both[2] = { values[j], j % 2 ? values[j] : 0 };
        MsCollectorError code;

        memcpy (saved, bytes->data + i, 8);
        memcpy (bytes->data + i, both, 8);
        survive (bytes->data, bytes->len, &code);
        memcpy (bytes->data + i, saved, 8);
      }
}

static void
check_header (const char *head, gsize n, MsCollectorError code, const char *part)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MsGguf) gguf = open_bytes ((const guint8 *) head, n, &error);

  g_assert_null (gguf);
  g_assert_error (error, MS_COLLECTOR_ERROR, (int) code);
  if (strstr (error->message, part) == NULL)
    g_error ("%s", error->message);
}

static void
test_headers (void)
{
  check_header ("", 0, MS_COLLECTOR_ERROR_NOT_GGUF, "is empty");
  check_header ("GGML1234", 8, MS_COLLECTOR_ERROR_NOT_GGUF, "is no GGUF model");
  check_header ("GGUF\1\0\0\0", 8, MS_COLLECTOR_ERROR_NOT_GGUF, "version 1;");
  check_header ("GGUF\4\0\0\0", 8, MS_COLLECTOR_ERROR_NOT_GGUF, "version 4;");
  check_header ("GGUF\0\0\0\3", 8, MS_COLLECTOR_ERROR_NOT_GGUF, "big-endian");
  check_header ("GGUF\3\0\0", 7, MS_COLLECTOR_ERROR_CORRUPT, "ends within its header");
  check_header ("GGUF\3\0\0\0\377\377\377\377\377\377\377\377\0\0\0\0\0\0\0\0", 24,
                MS_COLLECTOR_ERROR_CORRUPT, "ends within its header");
}

static void
test_no_file (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (ms_gguf_open ("/no/such", &error));
  g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_IO);
  g_clear_error (&error);
  g_assert_null (ms_gguf_open (folder, &error));
  g_assert_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_IO);
}

/* Every reference model opens, or is refused by the name of a type. */
static void
test_reference (void)
{
  g_autofree char *models
      = g_build_filename (g_getenv ("MOESCOPE_SHARED"), "conformance", "models", NULL);
  g_autoptr (GDir) dir = g_dir_open (models, 0, NULL);
  const char *name;

  if (dir == NULL)
    {
      g_test_skip ("reference data is not there");
      return;
    }
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (models, name, NULL);
      g_autoptr (GError) error = NULL;
      g_autoptr (MsGguf) gguf = ms_gguf_open (path, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (ms_gguf_n_tensors (gguf), >, 0);
    }
}

static void
remove_folder (void)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = file_path (name);

      g_unlink (path);
    }
  g_rmdir (folder);
  g_free (folder);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  g_test_add_func ("/gguf/values", test_values);
  g_test_add_func ("/gguf/wrong-values", test_wrong_values);
  g_test_add_func ("/gguf/foreign", test_foreign);
  g_test_add_func ("/gguf/half", test_half);
  g_test_add_func ("/gguf/q8-0", test_q8_0);
  g_test_add_func ("/gguf/rows", test_rows);
  g_test_add_func ("/gguf/split", test_split);
  g_test_add_func ("/gguf/fingerprint", test_fingerprint);
  g_test_add_func ("/gguf/truncated", test_truncated);
  g_test_add_func ("/gguf/flipped", test_flipped);
  g_test_add_func ("/gguf/hostile", test_hostile);
  g_test_add_func ("/gguf/headers", test_headers);
  g_test_add_func ("/gguf/no-file", test_no_file);
  g_test_add_func ("/gguf/reference", test_reference);
  status = g_test_run ();
  remove_folder ();
  return status;
}
