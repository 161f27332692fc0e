/* Models for tests, put together piece by piece. */
#include "loose-model.h"

#include "base.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* Norms lie around 1; rates are negative, as -exp (A_log) is; steps are small, so that states last for hundreds
 * of tokens. */
float *
loose_values (const char *name, gsize n)
{
  guint64 seed = g_str_hash (name);
  float *values = g_new (float, n);

  ms_random_next (&seed);
  for (gsize i = 0; i < n; i++)
    {
      double x = ms_random_double (&seed);

      values[i] = (float) (g_str_has_suffix (name, "ssm_a")         ? -0.1 - 2 * x
                           : g_str_has_suffix (name, "ssm_dt.bias") ? -6 + 5 * x
                           : strstr (name, "norm.weight") != NULL   ? 0.5 + x
                                                                    : (2 * x - 1) / 3);
    }
  return values;
}

void
loose_model_init (LooseModel *model, const char *architecture, const LooseFault *fault)
{
  g_autofree char *epsilon = g_strconcat (architecture, ".attention.layer_norm_rms_epsilon", NULL);

  *model = (LooseModel){ .architecture = architecture, .writer = gguf_writer_new () };
  if (fault != NULL)
    model->fault = *fault;
  model->folder = g_dir_make_tmp ("moescope-XXXXXX", NULL);
  model->path = g_build_filename (model->folder, "loose.gguf", NULL);
  gguf_add_string (model->writer, "general.architecture", architecture);
  gguf_add_float (model->writer, epsilon, LOOSE_EPSILON);
}

void
loose_model_clear (LooseModel *model)
{
  ms_plan_free (model->plan);
  ms_gguf_close (model->gguf);
  gguf_writer_free (model->writer);
  g_unlink (model->path);
  g_rmdir (model->folder);
  g_free (model->path);
  g_free (model->folder);
}

static char *
full_key (const LooseModel *model, const char *key)
{
  return g_strconcat (model->architecture, ".", key, NULL);
}

void
loose_model_u32 (LooseModel *model, const char *key, guint32 value)
{
  g_autofree char *full = full_key (model, key);

  gguf_add_u32 (model->writer, full, value);
}

void
loose_model_float (LooseModel *model, const char *key, float value)
{
  g_autofree char *full = full_key (model, key);

  gguf_add_float (model->writer, full, value);
}

void
loose_model_bool (LooseModel *model, const char *key, gboolean value)
{
  g_autofree char *full = full_key (model, key);

  gguf_add_bool (model->writer, full, value);
}

void
loose_model_i32s (LooseModel *model, const char *key, const gint32 *values, gsize n)
{
  g_autofree char *full = full_key (model, key);

  gguf_add_i32s (model->writer, full, values, n);
}

static gboolean
is_meant (const LooseFault *fault, const char *tensor)
{
  g_autofree char *name = g_strdup_printf ("blk.0.%s", fault->name);
  g_autofree char *of_norm = g_strconcat (name, ".weight", NULL);

  return fault->name != NULL && (strcmp (tensor, name) == 0 || strcmp (tensor, of_norm) == 0);
}

void
loose_model_add (LooseModel *model, const char *name, gint64 ne0, gint64 ne1, gint64 ne2)
{
  g_autofree float *values = NULL;

  if (is_meant (&model->fault, name))
    {
      if (model->fault.missing)
        return;
      if (ne1 > 0)
        ne1++;
      else
        ne0++;
    }
  values = loose_values (name, (gsize) (ne0 * MAX (ne1, 1) * MAX (ne2, 1)));
  gguf_add_f32 (model->writer, name, ne0, ne1, ne2, values);
}

gboolean
loose_model_load (LooseModel *model, GError **error)
{
  gguf_writer_save (model->writer, model->path);
  model->gguf = ms_gguf_open (model->path, error);
  model->plan = model->gguf != NULL ? ms_plan_new (model->gguf, error) : NULL;
  return model->plan != NULL;
}

/* Values of a tensor, made once. */
static const float *
remembered (const char *name, gsize n)
{
  static GHashTable *tensors; /* of GArray of float */
  GArray *values;

  if (tensors == NULL)
    tensors
        = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_array_unref);
  values = g_hash_table_lookup (tensors, name);
  if (values == NULL || values->len < n)
    {
      g_autofree float *made = loose_values (name, n);

      values = g_array_new (FALSE, FALSE, sizeof (float));
      g_array_append_vals (values, made, (guint) n);
      g_hash_table_insert (tensors, g_strdup (name), values);
    }
  return (const float *) (gconstpointer) values->data;
}

void
loose_apply (const char *name, guint first_row, const double *x, guint n_in, guint n_out,
             double *out)
{
  const float *w = remembered (name, (gsize) n_in * (first_row + n_out));

  for (guint i = 0; i < n_out; i++)
    {
      out[i] = 0;
      for (guint j = 0; j < n_in; j++)
        out[i] += (double) w[(first_row + i) * n_in + j] * x[j];
    }
}

void
loose_norm (const char *name, guint first, guint n, double *x)
{
  const float *weight = remembered (name, first + n);
  double squares = 0;

  for (guint i = 0; i < n; i++)
    squares += x[i] * x[i];
  for (guint i = 0; i < n; i++)
    x[i] *= (double) weight[first + i] / sqrt (squares / n + (double) LOOSE_EPSILON);
}
