/* Two runs that are compared token by token must be of the same tokens and layers.  What does not match is an
 * error that says what differs; nothing is dropped in silence. */
#include "aligned-private.h"

static gboolean
mismatch (const MsTrace *other, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_MISMATCH,
               "run %" G_GINT64_FORMAT
               " of %s cannot be compared position by position: %s; collect both "
               "runs from the same texts with the same tokenizer, or narrow the selection",
               ms_trace_run (other)->id, ms_trace_path (other), what);
  return FALSE;
}

static gboolean
check_layers (const MsTrace *a, const MsTrace *b, GError **error)
{
  if (ms_trace_n_layers (a) != ms_trace_n_layers (b))
    return mismatch (b, error, "it has %u MoE layers instead of %u", ms_trace_n_layers (b),
                     ms_trace_n_layers (a));
  for (guint l = 0; l < ms_trace_n_layers (a); l++)
    {
      const MsLayer *x = ms_trace_layer (a, l), *y = ms_trace_layer (b, l);

      if (x->number != y->number || x->gate.n_experts != y->gate.n_experts)
        return mismatch (b, error,
                         "its MoE layer %u is block %d with %u experts, not block %d with %u", l,
                         y->number, y->gate.n_experts, x->number, x->gate.n_experts);
    }
  return TRUE;
}

/* *ids stays NULL for a trace that was imported without token ids. */
static gboolean
load_ids (MsTrace *trace, gint32 **ids, GError **error)
{
  g_autoptr (GError) failure = NULL;

  *ids = ms_trace_token_ids (trace, &failure);
  if (*ids != NULL || g_error_matches (failure, MS_DB_ERROR, MS_DB_ERROR_MISSING_INPUT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

gboolean
ms_context_aligned (const MsContext *context, GError **error)
{
  MsTrace *trace = context->trace;
  g_autofree gint32 *ids = NULL;

  if (!load_ids (trace, &ids, error))
    return FALSE;
  for (guint i = 0; i < context->n_others; i++)
    {
      MsTrace *other = context->others[i];
      g_autofree gint32 *other_ids = NULL;

      if (!check_layers (trace, other, error))
        return FALSE;
      if (ms_trace_n_documents (trace) != ms_trace_n_documents (other))
        return mismatch (other, error, "it has %u documents instead of %u",
                         ms_trace_n_documents (other), ms_trace_n_documents (trace));
      if (!load_ids (other, &other_ids, error))
        return FALSE;
      for (guint d = 0; d < ms_trace_n_documents (trace); d++)
        {
          const MsDocument *x = ms_trace_document (trace, d), *y = ms_trace_document (other, d);

          if (x->n_tokens != y->n_tokens)
            return mismatch (other, error,
                             "its document %u (%s) has %" G_GINT64_FORMAT " tokens instead of "
                             "%" G_GINT64_FORMAT,
                             d, y->name, y->n_tokens, x->n_tokens);
          for (gint64 t = 0; t < x->n_tokens && ids != NULL && other_ids != NULL; t++)
            if (ids[x->first_token + t] != other_ids[y->first_token + t])
              return mismatch (
                  other, error,
                  "position %" G_GINT64_FORMAT " of document %u (%s) holds token %d instead "
                  "of %d",
                  t, d, y->name, other_ids[y->first_token + t], ids[x->first_token + t]);
        }
    }
  return TRUE;
}

MsSetChange
ms_set_change (const guint16 *a, guint k_a, const guint16 *b, guint k_b)
{
  MsSetChange change = { 0 };

  while (change.n_a < k_a && a[change.n_a] != MS_NO_EXPERT)
    change.n_a++;
  while (change.n_b < k_b && b[change.n_b] != MS_NO_EXPERT)
    change.n_b++;
  for (guint i = 0; i < change.n_a; i++)
    for (guint j = 0; j < change.n_b; j++)
      change.common += a[i] == b[j];
  change.set = change.n_a != change.n_b || change.common != change.n_a;
  change.top1 = (change.n_a == 0) != (change.n_b == 0) || (change.n_a > 0 && a[0] != b[0]);
  change.order = change.set;
  for (guint i = 0; i < change.n_a && !change.order; i++)
    change.order = a[i] != b[i];
  return change;
}
