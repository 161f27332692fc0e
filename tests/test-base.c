/* The base folder: threads, arena, numbers, text. */
#include "base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void
square (guint index, guint worker, gpointer data)
{
  (void) worker;
  ((guint64 *) data)[index] = (guint64) index * index;
}

static void
test_parallel (void)
{
  for (guint threads = 0; threads < 8; threads++)
    {
      guint64 out[1000] = { 0 };

      ms_parallel (threads, 1000, square, out);
      for (guint i = 0; i < 1000; i++)
        g_assert_cmpuint (out[i], ==, (guint64) i * i);
    }
  ms_parallel (2, 0, square, NULL);
}

static void
test_arena (void)
{
  g_autoptr (MsArena) arena = ms_arena_new (100);

  for (int round = 0; round < 3; round++)
    {
      for (guint i = 0; i < 200; i++)
        {
          guint8 *memory = ms_arena_alloc0 (arena, i * 37);

          g_assert_cmpuint ((guintptr) memory % 64, ==, 0);
          for (guint j = 0; j < i * 37; j++)
            g_assert_cmpuint (memory[j], ==, 0);
          memset (memory, 0xab, i * 37);
        }
      ms_arena_reset (arena);
    }
}

static void
test_half (void)
{
  for (guint i = 0; i < 65536; i++)
    {
      float value = ms_half_to_float ((guint16) i);

      if (isnan (value))
        g_assert_true (isnan (ms_half_to_float (ms_half_from_float (value))));
      else
        g_assert_cmpuint (ms_half_from_float (value), ==, i);
    }
  /* Halfway cases round to even: 1 + 2^-11 lies between 1 and 1 + 2^-10. */
  g_assert_cmpuint (ms_half_from_float (1.0f + 0x1p-11f), ==, 0x3c00);
  g_assert_cmpuint (ms_half_from_float (1.0f + 3 * 0x1p-11f), ==, 0x3c02);
  g_assert_cmpuint (ms_half_from_float (65520.0f), ==, 0x7c00);
  g_assert_cmpuint (ms_half_from_float (0x1p-25f), ==, 0);
  g_assert_cmpuint (ms_half_from_float (0x1.8p-25f), ==, 1);
}

static void
test_numbers (void)
{
  char buffer[MS_NUMBER_SIZE];
  guint64 state = 7;

  g_assert_cmpstr (ms_number_short (buffer, 0.1), ==, "0.1");
  g_assert_cmpstr (ms_number_short (buffer, NAN), ==, "");
  g_assert_cmpstr (ms_number_short (buffer, -INFINITY), ==, "-inf");
  g_assert_cmpstr (ms_number_short (buffer, 1e9), ==, "1000000000");
  g_assert_cmpstr (ms_number_short (buffer, -0.0), ==, "0");
  g_assert_cmpstr (ms_number_exact (buffer, 0.1), ==, "0.1");
  g_assert_cmpstr (ms_number_exact (buffer, 2.0 / 3), ==, "0.6666666666666666");
  g_assert_cmpstr (ms_number_float (buffer, 0.1f), ==, "0.1");
  g_assert_cmpstr (ms_number_float (buffer, -0.25f), ==, "-0.25");
  g_assert_cmpstr (ms_number_float (buffer, 0), ==, "0");
  g_assert_cmpstr (ms_number_float (buffer, 3), ==, "3");
  g_assert_cmpstr (ms_number_float (buffer, 1.0f / 3), ==, "0.33333334");
  g_assert_cmpstr (ms_number_float (buffer, 1234.5f), ==, "1234.5");
  for (int i = 0; i < 1000000; i++)
    {
      guint32 bits = (guint32) ms_random_next (&state);
      float value;

      if (i & 1) /* more often in the range of weights */
        bits = (bits & 0x83ffffff) | 0x38000000 | (bits & 0x03000000);
      memcpy (&value, &bits, sizeof value);
      if (isfinite (value))
        g_assert_true (strtof (ms_number_float (buffer, value), NULL) == value);
    }
  g_assert_cmpstr (ms_number_grouped (buffer, 1234567), ==, "1,234,567");
  g_assert_cmpstr (ms_number_grouped (buffer, -123), ==, "-123");
  g_assert_cmpstr (ms_number_grouped (buffer, -1234), ==, "-1,234");
  for (int i = 0; i < 10000; i++)
    {
      guint64 bits = ms_random_next (&state);
      double value;

      memcpy (&value, &bits, sizeof value);
      if (isfinite (value))
        g_assert_true (g_ascii_strtod (ms_number_exact (buffer, value), NULL) == value);
    }
}

static void
test_random (void)
{
  guint64 state = 1234567, counts[7] = { 0 };

  /* First output of SplitMix64 with this seed, from its published reference. */
  g_assert_cmpuint (ms_random_next (&state), ==, G_GUINT64_CONSTANT (6457827717110365317));
  for (int i = 0; i < 70000; i++)
    counts[ms_random_below (&state, 7)]++;
  for (int i = 0; i < 7; i++)
    g_assert_cmpuint (counts[i], >, 9500);
}

static void
test_text (void)
{
  g_autofree char *clean = ms_text_printable ("a\xff\n\xe2\x82\xac", -1);

  /* DEL, C1, an override, an isolate, the end of a line, no character; a mark that joins stays. */
  g_autofree char *active = ms_text_printable (
      "\x7f\xc2\x9b\xe2\x80\xae\xe2\x81\xa9\xe2\x80\xa8\xef\xbf\xbf\xe2\x80\x8d", -1);
  g_autofree char *json = ms_text_safe_json ("{\"\xc2\x9b\": \"\x7f\xff\xe2\x80\xae\"}\n");

  g_assert_cmpstr (clean, ==, "a\\xFF\\x0A\xe2\x82\xac");
  g_assert_cmpstr (active, ==,
                   "\\x7F\\xC2\\x9B\\xE2\\x80\\xAE\\xE2\\x81\\xA9\\xE2\\x80\\xA8\\xEF\\xBF\\xBF"
                   "\xe2\x80\x8d");
  g_assert_cmpstr (json, ==, "{\"\\u009b\": \"\\u007f\\ufffd\\u202e\"}\n");
}

/* What is strict JSON passes; what parsers could read in two ways does not. */
static void
test_json (void)
{
  static const char *const fine[]
      = { "{}",       " [ ] ",      "{\"a\":[1,-0.5e+3,true,null,{\"b\":\"\\u00e9\\n\"}]}",
          "\"x\"",    "[[[]]]",     "9223372036854775807",
          "[1,2 ,3]", "{\"a\":{}}", "[0, 0.0, 1E5]" };
  static const char *const wrong[] = {
    "",
    "{",
    "[1,]",
    "{\"a\":1,}",
    "{'a':1}",
    "{a:1}",
    "[1] [2]",
    "/**/1",
    "[1 2]",
    "[01]",
    "[.5]",
    "[1.]",
    "[1e]",
    "nul",
    "[\"\\x\"]",
    "[\"\\u12\"]",
    "[\"\\u0000\"]",
    "[\"\n\"]",
    "[\"",
    "9223372036854775808",
    "]",
    "[}",
    "{\"a\"}",
    "[+1]",
    "[NaN]",
    "[\"\xff\"]",
    "{\"a\":}",
    "-",
  };
  g_autoptr (GString) deep = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (fine); i++)
    g_assert_cmpstr (ms_json_objection (fine[i], strlen (fine[i]), 8), ==, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    if (ms_json_objection (wrong[i], strlen (wrong[i]), 8) == NULL)
      g_error ("passes: %s", wrong[i]);
  g_assert_nonnull (ms_json_objection ("1\0"
                                       "2",
                                       3, 8));
  for (guint i = 0; i < 100000; i++)
    g_string_append_c (deep, '[');
  g_assert_nonnull (strstr (ms_json_objection (deep->str, deep->len, 64), "too deep"));
  g_assert_nonnull (ms_json_objection ("[[[]]]", 6, 2));
  g_assert_null (ms_json_objection ("[[]]", 4, 2));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/parallel", test_parallel);
  g_test_add_func ("/base/arena", test_arena);
  g_test_add_func ("/base/half", test_half);
  g_test_add_func ("/base/numbers", test_numbers);
  g_test_add_func ("/base/random", test_random);
  g_test_add_func ("/base/text", test_text);
  g_test_add_func ("/base/json", test_json);
  return g_test_run ();
}
