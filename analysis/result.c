/* Running an analysis, and its result as JSON and in the database. */
#include "analysis-private.h"

#include <math.h>
#include <string.h>

/* --- Results --------------------------------------------------------------------------------- */

static void
clear_finding (gpointer data)
{
  MsFinding *finding = data;

  g_free (finding->text);
  g_free (finding->place);
}

MsResult *
ms_result_new (const MsAnalysis *analysis, MsTable *(*make) (const MsTableDef *) )
{
  MsResult *result = g_new0 (MsResult, 1);

  result->analysis = analysis;
  while (analysis->tables[result->n_tables].name != NULL)
    result->n_tables++;
  result->tables = g_new (MsTable *, result->n_tables);
  for (guint i = 0; i < result->n_tables; i++)
    result->tables[i] = make (&analysis->tables[i]);
  result->notes = g_ptr_array_new_with_free_func (g_free);
  result->findings = g_array_new (FALSE, FALSE, sizeof (MsFinding));
  g_array_set_clear_func (result->findings, clear_finding);
  return result;
}

void
ms_result_free (MsResult *result)
{
  if (result == NULL)
    return;
  for (guint i = 0; i < result->n_tables; i++)
    ms_table_unref (result->tables[i]);
  g_free (result->tables);
  g_free (result->summary);
  g_ptr_array_unref (result->notes);
  g_array_unref (result->findings);
  g_free (result->by);
  g_free (result);
}

MsTable *
ms_result_table (const MsResult *result, const char *name)
{
  for (guint i = 0; i < result->n_tables; i++)
    if (strcmp (ms_table_def (result->tables[i])->name, name) == 0)
      return result->tables[i];
  return NULL;
}

void
ms_result_note (MsResult *result, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (result->notes, g_strdup_vprintf (format, args));
  va_end (args);
}

void
ms_result_find (MsResult *result, double strength, char *place, const char *format, ...)
{
  MsFinding finding = { NULL, place, strength };
  va_list args;

  va_start (args, format);
  finding.text = g_strdup_vprintf (format, args);
  va_end (args);
  g_array_append_val (result->findings, finding);
}

static int
compare_findings (gconstpointer a, gconstpointer b)
{
  const MsFinding *left = a, *right = b;

  if (left->strength != right->strength)
    return left->strength > right->strength ? -1 : 1;
  return strcmp (left->text, right->text);
}

/* --- Needs ----------------------------------------------------------------------------------- */

/* How many different labels the selected documents have; with `shared` only labels of two or more. */
static guint
count_labels (const MsTrace *trace, gsize offset, gboolean shared)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  guint n = 0;

  for (guint i = 0; i < ms_trace_n_documents (trace); i++)
    {
      const char *label = G_STRUCT_MEMBER (char *, ms_trace_document (trace, i), offset);
      guint times;

      if (label == NULL)
        continue;
      times = GPOINTER_TO_UINT (g_hash_table_lookup (seen, label)) + 1;
      g_hash_table_insert (seen, (gpointer) label, GUINT_TO_POINTER (times));
      n += times == (shared ? 2 : 1);
    }
  return n;
}

char *
ms_analysis_missing (const MsAnalysis *analysis, MsTrace *trace, guint n_others)
{
  static const struct
  {
    guint need, column;
    const char *reason;
  } columns[] = {
    { MS_NEEDS_LOGITS, MS_CHUNK_LOGITS,
      "it needs the full router scores: collect with --scores or import them" },
    { MS_NEEDS_NORMS, MS_CHUNK_NORMS,
      "it needs the norms of the experts' outputs: collect with --norms" },
    { MS_NEEDS_PEAKS, MS_CHUNK_PEAKS,
      "it needs the largest element of the experts' outputs: collect with --norms" },
    { MS_NEEDS_SIMILARITY, MS_CHUNK_SIMILARITY,
      "it needs the similarity of each block's input and output: collect with --norms" },
  };
  guint needs = analysis->needs;
  const char *reason = NULL;
  g_autoptr (GError) error = NULL;

  if (trace == NULL)
    return needs & MS_NEEDS_NO_TRACE ? NULL : g_strdup ("it needs a recorded run");
  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    if (reason == NULL && (needs & columns[i].need)
        && !(ms_trace_run (trace)->columns & columns[i].column))
      reason = columns[i].reason;
  if (reason == NULL && !(needs & MS_TAKES_COUNTS)
      && g_strcmp0 (ms_trace_run (trace)->precision, MS_PRECISION_COUNTS) == 0)
    reason = "it looks at tokens one by one, and this run has counts alone";
  if (reason != NULL)
    return g_strdup (reason);
  if ((needs & MS_NEEDS_GATE) && !ms_trace_gated (trace, MS_GATE_SCORING, &error))
    return g_strdup (error->message);
  if ((needs & MS_NEEDS_PREDICTIONS) && !ms_trace_run (trace)->predictions)
    return g_strdup ("it needs the model's predicted tokens: collect with --predict");
  if ((needs & MS_NEEDS_LANGUAGES)
      && count_labels (trace, G_STRUCT_OFFSET (MsDocument, language), FALSE) < 2)
    return g_strdup ("it needs documents in two or more languages: label them `language`");
  if ((needs & MS_NEEDS_DOMAINS)
      && count_labels (trace, G_STRUCT_OFFSET (MsDocument, domain), FALSE) < 2)
    return g_strdup ("it needs documents of two or more domains: label them `domain`");
  if ((needs & MS_NEEDS_PARALLEL)
      && count_labels (trace, G_STRUCT_OFFSET (MsDocument, parallel), TRUE) < 1)
    return g_strdup ("it needs translations of the same text: label them with one `parallel` key");
  if ((needs & MS_NEEDS_OTHER) && n_others < 1)
    return g_strdup ("it needs a second run to compare with: give it with --other FILE[#RUN]");
  if ((needs & MS_NEEDS_SERIES) && n_others < 1)
    return g_strdup ("it needs a series of runs: give the further ones with --other FILE[#RUN]");
  if ((needs & MS_NEEDS_LAYERS) && ms_trace_n_layers (trace) < 2)
    return g_strdup ("it needs two or more MoE layers");
  return NULL;
}

/* --- A selection of experts ------------------------------------------------------------------ */

/* Whether a finding speaks of an expert that is not selected. */
static gboolean
is_elsewhere (const MsFinding *finding, const GArray *experts)
{
  g_autoptr (MsSelection) place
      = finding->place != NULL ? ms_selection_parse (finding->place, NULL) : NULL;

  return place != NULL && place->experts != NULL
         && !ms_ranges_include (experts, g_array_index (place->experts, MsRange, 0).first);
}

/* A selection of experts keeps the rows of these experts in every table that has a row for each; what
 * is measured stays over all of them. */
static void
keep_experts (MsResult *result, const GArray *experts)
{
  GString *whole = g_string_new (NULL);
  guint n_kept = 0;

  for (guint i = 0; i < result->n_tables; i++)
    {
      MsTable *table = result->tables[i];
      int column = ms_table_find_column (table, "expert");
      g_autofree guint8 *marked = g_new (guint8, ms_table_n_rows (table) + 1);

      if (column < 0)
        {
          g_string_append_printf (whole, "%s%s", whole->len > 0 ? ", " : "",
                                  ms_table_def (table)->name);
          continue;
        }
      for (guint row = 0; row < ms_table_n_rows (table); row++)
        marked[row]
            = ms_ranges_include (experts, ms_table_get_int (table, row, (guint) column)) ? 1 : 0;
      ms_table_keep (table, marked);
      n_kept++;
    }
  for (guint i = result->findings->len; i-- > 0;)
    if (is_elsewhere (&g_array_index (result->findings, MsFinding, i), experts))
      g_array_remove_index (result->findings, i);
  if (n_kept == 0)
    ms_result_note (result, "The selection of experts changes nothing here: no table has a row "
                            "for each expert.");
  else
    ms_result_note (result, "Rows of the selected experts only, measured among all experts%s%s.",
                    whole->len > 0 ? "; of all experts: " : "", whole->str);
  g_string_free (whole, TRUE);
}

/* --- How sure --------------------------------------------------------------------------------- */

/* Intervals over fewer groups rest on so few observations that the reader is warned. */
#define FEW_CLUSTERS 10

/* The independent groups of a trace's documents. */
static guint
count_clusters (const MsContext *context, MsTrace *trace)
{
  const MsClusters *clusters = ms_trace_clusters (trace, context->cluster, NULL);

  return clusters != NULL ? clusters->n : ms_trace_n_documents (trace);
}

/* Whether some table has intervals, which are columns *low and *high (table.h). */
static gboolean
has_intervals (const MsAnalysis *analysis)
{
  for (const MsTableDef *def = analysis->tables; def->name != NULL; def++)
    for (const MsColumn *column = def->columns; column->name != NULL; column++)
      if (g_str_has_suffix (column->name, "low") && column[1].name != NULL
          && g_str_has_suffix (column[1].name, "high"))
        return TRUE;
  return FALSE;
}

/* Says what the intervals of a result rest on, where that is not simply its documents. */
static void
note_clusters (const MsContext *context, MsResult *result)
{
  guint n, n_documents;

  if (context->trace == NULL || context->sampling.resamples == 0
      || !has_intervals (result->analysis))
    return;
  n = count_clusters (context, context->trace);
  n_documents = ms_trace_n_documents (context->trace);
  if (n < n_documents && context->cluster != NULL)
    ms_result_note (result,
                    "%u independent %s of %u documents: those with the same %s, and copies, go "
                    "together.",
                    n, n == 1 ? "group" : "groups", n_documents, context->cluster);
  else if (n < n_documents)
    ms_result_note (result,
                    "%u independent %s of %u documents: translations and copies go together.", n,
                    n == 1 ? "group" : "groups", n_documents);
  if (n == 1)
    ms_result_note (result, "One independent group of documents tells nothing of how much others "
                            "would differ: there are no intervals.");
  else if (n < FEW_CLUSTERS)
    ms_result_note (result,
                    "Warning: intervals rest on %u independent groups only, and other texts may "
                    "differ more than they say.",
                    n);
}

/* --- Findings that can be believed ------------------------------------------------------------ */

#define LEAST_ERRORS  2.0 /* standard errors off: less may well be chance */
#define LEAST_TIMES   1.1 /* times chance */
#define MOST_STRENGTH 1e4

/* Whether a text holds a number that is none, as printf writes it. */
static gboolean
is_undefined (const char *text)
{
  return g_regex_match_simple ("(?<![[:alpha:]])(nan|inf)(?![[:alpha:]])", text, 0, 0);
}

/* Says numbers that are none in words; takes the text. */
static char *
say_undefined (char *text)
{
  static const struct
  {
    const char *pattern, *words;
  } words[] = {
    { "-?(?<![[:alpha:]])nan %", "an undefined share" },
    { "-?(?<![[:alpha:]])nan(?![[:alpha:]])", "undefined" },
    { "-?(?<![[:alpha:]])inf times", "infinitely many times" },
    { "-?(?<![[:alpha:]])inf(?![[:alpha:]])", "infinite" },
  };

  if (text == NULL || !is_undefined (text))
    return text;
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    {
      g_autoptr (GRegex) regex = g_regex_new (words[i].pattern, 0, 0, NULL);
      char *said = g_regex_replace_literal (regex, text, -1, 0, words[i].words, 0, NULL);

      g_free (text);
      text = said;
    }
  return text;
}

/* What rounds to zero has no sign; takes the text. */
static char *
drop_signs_of_zero (char *text)
{
  g_autoptr (GRegex) regex
      = g_regex_new ("(?<![[:alnum:].])-(?=0([.]0+)?(?![[:digit:].e]))", 0, 0, NULL);
  char *said = text != NULL ? g_regex_replace_literal (regex, text, -1, 0, "", 0, NULL) : NULL;

  g_free (text);
  return said;
}

/* Says undefined numbers in words and takes findings away that do not stand out of chance or are undefined.
 * No estimate from tokens has a smaller error than as many independent ones give, about 1 / (2 sqrt (tokens)):
 * what documents that happen to agree say beyond that is not believed. */
static void
keep_believable (const MsContext *context, MsResult *result)
{
  double least = result->analysis->times ? LEAST_TIMES : LEAST_ERRORS, most = MOST_STRENGTH;

  if (!result->analysis->times && context->trace != NULL)
    most = MIN (most, 2 * sqrt ((double) ms_trace_n_tokens (context->trace)));
  for (guint i = result->findings->len; i-- > 0;)
    {
      MsFinding *finding = &g_array_index (result->findings, MsFinding, i);

      if (!(finding->strength >= least) || is_undefined (finding->text))
        g_array_remove_index (result->findings, i);
      else
        finding->strength = MIN (finding->strength, most);
    }
  result->mended = result->summary != NULL && is_undefined (result->summary);
  result->summary = drop_signs_of_zero (say_undefined (result->summary));
  for (guint i = 0; i < result->notes->len; i++)
    {
      result->mended |= is_undefined (result->notes->pdata[i]);
      result->notes->pdata[i] = drop_signs_of_zero (say_undefined (result->notes->pdata[i]));
    }
}

MsResult *
ms_analysis_run (const MsAnalysis *analysis, const MsContext *context, GError **error)
{
  g_autoptr (MsResult) result = NULL;
  g_autofree char *missing = ms_analysis_missing (analysis, context->trace, context->n_others);
  gint64 start = g_get_monotonic_time ();

  if (missing != NULL)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS, "%s cannot run: %s",
                   analysis->name, missing);
      return NULL;
    }
  if (context->trace != NULL && ms_trace_n_documents (context->trace) > 0
      && ms_trace_clusters (context->trace, context->cluster, error) == NULL)
    return NULL;
  result = ms_result_new (analysis, ms_table_new);
  if (g_cancellable_set_error_if_cancelled (context->cancel, error)
      || !analysis->compute (context, result, error)
      || g_cancellable_set_error_if_cancelled (context->cancel, error))
    return NULL;
  if (context->trace != NULL && ms_trace_selection (context->trace)->experts != NULL)
    keep_experts (result, ms_trace_selection (context->trace)->experts);
  note_clusters (context, result);
  if (context->trace != NULL && !ms_result_doubt (result, context, error))
    return NULL;
  keep_believable (context, result);
  ms_result_sort (result);
  result->seconds = (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  ms_context_progress (context, 1);
  return g_steal_pointer (&result);
}

char *
ms_interval_name (const MsContext *context)
{
  char percent[MS_NUMBER_SIZE], groups[MS_NUMBER_SIZE];
  guint n;

  if (context->trace == NULL || context->sampling.resamples == 0)
    return NULL;
  n = count_clusters (context, context->trace);
  ms_number_short (percent, 100 * context->sampling.confidence);
  for (guint i = 0; i < context->n_with; i++)
    if (count_clusters (context, context->with[i]) != n)
      return g_strdup_printf ("%s %% interval over the independent groups of each run, "
                              "bias-corrected bootstrap-t",
                              percent);
  if (n < 2)
    return NULL;
  return g_strdup_printf ("%s %% interval over %s independent groups, bias-corrected bootstrap-t",
                          percent, ms_number_grouped (groups, n));
}

/* --- Running by group ------------------------------------------------------------------------ */

static MsTrace *
narrow_to_group (MsTrace *trace, const MsGroups *groups, guint group)
{
  guint n = ms_trace_n_documents (trace), kept = 0;
  g_autofree guint *numbers = g_new (guint, n);

  for (guint i = 0; i < n; i++)
    if (groups->group[i] == (int) group)
      numbers[kept++] = ms_trace_document_number (trace, i);
  return ms_trace_narrow (trace, numbers, kept);
}

/* What a trace is grouped by: documents, or tokens by their own labels. */
typedef struct
{
  const char *by;
  MsGroups *groups;  /* of documents; NULL = */
  GPtrArray *values; /* of char*: of the tokens' labels */
} Grouping;

static void
grouping_clear (Grouping *grouping)
{
  g_clear_pointer (&grouping->groups, ms_groups_free);
  g_clear_pointer (&grouping->values, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Grouping, grouping_clear)

static gboolean
find_groups (const MsTrace *trace, const char *by, Grouping *grouping, GError **error)
{
  grouping->by = by;
  grouping->values = ms_trace_token_values (trace, by);
  if (grouping->values == NULL)
    grouping->groups = ms_trace_group (trace, by, error);
  return grouping->values != NULL || grouping->groups != NULL;
}

static const char *
group_name (const Grouping *grouping, guint group)
{
  return grouping->values != NULL ? grouping->values->pdata[group] : grouping->groups->names[group];
}

static MsTrace *
narrow (MsTrace *trace, const Grouping *grouping, guint group)
{
  return grouping->values != NULL
             ? ms_trace_narrow_label (trace, grouping->by, grouping->values->pdata[group])
             : narrow_to_group (trace, grouping->groups, group);
}

/* The documents of `other` that have the names of those of `trace`, and of them the tokens of the group where
 * tokens are grouped: the same texts in another run. */
static MsTrace *
narrow_alike (MsTrace *other, const MsTrace *trace, const Grouping *grouping, guint group)
{
  g_autoptr (GPtrArray) values
      = grouping->values != NULL ? ms_trace_token_values (other, grouping->by) : NULL;
  g_autoptr (MsTrace) part
      = values != NULL ? ms_trace_narrow_label (other, grouping->by, group_name (grouping, group))
                       : ms_trace_ref (other);
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  guint n = ms_trace_n_documents (part), kept = 0;
  g_autofree guint *numbers = g_new (guint, n);

  for (guint i = 0; i < ms_trace_n_documents (trace); i++)
    g_hash_table_add (names, ms_trace_document (trace, i)->name);
  for (guint i = 0; i < n; i++)
    if (g_hash_table_contains (names, ms_trace_document (part, i)->name))
      numbers[kept++] = ms_trace_document_number (part, i);
  return ms_trace_narrow (part, numbers, kept);
}

void
ms_result_add_findings (MsResult *all, const char *label, gint64 run, const MsResult *one)
{
  for (guint i = 0; i < one->findings->len; i++)
    {
      const MsFinding *finding = &g_array_index (one->findings, MsFinding, i);
      char *place = finding->place != NULL && run > 0
                        ? g_strdup_printf ("run=%" G_GINT64_FORMAT " %s", run, finding->place)
                        : g_strdup (finding->place);

      ms_result_find (all, finding->strength, place, "%s: %s", label, finding->text);
    }
}

void
ms_result_join_notes (MsResult *all, const char *const *labels, GPtrArray *const *notes, guint n)
{
  g_autoptr (GHashTable) had = g_hash_table_new (g_str_hash, g_str_equal); /* by how many, in all */

  for (guint r = 0; r < n; r++)
    for (guint i = 0; i < notes[r]->len; i++)
      {
        char *note = notes[r]->pdata[i];
        guint before = GPOINTER_TO_UINT (g_hash_table_lookup (had, note));

        g_hash_table_insert (had, note, GUINT_TO_POINTER (before + 1));
      }
  for (guint r = 0; r < n; r++)
    for (guint i = 0; i < notes[r]->len; i++)
      {
        const char *note = notes[r]->pdata[i];

        if (GPOINTER_TO_UINT (g_hash_table_lookup (had, note)) < n)
          ms_result_note (all, "%s: %s", labels[r], note);
        else if (r == 0)
          ms_result_note (all, "%s", note);
      }
}

void
ms_result_sort (MsResult *result)
{
  g_array_sort (result->findings, compare_findings);
}

MsResult *
ms_analysis_run_by (const MsAnalysis *analysis, const MsContext *context, const char *by,
                    GError **error)
{
  g_autoptr (MsResult) all = NULL;
  g_auto (Grouping) grouping = { 0 };
  g_autoptr (GPtrArray) labels = g_ptr_array_new (); /* of groups with a result, and their notes */
  g_autoptr (GPtrArray) notes = g_ptr_array_new_with_free_func ((GDestroyNotify) g_ptr_array_unref);
  g_autoptr (GString) summary = g_string_new (NULL);
  guint done = 0, n;

  if (context->trace == NULL)
    {
      g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS,
                   "%s: grouping needs a recorded run", analysis->name);
      return NULL;
    }
  if (!find_groups (context->trace, by, &grouping, error))
    return NULL;
  n = grouping.values != NULL ? grouping.values->len : grouping.groups->n;
  all = ms_result_new (analysis, ms_table_new_grouped);
  all->by = g_strdup (by);
  for (guint g = 0; g < n; g++)
    {
      g_autoptr (MsTrace) trace = narrow (context->trace, &grouping, g);
      g_autoptr (GPtrArray) others
          = g_ptr_array_new_with_free_func ((GDestroyNotify) ms_trace_unref);
      MsPartProgress progress = { context, (double) g / n, 1.0 / n };
      MsContext part = *context;
      g_autoptr (MsResult) one = NULL;
      g_autoptr (GError) failure = NULL;

      for (guint i = 0; i < context->n_others; i++)
        g_ptr_array_add (others, narrow_alike (context->others[i], trace, &grouping, g));
      part.trace = trace;
      part.others = (MsTrace **) others->pdata;
      part.progress = ms_part_progress;
      part.progress_data = &progress;
      one = ms_analysis_run (analysis, &part, &failure);
      if (one == NULL)
        {
          /* A group that has too little for the analysis does not spoil the others. */
          if (!g_error_matches (failure, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_NEEDS)
              || (done == 0 && g + 1 == n))
            {
              g_propagate_prefixed_error (error, g_steal_pointer (&failure), "%s %s: ", by,
                                          group_name (&grouping, g));
              return NULL;
            }
          ms_result_note (all, "%s left out: %s", group_name (&grouping, g), failure->message);
          continue;
        }
      for (guint i = 0; i < all->n_tables; i++)
        ms_table_append_group (all->tables[i], group_name (&grouping, g), one->tables[i]);
      g_ptr_array_add (labels, (gpointer) group_name (&grouping, g));
      g_ptr_array_add (notes, g_ptr_array_ref (one->notes));
      ms_result_add_findings (all, group_name (&grouping, g), 0, one);
      all->seconds += one->seconds;
      g_string_append_printf (summary, "%s%s: %s", done++ > 0 ? "\n" : "",
                              group_name (&grouping, g), one->summary != NULL ? one->summary : "");
    }
  all->summary = g_strdup (summary->str);
  ms_result_join_notes (all, (const char *const *) labels->pdata, (GPtrArray **) notes->pdata,
                        notes->len);
  ms_result_sort (all);
  return g_steal_pointer (&all);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void
append_string (GString *out, const char *text)
{
  g_string_append_c (out, '"');
  for (; text != NULL && *text != '\0'; text++)
    if (*text == '"' || *text == '\\')
      g_string_append_printf (out, "\\%c", *text);
    else if ((guchar) *text < 0x20)
      g_string_append_printf (out, "\\u%04x", (guchar) *text);
    else
      g_string_append_c (out, *text);
  g_string_append_c (out, '"');
}

/* Undefined is null; infinity is a number too large for a double, which readers take as infinite. */
static void
append_number (GString *out, double value)
{
  char number[MS_NUMBER_SIZE];

  if (isnan (value))
    g_string_append (out, "null");
  else if (isinf (value))
    g_string_append (out, value < 0 ? "-1e999" : "1e999");
  else
    g_string_append (out, ms_number_exact (number, value));
}

char *
ms_result_params (const MsResult *result, const MsContext *context)
{
  const MsParam *params = result->analysis->params;
  GString *out = g_string_new ("{");

  for (guint i = 0; params != NULL && params[i].name != NULL; i++)
    {
      g_autofree char *text = ms_values_text_of (context->values, i);

      append_string (out, params[i].name);
      g_string_append (out, ": ");
      if (params[i].type == MS_PARAM_INT || params[i].type == MS_PARAM_REAL)
        g_string_append (out, text);
      else if (params[i].type == MS_PARAM_BOOL)
        g_string_append (out, ms_values_bool (context->values, params[i].name) ? "true" : "false");
      else
        append_string (out, text);
      g_string_append (out, ", ");
    }
  if (result->by != NULL)
    {
      g_string_append (out, "\"by\": ");
      append_string (out, result->by);
      g_string_append (out, ", ");
    }
  g_string_append_printf (out,
                          "\"seed\": %" G_GUINT64_FORMAT ", \"bootstrap\": %u, \"confidence\": ",
                          context->sampling.seed, context->sampling.resamples);
  append_number (out, context->sampling.confidence);
  if (context->cluster != NULL)
    {
      g_string_append (out, ", \"cluster\": ");
      append_string (out, context->cluster);
    }
  g_string_append_c (out, '}');
  return g_string_free (out, FALSE);
}

static void
append_table (GString *out, const MsTable *table)
{
  guint n = ms_table_n_columns (table);

  append_string (out, ms_table_def (table)->name);
  g_string_append (out, ": {\"title\": ");
  append_string (out, ms_table_def (table)->title);
  g_string_append (out, ", \"columns\": [");
  for (guint i = 0; i < n; i++)
    {
      g_string_append (out, i > 0 ? ", " : "");
      append_string (out, ms_table_column (table, i)->name);
    }
  g_string_append (out, "], \"rows\": [");
  for (guint row = 0; row < ms_table_n_rows (table); row++)
    {
      g_string_append (out, row > 0 ? ",\n    [" : "\n    [");
      for (guint i = 0; i < n; i++)
        {
          g_string_append (out, i > 0 ? ", " : "");
          if (ms_table_column (table, i)->type == MS_COLUMN_INT)
            g_string_append_printf (out, "%" G_GINT64_FORMAT, ms_table_get_int (table, row, i));
          else if (ms_table_column (table, i)->type == MS_COLUMN_REAL)
            append_number (out, ms_table_get_real (table, row, i));
          else if (ms_table_is_null (table, row, i))
            g_string_append (out, "null");
          else
            append_string (out, ms_table_get_text (table, row, i));
        }
      g_string_append_c (out, ']');
    }
  g_string_append (out, "]}");
}

char *
ms_result_to_json (const MsResult *result, const MsContext *context)
{
  g_autoptr (GString) out = g_string_new ("{\"analysis\": ");
  g_autofree char *params = ms_result_params (result, context);

  append_string (out, result->analysis->name);
  g_string_append_printf (out, ",\n \"version\": %d,\n \"params\": %s", result->analysis->version,
                          params);
  if (context->trace != NULL)
    {
      g_autofree char *selection = ms_selection_format (ms_trace_selection (context->trace));

      g_string_append_printf (out, ",\n \"run\": %" G_GINT64_FORMAT ",\n \"selection\": ",
                              ms_trace_run (context->trace)->id);
      append_string (out, selection);
    }
  g_string_append (out, ",\n \"summary\": ");
  append_string (out, result->summary);
  g_string_append (out, ",\n \"notes\": [");
  for (guint i = 0; i < result->notes->len; i++)
    {
      g_string_append (out, i > 0 ? ",\n  " : "\n  ");
      append_string (out, g_ptr_array_index (result->notes, i));
    }
  g_string_append (out, "],\n \"findings\": [");
  for (guint i = 0; i < result->findings->len; i++)
    {
      const MsFinding *finding = &g_array_index (result->findings, MsFinding, i);

      g_string_append (out, i > 0 ? ",\n  {\"text\": " : "\n  {\"text\": ");
      append_string (out, finding->text);
      g_string_append (out, ", \"place\": ");
      append_string (out, finding->place);
      g_string_append (out, ", \"strength\": ");
      append_number (out, finding->strength);
      g_string_append_c (out, '}');
    }
  g_string_append (out, "],\n \"tables\": {");
  for (guint i = 0; i < result->n_tables; i++)
    {
      g_string_append (out, i > 0 ? ",\n  " : "\n  ");
      append_table (out, result->tables[i]);
    }
  g_string_append (out, "}}\n");
  return ms_text_safe_json (out->str);
}
