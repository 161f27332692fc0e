/* Statements for what a few analyses count.  Each reads "chosen", the decisions of the run within the
 * selection, or "counts", how often each expert is chosen: load() tells these at once for whole runs. */
#include "sql-form-private.h"

#include <string.h>

typedef enum
{
  USES_COUNTS,    /* counts (layer, expert, count) */
  USES_CHOSEN,    /* chosen: the columns of routing */
  USES_DOCUMENTS, /* chosen, with corpus, document, name, language and domain */
} Uses;

static const struct
{
  const char *analysis, *table;
  Uses uses;
  const char *select;
} forms[] = {
#define LOADS                                                                                      \
  "SELECT c.layer, c.expert, c.count,\n"                                                           \
  "  1.0 * c.count / sum (c.count) OVER (PARTITION BY c.layer) AS share,\n"                        \
  "  1.0 * c.count * l.experts / sum (c.count) OVER (PARTITION BY c.layer) AS load\n"              \
  "FROM counts AS c JOIN run USING (run) JOIN layer AS l USING (model, layer)\n"                   \
  "ORDER BY c.layer, c.expert"
  { "experts", "map", USES_COUNTS, LOADS },
  { "load", "experts", USES_COUNTS, LOADS },
  { "load", "balance", USES_COUNTS,
    "SELECT c.layer, l.experts AS n_experts, sum (c.count) AS n_decisions,\n"
    "  1.0 * max (c.count) * l.experts / sum (c.count) - 1 AS max_vio,\n"
    "  ln (sum (c.count)) - sum (c.count * ln (max (c.count, 1))) / sum (c.count) AS entropy,\n"
    "  1.0 * max (c.count) / sum (c.count) AS max_share,\n"
    "  l.experts - sum (c.count > 0) AS idle\n"
    "FROM counts AS c JOIN run USING (run) JOIN layer AS l USING (model, layer)\n"
    "GROUP BY c.layer" },
  { "coverage", "slots", USES_COUNTS,
    "SELECT row_number () OVER (ORDER BY count DESC, layer, expert) AS rank, layer, expert,\n"
    "  1.0 * count / sum (count) OVER () AS share\n"
    "FROM counts ORDER BY rank" },
  { "coactivation", "pairs", USES_CHOSEN,
    "SELECT x.layer, x.expert AS a, y.expert AS b, count (*) AS n_ab\n"
    "FROM chosen AS x JOIN chosen AS y\n"
    "  ON y.layer = x.layer AND y.token = x.token AND y.expert <> x.expert\n"
    "GROUP BY x.layer, x.expert, y.expert" },
  { "transitions", "pairs", USES_CHOSEN,
    "SELECT x.layer, x.expert, y.expert AS next_expert, count (*) AS count\n"
    "FROM chosen AS x JOIN chosen AS y\n"
    "  ON y.layer = (SELECT min (layer) FROM layer JOIN run USING (model)\n"
    "                WHERE run = x.run AND layer > x.layer) AND y.token = x.token\n"
    "GROUP BY x.layer, x.expert, y.expert" },
  { "repetition", "layers", USES_DOCUMENTS,
    "SELECT x.layer, count (*) AS pairs, avg (x.expert = y.expert) AS first_choice\n"
    "FROM chosen AS x JOIN chosen AS y\n"
    "  ON y.layer = x.layer AND y.token = x.token + 1 AND y.document = x.document\n"
    "WHERE x.rank = 0 AND y.rank = 0\n"
    "GROUP BY x.layer" },
  { "domains", "shares", USES_DOCUMENTS,
    "SELECT layer, {label} AS \"group\", expert, count (*) AS count\n"
    "FROM chosen WHERE {label} IS NOT NULL\n"
    "GROUP BY layer, {label}, expert" },
  { "text", "tokens", USES_DOCUMENTS,
    "SELECT c.name AS document, c.token AS position, t.id AS token_id, t.text AS token,\n"
    "  c.layer, c.expert, c.entropy\n"
    "FROM chosen AS c LEFT JOIN token AS t USING (corpus, token)\n"
    "WHERE c.rank = 0 ORDER BY c.token, c.layer" },
  { "text", "choices", USES_DOCUMENTS,
    "SELECT c.token AS position, t.text AS token, c.layer, c.rank, c.expert, c.weight, c.entropy\n"
    "FROM chosen AS c LEFT JOIN token AS t USING (corpus, token)\n"
    "ORDER BY c.token, c.layer, c.rank" },
};

/* " AND (column BETWEEN 4 AND 8 OR ...)" */
static void
append_ranges (GString *sql, const char *column, const GArray *ranges)
{
  for (guint i = 0; ranges != NULL && i < ranges->len; i++)
    {
      const MsRange *range = &g_array_index (ranges, MsRange, i);

      g_string_append_printf (sql, "%s%s BETWEEN %" G_GINT64_FORMAT " AND %" G_GINT64_FORMAT "%s",
                              i == 0 ? "\n    AND (" : " OR ", column, range->first, range->last,
                              i + 1 == ranges->len ? ")" : "");
    }
}

/* " AND column IN ('de', 'en')" */
static void
append_texts (GString *sql, const char *column, const GPtrArray *texts)
{
  for (guint i = 0; texts != NULL && i < texts->len; i++)
    {
      g_auto (GStrv) pieces = g_strsplit (g_ptr_array_index (texts, i), "'", -1);
      g_autofree char *quoted = g_strjoinv ("''", pieces);

      if (i == 0)
        g_string_append_printf (sql, "\n    AND %s IN (", column);
      g_string_append_printf (sql, "%s'%s'%s", i > 0 ? ", " : "", quoted,
                              i + 1 == texts->len ? ")" : "");
    }
}

static gboolean
filters_documents (const MsSelection *part)
{
  return part->documents || part->languages || part->domains || part->phases || part->names;
}

static void
append_source (GString *sql, Uses uses, gint64 run, const MsSelection *part)
{
  gboolean documents = uses == USES_DOCUMENTS || filters_documents (part);

  if (uses == USES_COUNTS && !documents && part->tokens == NULL)
    {
      g_string_append_printf (sql,
                              "WITH counts AS (\n  SELECT run, layer, expert, count FROM load\n"
                              "  WHERE run = %" G_GINT64_FORMAT,
                              run);
      append_ranges (sql, "layer", part->layers);
      g_string_append (sql, ")\n");
      return;
    }
  g_string_append_printf (
      sql,
      "WITH chosen AS (\n  SELECT r.*%s\n  FROM routing AS r%s\n"
      "  WHERE r.run = %" G_GINT64_FORMAT,
      documents ? ", d.corpus, d.document, d.name, d.language, d.domain, d.phase" : "",
      documents ? " JOIN run ON run.run = r.run\n"
                  "    JOIN document AS d ON d.corpus = run.corpus\n"
                  "      AND r.token >= d.first_token\n"
                  "      AND r.token < d.first_token + d.n_tokens"
                : "",
      run);
  append_ranges (sql, "r.layer", part->layers);
  append_ranges (sql, "r.token", part->tokens);
  append_ranges (sql, "d.document", part->documents);
  append_texts (sql, "d.language", part->languages);
  append_texts (sql, "d.domain", part->domains);
  append_texts (sql, "d.phase", part->phases);
  append_texts (sql, "d.name", part->names);
  g_string_append (sql, ")");
  if (uses == USES_COUNTS)
    g_string_append (sql,
                     ", counts AS (\n  SELECT run, layer, expert, count (*) AS count FROM chosen\n"
                     "  GROUP BY layer, expert)");
  g_string_append (sql, "\n");
}

/* The label that makes the groups, where an analysis has that choice. */
static void
fill_in_label (GString *sql, const MsRequest *request)
{
  g_autoptr (MsValues) defaults = ms_values_new (request->analysis);
  const MsParam *param = request->analysis->params;

  if (strstr (sql->str, "{label}") == NULL)
    return;
  while (strcmp (param->name, "label") != 0)
    param++;
  g_string_replace (
      sql, "{label}",
      param->choices[ms_values_choice (request->values ? request->values : defaults, "label")], 0);
}

char *
ms_sql_form_direct (const MsRequest *request, gint64 run, const char *table)
{
  g_autoptr (MsSelection) everything = ms_selection_new ();
  g_autoptr (GString) sql = g_string_new (NULL);
  guint i = 0;

  while (i < G_N_ELEMENTS (forms)
         && (strcmp (forms[i].analysis, request->analysis->name) != 0
             || strcmp (forms[i].table, table) != 0))
    i++;
  if (i == G_N_ELEMENTS (forms) || request->by != NULL)
    return NULL;
  append_source (sql, forms[i].uses, run,
                 request->selection != NULL ? request->selection : everything);
  g_string_append (sql, forms[i].select);
  fill_in_label (sql, request);
  return g_string_free (g_steal_pointer (&sql), FALSE);
}

static char *
form_alone (MsWorkbench *bench, const MsRequest *request, const char *table)
{
  MsRunItem *item = ms_workbench_find_run (bench, request->run);
  gint64 run = item ? ms_run_item_run (item)->id : request->run;
  char *direct = ms_sql_form_direct (request, run, table);
  g_autofree char *command = NULL;
  g_autofree char *name = NULL;

  if (direct != NULL)
    return direct;
  command = ms_workbench_dup_command (bench, request, NULL, NULL);
  name = g_strdup_printf ("%s_%s", request->analysis->name, table);
  g_strdelimit (name, "-", '_');
  return g_strdup_printf (
      "-- This is computed outside of SQL.  Stored in the file, it is a table like any other:\n"
      "--   %s --store\n"
      "SELECT * FROM %s\n"
      "WHERE result = (SELECT max (result) FROM result\n"
      "                WHERE analysis = '%s' AND run = %" G_GINT64_FORMAT ")",
      command, name, request->analysis->name, run);
}

char *
ms_sql_form (MsWorkbench *bench, const MsRequest *request, const char *table)
{
  g_autoptr (MsRequest) alone = ms_request_alone (request);
  g_autofree char *sql = form_alone (bench, alone, table);

  if (!ms_request_has_runs (request))
    return g_steal_pointer (&sql);
  return g_strdup_printf ("-- One of the runs shown; the others' numbers give theirs.\n%s", sql);
}
