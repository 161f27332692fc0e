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
  guint n_parts;             /* 2 when held out */
  MsOccurring rows, columns; /* experts of before, of layer, that occur */
  double *
      conditional[2]; /* (rows, columns) rows normalised; by the parity of the predicted document */
  guint16 *frequent[2]; /* (n); of MATRIX (stored documents, n), MS_NO_EXPERT after the last used */
  double *score;        /* (columns) scratch */
};

const char *
ms_predictor_name (MsPredictorKind kind)
{
  static const char *const names[MS_PREDICTORS]
      = { "conditional", "frequency", "previous token", "activation matrix" };

  return names[kind];
}

/* The n best of score (columns), ties to the lower id; uses score up.  An expert without a score is none of
 * them: nothing speaks for it but its number.  Returns how many there are; MS_NO_EXPERT follows them. */
static guint
take_best (const MsOccurring *columns, double *score, guint n, guint16 *best)
{
  guint found = 0;

  for (guint i = 0; i < n; i++)
    {
      guint top = 0;

      for (guint e = 1; e < columns->n; e++)
        if (score[e] > score[top])
          top = e;
      if (columns->n == 0 || !(score[top] > 0))
        best[i] = MS_NO_EXPERT;
      else
        {
          best[i] = (guint16) columns->ids[top];
          score[top] = -1;
          found++;
        }
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
count_row (const MsPredictor *p, const guint16 *before, guint k_before, const guint16 *row,
           double *conditional, double *frequency)
{
  for (guint j = 0; j < p->layer->k; j++)
    {
      guint column;

      if (row[j] == MS_NO_EXPERT)
        continue;
      column = p->columns.of[row[j]];
      frequency[column]++;
      for (guint i = 0; i < k_before; i++)
        if (before[i] != MS_NO_EXPERT)
          conditional[(gsize) p->rows.of[before[i]] * p->columns.n + column]++;
    }
}

static void
train (MsPredictor *p, guint part)
{
  const MsLayerTrace *before = p->before, *layer = p->layer;
  guint k_before = p->kind == MS_PREDICT_CONDITIONAL ? before->k : 0;
  g_autofree double *frequency = g_new0 (double, p->columns.n + 1);

  if (p->kind == MS_PREDICT_CONDITIONAL)
    p->conditional[part] = g_new0 (double, (gsize) p->rows.n * p->columns.n + 1);
  for (guint d = 0; d < ms_trace_n_documents (p->trace); d++)
    {
      const MsDocument *document = ms_trace_document (p->trace, d);

      if (p->n_parts == 2 && d % 2 == part)
        continue;
      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        count_row (p, k_before > 0 ? before->experts + t * k_before : NULL, k_before,
                   layer->experts + t * layer->k, p->conditional[part], frequency);
    }
  for (guint a = 0; k_before > 0 && a < p->rows.n; a++)
    {
      double *row = p->conditional[part] + (gsize) a * p->columns.n, sum = 0;

      for (guint b = 0; b < p->columns.n; b++)
        sum += row[b];
      for (guint b = 0; b < p->columns.n && sum > 0; b++)
        row[b] /= sum;
    }
  p->frequent[part] = g_new (guint16, p->n + 1);
  take_best (&p->columns, frequency, p->n, p->frequent[part]);
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

      memset (p->score, 0, p->columns.n * sizeof *p->score);
      for (gsize i = 0; i < (gsize) document->n_tokens * layer->k; i++)
        if (experts[i] != MS_NO_EXPERT)
          p->score[p->columns.of[experts[i]]]++;
      take_best (&p->columns, p->score, p->n, p->frequent[part] + (gsize) s * p->n);
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
  ms_occurring_init_of_layer (&p->columns, input->layer);
  if (kind == MS_PREDICT_CONDITIONAL)
    ms_occurring_init_of_layer (&p->rows, input->before);
  p->score = g_new (double, p->columns.n + 1);
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
  ms_occurring_clear (&p->rows);
  ms_occurring_clear (&p->columns);
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
      memset (p->score, 0, p->columns.n * sizeof *p->score);
      for (guint r = 0; r < p->before->k; r++)
        {
          guint16 a = p->before->experts[t * p->before->k + r];
          const double *given;

          if (a == MS_NO_EXPERT)
            continue;
          given = p->conditional[part] + (gsize) p->rows.of[a] * p->columns.n;
          for (guint b = 0; b < p->columns.n; b++)
            p->score[b] += given[b];
        }
      return take_best (&p->columns, p->score, p->n, best);
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
