/* How a model file routes and who says so: a key, the tensors, the architecture's row of the table, or nobody.
 *
 * What must hold: of a model that can be run, what is told here is what the engine does. */
#include "inspect-private.h"

#include "recipe-private.h"

#include <string.h>

/* --- Routing ---------------------------------------------------------------------------------- */

#define SOURCE_ARCHITECTURE "the architecture"
#define NOT_KNOWN           "not known: no key says it, and the architecture is none that can be run"

/* What the recipe says of a fact whose key may be there: the architecture's value unless a key is heeded. */
static char *
source_of (const MsInspector *inspector, MsTold told, const char *name)
{
  g_autofree char *key = ms_inspector_key (inspector, name);

  if (ms_gguf_has (inspector->gguf, key)
      && (inspector->architecture == NULL || told != MS_TOLD_BY_ARCHITECTURE))
    return g_strconcat ("key ", key, NULL);
  if (inspector->architecture == NULL)
    return g_strdup (NOT_KNOWN);
  if (told == MS_TOLD_BY_NEEDED_KEY)
    return g_strconcat ("not known: ", key, " is missing, and must be there", NULL);
  return told == MS_TOLD_BY_ARCHITECTURE
             ? g_strdup (SOURCE_ARCHITECTURE)
             : g_strconcat ("the architecture's default: there is no ", key, NULL);
}

static gboolean
is_told (const char *source)
{
  return !g_str_has_prefix (source, "not known");
}

/* The gate as the engine reads it, of an architecture that the table has; FALSE: it would refuse. */
static gboolean
load_gate (const MsInspector *inspector, MsGate *gate)
{
  MsPlan plan = { .architecture = inspector->architecture };
  const MsLoader loader = { .gguf = inspector->gguf, .plan = &plan };

  return inspector->architecture != NULL && ms_recipe_load (&loader, gate, NULL);
}

static MsScoring
tell_scoring (MsInspector *inspector)
{
  const MsRecipe *recipe = inspector->architecture ? inspector->architecture->recipe : NULL;
  MsTold told = recipe ? recipe->scoring_told : MS_TOLD_BY_NEEDED_KEY;
  g_autofree char *source = source_of (inspector, told, "expert_gating_func");
  guint number = recipe ? recipe->scoring : MS_SCORING_UNKNOWN;
  MsGate gate = { 0 };

  if (!is_told (source))
    number = MS_SCORING_UNKNOWN;
  else if (load_gate (inspector, &gate))
    {
      if (gate.scoring != recipe->scoring && !g_str_has_prefix (source, "key "))
        {
          g_free (source);
          source = g_strdup ("the architecture: models of so many blocks and words score so");
        }
      number = gate.scoring;
    }
  else if (recipe == NULL || told != MS_TOLD_BY_ARCHITECTURE)
    {
      ms_inspector_number (inspector, "expert_gating_func", &number);
      if (number > MS_SCORING_SQRT_SOFTPLUS)
        {
          ms_inspector_warn (inspector, "%s.expert_gating_func is %u, which means nothing known",
                             inspector->found->architecture, number);
          number = MS_SCORING_UNKNOWN;
        }
    }
  ms_inspector_fact (inspector, MS_FACTS_ROUTING, "scoring",
                     g_variant_new_string (ms_scoring_name ((MsScoring) number)),
                     g_steal_pointer (&source));
  return (MsScoring) number;
}

static void
tell_renormalising (MsInspector *inspector)
{
  const MsRecipe *recipe = inspector->architecture ? inspector->architecture->recipe : NULL;
  MsTold told = recipe ? recipe->renormalise_told : MS_TOLD_BY_NEEDED_KEY;
  g_autofree char *source = source_of (inspector, told, "expert_weights_norm");
  g_autofree char *key = ms_inspector_key (inspector, "expert_weights_norm");
  gboolean renormalise = recipe ? recipe->renormalise : FALSE, told_at_all;

  if (recipe == NULL || told != MS_TOLD_BY_ARCHITECTURE)
    ms_gguf_get_bool (inspector->gguf, key, MS_KEY_OPTIONAL, &renormalise, NULL);
  told_at_all = is_told (source);
  ms_inspector_fact (inspector, MS_FACTS_ROUTING, "renormalised",
                     told_at_all ? g_variant_new_boolean (renormalise)
                                 : g_variant_new_string ("unknown"),
                     g_steal_pointer (&source));
}

/* 0 in the file means that nothing is said. */
static void
tell_scale (MsInspector *inspector)
{
  g_autofree char *key = ms_inspector_key (inspector, "expert_weights_scale");
  float scale = 0;

  if (ms_gguf_get_float (inspector->gguf, key, MS_KEY_REQUIRED, &scale, NULL) && scale != 0)
    ms_inspector_fact (inspector, MS_FACTS_ROUTING, "scale", g_variant_new_double ((double) scale),
                       g_strconcat ("key ", key, NULL));
  else
    ms_inspector_fact (inspector, MS_FACTS_ROUTING, "scale", g_variant_new_double (1),
                       ms_gguf_has (inspector->gguf, key)
                           ? g_strconcat (key, " is 0: not set", NULL)
                           : g_strconcat ("there is no ", key, NULL));
}

typedef gboolean (*BlockHas) (const MsBlockFacts *facts);

static gboolean
has_selection_bias (const MsBlockFacts *facts)
{
  return facts->selection_bias;
}

static gboolean
has_router_bias (const MsBlockFacts *facts)
{
  return facts->router_bias;
}

static gboolean
is_hashed (const MsBlockFacts *facts)
{
  return facts->hashed;
}

/* In how many MoE blocks of the pass. */
static guint
count_having (const MsInspector *inspector, BlockHas has)
{
  guint n = 0;

  for (guint b = 0; b < inspector->n_blocks; b++)
    {
      const MsBlockFacts *facts = &inspector->found->blocks[b];

      n += facts->experts > 0 && !facts->further && has (facts);
    }
  return n;
}

static void
tell_share (MsInspector *inspector, const char *name, const char *tensor, BlockHas has)
{
  guint n = count_having (inspector, has), all = inspector->found->n_moe;

  ms_inspector_fact (
      inspector, MS_FACTS_ROUTING, name,
      n == 0     ? g_variant_new_boolean (FALSE)
      : n == all ? g_variant_new_boolean (TRUE)
                 : g_variant_new_take_string (g_strdup_printf ("in %u of %u layers", n, all)),
      g_strconcat (n > 0 ? "tensors blk.N." : "no tensors blk.N.", tensor, NULL));
}

/* Types of the router matrices, "F32" or "F32, Q8_0 (quantised)". */
static void
tell_router_types (MsInspector *inspector)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *all = NULL;
  gboolean quantised = FALSE;

  for (guint b = 0; b < inspector->n_blocks; b++)
    {
      const MsBlockFacts *facts = &inspector->found->blocks[b];

      quantised |= facts->router_quantised;
      if (facts->router_type != NULL
          && !g_ptr_array_find_with_equal_func (names, facts->router_type, g_str_equal, NULL))
        g_ptr_array_add (names, (gpointer) facts->router_type);
    }
  if (names->len == 0)
    return;
  g_ptr_array_add (names, NULL);
  all = g_strjoinv (", ", (char **) names->pdata);
  ms_inspector_fact (inspector, MS_FACTS_ROUTING, "router_type", g_variant_new_string (all),
                     g_strdup ("tensors blk.N.ffn_gate_inp.weight"));
  if (quantised)
    ms_inspector_warn (
        inspector,
        "router matrices are quantised (%s): near ties they choose other experts than the "
        "original ones",
        all);
}

/* Keys whose absence means a value. */
static void
tell_key_or (MsInspector *inspector, const char *name, const char *key, GVariant *otherwise)
{
  if (ms_inspector_add_key (inspector, MS_FACTS_ROUTING, name, key))
    g_variant_unref (g_variant_ref_sink (otherwise));
  else
    ms_inspector_fact (inspector, MS_FACTS_ROUTING, name, otherwise,
                       g_strdup_printf ("there is no %s.%s", inspector->found->architecture, key));
}

MsScoring
ms_inspector_tell_routing (MsInspector *inspector)
{
  MsScoring scoring;
  guint groups = 0;

  if (!ms_inspector_add_key (inspector, MS_FACTS_ROUTING, "experts", "expert_count"))
    for (guint b = 0; b < inspector->n_blocks; b++)
      if (inspector->found->blocks[b].experts > 0)
        {
          ms_inspector_fact (inspector, MS_FACTS_ROUTING, "experts",
                             g_variant_new_int64 (inspector->found->blocks[b].experts),
                             g_strdup_printf ("tensor blk.%u.ffn_gate_inp.weight", b));
          break;
        }
  ms_inspector_add_key (inspector, MS_FACTS_ROUTING, "experts_per_token", "expert_used_count");
  tell_key_or (inspector, "shared_experts", "expert_shared_count", g_variant_new_int64 (0));
  scoring = tell_scoring (inspector);
  tell_renormalising (inspector);
  tell_scale (inspector);
  tell_key_or (inspector, "groups", "expert_group_count", g_variant_new_int64 (0));
  if (ms_inspector_number (inspector, "expert_group_count", &groups) && groups > 1)
    ms_inspector_add_key (inspector, MS_FACTS_ROUTING, "groups_used", "expert_group_used_count");
  tell_share (inspector, "selection_bias", "exp_probs_b", has_selection_bias);
  tell_share (inspector, "router_bias", "ffn_gate_inp.bias", has_router_bias);
  if (count_having (inspector, is_hashed) > 0)
    tell_share (inspector, "hash_routed", "ffn_gate_tid2eid", is_hashed);
  tell_router_types (inspector);
  return scoring;
}

/* --- Traps ------------------------------------------------------------------------------------ */

/* Architectures whose models choose by scores plus a bias (exp_probs_b). */
static const char *const biased[]
    = { "afmoe",      "bailingmoe2", "bailingmoe3",    "deepseek32", "deepseek4",
        "dots1",      "exaone-moe",  "glm-dsa",        "glm4moe",    "hy_v3",
        "kimi-k3",    "kimi-linear", "laguna",         "lfm2moe",    "mimo2",
        "minimax-m2", "minimax-m3",  "nemotron_h_moe", "step35",     NULL };

void
ms_inspector_check_routing (MsInspector *inspector, MsScoring scoring)
{
  const char *name = inspector->found->architecture;
  guint n_bias = count_having (inspector, has_selection_bias), groups = 0;
  guint all = inspector->found->n_moe, n_hashed = count_having (inspector, is_hashed);
  g_autofree char *scoring_key = ms_inspector_key (inspector, "expert_gating_func");
  gboolean keyed = ms_gguf_has (inspector->gguf, scoring_key);

  if (all == 0)
    return;
  if (inspector->architecture != NULL && !keyed && scoring == MS_SCORING_SOFTMAX && n_bias > 0
      && inspector->architecture->recipe->scoring_told == MS_TOLD_BY_KEY)
    ms_inspector_warn (
        inspector,
        "%s is missing, and the file has selection biases (exp_probs_b) as sigmoid models have: "
        "it is run as softmax, plausibly and perhaps wrongly; convert the model anew",
        scoring_key);
  if (n_bias == 0
      && (g_strv_contains (biased, name)
          || (strcmp (name, "deepseek2") == 0 && scoring == MS_SCORING_SIGMOID)))
    ms_inspector_warn (
        inspector,
        "no selection bias (blk.N.exp_probs_b) is in the file, though models of architecture %s "
        "have one: it chooses other experts than the original; convert the model anew",
        name);
  else if (n_bias > 0 && n_bias < all - n_hashed)
    ms_inspector_warn (inspector,
                       "a selection bias (blk.N.exp_probs_b) is in %u of %u MoE layers only",
                       n_bias, all);
  if (ms_inspector_number (inspector, "expert_group_count", &groups) && groups > 1
      && scoring == MS_SCORING_SOFTMAX && g_str_has_prefix (name, "deepseek2"))
    ms_inspector_warn (inspector,
                       "experts are chosen within groups by the sum of a group's two best scores; "
                       "DeepSeek-V2 itself took a group's best score");
  if (n_hashed > 0)
    ms_inspector_warn (
        inspector,
        "%u of %u MoE layers take their experts from a table of token ids (ffn_gate_tid2eid): "
        "their routers weigh, but do not choose",
        n_hashed, all);
  if (strcmp (name, "grovemoe") == 0)
    ms_inspector_warn (
        inspector, "each layer has two sets of experts, the second (ffn_*_chexps) shared by groups "
                   "of the first: engines record two decisions per layer under one name");
  for (guint b = 0; b < inspector->n_blocks; b++)
    if (inspector->found->blocks[b].experts > 0
        && inspector->found->blocks[b].k == inspector->found->blocks[b].experts)
      {
        ms_inspector_warn (inspector,
                           "each token uses all %u experts of block %u: nothing is chosen there",
                           inspector->found->blocks[b].experts, b);
        break;
      }
}
