/* Keys that scale or cap: read where the architecture honours them, refused where it does not.
 *
 * What must hold: a key that would change the result and that nobody applies is refused by name. */
#include "scales-private.h"

#include <math.h>

/* Who honours a key by reading it himself. */
#define BY_OTHERS G_MAXSIZE

static const struct
{
  const char *name;    /* without "ARCHITECTURE." */
  MsSwitches honoured; /* by architectures that have one of these */
  gsize offset;        /* in MsScales, or BY_OTHERS */
} keys[] = {
  { "embedding_scale", MS_EMBEDDING_SCALE, G_STRUCT_OFFSET (MsScales, embedding) },
  { "residual_scale", MS_RESIDUAL_SCALE, G_STRUCT_OFFSET (MsScales, residual) },
  { "attention.scale", MS_ATTENTION_SCALE, G_STRUCT_OFFSET (MsScales, attention) },
  { "logit_scale", MS_LOGIT_SCALE | MS_LOGITS_DIVIDED, G_STRUCT_OFFSET (MsScales, logits) },
  { "final_logit_softcapping", MS_LOGIT_CAP, G_STRUCT_OFFSET (MsScales, logit_cap) },
  { "attention.clamp_kqv", MS_CLAMP_QKV, G_STRUCT_OFFSET (MsScales, clamp) },
  { "attention.temperature_scale", MS_LATENT_TEMPERATURE, BY_OTHERS },
  { "attention.value_scale", MS_VALUE_SCALE, BY_OTHERS },
  { "attention.output_scale", MS_SCORES_CAPPED, G_STRUCT_OFFSET (MsScales, attention) },
  { "attn_logit_softcapping", MS_SCORES_CAPPED, G_STRUCT_OFFSET (MsScales, score_cap) },
  { "rope.scaling.yarn_log_multiplier", MS_YARN_LOG, BY_OTHERS },
};

/* Keys of models with capped scores that would change the result and that llama.cpp, which set the reference,
 * reads without applying. */
static const char *const unapplied[]
    = { "router_logit_softcapping", "attention.temperature_length" };

static void
warn_of_unapplied (const MsLoader *loader)
{
  gboolean capped = (loader->plan->architecture->switches & MS_SCORES_CAPPED) != 0;

  for (guint i = 0; i < G_N_ELEMENTS (unapplied) && capped; i++)
    {
      g_autofree char *key = ms_loader_key (loader, unapplied[i]);

      if (ms_gguf_has (loader->gguf, key))
        ms_loader_warn (loader, "%s is not applied, as llama.cpp does not", key);
    }
}

gboolean
ms_scales_load (MsLoader *loader, GError **error)
{
  MsPlan *plan = loader->plan;
  const MsArchitecture *architecture = plan->architecture;
  MsScales *scales = &plan->scales;

  *scales = architecture->scales;
  if (architecture->embedding_by_root != 0)
    scales->embedding = architecture->embedding_by_root * sqrtf ((float) plan->width);
  if (architecture->residual_by_depth != 0)
    scales->residual = architecture->residual_by_depth / sqrtf ((float) plan->n_blocks);
  if (architecture->logits_by_width != 0)
    scales->logits = architecture->logits_by_width / (float) plan->width;
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *key = ms_loader_key (loader, keys[i].name);
      float value = 0;

      if (!ms_gguf_get_float (loader->gguf, key, MS_KEY_OPTIONAL, &value, error))
        return FALSE;
      if (value == 0)
        continue;
      if (!isfinite (value))
        return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error, "%s is %g", key,
                                 (double) value);
      if ((architecture->switches & keys[i].honoured) == 0
          && !(architecture->keeps_norm && keys[i].honoured == MS_RESIDUAL_SCALE))
        return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                                 "%s is set (%g), which cannot be honoured for this architecture",
                                 key, (double) value);
      if (keys[i].offset != BY_OTHERS)
        *(float *) (gpointer) ((guint8 *) scales + keys[i].offset)
            = (architecture->switches & keys[i].honoured & MS_LOGITS_DIVIDED) != 0 ? 1 / value
                                                                                   : value;
    }
  if (architecture->keeps_norm)
    {
      if (!ms_loader_float (loader, "residual_scale", MS_KEY_REQUIRED, &scales->kept, error))
        return FALSE;
      scales->residual = 0;
    }
  plan->head.scale = scales->logits;
  plan->head.cap = scales->logit_cap;
  warn_of_unapplied (loader);
  return TRUE;
}
