/* Findings of a collection.
 *
 * What must hold: a finding is a count with its whole, never a guess; each says what it means for the
 * numbers and, where something can be done, what. */
#include "findings-private.h"

#include <math.h>
#include <string.h>

static void add (GPtrArray *remarks, const char *code, MsSeverity severity, gint64 count,
                 const char *place, const char *format, ...) G_GNUC_PRINTF (6, 7);

static void
add (GPtrArray *remarks, const char *code, MsSeverity severity, gint64 count, const char *place,
     const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (remarks, ms_remark_new (code, severity, count, place, format, args));
  va_end (args);
}

void
ms_findings_routers (const MsPlan *plan, GPtrArray *remarks)
{
  const char *type = NULL;
  guint n = 0;

  for (guint b = 0; b < plan->n_blocks; b++)
    {
      const MsTensor *router = plan->blocks[b].is_moe ? plan->blocks[b].logits.tensor : NULL;

      if (router == NULL || router->type->block_values == 1)
        continue;
      type = router->type->name;
      n++;
    }
  if (n > 0)
    add (remarks, "quantised-router", MS_SEVERITY_DOUBT, n, NULL,
         "the routers of %u of %u layers are stored quantised (%s): choices between close scores "
         "may differ from those of the original model; a conversion that leaves ffn_gate_inp in "
         "F32 keeps them",
         n, plan->n_moe, type);
}

void
ms_findings_context (const MsPlan *plan, const MsCorpus *corpus, GPtrArray *remarks)
{
  const MsDocument *longest = NULL;
  gint64 beyond = 0;
  guint n = 0;

  for (guint i = 0; i < corpus->n_documents && plan->context > 0; i++)
    {
      const MsDocument *document = &corpus->documents[i];

      if (document->n_tokens <= plan->context)
        continue;
      n++;
      beyond += document->n_tokens - plan->context;
      if (longest == NULL || document->n_tokens > longest->n_tokens)
        longest = document;
    }
  if (n > 0)
    add (remarks, "beyond-context", MS_SEVERITY_DOUBT, beyond, NULL,
         "%u of %u documents %s longer than the model's context of %u tokens (the longest, '%s', "
         "has "
         "%" G_GINT64_FORMAT "): routing of the %" G_GINT64_FORMAT
         " tokens beyond it is outside of "
         "what the model was trained for; --max-tokens %u cuts them",
         n, corpus->n_documents, n == 1 ? "is" : "are", plan->context, longest->name,
         longest->n_tokens, beyond, plan->context);
}

void
ms_findings_spelled (const MsSpelled *spelled, GPtrArray *remarks)
{
  if (spelled->n > 0)
    add (remarks, "special-tokens-as-text", MS_SEVERITY_DOUBT, spelled->n, NULL,
         "the texts of %u %s spell %" G_GINT64_FORMAT " special %s, taken as plain characters: the "
         "model never reads them so in use; --parse-special takes them as such",
         spelled->documents, spelled->documents == 1 ? "document" : "documents", spelled->n,
         spelled->n == 1 ? "token" : "tokens");
  if (spelled->lost > 0)
    add (remarks, "bytes-without-token", MS_SEVERITY_DOUBT, spelled->lost, NULL,
         "%" G_GINT64_FORMAT
         " %s of the texts of %u %s no token in the model's vocabulary, nor has "
         "it one for what it does not know: the model reads the texts without them",
         spelled->lost, spelled->lost == 1 ? "byte" : "bytes", spelled->lost_documents,
         spelled->lost_documents == 1 ? "document has" : "documents have");
}

void
ms_ties_count (MsTies *ties, const MsRows *rows, gsize from, gsize n)
{
  for (guint layer = 0; layer < rows->plan->n_moe; layer++)
    for (gsize t = from; t < from + n; t++)
      ties->ties[layer] += rows->layers[layer].margin[t] == 0;
  ties->n += (gint64) n;
}

void
ms_findings_ties (const MsPlan *plan, const MsTies *ties, GPtrArray *remarks)
{
  g_autoptr (GString) layers = g_string_new (NULL);
  gint64 all = 0;
  guint most = 0, n = 0;
  gint first = -1;

  for (guint b = 0, layer = 0; b < plan->n_blocks; b++)
    {
      if (!plan->blocks[b].is_moe)
        continue;
      if (ties->ties[layer] > 0 && n++ < 8)
        g_string_append_printf (layers, "%s%u", n > 1 ? ", " : "", b);
      first = ties->ties[layer] > 0 && first < 0 ? (gint) b : first;
      most += ties->ties[layer] * 10 > ties->n;
      all += ties->ties[layer++];
    }
  if (n > 8)
    g_string_append_printf (layers, " and %u more", n - 8);
  if (all > 0)
    {
      g_autofree char *place = g_strdup_printf ("layer=%d", first);

      add (remarks, "ties", most > 0 ? MS_SEVERITY_DOUBT : MS_SEVERITY_NOTE, all, place,
           "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
           " choices are exact ties (layers %s): the last "
           "chosen and the first rejected expert have the same score and the lower id is taken, so "
           "these choices tell nothing about the model%s",
           all, ties->n * plan->n_moe, layers->str,
           most > 0 ? "; such a router is tied or was never trained" : "");
    }
}

/* --- A model whose numbers break --------------------------------------------------------------- */

/* The first row with a value that is not finite, -1 = none; *nan: it is no number rather than infinite. */
static gint64
find_row (const MsTensor *tensor, gboolean *nan)
{
  gsize n = (gsize) tensor->ne[0];
  g_autofree float *values = g_new (float, n);

  for (gint64 row = 0; row < ms_tensor_n_rows (tensor); row++)
    {
      ms_tensor_to_float (tensor, row, 1, values);
      for (gsize i = 0; i < n; i++)
        if (!isfinite (values[i]))
          {
            *nan = isnan (values[i]);
            return row;
          }
    }
  return -1;
}

static gboolean
belongs_to (const MsTensor *tensor, const MsPlan *plan, guint block)
{
  const char *rest = tensor->name + strlen ("blk.");

  /* The embedding is what the first block reads, and often the output head too. */
  if (!g_str_has_prefix (tensor->name, "blk."))
    return block == 0 || block == plan->n_blocks;
  return g_ascii_isdigit (*rest) && g_ascii_strtoull (rest, NULL, 10) == block;
}

void
ms_findings_broken (const MsPlan *plan, const MsGguf *gguf, guint block, const char *document,
                    gint64 position, GError **error)
{
  g_autofree char *part
      = block < plan->n_blocks ? g_strdup_printf ("block %u", block) : g_strdup ("the output head");
  g_autofree char *path = ms_text_printable (ms_gguf_path (gguf), -1);

  for (guint i = 0; i < ms_gguf_n_tensors (gguf); i++)
    {
      const MsTensor *tensor = ms_gguf_tensor (gguf, i);
      g_autofree char *name = NULL, *expert = NULL;
      gboolean nan = FALSE;
      gint64 row;

      if (tensor->type->to_float == NULL || !belongs_to (tensor, plan, block)
          || (row = find_row (tensor, &nan)) < 0)
        continue;
      name = ms_text_printable (tensor->name, -1);
      expert = strstr (name, "exps.") == NULL ? g_strdup ("")
               : tensor->ne[2] > 1
                   ? g_strdup_printf (" (expert %" G_GINT64_FORMAT ")", row / tensor->ne[1])
                   : g_strdup_printf (" (expert %" G_GINT64_FORMAT ")", row);
      g_set_error (
          error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_CORRUPT,
          "%s: tensor %s%s has a value that is not finite (%s), which the model meets in %s "
          "at document '%s', position %" G_GINT64_FORMAT
          "; nothing it gives from there on is a number: get or convert the file again",
          path, name, expert, nan ? "NaN" : "infinite", part, document, position);
      return;
    }
  g_set_error (
      error, MS_COLLECTOR_ERROR, MS_COLLECTOR_ERROR_CORRUPT,
      "%s: the model's values overflow in %s at document '%s', position %" G_GINT64_FORMAT
      ", though all weights there are finite: the file does not fit its architecture, or its "
      "weights are scaled wrongly",
      path, part, document, position);
}
