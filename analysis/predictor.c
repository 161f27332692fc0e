/* Predictors of a layer's experts from what is known before it.  Held out, a token is never predicted from
 * counts that its own part took in. */
#include "predictor-private.h"

#include <string.h>

struct MsPredictor
{
  MsPredictorKind kind;
  MsTrace *trace;
  const MsLayerTrace *before, *layer;
  const MsMatches *matches;
  guint index, n;
  guint n_parts; /* 2 when held out */
  double *conditional
      [2]; /* (E of before, E) rows normalised; by the parity of the predicted document */
  guint16 *frequent[2]; /* (n); of MATRIX (stored documents, n), MS_NO_EXPERT after the last used */
  double *score;        /* (E) scratch */
};

const char *
ms_predictor_name (MsPredictorKind kind)
{
  static const char *const names[MS_PREDICTORS]
      = { "conditional", "frequency", "previous token", "activation matrix" };

  return names[kind];
}

/* The n best of score (size), ties to the lower id; uses score up.  An expert without a score is none of
 * them: nothing speaks for it but its number.  Returns how many there are; MS_NO_EXPERT follows them. */
static guint
take_best (double *score, guint size, guint n, guint16 *best)
{
  guint found = 0;

  for (guint i = 0; i < n; i++)
    {
      guint top = 0;

      for (guint e = 1; e < size; e++)
        if (score[e] > score[top])
          top = e;
      best[i] = score[top] > 0 ? (guint16) top : MS_NO_EXPERT;
      found += score[top] > 0;
      score[top] = -1;
    }
  return found;
}

/* Copies the experts of a list (n) that take_best made; returns how many there are. */
static guint
copy_best (const guint16 *from, guint n, guint16 *best)
{
  guint found = 0;

  while (found < n && from[found] != MS_NO_EXPERT)
    {
      best[found] = from[found];
      found++;
    }
  return found;
}

static void
count_row (const guint16 *before, guint k_before, const guint16 *row, guint k, guint n_experts,
           double *conditional, double *frequency)
{
  for (guint j = 0; j < k; j++)
    {
      if (row[j] == MS_NO_EXPERT)
        continue;
      frequency[row[j]]++;
      for (guint i = 0; i < k_before; i++)
        if (before[i] != MS_NO_EXPERT)
          conditional[(gsize) before[i] * n_experts + row[j]]++;
    }
}

static void
train (MsPredictor *p, guint part)
{
  const MsLayerTrace *before = p->before, *layer = p->layer;
  guint k_before = p->kind == MS_PREDICT_CONDITIONAL ? before->k : 0;
  g_autofree double *frequency = g_new0 (double, layer->n_experts);

  if (p->kind == MS_PREDICT_CONDITIONAL)
    p->conditional[part] = g_new0 (double, (gsize) before->n_experts * layer->n_experts);
  for (guint d = 0; d < ms_trace_n_documents (p->trace); d++)
    {
      const MsDocument *document = ms_trace_document (p->trace, d);

      if (p->n_parts == 2 && d % 2 == part)
        continue;
      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        count_row (k_before > 0 ? before->experts + t * k_before : NULL, k_before,
                   layer->experts + t * layer->k, layer->k, layer->n_experts, p->conditional[part],
                   frequency);
    }
  for (guint a = 0; k_before > 0 && a < before->n_experts; a++)
    {
      double *row = p->conditional[part] + (gsize) a * layer->n_experts, sum = 0;

      for (guint b = 0; b < layer->n_experts; b++)
        sum += row[b];
      for (guint b = 0; b < layer->n_experts && sum > 0; b++)
        row[b] /= sum;
    }
  p->frequent[part] = g_new (guint16, p->n + 1);
  take_best (frequency, layer->n_experts, p->n, p->frequent[part]);
}

/* The n most used experts of every stored document. */
static void
list_stored (MsPredictor *p, guint part)
{
  const MsLayerTrace *layer = p->layer;
  guint n_stored;
  const guint *stored = ms_matches_stored (p->matches, part, &n_stored);

  p->frequent[part] = g_new (guint16, (gsize) n_stored * p->n + 1);
  for (guint s = 0; s < n_stored; s++)
    {
      const MsDocument *document = ms_trace_document (p->trace, stored[s]);
      const guint16 *experts = layer->experts + document->first_token * layer->k;

      memset (p->score, 0, layer->n_experts * sizeof *p->score);
      for (gsize i = 0; i < (gsize) document->n_tokens * layer->k; i++)
        if (experts[i] != MS_NO_EXPERT)
          p->score[experts[i]]++;
      take_best (p->score, layer->n_experts, p->n, p->frequent[part] + (gsize) s * p->n);
    }
}

MsPredictor *
ms_predictor_new (MsPredictorKind kind, const MsPredictorInput *input, guint n)
{
  MsPredictor *p = g_new0 (MsPredictor, 1);

  p->kind = kind;
  p->trace = input->trace;
  p->before = input->before;
  p->layer = input->layer;
  p->matches = input->matches;
  p->index = input->index;
  p->n = MIN (n, input->layer->n_experts);
  p->n_parts = input->held_out && ms_trace_n_documents (input->trace) > 1 ? 2 : 1;
  p->score = g_new (double, input->layer->n_experts);
  for (guint part = 0; part < p->n_parts; part++)
    if (kind == MS_PREDICT_MATRIX)
      list_stored (p, part);
    else if (kind != MS_PREDICT_PREVIOUS)
      train (p, part);
  return p;
}

void
ms_predictor_free (MsPredictor *p)
{
  if (p == NULL)
    return;
  for (guint part = 0; part < 2; part++)
    {
      g_free (p->conditional[part]);
      g_free (p->frequent[part]);
    }
  g_free (p->score);
  g_free (p);
}

guint
ms_predictor_predict (MsPredictor *p, guint document, gint64 t, guint16 *best)
{
  guint part = p->n_parts == 2 ? document % 2 : 0, k = p->layer->k, n = 0;
  const guint16 *row = p->layer->experts + t * k;

  switch (p->kind)
    {
    case MS_PREDICT_CONDITIONAL:
      memset (p->score, 0, p->layer->n_experts * sizeof *p->score);
      for (guint r = 0; r < p->before->k; r++)
        {
          guint16 a = p->before->experts[t * p->before->k + r];
          const double *given = p->conditional[part] + (gsize) a * p->layer->n_experts;

          for (guint b = 0; a != MS_NO_EXPERT && b < p->layer->n_experts; b++)
            p->score[b] += given[b];
        }
      return take_best (p->score, p->layer->n_experts, p->n, best);
    case MS_PREDICT_FREQUENCY:
      return copy_best (p->frequent[part], p->n, best);
    case MS_PREDICT_MATRIX:
      return copy_best (
          p->frequent[part] + (gsize) ms_matches_find (p->matches, p->index, t) * p->n, p->n, best);
    case MS_PREDICT_PREVIOUS:
    case MS_PREDICTORS:
    default:
      if (t == ms_trace_document (p->trace, document)->first_token)
        return 0;
      while (n < k && row[(gint64) n - k] != MS_NO_EXPERT)
        {
          best[n] = row[(gint64) n - k];
          n++;
        }
      return n;
    }
}
