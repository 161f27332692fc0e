/* Loops over the tables of tensors (tensors-private.h), and the keys that kinds read while loading.
 *
 * What must hold: whatever is taken from the file is entered in loader->used, since the plan warns of
 * the tensors that nobody took; matrices stay in the file, vectors are the struct's own. */
#include "tensors-private.h"

#include "norm-private.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- Keys ------------------------------------------------------------------------------------ */

char *
ms_loader_key (const MsLoader *loader, const char *name)
{
  return g_strconcat (loader->plan->architecture->name, ".", name, NULL);
}

gboolean
ms_loader_u32 (const MsLoader *loader, const char *name, MsKeyNeed need, guint32 *value,
               GError **error)
{
  g_autofree char *key = ms_loader_key (loader, name);

  return ms_gguf_get_u32 (loader->gguf, key, need, value, error);
}

gboolean
ms_loader_float (const MsLoader *loader, const char *name, MsKeyNeed need, float *value,
                 GError **error)
{
  g_autofree char *key = ms_loader_key (loader, name);

  return ms_gguf_get_float (loader->gguf, key, need, value, error);
}

gboolean
ms_loader_of_block (const MsLoader *loader, const char *name, MsKeyNeed need, guint block,
                    gint32 *value, GError **error)
{
  guint n = loader->plan->n_blocks;
  g_autofree char *key = ms_loader_key (loader, name);
  g_autofree gint32 *values = g_new (gint32, n);

  for (guint b = 0; b < n; b++)
    values[b] = *value;
  if (!ms_gguf_get_per_layer (loader->gguf, key, need, n, values, error))
    return FALSE;
  *value = values[block];
  return TRUE;
}

gboolean
ms_loader_float_of_block (const MsLoader *loader, const char *name, guint block, float *value,
                          GError **error)
{
  g_autofree char *key = ms_loader_key (loader, name);
  g_autofree float *values = NULL;
  gsize n = 0;

  if (!ms_gguf_has (loader->gguf, key)
      || ms_gguf_get_float (loader->gguf, key, MS_KEY_REQUIRED, value, NULL))
    return TRUE;
  if (!ms_gguf_get_floats (loader->gguf, key, MS_KEY_REQUIRED, &values, &n, error))
    return FALSE;
  if (n < loader->plan->n_blocks)
    return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_CORRUPT, error,
                             "%s holds %" G_GSIZE_FORMAT
                             " numbers; one for each of %u blocks is expected",
                             key, n, loader->plan->n_blocks);
  *value = values[block];
  return TRUE;
}

gboolean
ms_loader_block_has (const MsLoader *loader, guint block, const char *tensor)
{
  g_autofree char *name = g_strdup_printf ("blk.%u.%s", block, tensor);

  return ms_gguf_find (loader->gguf, name) != NULL;
}

gboolean
ms_loader_refuse (const MsLoader *loader, MsCollectorError code, GError **error, const char *format,
                  ...)
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

void
ms_loader_warn (const MsLoader *loader, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (loader->plan->warnings, g_strdup_vprintf (format, args));
  va_end (args);
}

/* --- Loading --------------------------------------------------------------------------------- */

/* (transfer full) */
static char *
full_name (const MsTensorPlace *place, const char *name)
{
  g_autofree char *prefix
      = place->block < 0 ? g_strdup ("") : g_strdup_printf ("blk.%d.", place->block);
  const char *star = strchr (name, '*');

  return star == NULL ? g_strconcat (prefix, name, NULL)
                      : g_strdup_printf ("%s%.*s%s%s", prefix, (int) (star - name), name,
                                         place->stem, star + 1);
}

/* The rule's tensor of the file, entered as used; *tensor is NULL when it may be missing and is. */
static gboolean
take (MsLoader *loader, const MsTensorRule *rule, const MsTensorPlace *place, gboolean required,
      const MsTensor **tensor, GError **error)
{
  g_autofree char *name = full_name (place, rule->name);
  gboolean matrix = rule->form == MS_FORM_MATRIX;
  gint64 count = MAX (place->count, 1), *columns = &place->sizes[rule->shape[0]];
  gint64 *rows = &place->sizes[rule->shape[1]];
  gint64 ne1 = matrix || count == 1 ? *rows : count, ne2 = matrix ? count : 1;

  *tensor = ms_gguf_find (loader->gguf, name);
  if (rule->form == MS_FORM_KERNEL && *tensor != NULL && (*tensor)->ne[1] == 1)
    {
      ne1 = 1;
      ne2 = *rows;
    }
  *tensor = NULL;
  if (!required)
    {
      if (!ms_gguf_want (loader->gguf, name, *columns, ne1, ne2, tensor, error))
        return FALSE;
    }
  else if ((*tensor = ms_gguf_need (loader->gguf, name, *columns, ne1, ne2, error)) == NULL)
    return FALSE;
  if (*tensor == NULL)
    return TRUE;
  g_hash_table_add (loader->used, (gpointer) *tensor);
  *columns = *columns == 0 ? (*tensor)->ne[0] : *columns;
  if (matrix && *rows == 0)
    *rows = (*tensor)->ne[1];
  return TRUE;
}

static gboolean
load_norm (MsLoader *loader, const MsTensorRule *rule, const MsTensorPlace *place,
           gboolean required, MsNorm *norm, GError **error)
{
  const MsNormKind *kind = loader->plan->norm;
  gint64 sizes[] = { 1, place->sizes[rule->shape[0]] };
  MsTensorPlace own = { .block = place->block, .stem = rule->name, .sizes = sizes };
  g_autofree char *first = full_name (&own, kind->tensors.rules[0].name);

  if (!required && ms_gguf_find (loader->gguf, first) == NULL)
    return TRUE;
  norm->kind = kind;
  norm->epsilon = loader->plan->epsilon;
  return ms_tensors_load (loader, &kind->tensors, &own, norm, error);
}

/* Factors of a rule's matrices, one per struct of the stack; NULL where the file has none. */
static gboolean
load_scales (MsLoader *loader, const MsTensorRule *rule, const MsTensorPlace *place, float **scales,
             GError **error)
{
  static const char weight[] = ".weight";
  g_autofree char *name = full_name (place, rule->name), *scale = NULL;
  gint64 count = MAX (place->count, 1);
  const MsTensor *tensor;

  *scales = NULL;
  if (rule->unscaled || !g_str_has_suffix (name, weight))
    return TRUE;
  scale = g_strdup_printf ("%.*s.scale", (int) (strlen (name) - strlen (weight)), name);
  if (!ms_gguf_want (loader->gguf, scale, count, 1, 1, &tensor, error))
    return FALSE;
  if (tensor == NULL)
    return TRUE;
  g_hash_table_add (loader->used, (gpointer) tensor);
  *scales = g_new (float, (gsize) count);
  ms_tensor_to_float (tensor, 0, 1, *scales);
  for (gint64 i = 0; i < count; i++)
    if ((*scales)[i] == 0)
      {
        g_clear_pointer (scales, g_free);
        return ms_loader_refuse (loader, MS_COLLECTOR_ERROR_UNSUPPORTED, error,
                                 "%s is 0 at place %" G_GINT64_FORMAT
                                 ": a matrix that counts for nothing cannot be run",
                                 scale, i);
      }
  return TRUE;
}

gboolean
ms_tensors_load (MsLoader *loader, const MsTensorTable *table, const MsTensorPlace *place,
                 gpointer base, GError **error)
{
  MsSwitches switches = loader->plan->architecture->switches | place->switches | MS_ALWAYS;

  for (guint i = 0; i < table->n; i++)
    {
      const MsTensorRule *rule = &table->rules[i];
      gboolean required = (rule->required & switches) != 0;
      guint8 *at = (guint8 *) base + rule->offset;
      const MsTensor *tensor;
      g_autofree float *scales = NULL;

      if ((!required && (rule->taken & switches) == 0) || (rule->unless & switches) != 0)
        continue;
      if (rule->form == MS_FORM_NORM)
        {
          if (!load_norm (loader, rule, place, required, (MsNorm *) (gpointer) at, error))
            return FALSE;
          continue;
        }
      if (!take (loader, rule, place, required, &tensor, error)
          || (tensor != NULL && rule->form == MS_FORM_MATRIX
              && !load_scales (loader, rule, place, &scales, error)))
        return FALSE;
      for (guint j = 0; j < MAX (place->count, 1) && tensor != NULL; j++, at += place->stride)
        if (rule->form == MS_FORM_MATRIX)
          *(MsMatrix *) (gpointer) at = (MsMatrix){ tensor, tensor->ne[1] * (gint64) j,
                                                    tensor->ne[1], scales != NULL ? scales[j] : 0 };
        else
          {
            gint64 rows = place->count > 1 ? 1 : tensor->ne[1] * tensor->ne[2];
            float *values = g_new (float, (gsize) (tensor->ne[0] * rows));

            ms_tensor_to_float (tensor, (gint64) j, rows, values);
            *(float **) (gpointer) at = values;
          }
    }
  return TRUE;
}

/* --- The other loops ------------------------------------------------------------------------- */

void
ms_tensors_clear (const MsTensorTable *table, gpointer base)
{
  for (guint i = 0; i < table->n; i++)
    {
      gpointer at = (guint8 *) base + table->rules[i].offset;
      MsNorm *norm = at;

      if (table->rules[i].form == MS_FORM_VECTOR || table->rules[i].form == MS_FORM_KERNEL)
        g_clear_pointer ((float **) at, g_free);
      else if (table->rules[i].form == MS_FORM_NORM && norm->kind != NULL)
        ms_tensors_clear (&norm->kind->tensors, norm);
    }
}

/* The table's matrix number i, NULL where there is none. */
static const MsMatrix *
matrix_at (const MsTensorTable *table, gconstpointer base, guint i)
{
  const MsMatrix *matrix = (gconstpointer) ((const guint8 *) base + table->rules[i].offset);

  return table->rules[i].form == MS_FORM_MATRIX && matrix->tensor != NULL ? matrix : NULL;
}

void
ms_tensors_advise (const MsTensorTable *table, gconstpointer base, int advice)
{
  gsize page = (gsize) sysconf (_SC_PAGESIZE);

  for (guint i = 0; i < table->n; i++)
    {
      const MsMatrix *w = matrix_at (table, base, i);
      guintptr from, to;

      if (w == NULL)
        continue;
      from = (guintptr) w->tensor->data + (gsize) w->first_row * w->tensor->row_size;
      to = from + (gsize) w->n_rows * w->tensor->row_size;
      from = from / page * page;
      /* Advice only: what fails costs time, not results. */
      (void) madvise ((void *) from, to - from, advice);
    }
}

gint64
ms_tensors_bytes (const MsTensorTable *table, gconstpointer base)
{
  gint64 bytes = 0;

  for (guint i = 0; i < table->n; i++)
    {
      const MsMatrix *w = matrix_at (table, base, i);

      bytes += w != NULL ? w->n_rows * (gint64) w->tensor->row_size : 0;
    }
  return bytes;
}

gsize
ms_tensors_widest (const MsTensorTable *table, gconstpointer base)
{
  gsize widest = 0;

  for (guint i = 0; i < table->n; i++)
    {
      const MsMatrix *w = matrix_at (table, base, i);

      widest = w != NULL ? MAX (widest, (gsize) w->tensor->ne[0]) : widest;
    }
  return widest;
}
