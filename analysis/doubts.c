/* What a trace's own numbers say against taking it for a router's choices on independent texts: decisions that
 * are exact ties, documents that are copies, weights that are none.  Counted here alone; `check` and reports
 * tell them of the whole trace, each analysis those that touch its result. */
#include "analysis-private.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

#define LOOKED_AT                                                                                  \
  4096           /* rows of each layer from which an analysis learns whether its router is tied */
#define TIED 0.5 /* of the decisions: from here on the layer's choice is the tie rule's */

typedef struct
{
  MsLayerDoubts *doubts;
  guint64 most; /* rows; 0 = all */
  gboolean enough;
} Counting;

static gboolean
count_rows (const MsChunk *chunk, guint from, guint n, gint64 row, guint document, gpointer data,
            GError **error)
{
  Counting *counting = data;
  MsLayerDoubts *doubts = counting->doubts;

  (void) row, (void) document;
  for (guint i = from; i < from + n; i++)
    {
      gboolean negative = FALSE, missing = FALSE;

      if (chunk->margin != NULL && !isnan (chunk->margin[i]))
        {
          doubts->with_margin++;
          doubts->ties += chunk->margin[i] == 0;
        }
      for (guint r = 0; r < chunk->k && chunk->weights != NULL; r++)
        if (ms_chunk_expert (chunk, (gsize) i * chunk->k + r) != MS_NO_EXPERT)
          {
            float weight = chunk->weights[(gsize) i * chunk->k + r];

            negative = negative || weight < 0;
            missing = missing || isnan (weight);
          }
      doubts->rows++;
      doubts->idle
          += chunk->k == 0 || ms_chunk_expert (chunk, (gsize) i * chunk->k) == MS_NO_EXPERT;
      doubts->negative += negative;
      doubts->unweighted += missing;
    }
  counting->enough = counting->most > 0 && doubts->rows >= counting->most;
  if (counting->enough)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "enough rows");
  return !counting->enough;
}

gboolean
ms_trace_count_doubts (MsTrace *trace, guint layer, guint64 most, MsLayerDoubts *doubts,
                       GCancellable *cancel, GError **error)
{
  guint columns = ms_trace_run (trace)->columns & MS_CHUNK_MARGIN;
  Counting counting = { doubts, most, FALSE };
  GError *failure = NULL;

  memset (doubts, 0, sizeof *doubts);
  if (most == 0) /* an analysis asks for ties alone */
    columns |= MS_CHUNK_WEIGHTS;
  if (ms_trace_scan_layer (trace, layer, columns, count_rows, &counting, cancel, &failure))
    return TRUE;
  if (counting.enough)
    {
      g_clear_error (&failure);
      return TRUE;
    }
  g_propagate_error (error, failure);
  return FALSE;
}

static gboolean
is_tied (const MsLayerDoubts *doubts)
{
  return doubts->with_margin > 0 && (double) doubts->ties >= TIED * (double) doubts->with_margin;
}

/* "layer 3", "layers 3, 4 and 7", "all 24 MoE layers": of those marked. */
static char *
name_layers (const MsTrace *trace, const gboolean *marked)
{
  guint n_layers = ms_trace_n_layers (trace), n = 0, at = 0;
  GString *text;

  for (guint l = 0; l < n_layers; l++)
    n += marked[l] ? 1 : 0;
  if (n == n_layers && n > 1)
    return g_strdup_printf ("all %u MoE layers", n);
  text = g_string_new (n == 1 ? "layer " : "layers ");
  for (guint l = 0; l < n_layers; l++)
    if (marked[l])
      {
        g_string_append_printf (text, "%s%d",
                                at == 0       ? ""
                                : at + 1 == n ? " and "
                                              : ", ",
                                ms_trace_layer (trace, l)->number);
        at++;
      }
  return g_string_free (text, FALSE);
}

/* Counts of all layers (n), newly allocated; NULL with *error set on failure. */
static MsLayerDoubts *
count_layers (MsTrace *trace, guint64 most, GCancellable *cancel, GError **error)
{
  g_autofree MsLayerDoubts *all = g_new0 (MsLayerDoubts, ms_trace_n_layers (trace) + 1);

  for (guint l = 0; l < ms_trace_n_layers (trace); l++)
    if (!ms_trace_count_doubts (trace, l, most, &all[l], cancel, error))
      return NULL;
  return g_steal_pointer (&all);
}

/* --- The whole trace, for check and reports ---------------------------------------------------- */

static void
tell_ties (const MsTrace *trace, const MsLayerDoubts *all, GPtrArray *told)
{
  guint n_layers = ms_trace_n_layers (trace);
  g_autofree gboolean *tied = g_new0 (gboolean, n_layers + 1);
  g_autofree char *layers = NULL;
  double ties = 0, n = 0;

  for (guint l = 0; l < n_layers; l++)
    if ((tied[l] = is_tied (&all[l])))
      {
        ties += (double) all[l].ties;
        n += (double) all[l].with_margin;
      }
  if (n == 0)
    return;
  layers = name_layers (trace, tied);
  g_ptr_array_add (told,
                   g_strdup_printf ("%.3g %% of the decisions of %s are exact ties (margin 0): "
                                    "the router gives equal scores and the lower expert id is "
                                    "chosen, which tells nothing about the model",
                                    100 * ties / n, layers));
}

static void
tell_weights (const MsTrace *trace, const MsLayerDoubts *all, GPtrArray *told)
{
  double rows = 0, negative = 0, unweighted = 0;

  for (guint l = 0; l < ms_trace_n_layers (trace); l++)
    {
      rows += (double) all[l].rows;
      negative += (double) all[l].negative;
      unweighted += (double) all[l].unweighted;
    }
  if (negative > 0)
    g_ptr_array_add (told,
                     g_strdup_printf ("%.0f of %.0f decisions have a negative weight: these are no "
                                      "combine weights (logits?), so gate mass and whatever else "
                                      "is weighted by them is undefined",
                                      negative, rows));
  if (unweighted > 0)
    g_ptr_array_add (told, g_strdup_printf ("%.0f of %.0f decisions have no weight: what is "
                                            "weighted by them is undefined",
                                            unweighted, rows));
}

static void
tell_copies (const MsTrace *trace, const MsClusters *clusters, GPtrArray *told)
{
  if (clusters == NULL || clusters->n_copies == 0)
    return;
  g_ptr_array_add (told, g_strdup_printf ("%u of %u documents are copies of an earlier one (the "
                                          "same text): they are one observation with it",
                                          clusters->n_copies, ms_trace_n_documents (trace)));
}

GPtrArray *
ms_trace_doubts (MsTrace *trace, GCancellable *cancel, GError **error)
{
  g_autofree MsLayerDoubts *all = count_layers (trace, 0, cancel, error);
  g_autoptr (GPtrArray) told = g_ptr_array_new_with_free_func (g_free);
  GError *failure = NULL;

  if (all == NULL)
    return NULL;
  tell_copies (trace, ms_trace_clusters (trace, NULL, &failure), told);
  if (failure != NULL)
    {
      g_propagate_error (error, failure);
      return NULL;
    }
  tell_ties (trace, all, told);
  tell_weights (trace, all, told);
  return g_steal_pointer (&told);
}

/* --- Advice about experts ---------------------------------------------------------------------- */

gboolean
ms_scarcity_add (MsScarcity *scarcity, double count, double n_tokens, double least)
{
  gboolean decided = count >= least;

  scarcity->n++;
  if (decided)
    return TRUE;
  scarcity->undecided++;
  if (count > 0)
    scarcity->more = MAX (scarcity->more, n_tokens * (least / count - 1));
  else
    scarcity->never++;
  return FALSE;
}

char *
ms_scarcity_sentence (const MsScarcity *scarcity, const char *what, double least)
{
  guint chosen = scarcity->undecided - scarcity->never;
  GString *text;

  if (scarcity->undecided == 0)
    return NULL;
  text = g_string_new (NULL);
  g_string_append_printf (text, "%u of %u %s %s not decided: fewer than %.0f tokens chose %s",
                          scarcity->undecided, scarcity->n, what,
                          scarcity->undecided == 1 ? "is" : "are", least,
                          scarcity->undecided == 1 ? "it" : "them");
  if (scarcity->never > 0 && chosen > 0)
    g_string_append_printf (text, " (%u none at all)", scarcity->never);
  if (chosen > 0)
    g_string_append_printf (text, "; about %.2g more tokens of such text would be needed",
                            scarcity->more);
  else
    g_string_append (text, "; none chose any, so how many more would be needed cannot be told");
  return g_string_free (text, FALSE);
}

/* --- A result ---------------------------------------------------------------------------------- */

/* Whether a finding speaks of one of the marked layers. */
static gboolean
lies_in (const MsFinding *finding, const MsTrace *trace, const gboolean *marked)
{
  g_autoptr (MsSelection) place
      = finding->place != NULL ? ms_selection_parse (finding->place, NULL) : NULL;

  for (guint l = 0; l < ms_trace_n_layers (trace); l++)
    if (marked[l]
        && (place == NULL || place->layers == NULL
            || ms_ranges_include (place->layers, ms_trace_layer (trace, l)->number)))
      return TRUE;
  return FALSE;
}

/* Whether no token of the trace has an expert in any layer; `all` are counts of the first rows. */
static gboolean
is_idle (MsTrace *trace, const MsLayerDoubts *all, GCancellable *cancel)
{
  g_autofree MsLayerDoubts *exact = NULL;

  for (guint l = 0; l < ms_trace_n_layers (trace); l++)
    if (all[l].idle < all[l].rows)
      return FALSE;
  exact = count_layers (trace, 0, cancel, NULL);
  for (guint l = 0; exact != NULL && l < ms_trace_n_layers (trace); l++)
    if (exact[l].idle < exact[l].rows)
      return FALSE;
  return TRUE;
}

gboolean
ms_result_doubt (MsResult *result, const MsContext *context, GError **error)
{
  MsTrace *trace = context->trace;
  guint n_layers = ms_trace_n_layers (trace), n_tied = 0;
  g_autofree MsLayerDoubts *all = count_layers (trace, LOOKED_AT, context->cancel, error);
  g_autofree gboolean *tied = g_new0 (gboolean, n_layers + 1);
  g_autofree char *layers = NULL, *before = NULL;

  if (all == NULL)
    return FALSE;
  if (is_idle (trace, all, context->cancel))
    {
      g_free (result->summary);
      result->summary = g_strdup ("No selected token has an expert: there is nothing to measure.");
      g_array_set_size (result->findings, 0);
    }
  for (guint l = 0; l < n_layers; l++)
    n_tied += (tied[l] = is_tied (&all[l])) ? 1 : 0;
  if (n_tied == 0)
    return TRUE;
  layers = name_layers (trace, tied);
  ms_result_note (result,
                  "Tied router: most decisions of %s are exact ties (margin 0), settled by the "
                  "lower expert id; nothing is listed as standing out there.",
                  layers);
  for (guint i = result->findings->len; i-- > 0;)
    if (lies_in (&g_array_index (result->findings, MsFinding, i), trace, tied))
      g_array_remove_index (result->findings, i);
  if (n_tied == n_layers && result->summary != NULL)
    {
      before = result->summary;
      result->summary = g_strdup_printf (
          "The router is tied (margin 0) and the lower expert id decides, so this tells nothing "
          "about the model: %s",
          before);
    }
  return TRUE;
}
