/* The rules that cut text into words before byte-pair merging, one row per name.
 *
 * What must hold: the pieces of a text, put together again, are the text. */
#include "pretokenizer-private.h"
#include "collector.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MAX_STAGES 6
#define FROM_RIGHT                                                                                 \
  (1u << 31) /* the first stage is NUMBERS, cut into threes counted from the right */

/* Fragments that many rules share.  Classes are written so that each repeat is of one class: then
 * matching needs no stack however long the text is.  [^\P{L}a-z] is "a letter but not a-z". */
#define CONTRACTION "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define SPACES      "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LETTERS     "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SIGNS       " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"

#define GPT2   "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3 CONTRACTION "|" LETTERS "|\\p{N}{1,3}|" SIGNS SPACES
#define QWEN2  CONTRACTION "|" LETTERS "|\\p{N}|" SIGNS SPACES
/* Upper-case letters, then lower-case ones; letters without case are both. */
#define CASED_LETTERS(after)                                                                       \
  "[^\\r\\n\\p{L}\\p{N}]?[^\\P{L}a-z]*[^\\P{L}A-Z]+" after                                         \
  "|[^\\r\\n\\p{L}\\p{N}]?[^\\P{L}a-z]+[^\\P{L}A-Z]*" after
#define SIGNS_SLASH " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
#define GPT4O       CASED_LETTERS (CONTRACTION "?") "|\\p{N}{1,3}|" SIGNS_SLASH SPACES
#define PUNCTUATION_WORDS                                                                          \
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"                                          \
  "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACES
#define KANJI_KANA "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define NEWLINES   "[^\\n]+|\\n+"
/* Numbers, which split_numbers cuts: a pattern that counts from the right looks at all of a number for
 * each of its groups. */
#define NUMBERS "\\p{N}++"
#define HAN                                                                                        \
  "\\x{3400}-\\x{4dbf}\\x{4e00}-\\x{9fff}\\x{f900}-\\x{faff}\\x{20000}-\\x{2a6df}"                 \
  "\\x{2a700}-\\x{2ebef}\\x{2f800}-\\x{2fa1f}"
#define DEEPSEEK_LETTERS                                                                           \
  "\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}"        \
  "\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}"            \
  "\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}"                   \
  "\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}"                       \
  "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}"                   \
  "\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}"                   \
  "\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}"           \
  "\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}"          \
  "\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}"                   \
  "\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}"           \
  "\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}"           \
  "\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}"                     \
  "\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}"                    \
  "\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}"                   \
  "\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}"                   \
  "\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}"               \
  "\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}"           \
  "\\x{1e900}-\\x{1e943}"

/* Patterns follow the models' published tokenizers as the common inference engine runs them; where
 * that engine simplifies (no letter case in cohere2moe), the rule does too, so that ids agree. */
static const struct
{
  const char *names; /* separated by spaces */
  const char *stages[MAX_STAGES];
  guint flags;
} rules[] = {
  { "gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 mellum modern-bert gigachat "
    "a.x-4.0 "
    "roberta-bpe jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code",
    { GPT2 },
    0 },
  { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral lfm2 midm-2.0 jina-v5-nano",
    { LLAMA3 },
    MS_PRE_WHOLE_WORDS | MS_PRE_BOS },
  { "dbrx smaug-bpe glm4 chatglm-bpe", { LLAMA3 }, 0 },
  { "qwen2 stablelm2 hunyuan solar-open deepseek-r1-qwen megrez kormo grok-2 f2llmv2",
    { QWEN2 },
    0 },
  { "qwen35",
    { CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
                  "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES },
    0 },
  { "gpt-4o llama4 kanana2 minimax-m2 talkie", { GPT4O }, 0 },
  { "tekken",
    { CASED_LETTERS ("") "|\\p{N}|" SIGNS_SLASH SPACES },
    MS_PRE_WHOLE_WORDS | MS_PRE_BOS },
  { "deepseek-llm",
    { "[\\r\\n]", "\\s?[A-Za-z" DEEPSEEK_LETTERS "]+",
      "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+",
      "(?<!\\s)\\s++$", "[\\x{0800}-\\x{9fa5}\\x{ac00}-\\x{d7ff}]+", "\\p{N}+" },
    0 },
  { "deepseek-coder",
    { "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[\\x{0800}-\\x{9fa5}\\x{ac00}-\\x{d7ff}]+",
      "\\p{N}" },
    0 },
  { "deepseek-v3 hunyuan-dense joyai-llm", { "\\p{N}{1,3}", KANJI_KANA, PUNCTUATION_WORDS }, 0 },
  { "kimi-k2",
    { "[" HAN "]+|[^\\r\\n\\p{L}\\p{N}]?[^\\P{L}" HAN "]+" CONTRACTION
      "?|\\p{N}{1,3}|" SIGNS SPACES },
    0 },
  { "bailingmoe bailingmoe2 llada-moe",
    { "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" LETTERS "|\\p{N}|" SIGNS
      "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" },
    0 },
  { "seed-coder", { CONTRACTION "|" LETTERS "|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" SPACES }, 0 },
  { "afmoe",
    { NUMBERS,
      "[\\x{4e00}-\\x{9fff}\\x{3400}-\\x{4dbf}\\x{8c48}-\\x{faff}\\x{3040}-\\x{30ff}\\x{ff65}-\\x{"
      "ff9f}"
      "\\x{2f00}-\\x{2fdf}\\x{e40}-\\x{e7f}\\x{e80}-\\x{eff}\\x{1780}-\\x{17ff}\\x{1000}-\\x{109f}"
      "\\x{aa60}-\\x{aa7f}\\x{a9e0}-\\x{a9ff}\\x{ac00}-\\x{d7af}\\x{1100}-\\x{11ff}]+",
      PUNCTUATION_WORDS },
    FROM_RIGHT },
  { "cohere2moe tiny_aya",
    { NUMBERS,
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+" CONTRACTION "?|\\p{N}{1,3}|" SIGNS_SLASH SPACES },
    FROM_RIGHT },
  { "laguna", { NEWLINES, QWEN2 }, 0 },
  { "exaone-moe",
    { CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++|\\p{N}"
                  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" },
    0 },
  { "falcon", { "[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]" }, 0 },
  { "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2",
    { "\\p{N}", GPT2 },
    0 },
  { "default", { "[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" }, 0 },
  { "gemma4", { NEWLINES }, MS_PRE_RAW | MS_PRE_WHOLE_NEWLINES | MS_PRE_BOS },
  { "sarvam-moe", { NEWLINES }, MS_PRE_RAW },
};

struct MsPretokenizer
{
  guint flags;
  guint n_stages;
  pcre2_code *codes[MAX_STAGES];
};

struct MsSplitter
{
  const MsPretokenizer *pre;
  pcre2_match_data *match;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
  GArray *ends[2]; /* of gsize */
};

static gboolean
has_name (const char *names, const char *name)
{
  g_auto (GStrv) all = g_strsplit (names, " ", -1);

  return g_strv_contains ((const char *const *) all, name);
}

static int
find_rule (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (rules); i++)
    if (has_name (rules[i].names, name))
      return (int) i;
  return -1;
}

MsPretokenizer *
ms_pretokenizer_new (const char *name, GError **error)
{
  g_autoptr (MsPretokenizer) pre = g_new0 (MsPretokenizer, 1);
  int rule = find_rule (name);

  if (rule < 0)
    {
      g_autoptr (GString) known = g_string_new (NULL);
      g_autofree char *shown = ms_text_printable (name, -1);

      for (guint i = 0; i < G_N_ELEMENTS (rules); i++)
        g_string_append_printf (known, " %s", rules[i].names);
      g_set_error (error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_UNSUPPORTED,
                   "the pre-tokenizer '%s' (tokenizer.ggml.pre) is not supported; give token ids "
                   "instead of text.  Supported are:%s",
                   shown, known->str);
      return NULL;
    }
  pre->flags = rules[rule].flags;
  for (guint i = 0; i < MAX_STAGES && rules[rule].stages[i] != NULL; i++)
    {
      int code;
      gsize at;

      pre->codes[i]
          = pcre2_compile ((PCRE2_SPTR) rules[rule].stages[i], PCRE2_ZERO_TERMINATED,
                           PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
      g_assert (pre->codes[i] != NULL);
      pcre2_jit_compile (pre->codes[i], PCRE2_JIT_COMPLETE);
      pre->n_stages++;
    }
  return g_steal_pointer (&pre);
}

void
ms_pretokenizer_free (MsPretokenizer *pre)
{
  if (pre == NULL)
    return;
  for (guint i = 0; i < pre->n_stages; i++)
    pcre2_code_free (pre->codes[i]);
  g_free (pre);
}

guint
ms_pretokenizer_flags (const MsPretokenizer *pre)
{
  return pre->flags;
}

MsSplitter *
ms_splitter_new (const MsPretokenizer *pre)
{
  MsSplitter *splitter = g_new0 (MsSplitter, 1);

  splitter->pre = pre;
  splitter->match = pcre2_match_data_create (1, NULL);
  splitter->context = pcre2_match_context_create (NULL);
  splitter->stack = pcre2_jit_stack_create (32 * 1024, 1024 * 1024, NULL);
  pcre2_jit_stack_assign (splitter->context, NULL, splitter->stack);
  for (guint i = 0; i < 2; i++)
    splitter->ends[i] = g_array_new (FALSE, FALSE, sizeof (gsize));
  return splitter;
}

void
ms_splitter_free (MsSplitter *splitter)
{
  if (splitter == NULL)
    return;
  pcre2_jit_stack_free (splitter->stack);
  pcre2_match_context_free (splitter->context);
  pcre2_match_data_free (splitter->match);
  for (guint i = 0; i < 2; i++)
    g_array_unref (splitter->ends[i]);
  g_free (splitter);
}

/* Ends of the number at..end in threes counted from the right; what stands before it sticks to the first. */
static void
split_number (const char *text, gsize at, gsize end, GArray *ends)
{
  glong left = g_utf8_strlen (text + at, (gssize) (end - at));

  while (left > 0)
    {
      glong n = (left - 1) % 3 + 1;

      at = (gsize) (g_utf8_offset_to_pointer (text + at, n) - text);
      g_array_append_val (ends, at);
      left -= n;
    }
}

/* Cuts from..to at the borders of each match; what lies between matches is a word, too. */
static void
split_piece (MsSplitter *splitter, guint stage, const char *text, gsize from, gsize to,
             GCancellable *cancel, GArray *ends)
{
  const pcre2_code *code = splitter->pre->codes[stage];
  gboolean numbers = stage == 0 && (splitter->pre->flags & FROM_RIGHT) != 0;
  const gsize *found = pcre2_get_ovector_pointer (splitter->match);
  gsize at = from;

  while (at < to && !g_cancellable_is_cancelled (cancel)
         && pcre2_match (code, (PCRE2_SPTR) text + from, to - from, at - from, PCRE2_NO_UTF_CHECK,
                         splitter->match, splitter->context)
                >= 0)
    {
      gsize start = from + found[0], end = from + found[1];

      if (end == start) /* no rule matches nothing; if one did, this would still end */
        break;
      if (start > at && !numbers)
        g_array_append_val (ends, start);
      if (numbers)
        split_number (text, start, end, ends);
      else
        g_array_append_val (ends, end);
      at = end;
    }
  if (at < to)
    g_array_append_val (ends, to);
}

const gsize *
ms_splitter_split (MsSplitter *splitter, const char *text, gsize length, GCancellable *cancel,
                   gsize *n)
{
  GArray *now = splitter->ends[0], *next = splitter->ends[1];

  g_array_set_size (now, 0);
  if (length > 0)
    g_array_append_val (now, length);
  for (guint stage = 0; stage < splitter->pre->n_stages; stage++)
    {
      GArray *old = now;
      gsize from = 0;

      g_array_set_size (next, 0);
      for (guint i = 0; i < now->len; i++)
        {
          gsize to = g_array_index (now, gsize, i);

          split_piece (splitter, stage, text, from, to, cancel, next);
          from = to;
        }
      now = next;
      next = old;
    }
  *n = now->len;
  return (const gsize *) (gconstpointer) now->data;
}
