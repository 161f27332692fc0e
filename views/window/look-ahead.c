/* A first look: the same analysis on about a fiftieth of the tokens, then on an eighth, without intervals.
 * What takes long even so is not worth it, and the whole is computed at once.  The first pass tells how long
 * the next may take, because most analyses grow with the tokens. */
#include "look-ahead-private.h"

/* Decisions of tokens (tokens times layers) below which a scan is too short to look at parts first. */
#define LONG_SCAN 2000000

/* The documents that begin in one of `of` blocks, whole, because many measures look at where a document
 * begins; spread over the run, because documents of a kind often stand together.  NULL when none does. */
static MsTrace *
thin (MsTrace *trace, guint of)
{
  g_autofree guint *numbers = g_new (guint, ms_trace_n_documents (trace));
  guint n = 0;

  for (guint d = 0; d < ms_trace_n_documents (trace); d++)
    if (ms_trace_document (trace, d)->first_token / MS_BLOCK_TOKENS % of == 0)
      numbers[n++] = ms_trace_document_number (trace, d);
  return n > 0 ? ms_trace_narrow (trace, numbers, n) : NULL;
}

/* The first blocks of tokens, one in `of`: what can be had of a few long documents.  NULL when the selection
 * has tokens of its own. */
static MsTrace *
begin (MsTrace *trace, guint of)
{
  g_autoptr (MsSelection) selection = ms_selection_copy (ms_trace_selection (trace));
  gint64 blocks = ms_trace_run (trace)->n_tokens / MS_BLOCK_TOKENS / of;
  MsRange range = { 0, MAX (blocks, 1) * MS_BLOCK_TOKENS - 1 };

  if (selection->tokens != NULL)
    return NULL;
  selection->tokens = g_array_new (FALSE, FALSE, sizeof (MsRange));
  g_array_append_val (selection->tokens, range);
  return ms_trace_open (ms_trace_path (trace), ms_trace_run (trace)->id, selection, NULL);
}

/* About one in `of` tokens, NULL when that cannot be had. */
static MsTrace *
part_of (MsTrace *trace, guint of)
{
  MsTrace *part = thin (trace, of);

  if (part == NULL || ms_trace_n_tokens (part) > 3 * ms_trace_n_tokens (trace) / of)
    {
      g_clear_pointer (&part, ms_trace_unref);
      part = begin (trace, of);
    }
  return part;
}

static GPtrArray *
part_of_all (GPtrArray *traces, guint of)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);

  for (guint i = 0; i < traces->len; i++)
    {
      MsTrace *part = part_of (g_ptr_array_index (traces, i), of);

      if (part == NULL)
        return NULL;
      g_ptr_array_add (parts, part);
    }
  return g_steal_pointer (&parts);
}

static void
cancel_too (GCancellable *cancelled, gpointer other)
{
  g_cancellable_cancel (other);
}

double
ms_look_ahead (MsWork *job, const MsRequest *request, MsTrace *trace, GPtrArray *others)
{
  static const struct
  {
    guint of;       /* a part is about 1 / of */
    double seconds; /* that it may take */
  } parts[] = { { 50, 6 }, { 8, 30 } };
  double before = 0, reached = 0, rate = 0;

  if (ms_trace_n_tokens (trace) * ms_trace_n_layers (trace) < LONG_SCAN)
    return 0;
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    {
      g_autoptr (MsTrace) part = part_of (trace, parts[i].of);
      g_autoptr (GPtrArray) other_parts = part_of_all (others, parts[i].of);
      g_autoptr (GCancellable) cancel = g_cancellable_new ();
      double share
          = part ? (double) ms_trace_n_tokens (part) / (double) ms_trace_n_tokens (trace) : 1;
      MsPass pass
          = { .job = job, .cancel = cancel, .rough = TRUE, .from = reached, .to = reached + share };
      MsOutcome *outcome;
      gulong link;

      if (share > 0.5 || share < 2 * before || share * rate > parts[i].seconds
          || other_parts == NULL)
        continue;
      pass.deadline = g_get_monotonic_time () + (gint64) (parts[i].seconds * G_USEC_PER_SEC);
      link = g_cancellable_connect (ms_work_cancellable (job), G_CALLBACK (cancel_too), cancel,
                                    NULL);
      outcome = ms_pass_run (&pass, ms_request_copy (request), part, other_parts, NULL);
      g_cancellable_disconnect (ms_work_cancellable (job), link);
      if (outcome == NULL)
        return reached; /* too long, or not possible on a part */
      reached = pass.to;
      before = share;
      rate = outcome->seconds / share; /* of the whole, when all of it grows with the tokens */
      if (rate < MS_WORTH_A_LOOK)
        {
          ms_outcome_unref (outcome);
          return reached;
        }
      ms_outcome_mark_partial (outcome, share);
      ms_work_offer (job, outcome);
    }
  return reached;
}
