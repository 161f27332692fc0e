/* The plan of a model: keys and tensors of the file, block by block, checked so that running cannot fail.
 *
 * What must hold: a plan owns its blocks, rotations and vectors and borrows matrices from the file; each
 * tensor of a block is in a table that ms_plan_block_each visits. */
#include "plan-private.h"

#include "feed-forward-private.h"
#include "mixer-private.h"
#include "norm-private.h"
#include "positions-private.h"
#include "recipe-private.h"
#include "scales-private.h"
#include "streams-private.h"

#include <math.h>
#include <string.h>

/* Sizes that the tables below ask for. */
enum
{
  SIZE_MODEL = MS_SIZE_ONE + 1, /* D */
  SIZE_EXPERTS,                 /* E */
  SIZE_VOCABULARY,              /* V, settled by the embedding */
  SIZE_LATENT,                  /* Z */
  N_SIZES,
};

/* --- Tables ---------------------------------------------------------------------------------- */

static const MsTensorRule model_rules[] = {
  { .name = "token_embd.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_VOCABULARY },
    .required = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (MsPlan, embedding) },
  { .name = "output_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .taken = MS_ALWAYS,
    .unless = MS_LAST_NORM_EMBD,
    .offset = G_STRUCT_OFFSET (MsPlan, output_norm) },
  { .name = "token_embd_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .taken = MS_LAST_NORM_EMBD,
    .offset = G_STRUCT_OFFSET (MsPlan, output_norm) },
  { .name = "output.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_VOCABULARY },
    .taken = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (MsPlan, head.w) },
  { .name = "output.bias",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_VOCABULARY },
    .required = MS_HEAD_BIAS,
    .taken = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (MsPlan, head.bias) },
};
static const MsTensorTable model_table = { model_rules, G_N_ELEMENTS (model_rules) };

static const MsTensorRule block_rules[] = {
  { .name = "attn_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, mixer_norm) },
  { .name = "ffn_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_ALWAYS,
    .unless = MS_FFN_NORM_POST | MS_FFN_NORM_OUT | MS_ONE_PART | MS_PARALLEL | MS_OWN_SIDES,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, ffn_norm) },
  { .name = "attn_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_ONE_PART,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, ffn_norm) },
  { .name = "attn_output_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_FFN_NORM_OUT,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, ffn_norm) },
  { .name = "attn_output_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_POST_NORM_OUT,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, mixer_post) },
  { .name = "post_ffw_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_POST_NORM_OUT | MS_POST_NORMS,
    .unless = MS_POST_NORM_LAST,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, ffn_post) },
  { .name = "layer_output_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_POST_NORM_LAST,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, ffn_post) },
  { .name = "post_attention_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_FFN_NORM_POST,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, ffn_norm) },
  { .name = "post_attention_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_POST_NORMS,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, mixer_post) },
  { .name = "ffn_norm_exps",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_EXPERTS_FIRST,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, early_norm) },
  { .name = "ffn_norm",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_OWN_SIDES,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, beside_norm) },
  { .name = "post_ffw_norm_1",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_OWN_SIDES,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, beside_post) },
  { .name = "pre_ffw_norm_2",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_OWN_SIDES,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, ffn_norm) },
  { .name = "post_ffw_norm_2",
    .form = MS_FORM_NORM,
    .shape = { SIZE_MODEL },
    .required = MS_OWN_SIDES,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, experts_post) },
  { .name = "layer_output_scale.weight",
    .form = MS_FORM_VECTOR,
    .shape = { MS_SIZE_ONE },
    .taken = MS_SIDE_BY_SIDE,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, output_scale) },
};
static const MsTensorTable block_table = { block_rules, G_N_ELEMENTS (block_rules) };

static const MsTensorRule router_rules[] = {
  { .name = "ffn_gate_inp.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_EXPERTS },
    .required = MS_ALWAYS,
    .unscaled = TRUE,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, logits) },
  { .name = "ffn_gate_inp.scale",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_MODEL },
    .required = MS_OWN_SIDES,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, router_scale) },
  { .name = "ffn_gate_inp.bias",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_EXPERTS },
    .taken = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, router_bias) },
  { .name = "exp_probs_b.bias",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_EXPERTS },
    .taken = MS_ALWAYS,
    .unless = MS_BIAS_BARE,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, selection_bias) },
  { .name = "exp_probs_b",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_EXPERTS },
    .taken = MS_BIAS_BARE,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, selection_bias) },
  { .name = "ffn_latent_down.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, SIZE_LATENT },
    .required = MS_LATENT_EXPERTS,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, latent_down) },
  { .name = "ffn_latent_up.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_LATENT, SIZE_MODEL },
    .required = MS_LATENT_EXPERTS,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, latent_up) },
};
static const MsTensorTable router_table = { router_rules, G_N_ELEMENTS (router_rules) };

/* Read only where the block has shared experts. */
static const MsTensorRule shared_rules[] = {
  { .name = "ffn_gate_inp_shexp.weight",
    .form = MS_FORM_MATRIX,
    .shape = { SIZE_MODEL, MS_SIZE_ONE },
    .required = MS_SHARED_GATED,
    .offset = G_STRUCT_OFFSET (MsPlanBlock, shared_gate) },
};
static const MsTensorTable shared_table = { shared_rules, G_N_ELEMENTS (shared_rules) };

guint
ms_plan_block_networks (const MsPlanBlock *block)
{
  return block->is_moe ? block->gate.n_experts : 1;
}

void
ms_plan_block_each (const MsPlanBlock *block, MsTableFunc visit, gpointer data)
{
  MsPlanBlock *own = (MsPlanBlock *) block; /* `visit` says whether it changes anything */

  visit (&block_table, own, data);
  visit (&ms_streams_block_table, own, data);
  visit (&router_table, own, data);
  visit (&shared_table, own, data);
  if (block->mixer_part != NULL)
    visit (&block->mixer->tensors, block->mixer_part, data);
  for (guint i = 0; i < ms_plan_block_networks (block) && block->networks != NULL; i++)
    visit (&block->feed_forward->tensors, &own->networks[i], data);
  if (block->feed_forward != NULL)
    {
      visit (&block->feed_forward->tensors, &own->shared, data);
      visit (&block->feed_forward->tensors, &own->beside, data);
    }
  for (guint i = 0; i < block->n_chunks; i++)
    visit (&block->feed_forward->tensors, &own->chunks[i], data);
}

/* --- One block ------------------------------------------------------------------------------ */

/* The architecture's mixer for this block: the only one, or the first whose mark is there.  NULL for a
 * block that is something else. */
static const MsMixer *
choose_mixer (const MsLoader *loader, guint b)
{
  const MsMixer *const *mixers = loader->plan->architecture->mixers;

  for (guint i = 0; mixers[1] != NULL && mixers[i] != NULL; i++)
    if (ms_loader_block_has (loader, b, mixers[i]->mark))
      return mixers[i];
  return (loader->plan->architecture->switches & MS_ONE_PART) != 0 ? NULL : mixers[0];
}

/* The table of a block that chooses experts by token ids. */
static gboolean
load_hash (MsLoader *loader, guint b, MsPlanBlock *block, GError **error)
{
  g_autofree char *name = g_strdup_printf ("blk.%u.ffn_gate_tid2eid.weight", b);
  const MsTensor *tensor = ms_gguf_find (loader->gguf, name);
  gsize n = (gsize) loader->plan->vocabulary * block->gate.k;
  guint32 n_hashed = 0;

  if ((loader->plan->architecture->switches & MS_HASHED) == 0)
    return TRUE;
  if (!ms_loader_u32 (loader, "hash_layer_count", MS_KEY_REQUIRED, &n_hashed, error))
    return FALSE;
  if (b >= n_hashed)
    return TRUE;
  if (tensor == NULL)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_MISSING, error,
                             "tensor %s is missing, and block %u chooses experts by it", name, b);
  if (tensor->number != MS_TYPE_I32 || tensor->ne[0] != block->gate.k
      || tensor->ne[1] != loader->plan->vocabulary || tensor->ne[2] != 1)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "tensor %s: %u numbers (I32) for each of %u tokens are expected", name,
                             block->gate.k, loader->plan->vocabulary);
  g_hash_table_add (loader->used, (gpointer) tensor);
  block->by_token = g_new (guint16, n);
  for (gsize i = 0; i < n; i++)
    {
      gint32 expert;

      memcpy (&expert, tensor->data + i * sizeof expert, sizeof expert);
      if (expert < 0 || (guint) expert >= block->gate.n_experts)
        return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                                 "tensor %s sends token %" G_GSIZE_FORMAT " to expert %d of %u",
                                 name, i / block->gate.k, expert, block->gate.n_experts);
      block->by_token[i] = (guint16) expert;
    }
  g_clear_pointer (&block->selection_bias, g_free);
  if (b == 0)
    ms_loader_warn (loader,
                    "%s.hash_layer_count is %u: in so many first blocks a table of token ids "
                    "(ffn_gate_tid2eid) chooses the experts; scores weigh and do not choose, and "
                    "margins are undefined",
                    loader->plan->architecture->name, n_hashed);
  return TRUE;
}

/* The second set of experts, where the architecture has one. */
static gboolean
load_chunks (MsLoader *loader, guint b, MsPlanBlock *block, GError **error)
{
  const MsGate *gate = &block->gate;
  const char *name = loader->plan->architecture->name;

  if ((loader->plan->architecture->switches & MS_EXPERTS_OF_CHUNKS) == 0)
    return TRUE;
  if (!ms_loader_u32 (loader, "experts_per_group", MS_KEY_REQUIRED, &block->per_chunk, error)
      || !ms_loader_float (loader, "expert_group_scale", MS_KEY_REQUIRED, &block->chunk_scale,
                           error))
    return FALSE;
  if (block->per_chunk == 0 || gate->n_experts % block->per_chunk != 0
      || gate->n_experts / block->per_chunk < gate->k)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s.experts_per_group is %u; equal chunks of %u experts, at least as "
                             "many as the %u chosen, are expected",
                             name, block->per_chunk, gate->n_experts, gate->k);
  block->n_chunks = gate->n_experts / block->per_chunk;
  block->chunks = g_new0 (MsFeedForward, block->n_chunks);
  if (loader->plan->n_moe == 1)
    ms_loader_warn (
        loader,
        "the experts of chunks (ffn_*_chexps) run as in llama.cpp: they read what the "
        "chosen experts give, and weigh as experts of the same numbers; %s as published "
        "may differ",
        name);
  return ms_feed_forward_load (loader, b, "_chexps", loader->plan->width, block->n_chunks, FALSE,
                               block->chunks, error);
}

static gboolean
load_moe (MsLoader *loader, guint b, MsTensorPlace *place, MsPlanBlock *block, GError **error)
{
  guint32 latent = 0;
  gint64 width = loader->plan->width;
  MsSwitches switches = loader->plan->architecture->switches | place->switches;

  if (!ms_loader_u32 (loader, "moe_latent_size", MS_KEY_OPTIONAL, &latent, error))
    return FALSE;
  place->sizes[SIZE_LATENT] = latent;
  if (ms_loader_block_has (loader, b, "ffn_latent_down.weight"))
    place->switches |= MS_LATENT_EXPERTS;
  block->networks = g_new0 (MsFeedForward, block->gate.n_experts);
  if (!ms_tensors_load (loader, &router_table, place, block, error))
    return FALSE;
  if (block->latent_down.tensor != NULL)
    width = block->latent_down.n_rows;
  if (!ms_feed_forward_load_experts (loader, b, width, block->gate.n_experts, block->networks,
                                     error))
    return FALSE;
  if (!load_hash (loader, b, block, error) || !load_chunks (loader, b, block, error))
    return FALSE;
  block->gate.selection_bias = block->selection_bias;
  block->gate.biased = block->selection_bias != NULL;
  if ((switches & (MS_BESIDE_MAY | MS_EXPERTS_FIRST | MS_OWN_SIDES)) != 0
      && !ms_feed_forward_load (loader, b, "", loader->plan->width, 0,
                                (switches & MS_BESIDE_MAY) != 0, &block->beside, error))
    return FALSE;
  if ((loader->plan->architecture->switches & MS_SHARED) == 0)
    return TRUE;
  return ms_feed_forward_load (loader, b, "_shexp", loader->plan->width, 0, TRUE, &block->shared,
                               error)
         && (block->shared.up.tensor == NULL
             || ms_tensors_load (loader, &shared_table, place, block, error));
}

static gboolean
load_block (MsLoader *loader, guint b, const MsGate *gate, GError **error)
{
  MsPlan *plan = loader->plan;
  MsPlanBlock *block = &plan->blocks[b];
  gint64 sizes[N_SIZES] = { 1, plan->width, gate->n_experts };
  MsTensorPlace place = { .block = (gint) b, .sizes = sizes };
  /* Experts without a router are missed by its name. */
  gboolean routes = ms_loader_block_has (loader, b, "ffn_gate_inp.weight")
                    || ms_loader_block_has (loader, b, "ffn_down_exps.weight");

  block->mixer = choose_mixer (loader, b);
  block->feed_forward = plan->architecture->feed_forward;
  if ((plan->architecture->switches & MS_POST_NORM_OUT) != 0
      && ms_loader_block_has (loader, b, "layer_output_norm.weight"))
    place.switches |= MS_POST_NORM_LAST;
  if ((plan->architecture->switches & MS_SIDE_BY_SIDE) != 0 && routes)
    place.switches |= MS_OWN_SIDES;
  if (!ms_tensors_load (loader, &block_table, &place, block, error)
      || !ms_streams_load (loader, block, b, error))
    return FALSE;
  if (block->mixer != NULL)
    {
      block->mixer_part = g_malloc0 (block->mixer->part_size);
      if (!block->mixer->load (loader, b, block->mixer_part, error))
        return FALSE;
      if ((plan->architecture->switches & MS_ONE_PART) != 0)
        return TRUE;
    }
  block->is_moe = routes;
  if (!block->is_moe)
    {
      block->networks = g_new0 (MsFeedForward, 1);
      return ms_feed_forward_load (loader, b, "", plan->width, 0, FALSE, block->networks, error);
    }
  block->gate = *gate;
  plan->n_moe++;
  plan->last_moe = b;
  return load_moe (loader, b, &place, block, error);
}

/* --- The file ------------------------------------------------------------------------------- */

static const MsArchitecture *
find_architecture (const MsLoader *loader, const char *name, GError **error)
{
  const MsArchitecture *architecture = ms_architecture_find (name);

  if (architecture == NULL)
    {
      g_autofree char *shown = ms_text_printable (name, -1);
      g_autofree char *known = ms_architecture_names ();

      ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                        "architecture '%s' cannot be run; known are %s", shown, known);
    }
  return architecture;
}

/* Whether a tensor belongs to a block behind the last that runs. */
static gboolean
is_further (const MsLoader *loader, const MsTensor *tensor)
{
  return g_str_has_prefix (tensor->name, "blk.")
         && g_ascii_strtoull (tensor->name + strlen ("blk."), NULL, 10) >= loader->plan->n_blocks;
}

/* Whatever the file holds and the plan does not use would be run wrongly without a word. */
static void
warn_of_the_rest (const MsLoader *loader)
{
  g_autofree char *window_key = ms_loader_key (loader, "attention.sliding_window");
  guint32 window = 0;
  const char *first = NULL;
  guint n = 0;

  for (guint i = 0; i < ms_gguf_n_tensors (loader->gguf); i++)
    {
      const MsTensor *tensor = ms_gguf_tensor (loader->gguf, i);

      if (g_hash_table_contains (loader->used, tensor) || is_further (loader, tensor))
        continue;
      first = n++ == 0 ? tensor->name : first;
    }
  if (n > 0)
    ms_loader_warn (loader,
                    "%u tensors of the file are not used by architecture %s (the first: %s)", n,
                    loader->plan->architecture->name, first);
  if (loader->plan->architecture->windows == NULL
      && ms_gguf_get_u32 (loader->gguf, window_key, MS_KEY_OPTIONAL, &window, NULL) && window != 0)
    ms_loader_warn (loader, "%s is %u and is not applied: attention sees whole documents",
                    window_key, window);
  if (loader->plan->architecture->note != NULL)
    ms_loader_warn (loader, "%s: %s", loader->plan->architecture->name,
                    loader->plan->architecture->note);
  if (loader->plan->architecture->feed_forward->differs != NULL)
    ms_loader_warn (loader, "%s", loader->plan->architecture->feed_forward->differs);
  ms_recipe_warn (loader);
}

/* Numbers of parts that are not run, as 0 says that there are none. */
static gboolean
check_parts (const MsLoader *loader, GError **error)
{
  static const char *const keys[]
      = { "attention.shared_kv_layers", "embedding_length_per_layer_input" };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      guint32 value = 0;

      if (!ms_loader_u32 (loader, keys[i], MS_KEY_OPTIONAL, &value, error))
        return FALSE;
      if (value != 0)
        return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                                 "%s.%s is %u, and such a part cannot be run",
                                 loader->plan->architecture->name, keys[i], value);
    }
  return TRUE;
}

/* The kind of norms of this file; returns the key of their epsilon.  (transfer full) */
static char *
choose_norm (MsLoader *loader)
{
  const MsArchitecture *architecture = loader->plan->architecture;
  const MsNormKind *other = architecture->norm_else;
  g_autofree char *key = other != NULL ? ms_loader_key (loader, other->epsilon_key) : NULL;

  loader->plan->norm = key != NULL && ms_gguf_has (loader->gguf, key) ? other : architecture->norm;
  return ms_loader_key (loader, loader->plan->norm->epsilon_key);
}

/* The blocks that predict further tokens: what the key says, unless the architecture's files may say so of
 * blocks that have none of the tensors of such. */
static guint32
count_further (const MsLoader *loader, guint32 n_blocks, guint32 told)
{
  if (told == 0 || !loader->plan->architecture->further_by_tensors
      || (told < n_blocks && ms_loader_block_has (loader, n_blocks - told, "nextn.eh_proj.weight")))
    return told;
  ms_loader_warn (loader,
                  "%s.nextn_predict_layers is %u, but the file has no block that predicts further "
                  "tokens (nextn.eh_proj): all %u blocks run",
                  loader->plan->architecture->name, told, n_blocks);
  return 0;
}

static gboolean
load (MsLoader *loader, GError **error)
{
  MsPlan *plan = loader->plan;
  guint32 width = 0, n_blocks = 0, n_further = 0;
  gint64 sizes[N_SIZES] = { 1 };
  const MsTensorPlace place = { .block = -1, .sizes = sizes };
  MsGate gate = { 0 };
  g_autofree char *epsilon_key = choose_norm (loader);

  if (!ms_loader_u32 (loader, "embedding_length", MS_KEY_REQUIRED, &width, error)
      || !ms_loader_u32 (loader, "block_count", MS_KEY_REQUIRED, &n_blocks, error)
      || !ms_loader_u32 (loader, "nextn_predict_layers", MS_KEY_OPTIONAL, &n_further, error)
      || !ms_loader_u32 (loader, "context_length", MS_KEY_OPTIONAL, &plan->context, error)
      || !ms_gguf_get_float (loader->gguf, epsilon_key, MS_KEY_REQUIRED, &plan->epsilon, error)
      || !ms_recipe_load (loader, &gate, error) || !check_parts (loader, error))
    return FALSE;
  if (width == 0 || width > 1u << 20 || n_blocks == 0 || n_blocks > MS_MAX_BLOCKS)
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_CORRUPT, error,
        "%s: %u blocks of width %u; 1 to %u blocks of width up to 1048576 are expected",
        plan->architecture->name, n_blocks, width, MS_MAX_BLOCKS);
  if (!(plan->epsilon >= 0) || !isfinite (plan->epsilon))
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error, "%s is %g", epsilon_key,
                             (double) plan->epsilon);
  n_further = count_further (loader, n_blocks, n_further);
  if (n_further >= n_blocks)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s.nextn_predict_layers is %u of %u blocks: none would be left",
                             plan->architecture->name, n_further, n_blocks);
  if (n_further > 0)
    ms_loader_warn (
        loader,
        "the last %u of %u blocks predict further tokens (%s.nextn_predict_layers); they "
        "are no part of the pass and are not run",
        n_further, n_blocks, plan->architecture->name);
  n_blocks -= n_further;
  plan->width = width;
  plan->n_blocks = n_blocks;
  plan->blocks = g_new0 (MsPlanBlock, n_blocks);
  if (!ms_scales_load (loader, error))
    return FALSE;
  sizes[SIZE_MODEL] = width;
  if (!ms_tensors_load (loader, &model_table, &place, plan, error)
      || !ms_streams_load (loader, NULL, 0, error))
    return FALSE;
  plan->vocabulary = (guint) MIN (plan->embedding.n_rows, G_MAXINT32);
  for (guint b = 0; b < n_blocks; b++)
    if (!load_block (loader, b, &gate, error))
      return FALSE;
  if (plan->n_moe == 0)
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_MISSING, error,
        "none of the %u blocks has a router (blk.N.ffn_gate_inp.weight): this is no "
        "Mixture-of-Experts model",
        n_blocks);
  if (plan->output_norm.kind != NULL && plan->head.w.tensor == NULL)
    plan->head.w = plan->embedding;
  warn_of_the_rest (loader);
  return TRUE;
}

/* Files of the same format that hold something else. */
static gboolean
check_kind (const MsLoader *loader, GError **error)
{
  const char *kind = NULL;
  g_autofree char *shown = NULL;

  if (!ms_gguf_get_string (loader->gguf, "general.type", MS_KEY_OPTIONAL, &kind, error))
    return FALSE;
  if (ms_gguf_has (loader->gguf, "imatrix.chunk_count") || g_strcmp0 (kind, "imatrix") == 0)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                             "is an importance matrix (imatrix): sums of activations that guide "
                             "quantising, %u tensors of them; neither a model nor a trace of "
                             "decisions, so give the model it was made from",
                             ms_gguf_n_tensors (loader->gguf));
  if (kind == NULL || g_str_equal (kind, "model"))
    return TRUE;
  shown = ms_text_printable (kind, -1);
  return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                           "is a GGUF file of type '%s', not a whole model (general.type)", shown);
}

MsPlan *
ms_plan_new (const MsGguf *gguf, GError **error)
{
  g_autoptr (MsPlan) plan = g_new0 (MsPlan, 1);
  g_autoptr (GHashTable) used = g_hash_table_new (NULL, NULL);
  MsLoader loader = { gguf, plan, used };
  const char *architecture = NULL;

  plan->warnings = g_ptr_array_new_with_free_func (g_free);
  plan->rotations = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_rotation_free);
  if (!check_kind (&loader, error))
    return NULL;
  if (!ms_gguf_get_string (gguf, "general.architecture", MS_KEY_REQUIRED, &architecture, error))
    return NULL;
  plan->architecture = find_architecture (&loader, architecture, error);
  if (plan->architecture == NULL || !load (&loader, error))
    return NULL;
  return g_steal_pointer (&plan);
}

static void
clear_table (const MsTensorTable *table, gpointer base, gpointer data)
{
  (void) data;
  ms_tensors_clear (table, base);
}

void
ms_plan_free (MsPlan *plan)
{
  if (plan == NULL)
    return;
  for (guint b = 0; b < plan->n_blocks && plan->blocks != NULL; b++)
    {
      ms_plan_block_each (&plan->blocks[b], clear_table, NULL);
      g_free (plan->blocks[b].mixer_part);
      g_free (plan->blocks[b].networks);
      g_free (plan->blocks[b].chunks);
      g_free (plan->blocks[b].by_token);
    }
  g_free (plan->blocks);
  ms_tensors_clear (&model_table, plan);
  ms_tensors_clear (&ms_streams_model_table, plan);
  g_ptr_array_unref (plan->rotations);
  g_ptr_array_unref (plan->warnings);
  g_free (plan);
}
