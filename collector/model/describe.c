/* The model as it is stored with a run: what `moescope info` shows. */
#include "mixer-private.h"

#include "feed-forward-private.h"

#include <string.h>

void
ms_mixer_add_fact (JsonBuilder *details, const char *name, guint value)
{
  json_builder_set_member_name (details, name);
  json_builder_add_int_value (details, value);
}

static void
add_number (JsonBuilder *builder, const char *name, gint64 value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_int_value (builder, value);
}

static void
add_text (JsonBuilder *builder, const char *name, const char *text)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_string_value (builder, text);
}

/* "yes", "no", or of how many of the MoE layers. */
static void
add_share (JsonBuilder *builder, const char *name, guint n, guint n_moe)
{
  g_autofree char *text = n == 0       ? g_strdup ("no")
                          : n == n_moe ? g_strdup ("yes")
                                       : g_strdup_printf ("in %u of %u layers", n, n_moe);

  add_text (builder, name, text);
}

/* What decides the routing: the types of the router matrices, and which biases there are. */
static void
describe_routers (const MsPlan *plan, JsonBuilder *builder)
{
  g_autoptr (GString) types = g_string_new (NULL);
  guint n_bias = 0, n_selection = 0, n_quantised = 0, n_hashed = 0;

  for (guint b = 0; b < plan->n_blocks; b++)
    {
      const MsPlanBlock *block = &plan->blocks[b];
      const MsTensorType *type = block->is_moe ? block->logits.tensor->type : NULL;

      if (type == NULL)
        continue;
      n_bias += block->router_bias != NULL;
      n_selection += block->selection_bias != NULL;
      n_quantised += type->block_values > 1;
      n_hashed += block->by_token != NULL;
      if (strstr (types->str, type->name) == NULL)
        g_string_append_printf (types, "%s%s", types->len > 0 ? ", " : "", type->name);
    }
  if (n_quantised > 0)
    g_string_append (types, " (quantised)");
  add_text (builder, "router_type", types->str);
  add_share (builder, "router_bias", n_bias, plan->n_moe);
  add_share (builder, "selection_bias", n_selection, plan->n_moe);
  if (n_hashed > 0)
    add_share (builder, "chosen_by_token", n_hashed, plan->n_moe);
}

/* Each kind of mixer once, by the last block that has it. */
static void
describe_mixers (const MsPlan *plan, JsonBuilder *builder)
{
  const MsMixer *const *mixers = plan->architecture->mixers;

  for (guint i = 0; mixers[i] != NULL; i++)
    for (guint b = plan->n_blocks; b-- > 0;)
      if (plan->blocks[b].mixer == mixers[i])
        {
          mixers[i]->describe (plan->blocks[b].mixer_part, builder);
          break;
        }
}

static char *
describe_details (const MsPlan *plan, const MsGguf *gguf)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  const MsPlanBlock *block = &plan->blocks[plan->last_moe];

  json_builder_begin_object (builder);
  add_number (builder, "vocabulary", plan->vocabulary);
  if (plan->context > 0)
    add_number (builder, "context_length", plan->context);
  describe_mixers (plan, builder);
  add_number (builder, "expert_width", block->networks[0].up.n_rows);
  add_number (builder, "shared_width", block->shared.up.n_rows);
  add_number (builder, "tensors", ms_gguf_n_tensors (gguf));
  json_builder_set_member_name (builder, "expert_type");
  json_builder_add_string_value (builder, block->networks[0].up.tensor->type->name);
  describe_routers (plan, builder);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  json_generator_set_root (generator, root);
  return json_generator_to_data (generator, NULL);
}

MsModel *
ms_plan_model (const MsPlan *plan, const MsGguf *gguf, const char *path)
{
  const MsPlanBlock *block = &plan->blocks[plan->last_moe];
  MsModel *model = g_new0 (MsModel, 1);
  const char *name = NULL;
  guint32 shared = block->shared.up.tensor != NULL ? 1 : 0;
  g_autofree char *shared_key
      = g_strconcat (plan->architecture->name, ".expert_shared_count", NULL);

  ms_gguf_get_string (gguf, "general.name", MS_KEY_OPTIONAL, &name, NULL);
  if (shared > 0)
    ms_gguf_get_u32 (gguf, shared_key, MS_KEY_OPTIONAL, &shared, NULL);
  model->name = name != NULL && *name != '\0' ? g_strdup (name) : g_path_get_basename (path);
  model->architecture = g_strdup (plan->architecture->name);
  model->fingerprint = ms_gguf_fingerprint (gguf);
  model->details = describe_details (plan, gguf);
  model->n_blocks = plan->n_blocks;
  model->n_shared = shared;
  model->width = plan->width;
  model->expert_bytes = ms_tensors_bytes (&block->feed_forward->tensors, block->networks);
  model->layers = g_new0 (MsLayer, plan->n_moe);
  for (guint b = 0; b < plan->n_blocks; b++)
    if (plan->blocks[b].is_moe)
      {
        MsGate gate = plan->blocks[b].gate;

        /* The model outlives the plan. */
        if (gate.selection_bias != NULL)
          gate.selection_bias
              = g_memdup2 (gate.selection_bias, gate.n_experts * sizeof *gate.selection_bias);
        model->layers[model->n_layers++]
            = (MsLayer){ .number = (int) b, .block = (int) b, .gate = gate };
      }
  return model;
}
