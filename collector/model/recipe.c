/* How a model routes: the architecture's recipe, then what the file's keys say.
 *
 * What must hold: a key that contradicts what the architecture fixes is never followed in silence. */
#include "recipe-private.h"

static const char *const scorings[] = {
  [MS_SCORING_SOFTMAX] = "softmax",
  [MS_SCORING_SIGMOID] = "sigmoid",
  [MS_SCORING_SELECTED] = "softmax of the chosen",
  [MS_SCORING_SQRT_SOFTPLUS] = "square root of softplus",
  [MS_SCORING_SIGMOID_SELECTED] = "sigmoid of the chosen",
};

/* Whether the model is one of those that score by sigmoid and whose files do not say so. */
static gboolean
is_silent_sigmoid (const MsLoader *loader)
{
  const MsRecipe *recipe = loader->plan->architecture->recipe;
  const MsTensor *embedding = ms_gguf_find (loader->gguf, "token_embd.weight");
  guint32 blocks = 0;

  return recipe->sigmoid_vocabulary > 0 && embedding != NULL
         && embedding->ne[1] == recipe->sigmoid_vocabulary
         && ms_loader_u32 (loader, "block_count", MS_KEY_OPTIONAL, &blocks, NULL)
         && blocks >= recipe->sigmoid_least_blocks && blocks <= recipe->sigmoid_most_blocks;
}

static gboolean
load_scoring (const MsLoader *loader, MsGate *gate, GError **error)
{
  const MsArchitecture *architecture = loader->plan->architecture;
  const MsRecipe *recipe = architecture->recipe;
  guint32 scoring = is_silent_sigmoid (loader) ? MS_SCORING_SIGMOID : recipe->scoring;
  MsKeyNeed need
      = recipe->scoring_told == MS_TOLD_BY_NEEDED_KEY ? MS_KEY_REQUIRED : MS_KEY_OPTIONAL;

  if (!ms_loader_u32 (loader, "expert_gating_func", need, &scoring, error))
    return FALSE;
  if (recipe->scoring_told == MS_TOLD_BY_ARCHITECTURE)
    {
      if (recipe->scoring == MS_SCORING_SIGMOID_SELECTED && scoring == MS_SCORING_SIGMOID)
        scoring = recipe->scoring; /* which files cannot tell apart */
      if (scoring != recipe->scoring && scoring != 0)
        return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                                 "%s.expert_gating_func is %u, but models of this architecture "
                                 "route by %s (%u)",
                                 architecture->name, scoring, scorings[recipe->scoring],
                                 recipe->scoring);
      scoring = recipe->scoring;
    }
  else if (recipe->scoring == MS_SCORING_SQRT_SOFTPLUS
               ? scoring != MS_SCORING_SQRT_SOFTPLUS
               : scoring != MS_SCORING_SOFTMAX && scoring != MS_SCORING_SIGMOID)
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error, "%s.expert_gating_func is %u; %s can be run",
        architecture->name, scoring,
        recipe->scoring == MS_SCORING_SQRT_SOFTPLUS ? "square root of softplus (4)"
                                                    : "softmax (1) and sigmoid (2)");
  gate->scoring = (MsScoring) scoring;
  return TRUE;
}

gboolean
ms_recipe_load (const MsLoader *loader, MsGate *gate, GError **error)
{
  const MsArchitecture *architecture = loader->plan->architecture;
  const MsRecipe *recipe = architecture->recipe;
  guint32 n_experts = 0, k = 0, groups = 0, groups_used = 0;
  gboolean renormalise = recipe->renormalise;
  MsKeyNeed need
      = recipe->renormalise_told == MS_TOLD_BY_NEEDED_KEY ? MS_KEY_REQUIRED : MS_KEY_OPTIONAL;
  g_autofree char *norm_key = ms_loader_key (loader, "expert_weights_norm");
  float scale = 0;

  if (!ms_loader_u32 (loader, "expert_count", MS_KEY_REQUIRED, &n_experts, error)
      || !ms_loader_u32 (loader, "expert_used_count", MS_KEY_REQUIRED, &k, error)
      || (recipe->renormalise_told != MS_TOLD_BY_ARCHITECTURE
          && !ms_gguf_get_bool (loader->gguf, norm_key, need, &renormalise, error))
      || !ms_loader_u32 (loader, "expert_group_count", MS_KEY_OPTIONAL, &groups, error)
      || !ms_loader_u32 (loader, "expert_group_used_count", MS_KEY_OPTIONAL, &groups_used, error)
      || !ms_loader_float (loader, "expert_weights_scale", MS_KEY_OPTIONAL, &scale, error))
    return FALSE;
  if (n_experts == 0)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                             "%s.expert_count is 0: this is no Mixture-of-Experts model, it routes "
                             "nothing",
                             architecture->name);
  if (n_experts > MS_MAX_EXPERTS || k == 0 || k > n_experts)
    return ms_loader_refuse (
        loader, MS_COLLECTOR_ERROR_CORRUPT, error,
        "%s.expert_used_count is %u of %u experts; 1 to all of at most %u can be chosen",
        architecture->name, k, n_experts, MS_MAX_EXPERTS);
  if (groups > 1
      && (n_experts % groups != 0 || groups_used == 0 || groups_used > groups
          || (guint64) groups_used * (n_experts / groups) < k))
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s.expert_group_count %u, expert_group_used_count %u: cannot choose "
                             "%u of %u experts so",
                             architecture->name, groups, groups_used, k, n_experts);
  *gate = (MsGate){ .n_experts = n_experts,
                    .k = k,
                    .groups = groups > 1 ? groups : 0,
                    .groups_used = groups_used,
                    .renormalise = renormalise,
                    .scale = scale == 0 ? 1 : scale };
  return load_scoring (loader, gate, error);
}

void
ms_recipe_warn (const MsLoader *loader)
{
  const MsRecipe *recipe = loader->plan->architecture->recipe;
  g_autofree char *norm_key = ms_loader_key (loader, "expert_weights_norm");
  gboolean renormalise = recipe->renormalise;

  if (recipe->renormalise_told == MS_TOLD_BY_ARCHITECTURE
      && ms_gguf_get_bool (loader->gguf, norm_key, MS_KEY_OPTIONAL, &renormalise, NULL)
      && !renormalise != !recipe->renormalise)
    ms_loader_warn (
        loader, "%s is %s, but models of this architecture %s the weights of the chosen experts",
        norm_key, renormalise ? "true" : "false", renormalise ? "do not normalise" : "normalise");
}
