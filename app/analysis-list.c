/* The list of analyses, read off their descriptors. */
#include "analysis-list.h"

#include "provenance.h"

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

static void
begin_array (JsonBuilder *json, const char *name)
{
  json_builder_set_member_name (json, name);
  json_builder_begin_array (json);
}

static void
add_needs (JsonBuilder *json, guint needs)
{
  static const struct
  {
    guint need;
    const char *name;
  } names[] = {
    { MS_NEEDS_LOGITS, "scores" },
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

  begin_array (json, "needs");
  if (!(needs & MS_NEEDS_NO_TRACE))
    json_builder_add_string_value (json, "a run");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (needs & names[i].need)
      json_builder_add_string_value (json, names[i].name);
  json_builder_end_array (json);
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
      json_builder_set_member_name (json, "default");
      json_builder_add_boolean_value (json, param->usual != 0);
      break;
    case MS_PARAM_CHOICE:
      begin_array (json, "choices");
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
  begin_array (json, "columns");
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
  json_builder_begin_object (json);
  ms_json_add_text (json, "name", analysis->name);
  ms_json_add_text (json, "title", analysis->title);
  ms_json_add_text (json, "question", analysis->help);
  ms_json_add_text (json, "definition", analysis->formula);
  ms_json_add_text (json, "source", analysis->cite);
  ms_json_add_int (json, "version", analysis->version);
  add_needs (json, analysis->needs);
  begin_array (json, "parameters");
  for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
    add_param (json, param);
  json_builder_end_array (json);
  begin_array (json, "tables");
  for (const MsTableDef *def = analysis->tables; def->name != NULL; def++)
    add_table (json, def);
  json_builder_end_array (json);
  begin_array (json, "plots");
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
