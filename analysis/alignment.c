/* Whether two runs that seem to differ are only laid against each other wrongly: moved by tokens, by layers,
 * or with experts of other numbers.  Every reading is measured on lists of equal length (the first m of both,
 * m the smaller number of a token's experts), so that another k is no change by itself.
 *
 * A renumbering is fitted to the data and would always find something: it is therefore judged on tokens that
 * it was not fitted to.  What is told of it is the fit to all. */
#include "aligned-private.h"

#include <math.h>
#include <string.h>

#define MOST_TOKENS 50000 /* of the first documents: more would not change the verdict */
#define REACH       2     /* tokens or layers that a run is moved by, at most */
#define HALF        8     /* tokens in a row that go to the same half of a check */
#define SURE        5     /* standard errors of a difference between readings */

typedef struct
{
  double decisions, changed, overlap; /* sums over (token, layer) */
  double held_changed, held_overlap;  /* the same by numbers fitted to the other half */
} Fit;

typedef struct
{
  MsTrace *a, *b;
  const MsReading *readings;
  guint n_readings, n_layers;
  Fit *fits;       /* (layers, readings) */
  double *chance;  /* (layers) overlap of tokens of A with any tokens of B, summed */
  double *aligned; /* (layers) decisions behind it */
  guint *perm;     /* (T) the token of B that a token of A is laid against by chance */
} Job;

/* The best one-to-one assignment of rows to columns (n) by gain (n, n), row by row with the method of
 * potentials (Kuhn and Munkres): column_of (n). */
static void
match (const gint64 *gain, guint n, guint *column_of)
{
  g_autofree gint64 *row_potential = g_new0 (gint64, n + 1);
  g_autofree gint64 *potential = g_new0 (gint64, n + 1);
  g_autofree gint64 *least = g_new (gint64, n + 1);
  g_autofree guint *row_of = g_new0 (guint, n + 1); /* from 1; 0 = none; column 0 is the start */
  g_autofree guint *way = g_new0 (guint, n + 1);
  g_autofree gboolean *done = g_new (gboolean, n + 1);

  for (guint row = 1; row <= n; row++)
    {
      guint column = 0;

      row_of[0] = row;
      for (guint j = 0; j <= n; j++)
        {
          least[j] = G_MAXINT64;
          done[j] = FALSE;
        }
      while (row_of[column] != 0)
        {
          guint from = row_of[column], next = 0;
          gint64 step = G_MAXINT64;

          done[column] = TRUE;
          for (guint j = 1; j <= n; j++)
            if (!done[j])
              {
                gint64 cost
                    = -gain[(gsize) (from - 1) * n + j - 1] - row_potential[from] - potential[j];

                if (cost < least[j])
                  {
                    least[j] = cost;
                    way[j] = column;
                  }
                if (least[j] < step)
                  {
                    step = least[j];
                    next = j;
                  }
              }
          for (guint j = 0; j <= n; j++)
            if (done[j])
              {
                row_potential[row_of[j]] += step;
                potential[j] -= step;
              }
            else
              least[j] -= step;
          column = next;
        }
      for (; column != 0; column = way[column])
        row_of[column] = row_of[way[column]];
    }
  for (guint j = 1; j <= n; j++)
    column_of[row_of[j] - 1] = j - 1;
}

static guint
size_of (const guint16 *set, guint k)
{
  guint n = 0;

  while (n < k && set[n] != MS_NO_EXPERT)
    n++;
  return n;
}

/* Experts in common of the first m of both lists, those of B by their numbers in A (NULL = their own). */
static guint
common_of (const guint16 *a, const guint16 *b, guint m, const guint *number)
{
  guint common = 0;

  for (guint i = 0; i < m; i++)
    for (guint j = 0; j < m; j++)
      common += a[i] == (number != NULL ? number[b[j]] : b[j]);
  return common;
}

/* Calls for each pair of rows that a move by `tokens` lays upon each other: token t of A, t - tokens of B. */
typedef void (*PairFunc) (const guint16 *a, const guint16 *b, guint m, guint half, gpointer data);

static void
walk_pairs (const Job *job, const MsLayerTrace *a, const MsLayerTrace *b, int tokens, PairFunc func,
            gpointer data)
{
  for (guint d = 0; d < ms_trace_n_documents (job->a); d++)
    {
      const MsDocument *x = ms_trace_document (job->a, d), *y = ms_trace_document (job->b, d);

      for (gint64 t = MAX (tokens, 0); t < x->n_tokens + MIN (tokens, 0); t++)
        {
          const guint16 *set_a = a->experts + (x->first_token + t) * a->k;
          const guint16 *set_b = b->experts + (y->first_token + t - tokens) * b->k;
          guint m = MIN (size_of (set_a, a->k), size_of (set_b, b->k));

          if (m > 0)
            func (set_a, set_b, m, (guint) (t / HALF) & 1, data);
        }
    }
}

typedef struct
{
  Fit *fit;
  guint n;         /* experts */
  gint64 *gain[2]; /* (E of B, E of A) how often both are chosen, of each half */
  guint *number;   /* (E) of an expert of B in A; NULL = its own */
  guint *held[2];  /* the same fitted to the other half */
} Walk;

static void
count_pair (const guint16 *a, const guint16 *b, guint m, guint half, gpointer data)
{
  Walk *walk = data;

  for (guint i = 0; i < m; i++)
    for (guint j = 0; j < m; j++)
      walk->gain[half][(gsize) b[j] * walk->n + a[i]] += 2;
}

static void
measure_pair (const guint16 *a, const guint16 *b, guint m, guint half, gpointer data)
{
  Walk *walk = data;
  guint common = common_of (a, b, m, walk->number);
  guint held = walk->number != NULL ? common_of (a, b, m, walk->held[half]) : common;

  walk->fit->decisions++;
  walk->fit->changed += common < m;
  walk->fit->overlap += (double) common / m;
  walk->fit->held_changed += held < m;
  walk->fit->held_overlap += (double) held / m;
}

/* Numbers of the experts of B that agree best with A: over all tokens, and over each half for the other. */
static void
renumber (Walk *walk)
{
  gsize cells = (gsize) walk->n * walk->n;
  g_autofree gint64 *both = g_new (gint64, cells);

  /* Of equals the number that an expert has anyway. */
  for (guint half = 0; half < 2; half++)
    for (guint e = 0; e < walk->n; e++)
      walk->gain[half][(gsize) e * walk->n + e]++;
  for (gsize i = 0; i < cells; i++)
    both[i] = walk->gain[0][i] + walk->gain[1][i];
  match (both, walk->n, walk->number);
  match (walk->gain[0], walk->n, walk->held[1]);
  match (walk->gain[1], walk->n, walk->held[0]);
}

static void
read_pairs (const Job *job, const MsReading *reading, const MsLayerTrace *a, const MsLayerTrace *b,
            Fit *fit)
{
  Walk walk = { .fit = fit, .n = a->n_experts };
  gsize cells = (gsize) walk.n * walk.n;

  if (reading->renumbered)
    {
      for (guint half = 0; half < 2; half++)
        {
          walk.gain[half] = g_new0 (gint64, cells);
          walk.held[half] = g_new (guint, walk.n);
        }
      walk.number = g_new (guint, walk.n);
      walk_pairs (job, a, b, reading->tokens, count_pair, &walk);
      renumber (&walk);
    }
  walk_pairs (job, a, b, reading->tokens, measure_pair, &walk);
  for (guint half = 0; half < 2; half++)
    {
      g_free (walk.gain[half]);
      g_free (walk.held[half]);
    }
  g_free (walk.number);
}

/* Tokens of A against any tokens of B: what is left of the overlap when position means nothing. */
static void
add_chance (const Job *job, const MsLayerTrace *a, const MsLayerTrace *b, guint index)
{
  for (gint64 t = 0; t < a->n_tokens; t++)
    {
      const guint16 *set_a = a->experts + t * a->k;
      const guint16 *set_b = b->experts + (gsize) job->perm[t] * b->k;
      guint m = MIN (size_of (set_a, a->k), size_of (set_b, b->k));

      if (m == 0)
        continue;
      job->chance[index] += (double) common_of (set_a, set_b, m, NULL) / m;
      job->aligned[index]++;
    }
}

static gboolean
read_layer (const MsContext *context, guint index, gpointer data, GError **error)
{
  Job *job = data;
  g_autoptr (MsLayerTrace) a
      = ms_trace_load_layer (job->a, index, MS_CHUNK_EXPERTS, context->cancel, error);

  if (a == NULL)
    return FALSE;
  for (int move = -REACH; move <= REACH; move++)
    {
      int at = (int) index - move;
      g_autoptr (MsLayerTrace) b = NULL;

      if (at < 0 || at >= (int) job->n_layers)
        continue;
      for (guint i = 0; i < job->n_readings; i++)
        {
          Fit *fit = &job->fits[(gsize) index * job->n_readings + i];

          if (job->readings[i].layers != move)
            continue;
          if (b == NULL)
            b = ms_trace_load_layer (job->b, (guint) at, MS_CHUNK_EXPERTS, context->cancel, error);
          if (b == NULL)
            return FALSE;
          if (b->n_experts == a->n_experts)
            read_pairs (job, &job->readings[i], a, b, fit);
        }
      if (b != NULL && move == 0 && job->chance != NULL)
        add_chance (job, a, b, index);
    }
  return TRUE;
}

/* The sums of a reading over layers from..to-1. */
static void
sum_fits (const Job *job, guint from, guint to, guint reading, MsAlignment *out)
{
  Fit sum = { 0 };

  for (guint l = from; l < to; l++)
    {
      const Fit *fit = &job->fits[(gsize) l * job->n_readings + reading];

      sum.decisions += fit->decisions;
      sum.changed += fit->changed;
      sum.overlap += fit->overlap;
      sum.held_changed += fit->held_changed;
      sum.held_overlap += fit->held_overlap;
    }
  out->reading = job->readings[reading];
  out->decisions = sum.decisions;
  out->changed = sum.decisions > 0 ? sum.changed / sum.decisions : NAN;
  out->overlap = sum.decisions > 0 ? sum.overlap / sum.decisions : NAN;
  out->held_changed = sum.decisions > 0 ? sum.held_changed / sum.decisions : NAN;
  out->held_overlap = sum.decisions > 0 ? sum.held_overlap / sum.decisions : NAN;
}

/* Whether a reading explains the difference that `as_is` shows: it takes away half of it at least, and no
 * accident of few decisions does that. */
static gboolean
explains (const MsAlignment *as_is, const MsAlignment *other)
{
  double miss = 1 - as_is->overlap, left = 1 - other->held_overlap;
  double n = MIN (as_is->decisions, other->decisions);

  return left <= miss / 2 && other->held_changed < as_is->changed
         && miss - left > SURE * sqrt ((miss * (1 - miss) + left * (1 - left)) / n);
}

static const MsReading simple[] = {
  { 0, 0, FALSE },  { -1, 0, FALSE }, { 1, 0, FALSE },  { -2, 0, FALSE }, { 2, 0, FALSE },
  { 0, -1, FALSE }, { 0, 1, FALSE },  { 0, -2, FALSE }, { 0, 2, FALSE },  { 0, 0, TRUE },
};

/* Two faults at once, looked at when one alone explains nothing. */
static const MsReading twofold[] = {
  { -1, 0, TRUE },
  { 1, 0, TRUE },
  { 0, -1, TRUE },
  { 0, 1, TRUE },
};

/* Readings that explain the difference of some layers, as a text; NULL when they explain none or all. */
static char *
explain_layers (const Job *job)
{
  GString *text = g_string_new (NULL);
  guint n = 0;

  for (guint l = 0; l < job->n_layers; l++)
    {
      MsAlignment as_is, other, best = { 0 };
      gboolean found = FALSE;

      sum_fits (job, l, l + 1, 0, &as_is);
      for (guint i = 1; i < job->n_readings; i++)
        {
          sum_fits (job, l, l + 1, i, &other);
          if (!explains (&as_is, &other) || (found && other.held_overlap <= best.held_overlap))
            continue;
          found = TRUE;
          best = other;
        }
      n += found ? 1 : 0;
      if (found)
        {
          g_autofree char *name = ms_reading_name (&best.reading);

          g_string_append_printf (text, "%slayer %d: %s gives %.3g %% change instead of %.3g %%",
                                  text->len > 0 ? "; " : "", ms_trace_layer (job->a, l)->number,
                                  name, 100 * best.changed, 100 * as_is.changed);
        }
    }
  return g_string_free (text, n == 0 || n == job->n_layers);
}

static gboolean
read_all (const MsContext *context, Job *job, const MsReading *readings, guint n, MsAligning *out,
          GError **error)
{
  g_autofree Fit *fits = g_new0 (Fit, (gsize) job->n_layers * n);

  job->readings = readings;
  job->n_readings = n;
  job->fits = fits;
  if (!ms_context_tasks (context, job->n_layers, read_layer, job, 0.9, 0.95, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      MsAlignment *alignment = &out->all[out->n++];

      sum_fits (job, 0, job->n_layers, i, alignment);
      if (out->n > 1 && explains (&out->all[0], alignment)
          && (out->best == 0 || alignment->held_overlap > out->all[out->best].held_overlap))
        out->best = out->n - 1;
    }
  if (readings == simple)
    out->layers = explain_layers (job);
  return TRUE;
}

/* The first documents of a trace, as many as have MOST_TOKENS; the trace itself when it has no more. */
static MsTrace *
narrow (MsTrace *trace)
{
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (guint));
  gint64 n_tokens = 0;

  for (guint d = 0; d < ms_trace_n_documents (trace) && n_tokens < MOST_TOKENS; d++)
    {
      guint number = ms_trace_document_number (trace, d);

      n_tokens += ms_trace_document (trace, d)->n_tokens;
      g_array_append_val (numbers, number);
    }
  return ms_trace_narrow (trace, (guint *) (gpointer) numbers->data, numbers->len);
}

static guint *
permutation (guint n, guint64 seed)
{
  guint *perm = g_new (guint, n + 1);
  guint64 state = ms_seed (seed, 0x616c69);

  for (guint i = 0; i < n; i++)
    {
      guint j = (guint) ms_random_below (&state, i + 1);

      perm[i] = perm[j];
      perm[j] = i;
    }
  return perm;
}

gboolean
ms_context_aligning (const MsContext *context, MsAligning *out, GError **error)
{
  g_autoptr (MsTrace) a = narrow (context->trace);
  g_autoptr (MsTrace) b = narrow (context->others[0]);
  guint n_layers = ms_trace_n_layers (a);
  g_autofree double *chance = g_new0 (double, n_layers);
  g_autofree double *aligned = g_new0 (double, n_layers);
  g_autofree guint *perm = permutation ((guint) ms_trace_n_tokens (a), context->sampling.seed);
  Job job = { .a = a, .b = b, .n_layers = n_layers, .chance = chance, .aligned = aligned };
  double sum = 0, n = 0;

  G_STATIC_ASSERT (G_N_ELEMENTS (simple) + G_N_ELEMENTS (twofold) == MS_READINGS);
  job.perm = perm;
  *out = (MsAligning){ .n_tokens = ms_trace_n_tokens (a) };
  if (!read_all (context, &job, simple, G_N_ELEMENTS (simple), out, error))
    return FALSE;
  for (guint l = 0; l < n_layers; l++)
    {
      sum += chance[l];
      n += aligned[l];
    }
  out->chance = n > 0 ? sum / n : NAN;
  job.chance = NULL;
  return out->best != 0 || !ms_aligning_at_chance (out)
         || read_all (context, &job, twofold, G_N_ELEMENTS (twofold), out, error);
}

gboolean
ms_aligning_at_chance (const MsAligning *aligning)
{
  const MsAlignment *as_is = &aligning->all[0];
  double error = sqrt (aligning->chance * (1 - aligning->chance) / as_is->decisions);

  return as_is->overlap - aligning->chance <= MAX (0.05 * (1 - aligning->chance), 2 * error);
}

char *
ms_reading_name (const MsReading *reading)
{
  GString *name = g_string_new (NULL);

  if (reading->tokens != 0)
    g_string_append_printf (name, "moving the baseline by %+d token%s", reading->tokens,
                            ABS (reading->tokens) == 1 ? "" : "s");
  if (reading->layers != 0)
    g_string_append_printf (name, "moving the baseline by %+d MoE layer%s", reading->layers,
                            ABS (reading->layers) == 1 ? "" : "s");
  if (reading->renumbered)
    g_string_append (name, name->len > 0 ? " and renumbering its experts"
                                         : "renumbering the experts of the baseline");
  if (name->len == 0)
    g_string_append (name, "as they are");
  return g_string_free (name, FALSE);
}
