/* The table of architectures.
 *
 * One that needs no new kind is a row here.  One that does is a row and a file: a mixer (mixer-*.c,
 * declared in mixer-private.h), or a kind in norm.c or feed-forward.c.  A difference in a few tensors is
 * a switch (architecture-private.h) and a rule in the table of tensors that asks for it.  What each row
 * must give is pinned by tests/test-conformance.c against an independent engine. */
#include "architecture-private.h"

#include "feed-forward-private.h"
#include "mixer-private.h"
#include "norm-private.h"

#include <string.h>

static const MsRecipe softmax_renormalised = { .scoring = MS_SCORING_SOFTMAX, .renormalise = TRUE };
static const MsRecipe softmax = { .scoring = MS_SCORING_SOFTMAX };
/* The file must say how it scores. */
static const MsRecipe by_key = { .scoring = MS_SCORING_SOFTMAX,
                                 .scoring_told = MS_TOLD_BY_NEEDED_KEY,
                                 .renormalise_told = MS_TOLD_BY_KEY };
static const MsRecipe by_key_renormalised
    = { .scoring = MS_SCORING_SOFTMAX, .scoring_told = MS_TOLD_BY_NEEDED_KEY, .renormalise = TRUE };
static const MsRecipe softmax_by_key
    = { .scoring = MS_SCORING_SOFTMAX, .renormalise_told = MS_TOLD_BY_KEY };
static const MsRecipe sigmoid_by_key = { .scoring = MS_SCORING_SIGMOID,
                                         .scoring_told = MS_TOLD_BY_KEY,
                                         .renormalise_told = MS_TOLD_BY_KEY };

static const MsRecipe softmax_of_chosen = { .scoring = MS_SCORING_SELECTED };

static const MsWindows three_of_four = { .period = 4 };
static const MsWindows but_first_of_four = { .period = 4, .whole_first = TRUE, .plain_rope = TRUE };
static const MsWindows told_by_block
    = { .needed = TRUE, .by_block = TRUE, .plain_rope = TRUE, .rope_base = 10000 };
static const MsRecipe sigmoid_renormalised = { .scoring = MS_SCORING_SIGMOID, .renormalise = TRUE };
static const MsRecipe sigmoid_of_chosen
    = { .scoring = MS_SCORING_SIGMOID_SELECTED, .weight_first = TRUE };

static const MsWindows but_first = { .period = 4, .whole_first = TRUE };
static const MsWindows but_first_told
    = { .period = 4, .whole_first = TRUE, .needed = TRUE, .by_block = TRUE };
static const MsWindows chunks = { .period = 4, .chunk = 8192 };
static const MsTemperature every_8192 = { .scale = 0.1f, .offset = 1, .length = 8192 };
static const MsWindows compressed_windows
    = { .plain_rope = TRUE, .whole_base_key = "attention.compress_rope_freq_base" };
static const MsWindows by_block = { .needed = TRUE, .by_block = TRUE };
static const MsWindows every_other = { .period = 2, .needed = TRUE };

/* DeepSeek-V2 by softmax; GLM-4.7-Flash, of 47 blocks and one that predicts further, by sigmoid. */
static const MsRecipe deepseek2 = { .scoring = MS_SCORING_SOFTMAX,
                                    .scoring_told = MS_TOLD_BY_KEY,
                                    .renormalise_told = MS_TOLD_BY_KEY,
                                    .sigmoid_least_blocks = 47,
                                    .sigmoid_most_blocks = 48,
                                    .sigmoid_vocabulary = 154880 };

static const MsRecipe sigmoid_renormalised_by_key
    = { .scoring = MS_SCORING_SIGMOID, .renormalise_told = MS_TOLD_BY_KEY };
static const MsRecipe sqrt_softplus_by_key = { .scoring = MS_SCORING_SQRT_SOFTPLUS,
                                               .scoring_told = MS_TOLD_BY_NEEDED_KEY,
                                               .renormalise_told = MS_TOLD_BY_KEY };

static const MsLightning lightning = { .halves = TRUE };
static const MsLightning lightning_shared = { .shared = TRUE };

static const MsArchitecture architectures[] = {
  { .name = "llama", /* Mixtral */
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised },
  { .name = "granitemoe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_SHARED | MS_EMBEDDING_SCALE | MS_RESIDUAL_SCALE | MS_ATTENTION_SCALE
                | MS_LOGITS_DIVIDED | MS_ROPE_IF_FINETUNED },
  { .name = "dbrx",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_layer,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_CLAMP_QKV | MS_FFN_NORM_OUT },
  { .name = "granitehybrid",
    .mixers = { &ms_mixer_mamba_2, &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_SHARED | MS_EMBEDDING_SCALE | MS_RESIDUAL_SCALE | MS_ATTENTION_SCALE
                | MS_LOGITS_DIVIDED | MS_ROPE_IF_FINETUNED },
  { .name = "granite_swa",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .windows = &by_block,
    .placed = MS_PLACED_BY_KEY,
    .switches = MS_SHARED | MS_SINKS | MS_EMBEDDING_SCALE | MS_RESIDUAL_SCALE | MS_ATTENTION_SCALE
                | MS_LOGITS_DIVIDED,
    .shared_in_up = TRUE },
  { .name = "grok", /* Grok-1 and Grok-2, whose files name everything */
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_gelu,
    .recipe = &softmax_renormalised,
    .switches = MS_POST_NORM_OUT | MS_BESIDE_MAY | MS_EMBEDDING_SCALE | MS_SCORES_CAPPED
                | MS_LOGIT_SCALE | MS_LOGIT_CAP,
    .scales = { .embedding = 78.38367176906169f,
                .attention = 0.08838834764831845f,
                .score_cap = 30,
                .beside = 0.70710678118654752f,
                .logits = 0.5773502691896257f },
    .yarn_fast = 8 },
  { .name = "jamba",
    .mixers = { &ms_mixer_mamba, &ms_mixer_attention },
    .rope = MS_ROPE_NONE,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax },
  { .name = "minicpm",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_SHARED | MS_EMBEDDING_SCALE | MS_RESIDUAL_SCALE | MS_LOGITS_DIVIDED,
    .scales = { .embedding = 12 },
    .residual_by_depth = 1.4f,
    .logits_by_width = 256 },
  { .name = "minimax-01", /* Text-01 and M1 */
    .mixers = { &ms_mixer_lightning, &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .keeps_norm = TRUE },
  { .name = "nemotron_h_moe",
    .mixers = { &ms_mixer_mamba_2, &ms_mixer_attention },
    .rope = MS_ROPE_NONE,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_relu_squared,
    .recipe = &sigmoid_renormalised_by_key,
    .switches = MS_ONE_PART | MS_SHARED | MS_ATTENTION_SCALE },
  { .name = "phimoe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms_bias,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_QKV_BIAS | MS_HEAD_BIAS,
    .note = "run as llama.cpp does, with RMS norms and a softmax router; the original model has "
            "layer norms and a sparse mixer that weighs otherwise" },
  { .name = "olmoe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax,
    .switches = MS_QK_NORM_WHOLE },
  { .name = "qwen2moe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax,
    .switches = MS_QKV_BIAS | MS_SHARED | MS_SHARED_GATED },
  { .name = "qwen3moe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_QK_NORM_HEAD },
  { .name = "dots1",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &by_key,
    .switches = MS_QK_NORM_HEAD | MS_SHARED },
  { .name = "ernie4_5-moe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_SHARED },
  { .name = "lfm2moe",
    .mixers = { &ms_mixer_short_convolution, &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &by_key_renormalised,
    .switches = MS_QK_NORM_HEAD | MS_LAST_NORM_EMBD },
  { .name = "deepseek", /* the first */
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax,
    .switches = MS_SHARED },
  { .name = "qwen35moe",
    .mixers = { &ms_mixer_attention, &ms_mixer_gated_delta_net },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_QUERY_GATED | MS_QK_NORM_HEAD | MS_DELTA_SPLIT | MS_FFN_NORM_POST | MS_SHARED
                | MS_SHARED_GATED },
  { .name = "qwen3next",
    .mixers = { &ms_mixer_attention, &ms_mixer_gated_delta_net },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_QUERY_GATED | MS_QK_NORM_HEAD | MS_DELTA_GROUPED | MS_FFN_NORM_POST | MS_SHARED
                | MS_SHARED_GATED },
  { .name = "deepseek2", /* V2, V3, R1, Kimi K2, GLM-4.7-Flash */
    .mixers = { &ms_mixer_latent_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &deepseek2,
    .switches = MS_SHARED | MS_YARN_LOG | MS_YARN_TENTHS | MS_YARN_LEVEL | MS_LATENT_TEMPERATURE },
  { .name = "mistral4",
    .mixers = { &ms_mixer_latent_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &deepseek2,
    .switches = MS_SHARED | MS_YARN_LOG | MS_YARN_TENTHS | MS_LATENT_TEMPERATURE },
  { .name = "kimi-linear",
    .mixers = { &ms_mixer_latent_attention, &ms_mixer_kimi_delta },
    .rope = MS_ROPE_NONE,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &by_key_renormalised,
    .switches = MS_SHARED },
  { .name = "deepseek32", /* V3.2 */
    .mixers = { &ms_mixer_latent_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &by_key,
    .lightning = &lightning,
    .switches = MS_SHARED | MS_YARN_LOG | MS_YARN_TENTHS },
  { .name = "glm-dsa", /* GLM-5 */
    .mixers = { &ms_mixer_latent_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &sigmoid_by_key,
    .lightning = &lightning_shared,
    .switches = MS_SHARED },
  { .name = "deepseek4",
    .mixers = { &ms_mixer_compressed_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu_bounded,
    .recipe = &sqrt_softplus_by_key,
    .windows = &compressed_windows,
    .switches = MS_SHARED | MS_YARN_FLAT | MS_STREAMS | MS_HASHED },
  { .name = "bailingmoe2",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &by_key,
    .switches = MS_QK_NORM_HEAD | MS_SHARED },
  { .name = "bailingmoe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_by_key,
    .switches = MS_SHARED },
  { .name = "mistral3",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised },
  { .name = "qwen3vlmoe", /* its text part */
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_QK_NORM_HEAD },
  { .name = "minimax-m2",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &by_key_renormalised,
    .switches = MS_QK_NORM_WHOLE },
  { .name = "mellum",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .windows = &three_of_four,
    .switches = MS_QK_NORM_HEAD },
  { .name = "exaone-moe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &by_key,
    .windows = &three_of_four,
    .placed = MS_PLACED_IN_WINDOWS,
    .switches = MS_QK_NORM_HEAD | MS_SHARED },
  { .name = "hunyuan-moe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_QK_NORM_HEAD | MS_QK_NORM_TURNED | MS_SHARED },
  { .name = "glm4moe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &sigmoid_by_key,
    .switches = MS_QK_NORM_MAY | MS_FFN_NORM_POST | MS_SHARED },
  { .name = "gpt-oss",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_clamped,
    .recipe = &softmax_of_chosen,
    .windows = &every_other,
    .switches = MS_SINKS | MS_FFN_NORM_POST },
  { .name = "laguna",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &sigmoid_by_key,
    .windows = &but_first_of_four,
    .switches = MS_QK_NORM_HEAD | MS_GATED | MS_GATE_SOFTPLUS | MS_SHARED },
  { .name = "hy_v3",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &sigmoid_by_key,
    .switches = MS_QK_NORM_HEAD | MS_BIAS_BARE | MS_SHARED },
  { .name = "step35",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &sigmoid_by_key,
    .windows = &told_by_block,
    .switches = MS_QK_NORM_MAY | MS_GATED_MAY | MS_ROPE_HALF | MS_SHARED },
  { .name = "mimo2",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &sigmoid_renormalised,
    .windows = &told_by_block,
    .switches = MS_SINKS_MAY | MS_VALUE_SCALE },
  { .name = "llama4",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &sigmoid_of_chosen,
    .windows = &chunks,
    .placed = MS_PLACED_NOT_IN_FOURTH,
    .temperature = &every_8192,
    .switches = MS_QK_NORM_PLAIN | MS_PLACED_UNLESS | MS_SHARED },
  { .name = "afmoe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &sigmoid_by_key,
    .windows = &three_of_four,
    .placed = MS_PLACED_NOT_IN_FOURTH,
    .embedding_by_root = 1,
    .switches = MS_QK_NORM_HEAD | MS_GATED | MS_POST_NORMS | MS_SHARED },
  { .name = "smallthinker",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_relu,
    .recipe = &by_key_renormalised,
    .windows = &but_first,
    .placed = MS_PLACED_OR_FOUR,
    .switches = MS_PLACED_UNLESS | MS_ROUTER_FIRST },
  { .name = "arctic",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_EXPERTS_FIRST },
  { .name = "gemma4",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_gelu,
    .recipe = &softmax_renormalised,
    .windows = &told_by_block,
    .scales = { .attention = 1 },
    .embedding_by_root = 1,
    .switches = MS_QK_NORM_HEAD | MS_VALUES_MAY_BE_KEYS | MS_VALUES_NORMED | MS_POST_NORMS
                | MS_SIDE_BY_SIDE | MS_LOGIT_CAP },
  { .name = "grovemoe", /* chooses by sigmoid, in the same order */
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_HALVES,
    .norm = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &softmax_renormalised,
    .switches = MS_QK_NORM_HEAD | MS_EXPERTS_OF_CHUNKS },
  { .name = "cohere2moe",
    .mixers = { &ms_mixer_attention },
    .rope = MS_ROPE_PAIRS,
    .norm = &ms_norm_layer,
    .norm_else = &ms_norm_rms,
    .feed_forward = &ms_feed_forward_silu,
    .recipe = &sigmoid_by_key,
    .windows = &but_first_told,
    .placed = MS_PLACED_OR_DENSE,
    .scales = { .shared = 0.5f },
    .switches = MS_PARALLEL | MS_SHARED | MS_LOGIT_SCALE },
};

const MsArchitecture *
ms_architecture_find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (architectures); i++)
    if (strcmp (architectures[i].name, name) == 0)
      return &architectures[i];
  return NULL;
}

char *
ms_architecture_names (void)
{
  GString *names = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (architectures); i++)
    g_string_append_printf (names, "%s%s", i > 0 ? ", " : "", architectures[i].name);
  return g_string_free (names, FALSE);
}
