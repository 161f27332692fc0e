#include "plan-private.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

static const MsFamily families[] = {
  { "llama", MS_ROPE_PAIRS, MS_QK_NORM_NONE, FALSE, TRUE, MS_SHARED_NONE, FALSE },
  { "olmoe", MS_ROPE_HALVES, MS_QK_NORM_WHOLE, FALSE, FALSE, MS_SHARED_NONE, FALSE },
  { "qwen2moe", MS_ROPE_HALVES, MS_QK_NORM_NONE, TRUE, FALSE, MS_SHARED_GATED, FALSE },
  { "qwen3moe", MS_ROPE_HALVES, MS_QK_NORM_HEAD, FALSE, TRUE, MS_SHARED_NONE, FALSE },
  { "dots1", MS_ROPE_HALVES, MS_QK_NORM_HEAD, FALSE, FALSE, MS_SHARED_PLAIN, TRUE },
};

/* Keys (without "ARCH.") that would change the result and that no family honours: refused when set. */
static const char *const refused_keys[] = {
  "attention.clamp_kqv",
  "attention.scale",
  "attn_logit_softcapping",
  "final_logit_softcapping",
  "embedding_scale",
  "residual_scale",
  "logit_scale",
  "rope.scaling.yarn_log_multiplier",
};

/* Loading: the file, the plan under construction, and which tensors it has taken. */
typedef struct
{
  const MsGguf *gguf;
  MsPlan *plan;
  GHashTable *used; /* of const MsTensor* */
} Loader;

static char *
key_of (const Loader *loader, const char *name)
{
  return g_strconcat (loader->plan->family->name, ".", name, NULL);
}

static gboolean
get_u32 (const Loader *loader, const char *name, MsKeyNeed need, guint32 *value, GError **error)
{
  g_autofree char *key = key_of (loader, name);

  return ms_gguf_get_u32 (loader->gguf, key, need, value, error);
}

static gboolean
get_float (const Loader *loader, const char *name, float *value, GError **error)
{
  g_autofree char *key = key_of (loader, name);

  return ms_gguf_get_float (loader->gguf, key, MS_KEY_OPTIONAL, value, error);
}

static gboolean refuse (const Loader *loader, MsCollectorError code, GError **error,
                        const char *format, ...) G_GNUC_PRINTF (4, 5);

/* Sets *error, naming the file, and returns FALSE. */
static gboolean
refuse (const Loader *loader, MsCollectorError code, GError **error, const char *format, ...)
{
  g_autoptr (GError) failure = NULL;
  va_list args;

  va_start (args, format);
  failure = g_error_new_valist (MS_COLLECTOR_ERROR, (gint) code, format, args);
  va_end (args);
  g_propagate_prefixed_error (error, g_steal_pointer (&failure),
                              "%s: ", ms_gguf_path (loader->gguf));
  return FALSE;
}

/* --- Tensors -------------------------------------------------------------------------------- */

/* A tensor of shape (ne0, ne1, ne2); with `optional` a missing one gives *tensor NULL. */
static gboolean
take (Loader *loader, const char *name, gboolean optional, gint64 ne0, gint64 ne1, gint64 ne2,
      const MsTensor **tensor, GError **error)
{
  *tensor = NULL;
  if (optional)
    {
      if (!ms_gguf_want (loader->gguf, name, ne0, ne1, ne2, tensor, error))
        return FALSE;
    }
  else if ((*tensor = ms_gguf_need (loader->gguf, name, ne0, ne1, ne2, error)) == NULL)
    return FALSE;
  if (*tensor != NULL)
    g_hash_table_add (loader->used, (gpointer) *tensor);
  return TRUE;
}

static gboolean
take_weight (Loader *loader, const char *name, gboolean optional, gint64 columns, gint64 rows,
             MsWeight *weight, GError **error)
{
  if (!take (loader, name, optional, columns, rows, 1, &weight->tensor, error))
    return FALSE;
  weight->first_row = 0;
  weight->n_rows = weight->tensor != NULL ? weight->tensor->ne[1] : 0;
  return TRUE;
}

/* A vector is read at once. */
static gboolean
take_vector (Loader *loader, const char *name, gboolean optional, gint64 n, float **values,
             GError **error)
{
  const MsTensor *tensor;

  if (!take (loader, name, optional, n, 1, 1, &tensor, error))
    return FALSE;
  if (tensor != NULL)
    {
      *values = g_new (float, (gsize) n);
      ms_tensor_to_float (tensor, 0, 1, *values);
    }
  return TRUE;
}

/* Names within block N, formatted into a buffer of the caller. */
typedef char Name[96];

static const char *
in_block (Name name, guint block, const char *rest)
{
  g_snprintf (name, sizeof (Name), "blk.%u.%s", block, rest);
  return name;
}

/* --- One block ------------------------------------------------------------------------------ */

static gboolean
load_attention (Loader *loader, guint b, MsBlock *block, GError **error)
{
  MsPlan *plan = loader->plan;
  const MsFamily *family = plan->family;
  gint64 d = plan->width, q = (gint64) block->n_heads * plan->head_width;
  gint64 k = (gint64) block->n_kv_heads * plan->head_width;
  gint64 v = (gint64) block->n_kv_heads * plan->value_width;
  gint64 o = (gint64) block->n_heads * plan->value_width;
  gboolean whole = family->qk_norm == MS_QK_NORM_WHOLE;
  gint64 nq = whole ? q : plan->head_width, nk = whole ? k : plan->head_width;
  gboolean no_bias = !family->qkv_bias;
  Name n;

  if (!take_vector (loader, in_block (n, b, "attn_norm.weight"), FALSE, d, &block->attention_norm,
                    error)
      || !take_weight (loader, in_block (n, b, "attn_q.weight"), FALSE, d, q, &block->q, error)
      || !take_weight (loader, in_block (n, b, "attn_k.weight"), FALSE, d, k, &block->k, error)
      || !take_weight (loader, in_block (n, b, "attn_v.weight"), FALSE, d, v, &block->v, error)
      || !take_weight (loader, in_block (n, b, "attn_output.weight"), FALSE, o, d, &block->out,
                       error)
      || !take_vector (loader, in_block (n, b, "attn_q.bias"), no_bias, q, &block->q_bias, error)
      || !take_vector (loader, in_block (n, b, "attn_k.bias"), no_bias, k, &block->k_bias, error)
      || !take_vector (loader, in_block (n, b, "attn_v.bias"), no_bias, v, &block->v_bias, error)
      || !take_vector (loader, in_block (n, b, "attn_output.bias"), TRUE, d, &block->out_bias,
                       error))
    return FALSE;
  return family->qk_norm == MS_QK_NORM_NONE
         || (take_vector (loader, in_block (n, b, "attn_q_norm.weight"), FALSE, nq, &block->q_norm,
                          error)
             && take_vector (loader, in_block (n, b, "attn_k_norm.weight"), FALSE, nk,
                             &block->k_norm, error));
}

/* gate and up (D, F), down (F, D), the width F taken from gate. */
static gboolean
load_dense (Loader *loader, guint b, const char *suffix, gboolean optional, MsFeedForward *ffn,
            GError **error)
{
  gint64 d = loader->plan->width;
  g_autofree char *gate = g_strdup_printf ("blk.%u.ffn_gate%s.weight", b, suffix);
  g_autofree char *up = g_strdup_printf ("blk.%u.ffn_up%s.weight", b, suffix);
  g_autofree char *down = g_strdup_printf ("blk.%u.ffn_down%s.weight", b, suffix);

  if (!take_weight (loader, gate, optional, d, 0, &ffn->gate, error))
    return FALSE;
  return ffn->gate.tensor == NULL
         || (take_weight (loader, up, FALSE, d, ffn->gate.n_rows, &ffn->up, error)
             && take_weight (loader, down, FALSE, ffn->gate.n_rows, d, &ffn->down, error));
}

static MsWeight
expert_rows (const MsTensor *tensor, guint expert)
{
  return (MsWeight){ tensor, tensor->ne[1] * expert, tensor->ne[1] };
}

/* All experts in one three-dimensional tensor each, or, in old files, one matrix per expert. */
static gboolean
load_experts (Loader *loader, guint b, MsBlock *block, GError **error)
{
  gint64 d = loader->plan->width, n_experts = block->gate.n_experts;
  const MsTensor *gate, *up, *down;
  Name n;

  if (!take (loader, in_block (n, b, "ffn_gate_exps.weight"), TRUE, d, 0, n_experts, &gate, error))
    return FALSE;
  if (gate == NULL && ms_gguf_find (loader->gguf, in_block (n, b, "ffn_gate.0.weight")) == NULL)
    return ms_gguf_need (loader->gguf, in_block (n, b, "ffn_gate_exps.weight"), d, 0, n_experts,
                         error)
           != NULL;
  if (gate == NULL)
    {
      for (guint e = 0; e < block->gate.n_experts; e++)
        {
          char suffix[16];

          g_snprintf (suffix, sizeof suffix, ".%u", e);
          if (!load_dense (loader, b, suffix, FALSE, &block->experts[e], error))
            return FALSE;
          if (block->experts[e].gate.n_rows != block->experts[0].gate.n_rows)
            return refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                           "block %u: expert %u is %" G_GINT64_FORMAT
                           " wide and expert 0 %" G_GINT64_FORMAT
                           "; experts of different widths cannot be run",
                           b, e, block->experts[e].gate.n_rows, block->experts[0].gate.n_rows);
        }
      return TRUE;
    }
  if (!take (loader, in_block (n, b, "ffn_up_exps.weight"), FALSE, d, gate->ne[1], n_experts, &up,
             error)
      || !take (loader, in_block (n, b, "ffn_down_exps.weight"), FALSE, gate->ne[1], d, n_experts,
                &down, error))
    return FALSE;
  for (guint e = 0; e < block->gate.n_experts; e++)
    block->experts[e]
        = (MsFeedForward){ expert_rows (gate, e), expert_rows (up, e), expert_rows (down, e) };
  return TRUE;
}

static gboolean
load_moe (Loader *loader, guint b, MsBlock *block, GError **error)
{
  gint64 d = loader->plan->width, n_experts = block->gate.n_experts;
  Name n;

  block->experts = g_new0 (MsFeedForward, block->gate.n_experts);
  if (!take_weight (loader, in_block (n, b, "ffn_gate_inp.weight"), FALSE, d, n_experts,
                    &block->logits, error)
      || !take_vector (loader, in_block (n, b, "ffn_gate_inp.bias"), TRUE, n_experts,
                       &block->router_bias, error)
      || !take_vector (loader, in_block (n, b, "exp_probs_b.bias"), TRUE, n_experts,
                       &block->selection_bias, error)
      || !load_experts (loader, b, block, error))
    return FALSE;
  block->gate.selection_bias = block->selection_bias;
  block->gate.biased = block->selection_bias != NULL;
  if (loader->plan->family->shared == MS_SHARED_NONE)
    return TRUE;
  return load_dense (loader, b, "_shexp", TRUE, &block->shared, error)
         && (loader->plan->family->shared != MS_SHARED_GATED || block->shared.gate.tensor == NULL
             || take_weight (loader, in_block (n, b, "ffn_gate_inp_shexp.weight"), FALSE, d, 1,
                             &block->shared_gate, error));
}

static gboolean
load_block (Loader *loader, guint b, const MsGate *gate, GError **error)
{
  MsPlan *plan = loader->plan;
  MsBlock *block = &plan->blocks[b];
  Name n;

  if (!load_attention (loader, b, block, error)
      || !take_vector (loader, in_block (n, b, "ffn_norm.weight"), FALSE, plan->width,
                       &block->ffn_norm, error))
    return FALSE;
  block->is_moe = ms_gguf_find (loader->gguf, in_block (n, b, "ffn_gate_inp.weight")) != NULL;
  if (!block->is_moe)
    {
      block->experts = g_new0 (MsFeedForward, 1);
      return load_dense (loader, b, "", FALSE, block->experts, error);
    }
  block->gate = *gate;
  plan->n_moe++;
  plan->last_moe = b;
  return load_moe (loader, b, block, error);
}

/* --- Numbers -------------------------------------------------------------------------------- */

static gboolean
load_router (const Loader *loader, MsGate *gate, GError **error)
{
  const MsFamily *family = loader->plan->family;
  guint32 n_experts = 0, k = 0, gating = MS_SCORING_SOFTMAX, groups = 0, groups_used = 0;
  gboolean renormalise = family->renormalise;
  g_autofree char *norm_key = key_of (loader, "expert_weights_norm");
  float scale = 0;

  if (!get_u32 (loader, "expert_count", MS_KEY_REQUIRED, &n_experts, error)
      || !get_u32 (loader, "expert_used_count", MS_KEY_REQUIRED, &k, error)
      || !get_u32 (loader, "expert_gating_func", family->keyed ? MS_KEY_REQUIRED : MS_KEY_OPTIONAL,
                   &gating, error)
      || (family->keyed
          && !ms_gguf_get_bool (loader->gguf, norm_key, MS_KEY_OPTIONAL, &renormalise, error))
      || !get_u32 (loader, "expert_group_count", MS_KEY_OPTIONAL, &groups, error)
      || !get_u32 (loader, "expert_group_used_count", MS_KEY_OPTIONAL, &groups_used, error)
      || !get_float (loader, "expert_weights_scale", &scale, error))
    return FALSE;
  if (n_experts == 0)
    return refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                   "%s.expert_count is 0: this is no Mixture-of-Experts model, it routes nothing",
                   family->name);
  if (n_experts > MS_MAX_EXPERTS || k == 0 || k > n_experts)
    return refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                   "%s.expert_used_count is %u of %u experts; 1 to all of at most %u can be chosen",
                   family->name, k, n_experts, MS_MAX_EXPERTS);
  if (family->keyed && gating != MS_SCORING_SOFTMAX && gating != MS_SCORING_SIGMOID)
    return refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                   "%s.expert_gating_func is %u; softmax (1) and sigmoid (2) can be run",
                   family->name, gating);
  if (!family->keyed && gating != MS_SCORING_SOFTMAX && gating != 0)
    return refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                   "%s.expert_gating_func is %u, but models of this architecture route by softmax "
                   "(1)",
                   family->name, gating);
  if (groups > 1
      && (n_experts % groups != 0 || groups_used == 0 || groups_used > groups
          || (guint64) groups_used * (n_experts / groups) < k))
    return refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                   "%s.expert_group_count %u, expert_group_used_count %u: cannot choose %u of %u "
                   "experts so",
                   family->name, groups, groups_used, k, n_experts);
  *gate = (MsGate){ .scoring = family->keyed ? (MsScoring) gating : MS_SCORING_SOFTMAX,
                    .n_experts = n_experts,
                    .k = k,
                    .groups = groups > 1 ? groups : 0,
                    .groups_used = groups_used,
                    .renormalise = renormalise,
                    .scale = scale == 0 ? 1 : scale };
  return TRUE;
}

/* Where YaRN passes from one kind of angle to the other: the pair that turns `turns` times within the
 * original context.  (Peng et al. 2023) */
static double
yarn_pair (guint n, double context, double turns, double base)
{
  return n * log (context / (turns * 2 * G_PI)) / (2 * log (base));
}

static gboolean
load_rotation (Loader *loader, GError **error)
{
  MsPlan *plan = loader->plan;
  MsRotation *rotation = &plan->rotation;
  g_autofree char *type_key = key_of (loader, "rope.scaling.type");
  g_autofree float *divisors = NULL;
  const char *type = "linear";
  guint32 n = plan->head_width, context = 0;
  float base = 10000, factor = 0, magnitude = 1, mix = 1, fast = 32, slow = 1;
  gboolean yarn;

  if (!get_u32 (loader, "rope.dimension_count", MS_KEY_OPTIONAL, &n, error)
      || !get_float (loader, "rope.freq_base", &base, error)
      || !ms_gguf_get_string (loader->gguf, type_key, MS_KEY_OPTIONAL, &type, error)
      || !get_float (loader, "rope.scale_linear", &factor, error)
      || !get_float (loader, "rope.scaling.factor", &factor, error)
      || !get_u32 (loader, "context_length", MS_KEY_OPTIONAL, &context, error)
      || !get_u32 (loader, "rope.scaling.original_context_length", MS_KEY_OPTIONAL, &context, error)
      || !get_float (loader, "rope.scaling.attn_factor", &magnitude, error)
      || !get_float (loader, "rope.scaling.yarn_attn_factor", &magnitude, error)
      || !get_float (loader, "rope.scaling.yarn_ext_factor", &mix, error)
      || !get_float (loader, "rope.scaling.yarn_beta_fast", &fast, error)
      || !get_float (loader, "rope.scaling.yarn_beta_slow", &slow, error))
    return FALSE;
  yarn = strcmp (type, "yarn") == 0;
  if (!yarn && strcmp (type, "linear") != 0 && strcmp (type, "none") != 0)
    return refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                   "%s is '%s'; none, linear and yarn can be run", type_key, type);
  if (n == 0 || n % 2 != 0 || n > plan->head_width)
    return refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                   "%s.rope.dimension_count is %u with heads of %u; an even number up to that is "
                   "expected",
                   plan->family->name, n, plan->head_width);
  if (!(base > 1) || !(factor >= 0) || !isfinite (base) || !isfinite (factor)
      || (yarn && (context == 0 || !(fast > 0) || !(slow > 0))))
    return refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                   "%s.rope.*: base %g, factor %g, original context %u, beta %g and %g are no "
                   "rotary positions",
                   plan->family->name, (double) base, (double) factor, context, (double) fast,
                   (double) slow);
  if (!take_vector (loader, "rope_freqs.weight", TRUE, n / 2, &divisors, error))
    return FALSE;
  factor = factor == 0 || strcmp (type, "none") == 0 ? 1 : factor;
  yarn = yarn && factor != 1;
  rotation->n_pairs = n / 2;
  rotation->step = g_new (double, n / 2);
  for (guint i = 0; i < n / 2; i++)
    {
      double free_step = pow (base, -2.0 * i / n) / (divisors != NULL ? (double) divisors[i] : 1.0);
      double low = MAX (floor (yarn_pair (n, context, fast, base)), 0);
      double high = MIN (ceil (yarn_pair (n, context, slow, base)), n - 1);
      double ramp = CLAMP ((i - low) / MAX (0.001, high - low), 0, 1);
      double kept = yarn ? (1 - ramp) * (double) mix : 0;

      rotation->step[i] = free_step / (double) factor * (1 - kept) + free_step * kept;
    }
  rotation->magnitude = yarn && mix != 0 ? magnitude * (1 + 0.1f * logf (factor))
                        : yarn           ? magnitude
                                         : 1;
  return TRUE;
}

static gboolean
load_heads (const Loader *loader, GError **error)
{
  MsPlan *plan = loader->plan;
  g_autofree gint32 *heads = g_new (gint32, plan->n_blocks);
  g_autofree gint32 *kv_heads = g_new (gint32, plan->n_blocks);
  g_autofree char *heads_key = key_of (loader, "attention.head_count");
  g_autofree char *kv_key = key_of (loader, "attention.head_count_kv");
  guint32 head_width = 0, value_width = 0;

  if (!ms_gguf_get_per_layer (loader->gguf, heads_key, MS_KEY_REQUIRED, plan->n_blocks, heads,
                              error))
    return FALSE;
  memcpy (kv_heads, heads, plan->n_blocks * sizeof *heads);
  if (!ms_gguf_get_per_layer (loader->gguf, kv_key, MS_KEY_OPTIONAL, plan->n_blocks, kv_heads,
                              error))
    return FALSE;
  for (guint b = 0; b < plan->n_blocks; b++)
    {
      if (heads[b] <= 0 || kv_heads[b] <= 0 || heads[b] > 65536 || heads[b] % kv_heads[b] != 0)
        return refuse (
            loader, MS_COLLECTOR_ERROR_CORRUPT, error,
            "block %u: %d attention heads over %d key-value heads; a multiple is expected", b,
            heads[b], kv_heads[b]);
      plan->blocks[b].n_heads = (guint) heads[b];
      plan->blocks[b].n_kv_heads = (guint) kv_heads[b];
    }
  head_width = value_width = plan->width / (guint) heads[0];
  if (!get_u32 (loader, "attention.key_length", MS_KEY_OPTIONAL, &head_width, error)
      || !get_u32 (loader, "attention.value_length", MS_KEY_OPTIONAL, &value_width, error))
    return FALSE;
  if (head_width == 0 || value_width == 0 || head_width > 65536 || value_width > 65536)
    return refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                   "%s: attention heads of %u keys and %u values", plan->family->name, head_width,
                   value_width);
  plan->head_width = head_width;
  plan->value_width = value_width;
  return TRUE;
}

/* --- The file ------------------------------------------------------------------------------- */

static const MsFamily *
find_family (const Loader *loader, const char *name, GError **error)
{
  g_autoptr (GString) known = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    {
      if (strcmp (families[i].name, name) == 0)
        return &families[i];
      g_string_append_printf (known, "%s%s", i > 0 ? ", " : "", families[i].name);
    }
  {
    g_autofree char *shown = ms_text_printable (name, -1);

    refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
            "architecture '%s' cannot be run; known are %s", shown, known->str);
  }
  return NULL;
}

static gboolean
check_refused_keys (const Loader *loader, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (refused_keys); i++)
    {
      g_autofree char *key = key_of (loader, refused_keys[i]);
      float value = 0;

      if (!ms_gguf_get_float (loader->gguf, key, MS_KEY_OPTIONAL, &value, error))
        return FALSE;
      if (value != 0)
        return refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                       "%s is set (%g), which cannot be honoured for this architecture", key,
                       (double) value);
    }
  return TRUE;
}

static void warn (const Loader *loader, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
warn (const Loader *loader, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (loader->plan->warnings, g_strdup_vprintf (format, args));
  va_end (args);
}

/* Whatever the file holds and the plan does not use would be run wrongly without a word. */
static void
warn_of_the_rest (const Loader *loader)
{
  g_autofree char *window_key = key_of (loader, "attention.sliding_window");
  g_autofree char *norm_key = key_of (loader, "expert_weights_norm");
  gboolean renormalise = loader->plan->family->renormalise;
  guint32 window = 0;
  const char *first = NULL;
  guint n = 0;

  for (guint i = 0; i < ms_gguf_n_tensors (loader->gguf); i++)
    {
      const MsTensor *tensor = ms_gguf_tensor (loader->gguf, i);

      if (g_hash_table_contains (loader->used, tensor))
        continue;
      first = n++ == 0 ? tensor->name : first;
    }
  if (n > 0)
    warn (loader, "%u tensors of the file are not used by architecture %s (the first: %s)", n,
          loader->plan->family->name, first);
  if (ms_gguf_get_u32 (loader->gguf, window_key, MS_KEY_OPTIONAL, &window, NULL) && window != 0)
    warn (loader, "%s is %u and is not applied: attention sees whole documents", window_key,
          window);
  if (!loader->plan->family->keyed
      && ms_gguf_get_bool (loader->gguf, norm_key, MS_KEY_OPTIONAL, &renormalise, NULL)
      && !renormalise != !loader->plan->family->renormalise)
    warn (loader, "%s is %s, but models of this architecture %s the weights of the chosen experts",
          norm_key, renormalise ? "true" : "false", renormalise ? "do not normalise" : "normalise");
}

static gboolean
load (Loader *loader, GError **error)
{
  MsPlan *plan = loader->plan;
  guint32 width = 0, n_blocks = 0;
  MsGate gate = { 0 };
  g_autofree char *epsilon_key = key_of (loader, "attention.layer_norm_rms_epsilon");

  if (!get_u32 (loader, "embedding_length", MS_KEY_REQUIRED, &width, error)
      || !get_u32 (loader, "block_count", MS_KEY_REQUIRED, &n_blocks, error)
      || !ms_gguf_get_float (loader->gguf, epsilon_key, MS_KEY_REQUIRED, &plan->epsilon, error)
      || !load_router (loader, &gate, error) || !check_refused_keys (loader, error))
    return FALSE;
  if (width == 0 || width > 1u << 20 || n_blocks == 0 || n_blocks > 4096)
    return refuse (
        loader, MS_COLLECTOR_ERROR_CORRUPT, error,
        "%s: %u blocks of width %u; 1 to 4096 blocks of width up to 1048576 are expected",
        plan->family->name, n_blocks, width);
  if (!(plan->epsilon >= 0) || !isfinite (plan->epsilon))
    return refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error, "%s is %g", epsilon_key,
                   (double) plan->epsilon);
  plan->width = width;
  plan->n_blocks = n_blocks;
  plan->blocks = g_new0 (MsBlock, n_blocks);
  if (!take_weight (loader, "token_embd.weight", FALSE, width, 0, &plan->embedding, error)
      || !load_heads (loader, error) || !load_rotation (loader, error))
    return FALSE;
  plan->vocabulary = (guint) MIN (plan->embedding.n_rows, G_MAXINT32);
  for (guint b = 0; b < n_blocks; b++)
    if (!load_block (loader, b, &gate, error))
      return FALSE;
  if (plan->n_moe == 0)
    return refuse (loader, MS_COLLECTOR_ERROR_MISSING, error,
                   "none of the %u blocks has a router (blk.N.ffn_gate_inp.weight): this is no "
                   "Mixture-of-Experts model",
                   n_blocks);
  if (!take_vector (loader, "output_norm.weight", TRUE, width, &plan->output_norm, error)
      || !take_weight (loader, "output.weight", TRUE, width, plan->vocabulary, &plan->output,
                       error))
    return FALSE;
  if (plan->output_norm != NULL && plan->output.tensor == NULL)
    plan->output = plan->embedding;
  warn_of_the_rest (loader);
  return TRUE;
}

MsPlan *
ms_plan_new (const MsGguf *gguf, GError **error)
{
  g_autoptr (MsPlan) plan = g_new0 (MsPlan, 1);
  g_autoptr (GHashTable) used = g_hash_table_new (NULL, NULL);
  Loader loader = { gguf, plan, used };
  const char *architecture = NULL;

  plan->warnings = g_ptr_array_new_with_free_func (g_free);
  if (!ms_gguf_get_string (gguf, "general.architecture", MS_KEY_REQUIRED, &architecture, error))
    return NULL;
  plan->family = find_family (&loader, architecture, error);
  if (plan->family == NULL || !load (&loader, error))
    return NULL;
  return g_steal_pointer (&plan);
}

static void
clear_block (MsBlock *block)
{
  g_free (block->attention_norm);
  g_free (block->q_bias);
  g_free (block->k_bias);
  g_free (block->v_bias);
  g_free (block->out_bias);
  g_free (block->q_norm);
  g_free (block->k_norm);
  g_free (block->ffn_norm);
  g_free (block->router_bias);
  g_free (block->selection_bias);
  g_free (block->experts);
}

void
ms_plan_free (MsPlan *plan)
{
  if (plan == NULL)
    return;
  for (guint b = 0; b < plan->n_blocks && plan->blocks != NULL; b++)
    clear_block (&plan->blocks[b]);
  g_free (plan->blocks);
  g_free (plan->rotation.step);
  g_free (plan->output_norm);
  g_ptr_array_unref (plan->warnings);
  g_free (plan);
}

/* --- As stored ------------------------------------------------------------------------------ */

static gint64
weight_bytes (const MsWeight *weight)
{
  return weight->tensor != NULL ? weight->n_rows * (gint64) weight->tensor->row_size : 0;
}

static char *
describe_details (const MsPlan *plan, const MsGguf *gguf)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  const MsBlock *block = &plan->blocks[plan->last_moe];
  const struct
  {
    const char *name;
    gint64 value;
  } numbers[] = { { "vocabulary", plan->vocabulary },
                  { "heads", block->n_heads },
                  { "kv_heads", block->n_kv_heads },
                  { "head_width", plan->head_width },
                  { "expert_width", block->experts[0].gate.n_rows },
                  { "shared_width", block->shared.gate.n_rows },
                  { "tensors", ms_gguf_n_tensors (gguf) } };

  json_builder_begin_object (builder);
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      json_builder_set_member_name (builder, numbers[i].name);
      json_builder_add_int_value (builder, numbers[i].value);
    }
  json_builder_set_member_name (builder, "expert_type");
  json_builder_add_string_value (builder, block->experts[0].gate.tensor->type->name);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  json_generator_set_root (generator, root);
  return json_generator_to_data (generator, NULL);
}

MsModel *
ms_plan_model (const MsPlan *plan, const MsGguf *gguf, const char *path)
{
  const MsBlock *block = &plan->blocks[plan->last_moe];
  MsModel *model = g_new0 (MsModel, 1);
  const char *name = NULL;
  guint32 shared = block->shared.gate.tensor != NULL ? 1 : 0;
  g_autofree char *shared_key = g_strconcat (plan->family->name, ".expert_shared_count", NULL);

  ms_gguf_get_string (gguf, "general.name", MS_KEY_OPTIONAL, &name, NULL);
  if (shared > 0)
    ms_gguf_get_u32 (gguf, shared_key, MS_KEY_OPTIONAL, &shared, NULL);
  model->name = name != NULL && *name != '\0' ? g_strdup (name) : g_path_get_basename (path);
  model->architecture = g_strdup (plan->family->name);
  model->fingerprint = ms_gguf_fingerprint (gguf);
  model->router = ms_gate_describe (&block->gate);
  model->details = describe_details (plan, gguf);
  model->n_blocks = plan->n_blocks;
  model->n_shared = shared;
  model->width = plan->width;
  model->expert_bytes = weight_bytes (&block->experts[0].gate)
                        + weight_bytes (&block->experts[0].up)
                        + weight_bytes (&block->experts[0].down);
  model->weight_scale = (double) block->gate.scale;
  model->layers = g_new0 (MsLayer, plan->n_moe);
  for (guint b = 0; b < plan->n_blocks; b++)
    if (plan->blocks[b].is_moe)
      model->layers[model->n_layers++] = (MsLayer){ (int) b, plan->blocks[b].gate };
  return model;
}
