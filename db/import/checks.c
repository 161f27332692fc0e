/* What the data says against its reading.  Nothing here changes a decision: what is found is told and
 * stored with the run, and only weights that cannot be any become undefined. */
#include "import-private.h"

#include <math.h>
#include <string.h>

/* A run of equal rows is told when chance would hardly make it: that many tokens, and that many choices
 * that all would have to agree. */
#define REPEATED_TOKENS  8
#define REPEATED_CHOICES 32
/* The fewest tokens of which it is told that all go to the same experts at a layer. */
#define CONSTANT_TOKENS 32

/* --- Weights --------------------------------------------------------------------------------- */

/* What the weights of the tokens at each layer, (token, layer), look like. */
typedef struct
{
  gint64 n; /* with a weight */
  gint64 negative, above,
      rising;     /* with a weight below 0, above 1, larger than that of a better rank */
  gint64 by_id;   /* experts in the order of their ids, of those with two and more */
  gint64 several; /* with two and more experts */
  const MsImportRow *first_negative, *first_above, *first_rising;
  double least, most; /* sums */
} Weights;

/* Rows of one token at one layer, from *i on; *i is the first of the next. */
static void
look_at_weights (const MsImportTable *table, guint *i, Weights *weights)
{
  const MsImportRow *first = ms_import_row (table, *i);
  gboolean negative = FALSE, above = FALSE, rising = FALSE, by_id = TRUE;
  const MsImportRow *last = NULL;
  double sum = 0;
  guint n = 0;

  for (; *i < table->rows->len && ms_import_row_same (first, ms_import_row (table, *i)); ++*i)
    {
      const MsImportRow *row = ms_import_row (table, *i);

      if (row->value < 0)
        continue;
      n++;
      sum += (double) row->a;
      negative |= row->a < 0;
      above |= row->a > 1.001f;
      rising |= last != NULL && row->a > last->a;
      by_id &= last == NULL || row->value > last->value;
      last = row;
    }
  if (n == 0)
    return;
#define COUNT(what)                                                                                \
  if (what && weights->what++ == 0)                                                                \
  weights->first_##what = first
  COUNT (negative);
  COUNT (above);
  COUNT (rising);
#undef COUNT
  weights->n++;
  weights->several += n > 1;
  weights->by_id += n > 1 && by_id;
  weights->least = MIN (weights->least, sum);
  weights->most = MAX (weights->most, sum);
}

/* Weights that cannot be combine weights are undefined. */
static void
forget_weights (MsImportLayout *layout)
{
  for (guint i = 0; i < layout->n_layers; i++)
    for (gsize j = 0; j < (gsize) layout->n_tokens * layout->k; j++)
      if (layout->layers[i].experts[j] != MS_NO_EXPERT)
        layout->layers[i].weights[j] = NAN;
}

/* What the sums of the weights say, told in words. */
static void
tell_sums (MsImporter *importer, const Weights *weights)
{
  if (fabs (weights->least - 1) < 0.01 && fabs (weights->most - 1) < 0.01)
    ms_importer_remark (importer, "weights-sum-to-1", MS_SEVERITY_NOTE, weights->n, NULL,
                        "the weights of each token sum to 1: they are renormalised");
  else if (weights->most - weights->least < 0.01 * weights->most && weights->most > 1.01)
    ms_importer_remark (importer, "weights-scaled", MS_SEVERITY_NOTE, weights->n, NULL,
                        "the weights of each token sum to %.4g: %s", weights->most,
                        fabs (weights->most - 100) < 1 ? "they are percentages"
                                                       : "they are renormalised and scaled");
  else if (weights->above > 0)
    ms_importer_remark (
        importer, "weights-above-1", MS_SEVERITY_DOUBT, weights->above, weights->first_above,
        "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " rows have a weight above 1 "
        "(first: line %u), and their sums go from %.4g to %.4g: they are scaled, or "
        "no combine weights",
        weights->above, weights->n, weights->first_above->line, weights->least, weights->most);
}

static void
check_weights (MsImportLayout *layout)
{
  MsImporter *importer = layout->importer;
  const MsImportTable *table = &importer->tables[MS_RECORD_DECISION];
  Weights weights = { .least = INFINITY, .most = -INFINITY };

  if (table->file == NULL)
    return;
  if (!(table->fields & MS_FIELD_WEIGHT))
    {
      ms_importer_remark (importer, "no-weights", MS_SEVERITY_NOTE, 0, NULL,
                          "the trace has no weights: what is measured by weight is undefined");
      return;
    }
  for (guint i = 0; i < table->rows->len;)
    look_at_weights (table, &i, &weights);
  if (weights.n == 0)
    return;
  if (weights.negative > 0)
    {
      ms_importer_remark (
          importer, "negative-weights", MS_SEVERITY_FAULT, weights.negative, weights.first_negative,
          "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " rows have a negative weight "
          "(first: line %u), which no combine weight is: they look like logits; all "
          "weights are left undefined",
          weights.negative, weights.n, weights.first_negative->line);
      forget_weights (layout);
      return;
    }
  tell_sums (importer, &weights);
  if (weights.rising > 0 && weights.several >= 16 && weights.by_id == weights.several)
    ms_importer_remark (importer, "sorted-by-id", MS_SEVERITY_DOUBT, weights.several, NULL,
                        "the experts of every token are in the order of their ids, not of their "
                        "weights: ranks say nothing");
  else if (weights.rising > 0)
    ms_importer_remark (importer, "rank-against-weight", MS_SEVERITY_DOUBT, weights.rising,
                        weights.first_rising,
                        "in %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " rows a later rank has the "
                        "larger weight (first: line %u)",
                        weights.rising, weights.n, weights.first_rising->line);
}

/* --- Decisions ------------------------------------------------------------------------------- */

/* Whether tokens t - 1 and t go to the same experts in the same order at all layers but a quarter of them: start-up
 * rows are of a batch at each layer, and the batches of some layers may be smaller. */
static gboolean
repeats (const MsImportLayout *layout, gint64 t)
{
  gsize bytes = layout->k * sizeof (guint16);
  guint differing = 0;

  for (guint i = 0; i < layout->n_layers && differing <= layout->n_layers / 4; i++)
    {
      const guint16 *experts = layout->layers[i].experts + t * layout->k;

      differing += memcmp (experts, experts - layout->k, bytes) != 0;
    }
  return differing <= layout->n_layers / 4;
}

/* Long runs of tokens with equal decisions: warm-up, padding, or filler of an engine. */
static void
check_repeated (MsImportLayout *layout)
{
  MsImporter *importer = layout->importer;
  gint64 total = 0, longest = 0, starts = 0;
  MsImportRow first = { .layer = g_array_index (importer->layers, gint32, 0) };

  for (guint i = 0; i < importer->documents->len; i++)
    {
      const MsDocument *document = importer->documents->pdata[i];
      gint64 run = 1;

      for (gint64 t = 1; t <= document->n_tokens; t++)
        {
          if (t < document->n_tokens && repeats (layout, document->first_token + t))
            {
              run++;
              continue;
            }
          if (run >= REPEATED_TOKENS
              && (run - 1) * layout->n_layers * layout->k >= REPEATED_CHOICES)
            {
              if (total == 0)
                {
                  first.sequence = i;
                  first.token = (gint32) (t - run);
                }
              {
                MsImportSpan span = { i, (gint32) (t - run), (gint32) (t - 1) };

                g_array_append_val (layout->suspects, span);
              }
              total += run;
              longest = MAX (longest, run);
              starts += t == run;
            }
          run = 1;
        }
    }
  if (total > 0)
    ms_importer_remark (
        importer, "repeated-rows", MS_SEVERITY_DOUBT, total, &first,
        "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " tokens stand in runs of equal "
        "decisions at all, or all but a quarter, of the layers (first: sequence '%s', token %d; "
        "longest: %" G_GINT64_FORMAT "; at the start of %" G_GINT64_FORMAT " of %u sequences): "
        "start-up rows, padding or filler of an engine look so; --exclude-suspect and "
        "--select suspect=no leave them out",
        total, layout->n_tokens, ms_importer_sequence (importer, first.sequence), first.token,
        longest, starts, importer->documents->len);
}

/* Layers at which every token goes to the same experts: dense layers written as zeros, or a dead router. */
static void
check_constant (MsImportLayout *layout)
{
  MsImporter *importer = layout->importer;
  g_autoptr (GString) numbers = g_string_new (NULL);
  guint constant = 0;

  for (guint i = 0; i < layout->n_layers && layout->n_tokens >= CONSTANT_TOKENS; i++)
    {
      const guint16 *experts = layout->layers[i].experts;
      gboolean same = experts[0] != MS_NO_EXPERT;

      for (gint64 t = 1; t < layout->n_tokens && same; t++)
        same = memcmp (experts, experts + t * layout->k, layout->k * sizeof *experts) == 0;
      if (same && constant++ < 8)
        g_string_append_printf (numbers, "%s%d", constant > 1 ? ", " : "",
                                g_array_index (importer->layers, gint32, i));
    }
  if (constant > 0)
    ms_importer_remark (importer, "constant-layers", MS_SEVERITY_DOUBT, constant, NULL,
                        "at %u of %u layers all tokens go to the same experts (layers %s%s): dense "
                        "layers written as zeros look so; leave their rows out if they are",
                        constant, layout->n_layers, numbers->str, constant > 8 ? ", ..." : "");
}

/* Ids that seem to count from 1, where nobody said how many experts there are. */
static void
check_ids (MsImportLayout *layout)
{
  MsImporter *importer = layout->importer;
  const MsImportTable *table = &importer->tables[MS_RECORD_DECISION];
  gint32 least = G_MAXINT32, most = -1;

  for (guint i = 0; i < table->rows->len; i++)
    if (ms_import_row (table, i)->value >= 0)
      {
        least = MIN (least, ms_import_row (table, i)->value);
        most = MAX (most, ms_import_row (table, i)->value);
      }
  if (least == 1 && most >= 4 && most % 4 == 0 && importer->options->n_experts == 0
      && importer->n_scores == 0)
    ms_importer_remark (importer, "ids-from-1", MS_SEVERITY_DOUBT, 1, NULL,
                        "no token goes to expert 0 and the largest id is %d: the ids seem to count "
                        "from 1; subtract 1 from all, or give --experts %d if they do not",
                        most, most + 1);
}

/* --- Decisions and scores -------------------------------------------------------------------- */

/* How many of the decisions are the largest scores when the scores of the token `shift` further are taken.
 * Bits of ties do not count against them.  *n: decisions compared. */
static gint64
count_fitting (const MsImportLayout *layout, gint64 shift, gint64 *n)
{
  const MsImporter *importer = layout->importer;
  g_autofree float *selection = g_new (float, layout->n_experts);
  gint64 fitting = 0;

  *n = 0;
  for (guint i = 0; i < importer->documents->len; i++)
    {
      const MsDocument *document = importer->documents->pdata[i];

      for (gint64 t = MAX (0, -shift); t < document->n_tokens - MAX (0, shift); t++)
        for (guint j = 0; j < layout->n_layers; j++)
          {
            const MsDecisions *layer = &layout->layers[j];
            const guint16 *experts = layer->experts + (document->first_token + t) * layout->k;
            const float *scores
                = layer->logits + (document->first_token + t + shift) * layout->n_experts;

            if (experts[0] == MS_NO_EXPERT)
              continue;
            memcpy (selection, scores, layout->n_experts * sizeof *selection);
            ++*n;
            fitting += !(ms_gate_margin (selection, layout->n_experts, experts, layout->k) < 0);
          }
    }
  return fitting;
}

/* Decisions that are not the largest scores of their own token: of another one, perhaps. */
static void
check_pairing (MsImportLayout *layout)
{
  static const gint64 shifts[] = { 1, -1, 2, -2 };
  MsImporter *importer = layout->importer;
  gint64 n, fitting, moved = 0;
  double best = 0;

  if (importer->n_scores == 0 || importer->tables[MS_RECORD_DECISION].file == NULL)
    return;
  fitting = count_fitting (layout, 0, &n);
  if (fitting == n)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (shifts); i++)
    {
      gint64 others;
      gint64 fits = count_fitting (layout, shifts[i], &others);

      if (others > 0 && (double) fits / (double) others > MAX (best, 0.9))
        {
          best = (double) fits / (double) others;
          moved = shifts[i];
        }
    }
  if (moved != 0 && best > (double) fitting / (double) n)
    ms_importer_remark (importer, "scores-of-other-tokens", MS_SEVERITY_FAULT, n - fitting, NULL,
                        "in %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " rows the chosen experts "
                        "are not those with the largest scores, but %.0f %% fit the scores of the "
                        "token %+" G_GINT64_FORMAT
                        ": the files are about different tokens; move one",
                        n - fitting, n, 100 * best, moved);
  else
    ms_importer_remark (
        importer, "choice-against-scores",
        fitting * 10 < n * 9 ? MS_SEVERITY_DOUBT : MS_SEVERITY_NOTE, n - fitting, NULL,
        "in %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " rows the chosen experts "
        "are not those with the largest scores: a selection bias, groups, scores of "
        "other tokens or of other experts look so",
        n - fitting, n);
}

/* Choices between equal scores, which the ids alone decide. */
static void
check_ties (MsImportLayout *layout)
{
  MsImporter *importer = layout->importer;
  gint64 ties = 0, n = layout->n_tokens * layout->n_layers;

  if (!layout->gated)
    return;
  for (guint i = 0; i < layout->n_layers; i++)
    for (gint64 t = 0; t < layout->n_tokens; t++)
      ties += layout->layers[i].margin[t] == 0;
  if (ties > 0)
    ms_importer_remark (importer, "ties", ties * 10 > n ? MS_SEVERITY_DOUBT : MS_SEVERITY_NOTE,
                        ties, NULL,
                        "in %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " rows the last chosen and "
                        "the first rejected expert have the same score: the choice says nothing",
                        ties, n);
}

/* Suspected tokens are labelled, so that a selection can leave them out. */
static void
label_suspects (MsImportLayout *layout)
{
  MsImporter *importer = layout->importer;
  guint next = 0;

  if (layout->suspects->len == 0)
    return;
  for (guint i = 0; i < importer->documents->len; i++)
    {
      const MsDocument *document = importer->documents->pdata[i];
      gint32 at = 0;

      for (; next < layout->suspects->len; next++)
        {
          const MsImportSpan *span = &g_array_index (layout->suspects, MsImportSpan, next);

          if (span->sequence != i)
            break;
          if (span->first > at)
            ms_import_labels_put (importer->labels, "suspect", "no", i, at, span->first - 1);
          ms_import_labels_put (importer->labels, "suspect", "yes", i, span->first, span->last);
          at = span->last + 1;
        }
      if (at < document->n_tokens)
        ms_import_labels_put (importer->labels, "suspect", "no", i, at,
                              (gint32) document->n_tokens - 1);
    }
}

/* Positions that began anew, layers that were not announced, and layers with fewer tokens than the others. */
static void
check_numbering (MsImportLayout *layout)
{
  MsImporter *importer = layout->importer;
  g_autoptr (GString) numbers = g_string_new (NULL);
  guint foreign = 0;

  if (importer->n_restarts > 0)
    ms_importer_remark (importer, "restarted-positions", MS_SEVERITY_NOTE, importer->n_restarts,
                        NULL, "positions begin anew %" G_GINT64_FORMAT " times: %s",
                        importer->n_restarts,
                        importer->options->restarts == MS_IMPORT_RESTARTS_DOCUMENT
                            ? "each pass is a document of its own"
                            : "each pass goes on where the last one ended");
  for (guint i = 0; importer->announced != NULL && i < importer->layers->len; i++)
    {
      gint32 number = g_array_index (importer->layers, gint32, i);
      gboolean announced = FALSE;

      for (guint j = 0; j < importer->announced->len && !announced; j++)
        announced = g_array_index (importer->announced, gint32, j) == number;
      if (!announced && foreign++ < 8)
        g_string_append_printf (numbers, "%s%d", foreign > 1 ? ", " : "", number);
    }
  if (foreign > 0)
    ms_importer_remark (importer, "layers-not-announced", MS_SEVERITY_DOUBT, foreign, NULL,
                        "the trace says which layers it is about, but %u of its %u layers are none "
                        "of these (%s%s): their numbers may be those of hooks, not of layers",
                        foreign, importer->layers->len, numbers->str, foreign > 8 ? ", ..." : "");
}

/* Layers whose experts all have the same count: what old importance matrices keep is one count for all. */
static void
check_equal_counts (MsImportLayout *layout)
{
  MsImporter *importer = layout->importer;
  guint equal = 0;

  for (guint i = 0; i < layout->n_layers; i++)
    {
      g_autofree guint64 *counts = g_new0 (guint64, layout->n_experts);
      gboolean same = layout->n_experts > 1;

      for (gsize j = 0; j < (gsize) layout->n_tokens * layout->k; j++)
        if (layout->layers[i].experts[j] != MS_NO_EXPERT)
          counts[layout->layers[i].experts[j]]++;
      for (guint e = 1; e < layout->n_experts && same; e++)
        same = counts[e] == counts[0];
      equal += same && counts[0] >= 8;
    }
  if (equal > 0)
    ms_importer_remark (importer, "equal-counts", MS_SEVERITY_FAULT, equal, NULL,
                        "at %u of %u layers all experts have the same count: one count was written "
                        "for all of them, which says nothing about routing",
                        equal, layout->n_layers);
}

void
ms_import_layout_check (MsImportLayout *layout)
{
  layout->suspects = g_array_new (FALSE, FALSE, sizeof (MsImportSpan));
  check_numbering (layout);
  if (layout->importer->tables[MS_RECORD_COUNT].file != NULL)
    {
      check_equal_counts (layout);
      return;
    }
  check_weights (layout);
  check_repeated (layout);
  check_constant (layout);
  check_ids (layout);
  check_pairing (layout);
  check_ties (layout);
  label_suspects (layout);
}

/* --- Left out -------------------------------------------------------------------------------- */

/* Moves the rows of tokens that stay to the front of the arrays. */
static void
close_up (MsImportLayout *layout, const gint32 *to, gint64 n_tokens)
{
  const MsImporter *importer = layout->importer;

  for (guint l = 0; l < layout->n_layers; l++)
    {
      gsize at = 0;

      for (guint i = 0; i < importer->documents->len; i++)
        {
          const MsDocument *document = importer->documents->pdata[i];

          for (gint64 t = 0; t < document->n_tokens; t++)
            if (to[document->first_token + t] >= 0)
              ms_decisions_copy (&layout->layers[l], at++, &layout->layers[l],
                                 (gsize) (document->first_token + t), 1, layout->k,
                                 layout->n_experts);
        }
    }
  layout->n_tokens = n_tokens;
}

gboolean
ms_import_layout_exclude (MsImportLayout *layout, GError **error)
{
  MsImporter *importer = layout->importer;
  g_autofree gint32 *to = g_new0 (gint32, (gsize) layout->n_tokens);
  gint64 n = 0, first = 0;

  if (!importer->options->exclude_suspect || layout->suspects->len == 0)
    return TRUE;
  for (guint i = 0; i < layout->suspects->len; i++)
    {
      const MsImportSpan *span = &g_array_index (layout->suspects, MsImportSpan, i);
      const MsDocument *document = importer->documents->pdata[span->sequence];

      for (gint32 t = span->first; t <= span->last; t++)
        to[document->first_token + t] = -1;
    }
  for (guint i = 0; i < importer->documents->len; i++)
    {
      const MsDocument *document = importer->documents->pdata[i];
      gint32 next = 0;

      for (gint64 t = document->first_token; t < document->first_token + document->n_tokens; t++)
        if (to[t] >= 0)
          to[t] = next++;
      n += next;
    }
  if (n == 0)
    return ms_import_fail (error, importer->options->inputs[0], 0,
                           "all tokens are suspected to be no routing (--exclude-suspect)");
  ms_importer_note (importer,
                    "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " tokens are left out, which "
                    "are suspected to be no routing",
                    layout->n_tokens - n, layout->n_tokens);
  ms_importer_renumber (importer, &importer->tables[MS_RECORD_TOKEN], to);
  ms_import_labels_renumber (importer->labels, importer, to);
  close_up (layout, to, n);
  for (guint i = 0; i < importer->documents->len; i++)
    {
      MsDocument *document = importer->documents->pdata[i];
      gint64 kept = 0;

      for (gint64 t = 0; t < document->n_tokens; t++)
        kept += to[document->first_token + t] >= 0;
      document->first_token = first;
      document->n_tokens = kept;
      first += kept;
    }
  return TRUE;
}
