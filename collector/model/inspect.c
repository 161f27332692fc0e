/* What a model file is, told from its keys and the names, types and shapes of its tensors.
 *
 * Knows no architecture but by its row of the table, if it has one: a file that cannot be run is described
 * like any other.  What must hold: no byte of the tensors' data is looked at but what the plan of a model that
 * can be run reads (norms and biases) and the samples of its fingerprint. */
#include "inspect-private.h"

#include <string.h>

/* --- Facts ---------------------------------------------------------------------------------- */

/* Takes source and the floating value; both sink into the list. */
void
ms_inspector_fact (MsInspector *inspector, MsFactSection section, const char *name, GVariant *value,
                   char *source)
{
  MsFact fact = { section, g_strdup (name), g_variant_ref_sink (value), source };

  g_array_append_val (inspector->found->facts, fact);
}

void
ms_inspector_warn (MsInspector *inspector, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (inspector->found->warnings, g_strdup_vprintf (format, args));
  va_end (args);
}

static void obstruct (MsInspector *inspector, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
obstruct (MsInspector *inspector, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (inspector->found->obstacles, g_strdup_vprintf (format, args));
  va_end (args);
}

/* "ARCHITECTURE.name".  (transfer full) */
char *
ms_inspector_key (const MsInspector *inspector, const char *name)
{
  return g_strconcat (inspector->found->architecture, ".", name, NULL);
}

/* The number of a key, of the first block where it holds one per block; FALSE: not there, or no number. */
gboolean
ms_inspector_number (const MsInspector *inspector, const char *name, guint *value)
{
  g_autofree char *key = ms_inspector_key (inspector, name);
  gint32 first = 0;
  guint32 number;

  if (!ms_gguf_has (inspector->gguf, key))
    return FALSE;
  if (ms_gguf_get_u32 (inspector->gguf, key, MS_KEY_REQUIRED, &number, NULL))
    {
      *value = number;
      return TRUE;
    }
  if (!ms_gguf_get_per_layer (inspector->gguf, key, MS_KEY_REQUIRED, 1, &first, NULL) || first < 0)
    return FALSE;
  *value = (guint) first;
  return TRUE;
}

/* The values of the key for each block, which may hold one for all.  (transfer full) NULL: not there. */
static gint32 *
get_per_block (const MsInspector *inspector, const char *name)
{
  g_autofree char *key = ms_inspector_key (inspector, name);
  g_autofree gint32 *values = g_new0 (gint32, inspector->n_blocks + 1);

  if (!ms_gguf_has (inspector->gguf, key)
      || !ms_gguf_get_per_layer (inspector->gguf, key, MS_KEY_REQUIRED, inspector->n_blocks, values,
                                 NULL))
    return NULL;
  return g_steal_pointer (&values);
}

/* The key's value as a fact, whatever its type: numbers, truth, text; one number per block as "LEAST to MOST". */
gboolean
ms_inspector_add_key (MsInspector *inspector, MsFactSection section, const char *name,
                      const char *key_name)
{
  const MsGguf *gguf = inspector->gguf;
  g_autofree char *key = ms_inspector_key (inspector, key_name);
  g_autofree gint32 *values = NULL;
  const char *text = NULL;
  guint64 number = 0;
  float real = 0;
  gboolean truth = FALSE;
  GVariant *value;

  if (!ms_gguf_has (gguf, key))
    return FALSE;
  if (ms_gguf_get_u64 (gguf, key, MS_KEY_REQUIRED, &number, NULL))
    value = g_variant_new_int64 ((gint64) number);
  else if (ms_gguf_get_float (gguf, key, MS_KEY_REQUIRED, &real, NULL))
    value = g_variant_new_double ((double) real);
  else if (ms_gguf_get_bool (gguf, key, MS_KEY_REQUIRED, &truth, NULL))
    value = g_variant_new_boolean (truth);
  else if (ms_gguf_get_string (gguf, key, MS_KEY_REQUIRED, &text, NULL))
    value = g_variant_new_string (text);
  else if ((values = get_per_block (inspector, key_name)) != NULL && inspector->n_blocks > 0)
    {
      gint32 least = values[0], most = values[0];

      for (guint b = 1; b < inspector->n_blocks; b++)
        {
          least = MIN (least, values[b]);
          most = MAX (most, values[b]);
        }
      value = least == most ? g_variant_new_int64 (least)
                            : g_variant_new_take_string (g_strdup_printf ("%d to %d", least, most));
    }
  else
    {
      ms_inspector_warn (inspector, "%s is neither a number nor text: it is not understood", key);
      return FALSE;
    }
  ms_inspector_fact (inspector, section, name, value, g_strconcat ("key ", key, NULL));
  return TRUE;
}

/* --- Tensors and their roles ------------------------------------------------------------------ */

static const struct
{
  const char *name;
  const char *const
      *prefixes; /* of what follows "blk.N.", or of the whole name of tensors of no block */
} roles[MS_N_ROLES] = {
  [MS_ROLE_EXPERTS] = { "experts", (const char *const[]){ "ffn_gate_up_exps.", NULL } },
  [MS_ROLE_ROUTER]
  = { "router", (const char *const[]){ "ffn_gate_inp.", "exp_probs_b", "ffn_gate_tid2eid", NULL } },
  [MS_ROLE_SHARED] = { "shared experts", (const char *const[]){ "ffn_gate_inp_shexp.", NULL } },
  [MS_ROLE_DENSE] = { "dense networks", (const char *const[]){ "ffn_gate.", "ffn_up.", "ffn_down.",
                                                               "ffn_latent", NULL } },
  [MS_ROLE_ATTENTION] = { "attention", (const char *const[]){ "attn_", "indexer", NULL } },
  [MS_ROLE_STATE]
  = { "state mixers", (const char *const[]){ "ssm_", "shortconv", "time_mix", NULL } },
  [MS_ROLE_NORM] = { "norms", (const char *const[]){ NULL } },
  [MS_ROLE_EMBEDDING]
  = { "embedding", (const char *const[]){ "token_embd.", "position_embd.", "token_types.",
                                          "per_layer_token_embd.", NULL } },
  [MS_ROLE_OUTPUT] = { "output head", (const char *const[]){ "output.", NULL } },
  [MS_ROLE_FURTHER] = { "further-token blocks", (const char *const[]){ "nextn.", NULL } },
  [MS_ROLE_OTHER] = { "other", (const char *const[]){ NULL } },
};

const char *
ms_role_name (MsTensorRole role)
{
  return roles[role].name;
}

/* "blk.7.ffn_up.weight" -> 7 and "ffn_up.weight"; FALSE and the whole name for others. */
static gboolean
split_name (const char *name, guint *block, const char **rest)
{
  char *end;
  guint64 number;

  *rest = name;
  if (!g_str_has_prefix (name, "blk.") || !g_ascii_isdigit (name[4]))
    return FALSE;
  number = g_ascii_strtoull (name + 4, &end, 10);
  if (*end != '.' || number > G_MAXUINT16)
    return FALSE;
  *block = (guint) number;
  *rest = end + 1;
  return TRUE;
}

/* "ffn_up.12.weight", as old files name the matrices of expert 12. */
static gboolean
is_numbered_expert (const char *rest)
{
  for (const char *const *stem = (const char *const[]){ "ffn_gate.", "ffn_up.", "ffn_down.", NULL };
       *stem != NULL; stem++)
    if (g_str_has_prefix (rest, *stem) && g_ascii_isdigit (rest[strlen (*stem)]))
      return TRUE;
  return FALSE;
}

static MsTensorRole
role_of (const MsInspector *inspector, const MsTensor *tensor)
{
  guint block;
  const char *rest;
  gboolean in_block = split_name (tensor->name, &block, &rest);

  if (in_block && block >= inspector->n_blocks - inspector->n_further)
    return MS_ROLE_FURTHER;
  if (strstr (rest, "norm") != NULL)
    return MS_ROLE_NORM;
  if (strstr (rest, "_exps.") != NULL || strstr (rest, "_chexps.") != NULL
      || is_numbered_expert (rest))
    return MS_ROLE_EXPERTS;
  if (strstr (rest, "_shexp.") != NULL)
    return MS_ROLE_SHARED;
  for (MsTensorRole role = 0; role < MS_N_ROLES; role++)
    for (const char *const *prefix = roles[role].prefixes; *prefix != NULL; prefix++)
      if (g_str_has_prefix (rest, *prefix))
        return role;
  return MS_ROLE_OTHER;
}

const MsTensor *
ms_inspector_find (const MsInspector *inspector, guint block, const char *name)
{
  g_autofree char *whole = g_strdup_printf ("blk.%u.%s", block, name);

  return ms_gguf_find (inspector->gguf, whole);
}

static gint64
values_of (const MsTensor *tensor)
{
  return tensor->ne[0] * ms_tensor_n_rows (tensor);
}

/* How many experts lie in the tensor. */
static gint64
experts_in (const MsTensor *tensor)
{
  const char *rest;
  guint block;

  split_name (tensor->name, &block, &rest);
  if (is_numbered_expert (rest))
    return 1;
  /* Matrices are stacked in the third dimension, biases and scales in the last that they have. */
  return tensor->ne[2] > 1 || tensor->n_dims > 2 ? tensor->ne[2]
         : tensor->n_dims == 2                   ? tensor->ne[1]
                                                 : tensor->ne[0];
}

static MsTypeShare *
share_of_type (GArray *types, const MsTensorType *type)
{
  MsTypeShare share = { .name = g_intern_string (type->name),
                        .readable = type->to_float != NULL,
                        .whole = type->to_float == NULL && type->block_values == 1 };

  for (guint i = 0; i < types->len; i++)
    if (strcmp (g_array_index (types, MsTypeShare, i).name, type->name) == 0)
      return &g_array_index (types, MsTypeShare, i);
  g_array_append_val (types, share);
  return &g_array_index (types, MsTypeShare, types->len - 1);
}

static void
add_to (MsTypeShare *share, const MsTensor *tensor)
{
  share->n_tensors++;
  share->bytes += (gint64) tensor->size;
  share->n_values += values_of (tensor);
}

static int
compare_shares (gconstpointer a, gconstpointer b)
{
  const MsTypeShare *p = a, *q = b;

  return p->bytes != q->bytes ? (p->bytes < q->bytes) - (p->bytes > q->bytes)
                              : strcmp (p->name, q->name);
}

/* Counts every tensor by type and role, and what a token uses of it. */
static void
count_tensors (MsInspector *inspector)
{
  MsInspection *found = inspector->found;
  gboolean has_output = ms_gguf_find (inspector->gguf, "output.weight") != NULL;
  double values = 0, read = 0; /* of one token */

  for (guint i = 0; i < ms_gguf_n_tensors (inspector->gguf); i++)
    {
      const MsTensor *tensor = ms_gguf_tensor (inspector->gguf, i);
      MsTensorRole role = role_of (inspector, tensor);
      gint64 n = values_of (tensor), bytes = (gint64) tensor->size;
      guint block;
      const char *rest;

      add_to (share_of_type (found->types, tensor->type), tensor);
      add_to (share_of_type (found->roles[role], tensor->type), tensor);
      found->n_values += n;
      found->tensor_bytes += bytes;
      if (split_name (tensor->name, &block, &rest) && block < inspector->n_blocks)
        {
          MsBlockFacts *facts = &found->blocks[block];

          facts->bytes += bytes;
          if (role == MS_ROLE_EXPERTS)
            facts->expert_bytes += bytes;
          if (role == MS_ROLE_EXPERTS && facts->experts > 0)
            {
              double part = is_numbered_expert (rest) ? (double) facts->k / facts->experts
                                                      : (double) MIN (facts->k, experts_in (tensor))
                                                            / (double) experts_in (tensor);

              values += part * (double) n;
              read += part * (double) bytes;
              continue;
            }
        }
      if (role != MS_ROLE_FURTHER && (role != MS_ROLE_EMBEDDING || !has_output))
        {
          values += (double) n;
          read += (double) bytes;
        }
    }
  found->active_values = (gint64) (values + 0.5);
  found->active_bytes = (gint64) (read + 0.5);
  g_array_sort (found->types, compare_shares);
  for (MsTensorRole role = 0; role < MS_N_ROLES; role++)
    g_array_sort (found->roles[role], compare_shares);
}

/* --- Blocks ----------------------------------------------------------------------------------- */

/* The first mark of which a block has a tensor names its mixer. */
static const struct
{
  const char *mark, *name;
} mixers[] = {
  { "ssm_f_a.weight", "Kimi delta attention" },
  { "ssm_ba.weight", "gated delta net" },
  { "ssm_beta.weight", "gated delta net" },
  { "ssm_x.weight", "Mamba" },
  { "ssm_in.weight", "Mamba-2" },
  { "shortconv.conv.weight", "short convolution" },
  { "time_mix_key.weight", "RWKV" },
  { "attn_compressor_kv.weight", "compressed attention" },
  { "attn_kv_a_mqa.weight", "latent attention" },
  { "attn_q.weight", "attention" },
  { "attn_q_a.weight", "attention" },
  { "attn_qkv.weight", "attention" },
};

static void
look_at_block (MsInspector *inspector, guint b, const gint32 *ks)
{
  MsBlockFacts *facts = &inspector->found->blocks[b];
  const MsTensor *router = ms_inspector_find (inspector, b, "ffn_gate_inp.weight");
  const MsTensor *experts = ms_inspector_find (inspector, b, "ffn_up_exps.weight");

  if (experts == NULL)
    experts = ms_inspector_find (inspector, b, "ffn_gate_up_exps.weight");
  facts->mixer = "none";
  for (guint i = 0; i < G_N_ELEMENTS (mixers); i++)
    if (ms_inspector_find (inspector, b, mixers[i].mark) != NULL)
      {
        facts->mixer = mixers[i].name;
        break;
      }
  facts->further = b >= inspector->n_blocks - inspector->n_further;
  facts->hashed = ms_inspector_find (inspector, b, "ffn_gate_tid2eid.weight") != NULL;
  facts->selection_bias = ms_inspector_find (inspector, b, "exp_probs_b.bias") != NULL
                          || ms_inspector_find (inspector, b, "exp_probs_b") != NULL;
  facts->router_bias = ms_inspector_find (inspector, b, "ffn_gate_inp.bias") != NULL;
  facts->shared = ms_inspector_find (inspector, b, "ffn_up_shexp.weight") != NULL
                  || ms_inspector_find (inspector, b, "ffn_down_shexp.weight") != NULL;
  facts->router_type = router != NULL ? g_intern_string (router->type->name) : NULL;
  facts->router_quantised = router != NULL && router->type->block_values != 1;
  if (router == NULL && experts == NULL)
    return;
  facts->experts = (guint) MIN (router != NULL ? router->ne[1] : experts_in (experts), G_MAXUINT16);
  facts->k = MIN (ks != NULL && ks[b] > 0 ? (guint) ks[b] : inspector->k, facts->experts);
}

/* Blocks up to the last that a tensor names, or as many as the key says. */
static void
count_blocks (MsInspector *inspector)
{
  guint last = 0;

  for (guint i = 0; i < ms_gguf_n_tensors (inspector->gguf); i++)
    {
      const char *rest;
      guint block;

      if (split_name (ms_gguf_tensor (inspector->gguf, i)->name, &block, &rest))
        last = MAX (last, block + 1);
    }
  if (!ms_inspector_number (inspector, "block_count", &inspector->n_blocks))
    inspector->n_blocks = last;
  else if (last > 0 && inspector->n_blocks != last)
    ms_inspector_warn (inspector, "%s.block_count is %u, but the tensors are of %u blocks",
                       inspector->found->architecture, inspector->n_blocks, last);
  inspector->n_blocks = MIN (inspector->n_blocks, (guint) MS_MAX_BLOCKS);
  if (ms_inspector_number (inspector, "nextn_predict_layers", &inspector->n_further)
      && inspector->n_further > inspector->n_blocks)
    inspector->n_further = inspector->n_blocks;
}

static void
look_at_blocks (MsInspector *inspector)
{
  MsInspection *found = inspector->found;
  g_autofree gint32 *ks = get_per_block (inspector, "expert_used_count");

  ms_inspector_number (inspector, "expert_used_count", &inspector->k);
  found->n_blocks = inspector->n_blocks;
  found->blocks = g_new0 (MsBlockFacts, inspector->n_blocks + 1);
  for (guint b = 0; b < inspector->n_blocks; b++)
    {
      look_at_block (inspector, b, ks);
      if (found->blocks[b].experts > 0 && !found->blocks[b].further)
        found->n_moe++;
    }
}

/* --- Geometry --------------------------------------------------------------------------------- */

static const struct
{
  const char *name, *key;
} geometry[] = {
  { "blocks", "block_count" },
  { "width", "embedding_length" },
  { "context", "context_length" },
  { "heads", "attention.head_count" },
  { "kv_heads", "attention.head_count_kv" },
  { "head_width", "attention.key_length" },
  { "value_width", "attention.value_length" },
  { "kv_rank", "attention.kv_lora_rank" },
  { "query_rank", "attention.q_lora_rank" },
  { "window", "attention.sliding_window" },
  { "state_width", "ssm.state_size" },
  { "rope_base", "rope.freq_base" },
  { "rope_scaling", "rope.scaling.type" },
  { "rope_factor", "rope.scaling.factor" },
  { "dense_width", "feed_forward_length" },
  { "expert_width", "expert_feed_forward_length" },
  { "chunk_expert_width", "expert_chunk_feed_forward_length" },
  { "shared_width", "expert_shared_feed_forward_length" },
  { "latent_width", "moe_latent_size" },
  { "leading_dense_blocks", "leading_dense_block_count" },
  { "further_token_blocks", "nextn_predict_layers" },
};

/* A dimension of a tensor where no key tells it. */
static void
add_dimension (MsInspector *inspector, const char *name, const MsTensor *tensor, guint dimension)
{
  if (tensor != NULL)
    ms_inspector_fact (inspector, MS_FACTS_GEOMETRY, name,
                       g_variant_new_int64 (tensor->ne[dimension]),
                       g_strconcat ("tensor ", tensor->name, NULL));
}

static void
tell_geometry (MsInspector *inspector)
{
  const MsTensor *embedding = ms_gguf_find (inspector->gguf, "token_embd.weight");
  const MsTensor *experts = NULL;

  for (guint b = 0; b < inspector->n_blocks && experts == NULL; b++)
    experts = ms_inspector_find (inspector, b, "ffn_down_exps.weight");
  for (guint i = 0; i < G_N_ELEMENTS (geometry); i++)
    if (!ms_inspector_add_key (inspector, MS_FACTS_GEOMETRY, geometry[i].name, geometry[i].key))
      {
        if (strcmp (geometry[i].name, "width") == 0)
          add_dimension (inspector, "width", embedding, 0);
        else if (strcmp (geometry[i].name, "expert_width") == 0)
          add_dimension (inspector, "expert_width", experts, 0);
      }
  add_dimension (inspector, "vocabulary", embedding, 1);
}

/* --- Traps of the geometry ------------------------------------------------------------------- */

/* A number that a key tells, against what a tensor's shape tells. */
static void
compare_shape (MsInspector *inspector, const char *key, const MsTensor *tensor, guint dimension)
{
  guint told;

  if (tensor != NULL && ms_inspector_number (inspector, key, &told) && told != 0
      && tensor->ne[dimension] != told)
    ms_inspector_warn (inspector, "%s.%s is %u, but tensor %s has %" G_GINT64_FORMAT " of them",
                       inspector->found->architecture, key, told, tensor->name,
                       tensor->ne[dimension]);
}

/* Blocks before the first with experts, and tensors of blocks for further tokens, against their keys. */
static void
check_dense (MsInspector *inspector)
{
  const MsInspection *found = inspector->found;
  guint told, first = 0, further = 0;

  while (first < inspector->n_blocks && found->blocks[first].experts == 0)
    first++;
  if (ms_inspector_number (inspector, "leading_dense_block_count", &told)
      && first < inspector->n_blocks && told != first)
    ms_inspector_warn (
        inspector,
        "%s.leading_dense_block_count is %u, but the first block with experts is number %u",
        found->architecture, told, first);
  for (guint b = 0; b < inspector->n_blocks; b++)
    further
        += !found->blocks[b].further && ms_inspector_find (inspector, b, "nextn.eh_proj.weight");
  if (further > 0)
    ms_inspector_warn (
        inspector,
        "%u blocks have tensors for further tokens (nextn), but %s.nextn_predict_layers does not "
        "count them: they are taken for blocks of the pass",
        further, found->architecture);
}

/* What a text becomes before it is routed. */
static void
check_tokenizer (MsInspector *inspector)
{
  const char *model = NULL, *pre = NULL;

  ms_gguf_get_string (inspector->gguf, "tokenizer.ggml.model", MS_KEY_OPTIONAL, &model, NULL);
  ms_gguf_get_string (inspector->gguf, "tokenizer.ggml.pre", MS_KEY_OPTIONAL, &pre, NULL);
  if (model != NULL)
    ms_inspector_fact (inspector, MS_FACTS_GEOMETRY, "tokenizer", g_variant_new_string (model),
                       g_strdup ("key tokenizer.ggml.model"));
  if (pre != NULL)
    ms_inspector_fact (inspector, MS_FACTS_GEOMETRY, "pre_tokenizer", g_variant_new_string (pre),
                       g_strdup ("key tokenizer.ggml.pre"));
  if (model != NULL && pre == NULL && strcmp (model, "gpt2") == 0)
    ms_inspector_warn (inspector,
                       "tokenizer.ggml.pre is missing: texts are cut by the default rule, probably "
                       "into other tokens than the model was trained on; convert the model anew");
}

static void
check_geometry (MsInspector *inspector)
{
  const MsInspection *found = inspector->found;
  const MsTensor *embedding = ms_gguf_find (inspector->gguf, "token_embd.weight");
  g_autofree MsGgufString *tokens = NULL;
  guint first = 0, odd = 0, n = 0;
  gsize n_tokens = 0;

  compare_shape (inspector, "embedding_length", embedding, 0);
  if (embedding != NULL
      && ms_gguf_get_strings (inspector->gguf, "tokenizer.ggml.tokens", MS_KEY_REQUIRED, &tokens,
                              &n_tokens, NULL)
      && (gint64) n_tokens != embedding->ne[1])
    ms_inspector_warn (inspector,
                       "the vocabulary has %" G_GSIZE_FORMAT
                       " tokens, but there are %" G_GINT64_FORMAT " embeddings",
                       n_tokens, embedding->ne[1]);
  for (guint b = 0; b < inspector->n_blocks; b++)
    if (found->blocks[b].experts > 0)
      {
        const MsTensor *down = ms_inspector_find (inspector, b, "ffn_down_exps.weight");

        if (n++ == 0)
          {
            first = b;
            compare_shape (inspector, "expert_count",
                           ms_inspector_find (inspector, b, "ffn_gate_inp.weight"), 1);
            compare_shape (inspector, "expert_feed_forward_length", down, 0);
          }
        if (down != NULL && down->ne[2] != found->blocks[b].experts)
          ms_inspector_warn (
              inspector,
              "the router of block %u chooses among %u experts, but tensor %s has %" G_GINT64_FORMAT
              " of them",
              b, found->blocks[b].experts, down->name, down->ne[2]);
        odd += found->blocks[b].experts != found->blocks[first].experts;
      }
  if (odd > 0)
    ms_inspector_warn (inspector,
                       "%u of %u MoE blocks have another number of experts than block %u (%u)", odd,
                       n, first, found->blocks[first].experts);
  check_dense (inspector);
  if (inspector->n_further > 0)
    ms_inspector_warn (
        inspector,
        "the last %u of %u blocks predict further tokens (%s.nextn_predict_layers); they are no "
        "part of the pass, and engines that record them number them like layers",
        inspector->n_further, inspector->n_blocks, found->architecture);
}

/* --- What stands in the way ------------------------------------------------------------------- */

static void
find_obstacles (MsInspector *inspector)
{
  const MsInspection *found = inspector->found;
  guint n = ms_gguf_n_tensors (inspector->gguf);

  if (n == 0)
    {
      obstruct (inspector, "the file has no tensors, only metadata such as a vocabulary");
      return;
    }
  if (inspector->architecture == NULL)
    {
      g_autofree char *shown = ms_text_printable (found->architecture, -1);

      obstruct (inspector, "architecture '%s' is none that can be run", shown);
    }
  for (guint i = 0; i < found->types->len; i++)
    {
      const MsTypeShare *share = &g_array_index (found->types, MsTypeShare, i);

      if (!share->readable && !share->whole)
        obstruct (inspector, "tensors of type %s: %u of %u", share->name, share->n_tensors, n);
    }
  if (inspector->architecture == NULL && found->n_moe == 0)
    obstruct (inspector,
              "none of %u blocks has a router (blk.N.ffn_gate_inp.weight): this is no "
              "Mixture-of-Experts model",
              inspector->n_blocks);
}

/* The model as it would be stored, where nothing known stands in the way. */
static gboolean
plan (MsInspector *inspector, const char *path, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (MsPlan) made = NULL;
  g_autofree char *prefix = NULL, *shown = ms_text_printable (path, -1);

  if (inspector->found->obstacles->len > 0)
    return TRUE;
  made = ms_plan_new (inspector->gguf, &failure);
  if (made == NULL)
    {
      prefix = g_strconcat (shown, ": ", NULL);
      obstruct (inspector, "%s",
                failure->message
                    + (g_str_has_prefix (failure->message, prefix) ? strlen (prefix) : 0));
      return TRUE;
    }
  for (guint i = 0; i < made->warnings->len; i++)
    /* Told above, also of files that cannot be run. */
    if (strstr (made->warnings->pdata[i], "nextn_predict_layers") == NULL
        && strstr (made->warnings->pdata[i], "ffn_gate_tid2eid") == NULL)
      g_ptr_array_add (inspector->found->warnings, g_strdup (made->warnings->pdata[i]));
  inspector->found->model = ms_plan_model (made, inspector->gguf, path);
  return ms_gguf_check (inspector->gguf, error);
}

/* --- All of it -------------------------------------------------------------------------------- */

static void
fact_clear (gpointer data)
{
  MsFact *fact = data;

  g_free (fact->name);
  g_variant_unref (fact->value);
  g_free (fact->source);
}

void
ms_inspection_free (MsInspection *inspection)
{
  if (inspection == NULL)
    return;
  g_free (inspection->architecture);
  g_free (inspection->name);
  g_clear_pointer (&inspection->facts, g_array_unref);
  g_clear_pointer (&inspection->types, g_array_unref);
  for (MsTensorRole role = 0; role < MS_N_ROLES; role++)
    g_clear_pointer (&inspection->roles[role], g_array_unref);
  g_free (inspection->blocks);
  g_clear_pointer (&inspection->warnings, g_ptr_array_unref);
  g_clear_pointer (&inspection->obstacles, g_ptr_array_unref);
  ms_model_free (inspection->model);
  g_free (inspection);
}

static MsInspection *
inspection_new (void)
{
  MsInspection *inspection = g_new0 (MsInspection, 1);

  inspection->facts = g_array_new (FALSE, FALSE, sizeof (MsFact));
  g_array_set_clear_func (inspection->facts, fact_clear);
  inspection->types = g_array_new (FALSE, FALSE, sizeof (MsTypeShare));
  for (MsTensorRole role = 0; role < MS_N_ROLES; role++)
    inspection->roles[role] = g_array_new (FALSE, FALSE, sizeof (MsTypeShare));
  inspection->warnings = g_ptr_array_new_with_free_func (g_free);
  inspection->obstacles = g_ptr_array_new_with_free_func (g_free);
  return inspection;
}

/* Files of the format that hold something else are refused as the plan refuses them. */
static gboolean
is_other_kind (const MsGguf *gguf)
{
  const char *kind = NULL;

  ms_gguf_get_string (gguf, "general.type", MS_KEY_OPTIONAL, &kind, NULL);
  return ms_gguf_has (gguf, "imatrix.chunk_count") || (kind != NULL && strcmp (kind, "model") != 0);
}

MsInspection *
ms_model_inspect (const char *path, GError **error)
{
  g_autoptr (MsGguf) gguf = ms_gguf_open (path, error);
  g_autoptr (MsInspection) found = inspection_new ();
  MsInspector inspector = { .gguf = gguf, .found = found };
  const char *architecture = NULL, *name = NULL;
  MsScoring scoring;

  if (gguf == NULL)
    return NULL;
  if (is_other_kind (gguf))
    {
      g_autoptr (MsPlan) none = ms_plan_new (gguf, error);

      g_return_val_if_fail (none == NULL, NULL);
      return NULL;
    }
  if (!ms_gguf_get_string (gguf, "general.architecture", MS_KEY_REQUIRED, &architecture, error))
    return NULL;
  ms_gguf_get_string (gguf, "general.name", MS_KEY_OPTIONAL, &name, NULL);
  found->architecture = g_strdup (architecture);
  found->name = name != NULL && *name != '\0' ? g_strdup (name) : g_path_get_basename (path);
  found->n_parts = ms_gguf_n_parts (gguf);
  found->n_tensors = ms_gguf_n_tensors (gguf);
  found->bytes = ms_gguf_bytes (gguf);
  inspector.architecture = ms_architecture_find (architecture);
  count_blocks (&inspector);
  look_at_blocks (&inspector);
  count_tensors (&inspector);
  tell_geometry (&inspector);
  scoring = found->n_moe > 0 ? ms_inspector_tell_routing (&inspector) : MS_SCORING_UNKNOWN;
  ms_inspector_check_routing (&inspector, scoring);
  check_geometry (&inspector);
  check_tokenizer (&inspector);
  find_obstacles (&inspector);
  return plan (&inspector, path, error) ? g_steal_pointer (&found) : NULL;
}
