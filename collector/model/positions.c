/* Rotary positions (Su et al. 2021).  What must hold: a rotation's angles depend on the position within
 * the document alone, and blocks with equal rotations share one, so that their angles are computed once
 * per wave. */
#include "positions-private.h"

#include <math.h>
#include <string.h>

/* Sizes of the divisors: one per pair of the widest rotation; others take the first. */
enum
{
  SIZE_PAIRS = MS_SIZE_ONE + 1,
};

/* For documents of any length, or for those within the original context and those beyond it (LongRoPE, Ding
 * et al. 2024). */
typedef struct
{
  float *any, *within, *beyond; /* (pairs) or NULL */
} Divisors;

static const MsTensorRule divisor_rules[] = {
  { .name = "rope_freqs.weight",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_PAIRS },
    .taken = MS_ALWAYS,
    .offset = G_STRUCT_OFFSET (Divisors, any) },
  { .name = "rope_factors_short.weight",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_PAIRS },
    .required = MS_ROPE_BY_LENGTH,
    .offset = G_STRUCT_OFFSET (Divisors, within) },
  { .name = "rope_factors_long.weight",
    .form = MS_FORM_VECTOR,
    .shape = { SIZE_PAIRS },
    .required = MS_ROPE_BY_LENGTH,
    .offset = G_STRUCT_OFFSET (Divisors, beyond) },
};
static const MsTensorTable divisor_table = { divisor_rules, G_N_ELEMENTS (divisor_rules) };

/* What the keys say. */
typedef struct
{
  guint32 n, most,
      context; /* values of a head that turn, most in any block; original context length */
  float base, factor, magnitude;
  gboolean yarn, flat;
  float mix, fast, slow; /* of YaRN */
  float log_multiplier;  /* 0: not set */
} Keys;

/* Where YaRN passes from one kind of angle to the other: the pair that turns `turns` times within the
 * original context.  (Peng et al. 2023) */
static double
yarn_pair (guint n, double context, double turns, double base)
{
  return n * log (context / (turns * 2 * G_PI)) / (2 * log (base));
}

/* How many values of a head turn in this block. */
static gboolean
read_turned (const MsLoader *loader, gboolean windowed, Keys *k, GError **error)
{
  guint32 in_windows;

  if (!ms_loader_u32 (loader, "rope.dimension_count", MS_KEY_OPTIONAL, &k->n, error))
    return FALSE;
  in_windows = k->n;
  if (!ms_loader_u32 (loader, "rope.dimension_count_swa", MS_KEY_OPTIONAL, &in_windows, error))
    return FALSE;
  k->most = MAX (k->n, in_windows);
  if (windowed)
    k->n = in_windows;
  else if ((loader->plan->architecture->switches & MS_ROPE_HALF) != 0)
    k->n /= 2;
  return TRUE;
}

/* Whether divisors go by the length of a document. */
static gboolean
has_factors (const MsLoader *loader)
{
  return ms_gguf_find (loader->gguf, "rope_factors_long.weight") != NULL
         || ms_gguf_find (loader->gguf, "rope_factors_short.weight") != NULL;
}

/* `windows`: of the architecture, in blocks that attend within one; otherwise NULL. */
static gboolean
read_keys (const MsLoader *loader, guint head_width, const MsWindows *windows, Keys *k,
           GError **error)
{
  g_autofree char *type_key = ms_loader_key (loader, "rope.scaling.type");
  const char *type = "linear";
  const struct
  {
    const char *name;
    float *value;
  } floats[] = { { "rope.freq_base", &k->base },
                 { "rope.scale_linear", &k->factor },
                 { "rope.scaling.factor", &k->factor },
                 { "rope.scaling.attn_factor", &k->magnitude },
                 { "rope.scaling.yarn_attn_factor", &k->magnitude },
                 { "rope.scaling.yarn_ext_factor", &k->mix },
                 { "rope.scaling.yarn_beta_fast", &k->fast },
                 { "rope.scaling.yarn_beta_slow", &k->slow },
                 { "rope.scaling.yarn_log_multiplier", &k->log_multiplier } };
  MsSwitches switches = loader->plan->architecture->switches;
  const MsWindows *own = loader->plan->architecture->windows;

  *k = (Keys){ .n = head_width, .base = 10000, .magnitude = 1, .mix = 1, .fast = 32, .slow = 1 };
  if (loader->plan->architecture->yarn_fast > 0)
    k->fast = loader->plan->architecture->yarn_fast;
  for (guint i = 0; i < G_N_ELEMENTS (floats); i++)
    if (!ms_loader_float (loader, floats[i].name, MS_KEY_OPTIONAL, floats[i].value, error))
      return FALSE;
  if (windows != NULL && windows->rope_base > 0)
    k->base = windows->rope_base;
  if (windows == NULL && own != NULL && own->whole_base_key != NULL
      && !ms_loader_float (loader, own->whole_base_key, MS_KEY_REQUIRED, &k->base, error))
    return FALSE;
  if (windows != NULL
      && !ms_loader_float (loader, "rope.freq_base_swa", MS_KEY_OPTIONAL, &k->base, error))
    return FALSE;
  if (!read_turned (loader, windows != NULL, k, error)
      || !ms_gguf_get_string (loader->gguf, type_key, MS_KEY_OPTIONAL, &type, error)
      || !ms_loader_u32 (loader, "context_length", MS_KEY_OPTIONAL, &k->context, error)
      || !ms_loader_u32 (loader, "rope.scaling.original_context_length", MS_KEY_OPTIONAL,
                         &k->context, error))
    return FALSE;
  k->yarn = strcmp (type, "yarn") == 0;
  if (!k->yarn && strcmp (type, "linear") != 0 && strcmp (type, "none") != 0
      && !(strcmp (type, "longrope") == 0 && has_factors (loader)))
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                             "%s is '%s'; none, linear, yarn and, with tensors rope_factors_long "
                             "and _short, longrope can be run",
                             type_key, type);
  if (k->n == 0 || k->n % 2 != 0 || k->n > head_width)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s.rope.dimension_count is %u with heads of %u; an even number up to "
                             "that is expected",
                             loader->plan->architecture->name, k->n, head_width);
  if (!(k->base > 1) || !(k->factor >= 0) || !isfinite (k->base) || !isfinite (k->factor)
      || (k->yarn && (k->context == 0 || !(k->fast > 0) || !(k->slow > 0))))
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s.rope.*: base %g, factor %g, original context %u, beta %g and %g "
                             "are no rotary positions",
                             loader->plan->architecture->name, (double) k->base, (double) k->factor,
                             k->context, (double) k->fast, (double) k->slow);
  k->factor = k->factor == 0 || strcmp (type, "none") == 0 ? 1 : k->factor;
  if (windows != NULL && windows->plain_rope)
    k->factor = k->magnitude = 1;
  k->yarn = k->yarn && k->factor != 1;
  k->log_multiplier *= (switches & MS_YARN_LOG) == 0 ? 0 : (switches & MS_YARN_TENTHS) ? 10 : 1;
  k->flat = (switches & MS_YARN_FLAT) != 0
            || ((switches & MS_YARN_LEVEL) != 0 && k->log_multiplier != 0);
  return TRUE;
}

/* What YaRN multiplies by, `weight` times its logarithm. */
static float
yarn_magnitude (const Keys *k, float weight)
{
  return k->factor > 1 ? 1 + 0.1f * weight * logf (k->factor) : 1;
}

static MsRotation *
make_rotation (const Keys *k, const float *divisors)
{
  MsRotation *rotation = g_new0 (MsRotation, 1);
  guint n = k->n;

  rotation->n_pairs = n / 2;
  rotation->step = g_new (double, n / 2);
  for (guint i = 0; i < n / 2; i++)
    {
      double free_step
          = pow (k->base, -2.0 * i / n) / (divisors != NULL ? (double) divisors[i] : 1.0);
      double low = MAX (floor (yarn_pair (n, k->context, k->fast, k->base)), 0);
      double high = MIN (ceil (yarn_pair (n, k->context, k->slow, k->base)), n - 1);
      double ramp = CLAMP ((i - low) / MAX (0.001, high - low), 0, 1);
      double kept = k->yarn ? (1 - ramp) * (double) k->mix : 0;

      rotation->step[i] = free_step / (double) k->factor * (1 - kept) + free_step * kept;
    }
  rotation->magnitude = k->magnitude;
  if (k->yarn && k->mix != 0 && !k->flat)
    rotation->magnitude *= yarn_magnitude (k, 1) / yarn_magnitude (k, k->log_multiplier);
  return rotation;
}

/* The plan's rotation equal to `rotation`, which is taken in when there is none. */
static const MsRotation *
keep_once (MsPlan *plan, MsRotation *rotation)
{
  for (guint i = 0; i < plan->rotations->len; i++)
    {
      const MsRotation *other = g_ptr_array_index (plan->rotations, i);

      if (other->n_pairs == rotation->n_pairs && other->halves == rotation->halves
          && other->magnitude == rotation->magnitude && other->longer == rotation->longer
          && other->longest == rotation->longest
          && memcmp (other->step, rotation->step, rotation->n_pairs * sizeof (double)) == 0)
        {
          ms_rotation_free (rotation);
          return other;
        }
    }
  rotation->index = plan->rotations->len;
  g_ptr_array_add (plan->rotations, rotation);
  return rotation;
}

/* One for all documents, or one that hands the long ones on to another. */
static const MsRotation *
make_rotations (MsPlan *plan, const Keys *keys, gboolean halves, const Divisors *divisors)
{
  gboolean by_length = divisors->any == NULL && divisors->within != NULL;
  MsRotation *rotation = make_rotation (keys, by_length ? divisors->within : divisors->any);

  rotation->halves = halves;
  if (by_length && keys->context > 0)
    {
      MsRotation *longer = make_rotation (keys, divisors->beyond);

      longer->halves = halves;
      rotation->longer = keep_once (plan, longer);
      rotation->longest = keys->context;
    }
  return keep_once (plan, rotation);
}

gboolean
ms_rotation_load (MsLoader *loader, guint head_width, gboolean windowed,
                  const MsRotation **rotation, GError **error)
{
  MsRope rope = loader->plan->architecture->rope;
  const MsWindows *windows = windowed ? loader->plan->architecture->windows : NULL;
  Keys keys;
  gboolean finetuned = TRUE;
  g_autofree char *finetuned_key = ms_loader_key (loader, "rope.scaling.finetuned");
  gint64 sizes[] = { 1, 0 };
  const MsTensorPlace place
      = { .block = -1, .sizes = sizes, .switches = has_factors (loader) ? MS_ROPE_BY_LENGTH : 0 };
  Divisors divisors = { 0 };
  gboolean loaded;

  *rotation = NULL;
  if (!ms_gguf_get_bool (loader->gguf, finetuned_key, MS_KEY_OPTIONAL, &finetuned, error))
    return FALSE;
  if (rope == MS_ROPE_NONE
      || (!finetuned && (loader->plan->architecture->switches & MS_ROPE_IF_FINETUNED) != 0))
    return TRUE;
  if (!read_keys (loader, head_width, windows, &keys, error))
    return FALSE;
  sizes[SIZE_PAIRS] = keys.most / 2;
  loaded = (windows != NULL && windows->plain_rope)
           || ms_tensors_load (loader, &divisor_table, &place, &divisors, error);
  if (loaded)
    *rotation = make_rotations (loader->plan, &keys, rope == MS_ROPE_HALVES, &divisors);
  ms_tensors_clear (&divisor_table, &divisors);
  return loaded;
}

gboolean
ms_rotation_score_scale (const MsLoader *loader, guint head_width, float *scale, GError **error)
{
  Keys keys;

  if (!read_keys (loader, head_width, NULL, &keys, error))
    return FALSE;
  *scale = keys.yarn ? yarn_magnitude (&keys, keys.log_multiplier) : 1;
  *scale *= *scale;
  return TRUE;
}

void
ms_rotation_free (MsRotation *rotation)
{
  g_free (rotation->step);
  g_free (rotation);
}

float
ms_temperature (const MsTemperature *temperature, gsize p)
{
  double chunks = floor (((double) p + (double) temperature->offset) / temperature->length);

  return 1 + temperature->scale * (float) log (chunks + 1);
}

void
ms_rotation_angles (const MsRotation *rotation, gsize p, float *cosines, float *sines)
{
  for (guint i = 0; i < rotation->n_pairs; i++)
    {
      double angle = (double) p * rotation->step[i];

      cosines[i] = (float) cos (angle) * rotation->magnitude;
      sines[i] = (float) sin (angle) * rotation->magnitude;
    }
}
