/* The list of analyses, read off their descriptors. */
#include "analysis-list.h"

#include "base.h"
#include "json.h"
#include "markdown.h"

#include <stdio.h>
#include <string.h>

void
ms_analysis_list_print (void)
{
  const MsAnalysis *const *all = ms_analyses ();
  int width = 0;

  for (guint i = 0; all[i] != NULL; i++)
    width = MAX (width, (int) strlen (all[i]->name));
  for (guint i = 0; all[i] != NULL; i++)
    printf ("%-*s  %s\n", width, all[i]->name, all[i]->help);
}

/* What an analysis needs beside what every run has, ready to be joined. */
static GStrv
list_needs (guint needs)
{
  static const struct
  {
    guint need;
    const char *name;
  } names[] = {
    { MS_NEEDS_LOGITS, "scores" },
    { MS_NEEDS_GATE, "a known gate" },
    { MS_NEEDS_NORMS, "norms" },
    { MS_NEEDS_PEAKS, "peaks" },
    { MS_NEEDS_SIMILARITY, "similarity" },
    { MS_NEEDS_PREDICTIONS, "predictions" },
    { MS_NEEDS_LANGUAGES, "two languages" },
    { MS_NEEDS_DOMAINS, "two domains" },
    { MS_NEEDS_PARALLEL, "translations" },
    { MS_NEEDS_LAYERS, "two layers" },
    { MS_NEEDS_OTHER, "a second run" },
    { MS_NEEDS_SERIES, "a series of runs" },
  };
  g_autoptr (GStrvBuilder) list = g_strv_builder_new ();

  if (!(needs & MS_NEEDS_NO_TRACE))
    g_strv_builder_add (list, "a run");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (needs & names[i].need)
      g_strv_builder_add (list, names[i].name);
  return g_strv_builder_end (list);
}

static void
add_param (JsonBuilder *json, const MsParam *param)
{
  static const char *const types[] = { "int", "real", "bool", "choice", "text", "file" };

  json_builder_begin_object (json);
  ms_json_add_text (json, "name", param->name);
  ms_json_add_text (json, "title", param->title);
  ms_json_add_text (json, "help", param->help);
  ms_json_add_text (json, "unit", param->unit);
  ms_json_add_text (json, "type", types[param->type]);
  switch (param->type)
    {
    case MS_PARAM_INT:
    case MS_PARAM_REAL:
      ms_json_add_real (json, "least", param->least);
      ms_json_add_real (json, "most", param->most);
      ms_json_add_real (json, "default", param->usual);
      break;
    case MS_PARAM_BOOL:
      ms_json_add_bool (json, "default", param->usual != 0);
      break;
    case MS_PARAM_CHOICE:
      ms_json_begin_array (json, "choices");
      for (guint i = 0; param->choices[i] != NULL; i++)
        json_builder_add_string_value (json, param->choices[i]);
      json_builder_end_array (json);
      ms_json_add_text (json, "default", param->choices[(guint) param->usual]);
      break;
    case MS_PARAM_TEXT:
    case MS_PARAM_FILE:
      ms_json_add_text (json, "default", param->usual_text != NULL ? param->usual_text : "");
      break;
    }
  json_builder_end_object (json);
}

static void
add_table (JsonBuilder *json, const MsTableDef *def)
{
  static const char *const types[] = { "int", "real", "text" };

  json_builder_begin_object (json);
  ms_json_add_text (json, "name", def->name);
  ms_json_add_text (json, "title", def->title);
  ms_json_begin_array (json, "columns");
  for (const MsColumn *column = def->columns; column->name != NULL; column++)
    {
      json_builder_begin_object (json);
      ms_json_add_text (json, "name", column->name);
      ms_json_add_text (json, "title", column->title);
      ms_json_add_text (json, "unit", column->unit);
      ms_json_add_text (json, "type", types[column->type]);
      ms_json_add_text (json, "help", column->help);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
  json_builder_end_object (json);
}

static void
add_analysis (JsonBuilder *json, const MsAnalysis *analysis)
{
  g_auto (GStrv) needs = list_needs (analysis->needs);

  json_builder_begin_object (json);
  ms_json_add_text (json, "name", analysis->name);
  ms_json_add_text (json, "title", analysis->title);
  ms_json_add_text (json, "question", analysis->help);
  ms_json_add_text (json, "definition", analysis->formula);
  ms_json_add_text (json, "source", analysis->cite);
  ms_json_add_int (json, "version", analysis->version);
  ms_json_begin_array (json, "needs");
  for (guint i = 0; needs[i] != NULL; i++)
    json_builder_add_string_value (json, needs[i]);
  json_builder_end_array (json);
  ms_json_begin_array (json, "parameters");
  for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
    add_param (json, param);
  json_builder_end_array (json);
  ms_json_begin_array (json, "tables");
  for (const MsTableDef *def = analysis->tables; def->name != NULL; def++)
    add_table (json, def);
  json_builder_end_array (json);
  ms_json_begin_array (json, "plots");
  for (const MsPlotDef *plot = analysis->plots; plot != NULL && plot->name != NULL; plot++)
    {
      json_builder_begin_object (json);
      ms_json_add_text (json, "name", plot->name);
      ms_json_add_text (json, "title", plot->title);
      ms_json_add_text (json, "table", plot->table);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
  json_builder_end_object (json);
}

char *
ms_analysis_list_json (void)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();
  const MsAnalysis *const *all = ms_analyses ();

  json_builder_begin_array (json);
  for (guint i = 0; all[i] != NULL; i++)
    add_analysis (json, all[i]);
  json_builder_end_array (json);
  return ms_json_text (json);
}

char *
ms_param_range (const MsParam *param, char **usual)
{
  char least[MS_NUMBER_SIZE], most[MS_NUMBER_SIZE], number[MS_NUMBER_SIZE];

  switch (param->type)
    {
    case MS_PARAM_INT:
    case MS_PARAM_REAL:
      *usual = g_strdup (ms_number_short (number, param->usual));
      return g_strdup_printf ("%s..%s", ms_number_short (least, param->least),
                              ms_number_short (most, param->most));
    case MS_PARAM_BOOL:
      *usual = g_strdup (param->usual != 0 ? "yes" : "no");
      return g_strdup ("yes|no");
    case MS_PARAM_CHOICE:
      *usual = g_strdup (param->choices[(guint) param->usual]);
      return g_strjoinv ("|", (char **) param->choices);
    case MS_PARAM_TEXT:
    case MS_PARAM_FILE:
    default:
      *usual = g_strdup (param->usual_text != NULL && *param->usual_text != '\0' ? param->usual_text
                                                                                 : "none");
      return g_strdup (param->type == MS_PARAM_FILE ? "FILE" : "TEXT");
    }
}

/* --- Markdown -------------------------------------------------------------------------------- */

static void
append_table (GString *out, const MsTableDef *def)
{
  g_string_append_printf (out, "\n**`%s`: %s**\n\n| column | unit | meaning |\n|---|---|---|\n",
                          def->name, def->title);
  for (const MsColumn *column = def->columns; column->name != NULL; column++)
    {
      g_string_append_printf (out, "| `%s` | %s | ", column->name,
                              column->unit != NULL ? column->unit : "");
      ms_markdown_append (out, column->help != NULL ? column->help : "");
      g_string_append (out, " |\n");
    }
}

void
ms_analysis_list_markdown (GString *out)
{
  for (const MsAnalysis *const *all = ms_analyses (); *all != NULL; all++)
    {
      const MsAnalysis *analysis = *all;
      g_auto (GStrv) needs = list_needs (analysis->needs);
      g_autofree char *needed = g_strjoinv (", ", needs);

      g_string_append_printf (out, "\n### `%s`: %s\n\n", analysis->name, analysis->title);
      ms_markdown_append (out, analysis->help);
      g_string_append (out, "\n\n*Definition.* ");
      ms_markdown_append (out, analysis->formula);
      g_string_append (out, "\n\n*Source.* ");
      ms_markdown_append (out, analysis->cite);
      g_string_append (out, "\n\n");
      if (*needed != '\0')
        g_string_append_printf (out, "*Needs* %s.\n\n", needed);
      for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
        {
          g_autofree char *usual = NULL;
          g_autofree char *range = ms_param_range (param, &usual);

          g_string_append_printf (out, "- `--%s %s` (default %s%s%s): %s\n", param->name, range,
                                  usual, param->unit != NULL ? " " : "",
                                  param->unit != NULL ? param->unit : "", param->help);
        }
      for (const MsTableDef *def = analysis->tables; def->name != NULL; def++)
        append_table (out, def);
      g_string_append (out, "\n*Plots:*");
      for (const MsPlotDef *plot = analysis->plots; plot != NULL && plot->name != NULL; plot++)
        g_string_append_printf (out, "%s `%s` (%s)", plot == analysis->plots ? "" : ",", plot->name,
                                plot->title);
      g_string_append (out, ".\n");
    }
}
